// SPDX-License-Identifier: MIT
// Memory: chains of pointers, copies and fills, from blocks within the first cache to such as are beyond all caches.
#include "bench.h"

// --- A chain of indexes through all lines of a block, in random order ---

static uint64_t chase(uint32_t size, uint32_t rounds)
{
    enum { LINE = 64 };
    uint32_t lines = size / LINE, seed = 41, at = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < lines; i++)
        *(uint32_t *)(arena + i * LINE) = i * LINE;
    for (uint32_t i = lines - 1; i; i--) { // Sattolo's shuffle gives one cycle
        uint32_t *a = (uint32_t *)(arena + i * LINE);
        uint32_t *b = (uint32_t *)(arena + next_random(&seed) % i * LINE), t = *a;
        *a = *b;
        *b = t;
    }
    for (uint32_t r = 0; r < rounds; r++) {
        for (int i = 0; i < 1000; i++)
            at = *(const uint32_t *)(arena + at);
        sum = mix(sum, at);
    }
    return sum;
}

static uint64_t run_chase_16k(uint32_t rounds)
{
    return chase(16 << 10, rounds);
}

static uint64_t run_chase_512k(uint32_t rounds)
{
    return chase(512 << 10, rounds);
}

static uint64_t run_chase_64m(uint32_t rounds)
{
    return chase(64 << 20, rounds);
}

// --- Copies and fills, eight words a turn as C libraries have them ---

static NOINLINE void copy(uint64_t *to, const uint64_t *from, uint32_t words)
{
    for (; words >= 8; words -= 8, to += 8, from += 8) {
        uint64_t a = from[0], b = from[1], c = from[2], d = from[3];
        uint64_t e = from[4], f = from[5], g = from[6], h = from[7];
        to[0] = a, to[1] = b, to[2] = c, to[3] = d;
        to[4] = e, to[5] = f, to[6] = g, to[7] = h;
    }
    for (; words; words--)
        *to++ = *from++;
}

static NOINLINE void fill(uint64_t *to, uint64_t value, uint32_t words)
{
    for (; words >= 8; words -= 8, to += 8) {
        to[0] = value, to[1] = value, to[2] = value, to[3] = value;
        to[4] = value, to[5] = value, to[6] = value, to[7] = value;
    }
    for (; words; words--)
        *to++ = value;
}

// Moves over 64 KiB, or all of a larger block, so that small blocks are not always at the same address.
static uint64_t copy_blocks(uint32_t size, uint32_t rounds)
{
    uint64_t *from = (uint64_t *)arena, *to = (uint64_t *)(arena + (96 << 20) + 4096);
    uint32_t span = size > 65536 ? size : 65536;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < span / 8; i++)
        from[i] = i;
    for (uint32_t r = 0; r < rounds; r++) {
        from[r % 8192] += r;
        for (uint32_t i = 0; i < span / 8; i += size / 8)
            copy(to + i, from + i, size / 8);
        sum = mix(sum, to[(r * 5) % 8192]);
    }
    return sum;
}

static uint64_t fill_blocks(uint32_t size, uint32_t rounds)
{
    uint64_t *to = (uint64_t *)arena, sum = 0;
    uint32_t span = size > 65536 ? size : 65536;
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < span / 8; i += size / 8)
            fill(to + i, r + i, size / 8);
        sum = mix(sum, to[(r * 5) % 8192]);
    }
    return sum;
}

#define SIZES(make)                                                                                \
    make(16, 16) make(1k, 1 << 10) make(64k, 64 << 10) make(64m, 64 << 20)
#define MAKE(name, size)                                                                           \
    static uint64_t run_copy_##name(uint32_t rounds)                                               \
    {                                                                                              \
        return copy_blocks(size, rounds);                                                          \
    }                                                                                              \
    static uint64_t run_fill_##name(uint32_t rounds)                                               \
    {                                                                                              \
        return fill_blocks(size, rounds);                                                          \
    }
SIZES(MAKE)

// --- The sum of two streams ---

static uint64_t run_add_1m(uint32_t rounds)
{
    enum { COUNT = 1 << 17 };
    uint64_t *a = (uint64_t *)arena, *b = a + COUNT, *c = b + COUNT;
    uint32_t seed = 43;
    for (uint32_t i = 0; i < COUNT; i++) {
        a[i] = next_random(&seed);
        b[i] = i;
    }
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < COUNT; i++)
            c[i] = a[i] + b[i];
        b[r % COUNT] = c[r * 7 % COUNT];
    }
    return mix(c[5], c[COUNT - 1]);
}

const struct kernel kernels[] = {
    {"nothing", 1, run_nothing},
    {"chase-16k", 200000, run_chase_16k},
    {"chase-512k", 80000, run_chase_512k},
    {"chase-64m", 6000, run_chase_64m},
    {"copy-16", 14000, run_copy_16},
    {"copy-1k", 60000, run_copy_1k},
    {"copy-64k", 60000, run_copy_64k},
    {"copy-64m", 100, run_copy_64m},
    {"fill-16", 17000, run_fill_16},
    {"fill-1k", 130000, run_fill_1k},
    {"fill-64k", 150000, run_fill_64k},
    {"fill-64m", 200, run_fill_64m},
    {"add-1m", 400, run_add_1m},
    {0},
};
