// SPDX-License-Identifier: MIT
// Waiting for interrupts: who may, what ends it, and where execution goes on.
#include "interrupts.h"

static const enum priv privs[] = {U, S, M};

static bool exists(enum priv priv)
{
    return priv == M || has(priv == S ? 'S' : 'U');
}

static struct trap waits(enum priv priv, reg status)
{
    how.status = status;
    struct trap t = run(priv, op_wfi_then, 10, 0);
    how.status = 0;
    return t;
}

// An interrupt that is pending and enabled in mie ends the wait, whether it is taken or not.
static void check_pending(enum irq irq, const char *name)
{
    pend(irq, true);
    csr_write(CSR_MIE, BIT(irq));
    check_value(waits(M, 0), 12, "%s pending, MIE=0: goes on behind it", name);
    struct trap t = waits(M, MSTATUS_MPIE);
    check(t.cause, INTERRUPT | irq, "%s pending, MIE=1: taken", name);
    if (has('S') && !(irq == MSI || irq == MTI || irq == MEI)) {
        csr_write(CSR_MIDELEG, BIT(irq));
        check_value(waits(M, MSTATUS_MPIE), 12,
                    "%s pending, delegated: goes on behind it in M-mode", name);
        check_value(waits(S, 0), 12, "%s pending, delegated, SIE=0: goes on behind it in S-mode",
                    name);
        csr_write(CSR_MIDELEG, 0);
    }
    csr_write(CSR_MIE, 0);
    pend(irq, false);
}

// Nothing is pending before the timer is.
static void check_timer(reg status, bool taken)
{
    csr_write(CSR_MIE, BIT(MTI));
    uint64_t at = mtime() + 5000;
    set_mtimecmp(0, at);
    struct trap t = waits(M, status);
    check_true(mtime() >= at || t.cause == NONE,
               "a wait for the timer, MIE=%u, ends when it comes or before", taken);
    // A wait may end for any reason; the interrupt is taken as soon as it is there.
    if (taken && t.cause != NONE) {
        check(t.cause, INTERRUPT | MTI, "a wait for the timer, MIE=1: the interrupt is taken");
        check_true(t.epc >= (reg)op_wfi_then + 4 && t.epc <= (reg)op_wfi_then + 12,
                   "a wait for the timer, MIE=1: mepc is behind the wfi");
        check(t.epc - (reg)op_wfi_then, 4,
              "a wait for the timer, MIE=1: mepc is that of the next instruction");
    } else {
        check_value(t, 12, "a wait for the timer, MIE=0: goes on behind it");
    }
    csr_write(CSR_MIE, 0);
    set_mtimecmp(0, UINT64_MAX);
}

static void check_trapped(void)
{
    uint32_t bits = *(const uint32_t *)op_wfi_then;
    pend(MSI, true);
    csr_write(CSR_MIE, 0);
    paragraph("Virtualization Support in mstatus Register");
    for (unsigned i = 0; i < ARRAY_LEN(privs); i++) {
        if (!exists(privs[i]))
            continue;
        pend(MTI, true); // pending, but not enabled: it would not end a wait
        if (privs[i] == M)
            continue;
        how.status = MSTATUS_TW;
        check_illegal(run(privs[i], op_wfi, 0, 0), bits, "TW=1: wfi in %s-mode",
                      priv_name(privs[i]));
        how.status = 0;
        pend(MTI, false);
    }
    if (has('S'))
        check_illegal(run(U, op_wfi, 0, 0), bits, "TW=0: wfi in U-mode, where there is an S-mode");
    // With something to end them at once:
    if (has('S')) {
        pend(SSI, true);
        csr_write(CSR_MIDELEG, BIT(SSI));
        csr_write(CSR_MIE, BIT(SSI));
        check_none(run(S, op_wfi, 0, 0), "TW=0: wfi in S-mode");
        csr_write(CSR_MIE, 0);
        csr_write(CSR_MIDELEG, 0);
        pend(SSI, false);
    }
    csr_write(CSR_MIE, BIT(MSI));
    how.status = MSTATUS_TW;
    check_none(run(M, op_wfi, 0, 0), "TW=1: wfi in M-mode");
    how.status = 0;
    csr_write(CSR_MIE, 0);
    pend(MSI, false);
    pend(MTI, false);
}

// The same rules for waiting on a reservation.
static void check_wrs(void)
{
    struct trap t = run(M, op_wrs_nto, 0, 0);
    if (t.cause == ILLEGAL) {
        skip("Zawrs");
        return;
    }
    paragraph("Zawrs");
    check_none(t, "wrs.nto without a reservation in M-mode");
    if (has('S'))
        check_none(run(S, op_wrs_nto, 0, 0), "wrs.nto without a reservation in S-mode");
    if (has('U'))
        check_none(run(U, op_wrs_nto, 0, 0), "wrs.nto without a reservation in U-mode");
}

void topic(void)
{
    menvcfg_change(0, MENVCFG_STCE);
    pend_none();
    paragraph("Wait for Interrupt");
    check_pending(MSI, "MSI");
    check_pending(MTI, "MTI");
    check_pending(MEI, "MEI");
    if (has('S')) {
        check_pending(SSI, "SSI");
        check_pending(STI, "STI");
        check_pending(SEI, "SEI");
    }
    check_timer(0, false);
    check_timer(MSTATUS_MPIE, true);
    check_trapped();
    check_wrs();
}
