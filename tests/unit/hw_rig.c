// SPDX-License-Identifier: MIT
#include "tests/unit/hw_rig.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/chardev_open.h"
#include "softmmu/mem.h"

static void on_shutdown(void *opaque, int exit_code)
{
    ((struct rig *)opaque)->exit_code = exit_code;
}

static void on_reset(void *opaque)
{
    ((struct rig *)opaque)->resets++;
}

static void on_line(void *opaque, unsigned n, bool level)
{
    struct rig *r = opaque;
    r->edges[n] += r->level[n] != level;
    r->level[n] = level;
}

static icount_t no_icount(void *opaque)
{
    (void)opaque;
    return 0;
}

struct rig *rig_new(const char *name, unsigned nr_irqs)
{
    const struct device_class *cls = device_class_find(name);
    struct rig *r = g_new0(struct rig, 1);
    cr_assert_not_null(cls, "no device class %s", name);
    r->peer = -1;
    r->exit_code = -1;
    r->env = (struct device_env){
        .mem = mem_new(),
        .clock = clock_new(),
        .door = door_new(1),
        .machine = "rig",
        .shutdown = on_shutdown,
        .reset = on_reset,
        .opaque = r,
    };
    door_set_icount(r->env.door, no_icount, NULL);
    door_set_epoch(r->env.door, RIG_EPOCH);
    cr_assert_not_null(mem_add_ram(r->env.mem, "ram", RIG_RAM, 1 << 20, NULL));
    r->dev = device_new(cls, &r->env, NULL, RIG_BASE, nr_irqs);
    for (unsigned i = 0; i < nr_irqs; i++)
        device_connect(r->dev, i, on_line, r, i);
    return r;
}

static void connect_socket(struct rig *r, const char *prop, const char *options)
{
    int fds[2];
    GError *error = NULL;
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    char *spec = g_strdup_printf("socket,id=rig,fd=%d%s", fds[0], options);
    r->chr_fd = fds[0];
    r->peer = fds[1];
    r->poller = poller_new();
    r->chr = chardev_open(options_parse("-chardev", spec, "backend"), r->poller, &error);
    cr_assert_not_null(r->chr, "%s", error ? error->message : "");
    device_set_ptr(r->dev, prop, r->chr);
    g_free(spec);
}

void rig_start(struct rig *r)
{
    GError *error = NULL;
    cr_assert(device_init(r->dev, &error), "%s", error ? error->message : "");
    device_reset(r->dev);
    memset(r->edges, 0, sizeof(r->edges));
}

void rig_free(struct rig *r)
{
    device_free(r->dev);
    chardev_close(r->chr);
    if (r->poller)
        poller_free(r->poller);
    if (r->peer >= 0)
        close(r->peer);
    door_free(r->env.door);
    clock_free(r->env.clock);
    mem_free(r->env.mem);
    g_free(r);
}

void rig_connect_chardev(struct rig *r, const char *prop)
{
    connect_socket(r, prop, "");
}

void rig_connect_mux(struct rig *r, const char *prop)
{
    connect_socket(r, prop, ",mux=on");
}

uint64_t rig_read(struct rig *r, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    cr_assert(mem_read(r->env.mem, RIG_BASE + offset, size, &value) == MEM_OK,
              "read of %u bytes at 0x%x is refused", size, (unsigned)offset);
    return value;
}

void rig_write(struct rig *r, uint64_t offset, unsigned size, uint64_t value)
{
    cr_assert(mem_write(r->env.mem, RIG_BASE + offset, size, value) == MEM_OK,
              "write of %u bytes at 0x%x is refused", size, (unsigned)offset);
}

bool rig_can_read(struct rig *r, uint64_t offset, unsigned size)
{
    uint64_t value;
    return mem_read(r->env.mem, RIG_BASE + offset, size, &value) == MEM_OK;
}

bool rig_can_write(struct rig *r, uint64_t offset, unsigned size, uint64_t value)
{
    return mem_write(r->env.mem, RIG_BASE + offset, size, value) == MEM_OK;
}

void rig_run_to(struct rig *r, uint64_t ns)
{
    struct clock *clk = r->env.clock;
    cr_assert(ns >= clk->base_ns);
    while (clock_next(clk) <= ns) {
        clk->base_ns = MAX(clk->base_ns, clock_next(clk));
        clock_run_due(clk);
    }
    clk->base_ns = ns;
}

char *rig_output(struct rig *r)
{
    char buf[65536];
    chardev_flush(r->chr);
    ssize_t n = read(r->peer, buf, sizeof(buf));
    return g_strndup(buf, n > 0 ? (gsize)n : 0);
}

size_t rig_type(struct rig *r, const char *text)
{
    size_t len = strlen(text);
    int unread = 0;
    cr_assert(write(r->peer, text, len) == (ssize_t)len);
    while (poller_wait(r->poller, 0))
        ;
    // What the device did not take still waits in the socket, and is taken out of it again.
    char buf[4096];
    while (recv(r->chr_fd, buf, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
        unread += (int)recv(r->chr_fd, buf, sizeof(buf), MSG_DONTWAIT);
    return len - (size_t)unread;
}

GByteArray *rig_save(struct rig *r)
{
    GByteArray *out = g_byte_array_new();
    state_save(r->dev->cls->state, r->dev, out);
    return out;
}
