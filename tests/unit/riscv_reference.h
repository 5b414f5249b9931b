// SPDX-License-Identifier: MIT
// What each RISC-V instruction does, said once more in plain C, for the tests to compare with. Shares nothing
// with the lifter: it gets operands from the decoder, which has tests of its own, and arithmetic in floating
// point from base/softfloat, which is tested against GNU MPFR.
#ifndef TESTS_UNIT_RISCV_REFERENCE_H
#define TESTS_UNIT_RISCV_REFERENCE_H

#include "cpu/riscv/riscv.h"

#define REF_WINDOW 512

struct ref {
    unsigned xlen;
    bool halfwords; // jump targets may be odd halfwords
    bool aligned;   // misaligned accesses trap
    struct riscv_insn in;
    unsigned len;

    uint64_t x[32], f[32];
    uint64_t pc;   // of the instruction; afterwards of the next one, unless it trapped
    uint8_t flags; // FP_*
    uint8_t frm, fs, priv;
    uint64_t mscratch, mepc, sepc;
    uint64_t reservation;
    uint8_t reserved;

    uint64_t window_base; // the only memory there is
    uint8_t window[REF_WINDOW];

    bool trapped, halted;
    uint64_t cause, tval;
};

// Whether the line of insns.def, or the one that it is a short form of, has a reference.
bool ref_exists(unsigned id);
// Executes r->in at r->pc.
void ref_step(struct ref *r);

#endif
