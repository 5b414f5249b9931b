// SPDX-License-Identifier: MIT
// RISC-V physical memory protection: matching to the byte, priorities, locks, and Smepmp.
#include "tests/unit/riscv_bare.h"

#define PMPCFG0  0x3a0
#define PMPADDR0 0x3b0
#define MSECCFG  0x747

#define PR    1u
#define PW    2u
#define PX    4u
#define TOR   0x08u
#define NA4   0x10u
#define NAPOT 0x18u
#define L     0x80u

#define CAN_R   BIT(TLB_READ)
#define CAN_W   BIT(TLB_WRITE)
#define CAN_X   BIT(TLB_EXEC)
#define CAN_ALL (CAN_R | CAN_W | CAN_X)

static void set_cfg(struct rig *r, unsigned i, unsigned cfg)
{
    unsigned csr = PMPCFG0 + (r->rv->xlen == 64 ? i / 8 * 2 : i / 4);
    unsigned shift = (r->rv->xlen == 64 ? i % 8 : i % 4) * 8;
    csr_w(r, csr, bits_set(csr_r(r, csr), shift, 8, cfg));
}

static unsigned get_cfg(struct rig *r, unsigned i)
{
    return (unsigned)bits_get(r->rv->s.pmpcfg[i / 8], i % 8 * 8, 8);
}

// An entry, its address given in bytes.
static void set(struct rig *r, unsigned i, unsigned cfg, uint64_t addr)
{
    csr_w(r, PMPADDR0 + i, addr >> 2);
    set_cfg(r, i, cfg);
}

static unsigned can(struct rig *r, paddr_t addr, unsigned size, enum riscv_priv priv)
{
    bool partial;
    return riscv_pmp_allowed(r->rv, addr, size, priv, &partial);
}

static unsigned can_byte(struct rig *r, paddr_t addr)
{
    return can(r, addr, 1, PRIV_U);
}

static bool is_partial(struct rig *r, paddr_t addr)
{
    bool partial;
    riscv_pmp_allowed(r->rv, addr, 1, PRIV_U, &partial);
    return partial;
}

// Expects that exactly [first, last] is readable to U mode, as far as the bytes at its ends say.
static void expect_range(struct rig *r, uint64_t first, uint64_t last, const char *what)
{
    cr_assert_eq(can_byte(r, first), CAN_R, "%s: first", what);
    cr_assert_eq(can_byte(r, last), CAN_R, "%s: last", what);
    cr_assert(first == 0 || can_byte(r, first - 1) == 0, "%s: below", what);
    cr_assert(last == UINT64_MAX || can_byte(r, last + 1) == 0, "%s: above", what);
}

// ---- Matching ----

Test(riscv_pmp, without_entries)
{
    struct rig r = rig_new("rv64", 64);
    cr_assert_eq(can(&r, RIG_RAM, 8, PRIV_M), CAN_ALL);
    cr_assert_eq(can(&r, RIG_RAM, 8, PRIV_S), 0);
    cr_assert_eq(can(&r, RIG_RAM, 8, PRIV_U), 0);
    rig_free(&r);
    r = rig_new("rv64,pmp=off", 64);
    cr_assert_eq(can(&r, RIG_RAM, 8, PRIV_U), CAN_ALL);
    rig_free(&r);
}

Test(riscv_pmp, ranges)
{
    for (unsigned xlen = 32; xlen <= 64; xlen += 32) {
        struct rig r = rig_new(NULL, xlen);
        set(&r, 0, NA4 | PR, 0x80001004);
        expect_range(&r, 0x80001004, 0x80001007, "NA4");
        set(&r, 0, NAPOT | PR, 0x80001000);
        expect_range(&r, 0x80001000, 0x80001007, "NAPOT of 8");
        for (unsigned bits = 3; bits < (xlen == 32 ? 34 : 56); bits++) {
            uint64_t size = BIT(bits), base = bits < 31 ? 0x80000000 : 0;
            set(&r, 0, NAPOT | PR, base | (size - 1) >> 1);
            expect_range(&r, base, base + size - 1, "NAPOT");
        }
        csr_w(&r, PMPADDR0, ~UINT64_C(0));
        cr_assert_eq(csr_r(&r, PMPADDR0), xlen == 32 ? MASK(31, 0) : MASK(53, 0));
        cr_assert_eq(can_byte(&r, 0), CAN_R);
        cr_assert_eq(can_byte(&r, MASK(55, 0)), xlen == 64 ? CAN_R : 0);
        cr_assert_eq(can_byte(&r, MASK(33, 0)), CAN_R);
        rig_free(&r);
    }
}

