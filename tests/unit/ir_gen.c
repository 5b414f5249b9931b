// SPDX-License-Identifier: MIT
// See ir_gen.h.
#include "tests/unit/ir_gen.h"

#include <assert.h>

// Room for one more guest instruction, and for the end.
#define ROOM 160

void gen_start(struct gen *g, struct ir *ir, bool wide, uint64_t seed)
{
    *g = (struct gen){.ir = ir, .seed = side_hash(seed), .wide = wide};
}

uint64_t gen_random(struct gen *g)
{
    g->seed += UINT64_C(0x9e3779b97f4a7c15);
    return side_hash(g->seed);
}

unsigned gen_below(struct gen *g, unsigned n)
{
    return gen_random(g) % n;
}

bool gen_chance(struct gen *g, unsigned one_in)
{
    return gen_below(g, one_in) == 0;
}

// --- Numbers ---

static uint64_t integer(struct gen *g)
{
    uint64_t v = gen_random(g);
    switch (gen_below(g, 8)) {
    case 0:
        return gen_below(g, 3) - UINT64_C(1);
    case 1:
        return BIT(v % 64);
    case 2:
        return BIT(v % 64) - 1;
    case 3:
        return -BIT(v % 64);
    case 4:
        return BIT(31) - 2 + v % 4;
    case 5:
        return (uint64_t)bits_sext(v, 1 + (v >> 56) % 32);
    case 6:
        return v >> v % 64;
    default:
        return v;
    }
}

static uint64_t f64_bits(struct gen *g)
{
    static const uint64_t special[] = {
        0,
        0x3ff0000000000000,
        0x3fe0000000000000,
        0x3ff8000000000000,
        0x4000000000000000,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x7fefffffffffffff,
        0x7ff0000000000000,
        0x7ff8000000000000,
        0x7ff0000000000001,
        0x7ff8000000001234,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x41efffffffe00000,
        0x43e0000000000000,
        0x43dfffffffffffff,
        0x43f0000000000000,
        0x43efffffffffffff,
        0x4330000000000001,
        0x36a0000000000000,
        0x380fffffe0000000,
        0x47efffffe0000000,
        0x47efffffefffffff,
        0x47effffff0000000,
        0x40045af1d78b58c4,
        0x3fefffffffffffff,
    };
    uint64_t v = gen_random(g), sign = v & BIT(63);
    switch (gen_below(g, 6)) {
    case 0:
    case 1:
        return special[v % G_N_ELEMENTS(special)] | sign;
    case 2:
        return v; // any
    case 3:
        return sign | (UINT64_C(1023) + v % 128 - 64) << 52 | (v & MASK(51, 40)); // few digits
    case 4:
        return sign | (UINT64_C(1023) + v % 4) << 52 | (v & MASK(51, 0));
    default:
        return MASK(63, 32) | (uint32_t)v; // a boxed single
    }
}

static uint64_t f32_bits(struct gen *g)
{
    static const uint32_t special[] = {
        0,          0x3f800000, 0x3f000000, 0x3fc00000, 0x40000000, 1,
        0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001,
        0x7fc01234, 0x4effffff, 0x4f000000, 0x4f7fffff, 0x4f800000, 0x5effffff,
        0x5f000000, 0x5f800000, 0x4b000001, 0x3f7fffff,
    };
    uint32_t v = gen_random(g), sign = v & BIT(31);
    switch (gen_below(g, 5)) {
    case 0:
    case 1:
        return special[v % G_N_ELEMENTS(special)] | sign;
    case 2:
        return v;
    case 3:
        return sign | (127 + v % 64 - 32) << 23 | (v & MASK(22, 16));
    default:
        return sign | (127 + v % 4) << 23 | (v & MASK(22, 0));
    }
}

uint64_t gen_bits(struct gen *g, enum ir_type type)
{
    switch (type) {
    case IR_F32:
        return f32_bits(g);
    case IR_F64:
        return f64_bits(g);
    case IR_I32:
        return (uint32_t)integer(g);
    default:
        return integer(g);
    }
}

// --- Values ---

static enum ir_type word(const struct gen *g)
{
    return g->wide ? IR_I64 : IR_I32;
}

