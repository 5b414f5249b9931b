// SPDX-License-Identifier: MIT
// Integer arithmetic, arrays and branches.
#include "bench.h"

// --- CRC-32, a table look-up a byte ---

static uint64_t run_crc(uint32_t rounds)
{
    uint32_t table[256], crc = ~0u, seed = 1;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
    for (uint32_t i = 0; i < 16384; i++)
        arena[i] = (uint8_t)next_random(&seed);
    for (uint32_t r = 0; r < rounds; r++)
        for (uint32_t i = 0; i < 16384; i++)
            crc = crc >> 8 ^ table[(crc ^ arena[i]) & 0xff];
    return crc;
}

// --- SHA-256's compression: rotations and additions, nearly without memory ---

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static NOINLINE void sha_block(uint32_t state[8], const uint32_t k[64], const uint32_t block[16])
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = block[i];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    for (int i = 0; i < 8; i++)
        s[i] = state[i];
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                      ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                      ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6], s[6] = s[5], s[5] = e, s[4] = s[3] + t1;
        s[3] = s[2], s[2] = s[1], s[1] = a, s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static uint64_t run_sha(uint32_t rounds)
{
    uint32_t state[8], k[64], block[16], seed = 7;
    for (int i = 0; i < 8; i++)
        state[i] = next_random(&seed);
    for (int i = 0; i < 64; i++)
        k[i] = next_random(&seed);
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < 16; i++)
            block[i] = r + i;
        sha_block(state, k, block);
    }
    return (uint64_t)state[0] << 32 | state[7];
}

// --- The sieve of Eratosthenes ---

static uint64_t run_sieve(uint32_t rounds)
{
    enum { SIZE = 65536 };
    uint32_t count = 0;
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 2; i < SIZE; i++)
            arena[i] = 1;
        for (uint32_t i = 2; i * i < SIZE; i++)
            if (arena[i])
                for (uint32_t j = i * i; j < SIZE; j += i)
                    arena[j] = 0;
        for (uint32_t i = 2; i < SIZE; i++)
            count += arena[i];
    }
    return count;
}

// --- Quicksort by a function that compares ---

typedef int compare_fn(const uint32_t *a, const uint32_t *b);

static NOINLINE int compare_up(const uint32_t *a, const uint32_t *b)
{
    return (*a > *b) - (*a < *b);
}

static NOINLINE int compare_bits(const uint32_t *a, const uint32_t *b) // by the low half, downwards
{
    uint32_t x = *a & 0xffff, y = *b & 0xffff;
    return (x < y) - (x > y);
}

static void quicksort(uint32_t *array, int32_t left, int32_t right, compare_fn *compare)
{
    while (left < right) {
        uint32_t pivot = array[left + (right - left) / 2];
        int32_t i = left, j = right;
        while (i <= j) {
            while (compare(&array[i], &pivot) < 0)
                i++;
            while (compare(&array[j], &pivot) > 0)
                j--;
            if (i <= j) {
                uint32_t t = array[i];
                array[i++] = array[j];
                array[j--] = t;
            }
        }
        quicksort(array, left, j, compare);
        left = i;
    }
}

static uint64_t run_quicksort(uint32_t rounds)
{
    enum { COUNT = 10000 };
    uint32_t *array = (uint32_t *)arena, seed = 3;
    uint64_t sum = 0;
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < COUNT; i++)
            array[i] = next_random(&seed);
        quicksort(array, 0, COUNT - 1, r & 1 ? compare_bits : compare_up);
        for (uint32_t i = 1; i < COUNT; i++)
            if ((r & 1 ? compare_bits : compare_up)(&array[i - 1], &array[i]) > 0)
                return 0;
        sum = mix(sum, array[COUNT / 3] & 0xffff);
    }
    return sum;
}

// --- A hash table with open addressing: insert, look up, delete ---

#define HASH_SIZE 16384u

struct entry {
    uint32_t key; // 0 is free, ~0 was deleted
    uint32_t value;
};

static NOINLINE struct entry *hash_find(struct entry *table, uint32_t key, int insert)
{
    uint32_t h = key * 0x9e3779b1u >> 18;
    struct entry *gap = NULL;
    for (;; h = (h + 1) % HASH_SIZE) {
        struct entry *e = &table[h];
        if (e->key == key)
            return e;
        if (e->key == ~0u && !gap)
            gap = e;
        if (!e->key)
            return !insert ? NULL : gap ? gap : e;
    }
}

static uint64_t run_hash(uint32_t rounds)
{
    struct entry *table = (struct entry *)arena;
    uint64_t sum = 0;
    for (uint32_t r = 0; r < rounds; r++) {
        uint32_t seed = r + 1, found = 0;
        for (uint32_t i = 0; i < HASH_SIZE; i++)
            table[i] = (struct entry){0, 0};
        for (uint32_t i = 0; i < 20000; i++) {
            uint32_t key = next_random(&seed) % 30000 + 1;
            struct entry *e = hash_find(table, key, i % 2);
            if (!e)
                continue;
            found += e->key == key;
            e->value += i;
            e->key = i % 7 ? key : ~0u;
        }
        for (uint32_t i = 0; i < HASH_SIZE; i++)
            found += table[i].value;
        sum = mix(sum, found);
    }
    return sum;
}