Test(riscv_pmp, top_of_range)
{
    struct rig r = rig_new("rv64", 64);
    set(&r, 0, TOR | PR, 0x1004);
    expect_range(&r, 0, 0x1003, "entry 0 starts at 0");
    set_cfg(&r, 0, 0);
    set(&r, 3, 0, 0x2004);
    set(&r, 4, TOR | PR, 0x3008);
    expect_range(&r, 0x2004, 0x3007, "the entry below is off");
    set(&r, 3, 0, 0x3008);
    cr_assert_eq(can_byte(&r, 0x3007), 0);
    set(&r, 3, 0, 0x4000);
    cr_assert_eq(can_byte(&r, 0x3007), 0);
    cr_assert_eq(can_byte(&r, 0x4000), 0);
    rig_free(&r);
}

Test(riscv_pmp, the_first_match_decides)
{
    struct rig r = rig_new("rv64", 64);
    set(&r, 2, NA4 | PR, 0x80001008);
    set(&r, 5, NAPOT | PR | PW, 0x800017ff);
    set(&r, 15, NAPOT | PX, ~UINT64_C(0));
    cr_assert_eq(can_byte(&r, 0x80001008), CAN_R);
    cr_assert_eq(can_byte(&r, 0x8000100c), CAN_R | CAN_W);
    cr_assert_eq(can_byte(&r, 0x80002000), CAN_X);
    rig_free(&r);
}

Test(riscv_pmp, all_bytes_must_match_one_entry)
{
    struct rig r = rig_new("rv64", 64);
    set(&r, 0, NA4 | PR | PW, 0x8000100c);
    set(&r, 1, NAPOT | PR | PW, ~UINT64_C(0));
    cr_assert_eq(can(&r, 0x8000100c, 4, PRIV_U), CAN_R | CAN_W);
    cr_assert_eq(can(&r, 0x80001008, 4, PRIV_U), CAN_R | CAN_W);
    cr_assert_eq(can(&r, 0x80001008, 8, PRIV_U), 0);
    cr_assert_eq(can(&r, 0x8000100e, 4, PRIV_U), 0);
    cr_assert_eq(can(&r, 0x80001008, 8, PRIV_M), 0); // M mode fails as well, lock or not
    rig_free(&r);
}

Test(riscv_pmp, pages_with_several_answers)
{
    struct rig r = rig_new("rv64", 64);
    set(&r, 0, NA4 | PR, 0x80001ffc);
    cr_assert(is_partial(&r, 0x80001000));
    cr_assert(is_partial(&r, 0x80001ffc));
    cr_assert(!is_partial(&r, 0x80000fff));
    cr_assert(!is_partial(&r, 0x80002000));
    set(&r, 0, NAPOT | PR, 0x800011ff);
    cr_assert(is_partial(&r, 0x80001000));
    set(&r, 0, NAPOT | PR, 0x800017ff);
    cr_assert(!is_partial(&r, 0x80001000));
    set(&r, 1, NA4 | PR, 0x80001004); // hidden behind an entry for all of the page
    cr_assert(!is_partial(&r, 0x80001000));
    rig_free(&r);
}

// ---- Locks ----

Test(riscv_pmp, machine_mode_obeys_locked_entries_only)
{
    struct rig r = rig_new("rv64", 64);
    for (unsigned rwx = 0; rwx < 8; rwx++) {
        if ((rwx & 3) == PW)
            continue;
        unsigned want = (rwx & PR ? CAN_R : 0) | (rwx & PW ? CAN_W : 0) | (rwx & PX ? CAN_X : 0);
        r.cpu->guest->reset(r.cpu);
        set(&r, 0, NA4 | rwx, 0x80001000);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_M), CAN_ALL);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_S), want);
        set_cfg(&r, 0, L | NA4 | rwx);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_M), want);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_S), want);
        cr_assert_eq(can(&r, 0x80001004, 4, PRIV_M), CAN_ALL);
    }
    rig_free(&r);
}

