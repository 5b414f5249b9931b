// SPDX-License-Identifier: MIT
// Zcmp: push, pop and moves of register lists. All other 16-bit instructions are short forms of 32-bit ones;
// see SHORT16 in insns.def. RISC-V unprivileged manual, chapter "Zcmp".
//
// A fault in the middle of a list restarts the instruction: memory may have been written, sp and the registers
// are as before.
#include "cpu/riscv/lift.h"

enum { SP = 2, A0 = 10, A1 = 11 };

static unsigned reg_bytes(const struct riscv_lift *t)
{
    return t->xt == IR_I32 ? 4 : 8;
}

static unsigned memop(const struct riscv_lift *t)
{
    return t->xt == IR_I32 ? MO_32 : MO_64;
}

// The highest register of the list lies highest.
void riscv_lift_cm_push(struct riscv_lift *t)
{
    ir_ref sp = riscv_lift_x(t, SP);
    unsigned n = riscv_list_len(t->in.rs2);
    for (unsigned i = n; i-- > 0;) {
        ir_ref v = riscv_lift_x(t, riscv_list_reg(i));
        ir_st(t->ir, memop(t), sp, -(int64_t)(n - i) * reg_bytes(t), v);
    }
    riscv_lift_set_x(t, SP, ir_bini(t->ir, IR_ADD, sp, -(int64_t)t->in.imm));
}

void riscv_lift_cm_pop(struct riscv_lift *t)
{
    ir_ref sp = riscv_lift_x(t, SP), v[16];
    unsigned n = riscv_list_len(t->in.rs2);
    for (unsigned i = n; i-- > 0;)
        v[i] = ir_ld(t->ir, t->xt, memop(t), sp, t->in.imm - (int64_t)(n - i) * reg_bytes(t));
    for (unsigned i = 0; i < n; i++)
        riscv_lift_set_x(t, riscv_list_reg(i), v[i]);
    riscv_lift_set_x(t, SP, ir_bini(t->ir, IR_ADD, sp, t->in.imm));
    if (t->arg == POP)
        return;
    if (t->arg == POP_RETURN_ZERO)
        riscv_lift_set_x(t, A0, riscv_lift_const(t, 0));
    lift_jump_indirect(t->l, IR_JUMP_RETURN, ir_bini(t->ir, IR_AND, v[0], -2));
}

void riscv_lift_cm_mvsa01(struct riscv_lift *t)
{
    ir_ref a0 = riscv_lift_x(t, A0), a1 = riscv_lift_x(t, A1);
    riscv_lift_set_x(t, t->in.rs1, a0);
    riscv_lift_set_x(t, t->in.rs2, a1);
}

void riscv_lift_cm_mva01s(struct riscv_lift *t)
{
    ir_ref s1 = riscv_lift_x(t, t->in.rs1), s2 = riscv_lift_x(t, t->in.rs2);
    riscv_lift_set_x(t, A0, s1);
    riscv_lift_set_x(t, A1, s2);
}
