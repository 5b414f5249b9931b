// SPDX-License-Identifier: MIT
// HTIF, the host-target interface of Berkeley's test chips and of Spike: two 64-bit words in memory, tohost
// and fromhost. A command in tohost is device << 56 | command << 48 | payload; its answer comes in fromhost,
// and tohost is zeroed when the host has seen it.
//
// Device 0 ends the run or carries out system calls, device 1 is the console. The words lie among other data
// of the program, so the device's region is memory whose writes are watched. A command counts as complete
// once its upper half was written: by then, 32-bit software has written both.
#include "backend/chardev.h"
#include "base/bits.h"
#include "hw/device.h"

enum { DEV_SYSCALL = 0, DEV_CONSOLE = 1 };
enum { CONSOLE_GETC = 0, CONSOLE_PUTC = 1 };
enum { SYS_WRITE = 64, SYS_EXIT = 93, ENOSYS_GUEST = 38, EBADF_GUEST = 9, EFAULT_GUEST = 14 };

// How long a lower half may stand alone before it is taken for a whole command.
#define HALF_NS 1000

struct htif_state {
    struct timer half;
    uint64_t getc; // the command that waits for a character, or 0
};

struct htif {
    struct device dev;
    struct htif_state s;
    struct mem_region *mem;
    struct chardev *chr;
    uint64_t size, tohost, fromhost; // offsets
};

static void store(struct htif *h, uint64_t offset, unsigned size, uint64_t value)
{
    mem_note_write(h->dev.env->mem, h->mem, offset, size);
    store_le(h->mem->host + offset, size, value);
}

static void respond(struct htif *h, uint64_t cmd, uint64_t payload)
{
    store(h, h->fromhost, 8, (cmd & MASK(63, 48)) | payload);
}

// --- System calls ---

// write(fd, buffer, length) of standard output or error.
static int64_t sys_write(struct htif *h, uint64_t fd, paddr_t from, uint64_t len)
{
    uint8_t buf[256];
    if (fd != 1 && fd != 2)
        return -EBADF_GUEST;
    for (uint64_t done = 0, n; done < len; done += n) {
        n = MIN(len - done, sizeof(buf));
        if (mem_read_bytes(h->dev.env->mem, from + done, buf, n) != MEM_OK)
            return -EFAULT_GUEST;
        chardev_write(h->chr, buf, n);
    }
    return (int64_t)len;
}

// The payload is where number, arguments and, later, the result are: eight words of 64 bits.
static void syscall_request(struct htif *h, uint64_t cmd, paddr_t at)
{
    const struct device_env *env = h->dev.env;
    uint64_t words[8];
    int64_t result = -ENOSYS_GUEST;
    if (mem_read_bytes(env->mem, at, words, sizeof(words)) != MEM_OK) {
        log_guest("htif: system call block outside of memory\n");
    } else if (words[0] == SYS_EXIT) {
        env->shutdown(env->opaque, (int)words[1]);
        return;
    } else if (words[0] == SYS_WRITE) {
        result = sys_write(h, words[1], words[2], words[3]);
    } else {
        log_unimp("htif: system call %" G_GUINT64_FORMAT "\n", words[0]);
    }
    words[0] = (uint64_t)result;
    if (mem_write_bytes(env->mem, at, words, 8) != MEM_OK)
        log_guest("htif: system call block cannot be written\n");
    respond(h, cmd, 1);
}

// --- Commands ---

static void console_command(struct htif *h, unsigned what, uint64_t cmd)
{
    uint8_t byte = (uint8_t)cmd;
    if (what == CONSOLE_PUTC) {
        chardev_write(h->chr, &byte, 1);
        respond(h, cmd, 0x100 | byte);
    } else if (what == CONSOLE_GETC) {
        h->s.getc = cmd;
        chardev_accept_input(h->chr);
    } else {
        log_unimp("htif: console command %u\n", what);
    }
}

