// SPDX-License-Identifier: MIT
// The reader of "key=value,..." options.
//
// Items stay in the order in which they were typed. An item is `used` when somebody asked for its key; what
// is left unused at the end is a mistake of the user.
#include "backend/options.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

struct item {
    char *key;
    char *value; // NULL: a bare key
    bool used;
};

struct options {
    char *what;
    GArray *items; // of struct item
    char *mistake; // the first one, or NULL
};

// --- Single values ---

bool parse_bool(const char *text, bool *value)
{
    static const char *const words[][2] = {
        {"off", "on"}, {"no", "yes"}, {"false", "true"}, {"n", "y"}};
    for (unsigned i = 0; i < 2 * ARRAY_LEN(words); i++) {
        if (!strcmp(text, words[i / 2][i % 2])) {
            *value = i % 2;
            return true;
        }
    }
    return false;
}

// The number at the start of text; *end is what follows.
static bool scan_u64(const char *text, uint64_t *value, char **end)
{
    if (!g_ascii_isdigit(*text))
        return false;
    bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
    errno = 0;
    *value = g_ascii_strtoull(text, end, hex ? 16 : 10);
    return !errno;
}

bool parse_u64(const char *text, uint64_t *value)
{
    char *end;
    return scan_u64(text, value, &end) && !*end;
}

bool parse_size(const char *text, uint64_t *value)
{
    static const char suffixes[] = "bkmgtp";
    char *end;
    uint64_t number;
    if (!scan_u64(text, &number, &end))
        return false;
    unsigned shift = 0;
    if (*end) {
        const char *s = strchr(suffixes, g_ascii_tolower(*end));
        if (!s || (end[1] && strcmp(end + 1, "iB") && strcmp(end + 1, "B")))
            return false;
        shift = 10 * (unsigned)(s - suffixes);
    }
    if (number > UINT64_MAX >> shift)
        return false;
    *value = number << shift;
    return true;
}

// --- Taking the text apart ---

static void item_clear(void *data)
{
    struct item *it = data;
    g_free(it->key);
    g_free(it->value);
}

static struct item *item_at(const struct options *o, unsigned i)
{
    return &g_array_index(o->items, struct item, i);
}

static void add_item(struct options *o, char *key, char *value)
{
    struct item it = {.key = key, .value = value};
    g_array_append_val(o->items, it);
}

// One item up to a single comma or the end; *text moves past the comma. `*equals` becomes the position of the
// first '=', or -1.
static GString *cut_item(const char **text, gssize *equals)
{
    GString *s = g_string_new(NULL);
    const char *p = *text;
    *equals = -1;
    for (; *p; p++) {
        if (*p == ',' && *++p != ',') {
            *text = p;
            return s;
        }
        if (*p == '=' && *equals < 0)
            *equals = (gssize)s->len;
        g_string_append_c(s, *p);
    }
    *text = p;
    return s;
}

static void take_item(struct options *o, const char **text, const char *implied)
{
    gssize equals;
    GString *s = cut_item(text, &equals);
    if (equals >= 0)
        add_item(o, g_strndup(s->str, (gsize)equals), g_strdup(s->str + equals + 1));
    else if (implied && s->len)
        add_item(o, g_strdup(implied), g_strdup(s->str));
    else if (s->len)
        add_item(o, g_strdup(s->str), NULL);
    g_string_free(s, TRUE);
}

struct options *options_parse(const char *what, const char *text, const char *implied)
{
    struct options *o = g_new0(struct options, 1);
    o->what = g_strdup(what);
    o->items = g_array_new(FALSE, FALSE, sizeof(struct item));
    g_array_set_clear_func(o->items, item_clear);
    while (*text) {
        take_item(o, &text, implied);
        implied = NULL;
    }
    return o;
}

void options_free(struct options *o)
{
    if (!o)
        return;
    g_array_free(o->items, TRUE);
    g_free(o->what);
    g_free(o->mistake);
    g_free(o);
}

