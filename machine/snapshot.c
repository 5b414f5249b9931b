// SPDX-License-Identifier: MIT
// Snapshots: what of a machine goes into the file, and back.
//
// Loading has two halves. The first reads all of the file, compares it with the machine, unpacks memory and overlays
// beside the old ones, and changes nothing. The second can't fail, but for writing to disk images in place, which
// therefore comes first and is undone if it does.
//
// The table of contents, after the pool's: the machine's description; its hash; states, each with name and shape;
// memories; drives; networks.
#define _GNU_SOURCE // SEEK_DATA
#include "machine/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev.h"
#include "backend/net.h"
#include "machine/describe.h"
#include "machine/snapshot_file.h"
#include "machine/state.h"
#include "translator/exec.h"

#define ZERO_PAGE     UINT32_MAX // in place of a number in the pool
#define CLUSTER_PAGES (BLOCK_CLUSTER / SNAP_PAGE)

_Static_assert(PAGE_SIZE == SNAP_PAGE, "memory is saved by pages of the guest");

enum drive_kind { DRIVE_READONLY, DRIVE_OVERLAY, DRIVE_IN_PLACE, DRIVE_KINDS };

// --- What a machine has ---

static struct mem_region *memory_at(const struct machine *m, unsigned n)
{
    struct mem_region *r;
    for (unsigned i = 0; (r = mem_region_at(m->mem, i)); i++)
        if (r->kind != MEM_IO && n-- == 0)
            return r;
    return NULL;
}

static unsigned count_memories(const struct machine *m)
{
    unsigned n = 0;
    while (memory_at(m, n))
        n++;
    return n;
}

// The back end of a kind that the n-th device with one has.
static void *back_end_at(const struct machine *m, enum prop_kind kind, unsigned n)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        const struct device *dev = g_ptr_array_index(m->devices, i);
        for (const struct device_prop *p = dev->cls->props; p && p->name; p++) {
            void *back_end =
                p->kind == kind ? *(void *const *)((const char *)dev + p->offset) : NULL;
            if (back_end && n-- == 0)
                return back_end;
        }
    }
    return NULL;
}

static unsigned count_back_ends(const struct machine *m, enum prop_kind kind)
{
    unsigned n = 0;
    while (back_end_at(m, kind, n))
        n++;
    return n;
}

static struct block *drive_at(const struct machine *m, unsigned n)
{
    return back_end_at(m, PROP_BLOCK, n);
}

static enum drive_kind kind_of(const struct block *blk)
{
    return block_is_in_place(blk)   ? DRIVE_IN_PLACE
           : block_is_snapshot(blk) ? DRIVE_OVERLAY
                                    : DRIVE_READONLY;
}

// --- Moments of images that are written in place ---
//
// What such an image was when a snapshot was saved is known as long as this process runs: the drive has a mark.

struct snapshot_marks {
    uint64_t id; // of the file
    char *file;
    GPtrArray *drives, *marks; // struct block, struct block_mark
};

static void marks_free(void *opaque)
{
    struct snapshot_marks *s = opaque;
    for (unsigned i = 0; i < s->drives->len; i++)
        block_unmark(s->drives->pdata[i], s->marks->pdata[i]);
    g_ptr_array_free(s->drives, TRUE);
    g_ptr_array_free(s->marks, TRUE);
    g_free(s->file);
    g_free(s);
}

static struct snapshot_marks *marks_of(const struct machine *m, uint64_t id)
{
    for (unsigned i = 0; m->snapshots && i < m->snapshots->len; i++) {
        struct snapshot_marks *s = m->snapshots->pdata[i];
        if (s->id == id)
            return s;
    }
    return NULL;
}

// Nobody will load this file any more.
void snapshot_forget_file(struct machine *m, const char *file)
{
    for (unsigned i = m->snapshots ? m->snapshots->len : 0; i-- > 0;) {
        struct snapshot_marks *s = m->snapshots->pdata[i];
        if (!strcmp(s->file, file))
            g_ptr_array_remove_index_fast(m->snapshots, i);
    }
}

static bool make_marks(struct machine *m, struct snapshot_marks *s, GError **error)
{
    struct block *blk;
    for (unsigned i = 0; (blk = drive_at(m, i)); i++) {
        struct block_mark *mark = block_is_in_place(blk) ? block_mark(blk, error) : NULL;
        if (!mark && block_is_in_place(blk))
            return false;
        if (mark) {
            g_ptr_array_add(s->drives, blk);
            g_ptr_array_add(s->marks, mark);
        }
    }
    return true;
}

