// SPDX-License-Identifier: MIT
// Virtio's core and its MMIO transport, with the entropy device behind it: registers, negotiation, good rings in
// all their forms, and rings that break every rule.
#include <criterion/criterion.h>
#include <string.h>

#include "base/bits.h"
#include "base/state.h"
#include "tests/unit/virtio_driver.h"

#define ALL_FEATURES UINT64_MAX

static struct driver d;

static void setup(bool legacy)
{
    driver_new(&d, "virtio-rng-device", legacy);
    driver_plug(&d);
}

static void setup_modern(void)
{
    setup(false);
}

static void setup_legacy(void)
{
    setup(true);
}

static void teardown(void)
{
    driver_free(&d);
}

TestSuite(modern, .init = setup_modern, .fini = teardown, .timeout = 30);
TestSuite(legacy, .init = setup_legacy, .fini = teardown, .timeout = 30);
TestSuite(malformed, .init = setup_modern, .fini = teardown, .timeout = 30);

// One request for entropy in n buffers of 8 bytes, checked.
static void request_entropy(unsigned n, bool indirect)
{
    struct driver_buf bufs[64];
    unsigned head, want = 0;
    uint32_t len;
    for (unsigned i = 0; i < n; i++) {
        bufs[i] = (struct driver_buf){driver_alloc(&d, 16), 8, true};
        guest_store(&d, bufs[i].addr, 8, 0);
        guest_store(&d, bufs[i].addr + 8, 8, 0x5a5a);
    }
    want = driver_add(&d, 0, bufs, n, indirect);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &len));
    cr_assert_eq(head, want);
    cr_assert_eq(len, 8 * n);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_neq(guest_load(&d, bufs[i].addr, 8), 0);
        cr_assert_eq(guest_load(&d, bufs[i].addr + 8, 8), 0x5a5a); // nothing beyond the buffer
    }
    cr_assert_not(driver_used(&d, 0, &head, &len));
}

static void acknowledge(void)
{
    reg_write(&d, R_ACK, reg_read(&d, R_ISR));
}

// --- Registers ---

Test(modern, registers_after_reset)
{
    cr_assert_eq(reg_read(&d, R_MAGIC), 0x74726976);
    cr_assert_eq(reg_read(&d, R_VERSION), 2);
    cr_assert_eq(reg_read(&d, R_DEVICE_ID), VIRTIO_ID_RNG);
    cr_assert_eq(reg_read(&d, R_VENDOR), 0x554d4551);
    cr_assert_eq(reg_read(&d, R_STATUS), 0);
    cr_assert_eq(reg_read(&d, R_ISR), 0);
    cr_assert_eq(reg_read(&d, R_QUEUE_READY), 0);
    cr_assert_eq(reg_read(&d, R_QUEUE_NUM_MAX), 1024);
    reg_write(&d, R_QUEUE_SEL, 1);
    cr_assert_eq(reg_read(&d, R_QUEUE_NUM_MAX), 0);
    cr_assert_eq(reg_read(&d, 0xb0), UINT32_MAX);
    cr_assert_eq(reg_read(&d, R_CONFIG), UINT32_MAX); // it has no configuration
    cr_assert_eq(config_read(&d, 0, 1), 0xff);
}

Test(modern, other_sizes_than_4_do_nothing)
{
    uint64_t value;
    cr_assert_eq(mem_read(d.mem, MMIO_BASE, 2, &value), MEM_OK);
    cr_assert_eq(value, 0);
    cr_assert_eq(mem_write(d.mem, MMIO_BASE + R_STATUS, 1, 1), MEM_OK);
    cr_assert_eq(reg_read(&d, R_STATUS), 0);
    reg_write(&d, R_MAGIC, 0);
    cr_assert_eq(reg_read(&d, R_MAGIC), 0x74726976);
    cr_assert_eq(mem_read(d.mem, MMIO_BASE + 0x200, 4, &value), MEM_UNMAPPED);
}

Test(transport, empty_slot)
{
    struct driver e;
    driver_new(&e, "virtio-rng-device", false);
    cr_assert(e.transport->cls->has_room(e.transport));
    device_reset(e.transport);
    cr_assert_eq(reg_read(&e, R_MAGIC), 0x74726976);
    cr_assert_eq(reg_read(&e, R_VERSION), 2);
    cr_assert_eq(reg_read(&e, R_DEVICE_ID), 0);
    for (unsigned reg = 0x10; reg < 0x200; reg += 4) {
        reg_write(&e, reg, 0xffffffff);
        cr_assert_eq(reg_read(&e, reg), 0);
    }
    driver_plug(&e);
    cr_assert_not(e.transport->cls->has_room(e.transport));
    driver_free(&e);
}

