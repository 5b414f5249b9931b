// SPDX-License-Identifier: MIT
// A drive's past: marks against copies in memory, with random requests; recordings of drives, replayed over other
// contents; and what snapshots ask of drives.
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block.h"
#include "base/bits.h"
#include "base/journal.h"

#define SIZE (5 * 65536 + 3 * 512)

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static uint8_t *random_bytes(uint64_t seed)
{
    uint8_t *bytes = g_malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)next_random(&seed);
    memset(bytes + 65536 + 100, 0, 2 * 65536);
    return bytes;
}

static char *make_file(const void *data)
{
    char *name = NULL;
    int fd = g_file_open_tmp("ferry-past-XXXXXX", &name, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, SIZE), SIZE);
    close(fd);
    return name;
}

static struct block *open_file(const char *file, bool snapshot)
{
    struct block_options opts = {.id = "hd0", .file = file, .format = "raw", .snapshot = snapshot};
    GError *error = NULL;
    struct block *blk = block_open(&opts, &error);
    cr_assert_not_null(blk, "%s", error ? error->message : "");
    return blk;
}

static void random_range(uint64_t *seed, uint64_t *offset, size_t *len)
{
    uint64_t align = (uint64_t[]){1, 512, 65536}[next_random(seed) % 3];
    *offset = next_random(seed) % SIZE / align * align;
    *len = next_random(seed) % (SIZE - *offset + 1);
    if (next_random(seed) % 4 == 0)
        *len = SIZE - *offset;
    if (next_random(seed) % 2 == 0)
        *len = MIN(*len, 1000);
}

// One random request; its result and what it read go to *out, its effect to bytes unless that is NULL.
static void request(struct block *blk, uint64_t *seed, uint8_t *bytes, GByteArray *out)
{
    static uint8_t buf[SIZE];
    uint64_t offset;
    size_t len;
    int err = 0;
    random_range(seed, &offset, &len);
    unsigned what = next_random(seed) % 5;
    uint8_t fill = (uint8_t)next_random(seed);
    if (what == 0) {
        memset(buf, fill, len);
        err = block_write(blk, offset, buf, len);
    } else if (what == 1) {
        err = block_write_zeroes(blk, offset, len, fill & 1);
    } else if (what == 2) {
        err = block_discard(blk, offset, len);
    } else {
        err = block_read(blk, offset, buf, len);
        if (out)
            g_byte_array_append(out, buf, (guint)len);
        if (bytes)
            cr_assert_eq(memcmp(buf, bytes + offset, len), 0);
    }
    if (bytes && what <= 2)
        memset(bytes + offset, what == 0 ? fill : 0, len);
    if (out)
        g_byte_array_append(out, (uint8_t[]){(uint8_t)err}, 1);
}

static void expect_contents(struct block *blk, const uint8_t *bytes)
{
    static uint8_t buf[SIZE];
    cr_assert_eq(block_read(blk, 0, buf, SIZE), 0);
    cr_assert_eq(memcmp(buf, bytes, SIZE), 0);
}

// --- Marks ---

#define MARKS 8

struct model {
    struct block *blk;
    uint64_t seed;
    uint8_t present[SIZE];
    struct block_mark *mark[MARKS];
    uint8_t bytes[MARKS][SIZE];
};

static void set_mark(struct model *m, unsigned i, const uint8_t *bytes)
{
    block_unmark(m->blk, m->mark[i]);
    m->mark[i] = block_mark(m->blk, NULL);
    cr_assert_not_null(m->mark[i]);
    memcpy(m->bytes[i], bytes, SIZE);
}

