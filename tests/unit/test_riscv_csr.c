// SPDX-License-Identifier: MIT
// RISC-V CSRs: who may access them, which values they take, what writing does.
#include "tests/unit/riscv_bare.h"

#define ALL UINT64_C(0xffffffffffffffff)

enum {
    FFLAGS = 0x001,
    FRM = 0x002,
    FCSR = 0x003,
    SSTATUS = 0x100,
    SIE = 0x104,
    STVEC = 0x105,
    SCOUNTEREN = 0x106,
    SENVCFG = 0x10a,
    SSCRATCH = 0x140,
    SEPC = 0x141,
    SIP = 0x144,
    STIMECMP = 0x14d,
    STIMECMPH = 0x15d,
    SATP = 0x180,
    MSTATUS = 0x300,
    MISA = 0x301,
    MEDELEG = 0x302,
    MIDELEG = 0x303,
    MIE = 0x304,
    MTVEC = 0x305,
    MCOUNTEREN = 0x306,
    MENVCFG = 0x30a,
    MSTATUSH = 0x310,
    MEDELEGH = 0x312,
    MENVCFGH = 0x31a,
    MCOUNTINHIBIT = 0x320,
    MSCRATCH = 0x340,
    MEPC = 0x341,
    MIP = 0x344,
    MCYCLE = 0xb00,
    MINSTRET = 0xb02,
    MCYCLEH = 0xb80,
    CYCLE = 0xc00,
    TIME = 0xc01,
    INSTRET = 0xc02,
    HPMCOUNTER3 = 0xc03,
    CYCLEH = 0xc80,
    TIMEH = 0xc81,
    MHARTID = 0xf14,
};

// ---- Access ----

Test(riscv_csr, privilege_and_read_only_of_all)
{
    for (unsigned xlen = 32; xlen <= 64; xlen += 32) {
        struct rig r = rig_new("max", xlen);
        unsigned found = 0;
        csr_w(&r, MCOUNTEREN, MASK(31, 0));
        csr_w(&r, SCOUNTEREN, MASK(31, 0));
        csr_w(&r, MSTATUS, MSTATUS_FS);
        csr_w(&r, xlen == 32 ? MENVCFGH : MENVCFG, xlen == 32 ? BIT(31) : BIT(63));
        for (unsigned n = 0; n < 4096; n++) {
            bool exists = riscv_csr_peek(r.cpu, n, &(uint64_t){0}), read_only = n >> 10 == 3;
            found += exists;
            cr_assert(!exists || riscv_csr_name(n));
            for (unsigned priv = 0; priv < 4; priv++) {
                if (priv == 2)
                    continue;
                rig_priv(&r, priv);
                bool may = exists && (n >> 8 & 3) <= priv;
                cr_assert_eq(csr_unreadable(&r, n), !may, "0x%x in mode %u", n, priv);
                if (!may || read_only)
                    cr_assert(csr_illegal(&r, n, 0, CSR_RS), "0x%x in mode %u", n, priv);
            }
        }
        cr_assert_gt(found, 100);
        rig_free(&r);
    }
}

Test(riscv_csr, only_what_the_model_has)
{
    struct rig r = rig_new("sifive-e31", 32);
    static const unsigned absent[] = {FCSR, SSTATUS, SATP, MEDELEG, MIDELEG, SIE, STIMECMP, 0x747};
    for (unsigned i = 0; i < ARRAY_LEN(absent); i++)
        cr_assert(csr_unreadable(&r, absent[i]), "0x%x", absent[i]);
    cr_assert(!csr_unreadable(&r, MCOUNTEREN));
    cr_assert_eq(csr_wr(&r, MSTATUS, ALL),
                 MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TW);
    cr_assert_eq(csr_wr(&r, MIE, ALL), 0x888);
    rig_free(&r);

    r = rig_new("rv64", 64);
    static const unsigned absent64[] = {MSTATUSH, MEDELEGH, MENVCFGH, STIMECMPH,
                                        MCYCLEH,  CYCLEH,   0x3a1,    0x3a3};
    for (unsigned i = 0; i < ARRAY_LEN(absent64); i++)
        cr_assert(csr_unreadable(&r, absent64[i]), "0x%x", absent64[i]);
    rig_free(&r);
}

