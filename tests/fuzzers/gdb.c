// SPDX-License-Identifier: MIT
// What a debugger may send, and what no debugger would: packets one a line, the machine running in between.
#include <sys/socket.h>
#include <unistd.h>

#include "control/gdb_wire.h"
#include "control/gdbstub.h"
#include "tests/fuzzers/fuzzer.h"
#include "tests/unit/vm_rig.h"

// Counts in a0 and stores it; a subroutine in between.
static const uint32_t program[] = {
    0x00001297, // auipc t0, 1
    0x00000513, // li a0, 0
    0x010000ef, // jal 1f
    0x00a2a023, // 2: sw a0, 0(t0)
    0x0002a583, // lw a1, 0(t0)
    0xff5ff06f, // j -12
    0x00150513, // 1: addi a0, a0, 1
    0x00008067, // ret
};

struct client {
    struct vm_rig r;
    struct gdbstub *g;
    int fd;
};

static void open_client(struct client *c, bool interpreted)
{
    int fds[2];
    GError *error = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        g_error("no sockets");
    g_autofree char *line =
        g_strdup_printf("-chardev socket,id=d,fd=%d -gdb chardev:d -smp 2 -m 1M -accel %s", fds[1],
                        interpreted ? "interp" : "tcg,tb-size=1");
    c->fd = fds[0];
    vm_rig_open(&c->r, line, program, sizeof(program));
    c->g = gdbstub_new(c->r.vm, c->r.s->gdb, &error);
    if (!c->g)
        g_error("%s", error->message);
    poller_wait(c->r.s->poller, 0);
}

static void close_client(struct client *c)
{
    close(c->fd);
    gdbstub_free(c->g);
    vm_rig_close(&c->r);
}

// As the main loop does it; nobody reads the answers but the socket's buffer.
static void turn(struct client *c)
{
    char answers[4096];
    poller_wait(c->r.s->poller, 0);
    if (vm_is_running(c->r.vm) && !c->r.vm->over)
        vm_rig_run(&c->r, 50);
    while (recv(c->fd, answers, sizeof(answers), MSG_DONTWAIT) > 0)
        ;
}

static void send_bytes(struct client *c, const char *bytes, size_t len)
{
    if (send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; // the stub has hung up
    turn(c);
    turn(c);
}

// A line that starts with a space goes as it is, any other as a packet.
static void send_line(struct client *c, const char *line, size_t len)
{
    g_autoptr(GString) packet = g_string_new(NULL);
    if (len && line[0] == ' ')
        g_string_append_len(packet, line + 1, (gssize)len - 1);
    else
        gdb_wire_pack(packet, line, len);
    send_bytes(c, packet->str, packet->len);
}

static void run(const uint8_t *data, size_t len)
{
    struct fuzz_input in = fuzz_input(data, len);
    struct client c;
    open_client(&c, fuzz_take(&in, 1) & 1);
    while (fuzz_left(&in)) {
        const uint8_t *end = memchr(in.at, '\n', fuzz_left(&in));
        size_t n = end ? (size_t)(end - in.at) : fuzz_left(&in);
        send_line(&c, (const char *)in.at, n);
        in.at += n + (end != NULL);
    }
    close_client(&c);
}

const struct fuzzer fuzzer_gdb = {
    .name = "gdb",
    .help = "a byte for the accelerator, then packets of gdb's protocol, one a line",
    .max_len = 512,
    .run = run,
};
