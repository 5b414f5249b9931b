// SPDX-License-Identifier: MIT
// Clock generation (PRCI) of SiFive's E series, FE310-G000 manual, chapter 6. Oscillators are ready and the
// PLL is locked as soon as they are on; no clock changes its rate by what is written.
#include "base/bits.h"
#include "hw/device.h"

enum { HFROSCCFG, HFXOSCCFG, PLLCFG, PLLOUTDIV, NR_REGS };

#define OSC_EN     BIT(30)
#define OSC_READY  BIT(31)
#define PLL_REFSEL BIT(17)
#define PLL_BYPASS BIT(18)
#define PLL_LOCK   BIT(31)
#define PLL_DIV1   BIT(8)

struct prci_state {
    uint32_t regs[NR_REGS];
};

struct prci {
    struct device dev;
    struct prci_state s;
};

static const uint32_t reset_values[NR_REGS] = {
    [HFROSCCFG] = OSC_EN | OSC_READY,
    [HFXOSCCFG] = OSC_EN | OSC_READY,
    [PLLCFG] = PLL_REFSEL | PLL_BYPASS | PLL_LOCK,
    [PLLOUTDIV] = PLL_DIV1,
};

static bool prci_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    const struct prci *p = dev;
    (void)size;
    *value = offset / 4 < NR_REGS ? p->s.regs[offset / 4] : 0;
    if (offset / 4 >= NR_REGS)
        log_unimp("%s: read of offset 0x%x\n", p->dev.id, (unsigned)offset);
    return true;
}

// Status bits are read-only.
static bool prci_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct prci *p = dev;
    (void)size;
    switch (offset / 4) {
    case HFROSCCFG:
    case HFXOSCCFG:
        value = bits_set(value, 31, 1, (value & OSC_EN) != 0);
        break;
    case PLLCFG:
        value |= PLL_LOCK;
        break;
    case PLLOUTDIV:
        break;
    default:
        log_unimp("%s: write of 0x%x at offset 0x%x\n", p->dev.id, (unsigned)value,
                  (unsigned)offset);
        return true;
    }
    p->s.regs[offset / 4] = (uint32_t)value;
    return true;
}

static const struct mem_ops prci_ops = {
    .read = prci_read,
    .write = prci_write,
    .min_size = 4,
    .max_size = 4,
};

static bool prci_init(struct device *dev, GError **error)
{
    return mem_add_io(dev->env->mem, dev->id, dev->base, 0x1000, &prci_ops, dev, error);
}

static void prci_reset(struct device *dev)
{
    memcpy(((struct prci *)dev)->s.regs, reset_values, sizeof(reset_values));
}

static const struct state_field prci_state[] = {
    STATE_ARRAY(struct prci, s.regs),
    STATE_END,
};

const struct device_class sifive_e_prci_class = {
    .name = "sifive-e-prci",
    .desc = "clock generation of SiFive's E series",
    .size = sizeof(struct prci),
    .state = prci_state,
    .state_offset = offsetof(struct prci, s),
    .state_size = sizeof(struct prci_state),
    .init = prci_init,
    .reset = prci_reset,
};