static ir_ref made(struct gen *g, ir_ref r)
{
    enum ir_type t = ir_type_of(g->ir, r);
    g->pool[t][g->nr[t]++] = r;
    return r;
}

// A variable of a type, not one that holds an address.
static unsigned variable(struct gen *g, enum ir_type type)
{
    for (;;) {
        unsigned var = gen_below(g, SIDE_NR_VARS);
        bool address = var >= SIDE_A && var < SIDE_A + SIDE_NR_A;
        if (g->ir->vars[var].type == type && !address)
            return var;
    }
}

// One to be set.
static unsigned target(struct gen *g, enum ir_type type)
{
    static const struct {
        uint8_t first, nr;
    } few[IR_NR_TYPES] = {[IR_I32] = {SIDE_W, 3},
                          [IR_I64] = {SIDE_L, 3},
                          [IR_F32] = {SIDE_S, 3},
                          [IR_F64] = {SIDE_D, 5}};
    return g->few ? few[type].first + gen_below(g, few[type].nr) : variable(g, type);
}

ir_ref gen_pick(struct gen *g, enum ir_type type)
{
    unsigned n = g->nr[type], how = gen_below(g, 16);
    if (how < 2)
        return ir_const(g->ir, type, gen_bits(g, type));
    if (how < 5 || !n)
        return ir_get(g->ir, variable(g, type));
    if (how < 10)
        return g->pool[type][n - 1 - gen_below(g, MIN(n, 6))];
    return g->pool[type][gen_below(g, n)];
}

static ir_ref canonical(struct gen *g, ir_ref r)
{
    return g->raw[r] ? ir_un(g->ir, IR_FCANON, r) : r;
}

ir_ref gen_clean(struct gen *g, enum ir_type type)
{
    return canonical(g, gen_pick(g, type));
}

static enum ir_type any_integer(struct gen *g)
{
    return gen_chance(g, 2) ? IR_I32 : IR_I64;
}

static enum ir_type any_float(struct gen *g)
{
    return gen_chance(g, 3) ? IR_F32 : IR_F64;
}

static enum ir_type any_type(struct gen *g)
{
    return gen_chance(g, 3) ? any_float(g) : any_integer(g);
}

// --- Operations by signature ---

bool gen_knows(enum ir_opcode op)
{
    return (op >= IR_ADD && op <= IR_SEL) ||
           (op >= IR_BITCAST && op <= IR_FROUND && op != IR_FCANON);
}

static enum ir_type type_for(struct gen *g, char c, enum ir_type same, enum ir_type same_j)
{
    switch (c) {
    case 'i':
    case 'f':
        return same;
    case 'J':
        return same_j;
    case 'I':
        return any_integer(g);
    case 'F':
        return any_float(g);
    case 'w':
        return IR_I32;
    case 'd':
        return IR_I64;
    case 's':
        return IR_F32;
    case 'D':
        return IR_F64;
    default:
        return any_type(g);
    }
}

enum ir_type gen_types(struct gen *g, enum ir_opcode op, enum ir_type arg[4])
{
    const char *sig = ir_op_info[op].sig;
    enum ir_type same = strchr(sig, 'f') ? any_float(g) : any_integer(g), same_j = any_integer(g);
    enum ir_type type = type_for(g, sig[0], same, same_j);
    for (unsigned k = 0; k < ir_op_info[op].nr_args; k++)
        arg[k] = type_for(g, sig[1 + k], same, same_j);
    if (op == IR_FCMP)
        arg[1] = arg[0];
    if (op == IR_FCVT)
        arg[0] = type == IR_F32 ? IR_F64 : IR_F32;
    if (op == IR_BITCAST) {
        static const enum ir_type other[IR_NR_TYPES] = {
            [IR_I32] = IR_F32, [IR_I64] = IR_F64, [IR_F32] = IR_I32, [IR_F64] = IR_I64};
        arg[0] = other[type];
    }
    return type;
}

