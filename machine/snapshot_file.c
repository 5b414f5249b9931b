// SPDX-License-Identifier: MIT
// Snapshot files from below: see snapshot_file.h.
//
//   head (64): "FERRYSNP"  version (4)  form (4)  icount (8)  guest ns (8)  table: offset (8) length (8) hash (8)
//              hash of all this (8)
//   blocks of up to 64 pages, deflated; memory to be mapped, at multiples of MAP_ALIGN
//   table: number of blocks (4), for each pages (4), bytes as stored (4), offset (8), hash (8); then what the owner put
#define _GNU_SOURCE // mkostemp
#include "machine/snapshot_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/log.h"

#define MAGIC       "FERRYSNP"
#define VERSION     1
#define HEAD        64
#define HEAD_HASHED 56
#define BLOCK_PAGES 64
#define BLOCK       (BLOCK_PAGES * SNAP_PAGE)
#define BLOCK_BOUND (BLOCK + BLOCK / 512 + 64) // more than zlib makes of it
#define MAP_ALIGN   65536                      // pages of any host
#define TABLE_MAX   (UINT64_C(1) << 32)
#define LEVEL       1 // of compression: the next ones save little of memory and take long

struct block {
    uint32_t pages, stored;
    uint64_t offset, hash;
};

// --- Writing ---

struct known {
    uint64_t hash;
    const uint8_t *page;
    uint32_t number;
};

struct snap_writer {
    int fd;
    char *file, *temp;
    uint64_t end; // of the file so far
    GArray *blocks;
    uint8_t *block; // in the making
    unsigned in_block;
    GHashTable *known; // pages that stay, by hash: struct known
    GByteArray *table;
    GError *error;
};

static void fail_to_write(struct snap_writer *w)
{
    if (!w->error)
        g_set_error(&w->error, FERRY_ERROR, FERRY_ERROR_FILE, "cannot write %s: %s", w->file,
                    g_strerror(errno));
}

struct snap_writer *snap_create(const char *file, GError **error)
{
    struct snap_writer *w = g_new0(struct snap_writer, 1);
    w->file = g_strdup(file);
    w->temp = g_strconcat(file, ".XXXXXX", NULL);
    w->fd = g_mkstemp_full(w->temp, O_RDWR | O_CLOEXEC, 0666);
    w->end = HEAD;
    w->blocks = g_array_new(FALSE, FALSE, sizeof(struct block));
    w->block = g_malloc(BLOCK);
    w->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    w->table = g_byte_array_new();
    if (w->fd >= 0)
        return w;
    fail_to_write(w);
    g_propagate_error(error, g_steal_pointer(&w->error));
    snap_abandon(w);
    return NULL;
}

static void free_writer(struct snap_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    g_array_free(w->blocks, TRUE);
    g_free(w->block);
    g_hash_table_unref(w->known);
    g_byte_array_unref(w->table);
    g_clear_error(&w->error);
    g_free(w->file);
    g_free(w->temp);
    g_free(w);
}

void snap_abandon(struct snap_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        unlink(w->temp);
    free_writer(w);
}

