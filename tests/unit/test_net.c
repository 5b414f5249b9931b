// SPDX-License-Identifier: MIT
// The user-mode network, with a small guest of its own: ARP, DHCP, TFTP, UDP and TCP through a forwarded port;
// answers come at the same guest time in each run; options and their mistakes.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net.h"
#include "base/bits.h"

#define HOST  0x0a000202
#define GUEST 0x0a00020f
#define DNS   0x0a000203

static const uint8_t our_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

// A machine without CPUs: time goes from one timer to the next.
struct guest {
    struct poller *p;
    struct clock *clock;
    struct door *door;
    struct netdev *net;
    GPtrArray *frames; // of GBytes *: received, not looked at yet
    GString *log;      // time and contents of all frames
    bool busy;         // can't receive
};

static bool guest_can_receive(void *opaque)
{
    return !((struct guest *)opaque)->busy;
}

static void guest_receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct guest *g = opaque;
    g_ptr_array_add(g->frames, g_bytes_new(frame, len));
    g_string_append_printf(g->log, "%" G_GUINT64_FORMAT ":", clock_now(g->clock));
    for (size_t i = 0; i < len; i++)
        g_string_append_printf(g->log, "%02x", frame[i]);
    g_string_append_c(g->log, '\n');
}

static struct netdev *try_open(struct poller *p, const char *opts, GError **error)
{
    return netdev_open(options_parse("-netdev", opts, "type"), p, error);
}

static bool try_attach(struct guest *g, GError **error)
{
    struct netdev_front front = {
        .can_receive = guest_can_receive,
        .receive = guest_receive,
        .opaque = g,
        .name = "nic0",
        .door = g->door,
        .clock = g->clock,
    };
    return netdev_attach(g->net, &front, error);
}

static void guest_new(struct guest *g, const char *opts)
{
    GError *error = NULL;
    *g = (struct guest){.p = poller_new(), .clock = clock_new(), .door = door_new(1)};
    g->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g->log = g_string_new(NULL);
    g->net = try_open(g->p, opts, &error);
    cr_assert_not_null(g->net, "%s", error ? error->message : "");
    cr_assert(try_attach(g, &error), "%s", error ? error->message : "");
}

static void guest_free(struct guest *g)
{
    netdev_detach(g->net);
    clock_free(g->clock);
    door_free(g->door);
    netdev_close(g->net);
    poller_free(g->p);
    g_ptr_array_free(g->frames, TRUE);
    g_string_free(g->log, TRUE);
}

// Time goes on by this much; timers run when they are due.
static void run_for(struct guest *g, uint64_t ns)
{
    uint64_t end = g->clock->base_ns + ns;
    for (;;) {
        poller_wait(g->p, 0);
        uint64_t next = clock_next(g->clock);
        if (next > end)
            break;
        g->clock->base_ns = MAX(next, g->clock->base_ns);
        clock_run_due(g->clock);
    }
    g->clock->base_ns = end;
}

// --- Packets ---

#define ETHER   14
#define IP      20
#define UDP     8
#define PAYLOAD (ETHER + IP + UDP)

static uint16_t checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)load_be(p + i, 2);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put_ether(uint8_t *frame, const uint8_t *to, uint16_t type)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, our_mac, 6);
    store_be(frame + 12, 2, type);
}

static void send_arp(struct guest *g, uint32_t target)
{
    uint8_t f[42] = {0};
    put_ether(f, broadcast_mac, 0x0806);
    store_be(f + 14, 8, UINT64_C(0x0001080006040001));
    memcpy(f + 22, our_mac, 6);
    store_be(f + 28, 4, GUEST);
    store_be(f + 38, 4, target);
    netdev_send(g->net, f, sizeof(f));
}

