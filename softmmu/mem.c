// SPDX-License-Identifier: MIT
// The physical address map.
//
// Regions never overlap and are never removed, so a pointer to one stays right as long as the map
// lives. Memory is laid out so that a page of the guest is a page of the host, even where a region
// starts or ends inside a page: what is outside of the region stays zero and is reached by nobody.
//
// Contents are hashed by page. The hash of a zero page is stored as 0 and contributes nothing, so
// memory that nobody wrote costs nothing, and contents alone decide. Each region keeps the sum of
// its pages' contributions; a page is hashed again when it is dirty, and dirty pages are found
// through one byte for each group of pages.
#define _GNU_SOURCE // mremap
#include "softmmu/mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/state.h"

#define GROUP_BITS   9 // pages of a group: 2 MB
#define HUGE_SIZE    (UINT64_C(2) << 20)
#define HUGE_MIN     (UINT64_C(64) << 20) // smaller memories use small pages, and stay small
#define RECENT_BITS  4
#define PROTECT_EACH 32 // more pages than that are protected all at once

// Pages on both sides of a memory that nobody may touch. What runs past its end hits them at once, instead of
// whatever the host has put there; the sanitizers know nothing of mappings.
#ifdef FERRY_DEBUG
#define GUARD_SIZE HUGE_SIZE
#else
#define GUARD_SIZE 0
#endif

// A region, and what of it only this file sees.
struct region {
    struct mem_region pub;
    uint64_t nr_pages;
    uint8_t *dirty_groups; // nonzero where a page of the group may be dirty
    uint64_t sum;          // of all pages' contributions to the hash
    uint8_t *map;          // its first page
};

struct mem {
    GPtrArray *regions; // of struct region, by address
    GArray *listeners;  // of struct mem_listener
    uint64_t zero_hash; // of a page of zeros
    // Regions found lately, by page number.
    struct mem_region *recent[1 << RECENT_BITS];
};

static struct region *region_of(struct mem_region *r)
{
    return container_of(r, struct region, pub);
}

static bool has_memory(const struct mem_region *r)
{
    return r->kind != MEM_IO;
}

static paddr_t last_byte(const struct mem_region *r)
{
    return r->base + (r->size - 1);
}

// --- The map and its regions ---

static void region_free(void *opaque)
{
    struct region *x = opaque;
    if (x->map)
        munmap(x->map - GUARD_SIZE, (x->nr_pages << PAGE_BITS) + 2 * GUARD_SIZE);
    free(x->pub.page_flags);
    free(x->pub.page_hash);
    g_free(x->dirty_groups);
    g_free((char *)x->pub.name);
    g_free(x);
}

struct mem *mem_new(void)
{
    static const uint8_t zeros[PAGE_SIZE];
    struct mem *mem = g_new0(struct mem, 1);
    mem->regions = g_ptr_array_new_with_free_func(region_free);
    mem->listeners = g_array_new(FALSE, FALSE, sizeof(struct mem_listener));
    mem->zero_hash = hash_bytes(zeros, PAGE_SIZE, 0);
    return mem;
}

void mem_free(struct mem *mem)
{
    if (!mem)
        return;
    g_ptr_array_free(mem->regions, TRUE);
    g_array_free(mem->listeners, TRUE);
    g_free(mem);
}

void mem_add_listener(struct mem *mem, const struct mem_listener *l)
{
    g_array_append_val(mem->listeners, *l);
}

// NULL past the last.
static const struct mem_listener *listener_at(const struct mem *mem, unsigned i)
{
    return i < mem->listeners->len ? &g_array_index(mem->listeners, struct mem_listener, i) : NULL;
}

static void tell_remapped(struct mem *mem)
{
    const struct mem_listener *l;
    for (unsigned i = 0; (l = listener_at(mem, i)); i++) {
        if (l->remapped)
            l->remapped(l->opaque);
    }
}

