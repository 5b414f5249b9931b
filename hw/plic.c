// SPDX-License-Identifier: MIT
// The platform-level interrupt controller, RISC-V PLIC specification 1.0.0, in SiFive's implementation.
//
// A context is a hart in a privilege mode; output n is context n's. The gateways are for level-triggered
// sources: a high line becomes one request, which stays pending until some context claims it, and the line
// is looked at again when that claim is completed.
#include "base/bits.h"
#include "hw/device.h"
#include "hw/devtree.h"

#define MAX_SOURCES  128 // source 0 does not exist
#define MAX_CONTEXTS 16
#define WORDS        (MAX_SOURCES / 32)
#define PRIORITY_MAX 7

// The memory map, section 3 of the specification.
#define PRIORITY       0x000000
#define PENDING        0x001000
#define ENABLE         0x002000
#define ENABLE_STRIDE  0x80
#define CONTEXT        0x200000
#define CONTEXT_STRIDE 0x1000
enum { CONTEXT_THRESHOLD = 0, CONTEXT_CLAIM = 4 };

struct plic_state {
    uint32_t level[WORDS];   // of the lines
    uint32_t pending[WORDS]; // requests that nobody has claimed
    uint32_t busy[WORDS];    // gateways that wait for a completion; includes the pending ones
    uint32_t enable[MAX_CONTEXTS][WORDS];
    uint8_t priority[MAX_SOURCES];
    uint8_t threshold[MAX_CONTEXTS];
};

struct plic {
    struct device dev;
    struct plic_state s;
    uint32_t nr_sources; // the last source's number
    uint32_t nr_contexts;
    uint64_t size;
};

static bool get_bit(const uint32_t *words, unsigned n)
{
    return words[n / 32] >> (n % 32) & 1;
}

static void set_bit(uint32_t *words, unsigned n, bool value)
{
    uint32_t bit = 1u << (n % 32);
    words[n / 32] = value ? words[n / 32] | bit : words[n / 32] & ~bit;
}

// The enabled pending source of highest priority, the lowest number first; 0 if there is none.
static unsigned best_source(const struct plic *p, unsigned context)
{
    unsigned best = 0;
    for (unsigned w = 0; w < WORDS; w++) {
        uint32_t candidates = p->s.pending[w] & p->s.enable[context][w];
        for (; candidates; candidates &= candidates - 1) {
            unsigned source = 32 * w + (unsigned)__builtin_ctz(candidates);
            if (p->s.priority[source] > p->s.priority[best])
                best = source;
        }
    }
    return best;
}

static void update(struct plic *p)
{
    for (unsigned i = 0; i < p->nr_contexts; i++)
        device_irq(&p->dev, i, p->s.priority[best_source(p, i)] > p->s.threshold[i]);
}

// The gateway forwards a request if its line is high and the last one is over.
static void gateway(struct plic *p, unsigned source)
{
    if (get_bit(p->s.level, source) && !get_bit(p->s.busy, source)) {
        set_bit(p->s.pending, source, true);
        set_bit(p->s.busy, source, true);
    }
}

static void plic_input(void *opaque, unsigned n, bool level)
{
    struct plic *p = opaque;
    if (n < 1 || n > p->nr_sources || get_bit(p->s.level, n) == level)
        return; // the user may have asked for fewer sources than the board has wires
    set_bit(p->s.level, n, level);
    gateway(p, n);
    update(p);
}

static uint32_t claim(struct plic *p, unsigned context)
{
    unsigned source = best_source(p, context);
    if (source) {
        set_bit(p->s.pending, source, false);
        update(p);
    }
    return source;
}

// A completion of a source that the context has not enabled is ignored.
static void complete(struct plic *p, unsigned context, uint32_t source)
{
    if (!source || source > p->nr_sources || !get_bit(p->s.enable[context], source)) {
        log_guest("plic: context %u completes source %u, which it has not enabled\n", context,
                  source);
        return;
    }
    if (get_bit(p->s.pending, source))
        return; // nobody claimed it
    set_bit(p->s.busy, source, false);
    gateway(p, source);
    update(p);
}

// --- Registers ---

// What register an offset means.
enum kind { KIND_NONE, KIND_PRIORITY, KIND_PENDING, KIND_ENABLE, KIND_THRESHOLD, KIND_CLAIM };

struct reg {
    enum kind kind;
    unsigned context;
    unsigned index; // of the source, or of the word of sources
};

static struct reg decode(const struct plic *p, uint64_t offset)
{
    unsigned context, index = (unsigned)(offset & 0xfff) / 4;
    unsigned last_word = p->nr_sources / 32;
    if (offset < PENDING)
        return (struct reg){index && index <= p->nr_sources ? KIND_PRIORITY : KIND_NONE, 0, index};
    if (offset < ENABLE)
        return (struct reg){index <= last_word ? KIND_PENDING : KIND_NONE, 0, index};
    if (offset < CONTEXT) {
        context = (unsigned)((offset - ENABLE) / ENABLE_STRIDE);
        index = (unsigned)(offset % ENABLE_STRIDE) / 4;
        if (context < p->nr_contexts && index <= last_word)
            return (struct reg){KIND_ENABLE, context, index};
        return (struct reg){KIND_NONE, 0, 0};
    }
    context = (unsigned)((offset - CONTEXT) / CONTEXT_STRIDE);
    if (context < p->nr_contexts && index * 4 == CONTEXT_THRESHOLD)
        return (struct reg){KIND_THRESHOLD, context, 0};
    if (context < p->nr_contexts && index * 4 == CONTEXT_CLAIM)
        return (struct reg){KIND_CLAIM, context, 0};
    return (struct reg){KIND_NONE, 0, 0};
}

