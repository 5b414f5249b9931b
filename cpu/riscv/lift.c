// SPDX-License-Identifier: MIT
// Fetches, decodes and lifts one instruction.
#include "cpu/riscv/lift.h"

void riscv_lift_illegal(struct riscv_lift *t)
{
    lift_raise(t->l, EXC_ILLEGAL, riscv_lift_const(t, t->in.bits));
}

// The instruction's bits at l->pc, 2 or 4 bytes of them.
static bool fetch(struct lift *l, uint32_t *bits)
{
    uint32_t high;
    if (!lift_fetch(l, 0, 2, bits))
        return false;
    if (riscv_insn_len(*bits) == 2)
        return true;
    if (!lift_fetch(l, 2, 2, &high))
        return false;
    *bits |= high << 16;
    return true;
}

bool riscv_lift(struct lift *l)
{
    const struct riscv_cpu *rv = riscv_cpu_of(l->cpu);
    struct riscv_lift t = {.l = l, .ir = l->ir, .rv = rv};
    uint32_t bits;
    if (!fetch(l, &bits))
        return false;
    unsigned len = riscv_insn_len(bits);
    t.xt = rv->xlen == 32 ? IR_I32 : IR_I64;
    l->next_pc = riscv_lift_wrap(&t, l->pc + len);
    ir_guest(l->ir, l->pc, len);
    if (riscv_decode(&rv->decoder, bits, &t.in)) {
        const struct riscv_opcode *op = &riscv_opcodes[riscv_opcodes[t.in.id].base];
        t.arg = op->arg;
        op->lift(&t);
    } else {
        t.in.bits = bits;
        riscv_lift_illegal(&t);
    }
    return true;
}
