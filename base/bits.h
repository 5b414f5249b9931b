// SPDX-License-Identifier: MIT
// Bit fields, sign extension, alignment, and byte order of memory images.
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <string.h>

#include "base/types.h"

#define BIT(n) (UINT64_C(1) << (n))
// A mask of bits lo..hi, both included.
#define MASK(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & (~UINT64_C(0) << (lo)))

// Bits lo .. lo+len-1 of v, right-justified; 1 <= len <= 64.
static inline uint64_t bits_get(uint64_t v, unsigned lo, unsigned len)
{
    return (v >> lo) & (~UINT64_C(0) >> (64 - len));
}

// v with bits lo .. lo+len-1 replaced by the low bits of field.
static inline uint64_t bits_set(uint64_t v, unsigned lo, unsigned len, uint64_t field)
{
    uint64_t mask = (~UINT64_C(0) >> (64 - len)) << lo;
    return (v & ~mask) | ((field << lo) & mask);
}

// Sign-extends the low `len` bits of v; 1 <= len <= 64.
static inline int64_t bits_sext(uint64_t v, unsigned len)
{
    return (int64_t)(v << (64 - len)) >> (64 - len);
}

static inline uint64_t align_down(uint64_t v, uint64_t to)
{
    return v & ~(to - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) & ~(to - 1);
}

static inline bool is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

// Little- and big-endian loads and stores of 1, 2, 4 or 8 bytes at any alignment.
// Sizes that are known only at run time are told apart here, since a memcpy of unknown size is a call; and
// through variables of the very size, since a wide load of a narrow store stalls.
static inline uint64_t load_le(const void *p, unsigned size)
{
    uint64_t v = 0;
    uint32_t w;
    uint16_t h;
    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        memcpy(&h, p, 2);
        return h;
    case 4:
        memcpy(&w, p, 4);
        return w;
    case 8:
        memcpy(&v, p, 8);
        return v;
    default:
        memcpy(&v, p, size);
        return v;
    }
}

static inline void store_le(void *p, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case 2:
        memcpy(p, &v, 2);
        break;
    case 4:
        memcpy(p, &v, 4);
        break;
    case 8:
        memcpy(p, &v, 8);
        break;
    default:
        memcpy(p, &v, size);
        break;
    }
}

static inline uint64_t load_be(const void *p, unsigned size)
{
    return __builtin_bswap64(load_le(p, size)) >> (64 - 8 * size);
}

static inline void store_be(void *p, unsigned size, uint64_t v)
{
    store_le(p, size, __builtin_bswap64(v) >> (64 - 8 * size));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hosts are little-endian");

#endif
