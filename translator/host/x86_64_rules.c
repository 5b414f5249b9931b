// SPDX-License-Identifier: MIT
// x86-64: what the register allocator needs to know of each operation, and the way to the code that emits it.
#include "translator/host/x86_64.h"

// ---- Rules ----

static bool fits_imm(const struct ir *ir, ir_ref r)
{
    const struct ir_insn *in = &ir->insn[r];
    if (in->op != IR_CONST)
        return false;
    return in->type == IR_I32 || (in->type == IR_I64 && (int64_t)in->imm == (int32_t)in->imm);
}

static unsigned imm_if_fits(const struct ir *ir, ir_ref r)
{
    return fits_imm(ir, r) ? RA_I : 0;
}

static struct ra_rule tied(unsigned a, unsigned b)
{
    return (struct ra_rule){.arg = {a, b}, .result = RA_TIED};
}

static struct ra_rule fresh(unsigned a, unsigned b)
{
    return (struct ra_rule){.arg = {a, b}, .result = RA_NEW};
}

static struct ra_rule effect(unsigned a, unsigned b, unsigned c)
{
    return (struct ra_rule){.arg = {a, b, c}};
}

static struct ra_rule shift_rule(const struct x86 *h, const struct ir *ir, const struct ir_insn *in)
{
    if (ir_is_const(ir, in->arg[1]))
        return tied(RA_R, RA_I);
    bool rotate = in->op == IR_ROTL || in->op == IR_ROTR;
    return h->bmi && !rotate ? fresh(RA_R, RA_R) : tied(RA_R, RA_R);
}

static struct ra_rule access_rule(const struct ir *ir, const struct ir_insn *in)
{
    bool shared = ir->insn[in->arg[1]].aux & CHK_SHARED;
    unsigned addr = shared ? 0 : RA_R, host = shared ? RA_R : 0;
    if (in->op == IR_LD)
        return fresh(addr, host);
    bool is_float = ir_type_is_float(in->type);
    return effect(addr, host, RA_R | (is_float ? 0 : imm_if_fits(ir, in->arg[2])));
}

static struct ra_rule rule(void *opaque, const struct ir *ir, const struct ir_insn *in)
{
    const struct x86 *h = opaque;
    unsigned imm = imm_if_fits(ir, in->arg[1]);
    switch (in->op) {
    case IR_ADD:
        return fresh(RA_R, RA_R | imm);
    case IR_MUL:
        return imm ? fresh(RA_R, RA_I) : tied(RA_R, RA_R | RA_M);
    case IR_SUB:
    case IR_AND:
    case IR_OR:
    case IR_XOR:
        return tied(RA_R, RA_R | RA_M | imm);
    case IR_ANDN:
        return h->bmi ? fresh(RA_R, RA_R) : tied(RA_R, RA_R);
    case IR_MULHS:
    case IR_MULHU:
        return fresh(RA_R, RA_R | RA_M);
    case IR_DIVS:
    case IR_DIVU:
    case IR_REMS:
    case IR_REMU:
        return fresh(RA_R, RA_R);
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR:
        return shift_rule(h, ir, in);
    case IR_NOT:
    case IR_NEG:
    case IR_BSWAP:
        return tied(RA_R, 0);
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
    case IR_SEXT:
    case IR_ZEXT:
    case IR_TRUNC:
        return fresh(RA_R | RA_M, 0);
    case IR_CLMUL:
    case IR_CLMULH:
        return fresh(RA_R, RA_R);
    case IR_SETC:
        return fresh(RA_R, RA_R | RA_M | imm);
    case IR_SEL:
        return (struct ra_rule){
            .arg = {RA_R, RA_R | RA_M | imm, RA_R | RA_M, RA_R}, .result = RA_TIED, .tied = 3};
    case IR_CHK:
        return in->aux & CHK_SHARED ? fresh(RA_R, 0) : effect(0, 0, 0);
    case IR_LD:
    case IR_ST:
        return access_rule(ir, in);
    case IR_BITCAST:
        return fresh(RA_R | RA_M, 0);
    case IR_BOX:
        return tied(RA_R, 0);
    case IR_UNBOX:
        return fresh(RA_R | RA_M, 0);
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
        return tied(RA_R, RA_R | RA_M);
    case IR_FSQRT:
    case IR_FCVT:
    case IR_FROUND:
        return fresh(RA_R, 0);
    case IR_FTOI:
        return (struct ra_rule){.arg = {RA_R}, .result = RA_NEW};
    case IR_ITOF:
        return fresh(RA_R, 0);
    case IR_FMA:
        return (struct ra_rule){.arg = {RA_R, RA_R, RA_R}, .result = RA_EARLY};
    case IR_FCMP:
        return fresh(RA_R, RA_R);
    case IR_FCANON:
        return tied(RA_R, 0);
    case IR_CALL:
        return (struct ra_rule){.call = true};
    case IR_BR:
    case IR_GUARD:
        return effect(RA_R, RA_R | RA_M | imm, 0);
    case IR_JMP:
    case IR_RAISE:
        return effect(RA_R, 0, 0);
    default:
        return effect(0, 0, 0);
    }
}