static void send_udp(struct guest *g, const uint8_t *mac, uint32_t from, uint32_t to,
                     uint16_t sport, uint16_t dport, const void *data, size_t len)
{
    uint8_t f[1500] = {0}, *ip = f + ETHER, *udp = ip + IP;
    put_ether(f, mac, 0x0800);
    ip[0] = 0x45;
    store_be(ip + 2, 2, IP + UDP + len);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    store_be(ip + 12, 4, from);
    store_be(ip + 16, 4, to);
    store_be(ip + 10, 2, checksum(ip, IP));
    store_be(udp, 2, sport);
    store_be(udp + 2, 2, dport);
    store_be(udp + 4, 2, UDP + len);
    memcpy(udp + UDP, data, len);
    netdev_send(g->net, f, PAYLOAD + len);
}

static const uint8_t *frame_at(struct guest *g, unsigned i, size_t *len)
{
    return g_bytes_get_data(g_ptr_array_index(g->frames, i), len);
}

// The payload of the oldest UDP packet for this port, which is taken out; or NULL.
static uint8_t *take_udp(struct guest *g, uint16_t port, size_t *len)
{
    for (unsigned i = 0; i < g->frames->len; i++) {
        size_t total;
        const uint8_t *f = frame_at(g, i, &total);
        if (total < PAYLOAD || load_be(f + 12, 2) != 0x0800 || f[ETHER + 9] != IPPROTO_UDP ||
            load_be(f + ETHER + IP + 2, 2) != port)
            continue;
        *len = load_be(f + ETHER + IP + 4, 2) - UDP;
        uint8_t *copy = g_memdup2(f + PAYLOAD, *len);
        g_ptr_array_remove_index(g->frames, i);
        return copy;
    }
    return NULL;
}

static bool take_arp_reply(struct guest *g, uint32_t from, uint8_t *mac)
{
    for (unsigned i = 0; i < g->frames->len; i++) {
        size_t total;
        const uint8_t *f = frame_at(g, i, &total);
        if (total < 42 || load_be(f + 12, 2) != 0x0806 || load_be(f + 20, 2) != 2 ||
            load_be(f + 28, 4) != from)
            continue;
        memcpy(mac, f + 22, 6);
        g_ptr_array_remove_index(g->frames, i);
        return true;
    }
    return false;
}

// --- DHCP ---

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK };

