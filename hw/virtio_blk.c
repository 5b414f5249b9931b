// SPDX-License-Identifier: MIT
// Virtio block device: chapter 5.2 of Virtio 1.2. One queue; every request is done when it is taken.
#include <errno.h>

#include "backend/block.h"
#include "base/bits.h"
#include "hw/virtio.h"

#define SECTOR_BITS       9
#define ID_LEN            20 // of the serial number
#define HEADER_LEN        16 // type, reserved, sector
#define RANGE_LEN         16 // sector, sectors, flags
#define RANGES_MAX        16 // of one discard or write-zeroes request
#define RANGE_SECTORS_MAX (1u << 22)
#define RANGE_UNMAP       1 // the only flag
#define SEG_MAX           254

enum {
    F_SEG_MAX = 2,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_CONFIG_WCE = 11,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14
};

enum request { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };

enum result { S_OK, S_IOERR, S_UNSUPP };

enum config {
    CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    BLK_SIZE = 20,
    WRITEBACK = 32,
    NUM_QUEUES = 34,
    MAX_DISCARD_SECTORS = 36,
    MAX_DISCARD_SEG = 40,
    DISCARD_ALIGNMENT = 44,
    MAX_WRITE_ZEROES_SECTORS = 48,
    MAX_WRITE_ZEROES_SEG = 52,
    WRITE_ZEROES_MAY_UNMAP = 56,
    CONFIG_SIZE = 60,
};

struct virtio_blk {
    struct virtio_device v;
    struct block *blk;
    char *serial;
    uint32_t bootindex; // accepted: the firmware finds its disk by itself
    bool discard, write_zeroes, config_wce;
    bool complained; // an error of the host was reported to the user
    struct virtio_blk_state {
        struct virtio_state core;
        struct virtio_queue_state queues[1];
        uint64_t write_through; // each write is made durable before it is answered
    } s;
};

static const struct state_field fields[] = {
    STATE_SUB(struct virtio_blk, s.core, virtio_state_fields),
    STATE_SUB_ARRAY(struct virtio_blk, s.queues, virtio_queue_fields),
    STATE_VAR(struct virtio_blk, s.write_through),
    STATE_END,
};

static struct virtio_blk *blk_of(struct virtio_device *v)
{
    return (struct virtio_blk *)v;
}

static enum result result_of(struct virtio_blk *b, int err)
{
    if (err && err != EINVAL && err != EROFS && !b->complained) {
        warn_user("%s: %s: %s; the guest sees input/output errors", b->v.dev.id, block_file(b->blk),
                  g_strerror(err));
        b->complained = true;
    }
    return err ? S_IOERR : S_OK;
}

// --- Reading and writing ---

struct transfer {
    struct block *blk;
    uint64_t offset;
    int err;
};

static bool read_piece(void *opaque, uint8_t *host, size_t len)
{
    struct transfer *t = opaque;
    t->err = block_read(t->blk, t->offset, host, len);
    t->offset += len;
    return t->err == 0;
}

static bool write_piece(void *opaque, uint8_t *host, size_t len)
{
    struct transfer *t = opaque;
    t->err = block_write(t->blk, t->offset, host, len);
    t->offset += len;
    return t->err == 0;
}

// All of the range is checked before any of it is touched.
static bool range_ok(struct virtio_blk *b, uint64_t sector, uint64_t len)
{
    uint64_t size = block_size(b->blk);
    return len % (1 << SECTOR_BITS) == 0 && sector <= size >> SECTOR_BITS &&
           len <= size - (sector << SECTOR_BITS);
}

static enum result read_data(struct virtio_blk *b, const struct virtio_chain *c, uint64_t sector)
{
    struct transfer t = {.blk = b->blk, .offset = sector << SECTOR_BITS};
    uint64_t len = c->in_len - 1;
    if (!range_ok(b, sector, len))
        return S_IOERR;
    virtio_walk_in(&b->v, c, 0, len, read_piece, &t);
    return result_of(b, t.err);
}

