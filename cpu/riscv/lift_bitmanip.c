// SPDX-License-Identifier: MIT
// Zba, Zbb, Zbc, Zbs, Zbkb, Zbkx. RISC-V unprivileged manual, chapter "B" and "Bit-manipulation for
// Cryptography".
#include "cpu/riscv/lift.h"

static unsigned xlen(const struct riscv_lift *t)
{
    return t->xt == IR_I32 ? 32 : 64;
}

// ---- Zba ----

static void shift_and_add(struct riscv_lift *t, ir_ref a)
{
    if (t->arg)
        a = ir_bini(t->ir, IR_SHL, a, t->arg);
    if (t->in.rs2)
        a = ir_bin(t->ir, IR_ADD, a, riscv_lift_x(t, t->in.rs2));
    riscv_lift_set_x(t, t->in.rd, a);
}

void riscv_lift_shadd(struct riscv_lift *t)
{
    if (t->in.rd)
        shift_and_add(t, riscv_lift_x(t, t->in.rs1));
}

void riscv_lift_shadd_uw(struct riscv_lift *t)
{
    if (t->in.rd)
        shift_and_add(t, ir_zext(t->ir, IR_I64, 32, riscv_lift_x(t, t->in.rs1)));
}

void riscv_lift_slli_uw(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref v = ir_zext(t->ir, IR_I64, 32, riscv_lift_x(t, t->in.rs1));
    riscv_lift_set_x(t, t->in.rd, ir_bini(t->ir, IR_SHL, v, t->in.imm));
}

// ---- Zbb ----

void riscv_lift_orn(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, IR_OR, a, ir_un(t->ir, IR_NOT, b)));
}

void riscv_lift_xnor(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    riscv_lift_set_x(t, t->in.rd, ir_un(t->ir, IR_NOT, ir_bin(t->ir, IR_XOR, a, b)));
}

void riscv_lift_unary(struct riscv_lift *t)
{
    if (t->in.rd)
        riscv_lift_set_x(t, t->in.rd, ir_un(t->ir, t->arg, riscv_lift_x(t, t->in.rs1)));
}

// clzw, ctzw, cpopw
void riscv_lift_countw(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref n = ir_un(t->ir, t->arg, ir_trunc(t->ir, riscv_lift_x(t, t->in.rs1)));
    riscv_lift_set_x(t, t->in.rd, ir_zext(t->ir, IR_I64, 32, n));
}

void riscv_lift_minmax(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    riscv_lift_set_x(t, t->in.rd, ir_sel(t->ir, t->arg, a, b, a, b));
}

void riscv_lift_sext(struct riscv_lift *t)
{
    if (t->in.rd)
        riscv_lift_set_x(t, t->in.rd, ir_sext(t->ir, t->xt, t->arg, riscv_lift_x(t, t->in.rs1)));
}

void riscv_lift_zext(struct riscv_lift *t)
{
    if (t->in.rd)
        riscv_lift_set_x(t, t->in.rd, ir_zext(t->ir, t->xt, t->arg, riscv_lift_x(t, t->in.rs1)));
}

// A constant with `byte` in each byte.
static ir_ref bytes(struct riscv_lift *t, uint8_t byte)
{
    return riscv_lift_const(t, (int64_t)(UINT64_C(0x0101010101010101) * byte));
}

// Bit 7 of each byte becomes whether the byte is not zero, and then the whole byte: (m << 1) - (m >> 7),
// each borrow and carry of which ends in the byte above that it belongs to.
void riscv_lift_orc_b(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    struct ir *ir = t->ir;
    ir_ref a = riscv_lift_x(t, t->in.rs1), low7 = bytes(t, 0x7f);
    ir_ref sum = ir_bin(ir, IR_ADD, ir_bin(ir, IR_AND, a, low7), low7);
    ir_ref m = ir_bin(ir, IR_ANDN, ir_bin(ir, IR_OR, sum, a), low7);
    ir_ref up = ir_bini(ir, IR_SHL, m, 1), down = ir_bini(ir, IR_SHR, m, 7);
    riscv_lift_set_x(t, t->in.rd, ir_bin(ir, IR_SUB, up, down));
}

// ---- Zbc ----

// The product's bits 2 XLEN - 2 .. XLEN - 1.
void riscv_lift_clmulr(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    struct ir *ir = t->ir;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    ir_ref hi = ir_bini(ir, IR_SHL, ir_bin(ir, IR_CLMULH, a, b), 1);
    ir_ref lo = ir_bini(ir, IR_SHR, ir_bin(ir, IR_CLMUL, a, b), xlen(t) - 1);
    riscv_lift_set_x(t, t->in.rd, ir_bin(ir, IR_OR, hi, lo));
}

// ---- Zbs ----

void riscv_lift_bit(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), n = riscv_lift_x(t, t->in.rs2);
    ir_ref bit = ir_bin(t->ir, IR_SHL, riscv_lift_const(t, 1), n);
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, t->arg, a, bit));
}

