// SPDX-License-Identifier: MIT
// The IR's tables and its builder. See ir.h for what it means.
#include "translator/ir.h"

#include <assert.h>

#include "base/softfloat.h"

const struct ir_op_info ir_op_info[IR_NR_OPS] = {
#define X(e, name, nr, sig, flags) [IR_##e] = {name, nr, sig, flags},
    IR_OPS(X)
#undef X
};

const char *const ir_type_name[IR_NR_TYPES] = {"void", "i32", "i64", "f32", "f64"};

const char *const ir_cond_name[IR_NR_CONDS] = {"eq", "ne", "lt",  "ge",  "ltu",
                                               "geu", "le", "gt", "leu", "gtu"};

void ir_reset(struct ir *ir, const struct ir_var *vars, unsigned nr_vars)
{
    assert(nr_vars <= IR_MAX_VARS);
    ir->vars = vars;
    ir->nr_vars = nr_vars;
    ir->insn[0] = (struct ir_insn){.op = IR_NOP};
    ir->nr_insns = 1; // reference 0 means none
    ir->nr_exits = 0;
    ir->nr_calls = 0;
    ir->nr_guest = 0;
    ir->guest_at = 0;
    ir->pc = 0;
    ir->end_pc = 0;
    ir->regime = 0;
    ir->rm = FP_RNE;
    ir->share_checks = true;
    ir->align_all = false;
    ir->uses_fp = false;
}

static struct ir_insn *append(struct ir *ir, enum ir_opcode op, enum ir_type type)
{
    assert(ir->nr_insns < IR_MAX_INSNS);
    struct ir_insn *in = &ir->insn[ir->nr_insns++];
    *in = (struct ir_insn){.op = op, .type = type};
    ir->uses_fp |= ir_type_is_float(type);
    return in;
}

static ir_ref last(const struct ir *ir)
{
    return ir->nr_insns - 1;
}

ir_ref ir_add(struct ir *ir, enum ir_opcode op, enum ir_type type, unsigned aux, ir_ref a, ir_ref b)
{
    struct ir_insn *in = append(ir, op, type);
    in->aux = aux;
    in->arg[0] = a;
    in->arg[1] = b;
    return last(ir);
}

ir_ref ir_const(struct ir *ir, enum ir_type type, uint64_t bits)
{
    struct ir_insn *in = append(ir, IR_CONST, type);
    in->imm = ir_type_bytes(type) == 4 ? (uint32_t)bits : bits;
    return last(ir);
}

ir_ref ir_get(struct ir *ir, unsigned var)
{
    assert(var < ir->nr_vars);
    append(ir, IR_GET, ir->vars[var].type)->x = var;
    return last(ir);
}

void ir_set(struct ir *ir, unsigned var, ir_ref value)
{
    assert(var < ir->nr_vars);
    struct ir_insn *in = append(ir, IR_SET, IR_VOID);
    in->x = var;
    in->arg[0] = value;
}

ir_ref ir_bin(struct ir *ir, enum ir_opcode op, ir_ref a, ir_ref b)
{
    return ir_add(ir, op, ir_type_of(ir, a), 0, a, b);
}

ir_ref ir_un(struct ir *ir, enum ir_opcode op, ir_ref a)
{
    return ir_add(ir, op, ir_type_of(ir, a), 0, a, 0);
}

ir_ref ir_bini(struct ir *ir, enum ir_opcode op, ir_ref a, int64_t b)
{
    ir_ref imm = ir_const(ir, ir_type_of(ir, a), b);
    return ir_bin(ir, op, a, imm);
}

ir_ref ir_sext(struct ir *ir, enum ir_type type, unsigned bits, ir_ref a)
{
    return ir_add(ir, IR_SEXT, type, bits, a, 0);
}

ir_ref ir_zext(struct ir *ir, enum ir_type type, unsigned bits, ir_ref a)
{
    return ir_add(ir, IR_ZEXT, type, bits, a, 0);
}

ir_ref ir_trunc(struct ir *ir, ir_ref a)
{
    return ir_add(ir, IR_TRUNC, IR_I32, 0, a, 0);
}

ir_ref ir_bitcast(struct ir *ir, enum ir_type type, ir_ref a)
{
    return ir_add(ir, IR_BITCAST, type, 0, a, 0);
}

ir_ref ir_setc(struct ir *ir, enum ir_type type, enum ir_cond cond, ir_ref a, ir_ref b)
{
    return ir_add(ir, IR_SETC, type, cond, a, b);
}

ir_ref ir_sel(struct ir *ir, enum ir_cond cond, ir_ref a, ir_ref b, ir_ref yes, ir_ref no)
{
    ir_ref r = ir_add(ir, IR_SEL, ir_type_of(ir, yes), cond, a, b);
    ir->insn[r].arg[2] = yes;
    ir->insn[r].arg[3] = no;
    return r;
}

static ir_ref check(struct ir *ir, unsigned memop, ir_ref addr, int64_t offset, bool write)
{
    unsigned aux = (write ? CHK_WRITE : 0) | (memop & MO_ALIGN ? CHK_ALIGN : 0);
    ir_ref r = ir_add(ir, IR_CHK, IR_I64, aux, addr, 0);
    ir->insn[r].imm = offset;
    ir->insn[r].x = 1u << (memop & MO_SIZE);
    return r;
}

