// SPDX-License-Identifier: MIT
// Address translation: leaves of all levels, and what is wrong with PTEs at each of them.
#include "paging.h"

#define GOOD    (PTE_V | PTE_RWX | PTE_AD)
#define PATTERN 0x600d0000u

static const struct access {
    const char *name;
    const char *op;
    enum cause page, access;
} accesses[] = {
    {"a load", op_lw, LOAD_PAGE, LOAD_ACCESS},
    {"a store", op_sw, STORE_PAGE, STORE_ACCESS},
    {"an AMO", op_amoadd_w, STORE_PAGE, STORE_ACCESS},
    {"a fetch", op_jump, FETCH_PAGE, FETCH_ACCESS},
};
enum { NR_ACCESSES = sizeof(accesses) / sizeof(accesses[0]) };

// Each page of the arena begins with an ecall, and has its number behind it.
static void fill_arena(void)
{
    for (reg at = ARENA; at < ARENA + ARENA_SIZE; at += PAGE) {
        word_at(at)[0] = 0x00000073;
        word_at(at)[1] = PATTERN + (uint32_t)((at - ARENA) / PAGE);
    }
}

// Where a page of a level that holds the arena begins.
static reg page_of_arena(unsigned level)
{
    return ARENA & ~(page_size(level) - 1);
}

// What is wrong must be so for all accesses, in S-mode and, with U set, in U-mode.
static void expect_page_fault(reg va, const char *what, unsigned level)
{
    for (unsigned i = 0; i < NR_ACCESSES; i++)
        check_trap(run(S, accesses[i].op, va, 0), accesses[i].page, va, "%s at level %u: %s", what,
                   level, accesses[i].name);
    check_trap(run(U, op_lw, va, 0), LOAD_PAGE, va, "%s at level %u: a load by U-mode", what,
               level);
}

static void expect_access_fault(reg va, const char *what, unsigned level)
{
    for (unsigned i = 0; i < NR_ACCESSES; i++)
        check_trap(run(S, accesses[i].op, va, 0), accesses[i].access, va, "%s at level %u: %s",
                   what, level, accesses[i].name);
}

// ---- Leaves ----

static void check_leaf(unsigned level)
{
    reg va = window(), offset = ARENA - page_of_arena(level), last = offset;
    if (page_size(level) > PAGE)
        last += MIN(page_size(level), ARENA_SIZE) - PAGE;
    map(va, page_of_arena(level), level, GOOD);
    check_value(run(S, op_lw, va + offset + 4, 0), PATTERN, "a leaf at level %u: its first page",
                level);
    check_value(run(S, op_lw, va + last + 4, 0), PATTERN + (last - offset) / PAGE,
                "a leaf at level %u: a later page", level);
    check_none(run(S, op_jump, va + last, 0), "a leaf at level %u: a fetch", level);
    check_none(run(S, op_sw, va + last + 8, level + 1), "a leaf at level %u: a store", level);
    check(*word_at(ARENA + last - offset + 8), level + 1, "a leaf at level %u: what was stored",
          level);
    reg end = va + page_size(level);
    if (end - va == page_size(level) && level + 1 < scheme->levels)
        check_trap(run(S, op_lw, end, 0), LOAD_PAGE, end, "a leaf at level %u: it ends", level);
    set_pte(pte_at(va, level), 0);
}

static void check_alignment(unsigned level)
{
    reg va = window();
    for (unsigned bit = 0; bit < level * scheme->vpn_bits; bit++) {
        map(va, page_of_arena(level) | PAGE << bit, level, GOOD);
        check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "ppn bit %u set at level %u", bit, level);
    }
    map(va, page_of_arena(level) | PAGE, level, GOOD);
    expect_page_fault(va, "a misaligned superpage", level);
    set_pte(pte_at(va, level), 0);
}

// ---- Bad entries ----

static void check_bad(unsigned level, reg bits, const char *what)
{
    reg va = window();
    map(va, page_of_arena(level), level, bits);
    expect_page_fault(va, what, level);
    set_pte(pte_at(va, level), 0);
}

static void check_bad_entries(unsigned level)
{
    check_bad(level, 0, "V=0");
    check_bad(level, GOOD & ~PTE_V, "V=0, all else set");
    check_bad(level, PTE_V | PTE_AD | PTE_W, "W without R");
    check_bad(level, PTE_V | PTE_AD | PTE_W | PTE_X, "W and X without R");
}

