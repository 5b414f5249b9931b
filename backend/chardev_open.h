// SPDX-License-Identifier: MIT
// Making character back ends from what the user typed.
#ifndef BACKEND_CHARDEV_OPEN_H
#define BACKEND_CHARDEV_OPEN_H

#include <stdio.h>

#include "backend/chardev.h"
#include "backend/options.h"
#include "backend/poll.h"

// `-chardev KIND,id=ID,...`: opts was parsed with the implied key "backend". Checks and frees opts. The caller
// closes the result before the poller is freed.
struct chardev *chardev_open(struct options *opts, struct poller *p, GError **error);

// The short forms of -serial, -monitor, -qmp, -gdb and others: "stdio", "mon:stdio", "null", "none", "pty",
// "file:PATH", "pipe:PATH", "unix:PATH,server=on,wait=off", "tcp:HOST:PORT,...", "telnet:...", "/dev/ttyX",
// "ringbuf". The result's id is `label`.
struct chardev_short {
    char *existing; // "chardev:ID": that ID, and nothing was opened. Owned by the caller
    bool none;      // "none": nothing was opened, and none is wanted
    bool
        monitor; // "mon:": the chardev is a multiplexer that a monitor is to be attached to as well
    struct chardev *chr;
};
bool chardev_open_short(const char *spec, const char *label, struct poller *p,
                        struct chardev_short *out, GError **error);

// In a process that is a copy made by fork: gives up what it shares with the original, and opens what a short form
// names instead, which is none of "chardev:" and "mon:", is not stdio, and waits for nobody. NULL: nobody, unless it
// was in memory only and can stay. Front ends stay; a monitor hears of a new peer.
bool chardev_reopen(struct chardev *chr, const char *spec, GError **error);

// Flushes, restores the terminal, and frees. NULL does nothing.
void chardev_close(struct chardev *chr);
// After the process was stopped and continued (SIGCONT): sets the terminal up again.
void chardev_continued(struct chardev *chr);

// The key that starts commands of a multiplexer, instead of Ctrl-A (-echr).
void chardev_set_escape(struct chardev *chr, uint8_t key);

// One line per kind, for `-chardev help`.
void chardev_print_help(FILE *out);

// Ring buffers only: takes up to len of the oldest bytes out, or puts bytes in as if the guest had printed
// them. FALSE if chr is none.
bool chardev_ring_read(struct chardev *chr, size_t len, GByteArray *out);
bool chardev_ring_write(struct chardev *chr, const uint8_t *data, size_t len);

#endif
