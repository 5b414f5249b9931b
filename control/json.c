// SPDX-License-Identifier: MIT
// Framing is a small automaton over bytes. Parsing is json-glib's, through its bridge to GVariant. Printing is our
// own, since programs that look for `"event": "STOP"` in the output count on the blanks and the order of members.
#include "control/json.h"

#include <assert.h>
#include <dlfcn.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "base/log.h"

// --- The library ---

struct json {
    void *handle;
    typeof(json_gvariant_deserialize_data) *parse;
};

struct json *json_open(GError **error)
{
    struct json *j = g_new0(struct json, 1);

    j->handle = dlopen("libjson-glib-1.0.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!j->handle)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                    "QMP needs libjson-glib-1.0.so.0 (Debian: apt-get install "
                    "libjson-glib-1.0-0): %s",
                    dlerror());
    if (j->handle) {
        j->parse = (typeof(j->parse))dlsym(j->handle, "json_gvariant_deserialize_data");
        assert(j->parse); // as long as the library has its name
        return j;
    }
    json_close(j);
    return NULL;
}

// The library itself stays: the type system below it cannot be unloaded.
void json_close(struct json *j)
{
    g_free(j);
}

// JSON has no form for what is not finite, and so could not repeat it in an answer.
static bool is_finite(GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_DOUBLE))
        return isfinite(g_variant_get_double(value));
    if (!g_variant_is_container(value))
        return true;
    for (size_t i = 0; i < g_variant_n_children(value); i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
        if (!is_finite(child))
            return false;
    }
    return true;
}

GVariant *json_parse(const struct json *j, const char *text, size_t len, GError **error)
{
    g_autoptr(GError) inner = NULL;
    GVariant *value = j->parse(text, (gssize)len, NULL, &inner);

    if (value)
        g_variant_take_ref(value);
    if (value && is_finite(value))
        return value;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "JSON parse error, %s",
                inner ? inner->message : "number too large");
    if (value)
        g_variant_unref(value);
    return NULL;
}

// --- Printing ---

struct printer {
    GString *out;
    bool pretty;
    unsigned depth;
};

static void print_string(GString *out, const char *text)
{
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";

    g_string_append_c(out, '"');
    for (const char *c = text; *c; c++) {
        const char *at = strchr(special, *c);
        if (at)
            g_string_append_printf(out, "\\%c", letters[at - special]);
        else if ((uint8_t)*c < ' ' || *c == 0x7f)
            g_string_append_printf(out, "\\u%04x", *c);
        else
            g_string_append_c(out, *c);
    }
    g_string_append_c(out, '"');
}

// The shortest form that reads as the same number, and as no integer.
static void print_double(GString *out, double value)
{
    char buf[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(out, g_ascii_dtostr(buf, sizeof(buf), value));
    if (!strpbrk(buf, ".e"))
        g_string_append(out, ".0");
}

static void print_scalar(GString *out, GVariant *value)
{
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BOOLEAN:
        g_string_append(out, g_variant_get_boolean(value) ? "true" : "false");
        break;
    case G_VARIANT_CLASS_STRING:
        print_string(out, g_variant_get_string(value, NULL));
        break;
    case G_VARIANT_CLASS_DOUBLE:
        print_double(out, g_variant_get_double(value));
        break;
    case G_VARIANT_CLASS_MAYBE:
        g_string_append(out, "null");
        break;
    default: { // integers
        g_autofree char *text = g_variant_print(value, FALSE);
        g_string_append(out, text);
    }
    }
}

static void print_value(struct printer *p, GVariant *value);

static void new_line(struct printer *p)
{
    g_string_append_printf(p->out, "\n%*s", 4 * p->depth, "");
}

// A dictionary's entries are containers themselves.
static void print_member(struct printer *p, GVariant *child, bool is_object)
{
    if (!is_object) {
        print_value(p, child);
        return;
    }
    g_autoptr(GVariant) key = g_variant_get_child_value(child, 0);
    g_autoptr(GVariant) value = g_variant_get_child_value(child, 1);
    print_value(p, key);
    g_string_append(p->out, ": ");
    print_value(p, value);
}

