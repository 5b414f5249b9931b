// SPDX-License-Identifier: MIT
// medeleg and mideleg: each cause from each mode, delegated and not.
#include "paging.h"

static reg at; // of a mapping in U- and S-mode

#define NOT_EXECUTABLE (PTE_V | PTE_R | PTE_AD)

// How to bring about each exception in S- and U-mode.
static const struct {
    enum cause cause;
    const char *op;
    reg offset;       // into a page that is mapped so; misaligned ones cross 16 bytes
    reg s_pte, u_pte; // 0: none is needed
} causes[] = {
    {FETCH_ACCESS, op_jump, 0, PTE_V | PTE_RWX | PTE_AD, PTE_V | PTE_RWX | PTE_AD | PTE_U},
    {ILLEGAL, op_illegal, 0, 0, 0},
    {BREAKPOINT, op_ebreak, 0, 0, 0},
    {LOAD_MISALIGNED, op_lr_w, 14, PTE_V | PTE_RWX | PTE_AD, PTE_V | PTE_RWX | PTE_AD | PTE_U},
    {LOAD_ACCESS, op_lw, 0, PTE_V | PTE_RWX | PTE_AD, PTE_V | PTE_RWX | PTE_AD | PTE_U},
    {STORE_MISALIGNED, op_amoadd_w, 14, PTE_V | PTE_RWX | PTE_AD, PTE_V | PTE_RWX | PTE_AD | PTE_U},
    {STORE_ACCESS, op_sw, 0, PTE_V | PTE_RWX | PTE_AD, PTE_V | PTE_RWX | PTE_AD | PTE_U},
    {ECALL_U, op_ecall, 0, 0, 0},
    {ECALL_S, op_ecall, 0, 0, 0},
    {FETCH_PAGE, op_jump, 0, NOT_EXECUTABLE, NOT_EXECUTABLE | PTE_U},
    {LOAD_PAGE, op_lw, 0, PTE_V | PTE_X | PTE_AD, PTE_V | PTE_X | PTE_AD | PTE_U},
    {STORE_PAGE, op_sw, 0, PTE_V | PTE_R | PTE_AD, PTE_V | PTE_R | PTE_AD | PTE_U},
};

static bool is_access_fault(enum cause c)
{
    return c == FETCH_ACCESS || c == LOAD_ACCESS || c == STORE_ACCESS;
}

static struct trap provoke(unsigned i, enum priv priv)
{
    reg pte = priv == U ? causes[i].u_pte : causes[i].s_pte;
    if (pte)
        map(at, is_access_fault(causes[i].cause) ? NOWHERE : ARENA, 0, pte);
    return run(priv, causes[i].op, at + causes[i].offset, 0);
}

static void check_cause(unsigned i, enum priv priv)
{
    enum cause cause = causes[i].cause;
    csr_write(CSR_MEDELEG, 0);
    struct trap t = provoke(i, priv);
    check(t.cause, cause, "cause %u from %s-mode", cause, priv_name(priv));
    check(t.handler, M, "cause %u from %s-mode, not delegated: M-mode handles it", cause,
          priv_name(priv));
    check(t.status & MSTATUS_MPP, MPP(priv), "cause %u from %s-mode, not delegated: MPP", cause,
          priv_name(priv));
    csr_write(CSR_MEDELEG, ~BIT(cause));
    if (cause != ECALL_S) { // S-mode's handler leaves by one
        csr_clear(CSR_MEDELEG, BIT(ECALL_S));
        t = provoke(i, priv);
        check(t.handler, M, "cause %u from %s-mode, all others delegated: M-mode handles it", cause,
              priv_name(priv));
    }
    csr_write(CSR_MEDELEG, BIT(cause));
    struct trap d = provoke(i, priv);
    csr_write(CSR_MEDELEG, 0);
    check(d.handler, S, "cause %u from %s-mode, delegated: S-mode handles it", cause,
          priv_name(priv));
    check(d.cause, cause, "cause %u from %s-mode, delegated: scause", cause, priv_name(priv));
    check(d.epc, t.epc, "cause %u from %s-mode, delegated: sepc", cause, priv_name(priv));
    check(d.tval, t.tval, "cause %u from %s-mode, delegated: stval", cause, priv_name(priv));
    check(!!(d.status & MSTATUS_SPP), priv == S, "cause %u from %s-mode, delegated: SPP", cause,
          priv_name(priv));
}

