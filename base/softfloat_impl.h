// SPDX-License-Identifier: MIT
//
// Shared inside softfloat*.c: formats, unpacked numbers, rounding, packing.
//
// An operation unpacks its operands, deals with NaNs, infinities and zeros, computes the exact
// result of finite operands as a `struct num` whose lowest bit is sticky, and hands that to
// fp_round_pack(). All of it is inlined with a constant format, so each format gets code of its
// own.
#ifndef BASE_SOFTFLOAT_IMPL_H
#define BASE_SOFTFLOAT_IMPL_H

#include <assert.h>

#include "base/softfloat.h"

#define FP_INLINE static inline __attribute__((always_inline))
// For what is rare, lest it be copied into every operation.
#define FP_COLD static __attribute__((noinline, cold))

// An interchange format: 1 sign bit, ebits of exponent, fbits of fraction.
struct fmt {
    int ebits;
    int fbits;
};

static const struct fmt fp_f16 = {5, 10};
static const struct fmt fp_f32 = {8, 23};
static const struct fmt fp_f64 = {11, 52};

// Bits, so that one test covers the kinds of all operands or'ed together.
enum fp_kind {
    FP_KIND_ZERO = 1,
    FP_KIND_FINITE = 2, // and not zero
    FP_KIND_INF = 4,
    FP_KIND_QNAN = 8,
    FP_KIND_SNAN = 16,
    FP_KIND_NAN = FP_KIND_QNAN | FP_KIND_SNAN,
};

// A finite one is (-1)^sign * frac / 2^62 * 2^exp. Normalized means that frac's highest set bit is
// bit 62 (FP_LEAD). Bit 0 may be sticky: set if any bit that was shifted out below it was set. No
// format has more than 53 significant bits, so at least 9 bits lie between those and bit 0.
// Not finite: exp and frac mean nothing.
struct num {
    int kind; // enum fp_kind
    bool sign;
    int exp;
    uint64_t frac;
};

#define FP_LEAD 62

FP_INLINE int fmt_bias(struct fmt f)
{
    return (1 << (f.ebits - 1)) - 1;
}

FP_INLINE uint64_t fmt_sign(struct fmt f)
{
    return UINT64_C(1) << (f.ebits + f.fbits);
}

FP_INLINE uint64_t fmt_inf(struct fmt f)
{
    return ((UINT64_C(1) << f.ebits) - 1) << f.fbits;
}

FP_INLINE uint64_t fmt_nan(struct fmt f)
{
    return fmt_inf(f) | UINT64_C(1) << (f.fbits - 1);
}

// The bit pattern's parts.
FP_INLINE bool fp_sign(struct fmt f, uint64_t bits)
{
    return bits & fmt_sign(f);
}

FP_INLINE uint64_t fp_abs(struct fmt f, uint64_t bits)
{
    return bits & (fmt_sign(f) - 1);
}

FP_INLINE bool fp_is_nan(struct fmt f, uint64_t bits)
{
    return fp_abs(f, bits) > fmt_inf(f);
}

FP_INLINE bool fp_is_snan(struct fmt f, uint64_t bits)
{
    return fp_is_nan(f, bits) && fp_abs(f, bits) < fmt_nan(f);
}

FP_INLINE uint64_t fp_zero(struct fmt f, bool sign)
{
    return sign ? fmt_sign(f) : 0;
}

FP_INLINE uint64_t fp_inf(struct fmt f, bool sign)
{
    return fp_zero(f, sign) | fmt_inf(f);
}

// The result of an operation that has none.
FP_INLINE uint64_t fp_invalid(struct fmt f, struct fp_env *env)
{
    env->flags |= FP_INVALID;
    return fmt_nan(f);
}

// The result of an operation with a NaN among its operands; kinds is their kinds, or'ed.
FP_INLINE uint64_t fp_propagate(struct fmt f, int kinds, struct fp_env *env)
{
    return kinds & FP_KIND_SNAN ? fp_invalid(f, env) : fmt_nan(f);
}

// x >> n, with the bits shifted out gathered in bit 0. n >= 0.
FP_INLINE uint64_t shift_right_sticky(uint64_t x, int n)
{
    if (n == 0) {
        return x;
    }
    if (n > 63) {
        return x != 0;
    }
    return x >> n | (x << (64 - n) != 0);
}

