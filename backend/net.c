// SPDX-License-Identifier: MIT
// What all network back ends share: the queue of frames for the guest, and when they get there.
//
// A frame that answers the guest is due a fixed time later, so that it arrives at the same instruction in each
// run. One that the host sent is due when it comes; the door knows when that was. A machine that is a replay from the
// start has no host's side at all.
#include <assert.h>
#include <string.h>

#include "backend/net_impl.h"
#include "base/bits.h"
#include "base/log.h"

#define QUEUE_MAX 1024 // frames that wait for the guest

struct frame {
    uint64_t due; // guest time
    size_t len;
    uint8_t data[];
};

static const struct netdev_class *const classes[] = {&netdev_user_class};

const char *netdev_id(const struct netdev *net)
{
    return net->id;
}

unsigned netdev_index(const struct netdev *net)
{
    return net->index;
}

bool netdev_is_attached(const struct netdev *net)
{
    return net->attached;
}

const struct netdev_stats *netdev_get_stats(const struct netdev *net)
{
    return &net->stats;
}

void netdev_print_help(FILE *out)
{
    fprintf(out, "Available netdev backend types:\n");
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        fprintf(out, "  %-6s %s\n", classes[i]->kind, classes[i]->help);
}

// --- To the guest ---

static uint64_t now(const struct netdev *net)
{
    return clock_now(net->front.clock);
}

static void arm(struct netdev *net, struct timer *t, uint64_t deadline)
{
    if (deadline < t->deadline)
        clock_at(net->front.clock, t, deadline);
}

// Hands over what is due, as long as the device has buffers.
static void deliver(struct netdev *net)
{
    const struct netdev_front *f = &net->front;
    struct frame *frame;
    while ((frame = g_queue_peek_head(&net->rx)) && f->can_receive(f->opaque)) {
        if (frame->due > now(net)) {
            arm(net, &net->rx_due, frame->due);
            return;
        }
        g_queue_pop_head(&net->rx);
        net->stats.rx_frames++;
        net->stats.rx_bytes += frame->len;
        door_deliver(f->door, net->door_id, frame->data, frame->len);
        g_free(frame);
    }
}

static void deliver_timer(void *opaque)
{
    deliver(opaque);
}

static void through_door(void *opaque, const uint8_t *data, size_t len)
{
    struct netdev *net = opaque;
    net->front.receive(net->front.opaque, data, len);
}

static void queue(struct netdev *net, const uint8_t *data, size_t len, uint64_t due)
{
    struct frame *frame = g_malloc(sizeof(*frame) + len);
    frame->due = due;
    frame->len = len;
    memcpy(frame->data, data, len);
    g_queue_push_tail(&net->rx, frame);
    arm(net, &net->rx_due, due);
}

void netdev_receive(struct netdev *net, const uint8_t *data, size_t len)
{
    if (!net->attached || net->rx.length >= QUEUE_MAX) {
        net->stats.rx_dropped++;
        return;
    }
    queue(net, data, len, now(net) + (net->sending ? NETDEV_DELAY_NS : 0));
    poller_happened(net->p);
}

// Within a slice: what waits is due at once, but comes when the slice is cut.
void netdev_accept_input(struct netdev *net)
{
    struct frame *frame = net && net->attached ? g_queue_peek_head(&net->rx) : NULL;
    if (frame)
        arm(net, &net->rx_due, MAX(frame->due, now(net)));
}

// --- From the guest ---

void netdev_send(struct netdev *net, const uint8_t *frame, size_t len)
{
    if (!net || !net->attached || door_is_replaying(net->front.door))
        return; // replaying, the answers are in the log
    net->stats.tx_frames++;
    net->stats.tx_bytes += len;
    net->sending = true;
    net->cls->send(net, frame, len);
    net->sending = false;
}

static void run_tick(void *opaque)
{
    struct netdev *net = opaque;
    net->cls->tick(net);
}

void netdev_tick_at(struct netdev *net, uint64_t deadline_ns)
{
    arm(net, &net->tick, deadline_ns);
}

// --- Life ---

static bool open_kind(struct netdev *net, struct options *o, GError **error)
{
    net->index = poller_next_nic(net->p);
    g_queue_init(&net->rx);
    return net->cls->open(net, o, error);
}

static const struct netdev_class *find_class(const char *kind)
{
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        if (!strcmp(kind, classes[i]->kind))
            return classes[i];
    return NULL;
}

struct netdev *netdev_open(struct options *o, struct poller *p, GError **error)
{
    const char *kind = options_str(o, "type");
    const char *id = options_str(o, "id");
    const struct netdev_class *cls = kind ? find_class(kind) : NULL;
    struct netdev *net = NULL;
    if (!kind)
        options_fail(o, "type", "missing: say which kind first (-netdev help lists them)");
    else if (!cls)
        options_fail(o, "type", "there is no '%s' (-netdev help lists them)", kind);
    else if (!id || !*id)
        options_fail(o, "id", "missing");
    if (!options_failed(o)) {
        net = g_malloc0(cls->size);
        net->cls = cls;
        net->id = g_strdup(id);
        net->p = p;
        if (!open_kind(net, o, error)) {
            netdev_close(net);
            net = NULL;
        }
    } else {
        options_done(o, error);
    }
    options_free(o);
    return net;
}

void netdev_close(struct netdev *net)
{
    if (!net)
        return;
    netdev_detach(net);
    net->cls->close(net);
    g_free(net->id);
    g_free(net);
}