Test(transport, takes_one_function)
{
    struct driver e;
    GError *error = NULL;
    driver_new(&e, "virtio-rng-device", false);
    driver_plug(&e);
    struct device *second = driver_child(&e, "virtio-rng-device");
    second->parent = e.transport;
    cr_assert_not(device_init(second, &error));
    cr_assert_not_null(strstr(error->message, "taken by virtio-rng-device"));
    device_free(second);
    driver_free(&e);
    g_error_free(error);
}

// --- Negotiation ---

Test(modern, features_are_offered_in_two_halves)
{
    uint64_t offered = driver_negotiate(&d, ALL_FEATURES);
    cr_assert_eq(offered,
                 BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_INDIRECT_DESC));
    cr_assert(reg_read(&d, R_STATUS) & VIRTIO_FEATURES_OK);
    reg_write(&d, R_FEATURES_SEL, 2);
    cr_assert_eq(reg_read(&d, R_FEATURES), 0);
}

Test(modern, features_that_were_not_offered_are_refused)
{
    reg_write(&d, R_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    reg_write(&d, R_DRIVER_FEATURES_SEL, 1);
    reg_write(&d, R_DRIVER_FEATURES, 3); // VERSION_1 and one that nobody offered
    reg_write(&d, R_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_FEATURES_OK);
}

Test(modern, version_1_must_be_accepted)
{
    reg_write(&d, R_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_FEATURES_OK);
}

Test(modern, features_are_fixed_after_features_ok)
{
    struct virtio_device *v = (struct virtio_device *)d.dev;
    driver_negotiate(&d, 0);
    reg_write(&d, R_DRIVER_FEATURES_SEL, 0);
    reg_write(&d, R_DRIVER_FEATURES, (uint32_t)BIT(VIRTIO_F_EVENT_IDX));
    reg_write(&d, R_STATUS, reg_read(&d, R_STATUS) | VIRTIO_DRIVER_OK);
    cr_assert_not(virtio_has(v, VIRTIO_F_EVENT_IDX));
}

Test(modern, properties_take_features_back)
{
    struct driver e;
    driver_new(&e, "virtio-rng-device", false);
    device_set_u64(e.dev, "event_idx", 0);
    device_set_u64(e.dev, "indirect_desc", 0);
    driver_plug(&e);
    cr_assert_eq(driver_negotiate(&e, ALL_FEATURES), BIT(VIRTIO_F_VERSION_1));
    driver_free(&e);
}

Test(legacy, version_1_is_not_offered)
{
    cr_assert_eq(reg_read(&d, R_VERSION), 1);
    cr_assert_eq(driver_negotiate(&d, ALL_FEATURES),
                 BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_INDIRECT_DESC));
}

// --- Rings that are as they should be ---

Test(modern, requests_are_served)
{
    driver_start(&d, 0, 1, 8);
    for (unsigned i = 0; i < 40; i++) { // several times around
        request_entropy(1 + i % 4, false);
        cr_assert(d.irq);
        cr_assert_eq(reg_read(&d, R_ISR), VIRTIO_ISR_QUEUE);
        acknowledge();
        cr_assert_not(d.irq);
    }
}

Test(modern, indirect_tables)
{
    driver_start(&d, ALL_FEATURES, 1, 4);
    for (unsigned i = 0; i < 10; i++)
        request_entropy(20, true); // more than the queue has entries
}

// Direct descriptors may come before an indirect one.
Test(modern, indirect_at_the_end_of_a_chain)
{
    unsigned head;
    uint32_t len;
    driver_start(&d, ALL_FEATURES, 1, 8);
    paddr_t table = driver_alloc(&d, 32), buf = driver_alloc(&d, 64);
    driver_set_desc(&d, d.q[0].desc, 2, buf, 10, 3, 5);
    driver_set_desc(&d, d.q[0].desc, 5, table, 32, 4, 0);
    driver_set_desc(&d, table, 0, buf + 16, 20, 3, 1);
    driver_set_desc(&d, table, 1, buf + 40, 5, 2, 0);
    driver_offer(&d, 0, 2);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &len));
    cr_assert_eq(head, 2);
    cr_assert_eq(len, 35);
}

Test(modern, empty_buffers_count_for_nothing)
{
    unsigned head;
    uint32_t len;
    driver_start(&d, 0, 1, 8);
    paddr_t buf = driver_alloc(&d, 16);
    struct driver_buf bufs[] = {{0, 0, false}, {buf, 0, true}, {buf, 4, true}, {1, 0, true}};
    driver_add(&d, 0, bufs, 4, false);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &len));
    cr_assert_eq(len, 4);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
}