static unsigned any_aux(struct gen *g, enum ir_opcode op)
{
    switch (op) {
    case IR_SETC:
    case IR_SEL:
        return gen_below(g, IR_NR_CONDS);
    case IR_SEXT:
    case IR_ZEXT:
        return 8u << gen_below(g, 3);
    case IR_FCMP:
        return gen_below(g, IR_NR_FCONDS);
    case IR_FMA:
        return gen_below(g, 4);
    case IR_ITOF:
    case IR_FTOI:
        return gen_chance(g, 2) ? IR_UNSIGNED : 0;
    case IR_FROUND:
        return gen_chance(g, 2) ? IR_INEXACT : 0;
    default:
        return 0;
    }
}

static bool looks_at_bits(enum ir_opcode op)
{
    return op == IR_BITCAST || op == IR_BOX || op == IR_UNBOX;
}

static bool may_make_nan(enum ir_opcode op)
{
    return ir_op_info[op].flags & OPF_FLOAT && ir_op_info[op].sig[0] == 'f' && op != IR_ITOF;
}

ir_ref gen_apply(struct gen *g, enum ir_opcode op, enum ir_type type, const ir_ref arg[4])
{
    struct ir *ir = g->ir;
    ir_ref a[4] = {0};
    for (unsigned k = 0; k < ir_op_info[op].nr_args; k++)
        a[k] = looks_at_bits(op) ? canonical(g, arg[k]) : arg[k];
    ir_ref r = ir_add(ir, op, type, any_aux(g, op), a[0], a[1]);
    ir->insn[r].arg[2] = a[2];
    ir->insn[r].arg[3] = a[3];
    if (ir_op_info[op].flags & OPF_FLOAT) {
        ir->insn[r].x = gen_chance(g, 8) ? gen_below(g, FP_RMM + 1) : ir->rm;
        if (op == IR_FTOI && gen_chance(g, 2))
            ir->insn[r].x = FP_RTZ;
        if (op == IR_FCMP)
            ir->insn[r].x = 0;
    }
    g->raw[r] = may_make_nan(op);
    return r;
}

static void plain_op(struct gen *g)
{
    enum ir_opcode op;
    do {
        op = IR_ADD + gen_below(g, IR_FROUND + 1 - IR_ADD);
    } while (!gen_knows(op));
    enum ir_type types[4];
    enum ir_type type = gen_types(g, op, types);
    ir_ref arg[4] = {0};
    for (unsigned k = 0; k < ir_op_info[op].nr_args; k++) {
        arg[k] = gen_pick(g, types[k]);
        if (k && types[k] == types[k - 1] && gen_chance(g, 12))
            arg[k] = arg[k - 1];
    }
    made(g, gen_apply(g, op, type, arg));
}

// --- Memory ---

static ir_ref address(struct gen *g)
{
    struct ir *ir = g->ir;
    ir_ref a = ir_get(ir, SIDE_A + gen_below(g, SIDE_NR_A));
    if (gen_chance(g, 4))
        a = ir_bini(ir, IR_ADD, a, (int)gen_below(g, 64) - 32);
    if (!gen_chance(g, 8))
        return a;
    // Somewhere in RAM, or in what comes behind if the guest is not a calm one.
    ir_ref at = ir_bini(ir, IR_AND, gen_pick(g, word(g)), g->calm ? 0x7ff8 : 0x1ffff);
    return ir_bini(ir, IR_ADD, at, (int64_t)SIDE_BASE);
}

static int64_t offset(struct gen *g)
{
    int64_t at = (int)gen_below(g, 512) - 256;
    return gen_chance(g, 8) ? at : gen_chance(g, 2) ? at & ~7 : (at / 8) & ~7;
}

static unsigned memop(struct gen *g, enum ir_type type, bool load)
{
    unsigned op = ir_type_bytes(type) == 4 ? MO_32 : MO_64;
    if (!ir_type_is_float(type)) {
        op = gen_below(g, op + 1);
        if (load && gen_chance(g, 2))
            op |= MO_SIGN;
    }
    if (load && gen_chance(g, 8))
        op |= MO_RMW;
    if (gen_chance(g, g->calm ? 64 : 8))
        op |= MO_ALIGN;
    if (gen_chance(g, 12))
        op |= MO_BSWAP;
    return op;
}

