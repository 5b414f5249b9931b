// SPDX-License-Identifier: MIT
// The x86-64 back end: the rules for the register allocator, and what each IR operation becomes.
//
// Baseline is x86-64 with SSE2; where BMI, LZCNT, POPCNT, FMA, SSE4.1 and PCLMULQDQ are there they are used,
// else the operation is lowered to a call.
#define _GNU_SOURCE // memfd_create
#include "translator/host/x86_64.h"

#include <cpuid.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "translator/softops.h"

// Room that one unit may take at most, cold code included.
#define UNIT_SIZE_MAX (256u << 10)

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
    case IR_ADD: return fresh(RA_R, RA_R | imm);
    case IR_MUL: return imm ? fresh(RA_R, RA_I) : tied(RA_R, RA_R | RA_M);
    case IR_SUB:
    case IR_AND:
    case IR_OR:
    case IR_XOR: return tied(RA_R, RA_R | RA_M | imm);
    case IR_ANDN: return h->bmi ? fresh(RA_R, RA_R) : tied(RA_R, RA_R);
    case IR_MULHS:
    case IR_MULHU: return fresh(RA_R, RA_R | RA_M);
    case IR_DIVS:
    case IR_DIVU:
    case IR_REMS:
    case IR_REMU: return fresh(RA_R, RA_R);
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR: return shift_rule(h, ir, in);
    case IR_NOT:
    case IR_NEG:
    case IR_BSWAP: return tied(RA_R, 0);
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
    case IR_SEXT:
    case IR_ZEXT:
    case IR_TRUNC: return fresh(RA_R | RA_M, 0);
    case IR_CLMUL:
    case IR_CLMULH: return fresh(RA_R, RA_R);
    case IR_SETC: return fresh(RA_R, RA_R | RA_M | imm);
    case IR_SEL:
        return (struct ra_rule){.arg = {RA_R, RA_R | RA_M | imm, RA_R | RA_M, RA_R},
                                .result = RA_TIED,
                                .tied = 3};
    case IR_CHK: return in->aux & CHK_SHARED ? fresh(RA_R, 0) : effect(0, 0, 0);
    case IR_LD:
    case IR_ST: return access_rule(ir, in);
    case IR_BITCAST: return fresh(RA_R | RA_M, 0);
    case IR_BOX: return tied(RA_R, 0);
    case IR_UNBOX: return fresh(RA_R | RA_M, 0);
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV: return tied(RA_R, RA_R | RA_M);
    case IR_FSQRT:
    case IR_FCVT:
    case IR_FROUND: return fresh(RA_R, 0);
    case IR_FTOI: return (struct ra_rule){.arg = {RA_R}, .result = RA_NEW};
    case IR_ITOF: return fresh(RA_R, 0);
    case IR_FMA: return (struct ra_rule){.arg = {RA_R, RA_R, RA_R}, .result = RA_EARLY};
    case IR_FCMP: return fresh(RA_R, RA_R);
    case IR_FCANON: return tied(RA_R, 0);
    case IR_CALL: return (struct ra_rule){.call = true};
    case IR_BR: return effect(RA_R, RA_R | RA_M | imm, 0);
    case IR_JMP:
    case IR_RAISE: return effect(RA_R, 0, 0);
    default: return effect(0, 0, 0);
    }
}

// ---- Moves for the allocator ----

static void move(void *opaque, enum ir_type type, unsigned dst, unsigned src)
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
        move(h, type, dst, from->reg);
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

// ---- Integers ----

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

static void emit_mulh(struct x86 *h, bool is_signed, unsigned w, unsigned dst, const struct ra_operand *a,
                      const struct ra_operand *b)
{
    emit_rr(&h->a, O_MOV | w, RAX, a->reg);
    if (b->kind == RA_IN_REG)
        emit_rr(&h->a, O_GROUP3 | w, is_signed ? G3_IMUL : G3_MUL, b->reg);
    else
        emit_rm(&h->a, O_GROUP3 | w, is_signed ? G3_IMUL : G3_MUL, operand_mem(b));
    emit_rr(&h->a, O_MOV | w, dst, RDX);
}

// Division with the IR's results for zero and overflow. Results are made in rax.
static void emit_div(struct x86 *h, enum ir_opcode op, unsigned w, unsigned dst, unsigned ra, unsigned rb)
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
    static const uint8_t group[] = {[IR_SHL] = G2_SHL, [IR_SHR] = G2_SHR, [IR_SAR] = G2_SAR,
                                    [IR_ROTL] = G2_ROL, [IR_ROTR] = G2_ROR};
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

static void emit_reg_or_mem(struct x86 *h, unsigned op, unsigned dst, const struct ra_operand *a)
{
    if (a->kind == RA_IN_REG)
        emit_rr(&h->a, op, dst, a->reg);
    else
        emit_rm(&h->a, op, dst, operand_mem(a));
}

static void emit_count(struct x86 *h, enum ir_opcode op, unsigned w, unsigned dst, const struct ra_operand *a)
{
    unsigned o = op == IR_CLZ ? O_LZCNT : op == IR_CTZ ? O_TZCNT : O_POPCNT;
    emit_reg_or_mem(h, o | w, dst, a);
}