static bool plic_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct plic *p = dev;
    struct reg reg = decode(p, offset);
    (void)size;
    *value = 0;
    switch (reg.kind) {
    case KIND_PRIORITY:
        *value = p->s.priority[reg.index];
        break;
    case KIND_PENDING:
        *value = p->s.pending[reg.index];
        break;
    case KIND_ENABLE:
        *value = p->s.enable[reg.context][reg.index];
        break;
    case KIND_THRESHOLD:
        *value = p->s.threshold[reg.context];
        break;
    case KIND_CLAIM:
        *value = claim(p, reg.context);
        break;
    case KIND_NONE:
        log_guest("plic: read of unused offset 0x%x\n", (unsigned)offset);
        break;
    }
    return true;
}

// Bits of sources that exist, in word `index`.
static uint32_t sources_in(const struct plic *p, unsigned index)
{
    uint64_t all = MASK(p->nr_sources % 32, 0);
    return (uint32_t)(index < p->nr_sources / 32 ? UINT32_MAX : all) & (index ? UINT32_MAX : ~1u);
}

static bool plic_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct plic *p = dev;
    struct reg reg = decode(p, offset);
    (void)size;
    switch (reg.kind) {
    case KIND_PRIORITY:
        p->s.priority[reg.index] = value & PRIORITY_MAX;
        break;
    case KIND_ENABLE:
        p->s.enable[reg.context][reg.index] = (uint32_t)value & sources_in(p, reg.index);
        break;
    case KIND_THRESHOLD:
        p->s.threshold[reg.context] = value & PRIORITY_MAX;
        break;
    case KIND_CLAIM:
        complete(p, reg.context, (uint32_t)value);
        return true;
    case KIND_PENDING:
    case KIND_NONE:
        log_guest("plic: write of 0x%x at offset 0x%x has no effect\n", (unsigned)value,
                  (unsigned)offset);
        return true;
    }
    update(p);
    return true;
}

static const struct mem_ops plic_ops = {
    .read = plic_read,
    .write = plic_write,
    .min_size = 4,
    .max_size = 4,
};

// --- Device ---

static bool plic_init(struct device *dev, GError **error)
{
    struct plic *p = (struct plic *)dev;
    if (p->nr_sources < 1 || p->nr_sources >= MAX_SOURCES || p->size < 4 || p->size % 4) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: num-sources is 1 to %d, aperture-size a multiple of 4", dev->cls->name,
                    MAX_SOURCES - 1);
        return false;
    }
    g_assert(dev->nr_irqs >= 1 && dev->nr_irqs <= MAX_CONTEXTS);
    p->nr_contexts = dev->nr_irqs;
    dev->irq_in = plic_input;
    return mem_add_io(dev->env->mem, dev->id, dev->base, p->size, &plic_ops, p, error);
}

// Sources are reset after their controller, having been made after it, and drive their lines anew.
static void plic_reset(struct device *dev)
{
    struct plic *p = (struct plic *)dev;
    memset(&p->s, 0, sizeof(p->s));
    update(p);
}

static void plic_loaded(struct device *dev)
{
    update((struct plic *)dev);
}

static void plic_fdt(struct device *dev, struct devtree *dt)
{
    struct plic *p = (struct plic *)dev;
    static const char *const compatible[] = {"sifive,plic-1.0.0", "riscv,plic0", NULL};
    devtree_begin_at(dt, "plic", dev->base);
    devtree_declare(dt, dev);
    devtree_u32(dt, "riscv,ndev", p->nr_sources);
    devtree_reg(dt, dev->base, p->size);
    devtree_irqs_extended(dt, dev);
    devtree_flag(dt, "interrupt-controller");
    devtree_strs(dt, "compatible", compatible);
    devtree_u32(dt, "#address-cells", 0);
    devtree_u32(dt, "#interrupt-cells", 1);
    devtree_end(dt);
}

static const struct device_prop plic_props[] = {
    {"num-sources", PROP_U32, offsetof(struct plic, nr_sources), 96, "sources, 1 to 127"},
    {"aperture-size", PROP_U64, offsetof(struct plic, size), 0x600000, "bytes of registers"},
    PROP_END,
};

static const struct state_field plic_state[] = {
    STATE_ARRAY(struct plic, s.level),
    STATE_ARRAY(struct plic, s.pending),
    STATE_ARRAY(struct plic, s.busy),
    {"s.enable", STATE_SCALAR, offsetof(struct plic, s.enable), 4, MAX_CONTEXTS *WORDS, NULL},
    STATE_BUF(struct plic, s.priority),
    STATE_BUF(struct plic, s.threshold),
    STATE_END,
};

const struct device_class plic_class = {
    .name = "sifive-plic",
    .desc = "RISC-V platform-level interrupt controller",
    .size = sizeof(struct plic),
    .props = plic_props,
    .state = plic_state,
    .state_offset = offsetof(struct plic, s),
    .state_size = sizeof(struct plic_state),
    .init = plic_init,
    .reset = plic_reset,
    .loaded = plic_loaded,
    .fdt = plic_fdt,
};
