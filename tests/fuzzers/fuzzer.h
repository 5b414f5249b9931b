// SPDX-License-Identifier: MIT
// Targets for fuzzing: each feeds bytes that anybody may have written to one part of the emulator, and checks
// what must hold whatever they are. A target is one entry of targets.def and one `const struct fuzzer`
// fuzzer_NAME; it remembers nothing from one input to the next, so that an input alone reproduces what it found.
//
// Two programs are made from them: with libFuzzer, which searches for inputs, and a plain one, which runs those
// that are kept in seeds/NAME.
#ifndef TESTS_FUZZERS_FUZZER_H
#define TESTS_FUZZERS_FUZZER_H

#include <glib.h>

#include "base/types.h"

struct fuzzer {
    const char *name;
    const char *help; // what its bytes are
    size_t max_len;   // of an input worth trying
    void (*run)(const uint8_t *data, size_t len);
};

// All targets, NULL-terminated; and one by its name, or NULL.
extern const struct fuzzer *const fuzzers[];
const struct fuzzer *fuzzer_find(const char *name);
// Once, before the first input: what the user would be told of each is not told.
void fuzzer_init(void);

// Bytes that are used up from front to back. Behind the end there are zeros.
struct fuzz_input {
    const uint8_t *at, *end;
};

static inline struct fuzz_input fuzz_input(const uint8_t *data, size_t len)
{
    return (struct fuzz_input){data, data + len};
}

static inline size_t fuzz_left(const struct fuzz_input *in)
{
    return (size_t)(in->end - in->at);
}

// An integer of 1 to 8 bytes, little-endian.
uint64_t fuzz_take(struct fuzz_input *in, unsigned size);
void fuzz_take_bytes(struct fuzz_input *in, void *buf, size_t len);
// Up to a NUL byte or the end; newly allocated.
char *fuzz_take_string(struct fuzz_input *in);

// A file with these bytes, as long as it is not closed.
struct fuzz_file {
    int fd;
    char path[32];
};

struct fuzz_file fuzz_file_new(const void *data, size_t len);
void fuzz_file_close(struct fuzz_file *f);

// A new empty folder, to be removed with all that is in it. The path is newly allocated; removing frees it.
char *fuzz_folder_new(void);
void fuzz_folder_remove(char *path);

// What is promised of each function with a GError: an error if and only if it failed, and a text for the user
// without control characters. Frees the error.
void fuzz_check_error(bool ok, GError *error);

#endif