static void emit_extend(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *a)
{
    unsigned w = width(in->type), op;
    if (in->op == IR_SEXT)
        op = in->aux == 8 ? O_MOVSX8 | w : in->aux == 16 ? O_MOVSX16 | w : w ? O_MOVSXD | w : O_MOV;
    else
        op = in->aux == 8 ? O_MOVZX8 : in->aux == 16 ? O_MOVZX16 : O_MOV;
    emit_reg_or_mem(h, op, dst, a);
}

static enum x86_cc cc_of(enum ir_cond cond)
{
    static const uint8_t cc[IR_NR_CONDS] = {
        [IR_EQ] = CC_E,   [IR_NE] = CC_NE,  [IR_LT] = CC_L,  [IR_GE] = CC_GE, [IR_LTU] = CC_B,
        [IR_GEU] = CC_AE, [IR_LE] = CC_LE,  [IR_GT] = CC_G,  [IR_LEU] = CC_BE, [IR_GTU] = CC_A};
    return cc[cond];
}

static void emit_compare(struct x86 *h, const struct ra_operand *a, const struct ra_operand *b)
{
    unsigned w = width(a->type);
    if (b->kind == RA_IMM && b->imm == 0)
        emit_rr(&h->a, O_TEST | w, a->reg, a->reg);
    else
        emit_alu(h, O_CMP, G1_CMP, w, a->reg, b);
}

static void emit_setc(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *arg)
{
    emit_compare(h, &arg[0], &arg[1]);
    emit_rr(&h->a, O_SETCC | cc_of(in->aux), 0, RAX);
    emit_rr(&h->a, O_MOVZX8, dst, RAX);
}

static void emit_sel(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *arg)
{
    emit_compare(h, &arg[0], &arg[1]);
    emit_reg_or_mem(h, O_CMOV | cc_of(in->aux) | width(in->type), dst, &arg[2]);
}

static void emit_clmul(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *arg)
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

// ---- Memory ----

static uint32_t new_point(struct x86 *h)
{
    struct ra_exit_var map[IR_MAX_VARS];
    unsigned n = ra_capture(&h->ra, map);
    struct x86_exit_var *kept = n ? units_alloc(h->units, n * sizeof(*kept)) : NULL;
    for (unsigned i = 0; i < n; i++) {
        const struct ra_operand *o = &map[i].where;
        assert(o->kind != RA_HOME);
        kept[i] = (struct x86_exit_var){.home = h->ir->vars[map[i].var].offset,
                                        .kind = o->kind,
                                        .type = o->type,
                                        .at = o->kind == RA_IN_REG ? o->reg : o->at,
                                        .imm = o->imm};
    }
    struct x86_point pt = {.pc = h->guest_pc,
                           .map = kept,
                           .nr_map = n,
                           .left = h->ir->nr_guest - h->guest_insn,
                           .regime = h->ir->regime};
    g_array_append_val(h->points, pt);
    return h->points->len - 1;
}

static struct x86_point *point_at(struct x86 *h, uint32_t index)
{
    return &g_array_index(h->points, struct x86_point, index);
}

// Probes the TLB for `span` bytes at [base + offset]. Then the host's address is rcx + rax. Returns the
// jump to the cold side; *misaligned another, or NULL.
static uint8_t *emit_tlb_probe(struct x86 *h, const struct ra_operand *base, int32_t offset, unsigned span,
                               bool write, bool align, uint8_t **misaligned)
{
    struct x86_asm *a = &h->a;
    struct x86_mem entry = cpu_mem(offsetof(struct cpu, tlb) + sizeof(struct tlb_entry) * TLB_SIZE * h->ir->regime);
    entry.index = RCX;
    struct x86_mem tag = entry, host = entry;
    tag.disp += offsetof(struct tlb_entry, tag[write ? TLB_WRITE : TLB_READ]);
    host.disp += offsetof(struct tlb_entry, host);
    unsigned w = width(base->type);
    if (offset)
        emit_rm(a, O_LEA | w, RAX, (struct x86_mem){base->reg, X86_NO_REG, offset});
    else
        emit_rr(a, O_MOV | w, RAX, base->reg);
    *misaligned = NULL;
    if (align && span > 1) {
        emit8(a, 0xa8); // test al, imm8
        emit8(a, span - 1);
        *misaligned = emit_jcc(a, CC_NE);
    }
    // Entries are of 32 bytes: (addr >> 12 & (TLB_SIZE - 1)) << 5.
    if (h->bmi) {
        emit_vex(a, 3, 3, false, 0xf0, RCX, 0, RAX); // rorx
        emit8(a, PAGE_BITS - 5);
    } else {
        emit_rr(a, O_MOV, RCX, RAX);
        emit_shift_imm(a, 0, G2_SHR, RCX, PAGE_BITS - 5);
    }
    emit_group1_r(a, 0, G1_AND, RCX, (TLB_SIZE - 1) << 5);
    emit_rm(a, O_XOR | P_W, RAX, tag);
    emit_group1_r(a, P_W, G1_CMP, RAX, PAGE_SIZE - span);
    uint8_t *miss = emit_jcc(a, CC_A);
    emit_rm(a, O_MOV | P_W, RCX, host);
    return miss;
}

