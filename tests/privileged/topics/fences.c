// SPDX-License-Identifier: MIT
// Address-translation fences: what sfence.vma, and Svinval's three instructions, make visible; ASIDs, global pages,
// changes of satp.
#include "paging.h"

#define GOOD (PTE_V | PTE_RWX | PTE_AD)

// Two pages that return their number when they are executed or loaded from.
static void make_pages(void)
{
    for (unsigned i = 0; i < 4; i++) {
        reg page = ARENA + i * PAGE;
        word_at(page)[0] = 0x00000513 | (i + 1) << 20; // li a0, i + 1
        word_at(page)[1] = 0x00000073;                 // ecall
        word_at(page)[2] = i + 1;
    }
}

// A fence as S-mode executes it.
struct fence {
    const char *name;
    const char *op;
    bool with_asid, with_addr;
    bool svinval;
};

static const struct fence fences[] = {
    {"sfence.vma x0, x0", op_sfence, false, false, false},
    {"sfence.vma va, x0", op_sfence_addr, false, true, false},
    {"sfence.vma x0, asid", op_sfence_asid, true, false, false},
    {"sfence.vma va, asid", op_sfence_both, true, true, false},
    {"sfence.w.inval, sinval.vma va, asid, sfence.inval.ir", op_inval_all, true, true, true},
};

static bool has_svinval(void)
{
    return run(M, op_w_inval, 0, 0).cause == NONE;
}

static unsigned loads(reg va)
{
    struct trap t = run(S, op_lw, va + 8, 0);
    return t.cause == NONE ? (unsigned)t.value : 0;
}

static unsigned runs(reg va)
{
    struct trap t = run(S, op_jump, va, 0);
    return t.cause == NONE ? (unsigned)t.value : 0;
}

static void do_fence(const struct fence *f, reg va, unsigned asid)
{
    check_none(run(S, f->op, va, asid), "%s executes", f->name);
}

// Without the fence of set_pte.
static void change(reg va, unsigned level, reg value)
{
    *(volatile reg *)pte_at(va, level) = value;
}

static void check_fence(const struct fence *f)
{
    static const unsigned asid = 3;
    reg va = window() + 7 * PAGE;
    csr_write(CSR_SATP, new_space(asid));
    sfence();
    map(va, ARENA, 0, GOOD);
    csr_write(CSR_SATP, new_space(asid));
    sfence();
    check(loads(va) | runs(va) << 4, 0x11, "%s: before", f->name);
    change(va, 0, PTE_PPN(ARENA + PAGE) | GOOD);
    do_fence(f, va, asid);
    check(loads(va), 2, "%s: loads see the new page", f->name);
    check(runs(va), 2, "%s: fetches see the new page", f->name);
    change(va, 0, PTE_PPN(ARENA + PAGE) | PTE_V | PTE_X | PTE_AD);
    do_fence(f, va, asid);
    check(loads(va), 0, "%s: R is gone", f->name);
    check(runs(va), 2, "%s: X is there", f->name);
    change(va, 0, PTE_PPN(ARENA + PAGE) | PTE_V | PTE_R | PTE_AD);
    do_fence(f, va, asid);
    check(loads(va), 2, "%s: R is back", f->name);
    check(runs(va), 0, "%s: X is gone", f->name);
    check_trap(run(S, op_sw, va + 12, 0), STORE_PAGE, va + 12, "%s: W is gone", f->name);
    change(va, 0, 0);
    do_fence(f, va, asid);
    check(loads(va) | runs(va), 0, "%s: the page is gone", f->name);
    change(va, 0, PTE_PPN(ARENA + 2 * PAGE) | GOOD);
    do_fence(f, va, asid);
    check(loads(va) | runs(va) << 4, 0x33, "%s: another page", f->name);
}

// By an address anywhere in it.
static void check_superpage(const struct fence *f)
{
    reg va = window(), other = ARENA + ARENA_SIZE - page_size(1);
    map(va, ARENA, 1, GOOD);
    if (page_size(1) == ARENA_SIZE)
        return;
    reg at = va + 5 * PAGE;
    for (unsigned i = 0; i < 8; i++)
        word_at(ARENA + i * PAGE)[2] = 1, word_at(other + i * PAGE)[2] = 2;
    check(loads(va) + loads(at), 2, "%s, large page: before", f->name);
    change(va, 1, PTE_PPN(other) | GOOD);
    do_fence(f, at, 0);
    check(loads(va) + loads(at) + loads(va + 7 * PAGE), 6, "%s, large page: all of it is new",
          f->name);
    change(va, 1, 0);
    do_fence(f, at, 0);
    check(loads(va) + loads(at), 0, "%s, large page: all of it is gone", f->name);
    make_pages();
}

// Only the pointer to the table changes.
static void check_pointer(const struct fence *f)
{
    reg va = window();
    if (f->with_addr)
        return; // which orders leaves alone
    map(va, ARENA, 0, GOOD);
    check(loads(va), 1, "%s, another table: before", f->name);
    reg old = *pte_at(va, 1), table = new_table();
    reg_at(table)[0] = PTE_PPN(ARENA + PAGE) | GOOD;
    change(va, 1, PTE_PPN(table) | PTE_V);
    do_fence(f, va, 0);
    check(loads(va), 2, "%s, another table: loads", f->name);
    check(runs(va), 2, "%s, another table: fetches", f->name);
    set_pte(pte_at(va, 1), old);
    set_pte(pte_at(va, 0), 0);
}

