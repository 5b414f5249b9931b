// SPDX-License-Identifier: MIT
// Parallel NOR flash with Intel's command set: two 28F128J3 chips of 16 bits side by side make a bank of 32.
// After the data sheet "3 Volt Intel StrataFlash Memory", chapter 4 (commands, status), and JESD68.01 with
// the Intel primary command set (query table).
//
// The contents are the memory region's bytes. The guest reads them directly while the chips are in read-array
// mode; else reads show status, identifier or query. Both chips always get the same commands. Programming
// and erasing take no time. What changes is written to the image at once.
#include <string.h>

#include "backend/block.h"
#include "base/bits.h"
#include "hw/device.h"

#define CHIPS       2
#define BANK_WIDTH  4
#define SECTOR_SIZE (256 * 1024)
#define MAX_SECTORS 128
#define BUFFER_SIZE 4096 // of both chips together
#define ID_MAKER    0x89 // Intel
#define ID_DEVICE   0x18 // 28F128J3

enum command {
    CMD_LOCK_SET = 0x01,
    CMD_PROGRAM_ALT = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_SUSPEND = 0xb0,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFER = 0xe8,
    CMD_READ_ARRAY_AMD = 0xf0, // of the other command set: probing software sends it
    CMD_READ_ARRAY = 0xff,
};

enum {
    SR_LOCKED = 0x02,
    SR_PROGRAM_ERROR = 0x10,
    SR_ERASE_ERROR = 0x20,
    SR_SEQUENCE_ERROR = SR_PROGRAM_ERROR | SR_ERASE_ERROR,
    SR_READY = 0x80,
};

// What a read shows, and what the next write is.
enum show { SHOW_ARRAY, SHOW_STATUS, SHOW_ID, SHOW_QUERY };
enum expect {
    EXPECT_COMMAND,
    EXPECT_DATA,  // of a program command
    EXPECT_ERASE, // its confirmation
    EXPECT_LOCK,  // the second half of CMD_LOCK
    EXPECT_COUNT, // of a buffered write
    EXPECT_BUFFER_DATA,
    EXPECT_BUFFER_CONFIRM,
};

struct pflash_state {
    uint8_t show, expect;
    uint8_t status; // errors, until cleared
    uint8_t buffer_bad;
    uint32_t buffer_left; // data writes still to come
    uint32_t buffer_base; // offset in the flash, a multiple of BUFFER_SIZE
    uint64_t locked[MAX_SECTORS / 64];
    uint8_t buffer[BUFFER_SIZE]; // 0xff where nothing was written
};

struct pflash {
    struct device dev;
    struct pflash_state s;
    struct mem_region *mem;
    struct block *blk;
    uint64_t size;
    bool broken; // the image could not be written; said once
};

// The query table of a chip, from 0x10 on.
static const uint8_t query_table[] = {
    'Q',
    'R',
    'Y',
    0x01,
    0x00,
    0x31,
    0x00, // primary command set: Intel extended; its table
    0x00,
    0x00,
    0x00,
    0x00, // no alternate one
    0x45,
    0x55,
    0x00,
    0x00, // Vcc 4.5 to 5.5 V; no Vpp
    0x07,
    0x07,
    0x0a,
    0x00, // log2 of typical times: word and buffer (us), sector (ms), chip
    0x04,
    0x04,
    0x04,
    0x00, // log2 of the longest times, of the typical ones
    0x18,
    0x02,
    0x00, // 2^24 bytes, x8 and x16
    0x0b,
    0x00, // a buffer of 2^11 bytes
    0x01, // one erase region:
    MAX_SECTORS - 1,
    0x00,
    SECTOR_SIZE / CHIPS / 256 & 0xff,
    SECTOR_SIZE / CHIPS / 256 >> 8,
    'P',
    'R',
    'I',
    '1',
    '0',
    0x00,
    0x00,
    0x00,
    0x00, // no optional features
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x01, // one protection field
};

static void show(struct pflash *f, enum show what)
{
    f->s.show = what;
    mem_set_direct(f->dev.env->mem, f->mem, what == SHOW_ARRAY);
}

