// SPDX-License-Identifier: MIT
#define _GNU_SOURCE // nftw
#include "tests/unit/device_rig.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev_open.h"
#include "backend/fsdev.h"
#include "backend/net_impl.h"

static void must(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void must(bool ok, const char *fmt, ...)
{
    va_list args;
    if (ok)
        return;
    va_start(args, fmt);
    g_logv(NULL, G_LOG_LEVEL_ERROR, fmt, args);
    va_end(args);
}

static const char *text_of(const GError *error)
{
    return error ? error->message : "";
}

static void end_shutdown(void *opaque, int exit_code)
{
    (void)exit_code;
    ((struct device_rig *)opaque)->ends++;
}

static void end_reset(void *opaque)
{
    ((struct device_rig *)opaque)->ends++;
}

static void irq_changed(void *opaque, unsigned n, bool level)
{
    struct device_rig *rig = opaque;
    assert(n < DUT_DEPTH * DUT_IRQS);
    rig->level[n] = level;
}

static void *open_chardev(struct device_rig *rig, struct device_rig_backend *b)
{
    int fds[2];
    GError *error = NULL;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0, "no sockets");
    g_autofree char *spec = g_strdup_printf("socket,id=chr,fd=%d", fds[1]);
    b->peer = fds[0];
    b->chr = chardev_open(options_parse("-chardev", spec, "backend"), rig->poller, &error);
    must(b->chr, "%s", text_of(error));
    return b->chr;
}

// A device whose size is a property wants an image of that size.
static uint64_t disk_size(const struct device_class *cls)
{
    for (const struct device_prop *p = cls->props; p->name; p++) {
        if (!strcmp(p->name, "size") && p->kind == PROP_U64)
            return p->def;
    }
    return DUT_DISK_SIZE;
}

// The file is gone as soon as it is open, so that nothing is left behind by a crash.
static void *open_block(const struct device_class *cls, struct device_rig_backend *b)
{
    GError *error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("ferry-disk-XXXXXX", &path, NULL);
    must(fd >= 0 && !ftruncate(fd, (off_t)disk_size(cls)), "no temporary file");
    close(fd);
    b->blk = block_open(&(struct block_options){.file = path, .format = "raw"}, &error);
    must(b->blk, "%s", text_of(error));
    unlink(path);
    return b->blk;
}

// A network of one echo.
static bool echo_start(struct netdev *net, GError **error)
{
    (void)net, (void)error;
    return true;
}

static void echo_nothing(struct netdev *net)
{
    (void)net;
}

static void echo_send(struct netdev *net, const uint8_t *frame, size_t len)
{
    netdev_receive(net, frame, len);
}

static const struct netdev_class echo_class = {
    .kind = "echo",
    .close = echo_nothing,
    .start = echo_start,
    .stop = echo_nothing,
    .send = echo_send,
    .tick = echo_nothing,
};

static void *open_net(struct device_rig *rig, struct device_rig_backend *b)
{
    b->net = g_new0(struct netdev, 1);
    b->net->cls = &echo_class;
    b->net->id = g_strdup("net");
    b->net->p = rig->poller;
    g_queue_init(&b->net->rx);
    return b->net;
}

// --- A folder: one for all of a test's machines ---

static char *folder_path(void)
{
    return g_strdup_printf("%s/ferry-devices-%d", g_get_tmp_dir(), (int)getpid());
}

// Nobody's reading changes the times of what is in it: they have been read since they were written.
static void folder_add(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    const struct timespec times[2] = {{.tv_sec = time(NULL) + 1000}, {.tv_sec = 1}};
    if (text)
        must(g_file_set_contents(path, text, -1, NULL), "%s", path);
    else
        must(mkdir(path, 0755) == 0 || errno == EEXIST, "%s", path);
    must(utimensat(AT_FDCWD, path, times, 0) == 0, "%s", path);
}

static void *open_folder(struct device_rig *rig, struct device_rig_backend *b)
{
    GError *error = NULL;
    g_autofree char *path = folder_path();
    if (mkdir(path, 0755) == 0) {
        folder_add(path, "dir", NULL);
        folder_add(path, "dir/file", "text");
        folder_add(path, "dut", "more text");
        folder_add(path, ".", NULL);
    }
    g_autofree char *spec = g_strdup_printf("local,id=fs,path=%s,security_model=none,readonly=%s",
                                            path, rig->variant & DUT_WRITABLE ? "off" : "on");
    b->fs = fsdev_open(options_parse("-fsdev", spec, "fsdriver"), &error);
    must(b->fs, "%s", text_of(error));
    return b->fs;
}

