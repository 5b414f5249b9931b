// SPDX-License-Identifier: MIT
// Virtio console device: chapter 5.3 of Virtio 1.2. The device and the ports that plug into it: consoles and
// plain serial ports.
//
// Ports have their state here, in the device, so that one table describes all of it. Input waits in a FIFO of
// the port: how much there is room for then depends on what the guest has done alone.
#include "backend/chardev.h"
#include "base/bits.h"
#include "hw/virtio.h"

#define PORTS_MAX  31
#define QUEUES     (2 * PORTS_MAX + 2)
#define FIFO       123
#define SERIAL_BUS "virtio-serial-bus"

enum { F_MULTIPORT = 1, F_EMERG_WRITE = 2 };
enum { CONTROL_IN = 2, CONTROL_OUT = 3 };
enum config { MAX_NR_PORTS = 4, EMERG_WR = 8, CONFIG_SIZE = 12 };

enum event {
    DEVICE_READY,
    DEVICE_ADD,
    DEVICE_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME
};
#define MESSAGE 8 // port, event, value

struct port_state {
    uint8_t guest_open, host_open;
    uint8_t pending; // a bit per event that the driver is still to hear of
    uint8_t count;   // bytes in the FIFO
    uint8_t head;    // the oldest
    uint8_t fifo[FIFO];
};

struct port {
    struct device dev;
    struct chardev *chr;
    char *name;
    uint32_t nr; // from 0; UINT32_MAX: the first free one
};

struct virtio_serial {
    struct virtio_device v;
    uint32_t max_ports;
    struct port *ports[PORTS_MAX]; // NULL: none
    struct virtio_serial_state {
        struct virtio_state core;
        struct virtio_queue_state queues[QUEUES];
        struct port_state ports[PORTS_MAX];
        uint64_t driver_ready;
    } s;
};

static const struct state_field port_fields[] = {
    STATE_VAR(struct port_state, guest_open),
    STATE_VAR(struct port_state, host_open),
    STATE_VAR(struct port_state, pending),
    STATE_VAR(struct port_state, count),
    STATE_VAR(struct port_state, head),
    STATE_BUF(struct port_state, fifo),
    STATE_END,
};

static const struct state_field fields[] = {
    STATE_SUB(struct virtio_serial, s.core, virtio_state_fields),
    STATE_SUB_ARRAY(struct virtio_serial, s.queues, virtio_queue_fields),
    STATE_SUB_ARRAY(struct virtio_serial, s.ports, port_fields),
    STATE_VAR(struct virtio_serial, s.driver_ready),
    STATE_END,
};

extern const struct device_class virtconsole_class;

static bool is_console(const struct port *port)
{
    return port->dev.cls == &virtconsole_class;
}

static struct virtio_serial *serial_of(struct virtio_device *v)
{
    return (struct virtio_serial *)v;
}

static struct virtio_serial *serial_of_port(const struct port *port)
{
    return (struct virtio_serial *)port->dev.parent;
}

static struct port_state *state_of(const struct port *port)
{
    return &serial_of_port(port)->s.ports[port->nr];
}

static unsigned in_queue(unsigned nr)
{
    return nr ? 2 * nr + 2 : 0;
}

static struct port *port_at(struct virtio_serial *s, uint32_t nr)
{
    return nr < PORTS_MAX ? s->ports[nr] : NULL;
}

// --- Control messages: the driver hears of ports and their changes when it has given buffers for that ---

static uint16_t value_of(const struct port *port, enum event event)
{
    return event == PORT_OPEN ? state_of(port)->host_open : 1;
}

static void send_message(struct virtio_serial *s, const struct virtio_chain *c,
                         const struct port *port, enum event event)
{
    uint8_t message[MESSAGE];
    uint32_t len = MESSAGE;
    store_le(message, 4, port->nr);
    store_le(message + 4, 2, event);
    store_le(message + 6, 2, value_of(port, event));
    virtio_write(&s->v, c, 0, message, MESSAGE);
    if (event == PORT_NAME && port->name) // a snapshot may ask for the name of a port without one
        len += (uint32_t)virtio_write(&s->v, c, MESSAGE, port->name, strlen(port->name));
    virtio_push(&s->v, c, MIN(len, c->in_len));
}