Test(modern, requests_before_driver_ok_wait_for_it)
{
    unsigned head;
    uint32_t len;
    driver_negotiate(&d, 0);
    driver_setup_queue(&d, 0, 8);
    struct driver_buf buf = {driver_alloc(&d, 16), 16, true};
    driver_add(&d, 0, &buf, 1, false);
    driver_kick(&d, 0);
    cr_assert_not(driver_used(&d, 0, &head, &len));
    reg_write(&d, R_STATUS, reg_read(&d, R_STATUS) | VIRTIO_DRIVER_OK);
    cr_assert(driver_used(&d, 0, &head, &len));
}

Test(modern, several_requests_one_notification)
{
    struct driver_buf bufs[5];
    driver_start(&d, 0, 1, 8);
    for (int i = 0; i < 5; i++) {
        bufs[i] = (struct driver_buf){driver_alloc(&d, 16), 16, true};
        driver_add(&d, 0, &bufs[i], 1, false);
    }
    driver_kick(&d, 0);
    cr_assert_eq(guest_load(&d, d.q[0].used + 2, 2), 5);
    cr_assert_eq(d.interrupts, 1);
}

Test(modern, driver_suppresses_interrupts)
{
    driver_start(&d, 0, 1, 8);
    guest_store(&d, d.q[0].avail, 2, 1);
    request_entropy(1, false);
    cr_assert_not(d.irq);
    guest_store(&d, d.q[0].avail, 2, 0);
    request_entropy(1, false);
    cr_assert(d.irq);
}

// The driver says after which used element it wants to hear; the device, after which request.
Test(modern, event_index)
{
    driver_start(&d, ALL_FEATURES, 1, 8);
    paddr_t used_event = d.q[0].avail + 4 + 2 * 8, avail_event = d.q[0].used + 4 + 8 * 8;
    for (unsigned i = 0; i < 30; i++) {
        guest_store(&d, used_event, 2, i / 3 * 3 + 2); // each third one
        request_entropy(1, false);
        cr_assert_eq(guest_load(&d, avail_event, 2), i + 1);
        cr_assert_eq(d.irq, i % 3 == 2, "at %u", i);
        acknowledge();
    }
}

Test(modern, event_index_wraps)
{
    driver_start(&d, ALL_FEATURES, 1, 8);
    struct virtio_queue_state *vq = ((struct virtio_device *)d.dev)->queues;
    vq->last_avail = vq->used_idx = vq->notified = d.q[0].avail_idx = d.q[0].used_idx = 65530;
    guest_store(&d, d.q[0].avail + 2, 2, 65530);
    guest_store(&d, d.q[0].used + 2, 2, 65530);
    paddr_t used_event = d.q[0].avail + 4 + 2 * 8;
    for (unsigned i = 0; i < 20; i++) {
        guest_store(&d, used_event, 2, (uint16_t)(65530 + 9));
        request_entropy(1, false);
        cr_assert_eq(d.irq, i == 9, "at %u", i);
        acknowledge();
    }
}

Test(modern, queue_in_use_is_not_changed)
{
    driver_start(&d, 0, 1, 8);
    reg_write(&d, R_QUEUE_NUM, 3);
    reg_write(&d, R_DESC, 0);
    reg_write(&d, R_DRIVER, 0);
    request_entropy(2, false);
    reg_write(&d, R_QUEUE_READY, 0);
    cr_assert_eq(reg_read(&d, R_QUEUE_READY), 0);
    driver_kick(&d, 0);
}

Test(modern, queues_that_make_no_sense_stay_disabled)
{
    static const struct {
        uint32_t num, desc, avail, used;
    } bad[] = {{0, 0, 0, 0}, {3, 0, 0, 0}, {2048, 0, 0, 0}, {1u << 31, 0, 0, 0},
               {8, 8, 0, 0}, {8, 0, 1, 0}, {8, 0, 0, 2}};
    driver_negotiate(&d, 0);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        reg_write(&d, R_QUEUE_NUM, bad[i].num);
        reg_write(&d, R_DESC, bad[i].desc);
        reg_write(&d, R_DRIVER, bad[i].avail);
        reg_write(&d, R_DEVICE, bad[i].used);
        reg_write(&d, R_QUEUE_READY, 1);
        cr_assert_eq(reg_read(&d, R_QUEUE_READY), 0, "case %u", i);
    }
}

