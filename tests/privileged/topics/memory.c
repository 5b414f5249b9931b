// SPDX-License-Identifier: MIT
// Who may do what with a page: R, W, X, U with SUM, MXR and MPRV, in each mode.
#include "paging.h"

enum access { LOAD, STORE, AMO, FETCH, LR, NR_ACCESSES };

static const struct {
    const char *name;
    const char *op, *mprv_op;
    enum cause page;
} accesses[NR_ACCESSES] = {
    [LOAD] = {"load", op_lw, op_mprv_lw, LOAD_PAGE},
    [STORE] = {"store", op_sw, op_mprv_sw, STORE_PAGE},
    [AMO] = {"AMO", op_amoadd_w, op_mprv_amoadd_w, STORE_PAGE},
    [FETCH] = {"fetch", op_jump, NULL, FETCH_PAGE},
    [LR] = {"LR", op_lr_w, op_mprv_lr_w, LOAD_PAGE},
};

// R, W, X of PTEs that are not reserved.
static const reg permissions[] = {PTE_R, PTE_X, PTE_R | PTE_W, PTE_R | PTE_X, PTE_RWX};

// What the manual allows.
static bool is_allowed(enum access a, enum priv priv, reg pte, bool sum, bool mxr)
{
    bool user = pte & PTE_U;
    bool readable = pte & PTE_R || (mxr && pte & PTE_X);
    if (priv == U && !user)
        return false;
    if (priv == S && user && (a == FETCH || !sum))
        return false;
    switch (a) {
    case LOAD:
    case LR:
        return readable;
    case STORE:
        return pte & PTE_W;
    case AMO:
        return pte & PTE_W;
    default:
        return pte & PTE_X;
    }
}

static bool is_right(struct trap t, enum access a, bool allowed, reg va)
{
    return allowed ? t.cause == NONE : t.cause == accesses[a].page && t.tval == va;
}

// By the mode itself.
static void check_direct(reg va, enum access a, enum priv priv)
{
    unsigned n = 0, right = 0;
    reg first_wrong = 0;
    for (unsigned i = 0; i < ARRAY_LEN(permissions); i++) {
        for (unsigned bits = 0; bits < 8; bits++) {
            bool user = bits & 1, sum = bits & 2, mxr = bits & 4;
            reg pte = PTE_V | PTE_AD | permissions[i] | (user ? PTE_U : 0);
            map(va, ARENA, 0, pte);
            how.status = (sum ? MSTATUS_SUM : 0) | (mxr ? MSTATUS_MXR : 0);
            struct trap t = run(priv, accesses[a].op, va, 0);
            how.status = 0;
            n++;
            if (is_right(t, a, is_allowed(a, priv, pte, sum, mxr), va))
                right++;
            else if (!first_wrong)
                first_wrong = pte | (sum ? BIT(10) : 0) | (mxr ? BIT(11) : 0);
        }
    }
    check(right, n,
          "%s by %s-mode: all permissions, U, SUM and MXR (wrong first: PTE, SUM 0x400, MXR 0x800: "
          "%x)",
          accesses[a].name, priv_name(priv), first_wrong);
}

// By M-mode on behalf of another.
static void check_mprv(reg va, enum access a, enum priv as)
{
    unsigned n = 0, right = 0;
    for (unsigned i = 0; i < ARRAY_LEN(permissions); i++) {
        for (unsigned bits = 0; bits < 8; bits++) {
            bool user = bits & 1, sum = bits & 2, mxr = bits & 4;
            reg pte = PTE_V | PTE_AD | permissions[i] | (user ? PTE_U : 0);
            map(va, ARENA, 0, pte);
            reg status = (csr_read(CSR_MSTATUS) & ~MSTATUS_MPP) | MSTATUS_MPRV | MPP(as) |
                         (sum ? MSTATUS_SUM : 0) | (mxr ? MSTATUS_MXR : 0);
            struct trap t = run_at(M, (reg)accesses[a].mprv_op, va, 0, status);
            n++;
            right += is_right(t, a, is_allowed(a, as, pte, sum, mxr), va);
        }
    }
    check(right, n, "%s by M-mode with MPRV=1 and MPP=%s: all permissions, U, SUM and MXR",
          accesses[a].name, priv_name(as));
}

static void check_mprv_machine(reg va)
{
    reg status = csr_read(CSR_MSTATUS) | MSTATUS_MPRV | MSTATUS_MPP;
    map(va, ARENA, 0, 0);
    check_value(run_at(M, (reg)op_mprv_lw, ARENA, 0, status), *word_at(ARENA),
                "a load with MPRV=1 and MPP=M does not translate");
    status = (status & ~MSTATUS_MPP) | MPP(U);
    struct trap t = run_at(M, (reg)op_mprv_lw, ARENA, 0, status);
    check_trap(t, LOAD_PAGE, ARENA, "a load with MPRV=1 and MPP=U of a page of S-mode");
    check(t.status & (MSTATUS_MPP | MSTATUS_MPRV), MSTATUS_MPP | MSTATUS_MPRV,
          "its trap: MPP is M, MPRV stays");
}

static void check_changes_at_once(reg va)
{
    paragraph("Supervisor Memory-Management Fence Instruction");
    map(va, ARENA, 0, PTE_V | PTE_R | PTE_AD | PTE_U);
    how.status = MSTATUS_SUM;
    check_none(run(S, op_lw, va, 0), "SUM=1");
    how.status = 0;
    check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "SUM=0 takes effect without a fence");
    how.status = MSTATUS_SUM;
    check_none(run(S, op_lw, va, 0), "SUM=1 takes effect without a fence");
    map(va, ARENA, 0, PTE_V | PTE_X | PTE_AD);
    how.status = MSTATUS_MXR;
    check_none(run(S, op_lw, va, 0), "MXR=1");
    how.status = 0;
    check_trap(run(S, op_lw, va, 0), LOAD_PAGE, va, "MXR=0 takes effect without a fence");
    how.status = MSTATUS_MXR;
    check_none(run(S, op_lw, va, 0), "MXR=1 takes effect without a fence");
    how.status = 0;
}

// SUM and MXR are of PTEs alone.
static void check_without_paging(void)
{
    paragraph("Memory Privilege in mstatus Register");
    paging_off();
    check_none(run(S, op_lw, ARENA, 0), "satp.MODE=Bare: SUM=0 has no effect");
    if (!has_pmp())
        return;
    pmp_set(0, PMP_NAPOT | PMP_X, napot(ARENA, PAGE));
    how.status = MSTATUS_MXR;
    check_trap(run(S, op_lw, ARENA, 0), LOAD_ACCESS, ARENA,
               "MXR=1 does not make an executable PMP region readable");
    how.status = 0;
    pmp_set_cfg(0, 0);
}

void topic(void)
{
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    reg va = window();
    *word_at(ARENA) = 0x00000073; // ecall
    paragraph("Addressing and Memory Protection");
    for (unsigned a = 0; a < NR_ACCESSES; a++) {
        check_direct(va, a, U);
        *word_at(ARENA) = 0x00000073;
        check_direct(va, a, S);
        *word_at(ARENA) = 0x00000073;
    }
    paragraph("Memory Privilege in mstatus Register");
    for (unsigned a = 0; a < NR_ACCESSES; a++) {
        if (!accesses[a].mprv_op)
            continue;
        check_mprv(va, a, U);
        check_mprv(va, a, S);
    }
    check_mprv_machine(va);
    check_changes_at_once(va);
    check_without_paging();
}
