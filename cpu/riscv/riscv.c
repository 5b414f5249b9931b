// SPDX-License-Identifier: MIT
// The RISC-V hart as the translator and boards see it: tables, key, reset, time.
#include "cpu/riscv/riscv.h"

#include <assert.h>

#include "base/log.h"

// ---- Tables ----

const char *const riscv_x_names[32] = {"zero", "ra", "sp",  "gp",  "tp", "t0", "t1", "t2",
                                       "s0",   "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
                                       "a6",   "a7", "s2",  "s3",  "s4", "s5", "s6", "s7",
                                       "s8",   "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
const char *const riscv_f_names[32] = {"ft0", "ft1", "ft2",  "ft3",  "ft4", "ft5", "ft6",  "ft7",
                                       "fs0", "fs1", "fa0",  "fa1",  "fa2", "fa3", "fa4",  "fa5",
                                       "fa6", "fa7", "fs2",  "fs3",  "fs4", "fs5", "fs6",  "fs7",
                                       "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};

#define VAR(n, text, t) \
    [n] = {.name = text, .type = t, .offset = offsetof(struct cpu, reg) + (n) * sizeof(uint64_t)}
#define X_VARS(t)                                                                                 \
    VAR(0, "zero", t), VAR(1, "ra", t), VAR(2, "sp", t), VAR(3, "gp", t), VAR(4, "tp", t),        \
        VAR(5, "t0", t), VAR(6, "t1", t), VAR(7, "t2", t), VAR(8, "s0", t), VAR(9, "s1", t),      \
        VAR(10, "a0", t), VAR(11, "a1", t), VAR(12, "a2", t), VAR(13, "a3", t), VAR(14, "a4", t), \
        VAR(15, "a5", t), VAR(16, "a6", t), VAR(17, "a7", t), VAR(18, "s2", t), VAR(19, "s3", t), \
        VAR(20, "s4", t), VAR(21, "s5", t), VAR(22, "s6", t), VAR(23, "s7", t), VAR(24, "s8", t), \
        VAR(25, "s9", t), VAR(26, "s10", t), VAR(27, "s11", t), VAR(28, "t3", t),                 \
        VAR(29, "t4", t), VAR(30, "t5", t), VAR(31, "t6", t)
#define F_VARS                                                                   \
    VAR(32, "ft0", IR_F64), VAR(33, "ft1", IR_F64), VAR(34, "ft2", IR_F64),      \
        VAR(35, "ft3", IR_F64), VAR(36, "ft4", IR_F64), VAR(37, "ft5", IR_F64),  \
        VAR(38, "ft6", IR_F64), VAR(39, "ft7", IR_F64), VAR(40, "fs0", IR_F64),  \
        VAR(41, "fs1", IR_F64), VAR(42, "fa0", IR_F64), VAR(43, "fa1", IR_F64),  \
        VAR(44, "fa2", IR_F64), VAR(45, "fa3", IR_F64), VAR(46, "fa4", IR_F64),  \
        VAR(47, "fa5", IR_F64), VAR(48, "fa6", IR_F64), VAR(49, "fa7", IR_F64),  \
        VAR(50, "fs2", IR_F64), VAR(51, "fs3", IR_F64), VAR(52, "fs4", IR_F64),  \
        VAR(53, "fs5", IR_F64), VAR(54, "fs6", IR_F64), VAR(55, "fs7", IR_F64),  \
        VAR(56, "fs8", IR_F64), VAR(57, "fs9", IR_F64), VAR(58, "fs10", IR_F64), \
        VAR(59, "fs11", IR_F64), VAR(60, "ft8", IR_F64), VAR(61, "ft9", IR_F64), \
        VAR(62, "ft10", IR_F64), VAR(63, "ft11", IR_F64)

const struct ir_var riscv_vars32[RV_NR_VARS] = {X_VARS(IR_I32), F_VARS};
const struct ir_var riscv_vars64[RV_NR_VARS] = {X_VARS(IR_I64), F_VARS};

#define S(member) STATE_VAR(struct riscv_state, member)

static const struct state_field riscv_state_fields[] = {S(mstatus),
                                                        S(medeleg),
                                                        S(mideleg),
                                                        S(mie),
                                                        S(mtvec),
                                                        S(mscratch),
                                                        S(mepc),
                                                        S(mcause),
                                                        S(mtval),
                                                        S(stvec),
                                                        S(sscratch),
                                                        S(sepc),
                                                        S(scause),
                                                        S(stval),
                                                        S(satp),
                                                        S(mcounteren),
                                                        S(scounteren),
                                                        S(mcountinhibit),
                                                        S(menvcfg),
                                                        S(senvcfg),
                                                        S(mseccfg),
                                                        S(stimecmp),
                                                        S(mip_soft),
                                                        S(mip_lines),
                                                        S(mcycle),
                                                        S(minstret),
                                                        STATE_ARRAY(struct riscv_state, pmpaddr),
                                                        STATE_ARRAY(struct riscv_state, pmpcfg),
                                                        S(reservation),
                                                        S(reserved),
                                                        S(priv),
                                                        S(frm),
                                                        STATE_TIMER(struct riscv_state, stimer),
                                                        STATE_END};

const struct state_field riscv_cpu_fields[] = {STATE_SUB(struct riscv_cpu, cpu, cpu_state_fields),
                                               STATE_SUB(struct riscv_cpu, s, riscv_state_fields),
                                               STATE_END};

// ---- Key ----

static enum riscv_regime regime_of(enum riscv_priv priv, uint64_t mstatus)
{
    bool mxr = mstatus & MSTATUS_MXR;
    switch (priv) {
    case PRIV_M:
        return REGIME_M;
    case PRIV_U:
        return mxr ? REGIME_U_MXR : REGIME_U;
    case PRIV_S:
        break;
    }
    if (mstatus & MSTATUS_SUM)
        return mxr ? REGIME_S_SUM_MXR : REGIME_S_SUM;
    return mxr ? REGIME_S_MXR : REGIME_S;
}

enum riscv_priv riscv_data_priv(const struct riscv_cpu *rv)
{
    if (rv->s.mstatus & MSTATUS_MPRV)
        return bits_get(rv->s.mstatus, MSTATUS_MPP_SHIFT, 2);
    return rv->s.priv;
}

static enum riscv_key_fs key_fs(const struct riscv_cpu *rv)
{
    switch ((enum riscv_fs)bits_get(rv->s.mstatus, MSTATUS_FS_SHIFT, 2)) {
    case FS_OFF:
        return KEY_FS_OFF;
    case FS_INITIAL:
    case FS_CLEAN:
        break;
    case FS_DIRTY:
        return KEY_FS_DIRTY;
    }
    return KEY_FS_CLEAN;
}

// The key is made of: priv, frm, and of mstatus MPRV, MPP, SUM, MXR and FS.
void riscv_key_update(struct riscv_cpu *rv)
{
    enum riscv_regime regime = regime_of(riscv_data_priv(rv), rv->s.mstatus);
    uint64_t key = rv->s.priv;
    key = bits_set(key, 2, 3, regime);
    key = bits_set(key, 5, 2, key_fs(rv));
    key = bits_set(key, 7, 3, rv->s.frm);
    key = bits_set(key, 10, 2, rv->variant);
    uint8_t rm = rv->s.frm <= FP_RUP ? rv->s.frm : FP_RNE;
    rv->key = (uint32_t)key;
    rv->cpu.key_regime = regime;
    rv->cpu.key_fetch_regime = regime_of(rv->s.priv, 0);
    // Lifted code that called goes on under the new key without a look at the loop, unless the host's rounding
    // mode is to change.
    if (rm == rv->cpu.key_rm)
        cpu_set_key(&rv->cpu, rv->key);
    else
        cpu_leave_soon(&rv->cpu);
    rv->cpu.key_rm = rm;
}

static uint32_t key_of(struct cpu *cpu)
{
    return riscv_cpu_of(cpu)->key;
}

// ---- Time ----

uint64_t riscv_time(const struct riscv_cpu *rv)
{
    if (rv->mtime)
        return rv->mtime(rv->mtime_opaque);
    return clock_ns_to_ticks(clock_now(rv->cpu.clock), rv->time_hz);
}

// Sets STIP, and the timer to where it changes: at stimecmp, or where time overflows.
void riscv_stimer_update(struct riscv_cpu *rv)
{
    struct clock *clk = rv->cpu.clock;
    uint64_t at = CLOCK_NEVER;
    bool level = false;
    if (rv->s.menvcfg & MENVCFG_STCE) {
        uint64_t now = clock_ns_to_ticks(clock_now(clk), rv->time_hz), time = riscv_time(rv);
        level = time >= rv->s.stimecmp;
        uint64_t left = (level ? 0 : rv->s.stimecmp) - time;
        if (left && left <= UINT64_MAX - now)
            at = clock_ticks_to_ns(now + left, rv->time_hz);
    }
    clock_at(clk, &rv->s.stimer, at);
    riscv_cpu_set_irq(&rv->cpu, IRQ_STI, level);
}

static void stimer_expired(void *opaque)
{
    riscv_stimer_update(opaque);
}

void riscv_cpu_set_mtime(struct cpu *cpu, uint64_t (*mtime)(void *opaque), void *opaque)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    rv->mtime = mtime;
    rv->mtime_opaque = opaque;
    riscv_stimer_update(rv);
}

void riscv_cpu_time_changed(void *opaque)
{
    riscv_stimer_update(riscv_cpu_of(opaque));
}

// ---- Reset, state ----

// Caches of what is in the state.
static void renew(struct riscv_cpu *rv)
{
    riscv_pmp_update(rv);
    riscv_key_update(rv);
    riscv_irq_update(rv);
}

// A hart with svade as well starts as Svade; else hardware updates A and D from the start, for
// software that knows nothing of menvcfg. The same for memory types.
static uint64_t reset_menvcfg(const struct riscv_cpu *rv)
{
    bool adue = riscv_has(rv, RV_EXT_SVADU) && !riscv_has(rv, RV_EXT_SVADE);
    return (adue ? MENVCFG_ADUE : 0) | (riscv_has(rv, RV_EXT_SVPBMT) ? MENVCFG_PBMTE : 0);
}

static void reset(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    memset(cpu->reg, 0, sizeof(cpu->reg));
    cpu->pc = rv->reset_pc;
    cpu->halted = false;
    cpu->fp.flags = 0;
    cpu->fault.pending = false;
    rv->s = (struct riscv_state){
        .priv = PRIV_M,
        .menvcfg = reset_menvcfg(rv),
        .stimecmp = UINT64_MAX,
        .mip_lines = rv->s.mip_lines, // others' levels
        .mcycle = -cpu_retired(cpu),
        .minstret = -cpu_retired(cpu),
    };
    riscv_stimer_update(rv);
    renew(rv);
}

// What comes from a file may hold what no guest can bring about.
static void make_legal(struct riscv_cpu *rv)
{
    struct riscv_state *s = &rv->s;
    uint64_t status = s->mstatus, satp = s->satp;
    if (s->priv == 2 || s->priv > PRIV_M)
        s->priv = PRIV_M;
    s->frm &= 7;
    if (bits_get(status, MSTATUS_MPP_SHIFT, 2) == 2)
        s->mstatus &= ~MSTATUS_MPP;
    if (!(rv->satp_modes >> (rv->xlen == 32 ? bits_get(satp, 31, 1) : bits_get(satp, 60, 4)) & 1))
        s->satp = 0;
    s->mideleg &= BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI);
    s->mie &=
        BIT(IRQ_SSI) | BIT(IRQ_MSI) | BIT(IRQ_STI) | BIT(IRQ_MTI) | BIT(IRQ_SEI) | BIT(IRQ_MEI);
}

