// SPDX-License-Identifier: MIT
//
// Host back ends against each other and against a reference that runs IR as it was built: every
// operation on edge values wherever operands can be, and long random units. What this finds are
// bugs of the passes, the register allocator and the native back end.
//
// A unit that they disagree on is made as small as it will go, and printed. FERRY_IR_UNITS says how
// many random units to run, FERRY_IR_FIRST the number of the first one.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/ir_gen.h"
#ifdef FERRY_HOST_X86_64
#include "translator/host/x86_64.h"
#endif

struct bench {
    bool wide;
    enum cpu_mode mode;
    struct side *reference, *interp, *native; // native: NULL where there is none
    struct side_state st;
    uint8_t ram[SIDE_RAM_SIZE];
};

static void bench_init(struct bench *b, bool wide)
{
    *b = (struct bench){.wide = wide, .mode = CPU_NORMAL};
    b->reference = side_new("reference", &host_interp, wide, NULL);
    b->interp = side_new("interp", &host_interp, wide, NULL);
    b->native = host_native ? side_new("native", host_native, wide, NULL) : NULL;
    for (unsigned i = 0; i < SIDE_RAM_SIZE; i += 8)
        store_le(b->ram + i, 8, side_hash(i));
}

// Makes the native back end do without what not all hosts have.
static void bench_on_a_poor_host(struct bench *b)
{
#ifdef FERRY_HOST_X86_64
    struct x86 *h = b->native->exec->host_data;
    h->bmi = h->lzcnt = h->popcnt = h->fma = h->sse41 = h->clmul = false;
#else
    (void)b;
#endif
}

static void bench_free(struct bench *b)
{
    side_free(b->reference);
    side_free(b->interp);
    if (b->native)
        side_free(b->native);
}

// --- One unit on all sides ---

static void set_up(const struct bench *b, struct side *s, const struct ir *ir)
{
    struct side_state st = b->st;
    st.budget = ir->nr_guest * (1 + st.log % 4) + st.log % 3;
    st.rm = ir->rm;
    side_set(s, &st, b->ram);
    s->cpu->cpu.align_all = ir->align_all;
}

static void optimized(const struct ir *ir, bool share, struct ir *out)
{
    *out = *ir;
    out->share_checks = share;
    if (share)
        ir_pass_loop(out);
    ir_optimize(out);
    char *wrong = ir_verify(out);
    if (wrong)
        g_error("after the passes: %s", wrong);
}

// Whether a unit that goes back to its head and has left could have gone on.
static bool goes_on(const struct cpu *cpu, const struct ir *ir)
{
    return cpu->pc == ir->pc && !cpu->fault.pending && cpu->next_mode == CPU_NORMAL &&
           cpu->leave == LEAVE_LOOKUP && cpu->budget >= ir->nr_guest;
}

// False: the host wants the unit shorter.
static bool run(const struct bench *b, struct side *s, struct ir *ir)
{
    bool loop = ir->insn[1].op == IR_GET && ir->insn[1].aux & GET_CARRIED;
    set_up(b, s, ir);
    struct unit *u = side_compile(s, ir, b->mode);
    if (!u)
        return false;
    do {
        side_run(s, u, b->mode);
    } while (loop && s != b->native && goes_on(&s->cpu->cpu, ir));
    return true;
}

static char *compare_sides(const struct bench *b, const struct ir *ir)
{
    struct ir out;
    optimized(ir, false, &out);
    set_up(b, b->reference, ir);
    side_run_reference(b->reference, ir, b->mode);
    run(b, b->interp, &out);
    char *difference = side_compare(b->reference, b->interp);
    if (difference || !b->native || !run(b, b->native, &out))
        return difference;
    difference = side_compare(b->interp, b->native);
    if (difference || b->mode != CPU_NORMAL)
        return difference;
    optimized(ir, true, &out);
    run(b, b->interp, &out);
    return run(b, b->native, &out) ? side_compare(b->interp, b->native) : NULL;
}

