// SPDX-License-Identifier: MIT
//
// Software floating point: arithmetic and comparisons. Conversions are in softfloat_cvt.c, numbers
// and rounding in softfloat_impl.h.
//
// Each operation is written once, for any format and on bit patterns in uint64_t; the end of the
// file makes the exported functions of the three formats from it.
#include "base/softfloat_impl.h"

typedef unsigned __int128 u128;

// A num with room for the exact product of two of them: frac / 2^126 * 2^exp.
struct wide {
    bool sign;
    int exp;
    u128 frac;
};

#define WIDE_LEAD 126

static inline u128 shift_right_sticky_wide(u128 x, int n)
{
    if (n == 0) {
        return x;
    }
    if (n > 127) {
        return x != 0;
    }
    return x >> n | (x << (128 - n) != 0);
}

static inline int count_zeros_wide(u128 x)
{
    uint64_t high = x >> 64;

    return high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)x);
}

// Addition

// The sign of an exact zero sum of operands that are not both zeros of one sign.
static inline bool cancelled_sign(const struct fp_env *env)
{
    return env->rm == FP_RDN;
}

// |a| - |b| may lose all but one of the leading bits only if the exponents differ by one at most,
// and then nothing was shifted into the sticky bit.
FP_INLINE uint64_t add_finite(struct fmt f, struct num a, struct num b, struct fp_env *env)
{
    if (a.exp < b.exp || (a.exp == b.exp && a.frac < b.frac)) {
        struct num t = a;

        a = b;
        b = t;
    }
    b.frac = shift_right_sticky(b.frac, a.exp - b.exp);
    a.frac = a.sign == b.sign ? a.frac + b.frac : a.frac - b.frac;
    if (a.frac == 0) {
        return fp_zero(f, cancelled_sign(env));
    }
    return fp_round_pack(f, fp_normalize(a), env);
}

static inline uint64_t add_zero(struct fmt f, struct num a, uint64_t abits, struct num b,
                                uint64_t bbits, struct fp_env *env)
{
    if (a.kind != FP_KIND_ZERO) {
        return abits;
    }
    if (b.kind != FP_KIND_ZERO || a.sign == b.sign) {
        return bbits;
    }
    return fp_zero(f, cancelled_sign(env));
}

FP_INLINE uint64_t add(struct fmt f, uint64_t abits, uint64_t bbits, struct fp_env *env)
{
    struct num a = fp_unpack(f, abits);
    struct num b = fp_unpack(f, bbits);
    int kinds = a.kind | b.kind;

    if (kinds == FP_KIND_FINITE) {
        return add_finite(f, a, b, env);
    }
    if (kinds & FP_KIND_NAN) {
        return fp_propagate(f, kinds, env);
    }
    if (kinds & FP_KIND_INF) {
        if (kinds == FP_KIND_INF && a.sign != b.sign) {
            return fp_invalid(f, env);
        }
        return a.kind == FP_KIND_INF ? abits : bbits;
    }
    return add_zero(f, a, abits, b, bbits, env);
}

FP_INLINE uint64_t sub(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    return add(f, a, b ^ fmt_sign(f), env);
}

// Multiplication

FP_INLINE uint64_t mul(struct fmt f, uint64_t abits, uint64_t bbits, struct fp_env *env)
{
    struct num a = fp_unpack(f, abits);
    struct num b = fp_unpack(f, bbits);
    int kinds = a.kind | b.kind;
    u128 product;

    a.sign ^= b.sign;
    if (kinds != FP_KIND_FINITE) {
        if (kinds & FP_KIND_NAN) {
            return fp_propagate(f, kinds, env);
        }
        if (kinds == (FP_KIND_INF | FP_KIND_ZERO)) {
            return fp_invalid(f, env);
        }
        return kinds & FP_KIND_INF ? fp_inf(f, a.sign) : fp_zero(f, a.sign);
    }
    product = (u128)a.frac * b.frac; // / 2^124
    a.exp += b.exp;
    a.frac = (uint64_t)(product >> FP_LEAD) | ((product & ((UINT64_C(1) << FP_LEAD) - 1)) != 0);
    return fp_round_pack(f, fp_normalize(a), env);
}

