// SPDX-License-Identifier: MIT
// Journals, and the door recording and replaying: what comes back is what was recorded, at the same place, and what
// is different is found.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/journal.h"
#include "base/replay.h"

// --- Journals ---

static char *temp_path(void)
{
    char *path;
    int fd = g_file_open_tmp("journal-XXXXXX", &path, NULL);
    cr_assert(ge(int, fd, 0));
    close(fd);
    return path;
}

static struct journal *create(const char *path, const char *head)
{
    GError *error = NULL;
    struct journal *j = journal_create(path, &error);
    cr_assert_not_null(j, "%s", error ? error->message : "");
    if (head)
        journal_set_head(j, head);
    return j;
}

static struct journal *reopen(const char *path)
{
    GError *error = NULL;
    struct journal *j = journal_open(path, &error);
    cr_assert_not_null(j, "%s", error ? error->message : "");
    return j;
}

// Bytes that look random but in their second half do not.
static void fill(uint8_t *buf, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        buf[i] = i < len / 2 ? (uint8_t)(seed >> 24) : (uint8_t)(i / 1000);
    }
}

static void append_all(struct journal *j, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0, n = 1; at < len; at += n, n = n * 3 % 9001 + 1) {
        n = MIN(n, len - at);
        journal_append(j, bytes + at, n);
    }
}

static void expect_bytes(struct journal *j, const uint8_t *bytes, size_t len)
{
    g_autofree uint8_t *back = g_malloc(len + 1);
    cr_assert(eq(u64, journal_end(j), len));
    cr_assert(eq(sz, journal_read(j, 0, back, len + 1), len));
    cr_assert(eq(int, memcmp(back, bytes, len), 0));
    for (size_t at = len; at > 0; at -= MIN(at, 70000)) {
        size_t n = MIN(100, len - at + 1), got = journal_read(j, at - 1, back, n);
        cr_assert(eq(sz, got, n));
        cr_assert(eq(int, memcmp(back, bytes + at - 1, n), 0));
    }
}

#define LEN 700001

Test(journal, in_memory)
{
    g_autofree uint8_t *bytes = g_malloc(LEN);
    struct journal *j = journal_new();
    fill(bytes, LEN, 1);
    append_all(j, bytes, LEN);
    expect_bytes(j, bytes, LEN);
    uint64_t memory = journal_memory(j);
    journal_forget(j, 400000);
    cr_assert(lt(u64, journal_memory(j), memory - 300000));
    uint8_t byte;
    cr_assert(eq(sz, journal_read(j, 400000, &byte, 1), 1));
    cr_assert(eq(u8, byte, bytes[400000]));
    journal_free(j);
}

Test(journal, in_a_file)
{
    g_autofree uint8_t *bytes = g_malloc(LEN);
    g_autofree char *path = temp_path();
    fill(bytes, LEN, 2);
    struct journal *j = create(path, "a head\nof two lines");
    append_all(j, bytes, LEN);
    expect_bytes(j, bytes, LEN); // while it is being written
    journal_free(j);
    j = reopen(path);
    cr_assert_str_eq(journal_head(j), "a head\nof two lines");
    expect_bytes(j, bytes, LEN);
    cr_assert_null(journal_error(j));
    journal_free(j);
    struct stat st;
    stat(path, &st);
    cr_assert(lt(int, (int)st.st_size, LEN * 6 / 10)); // half of it is compressed well
    unlink(path);
}

Test(journal, whose_head_comes_late)
{
    g_autofree uint8_t *bytes = g_malloc(LEN);
    g_autofree char *path = temp_path();
    fill(bytes, LEN, 3);
    struct journal *j = create(path, NULL);
    append_all(j, bytes, LEN - 10);
    journal_set_head(j, "late");
    journal_append(j, bytes + LEN - 10, 10);
    journal_free(j);
    j = reopen(path);
    expect_bytes(j, bytes, LEN);
    journal_free(j);
    unlink(path);
}

