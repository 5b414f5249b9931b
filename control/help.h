// SPDX-License-Identifier: MIT
// What -help, -machine help, -device NAME,help and their like print.
#ifndef CONTROL_HELP_H
#define CONTROL_HELP_H

#include "control/cmdline.h"

// Prints what c->help asks for to stdout. FALSE: it names something that there is not.
bool help_print(const struct cmdline *c, GError **error);
// The snapshots of a folder, a line each. Newly allocated, or NULL with an error.
char *help_snapshots(const char *dir, GError **error);

#endif
