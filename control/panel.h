// SPDX-License-Identifier: MIT
// The control panel of a machine: its QMP servers and monitors, and what they share.
#ifndef CONTROL_PANEL_H
#define CONTROL_PANEL_H

#include "control/cmdline.h"
#include "control/json.h"
#include "control/vm.h"

struct panel {
    struct vm *vm;
    const struct cmdline *c;
    struct json *json;   // NULL until a server needs it
    GPtrArray *servers;  // struct qmp *, owned
    GPtrArray *monitors; // struct monitor *, owned
    GPtrArray *clones;   // struct clone *, owned: those that still run
    unsigned
        generation; // one more in each copy: whoever finds it changed is in another process than before
    unsigned cpu; // the CPU that `x`, `info registers` and $registers mean
};

// Opens a server or a monitor on each character device that the session has for one; vm->panel is the result.
struct panel *panel_new(struct vm *vm, const struct cmdline *c, GError **error);
void panel_free(struct panel *p); // NULL does nothing
// One more: a server if `control`.
bool panel_add(struct panel *p, struct chardev *chr, bool control, bool pretty, GError **error);

#endif
