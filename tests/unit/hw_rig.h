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

struct hw_rig {
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
struct hw_rig *hw_rig_new(const char *name, unsigned nr_irqs);
// Initialises and resets the device.
void hw_rig_start(struct hw_rig *r);
void hw_rig_free(struct hw_rig *r);
// Gives the device a character back end: hw_rig_output and hw_rig_type are its other end.
void hw_rig_connect_chardev(struct hw_rig *r, const char *prop);
// The same as a multiplexer, which takes commands: "\001b" is a break.
void hw_rig_connect_mux(struct hw_rig *r, const char *prop);

// Accesses of the device's registers; they must be accepted.
uint64_t hw_rig_read(struct hw_rig *r, uint64_t offset, unsigned size);
void hw_rig_write(struct hw_rig *r, uint64_t offset, unsigned size, uint64_t value);
// Whether an access is accepted.
bool hw_rig_can_read(struct hw_rig *r, uint64_t offset, unsigned size);
bool hw_rig_can_write(struct hw_rig *r, uint64_t offset, unsigned size, uint64_t value);

// Moves guest time on to `ns`, running what is due in between at its time.
void hw_rig_run_to(struct hw_rig *r, uint64_t ns);
// What the device sent since the last call: a string to free.
char *hw_rig_output(struct hw_rig *r);
// Offers bytes to the device, as far as it takes them; returns how many it took.
size_t hw_rig_type(struct hw_rig *r, const char *text);
// State as bytes.
GByteArray *hw_rig_save(struct hw_rig *r);

#endif
