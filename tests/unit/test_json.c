// SPDX-License-Identifier: MIT
// JSON: where texts end in a stream, what is refused and why, values there and back, random bytes.
#include <criterion/criterion.h>
#include <string.h>

#include "control/json.h"

static struct json *open_library(void)
{
    GError *error = NULL;
    struct json *j = json_open(&error);

    cr_assert(j, "%s", error ? error->message : "");
    return j;
}

// What a stream is cut into: texts and, in parentheses, mistakes, one a line.
static char *frames(const char *stream, size_t len)
{
    struct json_framer f;
    GString *out = g_string_new(NULL);

    json_framer_init(&f);
    for (size_t i = 0; i < len; i++) {
        enum json_frame frame = json_framer_feed(&f, (uint8_t)stream[i]);
        if (frame == JSON_WHOLE)
            g_string_append_printf(out, "%s\n", f.text->str);
        else if (frame == JSON_BAD)
            g_string_append_printf(out, "(%s)\n", f.why);
    }
    json_framer_clear(&f);
    return g_string_free(out, FALSE);
}

static void cut(const char *stream, const char *want)
{
    g_autofree char *have = frames(stream, strlen(stream));

    cr_assert_str_eq(have, want, "'%s' is cut into\n%s", stream, have);
}

Test(json, texts_end_where_they_do)
{
    cut("", "");
    cut("  \r\n\t", "");
    cut("{}", "{}\n");
    cut("{}{}\n[ ] {\"a\":1}", "{}\n{}\n[ ]\n{\"a\":1}\n");
    cut("{\"a\":\n [1,\n{\"b\":null}]\n}\n", "{\"a\":\n [1,\n{\"b\":null}]\n}\n");
    cut("{\"}\\\"\\\\\":\"{[\"}", "{\"}\\\"\\\\\":\"{[\"}\n");
    cut("{\"a\":12", "");
    cut("{\"a\":-12.5e+3}", "{\"a\":-12.5e+3}\n");
    cut("[18446744073709551615,-9223372036854775808]",
        "[18446744073709551615,-9223372036854775808]\n");
    cut("[0,-0,0.5]", "[0,-0,0.5]\n");
}

Test(json, mistakes_are_named_and_the_line_is_skipped)
{
    cut("garbage {\"a\":1}\n{}", "(JSON parse error, stray 'g')\n{}\n");
    cut("{'a':1}\n{}", "(JSON parse error, stray ''')\n{}\n");
    cut("{/**/}\n{}", "(JSON parse error, stray '/')\n{}\n");
    cut("{\"a\"=1}\n{}", "(JSON parse error, stray '=')\n{}\n");
    cut("\xff{}\n{}", "(JSON parse error, stray byte 0xff)\n{}\n");
    cut("{\"a\nb\":1}\n{}",
        "(JSON parse error, stray byte 0x0a)\n(JSON parse error, stray 'b')\n{}\n");
    cut("{\"\\q\":1}\n{}", "(JSON parse error, stray 'q')\n{}\n");
    cut("{\"\\u12g4\":1}\n{}", "(JSON parse error, stray 'g')\n{}\n");
    cut("{\"\\u0000\":1}\n{}", "(JSON parse error, \\u0000 in a string)\n{}\n");
    cut("[\"\\udc00\"]\n{}", "(JSON parse error, \\udc00 in a string)\n{}\n");
    cut("[\"\\ud83d\\u0041\"]\n{}", "(JSON parse error, \\u0041 in a string)\n{}\n");
    cut("[\"\\ud83d\"]\n{}", "(JSON parse error, stray '\"')\n{}\n");
    cut("[\"\\ud83d\\n\"]\n{}", "(JSON parse error, stray 'n')\n{}\n");
    cut("[01]\n{}", "(JSON parse error, bad number '01')\n{}\n");
    cut("[18446744073709551616]\n{}",
        "(JSON parse error, bad number '18446744073709551616')\n{}\n");
    cut("[-9223372036854775809]\n{}",
        "(JSON parse error, bad number '-9223372036854775809')\n{}\n");
    cut("[0x10]\n{}", "(JSON parse error, stray 'x')\n{}\n");
    cut("}\n{}", "(JSON parse error, stray '}')\n{}\n");
}

Test(json, depth_and_length_have_limits)
{
    g_autofree char *deep = g_strnfill(JSON_MAX_DEPTH + 1, '[');
    g_autofree char *blanks = g_strnfill(JSON_MAX_TEXT, ' ');
    g_autofree char *stream = g_strconcat(deep, "\n[", blanks, "]\n{}", NULL);
    g_autofree char *have = frames(stream, strlen(stream));

    cr_assert_str_eq(have, "(JSON nesting is deeper than 64)\n"
                           "(JSON text is longer than 1048576 bytes)\n{}\n");
}

// A value there and back.
static void round_trip(const struct json *j, const char *text)
{
    GError *error = NULL;
    g_autoptr(GVariant) value = json_parse(j, text, strlen(text), &error);
    g_autoptr(GString) out = g_string_new(NULL);

    cr_assert(value, "%s: %s", text, error ? error->message : "");
    json_print(value, false, out);
    cr_assert_str_eq(out->str, text);
}

Test(json, values_come_back)
{
    struct json *j = open_library();

    round_trip(j, "{}");
    round_trip(j, "[]");
    round_trip(j, "{\"b\": 1, \"a\": [true, false, null, {}, []], \"c\": \"\"}");
    round_trip(j, "[1.5, 2.0, 1e+22, -7, 9223372036854775807]");
    round_trip(j, "[\"\\\"\\\\\\n\\t \\u0001 \\u007f \xc3\xa9 \xf0\x9f\x98\x80\"]");
    json_close(j);
}

