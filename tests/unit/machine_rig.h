// SPDX-License-Identifier: MIT
// Whole machines for tests: the board virt with a program that keeps all devices busy (tests/unit/guests/busy.c), its
// back ends, and somebody who types now and then.
#ifndef TESTS_UNIT_MACHINE_RIG_H
#define TESTS_UNIT_MACHINE_RIG_H

#include "backend/poll.h"
#include "machine/machine.h"

#define MRIG_DISK_SIZE (1 << 20)

struct machine_rig {
    struct machine_config cfg;
    struct machine *m;
    struct poller *poller;
    struct block *disk;
    struct netdev *net;
    struct chardev *serial;
    int peer, serial_fd; // both ends of the serial port: sockets
    GString *output;     // what came out of it
};

struct mrig_options {
    unsigned smp;
    enum machine_accel accel;
    const char *disk; // image; NULL: none
    bool in_place;    // else with an overlay
    bool net;
};

// A temporary folder for the test, with a name that is freed by mrig_remove_folder.
char *mrig_make_folder(void);
void mrig_remove_folder(char *folder);
// An image of MRIG_DISK_SIZE bytes in it, newly allocated.
char *mrig_make_disk(const char *folder);

// All but the machine, so that the configuration can be changed.
void mrig_init(struct machine_rig *r, const struct mrig_options *o);
void mrig_start(struct machine_rig *r);
void mrig_new(struct machine_rig *r, const struct mrig_options *o); // both
void mrig_free(struct machine_rig *r);

// Runs to a count; at each multiple of MRIG_KEY_EACH somebody types a character. `run` is what moves time: machine_run,
// or something around it.
#define MRIG_KEY_EACH 300000
typedef enum machine_stop mrig_mover(void *opaque, icount_t until);
void mrig_run(struct machine_rig *r, icount_t until);
void mrig_run_by(struct machine_rig *r, icount_t until, mrig_mover *run, void *opaque);

#endif
