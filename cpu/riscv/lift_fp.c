// SPDX-License-Identifier: MIT
// F, D, Zfh, Zfhmin and Zfa. RISC-V unprivileged manual, chapters of these names.
//
// f registers are f64 variables; a narrower value in one is NaN-boxed, and one that isn't reads as the
// canonical NaN. Single and double precision are operations of the IR, half precision is base/softfloat's.
// Units of a key with FS clean hold no floating-point operation: the first one makes FS dirty and the unit is
// left, to be translated anew under the new key.
#include <assert.h>

#include "cpu/riscv/lift.h"

// ---- State ----

// Whether floating point is on; else the instruction is illegal.
static bool fp_on(struct riscv_lift *t)
{
    if (RV_KEY_FS(t->l->key) != KEY_FS_OFF)
        return true;
    riscv_lift_illegal(t);
    return false;
}

// The same, for instructions that write f registers or flags.
static bool fp_dirty(struct riscv_lift *t)
{
    if (!fp_on(t))
        return false;
    if (RV_KEY_FS(t->l->key) == KEY_FS_DIRTY)
        return true;
    ir_call(t->ir, riscv_set_fs_dirty, "set_fs_dirty", 0, IR_VOID, 0, 0, 0, 0);
    lift_leave(t->l, LEAVE_RESTART);
    return false;
}

// The same, and the rounding mode.
static bool fp_rounded(struct riscv_lift *t, unsigned *rm)
{
    *rm = t->in.rm == 7 ? RV_KEY_FRM(t->l->key) : t->in.rm;
    if (*rm <= FP_RMM)
        return fp_dirty(t);
    riscv_lift_illegal(t);
    return false;
}

static enum riscv_fmt fmt(const struct riscv_lift *t)
{
    return (enum riscv_fmt)(t->in.bits >> 25 & 3);
}

// ---- Registers ----

static ir_ref get_f(struct riscv_lift *t, unsigned reg)
{
    return ir_get(t->ir, RV_F0 + reg);
}

static ir_ref get_bits(struct riscv_lift *t, unsigned reg)
{
    return ir_bitcast(t->ir, IR_I64, get_f(t, reg));
}

static void set_f(struct riscv_lift *t, ir_ref value)
{
    ir_set(t->ir, RV_F0 + t->in.rd, value);
}

static void set_bits(struct riscv_lift *t, ir_ref bits)
{
    set_f(t, ir_bitcast(t->ir, IR_F64, bits));
}

// An operand of single or double precision.
static ir_ref get_sd(struct riscv_lift *t, enum riscv_fmt f, unsigned reg)
{
    ir_ref v = get_f(t, reg);
    return f == FMT_S ? ir_add(t->ir, IR_UNBOX, IR_F32, 0, v, 0) : v;
}

static void set_sd(struct riscv_lift *t, ir_ref v)
{
    set_f(t, ir_type_of(t->ir, v) == IR_F32 ? ir_add(t->ir, IR_BOX, IR_F64, 0, v, 0) : v);
}

static void set_canonical(struct riscv_lift *t, ir_ref v)
{
    set_sd(t, ir_un(t->ir, IR_FCANON, v));
}

// As integers: the bits of an operand of single or double precision.
static ir_ref get_sd_bits(struct riscv_lift *t, enum riscv_fmt f, unsigned reg)
{
    return ir_bitcast(t->ir, f == FMT_S ? IR_I32 : IR_I64, get_sd(t, f, reg));
}

static void set_sd_bits(struct riscv_lift *t, ir_ref bits)
{
    set_sd(t, ir_bitcast(t->ir, ir_type_of(t->ir, bits) == IR_I32 ? IR_F32 : IR_F64, bits));
}

// ---- Half precision: called functions ----

#define BOX16 UINT64_C(0xffffffffffff0000)
#define BOX32 UINT64_C(0xffffffff00000000)

static uint16_t unbox16(uint64_t v)
{
    return (v & BOX16) == BOX16 ? (uint16_t)v : F16_NAN;
}

static uint32_t unbox32(uint64_t v)
{
    return (v & BOX32) == BOX32 ? (uint32_t)v : F32_NAN;
}

