// SPDX-License-Identifier: MIT
// Disk images: against a copy in memory with random requests, plain and with an overlay; locks; errors.
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/block.h"

static char *make_file(const void *data, size_t len)
{
    char *name = NULL;
    int fd = g_file_open_tmp("ferry-block-XXXXXX", &name, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
    return name;
}

static struct block *open_file(const struct block_options *opts)
{
    GError *error = NULL;
    struct block *blk = block_open(opts, &error);
    cr_assert_not_null(blk, "%s", error ? error->message : "");
    return blk;
}

static void expect_refused(const struct block_options *opts, const char *part)
{
    GError *error = NULL;
    cr_assert_null(block_open(opts, &error));
    cr_assert_not_null(strstr(error->message, part), "%s", error->message);
    cr_assert_not_null(strstr(error->message, opts->file), "%s", error->message);
    g_error_free(error);
}

// --- Contents ---

#define SIZE (5 * 65536 + 3 * 512)

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

struct model {
    struct block *blk;
    uint8_t *bytes; // what the image must contain
    uint8_t *buf;
    uint64_t seed;
};

// A random range, often with ends on clusters' borders and at the image's end.
static void random_range(struct model *m, uint64_t *offset, size_t *len)
{
    uint64_t align = (uint64_t[]){1, 512, 65536}[next_random(&m->seed) % 3];
    *offset = next_random(&m->seed) % SIZE / align * align;
    *len = next_random(&m->seed) % (SIZE - *offset + 1);
    if (next_random(&m->seed) % 4 == 0)
        *len = SIZE - *offset;
    if (next_random(&m->seed) % 2 == 0)
        *len = MIN(*len, 1000);
}

static void step(struct model *m)
{
    uint64_t offset;
    size_t len;
    random_range(m, &offset, &len);
    switch (next_random(&m->seed) % 4) {
    case 0:
        memset(m->buf, (int)next_random(&m->seed), len);
        cr_assert_eq(block_write(m->blk, offset, m->buf, len), 0);
        memcpy(m->bytes + offset, m->buf, len);
        break;
    case 1:
        cr_assert_eq(block_write_zeroes(m->blk, offset, len, next_random(&m->seed) % 2), 0);
        memset(m->bytes + offset, 0, len);
        break;
    case 2: // its contents are not defined, so write them anew
        cr_assert_eq(block_discard(m->blk, offset, len), 0);
        cr_assert_eq(block_write(m->blk, offset, m->bytes + offset, len), 0);
        break;
    default:
        cr_assert_eq(block_read(m->blk, offset, m->buf, len), 0);
        cr_assert_eq(memcmp(m->buf, m->bytes + offset, len), 0);
    }
}

static void check_against_model(bool snapshot, uint64_t seed)
{
    struct model m = {.bytes = g_malloc(SIZE), .buf = g_malloc(SIZE), .seed = seed};
    for (size_t i = 0; i < SIZE; i++)
        m.bytes[i] = (uint8_t)next_random(&m.seed);
    char *original = g_memdup2(m.bytes, SIZE), *after;
    char *name = make_file(m.bytes, SIZE);
    struct block_options opts = {.file = name, .format = "raw", .snapshot = snapshot};
    m.blk = open_file(&opts);
    cr_assert_eq(block_size(m.blk), SIZE);
    for (int i = 0; i < 400; i++)
        step(&m);
    cr_assert_eq(block_read(m.blk, 0, m.buf, SIZE), 0);
    cr_assert_eq(memcmp(m.buf, m.bytes, SIZE), 0);
    cr_assert_eq(block_flush(m.blk), 0);
    block_close(m.blk);
    gsize len;
    cr_assert(g_file_get_contents(name, &after, &len, NULL));
    cr_assert_eq(len, SIZE);
    cr_assert_eq(memcmp(after, snapshot ? original : (char *)m.bytes, SIZE), 0);
    unlink(name);
    g_free(name);
    g_free(after);
    g_free(original);
    g_free(m.bytes);
    g_free(m.buf);
}

Test(block, file_agrees_with_a_model)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        check_against_model(false, seed);
}

Test(block, overlay_agrees_with_a_model_and_spares_the_file)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        check_against_model(true, seed);
}