static void tell_protect(struct mem *mem, const uint8_t *host_page)
{
    const struct mem_listener *l;
    for (unsigned i = 0; (l = listener_at(mem, i)); i++) {
        if (l->protect)
            l->protect(l->opaque, host_page);
    }
}

static void tell_code_written(struct mem *mem, paddr_t addr, uint64_t len)
{
    const struct mem_listener *l;
    for (unsigned i = 0; (l = listener_at(mem, i)); i++) {
        if (l->code_written)
            l->code_written(l->opaque, addr, len);
    }
}

static void tell_written(struct mem *mem, paddr_t addr, uint64_t len)
{
    const struct mem_listener *l;
    for (unsigned i = 0; (l = listener_at(mem, i)); i++) {
        if (l->written)
            l->written(l->opaque, addr, len);
    }
}

static bool is_huge(const struct mem_region *r)
{
    return r->size >= HUGE_MIN;
}

uint64_t mem_nr_pages(const struct mem_region *r)
{
    return align_up((r->base & ~PAGE_MASK) + r->size, PAGE_SIZE) >> PAGE_BITS;
}

static bool no_memory(const struct mem_region *r, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                "the host has no %" PRIu64 " MiB for memory '%s': choose less (-m)", r->size >> 20,
                r->name);
    return false;
}

static void unmap(uint8_t *from, uint8_t *to)
{
    if (to > from)
        munmap(from, (size_t)(to - from));
}

// Zeros for a region's pages, in huge pages when it is large, with so many bytes on both sides that nobody may touch.
// NULL: there is not so much.
static uint8_t *map_zeros(const struct mem_region *r, uint64_t guard)
{
    uint64_t bytes = mem_nr_pages(r) << PAGE_BITS, align = is_huge(r) ? HUGE_SIZE : PAGE_SIZE;
    uint64_t all = bytes + align + 2 * guard;
    uint8_t *map = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    uint8_t *start = (uint8_t *)(uintptr_t)align_up((uintptr_t)map + guard, align);
    unmap(map, start - guard);
    unmap(start + bytes + guard, map + all);
    if (mprotect(start, bytes, PROT_READ | PROT_WRITE) < 0) {
        munmap(start - guard, bytes + 2 * guard);
        return NULL;
    }
    madvise(start, bytes, is_huge(r) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); // advice: may fail
    return start;
}

// Host memory of a region: whole pages, congruent to the region's base.
static bool allocate(struct region *x, GError **error)
{
    struct mem_region *r = &x->pub;
    bool fits = r->size < UINT64_C(1) << 62;
    x->nr_pages = fits ? mem_nr_pages(r) : 0;
    x->map = fits ? map_zeros(r, GUARD_SIZE) : NULL;
    r->page_flags = x->map ? calloc(x->nr_pages, 1) : NULL;
    r->page_hash = r->page_flags ? calloc(x->nr_pages, sizeof(uint64_t)) : NULL;
    if (!r->page_hash)
        return no_memory(r, error);
    x->dirty_groups = g_malloc0((x->nr_pages >> GROUP_BITS) + 1);
    r->host = x->map + (r->base & ~PAGE_MASK);
    return true;
}

// The index of the first region that ends at or after addr.
static unsigned lower_bound(struct mem *mem, paddr_t addr)
{
    unsigned lo = 0, hi = mem->regions->len;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (last_byte(mem->regions->pdata[mid]) < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// The place for r in the order of addresses; FALSE if it can't have one.
static bool find_place(struct mem *mem, const struct mem_region *r, unsigned *index, GError **error)
{
    if (r->size - 1 > UINT64_MAX - r->base) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "'%s' at 0x%" PRIx64 " reaches beyond the end of the address space", r->name,
                    r->base);
        return false;
    }
    *index = lower_bound(mem, r->base);
    struct mem_region *next = mem_region_at(mem, *index);
    if (!next || last_byte(r) < next->base)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "'%s' (0x%" PRIx64 "-0x%" PRIx64 ") overlaps '%s' (0x%" PRIx64 "-0x%" PRIx64 ")",
                r->name, r->base, last_byte(r), next->name, next->base, last_byte(next));
    return false;
}

