// SPDX-License-Identifier: MIT
// Virtio entropy device: chapter 5.4 of Virtio 1.2. The bytes come from the machine's door, so the same seed
// gives the same bytes. With max-bytes, so many are given in each period of guest time.
#include "hw/virtio.h"

#define CHUNK     65536 // bytes for one request, at most: the driver asks again
#define UNLIMITED INT64_MAX

struct virtio_rng {
    struct virtio_device v;
    char *rng; // accepted: which source of the host it is makes no difference
    uint64_t max_bytes;
    uint32_t period; // ms
    struct virtio_rng_state {
        struct virtio_state core;
        struct virtio_queue_state queues[1];
        uint64_t left; // bytes in this period
        struct timer renew;
    } s;
};

static const struct state_field fields[] = {
    STATE_SUB(struct virtio_rng, s.core, virtio_state_fields),
    STATE_SUB_ARRAY(struct virtio_rng, s.queues, virtio_queue_fields),
    STATE_VAR(struct virtio_rng, s.left),
    STATE_TIMER(struct virtio_rng, s.renew),
    STATE_END,
};

static struct virtio_rng *rng_of(struct virtio_device *v)
{
    return (struct virtio_rng *)v;
}

static bool fill_piece(void *opaque, uint8_t *host, size_t len)
{
    door_entropy(opaque, host, len);
    return true;
}

static void serve(struct virtio_rng *r, const struct virtio_chain *c)
{
    uint32_t len = (uint32_t)MIN(MIN(c->in_len, CHUNK), r->s.left);
    if (!virtio_walk_in(&r->v, c, 0, len, fill_piece, r->v.dev.env->door))
        return;
    if (r->max_bytes != UNLIMITED)
        r->s.left -= len;
    virtio_push(&r->v, c, len);
}

static void await_renewal(struct virtio_rng *r)
{
    struct clock *clk = r->v.dev.env->clock;
    if (r->s.renew.deadline == CLOCK_NEVER)
        clock_at(clk, &r->s.renew, clock_now(clk) + r->period * (NS_PER_S / 1000));
}

static void run_queue(struct virtio_device *v, unsigned q)
{
    struct virtio_rng *r = rng_of(v);
    struct virtio_chain c;
    while (r->s.left && virtio_pop(v, q, &c))
        serve(r, &c);
    if (r->s.left != r->max_bytes)
        await_renewal(r);
    virtio_notify(v, q);
}

static void renew(void *opaque)
{
    struct virtio_rng *r = opaque;
    r->s.left = r->max_bytes;
    virtio_queue_notify(&r->v, 0);
}

static void rng_reset(struct virtio_device *v)
{
    struct virtio_rng *r = rng_of(v);
    r->s.left = r->max_bytes;
    clock_at(v->dev.env->clock, &r->s.renew, CLOCK_NEVER);
}

static const struct virtio_class vclass = {
    .id = VIRTIO_ID_RNG,
    .queue = run_queue,
    .reset = rng_reset,
};

static bool rng_init(struct device *dev, GError **error)
{
    struct virtio_rng *r = (struct virtio_rng *)dev;
    if (!r->max_bytes || !r->period) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: max-bytes and period must be at least 1", dev->id);
        return false;
    }
    if (!virtio_init(&r->v, &vclass, &r->s.core, r->s.queues, 1, error))
        return false;
    clock_register(dev->env->clock, &r->s.renew, renew, r);
    return true;
}

static void rng_free(struct device *dev)
{
    clock_unregister(dev->env->clock, &((struct virtio_rng *)dev)->s.renew);
}

static const struct device_prop props[] = {
    {"rng", PROP_STRING, offsetof(struct virtio_rng, rng), 0,
     "accepted: the bytes come from the seed of the machine"},
    {"max-bytes", PROP_U64, offsetof(struct virtio_rng, max_bytes), UNLIMITED, "bytes in a period"},
    {"period", PROP_U32, offsetof(struct virtio_rng, period), 65536, "ms of guest time"},
    VIRTIO_PROPS,
    PROP_END,
};

const struct device_class virtio_rng_class = {
    .name = "virtio-rng-device",
    .desc = "virtio source of entropy",
    .size = sizeof(struct virtio_rng),
    .props = props,
    .state = fields,
    .state_offset = offsetof(struct virtio_rng, s),
    .state_size = sizeof(struct virtio_rng_state),
    .bus = VIRTIO_BUS,
    .init = rng_init,
    .reset = virtio_device_reset,
    .loaded = virtio_device_loaded,
    .free = rng_free,
};
