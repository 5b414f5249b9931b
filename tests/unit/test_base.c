// SPDX-License-Identifier: MIT
//
// The base layer: log, guest time, state tables, the hash of bytes, and the replay door.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/replay.h"
#include "base/state.h"

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static bool same(const void *a, const void *b, size_t len)
{
    return !memcmp(a, b, len);
}

// --- Bits ---

Test(bits, fields_and_signs)
{
    cr_assert(eq(u64, MASK(7, 4), 0xf0));
    cr_assert(eq(u64, MASK(63, 0), UINT64_MAX));
    cr_assert(eq(u64, bits_get(0xabcd, 4, 8), 0xbc));
    cr_assert(eq(u64, bits_get(UINT64_MAX, 0, 64), UINT64_MAX));
    cr_assert(eq(u64, bits_set(0xabcd, 4, 8, 0x112), 0xa12d));
    cr_assert(eq(i64, bits_sext(0x800, 12), -2048));
    cr_assert(eq(i64, bits_sext(0x7ff, 12), 2047));
    cr_assert(eq(u64, align_up(0x1001, 0x1000), 0x2000));
    cr_assert(eq(u64, align_down(0x1fff, 0x1000), 0x1000));
    cr_assert(is_pow2(1) && is_pow2(64));
    cr_assert(not(is_pow2(0) || is_pow2(6)));
}

Test(bits, byte_order)
{
    static const uint8_t image[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t out[8] = {0};
    cr_assert(eq(u64, load_le(image + 1, 4), 0x05040302));
    cr_assert(eq(u64, load_be(image + 1, 4), 0x02030405));
    cr_assert(eq(u64, load_be(image, 8), UINT64_C(0x0102030405060708)));
    store_be(out, 2, 0xaabb);
    store_le(out + 2, 2, 0xaabb);
    cr_assert(eq(u32, (uint32_t)load_le(out, 4), 0xaabbbbaa));
}

// --- Log ---

Test(log, mask_from_names)
{
    g_autoptr(GError) error = NULL;
    cr_assert(log_set_mask("int,guest_errors", &error));
    cr_assert(eq(u32, log_mask, LOG_INT | LOG_GUEST));
    cr_assert(log_on(LOG_GUEST | LOG_MMU));
    cr_assert(not(log_on(LOG_MMU)));
}

Test(log, unknown_name_is_named_and_changes_nothing)
{
    g_autoptr(GError) error = NULL;
    cr_assert(log_set_mask("cpu", NULL));
    cr_assert(not(log_set_mask("int,bogus", &error)));
    cr_assert(g_error_matches(error, FERRY_ERROR, FERRY_ERROR_OPTION));
    cr_assert(has(error->message, "'bogus'"));
    cr_assert(eq(u32, log_mask, LOG_CPU));
}

Test(log, file)
{
    g_autofree char *path = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;
    close(g_file_open_tmp("ferry-log-XXXXXX", &path, NULL));
    cr_assert(log_set_file(path, &error));
    log_mask = LOG_GUEST;
    log_guest("seen %d\n", 1);
    log_unimp("not seen %d\n", 2);
    cr_assert(
        g_file_get_contents(path, &text, NULL, NULL)); // a line is there as soon as it is complete
    cr_assert(eq(str, text, (char *)"seen 1\n"));
    unlink(path);
}

Test(log, file_that_cannot_be_written)
{
    g_autoptr(GError) error = NULL;
    cr_assert(not(log_set_file("/nonexistent/log", &error)));
    cr_assert(g_error_matches(error, FERRY_ERROR, FERRY_ERROR_FILE));
    cr_assert(has(error->message, "/nonexistent/log"));
    cr_assert(eq(ptr, log_stream(), stderr));
}

Test(log, help_has_every_channel)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    log_print_help(out);
    fclose(out);
#define X(e, name, help) cr_assert(has(text, "\n" name) && has(text, help));
    LOG_CHANNELS(X)
#undef X
    free(text);
}

// --- Clock ---

struct ticker {
    struct clock *clk;
    struct timer timer;
    GString *trace; // shared; the ticker's letter is appended when it fires
    char letter;
    uint64_t again;      // next deadline, armed by the handler
    struct ticker *arms; // is armed for now by the handler
};

