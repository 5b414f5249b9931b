// SPDX-License-Identifier: MIT
// Integer operations of the IR on values, inline: shared by constant folding and the interpreter.
#ifndef TRANSLATOR_IR_EVAL_H
#define TRANSLATOR_IR_EVAL_H

#include "translator/ir.h"

static inline bool eval_cond(enum ir_cond cond, enum ir_type type, uint64_t a, uint64_t b)
{
    int64_t sa = type == IR_I32 ? (int32_t)a : (int64_t)a;
    int64_t sb = type == IR_I32 ? (int32_t)b : (int64_t)b;
    uint64_t ua = type == IR_I32 ? (uint32_t)a : a;
    uint64_t ub = type == IR_I32 ? (uint32_t)b : b;
    switch (cond) {
    case IR_EQ: return ua == ub;
    case IR_NE: return ua != ub;
    case IR_LT: return sa < sb;
    case IR_GE: return sa >= sb;
    case IR_LTU: return ua < ub;
    case IR_GEU: return ua >= ub;
    case IR_LE: return sa <= sb;
    case IR_GT: return sa > sb;
    case IR_LEU: return ua <= ub;
    case IR_GTU: return ua > ub;
    case IR_NR_CONDS: break;
    }
    g_assert_not_reached();
}

// Carry-less product of a and the low `bits` bits of b.
static inline unsigned __int128 eval_clmul(uint64_t a, uint64_t b, unsigned bits)
{
    unsigned __int128 r = 0;
    for (unsigned i = 0; i < bits; i++)
        if (b >> i & 1)
            r ^= (unsigned __int128)a << i;
    return r;
}

// One operation of type i64, or with EVAL_W 32, i32 (whose result's upper half is undefined).
#define EVAL_INT(NAME, W, U, S, U2, S2, CLZ, CTZ, POPCNT, BSWAP)                                   \
    static inline uint64_t NAME(enum ir_opcode op, unsigned aux, uint64_t va, uint64_t vb)         \
    {                                                                                              \
        U a = va, b = vb;                                                                          \
        unsigned sh = vb & (W - 1);                                                                \
        S min = (S)((U)1 << (W - 1));                                                              \
        switch (op) {                                                                              \
        case IR_ADD: return (U)(a + b);                                                            \
        case IR_SUB: return (U)(a - b);                                                            \
        case IR_MUL: return (U)(a * b);                                                            \
        case IR_MULHS: return (U)((S2)(S)a * (S2)(S)b >> W);                                       \
        case IR_MULHU: return (U)((U2)a * b >> W);                                                 \
        case IR_DIVS: return b == 0 ? (U)-1 : (S)a == min && (S)b == -1 ? a : (U)((S)a / (S)b);    \
        case IR_DIVU: return b == 0 ? (U)-1 : a / b;                                               \
        case IR_REMS: return b == 0 ? a : (S)a == min && (S)b == -1 ? 0 : (U)((S)a % (S)b);        \
        case IR_REMU: return b == 0 ? a : a % b;                                                   \
        case IR_AND: return a & b;                                                                 \
        case IR_OR: return a | b;                                                                  \
        case IR_XOR: return a ^ b;                                                                 \
        case IR_ANDN: return a & ~b;                                                               \
        case IR_SHL: return (U)(a << sh);                                                          \
        case IR_SHR: return a >> sh;                                                               \
        case IR_SAR: return (U)((S)a >> sh);                                                       \
        case IR_ROTL: return (U)(a << sh | a >> (-sh & (W - 1)));                                  \
        case IR_ROTR: return (U)(a >> sh | a << (-sh & (W - 1)));                                  \
        case IR_NOT: return (U)~a;                                                                 \
        case IR_NEG: return (U) - a;                                                               \
        case IR_CLZ: return a ? (uint64_t)CLZ(a) : W;                                              \
        case IR_CTZ: return a ? (uint64_t)CTZ(a) : W;                                              \
        case IR_POPCNT: return POPCNT(a);                                                          \
        case IR_BSWAP: return BSWAP(a);                                                            \
        case IR_SEXT: return (U)bits_sext(va, aux);                                                \
        case IR_ZEXT: return bits_get(va, 0, aux);                                                 \
        case IR_TRUNC: return va;                                                                  \
        case IR_CLMUL: return (U)eval_clmul(a, b, W);                                              \
        case IR_CLMULH: return (U)(eval_clmul(a, b, W) >> W);                                      \
        default: g_assert_not_reached();                                                           \
        }                                                                                          \
    }

EVAL_INT(eval_int32, 32, uint32_t, int32_t, uint64_t, int64_t, __builtin_clz, __builtin_ctz,
         __builtin_popcount, __builtin_bswap32)
EVAL_INT(eval_int64, 64, uint64_t, int64_t, unsigned __int128, __int128, __builtin_clzll,
         __builtin_ctzll, __builtin_popcountll, __builtin_bswap64)

#endif
