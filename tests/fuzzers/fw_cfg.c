// SPDX-License-Identifier: MIT
// The firmware configuration device: its registers, and requests in memory that may be anywhere and say anything.
#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "hw/fw_cfg.h"
#include "tests/fuzzers/fuzzer.h"
#include "tests/unit/device_rig.h"

enum { DATA = 0, SELECTOR = 8, DMA = 16, SIZE = 24 };

// Where requests lie, and where their data goes to; the last is behind the end of memory.
static paddr_t take_place(struct fuzz_input *in)
{
    unsigned kind = (unsigned)fuzz_take(in, 1);
    switch (kind & 3) {
    case 0:
        return DUT_RAM + 16 * (kind >> 2);
    case 1:
        return DUT_RAM + DUT_RAM_SIZE - (kind >> 2);
    case 2:
        return DUT_BASE + (kind >> 2);
    default:
        return fuzz_take(in, 8);
    }
}

static void write_request(struct device_rig *rig, struct fuzz_input *in)
{
    uint8_t request[16];
    paddr_t at = take_place(in);
    store_be(request, 4, fuzz_take(in, 4));
    store_be(request + 4, 4, fuzz_take(in, 2));
    store_be(request + 8, 8, take_place(in));
    mem_write_bytes(rig->mem, at, request, sizeof(request));
    mem_write(rig->mem, DUT_BASE + DMA, 8, __builtin_bswap64(at));
}

static void touch_register(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    paddr_t addr = DUT_BASE + fuzz_take(in, 1) % SIZE;
    unsigned size = 1u << (flags & 3);
    uint64_t value = 0;
    if (flags & 4)
        mem_write(rig->mem, addr, size, fuzz_take(in, size));
    else
        mem_read(rig->mem, addr, size, &value);
}

// The data register gives an item's bytes one after the other, and zeros behind them.
static void check_item(struct device_rig *rig, uint16_t key, const char *text, size_t len)
{
    mem_write(rig->mem, DUT_BASE + SELECTOR, 2, __builtin_bswap16(key));
    for (size_t i = 0; i < len + 2; i++) {
        uint64_t value = UINT64_MAX;
        enum mem_status status = mem_read(rig->mem, DUT_BASE + DATA, 1, &value);
        assert(status == MEM_OK && value == (i < len ? (uint8_t)text[i] : 0));
    }
}

static void run(const uint8_t *data, size_t len)
{
    static const char command_line[] = "console=ttyS0", file[] = "the contents of a file";
    struct fuzz_input in = fuzz_input(data, len);
    struct device_rig *rig = device_rig_new(device_class_find("fw-cfg"), 0);
    fw_cfg_add_int(rig->dev, FW_CFG_NB_CPUS, 2, 4);
    fw_cfg_add(rig->dev, FW_CFG_CMDLINE_DATA, command_line, sizeof(command_line));
    fw_cfg_add(rig->dev, FW_CFG_INITRD_DATA, NULL, 0);
    fw_cfg_add_file(rig->dev, "etc/file", file, sizeof(file));
    while (fuzz_left(&in)) {
        unsigned op = (unsigned)fuzz_take(&in, 1);
        if (op & 1)
            write_request(rig, &in);
        else
            touch_register(rig, &in, op >> 1);
    }
    check_item(rig, FW_CFG_CMDLINE_DATA, command_line, sizeof(command_line));
    check_item(rig, 0x20, file, sizeof(file));
    device_rig_free(rig);
}

const struct fuzzer fuzzer_fw_cfg = {
    .name = "fw_cfg",
    .help = "accesses of fw_cfg's registers, and its requests in memory",
    .max_len = 512,
    .run = run,
};
