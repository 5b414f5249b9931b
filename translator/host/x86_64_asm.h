// SPDX-License-Identifier: MIT
// An assembler for the part of x86-64 that the back end emits. Intel SDM volume 2; operands in Intel's order.
#ifndef TRANSLATOR_HOST_X86_64_ASM_H
#define TRANSLATOR_HOST_X86_64_ASM_H

#include <assert.h>

#include "base/bits.h"

enum x86_register {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    X86_NO_REG = 0xff,
};

// Condition codes of Jcc, SETcc, CMOVcc. Xor 1 negates.
enum x86_cc {
    CC_O = 0,
    CC_B = 2,
    CC_AE = 3,
    CC_E = 4,
    CC_NE = 5,
    CC_BE = 6,
    CC_A = 7,
    CC_S = 8,
    CC_NS = 9,
    CC_P = 10,
    CC_NP = 11,
    CC_L = 12,
    CC_GE = 13,
    CC_LE = 14,
    CC_G = 15,
};

// An opcode with what goes before it.
enum x86_op_prefix {
    P_0F = 0x100,
    P_0F38 = 0x200,
    P_0F3A = 0x400,
    P_66 = 0x1000,
    P_F2 = 0x2000,
    P_F3 = 0x4000,
    P_W = 0x10000,       // 64-bit operands (REX.W)
    P_BYTE_R = 0x20000,  // the reg operand is an 8-bit register (sil, dil need a REX)
    P_BYTE_RM = 0x40000, // so is the r/m operand
};

enum x86_op {
    O_ADD = 0x03,
    O_OR = 0x0b,
    O_AND = 0x23,
    O_SUB = 0x2b,
    O_XOR = 0x33,
    O_CMP = 0x3b, // reg, r/m
    O_MOV = 0x8b,
    O_MOV_STORE = 0x89,
    O_LEA = 0x8d,
    O_TEST = 0x85,
    O_MOVSXD = 0x63,
    O_ADD_STORE = 0x01,
    O_OR_STORE = 0x09,
    O_MOV8_STORE = 0x88 | P_BYTE_R,
    O_MOV16_STORE = 0x89 | P_66,
    O_OR8_STORE = 0x08 | P_BYTE_R,
    O_IMUL = 0xaf | P_0F,
    O_IMUL_I32 = 0x69,
    O_IMUL_I8 = 0x6b,
    O_MOVZX8 = 0xb6 | P_0F | P_BYTE_RM,
    O_MOVZX16 = 0xb7 | P_0F,
    O_MOVSX8 = 0xbe | P_0F | P_BYTE_RM,
    O_MOVSX16 = 0xbf | P_0F,
    O_LZCNT = 0xbd | P_0F | P_F3,
    O_TZCNT = 0xbc | P_0F | P_F3,
    O_POPCNT = 0xb8 | P_0F | P_F3,
    O_CMOV = 0x40 | P_0F,
    O_SETCC = 0x90 | P_0F | P_BYTE_RM,
    O_GROUP1_I8 = 0x83,
    O_GROUP1_I32 = 0x81,
    O_GROUP2_I8 = 0xc1,
    O_GROUP2_CL = 0xd3,
    O_GROUP3 = 0xf7,
    O_GROUP5 = 0xff,
    O_MOV_I32 = 0xc7,
    O_GROUP1_8 = 0x80,
    O_MOV8_I8 = 0xc6,
    // SSE: scalar operations take P_F3 (single) or P_F2 (double)
    O_MOVS = 0x10 | P_0F,
    O_MOVS_STORE = 0x11 | P_0F,
    O_MOVAPS = 0x28 | P_0F,
    O_ADDS = 0x58 | P_0F,
    O_MULS = 0x59 | P_0F,
    O_SUBS = 0x5c | P_0F,
    O_DIVS = 0x5e | P_0F,
    O_SQRTS = 0x51 | P_0F,
    O_UCOMIS = 0x2e | P_0F,
    O_COMIS = 0x2f | P_0F,
    O_CVTSI2S = 0x2a | P_0F,
    O_CVTTS2SI = 0x2c | P_0F,
    O_CVTS2SI = 0x2d | P_0F,
    O_CVTS2S = 0x5a | P_0F,
    O_MOVD_TO_X = 0x6e | P_0F | P_66,
    O_MOVD_FROM_X = 0x7e | P_0F | P_66,
    O_XORPS = 0x57 | P_0F,
    O_ORPS = 0x56 | P_0F,
    O_PCLMULQDQ = 0x44 | P_0F3A | P_66,
    O_PSRLDQ = 0x73 | P_0F | P_66,
    O_ROUNDSS = 0x0a | P_0F3A | P_66,
    O_ROUNDSD = 0x0b | P_0F3A | P_66,
    O_MXCSR = 0xae | P_0F,
};

