// SPDX-License-Identifier: MIT
// Servers and monitors on their character devices, from the session's list.
#include "control/panel.h"

#include "control/clone.h"
#include "control/monitor.h"
#include "control/qmp.h"

static void free_server(void *server)
{
    qmp_free(server);
}

static void free_monitor(void *mon)
{
    monitor_free(mon);
}

bool panel_add(struct panel *p, struct chardev *chr, bool control, bool pretty, GError **error)
{
    void *made =
        control ? (void *)qmp_new(p, chr, pretty, error) : (void *)monitor_new(p, chr, error);

    if (made)
        g_ptr_array_add(control ? p->servers : p->monitors, made);
    return made != NULL;
}

struct panel *panel_new(struct vm *vm, const struct cmdline *c, GError **error)
{
    struct panel *p = g_new0(struct panel, 1);
    const GArray *terminals = vm->s->terminals;

    *p = (struct panel){.vm = vm, .c = c};
    p->servers = g_ptr_array_new_with_free_func(free_server);
    p->monitors = g_ptr_array_new_with_free_func(free_monitor);
    p->clones = clone_list_new();
    vm->panel = p;
    vm_add_listener(vm, qmp_vm_event, p);
    for (unsigned i = 0; i < terminals->len; i++) {
        const struct session_terminal *t = &g_array_index(terminals, struct session_terminal, i);
        if (!panel_add(p, t->chr, t->control, t->pretty, error)) {
            panel_free(p);
            return NULL;
        }
    }
    return p;
}

void panel_free(struct panel *p)
{
    if (!p)
        return;
    vm_remove_listener(p->vm, qmp_vm_event, p);
    g_ptr_array_unref(p->servers);
    g_ptr_array_unref(p->monitors);
    g_ptr_array_unref(p->clones);
    json_close(p->json);
    p->vm->panel = NULL;
    g_free(p);
}
