// SPDX-License-Identifier: MIT
// What a recording must have of a drive's contents: each cluster as it was before the machine first read or partly
// wrote it. Of an image that stays as it is, a hash is enough; of one that is written in place, the contents, since a
// replay finds other ones there. A request that failed leaves its number and error in the log.
//
// An entry's key is the cluster, or FAILED and the number of the request.
#include <errno.h>
#include <string.h>

#include "backend/block_impl.h"
#include "base/bits.h"
#include "base/state.h"

#define FAILED BIT(63)

enum { HAS_HASH, HAS_CONTENTS, HAS_ZEROS }; // first byte of an entry

static bool is_logged(const struct block *blk)
{
    return blk->door && door_logs_disks(blk->door);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (*p == 0 && !memcmp(p, p + 1, len - 1));
}

// --- One cluster ---

static void remember_hash(struct block *blk, uint64_t cluster, const uint8_t *buf, size_t len)
{
    uint8_t entry[9] = {HAS_HASH};
    store_le(entry + 1, 8, hash_bytes(buf, len, 0));
    door_remember(blk->door, blk->door_id, cluster, entry, sizeof(entry));
}

static void remember_contents(struct block *blk, uint64_t cluster, uint8_t *entry, size_t len)
{
    bool zero = is_zero(entry + 1, len);
    entry[0] = zero ? HAS_ZEROS : HAS_CONTENTS;
    door_remember(blk->door, blk->door_id, cluster, entry, zero ? 1 : 1 + len);
}

static int record_cluster(struct block *blk, uint64_t cluster)
{
    size_t len = block_cluster_size(blk, cluster);
    uint8_t *buf = g_malloc(1 + len);
    int err = store_read(blk, cluster << CLUSTER_BITS, buf + 1, len);
    bool stays = blk->readonly || (blk->in_overlay && !bitmap_has(blk->in_overlay, cluster));
    if (!err && stays)
        remember_hash(blk, cluster, buf + 1, len);
    else if (!err)
        remember_contents(blk, cluster, buf, len);
    g_free(buf);
    return err;
}

static int check_hash(struct block *blk, uint64_t cluster, const uint8_t *hash)
{
    size_t len = block_cluster_size(blk, cluster);
    uint8_t *buf = g_malloc(len);
    int err = store_read(blk, cluster << CLUSTER_BITS, buf, len);
    if (err || hash_bytes(buf, len, 0) != load_le(hash, 8))
        door_fail(blk->door,
                  "drive %s: %s is not what it was when this was recorded (at offset %llu)",
                  blk->id, blk->file, (unsigned long long)cluster << CLUSTER_BITS);
    g_free(buf);
    return err;
}

static int apply_entry(struct block *blk, uint64_t cluster, const GByteArray *entry)
{
    size_t len = block_cluster_size(blk, cluster);
    uint64_t start = cluster << CLUSTER_BITS;
    if (history_is_viewing(blk))
        return 0; // what it was then is known
    if (entry->len == 9 && entry->data[0] == HAS_HASH)
        return check_hash(blk, cluster, entry->data + 1);
    if (entry->len == 1 + len && entry->data[0] == HAS_CONTENTS && blk->in_overlay)
        return store_write(blk, start, entry->data + 1, len);
    if (entry->len == 1 && entry->data[0] == HAS_ZEROS && blk->in_overlay)
        return store_zero(blk, start, len, true);
    door_fail(blk->door, "drive %s: what was recorded of it makes no sense", blk->id);
    return EIO;
}

// The error of this request, if it failed when it was recorded.
static int recall_error(struct block *blk)
{
    g_autoptr(GByteArray) entry = g_byte_array_new();
    if (!door_recall_if(blk->door, blk->door_id, FAILED | blk->requests, entry))
        return 0;
    return entry->len == 4 && load_le(entry->data, 4) ? (int)load_le(entry->data, 4) : EIO;
}

static int replay_cluster(struct block *blk, uint64_t cluster)
{
    g_autoptr(GByteArray) entry = g_byte_array_new();
    int err = recall_error(blk);
    if (err)
        return err;
    door_recall(blk->door, blk->door_id, cluster, entry);
    return door_problem(blk->door) ? EIO : apply_entry(blk, cluster, entry);
}

// --- Requests ---

static int need_cluster(struct block *blk, uint64_t cluster)
{
    if (bitmap_has(blk->seen, cluster))
        return 0;
    int err =
        door_is_replaying(blk->door) ? replay_cluster(blk, cluster) : record_cluster(blk, cluster);
    bitmap_set(blk->seen, cluster, !err);
    return err;
}

// Clusters that are written as a whole need not be known.
static int need_range(struct block *blk, uint64_t offset, uint64_t len, bool writes)
{
    int err = 0;
    for (uint64_t c = offset >> CLUSTER_BITS;
         len && !err && c <= (offset + len - 1) >> CLUSTER_BITS; c++) {
        uint64_t start = c << CLUSTER_BITS;
        bool whole = start >= offset && start + block_cluster_size(blk, c) <= offset + len;
        if (writes && whole)
            bitmap_set(blk->seen, c, true);
        else
            err = need_cluster(blk, c);
    }
    return err;
}

int log_request(struct block *blk, uint64_t offset, uint64_t len, bool writes)
{
    if (!is_logged(blk))
        return 0;
    if (!blk->seen)
        blk->seen = g_malloc0(block_clusters(blk) / 8 + 1);
    blk->requests++;
    int err = need_range(blk, offset, len, writes);
    return err || !door_is_replaying(blk->door) ? err : recall_error(blk);
}

// What a write that failed has left is not known.
static void forget_range(struct block *blk, uint64_t offset, uint64_t len)
{
    for (uint64_t c = offset >> CLUSTER_BITS; len && c <= (offset + len - 1) >> CLUSTER_BITS; c++)
        bitmap_set(blk->seen, c, false);
}

int log_result(struct block *blk, uint64_t offset, uint64_t len, bool writes, int err)
{
    if (!err || !is_logged(blk))
        return err;
    if (writes)
        forget_range(blk, offset, len);
    if (!door_is_replaying(blk->door)) {
        uint8_t entry[4];
        store_le(entry, 4, (uint64_t)err);
        door_remember(blk->door, blk->door_id, FAILED | blk->requests, entry, sizeof(entry));
    }
    return err;
}