static void run_command(void *opaque)
{
    struct htif *h = opaque;
    const struct device_env *env = h->dev.env;
    uint64_t cmd = load_le(h->mem->host + h->tohost, 8), payload = bits_get(cmd, 0, 48);
    unsigned device = cmd >> 56, what = cmd >> 48 & 0xff;

    clock_at(env->clock, &h->s.half, CLOCK_NEVER);
    if (!cmd)
        return;
    store(h, h->tohost, 8, 0);
    if (device == DEV_SYSCALL && what == 0 && (payload & 1))
        env->shutdown(env->opaque, (int)(payload >> 1));
    else if (device == DEV_SYSCALL && what == 0)
        syscall_request(h, cmd, payload);
    else if (device == DEV_CONSOLE)
        console_command(h, what, cmd);
    else
        log_unimp("htif: device %u, command %u\n", device, what);
}

static size_t can_receive(void *opaque)
{
    return ((struct htif *)opaque)->s.getc != 0;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct htif *h = opaque;
    if (!len || !h->s.getc)
        return;
    respond(h, h->s.getc, 0x100 | data[0]);
    h->s.getc = 0;
}

// --- Memory ---

// The program writes its data, and perhaps tohost.
static bool htif_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct htif *h = dev;
    const struct device_env *env = h->dev.env;
    store(h, offset, size, value);
    if (offset + size <= h->tohost || offset >= h->tohost + 8)
        return true;
    if (offset + size > h->tohost + 4)
        run_command(h);
    else
        clock_at(env->clock, &h->s.half, clock_now(env->clock) + HALF_NS);
    return true;
}

static const struct mem_ops htif_ops = {
    .write = htif_write, // reads are direct
    .min_size = 1,
    .max_size = 8,
};

// --- Device ---

static bool htif_init(struct device *dev, GError **error)
{
    struct htif *h = (struct htif *)dev;
    const struct chardev_front front = {
        .can_receive = can_receive,
        .receive = receive,
        .opaque = h,
        .door = dev->env->door,
        .name = dev->id,
    };
    if (h->size < 8 || h->tohost > h->size - 8 || h->fromhost > h->size - 8) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: tohost and fromhost are 8 bytes each, within size", dev->cls->name);
        return false;
    }
    h->mem = mem_add_romd(dev->env->mem, dev->id, dev->base, h->size, &htif_ops, h, error);
    if (!h->mem || !chardev_attach(h->chr, &front, error))
        return false;
    clock_register(dev->env->clock, &h->s.half, run_command, h);
    return true;
}

static void htif_reset(struct device *dev)
{
    struct htif *h = (struct htif *)dev;
    clock_at(dev->env->clock, &h->s.half, CLOCK_NEVER);
    h->s.getc = 0;
    store(h, h->tohost, 8, 0);
    store(h, h->fromhost, 8, 0);
}

static void htif_loaded(struct device *dev)
{
    chardev_accept_input(((struct htif *)dev)->chr);
}

static void htif_free(struct device *dev)
{
    struct htif *h = (struct htif *)dev;
    clock_unregister(dev->env->clock, &h->s.half);
    chardev_detach(h->chr, h);
}

static const struct device_prop htif_props[] = {
    {"chardev", PROP_CHARDEV, offsetof(struct htif, chr), 0, "the console"},
    {"size", PROP_U64, offsetof(struct htif, size), 16, "bytes of memory watched"},
    {"tohost", PROP_U64, offsetof(struct htif, tohost), 8, "offset of tohost in it"},
    {"fromhost", PROP_U64, offsetof(struct htif, fromhost), 0, "offset of fromhost in it"},
    PROP_END,
};

static const struct state_field htif_state[] = {
    STATE_TIMER(struct htif, s.half),
    STATE_VAR(struct htif, s.getc),
    STATE_END,
};

const struct device_class htif_class = {
    .name = "htif",
    .desc = "Berkeley host-target interface: exit status, console",
    .size = sizeof(struct htif),
    .props = htif_props,
    .state = htif_state,
    .state_offset = offsetof(struct htif, s),
    .state_size = sizeof(struct htif_state),
    .init = htif_init,
    .reset = htif_reset,
    .loaded = htif_loaded,
    .free = htif_free,
};
