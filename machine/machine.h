// SPDX-License-Identifier: MIT
// A machine: CPUs, memory, devices, and the one verb that moves time.
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <glib.h>

#include "base/clock.h"
#include "base/replay.h"
#include "hw/device.h"
#include "softmmu/mem.h"
#include "translator/debug.h"

#define MACHINE_MAX_CPUS 8

struct cpu;
struct board;
struct exec;

// A device asked for by the user: `-device NAME,id=..,prop=value`.
struct machine_device_opt {
    char *driver;
    char *id; // may be NULL
    GPtrArray *props; // of char *: name, value, name, value, ...
};

// -device loader
struct machine_loader_opt {
    char *file; // or NULL: `data` of `data_len` bytes is stored
    bool has_addr, force_raw, data_be;
    uint64_t addr, data;
    unsigned data_len;
    int cpu_num; // whose pc is set, or -1
};

enum machine_accel { ACCEL_DBT, ACCEL_INTERP };

// What a user asked for, parsed; a board reads it. Strings are owned.
struct machine_config {
    const struct board *board;
    unsigned bits;         // 32 or 64: which of the board's default CPUs, and the firmware's width
    char *cpu_model;       // "rv64,v=off", or NULL: the board's
    unsigned smp;          // 1 ..
    uint64_t ram_size;     // bytes
    enum machine_accel accel;
    char *bios, *kernel, *initrd, *append, *dtb, *dumpdtb; // NULL where not given
    char *firmware_dirs;   // -L: looked in first for firmware, "dir:dir", or NULL
    struct chardev *serial[8];  // by UART; NULL: not connected
    struct block *pflash[2];
    GPtrArray *devices;    // struct machine_device_opt
    GPtrArray *globals;    // char *: driver, property, value, ...
    GArray *loaders;       // struct machine_loader_opt
    GHashTable *chardevs;  // id -> struct chardev *
    GHashTable *blocks;    // id -> struct block *
    GHashTable *netdevs;   // id -> struct netdev *
    GHashTable *fsdevs;    // id -> struct fsdev *
    GHashTable *board_props; // -machine NAME,prop=value: those the parser does not know
    unsigned icount_shift; // guest ns per instruction is 1 << shift
    bool no_reboot;
    uint64_t seed;
    bool has_epoch;        // -rtc base=DATE: the wall clock starts at epoch_ns, not at the host's time
    uint64_t epoch_ns;     // since 1970
    size_t code_cache_size; // bytes; 0: default
    bool no_misaligned;     // misaligned accesses trap
    struct journal *log;    // what comes from outside is recorded here, or taken from here; or NULL
    bool replay;            // the latter
};

enum machine_stop {
    STOP_ICOUNT,    // until_icount was reached
    STOP_SHUTDOWN,  // the guest powered off or exited: m->exit_code is set
    STOP_RESET,     // the guest or the user (m->reset_by_user) asked for a reset; it has been carried out
                    // unless m->no_reboot
    STOP_IDLE,      // all CPUs wait, and nothing is scheduled up to idle_limit_ns: only input from outside,
                    // or a later limit, can go on
    STOP_REQUESTED, // machine_request_stop
    STOP_DEBUG,     // a debugger's: m->debug_hit says what. Breakpoints and watchpoints are exec's
    STOP_PRESENT,   // by timeline_run alone: the end of the past was reached
    STOP_ERROR,     // m->error says what
};

struct machine {
    const struct machine_config *cfg; // not owned
    struct mem *mem;
    struct clock *clock;
    struct door *door;
    struct device_env env;
    struct exec *exec; // translator of all CPUs
    struct cpu *cpus[MACHINE_MAX_CPUS];
    unsigned nr_cpus;
    uint64_t idle_limit_ns; // guest time that skipping idle time may not pass: it goes on to there, and
                            // machine_run returns STOP_IDLE. CLOCK_NEVER (after machine_new): no limit. Set
                            // between slices by who paces the machine; no state.
    GPtrArray *devices;  // struct device *, in order of creation; owned
    void *fdt;           // the device tree given to the guest, owned (g_free), or NULL
    size_t fdt_size;
    struct device **dev_by_role; // free for boards

    // Requests that end a slice after the current instruction. Made by devices through machine_request.
    bool stop_shutdown, stop_reset, stop_requested;
    bool reset_by_user; // of the last reset asked for
    bool no_reboot;     // resets are only reported; from cfg at first
    int exit_code;
    char *error;

    int step_cpu; // machine_run returns when this CPU has made a step; -1: none. Set between slices by
                  // debuggers; breakpoints do not stop that step
    struct debug_hit debug_hit;

    struct machine_sched *sched; // position in the round of CPUs; state
    unsigned button_id;          // the user's buttons at the door

    // Of machine/snapshot.c: what is kept of images for snapshots saved. NULL: nothing.
    GPtrArray *snapshots;
    // Of machine/timeline.c: the past, and how it is forgotten. NULL: there is none.
    void *past;
    void (*forget_past)(void *past);

    // Of machine/record.c.
    unsigned check_id; // at the door
    bool recorded;     // a recording or a replay has begun
};

// Builds everything and resets it. The error is one line for the user.
struct machine *machine_new(const struct machine_config *cfg, GError **error);
void machine_free(struct machine *m);
// Power-on reset of all devices and CPUs; firmware and kernel are loaded again.
bool machine_reset(struct machine *m, GError **error);

// Runs until the total of retired instructions is `until`, or something else stops it. Exact.
enum machine_stop machine_run(struct machine *m, icount_t until);
icount_t machine_icount(const struct machine *m);
// Hash of all state: CPUs, devices, memory, time. Equal machines have equal hashes.
uint64_t machine_hash(struct machine *m);

// How devices and boards end the run: callable at any time from within a slice.
void machine_request_shutdown(struct machine *m, int exit_code);
void machine_request_reset(struct machine *m);
void machine_request_stop(struct machine *m); // safe from a signal handler
// The user presses the reset button: an input from outside, which comes in through the door. The next
// machine_run carries it out first, whatever the machine's state.
void machine_press_reset(struct machine *m);

// Boards make devices through these; errors name the device. Ownership passes to the machine.
struct device *machine_add_device(struct machine *m, const char *driver, const char *id, paddr_t base,
                                  unsigned nr_irqs, GError **error); // not yet initialised
bool machine_init_device(struct machine *m, struct device *dev, GError **error);

#endif
