// SPDX-License-Identifier: MIT
// Physical memory protection: registers, matching, permissions, priority, locking. Everybody may access all of memory
// by the last entry, and use the code of ops.S by the one before; the first ones are tried on the arena.
#include "guest.h"

enum { OPS = 14 };

#define ECALL 0x00000073

static enum priv low; // the least mode but M

static void clear_entries(void)
{
    for (unsigned i = 0; i < OPS; i++)
        pmp_set(i, 0, 0);
}

static void open_ops(void)
{
    pmp_set(OPS, PMP_NAPOT | PMP_RWX, napot((reg)ops, 0x4000));
}

// ---- Registers ----

static void check_registers(void)
{
    paragraph("Physical Memory Protection CSRs");
    pmp_set_addr(0, ~(reg)0);
    check(pmp_addr(0), XLEN == 64 ? ((uint64_t)1 << 54) - 1 : ~(reg)0,
          "pmpaddr holds all of an address");
    pmp_set_addr(0, 0);
    check(pmp_addr(0), 0, "pmpaddr holds 0");
    for (unsigned rwx = 0; rwx < 8; rwx++) {
        pmp_set_cfg(0, rwx);
        if (rwx & PMP_W && !(rwx & PMP_R))
            check_true((pmp_cfg(0) & (PMP_R | PMP_W)) != PMP_W, "R=0 and W=1 is reserved (X=%u)",
                       rwx >> 2);
        else
            check(pmp_cfg(0), rwx, "pmp0cfg holds R, W, X = %x", (reg)rwx);
    }
    for (unsigned a = 0; a < 4; a++) {
        pmp_set_cfg(0, a << 3);
        check(pmp_cfg(0), a << 3, "pmp0cfg holds A = %u", a);
    }
    pmp_set_cfg(0, 0x60);
    check(pmp_cfg(0), 0, "bits 5 and 6 of pmp0cfg are 0");
    pmp_set_cfg(0, 0);
#if XLEN == 64
    check_illegal(csr_reads(M, CSR_PMPCFG0 + 1), csr_insn(CSR_PMPCFG0 + 1, CSRRS, 10, 0),
                  "pmpcfg1 does not exist in RV64");
    check_illegal(csr_reads(M, CSR_PMPCFG0 + 3), csr_insn(CSR_PMPCFG0 + 3, CSRRS, 10, 0),
                  "pmpcfg3 does not exist in RV64");
#endif
    if (low == M)
        return;
    check_illegal(csr_reads(low, CSR_PMPCFG0), csr_insn(CSR_PMPCFG0, CSRRS, 10, 0),
                  "pmpcfg0 is M-mode's alone");
    check_illegal(csr_reads(low, CSR_PMPADDR0), csr_insn(CSR_PMPADDR0, CSRRS, 10, 0),
                  "pmpaddr0 is M-mode's alone");
}

// ---- Matching ----

static bool loads(enum priv priv, reg addr)
{
    return run(priv, op_lbu, addr, 0).cause == NONE;
}

// Entries allow nothing in [first, last], and all around it.
static void expect_region(reg first, reg last, const char *name, reg arg)
{
    check_trap(run(low, op_lbu, first, 0), LOAD_ACCESS, first, "%s %x: its first byte", name, arg);
    check_trap(run(low, op_lbu, last, 0), LOAD_ACCESS, last, "%s %x: its last byte", name, arg);
    check_true(loads(low, first - 1), "%s %x: the byte before it", name, arg);
    check_true(loads(low, last + 1), "%s %x: the byte behind it", name, arg);
}

static void check_napot(void)
{
    reg middle = ARENA + ARENA_SIZE / 2;
    pmp_set(0, PMP_NA4, middle >> 2);
    expect_region(middle, middle + 3, "NA4 of bytes", 4);
    for (reg size = 8; size <= ARENA_SIZE / 2; size *= 2) {
        pmp_set(0, PMP_NAPOT, napot(middle, size));
        check_true(!loads(low, middle) && !loads(low, middle + size - 1) &&
                       loads(low, middle - 1) &&
                       (middle + size == ARENA + ARENA_SIZE || loads(low, middle + size)),
                   "NAPOT of %x bytes: begins and ends there", size);
        check_true(!loads(low, middle + size / 2), "NAPOT of %x bytes: its middle", size);
    }
    clear_entries();
    pmp_set(0, PMP_NAPOT, ~(reg)0);
    check_true(!loads(low, ARENA) && !loads(low, (reg)ops), "NAPOT of all ones: all of memory");
    clear_entries();
}

