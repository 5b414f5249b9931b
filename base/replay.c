// SPDX-License-Identifier: MIT
// The door: all inputs from outside, the only reader of the host's clock, and the guest's entropy.
//
// Every input, whether it arrives now, waits for the end of a slice or was scheduled, goes through hand_over() with the
// machine's position at hand. When recording, that and every answer make an entry of the log. When replaying, `cursor`
// is the next entry, and `stop` the next one that the machine must stop for: that may lie behind some answers.
#include "base/replay.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/replay_log.h"
#include "base/state.h"

#define ID_CLOCK UINT32_MAX // in the log: who asked for the date

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
    struct door_machine machine; // position NULL: there is none
    bool running;                // a slice runs
    uint64_t passed;             // inputs handed over
    GArray *receivers;           // of struct receiver, by id
    GQueue queue;                // of struct input, in order of `when`, then of arrival
    // The log.
    struct journal *log; // NULL: none
    bool logs_disks;
    bool replaying, silent;
    struct door_position last; // of the entry before the end (recording) or the cursor (replaying)
    uint64_t cursor_offset;
    struct log_entry cursor; // the entry there; LOG_NONE: nothing is left
    struct log_entry stop;   // LOG_INPUT or LOG_END; LOG_NONE: the log breaks off before
    bool has_end;            // replay no further than this
    struct door_moment end;
    GError *problem;
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
    g_clear_error(&door->problem);
    g_free(door);
}

void door_set_machine(struct door *door, const struct door_machine *machine)
{
    door->machine = *machine;
}

static struct door_position where(const struct door *door)
{
    struct door_position at = {0, 0, 0};
    if (door->machine.position)
        door->machine.position(door->machine.opaque, &at);
    return at;
}

unsigned door_register(struct door *door, enum door_input kind, const char *name,
                       door_handler *handler, void *opaque)
{
    struct receiver r = {kind, g_strdup(name), handler, opaque};
    g_array_append_val(door->receivers, r);
    return door->receivers->len - 1;
}

static const struct receiver *receiver_at(const struct door *door, uint32_t id)
{
    return &g_array_index(door->receivers, struct receiver, id);
}

static const char *name_of(const struct door *door, uint32_t id)
{
    if (id == ID_CLOCK)
        return "the date";
    return id < door->receivers->len ? receiver_at(door, id)->name : "something that is not there";
}

// --- The log: recording ---

bool door_is_recording(const struct door *door)
{
    return door->log && !door->replaying;
}

bool door_is_replaying(const struct door *door)
{
    return door->replaying;
}

bool door_logs_disks(const struct door *door)
{
    return door->log && door->logs_disks;
}

bool door_is_over(const struct door *door)
{
    return door->replaying && !door->has_end &&
           (door->cursor.kind == LOG_END || door->cursor.kind == LOG_NONE);
}

bool door_is_silent(const struct door *door)
{
    return door->silent;
}

void door_set_silent(struct door *door, bool silent)
{
    door->silent = silent;
}

static void append(struct door *door, enum log_kind kind, uint32_t id, uint64_t key,
                   const void *data, size_t len)
{
    struct log_entry e = {
        .kind = kind, .id = id, .at = where(door), .key = key, .len = (uint32_t)len};
    assert(len <= UINT32_MAX);
    log_append(door->log, &door->last, &e, data);
}

void door_record(struct door *door, struct journal *log, bool disks)
{
    assert(!door->replaying);
    door->log = log;
    door->logs_disks = disks;
    if (log && !journal_end(log))
        door->last = (struct door_position){0, 0, 0};
}

void door_record_end(struct door *door)
{
    if (door_is_recording(door))
        append(door, LOG_END, 0, 0, NULL, 0);
}

void door_moment(struct door *door, struct door_moment *moment)
{
    *moment = (struct door_moment){.at = where(door), .last = door->last};
    if (door->replaying)
        moment->offset = door->cursor_offset;
    else if (door->log)
        moment->offset = journal_end(door->log);
}

// --- The log: replaying ---

const GError *door_problem(const struct door *door)
{
    return door->problem;
}

void door_fail(struct door *door, const char *fmt, ...)
{
    va_list args;
    if (door->problem)
        return;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(&door->problem, FERRY_ERROR, FERRY_ERROR_FORMAT,
                "the replay went another way at instruction %" PRIu64 ": %s", where(door).icount,
                text);
    if (door->machine.stop)
        door->machine.stop(door->machine.opaque);
}

static void read_entry(const struct door *door, uint64_t offset, const struct door_position *last,
                       struct log_entry *e)
{
    if (door->has_end && offset >= door->end.offset)
        *e = (struct log_entry){.kind = LOG_END, .at = door->end.at, .next = offset};
    else
        log_read(door->log, offset, last, e);
}

