// SPDX-License-Identifier: MIT
// test: timeout=900
//
// What holds for every class in hw/devices.def, on a bare bus, with no code for any one of them:
// its tables describe all of its state and nothing else; reset is the power-on state; what was
// saved and loaded, into another machine, goes on exactly like the original; and no accesses, no
// input and no damaged snapshot make it assert or touch memory that is not its own.
//
// A storm is a sequence of random accesses, times and inputs that depends on its seed and on what
// the device answers alone. It leans to what devices care about: registers that answered, sparse
// offsets, values that are small, have few bits set or point into RAM. STORM_SCALE in the
// environment multiplies the seeds tried, STORM_SEED is the first of them, STORM_CLASS is the only
// class to try.
#include <criterion/alloc.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <libfdt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/net_impl.h"
#include "base/bits.h"
#include "hw/device.h"
#include "hw/devtree.h"
#include "hw/virtio.h"
#include "tests/unit/device_rig.h"
enum {
    STORM_STEPS = 12000,
    NR_KNOWN = 16,  // offsets that a storm remembers
    NR_POKES = 512, // words that it puts into RAM at first
};

static void expect_same_state(const char *when, struct device_rig *a, struct device_rig *b)
{
    g_autofree char *name = device_rig_diff(a, b);
    cr_assert_null(name, "%s, %s: %s differs", a->dev->cls->name, when, name);
}

// --- Storms ---

struct storm {
    struct device_rig *rig;
    uint64_t random;         // the generator
    uint64_t seen;           // hash of all answers
    bool host_input;         // back ends have something to say, too
    paddr_t known[NR_KNOWN]; // registers that answered
    paddr_t last;
};

// Two of these in one expression would make the storm depend on the compiler's order of evaluation.
static uint64_t any(struct storm *s)
{
    s->random += UINT64_C(0x9e3779b97f4a7c15);
    return hash_bytes(&s->random, 8, 0);
}

static uint64_t below(struct storm *s, uint64_t n)
{
    return any(s) % n;
}

static uint64_t sparse(struct storm *s)
{
    return any(s) & any(s) & any(s) & any(s);
}

static paddr_t some_ram(struct storm *s)
{
    uint64_t range = below(s, 2) ? DUT_RAM_SIZE : 0x4000;
    return DUT_RAM + (below(s, range) & ~UINT64_C(7));
}

static uint64_t some_value(struct storm *s)
{
    uint64_t one;
    switch (below(s, 10)) {
    case 0:
        return any(s);
    case 1:
        return UINT64_MAX << below(s, 64);
    case 2:
    case 3:
        return sparse(s);
    case 4:
        return BIT(below(s, 64));
    case 5:
        return some_ram(s);
    case 6:
        one = some_ram(s);
        return below(s, 2) ? one >> PAGE_BITS : __builtin_bswap64(one);
    default:
        return below(s, 32);
    }
}

// One of the device's regions, in a map that has at least one besides RAM.
static struct mem_region *some_region(struct storm *s)
{
    unsigned n = 0;
    while (mem_region_at(s->rig->mem, n))
        n++;
    for (;;) {
        struct mem_region *r = mem_region_at(s->rig->mem, (unsigned)below(s, n));
        if (r->base != DUT_RAM)
            return r;
    }
}

static paddr_t some_register(struct storm *s)
{
    const struct mem_region *r = some_region(s);
    uint64_t word = 4 * below(s, 4);
    switch (below(s, 8)) {
    case 0:
        return r->base + below(s, r->size);
    case 1:
        return r->base + sparse(s) % r->size;
    case 2:
        return r->base + (BIT(below(s, 26)) + word) % r->size;
    case 3:
        return s->last + 4 * below(s, 3);
    case 4:
    case 5:
        return s->known[below(s, NR_KNOWN)];
    default:
        return r->base + 4 * below(s, MIN(r->size / 4 + 1, 64));
    }
}