static struct mem_region *add(struct mem *mem, const struct mem_region *wanted, GError **error)
{
    unsigned index;
    assert(wanted->size > 0);
    if (!find_place(mem, wanted, &index, error))
        return NULL;
    struct region *x = g_new0(struct region, 1);
    x->pub = *wanted;
    x->pub.name = g_strdup(wanted->name);
    if (has_memory(wanted) && !allocate(x, error)) {
        region_free(x);
        return NULL;
    }
    g_ptr_array_insert(mem->regions, (gint)index, x);
    tell_remapped(mem);
    return &x->pub;
}

static void check_ops(const struct mem_ops *ops, uint64_t size)
{
    assert(ops && is_pow2(ops->min_size) && is_pow2(ops->max_size));
    assert(ops->min_size <= ops->max_size && ops->max_size <= 8);
    assert(size % ops->min_size == 0); // a widened access stays inside
}

struct mem_region *mem_add_ram(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                               GError **error)
{
    struct mem_region r = {.name = name, .kind = MEM_RAM, .base = base, .size = size};
    return add(mem, &r, error);
}

struct mem_region *mem_add_rom(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                               GError **error)
{
    struct mem_region r = {.name = name, .kind = MEM_ROM, .base = base, .size = size};
    return add(mem, &r, error);
}

struct mem_region *mem_add_romd(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                                const struct mem_ops *ops, void *dev, GError **error)
{
    struct mem_region r = {name, MEM_ROMD, true, base, size, NULL, NULL, NULL, ops, dev};
    check_ops(ops, size);
    return add(mem, &r, error);
}

struct mem_region *mem_add_io(struct mem *mem, const char *name, paddr_t base, uint64_t size,
                              const struct mem_ops *ops, void *dev, GError **error)
{
    struct mem_region r = {name, MEM_IO, false, base, size, NULL, NULL, NULL, ops, dev};
    check_ops(ops, size);
    return add(mem, &r, error);
}

void mem_set_direct(struct mem *mem, struct mem_region *r, bool direct)
{
    assert(r->kind == MEM_ROMD);
    if (r->direct == direct)
        return;
    r->direct = direct;
    tell_remapped(mem);
}

// --- Finding regions ---

static bool region_has(const struct mem_region *r, paddr_t addr)
{
    return addr - r->base < r->size;
}

static struct mem_region *find_slowly(struct mem *mem, paddr_t addr, struct mem_region **recent)
{
    struct mem_region *r = mem_region_at(mem, lower_bound(mem, addr));
    if (!r || !region_has(r, addr))
        return NULL;
    *recent = r;
    return r;
}

struct mem_region *mem_find(struct mem *mem, paddr_t addr)
{
    struct mem_region **recent = &mem->recent[bits_get(addr, PAGE_BITS, RECENT_BITS)];
    if (likely(*recent && region_has(*recent, addr)))
        return *recent;
    return find_slowly(mem, addr, recent);
}

struct mem_region *mem_find_host(struct mem *mem, const uint8_t *p)
{
    for (unsigned i = 0; i < mem->regions->len; i++) {
        struct mem_region *r = mem_region_at(mem, i);
        if (has_memory(r) && (uintptr_t)p - (uintptr_t)r->host < r->size)
            return r;
    }
    return NULL;
}

struct mem_region *mem_region_at(struct mem *mem, unsigned index)
{
    if (index >= mem->regions->len)
        return NULL;
    return &((struct region *)mem->regions->pdata[index])->pub;
}

// --- What is allowed ---

enum access {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_LOAD, // a loader's write, for which nothing is read-only
};

static bool is_direct(const struct mem_region *r)
{
    return r->kind != MEM_IO && (r->kind != MEM_ROMD || r->direct);
}

