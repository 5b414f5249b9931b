// SPDX-License-Identifier: MIT
// The connection to gdb: packets in and out, and the small ones among them.
#include "control/gdbstub_impl.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"

// --- Replies ---

static void transmit(struct gdbstub *g, const GString *bytes)
{
    chardev_write(g->chr, (const uint8_t *)bytes->str, bytes->len);
    chardev_flush(g->chr);
}

void gdb_send(struct gdbstub *g, const char *body, size_t len)
{
    g_string_truncate(g->last, 0);
    gdb_wire_pack(g->last, body, len);
    transmit(g, g->last);
}

void gdb_ok(struct gdbstub *g)
{
    g_string_assign(g->reply, "OK");
}

void gdb_error(struct gdbstub *g, unsigned number)
{
    g_string_printf(g->reply, "E%02x", number);
}

void gdb_error_text(struct gdbstub *g, const char *text)
{
    g_string_printf(g->reply, "E.%s", text);
}

// --- Threads: one for each CPU, numbered from 1 ---

// "p1.2" names the process too, of which there is one.
bool gdb_parse_thread(const char **p, int *thread)
{
    uint64_t n;
    if (**p == 'p') {
        ++*p;
        if (!g_str_has_prefix(*p, "-1") && !gdb_hex_u64(p, &n))
            return false;
        if (g_str_has_prefix(*p, "-1"))
            *p += 2;
        *thread = GDB_ALL;
        if (**p != '.')
            return true;
        ++*p;
    }
    if (g_str_has_prefix(*p, "-1")) {
        *p += 2;
        *thread = GDB_ALL;
        return true;
    }
    if (!gdb_hex_u64(p, &n) || n > INT32_MAX)
        return false;
    *thread = (int)n;
    return true;
}

bool gdb_is_thread(const struct gdbstub *g, int thread)
{
    return thread >= 1 && (unsigned)thread <= g->m->nr_cpus;
}

// Hg, Hc: the thread that register and memory packets are about. Which ones go on is vCont's business.
static void set_thread(struct gdbstub *g, const char *args)
{
    int thread;
    char what = *args ? *args++ : 0;
    if (!gdb_parse_thread(&args, &thread) || (thread > 0 && !gdb_is_thread(g, thread))) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    if (what == 'g' && thread > 0)
        g->cpu = (unsigned)thread - 1;
    gdb_ok(g);
}

static void is_alive(struct gdbstub *g, const char *args)
{
    int thread;
    if (gdb_parse_thread(&args, &thread) && gdb_is_thread(g, thread))
        gdb_ok(g);
    else
        gdb_error(g, GDB_EPERM);
}

// --- Coming and going ---

static void extend(struct gdbstub *g, const char *args)
{
    (void)args;
    g->extended = true;
    gdb_ok(g);
}

static void detach(struct gdbstub *g, const char *args)
{
    (void)args;
    gdb_clear_points(g);
    vm_cont(g->vm, NULL); // one that is off stays so
    gdb_ok(g);
}

// A machine killed in extended mode waits for gdb to run it again; else the program ends.
static void kill_machine(struct gdbstub *g, const char *args)
{
    (void)args;
    gdb_clear_points(g);
    if (g->extended)
        vm_stop(g->vm, VM_PAUSED);
    else
        vm_quit(g->vm, VM_CAUSE_QUIT, 0);
    gdb_ok(g);
}

// k has no reply.
static void kill_silently(struct gdbstub *g, const char *args)
{
    kill_machine(g, args);
    g->no_reply = true;
}

static void restart(struct gdbstub *g)
{
    vm_stop(g->vm, VM_PAUSED);
    vm_reset(g->vm);
    g->launched = true;
    g->has_stop = false;
    g->stop = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signal = GDB_SIGTRAP};
    g->cpu = 0;
}

// R has no reply.
static void restart_silently(struct gdbstub *g, const char *args)
{
    (void)args;
    restart(g);
    g->no_reply = true;
}