// Mostly as wide as the registers are.
static unsigned some_size(struct storm *s, paddr_t addr)
{
    const struct mem_region *r = mem_find(s->rig->mem, addr);
    return r && r->ops && below(s, 2) ? r->ops->max_size : 1u << below(s, 4);
}

static void note(struct storm *s, uint64_t value)
{
    s->seen = hash_bytes(&value, 8, s->seen);
}

static void do_read(struct storm *s)
{
    uint64_t value = 0;
    paddr_t addr = some_register(s);
    unsigned size = some_size(s, addr);
    enum mem_status status = mem_read(s->rig->mem, addr, size, &value);
    note(s, status);
    if (status == MEM_OK) {
        cr_assert(size == 8 || !(value >> (8 * size)));
        note(s, value);
        if (value)
            s->known[below(s, NR_KNOWN)] = addr;
    }
    s->last = addr;
}

static void do_write(struct storm *s)
{
    paddr_t addr = some_register(s);
    unsigned size = some_size(s, addr);
    uint64_t value = bits_get(some_value(s), 0, 8 * size);
    enum mem_status status = mem_write(s->rig->mem, addr, size, value);
    note(s, status);
    if (status == MEM_OK && value && !below(s, 4))
        s->known[below(s, NR_KNOWN)] = addr;
    s->last = addr;
}

static void do_time(struct storm *s)
{
    struct clock *clk = s->rig->clk;
    uint64_t next = clock_next(clk);
    if (below(s, 2) && next != CLOCK_NEVER && next > clk->base_ns)
        clk->base_ns = next - below(s, 2);
    else
        clk->base_ns += below(s, UINT64_C(1) << below(s, 36));
    note(s, next);
    clock_run_due(clk);
}

static void do_input_line(struct storm *s)
{
    struct device *dev = s->rig->dev;
    unsigned n = 1 + (unsigned)below(s, DUT_INPUTS - 1);
    bool level = below(s, 2);
    if (dev->irq_in)
        dev->irq_in(dev, n, level);
}

static void do_ram(struct storm *s)
{
    cr_assert_eq(mem_write(s->rig->mem, some_ram(s), 8, some_value(s)), MEM_OK);
}

static void do_host(struct storm *s)
{
    uint8_t bytes[2048];
    for (unsigned i = 0; i < sizeof(bytes); i += 8)
        store_le(bytes + i, 8, any(s));
    bytes[0] &= (uint8_t)below(s, 2); // a frame to all, or to one
    device_rig_host_input(s->rig, bytes, below(s, sizeof(bytes) + 1));
}

// --- Storms on a virtio bus: a driver that sets its queues up, and fills them with anything ---
//
// It remembers nothing, so that a copied machine can be driven on: where a queue lies follows from
// its number, and how far its ring is, is in RAM. Two layouts, since transports of before 1.0 place
// a queue by themselves.

enum {
    RING_NUM = 16,
    RING_STRIDE = 0x2000,
    RING_USED = 0x1000,
    RING_QUEUES = 4,
    TABLE = RING_QUEUES * RING_STRIDE, // for indirect descriptors
};
#define RINGS (DUT_RAM + DUT_RAM_SIZE / 2)

static void mmio_write(struct storm *s, unsigned offset, uint64_t value)
{
    note(s, mem_write(s->rig->mem, DUT_BASE + offset, 4, value));
}

static uint64_t mmio_read(struct storm *s, unsigned offset)
{
    uint64_t value = 0;
    mem_read(s->rig->mem, DUT_BASE + offset, 4, &value);
    return value;
}

static void ram_write(struct storm *s, paddr_t addr, unsigned size, uint64_t value)
{
    cr_assert_eq(mem_write(s->rig->mem, addr, size, value), MEM_OK);
}

