// SPDX-License-Identifier: MIT
// Svnapot and Svpbmt: the upper bits of PTEs.
#include "paging.h"

#if XLEN == 64

#define GOOD       (PTE_V | PTE_RWX | PTE_AD)
#define NAPOT_SIZE (16 * PAGE)
#define PATTERN    0x600d0000u

static void fill_arena(void)
{
    for (reg at = ARENA; at < ARENA + 4 * NAPOT_SIZE; at += PAGE) {
        word_at(at)[0] = 0x00000073;
        word_at(at)[1] = PATTERN + (uint32_t)((at - ARENA) / PAGE);
    }
}

// ---- Svnapot ----

// All 16 entries are alike, as software is to make them.
static void map_range(reg va, reg ppn_bits, reg bits)
{
    for (unsigned i = 0; i < 16; i++)
        *pte_at(va + i * PAGE, 0) = ppn_bits << 10 | bits | PTE_N;
    sfence();
}

static void check_range(void)
{
    reg va = window() + 3 * NAPOT_SIZE, target = ARENA + NAPOT_SIZE;
    map_range(va, target >> 12 | 8, GOOD);
    unsigned right = 0, stored = 0;
    for (unsigned i = 0; i < 16; i++)
        right += run(S, op_lw, va + i * PAGE + 4, 0).value == PATTERN + 16 + i;
    check(right, 16, "64 KiB: all its pages are where they should be");
    right = 0;
    for (unsigned i = 0; i < 16; i++)
        right += run(S, op_jump, va + i * PAGE, 0).cause == NONE;
    check(right, 16, "64 KiB: fetches");
    for (unsigned i = 0; i < 16; i++) {
        run(S, op_sw, va + i * PAGE + 8, i + 100);
        stored += *word_at(target + i * PAGE + 8) == i + 100;
    }
    check(stored, 16, "64 KiB: stores");
    // One address is enough for the whole range.
    map_range(va, ARENA >> 12 | 8, GOOD);
    run(S, op_sfence_addr, va + 9 * PAGE, 0);
    right = 0;
    for (unsigned i = 0; i < 16; i++)
        right += run(S, op_lw, va + i * PAGE + 4, 0).value == PATTERN + i;
    check(right, 16, "64 KiB: other pages, behind a fence");
}

static void check_reserved_sizes(void)
{
    static const struct access {
        const char *name, *op;
        enum cause cause;
    } accesses[] = {{"a load", op_lw, LOAD_PAGE},
                    {"a store", op_sw, STORE_PAGE},
                    {"a fetch", op_jump, FETCH_PAGE}};
    reg va = window() + 3 * NAPOT_SIZE;
    for (unsigned low = 0; low < 16; low++) {
        if (low == 8)
            continue;
        map_range(va, ARENA >> 12 | low, GOOD);
        for (unsigned i = 0; i < ARRAY_LEN(accesses); i++)
            check_trap(run(S, accesses[i].op, va, 0), accesses[i].cause, va,
                       "ppn[3:0] = %u is reserved: %s", low, accesses[i].name);
    }
    for (unsigned level = 1; level < scheme->levels; level++) {
        reg large = window() + 2 * page_size(level);
        map(large, ARENA & ~(page_size(level) - 1), level, GOOD | PTE_N);
        check_trap(run(S, op_lw, large, 0), LOAD_PAGE, large, "N in a leaf at level %u is reserved",
                   level);
        map(large, (ARENA & ~(page_size(level) - 1)) | 8 * PAGE, level, GOOD | PTE_N);
        check_trap(run(S, op_lw, large, 0), LOAD_PAGE, large,
                   "N in a leaf at level %u, ppn as for 64 KiB, is reserved", level);
        set_pte(pte_at(large, level), 0);
    }
}

