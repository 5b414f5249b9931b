// SPDX-License-Identifier: MIT
// mcause, mepc and mtval of every exception, and which one is taken where several could be.
#include "paging.h"

#define ECALL 0x00000073
#define GOOD  (PTE_V | PTE_RWX | PTE_AD)

static void put_insn(reg at, uint32_t bits)
{
    byte_at(at)[0] = (uint8_t)bits;
    byte_at(at)[1] = (uint8_t)(bits >> 8);
    byte_at(at)[2] = (uint8_t)(bits >> 16);
    byte_at(at)[3] = (uint8_t)(bits >> 24);
    fence_i();
}

// ---- Illegal instructions ----

static void check_illegal_bits(void)
{
    static const uint32_t bits[] = {
        0xffffffff, // ones
        0x00000000, // zeros
        0x0000007f, // reserved major opcode
        0x0000006b, // reserved
        0xfff01073, // csrw to a CSR that is not there
        0xc0001073, // csrw to cycle, which is read-only
        0x7c002573, // csrr of a CSR that is not there
        0x7fe00073, // SYSTEM that is nothing
        0x0000400f, // MISC-MEM that is nothing
    };
    paragraph("Machine Trap Value (mtval) Register");
    for (unsigned i = 0; i < ARRAY_LEN(bits); i++) {
        struct trap t = run_insn(M, bits[i], 0, 0);
        uint32_t want = has('C') && (bits[i] & 3) != 3 ? bits[i] & 0xffff : bits[i];
        check(t.cause, ILLEGAL, "illegal instruction %x", (reg)bits[i]);
        check(t.tval, want, "illegal instruction %x: mtval is it", (reg)bits[i]);
        check(t.epc, (reg)op_slot, "illegal instruction %x: mepc", (reg)bits[i]);
    }
    if (!has('C'))
        return;
    struct trap t = run_insn(M, 0x00010000, 0, 0); // c.unimp, c.nop
    check(t.cause, ILLEGAL, "a compressed illegal instruction");
    check(t.tval, 0, "a compressed illegal instruction: mtval is its 16 bits");
    t = run_insn(M, 0x00019c7d, 0, 0); // reserved in quadrant 1
    check(t.cause, ILLEGAL, "another compressed illegal instruction");
    check(t.tval, 0x9c7d, "another compressed illegal instruction: mtval is its 16 bits");
}

// ---- Breakpoints and calls ----

static void check_simple(void)
{
    static const enum priv privs[] = {U, S, M};
    paragraph("Environment Call and Breakpoint");
    for (unsigned i = 0; i < ARRAY_LEN(privs); i++) {
        enum priv p = privs[i];
        if (p != M && !has(p == S ? 'S' : 'U'))
            continue;
        struct trap t = run(p, op_ecall, 0, 0);
        check(t.cause, ECALL_U + p, "ecall in %s-mode: the cause", priv_name(p));
        check(t.epc, (reg)op_ecall, "ecall in %s-mode: mepc is its own address", priv_name(p));
        check(t.tval, 0, "ecall in %s-mode: mtval", priv_name(p));
        t = run(p, op_ebreak, 0, 0);
        check(t.cause, BREAKPOINT, "ebreak in %s-mode: the cause", priv_name(p));
        check(t.epc, (reg)op_ebreak, "ebreak in %s-mode: mepc is its own address", priv_name(p));
        check_true(t.tval == (reg)op_ebreak || t.tval == 0,
                   "ebreak in %s-mode: mtval is its address or 0", priv_name(p));
    }
    if (has('C')) {
        struct trap t = run_insn(M, 0x00019002, 0, 0); // c.ebreak, c.nop
        check(t.cause, BREAKPOINT, "c.ebreak: the cause");
        check(t.epc, (reg)op_slot, "c.ebreak: mepc is its own address");
    }
}

// ---- Fetches ----

