// SPDX-License-Identifier: MIT
// See paging.h.
#include "paging.h"

#if XLEN == 64
const struct scheme schemes[NR_SCHEMES] = {
    {"Sv39", 8, 3, 9, 39}, {"Sv48", 9, 4, 9, 48}, {"Sv57", 10, 5, 9, 57}};
#define MODE_SHIFT 60
#define ASID_SHIFT 44
#else
const struct scheme schemes[NR_SCHEMES] = {{"Sv32", 1, 2, 10, 32}};
#define MODE_SHIFT 31
#define ASID_SHIFT 22
#endif

#define NR_TABLES 64
#define RAM       0x80000000ul

const struct scheme *scheme;

static reg tables[NR_TABLES][PAGE / sizeof(reg)] __attribute__((aligned(PAGE)));
static unsigned nr_tables;
static reg root;

reg new_table(void)
{
    reg *t = tables[nr_tables++ % NR_TABLES];
    for (unsigned i = 0; i < PAGE / sizeof(reg); i++)
        t[i] = 0;
    return (reg)t;
}

reg page_size(unsigned level)
{
    return BIT(12 + level * scheme->vpn_bits);
}

// The n-th part of the address space at the root.
static reg part(unsigned n)
{
    return page_size(scheme->levels - 1) * n;
}

// Of Sv39's 512 parts of 1 GiB the third has RAM; of the others' larger ones it is the first.
reg window(void)
{
    return part(XLEN == 64 ? 8 : 64);
}

static reg user_ops(void)
{
    return part(XLEN == 64 ? 4 : 16);
}

reg *pte_at(reg va, unsigned level)
{
    reg *table = (reg *)root;
    for (unsigned i = scheme->levels - 1;; i--) {
        reg *pte = &table[va >> (12 + i * scheme->vpn_bits) & (BIT(scheme->vpn_bits) - 1)];
        if (i == level)
            return pte;
        if (!(*pte & PTE_V) || *pte & PTE_RWX)
            *pte = PTE_PPN(new_table()) | PTE_V;
        table = (reg *)(*pte >> 10 << 12);
    }
}

void set_pte(reg *pte, reg value)
{
    *(volatile reg *)pte = value;
    sfence();
}

void map(reg va, reg pa, unsigned level, reg bits)
{
    set_pte(pte_at(va, level), PTE_PPN(pa) | bits);
}

reg satp_value(reg of_root, unsigned asid)
{
    return (reg)scheme->mode << MODE_SHIFT | (reg)asid << ASID_SHIFT | of_root >> 12;
}

reg new_space(unsigned asid)
{
    reg *copy = (reg *)new_table();
    for (unsigned i = 0; i < PAGE / sizeof(reg); i++)
        copy[i] = ((reg *)root)[i];
    return satp_value((reg)copy, asid);
}

// RAM is 8 MiB: pages of 2 or 4 MiB.
static void map_ram(void)
{
    for (reg at = 0; at < 0x800000; at += page_size(1))
        map(RAM + at, RAM + at, 1, PTE_V | PTE_RWX | PTE_AD);
}

static void map_user_ops(void)
{
    for (reg at = 0; at < (reg)(ops_end - ops); at += PAGE)
        map(user_ops() + at, (reg)ops + at, 0, PTE_V | PTE_RWX | PTE_AD | PTE_U);
    how.ops_at[U] = user_ops();
}

bool paging_on(const struct scheme *s)
{
    if (!has('S'))
        return false;
    nr_tables = 0;
    scheme = s;
    root = new_table();
    map_ram();
    map_user_ops();
    csr_write(CSR_SATP, satp_value(root, 0));
    sfence();
    if (csr_read(CSR_SATP) == satp_value(root, 0))
        return true;
    paging_off();
    scheme = NULL;
    return false;
}

bool paging_on_any(void)
{
    for (unsigned i = NR_SCHEMES; i-- > 0;)
        if (paging_on(&schemes[i]))
            return true;
    return false;
}

void paging_off(void)
{
    csr_write(CSR_SATP, 0);
    sfence();
    how.ops_at[U] = 0;
}
