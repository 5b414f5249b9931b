// SPDX-License-Identifier: MIT
// Floating-point operations of the IR on software floating point. See softops.h.
#include "translator/softops.h"

#include <assert.h>

#include "translator/cpu.h"

uint64_t softop_nan(enum ir_type type)
{
    return type == IR_F32 ? F32_NAN : F64_NAN;
}

bool softop_is_nan(enum ir_type type, uint64_t bits)
{
    return type == IR_F32 ? (bits & 0x7fffffff) > 0x7f800000
                          : (bits & INT64_MAX) > UINT64_C(0x7ff0000000000000);
}

// FMA with its signs applied.
#define FMA(F, SIGN)                                                                               \
    F##_fma(v[0] ^ (aux & IR_FMA_NEG_PRODUCT ? SIGN : 0), v[1],                                    \
            v[2] ^ (aux & IR_FMA_NEG_ADDEND ? SIGN : 0), env)

#define FCMP(F)                                                                                    \
    (aux == IR_FEQ    ? F##_eq(v[0], v[1], env)                                                    \
     : aux == IR_FLT  ? F##_lt(v[0], v[1], env)                                                    \
     : aux == IR_FLE  ? F##_le(v[0], v[1], env)                                                    \
     : aux == IR_FLTQ ? F##_ltq(v[0], v[1], env)                                                   \
                      : F##_leq_q(v[0], v[1], env))

#define FTOI(F)                                                                                    \
    (type == IR_I32 ? (aux & IR_UNSIGNED ? F##_to_u32(v[0], env) : (uint32_t)F##_to_i32(v[0], env)) \
                    : (aux & IR_UNSIGNED ? F##_to_u64(v[0], env) : (uint64_t)F##_to_i64(v[0], env)))

#define ITOF(F)                                                                                    \
    (from == IR_I32 ? (aux & IR_UNSIGNED ? u32_to_##F(v[0], env) : i32_to_##F(v[0], env))          \
                    : (aux & IR_UNSIGNED ? u64_to_##F(v[0], env) : i64_to_##F(v[0], env)))

// Operations on floats of one format.
#define EVAL(NAME, F, SIGN)                                                                        \
    static uint64_t NAME(enum ir_opcode op, enum ir_type type, unsigned aux, const uint64_t v[3],  \
                         struct fp_env *env)                                                       \
    {                                                                                              \
        switch (op) {                                                                              \
        case IR_FADD: return F##_add(v[0], v[1], env);                                             \
        case IR_FSUB: return F##_sub(v[0], v[1], env);                                             \
        case IR_FMUL: return F##_mul(v[0], v[1], env);                                             \
        case IR_FDIV: return F##_div(v[0], v[1], env);                                             \
        case IR_FSQRT: return F##_sqrt(v[0], env);                                                 \
        case IR_FMA: return FMA(F, SIGN);                                                          \
        case IR_FCMP: return FCMP(F);                                                              \
        case IR_FTOI: return FTOI(F);                                                              \
        case IR_FROUND: return F##_round_to_int(v[0], aux & IR_INEXACT, env);                      \
        default: g_assert_not_reached();                                                           \
        }                                                                                          \
    }

EVAL(eval_f32, f32, UINT32_C(0x80000000))
EVAL(eval_f64, f64, BIT(63))

uint64_t softop_eval(enum ir_opcode op, enum ir_type type, enum ir_type from, unsigned aux,
                     const uint64_t v[3], struct fp_env *env)
{
    if (op == IR_ITOF)
        return type == IR_F32 ? ITOF(f32) : ITOF(f64);
    if (op == IR_FCVT)
        return type == IR_F32 ? f64_to_f32(v[0], env) : f32_to_f64(v[0], env);
    return from == IR_F32 ? eval_f32(op, type, aux, v, env) : eval_f64(op, type, aux, v, env);
}

// What a lowered operation is, packed into the call's last argument.
static uint64_t pack(const struct ir_insn *in, enum ir_type from)
{
    return in->op | (uint64_t)in->type << 8 | (uint64_t)from << 16 | (uint64_t)in->aux << 24 |
           (uint64_t)in->x << 32;
}

static uint64_t call_softop(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t packed)
{
    const uint64_t v[3] = {a, b, c};
    struct fp_env env = {.rm = packed >> 32};
    uint64_t r = softop_eval(packed & 0xff, packed >> 8 & 0xff, packed >> 16 & 0xff, packed >> 24 & 0xff,
                             v, &env);
    cpu->fp.flags |= env.flags;
    return r;
}

static uint64_t call_integer(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t packed)
{
    (void)cpu, (void)c;
    const uint64_t v[4] = {a, b};
    const enum ir_type types[4] = {packed >> 16 & 0xff};
    uint64_t r = 0;
    ir_eval(packed & 0xff, packed >> 8 & 0xff, packed >> 24 & 0xff, v, types, &r);
    return r;
}

void softop_lower(struct ir *ir, ir_ref r)
{
    struct ir_insn *in = &ir->insn[r];
    bool is_float = ir_op_info[in->op].flags & OPF_FLOAT;
    assert(ir_op_info[in->op].nr_args < 4 && ir->nr_calls < IR_MAX_CALLS);
    uint64_t packed = pack(in, ir_type_of(ir, in->arg[0]));
    ir->call[ir->nr_calls] = is_float
                                 ? (struct ir_call){call_softop, ir_op_info[in->op].name, CALL_FP}
                                 : (struct ir_call){call_integer, ir_op_info[in->op].name, CALL_PURE};
    in->op = IR_CALL;
    in->x = ir->nr_calls++;
    in->imm = packed;
    in->arg[3] = 0;
}
