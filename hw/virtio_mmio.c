// SPDX-License-Identifier: MIT
// Virtio over MMIO: chapter 4.2 of Virtio 1.2. Version 2, and version 1 (4.2.4, legacy) unless force-legacy=off.
#include "base/bits.h"
#include "hw/devtree.h"
#include "hw/virtio.h"

#define REGION_SIZE 0x200
#define CONFIG      0x100
#define MAGIC       0x74726976
#define VENDOR      0x554d4551 // some guests check for this one

enum reg {
    MAGIC_VALUE = 0x00,
    VERSION = 0x04,
    DEVICE_ID = 0x08,
    VENDOR_ID = 0x0c,
    DEVICE_FEATURES = 0x10,
    DEVICE_FEATURES_SEL = 0x14,
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SEL = 0x24,
    GUEST_PAGE_SIZE = 0x28, // legacy
    QUEUE_SEL = 0x30,
    QUEUE_NUM_MAX = 0x34,
    QUEUE_NUM = 0x38,
    QUEUE_ALIGN = 0x3c, // legacy
    QUEUE_PFN = 0x40,   // legacy
    QUEUE_READY = 0x44,
    QUEUE_NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60,
    INTERRUPT_ACK = 0x64,
    STATUS = 0x70,
    QUEUE_DESC_LOW = 0x80,
    QUEUE_DESC_HIGH = 0x84,
    QUEUE_DRIVER_LOW = 0x90,
    QUEUE_DRIVER_HIGH = 0x94,
    QUEUE_DEVICE_LOW = 0xa0,
    QUEUE_DEVICE_HIGH = 0xa4,
    SHM_LEN_LOW = 0xb0,
    SHM_LEN_HIGH = 0xb4,
    SHM_BASE_LOW = 0xb8,
    SHM_BASE_HIGH = 0xbc,
    CONFIG_GENERATION = 0xfc,
};

struct virtio_mmio {
    struct virtio_transport t;
    bool force_legacy;
    struct virtio_mmio_state {
        uint32_t device_features_sel, driver_features_sel;
        uint32_t queue_sel;
        uint32_t guest_page_size;
        uint32_t driver_features[2];
    } s;
};

static const struct state_field fields[] = {
    STATE_VAR(struct virtio_mmio, s.device_features_sel),
    STATE_VAR(struct virtio_mmio, s.driver_features_sel),
    STATE_VAR(struct virtio_mmio, s.queue_sel),
    STATE_VAR(struct virtio_mmio, s.guest_page_size),
    STATE_ARRAY(struct virtio_mmio, s.driver_features),
    STATE_END,
};

// The selected queue, or NULL.
static struct virtio_queue_state *selected(struct virtio_mmio *m)
{
    struct virtio_device *v = m->t.function;
    return m->s.queue_sel < v->nr_queues ? &v->queues[m->s.queue_sel] : NULL;
}

static void update(struct virtio_transport *t)
{
    device_irq(&t->dev, 0, t->function && t->function->s->isr);
}

// --- Reads ---

static uint32_t read_features(struct virtio_mmio *m)
{
    uint64_t offered = virtio_offered(m->t.function);
    return m->s.device_features_sel > 1 ? 0
                                        : (uint32_t)(offered >> (32 * m->s.device_features_sel));
}

static uint32_t read_queue(struct virtio_mmio *m, uint64_t offset)
{
    struct virtio_queue_state *vq = selected(m);
    if (!vq)
        return 0;
    switch (offset) {
    case QUEUE_NUM_MAX:
        return VIRTIO_QUEUE_SIZE;
    case QUEUE_PFN:
        return m->t.legacy && m->s.guest_page_size ? (uint32_t)(vq->desc / m->s.guest_page_size)
                                                   : 0;
    default:
        return m->t.legacy ? 0 : vq->ready;
    }
}