static void add_cold(struct x86 *h, struct x86_cold c)
{
    g_array_append_val(h->cold, c);
}

static void emit_check(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                       const struct ra_operand *arg)
{
    if (!(in->aux & CHK_SHARED))
        return;
    uint32_t pt = new_point(h);
    point_at(h, pt)->span = in->x;
    point_at(h, pt)->flags = in->aux;
    uint8_t *misaligned;
    uint8_t *miss = emit_tlb_probe(h, &arg[0], (int32_t)in->imm, in->x, in->aux & CHK_WRITE,
                                   in->aux & CHK_ALIGN, &misaligned);
    emit_rm(&h->a, O_LEA | P_W, dst, (struct x86_mem){RCX, RAX, 0});
    add_cold(h, (struct x86_cold){.kind = COLD_CHECK,
                                  .from = miss,
                                  .from2 = misaligned,
                                  .back = h->a.p,
                                  .point = pt,
                                  .r = r,
                                  .dst = dst,
                                  .arg = {arg[0]}});
}

static void emit_load_from(struct x86 *h, const struct ir_insn *in, unsigned dst, struct x86_mem m)
{
    unsigned w = in->aux & MO_SIGN ? width(in->type) : 0;
    if (ir_type_is_float(in->type)) {
        emit_rm(&h->a, O_MOVS | scalar(in->type), dst, m);
        return;
    }
    switch (in->aux & (MO_SIZE | MO_SIGN)) {
    case MO_8: emit_rm(&h->a, O_MOVZX8 & ~P_BYTE_RM, dst, m); break;
    case MO_16: emit_rm(&h->a, O_MOVZX16, dst, m); break;
    case MO_8 | MO_SIGN: emit_rm(&h->a, (O_MOVSX8 & ~P_BYTE_RM) | w, dst, m); break;
    case MO_16 | MO_SIGN: emit_rm(&h->a, O_MOVSX16 | w, dst, m); break;
    case MO_32 | MO_SIGN: emit_rm(&h->a, w ? O_MOVSXD | w : O_MOV, dst, m); break;
    case MO_32: emit_rm(&h->a, O_MOV, dst, m); break;
    default: emit_rm(&h->a, O_MOV | P_W, dst, m); break;
    }
}

static void emit_store_to(struct x86 *h, const struct ir_insn *in, const struct ra_operand *v,
                          struct x86_mem m)
{
    struct x86_asm *a = &h->a;
    unsigned size = in->aux & MO_SIZE;
    if (ir_type_is_float(v->type)) {
        emit_rm(a, O_MOVS_STORE | scalar(v->type), v->reg, m);
    } else if (v->kind == RA_IMM) {
        unsigned op = size == MO_8 ? O_MOV8_I8 : O_MOV_I32;
        emit_rm(a, op | (size == MO_16 ? P_66 : size == MO_64 ? P_W : 0), 0, m);
        size == MO_8 ? emit8(a, v->imm) : size == MO_16 ? (emit8(a, v->imm), emit8(a, v->imm >> 8))
                                                        : emit32(a, v->imm);
    } else {
        static const unsigned op[] = {O_MOV8_STORE, O_MOV16_STORE, O_MOV_STORE, O_MOV_STORE | P_W};
        emit_rm(a, op[size], v->reg, m);
    }
}

static void emit_access(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                        const struct ra_operand *arg)
{
    const struct ir_insn *chk = &h->ir->insn[in->arg[1]];
    bool write = in->op == IR_ST, swap = in->aux & MO_BSWAP;
    if (chk->aux & CHK_SHARED) {
        assert(!swap);
        struct x86_mem m = {arg[1].reg, X86_NO_REG, (int32_t)(in->imm - chk->imm)};
        write ? emit_store_to(h, in, &arg[2], m) : emit_load_from(h, in, dst, m);
        return;
    }
    uint32_t pt = new_point(h);
    point_at(h, pt)->memop = in->aux;
    point_at(h, pt)->write = write;
    uint8_t *misaligned = NULL, *miss;
    if (swap) {
        miss = emit_jmp(&h->a); // the other byte order goes the slow way
    } else {
        miss = emit_tlb_probe(h, &arg[0], (int32_t)in->imm, chk->x, chk->aux & CHK_WRITE,
                              chk->aux & CHK_ALIGN, &misaligned);
        struct x86_mem m = {RCX, RAX, 0};
        write ? emit_store_to(h, in, &arg[2], m) : emit_load_from(h, in, dst, m);
    }
    add_cold(h, (struct x86_cold){.kind = write ? COLD_STORE : COLD_LOAD,
                                  .from = miss,
                                  .from2 = misaligned,
                                  .back = h->a.p,
                                  .point = pt,
                                  .r = r,
                                  .dst = dst,
                                  .arg = {arg[0], arg[1], arg[2]}});
}

// ---- Floating point ----