Test(riscv_csr, operations)
{
    struct rig r = rig_new("rv64", 64);
    csr_w(&r, MSCRATCH, 0xf0f0);
    cr_assert_eq(rig_csr(&r, MSCRATCH, 0x0ff0, CSR_RS), 0xf0f0);
    cr_assert_eq(rig_csr(&r, MSCRATCH, 0x00f0, CSR_RC), 0xfff0);
    cr_assert_eq(rig_csr(&r, MSCRATCH, 1, CSR_RW), 0xff00);
    cr_assert_eq(rig_csr(&r, MSCRATCH, ALL, CSR_RC | CSR_NO_WRITE), 1);
    cr_assert_eq(csr_r(&r, MSCRATCH), 1);
    cr_assert_eq(csr_r(&r, MHARTID), 3);
    cr_assert(csr_illegal(&r, MHARTID, 0, CSR_RW));
    cr_assert(csr_illegal(&r, 0x7b0, 0, CSR_RW));
    rig_free(&r);

    r = rig_new("rv32", 32);
    cr_assert_eq(csr_wr(&r, MSCRATCH, ALL), 0xffffffff);
    rig_free(&r);
}

Test(riscv_csr, peek_and_poke_do_not_check)
{
    struct rig r = rig_new("rv32", 32);
    uint64_t v;
    rig_priv(&r, PRIV_U);
    cr_assert(riscv_csr_poke(r.cpu, MENVCFGH, BIT(31)));
    cr_assert(riscv_csr_peek(r.cpu, MENVCFGH, &v));
    cr_assert_eq(v & BIT(31), BIT(31));
    cr_assert(riscv_csr_poke(r.cpu, MHARTID, 7));
    cr_assert(riscv_csr_peek(r.cpu, MHARTID, &v));
    cr_assert_eq(v, 3);
    cr_assert(!riscv_csr_peek(r.cpu, 0x7b0, &v));
    cr_assert(!riscv_csr_poke(r.cpu, 0x7b0, 0));
    rig_free(&r);
}

Test(riscv_csr, counters_need_enabling)
{
    static const unsigned counters[] = {CYCLE, TIME, INSTRET, HPMCOUNTER3, CYCLEH, TIMEH};
    struct rig r = rig_new("rv32", 32);
    for (unsigned i = 0; i < ARRAY_LEN(counters); i++) {
        for (unsigned bits = 0; bits < 4; bits++) {
            unsigned bit = counters[i] & 31;
            r.rv->s.mcounteren = bits & 1 ? BIT(bit) : MASK(31, 0) & ~BIT(bit);
            r.rv->s.scounteren = bits & 2 ? BIT(bit) : MASK(31, 0) & ~BIT(bit);
            rig_priv(&r, PRIV_M);
            cr_assert(!csr_unreadable(&r, counters[i]));
            rig_priv(&r, PRIV_S);
            cr_assert_eq(csr_unreadable(&r, counters[i]), !(bits & 1));
            rig_priv(&r, PRIV_U);
            cr_assert_eq(csr_unreadable(&r, counters[i]), bits != 3);
        }
    }
    rig_free(&r);

    r = rig_new("sifive-e31", 32); // without S mode mcounteren decides for U
    csr_w(&r, MCOUNTEREN, BIT(0));
    rig_priv(&r, PRIV_U);
    cr_assert(!csr_unreadable(&r, CYCLE));
    cr_assert(csr_unreadable(&r, INSTRET));
    rig_free(&r);
}

