// SPDX-License-Identifier: MIT
// What all character back ends share: front ends, the way of bytes in both directions, the end.
//
// Out: chardev_write() appends to out_buf, which is handed to the host before each wait and when it is
// large. In: a descriptor is read only for as many bytes as the front end takes (a multiplexer keeps some
// itself), so what the guest has not taken stays with the host.
#define _GNU_SOURCE // POLLRDHUP
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "base/log.h"

#define FLUSH_AT       4096 // bytes of output that are not left to the next round
#define KEEP_MAX       65536 // bytes that are kept at a time, of as many as a guest can print at once
#define WRITE_MAX      4096 // one write to a descriptor that may block: what poll(2) promises for pipes
#define STALL_FIRST_MS 1000 // how long the first write beyond CHARDEV_OUT_LIMIT waits for the peer
#define STALL_NEXT_MS  100

const char *chardev_id(const struct chardev *chr)
{
    return chr->id;
}

const char *chardev_describe(const struct chardev *chr)
{
    return chr->desc ? chr->desc : chr->cls->kind;
}

bool chardev_is_mux(const struct chardev *chr)
{
    return chr->mux;
}

bool chardev_is_open(const struct chardev *chr)
{
    return chr->is_open;
}

unsigned chardev_front_count(const struct chardev *chr)
{
    return chr->nr_ports;
}

void chardev_set_desc(struct chardev *chr, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_free(chr->desc);
    chr->desc = g_strdup_vprintf(fmt, args);
    va_end(args);
}

int chardev_open_file(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "cannot open %s: %s", path,
                    g_strerror(errno));
    return fd;
}

// --- Front ends ---

static void door_data(void *opaque, const uint8_t *data, size_t len)
{
    struct chardev_port *port = opaque;
    port->front.receive(port->front.opaque, data, len);
}

static void run_event(struct chardev_port *port, enum port_event event)
{
    if (event == PORT_BREAK && port->front.send_break)
        port->front.send_break(port->front.opaque);
    if (event != PORT_BREAK && port->front.event)
        port->front.event(port->front.opaque, event == PORT_OPENED);
}

static void door_event(void *opaque, const uint8_t *data, size_t len)
{
    if (len == 1)
        run_event(opaque, data[0]);
}

bool port_waits(const struct chardev_port *port)
{
    return port->front.door && door_is_replaying(port->front.door);
}

void port_receive(struct chardev_port *port, const uint8_t *data, size_t len)
{
    poller_happened(port->chr->p);
    if (port->front.door)
        door_deliver(port->front.door, port->data_id, data, len);
    else
        door_data(port, data, len);
}

void port_event(struct chardev_port *port, enum port_event event)
{
    uint8_t byte = event;
    poller_happened(port->chr->p);
    if (event != PORT_BREAK)
        port->told_open = event == PORT_OPENED;
    if (port->front.door)
        door_deliver(port->front.door, port->event_id, &byte, 1);
    else
        run_event(port, event);
}

static void register_port(struct chardev_port *port)
{
    const struct chardev_front *f = &port->front;
    char *events = g_strconcat(port->name, ".event", NULL);
    port->data_id = door_register(f->door, DOOR_CHAR, port->name, door_data, port);
    port->event_id = door_register(f->door, DOOR_CHAR, events, door_event, port);
    g_free(events);
}

// The first front end that belongs to the machine has the focus at the start.
static void choose_focus(struct chardev *chr)
{
    unsigned last = chr->nr_ports - 1;
    if (last > 0 && !chr->ports[chr->focus]->front.door && chr->ports[last]->front.door)
        chr->focus = last;
}

bool chardev_attach(struct chardev *chr, const struct chardev_front *front, GError **error)
{
    if (!chr)
        return true;
    if (chr->nr_ports >= (chr->mux ? CHARDEV_MAX_FRONTS : 1)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    chr->mux ? "chardev %s has its %d users already"
                             : "chardev %s is in use already (mux=on lets %d share it)",
                    chr->id, CHARDEV_MAX_FRONTS);
        return false;
    }
    struct chardev_port *port = g_new0(struct chardev_port, 1);
    port->chr = chr;
    port->front = *front;
    port->name = g_strdup(front->name ? front->name : chr->id);
    port->fifo = chr->mux ? g_malloc(CHARDEV_FIFO) : NULL;
    if (front->door) {
        register_port(port);
        chr->door = front->door;
    }
    chr->ports[chr->nr_ports++] = port;
    choose_focus(chr);
    return true;
}

static void free_port(struct chardev_port *port)
{
    g_free(port->name);
    g_free(port->fifo);
    g_free(port);
}

static void find_door(struct chardev *chr)
{
    chr->door = NULL;
    for (unsigned i = 0; i < chr->nr_ports; i++)
        if (chr->ports[i]->front.door)
            chr->door = chr->ports[i]->front.door;
}

