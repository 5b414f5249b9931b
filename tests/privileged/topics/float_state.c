// SPDX-License-Identifier: MIT
// mstatus.FS: what is illegal with it off, what makes it dirty, SD; and rounding modes that are none.
#include "guest.h"

static const enum priv privs[] = {U, S, M};

struct insn {
    const char *name;
    uint32_t bits;
    char ext; // of misa
    bool rv64;
    bool writes; // f registers, flags or frm
};

#define SNAN      0x7f800001
#define MINUS_ONE 0xbf800000

// a0 is an address, and flags and a rounding mode in its low bits. f10 is a signalling NaN of single precision, f11
// minus one: so whatever writes also alters something, and where it does not the manual leaves it open.
static const struct insn insns[] = {
    {"flw", 0x00052507, 'F', false, true},          {"fsw", 0x00a52027, 'F', false, false},
    {"fadd.s", 0x00b57553, 'F', false, true},       {"fmul.s", 0x10b57553, 'F', false, true},
    {"fdiv.s", 0x18b57553, 'F', false, true},       {"fsqrt.s", 0x58057553, 'F', false, true},
    {"fmadd.s", 0x60b57543, 'F', false, true},      {"fsgnj.s", 0x20b50553, 'F', false, true},
    {"fmin.s", 0x28b50553, 'F', false, true},       {"fcvt.w.s", 0xc0057553, 'F', false, true},
    {"fcvt.s.w", 0xd0057553, 'F', false, true},     {"fmv.x.w", 0xe0050553, 'F', false, false},
    {"fmv.w.x", 0xf0050553, 'F', false, true},      {"feq.s", 0xa0b52553, 'F', false, true},
    {"fclass.s", 0xe0051553, 'F', false, false},    {"fld", 0x00053507, 'D', false, true},
    {"fsd", 0x00a53027, 'D', false, false},         {"fadd.d", 0x02b57553, 'D', false, true},
    {"fmadd.d", 0x62b57543, 'D', false, true},      {"fcvt.s.d", 0x40157553, 'D', false, true},
    {"fcvt.d.s", 0x42057553, 'D', false, true},     {"fcvt.l.d", 0xc2257553, 'D', true, true},
    {"fmv.x.d", 0xe2050553, 'D', true, false},      {"fmv.d.x", 0xf2050553, 'D', true, true},
    {"csrr fflags", 0x00102573, 'F', false, false}, {"csrr frm", 0x00202573, 'F', false, false},
    {"csrr fcsr", 0x00302573, 'F', false, false},   {"csrw fflags", 0x00151073, 'F', false, true},
    {"csrw frm", 0x00251073, 'F', false, true},     {"csrw fcsr", 0x00351073, 'F', false, true},
};

static bool is_there(const struct insn *i)
{
    return has(i->ext) && (!i->rv64 || XLEN == 64);
}

static void set_fs(enum fs fs)
{
    csr_write(CSR_MSTATUS, (csr_read(CSR_MSTATUS) & ~MSTATUS_FS) | FS(fs));
}

static enum fs fs_of(reg status)
{
    return (enum fs)(status >> 13 & 3);
}

static struct trap execute(enum priv priv, const struct insn *i, enum fs fs)
{
    set_fs(FS_DIRTY);
    csr_write(CSR_FCSR, 0);
    __asm__ volatile("fmv.w.x fa0, %0\n fmv.w.x fa1, %1" : : "r"(SNAN), "r"(MINUS_ONE));
    set_fs(fs);
    return run_insn(priv, i->bits, i->ext == 'D' ? ARENA : ARENA + 0x1c, 0);
}

static void check_off(const struct insn *i, enum priv priv)
{
    check_illegal(execute(priv, i, FS_OFF), i->bits, "FS=Off: %s in %s-mode", i->name,
                  priv_name(priv));
}

// From Initial and Clean: what writes makes it dirty (it may do so without a need), what only reads may not write.
static void check_dirty(const struct insn *i, enum priv priv)
{
    static const enum fs states[] = {FS_INITIAL, FS_CLEAN, FS_DIRTY};
    static const char *const names[] = {"Off", "Initial", "Clean", "Dirty"};
    for (unsigned n = 0; n < ARRAY_LEN(states); n++) {
        struct trap t = execute(priv, i, states[n]);
        check_none(t, "FS=%s: %s in %s-mode", names[states[n]], i->name, priv_name(priv));
        if (i->writes)
            check(fs_of(t.status), FS_DIRTY, "FS=%s: %s in %s-mode makes it Dirty",
                  names[states[n]], i->name, priv_name(priv));
        else
            check_true(fs_of(t.status) == states[n] || fs_of(t.status) == FS_DIRTY,
                       "FS=%s: %s in %s-mode reads only", names[states[n]], i->name,
                       priv_name(priv));
        check(!!(t.status & MSTATUS_SD), fs_of(t.status) == FS_DIRTY, "FS=%s: %s in %s-mode: SD",
              names[states[n]], i->name, priv_name(priv));
    }
}