void snap_write_at(struct snap_writer *w, uint64_t offset, const uint8_t *data, size_t len)
{
    while (len && !w->error) {
        ssize_t n = pwrite(w->fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : ENOSPC;
            fail_to_write(w);
            return;
        }
        data += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
}

static void append(struct snap_writer *w, const uint8_t *data, size_t len)
{
    snap_write_at(w, w->end, data, len);
    w->end += len;
}

static void end_block(struct snap_writer *w)
{
    struct block b = {.pages = w->in_block, .offset = w->end};
    uint8_t *out = g_malloc(BLOCK_BOUND);
    uLongf size = BLOCK_BOUND;
    int status = compress2(out, &size, w->block, (uLong)w->in_block * SNAP_PAGE, LEVEL);
    assert(status == Z_OK);
    b.stored = (uint32_t)size;
    b.hash = hash_bytes(out, size, w->blocks->len);
    append(w, out, size);
    g_array_append_val(w->blocks, b);
    w->in_block = 0;
    g_free(out);
}

static uint32_t add_page(struct snap_writer *w, const uint8_t *page)
{
    uint32_t number = w->blocks->len * BLOCK_PAGES + w->in_block;
    memcpy(w->block + w->in_block * SNAP_PAGE, page, SNAP_PAGE);
    if (++w->in_block == BLOCK_PAGES)
        end_block(w);
    return number;
}

uint32_t snap_put_page(struct snap_writer *w, const uint8_t *page, uint64_t hash, bool stays)
{
    const struct known *k = g_hash_table_lookup(w->known, &hash);
    if (k && !memcmp(k->page, page, SNAP_PAGE))
        return k->number;
    uint32_t number = add_page(w, page);
    if (stays && !k) {
        struct known *new = g_new(struct known, 1);
        *new = (struct known){hash, page, number};
        g_hash_table_insert(w->known, &new->hash, new);
    }
    return number;
}

uint64_t snap_reserve(struct snap_writer *w, uint64_t bytes)
{
    uint64_t offset = align_up(w->end, MAP_ALIGN);
    w->end = align_up(offset + bytes, MAP_ALIGN);
    if (ftruncate(w->fd, (off_t)w->end) < 0)
        fail_to_write(w);
    return offset;
}

void snap_put(struct snap_writer *w, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    g_byte_array_append(w->table, bytes, size);
}

void snap_put_bytes(struct snap_writer *w, const void *data, uint32_t len)
{
    snap_put(w, 4, len);
    g_byte_array_append(w->table, data, len);
}

void snap_put_string(struct snap_writer *w, const char *text)
{
    snap_put_bytes(w, text, (uint32_t)strlen(text));
}

static void add_number(GByteArray *out, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    g_byte_array_append(out, bytes, size);
}

static GByteArray *make_table(const struct snap_writer *w)
{
    GByteArray *out = g_byte_array_new();
    add_number(out, 4, w->blocks->len);
    for (unsigned i = 0; i < w->blocks->len; i++) {
        const struct block *b = &g_array_index(w->blocks, struct block, i);
        add_number(out, 4, b->pages);
        add_number(out, 4, b->stored);
        add_number(out, 8, b->offset);
        add_number(out, 8, b->hash);
    }
    g_byte_array_append(out, w->table->data, w->table->len);
    return out;
}

static void write_head(struct snap_writer *w, enum snapshot_form form, icount_t icount,
                       uint64_t guest_ns, const GByteArray *table)
{
    uint8_t head[HEAD];
    memcpy(head, MAGIC, 8);
    store_le(head + 8, 4, VERSION);
    store_le(head + 12, 4, form);
    store_le(head + 16, 8, icount);
    store_le(head + 24, 8, guest_ns);
    store_le(head + 32, 8, w->end);
    store_le(head + 40, 8, table->len);
    store_le(head + 48, 8, hash_bytes(table->data, table->len, 0));
    store_le(head + HEAD_HASHED, 8, hash_bytes(head, HEAD_HASHED, 0));
    snap_write_at(w, 0, head, HEAD);
    append(w, table->data, table->len);
}

// A name is durable once its folder is.
static void sync_folder(const char *file)
{
    g_autofree char *dir = g_path_get_dirname(file);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fsync(fd) < 0)
        log_unimp("%s: %s\n", dir, g_strerror(errno)); // not all file systems can
    close(fd);
}

bool snap_finish(struct snap_writer *w, enum snapshot_form form, icount_t icount, uint64_t guest_ns,
                 GError **error)
{
    if (w->in_block)
        end_block(w);
    g_autoptr(GByteArray) table = make_table(w);
    write_head(w, form, icount, guest_ns, table);
    if (!w->error && (fsync(w->fd) < 0 || rename(w->temp, w->file) < 0))
        fail_to_write(w);
    if (w->error) {
        g_propagate_error(error, g_steal_pointer(&w->error));
        snap_abandon(w);
        return false;
    }
    sync_folder(w->file);
    free_writer(w);
    return true;
}

// --- Reading ---

struct snap_reader {
    int fd;
    char *file;
    uint64_t size; // of the file
    uint64_t table_at, table_len, table_hash;
    uint8_t *table;
    const uint8_t *at, *end; // the cursor in it
    bool short_of;           // bytes
    GArray *blocks;
};

int snap_fd(const struct snap_reader *r)
{
    return r->fd;
}

bool snap_damaged(const struct snap_reader *r, GError **error)
{
    if (error && !*error)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "%s is damaged", r->file);
    return false;
}

static bool read_at(const struct snap_reader *r, uint64_t at, void *buf, size_t len)
{
    uint8_t *to = buf;
    while (len) {
        ssize_t n = pread(r->fd, to, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static bool refuse(const struct snap_reader *r, const char *why, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "%s %s", r->file, why);
    return false;
}

static bool read_head(struct snap_reader *r, struct snap_head *out, GError **error)
{
    uint8_t head[HEAD];
    if (!read_at(r, 0, head, 8) || memcmp(head, MAGIC, 8))
        return refuse(r, "is no snapshot of a machine", error);
    if (!read_at(r, 0, head, HEAD))
        return snap_damaged(r, error);
    if (load_le(head + 8, 4) != VERSION)
        return refuse(r, "was saved by another version of Ferry", error);
    if (hash_bytes(head, HEAD_HASHED, 0) != load_le(head + HEAD_HASHED, 8))
        return snap_damaged(r, error);
    *out = (struct snap_head){(enum snapshot_form)load_le(head + 12, 4), load_le(head + 16, 8),
                              load_le(head + 24, 8), load_le(head + HEAD_HASHED, 8)};
    r->table_at = load_le(head + 32, 8);
    r->table_len = load_le(head + 40, 8);
    r->table_hash = load_le(head + 48, 8);
    if (r->table_len > TABLE_MAX || r->table_at > r->size || r->table_len > r->size - r->table_at)
        return refuse(r, "is cut off", error);
    return out->form <= SNAPSHOT_MAPPED || snap_damaged(r, error);
}

struct snap_reader *snap_open(const char *file, struct snap_head *head, GError **error)
{
    struct stat st;
    struct snap_reader *r = g_new0(struct snap_reader, 1);
    r->file = g_strdup(file);
    r->blocks = g_array_new(FALSE, FALSE, sizeof(struct block));
    r->fd = open(file, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st) < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "cannot open %s: %s", file,
                    g_strerror(errno));
        snap_close(r);
        return NULL;
    }
    r->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (!read_head(r, head, error)) {
        snap_close(r);
        return NULL;
    }
    return r;
}

