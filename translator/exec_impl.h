// SPDX-License-Identifier: MIT
// Between the files of the execution loop.
#ifndef TRANSLATOR_EXEC_IMPL_H
#define TRANSLATOR_EXEC_IMPL_H

#include "translator/exec.h"
#include "translator/guest.h"

#define EXEC_MAX_CPUS 64
#define EXEC_FOUND 1024

struct exec {
    struct mem *mem;
    const struct host *host;
    void *host_data;
    struct units *units;
    struct ir *ir; // the unit in the making
    struct cpu *cpus[EXEC_MAX_CPUS];
    unsigned nr_cpus;
    bool stop; // written by signal handlers
    struct exec_stats stats;
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

// The jump cache: where pc's entry is, and entering a unit under cpu->jump_tag.
static inline struct jump_cache_entry *access_jump_entry(struct cpu *cpu, vaddr_t pc)
{
    return &cpu->jump_cache[(uint32_t)pc * JUMP_CACHE_HASH >> (32 - JUMP_CACHE_BITS)];
}
void access_enter_jump(struct cpu *cpu, vaddr_t pc, uint32_t code);

#endif
