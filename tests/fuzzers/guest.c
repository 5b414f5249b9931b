// SPDX-License-Identifier: MIT
// Whole guests: any bytes as the firmware of a machine, run by the translator and by the interpreter, which must
// agree on all of it at every stop.
#include <assert.h>

#include "base/bits.h"
#include "machine/board.h"
#include "tests/fuzzers/fuzzer.h"

static const icount_t stops[] = {100, 1000, 6000};

static const char *const models[2][4] = {
    {"rv32", "max", "sifive-e31", "rv32,misaligned=off,svadu=off"},
    {"rv64", "max", "sifive-u54", "rv64,misaligned=off,svadu=off"},
};

static void add_device(struct machine_config *cfg, const char *driver)
{
    struct machine_device_opt *d = g_new0(struct machine_device_opt, 1);
    d->driver = g_strdup(driver);
    d->props = g_ptr_array_new();
    g_ptr_array_add(cfg->devices, d);
}

static void device_opt_free(void *data)
{
    struct machine_device_opt *d = data;
    g_free(d->driver);
    g_ptr_array_unref(d->props);
    g_free(d);
}

static struct machine *new_machine(const struct machine_config *cfg)
{
    GError *error = NULL;
    struct machine *m = machine_new(cfg, &error);
    if (!m)
        g_error("%s", error->message);
    m->idle_limit_ns = UINT64_C(1) << 40;
    return m;
}

// FALSE when there is nothing more to run.
static bool run_both(struct machine *a, struct machine *b, icount_t until)
{
    enum machine_stop stop = machine_run(a, until), other = machine_run(b, until);
    assert(stop == other && machine_icount(a) == machine_icount(b));
    assert(a->exit_code == b->exit_code);
    assert(machine_hash(a) == machine_hash(b));
    return stop == STOP_ICOUNT;
}

static void compare(const struct machine_config *cfg)
{
    struct machine_config interpreted = *cfg;
    interpreted.accel = ACCEL_INTERP;
    struct machine *a = new_machine(cfg), *b = new_machine(&interpreted);
    for (unsigned i = 0; i < ARRAY_LEN(stops) && run_both(a, b, stops[i]); i++)
        ;
    machine_free(a);
    machine_free(b);
}

// The first byte: 1 for 64 bits, 6 the model, 8 for two CPUs.
static void run(const uint8_t *data, size_t len)
{
    if (len < 2)
        return;
    struct fuzz_file file = fuzz_file_new(data + 1, len - 1);
    struct machine_config cfg = {
        .board = board_find("virt"),
        .bits = data[0] & 1 ? 64 : 32,
        .cpu_model = (char *)models[data[0] & 1][data[0] >> 1 & 3],
        .smp = 1 + (data[0] >> 3 & 1),
        .ram_size = 1 << 20,
        .accel = ACCEL_DBT,
        .bios = file.path,
        .devices = g_ptr_array_new_with_free_func(device_opt_free),
        .has_epoch = true,
        .no_reboot = true,
        .code_cache_size = 1 << 20,
    };
    add_device(&cfg, "virtio-rng-device");
    add_device(&cfg, "virtio-serial-device");
    compare(&cfg);
    g_ptr_array_unref(cfg.devices);
    fuzz_file_close(&file);
}

const struct fuzzer fuzzer_guest = {
    .name = "guest",
    .help = "a byte that chooses the CPUs, then what they run in machine mode",
    .max_len = 4096,
    .run = run,
};