Test(riscv_csr, satp_is_trapped_by_tvm)
{
    struct rig r = rig_new("rv64", 64);
    csr_w(&r, MSTATUS, MSTATUS_TVM);
    cr_assert(!csr_unreadable(&r, SATP));
    rig_priv(&r, PRIV_S);
    cr_assert(csr_unreadable(&r, SATP));
    cr_assert(csr_illegal(&r, SATP, 0, CSR_RW));
    rig_free(&r);
}

// ---- Status ----

Test(riscv_csr, mstatus_fields)
{
    struct rig r = rig_new("rv64", 64);
    const uint64_t xl = bits_set(0, 32, 2, 2) | bits_set(0, 34, 2, 2);
    const uint64_t writable = MSTATUS_SIE | MSTATUS_MIE | MSTATUS_SPIE | MSTATUS_MPIE |
                              MSTATUS_SPP | MSTATUS_MPP | MSTATUS_FS | MSTATUS_MPRV | MSTATUS_SUM |
                              MSTATUS_MXR | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR;
    cr_assert_eq(csr_r(&r, MSTATUS), xl);
    cr_assert_eq(csr_wr(&r, MSTATUS, ALL), writable | xl | BIT(63));
    cr_assert_eq(csr_r(&r, SSTATUS), (writable & 0xc6122) | bits_set(0, 32, 2, 2) | BIT(63));
    cr_assert_eq(csr_wr(&r, MSTATUS, 0), xl);

    // The reserved value of MPP changes nothing.
    csr_w(&r, MSTATUS, bits_set(0, 11, 2, PRIV_S));
    cr_assert_eq(csr_wr(&r, MSTATUS, bits_set(0, 11, 2, 2)), xl | bits_set(0, 11, 2, PRIV_S));

    // sstatus reaches its own bits alone.
    csr_w(&r, MSTATUS, 0);
    csr_w(&r, SSTATUS, ALL);
    cr_assert_eq(csr_r(&r, MSTATUS), (writable & 0xc6122) | xl | BIT(63));
    rig_free(&r);
}

Test(riscv_csr, mstatus_of_rv32)
{
    struct rig r = rig_new("rv32", 32);
    cr_assert_eq(csr_wr(&r, MSTATUS, ALL), UINT64_C(0x807e79aa));
    cr_assert_eq(csr_r(&r, SSTATUS), UINT64_C(0x800c6122));
    cr_assert_eq(csr_wr(&r, MSTATUSH, ALL), 0);
    cr_assert_eq(csr_r(&r, MSTATUS), UINT64_C(0x807e79aa));
    cr_assert_eq(csr_wr(&r, MEDELEGH, ALL), 0);
    rig_free(&r);
}

Test(riscv_csr, misa_says_what_there_is)
{
    struct rig r = rig_new("rv64", 64);
    uint64_t imafdcsu = 0x14112d;
    cr_assert_eq(csr_r(&r, MISA), BIT(63) | imafdcsu);
    cr_assert_eq(csr_wr(&r, MISA, 0), BIT(63) | imafdcsu);
    rig_free(&r);
    r = rig_new("rv32,f=off,c=off", 32);
    cr_assert_eq(csr_r(&r, MISA),
                 BIT(30) | (imafdcsu & ~(BIT('f' - 'a') | BIT('d' - 'a') | BIT('c' - 'a'))));
    rig_free(&r);
}

// ---- Traps ----

Test(riscv_csr, trap_registers)
{
    struct rig r = rig_new("rv64", 64);
    cr_assert_eq(csr_wr(&r, MEPC, 0x1003), 0x1002);
    cr_assert_eq(csr_wr(&r, SEPC, ALL), ~UINT64_C(1));
    cr_assert_eq(csr_wr(&r, MTVEC, 0x1001), 0x1001);
    cr_assert_eq(csr_wr(&r, MTVEC, 0x2002), 0x2001); // a reserved mode keeps the old one
    cr_assert_eq(csr_wr(&r, STVEC, 0x3003), 0x3000);
    cr_assert_eq(csr_wr(&r, MEDELEG, ALL), 0xb3ff);
    cr_assert_eq(csr_wr(&r, MIDELEG, ALL), 0x222);
    rig_free(&r);
    r = rig_new("rv64,c=off", 64);
    cr_assert_eq(csr_wr(&r, MEPC, 0x1003), 0x1000);
    cr_assert_eq(csr_wr(&r, SEPC, 0x1002), 0x1000);
    rig_free(&r);
}