static void check_tor(void)
{
    reg base = ARENA + PAGE;
    for (reg size = 4; size <= 4 * PAGE; size *= 4) {
        pmp_set_addr(0, base >> 2);
        pmp_set(1, PMP_TOR, (base + size) >> 2);
        expect_region(base, base + size - 1, "TOR of bytes", size);
    }
    pmp_set(0, PMP_NA4 | PMP_RWX, base >> 2);
    check_true(loads(low, base) && !loads(low, base + 4),
               "TOR: the entry before it may be in use itself");
    pmp_set_cfg(0, 0);
    pmp_set(1, PMP_TOR, base >> 2);
    check_true(loads(low, base) && loads(low, base - 1),
               "TOR: top equal to bottom matches nothing");
    pmp_set(1, PMP_TOR, ARENA >> 2);
    check_true(loads(low, ARENA) && loads(low, base - 1), "TOR: top below bottom matches nothing");
    clear_entries();
    pmp_set(0, PMP_TOR | PMP_R | PMP_X, base >> 2);
    check_trap(run(low, op_sb, 0, 0), STORE_ACCESS, 0, "TOR: the first entry begins at 0");
    check_trap(run(low, op_sb, base - 1, 0), STORE_ACCESS, base - 1,
               "TOR: the first entry's last byte");
    check_none(run(low, op_sb, base, 0), "TOR: the byte behind the first entry");
    clear_entries();
}

static void check_off(void)
{
    pmp_set(0, 0, napot(ARENA, PAGE));
    check_true(loads(low, ARENA), "OFF matches nothing");
    clear_entries();
}

// ---- Priority ----

static void check_priority(void)
{
    paragraph("Priority and Matching Logic");
    pmp_set(0, PMP_NAPOT | PMP_R, napot(ARENA, 16));
    pmp_set(1, PMP_NAPOT, napot(ARENA, PAGE));
    check_true(loads(low, ARENA) && !loads(low, ARENA + 16),
               "the lowest entry that matches decides: it allows");
    check_trap(run(low, op_sb, ARENA, 0), STORE_ACCESS, ARENA,
               "the lowest entry that matches decides: nothing is added");
    pmp_set(0, PMP_NAPOT, napot(ARENA, 16));
    pmp_set(1, PMP_NAPOT | PMP_RWX, napot(ARENA, PAGE));
    check_true(!loads(low, ARENA) && loads(low, ARENA + 16),
               "the lowest entry that matches decides: it forbids");
    clear_entries();
    pmp_set(5, PMP_NAPOT, napot(ARENA, PAGE));
    check_true(!loads(low, ARENA), "entries in between that are off don't count");
    clear_entries();
#if XLEN == 64
    // Both entries allow all that the doubleword needs, but none of them matches all of it.
    pmp_set(0, PMP_NA4 | PMP_RWX, (ARENA + 4) >> 2);
    check_trap(run(low, op_ld, ARENA, 0), LOAD_ACCESS, ARENA,
               "an entry that matches some bytes: a load fails");
    check_trap(run(low, op_sd, ARENA, 0), STORE_ACCESS, ARENA,
               "an entry that matches some bytes: a store fails");
    check_trap(run(low, op_amoadd_d, ARENA, 0), STORE_ACCESS, ARENA,
               "an entry that matches some bytes: an AMO fails");
    check_trap(run(low, op_lr_d, ARENA, 0), LOAD_ACCESS, ARENA,
               "an entry that matches some bytes: LR fails");
    check_trap(run(M, op_ld, ARENA, 0), LOAD_ACCESS, ARENA,
               "an entry that matches some bytes: M-mode's load fails, L=0");
    check_none(run(low, op_lw, ARENA + 4, 0), "the word that it matches");
    check_none(run(low, op_lw, ARENA, 0), "the word that it does not match");
    check_none(run(low, op_ld, ARENA + 8, 0), "the doubleword behind");
    clear_entries();
    pmp_set(0, PMP_NA4 | PMP_RWX, ARENA >> 2);
    check_trap(run(low, op_ld, ARENA, 0), LOAD_ACCESS, ARENA,
               "an entry that matches the first bytes: a load fails");
    clear_entries();
    pmp_set(3, PMP_NA4 | PMP_RWX, ARENA >> 2);
    pmp_set(2, PMP_NAPOT | PMP_RWX, napot(ARENA, 8));
    check_none(run(low, op_ld, ARENA, 0), "an entry before it that matches all");
    clear_entries();
#endif
}