static void tick(void *opaque)
{
    struct ticker *t = opaque;
    g_string_append_c(t->trace, t->letter);
    cr_assert(eq(u64, t->timer.deadline, CLOCK_NEVER));
    if (t->again)
        clock_at(t->clk, &t->timer, t->again);
    if (t->arms)
        clock_at(t->clk, &t->arms->timer, clock_now(t->clk));
}

struct bench {
    struct clock *clk;
    GString *trace;
    struct ticker a, b, c;
};

static void bench_init(struct bench *x)
{
    *x = (struct bench){.clk = clock_new(), .trace = g_string_new(NULL)};
    struct ticker *all[] = {&x->a, &x->b, &x->c};
    for (unsigned i = 0; i < 3; i++) {
        *all[i] = (struct ticker){.clk = x->clk, .trace = x->trace, .letter = (char)('a' + i)};
        clock_register(x->clk, &all[i]->timer, tick, all[i]);
    }
}

static void bench_free(struct bench *x)
{
    clock_free(x->clk);
    g_string_free(x->trace, TRUE);
}

static void run_at(struct bench *x, uint64_t ns, const char *expected)
{
    g_string_truncate(x->trace, 0);
    x->clk->base_ns = ns;
    clock_run_due(x->clk);
    cr_assert(eq(str, x->trace->str, (char *)expected));
}

Test(clock, order_of_deadlines_then_of_registration)
{
    struct bench x;
    bench_init(&x);
    cr_assert(eq(u64, clock_next(x.clk), CLOCK_NEVER));
    clock_at(x.clk, &x.c.timer, 20);
    clock_at(x.clk, &x.b.timer, 30);
    clock_at(x.clk, &x.a.timer, 30);
    cr_assert(eq(u64, clock_next(x.clk), 20));
    run_at(&x, 19, "");
    run_at(&x, 30, "cab");
    run_at(&x, 40, "");
    bench_free(&x);
}

Test(clock, disarming_and_loaded_deadlines)
{
    struct bench x;
    bench_init(&x);
    clock_at(x.clk, &x.a.timer, 10);
    clock_at(x.clk, &x.a.timer, CLOCK_NEVER);
    x.b.timer.deadline = 15; // as a load of the owner's state does it
    cr_assert(eq(u64, clock_next(x.clk), 15));
    run_at(&x, UINT64_MAX, "b");
    bench_free(&x);
}

Test(clock, handlers_arm_timers)
{
    struct bench x;
    bench_init(&x);
    x.a.arms = &x.b;
    x.c.again = 25;
    clock_at(x.clk, &x.a.timer, 10);
    clock_at(x.clk, &x.c.timer, 10);
    run_at(&x, 20, "acb"); // b, armed for 20, comes after c of 10
    run_at(&x, 25, "c");
    bench_free(&x);
}

Test(clock, a_period_of_zero_does_not_hang)
{
    struct bench x;
    bench_init(&x);
    x.a.again = 1;
    clock_at(x.clk, &x.a.timer, 1);
    run_at(&x, 5, "a");
    run_at(&x, 5, "a");
    bench_free(&x);
}

Test(clock, unregistered_timers_do_not_fire)
{
    struct bench x;
    bench_init(&x);
    clock_at(x.clk, &x.a.timer, 1);
    clock_at(x.clk, &x.b.timer, 2);
    clock_unregister(x.clk, &x.a.timer);
    cr_assert(eq(u64, clock_next(x.clk), 2));
    run_at(&x, 5, "b");
    bench_free(&x);
}