static void loaded(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    make_legal(rv);
    riscv_flush_tlb(rv);
    renew(rv);
}

static void switched_out(struct cpu *cpu)
{
    riscv_cpu_of(cpu)->s.reserved = 0;
}

static void memory_written(struct cpu *cpu, paddr_t addr, uint64_t len)
{
    struct riscv_state *s = &riscv_cpu_of(cpu)->s;
    if (s->reserved && addr < s->reservation + s->reserved && addr + len > s->reservation)
        s->reserved = 0;
}

// ---- Making and asking ----

static void cpu_free(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    if (cpu->clock)
        clock_unregister(cpu->clock, &rv->s.stimer);
    g_free(rv->isa_string);
    g_free((void *)rv->view.regs);
    g_free(rv);
}

struct cpu *riscv_cpu_new(const struct riscv_cpu_config *cfg, GError **error)
{
    struct riscv_cpu *rv = g_new0(struct riscv_cpu, 1);
    struct cpu *cpu = &rv->cpu;
    assert(cfg->variant < 4 && cfg->clock && cfg->mem && cfg->time_hz);
    cpu->align_all = cfg->no_misaligned;
    rv->reset_pc = cfg->reset_pc;
    if (!riscv_model_apply(rv, cfg->model, cfg->xlen, error)) {
        cpu_free(cpu);
        return NULL;
    }
    cpu->guest = &riscv_guest;
    cpu->vars = rv->xlen == 32 ? riscv_vars32 : riscv_vars64;
    cpu->nr_vars = RV_NR_VARS;
    cpu->index = cfg->index;
    cpu->mem = cfg->mem;
    cpu->clock = cfg->clock;
    rv->hartid = cfg->hartid;
    rv->variant = cfg->variant;
    rv->time_hz = cfg->time_hz;
    riscv_csr_init(rv);
    riscv_decoder_init(&rv->decoder, rv->ext, rv->xlen);
    clock_register(cfg->clock, &rv->s.stimer, stimer_expired, rv);
    reset(cpu);
    return cpu;
}

