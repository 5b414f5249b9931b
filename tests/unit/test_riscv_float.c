// SPDX-License-Identifier: MIT
// test: timeout=600
//
// Every floating-point instruction of insns.def, translated and run by the interpreter and by the native back end,
// against the exact reference of tests/float: results with their boxes, and flags. What runs is a loop of guest code over
// many operands, and short pieces with several instructions between two looks at the flags; registers, frm and rounding
// modes differ from piece to piece.
//
// RISCV_FLOAT_CASES in the environment is how many cases (an instruction on given operands in one rounding mode, by one
// executor) each group of instructions gets, RISCV_FLOAT_SEED another start. Then a line a group says what ran.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "cpu/riscv/disas.h"
#include "tests/float/operands.h"
#include "tests/unit/riscv_rig.h"

enum {
    DEFAULT_CASES = 60000,
    LOOP_CASES = 512,
    PIECE_CASES = 6, // operands and results of so many are in registers at a time
    PIECES = 4,      // for each loop
    MAX_CODE = 64,
    DATA = RAM_BASE + 0x10000,
};

enum group {
    ADD_SUB,
    MULTIPLY,
    DIVIDE,
    SQUARE_ROOT,
    FUSED,
    COMPARE,
    MIN_MAX,
    TO_INTEGER,
    FROM_INTEGER,
    CONVERT,
    ROUND,
    SIGN_CLASS_MOVE,
    CONSTANT,
};

static const char *const group_names[] = {
    [ADD_SUB] = "add, sub",
    [MULTIPLY] = "mul",
    [DIVIDE] = "div",
    [SQUARE_ROOT] = "sqrt",
    [FUSED] = "fused",
    [COMPARE] = "compare",
    [MIN_MAX] = "min, max",
    [TO_INTEGER] = "to integer",
    [FROM_INTEGER] = "from integer",
    [CONVERT] = "float to float",
    [ROUND] = "round to integer",
    [SIGN_CLASS_MOVE] = "sign, class, moves",
    [CONSTANT] = "constants",
};

// ---- Instructions: what a name means ----

enum rule {
    ARITHMETIC,
    SIGN_COPY,
    SIGN_NOT,
    SIGN_XOR,
    MOVE_TO_X,
    MOVE_TO_F,
    MOVE_HIGH,
    MOVE_PAIR,
    LOAD_CONSTANT
};

struct insn {
    const struct riscv_opcode *line;
    enum rule rule;
    enum group group;
    struct float_op op; // for other rules: from is the format
    uint8_t negated;    // bits of operands
    bool x_in, x_out;   // operands, result in x registers
    bool rounds;        // has a rounding mode
};

