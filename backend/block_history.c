// SPDX-License-Identifier: MIT
// What a drive's contents were at some moments (marks), kept as what was overwritten since.
//
// Each mark has a table: for each cluster that differs from the present, or may, where its old contents are. These
// are slots of one cluster in a temporary file, shared by marks and counted. Before a cluster changes for the first time
// since the last mark, its contents go to a slot that all marks get which have none yet; `kept` says for which
// clusters that was done.
//
// While a mark is looked at, what is written goes to slots of its own (`scratch`), so the present stays.
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backend/block_impl.h"
#include "base/log.h"

struct block_mark {
    GHashTable *old; // cluster -> slot
    // Of the log, as of then.
    uint8_t *seen;
    uint64_t requests;
};

struct block_history {
    int fd;                     // of slots
    GArray *refs;               // of unsigned: users of each slot
    GArray *unused;             // of unsigned: slots without users
    GPtrArray *marks;           // of struct block_mark, in no order
    uint8_t *kept;              // a bit per cluster
    struct block_mark *view;    // looked at; NULL: the present
    GHashTable *scratch;        // cluster -> slot
    struct block_mark *present; // while viewing: of the log alone, old is NULL
};

static uint64_t *new_key(uint64_t cluster)
{
    return g_memdup2(&cluster, sizeof(cluster));
}