static int allow_removal(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return type == FTW_D || type == FTW_DNR ? chmod(path, 0700) : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void close_folder(struct fsdev *fs)
{
    g_autofree char *path = folder_path();
    fsdev_close(fs);
    nftw(path, allow_removal, 16, FTW_PHYS);
    nftw(path, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}

static void open_backends(struct device_rig *rig, struct device *dev)
{
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++) {
        struct device_rig_backend b = {.kind = p->kind, .peer = -1};
        if (p->kind == PROP_CHARDEV)
            device_set_ptr(dev, p->name, open_chardev(rig, &b));
        else if (p->kind == PROP_BLOCK)
            device_set_ptr(dev, p->name, open_block(dev->cls, &b));
        else if (p->kind == PROP_NET)
            device_set_ptr(dev, p->name, open_net(rig, &b));
        else if (p->kind == PROP_FSDEV)
            device_set_ptr(dev, p->name, open_folder(rig, &b));
        else
            continue;
        g_array_append_val(rig->backends, b);
    }
}

static void close_backend(void *opaque)
{
    struct device_rig_backend *b = opaque;
    if (b->kind == PROP_CHARDEV)
        chardev_close(b->chr);
    else if (b->kind == PROP_BLOCK)
        block_close(b->blk);
    else if (b->kind == PROP_NET)
        netdev_close(b->net);
    else if (b->kind == PROP_FSDEV)
        close_folder(b->fs);
    if (b->peer >= 0)
        close(b->peer);
}

static void flip_switches(struct device *dev)
{
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++) {
        if (p->kind == PROP_BOOL)
            device_set_u64(dev, p->name, !*(bool *)((char *)dev + p->offset));
    }
}

static void set_strings(struct device *dev)
{
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++) {
        if (p->kind == PROP_STRING)
            device_set_str(dev, p->name, "dut");
    }
}

// The class that offers a bus.
static const struct device_class *provider(const char *bus)
{
    const struct device_class *cls;
    for (unsigned i = 0; (cls = device_class_at(i)); i++) {
        if (cls->provides && !strcmp(cls->provides, bus))
            return cls;
    }
    g_error("nothing offers the bus '%s'", bus);
}

// Makes a device behind its parents, which are initialised first.
static void add_device(struct device_rig *rig, const struct device_class *cls)
{
    GError *error = NULL;
    struct device *parent = NULL;
    if (cls->bus) {
        add_device(rig, provider(cls->bus));
        parent = rig->dev;
        if (rig->variant & DUT_FLIPPED_BUS)
            flip_switches(parent);
        must(device_init(parent, &error), "%s", text_of(error));
    }
    unsigned depth = rig->depth++;
    assert(depth < DUT_DEPTH);
    rig->dev = device_new(cls, &rig->env, "dut", cls->bus ? 0 : DUT_BASE, DUT_IRQS);
    rig->chain[depth] = rig->dev;
    rig->dev->parent = parent;
    for (unsigned i = 0; i < DUT_IRQS; i++)
        device_connect(rig->dev, i, irq_changed, rig, depth * DUT_IRQS + i);
    open_backends(rig, rig->dev);
    if (rig->variant & DUT_FLIPPED)
        flip_switches(rig->dev);
    if (rig->variant & DUT_STRINGS)
        set_strings(rig->dev);
}

struct device_rig *device_rig_make(const struct device_class *cls, unsigned variant)
{
    struct device_rig *rig = g_new0(struct device_rig, 1);
    rig->variant = variant;
    rig->mem = mem_new();
    rig->clk = clock_new();
    rig->door = door_new(1);
    rig->poller = poller_new();
    rig->backends = g_array_new(FALSE, FALSE, sizeof(struct device_rig_backend));
    g_array_set_clear_func(rig->backends, close_backend);
    door_set_epoch(rig->door, UINT64_C(1700000000) * NS_PER_S);
    must(mem_add_ram(rig->mem, "ram", DUT_RAM, DUT_RAM_SIZE, NULL), "no memory");
    rig->env = (struct device_env){
        .mem = rig->mem,
        .clock = rig->clk,
        .door = rig->door,
        .machine = "rig",
        .shutdown = end_shutdown,
        .reset = end_reset,
        .opaque = rig,
    };
    add_device(rig, cls);
    return rig;
}

void device_rig_free(struct device_rig *rig)
{
    const char *name = rig->dev->cls->name;
    while (rig->depth)
        device_free(rig->chain[--rig->depth]);
    must(rig->clk->timers->len == 0, "%s: leaves a timer behind", name);
    for (unsigned i = 0; i < rig->backends->len; i++) {
        struct device_rig_backend *b = &g_array_index(rig->backends, struct device_rig_backend, i);
        bool connected = b->kind == PROP_CHARDEV ? chardev_front_count(b->chr) > 0
                         : b->kind == PROP_NET   ? netdev_is_attached(b->net)
                                                 : false;
        must(!connected, "%s: leaves itself connected", name);
    }
    g_array_free(rig->backends, TRUE);
    poller_free(rig->poller);
    door_free(rig->door);
    clock_free(rig->clk);
    mem_free(rig->mem);
    g_free(rig);
}

void device_rig_reset(struct device_rig *rig)
{
    for (unsigned i = 0; i < rig->depth; i++)
        device_reset(rig->chain[i]);
}