// What must be zero in a pointer to the next table.
static void check_pointer_bits(unsigned level)
{
    static const struct {
        reg bit;
        const char *name;
    } bad[] = {{PTE_A, "A"}, {PTE_D, "D"}, {PTE_U, "U"}};
    reg va = window();
    map(va, ARENA, 0, GOOD);
    reg *pte = pte_at(va, level), good = *pte;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set_pte(pte, good | bad[i].bit);
        check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "%s set in a pointer at level %u",
                   bad[i].name, level);
    }
    set_pte(pte, good | PTE_RSW | PTE_G);
    check_value(run(S, op_lw, va + 4, 0), PATTERN, "RSW and G set in a pointer at level %u", level);
    set_pte(pte, good);
    set_pte(pte_at(va, 0), 0);
}

static void check_ignored_bits(unsigned level)
{
    reg va = window();
    map(va, page_of_arena(level), level, GOOD | PTE_RSW);
    check_value(run(S, op_lw, va + ARENA - page_of_arena(level) + 4, 0), PATTERN,
                "RSW set in a leaf at level %u", level);
    set_pte(pte_at(va, level), 0);
}

#if XLEN == 64
// Bits 60 to 54 of leaves and pointers.
static void check_reserved_bits(unsigned level)
{
    reg va = window();
    for (unsigned bit = 54; bit <= 60; bit++) {
        map(va, page_of_arena(level), level, GOOD | BIT(bit));
        check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "bit %u set in a leaf at level %u", bit,
                   level);
    }
    map(va, page_of_arena(level), level, GOOD | BIT(54));
    expect_page_fault(va, "a reserved bit", level);
    if (level) {
        map(va, ARENA, 0, GOOD);
        reg *pte = pte_at(va, level), good = *pte;
        for (unsigned bit = 54; bit <= 63; bit++) {
            set_pte(pte, good | BIT(bit));
            check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "bit %u set in a pointer at level %u",
                       bit, level);
        }
        set_pte(pte, good);
    }
    set_pte(pte_at(va, level), 0);
}
#endif

// A chain of pointers without a leaf.
static void check_no_leaf(void)
{
    reg va = window();
    map(va, ARENA + PAGE, 0, PTE_V);
    expect_page_fault(va, "a pointer", 0);
    set_pte(pte_at(va, 0), 0);
}

// ---- Tables ----

static void check_table_nowhere(unsigned level)
{
    reg va = window();
    if (level == 0)
        return;
    map(va, NOWHERE, level, PTE_V);
    expect_access_fault(va, "a pointer to where nothing is", level);
    set_pte(pte_at(va, level), 0);
}

static void check_page_nowhere(void)
{
    reg va = window();
    map(va, NOWHERE, 0, GOOD);
    expect_access_fault(va, "a leaf to where nothing is", 0);
    set_pte(pte_at(va, 0), 0);
}

// Not even the code can be fetched.
static void check_root_nowhere(void)
{
    reg old = csr_read(CSR_SATP);
    csr_write(CSR_SATP, satp_value(NOWHERE, 0));
    sfence();
    check_trap(run(S, op_nop, 0, 0), FETCH_ACCESS, (reg)op_nop, "a root where nothing is");
    csr_write(CSR_SATP, old);
    sfence();
}

#if XLEN == 32
// Physical addresses have 34 bits.
static void check_upper_bits(void)
{
    reg va = window(), beyond = BIT(30); // bit 32 of the address
    set_pte(pte_at(va, 0), PTE_PPN(ARENA) | beyond | GOOD);
    expect_access_fault(va, "a page beyond 4 GiB", 0);
    set_pte(pte_at(va, 0), 0);
    reg *pointer = pte_at(va, 1), good = *pointer;
    set_pte(pointer, good | beyond);
    expect_access_fault(va, "a table beyond 4 GiB", 1);
    set_pte(pointer, good);
}
#endif

// PMP is checked for each access to a table, as if by S-mode.
static void check_table_pmp(unsigned level)
{
    reg va = window();
    if (level == 0 || !has_pmp())
        return;
    map(va, ARENA, 0, GOOD);
    reg table = *pte_at(va, level) >> 10 << 12;
    pmp_set(0, PMP_NAPOT, napot(table, PAGE));
    expect_access_fault(va, "a table that PMP protects, pointed to", level);
    pmp_set_cfg(0, PMP_NAPOT | PMP_R);
    check_value(run(S, op_lw, va + 4, 0), PATTERN,
                "a table that PMP lets be read, pointed to at level %u", level);
    pmp_set_cfg(0, 0);
    set_pte(pte_at(va, 0), 0);
}

