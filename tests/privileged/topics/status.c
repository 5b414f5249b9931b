// SPDX-License-Identifier: MIT
// Fields of mstatus and sstatus, and what they trap. The floating-point state is in float_state.c, the privilege stack
// in returns.c, memory privilege in memory.c.
#include "guest.h"

static void check_writable(reg bits, bool writable, const char *name)
{
    reg old = csr_read(CSR_MSTATUS);
    check(csr_rewrite(CSR_MSTATUS, old & ~bits) & bits, 0, "%s can be cleared", name);
    check(csr_rewrite(CSR_MSTATUS, old | bits) & bits, writable ? bits : 0, "%s is %s", name,
          writable ? "writable" : "read-only 0");
    csr_write(CSR_MSTATUS, old);
}

static bool has_paging(void)
{
    if (!has('S'))
        return false;
    reg value = XLEN == 64 ? (reg)8 << (XLEN - 4) : BIT(31);
    return csr_probe(CSR_SATP, value) == value;
}

// MIE is left clear: nothing is pending that could interrupt, but MPRV would take the stack away.
static void check_fields(void)
{
    paragraph("Privilege and Global Interrupt-Enable Stack in mstatus register");
    check_writable(MSTATUS_MIE, true, "MIE");
    check_writable(MSTATUS_MPIE, true, "MPIE");
    check_writable(MSTATUS_SIE, has('S'), "SIE");
    check_writable(MSTATUS_SPIE, has('S'), "SPIE");
    check_writable(MSTATUS_SPP, has('S'), "SPP");
    paragraph("Memory Privilege in mstatus Register");
    check_writable(MSTATUS_MXR, has_paging(), "MXR");
    check_writable(MSTATUS_SUM, has_paging(), "SUM");
    reg old = csr_read(CSR_MSTATUS);
    csr_write(CSR_MSTATUS, old | MSTATUS_MPP);
    check_writable(MSTATUS_MPRV, has('U'), "MPRV");
    csr_write(CSR_MSTATUS, old);
    paragraph("Virtualization Support in mstatus Register");
    check_writable(MSTATUS_TVM, has_paging(), "TVM");
    check_writable(MSTATUS_TW, has('U'), "TW");
    check_writable(MSTATUS_TSR, has('S'), "TSR");
    paragraph("Extension Context Status in mstatus Register");
    check(csr_probe(CSR_MSTATUS, old | MSTATUS_XS) & MSTATUS_XS, 0, "XS is read-only 0");
    if (!has('V'))
        check_true((csr_probe(CSR_MSTATUS, old | MSTATUS_VS) & MSTATUS_VS) == 0 || has('S'),
                   "VS is read-only 0 without S-mode and V");
}

// Little-endian only, or both: what is read back is what the hart does.
static void check_endianness(void)
{
    paragraph("Endianness Control in mstatus and mstatush Registers");
    reg old = csr_read(CSR_MSTATUS);
    check(old & MSTATUS_UBE, 0, "UBE is 0");
#if XLEN == 64
    check(old >> 36 & 3, 0, "SBE and MBE are 0");
#endif
    if (!has('U'))
        check(csr_probe(CSR_MSTATUS, old | MSTATUS_UBE) & MSTATUS_UBE, 0,
              "UBE is read-only 0 without U-mode");
}

static bool priv_exists(unsigned priv)
{
    return priv == M || (priv == S && has('S')) || (priv == U && has('U'));
}

static void check_mpp(void)
{
    paragraph("Privilege and Global Interrupt-Enable Stack in mstatus register");
    reg old = csr_read(CSR_MSTATUS);
    for (unsigned priv = 0; priv < 4; priv++) {
        reg got = csr_rewrite(CSR_MSTATUS, (old & ~MSTATUS_MPP) | MPP(priv)) >> 11 & 3;
        if (priv_exists(priv))
            check(got, priv, "MPP holds %u", priv);
        else
            check_true(priv_exists((unsigned)got), "MPP holds something legal when %u is written",
                       priv);
    }
    csr_write(CSR_MSTATUS, old);
}

static void check_widths(void)
{
    paragraph("Base ISA Control in mstatus Register");
#if XLEN == 64
    reg status = csr_read(CSR_MSTATUS);
    check(status >> 32 & 3, has('U') ? 2 : 0, "UXL");
    check(status >> 34 & 3, has('S') ? 2 : 0, "SXL");
    check_trap(csr_reads(M, CSR_MSTATUSH), ILLEGAL, csr_insn(CSR_MSTATUSH, CSRRS, 10, 0),
               "mstatush does not exist in RV64");
#else
    check_none(csr_reads(M, CSR_MSTATUSH), "mstatush exists in RV32");
    csr_write(CSR_MSTATUSH, 0x30);
    reg high = csr_read(CSR_MSTATUSH);
    csr_write(CSR_MSTATUSH, 0);
    check(high & ~(reg)0x30, 0, "mstatush has MBE and SBE at most");
#endif
}

static reg sstatus_bits(void)
{
    return MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | (has('F') ? MSTATUS_FS : 0) |
           (has_paging() ? MSTATUS_SUM | MSTATUS_MXR : 0);
}

