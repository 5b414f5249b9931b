// SPDX-License-Identifier: MIT
// LR and SC: when SC must fail, when it has to succeed in the end, faults.
#include "paging.h"

#define HERE ARENA
#define FAR  (ARENA + 2 * PAGE) // in no reservation set with HERE
#define GOOD (PTE_V | PTE_RWX | PTE_AD)

static void set_words(uint32_t here, uint32_t far)
{
    *word_at(HERE) = here;
    *word_at(FAR) = far;
}

static struct trap sequence(enum priv priv, const char *op, reg a0, reg a1, reg value)
{
    return run_at(priv, op_address(priv, op), a0, a1, value);
}

// A constrained sequence may fail now and then, but not always.
static bool succeeds(enum priv priv, const char *op, reg a0, reg a1, reg value)
{
    for (unsigned i = 0; i < 100; i++) {
        struct trap t = sequence(priv, op, a0, a1, value);
        if (t.cause == NONE && t.value == 0)
            return true;
    }
    return false;
}

static bool always_fails(const char *op, reg a0, reg a1, reg value)
{
    for (unsigned i = 0; i < 20; i++) {
        struct trap t = sequence(M, op, a0, a1, value);
        if (t.cause != NONE || t.value == 0)
            return false;
    }
    return true;
}

static void check_success(void)
{
    static const enum priv privs[] = {U, S, M};
    paragraph("Eventual Success of Store-Conditional Instructions");
    for (unsigned i = 0; i < ARRAY_LEN(privs); i++) {
        if (privs[i] != M && !has(privs[i] == S ? 'S' : 'U'))
            continue;
        set_words(1, 2);
        check_true(succeeds(privs[i], op_lr_sc_w, HERE, 0, 77),
                   "a constrained LR/SC loop in %s-mode", priv_name(privs[i]));
        check(*word_at(HERE), 77, "what it stored, %s-mode", priv_name(privs[i]));
    }
}

static void check_failures(void)
{
    paragraph("Load-Reserved/Store-Conditional Instructions");
    set_words(1, 2);
    check_true(always_fails(op_sc_w, HERE, 77, 0), "SC without LR fails");
    check(*word_at(HERE), 1, "SC without LR does not store");
    check_true(always_fails(op_lr_sc_other, HERE, FAR, 77),
               "SC to another address than LR's fails");
    check(*word_at(FAR), 2, "SC to another address than LR's does not store");
    set_words(1, 2);
    check_true(always_fails(op_lr_sc_sc, HERE, 0, 77), "a second SC fails");
    set_words(1, 2);
    check_true(always_fails(op_lr_sc_other_sc, HERE, FAR, 77), "SC behind one that failed fails");
    check(*word_at(HERE), 1, "SC behind one that failed does not store");
    check_true(always_fails(op_lr_lr_sc, HERE, FAR, 77),
               "SC to the address of an LR before the last fails");
    check(*word_at(HERE), 1, "SC to the address of an LR before the last does not store");
    check_true(succeeds(M, op_lr_lr_sc_last, HERE, FAR, 88), "SC to the address of the last LR");
    check(*word_at(FAR), 88, "SC to the address of the last LR stores");
}

static void check_values(void)
{
    set_words(0x80000001, 0);
    check_value(run(M, op_lr_w, HERE, 0), (reg)(int32_t)0x80000001, "LR.W sign-extends");
#if XLEN == 64
    *reg_at(HERE) = 0x8000000280000001;
    check_value(run(M, op_lr_d, HERE, 0), 0x8000000280000001, "LR.D loads a doubleword");
#endif
    run(M, op_sc_w, HERE, 5);
    struct trap t = run(M, op_sc_w, HERE, 5);
    check_true(t.cause == NONE && t.value != 0, "SC that fails gives no zero");
}

// ---- Faults ----

static void check_alignment(void)
{
    static const struct {
        const char *name, *op;
        enum cause misaligned, access;
        reg offset;
    } m[] = {
        {"LR.W at 2", op_lr_w, LOAD_MISALIGNED, LOAD_ACCESS, 2},
        {"LR.W at 1", op_lr_w, LOAD_MISALIGNED, LOAD_ACCESS, 1},
        {"SC.W at 2", op_sc_w, STORE_MISALIGNED, STORE_ACCESS, 2},
        {"SC.W at 3", op_sc_w, STORE_MISALIGNED, STORE_ACCESS, 3},
#if XLEN == 64
        {"LR.D at 4", op_lr_d, LOAD_MISALIGNED, LOAD_ACCESS, 4},
        {"SC.D at 4", op_sc_d, STORE_MISALIGNED, STORE_ACCESS, 4},
#endif
    };
    for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
        struct trap t = run(M, m[i].op, HERE + m[i].offset, 0);
        check_true(t.cause == m[i].misaligned || t.cause == m[i].access, "%s is misaligned",
                   m[i].name);
        check(t.tval, HERE + m[i].offset, "%s: the trap value", m[i].name);
    }
}

