// SPDX-License-Identifier: MIT
// From variables to values: reads of guest registers become the values last set, constants are folded,
// equal computations merged, and what the shapes of lifted code leave behind is simplified.
//
// One forward walk. Nothing is inserted: an instruction is rewritten in place, or becomes a NOP with all
// its later uses redirected.
#include <assert.h>

#include "translator/ir.h"

#define HASH_SIZE 256

struct values {
    struct ir *ir;
    ir_ref now[IR_MAX_VARS];    // current value of each variable, 0 if not read yet
    ir_ref to[IR_MAX_INSNS];    // what each old reference became
    ir_ref chain[IR_MAX_INSNS]; // next older instruction with the same hash
    ir_ref head[HASH_SIZE];
    ir_ref free_slot; // a NOP that a new constant can take; 0 if none
};

static bool is_const(struct values *p, ir_ref r, uint64_t bits)
{
    const struct ir_insn *in = &p->ir->insn[r];
    return in->op == IR_CONST && in->imm == bits;
}

static void make_const(struct ir_insn *in, uint64_t bits)
{
    *in = (struct ir_insn){.op = IR_CONST,
                           .type = in->type,
                           .imm = in->type == IR_I32 || in->type == IR_F32 ? (uint32_t)bits : bits};
}

static bool fold_constants(struct values *p, struct ir_insn *in)
{
    uint64_t v[4] = {0}, result;
    enum ir_type types[4] = {0};
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++) {
        const struct ir_insn *arg = &p->ir->insn[in->arg[k]];
        if (arg->op != IR_CONST)
            return false;
        v[k] = arg->imm;
        types[k] = arg->type;
    }
    if (in->op == IR_CONST || !ir_eval(in->op, in->type, in->aux, v, types, &result))
        return false;
    make_const(in, result);
    return true;
}

// Whether the upper half of an i64 is known to repeat bit 31.
static bool is_sext32(const struct ir *ir, ir_ref r)
{
    const struct ir_insn *in = &ir->insn[r];
    switch (in->op) {
    case IR_CONST: return in->imm == (uint64_t)bits_sext(in->imm, 32);
    case IR_SEXT: return true;
    case IR_ZEXT: return in->aux < 32;
    case IR_LD: return (in->aux & MO_SIZE) < MO_32 || ((in->aux & MO_SIZE) == MO_32 && in->aux & MO_SIGN);
    case IR_SETC:
    case IR_FCMP: return true;
    default: return false;
    }
}

// Operand of which `r` is the truncation or extension that keeps the low `bits`, or 0.
static ir_ref low_part(const struct ir *ir, ir_ref r, unsigned bits)
{
    const struct ir_insn *in = &ir->insn[r];
    if ((in->op == IR_SEXT || in->op == IR_ZEXT) && in->aux >= bits)
        return in->arg[0];
    if (in->op == IR_TRUNC)
        return in->arg[0];
    return 0;
}

static ir_ref fold_ext(struct values *p, struct ir_insn *in)
{
    struct ir *ir = p->ir;
    ir_ref a = in->arg[0];
    if (in->op == IR_SEXT && in->aux == 32 && ir_type_of(ir, a) == in->type && is_sext32(ir, a))
        return a;
    ir_ref low = low_part(ir, a, in->op == IR_TRUNC ? 32 : in->aux);
    if (!low)
        return 0;
    if (in->op == IR_TRUNC && ir_type_of(ir, low) == IR_I32)
        return low;
    if (in->op == IR_SEXT && ir_type_of(ir, low) == in->type && in->aux == 32 && is_sext32(ir, low))
        return low;
    in->arg[0] = low;
    return 0;
}

