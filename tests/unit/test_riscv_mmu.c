// SPDX-License-Identifier: MIT
// RISC-V address translation: what maps, and each kind of fault at each level of each scheme.
#include "tests/unit/riscv_bare.h"

#define V      0x01
#define R      0x02
#define W      0x04
#define X      0x08
#define U      0x10
#define G      0x20
#define A      0x40
#define D      0x80
#define RW_AD  (V | R | W | A | D)
#define ALL_AD (V | R | W | X | A | D)
#define N      BIT(63)

#define SATP    0x180
#define MENVCFG 0x30a

#define TABLES (RIG_RAM + 0x100000) // page tables, one page each, allocated upwards
#define DATA   (RIG_RAM + 0x400000) // where leaves lead, aligned to 4 MiB

struct scheme {
    unsigned mode, xlen, levels, bits, pte_size;
    vaddr_t va; // one in the middle, with all indices different and not 0
};

static const struct scheme schemes[] = {
    {1, 32, 2, 10, 4, UINT64_C(0x40c05123)},
    {8, 64, 3, 9, 8, UINT64_C(0x0000001234805678)},
    {9, 64, 4, 9, 8, UINT64_C(0x0000123456805678)},
    {10, 64, 5, 9, 8, UINT64_C(0x00f2345678a05678)},
};

struct env {
    struct rig r;
    const struct scheme *s;
    paddr_t next_table;
};

static uint64_t pte_to(paddr_t pa, uint64_t flags)
{
    return pa >> 12 << 10 | flags;
}

static paddr_t slot(const struct env *e, paddr_t table, vaddr_t va, unsigned level)
{
    return table + bits_get(va, 12 + level * e->s->bits, e->s->bits) * e->s->pte_size;
}

static paddr_t table_of(struct env *e, paddr_t entry)
{
    uint64_t pte = rig_peek(&e->r, entry, e->s->pte_size);
    if (!pte) {
        pte = pte_to(e->next_table, V);
        rig_poke(&e->r, entry, e->s->pte_size, pte);
        e->next_table += PAGE_SIZE;
    }
    return bits_get(pte, 10, 44) << 12;
}

// The address of va's PTE at a level, with tables down to it.
static paddr_t pte_at(struct env *e, vaddr_t va, unsigned level)
{
    paddr_t table = TABLES;
    for (unsigned l = e->s->levels - 1; l > level; l--)
        table = table_of(e, slot(e, table, va, l));
    return slot(e, table, va, level);
}

static paddr_t map(struct env *e, vaddr_t va, unsigned level, uint64_t pte)
{
    paddr_t at = pte_at(e, va, level);
    rig_poke(&e->r, at, e->s->pte_size, pte);
    return at;
}

static struct env env_model(const struct scheme *s, const char *model)
{
    struct env e = {.s = s, .r = rig_new(model, s->xlen), .next_table = TABLES + PAGE_SIZE};
    rig_open_pmp(&e.r);
    e.r.rv->s.menvcfg &= ~MENVCFG_ADUE;
    csr_w(&e.r, SATP, (s->xlen == 32 ? BIT(31) : (uint64_t)s->mode << 60) | TABLES >> 12);
    cr_assert_neq(csr_r(&e.r, SATP), 0);
    rig_priv(&e.r, PRIV_S);
    return e;
}

static struct env env_new(const struct scheme *s)
{
    return env_model(s, "max");
}

static void env_free(struct env *e)
{
    rig_free(&e->r);
}

// Walks; -1 and *fill, or the cause of the fault.
static int walk(struct env *e, vaddr_t va, enum tlb_access access, enum riscv_regime regime,
                struct tlb_fill *fill)
{
    *fill = (struct tlb_fill){0};
    bool ok = riscv_walk(e->r.cpu, va, 1, access, regime, fill);
    int cause = rig_fault(&e->r);
    cr_assert_eq(ok, cause < 0);
    cr_assert(ok || e->r.cpu->fault.value == va);
    cr_assert(!ok || fill->prot[access]);
    return cause;
}

