// SPDX-License-Identifier: MIT
// Virtio network device: chapter 5.1 of Virtio 1.2. One pair of queues and the control queue; no offloads.
#include <stdio.h>

#include "backend/net.h"
#include "base/bits.h"
#include "hw/virtio.h"

#define MAC_LEN   6
#define MACS_MAX  64
#define VLANS     4096
#define FRAME_MIN 14    // Ethernet header
#define FRAME_MAX 65550 // what a guest may send at once

enum { RX = 0, TX = 1, CTRL = 2, QUEUES = 3 };

enum feature {
    F_MAC = 5,
    F_MRG_RXBUF = 15,
    F_STATUS = 16,
    F_CTRL_VQ = 17,
    F_CTRL_RX = 18,
    F_CTRL_VLAN = 19,
    F_CTRL_RX_EXTRA = 20,
    F_CTRL_MAC_ADDR = 23
};

enum config { CONFIG_MAC = 0, STATUS = 6, CONFIG_SIZE = 12 };
#define STATUS_LINK_UP 1

enum header { FLAGS = 0, GSO_TYPE = 1, NUM_BUFFERS = 10, HEADER_SHORT = 10, HEADER_LONG = 12 };

enum control_class { CTRL_RX, CTRL_MAC, CTRL_VLAN };
enum control_mac { MAC_TABLE_SET, MAC_ADDR_SET };
enum control_vlan { VLAN_ADD, VLAN_DEL };
#define CONTROL_MAX (2 + 2 * (4 + MACS_MAX * MAC_LEN)) // bytes of a command

// What CTRL_RX switches, by command.
enum rx_mode { PROMISC, ALLMULTI, ALLUNI, NOMULTI, NOUNI, NOBCAST, RX_MODES };

struct virtio_net {
    struct virtio_device v;
    struct netdev *net;
    char *mac; // property
    bool mrg_rxbuf, status, ctrl_vq;
    uint32_t bootindex; // accepted: there is no firmware that boots from it
    uint8_t permanent[MAC_LEN];
    struct virtio_net_state {
        struct virtio_state core;
        struct virtio_queue_state queues[QUEUES];
        uint8_t mac[MAC_LEN];
        uint8_t modes[RX_MODES];                      // by enum rx_mode
        uint8_t nr_unicast, nr_macs;                  // the first of macs[] are unicast addresses
        uint8_t too_many_unicast, too_many_multicast; // the driver has more than fit: take all
        uint8_t macs[MACS_MAX * MAC_LEN];
        uint8_t vlans[VLANS / 8]; // a bit for each that is wanted
    } s;
};

static const struct state_field fields[] = {
    STATE_SUB(struct virtio_net, s.core, virtio_state_fields),
    STATE_SUB_ARRAY(struct virtio_net, s.queues, virtio_queue_fields),
    STATE_BUF(struct virtio_net, s.mac),
    STATE_ARRAY(struct virtio_net, s.modes),
    STATE_VAR(struct virtio_net, s.nr_unicast),
    STATE_VAR(struct virtio_net, s.nr_macs),
    STATE_VAR(struct virtio_net, s.too_many_unicast),
    STATE_VAR(struct virtio_net, s.too_many_multicast),
    STATE_BUF(struct virtio_net, s.macs),
    STATE_BUF(struct virtio_net, s.vlans),
    STATE_END,
};

static struct virtio_net *net_of(struct virtio_device *v)
{
    return (struct virtio_net *)v;
}

static size_t header_len(const struct virtio_net *n)
{
    bool is_long = virtio_has(&n->v, VIRTIO_F_VERSION_1) || virtio_has(&n->v, F_MRG_RXBUF);
    return is_long ? HEADER_LONG : HEADER_SHORT;
}

// --- From the guest ---

static void send_frame(struct virtio_net *n, const struct virtio_chain *c)
{
    uint8_t header[HEADER_LONG], *frame;
    size_t skip = header_len(n), len = c->out_len - MIN(c->out_len, skip);
    if (len < FRAME_MIN || len > FRAME_MAX) {
        log_guest("%s: a frame of %zu bytes is not sent\n", n->v.dev.id, len);
        return;
    }
    if (virtio_read(&n->v, c, 0, header, skip) != skip)
        return;
    if (header[FLAGS] || header[GSO_TYPE]) {
        log_guest("%s: a frame that needs offloads is not sent\n", n->v.dev.id);
        return;
    }
    frame = g_malloc(len);
    if (virtio_read(&n->v, c, skip, frame, len) == len)
        netdev_send(n->net, frame, len);
    g_free(frame);
}

