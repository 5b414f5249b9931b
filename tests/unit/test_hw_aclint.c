// SPDX-License-Identifier: MIT
// ACLINT's supervisor software interrupts against its specification, chapter 4: edges, and registers that read
// zero. Its machine software interrupts and timers are a CLINT's, and tested as such.
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

#define SETSSIP(hart) (4 * (hart))

static struct hw_rig *start(unsigned harts)
{
    struct hw_rig *r = hw_rig_new("riscv-aclint-sswi", harts);
    device_set_u64(r->dev, "num-harts", harts);
    hw_rig_start(r);
    return r;
}

static unsigned edges_of_all(const struct hw_rig *r)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < DEVICE_MAX_IRQS; i++)
        sum += r->edges[i];
    return sum;
}

Test(aclint, each_write_of_one_is_an_edge)
{
    struct hw_rig *r = start(4);
    for (unsigned times = 1; times <= 3; times++) {
        hw_rig_write(r, SETSSIP(2), 4, 0xffffffff);
        cr_expect_eq(r->edges[2], 2 * times); // up and down
        cr_expect_not(r->level[2]);
        cr_expect_eq(hw_rig_read(r, SETSSIP(2), 4), 0);
    }
    cr_expect_eq(edges_of_all(r), 6); // no other hart's
    hw_rig_free(r);
}

Test(aclint, bit_0_alone_counts)
{
    struct hw_rig *r = start(2);
    hw_rig_write(r, SETSSIP(0), 4, 0);
    hw_rig_write(r, SETSSIP(1), 4, 0xfffffffe);
    cr_expect_eq(edges_of_all(r), 0);
    hw_rig_free(r);
}

Test(aclint, harts_that_are_not_there)
{
    struct hw_rig *r = start(2);
    hw_rig_write(r, SETSSIP(2), 4, 1);
    hw_rig_write(r, 0x3ffc, 4, 1);
    cr_expect_eq(edges_of_all(r), 0);
    cr_expect_eq(hw_rig_read(r, SETSSIP(2), 4), 0);
    cr_expect_eq(hw_rig_read(r, 0x3ffc, 4), 0);
    hw_rig_free(r);
}

Test(aclint, registers_are_words)
{
    struct hw_rig *r = start(1);
    cr_expect_not(hw_rig_can_read(r, SETSSIP(0), 1));
    cr_expect_not(hw_rig_can_write(r, SETSSIP(0), 2, 1));
    cr_expect_not(hw_rig_can_read(r, 0x4000, 4));
    cr_expect_eq(edges_of_all(r), 0);
    hw_rig_free(r);
}
