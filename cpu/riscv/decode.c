// SPDX-License-Identifier: MIT
// See decode.h.
#include "cpu/riscv/decode.h"

#include <assert.h>

#include "cpu/riscv/lift.h"

// A pattern is a string of fixed layout, so that the compiler can turn it into numbers.
#define P(s, at, bit, c) ((uint32_t)((s)[at] c) << (bit))
#define PATTERN32(s, c)                                                                        \
    (P(s, 0, 31, c) | P(s, 1, 30, c) | P(s, 2, 29, c) | P(s, 3, 28, c) | P(s, 4, 27, c) |      \
     P(s, 5, 26, c) | P(s, 6, 25, c) | P(s, 8, 24, c) | P(s, 9, 23, c) | P(s, 10, 22, c) |     \
     P(s, 11, 21, c) | P(s, 12, 20, c) | P(s, 14, 19, c) | P(s, 15, 18, c) | P(s, 16, 17, c) | \
     P(s, 17, 16, c) | P(s, 18, 15, c) | P(s, 20, 14, c) | P(s, 21, 13, c) | P(s, 22, 12, c) | \
     P(s, 24, 11, c) | P(s, 25, 10, c) | P(s, 26, 9, c) | P(s, 27, 8, c) | P(s, 28, 7, c) |    \
     P(s, 30, 6, c) | P(s, 31, 5, c) | P(s, 32, 4, c) | P(s, 33, 3, c) | P(s, 34, 2, c) |      \
     P(s, 35, 1, c) | P(s, 36, 0, c))
#define PATTERN16(s, c)                                                                   \
    (P(s, 0, 15, c) | P(s, 1, 14, c) | P(s, 2, 13, c) | P(s, 4, 12, c) | P(s, 6, 11, c) | \
     P(s, 7, 10, c) | P(s, 8, 9, c) | P(s, 9, 8, c) | P(s, 10, 7, c) | P(s, 12, 6, c) |   \
     P(s, 13, 5, c) | P(s, 14, 4, c) | P(s, 15, 3, c) | P(s, 16, 2, c) | P(s, 18, 1, c) | \
     P(s, 19, 0, c))

const struct riscv_opcode riscv_opcodes[RV_NR_OPS] = {
#define INSN(name, pattern, layout, operands, condition, lift, arg) \
    {#name,                                                         \
     operands,                                                      \
     PATTERN32(pattern, != '.'),                                    \
     PATTERN32(pattern, == '1'),                                    \
     riscv_lift_##lift,                                             \
     arg,                                                           \
     RV_OP_##name,                                                  \
     RV_LAYOUT_##layout,                                            \
     4},
#define INSN16(name, pattern, layout, operands, condition, lift, arg) \
    {#name,                                                           \
     operands,                                                        \
     PATTERN16(pattern, != '.'),                                      \
     PATTERN16(pattern, == '1'),                                      \
     riscv_lift_##lift,                                               \
     arg,                                                             \
     RV_OP_##name,                                                    \
     RV_LAYOUT_##layout,                                              \
     2},
#define SHORT16(name, pattern, layout, operands, condition, base) \
    {#name,                                                       \
     operands,                                                    \
     PATTERN16(pattern, != '.'),                                  \
     PATTERN16(pattern, == '1'),                                  \
     NULL,                                                        \
     0,                                                           \
     RV_OP_##base,                                                \
     RV_LAYOUT_##layout,                                          \
     2},
#include "cpu/riscv/insns.def"
};

bool riscv_opcode_enabled(unsigned id, riscv_exts ext, unsigned xlen)
{
#define RV32   (xlen == 32)
#define RV64   (xlen == 64)
#define HAS(e) ((ext >> RV_EXT_##e & 1) != 0)
    switch ((enum riscv_opcode_id)id) {
#define INSN(name, pattern, layout, operands, condition, lift, arg) \
    case RV_OP_##name:                                              \
        return condition;
#define INSN16 INSN
#define SHORT16(name, pattern, layout, operands, condition, base) \
    case RV_OP_##name:                                            \
        return condition;
#include "cpu/riscv/insns.def"
    case RV_NR_OPS:
        break;
    }
#undef RV32
#undef RV64
#undef HAS
    assert(false);
    return false;
}