// clang-format off
static const struct stem {
    const char *name;
    enum rule rule;
    enum group group;
    enum float_kind kind;
    uint8_t arity, negated;
} stems[] = {
    {"fadd", ARITHMETIC, ADD_SUB, OP_ADD, 2, 0},
    {"fsub", ARITHMETIC, ADD_SUB, OP_SUB, 2, 0},
    {"fmul", ARITHMETIC, MULTIPLY, OP_MUL, 2, 0},
    {"fdiv", ARITHMETIC, DIVIDE, OP_DIV, 2, 0},
    {"fsqrt", ARITHMETIC, SQUARE_ROOT, OP_SQRT, 1, 0},
    {"fmadd", ARITHMETIC, FUSED, OP_FMA, 3, 0},
    {"fmsub", ARITHMETIC, FUSED, OP_FMA, 3, 4},
    {"fnmsub", ARITHMETIC, FUSED, OP_FMA, 3, 1},
    {"fnmadd", ARITHMETIC, FUSED, OP_FMA, 3, 5},
    {"fle", ARITHMETIC, COMPARE, OP_LE, 2, 0},
    {"flt", ARITHMETIC, COMPARE, OP_LT, 2, 0},
    {"feq", ARITHMETIC, COMPARE, OP_EQ, 2, 0},
    {"fleq", ARITHMETIC, COMPARE, OP_LEQ_Q, 2, 0},
    {"fltq", ARITHMETIC, COMPARE, OP_LTQ, 2, 0},
    {"fmin", ARITHMETIC, MIN_MAX, OP_MIN, 2, 0},
    {"fmax", ARITHMETIC, MIN_MAX, OP_MAX, 2, 0},
    {"fminm", ARITHMETIC, MIN_MAX, OP_MINM, 2, 0},
    {"fmaxm", ARITHMETIC, MIN_MAX, OP_MAXM, 2, 0},
    {"fround", ARITHMETIC, ROUND, OP_ROUND_QUIET, 1, 0},
    {"froundnx", ARITHMETIC, ROUND, OP_ROUND, 1, 0},
    {"fcvt", ARITHMETIC, CONVERT, OP_CONVERT, 1, 0}, // or an integer group
    {"fcvtmod", ARITHMETIC, TO_INTEGER, OP_TO_I32_MOD, 1, 0},
    {"fclass", ARITHMETIC, SIGN_CLASS_MOVE, OP_CLASSIFY, 1, 0},
    {"fsgnj", SIGN_COPY, SIGN_CLASS_MOVE, OP_EQ, 2, 0},
    {"fsgnjn", SIGN_NOT, SIGN_CLASS_MOVE, OP_EQ, 2, 0},
    {"fsgnjx", SIGN_XOR, SIGN_CLASS_MOVE, OP_EQ, 2, 0},
    {"fmv_x", MOVE_TO_X, SIGN_CLASS_MOVE, OP_CLASSIFY, 1, 0},
    {"fmv", MOVE_TO_F, SIGN_CLASS_MOVE, OP_CLASSIFY, 1, 0},
    {"fmvh_x", MOVE_HIGH, SIGN_CLASS_MOVE, OP_CLASSIFY, 1, 0},
    {"fmvp", MOVE_PAIR, SIGN_CLASS_MOVE, OP_CLASSIFY, 2, 0},
    {"fli", LOAD_CONSTANT, CONSTANT, OP_CLASSIFY, 0, 0},
};
// clang-format on

static bool type_of(const char *letter, enum float_type *t)
{
    static const struct {
        const char *name;
        enum float_type type;
    } types[] = {{"h", TYPE_F16},  {"s", TYPE_F32}, {"d", TYPE_F64},  {"w", TYPE_I32},
                 {"wu", TYPE_U32}, {"l", TYPE_I64}, {"lu", TYPE_U64}, {"x", TYPE_I64}};
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (!strcmp(letter, types[i].name)) {
            *t = types[i].type;
            return true;
        }
    }
    return false;
}

static const struct stem *stem_of(char **words)
{
    char *two = words[1] ? g_strdup_printf("%s_%s", words[0], words[1]) : g_strdup("");
    const struct stem *found = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(stems); i++) {
        if (!strcmp(stems[i].name, two)) {
            found = &stems[i];
            break;
        }
        if (!strcmp(stems[i].name, words[0]))
            found = &stems[i];
    }
    g_free(two);
    return found;
}

static enum float_type result_type(const struct stem *s, enum float_type from)
{
    switch (s->group) {
    case COMPARE:
        return TYPE_FLAG;
    case SIGN_CLASS_MOVE:
        return s->rule == ARITHMETIC ? TYPE_FLAG : from;
    default:
        return from;
    }
}