// Back ends' timers fire apart from the machine's own, or not at all.
Test(clock, timers_of_the_outside)
{
    struct bench x;
    struct ticker out;
    bench_init(&x);
    out = (struct ticker){.clk = x.clk, .trace = x.trace, .letter = 'o'};
    clock_register_outside(x.clk, &out.timer, tick, &out);
    clock_at(x.clk, &out.timer, 5);
    clock_at(x.clk, &x.a.timer, 10);
    cr_assert(eq(u64, clock_next(x.clk), 5));
    cr_assert(eq(u64, clock_next_inside(x.clk), 10));
    run_at(&x, 20, "ao");
    clock_at(x.clk, &out.timer, 5);
    clock_at(x.clk, &x.a.timer, 10);
    g_string_truncate(x.trace, 0);
    cr_assert(eq(u32, clock_run_inside(x.clk), 1));
    cr_assert_str_eq(x.trace->str, "a");
    x.clk->outside_stops = true;
    cr_assert(eq(u64, clock_next(x.clk), CLOCK_NEVER));
    run_at(&x, 30, "");
    x.clk->outside_stops = false;
    run_at(&x, 30, "o");
    clock_unregister(x.clk, &out.timer);
    bench_free(&x);
}

static void count_call(void *opaque)
{
    ++*(unsigned *)opaque;
}

static uint64_t elapsed(void *opaque)
{
    return *(uint64_t *)opaque;
}

Test(clock, rearmed_when_the_earliest_becomes_earlier)
{
    struct bench x;
    unsigned calls = 0;
    bench_init(&x);
    x.clk->rearmed = count_call;
    x.clk->rearmed_opaque = &calls;
    clock_at(x.clk, &x.a.timer, 100);
    cr_assert(eq(u32, calls, 1));
    clock_at(x.clk, &x.b.timer, 100);
    clock_at(x.clk, &x.c.timer, 101);
    clock_at(x.clk, &x.a.timer, CLOCK_NEVER);
    cr_assert(eq(u32, calls, 1));
    clock_at(x.clk, &x.c.timer, 99);
    cr_assert(eq(u32, calls, 2));
    bench_free(&x);
}

Test(clock, now_is_exact_within_a_slice)
{
    struct bench x;
    uint64_t ns = 7;
    bench_init(&x);
    x.clk->base_ns = 1000;
    cr_assert(eq(u64, clock_now(x.clk), 1000));
    x.clk->elapsed_ns = elapsed;
    x.clk->elapsed_opaque = &ns;
    cr_assert(eq(u64, clock_now(x.clk), 1007));
    bench_free(&x);
}

static const uint64_t rates[] = {1,         3,          32768,      1000000,    10000000,
                                 999999999, 1000000000, 1000000007, 4000000000, UINT64_C(1) << 40};
static const uint64_t moments[] = {0,
                                   1,
                                   99,
                                   100,
                                   101,
                                   1000000000,
                                   1000000001,
                                   123456789012345678,
                                   UINT64_MAX,
                                   UINT64_C(1) << 62,
                                   UINT64_C(999999999999999999)};

Test(clock, ticks_agree_with_wide_arithmetic)
{
    for (unsigned r = 0; r < ARRAY_LEN(rates); r++) {
        for (unsigned m = 0; m < ARRAY_LEN(moments); m++) {
            unsigned __int128 ticks = (unsigned __int128)moments[m] * rates[r] / NS_PER_S;
            cr_assert(eq(u64, clock_ns_to_ticks(moments[m], rates[r]), (uint64_t)ticks));
            unsigned __int128 ns =
                ((unsigned __int128)moments[m] * NS_PER_S + rates[r] - 1) / rates[r];
            uint64_t expected = ns > UINT64_MAX ? CLOCK_NEVER : (uint64_t)ns;
            cr_assert(eq(u64, clock_ticks_to_ns(moments[m], rates[r]), expected));
        }
    }
}

Test(clock, first_ns_of_a_tick)
{
    for (uint64_t ticks = 0; ticks < 100000; ticks += 7) {
        uint64_t ns = clock_ticks_to_ns(ticks, 32768);
        cr_assert(ge(u64, clock_ns_to_ticks(ns, 32768), ticks));
        cr_assert(ns == 0 || clock_ns_to_ticks(ns - 1, 32768) < ticks);
    }
}

Test(clock, a_stopped_counter)
{
    cr_assert(eq(u64, clock_ns_to_ticks(12345, 0), 0));
    cr_assert(eq(u64, clock_ticks_to_ns(0, 0), 0));
    cr_assert(eq(u64, clock_ticks_to_ns(1, 0), CLOCK_NEVER));
}

