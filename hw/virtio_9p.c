// SPDX-License-Identifier: MIT
// Virtio 9P transport: device 9, of which Linux's net/9p/trans_virtio.c is the description. One queue; a
// request's readable part is a message, the answer goes into its writable part.
//
// The session (which files the guest has open) is the host's and no state: after loading a snapshot, a guest has
// to mount again. What the server answers comes from outside, so in a replay it is not asked.
#include "hw/virtio_9p.h"

#include "base/bits.h"
#include "hw/virtio.h"

#define TAG_MAX     32
#define F_MOUNT_TAG 0

struct virtio_9p {
    struct virtio_device v;
    struct fsdev *fs;
    char *mount_tag;
    struct p9 *server;
    GByteArray *reply;
    unsigned door_id;
    struct virtio_9p_state {
        struct virtio_state core;
        struct virtio_queue_state queues[1];
    } s;
};

static const struct state_field fields[] = {
    STATE_SUB(struct virtio_9p, s.core, virtio_state_fields),
    STATE_SUB_ARRAY(struct virtio_9p, s.queues, virtio_queue_fields),
    STATE_END,
};

static struct virtio_9p *p9_of(struct virtio_device *v)
{
    return (struct virtio_9p *)v;
}

// The message's own length, or 0 if it can't be one.
static uint32_t message_len(struct virtio_device *v, const struct virtio_chain *c)
{
    uint8_t size[4];
    if (c->in_len < P9_HEADER + 4 || virtio_read(v, c, 0, size, 4) != 4)
        return 0;
    uint32_t len = (uint32_t)load_le(size, 4);
    return len >= P9_HEADER && len <= c->out_len && len <= P9_MSIZE_MAX ? len : 0;
}

static void find_answer(struct virtio_9p *n, const uint8_t *request, uint32_t len, uint32_t max)
{
    struct door *door = n->v.dev.env->door;
    uint64_t key = hash_bytes(request, len, 0);
    if (door_recall(door, n->door_id, key, n->reply))
        return;
    p9_serve(n->server, request, len, n->reply, max);
    door_remember(door, n->door_id, key, n->reply->data, n->reply->len);
}

static void serve(struct virtio_device *v, const struct virtio_chain *c)
{
    struct virtio_9p *n = p9_of(v);
    uint32_t len = message_len(v, c);
    if (!len) {
        virtio_break(v, "a request of %u bytes with room for an answer of %u is none", c->out_len,
                     c->in_len);
        return;
    }
    uint8_t *request = g_malloc(len);
    if (virtio_read(v, c, 0, request, len) == len) {
        find_answer(n, request, len, c->in_len);
        virtio_push(v, c, (uint32_t)virtio_write(v, c, 0, n->reply->data, n->reply->len));
    }
    g_free(request);
}

static void run_queue(struct virtio_device *v, unsigned q)
{
    struct virtio_chain c;
    while (virtio_pop(v, q, &c))
        serve(v, &c);
    virtio_notify(v, q);
}

static uint64_t offered(const struct virtio_device *v)
{
    (void)v;
    return BIT(F_MOUNT_TAG);
}

static void get_config(struct virtio_device *v, uint8_t *config)
{
    const char *tag = p9_of(v)->mount_tag;
    store_le(config, 2, strlen(tag));
    memcpy(config + 2, tag, strlen(tag));
}

// In a replay, the session is that of the present.
static void end_session(struct virtio_9p *n)
{
    if (!door_is_replaying(n->v.dev.env->door))
        p9_reset(n->server);
}

static void p9_device_reset(struct virtio_device *v)
{
    end_session(p9_of(v));
}

static const struct virtio_class vclass = {
    .id = VIRTIO_ID_9P,
    .config_size = 2 + TAG_MAX,
    .features = offered,
    .get_config = get_config,
    .queue = run_queue,
    .reset = p9_device_reset,
};

static bool p9_init(struct device *dev, GError **error)
{
    struct virtio_9p *n = (struct virtio_9p *)dev;
    const char *wrong = NULL;
    if (!n->fs)
        wrong = "needs fsdev=ID of a -fsdev local,id=ID,path=FOLDER";
    else if (!n->mount_tag || !*n->mount_tag || strlen(n->mount_tag) > TAG_MAX)
        wrong = "needs a mount_tag= of 1 to 32 bytes, by which the guest mounts it";
    if (wrong) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: %s", dev->id, wrong);
        return false;
    }
    if (!virtio_init(&n->v, &vclass, &n->s.core, n->s.queues, 1, error))
        return false;
    n->server = p9_new(n->fs);
    n->reply = g_byte_array_new();
    n->door_id = door_register(dev->env->door, DOOR_FILE, dev->id, NULL, NULL);
    return true;
}

static void p9_loaded(struct device *dev)
{
    end_session((struct virtio_9p *)dev);
    virtio_device_loaded(dev);
}

static void p9_device_free(struct device *dev)
{
    struct virtio_9p *n = (struct virtio_9p *)dev;
    p9_free(n->server);
    g_byte_array_free(n->reply, TRUE);
}

static const struct device_prop props[] = {
    {"fsdev", PROP_FSDEV, offsetof(struct virtio_9p, fs), 0, "the folder"},
    {"mount_tag", PROP_STRING, offsetof(struct virtio_9p, mount_tag), 0,
     "name by which the guest mounts it"},
    VIRTIO_PROPS,
    PROP_END,
};

const struct device_class virtio_9p_class = {
    .name = "virtio-9p-device",
    .desc = "virtio file server for a folder of the host",
    .size = sizeof(struct virtio_9p),
    .props = props,
    .state = fields,
    .state_offset = offsetof(struct virtio_9p, s),
    .state_size = sizeof(struct virtio_9p_state),
    .bus = VIRTIO_BUS,
    .init = p9_init,
    .reset = virtio_device_reset,
    .loaded = p9_loaded,
    .free = p9_device_free,
};
