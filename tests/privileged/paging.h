/* SPDX-License-Identifier: MIT */
/* Page tables. paging_on() makes an address space in which S-mode finds all RAM where it is, U-mode the code of ops.S
   at an address of its own, and a window is free for mappings. */
#ifndef TESTS_PRIVILEGED_PAGING_H
#define TESTS_PRIVILEGED_PAGING_H

#include "guest.h"

#define PTE_V   BIT(0)
#define PTE_R   BIT(1)
#define PTE_W   BIT(2)
#define PTE_X   BIT(3)
#define PTE_U   BIT(4)
#define PTE_G   BIT(5)
#define PTE_A   BIT(6)
#define PTE_D   BIT(7)
#define PTE_RSW (BIT(8) | BIT(9))
#define PTE_RWX (PTE_R | PTE_W | PTE_X)
#define PTE_AD  (PTE_A | PTE_D)
#if XLEN == 64
#define PTE_PBMT(n) ((reg)(n) << 61)
#define PTE_N       BIT(63)
#endif
#define PTE_PPN(pa) ((reg)(pa) >> 12 << 10)

struct scheme {
    const char *name;
    unsigned mode, levels, vpn_bits, va_bits;
};

#define NR_SCHEMES (XLEN == 64 ? 3 : 1)
extern const struct scheme schemes[NR_SCHEMES];

/* False: the hart has no such scheme. */
bool paging_on(const struct scheme *s);
void paging_off(void);
/* The largest scheme there is; false: none. */
bool paging_on_any(void);
extern const struct scheme *scheme; /* the last one in use; NULL: there is none */

/* A free stretch of the address space, aligned to the largest page. */
reg window(void);
/* As a value of satp: another root with that ASID. A copy of the root's entries, so that tables below are shared. */
reg new_space(unsigned asid);
reg satp_value(reg root, unsigned asid);

/* The entry of a level (0: of pages) for an address; makes the tables above it. */
reg *pte_at(reg va, unsigned level);
/* A page of that level. `bits` are those of the PTE beside the address. Fences. */
void map(reg va, reg pa, unsigned level, reg bits);
void set_pte(reg *pte, reg value); /* and fences */
reg page_size(unsigned level);
/* A page of zeros from a pool that paging_on empties. */
reg new_table(void);

#endif