static void send_dhcp(struct guest *g, uint8_t type, uint32_t requested)
{
    uint8_t m[300] = {1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    uint8_t *opt = m + 240;
    memcpy(m + 28, our_mac, 6);
    store_be(m + 236, 4, 0x63825363);
    *opt++ = 53;
    *opt++ = 1;
    *opt++ = type;
    if (requested) {
        *opt++ = 50;
        *opt++ = 4;
        store_be(opt, 4, requested);
        opt += 4;
    }
    *opt = 255;
    send_udp(g, broadcast_mac, 0, 0xffffffff, 68, 67, m, sizeof(m));
}

static const uint8_t *dhcp_option(const uint8_t *m, size_t len, uint8_t code)
{
    for (size_t i = 240; i + 1 < len && m[i] != 255; i += m[i] ? 2 + m[i + 1] : 1)
        if (m[i] == code)
            return m + i + 2;
    return NULL;
}

static uint8_t *expect_dhcp(struct guest *g, uint8_t type, uint32_t addr, size_t *len)
{
    run_for(g, 1000000);
    uint8_t *m = take_udp(g, 68, len);
    cr_assert_not_null(m, "no DHCP answer");
    cr_assert_eq(load_be(m + 4, 4), 0x12345678);
    cr_assert_eq(load_be(m + 16, 4), addr);
    cr_assert_eq(dhcp_option(m, *len, 53)[0], type);
    return m;
}

static void configure(struct guest *g)
{
    size_t len;
    send_dhcp(g, DISCOVER, 0);
    g_free(expect_dhcp(g, OFFER, GUEST, &len));
    send_dhcp(g, REQUEST, GUEST);
    g_free(expect_dhcp(g, ACK, GUEST, &len));
}

Test(net, dhcp_and_arp)
{
    struct guest g;
    uint8_t mac[6];
    size_t len;
    guest_new(&g, "user,id=n0,hostname=box,bootfile=pxe.img");
    send_dhcp(&g, DISCOVER, 0);
    uint8_t *m = expect_dhcp(&g, OFFER, GUEST, &len);
    cr_assert_eq(load_be(dhcp_option(m, len, 1), 4), 0xffffff00);
    cr_assert_eq(load_be(dhcp_option(m, len, 3), 4), HOST);
    cr_assert_eq(load_be(dhcp_option(m, len, 6), 4), DNS);
    cr_assert_eq(memcmp(dhcp_option(m, len, 12), "box", 3), 0);
    cr_assert_str_eq((char *)m + 108, "pxe.img");
    g_free(m);
    send_dhcp(&g, REQUEST, GUEST);
    g_free(expect_dhcp(&g, ACK, GUEST, &len));
    send_arp(&g, HOST);
    cr_assert_not(take_arp_reply(&g, HOST, mac)); // not at once
    run_for(&g, 1000000);
    cr_assert(take_arp_reply(&g, HOST, mac));
    cr_assert_eq(netdev_get_stats(g.net)->tx_frames, 3);
    cr_assert_geq(netdev_get_stats(g.net)->rx_frames, 3);
    guest_free(&g);
}

Test(net, addresses_can_be_chosen)
{
    struct guest g;
    size_t len;
    guest_new(&g, "user,id=n0,net=192.168.7.0/24,host=192.168.7.1,dns=192.168.7.9,"
                  "dhcpstart=192.168.7.100,ipv6=off");
    send_dhcp(&g, DISCOVER, 0);
    uint8_t *m = expect_dhcp(&g, OFFER, 0xc0a80764, &len);
    cr_assert_eq(load_be(dhcp_option(m, len, 3), 4), 0xc0a80701);
    cr_assert_eq(load_be(dhcp_option(m, len, 6), 4), 0xc0a80709);
    g_free(m);
    guest_free(&g);
}

// --- TFTP ---

static void fetch_by_tftp(struct guest *g, GString *got)
{
    static const char request[] = "\0\1hello.txt\0octet";
    uint8_t mac[6];
    configure(g);
    send_arp(g, HOST);
    run_for(g, 1000000);
    cr_assert(take_arp_reply(g, HOST, mac));
    send_udp(g, mac, GUEST, HOST, 2000, 69, request, sizeof(request));
    for (unsigned block = 1;; block++) {
        size_t len;
        run_for(g, 1000000);
        uint8_t *m = take_udp(g, 2000, &len);
        cr_assert_not_null(m, "block %u does not come", block);
        cr_assert_eq(load_be(m, 4), 3u << 16 | block);
        g_string_append_len(got, (char *)m + 4, (gssize)len - 4);
        uint8_t ack[4] = {0, 4, (uint8_t)(block >> 8), (uint8_t)block};
        send_udp(g, mac, GUEST, HOST, 2000, 69, ack, 4);
        g_free(m);
        if (len < 516)
            return;
    }
}

Test(net, tftp_is_the_same_each_time)
{
    char *dir = g_dir_make_tmp("ferry-tftp-XXXXXX", NULL);
    char *file = g_build_filename(dir, "hello.txt", NULL);
    char *opts = g_strdup_printf("user,id=n0,tftp=%s", dir);
    char contents[2000], *log = NULL;
    for (unsigned i = 0; i < sizeof(contents); i++)
        contents[i] = (char)('a' + i % 26);
    cr_assert(g_file_set_contents(file, contents, sizeof(contents), NULL));
    for (int run = 0; run < 2; run++) {
        struct guest g;
        GString *got = g_string_new(NULL);
        guest_new(&g, opts);
        fetch_by_tftp(&g, got);
        cr_assert_eq(got->len, sizeof(contents));
        cr_assert_eq(memcmp(got->str, contents, got->len), 0);
        run_for(&g, 700 * NS_PER_S); // router advertisements, too
        if (run == 0)
            log = g_strdup(g.log->str);
        else
            cr_assert_str_eq(g.log->str, log);
        g_string_free(got, TRUE);
        guest_free(&g);
    }
    unlink(file);
    rmdir(dir);
    g_free(log);
    g_free(opts);
    g_free(file);
    g_free(dir);
}

// --- The host's side ---

static uint16_t free_port(int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, type, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    close(fd);
    return ntohs(a.sin_port);
}

static int connect_to(int type, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

Test(net, udp_through_a_forwarded_port, .timeout = 30)
{
    struct guest g;
    uint16_t port = free_port(SOCK_DGRAM);
    char *opts = g_strdup_printf("user,id=n0,hostfwd=udp:127.0.0.1:%u-:7", port);
    uint8_t mac[6], *m = NULL;
    size_t len;
    char buf[16] = {0};
    guest_new(&g, opts);
    configure(&g);
    send_arp(&g, HOST);
    run_for(&g, 1000000);
    cr_assert(take_arp_reply(&g, HOST, mac));
    cr_assert_not(poller_expects_input(g.p));
    int fd = connect_to(SOCK_DGRAM, port);
    cr_assert_eq(send(fd, "ping", 4, 0), 4);
    for (int i = 0; i < 100 && !m; i++) {
        poller_wait(g.p, 10);
        run_for(&g, 1000000);
        m = take_udp(&g, 7, &len);
    }
    cr_assert_not_null(m);
    cr_assert_eq(len, 4);
    cr_assert_eq(memcmp(m, "ping", 4), 0);
    // The log's last frame says from which port it came.
    size_t at = strlen(g.log->str) - 1;
    while (at && g.log->str[at - 1] != '\n')
        at--;
    const char *hex = strchr(g.log->str + at, ':') + 1;
    char from[5] = {0};
    memcpy(from, hex + 2 * (ETHER + IP), 4);
    send_udp(&g, mac, GUEST, HOST, 7, (uint16_t)strtoul(from, NULL, 16), "pong", 4);
    run_for(&g, 1000000);
    cr_assert_eq(recv(fd, buf, sizeof(buf), 0), 4);
    cr_assert_str_eq(buf, "pong");
    close(fd);
    g_free(m);
    g_free(opts);
    guest_free(&g);
}

// A connection from the host: the guest sees a SYN, and refuses it.
Test(net, tcp_through_a_forwarded_port, .timeout = 30)
{
    struct guest g;
    uint16_t port = free_port(SOCK_STREAM);
    char *rule = g_strdup_printf("tcp:127.0.0.1:%u-10.0.2.15:22", port);
    char *opts = g_strdup_printf("user,id=n0,hostfwd=%s", rule);
    guest_new(&g, opts);
    configure(&g);
    int fd = connect_to(SOCK_STREAM, port);
    bool seen = false;
    for (int i = 0; i < 100 && !seen; i++) {
        poller_wait(g.p, 10);
        run_for(&g, 1000000);
        for (unsigned n = 0; n < g.frames->len; n++) {
            size_t len;
            const uint8_t *f = frame_at(&g, n, &len);
            seen |= load_be(f + 12, 2) == 0x0800 && f[ETHER + 9] == IPPROTO_TCP &&
                    load_be(f + ETHER + IP + 2, 2) == 22 && f[ETHER + IP + 13] == 2;
        }
    }
    cr_assert(seen);
    char *info = netdev_info(g.net);
    cr_assert_not_null(strstr(info, "HOST_FORWARD"));
    cr_assert(netdev_hostfwd_add(g.net, "tcp:127.0.0.1:0-:23", NULL));
    *strchr(rule, '-') = 0;
    cr_assert(netdev_hostfwd_remove(g.net, rule, NULL));
    GError *error = NULL;
    cr_assert_not(netdev_hostfwd_remove(g.net, rule, &error));
    cr_assert_not_null(strstr(error->message, "no such rule"));
    g_clear_error(&error);
    cr_assert_not(netdev_hostfwd_add(g.net, "tcp:nonsense", &error));
    cr_assert_not_null(strstr(error->message, "expected [tcp|udp]:"));
    g_clear_error(&error);
    close(fd);
    g_free(info);
    g_free(rule);
    g_free(opts);
    guest_free(&g);
}

static void send_syn(struct guest *g, const uint8_t *mac, uint32_t to, uint16_t port)
{
    uint8_t f[ETHER + IP + 20] = {0}, pseudo[12 + 20] = {0}, *ip = f + ETHER, *tcp = ip + IP;
    put_ether(f, mac, 0x0800);
    ip[0] = 0x45;
    store_be(ip + 2, 2, IP + 20);
    ip[8] = 64;
    ip[9] = IPPROTO_TCP;
    store_be(ip + 12, 4, GUEST);
    store_be(ip + 16, 4, to);
    store_be(ip + 10, 2, checksum(ip, IP));
    store_be(tcp, 2, 1234);
    store_be(tcp + 2, 2, port);
    store_be(tcp + 4, 4, 1000);
    store_be(tcp + 12, 2, 5 << 12 | 2);
    store_be(tcp + 14, 2, 8192);
    memcpy(pseudo, ip + 12, 8);
    pseudo[9] = IPPROTO_TCP;
    pseudo[11] = 20;
    memcpy(pseudo + 12, tcp, 20);
    store_be(tcp + 16, 2, checksum(pseudo, sizeof(pseudo)));
    netdev_send(g->net, f, sizeof(f));
}

// The flags of the TCP packets that came, or'ed.
static unsigned tcp_flags(struct guest *g)
{
    unsigned flags = 0;
    for (unsigned n = 0; n < g->frames->len; n++) {
        size_t len;
        const uint8_t *f = frame_at(g, n, &len);
        if (load_be(f + 12, 2) == 0x0800 && f[ETHER + 9] == IPPROTO_TCP)
            flags |= f[ETHER + IP + 13];
    }
    return flags;
}

Test(net, tcp_to_the_host, .timeout = 30)
{
    struct guest g;
    uint8_t mac[6];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)) | listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    guest_new(&g, "user,id=n0");
    configure(&g);
    send_arp(&g, HOST);
    run_for(&g, 1000000);
    cr_assert(take_arp_reply(&g, HOST, mac));
    cr_assert_not(poller_expects_input(g.p));
    send_syn(&g, mac, HOST, ntohs(a.sin_port));
    poller_wait(g.p, 0);
    cr_assert(poller_expects_input(g.p)); // while it is connecting
    for (int i = 0; i < 100 && !tcp_flags(&g); i++) {
        poller_wait(g.p, 10);
        run_for(&g, 1000000);
    }
    cr_assert_eq(tcp_flags(&g), 0x12); // SYN, ACK
    close(fd);
    guest_free(&g);
}