static unsigned host_rc(unsigned rm)
{
    static const uint8_t rc[] = {[FP_RNE] = 0, [FP_RTZ] = 3, [FP_RDN] = 1, [FP_RUP] = 2, [FP_RMM] = 0};
    return rc[rm];
}

static void emit_bitcast(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *a)
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
    add_cold(h, (struct x86_cold){.kind = COLD_NAN, .from = not_boxed, .back = h->a.p, .r = r, .dst = dst});
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
    add_cold(h, (struct x86_cold){.kind = COLD_NAN, .from = nan, .back = h->a.p, .r = r, .dst = dst});
}

static void emit_fma(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                     const struct ra_operand *arg)
{
    static const uint8_t op[] = {0xb9, 0xbd, 0xbb, 0xbf}; // by ir_fma_flags: fmadd, fnmadd, fmsub, fnmsub
    emit_rr(&h->a, O_MOVAPS, dst, arg[2].reg);
    emit_vex(&h->a, 2, 1, in->type == IR_F64, op[in->aux], dst, arg[0].reg, arg[1].reg);
    emit_rr(&h->a, O_UCOMIS | (in->type == IR_F32 ? 0 : P_66), dst, dst);
    uint8_t *nan = emit_jcc(&h->a, CC_P);
    add_cold(h, (struct x86_cold){.kind = COLD_FMA,
                                  .from = nan,
                                  .back = h->a.p,
                                  .r = r,
                                  .dst = dst,
                                  .arg = {arg[0], arg[1], arg[2]}});
}

static void emit_fcmp(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *arg)
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

static void emit_itof(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *a)
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
    add_cold(h, (struct x86_cold){
                    .kind = COLD_FTOI, .from = smallest, .back = h->a.p, .r = r, .dst = dst, .arg = {*a}});
}

static void emit_fround(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *a)
{
    emit_rr(&h->a, in->type == IR_F32 ? O_ROUNDSS : O_ROUNDSD, dst, a->reg);
    emit8(&h->a, host_rc(in->x) | (in->aux & IR_INEXACT ? 0 : 8));
}

static void emit_farith(struct x86 *h, const struct ir_insn *in, unsigned dst, const struct ra_operand *arg)
{
    static const unsigned op[] = {
        [IR_FADD] = O_ADDS, [IR_FSUB] = O_SUBS, [IR_FMUL] = O_MULS, [IR_FDIV] = O_DIVS};
    emit_reg_or_mem(h, op[in->op] | scalar(in->type), dst, &arg[1]);
}

// ---- Calls and exits ----