// ---- Moves for the allocator ----

void x86_move(void *opaque, enum ir_type type, unsigned dst, unsigned src)
{
    struct x86 *h = opaque;
    if (ir_type_is_float(type))
        emit_rr(&h->a, O_MOVAPS, dst, src);
    else
        emit_rr(&h->a, O_MOV | width(type), dst, src);
}

void x86_load(void *opaque, enum ir_type type, unsigned dst, const struct ra_operand *from)
{
    struct x86 *h = opaque;
    bool is_float = ir_type_is_float(type);
    if (from->kind == RA_IN_REG) {
        x86_move(h, type, dst, from->reg);
    } else if (from->kind == RA_IMM && is_float) {
        emit_mov_imm(&h->a, RAX, from->imm);
        emit_rr(&h->a, O_MOVD_TO_X | P_W, dst, RAX);
    } else if (from->kind == RA_IMM) {
        emit_mov_imm(&h->a, dst, from->imm);
    } else if (is_float) {
        emit_rm(&h->a, O_MOVS | scalar(type), dst, operand_mem(from));
    } else {
        emit_rm(&h->a, O_MOV | width(type), dst, operand_mem(from));
    }
}

static void spill(void *opaque, enum ir_type type, unsigned slot, unsigned src)
{
    struct x86 *h = opaque;
    if (ir_type_is_float(type))
        emit_rm(&h->a, O_MOVS_STORE | P_F2, src, slot_mem(slot));
    else
        emit_rm(&h->a, O_MOV_STORE | P_W, src, slot_mem(slot));
}

// ---- One instruction ----

static void emit(void *opaque, ir_ref r, const struct ra_operand arg[4], unsigned dst)
{
    struct x86 *h = opaque;
    const struct ir_insn *in = &h->ir->insn[r];
    switch (in->op) {
    case IR_INSN:
        h->guest_insn = in->aux;
        h->guest_pc = in->imm;
        break;
    case IR_CHK:
        x86_emit_check(h, r, in, dst, arg);
        break;
    case IR_LD:
    case IR_ST:
        x86_emit_access(h, r, in, dst, arg);
        break;
    case IR_CALL:
    case IR_BR:
    case IR_GUARD:
    case IR_EXIT:
    case IR_JMP:
    case IR_LEAVE:
    case IR_RAISE:
        x86_emit_exit(h, r, in, dst, arg);
        break;
    default:
        if (in->op < IR_CHK)
            x86_emit_integer(h, in, dst, arg);
        else
            x86_emit_float(h, r, in, dst, arg);
    }
}

const struct ra_host x86_ra_host = {
    .regs = {[RA_GPR] = LIMIT_GPRS, [RA_FPR] = (1 << NR_XMM) - 1},
    .clobbered = {[RA_GPR] = 1 << RSI | 1 << RDI | 1 << R8 | 1 << R9 | 1 << R10 | 1 << R11,
                  [RA_FPR] = (1 << NR_XMM) - 1},
    .rule = rule,
    .emit = emit,
    .move = x86_move,
    .load = x86_load,
    .spill = spill,
    .loop_head = x86_loop_head,
};
