// SPDX-License-Identifier: MIT
// Runs targets on files: `replay TARGET FILE...`. Without a file it lists the targets. What an input does wrong
// ends the program.
#include <stdio.h>
#include <unistd.h>

#include "tests/fuzzers/fuzzer.h"

static int list(void)
{
    for (unsigned i = 0; fuzzers[i]; i++)
        printf("%s\t%s\n", fuzzers[i]->name, fuzzers[i]->help);
    return 0;
}

int main(int argc, char *argv[])
{
    if (argc < 3)
        return list();
    const struct fuzzer *f = fuzzer_find(argv[1]);
    if (!f) {
        fprintf(stderr, "replay: there is no target %s\n", argv[1]);
        return 1;
    }
    fuzzer_init();
    for (int i = 2; i < argc; i++) {
        g_autofree char *data = NULL;
        gsize len;
        if (!g_file_get_contents(argv[i], &data, &len, NULL)) {
            dprintf(STDERR_FILENO, "replay: %s can't be read\n", argv[i]);
            return 1;
        }
        printf("%s\n", argv[i]); // the last one printed is the one that ends it
        fflush(stdout);
        f->run((const uint8_t *)data, len);
    }
    return 0;
}