// --- State tables ---

enum mood { CALM, CROSS };

struct channel_state {
    uint16_t count;
    bool busy;
    // one byte of padding
    uint32_t words[2];
};

struct thing {
    void *wiring;
    uint64_t pc;
    uint32_t regs[4];
    bool on, flags[3];
    enum mood mood;
    struct timer timer;
    uint8_t buf[40];
    struct channel_state one, many[2];
};

static const struct state_field channel_fields[] = {
    STATE_VAR(struct channel_state, count),
    STATE_VAR(struct channel_state, busy),
    STATE_ARRAY(struct channel_state, words),
    STATE_END,
};

static const struct state_field thing_fields[] = {
    STATE_VAR(struct thing, pc),
    STATE_ARRAY(struct thing, regs),
    STATE_VAR(struct thing, on),
    STATE_ARRAY(struct thing, flags),
    STATE_VAR(struct thing, mood),
    STATE_TIMER(struct thing, timer),
    STATE_BUF(struct thing, buf),
    STATE_SUB(struct thing, one, channel_fields),
    STATE_SUB_ARRAY(struct thing, many, channel_fields),
    STATE_END,
};

static void thing_fill(struct thing *t, uint8_t first)
{
    memset(t, 0, sizeof(*t));
    t->pc = UINT64_C(0x1122334455667788) + first;
    for (unsigned i = 0; i < 4; i++)
        t->regs[i] = i * 0x01010101u + first;
    t->on = true;
    t->flags[1] = true;
    t->mood = CROSS;
    t->timer.deadline = 42;
    memset(t->buf, first, sizeof(t->buf));
    t->one.count = 0x1234;
    t->many[1].words[1] = 0xdeadbeef;
    t->many[1].busy = true;
}

#define THING_BYTES (8 + 16 + 1 + 3 + 4 + 8 + 40 + 3 * (2 + 1 + 8))

Test(state, save_load_save)
{
    struct thing a, b;
    g_autoptr(GByteArray) saved = g_byte_array_new(), again = g_byte_array_new();
    thing_fill(&a, 7);
    memset(&b, 0, sizeof(b));
    b.wiring = &b;
    state_save(thing_fields, &a, saved);
    cr_assert(eq(u32, saved->len, THING_BYTES));
    cr_assert(eq(u8, saved->data[0], 0x8f)); // little-endian, in order of declaration
    g_byte_array_append(saved, (const uint8_t *)"rest", 4);

    const uint8_t *data = saved->data;
    size_t len = saved->len;
    g_autoptr(GError) error = NULL;
    cr_assert(state_load(thing_fields, &b, "thing", &data, &len, &error));
    cr_assert(len == 4 && same(data, "rest", 4));
    cr_assert(eq(ptr, b.wiring, &b));
    cr_assert(eq(ptr, state_diff(thing_fields, &a, &b), NULL));
    state_save(thing_fields, &b, again);
    cr_assert(again->len == THING_BYTES && same(again->data, saved->data, THING_BYTES));
}

Test(state, cut_off_at_any_byte_changes_nothing)
{
    struct thing a, b, before;
    g_autoptr(GByteArray) saved = g_byte_array_new();
    thing_fill(&a, 7);
    thing_fill(&b, 1);
    before = b;
    state_save(thing_fields, &a, saved);
    for (size_t cut = 0; cut < saved->len; cut++) {
        g_autofree uint8_t *copy = g_memdup2(saved->data, cut);
        const uint8_t *data = copy;
        size_t len = cut;
        g_autoptr(GError) error = NULL;
        cr_assert(not(state_load(thing_fields, &b, "uart0", &data, &len, &error)));
        cr_assert(g_error_matches(error, FERRY_ERROR, FERRY_ERROR_FORMAT));
        cr_assert(has(error->message, "uart0"));
        cr_assert(data == copy && len == cut);
        cr_assert(same(&b, &before, sizeof(b)));
    }
}

