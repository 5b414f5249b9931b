// SPDX-License-Identifier: MIT
// The software TLB: from a virtual page to host memory, in the form that translated code probes inline.
//
// One direct-mapped table per regime (a set of rules under which data is accessed: privilege, and what
// changes permissions). A probe is `(addr ^ tag) <= PAGE_SIZE - size`: that one compare covers hit, page
// crossing and permission, and leaves the offset in the page. A tag that must not match differs from every
// address that could probe its entry in one bit of the index; so no address whatever gets through by it.
// Zeros are such a tag for all entries but that of page 0.
//
// Tables begin small, so that small programs stay small and flushing is cheap, and grow where too many pages
// come to be looked up between two flushes.
#ifndef SOFTMMU_TLB_H
#define SOFTMMU_TLB_H

#include "base/types.h"
#include "base/bits.h"
#include "base/limits.h"
#include "softmmu/mem.h"

#define TLB_REGIMES 8
#define TLB_BITS_MIN LIMIT_TLB_BITS_MIN
#define TLB_BITS_MAX LIMIT_TLB_BITS
#define TLB_SIZE_MAX (1u << TLB_BITS_MAX) // entries of one regime

// XORed into the tag of an entry, they make it miss the inline probe and say why.
#define TLB_SLOW BIT(12)    // valid; a store needs bookkeeping (clean or code page, ROM), or a debugger watches
#define TLB_IO BIT(13)      // valid; no host memory behind it: `host` is the physical page address
#define TLB_INVALID BIT(14) // nothing

enum tlb_access { TLB_READ, TLB_WRITE, TLB_EXEC, TLB_NR_ACCESS };

struct tlb_entry {
    uint64_t tag[TLB_NR_ACCESS]; // virtual page, XOR the bits above
    uintptr_t host;              // of the page's first byte; with TLB_IO its physical address; 0: no entry
};

_Static_assert(sizeof(struct tlb_entry) == 32, "translated code scales by 32");

#define TLB_ENTRY_SHIFT 5

struct tlb {
    uint32_t mask[TLB_REGIMES];  // what translated code ANDs with: (entries - 1) << TLB_ENTRY_SHIFT
    uint32_t fills[TLB_REGIMES]; // entered since the table was empty
    struct tlb_entry e[TLB_REGIMES][TLB_SIZE_MAX];
};

// What a page-table walk found, for one page of PAGE_SIZE.
struct tlb_fill {
    paddr_t paddr;      // of the page
    bool prot[TLB_NR_ACCESS];
    bool uncached;      // permissions vary within the page: good for this one access only
    bool probe;         // asked for: only look; where the walk would have to write to a table it fails
};

static inline unsigned tlb_index(const struct tlb *tlb, unsigned regime, vaddr_t addr)
{
    return (addr >> PAGE_BITS) & tlb->mask[regime] >> TLB_ENTRY_SHIFT;
}

static inline struct tlb_entry *tlb_entry_of(struct tlb *tlb, unsigned regime, vaddr_t addr)
{
    return &tlb->e[regime][tlb_index(tlb, regime, addr)];
}

// Of a struct that is all zeros.
void tlb_init(struct tlb *tlb);
// Forgets everything, or one regime; cost is that of the regimes in use.
void tlb_flush(struct tlb *tlb);
void tlb_flush_regime(struct tlb *tlb, unsigned regime);
// Forgets one virtual page in all regimes.
void tlb_flush_page(struct tlb *tlb, vaddr_t addr);
// Stores to this host page (NULL: to all pages) must be seen again.
void tlb_protect(struct tlb *tlb, const uint8_t *host_page);
// Fills *e for the page of addr, without entering it (for translations good for one access).
void tlb_make(struct tlb_entry *e, vaddr_t addr, const struct tlb_fill *fill, struct mem *mem);
// Enters a translation.
struct tlb_entry *tlb_enter(struct tlb *tlb, unsigned regime, vaddr_t addr,
                            const struct tlb_fill *fill, struct mem *mem);
// Makes accesses (BIT(enum tlb_access)) to one virtual page slow, in all regimes or in one entry. What they find in
// the entry stays.
void tlb_slow_page(struct tlb *tlb, vaddr_t page, unsigned access);
void tlb_slow_entry(struct tlb_entry *e, vaddr_t page, unsigned access);
// After a store's bookkeeping: lets further stores take the fast path if the page's flags allow it.
void tlb_unslow(struct tlb_entry *e, struct mem_region *r);

#endif
