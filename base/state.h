// SPDX-License-Identifier: MIT
// State tables: what a guest can change of a device or a CPU, described field by field.
//
// From one table derive save, load, compare, hash, dump, and the test that no byte is forgotten. Values
// are written little-endian in declaration order, so that the form is the same on all hosts.
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include <glib.h>

#include "base/types.h"

enum state_kind {
    STATE_SCALAR, // integers, bools and enums of 1, 2, 4 or 8 bytes
    STATE_STRUCT, // `sub` describes each element
    STATE_BYTES,  // raw bytes: `size` of them per element
    STATE_BOOL,   // like a scalar; what is loaded must be 0 or 1 (chosen by the macros below)
};

struct state_field {
    const char *name; // NULL ends a table
    enum state_kind kind;
    uint32_t offset; // in the struct
    uint32_t size;   // of one element, bytes
    uint32_t count;  // elements, laid out one after the other
    const struct state_field *sub;
};

#define STATE_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define STATE_KIND(value) _Generic((value), bool: STATE_BOOL, default: STATE_SCALAR)
// A scalar member: integer, bool, enum, struct timer's deadline.
#define STATE_VAR(type, member)                                                                    \
    {                                                                                              \
        #member, STATE_KIND(((type *)0)->member), offsetof(type, member),                          \
            sizeof(((type *)0)->member), 1, NULL                                                   \
    }
// An array of scalars.
#define STATE_ARRAY(type, member)                                                                  \
    {                                                                                              \
        #member, STATE_KIND(((type *)0)->member[0]), offsetof(type, member),                       \
            sizeof(((type *)0)->member[0]),                                                        \
            sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), NULL                     \
    }
// An array of bytes, as one value.
#define STATE_BUF(type, member)                                                                    \
    {                                                                                              \
        #member, STATE_BYTES, offsetof(type, member), sizeof(((type *)0)->member), 1, NULL         \
    }
// A timer.
#define STATE_TIMER(type, member)                                                                  \
    {                                                                                              \
        #member, STATE_SCALAR, offsetof(type, member.deadline), 8, 1, NULL                         \
    }
// A member that is a struct with a table of its own, and an array of such.
#define STATE_SUB(type, member, table)                                                             \
    {                                                                                              \
        #member, STATE_STRUCT, offsetof(type, member), sizeof(((type *)0)->member), 1, table       \
    }
#define STATE_SUB_ARRAY(type, member, table)                                                       \
    {                                                                                              \
        #member, STATE_STRUCT, offsetof(type, member), sizeof(((type *)0)->member[0]),             \
            sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), table                    \
    }

// Appends the state of `obj` to out.
void state_save(const struct state_field *fields, const void *obj, GByteArray *out);
// Reads it back from *data, moving *data and *len past it. On failure `obj` is unchanged; the error names
// the object (`what`) and the field.
bool state_load(const struct state_field *fields, void *obj, const char *what, const uint8_t **data,
                size_t *len, GError **error);
// Whether state_load would take it; changes nothing but *data and *len.
bool state_check(const struct state_field *fields, const char *what, const uint8_t **data, size_t *len,
                 GError **error);
// A number for the table itself: fields of other names, sizes or order have another one.
uint64_t state_shape(const struct state_field *fields);
// The name of the first field that differs, newly allocated ("regs[3]"), or NULL.
char *state_diff(const struct state_field *fields, const void *a, const void *b);
// Folds the state into a running 64-bit hash (see hash_bytes).
uint64_t state_hash(const struct state_field *fields, const void *obj, uint64_t hash);
// One "name = value" line per field.
void state_dump(const struct state_field *fields, const void *obj, const char *indent, GString *out);
// Sets mask[i] to 1 for each byte of the object that the table describes; for the coverage test.
void state_coverage(const struct state_field *fields, uint8_t *mask);

// A fast 64-bit hash of bytes, seeded with the hash so far. Not cryptographic; equal on all hosts.
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

#endif