// "No SC.W instruction shall retire unless it passes memory permission checks", whether or not it would succeed.
static void check_permissions(void)
{
    reg va = window();
    map(va, HERE, 0, PTE_V | PTE_R | PTE_AD);
    check_trap(run(S, op_sc_w, va, 0), STORE_PAGE, va, "SC that would fail, to a page without W");
    check_trap(sequence(S, op_lr_sc_w, va, 0, 0), STORE_PAGE, va,
               "SC that would succeed, to a page without W");
    map(va, 0, 0, 0);
    check_trap(run(S, op_sc_w, va, 0), STORE_PAGE, va,
               "SC that would fail, to a page that is not mapped");
    check_trap(run(S, op_lr_w, va, 0), LOAD_PAGE, va, "LR from a page that is not mapped");
    map(va, HERE, 0, GOOD | PTE_U);
    check_trap(run(S, op_sc_w, va, 0), STORE_PAGE, va, "SC that would fail, to a page of U-mode");
    map(va, NOWHERE, 0, GOOD);
    check_trap(run(S, op_sc_w, va, 0), STORE_ACCESS, va, "SC that would fail, to where nothing is");
    if (!has_pmp())
        return;
    pmp_set(0, PMP_NAPOT | PMP_R, napot(HERE, PAGE));
    map(va, HERE, 0, GOOD);
    check_trap(run(S, op_sc_w, va, 0), STORE_ACCESS, va,
               "SC that would fail, where PMP forbids stores");
    check_trap(sequence(S, op_lr_sc_w, va, 0, 0), STORE_ACCESS, va,
               "SC that would succeed, where PMP forbids stores");
    pmp_set_cfg(0, 0);
}

// ---- Reservations are of memory, not of addresses ----

static void check_remapped(void)
{
    reg va = window();
    unsigned stored = 0;
    for (unsigned i = 0; i < 8; i++) {
        set_words(1, 2);
        map(va, HERE, 0, GOOD);
        run(S, op_only_lr_w, va, 0);
        map(va, FAR, 0, GOOD);
        struct trap t = run(S, op_sc_w, va, 99);
        stored += t.value == 0 || *word_at(FAR) != 2 || *word_at(HERE) != 1;
    }
    check(stored, 0, "SC fails where its address now means another page than LR's");
    stored = 0;
    for (unsigned i = 0; i < 8; i++) {
        set_words(1, 2);
        map(HERE, HERE, 0, GOOD);
        run(M, op_only_lr_w, HERE, 0);
        map(HERE, FAR, 0, GOOD);
        struct trap t = run(S, op_sc_w, HERE, 99);
        stored += t.value == 0 || *word_at(FAR) != 2;
    }
    check(stored, 0, "SC in S-mode fails where LR's address meant another page in M-mode");
}

// ---- Devices ----

#define FW_CFG 0x10100000ul // the board's; its DMA reads an item into memory

static uint32_t swapped(uint32_t v)
{
    return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

static bool device_writes(reg to)
{
    static volatile uint32_t request[4] __attribute__((aligned(16)));
    request[0] = swapped(0x0a); // select item 0, the signature, and read
    request[1] = swapped(4);
    request[2] = 0;
    request[3] = swapped((uint32_t)to);
    *word_at(FW_CFG + 16) = 0;
    struct trap t = sequence(M, op_lr_dma_sc, to, FW_CFG + 20, swapped((uint32_t)(reg)request));
    return t.cause == NONE && t.value != 0;
}

// As a string.
static const uint32_t signature = 'Q' | 'E' << 8 | 'M' << 16 | 'U' << 24;

static void check_devices(void)
{
    set_words(1, 2);
    check_true(device_writes(HERE), "SC fails behind a device's write to what LR reserved");
    check(*word_at(HERE), signature, "what the device wrote stays");
    check_true(device_writes(HERE), "SC fails behind a device's write of what was there already");
}

void topic(void)
{
    check_success();
    check_failures();
    check_values();
    check_devices();
    check_alignment();
    if (!paging_on_any()) {
        skip("paging");
        return;
    }
    check_permissions();
    check_remapped();
    paging_off();
}