void options_add(struct options *o, const char *key, const char *value)
{
    add_item(o, g_strdup(key), g_strdup(value));
}

void options_set(struct options *o, const char *key, const char *value)
{
    for (unsigned i = o->items->len; i-- > 0;)
        if (!strcmp(item_at(o, i)->key, key))
            g_array_remove_index(o->items, i);
    options_add(o, key, value);
}

// --- Reading ---

void options_fail(struct options *o, const char *key, const char *fmt, ...)
{
    if (o->mistake)
        return;
    va_list args;
    va_start(args, fmt);
    char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    o->mistake = g_strdup_printf("%s: %s: %s", o->what, key, text);
    g_free(text);
}

bool options_failed(const struct options *o)
{
    return o->mistake != NULL;
}

// The last item with the key, or NULL; marks all of them as used.
static struct item *find(struct options *o, const char *key)
{
    struct item *last = NULL;
    for (unsigned i = 0; i < o->items->len; i++) {
        struct item *it = item_at(o, i);
        if (!strcmp(it->key, key)) {
            it->used = true;
            last = it;
        }
    }
    return last;
}

bool options_has(const struct options *o, const char *key)
{
    for (unsigned i = 0; i < o->items->len; i++)
        if (!strcmp(item_at(o, i)->key, key))
            return true;
    return false;
}

bool options_item(struct options *o, unsigned i, const char **key, const char **value)
{
    if (i >= o->items->len)
        return false;
    struct item *it = item_at(o, i);
    it->used = true;
    *key = it->key;
    *value = it->value;
    return true;
}

const char *options_str(struct options *o, const char *key)
{
    struct item *it = find(o, key);
    if (it && !it->value)
        options_fail(o, key, "needs a value (%s=...)", key);
    return it ? it->value : NULL;
}

const char **options_list(struct options *o, const char *key)
{
    GPtrArray *values = g_ptr_array_new();
    options_str(o, key);
    for (unsigned i = 0; i < o->items->len; i++)
        if (!strcmp(item_at(o, i)->key, key) && item_at(o, i)->value)
            g_ptr_array_add(values, item_at(o, i)->value);
    g_ptr_array_add(values, NULL);
    return (const char **)g_ptr_array_free(values, FALSE);
}

bool options_bool(struct options *o, const char *key, bool def)
{
    char *negated = g_strconcat("no", key, NULL);
    struct item *it = find(o, key);
    struct item *no = find(o, negated);
    bool value = def;
    if (no && no->value)
        options_fail(o, negated, "takes no value (%s=on or off)", key);
    if (it && it->value && !parse_bool(it->value, &value))
        options_fail(o, key, "'%s' is neither on nor off", it->value);
    else if (it && !it->value)
        value = true;
    if (no > it)
        value = false; // the later one counts, and items lie in order
    g_free(negated);
    return value;
}

uint64_t options_u64(struct options *o, const char *key, uint64_t def, uint64_t max)
{
    const char *text = options_str(o, key);
    uint64_t value = def;
    if (text && (!parse_u64(text, &value) || value > max)) {
        options_fail(o, key, "'%s' is not a number from 0 to %" G_GUINT64_FORMAT, text, max);
        return def;
    }
    return value;
}

uint64_t options_size(struct options *o, const char *key, uint64_t def)
{
    const char *text = options_str(o, key);
    uint64_t value = def;
    if (text && !parse_size(text, &value)) {
        options_fail(o, key, "'%s' is not a size (such as 64k, 16M or 1G)", text);
        return def;
    }
    return value;
}

bool options_done(struct options *o, GError **error)
{
    for (unsigned i = 0; i < o->items->len && !o->mistake; i++)
        if (!item_at(o, i)->used)
            o->mistake = g_strdup_printf("%s: unknown option '%s'", o->what, item_at(o, i)->key);
    if (o->mistake)
        g_set_error_literal(error, FERRY_ERROR, FERRY_ERROR_OPTION, o->mistake);
    return !o->mistake;
}