// Whether the access goes to the region's bytes.
static bool hits_memory(const struct mem_region *r, enum access access)
{
    switch (access) {
    case ACCESS_READ:
        return is_direct(r);
    case ACCESS_WRITE:
        return r->kind == MEM_RAM;
    case ACCESS_LOAD:
        return has_memory(r);
    }
    return false;
}

// Whether the device takes all the pieces that an access is cut into.
static bool ops_allow(const struct mem_ops *ops, uint64_t offset, unsigned size)
{
    return ops->widen || !((offset | size) & (ops->min_size - 1u));
}

// --- Accesses to devices ---

// Whether the device takes the access as it is; nearly always.
static bool is_exact(const struct mem_ops *ops, uint64_t offset, unsigned size)
{
    return size >= ops->min_size && size <= ops->max_size && !(offset & (size - 1));
}

// The largest aligned piece that starts an access of `size` bytes at offset.
static unsigned first_piece(const struct mem_ops *ops, uint64_t offset, unsigned size)
{
    unsigned piece = ops->max_size;
    while (piece > size || offset & (piece - 1))
        piece /= 2;
    return piece;
}

static uint64_t to_image(const struct mem_ops *ops, unsigned size, uint64_t value)
{
    return ops->big_endian ? __builtin_bswap64(value) >> (64 - 8 * size) : value;
}

static uint64_t low_bytes(uint64_t value, unsigned size)
{
    return bits_get(value, 0, 8 * size);
}

// One access of a size and alignment that the device declares.
static bool io_read_exactly(const struct mem_region *r, uint64_t offset, unsigned size,
                            uint64_t *value)
{
    uint64_t v = 0;
    if (!r->ops->read || !r->ops->read(r->dev, offset, size, &v))
        return false;
    *value = to_image(r->ops, size, low_bytes(v, size));
    return true;
}

static bool io_write_exactly(const struct mem_region *r, uint64_t offset, unsigned size,
                             uint64_t value)
{
    uint64_t v = to_image(r->ops, size, low_bytes(value, size));
    return r->ops->write && r->ops->write(r->dev, offset, size, v);
}

// One aligned piece, which may be narrower than the device's registers.
static bool io_read_piece(const struct mem_region *r, uint64_t offset, unsigned size,
                          uint64_t *value)
{
    unsigned min = r->ops->min_size;
    if (size >= min)
        return io_read_exactly(r, offset, size, value);
    if (!io_read_exactly(r, align_down(offset, min), min, value))
        return false;
    *value = bits_get(*value, 8 * (offset & (min - 1)), 8 * size);
    return true;
}

static bool io_write_piece(const struct mem_region *r, uint64_t offset, unsigned size,
                           uint64_t value)
{
    unsigned min = r->ops->min_size;
    if (size >= min)
        return io_write_exactly(r, offset, size, value);
    value = low_bytes(value, size) << (8 * (offset & (min - 1)));
    return io_write_exactly(r, align_down(offset, min), min, value);
}

static bool io_read_pieces(const struct mem_region *r, uint64_t offset, unsigned size,
                           uint64_t *value)
{
    *value = 0;
    if (!ops_allow(r->ops, offset, size))
        return false;
    for (unsigned done = 0, piece; done < size; done += piece) {
        uint64_t part = 0;
        piece = first_piece(r->ops, offset + done, size - done);
        if (!io_read_piece(r, offset + done, piece, &part))
            return false;
        *value |= part << (8 * done);
    }
    return true;
}

static bool io_write_pieces(const struct mem_region *r, uint64_t offset, unsigned size,
                            uint64_t value)
{
    if (!ops_allow(r->ops, offset, size))
        return false;
    for (unsigned done = 0, piece; done < size; done += piece) {
        piece = first_piece(r->ops, offset + done, size - done);
        if (!io_write_piece(r, offset + done, piece, value >> (8 * done)))
            return false;
    }
    return true;
}

