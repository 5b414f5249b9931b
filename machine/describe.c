// SPDX-License-Identifier: MIT
// A machine in words, and its parts.
#include "machine/describe.h"

#include <inttypes.h>

#include "backend/block.h"
#include "machine/board.h"
#include "machine/sched.h"
#include "translator/guest.h"

// --- The description ---

static void add_cpus(const struct machine *m, GString *out)
{
    const struct machine_config *cfg = m->cfg;
    const char *model = cfg->cpu_model ? cfg->cpu_model : cfg->board->default_cpu[cfg->bits == 64];
    g_string_append_printf(out, "cpus %u, %s, an instruction takes %" PRIu64 " ns\n", m->nr_cpus,
                           model, UINT64_C(1) << cfg->icount_shift);
}

static void add_memories(const struct machine *m, GString *out)
{
    const struct mem_region *r;
    for (unsigned i = 0; (r = mem_region_at(m->mem, i)); i++)
        if (r->kind != MEM_IO)
            g_string_append_printf(out, "memory %s, %" PRIu64 " KiB at 0x%" PRIx64 "\n", r->name,
                                   r->size >> 10, r->base);
}

static uint64_t prop_scalar(const struct device *dev, const struct device_prop *p)
{
    const void *at = (const char *)dev + p->offset;
    switch (p->kind) {
    case PROP_BOOL:
        return *(const bool *)at;
    case PROP_U32:
        return *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

// Of a drive its size matters; of other back ends, whether there is one.
static void add_prop(const struct device *dev, const struct device_prop *p, GString *out)
{
    const void *at = (const char *)dev + p->offset;
    const void *pointer = p->kind >= PROP_STRING ? *(void *const *)at : NULL;
    g_string_append_printf(out, ", %s=", p->name);
    if (p->kind == PROP_STRING)
        g_string_append(out, pointer ? pointer : "");
    else if (p->kind == PROP_BLOCK && pointer)
        g_string_append_printf(out, "%" PRIu64 " bytes", block_size(pointer));
    else if (p->kind > PROP_STRING)
        g_string_append(out, pointer ? "connected" : "none");
    else
        g_string_append_printf(out, "%" PRIu64, prop_scalar(dev, p));
}

static void add_device(const struct device *dev, GString *out)
{
    g_string_append_printf(out, "device %s, %s", dev->id, dev->cls->name);
    if (dev->base)
        g_string_append_printf(out, " at 0x%" PRIx64, dev->base);
    if (dev->parent)
        g_string_append_printf(out, " on %s", dev->parent->id);
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++)
        add_prop(dev, p, out);
    g_string_append_c(out, '\n');
}

char *machine_describe(const struct machine *m)
{
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "board %s\n", m->cfg->board->name);
    add_cpus(m, out);
    add_memories(m, out);
    for (unsigned i = 0; i < m->devices->len; i++)
        add_device(g_ptr_array_index(m->devices, i), out);
    return g_string_free(out, FALSE);
}

bool machine_check_description(const struct machine *m, const char *theirs, const char *what,
                               GError **error)
{
    g_autofree char *text = machine_describe(m);
    g_auto(GStrv) ours = g_strsplit(text, "\n", -1), other = g_strsplit(theirs, "\n", -1);
    unsigned i = 0;
    while (ours[i] && other[i] && !strcmp(ours[i], other[i]))
        i++;
    if (!ours[i] && !other[i])
        return true;
    const char *a = ours[i] && *ours[i] ? ours[i] : "nothing more";
    const char *b = other[i] && *other[i] ? other[i] : "nothing more";
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "%s is of another machine: it has '%s' where this one has '%s'", what, b, a);
    return false;
}

// --- Parts ---

// In this order: CPUs; time and entropy; devices; memories.
static const struct mem_region *memory_at(const struct machine *m, unsigned n)
{
    const struct mem_region *r;
    for (unsigned i = 0; (r = mem_region_at(m->mem, i)); i++)
        if (r->kind != MEM_IO && n-- == 0)
            return r;
    return NULL;
}

unsigned machine_nr_parts(const struct machine *m)
{
    unsigned memories = 0;
    while (memory_at(m, memories))
        memories++;
    return m->nr_cpus + 2 + m->devices->len + memories;
}

char *machine_part_name(const struct machine *m, unsigned part)
{
    if (part < m->nr_cpus)
        return g_strdup_printf("CPU %u", part);
    part -= m->nr_cpus;
    if (part < 2)
        return g_strdup(part ? "entropy and date" : "time");
    part -= 2;
    if (part < m->devices->len)
        return g_strdup(((struct device *)g_ptr_array_index(m->devices, part))->id);
    const struct mem_region *r = memory_at(m, part - m->devices->len);
    return r ? g_strdup_printf("memory %s", r->name) : NULL;
}

static uint64_t time_hash(const struct machine *m)
{
    uint64_t now = clock_now(m->clock);
    uint64_t hash = hash_bytes(&now, sizeof(now), m->sched->total);
    return m->sched->solo ? hash : state_hash(sched_state_fields, m->sched, hash);
}

uint64_t machine_part_hash(struct machine *m, unsigned part)
{
    if (part < m->nr_cpus)
        return state_hash(m->cpus[part]->guest->state, m->cpus[part], 0);
    part -= m->nr_cpus;
    if (part < 2)
        return part ? state_hash(door_state_fields, door_state(m->door), 0) : time_hash(m);
    part -= 2;
    if (part < m->devices->len) {
        const struct device *dev = g_ptr_array_index(m->devices, part);
        return state_hash(dev->cls->state, dev, 0);
    }
    return mem_region_hash(m->mem, memory_at(m, part - m->devices->len));
}