// Flags so far into cpu->fp.flags, so that the function sees them and may change them.
static void emit_publish_fp_flags(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    emit_rm(a, O_MXCSR, 3, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    emit_rm(a, O_MOV, RAX, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    emit_group1_r(a, 0, G1_AND, RAX, 0x3d);
    emit_rm(a, O_OR8_STORE, RAX, CPU_MEM(fp.flags));
    emit_rm(a, O_MXCSR, 2, CPU_MEM(fp_control));
}

static void emit_push_operand(struct x86 *h, const struct ra_operand *o, unsigned pushed)
{
    struct x86_asm *a = &h->a;
    if (o->kind == RA_IN_REG && !ir_type_is_float(o->type)) {
        emit_push(a, o->reg);
        return;
    }
    if (o->kind == RA_IN_REG) {
        emit_rr(a, O_MOVD_FROM_X | (o->type == IR_F64 ? P_W : 0), o->reg, RAX);
    } else if (o->kind == RA_IMM) {
        emit_mov_imm(a, RAX, o->imm);
    } else {
        struct x86_mem m = operand_mem(o);
        if (m.base == RSP)
            m.disp += 8 * pushed;
        emit_rm(a, O_MOV | (ir_type_bytes(o->type) == 8 ? P_W : 0), RAX, m);
    }
    emit_push(a, RAX);
}

// Arguments go over the stack: any of them may be in a register that another one needs.
static void emit_arguments(struct x86 *h, const struct ir_insn *in, const struct ra_operand arg[4])
{
    static const uint8_t to[4] = {RSI, RDX, RCX, R8};
    struct x86_asm *a = &h->a;
    unsigned n = 0;
    uint8_t order[4];
    for (unsigned k = 0; k < 4; k++) {
        if (arg[k].kind == RA_NOWHERE)
            continue;
        emit_push_operand(h, &arg[k], n);
        order[n++] = k;
    }
    while (n-- > 0) {
        unsigned k = order[n];
        emit_pop(a, to[k]);
        if (arg[k].type == IR_I32)
            emit_rr(a, O_MOV, to[k], to[k]);
    }
    for (unsigned k = 0; k < 4; k++)
        if (arg[k].kind == RA_NOWHERE)
            emit_mov_imm(a, to[k], k == 3 ? in->imm : 0);
    emit_rm(a, O_LEA | P_W, RDI, cpu_mem(0));
}

static void emit_call(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand arg[4])
{
    struct x86_asm *a = &h->a;
    const struct ir_call *call = &h->ir->call[in->x];
    if (call->flags & CALL_FP)
        emit_publish_fp_flags(h);
    if (call->flags & (CALL_TIME | CALL_FAULT)) { // what may fault may access devices, which see the time
        emit_rm(a, O_MOV_I32, 0, CPU_MEM(unit_left));
        emit32(a, h->ir->nr_guest - h->guest_insn);
    }
    emit_arguments(h, in, arg);
    emit_mov_imm(a, RAX, (uintptr_t)call->fn);
    emit_rr(a, O_GROUP5, 2, RAX);
    if (dst != RA_NO_REG && ir_type_is_float(in->type))
        emit_rr(a, O_MOVD_TO_X | (in->type == IR_F64 ? P_W : 0), dst, RAX);
    else if (dst != RA_NO_REG)
        emit_rr(a, O_MOV | width(in->type), dst, RAX);
    if (!(call->flags & CALL_FAULT))
        return;
    emit_rm(a, O_GROUP1_8, G1_CMP, CPU_MEM(fault.pending));
    emit8(a, 0);
    uint8_t *failed = emit_jcc(a, CC_NE);
    add_cold(h, (struct x86_cold){
                    .kind = COLD_CALL_FAULT, .from = failed, .point = new_point(h), .r = r});
}

static void emit_br(struct x86 *h, ir_ref r, const struct ir_insn *in, const struct ra_operand *arg)
{
    emit_compare(h, &arg[0], &arg[1]);
    struct x86_cold c = {.kind = COLD_BRANCH, .from = emit_jcc(&h->a, cc_of(in->aux)), .r = r};
    struct ra_exit_var map[IR_MAX_VARS];
    c.map = h->maps->len;
    c.nr_map = ra_capture(&h->ra, map);
    g_array_append_vals(h->maps, map, c.nr_map);
    add_cold(h, c);
}

static void write_back_now(struct x86 *h)
{
    struct ra_exit_var map[IR_MAX_VARS];
    unsigned n = ra_capture(&h->ra, map);
    x86_emit_write_back(h, map, n);
}

static void emit_jmp_indirect(struct x86 *h, const struct ir_insn *in, const struct ra_operand *target)
{
    struct x86_asm *a = &h->a;
    const struct ir_exit *exit = &h->ir->exit[in->x];
    write_back_now(h);
    assert(exit->insns == h->unit->insns);
    (void)exit;
    emit_rr(a, O_MOV | width(target->type), RAX, target->reg);
    if (h->unit->key >> CPU_KEY_BITS == CPU_SINGLE)
        emit_jmp_to(a, h->stubs.leave_pc);
    else
        x86_emit_probe(h);
}

static void emit_leave(struct x86 *h, const struct ir_insn *in)
{
    const struct ir_exit *exit = &h->ir->exit[in->x];
    write_back_now(h);
    unsigned unused = h->unit->insns - exit->insns;
    if (unused)
        emit_group1_m(&h->a, P_W, G1_ADD, CPU_MEM(budget), unused);
    bool look_up_here = in->aux == LEAVE_LOOKUP && h->unit->key >> CPU_KEY_BITS != CPU_SINGLE;
    if (!look_up_here) {
        emit_rm(&h->a, O_MOV_I32, 0, CPU_MEM(leave));
        emit32(&h->a, in->aux);
    }
    emit_mov_imm(&h->a, RAX, exit->pc);
    emit_jmp_to(&h->a, look_up_here ? h->stubs.jump : h->stubs.leave_pc);
}

static void emit_raise(struct x86 *h, const struct ir_insn *in, const struct ra_operand *value)
{
    struct x86_asm *a = &h->a;
    uint32_t pt = new_point(h);
    emit_rm(a, O_MOV8_I8, 0, CPU_MEM(fault.pending));
    emit8(a, 1);
    emit_rm(a, O_MOV_I32, 0, CPU_MEM(fault.cause));
    emit32(a, in->imm);
    // An i32 is zero-extended.
    emit_rr(a, O_MOV | width(value->type), RAX, value->reg);
    emit_rm(a, O_MOV_STORE | P_W, RAX, CPU_MEM(fault.value));
    emit_rm(a, O_MOV_I32 | P_W, 0, CPU_MEM(slow_value));
    emit32(a, pt);
    emit_jmp_to(a, h->stubs.fault);
}

// ---- Loops ----

static void loop_head(void *opaque, const struct ra_exit_var *map, unsigned n)
{
    struct x86 *h = opaque;
    h->loop_head = h->a.p;
    h->loop_map = h->maps->len;
    h->nr_loop_map = n;
    g_array_append_vals(h->maps, map, n);
}

struct x86_move {
    enum ir_type type;
    uint8_t dst, src;
    bool done;
};

// Whether a move that is still to be done reads the register.
static bool is_read(const struct x86_move *m, unsigned n, const struct x86_move *by)
{
    for (unsigned i = 0; i < n; i++)
        if (!m[i].done && &m[i] != by && m[i].src == by->dst &&
            ir_type_is_float(m[i].type) == ir_type_is_float(by->type))
            return true;
    return false;
}

// Moves all at once. What is left when no destination is free are cycles: a scratch register opens them.
static void emit_parallel_moves(struct x86 *h, struct x86_move *m, unsigned n)
{
    for (unsigned left = n; left > 0;) {
        unsigned before = left;
        for (unsigned i = 0; i < n; i++) {
            if (m[i].done || is_read(m, n, &m[i]))
                continue;
            if (m[i].dst != m[i].src)
                move(h, m[i].type, m[i].dst, m[i].src);
            m[i].done = true;
            left--;
        }
        if (left < before || !left)
            continue;
        unsigned i = 0;
        while (m[i].done)
            i++;
        bool is_float = ir_type_is_float(m[i].type);
        unsigned scratch = is_float ? 15 : RAX;
        // The full width: others of the cycle may be wider.
        move(h, is_float ? IR_F64 : IR_I64, scratch, m[i].src);
        m[i].src = scratch;
    }
}

// From where the variables are now to where the loop's top has them.
static void emit_carry(struct x86 *h)
{
    struct ra_exit_var now[IR_MAX_VARS];
    struct x86_move moves[IR_MAX_VARS];
    unsigned n = ra_capture(&h->ra, now), nr_moves = 0;
    const struct ra_exit_var *top = &g_array_index(h->maps, struct ra_exit_var, h->loop_map);
    assert(n == h->nr_loop_map);
    for (unsigned i = 0; i < n; i++) {
        assert(now[i].var == top[i].var);
        if (now[i].where.kind == RA_IN_REG)
            moves[nr_moves++] =
                (struct x86_move){now[i].where.type, top[i].where.reg, now[i].where.reg, false};
    }
    emit_parallel_moves(h, moves, nr_moves);
    for (unsigned i = 0; i < n; i++)
        if (now[i].where.kind != RA_IN_REG)
            x86_load(h, now[i].where.type, top[i].where.reg, &now[i].where);
}

// The unit goes back to its own head.
static void emit_loop_back(struct x86 *h, ir_ref r)
{
    emit_carry(h);
    emit_group1_m(&h->a, P_W, G1_SUB, CPU_MEM(budget), h->unit->insns);
    uint8_t *over = emit_jcc(&h->a, CC_S);
    emit_jmp_to(&h->a, h->loop_head);
    add_cold(h, (struct x86_cold){
                    .kind = COLD_LOOP, .from = over, .r = r, .map = h->loop_map, .nr_map = h->nr_loop_map});
}

static void emit_exit(struct x86 *h, ir_ref r, const struct ir_insn *in)
{
    const struct ir_exit *exit = &h->ir->exit[in->x];
    if (h->loop_head && exit->pc == h->unit->pc) {
        emit_loop_back(h, r);
        return;
    }
    write_back_now(h);
    x86_emit_goto(h, exit->pc, exit->insns);
}

// ---- One instruction ----

static void emit(void *opaque, ir_ref r, const struct ra_operand arg[4], unsigned dst)
{
    struct x86 *h = opaque;
    const struct ir_insn *in = &h->ir->insn[r];
    unsigned w = width(in->type);
    switch (in->op) {
    case IR_INSN:
        h->guest_insn = in->aux;
        h->guest_pc = in->imm;
        break;
    case IR_ADD: emit_add(h, w, dst, &arg[0], &arg[1]); break;
    case IR_SUB: emit_alu(h, O_SUB, G1_SUB, w, dst, &arg[1]); break;
    case IR_AND: emit_alu(h, O_AND, G1_AND, w, dst, &arg[1]); break;
    case IR_OR: emit_alu(h, O_OR, G1_OR, w, dst, &arg[1]); break;
    case IR_XOR: emit_alu(h, O_XOR, G1_XOR, w, dst, &arg[1]); break;
    case IR_ANDN: emit_andn(h, w, dst, &arg[0], &arg[1]); break;
    case IR_MUL: emit_mul(h, w, dst, &arg[0], &arg[1]); break;
    case IR_MULHS: emit_mulh(h, true, w, dst, &arg[0], &arg[1]); break;
    case IR_MULHU: emit_mulh(h, false, w, dst, &arg[0], &arg[1]); break;
    case IR_DIVS:
    case IR_DIVU:
    case IR_REMS:
    case IR_REMU: emit_div(h, in->op, w, dst, arg[0].reg, arg[1].reg); break;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR: emit_shift(h, in->op, in->type, dst, &arg[0], &arg[1]); break;
    case IR_NOT: emit_rr(&h->a, O_GROUP3 | w, G3_NOT, dst); break;
    case IR_NEG: emit_rr(&h->a, O_GROUP3 | w, G3_NEG, dst); break;
    case IR_BSWAP: emit_opcode(&h->a, (0xc8 + (dst & 7)) | P_0F | w, 0, 0, dst); break;
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT: emit_count(h, in->op, w, dst, &arg[0]); break;
    case IR_SEXT:
    case IR_ZEXT: emit_extend(h, in, dst, &arg[0]); break;
    case IR_TRUNC:
        if (arg[0].kind != RA_IN_REG || arg[0].reg != dst)
            emit_reg_or_mem(h, O_MOV, dst, &arg[0]);
        break;
    case IR_CLMUL:
    case IR_CLMULH: emit_clmul(h, in, dst, arg); break;
    case IR_SETC: emit_setc(h, in, dst, arg); break;
    case IR_SEL: emit_sel(h, in, dst, arg); break;
    case IR_CHK: emit_check(h, r, in, dst, arg); break;
    case IR_LD:
    case IR_ST: emit_access(h, r, in, dst, arg); break;
    case IR_BITCAST: emit_bitcast(h, in, dst, &arg[0]); break;
    case IR_BOX: emit_box(h, dst); break;
    case IR_UNBOX: emit_unbox(h, r, dst, &arg[0]); break;
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV: emit_farith(h, in, dst, arg); break;
    case IR_FSQRT: emit_rr(&h->a, O_SQRTS | scalar(in->type), dst, arg[0].reg); break;
    case IR_FCVT: emit_rr(&h->a, O_CVTS2S | scalar(arg[0].type), dst, arg[0].reg); break;
    case IR_FMA: emit_fma(h, r, in, dst, arg); break;
    case IR_FCMP: emit_fcmp(h, in, dst, arg); break;
    case IR_FCANON: emit_fcanon(h, r, in, dst); break;
    case IR_ITOF: emit_itof(h, in, dst, &arg[0]); break;
    case IR_FTOI: emit_ftoi(h, r, in, dst, &arg[0]); break;
    case IR_FROUND: emit_fround(h, in, dst, &arg[0]); break;
    case IR_CALL: emit_call(h, r, in, dst, arg); break;
    case IR_BR: emit_br(h, r, in, arg); break;
    case IR_EXIT: emit_exit(h, r, in); break;
    case IR_JMP: emit_jmp_indirect(h, in, &arg[0]); break;
    case IR_LEAVE: emit_leave(h, in); break;
    case IR_RAISE: emit_raise(h, in, &arg[0]); break;
    default: g_assert_not_reached();
    }
}

const struct ra_host x86_ra_host = {
    .regs = {[RA_GPR] = LIMIT_GPRS, [RA_FPR] = (1 << NR_XMM) - 1},
    .clobbered = {[RA_GPR] = 1 << RSI | 1 << RDI | 1 << R8 | 1 << R9 | 1 << R10 | 1 << R11,
                  [RA_FPR] = (1 << NR_XMM) - 1},
    .rule = rule,
    .emit = emit,
    .move = move,
    .load = x86_load,
    .spill = spill,
    .loop_head = loop_head,
};

// ---- Lowering ----

static bool depends_on_rm(const struct ir *ir, const struct ir_insn *in)
{
    enum ir_type from = ir_type_of(ir, in->arg[0]);
    switch (in->op) {
    case IR_FCMP: return false;
    case IR_FCVT: return in->type == IR_F32;
    case IR_ITOF: return !(in->type == IR_F64 && from == IR_I32);
    case IR_FTOI: return in->x != FP_RTZ;
    case IR_FROUND: return in->x == FP_RMM;
    default: return true;
    }
}

static bool lacks_float(const struct x86 *h, const struct ir *ir, const struct ir_insn *in)
{
    unsigned host_rm = ir->rm == FP_RMM ? FP_RNE : ir->rm;
    if (depends_on_rm(ir, in) && in->x != host_rm)
        return true;
    if (in->op == IR_FMA)
        return !h->fma;
    if (in->op == IR_FROUND)
        return !h->sse41;
    if (in->op == IR_FTOI)
        return in->aux & IR_UNSIGNED;
    if (in->op == IR_ITOF)
        return in->aux & IR_UNSIGNED && ir_type_of(ir, in->arg[0]) == IR_I64;
    return false;
}

static bool lacks(const struct x86 *h, const struct ir *ir, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_CLZ: return !h->lzcnt;
    case IR_CTZ: return !h->bmi;
    case IR_POPCNT: return !h->popcnt;
    case IR_CLMUL:
    case IR_CLMULH: return !h->clmul;
    default: return ir_op_info[in->op].flags & OPF_FLOAT && lacks_float(h, ir, in);
    }
}

static bool lower(const struct x86 *h, struct ir *ir)
{
    for (unsigned r = 1; r < ir->nr_insns; r++) {
        if (!lacks(h, ir, &ir->insn[r]))
            continue;
        if (ir->nr_calls == IR_MAX_CALLS)
            return false;
        softop_lower(ir, r);
    }
    return true;
}

// ---- The contract ----

static void find_features(struct x86 *h)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        // VEX-encoded instructions also need the system's support for AVX state.
        bool avx = c & bit_OSXSAVE && c & bit_AVX;
        h->fma = avx && c & bit_FMA;
        h->popcnt = c & bit_POPCNT;
        h->sse41 = c & bit_SSE4_1;
        h->clmul = c & bit_PCLMUL;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        h->bmi = b & bit_BMI && b & bit_BMI2;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        h->lzcnt = c & bit_LZCNT;
}

