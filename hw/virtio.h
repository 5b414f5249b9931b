// SPDX-License-Identifier: MIT
// Virtio 1.2 (OASIS): what all functions and transports share. Split virtqueues, feature negotiation,
// configuration space, and resetting; legacy devices (0.9.5) as far as transports offer them.
//
// A function (block, network, ...) embeds `struct virtio_device` first and puts `struct virtio_state` and its
// queues' states into its own state struct. Everything is done at once in the guest's notification: between
// two instructions of a guest no request is half done, so the rings and the few indices here are all state
// there is.
//
// A guest that breaks a rule of the rings gets what the specification says: the device stops and asks to be
// reset. Nothing outside of the guest's own memory is ever touched.
#ifndef HW_VIRTIO_H
#define HW_VIRTIO_H

#include "hw/device.h"

enum virtio_id {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLOCK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_RNG = 4,
    VIRTIO_ID_9P = 9,
};

// Bits of the status register.
enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

// Numbers of features that are not a function's own.
enum virtio_feature {
    VIRTIO_F_ANY_LAYOUT = 27, // legacy only
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
};

enum virtio_isr { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };

#define VIRTIO_QUEUE_SIZE 1024 // of each queue, at most
#define VIRTIO_CHAIN_MAX  1024 // descriptors of one request
#define VIRTIO_CONFIG_MAX 256  // bytes of configuration space

struct virtio_queue_state {
    uint64_t desc, avail, used; // guest-physical addresses
    uint32_t num;               // entries
    uint32_t align;             // of the used ring; legacy only
    uint16_t last_avail;        // index of the next request to take
    uint16_t used_idx;          // as last written
    uint16_t notified;          // used_idx when it was last considered to interrupt
    uint16_t ready;
};

struct virtio_state {
    uint64_t features;   // in force
    uint32_t status;     // enum virtio_status
    uint32_t isr;        // enum virtio_isr
    uint32_t generation; // of the configuration space
    uint32_t broken;     // no queue is touched until the reset
};

extern const struct state_field virtio_queue_fields[];
extern const struct state_field virtio_state_fields[];

struct virtio_device;

// What a function supplies.
struct virtio_class {
    enum virtio_id id;
    unsigned config_size; // bytes, at most VIRTIO_CONFIG_MAX
    // The features offered, without those of the core. NULL: none.
    uint64_t (*features)(const struct virtio_device *v);
    // The driver is about to drive the device: features are final. Before the queues are looked at. May be NULL.
    void (*start)(struct virtio_device *v);
    // Fills config_size bytes, which are zeroed. NULL if there are none.
    void (*get_config)(struct virtio_device *v, uint8_t *config);
    // The driver wrote to the configuration space: config has it. NULL: writes do nothing.
    void (*set_config)(struct virtio_device *v, const uint8_t *config);
    // Queue q may hold new buffers.
    void (*queue)(struct virtio_device *v, unsigned q);
    // The driver reset the device. The function's state is to be as after power-on. May be NULL.
    void (*reset)(struct virtio_device *v);
};

struct virtio_transport;

struct virtio_device {
    struct device dev;
    const struct virtio_class *vcls;
    // Wiring, set by virtio_init.
    struct virtio_state *s;
    struct virtio_queue_state *queues;
    unsigned nr_queues;
    struct virtio_transport *transport; // NULL: plugged into nothing, so no guest reaches it
    // While a notification is served: of which queue, and how many requests may still be taken from it.
    struct virtio_queue_state *notified_queue;
    unsigned requests_left;
    // Properties.
    bool event_idx, indirect_desc;
};

// What a transport embeds first.
struct virtio_transport {
    struct device dev;
    struct virtio_device *function; // NULL: empty
    bool legacy;                    // no VERSION_1: the guest sees a device of before 1.0
    void (*update)(struct virtio_transport *t); // the function's isr has changed
};

// Properties that all functions have, for use at the end of a function's table.
#define VIRTIO_PROPS                                                                  \
    {"event_idx", PROP_BOOL, offsetof(struct virtio_device, event_idx), 1,            \
     "offer interrupts and notifications by index"},                                  \
    {                                                                                 \
        "indirect_desc", PROP_BOOL, offsetof(struct virtio_device, indirect_desc), 1, \
            "offer tables of descriptors"                                             \
    }

