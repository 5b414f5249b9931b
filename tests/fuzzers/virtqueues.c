// SPDX-License-Identifier: MIT
// Virtio devices whose driver does anything: descriptors, rings, tables, notifications and resets in any order.
//
// A byte says what is done next, and the bytes behind it say how. Where queues lie follows from their numbers, so
// that most of what an input says about a queue fits together; each address can also be any other.
#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "hw/virtio.h"
#include "tests/fuzzers/fuzzer.h"
#include "tests/unit/device_rig.h"

enum {
    QUEUES = 8,
    QUEUE_STRIDE = 0x4000, // a queue's descriptors; its rings are behind them
    AVAIL = 0x2000,
    USED = 0x3000,
    TABLES = QUEUES * QUEUE_STRIDE, // for indirect descriptors
    BUFFERS = 0x40000,
};

// A ROM follows RAM, and no device may write to it.
#define ROM      (DUT_RAM + DUT_RAM_SIZE)
#define ROM_SIZE 0x1000

struct session {
    struct device_rig *rig;
    struct fuzz_input in;
    uint16_t avail[QUEUES]; // indices as the driver has them
    bool legacy;
};

// Registers, as in 4.2.2 of the specification.
enum {
    VERSION = 0x004,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    GUEST_PAGE_SIZE = 0x028,
    QUEUE_SEL = 0x030,
    QUEUE_NUM = 0x038,
    QUEUE_ALIGN = 0x03c,
    QUEUE_PFN = 0x040,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC = 0x080,
    QUEUE_DRIVER = 0x090,
    QUEUE_DEVICE = 0x0a0,
    CONFIG = 0x100,
    CONFIG_END = 0x200,
};

static uint64_t take(struct session *s, unsigned size)
{
    return fuzz_take(&s->in, size);
}

static uint32_t reg_read(struct session *s, unsigned reg)
{
    uint64_t value = 0;
    enum mem_status status = mem_read(s->rig->mem, DUT_BASE + reg, 4, &value);
    assert(status == MEM_OK);
    return (uint32_t)value;
}

static void reg_write(struct session *s, unsigned reg, uint64_t value)
{
    enum mem_status status = mem_write(s->rig->mem, DUT_BASE + reg, 4, (uint32_t)value);
    assert(status == MEM_OK);
}

static void reg_write64(struct session *s, unsigned reg, uint64_t value)
{
    reg_write(s, reg, value);
    reg_write(s, reg + 4, value >> 32);
}

static void ram_write(struct session *s, paddr_t addr, unsigned size, uint64_t value)
{
    enum mem_status status = mem_write(s->rig->mem, addr, size, value);
    assert(status == MEM_OK);
}

static paddr_t queue_at(unsigned q)
{
    return DUT_RAM + q * QUEUE_STRIDE;
}

// A place that has some meaning here, or none at all.
static paddr_t take_address(struct session *s)
{
    unsigned kind = (unsigned)take(s, 1);
    uint64_t offset = take(s, 1) * 16;
    switch (kind % 16) {
    default:
        return DUT_RAM + BUFFERS + (kind >> 4) * 4096 + offset;
    case 11:
        return DUT_RAM + TABLES + offset;
    case 12:
        return queue_at(kind >> 4) + (offset & 1024 ? USED : AVAIL) + offset % 64;
    case 13:
        return ROM - 8 + offset;
    case 14:
        return DUT_BASE + offset;
    case 15:
        return take(s, 8);
    }
}

static uint32_t take_len(struct session *s)
{
    static const uint32_t usual[] = {0,  1,   2,    4,    6,    8,       10,         12,
                                     16, 512, 1024, 4096, 8192, 0x10000, 0x7fffffff, UINT32_MAX};
    unsigned kind = (unsigned)take(s, 1);
    return kind < ARRAY_LEN(usual) ? usual[kind] : kind < 224 ? kind - 16 : (uint32_t)take(s, 4);
}

// --- What a driver does ---

static void setup_queue(struct session *s, unsigned flags)
{
    unsigned q = flags % QUEUES;
    uint64_t shape = take(s, 1);
    paddr_t desc = queue_at(q);
    unsigned num = shape & 0x10 ? (unsigned)take(s, 2) : 1u << (shape & 15) % 9;
    reg_write(s, QUEUE_SEL, q);
    reg_write(s, QUEUE_NUM, num);
    s->avail[q] = 0;
    if (s->legacy) {
        reg_write(s, QUEUE_ALIGN, shape & 0x20 ? take(s, 4) : USED);
        reg_write(s, QUEUE_PFN, shape & 0x40 ? take(s, 4) : desc >> PAGE_BITS);
        return;
    }
    reg_write64(s, QUEUE_DESC, shape & 0x20 ? take_address(s) : desc);
    reg_write64(s, QUEUE_DRIVER, shape & 0x40 ? take_address(s) : desc + AVAIL);
    reg_write64(s, QUEUE_DEVICE, shape & 0x80 ? take_address(s) : desc + USED);
    reg_write(s, QUEUE_READY, 1);
}

