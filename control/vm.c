// SPDX-License-Identifier: MIT
// Run states, and what changes them. See vm.h.
#include "control/vm.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "backend/chardev.h"
#include "base/log.h"
#include "machine/record.h"
#include "machine/snapshot.h"

struct listener {
    vm_listener *fn; // NULL: removed while an event is under way
    void *opaque;
};

struct vm *vm_new(struct machine *m, struct session *s)
{
    struct vm *vm = g_new0(struct vm, 1);

    *vm = (struct vm){.m = m, .s = s, .state = VM_PRELAUNCH};
    vm->listeners = g_array_new(FALSE, FALSE, sizeof(struct listener));
    return vm;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    assert(!vm->listeners->len && !vm->driver.run);
    g_array_free(vm->listeners, TRUE);
    g_free(vm);
}

// The names are QMP's (RunState, ShutdownCause).
const char *vm_state_name(enum vm_state state)
{
    static const char *const names[VM_NR_STATES] = {
        [VM_PRELAUNCH] = "prelaunch",
        [VM_RUNNING] = "running",
        [VM_PAUSED] = "paused",
        [VM_DEBUG] = "debug",
        [VM_SAVING] = "save-vm",
        [VM_RESTORING] = "restore-vm",
        [VM_SHUTDOWN] = "shutdown",
        [VM_PANICKED] = "guest-panicked",
        [VM_INTERNAL_ERROR] = "internal-error",
    };
    return names[state];
}

const char *vm_cause_name(enum vm_cause cause)
{
    static const char *const names[VM_NR_CAUSES] = {
        [VM_CAUSE_GUEST_SHUTDOWN] = "guest-shutdown",
        [VM_CAUSE_GUEST_RESET] = "guest-reset",
        [VM_CAUSE_GUEST_PANIC] = "guest-panic",
        [VM_CAUSE_QUIT] = "host-qmp-quit",
        [VM_CAUSE_RESET] = "host-qmp-system-reset",
        [VM_CAUSE_SIGNAL] = "host-signal",
        [VM_CAUSE_ERROR] = "host-error",
    };
    return names[cause];
}

bool vm_cause_is_guest(enum vm_cause cause)
{
    return cause <= VM_CAUSE_GUEST_PANIC;
}

// --- Listeners ---

static struct listener *listener_at(const struct vm *vm, unsigned i)
{
    return &g_array_index(vm->listeners, struct listener, i);
}

static void sweep_listeners(struct vm *vm)
{
    for (unsigned i = vm->listeners->len; i-- > 0;)
        if (!listener_at(vm, i)->fn)
            g_array_remove_index(vm->listeners, i);
}

void vm_add_listener(struct vm *vm, vm_listener *listener, void *opaque)
{
    struct listener l = {listener, opaque};
    g_array_append_val(vm->listeners, l);
}

void vm_remove_listener(struct vm *vm, vm_listener *listener, void *opaque)
{
    for (unsigned i = 0; i < vm->listeners->len; i++) {
        struct listener *l = listener_at(vm, i);
        if (l->fn == listener && l->opaque == opaque)
            l->fn = NULL;
    }
    if (!vm->emitting)
        sweep_listeners(vm);
}

static void emit(struct vm *vm, const struct vm_event *event)
{
    vm->emitting++;
    for (unsigned i = 0; i < vm->listeners->len; i++) {
        struct listener l = *listener_at(vm, i); // the array may move
        if (l.fn)
            l.fn(l.opaque, event);
    }
    if (!--vm->emitting)
        sweep_listeners(vm);
}

// --- Stop and go ---

static void stop_now(struct vm *vm, enum vm_state why)
{
    if (vm->state != VM_RUNNING)
        return;
    vm->state = why;
    emit(vm, &(struct vm_event){.kind = VM_EVENT_STOP});
}

void vm_stop(struct vm *vm, enum vm_state why)
{
    assert(why != VM_RUNNING && why < VM_NR_STATES);
    if (!vm->in_slice) {
        stop_now(vm, why);
    } else if (!vm->stop_asked) {
        vm->stop_asked = true;
        vm->stop_why = why;
        machine_request_stop(vm->m);
    }
}

bool vm_cont(struct vm *vm, GError **error)
{
    if (vm->state >= VM_SHUTDOWN) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_STATE,
                    "the machine is in state '%s': reset it before it can go on",
                    vm_state_name(vm->state));
        return false;
    }
    vm->stop_asked = false;
    if (vm->state != VM_RUNNING) {
        vm->state = VM_RUNNING;
        emit(vm, &(struct vm_event){.kind = VM_EVENT_RESUME});
    }
    return true;
}

void vm_replaced(struct vm *vm)
{
    emit(vm, &(struct vm_event){.kind = VM_EVENT_REPLACED});
}

// --- Snapshots ---

bool vm_save(struct vm *vm, const char *tag, GError **error)
{
    return snapshot_save_tag(vm->m, vm->s->snapshot_dir, tag, vm->s->snapshot_form, error);
}

