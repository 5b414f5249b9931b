// SPDX-License-Identifier: MIT
//
// The IR without any host: its text form, the verifier, the builder, constant folding, and the
// passes, text in and text out.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "base/softfloat.h"
#include "translator/ir.h"

enum { A, B, C, W, X, S, D, NR_VARS };

static const struct ir_var vars[NR_VARS] = {
    [A] = {"a", IR_I64, 0},  [B] = {"b", IR_I64, 8},  [C] = {"c", IR_I64, 16},
    [W] = {"w", IR_I32, 24}, [X] = {"x", IR_I32, 28}, [S] = {"s", IR_F32, 32},
    [D] = {"d", IR_F64, 40},
};

static uint64_t nothing(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)cpu, (void)a, (void)b, (void)c, (void)d;
    return 0;
}

static const struct ir_call calls[] = {
    {nothing, "pure", CALL_PURE},
    {nothing, "effect", 0},
    {nothing, "fault", CALL_FAULT},
    {nothing, "muddle", CALL_PURE | CALL_FAULT},
};

static struct ir *new_ir(void)
{
    struct ir *ir = g_new0(struct ir, 1);
    ir_reset(ir, vars, NR_VARS);
    return ir;
}

static struct ir *parse(const char *text)
{
    struct ir *ir = new_ir();
    GError *error = NULL;
    bool ok = ir_parse_calls(ir, text, calls, G_N_ELEMENTS(calls), &error);
    cr_assert(ok, "%s", error ? error->message : "");
    return ir;
}

static char *print(const struct ir *ir)
{
    GString *s = g_string_new(NULL);
    ir_print(ir, s);
    return g_string_free(s, FALSE);
}

// What ir_print makes of a text that was written with less care for blanks.
static char *normal(const char *text)
{
    struct ir *ir = parse(text);
    char *s = print(ir);
    g_free(ir);
    return s;
}

static void expect_text(const struct ir *ir, const char *expected)
{
    char *got = print(ir), *want = normal(expected);
    cr_assert(strcmp(got, want) == 0, "got\n%swant\n%s", got, want);
    g_free(got);
    g_free(want);
}

static void expect_valid(const struct ir *ir)
{
    char *wrong = ir_verify(ir), *text = print(ir);
    cr_assert(wrong == NULL, "%s in\n%s", wrong, text);
    g_free(text);
}

typedef void pass(struct ir *ir);

static void expect_pass(pass *p, const char *before, const char *after)
{
    struct ir *ir = parse(before);
    expect_valid(ir);
    p(ir);
    expect_valid(ir);
    expect_text(ir, after);
    g_free(ir);
}

// --- Text ---

static const char every_form[] = "  insn 0x80000000 4\n"
                                 "      %2 = get.i64 a\n"
                                 "      %3 = get.i64 b, carried\n"
                                 "      %4 = get.i32 w\n"
                                 "      %5 = get.f32 s\n"
                                 "      %6 = get.f64 d\n"
                                 "      %7 = const.i64 0xfedcba9876543210\n"
                                 "      %8 = const.i32 0xfedcba98\n"
                                 "      %9 = const.f32 0x3f800000\n"
                                 "      %10 = const.f64 0x3ff0000000000000\n"
                                 "      %11 = add.i64 %2, %3\n"
                                 "      %12 = sub.i32 %4, %8\n"
                                 "      %13 = mul.i64 %2, %3\n"
                                 "      %14 = mulhs.i64 %2, %3\n"
                                 "      %15 = mulhu.i64 %2, %3\n"
                                 "      %16 = divs.i64 %2, %3\n"
                                 "      %17 = divu.i64 %2, %3\n"
                                 "      %18 = rems.i64 %2, %3\n"
                                 "      %19 = remu.i64 %2, %3\n"
                                 "      %20 = and.i64 %2, %3\n"
                                 "      %21 = or.i64 %2, %3\n"
                                 "      %22 = xor.i64 %2, %3\n"
                                 "      %23 = andn.i64 %2, %3\n"
                                 "      %24 = shl.i64 %2, %4\n"
                                 "      %25 = shr.i32 %4, %2\n"
                                 "      %26 = sar.i64 %2, %3\n"
                                 "      %27 = rotl.i64 %2, %3\n"
                                 "      %28 = rotr.i64 %2, %3\n"
                                 "      %29 = not.i64 %2\n"
                                 "      %30 = neg.i64 %2\n"
                                 "      %31 = clz.i64 %2\n"
                                 "      %32 = ctz.i64 %2\n"
                                 "      %33 = popcnt.i64 %2\n"
                                 "      %34 = bswap.i64 %2\n"
                                 "      %35 = sext.i64 8 %4\n"
                                 "      %36 = zext.i32 16 %2\n"
                                 "      %37 = trunc.i32 %2\n"
                                 "      %38 = clmul.i64 %2, %3\n"
                                 "      %39 = clmulh.i64 %2, %3\n"
                                 "      %40 = setc.i32 ltu %2, %3\n"
                                 "      %41 = sel.i32 gtu %2, %3, %4, %8\n"
                                 "      %42 = chk.i64 r %2, +0 8\n"
                                 "      %43 = ld.i64 64 %2, %42, +0\n"
                                 "      %44 = chk.i64 wa %4, -16 4\n"
                                 "      %45 = ld.i32 32wab %4, %44, -16\n"
                                 "      %46 = chk.i64 was %2, +8 8\n"
                                 "      %47 = ld.i64 16s %2, %46, +8\n"
                                 "      st.i32 8 %2, %46, %4, +15\n"
                                 "      st.f64 64 %2, %46, %6, +8\n"
                                 "      %50 = bitcast.f64 %2\n"
                                 "      %51 = box.f64 %5\n"
                                 "      %52 = unbox.f32 %6\n"
                                 "      %53 = fadd.f64 %6, %10, rm 0\n"
                                 "      %54 = fsub.f32 %5, %9, rm 1\n"
                                 "      %55 = fmul.f64 %6, %10, rm 2\n"
                                 "      %56 = fdiv.f64 %6, %10, rm 3\n"
                                 "      %57 = fsqrt.f64 %6, rm 4\n"
                                 "      %58 = fma.f64 3 %6, %10, %6, rm 0\n"
                                 "      %59 = fcmp.i32 leq %6, %10, rm 0\n"
                                 "      %60 = fcanon.f64 %53\n"
                                 "      %61 = fcvt.f32 %6, rm 0\n"
                                 "      %62 = itof.f32 1 %2, rm 0\n"
                                 "      %63 = ftoi.i64 0 %5, rm 1\n"
                                 "      %64 = fround.f64 2 %6, rm 0\n"
                                 "      %70 = call.i64 pure %2, -, %3\n"
                                 "      call effect\n"
                                 "      call effect, 0x7\n"
                                 "      call fault -, -, -, %2\n"
                                 "      %74 = call.f64 fault %6, %2, %3, 0x7\n"
                                 "      set a, %11\n"
                                 "      set d, %60\n"
                                 "      br ne %2, %3 -> 0x80001000 after 1\n"
                                 "  insn 0x80000004 2\n"
                                 "      guard 2 %2, %7 -> 0x0 after 2\n"
                                 "      br geu %4, %8 -> 0x80001004 after 2\n";

static const char *const every_end[] = {
    "      exit -> 0x80000006 after 2\n",    "      jmp 2 %11 -> 0x0 after 2\n",
    "      leave 1 -> 0x80000006 after 2\n", "      leave 3 -> 0x80000004 after 1\n",
    "      raise %4, 0x8000000f\n",
};

static bool mentions(const char *text, const char *op)
{
    char *pattern = g_strdup_printf("(?m)(^|= ) *%s\\b", op);
    bool found = g_regex_match_simple(pattern, text, G_REGEX_MULTILINE, 0);
    g_free(pattern);
    return found;
}

Test(text, round_trip)
{
    GString *all = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(every_end); i++) {
        char *text = g_strconcat(every_form, every_end[i], NULL);
        struct ir *ir = parse(text);
        expect_valid(ir);
        char *again = print(ir);
        cr_assert(eq(str, again, text));
        g_string_append(all, text);
        g_free(again);
        g_free(text);
        g_free(ir);
    }
    for (unsigned op = IR_NOP + 1; op < IR_NR_OPS; op++)
        cr_expect(mentions(all->str, ir_op_info[op].name), "%s is not in the text",
                  ir_op_info[op].name);
    g_string_free(all, TRUE);
}

Test(text, what_follows_is_filled_in)
{
    struct ir *ir = parse("insn 0x1000 4\n"
                          "%5 = get.f64 d\n"
                          "%6 = fadd.f64 %5, %5, rm 0\n"
                          "\n"
                          "insn 0x1004 2\n"
                          "exit -> 0x1006 after 2\n");
    cr_assert(eq(u64, ir->pc, 0x1000));
    cr_assert(eq(u64, ir->end_pc, 0x1006));
    cr_assert(eq(u32, ir->nr_guest, 2));
    cr_assert(eq(u32, ir->guest_at, 7));
    cr_assert(ir->uses_fp);
    cr_assert(eq(u32, ir->insn[3].op, IR_NOP));
    cr_assert(eq(u32, ir->exit[0].at, 8));
    cr_assert(eq(u32, ir->insn[7].aux, 1));
    g_free(ir);
}

