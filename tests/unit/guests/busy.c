// SPDX-License-Identifier: MIT
// A guest for tests of snapshots, replay and the timeline: a program for the board virt, RV64, M mode, 1 to 4 harts,
// that does a bit of everything that has state, without end, and differently depending on all that it got so far. Built
// by the cross compiler; not part of any test program itself.
//
// What it does is chosen by a generator whose state takes up what devices answer, so that two runs that differ in
// anything soon differ in everything. The harts other than 0 work on memory of their own, wait for interrupts of
// hart 0, and answer by changing its generator.
#include <stdint.h>

#define MAX_HARTS 4
#define REG(at)   (*(volatile uint32_t *)(uintptr_t)(at))
#define REG8(at)  (*(volatile uint8_t *)(uintptr_t)(at))

#define UART     0x10000000u
#define MSIP(h)  REG(0x2000000u + 4 * (h))
#define CMP(h)   (*(volatile uint64_t *)(uintptr_t)(0x2004000u + 8 * (h)))
#define MTIME    (*(volatile uint64_t *)(uintptr_t)0x200bff8u)
#define RTC      0x101000u
#define VIRTIO   0x10001000u
#define POOL     ((uint64_t *)(uintptr_t)0x80800000u)
#define POOL_LEN (8u << 20) // bytes for each hart

// --- Start, traps ---

__asm__(".section .start, \"ax\"\n.globl _start\n_start:\n"
        "csrr a0, mhartid\n"
        "li t0, 4\n1: bgeu a0, t0, 1b\n"
        "addi t0, a0, 1\nslli t0, t0, 14\nla sp, stacks\nadd sp, sp, t0\n"
        "la t0, trap\ncsrw mtvec, t0\n"
        "li t0, 0x6000\ncsrs mstatus, t0\n"
        "call run\n"
        ".text\n.align 2\ntrap:\n"
        "addi sp, sp, -256\n"
        "sd ra, 0(sp)\nsd t0, 8(sp)\nsd t1, 16(sp)\nsd t2, 24(sp)\nsd a0, 32(sp)\nsd a1, 40(sp)\n"
        "sd a2, 48(sp)\nsd a3, 56(sp)\nsd a4, 64(sp)\nsd a5, 72(sp)\nsd a6, 80(sp)\nsd a7, 88(sp)\n"
        "sd t3, 96(sp)\nsd t4, 104(sp)\nsd t5, 112(sp)\nsd t6, 120(sp)\n"
        "csrr a0, mcause\ncsrr a1, mhartid\ncall on_trap\n"
        "ld ra, 0(sp)\nld t0, 8(sp)\nld t1, 16(sp)\nld t2, 24(sp)\nld a0, 32(sp)\nld a1, 40(sp)\n"
        "ld a2, 48(sp)\nld a3, 56(sp)\nld a4, 64(sp)\nld a5, 72(sp)\nld a6, 80(sp)\nld a7, 88(sp)\n"
        "ld t3, 96(sp)\nld t4, 104(sp)\nld t5, 112(sp)\nld t6, 120(sp)\n"
        "addi sp, sp, 256\nmret\n");

uint8_t stacks[MAX_HARTS << 14] __attribute__((aligned(16)));
static uint64_t seeds[MAX_HARTS]; // of the generators
static volatile uint64_t ticks[MAX_HARTS], kicks[MAX_HARTS];

static uint64_t next(unsigned hart)
{
    uint64_t s = seeds[hart];
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return seeds[hart] = s;
}

static void mix(unsigned hart, uint64_t value)
{
    seeds[hart] = (seeds[hart] ^ value) * 0x9e3779b97f4a7c15u | 1;
}

void on_trap(uint64_t cause, unsigned hart);
void on_trap(uint64_t cause, unsigned hart)
{
    if (cause == (1ull << 63 | 7)) {
        ticks[hart]++;
        CMP(hart) = MTIME + 100 + next(hart) % 3000;
        mix(hart, MTIME);
    } else if (cause == (1ull << 63 | 3)) {
        MSIP(hart) = 0;
        kicks[hart]++;
        mix(hart, kicks[hart]);
    } else {
        REG(0x100000) = 0x333u | 0x3000u | (uint32_t)cause << 16; // a bug of this program
    }
}