static void check_fields(void)
{
    for (unsigned fs = FS_OFF; fs <= FS_DIRTY; fs++) {
        set_fs(fs);
        check(fs_of(csr_read(CSR_MSTATUS)), fs, "FS holds %u", fs);
        check(!!(csr_read(CSR_MSTATUS) & MSTATUS_SD), fs == FS_DIRTY, "FS=%u: SD", fs);
        if (has('S')) {
            check(fs_of(csr_read(CSR_SSTATUS)), fs, "FS=%u: sstatus has it", fs);
            check(!!(csr_read(CSR_SSTATUS) & MSTATUS_SD), fs == FS_DIRTY, "FS=%u: SD of sstatus",
                  fs);
        }
    }
    set_fs(FS_CLEAN);
    csr_set(CSR_MSTATUS, MSTATUS_SD);
    check(!!(csr_read(CSR_MSTATUS) & MSTATUS_SD), false, "SD is read-only");
}

// The state outlasts FS=Off and FS=Initial.
static void check_kept(void)
{
    *word_at(ARENA) = 0x3fc00000;
    set_fs(FS_DIRTY);
    run_insn(M, 0x00052507, ARENA, 0); // flw f10
    set_fs(FS_OFF);
    set_fs(FS_INITIAL);
    struct trap t = run_insn(M, 0xe0050553, 0, 0); // fmv.x.w
    check(t.value, 0x3fc00000, "FS=Off and FS=Initial leave what registers hold");
}

// A load that faults does not write: FS stays, or is dirty without need.
static void check_fault(void)
{
    set_fs(FS_CLEAN);
    struct trap t = run_insn(M, 0x00052507, NOWHERE, 0);
    check(t.cause, LOAD_ACCESS, "FS=Clean: an flw that faults");
    set_fs(FS_OFF);
    check_illegal(run_insn(M, 0x00052507, NOWHERE, 0), 0x00052507,
                  "FS=Off: an flw that would fault is illegal");
}

static void check_rounding_modes(void)
{
    paragraph("Floating-Point Control and Status Register");
    for (unsigned rm = 0; rm < 8; rm++) {
        set_fs(FS_DIRTY);
        csr_write(CSR_FRM, rm);
        check(csr_read(CSR_FRM), rm, "frm holds %u", rm);
        uint32_t dynamic = 0x00b57553, fixed = (dynamic & ~0x7000u) | rm << 12;
        if (rm < 5)
            check_none(run_insn(M, dynamic, 0, 0), "frm = %u with a dynamic rounding mode", rm);
        else
            check_illegal(run_insn(M, dynamic, 0, 0), dynamic,
                          "frm = %u with a dynamic rounding mode", rm);
        csr_write(CSR_FRM, 0);
        if (rm < 5 || rm == 7)
            check_none(run_insn(M, fixed, 0, 0), "rounding mode %u in an instruction", rm);
        else
            check_illegal(run_insn(M, fixed, 0, 0), fixed, "rounding mode %u in an instruction",
                          rm);
        csr_write(CSR_FRM, 7);
        check_none(run_insn(M, 0x20b50553, 0, 0), "frm = 7 does not matter to fsgnj.s");
        csr_write(CSR_FRM, 0);
    }
    csr_write(CSR_FCSR, ~(reg)0);
    check(csr_read(CSR_FCSR), 0xff, "fcsr has 8 bits");
    check(csr_read(CSR_FFLAGS), 0x1f, "fflags are 5 of them");
    csr_write(CSR_FFLAGS, 0);
    check(csr_read(CSR_FCSR), 0xe0, "fflags and frm are parts of fcsr");
    csr_write(CSR_FCSR, 0);
}

void topic(void)
{
    if (!has('F')) {
        skip("F");
        return;
    }
    for (reg i = 0; i < 64; i += 4)
        *word_at(ARENA + i) = 0;
    paragraph("Extension Context Status in mstatus Register");
    check_fields();
    for (unsigned p = 0; p < ARRAY_LEN(privs); p++) {
        if (privs[p] != M && !has(privs[p] == S ? 'S' : 'U'))
            continue;
        for (unsigned i = 0; i < ARRAY_LEN(insns); i++) {
            if (!is_there(&insns[i]))
                continue;
            check_off(&insns[i], privs[p]);
            check_dirty(&insns[i], privs[p]);
        }
    }
    check_kept();
    check_fault();
    check_rounding_modes();
}
