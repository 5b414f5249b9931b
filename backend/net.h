// SPDX-License-Identifier: MIT
// Network back ends: Ethernet frames to and from the host's side.
#ifndef BACKEND_NET_H
#define BACKEND_NET_H

#include <glib.h>

#include "base/clock.h"
#include "base/replay.h"
#include "base/types.h"

struct netdev;

struct netdev_front {
    bool (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *frame, size_t len);
    void *opaque;
};

// One frame from the guest. Never fails as seen by the guest; what can't be sent is dropped and counted.
void netdev_send(struct netdev *net, const uint8_t *frame, size_t len);
bool netdev_attach(struct netdev *net, const struct netdev_front *front, GError **error);
// The device has receive buffers again: queued frames may be offered.
void netdev_accept_input(struct netdev *net);
const char *netdev_id(const struct netdev *net);

#endif