Test(riscv_csr, interrupt_registers)
{
    struct rig r = rig_new("rv64", 64);
    cr_assert_eq(csr_wr(&r, MIE, ALL), 0xaaa);
    cr_assert_eq(csr_r(&r, SIE), 0);
    cr_assert_eq(csr_wr(&r, MIP, ALL), 0x222);
    cr_assert_eq(csr_r(&r, SIP), 0);
    cr_assert_eq(csr_wr(&r, SIP, 0), 0);
    cr_assert_eq(csr_r(&r, MIP), 0x222);

    csr_w(&r, MIDELEG, 0x222);
    cr_assert_eq(csr_r(&r, SIE), 0x222);
    cr_assert_eq(csr_wr(&r, SIE, 0x200), 0x200);
    cr_assert_eq(csr_r(&r, MIE), 0xa88);
    cr_assert_eq(csr_wr(&r, SIP, 0), 0x220); // SSIP alone is writable
    csr_w(&r, MIDELEG, 0x200);
    csr_w(&r, SIE, 0xaaa);
    cr_assert_eq(csr_r(&r, MIE), 0xa88);
    rig_free(&r);
}

Test(riscv_csr, seip_is_a_line_and_a_bit)
{
    struct rig r = rig_new("rv64", 64);
    riscv_cpu_set_irq(r.cpu, IRQ_SEI, true);
    // Reading gives the OR; setting another bit must not copy the line into the bit.
    cr_assert_eq(rig_csr(&r, MIP, BIT(IRQ_SSI), CSR_RS), BIT(IRQ_SEI));
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_SEI) | BIT(IRQ_SSI));
    riscv_cpu_set_irq(r.cpu, IRQ_SEI, false);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_SSI));
    rig_csr(&r, MIP, BIT(IRQ_SEI), CSR_RS);
    riscv_cpu_set_irq(r.cpu, IRQ_SEI, true);
    rig_csr(&r, MIP, BIT(IRQ_SEI), CSR_RC);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_SEI) | BIT(IRQ_SSI));
    riscv_cpu_set_irq(r.cpu, IRQ_SEI, false);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_SSI));
    // Machine lines are read-only.
    riscv_cpu_set_irq(r.cpu, IRQ_MTI, true);
    csr_w(&r, MIP, 0);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_MTI));
    rig_free(&r);
}

// What a device sets by an edge: software clears it, and a line that falls does not.
Test(riscv_csr, ssip_is_set_by_an_edge)
{
    struct rig r = rig_new("rv64", 64);
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, true);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_SSI));
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, false);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_SSI));
    rig_csr(&r, MIP, BIT(IRQ_SSI), CSR_RC);
    cr_assert_eq(csr_r(&r, MIP), 0);
    csr_w(&r, MIDELEG, BIT(IRQ_SSI));
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, true); // still high: sip's bit is the same
    rig_csr(&r, SIP, BIT(IRQ_SSI), CSR_RC);
    cr_assert_eq(csr_r(&r, MIP), 0);
    rig_free(&r);
    r = rig_new("sifive-e31", 32);
    riscv_cpu_set_irq(r.cpu, IRQ_SSI, true); // there is no such bit
    cr_assert_eq(csr_r(&r, MIP), 0);
    rig_free(&r);
}

// ---- Counters and time ----

