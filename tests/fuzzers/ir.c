// SPDX-License-Identifier: MIT
// The text form of IR: whatever the parser and the verifier let through, the passes keep well-formed, and what is
// printed reads back as the same.
#include <assert.h>
#include <string.h>

#include "tests/fuzzers/fuzzer.h"
#include "translator/ir.h"

static const struct ir_var vars[] = {
    {"x1", IR_I64, 0},  {"x2", IR_I64, 8},  {"w1", IR_I32, 16},
    {"f1", IR_F64, 24}, {"s1", IR_F32, 32},
};

static uint64_t nothing(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)cpu, (void)a, (void)b, (void)c, (void)d;
    return 0;
}

static const struct ir_call calls[] = {
    {nothing, "pure", CALL_PURE}, {nothing, "fault", CALL_FAULT}, {nothing, "plain", 0}};

static bool parse(struct ir *ir, const char *text)
{
    GError *error = NULL;
    ir_reset(ir, vars, ARRAY_LEN(vars));
    bool ok = ir_parse_calls(ir, text, calls, ARRAY_LEN(calls), &error);
    assert(ok == !error);
    g_clear_error(&error);
    return ok;
}

static bool is_well_formed(const struct ir *ir)
{
    g_autofree char *what = ir_verify(ir);
    return !what;
}

static void check_print(const struct ir *ir, struct ir *other)
{
    GString *first = g_string_new(NULL), *second = g_string_new(NULL);
    ir_print(ir, first);
    bool ok = parse(other, first->str);
    assert(ok && is_well_formed(other));
    ir_print(other, second);
    assert(!strcmp(first->str, second->str));
    g_string_free(first, TRUE);
    g_string_free(second, TRUE);
}

static void run(const uint8_t *data, size_t len)
{
    g_autofree struct ir *ir = g_new0(struct ir, 1), *other = g_new0(struct ir, 1);
    g_autofree char *text = g_strndup((const char *)data, len);
    if (!parse(ir, text) || !is_well_formed(ir))
        return;
    check_print(ir, other);
    ir->share_checks = true;
    ir_optimize(ir);
    assert(is_well_formed(ir));
}

const struct fuzzer fuzzer_ir = {
    .name = "ir",
    .help = "a unit of IR as text",
    .max_len = 2048,
    .run = run,
};
