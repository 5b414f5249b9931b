// SPDX-License-Identifier: MIT
// x86-64: what the integer operations of the IR become.
#include "translator/host/x86_64.h"

// op dst, operand
static void emit_alu(struct x86 *h, enum x86_op op, enum x86_group1 g, unsigned w, unsigned dst,
                     const struct ra_operand *b)
{
    if (b->kind == RA_IN_REG)
        emit_rr(&h->a, op | w, dst, b->reg);
    else if (b->kind == RA_IMM)
        emit_group1_r(&h->a, w, g, dst, (int32_t)b->imm);
    else
        emit_rm(&h->a, op | w, dst, operand_mem(b));
}

static void emit_add(struct x86 *h, unsigned w, unsigned dst, const struct ra_operand *a,
                     const struct ra_operand *b)
{
    if (b->kind == RA_IMM) {
        if (dst == a->reg)
            emit_group1_r(&h->a, w, G1_ADD, dst, (int32_t)b->imm);
        else
            emit_rm(&h->a, O_LEA | w, dst, (struct x86_mem){a->reg, X86_NO_REG, (int32_t)b->imm});
    } else if (dst == a->reg) {
        emit_rr(&h->a, O_ADD | w, dst, b->reg);
    } else if (dst == b->reg) {
        emit_rr(&h->a, O_ADD | w, dst, a->reg);
    } else {
        emit_rm(&h->a, O_LEA | w, dst, (struct x86_mem){a->reg, b->reg, 0});
    }
}

static void emit_mul(struct x86 *h, unsigned w, unsigned dst, const struct ra_operand *a,
                     const struct ra_operand *b)
{
    if (b->kind == RA_IMM) {
        int32_t imm = b->imm;
        bool small = imm == (int8_t)imm;
        emit_rr(&h->a, (small ? O_IMUL_I8 : O_IMUL_I32) | w, dst, a->reg);
        small ? emit8(&h->a, imm) : emit32(&h->a, imm);
    } else if (b->kind == RA_IN_REG) {
        emit_rr(&h->a, O_IMUL | w, dst, b->reg);
    } else {
        emit_rm(&h->a, O_IMUL | w, dst, operand_mem(b));
    }
}

static void emit_mulh(struct x86 *h, bool is_signed, unsigned w, unsigned dst,
                      const struct ra_operand *a, const struct ra_operand *b)
{
    emit_rr(&h->a, O_MOV | w, RAX, a->reg);
    if (b->kind == RA_IN_REG)
        emit_rr(&h->a, O_GROUP3 | w, is_signed ? G3_IMUL : G3_MUL, b->reg);
    else
        emit_rm(&h->a, O_GROUP3 | w, is_signed ? G3_IMUL : G3_MUL, operand_mem(b));
    emit_rr(&h->a, O_MOV | w, dst, RDX);
}

// Division with the IR's results for zero and overflow. Results are made in rax.
static void emit_div(struct x86 *h, enum ir_opcode op, unsigned w, unsigned dst, unsigned ra,
                     unsigned rb)
{
    struct x86_asm *a = &h->a;
    bool rem = op == IR_REMS || op == IR_REMU;
    bool is_signed = op == IR_DIVS || op == IR_REMS;
    emit_rr(a, O_TEST | w, rb, rb);
    uint8_t *zero = emit_jcc8(a, CC_E);
    emit_rr(a, O_MOV | w, RAX, ra);
    uint8_t *minus_one = NULL;
    if (is_signed) {
        emit_group1_r(a, w, G1_CMP, rb, -1);
        minus_one = emit_jcc8(a, CC_E);
        emit_opcode(a, 0x99 | w, 0, 0, 0); // cqo or cdq
        emit_rr(a, O_GROUP3 | w, G3_IDIV, rb);
    } else {
        emit_rr(a, O_XOR, RDX, RDX);
        emit_rr(a, O_GROUP3 | w, G3_DIV, rb);
    }
    if (rem)
        emit_rr(a, O_MOV | w, RAX, RDX);
    uint8_t *done = emit_jmp8(a), *done2 = NULL;
    if (is_signed) {
        // x / -1 is -x also where the host's division would trap.
        patch_rel8(a, minus_one);
        if (rem)
            emit_mov_imm(a, RAX, 0);
        else
            emit_rr(a, O_GROUP3 | w, G3_NEG, RAX);
        done2 = emit_jmp8(a);
    }
    patch_rel8(a, zero);
    if (rem)
        emit_rr(a, O_MOV | w, RAX, ra);
    else
        emit_mov_imm(a, RAX, UINT64_MAX);
    patch_rel8(a, done);
    if (done2)
        patch_rel8(a, done2);
    emit_rr(a, O_MOV | w, dst, RAX);
}