static GHashTable *new_table(void)
{
    return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

// --- Slots ---

static unsigned *refs_of(struct block_history *h, unsigned slot)
{
    return &g_array_index(h->refs, unsigned, slot);
}

static void unref(struct block_history *h, unsigned slot)
{
    assert(*refs_of(h, slot));
    if (--*refs_of(h, slot) == 0)
        g_array_append_val(h->unused, slot);
}

static unsigned take_slot(struct block_history *h)
{
    unsigned slot = h->refs->len, one = 1;
    if (h->unused->len) {
        slot = g_array_index(h->unused, unsigned, h->unused->len - 1);
        g_array_set_size(h->unused, h->unused->len - 1);
        *refs_of(h, slot) = 1;
    } else {
        g_array_append_val(h->refs, one);
    }
    return slot;
}

static uint64_t slot_at(unsigned slot, uint64_t within)
{
    return ((uint64_t)slot << CLUSTER_BITS) + within;
}

// A slot with these contents and one user.
static int make_slot(struct block_history *h, const uint8_t *buf, size_t len, unsigned *slot)
{
    *slot = take_slot(h);
    int err = file_write(h->fd, slot_at(*slot, 0), buf, len);
    if (err)
        unref(h, *slot);
    return err;
}

// --- Tables ---

static bool look_up(GHashTable *table, uint64_t cluster, unsigned *slot)
{
    void *value;
    if (!g_hash_table_lookup_extended(table, &cluster, NULL, &value))
        return false;
    *slot = GPOINTER_TO_UINT(value);
    return true;
}

// The table takes over one use of the slot.
static void put(struct block_history *h, GHashTable *table, uint64_t cluster, unsigned slot)
{
    unsigned before;
    if (look_up(table, cluster, &before))
        unref(h, before);
    g_hash_table_replace(table, new_key(cluster), GUINT_TO_POINTER(slot));
}

static void put_shared(struct block_history *h, GHashTable *table, uint64_t cluster, unsigned slot)
{
    ++*refs_of(h, slot);
    put(h, table, cluster, slot);
}

static void clear_table(struct block_history *h, GHashTable *table)
{
    GHashTableIter it;
    void *value;
    g_hash_table_iter_init(&it, table);
    while (g_hash_table_iter_next(&it, NULL, &value))
        unref(h, GPOINTER_TO_UINT(value));
    g_hash_table_remove_all(table);
}

static void copy_table(struct block_history *h, GHashTable *from, GHashTable *to)
{
    GHashTableIter it;
    void *key, *value;
    g_hash_table_iter_init(&it, from);
    while (g_hash_table_iter_next(&it, &key, &value))
        put_shared(h, to, *(uint64_t *)key, GPOINTER_TO_UINT(value));
}

// --- Marks ---

static struct block_mark *new_mark(bool with_table)
{
    struct block_mark *mark = g_new0(struct block_mark, 1);
    mark->old = with_table ? new_table() : NULL;
    return mark;
}

static void free_mark(struct block_history *h, struct block_mark *mark)
{
    if (!mark)
        return;
    if (mark->old) {
        clear_table(h, mark->old);
        g_hash_table_unref(mark->old);
    }
    g_free(mark->seen);
    g_free(mark);
}

static void save_log(const struct block *blk, struct block_mark *mark)
{
    mark->requests = blk->requests;
    mark->seen = blk->seen ? g_memdup2(blk->seen, block_clusters(blk) / 8 + 1) : NULL;
}

static void restore_log(struct block *blk, const struct block_mark *mark)
{
    g_free(blk->seen);
    blk->seen = mark->seen ? g_memdup2(mark->seen, block_clusters(blk) / 8 + 1) : NULL;
    blk->requests = mark->requests;
}

static bool start_history(struct block *blk, GError **error)
{
    if (blk->history)
        return true;
    int fd = block_open_temporary("going back in time", error);
    if (fd < 0)
        return false;
    struct block_history *h = g_new0(struct block_history, 1);
    h->fd = fd;
    h->refs = g_array_new(FALSE, FALSE, sizeof(unsigned));
    h->unused = g_array_new(FALSE, FALSE, sizeof(unsigned));
    h->marks = g_ptr_array_new();
    h->scratch = new_table();
    h->kept = g_malloc0(block_clusters(blk) / 8 + 1);
    blk->history = h;
    return true;
}

void history_free(struct block *blk)
{
    struct block_history *h = blk->history;
    if (!h)
        return;
    for (unsigned i = 0; i < h->marks->len; i++)
        free_mark(h, h->marks->pdata[i]);
    free_mark(h, h->present);
    g_hash_table_unref(h->scratch);
    g_ptr_array_free(h->marks, TRUE);
    g_array_free(h->refs, TRUE);
    g_array_free(h->unused, TRUE);
    g_free(h->kept);
    close(h->fd);
    g_free(h);
    blk->history = NULL;
}

struct block_mark *block_mark(struct block *blk, GError **error)
{
    if (!start_history(blk, error))
        return NULL;
    struct block_history *h = blk->history;
    struct block_mark *mark = new_mark(true);
    if (h->view) {
        copy_table(h, h->view->old, mark->old);
        copy_table(h, h->scratch, mark->old);
    }
    save_log(blk, mark);
    g_ptr_array_add(h->marks, mark);
    memset(h->kept, 0, block_clusters(blk) / 8 + 1);
    return mark;
}

void block_unmark(struct block *blk, struct block_mark *mark)
{
    struct block_history *h = blk->history;
    if (!mark)
        return;
    assert(mark != h->view);
    g_ptr_array_remove_fast(h->marks, mark);
    free_mark(h, mark);
}

uint64_t block_history_bytes(const struct block *blk)
{
    const struct block_history *h = blk->history;
    return h ? (uint64_t)(h->refs->len - h->unused->len) << CLUSTER_BITS : 0;
}

// --- Before the present changes ---

static int keep_cluster(struct block *blk, uint64_t cluster)
{
    struct block_history *h = blk->history;
    size_t len = block_cluster_size(blk, cluster);
    unsigned slot;
    uint8_t *buf = g_malloc(len);
    int err = store_read(blk, cluster << CLUSTER_BITS, buf, len);
    if (!err)
        err = make_slot(h, buf, len, &slot);
    g_free(buf);
    if (err)
        return err;
    for (unsigned i = 0; i < h->marks->len; i++) {
        struct block_mark *mark = h->marks->pdata[i];
        unsigned there;
        if (!look_up(mark->old, cluster, &there))
            put_shared(h, mark->old, cluster, slot);
    }
    unref(h, slot);
    bitmap_set(h->kept, cluster, true);
    return 0;
}

int history_before(struct block *blk, uint64_t offset, uint64_t len)
{
    struct block_history *h = blk->history;
    int err = 0;
    if (!h || !h->marks->len || !len)
        return 0;
    for (uint64_t c = offset >> CLUSTER_BITS; !err && c <= (offset + len - 1) >> CLUSTER_BITS; c++)
        if (!bitmap_has(h->kept, c))
            err = keep_cluster(blk, c);
    return err;
}

bool history_has_marks(const struct block *blk)
{
    return blk->history && blk->history->marks->len;
}

// --- Looking at a mark ---

bool history_is_viewing(const struct block *blk)
{
    return blk->history && blk->history->view;
}

void block_view(struct block *blk, struct block_mark *mark)
{
    struct block_history *h = blk->history;
    if (!h)
        return;
    if (mark && !h->view) {
        h->present = new_mark(false);
        save_log(blk, h->present);
    }
    clear_table(h, h->scratch);
    if (mark || h->present)
        restore_log(blk, mark ? mark : h->present);
    if (!mark) {
        free_mark(h, h->present);
        h->present = NULL;
    }
    h->view = mark;
}

// One piece within a cluster.
static int view_read(struct block *blk, uint64_t offset, uint8_t *buf, size_t len)
{
    struct block_history *h = blk->history;
    uint64_t cluster = offset >> CLUSTER_BITS;
    unsigned slot;
    if (look_up(h->scratch, cluster, &slot) || look_up(h->view->old, cluster, &slot))
        return file_read(h->fd, slot_at(slot, offset % CLUSTER), buf, len);
    return store_read(blk, offset, buf, len);
}

// buf NULL: zeros.
static int view_write(struct block *blk, uint64_t offset, const uint8_t *buf, size_t len)
{
    struct block_history *h = blk->history;
    uint64_t cluster = offset >> CLUSTER_BITS, start = cluster << CLUSTER_BITS;
    size_t whole = block_cluster_size(blk, cluster);
    unsigned slot;
    uint8_t *copy = g_malloc(whole);
    int err = view_read(blk, start, copy, whole);
    if (buf)
        memcpy(copy + (offset - start), buf, len);
    else
        memset(copy + (offset - start), 0, len);
    if (!err)
        err = make_slot(h, copy, whole, &slot);
    if (!err)
        put(h, h->scratch, cluster, slot);
    g_free(copy);
    return err;
}

static size_t piece(uint64_t offset, uint64_t len)
{
    return MIN(len, CLUSTER - offset % CLUSTER);
}

int history_read(struct block *blk, uint64_t offset, uint8_t *buf, size_t len)
{
    int err = 0;
    for (size_t n; len && !err; offset += n, buf += n, len -= n) {
        n = piece(offset, len);
        err = view_read(blk, offset, buf, n);
    }
    return err;
}

int history_write(struct block *blk, uint64_t offset, const uint8_t *buf, size_t len)
{
    int err = 0;
    for (size_t n; len && !err; offset += n, buf += n, len -= n) {
        n = piece(offset, len);
        err = view_write(blk, offset, buf, n);
    }
    return err;
}

int history_zero(struct block *blk, uint64_t offset, uint64_t len)
{
    int err = 0;
    for (size_t n; len && !err; offset += n, len -= n) {
        n = piece(offset, len);
        err = view_write(blk, offset, NULL, n);
    }
    return err;
}

// --- Making it the present ---

static int adopt_cluster(struct block *blk, uint64_t cluster, unsigned slot)
{
    size_t len = block_cluster_size(blk, cluster);
    uint8_t *buf = g_malloc(len);
    int err = file_read(blk->history->fd, slot_at(slot, 0), buf, len);
    if (!err)
        err = history_before(blk, cluster << CLUSTER_BITS, len);
    if (!err)
        err = store_write(blk, cluster << CLUSTER_BITS, buf, len);
    g_free(buf);
    return err;
}

static int adopt_table(struct block *blk, GHashTable *table, GHashTable *but)
{
    GHashTableIter it;
    void *key, *value;
    int err = 0;
    unsigned slot;
    g_hash_table_iter_init(&it, table);
    while (!err && g_hash_table_iter_next(&it, &key, &value))
        if (!but || !look_up(but, *(uint64_t *)key, &slot))
            err = adopt_cluster(blk, *(uint64_t *)key, GPOINTER_TO_UINT(value));
    return err;
}

// The mark itself keeps its table: it still is what it was, and may be looked at again.
int block_adopt(struct block *blk)
{
    struct block_history *h = blk->history;
    int err = 0;
    if (!h || !h->view)
        return 0;
    blk->has_hash &= blk->in_overlay != NULL;
    err = adopt_table(blk, h->view->old, h->scratch);
    if (!err)
        err = adopt_table(blk, h->scratch, NULL);
    clear_table(h, h->scratch);
    free_mark(h, h->present);
    h->present = NULL;
    h->view = NULL;
    return err;
}
