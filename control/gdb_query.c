// SPDX-License-Identifier: MIT
// What gdb asks in general: features, threads, descriptions, the monitor.
#include <string.h>

#include "base/bits.h"
#include "control/gdbstub_impl.h"
#include "control/monitor.h"

// --- Features ---

static bool is_flat(const struct gdbstub *g)
{
    struct cpu *cpu = g->m->cpus[0];
    return cpu->guest->debug_view(cpu)->flat;
}

// A memory map would hold for virtual addresses, so there is one only where these are physical.
static void supported(struct gdbstub *g, const char *args)
{
    g_auto(GStrv) theirs = g_strsplit(args, ";", -1);
    g->knows_swbreak = g_strv_contains((const char *const *)theirs, "swbreak+");
    g->knows_hwbreak = g_strv_contains((const char *const *)theirs, "hwbreak+");
    g_string_printf(g->reply,
                    "PacketSize=%x;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;"
                    "qXfer:features:read+;qXfer:threads:read+;binary-upload+%s",
                    GDB_PACKET_MAX, is_flat(g) ? ";qXfer:memory-map:read+" : "");
}

static void start_no_ack(struct gdbstub *g, const char *args)
{
    (void)args;
    g->no_ack = true;
    gdb_ok(g);
}

// --- Documents ---

static const struct {
    const char *name; // OBJECT:read:ANNEX
    void (*describe)(struct gdbstub *g, GString *out);
} documents[] = {
    {"features:read:target.xml", gdb_describe_target},
    {"threads:read:", gdb_describe_threads},
    {"memory-map:read:", gdb_describe_memory},
};

// "OFFSET,LENGTH" of the document: an l in front says that it is the last part.
static void send_part(struct gdbstub *g, const char *args)
{
    uint64_t offset, len;
    if (!gdb_hex_u64(&args, &offset) || *args++ != ',' || !gdb_hex_u64(&args, &len)) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    offset = MIN(offset, g->document->len);
    uint64_t left = g->document->len - offset;
    len = MIN(len, GDB_PACKET_MAX / 2);
    g_string_append_c(g->reply, len < left ? 'm' : 'l');
    g_string_append_len(g->reply, g->document->str + offset, (gssize)MIN(len, left));
}

// Its parts are of one state: a document is made when its beginning is asked for.
static void transfer(struct gdbstub *g, const char *args)
{
    for (unsigned i = 0; i < ARRAY_LEN(documents); i++) {
        size_t len = strlen(documents[i].name);
        if (strncmp(args, documents[i].name, len) != 0 || args[len] != ':')
            continue;
        args += len + 1;
        if (g_str_has_prefix(args, "0,")) {
            g_string_truncate(g->document, 0);
            documents[i].describe(g, g->document);
        }
        send_part(g, args);
        return;
    }
    if (strstr(args, ":read:"))
        gdb_error(g, 0); // no such annex
}

// --- Threads ---

static void current_thread(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_printf(g->reply, "QC%x", g->cpu + 1);
}

static void first_threads(struct gdbstub *g, const char *args)
{
    (void)args;
    for (unsigned i = 0; i < g->m->nr_cpus; i++)
        g_string_append_printf(g->reply, "%c%x", i ? ',' : 'm', i + 1);
}

static void more_threads(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_assign(g->reply, "l");
}

static void thread_info(struct gdbstub *g, const char *args)
{
    int thread;
    g_autoptr(GString) text = g_string_new(NULL);
    if (!gdb_parse_thread(&args, &thread) || !gdb_is_thread(g, thread)) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    struct cpu *cpu = g->m->cpus[thread - 1];
    cpu->guest->debug_name(cpu, text);
    g_string_append(text, ": ");
    cpu->guest->debug_state(cpu, text);
    gdb_hex_append(g->reply, text->str, text->len);
}

static void attached(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_assign(g->reply, g->launched ? "0" : "1");
}

// --- What else debuggers of machines are used to ---

static void get_sstep_bits(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_assign(g->reply, "ENABLE=1,NOIRQ=2,NOTIMER=4");
}

static void get_sstep(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_printf(g->reply, "0x%x", g->sstep);
}

static void set_sstep(struct gdbstub *g, const char *args)
{
    uint64_t bits;
    if (g_str_has_prefix(args, "0x"))
        args += 2;
    if (!gdb_hex_u64(&args, &bits) || bits > GDB_SSTEP_DEFAULT) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    g->sstep = (unsigned)bits;
    gdb_ok(g);
}

static void get_physical(struct gdbstub *g, const char *args)
{
    (void)args;
    g_string_assign(g->reply, g->physical ? "1" : "0");
}

static void set_physical(struct gdbstub *g, const char *args)
{
    g->physical = *args == '1';
    gdb_ok(g);
}

// Console output, in packets of its own.
static void send_output(struct gdbstub *g, const GString *text)
{
    size_t most = GDB_PACKET_MAX / 2 - 1;

    for (size_t at = 0; at < text->len; at += most) {
        g_autoptr(GString) packet = g_string_new("O");
        gdb_hex_append(packet, text->str + at, MIN(most, text->len - at));
        gdb_send(g, packet->str, packet->len);
    }
}

// gdb's command `monitor`: a line of our monitor, which means the CPU of gdb's thread.
static void run_monitor(struct gdbstub *g, const char *args)
{
    size_t len = (size_t)(gdb_args_end(g) - args) / 2;
    g_autofree char *line = g_malloc0(len + 1);
    g_autoptr(GString) out = g_string_new(NULL);
    struct panel *panel = g->vm->panel;
    unsigned cpu = panel ? panel->cpu : 0, generation = panel ? panel->generation : 0;

    if (!gdb_hex_bytes(&args, line, len)) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    if (panel)
        panel->cpu = g->cpu;
    monitor_execute(g->vm, line, out);
    if (panel)
        panel->cpu = cpu;
    if (panel && panel->generation != generation)
        return; // a clone: the original answers
    send_output(g, out);
    gdb_ok(g);
}

void gdb_query(struct gdbstub *g, const char *args)
{
    static const struct gdb_command table[] = {
        {"Supported", ":", supported},
        {"Xfer", ":", transfer},
        {"C", "", current_thread},
        {"CRC", ":", gdb_crc},
        {"fThreadInfo", "", first_threads},
        {"sThreadInfo", "", more_threads},
        {"ThreadExtraInfo", ",", thread_info},
        {"Attached", ":", attached},
        {"Rcmd", ",", run_monitor},
        {"qemu.sstepbits", "", get_sstep_bits},
        {"qemu.sstep", "", get_sstep},
        {"qemu.PhyMemMode", "", get_physical},
    };
    gdb_dispatch(g, table, ARRAY_LEN(table), args);
}

void gdb_set(struct gdbstub *g, const char *args)
{
    static const struct gdb_command table[] = {
        {"StartNoAckMode", "", start_no_ack},
        {"qemu.sstep", "=:", set_sstep},
        {"qemu.PhyMemMode", ":", set_physical},
    };
    gdb_dispatch(g, table, ARRAY_LEN(table), args);
}
