// SPDX-License-Identifier: MIT
// Character back ends: where the bytes of a UART or console come from and go to.
//
// Output is written at once (buffered per slice, flushed by the main loop and when large). Input arrives in
// the main loop between slices, passes the replay door, and is offered to the front end as long as it has
// room.
#ifndef BACKEND_CHARDEV_H
#define BACKEND_CHARDEV_H

#include <glib.h>

#include "base/replay.h"
#include "base/types.h"

struct chardev;

struct chardev_front {
    // How many bytes the device can take now.
    size_t (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t len);
    void (*event)(void *opaque, bool opened); // may be NULL
    void *opaque;
};

// Writes bytes; never blocks for long: what the host can't take now is kept. A NULL chr swallows them.
void chardev_write(struct chardev *chr, const uint8_t *data, size_t len);
// Connects the device side; a chardev has one front end unless it is a multiplexer.
bool chardev_attach(struct chardev *chr, const struct chardev_front *front, GError **error);
// The device has room again: pending input may be offered.
void chardev_accept_input(struct chardev *chr);
const char *chardev_id(const struct chardev *chr);

#endif
