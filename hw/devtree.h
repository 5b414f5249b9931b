// SPDX-License-Identifier: MIT
// Writes a flattened device tree (Devicetree Specification v0.4, chapter 5) from front to back: a node's
// properties come before its children. Devices use it to describe themselves, boards for the rest.
//
// References between nodes are by the address of the thing that a node is about (a device, a CPU, any
// pointer): devtree_ref gives the phandle of a thing whether its node is written yet or not.
#ifndef HW_DEVTREE_H
#define HW_DEVTREE_H

#include "base/types.h"

struct device;
struct devtree;

// A tree whose root node is open.
struct devtree *devtree_new(void);
// Closes the root and returns the blob (g_free it) of *size bytes; `dt` is gone. All nodes must have been
// ended, and everything that was referred to must have been declared.
void *devtree_finish(struct devtree *dt, size_t *size);

void devtree_begin(struct devtree *dt, const char *name);
// A node "name@addr".
void devtree_begin_at(struct devtree *dt, const char *name, paddr_t addr);
void devtree_end(struct devtree *dt);

void devtree_flag(struct devtree *dt, const char *name);
void devtree_bytes(struct devtree *dt, const char *name, const void *data, size_t len);
void devtree_str(struct devtree *dt, const char *name, const char *value);
// A list of strings, NULL-terminated.
void devtree_strs(struct devtree *dt, const char *name, const char *const *values);
void devtree_u32(struct devtree *dt, const char *name, uint32_t value);
void devtree_cells(struct devtree *dt, const char *name, const uint32_t *cells, unsigned count);
// "reg" with one range, two cells each for address and size.
void devtree_reg(struct devtree *dt, paddr_t base, uint64_t size);

// The phandle of a thing, for use in cells; and the declaration that the open node is about it.
uint32_t devtree_ref(struct devtree *dt, const void *thing);
void devtree_declare(struct devtree *dt, const void *thing);

// "interrupts" and "interrupt-parent" as the device's outputs are wired. All go to one controller of one
// cell; without any wire, nothing is written.
void devtree_irqs(struct devtree *dt, const struct device *dev);
// "interrupts-extended" with all outputs, for interrupt controllers.
void devtree_irqs_extended(struct devtree *dt, const struct device *dev);
// The same with outputs first, first + step, first + 2 * step, ...
void devtree_irqs_extended_every(struct devtree *dt, const struct device *dev, unsigned first,
                                 unsigned step);

#endif
