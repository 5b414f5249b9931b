// SPDX-License-Identifier: MIT
// What boards need of the fw_cfg device: to put items in. Data is copied; an item of the same key or name is
// replaced, which boards do at each reset.
#ifndef HW_FW_CFG_H
#define HW_FW_CFG_H

#include "hw/device.h"

// Keys of items that are no files.
enum fw_cfg_key {
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
};

void fw_cfg_add(struct device *fw_cfg, uint16_t key, const void *data, size_t len);
// A little-endian integer of 2 or 4 bytes.
void fw_cfg_add_int(struct device *fw_cfg, uint16_t key, unsigned size, uint32_t value);
// A named file; at most 55 bytes of name.
void fw_cfg_add_file(struct device *fw_cfg, const char *name, const void *data, size_t len);

#endif