static int read_of(struct env *e, vaddr_t va)
{
    struct tlb_fill fill;
    return walk(e, va, TLB_READ, REGIME_S, &fill);
}

// Expects the same kind of fault for all accesses.
static void expect_fault(struct env *e, vaddr_t va, bool page, const char *what, unsigned level)
{
    static const int page_causes[] = {EXC_LOAD_PAGE, EXC_STORE_PAGE, EXC_FETCH_PAGE};
    static const int access_causes[] = {EXC_LOAD_ACCESS, EXC_STORE_ACCESS, EXC_FETCH_ACCESS};
    for (unsigned a = 0; a < TLB_NR_ACCESS; a++) {
        struct tlb_fill fill;
        int cause = walk(e, va, a, REGIME_S, &fill);
        cr_assert_eq(cause, (page ? page_causes : access_causes)[a],
                     "%s: mode %u, level %u: cause %d", what, e->s->mode, level, cause);
    }
}

#define FOR_SCHEMES(s) for (const struct scheme *s = schemes; s < schemes + ARRAY_LEN(schemes); s++)

// ---- What maps ----

Test(riscv_mmu, leaves_of_all_levels)
{
    FOR_SCHEMES(s)
    {
        for (unsigned level = 0; level < s->levels; level++) {
            struct env e = env_new(s);
            struct tlb_fill fill;
            uint64_t low = BIT(12 + level * s->bits) - 1;
            paddr_t pa = level < 2 ? DATA : 0;
            map(&e, s->va, level, pte_to(pa, ALL_AD));
            cr_assert_eq(walk(&e, s->va, TLB_READ, REGIME_S, &fill), -1, "mode %u level %u",
                         s->mode, level);
            cr_assert_eq(fill.paddr, ((pa & ~low) | (s->va & low)) & PAGE_MASK);
            cr_assert(fill.prot[TLB_READ] && fill.prot[TLB_WRITE] && fill.prot[TLB_EXEC] &&
                      !fill.uncached);
            env_free(&e);
        }
    }
}

Test(riscv_mmu, physical_addresses_beyond_32_bits)
{
    struct tlb_fill fill;
    struct env e = env_new(&schemes[0]);
    map(&e, schemes[0].va, 0, pte_to(UINT64_C(0x3fffff000), ALL_AD));
    cr_assert_eq(walk(&e, schemes[0].va, TLB_READ, REGIME_S, &fill), -1);
    cr_assert_eq(fill.paddr, UINT64_C(0x3fffff000));
    env_free(&e);

    e = env_new(&schemes[1]);
    map(&e, schemes[1].va, 0, pte_to(UINT64_C(0xfffffffffff000), ALL_AD));
    cr_assert_eq(walk(&e, schemes[1].va, TLB_READ, REGIME_S, &fill), -1);
    cr_assert_eq(fill.paddr, UINT64_C(0xfffffffffff000));
    env_free(&e);
}

Test(riscv_mmu, bare_and_machine_mode_do_not_translate)
{
    struct env e = env_new(&schemes[1]);
    struct tlb_fill fill;
    vaddr_t odd = UINT64_C(0x8000000000001234); // not canonical
    cr_assert_eq(walk(&e, odd, TLB_READ, REGIME_M, &fill), -1);
    cr_assert_eq(fill.paddr, odd & PAGE_MASK);
    rig_priv(&e.r, PRIV_M);
    csr_w(&e.r, SATP, 0);
    cr_assert_eq(walk(&e, RIG_RAM, TLB_EXEC, REGIME_S, &fill), -1);
    cr_assert_eq(walk(&e, RIG_RAM, TLB_EXEC, REGIME_U, &fill), -1);
    cr_assert_eq(fill.paddr, RIG_RAM);
    env_free(&e);
}

