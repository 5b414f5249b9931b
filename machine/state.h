// SPDX-License-Identifier: MIT
// All state of a machine but its memory, as a list of tables: what snapshots save, and what checkpoints keep.
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include "machine/machine.h"

struct machine_state {
    const struct state_field *fields;
    void *obj;
};

// In a fixed order: time, scheduler, power, entropy and date, CPUs, devices. FALSE past the last.
bool machine_state_at(const struct machine *m, unsigned i, struct machine_state *state);
char *machine_state_name(const struct machine *m, unsigned i); // newly allocated

void machine_state_save(const struct machine *m, GByteArray *out);
// What machine_state_save of this machine gave. Followed by machine_state_loaded, once memory is right, too.
void machine_state_load(struct machine *m, const uint8_t *data, size_t len);
// State was loaded: renews what derives from it. Translated code stays: it is good where memory is the same.
void machine_state_loaded(struct machine *m);

#endif