FP_INLINE uint64_t add_wide(struct fmt f, struct wide a, struct wide b, struct fp_env *env)
{
    struct num sum;
    int up;

    if (a.exp < b.exp || (a.exp == b.exp && a.frac < b.frac)) {
        struct wide t = a;

        a = b;
        b = t;
    }
    b.frac = shift_right_sticky_wide(b.frac, a.exp - b.exp);
    a.frac = a.sign == b.sign ? a.frac + b.frac : a.frac - b.frac;
    if (a.frac == 0) {
        return fp_zero(f, cancelled_sign(env));
    }
    up = count_zeros_wide(a.frac) - (127 - WIDE_LEAD);
    a.frac = up < 0 ? shift_right_sticky_wide(a.frac, 1) : a.frac << up;
    sum.kind = FP_KIND_FINITE;
    sum.sign = a.sign;
    sum.exp = a.exp - up;
    sum.frac = (uint64_t)(a.frac >> 64) | ((uint64_t)a.frac != 0);
    return fp_round_pack(f, sum, env);
}

// The product of nonzero finite numbers, exact and with the leading bit in its place.
static inline struct wide mul_wide(struct num a, struct num b)
{
    struct wide p = {
        .sign = a.sign ^ b.sign,
        .exp = a.exp + b.exp,
        .frac = (u128)a.frac * b.frac << (WIDE_LEAD - 2 * FP_LEAD),
    };

    if (p.frac >> (WIDE_LEAD + 1)) {
        p.exp++;
        p.frac >>= 1;
    }
    return p;
}

FP_INLINE uint64_t fma_special(struct fmt f, struct num a, struct num b, struct num c,
                               uint64_t cbits, struct fp_env *env)
{
    int factors = a.kind | b.kind;
    bool sign = a.sign ^ b.sign;

    if (factors == (FP_KIND_INF | FP_KIND_ZERO)) {
        return fp_invalid(f, env);
    }
    if ((factors | c.kind) & FP_KIND_NAN) {
        return fp_propagate(f, factors | c.kind, env);
    }
    if (factors & FP_KIND_INF) {
        return c.kind == FP_KIND_INF && c.sign != sign ? fp_invalid(f, env) : fp_inf(f, sign);
    }
    // The product is a zero, or c is an infinity.
    if (c.kind != FP_KIND_ZERO || c.sign == sign) {
        return cbits;
    }
    return fp_zero(f, cancelled_sign(env));
}

FP_INLINE uint64_t fma3(struct fmt f, uint64_t abits, uint64_t bbits, uint64_t cbits,
                        struct fp_env *env)
{
    struct num a = fp_unpack(f, abits);
    struct num b = fp_unpack(f, bbits);
    struct num c = fp_unpack(f, cbits);
    struct wide product, addend;

    if ((a.kind | b.kind) != FP_KIND_FINITE || (c.kind & ~(FP_KIND_FINITE | FP_KIND_ZERO))) {
        return fma_special(f, a, b, c, cbits, env);
    }
    product = mul_wide(a, b);
    // A zero has no exponent; with the product's, nothing of the product is shifted out.
    addend.sign = c.sign;
    addend.exp = c.kind == FP_KIND_ZERO ? product.exp : c.exp;
    addend.frac = (u128)c.frac << (WIDE_LEAD - FP_LEAD);
    return add_wide(f, product, addend, env);
}

// Division and square root

FP_INLINE uint64_t div_finite(struct fmt f, struct num a, struct num b, struct fp_env *env)
{
    u128 dividend = (u128)a.frac << FP_LEAD;

    a.exp -= b.exp;
    a.frac = (uint64_t)(dividend / b.frac);
    a.frac |= dividend % b.frac != 0;
    return fp_round_pack(f, fp_normalize(a), env);
}

