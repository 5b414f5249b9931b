// SPDX-License-Identifier: MIT
// A machine: made from a configuration, run, reset, hashed, freed.
#include "machine/machine.h"

#include "machine/board.h"
#include "machine/record.h"
#include "machine/sched.h"
#include "machine/snapshot.h"
#include "translator/exec.h"
#include "translator/guest.h"

static void env_shutdown(void *opaque, int exit_code)
{
    machine_request_shutdown(opaque, exit_code);
}

static void env_reset(void *opaque)
{
    machine_request_reset(opaque);
}

static void door_position(void *opaque, struct door_position *at)
{
    const struct machine *m = opaque;
    *at = (struct door_position){machine_icount(m), m->sched->moves, clock_now(m->clock)};
}

static void door_stop(void *opaque)
{
    exec_request_stop(((struct machine *)opaque)->exec);
}

// The reset button's one input has no data.
static void button_pressed(void *opaque, const uint8_t *data, size_t len)
{
    struct machine *m = opaque;
    (void)data, (void)len;
    m->stop_reset = m->reset_by_user = true;
    exec_request_stop(m->exec);
}

static bool make_core(struct machine *m, GError **error)
{
    const struct machine_config *cfg = m->cfg;
    const struct host *host = cfg->accel == ACCEL_INTERP || !host_native ? &host_interp : host_native;
    m->mem = mem_new();
    m->clock = clock_new();
    m->door = door_new(cfg->seed);
    m->sched = sched_new(m);
    door_set_machine(m->door, &(struct door_machine){door_position, door_stop, m});
    if (cfg->has_epoch)
        door_set_epoch(m->door, cfg->epoch_ns);
    m->button_id = door_register(m->door, DOOR_CONTROL, "reset-button", button_pressed, m);
    m->no_reboot = cfg->no_reboot;
    record_register(m);
    if (cfg->log && cfg->replay)
        door_replay(m->door, cfg->log, true);
    else if (cfg->log)
        door_record(m->door, cfg->log, true);
    m->idle_limit_ns = CLOCK_NEVER;
    m->step_cpu = -1;
    m->devices = g_ptr_array_new();
    m->env = (struct device_env){.mem = m->mem,
                                 .clock = m->clock,
                                 .door = m->door,
                                 .machine = cfg->board->name,
                                 .shutdown = env_shutdown,
                                 .reset = env_reset,
                                 .opaque = m};
    m->exec = exec_new(m->mem, host, cfg->code_cache_size, error);
    return m->exec;
}

static void *find_back_end(void *opaque, enum prop_kind kind, const char *id, GError **error)
{
    const struct machine_config *cfg = opaque;
    static const char *const what[] = {[PROP_CHARDEV] = "-chardev",
                                       [PROP_BLOCK] = "-drive",
                                       [PROP_NET] = "-netdev",
                                       [PROP_FSDEV] = "-fsdev"};
    GHashTable *table = kind == PROP_CHARDEV ? cfg->chardevs
                        : kind == PROP_BLOCK ? cfg->blocks
                        : kind == PROP_NET   ? cfg->netdevs
                                             : cfg->fsdevs;
    void *found = table ? g_hash_table_lookup(table, id) : NULL;
    if (!found)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "there is no %s with id=%s", what[kind], id);
    return found;
}

static bool apply_globals(struct machine *m, struct device *dev, GError **error)
{
    const GPtrArray *g = m->cfg->globals;
    for (unsigned i = 0; g && i + 2 < g->len; i += 3) {
        const char *driver = g_ptr_array_index(g, i);
        if (!g_strcmp0(driver, dev->cls->name) &&
            !device_set_prop(dev, g_ptr_array_index(g, i + 1), g_ptr_array_index(g, i + 2),
                             find_back_end, (void *)m->cfg, error))
            return false;
    }
    return true;
}

struct device *machine_add_device(struct machine *m, const char *driver, const char *id, paddr_t base,
                                  unsigned nr_irqs, GError **error)
{
    const struct device_class *cls = device_class_find(driver);
    if (!cls) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "there is no device '%s' (see -device help)", driver);
        return NULL;
    }
    struct device *dev = device_new(cls, &m->env, id, base, nr_irqs);
    g_ptr_array_add(m->devices, dev);
    return apply_globals(m, dev, error) ? dev : NULL;
}

bool machine_init_device(struct machine *m, struct device *dev, GError **error)
{
    (void)m;
    return device_init(dev, error);
}

// `bus=` is no property of the device: it names its place.
static const char *asked_bus(const struct machine_device_opt *opt)
{
    for (unsigned i = 0; opt->props && i + 1 < opt->props->len; i += 2)
        if (!strcmp(g_ptr_array_index(opt->props, i), "bus"))
            return g_ptr_array_index(opt->props, i + 1);
    return NULL;
}

static bool set_user_props(struct machine *m, struct device *dev, const struct machine_device_opt *opt,
                           GError **error)
{
    for (unsigned i = 0; opt->props && i + 1 < opt->props->len; i += 2) {
        const char *name = g_ptr_array_index(opt->props, i), *value = g_ptr_array_index(opt->props, i + 1);
        if (strcmp(name, "bus") &&
            !device_set_prop(dev, name, value, find_back_end, (void *)m->cfg, error))
            return false;
    }
    return true;
}