static void run_again(struct gdbstub *g, const char *args)
{
    restart(g);
    gdb_why(g, args);
}

static void attach(struct gdbstub *g, const char *args)
{
    g->launched = false;
    gdb_why(g, args);
}

// An unknown packet's reply is empty.
static void reply_nothing(struct gdbstub *g, const char *args)
{
    (void)g, (void)args;
}

static void list_vcont(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_assign(g->reply, "vCont;c;C;s;S;t;r");
}

static void handle_v(struct gdbstub *g, const char *args)
{
    static const struct gdb_command table[] = {
        {"Cont?", "", list_vcont},
        {"Cont", ";", gdb_vcont},
        {"Kill", ";", kill_machine},
        {"Run", ";", run_again},
        {"Attach", ";", attach},
        {"FlashErase", ":", gdb_flash_erase},
        {"FlashWrite", ":", gdb_flash_write},
        {"FlashDone", "", gdb_flash_done},
        {"MustReplyEmpty", "", reply_nothing},
    };
    gdb_dispatch(g, table, ARRAY_LEN(table), args);
}

// --- Packets ---

// Without separators, any arguments may follow the name at once.
static bool matches(const struct gdb_command *c, const char *text)
{
    size_t len = strlen(c->name);
    if (strncmp(text, c->name, len) != 0)
        return false;
    return !c->separators || !text[len] || strchr(c->separators, text[len]);
}

void gdb_dispatch(struct gdbstub *g, const struct gdb_command *table, unsigned n, const char *text)
{
    for (unsigned i = 0; i < n; i++) {
        if (!matches(&table[i], text))
            continue;
        const char *args = text + strlen(table[i].name);
        table[i].handle(g, table[i].separators && *args ? args + 1 : args);
        return;
    }
}

static const struct gdb_command commands[] = {
    {"?", "", gdb_why},
    {"!", "", extend},
    {"c", NULL, gdb_continue},
    {"C", NULL, gdb_continue},
    {"D", ";", detach},
    {"g", "", gdb_read_all},
    {"G", NULL, gdb_write_all},
    {"H", NULL, set_thread},
    {"k", "", kill_silently},
    {"m", NULL, gdb_read_memory},
    {"M", NULL, gdb_write_memory},
    {"p", NULL, gdb_read_one},
    {"P", NULL, gdb_write_one},
    {"q", NULL, gdb_query},
    {"Q", NULL, gdb_set},
    {"R", NULL, restart_silently},
    {"s", NULL, gdb_step},
    {"S", NULL, gdb_step},
    {"T", NULL, is_alive},
    {"v", NULL, handle_v},
    {"x", NULL, gdb_read_binary},
    {"X", NULL, gdb_write_binary},
    {"z", NULL, gdb_remove_point},
    {"Z", NULL, gdb_insert_point},
};

// Whoever asks while the machine runs wants it to stop, as by Ctrl-C.
static void handle_packet(struct gdbstub *g)
{
    if (vm_is_running(g->vm))
        vm_stop(g->vm, VM_PAUSED);
    g_string_truncate(g->reply, 0);
    g->no_reply = false;
    gdb_dispatch(g, commands, ARRAY_LEN(commands), g->wire.body->str);
    if (!g->no_reply)
        gdb_send(g, g->reply->str, g->reply->len);
}

static void acknowledge(struct gdbstub *g, char how)
{
    if (!g->no_ack) {
        chardev_write(g->chr, (const uint8_t *)&how, 1);
        chardev_flush(g->chr);
    }
}

