// SPDX-License-Identifier: MIT
// CSRs: which modes may use them, which are read-only, what the simple ones hold.
#include "guest.h"

static const enum priv privs[] = {U, S, M};

enum needs { ALWAYS = 0, NEEDS_S = 1, NEEDS_U = 2, NEEDS_F = 4, ONLY_RV32 = 8 };

static const struct csr {
    const char *name;
    uint16_t number;
    uint8_t needs;
} csrs[] = {
    {"fflags", CSR_FFLAGS, NEEDS_F},
    {"frm", CSR_FRM, NEEDS_F},
    {"fcsr", CSR_FCSR, NEEDS_F},
    {"sstatus", CSR_SSTATUS, NEEDS_S},
    {"sie", CSR_SIE, NEEDS_S},
    {"stvec", CSR_STVEC, NEEDS_S},
    {"scounteren", CSR_SCOUNTEREN, NEEDS_S},
    {"senvcfg", CSR_SENVCFG, NEEDS_S},
    {"sscratch", CSR_SSCRATCH, NEEDS_S},
    {"sepc", CSR_SEPC, NEEDS_S},
    {"scause", CSR_SCAUSE, NEEDS_S},
    {"stval", CSR_STVAL, NEEDS_S},
    {"sip", CSR_SIP, NEEDS_S},
    {"satp", CSR_SATP, NEEDS_S},
    {"mstatus", CSR_MSTATUS, ALWAYS},
    {"misa", CSR_MISA, ALWAYS},
    {"medeleg", CSR_MEDELEG, NEEDS_S},
    {"mideleg", CSR_MIDELEG, NEEDS_S},
    {"mie", CSR_MIE, ALWAYS},
    {"mtvec", CSR_MTVEC, ALWAYS},
    {"mcounteren", CSR_MCOUNTEREN, NEEDS_U},
    {"menvcfg", CSR_MENVCFG, NEEDS_U},
    {"mstatush", CSR_MSTATUSH, ONLY_RV32},
    {"menvcfgh", CSR_MENVCFGH, NEEDS_U | ONLY_RV32},
    {"mcountinhibit", CSR_MCOUNTINHIBIT, ALWAYS},
    {"mscratch", CSR_MSCRATCH, ALWAYS},
    {"mepc", CSR_MEPC, ALWAYS},
    {"mcause", CSR_MCAUSE, ALWAYS},
    {"mtval", CSR_MTVAL, ALWAYS},
    {"mip", CSR_MIP, ALWAYS},
    {"mcycle", CSR_MCYCLE, ALWAYS},
    {"minstret", CSR_MINSTRET, ALWAYS},
    {"mcycleh", CSR_MCYCLEH, ONLY_RV32},
    {"minstreth", CSR_MINSTRETH, ONLY_RV32},
    {"mvendorid", CSR_MVENDORID, ALWAYS},
    {"marchid", CSR_MARCHID, ALWAYS},
    {"mimpid", CSR_MIMPID, ALWAYS},
    {"mhartid", CSR_MHARTID, ALWAYS},
    {"mconfigptr", CSR_MCONFIGPTR, ALWAYS},
};

static bool is_there(const struct csr *c)
{
    if ((c->needs & NEEDS_S && !has('S')) || (c->needs & NEEDS_U && !has('U')) ||
        (c->needs & NEEDS_F && !has('F')))
        return false;
    return !(c->needs & ONLY_RV32) || XLEN == 32;
}

// Bits 9 and 8 of a number are the least mode, 11 and 10 both set make it read-only.
static void check_mode(const struct csr *c, enum priv priv)
{
    bool may = is_there(c) && (unsigned)priv >= (c->number >> 8 & 3u),
         may_write = may && c->number >> 10 != 3;
    uint32_t read = csr_insn(c->number, CSRRS, 10, 0), write = csr_insn(c->number, CSRRW, 0, 10);
    struct trap t = csr_reads(priv, c->number);
    if (may)
        check_none(t, "%s: %s-mode may read it", c->name, priv_name(priv));
    else
        check_illegal(t, read, "%s: %s-mode may not read it", c->name, priv_name(priv));
    if (may && !may_write)
        check_illegal(csr_writes(priv, c->number, 0), write, "%s: %s-mode may not write it",
                      c->name, priv_name(priv));
    if (!may)
        check_illegal(csr_writes(priv, c->number, 0), write, "%s: %s-mode may not write it",
                      c->name, priv_name(priv));
}