static void load_op(struct gen *g)
{
    enum ir_type type = any_type(g);
    ir_ref base = address(g);
    made(g, ir_ld(g->ir, type, memop(g, type, true), base, offset(g)));
}

static void store_op(struct gen *g)
{
    ir_ref v = gen_clean(g, any_type(g)), base = address(g);
    ir_st(g->ir, memop(g, ir_type_of(g->ir, v), false), base, offset(g), v);
}

// Several off one base, which may share a check.
static void accesses(struct gen *g)
{
    ir_ref base = address(g);
    for (unsigned n = 2 + gen_below(g, 4); n > 0; n--) {
        enum ir_type type = any_type(g);
        int64_t at = offset(g) / 8 * 4;
        if (gen_chance(g, 2))
            made(g, ir_ld(g->ir, type, memop(g, type, true), base, at));
        else
            ir_st(g->ir, memop(g, type, false), base, at, gen_clean(g, type));
    }
}

// --- Calls ---

static void call_op(struct gen *g, bool may_fault)
{
    unsigned which = SIDE_CALL_FLUSH + gen_below(g, side_nr_calls - SIDE_CALL_FLUSH);
    const struct ir_call *c = &side_calls[which];
    bool bad = c->flags & CALL_FAULT && !may_fault;
    if (bad || g->ir->nr_calls + 8 > IR_MAX_CALLS)
        return;
    ir_ref arg[4] = {0};
    for (unsigned k = 0; k < 4; k++)
        if (!gen_chance(g, 4))
            arg[k] = gen_clean(g, any_type(g));
    if (c->flags & CALL_FAULT && g->calm)
        arg[0] = address(g);
    enum ir_type type = any_type(g);
    if (!(c->flags & CALL_PURE) && gen_chance(g, 4))
        type = IR_VOID;
    ir_ref r = ir_call(g->ir, c->fn, c->name, c->flags, type, arg[0], arg[1], arg[2], arg[3]);
    if (!arg[3] && gen_chance(g, 2))
        g->ir->insn[r].imm = gen_bits(g, IR_I64);
    if (type != IR_VOID)
        made(g, r);
}

// What lifted code is full of, and the passes look for.
static void idiom(struct gen *g)
{
    struct ir *ir = g->ir;
    enum ir_type t = any_integer(g), other = any_integer(g);
    ir_ref a = gen_pick(g, t), r;
    switch (gen_below(g, 5)) {
    case 0:
        r = ir_setc(ir, other, gen_below(g, IR_NR_CONDS), a, gen_pick(g, t));
        r = ir_setc(ir, t, gen_chance(g, 2) ? IR_EQ : IR_NE, r, ir_const(ir, other, 0));
        break;
    case 1:
        r = ir_setc(ir, other, gen_below(g, IR_NR_CONDS), a, gen_pick(g, t));
        r = ir_sel(ir, gen_below(g, 3), ir_const(ir, other, gen_below(g, 2)), r, a, gen_pick(g, t));
        break;
    case 2:
        r = ir_bini(ir, IR_ADD, a, (int64_t)gen_bits(g, t));
        r = ir_bini(ir, IR_ADD, r, (int64_t)gen_bits(g, t));
        break;
    case 3:
        r = a;
        for (unsigned n = 2 + gen_below(g, 3); n > 0; n--) {
            enum ir_type to = any_integer(g);
            r = ir_add(ir, gen_chance(g, 2) ? IR_SEXT : IR_ZEXT, to, 8u << gen_below(g, 3), r, 0);
            if (to == IR_I64 && gen_chance(g, 2))
                r = ir_trunc(ir, r);
        }
        break;
    default:
        r = ir_add(ir, IR_BOX, IR_F64, 0, gen_clean(g, IR_F32), 0);
        made(g, r);
        r = ir_add(ir, IR_UNBOX, IR_F32, 0, gen_chance(g, 2) ? r : gen_clean(g, IR_F64), 0);
    }
    made(g, r);
}