bool netdev_attach(struct netdev *net, const struct netdev_front *front, GError **error)
{
    if (!net)
        return true;
    if (net->attached) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: netdev %s belongs to %s already",
                    front->name, net->id, net->name);
        return false;
    }
    net->front = *front;
    net->name = g_strdup(front->name);
    net->door_id = door_register(front->door, DOOR_PACKET, net->name, through_door, net);
    clock_register_outside(front->clock, &net->rx_due, deliver_timer, net);
    clock_register_outside(front->clock, &net->tick, run_tick, net);
    net->attached = true;
    net->started = !door_is_replaying(front->door);
    if (!net->started || net->cls->start(net, error))
        return true;
    g_prefix_error(error, "netdev %s: ", net->id);
    netdev_detach(net);
    return false;
}

void netdev_detach(struct netdev *net)
{
    if (!net || !net->attached)
        return;
    if (net->started)
        net->cls->stop(net);
    clock_unregister(net->front.clock, &net->rx_due);
    clock_unregister(net->front.clock, &net->tick);
    g_queue_clear_full(&net->rx, g_free);
    net->attached = net->started = false;
    g_free(net->name);
    net->name = NULL;
}

// --- Snapshots: frames on their way, each with its time; then what the guest sent to make itself known ---

#define FRAME_MAX 65550 // as virtio-net sends

static void put(GByteArray *out, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    g_byte_array_append(out, bytes, size);
}

static void put_frame(GByteArray *out, const uint8_t *data, size_t len)
{
    put(out, 4, len);
    g_byte_array_append(out, data, (guint)len);
}

void netdev_save(struct netdev *net, GByteArray *out)
{
    const GPtrArray *lessons = net->started && net->cls->lessons ? net->cls->lessons(net) : NULL;
    put(out, 4, net->rx.length);
    for (const GList *at = net->rx.head; at; at = at->next) {
        const struct frame *frame = at->data;
        put(out, 8, frame->due);
        put_frame(out, frame->data, frame->len);
    }
    put(out, 4, lessons ? lessons->len : 0);
    for (unsigned i = 0; lessons && i < lessons->len; i++) {
        const GByteArray *frame = lessons->pdata[i];
        put_frame(out, frame->data, frame->len);
    }
}

struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t take(struct cursor *c, unsigned size)
{
    if ((size_t)(c->end - c->at) < size) {
        c->bad = true;
        return 0;
    }
    uint64_t value = load_le(c->at, size);
    c->at += size;
    return value;
}

static const uint8_t *take_frame(struct cursor *c, size_t *len)
{
    *len = take(c, 4);
    const uint8_t *frame = c->at;
    c->bad |= *len > FRAME_MAX || *len > (size_t)(c->end - c->at);
    if (!c->bad)
        c->at += *len;
    return frame;
}

// What is on its way.
static void load_queue(struct netdev *net, struct cursor *c, bool check)
{
    uint64_t count = take(c, 4);
    c->bad |= count > QUEUE_MAX;
    for (uint64_t i = 0; i < count && !c->bad; i++) {
        size_t len;
        uint64_t due = take(c, 8);
        const uint8_t *data = take_frame(c, &len);
        if (check || c->bad)
            continue;
        queue(net, data, len, due);
    }
}

static void load_lessons(struct netdev *net, struct cursor *c, bool check)
{
    for (uint64_t i = take(c, 4); i && !c->bad; i--) {
        size_t len;
        const uint8_t *frame = take_frame(c, &len);
        if (!check && !c->bad && net->started && net->cls->teach)
            net->cls->teach(net, frame, len);
    }
}

static void start_anew(struct netdev *net)
{
    GError *error = NULL;
    g_queue_clear_full(&net->rx, g_free);
    net->rx_due.deadline = net->tick.deadline = CLOCK_NEVER;
    if (!net->started)
        return;
    net->cls->stop(net);
    net->started = net->cls->start(net, &error);
    if (net->started)
        return;
    warn_user("netdev %s: %s", net->id, error->message);
    g_error_free(error);
}

bool netdev_load(struct netdev *net, const uint8_t *data, size_t len, bool check)
{
    struct cursor c = {data, data + len, false};
    if (!check)
        start_anew(net);
    load_queue(net, &c, check);
    load_lessons(net, &c, check);
    return !c.bad && c.at == c.end;
}

static GPtrArray *copy_lessons(struct netdev *net)
{
    const GPtrArray *lessons = net->cls->lessons ? net->cls->lessons(net) : NULL;
    GPtrArray *copy = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    for (unsigned i = 0; lessons && i < lessons->len; i++)
        g_ptr_array_add(copy, g_byte_array_ref(lessons->pdata[i]));
    return copy;
}

bool netdev_forked(struct netdev *net, GError **error)
{
    if (!net->started)
        return true;
    g_autoptr(GPtrArray) lessons = copy_lessons(net);
    net->cls->stop(net);
    if (net->cls->forked)
        net->cls->forked(net);
    net->started = net->cls->start(net, error);
    for (unsigned i = 0; net->started && i < lessons->len; i++) {
        const GByteArray *frame = lessons->pdata[i];
        net->cls->teach(net, frame->data, frame->len);
    }
    return net->started;
}

// --- Monitor ---

static bool change_hostfwd(struct netdev *net, const char *rule, bool add, GError **error)
{
    if (net->cls->hostfwd && net->started)
        return net->cls->hostfwd(net, rule, add, error);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "netdev %s forwards no ports: %s", net->id,
                net->started ? "its kind has none" : "no device uses it");
    return false;
}

bool netdev_hostfwd_add(struct netdev *net, const char *rule, GError **error)
{
    return change_hostfwd(net, rule, true, error);
}

bool netdev_hostfwd_remove(struct netdev *net, const char *rule, GError **error)
{
    return change_hostfwd(net, rule, false, error);
}

char *netdev_info(struct netdev *net)
{
    return net->started && net->cls->info ? net->cls->info(net) : NULL;
}