// However often it is cut and goes on, and whether it is flushed in between.
Test(journal, truncated_and_gone_on_with)
{
    static const size_t cuts[] = {LEN, 650000, 65536 * 3, 65536 * 2 + 5, 65536 * 2 + 4, 1, 0, 100};
    g_autofree uint8_t *bytes = g_malloc(LEN), *other = g_malloc(LEN);
    for (unsigned flushed = 0; flushed < 3; flushed++) {
        g_autofree char *path = temp_path();
        struct journal *j = flushed == 2 ? journal_new() : create(path, "head");
        size_t len = 0;
        fill(bytes, LEN, 4);
        for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++) {
            fill(other, LEN, 5 + i);
            append_all(j, bytes + len, LEN - len);
            if (flushed == 1)
                journal_flush(j);
            expect_bytes(j, bytes, LEN);
            len = cuts[i];
            journal_truncate(j, len);
            memcpy(bytes + len, other + len, LEN - len);
            expect_bytes(j, bytes, len);
        }
        journal_free(j);
        if (flushed < 2) {
            j = reopen(path);
            expect_bytes(j, bytes, len);
            journal_free(j);
        }
        unlink(path);
    }
}

Test(journal, that_breaks_off)
{
    g_autofree uint8_t *bytes = g_malloc(LEN), *back = g_malloc(LEN);
    g_autofree char *path = temp_path();
    struct stat st;
    fill(bytes, LEN, 6);
    struct journal *j = create(path, "head");
    append_all(j, bytes, LEN);
    journal_free(j);
    stat(path, &st);
    for (off_t size = st.st_size - 1; size > 40; size -= 30011) {
        cr_assert(eq(int, truncate(path, size), 0));
        j = reopen(path);
        uint64_t len = journal_end(j);
        cr_assert(lt(u64, len, LEN));
        cr_assert(eq(u64, len % 65536, 0));
        cr_assert(eq(sz, journal_read(j, 0, back, LEN), len));
        cr_assert(eq(int, memcmp(back, bytes, len), 0));
        journal_free(j);
    }
    unlink(path);
}

Test(journal, flipped_bits_are_found)
{
    g_autofree uint8_t *bytes = g_malloc(LEN), *back = g_malloc(LEN);
    g_autofree char *path = temp_path();
    struct stat st;
    fill(bytes, LEN, 7);
    struct journal *j = create(path, "head");
    append_all(j, bytes, LEN);
    journal_free(j);
    stat(path, &st);
    int fd = open(path, O_RDWR);
    for (off_t at = 0; at < st.st_size; at += at < 60 ? 1 : 4999) {
        uint8_t byte;
        cr_assert(eq(int, (int)pread(fd, &byte, 1, at), 1));
        byte ^= 0x10;
        cr_assert(eq(int, (int)pwrite(fd, &byte, 1, at), 1));
        j = journal_open(path, NULL);
        if (j) {
            size_t n = journal_read(j, 0, back, LEN);
            cr_assert(lt(sz, n, LEN), "byte %d of the file makes no difference", (int)at);
            cr_assert(eq(int, memcmp(back, bytes, n), 0));
            journal_free(j);
        }
        byte ^= 0x10;
        cr_assert(eq(int, (int)pwrite(fd, &byte, 1, at), 1));
    }
    close(fd);
    unlink(path);
}

Test(journal, files_that_are_none)
{
    g_autofree char *path = temp_path();
    GError *error = NULL;
    cr_assert_null(journal_open("/nonexistent/x", &error));
    cr_assert(strstr(error->message, "cannot open /nonexistent/x") != NULL);
    g_clear_error(&error);
    cr_assert_null(journal_open(path, &error));
    cr_assert(strstr(error->message, "is no recording") != NULL);
    g_clear_error(&error);
    cr_assert_null(journal_create("/nonexistent/x", &error));
    cr_assert(strstr(error->message, "cannot write /nonexistent/x") != NULL);
    g_clear_error(&error);
    unlink(path);
}

