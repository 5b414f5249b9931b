// SPDX-License-Identifier: MIT
// RISC-V traps: delegation, interrupts and their order, returns, and the privileged instructions.
#include "tests/unit/riscv_bare.h"

#define MSTATUS 0x300
#define MENVCFG 0x30a
#define SENVCFG 0x10a
static const enum riscv_priv modes[] = {PRIV_U, PRIV_S, PRIV_M};

static void set_status(struct rig *r, uint64_t mstatus)
{
    r->rv->s.mstatus = mstatus;
    riscv_key_update(r->rv);
}

static uint64_t mpp(enum riscv_priv p)
{
    return (uint64_t)p << MSTATUS_MPP_SHIFT;
}

static void trap(struct rig *r, unsigned cause, uint64_t value)
{
    cpu_raise(r->cpu, cause, value);
    riscv_trap(r->cpu);
    cr_assert(!r->cpu->fault.pending);
}

static struct rig rig_traps(unsigned xlen)
{
    struct rig r = rig_new(NULL, xlen);
    r.rv->s.mtvec = 0x1000;
    r.rv->s.stvec = 0x2000;
    r.cpu->pc = 0x3002;
    return r;
}

// ---- Exceptions ----

Test(riscv_trap, delegation_of_each_cause_from_each_mode)
{
    static const unsigned causes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15};
    for (unsigned i = 0; i < ARRAY_LEN(causes) * 3 * 2; i++) {
        unsigned cause = causes[i / 6];
        enum riscv_priv from = modes[i / 2 % 3];
        bool deleg = i & 1;
        struct rig r = rig_traps(64);
        csr_w(&r, 0x302, deleg ? BIT(cause) : ~BIT(cause));
        bool to_s = deleg && from != PRIV_M && cause != 11; // ecall from M cannot be delegated
        rig_priv(&r, from);
        set_status(&r, MSTATUS_MIE | MSTATUS_SIE);
        trap(&r, cause, 0x77);
        cr_assert_eq(r.rv->s.priv, to_s ? PRIV_S : PRIV_M, "cause %u", cause);
        cr_assert_eq(r.cpu->pc, to_s ? 0x2000 : 0x1000);
        cr_assert_eq(to_s ? r.rv->s.sepc : r.rv->s.mepc, 0x3002);
        cr_assert_eq(to_s ? r.rv->s.mepc : r.rv->s.sepc, 0);
        cr_assert_eq(to_s ? r.rv->s.scause : r.rv->s.mcause, cause);
        cr_assert_eq(to_s ? r.rv->s.stval : r.rv->s.mtval, 0x77);
        uint64_t want = to_s ? MSTATUS_MIE | MSTATUS_SPIE | (from == PRIV_S ? MSTATUS_SPP : 0)
                             : MSTATUS_SIE | MSTATUS_MPIE | mpp(from);
        cr_assert_eq(r.rv->s.mstatus, want);
        cr_assert_eq(RV_KEY_PRIV(r.rv->key), r.rv->s.priv);
        rig_free(&r);
    }
}

Test(riscv_trap, handlers_start_with_interrupts_off)
{
    struct rig r = rig_traps(64);
    set_status(&r, MSTATUS_MPIE);
    trap(&r, EXC_BREAKPOINT, 0);
    cr_assert_eq(r.rv->s.mstatus, mpp(PRIV_M)); // MIE was clear, so MPIE is now
    rig_priv(&r, PRIV_S);
    r.rv->s.medeleg = BIT(EXC_BREAKPOINT);
    set_status(&r, MSTATUS_SPIE | MSTATUS_SPP);
    rig_priv(&r, PRIV_U);
    trap(&r, EXC_BREAKPOINT, 0);
    cr_assert_eq(r.rv->s.mstatus, 0);
    rig_free(&r);
}

Test(riscv_trap, exceptions_ignore_vectors_and_wrap)
{
    struct rig r = rig_traps(32);
    r.rv->s.mtvec = 0xfffffff1;
    trap(&r, EXC_ILLEGAL, 0);
    cr_assert_eq(r.cpu->pc, 0xfffffff0);
    r.rv->s.mie = BIT(IRQ_MTI);
    set_status(&r, MSTATUS_MIE);
    riscv_cpu_set_irq(r.cpu, IRQ_MTI, true);
    cr_assert(riscv_interrupt(r.cpu));
    cr_assert_eq(r.cpu->pc, 0xc);
    cr_assert_eq(r.rv->s.mcause, 0x80000007);
    rig_free(&r);
}

