// SPDX-License-Identifier: MIT
// See operands.h.
#include "tests/float/operands.h"

#include <assert.h>

// Edge values

static int add_both_signs(struct float_format f, uint64_t *out, int n, int biased, uint64_t frac)
{
    out[n] = float_pattern(f, false, biased, frac);
    out[n + 1] = float_pattern(f, true, biased, frac);
    return n + 2;
}

// All exponents crossed with all fractions, and infinities and NaNs.
static int float_edges(struct float_format f, uint64_t *out, const int *exps, int nexps,
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
    n = add_both_signs(f, out, n, -1, float_all_ones(f) >> 1);       // signaling
    n = add_both_signs(f, out, n, -1, UINT64_C(1) << (f.fbits - 1)); // quiet, canonical
    n = add_both_signs(f, out, n, -1, float_all_ones(f));            // quiet
    assert(n <= FLOAT_MAX_EDGES);
    return n;
}

int float_many_edges(struct float_format f, uint64_t *out)
{
    int one = float_bias(f);
    int max = (1 << f.ebits) - 2;
    const int exps[] = {
        0,       1,  2, one - 1, one, one + 1, one + f.fbits - 1, one + f.fbits, one + f.fbits + 1,
        max - 1, max};
    const uint64_t fracs[] = {0, 1, UINT64_C(1) << (f.fbits - 1), float_all_ones(f) - 1,
                              float_all_ones(f)};

    return float_edges(f, out, exps, 11, fracs, 5);
}

int float_few_edges(struct float_format f, uint64_t *out)
{
    int one = float_bias(f);
    const int exps[] = {0, 1, one / 2, one, one + 1, one + f.fbits, 2 * one};
    const uint64_t fracs[] = {0, 1, UINT64_C(1) << (f.fbits - 1), float_all_ones(f)};

    return float_edges(f, out, exps, 7, fracs, 4);
}

// Random operands