static struct snapshot_marks *marks_new(struct machine *m, const char *file, GError **error)
{
    struct snapshot_marks *s = g_new0(struct snapshot_marks, 1);
    s->file = g_strdup(file);
    s->drives = g_ptr_array_new();
    s->marks = g_ptr_array_new();
    if (make_marks(m, s, error))
        return s;
    marks_free(s);
    return NULL;
}

static struct block_mark *mark_of(const struct snapshot_marks *s, const struct block *blk)
{
    for (unsigned i = 0; s && i < s->drives->len; i++)
        if (s->drives->pdata[i] == blk)
            return s->marks->pdata[i];
    return NULL;
}

void snapshot_forget(struct machine *m)
{
    if (m->snapshots)
        g_ptr_array_free(m->snapshots, TRUE);
    m->snapshots = NULL;
}

// --- Saving ---

static void save_states(const struct machine *m, struct snap_writer *w)
{
    struct machine_state s;
    unsigned n = 0;
    while (machine_state_at(m, n, &s))
        n++;
    snap_put(w, 4, n);
    for (unsigned i = 0; machine_state_at(m, i, &s); i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_autofree char *name = machine_state_name(m, i);
        state_save(s.fields, s.obj, bytes);
        snap_put_string(w, name);
        snap_put(w, 8, state_shape(s.fields));
        snap_put_bytes(w, bytes->data, bytes->len);
    }
}

// The end of the run of pages, all zeros or none of them, that begins at a page.
static uint64_t run_end(const struct mem_region *r, uint64_t page)
{
    bool zero = !r->page_hash[page];
    uint64_t end = page;
    while (end < mem_nr_pages(r) && !r->page_hash[end] == zero)
        end++;
    return end;
}

static void save_run(struct snap_writer *w, const struct mem_region *r, uint64_t page, uint64_t end,
                     uint64_t mapped_at)
{
    snap_put(w, 4, page);
    snap_put(w, 4, end - page);
    if (mapped_at)
        snap_write_at(w, mapped_at + page * SNAP_PAGE, mem_page_at(r, page),
                      (end - page) * SNAP_PAGE);
    for (; page < end; page++) {
        snap_put(w, 8, r->page_hash[page]);
        if (!mapped_at)
            snap_put(w, 4, snap_put_page(w, mem_page_at(r, page), r->page_hash[page], true));
    }
}

// Runs of pages that are not zeros, and a run of none.
static void save_memory(struct machine *m, struct snap_writer *w, const struct mem_region *r,
                        enum snapshot_form form)
{
    uint64_t n = mem_nr_pages(r), mapped_at = 0;
    mem_region_hash(m->mem, r); // renews the hashes of pages
    if (form == SNAPSHOT_MAPPED)
        mapped_at = snap_reserve(w, n * SNAP_PAGE);
    snap_put_string(w, r->name);
    snap_put(w, 8, r->base);
    snap_put(w, 8, n);
    snap_put(w, 8, mapped_at);
    for (uint64_t page = 0, end; page < n; page = end) {
        end = run_end(r, page);
        if (r->page_hash[page])
            save_run(w, r, page, end, mapped_at);
    }
    snap_put(w, 4, 0);
    snap_put(w, 4, 0);
}

static bool fail_disk(const struct block *blk, int err, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "drive %s (%s): %s", block_id(blk),
                block_file(blk), g_strerror(err));
    return false;
}

// The cluster's bytes up to its end, as pages: the last may be filled up.
static void save_cluster(struct machine *m, struct snap_writer *w, uint64_t cluster, uint8_t *buf,
                         size_t len)
{
    memset(buf + len, 0, BLOCK_CLUSTER - len);
    snap_put(w, 4, cluster);
    for (unsigned i = 0; i < CLUSTER_PAGES; i++) {
        const uint8_t *page = buf + i * SNAP_PAGE;
        uint64_t hash = mem_page_hash(m->mem, page);
        snap_put(w, 4, hash ? snap_put_page(w, page, hash, false) : ZERO_PAGE);
    }
}