// --- Virtio, as before version 1.0 ---

#define QUEUE 8

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

struct queue {
    struct desc desc[QUEUE];
    uint16_t avail_flags, avail_idx, avail[QUEUE];
    uint8_t pad[4096 - QUEUE * 16 - 4 - QUEUE * 2];
    uint16_t used_flags;
    volatile uint16_t used_idx;
    struct {
        uint32_t id, len;
    } used[QUEUE];
    uint16_t seen; // ours
} __attribute__((aligned(4096)));

static struct queue blk_queue, rng_queue, net_rx, net_tx;
static uint32_t blk_dev, rng_dev, net_dev; // 0: there is none
static uint8_t net_buffers[QUEUE][1600];

static void set_up_queue(uint32_t dev, unsigned n, struct queue *q)
{
    REG(dev + 0x30) = n;
    REG(dev + 0x38) = QUEUE;
    REG(dev + 0x3c) = 4096;
    REG(dev + 0x40) = (uint32_t)((uintptr_t)q >> 12);
}

static void offer(uint32_t dev, unsigned n, struct queue *q, unsigned head)
{
    q->avail[q->avail_idx % QUEUE] = (uint16_t)head;
    __asm__ volatile("fence" ::: "memory");
    q->avail_idx++;
    __asm__ volatile("fence" ::: "memory");
    REG(dev + 0x50) = n;
}

static void find_devices(void)
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t dev = VIRTIO + 0x1000 * i, id = REG(dev + 8);
        if (id != 1 && id != 2 && id != 4)
            continue;
        REG(dev + 0x70) = 3;
        REG(dev + 0x20) = 0;
        REG(dev + 0x28) = 4096;
        if (id == 2)
            set_up_queue(blk_dev = dev, 0, &blk_queue);
        if (id == 4)
            set_up_queue(rng_dev = dev, 0, &rng_queue);
        if (id == 1) {
            set_up_queue(net_dev = dev, 0, &net_rx);
            set_up_queue(dev, 1, &net_tx);
        }
        REG(dev + 0x70) = 7;
    }
}

static uint64_t disk_buffer[64 * 64];

// A request for up to 64 sectors; what was read changes the generator.
static void use_disk(void)
{
    static struct {
        uint32_t type, reserved;
        uint64_t sector;
    } head;
    static uint8_t status;
    uint32_t sectors = 1 + next(0) % 64;
    head.type = next(0) & 1;
    head.sector = next(0) % (2048 - sectors);
    for (unsigned i = 0; head.type && i < sectors * 64; i++)
        disk_buffer[i] = next(0);
    blk_queue.desc[0] = (struct desc){(uintptr_t)&head, 16, 1, 1};
    blk_queue.desc[1] = (struct desc){(uintptr_t)disk_buffer, sectors * 512, head.type ? 1 : 3, 2};
    blk_queue.desc[2] = (struct desc){(uintptr_t)&status, 1, 2, 0};
    offer(blk_dev, 0, &blk_queue, 0);
    mix(0, status + 77u);
    for (unsigned i = 0; i < sectors * 64; i += 7)
        mix(0, disk_buffer[i]);
}

static void use_entropy(void)
{
    static uint64_t bytes[4];
    rng_queue.desc[0] = (struct desc){(uintptr_t)bytes, 1 + next(0) % 32, 2, 0};
    offer(rng_dev, 0, &rng_queue, 0);
    mix(0, bytes[0] ^ bytes[3]);
}

static void give_buffers(void)
{
    for (unsigned i = 0; i < QUEUE; i++) {
        net_rx.desc[i] = (struct desc){(uintptr_t)net_buffers[i], sizeof(net_buffers[i]), 2, 0};
        offer(net_dev, 0, &net_rx, i);
    }
}

