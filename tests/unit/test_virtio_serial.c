// SPDX-License-Identifier: MIT
// The virtio console device and its ports: control messages, data both ways, emergency output.
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/chardev_open.h"
#include "base/bits.h"
#include "base/state.h"
#include "tests/unit/virtio_driver.h"

#define F_MULTIPORT BIT(1)

enum {
    DEVICE_READY,
    DEVICE_ADD,
    DEVICE_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME
};

static struct driver d;
static struct poller *p;
static struct {
    int fd;
    struct chardev *chr;
    struct device *dev;
} ports[2]; // a console at 0, a serial port at 1

static void add_port(int i, const char *class)
{
    int pair[2];
    GError *error = NULL;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char *opts = g_strdup_printf("socket,id=c%d,fd=%d", i, pair[0]);
    ports[i].fd = pair[1];
    ports[i].chr = chardev_open(options_parse("-chardev", opts, "backend"), p, NULL);
    ports[i].dev = driver_child(&d, class);
    device_set_ptr(ports[i].dev, "chardev", ports[i].chr);
    if (i == 1)
        device_set_str(ports[i].dev, "name", "org.example.port");
    cr_assert(device_init(ports[i].dev, &error), "%s", error ? error->message : "");
    g_free(opts);
}

static void setup(void)
{
    p = poller_new();
    driver_new(&d, "virtio-serial-device", false);
    driver_plug(&d);
    add_port(0, "virtconsole");
    add_port(1, "virtserialport");
}

static void teardown(void)
{
    for (int i = 0; i < 2; i++) {
        device_free(ports[i].dev);
        chardev_close(ports[i].chr);
        close(ports[i].fd);
    }
    driver_free(&d);
    poller_free(p);
}

TestSuite(serial, .init = setup, .fini = teardown, .timeout = 30);

static void run_rounds(void)
{
    for (int i = 0; i < 5; i++)
        poller_wait(p, 5);
}

