// SPDX-License-Identifier: MIT
// A small machine around one device of any class, and around what that plugs into: bare memory, a clock, and a
// back end of every kind that its properties ask for. It has no code for any one class.
//
// What should never be (a device that leaves a timer behind, say) ends the program with a message.
#ifndef TESTS_UNIT_DEVICE_RIG_H
#define TESTS_UNIT_DEVICE_RIG_H

#include "backend/poll.h"
#include "hw/device.h"

#define DUT_BASE UINT64_C(0x10000000) // registers of the device, or of what it plugs into
#define DUT_RAM  UINT64_C(0x80000000)

enum {
    DUT_RAM_SIZE = 1 << 20,
    DUT_DEPTH = 3,  // a device, what it is plugged into, and so on
    DUT_IRQS = 4,   // outputs of each
    DUT_INPUTS = 4, // driven are 1 .. DUT_INPUTS - 1, which whoever has inputs has
    DUT_DISK_SIZE = 1 << 20,
};

struct block;
struct chardev;
struct fsdev;
struct netdev;

// A back end with what a test needs of it.
struct device_rig_backend {
    enum prop_kind kind;
    union {
        struct chardev *chr;
        struct block *blk;
        struct netdev *net;
        struct fsdev *fs;
    };
    int peer; // the other end of a chardev, or -1
};

enum device_rig_variant {
    DUT_FLIPPED = 1,     // every switch (bool property) is the other way round
    DUT_WRITABLE = 2,    // shared folders are
    DUT_STRINGS = 4,     // string properties have a value
    DUT_FLIPPED_BUS = 8, // what it plugs into has its switches the other way round from that
    DUT_VARIANTS = 16,
};

struct device_rig {
    unsigned variant; // of enum device_rig_variant
    struct mem *mem;
    struct clock *clk;
    struct door *door;
    struct poller *poller;
    struct device_env env;
    struct device *chain[DUT_DEPTH]; // the device under test comes last, before it its parents
    unsigned depth;
    struct device *dev; // the device under test
    GArray *backends;   // of struct device_rig_backend
    bool level[DUT_DEPTH * DUT_IRQS];
    unsigned ends; // power-offs and resets asked for
};

// A machine with the device in it, not yet initialised; its parents are.
struct device_rig *device_rig_make(const struct device_class *cls, unsigned variant);
// A machine that was reset. Where the variant's strings do not suit the class, without them or with them.
struct device_rig *device_rig_new(const struct device_class *cls, unsigned variant);
void device_rig_free(struct device_rig *rig);
void device_rig_reset(struct device_rig *rig);

// Its back ends have something to say: bytes are typed (the first few of them), frames arrive.
void device_rig_host_input(struct device_rig *rig, const uint8_t *data, size_t len);

// The state of all devices as bytes; and back, FALSE if it is refused.
GByteArray *device_rig_save(struct device_rig *rig);
bool device_rig_load(struct device_rig *rig, const GByteArray *saved);
uint64_t device_rig_hash(const struct device_rig *rig);
// NULL, or which field or output differs, newly allocated.
char *device_rig_diff(struct device_rig *a, struct device_rig *b);
// All that a snapshot has besides the devices: memory, time, the door, disks.
void device_rig_copy_surroundings(struct device_rig *from, struct device_rig *to);

#endif