Test(riscv_mmu, canonical_addresses)
{
    FOR_SCHEMES(s)
    {
        struct env e = env_new(s);
        unsigned bits = 12 + s->levels * s->bits;
        vaddr_t top = s->xlen == 32 ? 0xfffff000 : ~UINT64_C(0) << 12;
        map(&e, s->va, 0, pte_to(DATA, ALL_AD));
        map(&e, top, 0, pte_to(DATA, ALL_AD));
        cr_assert_eq(read_of(&e, s->va), -1);
        cr_assert_eq(read_of(&e, top), -1);
        for (unsigned b = bits; b < s->xlen; b++) {
            expect_fault(&e, s->va ^ BIT(b), true, "low half", b);
            expect_fault(&e, top ^ BIT(b), true, "high half", b);
        }
        if (s->xlen == 64)
            expect_fault(&e, s->va | BIT(bits - 1), true, "sign", bits - 1);
        env_free(&e);
    }
}

// ---- Page faults ----

Test(riscv_mmu, bad_entries_of_all_levels)
{
    static const struct {
        const char *what;
        uint64_t flags;
        unsigned xlen; // 0: both
        bool leaf_too; // else: only as what points to the next table
    } bad[] = {
        {"invalid", R | W | X | A | D, 0, true},
        {"invalid and empty", 0, 0, true},
        {"write without read", V | W | A | D, 0, true},
        {"write and execute", V | W | X | A | D, 0, true},
        {"reserved bit 54", ALL_AD | BIT(54), 64, true},
        {"reserved bit 60", ALL_AD | BIT(60), 64, true},
        {"memory type 3", ALL_AD | BIT(61) | BIT(62), 64, true},
        {"table with A", V | A, 0, false},
        {"table with D", V | D, 0, false},
        {"table with U", V | U, 0, false},
        {"table with a memory type", V | BIT(61), 64, false},
        {"table with N", V | N, 64, false},
        {"table with a reserved bit", V | BIT(57), 64, false},
    };
    FOR_SCHEMES(s)
    {
        for (unsigned level = 0; level < s->levels; level++) {
            for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
                if (bad[i].xlen && bad[i].xlen != s->xlen)
                    continue;
                struct env e = env_new(s);
                e.r.rv->s.menvcfg |= MENVCFG_PBMTE;
                map(&e, s->va, 0, pte_to(DATA, ALL_AD));
                cr_assert_eq(read_of(&e, s->va), -1);
                uint64_t good = rig_peek(&e.r, pte_at(&e, s->va, level), s->pte_size);
                uint64_t pte = bad[i].leaf_too ? pte_to(0, bad[i].flags)
                                               : (good & ~UINT64_C(0x3ff)) | bad[i].flags;
                map(&e, s->va, level, pte);
                riscv_flush_tlb(e.r.rv); // where the tables are may be cached
                expect_fault(&e, s->va, true, bad[i].what, level);
                env_free(&e);
            }
        }
    }
}

Test(riscv_mmu, no_leaf_at_the_last_level)
{
    FOR_SCHEMES(s)
    {
        struct env e = env_new(s);
        map(&e, s->va, 0, pte_to(DATA, V));
        expect_fault(&e, s->va, true, "table at the last level", 0);
        env_free(&e);
    }
}

Test(riscv_mmu, misaligned_superpages)
{
    FOR_SCHEMES(s)
    {
        for (unsigned level = 1; level < s->levels; level++) {
            struct env e = env_new(s);
            for (unsigned bit = 12; bit < 12 + level * s->bits; bit++) {
                map(&e, s->va, level, pte_to(BIT(bit), ALL_AD));
                expect_fault(&e, s->va, true, "misaligned superpage", level);
            }
            map(&e, s->va, level, pte_to(0, ALL_AD));
            cr_assert_eq(read_of(&e, s->va), -1);
            env_free(&e);
        }
    }
}

