// SPDX-License-Identifier: MIT
// The rules that well-formed IR keeps: operands and their types, exits, the order of effects.
#include "base/softfloat.h"
#include "softmmu/mem.h"
#include "translator/ir.h"

struct verify {
    const struct ir *ir;
    unsigned at;    // instruction looked at
    unsigned guest; // guest instructions so far
    bool has_set;   // a SET was seen in this guest instruction
    uint8_t checked[IR_MAX_INSNS / 8]; // bitmap of the checks that an access depends on
    char *wrong;
};

static void fail(struct verify *v, const char *what)
{
    if (!v->wrong)
        v->wrong = g_strdup_printf("%%%u %s: %s", v->at, ir_op_info[v->ir->insn[v->at].op].name, what);
}

static bool is_int(enum ir_type t)
{
    return t == IR_I32 || t == IR_I64;
}

// Whether a type may stand where the signature says `c`. `same` is the type that earlier letters i or f,
// or for J the first J, have fixed (IR_VOID: none yet).
static bool fits(char c, enum ir_type t, enum ir_type *same, enum ir_type *same_j)
{
    switch (c) {
    case 'i':
    case 'f':
        if (*same == IR_VOID)
            *same = t;
        return t == *same && (c == 'i' ? is_int(t) : ir_type_is_float(t));
    case 'J':
        if (*same_j == IR_VOID)
            *same_j = t;
        return t == *same_j && is_int(t);
    case 'I':
    case 'p': return is_int(t);
    case 'F': return ir_type_is_float(t);
    case 'w': return t == IR_I32;
    case 'd': return t == IR_I64;
    case 's': return t == IR_F32;
    case 'D': return t == IR_F64;
    case '*': return t != IR_VOID;
    case '-': return t == IR_VOID;
    default: return false;
    }
}

static void verify_types(struct verify *v, const struct ir_insn *in)
{
    const struct ir_op_info *info = &ir_op_info[in->op];
    enum ir_type same = IR_VOID, same_j = IR_VOID;
    enum ir_type result = info->sig[0] == '-' ? IR_VOID : in->type;
    if (!fits(info->sig[0], result, &same, &same_j) && in->op != IR_CALL)
        fail(v, "type of the result");
    for (unsigned k = 0; k < info->nr_args; k++) {
        ir_ref a = in->arg[k];
        if (a >= v->at) {
            fail(v, "operand is not defined before");
            return;
        }
        if (!a) {
            if (in->op != IR_CALL)
                fail(v, "operand is missing");
            continue;
        }
        const struct ir_insn *arg = &v->ir->insn[a];
        if (!(ir_op_info[arg->op].flags & OPF_VALUE))
            fail(v, "operand has no value");
        else if (!fits(info->sig[1 + k], arg->type, &same, &same_j))
            fail(v, arg->type == IR_VOID ? "operand has no value" : "type of an operand");
    }
}

// What aux and x may be, and types that the signature does not tell.
static void verify_details(struct verify *v, const struct ir_insn *in)
{
    enum ir_type from = v->ir->insn[in->arg[0]].type;
    if (ir_op_info[in->op].flags & OPF_FLOAT && in->x > FP_RMM)
        fail(v, "rounding mode");
    switch (in->op) {
    case IR_SETC:
    case IR_SEL:
    case IR_BR:
        if (in->aux >= IR_NR_CONDS)
            fail(v, "condition");
        break;
    case IR_SEXT:
    case IR_ZEXT:
        if (in->aux != 8 && in->aux != 16 && in->aux != 32)
            fail(v, "extends 8, 16 or 32 bits");
        break;
    case IR_BITCAST:
        if (ir_type_bytes(from) != ir_type_bytes(in->type) ||
            ir_type_is_float(from) == ir_type_is_float(in->type))
            fail(v, "is between an integer and a float of equal width");
        break;
    case IR_FCVT:
        if (from == in->type)
            fail(v, "is between different types");
        break;
    case IR_FCMP:
        if (in->aux >= IR_NR_FCONDS)
            fail(v, "condition");
        if (from != v->ir->insn[in->arg[1]].type)
            fail(v, "compares different types");
        break;
    case IR_FCANON:
        // A host may find NaNs by a compare, which must not meet a signalling one.
        if (!(ir_op_info[v->ir->insn[in->arg[0]].op].flags & OPF_FLOAT) &&
            v->ir->insn[in->arg[0]].op != IR_FCANON)
            fail(v, "is of the result of a floating-point operation");
        break;
    case IR_CHK:
        if (!in->x || in->x > PAGE_SIZE || (in->aux & CHK_ALIGN && !is_pow2(in->x)))
            fail(v, "number of bytes");
        if ((int64_t)in->imm != (int32_t)in->imm)
            fail(v, "offsets are of 32 bits");
        break;
    default: break;
    }
}

