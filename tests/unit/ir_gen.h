// SPDX-License-Identifier: MIT
// Random IR: well-formed units that do nothing undefined, so that all hosts must agree on them.
//
// The same seed gives the same unit, and a unit of fewer guest instructions is the beginning of a
// longer one, up to its end.
#ifndef TESTS_UNIT_IR_GEN_H
#define TESTS_UNIT_IR_GEN_H

#include "tests/unit/ir_side.h"

struct gen {
    struct ir *ir;
    uint64_t seed;
    bool wide;
    bool calm; // hardly anything faults or branches away
    bool few;  // sets few variables only, so that a loop can carry them in registers
    unsigned nr[IR_NR_TYPES];
    ir_ref pool[IR_NR_TYPES][IR_MAX_INSNS]; // values made so far, by type
    bool raw[IR_MAX_INSNS];                 // a float whose bits are undefined if it is a NaN
};

// A generator for an IR that was reset.
void gen_start(struct gen *g, struct ir *ir, bool wide, uint64_t seed);
uint64_t gen_random(struct gen *g);
unsigned gen_below(struct gen *g, unsigned n);
bool gen_chance(struct gen *g, unsigned one_in);
// Numbers with a taste for edges.
uint64_t gen_bits(struct gen *g, enum ir_type type);

// A value of a type: a constant, a variable, or one made before.
ir_ref gen_pick(struct gen *g, enum ir_type type);
// The same, and fit to be looked at as bits.
ir_ref gen_clean(struct gen *g, enum ir_type type);
// One operation on any operands.
enum gen_allow { GEN_FAULT = 1, GEN_EFFECT = 2 };
void gen_op(struct gen *g, unsigned allow);
// Those with a signature of their own in IR_OPS, on given operands: aux and rounding mode are
// random.
ir_ref gen_apply(struct gen *g, enum ir_opcode op, enum ir_type type, const ir_ref arg[4]);
// Whether gen_apply knows the operation. (FCANON comes by itself where the bits of a float matter.)
bool gen_knows(enum ir_opcode op);
// The types that the signature asks for, at random where it leaves a choice. Returns that of the
// result.
enum ir_type gen_types(struct gen *g, enum ir_opcode op, enum ir_type arg[4]);

// What a guest instruction does, between its INSN and its end. It can be started again: no more
// than one thing in it has an effect, and nothing behind that may leave.
void gen_body(struct gen *g, unsigned ops);
// A whole unit of so many guest instructions, fewer if it gets too long.
void gen_unit(struct gen *g, unsigned insns);
// State to start with.
void gen_state(struct gen *g, struct side_state *st);

#endif