// Code that crashes is a difference like others, so that it can be made smaller.
static sigjmp_buf crashed;

static void on_crash(int signal_number)
{
    siglongjmp(crashed, signal_number);
}

static void watch_for_crashes(bool watch)
{
    static char stack[1 << 16];
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    struct sigaction action = {.sa_handler = watch ? on_crash : SIG_DFL, .sa_flags = SA_ONSTACK};
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaction(signals[i], &action, NULL);
}

// NULL, or how the sides differ after a unit.
static char *differ(const struct bench *b, const struct ir *ir)
{
    char *difference;
    watch_for_crashes(true);
    int signal_number = sigsetjmp(crashed, 1);
    if (signal_number) {
        fesetenv(FE_DFL_ENV);
        difference = g_strdup_printf("%s\n", strsignal(signal_number));
    } else {
        difference = compare_sides(b, ir);
    }
    watch_for_crashes(false);
    return difference;
}

// --- Telling of it ---

static char *text_of(const struct ir *ir)
{
    GString *s = g_string_new(NULL);
    ir_print(ir, s);
    return g_string_free(s, FALSE);
}

static bool still_differs(const struct bench *b, const struct ir *ir)
{
    char *wrong = ir_verify(ir), *difference = wrong ? NULL : differ(b, ir);
    bool differs = difference;
    g_free(wrong);
    g_free(difference);
    return differs;
}

// Takes instructions out, or makes them constants, as long as the sides go on to differ.
static bool simplify(const struct bench *b, struct ir *ir)
{
    bool any = false;
    struct ir try;
    for (unsigned r = ir->nr_insns - 2; r > 0; r--) {
        struct ir_insn *in = &try.insn[r];
        if (ir->insn[r].op == IR_NOP || ir->insn[r].op == IR_INSN)
            continue;
        try = *ir;
        *in = (struct ir_insn){.op = IR_NOP};
        if (!still_differs(b, &try)) {
            bool value =
                ir_op_info[ir->insn[r].op].flags & OPF_VALUE && ir->insn[r].type != IR_VOID;
            if (!value || ir->insn[r].op == IR_CONST || ir->insn[r].op == IR_GET)
                continue;
            *in = (struct ir_insn){.op = IR_CONST, .type = ir->insn[r].type, .imm = 1};
            if (!still_differs(b, &try))
                continue;
        }
        *ir = try;
        any = true;
    }
    return any;
}

static void print_optimized(const struct bench *b, const struct ir *ir)
{
    struct ir out;
    optimized(ir, true, &out);
    char *text = text_of(&out);
    fprintf(stderr, "optimized:\n%s", text);
    g_free(text);
    struct unit *u = NULL;
    watch_for_crashes(true);
    if (b->native && !sigsetjmp(crashed, 1))
        u = side_compile(b->native, &out, b->mode);
    watch_for_crashes(false);
    if (!u || !b->native->host->print)
        return;
    GString *code = g_string_new(NULL);
    b->native->host->print(b->native->exec->host_data, u, code);
    fprintf(stderr, "host code:\n%s", code->str);
    g_string_free(code, TRUE);
}

static void report(const struct bench *b, const char *name, struct ir *ir)
{
    while (simplify(b, ir))
        continue;
    char *text = text_of(ir), *difference = differ(b, ir);
    fprintf(stderr, "%s: mode %d, rm %u, regime %u, aligned %d:\n%s", name, b->mode, ir->rm,
            ir->regime, ir->align_all, text);
    print_optimized(b, ir);
    fprintf(stderr, "differs:\n%s\n", difference);
    g_free(text);
    g_free(difference);
    cr_fatal("%s: the sides differ, see above", name);
}

static void check_unit(const struct bench *b, const char *name, struct ir *ir)
{
    char *wrong = ir_verify(ir);
    if (wrong)
        g_error("%s: %s", name, wrong);
    char *difference = differ(b, ir);
    if (difference)
        report(b, name, ir);
    g_free(difference);
}