static enum result write_data(struct virtio_blk *b, const struct virtio_chain *c, uint64_t sector)
{
    struct transfer t = {.blk = b->blk, .offset = sector << SECTOR_BITS};
    uint64_t len = c->out_len - HEADER_LEN;
    if (!range_ok(b, sector, len) || block_readonly(b->blk))
        return S_IOERR;
    virtio_walk_out(&b->v, c, HEADER_LEN, len, write_piece, &t);
    if (!t.err && b->s.write_through)
        t.err = block_flush(b->blk);
    return result_of(b, t.err);
}

static enum result get_id(struct virtio_blk *b, const struct virtio_chain *c)
{
    char id[ID_LEN] = {0};
    if (b->serial)
        memcpy(id, b->serial, MIN(strlen(b->serial), sizeof(id)));
    virtio_write(&b->v, c, 0, id, MIN(c->in_len - 1, ID_LEN));
    return S_OK;
}

// --- Discarding and zeroing ---

static enum result clear_range(struct virtio_blk *b, enum request type, const uint8_t *range)
{
    uint64_t sector = load_le(range, 8);
    uint32_t count = (uint32_t)load_le(range + 8, 4), flags = (uint32_t)load_le(range + 12, 4);
    uint64_t len = (uint64_t)count << SECTOR_BITS;
    int err;
    if (flags & ~(uint32_t)(type == WRITE_ZEROES ? RANGE_UNMAP : 0))
        return S_UNSUPP;
    if (count > RANGE_SECTORS_MAX || !range_ok(b, sector, len) || block_readonly(b->blk))
        return S_IOERR;
    if (type == DISCARD)
        err = block_discard(b->blk, sector << SECTOR_BITS, len);
    else
        err = block_write_zeroes(b->blk, sector << SECTOR_BITS, len, flags & RANGE_UNMAP);
    return result_of(b, err);
}

static enum result clear(struct virtio_blk *b, const struct virtio_chain *c, enum request type)
{
    uint8_t ranges[RANGES_MAX * RANGE_LEN];
    uint32_t len = c->out_len - HEADER_LEN;
    enum result result = S_OK;
    if (!virtio_has(&b->v, type == DISCARD ? F_DISCARD : F_WRITE_ZEROES))
        return S_UNSUPP;
    if (len == 0 || len % RANGE_LEN || len > sizeof(ranges))
        return S_IOERR;
    if (virtio_read(&b->v, c, HEADER_LEN, ranges, len) != len)
        return S_IOERR;
    for (uint32_t at = 0; at < len && result == S_OK; at += RANGE_LEN)
        result = clear_range(b, type, ranges + at);
    if (result == S_OK && b->s.write_through)
        result = result_of(b, block_flush(b->blk));
    return result;
}

// --- Requests ---

static enum result run(struct virtio_blk *b, const struct virtio_chain *c, const uint8_t *header)
{
    uint32_t type = (uint32_t)load_le(header, 4);
    uint64_t sector = load_le(header + 8, 8);
    switch (type) {
    case IN:
        return read_data(b, c, sector);
    case OUT:
        return write_data(b, c, sector);
    case FLUSH:
        return result_of(b, block_flush(b->blk));
    case GET_ID:
        return get_id(b, c);
    case DISCARD:
    case WRITE_ZEROES:
        return clear(b, c, type);
    default:
        return S_UNSUPP;
    }
}

static void handle(struct virtio_device *v, const struct virtio_chain *c)
{
    uint8_t header[HEADER_LEN], status;
    if (c->out_len < HEADER_LEN || c->in_len < 1) {
        virtio_break(v, "a request without header or status (%u and %u bytes)", c->out_len,
                     c->in_len);
        return;
    }
    if (virtio_read(v, c, 0, header, HEADER_LEN) != HEADER_LEN)
        return;
    status = (uint8_t)run(blk_of(v), c, header);
    virtio_write(v, c, c->in_len - 1, &status, 1);
    virtio_push(v, c, c->in_len);
}

static void run_queue(struct virtio_device *v, unsigned q)
{
    struct virtio_chain c;
    while (virtio_pop(v, q, &c))
        handle(v, &c);
    virtio_notify(v, q);
}

// --- Configuration ---

static uint64_t offered(const struct virtio_device *v)
{
    const struct virtio_blk *b = (const struct virtio_blk *)v;
    bool writable = !block_readonly(b->blk);
    uint64_t f = BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH);
    if (!writable)
        f |= BIT(F_RO);
    if (b->config_wce)
        f |= BIT(F_CONFIG_WCE);
    if (b->discard && writable)
        f |= BIT(F_DISCARD);
    if (b->write_zeroes && writable)
        f |= BIT(F_WRITE_ZEROES);
    return f;
}

