// SPDX-License-Identifier: MIT
// Entries of a recording: a byte with the kind, then numbers of 7 bits a byte, low ones first: steps and moves since
// the entry before, the difference of guest times (sign in the lowest bit), and but for the end the receiver and the
// data's length; answers have what was asked for before the length.
#include "base/replay_log.h"

#include <assert.h>

#define HEAD_MAX (1 + 6 * 10)

static size_t put(uint8_t *at, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        at[n++] = (uint8_t)(value | 0x80);
    at[n++] = (uint8_t)value;
    return n;
}

static uint64_t fold_sign(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static uint64_t unfold_sign(uint64_t value)
{
    return value >> 1 ^ (value & 1 ? UINT64_MAX : 0);
}

void log_append(struct journal *j, struct door_position *last, const struct log_entry *e,
                const uint8_t *data)
{
    uint8_t head[HEAD_MAX] = {(uint8_t)e->kind};
    size_t n = 1;
    assert(e->at.icount >= last->icount && e->at.moves >= last->moves);
    n += put(head + n, e->at.icount - last->icount);
    n += put(head + n, e->at.moves - last->moves);
    n += put(head + n, fold_sign(e->at.ns - last->ns));
    if (e->kind != LOG_END) {
        n += put(head + n, e->id);
        if (e->kind == LOG_ANSWER)
            n += put(head + n, e->key);
        n += put(head + n, e->len);
    }
    journal_append(j, head, n);
    if (e->kind != LOG_END && e->len)
        journal_append(j, data, e->len);
    *last = e->at;
}

struct reader {
    const uint8_t *at, *end;
    bool short_of; // bytes
};

static uint64_t take(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end)
            break;
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->short_of = true;
    return 0;
}

void log_read(struct journal *j, uint64_t offset, const struct door_position *last,
              struct log_entry *e)
{
    uint8_t head[HEAD_MAX];
    size_t n = journal_read(j, offset, head, sizeof(head));
    struct reader r = {head + 1, head + n, n == 0};
    *e = (struct log_entry){.kind = n ? head[0] : LOG_NONE, .at = *last, .next = offset};
    if (e->kind > LOG_END)
        e->kind = LOG_NONE;
    if (e->kind == LOG_NONE)
        return;
    e->at.icount += take(&r);
    e->at.moves += take(&r);
    e->at.ns += unfold_sign(take(&r));
    if (e->kind != LOG_END) {
        e->id = (uint32_t)take(&r);
        e->key = e->kind == LOG_ANSWER ? take(&r) : 0;
        e->len = (uint32_t)take(&r);
    }
    e->data = offset + (uint64_t)(r.at - head);
    e->next = e->data + e->len;
    if (r.short_of || e->next > journal_end(j))
        e->kind = LOG_NONE;
}