// --- Every operation ---

#define OPS_IN_UNIT 3
#define DRAWS       300

static ir_ref home_operand(struct gen *g, enum ir_type type)
{
    for (;;) {
        unsigned var = gen_below(g, SIDE_NR_VARS);
        if (g->ir->vars[var].type == type)
            return ir_get(g->ir, var);
    }
}

// A value that is in a register, or behind a call in a slot.
static ir_ref computed_operand(struct gen *g, enum ir_type type)
{
    struct ir *ir = g->ir;
    ir_ref c = ir_const(ir, type, gen_bits(g, type));
    switch (type) {
    case IR_I32:
        return ir_bin(ir, IR_XOR, c, ir_get(ir, SIDE_W));
    case IR_I64:
        return ir_bin(ir, IR_XOR, c, ir_get(ir, SIDE_L));
    case IR_F32:
        return ir_bitcast(ir, IR_F32, computed_operand(g, IR_I32));
    default:
        return ir_bitcast(ir, IR_F64, computed_operand(g, IR_I64));
    }
}

static ir_ref operand(struct gen *g, enum ir_type type)
{
    switch (gen_below(g, 3)) {
    case 0:
        return ir_const(g->ir, type, gen_bits(g, type));
    case 1:
        return home_operand(g, type);
    default:
        return computed_operand(g, type);
    }
}

struct planned {
    enum ir_opcode op;
    enum ir_type type;
    ir_ref arg[4];
};

static void plan(struct gen *g, enum ir_opcode op, struct planned *p)
{
    enum ir_type types[4];
    *p = (struct planned){.op = op};
    p->type = gen_types(g, op, types);
    for (unsigned k = 0; k < ir_op_info[op].nr_args; k++) {
        p->arg[k] = operand(g, types[k]);
        unsigned twin = gen_below(g, 4);
        if (twin < k && types[twin] == types[k] && gen_chance(g, 2))
            p->arg[k] = p->arg[twin];
    }
}

static void set_result(struct gen *g, unsigned i, ir_ref r)
{
    static const unsigned var[IR_NR_TYPES] = {
        [IR_I32] = SIDE_W, [IR_I64] = SIDE_L, [IR_F32] = SIDE_S, [IR_F64] = SIDE_D};
    enum ir_type type = ir_type_of(g->ir, r);
    ir_set(g->ir, var[type] + i, g->raw[r] ? ir_un(g->ir, IR_FCANON, r) : r);
}

static void unit_of_op(struct gen *g, enum ir_opcode op)
{
    struct ir *ir = g->ir;
    struct planned plans[OPS_IN_UNIT];
    ir_ref results[OPS_IN_UNIT];
    ir->pc = SIDE_BASE;
    ir->rm = gen_below(g, FP_RMM + 1);
    ir_guest(ir, ir->pc, 4);
    for (unsigned i = 0; i < OPS_IN_UNIT; i++)
        plan(g, op, &plans[i]);
    if (gen_chance(g, 2))
        ir_call(ir, side_calls[SIDE_CALL_EFFECT].fn, "effect", 0, IR_VOID, 0, 0, 0, 0);
    for (unsigned i = 0; i < OPS_IN_UNIT; i++)
        results[i] = gen_apply(g, op, plans[i].type, plans[i].arg);
    for (unsigned i = 0; i < OPS_IN_UNIT; i++)
        set_result(g, i, results[i]);
    ir_exit(ir, ir->pc + 4);
}