Test(modern, reset_at_any_point)
{
    for (unsigned stage = 0; stage < 4; stage++) {
        driver_negotiate(&d, 0);
        if (stage > 0)
            driver_setup_queue(&d, 0, 8);
        if (stage > 1)
            reg_write(&d, R_STATUS, reg_read(&d, R_STATUS) | VIRTIO_DRIVER_OK);
        if (stage > 2)
            request_entropy(1, false);
        reg_write(&d, R_STATUS, 0);
        cr_assert_eq(reg_read(&d, R_STATUS), 0);
        cr_assert_eq(reg_read(&d, R_ISR), 0);
        cr_assert_eq(reg_read(&d, R_QUEUE_READY), 0);
        cr_assert_not(d.irq);
        driver_kick(&d, 0);
    }
    driver_start(&d, 0, 1, 8);
    request_entropy(1, false);
}

// 2.4, 4.2.2: a change that the driver did not make is told by an interrupt, and by a number that is another one.
Test(modern, configuration_changes)
{
    struct virtio_device *v = (struct virtio_device *)d.dev;
    uint32_t before = reg_read(&d, R_GENERATION);
    virtio_config_changed(v);
    cr_assert_neq(reg_read(&d, R_GENERATION), before);
    cr_assert_not(d.irq); // no notification before DRIVER_OK
    driver_start(&d, 0, 1, 8);
    before = reg_read(&d, R_GENERATION);
    virtio_config_changed(v);
    cr_assert_neq(reg_read(&d, R_GENERATION), before);
    cr_assert_eq(reg_read(&d, R_ISR), VIRTIO_ISR_CONFIG);
    cr_assert(d.irq);
    request_entropy(1, false);
    cr_assert_eq(reg_read(&d, R_ISR), VIRTIO_ISR_CONFIG | VIRTIO_ISR_QUEUE);
    reg_write(&d, R_ACK, VIRTIO_ISR_CONFIG);
    cr_assert(d.irq); // the other cause is still there
    reg_write(&d, R_ACK, VIRTIO_ISR_QUEUE);
    cr_assert_not(d.irq);
}

// A queue that was disabled forgets where it was, and starts anew.
Test(modern, queue_disabled_and_enabled)
{
    driver_start(&d, 0, 1, 8);
    request_entropy(2, false);
    reg_write(&d, R_QUEUE_SEL, 0);
    reg_write(&d, R_QUEUE_READY, 0);
    driver_kick(&d, 0);
    driver_setup_queue(&d, 0, 16);
    cr_assert_eq(reg_read(&d, R_QUEUE_READY), 1);
    for (unsigned i = 0; i < 20; i++)
        request_entropy(2, false);
}

// Loading state gives a device that goes on where the other one was.
Test(modern, state_is_complete)
{
    driver_start(&d, ALL_FEATURES, 1, 8);
    request_entropy(3, false);
    GByteArray *saved = g_byte_array_new(), *transport = g_byte_array_new();
    state_save(d.dev->cls->state, d.dev, saved);
    state_save(d.transport->cls->state, d.transport, transport);
    device_reset(d.transport);
    device_reset(d.dev);
    cr_assert_not(d.irq);
    const uint8_t *p = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(d.dev->cls->state, d.dev, "rng", &p, &len, NULL));
    p = transport->data;
    len = transport->len;
    cr_assert(state_load(d.transport->cls->state, d.transport, "mmio", &p, &len, NULL));
    d.dev->cls->loaded(d.dev);
    d.transport->cls->loaded(d.transport);
    cr_assert(d.irq);
    request_entropy(2, false);
    g_byte_array_free(saved, TRUE);
    g_byte_array_free(transport, TRUE);
}

Test(modern, entropy_follows_the_seed)
{
    uint8_t first[64];
    for (int run = 0; run < 2; run++) {
        struct driver e;
        unsigned head;
        uint32_t len;
        driver_new(&e, "virtio-rng-device", false);
        driver_plug(&e);
        driver_start(&e, 0, 1, 8);
        struct driver_buf buf = {driver_alloc(&e, 64), 64, true};
        driver_add(&e, 0, &buf, 1, false);
        driver_kick(&e, 0);
        cr_assert(driver_used(&e, 0, &head, &len));
        if (run == 0)
            memcpy(first, driver_ptr(&e, buf.addr), 64);
        else
            cr_assert_eq(memcmp(first, driver_ptr(&e, buf.addr), 64), 0);
        driver_free(&e);
    }
}