static bool read_register(struct virtio_mmio *m, uint64_t offset, uint32_t *value)
{
    struct virtio_device *v = m->t.function;
    switch (offset) {
    case DEVICE_FEATURES:
        *value = read_features(m);
        return true;
    case QUEUE_NUM_MAX:
    case QUEUE_PFN:
    case QUEUE_READY:
        *value = read_queue(m, offset);
        return true;
    case INTERRUPT_STATUS:
        *value = v->s->isr;
        return true;
    case STATUS:
        *value = v->s->status;
        return true;
    case SHM_LEN_LOW: // no shared memory regions: a length of all ones
    case SHM_LEN_HIGH:
    case SHM_BASE_LOW:
    case SHM_BASE_HIGH:
        *value = UINT32_MAX;
        return true;
    case CONFIG_GENERATION:
        *value = m->t.legacy ? 0 : v->s->generation;
        return true;
    default:
        return false;
    }
}

// What an empty slot answers, too.
static bool read_identity(struct virtio_mmio *m, uint64_t offset, uint32_t *value)
{
    struct virtio_device *v = m->t.function;
    switch (offset) {
    case MAGIC_VALUE:
        *value = MAGIC;
        return true;
    case VERSION:
        *value = m->t.legacy ? 1 : 2;
        return true;
    case DEVICE_ID:
        *value = v ? v->vcls->id : 0;
        return true;
    case VENDOR_ID:
        *value = VENDOR;
        return true;
    default:
        return false;
    }
}

static bool mmio_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct virtio_mmio *m = dev;
    uint32_t v32 = 0;
    if (offset >= CONFIG && m->t.function)
        v32 = virtio_config_read(m->t.function, offset - CONFIG, size);
    else if (offset < CONFIG && size != 4)
        log_guest("%s: read of %u bytes at 0x%x\n", m->t.dev.id, size, (unsigned)offset);
    else if (!read_identity(m, offset, &v32) && m->t.function && !read_register(m, offset, &v32))
        log_guest("%s: read of 0x%x, which is no readable register\n", m->t.dev.id,
                  (unsigned)offset);
    *value = v32;
    return true;
}

// --- Writes ---

// Legacy: the three parts of a queue lie one behind the other from page `pfn` on.
static void place_legacy(struct virtio_mmio *m, struct virtio_queue_state *vq, uint32_t pfn)
{
    uint64_t align = is_pow2(vq->align) ? vq->align : 4096;
    vq->desc = (uint64_t)pfn * m->s.guest_page_size;
    vq->avail = vq->desc + 16 * (uint64_t)vq->num;
    vq->used = align_up(vq->avail + 4 + 2 * (uint64_t)vq->num + 2, align);
    virtio_queue_enable(m->t.function, m->s.queue_sel, pfn != 0);
}

static void write_features(struct virtio_mmio *m, uint32_t value)
{
    if (m->s.driver_features_sel > 1 || (m->t.function->s->status & VIRTIO_FEATURES_OK)) {
        log_guest("%s: features are not written now\n", m->t.dev.id);
        return;
    }
    m->s.driver_features[m->s.driver_features_sel] = value;
    if (m->t.legacy)
        virtio_set_features(m->t.function, m->s.driver_features[0]);
}

static void write_status(struct virtio_mmio *m, uint32_t value)
{
    struct virtio_device *v = m->t.function;
    uint64_t features = m->s.driver_features[0] | (uint64_t)m->s.driver_features[1] << 32;
    bool accepts = value & ~v->s->status & VIRTIO_FEATURES_OK;
    if (accepts && !m->t.legacy && !virtio_set_features(v, features))
        value &= ~(uint32_t)VIRTIO_FEATURES_OK;
    virtio_set_status(v, value & 0xff);
    if ((value & 0xff) == 0) // not the page size: legacy drivers write it once, before they reset
        memset(m->s.driver_features, 0, sizeof(m->s.driver_features));
}

static void set_half(uint64_t *addr, bool high, uint32_t value)
{
    *addr = bits_set(*addr, high ? 32 : 0, 32, value);
}

// What both versions, or either, have; the queue is not in use.
static bool write_idle_queue(struct virtio_mmio *m, struct virtio_queue_state *vq, uint64_t offset,
                             uint32_t value)
{
    bool high = offset & 4, legacy = m->t.legacy;
    switch (offset) {
    case QUEUE_NUM:
        vq->num = value;
        return true;
    case QUEUE_ALIGN:
        vq->align = value;
        return legacy;
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
        set_half(&vq->desc, high, value);
        return !legacy;
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
        set_half(&vq->avail, high, value);
        return !legacy;
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
        set_half(&vq->used, high, value);
        return !legacy;
    default:
        return false;
    }
}

