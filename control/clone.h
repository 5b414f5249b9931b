// SPDX-License-Identifier: MIT
// Clones: the machine goes on in a second process, as it is at this instruction.
//
// The clone is made by fork, so memory is shared until one of the two writes to it. What a process holds of the
// host it gets anew: translated code, disk overlays, networks (open connections end), and the character devices that
// are named; the others are connected to nothing. Monitors and QMP servers stay on their devices. It has no terminal,
// and does not end with the process that it came from.
#ifndef CONTROL_CLONE_H
#define CONTROL_CLONE_H

#include <sys/types.h>

#include "control/panel.h"

struct clone_options {
    GHashTable
        *chardevs; // char * -> char *: id of a character device -> what it becomes, as in -serial
    bool stop;     // it does not run; else it does, even if the original does not
    bool has_seed; // of its entropy; else it goes on like the original's
    uint64_t seed;
};

// Forks. Returns in both processes: *pid is 0 in the clone. False: there is no clone, and nothing has changed. The
// caller in the clone returns to the main loop soon, and talks to nobody.
bool clone_make(struct panel *p, const struct clone_options *opts, pid_t *pid, GError **error);

// The panel's list of clones that still run. Their end is an event (CLONE_ENDED).
GPtrArray *clone_list_new(void);
pid_t clone_pid_at(const struct panel *p, unsigned index); // 0 past the last

#endif
