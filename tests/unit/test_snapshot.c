// SPDX-License-Identifier: MIT
// Snapshots of a busy machine: saved at any moment and loaded into another process's machine, under the other executor, it
// goes on as if nothing had happened; files that are damaged or of something else are refused, and nothing changes;
// disks are what they have to be. SNAPSHOT_MOMENTS sets how many moments are tried.
// test: timeout=900
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block.h"
#include "machine/snapshot.h"
#include "machine_rig.h"

#define LENGTH 4000000 // steps of a whole run

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static unsigned moments(unsigned usual)
{
    const char *wanted = g_getenv("SNAPSHOT_MOMENTS");
    return wanted ? (unsigned)atoi(wanted) : usual;
}

static void save(struct machine_rig *r, const char *file, enum snapshot_form form)
{
    GError *error = NULL;
    cr_assert(snapshot_save(r->m, file, form, &error), "%s", error ? error->message : "");
}

static void load(struct machine_rig *r, const char *file)
{
    GError *error = NULL;
    cr_assert(snapshot_load(r->m, file, &error), "%s", error ? error->message : "");
}

static void expect_refused(struct machine_rig *r, const char *file, const char *part)
{
    GError *error = NULL;
    uint64_t before = machine_hash(r->m);
    cr_assert_not(snapshot_load(r->m, file, &error));
    cr_assert(strstr(error->message, part), "'%s' has no '%s'", error->message, part);
    cr_assert_null(strchr(error->message, '\n'));
    cr_assert_eq(machine_hash(r->m), before);
    g_error_free(error);
}

struct scene {
    char *folder, *disk, *file;
    struct mrig_options options;
};

static void scene_init(struct scene *s, unsigned smp, bool in_place)
{
    s->folder = mrig_make_folder();
    s->disk = mrig_make_disk(s->folder);
    s->file = g_build_filename(s->folder, "a.snap", NULL);
    s->options = (struct mrig_options){
        .smp = smp, .accel = ACCEL_DBT, .disk = s->disk, .in_place = in_place, .net = true};
}

static void scene_free(struct scene *s)
{
    g_free(s->file);
    g_free(s->disk);
    mrig_remove_folder(s->folder);
}

static uint64_t whole_run(const struct scene *s)
{
    struct machine_rig r;
    mrig_new(&r, &s->options);
    mrig_run(&r, LENGTH);
    uint64_t hash = machine_hash(r.m);
    cr_assert_gt(r.output->len, 0);
    mrig_free(&r);
    return hash;
}

// --- Any moment ---

static void check_moment(struct scene *s, icount_t at, enum snapshot_form form, uint64_t want)
{
    struct machine_rig r;
    mrig_new(&r, &s->options);
    mrig_run(&r, at);
    uint64_t then = machine_hash(r.m);
    save(&r, s->file, form);
    cr_assert_eq(machine_hash(r.m), then, "saving changes the machine");
    mrig_run(&r, LENGTH);
    cr_assert_eq(machine_hash(r.m), want, "saving at %d changes the run", (int)at);
    mrig_free(&r);

    struct mrig_options other = s->options;
    other.accel = s->options.accel == ACCEL_DBT ? ACCEL_INTERP : ACCEL_DBT;
    mrig_new(&r, &other);
    mrig_run(&r, at / 2);
    load(&r, s->file);
    cr_assert_eq(machine_hash(r.m), then, "what is loaded is not what was saved at %d", (int)at);
    mrig_run(&r, LENGTH);
    cr_assert_eq(machine_hash(r.m), want, "what was saved at %d goes on differently", (int)at);
    mrig_free(&r);
}

static void check_moments(unsigned smp)
{
    struct scene s;
    uint64_t seed = smp;
    scene_init(&s, smp, false);
    uint64_t want = whole_run(&s);
    for (unsigned i = 0; i < moments(3); i++) {
        icount_t at = i == 0 ? 0 : next_random(&seed) % LENGTH;
        check_moment(&s, at, i % 2 ? SNAPSHOT_MAPPED : SNAPSHOT_PACKED, want);
    }
    scene_free(&s);
}

Test(snapshot, of_one_hart_at_any_moment)
{
    check_moments(1);
}

Test(snapshot, of_two_harts_at_any_moment)
{
    check_moments(2);
}

Test(snapshot, of_four_harts_at_any_moment)
{
    check_moments(4);
}