static void check_misaligned_jumps(void)
{
    paragraph("Instruction address misaligned");
    struct trap t = run(M, op_jump, (reg)op_ecall + 1, 0);
    check(t.epc, (reg)op_ecall, "jalr clears bit 0 of its target");
    if (has('C')) {
        put_insn(ARENA + 2, ECALL);
        check_none(run(M, op_jump, ARENA + 2, 0), "with C, targets need be aligned to 2 only");
        return;
    }
    check_trap(run(M, op_jump, ARENA + 2, 0), FETCH_MISALIGNED, ARENA + 2,
               "jalr to an odd halfword");
    check(run(M, op_jump, ARENA + 2, 0).epc, (reg)op_jump,
          "jalr to an odd halfword: mepc is the jump's address");
    check_trap(run_insn(M, 0x0060056f, 0, 0), FETCH_MISALIGNED, (reg)op_slot + 6,
               "jal to an odd halfword"); // jal a0, .+6
    check_value(run_insn(M, 0x00b50363, 1, 2), 1,
                "a branch to an odd halfword that is not taken"); // beq a0, a1, .+6
    check_trap(run_insn(M, 0x00b50363, 2, 2), FETCH_MISALIGNED, (reg)op_slot + 6,
               "a branch to an odd halfword that is taken");
    t = run_insn(M, 0x0060056f, 77, 0);
    check(t.value, 77, "jal to an odd halfword: rd is not written");
    if (csr_rewrite(CSR_MEPC, ARENA + 2) == ARENA)
        check_true(true, "mepc[1] is 0 without C");
    else
        check(csr_read(CSR_MEPC), ARENA, "mepc[1] is 0 without C");
}

static void check_fetch_access(void)
{
    paragraph("Machine Trap Value (mtval) Register");
    struct trap t = run(M, op_jump, NOWHERE, 0);
    check_trap(t, FETCH_ACCESS, NOWHERE, "a fetch from where nothing is");
    check(t.epc, NOWHERE, "a fetch from where nothing is: mepc is the target");
}

// An instruction over the end of a page whose next page is not there.
static void check_crossing_fetch(enum priv priv)
{
    if (!has('C'))
        return;
    reg va = window(), at = va + PAGE - 2, user = priv == U ? PTE_U : 0;
    put_insn(ARENA + PAGE - 2, ECALL);
    map(va, ARENA, 0, GOOD | user);
    map(va + PAGE, 0, 0, 0);
    struct trap t = run(priv, op_jump, at, 0);
    check_trap(t, FETCH_PAGE, va + PAGE, "an instruction whose second half is not mapped, %s-mode",
               priv_name(priv));
    check(t.epc, at,
          "an instruction whose second half is not mapped, %s-mode: mepc is its beginning",
          priv_name(priv));
    map(va + PAGE, ARENA + PAGE, 0, (GOOD & ~PTE_X) | user);
    t = run(priv, op_jump, at, 0);
    check_trap(t, FETCH_PAGE, va + PAGE,
               "an instruction whose second half is not executable, %s-mode", priv_name(priv));
    map(va + PAGE, NOWHERE, 0, GOOD | user);
    t = run(priv, op_jump, at, 0);
    check_trap(t, FETCH_ACCESS, va + PAGE, "an instruction whose second half is nowhere, %s-mode",
               priv_name(priv));
    check(t.epc, at, "an instruction whose second half is nowhere, %s-mode: mepc is its beginning",
          priv_name(priv));
    map(va + PAGE, ARENA + PAGE, 0, GOOD | user);
    check_none(run(priv, op_jump, at, 0), "an instruction over the end of a page, %s-mode",
               priv_name(priv));
    // The second half is elsewhere than behind the first.
    put_insn(ARENA + 3 * PAGE - 2, ECALL);
    map(va + PAGE, ARENA + 3 * PAGE, 0, GOOD | user);
    check_none(run(priv, op_jump, at, 0),
               "an instruction over the end of a page, in pages that are not neighbours");
    map(va, 0, 0, 0);
    check_trap(run(priv, op_jump, at, 0), FETCH_PAGE, at,
               "an instruction whose first half is not mapped, %s-mode", priv_name(priv));
    map(va, 0, 0, 0);
    map(va + PAGE, 0, 0, 0);
}

// ---- Loads and stores ----

struct access {
    const char *name, *op;
    unsigned size;
    bool store, exact; // exact: must be aligned
};

static const struct access accesses[] = {
    {"lb", op_lb, 1, false, false},
    {"lbu", op_lbu, 1, false, false},
    {"lh", op_lh, 2, false, false},
    {"lw", op_lw, 4, false, false},
    {"sb", op_sb, 1, true, false},
    {"sh", op_sh, 2, true, false},
    {"sw", op_sw, 4, true, false},
    {"flw", op_flw, 4, false, false},
    {"fsw", op_fsw, 4, true, false},
    {"fld", op_fld, 8, false, false},
    {"fsd", op_fsd, 8, true, false},
    {"lr.w", op_lr_w, 4, false, true},
    {"amoadd.w", op_amoadd_w, 4, true, true},
    {"amoswap.w", op_amoswap_w, 4, true, true},
#if XLEN == 64
    {"ld", op_ld, 8, false, false},
    {"lwu", op_lwu, 4, false, false},
    {"sd", op_sd, 8, true, false},
    {"lr.d", op_lr_d, 8, false, true},
    {"amoadd.d", op_amoadd_d, 8, true, true},
#endif
};

