// SPDX-License-Identifier: MIT
// Virtio's core: split virtqueues (chapter 2.7 of the specification), features, status, configuration space.
//
// Ring fields are read from guest memory each time they are used and never trusted: indices are masked or
// compared with the ring's size, walks along chains are bounded, lengths are summed with care. What a walk
// collected is checked again when the bytes are touched, since only guest memory gives out host pointers.
#include "hw/virtio.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "base/bits.h"

// Descriptors.
#define DESC_SIZE 16
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
#define AVAIL_NO_INTERRUPT 1

const struct state_field virtio_queue_fields[] = {
    STATE_VAR(struct virtio_queue_state, desc),
    STATE_VAR(struct virtio_queue_state, avail),
    STATE_VAR(struct virtio_queue_state, used),
    STATE_VAR(struct virtio_queue_state, num),
    STATE_VAR(struct virtio_queue_state, align),
    STATE_VAR(struct virtio_queue_state, last_avail),
    STATE_VAR(struct virtio_queue_state, used_idx),
    STATE_VAR(struct virtio_queue_state, notified),
    STATE_VAR(struct virtio_queue_state, ready),
    STATE_END,
};

const struct state_field virtio_state_fields[] = {
    STATE_VAR(struct virtio_state, features), STATE_VAR(struct virtio_state, status),
    STATE_VAR(struct virtio_state, isr),      STATE_VAR(struct virtio_state, generation),
    STATE_VAR(struct virtio_state, broken),   STATE_END,
};

// --- Life ---

bool virtio_init(struct virtio_device *v, const struct virtio_class *vcls, struct virtio_state *s,
                 struct virtio_queue_state *queues, unsigned nr_queues, GError **error)
{
    struct virtio_transport *t = (struct virtio_transport *)v->dev.parent;
    assert(vcls->config_size <= VIRTIO_CONFIG_MAX);
    v->vcls = vcls;
    v->s = s;
    v->queues = queues;
    v->nr_queues = nr_queues;
    if (!t)
        return true;
    if (t->function) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: its bus is taken by %s", v->dev.id,
                    t->function->dev.id);
        return false;
    }
    v->transport = t;
    t->function = v;
    return true;
}

static void update(struct virtio_device *v)
{
    if (v->transport)
        v->transport->update(v->transport);
}

static bool is_legacy(const struct virtio_device *v)
{
    return v->transport && v->transport->legacy;
}

static void reset(struct virtio_device *v)
{
    memset(v->s, 0, sizeof(*v->s));
    memset(v->queues, 0, v->nr_queues * sizeof(v->queues[0]));
    if (v->vcls->reset)
        v->vcls->reset(v);
    update(v);
}

void virtio_device_reset(struct device *dev)
{
    reset((struct virtio_device *)dev);
}

void virtio_device_loaded(struct device *dev)
{
    update((struct virtio_device *)dev);
}

bool virtio_is_live(const struct virtio_device *v)
{
    return (v->s->status & VIRTIO_DRIVER_OK) && !v->s->broken;
}

static void interrupt(struct virtio_device *v, uint32_t cause)
{
    v->s->isr |= cause;
    update(v);
}

void virtio_config_changed(struct virtio_device *v)
{
    v->s->generation++;
    if (virtio_is_live(v))
        interrupt(v, VIRTIO_ISR_CONFIG);
}

void virtio_break(struct virtio_device *v, const char *fmt, ...)
{
    va_list args;
    if (log_on(LOG_GUEST)) {
        va_start(args, fmt);
        char *text = g_strdup_vprintf(fmt, args);
        va_end(args);
        log_guest("%s: %s\n", v->dev.id, text);
        g_free(text);
    }
    v->s->broken = 1;
    if (virtio_has(v, VIRTIO_F_VERSION_1)) {
        v->s->status |= VIRTIO_NEEDS_RESET;
        interrupt(v, VIRTIO_ISR_CONFIG);
    }
}

// --- Rings in memory ---

static struct mem *mem_of(const struct virtio_device *v)
{
    return v->dev.env->mem;
}

