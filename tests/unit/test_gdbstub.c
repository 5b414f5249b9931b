// SPDX-License-Identifier: MIT
// The debugger's stub, packet by packet: what gdb would send, what it never would, and noise. A machine with a small
// program is at one end of a socket, the test at the other.
//
// FERRY_FUZZ_ROUNDS says how many random conversations to have.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "control/gdb_wire.h"
#include "control/gdbstub.h"
#include "tests/unit/vm_rig.h"
#include "translator/cpu.h"

// Counts in a0 and stores it; a subroutine in between.
static const uint32_t program[] = {
    0x00001297, // 80000000: auipc t0, 1
    0x00000513, // 80000004: li a0, 0
    0x010000ef, // 80000008: jal 80000018
    0x00a2a023, // 8000000c: sw a0, 0(t0)
    0x0002a583, // 80000010: lw a1, 0(t0)
    0xff5ff06f, // 80000014: j 80000008
    0x00150513, // 80000018: addi a0, a0, 1
    0x00008067, // 8000001c: ret
};
#define COUNTER "80001000"

// --- The client's side ---

struct client {
    struct vm_rig r;
    struct gdbstub *g;
    int fd;
    GString *got; // bytes that came
    size_t seen;
};

static void open_client(struct client *c, const char *args)
{
    int fds[2];
    GError *error = NULL;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    g_autofree char *line =
        g_strdup_printf("-chardev socket,id=d,fd=%d -gdb chardev:d %s", fds[1], args);
    *c = (struct client){.fd = fds[0], .got = g_string_new(NULL)};
    vm_rig_open(&c->r, line, program, sizeof(program));
    c->g = gdbstub_new(c->r.vm, c->r.s->gdb, &error);
    cr_assert_not_null(c->g, "%s", error ? error->message : "");
    poller_wait(c->r.s->poller, 0);
}

static void close_client(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    gdbstub_free(c->g);
    vm_rig_close(&c->r);
    g_string_free(c->got, TRUE);
}

