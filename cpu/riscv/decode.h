// SPDX-License-Identifier: MIT
// The decoder: instruction bits to a line of insns.def and its operands.
//
// A hart's decoder holds the lines that its extensions enable, in buckets by the bits that tell most lines
// apart; reserved encodings are those that no enabled line accepts. RISC-V unprivileged manual, chapters
// "RV32/RV64G Instruction Set Listings" and "Compressed Instructions".
#ifndef CPU_RISCV_DECODE_H
#define CPU_RISCV_DECODE_H

#include "base/bits.h"

typedef unsigned __int128 riscv_exts; // bits of enum riscv_ext

// How operands are coded. Those of 32 bits always yield rd, rs1, rs2, rs3 and rm from their places and
// differ by what imm is; those of 16 bits yield the operands of a 32-bit instruction.
enum riscv_layout {
    RV_LAYOUT_R,    // no immediate
    RV_LAYOUT_RM,   // rm 5 and 6 are reserved
    RV_LAYOUT_PAIR, // rd and rs2 head register pairs: odd ones are reserved
    RV_LAYOUT_I,    // 31..20
    RV_LAYOUT_S,    // 31..25, 11..7
    RV_LAYOUT_B,    // a branch's offset
    RV_LAYOUT_U,    // 31..12, in place
    RV_LAYOUT_J,    // a jump's offset
    RV_LAYOUT_SH,   // 25..20; on RV32 25 is reserved
    RV_LAYOUT_CSR,  // 31..20, unsigned
    RV_LAYOUT_NONE, // 16 bits from here on; no operands
    RV_LAYOUT_CIW,  // rd', sp, offset; 0 is reserved
    RV_LAYOUT_CL_B, // rd', rs1', offset, by the size of what is loaded
    RV_LAYOUT_CL_H,
    RV_LAYOUT_CL_W,
    RV_LAYOUT_CL_D,
    RV_LAYOUT_CS_B, // rs2', rs1', offset
    RV_LAYOUT_CS_H,
    RV_LAYOUT_CS_W,
    RV_LAYOUT_CS_D,
    RV_LAYOUT_CI,     // rd = rs1, imm
    RV_LAYOUT_CI_RD,  // the same; rd = 0 is reserved
    RV_LAYOUT_CI_LI,  // rd, x0, imm
    RV_LAYOUT_CI_LUI, // rd, imm in place; imm = 0 is reserved, rd = 2 is another's
    RV_LAYOUT_CI_SP,  // sp, sp, imm; 0 is reserved
    RV_LAYOUT_CI_SH,  // rd = rs1, shift; on RV32 its bit 5 is reserved
    RV_LAYOUT_CI_WSP, // rd, sp, offset
    RV_LAYOUT_CI_DSP,
    RV_LAYOUT_CI_WSP_RD, // the same; rd = 0 is reserved
    RV_LAYOUT_CI_DSP_RD,
    RV_LAYOUT_CSS_W, // rs2, sp, offset
    RV_LAYOUT_CSS_D,
    RV_LAYOUT_CB,    // rs1', x0, offset
    RV_LAYOUT_CB_I,  // rd' = rs1', imm
    RV_LAYOUT_CB_SH, // rd' = rs1', shift; on RV32 its bit 5 is reserved
    RV_LAYOUT_CA,    // rd' = rs1', rs2'
    RV_LAYOUT_CU,    // rd' = rs1', x0, the mask of zext.b or not
    RV_LAYOUT_CJ,    // rd is ra for c.jal, x0 for c.j; offset
    RV_LAYOUT_CR,    // rd = rs1, rs2; rs2 = 0 is another's
    RV_LAYOUT_CR_MV, // rd, x0, rs2; rs2 = 0 is another's
    RV_LAYOUT_CR_J,  // ra or x0, rs1; rs1 = 0 is reserved
    RV_LAYOUT_CM_PP, // rs2: list 4..15, less is reserved; imm: stack adjustment, positive
    RV_LAYOUT_CM_MV, // rs1, rs2 of s0..s7; of mvsa01, equal ones are reserved
};

// Lines of insns.def.
enum riscv_opcode_id {
#define INSN(name, ...)    RV_OP_##name,
#define INSN16(name, ...)  RV_OP_##name,
#define SHORT16(name, ...) RV_OP_##name,
#include "cpu/riscv/insns.def"
    RV_NR_OPS
};

struct riscv_lift;

struct riscv_opcode {
    const char *name;     // of the line: _ stands for a dot
    const char *operands; // see disas.c
    uint32_t mask, match;
    void (*lift)(struct riscv_lift *t); // NULL for SHORT16: base's counts
    uint16_t arg;
    uint16_t base;  // the line that says what this one does; its own except for SHORT16
    uint8_t layout; // enum riscv_layout
    uint8_t len;    // 2 or 4 bytes
};

extern const struct riscv_opcode riscv_opcodes[RV_NR_OPS];

struct riscv_insn {
    uint32_t bits;
    int32_t imm;
    uint16_t id; // enum riscv_opcode_id
    uint8_t rd, rs1, rs2, rs3, rm;
};

#define RV_NR_BUCKETS     (256 + 128 + 24)
#define RV_MAX_CANDIDATES 768

struct riscv_decoder {
    uint16_t first[RV_NR_BUCKETS + 1]; // of each bucket, in candidate
    uint16_t candidate[RV_MAX_CANDIDATES];
    uint8_t xlen;
};

void riscv_decoder_init(struct riscv_decoder *d, riscv_exts ext, unsigned xlen);
// bits: with 16 zeros above a 16-bit instruction. False: undefined or reserved.
bool riscv_decode(const struct riscv_decoder *d, uint32_t bits, struct riscv_insn *in);
// Whether a line is enabled.
bool riscv_opcode_enabled(unsigned id, riscv_exts ext, unsigned xlen);
// Takes the line's operands out of bits, which its pattern matches. False: reserved.
bool riscv_decode_operands(unsigned id, uint32_t bits, unsigned xlen, struct riscv_insn *in);

static inline unsigned riscv_insn_len(uint32_t bits)
{
    return (bits & 3) == 3 ? 4 : 2;
}

// Registers of Zcmp's lists: ra, s0, s1, ...
static inline unsigned riscv_list_reg(unsigned i)
{
    return i == 0 ? 1 : i < 3 ? 7 + i : 15 + i;
}

static inline unsigned riscv_list_len(unsigned list)
{
    return list == 15 ? 13 : list - 3;
}

#endif