static bool map_buffer(struct x86 *h, GError **error)
{
    h->fd = memfd_create("ferry-code", MFD_CLOEXEC);
    if (h->fd >= 0 && ftruncate(h->fd, h->size) == 0) {
        h->rw = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
        h->rx = mmap(NULL, h->size, PROT_READ | PROT_EXEC, MAP_SHARED, h->fd, 0);
    }
    if (h->rw != MAP_FAILED && h->rx != MAP_FAILED && h->rw && h->rx)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                "cannot map %zu MiB for translated code: %s (try -accel interp)", h->size >> 20,
                g_strerror(errno));
    return false;
}

static void x86_free(void *opaque)
{
    struct x86 *h = opaque;
    if (h->rw && h->rw != MAP_FAILED)
        munmap(h->rw, h->size);
    if (h->rx && h->rx != MAP_FAILED)
        munmap(h->rx, h->size);
    if (h->fd >= 0)
        close(h->fd);
    g_array_free(h->points, TRUE);
    g_array_free(h->cold, TRUE);
    g_array_free(h->maps, TRUE);
    g_free(h);
}

static void *x86_init(struct units *units, size_t code_size, GError **error)
{
    struct x86 *h = g_new0(struct x86, 1);
    h->units = units;
    h->fd = -1;
    h->size = MAX(code_size ? code_size : LIMIT_CODE_SIZE, 4 * UNIT_SIZE_MAX);
    h->points = g_array_new(FALSE, FALSE, sizeof(struct x86_point));
    h->cold = g_array_new(FALSE, FALSE, sizeof(struct x86_cold));
    h->maps = g_array_new(FALSE, FALSE, sizeof(struct ra_exit_var));
    if (!map_buffer(h, error)) {
        x86_free(h);
        return NULL;
    }
    find_features(h);
    h->a = (struct x86_asm){h->rw, h->rw + h->size};
    x86_emit_stubs(h);
    h->used = h->stubs_end = h->a.p - h->rw;
    return h;
}

