// SPDX-License-Identifier: MIT
// The RISC-V hart: its struct, the key of its code, and what the lifter calls. RV32 and RV64 are
// one front end: `xlen` is a field. Privileged manual 1.13 (M, S and U mode; no hypervisor).
//
// Invariants: on RV32 all registers and CSRs of the state are zero-extended 32-bit values (mstatus,
// menvcfg, mseccfg, stimecmp and counters hold both halves). Whoever changes what goes into the key
// (riscv_key_update lists it) calls riscv_key_update; whoever changes interrupt enables or lines
// calls riscv_irq_update.
#ifndef CPU_RISCV_RISCV_H
#define CPU_RISCV_RISCV_H

#include <glib.h>
#include <stdio.h>

#include "base/bits.h"
#include "cpu/riscv/decode.h"
#include "translator/cpu.h"
#include "translator/guest.h"
#include "translator/ir.h"

// ---- Extensions ----

enum riscv_ext {
#define EXT(id, name, in, from, requires) RV_EXT_##id,
#define NOEXT(name, what)
#include "cpu/riscv/ext.def"
#undef EXT
#undef NOEXT
    RV_NR_EXTS
};

_Static_assert(RV_NR_EXTS <= 128, "extensions are bits of a word");
#define RV_EXT_BIT(e) ((riscv_exts)1 << (e))

// ---- Numbers of the privileged manual ----

enum riscv_priv { PRIV_U = 0, PRIV_S = 1, PRIV_M = 3 };

enum riscv_cause {
    EXC_FETCH_MISALIGNED = 0,
    EXC_FETCH_ACCESS = 1,
    EXC_ILLEGAL = 2,    // trap value: the instruction's bits
    EXC_BREAKPOINT = 3, // trap value: its pc
    EXC_LOAD_MISALIGNED = 4,
    EXC_LOAD_ACCESS = 5,
    EXC_STORE_MISALIGNED = 6,
    EXC_STORE_ACCESS = 7,
    EXC_ECALL_U = 8, // + enum riscv_priv
    EXC_ECALL_S = 9,
    EXC_ECALL_M = 11,
    EXC_FETCH_PAGE = 12,
    EXC_LOAD_PAGE = 13,
    EXC_STORE_PAGE = 15,
};

enum riscv_irq { IRQ_SSI = 1, IRQ_MSI = 3, IRQ_STI = 5, IRQ_MTI = 7, IRQ_SEI = 9, IRQ_MEI = 11 };

// mstatus, both halves on RV32 (SD is computed when read).
#define MSTATUS_SIE       BIT(1)
#define MSTATUS_MIE       BIT(3)
#define MSTATUS_SPIE      BIT(5)
#define MSTATUS_MPIE      BIT(7)
#define MSTATUS_SPP       BIT(8)
#define MSTATUS_MPP_SHIFT 11
#define MSTATUS_MPP       MASK(12, 11)
#define MSTATUS_FS_SHIFT  13
#define MSTATUS_FS        MASK(14, 13)
#define MSTATUS_MPRV      BIT(17)
#define MSTATUS_SUM       BIT(18)
#define MSTATUS_MXR       BIT(19)
#define MSTATUS_TVM       BIT(20)
#define MSTATUS_TW        BIT(21)
#define MSTATUS_TSR       BIT(22)

enum riscv_fs { FS_OFF, FS_INITIAL, FS_CLEAN, FS_DIRTY };

#define MENVCFG_ADUE  BIT(61)
#define MENVCFG_PBMTE BIT(62)
#define MENVCFG_STCE  BIT(63)

#define MSECCFG_MML  BIT(0)
#define MSECCFG_MMWP BIT(1)
#define MSECCFG_RLB  BIT(2)

#define RISCV_NR_PMP  16
#define RISCV_NR_CSRS 4096

// ---- Variables of the IR ----

// x1..x31 and f0..f31 have their homes in cpu.reg[0..31] and cpu.reg[32..63]. x is i32 or i64 by
// XLEN; f is always f64, its home 8 bytes, NaN-boxed when it holds less. x0 is not a variable:
// RV_X0's home stays zero, and the lifter neither reads nor sets it.
enum riscv_var { RV_X0 = 0, RV_F0 = 32, RV_NR_VARS = 64 };

extern const struct ir_var riscv_vars32[RV_NR_VARS];
extern const struct ir_var riscv_vars64[RV_NR_VARS];
// "zero", "ra", ... and "ft0", ...
extern const char *const riscv_x_names[32];
extern const char *const riscv_f_names[32];

// ---- Key ----

// TLB regimes: privilege of data, and what changes permissions. Those of fetches are the first of
// each mode.
enum riscv_regime {
    REGIME_M,
    REGIME_S,
    REGIME_S_SUM,
    REGIME_U,
    REGIME_S_MXR,
    REGIME_S_SUM_MXR,
    REGIME_U_MXR,
};