static void verify_access(struct verify *v, const struct ir_insn *in)
{
    ir_ref c = in->arg[1];
    const struct ir_insn *chk = &v->ir->insn[c];
    unsigned size = 1u << (in->aux & MO_SIZE);
    int64_t offset = (int64_t)(in->imm - chk->imm);
    if ((int64_t)in->imm != (int32_t)in->imm)
        fail(v, "offsets are of 32 bits");
    else if (chk->op != IR_CHK)
        fail(v, "second operand is not a check");
    else if (chk->arg[0] != in->arg[0])
        fail(v, "the check is of another address");
    else if (offset < 0 || offset > (int64_t)chk->x - size)
        fail(v, "the check does not cover the access");
    else if ((in->op == IR_ST || in->aux & MO_RMW) && !(chk->aux & CHK_WRITE))
        fail(v, "the check is for reading");
    else if (in->aux & MO_ALIGN && !(chk->aux & CHK_ALIGN && offset == 0 && size == chk->x))
        fail(v, "the check is not of its alignment");
    else if (v->checked[c / 8] >> c % 8 & 1 && !(chk->aux & CHK_SHARED))
        fail(v, "the check is another access's");
    else if (in->aux & MO_BSWAP && chk->aux & CHK_SHARED)
        fail(v, "an access of the other byte order shares its check");
    v->checked[c / 8] |= 1u << c % 8;
    if (in->type != IR_I32 && in->type != IR_I64 && size != ir_type_bytes(in->type))
        fail(v, "size of a float");
    if (size > ir_type_bytes(in->type))
        fail(v, "wider than its type");
}

static unsigned verify_call(struct verify *v, const struct ir_insn *in)
{
    if (in->x >= v->ir->nr_calls) {
        fail(v, "no such call");
        return 0;
    }
    unsigned flags = v->ir->call[in->x].flags;
    if (flags & CALL_PURE && flags != CALL_PURE)
        fail(v, "a pure call has no effects");
    if (in->imm && in->arg[3])
        fail(v, "the last argument is given twice");
    return flags;
}

static void verify_exit(struct verify *v, const struct ir_insn *in)
{
    const struct ir *ir = v->ir;
    if (in->x >= ir->nr_exits)
        fail(v, "no such exit");
    else if (ir->exit[in->x].at != v->at || ir->exit[in->x].insns > v->guest)
        fail(v, "its exit is of another place");
}

static void verify_insn(struct verify *v)
{
    const struct ir *ir = v->ir;
    const struct ir_insn *in = &ir->insn[v->at];
    unsigned flags = ir_op_info[in->op].flags;
    verify_types(v, in);
    if (v->wrong)
        return;
    verify_details(v, in);
    if (in->op == IR_INSN) {
        v->has_set = false;
        if (in->aux != v->guest++)
            fail(v, "number of the guest instruction");
    }
    if (in->op == IR_SET) {
        v->has_set = true;
        if (in->x >= ir->nr_vars)
            fail(v, "no such variable");
        else if (ir->insn[in->arg[0]].type != ir->vars[in->x].type)
            fail(v, "type of the variable");
    }
    if (in->op == IR_GET && (in->x >= ir->nr_vars || in->type != ir->vars[in->x].type))
        fail(v, "variable or its type");
    unsigned call = in->op == IR_CALL ? verify_call(v, in) : 0;
    bool may_fault = flags & OPF_FAULT || call & CALL_FAULT;
    if (may_fault && v->has_set)
        fail(v, "may fault behind a set of its guest instruction");
    if (may_fault && !v->guest)
        fail(v, "may fault before the first guest instruction");
    if (in->op == IR_LD || in->op == IR_ST)
        verify_access(v, in);
    if (flags & OPF_EXIT)
        verify_exit(v, in);
    bool last = v->at == ir->nr_insns - 1;
    if (last != !!(flags & OPF_END))
        fail(v, last ? "the unit does not end" : "the unit goes on behind its end");
}

char *ir_verify(const struct ir *ir)
{
    struct verify v = {.ir = ir};
    if (ir->nr_insns < 2 || ir->insn[0].op != IR_NOP)
        return g_strdup("the unit is empty");
    for (v.at = 1; v.at < ir->nr_insns && !v.wrong; v.at++)
        if (ir->insn[v.at].op != IR_NOP)
            verify_insn(&v);
    if (!v.wrong && ir->insn[ir->nr_insns - 1].op == IR_NOP)
        v.wrong = g_strdup("the unit does not end");
    if (!v.wrong && v.guest != ir->nr_guest)
        v.wrong = g_strdup("guest instructions are missing");
    return v.wrong;
}
