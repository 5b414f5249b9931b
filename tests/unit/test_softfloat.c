// SPDX-License-Identifier: MIT
//
// base/softfloat.h against two references that share nothing with it: GNU MPFR, whose results are
// exact here and then rounded by the rules as the standard words them, and the host's SSE unit
// where it has the operation. Every operation runs in every rounding mode on all combinations of
// edge values and on random operands that lean to hard cases (ties, cancellation, the ends of the
// range).
//
// SOFTFLOAT_CASES in the environment is how many random operands an operation gets (in each of the
// modes), SOFTFLOAT_SEED another start of the random sequence. With the first of them, figures are printed.
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/float/operands.h"

enum {
    MODES = 6,
    DEFAULT_CASES = 20000,
    HOST_FACTOR = 10, // the host's reference is that much cheaper
};

// The operations under test

struct op {
    const char *name;
    struct float_op is;
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
#define OP(name, kind, arity, from, to) {#name, {kind, arity, from, to}, run_##name},
#define OPS_FORMAT(f, F) \
    OP(f##_add, OP_ADD, 2, F, F) OP(f##_sub, OP_SUB, 2, F, F) OP(f##_mul, OP_MUL, 2, F, F) \
    OP(f##_div, OP_DIV, 2, F, F) OP(f##_sqrt, OP_SQRT, 1, F, F) OP(f##_fma, OP_FMA, 3, F, F) \
    OP(f##_min, OP_MIN, 2, F, F) OP(f##_max, OP_MAX, 2, F, F) OP(f##_minm, OP_MINM, 2, F, F) \
    OP(f##_maxm, OP_MAXM, 2, F, F) OP(f##_eq, OP_EQ, 2, F, TYPE_FLAG) OP(f##_lt, OP_LT, 2, F, TYPE_FLAG) \
    OP(f##_le, OP_LE, 2, F, TYPE_FLAG) OP(f##_ltq, OP_LTQ, 2, F, TYPE_FLAG) OP(f##_leq_q, OP_LEQ_Q, 2, F, TYPE_FLAG) \
    OP(f##_classify, OP_CLASSIFY, 1, F, TYPE_FLAG) OP(f##_round_exact, OP_ROUND, 1, F, F) \
    OP(f##_round_quiet, OP_ROUND_QUIET, 1, F, F) OP(f##_to_i32, OP_TO_INTEGER, 1, F, TYPE_I32) \
    OP(f##_to_u32, OP_TO_INTEGER, 1, F, TYPE_U32) OP(f##_to_i64, OP_TO_INTEGER, 1, F, TYPE_I64) \
    OP(f##_to_u64, OP_TO_INTEGER, 1, F, TYPE_U64) OP(i32_to_##f, OP_CONVERT, 1, TYPE_I32, F) \
    OP(u32_to_##f, OP_CONVERT, 1, TYPE_U32, F) OP(i64_to_##f, OP_CONVERT, 1, TYPE_I64, F) \
    OP(u64_to_##f, OP_CONVERT, 1, TYPE_U64, F)

static const struct op ops[] = {
    OPS_FORMAT(f16, TYPE_F16)
    OPS_FORMAT(f32, TYPE_F32)
    OPS_FORMAT(f64, TYPE_F64)
    OP(f16_to_f32, OP_CONVERT, 1, TYPE_F16, TYPE_F32)
    OP(f16_to_f64, OP_CONVERT, 1, TYPE_F16, TYPE_F64)
    OP(f32_to_f16, OP_CONVERT, 1, TYPE_F32, TYPE_F16)
    OP(f32_to_f64, OP_CONVERT, 1, TYPE_F32, TYPE_F64)
    OP(f64_to_f16, OP_CONVERT, 1, TYPE_F64, TYPE_F16)
    OP(f64_to_f32, OP_CONVERT, 1, TYPE_F64, TYPE_F32)
    OP(f64_to_i32_mod, OP_TO_I32_MOD, 1, TYPE_F64, TYPE_I32)
};
// clang-format on

enum { OPS = sizeof(ops) / sizeof(ops[0]) };

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

static void fail(const char *by, const struct op *op, const uint64_t *x, uint8_t rm, uint64_t got,
                 uint8_t got_flags, uint64_t want, uint8_t want_flags)
{
    cr_assert_fail("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ") rm %d: %#" PRIx64
                   " flags %#x, but %s says %#" PRIx64 " flags %#x",
                   op->name, x[0], op->is.arity > 1 ? x[1] : 0, op->is.arity > 2 ? x[2] : 0, rm,
                   got, got_flags, by, want, want_flags);
}

// One operation on given operands, in all modes. FP_DENORMAL shows that flags are only ever added.
static void check(struct float_reference *r, const struct op *op, const uint64_t *x)
{
    for (uint8_t rm = 0; rm < MODES; rm++) {
        struct fp_env env = {.rm = rm, .flags = FP_DENORMAL};
        uint8_t flags = FP_DENORMAL;
        uint64_t got = op->run(x, &env);
        uint64_t want = float_expect(r, &op->is, x, rm, &flags);

        if (got != want || env.flags != flags || env.rm != rm) {
            fail("MPFR", op, x, rm, got, env.flags, want, flags);
        }
    }
}

// Edge values

// Powers of two and their neighbours, of both signs, and integers at and beside ties of each
// format.
static void check_integer_edges(struct float_reference *r, const struct op *op)
{
    for (int top = 0; top < 64; top++) {
        for (int low = 0; low <= top; low++) {
            for (int delta = -1; delta <= 1; delta++) {
                uint64_t magnitude = (UINT64_C(1) << top | UINT64_C(1) << low) + (uint64_t)delta;
                uint64_t values[] = {magnitude, -magnitude};

                for (int i = 0; i < 2; i++) {
                    uint64_t x = values[i];

                    x = op->is.from == TYPE_I32   ? (uint64_t)(int32_t)x
                        : op->is.from == TYPE_U32 ? (uint32_t)x
                                                  : x;
                    check(r, op, &x);
                }
            }
        }
    }
}

// Every exponent with the fractions where rounding turns, and all quarters around powers of two.
static void check_unary_edges(struct float_reference *r, const struct op *op)
{
    struct float_format f = float_formats[op->is.from];
    uint64_t half = UINT64_C(1) << (f.fbits - 1);
    const uint64_t fracs[] = {
        0, 1, half - 1, half, half + 1, float_all_ones(f) - 1, float_all_ones(f)};

    for (int biased = 0; biased < 1 << f.ebits; biased++) {
        for (int i = 0; i < 14; i++) {
            uint64_t x = float_pattern(f, i & 1, biased, fracs[i / 2]);

            check(r, op, &x);
        }
    }
    for (int exp = 0; exp <= 64 && exp < f.fbits - 1; exp++) {
        uint64_t quarter = UINT64_C(1) << (f.fbits - exp - 2);

        for (int n = -8; n <= 8; n++) {
            for (int beside = -1; beside <= 1; beside++) {
                uint64_t x = float_pattern(f, n & 1, float_bias(f) + exp, 0);

                x += (uint64_t)n * quarter + (uint64_t)beside;
                check(r, op, &x);
                x ^= float_pattern(f, true, 0, 0);
                check(r, op, &x);
            }
        }
    }
}

static void check_crossed_edges(struct float_reference *r, const struct op *op)
{
    uint64_t edges[FLOAT_MAX_EDGES], x[3];
    int n = op->is.arity == 2 ? float_many_edges(float_formats[op->is.from], edges)
                              : float_few_edges(float_formats[op->is.from], edges);

    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            for (int k = 0; k < (op->is.arity == 2 ? 1 : n); k++) {
                x[0] = edges[i];
                x[1] = edges[j];
                x[2] = edges[k];
                check(r, op, x);
            }
        }
    }
}

static void check_edges(struct float_reference *r, const struct op *op)
{
    if (!float_is_float(op->is.from)) {
        check_integer_edges(r, op);
    } else if (op->is.arity == 1) {
        check_unary_edges(r, op);
    } else {
        check_crossed_edges(r, op);
    }
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? strtoull(value, NULL, 0) : otherwise;
}

// Tests against MPFR

// The operations whose operands, or with integers the result, are of type t.
static bool belongs(const struct op *op, enum float_type t)
{
    return float_is_float(op->is.from) ? op->is.from == t : op->is.to == t;
}

static void test_edges(enum float_type t)
{
    struct float_reference r;

    float_reference_init(&r);
    for (int i = 0; i < OPS; i++) {
        if (belongs(&ops[i], t)) {
            check_edges(&r, &ops[i]);
        }
    }
    float_reference_clear(&r);
}

static void test_random(enum float_type t)
{
    uint64_t cases = environment("SOFTFLOAT_CASES", DEFAULT_CASES);
    uint64_t rng = environment("SOFTFLOAT_SEED", 1) * 3 + t;
    struct float_reference r;
    uint64_t x[3], total = 0;

    float_reference_init(&r);
    for (int i = 0; i < OPS; i++) {
        for (uint64_t n = 0; belongs(&ops[i], t) && n < cases; n++) {
            float_random_operands(&rng, &ops[i].is, x);
            check(&r, &ops[i], x);
            total += MODES;
        }
    }
    float_reference_clear(&r);
    if (getenv("SOFTFLOAT_CASES")) {
        printf("softfloat, %s: %" PRIu64 " cases, %" PRIu64 " of each operation; none wrong\n",
               t == TYPE_F16   ? "half"
               : t == TYPE_F32 ? "single"
                               : "double",
               total, cases * MODES);
    }
}

Test(softfloat, edges_f16)
{
    test_edges(TYPE_F16);
}

Test(softfloat, edges_f32)
{
    test_edges(TYPE_F32);
}

Test(softfloat, edges_f64)
{
    test_edges(TYPE_F64);
}

Test(softfloat, random_f16)
{
    test_random(TYPE_F16);
}

Test(softfloat, random_f32)
{
    test_random(TYPE_F32);
}

Test(softfloat, random_f64)
{
    test_random(TYPE_F64);
}

// Half precision has few enough numbers to try all.
Test(softfloat, every_f16)
{
    struct float_reference r;

    float_reference_init(&r);
    for (int i = 0; i < OPS; i++) {
        for (uint64_t x = 0; belongs(&ops[i], TYPE_F16) && ops[i].is.arity == 1 && x < 0x10000;
             x++) {
            if (float_is_float(ops[i].is.from)) {
                check(&r, &ops[i], &x);
            }
        }
    }
    float_reference_clear(&r);
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
    struct float_reference r;

    float_reference_init(&r);
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
    float_reference_clear(&r);
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
    if (float_is_float(op->is.to) && float_is_nan(float_formats[op->is.to], *want)) {
        *want = float_nan(float_formats[op->is.to]);
    }
    if (op->is.kind == OP_TO_INTEGER && *flags & FP_INVALID) {
        *want = got; // there one value stands for all that is out of range
    }
    if (op->is.kind == OP_FMA && float_is_nan(float_formats[op->is.from], x[2])) {
        uint64_t sign = float_pattern(float_formats[op->is.from], true, 0, 0);
        uint64_t a = x[0] & ~sign;
        uint64_t b = x[1] & ~sign;
        uint64_t inf = float_infinity(float_formats[op->is.from], false);

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
        cr_skip_test("the host has no AVX2 or no OP_FMA");
    }
    for (unsigned i = 0; i < sizeof(host_ops) / sizeof(host_ops[0]); i++) {
        const struct op *op = find_op(host_ops[i].name);

        for (uint64_t n = 0; n < cases; n++) {
            float_random_operands(&rng, &op->is, x);
            check_host(op, &host_ops[i], x);
        }
    }
}

#endif
