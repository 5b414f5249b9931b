// SPDX-License-Identifier: MIT
// The table of commands: looked up, arguments checked by it, turned into a schema.
#include <string.h>

#include "base/log.h"
#include "control/qmp.h"
#include "control/qmp_impl.h"

static const struct qmp_command commands[] = {
#define QMP(name, function, args, gives_value) {name, qmp_##function, args, gives_value},
#include "control/qmp.def"
};

static const struct {
    const char *name, *data;
} events[] = {
#define EVENT(name, data) {name, data},
#include "control/qmp.def"
};

const struct qmp_command *qmp_command_at(unsigned index)
{
    return index < ARRAY_LEN(commands) ? &commands[index] : NULL;
}

const struct qmp_command *qmp_command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

// --- Types of arguments ---

static const struct arg_type {
    const char *name;
    const char *signature;   // of its GVariant; NULL: any
    const char *json_type;   // in the schema; NULL: it is an array
    const char *description; // in errors
} arg_types[] = {
    {"int", "x", "int", "integer"},       {"str", "s", "string", "string"},
    {"bool", "b", "boolean", "boolean"},  {"list", "av", NULL, "array"},
    {"dict", "a{sv}", "value", "object"}, {"any", NULL, "value", "value"},
};

struct arg {
    char *name;
    bool optional;
    const struct arg_type *type;
};

static const struct arg_type *find_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(arg_types); i++) {
        if (strcmp(arg_types[i].name, name) == 0)
            return &arg_types[i];
    }
    g_assert_not_reached();
}

static void arg_clear(void *data)
{
    g_free(((struct arg *)data)->name);
}

// "val:int,cpu-index?:int" taken apart.
static GArray *parse_args(const char *spec)
{
    GArray *args = g_array_new(FALSE, FALSE, sizeof(struct arg));
    g_auto(GStrv) items = g_strsplit(spec, ",", -1);

    g_array_set_clear_func(args, arg_clear);
    for (char **item = items; *item; item++) {
        char *colon = strchr(*item, ':');
        bool optional = colon[-1] == '?';
        struct arg arg = {.name = g_strndup(*item, (gsize)(colon - *item) - optional),
                          .optional = optional,
                          .type = find_type(colon + 1)};
        g_array_append_val(args, arg);
    }
    return args;
}

// --- Checking ---

static bool has_type(GVariant *value, const struct arg_type *type)
{
    return !type->signature || strcmp(g_variant_get_type_string(value), type->signature) == 0;
}

// Whether it is there if it must be, and is what it should be.
static bool check_arg(const struct arg *arg, GVariant *args, GError **error)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(args, arg->name, NULL);

    if (!value && !arg->optional)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "Parameter '%s' is missing", arg->name);
    else if (value && !has_type(value, arg->type))
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "Invalid parameter type for '%s', expected: %s", arg->name,
                    arg->type->description);
    else
        return true;
    return false;
}

static bool is_known(const GArray *known, const char *name)
{
    for (unsigned i = 0; i < known->len; i++) {
        if (strcmp(g_array_index(known, struct arg, i).name, name) == 0)
            return true;
    }
    return false;
}

bool qmp_check_args(const struct qmp_command *cmd, GVariant *args, GError **error)
{
    g_autoptr(GArray) known = parse_args(cmd->args);
    GVariantIter iter;
    const char *name;
    bool ok = true;

    for (unsigned i = 0; ok && i < known->len; i++)
        ok = check_arg(&g_array_index(known, struct arg, i), args, error);
    g_variant_iter_init(&iter, args);
    while (ok && g_variant_iter_loop(&iter, "{&sv}", &name, NULL)) {
        ok = is_known(known, name);
        if (!ok)
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "Parameter '%s' is unexpected",
                        name);
    }
    return ok;
}

const char *qmp_arg_str(GVariant *args, const char *name)
{
    const char *text = NULL;

    g_variant_lookup(args, name, "&s", &text);
    return text;
}

uint64_t qmp_arg_u64(GVariant *args, const char *name, uint64_t def)
{
    int64_t value;

    return g_variant_lookup(args, name, "x", &value) ? (uint64_t)value : def;
}

bool qmp_arg_bool(GVariant *args, const char *name, bool def)
{
    gboolean value;

    return g_variant_lookup(args, name, "b", &value) ? value : def;
}

// --- The schema ---

static void add_type(GVariantBuilder *schema, const struct arg_type *type)
{
    if (type->json_type)
        g_variant_builder_add_parsed(
            schema, "<{'name': <%s>, 'meta-type': <'builtin'>, 'json-type': <%s>}>", type->name,
            type->json_type);
    else
        g_variant_builder_add_parsed(
            schema, "<{'name': <%s>, 'meta-type': <'array'>, 'element-type': <'str'>}>",
            type->name);
}

static GVariant *member(const struct arg *arg)
{
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "name", g_variant_new_string(arg->name));
    g_variant_builder_add(&b, "{sv}", "type", g_variant_new_string(arg->type->name));
    if (arg->optional)
        g_variant_builder_add(&b, "{sv}", "default", g_variant_new("mv", NULL));
    return g_variant_new_variant(g_variant_builder_end(&b));
}

static void add_object(GVariantBuilder *schema, const char *name, const char *spec)
{
    g_autoptr(GArray) args = parse_args(spec);
    GVariantBuilder members;

    g_variant_builder_init(&members, G_VARIANT_TYPE("av"));
    for (unsigned i = 0; i < args->len; i++)
        g_variant_builder_add_value(&members, member(&g_array_index(args, struct arg, i)));
    g_variant_builder_add_parsed(schema,
                                 "<{'name': <%s>, 'meta-type': <'object'>, 'members': <%*>}>", name,
                                 g_variant_builder_end(&members));
}

// Its type's name: an object of its own, unless it is empty.
static char *add_members(GVariantBuilder *schema, const char *owner, const char *suffix,
                         const char *spec)
{
    if (!spec[0])
        return g_strdup("empty");
    char *type = g_strconcat(owner, suffix, NULL);
    add_object(schema, type, spec);
    return type;
}

static void add_command(GVariantBuilder *schema, const struct qmp_command *cmd)
{
    g_autofree char *type = add_members(schema, cmd->name, "-arg", cmd->args);

    g_variant_builder_add_parsed(
        schema, "<{'name': <%s>, 'meta-type': <'command'>, 'arg-type': <%s>, 'ret-type': <%s>}>",
        cmd->name, type, cmd->gives_value ? "any" : "empty");
}

static void add_event(GVariantBuilder *schema, const char *name, const char *data)
{
    g_autofree char *type = add_members(schema, name, "-data", data);

    g_variant_builder_add_parsed(
        schema, "<{'name': <%s>, 'meta-type': <'event'>, 'arg-type': <%s>}>", name, type);
}

GVariant *qmp_schema(void)
{
    GVariantBuilder schema;

    g_variant_builder_init(&schema, G_VARIANT_TYPE("av"));
    for (size_t i = 0; i < ARRAY_LEN(arg_types); i++)
        add_type(&schema, &arg_types[i]);
    add_object(&schema, "empty", "");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        add_command(&schema, &commands[i]);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        add_event(&schema, events[i].name, events[i].data);
    return g_variant_builder_end(&schema);
}