static void check_access(void)
{
    paragraph("CSR Address Mapping Conventions");
    csr_set(CSR_MSTATUS, MSTATUS_FS);
    for (unsigned i = 0; i < ARRAY_LEN(csrs); i++)
        for (unsigned p = 0; p < ARRAY_LEN(privs); p++)
            if (privs[p] == M || has(privs[p] == S ? 'S' : 'U'))
                check_mode(&csrs[i], privs[p]);
}

// What counts as a write: csrrs and csrrc with x0 or 0 don't, csrrw always does.
static void check_write_rules(void)
{
    unsigned n = CSR_MHARTID;
    paragraph("CSR Instructions");
    check_none(run_insn(M, csr_insn(n, CSRRS, 10, 0), 0, 0), "csrrs with x0 does not write");
    check_none(run_insn(M, csr_insn(n, CSRRC, 10, 0), 0, 0), "csrrc with x0 does not write");
    check_none(run_insn(M, csr_insn(n, CSRRSI, 10, 0), 0, 0), "csrrsi with 0 does not write");
    check_none(run_insn(M, csr_insn(n, CSRRCI, 10, 0), 0, 0), "csrrci with 0 does not write");
    // x10 holds 0 here, but it is not x0.
    check_illegal(run_insn(M, csr_insn(n, CSRRS, 11, 10), 0, 0), csr_insn(n, CSRRS, 11, 10),
                  "csrrs with a register that holds 0 writes");
    check_illegal(run_insn(M, csr_insn(n, CSRRC, 11, 10), 0, 0), csr_insn(n, CSRRC, 11, 10),
                  "csrrc with a register that holds 0 writes");
    check_illegal(run_insn(M, csr_insn(n, CSRRW, 0, 0), 0, 0), csr_insn(n, CSRRW, 0, 0),
                  "csrrw with x0 writes");
    check_illegal(run_insn(M, csr_insn(n, CSRRWI, 0, 0), 0, 0), csr_insn(n, CSRRWI, 0, 0),
                  "csrrwi with 0 writes");
    // Read, then modified, in one.
    if (has('S')) {
        csr_write(CSR_SSCRATCH, 0xf0);
        check_value(run_insn(M, csr_insn(CSR_SSCRATCH, CSRRW, 10, 10), 0x55, 0), 0xf0,
                    "csrrw of one register gives the old value");
        check(csr_read(CSR_SSCRATCH), 0x55, "csrrw of one register writes the new one");
        check_value(run_insn(M, csr_insn(CSR_SSCRATCH, CSRRS, 10, 11), 0, 0xaa), 0x55,
                    "csrrs gives the old value");
        check(csr_read(CSR_SSCRATCH), 0xff, "csrrs sets bits");
        check_value(run_insn(M, csr_insn(CSR_SSCRATCH, CSRRC, 10, 11), 0, 0x0f), 0xff,
                    "csrrc gives the old value");
        check(csr_read(CSR_SSCRATCH), 0xf0, "csrrc clears bits");
        run_insn(M, csr_insn(CSR_SSCRATCH, CSRRWI, 10, 31), 0, 0);
        check(csr_read(CSR_SSCRATCH), 31, "csrrwi has 5 bits, zero-extended");
    }
}

static void check_missing(void)
{
    static const uint16_t missing[] = {0x000, 0x004, 0x0ff, 0x180 | 0x20, 0x1ff,
                                       0x2ff, 0x3ff, 0x7ff, 0x8ff,        0x9ff,
                                       0xbff, 0xcff, 0xdff, 0xeff,        0xfff};
    paragraph("CSR Listing");
    for (unsigned i = 0; i < ARRAY_LEN(missing); i++)
        check_illegal(csr_reads(M, missing[i]), csr_insn(missing[i], CSRRS, 10, 0), "%x is none",
                      (reg)missing[i]);
}

// ---- What they hold ----

