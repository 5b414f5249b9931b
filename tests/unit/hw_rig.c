// SPDX-License-Identifier: MIT
#include "tests/unit/hw_rig.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/chardev_open.h"
#include "softmmu/mem.h"

static void on_shutdown(void *opaque, int exit_code)
{
    ((struct hw_rig *)opaque)->exit_code = exit_code;
}

static void on_reset(void *opaque)
{
    ((struct hw_rig *)opaque)->resets++;
}

static void on_line(void *opaque, unsigned n, bool level)
{
    struct hw_rig *r = opaque;
    r->edges[n] += r->level[n] != level;
    r->level[n] = level;
}

struct hw_rig *hw_rig_new(const char *name, unsigned nr_irqs)
{
    const struct device_class *cls = device_class_find(name);
    struct hw_rig *r = g_new0(struct hw_rig, 1);
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
    door_set_epoch(r->env.door, RIG_EPOCH);
    cr_assert_not_null(mem_add_ram(r->env.mem, "ram", RIG_RAM, 1 << 20, NULL));
    r->dev = device_new(cls, &r->env, NULL, RIG_BASE, nr_irqs);
    for (unsigned i = 0; i < nr_irqs; i++)
        device_connect(r->dev, i, on_line, r, i);
    return r;
}

static void connect_socket(struct hw_rig *r, const char *prop, const char *options)
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

void hw_rig_start(struct hw_rig *r)
{
    GError *error = NULL;
    cr_assert(device_init(r->dev, &error), "%s", error ? error->message : "");
    device_reset(r->dev);
    memset(r->edges, 0, sizeof(r->edges));
}

void hw_rig_free(struct hw_rig *r)
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

void hw_rig_connect_chardev(struct hw_rig *r, const char *prop)
{
    connect_socket(r, prop, "");
}

void hw_rig_connect_mux(struct hw_rig *r, const char *prop)
{
    connect_socket(r, prop, ",mux=on");
}

uint64_t hw_rig_read(struct hw_rig *r, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    cr_assert(mem_read(r->env.mem, RIG_BASE + offset, size, &value) == MEM_OK,
              "read of %u bytes at 0x%x is refused", size, (unsigned)offset);
    return value;
}

void hw_rig_write(struct hw_rig *r, uint64_t offset, unsigned size, uint64_t value)
{
    cr_assert(mem_write(r->env.mem, RIG_BASE + offset, size, value) == MEM_OK,
              "write of %u bytes at 0x%x is refused", size, (unsigned)offset);
}

bool hw_rig_can_read(struct hw_rig *r, uint64_t offset, unsigned size)
{
    uint64_t value;
    return mem_read(r->env.mem, RIG_BASE + offset, size, &value) == MEM_OK;
}

bool hw_rig_can_write(struct hw_rig *r, uint64_t offset, unsigned size, uint64_t value)
{
    return mem_write(r->env.mem, RIG_BASE + offset, size, value) == MEM_OK;
}

void hw_rig_run_to(struct hw_rig *r, uint64_t ns)
{
    struct clock *clk = r->env.clock;
    cr_assert(ns >= clk->base_ns);
    while (clock_next(clk) <= ns) {
        clk->base_ns = MAX(clk->base_ns, clock_next(clk));
        clock_run_due(clk);
    }
    clk->base_ns = ns;
}

char *hw_rig_output(struct hw_rig *r)
{
    char buf[65536];
    chardev_flush(r->chr);
    ssize_t n = read(r->peer, buf, sizeof(buf));
    return g_strndup(buf, n > 0 ? (gsize)n : 0);
}

size_t hw_rig_type(struct hw_rig *r, const char *text)
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

GByteArray *hw_rig_save(struct hw_rig *r)
{
    GByteArray *out = g_byte_array_new();
    state_save(r->dev->cls->state, r->dev, out);
    return out;
}