static bool load(struct virtio_device *v, paddr_t addr, unsigned size, uint64_t *value)
{
    uint8_t bytes[8];
    if (mem_read_bytes(mem_of(v), addr, bytes, size) != MEM_OK) {
        virtio_break(v, "a ring is not in memory, at 0x%" PRIx64, addr);
        return false;
    }
    *value = load_le(bytes, size);
    return true;
}

static bool store(struct virtio_device *v, paddr_t addr, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    if (mem_write_bytes(mem_of(v), addr, bytes, size) != MEM_OK) {
        virtio_break(v, "a ring is not in writable memory, at 0x%" PRIx64, addr);
        return false;
    }
    return true;
}

// The avail ring is flags, idx, ring[num], used_event; the used ring flags, idx, {id, len}[num], avail_event.
static paddr_t avail_entry(const struct virtio_queue_state *vq, uint16_t index)
{
    return vq->avail + 4 + 2 * (paddr_t)(index & (vq->num - 1));
}

static paddr_t used_entry(const struct virtio_queue_state *vq, uint16_t index)
{
    return vq->used + 4 + 8 * (paddr_t)(index & (vq->num - 1));
}

static paddr_t used_event_addr(const struct virtio_queue_state *vq)
{
    return vq->avail + 4 + 2 * (paddr_t)vq->num;
}

static paddr_t avail_event_addr(const struct virtio_queue_state *vq)
{
    return vq->used + 4 + 8 * (paddr_t)vq->num;
}

static bool usable(const struct virtio_device *v, unsigned q)
{
    return !v->s->broken && v->queues[q].ready;
}

// Reads only: back ends may ask at any time between slices.
bool virtio_has_request(const struct virtio_device *v, unsigned q)
{
    const struct virtio_queue_state *vq = &v->queues[q];
    uint8_t idx[2];
    return usable(v, q) && mem_read_bytes(mem_of(v), vq->avail + 2, idx, 2) == MEM_OK &&
           load_le(idx, 2) != vq->last_avail;
}

// How many requests wait. FALSE if the device broke.
static bool waiting(struct virtio_device *v, unsigned q, uint16_t *count)
{
    struct virtio_queue_state *vq = &v->queues[q];
    uint64_t idx;
    if (!load(v, vq->avail + 2, 2, &idx))
        return false;
    *count = (uint16_t)(idx - vq->last_avail);
    if (*count > vq->num) {
        virtio_break(v, "queue %u: the driver's index moved from %u to %u", q, vq->last_avail,
                     (unsigned)idx);
        return false;
    }
    atomic_thread_fence(memory_order_acquire); // the entries were written before the index
    return true;
}

// Nothing waits: asks for a notification at the next request, and looks once more, as it may have come just
// before the driver could see that.
static bool still_empty(struct virtio_device *v, unsigned q)
{
    struct virtio_queue_state *vq = &v->queues[q];
    uint16_t count;
    if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
        return true;
    if (!store(v, avail_event_addr(vq), 2, vq->last_avail))
        return true;
    atomic_thread_fence(memory_order_seq_cst);
    return !waiting(v, q, &count) || count == 0;
}

// --- Chains ---

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static bool load_desc(struct virtio_device *v, paddr_t table, uint32_t index, struct desc *d)
{
    uint8_t bytes[DESC_SIZE];
    paddr_t addr = table + (paddr_t)index * DESC_SIZE;
    if (mem_read_bytes(mem_of(v), addr, bytes, DESC_SIZE) != MEM_OK) {
        virtio_break(v, "a descriptor is not in memory, at 0x%" PRIx64, addr);
        return false;
    }
    *d = (struct desc){
        .addr = load_le(bytes, 8),
        .len = (uint32_t)load_le(bytes + 8, 4),
        .flags = (uint16_t)load_le(bytes + 12, 2),
        .next = (uint16_t)load_le(bytes + 14, 2),
    };
    return true;
}