// --- For functions ---

// Called by init: plugs v into dev.parent. `queues` and `s` lie in the function's state struct.
bool virtio_init(struct virtio_device *v, const struct virtio_class *vcls, struct virtio_state *s,
                 struct virtio_queue_state *queues, unsigned nr_queues, GError **error);
// device_class.reset and .loaded of all functions.
void virtio_device_reset(struct device *dev);
void virtio_device_loaded(struct device *dev);

static inline bool virtio_has(const struct virtio_device *v, unsigned feature)
{
    return v->s->features >> feature & 1;
}

// TRUE while the driver drives it.
bool virtio_is_live(const struct virtio_device *v);
// The configuration space has changed by itself.
void virtio_config_changed(struct virtio_device *v);
// The guest broke a rule: stops the device and asks for a reset. For log_guest.
void virtio_break(struct virtio_device *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// A request: buffers to read from, then buffers to write to.
struct virtio_seg {
    paddr_t addr;
    uint32_t len;
};

struct virtio_chain {
    unsigned queue;
    uint16_t head;
    unsigned nr_out, nr_in;
    uint32_t out_len, in_len;                 // bytes
    struct virtio_seg segs[VIRTIO_CHAIN_MAX]; // nr_out, then nr_in
};

// Takes the next request. FALSE if there is none, or the device broke; and, while a notification is served, after as
// many as the queue can hold: a guest could have requests write new ones for ever.
bool virtio_pop(struct virtio_device *v, unsigned q, struct virtio_chain *c);
// Gives the n requests popped last from q back to the ring, as if they had not been.
void virtio_unpop(struct virtio_device *v, unsigned q, unsigned n);
// TRUE if a request waits. Changes nothing.
bool virtio_has_request(const struct virtio_device *v, unsigned q);
// Returns a request to the driver; `written` bytes of its buffers were written.
void virtio_push(struct virtio_device *v, const struct virtio_chain *c, uint32_t written);
// Several at a time: the index-th from here on, not visible to the driver before virtio_publish.
void virtio_fill(struct virtio_device *v, const struct virtio_chain *c, uint32_t written,
                 unsigned index);
void virtio_publish(struct virtio_device *v, unsigned q, unsigned count);
// Interrupts the driver if it wants to know of what was pushed to q.
void virtio_notify(struct virtio_device *v, unsigned q);

// Bytes from the readable, or into the writable part of a request, from an offset on. Fewer than asked for are
// moved only if the part is shorter, or if a buffer is not in memory, which breaks the device.
size_t virtio_read(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                   void *buf, size_t len);
size_t virtio_write(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                    const void *buf, size_t len);
// The same without copying: f gets each piece. It returns false to end the walk. FALSE if it was ended, or a
// buffer is not in memory, or the part is shorter than offset + len.
typedef bool virtio_piece(void *opaque, uint8_t *host, size_t len);
bool virtio_walk_out(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                     uint64_t len, virtio_piece *f, void *opaque);
bool virtio_walk_in(struct virtio_device *v, const struct virtio_chain *c, uint64_t offset,
                    uint64_t len, virtio_piece *f, void *opaque);

// --- For transports ---

uint64_t virtio_offered(const struct virtio_device *v);
// What the driver accepts. FALSE if it is not acceptable: FEATURES_OK does not stick then.
bool virtio_set_features(struct virtio_device *v, uint64_t features);
// A write to the status register. Zero resets.
void virtio_set_status(struct virtio_device *v, uint32_t status);
// Queue q gets its addresses, or is disabled. A queue whose addresses make no sense stays disabled.
void virtio_queue_enable(struct virtio_device *v, unsigned q, bool ready);
// The driver notified queue q; any number.
void virtio_queue_notify(struct virtio_device *v, uint32_t q);
// Configuration space: size is 1, 2 or 4. Reads beyond the end are all ones.
uint32_t virtio_config_read(struct virtio_device *v, uint64_t offset, unsigned size);
void virtio_config_write(struct virtio_device *v, uint64_t offset, unsigned size, uint32_t value);

// device_class.provides of transports.
#define VIRTIO_BUS "virtio-bus"

#endif