static bool io_read(const struct mem_region *r, uint64_t offset, unsigned size, uint64_t *value)
{
    if (likely(is_exact(r->ops, offset, size)))
        return io_read_exactly(r, offset, size, value);
    return io_read_pieces(r, offset, size, value);
}

static bool io_write(const struct mem_region *r, uint64_t offset, unsigned size, uint64_t value)
{
    if (likely(is_exact(r->ops, offset, size)))
        return io_write_exactly(r, offset, size, value);
    return io_write_pieces(r, offset, size, value);
}

// --- One access of a bus master ---

static enum mem_status report(enum mem_status status, const char *verb, struct mem *mem,
                              paddr_t addr, unsigned size)
{
    if (!log_on(LOG_GUEST) || status == MEM_OK)
        return status;
    struct mem_region *r = mem_find(mem, addr);
    log_printf("mem: %s of %u bytes at 0x%" PRIx64 ": ", verb, size, addr);
    if (status == MEM_UNMAPPED)
        log_printf("nothing is there\n");
    else
        log_printf("refused by %s (offset 0x%" PRIx64 ")\n", r->name, addr - r->base);
    return status;
}

// Within one region.
static enum mem_status read_inside(struct mem_region *r, uint64_t offset, unsigned size,
                                   uint64_t *value)
{
    if (likely(is_direct(r))) {
        *value = load_le(r->host + offset, size);
        return MEM_OK;
    }
    return likely(io_read(r, offset, size, value)) ? MEM_OK : MEM_REJECTED;
}

static enum mem_status write_inside(struct mem *mem, struct mem_region *r, uint64_t offset,
                                    unsigned size, uint64_t value)
{
    if (r->kind == MEM_RAM) {
        mem_note_write(mem, r, offset, size);
        tell_written(mem, r->base + offset, size);
        store_le(r->host + offset, size, value);
        return MEM_OK;
    }
    if (r->kind == MEM_ROM)
        return MEM_REJECTED;
    return likely(io_write(r, offset, size, value)) ? MEM_OK : MEM_REJECTED;
}

// What will become of an access that goes by bytes since it leaves its region, as far as the map
// knows.
static enum mem_status check_bytes(struct mem *mem, paddr_t addr, unsigned size, enum access access)
{
    for (unsigned i = 0; i < size; i++) {
        struct mem_region *r = mem_find(mem, addr + i);
        if (!r || addr + i < addr)
            return MEM_UNMAPPED;
        if (hits_memory(r, access))
            continue;
        if (r->kind == MEM_ROM || !ops_allow(r->ops, addr + i - r->base, 1))
            return MEM_REJECTED;
    }
    return MEM_OK;
}

static enum mem_status read_bytewise(struct mem *mem, paddr_t addr, unsigned size, uint64_t *value)
{
    enum mem_status status = check_bytes(mem, addr, size, ACCESS_READ);
    *value = 0;
    for (unsigned i = 0; i < size && status == MEM_OK; i++) {
        struct mem_region *r = mem_find(mem, addr + i);
        uint64_t byte = 0;
        status = read_inside(r, addr + i - r->base, 1, &byte);
        *value |= byte << (8 * i);
    }
    return status;
}

static enum mem_status write_bytewise(struct mem *mem, paddr_t addr, unsigned size, uint64_t value)
{
    enum mem_status status = check_bytes(mem, addr, size, ACCESS_WRITE);
    for (unsigned i = 0; i < size && status == MEM_OK; i++) {
        struct mem_region *r = mem_find(mem, addr + i);
        status = write_inside(mem, r, addr + i - r->base, 1, low_bytes(value >> (8 * i), 1));
    }
    return status;
}

enum mem_status mem_read(struct mem *mem, paddr_t addr, unsigned size, uint64_t *value)
{
    struct mem_region *r = mem_find(mem, addr);
    enum mem_status status;
    assert(is_pow2(size) && size <= 8);
    if (likely(r && size <= r->size - (addr - r->base)))
        status = read_inside(r, addr - r->base, size, value);
    else
        status = read_bytewise(mem, addr, size, value);
    if (unlikely(status != MEM_OK))
        return report(status, "read", mem, addr, size);
    return MEM_OK;
}