Test(riscv_pmp, locked_entries_stay)
{
    struct rig r = rig_new("rv64", 64);
    set(&r, 2, 0, 0x80001000);
    set(&r, 3, L | TOR | PR, 0x80002000);
    set_cfg(&r, 3, 0);
    cr_assert_eq(get_cfg(&r, 3), L | TOR | PR);
    csr_w(&r, PMPADDR0 + 3, 0);
    cr_assert_eq(csr_r(&r, PMPADDR0 + 3), 0x80002000 >> 2);
    csr_w(&r, PMPADDR0 + 2, 0); // the bottom of a locked TOR entry
    cr_assert_eq(csr_r(&r, PMPADDR0 + 2), 0x80001000 >> 2);
    set_cfg(&r, 2, NA4 | PR); // but its configuration is free
    cr_assert_eq(get_cfg(&r, 2), NA4 | PR);

    set(&r, 5, L, 0x1000); // locked though off
    set(&r, 5, NA4 | PR, 0x2000);
    cr_assert_eq(get_cfg(&r, 5), L);
    cr_assert_eq(csr_r(&r, PMPADDR0 + 5), 0x1000 >> 2);
    csr_w(&r, PMPADDR0 + 4, 0x77); // entry 5 isn't TOR
    cr_assert_eq(csr_r(&r, PMPADDR0 + 4), 0x77);

    r.cpu->guest->reset(r.cpu);
    cr_assert_eq(r.rv->s.pmpcfg[0], 0);
    rig_free(&r);
}

Test(riscv_pmp, legal_configurations)
{
    struct rig r = rig_new("rv64", 64);
    for (unsigned cfg = 0; cfg < 128; cfg++) {
        set_cfg(&r, 7, cfg);
        unsigned legal = cfg & 0x1f;
        if ((legal & 3) == PW)
            legal &= ~PW;
        cr_assert_eq(get_cfg(&r, 7), legal, "0x%x", cfg);
    }
    csr_w(&r, PMPCFG0 + 2, UINT64_C(0x1f00000000000000));
    cr_assert_eq(get_cfg(&r, 15), 0x1f);
    rig_free(&r);
}

// ---- Smepmp ----

Test(riscv_pmp, truth_table_of_lockdown)
{
    // By L, R, W, X: M mode, S and U mode. From the manual's table.
    static const struct {
        unsigned m, su;
    } table[16] = {
        {0, 0},     {0, CAN_X},         {CAN_R | CAN_W, CAN_R}, {CAN_R | CAN_W, CAN_R | CAN_W},
        {0, CAN_R}, {0, CAN_R | CAN_X}, {0, CAN_R | CAN_W},     {0, CAN_ALL},
        {0, 0},     {CAN_X, 0},         {CAN_X, CAN_X},         {CAN_R | CAN_X, CAN_X},
        {CAN_R, 0}, {CAN_R | CAN_X, 0}, {CAN_R | CAN_W, 0},     {CAN_R, CAN_R},
    };
    struct rig r = rig_new("max", 64);
    csr_w(&r, MSECCFG, MSECCFG_RLB);
    csr_w(&r, MSECCFG, MSECCFG_RLB | MSECCFG_MML);
    for (unsigned lrwx = 0; lrwx < 16; lrwx++) {
        unsigned cfg =
            (lrwx & 8 ? L : 0) | (lrwx & 4 ? PR : 0) | (lrwx & 2 ? PW : 0) | (lrwx & 1 ? PX : 0);
        set(&r, 0, cfg | NA4, 0x80001000);
        cr_assert_eq(get_cfg(&r, 0), cfg | NA4);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_M), table[lrwx].m, "M, code %u", lrwx);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_S), table[lrwx].su, "S, code %u", lrwx);
        cr_assert_eq(can(&r, 0x80001000, 4, PRIV_U), table[lrwx].su, "U, code %u", lrwx);
    }
    rig_free(&r);
}

