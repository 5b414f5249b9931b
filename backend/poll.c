// SPDX-License-Identifier: MIT
// The poller: one poll(2) over all watched descriptors and those that hooks add for a round.
//
// A watch that is removed while handlers run is only marked, and freed when the round is over, so that
// handlers may remove any watch, their own included.
#include "backend/poll.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct poll_watch {
    struct poller *p;
    int fd;
    short events;
    short revents;         // of the running round
    poll_handler *handler; // NULL: removed
    void *opaque;
};

struct poller {
    GPtrArray *watches; // of struct poll_watch, owned
    GArray *hooks;      // of struct poll_hook
    GArray *fds;        // of struct pollfd: the round's; the first is wake_fd
    int wake_fd;        // an eventfd
    bool in_round;      // watches and hooks are being walked
    bool happened;      // in this round
    bool quit_asked;
    bool stdio_claimed;
    unsigned nr_nics;
    void (*attention)(void *opaque);
    void *attention_opaque;
    void (*woken)(void *opaque);
    void *woken_opaque;
};

static int new_wake_fd(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        g_error("no event descriptor: %s", g_strerror(errno));
    return fd;
}

struct poller *poller_new(void)
{
    struct poller *p = g_new0(struct poller, 1);
    p->watches = g_ptr_array_new_with_free_func(g_free);
    p->hooks = g_array_new(FALSE, FALSE, sizeof(struct poll_hook));
    p->fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    p->wake_fd = new_wake_fd();
    return p;
}

void poller_forked(struct poller *p)
{
    close(p->wake_fd);
    p->wake_fd = new_wake_fd();
}

void poller_free(struct poller *p)
{
    if (!p)
        return;
    assert(p->watches->len == 0 && p->hooks->len == 0);
    g_ptr_array_free(p->watches, TRUE);
    g_array_free(p->hooks, TRUE);
    g_array_free(p->fds, TRUE);
    close(p->wake_fd);
    g_free(p);
}

// --- Watches and hooks ---

static struct poll_watch *watch_at(const struct poller *p, unsigned i)
{
    return g_ptr_array_index(p->watches, i);
}

static struct poll_hook *hook_at(const struct poller *p, unsigned i)
{
    return &g_array_index(p->hooks, struct poll_hook, i);
}

struct poll_watch *poller_watch(struct poller *p, int fd, poll_handler *handler, void *opaque)
{
    assert(fd >= 0 && handler);
    struct poll_watch *w = g_new0(struct poll_watch, 1);
    *w = (struct poll_watch){.p = p, .fd = fd, .handler = handler, .opaque = opaque};
    g_ptr_array_add(p->watches, w);
    return w;
}

void poll_watch_events(struct poll_watch *w, short events)
{
    w->events = events;
}

void poll_unwatch(struct poll_watch *w)
{
    if (!w)
        return;
    assert(w->handler);
    w->handler = NULL;
    if (!w->p->in_round)
        g_ptr_array_remove(w->p->watches, w);
}

void poller_add_hook(struct poller *p, const struct poll_hook *hook)
{
    assert(hook->prepare);
    g_array_append_val(p->hooks, *hook);
}

// Never called from within a hook: back ends are closed by their owner.
void poller_remove_hook(struct poller *p, void *opaque)
{
    for (unsigned i = 0; i < p->hooks->len; i++) {
        if (hook_at(p, i)->opaque == opaque) {
            g_array_remove_index(p->hooks, i);
            return;
        }
    }
}

// --- A round ---

static void add_fd(struct poller *p, int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    g_array_append_val(p->fds, pfd);
}

int poller_round_add(struct poller *p, int fd, short events)
{
    add_fd(p, fd, events);
    return (int)p->fds->len - 1;
}

short poller_round_revents(const struct poller *p, int index)
{
    assert(index > 0 && (unsigned)index < p->fds->len);
    return g_array_index(p->fds, struct pollfd, index).revents;
}