FP_INLINE uint64_t div(struct fmt f, uint64_t abits, uint64_t bbits, struct fp_env *env)
{
    struct num a = fp_unpack(f, abits);
    struct num b = fp_unpack(f, bbits);
    int kinds = a.kind | b.kind;

    a.sign ^= b.sign;
    if (kinds == FP_KIND_FINITE) {
        return div_finite(f, a, b, env);
    }
    if (kinds & FP_KIND_NAN) {
        return fp_propagate(f, kinds, env);
    }
    if (kinds == FP_KIND_INF || kinds == FP_KIND_ZERO) {
        return fp_invalid(f, env);
    }
    if (a.kind == FP_KIND_ZERO || b.kind == FP_KIND_INF) {
        return fp_zero(f, a.sign);
    }
    if (a.kind != FP_KIND_INF) { // then b is a zero
        env->flags |= FP_DIVZERO;
    }
    return fp_inf(f, a.sign);
}

// The square root of x / 2^60, 1 <= x / 2^60 < 4, to n bits after the point, in units of 2^-60, bit
// 0 sticky. Digit by digit: root^2 <= x all the time; rest is x - root^2, moved up by one place a
// turn, and twice is 2 * root.
static inline uint64_t sqrt_digits(uint64_t x, int n)
{
    uint64_t rest = x;
    uint64_t root = 0;
    uint64_t twice = 0;
    uint64_t digit = UINT64_C(1) << 60;

    for (int i = 0; i <= n; i++) {
        uint64_t trial = twice + digit;
        uint64_t fits = -(uint64_t)(trial <= rest); // a mask: as a branch it would be unpredictable

        rest = (rest - (trial & fits)) << 1;
        twice += (digit << 1) & fits;
        root += digit & fits;
        digit >>= 1;
    }
    return root | (rest != 0);
}

FP_INLINE uint64_t sqrt1(struct fmt f, uint64_t abits, struct fp_env *env)
{
    struct num a = fp_unpack(f, abits);

    if (a.kind & FP_KIND_NAN) {
        return fp_propagate(f, a.kind, env);
    }
    if (a.kind == FP_KIND_ZERO) {
        return abits;
    }
    if (a.sign) {
        return fp_invalid(f, env);
    }
    if (a.kind == FP_KIND_INF) {
        return abits;
    }
    // frac has zeros in its low bits: nothing is lost here.
    a.frac = sqrt_digits(a.frac >> (a.exp & 1 ? 1 : 2), f.fbits + 1) << (FP_LEAD - 60);
    a.exp = (a.exp - (a.exp & 1)) / 2;
    return fp_round_pack(f, a, env);
}

// Comparisons

// Orders the numbers' bit patterns, with -0 just below +0.
FP_INLINE int64_t order(struct fmt f, uint64_t bits)
{
    int64_t mag = (int64_t)fp_abs(f, bits);

    return fp_sign(f, bits) ? -mag - 1 : mag;
}

FP_INLINE bool has_nan(struct fmt f, uint64_t a, uint64_t b)
{
    return fp_is_nan(f, a) || fp_is_nan(f, b);
}

FP_INLINE void raise_snan(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    if (fp_is_snan(f, a) || fp_is_snan(f, b)) {
        env->flags |= FP_INVALID;
    }
}

FP_INLINE uint64_t min(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_snan(f, a, b, env);
    if (fp_is_nan(f, a)) {
        return fp_is_nan(f, b) ? fmt_nan(f) : b;
    }
    return fp_is_nan(f, b) || order(f, a) < order(f, b) ? a : b;
}

FP_INLINE uint64_t max(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_snan(f, a, b, env);
    if (fp_is_nan(f, a)) {
        return fp_is_nan(f, b) ? fmt_nan(f) : b;
    }
    return fp_is_nan(f, b) || order(f, a) > order(f, b) ? a : b;
}

