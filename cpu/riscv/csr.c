// SPDX-License-Identifier: MIT
// Control and status registers: the table of csrs.def, who may access what, and what writing does.
// Privileged manual, chapters "CSRs", "Machine-Level ISA" and "Supervisor-Level ISA";
// floating-point ones: chapter F.
//
// Fields are WARL: every value written becomes a legal one. Where the manual leaves the choice: a
// reserved value of MPP, of a vector's MODE or of CBIE keeps the old one, satp with an unsupported
// MODE stays as it is, misa is read-only, performance counters beyond cycle and instret read as
// zero. A cycle is an instruction.
//
// read_ and write_ functions see the whole register, 64 bits where it is WIDE; what picks halves
// for RV32 is part() and write_part().
#include <assert.h>

#include "base/log.h"
#include "cpu/riscv/riscv.h"

#define MENVCFG_FIOM       BIT(0)
#define MENVCFG_CBIE_SHIFT 4
#define MENVCFG_CBIE       MASK(5, 4)
#define MENVCFG_CBCFE      BIT(6)
#define MENVCFG_CBZE       BIT(7)

#define MIDELEG_MASK (BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI))
#define MIE_M_MASK   (BIT(IRQ_MSI) | BIT(IRQ_MTI) | BIT(IRQ_MEI))
// All exceptions that S or U mode can meet.
#define MEDELEG_MASK UINT64_C(0xb3ff)

#define SSTATUS_MASK \
    (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)

#define COUNTER_CY BIT(0)
#define COUNTER_TM BIT(1)
#define COUNTER_IR BIT(2)

enum csr_flags { WIDE = 1, ONLY32 = 2, FP = 4, TIME = 8, LEAVE = 16, HIGH = 32 };

// What is checked besides privilege.
enum csr_check { CHECK_none, CHECK_fs, CHECK_tvm, CHECK_counter, CHECK_stimecmp };

struct csr_write {
    uint64_t value;
    // Bits that the instruction wants to change; matters where the bit that is read is not the bit
    // that is written (mip.SEIP).
    uint64_t mask;
    unsigned number;
};

struct csr {
    const char *name;
    riscv_exts need;
    uint16_t number;
    uint16_t of;     // HIGH: number of the register
    uint32_t offset; // without a read function: of the member of struct riscv_cpu
    uint64_t mask;   // without a write function: bits of the member that writes change
    uint8_t flags;   // enum csr_flags
    uint8_t check;   // enum csr_check
    uint64_t (*read)(const struct riscv_cpu *rv);
    void (*write)(struct riscv_cpu *rv, const struct csr_write *w);
};

static bool xlen32(const struct riscv_cpu *rv)
{
    return rv->xlen == 32;
}

static uint64_t replace(uint64_t old, uint64_t value, uint64_t mask)
{
    return (old & ~mask) | (value & mask);
}

// ---- Checks beyond privilege ----

static bool counter_enabled(const struct riscv_cpu *rv, uint64_t bit)
{
    if (rv->s.priv != PRIV_M && !(rv->s.mcounteren & bit))
        return false;
    return rv->s.priv != PRIV_U || !riscv_has(rv, RV_EXT_S) || rv->s.scounteren & bit;
}

static bool passes(const struct riscv_cpu *rv, const struct csr *c)
{
    switch ((enum csr_check)c->check) {
    case CHECK_none:
        return true;
    case CHECK_fs:
        return (rv->s.mstatus & MSTATUS_FS) != 0;
    case CHECK_tvm:
        return rv->s.priv != PRIV_S || !(rv->s.mstatus & MSTATUS_TVM);
    case CHECK_counter:
        return counter_enabled(rv, BIT(c->number & 31));
    case CHECK_stimecmp:
        return rv->s.priv == PRIV_M ||
               (rv->s.mcounteren & COUNTER_TM && rv->s.menvcfg & MENVCFG_STCE);
    }
    assert(!"a check that the table knows");
    return false;
}

// ---- Nothing there ----

static uint64_t read_zero(const struct riscv_cpu *rv)
{
    (void)rv;
    return 0;
}

static void write_none(struct riscv_cpu *rv, const struct csr_write *w)
{
    (void)rv;
    (void)w;
}

// ---- Floating point ----