// --- Contents ---

static bool is_locked(const struct pflash *f, uint64_t offset)
{
    uint64_t sector = offset / SECTOR_SIZE;
    return f->s.locked[sector / 64] >> (sector % 64) & 1;
}

static bool may_change(struct pflash *f, uint64_t offset, uint8_t error)
{
    if (!is_locked(f, offset) && !(f->blk && block_readonly(f->blk)))
        return true;
    f->s.status |= error | SR_LOCKED;
    return false;
}

// [offset, offset + len) has changed.
static void changed(struct pflash *f, uint64_t offset, uint64_t len, uint8_t error)
{
    int err = f->blk ? block_write(f->blk, offset, f->mem->host + offset, len) : 0;
    if (!err)
        return;
    f->s.status |= error;
    if (!f->broken)
        warn_user("%s: cannot write the image: %s", f->dev.id, g_strerror(err));
    f->broken = true;
}

// Programming clears bits, and only erasing sets them.
static void program(struct pflash *f, uint64_t offset, const uint8_t *data, unsigned len)
{
    uint8_t *at = f->mem->host + offset;
    if (!may_change(f, offset, SR_PROGRAM_ERROR))
        return;
    mem_note_write(f->dev.env->mem, f->mem, offset, len);
    for (unsigned i = 0; i < len; i++) {
        if (data[i] & ~at[i] && data[i] != 0xff)
            log_guest("%s: programs 0x%02x over 0x%02x at offset 0x%x, which is not erased\n",
                      f->dev.id, data[i], at[i], (unsigned)offset + i);
        at[i] &= data[i];
    }
    changed(f, offset, len, SR_PROGRAM_ERROR);
}

static void erase(struct pflash *f, uint64_t offset)
{
    offset = align_down(offset, SECTOR_SIZE);
    if (!may_change(f, offset, SR_ERASE_ERROR))
        return;
    mem_note_write(f->dev.env->mem, f->mem, offset, SECTOR_SIZE);
    memset(f->mem->host + offset, 0xff, SECTOR_SIZE);
    changed(f, offset, SECTOR_SIZE, SR_ERASE_ERROR);
}

// --- Buffered writes ---

// `count` is the number of writes less one, of whatever width software takes the bank for.
static void buffer_start(struct pflash *f, uint64_t offset, uint64_t count)
{
    f->s.buffer_left = (uint32_t)(count & 0xffff) + 1;
    f->s.buffer_bad = f->s.buffer_left > BUFFER_SIZE / BANK_WIDTH;
    f->s.buffer_base = (uint32_t)align_down(offset, BUFFER_SIZE);
    memset(f->s.buffer, 0xff, BUFFER_SIZE);
    f->s.expect = EXPECT_BUFFER_DATA;
    if (f->s.buffer_bad) {
        log_guest("%s: a buffered write of %u words exceeds the buffer\n", f->dev.id,
                  f->s.buffer_left);
        f->s.status |= SR_SEQUENCE_ERROR;
        f->s.expect = EXPECT_COMMAND;
    }
}

static void buffer_data(struct pflash *f, uint64_t offset, unsigned size, uint64_t value)
{
    if (align_down(offset, BUFFER_SIZE) == f->s.buffer_base)
        store_le(f->s.buffer + offset % BUFFER_SIZE, size, value);
    else
        f->s.buffer_bad = true; // told when confirmed
    if (f->s.buffer_left)
        f->s.buffer_left--;
    if (!f->s.buffer_left)
        f->s.expect = EXPECT_BUFFER_CONFIRM;
}

static void buffer_confirm(struct pflash *f, uint8_t cmd)
{
    if (cmd == CMD_CONFIRM && !f->s.buffer_bad)
        program(f, f->s.buffer_base, f->s.buffer, BUFFER_SIZE);
    else
        f->s.status |= SR_SEQUENCE_ERROR;
}

// --- Commands ---

