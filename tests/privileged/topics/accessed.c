// SPDX-License-Identifier: MIT
// The A and D bits, in both schemes: page faults (Svade, or menvcfg.ADUE=0), and updates by hardware.
#include "paging.h"

#define PTE_ALL (PTE_V | PTE_RWX)
#define ECALL   0x00000073 // what fetches find

static const struct {
    const char *name;
    const char *op;
    bool store;
    enum cause page;
} accesses[] = {
    {"load", op_lw, false, LOAD_PAGE},     {"LR", op_lr_w, false, LOAD_PAGE},
    {"store", op_sw, true, STORE_PAGE},    {"AMO", op_amoadd_w, true, STORE_PAGE},
    {"fetch", op_jump, false, FETCH_PAGE},
};

static reg pte_after(reg va, reg bits, unsigned level, const char *op, struct trap *t)
{
    *word_at(ARENA) = ECALL;
    map(va, ARENA, level, bits);
    *t = run(S, op, va, 0);
    return *pte_at(va, level);
}

// ---- By software ----

static void check_faults(reg va, unsigned level)
{
    static const reg bits[] = {0, PTE_A, PTE_D, PTE_AD};
    static const char *const names[] = {"neither", "A", "D", "A and D"};
    for (unsigned a = 0; a < ARRAY_LEN(accesses); a++) {
        for (unsigned i = 0; i < ARRAY_LEN(bits); i++) {
            struct trap t;
            reg want = PTE_PPN(ARENA) | PTE_ALL | bits[i];
            bool ok = bits[i] & PTE_A && (!accesses[a].store || bits[i] & PTE_D);
            reg got = pte_after(va, PTE_ALL | bits[i], level, accesses[a].op, &t);
            if (ok)
                check_none(t, "%s, level %u, %s set: no fault", accesses[a].name, level, names[i]);
            else
                check_trap(t, accesses[a].page, va, "%s, level %u, %s set: a fault",
                           accesses[a].name, level, names[i]);
            check(got, want, "%s, level %u, %s set: the PTE stays", accesses[a].name, level,
                  names[i]);
        }
    }
}

// ---- By hardware ----

static void check_updates(reg va, unsigned level)
{
    for (unsigned a = 0; a < ARRAY_LEN(accesses); a++) {
        struct trap t;
        reg used = PTE_A | (accesses[a].store ? PTE_D : 0);
        reg got = pte_after(va, PTE_ALL, level, accesses[a].op, &t);
        check_none(t, "%s, level %u: no fault", accesses[a].name, level);
        check(got, PTE_PPN(ARENA) | PTE_ALL | used, "%s, level %u: the PTE's bits",
              accesses[a].name, level);
    }
}

// A load makes the translation known; the store behind it must still set D.
static void check_load_then_store(reg va)
{
    map(va, ARENA, 0, PTE_ALL);
    run(S, op_lw, va, 0);
    check(*pte_at(va, 0) & PTE_AD, PTE_A, "a load sets A only");
    run(S, op_sw, va, 0);
    check(*pte_at(va, 0) & PTE_AD, PTE_AD, "a store behind it sets D");
    // D is cleared by software, with a fence: the next store sets it again.
    set_pte(pte_at(va, 0), *pte_at(va, 0) & ~PTE_D);
    run(S, op_lw, va, 0);
    check(*pte_at(va, 0) & PTE_AD, PTE_A, "D cleared, with a fence: a load leaves it");
    run(S, op_sw, va, 0);
    check(*pte_at(va, 0) & PTE_AD, PTE_AD, "D cleared, with a fence: a store sets it");
    set_pte(pte_at(va, 0), *pte_at(va, 0) & ~PTE_AD);
    run(S, op_lw, va, 0);
    check(*pte_at(va, 0) & PTE_AD, PTE_A, "A cleared, with a fence: a load sets it");
}