// ---- Buckets ----

// By opcode and funct3; OP-FP, where funct3 often is a rounding mode, by funct7; 16-bit ones by quadrant
// and funct3.
enum { OP_FP = 0x14, BUCKET_FP = 256, BUCKET_16 = BUCKET_FP + 128 };

static inline unsigned bucket_of(uint32_t bits)
{
    if ((bits & 3) != 3)
        return BUCKET_16 + (bits & 3) * 8 + (bits >> 13 & 7);
    unsigned opcode = bits >> 2 & 31;
    if (opcode == OP_FP)
        return BUCKET_FP + (bits >> 25);
    return opcode * 8 + (bits >> 12 & 7);
}

// An instruction of bucket b, with zeros elsewhere, and the bits that all of the bucket share.
static uint32_t bucket_bits(unsigned b, uint32_t *mask)
{
    if (b >= BUCKET_16) {
        *mask = 0xe003;
        return ((b - BUCKET_16) & 7) << 13 | (b - BUCKET_16) >> 3;
    }
    if (b >= BUCKET_FP) {
        *mask = 0xfe00007f;
        return (b - BUCKET_FP) << 25 | OP_FP << 2 | 3;
    }
    *mask = b / 8 == OP_FP ? 0 : 0x707f;
    return (b & 7) << 12 | b / 8 << 2 | 3;
}

void riscv_decoder_init(struct riscv_decoder *d, riscv_exts ext, unsigned xlen)
{
    uint16_t enabled[RV_NR_OPS] = {0};
    unsigned nr_enabled = 0, n = 0;
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        if (riscv_opcode_enabled(id, ext, xlen))
            enabled[nr_enabled++] = id;
    d->xlen = xlen;
    for (unsigned b = 0; b < RV_NR_BUCKETS; b++) {
        uint32_t mask, bits = bucket_bits(b, &mask);
        d->first[b] = n;
        for (unsigned i = 0; mask && i < nr_enabled; i++) {
            const struct riscv_opcode *op = &riscv_opcodes[enabled[i]];
            if (((bits ^ op->match) & mask & op->mask) == 0) {
                assert(n < RV_MAX_CANDIDATES);
                d->candidate[n++] = enabled[i];
            }
        }
    }
    d->first[RV_NR_BUCKETS] = n;
}

bool riscv_decode(const struct riscv_decoder *d, uint32_t bits, struct riscv_insn *in)
{
    unsigned b = bucket_of(bits);
    for (unsigned i = d->first[b]; i < d->first[b + 1]; i++) {
        unsigned id = d->candidate[i];
        if ((bits & riscv_opcodes[id].mask) == riscv_opcodes[id].match &&
            riscv_decode_operands(id, bits, d->xlen, in))
            return true;
    }
    return false;
}

// ---- Operands ----

// Bits lo..lo+len-1 of the instruction, moved to bit `to` of the immediate.
#define F(lo, len, to) ((bits >> (lo) & ((1u << (len)) - 1)) << (to))

static bool operands32(unsigned layout, uint32_t bits, unsigned xlen, struct riscv_insn *in)
{
    in->rd = bits >> 7 & 31;
    in->rs1 = bits >> 15 & 31;
    in->rs2 = bits >> 20 & 31;
    in->rs3 = bits >> 27;
    in->rm = bits >> 12 & 7;
    in->imm = 0;
    switch (layout) {
    case RV_LAYOUT_R:
        return true;
    case RV_LAYOUT_RM:
        return in->rm != 5 && in->rm != 6;
    case RV_LAYOUT_PAIR:
        return !((in->rd | in->rs2) & 1);
    case RV_LAYOUT_I:
        in->imm = (int32_t)bits >> 20;
        return true;
    case RV_LAYOUT_S:
        in->imm = ((int32_t)bits >> 25) * 32 + (int32_t)F(7, 5, 0);
        return true;
    case RV_LAYOUT_B:
        in->imm = (int32_t)bits_sext(F(31, 1, 12) | F(7, 1, 11) | F(25, 6, 5) | F(8, 4, 1), 13);
        return true;
    case RV_LAYOUT_U:
        in->imm = (int32_t)(bits & 0xfffff000);
        return true;
    case RV_LAYOUT_J:
        in->imm = (int32_t)bits_sext(F(31, 1, 20) | F(12, 8, 12) | F(20, 1, 11) | F(21, 10, 1), 21);
        return true;
    case RV_LAYOUT_SH:
        in->imm = (int32_t)F(20, 6, 0);
        return in->imm < (int)xlen;
    case RV_LAYOUT_CSR:
        in->imm = (int32_t)(bits >> 20);
        return true;
    default:
        assert(false);
        return false;
    }
}

