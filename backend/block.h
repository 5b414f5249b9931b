// SPDX-License-Identifier: MIT
// Block back ends: disk images. Synchronous; offsets and lengths in bytes.
//
// An image is locked while it is open: against everybody when it is written, against writers otherwise.
#ifndef BACKEND_BLOCK_H
#define BACKEND_BLOCK_H

#include <glib.h>

#include "base/types.h"

struct block;

struct block_options {
    const char *id; // may be NULL
    const char *file;
    const char
        *format; // "raw", or NULL: raw unless it looks like another format, which is an error
    bool readonly;
    bool snapshot; // writes go to a temporary overlay and are lost at the end
    bool no_lock;  // file.locking=off
    bool no_flush; // cache=unsafe: flushes do nothing
};

struct block_stats {
    uint64_t reads, writes, flushes; // requests that succeeded
    uint64_t read_bytes, written_bytes;
    uint64_t errors;
};

// Opens an image. Errors name the file and the cause.
struct block *block_open(const struct block_options *opts, GError **error);
void block_close(struct block *blk); // NULL does nothing
// Whether a copy of the process (fork) could go on with it beside the original: if it is only read, or has an
// overlay. The error says what to do. Then, in the copy: gives it an overlay of its own, with the same contents.
bool block_check_fork(const struct block *blk, GError **error);
bool block_forked(struct block *blk, GError **error);
// A drive has one device at most: `user` is its id. Errors name both.
bool block_claim(struct block *blk, const char *user, GError **error);
void block_release(struct block *blk);
const char *block_user(const struct block *blk); // NULL: none
const char *block_id(const struct block *blk);   // "" if it has none
const char *block_file(const struct block *blk);
bool block_is_snapshot(const struct block *blk);
const struct block_stats *block_get_stats(const struct block *blk);
uint64_t
block_size(const struct block *blk); // bytes: the file's size, rounded up to a sector of 512
bool block_readonly(const struct block *blk);

// 0, or a positive errno of the host. Ranges beyond the end are EINVAL and touch nothing; writes to a
// read-only image are EROFS.
int block_read(struct block *blk, uint64_t offset, void *buf, size_t len);
int block_write(struct block *blk, uint64_t offset, const void *buf, size_t len);
// Durable when it returns 0.
int block_flush(struct block *blk);
// A hint: what the range reads as afterwards is not defined.
int block_discard(struct block *blk, uint64_t offset, uint64_t len);
// The range reads as zeros afterwards; with unmap, its space may be given back.
int block_write_zeroes(struct block *blk, uint64_t offset, uint64_t len, bool unmap);

#endif
