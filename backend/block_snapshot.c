// SPDX-License-Identifier: MIT
// What snapshots of machines need of drives: to know an image again, and an overlay's clusters.
#define _GNU_SOURCE // SEEK_DATA
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block_impl.h"
#include "base/log.h"
#include "base/state.h"

// Images with more than this in them are known by size and date alone.
#define HASH_MAX (UINT64_C(8) << 30)

_Static_assert(BLOCK_CLUSTER == CLUSTER, "one size of clusters");

bool block_is_in_place(const struct block *blk)
{
    return !blk->in_overlay && !blk->readonly;
}

// --- Identity ---

static bool is_zero(const uint8_t *p, size_t len)
{
    return *p == 0 && !memcmp(p, p + 1, len - 1);
}

// Zeros count for nothing, so it does not matter whether they are holes.
static uint64_t contribution(uint64_t cluster, const uint8_t *buf, size_t len)
{
    return is_zero(buf, len) ? 0 : hash_bytes(buf, len, cluster + 1);
}

// The first cluster from this one on that has data, or the number of clusters.
static uint64_t next_data(const struct block *blk, uint64_t cluster)
{
    off_t at = lseek(blk->fd, (off_t)(cluster << CLUSTER_BITS), SEEK_DATA);
    if (at < 0)
        return errno == ENXIO ? block_clusters(blk) : cluster; // the latter: it can't tell
    return MAX((uint64_t)at >> CLUSTER_BITS, cluster);
}

static int hash_image(struct block *blk)
{
    uint8_t *buf = g_malloc(CLUSTER);
    uint64_t sum = 0;
    int err = 0;
    for (uint64_t c = 0; !err && (c = next_data(blk, c)) < block_clusters(blk); c++) {
        size_t len = block_cluster_size(blk, c);
        err = file_read(blk->fd, c << CLUSTER_BITS, buf, len);
        if (!err)
            sum += contribution(c, buf, len);
    }
    g_free(buf);
    blk->hash = hash_bytes(&sum, sizeof(sum), blk->size) | 1;
    blk->has_hash = !err;
    return err;
}

int block_identify(struct block *blk, bool with_hash, struct block_identity *identity)
{
    struct stat st;
    if (fstat(blk->fd, &st) < 0)
        return errno;
    *identity = (struct block_identity){.size = blk->size};
    if (!blk->is_device)
        identity->mtime_ns =
            (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
    if (!with_hash || (uint64_t)st.st_blocks * 512 > HASH_MAX ||
        (blk->is_device && blk->size > HASH_MAX))
        return 0;
    int err = blk->has_hash ? 0 : hash_image(blk);
    identity->hash = err ? 0 : blk->hash;
    return err;
}

int block_flush_image(struct block *blk)
{
    return fdatasync(blk->fd) < 0 ? errno : 0;
}

// --- Overlays ---

bool block_overlay_next(struct block *blk, uint64_t *cluster, uint8_t *buf, size_t *len, int *err)
{
    uint64_t c = *cluster;
    if (!blk->in_overlay)
        return false;
    while (c < block_clusters(blk) && !bitmap_has(blk->in_overlay, c))
        c++;
    if (c == block_clusters(blk))
        return false;
    *cluster = c;
    *len = block_cluster_size(blk, c);
    *err = file_read(blk->overlay_fd, c << CLUSTER_BITS, buf, *len);
    return true;
}

struct block_overlay {
    int fd;
    uint8_t *has; // a bit per cluster
};

struct block_overlay *block_overlay_new(struct block *blk, GError **error)
{
    int fd = block_open_temporary("snapshot=on", error);
    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)blk->size) < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "a temporary file for drive %s: %s",
                    blk->id, g_strerror(errno));
        close(fd);
        return NULL;
    }
    struct block_overlay *o = g_new0(struct block_overlay, 1);
    o->fd = fd;
    o->has = g_malloc0(block_clusters(blk) / 8 + 1);
    return o;
}

void block_overlay_add(struct block_overlay *o, uint64_t cluster)
{
    bitmap_set(o->has, cluster, true);
}

int block_overlay_write(struct block_overlay *o, uint64_t offset, const uint8_t *buf, size_t len)
{
    return file_write(o->fd, offset, buf, len);
}

void block_overlay_free(struct block_overlay *o)
{
    if (!o)
        return;
    close(o->fd);
    g_free(o->has);
    g_free(o);
}

void block_overlay_use(struct block *blk, struct block_overlay *o)
{
    struct block_overlay old = {blk->overlay_fd, blk->in_overlay};
    assert(blk->in_overlay && !history_has_marks(blk));
    blk->overlay_fd = o->fd;
    blk->in_overlay = o->has;
    *o = old;
    block_overlay_free(o);
}
