// SPDX-License-Identifier: MIT
// NS16550A: the UART of PCs, with FIFOs of 16 bytes. After National Semiconductor's PC16550D data sheet,
// section 8.
//
// Sending takes no time: what is written to THR is with the back end at once, so that THRE and TEMT always
// stand. Receiving is paced by the back end alone, which offers as much as there is room for; only the
// character timeout of the receive FIFO is measured in character times. CTS, DSR and DCD are asserted.
#include "backend/chardev.h"
#include "base/bits.h"
#include "hw/device.h"
#include "hw/devtree.h"

#define FIFO_SIZE 16

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR, NR_REGS };

enum { IER_RDI = 0x01, IER_THRI = 0x02, IER_RLSI = 0x04, IER_MSI = 0x08, IER_MASK = 0x0f };
enum {
    IIR_MSI = 0x00,
    IIR_NONE = 0x01,
    IIR_THRI = 0x02,
    IIR_RDI = 0x04,
    IIR_RLSI = 0x06,
    IIR_CTI = 0x0c, // character timeout
    IIR_FIFOS = 0xc0,
};
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04, FCR_TRIGGER_SHIFT = 6 };
enum { LCR_WORD = 0x03, LCR_STOP = 0x04, LCR_PARITY = 0x08, LCR_DLAB = 0x80 };
enum {
    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_MASK = 0x1f
};
enum {
    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_PE = 0x04,
    LSR_FE = 0x08,
    LSR_BI = 0x10,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_RX_ERROR = 0x80, // an error somewhere in the FIFO
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
};
enum {
    MSR_DCTS = 0x01,
    MSR_DDSR = 0x02,
    MSR_TERI = 0x04,
    MSR_DDCD = 0x08,
    MSR_DELTA = 0x0f,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

struct ns16550_state {
    struct timer timeout; // until IIR_CTI
    uint16_t divisor;
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t
        lsr; // errors of the byte at the FIFO's head and LSR_OE; DR, THRE and TEMT are made on reading
    uint8_t msr;
    bool thr_pending;        // IIR_THRI, until IIR or THR is accessed
    bool timeout_pending;    // IIR_CTI, until RBR is read
    uint8_t count;           // of bytes received
    uint8_t fifo[FIFO_SIZE]; // the oldest first
    uint8_t brk[FIFO_SIZE];  // LSR_BI for a break, else 0
};

struct ns16550 {
    struct device dev;
    struct ns16550_state s;
    struct chardev *chr;
    uint32_t regshift;
    uint32_t clock_frequency;
};

static bool fifos_on(const struct ns16550 *u)
{
    return u->s.fcr & FCR_ENABLE;
}

static unsigned trigger_level(const struct ns16550 *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return fifos_on(u) ? levels[u->s.fcr >> FCR_TRIGGER_SHIFT] : 1;
}

// The cause of highest priority, data sheet table IV.
static uint8_t iir(const struct ns16550 *u)
{
    const struct ns16550_state *s = &u->s;
    if ((s->ier & IER_RLSI) && (s->lsr & LSR_ERRORS))
        return IIR_RLSI;
    if ((s->ier & IER_RDI) && s->count >= trigger_level(u))
        return IIR_RDI;
    if ((s->ier & IER_RDI) && s->timeout_pending)
        return IIR_CTI;
    if ((s->ier & IER_THRI) && s->thr_pending)
        return IIR_THRI;
    if ((s->ier & IER_MSI) && (s->msr & MSR_DELTA))
        return IIR_MSI;
    return IIR_NONE;
}

static void update_irq(struct ns16550 *u)
{
    device_irq(&u->dev, 0, iir(u) != IIR_NONE);
}

// --- Receiver ---

static uint64_t char_time_ns(const struct ns16550 *u)
{
    unsigned bits =
        1 + 5 + (u->s.lcr & LCR_WORD) + !!(u->s.lcr & LCR_PARITY) + (u->s.lcr & LCR_STOP ? 2 : 1);
    unsigned divisor = u->s.divisor ? u->s.divisor : 1;
    return NS_PER_S * 16 * bits * divisor / u->clock_frequency;
}

// A byte came or went: the four character times start again.
static void restart_timeout(struct ns16550 *u)
{
    const struct device_env *env = u->dev.env;
    bool run = fifos_on(u) && u->s.count;
    clock_at(env->clock, &u->s.timeout,
             run ? clock_now(env->clock) + 4 * char_time_ns(u) : CLOCK_NEVER);
}

// What was waited for has been read, or thrown away.
static void end_timeout(struct ns16550 *u)
{
    u->s.timeout_pending = false;
    restart_timeout(u);
}

static void timeout_expired(void *opaque)
{
    struct ns16550 *u = opaque;
    u->s.timeout_pending = true;
    update_irq(u);
}

// LSR's error bits belong to the byte that comes out next.
static void show_head(struct ns16550 *u)
{
    if (u->s.count)
        u->s.lsr |= u->s.brk[0];
}

static void push(struct ns16550 *u, uint8_t byte, uint8_t brk)
{
    struct ns16550_state *s = &u->s;
    unsigned room = fifos_on(u) ? FIFO_SIZE : 1;
    if (s->count < room) {
        s->fifo[s->count] = byte;
        s->brk[s->count++] = brk;
    } else {
        s->lsr |= LSR_OE;
        if (!fifos_on(u)) { // the new byte takes the old one's place
            s->fifo[0] = byte;
            s->brk[0] = brk;
        }
    }
    show_head(u);
    if (!u->s.timeout_pending) // else it stays until a byte is read
        restart_timeout(u);
}

static uint8_t pop(struct ns16550 *u)
{
    struct ns16550_state *s = &u->s;
    uint8_t byte = s->fifo[0]; // without new data, the last byte stays readable
    if (s->count) {
        s->count--;
        if (s->count) {
            memmove(s->fifo, s->fifo + 1, s->count);
            memmove(s->brk, s->brk + 1, s->count);
        }
        show_head(u);
        chardev_accept_input(u->chr);
    }
    end_timeout(u);
    return byte;
}

static void clear_rx(struct ns16550 *u)
{
    u->s.count = 0;
    u->s.lsr &= ~(LSR_PE | LSR_FE | LSR_BI);
    end_timeout(u);
    chardev_accept_input(u->chr);
}

// In loopback the receiver hears the transmitter only; input waits in the back end meanwhile.
static size_t can_receive(void *opaque)
{
    const struct ns16550 *u = opaque;
    if (u->s.mcr & MCR_LOOP)
        return 0;
    return (fifos_on(u) ? FIFO_SIZE : 1) - u->s.count;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct ns16550 *u = opaque;
    for (size_t i = 0; i < len; i++)
        push(u, data[i], 0);
    update_irq(u);
}

static void hear_break(void *opaque)
{
    struct ns16550 *u = opaque;
    if (u->s.mcr & MCR_LOOP)
        return;
    push(u, 0, LSR_BI);
    update_irq(u);
}

// --- Registers ---

static uint8_t modem_lines(const struct ns16550 *u)
{
    uint8_t mcr = u->s.mcr;
    if (!(mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
           (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem(struct ns16550 *u)
{
    uint8_t lines = modem_lines(u), changed = u->s.msr ^ lines;
    uint8_t delta = u->s.msr & MSR_DELTA;
    delta |= (changed & MSR_CTS ? MSR_DCTS : 0) | (changed & MSR_DSR ? MSR_DDSR : 0) |
             (changed & u->s.msr & MSR_RI ? MSR_TERI : 0) | (changed & MSR_DCD ? MSR_DDCD : 0);
    u->s.msr = lines | delta;
}

static uint8_t read_lsr(struct ns16550 *u)
{
    struct ns16550_state *s = &u->s;
    uint8_t lsr = s->lsr | LSR_THRE | LSR_TEMT | (s->count ? LSR_DR : 0);
    for (unsigned i = 0; fifos_on(u) && i < s->count; i++)
        if (s->brk[i])
            lsr |= LSR_RX_ERROR;
    s->lsr = 0;
    if (s->count)
        s->brk[0] = 0; // has been told
    return lsr;
}

static uint8_t read_reg(struct ns16550 *u, unsigned reg)
{
    struct ns16550_state *s = &u->s;
    bool dlab = s->lcr & LCR_DLAB;
    uint8_t value;

    switch (reg) {
    case RBR_THR:
        return dlab ? s->divisor & 0xff : pop(u);
    case IER:
        return dlab ? s->divisor >> 8 : s->ier;
    case IIR_FCR:
        value = iir(u);
        if (value == IIR_THRI)
            s->thr_pending = false;
        return value | (fifos_on(u) ? IIR_FIFOS : 0);
    case LCR:
        return s->lcr;
    case MCR:
        return s->mcr;
    case LSR:
        return read_lsr(u);
    case MSR:
        value = s->msr;
        s->msr &= ~MSR_DELTA;
        return value;
    default:
        return s->scr;
    }
}

static void transmit(struct ns16550 *u, uint8_t byte)
{
    if (u->s.mcr & MCR_LOOP)
        push(u, byte, 0);
    else
        chardev_write(u->chr, &byte, 1);
    u->s.thr_pending = true; // empty again
}

static void write_ier(struct ns16550 *u, uint8_t value)
{
    if ((value & ~u->s.ier) & IER_THRI)
        u->s.thr_pending = true; // THR is empty
    u->s.ier = value & IER_MASK;
}

static void write_fcr(struct ns16550 *u, uint8_t value)
{
    bool toggled = (value ^ u->s.fcr) & FCR_ENABLE;
    if (value & FCR_ENABLE)
        u->s.fcr = value & (FCR_ENABLE | 3 << FCR_TRIGGER_SHIFT);
    else // the other bits count only together with FCR_ENABLE
        u->s.fcr = 0;
    if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RX)))
        clear_rx(u);
    if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_TX)))
        u->s.thr_pending = true;
}

