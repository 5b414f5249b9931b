// SPDX-License-Identifier: MIT
// Expressions of the monitor, on 64-bit words: a recursive descent, from | down to numbers and $registers.
#include <string.h>

#include "backend/options.h"
#include "base/bits.h"
#include "base/log.h"
#include "control/monitor_impl.h"
#include "translator/guest.h"

#define MAX_DEPTH 64 // of brackets and signs

struct expr {
    const struct monitor_call *call;
    const char *at;
    unsigned depth;
    char *why; // the first mistake
};

static uint64_t mistake(struct expr *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static uint64_t mistake(struct expr *e, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (!e->why)
        e->why = g_strdup_vprintf(fmt, args);
    va_end(args);
    e->at += strlen(e->at);
    return 0;
}

static char peek(struct expr *e)
{
    while (*e->at == ' ' || *e->at == '\t')
        e->at++;
    return *e->at;
}

static bool take(struct expr *e, char c)
{
    if (peek(e) != c)
        return false;
    e->at++;
    return true;
}

static uint64_t whole(struct expr *e);

// Of 64 bits at most.
static bool read_register(struct cpu *cpu, const char *name, uint64_t *value)
{
    const struct guest_view *view = cpu->guest->debug_view(cpu);

    for (unsigned i = 0; i < view->nr_regs; i++) {
        const struct guest_reg *reg = &view->regs[i];
        if (reg->bits > 64 || strcmp(reg->name, name) != 0)
            continue;
        uint8_t bytes[8] = {0};
        cpu->guest->debug_read(cpu, reg, bytes);
        *value = load_le(bytes, 8);
        return true;
    }
    return false;
}

static uint64_t register_value(struct expr *e)
{
    size_t len = strspn(e->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    g_autofree char *name = g_strndup(e->at, len);
    struct cpu *cpu = monitor_cpu(e->call);
    uint64_t value = 0;

    e->at += len;
    if (!read_register(cpu, name, &value))
        return mistake(e, "unknown register '$%s'", name);
    return value;
}

static uint64_t number(struct expr *e)
{
    size_t len = strspn(e->at, "0123456789abcdefxABCDEFX");
    g_autofree char *digits = g_strndup(e->at, len);
    uint64_t value;

    if (!len)
        return *e->at ? mistake(e, "unexpected '%c' in expression", *e->at)
                      : mistake(e, "unexpected end of expression");
    e->at += len;
    return parse_u64(digits, &value) ? value : mistake(e, "bad number '%s'", digits);
}

static uint64_t operand(struct expr *e)
{
    char c = peek(e);

    if (c == '$') {
        e->at++;
        return register_value(e);
    }
    if (c == '\'' && e->at[1] && e->at[2] == '\'') {
        e->at += 3;
        return (uint8_t)e->at[-2];
    }
    if (c != '(')
        return number(e);
    e->at++;
    uint64_t value = whole(e);
    return take(e, ')') ? value : mistake(e, "')' expected");
}

static uint64_t signed_operand(struct expr *e)
{
    if (e->depth == MAX_DEPTH)
        return mistake(e, "expression is too deep");
    e->depth++;
    char sign = peek(e);
    uint64_t value;
    if (sign == '-' || sign == '+' || sign == '~') {
        e->at++;
        value = signed_operand(e);
        value = sign == '-' ? -value : sign == '~' ? ~value : value;
    } else {
        value = operand(e);
    }
    e->depth--;
    return value;
}

static uint64_t product_of(struct expr *e)
{
    uint64_t value = signed_operand(e);

    for (char op; (op = peek(e)) && strchr("*/%", op);) {
        e->at++;
        uint64_t right = signed_operand(e);
        if (op == '*')
            value *= right;
        else if (!right)
            return mistake(e, "division by zero");
        else
            value = op == '/' ? value / right : value % right;
    }
    return value;
}

static uint64_t sum_of(struct expr *e)
{
    uint64_t value = product_of(e);

    for (char op; (op = peek(e)) == '+' || op == '-';) {
        e->at++;
        uint64_t right = product_of(e);
        value = op == '+' ? value + right : value - right;
    }
    return value;
}

static uint64_t whole(struct expr *e)
{
    uint64_t value = sum_of(e);

    for (char op; (op = peek(e)) && strchr("&|^", op);) {
        e->at++;
        uint64_t right = sum_of(e);
        value = op == '&' ? value & right : op == '|' ? value | right : value ^ right;
    }
    return value;
}

bool monitor_compute(struct monitor_call *c, const char *text, uint64_t *value)
{
    struct expr e = {.call = c, .at = text};

    *value = whole(&e);
    if (!e.why && peek(&e))
        mistake(&e, "unexpected '%c' in expression", *e.at);
    if (!e.why)
        return true;
    monitor_fail(c, "%s", e.why);
    g_free(e.why);
    return false;
}
