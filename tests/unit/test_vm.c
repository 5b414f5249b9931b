// SPDX-License-Identifier: MIT
// Run states: what each request does in each of them, when, and what listeners hear.
#include <criterion/criterion.h>

#include "tests/unit/vm_rig.h"
#include "translator/cpu.h"

static const uint32_t spin[] = {0x0000006f}; // j .
static const uint32_t power_off[] = {
    0x001003b7, // lui t2, 0x100
    0x00005e37, // lui t3, 5
    0x555e0e13, // addi t3, t3, 0x555
    0x01c3a023, // sw t3, 0(t2)
    0x0000006f, // j .
};
static const uint32_t reset[] = {
    0x001003b7, // lui t2, 0x100
    0x00007e37, // lui t3, 7
    0x777e0e13, // addi t3, t3, 0x777
    0x01c3a023, // sw t3, 0(t2)
    0x0000006f, // j .
};

// Writes down what it hears: "STOP paused\n".
struct ear {
    struct vm *vm;
    GString *heard;
};

static void hear(void *opaque, const struct vm_event *event)
{
    static const char *const names[] = {
        [VM_EVENT_STOP] = "STOP",           [VM_EVENT_RESUME] = "RESUME",
        [VM_EVENT_RESET] = "RESET",         [VM_EVENT_SHUTDOWN] = "SHUTDOWN",
        [VM_EVENT_POWERDOWN] = "POWERDOWN", [VM_EVENT_REPLACED] = "REPLACED"};
    struct ear *ear = opaque;
    g_string_append(ear->heard, names[event->kind]);
    if (event->kind == VM_EVENT_STOP)
        g_string_append_printf(ear->heard, " %s", vm_state_name(ear->vm->state));
    if (event->kind == VM_EVENT_RESET || event->kind == VM_EVENT_SHUTDOWN)
        g_string_append_printf(ear->heard, " %s", vm_cause_name(event->cause));
    if (event->kind == VM_EVENT_SHUTDOWN)
        g_string_append_printf(ear->heard, " %d", event->status);
    g_string_append_c(ear->heard, '\n');
}

static void open_rig(struct vm_rig *r, struct ear *ear, const char *args, const uint32_t *code,
                     size_t bytes)
{
    vm_rig_open(r, args, code, bytes);
    *ear = (struct ear){r->vm, g_string_new("")};
    vm_add_listener(r->vm, hear, ear);
}

static void close_rig(struct vm_rig *r, struct ear *ear)
{
    vm_remove_listener(r->vm, hear, ear);
    g_string_free(ear->heard, TRUE);
    vm_rig_close(r);
}

static void expect_heard(struct ear *ear, const char *text)
{
    cr_expect_str_eq(ear->heard->str, text);
    g_string_truncate(ear->heard, 0);
}

Test(vm, stops_and_goes_on)
{
    struct vm_rig r;
    struct ear ear;
    open_rig(&r, &ear, "", spin, sizeof(spin));
    cr_expect_eq(r.vm->state, VM_PRELAUNCH);
    vm_stop(r.vm, VM_PAUSED); // it is stopped already
    expect_heard(&ear, "");
    cr_expect(vm_cont(r.vm, NULL) && vm_cont(r.vm, NULL));
    expect_heard(&ear, "RESUME\n");
    cr_expect_eq(vm_rig_run(&r, 1000), STOP_ICOUNT);
    vm_stop(r.vm, VM_PAUSED);
    vm_stop(r.vm, VM_DEBUG);
    expect_heard(&ear, "STOP paused\n");
    cr_expect_eq(r.vm->state, VM_PAUSED);
    close_rig(&r, &ear);
}

Test(vm, a_guest_that_powers_off_ends_it)
{
    struct vm_rig r;
    struct ear ear;
    open_rig(&r, &ear, "", power_off, sizeof(power_off));
    vm_cont(r.vm, NULL);
    cr_expect_eq(vm_rig_run(&r, 1000), STOP_SHUTDOWN);
    expect_heard(&ear, "RESUME\nSHUTDOWN guest-shutdown 0\n");
    cr_expect(r.vm->over && r.vm->status == 0);
    vm_quit(r.vm, VM_CAUSE_SIGNAL, 3); // too late
    cr_expect_eq(r.vm->status, 0);
    expect_heard(&ear, "");
    close_rig(&r, &ear);
}

