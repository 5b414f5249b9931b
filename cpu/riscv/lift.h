// SPDX-License-Identifier: MIT
// Between the files that turn RISC-V instructions into IR.
//
// A function riscv_lift_<name> lifts all instructions whose lines in insns.def name it. It finds the decoded
// instruction in t->in and sets registers last, behind everything that may fault.
#ifndef CPU_RISCV_LIFT_H
#define CPU_RISCV_LIFT_H

#include "cpu/riscv/decode.h"
#include "cpu/riscv/riscv.h"

struct riscv_lift {
    struct lift *l;
    struct ir *ir;
    const struct riscv_cpu *rv;
    enum ir_type xt; // of x registers
    uint16_t arg;    // of the line
    struct riscv_insn in;
};

// ---- Values of `arg` that other headers don't define ----

// Of fcvt and others: the format as bits 26..25 of an instruction code it.
enum riscv_fmt { FMT_S, FMT_D, FMT_H };
enum riscv_sgn { SGN_COPY, SGN_NOT, SGN_XOR };
enum riscv_minmax { FP_MIN, FP_MAX, FP_MINM, FP_MAXM };
enum riscv_cvt { CVT_W, CVT_WU, CVT_L, CVT_LU };
enum riscv_sha2 {
    SHA256_SUM0,
    SHA256_SUM1,
    SHA256_SIG0,
    SHA256_SIG1,
    SHA512_SUM0,
    SHA512_SUM1,
    SHA512_SIG0,
    SHA512_SIG1
};
enum riscv_pop { POP, POP_RETURN, POP_RETURN_ZERO };
#define FNMADD (IR_FMA_NEG_PRODUCT | IR_FMA_NEG_ADDEND)

#define INSN(name, pattern, layout, operands, condition, lift, arg) \
    void riscv_lift_##lift(struct riscv_lift *t);
#define INSN16 INSN
#define SHORT16(...)
#include "cpu/riscv/insns.def"

// ---- For all lift functions ----

// The instruction is undefined, or not allowed by the state that the key covers.
void riscv_lift_illegal(struct riscv_lift *t);

static inline unsigned riscv_lift_len(const struct riscv_lift *t)
{
    return riscv_opcodes[t->in.id].len;
}

// An address or constant of XLEN bits.
static inline uint64_t riscv_lift_wrap(const struct riscv_lift *t, uint64_t v)
{
    return t->xt == IR_I32 ? (uint32_t)v : v;
}

static inline ir_ref riscv_lift_const(struct riscv_lift *t, int64_t v)
{
    return ir_const(t->ir, t->xt, riscv_lift_wrap(t, (uint64_t)v));
}

static inline ir_ref riscv_lift_x(struct riscv_lift *t, unsigned reg)
{
    return reg ? ir_get(t->ir, RV_X0 + reg) : ir_const(t->ir, t->xt, 0);
}

static inline void riscv_lift_set_x(struct riscv_lift *t, unsigned reg, ir_ref value)
{
    if (reg)
        ir_set(t->ir, RV_X0 + reg, value);
}

static inline ir_ref riscv_lift_insn_bits(struct riscv_lift *t)
{
    return ir_const(t->ir, IR_I64, t->in.bits);
}

#endif