// --- Search for words in a text: by brute force, and by skipping (Horspool) ---

static NOINLINE uint32_t count_brute(const uint8_t *text, uint32_t size, const char *word)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t j = 0;
        while (word[j] && text[i + j] == (uint8_t)word[j])
            j++;
        count += !word[j];
    }
    return count;
}

static NOINLINE uint32_t count_skipping(const uint8_t *text, uint32_t size, const char *word)
{
    uint8_t skip[256];
    uint32_t length = 0, count = 0;
    while (word[length])
        length++;
    for (uint32_t i = 0; i < 256; i++)
        skip[i] = (uint8_t)length;
    for (uint32_t i = 0; i + 1 < length; i++)
        skip[(uint8_t)word[i]] = (uint8_t)(length - 1 - i);
    for (uint32_t i = 0; i + length <= size + length - 1; i += skip[text[i + length - 1]]) {
        uint32_t j = length;
        while (j && text[i + j - 1] == (uint8_t)word[j - 1])
            j--;
        count += !j;
    }
    return count;
}

static uint64_t run_search(uint32_t rounds)
{
    static const char *const words[] = {"abra", "cadabra", "bcdab", "dddd", "baobab"};
    enum { SIZE = 32768 };
    uint32_t seed = 5;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SIZE; i++)
        arena[i] = (uint8_t) "aaabbcdro"[next_random(&seed) % 9];
    for (uint32_t i = SIZE; i < SIZE + 64; i++)
        arena[i] = '.';
    for (uint32_t r = 0; r < rounds; r++) {
        arena[next_random(&seed) % SIZE] = 'a';
        const char *word = words[r % ARRAY_SIZE(words)];
        uint32_t brute = count_brute(arena, SIZE, word);
        sum = mix(sum, brute);
        if (brute != count_skipping(arena, SIZE, word))
            return 0;
    }
    return sum;
}

// --- Matrix multiplication ---

static uint64_t run_matrix(uint32_t rounds)
{
    enum { N = 64 };
    int32_t(*a)[N] = (void *)arena, (*b)[N] = a + N, (*c)[N] = b + N;
    uint32_t seed = 11;
    for (int i = 0; i < N * N; i++) {
        a[i / N][i % N] = (int32_t)(next_random(&seed) % 2001) - 1000;
        b[i / N][i % N] = (int32_t)(next_random(&seed) % 2001) - 1000;
    }
    for (uint32_t r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                int32_t sum = 0;
                for (int k = 0; k < N; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
        a[r % N][r / N % N] = c[r / 3 % N][r % N] % 1000;
    }
    uint64_t sum = 0;
    for (int i = 0; i < N * N; i++)
        sum = mix(sum, (uint32_t)c[i / N][i % N]);
    return sum;
}

// --- Counting bits: in parallel, one at a time, and by leading zeros ---

static NOINLINE uint32_t count_parallel(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (uint32_t)(x * 0x0101010101010101u >> 56);
}

static NOINLINE uint32_t count_single(uint64_t x)
{
    uint32_t count = 0;
    for (; x; x &= x - 1)
        count++;
    return count;
}

static NOINLINE uint32_t leading_zeros(uint32_t x)
{
    uint32_t count = 0;
    for (uint32_t step = 16; step; step /= 2)
        if (!(x >> (32 - step))) {
            count += step;
            x <<= step;
        }
    return count;
}

static uint64_t run_bits(uint32_t rounds)
{
    uint64_t x = 1, sum = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        sum += count_parallel(x) * 3 + count_single(x & 0xff0000ffff) + leading_zeros((uint32_t)x >> (i & 31));
    }
    return sum;
}

// --- Greatest common divisors: division ---

static uint64_t run_gcd(uint32_t rounds)
{
    uint32_t seed = 17;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t a = next_random(&seed), b = next_random(&seed) >> (i & 15);
        while (b) {
            uint32_t t = a % b;
            a = b;
            b = t;
        }
        sum += a;
    }
    return sum;
}

const struct kernel kernels[] = {
    {"nothing", 1, run_nothing},
    {"crc", 8000, run_crc},
    {"sha256", 800000, run_sha},
    {"sieve", 1700, run_sieve},
    {"quicksort", 180, run_quicksort},
    {"hash", 1600, run_hash},
    {"search", 2000, run_search},
    {"matrix", 1500, run_matrix},
    {"bits", 12000000, run_bits},
    {"gcd", 12000000, run_gcd},
    {0},
};
