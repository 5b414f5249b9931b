// SPDX-License-Identifier: MIT
// A, Zacas and Zabha. CPUs of a machine take turns, a unit is never interrupted: an atomic operation
// is a load and a store. aq and rl order nothing that could be seen out of order.
#include "cpu/riscv/lift.h"

// log2 of the operand's bytes is funct3; amocas.q's 4 never gets here.
static unsigned memop(const struct riscv_lift *t)
{
    return (t->in.bits >> 12 & 3) | MO_ALIGN;
}

static bool full_width(const struct riscv_lift *t)
{
    return (memop(t) & MO_SIZE) == (t->xt == IR_I32 ? MO_32 : MO_64);
}

static ir_ref load_old(struct riscv_lift *t, ir_ref addr)
{
    unsigned op = memop(t) | MO_RMW | (full_width(t) ? 0 : MO_SIGN);
    return ir_ld(t->ir, t->xt, op, addr, 0);
}

// A register as the operand, sign-extended from its width.
static ir_ref operand(struct riscv_lift *t, unsigned reg)
{
    ir_ref v = riscv_lift_x(t, reg);
    return full_width(t) || !reg ? v : ir_sext(t->ir, t->xt, 8u << (memop(t) & MO_SIZE), v);
}

static void store_new(struct riscv_lift *t, ir_ref addr, ir_ref old, ir_ref value)
{
    ir_st(t->ir, memop(t), addr, 0, value);
    riscv_lift_set_x(t, t->in.rd, old);
}

// IR_NOP is the exchange.
void riscv_lift_amo(struct riscv_lift *t)
{
    ir_ref addr = riscv_lift_x(t, t->in.rs1), v = riscv_lift_x(t, t->in.rs2);
    ir_ref old = load_old(t, addr);
    store_new(t, addr, old, t->arg == IR_NOP ? v : ir_bin(t->ir, t->arg, old, v));
}

// Sign extension keeps the unsigned order too.
void riscv_lift_amo_minmax(struct riscv_lift *t)
{
    ir_ref addr = riscv_lift_x(t, t->in.rs1), v = operand(t, t->in.rs2);
    ir_ref old = load_old(t, addr);
    store_new(t, addr, old, ir_sel(t->ir, t->arg, old, v, old, v));
}

void riscv_lift_amocas(struct riscv_lift *t)
{
    ir_ref addr = riscv_lift_x(t, t->in.rs1), v = riscv_lift_x(t, t->in.rs2);
    ir_ref expected = operand(t, t->in.rd), old = load_old(t, addr);
    store_new(t, addr, old, ir_sel(t->ir, IR_EQ, old, expected, v, old));
}

// A pair that begins with x0 is zero; it is not written.
static ir_ref pair_half(struct riscv_lift *t, unsigned reg, unsigned half)
{
    return riscv_lift_x(t, reg ? reg + half : 0);
}

static void set_pair(struct riscv_lift *t, unsigned reg, ir_ref lo, ir_ref hi)
{
    if (reg) {
        riscv_lift_set_x(t, reg, lo);
        riscv_lift_set_x(t, reg + 1, hi);
    }
}

// Two 32-bit registers as one i64.
static ir_ref pair64(struct riscv_lift *t, unsigned reg)
{
    if (!reg)
        return ir_const(t->ir, IR_I64, 0);
    ir_ref lo = ir_zext(t->ir, IR_I64, 32, pair_half(t, reg, 0));
    ir_ref hi = ir_zext(t->ir, IR_I64, 32, pair_half(t, reg, 1));
    return ir_bin(t->ir, IR_OR, lo, ir_bini(t->ir, IR_SHL, hi, 32));
}

// amocas.d of RV32.
void riscv_lift_amocas_pair(struct riscv_lift *t)
{
    ir_ref addr = riscv_lift_x(t, t->in.rs1);
    ir_ref expected = pair64(t, t->in.rd), v = pair64(t, t->in.rs2);
    ir_ref old = ir_ld(t->ir, IR_I64, MO_64 | MO_ALIGN | MO_RMW, addr, 0);
    ir_st(t->ir, MO_64 | MO_ALIGN, addr, 0, ir_sel(t->ir, IR_EQ, old, expected, v, old));
    set_pair(t, t->in.rd, ir_trunc(t->ir, old), ir_trunc(t->ir, ir_bini(t->ir, IR_SHR, old, 32)));
}

static uint64_t check_align16(struct cpu *cpu, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    if (addr & 15)
        cpu_raise(cpu, EXC_STORE_MISALIGNED, addr);
    return 0;
}

void riscv_lift_amocas_quad(struct riscv_lift *t)
{
    const unsigned op = MO_64 | MO_ALIGN;
    ir_ref addr = riscv_lift_x(t, t->in.rs1);
    ir_call(t->ir, check_align16, "check_align16", CALL_FAULT, IR_VOID, addr, 0, 0, 0);
    ir_ref old[2], differ[2], value[2];
    for (unsigned i = 0; i < 2; i++) {
        old[i] = ir_ld(t->ir, IR_I64, op | MO_RMW, addr, 8 * i);
        differ[i] = ir_bin(t->ir, IR_XOR, old[i], pair_half(t, t->in.rd, i));
        value[i] = pair_half(t, t->in.rs2, i);
    }
    ir_ref any = ir_bin(t->ir, IR_OR, differ[0], differ[1]), zero = ir_const(t->ir, IR_I64, 0);
    for (unsigned i = 0; i < 2; i++)
        ir_st(t->ir, op, addr, 8 * i, ir_sel(t->ir, IR_EQ, any, zero, value[i], old[i]));
    set_pair(t, t->in.rd, old[0], old[1]);
}

void riscv_lift_lr(struct riscv_lift *t)
{
    ir_ref size = ir_const(t->ir, IR_I64, t->arg);
    riscv_lift_set_x(
        t, t->in.rd,
        ir_call(t->ir, riscv_lr, "lr", CALL_FAULT, t->xt, riscv_lift_x(t, t->in.rs1), size, 0, 0));
}

void riscv_lift_sc(struct riscv_lift *t)
{
    ir_ref addr = riscv_lift_x(t, t->in.rs1), v = riscv_lift_x(t, t->in.rs2);
    ir_ref size = ir_const(t->ir, IR_I64, t->arg);
    riscv_lift_set_x(t, t->in.rd,
                     ir_call(t->ir, riscv_sc, "sc", CALL_FAULT, t->xt, addr, size, v, 0));
}
