// SPDX-License-Identifier: MIT
//
// base/softfloat.h against two references that share nothing with it: GNU MPFR, whose results are
// exact here and then rounded by the rules as the standard words them, and the host's SSE unit
// where it has the operation. Every operation runs in every rounding mode on all combinations of
// edge values and on random operands that lean to hard cases (ties, cancellation, the ends of the
// range).
//
// SOFTFLOAT_CASES in the environment is how many random operands an operation gets (in each of the
// modes), SOFTFLOAT_SEED another start of the random sequence.
#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <gmp.h>
#include <mpfr.h>

#include "base/softfloat.h"

enum {
    MODES = 6,
    DEFAULT_CASES = 20000,
    HOST_FACTOR = 10, // the host's reference is that much cheaper
    PRECISION = 200,  // of MPFR's truncated results; any two more bits than f64 has would do
    MAX_EDGES = 128,
};

enum type { F16, F32, F64, I32, U32, I64, U64, FLAG };

static const struct format {
    int ebits, fbits;
} formats[] = {[F16] = {5, 10}, [F32] = {8, 23}, [F64] = {11, 52}};

// The operations under test

// clang-format off
enum kind {
    ADD, SUB, MUL, DIV, SQRT, FMA, MIN, MAX, MINM, MAXM, EQ, LT, LE, LTQ, LEQ_Q,
    CLASSIFY, ROUND, ROUND_QUIET, TO_INTEGER, TO_I32_MOD, CONVERT,
};
// clang-format on

struct op {
    const char *name;
    enum kind kind;
    int arity;
    enum type from, to;
    uint64_t (*run)(const uint64_t *x, struct fp_env *env);
};

#define RUN(name, type, call)                                         \
    static uint64_t run_##name(const uint64_t *x, struct fp_env *env) \
    {                                                                 \
        return (uint64_t)(type)call;                                  \
    }