static void expect_load_error(size_t at, uint8_t byte, const char *field)
{
    struct thing a, b;
    g_autoptr(GByteArray) saved = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    thing_fill(&a, 7);
    thing_fill(&b, 7);
    state_save(thing_fields, &a, saved);
    saved->data[at] = byte;
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(not(state_load(thing_fields, &b, "uart0", &data, &len, &error)));
    cr_assert(has(error->message, field), "%s does not name %s", error->message, field);
    cr_assert(same(&a, &b, sizeof(a)));
}

Test(state, bools_are_zero_or_one)
{
    expect_load_error(24, 2, ": on ");
    expect_load_error(27, 0xff, ": flags ");
    expect_load_error(THING_BYTES - 9, 2, ": many[1].busy ");
}

static void expect_diff(const struct thing *a, const struct thing *b, const char *name)
{
    g_autofree char *got = state_diff(thing_fields, a, b);
    cr_assert(eq(str, got, (char *)name));
    cr_assert(ne(u64, state_hash(thing_fields, a, 0), state_hash(thing_fields, b, 0)));
}

Test(state, diff_names_the_field)
{
    struct thing a, b;
    thing_fill(&a, 7);
    b = a;
    b.many[1].words[1]++;
    expect_diff(&a, &b, "many[1].words[1]");
    b.one.busy = true;
    expect_diff(&a, &b, "one.busy");
    b.buf[39]++;
    expect_diff(&a, &b, "buf");
    b.timer.deadline = 1;
    expect_diff(&a, &b, "timer");
    b.regs[3]++;
    expect_diff(&a, &b, "regs[3]");
    b.pc++;
    expect_diff(&a, &b, "pc");
}

Test(state, hash_ignores_what_is_not_described)
{
    struct thing a, b;
    thing_fill(&a, 7);
    memset(&b, 0xff, sizeof(b));
    g_autoptr(GByteArray) saved = g_byte_array_new();
    state_save(thing_fields, &a, saved);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(thing_fields, &b, "thing", &data, &len, NULL));
    cr_assert(eq(u64, state_hash(thing_fields, &a, 5), state_hash(thing_fields, &b, 5)));
    cr_assert(ne(u64, state_hash(thing_fields, &a, 5), state_hash(thing_fields, &a, 6)));
}

Test(state, coverage)
{
    uint8_t mask[sizeof(struct thing)] = {0};
    unsigned described = 0;
    state_coverage(thing_fields, mask);
    for (unsigned i = 0; i < sizeof(mask); i++)
        described += mask[i];
    cr_assert(eq(u32, described, THING_BYTES));
    cr_assert(not(mask[offsetof(struct thing, wiring)]));
    cr_assert(not(mask[offsetof(struct thing, many[1]) + 3])); // padding
    cr_assert(mask[offsetof(struct thing, many[1].words[1]) + 3]);
}

Test(state, dump)
{
    struct thing a;
    GString *out = g_string_new(NULL);
    thing_fill(&a, 0);
    a.regs[2] = a.regs[1];
    state_dump(thing_fields, &a, "  ", out);
    cr_assert(has(out->str, "  pc = 0x1122334455667788\n"));
    cr_assert(has(out->str, "\n  regs = 0x0 0x1010101*2 0x3030303\n"));
    cr_assert(has(out->str, "\n  mood = 0x1\n"));
    cr_assert(has(out->str, "... (40 bytes)\n"));
    cr_assert(has(out->str, "\n  many[1].words = 0x0 0xdeadbeef\n"));
    g_string_free(out, TRUE);
}

// --- Hash of bytes ---

Test(hash, same_on_all_hosts)
{
    uint8_t bytes[300];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + 3);
    cr_assert(eq(u64, hash_bytes(NULL, 0, 0), UINT64_C(0x89789ebe9cffbb57)));
    cr_assert(eq(u64, hash_bytes(bytes, 13, 1), UINT64_C(0xe6a10b8e80e2b3a7)));
    cr_assert(eq(u64, hash_bytes(bytes, 300, 2), UINT64_C(0xc8fc69d08c4663b3)));
    uint8_t shifted[301];
    memcpy(shifted + 1, bytes, 300);
    cr_assert(
        eq(u64, hash_bytes(shifted + 1, 300, 2), UINT64_C(0xc8fc69d08c4663b3))); // at any alignment
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return (x > y) - (x < y);
}