void gen_op(struct gen *g, unsigned allow)
{
    bool may_fault = allow & GEN_FAULT, effect = allow & GEN_EFFECT;
    unsigned how = gen_below(g, 32);
    if (how >= 30 && effect)
        call_op(g, may_fault);
    else if (how >= 28 && effect && may_fault)
        accesses(g);
    else if (how >= 24 && effect && may_fault)
        store_op(g);
    else if (how >= 20 && may_fault)
        load_op(g);
    else if (how >= 17)
        idiom(g);
    else
        plain_op(g);
}

// --- Guest instructions ---

static void set_one(struct gen *g)
{
    enum ir_type type = any_type(g);
    ir_ref v = gen_clean(g, type);
    ir_set(g->ir, target(g, type), v);
}

// An address variable keeps to good addresses.
static void set_address(struct gen *g)
{
    ir_ref v = address(g);
    ir_set(g->ir, SIDE_A + gen_below(g, g->few ? 2 : SIDE_NR_A), v);
}

static void swap(struct gen *g)
{
    enum ir_type type = any_type(g);
    unsigned a = target(g, type), b = target(g, type);
    ir_ref va = ir_get(g->ir, a), vb = ir_get(g->ir, b);
    ir_set(g->ir, a, vb);
    ir_set(g->ir, b, va);
}

static void sets(struct gen *g)
{
    for (unsigned n = gen_below(g, 4); n > 0; n--) {
        unsigned how = gen_below(g, 12);
        if (how == 0)
            swap(g);
        else if (how == 1)
            set_address(g);
        else if (how == 2)
            gen_op(g, GEN_EFFECT);
        else
            set_one(g);
    }
}

static void branch(struct gen *g)
{
    enum ir_type type = any_integer(g);
    enum ir_cond cond = gen_below(g, IR_NR_CONDS);
    if (gen_chance(g, 5)) { // one that holds for one value in two, and folds now and then
        ir_ref bit = ir_bini(g->ir, IR_AND, gen_pick(g, word(g)), 1);
        ir_guard(g->ir, gen_below(g, 3), bit, gen_below(g, 2));
        return;
    }
    ir_ref a = gen_pick(g, type), b = gen_pick(g, type);
    if (g->calm && gen_below(g, 8)) {
        cond = IR_EQ;
        b = ir_const(g->ir, type, gen_random(g));
    }
    ir_br(g->ir, cond, a, b, SIDE_BASE + 0x4000 + (gen_random(g) & 0x3ffe));
}

void gen_body(struct gen *g, unsigned ops)
{
    for (; ops > 0; ops--)
        gen_op(g, GEN_FAULT);
    switch (gen_below(g, 8)) {
    case 0:
    case 1:
        store_op(g);
        break;
    case 2:
        call_op(g, true);
        break;
    default:
        break;
    }
    sets(g);
}

// Uses what was made, all of it together.
static void gather(struct gen *g)
{
    struct ir *ir = g->ir;
    for (unsigned t = IR_I32; t <= IR_F64; t++) {
        bool is_float = ir_type_is_float(t);
        ir_ref sum = gen_clean(g, t);
        for (unsigned n = MIN(g->nr[t], 30); n > 0; n--) {
            ir_ref v = canonical(g, g->pool[t][gen_below(g, g->nr[t])]);
            if (!is_float) {
                sum = ir_bin(ir, IR_XOR, sum, v);
            } else {
                sum = ir_fbin(ir, IR_FADD, ir->rm, sum, v);
                g->raw[sum] = true;
            }
        }
        ir_set(ir, target(g, t), canonical(g, sum));
    }
}

static void end(struct gen *g)
{
    struct ir *ir = g->ir;
    unsigned how = gen_below(g, 16);
    ir_guest(ir, ir->end_pc, 4);
    if (how == 0) {
        ir_raise(ir, gen_below(g, 64), gen_pick(g, any_integer(g)));
        return;
    }
    gather(g);
    sets(g);
    if ((g->few && how < 12) || how == 15)
        ir_exit(ir, ir->pc); // a loop
    else if (how < 3)
        ir_leave(ir, gen_below(g, 4), ir->end_pc);
    else if (how < 8)
        ir_jmp(ir, gen_below(g, 3), gen_pick(g, word(g)));
    else
        ir_exit(ir, ir->end_pc);
}

