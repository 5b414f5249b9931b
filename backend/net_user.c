// SPDX-License-Identifier: MIT
// User-mode network: a small network of its own behind the emulator, by libslirp, which turns the guest's
// connections into the user's own.
//
// The library is loaded when the first such network is opened. Its time is the guest's, and so are its timers:
// what it answers by itself (ARP, DHCP, TFTP) is the same in each run. Its sockets are polled between slices.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/net_impl.h"
#include "base/bits.h"
#include "base/log.h"

#define NS_PER_MS UINT64_C(1000000)
// libslirp wants to send router advertisements at random intervals; ours is fixed, since runs are to be alike.
#define ADVERTISE_NS (300 * NS_PER_S)
#define IDLE_MS      1000 // what libslirp asks for when it waits for nothing

struct slirp_lib {
    void *handle;
    typeof(slirp_new) *create;
    typeof(slirp_cleanup) *cleanup;
    typeof(slirp_pollfds_fill) *fill;
    typeof(slirp_pollfds_poll) *poll;
    typeof(slirp_input) *input;
    typeof(slirp_add_hostfwd) *add_hostfwd;
    typeof(slirp_remove_hostfwd) *remove_hostfwd;
    typeof(slirp_connection_info) *connection_info;
};

struct netdev_user {
    struct netdev net;
    struct slirp_lib lib;
    SlirpConfig cfg;    // strings are owned
    GPtrArray *rules;   // of char *, as given: hostfwd=
    Slirp *slirp;       // NULL: no machine yet
    GArray *fds;        // of int: polled in this round
    unsigned udp_rules; // forwarded UDP ports: sockets that are open for good
    GPtrArray *lessons; // of GByteArray: see lessons()
    bool deaf;          // to what libslirp answers
};

static struct netdev_user *user_of(struct netdev *net)
{
    return (struct netdev_user *)net;
}

// --- The library ---

static bool load_library(struct slirp_lib *lib, GError **error)
{
    const struct {
        const char *name;
        void **at;
    } symbols[] = {
        {"slirp_new", (void **)&lib->create},
        {"slirp_cleanup", (void **)&lib->cleanup},
        {"slirp_pollfds_fill", (void **)&lib->fill},
        {"slirp_pollfds_poll", (void **)&lib->poll},
        {"slirp_input", (void **)&lib->input},
        {"slirp_add_hostfwd", (void **)&lib->add_hostfwd},
        {"slirp_remove_hostfwd", (void **)&lib->remove_hostfwd},
        {"slirp_connection_info", (void **)&lib->connection_info},
    };
    lib->handle = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib->handle) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                    "user-mode network needs libslirp.so.0 (Debian: apt-get install libslirp0): %s",
                    dlerror());
        return false;
    }
    for (unsigned i = 0; i < ARRAY_LEN(symbols); i++) {
        *symbols[i].at = dlsym(lib->handle, symbols[i].name);
        if (!*symbols[i].at) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                        "libslirp.so.0 is too old: it has no %s", symbols[i].name);
            return false;
        }
    }
    return true;
}

// --- What libslirp calls ---

static ssize_t on_packet(const void *buf, size_t len, void *opaque)
{
    if (!user_of(opaque)->deaf)
        netdev_receive(opaque, buf, len);
    return (ssize_t)len;
}

static void on_guest_error(const char *msg, void *opaque)
{
    struct netdev *net = opaque;
    log_guest("netdev %s: %s\n", net->id, msg);
}

static int64_t on_clock(void *opaque)
{
    struct netdev *net = opaque;
    return (int64_t)clock_now(net->front.clock);
}

struct slirp_timer {
    struct timer t;
    SlirpTimerCb cb;
    void *opaque;
};

static void timer_fired(void *opaque)
{
    struct slirp_timer *st = opaque;
    st->cb(st->opaque);
}

static void *on_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    struct netdev *net = opaque;
    struct slirp_timer *st = g_new0(struct slirp_timer, 1);
    st->cb = cb;
    st->opaque = cb_opaque;
    clock_register_outside(net->front.clock, &st->t, timer_fired, st);
    return st;
}

static void on_timer_free(void *timer, void *opaque)
{
    struct netdev *net = opaque;
    struct slirp_timer *st = timer;
    clock_unregister(net->front.clock, &st->t);
    g_free(st);
}

static void on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct netdev *net = opaque;
    struct slirp_timer *st = timer;
    (void)expire_ms;
    clock_at(net->front.clock, &st->t, clock_now(net->front.clock) + ADVERTISE_NS);
}