// The overlay's clusters, and an end.
static bool save_overlay(struct machine *m, struct snap_writer *w, struct block *blk,
                         GError **error)
{
    g_autofree uint8_t *buf = g_malloc(BLOCK_CLUSTER);
    size_t len;
    int err = 0;
    for (uint64_t c = 0; block_overlay_next(blk, &c, buf, &len, &err); c++) {
        if (err)
            return fail_disk(blk, err, error);
        save_cluster(m, w, c, buf, len);
    }
    snap_put(w, 4, UINT32_MAX);
    return true;
}

static bool save_drive(struct machine *m, struct snap_writer *w, struct block *blk, GError **error)
{
    struct block_identity identity;
    int err = block_is_in_place(blk) ? block_flush_image(blk) : 0;
    if (!err)
        err = block_identify(blk, true, &identity);
    if (err)
        return fail_disk(blk, err, error);
    snap_put(w, 4, kind_of(blk));
    snap_put(w, 8, identity.size);
    snap_put(w, 8, identity.mtime_ns);
    snap_put(w, 8, identity.hash);
    return save_overlay(m, w, blk, error);
}

static bool save_drives(struct machine *m, struct snap_writer *w, GError **error)
{
    struct block *blk;
    snap_put(w, 4, count_back_ends(m, PROP_BLOCK));
    for (unsigned i = 0; (blk = drive_at(m, i)); i++)
        if (!save_drive(m, w, blk, error))
            return false;
    return true;
}

static void save_networks(struct machine *m, struct snap_writer *w)
{
    struct netdev *net;
    snap_put(w, 4, count_back_ends(m, PROP_NET));
    for (unsigned i = 0; (net = back_end_at(m, PROP_NET, i)); i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        netdev_save(net, bytes);
        snap_put_bytes(w, bytes->data, bytes->len);
    }
}

static bool save_all(struct machine *m, struct snap_writer *w, enum snapshot_form form,
                     GError **error)
{
    g_autofree char *description = machine_describe(m);
    const struct mem_region *r;
    snap_put_string(w, description);
    snap_put(w, 8, machine_hash(m));
    save_states(m, w);
    snap_put(w, 4, count_memories(m));
    for (unsigned i = 0; (r = memory_at(m, i)); i++)
        save_memory(m, w, r, form);
    if (!save_drives(m, w, error))
        return false;
    save_networks(m, w);
    return true;
}

static bool may_save(const struct machine *m, GError **error)
{
    if (door_is_replaying(m->door) && drive_at(m, 0)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_STATE,
                    "this machine is in the past, and its disks are not: go to the present first");
        return false;
    }
    return true;
}

static uint64_t id_of(const char *file)
{
    struct snap_head head = {.id = 0};
    snap_close(snap_open(file, &head, NULL));
    return head.id;
}

// A date tells of a write to an image only once the host's clock has gone on.
static void wait_for_dates(const struct machine *m)
{
    struct block *blk;
    for (unsigned i = 0; (blk = drive_at(m, i)); i++) {
        if (block_is_in_place(blk)) {
            g_usleep(20000);
            return;
        }
    }
}

bool snapshot_save(struct machine *m, const char *file, enum snapshot_form form, GError **error)
{
    struct snap_writer *w = may_save(m, error) ? snap_create(file, error) : NULL;
    struct snapshot_marks *marks = w ? marks_new(m, file, error) : NULL;
    if (!marks || !save_all(m, w, form, error)) {
        snap_abandon(w);
        w = NULL;
    }
    if (!w || !snap_finish(w, form, machine_icount(m), clock_now(m->clock), error)) {
        if (marks)
            marks_free(marks);
        return false;
    }
    wait_for_dates(m);
    snapshot_forget_file(m, file);
    marks->id = id_of(file);
    if (!m->snapshots)
        m->snapshots = g_ptr_array_new_with_free_func(marks_free);
    g_ptr_array_add(m->snapshots, marks);
    return true;
}

// --- Loading, first half ---

struct memory_plan {
    struct mem_region *r;
    uint8_t *staged;
    uint64_t *hashes;
};

struct drive_plan {
    struct block *blk;
    struct block_overlay *overlay; // or NULL
    struct block_mark *mark;       // what an image in place has to become, or NULL
};