static void write_mcr(struct ns16550 *u, uint8_t value)
{
    bool unlooped = (u->s.mcr & ~value) & MCR_LOOP;
    u->s.mcr = value & MCR_MASK;
    update_modem(u);
    if (unlooped)
        chardev_accept_input(u->chr);
}

static void write_reg(struct ns16550 *u, unsigned reg, uint8_t value)
{
    struct ns16550_state *s = &u->s;
    bool dlab = s->lcr & LCR_DLAB;

    switch (reg) {
    case RBR_THR:
        if (dlab)
            s->divisor = (s->divisor & 0xff00) | value;
        else
            transmit(u, value);
        break;
    case IER:
        if (dlab)
            s->divisor = (s->divisor & 0x00ff) | (uint16_t)(value << 8);
        else
            write_ier(u, value);
        break;
    case IIR_FCR:
        write_fcr(u, value);
        break;
    case LCR:
        s->lcr = value;
        break;
    case MCR:
        write_mcr(u, value);
        break;
    case SCR:
        s->scr = value;
        break;
    default: // LSR, MSR: read-only
        log_guest("ns16550: write of 0x%02x to read-only register %u\n", value, reg);
        break;
    }
}

static bool ns16550_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct ns16550 *u = dev;
    (void)size;
    *value = read_reg(u, (unsigned)(offset >> u->regshift));
    update_irq(u);
    return true;
}

