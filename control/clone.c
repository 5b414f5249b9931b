// SPDX-License-Identifier: MIT
// Forking. The original waits until the clone has all that it needs, which takes milliseconds, and learns by a pipe
// whether it worked: "ok", or why not.
#define _GNU_SOURCE // pipe2
#include "control/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev_open.h"
#include "backend/net.h"
#include "base/journal.h"
#include "base/log.h"
#include "control/qmp.h"
#include "machine/snapshot.h"
#include "translator/exec.h"

struct clone {
    struct panel *p;
    pid_t pid;
    int fd; // a descriptor of the process, readable when it ends
    struct poll_watch *watch;
};

// --- The list ---

static void free_clone(void *data)
{
    struct clone *c = data;

    poll_unwatch(c->watch);
    if (c->fd >= 0)
        close(c->fd);
    g_free(c);
}

GPtrArray *clone_list_new(void)
{
    return g_ptr_array_new_with_free_func(free_clone);
}

pid_t clone_pid_at(const struct panel *p, unsigned index)
{
    return index < p->clones->len ? ((struct clone *)g_ptr_array_index(p->clones, index))->pid : 0;
}

static void clone_ended(void *opaque, short revents)
{
    struct clone *c = opaque;
    int status;

    (void)revents;
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    qmp_emit(c->p, "CLONE_ENDED",
             g_variant_new_parsed("{'pid': <%i>, 'status': <%i>, 'signal': <%i>}", (int)c->pid,
                                  WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                                  WIFSIGNALED(status) ? WTERMSIG(status) : 0));
    g_ptr_array_remove(c->p->clones, c);
}

static void add_clone(struct panel *p, pid_t pid)
{
    struct clone *c = g_new0(struct clone, 1);

    *c = (struct clone){.p = p, .pid = pid, .fd = (int)syscall(SYS_pidfd_open, pid, 0)};
    if (c->fd >= 0) {
        c->watch = poller_watch(p->vm->s->poller, c->fd, clone_ended, c);
        poll_watch_events(c->watch, POLLIN);
    }
    g_ptr_array_add(p->clones, c);
}

// --- In the clone ---

static bool reopen_chardevs(struct session *s, GHashTable *specs, GError **error)
{
    for (unsigned i = 0; i < s->chardevs->len; i++) {
        struct chardev *chr = g_ptr_array_index(s->chardevs, i);
        const char *spec = specs ? g_hash_table_lookup(specs, chardev_id(chr)) : NULL;
        if (!chardev_reopen(chr, spec, error))
            return false;
    }
    return true;
}

static bool copy_blocks(struct session *s, GError **error)
{
    for (unsigned i = 0; i < s->blocks->len; i++) {
        if (!block_forked(g_ptr_array_index(s->blocks, i), error))
            return false;
    }
    return true;
}

static bool restart_nets(struct session *s, GError **error)
{
    for (unsigned i = 0; i < s->netdevs->len; i++) {
        if (!netdev_forked(g_ptr_array_index(s->netdevs, i), error))
            return false;
    }
    return true;
}

// Standard streams that the original's reader sees the end of when the original ends.
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR);

    setsid();
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
}

// What is kept of the past, and a recording, are the original's: their files are shared.
static void leave_past(struct machine *m)
{
    if (m->forget_past)
        m->forget_past(m->past);
    snapshot_forget(m);
    if (door_is_recording(m->door)) {
        door_record(m->door, NULL, false);
        journal_forked(m->cfg->log);
    }
}

static bool become_clone(struct panel *p, const struct clone_options *opts, GError **error)
{
    struct vm *vm = p->vm;

    p->generation++;
    vm->is_clone = true;
    g_ptr_array_set_size(p->clones, 0);
    poller_forked(vm->s->poller);
    leave_past(vm->m);
    if (!exec_after_fork(vm->m->exec, true, error) || !copy_blocks(vm->s, error) ||
        !reopen_chardevs(vm->s, opts->chardevs, error) || !restart_nets(vm->s, error))
        return false;
    if (opts->has_seed)
        door_set_seed(vm->m->door, opts->seed);
    if (opts->stop)
        vm_stop(vm, VM_PAUSED);
    return opts->stop || vm_cont(vm, error);
}

// Tells the original. There is nobody else who could hear of an error.
static void report(int fd, const GError *error)
{
    const char *text = error ? error->message : "ok";
    ssize_t n = write(fd, text, strlen(text));

    if (n < 0 || error)
        _exit(1);
    close(fd);
}

static void start_clone(struct panel *p, const struct clone_options *opts, int fd)
{
    GError *error = NULL;

    become_clone(p, opts, &error);
    report(fd, error);
    leave_terminal();
}

// --- In the original ---

static bool check(struct panel *p, const struct clone_options *opts, GError **error)
{
    const struct session *s = p->vm->s;
    GHashTableIter iter;
    void *id;

    if (p->vm->state >= VM_SHUTDOWN && !opts->stop) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_STATE,
                    "the machine is in state '%s', and so would be its clone",
                    vm_state_name(p->vm->state));
        return false;
    }
    for (unsigned i = 0; i < s->blocks->len; i++) {
        if (!block_check_fork(g_ptr_array_index(s->blocks, i), error))
            return false;
    }
    if (opts->chardevs)
        g_hash_table_iter_init(&iter, opts->chardevs);
    while (opts->chardevs && g_hash_table_iter_next(&iter, &id, NULL)) {
        if (g_hash_table_contains(s->cfg.chardevs, id))
            continue;
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "there is no -chardev with id=%s (query-chardev lists them)", (char *)id);
        return false;
    }
    return true;
}

static void flush_all(const struct session *s)
{
    for (unsigned i = 0; i < s->chardevs->len; i++)
        chardev_flush(g_ptr_array_index(s->chardevs, i));
    fflush(NULL);
}

// What the clone says about itself; false if it came to nothing.
static bool hear(int fd, pid_t pid, GError **error)
{
    char text[512];
    ssize_t n;

    do
        n = read(fd, text, sizeof(text) - 1);
    while (n < 0 && errno == EINTR);
    text[MAX(n, 0)] = '\0';
    if (strcmp(text, "ok") == 0)
        return true;
    waitpid(pid, NULL, 0);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "%s",
                n > 0 ? text : "the clone died at once");
    return false;
}

bool clone_make(struct panel *p, const struct clone_options *opts, pid_t *pid, GError **error)
{
    int fds[2];

    if (!check(p, opts, error))
        return false;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "no pipe: %s", g_strerror(errno));
        return false;
    }
    flush_all(p->vm->s);
    exec_before_fork(p->vm->m->exec);
    *pid = fork();
    close(fds[*pid == 0 ? 0 : 1]);
    if (*pid == 0) {
        start_clone(p, opts, fds[1]);
        return true;
    }
    int fork_errno = errno;
    exec_after_fork(p->vm->m->exec, false, NULL);
    bool ok = *pid > 0 && hear(fds[0], *pid, error);
    close(fds[0]);
    if (*pid < 0)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "no process: %s", g_strerror(fork_errno));
    if (ok)
        add_clone(p, *pid);
    return ok;
}
