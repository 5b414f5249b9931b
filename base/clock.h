// SPDX-License-Identifier: MIT
// Guest time and the queue of things that happen at a given time.
//
// Time is virtual: nanoseconds since the machine was made, a function of retired instructions and of
// skipped idle time. Nothing here reads the host's clock. A timer's state is its deadline alone; it lives
// in its owner's state struct and is saved by the owner's field table. What it calls is wiring, given once
// at registration.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <glib.h>

#include "base/types.h"

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_S    UINT64_C(1000000000)

struct timer {
    uint64_t deadline; // ns of guest time, or CLOCK_NEVER
};

typedef void timer_handler(void *opaque);

struct clock {
    uint64_t base_ns; // state: guest time at the start of the running slice
    // Wiring. The executor that is running a slice says how far it is in it; NULL between slices.
    uint64_t (*elapsed_ns)(void *opaque);
    void *elapsed_opaque;
    // Called when the earliest deadline became earlier than it was, so that a running slice can be cut.
    void (*rearmed)(void *opaque);
    void *rearmed_opaque;
    GArray *timers;     // of struct clock_entry, in order of registration, which breaks ties
    bool outside_stops; // timers of the outside do not fire: what they did is replayed
};

struct clock *clock_new(void);
void clock_free(struct clock *clk);

// Guest time now, in ns, exact to the instruction.
static inline uint64_t clock_now(const struct clock *clk)
{
    return clk->base_ns + (clk->elapsed_ns ? clk->elapsed_ns(clk->elapsed_opaque) : 0);
}

// Makes a timer known; it is disarmed unless its owner loads state into it. Neither is owned by the clock.
void clock_register(struct clock *clk, struct timer *t, timer_handler *handler, void *opaque);
// A timer of a back end. It is no state of the machine: what it does reaches the machine through the door.
void clock_register_outside(struct clock *clk, struct timer *t, timer_handler *handler,
                            void *opaque);
void clock_unregister(struct clock *clk, struct timer *t);
// Arms, or with CLOCK_NEVER disarms. A deadline in the past fires at the next chance.
void clock_at(struct clock *clk, struct timer *t, uint64_t deadline_ns);
// The earliest deadline, or CLOCK_NEVER: of all timers that can fire, or of the machine's own.
uint64_t clock_next(const struct clock *clk);
uint64_t clock_next_inside(const struct clock *clk);
// Runs all handlers due at base_ns, in order of deadline, then of registration: the machine's own, whose number is
// returned, or the outside's, or first the ones and then the others.
unsigned clock_run_inside(struct clock *clk);
void clock_run_outside(struct clock *clk);
void clock_run_due(struct clock *clk);

// Ticks of a counter of `hz` in `ns`, without overflow, rounded down; and the first ns at which the
// counter reads at least `ticks` (CLOCK_NEVER when that is beyond the end of time).
uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t hz);
uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t hz);

#endif