static bool has_room(const struct ir *ir)
{
    return ir->nr_insns + 2 * ROOM < IR_MAX_INSNS && ir->nr_exits + 4 < IR_MAX_EXITS &&
           ir->nr_guest + 1 < IR_MAX_GUEST_INSNS;
}

void gen_unit(struct gen *g, unsigned insns)
{
    struct ir *ir = g->ir;
    uint64_t last = side_hash(g->seed); // the end has numbers of its own
    ir->pc = ir->end_pc = SIDE_BASE;
    ir->regime = gen_below(g, 2);
    ir->rm = gen_chance(g, 2) ? FP_RNE : gen_below(g, FP_RMM + 1);
    ir->align_all = gen_chance(g, 12);
    g->calm = !gen_chance(g, 4);
    g->few = gen_chance(g, 3);
    unsigned length = 1 + gen_below(g, gen_chance(g, 2) ? 12 : 4); // many values are made, or few
    for (; insns > 0 && has_room(ir); insns--) {
        ir_guest(ir, ir->end_pc, 2 + 2 * gen_below(g, 2));
        unsigned before = ir->nr_insns;
        for (unsigned n = 1 + gen_below(g, length); n > 0 && ir->nr_insns < before + ROOM / 2; n--)
            gen_op(g, GEN_FAULT | GEN_EFFECT);
        if (gen_chance(g, 16))
            branch(g);
        sets(g);
        if (gen_chance(g, 8))
            branch(g);
    }
    g->seed = last;
    end(g);
}

static uint64_t good_address(struct gen *g)
{
    unsigned how = gen_below(g, 40), in_page = gen_below(g, PAGE_SIZE - 512) + 256;
    uint64_t page = gen_below(g, SIDE_RO);
    if (gen_chance(g, 2))
        in_page &= ~7u;
    if (gen_chance(g, 12))
        in_page = PAGE_SIZE - 8 + gen_below(g, 16);
    switch (how) {
    case 0:
        return SIDE_BASE + SIDE_RO * PAGE_SIZE + in_page;
    case 1:
        return SIDE_BASE + SIDE_HOLE * PAGE_SIZE + in_page;
    case 2:
        return SIDE_BASE + SIDE_VARYING * PAGE_SIZE + in_page;
    case 3:
        return SIDE_ROM + in_page;
    case 4:
        return SIDE_NOTHING + in_page;
    case 5:
        return SIDE_IO + in_page;
    case 6:
        return gen_below(g, 64) - 32; // around zero
    case 7:
        return gen_random(g);
    case 8:
        return SIDE_WINDOW + in_page;
    case 9:
    case 10:
        if (g->wide)
            return SIDE_ALIAS + page * PAGE_SIZE + in_page;
        // fall through
    default:
        return SIDE_BASE + page * PAGE_SIZE + in_page;
    }
}

void gen_state(struct gen *g, struct side_state *st)
{
    *st = (struct side_state){.pc = SIDE_BASE};
    const struct ir_var *vars = side_vars(g->wide);
    for (unsigned i = 0; i < CPU_NR_REGS; i++)
        st->reg[i] = gen_random(g);
    for (unsigned i = 0; i < SIDE_NR_VARS; i++) {
        uint64_t v = gen_bits(g, vars[i].type);
        bool is_address = i >= SIDE_A && i < SIDE_A + SIDE_NR_A;
        if (i < SIDE_L)
            st->reg[i] = is_address ? good_address(g) : v;
        else if (i < SIDE_W)
            st->reg[i] = v;
        else if (i < SIDE_D)
            st->narrow[i - SIDE_W] = v;
        else if (i < SIDE_S)
            st->reg[32 + i - SIDE_D] = v;
        else if (i < SIDE_FAR)
            st->narrow[4 + i - SIDE_S] = v;
        else
            st->far[i - SIDE_FAR] = v;
    }
    st->fp_flags = gen_chance(g, 2) ? 0 : gen_below(g, 64) & 0x3d;
    st->log = gen_random(g);
    st->bank = gen_below(g, 4);
    st->steps = gen_below(g, 1000000);
    st->retired = gen_below(g, 1000000);
}
