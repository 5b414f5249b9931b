// SPDX-License-Identifier: MIT
// Recordings in files: head, hashes on the way, end.
//
// Hashes are inputs of the machine for the log's purposes: an input whose receiver compares them with what the machine is.
// Those of the CPUs are cheap and frequent; those of all parts take as long as many pages were written, and are
// spaced so that they cost little.
#include "machine/record.h"

#include "base/bits.h"
#include "base/journal.h"
#include "machine/describe.h"

#define ALL_NS    (NS_PER_S)      // host time between hashes of all parts
#define ALL_SHARE 50              // and more, if they would take more than one in so many
#define QUICK_NS  (NS_PER_S / 20) // between those of CPUs

struct record {
    struct machine *m;
    uint64_t next_all, next_quick; // host time
    bool complained;
};

// --- Hashes ---

static void verify(void *opaque, const uint8_t *data, size_t len)
{
    struct machine *m = opaque;
    if (!door_is_replaying(m->door))
        return;
    for (unsigned i = 0; i < MIN(len / 8, machine_nr_parts(m)); i++) {
        if (machine_part_hash(m, i) == load_le(data + 8 * i, 8))
            continue;
        g_autofree char *name = machine_part_name(m, i);
        door_fail(m->door, "%s is not what it was", name);
        return;
    }
}

void record_register(struct machine *m)
{
    m->check_id = door_register(m->door, DOOR_CONTROL, "check", verify, m);
}

static void put_hashes(struct machine *m, unsigned nr_parts)
{
    g_autofree uint8_t *hashes = g_malloc(8 * nr_parts);
    for (unsigned i = 0; i < nr_parts; i++)
        store_le(hashes + 8 * i, 8, machine_part_hash(m, i));
    door_deliver(m->door, m->check_id, hashes, 8 * nr_parts);
}

static void put_all(struct record *r)
{
    uint64_t start = door_host_ns();
    put_hashes(r->m, machine_nr_parts(r->m));
    uint64_t end = door_host_ns();
    r->next_all = end + MAX(ALL_NS, (end - start) * ALL_SHARE);
    r->next_quick = end + QUICK_NS;
    journal_flush(r->m->cfg->log);
}

// --- Life ---

// Between making the machine and here, the replay may have failed: then another machine is the likely reason.
static bool check_head(struct machine *m, GError **error)
{
    const char *head = journal_head(m->cfg->log);
    if (!machine_check_description(m, head, "the recording", error))
        return false;
    if (!door_problem(m->door))
        return true;
    g_propagate_error(error, g_error_copy(door_problem(m->door)));
    return false;
}

struct record *record_start(struct machine *m, GError **error)
{
    if (m->cfg->replay && !check_head(m, error))
        return NULL;
    struct record *r = g_new0(struct record, 1);
    r->m = m;
    m->recorded = true;
    if (!m->cfg->replay) {
        g_autofree char *head = machine_describe(m);
        journal_set_head(m->cfg->log, head);
        put_all(r);
    }
    return r;
}

static void complain(struct record *r)
{
    const GError *error = journal_error(r->m->cfg->log);
    if (error && !r->complained)
        warn_user("the recording is given up: %s", error->message);
    r->complained |= error != NULL;
}

void record_tick(struct record *r)
{
    uint64_t now = door_host_ns();
    if (!door_is_recording(r->m->door) || r->complained)
        return;
    if (now >= r->next_all) {
        put_all(r);
    } else if (now >= r->next_quick) {
        put_hashes(r->m, r->m->nr_cpus);
        r->next_quick = now + QUICK_NS;
    }
    complain(r);
}

bool record_check_end(struct record *r, GError **error)
{
    if (!r || !door_is_replaying(r->m->door))
        return true;
    if (door_run_due(r->m->door) != DOOR_END)
        door_fail(r->m->door, "the machine has ended, and the recording goes on");
    if (!door_problem(r->m->door))
        return true;
    g_propagate_error(error, g_error_copy(door_problem(r->m->door)));
    return false;
}

bool record_is_over(const struct record *r)
{
    return door_is_over(r->m->door);
}

void record_end(struct record *r)
{
    if (!r)
        return;
    if (door_is_recording(r->m->door)) {
        put_all(r);
        door_record_end(r->m->door);
        journal_flush(r->m->cfg->log);
        complain(r);
    }
    g_free(r);
}
