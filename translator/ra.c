// SPDX-License-Identifier: MIT
// Register allocation. See ra.h.
#include "translator/ra.h"

#include <assert.h>

#define NEVER UINT16_MAX

// ---- Liveness ----

static bool may_leave(const struct ir *ir, const struct ir_insn *in)
{
    unsigned flags = ir_op_info[in->op].flags;
    return flags & (OPF_EXIT | OPF_FAULT) || (in->op == IR_CALL && ir->call[in->x].flags & CALL_FAULT);
}

static void needed_until(struct ra *ra, ir_ref r, unsigned at)
{
    if (ra->val[r].last < at)
        ra->val[r].last = at;
}

// How long each value is needed: as an operand, and by exit maps while a variable has it.
static void find_last_needs(struct ra *ra)
{
    const struct ir *ir = ra->ir;
    uint16_t set_at[IR_MAX_VARS] = {0};
    ir_ref now[IR_MAX_VARS] = {0};
    unsigned last_exit = 0;
    for (unsigned i = 1; i < ir->nr_insns; i++) {
        const struct ir_insn *in = &ir->insn[i];
        for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++)
            needed_until(ra, in->arg[k], i);
        if (may_leave(ir, in))
            last_exit = i;
        bool carried = in->op == IR_GET && in->aux & GET_CARRIED;
        if (in->op != IR_SET && !carried)
            continue;
        if (now[in->x] && last_exit > set_at[in->x])
            needed_until(ra, now[in->x], last_exit);
        now[in->x] = carried ? i : in->arg[0];
        set_at[in->x] = i;
    }
    for (unsigned v = 0; v < ir->nr_vars; v++)
        if (now[v] && last_exit > set_at[v])
            needed_until(ra, now[v], last_exit);
}

static void find_next_uses(struct ra *ra)
{
    const struct ir *ir = ra->ir;
    for (unsigned i = ir->nr_insns - 1; i > 0; i--) {
        const struct ir_insn *in = &ir->insn[i];
        if (in->op == IR_SET)
            continue;
        unsigned n = ir_op_info[in->op].nr_args;
        for (unsigned k = 0; k < n; k++)
            ra->next_use[i][k] = ra->val[in->arg[k]].next_use;
        for (unsigned k = 0; k < n; k++)
            ra->val[in->arg[k]].next_use = i;
    }
}

static void start(struct ra *ra, const struct ra_host *host, void *h, const struct ir *ir)
{
    ra->host = host;
    ra->h = h;
    ra->ir = ir;
    ra->nr_changed = 0;
    ra->out_of_slots = false;
    memset(ra->now, 0, sizeof(ra->now[0]) * ir->nr_vars);
    memset(ra->free_slots, 0xff, sizeof(ra->free_slots));
    for (unsigned c = 0; c < RA_NR_CLASSES; c++) {
        ra->free[c] = host->regs[c];
        ra->pinned[c] = 0;
    }
    for (unsigned i = 0; i < ir->nr_insns; i++)
        ra->val[i] = (struct ra_value){.reg = RA_NO_REG,
                                       .slot = -1,
                                       .next_use = NEVER,
                                       .in_home = ir->insn[i].op == IR_GET};
    find_last_needs(ra);
    find_next_uses(ra);
}

// ---- Registers and slots ----

static enum ra_class class_of(const struct ra *ra, ir_ref r)
{
    return ra_class_of(ra->ir->insn[r].type);
}

static void release_reg(struct ra *ra, ir_ref r)
{
    struct ra_value *v = &ra->val[r];
    if (v->reg == RA_NO_REG)
        return;
    enum ra_class c = class_of(ra, r);
    ra->free[c] |= 1u << v->reg;
    v->reg = RA_NO_REG;
}

static void release_slot(struct ra *ra, ir_ref r)
{
    int slot = ra->val[r].slot;
    if (slot >= 0)
        ra->free_slots[slot / 64] |= BIT(slot % 64);
    ra->val[r].slot = -1;
}

static bool is_elsewhere(const struct ra *ra, ir_ref r)
{
    return ra->val[r].slot >= 0 || ra->val[r].in_home || ir_is_const(ra->ir, r);
}

// Makes sure the value can be had without its register.
static void save(struct ra *ra, ir_ref r)
{
    if (is_elsewhere(ra, r))
        return;
    struct ra_value *v = &ra->val[r];
    for (unsigned w = 0; w < ARRAY_LEN(ra->free_slots); w++) {
        if (!ra->free_slots[w])
            continue;
        v->slot = w * 64 + __builtin_ctzll(ra->free_slots[w]);
        ra->free_slots[w] &= ra->free_slots[w] - 1;
        ra->host->spill(ra->h, ra->ir->insn[r].type, v->slot, v->reg);
        return;
    }
    ra->out_of_slots = true;
}