static void check_page_pmp(void)
{
    reg va = window();
    if (!has_pmp())
        return;
    map(va, ARENA, 0, GOOD);
    pmp_set(0, PMP_NAPOT, napot(ARENA, PAGE));
    expect_access_fault(va, "a page that PMP protects", 0);
    pmp_set_cfg(0, 0);
    set_pte(pte_at(va, 0), 0);
}

// ---- Addresses ----

#if XLEN == 64
// Those of the upper half, and the holes between the halves.
static void check_canonical(void)
{
    reg top = -page_size(scheme->levels - 1), low = BIT(scheme->va_bits - 1);
    map(top, ARENA, 0, GOOD);
    check_value(run(S, op_lw, top + 4, 0), PATTERN, "the upper half");
    check_none(run(S, op_jump, top, 0), "a fetch in the upper half");
    map(window(), ARENA, 0, GOOD);
    for (unsigned bit = scheme->va_bits; bit < 64; bit++) {
        reg va = (top ^ BIT(bit)), other = window() ^ BIT(bit);
        check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "bit %u alone differs from the sign", bit);
        check_trap(run(S, op_lw, other, 0), LOAD_PAGE, other, "bit %u alone is set", bit);
    }
    for (unsigned i = 0; i < NR_ACCESSES; i++)
        check_trap(run(S, accesses[i].op, low, 0), accesses[i].page, low, "not canonical: %s",
                   accesses[i].name);
    check_trap(run(S, op_lw, low - 4, 0), LOAD_PAGE, low - 4,
               "the last of the lower half is not mapped");
    set_pte(pte_at(window(), 0), 0);
    set_pte(pte_at(top, 0), 0);
}
#endif

// All pages of a table, so that each bit of the index counts.
static void check_index(void)
{
    reg va = window();
    for (unsigned i = 0; i < BIT(scheme->vpn_bits); i++)
        *pte_at(va + i * PAGE, 0) = PTE_PPN(ARENA + (i ^ 0x155) * PAGE) | GOOD;
    sfence();
    unsigned right = 0;
    for (unsigned i = 0; i < BIT(scheme->vpn_bits); i++)
        right += run(S, op_lw, va + i * PAGE + 4, 0).value == PATTERN + (i ^ 0x155);
    check(right, BIT(scheme->vpn_bits), "all entries of a table");
    *pte_at(va, 1) = 0;
    sfence();
}

static void check_bare(void)
{
    paragraph("Supervisor Address Translation and Protection (satp) Register");
    paging_off();
    check_value(run(S, op_lw, ARENA + 4, 0), PATTERN, "MODE=Bare: S-mode");
    check_value(run(U, op_lw, ARENA + 4, 0), PATTERN, "MODE=Bare: U-mode");
    check_trap(run(S, op_lw, NOWHERE, 0), LOAD_ACCESS, NOWHERE, "MODE=Bare: nothing there");
}

static void check_scheme(const struct scheme *s)
{
    if (!paging_on(s)) {
        skip("%s", s->name);
        return;
    }
    paragraph("Virtual Address Translation Process, %s", s->name);
    for (unsigned level = 0; level < s->levels; level++) {
        check_leaf(level);
        check_bad_entries(level);
        check_ignored_bits(level);
#if XLEN == 64
        check_reserved_bits(level);
#endif
        if (level) {
            check_alignment(level);
            check_pointer_bits(level);
        }
        check_table_nowhere(level);
        check_table_pmp(level);
    }
    check_no_leaf();
    check_page_nowhere();
    check_page_pmp();
    check_root_nowhere();
    check_index();
#if XLEN == 64
    check_canonical();
#else
    check_upper_bits();
#endif
    check_value(run(M, op_lw, ARENA + 4, 0), PATTERN, "M-mode does not translate");
    paging_off();
}

void topic(void)
{
    if (!has('S')) {
        skip("S-mode");
        return;
    }
    menvcfg_change(0, MENVCFG_PBMTE);
    fill_arena();
    for (unsigned i = 0; i < NR_SCHEMES; i++)
        check_scheme(&schemes[i]);
    check_bare();
}