// Makes any finite nonzero num normalized.
FP_INLINE struct num fp_normalize(struct num x)
{
    int up;

    assert(x.frac != 0);
    up = __builtin_clzll(x.frac) - (63 - FP_LEAD);
    x.frac = up < 0 ? shift_right_sticky(x.frac, 1) : x.frac << up;
    x.exp -= up;
    return x;
}

FP_INLINE struct num fp_unpack(struct fmt f, uint64_t bits)
{
    uint64_t frac = bits & ((UINT64_C(1) << f.fbits) - 1);
    int biased = (int)(fp_abs(f, bits) >> f.fbits);
    struct num x = {
        .kind = FP_KIND_FINITE,
        .sign = fp_sign(f, bits),
        .exp = biased - fmt_bias(f),
        .frac = frac << (FP_LEAD - f.fbits) | UINT64_C(1) << FP_LEAD,
    };

    if (biased == 0) {
        x.kind = frac ? FP_KIND_FINITE : FP_KIND_ZERO;
        x.exp = 1 - fmt_bias(f);
        x.frac = frac << (FP_LEAD - f.fbits);
        return frac ? fp_normalize(x) : x;
    }
    if (biased == (1 << f.ebits) - 1) {
        x.kind = frac == 0 ? FP_KIND_INF : fp_is_snan(f, bits) ? FP_KIND_SNAN : FP_KIND_QNAN;
    }
    return x;
}

// The only place that knows the rounding modes' rule: does the magnitude go up? `odd` is the lowest
// bit kept, rest the bits dropped, half what one half of that lowest bit is in terms of rest.
FP_INLINE bool fp_rounds_up(uint8_t rm, bool sign, bool odd, uint64_t rest, uint64_t half)
{
    switch (rm) {
    case FP_RNE:
        return rest > half || (rest == half && odd);
    case FP_RTZ:
        return false;
    case FP_RDN:
        return rest && sign;
    case FP_RUP:
        return rest && !sign;
    case FP_RMM:
        return rest >= half;
    default:
        assert(rm == FP_RTO);
        return rest && !odd;
    }
}

// frac / 2^n rounded to an integer, 1 <= n <= 63.
FP_INLINE uint64_t fp_round_frac(uint64_t frac, int n, bool sign, uint8_t rm, bool *inexact)
{
    uint64_t whole = frac >> n;
    uint64_t rest = frac & ((UINT64_C(1) << n) - 1);

    *inexact = rest != 0;
    return whole + fp_rounds_up(rm, sign, whole & 1, rest, UINT64_C(1) << (n - 1));
}

FP_COLD uint64_t fp_overflow(struct fmt f, bool sign, struct fp_env *env)
{
    // The largest finite number is odd; from half an ulp above it on, nearest means infinity.
    bool to_inf = fp_rounds_up(env->rm, sign, true, 1, 1);

    env->flags |= FP_OVERFLOW | FP_INEXACT;
    return fp_inf(f, sign) - !to_inf;
}

// With the exponent unbounded, would x, which is below the normal range, round up into it?
FP_COLD bool fp_escapes_tiny(struct fmt f, struct num x, uint8_t rm)
{
    bool inexact;

    return x.exp == -fmt_bias(f) &&
           fp_round_frac(x.frac, FP_LEAD - f.fbits, x.sign, rm, &inexact) >> (f.fbits + 1);
}

// Packs a normalized number, rounded once, and sets the flags that this raises.
FP_INLINE uint64_t fp_round_pack(struct fmt f, struct num x, struct fp_env *env)
{
    int biased = x.exp + fmt_bias(f);
    bool tiny = false;
    bool inexact;
    uint64_t mag;

    assert(x.frac >> FP_LEAD == 1 && x.exp < 3072); // so that the exponent field has room below
    if (biased <= 0) {
        tiny = !fp_escapes_tiny(f, x, env->rm);
        x.frac = shift_right_sticky(x.frac, 1 - biased);
        biased = 1;
    }
    // The leading bit, if there is one, and a carry out of the fraction go into the exponent field.
    mag = fp_round_frac(x.frac, FP_LEAD - f.fbits, x.sign, env->rm, &inexact);
    mag += (uint64_t)(biased - 1) << f.fbits;
    if (mag >= fmt_inf(f)) {
        return fp_overflow(f, x.sign, env);
    }
    if (inexact) {
        env->flags |= tiny ? FP_INEXACT | FP_UNDERFLOW : FP_INEXACT;
    }
    return fp_zero(f, x.sign) | mag;
}

#endif