static bool imm_ci(struct riscv_insn *in, uint32_t bits)
{
    in->imm = (int32_t)bits_sext(F(12, 1, 5) | F(2, 5, 0), 6);
    return true;
}

static bool shift_ci(struct riscv_insn *in, uint32_t bits, unsigned xlen)
{
    in->imm = (int32_t)(F(12, 1, 5) | F(2, 5, 0));
    return in->imm < (int)xlen;
}

// rd', rs1' of loads, rs2' of stores, and the offset.
static bool mem_c(struct riscv_insn *in, uint32_t bits, uint32_t offset)
{
    in->rd = in->rs2 = 8 + (bits >> 2 & 7);
    in->rs1 = 8 + (bits >> 7 & 7);
    in->imm = (int32_t)offset;
    return true;
}

static bool load_sp(struct riscv_insn *in, uint32_t offset)
{
    in->rs1 = 2;
    in->imm = (int32_t)offset;
    return true;
}

static bool store_sp(struct riscv_insn *in, uint32_t bits, uint32_t offset)
{
    in->rs1 = 2;
    in->rs2 = bits >> 2 & 31;
    in->imm = (int32_t)offset;
    return true;
}

static bool operands_cm(unsigned layout, uint32_t bits, unsigned xlen, struct riscv_insn *in)
{
    if (layout == RV_LAYOUT_CM_PP) {
        in->rs2 = F(4, 4, 0);
        if (in->rs2 < 4)
            return false;
        unsigned bytes = riscv_list_len(in->rs2) * xlen / 8;
        in->imm = (int32_t)(align_up(bytes, 16) + F(2, 2, 4));
        return true;
    }
    unsigned r1 = F(7, 3, 0), r2 = F(2, 3, 0);
    in->rs1 = r1 < 2 ? 8 + r1 : 16 + r1;
    in->rs2 = r2 < 2 ? 8 + r2 : 16 + r2;
    return r1 != r2 || (bits & BIT(6));
}

