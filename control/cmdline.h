// SPDX-License-Identifier: MIT
// The command line: what the user typed, taken apart and checked as far as that goes without a machine.
//
// One table (control/options.def) has an entry for each option: its name, its argument and help as -help prints
// them, and what handles it. Nothing is opened here: that is control/session.h.
#ifndef CONTROL_CMDLINE_H
#define CONTROL_CMDLINE_H

#include <glib.h>
#include <stdio.h>

#include "machine/machine.h"

// What is to be printed instead of running a machine.
enum help_topic {
    HELP_NONE,
    HELP_OPTIONS,
    HELP_VERSION,
    HELP_MACHINE, // help_name: a board whose properties are wanted, or NULL: all boards
    HELP_CPU,
    HELP_ACCEL,
    HELP_DEVICE, // help_name: a class whose properties are wanted, or NULL: all classes
    HELP_CHARDEV,
    HELP_NETDEV,
    HELP_FSDEV,
    HELP_DISPLAY,
    HELP_LOG,
    HELP_SNAPSHOTS,
};

enum pace {
    PACE_AUTO, // by the clock of the host if the console is a terminal
    PACE_ON,
    PACE_OFF, // idle time is skipped
};

// An option whose value is parsed when the thing is made: "-drive", "if=virtio,file=x".
struct cmdline_item {
    const char *option; // the table's name, with its dash; not owned
    char *text;
};

struct cmdline {
    enum help_topic help;
    char *help_name;
    char *program; // argv[0] without directories
    unsigned bits; // from the program's name: 32, 64, or 0 for any
    // The machine.
    char *machine;             // NULL: not given
    GHashTable *machine_props; // char * -> char *: those that the board is to know
    char *cpu;
    unsigned smp;      // 0: not given
    uint64_t ram_size; // 0: not given
    bool has_accel;
    enum machine_accel accel;
    size_t code_cache_size;
    bool no_misaligned;
    GPtrArray *globals; // char *: driver, property, value, ...
    GPtrArray *devices; // struct machine_device_opt *
    GArray *loaders;    // struct machine_loader_opt
    char *name; // of the machine, or NULL
    char *pidfile;
    bool no_reboot, no_shutdown;
    bool start_paused; // -S
    // What it boots.
    char *file; // the argument without a dash
    char *kernel, *bios, *initrd, *append, *dtb, *dumpdtb;
    char *firmware_dirs; // "dir:dir"
    // Back ends, in the order given.
    GArray *chardevs; // struct cmdline_item, as the following
    GArray *serials;
    GArray *terminals; // -monitor, -qmp, -qmp-pretty and -mon
    GArray *drives;
    GArray *nets;   // -netdev, -nic and -net
    GArray *fsdevs; // -fsdev and -virtfs
    bool nodefaults, nographic, no_display, snapshot;
    char *escape; // -echr
    // Time.
    enum pace pace;
    unsigned icount_shift;
    bool has_epoch;
    uint64_t epoch_ns;
    uint64_t seed;
    char *record, *replay; // files, or NULL
    // Snapshots.
    char *snapshot_dir;   // NULL: not given
    bool snapshot_mapped; // the form of those that are saved
    char *loadvm, *savevm; // names, or NULL
    // Debugging.
    char *gdb; // -gdb, or NULL
    char *log_channels, *log_file;
    uint64_t hash_every;
    char *hash_file; // NULL: stderr
    uint64_t until;  // 0: no limit
};

// Parses argv. On failure the error is one line without "ferry: "; the result is NULL.
struct cmdline *cmdline_parse(int argc, char *const argv[], GError **error);
void cmdline_free(struct cmdline *c);
// -help: all options in their groups.
void cmdline_print_help(FILE *out);
// The width in a program's name such as qemu-system-riscv32; 0 if it names none. An unknown guest is an error.
bool cmdline_program_bits(const char *program, unsigned *bits, GError **error);

// Lists of struct machine_device_opt.
GPtrArray *cmdline_new_devices(void);
// Adds a device without properties.
struct machine_device_opt *cmdline_add_device(GPtrArray *devices, const char *driver,
                                              const char *id);

#endif
