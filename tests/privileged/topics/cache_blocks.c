// SPDX-License-Identifier: MIT
// Zicbom and Zicboz: who may use them, and their faults.
#include "paging.h"

#define BLOCK 64
#define GOOD  (PTE_V | PTE_RWX | PTE_AD)

static const struct {
    const char *name, *op;
    uint64_t enable;
} insns[] = {
    {"cbo.inval", op_cbo_inval, MENVCFG_CBIE},
    {"cbo.clean", op_cbo_clean, MENVCFG_CBCFE},
    {"cbo.flush", op_cbo_flush, MENVCFG_CBCFE},
    {"cbo.zero", op_cbo_zero, MENVCFG_CBZE},
};

#define ALL (MENVCFG_CBIE | MENVCFG_CBCFE | MENVCFG_CBZE)

static void set_enables(uint64_t m, uint64_t s)
{
    menvcfg_change(m & ALL, ALL & ~m);
    if (has('S'))
        csr_write(CSR_SENVCFG, s & ALL);
}

static void check_enables(unsigned i)
{
    uint64_t bit = insns[i].enable;
    for (unsigned n = 0; n < 8; n++) {
        uint64_t m = n & 1 ? bit : n & 4 ? ALL & ~bit : 0, s = n & 2 ? bit : n & 4 ? ALL & ~bit : 0;
        uint32_t code = *(const uint32_t *)insns[i].op;
        set_enables(m, s);
        check_none(run(M, insns[i].op, ARENA, 0), "%s, menvcfg %u, senvcfg %u, others %u: M-mode",
                   insns[i].name, n & 1, n >> 1 & 1, n >> 2);
        if (has('S')) {
            struct trap t = run(S, insns[i].op, ARENA, 0);
            if (n & 1)
                check_none(t, "%s, menvcfg 1, senvcfg %u, others %u: S-mode may", insns[i].name,
                           n >> 1 & 1, n >> 2);
            else
                check_illegal(t, code, "%s, menvcfg 0, senvcfg %u, others %u: S-mode may not",
                              insns[i].name, n >> 1 & 1, n >> 2);
        }
        struct trap t = run(U, insns[i].op, ARENA, 0);
        if (n & 1 && (n & 2 || !has('S')))
            check_none(t, "%s, menvcfg 1, senvcfg %u, others %u: U-mode may", insns[i].name,
                       n >> 1 & 1, n >> 2);
        else
            check_illegal(t, code, "%s, menvcfg %u, senvcfg %u, others %u: U-mode may not",
                          insns[i].name, n & 1, n >> 1 & 1, n >> 2);
    }
    set_enables(ALL, ALL);
}

static void check_registers(void)
{
    paragraph("Machine Environment Configuration (menvcfg) Register");
    csr_clear(CSR_MENVCFG, MENVCFG_CBIE);
    csr_set(CSR_MENVCFG, (reg)2 << 4);
    check_true((csr_read(CSR_MENVCFG) >> 4 & 3) != 2, "CBIE = 2 is reserved");
    csr_set(CSR_MENVCFG, ALL);
    check(csr_read(CSR_MENVCFG) & ALL, ALL, "CBIE, CBCFE and CBZE are writable");
    if (has('S'))
        check(csr_rewrite(CSR_SENVCFG, ALL) & ALL, ALL, "senvcfg has them too");
    if (has('S'))
        check_illegal(csr_reads(S, CSR_MENVCFG), csr_insn(CSR_MENVCFG, CSRRS, 10, 0),
                      "menvcfg is M-mode's alone");
}

static void check_zero(void)
{
    paragraph("Zicboz");
    for (reg i = 0; i < 4 * BLOCK; i++)
        byte_at(ARENA + i)[0] = 0xff;
    check_none(run(M, op_cbo_zero, ARENA + BLOCK + 7, 0),
               "cbo.zero by an address in the middle of a block");
    unsigned zeros = 0;
    for (reg i = 0; i < 4 * BLOCK; i++)
        zeros += !*byte_at(ARENA + i) && i >= BLOCK && i < 2 * BLOCK;
    check(zeros, BLOCK, "cbo.zero zeroes that block");
    check_true(*byte_at(ARENA + BLOCK - 1) && *byte_at(ARENA + 2 * BLOCK),
               "cbo.zero leaves its neighbours");
}

// A management operation needs a permission to load or store; without one it faults as a store.
static void check_faults(unsigned i)
{
    static const reg bits[] = {PTE_R, PTE_R | PTE_W, PTE_R | PTE_X, PTE_RWX};
    bool zero = insns[i].op == op_cbo_zero;
    reg va = window() + 8;
    for (unsigned n = 0; n < ARRAY_LEN(bits); n++) {
        map(window(), ARENA, 0, PTE_V | PTE_AD | bits[n]);
        struct trap t = run(S, insns[i].op, va, 0);
        if (!zero || bits[n] & PTE_W)
            check_none(t, "%s, R, W, X = %x", insns[i].name, bits[n] >> 1);
        else
            check_trap(t, STORE_PAGE, va, "%s, R, W, X = %x", insns[i].name, bits[n] >> 1);
    }
    map(window(), 0, 0, 0);
    check_trap(run(S, insns[i].op, va, 0), STORE_PAGE, va, "%s: not mapped", insns[i].name);
    map(window(), ARENA, 0, GOOD | PTE_U);
    check_trap(run(S, insns[i].op, va, 0), STORE_PAGE, va, "%s: U-mode's page in S-mode",
               insns[i].name);
    how.status = MSTATUS_SUM;
    check_none(run(S, insns[i].op, va, 0), "%s: U-mode's page in S-mode, SUM=1", insns[i].name);
    how.status = 0;
    map(window(), NOWHERE, 0, GOOD);
    check_trap(run(S, insns[i].op, va, 0), STORE_ACCESS, va, "%s: mapped to where nothing is",
               insns[i].name);
    if (!has_pmp())
        return;
    map(window(), ARENA, 0, GOOD);
    pmp_set(0, PMP_NAPOT, napot(ARENA, PAGE));
    check_trap(run(S, insns[i].op, va, 0), STORE_ACCESS, va, "%s: PMP forbids all", insns[i].name);
    pmp_set(0, PMP_NAPOT | PMP_R, napot(ARENA, PAGE));
    struct trap t = run(S, insns[i].op, va, 0);
    if (zero)
        check_trap(t, STORE_ACCESS, va, "%s: PMP allows loads", insns[i].name);
    else
        check_none(t, "%s: PMP allows loads", insns[i].name);
    pmp_set_cfg(0, 0);
}

void topic(void)
{
    if (!has('U') || !has('S') || run(M, op_cbo_zero, ARENA, 0).cause != NONE ||
        run(M, op_cbo_clean, ARENA, 0).cause != NONE) {
        skip("Zicbom and Zicboz");
        return;
    }
    check_registers();
    paragraph("Zicbom and Zicboz");
    for (unsigned i = 0; i < ARRAY_LEN(insns); i++)
        check_enables(i);
    check_zero();
    paragraph("Page-Fault, Guest-Page-Fault, and Access-Fault Exceptions of cache blocks");
    if (!paging_on_any())
        return;
    for (unsigned i = 0; i < ARRAY_LEN(insns); i++)
        check_faults(i);
    paging_off();
}