static void expect_output(int port, const char *text)
{
    char buf[256] = {0};
    poller_wait(p, 0);
    ssize_t n = recv(ports[port].fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
    cr_assert_eq(n, (ssize_t)strlen(text), "got %zd bytes '%s'", n, buf);
    cr_assert_str_eq(buf, text);
}

static void print(unsigned q, const char *text)
{
    struct driver_buf bufs[2] = {{driver_data(&d, text, strlen(text)), 2, false}};
    unsigned head;
    uint32_t len;
    bufs[1] = (struct driver_buf){bufs[0].addr + 2, (uint32_t)strlen(text) - 2, false};
    driver_add(&d, q, bufs, 2, false);
    driver_kick(&d, q);
    cr_assert(driver_used(&d, q, &head, &len));
    cr_assert_eq(len, 0);
}

static paddr_t give_buffer(unsigned q, uint32_t len)
{
    struct driver_buf buf = {driver_alloc(&d, len), len, true};
    driver_add(&d, q, &buf, 1, false);
    return buf.addr;
}

static void expect_input(unsigned q, paddr_t buf, const char *text)
{
    unsigned head;
    uint32_t len;
    cr_assert(driver_used(&d, q, &head, &len));
    cr_assert_eq(len, strlen(text));
    cr_assert_eq(memcmp(driver_ptr(&d, buf), text, len), 0);
}

// --- Without multiport ---

Test(serial, console_alone)
{
    driver_start(&d, 0, 2, 16);
    print(1, "hello, world");
    expect_output(0, "hello, world");
    cr_assert_eq(write(ports[0].fd, "typed", 5), 5);
    run_rounds();
    cr_assert_not(d.irq && reg_read(&d, R_ISR) == 0);
    paddr_t small = give_buffer(0, 2), large = give_buffer(0, 64);
    driver_kick(&d, 0);
    expect_input(0, small, "ty");
    expect_input(0, large, "ped");
    paddr_t next = give_buffer(0, 64);
    driver_kick(&d, 0);
    cr_assert_eq(write(ports[0].fd, "more", 4), 4);
    run_rounds();
    expect_input(0, next, "more");
    cr_assert(d.irq);
}

Test(serial, input_waits_at_the_host)
{
    char text[400];
    unsigned head;
    uint32_t len;
    GString *got = g_string_new(NULL);
    memset(text, 'a', sizeof(text));
    cr_assert_eq(write(ports[0].fd, text, sizeof(text)), (ssize_t)sizeof(text));
    run_rounds(); // no driver: nothing is taken
    driver_start(&d, 0, 2, 16);
    run_rounds(); // a FIFO's worth is taken
    cr_assert_eq(recv(ports[0].fd, text, 1, MSG_DONTWAIT), -1);
    while (got->len < sizeof(text)) {
        paddr_t buf = give_buffer(0, 100);
        driver_kick(&d, 0);
        run_rounds();
        cr_assert(driver_used(&d, 0, &head, &len));
        g_string_append_len(got, driver_ptr(&d, buf), len);
    }
    cr_assert_eq(got->len, sizeof(text));
    g_string_free(got, TRUE);
}

Test(serial, emergency_output)
{
    config_write(&d, 8, 4, '!'); // without any set-up
    expect_output(0, "!");
    cr_assert_eq(config_read(&d, 4, 4), 31);
}

// --- With multiport ---

static void send_control(uint32_t port, unsigned event, unsigned value)
{
    uint8_t message[8];
    unsigned head;
    uint32_t len;
    store_le(message, 4, port);
    store_le(message + 4, 2, event);
    store_le(message + 6, 2, value);
    struct driver_buf buf = {driver_data(&d, message, 8), 8, false};
    driver_add(&d, 3, &buf, 1, false);
    driver_kick(&d, 3);
    cr_assert(driver_used(&d, 3, &head, &len));
}

static void expect_control(uint32_t port, unsigned event, unsigned value, const char *name)
{
    static const size_t size = 64;
    unsigned head;
    uint32_t len;
    cr_assert(driver_used(&d, 2, &head, &len), "no message %u for port %u", event, port);
    paddr_t at = guest_load(&d, d.q[2].desc + 16 * head, 8);
    cr_assert_eq(guest_load(&d, at, 4), port);
    cr_assert_eq(guest_load(&d, at + 4, 2), event);
    cr_assert_eq(guest_load(&d, at + 6, 2), value);
    cr_assert_eq(len, 8 + strlen(name));
    cr_assert_eq(memcmp(driver_ptr(&d, at + 8), name, strlen(name)), 0);
    struct driver_buf again = {at, size, true};
    driver_add(&d, 2, &again, 1, false);
    driver_kick(&d, 2);
}

static void expect_silence(void)
{
    unsigned head;
    uint32_t len;
    cr_assert_not(driver_used(&d, 2, &head, &len));
}

static void start_multiport(unsigned control_buffers)
{
    driver_start(&d, F_MULTIPORT, 8, 16);
    for (unsigned i = 0; i < control_buffers; i++)
        give_buffer(2, 64);
    driver_kick(&d, 2);
}

static void open_ports(void)
{
    send_control(0, DEVICE_READY, 1);
    expect_control(0, DEVICE_ADD, 1, "");
    expect_control(1, DEVICE_ADD, 1, "");
    send_control(0, PORT_READY, 1);
    expect_control(0, CONSOLE_PORT, 1, "");
    expect_control(0, PORT_OPEN, 1, "");
    send_control(1, PORT_READY, 1);
    expect_control(1, PORT_NAME, 1, "org.example.port");
}

Test(serial, ports_are_announced)
{
    start_multiport(8);
    open_ports();
    expect_silence();
    run_rounds(); // the host's side of port 1 counts as open from the first round on
    expect_control(1, PORT_OPEN, 1, "");
    close(ports[1].fd);
    run_rounds();
    expect_control(1, PORT_OPEN, 0, "");
    ports[1].fd = dup(0);
    expect_silence();
}

Test(serial, messages_wait_for_buffers)
{
    start_multiport(0);
    run_rounds();
    send_control(0, DEVICE_READY, 1);
    send_control(0, PORT_READY, 1);
    send_control(1, PORT_READY, 1);
    expect_silence();
    for (int i = 0; i < 6; i++)
        give_buffer(2, 64);
    driver_kick(&d, 2);
    static const unsigned events[][2] = {
        {0, DEVICE_ADD}, {0, CONSOLE_PORT}, {0, PORT_OPEN}, {1, DEVICE_ADD}};
    for (unsigned i = 0; i < ARRAY_LEN(events); i++)
        expect_control(events[i][0], events[i][1], 1, "");
    expect_control(1, PORT_NAME, 1, "org.example.port");
    expect_control(1, PORT_OPEN, 1, "");
    expect_silence();
}

Test(serial, data_of_each_port)
{
    start_multiport(8);
    open_ports();
    print(1, "to the console");
    print(5, "to the port");
    expect_output(0, "to the console");
    expect_output(1, "to the port");
    paddr_t buf = give_buffer(4, 32);
    driver_kick(&d, 4);
    cr_assert_eq(write(ports[1].fd, "in", 2), 2);
    run_rounds();
    unsigned head;
    uint32_t len;
    cr_assert_not(driver_used(&d, 4, &head, &len)); // the guest has not opened it
    send_control(1, PORT_OPEN, 1);
    run_rounds();
    expect_input(4, buf, "in");
    send_control(1, PORT_OPEN, 0);
    cr_assert_eq(write(ports[1].fd, "out", 3), 3);
    run_rounds();
    cr_assert_not(driver_used(&d, 4, &head, &len));
}

Test(serial, nonsense_is_ignored)
{
    start_multiport(8);
    send_control(99, PORT_OPEN, 1);
    send_control(UINT32_MAX, PORT_READY, 1);
    send_control(5, PORT_READY, 1);
    send_control(0, 77, 1);
    send_control(0, PORT_READY, 0);
    expect_silence();
    struct driver_buf small = {RAM_BASE, 3, false};
    driver_add(&d, 3, &small, 1, false);
    driver_kick(&d, 3);
    driver_kick(&d, 12);   // a queue that is not set up
    print(7, "to nobody"); // one without a port
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
}

Test(serial, reset_forgets_all_but_the_host)
{
    start_multiport(8);
    open_ports();
    run_rounds();
    send_control(1, PORT_OPEN, 1);
    device_reset(d.dev);
    GByteArray *a = g_byte_array_new(), *b = g_byte_array_new();
    state_save(d.dev->cls->state, d.dev, a);
    device_reset(d.dev);
    state_save(d.dev->cls->state, d.dev, b);
    cr_assert_eq(a->len, b->len);
    cr_assert_eq(memcmp(a->data, b->data, a->len), 0);
    start_multiport(8);
    send_control(0, DEVICE_READY, 1);
    expect_control(0, DEVICE_ADD, 1, "");
    expect_control(1, DEVICE_ADD, 1, "");
    send_control(1, PORT_READY, 1);
    expect_control(1, PORT_NAME, 1, "org.example.port");
    expect_control(1, PORT_OPEN, 1, ""); // it is still open at the host
    g_byte_array_free(a, TRUE);
    g_byte_array_free(b, TRUE);
}

// --- Plugging ---

static void expect_refused(const char *class, uint64_t nr, const char *part)
{
    GError *error = NULL;
    struct device *dev = driver_child(&d, class);
    device_set_u64(dev, "nr", nr);
    cr_assert_not(device_init(dev, &error));
    cr_assert_not_null(strstr(error->message, part), "%s", error->message);
    g_error_free(error);
    device_free(dev);
}

Test(serial, port_numbers)
{
    expect_refused("virtserialport", 0, "nr=0 is for a virtconsole");
    expect_refused("virtserialport", 1, "nr=1 is taken by virtserialport");
    expect_refused("virtconsole", 0, "nr=0 is taken by virtconsole");
    expect_refused("virtserialport", 31, "has ports 0 to 30 only");
    struct device *lone = driver_child(&d, "virtconsole");
    GError *error = NULL;
    lone->parent = NULL;
    cr_assert_not(device_init(lone, &error));
    cr_assert_not_null(strstr(error->message, "virtio-serial-device"));
    g_error_free(error);
    device_free(lone);
}