static void every_operation(bool wide, bool poor)
{
    struct bench b;
    struct ir *ir = g_new(struct ir, 1);
    struct gen *g = g_new(struct gen, 1);
    bench_init(&b, wide);
    if (poor)
        bench_on_a_poor_host(&b);
    for (unsigned op = 0; op < IR_NR_OPS; op++) {
        for (unsigned i = 0; gen_knows(op) && i < DRAWS; i++) {
            ir_reset(ir, side_vars(wide), SIDE_NR_VARS);
            gen_start(g, ir, wide, op * UINT64_C(1000003) + i);
            gen_state(g, &b.st);
            unit_of_op(g, op);
            check_unit(&b, ir_op_info[op].name, ir);
        }
    }
    bench_free(&b);
    g_free(g);
    g_free(ir);
}

Test(operations, on_64_bits)
{
    every_operation(true, false);
}

Test(operations, on_32_bits)
{
    every_operation(false, false);
}

Test(operations, on_a_poor_host)
{
    every_operation(true, true);
}

// --- Memory operations ---

static const unsigned memops[] = {MO_8, MO_16, MO_32, MO_64};

static ir_ref address_operand(struct gen *g)
{
    struct ir *ir = g->ir;
    switch (gen_below(g, 3)) {
    case 0:
        return ir_const(ir, ir->vars[SIDE_A].type,
                        g->wide && gen_chance(g, 2) ? SIDE_ALIAS + 0x1238 : SIDE_BASE + 0x2ff0);
    case 1:
        return ir_get(ir, SIDE_A + gen_below(g, SIDE_NR_A));
    default:
        return ir_bini(ir, IR_MUL, ir_get(ir, SIDE_A + gen_below(g, SIDE_NR_A)),
                       1 + gen_below(g, 2) * 2);
    }
}

// All sizes with all flags, in turn.
static unsigned memop_of(unsigned i)
{
    return memops[i & 3] | (i & 4 ? MO_SIGN : 0) | (i & 8 ? MO_RMW : 0) | (i & 16 ? MO_ALIGN : 0) |
           (i % 7 == 6 ? MO_BSWAP : 0);
}

static void access_unit(struct gen *g, unsigned i)
{
    static const enum ir_type types[] = {IR_I64, IR_I32, IR_F64, IR_F32};
    struct ir *ir = g->ir;
    enum ir_type type = types[i / 32 % 4];
    unsigned op = memop_of(i);
    if (ir_type_is_float(type) || 1u << (op & MO_SIZE) > ir_type_bytes(type))
        op = (op & ~(MO_SIZE | MO_SIGN)) | (ir_type_bytes(type) == 4 ? MO_32 : MO_64);
    ir->pc = SIDE_BASE;
    ir->regime = gen_below(g, 2);
    ir_guest(ir, ir->pc, 4);
    ir_ref base = address_operand(g);
    int64_t at = (int)gen_below(g, 64) - 32;
    if (i & 128) {
        ir_ref v = operand(g, type);
        ir_st(ir, op & ~(MO_SIGN | MO_RMW), base, at, v);
    } else {
        set_result(g, 0, ir_ld(ir, type, op, base, at));
    }
    ir_exit(ir, ir->pc + 4);
}

static void every_access(bool wide)
{
    struct bench b;
    struct ir *ir = g_new(struct ir, 1);
    struct gen *g = g_new(struct gen, 1);
    bench_init(&b, wide);
    for (unsigned i = 0; i < 256 * 32; i++) {
        ir_reset(ir, side_vars(wide), SIDE_NR_VARS);
        gen_start(g, ir, wide, i);
        gen_state(g, &b.st);
        access_unit(g, i);
        b.mode = gen_chance(g, 2) ? CPU_SINGLE : CPU_NORMAL;
        check_unit(&b, "access", ir);
    }
    bench_free(&b);
    g_free(g);
    g_free(ir);
}

Test(accesses, on_64_bits)
{
    every_access(true);
}

Test(accesses, on_32_bits)
{
    every_access(false);
}

// --- Random units ---

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s ? g_ascii_strtoull(s, NULL, 0) : otherwise;
}

