// SPDX-License-Identifier: MIT
// A session: the back ends that the user asked for, opened, and the configuration of the machine that uses
// them. It owns both and outlives the machine.
#ifndef CONTROL_SESSION_H
#define CONTROL_SESSION_H

#include "backend/poll.h"
#include "control/cmdline.h"
#include "machine/machine.h"
#include "machine/snapshot.h"

// A character device that a monitor, or a QMP server, is to be on.
struct session_terminal {
    struct chardev *chr;
    bool control; // QMP
    bool pretty;
};

struct session {
    struct poller *poller;
    struct machine_config cfg;
    bool terminal;  // standard input is a terminal, and a console of the machine reads it
    struct chardev *gdb; // where the debugger connects, or NULL
    bool networked; // a network card has a host's side: answers from outside are to be waited for
    char *snapshot_dir;
    enum snapshot_form snapshot_form;
    GArray *terminals; // of struct session_terminal
    // Owned, in order of opening.
    GPtrArray *chardevs, *blocks, *netdevs, *fsdevs;
};

// Chooses the board, opens everything. Errors are one line.
struct session *session_new(const struct cmdline *c, GError **error);
// Flushes and closes everything; the terminal is as it was before.
void session_free(struct session *s);

#endif
