// SPDX-License-Identifier: MIT
// The main loop: runs a machine in slices, and between them lets the host in: input, output, signals. It decides
// how guest time passes while the guest waits. What state the machine is in, and when it is all over, is
// control/vm.h's.
#ifndef CONTROL_MAINLOOP_H
#define CONTROL_MAINLOOP_H

#include <stdio.h>

#include "control/vm.h"

// Status when -until was reached; guests that give codes rarely use it, and timeout(1) means the same by it.
#define MAINLOOP_STATUS_UNTIL 124

struct mainloop_options {
    bool paced;          // idle time passes at the host's pace
    icount_t until;      // 0: no limit
    icount_t hash_every; // 0: no hashes
    FILE *hash_out;
    struct record *record; // of the recording or replay; NULL: none
    int signal_fd; // of signals to obey, see mainloop_open_signals; -1: none
};

// Blocks SIGINT, SIGTERM, SIGHUP and SIGCONT in this thread and those that it starts, and ignores SIGPIPE.
// Returns a descriptor to read them from, or -1 with an error.
int mainloop_open_signals(GError **error);

// Runs, or while the machine is stopped waits, until the guest or the user ends it; returns the exit status.
int mainloop_run(struct vm *vm, const struct mainloop_options *opts);

#endif