Test(modern, entropy_can_be_rationed)
{
    struct driver e;
    unsigned head;
    uint32_t len;
    driver_new(&e, "virtio-rng-device", false);
    device_set_u64(e.dev, "max-bytes", 100);
    device_set_u64(e.dev, "period", 10);
    driver_plug(&e);
    driver_start(&e, 0, 1, 8);
    struct driver_buf buf = {driver_alloc(&e, 64), 64, true};
    static const uint32_t want[] = {64, 36};
    for (int i = 0; i < 3; i++)
        driver_add(&e, 0, &buf, 1, false);
    driver_kick(&e, 0);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(driver_used(&e, 0, &head, &len));
        cr_assert_eq(len, want[i]);
    }
    cr_assert_not(driver_used(&e, 0, &head, &len));
    e.clock->base_ns = clock_next(e.clock);
    cr_assert_eq(e.clock->base_ns, 10000000);
    clock_run_due(e.clock);
    cr_assert(driver_used(&e, 0, &head, &len));
    cr_assert_eq(len, 64);
    driver_free(&e);
}

// --- Legacy ---

Test(legacy, requests_are_served)
{
    driver_start(&d, 0, 1, 64);
    cr_assert_eq(reg_read(&d, R_QUEUE_PFN), d.q[0].desc / 4096);
    for (unsigned i = 0; i < 100; i++)
        request_entropy(1 + i % 4, false);
    reg_write(&d, R_QUEUE_PFN, 0);
    cr_assert_eq(reg_read(&d, R_QUEUE_PFN), 0);
    driver_kick(&d, 0);
}

// Linux writes the page size once, before it resets the device.
Test(legacy, page_size_survives_a_reset)
{
    reg_write(&d, R_PAGE_SIZE, 4096);
    reg_write(&d, R_STATUS, 0);
    driver_negotiate(&d, ALL_FEATURES);
    driver_setup_queue(&d, 0, 16);
    request_entropy(1, false); // and some drivers use queues before DRIVER_OK
    driver_start(&d, ALL_FEATURES, 1, 16);
    request_entropy(2, true);
}

// 2.7.2: descriptors, avail ring, padding up to the alignment, used ring; the queue's place is in the guest's pages.
Test(legacy, pages_and_alignments)
{
    static const struct {
        uint32_t page, align;
    } layouts[] = {{4096, 4096}, {1024, 64}, {65536, 4096}, {4096, 4}, {1, 8192}};
    for (unsigned i = 0; i < ARRAY_LEN(layouts); i++) {
        struct driver_queue *dq = &d.q[0];
        unsigned head;
        uint32_t len;
        reg_write(&d, R_PAGE_SIZE, layouts[i].page);
        driver_negotiate(&d, 0);
        *dq = (struct driver_queue){.num = 8, .desc = RAM_BASE + (i + 1) * 0x100000};
        dq->avail = dq->desc + 16 * 8;
        dq->used = align_up(dq->avail + 6 + 2 * 8, layouts[i].align);
        reg_write(&d, R_QUEUE_SEL, 0);
        reg_write(&d, R_QUEUE_NUM, 8);
        reg_write(&d, R_QUEUE_ALIGN, layouts[i].align);
        reg_write(&d, R_QUEUE_PFN, (uint32_t)(dq->desc / layouts[i].page));
        cr_assert_eq(reg_read(&d, R_QUEUE_PFN), dq->desc / layouts[i].page);
        reg_write(&d, R_STATUS, reg_read(&d, R_STATUS) | VIRTIO_DRIVER_OK);
        struct driver_buf buf = {dq->desc + 0x80000, 16, true};
        driver_add(&d, 0, &buf, 1, false);
        driver_kick(&d, 0);
        cr_assert(driver_used(&d, 0, &head, &len), "layout %u", i);
        cr_assert_eq(len, 16);
    }
}

Test(legacy, registers_of_the_other_version_do_nothing)
{
    driver_start(&d, 0, 1, 16);
    reg_write(&d, R_QUEUE_READY, 0);
    reg_write(&d, R_DESC, 0x1234);
    cr_assert_eq(reg_read(&d, R_QUEUE_READY), 0);
    cr_assert_eq(reg_read(&d, R_GENERATION), 0);
    request_entropy(1, false);
}

Test(legacy, broken_rings_stop_the_device_quietly)
{
    driver_start(&d, 0, 1, 16);
    driver_offer(&d, 0, 999);
    driver_kick(&d, 0);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET); // that bit came with 1.0
    cr_assert_not(d.irq);
    driver_start(&d, 0, 1, 16);
    request_entropy(1, false);
}

// --- Malformed: each must end in NEEDS_RESET and a configuration interrupt, and a reset must mend it ---