// SplitMix64.
uint64_t float_random(uint64_t *rng)
{
    uint64_t z = *rng += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int float_between(uint64_t *rng, int low, int high)
{
    return low + (int)(float_random(rng) % (uint64_t)(high - low + 1));
}

// Long runs of equal bits, a few bits, or anything.
static uint64_t random_bits(uint64_t *rng)
{
    uint64_t v = float_random(rng);

    switch (float_random(rng) % 4) {
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

static uint64_t random_float(uint64_t *rng, struct float_format f)
{
    uint64_t edges[FLOAT_MAX_EDGES];
    uint64_t v = float_random(rng);
    int biased = (int)(v >> 1 & 0x7ff);

    if (v >> 60 == 0) {
        return edges[(int)(float_random(rng) % (uint64_t)float_many_edges(f, edges))];
    }
    return float_pattern(f, v & 1, v >> 60 == 1 ? float_bias(f) : biased, random_bits(rng));
}

static uint64_t random_value(uint64_t *rng, enum float_type t)
{
    uint64_t v;

    if (float_is_float(t)) {
        return random_float(rng, float_formats[t]);
    }
    v = random_bits(rng) >> (float_random(rng) % 4 ? 0 : float_random(rng) % 64);
    return t == TYPE_I32 ? (uint64_t)(int32_t)v : t == TYPE_U32 ? (uint32_t)v : v;
}

// bits with another exponent, if that is in range.
static uint64_t with_exponent(struct float_format f, uint64_t bits, int biased)
{
    if (biased < 0 || biased >= (1 << f.ebits) - 1) {
        return bits;
    }
    return float_pattern(f, bits >> (f.ebits + f.fbits), biased, bits);
}

static int exponent(struct float_format f, uint64_t bits)
{
    return (int)(bits >> f.fbits) & ((1 << f.ebits) - 1);
}

// The biased exponent of a result at one of the ends of the range, or below.
static int end_of_range(uint64_t *rng, struct float_format f)
{
    return float_random(rng) % 2 ? float_between(rng, -f.fbits - 3, 2)
                                 : float_between(rng, (1 << f.ebits) - 4, 1 << f.ebits);
}

static uint64_t beside(uint64_t *rng, uint64_t bits)
{
    return bits + (uint64_t)float_between(rng, -2, 2);
}

// The product and the fused sum to nearest, only to aim other operands by them: they need not be right.
static uint64_t product(enum float_type t, uint64_t a, uint64_t b)
{
    struct fp_env env = {.rm = FP_RNE};

    switch (t) {
    case TYPE_F16:
        return f16_mul((uint16_t)a, (uint16_t)b, &env);
    case TYPE_F32:
        return f32_mul((uint32_t)a, (uint32_t)b, &env);
    default:
        return f64_mul(a, b, &env);
    }
}

static uint64_t fused(enum float_type t, uint64_t a, uint64_t b, uint64_t c)
{
    struct fp_env env = {.rm = FP_RNE};

    switch (t) {
    case TYPE_F16:
        return f16_fma((uint16_t)a, (uint16_t)b, (uint16_t)c, &env);
    case TYPE_F32:
        return f32_fma((uint32_t)a, (uint32_t)b, (uint32_t)c, &env);
    default:
        return f64_fma(a, b, c, &env);
    }
}

// Addends near the product or at the other end of its bits, or that cancel it, or what its rounding
// leaves, so that the sum is about to turn from exact to inexact.
static void harden_fma(uint64_t *rng, enum float_type t, uint64_t *x)
{
    struct float_format f = float_formats[t];
    uint64_t sign = float_pattern(f, true, 0, 0);
    uint64_t rounded;

    if (float_random(rng) % 2) {
        for (int i = 0; i < 3; i++) {
            x[i] = with_exponent(f, x[i], float_bias(f) + float_between(rng, -f.fbits, f.fbits));
        }
    }
    rounded = product(t, x[0], x[1]);
    switch (float_random(rng) % 4) {
    case 0:
        x[2] = beside(rng, rounded) ^ sign;
        break;
    case 1:
        x[2] = beside(rng, fused(t, x[0], x[1], rounded ^ sign)) ^ (float_random(rng) & sign);
        break;
    case 2:
        x[1] = with_exponent(f, x[1], end_of_range(rng, f) + float_bias(f) - exponent(f, x[0]));
        x[2] = with_exponent(f, x[2], float_between(rng, 0, 2));
        break;
    default:
        x[2] = with_exponent(
            f, x[2], exponent(f, rounded) + float_between(rng, -2 * f.fbits - 3, f.fbits + 3));
    }
}

// Moves the operands to where op is hard.
static void harden(uint64_t *rng, const struct float_op *op, uint64_t *x)
{
    struct float_format f = float_formats[op->from];

    switch (op->kind) {
    case OP_MUL:
        x[1] = with_exponent(f, x[1], end_of_range(rng, f) + float_bias(f) - exponent(f, x[0]));
        break;
    case OP_DIV:
        if (float_random(rng) % 2) {
            x[0] = beside(rng, product(op->from, x[0], x[1]));
        } else {
            x[1] = with_exponent(f, x[1], exponent(f, x[0]) + float_bias(f) - end_of_range(rng, f));
        }
        break;
    case OP_SQRT:
        x[0] = beside(rng, product(op->from, x[0], x[0]));
        break;
    case OP_FMA:
        harden_fma(rng, op->from, x);
        break;
    case OP_ROUND:
    case OP_ROUND_QUIET:
    case OP_TO_INTEGER:
        x[0] = with_exponent(f, x[0], float_bias(f) + float_between(rng, -2, 65));
        break;
    case OP_TO_I32_MOD:
        x[0] = with_exponent(f, x[0], float_bias(f) + float_between(rng, -2, 90));
        break;
    case OP_CONVERT:
        if (op->to < op->from) {
            x[0] = with_exponent(f, x[0],
                                 float_bias(f) - float_bias(float_formats[op->to]) +
                                     end_of_range(rng, float_formats[op->to]));
        }
        break;
    default: // sums and comparisons
        if (float_random(rng) % 4 == 0) {
            x[1] = beside(rng, x[0]) ^ float_pattern(f, float_random(rng) & 1, 0, 0);
        } else {
            x[1] = with_exponent(f, x[1],
                                 exponent(f, x[0]) + float_between(rng, -f.fbits - 4, f.fbits + 4));
        }
    }
}

// Bits above the type's are zero for floats: a neighbour of an end may have carried into them.
void float_random_operands(uint64_t *rng, const struct float_op *op, uint64_t *x)
{
    for (int i = 0; i < 3; i++) {
        x[i] = random_value(rng, op->from);
    }
    if (float_is_float(op->from)) {
        struct float_format f = float_formats[op->from];

        if (float_random(rng) % 4) {
            harden(rng, op, x);
        }
        for (int i = 0; i < 3; i++) {
            x[i] &= ~UINT64_C(0) >> (63 - f.ebits - f.fbits);
        }
    }
}