void riscv_cpu_set_entry(struct cpu *cpu, vaddr_t pc)
{
    cpu->pc = riscv_cpu_xlen(cpu) == 32 ? (uint32_t)pc : pc;
}

unsigned riscv_cpu_xlen(const struct cpu *cpu)
{
    return ((const struct riscv_cpu *)cpu)->xlen;
}

uint64_t riscv_cpu_hartid(const struct cpu *cpu)
{
    return ((const struct riscv_cpu *)cpu)->hartid;
}

const char *riscv_cpu_isa_string(const struct cpu *cpu)
{
    return ((const struct riscv_cpu *)cpu)->isa_string;
}

const char *riscv_cpu_mmu_type(const struct cpu *cpu)
{
    static const struct {
        unsigned mode;
        const char *name;
    } types[] = {{10, "riscv,sv57"}, {9, "riscv,sv48"}, {8, "riscv,sv39"}, {1, "riscv,sv32"}};
    const struct riscv_cpu *rv = (const struct riscv_cpu *)cpu;
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        if (rv->satp_modes >> types[i].mode & 1)
            return types[i].name;
    return NULL;
}

const struct guest riscv_guest = {
    .name = "riscv",
    .key = key_of,
    .lift = riscv_lift,
    .walk = riscv_walk,
    .fault_align = riscv_fault_align,
    .fault_bus = riscv_fault_bus,
    .trap = riscv_trap,
    .interrupt = riscv_interrupt,
    .has_work = riscv_has_work,
    .reset = reset,
    .loaded = loaded,
    .switched_out = switched_out,
    .memory_written = memory_written,
    .disas = riscv_disas,
    .print_registers = riscv_print_registers,
    .debug_view = riscv_debug_view,
    .debug_read = riscv_debug_read,
    .debug_write = riscv_debug_write,
    .debug_translate = riscv_debug_translate,
    .debug_name = riscv_debug_name,
    .debug_state = riscv_debug_state,
    .free = cpu_free,
    .state = riscv_cpu_fields,
};
