// SPDX-License-Identifier: MIT
// JSON as QMP speaks it: texts cut out of a stream of bytes, and values in and out of GVariant.
//
// An object is a{sv}, an array av, a string s, an integer x, another number d, a truth value b, null an empty mv.
// Integers are 64 bits wide: those above INT64_MAX wrap around, and are taken as unsigned where an address or a
// size is meant. Values to print are made of these, and of integers of all sizes.
//
// json-glib does the parsing; it is loaded by json_open(), since most runs need none.
#ifndef CONTROL_JSON_H
#define CONTROL_JSON_H

#include <glib.h>

#include "base/types.h"

#define JSON_MAX_TEXT  (1u << 20) // bytes
#define JSON_MAX_DEPTH 64

struct json;

// Loads the library; the error says what to install.
struct json *json_open(GError **error);
void json_close(struct json *j); // NULL does nothing

// Parses one text that a framer let through. The caller owns the value.
GVariant *json_parse(const struct json *j, const char *text, size_t len, GError **error);
// Appends the text of a value; a floating one is consumed. `pretty`: on several lines.
void json_print(GVariant *value, bool pretty, GString *out);

// ---- Framing ----

// Finds where texts begin and end: objects and arrays, one after the other, whatever is between lines. It refuses
// what is no JSON by its characters, what is too deep or too long, and numbers and escapes that the library
// would change without a word. After a mistake, the rest of the line is skipped.
struct json_framer {
    GString *text; // so far
    int state;     // private, as the following
    unsigned depth, unicode_left;
    uint32_t unicode;
    bool high;     // the last character was the first half of a surrogate pair
    size_t number; // where the number begins that is being read
    char *why;     // after JSON_BAD
};

enum json_frame {
    JSON_MORE,  // not complete yet
    JSON_WHOLE, // f->text is complete; the next byte begins another
    JSON_BAD,   // f->why says what is wrong
};

void json_framer_init(struct json_framer *f);
void json_framer_clear(struct json_framer *f);
// Forgets a text that is not complete.
void json_framer_reset(struct json_framer *f);
enum json_frame json_framer_feed(struct json_framer *f, uint8_t byte);

#endif
