// SPDX-License-Identifier: MIT
// Runs one kernel of a group and prints its checksum; the same on a board and on the host.
#include "bench.h"

unsigned char *arena;

static void put_text(const char *text)
{
    while (*text)
        bench_put(*text++);
}

static void put_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        bench_put("0123456789abcdef"[value >> shift & 15]);
}

int bench_run(uint32_t number, uint32_t rounds)
{
    for (uint32_t i = 0; kernels[i].name; i++) {
        if (i != number)
            continue;
        uint64_t sum = kernels[i].run(rounds);
        put_text(kernels[i].name);
        bench_put(' ');
        put_hex(sum);
        bench_put('\n');
        return 1;
    }
    return 0;
}
