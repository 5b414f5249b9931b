// SPDX-License-Identifier: MIT
// Kernels as a program of the host: `group NUMBER ROUNDS TIMES` runs one so many times, for a host may be too quick to be
// measured otherwise; `group` lists their names and rounds.
#include "bench.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void bench_put(char c)
{
    putchar(c);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        for (const struct kernel *k = kernels; k->name; k++)
            printf("%s %u\n", k->name, (unsigned)k->rounds);
        return 0;
    }
    arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    madvise(arena, ARENA_SIZE, MADV_HUGEPAGE); // where refused, native times of large blocks suffer
    uint32_t number = (uint32_t)strtoul(argv[1], NULL, 0);
    uint32_t rounds = (uint32_t)strtoul(argv[2], NULL, 0);
    for (unsigned long times = strtoul(argv[3], NULL, 0); times; times--)
        if (!bench_run(number, rounds))
            return 1;
    return 0;
}