// Goes to a mark, does something there, perhaps marks that, and comes back, or stays.
static void visit(struct model *m)
{
    static uint8_t bytes[SIZE];
    unsigned i = next_random(&m->seed) % MARKS, other = (i + 1) % MARKS;
    if (!m->mark[i])
        return;
    block_view(m->blk, m->mark[i]);
    memcpy(bytes, m->bytes[i], SIZE);
    expect_contents(m->blk, bytes);
    for (unsigned n = next_random(&m->seed) % 6; n; n--)
        request(m->blk, &m->seed, bytes, NULL);
    expect_contents(m->blk, bytes);
    if (next_random(&m->seed) % 3 == 0)
        set_mark(m, other, bytes);
    if (next_random(&m->seed) % 3 == 0) {
        cr_assert_eq(block_adopt(m->blk), 0);
        memcpy(m->present, bytes, SIZE);
    }
    block_view(m->blk, NULL);
    expect_contents(m->blk, m->present);
}

static void check_marks(bool snapshot, uint64_t seed)
{
    g_autofree struct model *m = g_new0(struct model, 1);
    g_autofree uint8_t *original = random_bytes(seed);
    g_autofree char *name = make_file(original), *after = NULL;
    m->blk = open_file(name, snapshot);
    m->seed = seed;
    memcpy(m->present, original, SIZE);
    for (unsigned i = 0; i < 300; i++) {
        unsigned what = next_random(&m->seed) % 8;
        if (what == 0)
            set_mark(m, next_random(&m->seed) % MARKS, m->present);
        else if (what == 1)
            visit(m);
        else
            request(m->blk, &m->seed, m->present, NULL);
    }
    for (unsigned i = 0; i < MARKS; i++) {
        if (!m->mark[i])
            continue;
        block_view(m->blk, m->mark[i]);
        expect_contents(m->blk, m->bytes[i]);
        block_view(m->blk, NULL);
        block_unmark(m->blk, m->mark[i]);
    }
    cr_assert_eq(block_history_bytes(m->blk), 0);
    expect_contents(m->blk, m->present);
    block_close(m->blk);
    gsize len;
    cr_assert(g_file_get_contents(name, &after, &len, NULL));
    cr_assert_eq(memcmp(after, snapshot ? original : m->present, SIZE), 0);
    unlink(name);
}

Test(block_past, marks_of_an_image_in_place)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        check_marks(false, seed);
}

Test(block_past, marks_of_an_overlay)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        check_marks(true, seed);
}

Test(block_past, looking_back_leaves_the_image_alone)
{
    g_autofree uint8_t *bytes = random_bytes(1);
    g_autofree char *name = make_file(bytes), *after = NULL;
    struct block *blk = open_file(name, false);
    struct block_mark *mark = block_mark(blk, NULL);
    uint64_t seed = 5;
    gsize len;
    for (unsigned i = 0; i < 20; i++)
        request(blk, &seed, bytes, NULL);
    block_view(blk, mark);
    for (unsigned i = 0; i < 20; i++)
        request(blk, &seed, NULL, NULL);
    cr_assert(g_file_get_contents(name, &after, &len, NULL));
    cr_assert_eq(memcmp(after, bytes, SIZE), 0);
    block_close(blk);
    unlink(name);
}

// --- Recordings ---

static void position(void *opaque, struct door_position *at)
{
    *at = *(struct door_position *)opaque;
}

struct session {
    struct block *blk;
    struct door *door;
    struct door_position at;
};

static void open_session(struct session *s, const char *file, bool snapshot, struct journal *log,
                         bool replay)
{
    *s = (struct session){.blk = open_file(file, snapshot), .door = door_new(1)};
    door_set_machine(s->door, &(struct door_machine){.position = position, .opaque = &s->at});
    if (replay)
        door_replay(s->door, log, true);
    else
        door_record(s->door, log, true);
    GError *error = NULL;
    cr_assert(block_claim(s->blk, "disk", s->door, &error), "%s", error ? error->message : "");
}

static void close_session(struct session *s)
{
    block_close(s->blk);
    door_free(s->door);
}

