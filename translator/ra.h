// SPDX-License-Identifier: MIT
// The register allocator that native hosts share: one forward walk over a unit, driven by a table of the
// host's operand constraints, choosing registers and telling the host to emit as it goes.
//
// Guest registers live in host registers from their first use to the unit's end. Nothing is written back on
// the way: at each point where the unit may be left, the host asks for an exit map (ra_capture), which says
// where the value of each changed guest register is, and has cold code write them out. A register that is
// needed for something else is spilled to the stack frame only if its value is nowhere else: constants, and
// guest registers still in their homes, are simply loaded again. Victims are those used again last.
#ifndef TRANSLATOR_RA_H
#define TRANSLATOR_RA_H

#include "translator/ir.h"

enum ra_class { RA_GPR, RA_FPR, RA_NR_CLASSES };

#define RA_NO_REG 0xff
#define RA_MAX_REGS 16
#define RA_MAX_SLOTS 128

// Where a value is.
struct ra_operand {
    enum ra_kind { RA_NOWHERE, RA_IN_REG, RA_IMM, RA_HOME, RA_SLOT } kind;
    uint8_t type;   // enum ir_type
    uint8_t reg;    // RA_IN_REG
    uint32_t at;    // RA_HOME: offset from struct cpu; RA_SLOT: number of an 8-byte slot in the frame
    uint64_t imm;   // RA_IMM: bits
};

// What an operand may be.
enum ra_allow {
    RA_R = 1, // a register of its type's class
    RA_I = 2, // an immediate (the rule is asked per instruction, and says so only if the constant fits)
    RA_M = 4, // memory: home or slot
};

// How the result is placed.
enum ra_result {
    RA_NONE,
    RA_NEW,   // any register, possibly that of an operand that dies here
    RA_EARLY, // any register but those of operands
    RA_TIED,  // the register of operand `tied`, which is moved there if it lives on
};

struct ra_rule {
    uint8_t arg[4]; // enum ra_allow
    uint8_t result; // enum ra_result
    uint8_t tied;
    bool call;      // clobbers host->clobbered; arguments may be anywhere
};

// One changed guest register in an exit map.
struct ra_exit_var {
    uint8_t var;
    struct ra_operand where;
};

struct ra_host {
    uint32_t regs[RA_NR_CLASSES];      // allocatable, as a mask
    uint32_t clobbered[RA_NR_CLASSES]; // by calls
    struct ra_rule (*rule)(void *h, const struct ir *ir, const struct ir_insn *in);
    // Emits an instruction with a value or an effect. dst: register of the result, or RA_NO_REG.
    void (*emit)(void *h, ir_ref r, const struct ra_operand arg[4], unsigned dst);
    void (*move)(void *h, enum ir_type type, unsigned dst, unsigned src);
    void (*load)(void *h, enum ir_type type, unsigned dst, const struct ra_operand *from);
    void (*spill)(void *h, enum ir_type type, unsigned slot, unsigned src);
    // The top of a loop: what is carried is in registers now, as the exit map says.
    void (*loop_head)(void *h, const struct ra_exit_var *map, unsigned n);
};

struct ra_value {
    uint8_t reg;       // RA_NO_REG: not in one
    uint8_t in_home;   // its home still holds it (a GET)
    uint8_t nr_vars;   // variables whose current value it is
    int16_t slot;      // -1: none
    uint16_t last;     // index of the last instruction that needs it anywhere
    uint16_t next_use; // index of the next instruction that has it as operand, UINT16_MAX: none
};

struct ra {
    const struct ra_host *host;
    void *h;
    const struct ir *ir;
    unsigned at;                       // instruction being done
    uint32_t free[RA_NR_CLASSES];
    uint32_t pinned[RA_NR_CLASSES];    // operands of the instruction being done
    ir_ref in_reg[RA_NR_CLASSES][RA_MAX_REGS];
    ir_ref now[IR_MAX_VARS];           // current value of changed variables, 0: home
    uint8_t changed[IR_MAX_VARS];      // variables with now[] != 0, in order of first change
    unsigned nr_changed;
    uint64_t free_slots[RA_MAX_SLOTS / 64];
    bool out_of_slots;
    struct ra_value val[IR_MAX_INSNS];
    uint16_t next_use[IR_MAX_INSNS][4]; // of each operand's value, behind this instruction
};

static inline enum ra_class ra_class_of(enum ir_type t)
{
    return ir_type_is_float(t) ? RA_FPR : RA_GPR;
}

// Allocates and emits a whole unit. False: it needs more of the frame than there is; make it shorter.
bool ra_run(struct ra *ra, const struct ra_host *host, void *h, const struct ir *ir);
// While emitting: the exit map at this point. Returns the number of entries written to out[IR_MAX_VARS].
unsigned ra_capture(const struct ra *ra, struct ra_exit_var *out);
// The same for going back to a loop's top: first what is carried, in the order of the top, also where that did not
// change; then what else did.
unsigned ra_capture_loop(const struct ra *ra, struct ra_exit_var *out);

#endif
