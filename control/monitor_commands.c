// SPDX-License-Identifier: MIT
// The monitor's commands on the run of the machine, its back ends and the log.
#include <string.h>

#include "backend/chardev_open.h"
#include "backend/net.h"
#include "base/log.h"
#include "control/clone.h"
#include "control/monitor_impl.h"

// --- Running ---

bool monitor_cont(struct monitor_call *c)
{
    GError *error = NULL;

    return vm_cont(c->vm, &error) || monitor_failed(c, error);
}

bool monitor_stop(struct monitor_call *c)
{
    vm_stop(c->vm, VM_PAUSED);
    return true;
}

bool monitor_system_reset(struct monitor_call *c)
{
    vm_reset(c->vm);
    return true;
}

bool monitor_system_powerdown(struct monitor_call *c)
{
    vm_powerdown(c->vm);
    return true;
}

bool monitor_quit(struct monitor_call *c)
{
    vm_quit(c->vm, VM_CAUSE_QUIT, 0);
    return true;
}

// --- Snapshots ---

bool monitor_savevm(struct monitor_call *c)
{
    GError *error = NULL;

    return vm_save(c->vm, c->words[0], &error) || monitor_failed(c, error);
}

bool monitor_loadvm(struct monitor_call *c)
{
    GError *error = NULL;

    return vm_load(c->vm, c->words[0], &error) || monitor_failed(c, error);
}

bool monitor_delvm(struct monitor_call *c)
{
    GError *error = NULL;

    return vm_delete_snapshot(c->vm, c->words[0], &error) || monitor_failed(c, error);
}

// --- Copies ---

// "serial0=file:x", from the word `first` on.
static bool read_specs(struct monitor_call *c, unsigned first, GHashTable *specs)
{
    for (unsigned i = first; i < c->nr_words; i++) {
        const char *equals = strchr(c->words[i], '=');
        if (!equals)
            return monitor_fail(c, "'%s' is not CHARDEV=WHERE", c->words[i]);
        g_hash_table_insert(specs, g_strndup(c->words[i], (gsize)(equals - c->words[i])),
                            g_strdup(equals + 1));
    }
    return true;
}

bool monitor_clone(struct monitor_call *c)
{
    g_autoptr(GHashTable) specs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    struct clone_options opts = {.chardevs = specs,
                                 .stop = c->nr_words && strcmp(c->words[0], "-S") == 0};
    GError *error = NULL;
    pid_t pid;

    if (!c->vm->panel)
        return monitor_fail(c, "not from here");
    if (!read_specs(c, opts.stop, specs))
        return false;
    if (!clone_make(c->vm->panel, &opts, &pid, &error))
        return monitor_failed(c, error);
    monitor_say(c, "process %ld\n", (long)pid);
    return true;
}

// --- Networks ---

// The network that is named, or else the first; the rule is the last word.
static struct netdev *find_net(struct monitor_call *c)
{
    const GPtrArray *nets = c->vm->s->netdevs;
    bool named = c->nr_words == 2;

    for (unsigned i = 0; i < nets->len; i++) {
        struct netdev *net = g_ptr_array_index(nets, i);
        if (!named || strcmp(netdev_id(net), c->words[0]) == 0)
            return net;
    }
    if (named)
        monitor_fail(c, "there is no -netdev with id=%s", c->words[0]);
    else
        monitor_fail(c, "this machine has no network");
    return NULL;
}

bool monitor_hostfwd_add(struct monitor_call *c)
{
    struct netdev *net = find_net(c);
    GError *error = NULL;

    return net &&
           (netdev_hostfwd_add(net, c->words[c->nr_words - 1], &error) || monitor_failed(c, error));
}

bool monitor_hostfwd_remove(struct monitor_call *c)
{
    struct netdev *net = find_net(c);
    const char *rule = c->words[c->nr_words - 1];
    GError *error = NULL;

    if (!net)
        return false;
    if (!netdev_hostfwd_remove(net, rule, &error))
        return monitor_failed(c, error);
    monitor_say(c, "host forwarding rule for %s removed\n", rule);
    return true;
}

// --- Character devices ---

static struct chardev *find_ring(struct monitor_call *c, GByteArray *out, size_t size)
{
    struct chardev *chr = g_hash_table_lookup(c->vm->s->cfg.chardevs, c->words[0]);

    if (chr && chardev_ring_read(chr, size, out))
        return chr;
    monitor_fail(c, "there is no -chardev ringbuf with id=%s", c->words[0]);
    return NULL;
}

bool monitor_ringbuf_read(struct monitor_call *c)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint64_t size;

    if (!monitor_compute(c, c->words[1], &size) || !find_ring(c, bytes, size))
        return false;
    g_autofree char *text =
        g_utf8_make_valid(bytes->len ? (const char *)bytes->data : "", bytes->len);
    monitor_say(c, "%s%s", text, g_str_has_suffix(text, "\n") ? "" : "\n");
    return true;
}

bool monitor_ringbuf_write(struct monitor_call *c)
{
    g_autoptr(GByteArray) nothing = g_byte_array_new();
    struct chardev *chr = find_ring(c, nothing, 0);

    return chr && chardev_ring_write(chr, (const uint8_t *)c->words[1], strlen(c->words[1]));
}

bool monitor_sendkey(struct monitor_call *c)
{
    return monitor_fail(c, "there is no keyboard: this machine has no display");
}

bool monitor_screendump(struct monitor_call *c)
{
    return monitor_fail(c, "there is no screen: this machine has no display");
}

// --- The log ---

bool monitor_log(struct monitor_call *c)
{
    GError *error = NULL;

    if (strcmp(c->words[0], "help") == 0)
        return monitor_execute(c->vm, "help log", c->out);
    const char *list = strcmp(c->words[0], "none") == 0 ? "" : c->words[0];
    return log_set_mask(list, &error) || monitor_failed(c, error);
}

bool monitor_logfile(struct monitor_call *c)
{
    GError *error = NULL;

    return log_set_file(c->words[0], &error) || monitor_failed(c, error);
}
