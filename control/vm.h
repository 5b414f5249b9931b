// SPDX-License-Identifier: MIT
// The run state of a machine: the one object through which all that steer it (debugger, QMP, monitor, signals)
// stop it, let it go on, reset it and end it, and from which they hear what others did.
//
// Everything happens on the main loop's thread. Between slices, where handlers of the poller run, requests are
// carried out at once; made from within a slice (by a driver, a device) they are carried out at its end.
#ifndef CONTROL_VM_H
#define CONTROL_VM_H

#include "control/session.h"
#include "machine/machine.h"

enum vm_state {
    VM_PRELAUNCH, // not started yet (-S), or reset while it did not run
    VM_RUNNING,
    VM_PAUSED,    // by the user
    VM_DEBUG,     // by the debugger: breakpoint, step
    VM_SAVING,    // a snapshot is being made
    VM_RESTORING, // a snapshot is being loaded
    VM_SHUTDOWN, // the guest is off, and -no-shutdown keeps it. The states from here on need a reset to go on
    VM_PANICKED,       // the guest said that it is at its end
    VM_INTERNAL_ERROR, // we can't go on
    VM_NR_STATES
};

// Why a machine was reset or ended.
enum vm_cause {
    VM_CAUSE_GUEST_SHUTDOWN,
    VM_CAUSE_GUEST_RESET,
    VM_CAUSE_GUEST_PANIC,
    VM_CAUSE_QUIT,  // the user's command, or a limit that the user set
    VM_CAUSE_RESET, // the user's command
    VM_CAUSE_SIGNAL,
    VM_CAUSE_ERROR, // of the host
    VM_NR_CAUSES
};

enum vm_event_kind {
    VM_EVENT_STOP, // vm->state tells why
    VM_EVENT_RESUME,
    VM_EVENT_RESET, // carried out
    VM_EVENT_SHUTDOWN, // the guest went off, or the end was decided: `status` is what the process returns
                       // if it ends. STOP follows if the machine is kept
    VM_EVENT_POWERDOWN, // the guest was asked to power off
    VM_EVENT_REPLACED,  // the machine's state became another: a snapshot was loaded, time went back
};

struct vm_event {
    enum vm_event_kind kind;
    enum vm_cause cause; // of RESET and SHUTDOWN
    int status;          // of SHUTDOWN
};

typedef void vm_listener(void *opaque, const struct vm_event *event);

// How the machine moves while it runs: a debugger that steps, stops at breakpoints, goes back.
struct vm_driver {
    // Moves the machine by vm_advance, up to `until` at most or back, and returns why it stopped: what
    // vm_advance returned, if that is not STOP_ICOUNT, at once. To stop the machine it calls vm_stop and returns
    // STOP_REQUESTED. It need not go all the way: the main loop sees to the host and calls again.
    enum machine_stop (*run)(void *opaque, icount_t until);
    void *opaque;
};

struct vm {
    struct machine *m;
    struct session *s;
    struct record *record; // that of its inputs, or the one that it replays; set by main. NULL: none
    // Read only for all others:
    enum vm_state state;
    bool keep_off; // a guest that powers off stays to be looked at (-no-shutdown); vm_keep_off
    bool over;     // the main loop ends and returns `status`
    int status;
    bool in_slice;   // the machine moves
    bool stop_asked; // from within the slice
    enum vm_state stop_why;
    struct vm_driver driver; // run is NULL: none
    struct panel *panel;     // control/panel.h; NULL: none
    bool is_clone;           // of another process's machine
    GArray *listeners;       // of struct listener
    unsigned emitting;       // events under way
};

// In state VM_PRELAUNCH. Machine and session outlive it.
struct vm *vm_new(struct machine *m, struct session *s);
void vm_free(struct vm *vm);

// "running", "paused", ..., as query-status tells; "guest-shutdown", ..., as events do.
const char *vm_state_name(enum vm_state state);
const char *vm_cause_name(enum vm_cause cause);
bool vm_cause_is_guest(enum vm_cause cause);
static inline bool vm_is_running(const struct vm *vm)
{
    return vm->state == VM_RUNNING;
}

// Listeners hear of events in the order in which they were added, after vm has changed. They may call anything
// here, and remove any listener.
void vm_add_listener(struct vm *vm, vm_listener *listener, void *opaque);
void vm_remove_listener(struct vm *vm, vm_listener *listener, void *opaque);

// Stops a running machine; a state that is not VM_RUNNING says why. If it is stopped already, nothing changes.
void vm_stop(struct vm *vm, enum vm_state why);
// Lets it go on. False: it needs a reset first.
bool vm_cont(struct vm *vm, GError **error);
// Presses the reset button: power-on reset of everything. A machine that runs goes on; one that does not is in
// VM_PRELAUNCH then. With -no-reboot it ends instead.
void vm_reset(struct vm *vm);
// Presses the power button. No board has one so far, so nobody but the listeners hears of it.
void vm_powerdown(struct vm *vm);
// Ends everything: the main loop returns the status. The first call counts.
void vm_quit(struct vm *vm, enum vm_cause cause, int status);
// The same with a line on stderr, behind what the guest has printed.
void vm_quit_saying(struct vm *vm, enum vm_cause cause, int status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Whether a guest that powers off (or, with -no-reboot, resets) is kept in VM_SHUTDOWN.
void vm_keep_off(struct vm *vm, bool keep);
// To be called by whoever replaced the machine's state: tells the listeners (VM_EVENT_REPLACED).
void vm_replaced(struct vm *vm);

// Snapshots by name, in the session's folder. Loading one into a machine that is off leaves it stopped.
bool vm_save(struct vm *vm, const char *tag, GError **error);
bool vm_load(struct vm *vm, const char *tag_or_file, GError **error);
bool vm_delete_snapshot(struct vm *vm, const char *tag, GError **error);

// One driver at a time; NULL: none.
void vm_set_driver(struct vm *vm, const struct vm_driver *driver);
// Runs a slice by way of the driver, and does what follows from why it ended. For the main loop.
enum machine_stop vm_run(struct vm *vm, icount_t until);
// The verb that moves time, for drivers: machine_run, and whatever must go on at each of its calls.
enum machine_stop vm_advance(struct vm *vm, icount_t until);

#endif