static unsigned pick_victim(const struct ra *ra, enum ra_class c)
{
    uint32_t candidates = ra->host->regs[c] & ~ra->pinned[c];
    unsigned best = RA_NO_REG;
    int best_score = -1;
    assert(candidates);
    for (; candidates; candidates &= candidates - 1) {
        unsigned reg = __builtin_ctz(candidates);
        ir_ref r = ra->in_reg[c][reg];
        // Prefer the furthest use; among equals what need not be stored.
        int score = 2 * ra->val[r].next_use + is_elsewhere(ra, r);
        if (score > best_score) {
            best_score = score;
            best = reg;
        }
    }
    return best;
}

// A register for value r, which is not in one; pinned.
static unsigned take_reg(struct ra *ra, enum ra_class c, ir_ref r)
{
    uint32_t avail = ra->free[c] & ~ra->pinned[c];
    unsigned reg;
    if (avail) {
        reg = __builtin_ctz(avail);
    } else {
        reg = pick_victim(ra, c);
        ir_ref victim = ra->in_reg[c][reg];
        save(ra, victim);
        ra->val[victim].reg = RA_NO_REG;
    }
    ra->free[c] &= ~(1u << reg);
    ra->pinned[c] |= 1u << reg;
    ra->in_reg[c][reg] = r;
    ra->val[r].reg = reg;
    return reg;
}

// ---- Operands ----

static struct ra_operand where(const struct ra *ra, ir_ref r)
{
    const struct ra_value *v = &ra->val[r];
    const struct ir_insn *in = &ra->ir->insn[r];
    struct ra_operand o = {.type = in->type};
    if (v->reg != RA_NO_REG) {
        o.kind = RA_IN_REG;
        o.reg = v->reg;
    } else if (in->op == IR_CONST) {
        o.kind = RA_IMM;
        o.imm = in->imm;
    } else if (v->slot >= 0) {
        o.kind = RA_SLOT;
        o.at = v->slot;
    } else if (v->in_home) {
        o.kind = RA_HOME;
        o.at = ra->ir->vars[in->x].offset;
    } else {
        assert(ra->out_of_slots); // the unit will be made anew: anywhere will do
        o.kind = RA_SLOT;
        o.at = 0;
    }
    return o;
}

static void into_reg(struct ra *ra, ir_ref r, struct ra_operand *o)
{
    if (o->kind == RA_IN_REG)
        return;
    struct ra_operand from = *o;
    o->kind = RA_IN_REG;
    o->reg = take_reg(ra, class_of(ra, r), r);
    ra->host->load(ra->h, from.type, o->reg, &from);
}

static bool is_allowed(unsigned allow, enum ra_kind kind)
{
    switch (kind) {
    case RA_IN_REG: return allow & RA_R;
    case RA_IMM: return allow & RA_I;
    default: return allow & RA_M;
    }
}

// Whether memory as operand is better than a register: when the value is not used again soon.
static bool stays_in_memory(const struct ra *ra, unsigned k)
{
    return ra->next_use[ra->at][k] == NEVER;
}

static struct ra_operand fetch(struct ra *ra, unsigned k, ir_ref r, unsigned allow)
{
    const struct ir_insn *in = &ra->ir->insn[r];
    // Also when the constant happens to be in a register: the rule may allow no other.
    if (in->op == IR_CONST && allow & RA_I)
        return (struct ra_operand){.kind = RA_IMM, .type = in->type, .imm = in->imm};
    struct ra_operand o = where(ra, r);
    if (o.kind == RA_IN_REG)
        ra->pinned[class_of(ra, r)] |= 1u << o.reg;
    bool memory = o.kind == RA_HOME || o.kind == RA_SLOT;
    if (!is_allowed(allow, o.kind) || (memory && !stays_in_memory(ra, k)))
        into_reg(ra, r, &o);
    return o;
}

static bool dies_here(const struct ra *ra, ir_ref r)
{
    return ra->val[r].last <= ra->at;
}

// The result takes over operand `tied`: its register if that dies, else a copy.
static unsigned place_tied(struct ra *ra, const struct ir_insn *in, unsigned tied, struct ra_operand *o,
                           ir_ref result)
{
    ir_ref a = in->arg[tied];
    if (o->kind == RA_IN_REG && dies_here(ra, a)) {
        unsigned reg = o->reg;
        ra->val[a].reg = RA_NO_REG;
        ra->in_reg[class_of(ra, a)][reg] = result;
        ra->val[result].reg = reg;
        return reg;
    }
    unsigned dst = take_reg(ra, class_of(ra, result), result);
    if (o->kind == RA_IN_REG)
        ra->host->move(ra->h, in->type, dst, o->reg);
    else
        ra->host->load(ra->h, in->type, dst, o);
    o->kind = RA_IN_REG;
    o->reg = dst;
    return dst;
}

