// SPDX-License-Identifier: MIT
// Google's Goldfish RTC: nanoseconds since 1970 in one 64-bit counter, and an alarm. After "Goldfish virtual
// hardware" (registers) and Linux's rtc-goldfish (alarm and interrupt enable).
//
// The counter is guest time plus the date at which the machine started, plus what the guest set it off by.
#include "base/bits.h"
#include "hw/device.h"
#include "hw/devtree.h"

enum {
    TIME_LOW = 0x00, // latches TIME_HIGH
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08, // arms the alarm
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18, // 1 while armed
    CLEAR_INTERRUPT = 0x1c,
};

struct rtc_state {
    struct timer alarm_timer;
    uint64_t base; // the counter at guest time 0
    uint64_t alarm;
    uint32_t time_high; // as of the last read of TIME_LOW
    uint16_t irq_pending;
    uint16_t irq_enabled;
};

struct rtc {
    struct device dev;
    struct rtc_state s;
};

static uint64_t count_now(const struct rtc *r)
{
    return r->s.base + clock_now(r->dev.env->clock);
}

static void update_irq(struct rtc *r)
{
    device_irq(&r->dev, 0, r->s.irq_pending && r->s.irq_enabled);
}

static bool armed(const struct rtc *r)
{
    return r->s.alarm_timer.deadline != CLOCK_NEVER;
}

static void disarm(struct rtc *r)
{
    clock_at(r->dev.env->clock, &r->s.alarm_timer, CLOCK_NEVER);
}

static void ring(void *opaque)
{
    struct rtc *r = opaque;
    r->s.irq_pending = 1;
    update_irq(r);
}

// An alarm in the past rings at once.
static void arm(struct rtc *r)
{
    uint64_t count = count_now(r), now = clock_now(r->dev.env->clock);
    uint64_t left = r->s.alarm - count;
    disarm(r);
    if (r->s.alarm <= count)
        ring(r);
    else if (left < CLOCK_NEVER - now)
        clock_at(r->dev.env->clock, &r->s.alarm_timer, now + left);
}

static void set_time(struct rtc *r, unsigned lo, uint64_t value)
{
    r->s.base += bits_set(count_now(r), lo, 32, value) - count_now(r);
    if (armed(r))
        arm(r);
}

static bool rtc_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct rtc *r = dev;
    uint64_t count;
    (void)size;
    *value = 0;
    switch (offset) {
    case TIME_LOW:
        count = count_now(r);
        r->s.time_high = (uint32_t)(count >> 32);
        *value = (uint32_t)count;
        break;
    case TIME_HIGH:
        *value = r->s.time_high;
        break;
    case ALARM_LOW:
        *value = (uint32_t)r->s.alarm;
        break;
    case ALARM_HIGH:
        *value = r->s.alarm >> 32;
        break;
    case IRQ_ENABLED:
        *value = r->s.irq_enabled;
        break;
    case ALARM_STATUS:
        *value = armed(r);
        break;
    default:
        log_guest("goldfish_rtc: read of offset 0x%x\n", (unsigned)offset);
        break;
    }
    return true;
}

static bool rtc_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtc *r = dev;
    (void)size;
    switch (offset) {
    case TIME_LOW:
        set_time(r, 0, value);
        break;
    case TIME_HIGH:
        set_time(r, 32, value);
        break;
    case ALARM_LOW:
        r->s.alarm = bits_set(r->s.alarm, 0, 32, value);
        arm(r);
        break;
    case ALARM_HIGH:
        r->s.alarm = bits_set(r->s.alarm, 32, 32, value);
        break;
    case IRQ_ENABLED:
        r->s.irq_enabled = value & 1;
        break;
    case CLEAR_ALARM:
        disarm(r);
        break;
    case CLEAR_INTERRUPT:
        r->s.irq_pending = 0;
        break;
    default:
        log_guest("goldfish_rtc: write of 0x%x at offset 0x%x\n", (unsigned)value,
                  (unsigned)offset);
        break;
    }
    update_irq(r);
    return true;
}

static const struct mem_ops rtc_ops = {
    .read = rtc_read,
    .write = rtc_write,
    .min_size = 4,
    .max_size = 4,
};

static bool rtc_init(struct device *dev, GError **error)
{
    struct rtc *r = (struct rtc *)dev;
    if (!mem_add_io(dev->env->mem, dev->id, dev->base, 0x1000, &rtc_ops, r, error))
        return false;
    clock_register(dev->env->clock, &r->s.alarm_timer, ring, r);
    return true;
}

static void rtc_reset(struct device *dev)
{
    struct rtc *r = (struct rtc *)dev;
    memset(&r->s, 0, sizeof(r->s));
    r->s.base = door_epoch_ns(dev->env->door);
    disarm(r);
    update_irq(r);
}

static void rtc_loaded(struct device *dev)
{
    update_irq((struct rtc *)dev);
}

static void rtc_free(struct device *dev)
{
    clock_unregister(dev->env->clock, &((struct rtc *)dev)->s.alarm_timer);
}

static void rtc_fdt(struct device *dev, struct devtree *dt)
{
    devtree_begin_at(dt, "rtc", dev->base);
    devtree_irqs(dt, dev);
    devtree_reg(dt, dev->base, 0x1000);
    devtree_str(dt, "compatible", "google,goldfish-rtc");
    devtree_end(dt);
}

static const struct state_field rtc_state[] = {
    STATE_TIMER(struct rtc, s.alarm_timer),
    STATE_VAR(struct rtc, s.base),
    STATE_VAR(struct rtc, s.alarm),
    STATE_VAR(struct rtc, s.time_high),
    STATE_VAR(struct rtc, s.irq_pending),
    STATE_VAR(struct rtc, s.irq_enabled),
    STATE_END,
};

const struct device_class goldfish_rtc_class = {
    .name = "goldfish-rtc",
    .desc = "Goldfish real-time clock",
    .size = sizeof(struct rtc),
    .state = rtc_state,
    .state_offset = offsetof(struct rtc, s),
    .state_size = sizeof(struct rtc_state),
    .init = rtc_init,
    .reset = rtc_reset,
    .loaded = rtc_loaded,
    .free = rtc_free,
    .fdt = rtc_fdt,
};
