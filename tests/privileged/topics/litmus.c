// SPDX-License-Identifier: MIT
// harts: 4
// Memory ordering between harts: small programs on shared words, run many times, with delays that vary. What RVWMO
// forbids must never be seen. Fenced, atomic and dependent forms; the outcomes that are allowed are counted, not
// checked.
#include "guest.h"

// Rounds of a test, or time: where harts are threads of a busy host a round may take long.
enum { ROUNDS = 400, TICKS = 5000000 };
#define LAST (~0u) // round_begun: there are no more

// Each word in a line of its own.
struct line {
    volatile uint32_t value;
    char apart[60];
} __attribute__((aligned(64)));

static struct line x, y;
static volatile uint32_t seen[NR_HARTS][2]; // what loads got in this round
static unsigned round_begun, round_done[NR_HARTS];

typedef void part(volatile uint32_t *a, volatile uint32_t *b, uint32_t *got);

struct litmus {
    const char *name;
    unsigned nr_harts;
    part *parts[NR_HARTS];
    bool (*forbidden)(void);
};

static const struct litmus *current;

// Somewhere between two accesses a hart may lose its turn, to vary how they interleave.
static bool gaps[NR_HARTS];

static void gap(void)
{
    if (gaps[hart()])
        pause_hart();
}

#define FENCE(pred, succ) __asm__ volatile("fence " #pred ", " #succ : : : "memory")

// ---- Parts: a is x, b is y ----

#define PART(name, ...)                                                         \
    static void name(volatile uint32_t *a, volatile uint32_t *b, uint32_t *got) \
    {                                                                           \
        (void)a, (void)b, (void)got;                                            \
        __VA_ARGS__                                                             \
    }