Test(block, size_is_rounded_up_and_the_tail_is_zero)
{
    char *name = make_file("abc", 3);
    struct block_options opts = {.file = name, .id = "hd0"};
    struct block *blk = open_file(&opts);
    char sector[512], zeros[512] = {0};
    cr_assert_eq(block_size(blk), 512);
    cr_assert_str_eq(block_id(blk), "hd0");
    cr_assert_str_eq(block_file(blk), name);
    cr_assert_eq(block_read(blk, 0, sector, 512), 0);
    cr_assert_eq(memcmp(sector, "abc", 3), 0);
    cr_assert_eq(memcmp(sector + 3, zeros, 509), 0);
    sector[511] = 'z';
    cr_assert_eq(block_write(blk, 0, sector, 512), 0);
    block_close(blk);
    blk = open_file(&opts);
    cr_assert_eq(block_read(blk, 0, sector, 512), 0);
    cr_assert_eq(sector[511], 'z');
    block_close(blk);
    unlink(name);
    g_free(name);
}

Test(block, offsets_beyond_4_gib)
{
    char *name = make_file("", 0);
    uint64_t size = (UINT64_C(5) << 30) + 512;
    char in[8] = "far out", out[8];
    cr_assert_eq(truncate(name, (off_t)size), 0);
    for (int snapshot = 1; snapshot >= 0; snapshot--) {
        struct block_options opts = {.file = name, .snapshot = snapshot};
        struct block *blk = open_file(&opts);
        cr_assert_eq(block_size(blk), size);
        cr_assert_eq(block_write(blk, size - 8, in, 8), 0);
        cr_assert_eq(block_read(blk, size - 8, out, 8), 0);
        cr_assert_str_eq(out, in);
        cr_assert_eq(block_read(blk, 1 << 30, out, 8), 0);
        cr_assert_eq(out[0], 0);
        block_close(blk);
    }
    unlink(name);
    g_free(name);
}

Test(block, discard_gives_space_back)
{
    char *data = g_malloc(1 << 20);
    memset(data, 'x', 1 << 20);
    char *name = make_file(data, 1 << 20);
    struct block_options opts = {.file = name};
    struct block *blk = open_file(&opts);
    struct stat before, after;
    cr_assert_eq(block_flush(blk), 0);
    stat(name, &before);
    cr_assert_eq(block_discard(blk, 0, 1 << 19), 0);
    stat(name, &after);
    cr_assert_lt(after.st_blocks, before.st_blocks);
    cr_assert_eq(after.st_size, before.st_size);
    block_close(blk);
    unlink(name);
    g_free(name);
    g_free(data);
}

// --- Ranges and rights ---

Test(block, ranges_beyond_the_end_touch_nothing)
{
    char zeros[1024] = {0}, buf[1024];
    char *name = make_file(zeros, 1024);
    struct block_options opts = {.file = name};
    struct block *blk = open_file(&opts);
    static const uint64_t ranges[][2] = {
        {1024, 1}, {1023, 2}, {0, 1025}, {UINT64_MAX, 1}, {UINT64_MAX - 511, 512}, {1025, 0}};
    memset(buf, 'q', sizeof(buf));
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++) {
        cr_assert_eq(block_read(blk, ranges[i][0], buf, ranges[i][1]), EINVAL);
        cr_assert_eq(block_write(blk, ranges[i][0], buf, ranges[i][1]), EINVAL);
        cr_assert_eq(block_discard(blk, ranges[i][0], ranges[i][1]), EINVAL);
        cr_assert_eq(block_write_zeroes(blk, ranges[i][0], ranges[i][1], false), EINVAL);
    }
    cr_assert_eq(block_read(blk, 1024, buf, 0), 0);
    cr_assert_eq(buf[0], 'q');
    cr_assert_eq(block_read(blk, 0, buf, 1024), 0);
    cr_assert_eq(memcmp(buf, zeros, 1024), 0);
    cr_assert_eq(block_get_stats(blk)->reads, 2);
    cr_assert_eq(block_get_stats(blk)->read_bytes, 1024);
    cr_assert_eq(block_get_stats(blk)->errors, 4 * ARRAY_LEN(ranges));
    block_close(blk);
    unlink(name);
    g_free(name);
}

Test(block, readonly_refuses_writes)
{
    char buf[512] = {0};
    char *name = make_file(buf, 512);
    struct block_options opts = {.file = name, .readonly = true};
    chmod(name, 0400);
    struct block *blk = open_file(&opts);
    cr_assert(block_readonly(blk));
    cr_assert_eq(block_write(blk, 0, buf, 512), EROFS);
    cr_assert_eq(block_write_zeroes(blk, 0, 512, true), EROFS);
    cr_assert_eq(block_discard(blk, 0, 512), EROFS);
    cr_assert_eq(block_flush(blk), 0);
    block_close(blk);
    unlink(name);
    g_free(name);
}

