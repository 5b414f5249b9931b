// SPDX-License-Identifier: MIT
// What a guest architecture supplies to the translator: a few tables and a handful of functions.
#ifndef TRANSLATOR_GUEST_H
#define TRANSLATOR_GUEST_H

#include "translator/cpu.h"
#include "translator/ir.h"
#include "translator/unit.h"

#define GUEST_KEY_BITS CPU_KEY_BITS

// One unit being lifted. The translator owns it; guest->lift appends one guest instruction at `pc`.
struct lift {
    struct ir *ir;
    struct cpu *cpu;
    uint32_t key;    // as guest->key returned it
    vaddr_t pc;      // of the instruction to lift
    vaddr_t next_pc; // set by lift: behind it, where lifting goes on unless done
    bool done;       // set by lift_* ends below, or by the guest: the unit is complete
    // Translator's own:
    const uint8_t *code; // host address of the page's first byte
    vaddr_t page;        // virtual address of that page
    bool varies;         // permission to fetch is not the page's as a whole: each fetch asks for its own
    const uint8_t *code2; // second page, for one instruction that crosses; NULL until asked for
    uint64_t page2;      // its physical address
    bool crosses;
    bool fetch_failed;   // cpu->fault says how; only for the first instruction of a unit
    bool too_far;        // an instruction reaches into the next page but isn't the first: end before it
    vaddr_t lo, hi;      // bytes of code the unit was made from; of one page
    unsigned nr_spans;   // the same by page, once it is lifted
    struct lift_span {
        vaddr_t va;
        uint64_t page;
        const uint8_t *host;
        uint16_t lo, hi;
    } span[UNIT_MAX_SPANS];
    unsigned max_insns;
    bool follows;        // a recorded path, on which trace_next comes behind this instruction
    vaddr_t trace_next;
    bool last;           // of the path
};

// ---- What debuggers see of a CPU ----

struct guest_reg {
    const char *name;
    const char *type;  // as in gdb's target descriptions: "int", "code_ptr", "data_ptr", "ieee_double", ...
    const char *group; // "general", "float", "system", ...
    uint16_t number;   // by which debuggers ask for it
    uint16_t bits;     // a multiple of 8, GUEST_REG_MAX_BITS at most
    uint8_t feature;   // index in guest_view.features
};
#define GUEST_REG_MAX_BITS 1024

struct guest_view {
    const char *arch;             // gdb's name for it
    const char *const *features;  // names of gdb's features, NULL-terminated
    const struct guest_reg *regs; // in order of number
    unsigned nr_regs;
    unsigned nr_main; // the first so many are those that are looked at each time
    unsigned pc, sp;  // indices
    bool flat;        // virtual addresses are physical ones, always
};

struct guest {
    const char *name;
    // Bits that change what code at a pc means; GUEST_KEY_BITS at most. Sets cpu->key_regime,
    // key_fetch_regime and key_rm.
    uint32_t (*key)(struct cpu *cpu);
    // Lifts one instruction: must call ir_guest(ir, pc, bytes) first once it knows the length. Undefined
    // encodings lift to a raise. Returns false only when lift_fetch did (nothing appended then).
    bool (*lift)(struct lift *l);
    // Finds the translation of a page for an access; false with cpu->fault set. `addr` is exact. With
    // fill->probe nothing in memory changes.
    bool (*walk)(struct cpu *cpu, vaddr_t addr, unsigned size, enum tlb_access access, unsigned regime,
                 struct tlb_fill *fill);
    // Sets cpu->fault for a misaligned access, or one that the bus refused, at addr.
    void (*fault_align)(struct cpu *cpu, vaddr_t addr, enum tlb_access access);
    void (*fault_bus)(struct cpu *cpu, vaddr_t addr, enum tlb_access access);
    // Enters the handler of cpu->fault, raised by the instruction at cpu->pc; clears pending.
    void (*trap)(struct cpu *cpu);
    // Takes an enabled pending interrupt, if there is one, at cpu->pc. True if taken.
    bool (*interrupt)(struct cpu *cpu);
    // Whether a halted CPU should go on.
    bool (*has_work)(struct cpu *cpu);
    void (*reset)(struct cpu *cpu);
    // State was loaded: renews caches and timers that derive from it.
    void (*loaded)(struct cpu *cpu);
    // Another CPU will run next: drop what must not survive (reservations). May be NULL.
    void (*switched_out)(struct cpu *cpu);
    // A device wrote to memory: drop what must not survive that. May be NULL.
    void (*memory_written)(struct cpu *cpu, paddr_t addr, uint64_t len);
    // One line of disassembly of the instruction at code[0..len); returns its length in bytes (0: too short).
    unsigned (*disas)(const struct cpu *cpu, vaddr_t pc, const uint8_t *code, size_t len, GString *out);
    // For people: appends the registers in lines.
    void (*print_registers)(struct cpu *cpu, GString *out);
    // For debuggers, between slices. The view lives as long as the CPU. Values are in the guest's byte order, with
    // bits / 8 bytes; registers that can't be written ignore it, others take what is legal.
    const struct guest_view *(*debug_view)(struct cpu *cpu);
    void (*debug_read)(struct cpu *cpu, const struct guest_reg *reg, void *value);
    void (*debug_write)(struct cpu *cpu, const struct guest_reg *reg, const void *value);
    // Where addr is in physical memory, whatever its permissions; changes nothing. False: nowhere.
    bool (*debug_translate)(struct cpu *cpu, vaddr_t addr, paddr_t *paddr);
    // What the CPU is called and what it is doing, in a few words.
    void (*debug_name)(struct cpu *cpu, GString *out);
    void (*debug_state)(struct cpu *cpu, GString *out);
    void (*free)(struct cpu *cpu);
    const struct state_field *state; // of the guest's whole struct, offsets from struct cpu
};

// ---- Services of the translator for lifting ----

// size bytes (2 or 4, or 1) of code at l->pc + offset, little-endian. False: stop lifting, return false.
bool lift_fetch(struct lift *l, unsigned offset, unsigned size, uint32_t *value);
// Conditional branch: leaves for target when cond holds; lifting goes on behind it when that is worth while.
void lift_branch(struct lift *l, enum ir_cond cond, ir_ref a, ir_ref b, vaddr_t target);
// Unconditional direct jump; lifting may go on at the target.
void lift_jump(struct lift *l, vaddr_t target);
void lift_jump_indirect(struct lift *l, enum ir_jump_hint hint, ir_ref target);
// Ends the unit behind the current instruction, which may have changed the key, mapping or interrupts.
void lift_leave(struct lift *l, enum ir_leave why);
// The guest instruction raises: cause and trap value.
void lift_raise(struct lift *l, uint64_t cause, ir_ref value);

#endif
