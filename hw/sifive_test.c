// SPDX-License-Identifier: MIT
// SiFive's test finisher: one register by which the guest ends the run. Software also knows it as a "syscon"
// that powers off and reboots.
#include "hw/device.h"
#include "hw/devtree.h"

enum { FINISHER_FAIL = 0x3333, FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

static bool sifive_test_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    (void)dev, (void)offset, (void)size;
    *value = 0;
    return true;
}

// The low half says what, the high half is the exit status of a failure.
static bool sifive_test_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const struct device_env *env = ((struct device *)opaque)->env;
    unsigned what = value & 0xffff;
    (void)size;
    if (offset == 0 && what == FINISHER_PASS)
        env->shutdown(env->opaque, 0);
    else if (offset == 0 && what == FINISHER_FAIL)
        env->shutdown(env->opaque, (int)(value >> 16 & 0xffff));
    else if (offset == 0 && what == FINISHER_RESET)
        env->reset(env->opaque);
    else
        log_guest("sifive-test: write of 0x%x at offset 0x%x ends nothing\n", (unsigned)value,
                  (unsigned)offset);
    return true;
}

static const struct mem_ops sifive_test_ops = {
    .read = sifive_test_read,
    .write = sifive_test_write,
    .min_size = 2,
    .max_size = 4,
};

static bool sifive_test_init(struct device *dev, GError **error)
{
    return mem_add_io(dev->env->mem, dev->id, dev->base, 0x1000, &sifive_test_ops, dev, error);
}

static void sifive_test_fdt(struct device *dev, struct devtree *dt)
{
    static const char *const compatible[] = {"sifive,test1", "sifive,test0", "syscon", NULL};
    devtree_begin_at(dt, "test", dev->base);
    devtree_declare(dt, dev);
    devtree_reg(dt, dev->base, 0x1000);
    devtree_strs(dt, "compatible", compatible);
    devtree_end(dt);
}

const struct device_class sifive_test_class = {
    .name = "sifive-test",
    .desc = "SiFive test finisher: power-off, exit status, reset",
    .size = sizeof(struct device),
    .state = device_no_state,
    .init = sifive_test_init,
    .fdt = sifive_test_fdt,
};
