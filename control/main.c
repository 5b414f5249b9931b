// SPDX-License-Identifier: MIT
// The program: reads the command line, makes a machine, runs it, and cleans up.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/choose.h"
#include "control/cmdline.h"
#include "control/gdbstub.h"
#include "control/help.h"
#include "control/mainloop.h"
#include "control/panel.h"
#include "control/session.h"
#include "control/vm.h"
#include "machine/record.h"

// Prints the error as the one line that the user gets, and returns the status that goes with it.
static int complain(GError *error)
{
    fprintf(stderr, "ferry: %s\n", error->message);
    g_error_free(error);
    return 1;
}

static bool open_log(const struct cmdline *c, GError **error)
{
    return (!c->log_channels || log_set_mask(c->log_channels, error)) &&
           (!c->log_file || log_set_file(c->log_file, error));
}

// For small files that the user asked for.
static bool write_file(const char *path, const void *data, size_t len, GError **error)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fwrite(data, 1, len, f) == len;

    ok = f && fclose(f) == 0 && ok;
    if (!ok)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: %s", path, g_strerror(errno));
    return ok;
}

static bool write_pidfile(const char *path, GError **error)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    return write_file(path, text, (size_t)len, error);
}

static bool dump_tree(const struct machine *m, GError **error)
{
    if (m->fdt)
        return write_file(m->cfg->dumpdtb, m->fdt, m->fdt_size, error);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "dumpdtb=%s: this machine has no device tree", m->cfg->dumpdtb);
    return false;
}

static bool wants_pacing(const struct cmdline *c, const struct session *s)
{
    if (s->cfg.replay)
        return false;
    return c->pace == PACE_AUTO ? s->terminal : c->pace == PACE_ON;
}

static int run_vm(struct vm *vm, const struct cmdline *c, int signal_fd)
{
    struct mainloop_options opts = {
        .paced = wants_pacing(c, vm->s),
        .until = c->until,
        .hash_every = c->hash_every,
        .hash_out = stderr,
        .signal_fd = signal_fd,
    };

    if (c->hash_file && !(opts.hash_out = fopen(c->hash_file, "w"))) {
        fprintf(stderr, "ferry: %s: %s\n", c->hash_file, g_strerror(errno));
        return 1;
    }
    vm_keep_off(vm, c->no_shutdown);
    if (!c->start_paused)
        vm_cont(vm, NULL);
    int status = mainloop_run(vm, &opts);
    if (opts.hash_out != stderr)
        fclose(opts.hash_out);
    return status;
}

// Not one that the guest has ended: there would be nothing to go on with.
static int save_at_end(struct vm *vm, const char *tag, int status)
{
    GError *error = NULL;

    if (vm->m->stop_shutdown || vm_save(vm, tag, &error))
        return status;
    return complain(error);
}

static int run_machine(struct machine *m, const struct cmdline *c, struct session *s,
                       struct record *record, int signal_fd)
{
    GError *error = NULL;
    struct vm *vm = vm_new(m, s);
    vm->record = record;
    struct panel *panel = panel_new(vm, c, &error);
    struct gdbstub *gdb = panel && s->gdb ? gdbstub_new(vm, s->gdb, &error) : NULL;
    int status = error ? complain(error) : run_vm(vm, c, signal_fd);
    if (c->savevm && !error && !vm->is_clone)
        status = save_at_end(vm, c->savevm, status);

    gdbstub_free(gdb);
    panel_free(panel);
    vm_free(vm);
    return status;
}

static bool load_start(struct machine *m, const struct session *s, const char *name, GError **error)
{
    g_autofree char *file = snapshot_find(s->snapshot_dir, name, error);

    return file && snapshot_load(m, file, error);
}

static int run_recorded(struct machine *m, const struct cmdline *c, struct session *s,
                        int signal_fd)
{
    GError *error = NULL;
    struct record *record = NULL;

    if (c->loadvm && !load_start(m, s, c->loadvm, &error))
        return complain(error);
    if (s->cfg.log && !(record = record_start(m, &error)))
        return complain(error);
    int status = run_machine(m, c, s, record, signal_fd);
    record_end(record);
    return status;
}

static int run_session(const struct cmdline *c, struct session *s, int signal_fd)
{
    GError *error = NULL;
    struct machine *m = machine_new(&s->cfg, &error);
    pid_t self = getpid();
    int status = 0;

    if (!m)
        return complain(error);
    if (c->dumpdtb) {
        status = dump_tree(m, &error) ? 0 : complain(error);
    } else if (c->pidfile && !write_pidfile(c->pidfile, &error)) {
        status = complain(error);
    } else {
        status = run_recorded(m, c, s, signal_fd);
        if (c->pidfile && getpid() == self) // not in a clone
            unlink(c->pidfile);
    }
    machine_free(m);
    return status;
}

static int run(const struct cmdline *c)
{
    GError *error = NULL;
    int signal_fd = -1;

    if (!open_log(c, &error) || (signal_fd = mainloop_open_signals(&error)) < 0)
        return complain(error);
    struct session *s = session_new(c, &error);
    int status = s ? run_session(c, s, signal_fd) : complain(error);
    session_free(s);
    close(signal_fd);
    return status;
}

int main(int argc, char *argv[])
{
    GError *error = NULL;
    struct cmdline *c = cmdline_parse(argc, argv, &error);
    int status;

    if (!c)
        return complain(error);
    if (c->help)
        status = help_print(c, &error) ? 0 : complain(error);
    else
        status = choose_file(c, &error) ? run(c) : complain(error);
    cmdline_free(c);
    return status;
}
