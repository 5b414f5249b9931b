// SPDX-License-Identifier: MIT
// Scalar types by meaning, shared by all layers.
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t vaddr_t;  // guest virtual address, zero-extended on 32-bit guests
typedef uint64_t paddr_t;  // guest physical address
typedef uint64_t icount_t; // retired guest instructions

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