Test(journal, on_a_full_disk_says_so)
{
    struct journal *j = journal_create("/dev/full", NULL);
    if (!j)
        cr_skip_test("no /dev/full");
    journal_set_head(j, "head");
    cr_assert(strstr(journal_error(j)->message, "/dev/full") != NULL);
    journal_append(j, "x", 1);
    journal_free(j);
}

// --- The door ---

// A machine of which only the position counts: it steps, and writes down what came in where.
struct toy {
    struct door *door;
    struct door_position at;
    GString *seen;
    unsigned keys, net, disk;
    bool asks; // when it gets a key
};

static void toy_position(void *opaque, struct door_position *at)
{
    *at = ((struct toy *)opaque)->at;
}

static void note(struct toy *t, const char *what, const uint8_t *data, size_t len)
{
    g_string_append_printf(t->seen, "%d.%d.%d %s ", (int)t->at.icount, (int)t->at.moves,
                           (int)t->at.ns, what);
    g_string_append_len(t->seen, len ? (const char *)data : "", (gssize)len);
    g_string_append_c(t->seen, '\n');
}

static void ask(struct toy *t, uint64_t key, const char *world)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();
    if (!door_recall(t->door, t->disk, key, answer)) {
        g_byte_array_append(answer, (const uint8_t *)world, (guint)strlen(world));
        door_remember(t->door, t->disk, key, answer->data, answer->len);
    }
    note(t, "read", answer->data, answer->len);
}

static void on_key(void *opaque, const uint8_t *data, size_t len)
{
    struct toy *t = opaque;
    note(t, "key", data, len);
    if (t->asks)
        ask(t, len ? data[0] : 0, "because of a key");
}

static void on_packet(void *opaque, const uint8_t *data, size_t len)
{
    note(opaque, "packet", data, len);
}

static void toy_init(struct toy *t)
{
    *t = (struct toy){.door = door_new(1), .seen = g_string_new(NULL)};
    door_set_machine(t->door, &(struct door_machine){.position = toy_position, .opaque = t});
    t->keys = door_register(t->door, DOOR_CHAR, "keys", on_key, t);
    t->net = door_register(t->door, DOOR_PACKET, "net0", on_packet, t);
    t->disk = door_register(t->door, DOOR_DISK, "hd0", NULL, NULL);
}

static void toy_free(struct toy *t)
{
    door_free(t->door);
    g_string_free(t->seen, TRUE);
}

static void send(struct toy *t, unsigned id, const char *text)
{
    door_deliver(t->door, id, (const uint8_t *)text, strlen(text));
}

// What happens in the world is left out when replaying. Returns what the last door_run_due said.
static enum door_due live(struct toy *t)
{
    struct door_position steps[] = {{0, 0, 0}, {0, 1, 0},  {5, 1, 5},  {5, 1, 9},
                                    {5, 2, 9}, {70, 2, 7}, {70, 3, 7}, {100, 3, 40}};
    enum door_due due = DOOR_NOTHING;
    for (unsigned i = 0; i < G_N_ELEMENTS(steps) && due < DOOR_END; i++) {
        t->at = steps[i];
        due = door_run_due(t->door);
        if (i == 1)
            send(t, t->keys, "a");
        if (i == 3)
            send(t, t->net, "packet one"), send(t, t->keys, "b");
        if (i == 5) {
            send(t, t->keys, "");
            ask(t, 77, "seventy-seven");
        }
        if (i == 6)
            send(t, t->net, "packet two");
    }
    return due;
}

static GString *record(struct journal *j)
{
    struct toy t;
    toy_init(&t);
    t.asks = true;
    door_record(t.door, j, true);
    cr_assert(door_is_recording(t.door));
    cr_assert(door_logs_disks(t.door));
    cr_assert(eq(int, live(&t), DOOR_NOTHING));
    door_record_end(t.door);
    GString *seen = g_string_new(t.seen->str);
    toy_free(&t);
    return seen;
}