static void on_poll_fd(int fd, void *opaque)
{
    (void)fd; // descriptors are asked for each round
    (void)opaque;
}

static void on_notify(void *opaque)
{
    poller_attention(((struct netdev *)opaque)->p);
}

static const SlirpCb callbacks = {
    .send_packet = on_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_poll_fd,
    .unregister_poll_fd = on_poll_fd,
    .notify = on_notify,
};

// --- Rounds of the poller ---

static const struct {
    int slirp;
    short poll;
} events[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static int add_poll(int fd, int wanted, void *opaque)
{
    struct netdev_user *u = opaque;
    short mask = 0;
    for (unsigned i = 0; i < ARRAY_LEN(events); i++)
        if (wanted & events[i].slirp)
            mask |= events[i].poll;
    g_array_append_val(u->fds, fd);
    return poller_round_add(u->net.p, fd, mask);
}

static int get_revents(int index, void *opaque)
{
    struct netdev_user *u = opaque;
    short got = poller_round_revents(u->net.p, index);
    int mask = 0;
    for (unsigned i = 0; i < ARRAY_LEN(events); i++)
        if (got & events[i].poll)
            mask |= events[i].slirp;
    return mask;
}

static void prepare(void *opaque, int *timeout_ms)
{
    struct netdev_user *u = opaque;
    uint32_t guest_ms = UINT32_MAX;
    (void)timeout_ms; // libslirp's own is in guest time
    g_array_set_size(u->fds, 0);
    if (door_is_replaying(u->net.front.door))
        return; // this guest is in the past
    u->lib.fill(u->slirp, &guest_ms, add_poll, u);
    if (guest_ms < IDLE_MS)
        netdev_tick_at(&u->net, clock_now(u->net.front.clock) + (uint64_t)guest_ms * NS_PER_MS);
}

static void done(void *opaque)
{
    struct netdev_user *u = opaque;
    if (u->fds->len)
        u->lib.poll(u->slirp, 0, get_revents, u);
}

static bool is_listener(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value;
}

// An open connection, that is: any socket but those of forwarded ports.
static bool expects(void *opaque)
{
    struct netdev_user *u = opaque;
    unsigned open = 0;
    for (unsigned i = 0; i < u->fds->len; i++)
        if (!is_listener(g_array_index(u->fds, int, i)))
            open++;
    return open > u->udp_rules;
}

// Retransmissions, and what waited for the guest's address.
static void user_tick(struct netdev *net)
{
    struct netdev_user *u = user_of(net);
    u->lib.poll(u->slirp, 1, get_revents, u);
}

// --- What libslirp learns of the guest ---
//
// Its tables of neighbours and leases are made from a few frames of the guest: announcements and questions of ARP and
// of IPv6's neighbour discovery, requests of DHCP. They are kept, so that another instance can learn the same.

#define LESSONS_MAX 32

static bool is_lesson(const uint8_t *f, size_t len)
{
    enum { IPV4 = 0x0800, ARP = 0x0806, IPV6 = 0x86dd, UDP = 17, ICMP6 = 58 };
    enum { BOOTP_CLIENT = 68, SOLICITS = 135, ADVERTISES = 136 };
    if (len < 62)
        return len >= 42 && load_be(f + 12, 2) == ARP;
    switch (load_be(f + 12, 2)) {
    case ARP:
        return true;
    case IPV4: // without options, as DHCP clients send
        return f[14] == 0x45 && f[23] == UDP && load_be(f + 34, 2) == BOOTP_CLIENT;
    case IPV6:
        return f[20] == ICMP6 && (f[54] == SOLICITS || f[54] == ADVERTISES);
    }
    return false;
}

// The latest ones, each once.
static void note_lesson(struct netdev_user *u, const uint8_t *frame, size_t len)
{
    for (unsigned i = 0; i < u->lessons->len; i++) {
        const GByteArray *old = u->lessons->pdata[i];
        if (old->len == len && !memcmp(old->data, frame, len)) {
            g_ptr_array_remove_index(u->lessons, i);
            break;
        }
    }
    if (u->lessons->len == LESSONS_MAX)
        g_ptr_array_remove_index(u->lessons, 0);
    GByteArray *lesson = g_byte_array_sized_new((guint)len);
    g_ptr_array_add(u->lessons, g_byte_array_append(lesson, frame, (guint)len));
}

static const GPtrArray *user_lessons(struct netdev *net)
{
    return user_of(net)->lessons;
}

static void user_teach(struct netdev *net, const uint8_t *frame, size_t len)
{
    struct netdev_user *u = user_of(net);
    if (!is_lesson(frame, len))
        return;
    note_lesson(u, frame, len);
    u->deaf = true;
    u->lib.input(u->slirp, frame, (int)len);
    u->deaf = false;
}

static void user_send(struct netdev *net, const uint8_t *frame, size_t len)
{
    struct netdev_user *u = user_of(net);
    if (is_lesson(frame, len))
        note_lesson(u, frame, len);
    u->lib.input(u->slirp, frame, (int)len);
    netdev_tick_at(net, clock_now(net->front.clock) + NETDEV_DELAY_NS);
}

// --- Forwarded ports ---

struct rule {
    bool udp;
    struct in_addr host, guest;
    unsigned host_port, guest_port;
};

static bool parse_port(const char *text, unsigned min, unsigned *port)
{
    uint64_t value;
    *port = 0;
    if (!parse_u64(text, &value) || value < min || value > 65535)
        return false;
    *port = (unsigned)value;
    return true;
}

// "[ADDR]:PORT"; an address left out is 0.0.0.0.
static bool parse_end(const char *text, unsigned min, struct in_addr *addr, unsigned *port)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    char *host = g_strndup(text, (gsize)(colon - text));
    addr->s_addr = INADDR_ANY;
    bool ok = (!*host || inet_pton(AF_INET, host, addr) == 1) && parse_port(colon + 1, min, port);
    g_free(host);
    return ok;
}