static void release(struct ra *ra, ir_ref r)
{
    release_reg(ra, r);
    release_slot(ra, r);
}

// Operands that are not needed any more. What an exit map of this instruction may name stays until it is done.
static bool is_released(const struct ra *ra, ir_ref r, bool leaves)
{
    return r && dies_here(ra, r) && !(leaves && ra->val[r].nr_vars);
}

// Their registers are free for the result. Their slots are not yet: a victim must not be spilled over an
// operand that is still to be read.
static void release_dead_regs(struct ra *ra, const struct ir_insn *in)
{
    bool leaves = may_leave(ra->ir, in);
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++)
        if (is_released(ra, in->arg[k], leaves))
            release_reg(ra, in->arg[k]);
}

static void release_dead(struct ra *ra, const struct ir_insn *in)
{
    bool leaves = may_leave(ra->ir, in);
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++)
        if (is_released(ra, in->arg[k], leaves))
            release(ra, in->arg[k]);
}

// ---- Instructions ----

static void note_next_uses(struct ra *ra, const struct ir_insn *in)
{
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++)
        ra->val[in->arg[k]].next_use = ra->next_use[ra->at][k];
}

// Exchanges the operands of a commutative operation so that the result can take over one that dies.
static struct ir_insn order_for_tie(struct ra *ra, const struct ir_insn *in)
{
    struct ir_insn swapped = *in;
    ir_ref a = in->arg[0], b = in->arg[1];
    if (ir_op_info[in->op].flags & OPF_COMM && !ir_is_const(ra->ir, b) && !dies_here(ra, a) &&
        dies_here(ra, b)) {
        uint16_t *next = ra->next_use[ra->at];
        uint16_t n = next[0];
        next[0] = next[1];
        next[1] = n;
        swapped.arg[0] = b;
        swapped.arg[1] = a;
    }
    return swapped;
}

static void do_op(struct ra *ra, const struct ir_insn *original, struct ra_rule rule)
{
    struct ra_operand arg[4] = {0};
    bool tied = rule.result == RA_TIED;
    struct ir_insn swapped = tied ? order_for_tie(ra, original) : *original;
    const struct ir_insn *in = &swapped;
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++) {
        if (!rule.arg[k])
            continue;
        // A tied operand that is not in a register is loaded right into the result's.
        if (tied && k == rule.tied)
            arg[k] = where(ra, in->arg[k]);
        else
            arg[k] = fetch(ra, k, in->arg[k], rule.arg[k]);
        if (arg[k].kind == RA_IN_REG)
            ra->pinned[class_of(ra, in->arg[k])] |= 1u << arg[k].reg;
    }
    note_next_uses(ra, in);
    unsigned dst = RA_NO_REG;
    if (tied) {
        dst = place_tied(ra, in, rule.tied, &arg[rule.tied], ra->at);
    } else if (rule.result == RA_EARLY) {
        dst = take_reg(ra, ra_class_of(in->type), ra->at);
    }
    if (rule.result == RA_NEW) {
        // What died is free for the result, what lives on stays pinned.
        release_dead_regs(ra, in);
        for (unsigned c = 0; c < RA_NR_CLASSES; c++)
            ra->pinned[c] &= ~ra->free[c];
        dst = take_reg(ra, ra_class_of(in->type), ra->at);
    }
    ra->host->emit(ra->h, ra->at, arg, dst);
    release_dead(ra, in);
}

// A call: what lives on must be elsewhere than in the registers that it clobbers.
static void do_call(struct ra *ra, const struct ir_insn *in)
{
    struct ra_operand arg[4] = {0};
    bool leaves = may_leave(ra->ir, in);
    note_next_uses(ra, in);
    for (unsigned c = 0; c < RA_NR_CLASSES; c++) {
        uint32_t busy = ra->host->regs[c] & ra->host->clobbered[c] & ~ra->free[c];
        for (; busy; busy &= busy - 1) {
            ir_ref r = ra->in_reg[c][__builtin_ctz(busy)];
            if (!dies_here(ra, r) || (leaves && ra->val[r].nr_vars))
                save(ra, r);
        }
    }
    for (unsigned k = 0; k < 4; k++)
        if (in->arg[k])
            arg[k] = where(ra, in->arg[k]);
    // From here on values are where the call leaves them; the arguments' registers are only read.
    for (unsigned c = 0; c < RA_NR_CLASSES; c++) {
        uint32_t busy = ra->host->regs[c] & ra->host->clobbered[c] & ~ra->free[c];
        for (; busy; busy &= busy - 1) {
            ir_ref r = ra->in_reg[c][__builtin_ctz(busy)];
            ra->val[r].reg = RA_NO_REG;
        }
        ra->free[c] |= ra->host->regs[c] & ra->host->clobbered[c];
    }
    for (unsigned c = 0; c < RA_NR_CLASSES; c++)
        ra->pinned[c] = ra->host->regs[c] & ~ra->host->clobbered[c] & ~ra->free[c];
    unsigned dst = RA_NO_REG;
    if (in->type != IR_VOID) {
        // Not one that holds an argument in a register that survives, so that the map stays true.
        dst = take_reg(ra, ra_class_of(in->type), ra->at);
    }
    ra->host->emit(ra->h, ra->at, arg, dst);
    release_dead(ra, in);
}

