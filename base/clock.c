// SPDX-License-Identifier: MIT
// The queue of timers, and the arithmetic of counters.
//
// The queue keeps no order and no copy of a deadline: timers are few, and their owners' state is
// loaded behind the clock's back. Whoever wants the earliest deadline gets it by looking at all of
// them.
#include "base/clock.h"

#include <assert.h>

struct clock_entry {
    struct timer *timer;
    timer_handler *handler;
    void *opaque;
    bool outside;
    bool fired; // in the current run
};

struct clock *clock_new(void)
{
    struct clock *clk = g_new0(struct clock, 1);
    clk->timers = g_array_new(FALSE, FALSE, sizeof(struct clock_entry));
    return clk;
}

void clock_free(struct clock *clk)
{
    if (!clk)
        return;
    g_array_free(clk->timers, TRUE);
    g_free(clk);
}

static struct clock_entry *entry_at(const struct clock *clk, unsigned i)
{
    return &g_array_index(clk->timers, struct clock_entry, i);
}

static void add(struct clock *clk, struct timer *t, const struct clock_entry *e)
{
    t->deadline = CLOCK_NEVER;
    g_array_append_vals(clk->timers, e, 1);
}

void clock_register(struct clock *clk, struct timer *t, timer_handler *handler, void *opaque)
{
    add(clk, t, &(struct clock_entry){.timer = t, .handler = handler, .opaque = opaque});
}

void clock_register_outside(struct clock *clk, struct timer *t, timer_handler *handler,
                            void *opaque)
{
    add(clk, t,
        &(struct clock_entry){.timer = t, .handler = handler, .opaque = opaque, .outside = true});
}

void clock_unregister(struct clock *clk, struct timer *t)
{
    for (unsigned i = 0; i < clk->timers->len; i++) {
        if (entry_at(clk, i)->timer == t) {
            g_array_remove_index(clk->timers, i);
            return;
        }
    }
    assert(!"a timer that was never registered");
}

void clock_at(struct clock *clk, struct timer *t, uint64_t deadline_ns)
{
    bool earlier = deadline_ns < clock_next(clk);
    t->deadline = deadline_ns;
    if (earlier && clk->rearmed)
        clk->rearmed(clk->rearmed_opaque);
}

static uint64_t earliest(const struct clock *clk, bool outside_too)
{
    uint64_t next = CLOCK_NEVER;
    for (unsigned i = 0; i < clk->timers->len; i++) {
        const struct clock_entry *e = entry_at(clk, i);
        if (e->timer->deadline < next && (!e->outside || outside_too))
            next = e->timer->deadline;
    }
    return next;
}

uint64_t clock_next(const struct clock *clk)
{
    return earliest(clk, !clk->outside_stops);
}

uint64_t clock_next_inside(const struct clock *clk)
{
    return earliest(clk, false);
}

// The first timer that is due and has not fired yet, or NULL.
static struct clock_entry *find_due(struct clock *clk, bool outside)
{
    struct clock_entry *due = NULL;
    for (unsigned i = 0; i < clk->timers->len; i++) {
        struct clock_entry *e = entry_at(clk, i);
        if (e->outside == outside && !e->fired && e->timer->deadline <= clk->base_ns &&
            e->timer->deadline != CLOCK_NEVER &&
            (!due || e->timer->deadline < due->timer->deadline))
            due = e;
    }
    return due;
}

// Each timer fires at most once in a call, so that a guest which programs a period of zero can't
// hold us here; what its handler arms in the past is due again at the next call. A handler may
// register and unregister timers, hence the new look after each.
static unsigned run_due(struct clock *clk, bool outside)
{
    struct clock_entry *e;
    unsigned count = 0;
    for (unsigned i = 0; i < clk->timers->len; i++)
        entry_at(clk, i)->fired = false;
    for (; (e = find_due(clk, outside)); count++) {
        e->fired = true;
        e->timer->deadline = CLOCK_NEVER;
        e->handler(e->opaque);
    }
    return count;
}

unsigned clock_run_inside(struct clock *clk)
{
    return run_due(clk, false);
}

void clock_run_outside(struct clock *clk)
{
    if (!clk->outside_stops)
        run_due(clk, true);
}

void clock_run_due(struct clock *clk)
{
    clock_run_inside(clk);
    clock_run_outside(clk);
}

// (a * b + round) / c for quotients that fit; the wide product only where it is needed.
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c, uint64_t round)
{
    uint64_t product;
    if (likely(!__builtin_mul_overflow(a, b, &product) && product <= UINT64_MAX - round))
        return (product + round) / c;
    return (uint64_t)(((unsigned __int128)a * b + round) / c);
}

// Whole seconds and the rest apart: neither needs more than 64 bits for counters up to 18 GHz.
uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t hz)
{
    return ns / NS_PER_S * hz + mul_div(ns % NS_PER_S, hz, NS_PER_S, 0);
}

uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t hz)
{
    uint64_t ns;
    if (!hz)
        return ticks ? CLOCK_NEVER : 0;
    uint64_t rest = mul_div(ticks % hz, NS_PER_S, hz, hz - 1);
    if (__builtin_mul_overflow(ticks / hz, NS_PER_S, &ns) || __builtin_add_overflow(ns, rest, &ns))
        return CLOCK_NEVER;
    return ns;
}
