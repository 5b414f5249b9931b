// SPDX-License-Identifier: MIT
// The software TLB's tables. See tlb.h for the form of an entry.
#include "softmmu/tlb.h"

static void flush_regime(struct tlb_entry *e)
{
    for (uint64_t i = 0; i < TLB_SIZE; i++) {
        uint64_t tag = i << PAGE_BITS ^ TLB_INVALID;
        e[i] = (struct tlb_entry){.tag = {tag, tag, tag}};
    }
}

void tlb_init(struct tlb *tlb)
{
    memset(tlb->used, 1, sizeof(tlb->used));
    tlb_flush(tlb);
}

void tlb_flush(struct tlb *tlb)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++) {
        if (tlb->used[r])
            flush_regime(tlb->e[r]);
        tlb->used[r] = 0;
    }
}

void tlb_flush_page(struct tlb *tlb, vaddr_t addr)
{
    unsigned i = tlb_index(addr);
    uint64_t tag = (uint64_t)i << PAGE_BITS ^ TLB_INVALID;
    for (unsigned r = 0; r < TLB_REGIMES; r++)
        if (tlb->used[r])
            tlb->e[r][i] = (struct tlb_entry){.tag = {tag, tag, tag}};
}

// Whether the tag is that of an entry i that lets the inline probe through.
static bool is_fast(uint64_t tag, unsigned i)
{
    return (tag >> PAGE_BITS & (TLB_SIZE - 1)) == i;
}

void tlb_protect(struct tlb *tlb, const uint8_t *host_page)
{
    for (unsigned r = 0; r < TLB_REGIMES; r++) {
        if (!tlb->used[r])
            continue;
        for (unsigned i = 0; i < TLB_SIZE; i++) {
            struct tlb_entry *e = &tlb->e[r][i];
            bool hit = !host_page || e->host == (uintptr_t)host_page;
            if (hit && is_fast(e->tag[TLB_WRITE], i))
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
    struct tlb_entry *e = tlb_entry_of(tlb, regime, addr);
    tlb->used[regime] = 1;
    tlb_make(e, addr, fill, mem);
    return e;
}

void tlb_unslow(struct tlb_entry *e, struct mem_region *r)
{
    if (stores_are_free(r, e->host - (uintptr_t)r->host))
        e->tag[TLB_WRITE] ^= TLB_SLOW;
}