// The same machine goes back, and on, and back.
Test(snapshot, is_loaded_by_the_machine_itself)
{
    struct scene s;
    struct machine_rig r;
    scene_init(&s, 2, false);
    uint64_t want = whole_run(&s);
    g_autofree char *second = g_build_filename(s.folder, "b.snap", NULL);
    mrig_new(&r, &s.options);
    mrig_run(&r, 700000);
    save(&r, s.file, SNAPSHOT_PACKED);
    uint64_t a = machine_hash(r.m);
    mrig_run(&r, 1500000);
    save(&r, second, SNAPSHOT_MAPPED);
    uint64_t b = machine_hash(r.m);
    for (unsigned i = 0; i < 3; i++) {
        mrig_run(&r, 2000000);
        load(&r, s.file);
        cr_assert_eq(machine_hash(r.m), a);
        load(&r, second);
        cr_assert_eq(machine_hash(r.m), b);
        mrig_run(&r, 1600000 + i * 1000);
        load(&r, s.file);
    }
    mrig_run(&r, LENGTH);
    cr_assert_eq(machine_hash(r.m), want);
    mrig_free(&r);
    scene_free(&s);
}

// --- Images that are written in place ---

static char *contents(const char *file)
{
    char *bytes;
    cr_assert(g_file_get_contents(file, &bytes, NULL, NULL));
    return bytes;
}

static void expect_contents(const struct scene *s, const char *bytes)
{
    g_autofree char *now = contents(s->disk);
    cr_assert_eq(memcmp(now, bytes, MRIG_DISK_SIZE), 0);
}

// Two snapshots, gone to in any order, and the image goes with the machine.
Test(snapshot, turns_an_image_back)
{
    struct scene s;
    struct machine_rig r;
    scene_init(&s, 1, true);
    g_autofree char *original = contents(s.disk);
    uint64_t want = whole_run(&s);
    g_autofree char *last = contents(s.disk), *second = g_build_filename(s.folder, "b.snap", NULL);
    cr_assert(g_file_set_contents(s.disk, original, MRIG_DISK_SIZE, NULL));
    mrig_new(&r, &s.options);
    mrig_run(&r, 500000);
    save(&r, s.file, SNAPSHOT_PACKED);
    g_autofree char *a = contents(s.disk);
    mrig_run(&r, 1000000);
    save(&r, second, SNAPSHOT_PACKED);
    g_autofree char *b = contents(s.disk);
    cr_assert_neq(memcmp(a, b, MRIG_DISK_SIZE), 0);
    for (unsigned i = 0; i < 2; i++) {
        mrig_run(&r, 1300000);
        load(&r, s.file);
        expect_contents(&s, a);
        load(&r, second);
        expect_contents(&s, b);
        mrig_run(&r, 1200000);
        load(&r, s.file);
        mrig_run(&r, 800000);
    }
    mrig_run(&r, LENGTH);
    cr_assert_eq(machine_hash(r.m), want);
    expect_contents(&s, last);
    mrig_free(&r);
    scene_free(&s);
}

// A later process finds the image as it was, or says so.
Test(snapshot, wants_the_image_of_then)
{
    struct scene s;
    struct machine_rig r;
    scene_init(&s, 1, true);
    mrig_new(&r, &s.options);
    mrig_run(&r, 500000);
    save(&r, s.file, SNAPSHOT_PACKED);
    g_autofree char *then = contents(s.disk);
    mrig_free(&r);

    mrig_new(&r, &s.options);
    load(&r, s.file);
    mrig_run(&r, 900000);
    uint64_t later = machine_hash(r.m);
    mrig_free(&r);

    mrig_new(&r, &s.options); // the last one has written to it
    expect_refused(&r, s.file, "disk.img has changed since the snapshot was saved");
    mrig_free(&r);

    cr_assert(g_file_set_contents(s.disk, then, MRIG_DISK_SIZE, NULL)); // of another date
    mrig_new(&r, &s.options);
    load(&r, s.file);
    mrig_run(&r, 900000);
    cr_assert_eq(machine_hash(r.m), later);
    mrig_free(&r);

    cr_assert(g_file_set_contents(s.disk, then, MRIG_DISK_SIZE, NULL));
    s.options.in_place = false; // as a base of an overlay it will do as well
    mrig_new(&r, &s.options);
    load(&r, s.file);
    mrig_run(&r, 900000);
    cr_assert_eq(machine_hash(r.m), later);
    mrig_free(&r);
    scene_free(&s);
}

Test(snapshot, wants_an_overlay_for_an_overlay)
{
    struct scene s;
    struct machine_rig r;
    scene_init(&s, 1, false);
    mrig_new(&r, &s.options);
    mrig_run(&r, 500000);
    save(&r, s.file, SNAPSHOT_PACKED);
    mrig_free(&r);
    s.options.in_place = true;
    mrig_new(&r, &s.options);
    expect_refused(&r, s.file, "was saved with snapshot=on");
    mrig_free(&r);
    g_autofree char *bytes = contents(s.disk);
    bytes[12345] ^= 1;
    cr_assert(g_file_set_contents(s.disk, bytes, MRIG_DISK_SIZE, NULL));
    s.options.in_place = false;
    mrig_new(&r, &s.options);
    expect_refused(&r, s.file, "disk.img has changed");
    mrig_free(&r);
    scene_free(&s);
}

