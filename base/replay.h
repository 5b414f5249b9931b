// SPDX-License-Identifier: MIT
// The one door between a machine and the host's unpredictable world.
//
// Whatever comes from outside (typed characters, packets, the host's clock, entropy) passes here, and the
// door knows the instruction count at which it did; so that it can be recorded and replayed. No other file
// may read the host's clock or randomness. By default nothing is recorded, entropy is a generator seeded
// with a fixed number (-seed changes it), and the real-time clock starts at a given date (-rtc base=).
#ifndef BASE_REPLAY_H
#define BASE_REPLAY_H

#include <glib.h>

#include "base/state.h"
#include "base/types.h"

enum door_input {
    DOOR_CHAR,    // bytes into a character device
    DOOR_PACKET,  // a packet into a network device
    DOOR_CLOCK,   // the host's wall clock
    DOOR_ENTROPY, // random bytes
    DOOR_CONTROL, // a command of the user that changes the machine
};

struct door;

struct door *door_new(uint64_t seed);
void door_free(struct door *door);

// Tells the door how to know the machine's time; called once by the machine.
void door_set_icount(struct door *door, icount_t (*icount)(void *opaque), void *opaque);

// A receiver of inputs of one kind, named for the log ("serial0"). Returned id is stable for equal machines.
typedef void door_handler(void *opaque, const uint8_t *data, size_t len);
unsigned door_register(struct door *door, enum door_input kind, const char *name,
                       door_handler *handler, void *opaque);

// An input arrived from the host. It is handed to the receiver now if the machine is between slices, at
// the current instruction count, and recorded if recording; within a slice it waits for the slice's end.
void door_deliver(struct door *door, unsigned id, const uint8_t *data, size_t len);
// The same at an instruction count to come, for scripts (and for inputs that are replayed): equal counts in
// order of the calls.
void door_deliver_at(struct door *door, unsigned id, icount_t when, const uint8_t *data, size_t len);

// The machine's side: it ends a slice no later than at door_next (UINT64_MAX: nothing waits), tells when a
// slice runs, and between slices calls door_run_due, which hands over all that is due.
icount_t door_next(const struct door *door);
void door_set_running(struct door *door, bool running);
void door_run_due(struct door *door);

// Random bytes for the guest: from the seeded generator, which is state.
void door_entropy(struct door *door, void *buf, size_t len);
// Seeds the generator anew.
void door_set_seed(struct door *door, uint64_t seed);
// The wall clock, seconds and nanoseconds since 1970, at guest time zero of this machine. Read from the host
// once per machine, or fixed by door_set_epoch.
uint64_t door_epoch_ns(struct door *door);
void door_set_epoch(struct door *door, uint64_t ns);

// Host monotonic time in ns, for pacing and for reports only: never for a value that a guest can see.
uint64_t door_host_ns(void);
// The host's wall clock, in ns since 1970: the same.
uint64_t door_host_epoch_ns(void);

// The door's own state (the generator), for snapshots and hashes.
extern const struct state_field door_state_fields[];
void *door_state(struct door *door);

#endif
