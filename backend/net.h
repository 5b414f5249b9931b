// SPDX-License-Identifier: MIT
// Network back ends: Ethernet frames to and from the host's side.
//
// Frames for the guest are queued here and pass the replay door. What the back end answers by itself (DHCP,
// ARP, TFTP) arrives at a fixed delay of guest time; what the host's network sends, when it comes.
#ifndef BACKEND_NET_H
#define BACKEND_NET_H

#include <glib.h>
#include <stdio.h>

#include "backend/options.h"
#include "backend/poll.h"
#include "base/clock.h"
#include "base/replay.h"
#include "base/types.h"

struct netdev;

struct netdev_front {
    bool (*can_receive)(void *opaque); // side-effect free
    void (*receive)(void *opaque, const uint8_t *frame, size_t len);
    void *opaque;
    const char *name;    // the device's id; copied
    struct door *door;   // of the machine
    struct clock *clock; // of the machine
};

struct netdev_stats {
    uint64_t tx_frames, tx_bytes, tx_dropped; // from the guest
    uint64_t rx_frames, rx_bytes, rx_dropped; // to the guest
};

// `-netdev user,id=ID,...`: opts was parsed with the implied key "type". Checks and frees opts. The caller
// closes the result after the machine and before the poller is freed.
struct netdev *netdev_open(struct options *opts, struct poller *p, GError **error);
void netdev_close(struct netdev *net); // NULL does nothing
// One line per kind, for `-netdev help`.
void netdev_print_help(FILE *out);

// One frame from the guest. Never fails as seen by the guest; what can't be sent is dropped and counted. A
// NULL net swallows it.
void netdev_send(struct netdev *net, const uint8_t *frame, size_t len);
// Connects the device side: one at most.
bool netdev_attach(struct netdev *net, const struct netdev_front *front, GError **error);
void netdev_detach(struct netdev *net);
// The device has receive buffers again: queued frames may be offered.
void netdev_accept_input(struct netdev *net);
// In a process that is a copy made by fork: ends all connections and forwarded ports, which are the original's, and
// starts anew.
bool netdev_forked(struct netdev *net, GError **error);
const char *netdev_id(const struct netdev *net);
// Its number among the machine's, in order of opening: for addresses that must differ.
unsigned netdev_index(const struct netdev *net);
bool netdev_is_attached(const struct netdev *net);
const struct netdev_stats *netdev_get_stats(const struct netdev *net);

// Port forwarding while the machine runs; rule as in hostfwd=. For the monitor's hostfwd_add and _remove.
bool netdev_hostfwd_add(struct netdev *net, const char *rule, GError **error);
bool netdev_hostfwd_remove(struct netdev *net, const char *rule, GError **error);
// What `info usernet` shows; newly allocated, NULL if this kind has nothing to tell.
char *netdev_info(struct netdev *net);

// --- For snapshots of machines ---

// What the host's side knows of the guest, and what is on its way to it, as bytes. Connections are not in it.
void netdev_save(struct netdev *net, GByteArray *out);
// Takes such bytes, or (check) only says if they make sense; FALSE: they do not, and nothing has changed. The host's side
// begins anew.
bool netdev_load(struct netdev *net, const uint8_t *data, size_t len, bool check);

#endif
