// SPDX-License-Identifier: MIT
// Units that end by going back to their head. Variables that the unit sets or reads get a GET_CARRIED at the very
// top: a value that comes from the homes when the unit is entered, and from the iteration before after that.
//
// Where there are more than a host has registers to carry, those that the unit sets come first, and among those the
// ones that occur most; the others go through their homes at each turn.
#include "translator/ir.h"

struct carried {
    uint8_t var[LIMIT_LOOP_GPRS + LIMIT_LOOP_FPRS];
    unsigned nr;
};

static bool is_loop(const struct ir *ir)
{
    const struct ir_insn *end = &ir->insn[ir->nr_insns - 1];
    return end->op == IR_EXIT && ir->exit[end->x].pc == ir->pc;
}

// What carrying a variable saves each turn: a store and a load, or a load; and how often it occurs.
static void weigh(const struct ir *ir, unsigned weight[IR_MAX_VARS])
{
    enum { SETS = 1u << 16 };
    for (unsigned r = 1; r < ir->nr_insns; r++) {
        const struct ir_insn *in = &ir->insn[r];
        if (in->op == IR_GET)
            weight[in->x]++;
        else if (in->op == IR_SET)
            weight[in->x] = (weight[in->x] + 1) | SETS;
    }
}

static unsigned heaviest(const struct ir *ir, const unsigned weight[IR_MAX_VARS], bool is_float)
{
    unsigned best = IR_MAX_VARS;
    for (unsigned v = 0; v < ir->nr_vars; v++)
        if (weight[v] && ir_type_is_float(ir->vars[v].type) == is_float &&
            (best == IR_MAX_VARS || weight[v] > weight[best]))
            best = v;
    return best;
}

static void collect(const struct ir *ir, struct carried *c)
{
    static const unsigned most[2] = {LIMIT_LOOP_GPRS, LIMIT_LOOP_FPRS};
    unsigned weight[IR_MAX_VARS] = {0};
    weigh(ir, weight);
    for (unsigned is_float = 0; is_float < 2; is_float++) {
        for (unsigned n = 0; n < most[is_float]; n++) {
            unsigned v = heaviest(ir, weight, is_float);
            if (v == IR_MAX_VARS)
                break;
            weight[v] = 0;
            c->var[c->nr++] = v;
        }
    }
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
    if (!is_loop(ir))
        return;
    collect(ir, &c);
    if (!c.nr || ir->nr_insns + c.nr > IR_MAX_INSNS)
        return;
    shift(ir, c.nr);
    for (unsigned i = 0; i < c.nr; i++)
        ir->insn[1 + i] = (struct ir_insn){
            .op = IR_GET, .type = ir->vars[c.var[i]].type, .aux = GET_CARRIED, .x = c.var[i]};
}
