// SPDX-License-Identifier: MIT
// Between the files of the monitor: what a command gets, and expressions.
#ifndef CONTROL_MONITOR_IMPL_H
#define CONTROL_MONITOR_IMPL_H

#include "control/monitor.h"

#define MONITOR_ANY 255 // words

// One command being executed. Not owned.
struct monitor_call {
    struct vm *vm;
    GString *out;       // lines
    const char *format; // behind '/': "8xw", or NULL
    const char *rest;   // of the line, behind name and format
    char **words;       // the same taken apart
    unsigned nr_words;
    const char *why; // set by a command that failed and has said nothing: it was used wrongly
};

typedef bool monitor_command(struct monitor_call *c);

#define COMMAND(name, alias, function, min, max, params, help) monitor_command monitor_##function;
#define INFO(name, function, min, max, params, help)           monitor_command monitor_##function;
#include "control/monitor.def"

void monitor_say(struct monitor_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// Says what went wrong, consumes the error, returns false.
bool monitor_failed(struct monitor_call *c, GError *error);
bool monitor_fail(struct monitor_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// The CPU that commands mean.
struct cpu *monitor_cpu(const struct monitor_call *c);

// Computes an expression; all of the text must be one. `what` is named in the error.
bool monitor_compute(struct monitor_call *c, const char *text, uint64_t *value);

#endif
