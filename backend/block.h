// SPDX-License-Identifier: MIT
// Block back ends: disk images. Synchronous; offsets and lengths in bytes.
#ifndef BACKEND_BLOCK_H
#define BACKEND_BLOCK_H

#include <glib.h>

#include "base/types.h"

struct block;

struct block_options {
    const char *id;     // may be NULL
    const char *file;
    const char *format; // "raw", or NULL: raw with a warning as far as it is probed
    bool readonly;
    bool snapshot; // writes go to a temporary overlay and are lost at the end
};

// Opens an image. Errors name the file and the cause.
struct block *block_open(const struct block_options *opts, GError **error);
void block_close(struct block *blk);
const char *block_id(const struct block *blk);
uint64_t block_size(const struct block *blk); // bytes
bool block_readonly(const struct block *blk);

// 0, or a positive errno of the host. Ranges beyond the end are EINVAL and touch nothing.
int block_read(struct block *blk, uint64_t offset, void *buf, size_t len);
int block_write(struct block *blk, uint64_t offset, const void *buf, size_t len);
// Durable when it returns 0.
int block_flush(struct block *blk);
int block_discard(struct block *blk, uint64_t offset, uint64_t len);
int block_write_zeroes(struct block *blk, uint64_t offset, uint64_t len, bool unmap);

#endif