// Asks who the gateway is, and takes what has arrived.
static void use_network(void)
{
    static const uint8_t question[] = {
        0,    0,    0,    0,    0,    0,    0,    0,    0,    0, // virtio's header
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x08, 0x06,
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56,
        10,   0,    2,    15,   0,    0,    0,    0,    0,    0,    10,   0,    2,    2,
    };
    static uint8_t frame[10 + 60];
    for (unsigned i = 0; i < sizeof(question); i++)
        frame[i] = question[i];
    net_tx.desc[0] = (struct desc){(uintptr_t)frame, sizeof(frame), 0, 0};
    offer(net_dev, 1, &net_tx, 0);
    for (; net_rx.seen != net_rx.used_idx; net_rx.seen++) {
        unsigned i = net_rx.used[net_rx.seen % QUEUE].id;
        mix(0, net_rx.used[net_rx.seen % QUEUE].len + MTIME);
        mix(0, net_buffers[i][31]);
        offer(net_dev, 0, &net_rx, i);
    }
}

// --- The rest ---

static void write_memory(unsigned hart)
{
    uint64_t *page = POOL + (POOL_LEN / 8) * hart + next(hart) % (POOL_LEN / 4096) * 512;
    for (unsigned i = next(hart) % 64; i < 512; i += 1 + next(hart) % 16)
        page[i] ^= next(hart);
}

static void read_memory(unsigned hart)
{
    const uint64_t *page = POOL + (POOL_LEN / 8) * hart + next(hart) % (POOL_LEN / 4096) * 512;
    for (unsigned i = 0; i < 512; i += 31)
        mix(hart, page[i]);
}

// A function that is another one each time.
static void change_code(unsigned hart)
{
    static uint32_t code[MAX_HARTS][4] __attribute__((aligned(64)));
    uint32_t *c = code[hart];
    c[0] = 0x00050513u | (uint32_t)(next(hart) % 2048) << 20; // addi a0, a0, n
    c[1] = 0x00151513u;                                       // slli a0, a0, 1
    c[2] = 0x00008067u;                                       // ret
    __asm__ volatile("fence.i" ::: "memory");
    mix(hart, ((uint64_t(*)(uint64_t))(uintptr_t)c)(next(hart)));
}

static void use_floats(unsigned hart)
{
    double x = 1.0 + (double)(next(hart) % 1000);
    for (unsigned i = 0; i < 20; i++)
        x = x / 1.7 + 3.25 / x;
    mix(hart, (uint64_t)(x * 1e9));
}

static void use_console(void)
{
    if (REG8(UART + 5) & 1)
        mix(0, REG8(UART) + 1u);
    if (next(0) % 16 == 0)
        REG8(UART) = (uint8_t)('a' + next(0) % 26);
}

static void sleep(unsigned hart)
{
    CMP(hart) = MTIME + next(hart) % 500;
    __asm__ volatile("wfi");
}

static void kick(unsigned harts)
{
    MSIP(1 + next(0) % (harts - 1)) = 1;
}

static unsigned count_harts(void)
{
    unsigned n = 1;
    for (; n < MAX_HARTS; n++) { // a register of a hart that is not there keeps nothing
        MSIP(n) = 1;
        if (!MSIP(n))
            break;
    }
    return n;
}

static void work(unsigned hart, unsigned harts)
{
    switch (next(hart) % 16) {
    case 0:
        sleep(hart);
        break;
    case 1:
        change_code(hart);
        break;
    case 2:
        use_floats(hart);
        break;
    case 3:
        if (hart == 0 && blk_dev)
            use_disk();
        break;
    case 4:
        if (hart == 0 && net_dev)
            use_network();
        break;
    case 5:
        if (hart == 0 && rng_dev)
            use_entropy();
        break;
    case 6:
        if (hart == 0)
            use_console();
        else
            mix(0, seeds[hart]); // a race, which must be the same each time
        break;
    case 7:
        if (hart == 0 && harts > 1)
            kick(harts);
        break;
    case 8:
        mix(hart, REG(RTC));
        break;
    case 9:
    case 10:
    case 11:
        read_memory(hart);
        break;
    default:
        write_memory(hart);
        break;
    }
}

void run(unsigned hart);
void run(unsigned hart)
{
    unsigned harts = hart ? MAX_HARTS : count_harts();
    seeds[hart] = 0x123456789abcdefu + hart;
    if (hart == 0) {
        find_devices();
        if (net_dev)
            give_buffers();
    }
    CMP(hart) = MTIME + 1000;
    __asm__ volatile("csrs mie, %0; csrsi mstatus, 8" ::"r"(0x88ul));
    for (;;)
        work(hart, harts);
}