static void run_tx(struct virtio_net *n)
{
    struct virtio_chain c;
    while (virtio_pop(&n->v, TX, &c)) {
        send_frame(n, &c);
        virtio_push(&n->v, &c, 0);
    }
    virtio_notify(&n->v, TX);
}

// --- To the guest ---

static bool can_receive(void *opaque)
{
    const struct virtio_net *n = opaque;
    return virtio_is_live(&n->v) && virtio_has_request(&n->v, RX);
}

static bool in_table(const struct virtio_net *n, const uint8_t *mac, bool multicast)
{
    unsigned first = multicast ? n->s.nr_unicast : 0;
    unsigned end = multicast ? n->s.nr_macs : n->s.nr_unicast;
    for (unsigned i = first; i < end; i++)
        if (!memcmp(n->s.macs + i * MAC_LEN, mac, MAC_LEN))
            return true;
    return false;
}

static bool vlan_wanted(const struct virtio_net *n, const uint8_t *frame, size_t len)
{
    if (!virtio_has(&n->v, F_CTRL_VLAN) || len < 16 || load_be(frame + 12, 2) != 0x8100)
        return true;
    unsigned id = load_be(frame + 14, 2) & (VLANS - 1);
    return n->s.vlans[id / 8] >> (id % 8) & 1;
}

static bool wanted(const struct virtio_net *n, const uint8_t *frame, size_t len)
{
    static const uint8_t broadcast[MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t *modes = n->s.modes;
    if (modes[PROMISC])
        return true;
    if (!vlan_wanted(n, frame, len))
        return false;
    if (!memcmp(frame, broadcast, MAC_LEN))
        return !modes[NOBCAST];
    if (frame[0] & 1)
        return !modes[NOMULTI] &&
               (modes[ALLMULTI] || n->s.too_many_multicast || in_table(n, frame, true));
    return !modes[NOUNI] && (modes[ALLUNI] || n->s.too_many_unicast ||
                             !memcmp(frame, n->s.mac, MAC_LEN) || in_table(n, frame, false));
}

// Spreads header and frame over requests: one, or with mergeable buffers as many as it takes. Returns their
// number, or 0 if they are not enough, in which case they are given back.
static unsigned scatter(struct virtio_net *n, const uint8_t *data, size_t len)
{
    bool mergeable = virtio_has(&n->v, F_MRG_RXBUF);
    struct virtio_chain first, more, *c = &first;
    uint8_t count[2];
    unsigned nr = 0;
    size_t done = 0;
    while (done < len && (nr == 0 || mergeable) && virtio_pop(&n->v, RX, c)) {
        size_t part = virtio_write(&n->v, c, 0, data + done, MIN(len - done, c->in_len));
        virtio_fill(&n->v, c, (uint32_t)part, nr++);
        done += part;
        c = &more;
    }
    if (done < len) {
        virtio_unpop(&n->v, RX, nr);
        return 0;
    }
    store_le(count, 2, nr);
    if (header_len(n) == HEADER_LONG)
        virtio_write(&n->v, &first, NUM_BUFFERS, count, 2);
    return nr;
}

static void receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct virtio_net *n = opaque;
    size_t skip = header_len(n);
    if (!virtio_is_live(&n->v) || len < FRAME_MIN || !wanted(n, frame, len))
        return;
    uint8_t *data = g_malloc0(skip + len);
    memcpy(data + skip, frame, len);
    unsigned nr = scatter(n, data, skip + len);
    g_free(data);
    if (nr == 0) {
        log_guest("%s: its buffers have no room for %zu bytes\n", n->v.dev.id, len);
        return;
    }
    virtio_publish(&n->v, RX, nr);
    virtio_notify(&n->v, RX);
}

// --- Control ---

static bool set_mode(struct virtio_net *n, unsigned mode, const uint8_t *arg, size_t len)
{
    if (mode >= RX_MODES || len < 1)
        return false;
    n->s.modes[mode] = arg[0] != 0;
    return true;
}