Test(block, locks_writers_out)
{
    char *name = make_file("", 0);
    struct block_options writer = {.file = name};
    struct block_options reader = {.file = name, .readonly = true};
    struct block_options snapshot = {.file = name, .snapshot = true};
    struct block_options reckless = {.file = name, .no_lock = true};
    struct block *blk = open_file(&writer);
    expect_refused(&writer, "in use already");
    expect_refused(&reader, "in use already");
    expect_refused(&snapshot, "in use already");
    block_close(open_file(&reckless));
    block_close(blk);
    blk = open_file(&reader);
    block_close(open_file(&reader));
    block_close(open_file(&snapshot));
    expect_refused(&writer, "in use already");
    block_close(blk);
    block_close(open_file(&writer));
    unlink(name);
    g_free(name);
}

// --- What is no raw image ---

Test(block, says_what_a_file_is)
{
    static const struct {
        const char *bytes, *what, *remedy;
        size_t len;
    } cases[] = {
        {"QFI\xfb\0\0\0\3", "is a qcow2 image", "qemu-img convert -O raw ", 8},
        {"KDMV\1\0\0\0", "is a VMDK image", "qemu-img convert -O raw ", 8},
        {"vhdxfile", "is a VHDX image", "qemu-img convert -O raw ", 8},
        {"\x1f\x8b\x08\0", "is compressed by gzip", "gunzip -k ", 4},
        {"\xfd\x37zXZ\0\0", "is compressed by xz", "unxz -k ", 7},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        char *name = make_file(cases[i].bytes, cases[i].len);
        struct block_options opts = {.file = name};
        expect_refused(&opts, cases[i].what);
        expect_refused(&opts, cases[i].remedy);
        opts.format = "raw"; // the user knows better
        block_close(open_file(&opts));
        unlink(name);
        g_free(name);
    }
}

Test(block, names_the_cause)
{
    struct block_options missing = {.file = "/nonexistent/disk.img"};
    struct block_options folder = {.file = "/tmp", .readonly = true};
    struct block_options terminal = {.file = "/dev/null"};
    expect_refused(&missing, "No such file or directory");
    expect_refused(&folder, "neither a file nor a block device");
    expect_refused(&terminal, "neither a file nor a block device");
    char *name = make_file("", 0);
    struct block_options qcow2 = {.file = name, .format = "qcow2"};
    expect_refused(&qcow2, "format=qcow2: only raw images can be opened");
    unlink(name);
    g_free(name);
}

// --- Copies of the process ---

Test(block, an_overlay_is_copied_with_the_process)
{
    static uint8_t image[SIZE], seen[SIZE];
    char *name = make_file(image, sizeof(image));
    struct block *blk = open_file(&(struct block_options){.file = name, .snapshot = true});
    int status;

    cr_assert(block_check_fork(blk, NULL));
    cr_assert_eq(block_write(blk, 65000, "both of them", 12), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = block_forked(blk, NULL) && block_read(blk, 65000, seen, 12) == 0 &&
                  memcmp(seen, "both of them", 12) == 0 &&
                  block_write(blk, 65000, "the copy", 8) == 0 &&
                  block_write(blk, 200000, "the copy", 8) == 0;
        _exit(ok ? 0 : 1);
    }
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
    cr_assert_eq(block_read(blk, 0, seen, SIZE), 0);
    memcpy(image + 65000, "both of them", 12);
    cr_assert_arr_eq(seen, image, SIZE);
    block_close(blk);
    unlink(name);
    g_free(name);
}

Test(block, a_file_that_is_written_has_one_process)
{
    GError *error = NULL;
    char *name = make_file("x", 1);
    struct block *writer = open_file(&(struct block_options){.id = "d", .file = name});

    cr_assert(!block_check_fork(writer, &error));
    cr_assert(g_str_has_prefix(error->message, "drive d writes to "), "%s", error->message);
    cr_assert(strstr(error->message, "snapshot=on"));
    g_error_free(error);
    block_close(writer);
    struct block *reader = open_file(&(struct block_options){.file = name, .readonly = true});
    cr_assert(block_check_fork(reader, NULL) && block_forked(reader, NULL));
    block_close(reader);
    unlink(name);
    g_free(name);
}