// The first entry from the cursor on for which the machine stops.
static void find_stop(struct door *door)
{
    struct log_entry e = door->cursor;
    while (e.kind == LOG_ANSWER) {
        struct door_position last = e.at;
        read_entry(door, e.next, &last, &e);
    }
    door->stop = e;
}

static void set_cursor(struct door *door, uint64_t offset, const struct door_position *last)
{
    bool passes = door->cursor.kind != LOG_ANSWER;
    door->cursor_offset = offset;
    door->last = *last;
    read_entry(door, offset, last, &door->cursor);
    if (passes)
        find_stop(door);
}

static void advance(struct door *door)
{
    struct door_position at = door->cursor.at;
    set_cursor(door, door->cursor.next, &at);
}

static void start_replay(struct door *door, uint64_t offset, const struct door_position *last)
{
    door->replaying = true;
    g_clear_error(&door->problem);
    door->cursor.kind = LOG_NONE;
    set_cursor(door, offset, last);
}

void door_replay(struct door *door, struct journal *log, bool disks)
{
    door->log = log;
    door->logs_disks = disks;
    door->has_end = false;
    start_replay(door, 0, &(struct door_position){0, 0, 0});
}

void door_replay_part(struct door *door, const struct door_moment *from,
                      const struct door_moment *to)
{
    assert(door->log && from->offset <= to->offset);
    door->has_end = true;
    door->end = *to;
    start_replay(door, from->offset, &from->last);
}

void door_replay_rest(struct door *door)
{
    struct door_position last = door->last;
    door->has_end = false;
    start_replay(door, door->cursor_offset, &last);
}

void door_go_live(struct door *door)
{
    assert(door->log);
    if (!door->replaying)
        return;
    journal_truncate(door->log, door->cursor_offset);
    door->replaying = door->has_end = false;
}

static GByteArray *entry_data(struct door *door, const struct log_entry *e)
{
    GByteArray *data = g_byte_array_sized_new(e->len);
    g_byte_array_set_size(data, e->len);
    if (journal_read(door->log, e->data, data->data, e->len) != e->len)
        g_byte_array_set_size(data, 0);
    return data;
}

// --- Inputs ---

static void hand_over(struct door *door, unsigned id, const uint8_t *data, size_t len)
{
    const struct receiver *r = receiver_at(door, id);
    assert(!door->running && r->handler);
    if (door_is_recording(door))
        append(door, LOG_INPUT, id, 0, data, len);
    door->passed++;
    r->handler(r->opaque, data, len);
}

