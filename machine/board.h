// SPDX-License-Identifier: MIT
// The board contract. A board is one .c file with a `const struct board <name>_board`, listed in
// machine/boards.def.
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include "machine/machine.h"

struct board {
    const char *name; // as in -machine
    const char *desc; // for -machine help
    const char *const *arches; // guest architectures it is for, default first; NULL-terminated
    const char *default_cpu[2]; // by arch width: [0] 32 bit, [1] 64 bit
    uint64_t default_ram;
    unsigned max_cpus;
    unsigned nr_serial;
    const struct device_prop *props; // -machine NAME,prop=...; kind and help are used, offsets are not
    // Creates memory, CPUs and devices. Called once.
    bool (*init)(struct machine *m, GError **error);
    // After each reset of devices and CPUs: loads firmware, kernel, device tree; sets entry registers.
    bool (*load)(struct machine *m, GError **error);
};

const struct board *board_at(unsigned index); // NULL past the last
const struct board *board_find(const char *name);

#endif
