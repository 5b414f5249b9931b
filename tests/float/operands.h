// SPDX-License-Identifier: MIT
// Operands for tests of floating point: edge values, and random ones that lean to where an operation is hard: ties,
// cancellation, subnormal results, the ends of the range.
#ifndef TESTS_FLOAT_OPERANDS_H
#define TESTS_FLOAT_OPERANDS_H

#include "tests/float/reference.h"

enum { FLOAT_MAX_EDGES = 128 };

// Zeros, subnormals, ones, powers that turn fractions to integers, the ends of the range, infinities, NaNs of all
// kinds, of both signs. Return their number.
int float_many_edges(struct float_format f, uint64_t *out);
int float_few_edges(struct float_format f, uint64_t *out);

// *rng is all the state there is.
uint64_t float_random(uint64_t *rng);
int float_between(uint64_t *rng, int low, int high);
// x[0] to x[2], whatever the arity.
void float_random_operands(uint64_t *rng, const struct float_op *op, uint64_t *x);

#endif
