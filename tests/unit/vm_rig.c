// SPDX-License-Identifier: MIT
#include "tests/unit/vm_rig.h"

#include <unistd.h>

#include "control/choose.h"

// No test, but the program it is part of, is in the wrong.
static void must(bool ok, const GError *error)
{
    if (!ok)
        g_error("%s", error ? error->message : "no temporary file");
}

static char *write_code(const uint32_t *code, size_t bytes)
{
    char *path;
    int fd = g_file_open_tmp("vm-XXXXXX", &path, NULL);

    must(fd >= 0 && write(fd, code, bytes) == (ssize_t)bytes, NULL);
    close(fd);
    return path;
}

void vm_rig_open(struct vm_rig *r, const char *args, const uint32_t *code, size_t bytes)
{
    GError *error = NULL;

    *r = (struct vm_rig){.path = write_code(code, bytes)};
    g_autofree char *line = g_strdup_printf(
        "ferry -M virt -m 16M -display none -serial none -bios %s %s", r->path, args);
    g_auto(GStrv) argv = g_strsplit(g_strchomp(line), " ", -1);
    r->c = cmdline_parse((int)g_strv_length(argv), argv, &error);
    must(r->c && choose_file(r->c, &error), error);
    r->s = session_new(r->c, &error);
    must(r->s, error);
    r->m = machine_new(&r->s->cfg, &error);
    must(r->m, error);
    r->vm = vm_new(r->m, r->s);
    vm_keep_off(r->vm, r->c->no_shutdown);
}

void vm_rig_close(struct vm_rig *r)
{
    vm_free(r->vm);
    machine_free(r->m);
    session_free(r->s);
    cmdline_free(r->c);
    unlink(r->path);
    g_free(r->path);
}

enum machine_stop vm_rig_run(struct vm_rig *r, icount_t insns)
{
    return vm_run(r->vm, machine_icount(r->m) + insns);
}
