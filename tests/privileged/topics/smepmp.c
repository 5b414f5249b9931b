// SPDX-License-Identifier: MIT
// Smepmp: mseccfg's MML, MMWP and RLB. MML and MMWP stay once set, so the order of the checks matters.
#include "guest.h"

#define MML   BIT(0)
#define MMWP  BIT(1)
#define RLB   BIT(2)
#define ECALL 0x00000073
#define TEXT  0x80000000ul
#define DATA  0x80200000ul
#define SIZE  0x200000ul

enum { TEST, OPS, TEXT_RX, DATA_RW, DEVICES, SPARE };

#define M_ONLY_RX   (PMP_L | PMP_R | PMP_X)
#define M_ONLY_RW   (PMP_L | PMP_R | PMP_W)
#define SHARED_CODE (PMP_L | PMP_W | PMP_X) // M-mode may read it

// Bit 3 to 0 of the index: L, R, W, X. Bits of what they allow: PMP_R, PMP_W, PMP_X.
static const struct {
    uint8_t m, su;
} table[16] = {
    {0, 0},     {0, PMP_X},         {PMP_R | PMP_W, PMP_R}, {PMP_R | PMP_W, PMP_R | PMP_W},
    {0, PMP_R}, {0, PMP_R | PMP_X}, {0, PMP_R | PMP_W},     {0, PMP_RWX},
    {0, 0},     {PMP_X, 0},         {PMP_X, PMP_X},         {PMP_R | PMP_X, PMP_X},
    {PMP_R, 0}, {PMP_R | PMP_X, 0}, {PMP_R | PMP_W, 0},     {PMP_R, PMP_R},
};

static reg cfg_of(unsigned lrwx)
{
    return (lrwx & 8 ? PMP_L : 0) | (lrwx & 4 ? PMP_R : 0) | (lrwx & 2 ? PMP_W : 0) |
           (lrwx & 1 ? PMP_X : 0);
}

static void check_allowed(enum priv priv, reg allowed, const char *name, unsigned n)
{
    struct trap t = run(priv, op_lw, ARENA, 0);
    if (allowed & PMP_R)
        check_none(t, "%s %u: %s-mode may load", name, n, priv_name(priv));
    else
        check_trap(t, LOAD_ACCESS, ARENA, "%s %u: %s-mode may not load", name, n, priv_name(priv));
    t = run(priv, op_sw, ARENA, ECALL);
    if (allowed & PMP_W)
        check_none(t, "%s %u: %s-mode may store", name, n, priv_name(priv));
    else
        check_trap(t, STORE_ACCESS, ARENA, "%s %u: %s-mode may not store", name, n,
                   priv_name(priv));
    t = run(priv, op_jump, ARENA, 0);
    if (allowed & PMP_X)
        check_none(t, "%s %u: %s-mode may fetch", name, n, priv_name(priv));
    else
        check_trap(t, FETCH_ACCESS, ARENA, "%s %u: %s-mode may not fetch", name, n,
                   priv_name(priv));
}

// M-mode with MPRV is checked as the other mode.
static void check_mprv(reg allowed, unsigned lrwx)
{
    reg status = (csr_read(CSR_MSTATUS) & ~MSTATUS_MPP) | MSTATUS_MPRV | MPP(U);
    struct trap t = run_at(M, (reg)op_mprv_lw, ARENA, 0, status);
    check(t.cause, allowed & PMP_R ? NONE : LOAD_ACCESS, "LRWX %u: MPRV=1, a load", lrwx);
    t = run_at(M, (reg)op_mprv_sw, ARENA, ECALL, status);
    check(t.cause, allowed & PMP_W ? NONE : STORE_ACCESS, "LRWX %u: MPRV=1, a store", lrwx);
}

static void check_table(void)
{
    paragraph("Smepmp: MML=1, truth table");
    for (unsigned lrwx = 0; lrwx < 16; lrwx++) {
        pmp_set(TEST, PMP_NAPOT | cfg_of(lrwx), napot(ARENA, PAGE));
        check(pmp_cfg(TEST), PMP_NAPOT | cfg_of(lrwx), "LRWX %u can be written with RLB=1", lrwx);
        check_allowed(M, table[lrwx].m, "LRWX", lrwx);
        if (has('S'))
            check_allowed(S, table[lrwx].su, "LRWX", lrwx);
        check_allowed(U, table[lrwx].su, "LRWX", lrwx);
        check_mprv(table[lrwx].su, lrwx);
    }
    pmp_set_cfg(TEST, 0);
}

// Before MML: rules for this program, as it would not go on without them.
static void set_rules(void)
{
    pmp_set(TEXT_RX, PMP_NAPOT | M_ONLY_RX, napot(TEXT, SIZE));
    pmp_set(DATA_RW, PMP_NAPOT | M_ONLY_RW, napot(DATA, SIZE));
    pmp_set(DEVICES, PMP_NAPOT | M_ONLY_RW, napot(0, 0x20000000));
}

