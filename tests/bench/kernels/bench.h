// SPDX-License-Identifier: MIT
// What all kernels share. A group of kernels is one C file with a table `kernels`; it is built as a bare program for the
// board virt (board.c, start.S) and as a program of the host (host.c). Kernels compute the same checksum wherever they
// run: integers have fixed widths, floating point keeps to the operations that IEEE 754 defines, and nothing depends on
// how wide a pointer is. The flags that this takes are in `run`.
#ifndef TESTS_BENCH_KERNELS_BENCH_H
#define TESTS_BENCH_KERNELS_BENCH_H

#include <stddef.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

struct kernel {
    const char *name;
    uint32_t rounds; // about a second's work for an emulator
    uint64_t (*run)(uint32_t rounds);
};

extern const struct kernel kernels[]; // of the group; the first does nothing, the last has no name

#define ARENA_SIZE (192u << 20)
extern unsigned char *arena; // memory to work in: all zeros at first, aligned to 4 KiB

// Runs a kernel of the group and prints `name checksum`; false if there is none of that number.
int bench_run(uint32_t number, uint32_t rounds);
void bench_put(char c); // by board.c or host.c

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 29;
}

static inline uint32_t next_random(uint32_t *seed) // xorshift; the seed is never 0
{
    uint32_t x = *seed;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *seed = x;
}

// What start-up costs, to be taken off the others.
static inline uint64_t run_nothing(uint32_t rounds)
{
    return rounds;
}

#endif
