// SPDX-License-Identifier: MIT
// What RISC-V boards have in common: harts on a CLINT, and the way from reset through firmware to a kernel.
#ifndef MACHINE_RISCV_BOOT_H
#define MACHINE_RISCV_BOOT_H

#include "hw/devtree.h"
#include "machine/loader.h"
#include "machine/machine.h"

// Makes cfg->smp harts that start at reset_pc and take their time from the CLINT, which is made too: at
// clint_base, its interrupts connected.
struct device *riscv_boot_add_harts(struct machine *m, paddr_t clint_base, uint32_t time_hz,
                                    paddr_t reset_pc, GError **error);
// An ACLINT's supervisor software interrupts for the harts.
struct device *riscv_boot_add_sswi(struct machine *m, paddr_t base, GError **error);
// A PLIC, made but not initialised, for the harts: contexts M and, with `supervisor`, S of each.
struct device *riscv_boot_add_plic(struct machine *m, paddr_t base, bool supervisor,
                                   GError **error);
// A device without properties to set, with its first output (if it has one) on source `irq` of the PLIC.
struct device *riscv_boot_add_device(struct machine *m, const char *driver, const char *id,
                                     paddr_t base, struct device *plic, unsigned irq,
                                     GError **error);

// How a board boots.
struct riscv_boot {
    paddr_t ram_base;
    uint64_t ram_size;
    paddr_t rom_base; // where harts start; 128 bytes of it are used
    paddr_t start;    // where firmware starts that is in the machine already, or 0: what -bios says
    paddr_t
        next; // where the firmware's next stage is if it is in the machine already, or 0: -kernel
    struct device *fw_cfg; // with `next`: gets kernel, initial RAM disk and command line
    // The board's device tree, for want of -dtb: everything but what machine_fdt_set_chosen does.
    void (*write_fdt)(struct machine *m, struct devtree *dt);
};

// Loads firmware, kernel, initial RAM disk and device tree, and the code at rom_base, which starts the
// firmware with a0 = the hart's number, a1 = the device tree, a2 = OpenSBI's fw_dynamic information.
bool riscv_boot_load(struct machine *m, const struct riscv_boot *b, GError **error);
// Applies all -device loader options; harts that they name start where they say.
bool riscv_boot_apply_loaders(struct machine *m, const struct loader_target *t, GError **error);

#endif