// clang-format off
#define RUN1(F, name) RUN(F##_##name, uint64_t, F##_##name(x[0], env))
#define RUN2(F, name) RUN(F##_##name, uint64_t, F##_##name(x[0], x[1], env))
#define RUN_FORMAT(F) \
    RUN2(F, add) RUN2(F, sub) RUN2(F, mul) RUN2(F, div) RUN1(F, sqrt) \
    RUN2(F, min) RUN2(F, max) RUN2(F, minm) RUN2(F, maxm) \
    RUN2(F, eq) RUN2(F, lt) RUN2(F, le) RUN2(F, ltq) RUN2(F, leq_q) \
    RUN(F##_fma, uint64_t, F##_fma(x[0], x[1], x[2], env)) \
    RUN(F##_classify, uint64_t, ((void)env, F##_classify(x[0]))) \
    RUN(F##_round_exact, uint64_t, F##_round_to_int(x[0], true, env)) \
    RUN(F##_round_quiet, uint64_t, F##_round_to_int(x[0], false, env)) \
    RUN(F##_to_i32, int64_t, F##_to_i32(x[0], env)) \
    RUN(F##_to_u32, uint64_t, F##_to_u32(x[0], env)) \
    RUN(F##_to_i64, int64_t, F##_to_i64(x[0], env)) \
    RUN(F##_to_u64, uint64_t, F##_to_u64(x[0], env)) \
    RUN(i32_to_##F, uint64_t, i32_to_##F((int32_t)x[0], env)) \
    RUN(u32_to_##F, uint64_t, u32_to_##F((uint32_t)x[0], env)) \
    RUN(i64_to_##F, uint64_t, i64_to_##F((int64_t)x[0], env)) \
    RUN(u64_to_##F, uint64_t, u64_to_##F(x[0], env))

RUN_FORMAT(f16)
RUN_FORMAT(f32)
RUN_FORMAT(f64)
RUN1(f16, to_f32)
RUN1(f16, to_f64)
RUN1(f32, to_f16)
RUN1(f32, to_f64)
RUN1(f64, to_f16)
RUN1(f64, to_f32)
RUN(f64_to_i32_mod, int64_t, f64_to_i32_mod(x[0], env))
// clang-format on

// clang-format off
#define OP(name, kind, arity, from, to) {#name, kind, arity, from, to, run_##name},
#define OPS_FORMAT(f, F) \
    OP(f##_add, ADD, 2, F, F) OP(f##_sub, SUB, 2, F, F) OP(f##_mul, MUL, 2, F, F) \
    OP(f##_div, DIV, 2, F, F) OP(f##_sqrt, SQRT, 1, F, F) OP(f##_fma, FMA, 3, F, F) \
    OP(f##_min, MIN, 2, F, F) OP(f##_max, MAX, 2, F, F) OP(f##_minm, MINM, 2, F, F) \
    OP(f##_maxm, MAXM, 2, F, F) OP(f##_eq, EQ, 2, F, FLAG) OP(f##_lt, LT, 2, F, FLAG) \
    OP(f##_le, LE, 2, F, FLAG) OP(f##_ltq, LTQ, 2, F, FLAG) OP(f##_leq_q, LEQ_Q, 2, F, FLAG) \
    OP(f##_classify, CLASSIFY, 1, F, FLAG) OP(f##_round_exact, ROUND, 1, F, F) \
    OP(f##_round_quiet, ROUND_QUIET, 1, F, F) OP(f##_to_i32, TO_INTEGER, 1, F, I32) \
    OP(f##_to_u32, TO_INTEGER, 1, F, U32) OP(f##_to_i64, TO_INTEGER, 1, F, I64) \
    OP(f##_to_u64, TO_INTEGER, 1, F, U64) OP(i32_to_##f, CONVERT, 1, I32, F) \
    OP(u32_to_##f, CONVERT, 1, U32, F) OP(i64_to_##f, CONVERT, 1, I64, F) \
    OP(u64_to_##f, CONVERT, 1, U64, F)

static const struct op ops[] = {
    OPS_FORMAT(f16, F16)
    OPS_FORMAT(f32, F32)
    OPS_FORMAT(f64, F64)
    OP(f16_to_f32, CONVERT, 1, F16, F32)
    OP(f16_to_f64, CONVERT, 1, F16, F64)
    OP(f32_to_f16, CONVERT, 1, F32, F16)
    OP(f32_to_f64, CONVERT, 1, F32, F64)
    OP(f64_to_f16, CONVERT, 1, F64, F16)
    OP(f64_to_f32, CONVERT, 1, F64, F32)
    OP(f64_to_i32_mod, TO_I32_MOD, 1, F64, I32)
};
// clang-format on

enum { OPS = sizeof(ops) / sizeof(ops[0]) };

// Bit patterns

static bool is_float(enum type t)
{
    return t <= F64;
}

static int bias(struct format f)
{
    return (1 << (f.ebits - 1)) - 1;
}

// Any field may be out of range and is cut off.
static uint64_t pattern(struct format f, bool sign, int biased, uint64_t frac)
{
    uint64_t exp = (uint64_t)biased & ((1u << f.ebits) - 1);

    return (uint64_t)sign << (f.ebits + f.fbits) | exp << f.fbits |
           (frac & ((UINT64_C(1) << f.fbits) - 1));
}

static uint64_t all_ones(struct format f)
{
    return (UINT64_C(1) << f.fbits) - 1;
}

static uint64_t infinity(struct format f, bool sign)
{
    return pattern(f, sign, -1, 0);
}

static uint64_t canonical_nan(struct format f)
{
    return pattern(f, false, -1, UINT64_C(1) << (f.fbits - 1));
}

static bool is_nan(struct format f, uint64_t bits)
{
    return (bits & ~pattern(f, true, 0, 0)) > infinity(f, false);
}

static bool is_snan(struct format f, uint64_t bits)
{
    return is_nan(f, bits) && !(bits >> (f.fbits - 1) & 1);
}

// The exact reference

struct reference {
    mpfr_t in[3];
    mpfr_t exact;  // the operation's result: exact, or truncated with one sticky bit below
    mpfr_t scaled; // a number in units of the last place to be kept
    mpfr_t whole;  // that, rounded to an integer
    mpz_t integer;
};

static void reference_init(struct reference *r)
{
    for (int i = 0; i < 3; i++) {
        mpfr_init2(r->in[i], 64);
    }
    mpfr_init2(r->exact, PRECISION + 8);
    mpfr_init2(r->scaled, PRECISION + 8);
    mpfr_init2(r->whole, PRECISION + 8);
    mpz_init(r->integer);
}

static void reference_clear(struct reference *r)
{
    mpfr_clears(r->in[0], r->in[1], r->in[2], r->exact, r->scaled, r->whole, (mpfr_ptr)NULL);
    mpz_clear(r->integer);
    mpfr_free_cache();
}

static void load_float(mpfr_t x, struct format f, uint64_t bits)
{
    uint64_t frac = bits & all_ones(f);
    int biased = (int)(bits >> f.fbits) & ((1 << f.ebits) - 1);
    bool sign = bits >> (f.ebits + f.fbits);

    if (is_nan(f, bits)) {
        mpfr_set_nan(x);
        return;
    }
    if (biased == (1 << f.ebits) - 1) {
        mpfr_set_inf(x, sign ? -1 : 1);
        return;
    }
    if (biased == 0) {
        mpfr_set_uj_2exp(x, frac, 1 - bias(f) - f.fbits, MPFR_RNDN);
    } else {
        mpfr_set_uj_2exp(x, frac | UINT64_C(1) << f.fbits, biased - bias(f) - f.fbits, MPFR_RNDN);
    }
    mpfr_setsign(x, x, sign, MPFR_RNDN);
}

static void load(mpfr_t x, enum type t, uint64_t bits)
{
    if (is_float(t)) {
        load_float(x, formats[t], bits);
    } else if (t == I32 || t == I64) {
        mpfr_set_sj(x, (int64_t)bits, MPFR_RNDN);
    } else {
        mpfr_set_uj(x, bits, MPFR_RNDN);
    }
}

// whole = x rounded to an integer by rm.
static void round_whole(mpfr_t whole, const mpfr_t x, uint8_t rm)
{
    switch (rm) {
    case FP_RNE:
        mpfr_roundeven(whole, x);
        break;
    case FP_RTZ:
        mpfr_trunc(whole, x);
        break;
    case FP_RDN:
        mpfr_floor(whole, x);
        break;
    case FP_RUP:
        mpfr_ceil(whole, x);
        break;
    case FP_RMM:
        mpfr_round(whole, x); // ties away from zero
        break;
    default:
        mpfr_trunc(whole, x);
        if (mpfr_cmp(whole, x) != 0) {
            uintmax_t magnitude = (uintmax_t)llabs(mpfr_get_sj(whole, MPFR_RNDZ));

            mpfr_set_uj(whole, magnitude | 1, MPFR_RNDN);
            mpfr_setsign(whole, whole, mpfr_signbit(x), MPFR_RNDN);
        }
    }
}

// |x|, rounded to p bits with no bound on the exponent, against 2^exp.
static int compare_unbounded(struct reference *r, int p, uint8_t rm, int exp)
{
    mpfr_exp_t ulp = mpfr_get_exp(r->exact) - p;

    mpfr_div_2si(r->scaled, r->exact, ulp, MPFR_RNDN);
    round_whole(r->whole, r->scaled, rm);
    mpfr_mul_2si(r->whole, r->whole, ulp, MPFR_RNDN);
    mpfr_set_ui_2exp(r->scaled, 1, exp, MPFR_RNDN);
    return mpfr_cmpabs(r->whole, r->scaled);
}

static uint64_t overflowed(struct format f, bool sign, uint8_t rm)
{
    bool away = rm == FP_RNE || rm == FP_RMM || rm == (sign ? FP_RDN : FP_RUP);

    return away ? infinity(f, sign) : pattern(f, sign, -2, all_ones(f));
}

// r->exact in format f: IEEE 754-2019, 4.3 (rounding), 7.4 (overflow), 7.5 (underflow).
static uint64_t round_float(struct reference *r, struct format f, uint8_t rm, uint8_t *flags)
{
    bool sign = mpfr_signbit(r->exact);
    int least = 1 - bias(f); // exponent of the smallest normal number
    mpfr_exp_t ulp;
    uint64_t magnitude;
    bool tiny;

    if (mpfr_nan_p(r->exact)) {
        return canonical_nan(f);
    }
    if (mpfr_inf_p(r->exact)) {
        return infinity(f, sign);
    }
    if (mpfr_zero_p(r->exact)) {
        return pattern(f, sign, 0, 0);
    }
    if (compare_unbounded(r, f.fbits + 1, rm, bias(f) + 1) >= 0) {
        *flags |= FP_OVERFLOW | FP_INEXACT;
        return overflowed(f, sign, rm);
    }
    tiny = compare_unbounded(r, f.fbits + 1, rm, least) < 0;
    ulp = mpfr_get_exp(r->exact) - f.fbits - 1;
    ulp = ulp < least - f.fbits ? least - f.fbits : ulp;
    mpfr_div_2si(r->scaled, r->exact, ulp, MPFR_RNDN);
    round_whole(r->whole, r->scaled, rm);
    if (mpfr_cmp(r->whole, r->scaled) != 0) {
        *flags |= tiny ? FP_UNDERFLOW | FP_INEXACT : FP_INEXACT;
    }
    magnitude = mpfr_get_uj(r->whole, MPFR_RNDN);
    if (sign) {
        mpfr_neg(r->whole, r->whole, MPFR_RNDN);
        magnitude = mpfr_get_uj(r->whole, MPFR_RNDN);
    }
    if (magnitude >> (f.fbits + 1)) { // carried into the next binade
        magnitude >>= 1;
        ulp++;
    }
    return pattern(f, sign, magnitude >> f.fbits ? (int)ulp + f.fbits + bias(f) : 0, magnitude);
}

static int apply(struct reference *r, enum kind kind, mpfr_rnd_t rnd)
{
    switch (kind) {
    case ADD:
        return mpfr_add(r->exact, r->in[0], r->in[1], rnd);
    case SUB:
        return mpfr_sub(r->exact, r->in[0], r->in[1], rnd);
    case MUL:
        return mpfr_mul(r->exact, r->in[0], r->in[1], rnd);
    case DIV:
        return mpfr_div(r->exact, r->in[0], r->in[1], rnd);
    case SQRT:
        return mpfr_sqrt(r->exact, r->in[0], rnd);
    case FMA:
        return mpfr_fma(r->exact, r->in[0], r->in[1], r->in[2], rnd);
    default:
        cr_assert_fail("not arithmetic");
        return 0;
    }
}

// Leaves in r->exact a number that rounds like the exact result.
static void compute(struct reference *r, enum kind kind, uint8_t rm)
{
    int inexact;

    mpfr_set_prec(r->exact, PRECISION);
    inexact = apply(r, kind, MPFR_RNDZ);
    if (mpfr_zero_p(r->exact) && rm == FP_RDN) {
        apply(r, kind, MPFR_RNDD); // for the sign of an exact zero
    }
    mpfr_prec_round(r->exact, PRECISION + 8, MPFR_RNDZ);
    if (inexact && mpfr_signbit(r->exact)) {
        mpfr_nextbelow(r->exact);
    } else if (inexact) {
        mpfr_nextabove(r->exact);
    }
}

static bool any_nan(const struct op *op, const uint64_t *x, bool (*test)(struct format, uint64_t))
{
    for (int i = 0; i < op->arity; i++) {
        if (test(formats[op->from], x[i])) {
            return true;
        }
    }
    return false;
}

static uint64_t expect_arithmetic(struct reference *r, const struct op *op, const uint64_t *x,
                                  uint8_t rm, uint8_t *flags)
{
    mpfr_clear_divby0();
    compute(r, op->kind, rm);
    if (mpfr_divby0_p()) {
        *flags |= FP_DIVZERO;
    }
    if (mpfr_nan_p(r->exact) && !any_nan(op, x, is_nan)) {
        *flags |= FP_INVALID;
    }
    if (op->kind == FMA) {
        mpfr_mul(r->scaled, r->in[0], r->in[1], MPFR_RNDN); // 0 * inf, whatever is added
        if (mpfr_nan_p(r->scaled) && !mpfr_nan_p(r->in[0]) && !mpfr_nan_p(r->in[1])) {
            *flags |= FP_INVALID;
        }
    }
    return round_float(r, formats[op->to], rm, flags);
}

static uint64_t expect_min_max(struct reference *r, const struct op *op, const uint64_t *x)
{
    struct format f = formats[op->from];
    uint8_t none = 0;

    if (op->kind == MIN || op->kind == MINM) {
        mpfr_min(r->exact, r->in[0], r->in[1], MPFR_RNDN); // treats NaNs as minimumNumber does
    } else {
        mpfr_max(r->exact, r->in[0], r->in[1], MPFR_RNDN);
    }
    if ((op->kind == MINM || op->kind == MAXM) && any_nan(op, x, is_nan)) {
        mpfr_set_nan(r->exact);
    }
    return round_float(r, f, FP_RNE, &none);
}

static uint64_t expect_comparison(struct reference *r, const struct op *op, const uint64_t *x,
                                  uint8_t *flags)
{
    if ((op->kind == LT || op->kind == LE) && any_nan(op, x, is_nan)) {
        *flags |= FP_INVALID;
    }
    switch (op->kind) {
    case EQ:
        return mpfr_equal_p(r->in[0], r->in[1]) != 0;
    case LT:
    case LTQ:
        return mpfr_less_p(r->in[0], r->in[1]) != 0;
    default:
        return mpfr_lessequal_p(r->in[0], r->in[1]) != 0;
    }
}

static uint64_t expect_class(struct reference *r, struct format f, uint64_t bits)
{
    bool sign = mpfr_signbit(r->in[0]);

    if (mpfr_nan_p(r->in[0])) {
        return is_snan(f, bits) ? 1 << 8 : 1 << 9;
    }
    if (mpfr_inf_p(r->in[0])) {
        return sign ? 1 << 0 : 1 << 7;
    }
    if (mpfr_zero_p(r->in[0])) {
        return sign ? 1 << 3 : 1 << 4;
    }
    if (mpfr_get_exp(r->in[0]) < 2 - bias(f)) { // MPFR's significands are below 1
        return sign ? 1 << 2 : 1 << 5;
    }
    return sign ? 1 << 1 : 1 << 6;
}

static uint64_t expect_round(struct reference *r, const struct op *op, uint8_t rm, uint8_t *flags)
{
    uint8_t none = 0;

    if (mpfr_number_p(r->in[0])) {
        round_whole(r->exact, r->in[0], rm);
        if (op->kind == ROUND && mpfr_cmp(r->exact, r->in[0]) != 0) {
            *flags |= FP_INEXACT;
        }
    } else {
        mpfr_set(r->exact, r->in[0], MPFR_RNDN);
    }
    return round_float(r, formats[op->to], FP_RNE, &none);
}

static uint64_t expect_integer(struct reference *r, enum type to, uint8_t rm, uint8_t *flags)
{
    int bits = to == I32 || to == U32 ? 32 : 64;
    bool is_signed = to == I32 || to == I64;
    uint64_t most = UINT64_MAX >> (64 - bits + is_signed);
    uint64_t least = is_signed ? ~most : 0;

    if (mpfr_nan_p(r->in[0]) || mpfr_inf_p(r->in[0])) {
        *flags |= FP_INVALID;
        return mpfr_inf_p(r->in[0]) && mpfr_signbit(r->in[0]) ? least : most;
    }
    round_whole(r->whole, r->in[0], rm);
    mpfr_set_uj(r->scaled, most, MPFR_RNDN);
    if (mpfr_cmp(r->whole, r->scaled) > 0) {
        *flags |= FP_INVALID;
        return most;
    }
    mpfr_set_sj(r->scaled, (int64_t)least, MPFR_RNDN);
    if (mpfr_cmp(r->whole, r->scaled) < 0) {
        *flags |= FP_INVALID;
        return least;
    }
    if (mpfr_cmp(r->whole, r->in[0]) != 0) {
        *flags |= FP_INEXACT;
    }
    return is_signed ? (uint64_t)mpfr_get_sj(r->whole, MPFR_RNDN)
                     : mpfr_get_uj(r->whole, MPFR_RNDN);
}

static uint64_t expect_i32_mod(struct reference *r, uint8_t *flags)
{
    expect_integer(r, I32, FP_RTZ, flags);
    if (!mpfr_number_p(r->in[0])) {
        return 0;
    }
    mpfr_get_z(r->integer, r->in[0], MPFR_RNDZ);
    mpz_fdiv_r_2exp(r->integer, r->integer, 32);
    return (uint64_t)(int32_t)mpz_get_ui(r->integer);
}

static uint64_t expect(struct reference *r, const struct op *op, const uint64_t *x, uint8_t rm,
                       uint8_t *flags)
{
    for (int i = 0; i < op->arity; i++) {
        load(r->in[i], op->from, x[i]);
    }
    if (is_float(op->from) && op->kind != CLASSIFY && any_nan(op, x, is_snan)) {
        *flags |= FP_INVALID;
    }
    switch (op->kind) {
    case MIN:
    case MAX:
    case MINM:
    case MAXM:
        return expect_min_max(r, op, x);
    case EQ:
    case LT:
    case LE:
    case LTQ:
    case LEQ_Q:
        return expect_comparison(r, op, x, flags);
    case CLASSIFY:
        return expect_class(r, formats[op->from], x[0]);
    case ROUND:
    case ROUND_QUIET:
        return expect_round(r, op, rm, flags);
    case TO_INTEGER:
        return expect_integer(r, op->to, rm, flags);
    case TO_I32_MOD:
        return expect_i32_mod(r, flags);
    case CONVERT:
        mpfr_set(r->exact, r->in[0], MPFR_RNDN);
        return round_float(r, formats[op->to], rm, flags);
    default:
        return expect_arithmetic(r, op, x, rm, flags);
    }
}

static void fail(const char *by, const struct op *op, const uint64_t *x, uint8_t rm, uint64_t got,
                 uint8_t got_flags, uint64_t want, uint8_t want_flags)
{
    cr_assert_fail("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ") rm %d: %#" PRIx64
                   " flags %#x, but %s says %#" PRIx64 " flags %#x",
                   op->name, x[0], op->arity > 1 ? x[1] : 0, op->arity > 2 ? x[2] : 0, rm, got,
                   got_flags, by, want, want_flags);
}

// One operation on given operands, in all modes. FP_DENORMAL shows that flags are only ever added.
static void check(struct reference *r, const struct op *op, const uint64_t *x)
{
    for (uint8_t rm = 0; rm < MODES; rm++) {
        struct fp_env env = {.rm = rm, .flags = FP_DENORMAL};
        uint8_t flags = FP_DENORMAL;
        uint64_t got = op->run(x, &env);
        uint64_t want = expect(r, op, x, rm, &flags);

        if (got != want || env.flags != flags || env.rm != rm) {
            fail("MPFR", op, x, rm, got, env.flags, want, flags);
        }
    }
}

// Edge values

static int add_both_signs(struct format f, uint64_t *out, int n, int biased, uint64_t frac)
{
    out[n] = pattern(f, false, biased, frac);
    out[n + 1] = pattern(f, true, biased, frac);
    return n + 2;
}

// All exponents crossed with all fractions, and infinities and NaNs.
static int float_edges(struct format f, uint64_t *out, const int *exps, int nexps,
                       const uint64_t *fracs, int nfracs)
{
    int n = 0;

    for (int e = 0; e < nexps; e++) {
        for (int i = 0; i < nfracs; i++) {
            n = add_both_signs(f, out, n, exps[e], fracs[i]);
        }
    }
    n = add_both_signs(f, out, n, -1, 0);
    n = add_both_signs(f, out, n, -1, 1);                            // signaling
    n = add_both_signs(f, out, n, -1, all_ones(f) >> 1);             // signaling
    n = add_both_signs(f, out, n, -1, UINT64_C(1) << (f.fbits - 1)); // quiet, canonical
    n = add_both_signs(f, out, n, -1, all_ones(f));                  // quiet
    assert(n <= MAX_EDGES);
    return n;
}

static int many_edges(struct format f, uint64_t *out)
{
    int one = bias(f);
    int max = (1 << f.ebits) - 2;
    const int exps[] = {
        0,       1,  2, one - 1, one, one + 1, one + f.fbits - 1, one + f.fbits, one + f.fbits + 1,
        max - 1, max};
    const uint64_t fracs[] = {0, 1, UINT64_C(1) << (f.fbits - 1), all_ones(f) - 1, all_ones(f)};

    return float_edges(f, out, exps, 11, fracs, 5);
}

static int few_edges(struct format f, uint64_t *out)
{
    int one = bias(f);
    const int exps[] = {0, 1, one / 2, one, one + 1, one + f.fbits, 2 * one};
    const uint64_t fracs[] = {0, 1, UINT64_C(1) << (f.fbits - 1), all_ones(f)};

    return float_edges(f, out, exps, 7, fracs, 4);
}

// Powers of two and their neighbours, of both signs, and integers at and beside ties of each
// format.
static void check_integer_edges(struct reference *r, const struct op *op)
{
    for (int top = 0; top < 64; top++) {
        for (int low = 0; low <= top; low++) {
            for (int delta = -1; delta <= 1; delta++) {
                uint64_t magnitude = (UINT64_C(1) << top | UINT64_C(1) << low) + (uint64_t)delta;
                uint64_t values[] = {magnitude, -magnitude};

                for (int i = 0; i < 2; i++) {
                    uint64_t x = values[i];

                    x = op->from == I32 ? (uint64_t)(int32_t)x : op->from == U32 ? (uint32_t)x : x;
                    check(r, op, &x);
                }
            }
        }
    }
}

// Every exponent with the fractions where rounding turns, and all quarters around powers of two.
static void check_unary_edges(struct reference *r, const struct op *op)
{
    struct format f = formats[op->from];
    uint64_t half = UINT64_C(1) << (f.fbits - 1);
    const uint64_t fracs[] = {0, 1, half - 1, half, half + 1, all_ones(f) - 1, all_ones(f)};

    for (int biased = 0; biased < 1 << f.ebits; biased++) {
        for (int i = 0; i < 14; i++) {
            uint64_t x = pattern(f, i & 1, biased, fracs[i / 2]);

            check(r, op, &x);
        }
    }
    for (int exp = 0; exp <= 64 && exp < f.fbits - 1; exp++) {
        uint64_t quarter = UINT64_C(1) << (f.fbits - exp - 2);

        for (int n = -8; n <= 8; n++) {
            for (int beside = -1; beside <= 1; beside++) {
                uint64_t x = pattern(f, n & 1, bias(f) + exp, 0);

                x += (uint64_t)n * quarter + (uint64_t)beside;
                check(r, op, &x);
                x ^= pattern(f, true, 0, 0);
                check(r, op, &x);
            }
        }
    }
}

static void check_crossed_edges(struct reference *r, const struct op *op)
{
    uint64_t edges[MAX_EDGES], x[3];
    int n =
        op->arity == 2 ? many_edges(formats[op->from], edges) : few_edges(formats[op->from], edges);

    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            for (int k = 0; k < (op->arity == 2 ? 1 : n); k++) {
                x[0] = edges[i];
                x[1] = edges[j];
                x[2] = edges[k];
                check(r, op, x);
            }
        }
    }
}

static void check_edges(struct reference *r, const struct op *op)
{
    if (!is_float(op->from)) {
        check_integer_edges(r, op);
    } else if (op->arity == 1) {
        check_unary_edges(r, op);
    } else {
        check_crossed_edges(r, op);
    }
}

// Random operands

// SplitMix64.
static uint64_t next(uint64_t *rng)
{
    uint64_t z = *rng += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int between(uint64_t *rng, int low, int high)
{
    return low + (int)(next(rng) % (uint64_t)(high - low + 1));
}

// Long runs of equal bits, a few bits, or anything.
static uint64_t random_bits(uint64_t *rng)
{
    uint64_t v = next(rng);

    switch (next(rng) % 4) {
    case 0:
        return UINT64_C(1) << (v & 63) | UINT64_C(1) << (v >> 6 & 63) |
               UINT64_C(1) << (v >> 12 & 63);
    case 1:
        return (UINT64_C(1) << (v & 63)) - (UINT64_C(1) << (v >> 6 & 63)) - (v >> 12 & 1);
    case 2:
        return ~UINT64_C(0) >> (v & 63) ^ UINT64_C(1) << (v >> 6 & 63);
    default:
        return v;
    }
}

static uint64_t random_float(uint64_t *rng, struct format f)
{
    uint64_t edges[MAX_EDGES];
    uint64_t v = next(rng);
    int biased = (int)(v >> 1 & 0x7ff);

    if (v >> 60 == 0) {
        return edges[(int)(next(rng) % (uint64_t)many_edges(f, edges))];
    }
    return pattern(f, v & 1, v >> 60 == 1 ? bias(f) : biased, random_bits(rng));
}

static uint64_t random_value(uint64_t *rng, enum type t)
{
    uint64_t v;

    if (is_float(t)) {
        return random_float(rng, formats[t]);
    }
    v = random_bits(rng) >> (next(rng) % 4 ? 0 : next(rng) % 64);
    return t == I32 ? (uint64_t)(int32_t)v : t == U32 ? (uint32_t)v : v;
}

// bits with another exponent, if that is in range.
static uint64_t with_exponent(struct format f, uint64_t bits, int biased)
{
    if (biased < 0 || biased >= (1 << f.ebits) - 1) {
        return bits;
    }
    return pattern(f, bits >> (f.ebits + f.fbits), biased, bits);
}

static int exponent(struct format f, uint64_t bits)
{
    return (int)(bits >> f.fbits) & ((1 << f.ebits) - 1);
}

// The biased exponent of a result at one of the ends of the range, or below.
static int end_of_range(uint64_t *rng, struct format f)
{
    return next(rng) % 2 ? between(rng, -f.fbits - 3, 2)
                         : between(rng, (1 << f.ebits) - 4, 1 << f.ebits);
}

static uint64_t beside(uint64_t *rng, uint64_t bits)
{
    return bits + (uint64_t)between(rng, -2, 2);
}

static const struct op *find_op(const char *name)
{
    for (int i = 0; i < OPS; i++) {
        if (strcmp(ops[i].name, name) == 0) {
            return &ops[i];
        }
    }
    cr_assert_fail("no operation %s", name);
    return NULL;
}

// What the code under test itself makes of kind, to nearest: only to aim other operands by it.
static uint64_t nearest(enum kind kind, enum type t, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t x[] = {a, b, c};
    struct fp_env env = {.rm = FP_RNE};
    int i = 0;

    while (ops[i].kind != kind || ops[i].from != t) {
        i++;
    }
    return ops[i].run(x, &env);
}

// Addends near the product or at the other end of its bits, or that cancel it, or what its rounding
// leaves, so that the sum is about to turn from exact to inexact.
static void harden_fma(uint64_t *rng, enum type t, uint64_t *x)
{
    struct format f = formats[t];
    uint64_t sign = pattern(f, true, 0, 0);
    uint64_t rounded;

    if (next(rng) % 2) {
        for (int i = 0; i < 3; i++) {
            x[i] = with_exponent(f, x[i], bias(f) + between(rng, -f.fbits, f.fbits));
        }
    }
    rounded = nearest(MUL, t, x[0], x[1], 0);
    switch (next(rng) % 4) {
    case 0:
        x[2] = beside(rng, rounded) ^ sign;
        break;
    case 1:
        x[2] = beside(rng, nearest(FMA, t, x[0], x[1], rounded ^ sign)) ^ (next(rng) & sign);
        break;
    case 2:
        x[1] = with_exponent(f, x[1], end_of_range(rng, f) + bias(f) - exponent(f, x[0]));
        x[2] = with_exponent(f, x[2], between(rng, 0, 2));
        break;
    default:
        x[2] = with_exponent(f, x[2],
                             exponent(f, rounded) + between(rng, -2 * f.fbits - 3, f.fbits + 3));
    }
}

// Moves the operands to where op is hard.
static void harden(uint64_t *rng, const struct op *op, uint64_t *x)
{
    struct format f = formats[op->from];

    switch (op->kind) {
    case MUL:
        x[1] = with_exponent(f, x[1], end_of_range(rng, f) + bias(f) - exponent(f, x[0]));
        break;
    case DIV:
        if (next(rng) % 2) {
            x[0] = beside(rng, nearest(MUL, op->from, x[0], x[1], 0));
        } else {
            x[1] = with_exponent(f, x[1], exponent(f, x[0]) + bias(f) - end_of_range(rng, f));
        }
        break;
    case SQRT:
        x[0] = beside(rng, nearest(MUL, op->from, x[0], x[0], 0));
        break;
    case FMA:
        harden_fma(rng, op->from, x);
        break;
    case ROUND:
    case ROUND_QUIET:
    case TO_INTEGER:
        x[0] = with_exponent(f, x[0], bias(f) + between(rng, -2, 65));
        break;
    case TO_I32_MOD:
        x[0] = with_exponent(f, x[0], bias(f) + between(rng, -2, 90));
        break;
    case CONVERT:
        if (op->to < op->from) {
            x[0] = with_exponent(
                f, x[0], bias(f) - bias(formats[op->to]) + end_of_range(rng, formats[op->to]));
        }
        break;
    default: // sums and comparisons
        if (next(rng) % 4 == 0) {
            x[1] = beside(rng, x[0]) ^ pattern(f, next(rng) & 1, 0, 0);
        } else {
            x[1] =
                with_exponent(f, x[1], exponent(f, x[0]) + between(rng, -f.fbits - 4, f.fbits + 4));
        }
    }
}

// Bits above the type's are zero for floats: a neighbour of an end may have carried into them.
static void random_operands(uint64_t *rng, const struct op *op, uint64_t *x)
{
    for (int i = 0; i < 3; i++) {
        x[i] = random_value(rng, op->from);
    }
    if (is_float(op->from)) {
        struct format f = formats[op->from];

        if (next(rng) % 4) {
            harden(rng, op, x);
        }
        for (int i = 0; i < 3; i++) {
            x[i] &= ~UINT64_C(0) >> (63 - f.ebits - f.fbits);
        }
    }
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? strtoull(value, NULL, 0) : otherwise;
}

// Tests against MPFR

// The operations whose operands, or with integers the result, are of type t.
static bool belongs(const struct op *op, enum type t)
{
    return is_float(op->from) ? op->from == t : op->to == t;
}

static void test_edges(enum type t)
{
    struct reference r;

    reference_init(&r);
    for (int i = 0; i < OPS; i++) {
        if (belongs(&ops[i], t)) {
            check_edges(&r, &ops[i]);
        }
    }
    reference_clear(&r);
}

static void test_random(enum type t)
{
    uint64_t cases = environment("SOFTFLOAT_CASES", DEFAULT_CASES);
    uint64_t rng = environment("SOFTFLOAT_SEED", 1) * 3 + t;
    struct reference r;
    uint64_t x[3];

    reference_init(&r);
    for (int i = 0; i < OPS; i++) {
        for (uint64_t n = 0; belongs(&ops[i], t) && n < cases; n++) {
            random_operands(&rng, &ops[i], x);
            check(&r, &ops[i], x);
        }
    }
    reference_clear(&r);
}

Test(softfloat, edges_f16)
{
    test_edges(F16);
}

Test(softfloat, edges_f32)
{
    test_edges(F32);
}

Test(softfloat, edges_f64)
{
    test_edges(F64);
}

Test(softfloat, random_f16)
{
    test_random(F16);
}

Test(softfloat, random_f32)
{
    test_random(F32);
}

Test(softfloat, random_f64)
{
    test_random(F64);
}

// Half precision has few enough numbers to try all.
Test(softfloat, every_f16)
{
    struct reference r;

    reference_init(&r);
    for (int i = 0; i < OPS; i++) {
        for (uint64_t x = 0; belongs(&ops[i], F16) && ops[i].arity == 1 && x < 0x10000; x++) {
            if (is_float(ops[i].from)) {
                check(&r, &ops[i], &x);
            }
        }
    }
    reference_clear(&r);
}

// Results to read, by the standard and the RISC-V manual alone.
static const struct {
    const char *op;
    uint64_t x[3];
    uint8_t rm;
    uint64_t result;
    uint8_t flags;
} known[] = {
    // 1 + 2^-24 is a tie
    {"f32_add", {0x3f800000, 0x33800000}, FP_RNE, 0x3f800000, FP_INEXACT},
    {"f32_add", {0x3f800000, 0x33800000}, FP_RMM, 0x3f800001, FP_INEXACT},
    {"f32_add", {0x3f800000, 0x33800000}, FP_RTO, 0x3f800001, FP_INEXACT},
    {"f32_sub", {0x3f800000, 0x3f800000}, FP_RNE, 0, 0},
    {"f32_sub", {0x3f800000, 0x3f800000}, FP_RDN, 0x80000000, 0},
    {"f32_sub", {0x7f800000, 0x7f800000}, FP_RNE, 0x7fc00000, FP_INVALID},
    {"f64_div", {0x3ff0000000000000, 0}, FP_RNE, 0x7ff0000000000000, FP_DIVZERO},
    {"f64_div", {0, 0}, FP_RNE, 0x7ff8000000000000, FP_INVALID},
    {"f64_sqrt", {0x8000000000000000}, FP_RNE, 0x8000000000000000, 0},
    {"f64_sqrt", {0xbff0000000000000}, FP_RNE, 0x7ff8000000000000, FP_INVALID},
    // Both round up to the least normal number; with unbounded exponents the first would not
    {"f32_mul", {0x00ffffff, 0x3f000000}, FP_RNE, 0x00800000, FP_INEXACT | FP_UNDERFLOW},
    {"f32_mul", {0x007fffff, 0x3f800001}, FP_RNE, 0x00800000, FP_INEXACT},
    {"f32_mul", {0x7f7fffff, 0x40000000}, FP_RTZ, 0x7f7fffff, FP_OVERFLOW | FP_INEXACT},
    {"f32_mul", {0x7f7fffff, 0x40000000}, FP_RTO, 0x7f7fffff, FP_OVERFLOW | FP_INEXACT},
    {"f32_mul", {0x7f7fffff, 0xc0000000}, FP_RDN, 0xff800000, FP_OVERFLOW | FP_INEXACT},
    // 0 * inf + qNaN
    {"f32_fma", {0, 0x7f800000, 0x7fc00000}, FP_RNE, 0x7fc00000, FP_INVALID},
    // (1 + 2^-52) * (1 - 2^-52) + 2^-104 * (1 + 2^-52) = 1 + 2^-156: all but one bit of the sum
    // cancels into a carry
    {"f64_fma",
     {0x3ff0000000000001, 0x3feffffffffffffe, 0x3970000000000001},
     FP_RUP,
     0x3ff0000000000001,
     FP_INEXACT},
    {"f64_min", {0, 0x8000000000000000}, FP_RNE, 0x8000000000000000, 0},
    {"f64_min", {0x7ff0000000000001, 0x3ff0000000000000}, FP_RNE, 0x3ff0000000000000, FP_INVALID},
    {"f64_minm", {0x7ff8000000000001, 0x3ff0000000000000}, FP_RNE, 0x7ff8000000000000, 0},
    {"f64_le", {0x7ff8000000000000, 0}, FP_RNE, 0, FP_INVALID},
    {"f64_leq_q", {0x7ff8000000000000, 0}, FP_RNE, 0, 0},
    {"f16_to_i32", {0x4100}, FP_RNE, 2, FP_INEXACT}, // 2.5
    {"f16_to_i32", {0x4100}, FP_RMM, 3, FP_INEXACT},
    {"f32_to_u32", {0xbf000000}, FP_RTZ, 0, FP_INEXACT}, // -0.5
    {"f32_to_u32", {0xbf800000}, FP_RTZ, 0, FP_INVALID}, // -1
    {"f64_to_i32", {0x7ff8000000000000}, FP_RTZ, 0x7fffffff, FP_INVALID},
    {"f64_to_i32", {0xc1e0000000100000}, FP_RTZ, 0xffffffff80000000, FP_INEXACT}, // -2^31 - 0.5
    {"f64_to_i32_mod", {0x41f0000000300000}, FP_RNE, 3, FP_INVALID},              // 2^32 + 3
    {"f64_to_i32_mod", {0xbff8000000000000}, FP_RDN, UINT64_MAX, FP_INEXACT},     // -1.5
    {"f64_to_i32_mod", {0x7ff0000000000000}, FP_RNE, 0, FP_INVALID},
    {"f64_round_exact", {0xbfe0000000000000}, FP_RNE, 0x8000000000000000, FP_INEXACT}, // -0.5
    {"f64_round_quiet", {0xbfe0000000000000}, FP_RNE, 0x8000000000000000, 0},
    {"u64_to_f16", {65520}, FP_RNE, 0x7c00, FP_OVERFLOW | FP_INEXACT},
    {"u64_to_f16", {65519}, FP_RNE, 0x7bff, FP_INEXACT},
    {"f16_classify", {0x8001}, FP_RNE, FP_CLASS_NEG_SUBNORMAL, 0},
};

Test(softfloat, known)
{
    struct reference r;

    reference_init(&r);
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct op *op = find_op(known[i].op);
        struct fp_env env = {.rm = known[i].rm};
        uint64_t got = op->run(known[i].x, &env);

        if (got != known[i].result || env.flags != known[i].flags) {
            fail("the table", op, known[i].x, env.rm, got, env.flags, known[i].result,
                 known[i].flags);
        }
        check(&r, op, known[i].x);
    }
    reference_clear(&r);
}

// Tests against the host

#ifdef __x86_64__

// Runs an instruction sequence under a control word with all exceptions masked; it finds its
// operands at a, b and c and leaves its result in r. What it raised is read back into env.
#define HOST(name, body)                                                                       \
    static uint64_t host_##name(const uint64_t *x, struct fp_env *env)                         \
    {                                                                                          \
        static const uint32_t control[] = {0x1f80, 0x7f80, 0x3f80, 0x5f80};                    \
        const uint32_t ours = 0x1f80;                                                          \
        uint32_t mxcsr = control[env->rm];                                                     \
        uint64_t r = 0;                                                                        \
        __asm__ volatile("ldmxcsr %[mxcsr]\n\t" body "\n\tstmxcsr %[mxcsr]\n\tldmxcsr %[ours]" \
                         : [r] "+m"(r), [mxcsr] "+m"(mxcsr)                                    \
                         : [a] "m"(x[0]), [b] "m"(x[1]), [c] "m"(x[2]), [ours] "m"(ours)       \
                         : "xmm0", "xmm1", "rax", "rcx", "cc");                                \
        env->flags = mxcsr & 0x3d;                                                             \
        return r;                                                                              \
    }

// clang-format off
#define HOST_FORMAT(F, S) \
    HOST(F##_add, "mov" S " %[a], %%xmm0\n\tadd" S " %[b], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_sub, "mov" S " %[a], %%xmm0\n\tsub" S " %[b], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_mul, "mov" S " %[a], %%xmm0\n\tmul" S " %[b], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_div, "mov" S " %[a], %%xmm0\n\tdiv" S " %[b], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_sqrt, "sqrt" S " %[a], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_fma, "mov" S " %[a], %%xmm0\n\tmov" S " %[b], %%xmm1\n\t" \
                  "vfmadd213" S " %[c], %%xmm1, %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_eq, "mov" S " %[a], %%xmm0\n\tucomi" S " %[b], %%xmm0\n\t" \
                 "sete %%al\n\tsetnp %%cl\n\tandb %%cl, %%al\n\tmovb %%al, %[r]") \
    HOST(F##_lt, "mov" S " %[b], %%xmm0\n\tcomi" S " %[a], %%xmm0\n\tseta %[r]") \
    HOST(F##_le, "mov" S " %[b], %%xmm0\n\tcomi" S " %[a], %%xmm0\n\tsetae %[r]") \
    HOST(F##_ltq, "mov" S " %[b], %%xmm0\n\tucomi" S " %[a], %%xmm0\n\tseta %[r]") \
    HOST(F##_leq_q, "mov" S " %[b], %%xmm0\n\tucomi" S " %[a], %%xmm0\n\tsetae %[r]") \
    HOST(F##_round_exact, "round" S " $4, %[a], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_round_quiet, "round" S " $12, %[a], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(F##_to_i32, "cvt" S "2sil %[a], %%eax\n\tcltq\n\tmovq %%rax, %[r]") \
    HOST(F##_to_i64, "cvt" S "2siq %[a], %%rax\n\tmovq %%rax, %[r]") \
    HOST(i32_to_##F, "cvtsi2" S "l %[a], %%xmm0\n\tmov" S " %%xmm0, %[r]") \
    HOST(i64_to_##F, "cvtsi2" S "q %[a], %%xmm0\n\tmov" S " %%xmm0, %[r]")

HOST_FORMAT(f32, "ss")
HOST_FORMAT(f64, "sd")
HOST(f32_to_f64, "cvtss2sd %[a], %%xmm0\n\tmovsd %%xmm0, %[r]")
HOST(f64_to_f32, "cvtsd2ss %[a], %%xmm0\n\tmovss %%xmm0, %[r]")
HOST(f16_to_f32, "movss %[a], %%xmm0\n\tvcvtph2ps %%xmm0, %%xmm0\n\tmovss %%xmm0, %[r]")
HOST(f32_to_f16, "movss %[a], %%xmm0\n\tvcvtps2ph $4, %%xmm0, %%xmm0\n\tmovss %%xmm0, %[r]")

#define HOST_OP(name) {#name, host_##name},
#define HOST_OPS_FORMAT(F) \
    HOST_OP(F##_add) HOST_OP(F##_sub) HOST_OP(F##_mul) HOST_OP(F##_div) HOST_OP(F##_sqrt) \
    HOST_OP(F##_fma) HOST_OP(F##_eq) HOST_OP(F##_lt) HOST_OP(F##_le) HOST_OP(F##_ltq) \
    HOST_OP(F##_leq_q) HOST_OP(F##_round_exact) HOST_OP(F##_round_quiet) HOST_OP(F##_to_i32) \
    HOST_OP(F##_to_i64) HOST_OP(i32_to_##F) HOST_OP(i64_to_##F)

static const struct host_op {
    const char *name;
    uint64_t (*run)(const uint64_t *x, struct fp_env *env);
} host_ops[] = {
    HOST_OPS_FORMAT(f32)
    HOST_OPS_FORMAT(f64)
    HOST_OP(f32_to_f64)
    HOST_OP(f64_to_f32)
    HOST_OP(f16_to_f32)
    HOST_OP(f32_to_f16)
};
// clang-format on

// Where x86 differs by design from what we define.
static void translate(const struct op *op, const uint64_t *x, uint64_t got, uint64_t *want,
                      uint8_t *flags)
{
    if (is_float(op->to) && is_nan(formats[op->to], *want)) {
        *want = canonical_nan(formats[op->to]);
    }
    if (op->kind == TO_INTEGER && *flags & FP_INVALID) {
        *want = got; // there one value stands for all that is out of range
    }
    if (op->kind == FMA && is_nan(formats[op->from], x[2])) {
        uint64_t sign = pattern(formats[op->from], true, 0, 0);
        uint64_t a = x[0] & ~sign;
        uint64_t b = x[1] & ~sign;
        uint64_t inf = infinity(formats[op->from], false);

        if ((a == 0 && b == inf) || (a == inf && b == 0)) {
            *flags |= FP_INVALID; // 0 * inf + NaN is quiet there
        }
    }
}

static void check_host(const struct op *op, const struct host_op *host, const uint64_t *x)
{
    for (uint8_t rm = FP_RNE; rm <= FP_RUP; rm++) {
        struct fp_env env = {.rm = rm};
        struct fp_env host_env = {.rm = rm};
        uint64_t got = op->run(x, &env);
        uint64_t want = host->run(x, &host_env);

        translate(op, x, got, &want, &host_env.flags);
        if (got != want || env.flags != host_env.flags) {
            fail("the host", op, x, rm, got, env.flags, want, host_env.flags);
        }
    }
}

Test(softfloat, host)
{
    uint64_t cases = environment("SOFTFLOAT_CASES", DEFAULT_CASES) * HOST_FACTOR;
    uint64_t rng = environment("SOFTFLOAT_SEED", 1) * 7;
    uint64_t x[3];

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        cr_skip_test("the host has no AVX2 or no FMA");
    }
    for (unsigned i = 0; i < sizeof(host_ops) / sizeof(host_ops[0]); i++) {
        const struct op *op = find_op(host_ops[i].name);

        for (uint64_t n = 0; n < cases; n++) {
            random_operands(&rng, op, x);
            check_host(op, &host_ops[i], x);
        }
    }
}

#endif