static bool add_seg(struct virtio_device *v, struct virtio_chain *c, const struct desc *d)
{
    bool in = d->flags & DESC_WRITE;
    uint32_t *total = in ? &c->in_len : &c->out_len;
    if (c->nr_in && !in) {
        virtio_break(v, "queue %u: a readable buffer follows a writable one", c->queue);
        return false;
    }
    if (c->nr_out + c->nr_in == VIRTIO_CHAIN_MAX) {
        virtio_break(v, "queue %u: a chain has more than %d buffers", c->queue, VIRTIO_CHAIN_MAX);
        return false;
    }
    if (__builtin_add_overflow(*total, d->len, total)) {
        virtio_break(v, "queue %u: a chain is longer than 4 GiB", c->queue);
        return false;
    }
    c->segs[c->nr_out + c->nr_in] = (struct virtio_seg){d->addr, d->len};
    if (in)
        c->nr_in++;
    else
        c->nr_out++;
    return true;
}

// The table that an indirect descriptor stands for.
static bool enter_indirect(struct virtio_device *v, const struct virtio_chain *c,
                           const struct desc *d, uint32_t *max)
{
    if (!virtio_has(v, VIRTIO_F_INDIRECT_DESC) || (d->flags & DESC_NEXT) || d->len == 0 ||
        d->len % DESC_SIZE || d->len / DESC_SIZE > VIRTIO_CHAIN_MAX) {
        virtio_break(v, "queue %u: a bad indirect descriptor (flags %u, length %u)", c->queue,
                     d->flags, d->len);
        return false;
    }
    *max = d->len / DESC_SIZE;
    return true;
}