static void check_bypass(void)
{
    paragraph("Smepmp: RLB");
    check(csr_rewrite(CSR_MSECCFG, RLB), RLB, "RLB can be set where no entry is locked");
    pmp_set(SPARE, PMP_L | PMP_R | PMP_NAPOT, napot(ARENA, PAGE));
    pmp_set(SPARE, PMP_R, 0x1000);
    check(pmp_cfg(SPARE), PMP_R, "RLB=1: a locked entry can be changed");
    check(pmp_addr(SPARE), 0x1000, "RLB=1: its address too");
    pmp_set_addr(SPARE, ARENA >> 2);
    pmp_set(SPARE + 1, PMP_L | PMP_TOR | PMP_RWX, (ARENA + PAGE) >> 2);
    pmp_set_addr(SPARE, 0);
    check(pmp_addr(SPARE), 0, "RLB=1: the address below a locked TOR");
    pmp_set(SPARE + 1, 0, 0);
    pmp_set_cfg(SPARE, 0);
    check(csr_rewrite(CSR_MSECCFG, 0), 0, "RLB can be cleared");
    check(csr_rewrite(CSR_MSECCFG, RLB), RLB, "RLB can be set again while no entry is locked");
    pmp_set_cfg(SPARE, PMP_W);
    check_true((pmp_cfg(SPARE) & (PMP_R | PMP_W)) != PMP_W, "MML=0: R=0 and W=1 stays reserved");
    pmp_set_cfg(SPARE, 0);
}

static void check_unmatched(bool mmwp)
{
    // Without MMWP M-mode may load and store what no rule matches, but not execute it.
    paragraph("Smepmp: MML=1, MMWP=%u, no rule matches", (reg)mmwp);
    check_allowed(M, mmwp ? 0 : PMP_R | PMP_W, "no rule", 0);
    check_allowed(U, 0, "no rule", 0);
}

// The last checks: RLB is cleared for good.
static void check_lockdown(void)
{
    paragraph("Smepmp: MML=1, RLB=0");
    check(csr_rewrite(CSR_MSECCFG, MML | MMWP), MML | MMWP, "RLB can be cleared");
    check(csr_rewrite(CSR_MSECCFG, MML | MMWP | RLB), MML | MMWP,
          "RLB stays 0 while an entry is locked");
    for (unsigned lrwx = 0; lrwx < 16; lrwx++) {
        reg cfg = PMP_NAPOT | cfg_of(lrwx);
        if (lrwx == 8 || lrwx == 12 || lrwx == 14 || lrwx == 15)
            continue; // would lock it
        pmp_set(TEST, cfg, napot(ARENA, PAGE));
        bool m_code = table[lrwx].m & PMP_X;
        check(pmp_cfg(TEST), m_code ? 0 : cfg, "LRWX %u %s", lrwx,
              m_code ? "is refused: M-mode could execute it" : "can be written");
        pmp_set_cfg(TEST, 0);
    }
    pmp_set(TEST, PMP_NAPOT | M_ONLY_RW, napot(ARENA, PAGE));
    check(pmp_cfg(TEST), PMP_NAPOT | M_ONLY_RW, "M-mode's data can be added");
    pmp_set(TEST, 0, 0);
    check(pmp_cfg(TEST), PMP_NAPOT | M_ONLY_RW, "and is locked");
    check(pmp_addr(TEST), napot(ARENA, PAGE), "and so is its address");
    pmp_set_cfg(OPS, 0);
    check(pmp_cfg(OPS), PMP_NAPOT | SHARED_CODE, "a locked shared region stays");
}

static void check_sticky(void)
{
    paragraph("Smepmp: MML and MMWP");
    check(csr_rewrite(CSR_MSECCFG, RLB) & MML, MML, "MML stays once set");
    check_unmatched(false);
    paragraph("Smepmp: MML and MMWP");
    check(csr_rewrite(CSR_MSECCFG, RLB | MMWP), RLB | MMWP | MML, "MMWP can be set");
    check(csr_rewrite(CSR_MSECCFG, RLB), RLB | MMWP | MML, "MMWP stays once set");
    check_unmatched(true);
}

void topic(void)
{
    if (!has_csr(CSR_MSECCFG)) {
        skip("Smepmp");
        return;
    }
    paragraph("Smepmp: mseccfg");
    if (has('S'))
        check_illegal(csr_reads(S, CSR_MSECCFG), csr_insn(CSR_MSECCFG, CSRRS, 10, 0),
                      "mseccfg is M-mode's alone");
    *word_at(ARENA) = ECALL;
    check_bypass();
    set_rules();
    csr_write(CSR_MSECCFG, RLB | MML);
    pmp_set(OPS, PMP_NAPOT | SHARED_CODE, napot((reg)ops, 0x4000));
    pmp_set_cfg(PMP_OPEN, 0);
    paragraph("Smepmp: MML and MMWP");
    check(csr_read(CSR_MSECCFG), RLB | MML, "MML can be set");
    check_table();
    check_sticky();
    check_lockdown();
}