// f registers come and go as their 64 bits.
#define HALF_FN(name, expression)                                                          \
    static uint64_t name(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t rm) \
    {                                                                                      \
        (void)b, (void)c;                                                                  \
        struct fp_env env = {(uint8_t)rm, cpu->fp.flags};                                  \
        uint64_t result = expression;                                                      \
        cpu->fp.flags = env.flags;                                                         \
        return result;                                                                     \
    }
#define HALF_BINARY(op)  HALF_FN(h_##op, BOX16 | f16_##op(unbox16(a), unbox16(b), &env))
#define HALF_COMPARE(op) HALF_FN(h_##op, f16_##op(unbox16(a), unbox16(b), &env))

HALF_BINARY(add)
HALF_BINARY(sub)
HALF_BINARY(mul)
HALF_BINARY(div)
HALF_BINARY(min)
HALF_BINARY(max)
HALF_BINARY(minm)
HALF_BINARY(maxm)
HALF_COMPARE(eq)
HALF_COMPARE(lt)
HALF_COMPARE(le)
HALF_COMPARE(ltq)
HALF_COMPARE(leq_q)
HALF_FN(h_sqrt, BOX16 | f16_sqrt(unbox16(a), &env))
HALF_FN(h_fma, BOX16 | f16_fma(unbox16(a), unbox16(b), unbox16(c), &env))
HALF_FN(h_fmsub, BOX16 | f16_fma(unbox16(a), unbox16(b), unbox16(c) ^ 0x8000, &env))
HALF_FN(h_fnmsub, BOX16 | f16_fma(unbox16(a) ^ 0x8000, unbox16(b), unbox16(c), &env))
HALF_FN(h_fnmadd, BOX16 | f16_fma(unbox16(a) ^ 0x8000, unbox16(b), unbox16(c) ^ 0x8000, &env))
HALF_FN(h_round, BOX16 | f16_round_to_int(unbox16(a), false, &env))
HALF_FN(h_roundnx, BOX16 | f16_round_to_int(unbox16(a), true, &env))
HALF_FN(h_to_s, BOX32 | f16_to_f32(unbox16(a), &env))
HALF_FN(h_to_d, f16_to_f64(unbox16(a), &env))
HALF_FN(h_from_s, BOX16 | f32_to_f16(unbox32(a), &env))
HALF_FN(h_from_d, BOX16 | f64_to_f16(a, &env))
HALF_FN(h_to_w, (uint64_t)f16_to_i32(unbox16(a), &env))
HALF_FN(h_to_wu, (uint64_t)(int32_t)f16_to_u32(unbox16(a), &env))
HALF_FN(h_to_l, (uint64_t)f16_to_i64(unbox16(a), &env))
HALF_FN(h_to_lu, f16_to_u64(unbox16(a), &env))
HALF_FN(h_from_w, BOX16 | i32_to_f16((int32_t)a, &env))
HALF_FN(h_from_wu, BOX16 | u32_to_f16((uint32_t)a, &env))
HALF_FN(h_from_l, BOX16 | i64_to_f16((int64_t)a, &env))
HALF_FN(h_from_lu, BOX16 | u64_to_f16(a, &env))
HALF_FN(d_to_w_mod, (uint64_t)f64_to_i32_mod(a, &env))

static ir_ref call_fp(struct riscv_lift *t, ir_function *fn, enum ir_type type, unsigned rm,
                      ir_ref a, ir_ref b, ir_ref c)
{
    return ir_call(t->ir, fn, "fp", CALL_FP, type, a, b, c, ir_const(t->ir, IR_I64, rm));
}

// rd = fn(rs1, rs2)
static void half(struct riscv_lift *t, ir_function *fn, unsigned rm)
{
    ir_ref a = get_bits(t, t->in.rs1), b = get_bits(t, t->in.rs2);
    set_bits(t, call_fp(t, fn, IR_I64, rm, a, b, 0));
}

// rd = fn(rs1)
static void half1(struct riscv_lift *t, ir_function *fn, unsigned rm)
{
    set_bits(t, call_fp(t, fn, IR_I64, rm, get_bits(t, t->in.rs1), 0, 0));
}

// ---- Arithmetic ----