static void virtio_queue_up(struct storm *s, unsigned q, bool legacy)
{
    paddr_t desc = RINGS + q * RING_STRIDE, avail = desc + 16 * RING_NUM, used = desc + RING_USED;
    mmio_write(s, 0x030, q);
    mmio_write(s, 0x038, RING_NUM);
    ram_write(s, avail, 4, 0);
    ram_write(s, used, 4, 0);
    if (legacy) {
        mmio_write(s, 0x03c, RING_USED);
        mmio_write(s, 0x040, desc >> PAGE_BITS);
        return;
    }
    mmio_write(s, 0x080, desc), mmio_write(s, 0x084, 0);
    mmio_write(s, 0x090, avail), mmio_write(s, 0x094, 0);
    mmio_write(s, 0x0a0, used), mmio_write(s, 0x0a4, 0);
    mmio_write(s, 0x044, 1);
}

// Initialisation as in 3.1 of the specification, with most of the features.
static void virtio_bring_up(struct storm *s)
{
    bool legacy = mmio_read(s, 0x004) == 1;
    uint64_t declined = sparse(s) & ~BIT(32);
    mmio_write(s, 0x070, 0);
    mmio_write(s, 0x070, 3);
    mmio_write(s, 0x028, PAGE_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        mmio_write(s, 0x014, i);
        mmio_write(s, 0x024, i);
        mmio_write(s, 0x020, mmio_read(s, 0x010) & ~(uint32_t)(declined >> (32 * i)));
    }
    mmio_write(s, 0x070, 11);
    for (unsigned q = 0; q < RING_QUEUES; q++)
        virtio_queue_up(s, q, legacy);
    mmio_write(s, 0x070, 15);
}

static uint32_t some_len(struct storm *s)
{
    static const uint16_t usual[] = {1, 4, 8, 12, 16, 24, 512, 4096};
    return below(s, 3) ? usual[below(s, 8)] : (uint32_t)(some_value(s) & 0xffff);
}

// What requests start with: a small kind, or a length and then a kind; then a small number.
static void virtio_header(struct storm *s, paddr_t at, uint32_t len)
{
    if (below(s, 2)) {
        ram_write(s, at, 4, below(s, 16));
        ram_write(s, at + 4, 4, below(s, 16));
    } else {
        ram_write(s, at, 4, len);
        ram_write(s, at + 4, 4, 100 + below(s, 28));
    }
    ram_write(s, at + 8, 8, below(s, 64));
    ram_write(s, at + 16, 8, some_value(s));
}

// A chain of n descriptors in the table, whose first `out` are for the device to read; it starts at
// `first`.
static void virtio_chain(struct storm *s, paddr_t table, unsigned first, unsigned n, unsigned out)
{
    for (unsigned i = 0; i < n; i++) {
        paddr_t desc = table + 16 * ((first + i) % RING_NUM), at = some_ram(s);
        uint32_t len = some_len(s);
        unsigned flags = (i + 1 < n) | (i < out ? 0 : 2), next = (first + i + 1) % RING_NUM;
        if (!below(s, 50))
            flags ^= (unsigned)below(s, 8);
        if (!below(s, 50))
            next = (unsigned)below(s, RING_NUM + 1);
        if (!below(s, 50))
            at = some_value(s);
        else if (i == 0 && out && at < DUT_RAM + DUT_RAM_SIZE - 64)
            virtio_header(s, at, len);
        ram_write(s, desc, 8, at);
        ram_write(s, desc + 8, 4, len);
        ram_write(s, desc + 12, 2, flags);
        ram_write(s, desc + 14, 2, next);
    }
}

