// SPDX-License-Identifier: MIT
// CLINT against SiFive's FU540-C000 manual, chapter 9, and the machine timer registers of the privileged
// manual: levels at exact times, halves of registers, mtime written.
#include <criterion/criterion.h>

#include "hw/clint.h"
#include "tests/unit/hw_rig.h"

#define MSIP(hart)     (4 * (hart))
#define MTIMECMP(hart) (0x4000 + 8 * (hart))
#define MTIME          0xbff8
#define MTIP(hart)     (2 * (hart) + 1)
#define TICK_NS        100

static struct hw_rig *start(unsigned harts)
{
    struct hw_rig *r = hw_rig_new("sifive-clint", 2 * harts);
    device_set_u64(r->dev, "num-harts", harts);
    hw_rig_start(r);
    return r;
}

Test(clint, software_interrupts)
{
    struct hw_rig *r = start(4);
    hw_rig_write(r, MSIP(2), 4, 0xffffffff);
    cr_expect_eq(hw_rig_read(r, MSIP(2), 4), 1); // bits 1 to 31 are wired to zero
    cr_expect(r->level[4]);
    cr_expect_not(r->level[2]);
    hw_rig_write(r, MSIP(2), 4, 0xfffffffe);
    cr_expect_not(r->level[4]);
    hw_rig_write(r, MSIP(0), 8, 0x100000001); // two registers at once
    cr_expect(r->level[0] && r->level[2]);
    cr_expect_eq(hw_rig_read(r, MSIP(0), 8), 0x100000001);
    hw_rig_write(r, MSIP(4), 4, 1); // no such hart
    cr_expect_eq(hw_rig_read(r, MSIP(4), 4), 0);
    hw_rig_free(r);
}

Test(clint, mtime_counts)
{
    struct hw_rig *r = start(1);
    cr_expect_eq(hw_rig_read(r, MTIME, 8), 0);
    hw_rig_run_to(r, 12345 * TICK_NS - 1);
    cr_expect_eq(hw_rig_read(r, MTIME, 8), 12344);
    hw_rig_run_to(r, 12345 * TICK_NS);
    cr_expect_eq(hw_rig_read(r, MTIME, 4), 12345);
    cr_expect_eq(hw_rig_read(r, MTIME + 4, 4), 0);
    hw_rig_free(r);
}

Test(clint, compare_is_exact)
{
    struct hw_rig *r = start(2);
    hw_rig_write(r, MTIMECMP(1), 8, 1000);
    hw_rig_run_to(r, 1000 * TICK_NS - 1);
    cr_expect_not(r->level[MTIP(1)]);
    hw_rig_run_to(r, 1000 * TICK_NS);
    cr_expect(r->level[MTIP(1)]);
    cr_expect_not(r->level[MTIP(0)]);
    hw_rig_write(r, MTIMECMP(1), 8, 1001);
    cr_expect_not(r->level[MTIP(1)]);
    hw_rig_run_to(r, 1001 * TICK_NS);
    cr_expect(r->level[MTIP(1)]);
    hw_rig_write(r, MTIMECMP(1), 8, 1001); // equal is enough, and at once
    cr_expect(r->level[MTIP(1)]);
    cr_expect_eq(r->edges[MTIP(1)], 3);
    hw_rig_free(r);
}

// What RV32 software does so that no interrupt comes in between: all ones, then high, then low.
Test(clint, compare_in_halves)
{
    struct hw_rig *r = start(1);
    hw_rig_write(r, MTIMECMP(0), 4, 0xffffffff);
    hw_rig_write(r, MTIMECMP(0) + 4, 4, 0);
    hw_rig_write(r, MTIMECMP(0), 4, 50);
    cr_expect_eq(hw_rig_read(r, MTIMECMP(0), 8), 50);
    hw_rig_run_to(r, 50 * TICK_NS - 1);
    cr_expect_not(r->level[MTIP(0)]);
    hw_rig_run_to(r, 50 * TICK_NS);
    cr_expect(r->level[MTIP(0)]);
    hw_rig_write(r, MTIMECMP(0) + 4, 4, 1);
    cr_expect_not(r->level[MTIP(0)]);
    cr_expect_eq(hw_rig_read(r, MTIMECMP(0), 8), 0x100000032);
    hw_rig_free(r);
}