void chardev_detach(struct chardev *chr, void *opaque)
{
    for (unsigned i = 0; chr && i < chr->nr_ports; i++) {
        if (chr->ports[i]->front.opaque != opaque)
            continue;
        free_port(chr->ports[i]);
        chr->nr_ports--;
        memmove(&chr->ports[i], &chr->ports[i + 1],
                (chr->nr_ports - i) * sizeof(struct chardev_port *));
        if (chr->focus > i || chr->focus == chr->nr_ports)
            chr->focus = chr->focus ? chr->focus - 1 : 0;
        find_door(chr);
        return;
    }
}

void chardev_set_open(struct chardev *chr, bool is_open)
{
    chr->is_open = is_open;
}

// A monitor on a multiplexer is open while it has the focus.
static void tell_events(struct chardev *chr)
{
    for (unsigned i = 0; i < chr->nr_ports; i++) {
        struct chardev_port *port = chr->ports[i];
        bool is_open = chr->is_open && (!chr->mux || port->front.door || i == chr->focus);
        if (is_open != port->told_open && !port_waits(port))
            port_event(port, is_open ? PORT_OPENED : PORT_CLOSED);
    }
}

void chardev_tell_again(struct chardev *chr)
{
    for (unsigned i = 0; chr && i < chr->nr_ports; i++)
        if (chr->ports[i]->front.door)
            chr->ports[i]->told_open = !chr->is_open;
}

// --- In ---

static size_t input_room(const struct chardev *chr)
{
    if (chr->nr_ports == 0)
        return 0;
    if (chr->mux)
        return mux_room(chr);
    if (port_waits(chr->ports[0]))
        return 0;
    return chr->ports[0]->front.can_receive(chr->ports[0]->front.opaque);
}

static void lose(struct chardev *chr)
{
    if (chr->cls->lost)
        chr->cls->lost(chr);
}

static void end_input(struct chardev *chr)
{
    poll_unwatch(chr->in);
    chr->in = NULL;
    lose(chr);
}

// The peer hung up while there is no room: that is the end unless something is still to be read.
static void hung_up(struct chardev *chr)
{
    int unread = 0;
    if (ioctl(chr->in_fd, FIONREAD, &unread) == 0 && unread > 0)
        chr->hung_up = true;
    else
        end_input(chr);
}

static void in_ready(void *opaque, short revents)
{
    struct chardev *chr = opaque;
    uint8_t buf[4096];
    size_t room = MIN(input_room(chr), sizeof(buf));
    if (room == 0) {
        if (revents & (POLLHUP | POLLRDHUP | POLLERR))
            hung_up(chr);
        return;
    }
    ssize_t n = read(chr->in_fd, buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_input(chr);
        return;
    }
    chr->more_in = (size_t)n == room;
    size_t len = chr->cls->decode ? chr->cls->decode(chr, buf, (size_t)n) : (size_t)n;
    if (len == 0)
        return;
    if (chr->mux)
        mux_input(chr, buf, len);
    else
        port_receive(chr->ports[0], buf, len);
}

void chardev_accept_input(struct chardev *chr)
{
    if (!chr || !chr->more_in)
        return;
    chr->more_in = false;
    poller_attention(chr->p);
}

// --- Out ---