// FS as the lifter sees it: OFF: floating point is illegal. CLEAN: what would write f registers or
// flags calls riscv_set_fs_dirty and leaves with LEAVE_RESTART. DIRTY: nothing to do.
enum riscv_key_fs { KEY_FS_OFF, KEY_FS_CLEAN, KEY_FS_DIRTY };

#define RV_KEY_PRIV(key)    ((enum riscv_priv)bits_get(key, 0, 2))
#define RV_KEY_REGIME(key)  ((enum riscv_regime)bits_get(key, 2, 3))
#define RV_KEY_FS(key)      ((enum riscv_key_fs)bits_get(key, 5, 2))
#define RV_KEY_FRM(key)     ((unsigned)bits_get(key, 7, 3)) // frm as it is: 5 to 7 are invalid
#define RV_KEY_VARIANT(key) ((unsigned)bits_get(key, 10, 2))

// ---- The hart ----

// All that the guest can change, besides what struct cpu has. Described by riscv_state_fields.
struct riscv_state {
    uint64_t mstatus;
    uint64_t medeleg, mideleg, mie, mtvec, mscratch, mepc, mcause, mtval;
    uint64_t stvec, sscratch, sepc, scause, stval, satp;
    uint64_t mcounteren, scounteren, mcountinhibit;
    uint64_t menvcfg, senvcfg, mseccfg;
    uint64_t stimecmp;
    uint64_t mip_soft;         // SSIP, STIP, SEIP as software wrote them, or an edge set SSIP
    uint64_t mip_lines;        // levels of the inputs, by bit of mip
    uint64_t mcycle, minstret; // value less cpu_retired, or the value itself while inhibited
    uint64_t pmpaddr[RISCV_NR_PMP];
    uint64_t pmpcfg[RISCV_NR_PMP / 8]; // a byte an entry
    uint64_t reservation;              // physical address of LR, valid while `reserved`
    uint8_t reserved;                  // bytes that LR covered; 0: no reservation
    uint8_t priv;                      // enum riscv_priv
    uint8_t frm;
    struct timer stimer; // when time reaches stimecmp
};

struct riscv_range {
    uint64_t first, last; // bytes, both included; first > last: matches nothing
};

// A stretch all of which has one answer of PMP. Forgotten with the TLB.
struct riscv_pmp_hit {
    struct riscv_range range;
    unsigned allowed;
};

// Where the last level's table for a stretch of addresses is, so that walks begin there.
struct riscv_walk_entry {
    uint64_t stretch; // virtual address, without what the last level and the page translate
    uint32_t epoch;
    const uint8_t *host; // of the table, which PMP lets S mode read as a whole
    paddr_t table;
};

#define RISCV_WALK_CACHE 64 // entries

struct riscv_cpu {
    struct cpu cpu; // first
    struct riscv_state s;
    // ---- wiring and caches ----
    riscv_exts ext;
    unsigned xlen; // 32 or 64
    uint64_t hartid;
    uint64_t mvendorid, marchid, mimpid;
    uint64_t reset_pc;
    unsigned variant;
    uint16_t satp_modes; // bit n: satp.MODE n is implemented
    uint64_t time_hz;
    uint64_t (*mtime)(void *opaque);
    void *mtime_opaque;
    char *isa_string;
    struct riscv_decoder decoder;         // riscv_decoder_init, once ext and xlen are known
    uint16_t csr_index[RISCV_NR_CSRS];    // where in csr.c's table; 0: this hart has no such CSR
    uint32_t key;                         // cached; see riscv_key_update
    unsigned nr_pmp;                      // entries from this one on are off
    struct riscv_range pmp[RISCV_NR_PMP]; // decoded
    struct riscv_pmp_hit pmp_hit[2];      // found last: for M mode, for others
    uint32_t walk_epoch;                  // entries of older ones are void
    struct riscv_walk_entry walk_cache[RISCV_WALK_CACHE];
    // By half of the address space: where pages larger than 4 KiB were entered in the TLB since it
    // was flushed.
    struct riscv_range big[2];
    struct guest_view view; // for debuggers; regs is NULL until somebody asks
};

static inline struct riscv_cpu *riscv_cpu_of(struct cpu *cpu)
{
    return (struct riscv_cpu *)cpu;
}

static inline bool riscv_has(const struct riscv_cpu *rv, enum riscv_ext e)
{
    return (rv->ext >> e & 1) != 0;
}

extern const struct guest riscv_guest;
extern const struct state_field riscv_cpu_fields[]; // of struct riscv_cpu, with struct cpu's own

// ---- Called by lifted code (ir_function). insn: bits of the instruction, for the trap value. ----
// All need CALL_FAULT unless said otherwise. "leave": lift_leave(l, LEAVE_LOOKUP) must follow.