Test(riscv_mmu, extensions_that_are_off)
{
    struct env e = env_model(&schemes[1], "rv64");
    const struct scheme *s = e.s;
    e.r.rv->s.menvcfg |= MENVCFG_PBMTE;
    map(&e, s->va, 0, pte_to(DATA | 0x8000, ALL_AD) | N);
    expect_fault(&e, s->va, true, "no Svnapot", 0);
    map(&e, s->va, 0, pte_to(DATA, ALL_AD) | BIT(61));
    expect_fault(&e, s->va, true, "no Svpbmt", 0);
    env_free(&e);

    e = env_new(s);
    map(&e, s->va, 0, pte_to(DATA, ALL_AD) | BIT(61));
    e.r.rv->s.menvcfg |= MENVCFG_PBMTE;
    cr_assert_eq(read_of(&e, s->va), -1);
    map(&e, s->va, 0, pte_to(DATA, ALL_AD) | BIT(62));
    cr_assert_eq(read_of(&e, s->va), -1);
    e.r.rv->s.menvcfg &= ~MENVCFG_PBMTE;
    expect_fault(&e, s->va, true, "Svpbmt not enabled", 0);
    env_free(&e);
}

Test(riscv_mmu, napot)
{
    for (const struct scheme *s = schemes + 1; s < schemes + ARRAY_LEN(schemes); s++) {
        struct env e = env_new(s);
        struct tlb_fill fill;
        for (unsigned low = 0; low < 16; low++) {
            map(&e, s->va, 0, pte_to(DATA | low << 12, ALL_AD) | N);
            int cause = walk(&e, s->va, TLB_READ, REGIME_S, &fill);
            cr_assert_eq(cause, low == 8 ? -1 : EXC_LOAD_PAGE, "ppn %u", low);
            cr_assert(low != 8 || fill.paddr == (DATA | (s->va & 0xf000)));
        }
        map(&e, s->va, 0, pte_to(0, 0));
        map(&e, s->va, 1, pte_to(0x8000, ALL_AD) | N);
        expect_fault(&e, s->va, true, "N in a superpage", 1);
        map(&e, s->va, 1, pte_to(0, ALL_AD) | N);
        expect_fault(&e, s->va, true, "N in a superpage", 1);
        env_free(&e);
    }
}

// ---- Permissions ----

// What the manual says, spelled out.
static bool permitted(uint64_t pte, enum tlb_access access, enum riscv_regime regime)
{
    bool user = regime == REGIME_U || regime == REGIME_U_MXR;
    bool sum = regime == REGIME_S_SUM || regime == REGIME_S_SUM_MXR;
    bool mxr = regime == REGIME_S_MXR || regime == REGIME_S_SUM_MXR || regime == REGIME_U_MXR;
    if (user != !!(pte & U) && !(pte & U && !user && sum && access != TLB_EXEC))
        return false;
    switch (access) {
    case TLB_READ:
        return pte & R || (mxr && pte & X);
    case TLB_WRITE:
        return pte & W;
    default:
        return pte & X;
    }
}

Test(riscv_mmu, permissions_in_all_regimes)
{
    static const uint64_t perms[] = {R, R | W, X, R | X, R | W | X};
    static const int causes[] = {EXC_LOAD_PAGE, EXC_STORE_PAGE, EXC_FETCH_PAGE};
    FOR_SCHEMES(s)
    {
        struct env e = env_new(s);
        for (unsigned i = 0; i < ARRAY_LEN(perms) * 2; i++) {
            uint64_t pte = perms[i / 2] | V | A | D | G | (i & 1 ? U : 0);
            map(&e, s->va, 0, pte_to(DATA, pte));
            for (unsigned n = 0; n < TLB_NR_ACCESS * 6; n++) {
                enum tlb_access access = n % TLB_NR_ACCESS;
                enum riscv_regime regime = REGIME_S + n / TLB_NR_ACCESS;
                struct tlb_fill fill;
                int cause = walk(&e, s->va, access, regime, &fill);
                bool ok = permitted(pte, access, regime);
                cr_assert_eq(cause, ok ? -1 : causes[access], "pte 0x%x access %u regime %u",
                             (unsigned)pte, access, regime);
                for (unsigned a = 0; ok && a < TLB_NR_ACCESS; a++)
                    cr_assert_eq(fill.prot[a], permitted(pte, a, regime));
            }
        }
        env_free(&e);
    }
}

