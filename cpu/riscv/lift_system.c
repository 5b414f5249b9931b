// SPDX-License-Identifier: MIT
// CSRs, traps, fences, cache blocks, and Zimop. What they do is the privileged side's; see riscv.h.
#include "cpu/riscv/lift.h"

void riscv_lift_leave(struct riscv_lift *t)
{
    lift_leave(t->l, t->arg);
}

void riscv_lift_ecall(struct riscv_lift *t)
{
    lift_raise(t->l, EXC_ECALL_U + RV_KEY_PRIV(t->l->key), riscv_lift_const(t, 0));
}

void riscv_lift_ebreak(struct riscv_lift *t)
{
    lift_raise(t->l, EXC_BREAKPOINT, riscv_lift_const(t, (int64_t)t->l->pc));
}

void riscv_lift_xret(struct riscv_lift *t)
{
    ir_function *fn = t->arg == PRIV_M ? riscv_mret : riscv_sret;
    ir_ref target = ir_call(t->ir, fn, t->arg == PRIV_M ? "mret" : "sret", CALL_FAULT, t->xt,
                            riscv_lift_insn_bits(t), 0, 0, 0);
    lift_jump_indirect(t->l, IR_JUMP, target);
}

void riscv_lift_wfi(struct riscv_lift *t)
{
    ir_call(t->ir, riscv_wfi, "wfi", CALL_FAULT, IR_VOID, riscv_lift_insn_bits(t), 0, 0, 0);
    lift_leave(t->l, LEAVE_HALT);
}

void riscv_lift_sfence_vma(struct riscv_lift *t)
{
    ir_call(t->ir, riscv_sfence_vma, "sfence_vma", CALL_FAULT, IR_VOID, riscv_lift_insn_bits(t),
            riscv_lift_x(t, t->in.rs1), ir_const(t->ir, IR_I64, t->in.rs1 != 0), 0);
    lift_leave(t->l, LEAVE_LOOKUP);
}

void riscv_lift_sfence_inval(struct riscv_lift *t)
{
    ir_call(t->ir, riscv_sfence_inval, "sfence_inval", CALL_FAULT, IR_VOID, riscv_lift_insn_bits(t),
            0, 0, 0);
}

void riscv_lift_cbo(struct riscv_lift *t)
{
    ir_call(t->ir, riscv_cbo, "cbo", CALL_FAULT, IR_VOID, riscv_lift_x(t, t->in.rs1),
            ir_const(t->ir, IR_I64, t->arg), 0, riscv_lift_insn_bits(t));
}

void riscv_lift_mop(struct riscv_lift *t)
{
    riscv_lift_set_x(t, t->in.rd, riscv_lift_const(t, 0));
}

static void lift_csr(struct riscv_lift *t, ir_ref operand)
{
    unsigned csr = (unsigned)t->in.imm, op = t->arg;
    if (t->arg == CSR_RW && !t->in.rd)
        op |= CSR_NO_READ;
    if (t->arg != CSR_RW && !t->in.rs1)
        op |= CSR_NO_WRITE;
    struct riscv_csr_hint hint = riscv_csr_hint(t->l->cpu, t->l->key, csr, op);
    ir_ref old =
        ir_call(t->ir, riscv_csr_rmw, "csr", hint.call_flags, t->xt, ir_const(t->ir, IR_I64, csr),
                operand, ir_const(t->ir, IR_I64, op), riscv_lift_insn_bits(t));
    riscv_lift_set_x(t, t->in.rd, old);
    if (hint.leave)
        lift_leave(t->l, LEAVE_LOOKUP);
}

void riscv_lift_csr(struct riscv_lift *t)
{
    lift_csr(t, riscv_lift_x(t, t->in.rs1));
}

void riscv_lift_csri(struct riscv_lift *t)
{
    lift_csr(t, riscv_lift_const(t, t->in.rs1));
}
