// SPDX-License-Identifier: MIT
// Reads the text form of IR that ir_text.c writes, for tests.
//
// What the text leaves out follows from it: numbers of exits and calls, the `at` of exits (each its
// own instruction), the bounds of the unit, and where a NOP was. Nothing but the form is checked
// here, so that the verifier can be given units that break its rules.
#include "base/log.h"
#include "translator/ir.h"

struct parser {
    struct ir *ir;
    const struct ir_call *calls;
    unsigned nr_calls;
    const char *p;     // what is left of the line
    const char *wrong; // the first thing that was, NULL so far
    struct ir_insn in; // the instruction being read
};

// ---- Scanning. After the first error nothing more is read. ----

static void fail(struct parser *s, const char *what)
{
    if (!s->wrong)
        s->wrong = what;
}

static void skip_blanks(struct parser *s)
{
    while (*s->p == ' ')
        s->p++;
}

static bool eat(struct parser *s, const char *token)
{
    skip_blanks(s);
    if (s->wrong || !g_str_has_prefix(s->p, token))
        return false;
    s->p += strlen(token);
    return true;
}

static void expect(struct parser *s, const char *token, const char *otherwise)
{
    if (!eat(s, token))
        fail(s, otherwise);
}

static uint64_t number(struct parser *s)
{
    skip_blanks(s);
    char *end;
    uint64_t v = g_ascii_strtoull(s->p, &end, 0);
    if (end == s->p)
        fail(s, "a number is expected");
    s->p = end;
    return v;
}

static uint64_t signed_number(struct parser *s)
{
    skip_blanks(s);
    char *end;
    int64_t v = g_ascii_strtoll(s->p, &end, 10);
    if (end == s->p)
        fail(s, "an offset is expected");
    s->p = end;
    return v;
}

static ir_ref reference(struct parser *s)
{
    expect(s, "%", "an operand is expected");
    uint64_t r = number(s);
    if (r >= IR_MAX_INSNS)
        fail(s, "a reference is too large");
    return r;
}

// Eats a word if it is `name`.
static bool eat_word(struct parser *s, const char *name)
{
    skip_blanks(s);
    size_t len = strcspn(s->p, " ,.");
    if (s->wrong || strlen(name) != len || strncmp(name, s->p, len))
        return false;
    s->p += len;
    return true;
}

// Eats a word that is one of `names` and returns its index.
static unsigned one_of(struct parser *s, const char *const *names, size_t nr, const char *otherwise)
{
    for (unsigned i = 0; i < nr; i++)
        if (eat_word(s, names[i]))
            return i;
    fail(s, otherwise);
    return 0;
}

// ---- Parts of an instruction ----

static enum ir_opcode opcode(struct parser *s)
{
    for (unsigned i = 0; i < IR_NR_OPS; i++)
        if (eat_word(s, ir_op_info[i].name))
            return i;
    fail(s, "no such operation");
    return IR_NOP;
}

static unsigned variable(struct parser *s)
{
    for (unsigned i = 0; i < s->ir->nr_vars; i++)
        if (eat_word(s, s->ir->vars[i].name))
            return i;
    fail(s, "no such variable");
    return 0;
}

static void call(struct parser *s)
{
    struct ir *ir = s->ir;
    unsigned i = 0;
    while (i < s->nr_calls && !eat_word(s, s->calls[i].name))
        i++;
    if (i == s->nr_calls) {
        fail(s, "no such function");
    } else if (ir->nr_calls == IR_MAX_CALLS) {
        fail(s, "too many calls");
    } else {
        ir->call[ir->nr_calls] = s->calls[i];
        s->in.x = ir->nr_calls++;
    }
}

// Letters behind a size or on their own, each of which sets a bit.
static unsigned letters(struct parser *s, const char *known, const uint8_t *bits)
{
    unsigned set = 0;
    for (const char *c; *s->p && (c = strchr(known, *s->p)); s->p++)
        set |= bits[c - known];
    return set;
}

static unsigned memop(struct parser *s)
{
    static const uint8_t bits[] = {MO_SIGN, MO_RMW, MO_ALIGN, MO_BSWAP};
    uint64_t size = number(s);
    if (size < 8 || size > 64 || !is_pow2(size)) {
        fail(s, "an access is of 8, 16, 32 or 64 bits");
        return 0;
    }
    return __builtin_ctzll(size / 8) | letters(s, "swab", bits);
}

static unsigned check_flags(struct parser *s)
{
    static const uint8_t bits[] = {0, CHK_WRITE, CHK_ALIGN, CHK_SHARED};
    skip_blanks(s);
    if (*s->p != 'r' && *s->p != 'w')
        fail(s, "a check is of r or w");
    return letters(s, "rwas", bits);
}

static void aux(struct parser *s)
{
    static const char *const fconds[IR_NR_FCONDS] = {"eq", "lt", "le", "ltq", "leq"};
    struct ir_insn *in = &s->in;
    switch (in->op) {
    case IR_SETC:
    case IR_SEL:
    case IR_BR:
        in->aux = one_of(s, ir_cond_name, IR_NR_CONDS, "no such condition");
        break;
    case IR_FCMP:
        in->aux = one_of(s, fconds, IR_NR_FCONDS, "no such condition");
        break;
    case IR_LD:
    case IR_ST:
        in->aux = memop(s);
        break;
    case IR_CHK:
        in->aux = check_flags(s);
        break;
    case IR_CALL:
        call(s);
        break;
    case IR_GET:
        in->x = variable(s);
        in->aux = eat(s, ", carried") ? GET_CARRIED : 0;
        break;
    case IR_SET:
        in->x = variable(s);
        expect(s, ",", "the value is missing");
        break;
    case IR_SEXT:
    case IR_ZEXT:
    case IR_FMA:
    case IR_ITOF:
    case IR_FTOI:
    case IR_FROUND:
    case IR_JMP:
    case IR_GUARD:
    case IR_LEAVE:
        in->aux = number(s);
        break;
    default:
        break;
    }
}