static ir_function *half_binary(unsigned op)
{
    switch (op) {
    case IR_FADD:
        return h_add;
    case IR_FSUB:
        return h_sub;
    case IR_FMUL:
        return h_mul;
    default:
        assert(op == IR_FDIV);
        return h_div;
    }
}

void riscv_lift_fbin(struct riscv_lift *t)
{
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    if (fmt(t) == FMT_H) {
        half(t, half_binary(t->arg), rm);
        return;
    }
    ir_ref a = get_sd(t, fmt(t), t->in.rs1), b = get_sd(t, fmt(t), t->in.rs2);
    set_canonical(t, ir_fbin(t->ir, t->arg, rm, a, b));
}

void riscv_lift_fsqrt(struct riscv_lift *t)
{
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    if (fmt(t) == FMT_H) {
        half1(t, h_sqrt, rm);
        return;
    }
    ir_ref a = get_sd(t, fmt(t), t->in.rs1);
    set_canonical(t, ir_fun(t->ir, IR_FSQRT, ir_type_of(t->ir, a), 0, rm, a));
}

void riscv_lift_fma(struct riscv_lift *t)
{
    static ir_function *const fn[4] = {
        [0] = h_fma,
        [IR_FMA_NEG_ADDEND] = h_fmsub,
        [IR_FMA_NEG_PRODUCT] = h_fnmsub,
        [FNMADD] = h_fnmadd,
    };
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    if (fmt(t) == FMT_H) {
        ir_ref a = get_bits(t, t->in.rs1), b = get_bits(t, t->in.rs2), c = get_bits(t, t->in.rs3);
        set_bits(t, call_fp(t, fn[t->arg], IR_I64, rm, a, b, c));
        return;
    }
    ir_ref a = get_sd(t, fmt(t), t->in.rs1), b = get_sd(t, fmt(t), t->in.rs2);
    ir_ref c = get_sd(t, fmt(t), t->in.rs3);
    set_canonical(t, ir_fma(t->ir, t->arg, rm, a, b, c));
}

// The values of minimum and maximum; flags are left to a comparison.
static uint64_t s_minmax(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t which, uint64_t d)
{
    (void)cpu, (void)d;
    struct fp_env env = {FP_RNE, 0};
    switch ((enum riscv_minmax)which) {
    case FP_MIN:
        return f32_min((uint32_t)a, (uint32_t)b, &env);
    case FP_MAX:
        return f32_max((uint32_t)a, (uint32_t)b, &env);
    case FP_MINM:
        return f32_minm((uint32_t)a, (uint32_t)b, &env);
    case FP_MAXM:
        return f32_maxm((uint32_t)a, (uint32_t)b, &env);
    }
    return 0;
}

static uint64_t d_minmax(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t which, uint64_t d)
{
    (void)cpu, (void)d;
    struct fp_env env = {FP_RNE, 0};
    switch ((enum riscv_minmax)which) {
    case FP_MIN:
        return f64_min(a, b, &env);
    case FP_MAX:
        return f64_max(a, b, &env);
    case FP_MINM:
        return f64_minm(a, b, &env);
    case FP_MAXM:
        return f64_maxm(a, b, &env);
    }
    return 0;
}

void riscv_lift_fminmax(struct riscv_lift *t)
{
    static ir_function *const half_fn[] = {
        [FP_MIN] = h_min, [FP_MAX] = h_max, [FP_MINM] = h_minm, [FP_MAXM] = h_maxm};
    if (!fp_dirty(t))
        return;
    if (fmt(t) == FMT_H) {
        half(t, half_fn[t->arg], FP_RNE);
        return;
    }
    ir_ref a = get_sd(t, fmt(t), t->in.rs1), b = get_sd(t, fmt(t), t->in.rs2);
    ir_fcmp(t->ir, IR_I32, IR_FEQ, a, b); // invalid for signalling NaNs
    enum ir_type type = fmt(t) == FMT_S ? IR_I32 : IR_I64;
    set_sd_bits(t, ir_call(t->ir, fmt(t) == FMT_S ? s_minmax : d_minmax, "minmax", CALL_PURE, type,
                           ir_bitcast(t->ir, type, a), ir_bitcast(t->ir, type, b),
                           ir_const(t->ir, IR_I64, t->arg), 0));
}

