// SPDX-License-Identifier: MIT
// Loads and stores at any alignment in main memory: values, the ends of pages, the halves of which may be elsewhere,
// not writable, or protected.
#include "paging.h"

#define GOOD (PTE_V | PTE_RWX | PTE_AD)

static const struct {
    const char *name, *load, *store;
    unsigned size;
} sizes[] = {
    {"halfword", op_lh, op_sh, 2},
    {"word", op_lw, op_sw, 4},
#if XLEN == 64
    {"doubleword", op_ld, op_sd, 8},
#endif
};

// Whether the hart does them itself, rather than by a trap.
static bool does(void)
{
    return run(M, op_lw, ARENA + 1, 0).cause == NONE;
}

static void fill(reg from, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        *byte_at(from + i) = (uint8_t)(0x80 + i * 3);
}

static reg value_at(reg at, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)*byte_at(at + i) << 8 * i;
    return (reg)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
}

// ---- Values ----

static void check_values(unsigned n)
{
    unsigned loaded = 0, stored = 0, kept = 0;
    for (unsigned offset = 0; offset < 24; offset++) {
        reg at = ARENA + 64 + offset, value = (reg)0x1122334455667788;
        fill(ARENA, 256);
        loaded += run(M, sizes[n].load, at, 0).value == value_at(at, sizes[n].size);
        run(M, sizes[n].store, at, value);
        unsigned shift = 64 - 8 * sizes[n].size;
        stored +=
            value_at(at, sizes[n].size) == (reg)((int64_t)((uint64_t)value << shift) >> shift);
        kept += *byte_at(at - 1) == (uint8_t)(0x80 + (63 + offset) * 3) &&
                *byte_at(at + sizes[n].size) == (uint8_t)(0x80 + (64 + offset + sizes[n].size) * 3);
    }
    check(loaded, 24, "a %s is loaded from any address", sizes[n].name);
    check(stored, 24, "a %s is stored to any address", sizes[n].name);
    check(kept, 24, "a %s that is stored leaves its neighbours", sizes[n].name);
}

// ---- Pages ----

// The two pages are not neighbours in memory.
static void check_crossing(unsigned n)
{
    reg va = window(), first = ARENA + 5 * PAGE, second = ARENA + 2 * PAGE;
    unsigned loaded = 0, stored = 0;
    map(va, first, 0, GOOD);
    map(va + PAGE, second, 0, GOOD);
    for (unsigned part = 1; part < sizes[n].size; part++) {
        fill(first + PAGE - 16, 16);
        fill(second, 16);
        reg at = va + PAGE - part, want = 0;
        for (unsigned i = 0; i < sizes[n].size; i++) {
            reg byte = *byte_at(i < part ? first + PAGE - part + i : second + i - part);
            want |= byte << 8 * i;
        }
        unsigned shift = XLEN - 8 * sizes[n].size;
        want = (reg)((long)(want << shift) >> shift);
        loaded += run(S, sizes[n].load, at, 0).value == want;
        run(S, sizes[n].store, at, (reg)0x8877665544332211);
        unsigned right = 0;
        for (unsigned i = 0; i < sizes[n].size; i++)
            right +=
                *byte_at(i < part ? first + PAGE - part + i : second + i - part) == 0x11 * (i + 1);
        stored += right == sizes[n].size;
    }
    check(loaded, sizes[n].size - 1, "a %s is loaded over the end of a page", sizes[n].name);
    check(stored, sizes[n].size - 1, "a %s is stored over the end of a page", sizes[n].name);
}

static void check_faults(unsigned n)
{
    reg va = window(), at = va + PAGE - 1;
    map(va, ARENA, 0, GOOD);
    map(va + PAGE, ARENA + PAGE, 0, PTE_V | PTE_R | PTE_AD);
    check_trap(run(S, sizes[n].store, at, 0), STORE_PAGE, va + PAGE,
               "a %s to a second page without W", sizes[n].name);
    check_none(run(S, sizes[n].load, at, 0), "a %s from a second page without W", sizes[n].name);
    map(va + PAGE, ARENA + PAGE, 0, PTE_V | PTE_X | PTE_AD);
    check_trap(run(S, sizes[n].load, at, 0), LOAD_PAGE, va + PAGE,
               "a %s from a second page without R", sizes[n].name);
    map(va, ARENA, 0, PTE_V | PTE_R | PTE_AD);
    map(va + PAGE, ARENA + PAGE, 0, GOOD);
    check_trap(run(S, sizes[n].store, at, 0), STORE_PAGE, at, "a %s to a first page without W",
               sizes[n].name);
    map(va, ARENA, 0, GOOD);
    map(va + PAGE, ARENA + PAGE, 0, GOOD | PTE_U);
    check_trap(run(S, sizes[n].load, at, 0), LOAD_PAGE, va + PAGE,
               "a %s from a second page of U-mode", sizes[n].name);
    check_trap(run(U, sizes[n].load, at, 0), LOAD_PAGE, at, "a %s from a first page of S-mode",
               sizes[n].name);
    map(va + PAGE, NOWHERE, 0, GOOD);
    check_trap(run(S, sizes[n].load, at, 0), LOAD_ACCESS, va + PAGE,
               "a %s from a second page that is nowhere", sizes[n].name);
    if (has_pmp()) {
        map(va + PAGE, ARENA + PAGE, 0, GOOD);
        pmp_set(0, PMP_NAPOT | PMP_R, napot(ARENA + PAGE, PAGE));
        check_trap(run(S, sizes[n].store, at, 0), STORE_ACCESS, va + PAGE,
                   "a %s to a second page that PMP protects", sizes[n].name);
        check_none(run(S, sizes[n].load, at, 0),
                   "a %s from a second page that PMP protects from stores", sizes[n].name);
        pmp_set_cfg(0, 0);
    }
    map(va, 0, 0, 0);
    map(va + PAGE, 0, 0, 0);
}

// A and D of both pages.
static void check_used(unsigned n)
{
    reg va = window(), at = va + PAGE - 1;
    if (!menvcfg_change(MENVCFG_ADUE, 0))
        return;
    sfence();
    map(va, ARENA, 0, PTE_V | PTE_RWX);
    map(va + PAGE, ARENA + PAGE, 0, PTE_V | PTE_RWX);
    run(S, sizes[n].load, at, 0);
    check(*pte_at(va, 0) & *pte_at(va + PAGE, 0) & PTE_AD, PTE_A, "a %s from two pages sets both A",
          sizes[n].name);
    run(S, sizes[n].store, at, 0);
    check(*pte_at(va, 0) & *pte_at(va + PAGE, 0) & PTE_AD, PTE_AD, "a %s to two pages sets both D",
          sizes[n].name);
}

// The end of the address space is next to its beginning.
static void check_wrapping(void)
{
#if XLEN == 64
    reg top = -PAGE;
    map(top, ARENA, 0, GOOD);
    map(0, ARENA + PAGE, 0, GOOD);
    *byte_at(ARENA + PAGE - 1) = 0x12;
    *word_at(ARENA + PAGE) = 0x00345678;
    struct trap t = run(S, op_lw, ~(reg)0, 0);
    check_value(t, 0x34567812, "a word over the end of the address space");
#endif
}

void topic(void)
{
    paragraph("Misaligned loads and stores");
    if (!does()) {
        skip("Zicclsm");
        return;
    }
    for (unsigned n = 0; n < ARRAY_LEN(sizes); n++)
        check_values(n);
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    for (unsigned n = 0; n < ARRAY_LEN(sizes); n++) {
        check_crossing(n);
        check_faults(n);
        check_used(n);
    }
    check_wrapping();
    paging_off();
}