// Names are STEM_FORMAT, fcvt_TO_FROM and so on; fmv_w_x is of format w, which is s.
static struct float_op op_of(const struct stem *s, char **words)
{
    struct float_op op = {s->kind, s->arity, TYPE_F64, TYPE_F64};
    unsigned n = g_strv_length(words);
    const char *format = s->rule == MOVE_TO_F || s->rule == MOVE_PAIR ? words[1] : words[n - 1];
    bool known = type_of(format, &op.from);
    if (s->rule == MOVE_TO_X || s->rule == MOVE_TO_F)
        op.from = op.from == TYPE_I32 ? TYPE_F32 : op.from;
    op.to = result_type(s, op.from);
    if (s->kind == OP_CONVERT || s->kind == OP_TO_I32_MOD)
        known = known && type_of(words[1], &op.to);
    if (s->kind == OP_CONVERT && !float_is_float(op.to))
        op.kind = OP_TO_INTEGER;
    cr_assert(known, "no meaning of %s_%s", words[0], words[1]);
    return op;
}

static struct insn insn_of(const struct riscv_opcode *line)
{
    char **words = g_strsplit(line->name, "_", -1);
    const struct stem *s = stem_of(words);
    cr_assert(s, "this test does not know %s", line->name);
    struct insn i = {.line = line, .rule = s->rule, .group = s->group, .negated = s->negated};
    i.op = op_of(s, words);
    if (s->kind == OP_CONVERT && !float_is_float(i.op.to))
        i.group = TO_INTEGER;
    if (s->kind == OP_CONVERT && !float_is_float(i.op.from))
        i.group = FROM_INTEGER;
    i.x_in = strpbrk(line->operands, "st") != NULL;
    i.x_out = line->operands[0] == 'd';
    i.rounds = line->layout == RV_LAYOUT_RM;
    g_strfreev(words);
    return i;
}

static bool is_computation(const struct riscv_opcode *line)
{
    return line->len == 4 && line->base == line - riscv_opcodes &&
           strpbrk(line->operands, "DSTR") && !strpbrk(line->operands, "o");
}

static GArray *insns_of(enum group g, const struct riscv_cpu *rv)
{
    GArray *a = g_array_new(FALSE, FALSE, sizeof(struct insn));
    for (unsigned id = 0; id < RV_NR_OPS; id++) {
        if (!is_computation(&riscv_opcodes[id]) || !riscv_opcode_enabled(id, rv->ext, rv->xlen))
            continue;
        struct insn i = insn_of(&riscv_opcodes[id]);
        if (i.group == g)
            g_array_append_val(a, i);
    }
    return a;
}

// ---- What it should do ----

static uint64_t box_bits(enum float_type t)
{
    return t == TYPE_F16 ? ~UINT64_C(0xffff) : t == TYPE_F32 ? ~UINT64_C(0xffffffff) : 0;
}

static uint64_t unboxed(enum float_type t, uint64_t v)
{
    uint64_t box = box_bits(t);
    return (v & box) == box ? v & ~box : float_nan(float_formats[t]);
}

static uint64_t from_x(enum float_type t, uint64_t v)
{
    return t == TYPE_I32 ? (uint64_t)(int32_t)v : t == TYPE_U32 ? (uint32_t)v : v;
}

static uint64_t to_x(enum float_type t, uint64_t v)
{
    return t == TYPE_U32 ? (uint64_t)(int32_t)v : v;
}

static uint64_t arithmetic(struct float_reference *r, const struct insn *i, const uint64_t *reg,
                           uint8_t rm, uint8_t *flags)
{
    uint64_t x[3] = {0};
    for (int n = 0; n < i->op.arity; n++) {
        if (!float_is_float(i->op.from)) {
            x[n] = from_x(i->op.from, reg[n]);
            continue;
        }
        x[n] = unboxed(i->op.from, reg[n]);
        if (i->negated >> n & 1)
            x[n] ^= float_pattern(float_formats[i->op.from], true, 0, 0);
    }
    uint64_t v = float_expect(r, &i->op, x, rm, flags);
    return float_is_float(i->op.to) ? v | box_bits(i->op.to) : to_x(i->op.to, v);
}

