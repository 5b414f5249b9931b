// SPDX-License-Identifier: MIT
// The log's mask and file, which are the only writable globals of the program, and warnings for the
// user.
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>

unsigned log_mask;
static FILE *log_file; // NULL: stderr

struct channel {
    const char *name, *help;
};

static const struct channel channels[] = {
#define X(e, n, h) [e##_INDEX] = {n, h},
    LOG_CHANNELS(X)
#undef X
};

// The channel's bit, or 0 if there is none of that name.
static unsigned channel_find(const char *name)
{
    for (unsigned i = 0; i < LOG_NR_CHANNELS; i++) {
        if (!strcmp(channels[i].name, name))
            return 1u << i;
    }
    return 0;
}

bool log_set_mask(const char *list, GError **error)
{
    g_auto(GStrv) names = g_strsplit(list, ",", -1);
    unsigned mask = 0;
    for (char **name = names; *name; name++) {
        unsigned bit = channel_find(*name);
        if (!bit) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                        "-d: there is no log channel '%s' (-d help lists them)", *name);
            return false;
        }
        mask |= bit;
    }
    log_mask = mask;
    return true;
}

bool log_set_file(const char *path, GError **error)
{
    FILE *f = fopen(path, "we");
    if (!f) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "-D: cannot write '%s': %s", path,
                    g_strerror(errno));
        return false;
    }
    setvbuf(f, NULL, _IOLBF, 0); // the last lines are what is wanted after a crash
    if (log_file)
        fclose(log_file);
    log_file = f;
    return true;
}

void log_print_help(FILE *out)
{
    fputs("Log channels (for -d, separated by commas):\n", out);
    for (unsigned i = 0; i < LOG_NR_CHANNELS; i++)
        fprintf(out, "%-13s %s\n", channels[i].name, channels[i].help);
}

FILE *log_stream(void)
{
    return log_file ? log_file : stderr;
}

void log_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(log_stream(), fmt, args);
    va_end(args);
}

void warn_user(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    fprintf(stderr, "ferry: warning: %s\n", text);
}

GQuark ferry_error_quark(void)
{
    return g_quark_from_static_string("ferry-error");
}
