// SPDX-License-Identifier: MIT
// SiFive's CLINT: software and timer interrupts of up to 8 harts. SiFive FU540-C000 manual, chapter 9. And
// the ACLINT (RISC-V Advanced Core Local Interruptor specification 1.0-rc4): its MSWI and its MTIMER behind
// each other have the registers of a CLINT, and are one; its SSWI is a class of its own.
//
// mtime is guest time in ticks plus an offset, which writing mtime changes. Outputs: 2 * hart is the hart's
// software interrupt, 2 * hart + 1 its timer interrupt, which is high while mtime >= mtimecmp.
//
// The SSWI's output `hart` is an edge: SSIP is the hart's own bit, which software clears there.
#include "hw/clint.h"

#include "base/bits.h"
#include "hw/devtree.h"

#define MAX_HARTS 8

#define MSIP     0x0000
#define MTIMECMP 0x4000
#define MTIME    0xbff8
#define SIZE     0xc000

#define SWI_SIZE 0x4000 // an MSWI or an SSWI

struct clint_state {
    struct timer timer[MAX_HARTS]; // when the timer interrupt's level changes next
    uint64_t mtimecmp[MAX_HARTS];
    uint64_t offset; // of mtime to the clock's ticks
    uint32_t msip[MAX_HARTS];
};

// What a timer's handler is told: one hart.
struct clint_hart {
    struct clint *clint;
    unsigned index;
};

struct clint {
    struct device dev;
    struct clint_state s;
    struct clint_hart harts[MAX_HARTS];
    uint32_t nr_harts;
    uint32_t hz;
    void (*written)(void *opaque);
    void *written_opaque;
};

static uint64_t ticks_now(const struct clint *c)
{
    return clock_ns_to_ticks(clock_now(c->dev.env->clock), c->hz);
}

uint64_t clint_time(void *clint)
{
    const struct clint *c = clint;
    return ticks_now(c) + c->s.offset;
}

void clint_set_listener(struct device *dev, void (*written)(void *opaque), void *opaque)
{
    struct clint *c = (struct clint *)dev;
    c->written = written;
    c->written_opaque = opaque;
}

// Sets the level, and the timer to where it changes: at mtimecmp, or where mtime overflows.
static void update_timer(struct clint *c, unsigned hart)
{
    uint64_t now = ticks_now(c), mtime = now + c->s.offset;
    bool level = mtime >= c->s.mtimecmp[hart];
    uint64_t left = (level ? 0 : c->s.mtimecmp[hart]) - mtime;
    uint64_t at = CLOCK_NEVER;
    if (left && left <= UINT64_MAX - now)
        at = clock_ticks_to_ns(now + left, c->hz);
    clock_at(c->dev.env->clock, &c->s.timer[hart], at);
    device_irq(&c->dev, 2 * hart + 1, level);
}

static void timer_expired(void *opaque)
{
    const struct clint_hart *hart = opaque;
    update_timer(hart->clint, hart->index);
}

static void set_mtime(struct clint *c, uint64_t mtime)
{
    c->s.offset = mtime - ticks_now(c);
    for (unsigned i = 0; i < c->nr_harts; i++)
        update_timer(c, i);
    if (c->written)
        c->written(c->written_opaque);
}

// The 64-bit register that offset lies in; NULL if there is none, and the hart in *hart.
static const uint64_t *mtimecmp_at(const struct clint *c, uint64_t offset, unsigned *hart)
{
    *hart = (unsigned)((offset - MTIMECMP) / 8);
    return offset >= MTIMECMP && *hart < c->nr_harts ? &c->s.mtimecmp[*hart] : NULL;
}

// The word of 4 bytes at offset.
static uint32_t read_word(struct clint *c, uint64_t offset)
{
    unsigned hart, shift = offset & 4 ? 32 : 0;
    const uint64_t *cmp = mtimecmp_at(c, offset, &hart);
    if (offset / 4 < c->nr_harts)
        return c->s.msip[offset / 4];
    if (cmp)
        return (uint32_t)(*cmp >> shift);
    if (offset >= MTIME)
        return (uint32_t)(clint_time(c) >> shift);
    log_guest("clint: read of unused offset 0x%x\n", (unsigned)offset);
    return 0;
}

