// SPDX-License-Identifier: MIT
// The meaning of the integer operations of the IR, for constant folding and for the interpreter.
#include "translator/ir_eval.h"

static bool is_integer_op(enum ir_opcode op)
{
    return (op >= IR_ADD && op <= IR_SEL) && op != IR_CHK;
}

bool ir_eval(enum ir_opcode op, enum ir_type type, unsigned aux, const uint64_t v[4],
             const enum ir_type arg_type[4], uint64_t *result)
{
    if (!is_integer_op(op))
        return false;
    if (op == IR_SETC || op == IR_SEL) {
        bool yes = eval_cond(aux, arg_type[0], v[0], v[1]);
        *result = op == IR_SETC ? yes : v[yes ? 2 : 3];
    } else if (type == IR_I32) {
        *result = eval_int32(op, aux, v[0], v[1]);
    } else {
        *result = eval_int64(op, aux, v[0], v[1]);
    }
    if (type == IR_I32)
        *result = (uint32_t)*result;
    return true;
}
