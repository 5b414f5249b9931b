// SPDX-License-Identifier: MIT
// When interrupts are taken, in which order, by whom and where; mip, mie and S-mode's view of them.
#include "interrupts.h"

#define S_IRQS (BIT(SSI) | BIT(STI) | BIT(SEI))
#define M_IRQS (BIT(MSI) | BIT(MTI) | BIT(MEI))

extern const char m_trap[], m_vector[], s_trap[], s_vector[];

static const enum irq order[] = {MEI, MSI, MTI, SEI, SSI, STI};
static const char *const names[] = {
    [SSI] = "SSI", [MSI] = "MSI", [STI] = "STI", [MTI] = "MTI", [SEI] = "SEI", [MEI] = "MEI"};
static const enum priv privs[] = {U, S, M};

static bool exists(enum priv priv)
{
    return priv == M || has(priv == S ? 'S' : 'U');
}

static bool is_there(enum irq irq)
{
    return has('S') || !(S_IRQS >> irq & 1);
}

static void delegate(reg irqs)
{
    if (has('S'))
        csr_write(CSR_MIDELEG, irqs);
}

// ---- When ----

static bool is_taken(enum priv priv, bool delegated, bool mie, bool sie)
{
    if (delegated)
        return priv == U || (priv == S && sie);
    return priv != M || mie;
}

static void check_when(enum irq irq, enum priv priv, bool delegated, bool mie, bool sie)
{
    delegate(delegated ? BIT(irq) : 0);
    how.status = (mie ? MSTATUS_MPIE : 0) | (sie ? MSTATUS_SIE : 0);
    struct trap t = run(priv, op_nop, 0, 0);
    how.status = 0;
    delegate(0);
    bool taken = is_taken(priv, delegated, mie, sie);
    const char *form = taken ? "%s in %s-mode, delegated %u, enables %u: taken"
                             : "%s in %s-mode, delegated %u, enables %u: masked";
    check(t.cause, taken ? INTERRUPT | irq : NONE, form, names[irq], priv_name(priv), delegated,
          mie * 2 + sie);
    if (taken) {
        check(t.handler, delegated ? S : M, "%s in %s-mode, delegated %u: the handler", names[irq],
              priv_name(priv), delegated);
        check(t.epc, op_address(priv, op_nop),
              "%s in %s-mode: epc is the interrupted instruction's", names[irq], priv_name(priv));
        check(t.tval, 0, "%s in %s-mode: the trap value is 0", names[irq], priv_name(priv));
    }
}

static void check_irq(enum irq irq)
{
    bool can_delegate = has('S') && S_IRQS >> irq & 1;
    pend(irq, true);
    check(csr_read(CSR_MIP) & BIT(irq), BIT(irq), "%s pending is seen in mip", names[irq]);
    csr_write(CSR_MIE, 0);
    for (unsigned p = 0; p < ARRAY_LEN(privs); p++)
        if (exists(privs[p]))
            check_none(run(privs[p], op_nop, 0, 0), "%s disabled in mie, %s-mode", names[irq],
                       priv_name(privs[p]));
    csr_write(CSR_MIE, BIT(irq));
    for (unsigned p = 0; p < ARRAY_LEN(privs); p++)
        for (unsigned bits = 0; exists(privs[p]) && bits < 8; bits++) {
            bool delegated = bits & 1, mie = bits & 2, sie = bits & 4;
            if ((!delegated || can_delegate) && (!sie || has('S')))
                check_when(irq, privs[p], delegated, mie, sie);
        }
    pend(irq, false);
    check(csr_read(CSR_MIP) & BIT(irq), 0, "%s no longer pending is seen in mip", names[irq]);
    csr_write(CSR_MIE, 0);
}

// ---- Which ----

static reg subset(unsigned bits, const enum irq *of, unsigned n)
{
    reg irqs = 0;
    for (unsigned i = 0; i < n; i++)
        irqs |= bits >> i & 1 ? BIT(of[i]) : 0;
    return irqs;
}