Test(text, errors_name_the_line)
{
    static const char *const bad[][2] = {
        {"frob %1", "frob %1: no such operation"},
        {"%1 = get.i64 nowhere", "no such variable"},
        {"%1 = get.i64", "no such variable"},
        {"%1 = get.i65 a", "no such type"},
        {"%1 = get a", "the type is missing"},
        {"get.i64 a", "its result has no number"},
        {"%1 = exit -> 0x0 after 0", "it has no result"},
        {"%1 get.i64 a", "a result is followed by ="},
        {"%0 = get.i64 a", "its number is out of order"},
        {"%9999 = get.i64 a", "its number is out of order"},
        {"%x = get.i64 a", "a number is expected"},
        {"%1 = add.i64 %2", "an operand is missing"},
        {"%1 = add.i64 2, 3", "an operand is expected"},
        {"%1 = add.i64 %2, %99999", "a reference is too large"},
        {"%1 = const.i64", "a number is expected"},
        {"%1 = setc.i64 below %2, %3", "no such condition"},
        {"%1 = ld.i64 24 %2, %3, +0", "an access is of 8, 16, 32 or 64 bits"},
        {"%1 = ld.i64 64 %2, %3", "the last operand is missing"},
        {"%1 = ld.i64 64 %2, %3, x", "an offset is expected"},
        {"%1 = chk.i64 x %2, +0 8", "a check is of r or w"},
        {"%1 = fadd.f64 %2, %3", "the rounding mode is missing"},
        {"br eq %1, %2", "the exit is missing"},
        {"exit -> 0x0", "the number of instructions is missing"},
        {"set a %1", "the value is missing"},
        {"call missing", "no such function"},
        {"call.i64 pure", "no such function"},
        {"%1 = call pure", "the type is missing"},
        {"call pure %1, x", "something follows"},
        {"exit -> 0x0 after 0 too", "something follows"},
        {"insn 0x0 4 5", "something follows"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct ir *ir = new_ir();
        GError *error = NULL;
        char *text = g_strconcat("\n\n ", bad[i][0], NULL);
        bool ok = ir_parse_calls(ir, text, calls, G_N_ELEMENTS(calls), &error);
        cr_assert(ok == false, "%s", bad[i][0]);
        cr_assert(error != NULL);
        // Not within the macro, which newer versions of Criterion paste its first word into.
        bool names_line = g_str_has_prefix(error->message, "line 3 of the IR: ");
        cr_expect(names_line && strstr(error->message, bad[i][1]), "%s", error->message);
        g_error_free(error);
        g_free(text);
        g_free(ir);
    }
}

Test(text, units_are_bounded)
{
    static const struct {
        const char *line, *message;
        unsigned fit;
    } limits[] = {
        {"%%%u = get.i64 a\n", "out of order", IR_MAX_INSNS - 1},
        {"set a, %%1\n", "too many instructions", IR_MAX_INSNS - 1},
        {"call effect\n", "too many calls", IR_MAX_CALLS},
        {"br eq %%1, %%1 -> 0x0 after 0\n", "too many exits", IR_MAX_EXITS},
        {"insn 0x0 1\n", "too many guest instructions", 256},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        struct ir *ir = new_ir();
        GString *text = g_string_new(NULL);
        for (unsigned n = 1; n <= limits[i].fit; n++)
            g_string_append_printf(text, limits[i].line, n);
        GError *error = NULL;
        cr_expect(ir_parse_calls(ir, text->str, calls, G_N_ELEMENTS(calls), &error));
        ir_reset(ir, vars, NR_VARS);
        g_string_append_printf(text, limits[i].line, limits[i].fit + 1);
        cr_assert(ir_parse_calls(ir, text->str, calls, G_N_ELEMENTS(calls), &error) == false);
        cr_expect(strstr(error->message, limits[i].message) != NULL, "%s", error->message);
        g_error_free(error);
        g_string_free(text, TRUE);
        g_free(ir);
    }
}

// --- The verifier ---

#define HEAD "insn 0x0 4\n %2 = get.i64 a\n %3 = get.i32 w\n %4 = get.f32 s\n %5 = get.f64 d\n"
#define TAIL "\n exit -> 0x4 after 1\n"

static void expect_wrong(const struct ir *ir, const char *message)
{
    char *wrong = ir_verify(ir);
    cr_expect(wrong && strstr(wrong, message), "got %s, want %s", wrong ? wrong : "nothing",
              message);
    g_free(wrong);
}

Test(verify, what_text_can_say)
{
    static const char *const bad[][2] = {
        {"%6 = add.f64 %5, %5", "%6 add: type of the result"},
        {"%6 = fadd.i64 %2, %2, rm 0", "%6 fadd: type of the result"},
        {"%6 = trunc.i64 %2", "%6 trunc: type of the result"},
        {"%6 = const.void 0x0", "%6 const: type of the result"},
        {"%6 = chk.i32 r %2, +0 8", "type of the result"},
        {"%6 = add.i64 %2, %3", "%6 add: type of an operand"},
        {"%6 = add.i32 %2, %2", "type of an operand"},
        {"%6 = fadd.f64 %4, %4, rm 0", "type of an operand"},
        {"%6 = shl.i64 %2, %5", "type of an operand"},
        {"%6 = setc.i64 eq %2, %3", "type of an operand"},
        {"%6 = setc.i64 eq %5, %5", "type of an operand"},
        {"%6 = sel.i64 eq %3, %3, %2, %3", "type of an operand"},
        {"%6 = box.f64 %5", "type of an operand"},
        {"%6 = unbox.f32 %4", "type of an operand"},
        {"%6 = trunc.i32 %3", "type of an operand"},
        {"%6 = chk.i64 r %5, +0 8", "type of an operand"},
        {"%6 = ftoi.i64 0 %2, rm 0", "type of an operand"},
        {"%6 = add.i64 %2, %6", "%6 add: operand is not defined before"},
        {"%6 = add.i64 %2, %9", "operand is not defined before"},
        {"%6 = add.i64 %2, %0", "operand is missing"},
        {"%6 = add.i64 %2, %1", "operand has no value"},
        {"%6 = bitcast.i64 %1", "operand has no value"},
        {"call fault\n %7 = bitcast.i64 %6", "operand has no value"},
        {"%6 = fadd.f64 %5, %5, rm 5", "rounding mode"},
        {"%6 = sext.i64 24 %2", "extends 8, 16 or 32 bits"},
        {"%6 = zext.i64 0 %2", "extends 8, 16 or 32 bits"},
        {"%6 = bitcast.i64 %4", "is between an integer and a float of equal width"},
        {"%6 = bitcast.f64 %5", "is between an integer and a float of equal width"},
        {"%6 = bitcast.i32 %3", "is between an integer and a float of equal width"},
        {"%6 = fcvt.f64 %5, rm 0", "is between different types"},
        {"%6 = fcmp.i64 eq %4, %5, rm 0", "compares different types"},
        {"%6 = fcanon.f64 %5", "is of the result of a floating-point operation"},
        {"%6 = chk.i64 r %2, +2147483648 8\n %7 = ld.i64 64 %2, %6, +2147483648",
         "offsets are of 32 bits"},
        {"%6 = chk.i64 r %2, -2147483649 8", "offsets are of 32 bits"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 32s %2, %6, +9223372036854775807",
         "offsets are of 32 bits"},
        {"%6 = chk.i64 rs %2, +0 8\n %7 = ld.i64 64b %2, %6, +0",
         "an access of the other byte order shares its check"},
        {"%6 = chk.i64 r %2, +0 0", "number of bytes"},
        {"%6 = chk.i64 r %2, +0 4097", "number of bytes"},
        {"%6 = chk.i64 ra %2, +0 12", "number of bytes"},
        {"%6 = ld.i64 64 %2, %2, +0", "second operand is not a check"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = get.i64 b\n %8 = ld.i64 64 %7, %6, +0",
         "the check is of another address"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64 %2, %6, +1",
         "the check does not cover the access"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 8 %2, %6, -1",
         "the check does not cover the access"},
        {"%6 = chk.i64 r %2, +0 8\n st.i64 64 %2, %6, %2, +0", "the check is for reading"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64w %2, %6, +0", "the check is for reading"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64a %2, %6, +0",
         "the check is not of its alignment"},
        {"%6 = chk.i64 ra %2, +0 8\n %7 = ld.i64 32a %2, %6, +0",
         "the check is not of its alignment"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64 %2, %6, +0\n %8 = ld.i64 64 %2, %6, +0",
         "%8 ld: the check is another access's"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.f64 32 %2, %6, +0", "size of a float"},
        {"%6 = chk.i64 r %2, +0 8\n %7 = ld.i32 64 %2, %6, +0", "wider than its type"},
        {"%6 = call.i64 muddle", "a pure call has no effects"},
        {"%6 = call.i64 pure %2, %2, %2, %2, 0x1", "the last argument is given twice"},
        {"set a, %3", "%6 set: type of the variable"},
        {"set a, %2\n call fault", "may fault behind a set of its guest instruction"},
        {"set a, %2\n %7 = chk.i64 r %2, +0 8", "may fault behind a set of its guest instruction"},
        {"br eq %2, %2 -> 0x8 after 2", "its exit is of another place"},
        {"exit -> 0x0 after 1", "the unit goes on behind its end"},
        {"raise %2, 0x1", "the unit goes on behind its end"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        char *text = g_strconcat(HEAD, bad[i][0], TAIL, NULL);
        struct ir *ir = parse(text);
        expect_wrong(ir, bad[i][1]);
        g_free(text);
        g_free(ir);
    }
}

Test(verify, whole_units)
{
    static const char *const bad[][2] = {
        {"", "the unit is empty"},
        {"insn 0x0 4", "the unit does not end"},
        {"insn 0x0 4\n nop", "the unit does not end"},
        {"%1 = get.i64 a\n raise %1, 0x1", "may fault before the first guest instruction"},
        {"call fault\n insn 0x0 4" TAIL, "may fault before the first guest instruction"},
        {"insn 0x0 4\n %2 = get.i64 a\n set a, %2\n raise %2, 0x1", "may fault behind a set"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct ir *ir = parse(bad[i][0]);
        expect_wrong(ir, bad[i][1]);
        g_free(ir);
    }
}

// A later guest instruction may fault again; other sets were of the one before.
Test(verify, sets_are_of_their_guest_instruction)
{
    struct ir *ir =
        parse("insn 0x0 4\n %2 = get.i64 a\n call fault\n set a, %2\n insn 0x4 4\n call fault\n"
              "set a, %2\n exit -> 0x8 after 2");
    expect_valid(ir);
    g_free(ir);
}

static const char valid[] =
    HEAD "%6 = setc.i64 eq %2, %2\n %7 = fcmp.i64 eq %5, %5, rm 0\n call effect\n"
         "set a, %6\n br eq %2, %2 -> 0x8 after 1\n exit -> 0x4 after 1";

static void break_insn0(struct ir *ir)
{
    ir->insn[0].op = IR_CONST;
}

static void break_cond(struct ir *ir)
{
    ir->insn[6].aux = IR_NR_CONDS;
}

static void break_fcond(struct ir *ir)
{
    ir->insn[7].aux = IR_NR_FCONDS;
}

static void break_call(struct ir *ir)
{
    ir->nr_calls = 0;
}

static void break_set(struct ir *ir)
{
    ir->insn[9].x = NR_VARS;
}

static void break_get(struct ir *ir)
{
    ir->insn[2].x = NR_VARS;
}

static void break_get_type(struct ir *ir)
{
    ir->insn[2].x = W;
}

static void break_exit(struct ir *ir)
{
    ir->nr_exits = 1;
}

static void break_exit_at(struct ir *ir)
{
    ir->exit[0].at = 9;
}

static void break_number(struct ir *ir)
{
    ir->insn[1].aux = 1;
}

static void break_count(struct ir *ir)
{
    ir->nr_guest = 2;
}

Test(verify, what_text_cannot_say)
{
    static const struct {
        void (*break_it)(struct ir *ir);
        const char *message;
    } bad[] = {
        {break_insn0, "the unit is empty"},
        {break_cond, "%6 setc: condition"},
        {break_fcond, "%7 fcmp: condition"},
        {break_call, "no such call"},
        {break_set, "no such variable"},
        {break_get, "%2 get: variable or its type"},
        {break_get_type, "%2 get: variable or its type"},
        {break_exit, "no such exit"},
        {break_exit_at, "its exit is of another place"},
        {break_number, "number of the guest instruction"},
        {break_count, "guest instructions are missing"},
    };
    struct ir *ir = parse(valid);
    expect_valid(ir);
    g_free(ir);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        ir = parse(valid);
        bad[i].break_it(ir);
        expect_wrong(ir, bad[i].message);
        g_free(ir);
    }
}

// --- The builder ---

static void build_integers(struct ir *ir)
{
    ir_guest(ir, 0x1000, 4);
    ir_ref a = ir_get(ir, A), w = ir_get(ir, W);
    ir_ref sum = ir_bini(ir, IR_ADD, w, -1);
    ir_ref ext = ir_sext(ir, IR_I64, 32, sum);
    ir_ref both = ir_bin(ir, IR_AND, a, ext);
    ir_ref less = ir_setc(ir, IR_I32, IR_LT, a, both);
    ir_ref one = ir_sel(ir, IR_GEU, w, less, a, both);
    ir_ref part = ir_zext(ir, IR_I64, 8, ir_un(ir, IR_NOT, ir_trunc(ir, one)));
    ir_set(ir, A, part);
    ir_br(ir, IR_NE, w, less, 0x2000);
    ir_guest(ir, 0x1004, 2);
    ir_jmp(ir, IR_JUMP_RETURN, part);
}

Test(builder, integers)
{
    struct ir *ir = new_ir();
    build_integers(ir);
    expect_valid(ir);
    expect_text(ir, "insn 0x1000 4\n"
                    "%2 = get.i64 a\n"
                    "%3 = get.i32 w\n"
                    "%4 = const.i32 0xffffffff\n"
                    "%5 = add.i32 %3, %4\n"
                    "%6 = sext.i64 32 %5\n"
                    "%7 = and.i64 %2, %6\n"
                    "%8 = setc.i32 lt %2, %7\n"
                    "%9 = sel.i64 geu %3, %8, %2, %7\n"
                    "%10 = trunc.i32 %9\n"
                    "%11 = not.i32 %10\n"
                    "%12 = zext.i64 8 %11\n"
                    "set a, %12\n"
                    "br ne %3, %8 -> 0x2000 after 1\n"
                    "insn 0x1004 2\n"
                    "jmp 2 %12 -> 0x0 after 2\n");
    cr_assert(eq(u64, ir->end_pc, 0x1006));
    cr_assert(eq(u32, ir->guest_at, 15));
    cr_assert(ir->uses_fp == false);
    g_free(ir);
}

static void build_memory(struct ir *ir)
{
    ir_guest(ir, 0, 4);
    ir_ref a = ir_get(ir, A), w = ir_get(ir, W), s = ir_get(ir, S);
    ir_ref v = ir_ld(ir, IR_I64, MO_16 | MO_SIGN, a, -8);
    ir_st(ir, MO_8 | MO_BSWAP, w, 3, v);
    ir_ld(ir, IR_I32, MO_32 | MO_RMW | MO_ALIGN, a, 0);
    ir_st(ir, MO_32, a, 4, s);
    ir_call(ir, nothing, "fault", CALL_FAULT, IR_VOID, a, 0, w, 0);
    ir_raise(ir, 7, w);
}

Test(builder, memory)
{
    struct ir *ir = new_ir();
    build_memory(ir);
    expect_valid(ir);
    expect_text(ir, "insn 0x0 4\n"
                    "%2 = get.i64 a\n"
                    "%3 = get.i32 w\n"
                    "%4 = get.f32 s\n"
                    "%5 = chk.i64 r %2, -8 2\n"
                    "%6 = ld.i64 16s %2, %5, -8\n"
                    "%7 = chk.i64 w %3, +3 1\n"
                    "st.i64 8b %3, %7, %6, +3\n"
                    "%9 = chk.i64 wa %2, +0 4\n"
                    "%10 = ld.i32 32wa %2, %9, +0\n"
                    "%11 = chk.i64 w %2, +4 4\n"
                    "st.f32 32 %2, %11, %4, +4\n"
                    "call fault %2, -, %3\n"
                    "raise %3, 0x7\n");
    cr_assert(eq(u32, ir->call[0].flags, CALL_FAULT));
    g_free(ir);
}

Test(builder, all_accesses_are_aligned_if_asked)
{
    struct ir *ir = new_ir();
    ir->align_all = true;
    ir_guest(ir, 0, 4);
    ir_ref a = ir_get(ir, A);
    ir_st(ir, MO_32, a, 4, ir_ld(ir, IR_I64, MO_64, a, 0));
    ir_exit(ir, 4);
    expect_text(ir, "insn 0x0 4\n"
                    "%2 = get.i64 a\n"
                    "%3 = chk.i64 ra %2, +0 8\n"
                    "%4 = ld.i64 64a %2, %3, +0\n"
                    "%5 = chk.i64 wa %2, +4 4\n"
                    "st.i64 32a %2, %5, %4, +4\n"
                    "exit -> 0x4 after 1\n");
    g_free(ir);
}

static void build_floats(struct ir *ir)
{
    ir_guest(ir, 0, 4);
    ir_ref d = ir_get(ir, D);
    ir_ref q = ir_fbin(ir, IR_FDIV, FP_RUP, d, ir_const(ir, IR_F64, BIT(62)));
    ir_ref m = ir_fma(ir, IR_FMA_NEG_ADDEND, FP_RMM, q, q, d);
    ir_fcmp(ir, IR_I64, IR_FLTQ, m, d);
    ir_ref i = ir_fun(ir, IR_FTOI, IR_I64, IR_UNSIGNED, FP_RTZ, m);
    ir_set(ir, D, ir_bitcast(ir, IR_F64, i));
    ir_leave(ir, LEAVE_HALT, 4);
}

Test(builder, floats)
{
    struct ir *ir = new_ir();
    build_floats(ir);
    expect_valid(ir);
    expect_text(ir, "insn 0x0 4\n"
                    "%2 = get.f64 d\n"
                    "%3 = const.f64 0x4000000000000000\n"
                    "%4 = fdiv.f64 %2, %3, rm 3\n"
                    "%5 = fma.f64 2 %4, %4, %2, rm 4\n"
                    "%6 = fcmp.i64 ltq %5, %2, rm 0\n"
                    "%7 = ftoi.i64 1 %5, rm 1\n"
                    "%8 = bitcast.f64 %7\n"
                    "set d, %8\n"
                    "leave 1 -> 0x4 after 1\n");
    cr_assert(ir->uses_fp);
    g_free(ir);
}

// A guest instruction that is to be translated again has not been retired.
Test(builder, restart_retires_nothing)
{
    struct ir *ir = new_ir();
    ir_guest(ir, 0, 4);
    ir_guest(ir, 4, 4);
    ir_leave(ir, LEAVE_RESTART, 4);
    expect_valid(ir);
    expect_text(ir, "insn 0x0 4\n insn 0x4 4\n leave 3 -> 0x4 after 1\n");
    g_free(ir);
}

// Registers that hold floats must be kept even if nothing is computed with them.
Test(builder, moving_a_float_is_using_floats)
{
    struct ir *ir = new_ir();
    ir_guest(ir, 0, 4);
    ir_ref a = ir_get(ir, A);
    cr_assert(ir->uses_fp == false);
    ir_ld(ir, IR_F64, MO_64, a, 0);
    cr_assert(ir->uses_fp);
    g_free(ir);
}

Test(builder, constants_are_of_their_width)
{
    struct ir *ir = new_ir();
    cr_assert(eq(u64, ir->insn[ir_const(ir, IR_I32, UINT64_MAX)].imm, UINT32_MAX));
    cr_assert(eq(u64, ir->insn[ir_const(ir, IR_F32, UINT64_MAX)].imm, UINT32_MAX));
    cr_assert(eq(u64, ir->insn[ir_const(ir, IR_I64, UINT64_MAX)].imm, UINT64_MAX));
    g_free(ir);
}

// --- Constant folding ---

struct fold {
    enum ir_opcode op;
    unsigned aux;
    uint64_t a, b;
    uint64_t r32, r64; // results as i32 and i64; operands of the i32 are the low halves
};

#define M32    UINT64_C(0x80000000)
#define M64    UINT64_C(0x8000000000000000)
#define ONES   UINT64_MAX
#define ONES32 UINT64_C(0xffffffff)

static const struct fold folds[] = {
    {IR_ADD, 0, ONES, 1, 0, 0},
    {IR_ADD, 0, ONES32, 1, 0, 0x100000000},
    {IR_SUB, 0, 0, 1, ONES32, ONES},
    {IR_SUB, 0, M32, 1, 0x7fffffff, 0x7fffffff},
    {IR_MUL, 0, 0x10001, 0x10001, 0x20001, 0x100020001},
    {IR_MUL, 0, ONES, ONES, 1, 1},
    {IR_MULHS, 0, ONES, ONES, 0, 0},
    {IR_MULHS, 0, ONES, 1, ONES32, ONES},
    {IR_MULHS, 0, M64 | M32, M64 | M32, 0x40000000, 0x3fffffff80000000},
    {IR_MULHU, 0, ONES, ONES, 0xfffffffe, 0xfffffffffffffffe},
    {IR_MULHU, 0, M64 | M32, 2, 1, 1},
    {IR_DIVS, 0, 7, -UINT64_C(2), 0xfffffffd, -UINT64_C(3)},
    {IR_DIVS, 0, -UINT64_C(7), 2, 0xfffffffd, -UINT64_C(3)},
    {IR_DIVS, 0, 5, 0, ONES32, ONES},
    {IR_DIVS, 0, M32, ONES, M32, -M32},
    {IR_DIVS, 0, M64, ONES, 0, M64},
    {IR_DIVU, 0, ONES, 2, 0x7fffffff, 0x7fffffffffffffff},
    {IR_DIVU, 0, 5, 0, ONES32, ONES},
    {IR_DIVU, 0, M64, ONES, 0, 0},
    {IR_REMS, 0, -UINT64_C(7), 2, ONES32, ONES},
    {IR_REMS, 0, 7, -UINT64_C(2), 1, 1},
    {IR_REMS, 0, 5, 0, 5, 5},
    {IR_REMS, 0, M32, ONES, 0, 0},
    {IR_REMS, 0, M64, ONES, 0, 0},
    {IR_REMU, 0, ONES, 10, 5, 5},
    {IR_REMU, 0, 5, 0, 5, 5},
    {IR_AND, 0, 0xff00ff00ff00, 0xf0f0f0f0f0f0, 0xf000f000, 0xf000f000f000},
    {IR_OR, 0, 0xff00ff00ff00, 0xf0f0f0f0f0f0, 0xfff0fff0, 0xfff0fff0fff0},
    {IR_XOR, 0, 0xff00ff00ff00, 0xf0f0f0f0f0f0, 0x0ff00ff0, 0x0ff00ff00ff0},
    {IR_ANDN, 0, 0xff00ff00ff00, 0xf0f0f0f0f0f0, 0x0f000f00, 0x0f000f000f00},
    {IR_SHL, 0, 0x180000001, 1, 2, 0x300000002},
    {IR_SHL, 0, 1, 32, 1, 0x100000000},
    {IR_SHL, 0, 1, 63, M32, M64},
    {IR_SHL, 0, 1, 64, 1, 1},
    {IR_SHL, 0, 1, ONES, M32, M64},
    {IR_SHR, 0, M64 | M32, 31, 1, 0x100000001},
    {IR_SHR, 0, M64 | M32, 63, 1, 1},
    {IR_SHR, 0, 3, 65, 1, 1},
    {IR_SAR, 0, M64 | M32, 31, ONES32, 0xffffffff00000001},
    {IR_SAR, 0, M64, 63, 0, ONES},
    {IR_SAR, 0, M32, 4, 0xf8000000, 0x08000000},
    {IR_ROTL, 0, 0x8000000180000001, 1, 3, 0x0000000300000003},
    {IR_ROTL, 0, 0x0123456789abcdef, 0, 0x89abcdef, 0x0123456789abcdef},
    {IR_ROTL, 0, 0x0123456789abcdef, 36, 0x9abcdef8, 0x9abcdef012345678},
    {IR_ROTR, 0, 1, 1, M32, M64},
    {IR_ROTR, 0, 0x0123456789abcdef, 0, 0x89abcdef, 0x0123456789abcdef},
    {IR_ROTR, 0, 0x0123456789abcdef, 68, 0xf89abcde, 0xf0123456789abcde},
    {IR_NOT, 0, 0x00ff00ff, 0, 0xff00ff00, 0xffffffffff00ff00},
    {IR_NEG, 0, 1, 0, ONES32, ONES},
    {IR_NEG, 0, M32, 0, M32, -M32},
    {IR_CLZ, 0, 0, 0, 32, 64},
    {IR_CLZ, 0, 1, 0, 31, 63},
    {IR_CLZ, 0, M32, 0, 0, 32},
    {IR_CTZ, 0, 0, 0, 32, 64},
    {IR_CTZ, 0, M64, 0, 32, 63},
    {IR_CTZ, 0, 0x180000000, 0, 31, 31},
    {IR_POPCNT, 0, ONES, 0, 32, 64},
    {IR_POPCNT, 0, M64 | M32 | 1, 0, 2, 3},
    {IR_BSWAP, 0, 0x0123456789abcdef, 0, 0xefcdab89, 0xefcdab8967452301},
    {IR_SEXT, 8, 0x180, 0, 0xffffff80, 0xffffffffffffff80},
    {IR_SEXT, 8, 0x17f, 0, 0x7f, 0x7f},
    {IR_SEXT, 16, 0x18000, 0, 0xffff8000, 0xffffffffffff8000},
    {IR_SEXT, 32, 0x180000000, 0, M32, 0xffffffff80000000},
    {IR_ZEXT, 8, ONES, 0, 0xff, 0xff},
    {IR_ZEXT, 16, ONES, 0, 0xffff, 0xffff},
    {IR_ZEXT, 32, ONES, 0, ONES32, ONES32},
    {IR_CLMUL, 0, 0x3, 0x3, 0x5, 0x5},
    {IR_CLMUL, 0, ONES, 2, 0xfffffffe, 0xfffffffffffffffe},
    {IR_CLMULH, 0, ONES, 2, 1, 1},
    {IR_CLMULH, 0, M64 | M32, M64 | M32, 0x40000000, 0x4000000000000000},
    {IR_SETC, IR_EQ, 0x100000000, 0, 1, 0},
    {IR_SETC, IR_NE, 0x100000000, 0, 0, 1},
    {IR_SETC, IR_LT, M32, 0, 1, 0},
    {IR_SETC, IR_LT, M64, 0, 0, 1},
    {IR_SETC, IR_GE, M32, 0, 0, 1},
    {IR_SETC, IR_LTU, 0, ONES, 1, 1},
    {IR_SETC, IR_LTU, 5, 5, 0, 0},
    {IR_SETC, IR_GEU, 5, 5, 1, 1},
    {IR_SETC, IR_LE, 5, 5, 1, 1},
    {IR_SETC, IR_LE, 1, ONES, 0, 0},
    {IR_SETC, IR_GT, 1, ONES, 1, 1},
    {IR_SETC, IR_GT, 5, 5, 0, 0},
    {IR_SETC, IR_LEU, 1, ONES, 1, 1},
    {IR_SETC, IR_GTU, ONES, 1, 1, 1},
    {IR_SETC, IR_GTU, 5, 5, 0, 0},
};

static uint64_t eval(const struct fold *f, enum ir_type type)
{
    uint64_t mask = type == IR_I32 ? UINT32_MAX : UINT64_MAX, result = 0;
    const uint64_t v[4] = {f->a & mask, f->b & mask};
    const enum ir_type types[4] = {type, type};
    cr_assert(ir_eval(f->op, type, f->aux, v, types, &result));
    return result;
}

Test(fold, table)
{
    bool seen[IR_NR_OPS] = {[IR_TRUNC] = true, [IR_SEL] = true};
    for (unsigned i = 0; i < G_N_ELEMENTS(folds); i++) {
        const struct fold *f = &folds[i];
        seen[f->op] = true;
        cr_expect(eq(u64, eval(f, IR_I32), f->r32), "%s.i32, line %u", ir_op_info[f->op].name, i);
        cr_expect(eq(u64, eval(f, IR_I64), f->r64), "%s.i64, line %u", ir_op_info[f->op].name, i);
    }
    for (unsigned op = IR_ADD; op <= IR_SEL; op++)
        cr_expect(seen[op], "%s is not in the table", ir_op_info[op].name);
}

// The pass gives what ir_eval says, as a constant.
static void expect_folded(const struct fold *f, enum ir_type type)
{
    struct ir *ir = new_ir();
    ir_guest(ir, 0, 4);
    ir_ref a = ir_const(ir, type, f->a), b = ir_const(ir, type, f->b);
    ir_ref r = ir_add(ir, f->op, type, f->aux, a, ir_op_info[f->op].nr_args > 1 ? b : 0);
    ir_set(ir, type == IR_I32 ? W : A, r);
    ir_exit(ir, 4);
    ir_optimize(ir);
    expect_valid(ir);
    const struct ir_insn *set = &ir->insn[r + 1], *value = &ir->insn[set->arg[0]];
    cr_expect(value->op == IR_CONST && value->type == type &&
                  value->imm == (type == IR_I32 ? f->r32 : f->r64),
              "%s.%s", ir_op_info[f->op].name, ir_type_name[type]);
    g_free(ir);
}

Test(fold, pass)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(folds); i++) {
        expect_folded(&folds[i], IR_I32);
        expect_folded(&folds[i], IR_I64);
    }
}

Test(fold, between_widths)
{
    uint64_t r;
    const enum ir_type wide[4] = {IR_I64, IR_I64, IR_I64, IR_I64};
    const enum ir_type narrow[4] = {IR_I32, IR_I32, IR_I64, IR_I64};
    cr_assert(ir_eval(IR_TRUNC, IR_I32, 0, (uint64_t[4]){0x123456789}, wide, &r));
    cr_assert(eq(u64, r, 0x23456789));
    cr_assert(ir_eval(IR_SEXT, IR_I64, 32, (uint64_t[4]){M32}, narrow, &r));
    cr_assert(eq(u64, r, -M32));
    cr_assert(ir_eval(IR_SHL, IR_I64, 0, (uint64_t[4]){1, 40}, narrow, &r));
    cr_assert(eq(u64, r, UINT64_C(1) << 40));
    cr_assert(ir_eval(IR_SEL, IR_I64, IR_LT, (uint64_t[4]){M32, 0, 5, 6}, narrow, &r));
    cr_assert(eq(u64, r, 5));
    cr_assert(ir_eval(IR_SEL, IR_I64, IR_LT, (uint64_t[4]){M32, 0, 5, 6}, wide, &r));
    cr_assert(eq(u64, r, 6));
}

Test(fold, nothing_but_integers)
{
    uint64_t r;
    for (unsigned op = 0; op < IR_NR_OPS; op++)
        if (op < IR_ADD || op > IR_SEL)
            cr_expect(ir_eval(op, IR_I64, 0, (uint64_t[4]){1, 1}, (enum ir_type[4]){IR_I64, IR_I64},
                              &r) == false);
}

// --- From variables to values ---

#define VALUES(before, after)                                                  \
    expect_pass(ir_pass_values, "insn 0x0 4\n" before "exit -> 0x4 after 1\n", \
                "insn 0x0 4\n" after "exit -> 0x4 after 1\n")

Test(values, variables_become_values)
{
    VALUES("%2 = get.i64 a\n %3 = get.i64 b\n %4 = add.i64 %2, %3\n set a, %4\n %6 = get.i64 a\n"
           "%7 = get.i64 b\n %8 = sub.i64 %6, %7\n set b, %8\n",
           "%2 = get.i64 a\n %3 = get.i64 b\n %4 = add.i64 %2, %3\n set a, %4\n"
           "%8 = sub.i64 %4, %3\n set b, %8\n");
}

Test(values, sets_that_change_nothing)
{
    VALUES("%2 = get.i64 a\n set a, %2\n", "%2 = get.i64 a\n");
    VALUES("%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set a, %3\n set b, %3\n",
           "%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n");
    // Back to what it was is a change again; so are two variables that exchange their values.
    VALUES("%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set a, %2\n",
           "%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set a, %2\n");
    VALUES("%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set b, %2\n",
           "%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set b, %2\n");
}

Test(values, a_read_after_an_exchange)
{
    VALUES("%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set b, %2\n %6 = get.i64 a\n %7 = "
           "get.i64 b\n"
           "%8 = sub.i64 %6, %7\n set c, %8\n",
           "%2 = get.i64 a\n %3 = get.i64 b\n set a, %3\n set b, %2\n %8 = sub.i64 %3, %2\n set c, "
           "%8\n");
}

Test(values, equal_computations)
{
    VALUES(
        "%2 = get.i64 a\n %3 = get.i64 b\n %4 = add.i64 %2, %3\n %5 = add.i64 %3, %2\n set a, %4\n"
        "set b, %5\n",
        "%2 = get.i64 a\n %3 = get.i64 b\n %4 = add.i64 %2, %3\n set a, %4\n set b, %4\n");
    // Not commutative; another type, condition or constant.
    const char *same =
        "%2 = get.i64 a\n %3 = get.i64 b\n %4 = sub.i64 %2, %3\n %5 = sub.i64 %3, %2\n"
        "%6 = sext.i64 8 %2\n %7 = sext.i32 8 %2\n %8 = sext.i64 16 %2\n"
        "%9 = setc.i64 lt %2, %3\n %10 = setc.i64 lt %3, %2\n %11 = setc.i32 lt %2, %3\n"
        "%12 = const.i64 0x5\n %13 = const.i32 0x5\n %14 = const.f64 0x5\n"
        "%15 = sel.i64 lt %2, %3, %4, %5\n %16 = sel.i64 lt %2, %3, %5, %4\n";
    char *text = g_strconcat("insn 0x0 4\n", same, "exit -> 0x4 after 1\n", NULL);
    expect_pass(ir_pass_values, text, text);
    g_free(text);
}

// What sets flags or touches memory is never merged, nor are calls.
Test(values, effects_are_not_merged)
{
    const char *same = "%2 = get.f64 d\n %3 = fadd.f64 %2, %2, rm 0\n %4 = fadd.f64 %2, %2, rm 0\n"
                       "%5 = get.i64 a\n %6 = chk.i64 r %5, +0 8\n %7 = ld.i64 64 %5, %6, +0\n"
                       "%8 = chk.i64 r %5, +0 8\n %9 = ld.i64 64 %5, %8, +0\n"
                       "%10 = call.i64 effect %5\n %11 = call.i64 effect %5\n"
                       "%12 = fcmp.i64 eq %2, %2, rm 0\n %13 = fcmp.i64 eq %2, %2, rm 0\n";
    char *text = g_strconcat("insn 0x0 4\n", same, "exit -> 0x4 after 1\n", NULL);
    expect_pass(ir_pass_values, text, text);
    g_free(text);
}

Test(values, constants_fold_and_merge)
{
    VALUES("%2 = const.i64 0x3\n %3 = const.i64 0x4\n %4 = add.i64 %2, %3\n %5 = const.i64 0x7\n"
           "%6 = mul.i64 %4, %5\n set a, %6\n set b, %5\n",
           "%2 = const.i64 0x3\n %3 = const.i64 0x4\n %4 = const.i64 0x7\n %6 = const.i64 0x31\n"
           "set a, %6\n set b, %4\n");
}

Test(values, identities)
{
    static const char *const same[] = {
        "%4 = add.i64 %2, %3",  "%4 = add.i64 %3, %2",
        "%4 = sub.i64 %2, %3",  "%4 = or.i64 %2, %3",
        "%4 = xor.i64 %3, %2",  "%4 = shl.i64 %2, %3",
        "%4 = shr.i64 %2, %3",  "%4 = sar.i64 %2, %3",
        "%4 = rotl.i64 %2, %3", "%4 = rotr.i64 %2, %3",
        "%4 = andn.i64 %2, %3", "%4 = or.i64 %2, %2",
        "%4 = and.i64 %2, %2",  "%4 = sel.i64 lt %2, %3, %2, %2",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(same); i++) {
        char *text = g_strconcat("insn 0x0 4\n %2 = get.i64 a\n %3 = const.i64 0x0\n", same[i],
                                 "\n set b, %4\n exit -> 0x4 after 1", NULL);
        expect_pass(ir_optimize, text,
                    "insn 0x0 4\n %2 = get.i64 a\n set b, %2\n exit -> 0x4 after 1");
        g_free(text);
    }
}

#define SIMPLER(constant, before, after)                                         \
    VALUES("%2 = get.i64 a\n %3 = " constant "\n %4 = " before "\n set b, %4\n", \
           "%2 = get.i64 a\n %3 = " constant "\n %4 = " after "\n set b, %4\n")

Test(values, simpler_operations)
{
    SIMPLER("const.i64 0x0", "sub.i64 %3, %2", "neg.i64 %2");
    SIMPLER("const.i64 0xffffffffffffffff", "xor.i64 %2, %3", "not.i64 %2");
    SIMPLER("const.i64 0xff", "and.i64 %2, %3", "zext.i64 8 %2");
    SIMPLER("const.i64 0xffff", "and.i64 %3, %2", "zext.i64 16 %2");
    SIMPLER("const.i64 0xffffffff", "and.i64 %2, %3", "zext.i64 32 %2");
    SIMPLER("const.i64 0x5", "sub.i64 %2, %2", "const.i64 0x0");
    SIMPLER("const.i64 0x5", "xor.i64 %2, %2", "const.i64 0x0");
    SIMPLER("const.i64 0x5", "andn.i64 %2, %2", "const.i64 0x0");
    // Those that only look like it.
    SIMPLER("const.i64 0xffffffff", "xor.i64 %2, %3", "xor.i64 %2, %3");
    SIMPLER("const.i64 0x1ff", "and.i64 %2, %3", "and.i64 %2, %3");
    SIMPLER("const.i64 0x0", "shl.i64 %3, %2", "shl.i64 %3, %2");
    SIMPLER("const.i64 0x0", "andn.i64 %3, %2", "andn.i64 %3, %2");
    SIMPLER("const.i64 0x40", "shl.i64 %2, %3", "shl.i64 %2, %3");
    SIMPLER("const.i64 0x1", "divu.i64 %3, %2", "divu.i64 %3, %2");
}

// Of i32 the ones are 32.
Test(values, identities_of_i32)
{
    expect_pass(ir_optimize,
                "insn 0x0 4\n %2 = get.i32 w\n %3 = const.i32 0xffffffff\n %4 = and.i32 %2, %3\n"
                "%5 = xor.i32 %4, %3\n set x, %5\n exit -> 0x4 after 1",
                "insn 0x0 4\n %2 = get.i32 w\n %5 = not.i32 %2\n set x, %5\n exit -> 0x4 after 1");
}

#define EXTENSIONS(before, after)                                                                \
    expect_pass(ir_optimize,                                                                     \
                "insn 0x0 4\n %2 = get.i64 a\n %3 = get.i32 w\n" before "exit -> 0x4 after 1\n", \
                "insn 0x0 4\n" after "exit -> 0x4 after 1\n")

Test(values, extensions)
{
    // A 32-bit sum, as a 64-bit guest computes it, of one just computed.
    EXTENSIONS("%4 = trunc.i32 %2\n %5 = add.i32 %4, %4\n %6 = sext.i64 32 %5\n %7 = trunc.i32 %6\n"
               "%8 = add.i32 %7, %4\n %9 = sext.i64 32 %8\n set b, %9\n",
               "%2 = get.i64 a\n %4 = trunc.i32 %2\n %5 = add.i32 %4, %4\n %8 = add.i32 %4, %5\n"
               "%9 = sext.i64 32 %8\n set b, %9\n");
    // The inner one keeps all that the outer one looks at.
    EXTENSIONS("%4 = zext.i64 32 %2\n %5 = sext.i64 16 %4\n set b, %5\n",
               "%2 = get.i64 a\n %5 = sext.i64 16 %2\n set b, %5\n");
    EXTENSIONS("%4 = zext.i64 8 %2\n %5 = trunc.i32 %4\n set w, %5\n",
               "%2 = get.i64 a\n %4 = zext.i64 8 %2\n %5 = trunc.i32 %4\n set w, %5\n");
    EXTENSIONS("%4 = trunc.i32 %2\n %5 = zext.i64 32 %4\n set b, %5\n",
               "%2 = get.i64 a\n %5 = zext.i64 32 %2\n set b, %5\n");
    EXTENSIONS("%4 = sext.i64 32 %3\n %5 = trunc.i32 %4\n set x, %5\n",
               "%3 = get.i32 w\n set x, %3\n");
    EXTENSIONS("%4 = zext.i64 32 %3\n %5 = trunc.i32 %4\n set x, %5\n",
               "%3 = get.i32 w\n set x, %3\n");
    // It does not.
    EXTENSIONS("%4 = zext.i64 8 %2\n %5 = sext.i64 16 %4\n set b, %5\n",
               "%2 = get.i64 a\n %4 = zext.i64 8 %2\n %5 = sext.i64 16 %4\n set b, %5\n");
    EXTENSIONS("%4 = sext.i64 8 %2\n %5 = zext.i64 16 %4\n set b, %5\n",
               "%2 = get.i64 a\n %4 = sext.i64 8 %2\n %5 = zext.i64 16 %4\n set b, %5\n");
    EXTENSIONS("%4 = zext.i64 32 %2\n %5 = sext.i64 32 %4\n set b, %5\n",
               "%2 = get.i64 a\n %5 = sext.i64 32 %2\n set b, %5\n");
}

Test(values, what_is_extended_already)
{
    EXTENSIONS("%4 = sext.i64 16 %2\n %5 = sext.i64 32 %4\n set b, %5\n",
               "%2 = get.i64 a\n %4 = sext.i64 16 %2\n set b, %4\n");
    EXTENSIONS("%4 = zext.i64 16 %2\n %5 = sext.i64 32 %4\n set b, %5\n",
               "%2 = get.i64 a\n %4 = zext.i64 16 %2\n set b, %4\n");
    EXTENSIONS("%4 = setc.i64 lt %2, %2\n %5 = sext.i64 32 %4\n set b, %5\n",
               "%2 = get.i64 a\n %4 = setc.i64 lt %2, %2\n set b, %4\n");
    EXTENSIONS(
        "%4 = chk.i64 r %2, +0 4\n %5 = ld.i64 32s %2, %4, +0\n %6 = sext.i64 32 %5\n set b, %6\n",
        "%2 = get.i64 a\n %4 = chk.i64 r %2, +0 4\n %5 = ld.i64 32s %2, %4, +0\n set b, %5\n");
    EXTENSIONS(
        "%4 = chk.i64 r %2, +0 4\n %5 = ld.i64 32 %2, %4, +0\n %6 = sext.i64 32 %5\n set b, %6\n",
        "%2 = get.i64 a\n %4 = chk.i64 r %2, +0 4\n %5 = ld.i64 32 %2, %4, +0\n"
        "%6 = sext.i64 32 %5\n set b, %6\n");
    EXTENSIONS("%4 = trunc.i32 %2\n %5 = sext.i64 16 %4\n %6 = trunc.i32 %5\n %7 = sext.i64 32 "
               "%6\n set b, %7\n",
               "%2 = get.i64 a\n %5 = sext.i64 16 %2\n set b, %5\n");
}

#define OPTIMIZED(before, after)                                            \
    expect_pass(ir_optimize, "insn 0x0 4\n" before "exit -> 0x4 after 1\n", \
                "insn 0x0 4\n" after "exit -> 0x4 after 1\n")

Test(values, sums_gather_their_constants)
{
    OPTIMIZED(
        "%2 = get.i64 a\n %3 = const.i64 0x10\n %4 = add.i64 %2, %3\n %5 = const.i64 0x20\n"
        "%6 = const.i64 0x30\n %7 = add.i64 %4, %5\n set b, %7\n set c, %6\n",
        "%2 = get.i64 a\n %6 = const.i64 0x30\n %7 = add.i64 %2, %6\n set b, %7\n set c, %6\n");
    // The sum of the constants needs a place: that of an instruction that became another one's
    // value.
    OPTIMIZED(
        "%2 = get.i64 a\n %3 = const.i64 0x10\n %4 = add.i64 %2, %3\n %5 = get.i64 a\n"
        "%6 = const.i64 0x20\n %7 = add.i64 %4, %6\n set b, %7\n set c, %5\n",
        "%2 = get.i64 a\n %5 = const.i64 0x30\n %7 = add.i64 %2, %5\n set b, %7\n set c, %2\n");
    // There is none.
    OPTIMIZED("%2 = get.i64 a\n %3 = const.i64 0x10\n %4 = add.i64 %2, %3\n %5 = const.i64 0x20\n"
              "%6 = add.i64 %4, %5\n set b, %6\n",
              "%2 = get.i64 a\n %3 = const.i64 0x10\n %4 = add.i64 %2, %3\n %5 = const.i64 0x20\n"
              "%6 = add.i64 %4, %5\n set b, %6\n");
    // They cancel out, in 32 bits.
    OPTIMIZED(
        "%2 = get.i32 w\n %3 = const.i32 0xffffffff\n %4 = add.i32 %2, %3\n %5 = const.i32 0x0\n"
        "%6 = const.i32 0x1\n %7 = add.i32 %4, %6\n set x, %7\n",
        "%2 = get.i32 w\n set x, %2\n");
}

Test(values, addresses_gather_their_constants)
{
    OPTIMIZED("%2 = get.i64 a\n %3 = const.i64 0xfffffffffffffff0\n %4 = add.i64 %2, %3\n"
              "%5 = chk.i64 r %4, +8 8\n %6 = ld.i64 64 %4, %5, +8\n set b, %6\n",
              "%2 = get.i64 a\n %5 = chk.i64 r %2, -8 8\n %6 = ld.i64 64 %2, %5, -8\n set b, %6\n");
    // Offsets are of 32 bits.
    OPTIMIZED("%2 = get.i64 a\n %3 = const.i64 0x7fffffff\n %4 = add.i64 %2, %3\n"
              "%5 = chk.i64 r %4, +1 8\n %6 = ld.i64 64 %4, %5, +1\n set b, %6\n",
              "%2 = get.i64 a\n %3 = const.i64 0x7fffffff\n %4 = add.i64 %2, %3\n"
              "%5 = chk.i64 r %4, +1 8\n %6 = ld.i64 64 %4, %5, +1\n set b, %6\n");
    OPTIMIZED(
        "%2 = get.i64 a\n %3 = const.i64 0x7fffffff\n %4 = add.i64 %2, %3\n"
        "%5 = chk.i64 w %4, -1 8\n st.i64 64 %4, %5, %2, -1\n",
        "%2 = get.i64 a\n %5 = chk.i64 w %2, +2147483646 8\n st.i64 64 %2, %5, %2, +2147483646\n");
    // A constant of i32 may be negative.
    OPTIMIZED("%2 = get.i32 w\n %3 = const.i32 0xfffffffc\n %4 = add.i32 %2, %3\n"
              "%5 = chk.i64 r %4, +0 4\n %6 = ld.i32 32 %4, %5, +0\n set x, %6\n",
              "%2 = get.i32 w\n %5 = chk.i64 r %2, -4 4\n %6 = ld.i32 32 %2, %5, -4\n set x, %6\n");
}

Test(values, conditions_are_used_directly)
{
    expect_pass(
        ir_optimize,
        "insn 0x0 4\n %2 = get.i64 a\n %3 = get.i64 b\n %4 = setc.i64 ltu %2, %3\n"
        "%5 = const.i64 0x0\n br ne %4, %5 -> 0x8 after 1\n br eq %4, %5 -> 0xc after 1\n"
        "br eq %5, %4 -> 0x10 after 1\n exit -> 0x4 after 1\n",
        "insn 0x0 4\n %2 = get.i64 a\n %3 = get.i64 b\n br ltu %2, %3 -> 0x8 after 1\n"
        "br geu %2, %3 -> 0xc after 1\n br geu %2, %3 -> 0x10 after 1\n exit -> 0x4 after 1\n");
    OPTIMIZED(
        "%2 = get.i32 w\n %3 = const.i32 0x5\n %4 = setc.i64 gt %2, %3\n %5 = const.i64 0x0\n"
        "%6 = get.i64 a\n %7 = sel.i64 eq %4, %5, %6, %5\n set b, %7\n %9 = setc.i64 eq %4, %5\n"
        "set a, %9\n",
        "%2 = get.i32 w\n %3 = const.i32 0x5\n %5 = const.i64 0x0\n %6 = get.i64 a\n"
        "%7 = sel.i64 le %2, %3, %6, %5\n set b, %7\n %9 = setc.i64 le %2, %3\n set a, %9\n");
    // Compared with something else, or otherwise.
    OPTIMIZED("%2 = get.i64 a\n %3 = get.i64 b\n %4 = setc.i64 ltu %2, %3\n %5 = const.i64 0x1\n"
              "%6 = const.i64 0x0\n %7 = setc.i64 eq %4, %5\n set a, %7\n %9 = setc.i64 ge %4, "
              "%6\n set b, %9\n",
              "%2 = get.i64 a\n %3 = get.i64 b\n %4 = setc.i64 ltu %2, %3\n %5 = const.i64 0x1\n"
              "%6 = const.i64 0x0\n %7 = setc.i64 eq %4, %5\n set a, %7\n %9 = setc.i64 ge %4, %6\n"
              "set b, %9\n");
}

Test(values, constants_go_second)
{
    static const char *const exchanged[IR_NR_CONDS] = {"eq",  "ne", "gt", "le",  "gtu",
                                                       "leu", "ge", "lt", "geu", "ltu"};
    for (unsigned c = 0; c < IR_NR_CONDS; c++) {
        const char *form =
            "insn 0x0 4\n %%2 = get.i64 a\n %%3 = const.i64 0x5\n %%4 = sel.i64 %s %s, %%3, %%2\n"
            "set b, %%4\n exit -> 0x4 after 1\n";
        char *before = g_strdup_printf(form, ir_cond_name[c], "%3, %2");
        char *after = g_strdup_printf(form, exchanged[c], "%2, %3");
        expect_pass(ir_pass_values, before, after);
        g_free(before);
        g_free(after);
    }
}

Test(values, boxes)
{
    OPTIMIZED("%2 = get.f32 s\n %3 = box.f64 %2\n %4 = unbox.f32 %3\n %5 = fsqrt.f32 %4, rm 0\n"
              "%6 = fcanon.f32 %5\n %7 = fcanon.f32 %6\n set s, %7\n set d, %3\n",
              "%2 = get.f32 s\n %3 = box.f64 %2\n %5 = fsqrt.f32 %2, rm 0\n %6 = fcanon.f32 %5\n"
              "set s, %6\n set d, %3\n");
    OPTIMIZED(
        "%2 = get.f64 d\n %3 = bitcast.i64 %2\n %4 = bitcast.f64 %3\n set d, %4\n set a, %3\n",
        "%2 = get.f64 d\n %3 = bitcast.i64 %2\n set a, %3\n");
    // Unboxing looks at the upper half.
    OPTIMIZED("%2 = get.f64 d\n %3 = unbox.f32 %2\n %4 = box.f64 %3\n set d, %4\n",
              "%2 = get.f64 d\n %3 = unbox.f32 %2\n %4 = box.f64 %3\n set d, %4\n");
}

// --- Shared checks ---

#define CHECKS(before, after)                                                                    \
    expect_pass(ir_pass_checks,                                                                  \
                "insn 0x0 4\n %2 = get.i64 a\n %3 = get.i64 b\n" before "exit -> 0x4 after 1\n", \
                "insn 0x0 4\n %2 = get.i64 a\n %3 = get.i64 b\n" after "exit -> 0x4 after 1\n")

Test(checks, accesses_off_one_base)
{
    CHECKS("%4 = chk.i64 r %2, +16 8\n %5 = ld.i64 64 %2, %4, +16\n"
           "%6 = chk.i64 r %2, +8 4\n %7 = ld.i64 32 %2, %6, +8\n"
           "%8 = chk.i64 r %2, +30 2\n %9 = ld.i64 16s %2, %8, +30\n",
           "%4 = chk.i64 rs %2, +8 24\n %5 = ld.i64 64 %2, %4, +16\n %7 = ld.i64 32 %2, %4, +8\n"
           "%9 = ld.i64 16s %2, %4, +30\n");
}

Test(checks, one_access_keeps_its_own)
{
    CHECKS("%4 = chk.i64 r %2, +16 8\n %5 = ld.i64 64 %2, %4, +16\n"
           "%6 = chk.i64 r %3, +16 8\n %7 = ld.i64 64 %3, %6, +16\n",
           "%4 = chk.i64 r %2, +16 8\n %5 = ld.i64 64 %2, %4, +16\n"
           "%6 = chk.i64 r %3, +16 8\n %7 = ld.i64 64 %3, %6, +16\n");
}

// Writing is asked for where a write is; what was read before stays readable alone.
Test(checks, reads_and_writes)
{
    CHECKS("%4 = chk.i64 r %2, +0 8\n %5 = ld.i64 64 %2, %4, +0\n"
           "%6 = chk.i64 w %2, +0 8\n st.i64 64 %2, %6, %3, +0\n"
           "%8 = chk.i64 r %2, +8 8\n %9 = ld.i64 64 %2, %8, +8\n"
           "%10 = chk.i64 w %2, +8 8\n %11 = ld.i64 64w %2, %10, +8\n",
           "%4 = chk.i64 rs %2, +0 16\n %5 = ld.i64 64 %2, %4, +0\n"
           "%6 = chk.i64 ws %2, +0 16\n st.i64 64 %2, %6, %3, +0\n %9 = ld.i64 64 %2, %4, +8\n"
           "%11 = ld.i64 64w %2, %6, +8\n");
    CHECKS("%4 = chk.i64 w %2, +0 8\n st.i64 64 %2, %4, %3, +0\n"
           "%6 = chk.i64 r %2, +8 8\n %7 = ld.i64 64 %2, %6, +8\n",
           "%4 = chk.i64 ws %2, +0 16\n st.i64 64 %2, %4, %3, +0\n %7 = ld.i64 64 %2, %4, +8\n");
}

Test(checks, alignment)
{
    // An aligned access shares with one of the very same bytes; others may lie within it.
    CHECKS("%4 = chk.i64 wa %2, +0 8\n %5 = ld.i64 64wa %2, %4, +0\n"
           "%6 = chk.i64 wa %2, +0 8\n st.i64 64a %2, %6, %3, +0\n"
           "%8 = chk.i64 r %2, +4 4\n %9 = ld.i64 32 %2, %8, +4\n",
           "%4 = chk.i64 was %2, +0 8\n %5 = ld.i64 64wa %2, %4, +0\n st.i64 64a %2, %4, %3, +0\n"
           "%9 = ld.i64 32 %2, %4, +4\n");
    // Not with one beside it, nor of other bytes, nor with one that does not ask for it.
    const char *same = "insn 0x0 4\n %2 = get.i64 a\n"
                       "%3 = chk.i64 ra %2, +0 4\n %4 = ld.i64 32a %2, %3, +0\n"
                       "%5 = chk.i64 ra %2, +0 8\n %6 = ld.i64 64a %2, %5, +0\n"
                       "%7 = chk.i64 ra %2, +2 2\n %8 = ld.i64 16a %2, %7, +2\n"
                       "%9 = chk.i64 r %2, +8 8\n %10 = ld.i64 64 %2, %9, +8\n"
                       "%11 = chk.i64 ra %2, +8 8\n %12 = ld.i64 64a %2, %11, +8\n"
                       "exit -> 0x4 after 1\n";
    expect_pass(ir_pass_checks, same, same);
}

Test(checks, the_other_byte_order_does_without)
{
    CHECKS("%4 = chk.i64 r %2, +0 8\n %5 = ld.i64 64 %2, %4, +0\n"
           "%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64b %2, %6, +0\n"
           "%8 = chk.i64 r %2, +8 8\n %9 = ld.i64 64 %2, %8, +8\n",
           "%4 = chk.i64 rs %2, +0 16\n %5 = ld.i64 64 %2, %4, +0\n"
           "%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64b %2, %6, +0\n %9 = ld.i64 64 %2, %4, +8\n");
}

Test(checks, stretches_are_short)
{
    CHECKS("%4 = chk.i64 r %2, +0 8\n %5 = ld.i64 64 %2, %4, +0\n"
           "%6 = chk.i64 r %2, +248 8\n %7 = ld.i64 64 %2, %6, +248\n"
           "%8 = chk.i64 r %2, -1 1\n %9 = ld.i64 8 %2, %8, -1\n"
           "%10 = chk.i64 r %2, -8 4\n %11 = ld.i64 32 %2, %10, -8\n",
           "%4 = chk.i64 rs %2, +0 256\n %5 = ld.i64 64 %2, %4, +0\n %7 = ld.i64 64 %2, %4, +248\n"
           "%8 = chk.i64 rs %2, -8 8\n %9 = ld.i64 8 %2, %8, -1\n %11 = ld.i64 32 %2, %8, -8\n");
}

Test(checks, calls_end_sharing)
{
    CHECKS("%4 = chk.i64 r %2, +0 8\n %5 = ld.i64 64 %2, %4, +0\n %6 = call.i64 pure %5\n"
           "%7 = chk.i64 r %2, +8 8\n %8 = ld.i64 64 %2, %7, +8\n call effect\n"
           "%10 = chk.i64 r %2, +0 8\n %11 = ld.i64 64 %2, %10, +0\n",
           "%4 = chk.i64 rs %2, +0 16\n %5 = ld.i64 64 %2, %4, +0\n %6 = call.i64 pure %5\n"
           "%8 = ld.i64 64 %2, %4, +8\n call effect\n"
           "%10 = chk.i64 r %2, +0 8\n %11 = ld.i64 64 %2, %10, +0\n");
}

Test(checks, more_bases_than_are_remembered)
{
    struct ir *ir = new_ir();
    ir_ref base[20], first[20];
    ir_guest(ir, 0, 4);
    for (unsigned i = 0; i < 20; i++)
        base[i] = ir_bini(ir, IR_MUL, ir_get(ir, A), 3 + i);
    for (unsigned i = 0; i < 20; i++)
        first[i] = ir_ld(ir, IR_I64, MO_64, base[i], 0);
    ir_ref old = ir_ld(ir, IR_I64, MO_64, base[3], 8),
           recent = ir_ld(ir, IR_I64, MO_64, base[8], 8);
    ir_exit(ir, 4);
    ir_pass_checks(ir);
    expect_valid(ir);
    cr_assert(ne(u32, ir->insn[old].arg[1], ir->insn[first[3]].arg[1]));
    cr_assert(eq(u32, ir->insn[recent].arg[1], ir->insn[first[8]].arg[1]));
    g_free(ir);
}

Test(checks, not_where_it_is_forbidden)
{
    struct ir *ir =
        parse("insn 0x0 4\n %2 = get.i64 a\n %3 = chk.i64 r %2, +0 8\n %4 = ld.i64 64 %2, %3, +0\n"
              "%5 = chk.i64 r %2, +8 8\n %6 = ld.i64 64 %2, %5, +8\n exit -> 0x4 after 1");
    char *before = print(ir);
    ir->share_checks = false;
    ir_pass_checks(ir);
    char *after = print(ir);
    cr_assert(eq(str, before, after));
    g_free(before);
    g_free(after);
    g_free(ir);
}

Test(checks, twice_is_once)
{
    struct ir *ir =
        parse("insn 0x0 4\n %2 = get.i64 a\n %3 = chk.i64 r %2, +0 8\n %4 = ld.i64 64 %2, %3, +0\n"
              "%5 = chk.i64 r %2, +8 8\n %6 = ld.i64 64 %2, %5, +8\n exit -> 0x4 after 1");
    ir_pass_checks(ir);
    char *before = print(ir);
    ir_pass_checks(ir);
    expect_valid(ir);
    char *after = print(ir);
    cr_assert(eq(str, before, after));
    g_free(before);
    g_free(after);
    g_free(ir);
}

// --- Loops ---

#define LOOP(before, after) \
    expect_pass(ir_pass_loop, "insn 0x0 4\n" before "exit -> 0x0 after 1\n", after)

// ir->pc is the pc of the first instruction.
Test(loop, what_is_set_or_read_is_carried)
{
    LOOP("%2 = get.i64 a\n %3 = get.f64 d\n %4 = get.i64 b\n set b, %2\n set d, %3\n set b, %4\n",
         "%1 = get.i64 b, carried\n %2 = get.i64 a, carried\n %3 = get.f64 d, carried\n insn 0x0 4\n"
         "%5 = get.i64 a\n %6 = get.f64 d\n %7 = get.i64 b\n set b, %5\n set d, %6\n set b, %7\n"
         "exit -> 0x0 after 1\n");
}

Test(loop, a_read_is_of_the_iteration_before)
{
    struct ir *ir =
        parse("insn 0x0 4\n %2 = get.i64 a\n %3 = get.i64 b\n %4 = add.i64 %2, %3\n set a, %4\n"
              "br eq %4, %3 -> 0x4 after 1\n exit -> 0x0 after 1");
    ir_pass_loop(ir);
    ir_optimize(ir);
    expect_valid(ir);
    expect_text(
        ir,
        "%1 = get.i64 a, carried\n %2 = get.i64 b, carried\n insn 0x0 4\n %6 = add.i64 %1, %2\n"
        "set a, %6\n br eq %6, %2 -> 0x4 after 1\n exit -> 0x0 after 1");
    g_free(ir);
}

Test(loop, others_are_left_alone)
{
    static const char *const same[] = {
        "insn 0x0 4\n %2 = get.i64 a\n set b, %2\n exit -> 0x4 after 1\n",
        "insn 0x0 4\n exit -> 0x0 after 1\n",
        "insn 0x0 4\n %2 = get.i64 a\n set b, %2\n leave 0 -> 0x0 after 1\n",
        ("insn 0x0 4\n %2 = get.i64 a\n set b, %2\n br eq %2, %2 -> 0x0 after 1\n"
         "exit -> 0x4 after 1\n"),
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(same); i++)
        expect_pass(ir_pass_loop, same[i], same[i]);
}

// Set variables come before those that are only read, and those that occur often before others.
Test(loop, no_more_than_hosts_can_carry)
{
    enum { MANY = 20 };
    char names[MANY][4];
    struct ir_var many[MANY];
    struct ir *ir = g_new0(struct ir, 1);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "v%u", i);
        many[i] = (struct ir_var){names[i], IR_I64, 8 * i};
    }
    for (unsigned n = 1; n <= MANY; n++) {
        ir_reset(ir, many, MANY);
        ir_guest(ir, 0, 4);
        for (unsigned k = 0; k < 3; k++)
            ir_get(ir, 0); // often, but only read
        for (unsigned i = 1; i < n; i++)
            ir_set(ir, i, ir_const(ir, IR_I64, i));
        ir_set(ir, n - 1, ir_const(ir, IR_I64, 0)); // the one that is set twice
        ir_exit(ir, 0);
        ir_pass_loop(ir);
        expect_valid(ir);
        unsigned carried = 0;
        while (ir->insn[1 + carried].op == IR_GET)
            carried++;
        cr_expect(eq(u32, carried, MIN(n, LIMIT_LOOP_GPRS)));
        cr_expect(eq(u32, ir->insn[1].x, n - 1));
        cr_expect(n == 1 || n > LIMIT_LOOP_GPRS || ir->insn[n].x == 0);
    }
    g_free(ir);
}

