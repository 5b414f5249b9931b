// SPDX-License-Identifier: MIT
// A journal: a sequence of bytes that is appended to and read again, in memory or in a file.
//
// A file is a head (a text of the owner's) and chunks, each compressed and with a hash of its own. It is written chunk
// by chunk; what was flushed can be read whatever becomes of the process later. A file that breaks off, in the middle
// of a chunk even, ends with the last whole one.
#ifndef BASE_JOURNAL_H
#define BASE_JOURNAL_H

#include <glib.h>

#include "base/types.h"

struct journal;

struct journal *journal_new(void); // in memory
// A new file, or an old one is replaced. Nothing is written before the head is set.
struct journal *journal_create(const char *file, GError **error);
void journal_set_head(struct journal *j, const char *head);
// A file to be read: nothing can be appended.
struct journal *journal_open(const char *file, GError **error);
const char *journal_head(const struct journal *j); // NULL: none yet
// What does not fit into the file any more is lost silently: ask journal_error.
void journal_free(struct journal *j); // flushes

void journal_append(struct journal *j, const void *data, size_t len);
// Writes what a file does not have yet. The first failure is kept: nothing more is written then.
void journal_flush(struct journal *j);
const GError *journal_error(const struct journal *j); // of writing; or of reading a damaged chunk

// In a copy of the process (fork): the file is the original's, and nothing is written to it from here.
void journal_forked(struct journal *j);

// Offsets count the bytes appended, from 0.
uint64_t journal_end(const struct journal *j);
// Copies up to len bytes from offset on; returns how many there are.
size_t journal_read(struct journal *j, uint64_t offset, void *buf, size_t len);
// What lies before the offset won't be read again (in memory only: a file keeps all).
void journal_forget(struct journal *j, uint64_t before);
// What lies behind it never was.
void journal_truncate(struct journal *j, uint64_t end);
// Bytes of memory in use.
uint64_t journal_memory(const struct journal *j);

#endif
