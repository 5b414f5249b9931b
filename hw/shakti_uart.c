// SPDX-License-Identifier: MIT
// SHAKTI's UART, version 2, as its SDK and user manual describe it. Sending takes no time, so the transmit FIFO is
// always empty; the receive FIFO holds 16 bytes. Characters are of 8 bits and come without errors whatever the
// line's settings are.
//
// Registers are of 8, 16 or 32 bits, four bytes apart, and are accessed in any of these sizes.
#include "backend/chardev.h"
#include "base/bits.h"
#include "hw/device.h"
#include "hw/devtree.h"

#define FIFO_SIZE 16
#define SIZE      0x40
#define CLOCK_HZ  50000000
#define BAUD_RATE 9600 // after reset

enum { BAUD, TX, RCV, STATUS, DELAY, CONTROL, IEN, IQCYCLES, RX_THRESHOLD, NR_REGS };

// Of STATUS; IEN enables an interrupt for each. Not here: the transmit FIFO is full, and errors of the line.
enum { TX_EMPTY = BIT(0), RX_NOT_EMPTY = BIT(2), RX_FULL = BIT(3), RX_ABOVE = BIT(8) };

// Bits that can be written, of registers that hold what was written.
static const uint16_t writable[NR_REGS] = {
    [BAUD] = 0xffff, [DELAY] = 0xffff,  [CONTROL] = 0x07fe,
    [IEN] = 0x01ff,  [IQCYCLES] = 0xff, [RX_THRESHOLD] = 0xff,
};

static const uint16_t reset_values[NR_REGS] = {
    [BAUD] = CLOCK_HZ / (16 * BAUD_RATE),
    [CONTROL] = 8 << 5, // bits of a character; no parity, one stop bit
};

struct shakti_uart_state {
    uint16_t regs[NR_REGS];
    uint8_t count;
    uint8_t fifo[FIFO_SIZE]; // the oldest first
};

struct shakti_uart {
    struct device dev;
    struct shakti_uart_state s;
    struct chardev *chr;
};

static uint16_t status(const struct shakti_uart *u)
{
    unsigned count = u->s.count;
    return (uint16_t)(TX_EMPTY | (count > 0 ? RX_NOT_EMPTY : 0) |
                      (count == FIFO_SIZE ? RX_FULL : 0) |
                      (count > u->s.regs[RX_THRESHOLD] ? RX_ABOVE : 0));
}

static void update_irq(struct shakti_uart *u)
{
    device_irq(&u->dev, 0, status(u) & u->s.regs[IEN]);
}

static size_t can_receive(void *opaque)
{
    return FIFO_SIZE - ((struct shakti_uart *)opaque)->s.count;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct shakti_uart *u = opaque;
    len = MIN(len, can_receive(u));
    memcpy(u->s.fifo + u->s.count, data, len);
    u->s.count += (uint8_t)len;
    update_irq(u);
}

static uint8_t pop(struct shakti_uart *u)
{
    uint8_t byte = u->s.fifo[0];
    if (!u->s.count)
        return 0;
    u->s.count--;
    memmove(u->s.fifo, u->s.fifo + 1, FIFO_SIZE - 1);
    chardev_accept_input(u->chr);
    update_irq(u);
    return byte;
}

// The register at an offset, or NR_REGS.
static unsigned reg_at(uint64_t offset)
{
    return offset % 4 ? NR_REGS : MIN((unsigned)offset / 4, NR_REGS);
}

static bool shakti_uart_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct shakti_uart *u = dev;
    unsigned reg = reg_at(offset);
    (void)size;
    *value = 0;
    switch (reg) {
    case RCV:
        *value = pop(u);
        break;
    case STATUS:
        *value = status(u);
        break;
    case TX:
    case NR_REGS:
        log_guest("%s: read of offset 0x%x\n", u->dev.id, (unsigned)offset);
        break;
    default:
        *value = u->s.regs[reg];
        break;
    }
    return true;
}

static bool shakti_uart_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct shakti_uart *u = dev;
    unsigned reg = reg_at(offset);
    uint8_t byte = (uint8_t)value;
    (void)size;
    switch (reg) {
    case TX:
        chardev_write(u->chr, &byte, 1);
        break;
    case RCV:
    case STATUS:
    case NR_REGS:
        log_guest("%s: write of 0x%x at offset 0x%x\n", u->dev.id, (unsigned)value,
                  (unsigned)offset);
        break;
    default:
        u->s.regs[reg] = (uint16_t)value & writable[reg];
        break;
    }
    update_irq(u);
    return true;
}

static const struct mem_ops shakti_uart_ops = {
    .read = shakti_uart_read,
    .write = shakti_uart_write,
    .min_size = 1,
    .max_size = 4,
};

static bool shakti_uart_init(struct device *dev, GError **error)
{
    struct shakti_uart *u = (struct shakti_uart *)dev;
    const struct chardev_front front = {
        .can_receive = can_receive,
        .receive = receive,
        .opaque = u,
        .door = dev->env->door,
        .name = dev->id,
    };
    return mem_add_io(dev->env->mem, dev->id, dev->base, SIZE, &shakti_uart_ops, u, error) &&
           chardev_attach(u->chr, &front, error);
}

static void shakti_uart_reset(struct device *dev)
{
    struct shakti_uart *u = (struct shakti_uart *)dev;
    memset(&u->s, 0, sizeof(u->s));
    memcpy(u->s.regs, reset_values, sizeof(reset_values));
    update_irq(u);
}

static void shakti_uart_loaded(struct device *dev)
{
    struct shakti_uart *u = (struct shakti_uart *)dev;
    u->s.count = MIN(u->s.count, FIFO_SIZE);
    update_irq(u);
    chardev_accept_input(u->chr);
}

static void shakti_uart_free(struct device *dev)
{
    struct shakti_uart *u = (struct shakti_uart *)dev;
    chardev_detach(u->chr, u);
}

static void shakti_uart_fdt(struct device *dev, struct devtree *dt)
{
    devtree_begin_at(dt, "serial", dev->base);
    devtree_irqs(dt, dev);
    devtree_u32(dt, "current-speed", BAUD_RATE);
    devtree_u32(dt, "clock-frequency", CLOCK_HZ);
    devtree_reg(dt, dev->base, SIZE);
    devtree_str(dt, "compatible", "shakti,uart0");
    devtree_end(dt);
}

static const struct device_prop shakti_uart_props[] = {
    {"chardev", PROP_CHARDEV, offsetof(struct shakti_uart, chr), 0, "where the bytes go"},
    PROP_END,
};

static const struct state_field shakti_uart_state[] = {
    STATE_ARRAY(struct shakti_uart, s.regs),
    STATE_VAR(struct shakti_uart, s.count),
    STATE_BUF(struct shakti_uart, s.fifo),
    STATE_END,
};

const struct device_class shakti_uart_class = {
    .name = "shakti-uart",
    .desc = "SHAKTI UART",
    .size = sizeof(struct shakti_uart),
    .props = shakti_uart_props,
    .state = shakti_uart_state,
    .state_offset = offsetof(struct shakti_uart, s),
    .state_size = sizeof(struct shakti_uart_state),
    .init = shakti_uart_init,
    .reset = shakti_uart_reset,
    .loaded = shakti_uart_loaded,
    .free = shakti_uart_free,
    .fdt = shakti_uart_fdt,
};
