// SPDX-License-Identifier: MIT
// SiFive's UART, FE310-G000 manual, chapter 18. Sending takes no time, so the transmit FIFO is always empty;
// the receive FIFO holds 8 bytes.
#include "backend/chardev.h"
#include "base/bits.h"
#include "hw/device.h"
#include "hw/devtree.h"

#define FIFO_SIZE 8

enum {
    TXDATA = 0x00,
    RXDATA = 0x04,
    TXCTRL = 0x08,
    RXCTRL = 0x0c,
    IE = 0x10,
    IP = 0x14,
    DIV = 0x18,
    SIZE = 0x20,
};
enum { IP_TXWM = 1, IP_RXWM = 2 };
#define RXDATA_EMPTY BIT(31)
#define CTRL_MASK    0x00070003 // enable, stop bits (transmitter); watermark

struct sifive_uart_state {
    uint32_t txctrl, rxctrl, ie, div;
    uint8_t count;
    uint8_t fifo[FIFO_SIZE]; // the oldest first
};

struct sifive_uart {
    struct device dev;
    struct sifive_uart_state s;
    struct chardev *chr;
};

static unsigned watermark(uint32_t ctrl)
{
    return ctrl >> 16 & 7;
}

static uint32_t pending(const struct sifive_uart *u)
{
    return (watermark(u->s.txctrl) > 0 ? IP_TXWM : 0) |
           (u->s.count > watermark(u->s.rxctrl) ? IP_RXWM : 0);
}

static void update_irq(struct sifive_uart *u)
{
    device_irq(&u->dev, 0, pending(u) & u->s.ie);
}

static size_t can_receive(void *opaque)
{
    return FIFO_SIZE - ((struct sifive_uart *)opaque)->s.count;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct sifive_uart *u = opaque;
    len = MIN(len, can_receive(u));
    memcpy(u->s.fifo + u->s.count, data, len);
    u->s.count += (uint8_t)len;
    update_irq(u);
}

static uint64_t pop(struct sifive_uart *u)
{
    uint8_t byte = u->s.fifo[0];
    if (!u->s.count)
        return RXDATA_EMPTY;
    u->s.count--;
    memmove(u->s.fifo, u->s.fifo + 1, FIFO_SIZE - 1);
    chardev_accept_input(u->chr);
    update_irq(u);
    return byte;
}

static bool sifive_uart_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct sifive_uart *u = dev;
    (void)size;
    *value = 0;
    switch (offset) {
    case TXDATA: // never full
        break;
    case RXDATA:
        *value = pop(u);
        break;
    case TXCTRL:
        *value = u->s.txctrl;
        break;
    case RXCTRL:
        *value = u->s.rxctrl;
        break;
    case IE:
        *value = u->s.ie;
        break;
    case IP:
        *value = pending(u);
        break;
    case DIV:
        *value = u->s.div;
        break;
    default:
        log_guest("%s: read of offset 0x%x\n", u->dev.id, (unsigned)offset);
        break;
    }
    return true;
}

static bool sifive_uart_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct sifive_uart *u = dev;
    uint8_t byte = (uint8_t)value;
    (void)size;
    switch (offset) {
    case TXDATA:
        chardev_write(u->chr, &byte, 1);
        break;
    case TXCTRL:
        u->s.txctrl = value & CTRL_MASK;
        break;
    case RXCTRL:
        u->s.rxctrl = value & CTRL_MASK;
        break;
    case IE:
        u->s.ie = value & (IP_TXWM | IP_RXWM);
        break;
    case DIV:
        u->s.div = value & 0xffff;
        break;
    default:
        log_guest("%s: write of 0x%x at offset 0x%x\n", u->dev.id, (unsigned)value,
                  (unsigned)offset);
        break;
    }
    update_irq(u);
    return true;
}

static const struct mem_ops sifive_uart_ops = {
    .read = sifive_uart_read,
    .write = sifive_uart_write,
    .min_size = 4,
    .max_size = 4,
};

static bool sifive_uart_init(struct device *dev, GError **error)
{
    struct sifive_uart *u = (struct sifive_uart *)dev;
    const struct chardev_front front = {
        .can_receive = can_receive,
        .receive = receive,
        .opaque = u,
        .door = dev->env->door,
        .name = dev->id,
    };
    return mem_add_io(dev->env->mem, dev->id, dev->base, SIZE, &sifive_uart_ops, u, error) &&
           chardev_attach(u->chr, &front, error);
}

static void sifive_uart_reset(struct device *dev)
{
    struct sifive_uart *u = (struct sifive_uart *)dev;
    memset(&u->s, 0, sizeof(u->s));
    update_irq(u);
}

static void sifive_uart_loaded(struct device *dev)
{
    struct sifive_uart *u = (struct sifive_uart *)dev;
    u->s.count = MIN(u->s.count, FIFO_SIZE);
    update_irq(u);
    chardev_accept_input(u->chr);
}

static void sifive_uart_free(struct device *dev)
{
    struct sifive_uart *u = (struct sifive_uart *)dev;
    chardev_detach(u->chr, u);
}

static void sifive_uart_fdt(struct device *dev, struct devtree *dt)
{
    devtree_begin_at(dt, "serial", dev->base);
    devtree_irqs(dt, dev);
    devtree_reg(dt, dev->base, 0x1000);
    devtree_str(dt, "compatible", "sifive,uart0");
    devtree_end(dt);
}

static const struct device_prop sifive_uart_props[] = {
    {"chardev", PROP_CHARDEV, offsetof(struct sifive_uart, chr), 0, "where the bytes go"},
    PROP_END,
};

static const struct state_field sifive_uart_state[] = {
    STATE_VAR(struct sifive_uart, s.txctrl),
    STATE_VAR(struct sifive_uart, s.rxctrl),
    STATE_VAR(struct sifive_uart, s.ie),
    STATE_VAR(struct sifive_uart, s.div),
    STATE_VAR(struct sifive_uart, s.count),
    STATE_BUF(struct sifive_uart, s.fifo),
    STATE_END,
};

const struct device_class sifive_uart_class = {
    .name = "sifive-uart",
    .desc = "SiFive UART",
    .size = sizeof(struct sifive_uart),
    .props = sifive_uart_props,
    .state = sifive_uart_state,
    .state_offset = offsetof(struct sifive_uart, s),
    .state_size = sizeof(struct sifive_uart_state),
    .init = sifive_uart_init,
    .reset = sifive_uart_reset,
    .loaded = sifive_uart_loaded,
    .free = sifive_uart_free,
    .fdt = sifive_uart_fdt,
};