// ---- Address spaces ----

// Writes satp as S-mode.
static void switch_to(reg satp)
{
    run_insn(S, csr_insn(CSR_SATP, CSRRW, 0, 10), satp, 0);
}

static unsigned asid_bits(void)
{
    unsigned width = XLEN == 64 ? 16 : 9, shift = XLEN == 64 ? 44 : 22, n = 0;
    reg old = csr_read(CSR_SATP), all = (BIT(width) - 1) << shift;
    reg got = csr_rewrite(CSR_SATP, old | all) >> shift & (BIT(width) - 1);
    csr_write(CSR_SATP, old);
    while (got >> n & 1)
        n++;
    check(got, BIT(n) - 1, "the implemented bits of ASID are the low ones");
    return n;
}

// A page that is another one in each space; no fence in between.
static void check_spaces(void)
{
    enum { NR = 4 };
    reg spaces[NR], va = window();
    paragraph("Supervisor Address Translation and Protection (satp) Register");
    unsigned bits = asid_bits();
    if (bits < 2)
        return;
    map(va, ARENA, 0, 0);
    reg *pte = pte_at(va, scheme->levels - 1), old = *pte;
    for (unsigned i = 0; i < NR; i++) {
        *pte = 0;
        map(va, ARENA + i * PAGE, 0, GOOD);
        spaces[i] = new_space(i + 1 == NR ? (unsigned)BIT(bits) - 1 : i);
    }
    *pte = old;
    sfence();
    unsigned right = 0;
    for (unsigned n = 0; n < 64; n++) {
        unsigned i = (n * 7 + n / 5) % NR;
        switch_to(spaces[i]);
        right += loads(va) == i + 1 && runs(va) == i + 1;
    }
    check(right, 64, "each of 4 spaces has its own page, without a fence");
    // A fence for one ASID must not bring back what another one's page was.
    switch_to(spaces[1]);
    run(S, op_sfence_asid, 0, 2);
    check(loads(va), 2, "a fence of another ASID leaves this one's page");
    switch_to(spaces[0]);
}

static void check_global(void)
{
    reg va = window() + PAGE, global = GOOD | PTE_G;
    paragraph("Addressing and Memory Protection");
    paging_on(scheme);
    map(va, ARENA, 0, global);
    reg first = new_space(1), second = new_space(2);
    switch_to(first);
    check(loads(va) | runs(va) << 4, 0x11, "a global page, in the first space");
    switch_to(second);
    check(loads(va) | runs(va) << 4, 0x11, "a global page, in the second space");
    change(va, 0, PTE_PPN(ARENA + PAGE) | global);
    run(S, op_sfence_addr, va, 0);
    check(loads(va) | runs(va) << 4, 0x22, "a global page that changed, behind sfence.vma va, x0");
    switch_to(first);
    check(loads(va) | runs(va) << 4, 0x22, "a global page that changed, in the other space");
    change(va, 0, PTE_PPN(ARENA + 2 * PAGE) | global);
    run(S, op_sfence, 0, 0);
    check(loads(va) | runs(va) << 4, 0x33, "a global page that changed, behind sfence.vma x0, x0");
}

static void check_bare_at_once(void)
{
    paragraph("Supervisor Memory-Management Fence Instruction");
    paging_on(scheme);
    reg satp = csr_read(CSR_SATP);
    set_pte(pte_at(ARENA, 1), 0);
    unsigned right = 0;
    for (unsigned i = 0; i < 8; i++) {
        switch_to(0);
        right += loads(ARENA) == 1;
        switch_to(satp);
        right += loads(ARENA) == 0;
    }
    check(right, 16, "satp.MODE to and from Bare takes effect without a fence");
#if XLEN == 64
    reg bad = BIT(63) ^ (reg)1 << 61;
    check_none(run(S, op_sfence_addr, bad, 0), "an address that is none is no exception");
    check_none(run(S, op_sfence_both, bad, 1),
               "an address that is none, with an ASID, is no exception");
#endif
}

static void check_satp(void)
{
    static const unsigned modes[] = {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    paragraph("Supervisor Address Translation and Protection (satp) Register");
    reg old = csr_read(CSR_SATP);
    for (unsigned i = 0; XLEN == 64 && i < ARRAY_LEN(modes); i++) {
        reg got = csr_rewrite(CSR_SATP, (reg)modes[i] << (XLEN - 4) | 0x123);
        check(got, old, "MODE=%u is not supported: nothing is written", modes[i]);
        csr_write(CSR_SATP, old);
    }
    reg ppn = XLEN == 64 ? BIT(44) - 1 : BIT(22) - 1;
    check(csr_rewrite(CSR_SATP, old | ppn) & ppn, ppn, "PPN holds all bits");
    csr_write(CSR_SATP, old);
}

void topic(void)
{
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    make_pages();
    if (!has_svinval())
        skip("Svinval");
    for (unsigned i = 0; i < ARRAY_LEN(fences); i++) {
        if (fences[i].svinval && !has_svinval())
            continue;
        if (fences[i].svinval)
            paragraph("Svinval");
        else
            paragraph("Supervisor Memory-Management Fence Instruction");
        paging_on(scheme);
        check_fence(&fences[i]);
        paging_on(scheme);
        check_superpage(&fences[i]);
        paging_on(scheme);
        check_pointer(&fences[i]);
    }
    paging_on(scheme);
    check_spaces();
    check_global();
    check_bare_at_once();
    check_satp();
}
