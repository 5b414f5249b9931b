// SPDX-License-Identifier: MIT
// The physical address map: RAM, ROM and devices' registers.
//
// Devices see values, not byte arrays: the map splits or rejects what a device does not declare. All
// accesses are checked; nothing outside a region's own bytes is ever touched. RAM pages carry flags
// (dirty, holds translated code) and a hash of their contents that is renewed only for dirty pages.
#ifndef SOFTMMU_MEM_H
#define SOFTMMU_MEM_H

#include <glib.h>

#include "base/types.h"

#define PAGE_BITS 12
#define PAGE_SIZE (UINT64_C(1) << PAGE_BITS)
#define PAGE_MASK (~(PAGE_SIZE - 1))

// What a device supplies. `offset` is from the region's base and naturally aligned to `size`.
// FALSE: no such register; the map reports it and the access becomes a bus error.
struct mem_ops {
    bool (*read)(void *dev, uint64_t offset, unsigned size, uint64_t *value);
    bool (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
    uint8_t min_size, max_size; // of one access to the device: 1, 2, 4, 8. Wider ones from the guest are
                                // split; narrower ones are rejected, or widened when `widen` is set
                                // (reads: the wide register is read and the bytes picked; writes: the
                                // value is placed in its lanes, the others zero).
    bool widen;
    bool big_endian;
};

enum mem_kind {
    MEM_RAM,
    MEM_ROM,  // reads memory; writes are bus errors
    MEM_ROMD, // reads memory while `direct`, else ops->read; writes go to ops->write (flash)
    MEM_IO,
};

enum page_flags {
    PAGE_DIRTY = 1, // written since its hash was last taken
    PAGE_CODE = 2,  // translations were made from it: stores must go through mem_note_write
    PAGE_SEEN = 4,  // written since the last checkpoint
};

struct mem_region {
    const char *name; // owned
    enum mem_kind kind;
    bool direct;      // MEM_ROMD only
    paddr_t base;
    uint64_t size;
    uint8_t *host;        // RAM, ROM, ROMD: its bytes; a page of the guest is a page of the host
    uint8_t *page_flags;  // one byte per page, by mem_page_index; set and cleared by the map
    uint64_t *page_hash;  // of pages; 0 for zeros; valid where not PAGE_DIRTY
    const struct mem_ops *ops;
    void *dev;
};

// The page (in page_flags, page_hash) that holds an offset; and the offset at which a page > 0 starts. Pages
// are the guest's: a region whose base is inside a page starts with a partial one.
static inline uint64_t mem_page_index(const struct mem_region *r, uint64_t offset)
{
    return ((r->base & ~PAGE_MASK) + offset) >> PAGE_BITS;
}

static inline uint64_t mem_page_offset(const struct mem_region *r, uint64_t page)
{
    return (page << PAGE_BITS) - (r->base & ~PAGE_MASK);
}

// Somebody who caches what the map says (TLBs, translated code).
struct mem_listener {
    // Stores to this host page (NULL: to all pages) must be seen again: drop write permission from caches.
    void (*protect)(void *opaque, const uint8_t *host_page);
    // Bytes of a page with PAGE_CODE are about to change or have changed.
    void (*code_written)(void *opaque, paddr_t addr, uint64_t len);
    // The map itself changed (regions added, ROMD toggled): forget everything.
    void (*remapped)(void *opaque);
    // Bytes of memory were written, or are about to be, by somebody who is no CPU (or by a CPU's page-table walk).
    void (*written)(void *opaque, paddr_t addr, uint64_t len);
    void *opaque;
};

enum mem_status {
    MEM_OK,
    MEM_UNMAPPED, // nothing there
    MEM_REJECTED, // a device is there and refused: no such register, size or alignment; or a ROM written
};

struct mem;

struct mem *mem_new(void);
void mem_free(struct mem *mem);

// Adding regions. Overlaps are an error naming both. The region belongs to the map. Size > 0; RAM's
// contents start as zeros, on demand (huge pages where the host has them).
struct mem_region *mem_add_ram(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                               GError **error);
struct mem_region *mem_add_rom(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                               GError **error);
struct mem_region *mem_add_romd(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                                const struct mem_ops *ops, void *dev, GError **error);
struct mem_region *mem_add_io(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                              const struct mem_ops *ops, void *dev, GError **error);
void mem_set_direct(struct mem *mem, struct mem_region *r, bool direct);
void mem_add_listener(struct mem *mem, const struct mem_listener *l);

// The region that holds addr, or NULL.
struct mem_region *mem_find(struct mem *mem, paddr_t addr);
// The region whose host bytes hold p, or NULL (for caches of host pointers).
struct mem_region *mem_find_host(struct mem *mem, const uint8_t *p);
// All regions in order of address; NULL-terminated by index.
struct mem_region *mem_region_at(struct mem *mem, unsigned index);

// One access of 1, 2, 4 or 8 bytes at any alignment, as a bus master does it. Little-endian value.
enum mem_status mem_read(struct mem *mem, paddr_t addr, unsigned size, uint64_t *value);
enum mem_status mem_write(struct mem *mem, paddr_t addr, unsigned size, uint64_t value);

// Block transfers (DMA, loaders). Only memory takes part: anything else fails with nothing written.
// mem_load also writes ROM and flash contents, for loaders.
enum mem_status mem_read_bytes(struct mem *mem, paddr_t addr, void *buf, uint64_t len);
enum mem_status mem_write_bytes(struct mem *mem, paddr_t addr, const void *buf, uint64_t len);
enum mem_status mem_load(struct mem *mem, paddr_t addr, const void *buf, uint64_t len);
// For debuggers: what of [addr, addr+len) can be had from its start on; returns how much. Memory, ROM and flash as
// by mem_load; registers of devices as a bus master would access them, in the largest aligned pieces.
uint64_t mem_peek(struct mem *mem, paddr_t addr, void *buf, uint64_t len);
uint64_t mem_poke(struct mem *mem, paddr_t addr, const void *buf, uint64_t len);
// A host pointer to [addr, addr+len) if that lies in one RAM (or, for reads, ROM) region, else NULL. For
// writing, flags and translations are taken care of at the call; do not keep the pointer across a slice.
uint8_t *mem_ptr(struct mem *mem, paddr_t addr, uint64_t len, bool for_write);

// A store of len bytes to RAM happened or is about to: sets PAGE_DIRTY and PAGE_SEEN, tells of code. For who stores
// through host pointers. Inline test first: a page with PAGE_DIRTY and PAGE_SEEN but not PAGE_CODE needs nothing.
void mem_note_write(struct mem *mem, struct mem_region *r, uint64_t offset, uint64_t len);
// Marks a page as holding translated code (and protects it), or not any more.
void mem_set_code(struct mem *mem, struct mem_region *r, uint64_t offset, bool code);

// Hash of all RAM and ROM contents; cost is proportional to pages written since the last call.
uint64_t mem_hash(struct mem *mem, uint64_t seed);
// The same of one region, which must have memory.
uint64_t mem_region_hash(struct mem *mem, const struct mem_region *r);

// ---- All of a region's contents at once, for snapshots and the like: regions with memory only ----

// Pages are whole ones of the host; what of the first and the last lies outside of the region stays zero.
uint64_t mem_nr_pages(const struct mem_region *r);
static inline uint8_t *mem_page_at(const struct mem_region *r, uint64_t page)
{
    return r->host - (r->base & ~PAGE_MASK) + (page << PAGE_BITS);
}
// As in page_hash: 0 for zeros.
uint64_t mem_page_hash(const struct mem *mem, const uint8_t *page);

// New contents in the making: memory of mem_nr_pages pages, zeros, or mapped from a file, of which `offset` is a
// multiple of the host's page size; writing to it does not change the file.
uint8_t *mem_stage(const struct mem_region *r, GError **error);
uint8_t *mem_stage_file(const struct mem_region *r, int fd, uint64_t offset, GError **error);
void mem_unstage(const struct mem_region *r, uint8_t *staged);
// They become the region's contents, at its old place. `hashes`, one a page, are copied. Translated code must have
// been forgotten before; listeners hear that all is remapped.
void mem_commit(struct mem *mem, struct mem_region *r, uint8_t *staged, const uint64_t *hashes);

#endif
