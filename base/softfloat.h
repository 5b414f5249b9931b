// SPDX-License-Identifier: MIT
//
// IEEE 754-2019 binary16, binary32 and binary64 in integer arithmetic: exact, the same on every
// host. It defines what the floating-point operations of the IR mean, and does for good what host
// hardware can't: rounding to nearest with ties away from zero, and half precision.
//
// Values are bit patterns: f16 in uint16_t, f32 in uint32_t, f64 in uint64_t.
//
// * Each operation rounds once, by env->rm, and adds its exceptions to env->flags.
// * A NaN that an operation makes or passes on is the canonical one: positive, quiet, no payload.
//   A signaling NaN as operand sets FP_INVALID.
// * Tininess is detected after rounding; FP_UNDERFLOW is set when a tiny result is also inexact.
// * Subnormals are never flushed.
//
// What the standard leaves to the implementation (NaNs, tininess, conversion out of range) is done
// as in the RISC-V unprivileged manual, chapters F, D, Zfh and Zfa.
#ifndef BASE_SOFTFLOAT_H
#define BASE_SOFTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

// The first five have the numbers of RISC-V's rounding modes.
enum fp_round {
    FP_RNE = 0, // to nearest, ties to even
    FP_RTZ = 1, // towards zero
    FP_RDN = 2, // towards minus infinity
    FP_RUP = 3, // towards plus infinity
    FP_RMM = 4, // to nearest, ties away from zero
    FP_RTO = 5, // to odd: if inexact, the neighbour with an odd significand, so never infinity.
                // Rounding that again, to a format at least 2 bits narrower, rounds as if once.
};

// Exception flags, with the bits of x86's MXCSR.
enum {
    FP_INVALID = 1,
    FP_DENORMAL = 2, // x86's; never set here
    FP_DIVZERO = 4,
    FP_OVERFLOW = 8,
    FP_UNDERFLOW = 16,
    FP_INEXACT = 32,
};

struct fp_env {
    uint8_t rm;    // enum fp_round, read only here
    uint8_t flags; // FP_* bits, only ever set here
};

#define F16_NAN UINT16_C(0x7e00)
#define F32_NAN UINT32_C(0x7fc00000)
#define F64_NAN UINT64_C(0x7ff8000000000000)

// Classes, one bit each, as RISC-V's fclass numbers them.
enum {
    FP_CLASS_NEG_INF = 1 << 0,
    FP_CLASS_NEG_NORMAL = 1 << 1,
    FP_CLASS_NEG_SUBNORMAL = 1 << 2,
    FP_CLASS_NEG_ZERO = 1 << 3,
    FP_CLASS_POS_ZERO = 1 << 4,
    FP_CLASS_POS_SUBNORMAL = 1 << 5,
    FP_CLASS_POS_NORMAL = 1 << 6,
    FP_CLASS_POS_INF = 1 << 7,
    FP_CLASS_SNAN = 1 << 8,
    FP_CLASS_QNAN = 1 << 9,
};

// For each format F = f16, f32, f64 with bit pattern T:
//
//   F_add, F_sub, F_mul, F_div, F_sqrt
//   F_fma            a * b + c, rounded once. 0 * inf is invalid whatever c is.
//   F_min, F_max     minimumNumber and maximumNumber: -0 < +0; of a NaN and a number, the number.
//   F_minm, F_maxm   minimum and maximum: -0 < +0; of a NaN and a number, NaN.
//   F_eq             a == b; invalid for signaling NaNs only.
//   F_lt, F_le       a < b, a <= b; invalid for any NaN.
//   F_ltq, F_leq_q   the same, but quiet: invalid for signaling NaNs only.
//   F_classify       one FP_CLASS_* bit; no flags.
//   F_round_to_int   to an integer in the same format, sign of zero kept; sets FP_INEXACT if the
//                    value changes and `exact` is true.
//   F_to_i32 ...     to an integer. Out of range after rounding is FP_INVALID alone and saturates;
//                    a NaN gives the maximum.
//   i32_to_F ...     from an integer.
#define FP_DECLARE(F, T)                                     \
    T F##_add(T a, T b, struct fp_env *env);                 \
    T F##_sub(T a, T b, struct fp_env *env);                 \
    T F##_mul(T a, T b, struct fp_env *env);                 \
    T F##_div(T a, T b, struct fp_env *env);                 \
    T F##_sqrt(T a, struct fp_env *env);                     \
    T F##_fma(T a, T b, T c, struct fp_env *env);            \
    T F##_min(T a, T b, struct fp_env *env);                 \
    T F##_max(T a, T b, struct fp_env *env);                 \
    T F##_minm(T a, T b, struct fp_env *env);                \
    T F##_maxm(T a, T b, struct fp_env *env);                \
    bool F##_eq(T a, T b, struct fp_env *env);               \
    bool F##_lt(T a, T b, struct fp_env *env);               \
    bool F##_le(T a, T b, struct fp_env *env);               \
    bool F##_ltq(T a, T b, struct fp_env *env);              \
    bool F##_leq_q(T a, T b, struct fp_env *env);            \
    uint32_t F##_classify(T a);                              \
    T F##_round_to_int(T a, bool exact, struct fp_env *env); \
    int32_t F##_to_i32(T a, struct fp_env *env);             \
    uint32_t F##_to_u32(T a, struct fp_env *env);            \
    int64_t F##_to_i64(T a, struct fp_env *env);             \
    uint64_t F##_to_u64(T a, struct fp_env *env);            \
    T i32_to_##F(int32_t a, struct fp_env *env);             \
    T u32_to_##F(uint32_t a, struct fp_env *env);            \
    T i64_to_##F(int64_t a, struct fp_env *env);             \
    T u64_to_##F(uint64_t a, struct fp_env *env);

FP_DECLARE(f16, uint16_t)
FP_DECLARE(f32, uint32_t)
FP_DECLARE(f64, uint64_t)
#undef FP_DECLARE

// Between formats: widening is exact, narrowing rounds.
uint32_t f16_to_f32(uint16_t a, struct fp_env *env);
uint64_t f16_to_f64(uint16_t a, struct fp_env *env);
uint16_t f32_to_f16(uint32_t a, struct fp_env *env);
uint64_t f32_to_f64(uint32_t a, struct fp_env *env);
uint16_t f64_to_f16(uint64_t a, struct fp_env *env);
uint32_t f64_to_f32(uint64_t a, struct fp_env *env);

// Truncates, whatever env->rm is, and keeps the low 32 bits; NaNs and infinities give 0. Flags are
// those of f64_to_i32 with FP_RTZ (Zfa's fcvtmod.w.d).
int32_t f64_to_i32_mod(uint64_t a, struct fp_env *env);

#endif