Test(riscv_pmp, default_policy)
{
    static const struct {
        unsigned seccfg, machine;
    } policy[] = {
        {0, CAN_ALL},
        {MSECCFG_MML, CAN_R | CAN_W},
        {MSECCFG_MMWP, 0},
        {MSECCFG_MML | MSECCFG_MMWP, 0},
    };
    for (unsigned i = 0; i < ARRAY_LEN(policy); i++) {
        struct rig r = rig_new("max", 32);
        csr_w(&r, MSECCFG, policy[i].seccfg);
        cr_assert_eq(can(&r, RIG_RAM, 4, PRIV_M), policy[i].machine);
        cr_assert_eq(can(&r, RIG_RAM, 4, PRIV_U), 0);
        rig_free(&r);
    }
}

Test(riscv_pmp, sticky_bits)
{
    struct rig r = rig_new("max", 64);
    cr_assert_eq(csr_wr(&r, MSECCFG, ~UINT64_C(0)), 7);
    cr_assert_eq(csr_wr(&r, MSECCFG, 0), MSECCFG_MML | MSECCFG_MMWP);
    cr_assert_eq(csr_wr(&r, MSECCFG, MSECCFG_RLB), 7); // nothing is locked: may be set again
    set(&r, 0, L | NA4 | PR, 0x1000);
    cr_assert_eq(csr_wr(&r, MSECCFG, MSECCFG_RLB), 7);
    cr_assert_eq(csr_wr(&r, MSECCFG, 0), 3);
    cr_assert_eq(csr_wr(&r, MSECCFG, MSECCFG_RLB), 3);
    r.cpu->guest->reset(r.cpu);
    cr_assert_eq(csr_r(&r, MSECCFG), 0);
    rig_free(&r);
}

Test(riscv_pmp, bypass_opens_locked_entries)
{
    struct rig r = rig_new("max", 64);
    csr_w(&r, MSECCFG, MSECCFG_RLB);
    set(&r, 0, L | TOR | PR, 0x1000);
    set(&r, 1, L | TOR | PR, 0x2000);
    set(&r, 0, PR, 0x3000);
    cr_assert_eq(get_cfg(&r, 0), PR);
    cr_assert_eq(csr_r(&r, PMPADDR0), 0x3000 >> 2);
    rig_free(&r);
}

Test(riscv_pmp, lockdown_takes_no_new_machine_code)
{
    struct rig r = rig_new("max", 64);
    csr_w(&r, MSECCFG, MSECCFG_MML);
    for (unsigned rwx = 0; rwx < 8; rwx++) {
        bool code = rwx == 4 || rwx == 5 || rwx == PW || rwx == (PW | PX);
        r.rv->s.pmpcfg[0] = NA4;
        set_cfg(&r, 0, L | NA4 | rwx);
        cr_assert_eq(get_cfg(&r, 0), code ? NA4 : (L | NA4 | rwx), "rwx %u", rwx);
    }
    r.rv->s.pmpcfg[0] = 0;
    set_cfg(&r, 0, NA4 | PX); // for S and U mode there is no limit
    cr_assert_eq(get_cfg(&r, 0), NA4 | PX);
    rig_free(&r);
}

Test(riscv_pmp, changes_reach_the_tlb)
{
    struct rig r = rig_new("rv64", 64);
    uint64_t v;
    rig_open_pmp(&r);
    rig_priv(&r, PRIV_U);
    cr_assert(cpu_load(r.cpu, RIG_RAM, 4, MO_32, &v));
    rig_priv(&r, PRIV_M);
    csr_w(&r, PMPADDR0, 0x1000);
    rig_priv(&r, PRIV_U);
    cr_assert(!cpu_load(r.cpu, RIG_RAM, 4, MO_32, &v));
    cr_assert_eq(rig_fault(&r), EXC_LOAD_ACCESS);
    rig_free(&r);
}