// In this order: a port's nature comes before its state.
static bool send_pending(struct virtio_serial *s, struct port *port)
{
    static const enum event order[] = {DEVICE_ADD, CONSOLE_PORT, PORT_NAME, PORT_OPEN};
    struct port_state *ps = state_of(port);
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        struct virtio_chain c;
        if (!(ps->pending & BIT(order[i])))
            continue;
        if (!virtio_pop(&s->v, CONTROL_IN, &c))
            return false;
        ps->pending &= (uint8_t)~BIT(order[i]);
        send_message(s, &c, port, order[i]);
    }
    return true;
}

static void send_all_pending(struct virtio_serial *s)
{
    if (!s->s.driver_ready)
        return;
    for (unsigned i = 0; i < PORTS_MAX; i++)
        if (s->ports[i] && !send_pending(s, s->ports[i]))
            break;
    virtio_notify(&s->v, CONTROL_IN);
}

static void driver_ready(struct virtio_serial *s, bool ready)
{
    s->s.driver_ready = ready;
    for (unsigned i = 0; ready && i < PORTS_MAX; i++)
        if (s->ports[i])
            s->s.ports[i].pending |= BIT(DEVICE_ADD);
}

static void port_ready(struct port *port, bool ready)
{
    struct port_state *ps = state_of(port);
    if (!ready)
        return;
    if (is_console(port))
        ps->pending |= BIT(CONSOLE_PORT);
    if (port->name)
        ps->pending |= (uint8_t)BIT(PORT_NAME);
    if (ps->host_open)
        ps->pending |= BIT(PORT_OPEN);
}

static void port_opened(struct port *port, bool opened)
{
    state_of(port)->guest_open = opened;
    if (opened)
        chardev_accept_input(port->chr);
}

static void hear(struct virtio_serial *s, const uint8_t *message)
{
    uint32_t nr = (uint32_t)load_le(message, 4);
    uint16_t event = (uint16_t)load_le(message + 4, 2), value = (uint16_t)load_le(message + 6, 2);
    struct port *port = port_at(s, nr);
    if (event == DEVICE_READY)
        driver_ready(s, value);
    else if (!port)
        log_guest("%s: message %u about port %u, which is not there\n", s->v.dev.id, event, nr);
    else if (event == PORT_READY)
        port_ready(port, value);
    else if (event == PORT_OPEN)
        port_opened(port, value);
    else
        log_guest("%s: message %u is not for a device\n", s->v.dev.id, event);
}

static void run_control(struct virtio_serial *s)
{
    struct virtio_chain c;
    while (virtio_pop(&s->v, CONTROL_OUT, &c)) {
        uint8_t message[MESSAGE];
        if (virtio_read(&s->v, &c, 0, message, MESSAGE) == MESSAGE)
            hear(s, message);
        virtio_push(&s->v, &c, 0);
    }
    virtio_notify(&s->v, CONTROL_OUT);
    send_all_pending(s);
}

// --- Data ---

static bool print_piece(void *chr, uint8_t *host, size_t len)
{
    chardev_write(chr, host, len);
    return true;
}

static void run_output(struct virtio_serial *s, unsigned q, struct port *port)
{
    struct virtio_chain c;
    while (virtio_pop(&s->v, q, &c)) {
        virtio_walk_out(&s->v, &c, 0, c.out_len, print_piece, port ? port->chr : NULL);
        virtio_push(&s->v, &c, 0);
    }
    virtio_notify(&s->v, q);
}

static uint32_t take(struct port_state *ps, uint8_t *buf, uint32_t max)
{
    uint32_t n = MIN(max, ps->count);
    for (uint32_t i = 0; i < n; i++)
        buf[i] = ps->fifo[(ps->head + i) % FIFO];
    ps->head = (uint8_t)((ps->head + n) % FIFO);
    ps->count = (uint8_t)(ps->count - n);
    return n;
}

