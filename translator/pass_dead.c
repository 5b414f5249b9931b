// SPDX-License-Identifier: MIT
// Drops values that nobody uses, and SETs that no exit sees. One backward walk.
#include "translator/ir.h"

struct dead {
    struct ir *ir;
    uint8_t used[IR_MAX_INSNS];
    uint8_t seen[IR_MAX_VARS]; // an exit below wants the variable's value from here
    bool fault_below;          // within the same guest instruction
};

static void see_all(struct dead *p)
{
    memset(p->seen, 1, p->ir->nr_vars);
}

static bool needed(struct dead *p, ir_ref r)
{
    struct ir_insn *in = &p->ir->insn[r];
    unsigned flags = ir_op_info[in->op].flags;
    if (in->op == IR_SET) {
        bool seen = p->seen[in->x];
        p->seen[in->x] = 0;
        return seen;
    }
    if (in->op == IR_CALL && p->ir->call[in->x].flags & CALL_PURE)
        return p->used[r];
    if (in->op == IR_GET && in->aux & GET_CARRIED)
        return true;
    return flags & OPF_EFFECT || p->used[r];
}

static void visit(struct dead *p, ir_ref r)
{
    struct ir_insn *in = &p->ir->insn[r];
    if (in->op == IR_INSN && p->fault_below) {
        see_all(p);
        p->fault_below = false;
    }
    if (!needed(p, r)) {
        in->op = IR_NOP;
        return;
    }
    unsigned flags = ir_op_info[in->op].flags;
    if (flags & OPF_EXIT)
        see_all(p);
    if (flags & OPF_FAULT || (in->op == IR_CALL && p->ir->call[in->x].flags & CALL_FAULT))
        p->fault_below = true;
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++)
        p->used[in->arg[k]] = 1;
}

void ir_pass_dead(struct ir *ir)
{
    struct dead p = {.ir = ir};
    for (unsigned r = ir->nr_insns - 1; r > 0; r--)
        visit(&p, r);
}

void ir_optimize(struct ir *ir)
{
    ir_pass_values(ir);
    ir_pass_checks(ir);
    ir_pass_dead(ir);
}