Test(riscv_mmu, accessed_and_dirty_by_software)
{
    FOR_SCHEMES(s)
    {
        struct env e = env_new(s);
        struct tlb_fill fill;
        map(&e, s->va, 0, pte_to(DATA, V | R | W | X | D));
        expect_fault(&e, s->va, true, "A clear", 0);
        map(&e, s->va, 0, pte_to(DATA, V | R | W | X | A));
        cr_assert_eq(walk(&e, s->va, TLB_READ, REGIME_S, &fill), -1);
        cr_assert(!fill.prot[TLB_WRITE] && fill.prot[TLB_EXEC]);
        cr_assert_eq(walk(&e, s->va, TLB_WRITE, REGIME_S, &fill), EXC_STORE_PAGE);
        cr_assert_eq(rig_peek(&e.r, pte_at(&e, s->va, 0), s->pte_size),
                     pte_to(DATA, V | R | W | X | A));
        env_free(&e);
    }
}

Test(riscv_mmu, accessed_and_dirty_by_hardware)
{
    FOR_SCHEMES(s)
    {
        struct env e = env_new(s);
        struct tlb_fill fill;
        e.r.rv->s.menvcfg |= MENVCFG_ADUE;
        paddr_t at = map(&e, s->va, 0, pte_to(DATA, V | R | W | X | BIT(8)));
        cr_assert_eq(walk(&e, s->va, TLB_EXEC, REGIME_S, &fill), -1);
        cr_assert_eq(rig_peek(&e.r, at, s->pte_size), pte_to(DATA, V | R | W | X | A | BIT(8)));
        cr_assert(fill.prot[TLB_READ] && !fill.prot[TLB_WRITE]);
        cr_assert_eq(walk(&e, s->va, TLB_WRITE, REGIME_S, &fill), -1);
        cr_assert_eq(rig_peek(&e.r, at, s->pte_size), pte_to(DATA, ALL_AD | BIT(8)));
        cr_assert(fill.prot[TLB_WRITE]);

        // A fault of permission touches nothing.
        map(&e, s->va, 0, pte_to(DATA, V | R));
        cr_assert_eq(walk(&e, s->va, TLB_WRITE, REGIME_S, &fill), EXC_STORE_PAGE);
        cr_assert_eq(rig_peek(&e.r, at, s->pte_size), pte_to(DATA, V | R));
        env_free(&e);
    }
}

// ---- Access faults ----

Test(riscv_mmu, tables_outside_of_memory)
{
    FOR_SCHEMES(s)
    {
        for (unsigned level = 1; level < s->levels; level++) {
            struct env e = env_new(s);
            map(&e, s->va, level, pte_to(0x1000, V));
            expect_fault(&e, s->va, false, "table outside of memory", level);
            env_free(&e);
        }
    }
}

static void protect(struct env *e, paddr_t page, unsigned rwx)
{
    e->r.rv->s.pmpaddr[1] = ~UINT64_C(0) >> 10;
    e->r.rv->s.pmpaddr[0] = page >> 2 | 0x1ff;
    e->r.rv->s.pmpcfg[0] = 0x1f << 8 | 0x18 | rwx;
    riscv_pmp_update(e->r.rv);
}

Test(riscv_mmu, tables_that_pmp_protects)
{
    FOR_SCHEMES(s)
    {
        for (unsigned level = 0; level < s->levels; level++) {
            struct env e = env_new(s);
            struct tlb_fill fill;
            paddr_t at;
            map(&e, s->va, 0, pte_to(DATA, V | R | W | X));
            at = pte_at(&e, s->va, level);
            protect(&e, at & PAGE_MASK, 4);
            expect_fault(&e, s->va, false, "table protected", level);

            // Readable is enough until A has to be set.
            protect(&e, at & PAGE_MASK, 1);
            expect_fault(&e, s->va, true, "A clear", level);
            e.r.rv->s.menvcfg |= MENVCFG_ADUE;
            int cause = walk(&e, s->va, TLB_READ, REGIME_S, &fill);
            cr_assert_eq(cause, level == 0 ? EXC_LOAD_ACCESS : -1, "level %u", level);
            env_free(&e);
        }
    }
}

