// SPDX-License-Identifier: MIT
// The flash against the 28F128J3 data sheet (commands, status) and JESD68.01 (query), as software sees two
// chips side by side.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/block.h"
#include "tests/unit/hw_rig.h"

#define SIZE    (1024 * 1024)
#define SECTOR  (256 * 1024)
#define BOTH(x) ((uint32_t)(x) << 16 | (uint32_t)(x))

struct flash {
    struct hw_rig *r;
    struct block *blk;
    char *path;
};

static void start_with(struct flash *f, bool readonly)
{
    GError *error = NULL;
    int fd = g_file_open_tmp("flash-XXXXXX", &f->path, &error);
    cr_assert(fd >= 0);
    for (unsigned i = 0; i < SIZE / 256; i++) {
        uint8_t line[256];
        memset(line, 0xff, sizeof(line));
        line[0] = (uint8_t)i;
        cr_assert(write(fd, line, sizeof(line)) == sizeof(line));
    }
    close(fd);
    struct block_options opts = {.file = f->path, .format = "raw", .readonly = readonly};
    f->blk = block_open(&opts, &error);
    cr_assert_not_null(f->blk, "%s", error ? error->message : "");
    f->r = hw_rig_new("cfi.pflash01", 0);
    device_set_ptr(f->r->dev, "drive", f->blk);
    device_set_u64(f->r->dev, "size", SIZE);
    hw_rig_start(f->r);
}

static void start(struct flash *f)
{
    start_with(f, false);
}

static void finish(struct flash *f)
{
    hw_rig_free(f->r);
    block_close(f->blk);
    unlink(f->path);
    g_free(f->path);
}

static void command(struct flash *f, uint32_t offset, uint8_t cmd)
{
    hw_rig_write(f->r, offset, 4, BOTH(cmd));
}

static uint32_t read32(struct flash *f, uint32_t offset)
{
    return (uint32_t)hw_rig_read(f->r, offset, 4);
}

static uint32_t array32(struct flash *f, uint32_t offset)
{
    command(f, 0, 0xff);
    return read32(f, offset);
}

static uint32_t image32(struct flash *f, uint32_t offset)
{
    uint32_t value = 0;
    cr_assert(block_read(f->blk, offset, &value, 4) == 0);
    return value;
}

Test(pflash, reads_its_image)
{
    struct flash f;
    start(&f);
    cr_expect_eq(read32(&f, 0x300), 0xffffff03);
    cr_expect_eq(hw_rig_read(f.r, 0x1000 - 4, 8), 0xffffff10ffffffff);
    finish(&f);
}

Test(pflash, query)
{
    struct flash f;
    start(&f);
    command(&f, 0x55 * 4, 0x98);
    cr_expect_eq(read32(&f, 0x10 * 4), BOTH('Q'));
    cr_expect_eq(read32(&f, 0x11 * 4), BOTH('R'));
    cr_expect_eq(read32(&f, 0x12 * 4), BOTH('Y'));
    cr_expect_eq(read32(&f, 0x13 * 4), BOTH(1));   // Intel's command set
    cr_expect_eq(read32(&f, 0x27 * 4), BOTH(24));  // 2^24 bytes a chip
    cr_expect_eq(read32(&f, 0x2a * 4), BOTH(11));  // buffer of 2^11 bytes
    cr_expect_eq(read32(&f, 0x2d * 4), BOTH(127)); // 128 blocks
    cr_expect_eq(read32(&f, 0x30 * 4), BOTH(2));   // of 0x200 * 256 bytes
    cr_expect_eq(read32(&f, 0x31 * 4), BOTH('P'));
    cr_expect_eq(read32(&f, 0x3f * 4), BOTH(1));
    cr_expect_eq(read32(&f, 0x40 * 4), 0);
    cr_expect_eq(hw_rig_read(f.r, 0x10 * 4, 1), 'Q'); // byte lanes
    cr_expect_eq(hw_rig_read(f.r, 0x10 * 4 + 1, 1), 0);
    cr_expect_eq(hw_rig_read(f.r, 0x10 * 4 + 2, 2), 'Q');
    cr_expect_eq(array32(&f, 0x300), 0xffffff03);
    finish(&f);
}

Test(pflash, identifier)
{
    struct flash f;
    start(&f);
    command(&f, 0, 0x90);
    cr_expect_eq(read32(&f, 0), BOTH(0x89));
    cr_expect_eq(read32(&f, 4), BOTH(0x18));
    cr_expect_eq(read32(&f, 8), 0);
    finish(&f);
}

Test(pflash, programs_words_and_bytes)
{
    struct flash f;
    start(&f);
    command(&f, 0x104, 0x40);
    hw_rig_write(f.r, 0x104, 4, 0x12345678);
    cr_expect_eq(read32(&f, 0), BOTH(0x80)); // status, ready
    cr_expect_eq(array32(&f, 0x104), 0x12345678);
    cr_expect_eq(image32(&f, 0x104), 0x12345678);
    hw_rig_write(f.r, 0x109, 1, 0x10);
    hw_rig_write(f.r, 0x109, 1, 0xab);
    cr_expect_eq(array32(&f, 0x108), 0xffffabff);
    finish(&f);
}