// --- Queueing ---

Test(net, frames_wait_for_buffers)
{
    struct guest g;
    uint8_t mac[6];
    guest_new(&g, "user,id=n0");
    g.busy = true;
    send_arp(&g, HOST);
    run_for(&g, 1000000);
    cr_assert_eq(g.frames->len, 0);
    g.busy = false;
    netdev_accept_input(g.net);
    cr_assert_eq(g.frames->len, 0);
    run_for(&g, 1);
    cr_assert(take_arp_reply(&g, HOST, mac));
    guest_free(&g);
}

Test(net, unread_frames_are_bounded)
{
    struct guest g;
    guest_new(&g, "user,id=n0");
    g.busy = true;
    for (int i = 0; i < 3000; i++)
        send_arp(&g, HOST);
    run_for(&g, 1000000);
    cr_assert_gt(netdev_get_stats(g.net)->rx_dropped, 1000);
    guest_free(&g);
}

Test(net, any_frame_is_survived)
{
    struct guest g;
    uint8_t frame[1600];
    uint64_t seed = 1;
    guest_new(&g, "user,id=n0,restrict=on");
    for (int i = 0; i < 3000; i++) {
        for (size_t n = 0; n < sizeof(frame); n++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            frame[n] = (uint8_t)(seed >> 40);
        }
        put_ether(frame, i % 2 ? broadcast_mac : our_mac, i % 3 ? 0x0800 : i % 2 ? 0x0806 : 0x86dd);
        if (i % 5 == 0)
            frame[14] = 0x45;
        netdev_send(g.net, frame, 14 + seed % 1500);
    }
    run_for(&g, NS_PER_S);
    guest_free(&g);
}