// x op 0, x op x and the like. Returns what the result equals, or 0.
static ir_ref fold_identity(struct values *p, struct ir_insn *in)
{
    ir_ref a = in->arg[0], b = in->arg[1];
    uint64_t ones = in->type == IR_I32 ? UINT32_MAX : UINT64_MAX;
    switch (in->op) {
    case IR_ADD:
    case IR_OR:
    case IR_XOR:
    case IR_SUB:
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR:
    case IR_ANDN:
        if (is_const(p, b, 0))
            return a;
        if (in->op == IR_OR && a == b)
            return a;
        if ((in->op == IR_XOR || in->op == IR_SUB || in->op == IR_ANDN) && a == b)
            make_const(in, 0);
        else if (in->op == IR_XOR && is_const(p, b, ones))
            *in = (struct ir_insn){.op = IR_NOT, .type = in->type, .arg = {a}};
        else if (in->op == IR_SUB && is_const(p, a, 0))
            *in = (struct ir_insn){.op = IR_NEG, .type = in->type, .arg = {b}};
        return 0;
    case IR_AND:
        if (is_const(p, b, ones) || a == b)
            return a;
        if (is_const(p, b, 0))
            return b;
        if (is_const(p, b, 0xff) || is_const(p, b, 0xffff) ||
            (in->type == IR_I64 && is_const(p, b, UINT32_MAX))) {
            unsigned bits = __builtin_popcountll(p->ir->insn[b].imm);
            *in = (struct ir_insn){.op = IR_ZEXT, .type = in->type, .aux = bits, .arg = {a}};
        }
        return 0;
    case IR_MUL:
        if (is_const(p, b, 1))
            return a;
        return 0;
    case IR_SEL:
        return in->arg[2] == in->arg[3] ? in->arg[2] : 0;
    default:
        return 0;
    }
}

static unsigned hash(const struct ir_insn *in)
{
    uint64_t h = in->op * UINT64_C(0x9e3779b97f4a7c15);
    h ^= (uint64_t)in->arg[0] << 32 ^ (uint64_t)in->arg[1] << 16 ^ in->arg[2] ^ in->aux;
    h ^= in->imm;
    h *= UINT64_C(0xff51afd7ed558ccd);
    return (h >> 56) % HASH_SIZE;
}

static bool same(const struct ir_insn *a, const struct ir_insn *b)
{
    return a->op == b->op && a->type == b->type && a->aux == b->aux && a->imm == b->imm &&
           a->x == b->x && !memcmp(a->arg, b->arg, sizeof(a->arg));
}

// An earlier instruction equal to `in`, or 0.
static ir_ref lookup(const struct values *p, const struct ir_insn *in)
{
    for (ir_ref c = p->head[hash(in)]; c; c = p->chain[c])
        if (same(&p->ir->insn[c], in))
            return c;
    return 0;
}

static void enter(struct values *p, ir_ref r)
{
    unsigned h = hash(&p->ir->insn[r]);
    p->chain[r] = p->head[h];
    p->head[h] = r;
}

// A constant that can be used from here on; 0 if there is neither one nor a slot for it.
static ir_ref find_const(struct values *p, enum ir_type type, uint64_t bits)
{
    struct ir_insn in = {.op = IR_CONST, .type = type, .imm = type == IR_I32 ? (uint32_t)bits : bits};
    ir_ref r = lookup(p, &in);
    if (!r && p->free_slot) {
        r = p->free_slot;
        p->free_slot = 0;
        p->ir->insn[r] = in;
        enter(p, r);
    }
    return r;
}

// (x + c1) + c2 and accesses at (x + c) + offset: gather the constants.
static void fold_sums(struct values *p, struct ir_insn *in)
{
    struct ir *ir = p->ir;
    bool sum = in->op == IR_ADD && ir_is_const(ir, in->arg[1]);
    bool access = in->op == IR_LD || in->op == IR_ST || in->op == IR_CHK;
    if (!sum && !access)
        return;
    const struct ir_insn *a = &ir->insn[in->arg[0]];
    if (a->op != IR_ADD || !ir_is_const(ir, a->arg[1]))
        return;
    uint64_t inner = ir->insn[a->arg[1]].imm;
    if (access) {
        uint64_t c = a->type == IR_I32 ? (uint64_t)bits_sext(inner, 32) : inner;
        int64_t offset = (int64_t)(c + in->imm);
        if (offset != (int32_t)offset)
            return;
        in->imm = offset;
        in->arg[0] = a->arg[0];
    } else {
        ir_ref c = find_const(p, in->type, ir->insn[in->arg[1]].imm + inner);
        if (!c)
            return;
        in->arg[1] = c;
        in->arg[0] = a->arg[0];
    }
}

// A condition computed as 0 or 1 and then compared with zero: use it directly.
static void fold_condition(struct values *p, struct ir_insn *in)
{
    if (in->op != IR_BR && in->op != IR_SEL && in->op != IR_SETC)
        return;
    const struct ir_insn *c = &p->ir->insn[in->arg[0]];
    if (c->op != IR_SETC || !is_const(p, in->arg[1], 0) || (in->aux != IR_NE && in->aux != IR_EQ))
        return;
    in->aux = c->aux ^ (in->aux == IR_EQ);
    in->arg[0] = c->arg[0];
    in->arg[1] = c->arg[1];
}

