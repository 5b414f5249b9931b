// SPDX-License-Identifier: MIT
// The IR's floating-point operations in software: what the interpreter runs, and what a native host calls
// for an operation, type or rounding mode that it lacks; integer operations that a host lacks, too.
#ifndef TRANSLATOR_SOFTOPS_H
#define TRANSLATOR_SOFTOPS_H

#include "base/softfloat.h"
#include "translator/ir.h"

// Evaluates an OPF_FLOAT operation. `type` of the result, `from` of the first operand; v: operands as bits.
uint64_t softop_eval(enum ir_opcode op, enum ir_type type, enum ir_type from, unsigned aux,
                     const uint64_t v[3], struct fp_env *env);

// The canonical NaN of a float type, and whether bits are a NaN.
uint64_t softop_nan(enum ir_type type);
bool softop_is_nan(enum ir_type type, uint64_t bits);

// Turns the operation into a CALL that evaluates it, in place. Needs a free call in the IR.
void softop_lower(struct ir *ir, ir_ref r);

#endif