static void lock(struct pflash *f, uint64_t offset, uint8_t cmd)
{
    uint64_t sector = offset / SECTOR_SIZE;
    if (cmd == CMD_LOCK_SET)
        f->s.locked[sector / 64] |= BIT(sector % 64);
    else if (cmd == CMD_CONFIRM) // clears all lock bits
        memset(f->s.locked, 0, sizeof(f->s.locked));
    else
        f->s.status |= SR_SEQUENCE_ERROR;
}

static void expect(struct pflash *f, enum expect next)
{
    f->s.expect = next;
    show(f, SHOW_STATUS);
}

static void command(struct pflash *f, uint8_t cmd)
{
    switch (cmd) {
    case CMD_READ_ARRAY:
    case CMD_READ_ARRAY_AMD:
        show(f, SHOW_ARRAY);
        break;
    case CMD_READ_STATUS:
        show(f, SHOW_STATUS);
        break;
    case CMD_READ_ID:
        show(f, SHOW_ID);
        break;
    case CMD_QUERY:
        show(f, SHOW_QUERY);
        break;
    case CMD_CLEAR_STATUS:
        f->s.status = 0;
        break;
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT:
        expect(f, EXPECT_DATA);
        break;
    case CMD_ERASE:
        expect(f, EXPECT_ERASE);
        break;
    case CMD_LOCK:
        expect(f, EXPECT_LOCK);
        break;
    case CMD_BUFFER:
        expect(f, EXPECT_COUNT);
        break;
    case CMD_SUSPEND: // nothing is ever under way
    case CMD_CONFIRM:
        break;
    default:
        log_guest("%s: unknown command 0x%02x\n", f->dev.id, cmd);
        show(f, SHOW_ARRAY);
        break;
    }
}

// The write that follows a command of two or more.
static void follow_up(struct pflash *f, uint64_t offset, unsigned size, uint64_t value)
{
    enum expect was = f->s.expect;
    uint8_t cmd = (uint8_t)value, data[8];
    f->s.expect = EXPECT_COMMAND;
    switch (was) {
    case EXPECT_DATA:
        store_le(data, size, value);
        program(f, offset, data, size);
        break;
    case EXPECT_ERASE:
        if (cmd == CMD_CONFIRM)
            erase(f, offset);
        else
            f->s.status |= SR_SEQUENCE_ERROR;
        break;
    case EXPECT_LOCK:
        lock(f, offset, cmd);
        break;
    case EXPECT_COUNT:
        buffer_start(f, offset, value);
        break;
    case EXPECT_BUFFER_DATA:
        f->s.expect = EXPECT_BUFFER_DATA;
        buffer_data(f, offset, size, value);
        break;
    case EXPECT_BUFFER_CONFIRM:
        buffer_confirm(f, cmd);
        break;
    case EXPECT_COMMAND:
        g_assert_not_reached();
    }
}

static bool pflash_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pflash *f = dev;
    if (f->s.expect == EXPECT_COMMAND)
        command(f, (uint8_t)value);
    else
        follow_up(f, offset, size, value);
    return true;
}

// What each chip puts on its half of the bus.
static uint32_t chip_reads(const struct pflash *f, uint64_t offset)
{
    uint64_t index = offset / BANK_WIDTH;
    switch (f->s.show) {
    case SHOW_STATUS:
        return SR_READY | f->s.status;
    case SHOW_ID:
        index %= SECTOR_SIZE / BANK_WIDTH;
        return index == 0   ? ID_MAKER
               : index == 1 ? ID_DEVICE
               : index == 2 ? is_locked(f, offset)
                            : 0;
    default:
        return index >= 0x10 && index < 0x10 + sizeof(query_table) ? query_table[index - 0x10] : 0;
    }
}

static bool pflash_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct pflash *f = dev;
    if (f->s.show == SHOW_ARRAY) {
        *value = load_le(f->mem->host + offset, size);
        return true;
    }
    uint32_t chip = chip_reads(f, offset);
    *value = (chip | chip << 16) >> (8 * (offset % BANK_WIDTH));
    return true;
}