// ---- Interrupts ----

static void lines(struct rig *r, uint64_t bits)
{
    for (unsigned n = 0; n < 16; n++)
        riscv_cpu_set_irq(r->cpu, n, bits >> n & 1);
}

Test(riscv_trap, order_of_interrupts)
{
    static const unsigned order[] = {IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI};
    for (unsigned set = 1; set < 64; set++) {
        uint64_t pending = 0;
        unsigned first = ARRAY_LEN(order);
        for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
            pending |= set >> i & 1 ? BIT(order[i]) : 0;
            first = set >> i & 1 && first == ARRAY_LEN(order) ? i : first;
        }
        struct rig r = rig_traps(64);
        r.rv->s.mie = 0xaaa;
        lines(&r, pending);
        rig_priv(&r, PRIV_U);
        cr_assert(riscv_interrupt(r.cpu));
        cr_assert_eq(r.rv->s.mcause, BIT(63) | order[first], "set %u", set);
        cr_assert_eq(r.rv->s.mtval, 0);
        rig_free(&r);

        // Delegated: those for M mode first, then those for S mode in the same order.
        r = rig_traps(64);
        r.rv->s.mie = 0xaaa;
        r.rv->s.mideleg = 0x222;
        lines(&r, pending);
        rig_priv(&r, PRIV_U);
        cr_assert(riscv_interrupt(r.cpu));
        bool machine = pending & 0x888;
        cr_assert_eq(machine ? r.rv->s.mcause : r.rv->s.scause, BIT(63) | order[first]);
        cr_assert_eq(r.rv->s.priv, machine ? PRIV_M : PRIV_S);
        rig_free(&r);
    }
}

Test(riscv_trap, when_interrupts_are_taken)
{
    for (unsigned i = 0; i < 3 * 2 * 2 * 2 * 2; i++) {
        enum riscv_priv priv = modes[i % 3];
        unsigned bits = i / 3;
        bool mie = bits & 1, sie = bits & 2, deleg = bits & 4, enabled = bits & 8;
        struct rig r = rig_traps(64);
        r.rv->s.mie = enabled ? BIT(IRQ_SEI) : 0;
        r.rv->s.mideleg = deleg ? BIT(IRQ_SEI) : 0;
        set_status(&r, (mie ? MSTATUS_MIE : 0) | (sie ? MSTATUS_SIE : 0));
        rig_priv(&r, priv);
        bool kicked = false;
        r.cpu->kicked = &kicked;
        riscv_cpu_set_irq(r.cpu, IRQ_SEI, true);
        bool want =
            enabled && (deleg ? priv == PRIV_U || (priv == PRIV_S && sie) : priv != PRIV_M || mie);
        cr_assert_eq(kicked, want, "case %u", i);
        cr_assert_eq(riscv_has_work(r.cpu), enabled);
        cr_assert_eq(riscv_interrupt(r.cpu), want, "case %u", i);
        cr_assert(!want || r.rv->s.priv == (deleg ? PRIV_S : PRIV_M));
        riscv_cpu_set_irq(r.cpu, IRQ_SEI, false);
        cr_assert(!riscv_has_work(r.cpu));
        rig_free(&r);
    }
}

Test(riscv_trap, vectored_interrupts)
{
    struct rig r = rig_traps(64);
    csr_w(&r, 0x305, 0x4001);
    csr_w(&r, 0x105, 0x5001);
    csr_w(&r, 0x303, 0x222);
    csr_w(&r, 0x304, 0xaaa);
    rig_priv(&r, PRIV_U);
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, true);
    cr_assert(riscv_interrupt(r.cpu));
    cr_assert_eq(r.cpu->pc, 0x5000 + 4 * IRQ_SSI);
    riscv_cpu_set_irq(r.cpu, IRQ_MEI, true);
    cr_assert(riscv_interrupt(r.cpu));
    cr_assert_eq(r.cpu->pc, 0x4000 + 4 * IRQ_MEI);
    cr_assert(!riscv_interrupt(r.cpu));
    rig_free(&r);
}