static bool add_user_device(struct machine *m, const struct machine_device_opt *opt, GError **error)
{
    struct device *dev = machine_add_device(m, opt->driver, opt->id, 0, 0, error);
    if (!dev)
        return false;
    dev->parent = board_find_bus(m, dev, asked_bus(opt), error);
    return dev->parent && set_user_props(m, dev, opt, error) && machine_init_device(m, dev, error);
}

static bool add_user_devices(struct machine *m, GError **error)
{
    const GPtrArray *opts = m->cfg->devices;
    for (unsigned i = 0; opts && i < opts->len; i++)
        if (!add_user_device(m, g_ptr_array_index(opts, i), error))
            return false;
    return true;
}

static bool make_board(struct machine *m, GError **error)
{
    if (!m->cfg->board->init(m, error))
        return false;
    for (unsigned i = 0; i < m->nr_cpus; i++)
        exec_add_cpu(m->exec, m->cpus[i]);
    return true;
}

struct machine *machine_new(const struct machine_config *cfg, GError **error)
{
    struct machine *m = g_new0(struct machine, 1);
    m->cfg = cfg;
    if (make_core(m, error) && make_board(m, error) && add_user_devices(m, error) &&
        machine_reset(m, error))
        return m;
    machine_free(m);
    return NULL;
}

void machine_free(struct machine *m)
{
    snapshot_forget(m);
    for (unsigned i = m->devices ? m->devices->len : 0; i-- > 0;)
        device_free(g_ptr_array_index(m->devices, i));
    for (unsigned i = 0; i < m->nr_cpus; i++)
        m->cpus[i]->guest->free(m->cpus[i]);
    if (m->devices)
        g_ptr_array_free(m->devices, TRUE);
    if (m->exec)
        exec_free(m->exec);
    clock_free(m->clock);
    door_free(m->door);
    mem_free(m->mem);
    sched_free(m->sched);
    g_free(m->fdt);
    g_free(m->error);
    g_free(m->dev_by_role);
    g_free(m);
}

bool machine_reset(struct machine *m, GError **error)
{
    sched_reset(m->sched);
    for (unsigned i = 0; i < m->devices->len; i++)
        device_reset(g_ptr_array_index(m->devices, i));
    for (unsigned i = 0; i < m->nr_cpus; i++) {
        m->cpus[i]->guest->reset(m->cpus[i]);
        cpu_flush_tlb(m->cpus[i]);
    }
    m->stop_shutdown = m->stop_reset = false;
    m->exit_code = 0;
    return m->cfg->board->load(m, error);
}

static enum machine_stop carry_out_reset(struct machine *m)
{
    GError *error = NULL;
    if (m->no_reboot || machine_reset(m, &error))
        return STOP_RESET;
    g_free(m->error);
    m->error = g_strdup(error->message);
    g_error_free(error);
    return STOP_ERROR;
}

enum machine_stop machine_run(struct machine *m, icount_t until)
{
    enum machine_stop stop = sched_run(m->sched, until);
    if (stop != STOP_REQUESTED)
        return stop;
    if (m->stop_shutdown && !(m->stop_reset && m->reset_by_user))
        return STOP_SHUTDOWN;
    if (m->stop_reset)
        return carry_out_reset(m);
    m->stop_requested = false;
    return STOP_REQUESTED;
}

icount_t machine_icount(const struct machine *m)
{
    return m->sched->total + (m->sched->running ? cpu_elapsed(m->sched->running) : 0);
}

uint64_t machine_hash(struct machine *m)
{
    uint64_t now = clock_now(m->clock);
    uint64_t hash = hash_bytes(&now, sizeof(now), 0);
    hash = hash_bytes(&m->sched->total, sizeof(m->sched->total), hash);
    if (!m->sched->solo)
        hash = state_hash(sched_state_fields, m->sched, hash);
    for (unsigned i = 0; i < m->nr_cpus; i++)
        hash = state_hash(m->cpus[i]->guest->state, m->cpus[i], hash);
    for (unsigned i = 0; i < m->devices->len; i++) {
        struct device *dev = g_ptr_array_index(m->devices, i);
        hash = state_hash(dev->cls->state, dev, hash);
    }
    hash = state_hash(door_state_fields, door_state(m->door), hash);
    return mem_hash(m->mem, hash);
}

void machine_request_shutdown(struct machine *m, int exit_code)
{
    if (m->stop_shutdown)
        return;
    m->stop_shutdown = true;
    m->exit_code = exit_code;
    exec_request_stop(m->exec);
}

void machine_request_reset(struct machine *m)
{
    m->stop_reset = true;
    m->reset_by_user = false;
    exec_request_stop(m->exec);
}

void machine_press_reset(struct machine *m)
{
    door_deliver(m->door, m->button_id, NULL, 0);
}

void machine_request_stop(struct machine *m)
{
    __atomic_store_n(&m->stop_requested, true, __ATOMIC_RELAXED);
    exec_request_stop(m->exec);
}