Test(replay, gives_the_same)
{
    struct journal *j = journal_new();
    GString *seen = record(j);
    struct toy t;
    toy_init(&t);
    t.asks = true;
    door_replay(t.door, j, true);
    cr_assert(door_is_replaying(t.door));
    cr_assert(eq(u64, door_next(t.door), 0));
    cr_assert(eq(int, live(&t), DOOR_END));
    cr_assert(eq(str, t.seen->str, seen->str));
    cr_assert(strstr(seen->str, "0.1.0 key a\n0.1.0 read because") != NULL);
    cr_assert_null(door_problem(t.door));
    toy_free(&t);
    g_string_free(seen, TRUE);
    journal_free(j);
}

static void expect_problem(struct toy *t, const char *part)
{
    cr_assert_not_null(door_problem(t->door));
    cr_assert_not_null(strstr(door_problem(t->door)->message, part), "%s",
                       door_problem(t->door)->message);
}

Test(replay, finds_an_answer_that_is_not_asked_for)
{
    struct journal *j = journal_new();
    g_string_free(record(j), TRUE);
    struct toy t;
    toy_init(&t);
    door_replay(t.door, j, true);
    cr_assert(eq(int, live(&t), DOOR_PROBLEM));
    expect_problem(&t, "at instruction 5: hd0 was asked at instruction 0, and this time was not");
    toy_free(&t);
    journal_free(j);
}

Test(replay, finds_another_question)
{
    struct journal *j = journal_new();
    g_string_free(record(j), TRUE);
    struct toy t;
    toy_init(&t);
    door_replay(t.door, j, true);
    t.at.moves = 1;
    cr_assert(eq(int, door_run_due(t.door), DOOR_DELIVERED));
    ask(&t, 98, "nothing");
    expect_problem(&t, "hd0 is asked for 98; it was hd0 for 97");
    toy_free(&t);
    journal_free(j);
}

Test(replay, finds_a_question_too_many)
{
    struct journal *j = journal_new();
    struct toy t;
    toy_init(&t);
    door_replay(t.door, j, true);
    ask(&t, 98, "nothing");
    expect_problem(&t, "hd0 is asked for 98, which did not happen then");
    cr_assert(eq(int, door_run_due(t.door), DOOR_PROBLEM));
    toy_free(&t);
    journal_free(j);
}

Test(replay, finds_that_the_machine_was_elsewhere)
{
    struct journal *j = journal_new();
    g_string_free(record(j), TRUE);
    struct toy t;
    toy_init(&t);
    door_replay(t.door, j, true);
    t.at = (struct door_position){0, 2, 0};
    cr_assert(eq(int, door_run_due(t.door), DOOR_PROBLEM));
    expect_problem(&t,
                   "keys got 1 bytes at instruction 0, and this time the machine was elsewhere");
    toy_free(&t);
    journal_free(j);
}

Test(replay, tells_where_to_stop)
{
    struct journal *j = journal_new();
    g_string_free(record(j), TRUE);
    struct toy t;
    toy_init(&t);
    t.asks = true;
    door_replay(t.door, j, true);
    t.at.moves = 1;
    door_run_due(t.door);
    cr_assert(eq(u64, door_next(t.door), 5));
    cr_assert(eq(u64, door_next_ns(t.door), CLOCK_NEVER)); // before that count time may pass
    t.at = (struct door_position){5, 1, 5};
    cr_assert(eq(int, door_run_due(t.door), DOOR_NOTHING));
    cr_assert(eq(u64, door_next_ns(t.door), 9));
    t.at.ns = 9;
    cr_assert(eq(int, door_run_due(t.door), DOOR_DELIVERED));
    cr_assert(eq(u64, door_next(t.door), 70));
    send(&t, t.keys, "dropped");
    cr_assert_null(strstr(t.seen->str, "dropped"));
    cr_assert(eq(u64, door_passed(t.door), 0)); // from outside
    toy_free(&t);
    journal_free(j);
}