static void virtio_submit(struct storm *s)
{
    unsigned q = (unsigned)below(s, RING_QUEUES), n = 1 + (unsigned)below(s, 5);
    paddr_t desc = RINGS + q * RING_STRIDE, avail = desc + 16 * RING_NUM;
    unsigned first = (unsigned)below(s, RING_NUM);
    uint64_t idx = 0;
    if (below(s, 8)) {
        virtio_chain(s, desc, first, n, (unsigned)below(s, n + 1));
    } else {
        virtio_chain(s, RINGS + TABLE, 0, n, (unsigned)below(s, n + 1));
        ram_write(s, desc + 16 * first, 8, RINGS + TABLE);
        ram_write(s, desc + 16 * first + 8, 8, (16 * n) | UINT64_C(4) << 32);
    }
    mem_read(s->rig->mem, avail + 2, 2, &idx);
    ram_write(s, avail + 4 + 2 * (idx % RING_NUM), 2, first);
    ram_write(s, avail + 2, 2, (idx + 1) & 0xffff);
    if (below(s, 4))
        mmio_write(s, 0x050, q);
}

static void do_virtio(struct storm *s)
{
    if (!below(s, 200) || (mmio_read(s, 0x070) & 0x44) != 4)
        virtio_bring_up(s);
    else if (!below(s, 8))
        mmio_write(s, 0x064, mmio_read(s, 0x060));
    else
        virtio_submit(s);
}

// --- Storms of all kinds ---

static bool is_virtio(const struct storm *s)
{
    const char *bus = s->rig->chain[0]->cls->provides;
    return bus && !strcmp(bus, VIRTIO_BUS) && s->rig->depth > 1;
}

static void do_any(struct storm *s)
{
    unsigned what = (unsigned)below(s, 100);
    if (what < 40)
        do_read(s);
    else if (what < 82)
        do_write(s);
    else if (what < 88)
        do_time(s);
    else if (what < 92)
        do_input_line(s);
    else if (what < 97)
        do_ram(s);
    else if (s->host_input)
        do_host(s);
}

static void do_step(struct storm *s)
{
    if (is_virtio(s) && below(s, 2))
        do_virtio(s);
    else
        do_any(s);
    for (unsigned i = 0; i < DUT_DEPTH * DUT_IRQS; i++)
        note(s, s->rig->level[i]);
}

static void storm_begin(struct storm *s, struct device_rig *rig, uint64_t seed, bool host_input)
{
    *s = (struct storm){.rig = rig, .random = seed, .host_input = host_input, .last = DUT_BASE};
    for (unsigned i = 0; i < NR_KNOWN; i++)
        s->known[i] = DUT_BASE + 4 * i;
    for (unsigned i = 0; i < NR_POKES; i++)
        do_ram(s);
}

static bool has_registers(struct device_rig *rig)
{
    return mem_region_at(rig->mem, 1) != NULL;
}

// A hash of all that the device let see.
static uint64_t storm(struct device_rig *rig, uint64_t seed, unsigned steps, bool host_input)
{
    struct storm s;
    storm_begin(&s, rig, seed, host_input);
    for (unsigned i = 0; i < steps && has_registers(rig); i++)
        do_step(&s);
    note(&s, rig->ends);
    note(&s, mem_hash(rig->mem, 0));
    return s.seen;
}

// Ends when an output is high, if it ever is.
static void storm_to_output(struct device_rig *rig, uint64_t seed, unsigned steps)
{
    struct storm s;
    bool high = false;
    storm_begin(&s, rig, seed, true);
    while (steps-- && !high && has_registers(rig)) {
        do_step(&s);
        for (unsigned i = 0; i < DUT_DEPTH * DUT_IRQS; i++)
            high |= rig->level[i];
    }
}

// The number in an environment variable.
static unsigned env_number(const char *name, unsigned def)
{
    const char *text = g_getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 0) : def;
}

static unsigned first_seed(void)
{
    return env_number("STORM_SEED", 0);
}

static unsigned last_seed(unsigned usual)
{
    return first_seed() + usual * env_number("STORM_SCALE", 1);
}

static void lower_inputs(struct device_rig *rig)
{
    for (unsigned i = 1; i < DUT_INPUTS && rig->dev->irq_in; i++)
        rig->dev->irq_in(rig->dev, i, false);
}

