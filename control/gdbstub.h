// SPDX-License-Identifier: MIT
// The debugger's stub: lets gdb look into a machine and steer it, over gdb's remote serial protocol.
//
// A machine stops when gdb connects, and stays as it is when gdb goes without a word; detaching lets it go on.
// Breakpoints and watchpoints leave no trace in the guest (translator/debug.h), so what a debugged machine does is
// what it does without, instruction by instruction.
#ifndef CONTROL_GDBSTUB_H
#define CONTROL_GDBSTUB_H

#include "backend/chardev.h"
#include "control/vm.h"

struct gdbstub;

// Becomes the front end of `chr`, which the caller closes later, and a listener of `vm`. One stub a machine.
struct gdbstub *gdbstub_new(struct vm *vm, struct chardev *chr, GError **error);
void gdbstub_free(struct gdbstub *g);

// What -gdb says, with what goes without saying: tcp:HOST:PORT and unix:PATH are servers that do not wait, without a
// host on this machine alone. Newly allocated.
char *gdbstub_complete_spec(const char *spec);

#endif
