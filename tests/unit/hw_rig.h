// SPDX-License-Identifier: MIT
// A bare bus for device tests: memory map, clock, door, and one device with its lines recorded.
#ifndef TESTS_UNIT_HW_RIG_H
#define TESTS_UNIT_HW_RIG_H

#include "backend/chardev.h"
#include "backend/poll.h"
#include "hw/device.h"

#define RIG_BASE  UINT64_C(0x10000000)
#define RIG_RAM   UINT64_C(0x80000000) // 1 MiB
#define RIG_EPOCH UINT64_C(1700000000123456789)

struct rig {
    struct device_env env;
    struct device *dev;
    struct poller *poller;
    struct chardev *chr;
    int peer, chr_fd;                // both ends of chr: sockets
    bool level[DEVICE_MAX_IRQS];     // of the outputs
    unsigned edges[DEVICE_MAX_IRQS]; // times that the level changed
    int exit_code;                   // -1: no shutdown was asked for
    unsigned resets;
};

// A rig with a device of this class at RIG_BASE, not yet initialised, so that properties can be set.
struct rig *rig_new(const char *name, unsigned nr_irqs);
// Initialises and resets the device.
void rig_start(struct rig *r);
void rig_free(struct rig *r);
// Gives the device a character back end: rig_output and rig_type are its other end.
void rig_connect_chardev(struct rig *r, const char *prop);
// The same as a multiplexer, which takes commands: "\001b" is a break.
void rig_connect_mux(struct rig *r, const char *prop);

// Accesses of the device's registers; they must be accepted.
uint64_t rig_read(struct rig *r, uint64_t offset, unsigned size);
void rig_write(struct rig *r, uint64_t offset, unsigned size, uint64_t value);
// Whether an access is accepted.
bool rig_can_read(struct rig *r, uint64_t offset, unsigned size);
bool rig_can_write(struct rig *r, uint64_t offset, unsigned size, uint64_t value);

// Moves guest time on to `ns`, running what is due in between at its time.
void rig_run_to(struct rig *r, uint64_t ns);
// What the device sent since the last call: a string to free.
char *rig_output(struct rig *r);
// Offers bytes to the device, as far as it takes them; returns how many it took.
size_t rig_type(struct rig *r, const char *text);
// State as bytes.
GByteArray *rig_save(struct rig *r);

#endif