static void negotiate(struct session *s, uint64_t declined)
{
    reg_write(s, STATUS, 0);
    reg_write(s, STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    reg_write(s, GUEST_PAGE_SIZE, PAGE_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        reg_write(s, DEVICE_FEATURES_SEL, i);
        reg_write(s, DRIVER_FEATURES_SEL, i);
        reg_write(s, DRIVER_FEATURES, reg_read(s, DEVICE_FEATURES) & ~(declined >> (32 * i)));
    }
    if (!s->legacy)
        reg_write(s, STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

// As the specification wants it, so that the rest of an input starts from there.
static void bring_up(struct session *s, unsigned flags)
{
    uint64_t declined = flags & 1 ? take(s, 4) : 0;
    negotiate(s, declined);
    memset(mem_ptr(s->rig->mem, DUT_RAM, TABLES, true), 0, TABLES);
    for (unsigned q = 0; q < QUEUES; q++) {
        reg_write(s, QUEUE_SEL, q);
        reg_write(s, QUEUE_NUM, 16);
        if (s->legacy) {
            reg_write(s, QUEUE_ALIGN, USED);
            reg_write(s, QUEUE_PFN, queue_at(q) >> PAGE_BITS);
        } else {
            reg_write64(s, QUEUE_DESC, queue_at(q));
            reg_write64(s, QUEUE_DRIVER, queue_at(q) + AVAIL);
            reg_write64(s, QUEUE_DEVICE, queue_at(q) + USED);
            reg_write(s, QUEUE_READY, 1);
        }
        s->avail[q] = 0;
    }
    reg_write(s, STATUS, reg_read(s, STATUS) | VIRTIO_DRIVER_OK);
}

// Legacy queues have their avail ring right behind the descriptors.
static paddr_t avail_of(const struct session *s, unsigned q)
{
    return queue_at(q) + (s->legacy ? 16 * 16 : AVAIL);
}

static void put_desc(struct session *s, paddr_t table, unsigned index, paddr_t addr, uint32_t len,
                     unsigned flags, unsigned next)
{
    paddr_t at = table + 16 * index;
    ram_write(s, at, 8, addr);
    ram_write(s, at + 8, 4, len);
    ram_write(s, at + 12, 2, flags);
    ram_write(s, at + 14, 2, next);
}

// A descriptor of a queue, or of a table.
static void write_desc(struct session *s, unsigned flags)
{
    unsigned index = (unsigned)take(s, 1), bits = (unsigned)take(s, 1);
    paddr_t table = flags & 8 ? DUT_RAM + TABLES : queue_at(flags % QUEUES);
    paddr_t addr = take_address(s);
    uint32_t len = take_len(s);
    unsigned next = bits >> 3 ? bits >> 3 : (index & 63) + 1;
    put_desc(s, table, index & 63, addr, len, index & 64 ? bits : bits & 7, next);
}

// The next entry of the avail ring; the index moves by `step`.
static void put_head(struct session *s, unsigned q, unsigned head, unsigned step)
{
    ram_write(s, avail_of(s, q) + 4 + 2 * (s->avail[q] % 16), 2, head);
    s->avail[q] = (uint16_t)(s->avail[q] + step);
    ram_write(s, avail_of(s, q) + 2, 2, s->avail[q]);
}

static void offer(struct session *s, unsigned q, bool jump)
{
    unsigned head = (unsigned)take(s, 1);
    put_head(s, q, head, jump ? (unsigned)take(s, 2) : 1);
}

// A request that is as it should be: buffers to read, whose first bytes the input has, then buffers to write; by a
// table if `indirect`. It is offered, and the device notified.
static void request(struct session *s, unsigned q, bool indirect)
{
    enum { ROOM = 0x4000, GIVEN = 64 };
    unsigned shape = (unsigned)take(s, 1), nr_out = shape & 3, nr = nr_out + (shape >> 2 & 3);
    paddr_t table = indirect ? DUT_RAM + TABLES : queue_at(q), buf = DUT_RAM + BUFFERS;
    for (unsigned i = 0; i < nr; i++, buf += ROOM) {
        uint8_t bytes[GIVEN];
        uint32_t len = take_len(s);
        if (i < nr_out) {
            fuzz_take_bytes(&s->in, bytes, MIN(len, GIVEN));
            mem_write_bytes(s->rig->mem, buf, bytes, MIN(len, GIVEN));
        }
        unsigned flags = (i + 1 < nr ? 1 : 0) | (i < nr_out ? 0 : 2);
        put_desc(s, table, i, buf, len, flags, i + 1);
    }
    if (indirect)
        put_desc(s, queue_at(q), 0, table, 16 * nr, 4, 0);
    put_head(s, q, 0, 1);
    reg_write(s, QUEUE_NOTIFY, q);
}

// Bytes of a request, or whatever else lies there.
static void write_bytes(struct session *s)
{
    uint8_t bytes[64];
    paddr_t at = take_address(s);
    size_t len = 1 + take(s, 1) % sizeof(bytes);
    fuzz_take_bytes(&s->in, bytes, len);
    mem_write_bytes(s->rig->mem, at, bytes, len);
}

static void touch_register(struct session *s, unsigned flags)
{
    unsigned reg = (unsigned)take(s, 1) * (flags & 1 ? 1 : 4) % CONFIG_END,
             size = 1u << (flags >> 1 & 3);
    uint64_t value;
    if (flags & 8)
        mem_read(s->rig->mem, DUT_BASE + reg, size, &value);
    else
        mem_write(s->rig->mem, DUT_BASE + reg, size, take(s, size));
}

static void from_outside(struct session *s)
{
    uint8_t bytes[128];
    size_t len = take(s, 1) % sizeof(bytes);
    fuzz_take_bytes(&s->in, bytes, len);
    device_rig_host_input(s->rig, bytes, len);
    s->rig->clk->base_ns += NS_PER_S;
    clock_run_due(s->rig->clk);
}

static void save_and_load(struct session *s, unsigned flags)
{
    if (flags & 1) {
        device_rig_reset(s->rig);
        return;
    }
    GByteArray *saved = device_rig_save(s->rig);
    bool loaded = device_rig_load(s->rig, saved);
    assert(loaded);
    g_byte_array_free(saved, TRUE);
}

static void step(struct session *s)
{
    unsigned op = (unsigned)take(s, 1), flags = op >> 4, q = flags % QUEUES;
    switch (op & 15) {
    case 0:
        bring_up(s, flags);
        break;
    case 1:
        setup_queue(s, flags);
        break;
    case 2:
        write_desc(s, flags);
        break;
    case 3:
        offer(s, q, flags & 8);
        break;
    case 4:
        reg_write(s, QUEUE_NOTIFY, flags & 8 ? take(s, 4) : q);
        break;
    case 5:
        write_bytes(s);
        break;
    case 6:
        touch_register(s, flags);
        break;
    case 7:
        from_outside(s);
        break;
    case 8:
        save_and_load(s, flags);
        break;
    default:
        request(s, q, flags & 8);
    }
}

// --- Devices ---

static bool sits_on(const struct device_class *cls, const char *bus)
{
    return cls->bus && !strcmp(cls->bus, bus);
}

// A function, or what plugs into one.
static bool is_virtio(const struct device_class *cls)
{
    const struct device_class *other;
    for (unsigned i = 0; (other = device_class_at(i)); i++) {
        if (other->provides && sits_on(cls, other->provides) && sits_on(other, VIRTIO_BUS))
            return true;
    }
    return sits_on(cls, VIRTIO_BUS);
}

static const struct device_class *class_at(unsigned n)
{
    const struct device_class *found[16], *cls;
    unsigned count = 0;
    for (unsigned i = 0; (cls = device_class_at(i)); i++) {
        if (is_virtio(cls) && count < ARRAY_LEN(found))
            found[count++] = cls;
    }
    return found[n % count];
}

// Whatever was done to it, a reset brings the device back, and ROM is as it was.
static void check_end(struct session *s)
{
    static const uint8_t zeros[ROM_SIZE];
    const struct mem_region *rom = mem_find(s->rig->mem, ROM);
    assert(!memcmp(rom->host, zeros, ROM_SIZE));
    reg_write(s, STATUS, 0);
    assert(reg_read(s, STATUS) == 0 && reg_read(s, INTERRUPT_STATUS) == 0);
    bring_up(s, 0);
    assert(!(reg_read(s, STATUS) & VIRTIO_NEEDS_RESET));
}

static void run(const uint8_t *data, size_t len)
{
    struct session s = {.in = fuzz_input(data, len)};
    const struct device_class *cls = class_at((unsigned)take(&s, 1));
    s.rig = device_rig_new(cls, (unsigned)take(&s, 1) % DUT_VARIANTS);
    if (!mem_add_rom(s.rig->mem, "rom", ROM, ROM_SIZE, NULL))
        g_error("no memory");
    s.legacy = reg_read(&s, VERSION) == 1;
    while (fuzz_left(&s.in))
        step(&s);
    check_end(&s);
    device_rig_free(s.rig);
}

const struct fuzzer fuzzer_virtqueues = {
    .name = "virtqueues",
    .help = "a virtio device, a variant of it, and what its driver does",
    .max_len = 1024,
    .run = run,
};
