// SPDX-License-Identifier: MIT
// Shared inside backend/block*.c: what a drive is made of.
//
// From below: the image; an overlay above it where the image stays as it is (block_store.c); what was overwritten since
// some moments, so that these can be looked at and gone back to (block_history.c); and what a recording must have of
// the contents (block_log.c). A cluster is the unit of all of them.
#ifndef BACKEND_BLOCK_IMPL_H
#define BACKEND_BLOCK_IMPL_H

#include "backend/block.h"

#define CLUSTER_BITS 16
#define CLUSTER      (UINT64_C(1) << CLUSTER_BITS)

struct block_history;

struct block {
    char *id, *file;
    char *user; // the device that has it, or NULL
    int fd;
    bool readonly, snapshot, no_flush;
    bool is_device;      // a block device of the host
    uint64_t size;       // a multiple of a sector of 512
    int overlay_fd;      // -1: none
    uint8_t *in_overlay; // a bit per cluster
    struct block_stats stats;
    struct block_history *history; // NULL: nothing was ever marked
    // For recordings.
    struct door *door; // of the machine; NULL: none
    unsigned door_id;
    uint64_t requests; // ever
    uint8_t *seen;     // a bit per cluster: the log has what it was; NULL: none
    // The hash of the contents, once it was asked for.
    bool has_hash;
    uint64_t hash;
};

static inline uint64_t block_clusters(const struct block *blk)
{
    return (blk->size + CLUSTER - 1) >> CLUSTER_BITS;
}

// Bytes of a cluster: the last one may be shorter.
static inline size_t block_cluster_size(const struct block *blk, uint64_t cluster)
{
    uint64_t start = cluster << CLUSTER_BITS;
    return blk->size - start < CLUSTER ? blk->size - start : CLUSTER;
}

static inline bool bitmap_has(const uint8_t *map, uint64_t i)
{
    return map[i / 8] >> (i % 8) & 1;
}

static inline void bitmap_set(uint8_t *map, uint64_t i, bool value)
{
    map[i / 8] = (uint8_t)((map[i / 8] & ~(1 << i % 8)) | value << i % 8);
}

// An unlinked file for temporary contents, in TMPDIR, or /var/tmp, or /tmp. `why` is the option that needs it.
int block_open_temporary(const char *why, GError **error);

// All of the following return 0 or a positive errno; ranges are right.

// block_store.c: bytes of a file; what lies behind its end reads as zeros.
int file_read(int fd, uint64_t offset, uint8_t *buf, size_t len);
int file_write(int fd, uint64_t offset, const uint8_t *buf, size_t len);
// The contents as they are at present.
int store_read(struct block *blk, uint64_t offset, uint8_t *buf, size_t len);
int store_write(struct block *blk, uint64_t offset, const uint8_t *buf, size_t len);
int store_zero(struct block *blk, uint64_t offset, uint64_t len, bool unmap);
bool store_add_overlay(struct block *blk, GError **error);

// block_history.c: TRUE while a moment of the past is looked at.
bool history_is_viewing(const struct block *blk);
// The contents as of that moment. What is written then is kept apart.
int history_read(struct block *blk, uint64_t offset, uint8_t *buf, size_t len);
int history_write(struct block *blk, uint64_t offset, const uint8_t *buf, size_t len);
int history_zero(struct block *blk, uint64_t offset, uint64_t len);
// The present contents of a range are about to change.
int history_before(struct block *blk, uint64_t offset, uint64_t len);
bool history_has_marks(const struct block *blk);
void history_free(struct block *blk);

// block_log.c: a request begins that reads these bytes, or writes them: the log gets, or gives, what matters of
// them. An error is that of the recorded request.
int log_request(struct block *blk, uint64_t offset, uint64_t len, bool writes);
// It is done; passes err on.
int log_result(struct block *blk, uint64_t offset, uint64_t len, bool writes, int err);

#endif
