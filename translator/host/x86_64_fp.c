// SPDX-License-Identifier: MIT
// x86-64: what the floating-point operations of the IR become, on SSE and FMA. What the host lacks was lowered
// to calls before.
#include "translator/host/x86_64.h"

#include "base/softfloat.h"

unsigned x86_host_rc(unsigned rm)
{
    static const uint8_t rc[] = {
        [FP_RNE] = 0, [FP_RTZ] = 3, [FP_RDN] = 1, [FP_RUP] = 2, [FP_RMM] = 0};
    return rc[rm];
}

static void emit_bitcast(struct x86 *h, const struct ir_insn *in, unsigned dst,
                         const struct ra_operand *a)
{
    if (a->kind != RA_IN_REG) {
        struct ra_operand as = *a;
        x86_load(h, in->type, dst, &as);
    } else if (ir_type_is_float(in->type)) {
        emit_rr(&h->a, O_MOVD_TO_X | (in->type == IR_F64 ? P_W : 0), dst, a->reg);
    } else {
        emit_rr(&h->a, O_MOVD_FROM_X | width(in->type), a->reg, dst);
    }
}

static struct x86_mem constant(const struct x86 *h, const uint8_t *at, unsigned length)
{
    return (struct x86_mem){X86_NO_REG, X86_NO_REG, (int32_t)(at - (h->a.p + length))};
}

static void emit_unbox(struct x86 *h, ir_ref r, unsigned dst, const struct ra_operand *a)
{
    uint8_t *not_boxed;
    if (a->kind == RA_IN_REG) {
        emit_rr(&h->a, O_MOVD_FROM_X | P_W, a->reg, RAX);
        emit_shift_imm(&h->a, P_W, G2_SAR, RAX, 32);
        emit_group1_r(&h->a, 0, G1_CMP, RAX, -1);
        not_boxed = emit_jcc(&h->a, CC_NE);
        if (dst != a->reg)
            emit_rr(&h->a, O_MOVAPS, dst, a->reg);
    } else {
        struct x86_mem m = operand_mem(a), high = m;
        high.disp += 4;
        emit_group1_m(&h->a, 0, G1_CMP, high, -1);
        not_boxed = emit_jcc(&h->a, CC_NE);
        emit_rm(&h->a, O_MOVS | P_F3, dst, m);
    }
    x86_add_cold(h, (struct x86_cold){
                        .kind = COLD_NAN, .from = not_boxed, .back = h->a.p, .r = r, .dst = dst});
}

static void emit_box(struct x86 *h, unsigned dst)
{
    unsigned length = dst >= 8 ? 8 : 7;
    emit_rm(&h->a, O_ORPS, dst, constant(h, h->stubs.box, length));
}

static void emit_fcanon(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst)
{
    if (h->ir->insn[in->arg[0]].op == IR_FMA)
        return; // is canonical already
    emit_rr(&h->a, O_UCOMIS | (in->type == IR_F32 ? 0 : P_66), dst, dst);
    uint8_t *nan = emit_jcc(&h->a, CC_P);
    x86_add_cold(
        h, (struct x86_cold){.kind = COLD_NAN, .from = nan, .back = h->a.p, .r = r, .dst = dst});
}

static void emit_fma(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                     const struct ra_operand *arg)
{
    static const uint8_t op[] = {0xb9, 0xbd, 0xbb,
                                 0xbf}; // by ir_fma_flags: fmadd, fnmadd, fmsub, fnmsub
    emit_rr(&h->a, O_MOVAPS, dst, arg[2].reg);
    emit_vex(&h->a, 2, 1, in->type == IR_F64, op[in->aux], dst, arg[0].reg, arg[1].reg);
    emit_rr(&h->a, O_UCOMIS | (in->type == IR_F32 ? 0 : P_66), dst, dst);
    uint8_t *nan = emit_jcc(&h->a, CC_P);
    x86_add_cold(h, (struct x86_cold){.kind = COLD_FMA,
                                      .from = nan,
                                      .back = h->a.p,
                                      .r = r,
                                      .dst = dst,
                                      .arg = {arg[0], arg[1], arg[2]}});
}