// One of the two lists of MAC_TABLE_SET: a count and so many addresses. *at moves past it.
static bool take_macs(struct virtio_net *n, const uint8_t **at, size_t *len, uint8_t *too_many)
{
    if (*len < 4)
        return false;
    size_t count = load_le(*at, 4);
    if (count > (*len - 4) / MAC_LEN)
        return false;
    *too_many = count > (size_t)(MACS_MAX - n->s.nr_macs);
    if (!*too_many) {
        memcpy(n->s.macs + n->s.nr_macs * MAC_LEN, *at + 4, count * MAC_LEN);
        n->s.nr_macs = (uint8_t)(n->s.nr_macs + count);
    }
    *at += 4 + count * MAC_LEN;
    *len -= 4 + count * MAC_LEN;
    return true;
}

static void forget_macs(struct virtio_net *n)
{
    n->s.nr_unicast = n->s.nr_macs = 0;
    n->s.too_many_unicast = n->s.too_many_multicast = 0;
    memset(n->s.macs, 0, sizeof(n->s.macs));
}

static bool set_mac_table(struct virtio_net *n, const uint8_t *arg, size_t len)
{
    forget_macs(n);
    if (take_macs(n, &arg, &len, &n->s.too_many_unicast)) {
        n->s.nr_unicast = n->s.nr_macs;
        if (take_macs(n, &arg, &len, &n->s.too_many_multicast))
            return true;
    }
    forget_macs(n);
    return false;
}

static bool set_mac(struct virtio_net *n, unsigned command, const uint8_t *arg, size_t len)
{
    if (command == MAC_TABLE_SET)
        return set_mac_table(n, arg, len);
    if (command != MAC_ADDR_SET || len < MAC_LEN)
        return false;
    memcpy(n->s.mac, arg, MAC_LEN);
    return true;
}

static bool set_vlan(struct virtio_net *n, unsigned command, const uint8_t *arg, size_t len)
{
    if (command > VLAN_DEL || len < 2)
        return false;
    unsigned id = (unsigned)load_le(arg, 2);
    if (id >= VLANS)
        return false;
    uint8_t bit = (uint8_t)(1 << id % 8);
    if (command == VLAN_ADD)
        n->s.vlans[id / 8] |= bit;
    else
        n->s.vlans[id / 8] &= (uint8_t)~bit;
    return true;
}

static bool obey(struct virtio_net *n, const uint8_t *command, size_t len)
{
    if (len < 2)
        return false;
    switch (command[0]) {
    case CTRL_RX:
        return set_mode(n, command[1], command + 2, len - 2);
    case CTRL_MAC:
        return set_mac(n, command[1], command + 2, len - 2);
    case CTRL_VLAN:
        return set_vlan(n, command[1], command + 2, len - 2);
    default:
        return false;
    }
}

static void run_control(struct virtio_net *n)
{
    struct virtio_chain c;
    while (virtio_pop(&n->v, CTRL, &c)) {
        uint8_t command[CONTROL_MAX];
        size_t len = virtio_read(&n->v, &c, 0, command, MIN(c.out_len, sizeof(command)));
        uint8_t ack = !obey(n, command, len);
        virtio_push(&n->v, &c, (uint32_t)virtio_write(&n->v, &c, 0, &ack, 1));
    }
    virtio_notify(&n->v, CTRL);
}

static void run_queue(struct virtio_device *v, unsigned q)
{
    struct virtio_net *n = net_of(v);
    if (q == TX)
        run_tx(n);
    else if (q == CTRL)
        run_control(n);
    else
        netdev_accept_input(n->net);
}

// --- Configuration ---

static uint64_t offered(const struct virtio_device *v)
{
    const struct virtio_net *n = (const struct virtio_net *)v;
    uint64_t f = BIT(F_MAC);
    if (n->mrg_rxbuf)
        f |= BIT(F_MRG_RXBUF);
    if (n->status)
        f |= BIT(F_STATUS);
    if (n->ctrl_vq)
        f |= BIT(F_CTRL_VQ) | BIT(F_CTRL_RX) | BIT(F_CTRL_RX_EXTRA) | BIT(F_CTRL_VLAN) |
             BIT(F_CTRL_MAC_ADDR);
    return f;
}

static void get_config(struct virtio_device *v, uint8_t *config)
{
    memcpy(config + CONFIG_MAC, net_of(v)->s.mac, MAC_LEN);
    store_le(config + STATUS, 2, STATUS_LINK_UP);
}