// Arguments, "-" for one that is left out, then the immediate.
static void call_arguments(struct parser *s)
{
    bool more = true;
    for (unsigned k = 0; k < 4 && more; k++) {
        skip_blanks(s);
        if (*s->p == '%')
            s->in.arg[k] = reference(s);
        else if (k && *s->p == '0')
            break;
        else
            eat(s, "-");
        more = eat(s, ",");
    }
    if (more)
        s->in.imm = number(s);
}

static void operands(struct parser *s)
{
    if (s->in.op == IR_CALL) {
        call_arguments(s);
        return;
    }
    for (unsigned k = 0; k < ir_op_info[s->in.op].nr_args; k++) {
        if (k)
            expect(s, ",", "an operand is missing");
        s->in.arg[k] = reference(s);
    }
}

static void exit_of(struct parser *s, unsigned at)
{
    struct ir *ir = s->ir;
    if (ir->nr_exits == IR_MAX_EXITS) {
        fail(s, "too many exits");
        return;
    }
    expect(s, "->", "the exit is missing");
    vaddr_t pc = number(s);
    expect(s, "after", "the number of instructions is missing");
    ir->exit[ir->nr_exits] = (struct ir_exit){.pc = pc, .at = at, .insns = number(s)};
    s->in.x = ir->nr_exits++;
}

static void tail(struct parser *s, unsigned at)
{
    struct ir_insn *in = &s->in;
    unsigned flags = ir_op_info[in->op].flags;
    if (in->op == IR_RAISE || in->op == IR_LD || in->op == IR_ST || in->op == IR_CHK)
        expect(s, ",", "the last operand is missing");
    switch (in->op) {
    case IR_INSN:
        in->imm = number(s);
        in->x = number(s);
        break;
    case IR_CONST:
    case IR_RAISE:
        in->imm = number(s);
        break;
    case IR_LD:
    case IR_ST:
        in->imm = signed_number(s);
        break;
    case IR_CHK:
        in->imm = signed_number(s);
        in->x = number(s);
        break;
    default:
        break;
    }
    if (flags & OPF_FLOAT) {
        expect(s, ", rm", "the rounding mode is missing");
        in->x = number(s);
    }
    if (flags & OPF_EXIT)
        exit_of(s, at);
}

// ---- Instructions ----

// Appends at index `at`, with NOPs up to there.
static void append(struct parser *s, unsigned at)
{
    struct ir *ir = s->ir;
    while (ir->nr_insns < at)
        ir->insn[ir->nr_insns++] = (struct ir_insn){.op = IR_NOP};
    ir->insn[ir->nr_insns++] = s->in;
    ir->uses_fp |= ir_type_is_float(s->in.type);
}

static void guest(struct parser *s)
{
    struct ir *ir = s->ir;
    if (ir->nr_guest > UINT8_MAX)
        fail(s, "too many guest instructions");
    else if (ir->nr_guest == 0)
        ir->pc = s->in.imm;
    ir->guest_at = ir->nr_insns;
    ir->end_pc = s->in.imm + s->in.x;
    s->in.aux = ir->nr_guest++;
}

static void instruction(struct parser *s)
{
    unsigned at = s->ir->nr_insns;
    s->in = (struct ir_insn){0};
    bool value = eat(s, "%");
    if (value) {
        at = number(s);
        expect(s, "=", "a result is followed by =");
    }
    if (at < s->ir->nr_insns || at >= IR_MAX_INSNS)
        fail(s, value ? "its number is out of order" : "too many instructions");
    s->in.op = opcode(s);
    bool wants = ir_op_info[s->in.op].flags & OPF_VALUE;
    if (value != wants && s->in.op != IR_CALL)
        fail(s, wants ? "its result has no number" : "it has no result");
    if (value || s->in.op == IR_ST) {
        expect(s, ".", "the type is missing");
        s->in.type = one_of(s, ir_type_name, IR_NR_TYPES, "no such type");
    }
    aux(s);
    operands(s);
    tail(s, at);
    if (s->in.op == IR_INSN)
        guest(s);
    skip_blanks(s);
    if (*s->p)
        fail(s, "something follows the instruction");
    if (!s->wrong)
        append(s, at);
}

bool ir_parse_calls(struct ir *ir, const char *text, const struct ir_call *calls, unsigned nr_calls,
                    GError **error)
{
    struct parser s = {.ir = ir, .calls = calls, .nr_calls = nr_calls};
    char **lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i] && !s.wrong; i++) {
        s.p = lines[i];
        skip_blanks(&s);
        if (*s.p)
            instruction(&s);
        if (s.wrong)
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "line %u of the IR: %s: %s", i + 1,
                        g_strstrip(lines[i]), s.wrong);
    }
    g_strfreev(lines);
    return !s.wrong;
}

bool ir_parse(struct ir *ir, const char *text, GError **error)
{
    return ir_parse_calls(ir, text, NULL, 0, error);
}
