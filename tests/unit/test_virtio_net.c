// SPDX-License-Identifier: MIT
// The virtio network card, with the user-mode network behind it: what a guest sends is answered.
#include <criterion/criterion.h>
#include <string.h>

#include "backend/net.h"
#include "base/bits.h"
#include "tests/unit/virtio_driver.h"

#define ALL_FEATURES UINT64_MAX
#define HOST         0x0a000202
#define REPLY        64 // bytes of an ARP reply, which comes padded

enum { RX, TX, CTRL };
enum { F_MRG_RXBUF = 15, F_CTRL_VQ = 17, F_CTRL_MAC_ADDR = 23 };

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static struct driver d;
static struct poller *p;
static struct netdev *net;
static size_t header;

static void start(bool legacy, uint64_t features)
{
    p = poller_new();
    net = netdev_open(options_parse("-netdev", "user,id=n0,ipv6=off", "type"), p, NULL);
    driver_new(&d, "virtio-net-device", legacy);
    device_set_ptr(d.dev, "netdev", net);
    driver_plug(&d);
    driver_start(&d, features, 3, 32);
    header = legacy && !(features >> F_MRG_RXBUF & 1) ? 10 : 12;
}

static void teardown(void)
{
    driver_free(&d);
    netdev_close(net);
    poller_free(p);
}

static void setup_modern(void)
{
    start(false, ALL_FEATURES);
}

TestSuite(net, .init = setup_modern, .fini = teardown, .timeout = 30);
TestSuite(net_special, .fini = teardown, .timeout = 30);

static void run_time(void)
{
    for (int i = 0; i < 10; i++) {
        poller_wait(p, 0);
        uint64_t next = clock_next(d.clock);
        if (next == CLOCK_NEVER)
            break;
        d.clock->base_ns = MAX(next, d.clock->base_ns);
        clock_run_due(d.clock);
    }
}

static paddr_t give_buffer(uint32_t len)
{
    struct driver_buf buf = {driver_alloc(&d, len), len, true};
    driver_add(&d, RX, &buf, 1, false);
    return buf.addr;
}

// Header and frame in two buffers, the second of which starts within the frame.
static void send_frame(const uint8_t *frame, size_t len)
{
    uint8_t data[2000] = {0};
    unsigned head;
    uint32_t used;
    memcpy(data + header, frame, len);
    paddr_t at = driver_data(&d, data, header + len);
    struct driver_buf bufs[] = {{at, (uint32_t)header + 5, false},
                                {at + header + 5, (uint32_t)len - 5, false}};
    driver_add(&d, TX, bufs, 2, false);
    driver_kick(&d, TX);
    cr_assert(driver_used(&d, TX, &head, &used));
    cr_assert_eq(used, 0);
}

static void send_arp(const uint8_t *mac)
{
    uint8_t f[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    memcpy(f + 6, mac, 6);
    store_be(f + 12, 2, 0x0806);
    store_be(f + 14, 8, UINT64_C(0x0001080006040001));
    memcpy(f + 22, mac, 6);
    store_be(f + 28, 4, 0x0a00020f);
    store_be(f + 38, 4, HOST);
    send_frame(f, sizeof(f));
    run_time();
}

static void expect_arp_reply(paddr_t buf, const uint8_t *mac)
{
    unsigned head;
    uint32_t len;
    const uint8_t *f = (uint8_t *)driver_ptr(&d, buf) + header;
    cr_assert(driver_used(&d, RX, &head, &len), "no frame came");
    cr_assert_eq(len, header + REPLY);
    cr_assert_eq(memcmp(f, mac, 6), 0);
    cr_assert_eq(load_be(f + 12, 2), 0x0806);
    cr_assert_eq(load_be(f + 28, 4), HOST);
    if (header == 12)
        cr_assert_eq(guest_load(&d, buf + 10, 2), 1); // buffers used
}

static void expect_nothing(void)
{
    unsigned head;
    uint32_t len;
    cr_assert_not(driver_used(&d, RX, &head, &len));
}

Test(net, configuration)
{
    cr_assert_eq(reg_read(&d, R_DEVICE_ID), VIRTIO_ID_NET);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(config_read(&d, i, 1), our_mac[i]);
    cr_assert_eq(config_read(&d, 6, 2), 1); // link is up
}

Test(net, sends_and_receives)
{
    for (int i = 0; i < 50; i++) {
        paddr_t buf = give_buffer(1600);
        driver_kick(&d, RX);
        send_arp(our_mac);
        expect_arp_reply(buf, our_mac);
        cr_assert_eq(d.irq, i == 0); // the driver did not move its event index
        reg_write(&d, R_ACK, reg_read(&d, R_ISR));
    }
    cr_assert_eq(netdev_get_stats(net)->tx_frames, 50);
}

Test(net_special, headers_of_all_versions)
{
    static const struct {
        bool legacy;
        uint64_t features;
    } kinds[] = {{false, 0}, {true, 0}, {true, BIT(F_MRG_RXBUF)}};
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        start(kinds[i].legacy, kinds[i].features);
        paddr_t buf = give_buffer(1600);
        driver_kick(&d, RX);
        send_arp(our_mac);
        expect_arp_reply(buf, our_mac);
        if (i + 1 < ARRAY_LEN(kinds))
            teardown();
    }
}

