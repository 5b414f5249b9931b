// SPDX-License-Identifier: MIT
// Waiting for the host: file descriptors of back ends and what is to be done before and after a wait.
//
// One poller per machine, owned by whoever runs its main loop, which calls poller_wait() between slices.
// Handlers therefore run between slices, on the main loop's thread; nothing here is thread-safe except
// poller_wake().
#ifndef BACKEND_POLL_H
#define BACKEND_POLL_H

#include <glib.h>
#include <poll.h>

#include "base/types.h"

struct poller;
struct poll_watch;

struct poller *poller_new(void);
// All back ends that use it must be closed before.
void poller_free(struct poller *p);

// Waits until a descriptor is ready, poller_wake() was called, or timeout_ms passed (-1: no limit, 0: only
// looks), and runs the handlers. Flushes pending output first. TRUE if anything happened.
bool poller_wait(struct poller *p, int timeout_ms);
// Ends the running or the next wait. May be called from another thread or a signal handler.
void poller_wake(struct poller *p);

// This process is a copy made by fork, from within a handler or not: the two must not wake each other.
void poller_forked(struct poller *p);

// Called in each wait when it is over, before any handler runs: brings the machine's time up to the present,
// so that input arrives when it does.
void poller_set_woken(struct poller *p, void (*handler)(void *opaque), void *opaque);

// Some back end expects an answer of the host soon (an open connection, say): who skips idle guest time
// should rather let it pass at the host's pace.
bool poller_expects_input(struct poller *p);

// Called, from within a slice, when a back end has input waiting that the guest just made room for: whoever
// runs the machine should end the slice soon and call poller_wait(). Without a handler, input is slow.
void poller_set_attention(struct poller *p, void (*handler)(void *opaque), void *opaque);

// The user asked to leave (Ctrl-A x on a multiplexed console). Sticky.
bool poller_quit_asked(const struct poller *p);
void poller_ask_quit(struct poller *p);

// --- For back ends ---

// `revents` as poll(2) reports them.
typedef void poll_handler(void *opaque, short revents);

// Watches fd, which stays the caller's. Starts with no events, that is: not polled at all.
struct poll_watch *poller_watch(struct poller *p, int fd, poll_handler *handler, void *opaque);
void poll_watch_events(struct poll_watch *w, short events);
// Callable from within handlers. NULL does nothing.
void poll_unwatch(struct poll_watch *w);

struct poll_hook {
    // Before each wait: flush, choose events, add descriptors of this round, lower *timeout_ms (-1: none).
    void (*prepare)(void *opaque, int *timeout_ms);
    void (*done)(void *opaque);    // after each wait; may be NULL
    bool (*expects)(void *opaque); // see poller_expects_input; may be NULL
    void *opaque;
};
void poller_add_hook(struct poller *p, const struct poll_hook *hook);
void poller_remove_hook(struct poller *p, void *opaque);

// In prepare: a descriptor for this round only. Its index is good for poller_round_revents in done.
int poller_round_add(struct poller *p, int fd, short events);
short poller_round_revents(const struct poller *p, int index);

void poller_attention(struct poller *p);
// In prepare: something was handed to a front end already, so this wait must not block.
void poller_happened(struct poller *p);

// Counts from 0: numbers of network back ends.
unsigned poller_next_nic(struct poller *p);

// Standard input and output have one user. FALSE if they have one already.
bool poller_claim_stdio(struct poller *p);
void poller_release_stdio(struct poller *p);

#endif