static void expect_broken(void)
{
    unsigned head;
    uint32_t len;
    driver_kick(&d, 0);
    cr_assert_not(driver_used(&d, 0, &head, &len));
    cr_assert(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
    cr_assert(reg_read(&d, R_ISR) & VIRTIO_ISR_CONFIG);
    cr_assert(d.irq);
    acknowledge();
    struct driver_buf buf = {driver_alloc(&d, 16), 16, true};
    driver_add(&d, 0, &buf, 1, false);
    driver_kick(&d, 0); // nothing moves any more
    cr_assert_not(d.irq);
    reg_write(&d, R_STATUS, reg_read(&d, R_STATUS) & ~(uint32_t)VIRTIO_NEEDS_RESET);
    cr_assert(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
    driver_start(&d, ALL_FEATURES, 1, 8);
    request_entropy(1, false);
}

static void start_malformed(void)
{
    driver_start(&d, ALL_FEATURES, 1, 8);
    acknowledge();
}

static void offer_desc(uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
    start_malformed();
    driver_set_desc(&d, d.q[0].desc, 0, addr, len, flags, next);
    driver_offer(&d, 0, 0);
}

Test(malformed, head_out_of_range)
{
    start_malformed();
    driver_offer(&d, 0, 8);
    expect_broken();
    start_malformed();
    driver_offer(&d, 0, 65535);
    expect_broken();
}

Test(malformed, next_out_of_range)
{
    offer_desc(RAM_BASE, 4, 1 | 2, 8);
    expect_broken();
}

Test(malformed, loops)
{
    offer_desc(RAM_BASE, 4, 1 | 2, 0);
    expect_broken();
    start_malformed();
    for (unsigned i = 0; i < 8; i++)
        driver_set_desc(&d, d.q[0].desc, i, RAM_BASE, 4, 1 | 2, (i + 1) % 8);
    driver_offer(&d, 0, 3);
    expect_broken();
}

Test(malformed, readable_after_writable)
{
    start_malformed();
    driver_set_desc(&d, d.q[0].desc, 0, RAM_BASE, 4, 1 | 2, 1);
    driver_set_desc(&d, d.q[0].desc, 1, RAM_BASE, 4, 0, 0);
    driver_offer(&d, 0, 0);
    expect_broken();
}

Test(malformed, index_jumps)
{
    start_malformed();
    guest_store(&d, d.q[0].avail + 2, 2, 9);
    expect_broken();
    start_malformed();
    guest_store(&d, d.q[0].avail + 2, 2, 0xffff);
    expect_broken();
}

Test(malformed, buffer_not_in_memory)
{
    static const uint64_t addrs[] = {0,
                                     0x1000,
                                     MMIO_BASE,
                                     RAM_BASE - 8,
                                     RAM_BASE + RAM_SIZE - 8,
                                     RAM_BASE + RAM_SIZE,
                                     UINT64_MAX - 7,
                                     UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_LEN(addrs); i++) {
        offer_desc(addrs[i], 16, 2, 0);
        expect_broken();
    }
    offer_desc(RAM_BASE, UINT32_MAX, 2, 0);
    // 64 KiB at most are given for a request, so the end of this one is never looked at
    driver_kick(&d, 0);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
}

Test(malformed, chain_longer_than_4_gib)
{
    start_malformed();
    driver_set_desc(&d, d.q[0].desc, 0, RAM_BASE, UINT32_MAX, 1 | 2, 1);
    driver_set_desc(&d, d.q[0].desc, 1, RAM_BASE, 1, 2, 0);
    driver_offer(&d, 0, 0);
    expect_broken();
}

// A direct descriptor and a full table are one more than a chain may have.
Test(malformed, too_many_buffers)
{
    start_malformed();
    paddr_t table = driver_alloc(&d, 16 * 1024);
    for (unsigned i = 0; i < 1024; i++)
        driver_set_desc(&d, table, i, RAM_BASE, 1, i < 1023 ? 1 | 2 : 2, i + 1);
    driver_set_desc(&d, d.q[0].desc, 0, RAM_BASE, 1, 1 | 2, 1);
    driver_set_desc(&d, d.q[0].desc, 1, table, 16 * 1024, 4, 0);
    driver_offer(&d, 0, 0);
    expect_broken();
}

Test(malformed, a_table_as_large_as_a_chain)
{
    unsigned head;
    uint32_t len;
    start_malformed();
    paddr_t table = driver_alloc(&d, 16 * 1024), buf = driver_alloc(&d, 1024);
    for (unsigned i = 0; i < 1024; i++)
        driver_set_desc(&d, table, i, buf + i, 1, i < 1023 ? 1 | 2 : 2, i + 1);
    driver_set_desc(&d, d.q[0].desc, 0, table, 16 * 1024, 4, 0);
    driver_offer(&d, 0, 0);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &len));
    cr_assert_eq(len, 1024);
}

