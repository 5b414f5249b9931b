// SPDX-License-Identifier: MIT
// Whose turn it is: CPUs share one host thread in rounds.
//
// A round is a stretch of guest time. Each CPU runs through it in turn, from the same start: so CPUs are
// parallel in guest time though one after the other on the host. With several CPUs awake a round is QUANTUM
// steps or up to the next timer, whichever is less. A CPU awake alone runs up to the next timer, or until it
// wakes another: then its round ends at that very instruction. All this depends on state and on inputs alone, so
// where the host happens to stop and go on makes no difference; nor do the timers of back ends, which cut the round of
// a CPU that is awake alone, and no other.
//
// Inputs come in (door_run_due) wherever sched_run could stop, and nowhere else: before a turn, when what is due of the
// timers has been done. `moves` counts what happens there without a step of a CPU: so steps, moves and guest time name
// such a place.
#ifndef MACHINE_SCHED_H
#define MACHINE_SCHED_H

#include "machine/machine.h"

struct machine_sched {
    // state
    icount_t total;   // steps of all CPUs: instructions, and traps
    uint64_t length;  // of the round, in steps; 0: none is under way
    uint64_t done;    // steps of the current CPU in this round
    uint32_t current; // CPU
    bool solo;        // it is the only one awake in this round
    uint64_t
        moves; // timers that fired, turns that ended, rounds of several CPUs that began, resets
    icount_t ran_to[MACHINE_MAX_CPUS]; // `total` behind the last step of each CPU
    // wiring
    struct machine *m;
    struct cpu *running; // within exec_run
};

extern const struct state_field sched_state_fields[];

struct machine_sched *sched_new(struct machine *m);
void sched_free(struct machine_sched *s);
void sched_reset(struct machine_sched *s);
enum machine_stop sched_run(struct machine_sched *s, icount_t until);

#endif