enum riscv_csr_op {
    CSR_RW = 0,       // new value is b
    CSR_RS = 1,       // old | b
    CSR_RC = 2,       // old & ~b
    CSR_NO_READ = 4,  // CSRRW with rd = x0
    CSR_NO_WRITE = 8, // CSRRS/RC with rs1 = x0 or immediate 0
};

// a: CSR number, b: operand, c: enum riscv_csr_op, d: insn. Returns the old value.
uint64_t riscv_csr_rmw(struct cpu *cpu, uint64_t csr, uint64_t value, uint64_t op, uint64_t insn);

// How to call it: flags for ir_call (CALL_FAULT and, where needed, CALL_FP, CALL_TIME), and whether
// the unit must end behind it. `key` is the unit's.
struct riscv_csr_hint {
    unsigned call_flags;
    bool leave;
};
struct riscv_csr_hint riscv_csr_hint(struct cpu *cpu, uint32_t key, unsigned csr, unsigned op);

// a: insn. Return the new pc: lift_jump_indirect(l, IR_JUMP, result) must follow.
uint64_t riscv_mret(struct cpu *cpu, uint64_t insn, uint64_t, uint64_t, uint64_t);
uint64_t riscv_sret(struct cpu *cpu, uint64_t insn, uint64_t, uint64_t, uint64_t);
// a: insn. Checks only: lift_leave(l, LEAVE_HALT) must follow.
uint64_t riscv_wfi(struct cpu *cpu, uint64_t insn, uint64_t, uint64_t, uint64_t);
// SFENCE.VMA and SINVAL.VMA. a: insn, b: rs1's value, c: whether rs1 is not x0. leave.
uint64_t riscv_sfence_vma(struct cpu *cpu, uint64_t insn, uint64_t addr, uint64_t one, uint64_t);
// SFENCE.W.INVAL and SFENCE.INVAL.IR: the privilege check; SINVAL.VMA has done the work. a: insn.
uint64_t riscv_sfence_inval(struct cpu *cpu, uint64_t insn, uint64_t, uint64_t, uint64_t);
// a: address, b: log2 of the bytes (2 or 3). LR returns the value sign-extended, SC, with the value
// in c, 0 or 1.
uint64_t riscv_lr(struct cpu *cpu, uint64_t addr, uint64_t size, uint64_t, uint64_t);
uint64_t riscv_sc(struct cpu *cpu, uint64_t addr, uint64_t size, uint64_t value, uint64_t);
// a: address (any in the block), b: enum, d: insn.
enum riscv_cbo { CBO_INVAL, CBO_CLEAN, CBO_FLUSH, CBO_ZERO };
uint64_t riscv_cbo(struct cpu *cpu, uint64_t addr, uint64_t what, uint64_t, uint64_t insn);
// mstatus.FS becomes dirty. No CALL_FAULT; lift_leave(l, LEAVE_RESTART) must follow.
uint64_t riscv_set_fs_dirty(struct cpu *cpu, uint64_t, uint64_t, uint64_t, uint64_t);
// Raises illegal instruction at run time. a: insn.
uint64_t riscv_illegal(struct cpu *cpu, uint64_t insn, uint64_t, uint64_t, uint64_t);

#define RISCV_CBO_BLOCK 64

// What the lifter itself needs:
//   ecall     lift_raise(l, EXC_ECALL_U + RV_KEY_PRIV(l->key), 0)
//   ebreak    lift_raise(l, EXC_BREAKPOINT, pc)
//   illegal   lift_raise(l, EXC_ILLEGAL, instruction bits, zero-extended)
//   jump to a misaligned target without C: lift_raise(l, EXC_FETCH_MISALIGNED, target)
//   pause, wrs.nto, wrs.sto   lift_leave(l, LEAVE_YIELD)
bool riscv_lift(struct lift *l);
unsigned riscv_disas(const struct cpu *cpu, vaddr_t pc, const uint8_t *code, size_t len,
                     GString *out);
// Name of a CSR, or NULL.
const char *riscv_csr_name(unsigned csr);
// As in struct guest.
void riscv_print_registers(struct cpu *cpu, GString *out);
// For debuggers: no access checks, but what writing does is done. False: there is no such CSR.
// Read-only ones ignore writes.
bool riscv_csr_peek(struct cpu *cpu, unsigned csr, uint64_t *value);
bool riscv_csr_poke(struct cpu *cpu, unsigned csr, uint64_t value);

// ---- For boards ----

struct riscv_cpu_config {
    const char *model; // "rv64,zbb=off"; NULL: the model named rv32 or rv64
    unsigned xlen;     // that the program was started for: models of another XLEN are refused
    uint64_t hartid;
    unsigned index;   // in the machine
    unsigned variant; // 0..3: CPUs of a machine with unlike models need unlike variants
    struct mem *mem;
    struct clock *clock;
    uint64_t reset_pc;
    uint64_t time_hz;   // of the time CSR
    bool no_misaligned; // misaligned accesses trap
};

