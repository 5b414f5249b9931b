// SPDX-License-Identifier: MIT
// Shared inside backend/net*.c: what a kind of network back end supplies.
#ifndef BACKEND_NET_IMPL_H
#define BACKEND_NET_IMPL_H

#include "backend/net.h"

// Guest time from what the guest sends to what the back end itself answers.
#define NETDEV_DELAY_NS 10000

struct netdev_class {
    const char *kind; // as in -netdev
    const char *help;
    size_t size; // of the kind's struct, whose first member is `struct netdev`
    // Reads its options; their mistakes come out of options_done(). Then prepares what needs no machine.
    bool (*open)(struct netdev *net, struct options *o, GError **error);
    void (*close)(struct netdev *net);
    // A machine is there: net->front is set.
    bool (*start)(struct netdev *net, GError **error);
    void (*stop)(struct netdev *net);
    // Between stop and start in a copy of the process: what the original keeps is not asked for again. May be NULL.
    void (*forked)(struct netdev *net);
    void (*send)(struct netdev *net, const uint8_t *frame, size_t len);
    // At a time of the guest that netdev_tick_at() asked for.
    void (*tick)(struct netdev *net);
    bool (*hostfwd)(struct netdev *net, const char *rule, bool add, GError **error); // may be NULL
    char *(*info)(struct netdev *net);                                               // may be NULL
    // Frames of the guest from which the host's side learned who it is; and a host's side that was made anew is told
    // them. Both may be NULL.
    const GPtrArray *(*lessons)(struct netdev *net); // of GByteArray
    void (*teach)(struct netdev *net, const uint8_t *frame, size_t len);
};

struct netdev {
    const struct netdev_class *cls;
    char *id;
    struct poller *p;
    unsigned index; // among the machine's, in order of opening
    struct netdev_front front;
    char *name; // front.name
    bool attached;
    bool started; // the host's side is there
    bool sending; // a frame of the guest is being handled
    unsigned door_id;
    GQueue rx;           // of struct frame, for the guest
    struct timer rx_due; // when the first of them may be delivered
    struct timer tick;
    struct netdev_stats stats;
};

extern const struct netdev_class netdev_user_class;

// A frame for the guest. Delivered at once between slices, or after the delay if it is an answer.
void netdev_receive(struct netdev *net, const uint8_t *frame, size_t len);
// Asks for a tick at this guest time, unless one comes earlier.
void netdev_tick_at(struct netdev *net, uint64_t deadline_ns);

#endif