// --- What nobody uses ---

#define DEAD(before, after) expect_pass(ir_pass_dead, before, after)

Test(dead, values)
{
    DEAD("insn 0x0 4\n %2 = get.i64 a\n %3 = add.i64 %2, %2\n %4 = mul.i64 %3, %3\n %5 = not.i64 "
         "%2\n"
         "%6 = call.i64 pure %4\n %7 = chk.i64 r %2, +0 8\n set b, %5\n exit -> 0x4 after 1",
         "insn 0x0 4\n %2 = get.i64 a\n %5 = not.i64 %2\n set b, %5\n exit -> 0x4 after 1");
}

Test(dead, effects_stay)
{
    const char *same = "insn 0x0 4\n %2 = get.i64 a\n %3 = get.f64 d\n %4 = fadd.f64 %3, %3, rm 0\n"
                       "%5 = fcmp.i64 lt %3, %3, rm 0\n %6 = chk.i64 r %2, +0 8\n"
                       "%7 = ld.i64 64 %2, %6, +0\n %8 = call.i64 effect %2\n call fault\n"
                       "exit -> 0x4 after 1";
    DEAD(same, same);
}

Test(dead, sets_that_no_exit_sees)
{
    DEAD(
        "insn 0x0 4\n %2 = get.i64 a\n %3 = not.i64 %2\n %4 = neg.i64 %2\n set b, %3\n insn 0x4 4\n"
        "set b, %4\n exit -> 0x8 after 2",
        "insn 0x0 4\n %2 = get.i64 a\n %4 = neg.i64 %2\n insn 0x4 4\n set b, %4\n exit -> 0x8 "
        "after 2");
}

