// SPDX-License-Identifier: MIT
// QMP: how programs steer a machine. A server on each character device that was asked for; it greets who connects,
// and answers JSON commands with JSON replies and events, as the QEMU Machine Protocol says.
//
// Commands are a table (control/qmp.def): their arguments are checked by it, and query-qmp-schema is made from it.
#ifndef CONTROL_QMP_H
#define CONTROL_QMP_H

#include "control/panel.h"

struct qmp;

// A server on a character device. `pretty`: replies have several lines.
struct qmp *qmp_new(struct panel *p, struct chardev *chr, bool pretty, GError **error);
void qmp_free(struct qmp *q);
// Tells the client, if there is one that has finished negotiating, of an event. `event` is a whole message.
void qmp_send_event(struct qmp *q, GVariant *event);

// Tells all clients of a machine. `data` is an object (a{sv}) or NULL; a floating one is consumed.
void qmp_emit(struct panel *p, const char *name, GVariant *data);
// The panel's listener: makes events of what happens to the machine.
void qmp_vm_event(void *panel, const struct vm_event *event);

// ---- Commands ----

// Carries a command out. `args` has been checked by the table. The result is floating, or NULL: with *error set, or
// without for a command that has nothing to tell.
typedef GVariant *qmp_handler(struct panel *p, GVariant *args, GError **error);

struct qmp_command {
    const char *name;
    qmp_handler *run;
    const char *args; // "val:int,filename:str,cpu-index?:int"; int, str, bool, list (of str), dict, any
    bool gives_value;
};

const struct qmp_command *qmp_command_at(unsigned index); // NULL past the last
const struct qmp_command *qmp_command_find(const char *name);
// Whether the arguments are those of the command.
bool qmp_check_args(const struct qmp_command *cmd, GVariant *args, GError **error);
// What query-qmp-schema returns.
GVariant *qmp_schema(void);

#endif
