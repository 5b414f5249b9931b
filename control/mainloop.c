// SPDX-License-Identifier: MIT
// The main loop and pacing.
//
// A slice is a number of instructions that takes about SLICE_NS of host time, or less if something exact comes
// first. How long slices are changes nothing that a guest can see.
//
// Paced, guest time may pass the host's time (plus an offset) only by executing, never by skipping idle time.
// The offset takes up what the host is too slow or too fast for: after a busy stretch, `sleep 1` still takes a
// second. Small lags are not forgiven but made up for while idle, so that a clock in the guest goes right.
#include "control/mainloop.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "backend/chardev_open.h"
#include "base/log.h"

#define NS_PER_MS    UINT64_C(1000000)
#define SLICE_NS     (10 * NS_PER_MS) // what a slice should take
#define SLICE_FIRST  (UINT64_C(1) << 18)
#define SLICE_MIN    (UINT64_C(1) << 12)
#define SLICE_MAX    (UINT64_C(1) << 30)
#define TOLERANCE_NS (50 * NS_PER_MS) // lag or lead that is made up for
#define NETWORK_IDLE_NS \
    (10 * NS_PER_MS) // idle time skipped at once while answers may be on their way

struct mainloop {
    struct vm *vm;
    struct machine *m;
    struct session *s;
    const struct mainloop_options *opts;
    uint64_t slice; // instructions
    icount_t next_hash;
    icount_t last_hash; // of the last line printed
    bool pacing;
    uint64_t offset_ns; // host time less guest time, modulo 2^64
    bool waiting;       // the machine is idle, and the host is waited for
};

// --- Signals ---

int mainloop_open_signals(GError **error)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of the write
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "no signal descriptor: %s",
                    g_strerror(errno));
    return fd;
}

static void signals_arrived(void *opaque, short revents)
{
    struct mainloop *l = opaque;
    struct signalfd_siginfo info;

    (void)revents;
    while (read(l->opts->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCONT) {
            for (unsigned i = 0; i < l->s->chardevs->len; i++)
                chardev_continued(g_ptr_array_index(l->s->chardevs, i));
        } else if (!l->vm->over) {
            vm_quit_saying(l->vm, VM_CAUSE_SIGNAL, 0, "terminating on signal %u", info.ssi_signo);
        }
    }
}

// --- Time ---

static uint64_t guest_now(const struct mainloop *l)
{
    return clock_now(l->m->clock);
}

// The guest time that the host's clock stands for.
static uint64_t pace_target(const struct mainloop *l)
{
    return door_host_ns() - l->offset_ns;
}

static void set_pacing(struct mainloop *l, bool on)
{
    if (on && !l->pacing)
        l->offset_ns = door_host_ns() - guest_now(l);
    l->pacing = on;
}

static void find_next_hash(struct mainloop *l)
{
    if (l->opts->hash_every)
        l->next_hash = (machine_icount(l->m) / l->opts->hash_every + 1) * l->opts->hash_every;
}

// Time that passed while the machine was stopped, or that it jumped over, is nothing to make up for.
static void vm_changed(void *opaque, const struct vm_event *event)
{
    struct mainloop *l = opaque;

    if (event->kind == VM_EVENT_RESUME || event->kind == VM_EVENT_REPLACED)
        l->offset_ns = door_host_ns() - guest_now(l);
    if (event->kind == VM_EVENT_REPLACED)
        find_next_hash(l);
}

// After a slice that took `host` ns and in which instructions took `guest` ns: what went wrong by more than the
// tolerance is forgotten, as far as execution is to blame.
static void forgive(struct mainloop *l, uint64_t host, uint64_t guest)
{
    int64_t lag = (int64_t)(pace_target(l) - guest_now(l));
    int64_t blame = (int64_t)(host - guest);
    int64_t tolerance = TOLERANCE_NS;

    if (lag > tolerance && blame > 0)
        l->offset_ns += (uint64_t)MIN(lag - tolerance, blame);
    else if (lag < -tolerance && blame < 0)
        l->offset_ns -= (uint64_t)MIN(-lag - tolerance, -blame);
}

// How far idle time may be skipped in the next slice.
static uint64_t idle_limit(const struct mainloop *l)
{
    uint64_t now = guest_now(l);

    if (l->pacing)
        return (int64_t)(pace_target(l) - now) > 0 ? pace_target(l) : now;
    return l->s->networked && !l->m->cfg->replay ? now + NETWORK_IDLE_NS : CLOCK_NEVER;
}

// Input is about to arrive, or the wait is over: the time that was spent waiting has passed for the guest, too.
static void woken(void *opaque)
{
    struct mainloop *l = opaque;

    if (!l->waiting || !l->pacing)
        return;
    l->m->idle_limit_ns = idle_limit(l);
    vm_run(l->vm, machine_icount(l->m));
}