Test(riscv_trap, enabling_asks_for_attention)
{
    static const struct {
        unsigned csr;
        uint64_t value;
    } writes[] = {{0x300, MSTATUS_MIE}, {0x304, BIT(IRQ_MTI)}};
    for (unsigned i = 0; i < ARRAY_LEN(writes); i++) {
        struct rig r = rig_traps(64);
        bool kicked = false;
        r.cpu->kicked = &kicked;
        r.rv->s.mie = i == 0 ? BIT(IRQ_MTI) : 0;
        r.rv->s.mstatus = i == 1 ? MSTATUS_MIE : 0;
        riscv_cpu_set_irq(r.cpu, IRQ_MTI, true);
        cr_assert(!kicked);
        csr_w(&r, writes[i].csr, writes[i].value);
        cr_assert(kicked);
        rig_free(&r);
    }
    struct rig r = rig_traps(64); // clearing mideleg hands an interrupt to M mode
    bool kicked = false;
    r.cpu->kicked = &kicked;
    r.rv->s.mie = r.rv->s.mideleg = BIT(IRQ_SSI);
    r.rv->s.mstatus = MSTATUS_MIE;
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, true);
    cr_assert(!kicked);
    csr_w(&r, 0x303, 0);
    cr_assert(kicked);
    rig_free(&r);
}

// ---- Returns ----

