// SPDX-License-Identifier: MIT
// Traps, interrupts, the instructions that return from them or wait for them, and the other
// privileged helpers of lifted code. Privileged manual, "Machine-Level ISA" and "Supervisor-Level
// ISA".
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "cpu/riscv/riscv.h"

// ---- Interrupts ----

uint64_t riscv_mip(const struct riscv_cpu *rv)
{
    uint64_t soft = rv->s.mip_soft;
    if (rv->s.menvcfg & MENVCFG_STCE)
        soft &= ~BIT(IRQ_STI); // stimecmp alone decides
    return rv->s.mip_lines | soft;
}

// Pending, enabled and not masked by the current mode: those for M mode alone, if there are any.
static uint64_t takeable(const struct riscv_cpu *rv)
{
    const struct riscv_state *s = &rv->s;
    uint64_t pending = riscv_mip(rv) & s->mie;
    if (likely(!pending))
        return 0;
    if (s->priv != PRIV_M || s->mstatus & MSTATUS_MIE) {
        uint64_t machine = pending & ~s->mideleg;
        if (machine)
            return machine;
    }
    if (s->priv == PRIV_U || (s->priv == PRIV_S && s->mstatus & MSTATUS_SIE))
        return pending & s->mideleg;
    return 0;
}

bool riscv_has_work(struct cpu *cpu)
{
    const struct riscv_cpu *rv = riscv_cpu_of(cpu);
    return (riscv_mip(rv) & rv->s.mie) != 0;
}

void riscv_irq_update(struct riscv_cpu *rv)
{
    // A halted hart wakes up for what it does not take, too.
    if (takeable(rv) || (rv->cpu.halted && riscv_has_work(&rv->cpu)))
        cpu_kick(&rv->cpu);
}

void riscv_cpu_set_irq(void *opaque, unsigned n, bool level)
{
    struct riscv_cpu *rv = riscv_cpu_of(opaque);
    assert(n < 64);
    if (n == IRQ_SSI) // the bit is software's to clear, so a level would not let it
        rv->s.mip_soft |= level && riscv_has(rv, RV_EXT_S) ? BIT(n) : 0;
    else if (level)
        rv->s.mip_lines |= BIT(n);
    else
        rv->s.mip_lines &= ~BIT(n);
    riscv_irq_update(rv);
}

// ---- Entering handlers ----

static vaddr_t vector(uint64_t tvec, unsigned cause, bool interrupt)
{
    return (tvec & ~UINT64_C(3)) + (interrupt && tvec & 1 ? 4 * cause : 0);
}

static uint64_t cause_value(const struct riscv_cpu *rv, unsigned cause, bool interrupt)
{
    return cause | (interrupt ? BIT(rv->xlen - 1) : 0);
}

static void set_status(struct riscv_cpu *rv, uint64_t mask, bool on)
{
    rv->s.mstatus = on ? rv->s.mstatus | mask : rv->s.mstatus & ~mask;
}

static void enter_machine(struct riscv_cpu *rv, unsigned cause, bool interrupt, uint64_t value)
{
    struct riscv_state *s = &rv->s;
    s->mepc = rv->cpu.pc;
    s->mcause = cause_value(rv, cause, interrupt);
    s->mtval = value;
    set_status(rv, MSTATUS_MPIE, s->mstatus & MSTATUS_MIE);
    set_status(rv, MSTATUS_MIE, false);
    s->mstatus = bits_set(s->mstatus, MSTATUS_MPP_SHIFT, 2, s->priv);
    s->priv = PRIV_M;
    rv->cpu.pc = vector(s->mtvec, cause, interrupt);
}

static void enter_supervisor(struct riscv_cpu *rv, unsigned cause, bool interrupt, uint64_t value)
{
    struct riscv_state *s = &rv->s;
    s->sepc = rv->cpu.pc;
    s->scause = cause_value(rv, cause, interrupt);
    s->stval = value;
    set_status(rv, MSTATUS_SPIE, s->mstatus & MSTATUS_SIE);
    set_status(rv, MSTATUS_SIE, false);
    set_status(rv, MSTATUS_SPP, s->priv == PRIV_S);
    s->priv = PRIV_S;
    rv->cpu.pc = vector(s->stvec, cause, interrupt);
}

