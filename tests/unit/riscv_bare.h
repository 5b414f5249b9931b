// SPDX-License-Identifier: MIT
// A bare RISC-V hart on 64 MiB of RAM, for tests of the privileged side: no translator, no machine.
#ifndef TESTS_UNIT_RISCV_BARE_H
#define TESTS_UNIT_RISCV_BARE_H

#include <criterion/criterion.h>

#include "cpu/riscv/riscv.h"

#define RIG_RAM      UINT64_C(0x80000000)
#define RIG_RAM_SIZE UINT64_C(0x4000000)
#define RIG_HZ       UINT64_C(10000000)
#define RIG_INSN     UINT64_C(0x12345678) // instruction bits that helpers are told

struct rig {
    struct mem *mem;
    struct clock *clock;
    struct riscv_cpu *rv;
    struct cpu *cpu;
};

static inline struct rig rig_new(const char *model, unsigned xlen)
{
    struct rig r = {.mem = mem_new(), .clock = clock_new()};
    GError *error = NULL;
    cr_assert(mem_add_ram(r.mem, "ram", RIG_RAM, RIG_RAM_SIZE, &error));
    struct riscv_cpu_config cfg = {.model = model,
                                   .xlen = xlen,
                                   .hartid = 3,
                                   .mem = r.mem,
                                   .clock = r.clock,
                                   .reset_pc = RIG_RAM,
                                   .time_hz = RIG_HZ};
    r.cpu = riscv_cpu_new(&cfg, &error);
    cr_assert(r.cpu, "%s", error ? error->message : "");
    r.rv = riscv_cpu_of(r.cpu);
    tlb_init(&r.cpu->tlb); // no execution loop does it here
    tlb_init(&r.cpu->tlb);
    return r;
}

static inline void rig_free(struct rig *r)
{
    r->cpu->guest->free(r->cpu);
    clock_free(r->clock);
    mem_free(r->mem);
}

// The pending fault's cause, which is taken back; -1: none.
static inline int rig_fault(struct rig *r)
{
    bool pending = r->cpu->fault.pending;
    r->cpu->fault.pending = false;
    return pending ? (int)r->cpu->fault.cause : -1;
}

static inline void rig_priv(struct rig *r, enum riscv_priv priv)
{
    r->rv->s.priv = priv;
    riscv_key_update(r->rv);
}

// CSR instructions that must succeed.
static inline uint64_t rig_csr(struct rig *r, unsigned csr, uint64_t value, unsigned op)
{
    uint64_t old = riscv_csr_rmw(r->cpu, csr, value, op, RIG_INSN);
    cr_assert_eq(rig_fault(r), -1, "CSR 0x%x", csr);
    return old;
}

static inline uint64_t csr_r(struct rig *r, unsigned csr)
{
    return rig_csr(r, csr, 0, CSR_RS | CSR_NO_WRITE);
}

static inline void csr_w(struct rig *r, unsigned csr, uint64_t value)
{
    rig_csr(r, csr, value, CSR_RW | CSR_NO_READ);
}

// What is read back after writing.
static inline uint64_t csr_wr(struct rig *r, unsigned csr, uint64_t value)
{
    csr_w(r, csr, value);
    return csr_r(r, csr);
}

// Whether the access is an illegal instruction.
static inline bool csr_illegal(struct rig *r, unsigned csr, uint64_t value, unsigned op)
{
    riscv_csr_rmw(r->cpu, csr, value, op, RIG_INSN);
    int cause = rig_fault(r);
    cr_assert(cause == -1 || (cause == EXC_ILLEGAL && r->cpu->fault.value == RIG_INSN));
    return cause == EXC_ILLEGAL;
}

static inline bool csr_unreadable(struct rig *r, unsigned csr)
{
    return csr_illegal(r, csr, 0, CSR_RS | CSR_NO_WRITE);
}

static inline void rig_poke(struct rig *r, paddr_t addr, unsigned size, uint64_t value)
{
    cr_assert_eq(mem_write(r->mem, addr, size, value), MEM_OK);
}

static inline uint64_t rig_peek(struct rig *r, paddr_t addr, unsigned size)
{
    uint64_t v;
    cr_assert_eq(mem_read(r->mem, addr, size, &v), MEM_OK);
    return v;
}

// Lets everybody access all memory.
static inline void rig_open_pmp(struct rig *r)
{
    csr_w(r, 0x3b0, ~UINT64_C(0));
    csr_w(r, 0x3a0, 0x1f);
}

#endif