static void check_accessed(void)
{
    if (!menvcfg_change(MENVCFG_ADUE, 0))
        return;
    reg va = window() + 3 * NAPOT_SIZE;
    map_range(va, ARENA >> 12 | 8, PTE_V | PTE_RWX);
    check_none(run(S, op_sw, va + 5 * PAGE + 8, 0), "hardware updates of A and D: a store");
    check(*pte_at(va + 5 * PAGE, 0) & PTE_AD, PTE_AD, "hardware updates of A and D: the PTE used");
    check(*pte_at(va + 5 * PAGE, 0) >> 10 & 15, 8, "hardware updates of A and D: its ppn stays");
    menvcfg_change(0, MENVCFG_ADUE);
}

static bool has_svnapot(void)
{
    map_range(window(), ARENA >> 12 | 8, GOOD);
    bool there = run(S, op_lw, window() + 4, 0).cause == NONE;
    for (unsigned i = 0; i < 16; i++)
        *pte_at(window() + i * PAGE, 0) = 0;
    sfence();
    return there;
}

// ---- Svpbmt ----

static void check_memory_types(void)
{
    reg va = window();
    paragraph("Svpbmt, menvcfg.PBMTE=1");
    for (unsigned level = 0; level < scheme->levels; level++) {
        reg page = ARENA & ~(page_size(level) - 1), offset = ARENA - page;
        for (unsigned type = 0; type < 3; type++) {
            map(va, page, level, GOOD | PTE_PBMT(type));
            check_value(run(S, op_lw, va + offset + 4, 0), PATTERN, "type %u in a leaf at level %u",
                        type, level);
        }
        map(va, page, level, GOOD | PTE_PBMT(3));
        check_trap(run(S, op_lw, va + offset, 0), LOAD_PAGE, va + offset,
                   "type 3 in a leaf at level %u: a load", level);
        check_trap(run(S, op_sw, va + offset, 0), STORE_PAGE, va + offset,
                   "type 3 in a leaf at level %u: a store", level);
        check_trap(run(S, op_jump, va + offset, 0), FETCH_PAGE, va + offset,
                   "type 3 in a leaf at level %u: a fetch", level);
        set_pte(pte_at(va, level), 0);
    }
    for (unsigned level = 1; level < scheme->levels; level++) {
        map(va, ARENA, 0, GOOD);
        reg good = *pte_at(va, level);
        for (unsigned type = 1; type < 4; type++) {
            set_pte(pte_at(va, level), good | PTE_PBMT(type));
            check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "type %u in a pointer at level %u",
                       type, level);
        }
        set_pte(pte_at(va, level), good);
    }
}

static void check_disabled(void)
{
    reg va = window();
    paragraph("Svpbmt, menvcfg.PBMTE=0");
    menvcfg_change(0, MENVCFG_PBMTE);
    sfence();
    for (unsigned type = 1; type < 4; type++) {
        map(va, ARENA, 0, GOOD | PTE_PBMT(type));
        check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "type %u in a leaf", type);
    }
    set_pte(pte_at(va, 0), 0);
}

static void check_scheme(const struct scheme *s)
{
    if (!paging_on(s))
        return;
    paragraph("Svnapot, %s", s->name);
    if (has_svnapot()) {
        check_range();
        check_reserved_sizes();
        check_accessed();
    } else {
        skip("Svnapot");
    }
    paging_on(s);
    if (menvcfg_change(MENVCFG_PBMTE, 0)) {
        check_memory_types();
        check_disabled();
    } else {
        skip("Svpbmt");
    }
    paging_off();
}

void topic(void)
{
    if (!has('S')) {
        skip("S-mode");
        return;
    }
    fill_arena();
    for (unsigned i = 0; i < NR_SCHEMES; i++)
        check_scheme(&schemes[i]);
}

#else

// They are for 64 bits; but the bits of menvcfg must not be there.
void topic(void)
{
    paragraph("Machine Environment Configuration (menvcfg) Register");
    if (has('U')) {
        menvcfg_change(MENVCFG_PBMTE, 0);
        check(menvcfg() & MENVCFG_PBMTE, 0, "PBMTE is read-only 0 without Svpbmt");
    }
}

#endif