static void print_container(struct printer *p, GVariant *value)
{
    bool is_object = g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY);
    size_t n = g_variant_n_children(value);

    g_string_append_c(p->out, is_object ? '{' : '[');
    p->depth++;
    for (size_t i = 0; i < n; i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
        g_string_append(p->out, !i ? "" : p->pretty ? "," : ", ");
        if (p->pretty)
            new_line(p);
        print_member(p, child, is_object);
    }
    p->depth--;
    if (p->pretty && n)
        new_line(p);
    g_string_append_c(p->out, is_object ? '}' : ']');
}

static void print_value(struct printer *p, GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARIANT)) {
        g_autoptr(GVariant) inner = g_variant_get_variant(value);
        print_value(p, inner);
    } else if (g_variant_is_of_type(value, G_VARIANT_TYPE_ARRAY)) {
        print_container(p, value);
    } else {
        print_scalar(p->out, value);
    }
}

void json_print(GVariant *value, bool pretty, GString *out)
{
    struct printer p = {.out = out, .pretty = pretty};
    g_autoptr(GVariant) owned = g_variant_ref_sink(value);

    print_value(&p, owned);
}

// --- Framing ---

enum state {
    BETWEEN, // texts
    VALUES,  // inside of a text, but of no string and no number
    NUMBER,
    STRING,
    ESCAPE,
    UNICODE,
    SKIPPING, // the line, after a mistake
};

void json_framer_init(struct json_framer *f)
{
    *f = (struct json_framer){.text = g_string_new(NULL), .state = BETWEEN};
}

void json_framer_clear(struct json_framer *f)
{
    g_string_free(f->text, TRUE);
    g_free(f->why);
}

void json_framer_reset(struct json_framer *f)
{
    g_string_truncate(f->text, 0);
    f->state = BETWEEN;
    f->depth = 0;
    f->high = false;
}