static ir_ref fold_boxes(struct values *p, struct ir_insn *in)
{
    const struct ir_insn *a = &p->ir->insn[in->arg[0]];
    if (in->op == IR_UNBOX && a->op == IR_BOX)
        return a->arg[0];
    if (in->op == IR_FCANON && a->op == IR_FCANON)
        return in->arg[0];
    if (in->op == IR_BITCAST && a->op == IR_BITCAST && p->ir->insn[a->arg[0]].type == in->type)
        return a->arg[0];
    return 0;
}

// Constants go second; the smaller reference first otherwise, so that equal sums look equal.
static void order_operands(struct values *p, struct ir_insn *in)
{
    static const uint8_t exchanged[IR_NR_CONDS] = {IR_EQ, IR_NE, IR_GT,  IR_LE,  IR_GTU,
                                                   IR_LEU, IR_GE, IR_LT, IR_GEU, IR_LTU};
    bool compares = in->op == IR_BR || in->op == IR_SETC || in->op == IR_SEL;
    if (!compares && !(ir_op_info[in->op].flags & OPF_COMM))
        return;
    ir_ref a = in->arg[0], b = in->arg[1];
    bool ca = ir_is_const(p->ir, a), cb = ir_is_const(p->ir, b);
    if ((ca && !cb) || (!compares && ca == cb && a > b)) {
        in->arg[0] = b;
        in->arg[1] = a;
        if (compares)
            in->aux = exchanged[in->aux];
    }
}

// An earlier instruction with the same result, or 0 after entering this one.
static ir_ref find_equal(struct values *p, ir_ref r)
{
    if (!(ir_op_info[p->ir->insn[r].op].flags & OPF_PURE))
        return 0;
    ir_ref equal = lookup(p, &p->ir->insn[r]);
    if (!equal)
        enter(p, r);
    return equal;
}

// The value is known, and what was expected: where a call was inlined, returning from it.
static void fold_guard(struct values *p, struct ir_insn *in)
{
    if (in->op == IR_GUARD && ir_is_const(p->ir, in->arg[0]) && in->arg[0] == in->arg[1])
        *in = (struct ir_insn){.op = IR_NOP};
}

static ir_ref simplify(struct values *p, ir_ref r)
{
    struct ir_insn *in = &p->ir->insn[r];
    fold_sums(p, in);
    order_operands(p, in);
    fold_condition(p, in);
    fold_guard(p, in);
    ir_ref equal = 0;
    if (!fold_constants(p, in)) {
        if (in->op == IR_SEXT || in->op == IR_ZEXT || in->op == IR_TRUNC)
            equal = fold_ext(p, in);
        else if (in->op == IR_UNBOX || in->op == IR_FCANON || in->op == IR_BITCAST)
            equal = fold_boxes(p, in);
        else if (ir_op_info[in->op].flags & OPF_PURE && in->op != IR_CONST)
            equal = fold_identity(p, in);
    }
    return equal ? equal : find_equal(p, r);
}

static void set(struct values *p, struct ir_insn *in)
{
    if (p->now[in->x] == in->arg[0])
        in->op = IR_NOP;
    else
        p->now[in->x] = in->arg[0];
}

static ir_ref get(struct values *p, struct ir_insn *in, ir_ref r)
{
    if (p->now[in->x])
        return p->now[in->x];
    p->now[in->x] = r;
    return 0;
}

static void visit(struct values *p, ir_ref r)
{
    struct ir_insn *in = &p->ir->insn[r];
    for (unsigned k = 0; k < ir_op_info[in->op].nr_args; k++)
        in->arg[k] = p->to[in->arg[k]];
    p->to[r] = r;
    ir_ref equal = 0;
    if (in->op == IR_SET)
        set(p, in);
    else if (in->op == IR_GET)
        equal = get(p, in, r);
    else if (in->op != IR_NOP && in->op != IR_INSN)
        equal = simplify(p, r);
    if (equal) {
        p->to[r] = equal;
        in->op = IR_NOP;
        p->free_slot = r;
    }
}

void ir_pass_values(struct ir *ir)
{
    struct values p;
    p.ir = ir;
    memset(p.now, 0, sizeof(p.now[0]) * ir->nr_vars);
    memset(p.head, 0, sizeof(p.head));
    p.free_slot = 0;
    p.to[0] = 0;
    for (unsigned r = 1; r < ir->nr_insns; r++)
        visit(&p, r);
}