// "[tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT"; to remove one, the part up to HOSTPORT.
static bool parse_rule(const char *text, bool whole, struct rule *r)
{
    static const char *const protocols[] = {"tcp:", "udp:", ":"};
    char **ends;
    *r = (struct rule){0};
    for (unsigned i = 0; i < ARRAY_LEN(protocols); i++) {
        if (!g_str_has_prefix(text, protocols[i]))
            continue;
        r->udp = protocols[i][0] == 'u';
        ends = g_strsplit(text + strlen(protocols[i]), "-", 2);
        bool ok = ends[0] && parse_end(ends[0], 0, &r->host, &r->host_port) &&
                  (whole ? ends[1] && parse_end(ends[1], 1, &r->guest, &r->guest_port) : !ends[1]);
        g_strfreev(ends);
        return ok;
    }
    return false;
}

static bool refuse_rule(const char *text, const char *cause, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "hostfwd=%s: %s", text, cause);
    return false;
}

static bool add_rule(struct netdev_user *u, const char *text, GError **error)
{
    struct rule r;
    parse_rule(text, true, &r); // it was checked when it came
    if (u->lib.add_hostfwd(u->slirp, r.udp, r.host, (int)r.host_port, r.guest, (int)r.guest_port) <
        0)
        return refuse_rule(text, g_strerror(errno), error);
    u->udp_rules += r.udp;
    return true;
}

static bool remove_rule(struct netdev_user *u, const char *text, GError **error)
{
    struct rule r;
    parse_rule(text, false, &r);
    if (u->lib.remove_hostfwd(u->slirp, r.udp, r.host, (int)r.host_port) < 0)
        return refuse_rule(text, "there is no such rule", error);
    u->udp_rules -= r.udp;
    return true;
}

static bool user_hostfwd(struct netdev *net, const char *text, bool add, GError **error)
{
    struct rule r;
    if (!parse_rule(text, add, &r))
        return refuse_rule(text,
                           add ? "expected [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT"
                               : "expected [tcp|udp]:[HOSTADDR]:HOSTPORT",
                           error);
    return add ? add_rule(user_of(net), text, error) : remove_rule(user_of(net), text, error);
}

static char *user_info(struct netdev *net)
{
    struct netdev_user *u = user_of(net);
    char *theirs = u->lib.connection_info(u->slirp);
    char *text = g_strdup_printf("%s:\n%s", net->id, theirs);
    g_free(theirs);
    return text;
}

// --- Options ---

static struct in_addr read_in4(struct options *o, const char *key, uint32_t def)
{
    const char *text = options_str(o, key);
    struct in_addr addr = {htonl(def)};
    if (text && inet_pton(AF_INET, text, &addr) != 1)
        options_fail(o, key, "'%s' is no IPv4 address", text);
    return addr;
}

static struct in6_addr read_in6(struct options *o, const char *key, const char *def)
{
    const char *text = options_str(o, key);
    struct in6_addr addr;
    if (inet_pton(AF_INET6, text ? text : def, &addr) != 1) {
        options_fail(o, key, "'%s' is no IPv6 address", text ? text : def);
        memset(&addr, 0, sizeof(addr));
    }
    return addr;
}

