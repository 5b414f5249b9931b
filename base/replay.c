// SPDX-License-Identifier: MIT
// The door: all inputs from outside, the only reader of the host's clock, and the guest's entropy.
//
// Every input, whether it arrives now, waits for the end of a slice or was scheduled, goes through
// hand_over() with the machine's instruction count at hand; and every input that is known ahead
// sits in one queue, at whose first entry the machine ends its slice. So a recorder belongs in
// hand_over() and door_epoch_ns(), and a replayer fills the queue and the epoch and ignores what
// arrives.
#include "base/replay.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/state.h"

struct receiver {
    enum door_input kind;
    char *name;
    door_handler *handler;
    void *opaque;
};

// An input that waits for its time.
struct input {
    icount_t when;
    unsigned id;
    size_t len;
    uint8_t data[];
};

struct door_state {
    uint64_t generator[4]; // never all zeros
    uint64_t epoch_ns;
    bool epoch_known; // fixed, or read from the host
};

struct door {
    struct door_state state;
    icount_t (*icount)(void *opaque); // NULL until a machine is there: count zero
    void *icount_opaque;
    bool running;      // a slice runs
    GArray *receivers; // of struct receiver, by id
    GQueue queue;      // of struct input, in order of `when`, then of arrival
};

const struct state_field door_state_fields[] = {
    STATE_ARRAY(struct door_state, generator),
    STATE_VAR(struct door_state, epoch_ns),
    STATE_VAR(struct door_state, epoch_known),
    STATE_END,
};

// --- The generator of entropy: xoshiro256**, seeded by a Weyl sequence through a finalizer ---

static uint64_t rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

// The state comes from distinct values through a bijection, so at most one of the words is zero.
static void generator_seed(uint64_t s[4], uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t v = seed += UINT64_C(0x9e3779b97f4a7c15);
        v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
        s[i] = v ^ v >> 31;
    }
}

static uint64_t generator_next(uint64_t s[4])
{
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

void door_set_seed(struct door *door, uint64_t seed)
{
    generator_seed(door->state.generator, seed);
}

void door_entropy(struct door *door, void *buf, size_t len)
{
    for (uint8_t *p = buf; len;) {
        uint64_t word = generator_next(door->state.generator);
        size_t n = MIN(len, sizeof(word));
        memcpy(p, &word, n);
        p += n;
        len -= n;
    }
}

// --- The door and its receivers ---

static void receiver_clear(void *r)
{
    g_free(((struct receiver *)r)->name);
}

struct door *door_new(uint64_t seed)
{
    struct door *door = g_new0(struct door, 1);
    generator_seed(door->state.generator, seed);
    door->receivers = g_array_new(FALSE, FALSE, sizeof(struct receiver));
    g_array_set_clear_func(door->receivers, receiver_clear);
    g_queue_init(&door->queue);
    return door;
}

void door_free(struct door *door)
{
    if (!door)
        return;
    g_queue_clear_full(&door->queue, g_free);
    g_array_free(door->receivers, TRUE);
    g_free(door);
}

void door_set_icount(struct door *door, icount_t (*icount)(void *opaque), void *opaque)
{
    door->icount = icount;
    door->icount_opaque = opaque;
}

static icount_t now(const struct door *door)
{
    return door->icount ? door->icount(door->icount_opaque) : 0;
}

unsigned door_register(struct door *door, enum door_input kind, const char *name,
                       door_handler *handler, void *opaque)
{
    struct receiver r = {kind, g_strdup(name), handler, opaque};
    g_array_append_val(door->receivers, r);
    return door->receivers->len - 1;
}

// --- Inputs ---

static void hand_over(struct door *door, unsigned id, const uint8_t *data, size_t len)
{
    struct receiver *r = &g_array_index(door->receivers, struct receiver, id);
    assert(!door->running);
    r->handler(r->opaque, data, len);
}

void door_deliver(struct door *door, unsigned id, const uint8_t *data, size_t len)
{
    assert(id < door->receivers->len);
    if (door->running)
        door_deliver_at(door, id, now(door), data, len);
    else
        hand_over(door, id, data, len);
}

void door_deliver_at(struct door *door, unsigned id, icount_t when, const uint8_t *data, size_t len)
{
    assert(id < door->receivers->len);
    struct input *in = g_malloc(sizeof(*in) + len);
    *in = (struct input){.when = when, .id = id, .len = len};
    if (len)
        memcpy(in->data, data, len);
    GList *after = door->queue.tail;
    while (after && ((struct input *)after->data)->when > when)
        after = after->prev;
    if (after)
        g_queue_insert_after(&door->queue, after, in);
    else
        g_queue_push_head(&door->queue, in);
}

icount_t door_next(const struct door *door)
{
    return door->queue.head ? ((struct input *)door->queue.head->data)->when : UINT64_MAX;
}

void door_set_running(struct door *door, bool running)
{
    door->running = running;
}

// What a handler schedules for this very moment is handed over too.
void door_run_due(struct door *door)
{
    while (door->queue.head && door_next(door) <= now(door)) {
        struct input *in = g_queue_pop_head(&door->queue);
        hand_over(door, in->id, in->data, in->len);
        g_free(in);
    }
}

// --- Clocks ---

static uint64_t host_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t door_epoch_ns(struct door *door)
{
    if (!door->state.epoch_known)
        door_set_epoch(door, host_ns(CLOCK_REALTIME));
    return door->state.epoch_ns;
}

void door_set_epoch(struct door *door, uint64_t ns)
{
    door->state.epoch_ns = ns;
    door->state.epoch_known = true;
}

uint64_t door_host_ns(void)
{
    return host_ns(CLOCK_MONOTONIC);
}

uint64_t door_host_epoch_ns(void)
{
    return host_ns(CLOCK_REALTIME);
}

void *door_state(struct door *door)
{
    return &door->state;
}
