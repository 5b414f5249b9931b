// SPDX-License-Identifier: MIT
// Recordings in files: a journal whose head describes the machine and whose entries are all that came from outside
// (base/replay.h). On the way it has hashes of the machine's parts, so that a replay finds out soon, and says of what,
// when it goes another way.
//
// The journal is given to the machine when it is made (machine_config.log), since devices may ask for something then.
#ifndef MACHINE_RECORD_H
#define MACHINE_RECORD_H

#include "machine/machine.h"

struct record;

// Once the machine is made, or a snapshot was loaded into it: writes the head, or checks what the recording says of
// the machine. NULL: it is of another one, or the replay went wrong already.
struct record *record_start(struct machine *m, GError **error);
// Between slices, as often as one likes: puts hashes into the recording, at little cost. Says once if the file
// can't be written any more.
void record_tick(struct record *r);
// The machine has ended by itself. FALSE: a replay that says something else. NULL: nothing to check.
bool record_check_end(struct record *r, GError **error);
// A replay has come to the end of the recording.
bool record_is_over(const struct record *r);
// Ends and flushes the recording; the journal is the caller's to free. NULL does nothing.
void record_end(struct record *r);

// For machine_new: makes the receiver of hashes known.
void record_register(struct machine *m);

#endif
