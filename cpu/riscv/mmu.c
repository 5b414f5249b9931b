// SPDX-License-Identifier: MIT
// Address translation: Bare, Sv32, Sv39, Sv48 and Sv57, with Svade, Svadu, Svnapot and Svpbmt.
// Privileged manual, "Virtual Address Translation Process" (the order of checks is its order of
// steps).
//
// PTEs are read from memory alone: a page table in a device's registers is an access fault. Invalid
// PTEs are never cached. The memory type of Svpbmt changes nothing here.
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "cpu/riscv/riscv.h"

#define PTE_V         BIT(0)
#define PTE_R         BIT(1)
#define PTE_W         BIT(2)
#define PTE_X         BIT(3)
#define PTE_U         BIT(4)
#define PTE_A         BIT(6)
#define PTE_D         BIT(7)
#define PTE_PPN_SHIFT 10
#define PTE_PBMT      MASK(62, 61)
#define PTE_N         BIT(63)
#define PTE_RESERVED  MASK(60, 54)
#define NAPOT_BITS    4 // the one size there is, 64 KiB

// What the regimes mean.
static const struct regime {
    uint8_t priv; // enum riscv_priv
    bool sum, mxr;
} regimes[] = {
    [REGIME_M] = {PRIV_M, false, false},    [REGIME_S] = {PRIV_S, false, false},
    [REGIME_S_SUM] = {PRIV_S, true, false}, [REGIME_U] = {PRIV_U, false, false},
    [REGIME_S_MXR] = {PRIV_S, false, true}, [REGIME_S_SUM_MXR] = {PRIV_S, true, true},
    [REGIME_U_MXR] = {PRIV_U, false, true},
};

// The paging schemes, by satp.MODE; Sv32's is 1.
static const struct scheme {
    uint8_t levels, vpn_bits, pte_size, va_bits;
} schemes[] = {
    [1] = {2, 10, 4, 32},
    [8] = {3, 9, 8, 39},
    [9] = {4, 9, 8, 48},
    [10] = {5, 9, 8, 57},
};

// One walk.
struct walk {
    struct riscv_cpu *rv;
    vaddr_t va;
    enum tlb_access access;
    const struct regime *regime;
    const struct scheme *scheme;
    bool probe;
    unsigned level; // of the PTE
    paddr_t pte_addr;
    uint64_t pte;
    unsigned allowed; // BIT(enum tlb_access), by the PTE
    paddr_t pa;
};

// ---- Faults ----

static bool page_fault(struct cpu *cpu, vaddr_t addr, enum tlb_access access)
{
    static const uint8_t causes[] = {EXC_LOAD_PAGE, EXC_STORE_PAGE, EXC_FETCH_PAGE};
    cpu_raise(cpu, causes[access], addr);
    return false;
}

static bool access_fault(struct cpu *cpu, vaddr_t addr, enum tlb_access access)
{
    static const uint8_t causes[] = {EXC_LOAD_ACCESS, EXC_STORE_ACCESS, EXC_FETCH_ACCESS};
    cpu_raise(cpu, causes[access], addr);
    return false;
}

void riscv_fault_bus(struct cpu *cpu, vaddr_t addr, enum tlb_access access)
{
    access_fault(cpu, addr, access);
}

void riscv_fault_align(struct cpu *cpu, vaddr_t addr, enum tlb_access access)
{
    static const uint8_t causes[] = {EXC_LOAD_MISALIGNED, EXC_STORE_MISALIGNED,
                                     EXC_FETCH_MISALIGNED};
    cpu_raise(cpu, causes[access], addr);
}

// Each returns false, for the caller to pass on.
static bool walk_page_fault(const struct walk *w)
{
    return page_fault(&w->rv->cpu, w->va, w->access);
}

static bool walk_access_fault(const struct walk *w)
{
    return access_fault(&w->rv->cpu, w->va, w->access);
}

// ---- The walk ----