Test(riscv_csr, cycles_are_instructions)
{
    struct rig r = rig_new("rv64", 64);
    r.cpu->slice = 1000;
    r.cpu->budget = 990;
    cr_assert_eq(csr_r(&r, CYCLE), 10);
    csr_w(&r, MCYCLE, 500);
    csr_w(&r, MINSTRET, UINT64_C(1) << 40);
    r.cpu->budget--; // the next instruction reads what was written
    cr_assert_eq(csr_r(&r, MCYCLE), 500);
    cr_assert_eq(csr_r(&r, CYCLE), 500);
    cr_assert_eq(csr_r(&r, INSTRET), UINT64_C(1) << 40);
    r.cpu->budget -= 5;
    cr_assert_eq(csr_r(&r, CYCLE), 505);

    cr_assert_eq(csr_wr(&r, MCOUNTINHIBIT, ALL), 5);
    r.cpu->budget -= 20;
    cr_assert_eq(csr_r(&r, CYCLE), 505);
    csr_w(&r, MCYCLE, 7);
    cr_assert_eq(csr_r(&r, MCYCLE), 7);
    csr_w(&r, MCOUNTINHIBIT, 4);
    r.cpu->budget -= 3;
    cr_assert_eq(csr_r(&r, CYCLE), 9);
    cr_assert_eq(csr_r(&r, INSTRET), (UINT64_C(1) << 40) + 5);
    csr_w(&r, MCOUNTINHIBIT, 4); // no change: no cycle lost
    cr_assert_eq(csr_r(&r, CYCLE), 9);
    rig_free(&r);
}

Test(riscv_csr, high_halves)
{
    struct rig r = rig_new("rv32", 32);
    csr_w(&r, MCOUNTINHIBIT, 5);
    csr_w(&r, MCYCLE, 0x89abcdef);
    csr_w(&r, MCYCLEH, 0x01234567);
    cr_assert_eq(csr_r(&r, CYCLE), 0x89abcdef);
    cr_assert_eq(csr_r(&r, CYCLEH), 0x01234567);
    cr_assert_eq(rig_csr(&r, MCYCLEH, 0xf, CSR_RC), 0x01234567);
    cr_assert_eq(csr_r(&r, CYCLEH), 0x01234560);
    cr_assert_eq(csr_r(&r, MCYCLE), 0x89abcdef);
    csr_w(&r, STIMECMP, 0x11111111);
    csr_w(&r, STIMECMPH, 0x22222222);
    cr_assert_eq(r.rv->s.stimecmp, UINT64_C(0x2222222211111111));
    cr_assert_eq(csr_wr(&r, 0x3a0, 0x1f1f1f1f), 0x1f1f1f1f);
    cr_assert_eq(csr_wr(&r, 0x3a1, 0x18191a1b), UINT64_C(0x1819181b)); // W without R is reserved
    cr_assert_eq(csr_wr(&r, 0x3a3, 0x0f), 0x0f);
    cr_assert_eq(csr_r(&r, 0x3a0), 0x1f1f1f1f);
    cr_assert_eq(csr_r(&r, 0x3a2), 0);
    cr_assert_eq(r.rv->s.pmpcfg[0], UINT64_C(0x1819181b1f1f1f1f));
    rig_free(&r);
}

static uint64_t board_mtime(void *opaque)
{
    const struct rig *r = opaque;
    return clock_ns_to_ticks(clock_now(r->clock), RIG_HZ) + 1000;
}

Test(riscv_csr, time_is_the_boards)
{
    struct rig r = rig_new("rv64", 64);
    r.clock->base_ns = 500;
    cr_assert_eq(csr_r(&r, TIME), 5);
    riscv_cpu_set_mtime(r.cpu, board_mtime, &r);
    cr_assert_eq(csr_r(&r, TIME), 1005);
    rig_free(&r);
}