Test(dead, sets_that_a_branch_sees)
{
    const char *same =
        "insn 0x0 4\n %2 = get.i64 a\n %3 = not.i64 %2\n %4 = neg.i64 %2\n set b, %3\n"
        "br eq %2, %3 -> 0x10 after 1\n insn 0x4 4\n set b, %4\n exit -> 0x8 after 2";
    DEAD(same, same);
}

// What may fault shows the state at its guest instruction: sets of those before, none of its own.
Test(dead, sets_that_a_fault_sees)
{
    const char *same = "insn 0x0 4\n %2 = get.i64 a\n %3 = not.i64 %2\n set b, %3\n insn 0x4 4\n"
                       "%6 = chk.i64 r %2, +0 8\n %7 = ld.i64 64 %2, %6, +0\n set b, %7\n"
                       "exit -> 0x8 after 2";
    DEAD(same, same);
    same = "insn 0x0 4\n %2 = get.i64 a\n %3 = not.i64 %2\n set b, %3\n insn 0x4 4\n"
           "call fault\n set b, %2\n exit -> 0x8 after 2";
    DEAD(same, same);
    same = "insn 0x0 4\n %2 = get.i64 a\n %3 = not.i64 %2\n set b, %3\n insn 0x4 4\n raise %2, 0x5";
    DEAD(same, same);
    DEAD("insn 0x0 4\n %2 = get.i64 a\n %3 = not.i64 %2\n insn 0x4 4\n call fault\n set b, %3\n "
         "insn 0x8 4\n"
         "set b, %2\n exit -> 0xc after 3",
         "insn 0x0 4\n %2 = get.i64 a\n insn 0x4 4\n call fault\n insn 0x8 4\n set b, %2\n"
         "exit -> 0xc after 3");
}