void riscv_lift_fcmp(struct riscv_lift *t)
{
    static ir_function *const half_fn[IR_NR_FCONDS] = {
        [IR_FEQ] = h_eq, [IR_FLT] = h_lt, [IR_FLE] = h_le, [IR_FLTQ] = h_ltq, [IR_FLEQ] = h_leq_q};
    if (!fp_dirty(t))
        return;
    ir_ref result;
    if (fmt(t) == FMT_H)
        result = call_fp(t, half_fn[t->arg], t->xt, FP_RNE, get_bits(t, t->in.rs1),
                         get_bits(t, t->in.rs2), 0);
    else
        result = ir_fcmp(t->ir, t->xt, t->arg, get_sd(t, fmt(t), t->in.rs1),
                         get_sd(t, fmt(t), t->in.rs2));
    riscv_lift_set_x(t, t->in.rd, result);
}

// ---- Signs and classes ----

// Half precision: as if of 64 bits, but with the sign at bit 15 and all above it ones.
static ir_ref get_half(struct riscv_lift *t, unsigned reg)
{
    ir_ref v = get_bits(t, reg);
    ir_ref bound = ir_const(t->ir, IR_I64, BOX16), nan = ir_const(t->ir, IR_I64, BOX16 | F16_NAN);
    return ir_sel(t->ir, IR_GEU, v, bound, v, nan);
}

static ir_ref get_any_bits(struct riscv_lift *t, unsigned reg)
{
    return fmt(t) == FMT_H ? get_half(t, reg) : get_sd_bits(t, fmt(t), reg);
}

static uint64_t sign_bit(const struct riscv_lift *t)
{
    static const uint64_t bit[] = {[FMT_S] = BIT(31), [FMT_D] = BIT(63), [FMT_H] = BIT(15)};
    return bit[fmt(t)];
}

// The sign of rs2 alone, made the result's sign for a positive rs1, or the change of rs1's sign.
static ir_ref sign_of(struct riscv_lift *t, ir_ref b)
{
    ir_ref bit = ir_const(t->ir, ir_type_of(t->ir, b), sign_bit(t));
    return t->arg == SGN_NOT ? ir_bin(t->ir, IR_ANDN, bit, b) : ir_bin(t->ir, IR_AND, b, bit);
}

static ir_ref inject_sign(struct riscv_lift *t, ir_ref a, ir_ref b)
{
    ir_ref bit = ir_const(t->ir, ir_type_of(t->ir, a), sign_bit(t));
    if (t->arg == SGN_XOR)
        return t->in.rs1 == t->in.rs2 ? ir_bin(t->ir, IR_ANDN, a, bit)
                                      : ir_bin(t->ir, IR_XOR, a, sign_of(t, b));
    if (t->in.rs1 == t->in.rs2)
        return t->arg == SGN_COPY ? a : ir_bin(t->ir, IR_XOR, a, bit);
    return ir_bin(t->ir, IR_OR, ir_bin(t->ir, IR_ANDN, a, bit), sign_of(t, b));
}

void riscv_lift_fsgnj(struct riscv_lift *t)
{
    if (!fp_dirty(t))
        return;
    if (t->arg == SGN_COPY && t->in.rs1 == t->in.rs2 && fmt(t) != FMT_H) { // fmv
        set_sd(t, get_sd(t, fmt(t), t->in.rs1));
        return;
    }
    ir_ref a = get_any_bits(t, t->in.rs1);
    ir_ref b = t->in.rs1 == t->in.rs2 ? a : get_any_bits(t, t->in.rs2);
    ir_ref result = inject_sign(t, a, b);
    if (fmt(t) == FMT_H)
        set_bits(t, result);
    else
        set_sd_bits(t, result);
}

static uint64_t classify(struct cpu *cpu, uint64_t a, uint64_t f, uint64_t c, uint64_t d)
{
    (void)cpu, (void)c, (void)d;
    switch ((enum riscv_fmt)f) {
    case FMT_S:
        return f32_classify((uint32_t)a);
    case FMT_D:
        return f64_classify(a);
    case FMT_H:
        return f16_classify((uint16_t)a);
    }
    return 0;
}