Test(riscv_csr, stimecmp_raises_stip)
{
    struct rig r = rig_new("rv64", 64);
    riscv_cpu_set_mtime(r.cpu, board_mtime, &r);
    csr_w(&r, STIMECMP, 1010);
    cr_assert_eq(clock_next(r.clock), CLOCK_NEVER); // menvcfg.STCE is off
    csr_w(&r, MENVCFG, MENVCFG_STCE);
    cr_assert_eq(clock_next(r.clock), 1000);
    r.clock->base_ns = 999;
    clock_run_due(r.clock);
    cr_assert_eq(csr_r(&r, MIP), 0);
    r.clock->base_ns = 1000;
    clock_run_due(r.clock);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_STI));
    csr_w(&r, MIP, 0); // read-only now
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_STI));
    csr_w(&r, STIMECMP, ALL);
    cr_assert_eq(csr_r(&r, MIP), 0);
    csr_w(&r, STIMECMP, 0);
    cr_assert_eq(csr_r(&r, MIP), BIT(IRQ_STI));
    csr_w(&r, MENVCFG, 0);
    cr_assert_eq(csr_r(&r, MIP), 0);
    cr_assert_eq(csr_wr(&r, MIP, BIT(IRQ_STI)), BIT(IRQ_STI));
    csr_w(&r, MENVCFG, MENVCFG_STCE);
    csr_w(&r, STIMECMP, ALL);
    cr_assert_eq(csr_r(&r, MIP), 0); // software's bit does not count
    rig_free(&r);
}

Test(riscv_csr, stimecmp_access)
{
    struct rig r = rig_new("rv64", 64);
    for (unsigned bits = 0; bits < 4; bits++) {
        rig_priv(&r, PRIV_M);
        csr_w(&r, MENVCFG, bits & 1 ? MENVCFG_STCE : 0);
        csr_w(&r, MCOUNTEREN, bits & 2 ? 2 : 0);
        cr_assert(!csr_unreadable(&r, STIMECMP));
        rig_priv(&r, PRIV_S);
        cr_assert_eq(csr_unreadable(&r, STIMECMP), bits != 3);
    }
    rig_free(&r);
}

// ---- Floating point ----

Test(riscv_csr, fp_needs_fs_and_makes_it_dirty)
{
    struct rig r = rig_new("rv64", 64);
    for (unsigned csr = FFLAGS; csr <= FCSR; csr++) {
        csr_w(&r, MSTATUS, 0);
        cr_assert(csr_unreadable(&r, csr));
        csr_w(&r, MSTATUS, bits_set(0, 13, 2, FS_INITIAL));
        cr_assert_eq(csr_r(&r, csr), 0);
        cr_assert_eq(RV_KEY_FS(r.rv->key), KEY_FS_CLEAN);
        csr_w(&r, csr, 0);
        cr_assert_eq(csr_r(&r, MSTATUS) & (MSTATUS_FS | BIT(63)), MSTATUS_FS | BIT(63));
        cr_assert_eq(RV_KEY_FS(r.rv->key), KEY_FS_DIRTY);
    }
    rig_free(&r);
}

Test(riscv_csr, fcsr_parts)
{
    static const struct {
        unsigned fflags, host;
    } flags[] = {
        {1, FP_INEXACT}, {2, FP_UNDERFLOW}, {4, FP_OVERFLOW}, {8, FP_DIVZERO}, {16, FP_INVALID}};
    struct rig r = rig_new("rv64", 64);
    csr_w(&r, MSTATUS, MSTATUS_FS);
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        csr_w(&r, FFLAGS, flags[i].fflags);
        cr_assert_eq(r.cpu->fp.flags, flags[i].host);
        cr_assert_eq(csr_r(&r, FCSR), flags[i].fflags);
    }
    cr_assert_eq(csr_wr(&r, FCSR, ALL), 0xff);
    cr_assert_eq(csr_r(&r, FRM), 7);
    cr_assert_eq(csr_r(&r, FFLAGS), 31);
    csr_w(&r, FRM, FP_RUP);
    cr_assert_eq(csr_r(&r, FCSR), FP_RUP << 5 | 31);
    cr_assert_eq(RV_KEY_FRM(r.rv->key), FP_RUP);
    cr_assert_eq(r.cpu->key_rm, FP_RUP);
    csr_w(&r, FRM, 5);
    cr_assert_eq(r.cpu->key_rm, FP_RNE);
    rig_free(&r);
}