static void emit_fcmp(struct x86 *h, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand *arg)
{
    struct x86_asm *a = &h->a;
    unsigned p = arg[0].type == IR_F32 ? 0 : P_66;
    if (in->aux == IR_FEQ) {
        emit_rr(a, O_UCOMIS | p, arg[0].reg, arg[1].reg);
        emit_rr(a, O_SETCC | CC_NP, 0, RAX);
        emit_rr(a, O_SETCC | CC_E, 0, RCX);
        emit_rr(a, O_AND, RAX, RCX);
    } else {
        // a < b is b > a, which unlike "below" is false when unordered.
        bool quiet = in->aux == IR_FLTQ || in->aux == IR_FLEQ;
        bool or_equal = in->aux == IR_FLE || in->aux == IR_FLEQ;
        emit_rr(a, (quiet ? O_UCOMIS : O_COMIS) | p, arg[1].reg, arg[0].reg);
        emit_rr(a, O_SETCC | (or_equal ? CC_AE : CC_A), 0, RAX);
    }
    emit_rr(a, O_MOVZX8, dst, RAX);
}

static void emit_itof(struct x86 *h, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand *a)
{
    unsigned src = a->reg, w = width(a->type);
    if (in->aux & IR_UNSIGNED) {
        emit_rr(&h->a, O_MOV, RAX, a->reg);
        src = RAX;
        w = P_W;
    }
    emit_rr(&h->a, O_XORPS, dst, dst);
    emit_rr(&h->a, O_CVTSI2S | scalar(in->type) | w, dst, src);
}

static void emit_ftoi(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand *a)
{
    unsigned w = width(in->type);
    unsigned op = in->x == FP_RTZ ? O_CVTTS2SI : O_CVTS2SI;
    emit_rr(&h->a, op | scalar(a->type) | w, dst, a->reg);
    // Only the smallest integer minus 1 overflows.
    emit_group1_r(&h->a, w, G1_CMP, dst, 1);
    uint8_t *smallest = emit_jcc(&h->a, CC_O);
    x86_add_cold(
        h,
        (struct x86_cold){
            .kind = COLD_FTOI, .from = smallest, .back = h->a.p, .r = r, .dst = dst, .arg = {*a}});
}

static void emit_fround(struct x86 *h, const struct ir_insn *in, unsigned dst,
                        const struct ra_operand *a)
{
    emit_rr(&h->a, in->type == IR_F32 ? O_ROUNDSS : O_ROUNDSD, dst, a->reg);
    emit8(&h->a, x86_host_rc(in->x) | (in->aux & IR_INEXACT ? 0 : 8));
}

static void emit_farith(struct x86 *h, const struct ir_insn *in, unsigned dst,
                        const struct ra_operand *arg)
{
    static const unsigned op[] = {
        [IR_FADD] = O_ADDS, [IR_FSUB] = O_SUBS, [IR_FMUL] = O_MULS, [IR_FDIV] = O_DIVS};
    x86_emit_reg_or_mem(h, op[in->op] | scalar(in->type), dst, &arg[1]);
}

void x86_emit_float(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                    const struct ra_operand arg[4])
{
    switch (in->op) {
    case IR_BITCAST:
        emit_bitcast(h, in, dst, &arg[0]);
        break;
    case IR_BOX:
        emit_box(h, dst);
        break;
    case IR_UNBOX:
        emit_unbox(h, r, dst, &arg[0]);
        break;
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
        emit_farith(h, in, dst, arg);
        break;
    case IR_FSQRT:
        emit_rr(&h->a, O_SQRTS | scalar(in->type), dst, arg[0].reg);
        break;
    case IR_FCVT:
        emit_rr(&h->a, O_CVTS2S | scalar(arg[0].type), dst, arg[0].reg);
        break;
    case IR_FMA:
        emit_fma(h, r, in, dst, arg);
        break;
    case IR_FCMP:
        emit_fcmp(h, in, dst, arg);
        break;
    case IR_FCANON:
        emit_fcanon(h, r, in, dst);
        break;
    case IR_ITOF:
        emit_itof(h, in, dst, &arg[0]);
        break;
    case IR_FTOI:
        emit_ftoi(h, r, in, dst, &arg[0]);
        break;
    case IR_FROUND:
        emit_fround(h, in, dst, &arg[0]);
        break;
    default:
        g_assert_not_reached();
    }
}