// Where the PTE is in host memory; NULL where PMP forbids or no memory is.
static uint8_t *pte_ptr(const struct walk *w, enum tlb_access access)
{
    bool partial;
    unsigned size = w->scheme->pte_size;
    if (!(riscv_pmp_allowed(w->rv, w->pte_addr, size, PRIV_S, &partial) & BIT(access)))
        return NULL;
    return mem_ptr(w->rv->cpu.mem, w->pte_addr, size, access == TLB_WRITE);
}

static bool is_leaf(uint64_t pte)
{
    return pte & (PTE_R | PTE_X);
}

// Bits and encodings that are reserved, as far as they are the same on all levels.
static bool is_reserved(const struct walk *w, uint64_t pte)
{
    const struct riscv_cpu *rv = w->rv;
    if ((pte & (PTE_R | PTE_W)) == PTE_W)
        return true;
    if (!is_leaf(pte) && pte & (PTE_U | PTE_A | PTE_D | PTE_PBMT | PTE_N))
        return true;
    bool pbmt = riscv_has(rv, RV_EXT_SVPBMT) && rv->s.menvcfg & MENVCFG_PBMTE;
    if (pte & PTE_PBMT && (!pbmt || (pte & PTE_PBMT) == PTE_PBMT))
        return true;
    return pte & PTE_RESERVED || (pte & PTE_N && !riscv_has(rv, RV_EXT_SVNAPOT));
}

static uint64_t ppn_of(uint64_t pte)
{
    return (pte & MASK(53, PTE_PPN_SHIFT)) >> PTE_PPN_SHIFT;
}

// Pages next to each other share the last level's table.
static uint64_t stretch_of(const struct walk *w)
{
    return w->va >> (PAGE_BITS + w->scheme->vpn_bits);
}

static struct riscv_walk_entry *cached(const struct walk *w)
{
    return &w->rv->walk_cache[stretch_of(w) % RISCV_WALK_CACHE];
}

static void note_table(const struct walk *w, paddr_t table)
{
    bool partial;
    if (!(riscv_pmp_allowed(w->rv, table, 1, PRIV_S, &partial) & BIT(TLB_READ)) || partial)
        return;
    const uint8_t *host = mem_ptr(w->rv->cpu.mem, table, PAGE_SIZE, false);
    if (host)
        *cached(w) = (struct riscv_walk_entry){stretch_of(w), w->rv->walk_epoch, host, table};
}

// Reads the PTE of a level. *more: it leads to the next level.
static bool read_pte(struct walk *w, const uint8_t *p, bool *more)
{
    if (!p)
        return walk_access_fault(w);
    w->pte = load_le(p, w->scheme->pte_size);
    if (!(w->pte & PTE_V) || is_reserved(w, w->pte))
        return walk_page_fault(w);
    *more = !is_leaf(w->pte);
    return true;
}

static uint64_t pte_offset(const struct walk *w)
{
    const struct scheme *s = w->scheme;
    return bits_get(w->va, PAGE_BITS + w->level * s->vpn_bits, s->vpn_bits) * s->pte_size;
}

// Descends to the leaf, from where the last walk of the neighbourhood found the last table, or from satp.
static bool find_leaf(struct walk *w)
{
    const struct scheme *s = w->scheme;
    const struct riscv_walk_entry *c = cached(w);
    uint64_t satp = w->rv->s.satp;
    bool more;
    w->level = 0;
    if (c->epoch == w->rv->walk_epoch && c->stretch == stretch_of(w)) {
        w->pte_addr = c->table + pte_offset(w);
        return read_pte(w, c->host + pte_offset(w), &more) && (!more || walk_page_fault(w));
    }
    paddr_t table = (s->pte_size == 4 ? bits_get(satp, 0, 22) : bits_get(satp, 0, 44)) << PAGE_BITS;
    for (w->level = s->levels; w->level-- > 0;) {
        w->pte_addr = table + pte_offset(w);
        if (!read_pte(w, pte_ptr(w, TLB_READ), &more))
            return false;
        if (!more)
            return true;
        table = ppn_of(w->pte) << PAGE_BITS;
        if (w->level == 1)
            note_table(w, table);
    }
    return walk_page_fault(w);
}

