// SPDX-License-Identifier: MIT
// Contents of a drive at present: an image, or an image and an overlay.
//
// The overlay is an unlinked sparse file with the image's own layout; a bitmap says which clusters it holds.
#define _GNU_SOURCE // fallocate
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/block_impl.h"
#include "base/log.h"

#define COPY_MAX 65536

// --- Bytes of one file ---

int file_read(int fd, uint64_t offset, uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = pread(fd, buf, len, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0) {
            memset(buf, 0, len);
            return 0;
        }
        buf += MAX(n, 0);
        offset += (uint64_t)MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

int file_write(int fd, uint64_t offset, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            return EIO;
        buf += MAX(n, 0);
        offset += (uint64_t)MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

static int write_zeros(int fd, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[COPY_MAX];
    int err = 0;
    while (len && !err) {
        size_t n = MIN(len, sizeof(zeros));
        err = file_write(fd, offset, zeros, n);
        offset += n;
        len -= n;
    }
    return err;
}

// --- The overlay ---

bool store_add_overlay(struct block *blk, GError **error)
{
    blk->overlay_fd = block_open_temporary("snapshot=on", error);
    if (blk->overlay_fd < 0)
        return false;
    if (ftruncate(blk->overlay_fd, (off_t)blk->size) < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE,
                    "snapshot=on: the temporary file cannot have %s's size: %s", blk->file,
                    g_strerror(errno));
        return false;
    }
    blk->in_overlay = g_malloc0(block_clusters(blk) / 8 + 1);
    return true;
}

// How many bytes from offset on lie in the same file, and which file that is.
static size_t extent(const struct block *blk, uint64_t offset, size_t len, int *fd)
{
    uint64_t cluster = offset >> CLUSTER_BITS;
    if (!blk->in_overlay) {
        *fd = blk->fd;
        return len;
    }
    bool over = bitmap_has(blk->in_overlay, cluster);
    uint64_t end = (cluster + 1) << CLUSTER_BITS;
    while (end < offset + len && bitmap_has(blk->in_overlay, end >> CLUSTER_BITS) == over)
        end += CLUSTER;
    *fd = over ? blk->overlay_fd : blk->fd;
    return MIN(len, end - offset);
}

// Brings a cluster over that is about to be written in part.
static int copy_up(struct block *blk, uint64_t cluster)
{
    uint64_t start = cluster << CLUSTER_BITS;
    size_t len = block_cluster_size(blk, cluster);
    if (bitmap_has(blk->in_overlay, cluster))
        return 0;
    uint8_t *buf = g_malloc(len);
    int err = file_read(blk->fd, start, buf, len);
    if (!err)
        err = file_write(blk->overlay_fd, start, buf, len);
    g_free(buf);
    return err;
}

// The overlay can take a write to the range: its ends are there. Nothing to do without an overlay.
static int prepare_write(struct block *blk, uint64_t offset, uint64_t len)
{
    uint64_t end = offset + len;
    int err = 0;
    if (!blk->in_overlay)
        return 0;
    if (offset % CLUSTER)
        err = copy_up(blk, offset >> CLUSTER_BITS);
    if (!err && end % CLUSTER && end != blk->size)
        err = copy_up(blk, end >> CLUSTER_BITS);
    return err;
}

static void mark_written(struct block *blk, uint64_t offset, uint64_t len)
{
    if (!blk->in_overlay || len == 0)
        return;
    for (uint64_t c = offset >> CLUSTER_BITS; c <= (offset + len - 1) >> CLUSTER_BITS; c++)
        bitmap_set(blk->in_overlay, c, true);
}

static int writable_fd(const struct block *blk)
{
    return blk->in_overlay ? blk->overlay_fd : blk->fd;
}

// --- Contents ---

int store_read(struct block *blk, uint64_t offset, uint8_t *buf, size_t len)
{
    int err = 0;
    while (len && !err) {
        int fd;
        size_t n = extent(blk, offset, len, &fd);
        err = file_read(fd, offset, buf, n);
        buf += n;
        offset += n;
        len -= n;
    }
    return err;
}

int store_write(struct block *blk, uint64_t offset, const uint8_t *buf, size_t len)
{
    int err = prepare_write(blk, offset, len);
    if (!err)
        err = file_write(writable_fd(blk), offset, buf, len);
    if (!err)
        mark_written(blk, offset, len);
    return err;
}

// Gives the range's space back, after which it reads as zeros. FALSE: the host can't.
static bool punch(struct block *blk, uint64_t offset, uint64_t len)
{
    return fallocate(writable_fd(blk), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)len) == 0;
}

static bool zero_range(struct block *blk, uint64_t offset, uint64_t len)
{
    uint64_t range[2] = {offset, len};
    if (blk->is_device && !blk->in_overlay)
        return ioctl(blk->fd, BLKZEROOUT, range) == 0;
    return fallocate(writable_fd(blk), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)len) == 0;
}

int store_zero(struct block *blk, uint64_t offset, uint64_t len, bool unmap)
{
    int err = prepare_write(blk, offset, len);
    if (!err && len && !(unmap && punch(blk, offset, len)) && !zero_range(blk, offset, len))
        err = write_zeros(writable_fd(blk), offset, len);
    if (!err)
        mark_written(blk, offset, len);
    return err;
}