Test(dead, sets_of_others)
{
    DEAD("insn 0x0 4\n %2 = get.i64 a\n set b, %2\n set c, %2\n call effect\n insn 0x4 4\n set c, "
         "%2\n"
         "exit -> 0x8 after 2",
         "insn 0x0 4\n %2 = get.i64 a\n set b, %2\n call effect\n insn 0x4 4\n set c, %2\n"
         "exit -> 0x8 after 2");
}

// --- All together ---

// Two 64-bit guest instructions of a kind that compilers make: sum of two words of a structure.
Test(optimize, whole_unit)
{
    expect_pass(
        ir_optimize,
        "insn 0x1000 4\n %2 = get.i64 a\n %3 = const.i64 0x10\n %4 = add.i64 %2, %3\n set a, %4\n"
        "insn 0x1004 2\n %7 = get.i64 a\n %8 = chk.i64 r %7, +0 4\n %9 = ld.i64 32s %7, %8, +0\n"
        "set b, %9\n insn 0x1006 2\n %12 = get.i64 a\n %13 = chk.i64 r %12, +4 4\n"
        "%14 = ld.i64 32s %12, %13, +4\n set c, %14\n insn 0x1008 4\n %17 = get.i64 b\n"
        "%18 = get.i64 c\n %19 = trunc.i32 %17\n %20 = trunc.i32 %18\n %21 = add.i32 %19, %20\n"
        "%22 = sext.i64 32 %21\n set b, %22\n exit -> 0x100c after 4\n",
        "insn 0x1000 4\n %2 = get.i64 a\n %3 = const.i64 0x10\n %4 = add.i64 %2, %3\n set a, %4\n"
        "insn 0x1004 2\n %8 = chk.i64 rs %2, +16 8\n %9 = ld.i64 32s %2, %8, +16\n set b, %9\n"
        "insn 0x1006 2\n %14 = ld.i64 32s %2, %8, +20\n set c, %14\n insn 0x1008 4\n"
        "%19 = trunc.i32 %9\n %20 = trunc.i32 %14\n %21 = add.i32 %19, %20\n %22 = sext.i64 32 "
        "%21\n"
        "set b, %22\n exit -> 0x100c after 4\n");
}
