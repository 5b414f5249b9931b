// SPDX-License-Identifier: MIT
// SHAKTI's UART: registers, FIFO, interrupts.
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

enum {
    BAUD = 0x00,
    TX = 0x04,
    RCV = 0x08,
    STATUS = 0x0c,
    DELAY = 0x10,
    CONTROL = 0x14,
    IEN = 0x18,
    IQCYCLES = 0x1c,
    RX_THRESHOLD = 0x20
};
enum { TX_EMPTY = 0x001, RX_NOT_EMPTY = 0x004, RX_FULL = 0x008, RX_ABOVE = 0x100 };

static struct hw_rig *uart(void)
{
    struct hw_rig *r = hw_rig_new("shakti-uart", 1);
    hw_rig_connect_chardev(r, "chardev");
    hw_rig_start(r);
    return r;
}

Test(shakti_uart, sends)
{
    struct hw_rig *r = uart();
    hw_rig_write(r, TX, 1, 'o');
    hw_rig_write(r, TX, 4, 'k');
    char *out = hw_rig_output(r);
    cr_expect_str_eq(out, "ok");
    g_free(out);
    cr_expect_eq(hw_rig_read(r, STATUS, 2), TX_EMPTY);
    hw_rig_free(r);
}

Test(shakti_uart, receives)
{
    struct hw_rig *r = uart();
    hw_rig_write(r, RX_THRESHOLD, 1, 2);
    cr_expect_eq(hw_rig_type(r, "01"), 2);
    cr_expect_eq(hw_rig_read(r, STATUS, 2), TX_EMPTY | RX_NOT_EMPTY);
    cr_expect_eq(hw_rig_type(r, "2"), 1);
    cr_expect_eq(hw_rig_read(r, STATUS, 2), TX_EMPTY | RX_NOT_EMPTY | RX_ABOVE);
    cr_expect_eq(hw_rig_type(r, "3456789abcdefgh"), 13);
    cr_expect_eq(hw_rig_read(r, STATUS, 2), TX_EMPTY | RX_NOT_EMPTY | RX_FULL | RX_ABOVE);
    for (unsigned i = 0; i < 16; i++)
        cr_expect_eq(hw_rig_read(r, RCV, 4), (unsigned char)"0123456789abcdef"[i]);
    cr_expect_eq(hw_rig_read(r, STATUS, 2), TX_EMPTY);
    cr_expect_eq(hw_rig_read(r, RCV, 4), 0);
    hw_rig_free(r);
}

Test(shakti_uart, interrupts)
{
    struct hw_rig *r = uart();
    hw_rig_write(r, RX_THRESHOLD, 1, 1);
    hw_rig_write(r, IEN, 2, RX_ABOVE);
    hw_rig_type(r, "a");
    cr_expect_not(r->level[0]);
    hw_rig_type(r, "b");
    cr_expect(r->level[0]);
    hw_rig_write(r, RX_THRESHOLD, 1, 2);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, IEN, 2, RX_NOT_EMPTY);
    cr_expect(r->level[0]);
    hw_rig_read(r, RCV, 4);
    cr_expect(r->level[0]);
    hw_rig_read(r, RCV, 4);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, IEN, 2, TX_EMPTY);
    cr_expect(r->level[0]);
    device_reset(r->dev);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(shakti_uart, registers)
{
    struct hw_rig *r = uart();
    static const struct {
        unsigned offset, reset, mask;
    } regs[] = {
        {BAUD, 0x145, 0xffff}, {DELAY, 0, 0xffff}, {CONTROL, 0x100, 0x7fe},
        {IEN, 0, 0x1ff},       {IQCYCLES, 0, 255}, {RX_THRESHOLD, 0, 255},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        cr_expect_eq(hw_rig_read(r, regs[i].offset, 4), regs[i].reset);
        hw_rig_write(r, regs[i].offset, 4, 0xa5a5a5a5);
        cr_expect_eq(hw_rig_read(r, regs[i].offset, 2), 0xa5a5 & regs[i].mask);
        cr_expect_eq(hw_rig_read(r, regs[i].offset, 1), 0xa5 & regs[i].mask);
    }
    hw_rig_write(r, STATUS, 2, 0xffff); // read-only
    cr_expect_eq(hw_rig_read(r, STATUS, 2), TX_EMPTY);
    cr_expect_eq(hw_rig_read(r, TX, 4), 0); // write-only
    cr_expect_eq(hw_rig_read(r, BAUD + 1, 1), 0);
    cr_expect_eq(hw_rig_read(r, 0x3c, 4), 0);
    cr_expect_not(hw_rig_can_read(r, 0x40, 4));
    hw_rig_free(r);
}
