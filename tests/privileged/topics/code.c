// SPDX-License-Identifier: MIT
// harts: 4
// fence.i and code that changes: by the hart itself, through other addresses, in pieces, at the ends of pages, and on
// several harts.
#include "paging.h"

#define LI(n)  (0x00000513u | (uint32_t)(n) << 20) // li a0, n
#define ECALL  0x00000073u
#define ROUNDS 64
#define GOOD   (PTE_V | PTE_RWX | PTE_AD)

static void put_word(reg at, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        byte_at(at + i)[0] = (uint8_t)(word >> 8 * i);
}

static void put_code(reg at, unsigned n)
{
    put_word(at, LI(n));
    put_word(at + 4, ECALL);
}

static unsigned execute(enum priv priv, reg at)
{
    struct trap t = run(priv, op_jump, at, 0);
    return t.cause == NONE ? (unsigned)t.value : 0xdead;
}

// ---- One hart ----

static void check_words(enum priv priv)
{
    unsigned right = 0;
    put_code(ARENA, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        *word_at(ARENA) = LI(i);
        fence_i();
        right += execute(priv, ARENA) == i;
    }
    check(right, ROUNDS, "%s-mode executes what was stored last", priv_name(priv));
}

// The immediate is in the upper halfword.
static void check_pieces(void)
{
    unsigned bytes = 0, halves = 0, doubles = 0;
    put_code(ARENA, 0);
    fence_i();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t word = LI(i * 7);
        execute(M, ARENA);
        byte_at(ARENA)[2] = (uint8_t)(word >> 16);
        byte_at(ARENA)[3] = (uint8_t)(word >> 24);
        fence_i();
        bytes += execute(M, ARENA) == i * 7;
        *(volatile uint16_t *)(ARENA + 2) = (uint16_t)(LI(i) >> 16);
        fence_i();
        halves += execute(M, ARENA) == i;
#if XLEN == 64
        *(volatile uint64_t *)ARENA = (uint64_t)ECALL << 32 | LI(i + 5);
        fence_i();
#else
        *word_at(ARENA) = LI(i + 5);
        fence_i();
#endif
        doubles += execute(M, ARENA) == i + 5;
    }
    check(bytes, ROUNDS, "code changed by bytes");
    check(halves, ROUNDS, "code changed by a halfword");
    check(doubles, ROUNDS, "code changed by a register's width");
}

// By other kinds of stores.
static void check_atomics(void)
{
    unsigned swapped = 0, added = 0, conditional = 0;
    put_code(ARENA, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        run(M, op_amoswap_w, ARENA, LI(i));
        fence_i();
        swapped += execute(M, ARENA) == i;
        run(M, op_amoadd_w, ARENA, 1u << 20);
        fence_i();
        added += execute(M, ARENA) == i + 1;
        uint32_t failed;
        __asm__ volatile("lr.w %0, (%1)\n sc.w %0, %2, (%1)"
                         : "=&r"(failed)
                         : "r"(ARENA), "r"(LI(i + 9))
                         : "memory");
        fence_i();
        conditional += failed ? 1 : execute(M, ARENA) == i + 9;
    }
    check(swapped, ROUNDS, "code changed by amoswap");
    check(added, ROUNDS, "code changed by amoadd");
    check(conditional, ROUNDS, "code changed by sc");
}

static void check_from_within(void)
{
    unsigned next = 0, own = 0;
    put_code(ARENA, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        next += run(M, op_store_and_run, ARENA, LI(i)).value == i;
        own += run(M, op_self_modify, 0, LI(i)).value == i;
    }
    check(next, ROUNDS, "code that stores, fences and jumps there");
    check(own, ROUNDS, "code that changes an instruction just ahead of it");
}

// Data beside code.
static void check_neighbours(void)
{
    unsigned right = 0;
    put_code(ARENA, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        *word_at(ARENA + 8) = i;
        *word_at(ARENA + 64) = i;
        *word_at(ARENA) = LI(i);
        fence_i();
        right += execute(M, ARENA) == i && *word_at(ARENA + 8) == i && *word_at(ARENA + 64) == i;
    }
    check(right, ROUNDS, "code and data in one page");
}

// Instructions that cross a page's end: either half changes.
static void check_crossing(void)
{
    reg at = ARENA + PAGE - 2;
    unsigned right = 0;
    if (!has('C'))
        return;
    put_code(at, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        // The upper half, in the second page, has the immediate; the lower one, in the first, the register.
        *(volatile uint16_t *)(at + 2) = (uint16_t)(LI(i) >> 16);
        fence_i();
        right += execute(M, at) == i;
        *(volatile uint16_t *)at = 0x0593; // li a1
        fence_i();
        right += execute(M, at) == (uint32_t)at;
        *(volatile uint16_t *)at = 0x0513;
        fence_i();
        right += execute(M, at) == i;
    }
    check(right, 3 * ROUNDS, "an instruction over the end of a page, by halves");
}

// Stores through another address than the code is executed at.
static void check_alias(void)
{
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    reg data = window(), code = window() + PAGE, user = window() + 2 * PAGE;
    unsigned s = 0, u = 0, m = 0;
    put_code(ARENA, 0);
    map(data, ARENA, 0, PTE_V | PTE_R | PTE_W | PTE_AD);
    map(code, ARENA, 0, PTE_V | PTE_X | PTE_AD);
    map(user, ARENA, 0, PTE_V | PTE_X | PTE_U | PTE_AD);
    for (unsigned i = 0; i < ROUNDS; i++) {
        run(S, op_sw, data, LI(i));
        run(S, op_fence_i, 0, 0);
        s += execute(S, code) == i;
        u += execute(U, user) == i;
        m += execute(M, ARENA) == i;
    }
    check(s, ROUNDS, "stored through another address, executed by S-mode");
    check(u, ROUNDS, "stored through another address, executed by U-mode");
    check(m, ROUNDS, "stored through another address, executed by M-mode");
    paging_off();
}

// ---- Several harts ----

static struct {
    unsigned round; // what hart 0 has made
    unsigned seen[NR_HARTS], right[NR_HARTS];
} shared;

// Executes the code anew in each round, behind a fence.i of its own.
static void follow(unsigned h)
{
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (__atomic_load_n(&shared.round, __ATOMIC_ACQUIRE) != round)
            pause_hart();
        fence_i();
        shared.right[h] += execute(M, ARENA) == round;
        __atomic_store_n(&shared.seen[h], round, __ATOMIC_RELEASE);
    }
}

static void check_harts(void)
{
    unsigned nr = nr_harts();
    if (nr < 2) {
        skip("several harts");
        return;
    }
    put_code(ARENA, 0);
    for (unsigned h = 1; h < nr; h++)
        hart_start(h, follow);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        *word_at(ARENA) = LI(round);
        __atomic_store_n(&shared.round, round, __ATOMIC_RELEASE);
        for (unsigned h = 1; h < nr; h++)
            while (__atomic_load_n(&shared.seen[h], __ATOMIC_ACQUIRE) != round)
                pause_hart();
    }
    harts_wait();
    for (unsigned h = 1; h < nr; h++)
        check(shared.right[h], ROUNDS,
              "hart %u executes what hart 0 stored, behind a fence.i of its own", h);
    fence_i();
    check(execute(M, ARENA), ROUNDS, "hart 0 does, too");
}

void topic(void)
{
    paragraph("fence.i");
    check_words(M);
    if (has('S'))
        check_words(S);
    if (has('U'))
        check_words(U);
    check_pieces();
    check_atomics();
    check_from_within();
    check_neighbours();
    check_crossing();
    check_alias();
    check_harts();
}
