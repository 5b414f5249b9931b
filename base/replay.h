// SPDX-License-Identifier: MIT
// The one door between a machine and the host's unpredictable world.
//
// Whatever comes from outside (typed characters, packets, contents of disks and folders, the host's clock) passes
// here, and the door knows where the machine was when it did; so that it can be recorded and replayed. No other
// file may read the host's clock or randomness. By default nothing is recorded, entropy is a generator seeded with a
// fixed number (-seed changes it), and the real-time clock starts at a given date (-rtc base=).
//
// There are inputs, which come by themselves between slices, and answers, which the machine asks for at some
// instruction. When replaying, both come from the log, and what the world has to offer is not looked at. Whether the
// machine does the same as when it was recorded shows: it must be where each input came, and must ask for each
// answer.
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
    DOOR_CONTROL, // a command of the user that changes the machine, or a check of what it is
    DOOR_DISK,    // what is on a disk
    DOOR_FILE,    // what is in a shared folder
};

struct door;
struct journal;

// Where a machine is. Between slices no two states of it have all three in common, but for what inputs changed.
struct door_position {
    icount_t icount; // steps of all CPUs
    uint64_t moves;  // what the scheduler did besides: see machine/sched.h
    uint64_t ns;     // guest time
};

// The machine behind the door, as far as the door must know it.
struct door_machine {
    void (*position)(void *opaque, struct door_position *at);
    void (*stop)(void *opaque); // ends the running slice soon
    void *opaque;
};

struct door *door_new(uint64_t seed);
void door_free(struct door *door);

// Called once by the machine. Without one, all happens at count zero.
void door_set_machine(struct door *door, const struct door_machine *machine);

// A receiver of inputs of one kind, or one who asks for answers (handler NULL), named for the log ("serial0"). The
// returned id is stable for equal machines.
typedef void door_handler(void *opaque, const uint8_t *data, size_t len);
unsigned door_register(struct door *door, enum door_input kind, const char *name,
                       door_handler *handler, void *opaque);

// An input arrived from the host. It is handed to the receiver now if the machine is between slices, at
// the current instruction count, and recorded if recording; within a slice it waits for the slice's end. When
// replaying, it is dropped: who can let it wait outside asks door_is_replaying first.
void door_deliver(struct door *door, unsigned id, const uint8_t *data, size_t len);
// The same at an instruction count to come, for scripts: equal counts in order of the calls.
void door_deliver_at(struct door *door, unsigned id, icount_t when, const uint8_t *data,
                     size_t len);

// An answer was found outside: recorded if recording. `key` says what was asked for, as far as that fits.
void door_remember(struct door *door, unsigned id, uint64_t key, const void *data, size_t len);
// TRUE when replaying: what was answered then is in *answer, and nobody outside is to be asked. It is empty if the
// machine asks for something else than then; that is the end of the replay.
bool door_recall(struct door *door, unsigned id, uint64_t key, GByteArray *answer);
// The same for answers that are there now and then only: FALSE also if this one is not.
bool door_recall_if(struct door *door, unsigned id, uint64_t key, GByteArray *answer);

// --- The machine's side: it calls door_run_due at each place where it could stop ---

// The count at which the running slice must end: UINT64_MAX if nothing is to come.
icount_t door_next(const struct door *door);
// The guest time at which it must not skip idle time further, likewise.
uint64_t door_next_ns(const struct door *door);
void door_set_running(struct door *door, bool running);

enum door_due {
    DOOR_NOTHING,
    DOOR_DELIVERED, // the machine may be another one now
    DOOR_END,       // of what there is to be replayed
    DOOR_PROBLEM,   // door_problem: the replay went another way
};
// Hands over all that is due.
enum door_due door_run_due(struct door *door);
// How many inputs from outside were handed over up to now.
uint64_t door_passed(const struct door *door);
// It can't go on: all CPUs wait, and nothing will come. While replaying that is a problem.
bool door_stuck(struct door *door);

// --- Recording and replaying ---

// A moment of a machine's life: where it was, and which part of the log it had had.
struct door_moment {
    struct door_position at;
    uint64_t offset;           // in the journal
    struct door_position last; // of the entry before that
};

// Inputs and answers are appended to the journal (not owned; NULL: to none) from now on. `disks`: what is on disks
// counts as coming from outside.
void door_record(struct door *door, struct journal *log, bool disks);
// The end of a recording.
void door_record_end(struct door *door);
// Replays a journal from its beginning to its end.
void door_replay(struct door *door, struct journal *log, bool disks);
// Replays the journal between two moments, at the first of which the machine is now.
void door_replay_part(struct door *door, const struct door_moment *from,
                      const struct door_moment *to);
// And on from there to the journal's end.
void door_replay_rest(struct door *door);
// Input is taken from outside again, and recorded from here on: what the journal has behind it is gone.
void door_go_live(struct door *door);
void door_moment(struct door *door, struct door_moment *moment);

bool door_is_recording(const struct door *door);
bool door_is_replaying(const struct door *door);
bool door_logs_disks(const struct door *door);
// A replay, not only of a part, has come to the end of its journal.
bool door_is_over(const struct door *door);
// What the machine does is not shown: it was before.
bool door_is_silent(const struct door *door);
void door_set_silent(struct door *door, bool silent);
// Why the replay failed, or NULL. Gone with the next door_replay_part.
const GError *door_problem(const struct door *door);
// Reports one: what is found to be different from the recording.
void door_fail(struct door *door, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// --- Entropy and clocks ---

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