Test(replay, of_a_recording_that_breaks_off_ends)
{
    struct journal *j = journal_new();
    GString *seen = record(j);
    journal_truncate(j, journal_end(j) - 6);
    struct toy t;
    toy_init(&t);
    t.asks = true;
    door_replay(t.door, j, true);
    cr_assert(eq(int, live(&t), DOOR_END));
    cr_assert(g_str_has_prefix(seen->str, t.seen->str));
    toy_free(&t);
    g_string_free(seen, TRUE);
    journal_free(j);
}

// A machine goes back, and forward again: first as it was, then elsewhere.
Test(replay, of_parts)
{
    struct journal *j = journal_new();
    struct door_moment start, present;
    struct toy t;
    toy_init(&t);
    t.asks = true;
    door_record(t.door, j, false);
    cr_assert_not(door_logs_disks(t.door));
    door_moment(t.door, &start);
    live(&t);
    door_moment(t.door, &present);
    g_autofree char *seen = g_strdup(t.seen->str);
    g_string_truncate(t.seen, 0);
    t.at = start.at;
    door_replay_part(t.door, &start, &present);
    cr_assert(eq(int, live(&t), DOOR_END));
    cr_assert(eq(str, t.seen->str, seen));
    door_go_live(t.door);
    cr_assert(eq(u64, journal_end(j), present.offset));
    t.at = start.at;
    door_replay_part(t.door, &start, &present);
    t.at.moves = 1;
    door_run_due(t.door);
    door_go_live(t.door);
    cr_assert(lt(u64, journal_end(j), present.offset));
    send(&t, t.keys, "new");
    cr_assert(g_str_has_suffix(t.seen->str, "0.1.0 key new\n0.1.0 read because of a key\n"));
    toy_free(&t);
    journal_free(j);
}

Test(replay, answers_that_are_there_now_and_then)
{
    struct journal *j = journal_new();
    g_autoptr(GByteArray) answer = g_byte_array_new();
    struct toy t;
    toy_init(&t);
    cr_assert_not(door_recall_if(t.door, t.disk, 5, answer));
    door_record(t.door, j, true);
    cr_assert_not(door_recall_if(t.door, t.disk, 5, answer));
    door_remember(t.door, t.disk, 5, "no", 2);
    door_replay(t.door, j, true);
    cr_assert_not(door_recall_if(t.door, t.disk, 4, answer));
    cr_assert(door_recall_if(t.door, t.disk, 5, answer));
    cr_assert(eq(u32, answer->len, 2));
    cr_assert_not(door_recall_if(t.door, t.disk, 5, answer));
    cr_assert_null(door_problem(t.door));
    toy_free(&t);
    journal_free(j);
}

Test(replay, of_the_date)
{
    struct journal *j = journal_new();
    struct door *a = door_new(1), *b = door_new(1);
    door_record(a, j, false);
    uint64_t ns = door_epoch_ns(a);
    g_usleep(2000);
    door_replay(b, j, false);
    cr_assert(eq(u64, door_epoch_ns(b), ns));
    door_free(a);
    door_free(b);
    journal_free(j);
}

// Whatever a file says, nothing worse happens than a problem.
Test(replay, of_damaged_entries)
{
    struct journal *good = journal_new();
    g_string_free(record(good), TRUE);
    uint8_t bytes[4096];
    size_t len = journal_read(good, 0, bytes, sizeof(bytes));
    for (unsigned i = 0; i < len * 8; i++) {
        struct journal *j = journal_new();
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        journal_append(j, bytes, len);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        struct toy t;
        toy_init(&t);
        t.asks = true;
        door_replay(t.door, j, true);
        live(&t);
        toy_free(&t);
        journal_free(j);
    }
    journal_free(good);
}
