// SPDX-License-Identifier: MIT
// What every guest's CPU begins with: the part of its state and wiring that translated code and the
// execution loop touch. A guest's own struct has `struct cpu` as its first member.
#ifndef TRANSLATOR_CPU_H
#define TRANSLATOR_CPU_H

#include "base/clock.h"
#include "base/limits.h"
#include "base/softfloat.h"
#include "base/state.h"
#include "softmmu/tlb.h"

struct exec;
struct guest;
struct ir_var;

#define CPU_NR_REGS 64
#define JUMP_CACHE_BITS LIMIT_JUMP_CACHE_BITS
#define JUMP_CACHE_SIZE (1u << JUMP_CACHE_BITS)
#define JUMP_CACHE_HASH UINT32_C(0x9e3779b1) // the high bits of pc * this select the entry

#define JUMP_PAGES 4096

// How often units were entered: counters that translated code adds CPU_HEAT_STEP to, chosen by a hash of pc,
// until they become negative.
#define CPU_NR_HEAT 2048
#define CPU_HEAT_STEP ((UINT32_C(1) << 31) / LIMIT_TRACE_HEAT + 1)

// Where translated code finds the unit for a pc, probed inline. `tag` has the key and an epoch, so that
// forgetting all entries is one increment. A void one has JUMP_TAG_VOID; its pc may be any.
struct jump_cache_entry {
    uint64_t pc;
    uint32_t tag;
    uint32_t code; // offset in the code buffer
};

// A guest fault on its way from where it was found to guest->trap.
struct cpu_fault {
    bool pending;   // leave the unit; a fault unless cpu->next_mode asks for a retry
    uint32_t cause; // the guest's own numbers
    uint64_t value; // its trap value: address, instruction bits
    uint64_t extra; // free for the guest
};

// What the loop must do differently for the next unit; not state.
enum cpu_mode {
    CPU_NORMAL,
    CPU_SINGLE,  // a unit of one instruction that may do what others must not (I/O, stores into code)
    CPU_NOSHARE, // a unit whose accesses are all checked one by one
    CPU_NR_MODES
};

struct cpu {
    // ---- state ----
    uint64_t reg[CPU_NR_REGS]; // homes of the guest's main registers, first in the struct for short offsets
    uint64_t pc;               // valid between units
    bool halted;               // waits for an interrupt
    struct {
        uint8_t flags; // FP_* accumulated; complete between units and in CALL_FP functions
    } fp;
    uint64_t retired; // instructions of this CPU up to the start of the running slice, less those that
                      // trapped: they take a step of time, but do not retire
    // ---- wiring and caches: nothing below is saved ----
    int64_t budget;      // instructions left in the slice; translated code subtracts a unit's length on entry
    int64_t slice;       // what budget was at the slice's start
    uint32_t unit_left;  // of the running unit's instructions, those not yet begun; set before CALL_TIME, CALL_FAULT
    uint32_t jump_tag;   // key and epoch: what jump-cache entries must carry; JUMP_TAG_NONE: leave
    uint32_t jump_epoch; // entries of older ones are void
    uint32_t fp_control; // the host's floating-point control word while in units
    uint32_t leave;      // enum ir_leave, set by exits to the loop
    uint64_t leave_link; // host's own: which exit it was, for linking
    uint64_t slow_value; // result of a slow access
    struct cpu_fault fault;
    bool *kicked;        // exec's: somebody was kicked
    bool single;         // the running unit is a CPU_SINGLE one
    enum cpu_mode next_mode;
    uint64_t interrupts; // taken; for debuggers
    // Of the current key, set by guest->key: TLB regimes of data and of code, rounding mode.
    uint8_t key_regime, key_fetch_regime, key_rm;
    bool align_all;      // misaligned accesses fault
    bool addr32;         // addresses wrap at 32 bits
    const struct guest *guest;
    const struct ir_var *vars;
    unsigned nr_vars;
    unsigned index;      // number of this CPU in its machine
    struct exec *exec;
    struct mem *mem;
    struct clock *clock;
    uint64_t insn_ns_shift;
    void *host_code;     // base of the code buffer, for jump-cache offsets
    uint64_t host_scratch[16]; // free for the host back end
    uint32_t heat[CPU_NR_HEAT];
    uint64_t jump_pages[JUMP_PAGES / 64]; // hashes of the pages that entries of this epoch may be in
    struct jump_cache_entry jump_cache[JUMP_CACHE_SIZE];
    struct tlb tlb;
};