static void x86_attach(void *opaque, struct cpu *cpu)
{
    struct x86 *h = opaque;
    cpu->host_code = h->rx;
}

static void x86_clear(void *opaque)
{
    struct x86 *h = opaque;
    h->used = h->stubs_end;
    g_array_set_size(h->points, 0);
}

// The unit's head takes its length off the budget, and leaves when that is more than there is.
static void emit_head(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    emit_group1_m(a, P_W, G1_SUB, CPU_MEM(budget), h->unit->insns);
    h->over_budget = emit_jcc(a, CC_S);
}

static void emit_head_cold(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    patch_rel32(h->over_budget, a->p);
    emit_group1_m(a, P_W, G1_ADD, CPU_MEM(budget), h->unit->insns);
    emit_mov_imm(a, RAX, h->unit->pc);
    emit_jmp_to(a, h->stubs.leave_pc);
}

static enum host_compile x86_compile(void *opaque, struct ir *ir, struct unit *unit)
{
    struct x86 *h = opaque;
    if (h->size - h->used < UNIT_SIZE_MAX)
        return COMPILE_FULL;
    if (!lower(h, ir))
        return COMPILE_TOO_BIG;
    h->ir = ir;
    h->unit = unit;
    h->guest_insn = 0;
    h->loop_head = NULL;
    g_array_set_size(h->cold, 0);
    g_array_set_size(h->maps, 0);
    unit->code = align_up(h->used, 16);
    h->a.p = h->rw + unit->code;
    emit_head(h);
    if (!ra_run(&h->ra, &x86_ra_host, h, ir))
        return COMPILE_TOO_BIG;
    emit_head_cold(h);
    x86_emit_cold(h);
    assert((size_t)(h->a.p - h->rw) - unit->code <= UNIT_SIZE_MAX);
    h->used = h->a.p - h->rw;
    return COMPILE_OK;
}