// Bits of fflags and of the host's flags that mean the same, fflags' in order.
static const uint8_t fp_flag[5] = {FP_INEXACT, FP_UNDERFLOW, FP_OVERFLOW, FP_DIVZERO, FP_INVALID};

static uint64_t read_fflags(const struct riscv_cpu *rv)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < ARRAY_LEN(fp_flag); i++)
        v |= rv->cpu.fp.flags & fp_flag[i] ? BIT(i) : 0;
    return v;
}

static uint64_t read_frm(const struct riscv_cpu *rv)
{
    return rv->s.frm;
}

static uint64_t read_fcsr(const struct riscv_cpu *rv)
{
    return (uint64_t)rv->s.frm << 5 | read_fflags(rv);
}

static void set_fflags(struct riscv_cpu *rv, uint64_t value)
{
    rv->cpu.fp.flags = 0;
    for (unsigned i = 0; i < ARRAY_LEN(fp_flag); i++)
        rv->cpu.fp.flags |= value & BIT(i) ? fp_flag[i] : 0;
}

static void fp_written(struct riscv_cpu *rv)
{
    rv->s.mstatus |= MSTATUS_FS;
    riscv_key_update(rv);
}

static void write_fflags(struct riscv_cpu *rv, const struct csr_write *w)
{
    set_fflags(rv, w->value);
    fp_written(rv);
}

static void write_frm(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.frm = w->value & 7;
    fp_written(rv);
}

static void write_fcsr(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.frm = bits_get(w->value, 5, 3);
    set_fflags(rv, w->value);
    fp_written(rv);
}

// ---- mstatus, sstatus, misa ----

static uint64_t with_sd(const struct riscv_cpu *rv, uint64_t status)
{
    bool dirty = (status & MSTATUS_FS) == MSTATUS_FS;
    return dirty ? status | BIT(rv->xlen - 1) : status;
}

static uint64_t uxl(const struct riscv_cpu *rv)
{
    return !xlen32(rv) && riscv_has(rv, RV_EXT_U) ? bits_set(0, 32, 2, 2) : 0;
}

static uint64_t read_mstatus(const struct riscv_cpu *rv)
{
    uint64_t sxl = !xlen32(rv) && riscv_has(rv, RV_EXT_S) ? bits_set(0, 34, 2, 2) : 0;
    return with_sd(rv, rv->s.mstatus | uxl(rv) | sxl);
}

static uint64_t read_sstatus(const struct riscv_cpu *rv)
{
    return with_sd(rv, (rv->s.mstatus & SSTATUS_MASK) | uxl(rv));
}

static uint64_t mstatus_mask(const struct riscv_cpu *rv)
{
    uint64_t mask = MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP;
    if (riscv_has(rv, RV_EXT_F))
        mask |= MSTATUS_FS;
    if (riscv_has(rv, RV_EXT_U))
        mask |= MSTATUS_MPRV | MSTATUS_TW;
    if (riscv_has(rv, RV_EXT_S))
        mask |= MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_TSR;
    if (riscv_has(rv, RV_EXT_MMU))
        mask |= MSTATUS_MXR | MSTATUS_SUM | MSTATUS_TVM;
    return mask;
}

static bool priv_exists(const struct riscv_cpu *rv, uint64_t priv)
{
    return priv == PRIV_M || (priv == PRIV_S && riscv_has(rv, RV_EXT_S)) ||
           (priv == PRIV_U && riscv_has(rv, RV_EXT_U));
}

static void set_mstatus(struct riscv_cpu *rv, uint64_t value, uint64_t mask)
{
    if (!priv_exists(rv, bits_get(value, MSTATUS_MPP_SHIFT, 2)))
        mask &= ~MSTATUS_MPP;
    rv->s.mstatus = replace(rv->s.mstatus, value, mask);
    riscv_key_update(rv);
    riscv_irq_update(rv);
}

static void write_mstatus(struct riscv_cpu *rv, const struct csr_write *w)
{
    set_mstatus(rv, w->value, mstatus_mask(rv));
}

static void write_sstatus(struct riscv_cpu *rv, const struct csr_write *w)
{
    set_mstatus(rv, w->value, mstatus_mask(rv) & SSTATUS_MASK);
}

