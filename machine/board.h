// SPDX-License-Identifier: MIT
// The board contract. A board is one .c file with a `const struct board <name>_board`, listed in
// machine/boards.def.
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include "machine/machine.h"

struct board {
    const char *name;           // as in -machine
    const char *desc;           // for -machine help
    const char *const *arches;  // guest architectures it is for, default first; NULL-terminated
    const char *default_cpu[2]; // by arch width: [0] 32 bit, [1] 64 bit
    uint64_t default_ram;
    unsigned max_cpus;
    unsigned nr_serial;
    const struct device_prop
        *props; // -machine NAME,prop=...; kind and help are used, offsets are not
    // Creates memory, CPUs and devices. Called once.
    bool (*init)(struct machine *m, GError **error);
    // After each reset of devices and CPUs: loads firmware, kernel, device tree; sets entry registers.
    bool (*load)(struct machine *m, GError **error);
};

const struct board *board_at(unsigned index); // NULL past the last
const struct board *board_find(const char *name);

// Checks the names and values of cfg->board_props against the board's props.
bool board_check_props(const struct machine_config *cfg, GError **error);
// A property of kind PROP_BOOL, checked before: the user's value, else the table's default.
bool board_prop_bool(const struct machine_config *cfg, const char *name);

// Where a device of the user's (-device) plugs in, to be its parent: the first of the machine's devices that
// offers such a bus and has room, or the one named by `bus` ("ID" or "ID.0") unless that is NULL. Boards make
// their transports in the order in which they are to be filled.
struct device *board_find_bus(struct machine *m, const struct device *dev, const char *bus,
                              GError **error);

#endif