// Hooks first: they choose the events of their watches.
static unsigned prepare(struct poller *p, int *timeout_ms)
{
    g_array_set_size(p->fds, 0);
    add_fd(p, p->wake_fd, POLLIN);
    for (unsigned i = 0; i < p->hooks->len; i++)
        hook_at(p, i)->prepare(hook_at(p, i)->opaque, timeout_ms);
    unsigned first = p->fds->len;
    for (unsigned i = 0; i < p->watches->len; i++) {
        struct poll_watch *w = watch_at(p, i);
        w->revents = 0;
        add_fd(p, w->handler && w->events ? w->fd : -1, w->events);
    }
    return first;
}

static void drain_wake(struct poller *p)
{
    uint64_t count;
    if (g_array_index(p->fds, struct pollfd, 0).revents && read(p->wake_fd, &count, 8) < 0)
        assert(errno == EAGAIN);
}

// Watches that handlers add meanwhile have no revents yet.
static void dispatch(struct poller *p, unsigned first)
{
    for (unsigned i = 0; first + i < p->fds->len; i++)
        watch_at(p, i)->revents = g_array_index(p->fds, struct pollfd, first + i).revents;
    for (unsigned i = 0; i < p->watches->len; i++) {
        struct poll_watch *w = watch_at(p, i);
        if (!w->revents || !w->handler)
            continue;
        w->handler(w->opaque, w->revents);
        p->happened = true;
    }
}

static void sweep(struct poller *p)
{
    for (unsigned i = p->watches->len; i-- > 0;)
        if (!watch_at(p, i)->handler)
            g_ptr_array_remove_index(p->watches, i);
}

bool poller_wait(struct poller *p, int timeout_ms)
{
    assert(!p->in_round);
    p->in_round = true;
    p->happened = false;
    unsigned first = prepare(p, &timeout_ms);
    int n = poll((struct pollfd *)(void *)p->fds->data, p->fds->len, p->happened ? 0 : timeout_ms);
    if (n <= 0) // interrupted by a signal counts as nothing ready
        for (unsigned i = 0; i < p->fds->len; i++)
            g_array_index(p->fds, struct pollfd, i).revents = 0;
    drain_wake(p);
    if (p->woken)
        p->woken(p->woken_opaque);
    dispatch(p, first);
    for (unsigned i = 0; i < p->hooks->len; i++)
        if (hook_at(p, i)->done)
            hook_at(p, i)->done(hook_at(p, i)->opaque);
    p->in_round = false;
    sweep(p);
    return p->happened;
}

void poller_wake(struct poller *p)
{
    int saved = errno;
    uint64_t one = 1;
    if (write(p->wake_fd, &one, sizeof(one)) < 0)
        assert(errno == EAGAIN); // the counter is full: it will wake all the same
    errno = saved;
}

// --- What back ends tell the main loop ---

void poller_set_woken(struct poller *p, void (*handler)(void *opaque), void *opaque)
{
    p->woken = handler;
    p->woken_opaque = opaque;
}

bool poller_expects_input(struct poller *p)
{
    for (unsigned i = 0; i < p->hooks->len; i++)
        if (hook_at(p, i)->expects && hook_at(p, i)->expects(hook_at(p, i)->opaque))
            return true;
    return false;
}

void poller_set_attention(struct poller *p, void (*handler)(void *opaque), void *opaque)
{
    p->attention = handler;
    p->attention_opaque = opaque;
}

void poller_attention(struct poller *p)
{
    if (p->attention)
        p->attention(p->attention_opaque);
}

void poller_happened(struct poller *p)
{
    p->happened = true;
}

bool poller_quit_asked(const struct poller *p)
{
    return p->quit_asked;
}

void poller_ask_quit(struct poller *p)
{
    p->quit_asked = true;
}

unsigned poller_next_nic(struct poller *p)
{
    return p->nr_nics++;
}

bool poller_claim_stdio(struct poller *p)
{
    bool was_free = !p->stdio_claimed;
    p->stdio_claimed = true;
    return was_free;
}

void poller_release_stdio(struct poller *p)
{
    p->stdio_claimed = false;
}
