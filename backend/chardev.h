// SPDX-License-Identifier: MIT
// Character back ends: where the bytes of a UART or console come from and go to.
//
// Output is buffered per slice: the main loop's poller_wait() flushes it, and so does a large amount. Input
// arrives in poller_wait(), between slices, and is offered to the front end as long as that has room. Input
// of a front end that belongs to a machine passes the machine's replay door.
#ifndef BACKEND_CHARDEV_H
#define BACKEND_CHARDEV_H

#include <glib.h>

#include "base/replay.h"
#include "base/types.h"

struct chardev;

struct chardev_front {
    // How many bytes the device can take now. Asked before every receive; must be side-effect free.
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t len); // len <= what can_receive said
    void (*event)(void *opaque, bool opened); // a peer came or went; may be NULL
    void (*send_break)(void *opaque);         // the user asked for a break; may be NULL
    void *opaque;
    // A device sets both: dev->env->door and its id. A monitor, which is no part of the machine, neither.
    struct door *door;
    const char *name; // copied
};

// Writes bytes; never blocks for long: what the host can't take now is kept. A NULL chr swallows them.
void chardev_write(struct chardev *chr, const uint8_t *data, size_t len);
// Connects the device side, and a NULL chr to nothing. A chardev has one front end unless it is a
// multiplexer (mux=on). *front is copied.
bool chardev_attach(struct chardev *chr, const struct chardev_front *front, GError **error);
// Disconnects the front end with this opaque, if there is one.
void chardev_detach(struct chardev *chr, void *opaque);
// The device has room again: pending input may be offered. It is taken up in the next poller_wait().
void chardev_accept_input(struct chardev *chr);
// Hands all output to the host now, as far as it takes it.
void chardev_flush(struct chardev *chr);
// The machine's front ends hear anew whether there is a peer: their state was replaced. A NULL chr does nothing.
void chardev_tell_again(struct chardev *chr);

const char *chardev_id(const struct chardev *chr);
// What it is connected to, as query-chardev tells: "pty:/dev/pts/3", "disconnected:tcp:...". Owned by chr.
const char *chardev_describe(const struct chardev *chr);
bool chardev_is_mux(const struct chardev *chr);
bool chardev_is_open(const struct chardev *chr); // has a peer
unsigned chardev_front_count(const struct chardev *chr);

#endif
