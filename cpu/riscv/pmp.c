// SPDX-License-Identifier: MIT
// Physical memory protection: 16 entries, grain of 4 bytes. Privileged manual, "Physical Memory
// Protection", and for mseccfg chapter Smepmp.
//
// Entries are decoded to ranges of bytes whenever they change; the TLB, which holds what was
// allowed, is flushed then.
#include <assert.h>

#include "base/log.h"
#include "cpu/riscv/riscv.h"

#define CFG_R       0x01
#define CFG_W       0x02
#define CFG_X       0x04
#define CFG_RWX     0x07
#define CFG_A_SHIFT 3
#define CFG_L       0x80
#define CFG_MASK    0x9f

enum pmp_match { PMP_OFF, PMP_TOR, PMP_NA4, PMP_NAPOT };

#define ALLOW_R   BIT(TLB_READ)
#define ALLOW_W   BIT(TLB_WRITE)
#define ALLOW_X   BIT(TLB_EXEC)
#define ALLOW_ALL (ALLOW_R | ALLOW_W | ALLOW_X)

static unsigned cfg_at(const struct riscv_cpu *rv, unsigned i)
{
    return (unsigned)bits_get(rv->s.pmpcfg[i / 8], i % 8 * 8, 8);
}

static enum pmp_match match_of(unsigned cfg)
{
    return (enum pmp_match)(cfg >> CFG_A_SHIFT & 3);
}

// ---- Decoding ----

static const struct riscv_range nothing = {.first = 1, .last = 0};

static struct riscv_range range_tor(uint64_t bottom, uint64_t top)
{
    if (bottom >= top)
        return nothing;
    return (struct riscv_range){.first = bottom << 2, .last = (top << 2) - 1};
}

// The number of ones at the end of pmpaddr gives the size.
static struct riscv_range range_napot(uint64_t addr)
{
    uint64_t offset = addr ^ (addr + 1);
    return (struct riscv_range){.first = (addr & ~offset) << 2, .last = (addr | offset) << 2 | 3};
}

static struct riscv_range decode(const struct riscv_cpu *rv, unsigned i)
{
    uint64_t addr = rv->s.pmpaddr[i];
    switch (match_of(cfg_at(rv, i))) {
    case PMP_OFF:
        break;
    case PMP_TOR:
        return range_tor(i ? rv->s.pmpaddr[i - 1] : 0, addr);
    case PMP_NA4:
        return (struct riscv_range){.first = addr << 2, .last = addr << 2 | 3};
    case PMP_NAPOT:
        return range_napot(addr);
    }
    return nothing;
}

void riscv_pmp_update(struct riscv_cpu *rv)
{
    rv->nr_pmp = 0;
    for (unsigned i = 0; i < RISCV_NR_PMP; i++) {
        rv->pmp[i] = decode(rv, i);
        if (rv->pmp[i].first <= rv->pmp[i].last)
            rv->nr_pmp = i + 1;
    }
    riscv_flush_tlb(rv);
}

// ---- Checking ----

static unsigned allow_rwx(unsigned cfg)
{
    return (cfg & CFG_R ? ALLOW_R : 0) | (cfg & CFG_W ? ALLOW_W : 0) | (cfg & CFG_X ? ALLOW_X : 0);
}

// With mseccfg.MML the bits L, R, W, X are one code: what M mode may do, and what S and U mode may.
static unsigned allow_mml(unsigned cfg, bool machine)
{
    bool locked = cfg & CFG_L;
    bool x = cfg & CFG_X;
    if ((cfg & (CFG_R | CFG_W)) == CFG_W) {
        if (locked)
            return ALLOW_X | (machine && x ? ALLOW_R : 0);
        return ALLOW_R | (machine || x ? ALLOW_W : 0);
    }
    if (locked && (cfg & CFG_RWX) == CFG_RWX)
        return ALLOW_R;
    return locked == machine ? allow_rwx(cfg) : 0;
}

static unsigned allow_by(const struct riscv_cpu *rv, unsigned cfg, bool machine)
{
    if (rv->s.mseccfg & MSECCFG_MML)
        return allow_mml(cfg, machine);
    return machine && !(cfg & CFG_L) ? ALLOW_ALL : allow_rwx(cfg);
}

// What no entry matches.
static unsigned allow_default(const struct riscv_cpu *rv, bool machine)
{
    if (!machine || rv->s.mseccfg & MSECCFG_MMWP)
        return 0;
    return rv->s.mseccfg & MSECCFG_MML ? ALLOW_R | ALLOW_W : ALLOW_ALL;
}

// The answer, and the entry that gave it in *by: nr_pmp when none did.
static unsigned find_allowed(const struct riscv_cpu *rv, paddr_t addr, unsigned size, bool machine,
                             bool *partial, unsigned *by)
{
    paddr_t last = addr + size - 1, page = addr & PAGE_MASK, page_last = addr | ~PAGE_MASK;
    assert(size && last <= page_last);
    for (*by = 0; *by < rv->nr_pmp; ++*by) {
        const struct riscv_range *r = &rv->pmp[*by];
        if (r->first > page_last || r->last < page || r->first > r->last)
            continue;
        if (r->first > page || r->last < page_last)
            *partial = true;
        if (r->first > last || r->last < addr)
            continue;
        if (r->first > addr || r->last < last)
            return 0; // the first entry that matches any byte must match all
        return allow_by(rv, cfg_at(rv, *by), machine);
    }
    return allow_default(rv, machine);
}