Test(net, frames_wait_for_buffers)
{
    send_arp(our_mac);
    expect_nothing();
    paddr_t buf = give_buffer(1600);
    driver_kick(&d, RX);
    run_time();
    expect_arp_reply(buf, our_mac);
}

Test(net, a_frame_over_several_buffers)
{
    unsigned head;
    uint32_t len;
    uint8_t got[128];
    paddr_t bufs[8];
    for (unsigned i = 0; i < 8; i++)
        bufs[i] = give_buffer(i ? 10 : 13); // 76 bytes are needed
    driver_kick(&d, RX);
    send_arp(our_mac);
    size_t total = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (!driver_used(&d, RX, &head, &len))
            break;
        memcpy(got + total, driver_ptr(&d, bufs[i]), len);
        total += len;
    }
    cr_assert_eq(total, 12 + REPLY);
    cr_assert_eq(load_le(got + 10, 2), 8);
    cr_assert_eq(load_be(got + 12 + 28, 4), HOST);
}

Test(net, a_frame_that_does_not_fit_is_dropped)
{
    for (unsigned i = 0; i < 3; i++)
        give_buffer(10);
    driver_kick(&d, RX);
    send_arp(our_mac);
    expect_nothing();
    paddr_t buf = give_buffer(1600); // after the small ones, which count, too
    driver_kick(&d, RX);
    send_arp(our_mac);
    unsigned head, n = 0;
    uint32_t len;
    while (driver_used(&d, RX, &head, &len))
        n++;
    cr_assert_eq(n, 4);
    cr_assert_eq(load_be((uint8_t *)driver_ptr(&d, buf) + 28 + 12 - 30, 4), HOST);
}

Test(net, bad_frames_are_not_sent)
{
    static const struct {
        uint32_t len;
        uint8_t flags, gso;
    } bad[] = {{0, 0, 0}, {12, 0, 0}, {25, 0, 0}, {100, 1, 0}, {100, 0, 1}, {12 + 65551, 0, 0}};
    unsigned head;
    uint32_t used;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct driver_buf buf = {driver_alloc(&d, 70000), bad[i].len, false};
        guest_store(&d, buf.addr, 1, bad[i].flags);
        guest_store(&d, buf.addr + 1, 1, bad[i].gso);
        driver_add(&d, TX, &buf, 1, false);
        driver_kick(&d, TX);
        cr_assert(driver_used(&d, TX, &head, &used));
    }
    cr_assert_eq(netdev_get_stats(net)->tx_frames, 0);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
}

// --- Filters ---

static bool control(uint8_t class, uint8_t command, const void *arg, size_t len)
{
    uint8_t message[1000] = {class, command};
    unsigned head;
    uint32_t used;
    memcpy(message + 2, arg, len);
    struct driver_buf bufs[] = {{driver_data(&d, message, 2 + len), 2 + (uint32_t)len, false},
                                {driver_alloc(&d, 1), 1, true}};
    guest_store(&d, bufs[1].addr, 1, 0xaa);
    driver_add(&d, CTRL, bufs, 2, false);
    driver_kick(&d, CTRL);
    cr_assert(driver_used(&d, CTRL, &head, &used));
    cr_assert_eq(used, 1);
    cr_assert_leq(guest_load(&d, bufs[1].addr, 1), 1);
    return guest_load(&d, bufs[1].addr, 1) == 0;
}

// A frame from outside, as the back end would hand it over.
static bool accepts(const uint8_t *mac, unsigned vlan)
{
    uint8_t f[60] = {0};
    unsigned head;
    uint32_t len;
    memcpy(f, mac, 6);
    store_be(f + 12, 2, vlan ? 0x8100 : 0x0800);
    store_be(f + 14, 2, vlan);
    give_buffer(1600);
    unsigned before = (unsigned)netdev_get_stats(net)->rx_frames;
    door_deliver(d.door, 0, f, sizeof(f)); // the card is the only receiver
    cr_assert_eq(netdev_get_stats(net)->rx_frames, before);
    return driver_used(&d, RX, &head, &len);
}

Test(net, address_filters)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 7}, group[6] = {3, 0, 0, 0, 0, 8},
                         all[6] = {255, 255, 255, 255, 255, 255};
    static const uint8_t on = 1, off = 0;
    uint8_t table[20] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 3, 0, 0, 0, 0, 8};
    cr_assert(accepts(other, 0)); // promiscuous until told
    cr_assert(control(0, 0, &off, 1));
    cr_assert(accepts(our_mac, 0));
    cr_assert(accepts(all, 0));
    cr_assert_not(accepts(other, 0));
    cr_assert_not(accepts(group, 0));
    cr_assert(control(0, 1, &on, 1)); // all multicast
    cr_assert(accepts(group, 0));
    cr_assert(control(0, 1, &off, 1));
    cr_assert(control(0, 2, &on, 1)); // all unicast
    cr_assert(accepts(other, 0));
    cr_assert(control(0, 2, &off, 1));
    cr_assert(control(1, 0, table, 20));
    cr_assert(accepts(other, 0));
    cr_assert(accepts(group, 0));
    cr_assert(control(0, 3, &on, 1)); // no multicast
    cr_assert_not(accepts(group, 0));
    cr_assert(control(0, 4, &on, 1)); // no unicast
    cr_assert_not(accepts(our_mac, 0));
    cr_assert(control(0, 5, &on, 1)); // no broadcast
    cr_assert_not(accepts(all, 0));
}