void riscv_lift_fclass(struct riscv_lift *t)
{
    if (!fp_on(t) || !t->in.rd)
        return;
    ir_ref v = get_any_bits(t, t->in.rs1), f = ir_const(t->ir, IR_I64, fmt(t));
    riscv_lift_set_x(t, t->in.rd, ir_call(t->ir, classify, "fclass", CALL_PURE, t->xt, v, f, 0, 0));
}

// ---- Conversions ----

static bool is_long(const struct riscv_lift *t)
{
    return t->arg == CVT_L || t->arg == CVT_LU;
}

static unsigned unsigned_flag(const struct riscv_lift *t)
{
    return t->arg == CVT_WU || t->arg == CVT_LU ? IR_UNSIGNED : 0;
}

void riscv_lift_ftoi(struct riscv_lift *t)
{
    static ir_function *const half_fn[] = {
        [CVT_W] = h_to_w, [CVT_WU] = h_to_wu, [CVT_L] = h_to_l, [CVT_LU] = h_to_lu};
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    ir_ref v;
    if (fmt(t) == FMT_H) {
        v = call_fp(t, half_fn[t->arg], t->xt, rm, get_bits(t, t->in.rs1), 0, 0);
    } else {
        v = ir_fun(t->ir, IR_FTOI, is_long(t) ? IR_I64 : IR_I32, unsigned_flag(t), rm,
                   get_sd(t, fmt(t), t->in.rs1));
        if (t->xt == IR_I64 && !is_long(t))
            v = ir_sext(t->ir, IR_I64, 32, v); // wu too
    }
    riscv_lift_set_x(t, t->in.rd, v);
}

void riscv_lift_fcvtmod(struct riscv_lift *t)
{
    if (!fp_dirty(t))
        return;
    riscv_lift_set_x(t, t->in.rd,
                     call_fp(t, d_to_w_mod, t->xt, FP_RTZ, get_bits(t, t->in.rs1), 0, 0));
}

void riscv_lift_itof(struct riscv_lift *t)
{
    static ir_function *const half_fn[] = {
        [CVT_W] = h_from_w, [CVT_WU] = h_from_wu, [CVT_L] = h_from_l, [CVT_LU] = h_from_lu};
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    ir_ref v = riscv_lift_x(t, t->in.rs1);
    if (fmt(t) == FMT_H) {
        set_bits(t, call_fp(t, half_fn[t->arg], IR_I64, rm, v, 0, 0));
        return;
    }
    if (t->xt == IR_I64 && !is_long(t))
        v = ir_trunc(t->ir, v);
    set_sd(t, ir_fun(t->ir, IR_ITOF, fmt(t) == FMT_S ? IR_F32 : IR_F64, unsigned_flag(t), rm, v));
}

// arg: the format converted from.
void riscv_lift_fcvt(struct riscv_lift *t)
{
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    if (fmt(t) == FMT_H) {
        half1(t, t->arg == FMT_S ? h_from_s : h_from_d, rm);
    } else if (t->arg == FMT_H) {
        half1(t, fmt(t) == FMT_S ? h_to_s : h_to_d, rm);
    } else {
        ir_ref v = get_sd(t, t->arg, t->in.rs1);
        set_canonical(t, ir_fun(t->ir, IR_FCVT, fmt(t) == FMT_S ? IR_F32 : IR_F64, 0, rm, v));
    }
}

void riscv_lift_fround(struct riscv_lift *t)
{
    unsigned rm;
    if (!fp_rounded(t, &rm))
        return;
    if (fmt(t) == FMT_H) {
        half1(t, t->arg ? h_roundnx : h_round, rm);
        return;
    }
    ir_ref a = get_sd(t, fmt(t), t->in.rs1);
    set_canonical(t, ir_fun(t->ir, IR_FROUND, ir_type_of(t->ir, a), t->arg, rm, a));
}

// ---- Moves, loads and stores: bits, boxed or not. arg: their number ----

void riscv_lift_fmv_x_f(struct riscv_lift *t)
{
    if (!fp_on(t) || !t->in.rd)
        return;
    ir_ref v = get_bits(t, t->in.rs1);
    if (t->arg == 16 || (t->arg == 32 && t->xt == IR_I64))
        v = ir_sext(t->ir, t->xt, t->arg, v);
    else if (t->arg == 32)
        v = ir_trunc(t->ir, v);
    riscv_lift_set_x(t, t->in.rd, v);
}

