// SPDX-License-Identifier: MIT
// Where a debugger wants CPUs to stop: before an instruction (breakpoint), behind an access (watchpoint).
//
// Nothing of it is in the guest's memory or state, and a run that stops is step for step the run that does not.
//
// Units end before the pc of a breakpoint, and none but those of one instruction start there: so translated code
// has no way past the loop, and the loop looks. Pages with watched bytes are slow in the TLBs for the accesses in
// question, so that each comes to access_slow, and the one that touches them is made alone. Code that meets
// neither runs as always.
#ifndef TRANSLATOR_DEBUG_H
#define TRANSLATOR_DEBUG_H

#include "softmmu/tlb.h"

struct cpu;
struct exec;

enum debug_kind {
    DEBUG_STEP,  // a step that was asked for was made
    DEBUG_BREAK, // the CPU is about to execute at a breakpoint
    DEBUG_WATCH, // the instruction before touched watched bytes
};

struct debug_watch {
    vaddr_t first, last; // bytes, both included
    uint8_t access;      // BIT(TLB_READ), BIT(TLB_WRITE) or both
};

struct debug_hit {
    enum debug_kind kind;
    unsigned cpu;   // index
    unsigned watch; // index in the set of watchpoints
    vaddr_t addr;   // pc, or the first watched byte that was accessed
    bool write;     // how
};

// Virtual addresses, in any address space, for all CPUs. The set replaces the one before; only what changes costs.
// Between slices.
void exec_set_breaks(struct exec *e, const vaddr_t *pcs, unsigned n);
void exec_set_watches(struct exec *e, const struct debug_watch *watches, unsigned n);
// The next exec_run of this CPU executes its first instruction even if a breakpoint is there. NULL: none does.
void exec_pass_break(struct exec *e, const struct cpu *cpu);
// After exec_run: whether it returned because of a breakpoint or a watchpoint, and which. Tells once.
bool exec_take_hit(struct exec *e, struct debug_hit *hit);

// The guest's memory at virtual addresses as a CPU has them now, permissions aside: between slices, for debuggers.
// Returns how many bytes it was possible to read or write. Like mem_peek and mem_poke.
size_t cpu_debug_read(struct cpu *cpu, vaddr_t addr, void *buf, size_t len);
size_t cpu_debug_write(struct cpu *cpu, vaddr_t addr, const void *buf, size_t len);

// ---- Within the translator ----

struct debug {
    vaddr_t *breaks; // sorted
    unsigned nr_breaks;
    struct debug_watch *watches;
    unsigned nr_watches;
    const struct cpu *pass;
    bool has_hit;
    struct debug_hit hit;
};

bool debug_is_break(const struct debug *d, vaddr_t pc);
// Whether the instruction at pc is not to be executed, which is then the hit.
bool debug_stops(struct debug *d, unsigned cpu, vaddr_t pc);
// Which TLB tags (bits as in struct debug_watch) of this page must be slow.
unsigned debug_slow_tags(const struct debug *d, vaddr_t page);
// A watched byte in [addr, addr + size) for this access. False: there is none.
bool debug_find_watch(const struct debug *d, vaddr_t addr, unsigned size, bool write,
                      struct debug_hit *hit);
void debug_free(struct debug *d);

#endif
