// SPDX-License-Identifier: MIT
// PLIC against the RISC-V PLIC specification 1.0.0.
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

#define PRIORITY(source)  (4 * (source))
#define PENDING(word)     (0x1000 + 4 * (word))
#define ENABLE(ctx, word) (0x2000 + 0x80 * (ctx) + 4 * (word))
#define THRESHOLD(ctx)    (0x200000 + 0x1000 * (ctx))
#define CLAIM(ctx)        (0x200004 + 0x1000 * (ctx))

static struct hw_rig *start(void)
{
    struct hw_rig *r = hw_rig_new("sifive-plic", 4);
    hw_rig_start(r);
    return r;
}

static void set_line(struct hw_rig *r, unsigned source, bool level)
{
    r->dev->irq_in(r->dev, source, level);
}

static void enable(struct hw_rig *r, unsigned ctx, unsigned source, unsigned priority)
{
    uint64_t at = ENABLE(ctx, source / 32);
    hw_rig_write(r, PRIORITY(source), 4, priority);
    hw_rig_write(r, at, 4, hw_rig_read(r, at, 4) | 1u << (source % 32));
}

Test(plic, claim_and_complete)
{
    struct hw_rig *r = start();
    enable(r, 1, 10, 1);
    set_line(r, 10, true);
    cr_expect(r->level[1]);
    cr_expect_not(r->level[0] || r->level[2] || r->level[3]);
    cr_expect_eq(hw_rig_read(r, PENDING(0), 4), 1u << 10);
    cr_expect_eq(hw_rig_read(r, CLAIM(1), 4), 10);
    cr_expect_not(r->level[1]);
    cr_expect_eq(hw_rig_read(r, PENDING(0), 4), 0);
    cr_expect_eq(hw_rig_read(r, CLAIM(1), 4), 0); // nothing is left to claim
    set_line(r, 10, false);
    hw_rig_write(r, CLAIM(1), 4, 10);
    cr_expect_not(r->level[1]);
    set_line(r, 10, true);
    cr_expect(r->level[1]);
    hw_rig_free(r);
}

// Section 6: the gateway of a level-triggered source looks at the line again at completion.
Test(plic, high_line_is_pending_again_after_completion)
{
    struct hw_rig *r = start();
    enable(r, 0, 5, 3);
    set_line(r, 5, true);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 5);
    set_line(r, 5, false);
    set_line(r, 5, true); // not forwarded before completion
    cr_expect_not(r->level[0]);
    hw_rig_write(r, CLAIM(0), 4, 5);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 5);
    hw_rig_free(r);
}

// Once forwarded, a request cannot be withdrawn.
Test(plic, request_stays_when_the_line_falls)
{
    struct hw_rig *r = start();
    enable(r, 0, 5, 3);
    set_line(r, 5, true);
    set_line(r, 5, false);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 5);
    hw_rig_write(r, CLAIM(0), 4, 5);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(plic, highest_priority_then_lowest_number)
{
    struct hw_rig *r = start();
    enable(r, 0, 70, 7);
    enable(r, 0, 3, 2);
    enable(r, 0, 40, 7);
    enable(r, 0, 95, 1);
    enable(r, 0, 6, 0); // priority 0 never interrupts
    set_line(r, 6, true);
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 0);
    set_line(r, 95, true);
    set_line(r, 3, true);
    set_line(r, 70, true);
    set_line(r, 40, true);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 40);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 70);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 3);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 95);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 0);
    hw_rig_free(r);
}

Test(plic, threshold_masks_notification_not_claims)
{
    struct hw_rig *r = start();
    enable(r, 0, 1, 3);
    set_line(r, 1, true);
    hw_rig_write(r, THRESHOLD(0), 4, 3);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, THRESHOLD(0), 4, 2);
    cr_expect(r->level[0]);
    hw_rig_write(r, THRESHOLD(0), 4, 7);
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 1);
    hw_rig_free(r);
}

Test(plic, first_context_to_claim_gets_it)
{
    struct hw_rig *r = start();
    enable(r, 0, 9, 1);
    enable(r, 3, 9, 1);
    set_line(r, 9, true);
    cr_expect(r->level[0] && r->level[3]);
    cr_expect_eq(hw_rig_read(r, CLAIM(3), 4), 9);
    cr_expect_not(r->level[0] || r->level[3]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 0);
    hw_rig_free(r);
}

Test(plic, completion_of_a_disabled_source_is_ignored)
{
    struct hw_rig *r = start();
    enable(r, 0, 9, 1);
    set_line(r, 9, true);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 9);
    hw_rig_write(r, ENABLE(0, 0), 4, 0);
    hw_rig_write(r, CLAIM(0), 4, 9); // ignored, section 9
    hw_rig_write(r, ENABLE(0, 0), 4, 1u << 9);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, CLAIM(1), 4, 9); // from a context that has not enabled it
    cr_expect_not(r->level[0]);
    hw_rig_write(r, CLAIM(0), 4, 1000); // no such source
    hw_rig_write(r, CLAIM(0), 4, 9);
    cr_expect(r->level[0]);
    hw_rig_free(r);
}