struct plan {
    struct machine *m;
    struct snap_reader *r;
    const char *file;
    struct snap_head head;
    uint64_t hash;    // of the machine
    GArray *states;   // of struct bytes
    GArray *memories; // of struct memory_plan
    GArray *drives;   // of struct drive_plan
    GArray *networks; // of struct bytes
    GArray *wanted;   // of struct snap_wanted
};

struct bytes {
    const uint8_t *data;
    uint32_t len;
};

enum { WANTED_MEMORY, WANTED_DRIVE }; // kind: this, and the number of the memory or drive * 2

static bool plan_states(struct plan *p, GError **error)
{
    uint64_t n = snap_take(p->r, 4);
    struct machine_state s;
    for (unsigned i = 0; machine_state_at(p->m, i, &s); i++) {
        g_autofree char *name = machine_state_name(p->m, i), *theirs = snap_take_string(p->r);
        uint64_t shape = snap_take(p->r, 8);
        struct bytes b;
        b.data = snap_take_bytes(p->r, &b.len);
        if (!snap_table_ok(p->r, error))
            return false;
        if (i >= n || strcmp(name, theirs) || shape != state_shape(s.fields)) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT,
                        "%s was saved by another version of Ferry: the state of %s is another",
                        p->file, name);
            return false;
        }
        const uint8_t *data = b.data;
        size_t len = b.len;
        if (!state_check(s.fields, name, &data, &len, error))
            return false;
        g_array_append_val(p->states, b);
    }
    return n == p->states->len || snap_damaged(p->r, error);
}

static void want(struct plan *p, uint32_t page, uint32_t kind, uint64_t at)
{
    struct snap_wanted w = {page, kind, at};
    g_array_append_val(p->wanted, w);
}

// A run of pages; *page is where the last one ended. FALSE: the end of runs, or an error.
static bool plan_run(struct plan *p, struct memory_plan *mp, uint64_t mapped_at, uint64_t *page,
                     GError **error)
{
    uint64_t first = snap_take(p->r, 4), count = snap_take(p->r, 4), n = mem_nr_pages(mp->r);
    if (!count)
        return false;
    if (first < *page || first >= n || count > n - first) {
        snap_damaged(p->r, error);
        return false;
    }
    *page = first + count;
    for (uint64_t i = first; i < *page && snap_table_ok(p->r, error); i++) {
        mp->hashes[i] = snap_take(p->r, 8);
        if (!mapped_at)
            want(p, (uint32_t)snap_take(p->r, 4), p->memories->len * 2 + WANTED_MEMORY, i);
    }
    return snap_table_ok(p->r, error);
}

// Pages within the file's data; what lies in holes is zeros.
static bool check_mapped(struct plan *p, const struct memory_plan *mp, uint64_t at, GError **error)
{
    uint64_t n = mem_nr_pages(mp->r), page = 0;
    while (page < n) {
        off_t data = lseek(snap_fd(p->r), (off_t)(at + page * SNAP_PAGE), SEEK_DATA);
        uint64_t first = data < 0 && errno == ENXIO ? n
                         : data < 0                 ? page
                                                    : ((uint64_t)data - at) / SNAP_PAGE;
        for (; page < MIN(first, n); page++)
            if (mp->hashes[page])
                return snap_damaged(p->r, error);
        off_t hole = page < n ? lseek(snap_fd(p->r), (off_t)(at + page * SNAP_PAGE), SEEK_HOLE) : 0;
        uint64_t end = hole < 0 ? n : ((uint64_t)hole - at + SNAP_PAGE - 1) / SNAP_PAGE;
        for (; page < MIN(end, n); page++)
            if (mem_page_hash(p->m->mem, mp->staged + page * SNAP_PAGE) != mp->hashes[page])
                return snap_damaged(p->r, error);
    }
    return true;
}

static bool map_memory(struct plan *p, struct memory_plan *mp, uint64_t at, GError **error)
{
    struct stat st;
    uint64_t bytes = mem_nr_pages(mp->r) * SNAP_PAGE;
    if (fstat(snap_fd(p->r), &st) < 0 || at > (uint64_t)st.st_size ||
        bytes > (uint64_t)st.st_size - at || at % SNAP_PAGE)
        return snap_damaged(p->r, error);
    mp->staged = mem_stage_file(mp->r, snap_fd(p->r), at, error);
    return mp->staged && check_mapped(p, mp, at, error);
}