enum mem_status mem_write(struct mem *mem, paddr_t addr, unsigned size, uint64_t value)
{
    struct mem_region *r = mem_find(mem, addr);
    enum mem_status status;
    assert(is_pow2(size) && size <= 8);
    if (likely(r && size <= r->size - (addr - r->base)))
        status = write_inside(mem, r, addr - r->base, size, value);
    else
        status = write_bytewise(mem, addr, size, value);
    if (unlikely(status != MEM_OK))
        return report(status, "write", mem, addr, size);
    return MEM_OK;
}

// --- Block transfers ---

// The stretch of [addr, addr+len) that lies in the region of addr.
static uint64_t stretch(const struct mem_region *r, paddr_t addr, uint64_t len)
{
    return MIN(len, r->size - (addr - r->base));
}

static enum mem_status check_range(struct mem *mem, paddr_t addr, uint64_t len, enum access access)
{
    if (len && len - 1 > UINT64_MAX - addr)
        return MEM_UNMAPPED;
    for (uint64_t n; len; addr += n, len -= n) {
        struct mem_region *r = mem_find(mem, addr);
        if (!r)
            return MEM_UNMAPPED;
        if (!hits_memory(r, access))
            return MEM_REJECTED;
        n = stretch(r, addr, len);
    }
    return MEM_OK;
}

enum mem_status mem_read_bytes(struct mem *mem, paddr_t addr, void *buf, uint64_t len)
{
    enum mem_status status = check_range(mem, addr, len, ACCESS_READ);
    if (status != MEM_OK)
        return status;
    uint8_t *to = buf;
    for (uint64_t n; len; addr += n, to += n, len -= n) {
        struct mem_region *r = mem_find(mem, addr);
        n = stretch(r, addr, len);
        memcpy(to, r->host + (addr - r->base), n);
    }
    return MEM_OK;
}

static enum mem_status store_bytes(struct mem *mem, paddr_t addr, const void *buf, uint64_t len,
                                   enum access access)
{
    enum mem_status status = check_range(mem, addr, len, access);
    if (status != MEM_OK)
        return status;
    const uint8_t *from = buf;
    tell_written(mem, addr, len);
    for (uint64_t n; len; addr += n, from += n, len -= n) {
        struct mem_region *r = mem_find(mem, addr);
        n = stretch(r, addr, len);
        mem_note_write(mem, r, addr - r->base, n);
        memcpy(r->host + (addr - r->base), from, n);
    }
    return MEM_OK;
}

enum mem_status mem_write_bytes(struct mem *mem, paddr_t addr, const void *buf, uint64_t len)
{
    return store_bytes(mem, addr, buf, len, ACCESS_WRITE);
}

enum mem_status mem_load(struct mem *mem, paddr_t addr, const void *buf, uint64_t len)
{
    return store_bytes(mem, addr, buf, len, ACCESS_LOAD);
}

// The size of the access that a debugger's request for registers starts with.
static unsigned debug_piece(paddr_t addr, uint64_t len)
{
    unsigned size = 8;
    while (size > len || addr & (size - 1))
        size /= 2;
    return size;
}

// How much of [addr, addr+len) is memory without a gap or a device in between.
static uint64_t debug_stretch(struct mem *mem, paddr_t addr, uint64_t len, enum access access)
{
    struct mem_region *r = mem_find(mem, addr);
    return r && hits_memory(r, access) ? stretch(r, addr, len) : 0;
}

uint64_t mem_peek(struct mem *mem, paddr_t addr, void *buf, uint64_t len)
{
    uint8_t *to = buf;
    uint64_t done = 0;
    for (uint64_t n; done < len; done += n) {
        n = debug_stretch(mem, addr + done, len - done, ACCESS_READ);
        if (n) {
            mem_read_bytes(mem, addr + done, to + done, n);
            continue;
        }
        uint64_t value;
        n = debug_piece(addr + done, len - done);
        if (mem_read(mem, addr + done, (unsigned)n, &value) != MEM_OK)
            break;
        store_le(to + done, (unsigned)n, value);
    }
    return done;
}