// Section 9: the PLIC does not check which context has claimed what is completed.
Test(plic, completion_by_another_context)
{
    struct hw_rig *r = start();
    enable(r, 0, 9, 1);
    enable(r, 1, 9, 1);
    set_line(r, 9, true);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 9);
    hw_rig_write(r, CLAIM(1), 4, 9);
    cr_expect(r->level[0] && r->level[1]);
    hw_rig_free(r);
}

Test(plic, completion_of_what_nobody_claimed)
{
    struct hw_rig *r = start();
    enable(r, 0, 9, 1);
    hw_rig_write(r, CLAIM(0), 4, 9); // not even pending
    set_line(r, 9, true);
    set_line(r, 9, false);
    hw_rig_write(r, CLAIM(0), 4, 9);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 9); // the request is still there, and there once
    hw_rig_write(r, CLAIM(0), 4, 0);              // completes nothing
    hw_rig_write(r, CLAIM(0), 4, 9);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

// What is pending is pending whatever is enabled; priorities and enables count when they are looked at.
Test(plic, pending_sources_follow_their_registers)
{
    struct hw_rig *r = start();
    set_line(r, 33, true);
    cr_expect_eq(hw_rig_read(r, PENDING(1), 4), 2);
    cr_expect_not(r->level[0]);
    enable(r, 0, 33, 0);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, PRIORITY(33), 4, 1);
    cr_expect(r->level[0]);
    hw_rig_write(r, PRIORITY(33), 4, 0);
    cr_expect_not(r->level[0]);
    hw_rig_write(r, PRIORITY(33), 4, 7);
    hw_rig_write(r, THRESHOLD(0), 4, 7); // masks all
    cr_expect_not(r->level[0]);
    hw_rig_write(r, THRESHOLD(0), 4, 6);
    cr_expect(r->level[0]);
    hw_rig_write(r, ENABLE(0, 1), 4, 0);
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 0);
    hw_rig_write(r, ENABLE(0, 1), 4, 2);
    cr_expect_eq(hw_rig_read(r, CLAIM(0), 4), 33);
    hw_rig_free(r);
}

Test(plic, loaded_state_drives_the_outputs)
{
    struct hw_rig *r = start();
    enable(r, 2, 9, 1);
    set_line(r, 9, true);
    GByteArray *saved = hw_rig_save(r);
    cr_expect_eq(hw_rig_read(r, CLAIM(2), 4), 9);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(r->dev->cls->state, r->dev, "plic", &data, &len, NULL));
    r->dev->cls->loaded(r->dev);
    cr_expect(r->level[2]);
    cr_expect_eq(hw_rig_read(r, CLAIM(2), 4), 9);
    g_byte_array_free(saved, TRUE);
    hw_rig_free(r);
}

Test(plic, registers_hold_what_exists)
{
    struct hw_rig *r = start();
    hw_rig_write(r, PRIORITY(0), 4, 7);
    cr_expect_eq(hw_rig_read(r, PRIORITY(0), 4), 0);
    hw_rig_write(r, PRIORITY(96), 4, 0xffffffff);
    cr_expect_eq(hw_rig_read(r, PRIORITY(96), 4), 7);
    hw_rig_write(r, PRIORITY(97), 4, 7);
    cr_expect_eq(hw_rig_read(r, PRIORITY(97), 4), 0);
    for (unsigned word = 0; word < 5; word++)
        hw_rig_write(r, ENABLE(2, word), 4, 0xffffffff);
    cr_expect_eq(hw_rig_read(r, ENABLE(2, 0), 4), 0xfffffffe); // there is no source 0
    cr_expect_eq(hw_rig_read(r, ENABLE(2, 1), 4), 0xffffffff);
    cr_expect_eq(hw_rig_read(r, ENABLE(2, 3), 4), 1);
    cr_expect_eq(hw_rig_read(r, ENABLE(2, 4), 4), 0);
    hw_rig_write(r, THRESHOLD(3), 4, 0xff);
    cr_expect_eq(hw_rig_read(r, THRESHOLD(3), 4), 7);
    hw_rig_write(r, THRESHOLD(4), 4, 1); // no such context
    cr_expect_eq(hw_rig_read(r, THRESHOLD(4), 4), 0);
    hw_rig_write(r, PENDING(0), 4, 0xffffffff); // read-only
    cr_expect_eq(hw_rig_read(r, PENDING(0), 4), 0);
    cr_expect_not(hw_rig_can_read(r, PRIORITY(1), 1));
    cr_expect(hw_rig_can_read(r, 0x5ffffc, 4));
    cr_expect_not(hw_rig_can_read(r, 0x600000, 4));
    hw_rig_free(r);
}

Test(plic, reset_forgets_requests)
{
    struct hw_rig *r = start();
    enable(r, 0, 9, 1);
    set_line(r, 9, true);
    device_reset(r->dev);
    cr_expect_not(r->level[0]);
    enable(r, 0, 9, 1);
    cr_expect_not(r->level[0]);
    set_line(r, 9, true); // as its source does in its own reset
    cr_expect(r->level[0]);
    hw_rig_free(r);
}