Test(pflash, programming_only_clears_bits)
{
    struct flash f;
    start(&f);
    for (unsigned i = 0; i < 2; i++) {
        command(&f, 0x10, 0x40);
        hw_rig_write(f.r, 0x10, 4, i ? 0x0f0f0f0f : 0xff00ff00);
    }
    cr_expect_eq(array32(&f, 0x10), 0x0f000f00);
    finish(&f);
}

Test(pflash, buffered_write)
{
    struct flash f;
    start(&f);
    command(&f, SECTOR, 0xe8);
    cr_expect_eq(read32(&f, SECTOR), BOTH(0x80)); // the buffer is free
    hw_rig_write(f.r, SECTOR, 4, BOTH(3));        // words - 1
    for (unsigned i = 0; i < 4; i++)
        hw_rig_write(f.r, SECTOR + 0x20 + 4 * i, 4, 0x11111111 * (i + 1));
    cr_expect_eq(image32(&f, SECTOR + 0x20), 0xffffffff); // not yet
    command(&f, SECTOR, 0xd0);
    cr_expect_eq(read32(&f, SECTOR), BOTH(0x80));
    cr_expect_eq(array32(&f, SECTOR + 0x20), 0x11111111);
    cr_expect_eq(array32(&f, SECTOR + 0x2c), 0x44444444);
    cr_expect_eq(array32(&f, SECTOR + 0x30), 0xffffffff);
    cr_expect_eq(image32(&f, SECTOR + 0x2c), 0x44444444);
    finish(&f);
}

// U-Boot takes one of the chips for the whole bank, and writes half words.
Test(pflash, buffered_write_of_half_words)
{
    struct flash f;
    start(&f);
    hw_rig_write(f.r, SECTOR, 2, 0xe8);
    hw_rig_write(f.r, SECTOR, 2, 2);
    for (unsigned i = 0; i < 3; i++)
        hw_rig_write(f.r, SECTOR + 0x20 + 2 * i, 2, 0x1111 * (i + 1));
    hw_rig_write(f.r, SECTOR, 2, 0xd0);
    cr_expect_eq(array32(&f, SECTOR + 0x20), 0x22221111);
    cr_expect_eq(array32(&f, SECTOR + 0x24), 0xffff3333);
    finish(&f);
}

Test(pflash, buffered_write_goes_wrong)
{
    struct flash f;
    start(&f);
    command(&f, 4, 0xe8);
    hw_rig_write(f.r, 4, 4, BOTH(1024)); // one word too many
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    command(&f, 0, 0x50); // clear status
    command(&f, 4, 0xe8);
    hw_rig_write(f.r, 4, 4, BOTH(0));
    hw_rig_write(f.r, 4, 4, 0);
    command(&f, 4, 0xff); // no confirmation
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    cr_expect_eq(array32(&f, 4), 0xffffffff);
    command(&f, 0, 0x50);
    command(&f, 4, 0xe8);
    hw_rig_write(f.r, 4, 4, BOTH(0));
    hw_rig_write(f.r, 0x1004, 4, 0); // outside of the buffer's block
    command(&f, 4, 0xd0);
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    cr_expect_eq(array32(&f, 0x1004), 0xffffffff);
    finish(&f);
}

Test(pflash, erase)
{
    struct flash f;
    start(&f);
    cr_expect_eq(read32(&f, SECTOR + 0x100), 0xffffff01);
    command(&f, SECTOR + 0x1000, 0x20);
    command(&f, SECTOR + 0x1000, 0xd0);
    cr_expect_eq(read32(&f, 0), BOTH(0x80));
    cr_expect_eq(array32(&f, SECTOR + 0x100), 0xffffffff);
    cr_expect_eq(image32(&f, SECTOR + 0x100), 0xffffffff);
    cr_expect_eq(array32(&f, SECTOR - 0x100), 0xffffffff);
    cr_expect_eq(array32(&f, 2 * SECTOR + 0x100), 0xffffff01); // the next one is whole
    command(&f, 0, 0x20);
    command(&f, 0, 0x20); // not a confirmation
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    command(&f, 0, 0x50);
    command(&f, 0, 0x70);
    cr_expect_eq(read32(&f, 0), BOTH(0x80));
    cr_expect_eq(array32(&f, 0x300), 0xffffff03);
    finish(&f);
}

Test(pflash, locks)
{
    struct flash f;
    start(&f);
    command(&f, SECTOR, 0x60);
    command(&f, SECTOR, 0x01);
    command(&f, 0, 0x90);
    cr_expect_eq(read32(&f, 8), 0);
    cr_expect_eq(read32(&f, SECTOR + 8), BOTH(1));
    command(&f, SECTOR + 4, 0x40);
    hw_rig_write(f.r, SECTOR + 4, 4, 0);
    cr_expect_eq(read32(&f, 0), BOTH(0x92)); // program error, block locked
    command(&f, 0, 0x50);
    command(&f, SECTOR, 0x20);
    command(&f, SECTOR, 0xd0);
    cr_expect_eq(read32(&f, 0), BOTH(0xa2)); // erase error
    command(&f, 0, 0x50);
    command(&f, 0, 0x60);
    command(&f, 0, 0xd0); // clears all lock bits
    command(&f, SECTOR + 4, 0x40);
    hw_rig_write(f.r, SECTOR + 4, 4, 0);
    cr_expect_eq(read32(&f, 0), BOTH(0x80));
    cr_expect_eq(array32(&f, SECTOR + 4), 0);
    finish(&f);
}