uint64_t mem_poke(struct mem *mem, paddr_t addr, const void *buf, uint64_t len)
{
    const uint8_t *from = buf;
    uint64_t done = 0;
    for (uint64_t n; done < len; done += n) {
        n = debug_stretch(mem, addr + done, len - done, ACCESS_LOAD);
        if (n) {
            mem_load(mem, addr + done, from + done, n);
            continue;
        }
        n = debug_piece(addr + done, len - done);
        if (mem_write(mem, addr + done, (unsigned)n, load_le(from + done, (unsigned)n)) != MEM_OK)
            break;
    }
    return done;
}

uint8_t *mem_ptr(struct mem *mem, paddr_t addr, uint64_t len, bool for_write)
{
    struct mem_region *r = mem_find(mem, addr);
    if (!r || !hits_memory(r, for_write ? ACCESS_WRITE : ACCESS_READ))
        return NULL;
    if (len > r->size - (addr - r->base))
        return NULL;
    if (for_write && len) {
        mem_note_write(mem, r, addr - r->base, len);
        tell_written(mem, addr, len);
    }
    return r->host + (addr - r->base);
}

// --- Written pages, pages with code ---

static void note_page(struct mem *mem, struct mem_region *r, uint64_t page, uint64_t first,
                      uint64_t last)
{
    uint8_t *flags = &r->page_flags[page];
    if (!(*flags & PAGE_DIRTY))
        region_of(r)->dirty_groups[page >> GROUP_BITS] = 1;
    *flags |= PAGE_DIRTY | PAGE_SEEN;
    if (*flags & PAGE_CODE)
        tell_code_written(mem, r->base + first, last - first + 1);
}

void mem_note_write(struct mem *mem, struct mem_region *r, uint64_t offset, uint64_t len)
{
    assert(has_memory(r) && len && len <= r->size && offset <= r->size - len);
    uint64_t last = offset + len - 1;
    uint64_t page = mem_page_index(r, offset), last_page = mem_page_index(r, last);
    for (; page < last_page; page++) {
        uint64_t end = mem_page_offset(r, page + 1) - 1;
        note_page(mem, r, page, offset, end);
        offset = end + 1;
    }
    note_page(mem, r, page, offset, last);
}

void mem_set_code(struct mem *mem, struct mem_region *r, uint64_t offset, bool code)
{
    assert(has_memory(r) && offset < r->size);
    uint64_t page = mem_page_index(r, offset);
    uint8_t *flags = &r->page_flags[page];
    if (!code) {
        *flags &= (uint8_t)~PAGE_CODE;
    } else if (!(*flags & PAGE_CODE)) {
        *flags |= PAGE_CODE;
        tell_protect(mem, mem_page_at(r, page));
    }
}

// --- Hash ---

uint64_t mem_page_hash(const struct mem *mem, const uint8_t *page)
{
    return hash_bytes(page, PAGE_SIZE, 0) ^ mem->zero_hash;
}

// What a page adds to the sum of its region: nothing if it is zeros.
static uint64_t contribution(uint64_t page, uint64_t hash)
{
    uint64_t pair[2] = {page, hash};
    return hash ? hash_bytes(pair, sizeof(pair), 0) : 0;
}

// The pages that were hashed in this call and are to be protected; beyond PROTECT_EACH they are
// only counted.
struct hashed {
    uint64_t count;
    const uint8_t *pages[PROTECT_EACH];
};

