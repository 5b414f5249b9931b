// SPDX-License-Identifier: MIT
// The device contract. A device is one .c file without a header of its own: a `const struct device_class`
// named <name>_class, listed in hw/devices.def.
//
// State (what the guest can change) and wiring (pointers, lines, back ends) are different structs inside
// the device's struct; `state` describes the first. There are no hand-written save and load functions.
#ifndef HW_DEVICE_H
#define HW_DEVICE_H

#include <glib.h>

#include "base/clock.h"
#include "base/irq.h"
#include "base/log.h"
#include "base/replay.h"
#include "base/state.h"
#include "softmmu/mem.h"

#define DEVICE_MAX_IRQS 1024

enum prop_kind {
    PROP_BOOL,
    PROP_U32,
    PROP_U64,
    PROP_STRING,  // char *, owned by the device
    PROP_CHARDEV, // struct chardev *, named by its id
    PROP_BLOCK,   // struct block *
    PROP_NET,     // struct netdev *
    PROP_FSDEV,   // struct fsdev *
};

// A property settable by `-device NAME,prop=value`, `-global NAME.prop=value` or the board.
struct device_prop {
    const char *name; // NULL ends the table
    enum prop_kind kind;
    uint32_t offset; // in the device's struct
    uint64_t def;    // default of scalars
    const char *help;
};

#define PROP_END     \
    {                \
        .name = NULL \
    }

struct device;
struct devtree; // the device tree being written; see hw/devtree.h

// What every device gets before init: the machine it is in, as far as a device can see it.
struct device_env {
    struct mem *mem;
    struct clock *clock;
    struct door *door;
    const char *machine; // the board's name
    // What a device can ask of the machine; it happens after the current instruction. Never NULL.
    void (*shutdown)(void *opaque, int exit_code);
    void (*reset)(void *opaque);
    void *opaque; // of both
};

struct device_class {
    const char *name; // as in -device, "virtio-blk-device"
    const char *desc; // for -device help
    size_t size;      // of the device's struct, whose first member is `struct device`
    const struct device_prop *props;   // may be NULL
    const struct state_field *state;   // offsets from the start of the device's struct
    uint32_t state_offset, state_size; // the state struct inside it, for the coverage test
    const char *bus; // what it plugs into: NULL (only boards make it), "virtio-bus", ...
    // The bus that it offers to others (their `parent`), and whether there is room for one more (NULL: always).
    const char *provides;
    bool (*has_room)(const struct device *dev);
    // Props are set. Registers memory, timers, inputs: timers last, since after a failure `free` is not
    // called. On failure the machine is not started.
    bool (*init)(struct device *dev, GError **error);
    // Power-on state. Must drive its lines to the matching levels.
    void (*reset)(struct device *dev);
    // After state was loaded: drive lines, recompute what is derived. May be NULL.
    void (*loaded)(struct device *dev);
    // Unregisters timers; back ends are closed by their owner. May be NULL.
    void (*free)(struct device *dev);
    // Writes its node into the device tree, inside the node that the board has open. Called after init. May
    // be NULL: the board writes it, or there is none.
    void (*fdt)(struct device *dev, struct devtree *dt);
};

struct device {
    const struct device_class *cls;
    const struct device_env *env;
    char *id;         // "serial0", from id= or the board, else the class's name; owned
    paddr_t base;     // where the board placed it; 0 if it has no registers
    struct irq *irqs; // outputs, connected by the board; nr_irqs of them
    unsigned nr_irqs;
    irq_handler *irq_in;   // inputs, if it has any: set by init; opaque is the device
    struct device *parent; // the transport a virtio function sits on, say
    bool initialised;      // init succeeded
};

// Drives output line n.
static inline void device_irq(struct device *dev, unsigned n, bool level)
{
    if (n < dev->nr_irqs)
        irq_set(&dev->irqs[n], level);
}

// The state table of a class without state.
extern const struct state_field device_no_state[];

// All classes, in the order of devices.def; NULL-terminated by index.
const struct device_class *device_class_at(unsigned index);
const struct device_class *device_class_find(const char *name);

// Makes a device with default props; not yet initialised. nr_irqs outputs are unconnected.
struct device *device_new(const struct device_class *cls, const struct device_env *env,
                          const char *id, paddr_t base, unsigned nr_irqs);
// Sets a property from text ("on", "0x10", ...); error names device, property and value. Back ends by id are
// resolved by `resolve` (machine supplies it), which returns NULL and sets error if there is none.
typedef void *device_resolve(void *opaque, enum prop_kind kind, const char *id, GError **error);
bool device_set_prop(struct device *dev, const char *name, const char *value,
                     device_resolve *resolve, void *opaque, GError **error);
// Sets a property directly: a back end (or NULL), a scalar, a string (copied). The property must exist.
void device_set_ptr(struct device *dev, const char *name, void *value);
void device_set_u64(struct device *dev, const char *name, uint64_t value);
void device_set_str(struct device *dev, const char *name, const char *value);
bool device_init(struct device *dev, GError **error);
void device_reset(struct device *dev);
// Also right for a device whose init failed or was never called.
void device_free(struct device *dev);
// Connects output n of dev to an input.
void device_connect(struct device *dev, unsigned n, irq_handler *handler, void *opaque,
                    unsigned input);

#endif