static GByteArray *run(struct session *s, uint64_t seed)
{
    GByteArray *out = g_byte_array_new();
    for (unsigned i = 0; i < 100 && !door_problem(s->door); i++) {
        s->at.icount++;
        request(s->blk, &seed, NULL, out);
    }
    return out;
}

static void expect_equal(const GByteArray *a, const GByteArray *b)
{
    cr_assert_eq(a->len, b->len);
    cr_assert_eq(memcmp(a->data, b->data, a->len), 0);
}

// In place, the image has become another one when it is replayed.
static void check_replay(bool in_place, uint64_t seed)
{
    g_autofree uint8_t *bytes = random_bytes(seed);
    g_autofree char *name = make_file(bytes);
    struct journal *log = journal_new();
    struct session s;
    open_session(&s, name, !in_place, log, false);
    g_autoptr(GByteArray) recorded = run(&s, seed);
    close_session(&s);
    open_session(&s, name, true, log, true);
    g_autoptr(GByteArray) replayed = run(&s, seed);
    cr_assert_null(door_problem(s.door), "%s", door_problem(s.door)->message);
    expect_equal(recorded, replayed);
    close_session(&s);
    journal_free(log);
    unlink(name);
}

Test(block_past, replays_an_image_in_place)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        check_replay(true, seed);
}

Test(block_past, replays_an_overlay)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        check_replay(false, seed);
}

Test(block_past, a_replay_in_place_is_refused)
{
    g_autofree uint8_t *bytes = random_bytes(1);
    g_autofree char *name = make_file(bytes);
    struct journal *log = journal_new();
    struct block *blk = open_file(name, false);
    struct door *door = door_new(1);
    GError *error = NULL;
    door_replay(door, log, true);
    cr_assert_not(block_claim(blk, "disk", door, &error));
    cr_assert(strstr(error->message, "disk: in a replay, drive hd0 must leave its image alone"));
    g_error_free(error);
    block_close(blk);
    door_free(door);
    journal_free(log);
    unlink(name);
}

Test(block_past, a_changed_image_is_found)
{
    g_autofree uint8_t *bytes = random_bytes(3);
    g_autofree char *name = make_file(bytes);
    struct journal *log = journal_new();
    struct session s;
    open_session(&s, name, true, log, false);
    g_byte_array_unref(run(&s, 3));
    close_session(&s);
    bytes[SIZE - 1] ^= 1;
    cr_assert(g_file_set_contents(name, (char *)bytes, SIZE, NULL));
    open_session(&s, name, true, log, true);
    g_byte_array_unref(run(&s, 3));
    cr_assert_not_null(door_problem(s.door));
    cr_assert(strstr(door_problem(s.door)->message, "is not what it was when this was recorded"),
              "%s", door_problem(s.door)->message);
    close_session(&s);
    journal_free(log);
    unlink(name);
}

// The host refuses writes beyond a limit; in the replay it would not.
Test(block_past, errors_of_the_host_are_replayed)
{
    g_autofree uint8_t *bytes = random_bytes(4);
    g_autofree char *name = make_file(bytes);
    struct journal *log = journal_new();
    struct rlimit before, limit;
    struct session s;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 3 * 65536 + 1000;
    signal(SIGXFSZ, SIG_IGN);
    open_session(&s, name, false, log, false);
    setrlimit(RLIMIT_FSIZE, &limit);
    g_autoptr(GByteArray) recorded = run(&s, 4);
    setrlimit(RLIMIT_FSIZE, &before);
    unsigned errors = (unsigned)block_get_stats(s.blk)->errors;
    cr_assert_gt(errors, 5);
    close_session(&s);
    open_session(&s, name, true, log, true);
    g_autoptr(GByteArray) replayed = run(&s, 4);
    cr_assert_null(door_problem(s.door), "%s", door_problem(s.door)->message);
    expect_equal(recorded, replayed);
    cr_assert_eq(block_get_stats(s.blk)->errors, errors);
    close_session(&s);
    journal_free(log);
    unlink(name);
}