// The physical address. Fails for misaligned superpages and reserved sizes.
static bool leaf_address(struct walk *w)
{
    unsigned low_bits = w->level * w->scheme->vpn_bits;
    uint64_t ppn = ppn_of(w->pte), low = BIT(low_bits) - 1;
    if (ppn & low)
        return false;
    if (w->pte & PTE_N) {
        if (w->level || bits_get(ppn, 0, NAPOT_BITS) != BIT(NAPOT_BITS - 1))
            return false;
        low_bits = NAPOT_BITS;
        low = BIT(low_bits) - 1;
    }
    uint64_t vpn = w->va >> PAGE_BITS;
    w->pa = ((ppn & ~low) | (vpn & low)) << PAGE_BITS | (w->va & ~PAGE_MASK);
    return true;
}

static unsigned leaf_permissions(const struct walk *w)
{
    const struct regime *r = w->regime;
    bool user = w->pte & PTE_U;
    unsigned allowed = 0;
    if (w->pte & PTE_R || (r->mxr && w->pte & PTE_X))
        allowed |= BIT(TLB_READ);
    if (w->pte & PTE_W)
        allowed |= BIT(TLB_WRITE);
    if (w->pte & PTE_X)
        allowed |= BIT(TLB_EXEC);
    if (r->priv == PRIV_U)
        return user ? allowed : 0;
    if (user)
        allowed &= r->sum ? ~BIT(TLB_EXEC) : 0;
    return allowed;
}

// Sets A, and D for a store, where that has to be done and may be.
static bool mark_used(struct walk *w)
{
    uint64_t marked = w->pte | PTE_A | (w->access == TLB_WRITE ? PTE_D : 0);
    if (marked == w->pte)
        return true;
    if (w->probe || !(w->rv->s.menvcfg & MENVCFG_ADUE))
        return walk_page_fault(w);
    uint8_t *p = pte_ptr(w, TLB_WRITE);
    if (!p)
        return walk_access_fault(w);
    store_le(p, w->scheme->pte_size, marked);
    w->pte = marked;
    return true;
}

static bool is_canonical(const struct walk *w)
{
    unsigned bits = w->scheme->va_bits;
    if (bits == 32)
        return true;
    return (uint64_t)bits_sext(w->va, bits) == w->va;
}

// ---- Large pages and flushing ----

static unsigned half_of(const struct riscv_cpu *rv, vaddr_t va)
{
    return va >> (rv->xlen - 1) & 1;
}

// The TLB holds pieces of 4 KiB; fencing one address of a large page must forget all of them.
static void note_large(const struct walk *w)
{
    unsigned bits = w->pte & PTE_N ? NAPOT_BITS : w->level * w->scheme->vpn_bits;
    uint64_t offset = BIT(PAGE_BITS + bits) - 1;
    struct riscv_range *big = &w->rv->big[half_of(w->rv, w->va)];
    if (!bits)
        return;
    big->first = MIN(big->first, w->va & ~offset);
    big->last = MAX(big->last, w->va | offset);
}

// What walks and checks found, besides the TLB.
static void forget_walks(struct riscv_cpu *rv)
{
    if (!++rv->walk_epoch) {
        memset(rv->walk_cache, 0, sizeof(rv->walk_cache));
        rv->walk_epoch = 1;
    }
}

void riscv_flush_tlb(struct riscv_cpu *rv)
{
    static const struct riscv_pmp_hit none = {.range = {.first = 1, .last = 0}};
    forget_walks(rv);
    rv->pmp_hit[0] = rv->pmp_hit[1] = none;
    if (log_on(LOG_MMU))
        log_printf("riscv: hart %" PRIu64 ": TLB flushed\n", rv->hartid);
    for (unsigned i = 0; i < ARRAY_LEN(rv->big); i++)
        rv->big[i] = (struct riscv_range){.first = UINT64_MAX, .last = 0};
    cpu_flush_tlb(&rv->cpu);
}