static bool plan_memory(struct plan *p, struct memory_plan *mp, GError **error)
{
    g_autofree char *name = snap_take_string(p->r);
    uint64_t base = snap_take(p->r, 8), n = snap_take(p->r, 8), mapped_at = snap_take(p->r, 8),
             page = 0;
    GError *problem = NULL;
    if (!snap_table_ok(p->r, error))
        return false;
    if (strcmp(name, mp->r->name) || base != mp->r->base || n != mem_nr_pages(mp->r))
        return snap_damaged(p->r, error);
    mp->hashes = g_new0(uint64_t, n);
    while (plan_run(p, mp, mapped_at, &page, &problem))
        ;
    if (problem) {
        g_propagate_error(error, problem);
        return false;
    }
    if (mapped_at)
        return map_memory(p, mp, mapped_at, error);
    return (mp->staged = mem_stage(mp->r, error)) != NULL;
}

static bool plan_memories(struct plan *p, GError **error)
{
    if (snap_take(p->r, 4) != count_memories(p->m))
        return snap_damaged(p->r, error);
    for (unsigned i = 0; i < count_memories(p->m); i++) {
        struct memory_plan mp = {.r = memory_at(p->m, i)};
        bool ok = plan_memory(p, &mp, error);
        g_array_append_val(p->memories, mp);
        if (!ok)
            return false;
    }
    return true;
}

// The overlay's clusters.
static bool plan_clusters(struct plan *p, struct drive_plan *dp, GError **error)
{
    uint64_t clusters = (block_size(dp->blk) + BLOCK_CLUSTER - 1) / BLOCK_CLUSTER, cluster;
    while ((cluster = snap_take(p->r, 4)) != UINT32_MAX) {
        if (!snap_table_ok(p->r, error) || !dp->overlay || cluster >= clusters)
            return snap_damaged(p->r, error);
        block_overlay_add(dp->overlay, cluster);
        for (unsigned i = 0; i < CLUSTER_PAGES; i++) {
            uint32_t page = (uint32_t)snap_take(p->r, 4);
            if (page != ZERO_PAGE)
                want(p, page, p->drives->len * 2 + WANTED_DRIVE,
                     cluster * BLOCK_CLUSTER + i * SNAP_PAGE);
        }
    }
    return snap_table_ok(p->r, error);
}

// Whether the image is what it was: by its date, or by all of its contents.
static bool check_image(struct block *blk, const struct block_identity *then, GError **error)
{
    struct block_identity now;
    int err = block_identify(blk, false, &now);
    if (!err && now.size == then->size && now.mtime_ns && now.mtime_ns == then->mtime_ns)
        return true;
    if (!err && then->hash)
        err = block_identify(blk, true, &now);
    if (err)
        return fail_disk(blk, err, error);
    if (now.size == then->size && then->hash && now.hash == then->hash)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE,
                "drive %s: %s has changed since the snapshot was saved, and the machine would find "
                "a disk that "
                "it does not know: put back the image of then",
                block_id(blk), block_file(blk));
    return false;
}

static bool check_drive(struct plan *p, struct drive_plan *dp, enum drive_kind then,
                        const struct block_identity *identity, GError **error)
{
    enum drive_kind now = kind_of(dp->blk);
    if (then == DRIVE_OVERLAY && now != DRIVE_OVERLAY) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "drive %s was saved with snapshot=on, and can be loaded with that only",
                    block_id(dp->blk));
        return false;
    }
    if ((then == DRIVE_READONLY) != (now == DRIVE_READONLY)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "drive %s was saved with readonly=%s, and can be loaded with that only",
                    block_id(dp->blk), then == DRIVE_READONLY ? "on" : "off");
        return false;
    }
    if (now == DRIVE_IN_PLACE)
        dp->mark = mark_of(marks_of(p->m, p->head.id), dp->blk);
    return dp->mark || check_image(dp->blk, identity, error);
}

static bool plan_drive(struct plan *p, struct drive_plan *dp, GError **error)
{
    enum drive_kind kind = (enum drive_kind)snap_take(p->r, 4);
    struct block_identity identity = {.size = snap_take(p->r, 8)};
    identity.mtime_ns = snap_take(p->r, 8);
    identity.hash = snap_take(p->r, 8);
    if (!snap_table_ok(p->r, error))
        return false;
    if (kind >= DRIVE_KINDS)
        return snap_damaged(p->r, error);
    if (!check_drive(p, dp, kind, &identity, error))
        return false;
    if (block_is_snapshot(dp->blk) && !(dp->overlay = block_overlay_new(dp->blk, error)))
        return false;
    return plan_clusters(p, dp, error);
}