// --- Files that are not right ---

static void save_one(struct scene *s, enum snapshot_form form)
{
    struct machine_rig r;
    mrig_new(&r, &s->options);
    mrig_run(&r, 400000);
    save(&r, s->file, form);
    mrig_free(&r);
}

// One byte is another; the file is refused, unless it was one that nobody reads.
static void try_damaged(struct machine_rig *r, const char *file, int fd, off_t at, uint64_t good)
{
    GError *error = NULL;
    uint8_t byte, bad;
    uint64_t before = machine_hash(r->m);
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    bad = byte ^ 0x40;
    cr_assert_eq(pwrite(fd, &bad, 1, at), 1);
    if (snapshot_load(r->m, file, &error)) {
        cr_assert_eq(machine_hash(r->m), good, "byte %d", (int)at);
        mrig_run(r, machine_icount(r->m) + 1000);
    } else {
        cr_assert_eq(machine_hash(r->m), before, "byte %d", (int)at);
        g_error_free(error);
    }
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
}

static void check_damage(enum snapshot_form form)
{
    struct scene s;
    struct machine_rig r;
    struct stat st;
    uint64_t seed = 1;
    scene_init(&s, 1, false);
    save_one(&s, form);
    mrig_new(&r, &s.options);
    load(&r, s.file);
    uint64_t good = machine_hash(r.m);
    mrig_run(&r, 500000);
    stat(s.file, &st);
    int fd = open(s.file, O_RDWR);
    for (off_t at = 0; at < 64; at++)
        try_damaged(&r, s.file, fd, at, good);
    for (unsigned i = 0; i < moments(50); i++)
        try_damaged(&r, s.file, fd,
                    (off_t)(((uint64_t)next_random(&seed) << 31 | next_random(&seed)) %
                            (uint64_t)st.st_size),
                    good);
    for (unsigned i = 0; i < moments(30); i++) // the table, at the end
        try_damaged(&r, s.file, fd, st.st_size - 1 - next_random(&seed) % 5000, good);
    close(fd);
    mrig_free(&r);
    scene_free(&s);
}

Test(snapshot, damaged_and_packed)
{
    check_damage(SNAPSHOT_PACKED);
}

Test(snapshot, damaged_and_mapped)
{
    check_damage(SNAPSHOT_MAPPED);
}

Test(snapshot, cut_off)
{
    for (unsigned form = 0; form < 2; form++) {
        struct scene s;
        struct machine_rig r;
        struct stat st;
        uint64_t seed = 1;
        scene_init(&s, 1, false);
        save_one(&s, (enum snapshot_form)form);
        mrig_new(&r, &s.options);
        stat(s.file, &st);
        for (off_t size = st.st_size - 1; size > 0;
             size -= 1 + next_random(&seed) % (st.st_size / 10)) {
            cr_assert_eq(truncate(s.file, size), 0);
            expect_refused(&r, s.file,
                           size < 8    ? "is no snapshot"
                           : size < 64 ? "is damaged"
                                       : "is cut off");
        }
        cr_assert_eq(truncate(s.file, 0), 0);
        expect_refused(&r, s.file, "is no snapshot of a machine");
        mrig_free(&r);
        scene_free(&s);
    }
}

Test(snapshot, files_of_something_else)
{
    struct scene s;
    struct machine_rig r;
    scene_init(&s, 1, false);
    mrig_new(&r, &s.options);
    expect_refused(&r, s.disk, "is no snapshot of a machine");
    expect_refused(&r, s.folder, "is no snapshot of a machine");
    expect_refused(&r, "/nonexistent/x", "cannot open /nonexistent/x");
    GError *error = NULL;
    cr_assert_not(snapshot_save(r.m, "/nonexistent/x", SNAPSHOT_PACKED, &error));
    cr_assert(strstr(error->message, "cannot write /nonexistent/x"));
    g_error_free(error);
    mrig_free(&r);
    scene_free(&s);
}

