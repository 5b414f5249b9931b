// SPDX-License-Identifier: MIT
// Options and what handles their arguments. Private to the command line: control/cmdline.c has the table,
// control/handlers.c the handlers.
#ifndef CONTROL_OPTION_H
#define CONTROL_OPTION_H

#include "control/cmdline.h"

struct option;
typedef bool option_handler(struct cmdline *c, const struct option *o, const char *arg,
                            GError **error);

enum option_group {
    GROUP_MACHINE,
    GROUP_BOOT,
    GROUP_DEVICES,
    GROUP_CHARS,
    GROUP_TIME,
    GROUP_SNAPSHOTS,
    GROUP_DEBUG,
    GROUP_OTHER,
    GROUP_IGNORED,
    GROUP_REFUSED,
};

struct option {
    enum option_group group;
    const char *name;  // without the dash
    const char *alias; // another spelling, or NULL
    const char *arg;   // what -help calls its argument; NULL: it takes none
    const char *help;
    option_handler *handle;
    size_t field; // what the general handlers set
};

// Sets the error to "-name arg: message"; returns false.
bool option_fail(GError **error, const struct option *o, const char *arg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define OPTION(group, name, alias, arg, handle, field, help) option_handler handle;
#include "control/options.def"
#undef OPTION

#endif