static bool clint_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct clint *c = dev;
    *value = read_word(c, offset);
    if (size == 8)
        *value |= (uint64_t)read_word(c, offset + 4) << 32;
    return true;
}

// Registers of 64 bits are written whole, or half by half.
static bool clint_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct clint *c = dev;
    unsigned hart, lo = 8 * (offset & 4), len = 8 * size;
    const uint64_t *cmp = mtimecmp_at(c, offset, &hart);
    if (offset < MTIMECMP) {
        for (unsigned i = 0; i < size / 4; i++) {
            hart = (unsigned)(offset / 4) + i;
            if (hart < c->nr_harts) {
                c->s.msip[hart] = value >> (32 * i) & 1; // the other bits are wired to zero
                device_irq(&c->dev, 2 * hart, c->s.msip[hart]);
            }
        }
    } else if (cmp) {
        c->s.mtimecmp[hart] = bits_set(*cmp, lo, len, value);
        update_timer(c, hart);
    } else if (offset >= MTIME) {
        set_mtime(c, bits_set(clint_time(c), lo, len, value));
    } else {
        log_guest("clint: write of unused offset 0x%x\n", (unsigned)offset);
    }
    return true;
}

static const struct mem_ops clint_ops = {
    .read = clint_read,
    .write = clint_write,
    .min_size = 4,
    .max_size = 8,
};

static bool check_harts(const struct device *dev, uint32_t nr_harts, GError **error)
{
    if (nr_harts >= 1 && nr_harts <= MAX_HARTS)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: num-harts is 1 to %d", dev->cls->name,
                MAX_HARTS);
    return false;
}

static bool clint_init(struct device *dev, GError **error)
{
    struct clint *c = (struct clint *)dev;
    if (!check_harts(dev, c->nr_harts, error))
        return false;
    if (!c->hz) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: timebase-frequency is at least 1",
                    dev->cls->name);
        return false;
    }
    if (!mem_add_io(dev->env->mem, dev->id, dev->base, SIZE, &clint_ops, c, error))
        return false;
    for (unsigned i = 0; i < c->nr_harts; i++) {
        c->harts[i] = (struct clint_hart){c, i};
        clock_register(dev->env->clock, &c->s.timer[i], timer_expired, &c->harts[i]);
    }
    return true;
}

static void clint_reset(struct device *dev)
{
    struct clint *c = (struct clint *)dev;
    memset(c->s.mtimecmp, 0xff, sizeof(c->s.mtimecmp));
    memset(c->s.msip, 0, sizeof(c->s.msip));
    for (unsigned i = 0; i < MAX_HARTS; i++)
        c->s.timer[i].deadline = CLOCK_NEVER;
    for (unsigned i = 0; i < c->nr_harts; i++)
        device_irq(dev, 2 * i, false);
    set_mtime(c, 0);
}

static void clint_loaded(struct device *dev)
{
    struct clint *c = (struct clint *)dev;
    for (unsigned i = 0; i < c->nr_harts; i++) {
        device_irq(dev, 2 * i, c->s.msip[i]);
        device_irq(dev, 2 * i + 1, clint_time(c) >= c->s.mtimecmp[i]);
    }
}

static void clint_free(struct device *dev)
{
    struct clint *c = (struct clint *)dev;
    for (unsigned i = 0; i < c->nr_harts; i++)
        clock_unregister(dev->env->clock, &c->s.timer[i]);
}

static void clint_fdt(struct device *dev, struct devtree *dt)
{
    static const char *const compatible[] = {"sifive,clint0", "riscv,clint0", NULL};
    devtree_begin_at(dt, "clint", dev->base);
    devtree_irqs_extended(dt, dev);
    devtree_reg(dt, dev->base, 0x10000);
    devtree_strs(dt, "compatible", compatible);
    devtree_end(dt);
}

// The node of an MSWI or an SSWI, whose interrupts are every step-th output.
static void write_swi(struct devtree *dt, const struct device *dev, const char *name,
                      const char *compatible, unsigned step)
{
    devtree_begin_at(dt, name, dev->base);
    devtree_u32(dt, "#interrupt-cells", 0);
    devtree_flag(dt, "interrupt-controller");
    devtree_irqs_extended_every(dt, dev, 0, step);
    devtree_reg(dt, dev->base, SWI_SIZE);
    devtree_str(dt, "compatible", compatible);
    devtree_end(dt);
}

