// SPDX-License-Identifier: MIT
// Block back ends: disk images. Synchronous; offsets and lengths in bytes.
//
// An image is locked while it is open: against everybody when it is written, against writers otherwise.
#ifndef BACKEND_BLOCK_H
#define BACKEND_BLOCK_H

#include <glib.h>

#include "base/replay.h"
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
// A drive has one device at most: `user` is its id, `door` its machine's. Errors name both.
bool block_claim(struct block *blk, const char *user, struct door *door, GError **error);
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
// A hint: the range reads as zeros afterwards, or, where the host can't do that, as before.
int block_discard(struct block *blk, uint64_t offset, uint64_t len);
// The range reads as zeros afterwards; with unmap, its space may be given back.
int block_write_zeroes(struct block *blk, uint64_t offset, uint64_t len, bool unmap);

// --- The past ---
//
// A mark stands for the contents at a moment; what is overwritten from then on is kept in a temporary file. Marks can
// be looked at, while the present stays untouched, and become the present.

struct block_mark;

// Marks what the drive shows now. NULL: there is no room for a temporary file.
struct block_mark *block_mark(struct block *blk, GError **error);
// Not the one that is looked at. NULL does nothing.
void block_unmark(struct block *blk, struct block_mark *mark);
// From now on requests see the contents as of the mark, and what they write is seen by them only, until the next
// call. NULL: the present.
void block_view(struct block *blk, struct block_mark *mark);
// What is looked at, with what was written to it, becomes the present: the image is changed if it is written in
// place. All marks stay what they are. 0, or a positive errno, after which the contents are a mixture.
int block_adopt(struct block *blk);
// What the temporary file holds, in bytes.
uint64_t block_history_bytes(const struct block *blk);

// --- For snapshots of machines ---

// Requests change the image itself.
bool block_is_in_place(const struct block *blk);
// What is to be the same for a drive to be the same drive: of the image, without overlay.
struct block_identity {
    uint64_t size;
    uint64_t mtime_ns; // 0: unknown
    uint64_t hash;     // of the contents; 0: not asked for, or too much to read
};
// 0, or a positive errno. With hash: reads the image, unless it is known.
int block_identify(struct block *blk, bool with_hash, struct block_identity *identity);
// Makes an image that is written in place durable, whatever cache= says. 0, or a positive errno.
int block_flush_image(struct block *blk);
// The clusters of the overlay in order, from *cluster on: their contents (at most BLOCK_CLUSTER bytes; the length is
// returned in *len). FALSE: there are no more. An error makes *err positive.
#define BLOCK_CLUSTER (UINT64_C(1) << 16)
bool block_overlay_next(struct block *blk, uint64_t *cluster, uint8_t *buf, size_t *len, int *err);
// Another overlay for the drive, empty at first, in the making. All clusters that it has read as zeros where nothing was
// written. Nothing may be marked when it takes the old one's place.
struct block_overlay;
struct block_overlay *block_overlay_new(struct block *blk, GError **error);
void block_overlay_add(struct block_overlay *o, uint64_t cluster);
int block_overlay_write(struct block_overlay *o, uint64_t offset, const uint8_t *buf, size_t len);
void block_overlay_free(struct block_overlay *o); // NULL does nothing
void block_overlay_use(struct block *blk, struct block_overlay *o); // takes o over

#endif
