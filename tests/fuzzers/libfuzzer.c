// SPDX-License-Identifier: MIT
// Runs one target under libFuzzer, whose options it takes: `fuzz -target=NAME ...`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzzers/fuzzer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// libFuzzer starts this program again for some of its work, with the same first arguments, and passes over
// options that it does not know.
static const struct fuzzer *wanted(int argc, char **argv)
{
    static const char option[] = "-target=";
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], option, strlen(option)))
            return fuzzer_find(argv[i] + strlen(option));
    }
    return NULL;
}

static const struct fuzzer **target(void)
{
    static const struct fuzzer *chosen;
    return &chosen;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    *target() = wanted(*argc, *argv);
    if (!*target()) {
        dprintf(STDERR_FILENO, "fuzz: which one? -target=NAME\n");
        exit(1);
    }
    fuzzer_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct fuzzer *f = *target();
    if (size <= f->max_len)
        f->run(data, size);
    return 0;
}
