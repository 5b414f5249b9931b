// SPDX-License-Identifier: MIT
// Journals. The file, all numbers little-endian:
//
//   "FERRYLOG"  version (4)  length of the head (4)  the head  hash of all this (8)
//   then chunks: bytes (4)  bytes as stored (4)  hash (8)  what is stored, by zlib unless it has all its bytes
//
// A chunk's hash is seeded with its place, so that chunks can't change places. All chunks but the last are full.
#include "base/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/state.h"

#define MAGIC      "FERRYLOG"
#define VERSION    1
#define CHUNK      (64u << 10)
#define HEAD_FIXED 16 // magic, version, length
#define HEAD_MAX   (1u << 20)
#define CHUNK_HEAD 16
#define STORED_MAX (CHUNK + CHUNK / 8 + 64)
#define RECENT     4 // chunks of a file kept unpacked

struct chunk {
    uint8_t *data; // NULL: in the file only
    uint32_t len;  // bytes; CHUNK unless it is the last
    uint32_t stored;
    uint64_t at; // its place in the file; 0: not there (yet)
};

struct journal {
    int fd; // -1: in memory
    bool reading;
    char *file;
    char *head;
    GArray *chunks;          // of struct chunk
    uint64_t forgotten;      // leading chunks whose data is gone
    uint64_t written;        // leading chunks that are full and in the file
    uint64_t file_end;       // where the next chunk goes
    unsigned recent[RECENT]; // chunks of the file that have data, by turns; + 1
    unsigned next_recent;
    GError *error;
};

static struct chunk *chunk_at(const struct journal *j, uint64_t i)
{
    return &g_array_index(j->chunks, struct chunk, i);
}

static void chunk_clear(void *c)
{
    g_free(((struct chunk *)c)->data);
}

static struct journal *make(int fd, const char *file)
{
    struct journal *j = g_new0(struct journal, 1);
    j->fd = fd;
    j->file = g_strdup(file);
    j->chunks = g_array_new(FALSE, TRUE, sizeof(struct chunk));
    g_array_set_clear_func(j->chunks, chunk_clear);
    return j;
}

struct journal *journal_new(void)
{
    return make(-1, NULL);
}

static void fail(struct journal *j, const char *why)
{
    if (!j->error)
        g_set_error(&j->error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: %s", j->file, why);
}

const GError *journal_error(const struct journal *j)
{
    return j->error;
}

const char *journal_head(const struct journal *j)
{
    return j->head;
}

// --- Bytes of the file ---

static bool write_at(struct journal *j, uint64_t at, const uint8_t *data, size_t len)
{
    while (len && !j->error) {
        ssize_t n = pwrite(j->fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fail(j, g_strerror(n < 0 ? errno : ENOSPC));
            break;
        }
        data += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return !j->error;
}

// FALSE: the file does not have them all.
static bool read_at(const struct journal *j, uint64_t at, uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = pread(j->fd, data, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

// --- The head ---

struct journal *journal_create(const char *file, GError **error)
{
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "cannot write %s: %s", file,
                    g_strerror(errno));
        return NULL;
    }
    return make(fd, file);
}

void journal_set_head(struct journal *j, const char *head)
{
    size_t len = strlen(head);
    assert(!j->head && !j->reading && len <= HEAD_MAX);
    j->head = g_strdup(head);
    if (j->fd < 0)
        return;
    g_autofree uint8_t *bytes = g_malloc(HEAD_FIXED + len + 8);
    memcpy(bytes, MAGIC, 8);
    store_le(bytes + 8, 4, VERSION);
    store_le(bytes + 12, 4, len);
    memcpy(bytes + HEAD_FIXED, head, len);
    store_le(bytes + HEAD_FIXED + len, 8, hash_bytes(bytes, HEAD_FIXED + len, 0));
    j->file_end = HEAD_FIXED + len + 8;
    write_at(j, 0, bytes, j->file_end);
}

// What is wrong with the head, or NULL.
static const char *read_head(struct journal *j)
{
    uint8_t fixed[HEAD_FIXED];
    if (!read_at(j, 0, fixed, HEAD_FIXED) || memcmp(fixed, MAGIC, 8))
        return "is no recording";
    if (load_le(fixed + 8, 4) != VERSION)
        return "was recorded by another version of Ferry";
    uint64_t len = load_le(fixed + 12, 4);
    if (len > HEAD_MAX)
        return "is damaged at its beginning";
    g_autofree uint8_t *bytes = g_malloc(HEAD_FIXED + len + 8);
    if (!read_at(j, 0, bytes, HEAD_FIXED + len + 8) ||
        hash_bytes(bytes, HEAD_FIXED + len, 0) != load_le(bytes + HEAD_FIXED + len, 8))
        return "is damaged at its beginning";
    j->head = g_strndup((const char *)bytes + HEAD_FIXED, len);
    j->file_end = HEAD_FIXED + len + 8;
    return NULL;
}

// Finds the chunks. The last may be cut off, or anything may follow it.
static void find_chunks(struct journal *j)
{
    uint8_t head[CHUNK_HEAD], last;
    while (read_at(j, j->file_end, head, CHUNK_HEAD)) {
        struct chunk c = {.len = (uint32_t)load_le(head, 4),
                          .stored = (uint32_t)load_le(head + 4, 4),
                          .at = j->file_end};
        uint64_t end = c.at + CHUNK_HEAD + c.stored;
        if (!c.len || c.len > CHUNK || !c.stored || c.stored > STORED_MAX ||
            !read_at(j, end - 1, &last, 1))
            return;
        if (j->chunks->len && chunk_at(j, j->chunks->len - 1)->len != CHUNK)
            return;
        g_array_append_val(j->chunks, c);
        j->file_end = end;
    }
}

struct journal *journal_open(const char *file, GError **error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "cannot open %s: %s", file,
                    g_strerror(errno));
        return NULL;
    }
    struct journal *j = make(fd, file);
    j->reading = true;
    const char *wrong = read_head(j);
    if (wrong) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "%s %s", file, wrong);
        journal_free(j);
        return NULL;
    }
    find_chunks(j);
    return j;
}