static bool operands16(unsigned layout, uint32_t bits, unsigned xlen, struct riscv_insn *in)
{
    const unsigned r = bits >> 7 & 31, r2 = bits >> 2 & 31; // the full fields
    const unsigned r_short = 8 + (r & 7), r2_short = 8 + (r2 & 7);
    const uint32_t off_w = F(5, 1, 6) | F(10, 3, 3) | F(6, 1, 2), off_d = F(5, 2, 6) | F(10, 3, 3);
    in->rd = in->rs1 = r;
    in->rs2 = in->rs3 = in->rm = 0;
    in->imm = 0;
    switch (layout) {
    case RV_LAYOUT_NONE:
        in->rd = in->rs1 = 0;
        return true;
    case RV_LAYOUT_CIW:
        in->rd = r2_short;
        in->rs1 = 2;
        in->imm = (int32_t)(F(7, 4, 6) | F(11, 2, 4) | F(5, 1, 3) | F(6, 1, 2));
        return in->imm != 0;
    case RV_LAYOUT_CL_B:
    case RV_LAYOUT_CS_B:
        return mem_c(in, bits, F(5, 1, 1) | F(6, 1, 0));
    case RV_LAYOUT_CL_H:
    case RV_LAYOUT_CS_H:
        return mem_c(in, bits, F(5, 1, 1));
    case RV_LAYOUT_CL_W:
    case RV_LAYOUT_CS_W:
        return mem_c(in, bits, off_w);
    case RV_LAYOUT_CL_D:
    case RV_LAYOUT_CS_D:
        return mem_c(in, bits, off_d);
    case RV_LAYOUT_CI:
        return imm_ci(in, bits);
    case RV_LAYOUT_CI_RD:
        return imm_ci(in, bits) && r != 0;
    case RV_LAYOUT_CI_LI:
        in->rs1 = 0;
        return imm_ci(in, bits);
    case RV_LAYOUT_CI_LUI:
        imm_ci(in, bits);
        in->imm *= 4096;
        return in->imm != 0 && r != 2;
    case RV_LAYOUT_CI_SP:
        in->imm =
            (int32_t)bits_sext(F(12, 1, 9) | F(3, 2, 7) | F(5, 1, 6) | F(2, 1, 5) | F(6, 1, 4), 10);
        return in->imm != 0;
    case RV_LAYOUT_CI_SH:
        return shift_ci(in, bits, xlen);
    case RV_LAYOUT_CI_WSP:
        return load_sp(in, F(2, 2, 6) | F(12, 1, 5) | F(4, 3, 2));
    case RV_LAYOUT_CI_WSP_RD:
        return load_sp(in, F(2, 2, 6) | F(12, 1, 5) | F(4, 3, 2)) && r != 0;
    case RV_LAYOUT_CI_DSP:
        return load_sp(in, F(2, 3, 6) | F(12, 1, 5) | F(5, 2, 3));
    case RV_LAYOUT_CI_DSP_RD:
        return load_sp(in, F(2, 3, 6) | F(12, 1, 5) | F(5, 2, 3)) && r != 0;
    case RV_LAYOUT_CSS_W:
        return store_sp(in, bits, F(7, 2, 6) | F(9, 4, 2));
    case RV_LAYOUT_CSS_D:
        return store_sp(in, bits, F(7, 3, 6) | F(10, 3, 3));
    case RV_LAYOUT_CB:
        in->rs1 = r_short;
        in->imm =
            (int32_t)bits_sext(F(12, 1, 8) | F(5, 2, 6) | F(2, 1, 5) | F(10, 2, 3) | F(3, 2, 1), 9);
        return true;
    case RV_LAYOUT_CB_I:
        in->rd = in->rs1 = r_short;
        return imm_ci(in, bits);
    case RV_LAYOUT_CB_SH:
        in->rd = in->rs1 = r_short;
        return shift_ci(in, bits, xlen);
    case RV_LAYOUT_CA:
        in->rd = in->rs1 = r_short;
        in->rs2 = r2_short;
        return true;
    case RV_LAYOUT_CU:
        in->rd = in->rs1 = r_short;
        in->imm = r2 & 4 ? -1 : 255;
        return true;
    case RV_LAYOUT_CJ:
        in->rd = bits & BIT(15) ? 0 : 1;
        in->imm = (int32_t)bits_sext(F(12, 1, 11) | F(8, 1, 10) | F(9, 2, 8) | F(6, 1, 7) |
                                         F(7, 1, 6) | F(2, 1, 5) | F(11, 1, 4) | F(3, 3, 1),
                                     12);
        return true;
    case RV_LAYOUT_CR:
        in->rs2 = r2;
        return r2 != 0;
    case RV_LAYOUT_CR_MV:
        in->rs1 = 0;
        in->rs2 = r2;
        return r2 != 0;
    case RV_LAYOUT_CR_J:
        in->rd = F(12, 1, 0);
        return r != 0;
    default:
        return operands_cm(layout, bits, xlen, in);
    }
}

bool riscv_decode_operands(unsigned id, uint32_t bits, unsigned xlen, struct riscv_insn *in)
{
    const struct riscv_opcode *op = &riscv_opcodes[id];
    in->bits = bits;
    in->id = id;
    return op->len == 4 ? operands32(op->layout, bits, xlen, in)
                        : operands16(op->layout, bits, xlen, in);
}
