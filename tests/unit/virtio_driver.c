// SPDX-License-Identifier: MIT
// The guest's side of virtio, as a driver would do it.
#include "tests/unit/virtio_driver.h"

#include <assert.h>

#include "base/bits.h"

static void line(void *opaque, unsigned n, bool level)
{
    struct driver *d = opaque;
    (void)n;
    if (level && !d->irq)
        d->interrupts++;
    d->irq = level;
}

static void not_asked_for(void *opaque)
{
    (void)opaque;
    assert(!"a virtio device asked for a reset of the machine");
}

static void must(bool ok, GError *error)
{
    if (!ok)
        g_error("%s", error->message);
}

static struct device *make(struct driver *d, const char *class, paddr_t base, unsigned nr_irqs)
{
    const struct device_class *cls = device_class_find(class);
    if (!cls)
        g_error("no class %s", class);
    return device_new(cls, &d->env, class, base, nr_irqs);
}

void driver_new(struct driver *d, const char *class, bool legacy)
{
    GError *error = NULL;
    *d = (struct driver){.legacy = legacy, .heap = RAM_BASE};
    d->mem = mem_new();
    d->clock = clock_new();
    d->door = door_new(1);
    d->env = (struct device_env){.mem = d->mem,
                                 .clock = d->clock,
                                 .door = d->door,
                                 .machine = "test",
                                 .reset = not_asked_for};
    must(mem_add_ram(d->mem, "ram", RAM_BASE, RAM_SIZE, &error) != NULL, error);
    d->transport = make(d, "virtio-mmio", MMIO_BASE, 1);
    device_connect(d->transport, 0, line, d, 0);
    device_set_u64(d->transport, "force-legacy", legacy);
    must(device_init(d->transport, &error), error);
    d->dev = make(d, class, 0, 0);
    d->dev->parent = d->transport;
}

void driver_plug(struct driver *d)
{
    GError *error = NULL;
    must(device_init(d->dev, &error), error);
    device_reset(d->transport);
    device_reset(d->dev);
}

struct device *driver_child(struct driver *d, const char *class)
{
    struct device *dev = make(d, class, 0, 0);
    dev->parent = d->dev;
    return dev;
}

void driver_free(struct driver *d)
{
    device_free(d->dev);
    device_free(d->transport);
    mem_free(d->mem);
    clock_free(d->clock);
    door_free(d->door);
}

// --- Registers ---

static uint64_t bus_read(struct driver *d, unsigned offset, unsigned size)
{
    uint64_t value;
    if (mem_read(d->mem, MMIO_BASE + offset, size, &value) != MEM_OK)
        g_error("bus error at register 0x%x", offset);
    return value;
}

static void bus_write(struct driver *d, unsigned offset, unsigned size, uint64_t value)
{
    if (mem_write(d->mem, MMIO_BASE + offset, size, value) != MEM_OK)
        g_error("bus error at register 0x%x", offset);
}

uint32_t reg_read(struct driver *d, unsigned reg)
{
    return (uint32_t)bus_read(d, reg, 4);
}

void reg_write(struct driver *d, unsigned reg, uint32_t value)
{
    bus_write(d, reg, 4, value);
}

uint64_t config_read(struct driver *d, unsigned offset, unsigned size)
{
    return bus_read(d, R_CONFIG + offset, size);
}

void config_write(struct driver *d, unsigned offset, unsigned size, uint64_t value)
{
    bus_write(d, R_CONFIG + offset, size, value);
}

// --- Memory ---

paddr_t driver_alloc(struct driver *d, size_t len)
{
    paddr_t addr = d->heap;
    d->heap = align_up(d->heap + len, 16);
    assert(d->heap <= RAM_BASE + RAM_SIZE);
    return addr;
}

paddr_t driver_data(struct driver *d, const void *data, size_t len)
{
    paddr_t addr = driver_alloc(d, len);
    if (mem_write_bytes(d->mem, addr, data, len) != MEM_OK)
        g_error("no memory at 0x%" G_GINT64_MODIFIER "x", addr);
    return addr;
}

void *driver_ptr(struct driver *d, paddr_t addr)
{
    return mem_ptr(d->mem, addr, 1, true);
}

uint64_t guest_load(struct driver *d, paddr_t addr, unsigned size)
{
    uint64_t value;
    if (mem_read(d->mem, addr, size, &value) != MEM_OK)
        g_error("no memory at 0x%" G_GINT64_MODIFIER "x", addr);
    return value;
}

void guest_store(struct driver *d, paddr_t addr, unsigned size, uint64_t value)
{
    if (mem_write(d->mem, addr, size, value) != MEM_OK)
        g_error("no memory at 0x%" G_GINT64_MODIFIER "x", addr);
}

// --- Starting ---