// Ones, then zeros, of which there are four at least.
static bool mask_ok(uint32_t mask)
{
    return mask && (mask & 0xf) == 0 && (~mask & (~mask + 1)) == 0;
}

// "ADDR/BITS", or "ADDR/MASK", or "ADDR", which is one of 256 addresses.
static void read_net(struct options *o, uint32_t *net, uint32_t *mask)
{
    const char *text = options_str(o, "net");
    char **parts = g_strsplit(text ? text : "10.0.2.0/24", "/", 2);
    struct in_addr addr = {0}, m = {htonl(0xffffff00)};
    uint64_t bits;
    bool ok = parts[0] && inet_pton(AF_INET, parts[0], &addr) == 1; // nothing splits into nothing
    if (ok && parts[1] && parse_u64(parts[1], &bits) && bits >= 1 && bits <= 28)
        m.s_addr = htonl(UINT32_MAX << (32 - bits));
    else if (ok && parts[1])
        ok = inet_pton(AF_INET, parts[1], &m) == 1 && mask_ok(ntohl(m.s_addr));
    if (!ok)
        options_fail(o, "net", "'%s' is no ADDR/BITS with 1 to 28 bits", text);
    *net = ntohl(addr.s_addr) & ntohl(m.s_addr);
    *mask = ntohl(m.s_addr);
    g_strfreev(parts);
}

static void check_inside(struct options *o, const char *key, struct in_addr addr, uint32_t net,
                         uint32_t mask)
{
    uint32_t a = ntohl(addr.s_addr);
    if ((a & mask) != net || a == net || a == (net | ~mask))
        options_fail(o, key, "is no address in the network");
}

static void read_ipv4(struct options *o, SlirpConfig *cfg)
{
    uint32_t net, mask;
    read_net(o, &net, &mask);
    cfg->vnetwork.s_addr = htonl(net);
    cfg->vnetmask.s_addr = htonl(mask);
    cfg->vhost = read_in4(o, "host", net | 2);
    cfg->vnameserver = read_in4(o, "dns", net | 3);
    cfg->vdhcp_start = read_in4(o, "dhcpstart", net | 15);
    check_inside(o, "host", cfg->vhost, net, mask);
    check_inside(o, "dns", cfg->vnameserver, net, mask);
    check_inside(o, "dhcpstart", cfg->vdhcp_start, net, mask);
    if (cfg->vhost.s_addr == cfg->vnameserver.s_addr)
        options_fail(o, "dns", "is the host's address, too");
}

static void read_ipv6(struct options *o, SlirpConfig *cfg)
{
    const char *prefix = options_str(o, "ipv6-prefix");
    const char *text = prefix ? prefix : options_str(o, "ipv6-net");
    char **parts = g_strsplit(text ? text : "fec0::/64", "/", 2);
    uint64_t bits = options_u64(o, "ipv6-prefixlen", 64, 126);
    if (!parts[0] || inet_pton(AF_INET6, parts[0], &cfg->vprefix_addr6) != 1 ||
        (parts[1] && (!parse_u64(parts[1], &bits) || bits > 126)))
        options_fail(o, "ipv6-net", "'%s' is no PREFIX/BITS", text);
    char host[INET6_ADDRSTRLEN + 1] = "", dns[INET6_ADDRSTRLEN + 1] = "";
    struct in6_addr addr = cfg->vprefix_addr6;
    addr.s6_addr[15] |= 2;
    inet_ntop(AF_INET6, &addr, host, sizeof(host));
    addr = cfg->vprefix_addr6;
    addr.s6_addr[15] |= 3;
    inet_ntop(AF_INET6, &addr, dns, sizeof(dns));
    cfg->vprefix_len = (uint8_t)bits;
    cfg->vhost6 = read_in6(o, "ipv6-host", host);
    cfg->vnameserver6 = read_in6(o, "ipv6-dns", dns);
    g_strfreev(parts);
}

static void read_names(struct options *o, SlirpConfig *cfg)
{
    const char **search = options_list(o, "dnssearch");
    cfg->vhostname = g_strdup(options_str(o, "hostname"));
    cfg->vdomainname = g_strdup(options_str(o, "domainname"));
    cfg->tftp_path = g_strdup(options_str(o, "tftp"));
    cfg->tftp_server_name = g_strdup(options_str(o, "tftp-server-name"));
    cfg->bootfile = g_strdup(options_str(o, "bootfile"));
    cfg->vdnssearch = search[0] ? (const char **)g_strdupv((char **)search) : NULL;
    if (cfg->tftp_path && !g_file_test(cfg->tftp_path, G_FILE_TEST_IS_DIR))
        options_fail(o, "tftp", "%s is not a folder", cfg->tftp_path);
    if (cfg->bootfile && strlen(cfg->bootfile) > 127)
        options_fail(o, "bootfile", "longer than 127 bytes");
    if (cfg->vhostname && strlen(cfg->vhostname) > 32)
        options_fail(o, "hostname", "longer than 32 bytes");
    g_free(search);
}