void snap_close(struct snap_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    g_array_free(r->blocks, TRUE);
    g_free(r->table);
    g_free(r->file);
    g_free(r);
}

// --- The table ---

uint64_t snap_take(struct snap_reader *r, unsigned size)
{
    if ((size_t)(r->end - r->at) < size) {
        r->short_of = true;
        return 0;
    }
    uint64_t value = load_le(r->at, size);
    r->at += size;
    return value;
}

const uint8_t *snap_take_bytes(struct snap_reader *r, uint32_t *len)
{
    *len = (uint32_t)snap_take(r, 4);
    if ((size_t)(r->end - r->at) < *len) {
        r->short_of = true;
        *len = 0;
    }
    const uint8_t *bytes = r->at;
    r->at += *len;
    return bytes;
}

char *snap_take_string(struct snap_reader *r)
{
    uint32_t len;
    const uint8_t *bytes = snap_take_bytes(r, &len);
    return g_strndup((const char *)bytes, len);
}

bool snap_table_ok(struct snap_reader *r, GError **error)
{
    return !r->short_of || snap_damaged(r, error);
}

static bool block_ok(const struct snap_reader *r, const struct block *b)
{
    return b->pages && b->pages <= BLOCK_PAGES && b->stored && b->stored <= BLOCK_BOUND &&
           b->offset <= r->size && b->stored <= r->size - b->offset;
}

// All blocks but the last are full.
static bool take_blocks(struct snap_reader *r)
{
    uint64_t n = snap_take(r, 4);
    for (uint64_t i = 0; i < n && !r->short_of; i++) {
        struct block b = {.pages = (uint32_t)snap_take(r, 4), .stored = (uint32_t)snap_take(r, 4)};
        b.offset = snap_take(r, 8);
        b.hash = snap_take(r, 8);
        if (!block_ok(r, &b) || (i + 1 < n && b.pages != BLOCK_PAGES))
            return false;
        g_array_append_val(r->blocks, b);
    }
    return !r->short_of;
}

bool snap_read_table(struct snap_reader *r, GError **error)
{
    r->table = g_try_malloc(r->table_len + 1);
    if (!r->table || !read_at(r, r->table_at, r->table, r->table_len) ||
        hash_bytes(r->table, r->table_len, 0) != r->table_hash)
        return snap_damaged(r, error);
    r->at = r->table;
    r->end = r->table + r->table_len;
    return take_blocks(r) || snap_damaged(r, error);
}

// --- The pool ---

static bool read_block(const struct snap_reader *r, unsigned i, uint8_t *stored, uint8_t *pages)
{
    const struct block *b = &g_array_index(r->blocks, struct block, i);
    uLongf size = b->pages * SNAP_PAGE;
    return read_at(r, b->offset, stored, b->stored) &&
           hash_bytes(stored, b->stored, i) == b->hash &&
           uncompress(pages, &size, stored, b->stored) == Z_OK && size == b->pages * SNAP_PAGE;
}

static int compare_wanted(const void *a, const void *b)
{
    uint32_t x = ((const struct snap_wanted *)a)->page, y = ((const struct snap_wanted *)b)->page;
    return (x > y) - (x < y);
}

// What is wanted from the n-th one on, as long as it is of one block. Returns the next, or 0 after a failure.
static unsigned use_block(struct snap_reader *r, const GArray *wanted, unsigned n, uint8_t *buf,
                          snap_use *use, void *opaque, GError **error)
{
    unsigned i = g_array_index(wanted, struct snap_wanted, n).page / BLOCK_PAGES;
    if (i >= r->blocks->len || !read_block(r, i, buf, buf + BLOCK_BOUND)) {
        snap_damaged(r, error);
        return 0;
    }
    unsigned pages = g_array_index(r->blocks, struct block, i).pages;
    for (; n < wanted->len; n++) {
        const struct snap_wanted *x = &g_array_index(wanted, struct snap_wanted, n);
        unsigned within = x->page % BLOCK_PAGES;
        if (x->page / BLOCK_PAGES != i)
            break;
        if (within >= pages) {
            snap_damaged(r, error);
            return 0;
        }
        if (!use(opaque, x, buf + BLOCK_BOUND + within * SNAP_PAGE, error))
            return 0;
    }
    return n;
}

bool snap_read_pages(struct snap_reader *r, GArray *wanted, snap_use *use, void *opaque,
                     GError **error)
{
    g_autofree uint8_t *buf = g_malloc(BLOCK_BOUND + BLOCK);
    unsigned n = 0;
    g_array_sort(wanted, compare_wanted);
    while (n < wanted->len)
        if (!(n = use_block(r, wanted, n, buf, use, opaque, error)))
            return false;
    return true;
}