static void run_input(struct virtio_serial *s, struct port *port)
{
    struct port_state *ps = state_of(port);
    unsigned q = in_queue(port->nr);
    struct virtio_chain c;
    if (!ps->count)
        return;
    while (ps->count && virtio_pop(&s->v, q, &c)) {
        uint8_t buf[FIFO];
        uint32_t len = take(ps, buf, c.in_len);
        virtio_write(&s->v, &c, 0, buf, len);
        virtio_push(&s->v, &c, len);
    }
    virtio_notify(&s->v, q);
}

static void run_queue(struct virtio_device *v, unsigned q)
{
    struct virtio_serial *s = serial_of(v);
    struct port *port = port_at(s, q < 2 ? 0 : q / 2 - 1);
    if (q == CONTROL_IN) {
        send_all_pending(s);
    } else if (q == CONTROL_OUT) {
        run_control(s);
    } else if (q & 1) {
        run_output(s, q, port);
    } else if (port) {
        run_input(s, port);
        chardev_accept_input(port->chr);
    }
}

// --- Chardev ---

static bool hears_input(const struct port *port)
{
    const struct virtio_serial *s = serial_of_port(port);
    if (!virtio_is_live(&s->v))
        return false;
    return virtio_has(&s->v, F_MULTIPORT) ? state_of(port)->guest_open : port->nr == 0;
}

static size_t port_can_receive(void *opaque)
{
    const struct port *port = opaque;
    return hears_input(port) ? (size_t)(FIFO - state_of(port)->count) : 0;
}

static void port_receive(void *opaque, const uint8_t *data, size_t len)
{
    struct port *port = opaque;
    struct port_state *ps = state_of(port);
    for (size_t i = 0; i < len && ps->count < FIFO; i++)
        ps->fifo[(ps->head + ps->count++) % FIFO] = data[i];
    run_input(serial_of_port(port), port);
}

// For a console, who listens at the other end makes no difference.
static void port_event(void *opaque, bool opened)
{
    struct port *port = opaque;
    struct port_state *ps = state_of(port);
    struct virtio_serial *s = serial_of_port(port);
    if (is_console(port) || ps->host_open == opened)
        return;
    ps->host_open = opened;
    if (virtio_is_live(&s->v) && s->s.driver_ready) {
        ps->pending |= BIT(PORT_OPEN);
        send_all_pending(s);
    }
}

// --- Configuration ---

static uint64_t offered(const struct virtio_device *v)
{
    const struct virtio_serial *s = (const struct virtio_serial *)v;
    return BIT(F_EMERG_WRITE) | (s->max_ports > 1 ? BIT(F_MULTIPORT) : 0);
}

static void get_config(struct virtio_device *v, uint8_t *config)
{
    store_le(config + MAX_NR_PORTS, 4, serial_of(v)->max_ports);
}

// A byte to the first console, for drivers that have nothing set up yet.
static void set_config(struct virtio_device *v, const uint8_t *config)
{
    struct virtio_serial *s = serial_of(v);
    if (!config[EMERG_WR])
        return;
    for (unsigned i = 0; i < PORTS_MAX; i++) {
        if (s->ports[i] && is_console(s->ports[i])) {
            chardev_write(s->ports[i]->chr, config + EMERG_WR, 1);
            return;
        }
    }
}

// Whether there is a peer at the host's side is not for the guest to change.
static void serial_reset(struct virtio_device *v)
{
    struct virtio_serial *s = serial_of(v);
    s->s.driver_ready = 0;
    for (unsigned i = 0; i < PORTS_MAX; i++) {
        uint8_t host_open = s->s.ports[i].host_open;
        s->s.ports[i] = (struct port_state){.host_open = host_open};
    }
}

static const struct virtio_class vclass = {
    .id = VIRTIO_ID_CONSOLE,
    .config_size = CONFIG_SIZE,
    .features = offered,
    .get_config = get_config,
    .set_config = set_config,
    .queue = run_queue,
    .reset = serial_reset,
};

// --- The device ---

