// SPDX-License-Identifier: MIT
//
// Software floating point: conversions between formats, to and from integers, and rounding to an
// integer. Numbers and rounding are in softfloat_impl.h.
#include "base/softfloat_impl.h"

// |x| rounded to an integer. x is finite or zero and below 2^64.
FP_INLINE uint64_t round_magnitude(struct num x, uint8_t rm, bool *inexact)
{
    *inexact = false;
    if (x.kind == FP_KIND_ZERO) {
        return 0;
    }
    assert(x.exp < 64);
    if (x.exp >= FP_LEAD) {
        return x.frac << (x.exp - FP_LEAD);
    }
    if (x.exp < -1) { // below 1/2: any nonzero rest below the half will do
        return fp_round_frac(1, 63, x.sign, rm, inexact);
    }
    return fp_round_frac(x.frac, FP_LEAD - x.exp, x.sign, rm, inexact);
}

static inline struct num num_from_integer(bool sign, uint64_t magnitude)
{
    struct num x = {
        .kind = FP_KIND_FINITE,
        .sign = sign,
        .exp = FP_LEAD,
        .frac = magnitude,
    };

    return fp_normalize(x);
}

FP_INLINE uint64_t round_to_int(struct fmt f, uint64_t bits, bool exact, struct fp_env *env)
{
    struct num x = fp_unpack(f, bits);
    bool inexact;
    uint64_t magnitude;

    if (x.kind & FP_KIND_NAN) {
        return fp_propagate(f, x.kind, env);
    }
    if (x.kind != FP_KIND_FINITE || x.exp >= f.fbits) {
        return bits;
    }
    magnitude = round_magnitude(x, env->rm, &inexact);
    if (inexact && exact) {
        env->flags |= FP_INEXACT;
    }
    if (magnitude == 0) {
        return fp_zero(f, x.sign);
    }
    return fp_round_pack(f, num_from_integer(x.sign, magnitude), env); // exact
}

// To an integer between -low and high, given as magnitudes; the result is modulo 2^64.
FP_INLINE uint64_t to_integer(struct fmt f, uint64_t bits, uint64_t low, uint64_t high,
                              struct fp_env *env)
{
    struct num x = fp_unpack(f, bits);
    uint64_t limit = x.sign ? low : high;
    uint64_t magnitude;
    bool inexact;

    if (x.kind & FP_KIND_NAN) {
        env->flags |= FP_INVALID;
        return high;
    }
    if (x.kind != FP_KIND_INF && x.exp < 64) {
        magnitude = round_magnitude(x, env->rm, &inexact);
        if (magnitude <= limit) {
            env->flags |= inexact ? FP_INEXACT : 0;
            return x.sign ? -magnitude : magnitude;
        }
    }
    env->flags |= FP_INVALID;
    return x.sign ? -limit : limit;
}

FP_INLINE uint64_t from_integer(struct fmt f, bool sign, uint64_t magnitude, struct fp_env *env)
{
    return magnitude == 0 ? 0 : fp_round_pack(f, num_from_integer(sign, magnitude), env);
}

FP_INLINE uint64_t from_signed(struct fmt f, int64_t a, struct fp_env *env)
{
    return from_integer(f, a < 0, a < 0 ? -(uint64_t)a : (uint64_t)a, env);
}

FP_INLINE uint64_t convert(struct fmt from, struct fmt to, uint64_t bits, struct fp_env *env)
{
    struct num x = fp_unpack(from, bits);

    switch (x.kind) {
    case FP_KIND_ZERO:
        return fp_zero(to, x.sign);
    case FP_KIND_INF:
        return fp_inf(to, x.sign);
    case FP_KIND_FINITE:
        return fp_round_pack(to, x, env);
    default:
        return fp_propagate(to, x.kind, env);
    }
}

int32_t f64_to_i32_mod(uint64_t a, struct fp_env *env)
{
    struct fp_env truncate = {.rm = FP_RTZ};
    struct num x = fp_unpack(fp_f64, a);
    uint64_t low = 0;

    f64_to_i32(a, &truncate);
    env->flags |= truncate.flags;
    if (x.kind == FP_KIND_FINITE && x.exp >= 0 && x.exp < FP_LEAD + 32) {
        low = x.exp < FP_LEAD ? x.frac >> (FP_LEAD - x.exp) : x.frac << (x.exp - FP_LEAD);
    }
    return (int32_t)(uint32_t)(x.sign ? -low : low);
}

#define DEFINE_INTEGERS(F, T)                                                     \
    T F##_round_to_int(T a, bool exact, struct fp_env *env)                       \
    {                                                                             \
        return (T)round_to_int(fp_##F, a, exact, env);                            \
    }                                                                             \
    int32_t F##_to_i32(T a, struct fp_env *env)                                   \
    {                                                                             \
        return (int32_t)to_integer(fp_##F, a, UINT64_C(1) << 31, INT32_MAX, env); \
    }                                                                             \
    uint32_t F##_to_u32(T a, struct fp_env *env)                                  \
    {                                                                             \
        return (uint32_t)to_integer(fp_##F, a, 0, UINT32_MAX, env);               \
    }                                                                             \
    int64_t F##_to_i64(T a, struct fp_env *env)                                   \
    {                                                                             \
        return (int64_t)to_integer(fp_##F, a, UINT64_C(1) << 63, INT64_MAX, env); \
    }                                                                             \
    uint64_t F##_to_u64(T a, struct fp_env *env)                                  \
    {                                                                             \
        return to_integer(fp_##F, a, 0, UINT64_MAX, env);                         \
    }                                                                             \
    T i32_to_##F(int32_t a, struct fp_env *env)                                   \
    {                                                                             \
        return (T)from_signed(fp_##F, a, env);                                    \
    }                                                                             \
    T u32_to_##F(uint32_t a, struct fp_env *env)                                  \
    {                                                                             \
        return (T)from_integer(fp_##F, false, a, env);                            \
    }                                                                             \
    T i64_to_##F(int64_t a, struct fp_env *env)                                   \
    {                                                                             \
        return (T)from_signed(fp_##F, a, env);                                    \
    }                                                                             \
    T u64_to_##F(uint64_t a, struct fp_env *env)                                  \
    {                                                                             \
        return (T)from_integer(fp_##F, false, a, env);                            \
    }

DEFINE_INTEGERS(f16, uint16_t)
DEFINE_INTEGERS(f32, uint32_t)
DEFINE_INTEGERS(f64, uint64_t)

#define DEFINE_CONVERSION(F, G, T, U)              \
    U F##_to_##G(T a, struct fp_env *env)          \
    {                                              \
        return (U)convert(fp_##F, fp_##G, a, env); \
    }

DEFINE_CONVERSION(f16, f32, uint16_t, uint32_t)
DEFINE_CONVERSION(f16, f64, uint16_t, uint64_t)
DEFINE_CONVERSION(f32, f16, uint32_t, uint16_t)
DEFINE_CONVERSION(f32, f64, uint32_t, uint64_t)
DEFINE_CONVERSION(f64, f16, uint64_t, uint16_t)
DEFINE_CONVERSION(f64, f32, uint64_t, uint32_t)