// The first in order of those for M-mode, else of those for S-mode.
static reg first_of(reg irqs)
{
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (irqs >> order[i] & 1)
            return INTERRUPT | order[i];
    return NONE;
}

// From U-mode all are enabled.
static void check_order(reg delegated)
{
    unsigned sets = 1u << ARRAY_LEN(order), right = 0;
    delegate(delegated);
    for (unsigned bits = 0; bits < sets; bits++) {
        reg irqs = subset(bits, order, ARRAY_LEN(order));
        csr_write(CSR_MIE, irqs);
        struct trap t = run(U, op_nop, 0, 0);
        reg want = first_of(irqs & ~delegated ? irqs & ~delegated : irqs);
        right += t.cause == want && (want == NONE || t.handler == (irqs & ~delegated ? M : S));
    }
    delegate(0);
    csr_write(CSR_MIE, 0);
    check(right, sets, "all sets of enabled interrupts, delegated %x: the right one is taken",
          delegated);
}

static void check_orders(void)
{
    static const enum irq s_irqs[] = {SSI, STI, SEI};
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        pend(order[i], true);
    for (unsigned bits = 0; bits < 8; bits++)
        check_order(subset(bits, s_irqs, ARRAY_LEN(s_irqs)));
    pend_none();
}

// ---- Where ----

static void check_vectored(enum irq irq)
{
    bool delegable = S_IRQS >> irq & 1;
    pend(irq, true);
    csr_write(CSR_MIE, BIT(irq));
    how.status = MSTATUS_MPIE;
    check((reg)(intptr_t)run(M, op_nop, 0, 0).vector, irq,
          "mtvec.MODE=Vectored: %s comes to BASE + 4 * %u", names[irq], irq);
    how.status = 0;
    if (delegable) {
        delegate(BIT(irq));
        how.status = MSTATUS_SIE;
        check((reg)(intptr_t)run(S, op_nop, 0, 0).vector, irq,
              "stvec.MODE=Vectored: %s comes to BASE + 4 * %u", names[irq], irq);
        how.status = 0;
        delegate(0);
    }
    csr_write(CSR_MIE, 0);
    pend(irq, false);
}

