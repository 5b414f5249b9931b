// SPDX-License-Identifier: MIT
// Units that end by going back to their head. Each variable that the unit sets gets a GET_CARRIED at the very
// top: a value that comes from the homes when the unit is entered, and from the iteration before after that.
//
// Where more variables are set than a host has registers to carry, the unit is left as it is.
#include "translator/ir.h"

struct carried {
    uint8_t var[LIMIT_LOOP_GPRS + LIMIT_LOOP_FPRS];
    unsigned nr, nr_of[2]; // all; integers, floats
};

static bool is_loop(const struct ir *ir)
{
    const struct ir_insn *end = &ir->insn[ir->nr_insns - 1];
    return end->op == IR_EXIT && ir->exit[end->x].pc == ir->pc;
}

static bool carry(const struct ir *ir, struct carried *c, unsigned var)
{
    static const unsigned most[2] = {LIMIT_LOOP_GPRS, LIMIT_LOOP_FPRS};
    bool is_float = ir_type_is_float(ir->vars[var].type);
    if (c->nr_of[is_float] == most[is_float])
        return false;
    c->nr_of[is_float]++;
    c->var[c->nr++] = var;
    return true;
}

// The variables that are set; false: too many.
static bool collect(const struct ir *ir, struct carried *c)
{
    bool seen[IR_MAX_VARS] = {false};
    for (unsigned r = 1; r < ir->nr_insns; r++) {
        const struct ir_insn *in = &ir->insn[r];
        if (in->op != IR_SET || seen[in->x])
            continue;
        seen[in->x] = true;
        if (!carry(ir, c, in->x))
            return false;
    }
    return c->nr > 0;
}

// Makes room for n instructions at the top.
static void shift(struct ir *ir, unsigned n)
{
    memmove(&ir->insn[1 + n], &ir->insn[1], (ir->nr_insns - 1) * sizeof(ir->insn[0]));
    ir->nr_insns += n;
    for (unsigned r = 1 + n; r < ir->nr_insns; r++)
        for (unsigned k = 0; k < 4; k++)
            if (ir->insn[r].arg[k])
                ir->insn[r].arg[k] += n;
    for (unsigned i = 0; i < ir->nr_exits; i++)
        ir->exit[i].at += n;
    ir->guest_at += n;
}

void ir_pass_loop(struct ir *ir)
{
    struct carried c = {0};
    if (!is_loop(ir) || !collect(ir, &c) || ir->nr_insns + c.nr > IR_MAX_INSNS)
        return;
    shift(ir, c.nr);
    for (unsigned i = 0; i < c.nr; i++)
        ir->insn[1 + i] = (struct ir_insn){
            .op = IR_GET, .type = ir->vars[c.var[i]].type, .aux = GET_CARRIED, .x = c.var[i]};
}