static void enter(struct riscv_cpu *rv, unsigned cause, bool interrupt, uint64_t value)
{
    uint64_t delegated = interrupt ? rv->s.mideleg : rv->s.medeleg;
    if (rv->s.priv != PRIV_M && delegated >> cause & 1)
        enter_supervisor(rv, cause, interrupt, value);
    else
        enter_machine(rv, cause, interrupt, value);
    if (rv->xlen == 32)
        rv->cpu.pc = (uint32_t)rv->cpu.pc;
    riscv_key_update(rv);
}

void riscv_trap(struct cpu *cpu)
{
    cpu->fault.pending = false;
    assert(cpu->fault.cause < 64);
    enter(riscv_cpu_of(cpu), cpu->fault.cause, false, cpu->fault.value);
}

bool riscv_interrupt(struct cpu *cpu)
{
    static const uint8_t order[] = {IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI};
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    uint64_t ready = takeable(rv);
    if (likely(!ready))
        return false;
    unsigned i = 0;
    while (!(ready >> order[i] & 1)) {
        i++;
        assert(i < ARRAY_LEN(order)); // mie has no others
    }
    if (log_on(LOG_INT))
        log_printf("cpu %u: interrupt %u at 0x%" PRIx64 "\n", cpu->index, order[i], cpu->pc);
    enter(rv, order[i], true, 0);
    return true;
}

// ---- Returning ----

uint64_t riscv_illegal(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b;
    (void)c;
    (void)d;
    cpu_raise(cpu, EXC_ILLEGAL, insn);
    return 0;
}

// The mode changes to priv. Lifted code goes on behind this by an indirect jump, perhaps without a
// look at the loop: so the translator must know the new key now.
static void return_to(struct riscv_cpu *rv, enum riscv_priv priv)
{
    rv->s.priv = priv;
    if (priv != PRIV_M)
        set_status(rv, MSTATUS_MPRV, false);
    riscv_key_update(rv);
    riscv_irq_update(rv);
}

uint64_t riscv_mret(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c, uint64_t d)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    enum riscv_priv to = bits_get(rv->s.mstatus, MSTATUS_MPP_SHIFT, 2);
    enum riscv_priv least = riscv_has(rv, RV_EXT_U) ? PRIV_U : PRIV_M;
    if (rv->s.priv != PRIV_M)
        return riscv_illegal(cpu, insn, b, c, d);
    set_status(rv, MSTATUS_MIE, rv->s.mstatus & MSTATUS_MPIE);
    set_status(rv, MSTATUS_MPIE, true);
    rv->s.mstatus = bits_set(rv->s.mstatus, MSTATUS_MPP_SHIFT, 2, least);
    return_to(rv, to);
    return rv->s.mepc;
}

uint64_t riscv_sret(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c, uint64_t d)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    enum riscv_priv to = rv->s.mstatus & MSTATUS_SPP ? PRIV_S : PRIV_U;
    bool trapped = rv->s.priv == PRIV_S && rv->s.mstatus & MSTATUS_TSR;
    if (!riscv_has(rv, RV_EXT_S) || rv->s.priv == PRIV_U || trapped)
        return riscv_illegal(cpu, insn, b, c, d);
    set_status(rv, MSTATUS_SIE, rv->s.mstatus & MSTATUS_SPIE);
    set_status(rv, MSTATUS_SPIE, true);
    set_status(rv, MSTATUS_SPP, false);
    return_to(rv, to);
    return rv->s.sepc;
}

// ---- Waiting and fencing ----

// In U mode a wait without bound is illegal where there is an S mode; TW forbids it to both.
uint64_t riscv_wfi(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c, uint64_t d)
{
    const struct riscv_cpu *rv = riscv_cpu_of(cpu);
    bool user = rv->s.priv == PRIV_U && riscv_has(rv, RV_EXT_S);
    if (user || (rv->s.priv != PRIV_M && rv->s.mstatus & MSTATUS_TW))
        return riscv_illegal(cpu, insn, b, c, d);
    return 0;
}

uint64_t riscv_sfence_vma(struct cpu *cpu, uint64_t insn, uint64_t addr, uint64_t one, uint64_t d)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    bool trapped = rv->s.priv == PRIV_S && rv->s.mstatus & MSTATUS_TVM;
    if (!riscv_has(rv, RV_EXT_S) || rv->s.priv == PRIV_U || trapped)
        return riscv_illegal(cpu, insn, addr, one, d);
    if (one)
        riscv_flush_tlb_page(rv, addr);
    else
        riscv_flush_tlb(rv);
    return 0;
}