static uint64_t with_sign(const struct insn *i, const uint64_t *reg)
{
    enum float_type t = i->op.from;
    uint64_t sign = float_pattern(float_formats[t], true, 0, 0);
    uint64_t a = unboxed(t, reg[0]), b = unboxed(t, reg[1]);
    uint64_t s = i->rule == SIGN_COPY ? b : i->rule == SIGN_NOT ? ~b : a ^ b;
    return (a & ~sign) | (s & sign) | box_bits(t);
}

static uint64_t moved_to_x(enum float_type t, uint64_t v)
{
    return t == TYPE_F16 ? (uint64_t)(int16_t)v : t == TYPE_F32 ? (uint64_t)(int32_t)v : v;
}

// Zfa's table. All values but the ends are exact in every format, but for 2^16, which is infinite in half precision.
static uint64_t constant(struct float_reference *r, enum float_type t, unsigned n)
{
    static const double table[32] = {-1.0, 0,      0x1p-16, 0x1p-15, 0x1p-8, 0x1p-7, 0.0625, 0.125,
                                     0.25, 0.3125, 0.375,   0.4375,  0.5,    0.625,  0.75,   0.875,
                                     1.0,  1.25,   1.5,     1.75,    2.0,    2.5,    3.0,    4.0,
                                     8.0,  16.0,   128.0,   256.0,   0x1p15, 0x1p16};
    struct float_format f = float_formats[t];
    uint8_t flags = 0;
    uint64_t v;
    if (n == 1)
        v = float_pattern(f, false, 1, 0);
    else if (n == 30)
        v = float_infinity(f, false);
    else if (n == 31)
        v = float_nan(f);
    else {
        const struct float_op narrow = {OP_CONVERT, 1, TYPE_F64, t};
        memcpy(&v, &table[n], sizeof(v));
        v = float_expect(r, &narrow, &v, FP_RNE, &flags);
    }
    return v | box_bits(t);
}

// The result register's value; adds to *flags.
static uint64_t expected(struct float_reference *r, const struct insn *i, unsigned rs1,
                         const uint64_t *reg, uint8_t rm, uint8_t *flags)
{
    switch (i->rule) {
    case ARITHMETIC:
        return arithmetic(r, i, reg, rm, flags);
    case SIGN_COPY:
    case SIGN_NOT:
    case SIGN_XOR:
        return with_sign(i, reg);
    case MOVE_TO_X:
        return moved_to_x(i->op.from, reg[0]);
    case MOVE_TO_F:
        return reg[0] | box_bits(i->op.from);
    case MOVE_HIGH:
        return reg[0] >> 32;
    case MOVE_PAIR:
        return (uint32_t)reg[0] | reg[1] << 32;
    case LOAD_CONSTANT:
        return constant(r, i->op.from, rs1);
    }
    return 0;
}

// fflags from FP_*.
static uint64_t fflags(uint8_t flags)
{
    return (flags & FP_INEXACT ? 1 : 0) | (flags & FP_UNDERFLOW ? 2 : 0) |
           (flags & FP_OVERFLOW ? 4 : 0) | (flags & FP_DIVZERO ? 8 : 0) |
           (flags & FP_INVALID ? 16 : 0);
}

// ---- Guest code ----

// A case in the guest's memory.
struct record {
    uint64_t x[3], flags_in, result, flags_out;
};

enum { DYNAMIC = 7, POINTER = 10, END = 11, FLAGS_IN = 12, FLAGS_OUT = 13, FIRST_X = 14 };

struct code {
    uint32_t words[MAX_CODE];
    unsigned nr;
};

static void emit(struct code *c, uint32_t word)
{
    cr_assert(c->nr < MAX_CODE);
    c->words[c->nr++] = word;
}

static void emit_load(struct code *c, unsigned xlen, bool x, unsigned reg, unsigned offset)
{
    uint32_t op = x ? xlen == 64 ? 0x3003 : 0x2003 : 0x3007;
    emit(c, offset << 20 | POINTER << 15 | reg << 7 | op);
}