static void read_rules(struct netdev_user *u, struct options *o)
{
    const char **rules = options_list(o, "hostfwd");
    for (unsigned i = 0; rules[i]; i++) {
        struct rule r;
        if (!parse_rule(rules[i], true, &r))
            options_fail(o, "hostfwd",
                         "'%s' is not [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT",
                         rules[i]);
        g_ptr_array_add(u->rules, g_strdup(rules[i]));
    }
    g_free(rules);
}

static void refuse_missing(struct options *o)
{
    static const char *const keys[] = {"guestfwd", "smb", "smbserver"};
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        if (options_has(o, keys[i]))
            options_fail(o, keys[i], "not supported");
}

static bool user_open(struct netdev *net, struct options *o, GError **error)
{
    struct netdev_user *u = user_of(net);
    SlirpConfig *cfg = &u->cfg;
    u->rules = g_ptr_array_new_with_free_func(g_free);
    u->fds = g_array_new(FALSE, FALSE, sizeof(int));
    u->lessons = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    cfg->version = 1;
    cfg->restricted = options_bool(o, "restrict", false);
    cfg->in_enabled = options_bool(o, "ipv4", true);
    cfg->in6_enabled = options_bool(o, "ipv6", true);
    if (!cfg->in_enabled && !cfg->in6_enabled)
        options_fail(o, "ipv4", "with ipv6=off too, nothing is left");
    read_ipv4(o, cfg);
    read_ipv6(o, cfg);
    read_names(o, cfg);
    read_rules(u, o);
    refuse_missing(o);
    return options_done(o, error) && load_library(&u->lib, error);
}

// --- Life ---

static bool user_start(struct netdev *net, GError **error)
{
    struct netdev_user *u = user_of(net);
    u->slirp = u->lib.create(&u->cfg, &callbacks, u);
    if (!u->slirp) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "libslirp refuses these options");
        return false;
    }
    struct poll_hook hook = {.prepare = prepare, .done = done, .expects = expects, .opaque = u};
    poller_add_hook(net->p, &hook);
    for (unsigned i = 0; i < u->rules->len; i++)
        if (!add_rule(u, g_ptr_array_index(u->rules, i), error))
            return false;
    return true;
}

static void user_stop(struct netdev *net)
{
    struct netdev_user *u = user_of(net);
    if (!u->slirp)
        return;
    poller_remove_hook(net->p, u);
    u->lib.cleanup(u->slirp);
    u->slirp = NULL;
    u->udp_rules = 0;
    g_ptr_array_set_size(u->lessons, 0);
}

// Ports have one owner.
static void user_forked(struct netdev *net)
{
    struct netdev_user *u = user_of(net);
    g_ptr_array_set_size(u->rules, 0);
    g_array_set_size(u->fds, 0);
}

static void user_close(struct netdev *net)
{
    struct netdev_user *u = user_of(net);
    const char *strings[] = {u->cfg.vhostname, u->cfg.vdomainname, u->cfg.tftp_path,
                             u->cfg.tftp_server_name, u->cfg.bootfile};
    for (unsigned i = 0; i < ARRAY_LEN(strings); i++)
        g_free((char *)strings[i]);
    g_strfreev((char **)u->cfg.vdnssearch);
    g_ptr_array_free(u->rules, TRUE);
    g_array_free(u->fds, TRUE);
    g_ptr_array_free(u->lessons, TRUE);
    if (u->lib.handle)
        dlclose(u->lib.handle);
}

const struct netdev_class netdev_user_class = {
    .kind = "user",
    .help = "a network of its own behind the emulator (net=,host=,dns=,dhcpstart=,hostname=,tftp=,"
            "bootfile=,restrict=,hostfwd=,ipv4=,ipv6=)",
    .size = sizeof(struct netdev_user),
    .open = user_open,
    .close = user_close,
    .start = user_start,
    .stop = user_stop,
    .forked = user_forked,
    .send = user_send,
    .tick = user_tick,
    .hostfwd = user_hostfwd,
    .info = user_info,
    .lessons = user_lessons,
    .teach = user_teach,
};
