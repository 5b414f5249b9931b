// SPDX-License-Identifier: MIT
// Device trees of the user's (-dtb): loaded, and completed for the kernel.
#include <assert.h>
#include <libfdt.h>

#include "machine/fdt.h"
#include "tests/fuzzers/fuzzer.h"

static void run(const uint8_t *data, size_t len)
{
    static const struct loader_image initrd = {.start = UINT64_C(0x80000000),
                                               .end = UINT64_C(0x1234567890)};
    struct machine_config cfg = {.append = (char *)"console=ttyS0"};
    struct machine m = {.cfg = &cfg, .door = door_new(1)};
    struct fuzz_file f = fuzz_file_new(data, len);
    GError *error = NULL;
    bool ok = machine_fdt_load(&m, f.path, &error);
    fuzz_check_error(ok, error);
    for (int i = 0; ok && i < 2; i++) { // a machine that is reset loads it again
        error = NULL;
        ok = machine_fdt_set_chosen(&m, &initrd, &error);
        fuzz_check_error(ok, error);
        assert(!ok || fdt_check_full(m.fdt, m.fdt_size) == 0);
    }
    fuzz_file_close(&f);
    door_free(m.door);
    g_free(m.fdt);
}

const struct fuzzer fuzzer_dtb = {
    .name = "dtb",
    .help = "a flattened device tree",
    .max_len = 4096,
    .run = run,
};