Test(riscv_mmu, pages_that_pmp_protects)
{
    FOR_SCHEMES(s)
    {
        struct env e = env_new(s);
        struct tlb_fill fill;
        map(&e, s->va, 0, pte_to(DATA, ALL_AD));
        protect(&e, DATA, 0);
        expect_fault(&e, s->va, false, "page protected", 0);
        protect(&e, DATA, 1);
        cr_assert_eq(walk(&e, s->va, TLB_READ, REGIME_S, &fill), -1);
        cr_assert(!fill.prot[TLB_WRITE] && !fill.prot[TLB_EXEC] && !fill.uncached);
        cr_assert_eq(walk(&e, s->va, TLB_WRITE, REGIME_S, &fill), EXC_STORE_ACCESS);

        // The page fault comes first.
        protect(&e, DATA, 0);
        map(&e, s->va, 0, pte_to(DATA, V | R | A | U));
        expect_fault(&e, s->va, true, "page fault before access fault", 0);
        env_free(&e);
    }
}

Test(riscv_mmu, pages_with_varying_protection_are_not_kept)
{
    struct env e = env_new(&schemes[1]);
    vaddr_t va = e.s->va & PAGE_MASK;
    struct tlb_fill fill;
    map(&e, va, 0, pte_to(DATA, ALL_AD));
    e.r.rv->s.pmpaddr[1] = ~UINT64_C(0) >> 10;
    e.r.rv->s.pmpaddr[0] = DATA >> 2 | 0x10; // NA4 at 0x40
    e.r.rv->s.pmpcfg[0] = 0x1f << 8 | 0x10;
    riscv_pmp_update(e.r.rv);
    cr_assert_eq(walk(&e, va + 0x3f, TLB_READ, REGIME_S, &fill), -1);
    cr_assert(fill.uncached);
    cr_assert_eq(walk(&e, va + 0x40, TLB_READ, REGIME_S, &fill), EXC_LOAD_ACCESS);
    cr_assert_eq(walk(&e, va + 0x43, TLB_READ, REGIME_S, &fill), EXC_LOAD_ACCESS);
    cr_assert_eq(walk(&e, va + 0x44, TLB_READ, REGIME_S, &fill), -1);
    cr_assert_eq(riscv_walk(e.r.cpu, va + 0x3c, 8, TLB_READ, REGIME_S, &fill), false);
    cr_assert_eq(rig_fault(&e.r), EXC_LOAD_ACCESS);
    env_free(&e);
}

Test(riscv_mmu, faults_of_bus_and_alignment)
{
    static const int bus[] = {EXC_LOAD_ACCESS, EXC_STORE_ACCESS, EXC_FETCH_ACCESS};
    static const int align[] = {EXC_LOAD_MISALIGNED, EXC_STORE_MISALIGNED, EXC_FETCH_MISALIGNED};
    struct rig r = rig_new("rv64", 64);
    for (unsigned a = 0; a < TLB_NR_ACCESS; a++) {
        riscv_fault_bus(r.cpu, 0x1235, a);
        cr_assert_eq(rig_fault(&r), bus[a]);
        riscv_fault_align(r.cpu, 0x1235, a);
        cr_assert_eq(rig_fault(&r), align[a]);
        cr_assert_eq(r.cpu->fault.value, 0x1235);
    }
    rig_free(&r);
}

// ---- What the TLB may keep ----

static uint64_t load(struct env *e, vaddr_t va)
{
    uint64_t v = 0;
    e->r.cpu->key_regime = REGIME_S;
    cr_assert(cpu_load(e->r.cpu, va, 8, MO_64, &v));
    return v;
}

static void sfence(struct env *e, vaddr_t va, bool one)
{
    riscv_sfence_vma(e->r.cpu, RIG_INSN, va, one, 0);
    cr_assert_eq(rig_fault(&e->r), -1);
}