static void receive_byte(struct gdbstub *g, uint8_t byte)
{
    switch (gdb_wire_feed(&g->wire, byte)) {
    case GDB_WIRE_PACKET:
        acknowledge(g, '+');
        handle_packet(g);
        g->wire.trusting = g->no_ack;
        break;
    case GDB_WIRE_BAD:
        acknowledge(g, '-');
        break;
    case GDB_WIRE_NAK:
        if (!g->no_ack)
            transmit(g, g->last);
        break;
    case GDB_WIRE_BREAK:
        vm_stop(g->vm, VM_PAUSED);
        break;
    case GDB_WIRE_ACK:
    case GDB_WIRE_NONE:
        break;
    }
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct gdbstub *g = opaque;
    for (size_t i = 0; i < len && !g->vm->over; i++)
        receive_byte(g, data[i]);
}

static size_t can_receive(void *opaque)
{
    (void)opaque;
    return GDB_PACKET_MAX;
}

// --- The connection ---

static void connected(struct gdbstub *g)
{
    gdb_wire_reset(&g->wire);
    g_string_truncate(g->last, 0);
    g->connected = true;
    g->no_ack = g->extended = g->launched = g->physical = false;
    g->knows_swbreak = g->knows_hwbreak = false;
    g->owes_stop = g->has_stop = g->told.valid = false;
    g->sstep = GDB_SSTEP_DEFAULT;
    g->cpu = 0;
    g->stop = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signal = GDB_SIGTRAP};
    g->run = (struct gdb_run){.kind = GDB_RUN_CONT};
    vm_stop(g->vm, VM_PAUSED);
}

// What gdb wanted to know goes with it; whether the machine runs stays as it is.
static void disconnected(struct gdbstub *g)
{
    g->connected = g->owes_stop = false;
    g->run = (struct gdb_run){.kind = GDB_RUN_CONT};
    gdb_clear_points(g);
}

static void peer_event(void *opaque, bool opened)
{
    struct gdbstub *g = opaque;
    if (opened)
        connected(g);
    else if (g->connected)
        disconnected(g);
}

struct gdbstub *gdbstub_new(struct vm *vm, struct chardev *chr, GError **error)
{
    struct gdbstub *g = g_new0(struct gdbstub, 1);
    *g = (struct gdbstub){.vm = vm,
                          .m = vm->m,
                          .chr = chr,
                          .reply = g_string_new(NULL),
                          .last = g_string_new(NULL),
                          .document = g_string_new(NULL),
                          .points = g_array_new(FALSE, FALSE, sizeof(struct gdb_point))};
    gdb_wire_init(&g->wire);
    vm_add_listener(vm, gdb_vm_event, g);
    vm_set_driver(vm, &(struct vm_driver){gdb_drive, g});
    struct chardev_front front = {
        .can_receive = can_receive, .receive = receive, .event = peer_event, .opaque = g};
    if (chardev_attach(chr, &front, error))
        return g;
    gdbstub_free(g);
    return NULL;
}

void gdbstub_free(struct gdbstub *g)
{
    if (!g)
        return;
    chardev_detach(g->chr, g);
    gdb_clear_points(g);
    vm_set_driver(g->vm, NULL);
    vm_remove_listener(g->vm, gdb_vm_event, g);
    gdb_wire_clear(&g->wire);
    g_array_free(g->points, TRUE);
    g_string_free(g->reply, TRUE);
    g_string_free(g->last, TRUE);
    g_string_free(g->document, TRUE);
    g_free(g);
}

char *gdbstub_complete_spec(const char *spec)
{
    bool tcp = g_str_has_prefix(spec, "tcp:");
    if (!tcp && !g_str_has_prefix(spec, "unix:"))
        return g_strdup(spec);
    const char *host = tcp && spec[4] == ':' ? "127.0.0.1" : "";
    unsigned scheme = tcp ? 4 : 0;
    // What the user says counts: options are read from the end.
    const char *rest = spec + scheme, *comma = strchr(rest, ',');
    int len = comma ? (int)(comma - rest) : (int)strlen(rest);
    return g_strdup_printf("%.*s%s%.*s,server=on,wait=off%s%s", (int)scheme, spec, host, len, rest,
                           tcp ? ",nodelay=on" : "", comma ? comma : "");
}