// A misaligned access may be several operations: it fails or does not, but where it fails the trap value is in it.
static void check_misaligned(void)
{
    pmp_set(0, PMP_NAPOT, napot(ARENA + PAGE, PAGE));
    struct trap t = run(low, op_lw, ARENA + PAGE - 2, 0);
    check(t.cause, LOAD_ACCESS, "a misaligned load into a region");
    check_true(t.tval == ARENA + PAGE - 2 || t.tval == ARENA + PAGE,
               "a misaligned load into a region: the trap value");
    t = run(low, op_sw, ARENA + PAGE - 2, 0);
    check(t.cause, STORE_ACCESS, "a misaligned store into a region");
    check_true(t.tval == ARENA + PAGE - 2 || t.tval == ARENA + PAGE,
               "a misaligned store into a region: the trap value");
    pmp_set(0, PMP_NA4, (ARENA + 8) >> 2);
    t = run(low, op_lw, ARENA + 6, 0);
    check(t.cause, LOAD_ACCESS, "a misaligned load into a word");
    check_true(t.tval == ARENA + 6 || t.tval == ARENA + 8,
               "a misaligned load into a word: the trap value");
    check_none(run(low, op_lw, ARENA + 4, 0), "the word before it");
    check_none(run(low, op_lh, ARENA + 6, 0), "the halfword before it");
    check_none(run(low, op_lw, ARENA + 12, 0), "the word behind it");
    clear_entries();
}

// ---- Permissions ----

static const struct {
    const char *name;
    const char *op;
    reg need;
    enum cause cause;
} accesses[] = {
    {"load", op_lw, PMP_R, LOAD_ACCESS},     {"LR", op_lr_w, PMP_R, LOAD_ACCESS},
    {"store", op_sw, PMP_W, STORE_ACCESS},   {"AMO", op_amoswap_w, PMP_W, STORE_ACCESS},
    {"fetch", op_jump, PMP_X, FETCH_ACCESS},
};

static void check_permissions(enum priv priv, reg addr, reg cfg, bool enforced)
{
    for (unsigned i = 0; i < ARRAY_LEN(accesses); i++) {
        struct trap t = run(priv, accesses[i].op, addr, ECALL);
        if (!enforced || cfg & accesses[i].need)
            check_none(t, "%s, %s-mode, cfg %x", accesses[i].name, priv_name(priv), cfg);
        else
            check_trap(t, accesses[i].cause, addr, "%s, %s-mode, cfg %x", accesses[i].name,
                       priv_name(priv), cfg);
    }
}

static const reg legal[] = {0, PMP_R, PMP_X, PMP_R | PMP_X, PMP_R | PMP_W, PMP_RWX};

static void check_unlocked(void)
{
    *word_at(ARENA) = ECALL;
    paragraph("Locking and Privilege Mode");
    for (unsigned i = 0; i < ARRAY_LEN(legal); i++) {
        pmp_set(0, PMP_NAPOT | legal[i], napot(ARENA, PAGE));
        check_permissions(M, ARENA, legal[i], false);
        if (has('S'))
            check_permissions(S, ARENA, legal[i], true);
        if (has('U'))
            check_permissions(U, ARENA, legal[i], true);
    }
    clear_entries();
}

