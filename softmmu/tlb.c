// SPDX-License-Identifier: MIT
// The software TLB's tables. See tlb.h for the form of an entry.
#include "softmmu/tlb.h"

static unsigned entries_of(const struct tlb *tlb, unsigned regime)
{
    return (tlb->mask[regime] >> TLB_ENTRY_SHIFT) + 1;
}

static void set_bits(struct tlb *tlb, unsigned regime, unsigned bits)
{
    tlb->mask[regime] = ((1u << bits) - 1) << TLB_ENTRY_SHIFT;
}

static void clear_entry(struct tlb_entry *e, unsigned i)
{
    uint64_t tag = i ? 0 : TLB_INVALID;
    *e = (struct tlb_entry){.tag = {tag, tag, tag}};
}

static void empty(struct tlb *tlb, unsigned regime)
{
    memset(tlb->e[regime], 0, entries_of(tlb, regime) * sizeof(struct tlb_entry));
    clear_entry(&tlb->e[regime][0], 0);
    tlb->fills[regime] = 0;
}

void tlb_init(struct tlb *tlb)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++) {
        set_bits(tlb, r, TLB_BITS_MIN);
        clear_entry(&tlb->e[r][0], 0);
    }
}

void tlb_flush_regime(struct tlb *tlb, unsigned regime)
{
    unsigned fills = tlb->fills[regime], entries = entries_of(tlb, regime);
    if (!fills)
        return;
    empty(tlb, regime);
    if (fills < entries / 8 && entries > 1u << TLB_BITS_MIN)
        set_bits(tlb, regime, (unsigned)__builtin_ctz(entries) - 1);
}

void tlb_flush(struct tlb *tlb)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++)
        tlb_flush_regime(tlb, r);
}

void tlb_flush_page(struct tlb *tlb, vaddr_t addr)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++) {
        unsigned i = tlb_index(tlb, r, addr);
        clear_entry(&tlb->e[r][i], i);
    }
}

// Makes room where entries push out one another.
static void grow(struct tlb *tlb, unsigned regime)
{
    unsigned bits = (unsigned)__builtin_ctz(entries_of(tlb, regime));
    if (bits == TLB_BITS_MAX || tlb->fills[regime] >> bits < 2)
        return;
    empty(tlb, regime);
    set_bits(tlb, regime, MIN(bits + 2, TLB_BITS_MAX));
}

// Whether the tag is that of an entry i that lets the inline probe through.
static bool is_fast(const struct tlb *tlb, unsigned regime, uint64_t tag, unsigned i)
{
    return tlb_index(tlb, regime, tag) == i;
}

void tlb_protect(struct tlb *tlb, const uint8_t *host_page)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++) {
        if (!tlb->fills[r])
            continue;
        for (unsigned i = 0; i < entries_of(tlb, r); i++) {
            struct tlb_entry *e = &tlb->e[r][i];
            bool hit = e->host && (!host_page || e->host == (uintptr_t)host_page);
            if (hit && is_fast(tlb, r, e->tag[TLB_WRITE], i))
                e->tag[TLB_WRITE] ^= TLB_SLOW;
        }
    }
}

static bool stores_are_free(const struct mem_region *r, uint64_t offset)
{
    uint8_t flags = r->page_flags[mem_page_index(r, offset)];
    return r->kind == MEM_RAM && (flags & (PAGE_DIRTY | PAGE_SEEN | PAGE_CODE)) == (PAGE_DIRTY | PAGE_SEEN);
}

void tlb_make(struct tlb_entry *e, vaddr_t addr, const struct tlb_fill *fill, struct mem *mem)
{
    uint64_t page = addr & PAGE_MASK;
    struct mem_region *r = mem_find(mem, fill->paddr);
    bool memory = r && r->kind != MEM_IO && (r->kind != MEM_ROMD || r->direct) &&
                  fill->paddr >= r->base && fill->paddr - r->base + PAGE_SIZE <= r->size;
    uint64_t special = memory ? 0 : TLB_IO;
    for (unsigned a = 0; a < TLB_NR_ACCESS; a++)
        e->tag[a] = page ^ (fill->prot[a] ? special : TLB_INVALID);
    if (!memory) {
        e->host = fill->paddr;
        return;
    }
    uint64_t offset = fill->paddr - r->base;
    e->host = (uintptr_t)r->host + offset;
    if (fill->prot[TLB_WRITE] && !stores_are_free(r, offset))
        e->tag[TLB_WRITE] ^= TLB_SLOW;
}

struct tlb_entry *tlb_enter(struct tlb *tlb, unsigned regime, vaddr_t addr,
                            const struct tlb_fill *fill, struct mem *mem)
{
    grow(tlb, regime);
    struct tlb_entry *e = tlb_entry_of(tlb, regime, addr);
    tlb->fills[regime]++;
    tlb_make(e, addr, fill, mem);
    return e;
}

void tlb_slow_entry(struct tlb_entry *e, vaddr_t page, unsigned access)
{
    for (unsigned a = 0; a < TLB_NR_ACCESS; a++)
        if (access >> a & 1 && e->tag[a] == page)
            e->tag[a] ^= TLB_SLOW;
}

void tlb_slow_page(struct tlb *tlb, vaddr_t page, unsigned access)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++)
        if (tlb->fills[r])
            tlb_slow_entry(tlb_entry_of(tlb, r, page), page, access);
}

void tlb_unslow(struct tlb_entry *e, struct mem_region *r)
{
    if (stores_are_free(r, e->host - (uintptr_t)r->host))
        e->tag[TLB_WRITE] ^= TLB_SLOW;
}