static void x86_enter(void *opaque, struct cpu *cpu, const struct unit *unit)
{
    struct x86 *h = opaque;
    cpu->fp_control = 0x1f80 | host_rc(cpu->key_rm) << 13;
    void (*enter)(struct cpu *, const uint8_t *);
    const uint8_t *code = h->rx + (h->stubs.enter - h->rw);
    memcpy(&enter, &code, sizeof(enter));
    enter(cpu, h->rx + unit->code);
    // All but the denormal flag, which no guest of ours has by that rule.
    cpu->fp.flags |= cpu->host_scratch[SCRATCH_MXCSR] & 0x3d;
}

static void x86_link(void *opaque, struct unit_link *link, const struct unit *to)
{
    struct x86 *h = opaque;
    patch_rel32(h->rw + link->site, h->rw + to->code);
}

static void x86_unlink(void *opaque, struct unit_link *link)
{
    struct x86 *h = opaque;
    uint8_t *site = h->rw + link->site;
    patch_rel32(site, site + 4);
}

const struct host host_x86_64 = {
    .name = "dbt",
    .init = x86_init,
    .free = x86_free,
    .attach = x86_attach,
    .compile = x86_compile,
    .enter = x86_enter,
    .link = x86_link,
    .unlink = x86_unlink,
    .clear = x86_clear,
    .print = x86_print,
};
