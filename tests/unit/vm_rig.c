// SPDX-License-Identifier: MIT
#include "tests/unit/vm_rig.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "control/choose.h"

static char *write_code(const uint32_t *code, size_t bytes)
{
    char *path;
    int fd = g_file_open_tmp("vm-XXXXXX", &path, NULL);

    cr_assert(fd >= 0 && write(fd, code, bytes) == (ssize_t)bytes);
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
    cr_assert(r->c && choose_file(r->c, &error), "%s", error ? error->message : "");
    r->s = session_new(r->c, &error);
    cr_assert(r->s, "%s", error ? error->message : "");
    r->m = machine_new(&r->s->cfg, &error);
    cr_assert(r->m, "%s", error ? error->message : "");
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