// An access that faults for another reason: D must not be set.
static void check_no_update(reg va)
{
    struct trap t;
    reg got = pte_after(va, PTE_V | PTE_R, 0, op_sw, &t);
    check_trap(t, STORE_PAGE, va, "a store to a page without W");
    check(got, PTE_PPN(ARENA) | PTE_V | PTE_R, "a store to a page without W: the PTE stays");
    got = pte_after(va, PTE_ALL | PTE_U, 0, op_sw, &t);
    check_trap(t, STORE_PAGE, va, "a store by S-mode to a page of U-mode");
    check(got, PTE_PPN(ARENA) | PTE_ALL | PTE_U,
          "a store by S-mode to a page of U-mode: the PTE stays");
    got = pte_after(va, PTE_V | PTE_X, 0, op_lw, &t);
    check(got, PTE_PPN(ARENA) | PTE_V | PTE_X, "a load from a page without R: the PTE stays");
    got = pte_after(va + 2, PTE_ALL, 0, op_lr_w, &t);
    check_true((got & PTE_D) == 0, "a misaligned LR: D stays");
}

// The update is a store by S-mode for PMP.
static void check_protected_table(reg va)
{
    if (!has_pmp())
        return;
    struct trap t;
    map(va, ARENA, 0, PTE_ALL);
    reg table = (reg)pte_at(va, 0) & ~(PAGE - 1);
    pmp_set(0, PMP_NAPOT | PMP_R, napot(table, PAGE));
    reg got = pte_after(va, PTE_ALL, 0, op_lw, &t);
    check_trap(t, LOAD_ACCESS, va, "A cannot be set where PMP forbids to store: a load");
    check(got & PTE_AD, 0, "A cannot be set where PMP forbids to store: the PTE stays");
    pte_after(va, PTE_ALL, 0, op_sw, &t);
    check_trap(t, STORE_ACCESS, va, "A and D cannot be set where PMP forbids to store: a store");
    pte_after(va, PTE_ALL, 0, op_jump, &t);
    check_trap(t, FETCH_ACCESS, va, "A cannot be set where PMP forbids to store: a fetch");
    pte_after(va, PTE_ALL | PTE_AD, 0, op_sw, &t);
    check_none(t, "with A and D set, nothing is stored there");
    pmp_set_cfg(0, 0);
}

static void check_user(reg va)
{
    map(va, ARENA, 0, PTE_ALL | PTE_U);
    struct trap t = run(U, op_sw, va, 0);
    check_none(t, "a store by U-mode");
    check(*pte_at(va, 0) & PTE_AD, PTE_AD, "a store by U-mode sets A and D");
}

static void check_software(reg va, const struct scheme *s)
{
    paragraph("Svade, or menvcfg.ADUE=0, %s", s->name);
    sfence();
    for (unsigned level = 0; level < 2; level++) {
        check_faults(va, level);
        set_pte(pte_at(va, level), 0);
    }
}

static void check_hardware(reg va, const struct scheme *s)
{
    paragraph("Svadu, menvcfg.ADUE=1, %s", s->name);
    sfence();
    for (unsigned level = 0; level < 2; level++) {
        check_updates(va, level);
        set_pte(pte_at(va, level), 0);
    }
    check_load_then_store(va);
    check_no_update(va);
    check_protected_table(va);
    check_user(va);
}

// Without Svadu a hart has one of the schemes for good.
static bool updates(reg va)
{
    struct trap t;
    return pte_after(va, PTE_ALL, 0, op_lw, &t) & PTE_A;
}

static void check_scheme(const struct scheme *s)
{
    if (!paging_on(s))
        return;
    reg va = window();
    if (menvcfg_change(MENVCFG_ADUE, 0)) {
        check_hardware(va, s);
        menvcfg_change(0, MENVCFG_ADUE);
        check(menvcfg() & MENVCFG_ADUE, 0, "menvcfg.ADUE can be cleared");
        check_software(va, s);
    } else if (updates(va)) {
        check_hardware(va, s);
    } else {
        check_software(va, s);
    }
    paging_off();
}

void topic(void)
{
    if (!has('S')) {
        skip("S-mode");
        return;
    }
    paragraph("Svadu");
    if (!menvcfg_change(MENVCFG_ADUE, 0))
        skip("Svadu");
    for (unsigned i = 0; i < NR_SCHEMES; i++)
        check_scheme(&schemes[i]);
}
