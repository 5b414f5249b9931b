// SPDX-License-Identifier: MIT
// See reference.h.
#include "tests/float/reference.h"

#include <assert.h>
#include <stdlib.h>

enum { PRECISION = 200 }; // of MPFR's truncated results; any two more bits than f64 has would do

const struct float_format float_formats[] = {
    [TYPE_F16] = {5, 10}, [TYPE_F32] = {8, 23}, [TYPE_F64] = {11, 52}};

void float_reference_init(struct float_reference *r)
{
    for (int i = 0; i < 3; i++) {
        mpfr_init2(r->in[i], 64);
    }
    mpfr_init2(r->exact, PRECISION + 8);
    mpfr_init2(r->scaled, PRECISION + 8);
    mpfr_init2(r->whole, PRECISION + 8);
    mpz_init(r->integer);
}

void float_reference_clear(struct float_reference *r)
{
    mpfr_clears(r->in[0], r->in[1], r->in[2], r->exact, r->scaled, r->whole, (mpfr_ptr)NULL);
    mpz_clear(r->integer);
    mpfr_free_cache();
}

static void load_float(mpfr_t x, struct float_format f, uint64_t bits)
{
    uint64_t frac = bits & float_all_ones(f);
    int biased = (int)(bits >> f.fbits) & ((1 << f.ebits) - 1);
    bool sign = bits >> (f.ebits + f.fbits);

    if (float_is_nan(f, bits)) {
        mpfr_set_nan(x);
        return;
    }
    if (biased == (1 << f.ebits) - 1) {
        mpfr_set_inf(x, sign ? -1 : 1);
        return;
    }
    if (biased == 0) {
        mpfr_set_uj_2exp(x, frac, 1 - float_bias(f) - f.fbits, MPFR_RNDN);
    } else {
        mpfr_set_uj_2exp(x, frac | UINT64_C(1) << f.fbits, biased - float_bias(f) - f.fbits,
                         MPFR_RNDN);
    }
    mpfr_setsign(x, x, sign, MPFR_RNDN);
}