static void check_access(const struct access *a)
{
    enum cause access = a->store ? STORE_ACCESS : LOAD_ACCESS,
               page = a->store ? STORE_PAGE : LOAD_PAGE;
    reg va = window();
    struct trap t = run(M, a->op, NOWHERE + 8, 0);
    check_trap(t, access, NOWHERE + 8, "%s where nothing is", a->name);
    check(t.epc, (reg)a->op, "%s where nothing is: mepc is its address", a->name);
    map(va, 0, 0, 0);
    t = run(S, a->op, va + 24, 0);
    check_trap(t, page, va + 24, "%s where nothing is mapped", a->name);
    check(t.epc, (reg)a->op, "%s where nothing is mapped: mepc is its address", a->name);
    map(va, NOWHERE, 0, GOOD);
    check_trap(run(S, a->op, va + 24, 0), access, va + 24,
               "%s mapped to where nothing is: the virtual address", a->name);
    if (a->size == 1)
        return;
    // Over the end of a page: the value is the address of the part that faults.
    map(va, ARENA, 0, GOOD);
    map(va + PAGE, 0, 0, 0);
    reg at = va + PAGE - 1;
    if (a->exact) {
        t = run(S, a->op, at, 0);
        check_true(t.cause == (a->store ? STORE_MISALIGNED : LOAD_MISALIGNED) ||
                       t.cause == access || t.cause == page,
                   "%s, misaligned: a fault", a->name);
        return;
    }
    check_trap(run(S, a->op, at, 0), page, va + PAGE, "%s into a page that is not mapped", a->name);
    map(va + PAGE, ARENA + PAGE, 0, GOOD);
    map(va, 0, 0, 0);
    check_trap(run(S, a->op, at, 0), page, at, "%s out of a page that is not mapped", a->name);
}

// ---- Priorities ----

static void check_priorities(void)
{
    reg va = window();
    paragraph("Synchronous exception priority in decreasing priority order");
    // A misaligned AMO that would fault, too: either order, but nothing else.
    map(va, 0, 0, 0);
    struct trap t = run(S, op_amoadd_w, va + 2, 0);
    check_true(t.cause == STORE_MISALIGNED || t.cause == STORE_PAGE,
               "a misaligned AMO to a page that is not mapped");
    t = run(S, op_lr_w, va + 2, 0);
    check_true(t.cause == LOAD_MISALIGNED || t.cause == LOAD_PAGE,
               "a misaligned LR from a page that is not mapped");
    // A page fault comes before the access fault of what lies behind it.
    map(va, NOWHERE, 0, PTE_V | PTE_X | PTE_AD);
    check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va,
               "a load without R from where nothing is: the page fault");
    check_trap(run(S, op_sw, va, 0), STORE_PAGE, va,
               "a store without W to where nothing is: the page fault");
    map(va, NOWHERE, 0, PTE_V | PTE_R | PTE_AD);
    check_trap(run(S, op_jump, va, 0), FETCH_PAGE, va,
               "a fetch without X from where nothing is: the page fault");
    // A CSR that is not accessible and does not exist, in one.
    if (has('F')) {
        how.status = 0;
        reg old = csr_read(CSR_MSTATUS);
        csr_clear(CSR_MSTATUS, MSTATUS_FS);
        check_illegal(run(S, op_flw, va + PAGE, 0), *(const uint32_t *)op_flw,
                      "a load to an f register with FS=Off: illegal before its page fault");
        csr_write(CSR_MSTATUS, old);
    }
    t = run(S, op_sfence_addr, va, 0);
    check_none(t, "a fence for an address that is not mapped");
}

void topic(void)
{
    csr_set(CSR_MSTATUS, MSTATUS_FS);
    check_illegal_bits();
    check_simple();
    check_misaligned_jumps();
    check_fetch_access();
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    paragraph("Machine Trap Value (mtval) Register");
    check_crossing_fetch(S);
    check_crossing_fetch(U);
    for (unsigned i = 0; i < ARRAY_LEN(accesses); i++)
        if (accesses[i].name[0] != 'f' || has('D'))
            check_access(&accesses[i]);
    check_priorities();
    paging_off();
}