static ssize_t write_some(struct chardev *chr, const uint8_t *data, size_t len)
{
    if (chr->keep_fds) { // shared with others, so it can't be made non-blocking
        struct pollfd pfd = {.fd = chr->out_fd, .events = POLLOUT};
        if (poll(&pfd, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        len = MIN(len, WRITE_MAX);
    }
    ssize_t n = send(chr->out_fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 && errno == ENOTSOCK ? write(chr->out_fd, data, len) : n;
}

static void end_output(struct chardev *chr)
{
    g_byte_array_set_size(chr->out_buf, 0);
    poll_unwatch(chr->out);
    chr->out = NULL;
    lose(chr);
}

void chardev_flush(struct chardev *chr)
{
    size_t done = 0;
    if (!chr || !chr->out)
        return;
    chr->blocked = false;
    while (done < chr->out_buf->len) {
        ssize_t n = write_some(chr, chr->out_buf->data + done, chr->out_buf->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            end_output(chr);
            return;
        }
        if (n < 0) {
            chr->blocked = true;
            break;
        }
        chr->stalled = false;
        done += (size_t)n;
    }
    g_byte_array_remove_range(chr->out_buf, 0, (guint)done);
}

// More is kept than should be: gives the peer time, but never much of it at once.
static void wait_for_peer(struct chardev *chr)
{
    int patience = chr->stalled ? STALL_NEXT_MS : STALL_FIRST_MS;
    struct pollfd pfd = {.fd = chr->out_fd, .events = POLLOUT};
    chr->stalled = poll(&pfd, 1, patience) == 0;
    chardev_flush(chr);
}

static void limit_output(struct chardev *chr)
{
    if (chr->out && chr->out_buf->len > CHARDEV_OUT_LIMIT && !(chr->stalled && chr->cls->lossy))
        wait_for_peer(chr);
    if (chr->out_buf->len > CHARDEV_OUT_LIMIT && chr->cls->lossy) // half: not at each byte again
        g_byte_array_remove_range(chr->out_buf, 0, chr->out_buf->len - CHARDEV_OUT_LIMIT / 2);
}

static void write_log(struct chardev *chr, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = write(chr->log_fd, data, len);
        if (n <= 0 && errno != EINTR) {
            warn_user("chardev %s: the log file is given up: %s", chr->id, g_strerror(errno));
            close(chr->log_fd);
            chr->log_fd = -1;
            return;
        }
        data += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
}

// Bytes for the host, kept until it takes them.
static void keep_output(struct chardev *chr, const uint8_t *data, size_t len)
{
    if (chr->cls->encode)
        chr->cls->encode(chr, data, len, chr->out_buf);
    else
        g_byte_array_append(chr->out_buf, data, (guint)len);
    if (chr->out_buf->len >= FLUSH_AT && !chr->blocked)
        chardev_flush(chr);
    limit_output(chr);
}

void chardev_write(struct chardev *chr, const uint8_t *data, size_t len)
{
    if (!chr || (chr->door && door_is_silent(chr->door)))
        return;
    if (chr->log_fd >= 0)
        write_log(chr, data, len);
    if (chr->cls->sink)
        chr->cls->sink(chr, data, len);
    while (chr->out && len) {
        size_t n = MIN(len, KEEP_MAX);
        keep_output(chr, data, n);
        data += n;
        len -= n;
    }
}

static void out_ready(void *opaque, short revents)
{
    (void)revents;
    chardev_flush(opaque);
}

// --- Descriptors and rounds ---

void chardev_set_fds(struct chardev *chr, int in_fd, int out_fd)
{
    assert(!chr->in && !chr->out);
    chr->in_fd = in_fd;
    chr->out_fd = out_fd;
    chr->hung_up = false;
    if (in_fd >= 0)
        chr->in = poller_watch(chr->p, in_fd, in_ready, chr);
    if (out_fd >= 0)
        chr->out = poller_watch(chr->p, out_fd, out_ready, chr);
    chardev_set_open(chr, true);
}

void chardev_drop_fds(struct chardev *chr)
{
    poll_unwatch(chr->in);
    poll_unwatch(chr->out);
    chr->in = chr->out = NULL;
    if (!chr->keep_fds && chr->in_fd >= 0)
        close(chr->in_fd);
    if (!chr->keep_fds && chr->out_fd >= 0 && chr->out_fd != chr->in_fd)
        close(chr->out_fd);
    chr->in_fd = chr->out_fd = -1;
    g_byte_array_set_size(chr->out_buf, 0);
    chardev_set_open(chr, false);
}

static void prepare(void *opaque, int *timeout_ms)
{
    struct chardev *chr = opaque;
    if (chr->cls->prepare)
        chr->cls->prepare(chr, timeout_ms);
    tell_events(chr);
    if (chr->mux)
        mux_pump(chr);
    chardev_flush(chr); // last: front ends may have answered
    if (chr->in)
        poll_watch_events(chr->in, input_room(chr) ? POLLIN : chr->hung_up ? 0 : POLLRDHUP);
    if (chr->out)
        poll_watch_events(chr->out, chr->out_buf->len ? POLLOUT : 0);
}

static void done(void *opaque)
{
    chardev_flush(opaque); // what front ends wrote at once in answer to input
}

// --- Making and closing ---

// Options that all kinds have.
static bool open_common(struct chardev *chr, struct options *o, GError **error)
{
    const char *log = options_str(o, "logfile");
    bool append = options_bool(o, "logappend", false);
    chr->mux = options_bool(o, "mux", false);
    if (!chr->cls->open(chr, o, error))
        return false;
    if (log)
        chr->log_fd =
            chardev_open_file(log, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), error);
    return !log || chr->log_fd >= 0;
}

static const struct chardev_class *const classes[] = {
    &chardev_stdio_class, &chardev_pty_class,  &chardev_socket_class,  &chardev_pipe_class,
    &chardev_file_class,  &chardev_null_class, &chardev_ringbuf_class, &chardev_serial_class,
};

// What QEMU calls some kinds, too.
static const char *const aliases[][2] = {{"tty", "serial"}, {"memory", "ringbuf"}};

static const struct chardev_class *find_class(const char *kind)
{
    for (unsigned i = 0; i < ARRAY_LEN(aliases); i++)
        if (!strcmp(kind, aliases[i][0]))
            kind = aliases[i][1];
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        if (!strcmp(kind, classes[i]->kind))
            return classes[i];
    return NULL;
}

void chardev_print_help(FILE *out)
{
    fprintf(out, "Available chardev backend types:\n");
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        fprintf(out, "  %-8s %s\n", classes[i]->kind, classes[i]->help);
}

// Of the largest kind: a chardev may become another kind.
static size_t largest(void)
{
    size_t size = 0;
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        size = MAX(size, classes[i]->size);
    return size;
}

static struct chardev *make(const struct chardev_class *cls, const char *id, struct poller *p)
{
    struct chardev *chr = g_malloc0(largest());
    chr->cls = cls;
    chr->id = g_strdup(id);
    chr->p = p;
    chr->in_fd = chr->out_fd = chr->log_fd = -1;
    chr->out_buf = g_byte_array_new();
    chr->escape = 1; // Ctrl-A
    struct poll_hook hook = {.prepare = prepare, .done = done, .opaque = chr};
    poller_add_hook(p, &hook);
    return chr;
}

static const struct chardev_class *read_kind(struct options *opts)
{
    const char *kind = options_str(opts, "backend");
    const struct chardev_class *cls = kind ? find_class(kind) : NULL;
    if (!kind)
        options_fail(opts, "backend", "missing: say which kind first (-chardev help lists them)");
    else if (!cls)
        options_fail(opts, "backend", "there is no '%s' (-chardev help lists them)", kind);
    return cls;
}

struct chardev *chardev_open(struct options *opts, struct poller *p, GError **error)
{
    const struct chardev_class *cls = read_kind(opts);
    const char *id = options_str(opts, "id");
    struct chardev *chr = NULL;
    if (cls && (!id || !*id))
        options_fail(opts, "id", "missing");
    if (!options_failed(opts)) {
        chr = make(cls, id, p);
        if (!open_common(chr, opts, error)) {
            chardev_close(chr);
            chr = NULL;
        }
    } else {
        options_done(opts, error);
    }
    options_free(opts);
    return chr;
}

// Everything but what all kinds have: the front ends, the name, the poller.
static void give_up(struct chardev *chr)
{
    if (chr->cls->abandon)
        chr->cls->abandon(chr);
    if (chr->cls->close)
        chr->cls->close(chr);
    chardev_drop_fds(chr);
    if (chr->log_fd >= 0)
        close(chr->log_fd);
    chr->log_fd = -1;
    g_free(chr->desc);
    chr->desc = NULL;
    chr->keep_fds = chr->hung_up = chr->more_in = chr->blocked = chr->stalled = chr->escaped = false;
    memset(chr + 1, 0, largest() - sizeof(*chr));
}

// Typed for the original; and who is no part of the machine gets to know that its peer is gone.
static void renew_ports(struct chardev *chr)
{
    for (unsigned i = 0; i < chr->nr_ports; i++) {
        struct chardev_port *port = chr->ports[i];
        port->fifo_len = 0;
        if (!port->front.door && port->told_open)
            port_event(port, PORT_CLOSED);
    }
}

bool chardev_reopen_as(struct chardev *chr, struct options *opts, GError **error)
{
    const struct chardev_class *cls = read_kind(opts);
    bool mux = chr->mux, ok = false;
    options_str(opts, "id");
    if (cls) {
        give_up(chr);
        renew_ports(chr);
        chr->cls = cls;
        ok = open_common(chr, opts, error);
        chr->mux = mux;
    } else {
        options_done(opts, error);
    }
    options_free(opts);
    return ok;
}

// The last output: waits as long as the peer goes on reading.
static void drain(struct chardev *chr)
{
    chardev_flush(chr);
    while (chr->out && chr->out_buf->len && !chr->stalled)
        wait_for_peer(chr);
}

void chardev_close(struct chardev *chr)
{
    if (!chr)
        return;
    drain(chr);
    if (chr->cls->close)
        chr->cls->close(chr);
    chardev_drop_fds(chr);
    poller_remove_hook(chr->p, chr);
    while (chr->nr_ports)
        free_port(chr->ports[--chr->nr_ports]);
    if (chr->log_fd >= 0)
        close(chr->log_fd);
    g_byte_array_free(chr->out_buf, TRUE);
    g_free(chr->id);
    g_free(chr->desc);
    g_free(chr);
}

void chardev_continued(struct chardev *chr)
{
    if (chr && chr->cls->continued)
        chr->cls->continued(chr);
}

void chardev_set_escape(struct chardev *chr, uint8_t key)
{
    chr->escape = key;
}