// Some classes must have their strings, and others take only strings of a form.
struct device_rig *device_rig_new(const struct device_class *cls, unsigned variant)
{
    GError *error = NULL;
    struct device_rig *rig = device_rig_make(cls, variant);
    if (!device_init(rig->dev, NULL)) {
        device_rig_free(rig);
        rig = device_rig_make(cls, variant ^ DUT_STRINGS);
        must(device_init(rig->dev, &error), "%s: %s", cls->name, text_of(error));
    }
    device_rig_reset(rig);
    poller_wait(rig->poller, 0); // tells the device that its peers are there
    return rig;
}

static void host_types(int peer, const uint8_t *data, size_t len)
{
    char text[32];
    while (read(peer, text, sizeof(text)) > 0)
        ; // what the guest printed
    ssize_t n = write(peer, data, MIN(len, sizeof(text)));
    must(n || !len, "a peer is gone"); // -1 when the guest has not taken its input for long
}

void device_rig_host_input(struct device_rig *rig, const uint8_t *data, size_t len)
{
    for (unsigned i = 0; i < rig->backends->len; i++) {
        struct device_rig_backend *b = &g_array_index(rig->backends, struct device_rig_backend, i);
        if (b->kind == PROP_CHARDEV)
            host_types(b->peer, data, len);
        else if (b->kind == PROP_NET)
            netdev_receive(b->net, data, len);
    }
    poller_wait(rig->poller, 0);
}

GByteArray *device_rig_save(struct device_rig *rig)
{
    GByteArray *saved = g_byte_array_sized_new(1); // so that it has data even if there is no state
    for (unsigned i = 0; i < rig->depth; i++)
        state_save(rig->chain[i]->cls->state, rig->chain[i], saved);
    return saved;
}

bool device_rig_load(struct device_rig *rig, const GByteArray *saved)
{
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    for (unsigned i = 0; i < rig->depth; i++) {
        if (!state_load(rig->chain[i]->cls->state, rig->chain[i], "dut", &data, &len, NULL))
            return false;
    }
    must(len == 0, "%s: leaves bytes of its state", rig->dev->cls->name);
    for (unsigned i = 0; i < rig->depth; i++) {
        if (rig->chain[i]->cls->loaded)
            rig->chain[i]->cls->loaded(rig->chain[i]);
    }
    return true;
}

uint64_t device_rig_hash(const struct device_rig *rig)
{
    uint64_t hash = 0;
    for (unsigned i = 0; i < rig->depth; i++)
        hash = state_hash(rig->chain[i]->cls->state, rig->chain[i], hash);
    return hash;
}

char *device_rig_diff(struct device_rig *a, struct device_rig *b)
{
    for (unsigned i = 0; i < a->depth; i++) {
        char *name = state_diff(a->chain[i]->cls->state, a->chain[i], b->chain[i]);
        if (name)
            return name;
    }
    for (unsigned i = 0; i < DUT_DEPTH * DUT_IRQS; i++) {
        if (a->level[i] != b->level[i])
            return g_strdup_printf("output %u", i % DUT_IRQS);
    }
    return NULL;
}

static void copy_block(struct block *from, struct block *to)
{
    enum { CHUNK = 1 << 16 };
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    for (uint64_t at = 0; at < block_size(from); at += CHUNK) {
        must(block_read(from, at, buf, CHUNK) == 0, "a disk can't be read");
        if (buf[0] || memcmp(buf, buf + 1, CHUNK - 1))
            must(block_write(to, at, buf, CHUNK) == 0, "a disk can't be written");
    }
}

static void copy_memory(struct mem *from, struct mem *to)
{
    struct mem_region *r;
    for (unsigned i = 0; (r = mem_region_at(from, i)); i++) {
        if (r->kind != MEM_IO)
            must(mem_load(to, r->base, r->host, r->size) == MEM_OK, "%s", r->name);
    }
}

// Frames on their way are no part of a machine: both have none.
static void drop_frames(struct clock *clk, struct netdev *net)
{
    g_queue_clear_full(&net->rx, g_free);
    if (net->attached)
        clock_at(clk, &net->rx_due, CLOCK_NEVER);
}

void device_rig_copy_surroundings(struct device_rig *from, struct device_rig *to)
{
    GByteArray *door = g_byte_array_new();
    state_save(door_state_fields, door_state(from->door), door);
    const uint8_t *data = door->data;
    size_t len = door->len;
    must(state_load(door_state_fields, door_state(to->door), "door", &data, &len, NULL), "door");
    g_byte_array_free(door, TRUE);
    to->clk->base_ns = from->clk->base_ns;
    copy_memory(from->mem, to->mem);
    for (unsigned i = 0; i < from->backends->len; i++) {
        struct device_rig_backend *b = &g_array_index(from->backends, struct device_rig_backend, i);
        if (b->kind == PROP_BLOCK)
            copy_block(b->blk, g_array_index(to->backends, struct device_rig_backend, i).blk);
        if (b->kind == PROP_NET)
            drop_frames(from->clk, b->net);
    }
}