// A memory operand: [base + index * scale + disp], or [rip + disp] with base X86_NO_REG.
struct x86_mem {
    uint8_t base, index; // X86_NO_REG: none
    int32_t disp;
};

struct x86_asm {
    uint8_t *p; // where the next byte goes
    uint8_t *end;
};

static inline void emit8(struct x86_asm *a, unsigned v)
{
    *a->p++ = v;
}

static inline void emit32(struct x86_asm *a, uint32_t v)
{
    store_le(a->p, 4, v);
    a->p += 4;
}

static inline void emit64(struct x86_asm *a, uint64_t v)
{
    store_le(a->p, 8, v);
    a->p += 8;
}

static inline void emit_opcode(struct x86_asm *a, unsigned op, unsigned reg, unsigned index,
                               unsigned rm)
{
    if (op & P_66)
        emit8(a, 0x66);
    if (op & P_F2)
        emit8(a, 0xf2);
    if (op & P_F3)
        emit8(a, 0xf3);
    unsigned rex = (op & P_W ? 8 : 0) | (reg & 8) >> 1 | (index & 8) >> 2 | (rm & 8) >> 3;
    bool byte_reg = (op & P_BYTE_R && reg >= RSP) || (op & P_BYTE_RM && rm >= RSP);
    if (rex || byte_reg)
        emit8(a, 0x40 | rex);
    if (op & (P_0F | P_0F38 | P_0F3A))
        emit8(a, 0x0f);
    if (op & P_0F38)
        emit8(a, 0x38);
    if (op & P_0F3A)
        emit8(a, 0x3a);
    emit8(a, op & 0xff);
}