static void emit_store(struct code *c, unsigned xlen, bool x, unsigned reg, unsigned offset)
{
    uint32_t op = x ? xlen == 64 ? 0x3023 : 0x2023 : 0x3027;
    emit(c, (offset >> 5) << 25 | reg << 20 | POINTER << 15 | (offset & 31) << 7 | op);
}

static void emit_set_flags(struct code *c)
{
    emit(c, 0x00101073 | FLAGS_IN << 15); // csrw fflags
}

static void emit_get_flags(struct code *c)
{
    emit(c, 0x00102073 | FLAGS_OUT << 7); // csrr
}

// Registers and rounding mode of one instruction.
struct use {
    const struct insn *i;
    unsigned rd, rs[3], rm;
};

static uint32_t encode(const struct use *u)
{
    uint32_t bits = u->i->line->match | u->rd << 7 | u->rs[0] << 15;
    if (u->i->op.arity > 1)
        bits |= u->rs[1] << 20;
    if (u->i->op.arity > 2)
        bits |= u->rs[2] << 27;
    return u->i->rounds ? bits | u->rm << 12 : bits;
}

#define OFFSET(n, field) ((unsigned)((n) * sizeof(struct record) + offsetof(struct record, field)))

// Loads, the instruction and a look at the flags for each record.
static void make_loop(struct code *c, unsigned xlen, const struct use *u)
{
    c->nr = 0;
    emit_load(c, xlen, true, FLAGS_IN, OFFSET(0, flags_in));
    for (int n = 0; n < u->i->op.arity; n++)
        emit_load(c, xlen, u->i->x_in, u->rs[n], OFFSET(0, x) + 8 * (unsigned)n);
    emit_set_flags(c);
    emit(c, encode(u));
    emit_get_flags(c);
    emit_store(c, xlen, u->i->x_out, u->rd, OFFSET(0, result));
    emit_store(c, xlen, true, FLAGS_OUT, OFFSET(0, flags_out));
    emit(c, sizeof(struct record) << 20 | POINTER << 15 | POINTER << 7 | 0x13); // addi
    uint32_t back = (uint32_t) - (int)(4 * c->nr);
    emit(c, (back >> 12 & 1) << 31 | (back >> 5 & 63) << 25 | END << 20 | POINTER << 15 | 1 << 12 |
                (back >> 1 & 15) << 8 | (back >> 11 & 1) << 7 | 0x63); // bne
}

// All operands, all instructions, one look at the flags, all results.
static void make_piece(struct code *c, unsigned xlen, const struct use *u, unsigned nr)
{
    c->nr = 0;
    emit_load(c, xlen, true, FLAGS_IN, OFFSET(0, flags_in));
    emit_set_flags(c);
    for (unsigned k = 0; k < nr; k++)
        for (int n = 0; n < u[k].i->op.arity; n++)
            emit_load(c, xlen, u[k].i->x_in, u[k].rs[n], OFFSET(k, x) + 8 * (unsigned)n);
    for (unsigned k = 0; k < nr; k++)
        emit(c, encode(&u[k]));
    emit_get_flags(c);
    for (unsigned k = 0; k < nr; k++)
        emit_store(c, xlen, u[k].i->x_out, u[k].rd, OFFSET(k, result));
    emit_store(c, xlen, true, FLAGS_OUT, OFFSET(nr - 1, flags_out));
}

// ---- Running ----

struct bench {
    struct rig g;
    struct float_reference reference;
    uint64_t rng;
    uint64_t cases[2]; // by executor
    uint64_t by_format[3];
    unsigned frm;
    struct record in[LOOP_CASES], out[LOOP_CASES];
};

static unsigned below(struct bench *b, unsigned n)
{
    return (unsigned)(float_random(&b->rng) % n);
}