void riscv_lift_fmv_f_x(struct riscv_lift *t)
{
    if (!fp_dirty(t))
        return;
    ir_ref v = riscv_lift_x(t, t->in.rs1);
    if (t->arg == 32) {
        set_sd_bits(t, t->xt == IR_I64 ? ir_trunc(t->ir, v) : v);
        return;
    }
    if (t->xt == IR_I32)
        v = ir_zext(t->ir, IR_I64, 32, v);
    if (t->arg == 16)
        v = ir_bin(t->ir, IR_OR, v, ir_const(t->ir, IR_I64, BOX16));
    set_bits(t, v);
}

void riscv_lift_fmvh_x_d(struct riscv_lift *t)
{
    if (!fp_on(t) || !t->in.rd)
        return;
    ir_ref v = get_bits(t, t->in.rs1);
    riscv_lift_set_x(t, t->in.rd, ir_trunc(t->ir, ir_bini(t->ir, IR_SHR, v, 32)));
}

void riscv_lift_fmvp_d_x(struct riscv_lift *t)
{
    if (!fp_dirty(t))
        return;
    ir_ref lo = ir_zext(t->ir, IR_I64, 32, riscv_lift_x(t, t->in.rs1));
    ir_ref hi = ir_zext(t->ir, IR_I64, 32, riscv_lift_x(t, t->in.rs2));
    set_bits(t, ir_bin(t->ir, IR_OR, lo, ir_bini(t->ir, IR_SHL, hi, 32)));
}

// The constants of fli but for its entry 1, the format's least normal number, as single precision: its sign,
// exponent and fraction's first bits suffice.
static const uint32_t fli_values[32] = {
    0xbf800000, 0,          0x37800000, 0x38000000, 0x3b800000, 0x3c000000, 0x3d800000, 0x3e000000,
    0x3e800000, 0x3ea00000, 0x3ec00000, 0x3ee00000, 0x3f000000, 0x3f200000, 0x3f400000, 0x3f600000,
    0x3f800000, 0x3fa00000, 0x3fc00000, 0x3fe00000, 0x40000000, 0x40200000, 0x40400000, 0x40800000,
    0x41000000, 0x41800000, 0x43000000, 0x43800000, 0x47000000, 0x47800000, 0x7f800000, F32_NAN,
};

static uint64_t fli_value(enum riscv_fmt f, unsigned n)
{
    struct fp_env env = {FP_RNE, 0};
    switch (f) {
    case FMT_S:
        return BOX32 | (n == 1 ? UINT32_C(0x00800000) : fli_values[n]);
    case FMT_D:
        return n == 1 ? UINT64_C(0x0010000000000000) : f32_to_f64(fli_values[n], &env);
    case FMT_H:
        return BOX16 | (n == 1 ? UINT16_C(0x0400) : f32_to_f16(fli_values[n], &env));
    }
    return 0;
}

void riscv_lift_fli(struct riscv_lift *t)
{
    if (fp_dirty(t))
        set_f(t, ir_const(t->ir, IR_F64, fli_value(fmt(t), t->in.rs1)));
}

void riscv_lift_fload(struct riscv_lift *t)
{
    if (!fp_dirty(t))
        return;
    ir_ref addr = riscv_lift_x(t, t->in.rs1);
    if (t->arg == MO_16) {
        ir_ref v = ir_ld(t->ir, IR_I64, MO_16, addr, t->in.imm);
        set_bits(t, ir_bin(t->ir, IR_OR, v, ir_const(t->ir, IR_I64, BOX16)));
    } else {
        set_sd(t, ir_ld(t->ir, t->arg == MO_32 ? IR_F32 : IR_F64, t->arg, addr, t->in.imm));
    }
}

// Narrow values are stored as they are, boxed or not.
void riscv_lift_fstore(struct riscv_lift *t)
{
    if (!fp_on(t))
        return;
    ir_ref addr = riscv_lift_x(t, t->in.rs1);
    ir_ref v = t->arg == MO_64 ? get_f(t, t->in.rs2) : get_bits(t, t->in.rs2);
    ir_st(t->ir, t->arg, addr, t->in.imm, v);
}