static const struct mem_ops pflash_ops = {
    .read = pflash_read,
    .write = pflash_write,
    .min_size = 1,
    .max_size = BANK_WIDTH,
};

// --- Device ---

// Copies the image into the flash. Zeros are there already, and holes stay holes.
static bool read_image(struct pflash *f, GError **error)
{
    enum { CHUNK = 64 * 1024 };
    uint8_t *buf = g_malloc(CHUNK);
    int err = 0;
    for (uint64_t at = 0; !err && at < f->size; at += CHUNK) {
        err = block_read(f->blk, at, buf, CHUNK);
        if (!err && (buf[0] || memcmp(buf, buf + 1, CHUNK - 1))) {
            mem_note_write(f->dev.env->mem, f->mem, at, CHUNK);
            memcpy(f->mem->host + at, buf, CHUNK);
        }
    }
    g_free(buf);
    if (err)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: cannot read the image: %s",
                    f->dev.id, g_strerror(err));
    return !err;
}

static bool pflash_init(struct device *dev, GError **error)
{
    struct pflash *f = (struct pflash *)dev;
    if (!f->size || f->size % SECTOR_SIZE || f->size > MAX_SECTORS * SECTOR_SIZE) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: size is a multiple of %d KiB, at most %d MiB", dev->cls->name,
                    SECTOR_SIZE >> 10, MAX_SECTORS * (SECTOR_SIZE >> 10) >> 10);
        return false;
    }
    if (f->blk && block_size(f->blk) != f->size) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: the image has %" G_GUINT64_FORMAT " bytes and the flash %" G_GUINT64_FORMAT
                    " (truncate -s %" G_GUINT64_FORMAT "M FILE pads it)",
                    dev->id, block_size(f->blk), f->size, f->size >> 20);
        return false;
    }
    f->mem = mem_add_romd(dev->env->mem, dev->id, dev->base, f->size, &pflash_ops, f, error);
    if (!f->mem || !f->blk)
        return f->mem != NULL;
    return block_claim(f->blk, dev->id, dev->env->door, error) && read_image(f, error);
}

static void pflash_free(struct device *dev)
{
    struct pflash *f = (struct pflash *)dev;
    if (f->blk)
        block_release(f->blk);
}

static void pflash_reset(struct device *dev)
{
    struct pflash *f = (struct pflash *)dev;
    memset(&f->s, 0, sizeof(f->s));
    show(f, SHOW_ARRAY);
}

static void pflash_loaded(struct device *dev)
{
    struct pflash *f = (struct pflash *)dev;
    f->s.buffer_base = (uint32_t)align_down(f->s.buffer_base % f->size, BUFFER_SIZE);
    show(f, f->s.show);
}

static const struct device_prop pflash_props[] = {
    {"drive", PROP_BLOCK, offsetof(struct pflash, blk), 0,
     "the image; without one it starts as zeros"},
    {"size", PROP_U64, offsetof(struct pflash, size), MAX_SECTORS *SECTOR_SIZE, "bytes"},
    PROP_END,
};

static const struct state_field pflash_state[] = {
    STATE_VAR(struct pflash, s.show),
    STATE_VAR(struct pflash, s.expect),
    STATE_VAR(struct pflash, s.status),
    STATE_VAR(struct pflash, s.buffer_bad),
    STATE_VAR(struct pflash, s.buffer_left),
    STATE_VAR(struct pflash, s.buffer_base),
    STATE_ARRAY(struct pflash, s.locked),
    STATE_BUF(struct pflash, s.buffer),
    STATE_END,
};

const struct device_class pflash_cfi01_class = {
    .name = "cfi.pflash01",
    .desc = "parallel NOR flash with Intel's command set",
    .size = sizeof(struct pflash),
    .props = pflash_props,
    .state = pflash_state,
    .state_offset = offsetof(struct pflash, s),
    .state_size = sizeof(struct pflash_state),
    .init = pflash_init,
    .reset = pflash_reset,
    .loaded = pflash_loaded,
    .free = pflash_free,
};