static bool serial_init(struct device *dev, GError **error)
{
    struct virtio_serial *s = (struct virtio_serial *)dev;
    if (s->max_ports < 1 || s->max_ports > PORTS_MAX) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: max_ports=%u is not 1 to %d",
                    dev->id, s->max_ports, PORTS_MAX);
        return false;
    }
    unsigned nr_queues = s->max_ports > 1 ? 2 * s->max_ports + 2 : 2;
    return virtio_init(&s->v, &vclass, &s->s.core, s->s.queues, nr_queues, error);
}

// What a file says may be anything.
static void serial_loaded(struct device *dev)
{
    struct virtio_serial *s = (struct virtio_serial *)dev;
    for (unsigned i = 0; i < PORTS_MAX; i++)
        s->s.ports[i].count = MIN(s->s.ports[i].count, FIFO);
    virtio_device_loaded(dev);
}

static const struct device_prop serial_props[] = {
    {"max_ports", PROP_U32, offsetof(struct virtio_serial, max_ports), PORTS_MAX,
     "ports that can be plugged in"},
    VIRTIO_PROPS,
    PROP_END,
};

const struct device_class virtio_serial_class = {
    .name = "virtio-serial-device",
    .desc = "virtio console device, for virtconsole and virtserialport",
    .size = sizeof(struct virtio_serial),
    .props = serial_props,
    .state = fields,
    .state_offset = offsetof(struct virtio_serial, s),
    .state_size = sizeof(struct virtio_serial_state),
    .bus = VIRTIO_BUS,
    .provides = SERIAL_BUS,
    .init = serial_init,
    .reset = virtio_device_reset,
    .loaded = serial_loaded,
};

// --- Ports ---

// Number 0 is for a console: it is the one that drivers without multiport know.
static bool choose_number(struct port *port, struct virtio_serial *s, GError **error)
{
    if (port->nr == UINT32_MAX)
        for (port->nr = is_console(port) ? 0 : 1; port_at(s, port->nr);)
            port->nr++;
    if (port->nr >= s->max_ports) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: %s has ports 0 to %u only",
                    port->dev.id, s->v.dev.id, s->max_ports - 1);
        return false;
    }
    if (port->nr == 0 && !is_console(port)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: nr=0 is for a virtconsole",
                    port->dev.id);
        return false;
    }
    if (s->ports[port->nr]) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: nr=%u is taken by %s",
                    port->dev.id, port->nr, s->ports[port->nr]->dev.id);
        return false;
    }
    return true;
}

static bool port_init(struct device *dev, GError **error)
{
    struct port *port = (struct port *)dev;
    const struct chardev_front front = {
        .can_receive = port_can_receive,
        .receive = port_receive,
        .event = port_event,
        .opaque = port,
        .door = dev->env->door,
        .name = dev->id,
    };
    if (!dev->parent) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: needs a -device virtio-serial-device before it", dev->id);
        return false;
    }
    if (!choose_number(port, serial_of_port(port), error) ||
        !chardev_attach(port->chr, &front, error))
        return false;
    serial_of_port(port)->ports[port->nr] = port;
    state_of(port)->host_open = is_console(port) && port->chr;
    return true;
}

static void port_free(struct device *dev)
{
    struct port *port = (struct port *)dev;
    chardev_detach(port->chr, port);
}

static const struct device_prop port_props[] = {
    {"chardev", PROP_CHARDEV, offsetof(struct port, chr), 0, "where the bytes go"},
    {"name", PROP_STRING, offsetof(struct port, name), 0, "told to the guest"},
    {"nr", PROP_U32, offsetof(struct port, nr), UINT32_MAX, "number of the port"},
    PROP_END,
};

const struct device_class virtconsole_class = {
    .name = "virtconsole",
    .desc = "console port of a virtio-serial-device",
    .size = sizeof(struct port),
    .props = port_props,
    .state = device_no_state,
    .bus = SERIAL_BUS,
    .init = port_init,
    .free = port_free,
};

const struct device_class virtserialport_class = {
    .name = "virtserialport",
    .desc = "plain port of a virtio-serial-device",
    .size = sizeof(struct port),
    .props = port_props,
    .state = device_no_state,
    .bus = SERIAL_BUS,
    .init = port_init,
    .free = port_free,
};
