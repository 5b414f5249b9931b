// SPDX-License-Identifier: MIT
// RV32I, RV64I, M and Zicond: integer operations, jumps, loads and stores.
#include "cpu/riscv/lift.h"

// ---- Operations ----

void riscv_lift_nop(struct riscv_lift *t)
{
    (void)t;
}

void riscv_lift_alu(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    if (t->arg == IR_ADD && !t->in.rs1) { // c.mv
        riscv_lift_set_x(t, t->in.rd, riscv_lift_x(t, t->in.rs2));
        return;
    }
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, t->arg, a, b));
}

void riscv_lift_alui(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    if (t->arg == IR_ADD && !t->in.rs1) { // li
        riscv_lift_set_x(t, t->in.rd, riscv_lift_const(t, t->in.imm));
        return;
    }
    ir_ref a = riscv_lift_x(t, t->in.rs1);
    if (t->arg != IR_ADD || t->in.imm) // else mv
        a = ir_bin(t->ir, t->arg, a, riscv_lift_const(t, t->in.imm));
    riscv_lift_set_x(t, t->in.rd, a);
}

void riscv_lift_slt(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    riscv_lift_set_x(t, t->in.rd, ir_setc(t->ir, t->xt, t->arg, a, b));
}

void riscv_lift_slti(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_const(t, t->in.imm);
    riscv_lift_set_x(t, t->in.rd, ir_setc(t->ir, t->xt, t->arg, a, b));
}

static ir_ref low(struct riscv_lift *t, unsigned reg)
{
    return reg ? ir_trunc(t->ir, ir_get(t->ir, RV_X0 + reg)) : ir_const(t->ir, IR_I32, 0);
}

static void set_w(struct riscv_lift *t, ir_ref word)
{
    riscv_lift_set_x(t, t->in.rd, ir_sext(t->ir, t->xt, 32, word));
}

void riscv_lift_aluw(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = low(t, t->in.rs1), b = low(t, t->in.rs2);
    set_w(t, ir_bin(t->ir, t->arg, a, b));
}

void riscv_lift_aluiw(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = low(t, t->in.rs1);
    if (t->in.imm) // else sext.w
        a = ir_bin(t->ir, t->arg, a, ir_const(t->ir, IR_I32, (uint32_t)t->in.imm));
    set_w(t, a);
}

// The count need not be cut to 32 bits: shifts take it modulo the width.
void riscv_lift_shiftw(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = low(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    set_w(t, ir_bin(t->ir, t->arg, a, b));
}

void riscv_lift_lui(struct riscv_lift *t)
{
    riscv_lift_set_x(t, t->in.rd, riscv_lift_const(t, t->in.imm));
}

void riscv_lift_auipc(struct riscv_lift *t)
{
    riscv_lift_set_x(t, t->in.rd, riscv_lift_const(t, (int64_t)(t->l->pc + (uint64_t)t->in.imm)));
}

// a * b of signed a is the unsigned product less b << XLEN if a is negative.
void riscv_lift_mulhsu(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    ir_ref sign = ir_bini(t->ir, IR_SAR, a, t->xt == IR_I32 ? 31 : 63);
    ir_ref excess = ir_bin(t->ir, IR_AND, sign, b);
    riscv_lift_set_x(t, t->in.rd, ir_bin(t->ir, IR_SUB, ir_bin(t->ir, IR_MULHU, a, b), excess));
}

void riscv_lift_czero(struct riscv_lift *t)
{
    if (!t->in.rd)
        return;
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    ir_ref zero = ir_const(t->ir, t->xt, 0);
    riscv_lift_set_x(t, t->in.rd, ir_sel(t->ir, t->arg, b, zero, zero, a));
}

// ---- Jumps ----

// Without 16-bit instructions a jump to an odd halfword is a fault of the jump.
static bool halfwords(const struct riscv_lift *t)
{
    return riscv_has(t->rv, RV_EXT_C) || riscv_has(t->rv, RV_EXT_ZCA);
}

static uint64_t check_branch(struct cpu *cpu, uint64_t taken, uint64_t target, uint64_t c,
                             uint64_t d)
{
    (void)c, (void)d;
    if (taken)
        cpu_raise(cpu, EXC_FETCH_MISALIGNED, target);
    return 0;
}

static uint64_t check_target(struct cpu *cpu, uint64_t target, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    if (target & 3)
        cpu_raise(cpu, EXC_FETCH_MISALIGNED, target);
    return 0;
}

void riscv_lift_branch(struct riscv_lift *t)
{
    ir_ref a = riscv_lift_x(t, t->in.rs1), b = riscv_lift_x(t, t->in.rs2);
    vaddr_t target = riscv_lift_wrap(t, t->l->pc + (uint64_t)t->in.imm);
    if ((target & 3) && !halfwords(t)) {
        ir_ref taken = ir_setc(t->ir, IR_I32, t->arg, a, b);
        ir_call(t->ir, check_branch, "check_branch", CALL_FAULT, IR_VOID, taken,
                riscv_lift_const(t, (int64_t)target), 0, 0);
        return;
    }
    lift_branch(t->l, t->arg, a, b, target);
}

static void link_x(struct riscv_lift *t)
{
    riscv_lift_set_x(t, t->in.rd, riscv_lift_const(t, (int64_t)(t->l->pc + riscv_lift_len(t))));
}

void riscv_lift_jal(struct riscv_lift *t)
{
    vaddr_t target = riscv_lift_wrap(t, t->l->pc + (uint64_t)t->in.imm);
    if ((target & 3) && !halfwords(t)) {
        lift_raise(t->l, EXC_FETCH_MISALIGNED, riscv_lift_const(t, (int64_t)target));
        return;
    }
    link_x(t);
    lift_jump(t->l, target);
}

static bool is_link(unsigned reg)
{
    return reg == 1 || reg == 5;
}

// The manual's table of return-address stack hints.
static enum ir_jump_hint jump_hint(const struct riscv_insn *in)
{
    return is_link(in->rd) ? IR_JUMP_CALL : is_link(in->rs1) ? IR_JUMP_RETURN : IR_JUMP;
}

void riscv_lift_jalr(struct riscv_lift *t)
{
    ir_ref target = riscv_lift_x(t, t->in.rs1);
    if (t->in.imm)
        target = ir_bini(t->ir, IR_ADD, target, t->in.imm);
    target = ir_bini(t->ir, IR_AND, target, -2);
    if (!halfwords(t))
        ir_call(t->ir, check_target, "check_target", CALL_FAULT, IR_VOID, target, 0, 0, 0);
    link_x(t);
    lift_jump_indirect(t->l, jump_hint(&t->in), target);
}

// ---- Memory ----

void riscv_lift_load(struct riscv_lift *t)
{
    unsigned op = t->arg;
    if ((op & MO_SIZE) == (t->xt == IR_I32 ? MO_32 : MO_64))
        op &= ~(unsigned)MO_SIGN;
    ir_ref v = ir_ld(t->ir, t->xt, op, riscv_lift_x(t, t->in.rs1), t->in.imm);
    riscv_lift_set_x(t, t->in.rd, v);
}

void riscv_lift_store(struct riscv_lift *t)
{
    ir_ref addr = riscv_lift_x(t, t->in.rs1), v = riscv_lift_x(t, t->in.rs2);
    ir_st(t->ir, t->arg, addr, t->in.imm, v);
}