// ---- The rest ----

Test(riscv_csr, environment_configuration)
{
    struct rig r = rig_new("max", 64);
    cr_assert_eq(csr_wr(&r, MENVCFG, ALL), MASK(63, 61) | 0xf1);
    cr_assert_eq(csr_wr(&r, MENVCFG, 0x20), 0x30); // CBIE = 2 is reserved
    cr_assert_eq(csr_wr(&r, SENVCFG, ALL), 0xf1);
    cr_assert_eq(csr_wr(&r, SENVCFG, 0), 0);
    rig_free(&r);
    r = rig_new("rv64,zicbom=off,zicboz=off,svadu=off,sstc=off", 64);
    cr_assert_eq(csr_wr(&r, MENVCFG, ALL), 1);
    rig_free(&r);
}

Test(riscv_csr, satp_keeps_to_implemented_modes)
{
    struct rig r = rig_new("rv64", 64);
    uint64_t sv39 = UINT64_C(8) << 60 | UINT64_C(0xffff) << 44 | 0x80000;
    cr_assert_eq(csr_wr(&r, SATP, sv39), sv39);
    for (unsigned mode = 0; mode < 16; mode++) {
        uint64_t v = (uint64_t)mode << 60 | 0x12345;
        bool ok = mode == 0 || mode == 8 || mode == 9;
        csr_w(&r, SATP, sv39);
        cr_assert_eq(csr_wr(&r, SATP, v), ok ? v : sv39, "mode %u", mode);
    }
    rig_free(&r);
    r = rig_new("rv32", 32);
    cr_assert_eq(csr_wr(&r, SATP, ALL), 0xffffffff);
    rig_free(&r);
    r = rig_new("rv64,mmu=off", 64);
    cr_assert_eq(csr_wr(&r, SATP, sv39), 0);
    cr_assert_eq(csr_wr(&r, SATP, 0x80000), 0);
    cr_assert_eq(csr_wr(&r, MSTATUS, ALL) & MSTATUS_SUM, 0);
    rig_free(&r);
}

Test(riscv_csr, hints_for_the_lifter)
{
    struct rig r = rig_new("rv64", 64);
    uint32_t clean = 1 << 5, dirty = 2 << 5;
    static const unsigned read = CSR_RS | CSR_NO_WRITE;
    cr_assert(riscv_csr_hint(r.cpu, 0, SATP, CSR_RW).leave);
    cr_assert(!riscv_csr_hint(r.cpu, 0, SATP, read).leave);
    cr_assert(!riscv_csr_hint(r.cpu, 0, SSCRATCH, CSR_RW).leave);
    cr_assert(riscv_csr_hint(r.cpu, 0, TIME, read).call_flags & CALL_TIME);
    cr_assert(riscv_csr_hint(r.cpu, 0, STIMECMP, CSR_RW).call_flags & CALL_TIME);
    cr_assert(riscv_csr_hint(r.cpu, dirty, FCSR, read).call_flags & CALL_FP);
    cr_assert(riscv_csr_hint(r.cpu, dirty, FRM, CSR_RW).leave);
    cr_assert(riscv_csr_hint(r.cpu, clean, FFLAGS, CSR_RW).leave);
    cr_assert(!riscv_csr_hint(r.cpu, dirty, FFLAGS, CSR_RW).leave);
    cr_assert(riscv_csr_hint(r.cpu, 0, 0x7b0, read).call_flags & CALL_FAULT);
    rig_free(&r);
}
