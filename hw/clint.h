// SPDX-License-Identifier: MIT
// What boards need of the CLINT besides the device contract: the clock that its timers and the harts' time
// CSR share, and its other description.
#ifndef HW_CLINT_H
#define HW_CLINT_H

#include "hw/device.h"

struct devtree;

// mtime now. `clint` is the device.
uint64_t clint_time(void *clint);
// Calls written(opaque) whenever mtime has jumped, by a write or by a reset.
void clint_set_listener(struct device *clint, void (*written)(void *opaque), void *opaque);
// Describes the CLINT as what it is as well: an ACLINT's MSWI and MTIMER. In place of its class's fdt.
void clint_write_aclint(struct device *clint, struct devtree *dt);

#endif