// --- Chunks ---

static uint64_t chunk_hash(uint64_t at, uint32_t len, const uint8_t *stored, uint32_t size)
{
    return hash_bytes(stored, size, at ^ (uint64_t)len << 40);
}

// At the end of the file. What was there of an earlier form of the chunk goes.
static void write_chunk(struct journal *j, struct chunk *c)
{
    uint32_t before = c->at ? c->stored : 0;
    uint8_t *out = g_malloc(CHUNK_HEAD + STORED_MAX);
    uLongf size = STORED_MAX;
    if (compress2(out + CHUNK_HEAD, &size, c->data, c->len, 1) != Z_OK || size >= c->len) {
        size = c->len;
        memcpy(out + CHUNK_HEAD, c->data, size);
    }
    c->stored = (uint32_t)size;
    store_le(out, 4, c->len);
    store_le(out + 4, 4, c->stored);
    store_le(out + 8, 8, chunk_hash(j->file_end, c->len, out + CHUNK_HEAD, c->stored));
    if (write_at(j, j->file_end, out, CHUNK_HEAD + size))
        c->at = j->file_end;
    if (c->stored < before && ftruncate(j->fd, (off_t)(j->file_end + CHUNK_HEAD + size)) < 0)
        fail(j, g_strerror(errno));
    g_free(out);
}

// A chunk that is full is final; one that is not is written again later, in the same place.
void journal_flush(struct journal *j)
{
    if (j->fd < 0 || j->reading || !j->head)
        return;
    for (; j->written < j->chunks->len && !j->error; j->written++) {
        struct chunk *c = chunk_at(j, j->written);
        write_chunk(j, c);
        if (c->len < CHUNK || j->error)
            return;
        j->file_end += CHUNK_HEAD + c->stored;
        g_free(g_steal_pointer(&c->data));
    }
}

static const char *unpack(const struct journal *j, struct chunk *c)
{
    g_autofree uint8_t *in = g_malloc(CHUNK_HEAD + c->stored);
    uint8_t *out;
    uLongf size = c->len;
    if (!read_at(j, c->at, in, CHUNK_HEAD + c->stored) ||
        load_le(in + 8, 8) != chunk_hash(c->at, c->len, in + CHUNK_HEAD, c->stored))
        return "a part of it is damaged";
    out = g_malloc(c->len);
    if (c->stored == c->len) {
        memcpy(out, in + CHUNK_HEAD, c->len);
    } else if (uncompress(out, &size, in + CHUNK_HEAD, c->stored) != Z_OK || size != c->len) {
        g_free(out);
        return "a part of it is damaged";
    }
    c->data = out;
    return NULL;
}