static uint64_t read_misa(const struct riscv_cpu *rv)
{
    static const struct {
        char letter;
        enum riscv_ext ext;
    } letters[] = {{'i', RV_EXT_I}, {'m', RV_EXT_M}, {'a', RV_EXT_A}, {'f', RV_EXT_F},
                   {'d', RV_EXT_D}, {'c', RV_EXT_C}, {'s', RV_EXT_S}, {'u', RV_EXT_U}};
    uint64_t v = (xlen32(rv) ? UINT64_C(1) : UINT64_C(2)) << (rv->xlen - 2);
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++)
        if (riscv_has(rv, letters[i].ext))
            v |= BIT(letters[i].letter - 'a');
    return v;
}

// ---- Trap set-up and handling ----

static uint64_t legal_tvec(uint64_t old, uint64_t value)
{
    if (value & 2) {
        log_guest("riscv: reserved trap vector mode %u\n", (unsigned)(value & 3));
        return (value & ~UINT64_C(3)) | (old & 3);
    }
    return value;
}

static void write_mtvec(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.mtvec = legal_tvec(rv->s.mtvec, w->value);
}

static void write_stvec(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.stvec = legal_tvec(rv->s.stvec, w->value);
}

static uint64_t epc_mask(const struct riscv_cpu *rv)
{
    return riscv_has(rv, RV_EXT_ZCA) ? ~UINT64_C(1) : ~UINT64_C(3);
}

static void write_mepc(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.mepc = w->value & epc_mask(rv);
}

static void write_sepc(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.sepc = w->value & epc_mask(rv);
}

// ---- Interrupts ----

static uint64_t mie_mask(const struct riscv_cpu *rv)
{
    return MIE_M_MASK | (riscv_has(rv, RV_EXT_S) ? MIDELEG_MASK : 0);
}

static void write_mie(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.mie = w->value & mie_mask(rv);
    riscv_irq_update(rv);
}

static uint64_t read_sie(const struct riscv_cpu *rv)
{
    return rv->s.mie & rv->s.mideleg;
}

static void write_sie(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.mie = replace(rv->s.mie, w->value, rv->s.mideleg);
    riscv_irq_update(rv);
}

static uint64_t read_mip(const struct riscv_cpu *rv)
{
    return riscv_mip(rv);
}

static void write_mideleg(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.mideleg = w->value & MIDELEG_MASK;
    riscv_irq_update(rv);
}

static uint64_t read_sip(const struct riscv_cpu *rv)
{
    return riscv_mip(rv) & rv->s.mideleg;
}

static void set_mip(struct riscv_cpu *rv, uint64_t value, uint64_t mask)
{
    rv->s.mip_soft = replace(rv->s.mip_soft, value, mask);
    riscv_irq_update(rv);
}

static void write_mip(struct riscv_cpu *rv, const struct csr_write *w)
{
    uint64_t writable = riscv_has(rv, RV_EXT_S) ? MIDELEG_MASK : 0;
    if (rv->s.menvcfg & MENVCFG_STCE)
        writable &= ~BIT(IRQ_STI);
    set_mip(rv, w->value, writable & w->mask);
}

static void write_sip(struct riscv_cpu *rv, const struct csr_write *w)
{
    set_mip(rv, w->value, BIT(IRQ_SSI) & rv->s.mideleg & w->mask);
}

static void write_stimecmp(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.stimecmp = w->value;
    riscv_stimer_update(rv);
}

// ---- Environment configuration ----

static uint64_t envcfg_mask(const struct riscv_cpu *rv, uint64_t value)
{
    uint64_t mask = riscv_has(rv, RV_EXT_MMU) ? MENVCFG_FIOM : 0;
    if (riscv_has(rv, RV_EXT_ZICBOM))
        mask |= MENVCFG_CBCFE | (bits_get(value, MENVCFG_CBIE_SHIFT, 2) != 2 ? MENVCFG_CBIE : 0);
    if (riscv_has(rv, RV_EXT_ZICBOZ))
        mask |= MENVCFG_CBZE;
    return mask;
}

static void write_senvcfg(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.senvcfg = replace(rv->s.senvcfg, w->value, envcfg_mask(rv, w->value));
}