void door_deliver(struct door *door, unsigned id, const uint8_t *data, size_t len)
{
    assert(id < door->receivers->len);
    if (door->replaying)
        return;
    if (door->running)
        door_deliver_at(door, id, where(door).icount, data, len);
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

static icount_t queue_next(const struct door *door)
{
    return door->queue.head ? ((struct input *)door->queue.head->data)->when : UINT64_MAX;
}

icount_t door_next(const struct door *door)
{
    if (!door->replaying)
        return queue_next(door);
    return door->stop.kind == LOG_NONE ? UINT64_MAX : door->stop.at.icount;
}

uint64_t door_next_ns(const struct door *door)
{
    struct door_position at = where(door);
    const struct log_entry *stop = &door->stop;
    if (!door->replaying || stop->kind == LOG_NONE || stop->at.icount != at.icount ||
        stop->at.ns <= at.ns)
        return CLOCK_NEVER;
    return stop->at.ns;
}

uint64_t door_passed(const struct door *door)
{
    return door->passed;
}

void door_set_running(struct door *door, bool running)
{
    door->running = running;
}

// What a handler schedules for this very moment is handed over too.
static enum door_due run_queue(struct door *door)
{
    enum door_due due = DOOR_NOTHING;
    while (door->queue.head && queue_next(door) <= where(door).icount) {
        struct input *in = g_queue_pop_head(&door->queue);
        hand_over(door, in->id, in->data, in->len);
        g_free(in);
        due = DOOR_DELIVERED;
    }
    return due;
}

// --- Inputs of the log ---

// Whether the machine is before (negative), at or behind the place of an entry. Answers are given within slices.
static int compare(const struct door_position *at, const struct log_entry *e)
{
    if (at->icount != e->at.icount || e->kind == LOG_ANSWER)
        return at->icount <= e->at.icount ? -1 : 1;
    if (at->moves != e->at.moves)
        return at->moves < e->at.moves ? -1 : 1;
    return at->ns == e->at.ns ? 0 : at->ns < e->at.ns ? -1 : 1;
}

static void fail_missed(struct door *door)
{
    const struct log_entry *e = &door->cursor;
    if (e->kind == LOG_END)
        door_fail(door,
                  "the recording ends at instruction %" PRIu64
                  ", and there the machine was elsewhere",
                  e->at.icount);
    else if (e->kind == LOG_ANSWER)
        door_fail(door, "%s was asked at instruction %" PRIu64 ", and this time was not",
                  name_of(door, e->id), e->at.icount);
    else
        door_fail(door,
                  "%s got %u bytes at instruction %" PRIu64
                  ", and this time the machine was elsewhere",
                  name_of(door, e->id), e->len, e->at.icount);
}

static enum door_due hand_over_logged(struct door *door)
{
    struct log_entry e = door->cursor;
    g_autoptr(GByteArray) data = entry_data(door, &e);
    const struct receiver *r = e.id < door->receivers->len ? receiver_at(door, e.id) : NULL;
    if (!r || !r->handler || data->len != e.len) {
        door_fail(door, "%s cannot be given the %u bytes that it got then", name_of(door, e.id),
                  e.len);
        return DOOR_PROBLEM;
    }
    advance(door);
    r->handler(r->opaque, data->data, data->len);
    return door->problem ? DOOR_PROBLEM : DOOR_DELIVERED;
}

// The next entry, if it is due.
static enum door_due replay_one(struct door *door)
{
    struct door_position at = where(door);
    if (door->problem)
        return DOOR_PROBLEM;
    if (door->cursor.kind == LOG_NONE)
        return DOOR_END;
    int c = compare(&at, &door->cursor);
    if (c > 0) {
        fail_missed(door);
        return DOOR_PROBLEM;
    }
    if (c < 0)
        return DOOR_NOTHING;
    return door->cursor.kind == LOG_END ? DOOR_END : hand_over_logged(door);
}

enum door_due door_run_due(struct door *door)
{
    enum door_due due, all = DOOR_NOTHING;
    if (!door->replaying)
        return door->queue.head ? run_queue(door) : DOOR_NOTHING;
    while ((due = replay_one(door)) == DOOR_DELIVERED)
        all = due;
    return due == DOOR_NOTHING ? all : due;
}

bool door_stuck(struct door *door)
{
    if (door->replaying)
        fail_missed(door);
    return door->replaying;
}

// --- Answers ---

void door_remember(struct door *door, unsigned id, uint64_t key, const void *data, size_t len)
{
    if (door_is_recording(door))
        append(door, LOG_ANSWER, id, key, data, len);
}

static void take_answer(struct door *door, GByteArray *answer)
{
    GByteArray *data = entry_data(door, &door->cursor);
    g_byte_array_append(answer, data->data, data->len);
    g_byte_array_free(data, TRUE);
    advance(door);
}

static bool is_answer(const struct door *door, unsigned id, uint64_t key)
{
    const struct log_entry *e = &door->cursor;
    return e->kind == LOG_ANSWER && e->id == id && e->key == key &&
           e->at.icount == where(door).icount;
}

bool door_recall_if(struct door *door, unsigned id, uint64_t key, GByteArray *answer)
{
    if (!door->replaying || !is_answer(door, id, key))
        return false;
    g_byte_array_set_size(answer, 0);
    take_answer(door, answer);
    return true;
}

bool door_recall(struct door *door, unsigned id, uint64_t key, GByteArray *answer)
{
    const struct log_entry *e = &door->cursor;
    if (!door->replaying)
        return false;
    g_byte_array_set_size(answer, 0);
    if (is_answer(door, id, key))
        take_answer(door, answer);
    else if (e->kind == LOG_ANSWER)
        door_fail(door,
                  "%s is asked for %" PRIu64 "; it was %s for %" PRIu64 ", at instruction %" PRIu64,
                  name_of(door, id), key, name_of(door, e->id), e->key, e->at.icount);
    else
        door_fail(door, "%s is asked for %" PRIu64 ", which did not happen then", name_of(door, id),
                  key);
    return true;
}

// --- Clocks ---

static uint64_t host_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t find_date(struct door *door)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();
    uint8_t bytes[8];
    if (door_recall(door, ID_CLOCK, 0, answer))
        return answer->len == 8 ? load_le(answer->data, 8) : 0;
    uint64_t ns = host_ns(CLOCK_REALTIME);
    store_le(bytes, 8, ns);
    door_remember(door, ID_CLOCK, 0, bytes, sizeof(bytes));
    return ns;
}

uint64_t door_epoch_ns(struct door *door)
{
    if (!door->state.epoch_known)
        door_set_epoch(door, find_date(door));
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