// Two ranges: mtime, with what is left of 0x10000 bytes behind it, as in QEMU's tree; and mtimecmp.
static void write_mtimer(struct devtree *dt, const struct device *dev)
{
    uint32_t base = (uint32_t)dev->base, high = (uint32_t)(dev->base >> 32);
    const uint32_t reg[] = {
        high, base + MTIME, 0, 0x10000 - MTIME, high, base + MTIMECMP, 0, MTIME - MTIMECMP,
    };
    devtree_begin_at(dt, "mtimer", dev->base + MTIMECMP);
    devtree_irqs_extended_every(dt, dev, 1, 2);
    devtree_cells(dt, "reg", reg, ARRAY_LEN(reg));
    devtree_str(dt, "compatible", "riscv,aclint-mtimer");
    devtree_end(dt);
}

void clint_write_aclint(struct device *clint, struct devtree *dt)
{
    write_mtimer(dt, clint);
    write_swi(dt, clint, "mswi", "riscv,aclint-mswi", 2);
}

static const struct device_prop clint_props[] = {
    {"num-harts", PROP_U32, offsetof(struct clint, nr_harts), 1, "harts served, 1 to 8"},
    {"timebase-frequency", PROP_U32, offsetof(struct clint, hz), 10000000,
     "ticks of mtime a second"},
    PROP_END,
};

static const struct state_field clint_state[] = {
    {"timer", STATE_SCALAR, offsetof(struct clint, s.timer), 8, MAX_HARTS, NULL},
    STATE_ARRAY(struct clint, s.mtimecmp),
    STATE_VAR(struct clint, s.offset),
    STATE_ARRAY(struct clint, s.msip),
    STATE_END,
};

_Static_assert(sizeof(struct timer) == 8, "a timer is its deadline");

const struct device_class clint_class = {
    .name = "sifive-clint",
    .desc = "SiFive core-local interruptor: timer and software interrupts",
    .size = sizeof(struct clint),
    .props = clint_props,
    .state = clint_state,
    .state_offset = offsetof(struct clint, s),
    .state_size = sizeof(struct clint_state),
    .init = clint_init,
    .reset = clint_reset,
    .loaded = clint_loaded,
    .free = clint_free,
    .fdt = clint_fdt,
};

// --- Supervisor software interrupts ---

struct sswi {
    struct device dev;
    uint32_t nr_harts;
};

static bool sswi_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    const struct sswi *s = dev;
    (void)size;
    if (offset / 4 >= s->nr_harts)
        log_guest("sswi: read of unused offset 0x%x\n", (unsigned)offset);
    *value = 0;
    return true;
}

static bool sswi_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct sswi *s = dev;
    unsigned hart = (unsigned)(offset / 4);
    (void)size;
    if (hart >= s->nr_harts) {
        log_guest("sswi: write of unused offset 0x%x\n", (unsigned)offset);
    } else if (value & 1) {
        device_irq(&s->dev, hart, true);
        device_irq(&s->dev, hart, false);
    }
    return true;
}

static const struct mem_ops sswi_ops = {
    .read = sswi_read,
    .write = sswi_write,
    .min_size = 4,
    .max_size = 4,
};

static bool sswi_init(struct device *dev, GError **error)
{
    struct sswi *s = (struct sswi *)dev;
    if (!check_harts(dev, s->nr_harts, error))
        return false;
    return mem_add_io(dev->env->mem, dev->id, dev->base, SWI_SIZE, &sswi_ops, s, error);
}

static void sswi_fdt(struct device *dev, struct devtree *dt)
{
    write_swi(dt, dev, "sswi", "riscv,aclint-sswi", 1);
}

static const struct device_prop sswi_props[] = {
    {"num-harts", PROP_U32, offsetof(struct sswi, nr_harts), 1, "harts served, 1 to 8"},
    PROP_END,
};

const struct device_class aclint_sswi_class = {
    .name = "riscv-aclint-sswi",
    .desc = "RISC-V ACLINT's supervisor software interrupts",
    .size = sizeof(struct sswi),
    .props = sswi_props,
    .state = device_no_state,
    .init = sswi_init,
    .fdt = sswi_fdt,
};