// The answer for a page that is not partial holds for all around it up to where another entry begins or ends:
// those before entry `by`, which are asked first, and `by` itself.
static void note_hit(struct riscv_cpu *rv, bool machine, paddr_t addr, unsigned by, unsigned allowed)
{
    struct riscv_range range = {.first = 0, .last = UINT64_MAX};
    if (by < rv->nr_pmp)
        range = rv->pmp[by];
    for (unsigned i = 0; i < by; i++) {
        const struct riscv_range *r = &rv->pmp[i];
        if (r->first > r->last)
            continue;
        if (r->last < addr)
            range.first = MAX(range.first, r->last + 1);
        else
            range.last = MIN(range.last, r->first - 1);
    }
    rv->pmp_hit[machine] = (struct riscv_pmp_hit){range, allowed};
}

unsigned riscv_pmp_allowed(struct riscv_cpu *rv, paddr_t addr, unsigned size, enum riscv_priv priv,
                           bool *partial)
{
    bool machine = priv == PRIV_M;
    paddr_t page = addr & PAGE_MASK;
    const struct riscv_pmp_hit *hit = &rv->pmp_hit[machine];
    *partial = false;
    if (!riscv_has(rv, RV_EXT_PMP))
        return ALLOW_ALL;
    if (page >= hit->range.first && (page | ~PAGE_MASK) <= hit->range.last)
        return hit->allowed;
    unsigned by, allowed = find_allowed(rv, addr, size, machine, partial, &by);
    if (!*partial)
        note_hit(rv, machine, addr, by, allowed);
    return allowed;
}

// ---- Writing ----

static bool locked(const struct riscv_cpu *rv, unsigned i)
{
    return cfg_at(rv, i) & CFG_L && !(rv->s.mseccfg & MSECCFG_RLB);
}

// Rules that let M mode execute: none may be added once MML is set.
static bool gives_machine_code(unsigned cfg)
{
    return cfg & CFG_L && allow_mml(cfg, true) & ALLOW_X;
}

// The legal value of entry i's configuration after a write.
static unsigned legal_cfg(const struct riscv_cpu *rv, unsigned i, unsigned cfg)
{
    unsigned old = cfg_at(rv, i);
    bool mml = rv->s.mseccfg & MSECCFG_MML;
    cfg &= CFG_MASK;
    if (locked(rv, i)) {
        if (cfg != old)
            log_guest("riscv: pmp entry %u is locked\n", i);
        return old;
    }
    if (mml && !(rv->s.mseccfg & MSECCFG_RLB) && gives_machine_code(cfg))
        return old;
    if (!mml && (cfg & (CFG_R | CFG_W)) == CFG_W)
        cfg &= ~CFG_W; // reserved
    return cfg;
}

void riscv_pmp_write_cfg(struct riscv_cpu *rv, unsigned index, uint64_t value)
{
    uint64_t cfgs = 0;
    for (unsigned i = 0; i < 8; i++)
        cfgs = bits_set(cfgs, i * 8, 8, legal_cfg(rv, index * 8 + i, bits_get(value, i * 8, 8)));
    if (cfgs == rv->s.pmpcfg[index])
        return;
    rv->s.pmpcfg[index] = cfgs;
    riscv_pmp_update(rv);
}

void riscv_pmp_write_addr(struct riscv_cpu *rv, unsigned index, uint64_t value)
{
    bool is_bottom = index + 1 < RISCV_NR_PMP && match_of(cfg_at(rv, index + 1)) == PMP_TOR;
    value &= rv->xlen == 32 ? MASK(31, 0) : MASK(53, 0);
    if (locked(rv, index) || (is_bottom && locked(rv, index + 1))) {
        log_guest("riscv: pmp entry %u is locked\n", index);
        return;
    }
    if (value == rv->s.pmpaddr[index])
        return;
    rv->s.pmpaddr[index] = value;
    if (is_bottom || match_of(cfg_at(rv, index)) != PMP_OFF)
        riscv_pmp_update(rv);
}

// MML and MMWP stay once set; RLB stays clear once clear while an entry is locked.
void riscv_pmp_write_seccfg(struct riscv_cpu *rv, uint64_t value)
{
    uint64_t old = rv->s.mseccfg;
    bool any_locked = false;
    for (unsigned i = 0; i < RISCV_NR_PMP; i++)
        any_locked |= (cfg_at(rv, i) & CFG_L) != 0;
    if (any_locked && !(old & MSECCFG_RLB))
        value &= ~MSECCFG_RLB;
    rv->s.mseccfg =
        (value & (MSECCFG_MML | MSECCFG_MMWP | MSECCFG_RLB)) | (old & (MSECCFG_MML | MSECCFG_MMWP));
    if (rv->s.mseccfg != old)
        riscv_flush_tlb(rv);
}