ir_ref ir_ld(struct ir *ir, enum ir_type type, unsigned memop, ir_ref addr, int64_t offset)
{
    memop |= ir->align_all ? MO_ALIGN : 0;
    ir_ref chk = check(ir, memop, addr, offset, memop & MO_RMW);
    ir_ref r = ir_add(ir, IR_LD, type, memop, addr, chk);
    ir->insn[r].imm = offset;
    return r;
}

void ir_st(struct ir *ir, unsigned memop, ir_ref addr, int64_t offset, ir_ref value)
{
    memop |= ir->align_all ? MO_ALIGN : 0;
    ir_ref chk = check(ir, memop, addr, offset, true);
    ir_ref r = ir_add(ir, IR_ST, ir_type_of(ir, value), memop, addr, chk);
    ir->insn[r].arg[2] = value;
    ir->insn[r].imm = offset;
}

ir_ref ir_fbin(struct ir *ir, enum ir_opcode op, unsigned rm, ir_ref a, ir_ref b)
{
    ir_ref r = ir_bin(ir, op, a, b);
    ir->insn[r].x = rm;
    return r;
}

ir_ref ir_fun(struct ir *ir, enum ir_opcode op, enum ir_type type, unsigned aux, unsigned rm, ir_ref a)
{
    ir_ref r = ir_add(ir, op, type, aux, a, 0);
    ir->insn[r].x = rm;
    return r;
}

ir_ref ir_fma(struct ir *ir, unsigned flags, unsigned rm, ir_ref a, ir_ref b, ir_ref c)
{
    ir_ref r = ir_add(ir, IR_FMA, ir_type_of(ir, a), flags, a, b);
    ir->insn[r].arg[2] = c;
    ir->insn[r].x = rm;
    return r;
}

ir_ref ir_fcmp(struct ir *ir, enum ir_type type, enum ir_fcond cond, ir_ref a, ir_ref b)
{
    return ir_add(ir, IR_FCMP, type, cond, a, b);
}

ir_ref ir_call(struct ir *ir, ir_function *fn, const char *name, unsigned flags, enum ir_type type,
               ir_ref a, ir_ref b, ir_ref c, ir_ref d)
{
    assert(ir->nr_calls < IR_MAX_CALLS);
    ir->call[ir->nr_calls] = (struct ir_call){fn, name, flags};
    ir_ref r = ir_add(ir, IR_CALL, type, 0, a, b);
    ir->insn[r].arg[2] = c;
    ir->insn[r].arg[3] = d;
    ir->insn[r].x = ir->nr_calls++;
    return r;
}

static unsigned new_exit(struct ir *ir, vaddr_t pc, unsigned insns)
{
    assert(ir->nr_exits < IR_MAX_EXITS);
    ir->exit[ir->nr_exits] = (struct ir_exit){pc, ir->nr_insns, insns};
    return ir->nr_exits++;
}

void ir_br(struct ir *ir, enum ir_cond cond, ir_ref a, ir_ref b, vaddr_t target)
{
    unsigned x = new_exit(ir, target, ir->nr_guest);
    ir_ref r = ir_add(ir, IR_BR, IR_VOID, cond, a, b);
    ir->insn[r].x = x;
}

void ir_exit(struct ir *ir, vaddr_t target)
{
    unsigned x = new_exit(ir, target, ir->nr_guest);
    append(ir, IR_EXIT, IR_VOID)->x = x;
}

void ir_jmp(struct ir *ir, enum ir_jump_hint hint, ir_ref target)
{
    unsigned x = new_exit(ir, 0, ir->nr_guest);
    ir_ref r = ir_add(ir, IR_JMP, IR_VOID, hint, target, 0);
    ir->insn[r].x = x;
}

void ir_guard(struct ir *ir, enum ir_jump_hint hint, ir_ref target, vaddr_t pc)
{
    ir_ref expected = ir_const(ir, ir_type_of(ir, target), pc);
    unsigned x = new_exit(ir, 0, ir->nr_guest);
    ir_ref r = ir_add(ir, IR_GUARD, IR_VOID, hint, target, expected);
    ir->insn[r].x = x;
}

void ir_leave(struct ir *ir, enum ir_leave why, vaddr_t pc)
{
    unsigned x = new_exit(ir, pc, ir->nr_guest - (why == LEAVE_RESTART));
    struct ir_insn *in = append(ir, IR_LEAVE, IR_VOID);
    in->aux = why;
    in->x = x;
}

void ir_raise(struct ir *ir, uint64_t cause, ir_ref value)
{
    ir_ref r = ir_add(ir, IR_RAISE, IR_VOID, 0, value, 0);
    ir->insn[r].imm = cause;
}

void ir_guest(struct ir *ir, vaddr_t pc, unsigned bytes)
{
    ir->guest_at = ir->nr_insns;
    struct ir_insn *in = append(ir, IR_INSN, IR_VOID);
    in->imm = pc;
    in->x = bytes;
    in->aux = ir->nr_guest++;
    ir->end_pc = pc + bytes;
}