static inline void emit_rr(struct x86_asm *a, unsigned op, unsigned reg, unsigned rm)
{
    emit_opcode(a, op, reg, 0, rm);
    emit8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void emit_mem_operand(struct x86_asm *a, unsigned reg, struct x86_mem m)
{
    unsigned r = (reg & 7) << 3;
    if (m.base == X86_NO_REG) {
        emit8(a, r | 5);
        emit32(a, m.disp);
        return;
    }
    bool sib = m.index != X86_NO_REG || (m.base & 7) == RSP;
    unsigned mod = m.disp == 0 && (m.base & 7) != RBP ? 0 : m.disp == (int8_t)m.disp ? 0x40 : 0x80;
    emit8(a, mod | r | (sib ? 4 : m.base & 7));
    if (sib)
        emit8(a, (m.index == X86_NO_REG ? RSP : m.index & 7) << 3 | (m.base & 7));
    if (mod == 0x40)
        emit8(a, m.disp);
    else if (mod == 0x80)
        emit32(a, m.disp);
}

static inline void emit_rm(struct x86_asm *a, unsigned op, unsigned reg, struct x86_mem m)
{
    emit_opcode(a, op, reg, m.index == X86_NO_REG ? 0 : m.index, m.base == X86_NO_REG ? 0 : m.base);
    emit_mem_operand(a, reg, m);
}

// add (0), or (1), and (4), sub (5), xor (6), cmp (7) with an immediate.
enum x86_group1 { G1_ADD, G1_OR, G1_AND = 4, G1_SUB, G1_XOR, G1_CMP };

static inline void emit_group1_r(struct x86_asm *a, unsigned w, enum x86_group1 g, unsigned rm,
                                 int32_t imm)
{
    bool small = imm == (int8_t)imm;
    emit_rr(a, (small ? O_GROUP1_I8 : O_GROUP1_I32) | w, g, rm);
    if (small)
        emit8(a, imm);
    else
        emit32(a, imm);
}

static inline void emit_group1_m(struct x86_asm *a, unsigned w, enum x86_group1 g, struct x86_mem m,
                                 int32_t imm)
{
    bool small = imm == (int8_t)imm;
    emit_rm(a, (small ? O_GROUP1_I8 : O_GROUP1_I32) | w, g, m);
    if (small)
        emit8(a, imm);
    else
        emit32(a, imm);
}

// rol (0), ror (1), shl (4), shr (5), sar (7).
enum x86_group2 { G2_ROL, G2_ROR, G2_SHL = 4, G2_SHR, G2_SAR = 7 };

static inline void emit_shift_imm(struct x86_asm *a, unsigned w, enum x86_group2 g, unsigned rm,
                                  unsigned count)
{
    emit_rr(a, O_GROUP2_I8 | w, g, rm);
    emit8(a, count);
}

// not (2), neg (3), mul (4), imul (5), div (6), idiv (7).
enum x86_group3 { G3_NOT = 2, G3_NEG, G3_MUL, G3_IMUL, G3_DIV, G3_IDIV };

static inline void emit_mov_imm(struct x86_asm *a, unsigned reg, uint64_t v)
{
    if (v == 0) {
        // Flags must survive: loads of constants come between a compare and its use.
        emit_opcode(a, 0xb8 + (reg & 7), 0, 0, reg);
        emit32(a, 0);
    } else if (v <= UINT32_MAX) {
        emit_opcode(a, 0xb8 + (reg & 7), 0, 0, reg);
        emit32(a, v);
    } else if ((int64_t)v == (int32_t)v) {
        emit_rr(a, O_MOV_I32 | P_W, 0, reg);
        emit32(a, v);
    } else {
        emit_opcode(a, (0xb8 + (reg & 7)) | P_W, 0, 0, reg);
        emit64(a, v);
    }
}

// VEX-encoded: map 1 (0F), 2 (0F38), 3 (0F3A); pp 0 none, 1 66, 2 F3, 3 F2.
static inline void emit_vex(struct x86_asm *a, unsigned map, unsigned pp, bool w, unsigned op,
                            unsigned reg, unsigned vvvv, unsigned rm)
{
    emit8(a, 0xc4);
    emit8(a, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map);
    emit8(a, (w ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
    emit8(a, op);
    emit8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

// Jumps with a 32-bit displacement; the address of the displacement is returned for patching.
static inline uint8_t *emit_jcc(struct x86_asm *a, enum x86_cc cc)
{
    emit8(a, 0x0f);
    emit8(a, 0x80 | cc);
    emit32(a, 0);
    return a->p - 4;
}

static inline uint8_t *emit_jmp(struct x86_asm *a)
{
    emit8(a, 0xe9);
    emit32(a, 0);
    return a->p - 4;
}

static inline void patch_rel32(uint8_t *at, const uint8_t *target)
{
    ptrdiff_t rel = target - (at + 4);
    assert(rel == (int32_t)rel);
    store_le(at, 4, (uint32_t)rel);
}

static inline void patch_imm32(uint8_t *at, uint32_t imm)
{
    store_le(at, 4, imm);
}

static inline void emit_jmp_to(struct x86_asm *a, const uint8_t *target)
{
    patch_rel32(emit_jmp(a), target);
}

static inline void emit_jcc_to(struct x86_asm *a, enum x86_cc cc, const uint8_t *target)
{
    patch_rel32(emit_jcc(a, cc), target);
}

static inline void emit_call_to(struct x86_asm *a, const uint8_t *target)
{
    emit8(a, 0xe8);
    emit32(a, 0);
    patch_rel32(a->p - 4, target);
}

// Short forward jumps within one emitted sequence.
static inline uint8_t *emit_jcc8(struct x86_asm *a, enum x86_cc cc)
{
    emit8(a, 0x70 | cc);
    emit8(a, 0);
    return a->p - 1;
}

static inline uint8_t *emit_jmp8(struct x86_asm *a)
{
    emit8(a, 0xeb);
    emit8(a, 0);
    return a->p - 1;
}

static inline void patch_rel8(struct x86_asm *a, uint8_t *at)
{
    ptrdiff_t rel = a->p - (at + 1);
    assert(rel == (int8_t)rel);
    *at = rel;
}

static inline void emit_push(struct x86_asm *a, unsigned reg)
{
    emit_opcode(a, 0x50 + (reg & 7), 0, 0, reg);
}

static inline void emit_pop(struct x86_asm *a, unsigned reg)
{
    emit_opcode(a, 0x58 + (reg & 7), 0, 0, reg);
}

#endif
