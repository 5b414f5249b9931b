// SPDX-License-Identifier: MIT
// The timeline: a machine's past, to go back to and forward again. The engine of reverse debugging.
//
// While the machine runs, checkpoints are taken: state by the tables, memory and disks by what was overwritten since
// the last one. Inputs are logged with the instruction at which they came (base/replay.h). To be at any instruction
// of the past, the nearest checkpoint before it is restored, and the machine runs from there with the inputs of the
// log. How far apart checkpoints are adapts so that they take a small part of the run time; when they need too much
// memory, the oldest are thinned out.
//
// Positions are instruction counts as machine_icount tells them (steps of all CPUs). The *present* is the furthest
// that the machine has come. In the past, everything that the machine does outside has been done already: consoles,
// networks, shared folders and disk images see none of it, and input from outside waits until it is the present
// again. Going forward from the past by timeline_run gets there by itself.
//
// All functions are for the thread that runs the machine, between slices.
#ifndef MACHINE_TIMELINE_H
#define MACHINE_TIMELINE_H

#include <glib.h>

#include "machine/machine.h"

struct timeline;

struct timeline_options {
    uint64_t memory;       // bytes that checkpoints and log may take; 0: TIMELINE_MEMORY
    unsigned cost_percent; // of the run time, for checkpoints; 0: TIMELINE_COST
};

#define TIMELINE_MEMORY (UINT64_C(512) << 20)
#define TIMELINE_COST   5

// The past starts here. `options` may be NULL. One timeline a machine at a time; the machine outlives it. It can be
// made at any time, also of a machine that replays a recording.
struct timeline *timeline_new(struct machine *m, const struct timeline_options *options);
// Returns to the present first.
void timeline_free(struct timeline *t);

// Instead of machine_run, which it calls; takes checkpoints on the way. In the past it stops with STOP_PRESENT when the
// present is reached before `until`: the next call goes on into the unknown. Other stops as by machine_run; a
// breakpoint's too.
enum machine_stop timeline_run(struct timeline *t, icount_t until);

bool timeline_in_past(const struct timeline *t);
icount_t timeline_start(const struct timeline *t); // the oldest position that can be gone to
icount_t timeline_present(const struct timeline *t);

// Brings the machine to a position from timeline_start to timeline_present: before the step that would make it one
// more. False, with the machine where it was: outside of that; or (an error of ours, or a changed file) the machine
// did not do the same as the first time.
bool timeline_goto(struct timeline *t, icount_t icount, GError **error);
// The position before the last `steps` steps of one CPU (of instructions and traps), for reverse-stepi; with several
// CPUs, others may have run in between. False: that is before the start, or the CPU has not run since.
bool timeline_before(struct timeline *t, unsigned cpu, uint64_t steps, icount_t *icount,
                     GError **error);

// Reverse-continue: the last position behind `after` and before the machine's own at which what the caller looks for
// happens; the machine is brought there. `run` is called to run forward by timeline_run with its breakpoints and
// watchpoints, from where the machine is to `until` at most. It returns true when the machine stands at a hit, which
// may be at `until`, and need not be told of a hit at the position where it began: from a hit it goes on behind it.
typedef bool timeline_look(void *opaque, icount_t until);
enum timeline_found {
    TIMELINE_FOUND, // the machine is at the last hit
    TIMELINE_START, // there is none: the machine is at `after`, or at the start if that is later
    TIMELINE_ERROR, // as for timeline_goto
};
enum timeline_found timeline_find_last(struct timeline *t, icount_t after, timeline_look *run,
                                       void *opaque, GError **error);

// Somebody is about to change the machine by hand (registers, memory; between slices), and has changed it. A change
// in the past makes that the present: what came after is forgotten, disk images become what they were then, and
// the outside sees what the machine does from here on.
void timeline_change_begin(struct timeline *t);
void timeline_change_end(struct timeline *t);
// The machine is another one now (a snapshot was loaded): the past starts here.
void timeline_restart(struct timeline *t);

struct timeline_stats {
    unsigned checkpoints;
    uint64_t memory; // bytes
    uint64_t taken;  // checkpoints ever
    uint64_t ns;     // host time spent on them
};
void timeline_get_stats(const struct timeline *t, struct timeline_stats *stats);

#endif
