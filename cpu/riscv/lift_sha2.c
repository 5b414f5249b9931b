// SPDX-License-Identifier: MIT
// Zknh: the four functions of SHA-256 and the four of SHA-512. RISC-V scalar cryptography extensions, version 1.0.1;
// FIPS 180-4, section 4.1, writes them sigma (in the message schedule) and Sigma (in the rounds).
#include "cpu/riscv/lift.h"

// The exclusive or of three copies of a word, rotated right by so much. SHIFT: the last is shifted instead.
enum { SHIFT = 64 };
static const uint8_t sha2[][3] = {
    [SHA256_SUM0] = {2, 13, 22},        [SHA256_SUM1] = {6, 11, 25},
    [SHA256_SIG0] = {7, 18, SHIFT | 3}, [SHA256_SIG1] = {17, 19, SHIFT | 10},
    [SHA512_SUM0] = {28, 34, 39},       [SHA512_SUM1] = {14, 18, 41},
    [SHA512_SIG0] = {1, 8, SHIFT | 7},  [SHA512_SIG1] = {19, 61, SHIFT | 6},
};

// Where the last copy is shifted, it is one of `shifted`.
static ir_ref function(struct riscv_lift *t, ir_ref word, ir_ref shifted)
{
    struct ir *ir = t->ir;
    const uint8_t *n = sha2[t->arg];
    ir_ref first = ir_bini(ir, IR_ROTR, word, n[0]), second = ir_bini(ir, IR_ROTR, word, n[1]);
    ir_ref last = n[2] & SHIFT ? ir_bini(ir, IR_SHR, shifted, n[2] - SHIFT)
                               : ir_bini(ir, IR_ROTR, word, n[2]);
    return ir_bin(ir, IR_XOR, ir_bin(ir, IR_XOR, first, second), last);
}

void riscv_lift_sha256(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref v = riscv_lift_x(t, t->in.rs1);
    if (t->xt == IR_I64) {
        v = ir_trunc(t->ir, v);
        v = ir_sext(t->ir, IR_I64, 32, function(t, v, v));
    } else {
        v = function(t, v, v);
    }
    riscv_lift_set_x(t, t->in.rd, v);
}

void riscv_lift_sha512(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref v = riscv_lift_x(t, t->in.rs1);
    riscv_lift_set_x(t, t->in.rd, function(t, v, v));
}

// RV32: rs1 is the half of the word that the result is a half of, rs2 the other. What is rotated right is rs2
// above rs1, in either case. Of a shift, the upper half of the result gets nothing of the lower half of the word.
static void half(struct riscv_lift *t, bool upper)
{
    struct ir *ir = t->ir;
    ir_ref same = ir_zext(ir, IR_I64, 32, riscv_lift_x(t, t->in.rs1));
    ir_ref other = ir_zext(ir, IR_I64, 32, riscv_lift_x(t, t->in.rs2));
    ir_ref word = ir_bin(ir, IR_OR, same, ir_bini(ir, IR_SHL, other, 32));
    ir_ref v = function(t, word, upper ? same : word);
    riscv_lift_set_x(t, t->in.rd, ir_trunc(ir, v));
}

void riscv_lift_sha512_half(struct riscv_lift *t)
{
    if (t->in.rd)
        half(t, false);
}

void riscv_lift_sha512_upper(struct riscv_lift *t)
{
    if (t->in.rd)
        half(t, true);
}
