// SPDX-License-Identifier: MIT
// The short forms of character back ends ("tcp:HOST:PORT,server=on") put into -chardev's options.
#include <string.h>

#include "backend/chardev_impl.h"
#include "base/log.h"

// "HOST:PORT,options"; a host with colons is in brackets.
static void split_host(struct options *o, const char *address)
{
    const char *colon = strrchr(address, ':');
    if (!colon) {
        options_fail(o, "address", "'%s' is not HOST:PORT", address);
        return;
    }
    bool bracketed = address[0] == '[' && colon > address && colon[-1] == ']';
    char *host = bracketed ? g_strndup(address + 1, (gsize)(colon - address - 2))
                           : g_strndup(address, (gsize)(colon - address));
    options_add(o, "host", host);
    options_add(o, "port", colon + 1);
    g_free(host);
}

static struct options *parse_tcp(const char *what, const char *rest)
{
    struct options *o = options_parse(what, rest, "address");
    char *address = g_strdup(options_str(o, "address"));
    if (address)
        split_host(o, address);
    options_set(o, "backend", "socket");
    g_free(address);
    return o;
}

static struct options *parse_telnet(const char *what, const char *rest)
{
    struct options *o = parse_tcp(what, rest);
    options_set(o, "telnet", "on");
    return o;
}

static struct options *parse_unix(const char *what, const char *rest)
{
    struct options *o = options_parse(what, rest, "path");
    options_set(o, "backend", "socket");
    return o;
}

static struct options *parse_path(const char *what, const char *kind, const char *path)
{
    struct options *o = options_parse(what, "", NULL);
    options_set(o, "backend", kind);
    if (*path)
        options_set(o, "path", path);
    return o;
}

static struct options *parse_file(const char *what, const char *rest)
{
    return parse_path(what, "file", rest);
}

static struct options *parse_pipe(const char *what, const char *rest)
{
    return parse_path(what, "pipe", rest);
}

static const struct {
    const char *prefix;
    struct options *(*parse)(const char *what, const char *rest);
} prefixes[] = {
    {"tcp:", parse_tcp},   {"telnet:", parse_telnet}, {"unix:", parse_unix},
    {"file:", parse_file}, {"pipe:", parse_pipe},
};

static struct options *parse(const char *what, const char *spec)
{
    for (unsigned i = 0; i < ARRAY_LEN(prefixes); i++)
        if (g_str_has_prefix(spec, prefixes[i].prefix))
            return prefixes[i].parse(what, spec + strlen(prefixes[i].prefix));
    if (spec[0] == '/')
        return parse_path(what, "serial", spec);
    return options_parse(what, spec, "backend");
}

// "mon:" in front: the monitor shares it, and Ctrl-C goes to the guest.
static void share_with_monitor(struct options *o, bool is_stdio)
{
    options_set(o, "mux", "on");
    if (is_stdio)
        options_set(o, "signal", "off");
}

bool chardev_open_short(const char *spec, const char *label, struct poller *p,
                        struct chardev_short *out, GError **error)
{
    *out = (struct chardev_short){.none = !strcmp(spec, "none")};
    if (out->none)
        return true;
    if (g_str_has_prefix(spec, "chardev:")) {
        out->existing = g_strdup(spec + strlen("chardev:"));
        return true;
    }
    char *what = g_strdup_printf("%s (%s)", label, spec);
    out->monitor = g_str_has_prefix(spec, "mon:");
    if (out->monitor)
        spec += strlen("mon:");
    struct options *o = parse(what, spec);
    options_set(o, "id", label);
    if (out->monitor)
        share_with_monitor(o, g_str_has_prefix(spec, "stdio"));
    out->chr = chardev_open(o, p, error);
    g_free(what);
    return out->chr != NULL;
}

bool chardev_reopen(struct chardev *chr, const char *spec, GError **error)
{
    char *what = g_strdup_printf("%s (%s)", chr->id, spec ? spec : "null");
    bool shares = spec && (g_str_has_prefix(spec, "mon:") || g_str_has_prefix(spec, "chardev:"));
    bool is_none = !spec || shares || !strcmp(spec, "none");
    struct options *o = parse(what, is_none ? "null" : spec);
    options_set(o, "id", chr->id);
    if (shares || g_str_has_prefix(is_none ? "" : spec, "stdio"))
        options_fail(o, "backend", "a copy of a machine has no terminal: name a file or a socket");
    else if (options_has(o, "wait") && options_bool(o, "wait", true))
        options_fail(o, "wait", "a copy of a machine cannot wait");
    else if (options_bool(o, "server", false))
        options_set(o, "wait", "off");
    g_free(what);
    if (!spec && !options_failed(o) && chr->cls->in_memory) {
        options_free(o);
        return true;
    }
    if (!chardev_reopen_as(chr, o, error))
        return false;
    if (!spec)
        chardev_set_open(chr, false); // nobody is there
    return true;
}