// The chunk's bytes, or NULL.
static const uint8_t *get_data(struct journal *j, uint64_t i)
{
    struct chunk *c = chunk_at(j, i);
    if (c->data || !c->at)
        return c->data;
    const char *wrong = unpack(j, c);
    if (wrong) {
        fail(j, wrong);
        return NULL;
    }
    unsigned *slot = &j->recent[j->next_recent++ % RECENT];
    if (*slot)
        g_free(g_steal_pointer(&chunk_at(j, *slot - 1)->data));
    *slot = (unsigned)i + 1;
    return c->data;
}

// --- The sequence ---

uint64_t journal_end(const struct journal *j)
{
    uint64_t n = j->chunks->len;
    return n ? (n - 1) * CHUNK + chunk_at(j, n - 1)->len : 0;
}

static struct chunk *open_chunk(struct journal *j)
{
    struct chunk *last = j->chunks->len ? chunk_at(j, j->chunks->len - 1) : NULL;
    if (last && last->len < CHUNK)
        return last;
    struct chunk c = {.data = g_malloc(CHUNK)};
    g_array_append_val(j->chunks, c);
    return chunk_at(j, j->chunks->len - 1);
}

void journal_append(struct journal *j, const void *data, size_t len)
{
    const uint8_t *from = data;
    assert(!j->reading);
    while (len) {
        struct chunk *c = open_chunk(j);
        size_t n = MIN(len, CHUNK - c->len);
        memcpy(c->data + c->len, from, n);
        c->len += (uint32_t)n;
        from += n;
        len -= n;
        if (c->len == CHUNK)
            journal_flush(j);
    }
}

size_t journal_read(struct journal *j, uint64_t offset, void *buf, size_t len)
{
    size_t done = 0;
    while (done < len && offset / CHUNK < j->chunks->len) {
        uint64_t i = offset / CHUNK;
        uint32_t from = (uint32_t)(offset % CHUNK), there = chunk_at(j, i)->len;
        const uint8_t *data = from < there ? get_data(j, i) : NULL;
        if (!data)
            break;
        size_t n = MIN(len - done, there - from);
        memcpy((uint8_t *)buf + done, data + from, n);
        done += n;
        offset += n;
    }
    return done;
}

void journal_forget(struct journal *j, uint64_t before)
{
    if (j->fd >= 0)
        return;
    for (; (j->forgotten + 1) * CHUNK <= before && j->forgotten < j->chunks->len; j->forgotten++)
        g_free(g_steal_pointer(&chunk_at(j, j->forgotten)->data));
}

static void forget_recent(struct journal *j)
{
    for (unsigned i = 0; i < RECENT; i++)
        if (j->recent[i])
            g_free(g_steal_pointer(&chunk_at(j, j->recent[i] - 1)->data));
    memset(j->recent, 0, sizeof(j->recent));
}

// The chunk in which the end lies is open again.
static void reopen(struct journal *j, uint64_t i, uint32_t len)
{
    struct chunk *c = chunk_at(j, i);
    const uint8_t *old = get_data(j, i);
    uint8_t *data = g_malloc(CHUNK);
    if (old)
        memcpy(data, old, len);
    if (c->at)
        j->file_end = c->at;
    forget_recent(j); // may have the old one
    g_free(c->data);
    *c = (struct chunk){.data = data, .len = len};
}

void journal_truncate(struct journal *j, uint64_t end)
{
    uint64_t keep = (end + CHUNK - 1) / CHUNK;
    assert(!j->reading && end <= journal_end(j));
    if (end == journal_end(j))
        return;
    forget_recent(j);
    if (keep < j->written)
        j->file_end = chunk_at(j, keep)->at;
    j->written = MIN(j->written, end / CHUNK);
    g_array_set_size(j->chunks, (guint)keep);
    if (end % CHUNK)
        reopen(j, keep - 1, (uint32_t)(end % CHUNK));
    if (j->fd >= 0 && j->head && ftruncate(j->fd, (off_t)j->file_end) < 0)
        fail(j, g_strerror(errno));
}

uint64_t journal_memory(const struct journal *j)
{
    uint64_t n = 0;
    for (unsigned i = (unsigned)j->forgotten; i < j->chunks->len; i++)
        n += sizeof(struct chunk) + (chunk_at(j, i)->data ? CHUNK : 0);
    return n;
}

void journal_forked(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    j->reading = true;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    journal_flush(j);
    if (j->fd >= 0)
        close(j->fd);
    g_array_free(j->chunks, TRUE);
    g_clear_error(&j->error);
    g_free(j->file);
    g_free(j->head);
    g_free(j);
}