// M-mode's own traps stay M-mode's.
static void check_machine(void)
{
    static const struct {
        enum cause cause;
        const char *op;
        reg addr;
    } traps[] = {
        {FETCH_ACCESS, op_jump, NOWHERE}, {ILLEGAL, op_illegal, 0},
        {BREAKPOINT, op_ebreak, 0},       {LOAD_MISALIGNED, op_lr_w, ARENA + 14},
        {LOAD_ACCESS, op_lw, NOWHERE},    {STORE_MISALIGNED, op_amoadd_w, ARENA + 14},
        {STORE_ACCESS, op_sw, NOWHERE},
    };
    csr_write(CSR_MEDELEG, ~(reg)0);
    for (unsigned i = 0; i < ARRAY_LEN(traps); i++) {
        struct trap t = run(M, traps[i].op, traps[i].addr, 0);
        check(t.cause, traps[i].cause, "cause %u from M-mode, delegated", traps[i].cause);
        check(t.handler, M, "cause %u from M-mode, delegated: M-mode handles it", traps[i].cause);
    }
    struct trap t = run(M, op_ecall, 0, 0);
    csr_write(CSR_MEDELEG, 0);
    check(t.cause, ECALL_M, "an environment call from M-mode");
    check(t.handler, M, "an environment call from M-mode: M-mode handles it");
}

static void check_registers(void)
{
    static const reg all = BIT(SSI) | BIT(STI) | BIT(SEI);
    reg got = csr_rewrite(CSR_MEDELEG, ~(reg)0);
    check(got & BIT(ECALL_M), 0, "medeleg[11] is read-only 0");
    check(got & BIT(16), 0, "medeleg[16] is read-only 0");
    check(csr_rewrite(CSR_MEDELEG, 0), 0, "medeleg has no read-only ones");
    for (unsigned i = 0; i < ARRAY_LEN(causes); i++)
        check(csr_rewrite(CSR_MEDELEG, BIT(causes[i].cause)), BIT(causes[i].cause),
              "cause %u can be delegated", causes[i].cause);
    check(csr_rewrite(CSR_MEDELEG, BIT(FETCH_MISALIGNED)) & ~BIT(FETCH_MISALIGNED), 0,
          "cause 0 alone");
    csr_write(CSR_MEDELEG, 0);
    check(csr_rewrite(CSR_MIDELEG, all) & all, all, "S-mode's interrupts can be delegated");
    check(csr_rewrite(CSR_MIDELEG, 0) & (BIT(MSI) | BIT(MTI) | BIT(MEI)), 0,
          "mideleg has no read-only ones for M-mode's");
#if XLEN == 32
    check_none(csr_reads(M, CSR_MEDELEGH), "medelegh exists in RV32");
#else
    check_illegal(csr_reads(M, CSR_MEDELEGH), csr_insn(CSR_MEDELEGH, CSRRS, 10, 0),
                  "medelegh does not exist in RV64");
#endif
}

void topic(void)
{
    paragraph("Machine Trap Delegation (medeleg and mideleg) Registers");
    if (!has('S')) {
        check_illegal(csr_reads(M, CSR_MEDELEG), csr_insn(CSR_MEDELEG, CSRRS, 10, 0),
                      "medeleg does not exist without S-mode");
        check_illegal(csr_reads(M, CSR_MIDELEG), csr_insn(CSR_MIDELEG, CSRRS, 10, 0),
                      "mideleg does not exist without S-mode");
        return;
    }
    check_registers();
    check_machine();
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    at = window();
    for (unsigned i = 0; i < ARRAY_LEN(causes); i++) {
        if (causes[i].cause != ECALL_S)
            check_cause(i, U);
        if (causes[i].cause != ECALL_U)
            check_cause(i, S);
    }
    paging_off();
}