static enum json_frame bad(struct json_framer *f, uint8_t byte, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static enum json_frame bad(struct json_framer *f, uint8_t byte, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_free(f->why);
    f->why = g_strdup_vprintf(fmt, args);
    va_end(args);
    json_framer_reset(f);
    f->state = byte == '\n' ? BETWEEN : SKIPPING;
    return JSON_BAD;
}

static enum json_frame stray(struct json_framer *f, uint8_t byte)
{
    if (byte > ' ' && byte < 0x7f)
        return bad(f, byte, "JSON parse error, stray '%c'", byte);
    return bad(f, byte, "JSON parse error, stray byte 0x%02x", byte);
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static enum json_frame open_bracket(struct json_framer *f, uint8_t byte)
{
    if (f->depth == JSON_MAX_DEPTH)
        return bad(f, byte, "JSON nesting is deeper than %d", JSON_MAX_DEPTH);
    f->depth++;
    f->state = VALUES;
    return JSON_MORE;
}

static enum json_frame close_bracket(struct json_framer *f)
{
    f->state = --f->depth ? VALUES : BETWEEN;
    return f->depth ? JSON_MORE : JSON_WHOLE;
}

// Between strings and numbers: brackets, separators, and the letters of true, false and null.
static enum json_frame feed_values(struct json_framer *f, uint8_t byte)
{
    if (byte == '{' || byte == '[')
        return open_bracket(f, byte);
    if (byte == '}' || byte == ']')
        return close_bracket(f);
    if (byte == '"')
        f->state = STRING;
    else if (byte == '-' || g_ascii_isdigit(byte)) {
        f->state = NUMBER;
        f->number = f->text->len - 1;
    } else if (!is_blank(byte) && (!byte || !strchr(":,truefalsn", byte)))
        return stray(f, byte);
    return JSON_MORE;
}

// A number that is over: the library takes hexadecimal and octal ones, and cuts large ones.
static bool number_fits(const char *digits)
{
    uint64_t u;
    int64_t i;

    if (strpbrk(digits, ".eE"))
        return true;
    const char *first = digits + (digits[0] == '-');
    if (first[0] == '0' && first[1])
        return false;
    return digits[0] == '-' ? g_ascii_string_to_signed(digits, 10, INT64_MIN, INT64_MAX, &i, NULL)
                            : g_ascii_string_to_unsigned(digits, 10, 0, UINT64_MAX, &u, NULL);
}

static enum json_frame feed_number(struct json_framer *f, uint8_t byte)
{
    if (g_ascii_isdigit(byte) || (byte && strchr("+-.eE", byte)))
        return JSON_MORE;
    g_autofree char *digits = g_strndup(f->text->str + f->number, f->text->len - 1 - f->number);
    if (!number_fits(digits))
        return bad(f, byte, "JSON parse error, bad number '%.40s'", digits);
    f->state = VALUES;
    return feed_values(f, byte);
}

static enum json_frame feed_string(struct json_framer *f, uint8_t byte)
{
    if (byte < ' ' || (f->high && byte != '\\'))
        return stray(f, byte);
    if (byte == '"')
        f->state = VALUES;
    else if (byte == '\\')
        f->state = ESCAPE;
    return JSON_MORE;
}

static enum json_frame feed_escape(struct json_framer *f, uint8_t byte)
{
    if (!byte || !strchr(f->high ? "u" : "\"\\/bfnrtu", byte))
        return stray(f, byte);
    f->state = byte == 'u' ? UNICODE : STRING;
    f->unicode_left = 4;
    f->unicode = 0;
    return JSON_MORE;
}

// A zero would end the string early, and halves of surrogate pairs would make it none.
static bool unicode_fits(struct json_framer *f)
{
    bool is_low = (f->unicode & ~0x3ffu) == 0xdc00;
    bool fits = f->unicode && is_low == f->high;

    f->high = (f->unicode & ~0x3ffu) == 0xd800;
    return fits;
}

static enum json_frame feed_unicode(struct json_framer *f, uint8_t byte)
{
    if (!g_ascii_isxdigit(byte))
        return stray(f, byte);
    f->unicode = f->unicode << 4 | (uint32_t)g_ascii_xdigit_value((char)byte);
    if (--f->unicode_left)
        return JSON_MORE;
    if (!unicode_fits(f))
        return bad(f, byte, "JSON parse error, \\u%04x in a string", f->unicode);
    f->state = STRING;
    return JSON_MORE;
}

static enum json_frame feed_between(struct json_framer *f, uint8_t byte)
{
    g_string_truncate(f->text, 0);
    if (is_blank(byte))
        return JSON_MORE;
    if (byte != '{' && byte != '[')
        return stray(f, byte);
    g_string_append_c(f->text, (char)byte);
    return open_bracket(f, byte);
}

enum json_frame json_framer_feed(struct json_framer *f, uint8_t byte)
{
    if (f->state == SKIPPING) {
        f->state = byte == '\n' ? BETWEEN : SKIPPING;
        return JSON_MORE;
    }
    if (f->state == BETWEEN)
        return feed_between(f, byte);
    if (f->text->len == JSON_MAX_TEXT)
        return bad(f, byte, "JSON text is longer than %u bytes", JSON_MAX_TEXT);
    g_string_append_c(f->text, (char)byte);
    switch ((enum state)f->state) {
    case VALUES:
        return feed_values(f, byte);
    case NUMBER:
        return feed_number(f, byte);
    case STRING:
        return feed_string(f, byte);
    case ESCAPE:
        return feed_escape(f, byte);
    case UNICODE:
        return feed_unicode(f, byte);
    case BETWEEN:
    case SKIPPING:
        break;
    }
    assert(!"reached");
    return JSON_BAD;
}