// A chain visits no more descriptors than its table has, or else it is a loop.
static bool walk_table(struct virtio_device *v, struct virtio_chain *c, paddr_t table, uint32_t max,
                       uint32_t index, bool indirect)
{
    struct desc d;
    for (uint32_t n = 0; n < max; n++) {
        if (index >= max) {
            virtio_break(v, "queue %u: descriptor %u of %u", c->queue, index, max);
            return false;
        }
        if (!load_desc(v, table, index, &d))
            return false;
        if (d.flags & DESC_INDIRECT) {
            uint32_t entries;
            if (indirect) {
                virtio_break(v, "queue %u: an indirect descriptor in an indirect table", c->queue);
                return false;
            }
            return enter_indirect(v, c, &d, &entries) && walk_table(v, c, d.addr, entries, 0, true);
        }
        if (!add_seg(v, c, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        index = d.next;
    }
    virtio_break(v, "queue %u: a chain of descriptors is a loop", c->queue);
    return false;
}

// Nothing but what is served can add requests to a queue meanwhile.
static bool may_take(struct virtio_device *v, unsigned q)
{
    if (v->notified_queue != &v->queues[q])
        return true;
    if (!v->requests_left) {
        log_guest("%s: queue %u: its requests write new ones\n", v->dev.id, q);
        return false;
    }
    v->requests_left--;
    return true;
}

bool virtio_pop(struct virtio_device *v, unsigned q, struct virtio_chain *c)
{
    struct virtio_queue_state *vq = &v->queues[q];
    uint16_t count;
    uint64_t head;
    assert(q < v->nr_queues);
    if (!usable(v, q) || !waiting(v, q, &count) || (count == 0 && still_empty(v, q)))
        return false;
    if (!may_take(v, q))
        return false;
    if (!load(v, avail_entry(vq, vq->last_avail), 2, &head))
        return false;
    c->queue = q;
    c->head = (uint16_t)head;
    c->nr_out = c->nr_in = 0;
    c->out_len = c->in_len = 0;
    if (!walk_table(v, c, vq->desc, vq->num, c->head, false))
        return false;
    vq->last_avail++;
    return true;
}

void virtio_unpop(struct virtio_device *v, unsigned q, unsigned n)
{
    v->queues[q].last_avail = (uint16_t)(v->queues[q].last_avail - n);
    if (v->notified_queue == &v->queues[q])
        v->requests_left += n;
}

void virtio_fill(struct virtio_device *v, const struct virtio_chain *c, uint32_t written,
                 unsigned index)
{
    struct virtio_queue_state *vq = &v->queues[c->queue];
    uint16_t at = (uint16_t)(vq->used_idx + index);
    if (usable(v, c->queue))
        store(v, used_entry(vq, at), 8, c->head | (uint64_t)written << 32);
}

void virtio_publish(struct virtio_device *v, unsigned q, unsigned count)
{
    struct virtio_queue_state *vq = &v->queues[q];
    if (!usable(v, q))
        return;
    atomic_thread_fence(memory_order_release);
    vq->used_idx = (uint16_t)(vq->used_idx + count);
    store(v, vq->used + 2, 2, vq->used_idx);
}

void virtio_push(struct virtio_device *v, const struct virtio_chain *c, uint32_t written)
{
    virtio_fill(v, c, written, 0);
    virtio_publish(v, c->queue, 1);
}

// Did the index that the driver waits for pass by since `old`?
static bool passed_event(const struct virtio_queue_state *vq, uint16_t event, uint16_t old)
{
    return (uint16_t)(vq->used_idx - event - 1) < (uint16_t)(vq->used_idx - old);
}

static bool wants_interrupt(struct virtio_device *v, struct virtio_queue_state *vq, uint16_t old)
{
    uint64_t value;
    atomic_thread_fence(memory_order_seq_cst);
    if (virtio_has(v, VIRTIO_F_EVENT_IDX))
        return load(v, used_event_addr(vq), 2, &value) && passed_event(vq, (uint16_t)value, old);
    return load(v, vq->avail, 2, &value) && !(value & AVAIL_NO_INTERRUPT);
}

void virtio_notify(struct virtio_device *v, unsigned q)
{
    struct virtio_queue_state *vq = &v->queues[q];
    uint16_t old = vq->notified;
    if (!usable(v, q) || vq->used_idx == old)
        return;
    vq->notified = vq->used_idx;
    if (wants_interrupt(v, vq, old))
        interrupt(v, VIRTIO_ISR_QUEUE);
}

// --- Bytes of a chain ---

static bool walk(struct virtio_device *v, const struct virtio_chain *c, bool in, uint64_t offset,
                 uint64_t len, virtio_piece *f, void *opaque)
{
    const struct virtio_seg *seg = in ? c->segs + c->nr_out : c->segs;
    const struct virtio_seg *end = seg + (in ? c->nr_in : c->nr_out);
    for (; seg < end && len; seg++) {
        if (offset >= seg->len) {
            offset -= seg->len;
            continue;
        }
        uint64_t n = MIN(len, seg->len - offset);
        uint8_t *host = mem_ptr(mem_of(v), seg->addr + offset, n, in);
        if (!host) {
            virtio_break(v, "queue %u: a buffer is not in memory, at 0x%" PRIx64, c->queue,
                         seg->addr);
            return false;
        }
        if (!f(opaque, host, n))
            return false;
        offset = 0;
        len -= n;
    }
    return len == 0;
}

bool virtio_walk_out(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                     uint64_t len, virtio_piece *f, void *opaque)
{
    return walk(v, c, false, offset, len, f, opaque);
}

bool virtio_walk_in(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                    uint64_t len, virtio_piece *f, void *opaque)
{
    return walk(v, c, true, offset, len, f, opaque);
}

static bool copy_out(void *opaque, uint8_t *host, size_t len)
{
    uint8_t **at = opaque;
    memcpy(*at, host, len);
    *at += len;
    return true;
}

static bool copy_in(void *opaque, uint8_t *host, size_t len)
{
    const uint8_t **at = opaque;
    memcpy(host, *at, len);
    *at += len;
    return true;
}

size_t virtio_read(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                   void *buf, size_t len)
{
    uint8_t *at = buf;
    walk(v, c, false, offset, len, copy_out, &at);
    return (size_t)(at - (uint8_t *)buf);
}

size_t virtio_write(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                    const void *buf, size_t len)
{
    const uint8_t *at = buf;
    walk(v, c, true, offset, len, copy_in, &at);
    return (size_t)(at - (const uint8_t *)buf);
}

// --- What transports ask for ---

uint64_t virtio_offered(const struct virtio_device *v)
{
    uint64_t f = v->vcls->features ? v->vcls->features(v) : 0;
    if (v->event_idx)
        f |= BIT(VIRTIO_F_EVENT_IDX);
    if (v->indirect_desc)
        f |= BIT(VIRTIO_F_INDIRECT_DESC);
    return f | (is_legacy(v) ? BIT(VIRTIO_F_ANY_LAYOUT) : BIT(VIRTIO_F_VERSION_1));
}

bool virtio_set_features(struct virtio_device *v, uint64_t features)
{
    uint64_t offered = virtio_offered(v);
    if (features & ~offered)
        log_guest("%s: the driver takes features that were not offered: 0x%" PRIx64 "\n", v->dev.id,
                  features & ~offered);
    v->s->features = features & offered;
    return !(features & ~offered) && (is_legacy(v) || virtio_has(v, VIRTIO_F_VERSION_1));
}

static void kick_all(struct virtio_device *v)
{
    for (unsigned q = 0; q < v->nr_queues; q++)
        virtio_queue_notify(v, q);
}

void virtio_set_status(struct virtio_device *v, uint32_t status)
{
    uint32_t old = v->s->status;
    if (status == 0) {
        reset(v);
        return;
    }
    v->s->status = (status & 0xff & ~VIRTIO_NEEDS_RESET) | (old & VIRTIO_NEEDS_RESET);
    if (status & ~old & VIRTIO_DRIVER_OK) {
        if (v->vcls->start)
            v->vcls->start(v);
        kick_all(v);
    }
}

// Not all of a ring needs to be in memory for it to be enabled: that shows when it is used.
static bool makes_sense(const struct virtio_queue_state *vq)
{
    return is_pow2(vq->num) && vq->num <= VIRTIO_QUEUE_SIZE && vq->desc % 16 == 0 &&
           vq->avail % 2 == 0 && vq->used % 4 == 0;
}

void virtio_queue_enable(struct virtio_device *v, unsigned q, bool ready)
{
    struct virtio_queue_state *vq = &v->queues[q];
    assert(q < v->nr_queues);
    if (ready && !makes_sense(vq)) {
        log_guest("%s: queue %u with %u entries at 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
                  " can't be used\n",
                  v->dev.id, q, vq->num, vq->desc, vq->avail, vq->used);
        ready = false;
    }
    vq->ready = ready;
    vq->last_avail = vq->used_idx = vq->notified = 0;
}

static void serve(struct virtio_device *v, unsigned q)
{
    assert(!v->notified_queue);
    v->notified_queue = &v->queues[q];
    v->requests_left = v->queues[q].num;
    v->vcls->queue(v, q);
    v->notified_queue = NULL;
}

void virtio_queue_notify(struct virtio_device *v, uint32_t q)
{
    // Drivers from before 1.0 may use queues before they say DRIVER_OK.
    bool may = virtio_is_live(v) || is_legacy(v);
    if (q >= v->nr_queues)
        log_guest("%s: there is no queue %u\n", v->dev.id, q);
    else if (may && usable(v, q))
        serve(v, q);
}

static void fill_config(struct virtio_device *v, uint8_t *config)
{
    memset(config, 0, VIRTIO_CONFIG_MAX);
    if (v->vcls->get_config)
        v->vcls->get_config(v, config);
}

uint32_t virtio_config_read(struct virtio_device *v, uint64_t offset, unsigned size)
{
    uint8_t config[VIRTIO_CONFIG_MAX];
    if (offset + size > v->vcls->config_size)
        return UINT32_MAX >> (32 - 8 * size);
    fill_config(v, config);
    return (uint32_t)load_le(config + offset, size);
}

void virtio_config_write(struct virtio_device *v, uint64_t offset, unsigned size, uint32_t value)
{
    uint8_t config[VIRTIO_CONFIG_MAX];
    if (offset + size > v->vcls->config_size || !v->vcls->set_config)
        return;
    fill_config(v, config);
    store_le(config + offset, size, value);
    v->vcls->set_config(v, config);
}
