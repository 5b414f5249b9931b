// SPDX-License-Identifier: MIT
// The registers of a device that is not modelled: they read zero and ignore writes, and `-d unimp` tells.
#include <inttypes.h>

#include "hw/device.h"

struct unimp {
    struct device dev;
    uint64_t size;
};

static bool unimp_read(void *opaque, uint64_t offset, unsigned size, uint64_t *value)
{
    log_unimp("%s: read of %u bytes at offset 0x%" PRIx64 "\n", ((struct device *)opaque)->id, size,
              offset);
    *value = 0;
    return true;
}

static bool unimp_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    log_unimp("%s: write of 0x%" PRIx64 ", %u bytes, at offset 0x%" PRIx64 "\n",
              ((struct device *)opaque)->id, value, size, offset);
    return true;
}

static const struct mem_ops unimp_ops = {
    .read = unimp_read,
    .write = unimp_write,
    .min_size = 1,
    .max_size = 8,
};

static bool unimp_init(struct device *dev, GError **error)
{
    struct unimp *u = (struct unimp *)dev;
    if (!u->size) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: size is at least 1",
                    dev->cls->name);
        return false;
    }
    return mem_add_io(dev->env->mem, dev->id, dev->base, u->size, &unimp_ops, u, error);
}

static const struct device_prop unimp_props[] = {
    {"size", PROP_U64, offsetof(struct unimp, size), 0x1000, "bytes of registers"},
    PROP_END,
};

const struct device_class unimp_class = {
    .name = "unimplemented-device",
    .desc = "registers that read zero, in place of a device that is not there",
    .size = sizeof(struct unimp),
    .props = unimp_props,
    .state = device_no_state,
    .init = unimp_init,
};