struct cpu *riscv_cpu_new(const struct riscv_cpu_config *cfg, GError **error);
// irq_handler: opaque is the struct cpu, n the bit of mip (enum riscv_irq). IRQ_SSI is an edge: raising it
// sets mip.SSIP, which software clears; lowering it does nothing.
void riscv_cpu_set_irq(void *opaque, unsigned n, bool level);
// The time CSR reads what mtime() returns: ticks of the clock at time_hz plus an offset. Without
// this call the offset is 0. riscv_cpu_time_changed must be called whenever the offset has changed.
void riscv_cpu_set_mtime(struct cpu *cpu, uint64_t (*mtime)(void *opaque), void *opaque);
void riscv_cpu_time_changed(void *opaque); // opaque is the struct cpu
// Sets pc, for loaders: after a reset, which sets it to reset_pc.
void riscv_cpu_set_entry(struct cpu *cpu, vaddr_t pc);
unsigned riscv_cpu_xlen(const struct cpu *cpu);
uint64_t riscv_cpu_hartid(const struct cpu *cpu);
const char *riscv_cpu_isa_string(const struct cpu *cpu); // "rv64imafdc_zicsr..."
// Value of the device tree's mmu-type ("riscv,sv48"), or NULL when there is none.
const char *riscv_cpu_mmu_type(const struct cpu *cpu);
bool riscv_cpu_has(const struct cpu *cpu, const char *extension);
// -cpu help
void riscv_cpu_print_help(unsigned xlen, FILE *out);

// ---- Between the files of the privileged side ----

// Builds csr_index, once ext and xlen are known.
void riscv_csr_init(struct riscv_cpu *rv);
// Whether menvcfg and senvcfg let the current mode execute it.
bool riscv_cbo_allowed(const struct riscv_cpu *rv, enum riscv_cbo what);

void riscv_key_update(struct riscv_cpu *rv);
void riscv_irq_update(struct riscv_cpu *rv);
// Interrupts pending, as mip reads.
uint64_t riscv_mip(const struct riscv_cpu *rv);
uint64_t riscv_time(const struct riscv_cpu *rv);
void riscv_stimer_update(struct riscv_cpu *rv);
// Privilege mode of data accesses (MPRV).
enum riscv_priv riscv_data_priv(const struct riscv_cpu *rv);

// Decodes pmpcfg and pmpaddr, forgets what depends on them.
void riscv_pmp_update(struct riscv_cpu *rv);
// What [addr, addr+size), which lies in one page, may be used for: BIT(enum tlb_access). *partial:
// the answer does not hold for all of the page.
unsigned riscv_pmp_allowed(struct riscv_cpu *rv, paddr_t addr, unsigned size, enum riscv_priv priv,
                           bool *partial);
// index of pmpcfg[], of pmpaddr[].
void riscv_pmp_write_cfg(struct riscv_cpu *rv, unsigned index, uint64_t value);
void riscv_pmp_write_addr(struct riscv_cpu *rv, unsigned index, uint64_t value);
void riscv_pmp_write_seccfg(struct riscv_cpu *rv, uint64_t value);

bool riscv_walk(struct cpu *cpu, vaddr_t addr, unsigned size, enum tlb_access access,
                unsigned regime, struct tlb_fill *fill);
// For debuggers, see translator/guest.h.
bool riscv_debug_translate(struct cpu *cpu, vaddr_t addr, paddr_t *paddr);
const struct guest_view *riscv_debug_view(struct cpu *cpu);
void riscv_debug_read(struct cpu *cpu, const struct guest_reg *reg, void *value);
void riscv_debug_write(struct cpu *cpu, const struct guest_reg *reg, const void *value);
void riscv_debug_name(struct cpu *cpu, GString *out);
void riscv_debug_state(struct cpu *cpu, GString *out);

void riscv_fault_align(struct cpu *cpu, vaddr_t addr, enum tlb_access access);
void riscv_fault_bus(struct cpu *cpu, vaddr_t addr, enum tlb_access access);

void riscv_trap(struct cpu *cpu);
bool riscv_interrupt(struct cpu *cpu);
bool riscv_has_work(struct cpu *cpu);

// As cpu_flush_tlb and cpu_flush_tlb_page, aware of large pages.
void riscv_flush_tlb(struct riscv_cpu *rv);
void riscv_flush_tlb_page(struct riscv_cpu *rv, vaddr_t addr);

// Sets ext, xlen, satp_modes, ids, align_all and isa_string from "model,ext=on,...".
bool riscv_model_apply(struct riscv_cpu *rv, const char *model, unsigned xlen, GError **error);

#endif