#define LOAD(to, p)      __asm__ volatile("lw %0, 0(%1)" : "=r"(to) : "r"(p) : "memory")
#define STORE(p, v)      __asm__ volatile("sw %0, 0(%1)" : : "r"(v), "r"(p) : "memory")
#define LR(order, to, p) __asm__ volatile("lr.w." #order " %0, (%1)" : "=r"(to) : "r"(p) : "memory")
#define SWAP(order, p, v) \
    __asm__ volatile("amoswap.w." #order " zero, %0, (%1)" : : "r"(v), "r"(p) : "memory")

// LOAD and STORE are plain; what may be between them is named. got[0] is the first load's value.
PART(write_x_w_y, STORE(a, 1); gap(); FENCE(w, w); STORE(b, 1);)
PART(write_x_rl_y, STORE(a, 1); gap(); SWAP(rl, b, 1);)
PART(read_y_r_x, LOAD(got[0], b); gap(); FENCE(r, r); LOAD(got[1], a);)
PART(read_y_aq_x, LR(aq, got[0], b); gap(); LOAD(got[1], a);)
PART(read_y_addr_x, LOAD(got[0], b); gap(); LOAD(got[1], a + (got[0] ^ got[0]));)
PART(store_x_load_y, STORE(a, 1); gap(); FENCE(rw, rw); LOAD(got[0], b);)
PART(store_y_load_x, STORE(b, 1); gap(); FENCE(rw, rw); LOAD(got[0], a);)
PART(swap_x_load_y, SWAP(aqrl, a, 1); gap(); LR(aqrl, got[0], b);)
PART(swap_y_load_x, SWAP(aqrl, b, 1); gap(); LR(aqrl, got[0], a);)
PART(load_x_store_y, LOAD(got[0], a); gap(); FENCE(r, w); STORE(b, 1);)
PART(load_y_store_x, LOAD(got[0], b); gap(); FENCE(r, w); STORE(a, 1);)
PART(load_x_data_y, LOAD(got[0], a); gap(); STORE(b, (got[0] ^ got[0]) + 1);)
PART(load_y_data_x, LOAD(got[0], b); gap(); STORE(a, (got[0] ^ got[0]) + 1);)
PART(write_x, gap(); STORE(a, 1);)
PART(write_y, gap(); STORE(b, 1);)
PART(read_x_y, LOAD(got[0], a); gap(); FENCE(r, r); LOAD(got[1], b);)
PART(read_x_x, LOAD(got[0], a); gap(); LOAD(got[1], a);)
PART(write_x_twice, STORE(a, 1); gap(); STORE(a, 2);)
PART(read_x_write_y, LOAD(got[0], a); gap(); FENCE(rw, w); STORE(b, got[0]);)
PART(x2_w_y1, STORE(a, 2); gap(); FENCE(w, w); STORE(b, 1);)
PART(y2_w_x1, STORE(b, 2); gap(); FENCE(w, w); STORE(a, 1);)
PART(y2_rw_x, STORE(b, 2); gap(); FENCE(rw, rw); LOAD(got[0], a);)

// ---- Outcomes ----

static bool mp(void)
{
    return seen[1][0] == 1 && seen[1][1] == 0;
}

static bool sb(void)
{
    return seen[0][0] == 0 && seen[1][0] == 0;
}

static bool lb(void)
{
    return seen[0][0] == 1 && seen[1][0] == 1;
}

static bool iriw(void)
{
    return seen[2][0] == 1 && seen[2][1] == 0 && seen[3][0] == 1 && seen[3][1] == 0;
}

// Loads of one word by one hart never go back.
static bool corr(void)
{
    return (seen[1][0] == 1 && seen[1][1] == 0) || (seen[1][0] == 2 && seen[1][1] < 2);
}

static bool wrc(void)
{
    return seen[1][0] == 1 && seen[2][0] == 1 && seen[2][1] == 0;
}

static bool two_plus_two_w(void)
{
    return x.value == 2 && y.value == 2;
}

static bool r(void)
{
    return y.value == 2 && seen[1][0] == 0;
}

static const struct litmus tests[] = {
    {"MP: fence w,w; fence r,r", 2, {write_x_w_y, read_y_r_x}, mp},
    {"MP: amoswap.rl; lr.aq", 2, {write_x_rl_y, read_y_aq_x}, mp},
    {"MP: fence w,w; address dependency", 2, {write_x_w_y, read_y_addr_x}, mp},
    {"SB: fence rw,rw in both", 2, {store_x_load_y, store_y_load_x}, sb},
    {"SB: amoswap.aqrl; lr.aqrl", 2, {swap_x_load_y, swap_y_load_x}, sb},
    {"LB: fence r,w in both", 2, {load_x_store_y, load_y_store_x}, lb},
    {"LB: data dependencies", 2, {load_x_data_y, load_y_data_x}, lb},
    {"IRIW: fence r,r in both readers", 4, {write_x, write_y, read_x_y, read_y_r_x}, iriw},
    {"CoRR", 2, {write_x_twice, read_x_x}, corr},
    {"WRC: fences", 3, {write_x, read_x_write_y, read_y_r_x}, wrc},
    {"2+2W: fence w,w in both", 2, {x2_w_y1, y2_w_x1}, two_plus_two_w},
    {"R: fence w,w; fence rw,rw", 2, {write_x_w_y, y2_rw_x}, r},
};

// ---- Running ----

static void delay(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        __asm__ volatile("nop");
}

// Delays differ from round to round and from hart to hart, and reach from none to more than a part takes.
static void play(unsigned h, unsigned n)
{
    uint32_t got[2] = {0};
    gaps[h] = n >> h & 1;
    if (n >> (4 + h) & 1)
        pause_hart();
    delay((n * (2 * h + 1) * 7 + n / 8 * h) % 32);
    current->parts[h](&x.value, &y.value, got);
    seen[h][0] = got[0];
    seen[h][1] = got[1];
}

static void follow(unsigned h)
{
    for (unsigned n = 1, begun;; n++) {
        while ((begun = __atomic_load_n(&round_begun, __ATOMIC_SEQ_CST)) < n)
            pause_hart();
        if (begun == LAST)
            return;
        play(h, n);
        __atomic_store_n(&round_done[h], n, __ATOMIC_SEQ_CST);
    }
}

// Which outcomes there were, a bit of a hash each: the loads' values, and those of x and y.
static uint64_t outcomes;

static void note_outcome(unsigned nr)
{
    unsigned n = x.value * 3 + y.value;
    for (unsigned h = 0; h < nr; h++)
        n = n * 7 + seen[h][0] * 3 + seen[h][1];
    outcomes |= (uint64_t)1 << n % 64;
}

static unsigned count_bits(uint64_t v)
{
    unsigned n = 0;
    for (; v; v &= v - 1)
        n++;
    return n;
}

static unsigned run_rounds(const struct litmus *l)
{
    unsigned bad = 0;
    outcomes = 0;
    current = l;
    round_begun = 0;
    for (unsigned h = 1; h < l->nr_harts; h++) {
        round_done[h] = 0;
        hart_start(h, follow);
    }
    uint64_t until = mtime() + TICKS;
    for (unsigned n = 1; n <= ROUNDS && mtime() < until; n++) {
        x.value = y.value = 0;
        __atomic_store_n(&round_begun, n, __ATOMIC_SEQ_CST);
        play(0, n);
        for (unsigned h = 1; h < l->nr_harts; h++)
            while (__atomic_load_n(&round_done[h], __ATOMIC_SEQ_CST) != n)
                pause_hart();
        bad += l->forbidden();
        note_outcome(l->nr_harts);
    }
    __atomic_store_n(&round_begun, LAST, __ATOMIC_SEQ_CST);
    harts_wait();
    return bad;
}

void topic(void)
{
    paragraph("RVWMO Memory Consistency Model");
    if (nr_harts() < NR_HARTS) {
        skip("four harts");
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(tests); i++) {
        check(run_rounds(&tests[i]), 0, "%s: the forbidden outcome", tests[i].name);
        say("# %u others\n", count_bits(outcomes));
    }
}
