// SPDX-License-Identifier: MIT
// An exact reference for floating point that shares nothing with the code under test: GNU MPFR, whose results are
// exact here, or truncated with a sticky bit, and then rounded by the rules as the standard (IEEE 754-2019) words them.
// What the standard leaves open is as in the RISC-V unprivileged manual: NaNs, tininess, conversion out of range.
#ifndef TESTS_FLOAT_REFERENCE_H
#define TESTS_FLOAT_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include <gmp.h>
#include <mpfr.h>

#include "base/softfloat.h"

enum float_type { TYPE_F16, TYPE_F32, TYPE_F64, TYPE_I32, TYPE_U32, TYPE_I64, TYPE_U64, TYPE_FLAG };

struct float_format {
    int ebits, fbits;
};

extern const struct float_format float_formats[3]; // by enum float_type

// clang-format off
enum float_kind {
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_SQRT, OP_FMA, OP_MIN, OP_MAX, OP_MINM, OP_MAXM,
    OP_EQ, OP_LT, OP_LE, OP_LTQ, OP_LEQ_Q, // quiet ones: LTQ, LEQ_Q
    OP_CLASSIFY, OP_ROUND, OP_ROUND_QUIET, OP_TO_INTEGER, OP_TO_I32_MOD, OP_CONVERT,
};
// clang-format on

struct float_op {
    enum float_kind kind;
    int arity;
    enum float_type from, to;
};

// ---- Bit patterns ----

static inline bool float_is_float(enum float_type t)
{
    return t <= TYPE_F64;
}

static inline int float_bias(struct float_format f)
{
    return (1 << (f.ebits - 1)) - 1;
}

// Any field may be out of range and is cut off.
static inline uint64_t float_pattern(struct float_format f, bool sign, int biased, uint64_t frac)
{
    uint64_t exp = (uint64_t)biased & ((1u << f.ebits) - 1);

    return (uint64_t)sign << (f.ebits + f.fbits) | exp << f.fbits |
           (frac & ((UINT64_C(1) << f.fbits) - 1));
}

static inline uint64_t float_all_ones(struct float_format f)
{
    return (UINT64_C(1) << f.fbits) - 1;
}

static inline uint64_t float_infinity(struct float_format f, bool sign)
{
    return float_pattern(f, sign, -1, 0);
}

static inline uint64_t float_nan(struct float_format f)
{
    return float_pattern(f, false, -1, UINT64_C(1) << (f.fbits - 1));
}

static inline bool float_is_nan(struct float_format f, uint64_t bits)
{
    return (bits & ~float_pattern(f, true, 0, 0)) > float_infinity(f, false);
}

static inline bool float_is_snan(struct float_format f, uint64_t bits)
{
    return float_is_nan(f, bits) && !(bits >> (f.fbits - 1) & 1);
}

// ---- Results ----

struct float_reference {
    mpfr_t in[3];
    mpfr_t exact;  // the operation's result: exact, or truncated with one sticky bit below
    mpfr_t scaled; // a number in units of the last place to be kept
    mpfr_t whole;  // that, rounded to an integer
    mpz_t integer;
};

void float_reference_init(struct float_reference *r);
void float_reference_clear(struct float_reference *r);

// The result of op on x[], rounded by rm (enum fp_round), as a bit pattern: integers of 32 bits are extended by their
// sign or by zeros. Adds exceptions (FP_*) to *flags.
uint64_t float_expect(struct float_reference *r, const struct float_op *op, const uint64_t *x,
                      uint8_t rm, uint8_t *flags);

#endif
