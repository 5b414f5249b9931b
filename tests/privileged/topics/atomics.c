// SPDX-License-Identifier: MIT
// harts: 4
// AMOs: results, faults, and that nothing gets between their load and their store on several harts.
#include "paging.h"

#define AMO(funct5, width) \
    ((uint32_t)(funct5) << 27 | 11u << 20 | 10u << 15 | (width) << 12 | 10u << 7 | 0x2f)
#define AQ   (1u << 26)
#define RL   (1u << 25)
#define GOOD (PTE_V | PTE_RWX | PTE_AD)

enum { ADD = 0, SWAP = 1, XOR = 4, OR = 8, AND = 12, MIN = 16, MAX = 20, MINU = 24, MAXU = 28 };

static const struct {
    const char *name;
    unsigned funct5;
} amos[] = {{"amoadd", ADD}, {"amoswap", SWAP}, {"amoxor", XOR},
            {"amoor", OR},   {"amoand", AND},   {"amomin", MIN},
            {"amomax", MAX}, {"amominu", MINU}, {"amomaxu", MAXU}};

static uint64_t result(unsigned funct5, uint64_t a, uint64_t b, bool less, bool below)
{
    switch (funct5) {
    case ADD:
        return a + b;
    case SWAP:
        return b;
    case XOR:
        return a ^ b;
    case OR:
        return a | b;
    case AND:
        return a & b;
    case MIN:
        return less ? a : b;
    case MAX:
        return less ? b : a;
    case MINU:
        return below ? a : b;
    default:
        return below ? b : a;
    }
}

// ---- Results ----

static const uint64_t values[] = {0,
                                  1,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  0x123456789abcdef0,
                                  0x7fffffffffffffff,
                                  0x8000000000000000,
                                  UINT64_MAX};

static void check_words(unsigned i, uint32_t order, const char *suffix)
{
    unsigned n = 0, right = 0;
    for (unsigned x = 0; x < ARRAY_LEN(values); x++)
        for (unsigned y = 0; y < ARRAY_LEN(values); y++) {
            uint32_t a = (uint32_t)values[x], b = (uint32_t)values[y];
            *reg_at(ARENA) = ~(reg)0;
            *word_at(ARENA) = a;
            struct trap t = run_insn(M, AMO(amos[i].funct5, 2) | order, ARENA, (reg)values[y]);
            uint32_t want = (uint32_t)result(amos[i].funct5, a, b, (int32_t)a < (int32_t)b, a < b);
            n++;
            right += t.cause == NONE && t.value == (reg)(int32_t)a && *word_at(ARENA) == want &&
                     (XLEN == 32 || *word_at(ARENA + 4) == UINT32_MAX);
        }
    check(right, n, "%s.w%s: old value, sign-extended, and new one", amos[i].name, suffix);
}

#if XLEN == 64
static void check_doublewords(unsigned i)
{
    unsigned n = 0, right = 0;
    for (unsigned x = 0; x < ARRAY_LEN(values); x++)
        for (unsigned y = 0; y < ARRAY_LEN(values); y++) {
            uint64_t a = values[x], b = values[y];
            *reg_at(ARENA) = a;
            struct trap t = run_insn(M, AMO(amos[i].funct5, 3), ARENA, b);
            n++;
            right += t.cause == NONE && t.value == a &&
                     *reg_at(ARENA) == result(amos[i].funct5, a, b, (int64_t)a < (int64_t)b, a < b);
        }
    check(right, n, "%s.d: old value and new one", amos[i].name);
}
#endif

// ---- Faults ----