static void write_menvcfg(struct riscv_cpu *rv, const struct csr_write *w)
{
    uint64_t old = rv->s.menvcfg;
    uint64_t mask = envcfg_mask(rv, w->value);
    mask |= riscv_has(rv, RV_EXT_SSTC) ? MENVCFG_STCE : 0;
    mask |= riscv_has(rv, RV_EXT_SVADU) ? MENVCFG_ADUE : 0;
    mask |= riscv_has(rv, RV_EXT_SVPBMT) ? MENVCFG_PBMTE : 0;
    rv->s.menvcfg = replace(old, w->value, mask);
    if ((old ^ rv->s.menvcfg) & (MENVCFG_ADUE | MENVCFG_PBMTE))
        riscv_flush_tlb(rv);
    if ((old ^ rv->s.menvcfg) & MENVCFG_STCE)
        riscv_stimer_update(rv);
}

static bool cbo_enabled(const struct riscv_cpu *rv, uint64_t field)
{
    if (rv->s.priv == PRIV_M)
        return true;
    if (!(rv->s.menvcfg & field))
        return false;
    return rv->s.priv != PRIV_U || !riscv_has(rv, RV_EXT_S) || rv->s.senvcfg & field;
}

bool riscv_cbo_allowed(const struct riscv_cpu *rv, enum riscv_cbo what)
{
    static const uint64_t fields[] = {
        [CBO_INVAL] = MENVCFG_CBIE,
        [CBO_CLEAN] = MENVCFG_CBCFE,
        [CBO_FLUSH] = MENVCFG_CBCFE,
        [CBO_ZERO] = MENVCFG_CBZE,
    };
    return cbo_enabled(rv, fields[what]);
}

// ---- Counters ----

static uint64_t counter_read(const struct riscv_cpu *rv, uint64_t counter, uint64_t bit)
{
    return rv->s.mcountinhibit & bit ? counter : counter + cpu_retired(&rv->cpu);
}

// The written value is what the next instruction sees.
static uint64_t counter_written(const struct riscv_cpu *rv, uint64_t value, uint64_t bit)
{
    return rv->s.mcountinhibit & bit ? value : value - (cpu_retired(&rv->cpu) + 1);
}

static uint64_t read_mcycle(const struct riscv_cpu *rv)
{
    return counter_read(rv, rv->s.mcycle, COUNTER_CY);
}

static void write_mcycle(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.mcycle = counter_written(rv, w->value, COUNTER_CY);
}

static uint64_t read_minstret(const struct riscv_cpu *rv)
{
    return counter_read(rv, rv->s.minstret, COUNTER_IR);
}

static void write_minstret(struct riscv_cpu *rv, const struct csr_write *w)
{
    rv->s.minstret = counter_written(rv, w->value, COUNTER_IR);
}

static void write_mcountinhibit(struct riscv_cpu *rv, const struct csr_write *w)
{
    uint64_t cycle = read_mcycle(rv), instret = read_minstret(rv);
    uint64_t changed = (w->value ^ rv->s.mcountinhibit) & (COUNTER_CY | COUNTER_IR);
    rv->s.mcountinhibit ^= changed;
    if (changed & COUNTER_CY)
        rv->s.mcycle = counter_written(rv, cycle, COUNTER_CY);
    if (changed & COUNTER_IR)
        rv->s.minstret = counter_written(rv, instret, COUNTER_IR);
}

static uint64_t read_time(const struct riscv_cpu *rv)
{
    return riscv_time(rv);
}

// ---- Memory management and protection ----

static void write_satp(struct riscv_cpu *rv, const struct csr_write *w)
{
    unsigned mode = xlen32(rv) ? bits_get(w->value, 31, 1) : bits_get(w->value, 60, 4);
    if (!(rv->satp_modes >> mode & 1) || w->value == rv->s.satp)
        return;
    rv->s.satp = riscv_has(rv, RV_EXT_MMU) ? w->value : 0;
    riscv_flush_tlb(rv);
}

static void write_pmpcfg(struct riscv_cpu *rv, const struct csr_write *w)
{
    riscv_pmp_write_cfg(rv, (w->number & 15) / 2, w->value);
}

static void write_pmpaddr(struct riscv_cpu *rv, const struct csr_write *w)
{
    riscv_pmp_write_addr(rv, w->number & 15, w->value);
}

static void write_mseccfg(struct riscv_cpu *rv, const struct csr_write *w)
{
    riscv_pmp_write_seccfg(rv, w->value);
}

// ---- The table ----

