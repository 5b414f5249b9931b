// SPDX-License-Identifier: MIT
// Disk images: files that look like anything, and requests to them, compared with a plain array of bytes.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "backend/block.h"
#include "base/bits.h"
#include "tests/fuzzers/fuzzer.h"

enum { SECTOR = 512, BUFFER = 0x40000 };

struct disk {
    struct block *blk;
    uint8_t *model; // what it is to read as
    uint64_t size;
    bool readonly;
    uint8_t *buffer;
};

// What a request answers: 0 and nothing else if it lies in the disk and may be made.
static bool check_result(const struct disk *d, int err, uint64_t offset, uint64_t len, bool writes)
{
    bool inside = offset <= d->size && len <= d->size - offset;
    assert(err == (!inside ? EINVAL : writes && d->readonly ? EROFS : 0));
    return err == 0;
}

static void read_range(struct disk *d, uint64_t offset, size_t len)
{
    if (check_result(d, block_read(d->blk, offset, d->buffer, len), offset, len, false))
        assert(!memcmp(d->buffer, d->model + offset, len));
}

static void write_range(struct disk *d, uint64_t offset, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++)
        d->buffer[i] = (uint8_t)(first + i);
    if (check_result(d, block_write(d->blk, offset, d->buffer, len), offset, len, true))
        memcpy(d->model + offset, d->buffer, len);
}

static void zero_range(struct disk *d, uint64_t offset, size_t len, bool unmap)
{
    if (check_result(d, block_write_zeroes(d->blk, offset, len, unmap), offset, len, true))
        memset(d->model + offset, 0, len);
}

// What is discarded may read as anything from then on; the rest stays.
static void discard_range(struct disk *d, uint64_t offset, size_t len)
{
    if (check_result(d, block_discard(d->blk, offset, len), offset, len, true) &&
        block_read(d->blk, offset, d->model + offset, len) != 0)
        assert(!"what was discarded can't be read");
}

static void step(struct disk *d, struct fuzz_input *in)
{
    unsigned op = (unsigned)fuzz_take(in, 1);
    uint64_t offset = op & 8 ? fuzz_take(in, 3) : fuzz_take(in, 2) * SECTOR;
    size_t len = op & 16 ? fuzz_take(in, 2) : fuzz_take(in, 1) * SECTOR;
    if (op & 32)
        offset = fuzz_take(in, 8);
    switch (op & 7) {
    case 0:
    case 1:
        read_range(d, offset, len);
        break;
    case 2:
    case 3:
        write_range(d, offset, len, (uint8_t)(op >> 4));
        break;
    case 4:
    case 5:
        zero_range(d, offset, len, op & 1);
        break;
    case 6:
        discard_range(d, offset, len);
        break;
    default:
        if (block_flush(d->blk) != 0)
            assert(!"a flush failed");
    }
}

static void run_requests(struct disk *d, struct fuzz_input *in)
{
    while (fuzz_left(in))
        step(d, in);
    for (uint64_t at = 0; at < d->size; at += BUFFER)
        read_range(d, at, MIN(BUFFER, d->size - at));
}

// The image starts with the last bytes of the input, and is zeros from there on.
static struct fuzz_file make_image(const uint8_t *head, size_t head_len, size_t len, struct disk *d)
{
    g_autofree uint8_t *bytes = g_malloc0(len + 1);
    memcpy(bytes, head, MIN(head_len, len));
    d->size = align_up(len, SECTOR);
    d->model = g_malloc0(d->size + 1);
    memcpy(d->model, bytes, len);
    d->buffer = g_malloc(BUFFER);
    return fuzz_file_new(bytes, len);
}

static void run(const uint8_t *data, size_t len)
{
    struct fuzz_input in = fuzz_input(data, len);
    unsigned flags = (unsigned)fuzz_take(&in, 1);
    size_t size = fuzz_take(&in, 1) * (flags & 1 ? 4096 : 97), head = fuzz_take(&in, 1);
    head = MIN(head, fuzz_left(&in));
    struct disk d = {.readonly = flags & 2};
    struct fuzz_file f = make_image(in.end - head, head, size, &d);
    in.end -= head;
    const struct block_options opts = {.file = f.path,
                                       .readonly = d.readonly,
                                       .snapshot = flags & 4,
                                       .format = flags & 8 ? "raw" : NULL,
                                       .no_flush = flags & 16};
    GError *error = NULL;
    d.blk = block_open(&opts, &error);
    fuzz_check_error(d.blk, error);
    if (d.blk) {
        assert(block_size(d.blk) == d.size);
        run_requests(&d, &in);
    }
    block_close(d.blk);
    fuzz_file_close(&f);
    g_free(d.model);
    g_free(d.buffer);
}

const struct fuzzer fuzzer_block = {
    .name = "block",
    .help = "how an image is opened, its size, requests, and the image's first bytes",
    .max_len = 1024,
    .run = run,
};