static void run_code(struct bench *b, struct hart *h, const struct code *c, unsigned nr,
                     unsigned steps)
{
    struct cpu *cpu = &h->rv->cpu;
    uint8_t bytes[4 * MAX_CODE + 4];
    for (unsigned n = 0; n < c->nr; n++)
        store_le(bytes + 4 * n, 4, c->words[n]);
    store_le(bytes + 4 * c->nr, 4, 0x00100073); // ebreak
    cr_assert(mem_write_bytes(h->mem, CODE, bytes, 4 * c->nr + 4) == MEM_OK);
    cr_assert(mem_write_bytes(h->mem, DATA, b->in, nr * sizeof(struct record)) == MEM_OK);
    cpu->pc = CODE;
    cpu->reg[POINTER] = DATA;
    cpu->reg[END] = DATA + nr * sizeof(struct record);
    cpu->halted = false;
    cpu->budget = cpu->slice = 0;
    h->rv->s.priv = PRIV_M;
    h->rv->s.frm = (uint8_t)b->frm;
    h->rv->s.mstatus = MSTATUS_FS;
    h->rv->s.mcause = 0xff;
    riscv_key_update(h->rv);
    hart_run(h, steps + 1);
    cr_assert(h->rv->s.mcause == EXC_BREAKPOINT && h->rv->s.mepc == CODE + 4 * c->nr,
              "%s: cause %u at 0x%" PRIx64, h->name, (unsigned)h->rv->s.mcause, h->rv->s.mepc);
    cr_assert(mem_read_bytes(h->mem, DATA, b->out, nr * sizeof(struct record)) == MEM_OK);
}

static void fail(const struct bench *b, const struct hart *h, const struct use *u,
                 const struct record *in, const char *what, uint64_t got, uint64_t want)
{
    GString *s = g_string_new(NULL);
    riscv_disas_insn(&h->rv->decoder, CODE, encode(u), true, s);
    cr_assert_fail("%s, rv%u, frm %u: %s of %#" PRIx64 " %#" PRIx64 " %#" PRIx64 ": %s is %#" PRIx64
                   ", not %#" PRIx64,
                   h->name, b->g.xlen, b->frm, s->str, in->x[0], in->x[1], in->x[2], what, got,
                   want);
}

// Rounding mode in effect.
static uint8_t mode_of(const struct bench *b, const struct use *u)
{
    if (u->i->op.kind == OP_TO_I32_MOD)
        return FP_RTZ;
    return (uint8_t)(u->rm == DYNAMIC ? b->frm : u->rm);
}

static uint64_t cut(const struct bench *b, const struct use *u, uint64_t v)
{
    return b->g.xlen == 32 && u->i->x_out ? (uint32_t)v : v;
}

static void count(struct bench *b, unsigned hart, const struct use *u, unsigned nr)
{
    b->cases[hart] += nr;
    enum float_type t = float_is_float(u->i->op.from) ? u->i->op.from : u->i->op.to;
    b->by_format[float_is_float(t) ? t : TYPE_F64] += nr;
}

static void check_results(struct bench *b, unsigned hart, const struct use *u,
                          const struct record *want, unsigned nr)
{
    for (unsigned k = 0; k < nr; k++) {
        uint64_t got = cut(b, u, b->out[k].result), right = cut(b, u, want[k].result);
        if (got != right)
            fail(b, &b->g.harts[hart], u, &b->in[k], "the result", got, right);
        if ((b->out[k].flags_out & 0xff) != want[k].flags_out)
            fail(b, &b->g.harts[hart], u, &b->in[k], "fflags", b->out[k].flags_out,
                 want[k].flags_out);
    }
    count(b, hart, u, nr);
}

// ---- Operands ----

// Where two operands share a register, the last that was loaded counts for both.
static void share(const struct use *u, uint64_t *x)
{
    for (int n = u->i->op.arity - 1; n > 0; n--)
        for (int m = 0; m < n; m++)
            if (u->rs[m] == u->rs[n])
                x[m] = x[n];
}