static void expect_all_different(uint64_t *h, size_t n)
{
    qsort(h, n, sizeof(*h), compare_u64);
    for (size_t i = 1; i < n; i++)
        cr_assert(ne(u64, h[i - 1], h[i]));
}

// Inputs that differ little: lengths of zeros, single bits, single bytes' values.
Test(hash, similar_inputs)
{
    static uint8_t page[4096];
    static uint64_t h[4096 * 9 + 1];
    size_t n = 0;
    for (size_t len = 0; len <= 4096; len++)
        h[n++] = hash_bytes(page, len, 0);
    for (unsigned bit = 0; bit < 4096 * 8; bit++) {
        page[bit / 8] ^= (uint8_t)(1 << bit % 8);
        h[n++] = hash_bytes(page, sizeof(page), 0);
        page[bit / 8] = 0;
    }
    expect_all_different(h, n);
}

Test(hash, swapped_words_differ)
{
    uint64_t words[16], h[16 * 15 / 2 + 1];
    size_t n = 0;
    for (unsigned i = 0; i < 16; i++)
        words[i] = i;
    h[n++] = hash_bytes(words, sizeof(words), 0);
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned j = 0; j < i; j++) {
            words[i] = j, words[j] = i;
            h[n++] = hash_bytes(words, sizeof(words), 0);
            words[i] = i, words[j] = j;
        }
    }
    expect_all_different(h, n);
}

// Each bit of the input and of the seed changes each bit of the hash about half of the time.
Test(hash, avalanche)
{
    enum { TRIALS = 400, LEN = 72 };
    unsigned flips[64] = {0}, total = 0;
    struct door *door = door_new(1);
    for (unsigned t = 0; t < TRIALS; t++) {
        uint8_t bytes[LEN];
        door_entropy(door, bytes, sizeof(bytes));
        uint64_t h = hash_bytes(bytes, LEN, t);
        for (unsigned bit = 0; bit < LEN * 8; bit += 5, total++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            uint64_t changed = h ^ hash_bytes(bytes, LEN, t);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            for (unsigned i = 0; i < 64; i++)
                flips[i] += changed >> i & 1;
        }
    }
    for (unsigned i = 0; i < 64; i++) {
        double share = (double)flips[i] / total;
        cr_assert(share > 0.48 && share < 0.52, "bit %u flips in %.3f of all cases", i, share);
    }
    door_free(door);
}

// --- The door ---

struct sink {
    GString *got;
    struct door *door;
    unsigned other; // receives a copy at once when the input is "x"
};

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct sink *s = opaque;
    g_string_append_len(s->got, (const char *)data, (gssize)len);
    if (len == 1 && *data == 'x')
        door_deliver(s->door, s->other, (const uint8_t *)"y", 1);
}

static void read_position(void *opaque, struct door_position *at)
{
    *at = *(struct door_position *)opaque;
}

struct scene {
    struct door *door;
    struct door_position at;
    unsigned id;
    struct sink sink;
};

static void scene_init(struct scene *s)
{
    s->door = door_new(1);
    s->at = (struct door_position){.icount = 1000};
    s->sink = (struct sink){.got = g_string_new(NULL), .door = s->door};
    door_set_machine(s->door, &(struct door_machine){.position = read_position, .opaque = &s->at});
    door_register(s->door, DOOR_PACKET, "net0", receive, &s->sink);
    s->id = door_register(s->door, DOOR_CHAR, "serial0", receive, &s->sink);
    cr_assert(eq(u32, s->id, 1)); // stable: in order of registration
    s->sink.other = s->id;
}

static void scene_free(struct scene *s)
{
    g_string_free(s->sink.got, TRUE);
    door_free(s->door);
}

static void type(struct scene *s, const char *text)
{
    door_deliver(s->door, s->id, (const uint8_t *)text, strlen(text));
}

static void expect_got(struct scene *s, const char *text)
{
    cr_assert(eq(str, s->sink.got->str, (char *)text));
}