static void rehash_page(struct mem *mem, struct region *x, uint64_t page, struct hashed *hashed)
{
    struct mem_region *r = &x->pub;
    const uint8_t *bytes = mem_page_at(r, page);
    uint64_t hash = mem_page_hash(mem, bytes);
    x->sum += contribution(page, hash) - contribution(page, r->page_hash[page]);
    r->page_hash[page] = hash;
    r->page_flags[page] &= (uint8_t)~PAGE_DIRTY;
    if (hashed->count < PROTECT_EACH)
        hashed->pages[hashed->count] = bytes;
    hashed->count++;
}

static void rehash_group(struct mem *mem, struct region *x, uint64_t group, struct hashed *hashed)
{
    uint64_t page = group << GROUP_BITS;
    uint64_t end = MIN(page + (UINT64_C(1) << GROUP_BITS), x->nr_pages);
    for (; page < end; page++) {
        if (x->pub.page_flags[page] & PAGE_DIRTY)
            rehash_page(mem, x, page, hashed);
    }
    x->dirty_groups[group] = 0;
}

static uint64_t hash_region(struct mem *mem, struct region *x, uint64_t hash, struct hashed *hashed)
{
    for (uint64_t group = 0; group << GROUP_BITS < x->nr_pages; group++) {
        if (x->dirty_groups[group])
            rehash_group(mem, x, group, hashed);
    }
    uint64_t summary[3] = {x->pub.base, x->pub.size, x->sum};
    return hash_bytes(summary, sizeof(summary), hash);
}

static void protect_hashed(struct mem *mem, const struct hashed *hashed)
{
    if (hashed->count > PROTECT_EACH) {
        tell_protect(mem, NULL);
        return;
    }
    for (unsigned i = 0; i < hashed->count; i++)
        tell_protect(mem, hashed->pages[i]);
}

uint64_t mem_region_hash(struct mem *mem, const struct mem_region *r)
{
    struct hashed hashed = {0};
    uint64_t hash = hash_region(mem, container_of(r, struct region, pub), 0, &hashed);
    protect_hashed(mem, &hashed);
    return hash;
}

uint64_t mem_hash(struct mem *mem, uint64_t seed)
{
    uint64_t hash = seed;
    struct hashed hashed = {0};
    for (unsigned i = 0; i < mem->regions->len; i++) {
        struct mem_region *r = mem_region_at(mem, i);
        if (has_memory(r))
            hash = hash_region(mem, region_of(r), hash, &hashed);
    }
    protect_hashed(mem, &hashed);
    return hash;
}

// --- Contents as a whole ---

uint8_t *mem_stage(const struct mem_region *r, GError **error)
{
    uint8_t *staged = map_zeros(r, 0);
    if (!staged)
        no_memory(r, error);
    return staged;
}

uint8_t *mem_stage_file(const struct mem_region *r, int fd, uint64_t offset, GError **error)
{
    void *staged = mmap(NULL, mem_nr_pages(r) << PAGE_BITS, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_NORESERVE, fd, (off_t)offset);
    if (staged != MAP_FAILED)
        return staged;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                "memory '%s' cannot be mapped from the file: %s", r->name, g_strerror(errno));
    return NULL;
}

void mem_unstage(const struct mem_region *r, uint8_t *staged)
{
    if (staged)
        munmap(staged, mem_nr_pages(r) << PAGE_BITS);
}

void mem_commit(struct mem *mem, struct mem_region *r, uint8_t *staged, const uint64_t *hashes)
{
    struct region *x = region_of(r);
    size_t bytes = x->nr_pages << PAGE_BITS;
    void *place = mremap(staged, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, x->map);
    if (place != x->map) // the host has no more mappings: nothing that could be undone
        g_error("memory '%s' cannot be moved: %s", r->name, g_strerror(errno));
    memcpy(r->page_hash, hashes, x->nr_pages * sizeof(uint64_t));
    memset(r->page_flags, 0, x->nr_pages);
    memset(x->dirty_groups, 0, (x->nr_pages >> GROUP_BITS) + 1);
    x->sum = 0;
    for (uint64_t i = 0; i < x->nr_pages; i++)
        x->sum += contribution(i, hashes[i]);
    tell_remapped(mem);
}