static void get_config(struct virtio_device *v, uint8_t *config)
{
    struct virtio_blk *b = blk_of(v);
    store_le(config + CAPACITY, 8, block_size(b->blk) >> SECTOR_BITS);
    store_le(config + CONFIG_SEG_MAX, 4, SEG_MAX);
    store_le(config + BLK_SIZE, 4, 1 << SECTOR_BITS);
    store_le(config + WRITEBACK, 1, !b->s.write_through);
    store_le(config + NUM_QUEUES, 2, 1);
    store_le(config + MAX_DISCARD_SECTORS, 4, RANGE_SECTORS_MAX);
    store_le(config + MAX_DISCARD_SEG, 4, RANGES_MAX);
    store_le(config + DISCARD_ALIGNMENT, 4, 1);
    store_le(config + MAX_WRITE_ZEROES_SECTORS, 4, RANGE_SECTORS_MAX);
    store_le(config + MAX_WRITE_ZEROES_SEG, 4, RANGES_MAX);
    store_le(config + WRITE_ZEROES_MAY_UNMAP, 1, 1);
}

static void set_config(struct virtio_device *v, const uint8_t *config)
{
    if (virtio_has(v, F_CONFIG_WCE))
        blk_of(v)->s.write_through = !(config[WRITEBACK] & 1);
}

// Without a flush command, the driver can't ask for durable data: it gets nothing else.
static void blk_start(struct virtio_device *v)
{
    if (!virtio_has(v, F_FLUSH))
        blk_of(v)->s.write_through = 1;
}

static void blk_reset(struct virtio_device *v)
{
    blk_of(v)->s.write_through = 0;
}

static const struct virtio_class vclass = {
    .id = VIRTIO_ID_BLOCK,
    .config_size = CONFIG_SIZE,
    .features = offered,
    .start = blk_start,
    .get_config = get_config,
    .set_config = set_config,
    .queue = run_queue,
    .reset = blk_reset,
};

// --- Device ---

static bool blk_init(struct device *dev, GError **error)
{
    struct virtio_blk *b = (struct virtio_blk *)dev;
    if (!b->blk) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: needs drive=ID of a -drive if=none,id=ID,file=FILE", dev->id);
        return false;
    }
    if (b->serial && strlen(b->serial) > ID_LEN) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: serial=%s is longer than %d bytes",
                    dev->id, b->serial, ID_LEN);
        return false;
    }
    return virtio_init(&b->v, &vclass, &b->s.core, b->s.queues, 1, error) &&
           block_claim(b->blk, dev->id, dev->env->door, error);
}

static void blk_free(struct device *dev)
{
    block_release(((struct virtio_blk *)dev)->blk);
}

static const struct device_prop props[] = {
    {"drive", PROP_BLOCK, offsetof(struct virtio_blk, blk), 0, "the disk"},
    {"serial", PROP_STRING, offsetof(struct virtio_blk, serial), 0, "serial number, 20 bytes"},
    {"bootindex", PROP_U32, offsetof(struct virtio_blk, bootindex), 0, "accepted, has no effect"},
    {"discard", PROP_BOOL, offsetof(struct virtio_blk, discard), 1, "offer to discard"},
    {"write-zeroes", PROP_BOOL, offsetof(struct virtio_blk, write_zeroes), 1,
     "offer to write zeros"},
    {"config-wce", PROP_BOOL, offsetof(struct virtio_blk, config_wce), 1,
     "offer to switch the write cache"},
    VIRTIO_PROPS,
    PROP_END,
};

const struct device_class virtio_blk_class = {
    .name = "virtio-blk-device",
    .desc = "virtio disk",
    .size = sizeof(struct virtio_blk),
    .props = props,
    .state = fields,
    .state_offset = offsetof(struct virtio_blk, s),
    .state_size = sizeof(struct virtio_blk_state),
    .bus = VIRTIO_BUS,
    .init = blk_init,
    .reset = virtio_device_reset,
    .loaded = virtio_device_loaded,
    .free = blk_free,
};