// While recording, the machine goes back and does the same again: the log gives it what it had, and the drive's
// memory of what was logged goes back and forth with it.
Test(block_past, parts_of_a_recording)
{
    for (unsigned in_place = 0; in_place < 2; in_place++) {
        g_autofree uint8_t *bytes = random_bytes(6);
        g_autofree char *name = make_file(bytes);
        struct journal *log = journal_new();
        struct door_moment start, present;
        struct session s;
        open_session(&s, name, !in_place, log, false);
        g_byte_array_unref(run(&s, 6));
        struct block_mark *mark = block_mark(s.blk, NULL);
        door_moment(s.door, &start);
        g_autoptr(GByteArray) first = run(&s, 7);
        door_moment(s.door, &present);
        for (unsigned i = 0; i < 3; i++) {
            s.at = start.at;
            block_view(s.blk, mark);
            door_replay_part(s.door, &start, &present);
            g_autoptr(GByteArray) again = run(&s, 7);
            cr_assert_null(door_problem(s.door), "%s", door_problem(s.door)->message);
            expect_equal(first, again);
            block_view(s.blk, NULL);
            door_go_live(s.door);
            cr_assert_eq(journal_end(log), present.offset);
        }
        g_byte_array_unref(run(&s, 8));
        close_session(&s);
        journal_free(log);
        unlink(name);
    }
}

// --- Snapshots ---

Test(block_past, an_image_is_known_again)
{
    g_autofree uint8_t *bytes = random_bytes(1);
    g_autofree char *name = make_file(bytes);
    struct block *blk = open_file(name, true);
    struct block_identity a, b, c, plain;
    cr_assert_eq(block_identify(blk, true, &a), 0);
    cr_assert_eq(block_identify(blk, false, &plain), 0);
    cr_assert(a.hash && a.mtime_ns && !plain.hash);
    cr_assert_eq(plain.mtime_ns, a.mtime_ns);
    uint64_t seed = 1;
    for (unsigned i = 0; i < 50; i++)
        request(blk, &seed, NULL, NULL);
    cr_assert_eq(block_identify(blk, true, &b), 0);
    cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0); // the overlay does not count
    block_close(blk);
    bytes[65536 + 200] ^= 1; // among zeros
    cr_assert(g_file_set_contents(name, (char *)bytes, SIZE, NULL));
    blk = open_file(name, false);
    cr_assert_eq(block_identify(blk, true, &c), 0);
    cr_assert_neq(c.hash, a.hash);
    bytes[65536 + 200] ^= 1;
    cr_assert_eq(block_write(blk, 0, bytes, SIZE), 0);
    cr_assert_eq(block_identify(blk, true, &c), 0);
    cr_assert_eq(c.hash, a.hash);
    block_close(blk);
    unlink(name);
}

Test(block_past, an_overlay_moves_to_another_drive)
{
    g_autofree uint8_t *bytes = random_bytes(9), *buf = g_malloc(BLOCK_CLUSTER);
    g_autofree char *name = make_file(bytes);
    struct block *a = open_file(name, true), *b = open_file(name, true);
    uint64_t seed = 9, cluster = 0;
    size_t len;
    int err;
    for (unsigned i = 0; i < 3; i++)
        request(a, &seed, bytes, NULL);
    for (unsigned i = 0; i < 10; i++)
        request(b, &seed, NULL, NULL);
    struct block_overlay *o = block_overlay_new(b, NULL);
    cr_assert_not_null(o);
    for (; block_overlay_next(a, &cluster, buf, &len, &err); cluster++) {
        cr_assert_eq(err, 0);
        block_overlay_add(o, cluster);
        cr_assert_eq(block_overlay_write(o, cluster * BLOCK_CLUSTER, buf, len), 0);
    }
    block_overlay_use(b, o);
    expect_contents(b, bytes);
    block_close(a);
    block_close(b);
    unlink(name);
}
