// SPDX-License-Identifier: MIT
// Sstc: stimecmp, who may use it, and STIP.
#include "guest.h"

static void set_stimecmp(uint64_t at)
{
#if XLEN == 32
    csr_write(CSR_STIMECMPH, UINT32_MAX);
    csr_write(CSR_STIMECMP, (reg)at);
    csr_write(CSR_STIMECMPH, at >> 32);
#else
    csr_write(CSR_STIMECMP, at);
#endif
}

static bool stip(void)
{
    return csr_read(CSR_MIP) >> STI & 1;
}

static void check_access(void)
{
    uint32_t read = csr_insn(CSR_STIMECMP, CSRRS, 10, 0),
             write = csr_insn(CSR_STIMECMP, CSRRW, 0, 10);
    paragraph("Supervisor Timer (stimecmp) Register");
    for (unsigned n = 0; n < 4; n++) {
        bool stce = n & 1, tm = n & 2;
        menvcfg_change(stce ? MENVCFG_STCE : 0, stce ? 0 : MENVCFG_STCE);
        csr_write(CSR_MCOUNTEREN, tm ? 2 : ~(reg)2);
        csr_write(CSR_SCOUNTEREN, 0);
        check_none(csr_reads(M, CSR_STIMECMP), "STCE=%u, TM=%u: M-mode reads it", stce, tm);
        check_none(csr_writes(M, CSR_STIMECMP, ~(reg)0), "STCE=%u, TM=%u: M-mode writes it", stce,
                   tm);
        if (stce && tm) {
            check_none(csr_reads(S, CSR_STIMECMP), "STCE=1, TM=1: S-mode reads it");
            check_none(csr_writes(S, CSR_STIMECMP, ~(reg)0), "STCE=1, TM=1: S-mode writes it");
#if XLEN == 32
            check_none(csr_writes(S, CSR_STIMECMPH, ~(reg)0),
                       "STCE=1, TM=1: S-mode writes its upper half");
#endif
        } else {
            check_illegal(csr_reads(S, CSR_STIMECMP), read,
                          "STCE=%u, TM=%u: S-mode may not read it", stce, tm);
            check_illegal(csr_writes(S, CSR_STIMECMP, 0), write,
                          "STCE=%u, TM=%u: S-mode may not write it", stce, tm);
#if XLEN == 32
            check_illegal(csr_reads(S, CSR_STIMECMPH), csr_insn(CSR_STIMECMPH, CSRRS, 10, 0),
                          "STCE=%u, TM=%u: S-mode may not read its upper half", stce, tm);
#endif
        }
        csr_write(CSR_SCOUNTEREN, ~(reg)0);
        check_illegal(csr_reads(U, CSR_STIMECMP), read, "STCE=%u, TM=%u: U-mode may not read it",
                      stce, tm);
    }
#if XLEN == 64
    check_illegal(csr_reads(M, CSR_STIMECMPH), csr_insn(CSR_STIMECMPH, CSRRS, 10, 0),
                  "stimecmph does not exist in RV64");
#endif
}

static void check_pending(void)
{
    set_stimecmp(UINT64_MAX);
    check(stip(), false, "time below stimecmp: STIP is 0");
    set_stimecmp(0);
    check(stip(), true, "time at or above stimecmp: STIP is 1");
    csr_clear(CSR_MIP, BIT(STI));
    check(stip(), true, "STIP is read-only: it cannot be cleared");
    set_stimecmp(UINT64_MAX);
    check(stip(), false, "stimecmp written: STIP is 0");
    csr_set(CSR_MIP, BIT(STI));
    check(stip(), false, "STIP is read-only: it cannot be set");
    uint64_t at = mtime() + 20000;
    set_stimecmp(at);
    check(stip(), false, "stimecmp in the future: STIP is 0");
    while (mtime() < at || (!stip() && mtime() < at + 1000000))
        ; // STIP follows the comparison, if not at once
    check(stip(), true, "when it has come: STIP is 1");
    set_stimecmp(mtime() + 1000000000);
    check(stip(), false, "stimecmp put off: STIP is 0");
    // The comparison is of unsigned numbers.
    set_stimecmp(UINT64_C(1) << 63);
    check(stip(), false, "stimecmp is unsigned");
    set_stimecmp(UINT64_MAX);
}

static void check_interrupt(void)
{
    csr_write(CSR_MIE, BIT(STI));
    set_stimecmp(0);
    csr_write(CSR_MIDELEG, BIT(STI));
    struct trap t = run(U, op_nop, 0, 0);
    check(t.cause, INTERRUPT | STI, "an interrupt in U-mode");
    check(t.handler, S, "an interrupt in U-mode, delegated: S-mode handles it");
    how.status = MSTATUS_SIE;
    check(run(S, op_nop, 0, 0).cause, INTERRUPT | STI, "an interrupt in S-mode, SIE=1");
    how.status = 0;
    check_none(run(S, op_nop, 0, 0), "no interrupt in S-mode, SIE=0");
    check(csr_reads(S, CSR_SIP).value >> STI & 1, 1, "sip shows it");
    csr_write(CSR_MIDELEG, 0);
    t = run(S, op_nop, 0, 0);
    check(t.cause, INTERRUPT | STI, "an interrupt in S-mode, not delegated");
    check(t.handler, M, "an interrupt in S-mode, not delegated: M-mode handles it");
    set_stimecmp(UINT64_MAX);
    check_none(run(U, op_nop, 0, 0), "no interrupt in U-mode, stimecmp put off");
    csr_write(CSR_MIE, 0);
}

static void check_disabled(void)
{
    paragraph("Machine Environment Configuration (menvcfg) Register");
    set_stimecmp(0);
    check_true(menvcfg_change(0, MENVCFG_STCE), "STCE can be cleared");
    check(stip(), false, "STCE=0: stimecmp does not make STIP pending");
    csr_set(CSR_MIP, BIT(STI));
    check(stip(), true, "STCE=0: STIP can be set in mip");
    csr_clear(CSR_MIP, BIT(STI));
    check(stip(), false, "STCE=0: STIP can be cleared in mip");
    menvcfg_change(MENVCFG_STCE, 0);
    check(stip(), true, "STCE=1 again: stimecmp counts");
    set_stimecmp(UINT64_MAX);
}

void topic(void)
{
    if (!has('S')) {
        skip("S-mode");
        return;
    }
    if (!menvcfg_change(MENVCFG_STCE, 0)) {
        skip("Sstc");
        return;
    }
    check_access();
    menvcfg_change(MENVCFG_STCE, 0);
    csr_write(CSR_MCOUNTEREN, ~(reg)0);
    paragraph("Supervisor Timer (stimecmp) Register");
    check_pending();
    check_interrupt();
    check_disabled();
}