static bool ns16550_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct ns16550 *u = dev;
    (void)size;
    write_reg(u, (unsigned)(offset >> u->regshift), (uint8_t)value);
    update_irq(u);
    return true;
}

// A wide access is one to the register at its address; the rest of the bus is not connected.
static const struct mem_ops ns16550_ops = {
    .read = ns16550_read,
    .write = ns16550_write,
    .min_size = 1,
    .max_size = 8,
};

// --- Device ---

static bool ns16550_init(struct device *dev, GError **error)
{
    struct ns16550 *u = (struct ns16550 *)dev;
    const struct chardev_front front = {
        .can_receive = can_receive,
        .receive = receive,
        .send_break = hear_break,
        .opaque = u,
        .door = dev->env->door,
        .name = dev->id,
    };
    if (u->regshift > 8 || !u->clock_frequency) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: regshift is 0 to 8, clock-frequency at least 1", dev->cls->name);
        return false;
    }
    if (!mem_add_io(dev->env->mem, dev->id, dev->base, (uint64_t)NR_REGS << u->regshift,
                    &ns16550_ops, u, error) ||
        !chardev_attach(u->chr, &front, error))
        return false;
    clock_register(dev->env->clock, &u->s.timeout, timeout_expired, u);
    return true;
}

static void ns16550_reset(struct device *dev)
{
    struct ns16550 *u = (struct ns16550 *)dev;
    memset(&u->s, 0, sizeof(u->s));
    clock_at(dev->env->clock, &u->s.timeout, CLOCK_NEVER);
    u->s.divisor = 12;
    u->s.msr = modem_lines(u);
    update_irq(u);
}