static void do_set(struct ra *ra, const struct ir_insn *in)
{
    ir_ref old = ra->now[in->x], r = in->arg[0];
    if (ra->val[r].in_home) {
        // Another variable's home may be written before this one is read in cold code: take it along.
        struct ra_operand o = where(ra, r);
        into_reg(ra, r, &o);
        ra->val[r].in_home = false;
    }
    if (old)
        ra->val[old].nr_vars--;
    else
        ra->changed[ra->nr_changed++] = in->x;
    ra->val[r].nr_vars++;
    ra->now[in->x] = r;
    if (old && dies_here(ra, old))
        release(ra, old);
    if (dies_here(ra, r))
        release(ra, r);
}

// Values that only exit maps needed up to here.
static void release_behind_exit(struct ra *ra, const struct ir_insn *in)
{
    if (!may_leave(ra->ir, in))
        return;
    for (unsigned i = 0; i < ra->nr_changed; i++) {
        ir_ref r = ra->now[ra->changed[i]];
        if (dies_here(ra, r))
            release(ra, r);
    }
}

static bool is_set(const struct ir *ir, unsigned var)
{
    for (unsigned r = 1; r < ir->nr_insns; r++)
        if (ir->insn[r].op == IR_SET && ir->insn[r].x == var)
            return true;
    return false;
}

// A variable carried around the loop: in a register from the top on, its home good for the first load only if the
// loop sets it.
static void do_carried(struct ra *ra, const struct ir_insn *in)
{
    struct ra_operand o = where(ra, ra->at);
    into_reg(ra, ra->at, &o);
    ra->val[ra->at].in_home = !is_set(ra->ir, in->x);
    ra->val[ra->at].nr_vars = 1;
    ra->now[in->x] = ra->at;
    ra->changed[ra->nr_changed++] = in->x;
    if (ra->ir->insn[ra->at + 1].op == IR_GET && ra->ir->insn[ra->at + 1].aux & GET_CARRIED)
        return;
    struct ra_exit_var map[IR_MAX_VARS];
    unsigned n = ra_capture_loop(ra, map);
    ra->host->loop_head(ra->h, map, n);
    for (unsigned i = 0; i < n; i++)
        if (dies_here(ra, ra->now[map[i].var]))
            release(ra, ra->now[map[i].var]);
}

static unsigned capture(const struct ra *ra, struct ra_exit_var *out, bool all)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ra->nr_changed; i++) {
        uint8_t var = ra->changed[i];
        if (all || !ra->val[ra->now[var]].in_home)
            out[n++] = (struct ra_exit_var){var, where(ra, ra->now[var])};
    }
    return n;
}

unsigned ra_capture(const struct ra *ra, struct ra_exit_var *out)
{
    return capture(ra, out, false);
}

unsigned ra_capture_loop(const struct ra *ra, struct ra_exit_var *out)
{
    return capture(ra, out, true);
}

bool ra_run(struct ra *ra, const struct ra_host *host, void *h, const struct ir *ir)
{
    start(ra, host, h, ir);
    for (ra->at = 1; ra->at < ir->nr_insns && !ra->out_of_slots; ra->at++) {
        const struct ir_insn *in = &ir->insn[ra->at];
        ra->pinned[RA_GPR] = ra->pinned[RA_FPR] = 0;
        switch (in->op) {
        case IR_NOP:
        case IR_CONST: continue;
        case IR_GET:
            if (in->aux & GET_CARRIED)
                do_carried(ra, in);
            continue;
        case IR_SET: do_set(ra, in); continue;
        default: break;
        }
        struct ra_rule rule = host->rule(h, ir, in);
        if (rule.call)
            do_call(ra, in);
        else
            do_op(ra, in, rule);
        if (ra->val[ra->at].reg != RA_NO_REG && dies_here(ra, ra->at))
            release_reg(ra, ra->at);
        release_behind_exit(ra, in);
    }
    return !ra->out_of_slots;
}