static void load(mpfr_t x, enum float_type t, uint64_t bits)
{
    if (float_is_float(t)) {
        load_float(x, float_formats[t], bits);
    } else if (t == TYPE_I32 || t == TYPE_I64) {
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
static int compare_unbounded(struct float_reference *r, int p, uint8_t rm, int exp)
{
    mpfr_exp_t ulp = mpfr_get_exp(r->exact) - p;

    mpfr_div_2si(r->scaled, r->exact, ulp, MPFR_RNDN);
    round_whole(r->whole, r->scaled, rm);
    mpfr_mul_2si(r->whole, r->whole, ulp, MPFR_RNDN);
    mpfr_set_ui_2exp(r->scaled, 1, exp, MPFR_RNDN);
    return mpfr_cmpabs(r->whole, r->scaled);
}

static uint64_t overflowed(struct float_format f, bool sign, uint8_t rm)
{
    bool away = rm == FP_RNE || rm == FP_RMM || rm == (sign ? FP_RDN : FP_RUP);

    return away ? float_infinity(f, sign) : float_pattern(f, sign, -2, float_all_ones(f));
}

// r->exact in format f: IEEE 754-2019, 4.3 (rounding), 7.4 (overflow), 7.5 (underflow).
static uint64_t round_float(struct float_reference *r, struct float_format f, uint8_t rm,
                            uint8_t *flags)
{
    bool sign = mpfr_signbit(r->exact);
    int least = 1 - float_bias(f); // exponent of the smallest normal number
    mpfr_exp_t ulp;
    uint64_t magnitude;
    bool tiny;

    if (mpfr_nan_p(r->exact)) {
        return float_nan(f);
    }
    if (mpfr_inf_p(r->exact)) {
        return float_infinity(f, sign);
    }
    if (mpfr_zero_p(r->exact)) {
        return float_pattern(f, sign, 0, 0);
    }
    if (compare_unbounded(r, f.fbits + 1, rm, float_bias(f) + 1) >= 0) {
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
    return float_pattern(f, sign, magnitude >> f.fbits ? (int)ulp + f.fbits + float_bias(f) : 0,
                         magnitude);
}

static int apply(struct float_reference *r, enum float_kind kind, mpfr_rnd_t rnd)
{
    switch (kind) {
    case OP_ADD:
        return mpfr_add(r->exact, r->in[0], r->in[1], rnd);
    case OP_SUB:
        return mpfr_sub(r->exact, r->in[0], r->in[1], rnd);
    case OP_MUL:
        return mpfr_mul(r->exact, r->in[0], r->in[1], rnd);
    case OP_DIV:
        return mpfr_div(r->exact, r->in[0], r->in[1], rnd);
    case OP_SQRT:
        return mpfr_sqrt(r->exact, r->in[0], rnd);
    case OP_FMA:
        return mpfr_fma(r->exact, r->in[0], r->in[1], r->in[2], rnd);
    default:
        assert(!"arithmetic");
        return 0;
    }
}

// Leaves in r->exact a number that rounds like the exact result.
static void compute(struct float_reference *r, enum float_kind kind, uint8_t rm)
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

static bool any_nan(const struct float_op *op, const uint64_t *x,
                    bool (*test)(struct float_format, uint64_t))
{
    for (int i = 0; i < op->arity; i++) {
        if (test(float_formats[op->from], x[i])) {
            return true;
        }
    }
    return false;
}

static uint64_t expect_arithmetic(struct float_reference *r, const struct float_op *op,
                                  const uint64_t *x, uint8_t rm, uint8_t *flags)
{
    mpfr_clear_divby0();
    compute(r, op->kind, rm);
    if (mpfr_divby0_p()) {
        *flags |= FP_DIVZERO;
    }
    if (mpfr_nan_p(r->exact) && !any_nan(op, x, float_is_nan)) {
        *flags |= FP_INVALID;
    }
    if (op->kind == OP_FMA) {
        mpfr_mul(r->scaled, r->in[0], r->in[1], MPFR_RNDN); // 0 * inf, whatever is added
        if (mpfr_nan_p(r->scaled) && !mpfr_nan_p(r->in[0]) && !mpfr_nan_p(r->in[1])) {
            *flags |= FP_INVALID;
        }
    }
    return round_float(r, float_formats[op->to], rm, flags);
}

static uint64_t expect_min_max(struct float_reference *r, const struct float_op *op,
                               const uint64_t *x)
{
    struct float_format f = float_formats[op->from];
    uint8_t none = 0;

    if (op->kind == OP_MIN || op->kind == OP_MINM) {
        mpfr_min(r->exact, r->in[0], r->in[1], MPFR_RNDN); // treats NaNs as minimumNumber does
    } else {
        mpfr_max(r->exact, r->in[0], r->in[1], MPFR_RNDN);
    }
    if ((op->kind == OP_MINM || op->kind == OP_MAXM) && any_nan(op, x, float_is_nan)) {
        mpfr_set_nan(r->exact);
    }
    return round_float(r, f, FP_RNE, &none);
}

static uint64_t expect_comparison(struct float_reference *r, const struct float_op *op,
                                  const uint64_t *x, uint8_t *flags)
{
    if ((op->kind == OP_LT || op->kind == OP_LE) && any_nan(op, x, float_is_nan)) {
        *flags |= FP_INVALID;
    }
    switch (op->kind) {
    case OP_EQ:
        return mpfr_equal_p(r->in[0], r->in[1]) != 0;
    case OP_LT:
    case OP_LTQ:
        return mpfr_less_p(r->in[0], r->in[1]) != 0;
    default:
        return mpfr_lessequal_p(r->in[0], r->in[1]) != 0;
    }
}

static uint64_t expect_class(struct float_reference *r, struct float_format f, uint64_t bits)
{
    bool sign = mpfr_signbit(r->in[0]);

    if (mpfr_nan_p(r->in[0])) {
        return float_is_snan(f, bits) ? 1 << 8 : 1 << 9;
    }
    if (mpfr_inf_p(r->in[0])) {
        return sign ? 1 << 0 : 1 << 7;
    }
    if (mpfr_zero_p(r->in[0])) {
        return sign ? 1 << 3 : 1 << 4;
    }
    if (mpfr_get_exp(r->in[0]) < 2 - float_bias(f)) { // MPFR's significands are below 1
        return sign ? 1 << 2 : 1 << 5;
    }
    return sign ? 1 << 1 : 1 << 6;
}

static uint64_t expect_round(struct float_reference *r, const struct float_op *op, uint8_t rm,
                             uint8_t *flags)
{
    uint8_t none = 0;

    if (mpfr_number_p(r->in[0])) {
        round_whole(r->exact, r->in[0], rm);
        if (op->kind == OP_ROUND && mpfr_cmp(r->exact, r->in[0]) != 0) {
            *flags |= FP_INEXACT;
        }
    } else {
        mpfr_set(r->exact, r->in[0], MPFR_RNDN);
    }
    return round_float(r, float_formats[op->to], FP_RNE, &none);
}

static uint64_t expect_integer(struct float_reference *r, enum float_type to, uint8_t rm,
                               uint8_t *flags)
{
    int bits = to == TYPE_I32 || to == TYPE_U32 ? 32 : 64;
    bool is_signed = to == TYPE_I32 || to == TYPE_I64;
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

static uint64_t expect_i32_mod(struct float_reference *r, uint8_t *flags)
{
    expect_integer(r, TYPE_I32, FP_RTZ, flags);
    if (!mpfr_number_p(r->in[0])) {
        return 0;
    }
    mpfr_get_z(r->integer, r->in[0], MPFR_RNDZ);
    mpz_fdiv_r_2exp(r->integer, r->integer, 32);
    return (uint64_t)(int32_t)mpz_get_ui(r->integer);
}

uint64_t float_expect(struct float_reference *r, const struct float_op *op, const uint64_t *x,
                      uint8_t rm, uint8_t *flags)
{
    for (int i = 0; i < op->arity; i++) {
        load(r->in[i], op->from, x[i]);
    }
    if (float_is_float(op->from) && op->kind != OP_CLASSIFY && any_nan(op, x, float_is_snan)) {
        *flags |= FP_INVALID;
    }
    switch (op->kind) {
    case OP_MIN:
    case OP_MAX:
    case OP_MINM:
    case OP_MAXM:
        return expect_min_max(r, op, x);
    case OP_EQ:
    case OP_LT:
    case OP_LE:
    case OP_LTQ:
    case OP_LEQ_Q:
        return expect_comparison(r, op, x, flags);
    case OP_CLASSIFY:
        return expect_class(r, float_formats[op->from], x[0]);
    case OP_ROUND:
    case OP_ROUND_QUIET:
        return expect_round(r, op, rm, flags);
    case OP_TO_INTEGER:
        return expect_integer(r, op->to, rm, flags);
    case OP_TO_I32_MOD:
        return expect_i32_mod(r, flags);
    case OP_CONVERT:
        mpfr_set(r->exact, r->in[0], MPFR_RNDN);
        return round_float(r, float_formats[op->to], rm, flags);
    default:
        return expect_arithmetic(r, op, x, rm, flags);
    }
}
