// SPDX-License-Identifier: MIT
// The list of a machine's states.
#include "machine/state.h"

#include <assert.h>

#include "machine/sched.h"
#include "translator/guest.h"

static const struct state_field time_fields[] = {STATE_VAR(struct clock, base_ns), STATE_END};
static const struct state_field power_fields[] = {
    STATE_VAR(struct machine, stop_shutdown),
    STATE_VAR(struct machine, exit_code),
    STATE_END,
};

enum { TIME, SCHEDULER, POWER, ENTROPY, FIRST_CPU };

bool machine_state_at(const struct machine *m, unsigned i, struct machine_state *state)
{
    struct machine_state own[FIRST_CPU] = {
        [TIME] = {time_fields, m->clock},
        [SCHEDULER] = {sched_state_fields, m->sched},
        [POWER] = {power_fields, (void *)m},
        [ENTROPY] = {door_state_fields, door_state(m->door)},
    };
    if (i < FIRST_CPU) {
        *state = own[i];
        return true;
    }
    i -= FIRST_CPU;
    if (i < m->nr_cpus) {
        *state = (struct machine_state){m->cpus[i]->guest->state, m->cpus[i]};
        return true;
    }
    i -= m->nr_cpus;
    if (i >= m->devices->len)
        return false;
    struct device *dev = g_ptr_array_index(m->devices, i);
    *state = (struct machine_state){dev->cls->state, dev};
    return true;
}

char *machine_state_name(const struct machine *m, unsigned i)
{
    static const char *const own[FIRST_CPU] = {"time", "scheduler", "power", "entropy and date"};
    if (i < FIRST_CPU)
        return g_strdup(own[i]);
    i -= FIRST_CPU;
    if (i < m->nr_cpus)
        return g_strdup_printf("CPU %u", i);
    const struct device *dev = g_ptr_array_index(m->devices, i - m->nr_cpus);
    return g_strdup_printf("device %s (%s)", dev->id, dev->cls->name);
}

void machine_state_save(const struct machine *m, GByteArray *out)
{
    struct machine_state s;
    for (unsigned i = 0; machine_state_at(m, i, &s); i++)
        state_save(s.fields, s.obj, out);
}

void machine_state_load(struct machine *m, const uint8_t *data, size_t len)
{
    struct machine_state s;
    for (unsigned i = 0; machine_state_at(m, i, &s); i++) {
        bool ok = state_load(s.fields, s.obj, "the machine", &data, &len, NULL);
        assert(ok);
    }
    assert(len == 0);
}

void machine_state_loaded(struct machine *m)
{
    m->stop_reset = false;
    for (unsigned i = 0; i < m->nr_cpus; i++) {
        m->cpus[i]->fault.pending = false;
        m->cpus[i]->next_mode = CPU_NORMAL;
        m->cpus[i]->guest->loaded(m->cpus[i]);
    }
    for (unsigned i = 0; i < m->devices->len; i++) {
        struct device *dev = g_ptr_array_index(m->devices, i);
        if (dev->cls->loaded)
            dev->cls->loaded(dev);
    }
}