#define E(id) RV_EXT_BIT(RV_EXT_##id)
// clang-format off
#define TIMES_16(M, ...)                                                                           \
    M(0, __VA_ARGS__) M(1, __VA_ARGS__) M(2, __VA_ARGS__) M(3, __VA_ARGS__) M(4, __VA_ARGS__)      \
    M(5, __VA_ARGS__) M(6, __VA_ARGS__) M(7, __VA_ARGS__) M(8, __VA_ARGS__) M(9, __VA_ARGS__)      \
    M(10, __VA_ARGS__) M(11, __VA_ARGS__) M(12, __VA_ARGS__) M(13, __VA_ARGS__)                    \
    M(14, __VA_ARGS__) M(15, __VA_ARGS__)
#define TIMES_29_FROM_3(M, ...)                                                                    \
    M(3, __VA_ARGS__) M(4, __VA_ARGS__) M(5, __VA_ARGS__) M(6, __VA_ARGS__) M(7, __VA_ARGS__)      \
    M(8, __VA_ARGS__) M(9, __VA_ARGS__) M(10, __VA_ARGS__) M(11, __VA_ARGS__) M(12, __VA_ARGS__)   \
    M(13, __VA_ARGS__) M(14, __VA_ARGS__) M(15, __VA_ARGS__) M(16, __VA_ARGS__)                    \
    M(17, __VA_ARGS__) M(18, __VA_ARGS__) M(19, __VA_ARGS__) M(20, __VA_ARGS__)                    \
    M(21, __VA_ARGS__) M(22, __VA_ARGS__) M(23, __VA_ARGS__) M(24, __VA_ARGS__)                    \
    M(25, __VA_ARGS__) M(26, __VA_ARGS__) M(27, __VA_ARGS__) M(28, __VA_ARGS__)                    \
    M(29, __VA_ARGS__) M(30, __VA_ARGS__) M(31, __VA_ARGS__)
// clang-format on