static void choose_operands(struct bench *b, const struct use *u, struct record *rec)
{
    enum float_type t = u->i->op.from;
    *rec = (struct record){.flags_in = below(b, 4) ? 0 : below(b, 32)};
    float_random_operands(&b->rng, &u->i->op, rec->x);
    for (unsigned n = 0; n < 3; n++) {
        if (u->i->x_in) {
            if (u->i->rule != ARITHMETIC || t == TYPE_I32 || t == TYPE_U32)
                rec->x[n] ^= float_random(&b->rng) << 32; // what is above a word does not count
            if (b->g.xlen == 32)
                rec->x[n] = (uint32_t)rec->x[n];
        } else {
            rec->x[n] |= box_bits(t);
            if (below(b, 64) == 0)
                rec->x[n] ^= UINT64_C(1) << below(b, 64); // and if it breaks the box
        }
    }
    share(u, rec->x);
}

static struct use choose_use(struct bench *b, const GArray *insns)
{
    struct use u = {.i = &g_array_index(insns, struct insn, below(b, insns->len))};
    u.rd = u.i->x_out ? FIRST_X + below(b, 32 - FIRST_X) : below(b, 32);
    for (unsigned n = 0; n < 3; n++) {
        u.rs[n] = u.i->x_in ? FIRST_X + below(b, 32 - FIRST_X) : below(b, 32);
        if (n && below(b, 16) == 0)
            u.rs[n] = u.rs[0];
    }
    if (!u.i->x_in && !u.i->x_out && below(b, 8) == 0)
        u.rd = u.rs[below(b, 3)];
    if (u.i->rule == LOAD_CONSTANT)
        u.rs[0] = below(b, 32);
    u.rm = below(b, 4) ? DYNAMIC : below(b, 5);
    return u;
}

// ---- One of each ----

static void run_loop(struct bench *b, const GArray *insns)
{
    static struct record want[LOOP_CASES];
    struct use u = choose_use(b, insns);
    struct code c;
    b->frm = below(b, 5);
    make_loop(&c, b->g.xlen, &u);
    for (unsigned k = 0; k < LOOP_CASES; k++) {
        uint8_t flags = 0;
        choose_operands(b, &u, &b->in[k]);
        want[k].result =
            expected(&b->reference, &u.i[0], u.rs[0], b->in[k].x, mode_of(b, &u), &flags);
        want[k].flags_out = b->in[k].flags_in | fflags(flags);
    }
    for (unsigned h = 0; h < b->g.nr_harts; h++) {
        run_code(b, &b->g.harts[h], &c, LOOP_CASES, LOOP_CASES * c.nr);
        check_results(b, h, &u, want, LOOP_CASES);
    }
}

// Registers of its own for each operand and result of a piece.
static void spread(struct use *u, unsigned nr)
{
    unsigned x = FIRST_X, f = 0;
    for (unsigned k = 0; k < nr; k++) {
        for (int n = 0; n < u[k].i->op.arity; n++)
            u[k].rs[n] = u[k].i->x_in ? x++ : f++;
        u[k].rd = u[k].i->x_out ? x++ : f++;
    }
    cr_assert(x <= 32 && f <= 32);
}