Test(riscv_trap, mret_to_each_mode)
{
    for (unsigned i = 0; i < 6; i++) {
        enum riscv_priv to = modes[i % 3];
        bool mpie = i / 3;
        struct rig r = rig_traps(64);
        csr_w(&r, 0x341, 0x4444);
        set_status(&r, mpp(to) | MSTATUS_MPRV | (mpie ? MSTATUS_MPIE : MSTATUS_MIE));
        cr_assert_eq(riscv_mret(r.cpu, RIG_INSN, 0, 0, 0), 0x4444);
        cr_assert_eq(rig_fault(&r), -1);
        cr_assert_eq(r.rv->s.priv, to);
        uint64_t want = MSTATUS_MPIE | (mpie ? MSTATUS_MIE : 0) | (to == PRIV_M ? MSTATUS_MPRV : 0);
        cr_assert_eq(r.rv->s.mstatus, want); // MPP is the least privileged mode now
        cr_assert_eq(RV_KEY_PRIV(r.rv->key), to);
        rig_free(&r);
    }
    struct rig r = rig_new("sifive-e31,u=off", 32); // M mode alone
    set_status(&r, mpp(PRIV_M));
    riscv_mret(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(r.rv->s.mstatus, mpp(PRIV_M) | MSTATUS_MPIE);
    rig_free(&r);
}

Test(riscv_trap, sret_from_and_to)
{
    for (unsigned i = 0; i < 8; i++) {
        enum riscv_priv from = i & 1 ? PRIV_M : PRIV_S, to = i & 2 ? PRIV_S : PRIV_U;
        bool spie = i & 4;
        struct rig r = rig_traps(64);
        csr_w(&r, 0x141, 0x5554);
        set_status(&r, (to == PRIV_S ? MSTATUS_SPP : 0) | (spie ? MSTATUS_SPIE : MSTATUS_SIE) |
                           MSTATUS_MPRV | (from == PRIV_M ? MSTATUS_TSR : 0));
        rig_priv(&r, from);
        cr_assert_eq(riscv_sret(r.cpu, RIG_INSN, 0, 0, 0), 0x5554);
        cr_assert_eq(rig_fault(&r), -1);
        cr_assert_eq(r.rv->s.priv, to);
        cr_assert_eq(r.rv->s.mstatus & ~MSTATUS_TSR, MSTATUS_SPIE | (spie ? MSTATUS_SIE : 0));
        rig_free(&r);
    }
}

// Jumps behind xRET go on under the new key, unless an interrupt is due.
Test(riscv_trap, returns_tell_the_translator)
{
    struct rig r = rig_traps(64);
    r.cpu->jump_tag = 0;
    set_status(&r, mpp(PRIV_S) | MSTATUS_MPIE);
    riscv_mret(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(r.cpu->jump_tag, r.cpu->jump_epoch << CPU_KEY_BITS | r.rv->key);
    cr_assert_eq(r.cpu->key_regime, REGIME_S);
    set_status(&r, MSTATUS_SPIE | MSTATUS_SPP);
    r.rv->s.mie = r.rv->s.mideleg = BIT(IRQ_SSI);
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, true);
    r.cpu->jump_tag = 0;
    riscv_sret(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(r.cpu->jump_tag, JUMP_TAG_NONE);
    rig_free(&r);
}

// Privileged instructions: where they are illegal.
Test(riscv_trap, privileged_instructions)
{
    enum { MRET, SRET, WFI, SFENCE, INVAL };
    static const struct {
        unsigned insn;
        enum riscv_priv priv;
        uint64_t status;
        bool legal;
    } cases[] = {
        {MRET, PRIV_M, 0, true},
        {MRET, PRIV_S, 0, false},
        {MRET, PRIV_U, 0, false},
        {SRET, PRIV_M, MSTATUS_TSR, true},
        {SRET, PRIV_S, 0, true},
        {SRET, PRIV_S, MSTATUS_TSR, false},
        {SRET, PRIV_U, 0, false},
        {WFI, PRIV_M, MSTATUS_TW, true},
        {WFI, PRIV_S, 0, true},
        {WFI, PRIV_S, MSTATUS_TW, false},
        {WFI, PRIV_U, 0, false},
        {SFENCE, PRIV_M, MSTATUS_TVM, true},
        {SFENCE, PRIV_S, 0, true},
        {SFENCE, PRIV_S, MSTATUS_TVM, false},
        {SFENCE, PRIV_U, 0, false},
        {INVAL, PRIV_M, 0, true},
        {INVAL, PRIV_S, MSTATUS_TVM, true},
        {INVAL, PRIV_U, 0, false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig r = rig_traps(64);
        uint64_t insn = RIG_INSN;
        set_status(&r, cases[i].status);
        rig_priv(&r, cases[i].priv);
        switch (cases[i].insn) {
        case MRET:
            riscv_mret(r.cpu, insn, 0, 0, 0);
            break;
        case SRET:
            riscv_sret(r.cpu, insn, 0, 0, 0);
            break;
        case WFI:
            riscv_wfi(r.cpu, insn, 0, 0, 0);
            break;
        case SFENCE:
            riscv_sfence_vma(r.cpu, insn, 0x1000, i & 1, 0);
            break;
        case INVAL:
            riscv_sfence_inval(r.cpu, insn, 0, 0, 0);
            break;
        }
        cr_assert_eq(rig_fault(&r), cases[i].legal ? -1 : EXC_ILLEGAL, "case %u", i);
        cr_assert(cases[i].legal || r.cpu->fault.value == RIG_INSN);
        cr_assert(cases[i].legal || r.rv->s.priv == cases[i].priv);
        rig_free(&r);
    }
    struct rig r = rig_new("sifive-e31", 32); // without S mode, U mode may wait, within TW
    rig_priv(&r, PRIV_U);
    riscv_wfi(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(rig_fault(&r), -1);
    set_status(&r, MSTATUS_TW);
    riscv_wfi(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_ILLEGAL);
    rig_priv(&r, PRIV_M);
    riscv_sret(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_ILLEGAL);
    riscv_sfence_vma(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_ILLEGAL);
    rig_free(&r);
}

// ---- The key ----

Test(riscv_trap, regimes)
{
    static const struct {
        enum riscv_priv priv;
        uint64_t status;
        enum riscv_regime data, code;
    } cases[] = {
        {PRIV_M, 0, REGIME_M, REGIME_M},
        {PRIV_M, MSTATUS_SUM | MSTATUS_MXR, REGIME_M, REGIME_M},
        {PRIV_S, 0, REGIME_S, REGIME_S},
        {PRIV_S, MSTATUS_SUM, REGIME_S_SUM, REGIME_S},
        {PRIV_S, MSTATUS_MXR, REGIME_S_MXR, REGIME_S},
        {PRIV_S, MSTATUS_SUM | MSTATUS_MXR, REGIME_S_SUM_MXR, REGIME_S},
        {PRIV_U, MSTATUS_SUM, REGIME_U, REGIME_U},
        {PRIV_U, MSTATUS_MXR, REGIME_U_MXR, REGIME_U},
        {PRIV_M, MSTATUS_MPRV, REGIME_U, REGIME_M},
        {PRIV_M, MSTATUS_MPRV | MSTATUS_MPP, REGIME_M, REGIME_M},
        {PRIV_M, MSTATUS_MPRV | MSTATUS_MXR | BIT(11), REGIME_S_MXR, REGIME_M},
    };
    struct rig r = rig_traps(64);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        r.rv->s.mstatus = cases[i].status;
        rig_priv(&r, cases[i].priv);
        uint32_t key = r.cpu->guest->key(r.cpu);
        cr_assert_lt(key, BIT(GUEST_KEY_BITS));
        cr_assert_eq(RV_KEY_REGIME(key), cases[i].data, "case %u", i);
        cr_assert_eq(r.cpu->key_regime, cases[i].data);
        cr_assert_eq(r.cpu->key_fetch_regime, cases[i].code);
        cr_assert_eq(RV_KEY_PRIV(key), cases[i].priv);
        cr_assert_eq(RV_KEY_FS(key), KEY_FS_OFF);
    }
    rig_free(&r);
}

// ---- LR and SC ----

Test(riscv_trap, reservations)
{
    struct rig r = rig_traps(64);
    paddr_t a = RIG_RAM + 0x100;
    rig_poke(&r, a, 8, UINT64_C(0x8000000090000000));
    cr_assert_eq(riscv_sc(r.cpu, a, 3, 1, 0), 1); // nothing reserved
    cr_assert_eq(riscv_lr(r.cpu, a, 2, 0, 0), UINT64_C(0xffffffff90000000));
    cr_assert_eq(riscv_sc(r.cpu, a, 2, 7, 0), 0);
    cr_assert_eq(rig_peek(&r, a, 8), UINT64_C(0x8000000000000007));
    cr_assert_eq(riscv_sc(r.cpu, a, 2, 8, 0), 1); // used up
    cr_assert_eq(riscv_lr(r.cpu, a, 2, 0, 0), 7);
    cr_assert_eq(riscv_sc(r.cpu, a, 3, 8, 0), 1); // more than was reserved
    cr_assert_eq(riscv_lr(r.cpu, a, 3, 0, 0), UINT64_C(0x8000000000000007));
    cr_assert_eq(riscv_sc(r.cpu, a + 8, 3, 8, 0), 1); // elsewhere
    cr_assert_eq(riscv_sc(r.cpu, a, 3, 8, 0), 1);     // which took the reservation
    riscv_lr(r.cpu, a, 3, 0, 0);
    cr_assert_eq(riscv_sc(r.cpu, a + 4, 2, 9, 0), 0);
    riscv_lr(r.cpu, a, 3, 0, 0);
    r.cpu->guest->switched_out(r.cpu);
    cr_assert_eq(riscv_sc(r.cpu, a, 3, 8, 0), 1);
    cr_assert_eq(rig_fault(&r), -1);
    cr_assert_eq(rig_peek(&r, a, 8), UINT64_C(0x0000000900000007));
    rig_free(&r);
}

Test(riscv_trap, reservations_fault)
{
    struct rig r = rig_traps(64);
    paddr_t a = RIG_RAM + 0x100;
    riscv_lr(r.cpu, a + 4, 3, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_LOAD_MISALIGNED);
    riscv_sc(r.cpu, a + 2, 2, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_STORE_MISALIGNED);
    cr_assert_eq(r.cpu->fault.value, a + 2);
    rig_priv(&r, PRIV_U); // PMP lets it nowhere
    riscv_lr(r.cpu, a, 3, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_LOAD_ACCESS);
    cr_assert_eq(r.rv->s.reserved, 0);
    rig_priv(&r, PRIV_M);
    riscv_lr(r.cpu, a, 3, 0, 0);
    rig_priv(&r, PRIV_U);
    riscv_sc(r.cpu, a, 3, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_STORE_ACCESS);
    r.rv->s.reserved = 0; // those that fail, too
    riscv_sc(r.cpu, a, 3, 0, 0);
    cr_assert_eq(rig_fault(&r), EXC_STORE_ACCESS);
    rig_priv(&r, PRIV_M);
    riscv_sc(r.cpu, 0x1000, 3, 0, 0); // nothing there
    cr_assert_eq(rig_fault(&r), EXC_STORE_ACCESS);
    rig_free(&r);
}

Test(riscv_trap, reservations_end_by_dma)
{
    struct rig r = rig_traps(64);
    paddr_t a = RIG_RAM + 0x100;
    const struct {
        paddr_t addr;
        uint64_t len;
        bool ends;
    } writes[] = {{a - 4, 4, false},
                  {a + 8, 4, false},
                  {a - 4, 5, true},
                  {a + 7, 1, true},
                  {a - 64, 256, true}};
    for (unsigned i = 0; i < ARRAY_LEN(writes); i++) {
        riscv_lr(r.cpu, a, 3, 0, 0);
        r.cpu->guest->memory_written(r.cpu, writes[i].addr, writes[i].len);
        cr_assert_eq(riscv_sc(r.cpu, a, 3, 8, 0), writes[i].ends, "write %u", i);
    }
    rig_free(&r);
}

// ---- Cache blocks ----

static int cbo(struct rig *r, vaddr_t addr, enum riscv_cbo what)
{
    riscv_cbo(r->cpu, addr, what, 0, RIG_INSN);
    return rig_fault(r);
}

Test(riscv_trap, cache_blocks_need_enabling)
{
    static const struct {
        enum riscv_cbo what;
        uint64_t bit;
    } kinds[] = {{CBO_INVAL, 1 << 4},
                 {CBO_INVAL, 3 << 4},
                 {CBO_CLEAN, 1 << 6},
                 {CBO_FLUSH, 1 << 6},
                 {CBO_ZERO, 1 << 7}};
    struct rig r = rig_traps(64);
    rig_open_pmp(&r);
    for (unsigned i = 0; i < ARRAY_LEN(kinds) * 4; i++) {
        uint64_t bit = kinds[i / 4].bit;
        enum riscv_cbo what = kinds[i / 4].what;
        bool m = i & 1, s = i & 2;
        rig_priv(&r, PRIV_M);
        csr_w(&r, MENVCFG, m ? bit : 0);
        csr_w(&r, SENVCFG, s ? bit : 0);
        cr_assert_eq(cbo(&r, RIG_RAM, what), -1);
        rig_priv(&r, PRIV_S);
        cr_assert_eq(cbo(&r, RIG_RAM, what), m ? -1 : EXC_ILLEGAL);
        rig_priv(&r, PRIV_U);
        cr_assert_eq(cbo(&r, RIG_RAM, what), m && s ? -1 : EXC_ILLEGAL);
    }
    rig_free(&r);
}

Test(riscv_trap, cache_blocks)
{
    struct rig r = rig_traps(64);
    rig_poke(&r, RIG_RAM + 0x38, 8, 1);
    for (unsigned i = 0; i < 64; i += 8)
        rig_poke(&r, RIG_RAM + 0x40 + i, 8, ~UINT64_C(0));
    rig_poke(&r, RIG_RAM + 0x80, 8, 2);
    cr_assert_eq(cbo(&r, RIG_RAM + 0x7f, CBO_FLUSH), -1);
    cr_assert_eq(rig_peek(&r, RIG_RAM + 0x78, 8), ~UINT64_C(0));
    cr_assert_eq(cbo(&r, RIG_RAM + 0x7f, CBO_ZERO), -1);
    for (unsigned i = 0; i < 64; i += 8)
        cr_assert_eq(rig_peek(&r, RIG_RAM + 0x40 + i, 8), 0);
    cr_assert_eq(rig_peek(&r, RIG_RAM + 0x38, 8), 1);
    cr_assert_eq(rig_peek(&r, RIG_RAM + 0x80, 8), 2);

    // Faults are those of a store, and name rs1.
    cr_assert_eq(cbo(&r, 0x1234, CBO_CLEAN), EXC_STORE_ACCESS);
    cr_assert_eq(r.cpu->fault.value, 0x1234);
    r.rv->s.menvcfg = 0xf0;
    rig_priv(&r, PRIV_S);
    for (unsigned what = CBO_INVAL; what <= CBO_ZERO; what++) {
        cr_assert_eq(cbo(&r, RIG_RAM + 0x33, what), EXC_STORE_ACCESS);
        cr_assert_eq(r.cpu->fault.value, RIG_RAM + 0x33);
    }
    rig_priv(&r, PRIV_M);
    rig_open_pmp(&r);
    csr_w(&r, 0x180, UINT64_C(8) << 60 | (RIG_RAM + 0x10000) >> 12);
    rig_priv(&r, PRIV_S);
    for (unsigned what = CBO_INVAL; what <= CBO_ZERO; what++) {
        cr_assert_eq(cbo(&r, 0x77, what), EXC_STORE_PAGE);
        cr_assert_eq(r.cpu->fault.value, 0x77);
    }
    rig_free(&r);
}

// ---- Reset and state ----

Test(riscv_trap, reset_keeps_only_lines)
{
    struct rig r = rig_traps(64);
    lines(&r, BIT(IRQ_MEI));
    csr_w(&r, MSTATUS, ~UINT64_C(0));
    csr_w(&r, 0x3b0, 5);
    csr_w(&r, 0x180, UINT64_C(8) << 60 | 5);
    csr_w(&r, 0x344, 0x222);
    r.cpu->reg[5] = 1;
    r.cpu->halted = true;
    r.cpu->fp.flags = FP_INEXACT;
    rig_priv(&r, PRIV_U);
    r.cpu->retired = 12345;
    r.cpu->guest->reset(r.cpu);
    cr_assert_eq(r.rv->s.priv, PRIV_M);
    cr_assert_eq(r.rv->s.mstatus, 0);
    cr_assert_eq(r.rv->s.satp, 0);
    cr_assert_eq(r.rv->s.pmpaddr[0], 0);
    cr_assert_eq(riscv_mip(r.rv), BIT(IRQ_MEI));
    cr_assert_eq(r.cpu->pc, RIG_RAM);
    cr_assert_eq(r.cpu->reg[5], 0);
    cr_assert(!r.cpu->halted && !r.cpu->fp.flags);
    cr_assert_eq(csr_r(&r, 0xc00), 0);
    rig_free(&r);
}

// Every byte of the state struct is described; what was saved comes back, caches included.
Test(riscv_trap, state)
{
    struct rig r = rig_traps(64), other = rig_traps(64);
    uint8_t *mask = g_malloc0(sizeof(struct riscv_cpu));
    state_coverage(riscv_cpu_fields, mask);
    size_t from = offsetof(struct riscv_cpu, s), missed = 0;
    for (size_t i = 0; i < sizeof(struct riscv_state); i++)
        missed += !mask[from + i];
    cr_assert_lt(missed, 8, "%zu bytes are not described", missed); // padding
    g_free(mask);

    rig_open_pmp(&r);
    csr_w(&r, MENVCFG, MENVCFG_STCE);
    csr_w(&r, 0x14d, 1000);
    set_status(&r, MSTATUS_SUM | MSTATUS_FS);
    rig_priv(&r, PRIV_S);
    GByteArray *saved = g_byte_array_new();
    state_save(r.cpu->guest->state, r.cpu, saved);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    GError *error = NULL;
    cr_assert(state_load(other.cpu->guest->state, other.cpu, "cpu", &data, &len, &error));
    other.cpu->guest->loaded(other.cpu);
    cr_assert_null(state_diff(r.cpu->guest->state, r.cpu, other.cpu));
    cr_assert_eq(other.cpu->guest->key(other.cpu), r.cpu->guest->key(r.cpu));
    bool partial;
    cr_assert_neq(riscv_pmp_allowed(other.rv, RIG_RAM, 4, PRIV_S, &partial), 0);
    cr_assert_eq(clock_next(other.clock), clock_next(r.clock));
    g_byte_array_free(saved, TRUE);
    rig_free(&r);
    rig_free(&other);
}

Test(riscv_trap, state_from_a_hostile_file)
{
    struct rig r = rig_traps(64);
    memset(&r.rv->s, 0xff, sizeof(r.rv->s));
    r.cpu->guest->loaded(r.cpu);
    cr_assert_eq(r.rv->s.priv, PRIV_M);
    cr_assert_eq(r.rv->s.satp, 0);
    cr_assert_leq(r.rv->s.frm, 7);
    r.rv->s.mstatus |= MSTATUS_MIE;
    cr_assert(riscv_interrupt(r.cpu));
    r.rv->s.mstatus = BIT(12);
    r.cpu->guest->loaded(r.cpu);
    riscv_mret(r.cpu, RIG_INSN, 0, 0, 0);
    cr_assert_eq(r.rv->s.priv, PRIV_U);
    rig_free(&r);
}