// "The device MUST ignore the write-only flag in the descriptor that refers to an indirect table", 2.7.5.3.2.
Test(malformed, a_writable_table_is_a_table)
{
    unsigned head;
    uint32_t len;
    start_malformed();
    paddr_t table = driver_alloc(&d, 16), buf = driver_alloc(&d, 16);
    driver_set_desc(&d, table, 0, buf, 16, 2, 0);
    driver_set_desc(&d, d.q[0].desc, 0, table, 16, 4 | 2, 0);
    driver_offer(&d, 0, 0);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &len));
    cr_assert_eq(len, 16);
}

// What is written goes over the descriptors, the rings, and both at once: whatever the device makes of that, a reset
// mends it, and nothing beyond the buffer changes.
Test(malformed, buffers_over_their_own_queue)
{
    for (unsigned i = 0; i < 3; i++) {
        start_malformed();
        paddr_t at = i == 0 ? d.q[0].desc : i == 1 ? d.q[0].avail : d.q[0].used;
        paddr_t behind = d.q[0].used + 6 + 8 * 8;
        guest_store(&d, behind, 8, 0x5a5a);
        driver_set_desc(&d, d.q[0].desc, 0, at, (uint32_t)(behind - at), 2, 0);
        driver_offer(&d, 0, 0);
        driver_kick(&d, 0);
        driver_kick(&d, 0);
        cr_assert_eq(guest_load(&d, behind, 8), 0x5a5a);
        driver_start(&d, ALL_FEATURES, 1, 8);
        request_entropy(1, false);
    }
}

// Heads that were used already may come again: their buffers are filled again.
Test(malformed, the_same_head_twice)
{
    unsigned head;
    uint32_t len;
    start_malformed();
    driver_set_desc(&d, d.q[0].desc, 3, driver_alloc(&d, 16), 16, 2, 0);
    for (unsigned i = 0; i < 8; i++)
        driver_offer(&d, 0, 3);
    driver_kick(&d, 0);
    for (unsigned i = 0; i < 8; i++)
        cr_assert(driver_used(&d, 0, &head, &len) && head == 3 && len == 16);
    cr_assert_not(driver_used(&d, 0, &head, &len));
}

Test(malformed, indirect_tables)
{
    static const struct {
        uint64_t addr;
        uint32_t len, flags;
    } bad[] = {
        {RAM_BASE, 0, 4},
        {RAM_BASE, 15, 4},
        {RAM_BASE, 17, 4},
        {RAM_BASE, 16, 4 | 1}, // with a next
        {0, 16, 4},            // nowhere
        {UINT64_MAX, 16, 4},
        {RAM_BASE + RAM_SIZE - 8, 16, 4},
        {RAM_BASE, 16 * 1025, 4}, // too long
        {RAM_BASE, 0xfffffff0, 4},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        offer_desc(bad[i].addr, bad[i].len, bad[i].flags, 0);
        expect_broken();
    }
}

Test(malformed, indirect_in_indirect)
{
    paddr_t table = driver_alloc(&d, 32);
    driver_set_desc(&d, table, 0, table, 32, 4, 0);
    offer_desc(table, 32, 4, 0);
    expect_broken();
}

Test(malformed, loop_in_an_indirect_table)
{
    paddr_t table = driver_alloc(&d, 32);
    driver_set_desc(&d, table, 0, RAM_BASE, 1, 1 | 2, 1);
    driver_set_desc(&d, table, 1, RAM_BASE, 1, 1 | 2, 0);
    offer_desc(table, 32, 4, 0);
    expect_broken();
    driver_set_desc(&d, table, 1, RAM_BASE, 1, 1 | 2, 2);
    offer_desc(table, 32, 4, 0);
    expect_broken();
}

Test(malformed, indirect_without_the_feature)
{
    driver_start(&d, 0, 1, 8);
    acknowledge();
    paddr_t table = driver_alloc(&d, 16);
    driver_set_desc(&d, table, 0, RAM_BASE, 1, 2, 0);
    driver_set_desc(&d, d.q[0].desc, 0, table, 16, 4, 0);
    driver_offer(&d, 0, 0);
    expect_broken();
}

