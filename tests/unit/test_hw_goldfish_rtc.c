// SPDX-License-Identifier: MIT
// Goldfish RTC against "Goldfish virtual hardware" and what Linux's rtc-goldfish does with it.
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

enum {
    TIME_LOW = 0x00,
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08,
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18,
    CLEAR_INTERRUPT = 0x1c,
};

static struct hw_rig *start(void)
{
    struct hw_rig *r = hw_rig_new("goldfish-rtc", 1);
    hw_rig_start(r);
    return r;
}

static uint64_t read_time(struct hw_rig *r)
{
    uint64_t low = hw_rig_read(r, TIME_LOW, 4);
    return hw_rig_read(r, TIME_HIGH, 4) << 32 | low;
}

static void set_alarm(struct hw_rig *r, uint64_t ns)
{
    hw_rig_write(r, ALARM_HIGH, 4, ns >> 32);
    hw_rig_write(r, ALARM_LOW, 4, ns & 0xffffffff);
}

Test(goldfish_rtc, starts_at_the_epoch)
{
    struct hw_rig *r = start();
    cr_expect_eq(read_time(r), RIG_EPOCH);
    hw_rig_run_to(r, 1000000001);
    cr_expect_eq(read_time(r), RIG_EPOCH + 1000000001);
    hw_rig_free(r);
}

Test(goldfish_rtc, reading_low_latches_high)
{
    struct hw_rig *r = start();
    uint64_t to_wrap = (UINT64_C(1) << 32) - (RIG_EPOCH & 0xffffffff);
    hw_rig_run_to(r, to_wrap - 1);
    cr_expect_eq(hw_rig_read(r, TIME_LOW, 4), 0xffffffff);
    hw_rig_run_to(r, to_wrap);
    cr_expect_eq(hw_rig_read(r, TIME_HIGH, 4), RIG_EPOCH >> 32);
    cr_expect_eq(read_time(r), RIG_EPOCH + to_wrap);
    hw_rig_free(r);
}

Test(goldfish_rtc, alarm_rings_on_time)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, RIG_EPOCH + 5000);
    cr_expect_eq(hw_rig_read(r, ALARM_STATUS, 4), 1);
    hw_rig_run_to(r, 4999);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 5000);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, ALARM_STATUS, 4), 0);
    hw_rig_write(r, CLEAR_INTERRUPT, 4, 1);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(goldfish_rtc, alarm_in_the_past_rings_at_once)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, RIG_EPOCH);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, ALARM_STATUS, 4), 0);
    hw_rig_free(r);
}

Test(goldfish_rtc, interrupt_waits_until_it_is_enabled)
{
    struct hw_rig *r = start();
    set_alarm(r, RIG_EPOCH + 10);
    hw_rig_run_to(r, 20);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    cr_expect(r->level[0]);
    hw_rig_write(r, IRQ_ENABLED, 4, 0);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(goldfish_rtc, alarm_can_be_cleared)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, RIG_EPOCH + 10);
    hw_rig_write(r, CLEAR_ALARM, 4, 1);
    cr_expect_eq(hw_rig_read(r, ALARM_STATUS, 4), 0);
    hw_rig_run_to(r, 100);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

// Linux writes the high half first.
Test(goldfish_rtc, time_can_be_set)
{
    struct hw_rig *r = start();
    uint64_t wanted = UINT64_C(946684800) * 1000000000;
    hw_rig_run_to(r, 77);
    hw_rig_write(r, TIME_HIGH, 4, wanted >> 32);
    hw_rig_write(r, TIME_LOW, 4, wanted & 0xffffffff);
    cr_expect_eq(read_time(r), wanted);
    hw_rig_run_to(r, 100);
    cr_expect_eq(read_time(r), wanted + 23);
    hw_rig_free(r);
}

Test(goldfish_rtc, armed_alarm_follows_the_time_set)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, RIG_EPOCH + 1000);
    hw_rig_write(r, TIME_LOW, 4, (RIG_EPOCH + 900) & 0xffffffff);
    hw_rig_run_to(r, 99);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 100);
    cr_expect(r->level[0]);
    hw_rig_free(r);
}

Test(goldfish_rtc, alarm_beyond_the_end_of_time)
{
    struct hw_rig *r = start();
    set_alarm(r, UINT64_MAX);
    hw_rig_run_to(r, UINT64_C(1) << 60);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(goldfish_rtc, registers_read_back)
{
    struct hw_rig *r = start();
    set_alarm(r, RIG_EPOCH + UINT64_C(0x123456789a));
    cr_expect_eq(hw_rig_read(r, ALARM_LOW, 4), (RIG_EPOCH + UINT64_C(0x123456789a)) & 0xffffffff);
    cr_expect_eq(hw_rig_read(r, ALARM_HIGH, 4), (RIG_EPOCH + UINT64_C(0x123456789a)) >> 32);
    cr_expect_eq(hw_rig_read(r, ALARM_STATUS, 4), 1);
    hw_rig_write(r, IRQ_ENABLED, 4, 3);
    cr_expect_eq(hw_rig_read(r, IRQ_ENABLED, 4), 1);
    cr_expect_eq(hw_rig_read(r, CLEAR_ALARM, 4), 0); // write-only, as are these
    cr_expect_eq(hw_rig_read(r, CLEAR_INTERRUPT, 4), 0);
    cr_expect_eq(hw_rig_read(r, 0x20, 4), 0); // nothing there
    hw_rig_write(r, 0x20, 4, 1);
    hw_rig_write(r, ALARM_STATUS, 4, 0); // read-only
    cr_expect_eq(hw_rig_read(r, ALARM_STATUS, 4), 1);
    cr_expect_not(hw_rig_can_read(r, TIME_LOW, 2));
    hw_rig_free(r);
}

// The alarm that rang and the interrupt that it raised are cleared by registers of their own.
Test(goldfish_rtc, interrupt_outlives_its_alarm)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    set_alarm(r, RIG_EPOCH + 100);
    hw_rig_run_to(r, 100);
    cr_expect(r->level[0]);
    hw_rig_write(r, CLEAR_ALARM, 4, 1);
    cr_expect(r->level[0]);
    set_alarm(r, RIG_EPOCH + 200); // the next one
    cr_expect(r->level[0]);
    hw_rig_write(r, CLEAR_INTERRUPT, 4, 1);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 200);
    cr_expect(r->level[0]);
    hw_rig_write(r, IRQ_ENABLED, 4, 0);
    cr_expect_not(r->level[0]);
    GByteArray *saved = hw_rig_save(r);
    device_reset(r->dev);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(r->dev->cls->state, r->dev, "rtc", &data, &len, NULL));
    r->dev->cls->loaded(r->dev);
    hw_rig_write(r, IRQ_ENABLED, 4, 1);
    cr_expect(r->level[0]);
    g_byte_array_free(saved, TRUE);
    hw_rig_free(r);
}
