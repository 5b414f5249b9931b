// SPDX-License-Identifier: MIT
// The FE310's devices against its manual: UART (chapter 18), PRCI (6), GPIO (17).
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

enum {
    TXDATA = 0x00,
    RXDATA = 0x04,
    TXCTRL = 0x08,
    RXCTRL = 0x0c,
    IE = 0x10,
    IP = 0x14,
    DIV = 0x18
};

Test(sifive_uart, sends_and_receives)
{
    struct hw_rig *r = hw_rig_new("sifive-uart", 1);
    hw_rig_connect_chardev(r, "chardev");
    hw_rig_start(r);
    cr_expect_eq(hw_rig_read(r, TXDATA, 4), 0); // not full
    cr_expect_eq(hw_rig_read(r, RXDATA, 4), 0x80000000);
    hw_rig_write(r, TXDATA, 4, 'o');
    hw_rig_write(r, TXDATA, 4, 'k');
    char *out = hw_rig_output(r);
    cr_expect_str_eq(out, "ok");
    g_free(out);
    cr_expect_eq(hw_rig_type(r, "0123456789"), 8);
    for (unsigned i = 0; i < 8; i++)
        cr_expect_eq(hw_rig_read(r, RXDATA, 4), '0' + i);
    cr_expect_eq(hw_rig_read(r, RXDATA, 4), 0x80000000);
    hw_rig_free(r);
}

Test(sifive_uart, watermarks)
{
    struct hw_rig *r = hw_rig_new("sifive-uart", 1);
    hw_rig_connect_chardev(r, "chardev");
    hw_rig_start(r);
    cr_expect_eq(hw_rig_read(r, IP, 4), 0);
    hw_rig_write(r, RXCTRL, 4, 2 << 16 | 1); // more than 2 bytes
    hw_rig_write(r, IE, 4, 2);
    hw_rig_type(r, "ab");
    cr_expect_not(r->level[0]);
    hw_rig_type(r, "c");
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IP, 4), 2);
    hw_rig_read(r, RXDATA, 4);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, TXCTRL, 4, 1 << 16 | 1); // fewer than 1 byte to send: always
    cr_expect_eq(hw_rig_read(r, IP, 4), 1);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, IE, 4, 1);
    cr_expect(r->level[0]);
    hw_rig_write(r, DIV, 4, 0x12345);
    cr_expect_eq(hw_rig_read(r, DIV, 4), 0x2345);
    hw_rig_free(r);
}

Test(sifive_prci, is_ready_at_once)
{
    struct hw_rig *r = hw_rig_new("sifive-e-prci", 0);
    hw_rig_start(r);
    cr_expect_eq(hw_rig_read(r, 0x0, 4), 0xc0000000);
    cr_expect_eq(hw_rig_read(r, 0x4, 4), 0xc0000000);
    cr_expect_eq(hw_rig_read(r, 0x8, 4), 0x80060000);
    cr_expect_eq(hw_rig_read(r, 0xc, 4), 0x100);
    hw_rig_write(r, 0x0, 4, 0x80000004); // off: not ready, whatever is written there
    cr_expect_eq(hw_rig_read(r, 0x0, 4), 4);
    hw_rig_write(r, 0x0, 4, 0x40000004);
    cr_expect_eq(hw_rig_read(r, 0x0, 4), 0xc0000004);
    hw_rig_write(r, 0x8, 4, 0x1f1);
    cr_expect_eq(hw_rig_read(r, 0x8, 4), 0x800001f1); // locked
    hw_rig_free(r);
}

enum { INPUT_VAL = 0x00, INPUT_EN = 0x04, OUTPUT_EN = 0x08, OUTPUT_VAL = 0x0c, PUE = 0x10 };
enum {
    RISE_IE = 0x18,
    RISE_IP = 0x1c,
    FALL_IE = 0x20,
    FALL_IP = 0x24,
    HIGH_IE = 0x28,
    HIGH_IP = 0x2c
};
enum { LOW_IE = 0x30, LOW_IP = 0x34, IOF_EN = 0x38, OUT_XOR = 0x40 };

static struct hw_rig *gpio(void)
{
    struct hw_rig *r = hw_rig_new("sifive-gpio", 32);
    hw_rig_start(r);
    return r;
}

Test(sifive_gpio, outputs_and_pulls_can_be_read)
{
    struct hw_rig *r = gpio();
    hw_rig_write(r, INPUT_EN, 4, 0xff);
    hw_rig_write(r, OUTPUT_EN, 4, 0x0f);
    hw_rig_write(r, OUTPUT_VAL, 4, 0x05);
    hw_rig_write(r, PUE, 4, 0x130);
    cr_expect_eq(hw_rig_read(r, INPUT_VAL, 4), 0x35);
    hw_rig_write(r, OUT_XOR, 4, 0x0f);
    cr_expect_eq(hw_rig_read(r, INPUT_VAL, 4), 0x3a);
    hw_rig_write(r, IOF_EN, 4, 3 << 16);
    cr_expect_eq(hw_rig_read(r, IOF_EN, 4), 3 << 16);
    hw_rig_free(r);
}

Test(sifive_gpio, edges)
{
    struct hw_rig *r = gpio();
    hw_rig_write(r, INPUT_EN, 4, 1 << 5);
    hw_rig_write(r, RISE_IE, 4, 1 << 5);
    hw_rig_write(r, FALL_IE, 4, 1 << 5);
    r->dev->irq_in(r->dev, 5, true);
    cr_expect(r->level[5]);
    cr_expect_eq(hw_rig_read(r, RISE_IP, 4), 1 << 5);
    hw_rig_write(r, RISE_IP, 4, 1 << 5);
    cr_expect_not(r->level[5]);
    r->dev->irq_in(r->dev, 5, false);
    cr_expect(r->level[5]);
    cr_expect_eq(hw_rig_read(r, FALL_IP, 4), 1 << 5);
    hw_rig_write(r, FALL_IP, 4, UINT32_MAX);
    cr_expect_not(r->level[5]);
    r->dev->irq_in(r->dev, 6, true); // its input is off
    cr_expect_eq(hw_rig_read(r, RISE_IP, 4), 0);
    hw_rig_free(r);
}

Test(sifive_gpio, levels_come_back_while_they_last)
{
    struct hw_rig *r = gpio();
    hw_rig_write(r, INPUT_EN, 4, 1);
    hw_rig_write(r, HIGH_IE, 4, 1);
    r->dev->irq_in(r->dev, 0, true);
    cr_expect(r->level[0]);
    hw_rig_write(r, HIGH_IP, 4, 1);
    cr_expect(r->level[0]);
    r->dev->irq_in(r->dev, 0, false);
    hw_rig_write(r, HIGH_IP, 4, 1);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, LOW_IE, 4, 1);
    cr_expect(r->level[0]);
    hw_rig_free(r);
}
