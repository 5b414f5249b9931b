// SPDX-License-Identifier: MIT
// The monitor: commands for people, in QEMU's spelling. A terminal of it is a front end of a character device; the
// debugger's `monitor` and QMP's human-monitor-command execute single lines.
//
// Commands are a table (control/monitor.def).
#ifndef CONTROL_MONITOR_H
#define CONTROL_MONITOR_H

#include "control/panel.h"

// Executes one line, and appends what it prints, in lines. False: there is no such command, or it failed, and the
// text says why. Between slices.
bool monitor_execute(struct vm *vm, const char *line, GString *out);

struct monitor;

// A terminal with a prompt, line editing and a history.
struct monitor *monitor_new(struct panel *p, struct chardev *chr, GError **error);
void monitor_free(struct monitor *mon);

#endif