uint64_t driver_negotiate(struct driver *d, uint64_t features)
{
    uint64_t offered;
    reg_write(d, R_STATUS, 0);
    reg_write(d, R_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    reg_write(d, R_FEATURES_SEL, 0);
    offered = reg_read(d, R_FEATURES);
    reg_write(d, R_FEATURES_SEL, 1);
    offered |= (uint64_t)reg_read(d, R_FEATURES) << 32;
    features &= offered;
    if (!d->legacy)
        features |= BIT(VIRTIO_F_VERSION_1);
    reg_write(d, R_DRIVER_FEATURES_SEL, 0);
    reg_write(d, R_DRIVER_FEATURES, (uint32_t)features);
    reg_write(d, R_DRIVER_FEATURES_SEL, 1);
    reg_write(d, R_DRIVER_FEATURES, (uint32_t)(features >> 32));
    if (!d->legacy)
        reg_write(d, R_STATUS, reg_read(d, R_STATUS) | VIRTIO_FEATURES_OK);
    return offered;
}

static void write_addr(struct driver *d, unsigned reg, paddr_t addr)
{
    reg_write(d, reg, (uint32_t)addr);
    reg_write(d, reg + 4, (uint32_t)(addr >> 32));
}

void driver_setup_queue(struct driver *d, unsigned q, unsigned num)
{
    struct driver_queue *dq = &d->q[q];
    d->heap = align_up(d->heap, 4096);
    *dq = (struct driver_queue){.num = num, .desc = d->heap};
    dq->avail = dq->desc + 16 * num;
    dq->used = align_up(dq->avail + 6 + 2 * num, 4096);
    d->heap = align_up(dq->used + 6 + 8 * num, 4096);
    memset(mem_ptr(d->mem, dq->desc, d->heap - dq->desc, true), 0, d->heap - dq->desc);
    reg_write(d, R_QUEUE_SEL, q);
    reg_write(d, R_QUEUE_NUM, num);
    if (d->legacy) {
        reg_write(d, R_QUEUE_ALIGN, 4096);
        reg_write(d, R_QUEUE_PFN, (uint32_t)(dq->desc / 4096));
        return;
    }
    write_addr(d, R_DESC, dq->desc);
    write_addr(d, R_DRIVER, dq->avail);
    write_addr(d, R_DEVICE, dq->used);
    reg_write(d, R_QUEUE_READY, 1);
}

void driver_start(struct driver *d, uint64_t features, unsigned nr_queues, unsigned num)
{
    if (d->legacy)
        reg_write(d, R_PAGE_SIZE, 4096);
    driver_negotiate(d, features);
    for (unsigned q = 0; q < nr_queues; q++)
        driver_setup_queue(d, q, num);
    reg_write(d, R_STATUS, reg_read(d, R_STATUS) | VIRTIO_DRIVER_OK);
}

// --- Requests ---

void driver_set_desc(struct driver *d, paddr_t table, unsigned index, uint64_t addr, uint32_t len,
                     unsigned flags, unsigned next)
{
    paddr_t at = table + 16 * index;
    guest_store(d, at, 8, addr);
    guest_store(d, at + 8, 4, len);
    guest_store(d, at + 12, 2, flags);
    guest_store(d, at + 14, 2, next);
}

void driver_offer(struct driver *d, unsigned q, unsigned head)
{
    struct driver_queue *dq = &d->q[q];
    guest_store(d, dq->avail + 4 + 2 * (dq->avail_idx % dq->num), 2, head);
    guest_store(d, dq->avail + 2, 2, ++dq->avail_idx);
}

static unsigned take_desc(struct driver_queue *dq)
{
    return dq->free++ % dq->num;
}

unsigned driver_add(struct driver *d, unsigned q, const struct driver_buf *bufs, unsigned n,
                    bool indirect)
{
    struct driver_queue *dq = &d->q[q];
    paddr_t table = indirect ? driver_alloc(d, 16 * n) : dq->desc;
    unsigned head = take_desc(dq), at = indirect ? 0 : head;
    for (unsigned i = 0; i < n; i++) {
        bool more = i + 1 < n;
        unsigned next = !more ? 0 : indirect ? i + 1 : take_desc(dq);
        driver_set_desc(d, table, at, bufs[i].addr, bufs[i].len, more | bufs[i].in << 1, next);
        at = next;
    }
    if (indirect)
        driver_set_desc(d, dq->desc, head, table, 16 * n, 4, 0);
    driver_offer(d, q, head);
    return head;
}

void driver_kick(struct driver *d, unsigned q)
{
    reg_write(d, R_NOTIFY, q);
}

bool driver_used(struct driver *d, unsigned q, unsigned *head, uint32_t *len)
{
    struct driver_queue *dq = &d->q[q];
    if ((uint16_t)guest_load(d, dq->used + 2, 2) == dq->used_idx)
        return false;
    paddr_t at = dq->used + 4 + 8 * (dq->used_idx++ % dq->num);
    *head = (unsigned)guest_load(d, at, 4);
    *len = (uint32_t)guest_load(d, at + 4, 4);
    return true;
}
