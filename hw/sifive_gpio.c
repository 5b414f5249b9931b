// SPDX-License-Identifier: MIT
// SiFive's GPIO, FE310-G000 manual, chapter 17: 32 pins, each with an interrupt of its own. Output n is pin
// n's interrupt, input n drives pin n from outside; a pin that neither the guest nor anybody else drives is
// low, or high with its pull-up.
#include "base/bits.h"
#include "hw/device.h"

#define NR_PINS 32

enum {
    INPUT_VAL,
    INPUT_EN,
    OUTPUT_EN,
    OUTPUT_VAL,
    PUE,
    DS,
    RISE_IE,
    RISE_IP,
    FALL_IE,
    FALL_IP,
    HIGH_IE,
    HIGH_IP,
    LOW_IE,
    LOW_IP,
    IOF_EN,
    IOF_SEL,
    OUT_XOR,
    NR_REGS,
};

struct gpio_state {
    uint32_t regs[NR_REGS];
    uint32_t driven; // pins that are driven from outside
    uint32_t level;  // their levels
};

struct gpio {
    struct device dev;
    struct gpio_state s;
};

// Takes the pins' levels in and drives the interrupts.
static void update(struct gpio *g)
{
    uint32_t *r = g->s.regs;
    uint32_t undriven = ~g->s.driven & r[PUE];
    uint32_t pins = (r[OUTPUT_EN] & (r[OUTPUT_VAL] ^ r[OUT_XOR])) |
                    (~r[OUTPUT_EN] & ((g->s.driven & g->s.level) | undriven));
    uint32_t before = r[INPUT_VAL], now = pins & r[INPUT_EN];
    r[INPUT_VAL] = now;
    r[RISE_IP] |= now & ~before;
    r[FALL_IP] |= before & ~now;
    r[HIGH_IP] |= now;
    r[LOW_IP] |= ~now;
    uint32_t raised = (r[RISE_IP] & r[RISE_IE]) | (r[FALL_IP] & r[FALL_IE]) |
                      (r[HIGH_IP] & r[HIGH_IE]) | (r[LOW_IP] & r[LOW_IE]);
    for (unsigned i = 0; i < NR_PINS; i++)
        device_irq(&g->dev, i, raised >> i & 1);
}

static void gpio_input(void *opaque, unsigned n, bool level)
{
    struct gpio *g = opaque;
    g_assert(n < NR_PINS);
    g->s.driven |= (uint32_t)BIT(n);
    g->s.level = (uint32_t)bits_set(g->s.level, n, 1, level);
    update(g);
}

static bool gpio_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    const struct gpio *g = dev;
    (void)size;
    *value = offset / 4 < NR_REGS ? g->s.regs[offset / 4] : 0;
    if (offset / 4 >= NR_REGS)
        log_guest("%s: read of offset 0x%x\n", g->dev.id, (unsigned)offset);
    return true;
}

static bool gpio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct gpio *g = dev;
    (void)size;
    switch (offset / 4) {
    case RISE_IP:
    case FALL_IP:
    case HIGH_IP:
    case LOW_IP: // ones clear
        g->s.regs[offset / 4] &= ~(uint32_t)value;
        break;
    case INPUT_VAL:
        log_guest("%s: write of the read-only input value\n", g->dev.id);
        break;
    default:
        if (offset / 4 < NR_REGS)
            g->s.regs[offset / 4] = (uint32_t)value;
        else
            log_guest("%s: write of offset 0x%x\n", g->dev.id, (unsigned)offset);
        break;
    }
    update(g);
    return true;
}

static const struct mem_ops gpio_ops = {
    .read = gpio_read,
    .write = gpio_write,
    .min_size = 4,
    .max_size = 4,
};

static bool gpio_init(struct device *dev, GError **error)
{
    dev->irq_in = gpio_input;
    return mem_add_io(dev->env->mem, dev->id, dev->base, 0x100, &gpio_ops, dev, error);
}

static void gpio_reset(struct device *dev)
{
    struct gpio *g = (struct gpio *)dev;
    memset(g->s.regs, 0, sizeof(g->s.regs));
    g->s.driven = g->s.level = 0; // who drives pins does so again in its own reset
    update(g);
}

static void gpio_loaded(struct device *dev)
{
    update((struct gpio *)dev);
}

static const struct state_field gpio_state[] = {
    STATE_ARRAY(struct gpio, s.regs),
    STATE_VAR(struct gpio, s.driven),
    STATE_VAR(struct gpio, s.level),
    STATE_END,
};

const struct device_class sifive_gpio_class = {
    .name = "sifive-gpio",
    .desc = "SiFive GPIO, 32 pins",
    .size = sizeof(struct gpio),
    .state = gpio_state,
    .state_offset = offsetof(struct gpio, s),
    .state_size = sizeof(struct gpio_state),
    .init = gpio_init,
    .reset = gpio_reset,
    .loaded = gpio_loaded,
};