Test(vm, a_guest_that_is_kept_goes_on_after_a_reset)
{
    struct vm_rig r;
    struct ear ear;
    GError *error = NULL;
    open_rig(&r, &ear, "-no-shutdown", power_off, sizeof(power_off));
    vm_cont(r.vm, NULL);
    vm_rig_run(&r, 1000);
    expect_heard(&ear, "RESUME\nSHUTDOWN guest-shutdown 0\nSTOP shutdown\n");
    cr_expect_not(r.vm->over);
    cr_assert_not(vm_cont(r.vm, &error));
    cr_expect(strstr(error->message, "'shutdown': reset it"), "%s", error->message);
    g_error_free(error);
    vm_reset(r.vm);
    expect_heard(&ear, "RESET host-qmp-system-reset\n");
    cr_expect_eq(r.vm->state, VM_PRELAUNCH);
    cr_expect_eq(r.m->cpus[0]->pc, 0x1000);
    cr_assert(vm_cont(r.vm, NULL));
    cr_expect_eq(vm_rig_run(&r, 1000), STOP_SHUTDOWN);
    close_rig(&r, &ear);
}

Test(vm, resets)
{
    struct vm_rig r;
    struct ear ear;
    open_rig(&r, &ear, "", reset, sizeof(reset));
    vm_cont(r.vm, NULL);
    cr_expect_eq(vm_rig_run(&r, 1000), STOP_RESET);
    expect_heard(&ear, "RESUME\nRESET guest-reset\n");
    vm_reset(r.vm);
    expect_heard(&ear, "RESET host-qmp-system-reset\n");
    cr_expect_eq(r.vm->state, VM_RUNNING);
    vm_powerdown(r.vm);
    vm_replaced(r.vm);
    expect_heard(&ear, "POWERDOWN\nREPLACED\n");
    close_rig(&r, &ear);
}

Test(vm, a_reset_can_be_the_end)
{
    struct vm_rig r;
    struct ear ear;
    open_rig(&r, &ear, "-no-reboot", reset, sizeof(reset));
    vm_cont(r.vm, NULL);
    cr_expect_eq(vm_rig_run(&r, 1000), STOP_RESET);
    expect_heard(&ear, "RESUME\nSHUTDOWN guest-reset 0\n");
    cr_expect(r.vm->over);
    close_rig(&r, &ear);
    open_rig(&r, &ear, "-no-reboot -no-shutdown", spin, sizeof(spin));
    vm_cont(r.vm, NULL);
    vm_reset(r.vm);
    expect_heard(&ear, "RESUME\nSHUTDOWN host-qmp-system-reset 0\nSTOP shutdown\n");
    close_rig(&r, &ear);
}

// Goes in steps of 10, and asks for a stop, a reset or the end from within the slice.
struct stepper {
    struct vm *vm;
    unsigned steps;
    bool stop, reset, quit;
};

static enum machine_stop step_run(void *opaque, icount_t until)
{
    struct stepper *s = opaque;
    enum machine_stop why = vm_advance(s->vm, MIN(machine_icount(s->vm->m) + 10, until));
    s->steps++;
    if (s->stop)
        vm_stop(s->vm, VM_DEBUG);
    if (s->reset)
        vm_reset(s->vm);
    if (s->quit)
        vm_quit(s->vm, VM_CAUSE_QUIT, 5);
    return why;
}

Test(vm, a_driver_moves_the_machine)
{
    struct vm_rig r;
    struct ear ear;
    open_rig(&r, &ear, "", spin, sizeof(spin));
    struct stepper s = {.vm = r.vm};
    vm_set_driver(r.vm, &(struct vm_driver){step_run, &s});
    vm_cont(r.vm, NULL);
    vm_rig_run(&r, 1000);
    cr_expect_eq(s.steps, 1);
    cr_expect_eq(machine_icount(r.m), 10);
    s.stop = true;
    vm_rig_run(&r, 1000);
    expect_heard(&ear, "RESUME\nSTOP debug\n");
    vm_cont(r.vm, NULL);
    s.stop = false;
    s.reset = true;
    vm_rig_run(&r, 1000);
    s.reset = false;
    expect_heard(&ear, "RESUME\n");
    cr_expect_eq(vm_rig_run(&r, 1000), STOP_RESET);
    expect_heard(&ear, "RESET host-qmp-system-reset\n");
    s.quit = true;
    vm_rig_run(&r, 1000);
    expect_heard(&ear, "SHUTDOWN host-qmp-quit 5\n");
    cr_expect(r.vm->over && r.vm->status == 5);
    vm_set_driver(r.vm, NULL);
    close_rig(&r, &ear);
}

static void leave(void *opaque, const struct vm_event *event)
{
    struct ear *ear = opaque;
    (void)event;
    g_string_append(ear->heard, "leave\n");
    vm_remove_listener(ear->vm, leave, ear);
}

Test(vm, listeners_may_go_while_they_hear)
{
    struct vm_rig r;
    struct ear ear;
    vm_rig_open(&r, "", spin, sizeof(spin));
    ear = (struct ear){r.vm, g_string_new("")};
    vm_add_listener(r.vm, leave, &ear);
    vm_add_listener(r.vm, hear, &ear);
    vm_powerdown(r.vm);
    vm_powerdown(r.vm);
    expect_heard(&ear, "leave\nPOWERDOWN\nPOWERDOWN\n");
    close_rig(&r, &ear);
}