static void count_jump(void *opaque)
{
    ++*(unsigned *)opaque;
}

Test(clint, mtime_is_writable)
{
    struct hw_rig *r = start(1);
    unsigned jumps = 0;
    clint_set_listener(r->dev, count_jump, &jumps);
    hw_rig_run_to(r, 10 * TICK_NS);
    hw_rig_write(r, MTIMECMP(0), 8, 0x500000010);
    hw_rig_write(r, MTIME, 8, 0x500000000);
    cr_expect_eq(jumps, 1);
    cr_expect_eq(clint_time(r->dev), 0x500000000);
    hw_rig_run_to(r, 25 * TICK_NS);
    cr_expect_not(r->level[MTIP(0)]);
    hw_rig_run_to(r, 26 * TICK_NS);
    cr_expect(r->level[MTIP(0)]);
    hw_rig_write(r, MTIME + 4, 4, 4); // one half: back in time
    cr_expect_eq(hw_rig_read(r, MTIME, 8), 0x400000010);
    cr_expect_not(r->level[MTIP(0)]);
    cr_expect_eq(jumps, 2);
    hw_rig_free(r);
}

Test(clint, level_falls_when_mtime_overflows)
{
    struct hw_rig *r = start(1);
    hw_rig_write(r, MTIMECMP(0), 8, 7);
    hw_rig_write(r, MTIME, 8, UINT64_MAX - 4);
    cr_expect(r->level[MTIP(0)]);
    hw_rig_run_to(r, 5 * TICK_NS - 1);
    cr_expect(r->level[MTIP(0)]);
    hw_rig_run_to(r, 5 * TICK_NS);
    cr_expect_not(r->level[MTIP(0)]);
    hw_rig_run_to(r, 12 * TICK_NS);
    cr_expect(r->level[MTIP(0)]);
    hw_rig_free(r);
}

Test(clint, never_means_no_timer)
{
    struct hw_rig *r = start(1);
    hw_rig_write(r, MTIMECMP(0), 8, UINT64_MAX);
    cr_expect_eq(clock_next(r->env.clock), CLOCK_NEVER);
    hw_rig_free(r);
}

Test(clint, reset_starts_time_again)
{
    struct hw_rig *r = start(1);
    hw_rig_write(r, MSIP(0), 4, 1);
    hw_rig_write(r, MTIMECMP(0), 8, 3);
    hw_rig_run_to(r, 5 * TICK_NS);
    cr_expect(r->level[0] && r->level[1]);
    device_reset(r->dev);
    cr_expect_not(r->level[0] || r->level[1]);
    cr_expect_eq(hw_rig_read(r, MTIME, 8), 0);
    hw_rig_free(r);
}

Test(clint, loaded_state_drives_the_outputs)
{
    struct hw_rig *r = start(2);
    hw_rig_write(r, MSIP(0), 4, 1);
    hw_rig_write(r, MTIMECMP(1), 8, 0);
    GByteArray *saved = hw_rig_save(r);
    device_reset(r->dev);
    cr_expect_not(r->level[0] || r->level[MTIP(1)]);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(r->dev->cls->state, r->dev, "clint", &data, &len, NULL));
    r->dev->cls->loaded(r->dev);
    cr_expect(r->level[0] && r->level[MTIP(1)]);
    cr_expect_not(r->level[2] || r->level[MTIP(0)]);
    g_byte_array_free(saved, TRUE);
    hw_rig_free(r);
}

Test(clint, registers_are_words)
{
    struct hw_rig *r = start(1);
    cr_expect_not(hw_rig_can_read(r, MSIP(0), 1));
    cr_expect_not(hw_rig_can_write(r, MTIME, 2, 0));
    cr_expect_eq(hw_rig_read(r, 0x3ffc, 4), 0); // unused
    cr_expect_not(hw_rig_can_read(r, 0xc000, 4));
    hw_rig_free(r);
}