Test(malformed, rings_not_in_memory)
{
    static const uint64_t addrs[] = {0, 0x10001000, RAM_BASE + RAM_SIZE, UINT64_MAX - 15};
    for (unsigned i = 0; i < 3 * ARRAY_LEN(addrs); i++) {
        uint64_t addr = addrs[i / 3];
        paddr_t place[3];
        driver_negotiate(&d, ALL_FEATURES);
        driver_setup_queue(&d, 0, 8);
        place[0] = d.q[0].desc;
        place[1] = d.q[0].avail;
        place[2] = d.q[0].used;
        driver_set_desc(&d, place[0], 0, RAM_BASE, 4, 2, 0);
        driver_offer(&d, 0, 0);
        place[i % 3] = addr;
        reg_write(&d, R_QUEUE_READY, 0);
        for (unsigned n = 0; n < 3; n++) {
            reg_write(&d, R_DESC + 16 * n, (uint32_t)place[n]);
            reg_write(&d, R_DESC + 16 * n + 4, (uint32_t)(place[n] >> 32));
        }
        reg_write(&d, R_QUEUE_READY, 1);
        reg_write(&d, R_STATUS, reg_read(&d, R_STATUS) | VIRTIO_DRIVER_OK);
        cr_assert(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET, "ring %u at 0x%lx", i % 3,
                  (unsigned long)addr);
    }
}

static void break_queue(const char *class, unsigned queues, unsigned q, bool is_looked_at)
{
    struct driver e;
    driver_new(&e, class, false);
    driver_plug(&e);
    for (unsigned times = 0; times < 2; times++) { // the second time after a reset
        driver_start(&e, ALL_FEATURES, queues, 8);
        driver_offer(&e, q, 8);
        driver_kick(&e, q);
        bool is_broken = reg_read(&e, R_STATUS) & VIRTIO_NEEDS_RESET;
        cr_assert_eq(is_broken, is_looked_at, "%s, queue %u", class, q);
    }
    driver_free(&e);
}

// Whichever function and queue it is. Queues for input are looked at when there is some.
Test(malformed_functions, every_queue)
{
    static const struct {
        const char *class;
        unsigned queues, for_input; // a bit each
    } functions[] = {{"virtio-net-device", 3, 0x01},
                     {"virtio-serial-device", 8, 0x55},
                     {"virtio-rng-device", 1, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(functions); i++) {
        for (unsigned q = 0; q < functions[i].queues; q++)
            break_queue(functions[i].class, functions[i].queues, q,
                        !(functions[i].for_input >> q & 1));
    }
}

// --- At random ---

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

// Mostly sensible numbers, so that a walk gets far.
static uint64_t random_addr(uint64_t *seed)
{
    uint64_t addr = RAM_BASE + next_random(seed) % (RAM_SIZE / 64) * 16;
    return next_random(seed) % 16 ? addr : addr + RAM_SIZE - next_random(seed) % 64;
}

static void scramble(struct driver *e, uint64_t *seed)
{
    struct driver_queue *dq = &e->q[0];
    for (unsigned i = 0; i < dq->num; i++) {
        unsigned flags = next_random(seed) % 8 ? next_random(seed) % 4 : next_random(seed) % 8;
        uint32_t len =
            next_random(seed) % 4 ? next_random(seed) % 100 : 16 * (next_random(seed) % 5);
        driver_set_desc(e, dq->desc, i, random_addr(seed), len, flags,
                        next_random(seed) % (dq->num + 1));
        guest_store(e, dq->avail + 4 + 2 * i, 2, next_random(seed) % (dq->num + 1));
    }
    guest_store(e, dq->avail + 2, 2, next_random(seed) % 12);
}

Test(malformed, random_rings_never_crash)
{
    uint64_t seed = 1;
    for (unsigned run = 0; run < 2000; run++) {
        d.heap = RAM_BASE + RAM_SIZE / 2;
        driver_start(&d, ALL_FEATURES, 1, 8);
        scramble(&d, &seed);
        driver_kick(&d, 0);
        driver_kick(&d, next_random(&seed));
    }
    d.heap = RAM_BASE + RAM_SIZE / 2;
    driver_start(&d, ALL_FEATURES, 1, 8);
    request_entropy(1, false);
}

Test(malformed, random_register_accesses_never_crash)
{
    for (uint64_t seed = 1; seed < 60000; seed++) {
        uint64_t s = seed * 77, value;
        unsigned offset = next_random(&s) % 0x200, size = 1u << next_random(&s) % 4;
        uint32_t what = next_random(&s) % 3 ? next_random(&s) % 64 : next_random(&s);
        if (next_random(&s) % 2)
            mem_write(d.mem, MMIO_BASE + offset, size, what);
        else
            mem_read(d.mem, MMIO_BASE + offset, size, &value);
    }
    device_reset(d.transport);
    device_reset(d.dev);
    driver_start(&d, ALL_FEATURES, 1, 8);
    request_entropy(1, false);
}