FP_INLINE uint64_t minm(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    uint64_t number = min(f, a, b, env);

    return has_nan(f, a, b) ? fmt_nan(f) : number;
}

FP_INLINE uint64_t maxm(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    uint64_t number = max(f, a, b, env);

    return has_nan(f, a, b) ? fmt_nan(f) : number;
}

FP_INLINE bool both_zero(struct fmt f, uint64_t a, uint64_t b)
{
    return fp_abs(f, a | b) == 0;
}

FP_INLINE bool eq(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_snan(f, a, b, env);
    return !has_nan(f, a, b) && (a == b || both_zero(f, a, b));
}

FP_INLINE bool ltq(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_snan(f, a, b, env);
    return !has_nan(f, a, b) && order(f, a) < order(f, b) && !both_zero(f, a, b);
}

FP_INLINE bool leq_q(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_snan(f, a, b, env);
    return !has_nan(f, a, b) && (order(f, a) <= order(f, b) || both_zero(f, a, b));
}

FP_INLINE void raise_nan(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    if (has_nan(f, a, b)) {
        env->flags |= FP_INVALID;
    }
}

FP_INLINE bool lt(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_nan(f, a, b, env);
    return ltq(f, a, b, env);
}

FP_INLINE bool le(struct fmt f, uint64_t a, uint64_t b, struct fp_env *env)
{
    raise_nan(f, a, b, env);
    return leq_q(f, a, b, env);
}

FP_INLINE uint32_t classify(struct fmt f, uint64_t bits)
{
    uint64_t mag = fp_abs(f, bits);
    bool sign = fp_sign(f, bits);

    if (mag > fmt_inf(f)) {
        return fp_is_snan(f, bits) ? FP_CLASS_SNAN : FP_CLASS_QNAN;
    }
    if (mag == fmt_inf(f)) {
        return sign ? FP_CLASS_NEG_INF : FP_CLASS_POS_INF;
    }
    if (mag == 0) {
        return sign ? FP_CLASS_NEG_ZERO : FP_CLASS_POS_ZERO;
    }
    if (mag >> f.fbits == 0) {
        return sign ? FP_CLASS_NEG_SUBNORMAL : FP_CLASS_POS_SUBNORMAL;
    }
    return sign ? FP_CLASS_NEG_NORMAL : FP_CLASS_POS_NORMAL;
}

// The exported functions

#define DEFINE_BINARY(F, T, R, name)           \
    R F##_##name(T a, T b, struct fp_env *env) \
    {                                          \
        return (R)name(fp_##F, a, b, env);     \
    }

#define DEFINE_FORMAT(F, T)                      \
    DEFINE_BINARY(F, T, T, add)                  \
    DEFINE_BINARY(F, T, T, sub)                  \
    DEFINE_BINARY(F, T, T, mul)                  \
    DEFINE_BINARY(F, T, T, div)                  \
    DEFINE_BINARY(F, T, T, min)                  \
    DEFINE_BINARY(F, T, T, max)                  \
    DEFINE_BINARY(F, T, T, minm)                 \
    DEFINE_BINARY(F, T, T, maxm)                 \
    DEFINE_BINARY(F, T, bool, eq)                \
    DEFINE_BINARY(F, T, bool, lt)                \
    DEFINE_BINARY(F, T, bool, le)                \
    DEFINE_BINARY(F, T, bool, ltq)               \
    DEFINE_BINARY(F, T, bool, leq_q)             \
    T F##_fma(T a, T b, T c, struct fp_env *env) \
    {                                            \
        return (T)fma3(fp_##F, a, b, c, env);    \
    }                                            \
    T F##_sqrt(T a, struct fp_env *env)          \
    {                                            \
        return (T)sqrt1(fp_##F, a, env);         \
    }                                            \
    uint32_t F##_classify(T a)                   \
    {                                            \
        return classify(fp_##F, a);              \
    }

DEFINE_FORMAT(f16, uint16_t)
DEFINE_FORMAT(f32, uint32_t)
DEFINE_FORMAT(f64, uint64_t)