static void check_vectors(void)
{
    paragraph("Machine Trap-Vector Base-Address (mtvec) Register");
    check((reg)(intptr_t)run(M, op_illegal, 0, 0).vector, (reg)DIRECT,
          "MODE=Direct: exceptions come to BASE");
    pend(MSI, true);
    csr_write(CSR_MIE, BIT(MSI));
    how.status = MSTATUS_MPIE;
    check((reg)(intptr_t)run(M, op_nop, 0, 0).vector, (reg)DIRECT,
          "MODE=Direct: interrupts come to BASE");
    how.status = 0;
    csr_write(CSR_MIE, 0);
    pend(MSI, false);
    csr_write(CSR_MTVEC, (reg)m_vector | 1);
    check(csr_read(CSR_MTVEC), (reg)m_vector | 1, "MODE=Vectored can be written");
    if (has('S'))
        csr_write(CSR_STVEC, (reg)s_vector | 1);
    check((reg)(intptr_t)run(M, op_illegal, 0, 0).vector, 0,
          "MODE=Vectored: exceptions come to BASE");
    if (has('S')) {
        paragraph("Supervisor Trap Vector Base Address (stvec) Register");
        csr_write(CSR_MEDELEG, BIT(ILLEGAL));
        check((reg)(intptr_t)run(S, op_illegal, 0, 0).vector, 0,
              "MODE=Vectored: exceptions come to BASE");
        csr_write(CSR_MEDELEG, 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (is_there(order[i]))
            check_vectored(order[i]);
    csr_write(CSR_MTVEC, m_trap);
    if (has('S'))
        csr_write(CSR_STVEC, s_trap);
}

// ---- At once ----

static void expect_behind(struct trap t, enum irq irq, const char *op, const char *name)
{
    check(t.cause, INTERRUPT | irq, "%s: the interrupt is taken", name);
    check(t.epc, (reg)op + 4, "%s: right behind it", name);
}

static void check_machine_at_once(void)
{
    reg mie = MSTATUS_MPIE;
    pend(MSI, true);
    csr_write(CSR_MIE, BIT(MSI));
    expect_behind(run(M, op_csrs_mstatus, 0, MSTATUS_MIE), MSI, op_csrs_mstatus,
                  "setting mstatus.MIE");
    csr_write(CSR_MIE, 0);
    how.status = mie;
    expect_behind(run(M, op_csrs_mie, 0, BIT(MSI)), MSI, op_csrs_mie, "setting mie.MSIE");
    csr_write(CSR_MIE, 0);
    pend(MSI, false);
    if (has('S')) {
        csr_write(CSR_MIE, BIT(SSI));
        expect_behind(run(M, op_csrs_mip, 0, BIT(SSI)), SSI, op_csrs_mip, "setting mip.SSIP");
        delegate(BIT(SSI));
        expect_behind(run(M, op_csrc_mideleg, 0, BIT(SSI)), SSI, op_csrc_mideleg,
                      "clearing mideleg[1]");
        delegate(0);
        pend(SSI, false);
        csr_write(CSR_MIE, 0);
    }
    how.status = 0;
}

static void check_supervisor_at_once(void)
{
    delegate(BIT(SSI));
    pend(SSI, true);
    csr_write(CSR_MIE, BIT(SSI));
    expect_behind(run(S, op_csrs_sstatus, 0, MSTATUS_SIE), SSI, op_csrs_sstatus,
                  "setting sstatus.SIE");
    csr_write(CSR_MIE, 0);
    how.status = MSTATUS_SIE;
    expect_behind(run(S, op_csrs_sie, 0, BIT(SSI)), SSI, op_csrs_sie, "setting sie.SSIE");
    pend(SSI, false);
    csr_write(CSR_MIE, BIT(SSI));
    expect_behind(run(S, op_csrs_sip, 0, BIT(SSI)), SSI, op_csrs_sip, "setting sip.SSIP");
    pend(SSI, true);
    how.status = MSTATUS_SPIE | MSTATUS_SPP;
    csr_write(CSR_SEPC, op_nop);
    struct trap t = run(S, op_sret, 0, 0);
    check(t.cause, INTERRUPT | SSI, "sret with SPIE=1: the interrupt is taken");
    check(t.epc, (reg)op_nop, "sret with SPIE=1: at its target");
    how.status = 0;
    csr_write(CSR_MIE, 0);
    pend(SSI, false);
    delegate(0);
}

// ---- Registers ----

static void check_mip(void)
{
    paragraph("Machine Interrupt (mip and mie) Registers");
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        enum irq irq = order[i];
        bool writable = has('S') && S_IRQS >> irq & 1;
        csr_set(CSR_MIP, BIT(irq));
        check(csr_read(CSR_MIP) & BIT(irq), writable ? BIT(irq) : 0, "mip.%sP is %s", names[irq],
              writable ? "writable" : "read-only");
        csr_clear(CSR_MIP, BIT(irq));
        check(csr_rewrite(CSR_MIE, BIT(irq)), is_there(irq) ? BIT(irq) : 0, "mie.%sE", names[irq]);
        csr_write(CSR_MIE, 0);
        if (!writable && irq <= MEI && M_IRQS >> irq & 1) {
            pend(irq, true);
            csr_clear(CSR_MIP, BIT(irq));
            check(csr_read(CSR_MIP) & BIT(irq), BIT(irq), "mip.%sP cannot be cleared", names[irq]);
            pend(irq, false);
        }
    }
    reg got = csr_rewrite(CSR_MIE, ~(reg)0);
    csr_write(CSR_MIE, 0);
    check(got & 0xffff & ~(M_IRQS | S_IRQS | BIT(2) | BIT(6) | BIT(10) | BIT(12) | BIT(13)), 0,
          "mie has no other standard bits");
}

// The line is the PLIC's S context of this hart.
static void raise_line(bool on)
{
    uart_interrupts(on);
    plic_enable(1, on);
}

static bool seip(void)
{
    return csr_read(CSR_MIP) >> SEI & 1;
}

static void check_seip(void)
{
    raise_line(true);
    check(seip(), true, "SEIP is the line");
    csr_clear(CSR_MIP, BIT(SEI));
    check(seip(), true, "SEIP cannot be cleared while the line is high");
    csr_set(CSR_MIP, BIT(SSI));
    raise_line(false);
    check(seip(), false, "setting another bit of mip does not latch the line");
    csr_clear(CSR_MIP, BIT(SSI));
    csr_set(CSR_MIP, BIT(SEI));
    raise_line(true);
    raise_line(false);
    check(seip(), true, "SEIP that software set outlasts the line");
    raise_line(true);
    csr_clear(CSR_MIP, BIT(SEI));
    check(seip(), true, "clearing software's bit leaves the line");
    raise_line(false);
    check(seip(), false, "and then it is gone");
    delegate(BIT(SEI));
    csr_write(CSR_MIE, BIT(SEI));
    raise_line(true);
    struct trap t = run(U, op_nop, 0, 0);
    raise_line(false);
    check(t.cause, INTERRUPT | SEI, "an interrupt by the line");
    check(t.handler, S, "an interrupt by the line, delegated: S-mode handles it");
    csr_write(CSR_MIE, 0);
    delegate(0);
}

static void check_views(void)
{
    paragraph("Supervisor Interrupt (sip and sie) Registers");
    pend(SSI, true);
    pend(STI, true);
    pend(SEI, true);
    csr_write(CSR_MIE, S_IRQS | M_IRQS);
    delegate(0);
    check(csr_read(CSR_SIP) & S_IRQS, 0, "sip shows nothing that is not delegated");
    check(csr_read(CSR_SIE) & S_IRQS, 0, "sie shows nothing that is not delegated");
    csr_write(CSR_SIE, 0);
    check(csr_read(CSR_MIE) & (S_IRQS | M_IRQS), S_IRQS | M_IRQS,
          "sie changes nothing that is not delegated");
    csr_write(CSR_SIP, 0);
    check(csr_read(CSR_MIP) & S_IRQS, S_IRQS, "sip changes nothing that is not delegated");
    for (unsigned i = 3; i < 6; i++) {
        delegate(BIT(order[i]));
        check(csr_read(CSR_SIP) & S_IRQS, BIT(order[i]), "sip shows %s that is delegated",
              names[order[i]]);
        check(csr_read(CSR_SIE) & S_IRQS, BIT(order[i]), "sie shows %s that is delegated",
              names[order[i]]);
        csr_write(CSR_SIE, 0);
        check(csr_read(CSR_MIE) & (S_IRQS | M_IRQS), (S_IRQS | M_IRQS) & ~BIT(order[i]),
              "sie clears %s that is delegated", names[order[i]]);
        csr_write(CSR_MIE, S_IRQS | M_IRQS);
    }
    delegate(S_IRQS);
    csr_write(CSR_SIP, 0);
    check(csr_read(CSR_SIP) & S_IRQS, BIT(STI) | BIT(SEI),
          "sip: SSIP is writable, STIP and SEIP are not");
    csr_write(CSR_SIP, BIT(SSI));
    check(csr_read(CSR_MIP) & BIT(SSI), BIT(SSI), "sip: SSIP can be set");
    csr_write(CSR_MIE, 0);
    pend_none();
    csr_write(CSR_SIP, ~(reg)0);
    check(csr_read(CSR_MIP) & S_IRQS, BIT(SSI), "sip: SSIP alone can be set");
    delegate(0);
    pend_none();
}

void topic(void)
{
    menvcfg_change(0, MENVCFG_STCE);
    pend_none();
    check_mip();
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (is_there(order[i]))
            check_irq(order[i]);
    if (has('S'))
        check_orders();
    check_machine_at_once();
    if (has('S')) {
        check_seip();
        check_views();
        check_supervisor_at_once();
    }
    check_vectors();
}