static void run_piece(struct bench *b, const GArray *insns)
{
    struct use u[PIECE_CASES];
    uint64_t want[PIECE_CASES], want_flags;
    struct code c;
    uint8_t flags = 0;
    b->frm = below(b, 5);
    for (unsigned k = 0; k < PIECE_CASES; k++)
        u[k] = choose_use(b, insns);
    spread(u, PIECE_CASES);
    make_piece(&c, b->g.xlen, u, PIECE_CASES);
    for (unsigned k = 0; k < PIECE_CASES; k++) {
        choose_operands(b, &u[k], &b->in[k]);
        want[k] =
            expected(&b->reference, u[k].i, u[k].rs[0], b->in[k].x, mode_of(b, &u[k]), &flags);
    }
    want_flags = b->in[0].flags_in | fflags(flags);
    for (unsigned h = 0; h < b->g.nr_harts; h++) {
        const struct hart *hart = &b->g.harts[h];
        run_code(b, &b->g.harts[h], &c, PIECE_CASES, c.nr);
        for (unsigned k = 0; k < PIECE_CASES; k++) {
            if (cut(b, &u[k], b->out[k].result) != cut(b, &u[k], want[k]))
                fail(b, hart, &u[k], &b->in[k], "the result", b->out[k].result, want[k]);
            count(b, h, &u[k], 1);
        }
        if ((b->out[PIECE_CASES - 1].flags_out & 0xff) != want_flags)
            fail(b, hart, &u[0], &b->in[0], "fflags of a piece", b->out[PIECE_CASES - 1].flags_out,
                 want_flags);
    }
}

// ---- Groups ----

static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static void run_width(enum group g, unsigned xlen, uint64_t cases, uint64_t *total,
                      uint64_t *by_format)
{
    struct bench *b = g_new0(struct bench, 1);
    rig_init(&b->g, "max", xlen);
    float_reference_init(&b->reference);
    b->rng = environment("RISCV_FLOAT_SEED", 1) * 1000 + g * 2 + xlen / 64;
    GArray *insns = insns_of(g, b->g.harts[0].rv);
    cr_assert(insns->len, "rv%u has none of these: %s", xlen, group_names[g]);
    while (b->cases[0] < cases) {
        run_loop(b, insns);
        for (unsigned n = 0; n < PIECES; n++)
            run_piece(b, insns);
    }
    for (unsigned h = 0; h < b->g.nr_harts; h++)
        total[h] += b->cases[h];
    for (unsigned t = 0; t < 3; t++)
        by_format[t] += b->by_format[t];
    g_array_free(insns, TRUE);
    float_reference_clear(&b->reference);
    rig_free(&b->g);
    g_free(b);
}

// Three of four cases are RV64's.
static void run_group(enum group g)
{
    uint64_t cases = environment("RISCV_FLOAT_CASES", DEFAULT_CASES), total[2] = {0},
             by_format[3] = {0};
    run_width(g, 64, cases - cases / 4, total, by_format);
    run_width(g, 32, cases / 4, total, by_format);
    if (getenv("RISCV_FLOAT_CASES"))
        printf("%-20s %" PRIu64 " cases by the interpreter, %" PRIu64
               " by the native back end; of half, single, double: %" PRIu64 ", %" PRIu64
               ", %" PRIu64 "; none wrong\n",
               group_names[g], total[0], total[1], by_format[0], by_format[1], by_format[2]);
}

// No line is left out: each belongs to a group.
Test(riscv_float, all_instructions_are_known)
{
    unsigned nr = 0;
    for (unsigned id = 0; id < RV_NR_OPS; id++) {
        if (!is_computation(&riscv_opcodes[id]))
            continue;
        insn_of(&riscv_opcodes[id]);
        nr++;
    }
    cr_assert_gt(nr, 100);
}

#define GROUP(name, g)      \
    Test(riscv_float, name) \
    {                       \
        run_group(g);       \
    }

GROUP(add_sub, ADD_SUB)
GROUP(multiply, MULTIPLY)
GROUP(divide, DIVIDE)
GROUP(square_root, SQUARE_ROOT)
GROUP(fused, FUSED)
GROUP(compare, COMPARE)
GROUP(min_max, MIN_MAX)
GROUP(to_integer, TO_INTEGER)
GROUP(from_integer, FROM_INTEGER)
GROUP(convert, CONVERT)
GROUP(round, ROUND)
GROUP(sign_class_move, SIGN_CLASS_MOVE)
GROUP(constant, CONSTANT)