// How long to wait for the host; -1: until something happens.
static int idle_timeout_ms(const struct mainloop *l)
{
    uint64_t next = clock_next(l->m->clock);

    if (next == CLOCK_NEVER)
        return -1;
    if (!l->pacing)
        return 0;
    int64_t ns = (int64_t)(next - pace_target(l));
    if (ns <= 0)
        return 0;
    return (int)MIN((ns + (int64_t)NS_PER_MS - 1) / (int64_t)NS_PER_MS, INT_MAX);
}

static void wait_idle(struct mainloop *l)
{
    set_pacing(l, l->opts->paced || poller_expects_input(l->s->poller));
    int timeout_ms = idle_timeout_ms(l);
    if (!timeout_ms)
        return; // the next slice goes on
    l->waiting = true;
    poller_wait(l->s->poller, timeout_ms);
    l->waiting = false;
}

// --- Slices ---

// Where the next slice ends at the latest.
static icount_t slice_end(const struct mainloop *l)
{
    icount_t until = machine_icount(l->m) + l->slice;

    if (l->opts->hash_every)
        until = MIN(until, l->next_hash);
    if (l->opts->until)
        until = MIN(until, l->opts->until);
    return until;
}

static void adapt_slice(struct mainloop *l, uint64_t insns, uint64_t ns)
{
    if (ns > 2 * SLICE_NS)
        l->slice = MAX(l->slice / 2, SLICE_MIN);
    else if (insns == l->slice && ns < SLICE_NS / 2)
        l->slice = MIN(l->slice * 2, SLICE_MAX);
}

static enum machine_stop run_slice(struct mainloop *l)
{
    uint64_t start_ns = door_host_ns();
    icount_t start = machine_icount(l->m);

    l->m->idle_limit_ns = idle_limit(l);
    enum machine_stop stop = vm_run(l->vm, slice_end(l));
    if (machine_icount(l->m) < start)
        return stop; // it went back
    uint64_t ns = door_host_ns() - start_ns, insns = machine_icount(l->m) - start;
    adapt_slice(l, insns, ns);
    if (l->pacing)
        forgive(l, ns, insns << l->m->cfg->icount_shift);
    return stop;
}

static void print_hash(struct mainloop *l)
{
    l->last_hash = machine_icount(l->m);
    fprintf(l->opts->hash_out, "%" PRIu64 " %016" PRIx64 "\n", l->last_hash, machine_hash(l->m));
    fflush(l->opts->hash_out);
}

static void reached_count(struct mainloop *l)
{
    icount_t now = machine_icount(l->m);

    if (l->opts->hash_every && now == l->next_hash) {
        if (!l->vm->is_clone) // whose lines would mix with the original's
            print_hash(l);
        l->next_hash += l->opts->hash_every;
    }
    if (l->opts->until && now >= l->opts->until)
        vm_quit_saying(l->vm, VM_CAUSE_QUIT, MAINLOOP_STATUS_UNTIL,
                       "stopped after %" PRIu64 " instructions (-until)", now);
}

// A slice, and what follows from it for time. A driver that moves the machine in steps of its own may return
// at the limit or before.
static void run(struct mainloop *l)
{
    enum machine_stop stop = run_slice(l);

    if (l->vm->over || !vm_is_running(l->vm))
        return;
    if (stop == STOP_IDLE)
        wait_idle(l);
    else
        reached_count(l);
}

static void want_attention(void *opaque)
{
    machine_request_stop(opaque);
}

static void open_loop(struct mainloop *l, struct poll_watch **watch)
{
    struct poller *p = l->s->poller;

    if (l->opts->signal_fd >= 0) {
        *watch = poller_watch(p, l->opts->signal_fd, signals_arrived, l);
        poll_watch_events(*watch, POLLIN);
    }
    poller_set_attention(p, want_attention, l->m);
    poller_set_woken(p, woken, l);
    vm_add_listener(l->vm, vm_changed, l);
    set_pacing(l, l->opts->paced);
}

static void close_loop(struct mainloop *l, struct poll_watch *watch)
{
    struct poller *p = l->s->poller;

    poller_wait(p, 0); // what the guest printed last
    vm_remove_listener(l->vm, vm_changed, l);
    poller_set_attention(p, NULL, NULL);
    poller_set_woken(p, NULL, NULL);
    poll_unwatch(watch);
}

int mainloop_run(struct vm *vm, const struct mainloop_options *opts)
{
    struct mainloop l = {.vm = vm,
                         .m = vm->m,
                         .s = vm->s,
                         .opts = opts,
                         .slice = SLICE_FIRST};
    struct poll_watch *watch = NULL;

    find_next_hash(&l);
    open_loop(&l, &watch);
    while (!vm->over) {
        poller_wait(l.s->poller, vm_is_running(vm) ? 0 : -1);
        if (poller_quit_asked(l.s->poller))
            vm_quit(vm, VM_CAUSE_QUIT, 0);
        if (!vm->over && vm_is_running(vm))
            run(&l);
    }
    if (opts->hash_every && !vm->is_clone && l.last_hash != machine_icount(vm->m))
        print_hash(&l);
    close_loop(&l, watch);
    return vm->status;
}