bool vm_load(struct vm *vm, const char *tag_or_file, GError **error)
{
    g_autofree char *file = snapshot_find(vm->s->snapshot_dir, tag_or_file, error);

    if (!file || !snapshot_load(vm->m, file, error))
        return false;
    if (vm->state >= VM_SHUTDOWN)
        vm->state = VM_PAUSED;
    vm_replaced(vm);
    return true;
}

bool vm_delete_snapshot(struct vm *vm, const char *tag, GError **error)
{
    return snapshot_delete_tag(vm->m, vm->s->snapshot_dir, tag, error);
}

// --- The end ---

void vm_quit(struct vm *vm, enum vm_cause cause, int status)
{
    if (vm->over)
        return;
    vm->over = true;
    vm->status = status;
    if (vm->in_slice)
        machine_request_stop(vm->m);
    emit(vm, &(struct vm_event){.kind = VM_EVENT_SHUTDOWN, .cause = cause, .status = status});
}

void vm_quit_saying(struct vm *vm, enum vm_cause cause, int status, const char *fmt, ...)
{
    va_list args;

    for (unsigned i = 0; i < vm->s->chardevs->len; i++)
        chardev_flush(g_ptr_array_index(vm->s->chardevs, i));
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    fprintf(stderr, "ferry: %s\n", text);
    vm_quit(vm, cause, status);
}

void vm_keep_off(struct vm *vm, bool keep)
{
    vm->keep_off = keep;
}

// The guest is off.
static void went_off(struct vm *vm, enum vm_cause cause, int status)
{
    if (!vm->keep_off) {
        vm_quit(vm, cause, status);
        return;
    }
    emit(vm, &(struct vm_event){.kind = VM_EVENT_SHUTDOWN, .cause = cause, .status = status});
    stop_now(vm, VM_SHUTDOWN);
}

// --- Reset ---

static void was_reset(struct vm *vm, enum vm_cause cause)
{
    if (vm->m->no_reboot) {
        went_off(vm, cause, 0);
        return;
    }
    if (vm->state != VM_RUNNING)
        vm->state = VM_PRELAUNCH;
    emit(vm, &(struct vm_event){.kind = VM_EVENT_RESET, .cause = cause});
}

// A code that the host would cut to 0 is still a failure.
static int exit_status(int code)
{
    return code && !(code & 0xff) ? 255 : code & 0xff;
}

// The end of a replay, unless something is wrong with it.
static void end_replay(struct vm *vm, int status)
{
    g_autoptr(GError) error = NULL;

    if (record_check_end(vm->record, &error))
        vm_quit_saying(vm, VM_CAUSE_QUIT, status,
                       "the replay ends after %" G_GUINT64_FORMAT " instructions, as recorded",
                       machine_icount(vm->m));
    else
        vm_quit_saying(vm, VM_CAUSE_ERROR, 1, "%s", error->message);
}

static void obey(struct vm *vm, enum machine_stop stop)
{
    bool ends = stop == STOP_SHUTDOWN || (stop == STOP_RESET && vm->m->no_reboot);

    if (vm->m->cfg->replay && (ends || (stop == STOP_PRESENT && record_is_over(vm->record)))) {
        end_replay(vm, stop == STOP_SHUTDOWN ? exit_status(vm->m->exit_code) : 0);
        return;
    }
    switch (stop) {
    case STOP_SHUTDOWN:
        went_off(vm, VM_CAUSE_GUEST_SHUTDOWN, exit_status(vm->m->exit_code));
        break;
    case STOP_RESET:
        was_reset(vm, vm->m->reset_by_user ? VM_CAUSE_RESET : VM_CAUSE_GUEST_RESET);
        break;
    case STOP_ERROR:
        vm_quit_saying(vm, VM_CAUSE_ERROR, 1, "%s", vm->m->error);
        break;
    case STOP_ICOUNT:
    case STOP_IDLE:
    case STOP_REQUESTED:
    case STOP_DEBUG:
    case STOP_PRESENT:
        break;
    }
}

// The machine carries a reset out when it is run, however short.
void vm_reset(struct vm *vm)
{
    machine_press_reset(vm->m);
    if (!vm->in_slice)
        obey(vm, vm_advance(vm, machine_icount(vm->m)));
}

void vm_powerdown(struct vm *vm)
{
    emit(vm, &(struct vm_event){.kind = VM_EVENT_POWERDOWN});
}

// --- Slices ---

void vm_set_driver(struct vm *vm, const struct vm_driver *driver)
{
    assert(!driver || !vm->driver.run);
    vm->driver = driver ? *driver : (struct vm_driver){.run = NULL};
}

enum machine_stop vm_advance(struct vm *vm, icount_t until)
{
    enum machine_stop stop = machine_run(vm->m, until);
    if (vm->record)
        record_tick(vm->record);
    return stop;
}

enum machine_stop vm_run(struct vm *vm, icount_t until)
{
    assert(vm->state == VM_RUNNING && !vm->in_slice);
    vm->in_slice = true;
    enum machine_stop stop =
        vm->driver.run ? vm->driver.run(vm->driver.opaque, until) : vm_advance(vm, until);
    vm->in_slice = false;
    obey(vm, stop);
    if (vm->stop_asked) {
        vm->stop_asked = false;
        stop_now(vm, vm->stop_why);
    }
    return stop;
}