Test(net, a_long_list_of_addresses_takes_all)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 7}, group[6] = {3, 0, 0, 0, 0, 8}, off = 0;
    uint8_t table[8 + 65 * 6] = {65};
    cr_assert(control(0, 0, &off, 1));
    cr_assert(control(1, 0, table, sizeof(table)));
    cr_assert(accepts(other, 0));
    cr_assert_not(accepts(group, 0));
}

Test(net, address_and_vlans_can_be_set)
{
    static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5}, off = 0;
    uint8_t vlan[2] = {100, 0};
    cr_assert(control(0, 0, &off, 1));
    cr_assert(control(1, 1, mac, 6));
    cr_assert_eq(config_read(&d, 5, 1), 5);
    cr_assert(accepts(mac, 0));
    cr_assert_not(accepts(our_mac, 0));
    cr_assert_not(accepts(mac, 100));
    cr_assert(control(2, 0, vlan, 2));
    cr_assert(accepts(mac, 100));
    cr_assert_not(accepts(mac, 101));
    cr_assert(control(2, 1, vlan, 2));
    cr_assert_not(accepts(mac, 100));
    device_reset(d.dev);
    cr_assert_eq(((struct virtio_device *)d.dev)->s->status, 0);
    cr_assert_eq(config_read(&d, 5, 1), our_mac[5]);
}

static void write_mac(const uint8_t *mac)
{
    for (unsigned i = 0; i < 6; i++)
        config_write(&d, i, 1, mac[i]);
}

// 5.1.4.1: before 1.0, the address is written where it is read, unless there is a command for that.
Test(net_special, legacy_address_is_written_to_the_configuration)
{
    static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};
    start(true, ALL_FEATURES & ~BIT(F_CTRL_MAC_ADDR));
    write_mac(mac);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(config_read(&d, i, 1), mac[i]);
    device_reset(d.dev);
    cr_assert_eq(config_read(&d, 5, 1), our_mac[5]);
    driver_start(&d, ALL_FEATURES, 3, 32);
    write_mac(mac);
    cr_assert_eq(config_read(&d, 5, 1), our_mac[5]);
}

Test(net, configuration_is_read_only)
{
    static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};
    write_mac(mac);
    config_write(&d, 6, 2, 0);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(config_read(&d, i, 1), our_mac[i]);
    cr_assert_eq(config_read(&d, 6, 2), 1);
}

Test(net, commands_that_make_no_sense_are_refused)
{
    uint8_t zeros[16] = {0}, table[16] = {200}, vlan[2] = {0, 16};
    cr_assert_not(control(0, 6, zeros, 1));
    cr_assert_not(control(0, 0, zeros, 0));
    cr_assert_not(control(1, 0, zeros, 3));
    cr_assert_not(control(1, 0, zeros, 4));
    cr_assert_not(control(1, 0, table, 16));
    cr_assert_not(control(1, 1, zeros, 5));
    cr_assert_not(control(1, 2, zeros, 6));
    cr_assert_not(control(2, 0, zeros, 1));
    cr_assert_not(control(2, 0, vlan, 2));
    cr_assert_not(control(2, 2, zeros, 2));
    cr_assert_not(control(9, 0, zeros, 2));
}

// --- Properties ---

Test(net_errors, addresses_are_checked)
{
    static const char *const bad[] = {"52:54:00:12:34", "52:54:00:12:34:56:78", "zz:54:00:12:34:56",
                                      "53:54:00:12:34:56", ""};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct driver e;
        GError *error = NULL;
        driver_new(&e, "virtio-net-device", false);
        device_set_str(e.dev, "mac", bad[i]);
        cr_assert_not(device_init(e.dev, &error), "%s", bad[i]);
        cr_assert_not_null(strstr(error->message, "mac="));
        g_error_free(error);
        driver_free(&e);
    }
}

Test(net_errors, works_without_a_network)
{
    struct driver e;
    unsigned head;
    uint32_t len;
    driver_new(&e, "virtio-net-device", false);
    device_set_str(e.dev, "mac", "02-00-00-00-00-01");
    driver_plug(&e);
    driver_start(&e, ALL_FEATURES, 3, 8);
    cr_assert_eq(config_read(&e, 5, 1), 1);
    struct driver_buf buf = {driver_alloc(&e, 100), 100, false};
    driver_add(&e, TX, &buf, 1, false);
    driver_kick(&e, TX);
    cr_assert(driver_used(&e, TX, &head, &len));
    driver_free(&e);
}
