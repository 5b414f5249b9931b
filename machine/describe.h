// SPDX-License-Identifier: MIT
// A machine in words: what it is made of, and hashes of its parts. By the first a file (a snapshot, a recording)
// refuses a machine that it is not of, by the second a replay finds what went another way.
#ifndef MACHINE_DESCRIBE_H
#define MACHINE_DESCRIBE_H

#include "machine/machine.h"

// A line for each thing that makes one machine differ from another: board, CPUs, memories, devices with their
// properties. What it runs, and how (kernel, executor, back ends), is not in it. Newly allocated.
char *machine_describe(const struct machine *m);
// Compares with another such text, `what` says whose: FALSE with an error that names the first difference.
bool machine_check_description(const struct machine *m, const char *theirs, const char *what,
                               GError **error);

// The parts whose hashes are known one by one: the CPUs come first. NULL past the last. Newly allocated.
char *machine_part_name(const struct machine *m, unsigned part);
unsigned machine_nr_parts(const struct machine *m);
uint64_t machine_part_hash(struct machine *m, unsigned part);

#endif
