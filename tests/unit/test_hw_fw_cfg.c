// SPDX-License-Identifier: MIT
// fw_cfg against QEMU's specification of the device: selector, data, directory, DMA.
#include <criterion/criterion.h>

#include "base/bits.h"
#include "hw/fw_cfg.h"
#include "tests/unit/hw_rig.h"

enum { DATA = 0, SELECTOR = 8, DMA = 16 };
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

#define REQUEST (RIG_RAM + 0x100)
#define BUFFER  (RIG_RAM + 0x1000)

static struct hw_rig *start(void)
{
    struct hw_rig *r = hw_rig_new("fw-cfg", 0);
    hw_rig_start(r);
    return r;
}

static void select_key(struct hw_rig *r, uint16_t key)
{
    hw_rig_write(r, SELECTOR, 2, __builtin_bswap16(key));
}

static void read_string(struct hw_rig *r, char *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        buf[i] = (char)hw_rig_read(r, DATA, 1);
    buf[len] = 0;
}

// Runs a request and returns what became of its control word.
static uint32_t dma(struct hw_rig *r, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t req[16];
    store_be(req, 4, control);
    store_be(req + 4, 4, len);
    store_be(req + 8, 8, addr);
    cr_assert(mem_write_bytes(r->env.mem, REQUEST, req, sizeof(req)) == MEM_OK);
    hw_rig_write(r, DMA, 8, __builtin_bswap64(REQUEST));
    cr_assert(mem_read_bytes(r->env.mem, REQUEST, req, 4) == MEM_OK);
    return (uint32_t)load_be(req, 4);
}

Test(fw_cfg, signature_and_features)
{
    struct hw_rig *r = start();
    char buf[8];
    select_key(r, 0);
    read_string(r, buf, 4);
    cr_expect_str_eq(buf, "QEMU");
    cr_expect_eq(hw_rig_read(r, DATA, 1), 0); // past the end
    select_key(r, 1);
    cr_expect_eq(hw_rig_read(r, DATA, 4), 3);
    cr_expect_eq(hw_rig_read(r, DMA, 8), __builtin_bswap64(0x51454d5520434647));
    cr_expect_eq(hw_rig_read(r, DMA + 4, 4), __builtin_bswap32(0x20434647));
    hw_rig_free(r);
}

Test(fw_cfg, wide_reads_keep_the_order_of_bytes)
{
    struct hw_rig *r = start();
    fw_cfg_add(r->dev, FW_CFG_CMDLINE_DATA, "abcdefghijk", 12);
    select_key(r, FW_CFG_CMDLINE_DATA);
    uint64_t v = hw_rig_read(r, DATA, 8);
    cr_expect(memcmp(&v, "abcdefgh", 8) == 0);
    v = hw_rig_read(r, DATA, 2);
    cr_expect(memcmp(&v, "ij", 2) == 0);
    cr_expect_eq(hw_rig_read(r, DATA, 4), 'k');
    select_key(r, FW_CFG_CMDLINE_DATA | 0x4000); // starts again
    cr_expect_eq(hw_rig_read(r, DATA, 1), 'a');
    hw_rig_free(r);
}

Test(fw_cfg, unknown_items_read_zero)
{
    struct hw_rig *r = start();
    select_key(r, 0x1234);
    cr_expect_eq(hw_rig_read(r, DATA, 8), 0);
    hw_rig_free(r);
}

Test(fw_cfg, directory_of_files)
{
    struct hw_rig *r = start();
    char buf[64];
    fw_cfg_add_file(r->dev, "etc/one", "1", 1);
    fw_cfg_add_file(r->dev, "opt/two", "second", 6);
    fw_cfg_add_file(r->dev, "etc/one", "first", 5); // replaced
    select_key(r, 0x19);
    cr_expect_eq(hw_rig_read(r, DATA, 4), __builtin_bswap32(2));
    cr_expect_eq(hw_rig_read(r, DATA, 4), __builtin_bswap32(5));
    cr_expect_eq(hw_rig_read(r, DATA, 2), __builtin_bswap16(0x20));
    cr_expect_eq(hw_rig_read(r, DATA, 2), 0);
    read_string(r, buf, 56);
    cr_expect_str_eq(buf, "etc/one");
    cr_expect_eq(hw_rig_read(r, DATA, 4), __builtin_bswap32(6));
    cr_expect_eq(hw_rig_read(r, DATA, 2), __builtin_bswap16(0x21));
    select_key(r, 0x21);
    read_string(r, buf, 6);
    cr_expect_str_eq(buf, "second");
    hw_rig_free(r);
}

Test(fw_cfg, dma_selects_skips_and_reads)
{
    struct hw_rig *r = start();
    char buf[8] = "xxxxxxx";
    fw_cfg_add(r->dev, FW_CFG_KERNEL_DATA, "0123456789", 10);
    cr_expect_eq(dma(r, FW_CFG_KERNEL_DATA << 16 | SELECT | SKIP, 7, 0), 0);
    cr_assert(mem_write_bytes(r->env.mem, BUFFER, buf, 8) == MEM_OK);
    cr_expect_eq(dma(r, READ, 5, BUFFER), 0);
    cr_assert(mem_read_bytes(r->env.mem, BUFFER, buf, 8) == MEM_OK);
    cr_expect(memcmp(buf, "789\0\0xx", 8) == 0); // zeros past the end
    hw_rig_free(r);
}

Test(fw_cfg, dma_by_halves)
{
    struct hw_rig *r = start();
    uint8_t req[16] = {0};
    store_be(req, 4, SELECT | READ);
    store_be(req + 4, 4, 4);
    store_be(req + 8, 8, BUFFER);
    cr_assert(mem_write_bytes(r->env.mem, REQUEST, req, sizeof(req)) == MEM_OK);
    hw_rig_write(r, DMA, 4, 0);
    hw_rig_write(r, DMA + 4, 4, __builtin_bswap32((uint32_t)REQUEST));
    cr_assert(mem_read_bytes(r->env.mem, BUFFER, req, 4) == MEM_OK);
    cr_expect(memcmp(req, "QEMU", 4) == 0);
    hw_rig_free(r);
}

Test(fw_cfg, dma_errors)
{
    struct hw_rig *r = start();
    cr_expect_eq(dma(r, SELECT | WRITE, 4, BUFFER), ERROR);                   // read-only
    cr_expect_eq(dma(r, SELECT | READ, 4, 0x40000000), ERROR);                // nothing there
    cr_expect_eq(dma(r, SELECT | READ, UINT32_MAX, RIG_RAM + 0x2000), ERROR); // not that much
    hw_rig_write(r, DMA, 8, __builtin_bswap64(0x40000000));                   // no request there
    hw_rig_write(r, DMA, 8, __builtin_bswap64(RIG_BASE));                     // nor in registers
    cr_expect_eq(dma(r, SELECT | READ, 4, BUFFER), 0);
    hw_rig_free(r);
}

Test(fw_cfg, refuses_what_has_no_meaning)
{
    struct hw_rig *r = start();
    cr_expect_not(hw_rig_can_read(r, SELECTOR, 2));
    cr_expect_not(hw_rig_can_write(r, SELECTOR, 1, 0));
    cr_expect_not(hw_rig_can_write(r, DMA, 2, 0));
    cr_expect_not(hw_rig_can_read(r, 12, 4));
    cr_expect_not(hw_rig_can_read(r, 24, 1));
    cr_expect(hw_rig_can_write(r, DATA, 1, 7)); // ignored
    hw_rig_free(r);
}
