// SPDX-License-Identifier: MIT
// Between the files of the execution loop.
#ifndef TRANSLATOR_EXEC_IMPL_H
#define TRANSLATOR_EXEC_IMPL_H

#include "translator/debug.h"
#include "translator/exec.h"
#include "translator/guest.h"

#define EXEC_MAX_CPUS 64
#define EXEC_FOUND 1024

// The path that a CPU took from a unit that is entered often: a unit may be made along it.
struct trace {
    struct cpu *cpu; // who is followed; NULL: nobody
    uint32_t key;
    uint8_t regime, rm; // of that key
    unsigned n;
    struct trace_insn {
        vaddr_t pc;
        const uint8_t *host; // of its page's first byte
        paddr_t page;
    } insn[IR_MAX_TRACE_INSNS];
};

struct exec {
    struct mem *mem;
    const struct host *host;
    void *host_data;
    struct units *units;
    struct ir *ir; // the unit in the making
    struct cpu *cpus[EXEC_MAX_CPUS];
    unsigned nr_cpus;
    bool stop; // written by signal handlers
    uint32_t epoch; // the latest of any CPU's jump_epoch
    struct trace trace; // being recorded
    struct exec_stats stats;
    struct debug debug;
    struct unit *found[EXEC_FOUND]; // units found lately, by pc
};

// A CPU that no execution loop runs counts nothing.
#define COUNT(cpu, what)                                                                           \
    do {                                                                                           \
        if ((cpu)->exec)                                                                           \
            (cpu)->exec->stats.what++;                                                             \
    } while (0)

// Finds the translation of addr for an access, filling the TLB as needed. The entry may be *temp, when it
// must not be kept. NULL: cpu->fault is set.
const struct tlb_entry *access_translate(struct cpu *cpu, vaddr_t addr, unsigned size,
                                         enum tlb_access access, unsigned regime,
                                         struct tlb_entry *temp);
// Where the code of an instruction is.
struct code_page {
    const uint8_t *host; // of the page's first byte
    paddr_t page;        // its physical address
    bool varies;         // permission holds for the bytes asked for, not for the page
};

// The page of the code at addr, two bytes of which may be fetched. False: cpu->fault is set.
bool access_code_page(struct cpu *cpu, vaddr_t addr, struct code_page *code);

// Makes the unit at cpu->pc under a key, and enters it. NULL: cpu->fault is set (the instruction could not be
// fetched).
struct unit *translate(struct exec *e, struct cpu *cpu, uint32_t key, enum cpu_mode mode,
                       const struct code_page *code);

// Makes a unit along a path; `next` is where it went on. It takes the place of the unit at its head.
void translate_trace(struct exec *e, struct cpu *cpu, const struct trace *t, vaddr_t next);

// trace.c: called by the loop before each unit, with its key. While a path is recorded, units are of one
// instruction: true.
bool trace_step(struct exec *e, struct cpu *cpu, uint32_t key);
// The instruction at cpu->pc is about to run.
void trace_note(struct exec *e, struct cpu *cpu);
// Something came between: the path ends here.
void trace_interrupted(struct exec *e, struct cpu *cpu);
// The unit at cpu->pc has been entered often.
void trace_hot(struct exec *e, struct cpu *cpu, uint32_t key);
// Whether the pages of a unit are where they were when it was made.
bool trace_is_valid(struct exec *e, struct cpu *cpu, struct unit *u);
// No recorded path, tag or tagged link holds any more.
void trace_forget_tags(struct exec *e);

// The jump cache: where pc's entry is, and entering a unit under cpu->jump_tag.
static inline struct jump_cache_entry *access_jump_entry(struct cpu *cpu, vaddr_t pc)
{
    return &cpu->jump_cache[(uint32_t)pc * JUMP_CACHE_HASH >> (32 - JUMP_CACHE_BITS)];
}
void access_enter_jump(struct cpu *cpu, vaddr_t pc, uint32_t code);

#endif