static void check_vectors(void)
{
    reg old = csr_read(CSR_MTVEC);
    paragraph("Machine Trap-Vector Base-Address (mtvec) Register");
    check(csr_rewrite(CSR_MTVEC, old & ~(reg)3), old & ~(reg)3, "MODE=Direct");
    for (unsigned mode = 2; mode < 4; mode++) {
        reg got = csr_rewrite(CSR_MTVEC, (old & ~(reg)3) | mode);
        csr_write(CSR_MTVEC, old);
        check_true((got & 3) < 2, "MODE=%u is reserved", mode);
    }
    csr_write(CSR_MTVEC, old);
    if (!has('S'))
        return;
    paragraph("Supervisor Trap Vector Base Address (stvec) Register");
    old = csr_read(CSR_STVEC);
    for (unsigned shift = 8; shift < XLEN; shift += 7)
        check(csr_rewrite(CSR_STVEC, BIT(shift)), BIT(shift), "BASE holds bit %u", shift);
    for (unsigned mode = 2; mode < 4; mode++)
        check_true((csr_rewrite(CSR_STVEC, 0x1000 | mode) & 3) < 2, "MODE=%u is reserved", mode);
    csr_write(CSR_STVEC, old);
}

static void check_epc(void)
{
    reg low = has('C') ? 1 : 3;
    paragraph("Machine Exception Program Counter (mepc) Register");
    check(csr_rewrite(CSR_MEPC, ~(reg)0) & 3, 3 & ~low, "its low bits are 0");
    check(csr_rewrite(CSR_MEPC, 0x80001234), 0x80001234 & ~low, "it holds an address");
    check(csr_rewrite(CSR_MEPC, 0), 0, "it holds 0");
    if (!has('S'))
        return;
    paragraph("Supervisor Exception Program Counter (sepc) Register");
    check(csr_rewrite(CSR_SEPC, ~(reg)0) & 3, 3 & ~low, "its low bits are 0");
    check(csr_rewrite(CSR_SEPC, 0x80001234), 0x80001234 & ~low, "it holds an address");
}

static void check_plain(void)
{
    static const reg values[] = {0, 1, ~(reg)0, (reg)0x5555555555555555, (reg)0xaaaaaaaaaaaaaaaa};
    static const unsigned codes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15};
    paragraph("Supervisor Scratch (sscratch) Register");
    for (unsigned i = 0; has('S') && i < ARRAY_LEN(values); i++)
        check(csr_rewrite(CSR_SSCRATCH, values[i]), values[i], "it holds %x", values[i]);
    paragraph("Machine Cause (mcause) Register");
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        check(csr_rewrite(CSR_MCAUSE, codes[i]), codes[i], "it holds exception %u", codes[i]);
    check(csr_rewrite(CSR_MCAUSE, INTERRUPT | MEI), INTERRUPT | MEI, "it holds an interrupt");
    paragraph("Supervisor Cause (scause) Register");
    for (unsigned i = 0; has('S') && i < 32; i++)
        check(csr_rewrite(CSR_SCAUSE, i), i, "it holds %u", i);
    if (has('S'))
        check(csr_rewrite(CSR_SCAUSE, INTERRUPT | STI), INTERRUPT | STI, "it holds an interrupt");
    paragraph("Machine Trap Value (mtval) Register");
    check(csr_rewrite(CSR_MTVAL, 0), 0, "it holds 0");
    check(csr_rewrite(CSR_MTVAL, 0x80001235), 0x80001235, "it holds an address");
}

static void check_identity(void)
{
    paragraph("Machine ISA (misa) Register");
    reg misa = csr_read(CSR_MISA);
    check(misa >> (XLEN - 2), XLEN == 64 ? 2 : 1, "MXL");
    check_true(has('I') && !has('E'), "I is set, E is not");
    check_true(!has('D') || has('F'), "D needs F");
    check_true(!has('S') || has('U'), "S needs U");
    check(misa & (BIT(6) | BIT(9) | BIT(10) | BIT(11) | BIT(14) | BIT(17) | BIT(19) | BIT(22) |
                  BIT(24) | BIT(25)),
          0, "reserved letters are 0");
    check(csr_rewrite(CSR_MISA, misa), misa, "its own value can be written");
    paragraph("Hart ID (mhartid) Register");
    check(csr_read(CSR_MHARTID), 0, "there is a hart 0");
    paragraph("Machine Configuration Pointer (mconfigptr) Register");
    check(csr_read(CSR_MCONFIGPTR) & (XLEN / 8 - 1), 0, "it is aligned");
}

void topic(void)
{
    check_access();
    check_write_rules();
    check_missing();
    check_vectors();
    check_epc();
    check_plain();
    check_identity();
}