static bool plan_drives(struct plan *p, GError **error)
{
    struct block *blk;
    if (snap_take(p->r, 4) != count_back_ends(p->m, PROP_BLOCK))
        return snap_damaged(p->r, error);
    for (unsigned i = 0; (blk = drive_at(p->m, i)); i++) {
        struct drive_plan dp = {.blk = blk};
        bool ok = plan_drive(p, &dp, error);
        g_array_append_val(p->drives, dp);
        if (!ok)
            return false;
    }
    return true;
}

static bool plan_networks(struct plan *p, GError **error)
{
    struct netdev *net;
    if (snap_take(p->r, 4) != count_back_ends(p->m, PROP_NET))
        return snap_damaged(p->r, error);
    for (unsigned i = 0; (net = back_end_at(p->m, PROP_NET, i)); i++) {
        struct bytes b;
        b.data = snap_take_bytes(p->r, &b.len);
        if (!snap_table_ok(p->r, error))
            return false;
        if (!netdev_load(net, b.data, b.len, true))
            return snap_damaged(p->r, error);
        g_array_append_val(p->networks, b);
    }
    return true;
}

// A page of the pool to where it is wanted.
static bool place_page(void *opaque, const struct snap_wanted *w, const uint8_t *page,
                       GError **error)
{
    struct plan *p = opaque;
    if (w->kind % 2 == WANTED_MEMORY) {
        struct memory_plan *mp = &g_array_index(p->memories, struct memory_plan, w->kind / 2);
        if (mem_page_hash(p->m->mem, page) != mp->hashes[w->at])
            return snap_damaged(p->r, error);
        memcpy(mp->staged + w->at * SNAP_PAGE, page, SNAP_PAGE);
        return true;
    }
    struct drive_plan *dp = &g_array_index(p->drives, struct drive_plan, w->kind / 2);
    uint64_t size = block_size(dp->blk);
    int err = w->at < size
                  ? block_overlay_write(dp->overlay, w->at, page, MIN(SNAP_PAGE, size - w->at))
                  : 0;
    return !err || fail_disk(dp->blk, err, error);
}

static bool plan_all(struct plan *p, GError **error)
{
    if (!snap_read_table(p->r, error))
        return false;
    g_autofree char *description = snap_take_string(p->r);
    p->hash = snap_take(p->r, 8);
    return snap_table_ok(p->r, error) &&
           machine_check_description(p->m, description, p->file, error) && plan_states(p, error) &&
           plan_memories(p, error) && plan_drives(p, error) && plan_networks(p, error) &&
           snap_read_pages(p->r, p->wanted, place_page, p, error);
}

static void plan_init(struct plan *p, struct machine *m, const char *file)
{
    *p = (struct plan){.m = m, .file = file};
    p->states = g_array_new(FALSE, FALSE, sizeof(struct bytes));
    p->memories = g_array_new(FALSE, FALSE, sizeof(struct memory_plan));
    p->drives = g_array_new(FALSE, FALSE, sizeof(struct drive_plan));
    p->networks = g_array_new(FALSE, FALSE, sizeof(struct bytes));
    p->wanted = g_array_new(FALSE, FALSE, sizeof(struct snap_wanted));
}

static void plan_clear(struct plan *p)
{
    for (unsigned i = 0; i < p->memories->len; i++) {
        struct memory_plan *mp = &g_array_index(p->memories, struct memory_plan, i);
        mem_unstage(mp->r, mp->staged);
        g_free(mp->hashes);
    }
    for (unsigned i = 0; i < p->drives->len; i++)
        block_overlay_free(g_array_index(p->drives, struct drive_plan, i).overlay);
    GArray *arrays[] = {p->states, p->memories, p->drives, p->networks, p->wanted};
    for (unsigned i = 0; i < ARRAY_LEN(arrays); i++)
        g_array_free(arrays[i], TRUE);
    snap_close(p->r);
}

// --- Loading, second half ---

static int become(struct block *blk, struct block_mark *mark)
{
    block_view(blk, mark);
    int err = block_adopt(blk);
    if (err)
        block_view(blk, NULL);
    return err;
}