static void check_faults(unsigned i)
{
    uint32_t bits = AMO(amos[i].funct5, 2);
    struct trap t = run_insn(M, bits, ARENA + 14, 0);
    check_true(t.cause == STORE_MISALIGNED || t.cause == STORE_ACCESS,
               "%s.w at 14 is misaligned: a store's exception", amos[i].name);
    check(t.tval, ARENA + 14, "%s.w at 14: the trap value", amos[i].name);
    check_trap(run_insn(M, bits, NOWHERE, 0), STORE_ACCESS, NOWHERE, "%s.w where nothing is",
               amos[i].name);
    if (!scheme)
        return;
    reg va = window();
    map(va, ARENA, 0, PTE_V | PTE_R | PTE_AD);
    *word_at(ARENA) = 5;
    check_trap(run_insn(S, bits, va, 1), STORE_PAGE, va, "%s.w to a page without W", amos[i].name);
    map(va, ARENA, 0, PTE_V | PTE_X | PTE_AD);
    check_trap(run_insn(S, bits, va, 1), STORE_PAGE, va, "%s.w to a page without R and W",
               amos[i].name);
    how.status = MSTATUS_MXR;
    check_trap(run_insn(S, bits, va, 1), STORE_PAGE, va, "%s.w to a page with X alone, MXR=1",
               amos[i].name);
    how.status = 0;
    map(va, 0, 0, 0);
    check_trap(run_insn(S, bits, va, 1), STORE_PAGE, va, "%s.w to a page that is not mapped",
               amos[i].name);
    check(*word_at(ARENA), 5, "%s.w that faults changes nothing", amos[i].name);
}

// ---- Several harts ----

enum { COUNT = 300 };

static struct {
    unsigned start;
    uint32_t added, reserved, locked, lock, bits;
    char apart[64];
} shared __attribute__((aligned(64)));

static void add_by_lr_sc(uint32_t *p)
{
    uint32_t old, failed;
    __asm__ volatile("1: lr.w %0, (%2)\n"
                     "   addi %0, %0, 1\n"
                     "   sc.w %1, %0, (%2)\n"
                     "   bnez %1, 1b\n"
                     : "=&r"(old), "=&r"(failed)
                     : "r"(p)
                     : "memory");
}

static void take_lock(uint32_t *lock)
{
    uint32_t old;
    for (;;) {
        __asm__ volatile("amoswap.w.aq %0, %1, (%2)" : "=r"(old) : "r"(1), "r"(lock) : "memory");
        if (!old)
            return;
        pause_hart();
    }
}

static void release_lock(uint32_t *lock)
{
    __asm__ volatile("amoswap.w.rl zero, zero, (%0)" : : "r"(lock) : "memory");
}

static void count(unsigned h)
{
    while (!__atomic_load_n(&shared.start, __ATOMIC_ACQUIRE))
        pause_hart();
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % (3 + h) == 0)
            pause_hart();
        __asm__ volatile("amoadd.w zero, %0, (%1)" : : "r"(1), "r"(&shared.added) : "memory");
        add_by_lr_sc(&shared.reserved);
        take_lock(&shared.lock);
        *(volatile uint32_t *)&shared.locked = *(volatile uint32_t *)&shared.locked + 1;
        release_lock(&shared.lock);
        __asm__ volatile("amoxor.w zero, %0, (%1)" : : "r"(1u << h), "r"(&shared.bits) : "memory");
    }
}

static void check_harts(void)
{
    unsigned nr = nr_harts();
    if (nr < 2) {
        skip("several harts");
        return;
    }
    for (unsigned h = 1; h < nr; h++)
        hart_start(h, count);
    __atomic_store_n(&shared.start, 1, __ATOMIC_RELEASE);
    count(0);
    harts_wait();
    check(shared.added, COUNT * nr, "a counter of %u harts by amoadd", nr);
    check(shared.reserved, COUNT * nr, "a counter of %u harts by LR and SC", nr);
    check(shared.locked, COUNT * nr, "a counter of %u harts behind a lock by amoswap", nr);
    check(shared.bits, COUNT % 2 ? (1u << nr) - 1 : 0, "bits of %u harts by amoxor", nr);
}

void topic(void)
{
    paragraph("Atomic Memory Operations");
    for (unsigned i = 0; i < ARRAY_LEN(amos); i++) {
        check_words(i, 0, "");
        check_words(i, AQ, ".aq");
        check_words(i, RL, ".rl");
        check_words(i, AQ | RL, ".aqrl");
#if XLEN == 64
        check_doublewords(i);
#endif
    }
    paging_on_any();
    for (unsigned i = 0; i < ARRAY_LEN(amos); i++)
        check_faults(i);
    if (scheme)
        paging_off();
    check_harts();
}