static bool write_queue(struct virtio_mmio *m, struct virtio_queue_state *vq, uint64_t offset,
                        uint32_t value)
{
    if (offset == QUEUE_READY && !m->t.legacy) {
        virtio_queue_enable(m->t.function, m->s.queue_sel, value & 1);
        return true;
    }
    if (offset == QUEUE_PFN && m->t.legacy) {
        place_legacy(m, vq, value);
        return true;
    }
    return !vq->ready && write_idle_queue(m, vq, offset, value);
}

static bool write_register(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
    struct virtio_device *v = m->t.function;
    struct virtio_queue_state *vq;
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        m->s.device_features_sel = value;
        return true;
    case DRIVER_FEATURES:
        write_features(m, value);
        return true;
    case DRIVER_FEATURES_SEL:
        m->s.driver_features_sel = value;
        return true;
    case GUEST_PAGE_SIZE:
        m->s.guest_page_size = m->t.legacy && is_pow2(value) ? value : 0;
        return true;
    case QUEUE_SEL:
        m->s.queue_sel = value;
        return true;
    case QUEUE_NOTIFY:
        virtio_queue_notify(v, value);
        return true;
    case INTERRUPT_ACK:
        v->s->isr &= ~value;
        update(&m->t);
        return true;
    case STATUS:
        write_status(m, value);
        return true;
    default:
        vq = selected(m);
        return vq && write_queue(m, vq, offset, value);
    }
}

static bool mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_mmio *m = dev;
    if (!m->t.function)
        return true;
    if (offset >= CONFIG)
        virtio_config_write(m->t.function, offset - CONFIG, size, (uint32_t)value);
    else if (size != 4)
        log_guest("%s: write of %u bytes at 0x%x\n", m->t.dev.id, size, (unsigned)offset);
    else if (!write_register(m, offset, (uint32_t)value))
        log_guest("%s: write of 0x%x to 0x%x, which is no writable register now\n", m->t.dev.id,
                  (unsigned)value, (unsigned)offset);
    return true;
}

static const struct mem_ops mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .min_size = 1,
    .max_size = 4,
};

// --- Device ---

static bool mmio_init(struct device *dev, GError **error)
{
    struct virtio_mmio *m = (struct virtio_mmio *)dev;
    m->t.legacy = m->force_legacy;
    m->t.update = update;
    return mem_add_io(dev->env->mem, dev->id, dev->base, REGION_SIZE, &mmio_ops, m, error) != NULL;
}

static void mmio_reset(struct device *dev)
{
    struct virtio_mmio *m = (struct virtio_mmio *)dev;
    memset(&m->s, 0, sizeof(m->s));
    update(&m->t);
}

static void mmio_loaded(struct device *dev)
{
    update((struct virtio_transport *)dev);
}

static bool has_room(const struct device *dev)
{
    return !((const struct virtio_transport *)dev)->function;
}

static void mmio_fdt(struct device *dev, struct devtree *dt)
{
    devtree_begin_at(dt, "virtio_mmio", dev->base);
    devtree_str(dt, "compatible", "virtio,mmio");
    devtree_reg(dt, dev->base, 0x1000); // a page, as software maps it
    devtree_irqs(dt, dev);
    devtree_end(dt);
}

static const struct device_prop props[] = {
    {"force-legacy", PROP_BOOL, offsetof(struct virtio_mmio, force_legacy), 1,
     "be a device of before Virtio 1.0 (version 1)"},
    PROP_END,
};

const struct device_class virtio_mmio_class = {
    .name = "virtio-mmio",
    .desc = "virtio transport in memory",
    .size = sizeof(struct virtio_mmio),
    .props = props,
    .state = fields,
    .state_offset = offsetof(struct virtio_mmio, s),
    .state_size = sizeof(struct virtio_mmio_state),
    .provides = VIRTIO_BUS,
    .has_room = has_room,
    .init = mmio_init,
    .reset = mmio_reset,
    .loaded = mmio_loaded,
    .fdt = mmio_fdt,
};