void riscv_flush_tlb_page(struct riscv_cpu *rv, vaddr_t addr)
{
    const struct riscv_range *big = &rv->big[half_of(rv, addr)];
    forget_walks(rv);
    if (addr >= big->first && addr <= big->last)
        riscv_flush_tlb(rv);
    else
        cpu_flush_tlb_page(&rv->cpu, addr);
}

// ---- The guest's walk ----

static bool translate(struct walk *w)
{
    if (!is_canonical(w))
        return walk_page_fault(w);
    if (!find_leaf(w))
        return false;
    w->allowed = leaf_permissions(w);
    if (!leaf_address(w) || !(w->allowed & BIT(w->access)))
        return walk_page_fault(w);
    if (!mark_used(w))
        return false;
    if (!(w->pte & PTE_D))
        w->allowed &= ~BIT(TLB_WRITE); // the first store comes here again
    note_large(w);
    return true;
}

static unsigned satp_mode(const struct riscv_cpu *rv)
{
    return rv->xlen == 32 ? bits_get(rv->s.satp, 31, 1) : bits_get(rv->s.satp, 60, 4);
}

static void log_walk(const struct walk *w, const struct tlb_fill *fill)
{
    log_printf("riscv: hart %" PRIu64 ": 0x%" PRIx64 " -> 0x%" PRIx64 " %c%c%c%s\n", w->rv->hartid,
               w->va, w->pa, fill->prot[TLB_READ] ? 'r' : '-', fill->prot[TLB_WRITE] ? 'w' : '-',
               fill->prot[TLB_EXEC] ? 'x' : '-', fill->uncached ? " once" : "");
}

bool riscv_walk(struct cpu *cpu, vaddr_t addr, unsigned size, enum tlb_access access,
                unsigned regime, struct tlb_fill *fill)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    assert(regime < ARRAY_LEN(regimes));
    struct walk w = {.rv = rv,
                     .va = addr,
                     .access = access,
                     .regime = &regimes[regime],
                     .probe = fill->probe,
                     .pa = addr,
                     .allowed = ~0u};
    unsigned mode = satp_mode(rv);
    if (w.regime->priv != PRIV_M && mode) {
        assert(mode < ARRAY_LEN(schemes));
        w.scheme = &schemes[mode];
        if (!translate(&w))
            return false;
    }
    w.allowed &= riscv_pmp_allowed(rv, w.pa, size, w.regime->priv, &fill->uncached);
    if (!(w.allowed & BIT(access)))
        return access_fault(cpu, addr, access);
    fill->paddr = w.pa & PAGE_MASK;
    for (unsigned i = 0; i < TLB_NR_ACCESS; i++)
        fill->prot[i] = w.allowed >> i & 1;
    if (log_on(LOG_MMU))
        log_walk(&w, fill);
    return true;
}

// ---- For debuggers ----

// What satp maps addr to, for somebody without rights or duties.
static bool look_up(struct riscv_cpu *rv, vaddr_t addr, paddr_t *paddr)
{
    struct walk w = {.rv = rv,
                     .va = addr,
                     .access = TLB_READ,
                     .regime = &regimes[REGIME_S],
                     .scheme = &schemes[satp_mode(rv)]};
    bool found = is_canonical(&w) && find_leaf(&w) && leaf_address(&w);
    rv->cpu.fault.pending = false;
    *paddr = w.pa;
    return found;
}

// Machine mode has physical addresses; where nothing is, the supervisor's are meant, whose code was interrupted.
bool riscv_debug_translate(struct cpu *cpu, vaddr_t addr, paddr_t *paddr)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    bool physical = rv->s.priv == PRIV_M && mem_find(cpu->mem, addr);
    if (satp_mode(rv) && !physical)
        return look_up(rv, addr, paddr);
    *paddr = addr;
    return true;
}
