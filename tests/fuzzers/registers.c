// SPDX-License-Identifier: MIT
// Registers of any device, with all that can happen around it: time, lines, input from the host, DMA memory that
// changes, resets, snapshots.
#include <assert.h>

#include "base/bits.h"
#include "tests/fuzzers/fuzzer.h"
#include "tests/unit/device_rig.h"

static const struct device_class *class_at(unsigned n)
{
    unsigned count = 0;
    while (device_class_at(count))
        count++;
    return device_class_at(n % count);
}

// One of the device's regions: all but RAM. NULL if it has none.
static const struct mem_region *region_at(struct device_rig *rig, unsigned n)
{
    const struct mem_region *r[8];
    unsigned count = 0;
    for (unsigned i = 0; count < ARRAY_LEN(r) && mem_region_at(rig->mem, i); i++) {
        if (mem_region_at(rig->mem, i)->base != DUT_RAM)
            r[count++] = mem_region_at(rig->mem, i);
    }
    return count ? r[n % count] : NULL;
}

// Near the region's start, or anywhere in it.
static paddr_t take_register(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    const struct mem_region *r = region_at(rig, flags >> 3);
    uint64_t offset = fuzz_take(in, flags & 4 ? 4 : 1);
    return r ? r->base + offset % r->size : DUT_BASE;
}

static void read_register(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    uint64_t value = 0;
    unsigned size = 1u << (flags & 3);
    enum mem_status status = mem_read(rig->mem, take_register(rig, in, flags), size, &value);
    assert(status != MEM_OK || size == 8 || !(value >> (8 * size)));
}

static void write_register(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    unsigned size = 1u << (flags & 3);
    paddr_t addr = take_register(rig, in, flags);
    mem_write(rig->mem, addr, size, fuzz_take(in, size));
}

// Up to the next timer, or by any time.
static void pass_time(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    uint64_t next = clock_next(rig->clk);
    if (flags & 4)
        rig->clk->base_ns += fuzz_take(in, 1 + (flags & 3));
    else if (next != CLOCK_NEVER && next > rig->clk->base_ns)
        rig->clk->base_ns = next;
    clock_run_due(rig->clk);
}

static void write_ram(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    unsigned size = 1u << (flags & 3);
    paddr_t addr = DUT_RAM + fuzz_take(in, 2);
    mem_write(rig->mem, addr, size, fuzz_take(in, size));
}

static void drive_line(struct device_rig *rig, unsigned flags)
{
    if (rig->dev->irq_in)
        rig->dev->irq_in(rig->dev, 1 + (flags & 7) % (DUT_INPUTS - 1), flags & 8);
}

static void host_input(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    uint8_t bytes[256];
    size_t len = flags & 16 ? fuzz_take(in, 1) : flags & 15;
    fuzz_take_bytes(in, bytes, len);
    device_rig_host_input(rig, bytes, len);
}

// Reset, once or twice, or a snapshot that is taken up again: with one byte changed, if that is asked for.
static void reset_or_load(struct device_rig *rig, struct fuzz_input *in, unsigned flags)
{
    if (flags & 1) {
        device_rig_reset(rig);
        return;
    }
    GByteArray *saved = device_rig_save(rig);
    if (flags & 2 && saved->len)
        saved->data[fuzz_take(in, 2) % saved->len] = (uint8_t)fuzz_take(in, 1);
    bool loaded = device_rig_load(rig, saved);
    assert(loaded || flags & 2);
    g_byte_array_free(saved, TRUE);
}

static void step(struct device_rig *rig, struct fuzz_input *in)
{
    unsigned op = (unsigned)fuzz_take(in, 1), flags = op >> 3;
    switch (op & 7) {
    case 0:
        read_register(rig, in, flags);
        break;
    case 1:
    case 2:
        write_register(rig, in, flags);
        break;
    case 3:
        pass_time(rig, in, flags);
        break;
    case 4:
        write_ram(rig, in, flags);
        break;
    case 5:
        drive_line(rig, flags);
        break;
    case 6:
        host_input(rig, in, flags);
        break;
    default:
        reset_or_load(rig, in, flags);
    }
}

static void run(const uint8_t *data, size_t len)
{
    struct fuzz_input in = fuzz_input(data, len);
    const struct device_class *cls = class_at((unsigned)fuzz_take(&in, 1));
    struct device_rig *rig = device_rig_new(cls, (unsigned)fuzz_take(&in, 1) % DUT_VARIANTS);
    while (fuzz_left(&in))
        step(rig, &in);
    device_rig_free(rig);
}

const struct fuzzer fuzzer_registers = {
    .name = "registers",
    .help = "a device, a variant of it, and what is done to it",
    .max_len = 1024,
    .run = run,
};