static void check_mprv(void)
{
    paragraph("Physical Memory Protection");
    reg status = (csr_read(CSR_MSTATUS) & ~MSTATUS_MPP) | MSTATUS_MPRV;
    pmp_set(0, PMP_NAPOT, napot(ARENA, PAGE));
    check_trap(run_at(M, (reg)op_mprv_lw, ARENA, 0, status | MPP(low)), LOAD_ACCESS, ARENA,
               "MPRV=1: a load by M-mode");
    check_trap(run_at(M, (reg)op_mprv_sw, ARENA, 0, status | MPP(low)), STORE_ACCESS, ARENA,
               "MPRV=1: a store by M-mode");
    check_none(run_at(M, (reg)op_mprv_lw, ARENA, 0, status | MPP(M)),
               "MPRV=1 and MPP=M: a load by M-mode");
    clear_entries();
}

static void check_no_match(void)
{
    paragraph("Priority and Matching Logic");
    pmp_set_cfg(PMP_OPEN, 0);
    check_trap(run(low, op_lw, ARENA, 0), LOAD_ACCESS, ARENA,
               "no entry matches: a load by %s-mode fails", priv_name(low));
    check_trap(run(low, op_jump, ARENA, 0), FETCH_ACCESS, ARENA,
               "no entry matches: a fetch by %s-mode fails", priv_name(low));
    check_none(run(M, op_lw, ARENA, 0), "no entry matches: a load by M-mode succeeds");
    *word_at(ARENA) = ECALL;
    check_none(run(M, op_jump, ARENA, 0), "no entry matches: a fetch by M-mode succeeds");
    pmp_set_cfg(OPS, 0);
    check_trap(run(low, op_nop, 0, 0), FETCH_ACCESS, (reg)op_nop,
               "all entries are off: %s-mode can do nothing", priv_name(low));
    open_ops();
    pmp_open();
}

// ---- Locking: for good, so last ----

static void check_locked(void)
{
    static const reg other = ARENA + 32 * PAGE;
    paragraph("Locking and Privilege Mode");
    for (unsigned i = 0; i < ARRAY_LEN(legal); i++) {
        reg page = ARENA + i * PAGE, cfg = PMP_L | PMP_NAPOT | legal[i];
        *word_at(page) = ECALL;
        pmp_set(i, cfg, napot(page, PAGE));
        check_permissions(M, page, legal[i], true);
        if (low != M)
            check_permissions(low, page, legal[i], true);
        pmp_set_cfg(i, 0);
        check(pmp_cfg(i), cfg, "pmp%ucfg, locked: a write is ignored", i);
        pmp_set_addr(i, 0);
        check(pmp_addr(i), napot(page, PAGE), "pmpaddr%u, locked: a write is ignored", i);
    }
    pmp_set_addr(8, ARENA >> 2);
    pmp_set(9, PMP_L | PMP_TOR | PMP_RWX, (ARENA + PAGE) >> 2);
    pmp_set_addr(8, 0);
    check(pmp_addr(8), ARENA >> 2, "pmpaddr below a locked TOR: a write is ignored");
    pmp_set_cfg(8, PMP_R);
    check(pmp_cfg(8), PMP_R, "pmpcfg below a locked TOR: can be written");
    pmp_set(10, PMP_L, napot(other, PAGE));
    pmp_set(10, PMP_RWX, 0);
    check(pmp_cfg(10), PMP_L, "locked and off: a write is ignored");
    check(pmp_addr(10), napot(other, PAGE), "locked and off: a write of the address is ignored");
    pmp_set(11, PMP_NAPOT | PMP_RWX, napot(ARENA, 8));
    check(pmp_cfg(11), PMP_NAPOT | PMP_RWX, "others can be written");
}

void topic(void)
{
    low = has('U') ? U : M;
    if (!has_pmp()) {
        skip("PMP");
        return;
    }
    if (low == M) {
        check_registers();
        check_locked();
        return;
    }
    open_ops();
    check_registers();
    paragraph("Address Matching");
    check_off();
    check_napot();
    check_tor();
    check_priority();
    check_misaligned();
    check_unlocked();
    check_mprv();
    check_no_match();
    check_locked();
}