// Fields of struct cpu that are state, to be included in a guest's table by STATE_SUB or by concatenation.
extern const struct state_field cpu_state_fields[];

// Instructions this CPU has retired, exact between units and in functions with CALL_TIME or CALL_FAULT.
static inline uint64_t cpu_retired(const struct cpu *cpu)
{
    return cpu->retired + (uint64_t)(cpu->slice - cpu->budget) - cpu->unit_left;
}

// Steps of time the running slice has taken, exact where cpu_retired is: instructions, and traps.
static inline uint64_t cpu_elapsed(const struct cpu *cpu)
{
    return (uint64_t)(cpu->slice - cpu->budget) - cpu->unit_left;
}

#define CPU_KEY_BITS 18
#define JUMP_TAG_VOID 0                // of an entry: matches no CPU's, for epochs begin at 1
#define JUMP_TAG_NONE (UINT32_MAX - 1) // of a CPU: matches no entry

// The key of the code changed in a function that lifted code calls: indirect jumps go on under the new one.
static inline void cpu_set_key(struct cpu *cpu, uint32_t key)
{
    if (cpu->jump_tag != JUMP_TAG_NONE)
        cpu->jump_tag = cpu->jump_epoch << CPU_KEY_BITS | key;
}

// The next indirect jump, or LEAVE_LOOKUP, of the running code goes to the loop.
static inline void cpu_leave_soon(struct cpu *cpu)
{
    cpu->jump_tag = JUMP_TAG_NONE;
}

// Something changed that the run loop must look at before the next unit: a line, an enable. exec_run of
// whichever CPU is running returns. Good in functions behind which lifted code leaves or jumps indirectly, and
// in device accesses.
static inline void cpu_kick(struct cpu *cpu)
{
    cpu_leave_soon(cpu);
    if (cpu->kicked)
        *cpu->kicked = true;
}

// Which counter is that of a unit at pc.
static inline unsigned cpu_heat_index(vaddr_t pc)
{
    return (pc >> 1 ^ pc >> 12) % CPU_NR_HEAT;
}

// Raises a guest fault from a walk or a CALL_FAULT function.
static inline void cpu_raise(struct cpu *cpu, uint32_t cause, uint64_t value)
{
    cpu->fault.pending = true;
    cpu->fault.cause = cause;
    cpu->fault.value = value;
}

// Virtual memory as the CPU sees it in a regime, through TLB and page tables; for helpers and debuggers.
// False: cpu->fault is set. The value is little-endian, zero-extended. size 1, 2, 4 or 8.
// memop: enum ir_memop, whose size must agree.
bool cpu_load(struct cpu *cpu, vaddr_t addr, unsigned size, unsigned memop, uint64_t *value);
bool cpu_store(struct cpu *cpu, vaddr_t addr, unsigned size, unsigned memop, uint64_t value);
// Stores zeros: as stores of 8 bytes, one after the other, in one page. addr and len are multiples of 8.
bool cpu_zero(struct cpu *cpu, vaddr_t addr, unsigned len);

// The physical address of what such an access of size bytes within a page would reach; checks that it is allowed, and
// marks page tables as the access does. False: cpu->fault is set. What the bus says of the address is not asked.
bool cpu_translate(struct cpu *cpu, vaddr_t addr, unsigned size, enum tlb_access access,
                   paddr_t *paddr);

// Forgets cached translations of addresses: all, or one page. Also what depends on them (jump cache).
void cpu_flush_tlb(struct cpu *cpu);
void cpu_flush_tlb_page(struct cpu *cpu, vaddr_t addr);

#endif
