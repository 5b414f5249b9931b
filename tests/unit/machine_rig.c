// SPDX-License-Identifier: MIT
// Whole machines for tests. See machine_rig.h.
#include "machine_rig.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev_open.h"
#include "backend/net.h"
#include "machine/board.h"

// --- Files ---

char *mrig_make_folder(void)
{
    char *folder = g_dir_make_tmp("ferry-rig-XXXXXX", NULL);
    cr_assert_not_null(folder);
    return folder;
}

void mrig_remove_folder(char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        unlink(path);
    }
    if (dir)
        g_dir_close(dir);
    rmdir(folder);
    g_free(folder);
}

char *mrig_make_disk(const char *folder)
{
    char *path = g_build_filename(folder, "disk.img", NULL);
    g_autofree uint8_t *bytes = g_malloc(MRIG_DISK_SIZE);
    for (unsigned i = 0; i < MRIG_DISK_SIZE; i++)
        bytes[i] = (uint8_t)(i / 512 * 7 + i % 251);
    memset(bytes + MRIG_DISK_SIZE / 2, 0, MRIG_DISK_SIZE / 4);
    cr_assert(g_file_set_contents(path, (char *)bytes, MRIG_DISK_SIZE, NULL));
    return path;
}

// --- Back ends ---

static void add_device(struct machine_rig *r, const char *driver, const char *prop,
                       const char *value)
{
    struct machine_device_opt *opt = g_new0(struct machine_device_opt, 1);
    opt->driver = g_strdup(driver);
    opt->props = g_ptr_array_new_with_free_func(g_free);
    if (prop) {
        g_ptr_array_add(opt->props, g_strdup(prop));
        g_ptr_array_add(opt->props, g_strdup(value));
    }
    g_ptr_array_add(r->cfg.devices, opt);
}

static void add_disk(struct machine_rig *r, const struct mrig_options *o)
{
    struct block_options opts = {
        .id = "hd0", .file = o->disk, .format = "raw", .snapshot = !o->in_place};
    GError *error = NULL;
    r->disk = block_open(&opts, &error);
    cr_assert_not_null(r->disk, "%s", error ? error->message : "");
    g_hash_table_insert(r->cfg.blocks, g_strdup("hd0"), r->disk);
    add_device(r, "virtio-blk-device", "drive", "hd0");
}

static void add_net(struct machine_rig *r)
{
    GError *error = NULL;
    r->net = netdev_open(options_parse("-netdev", "user,id=net0", "type"), r->poller, &error);
    cr_assert_not_null(r->net, "%s", error ? error->message : "");
    g_hash_table_insert(r->cfg.netdevs, g_strdup("net0"), r->net);
    add_device(r, "virtio-net-device", "netdev", "net0");
}

static void add_serial(struct machine_rig *r)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    r->peer = fds[0];
    r->serial_fd = fds[1];
    g_autofree char *text = g_strdup_printf("socket,id=serial0,fd=%d", r->serial_fd);
    GError *error = NULL;
    r->serial = chardev_open(options_parse("-chardev", text, "backend"), r->poller, &error);
    cr_assert_not_null(r->serial, "%s", error ? error->message : "");
    r->cfg.serial[0] = r->serial;
}

static void free_device(void *opaque)
{
    struct machine_device_opt *opt = opaque;
    g_free(opt->driver);
    g_ptr_array_unref(opt->props);
    g_free(opt);
}

// --- Life ---

void mrig_init(struct machine_rig *r, const struct mrig_options *o)
{
    const char *build = g_getenv("FERRY_BUILD");
    *r = (struct machine_rig){.poller = poller_new(), .output = g_string_new(NULL)};
    r->cfg = (struct machine_config){
        .board = board_find("virt"),
        .bits = 64,
        .smp = o->smp,
        .ram_size = 48 << 20,
        .accel = o->accel,
        .has_epoch = true,
        .epoch_ns = UINT64_C(1700000000000000000),
    };
    r->cfg.bios = g_strdup("none");
    r->cfg.kernel = g_build_filename(build ? build : "build", "tests/unit/guests/busy.elf", NULL);
    r->cfg.devices = g_ptr_array_new_with_free_func(free_device);
    r->cfg.loaders = g_array_new(FALSE, TRUE, sizeof(struct machine_loader_opt));
    r->cfg.board_props = g_hash_table_new(g_str_hash, g_str_equal);
    r->cfg.blocks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    r->cfg.netdevs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    add_serial(r);
    if (o->disk)
        add_disk(r, o);
    if (o->net)
        add_net(r);
    add_device(r, "virtio-rng-device", NULL, NULL);
}

void mrig_start(struct machine_rig *r)
{
    GError *error = NULL;
    r->m = machine_new(&r->cfg, &error);
    cr_assert_not_null(r->m, "%s", error ? error->message : "");
}

void mrig_new(struct machine_rig *r, const struct mrig_options *o)
{
    mrig_init(r, o);
    mrig_start(r);
}

void mrig_free(struct machine_rig *r)
{
    if (r->m)
        machine_free(r->m);
    netdev_close(r->net);
    block_close(r->disk);
    chardev_close(r->serial);
    poller_free(r->poller);
    close(r->peer);
    close(r->serial_fd);
    g_ptr_array_unref(r->cfg.devices);
    g_array_unref(r->cfg.loaders);
    g_hash_table_unref(r->cfg.board_props);
    g_hash_table_unref(r->cfg.blocks);
    g_hash_table_unref(r->cfg.netdevs);
    g_free(r->cfg.bios);
    g_free(r->cfg.kernel);
    g_string_free(r->output, TRUE);
}

// --- Running ---

static void hear(struct machine_rig *r)
{
    char buf[4096];
    ssize_t n;
    while ((n = read(r->peer, buf, sizeof(buf))) > 0)
        g_string_append_len(r->output, buf, n);
}

static void type(struct machine_rig *r, icount_t at)
{
    char key = (char)('A' + at / MRIG_KEY_EACH % 26);
    cr_assert_eq(write(r->peer, &key, 1), 1);
}

static enum machine_stop run_machine(void *opaque, icount_t until)
{
    return machine_run(opaque, until);
}

void mrig_run(struct machine_rig *r, icount_t until)
{
    mrig_run_by(r, until, run_machine, r->m);
}

void mrig_run_by(struct machine_rig *r, icount_t until, mrig_mover *run, void *opaque)
{
    poller_wait(r->poller, 0);
    while (machine_icount(r->m) < until) {
        icount_t key = (machine_icount(r->m) / MRIG_KEY_EACH + 1) * MRIG_KEY_EACH;
        enum machine_stop stop = run(opaque, MIN(key, until));
        cr_assert(stop == STOP_ICOUNT || stop == STOP_IDLE || stop == STOP_PRESENT,
                  "stopped at %" G_GUINT64_FORMAT " by %d: %s", machine_icount(r->m), (int)stop,
                  r->m->error ? r->m->error : "");
        if (machine_icount(r->m) == key)
            type(r, key);
        poller_wait(r->poller, 0);
        hear(r);
    }
}