#define ROW(num, text, needs, flag, chk, ...) \
    {.name = text, .need = needs, .number = num, .flags = flag, .check = CHECK_##chk, __VA_ARGS__},
#define CSR(num, text, needs, flag, chk, rd, wr) \
    ROW(num, #text, needs, flag, chk, .read = read_##rd, .write = write_##wr)
#define CSR_SET(num, text, needs, flag, chk, member, wr)                            \
    ROW(num, #text, needs, flag, chk, .offset = offsetof(struct riscv_cpu, member), \
        .write = write_##wr)
#define CSR_VAR(num, text, needs, member, bits) \
    ROW(num, #text, needs, 0, none, .offset = offsetof(struct riscv_cpu, member), .mask = bits)
#define CSR_HIGH(num, text, low) ROW(num, #text, 0, ONLY32 | HIGH, none, .of = low)
#define CSR_HPM(base, prefix, suffix, needs, flag, chk) \
    TIMES_29_FROM_3(HPM_ROW, base, prefix, suffix, needs, flag, chk)
#define HPM_ROW(n, base, prefix, suffix, needs, flag, chk) \
    ROW(base + n, #prefix #n #suffix, needs, flag, chk, .read = read_zero, .write = write_none)
#define CSR_PMPADDR(base) TIMES_16(PMPADDR_ROW, base)
#define PMPADDR_ROW(n, base)                         \
    ROW(base + n, "pmpaddr" #n, E(PMP), LEAVE, none, \
        .offset = offsetof(struct riscv_cpu, s.pmpaddr[n]), .write = write_pmpaddr)

static const struct csr csrs[] = {
    {.name = NULL}, // what csr_index says of CSRs that are not there
#include "cpu/riscv/csrs.def"
};

const char *riscv_csr_name(unsigned csr)
{
    for (unsigned i = 1; i < ARRAY_LEN(csrs); i++)
        if (csrs[i].number == csr)
            return csrs[i].name;
    return NULL;
}

static const struct csr *find(const struct riscv_cpu *rv, unsigned number)
{
    return &csrs[rv->csr_index[number & (RISCV_NR_CSRS - 1)]];
}

static bool exists(const struct riscv_cpu *rv, const struct csr *c)
{
    if (c->flags & ONLY32 && !xlen32(rv))
        return false;
    return (rv->ext & c->need) == c->need;
}

void riscv_csr_init(struct riscv_cpu *rv)
{
    for (unsigned i = 1; i < ARRAY_LEN(csrs); i++) {
        assert(!rv->csr_index[csrs[i].number]);
        if (exists(rv, &csrs[i]) && (!(csrs[i].flags & HIGH) || find(rv, csrs[i].of)->name))
            rv->csr_index[csrs[i].number] = (uint16_t)i;
    }
}

// ---- Access ----

// The register that c is, or is the upper half of.
static const struct csr *whole(const struct riscv_cpu *rv, const struct csr *c)
{
    return c->flags & HIGH ? find(rv, c->of) : c;
}

static uint64_t read_whole(const struct riscv_cpu *rv, const struct csr *c)
{
    if (c->read)
        return c->read(rv);
    return *(const uint64_t *)((const char *)rv + c->offset);
}

static void write_whole(struct riscv_cpu *rv, const struct csr *c, uint64_t value, uint64_t mask)
{
    struct csr_write w = {.value = value, .mask = mask, .number = c->number};
    if (c->write) {
        c->write(rv, &w);
        return;
    }
    uint64_t *member = (uint64_t *)((char *)rv + c->offset);
    *member = replace(*member, value, c->mask);
}

// What an access to c sees of the whole register.
static uint64_t part(const struct riscv_cpu *rv, const struct csr *c, uint64_t full)
{
    if (c->flags & HIGH)
        return full >> 32;
    return xlen32(rv) ? (uint32_t)full : full;
}

// Changes the part that c is of a register that reads as `full`.
static void write_part(struct riscv_cpu *rv, const struct csr *c, uint64_t full, uint64_t value,
                       uint64_t mask)
{
    uint64_t of_part = xlen32(rv) ? MASK(31, 0) : ~UINT64_C(0);
    if (c->flags & HIGH) {
        of_part <<= 32;
        value <<= 32;
        mask <<= 32;
    }
    write_whole(rv, whole(rv, c), replace(full, value, of_part), mask & of_part);
}

static bool allowed(const struct riscv_cpu *rv, const struct csr *c, bool writes)
{
    if (!c->name || bits_get(c->number, 8, 2) > rv->s.priv)
        return false;
    if (writes && bits_get(c->number, 10, 2) == 3)
        return false;
    return passes(rv, whole(rv, c));
}

uint64_t riscv_csr_rmw(struct cpu *cpu, uint64_t csr, uint64_t operand, uint64_t op, uint64_t insn)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    const struct csr *c = find(rv, (unsigned)csr);
    bool writes = !(op & CSR_NO_WRITE);
    if (!allowed(rv, c, writes))
        return riscv_illegal(cpu, insn, 0, 0, 0);

    uint64_t full = read_whole(rv, whole(rv, c));
    uint64_t old = part(rv, c, full);
    if (writes) {
        unsigned how = op & 3;
        uint64_t value = how == CSR_RW ? operand : how == CSR_RS ? old | operand : old & ~operand;
        write_part(rv, c, full, value, how == CSR_RW ? ~UINT64_C(0) : operand);
    }
    return old;
}

struct riscv_csr_hint riscv_csr_hint(struct cpu *cpu, uint32_t key, unsigned csr, unsigned op)
{
    const struct riscv_cpu *rv = riscv_cpu_of(cpu);
    unsigned flags = whole(rv, find(rv, csr))->flags;
    struct riscv_csr_hint hint = {.call_flags = CALL_FAULT};
    if (flags & FP)
        hint.call_flags |= CALL_FP;
    if (flags & TIME)
        hint.call_flags |= CALL_TIME;
    if (!(op & CSR_NO_WRITE))
        hint.leave = flags & LEAVE || (flags & FP && RV_KEY_FS(key) != KEY_FS_DIRTY);
    return hint;
}

bool riscv_csr_peek(struct cpu *cpu, unsigned csr, uint64_t *value)
{
    const struct riscv_cpu *rv = riscv_cpu_of(cpu);
    const struct csr *c = find(rv, csr);
    if (!c->name)
        return false;
    *value = part(rv, c, read_whole(rv, whole(rv, c)));
    return true;
}

bool riscv_csr_poke(struct cpu *cpu, unsigned csr, uint64_t value)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    const struct csr *c = find(rv, csr);
    if (!c->name)
        return false;
    const struct csr *w = whole(rv, c);
    uint64_t full = read_whole(rv, w);
    // Counters take what they are to be behind the instruction that writes them; here none is under way.
    cpu->unit_left = w->flags & TIME && w->read;
    write_part(rv, c, full, value, ~UINT64_C(0));
    cpu->unit_left = 0;
    return true;
}