// --- What the tables say ---

// Alignment of a table's struct, as far as its described fields tell.
static uint32_t table_align(const struct state_field *fields)
{
    uint32_t align = 1;
    for (const struct state_field *f = fields; f->name; f++) {
        uint32_t a = f->kind == STATE_STRUCT  ? table_align(f->sub)
                     : f->kind == STATE_BYTES ? 1
                                              : f->size;
        align = MAX(align, a);
    }
    return align;
}

// The alignment that the described byte at `offset` needs as the start of a field, or 1.
static uint32_t align_at(const struct state_field *fields, uint32_t base, uint32_t offset)
{
    uint32_t align = 1;
    for (const struct state_field *f = fields; f->name; f++) {
        for (uint32_t i = 0; i < f->count; i++) {
            uint32_t at = base + f->offset + i * f->size;
            if (f->kind == STATE_STRUCT) {
                align = MAX(align, align_at(f->sub, at, offset));
                if (at == offset)
                    align = MAX(align, table_align(f->sub));
            } else if (f->kind != STATE_BYTES && at == offset) {
                align = MAX(align, f->size);
            }
        }
    }
    return align;
}

// [from, to) is not described: is it what the compiler leaves before a field that starts at `to`,
// or at the end of a struct?
static bool is_padding(const struct device_class *cls, uint32_t from, uint32_t to)
{
    bool at_end = to == cls->state_offset + cls->state_size;
    uint32_t align = at_end ? table_align(cls->state) : align_at(cls->state, 0, to);
    return align_up(from, align) == to;
}

static uint8_t *coverage(const struct device_class *cls)
{
    uint8_t *mask = g_malloc0(cls->size);
    state_coverage(cls->state, mask);
    return mask;
}

static void check_state_table(const struct device_class *cls)
{
    g_autofree uint8_t *mask = coverage(cls);
    uint32_t end = cls->state_offset + cls->state_size;
    cr_assert_leq(end, cls->size);
    for (uint32_t i = 0; i < cls->size; i++)
        cr_assert(!mask[i] || (i >= cls->state_offset && i < end),
                  "%s: byte %u of the device is wiring, but described as state", cls->name, i);
    for (uint32_t from = cls->state_offset, to; from < end; from = to + 1) {
        for (to = from; to < end && !mask[to]; to++)
            ;
        cr_assert(from == to || is_padding(cls, from, to),
                  "%s: bytes %u to %u of its state are not described", cls->name,
                  from - cls->state_offset, to - 1 - cls->state_offset);
    }
}

// No byte is described twice, so the described bytes are as many as those saved.
static void check_saved_size(const struct device_class *cls)
{
    g_autofree uint8_t *mask = coverage(cls);
    struct device_rig *rig = device_rig_new(cls, 0);
    GByteArray *saved = g_byte_array_new();
    size_t described = 0;
    state_save(cls->state, rig->dev, saved);
    for (size_t i = 0; i < cls->size; i++)
        described += mask[i];
    cr_assert_eq(saved->len, described, "%s: a byte of its state is described twice", cls->name);
    g_byte_array_free(saved, TRUE);
    device_rig_free(rig);
}

static void check_prop(const struct device_class *cls, const struct device_prop *p)
{
    size_t size = p->kind == PROP_BOOL ? sizeof(bool) : p->kind == PROP_U32 ? 4 : 8;
    cr_assert(p->offset >= sizeof(struct device) && p->offset + size <= cls->size,
              "%s.%s lies outside of the device", cls->name, p->name);
    cr_assert(p->help && *p->help, "%s.%s has no help", cls->name, p->name);
    uint32_t state_end = cls->state_offset + cls->state_size;
    cr_assert(p->offset >= state_end || p->offset + size <= cls->state_offset,
              "%s.%s is wiring, but lies in the state", cls->name, p->name);
    for (const struct device_prop *q = cls->props; q != p; q++)
        cr_assert(strcmp(p->name, q->name), "%s has two properties '%s'", cls->name, p->name);
}

