// SPDX-License-Identifier: MIT
// xRET from and to each mode, the privilege stack, nested traps.
#include "guest.h"

static const enum priv privs[] = {U, S, M};

static bool exists(enum priv priv)
{
    return priv == M || has(priv == S ? 'S' : 'U');
}

static enum priv least(void)
{
    return has('U') ? U : M;
}

static reg ecall_of(enum priv priv)
{
    return ECALL_U + priv;
}

// run's own mret is the one under test. It goes to an ecall, whose trap tells the mode and, pushed, MIE.
static void check_mret(enum priv to, bool mpie)
{
    how.status = mpie ? MSTATUS_MPIE : 0;
    struct trap t = run(to, op_ecall, 0, 0);
    how.status = 0;
    check(t.cause, ecall_of(to), "mret with MPP=%s goes there", priv_name(to));
    check(t.epc, (reg)op_ecall, "mret to %s goes to mepc", priv_name(to));
    check(!!(t.status & MSTATUS_MPIE), mpie, "mret to %s with MPIE=%u: MIE is that", priv_name(to),
          mpie);
}

static void check_sret(enum priv from, enum priv to, bool spie)
{
    how.status = (to == S ? MSTATUS_SPP : 0) | (spie ? MSTATUS_SPIE : 0) | MSTATUS_SIE;
    csr_write(CSR_SEPC, op_ecall);
    struct trap t = run(from, op_sret, 0, 0);
    how.status = 0;
    // The ecall is not sret itself, so run() tells of no trap.
    check(t.cause, NONE, "sret from %s to %s with SPIE=%u ends at an ecall", priv_name(from),
          priv_name(to), spie);
    check(t.epc, (reg)op_ecall, "sret goes to sepc");
    check(t.status & MSTATUS_MPP, MPP(to), "sret from %s: the mode is that of SPP, %s",
          priv_name(from), priv_name(to));
    check(!!(t.status & MSTATUS_SIE), spie, "sret with SPIE=%u: SIE is that", spie);
    check(!!(t.status & MSTATUS_SPIE), true, "sret sets SPIE");
    check(t.status & MSTATUS_SPP, 0, "sret sets SPP to U");
}

// An mret in ops, so that M-mode can look at mstatus behind it: to M, where the next piece reads it.
static void check_mret_fields(void)
{
    reg old = csr_read(CSR_MSTATUS);
    uint32_t read = csr_insn(CSR_MSTATUS, CSRRS, 10, 0);
    *word_at((reg)op_slot) = read;
    fence_i();
    csr_write(CSR_MSTATUS, old & ~(MSTATUS_MIE | MSTATUS_MPIE));
    struct trap t = run_at(M, (reg)op_slot, 0, 0, 0);
    check(t.cause, NONE, "mret to M-mode");
    check(t.value & MSTATUS_MPP, MPP(least()), "behind mret: MPP is the least mode");
    check(!!(t.value & MSTATUS_MPIE), true, "behind mret: MPIE is 1");
    check(t.value & MSTATUS_MIE, 0, "behind mret with MPIE=0: MIE is 0");
    csr_write(CSR_MSTATUS, old);
}

// MPRV stays for M-mode only.
static void check_mprv(enum priv to)
{
    reg status = csr_read(CSR_MSTATUS) & ~(MSTATUS_MPP | MSTATUS_SPP);
    struct trap t = run_at(M, (reg)op_mret_to, (reg)op_ecall, 0, status | MSTATUS_MPRV | MPP(to));
    check(t.cause, NONE, "mret to %s with MPRV=1 ends at mepc", priv_name(to));
    check(!!(t.status & MSTATUS_MPRV), to == M, "mret to %s with MPRV=1: MPRV", priv_name(to));
    if (!has('S') || to == M)
        return;
    status |= MSTATUS_MPRV | MPP(M) | (to == S ? MSTATUS_SPP : 0);
    t = run_at(M, (reg)op_sret_to, (reg)op_ecall, 0, status);
    check(t.cause, NONE, "sret from M to %s with MPRV=1 ends at sepc", priv_name(to));
    check(!!(t.status & MSTATUS_MPRV), false, "sret from M to %s with MPRV=1: MPRV", priv_name(to));
}