// Images in place become what they were; if one can't be written, those before it are put back.
static bool turn_images_back(struct plan *p, GError **error)
{
    struct snapshot_marks *undo = marks_new(p->m, "", error);
    int err = 0;
    unsigned i;
    if (!undo)
        return false;
    for (i = 0; !err && i < p->drives->len; i++) {
        struct drive_plan *dp = &g_array_index(p->drives, struct drive_plan, i);
        err = dp->mark ? become(dp->blk, dp->mark) : 0;
        if (err)
            fail_disk(dp->blk, err, error);
    }
    while (err && i-- > 0) {
        struct drive_plan *dp = &g_array_index(p->drives, struct drive_plan, i);
        if (dp->mark)
            become(dp->blk, mark_of(undo, dp->blk));
    }
    marks_free(undo);
    return !err;
}

static void commit_memories(struct plan *p)
{
    exec_clear(p->m->exec);
    for (unsigned i = 0; i < p->memories->len; i++) {
        struct memory_plan *mp = &g_array_index(p->memories, struct memory_plan, i);
        mem_commit(p->m->mem, mp->r, mp->staged, mp->hashes);
        mp->staged = NULL;
    }
}

static void commit_states(struct plan *p)
{
    struct machine_state s;
    for (unsigned i = 0; machine_state_at(p->m, i, &s); i++) {
        struct bytes b = g_array_index(p->states, struct bytes, i);
        size_t len = b.len;
        state_load(s.fields, s.obj, "", &b.data, &len, NULL);
    }
    machine_state_loaded(p->m);
}

static void commit_back_ends(struct plan *p)
{
    for (unsigned i = 0; i < p->drives->len; i++) {
        struct drive_plan *dp = &g_array_index(p->drives, struct drive_plan, i);
        if (dp->overlay)
            block_overlay_use(dp->blk, g_steal_pointer(&dp->overlay));
    }
    for (unsigned i = 0; i < p->networks->len; i++) {
        struct bytes b = g_array_index(p->networks, struct bytes, i);
        netdev_load(back_end_at(p->m, PROP_NET, i), b.data, b.len, false);
    }
    struct chardev *chr;
    for (unsigned i = 0; (chr = back_end_at(p->m, PROP_CHARDEV, i)); i++)
        chardev_tell_again(chr);
}

static bool commit(struct plan *p, GError **error)
{
    if (!turn_images_back(p, error))
        return false;
    if (p->m->forget_past)
        p->m->forget_past(p->m->past);
    commit_memories(p);
    commit_states(p);
    commit_back_ends(p);
    if (machine_hash(p->m) == p->hash)
        return true;
    g_set_error(
        error, FERRY_ERROR, FERRY_ERROR_FORMAT,
        "%s was loaded, but the machine is not the one that was saved: its state was none that a "
        "machine can have",
        p->file);
    return false;
}

static bool may_load(const struct machine *m, GError **error)
{
    if (!m->recorded)
        return true;
    g_set_error(
        error, FERRY_ERROR, FERRY_ERROR_STATE,
        "a machine that is recorded or replayed can load a snapshot at its start only (-loadvm)");
    return false;
}

bool snapshot_load(struct machine *m, const char *file, GError **error)
{
    struct plan p;
    if (!may_load(m, error))
        return false;
    plan_init(&p, m, file);
    p.r = snap_open(file, &p.head, error);
    bool ok = p.r && plan_all(&p, error) && commit(&p, error);
    plan_clear(&p);
    return ok;
}

// --- Asking ---

bool snapshot_probe(const char *file, struct snapshot_info *info, GError **error)
{
    struct snap_head head;
    struct stat st;
    struct snap_reader *r = snap_open(file, &head, error);
    if (!r)
        return false;
    *info =
        (struct snapshot_info){.form = head.form, .icount = head.icount, .guest_ns = head.guest_ns};
    info->tag = g_path_get_basename(file);
    if (g_str_has_suffix(info->tag, SNAPSHOT_SUFFIX))
        info->tag[strlen(info->tag) - strlen(SNAPSHOT_SUFFIX)] = 0;
    if (fstat(snap_fd(r), &st) == 0) {
        info->size = (uint64_t)st.st_blocks * 512;
        info->date = st.st_mtime;
    }
    snap_close(r);
    return true;
}

void snapshot_info_clear(struct snapshot_info *info)
{
    g_free(info->tag);
}