// --- Options ---

static void expect_refused(const char *opts, const char *part)
{
    GError *error = NULL;
    struct poller *p = poller_new();
    struct netdev *net = try_open(p, opts, &error);
    cr_assert_null(net, "%s was accepted", opts);
    cr_assert_not_null(strstr(error->message, part), "%s: %s", opts, error->message);
    g_error_free(error);
    poller_free(p);
}

Test(net, mistakes_are_named)
{
    expect_refused("", "-netdev: type: missing");
    expect_refused("tap,id=n", "there is no 'tap'");
    expect_refused("user", "-netdev: id: missing");
    expect_refused("user,id=n,foo=1", "unknown option 'foo'");
    expect_refused("user,id=n,hostfwd=tcp:22", "'tcp:22' is not [tcp|udp]:");
    expect_refused("user,id=n,hostfwd=sctp::1-:2", "hostfwd");
    expect_refused("user,id=n,hostfwd=tcp::70000-:2", "hostfwd");
    expect_refused("user,id=n,hostfwd=tcp::1-:0", "hostfwd");
    expect_refused("user,id=n,hostfwd=tcp:1.2.3:1-:1", "hostfwd");
    expect_refused("user,id=n,guestfwd=tcp:10.0.2.100:1-cmd:x", "guestfwd: not supported");
    expect_refused("user,id=n,smb=/tmp", "smb: not supported");
    expect_refused("user,id=n,net=", "net: '' is no ADDR/BITS");
    expect_refused("user,id=n,ipv6-net=", "ipv6-net: '' is no PREFIX/BITS");
    expect_refused("user,id=n,net=10.0.2.0/33", "net: '10.0.2.0/33'");
    expect_refused("user,id=n,net=10.0.2.0/255.0.255.0", "net:");
    expect_refused("user,id=n,host=10.0.3.2", "host: is no address in the network");
    expect_refused("user,id=n,dns=10.0.2.2", "dns: is the host's address");
    expect_refused("user,id=n,dhcpstart=x", "dhcpstart: 'x' is no IPv4 address");
    expect_refused("user,id=n,tftp=/nonexistent", "tftp: /nonexistent is not a folder");
    expect_refused("user,id=n,ipv4=off,ipv6=off", "nothing is left");
    expect_refused("user,id=n,ipv6-net=zzz", "ipv6-net");
}

Test(net, a_taken_port_is_an_error)
{
    struct guest g = {.p = poller_new(), .clock = clock_new(), .door = door_new(1)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    GError *error = NULL;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)) | listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    char *opts = g_strdup_printf("user,id=n0,hostfwd=tcp:127.0.0.1:%u-:22", ntohs(a.sin_port));
    g.net = try_open(g.p, opts, NULL);
    cr_assert_not_null(g.net);
    cr_assert_not(try_attach(&g, &error));
    cr_assert_not_null(strstr(error->message, "netdev n0: hostfwd=tcp:127.0.0.1:"));
    cr_assert_not_null(strstr(error->message, "in use"), "%s", error->message);
    g_clear_error(&error);
    close(fd);
    cr_assert(try_attach(&g, &error));
    cr_assert_not(try_attach(&g, &error));
    cr_assert_not_null(strstr(error->message, "belongs to nic0 already"));
    g_error_free(error);
    netdev_close(g.net);
    clock_free(g.clock);
    door_free(g.door);
    poller_free(g.p);
    g_free(opts);
}