Test(json, values_have_their_types)
{
    struct json *j = open_library();
    static const char text[] = "{\"n\":18446744071562067968,\"s\":\"x\",\"d\":2.0,\"e\":1e3}";
    g_autoptr(GVariant) value = json_parse(j, text, strlen(text), NULL);
    const char *s;
    int64_t n;
    double d, e;

    cr_assert(g_variant_lookup(value, "n", "x", &n));
    cr_assert_eq((uint64_t)n, UINT64_C(0xffffffff80000000));
    cr_assert(g_variant_lookup(value, "s", "&s", &s));
    cr_assert_str_eq(s, "x");
    cr_assert(g_variant_lookup(value, "d", "d", &d) && d == 2);
    cr_assert(g_variant_lookup(value, "e", "d", &e) && e == 1000);
    json_close(j);
}

static void refused(const struct json *j, const char *text)
{
    GError *error = NULL;

    cr_assert_null(json_parse(j, text, strlen(text), &error), "'%s' was accepted", text);
    cr_assert(g_str_has_prefix(error->message, "JSON parse error, "), "%s", error->message);
    g_error_free(error);
}

Test(json, what_the_grammar_forbids_is_refused)
{
    struct json *j = open_library();

    refused(j, "{\"a\" 1}");
    refused(j, "{\"a\":}");
    refused(j, "{1:2}");
    refused(j, "[1,]");
    refused(j, "[1 2]");
    refused(j, "[nul]");
    refused(j, "[-]");
    refused(j, "[1e999]");
    refused(j, "[\"\xff\"]");
    json_close(j);
}

static void printed(GVariant *value, bool pretty, const char *want)
{
    g_autoptr(GString) out = g_string_new(NULL);

    json_print(value, pretty, out);
    cr_assert_str_eq(out->str, want);
}

Test(json, pretty_has_lines)
{
    printed(g_variant_new_parsed("{'a': <1>, 'b': <[<'c'>, <@av []>]>}"), true,
            "{\n    \"a\": 1,\n    \"b\": [\n        \"c\",\n        []\n    ]\n}");
}

Test(json, all_integers_have_a_form)
{
    printed(g_variant_new_uint64(UINT64_MAX), false, "18446744073709551615");
    printed(g_variant_new_uint32(7), false, "7");
    printed(g_variant_new_int64(INT64_MIN), false, "-9223372036854775808");
}

// ---- Random bytes: whatever the framer lets through is parsed or refused, and what is parsed comes back. ----

static const char *const seeds[] = {
    "{\"execute\":\"qmp_capabilities\",\"id\":[1,null,{\"a\":\"b\"}]}\n",
    "{\"execute\":\"memsave\",\"arguments\":{\"val\":18446744071562067968,\"size\":-1.5e3}}",
    "[[[[]],{}],\"\\u00e9\\ud83d\\ude00\\n\",true,false,null,0,-0.0]",
    "{\"a\":{\"b\":{\"c\":[\"\\\\\",\"\\\"\",\"}{][\"]}}} {} [1]\n",
};
static const char alphabet[] = "{}[]\",:\\u0eE+-.19 \n\ttruefalsn\x01\xff/'x";

static void mutate(GRand *rand, GString *s)
{
    unsigned at = s->len ? (unsigned)g_rand_int_range(rand, 0, (gint32)s->len) : 0;
    char c = alphabet[g_rand_int_range(rand, 0, sizeof(alphabet))];

    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        g_string_insert_c(s, at, c);
        break;
    case 1:
        g_string_erase(s, at, s->len ? 1 : 0);
        break;
    case 2:
        if (s->len)
            s->str[at] = c;
        break;
    case 3: { // a piece of it twice
        g_autofree char *piece = g_strndup(s->str + at, MIN(s->len - at, 8));
        g_string_insert(s, at, piece);
        break;
    }
    }
}

static unsigned feed(const struct json *j, struct json_framer *f, const GString *s)
{
    unsigned parsed = 0;

    for (size_t i = 0; i < s->len; i++) {
        if (json_framer_feed(f, (uint8_t)s->str[i]) != JSON_WHOLE)
            continue;
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) value = json_parse(j, f->text->str, f->text->len, &error);
        cr_assert(value || error);
        if (!value)
            continue;
        g_autoptr(GString) once = g_string_new(NULL), twice = g_string_new(NULL);
        json_print(value, false, once);
        g_autoptr(GVariant) again = json_parse(j, once->str, once->len, NULL);
        cr_assert(again, "%s became %s", f->text->str, once->str);
        json_print(again, false, twice);
        cr_assert_str_eq(once->str, twice->str);
        parsed++;
    }
    return parsed;
}

Test(json, random_bytes_do_no_harm)
{
    struct json *j = open_library();
    GRand *rand = g_rand_new_with_seed(1);
    struct json_framer f;
    unsigned parsed = 0;

    json_framer_init(&f);
    for (unsigned round = 0; round < 20000; round++) {
        GString *s = g_string_new(seeds[round % ARRAY_LEN(seeds)]);
        for (int n = g_rand_int_range(rand, 0, 6); n > 0; n--)
            mutate(rand, s);
        parsed += feed(j, &f, s);
        g_string_free(s, TRUE);
    }
    cr_assert_gt(parsed, 1000);
    json_framer_clear(&f);
    g_rand_free(rand);
    json_close(j);
}