Test(snapshot, of_another_machine)
{
    struct scene s;
    struct machine_rig r;
    scene_init(&s, 1, false);
    save_one(&s, SNAPSHOT_PACKED);
    s.options.smp = 2;
    mrig_new(&r, &s.options);
    expect_refused(&r, s.file,
                   "it has 'cpus 1, rv64, an instruction takes 1 ns' where this one has 'cpus 2");
    mrig_free(&r);
    s.options.smp = 1;
    mrig_init(&r, &s.options);
    r.cfg.ram_size = 64 << 20;
    mrig_start(&r);
    expect_refused(&r, s.file, "it has 'memory ram, 49152 KiB at 0x80000000' where");
    mrig_free(&r);
    mrig_init(&r, &s.options);
    r.cfg.icount_shift = 2;
    mrig_start(&r);
    expect_refused(&r, s.file, "takes 4 ns");
    mrig_free(&r);
    s.options.net = false;
    mrig_new(&r, &s.options);
    expect_refused(&r, s.file, "virtio-net-device");
    mrig_free(&r);
    s.options.disk = NULL;
    s.options.net = true;
    mrig_new(&r, &s.options);
    expect_refused(&r, s.file, "virtio-blk-device");
    mrig_free(&r);
    scene_free(&s);
}

// The disk is full while the file is written: the old one stays, and no other is left.
Test(snapshot, that_could_not_be_written)
{
    struct scene s;
    struct machine_rig r;
    struct rlimit before, limit;
    GError *error = NULL;
    scene_init(&s, 1, false);
    save_one(&s, SNAPSHOT_PACKED);
    g_autofree char *old = NULL;
    gsize len, now_len;
    cr_assert(g_file_get_contents(s.file, &old, &len, NULL));
    mrig_new(&r, &s.options);
    mrig_run(&r, 600000);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = len / 2;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    for (unsigned form = 0; form < 2; form++) {
        cr_assert_not(snapshot_save(r.m, s.file, (enum snapshot_form)form, &error));
        cr_assert(strstr(error->message, "cannot write"), "%s", error->message);
        g_clear_error(&error);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    g_autofree char *now = NULL;
    cr_assert(g_file_get_contents(s.file, &now, &now_len, NULL));
    cr_assert(now_len == len && !memcmp(old, now, len));
    unsigned files = 0;
    GDir *dir = g_dir_open(s.folder, 0, NULL);
    while (g_dir_read_name(dir))
        files++;
    g_dir_close(dir);
    cr_assert_eq(files, 2);
    load(&r, s.file);
    mrig_free(&r);
    scene_free(&s);
}

// --- By name ---

Test(snapshot, has_a_name)
{
    struct scene s;
    struct machine_rig r;
    GError *error = NULL;
    scene_init(&s, 1, false);
    g_autofree char *dir = g_build_filename(s.folder, "snaps", NULL);
    mrig_new(&r, &s.options);
    GArray *list = snapshot_list(dir, &error);
    cr_assert(list && list->len == 0);
    g_array_unref(list);
    mrig_run(&r, 100000);
    uint64_t first = machine_hash(r.m);
    cr_assert(snapshot_save_tag(r.m, dir, "first one", SNAPSHOT_PACKED, &error));
    mrig_run(&r, 200000);
    cr_assert(snapshot_save_tag(r.m, dir, "second", SNAPSHOT_MAPPED, &error));
    list = snapshot_list(dir, &error);
    cr_assert_eq(list->len, 2);
    const struct snapshot_info *info = &g_array_index(list, struct snapshot_info, 0);
    cr_assert_str_eq(info->tag, "first one");
    cr_assert(info->icount == 100000 && info->form == SNAPSHOT_PACKED && info->size && info->date);
    cr_assert_str_eq(info[1].tag, "second");
    cr_assert(info[1].icount == 200000 && info[1].form == SNAPSHOT_MAPPED);
    cr_assert_gt(info[1].guest_ns, info[0].guest_ns);
    g_array_unref(list);
    cr_assert(snapshot_load_tag(r.m, dir, "first one", &error));
    cr_assert_eq(machine_hash(r.m), first);
    cr_assert(snapshot_delete_tag(r.m, dir, "first one", &error));
    cr_assert_not(snapshot_load_tag(r.m, dir, "first one", &error));
    cr_assert(strstr(error->message, "there is no snapshot 'first one'"));
    g_clear_error(&error);
    cr_assert_not(snapshot_delete_tag(r.m, dir, "first one", &error));
    g_clear_error(&error);
    static const char *const bad[] = {"", ".", "..", "a/b", ".hidden", "new\nline"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        cr_assert_not(snapshot_save_tag(r.m, dir, bad[i], SNAPSHOT_PACKED, &error));
        cr_assert(strstr(error->message, "can't be the name of a snapshot"));
        g_clear_error(&error);
    }
    g_autofree char *found = snapshot_find(dir, "second", &error),
                    *file = snapshot_find(dir, s.disk, &error);
    cr_assert(g_str_has_suffix(found, "/snaps/second.snap"));
    cr_assert_str_eq(file, s.disk);
    cr_assert_null(snapshot_find(dir, "third", &error));
    g_clear_error(&error);
    mrig_free(&r);
    mrig_remove_folder(g_steal_pointer(&dir));
    scene_free(&s);
}