Test(devices, have_names_of_their_own)
{
    const struct device_class *cls;
    unsigned n;
    for (n = 0; (cls = device_class_at(n)); n++) {
        cr_assert_eq(device_class_find(cls->name), cls, "two classes are named '%s'", cls->name);
        cr_assert(cls->desc && *cls->desc, "%s has no description", cls->name);
        cr_assert_geq(cls->size, sizeof(struct device));
    }
    cr_assert_gt(n, 0);
    cr_assert_null(device_class_find("no such device"));
}

// --- One test for each class ---

struct param {
    unsigned index;
};

static void free_params(struct criterion_test_params *params)
{
    cr_free(params->params);
}

static struct criterion_test_params all_classes(void)
{
    unsigned n = 0;
    while (device_class_at(n))
        n++;
    struct param *params = cr_calloc(n, sizeof(*params));
    for (unsigned i = 0; i < n; i++)
        params[i].index = i;
    return cr_make_param_array(struct param, params, n, free_params);
}

static bool is_wanted(const struct device_class *cls)
{
    const char *only = g_getenv("STORM_CLASS");
    return !only || !strcmp(only, cls->name);
}

#define EACH_CLASS(name)                                               \
    static void name##_of(const struct device_class *cls);             \
    ParameterizedTestParameters(devices, name)                         \
    {                                                                  \
        return all_classes();                                          \
    }                                                                  \
    ParameterizedTest(struct param *p, devices, name)                  \
    {                                                                  \
        const struct device_class *wanted = device_class_at(p->index); \
        if (is_wanted(wanted))                                         \
            name##_of(wanted);                                         \
    }                                                                  \
    static void name##_of(const struct device_class *cls)

EACH_CLASS(tables)
{
    check_state_table(cls);
    check_saved_size(cls);
    for (const struct device_prop *p = cls->props; p && p->name; p++)
        check_prop(cls, p);
}

// All switches and those of the bus in each combination, with few seeds.
static unsigned variant_of(unsigned seed)
{
    return seed | (seed & 4 ? DUT_FLIPPED_BUS : 0);
}

// Reset twice is reset once, and a device with a past is like a new one after it.
EACH_CLASS(reset)
{
    for (unsigned seed = 0; seed < 8; seed++) {
        unsigned variant = variant_of(seed);
        if (variant & DUT_WRITABLE)
            continue; // what changed in a folder stays
        struct device_rig *old = device_rig_new(cls, variant), *new = device_rig_new(cls, variant);
        expect_same_state("made twice", old, new);
        storm(old, 1, STORM_STEPS, true);
        lower_inputs(old);
        device_rig_copy_surroundings(old, new);
        device_rig_reset(old);
        uint64_t once = device_rig_hash(old);
        device_rig_reset(old);
        cr_assert_eq(device_rig_hash(old), once, "%s: a second reset changes the state", cls->name);
        device_rig_reset(new);
        expect_same_state("after reset", old, new);
        old->ends = new->ends;
        cr_assert_eq(storm(old, 2, STORM_STEPS, false), storm(new, 2, STORM_STEPS, false),
                     "%s: after reset it is not like a new one", cls->name);
        device_rig_free(old);
        device_rig_free(new);
    }
}

static bool has_folder(const struct device_rig *rig)
{
    for (unsigned i = 0; i < rig->backends->len; i++) {
        if (g_array_index(rig->backends, struct device_rig_backend, i).kind == PROP_FSDEV)
            return true;
    }
    return false;
}