static void emit_shift(struct x86 *h, enum ir_opcode op, enum ir_type type, unsigned dst,
                       const struct ra_operand *a, const struct ra_operand *b)
{
    static const uint8_t group[] = {[IR_SHL] = G2_SHL,
                                    [IR_SHR] = G2_SHR,
                                    [IR_SAR] = G2_SAR,
                                    [IR_ROTL] = G2_ROL,
                                    [IR_ROTR] = G2_ROR};
    unsigned w = width(type);
    if (b->kind == RA_IMM) {
        emit_shift_imm(&h->a, w, group[op], dst, b->imm & (w ? 63 : 31));
    } else if (h->bmi && op != IR_ROTL && op != IR_ROTR) {
        unsigned pp = op == IR_SHL ? 1 : op == IR_SAR ? 2 : 3;
        emit_vex(&h->a, 2, pp, w, 0xf7, dst, b->reg, a->reg);
    } else {
        emit_rr(&h->a, O_MOV, RCX, b->reg);
        emit_rr(&h->a, O_GROUP2_CL | w, group[op], dst);
    }
}

static void emit_andn(struct x86 *h, unsigned w, unsigned dst, const struct ra_operand *a,
                      const struct ra_operand *b)
{
    if (h->bmi) {
        emit_vex(&h->a, 2, 0, w, 0xf2, dst, b->reg, a->reg);
        return;
    }
    emit_rr(&h->a, O_MOV | w, RAX, b->reg);
    emit_rr(&h->a, O_GROUP3 | w, G3_NOT, RAX);
    emit_rr(&h->a, O_AND | w, dst, RAX);
}

void x86_emit_reg_or_mem(struct x86 *h, unsigned op, unsigned dst, const struct ra_operand *a)
{
    if (a->kind == RA_IN_REG)
        emit_rr(&h->a, op, dst, a->reg);
    else
        emit_rm(&h->a, op, dst, operand_mem(a));
}

static void emit_count(struct x86 *h, enum ir_opcode op, unsigned w, unsigned dst,
                       const struct ra_operand *a)
{
    unsigned o = op == IR_CLZ ? O_LZCNT : op == IR_CTZ ? O_TZCNT : O_POPCNT;
    x86_emit_reg_or_mem(h, o | w, dst, a);
}

static void emit_extend(struct x86 *h, const struct ir_insn *in, unsigned dst,
                        const struct ra_operand *a)
{
    unsigned w = width(in->type), op;
    if (in->op == IR_SEXT)
        op = in->aux == 8 ? O_MOVSX8 | w : in->aux == 16 ? O_MOVSX16 | w : w ? O_MOVSXD | w : O_MOV;
    else
        op = in->aux == 8 ? O_MOVZX8 : in->aux == 16 ? O_MOVZX16 : O_MOV;
    x86_emit_reg_or_mem(h, op, dst, a);
}

enum x86_cc x86_cc_of(enum ir_cond cond)
{
    static const uint8_t cc[IR_NR_CONDS] = {
        [IR_EQ] = CC_E,   [IR_NE] = CC_NE, [IR_LT] = CC_L, [IR_GE] = CC_GE,  [IR_LTU] = CC_B,
        [IR_GEU] = CC_AE, [IR_LE] = CC_LE, [IR_GT] = CC_G, [IR_LEU] = CC_BE, [IR_GTU] = CC_A};
    return cc[cond];
}

void x86_emit_compare(struct x86 *h, const struct ra_operand *a, const struct ra_operand *b)
{
    unsigned w = width(a->type);
    if (b->kind == RA_IMM && b->imm == 0)
        emit_rr(&h->a, O_TEST | w, a->reg, a->reg);
    else
        emit_alu(h, O_CMP, G1_CMP, w, a->reg, b);
}

