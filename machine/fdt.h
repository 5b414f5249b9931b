// SPDX-License-Identifier: MIT
// Device trees of boards: the nodes that describe no device, and what the kernel is told in /chosen.
#ifndef MACHINE_FDT_H
#define MACHINE_FDT_H

#include "hw/devtree.h"
#include "machine/loader.h"
#include "machine/machine.h"

// The root's first properties: two cells for addresses and sizes, compatible, model.
void machine_fdt_root(struct devtree *dt, const char *compatible, const char *model);
// /memory@base.
void machine_fdt_memory(struct devtree *dt, paddr_t base, uint64_t size);
// /cpus with the machine's RISC-V harts and their interrupt controllers, all in one cluster. A hart's
// interrupt controller is what devtree_ref(dt, struct cpu *) refers to.
void machine_fdt_riscv_cpus(struct devtree *dt, struct machine *m, uint32_t timebase_hz);

// Makes the blob the machine's device tree, in place of the one before.
void machine_fdt_set(struct machine *m, void *blob, size_t size);
// Makes the user's file (-dtb) the machine's device tree.
bool machine_fdt_load(struct machine *m, const char *path, GError **error);
// Puts what the kernel is told into /chosen of the machine's tree: the command line, where the initial RAM
// disk is (NULL: there is none), a seed for its random numbers.
bool machine_fdt_set_chosen(struct machine *m, const struct loader_image *initrd, GError **error);

#endif