uint64_t riscv_sfence_inval(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c, uint64_t d)
{
    if (riscv_cpu_of(cpu)->s.priv == PRIV_U)
        return riscv_illegal(cpu, insn, b, c, d);
    return 0;
}

// ---- LR and SC ----

// Where a naturally aligned access goes, in memory.
static bool find_aligned(struct cpu *cpu, vaddr_t addr, unsigned bytes, enum tlb_access access,
                         paddr_t *paddr)
{
    if (addr & (bytes - 1)) {
        riscv_fault_align(cpu, addr, access);
        return false;
    }
    return cpu_translate(cpu, addr, bytes, access, paddr);
}

uint64_t riscv_lr(struct cpu *cpu, uint64_t addr, uint64_t size, uint64_t c, uint64_t d)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    unsigned bytes = 1u << size;
    uint64_t value = 0;
    paddr_t paddr;
    (void)c;
    (void)d;
    if (!find_aligned(cpu, addr, bytes, TLB_READ, &paddr) ||
        !cpu_load(cpu, addr, bytes, (unsigned)size | MO_ALIGN, &value))
        return 0;
    rv->s.reservation = paddr;
    rv->s.reserved = (uint8_t)bytes;
    return (uint64_t)bits_sext(value, 8u << size);
}

static bool is_reserved(const struct riscv_cpu *rv, paddr_t paddr, unsigned bytes)
{
    return rv->s.reserved && paddr >= rv->s.reservation &&
           paddr + bytes <= rv->s.reservation + rv->s.reserved;
}

// Whether the bus would take a store.
static bool is_writable(const struct cpu *cpu, paddr_t paddr)
{
    const struct mem_region *r = mem_find(cpu->mem, paddr);
    return r && r->kind != MEM_ROM;
}

// Other harts run between slices only, and switching drops the reservation: so it stands unless
// this hart has given it up, and its own stores don't. One that fails faults like one that stores.
uint64_t riscv_sc(struct cpu *cpu, uint64_t addr, uint64_t size, uint64_t value, uint64_t d)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    unsigned bytes = 1u << size;
    paddr_t paddr;
    (void)d;
    if (!find_aligned(cpu, addr, bytes, TLB_WRITE, &paddr))
        return 0;
    bool holds = is_reserved(rv, paddr, bytes);
    if (!holds && !is_writable(cpu, paddr))
        riscv_fault_bus(cpu, addr, TLB_WRITE);
    if (holds)
        cpu_store(cpu, addr, bytes, (unsigned)size | MO_ALIGN, value);
    if (cpu->fault.pending)
        return 0;
    rv->s.reserved = 0;
    return !holds;
}

// ---- Cache blocks ----

// A block may be managed if it may be read or written, which PTEs and PMP entries grant only with
// reading.
static bool cbo_manage(struct cpu *cpu, vaddr_t addr)
{
    struct tlb_fill fill = {0};
    vaddr_t block = align_down(addr, RISCV_CBO_BLOCK);
    if (!riscv_walk(cpu, block, RISCV_CBO_BLOCK, TLB_READ, cpu->key_regime, &fill)) {
        bool page = cpu->fault.cause == EXC_LOAD_PAGE;
        cpu_raise(cpu, page ? EXC_STORE_PAGE : EXC_STORE_ACCESS, addr);
        return false;
    }
    if (mem_find(cpu->mem, fill.paddr | (block & ~PAGE_MASK)))
        return true;
    cpu_raise(cpu, EXC_STORE_ACCESS, addr);
    return false;
}

static bool cbo_zero(struct cpu *cpu, vaddr_t addr)
{
    if (cpu_zero(cpu, align_down(addr, RISCV_CBO_BLOCK), RISCV_CBO_BLOCK))
        return true;
    cpu->fault.value = addr; // rs1, not the block
    return false;
}

// There are no caches: managing one only checks.
uint64_t riscv_cbo(struct cpu *cpu, uint64_t addr, uint64_t what, uint64_t c, uint64_t insn)
{
    if (!riscv_cbo_allowed(riscv_cpu_of(cpu), what))
        return riscv_illegal(cpu, insn, 0, c, 0);
    if (what == CBO_ZERO)
        cbo_zero(cpu, addr);
    else
        cbo_manage(cpu, addr);
    return 0;
}

// ---- Floating point ----

uint64_t riscv_set_fs_dirty(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    rv->s.mstatus |= MSTATUS_FS;
    riscv_key_update(rv);
    return 0;
}