Test(door, between_slices_inputs_pass_at_once)
{
    struct scene s;
    scene_init(&s);
    type(&s, "a");
    expect_got(&s, "a");
    type(&s, "x");
    expect_got(&s, "axy");
    cr_assert(eq(u64, door_next(s.door), UINT64_MAX));
    scene_free(&s);
}

Test(door, within_a_slice_inputs_wait)
{
    struct scene s;
    scene_init(&s);
    door_set_running(s.door, true);
    type(&s, "a");
    s.at.icount += 5;
    type(&s, "b");
    expect_got(&s, "");
    cr_assert(eq(u64, door_next(s.door), 1000));
    door_set_running(s.door, false);
    door_run_due(s.door);
    expect_got(&s, "ab");
    scene_free(&s);
}

Test(door, scheduled_inputs_come_at_their_count_in_order)
{
    struct scene s;
    scene_init(&s);
    door_deliver_at(s.door, s.id, 2000, (const uint8_t *)"c", 1);
    door_deliver_at(s.door, s.id, 1500, (const uint8_t *)"a", 1);
    door_deliver_at(s.door, s.id, 2000, (const uint8_t *)"d", 1);
    door_deliver_at(s.door, s.id, 1500, (const uint8_t *)"b", 1);
    cr_assert(eq(u64, door_next(s.door), 1500));
    s.at.icount = 1499;
    door_run_due(s.door);
    expect_got(&s, "");
    s.at.icount = 1500;
    door_run_due(s.door);
    expect_got(&s, "ab");
    cr_assert(eq(u64, door_next(s.door), 2000));
    s.at.icount = 2000;
    door_run_due(s.door);
    expect_got(&s, "abcd");
    scene_free(&s);
}

Test(door, what_waits_is_freed_with_it)
{
    struct scene s;
    scene_init(&s);
    door_deliver_at(s.door, s.id, 5000, NULL, 0);
    scene_free(&s);
}

Test(door, entropy_depends_on_the_seed_alone)
{
    struct door *a = door_new(7), *b = door_new(7), *c = door_new(8);
    uint8_t x[100], y[100], z[100];
    door_entropy(a, x, sizeof(x));
    door_entropy(b, y, sizeof(y));
    door_entropy(c, z, sizeof(z));
    cr_assert(same(x, y, sizeof(x)));
    cr_assert(not(same(x, z, sizeof(x))));
    cr_assert(not(same(x, x + 50, 50)));
    door_free(a);
    door_free(b);
    door_free(c);
}

Test(door, entropy_is_state)
{
    struct door *a = door_new(7), *b = door_new(0);
    uint8_t x[33], y[33];
    g_autoptr(GByteArray) saved = g_byte_array_new();
    door_entropy(a, x, 5);
    state_save(door_state_fields, door_state(a), saved);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(door_state_fields, door_state(b), "door", &data, &len, NULL));
    door_entropy(a, x, sizeof(x));
    door_entropy(b, y, sizeof(y));
    cr_assert(same(x, y, sizeof(x)));
    door_free(a);
    door_free(b);
}

Test(door, entropy_of_seed_zero_is_not_degenerate)
{
    struct door *door = door_new(0);
    uint8_t x[4096];
    unsigned ones = 0;
    door_entropy(door, x, sizeof(x));
    for (unsigned i = 0; i < sizeof(x); i++)
        ones += (unsigned)__builtin_popcount(x[i]);
    cr_assert(ones > 16384 - 600 && ones < 16384 + 600, "%u ones of 32768", ones);
    door_free(door);
}

Test(door, epoch_is_read_once_or_given)
{
    struct door *door = door_new(1), *fixed = door_new(1);
    uint64_t first = door_epoch_ns(door);
    cr_assert(gt(u64, first, UINT64_C(1600000000) * NS_PER_S));
    g_usleep(2000);
    cr_assert(eq(u64, door_epoch_ns(door), first));
    door_set_epoch(fixed, 12345);
    cr_assert(eq(u64, door_epoch_ns(fixed), 12345));
    door_free(door);
    door_free(fixed);
}

Test(door, host_time_moves)
{
    uint64_t before = door_host_ns();
    g_usleep(1000);
    cr_assert(ge(u64, door_host_ns() - before, 900000));
}
