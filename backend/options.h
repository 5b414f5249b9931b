// SPDX-License-Identifier: MIT
// Options of the form "kind,key=value,flag,noflag", as -chardev, -netdev, -drive and others take them.
//
// Errors are sticky: readers return the default and the first error is kept; options_done() reports it, or
// the first key that nobody asked for. So a reader asks for all it knows and checks once at the end.
#ifndef BACKEND_OPTIONS_H
#define BACKEND_OPTIONS_H

#include <glib.h>

#include "base/types.h"

struct options;

// `what` names the option in errors ("-chardev"). `implied` is the key of a first item without '=', or NULL.
// Two commas stand for one in a value. Never fails: mistakes come out of options_done().
struct options *options_parse(const char *what, const char *text, const char *implied);
void options_free(struct options *o);
// Sets or replaces a value.
void options_set(struct options *o, const char *key, const char *value);
void options_add(struct options *o, const char *key, const char *value);
bool options_has(const struct options *o, const char *key);
// Item i in the order typed, for readers that hand all keys on: FALSE past the last one. It counts as asked for.
// The value of a bare key is NULL.
bool options_item(struct options *o, unsigned i, const char **key, const char **value);

// The last value of the key, or NULL. A flag (a key without '=') is an error here.
const char *options_str(struct options *o, const char *key);
// All values of a key that may be repeated, in order; free the array with g_free, not the strings.
const char **options_list(struct options *o, const char *key);
// on/off, yes/no, true/false, y/n; the bare key is on, the key with "no" in front is off.
bool options_bool(struct options *o, const char *key, bool def);
// A number, decimal or with 0x; at most max.
uint64_t options_u64(struct options *o, const char *key, uint64_t def, uint64_t max);
// A number with an optional suffix k, M, G, T (powers of 1024).
uint64_t options_size(struct options *o, const char *key, uint64_t def);

// Records an error of the caller's own about a key, unless there is one already.
void options_fail(struct options *o, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool options_failed(const struct options *o);
// TRUE if there was no mistake and every key was asked for.
bool options_done(struct options *o, GError **error);

// The same rules for single values.
bool parse_bool(const char *text, bool *value);
bool parse_u64(const char *text, uint64_t *value);
bool parse_size(const char *text, uint64_t *value);

#endif