static void emit_setc(struct x86 *h, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand *arg)
{
    x86_emit_compare(h, &arg[0], &arg[1]);
    emit_rr(&h->a, O_SETCC | x86_cc_of(in->aux), 0, RAX);
    emit_rr(&h->a, O_MOVZX8, dst, RAX);
}

static void emit_sel(struct x86 *h, const struct ir_insn *in, unsigned dst,
                     const struct ra_operand *arg)
{
    x86_emit_compare(h, &arg[0], &arg[1]);
    x86_emit_reg_or_mem(h, O_CMOV | x86_cc_of(in->aux) | width(in->type), dst, &arg[2]);
}

static void emit_clmul(struct x86 *h, const struct ir_insn *in, unsigned dst,
                       const struct ra_operand *arg)
{
    struct x86_asm *a = &h->a;
    bool wide = in->type == IR_I64, high = in->op == IR_CLMULH;
    emit_rr(a, O_MOVD_TO_X | width(in->type), 14, arg[0].reg);
    emit_rr(a, O_MOVD_TO_X | width(in->type), 15, arg[1].reg);
    emit_rr(a, O_PCLMULQDQ, 14, 15);
    emit8(a, 0);
    if (wide && high) {
        emit_rr(a, O_PSRLDQ, 3, 14);
        emit8(a, 8);
    }
    emit_rr(a, O_MOVD_FROM_X | P_W, 14, dst);
    if (!wide && high)
        emit_shift_imm(a, P_W, G2_SHR, dst, 32);
}

void x86_emit_integer(struct x86 *h, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand arg[4])
{
    unsigned w = width(in->type);
    switch (in->op) {
    case IR_ADD:
        emit_add(h, w, dst, &arg[0], &arg[1]);
        break;
    case IR_SUB:
        emit_alu(h, O_SUB, G1_SUB, w, dst, &arg[1]);
        break;
    case IR_AND:
        emit_alu(h, O_AND, G1_AND, w, dst, &arg[1]);
        break;
    case IR_OR:
        emit_alu(h, O_OR, G1_OR, w, dst, &arg[1]);
        break;
    case IR_XOR:
        emit_alu(h, O_XOR, G1_XOR, w, dst, &arg[1]);
        break;
    case IR_ANDN:
        emit_andn(h, w, dst, &arg[0], &arg[1]);
        break;
    case IR_MUL:
        emit_mul(h, w, dst, &arg[0], &arg[1]);
        break;
    case IR_MULHS:
        emit_mulh(h, true, w, dst, &arg[0], &arg[1]);
        break;
    case IR_MULHU:
        emit_mulh(h, false, w, dst, &arg[0], &arg[1]);
        break;
    case IR_DIVS:
    case IR_DIVU:
    case IR_REMS:
    case IR_REMU:
        emit_div(h, in->op, w, dst, arg[0].reg, arg[1].reg);
        break;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR:
        emit_shift(h, in->op, in->type, dst, &arg[0], &arg[1]);
        break;
    case IR_NOT:
        emit_rr(&h->a, O_GROUP3 | w, G3_NOT, dst);
        break;
    case IR_NEG:
        emit_rr(&h->a, O_GROUP3 | w, G3_NEG, dst);
        break;
    case IR_BSWAP:
        emit_opcode(&h->a, (0xc8 + (dst & 7)) | P_0F | w, 0, 0, dst);
        break;
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
        emit_count(h, in->op, w, dst, &arg[0]);
        break;
    case IR_SEXT:
    case IR_ZEXT:
        emit_extend(h, in, dst, &arg[0]);
        break;
    case IR_TRUNC:
        if (arg[0].kind != RA_IN_REG || arg[0].reg != dst)
            x86_emit_reg_or_mem(h, O_MOV, dst, &arg[0]);
        break;
    case IR_CLMUL:
    case IR_CLMULH:
        emit_clmul(h, in, dst, arg);
        break;
    case IR_SETC:
        emit_setc(h, in, dst, arg);
        break;
    case IR_SEL:
        emit_sel(h, in, dst, arg);
        break;
    default:
        g_assert_not_reached();
    }
}
