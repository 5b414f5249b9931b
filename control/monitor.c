// SPDX-License-Identifier: MIT
// Lines of the monitor: taken apart, looked up, executed; and help.
#include "control/monitor.h"

#include <string.h>

#include "base/log.h"
#include "control/monitor_impl.h"

struct command {
    const char *name, *alias;
    monitor_command *run;
    uint8_t min, max; // words
    const char *params, *help;
};

static const struct command commands[] = {
#define COMMAND(name, alias, function, min, max, params, help) \
    {name, alias, monitor_##function, min, max, params, help},
#include "control/monitor.def"
};

static const struct command infos[] = {
#define INFO(name, function, min, max, params, help) \
    {name, NULL, monitor_##function, min, max, params, help},
#include "control/monitor.def"
};

// --- What commands say ---

void monitor_say(struct monitor_call *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_string_append_vprintf(c->out, fmt, args);
    va_end(args);
}

bool monitor_failed(struct monitor_call *c, GError *error)
{
    monitor_say(c, "Error: %s\n", error->message);
    g_error_free(error);
    return false;
}

bool monitor_fail(struct monitor_call *c, const char *fmt, ...)
{
    va_list args;

    g_string_append(c->out, "Error: ");
    va_start(args, fmt);
    g_string_append_vprintf(c->out, fmt, args);
    va_end(args);
    g_string_append_c(c->out, '\n');
    return false;
}

struct cpu *monitor_cpu(const struct monitor_call *c)
{
    return c->vm->m->cpus[c->vm->panel ? c->vm->panel->cpu : 0];
}

// --- Looking up and executing ---

static bool is_named(const struct command *cmd, const char *name, size_t len)
{
    const char *const names[] = {cmd->name, cmd->alias};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i] && strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
            return true;
    }
    return false;
}

static const struct command *find(const struct command *table, size_t n, const char *name,
                                  size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (is_named(&table[i], name, len))
            return &table[i];
    }
    return NULL;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t\r");
}

// Words are separated by blanks; quotes and backslashes work as in a shell.
static bool split(struct monitor_call *c)
{
    int n = 0;

    if (*c->rest && !g_shell_parse_argv(c->rest, &n, &c->words, NULL))
        return *c->rest == '#' || monitor_fail(c, "the quotes do not match: %s", c->rest);
    c->nr_words = (unsigned)n;
    return true;
}

static bool used_wrongly(struct monitor_call *c, const char *before, const struct command *cmd)
{
    monitor_say(c, "%s%s: expected '%s%s%s%s'\n", before, cmd->name, before, cmd->name,
                cmd->params[0] && cmd->params[0] != '/' ? " " : "", cmd->params);
    return false;
}

static bool run(struct monitor_call *c, const char *before, const struct command *cmd)
{
    if (cmd->max == MONITOR_ANY)
        return cmd->run(c) || (c->why && used_wrongly(c, before, cmd));
    if (!split(c))
        return false;
    bool ok = c->nr_words >= cmd->min && c->nr_words <= cmd->max ? cmd->run(c)
                                                                 : used_wrongly(c, before, cmd);
    g_strfreev(c->words);
    return ok;
}

static bool unknown(struct monitor_call *c, const char *before, const char *name, size_t len)
{
    monitor_say(c, "unknown command: '%s%.*s'\n", before, (int)len, name);
    return false;
}

bool monitor_execute(struct vm *vm, const char *line, GString *out)
{
    struct monitor_call c = {.vm = vm, .out = out};
    const char *name = skip_blanks(line);
    size_t len = strcspn(name, " \t\r/"); // "x/4xw"

    if (!*name || *name == '#')
        return true;
    const struct command *cmd = find(commands, ARRAY_LEN(commands), name, len);
    if (!cmd)
        return unknown(&c, "", name, len);
    const char *rest = name + len;
    g_autofree char *format = NULL;
    if (cmd->params[0] == '/' && *skip_blanks(rest) == '/') {
        rest = skip_blanks(rest) + 1;
        format = g_strndup(rest, strcspn(rest, " \t\r"));
        rest += strlen(format);
    }
    g_autofree char *trimmed = g_strchomp(g_strdup(skip_blanks(rest)));
    c.format = format;
    c.rest = trimmed;
    return run(&c, "", cmd);
}

bool monitor_info(struct monitor_call *c)
{
    size_t len = strcspn(c->rest, " \t");
    const struct command *cmd = find(infos, ARRAY_LEN(infos), c->rest, len);
    struct monitor_call inner = *c;

    if (!len) {
        for (size_t i = 0; i < ARRAY_LEN(infos); i++)
            monitor_say(c, "info %s%s%s -- %s\n", infos[i].name, infos[i].params[0] ? " " : "",
                        infos[i].params, infos[i].help);
        return true;
    }
    if (!cmd)
        return unknown(c, "info ", c->rest, len);
    inner.rest = skip_blanks(c->rest + len);
    return run(&inner, "info ", cmd);
}

// --- Help ---

static void print_help(struct monitor_call *c, const char *before, const struct command *cmd)
{
    monitor_say(c, "%s%s%s%s%s%s -- %s\n", before, cmd->name, cmd->alias ? "|" : "",
                cmd->alias ? cmd->alias : "", cmd->params[0] ? " " : "", cmd->params, cmd->help);
}

static void print_channels(struct monitor_call *c)
{
#define X(e, name, help) monitor_say(c, "%-15s %s\n", name, help);
    LOG_CHANNELS(X)
#undef X
}

bool monitor_help(struct monitor_call *c)
{
    bool info = c->nr_words == 2 && strcmp(c->words[0], "info") == 0;
    const char *name = c->nr_words ? c->words[info] : NULL;

    for (size_t i = 0; !name && i < ARRAY_LEN(commands); i++)
        print_help(c, "", &commands[i]);
    if (!name)
        return true;
    const struct command *cmd = info ? find(infos, ARRAY_LEN(infos), name, strlen(name))
                                     : find(commands, ARRAY_LEN(commands), name, strlen(name));
    if (!cmd)
        return unknown(c, info ? "info " : "", name, strlen(name));
    print_help(c, info ? "info " : "", cmd);
    if (cmd->run == monitor_log)
        print_channels(c);
    return true;
}