// What is loaded is what was saved, and the copy behaves like the original from then on: so nothing
// that matters lives outside of the state.
EACH_CLASS(save_and_load)
{
    for (unsigned seed = first_seed(); seed < last_seed(8); seed++) {
        unsigned variant = variant_of(seed) & ~(unsigned)DUT_WRITABLE;
        struct device_rig *a = device_rig_new(cls, variant), *b = device_rig_new(cls, variant);
        storm(a, seed, STORM_STEPS / 5, true);
        if (seed & 2)
            storm_to_output(a, seed + 50, STORM_STEPS);
        GByteArray *saved = device_rig_save(a);
        device_rig_copy_surroundings(a, b);
        cr_assert(device_rig_load(b, saved), "%s: refuses its own state", cls->name);
        if (has_folder(a)) // what the guest has open there is the host's, and is closed by loading
            cr_assert(device_rig_load(a, saved));
        expect_same_state("loaded", a, b);
        a->ends = b->ends;
        uint64_t seen = storm(a, seed + 100, STORM_STEPS / 5, false);
        cr_assert_eq(seen, storm(b, seed + 100, STORM_STEPS / 5, false),
                     "%s: goes on differently from what was loaded (seed %u)", cls->name, seed);
        expect_same_state("some time after loading", a, b);
        g_byte_array_free(saved, TRUE);
        device_rig_free(a);
        device_rig_free(b);
    }
}

// A field that was forgotten where padding could be is found by its changing.
EACH_CLASS(padding_never_changes)
{
    g_autofree uint8_t *mask = coverage(cls);
    struct device_rig *rig = device_rig_new(cls, 0);
    g_autofree uint8_t *before = g_memdup2(rig->dev, cls->size);
    storm(rig, 3, STORM_STEPS, true);
    const uint8_t *after = (const uint8_t *)rig->dev;
    for (uint32_t i = cls->state_offset; i < cls->state_offset + cls->state_size; i++)
        cr_assert(mask[i] || before[i] == after[i], "%s: byte %u of its state is not described",
                  cls->name, i - cls->state_offset);
    device_rig_free(rig);
}

EACH_CLASS(storms)
{
    cr_assert(log_set_file("/dev/null", NULL));
    log_mask = LOG_GUEST | LOG_UNIMP;
    for (unsigned seed = first_seed(); seed < last_seed(8); seed++) {
        struct device_rig *rig = device_rig_new(cls, variant_of(seed));
        storm(rig, seed, STORM_STEPS, true);
        device_rig_free(rig);
    }
}

// Changes about one in `odds` of the fields of saved state from *at on, to values that could be
// meant.
static void damage(struct storm *s, const struct state_field *fields, unsigned odds, uint8_t **at)
{
    for (const struct state_field *f = fields; f->name; f++) {
        for (uint32_t i = 0; i < f->count; i++) {
            if (f->kind == STATE_STRUCT) {
                damage(s, f->sub, odds, at);
                continue;
            }
            if (!below(s, odds)) {
                uint64_t value = f->size == 8 && below(s, 2) ? some_ram(s) : some_value(s);
                if (f->kind == STATE_BYTES)
                    (*at)[below(s, f->size)] = (uint8_t)value;
                else
                    store_le(*at, f->size, f->kind == STATE_BOOL ? value & 1 : value);
            }
            *at += f->size;
        }
    }
}

// A snapshot file may say anything. What it says may be refused; else the guest sees nonsense, no
// more.
EACH_CLASS(damaged_state)
{
    for (unsigned seed = first_seed(); seed < last_seed(50); seed++) {
        struct device_rig *rig = device_rig_new(cls, seed);
        struct storm s = {.rig = rig, .random = seed};
        storm(rig, seed, STORM_STEPS / 50, false);
        GByteArray *saved = device_rig_save(rig);
        uint8_t *at = saved->data;
        for (unsigned i = 0; i < rig->depth; i++)
            damage(&s, rig->chain[i]->cls->state, 1 + (unsigned)below(&s, 4), &at);
        cr_assert_eq(at, saved->data + saved->len);
        if (device_rig_load(rig, saved))
            storm(rig, seed + 1, STORM_STEPS / 50, true);
        g_byte_array_free(saved, TRUE);
        device_rig_free(rig);
    }
}

