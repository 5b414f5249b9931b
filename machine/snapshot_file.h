// SPDX-License-Identifier: MIT
// The file of a snapshot, from below: a head, a pool of pages (packed in blocks), memory as it lies (if it is to be
// mapped), and the table of contents, which is a sequence of numbers and strings. machine/snapshot.c knows what they
// mean; docs/snapshots.md has the whole form. All numbers are little-endian.
#ifndef MACHINE_SNAPSHOT_FILE_H
#define MACHINE_SNAPSHOT_FILE_H

#include "machine/snapshot.h"

#define SNAP_PAGE 4096 // bytes, whatever the host's pages are

// --- Writing ---

struct snap_writer;

// The file gets its name when it is finished; until then there is a temporary one beside it.
struct snap_writer *snap_create(const char *file, GError **error);
// Adds a page to the pool, or finds it there; returns its number. `stays`: the bytes will not change or move before the
// end, so that later pages can be compared with them.
uint32_t snap_put_page(struct snap_writer *w, const uint8_t *page, uint64_t hash, bool stays);
// A stretch of bytes for memory that is mapped, zeros so far; returns its offset in the file. Then parts of it.
uint64_t snap_reserve(struct snap_writer *w, uint64_t bytes);
void snap_write_at(struct snap_writer *w, uint64_t offset, const uint8_t *data, size_t len);
// The table of contents.
void snap_put(struct snap_writer *w, unsigned size, uint64_t value);
void snap_put_bytes(struct snap_writer *w, const void *data, uint32_t len);
void snap_put_string(struct snap_writer *w, const char *text);

// Errors of all of the above come out here. Frees w in any case; on failure the old file is as it was.
bool snap_finish(struct snap_writer *w, enum snapshot_form form, icount_t icount, uint64_t guest_ns,
                 GError **error);
void snap_abandon(struct snap_writer *w);

// --- Reading ---

struct snap_reader;

struct snap_head {
    enum snapshot_form form;
    icount_t icount;
    uint64_t guest_ns;
    uint64_t id; // differs between files of different contents
};

// Checks the head.
struct snap_reader *snap_open(const char *file, struct snap_head *head, GError **error);
void snap_close(struct snap_reader *r); // NULL does nothing
int snap_fd(const struct snap_reader *r);
// Reads and checks the table of contents.
bool snap_read_table(struct snap_reader *r, GError **error);
// Its numbers and strings in order. What is not there reads as zeros, and is an error of snap_table_ok.
uint64_t snap_take(struct snap_reader *r, unsigned size);
const uint8_t *snap_take_bytes(struct snap_reader *r, uint32_t *len);
char *snap_take_string(struct snap_reader *r); // newly allocated
// Whether all was there so far. `what` is said of the file otherwise.
bool snap_table_ok(struct snap_reader *r, GError **error);
// The same error for whoever finds nonsense in the table.
bool snap_damaged(const struct snap_reader *r, GError **error);

// Pages of the pool, in any number, by number: each is given to `use`, in order of the numbers. FALSE: the pool is
// damaged, or a number is none of a page; or `use` returned false, having set the error.
struct snap_wanted {
    uint32_t page;
    uint32_t kind; // free for the caller, as the following
    uint64_t at;
};
typedef bool snap_use(void *opaque, const struct snap_wanted *wanted, const uint8_t *page,
                      GError **error);
bool snap_read_pages(struct snap_reader *r, GArray *wanted, snap_use *use, void *opaque,
                     GError **error);

#endif