Test(riscv_mmu, fence_of_one_page)
{
    struct env e = env_new(&schemes[1]);
    vaddr_t va = e.s->va & PAGE_MASK;
    rig_poke(&e.r, DATA, 8, 1);
    rig_poke(&e.r, DATA + PAGE_SIZE, 8, 2);
    map(&e, va, 0, pte_to(DATA, RW_AD));
    cr_assert_eq(load(&e, va), 1);
    map(&e, va, 0, pte_to(DATA + PAGE_SIZE, RW_AD));
    cr_assert_eq(load(&e, va), 1); // still cached
    sfence(&e, va + PAGE_SIZE, true);
    cr_assert_eq(load(&e, va), 1);
    sfence(&e, va, true);
    cr_assert_eq(load(&e, va), 2);
    map(&e, va, 0, pte_to(DATA, RW_AD));
    sfence(&e, 0, false);
    cr_assert_eq(load(&e, va), 1);
    env_free(&e);
}

Test(riscv_mmu, fence_of_one_address_forgets_all_of_a_large_page)
{
    struct env e = env_new(&schemes[1]);
    vaddr_t va = align_down(e.s->va, 0x200000), high = ~UINT64_C(0) << 21;
    rig_poke(&e.r, DATA + 0x5000, 8, 1);
    rig_poke(&e.r, DATA + 0x205000, 8, 2);
    rig_poke(&e.r, DATA + 0x6000, 8, 1);
    rig_poke(&e.r, DATA + 0x206000, 8, 2);
    rig_poke(&e.r, DATA + 0x25000, 8, 3);
    rig_poke(&e.r, DATA + 0x35000, 8, 4);
    map(&e, va, 1, pte_to(DATA, RW_AD));
    map(&e, high, 1, pte_to(DATA, RW_AD));
    cr_assert_eq(load(&e, va + 0x5000), 1);
    cr_assert_eq(load(&e, high + 0x6000), 1);
    map(&e, va, 1, pte_to(DATA + 0x200000, RW_AD));
    map(&e, high, 1, pte_to(DATA + 0x200000, RW_AD));
    sfence(&e, va - 1, true); // another page: nothing has to go
    cr_assert_eq(load(&e, va + 0x5000), 1);
    sfence(&e, va + 0x1ff000, true);
    cr_assert_eq(load(&e, va + 0x5000), 2);
    cr_assert_eq(load(&e, high + 0x6000), 2);
    map(&e, high, 1, pte_to(DATA, RW_AD));
    sfence(&e, high, true);
    cr_assert_eq(load(&e, high + 0x6000), 1);

    // NAPOT is a large page too.
    vaddr_t napot = va + 0x200000;
    map(&e, napot + 0x5000, 0, pte_to(DATA + 0x28000, RW_AD) | N);
    cr_assert_eq(load(&e, napot + 0x5000), 3);
    map(&e, napot + 0x5000, 0, pte_to(DATA + 0x38000, RW_AD) | N);
    sfence(&e, napot + 0xf000, true);
    cr_assert_eq(load(&e, napot + 0x5000), 4);
    env_free(&e);
}

Test(riscv_mmu, writing_satp_changes_the_space)
{
    struct env e = env_new(&schemes[1]);
    vaddr_t va = e.s->va & PAGE_MASK;
    rig_poke(&e.r, DATA, 8, 1);
    rig_poke(&e.r, DATA + PAGE_SIZE, 8, 2);
    paddr_t at = map(&e, va, 0, pte_to(DATA, RW_AD));
    uint64_t satp = csr_r(&e.r, SATP);
    cr_assert_eq(load(&e, va), 1);
    rig_poke(&e.r, at, 8, pte_to(DATA + PAGE_SIZE, RW_AD));
    csr_w(&e.r, SATP, satp); // no change: nothing is forgotten
    cr_assert_eq(load(&e, va), 1);
    csr_w(&e.r, SATP, satp | BIT(44));
    cr_assert_eq(load(&e, va), 2);
    env_free(&e);
}