EACH_CLASS(without_backends)
{
    struct device_rig *rig = device_rig_make(cls, 0);
    GError *error = NULL;
    for (const struct device_prop *p = cls->props; p && p->name; p++) {
        if (p->kind >= PROP_CHARDEV)
            device_set_ptr(rig->dev, p->name, NULL);
    }
    if (device_init(rig->dev, &error)) {
        device_rig_reset(rig);
        storm(rig, 5, STORM_STEPS, false);
    } else {
        cr_assert(error && *error->message, "%s: fails without saying why", cls->name);
        g_error_free(error);
    }
    device_rig_free(rig);
}

static void try_value(const struct device_class *cls, const struct device_prop *p, uint64_t value)
{
    struct device_rig *rig = device_rig_make(cls, DUT_STRINGS);
    GError *error = NULL;
    device_set_u64(rig->dev, p->name, value);
    if (device_init(rig->dev, &error)) {
        device_rig_reset(rig);
        storm(rig, 6, STORM_STEPS / 50, true);
    } else {
        cr_assert(error && *error->message, "%s, %s: fails without saying why", cls->name, p->name);
        g_error_free(error);
    }
    device_rig_free(rig);
}

// Users may give a property any value (-global): it works, or there is an error.
EACH_CLASS(any_value)
{
    static const uint64_t values[] = {0, 1, 3, 64, 4096, 0x7fffffff, UINT32_MAX, UINT64_MAX};
    for (const struct device_prop *p = cls->props; p && p->name; p++) {
        for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
            if (p->kind == PROP_U64 || (p->kind == PROP_U32 && values[i] <= UINT32_MAX))
                try_value(cls, p, values[i]);
        }
    }
}

// Its registers are to lie where something else is.
EACH_CLASS(no_room)
{
    if (cls->bus)
        return;
    struct device_rig *rig = device_rig_make(cls, 0);
    GError *error = NULL;
    rig->dev->base = DUT_RAM;
    if (!device_init(rig->dev, &error)) {
        cr_assert(strstr(error->message, "dut") && strstr(error->message, "ram"), "%s: %s",
                  cls->name, error->message);
        g_error_free(error);
    } else {
        cr_assert_null(mem_region_at(rig->mem, 1), "%s: ignores its base", cls->name);
    }
    device_rig_free(rig);
}

// Its node of the device tree is well-formed, and is where its registers are.
EACH_CLASS(device_tree)
{
    if (!cls->fdt)
        return;
    struct device_rig *rig = device_rig_new(cls, 0);
    struct devtree *dt = devtree_new();
    size_t size;
    devtree_u32(dt, "#address-cells", 2);
    devtree_u32(dt, "#size-cells", 2);
    devtree_declare(dt, rig); // all outputs go there
    cls->fdt(rig->dev, dt);
    g_autofree void *blob = devtree_finish(dt, &size);
    cr_assert_eq(fdt_check_full(blob, size), 0, "%s: its node is broken", cls->name);
    int node = fdt_first_subnode(blob, 0), len = 0;
    cr_assert_geq(node, 0, "%s: wrote no node", cls->name);
    cr_assert(fdt_getprop(blob, node, "compatible", &len) && len > 0, "%s", cls->name);
    const void *reg = fdt_getprop(blob, node, "reg", &len);
    if (reg) {
        g_autofree char *at = g_strdup_printf("@%" G_GINT64_MODIFIER "x", DUT_BASE);
        const char *name = fdt_get_name(blob, node, NULL);
        cr_assert(g_str_has_suffix(name, at), "%s: its node is '%s'", cls->name, name);
        cr_assert_eq(load_be(reg, 8), DUT_BASE, "%s: its node is elsewhere", cls->name);
    }
    device_rig_free(rig);
}