// Lets the machine have its turns, as the main loop does.
static void turn(struct client *c)
{
    char buf[4096];
    ssize_t n;
    poller_wait(c->r.s->poller, 0);
    if (vm_is_running(c->r.vm) && !c->r.vm->over)
        vm_rig_run(&c->r, 1000);
    poller_wait(c->r.s->poller, 0);
    while (c->fd >= 0 && (n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
        g_string_append_len(c->got, buf, n);
}

static void send_raw(struct client *c, const char *bytes, size_t len)
{
    cr_assert_eq(write(c->fd, bytes, len), (ssize_t)len);
    turn(c);
}

static void send_packet(struct client *c, const char *body, size_t len)
{
    g_autoptr(GString) out = g_string_new(NULL);
    gdb_wire_pack(out, body, len);
    send_raw(c, out->str, out->len);
}

// The body of the next packet that comes, or NULL if none does for long.
static char *next_packet(struct client *c)
{
    for (unsigned i = 0; i < 100; i++) {
        const char *start = memchr(c->got->str + c->seen, '$', c->got->len - c->seen);
        const char *end = start ? strchr(start, '#') : NULL;
        if (end && end + 3 <= c->got->str + c->got->len) {
            c->seen = (size_t)(end + 3 - c->got->str);
            return g_strndup(start + 1, (gsize)(end - start - 1));
        }
        turn(c);
    }
    return NULL;
}

static char *ask(struct client *c, const char *body)
{
    send_packet(c, body, strlen(body));
    return next_packet(c);
}

static void expect_reply(struct client *c, const char *body, const char *reply)
{
    g_autofree char *got = ask(c, body);
    cr_expect_str_eq(got ? got : "(nothing)", reply, "%s: %s", body, got ? got : "(nothing)");
}

static void expect_start(struct client *c, const char *body, const char *start)
{
    g_autofree char *got = ask(c, body);
    cr_expect(got && g_str_has_prefix(got, start), "%s: %s", body, got ? got : "(nothing)");
}

static void expect_part(struct client *c, const char *body, const char *part)
{
    g_autofree char *got = ask(c, body);
    cr_expect(got && strstr(got, part), "%s: %s", body, got ? got : "(nothing)");
}

static uint64_t pc_of(struct client *c)
{
    return c->r.m->cpus[0]->pc;
}

// --- The wire ---

static enum gdb_wire_event feed(struct gdb_wire *w, const char *text, size_t len)
{
    enum gdb_wire_event e = GDB_WIRE_NONE;
    for (size_t i = 0; i < len; i++)
        e = gdb_wire_feed(w, (uint8_t)text[i]);
    return e;
}

Test(gdb_wire, takes_packets_apart)
{
    static const struct {
        const char *text;
        size_t len;
        enum gdb_wire_event event;
        const char *body;
    } cases[] = {
        {"$OK#9a", 6, GDB_WIRE_PACKET, "OK"},
        {"$#00", 4, GDB_WIRE_PACKET, ""},
        {"noise$g#67", 10, GDB_WIRE_PACKET, "g"},
        {"$lost$g#67", 10, GDB_WIRE_PACKET, "g"},
        {"$}\x03#80", 6, GDB_WIRE_PACKET, "#"},
        {"$a*!#ac", 7, GDB_WIRE_PACKET, "a*!"}, // only replies are run-length encoded
        {"$OK#9b", 6, GDB_WIRE_BAD, NULL},
        {"$OK#9g", 6, GDB_WIRE_BAD, NULL},
        {"$OK##9", 6, GDB_WIRE_BAD, NULL},
        {"$OK#9", 5, GDB_WIRE_NONE, NULL},
        {"+", 1, GDB_WIRE_ACK, NULL},
        {"-", 1, GDB_WIRE_NAK, NULL},
        {"\x03", 1, GDB_WIRE_BREAK, NULL},
        {"$a\x03#64", 6, GDB_WIRE_PACKET, "a\x03"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct gdb_wire w;
        gdb_wire_init(&w);
        cr_expect_eq(feed(&w, cases[i].text, cases[i].len), cases[i].event, "case %u", i);
        if (cases[i].body)
            cr_expect_str_eq(w.body->str, cases[i].body);
        gdb_wire_clear(&w);
    }
}

Test(gdb_wire, refuses_what_is_too_long_and_goes_on)
{
    struct gdb_wire w;
    gdb_wire_init(&w);
    gdb_wire_feed(&w, '$');
    for (unsigned i = 0; i < 10 * GDB_PACKET_MAX; i++)
        gdb_wire_feed(&w, 0);
    cr_expect_eq(feed(&w, "#00", 3), GDB_WIRE_BAD);
    cr_expect_eq(feed(&w, "$OK#9a", 6), GDB_WIRE_PACKET);
    gdb_wire_clear(&w);
}

Test(gdb_wire, packs_any_bytes)
{
    char all[256];
    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    g_autoptr(GString) out = g_string_new(NULL);
    struct gdb_wire w;
    gdb_wire_init(&w);
    gdb_wire_pack(out, all, sizeof(all));
    cr_expect_eq(feed(&w, out->str, out->len), GDB_WIRE_PACKET);
    cr_expect_eq(w.body->len, sizeof(all));
    cr_expect_eq(memcmp(w.body->str, all, sizeof(all)), 0);
    gdb_wire_clear(&w);
}

// --- Packets ---

Test(gdbstub, a_machine_stops_when_gdb_connects)
{
    struct client c;
    open_client(&c, "");
    vm_cont(c.r.vm, NULL);
    turn(&c);
    cr_expect_eq(c.r.vm->state, VM_RUNNING); // it was stopped before that
    expect_part(&c, "?", "thread:1;core:0;20:");
    cr_expect_eq(c.r.vm->state, VM_PAUSED);
    close_client(&c);
}

Test(gdbstub, says_what_it_can)
{
    struct client c;
    open_client(&c, "");
    expect_part(&c, "qSupported:swbreak+;hwbreak+;xmlRegisters=i386", "PacketSize=4000");
    expect_reply(&c, "vMustReplyEmpty", "");
    expect_reply(&c, "vCont?", "vCont;c;C;s;S;t;r");
    expect_reply(&c, "qAttached", "1");
    expect_reply(&c, "qC", "QC1");
    expect_reply(&c, "qfThreadInfo", "m1");
    expect_reply(&c, "qsThreadInfo", "l");
    expect_reply(&c, "T1", "OK");
    expect_reply(&c, "T2", "E01");
    expect_reply(&c, "qThreadExtraInfo,1", "6861727420303a204d206d6f6465"); // hart 0: M mode
    expect_reply(&c, "Hg1", "OK");
    expect_reply(&c, "Hg9", "E16");
    expect_reply(&c, "nonsense", "");
    expect_reply(&c, "", "");
    close_client(&c);
}

Test(gdbstub, describes_the_target)
{
    struct client c;
    open_client(&c, "-cpu rv64");
    expect_start(&c, "qXfer:features:read:target.xml:0,fff", "m<?xml");
    expect_part(&c, "qXfer:features:read:target.xml:0,fff", "<architecture>riscv:rv64");
    expect_part(&c, "qXfer:features:read:target.xml:0,fff",
                "name=\"sp\" bitsize=\"64\" regnum=\"2\" type=\"data_ptr\"");
    expect_reply(&c, "qXfer:features:read:target.xml:fffff,fff", "l");
    expect_reply(&c, "qXfer:features:read:other.xml:0,fff", "E00");
    expect_reply(&c, "qXfer:features:read:target.xml:0", "E16");
    expect_reply(&c, "qXfer:other:read::0,fff", "E00");
    expect_reply(&c, "qXfer:features:write:target.xml:0,0", "");
    expect_part(&c, "qXfer:threads:read::0,fff",
                "<thread id=\"1\" core=\"0\" name=\"hart 0\">M mode</thread>");
    close_client(&c);
    open_client(&c, "-cpu rv32");
    expect_part(&c, "qXfer:features:read:target.xml:0,fff", "<architecture>riscv:rv32");
    close_client(&c);
}

Test(gdbstub, reads_and_writes_registers)
{
    struct client c;
    open_client(&c, "");
    expect_reply(&c, "p20", "0010000000000000"); // pc is at the reset vector
    expect_reply(&c, "Pa=efcdab8967452301", "OK");
    expect_reply(&c, "pa", "efcdab8967452301");
    cr_expect_eq(c.r.m->cpus[0]->reg[10], UINT64_C(0x0123456789abcdef));
    expect_reply(&c, "P0=0100000000000000", "OK");
    expect_reply(&c, "p0", "0000000000000000");
    expect_reply(&c, "P20=0500008000000000", "OK");
    expect_reply(&c, "p20", "0400008000000000");     // instructions are at even addresses
    expect_reply(&c, "P381=1122334455667788", "OK"); // mscratch
    expect_reply(&c, "p381", "1122334455667788");
    expect_reply(&c, "Pb41=0010000000000000", "OK"); // mcycle
    expect_reply(&c, "pb41", "0010000000000000");
    expect_reply(&c, "p1041", "0300000000000000"); // privilege
    expect_reply(&c, "P1041=0000000000000000", "OK");
    expect_reply(&c, "p1041", "0000000000000000");
    expect_reply(&c, "P1041=0700000000000000", "OK");
    expect_reply(&c, "p1041", "0000000000000000"); // there is no such mode
    expect_reply(&c, "p9999", "E16");
    expect_reply(&c, "p", "E16");
    expect_reply(&c, "Pa=12", "E16");
    expect_reply(&c, "Pa", "E16");
    expect_reply(&c, "G00", "E16");
    g_autofree char *all = ask(&c, "g");
    cr_expect_eq(strlen(all), 33 * 16);
    g_autofree char *back = g_strconcat("G", all, NULL);
    expect_reply(&c, back, "OK");
    expect_reply(&c, "g", all);
    close_client(&c);
}

Test(gdbstub, reads_and_writes_memory)
{
    struct client c;
    open_client(&c, "");
    expect_reply(&c, "m80000000,8", "9712000013050000");
    expect_reply(&c, "M80001000,4:01020304", "OK");
    expect_reply(&c, "m80001002,4", "03040000");
    expect_reply(&c, "x80001000,3", "b\x01\x02\x03");
    send_packet(&c, "X80001000,3:\0#$", 15);
    g_autofree char *ok = next_packet(&c);
    cr_expect_str_eq(ok, "OK");
    expect_reply(&c, "m80001000,4", "00232404");
    expect_reply(&c, "X80001000,0:", "OK");
    expect_reply(&c, "m80fffffe,4", "0000"); // as much as there is
    expect_reply(&c, "m81000000,4", "E0e");
    expect_reply(&c, "mffffffffffffffff,8", "E0e");
    expect_reply(&c, "m80000000,0", "");
    expect_reply(&c, "m80000000,fffff", "E16");
    expect_reply(&c, "m80000000", "E16");
    expect_reply(&c, "m", "E16");
    expect_reply(&c, "M80000000,4:0102", "E16");
    expect_reply(&c, "M81000000,1:00", "E0e");
    expect_reply(&c, "X80000000,4:12", "E16");
    expect_reply(&c, "m10000005,1", "60");      // the UART's status
    expect_reply(&c, "M1000,4:13000000", "OK"); // a debugger writes ROM, too
    expect_reply(&c, "m1000,4", "13000000");
    expect_start(&c, "qCRC:80000000,20", "C");
    expect_reply(&c, "qCRC:81000000,20", "E0e");
    close_client(&c);
}

Test(gdbstub, maps_memory_where_addresses_are_physical)
{
    struct client c;
    open_client(&c, "-cpu rv32,mmu=off,s=off");
    expect_part(&c, "qSupported", "qXfer:memory-map:read+");
    expect_part(&c, "qXfer:memory-map:read::0,1000",
                "<memory type=\"ram\" start=\"0x80000000\" length=\"0x1000000\"/>");
    expect_part(&c, "qXfer:memory-map:read::0,1000", "<memory type=\"flash\" start=\"0x1000\"");
    expect_reply(&c, "vFlashErase:1000,1000", "OK");
    expect_reply(&c, "vFlashWrite:1000:abcd", "OK");
    expect_reply(&c, "vFlashDone", "OK");
    expect_reply(&c, "m1000,6", "61626364ffff");
    expect_reply(&c, "vFlashErase:71000000,1000", "E0e");
    expect_reply(&c, "vFlashWrite:1000", "E16");
    close_client(&c);
}

// --- Going on ---

static void go_to_program(struct client *c)
{
    expect_reply(c, "Z0,80000000,4", "OK");
    expect_start(c, "vCont;c", "T05thread:1;core:0;20:0000008000000000;");
    expect_reply(c, "z0,80000000,4", "OK");
}

Test(gdbstub, stops_at_breakpoints)
{
    struct client c;
    open_client(&c, "");
    go_to_program(&c);
    expect_start(&c, "qSupported:swbreak+;hwbreak+", "PacketSize");
    expect_reply(&c, "Z0,80000018,4", "OK");
    expect_reply(&c, "Z1,80000010,4", "OK");
    for (unsigned i = 0; i < 3; i++) {
        expect_part(&c, "vCont;c", "20:1800008000000000;");
        expect_part(&c, "?", "swbreak:;");
        expect_part(&c, "c", "20:1000008000000000;");
        expect_part(&c, "?", "hwbreak:;");
    }
    cr_expect_eq(c.r.m->cpus[0]->reg[10], 3);
    // A breakpoint where the CPU stands stops it before it has gone on, if gdb has not been told of it.
    expect_reply(&c, "Z0,80000014,4", "OK");
    expect_part(&c, "s", "20:1400008000000000;");
    uint64_t before = machine_icount(c.r.m);
    expect_part(&c, "c", "20:1400008000000000;");
    cr_expect_eq(machine_icount(c.r.m), before);
    expect_part(&c, "c", "20:1800008000000000;");
    expect_reply(&c, "z0,80000018,4", "OK");
    expect_reply(&c, "z0,80000014,4", "OK");
    expect_reply(&c, "z1,80000010,4", "OK");
    expect_reply(&c, "z1,80000010,4", "OK");
    expect_reply(&c, "Z5,80000010,4", "");
    expect_reply(&c, "Z0", "");
    close_client(&c);
}

Test(gdbstub, stops_behind_accesses)
{
    struct client c;
    open_client(&c, "");
    go_to_program(&c);
    expect_reply(&c, "Z2," COUNTER ",4", "OK");
    expect_part(&c, "c", "20:1000008000000000;2:0000000000000000;watch:" COUNTER ";");
    expect_part(&c, "c", "20:1000008000000000;2:0000000000000000;watch:" COUNTER ";");
    expect_reply(&c, "z2," COUNTER ",4", "OK");
    expect_reply(&c, "Z3,80001003,1", "OK");
    expect_part(&c, "c", "20:1400008000000000;2:0000000000000000;rwatch:80001003;");
    expect_reply(&c, "z3,80001003,1", "OK");
    expect_reply(&c, "Z4,80000ffd,4", "OK");
    expect_part(&c, "c", "20:1000008000000000;2:0000000000000000;awatch:" COUNTER ";");
    expect_part(&c, "c", "20:1400008000000000;2:0000000000000000;awatch:" COUNTER ";");
    expect_reply(&c, "z4,80000ffd,4", "OK");
    cr_expect_eq(c.r.m->cpus[0]->reg[10], 3);
    expect_start(&c, "Z2,80001000,0", "E.");
    expect_start(&c, "Z2,80001000,100001", "E.");
    expect_start(&c, "Z2,fffffffffffffff0,20", "E.");
    close_client(&c);
}

Test(gdbstub, steps)
{
    struct client c;
    open_client(&c, "");
    go_to_program(&c);
    expect_part(&c, "vCont;s:1;c", "20:0400008000000000;");
    expect_part(&c, "s", "20:0800008000000000;");
    expect_part(&c, "vCont;S05:1", "20:1800008000000000;");
    expect_part(&c, "vCont;s", "20:1c00008000000000;");
    expect_part(&c, "vCont;r8000000c,80000018:1;c", "20:0800008000000000;"); // into the range and out
    expect_part(&c, "vCont;r8000000c,80000018:1;c", "20:1800008000000000;");
    expect_part(&c, "s80000010", "20:1400008000000000;");
    expect_part(&c, "S05;80000010", "20:1400008000000000;");
    uint64_t before = machine_icount(c.r.m);
    expect_part(&c, "s", "20:0800008000000000;");
    cr_expect_eq(machine_icount(c.r.m), before + 1);
    expect_reply(&c, "vCont;q", "E16");
    expect_reply(&c, "vCont;s:x", "E16");
    expect_reply(&c, "vCont;r100", "E16");
    expect_reply(&c, "vCont;t", "E16");
    expect_reply(&c, "vCont;s:7", "E16");
    close_client(&c);
}

static void run_for_long(struct client *c)
{
    send_packet(c, "c", 1);
    for (unsigned i = 0; i < 50; i++)
        turn(c);
}

Test(gdbstub, can_be_interrupted)
{
    struct client c;
    open_client(&c, "");
    run_for_long(&c);
    cr_expect_eq(c.r.vm->state, VM_RUNNING);
    send_raw(&c, "\x03", 1);
    g_autofree char *reply = next_packet(&c);
    cr_expect(g_str_has_prefix(reply, "T02thread:1;"), "%s", reply);
    send_raw(&c, "\x03", 1); // too late: nothing comes of it
    run_for_long(&c);
    send_packet(&c, "qC", 2); // stops it, too
    g_autofree char *first = next_packet(&c), *second = next_packet(&c);
    cr_expect(g_str_has_prefix(first, "T02"), "%s", first);
    cr_expect_str_eq(second, "QC1");
    run_for_long(&c);
    vm_stop(c.r.vm, VM_PAUSED); // by somebody else
    g_autofree char *third = next_packet(&c);
    cr_expect(g_str_has_prefix(third, "T02"), "%s", third);
    close_client(&c);
}

Test(gdbstub, acknowledges_until_told_not_to)
{
    struct client c;
    open_client(&c, "");
    send_raw(&c, "$qC#b4", 6);
    cr_expect_str_eq(c.got->str, "+$QC1#c5");
    send_raw(&c, "-", 1); // once more
    cr_expect_str_eq(c.got->str, "+$QC1#c5$QC1#c5");
    send_raw(&c, "+$qC#00", 7);
    cr_expect_str_eq(c.got->str, "+$QC1#c5$QC1#c5-");
    g_string_truncate(c.got, 0);
    expect_reply(&c, "QStartNoAckMode", "OK");
    send_raw(&c, "+", 1);
    g_string_truncate(c.got, 0);
    send_raw(&c, "$qC#00", 6); // checksums do not matter now
    cr_expect_str_eq(c.got->str, "$QC1#c5");
    close_client(&c);
}

// --- Ends ---

Test(gdbstub, detaches)
{
    struct client c;
    open_client(&c, "");
    expect_reply(&c, "Z0,80000018,4", "OK");
    expect_reply(&c, "D", "OK");
    cr_expect_eq(c.r.vm->state, VM_RUNNING);
    for (unsigned i = 0; i < 50; i++)
        turn(&c);
    cr_expect_eq(c.r.vm->state, VM_RUNNING); // the breakpoint went with gdb
    close_client(&c);
}

Test(gdbstub, forgets_breakpoints_when_gdb_goes)
{
    struct client c;
    open_client(&c, "");
    expect_reply(&c, "Z0,80000018,4", "OK");
    expect_start(&c, "c", "T05");
    close(c.fd);
    c.fd = -1;
    turn(&c);
    cr_expect_eq(c.r.vm->state, VM_DEBUG);
    vm_cont(c.r.vm, NULL);
    for (unsigned i = 0; i < 50; i++)
        turn(&c);
    cr_expect_eq(c.r.vm->state, VM_RUNNING);
    close_client(&c);
}

Test(gdbstub, kills)
{
    struct client c;
    open_client(&c, "");
    expect_reply(&c, "vKill;1", "OK");
    cr_expect(c.r.vm->over);
    close_client(&c);
    open_client(&c, "");
    send_packet(&c, "k", 1);
    cr_expect(c.r.vm->over);
    close_client(&c);
}

Test(gdbstub, runs_again_in_extended_mode)
{
    struct client c;
    open_client(&c, "");
    expect_reply(&c, "!", "OK");
    go_to_program(&c);
    expect_reply(&c, "vKill;1", "OK");
    cr_expect_not(c.r.vm->over);
    expect_start(&c, "vRun;", "T05thread:1;core:0;20:0010000000000000;");
    expect_reply(&c, "qAttached", "0");
    go_to_program(&c);
    send_packet(&c, "R00", 3);
    expect_reply(&c, "p20", "0010000000000000");
    expect_start(&c, "vAttach;1", "T05");
    close_client(&c);
}

Test(gdbstub, says_that_the_guest_is_off)
{
    // lui t2, 0x100; lui t3, 0x73; addi t3, t3, 0x333; sw t3, 0(t2)
    static const char off[] = "M80000000,10:b7031000373e0700130e3e3323a0c301";
    struct client c;
    open_client(&c, "");
    expect_reply(&c, off, "OK");
    expect_reply(&c, "c", "W07");
    cr_expect(c.r.vm->over && c.r.vm->status == 7);
    close_client(&c);
    open_client(&c, "-no-shutdown");
    expect_reply(&c, off, "OK");
    expect_start(&c, "c", "T03");
    expect_start(&c, "c", "O"); // it says what is the matter
    g_autofree char *again = next_packet(&c);
    cr_expect(g_str_has_prefix(again, "T03"), "%s", again);
    close_client(&c);
}

// --- Interrupts and steps ---

// A timer interrupt comes at each 100th tick; the handler counts in s0.
static const uint32_t with_timer[] = {
    0x00000297, // 00: auipc t0, 0
    0x05428293, // 04: addi t0, t0, 84 -> handler at 0x54
    0x30529073, // 08: csrw mtvec, t0
    0x020042b7, // 0c: lui t0, 0x2004: mtimecmp
    0x0200c337, // 10: lui t1, 0x200c
    0xff830313, // 14: addi t1, t1, -8: mtime
    0x00033383, // 18: ld t2, 0(t1)
    0x00238393, // 1c: addi t2, t2, 2
    0x0072b023, // 20: sd t2, 0(t0)
    0x08000e13, // 24: li t3, 0x80
    0x304e2073, // 28: csrs mie, t3
    0x30046073, // 2c: csrsi mstatus, 8
    0x00150513, // 30: addi a0, a0, 1
    0x00150513, // 34: addi a0, a0, 1
    0x00150513, // 38: addi a0, a0, 1
    0xff5ff06f, // 3c: j 30
    0x00000013, // 40
    0x00000013, // 44
    0x00000013, // 48
    0x00000013, // 4c
    0x00000013, // 50
    0x00140413, // 54: addi s0, s0, 1
    0x00033383, // 58: ld t2, 0(t1)
    0x00238393, // 5c: addi t2, t2, 2
    0x0072b023, // 60: sd t2, 0(t0)
    0x30200073, // 64: mret
};

Test(gdbstub, steps_let_interrupts_pass)
{
    struct client c;
    open_client(&c, "");
    for (unsigned i = 0; i < ARRAY_LEN(with_timer); i++)
        mem_write(c.r.m->mem, VM_RIG_CODE + 4 * i, 4, with_timer[i]);
    expect_reply(&c, "Z0,80000030,4", "OK");
    expect_part(&c, "c", "20:3000008000000000;");
    expect_reply(&c, "z0,80000030,4", "OK");
    for (unsigned i = 0; i < 400; i++) {
        g_autofree char *said = ask(&c, "s");
        cr_assert_eq(pc_of(&c), VM_RIG_CODE + 0x30 + 4 * ((i + 1) % 4), "step %u: %s", i, said);
    }
    cr_expect_eq(c.r.m->cpus[0]->reg[10], 300);
    cr_expect_gt(c.r.m->cpus[0]->reg[8], 1);
    // Or not, if that is not wanted.
    expect_reply(&c, "qqemu.sstep", "0x7");
    expect_reply(&c, "qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4");
    expect_reply(&c, "Qqemu.sstep=1", "OK");
    expect_reply(&c, "Qqemu.sstep=8", "E16");
    unsigned in_handler = 0;
    for (unsigned i = 0; i < 400; i++) {
        g_autofree char *said = ask(&c, "s");
        cr_assert_not_null(said);
        in_handler += pc_of(&c) >= VM_RIG_CODE + 0x54;
    }
    cr_expect_gt(in_handler, 4);
    close_client(&c);
}

// --- A debugged machine does what it does without ---

static uint64_t rnd(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (*seed >> 33) % below;
}

static uint64_t hash_after(icount_t insns)
{
    struct vm_rig r;
    vm_rig_open(&r, "-rtc base=2020-01-01", program, sizeof(program));
    vm_cont(r.vm, NULL);
    cr_assert_eq(vm_rig_run(&r, insns), STOP_ICOUNT);
    uint64_t hash = machine_hash(r.m);
    vm_rig_close(&r);
    return hash;
}

static void random_command(struct client *c, uint64_t *seed)
{
    static const char *const points[] = {"0,80000018,4",    "1,80000010,4",    "0,80000008,4",
                                         "2," COUNTER ",4", "3," COUNTER ",4", "4,80000ff0,20"};
    static const char *const runs[] = {"c", "s", "vCont;s:1;c", "vCont;r80000008,80000018:1;c"};
    const char *point = points[rnd(seed, ARRAY_LEN(points))];
    g_autofree char *text = NULL;
    switch (rnd(seed, 3)) {
    case 0:
        text = g_strconcat("Z", point, NULL);
        break;
    case 1:
        text = g_strconcat("z", point, NULL);
        break;
    default:
        text = g_strdup(runs[rnd(seed, ARRAY_LEN(runs))]);
    }
    send_packet(c, text, strlen(text));
    g_autofree char *reply = next_packet(c);
    if (!reply) { // nothing stops it
        send_raw(c, "\x03", 1);
        reply = next_packet(c);
    }
    cr_assert_not_null(reply, "%s", text);
}

Test(gdbstub, leaves_no_trace)
{
    const icount_t end = 1000000;
    uint64_t expected = hash_after(end);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct client c;
        uint64_t s = seed;
        open_client(&c, "-rtc base=2020-01-01");
        for (unsigned i = 0; i < 40; i++)
            random_command(&c, &s);
        cr_assert_lt(machine_icount(c.r.m), end);
        expect_reply(&c, "D", "OK");
        while (machine_icount(c.r.m) < end)
            cr_assert_eq(vm_run(c.r.vm, end), STOP_ICOUNT);
        cr_expect_eq(machine_hash(c.r.m), expected, "seed %" PRIu64, seed);
        close_client(&c);
    }
}

// --- Noise ---

static void append_noise(GString *out, uint64_t *seed)
{
    static const char *const starts[] = {"g",
                                         "G",
                                         "p",
                                         "P",
                                         "m",
                                         "M",
                                         "X",
                                         "x",
                                         "Z0,",
                                         "z0,",
                                         "Z2,",
                                         "Z4,",
                                         "H",
                                         "T",
                                         "vCont;",
                                         "vCont",
                                         "vRun;",
                                         "vFlashErase:",
                                         "vFlashWrite:",
                                         "vKill",
                                         "?",
                                         "!",
                                         "qSupported:",
                                         "qXfer:features:read:target.xml:",
                                         "qXfer:threads:read::",
                                         "qThreadExtraInfo,",
                                         "qCRC:",
                                         "Qqemu.sstep=",
                                         "Qqemu.PhyMemMode:",
                                         "R",
                                         "c",
                                         "C",
                                         "s",
                                         "S",
                                         "QStartNoAckMode",
                                         "qRcmd,",
                                         "bs",
                                         "bc",
                                         "F"};
    static const char bits[] = "0123456789abcdef,;:.-p=x\x03";
    g_autoptr(GString) body = g_string_new(starts[rnd(seed, ARRAY_LEN(starts))]);
    for (uint64_t n = rnd(seed, 24); n; n--)
        g_string_append_c(body,
                          rnd(seed, 8) ? bits[rnd(seed, sizeof(bits) - 1)] : (char)rnd(seed, 256));
    if (rnd(seed, 16))
        gdb_wire_pack(out, body->str, body->len);
    else
        g_string_append_len(out, body->str, (gssize)body->len);
}

// The machine may be stopped, stepped, reset, its memory and registers changed: but it lives, and answers.
static void converse(uint64_t seed)
{
    struct client c;
    open_client(&c, seed % 2 ? "-smp 2" : "");
    for (unsigned i = 0; i < 100; i++) {
        g_autoptr(GString) noise = g_string_new(NULL);
        append_noise(noise, &seed);
        send_raw(&c, noise->str, noise->len);
        g_string_truncate(c.got, 0);
        c.seen = 0;
        cr_assert_not(c.r.vm->over && !strchr(noise->str, 'k') && c.r.vm->status != 0);
        if (c.r.vm->over)
            break;
    }
    if (!c.r.vm->over) {
        send_raw(&c, "#00\x03$k#00", 4); // ends whatever is half said, and stops
        for (unsigned i = 0; i < 10; i++)
            turn(&c);
        g_string_truncate(c.got, 0);
        c.seen = 0;
        expect_start(&c, "qC", "QC");
    }
    close_client(&c);
}

Test(gdbstub, survives_noise, .timeout = 300)
{
    const char *rounds = getenv("FERRY_FUZZ_ROUNDS");
    uint64_t n = rounds ? g_ascii_strtoull(rounds, NULL, 0) : 40;
    for (uint64_t i = 0; i < n; i++)
        converse(i * UINT64_C(0x9e3779b97f4a7c15) + i % 2);
}

// --- Where to listen ---

Test(gdbstub, listens_on_this_machine_alone)
{
    static const char *const cases[][2] = {
        {"tcp::1234", "tcp:127.0.0.1:1234,server=on,wait=off,nodelay=on"},
        {"tcp:0.0.0.0:1,wait=on", "tcp:0.0.0.0:1,server=on,wait=off,nodelay=on,wait=on"},
        {"unix:/tmp/x", "unix:/tmp/x,server=on,wait=off"},
        {"stdio", "stdio"},
        {"chardev:x", "chardev:x"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        g_autofree char *spec = gdbstub_complete_spec(cases[i][0]);
        cr_expect_str_eq(spec, cases[i][1]);
    }
}

// What `monitor COMMAND` prints; the packets in front of OK are console output.
static void expect_monitor(struct client *c, const char *command, const char *want)
{
    g_autoptr(GString) ask_for = g_string_new("qRcmd,"), text = g_string_new(NULL);
    gdb_hex_append(ask_for, command, strlen(command));
    g_autofree char *packet = ask(c, ask_for->str);
    while (packet && packet[0] == 'O' && packet[1] != 'K') {
        const char *digits = packet + 1;
        g_autofree char *piece = g_malloc0(strlen(packet));
        cr_assert(gdb_hex_bytes(&digits, piece, strlen(digits) / 2));
        g_string_append(text, piece);
        g_free(packet);
        packet = next_packet(c);
    }
    cr_expect_str_eq(packet ? packet : "(nothing)", "OK");
    cr_expect(strstr(text->str, want), "%s prints %s", command, text->str);
}

Test(gdbstub, executes_lines_of_the_monitor)
{
    struct client c;
    open_client(&c, "-smp 2");
    expect_monitor(&c, "info status", "VM status: paused (prelaunch)\n");
    expect_monitor(&c, "nonsense", "unknown command: 'nonsense'\n");
    expect_monitor(&c, "x/3000xw 0x80000000", "80002ed0: 0x"); // more than a packet
    expect_reply(&c, "qRcmd,6", "OK");
    expect_reply(&c, "qRcmd,6g", "E16");
    close_client(&c);
}