Test(pflash, readonly_image_is_protected)
{
    struct flash f;
    start_with(&f, true);
    command(&f, 4, 0x40);
    hw_rig_write(f.r, 4, 4, 0);
    cr_expect_eq(read32(&f, 0), BOTH(0x92));
    cr_expect_eq(array32(&f, 4), 0xffffffff);
    finish(&f);
}

Test(pflash, unknown_command_reads_the_array)
{
    struct flash f;
    start(&f);
    command(&f, 0, 0x90);
    command(&f, 0, 0x23);
    cr_expect_eq(read32(&f, 0x300), 0xffffff03);
    finish(&f);
}

Test(pflash, image_of_another_size_is_refused)
{
    struct flash f;
    GError *error = NULL;
    start(&f);
    struct hw_rig *r = hw_rig_new("cfi.pflash01", 0);
    device_set_ptr(r->dev, "drive", f.blk);
    cr_expect_not(device_init(r->dev, &error));
    cr_assert_not_null(error);
    cr_expect(strstr(error->message, "1048576") && strstr(error->message, "33554432"));
    g_error_free(error);
    hw_rig_free(r);
    finish(&f);
}

Test(pflash, reset_shows_the_array_and_keeps_contents)
{
    struct flash f;
    start(&f);
    command(&f, 8, 0x40);
    hw_rig_write(f.r, 8, 4, 5);
    device_reset(f.r->dev);
    cr_expect_eq(read32(&f, 8), 5);
    finish(&f);
}

// Errors add up until they are cleared; suspending what is over does nothing.
Test(pflash, status_stays_until_it_is_cleared)
{
    struct flash f;
    start(&f);
    command(&f, 0, 0x20);
    command(&f, 0, 0xff); // no confirmation
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    command(&f, 0, 0xb0);
    command(&f, 0, 0xd0);
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    command(&f, 0, 0x60);
    command(&f, 0, 0x44); // neither set nor clear
    cr_expect_eq(read32(&f, 0), BOTH(0xb0));
    command(&f, 0, 0x50);
    command(&f, 0, 0x70);
    cr_expect_eq(read32(&f, 0), BOTH(0x80));
    finish(&f);
}

// What is no array reads the same whatever the width, and does not touch the array.
Test(pflash, status_at_all_widths)
{
    struct flash f;
    start(&f);
    command(&f, 0, 0x70);
    for (unsigned at = 0; at < 4; at++)
        cr_expect_eq(hw_rig_read(f.r, 0x100 + at, 1), at & 1 ? 0 : 0x80);
    cr_expect_eq(hw_rig_read(f.r, 0x102, 2), 0x80);
    cr_expect_eq(hw_rig_read(f.r, 0x100, 8), (uint64_t)BOTH(0x80) << 32 | BOTH(0x80));
    cr_expect_eq(hw_rig_read(f.r, 0x101, 4), 0x80008000); // by bytes
    finish(&f);
}

// The host cannot write the image: programming and erasing say that they failed.
Test(pflash, errors_of_the_host)
{
    struct flash f;
    struct rlimit limit = {.rlim_max = RLIM_INFINITY};
    start(&f);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    command(&f, 4, 0x40);
    hw_rig_write(f.r, 4, 4, 0);
    cr_expect_eq(read32(&f, 0), BOTH(0x90));
    command(&f, 0, 0x50);
    command(&f, SECTOR, 0x20);
    command(&f, SECTOR, 0xd0);
    cr_expect_eq(read32(&f, 0), BOTH(0xa0));
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    finish(&f);
}

Test(pflash, loaded_state_goes_on_in_the_middle)
{
    struct flash f;
    start(&f);
    command(&f, 0x1000, 0xe8);
    command(&f, 0x1000, 1); // two words
    hw_rig_write(f.r, 0x1000, 4, 0x11223344);
    GByteArray *saved = hw_rig_save(f.r);
    device_reset(f.r->dev);
    cr_expect_eq(read32(&f, 0x1000), 0xffffff10);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(f.r->dev->cls->state, f.r->dev, "flash", &data, &len, NULL));
    f.r->dev->cls->loaded(f.r->dev);
    cr_expect_eq(read32(&f, 0x1000), BOTH(0x80));
    hw_rig_write(f.r, 0x1004, 4, 0x55667788);
    command(&f, 0x1000, 0xd0);
    cr_expect_eq(array32(&f, 0x1000), 0x11223300);
    cr_expect_eq(array32(&f, 0x1004), 0x55667788);
    g_byte_array_free(saved, TRUE);
    finish(&f);
}