static void ns16550_loaded(struct device *dev)
{
    struct ns16550 *u = (struct ns16550 *)dev;
    u->s.count = MIN(u->s.count, fifos_on(u) ? FIFO_SIZE : 1);
    update_irq(u);
    chardev_accept_input(u->chr);
}

static void ns16550_free(struct device *dev)
{
    struct ns16550 *u = (struct ns16550 *)dev;
    clock_unregister(dev->env->clock, &u->s.timeout);
    chardev_detach(u->chr, u);
}

static void ns16550_fdt(struct device *dev, struct devtree *dt)
{
    struct ns16550 *u = (struct ns16550 *)dev;
    devtree_begin_at(dt, "serial", dev->base);
    devtree_irqs(dt, dev);
    devtree_u32(dt, "clock-frequency", u->clock_frequency);
    devtree_reg(dt, dev->base, 0x100);
    if (u->regshift)
        devtree_u32(dt, "reg-shift", u->regshift);
    devtree_str(dt, "compatible", "ns16550a");
    devtree_end(dt);
}

static const struct device_prop ns16550_props[] = {
    {"chardev", PROP_CHARDEV, offsetof(struct ns16550, chr), 0, "where the bytes go"},
    {"regshift", PROP_U32, offsetof(struct ns16550, regshift), 0,
     "log2 of the registers' distance"},
    {"clock-frequency", PROP_U32, offsetof(struct ns16550, clock_frequency), 3686400,
     "input clock, Hz: 16 times the baud rate at divisor 1"},
    PROP_END,
};

static const struct state_field ns16550_state[] = {
    STATE_TIMER(struct ns16550, s.timeout),
    STATE_VAR(struct ns16550, s.divisor),
    STATE_VAR(struct ns16550, s.ier),
    STATE_VAR(struct ns16550, s.fcr),
    STATE_VAR(struct ns16550, s.lcr),
    STATE_VAR(struct ns16550, s.mcr),
    STATE_VAR(struct ns16550, s.scr),
    STATE_VAR(struct ns16550, s.lsr),
    STATE_VAR(struct ns16550, s.msr),
    STATE_VAR(struct ns16550, s.thr_pending),
    STATE_VAR(struct ns16550, s.timeout_pending),
    STATE_VAR(struct ns16550, s.count),
    STATE_BUF(struct ns16550, s.fifo),
    STATE_BUF(struct ns16550, s.brk),
    STATE_END,
};

const struct device_class ns16550_class = {
    .name = "ns16550",
    .desc = "NS16550A UART",
    .size = sizeof(struct ns16550),
    .props = ns16550_props,
    .state = ns16550_state,
    .state_offset = offsetof(struct ns16550, s),
    .state_size = sizeof(struct ns16550_state),
    .init = ns16550_init,
    .reset = ns16550_reset,
    .loaded = ns16550_loaded,
    .free = ns16550_free,
    .fdt = ns16550_fdt,
};