static void expect_same_text(const struct ir *ir, struct ir *other)
{
    char *text = text_of(ir);
    GError *error = NULL;
    ir_reset(other, ir->vars, ir->nr_vars);
    if (!ir_parse_calls(other, text, side_calls, side_nr_calls, &error))
        g_error("%s", error->message);
    char *again = text_of(other);
    if (strcmp(text, again))
        g_error("text changes:\n%s\nto\n%s", text, again);
    g_free(text);
    g_free(again);
}

static void random_units(bool wide, bool poor, enum cpu_mode mode, unsigned most, uint64_t units)
{
    struct bench b;
    struct ir *ir = g_new(struct ir, 1), *other = g_new(struct ir, 1);
    struct gen *g = g_new(struct gen, 1);
    uint64_t first = from_environment("FERRY_IR_FIRST", 0);
    bench_init(&b, wide);
    if (poor)
        bench_on_a_poor_host(&b);
    b.mode = mode;
    units = from_environment("FERRY_IR_UNITS", units);
    for (uint64_t i = first; i < first + units; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s unit %" G_GUINT64_FORMAT, wide ? "64-bit" : "32-bit", i);
        ir_reset(ir, side_vars(wide), SIDE_NR_VARS);
        gen_start(g, ir, wide, i);
        gen_state(g, &b.st);
        gen_unit(g, mode == CPU_SINGLE ? 0 : 1 + gen_below(g, most));
        if (i % 64 == 0)
            expect_same_text(ir, other);
        check_unit(&b, name, ir);
    }
    bench_free(&b);
    g_free(g);
    g_free(other);
    g_free(ir);
}

Test(units, on_64_bits)
{
    random_units(true, false, CPU_NORMAL, IR_MAX_GUEST_INSNS - 2, 6000);
}

Test(units, on_32_bits)
{
    random_units(false, false, CPU_NORMAL, IR_MAX_GUEST_INSNS - 2, 6000);
}

Test(units, short_ones)
{
    random_units(true, false, CPU_NORMAL, 4, 6000);
}

Test(units, of_one_instruction)
{
    random_units(true, false, CPU_SINGLE, 1, 6000);
}

Test(units, on_a_poor_host)
{
    random_units(true, true, CPU_NORMAL, IR_MAX_GUEST_INSNS - 2, 3000);
}

// --- Limits ---

static void many_values(struct ir *ir, unsigned n)
{
    ir_ref value[160], sum = ir_const(ir, IR_I64, 0);
    ir->pc = SIDE_BASE;
    ir_guest(ir, ir->pc, 4);
    for (unsigned i = 0; i < n; i++)
        value[i] = ir_bini(ir, IR_MUL, ir_get(ir, SIDE_L), 2 * i + 3);
    ir_call(ir, side_calls[SIDE_CALL_EFFECT].fn, "effect", 0, IR_VOID, 0, 0, 0, 0);
    for (unsigned i = 0; i < n; i++)
        sum = ir_bin(ir, IR_XOR, ir_bini(ir, IR_ROTL, sum, 1), value[i]);
    ir_set(ir, SIDE_L, sum);
    ir_exit(ir, ir->pc + 4);
}

// A host may have room for fewer values than a unit has; then it says so.
Test(units, with_more_and_more_values)
{
    struct bench b;
    struct ir *ir = g_new(struct ir, 1), *out = g_new(struct ir, 1);
    struct gen *g = g_new(struct gen, 1);
    bench_init(&b, true);
    for (unsigned n = 1; n < 160; n++) {
        ir_reset(ir, side_vars(true), SIDE_NR_VARS);
        gen_start(g, ir, true, n);
        gen_state(g, &b.st);
        many_values(ir, n);
        check_unit(&b, "many values", ir);
        optimized(ir, true, out);
        if (n < 100 && b.native)
            cr_assert(side_compile(b.native, out, CPU_NORMAL) != NULL);
    }
    bench_free(&b);
    g_free(g);
    g_free(out);
    g_free(ir);
}