void riscv_lift_biti(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), bit = riscv_lift_const(t, (int64_t)BIT(t->in.imm));
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, t->arg, a, bit));
}

static void extract(struct riscv_lift *t, ir_ref n)
{
    ir_ref v = ir_bin(t->ir, IR_SHR, riscv_lift_x(t, t->in.rs1), n);
    riscv_lift_set_x(t, t->in.rd, ir_bini(t->ir, IR_AND, v, 1));
}

void riscv_lift_bext(struct riscv_lift *t)
{
    if (t->in.rd)
        extract(t, riscv_lift_x(t, t->in.rs2));
}

void riscv_lift_bexti(struct riscv_lift *t)
{
    if (t->in.rd)
        extract(t, riscv_lift_const(t, t->in.imm));
}

// ---- Zbkb, Zbkx ----

void riscv_lift_pack(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref lo = ir_zext(t->ir, t->xt, xlen(t) / 2, riscv_lift_x(t, t->in.rs1));
    ir_ref hi = ir_bini(t->ir, IR_SHL, riscv_lift_x(t, t->in.rs2), xlen(t) / 2);
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, IR_OR, lo, hi));
}

void riscv_lift_packh(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref lo = ir_zext(t->ir, t->xt, 8, riscv_lift_x(t, t->in.rs1));
    ir_ref hi = ir_zext(t->ir, t->xt, 8, riscv_lift_x(t, t->in.rs2));
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, IR_OR, lo, ir_bini(t->ir, IR_SHL, hi, 8)));
}

void riscv_lift_packw(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref lo = ir_zext(t->ir, IR_I32, 16, riscv_lift_x(t, t->in.rs1));
    ir_ref hi = ir_bini(t->ir, IR_SHL, ir_trunc(t->ir, riscv_lift_x(t, t->in.rs2)), 16);
    ir_ref v = ir_bin(t->ir, IR_OR, lo, hi);
    riscv_lift_set_x(t, t->in.rd, ir_sext(t->ir, IR_I64, 32, v));
}

// Exchanges neighbouring groups of n bits; `low` is the byte with the lower groups set.
static ir_ref swap_groups(struct riscv_lift *t, ir_ref v, unsigned n, uint8_t low)
{
    struct ir *ir = t->ir;
    ir_ref mask = bytes(t, low);
    ir_ref up = ir_bini(ir, IR_SHL, ir_bin(ir, IR_AND, v, mask), n);
    ir_ref down = ir_bin(ir, IR_AND, ir_bini(ir, IR_SHR, v, n), mask);
    return ir_bin(ir, IR_OR, up, down);
}

void riscv_lift_brev8(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref v = swap_groups(t, riscv_lift_x(t, t->in.rs1), 1, 0x55);
    riscv_lift_set_x(t, t->in.rd, swap_groups(t, swap_groups(t, v, 2, 0x33), 4, 0x0f));
}

// Bit n of the lower half goes to bit 2n, of the upper half to 2n + 1.
static uint64_t zip(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)cpu, (void)b, (void)c, (void)d;
    uint64_t result = 0;
    for (unsigned i = 0; i < 16; i++)
        result |= (a >> i & 1) << 2 * i | (a >> (i + 16) & 1) << (2 * i + 1);
    return result;
}

static uint64_t unzip(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)cpu, (void)b, (void)c, (void)d;
    uint64_t result = 0;
    for (unsigned i = 0; i < 16; i++)
        result |= (a >> 2 * i & 1) << i | (a >> (2 * i + 1) & 1) << (i + 16);
    return result;
}

// Element i of the result is that element of a whose number is b's element i, or 0. c: bits of an element,
// d: XLEN.
static uint64_t xperm(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)cpu;
    uint64_t result = 0, mask = BIT(c) - 1;
    for (unsigned i = 0; i < d; i += c) {
        uint64_t from = (b >> i & mask) * c;
        if (from < d)
            result |= (a >> from & mask) << i;
    }
    return result;
}

void riscv_lift_zip(struct riscv_lift *t)
{
    if (t->in.rd)
        riscv_lift_set_x(
            t, t->in.rd,
            ir_call(t->ir, zip, "zip", CALL_PURE, t->xt, riscv_lift_x(t, t->in.rs1), 0, 0, 0));
}

void riscv_lift_unzip(struct riscv_lift *t)
{
    if (t->in.rd)
        riscv_lift_set_x(
            t, t->in.rd,
            ir_call(t->ir, unzip, "unzip", CALL_PURE, t->xt, riscv_lift_x(t, t->in.rs1), 0, 0, 0));
}

void riscv_lift_xperm(struct riscv_lift *t)
{
    if (t->in.rd)
        riscv_lift_set_x(t, t->in.rd,
                         ir_call(t->ir, xperm, "xperm", CALL_PURE, t->xt,
                                 riscv_lift_x(t, t->in.rs1), riscv_lift_x(t, t->in.rs2),
                                 ir_const(t->ir, IR_I64, t->arg),
                                 ir_const(t->ir, IR_I64, xlen(t))));
}