// sstatus shows and changes some bits of mstatus.
static void check_view(void)
{
    reg bits = sstatus_bits();
    static const reg not_supervisors[] = {MSTATUS_MPIE, MSTATUS_MPP, MSTATUS_TVM, MSTATUS_TW,
                                          MSTATUS_TSR};
    paragraph("Supervisor Status (sstatus) Register");
    reg old = csr_read(CSR_MSTATUS);
    csr_write(CSR_SSTATUS, ~(reg)0);
    check((csr_read(CSR_MSTATUS) & bits), bits, "all of its bits are mstatus's");
    check(csr_read(CSR_MSTATUS) &
              (MSTATUS_MPIE | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_MIE),
          old &
              (MSTATUS_MPIE | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_MIE),
          "writing it leaves M-mode's bits");
    csr_write(CSR_SSTATUS, 0);
    check(csr_read(CSR_MSTATUS) & bits, 0, "cleared");
    for (unsigned i = 0; i < ARRAY_LEN(not_supervisors); i++) {
        csr_write(CSR_MSTATUS, old | not_supervisors[i]);
        check(csr_read(CSR_SSTATUS) & not_supervisors[i], 0, "bits %x of mstatus are not seen",
              not_supervisors[i]);
    }
    csr_write(CSR_MSTATUS, old | MSTATUS_SPIE | MSTATUS_SPP);
    check(csr_read(CSR_SSTATUS) & bits, (old | MSTATUS_SPIE | MSTATUS_SPP) & bits,
          "it shows what mstatus has");
    csr_write(CSR_MSTATUS, old);
#if XLEN == 64
    check(csr_read(CSR_SSTATUS) >> 32 & 3, 2, "UXL");
    check(csr_read(CSR_SSTATUS) >> 34 & 3, 0, "SXL is not seen");
#endif
}

// ---- What is trapped ----

static void check_both(const char *op, reg bits, const char *bit_name, enum priv priv,
                       const char *name)
{
    how.status = 0;
    check_none(run(priv, op, 0, 0), "%s=0: %s in %s-mode", bit_name, name, priv_name(priv));
    how.status = bits;
    check_illegal(run(priv, op, 0, 0), *(const uint32_t *)op, "%s=1: %s in %s-mode", bit_name, name,
                  priv_name(priv));
    check_none(run(M, op, 0, 0), "%s=1: %s in M-mode", bit_name, name);
    how.status = 0;
}

static void check_satp_trapped(void)
{
    uint32_t write = csr_insn(CSR_SATP, CSRRW, 0, 10), read = csr_insn(CSR_SATP, CSRRS, 10, 0);
    how.status = MSTATUS_TVM;
    check_illegal(run_insn(S, read, 0, 0), read, "TVM=1: reading satp in S-mode");
    check_illegal(run_insn(S, write, 0, 0), write, "TVM=1: writing satp in S-mode");
    check_none(run_insn(M, read, 0, 0), "TVM=1: reading satp in M-mode");
    check_none(run_insn(M, write, 0, 0), "TVM=1: writing satp in M-mode");
    how.status = 0;
    check_none(run_insn(S, read, 0, 0), "TVM=0: reading satp in S-mode");
    check_none(run_insn(S, write, 0, 0), "TVM=0: writing satp in S-mode");
}

static void check_tvm(void)
{
    paragraph("Virtualization Support in mstatus Register");
    check_both(op_sfence, MSTATUS_TVM, "TVM", S, "sfence.vma");
    check_both(op_sfence_addr, MSTATUS_TVM, "TVM", S, "sfence.vma of an address");
    check_both(op_sfence_both, MSTATUS_TVM, "TVM", S, "sfence.vma of an address and an ASID");
    check_satp_trapped();
    check_illegal(run(U, op_sfence, 0, 0), *(const uint32_t *)op_sfence, "sfence.vma in U-mode");
    if (run(M, op_w_inval, 0, 0).cause != NONE) {
        skip("Svinval");
        return;
    }
    paragraph("Svinval");
    check_both(op_sinval, MSTATUS_TVM, "TVM", S, "sinval.vma");
    check_both(op_sinval_addr, MSTATUS_TVM, "TVM", S, "sinval.vma of an address");
    how.status = MSTATUS_TVM;
    check_none(run(S, op_w_inval, 0, 0), "TVM=1: sfence.w.inval in S-mode");
    check_none(run(S, op_inval_ir, 0, 0), "TVM=1: sfence.inval.ir in S-mode");
    how.status = 0;
    check_illegal(run(U, op_sinval, 0, 0), *(const uint32_t *)op_sinval, "sinval.vma in U-mode");
    check_illegal(run(U, op_w_inval, 0, 0), *(const uint32_t *)op_w_inval,
                  "sfence.w.inval in U-mode");
    check_illegal(run(U, op_inval_ir, 0, 0), *(const uint32_t *)op_inval_ir,
                  "sfence.inval.ir in U-mode");
}

// sret goes to an ecall.
static void check_tsr(void)
{
    paragraph("Virtualization Support in mstatus Register");
    csr_write(CSR_SEPC, op_ecall);
    how.status = MSTATUS_SPP;
    check_none(run(S, op_sret, 0, 0), "TSR=0: sret in S-mode");
    how.status = MSTATUS_SPP | MSTATUS_TSR;
    check_illegal(run(S, op_sret, 0, 0), *(const uint32_t *)op_sret, "TSR=1: sret in S-mode");
    check_none(run(M, op_sret, 0, 0), "TSR=1: sret in M-mode");
    how.status = 0;
}

void topic(void)
{
    check_fields();
    check_endianness();
    check_mpp();
    check_widths();
    if (!has('S')) {
        skip("S-mode");
        return;
    }
    check_view();
    if (has_paging())
        check_tvm();
    check_tsr();
}