static void check_forbidden(void)
{
    paragraph("Trap-Return Instructions");
    if (has('U')) {
        check_illegal(run(U, op_mret, 0, 0), *(const uint32_t *)op_mret, "mret in U-mode");
        check_illegal(run(U, op_sret, 0, 0), *(const uint32_t *)op_sret, "sret in U-mode");
    }
    if (has('S'))
        check_illegal(run(S, op_mret, 0, 0), *(const uint32_t *)op_mret, "mret in S-mode");
    else
        check_illegal(run(M, op_sret, 0, 0), *(const uint32_t *)op_sret, "sret without S-mode");
}

// ---- Traps ----

// Each mode traps to M-mode with each MIE and SIE.
static void check_entry(enum priv from)
{
    for (unsigned bits = 0; bits < 4; bits++) {
        reg mie = bits & 1 ? MSTATUS_MPIE : 0, sie = bits & 2 && has('S') ? MSTATUS_SIE : 0;
        how.status = mie | sie;
        struct trap t = run(from, op_illegal, 0, 0);
        how.status = 0;
        check(t.status & MSTATUS_MPP, MPP(from), "a trap from %s: MPP is %s", priv_name(from),
              priv_name(from));
        check(t.status & (MSTATUS_MPIE | MSTATUS_MIE), mie, "a trap from %s: MPIE is MIE, MIE is 0",
              priv_name(from));
        check(t.status & MSTATUS_SIE, sie, "a trap from %s to M: SIE stays", priv_name(from));
    }
}

// A trap to S-mode and, in its handler, one to M-mode: each has its own level of the stack.
static void check_nested(void)
{
    paragraph("Privilege and Global Interrupt-Enable Stack in mstatus register");
    csr_write(CSR_MEDELEG, BIT(ILLEGAL));
    how.status = MSTATUS_MPIE | MSTATUS_SIE;
    struct trap t = run(U, op_illegal, 0, 0);
    how.status = 0;
    csr_write(CSR_MEDELEG, 0);
    const struct context *c = &contexts[0];
    check(t.handler, S, "the first trap is S-mode's");
    check(c->cause, ECALL_S, "the second is M-mode's");
    check(t.status & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE), MSTATUS_SPIE,
          "S-mode's level: from U-mode, SIE was 1");
    check(c->status & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE), MSTATUS_SPIE,
          "the second trap leaves it");
    check(c->status & (MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE), MPP(S) | MSTATUS_MPIE,
          "M-mode's level: from S-mode, MIE was 1");
    check(csr_read(CSR_SCAUSE), ILLEGAL, "scause is the first trap's");
    check(csr_read(CSR_SEPC), (reg)op_illegal, "sepc is the first trap's");
    check(csr_read(CSR_MEPC), c->epc, "mepc is the second trap's");
}

// S-mode's registers stay when M-mode handles the trap.
static void check_untouched(void)
{
    static const reg mark = 0x5a5a5a58;
    paragraph("Supervisor CSRs");
    csr_write(CSR_SEPC, mark);
    csr_write(CSR_SCAUSE, 7);
    csr_write(CSR_STVAL, mark);
    how.status = MSTATUS_SPIE;
    struct trap t = run(U, op_illegal, 0, 0);
    how.status = 0;
    check(csr_read(CSR_SEPC), mark, "a trap to M-mode leaves sepc");
    check(csr_read(CSR_SCAUSE), 7, "a trap to M-mode leaves scause");
    check(csr_read(CSR_STVAL), mark, "a trap to M-mode leaves stval");
    check(t.status & (MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SPIE,
          "a trap to M-mode leaves SPIE and SPP");
}

void topic(void)
{
    paragraph("Privilege and Global Interrupt-Enable Stack in mstatus register");
    for (unsigned i = 0; i < ARRAY_LEN(privs); i++) {
        if (!exists(privs[i]))
            continue;
        check_mret(privs[i], false);
        check_mret(privs[i], true);
        check_entry(privs[i]);
    }
    check_mret_fields();
    if (has('S')) {
        for (unsigned n = 0; n < 8; n++)
            check_sret(n & 4 ? M : S, n & 2 ? S : U, n & 1);
    }
    paragraph("Memory Privilege in mstatus Register");
    for (unsigned i = 0; has('U') && i < ARRAY_LEN(privs); i++)
        if (exists(privs[i]))
            check_mprv(privs[i]);
    check_forbidden();
    if (has('S')) {
        check_nested();
        check_untouched();
    }
}