// Drivers from before 1.0 write their address here.
static void set_config(struct virtio_device *v, const uint8_t *config)
{
    if (!virtio_has(v, VIRTIO_F_VERSION_1) && !virtio_has(v, F_CTRL_MAC_ADDR))
        memcpy(net_of(v)->s.mac, config + CONFIG_MAC, MAC_LEN);
}

// A driver that can't set filters gets everything.
static void net_reset(struct virtio_device *v)
{
    struct virtio_net *n = net_of(v);
    memcpy(n->s.mac, n->permanent, MAC_LEN);
    memset(n->s.modes, 0, sizeof(n->s.modes));
    n->s.modes[PROMISC] = 1;
    forget_macs(n);
    memset(n->s.vlans, 0, sizeof(n->s.vlans));
}

static const struct virtio_class vclass = {
    .id = VIRTIO_ID_NET,
    .config_size = CONFIG_SIZE,
    .features = offered,
    .get_config = get_config,
    .set_config = set_config,
    .queue = run_queue,
    .reset = net_reset,
};

// --- Device ---

// "52:54:00:12:34:56"; without one, that address and the following ones, in order of the netdevs.
static bool choose_mac(struct virtio_net *n, GError **error)
{
    static const uint8_t base[MAC_LEN] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    unsigned m[MAC_LEN];
    char end;
    if (!n->mac) {
        memcpy(n->permanent, base, MAC_LEN);
        n->permanent[5] = (uint8_t)(n->permanent[5] + (n->net ? netdev_index(n->net) : 0));
        return true;
    }
    bool ok = sscanf(n->mac, "%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%c", &m[0],
                     &m[1], &m[2], &m[3], &m[4], &m[5], &end) == MAC_LEN;
    for (unsigned i = 0; ok && i < MAC_LEN; i++)
        n->permanent[i] = (uint8_t)m[i];
    if (!ok || (m[0] & 1))
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: mac=%s is no address of one device (such as 52:54:00:12:34:56)",
                    n->v.dev.id, n->mac);
    return ok && !(m[0] & 1);
}

static bool net_init(struct device *dev, GError **error)
{
    struct virtio_net *n = (struct virtio_net *)dev;
    const struct netdev_front front = {
        .can_receive = can_receive,
        .receive = receive,
        .opaque = n,
        .name = dev->id,
        .door = dev->env->door,
        .clock = dev->env->clock,
    };
    unsigned queues = n->ctrl_vq ? QUEUES : QUEUES - 1;
    return choose_mac(n, error) &&
           virtio_init(&n->v, &vclass, &n->s.core, n->s.queues, queues, error) &&
           netdev_attach(n->net, &front, error);
}

// What a file says may be anything.
static void net_loaded(struct device *dev)
{
    struct virtio_net *n = (struct virtio_net *)dev;
    if (n->s.nr_macs > MACS_MAX || n->s.nr_unicast > n->s.nr_macs)
        forget_macs(n);
    virtio_device_loaded(dev);
}

static void net_free(struct device *dev)
{
    netdev_detach(((struct virtio_net *)dev)->net);
}

static const struct device_prop props[] = {
    {"netdev", PROP_NET, offsetof(struct virtio_net, net), 0, "the network behind it"},
    {"mac", PROP_STRING, offsetof(struct virtio_net, mac), 0, "Ethernet address"},
    {"mrg_rxbuf", PROP_BOOL, offsetof(struct virtio_net, mrg_rxbuf), 1,
     "offer frames spread over buffers"},
    {"status", PROP_BOOL, offsetof(struct virtio_net, status), 1, "offer the link's status"},
    {"ctrl_vq", PROP_BOOL, offsetof(struct virtio_net, ctrl_vq), 1, "offer filters of addresses"},
    {"bootindex", PROP_U32, offsetof(struct virtio_net, bootindex), 0, "accepted, has no effect"},
    VIRTIO_PROPS,
    PROP_END,
};

const struct device_class virtio_net_class = {
    .name = "virtio-net-device",
    .desc = "virtio network card",
    .size = sizeof(struct virtio_net),
    .props = props,
    .state = fields,
    .state_offset = offsetof(struct virtio_net, s),
    .state_size = sizeof(struct virtio_net_state),
    .bus = VIRTIO_BUS,
    .init = net_init,
    .reset = virtio_device_reset,
    .loaded = net_loaded,
    .free = net_free,
};
