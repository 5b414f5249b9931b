// SPDX-License-Identifier: MIT
// The text form of IR: one instruction a line, for -d op and for tests.
//
//     %3 = add.i64 %1, %2
//     set x5, %3
//     %4 = ld.i64 32s %3, %9, +16
//     br ltu %3, %4 -> 0x80000010 after 2
#include <inttypes.h>
#include <stdlib.h>

#include "translator/ir.h"

static void print_memop(unsigned memop, GString *out)
{
    g_string_append_printf(out, " %u%s%s%s%s", 8u << (memop & MO_SIZE), memop & MO_SIGN ? "s" : "",
                           memop & MO_RMW ? "w" : "", memop & MO_ALIGN ? "a" : "",
                           memop & MO_BSWAP ? "b" : "");
}

static void print_aux(const struct ir *ir, const struct ir_insn *in, GString *out)
{
    static const char *const fconds[IR_NR_FCONDS] = {"eq", "lt", "le", "ltq", "leq"};
    switch (in->op) {
    case IR_SETC:
    case IR_SEL:
    case IR_BR: g_string_append_printf(out, " %s", ir_cond_name[in->aux]); break;
    case IR_FCMP: g_string_append_printf(out, " %s", fconds[in->aux]); break;
    case IR_SEXT:
    case IR_ZEXT: g_string_append_printf(out, " %u", in->aux); break;
    case IR_LD:
    case IR_ST: print_memop(in->aux, out); break;
    case IR_CHK:
        g_string_append_printf(out, " %s%s%s", in->aux & CHK_WRITE ? "w" : "r",
                               in->aux & CHK_ALIGN ? "a" : "", in->aux & CHK_SHARED ? "s" : "");
        break;
    case IR_CALL: g_string_append_printf(out, " %s", ir->call[in->x].name); break;
    case IR_FMA:
    case IR_ITOF:
    case IR_FTOI:
    case IR_FROUND:
    case IR_JMP:
    case IR_GUARD:
    case IR_LEAVE: g_string_append_printf(out, " %u", in->aux); break;
    default: break;
    }
}

static void print_tail(const struct ir *ir, const struct ir_insn *in, GString *out)
{
    unsigned flags = ir_op_info[in->op].flags;
    switch (in->op) {
    case IR_INSN: g_string_append_printf(out, " 0x%" PRIx64 " %u", in->imm, in->x); break;
    case IR_CONST: g_string_append_printf(out, " 0x%" PRIx64, in->imm); break;
    case IR_GET:
        g_string_append_printf(out, " %s%s", ir->vars[in->x].name,
                               in->aux & GET_CARRIED ? ", carried" : "");
        break;
    case IR_RAISE: g_string_append_printf(out, ", 0x%" PRIx64, in->imm); break;
    case IR_LD:
    case IR_ST: g_string_append_printf(out, ", %+" PRId64, (int64_t)in->imm); break;
    case IR_CHK: g_string_append_printf(out, ", %+" PRId64 " %u", (int64_t)in->imm, in->x); break;
    case IR_CALL:
        if (in->imm)
            g_string_append_printf(out, ", 0x%" PRIx64, in->imm);
        break;
    default: break;
    }
    if (flags & OPF_FLOAT)
        g_string_append_printf(out, ", rm %u", in->x);
    if (flags & OPF_EXIT)
        g_string_append_printf(out, " -> 0x%" PRIx64 " after %u", ir->exit[in->x].pc,
                               ir->exit[in->x].insns);
}

// An argument of a call that is left out, with others behind it, is a dash.
static void print_operands(const struct ir_insn *in, GString *out)
{
    unsigned n = ir_op_info[in->op].nr_args;
    while (n && !in->arg[n - 1])
        n--;
    for (unsigned k = 0; k < n; k++) {
        g_string_append(out, k ? ", " : " ");
        if (in->arg[k])
            g_string_append_printf(out, "%%%u", in->arg[k]);
        else
            g_string_append_c(out, '-');
    }
}

static void print_insn(const struct ir *ir, ir_ref r, GString *out)
{
    const struct ir_insn *in = &ir->insn[r];
    const struct ir_op_info *info = &ir_op_info[in->op];
    bool value = info->flags & OPF_VALUE && in->type != IR_VOID;
    g_string_append(out, in->op == IR_INSN ? "  " : "      ");
    if (value)
        g_string_append_printf(out, "%%%u = ", r);
    g_string_append(out, info->name);
    if (value || in->op == IR_ST)
        g_string_append_printf(out, ".%s", ir_type_name[in->type]);
    print_aux(ir, in, out);
    if (in->op == IR_SET)
        g_string_append_printf(out, " %s,", ir->vars[in->x].name);
    print_operands(in, out);
    print_tail(ir, in, out);
    g_string_append_c(out, '\n');
}

void ir_print(const struct ir *ir, GString *out)
{
    for (unsigned r = 1; r < ir->nr_insns; r++)
        if (ir->insn[r].op != IR_NOP)
            print_insn(ir, r, out);
}
