// SPDX-License-Identifier: MIT
// A driver of virtio-mmio devices for tests: it plays the guest, with rings in a bare memory map.
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include "hw/virtio.h"

#define RAM_BASE      UINT64_C(0x80000000)
#define RAM_SIZE      (UINT64_C(32) << 20)
#define MMIO_BASE     UINT64_C(0x10001000)
#define DRIVER_QUEUES 8

// Registers, as in the specification.
enum {
    R_MAGIC = 0x00,
    R_VERSION = 0x04,
    R_DEVICE_ID = 0x08,
    R_VENDOR = 0x0c,
    R_FEATURES = 0x10,
    R_FEATURES_SEL = 0x14,
    R_DRIVER_FEATURES = 0x20,
    R_DRIVER_FEATURES_SEL = 0x24,
    R_PAGE_SIZE = 0x28,
    R_QUEUE_SEL = 0x30,
    R_QUEUE_NUM_MAX = 0x34,
    R_QUEUE_NUM = 0x38,
    R_QUEUE_ALIGN = 0x3c,
    R_QUEUE_PFN = 0x40,
    R_QUEUE_READY = 0x44,
    R_NOTIFY = 0x50,
    R_ISR = 0x60,
    R_ACK = 0x64,
    R_STATUS = 0x70,
    R_DESC = 0x80,
    R_DRIVER = 0x90,
    R_DEVICE = 0xa0,
    R_GENERATION = 0xfc,
    R_CONFIG = 0x100,
};

struct driver_queue {
    unsigned num;
    paddr_t desc, avail, used;
    unsigned free; // next descriptor, round and round
    uint16_t avail_idx, used_idx;
};

struct driver {
    struct mem *mem;
    struct clock *clock;
    struct door *door;
    struct device_env env;
    struct device *transport, *dev;
    bool legacy;
    bool irq;            // the line's level
    unsigned interrupts; // how often it rose
    paddr_t heap;        // free memory from here on
    struct driver_queue q[DRIVER_QUEUES];
};

// A buffer of a request.
struct driver_buf {
    paddr_t addr;
    uint32_t len;
    bool in; // the device writes it
};

// Makes the transport and, not yet initialised, the function.
void driver_new(struct driver *d, const char *class, bool legacy);
void driver_free(struct driver *d);
// Initialises the function and resets both devices.
void driver_plug(struct driver *d);
// Makes one more device, not yet initialised, whose parent is d->dev.
struct device *driver_child(struct driver *d, const char *class);
// Negotiates the features that are offered and wanted, sets up nr_queues of num entries, DRIVER_OK.
void driver_start(struct driver *d, uint64_t features, unsigned nr_queues, unsigned num);
// The same in steps.
uint64_t driver_negotiate(struct driver *d, uint64_t features);
void driver_setup_queue(struct driver *d, unsigned q, unsigned num);

uint32_t reg_read(struct driver *d, unsigned reg);
void reg_write(struct driver *d, unsigned reg, uint32_t value);
uint64_t config_read(struct driver *d, unsigned offset, unsigned size);
void config_write(struct driver *d, unsigned offset, unsigned size, uint64_t value);

// Fresh memory, 16-byte aligned.
paddr_t driver_alloc(struct driver *d, size_t len);
paddr_t driver_data(struct driver *d, const void *data, size_t len);
void *driver_ptr(struct driver *d, paddr_t addr);
uint64_t guest_load(struct driver *d, paddr_t addr, unsigned size);
void guest_store(struct driver *d, paddr_t addr, unsigned size, uint64_t value);

void driver_set_desc(struct driver *d, paddr_t table, unsigned index, uint64_t addr, uint32_t len,
                     unsigned flags, unsigned next);
// Puts a head into the avail ring.
void driver_offer(struct driver *d, unsigned q, unsigned head);
// A chain of buffers, by a table of its own if indirect. Returns its head. Does not notify.
unsigned driver_add(struct driver *d, unsigned q, const struct driver_buf *bufs, unsigned n,
                    bool indirect);
void driver_kick(struct driver *d, unsigned q);
// The next used element. FALSE if there is none.
bool driver_used(struct driver *d, unsigned q, unsigned *head, uint32_t *len);

#endif
