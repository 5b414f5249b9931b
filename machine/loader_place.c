// SPDX-License-Identifier: MIT
// Decides where in RAM things go that say nothing themselves, and finds firmware on the host.
//
// The rules are QEMU's where guests see the result (kernel after the firmware, RAM disk at half of RAM or
// 128 MiB, device tree below 3 GiB on 2 MiB), but things move where QEMU would let them collide.
// fw_dynamic_info: OpenSBI, docs/firmware/fw_dynamic.md.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "machine/loader.h"
#include "machine/loader_file.h"

#define MIB       (UINT64_C(1) << 20)
#define FDT_ALIGN (2 * MIB)
#define FDT_TOP   (3072 * MIB) // a 32-bit kernel has to reach it

paddr_t loader_kernel_start(unsigned bits, paddr_t firmware_end)
{
    // One big page of Sv39, or of Sv32.
    return align_up(firmware_end, bits == 32 ? 4 * MIB : 2 * MIB);
}

bool loader_check_apart(const char *path, const struct loader_image *image, const char *other_path,
                        const struct loader_image *other, GError **error)
{
    if (image->end <= other->start || other->end <= image->start)
        return true;
    return loader_fail(error, path,
                       "goes to 0x%" PRIx64 "-0x%" PRIx64 ", where %s is already (0x%" PRIx64
                       "-0x%" PRIx64 ")",
                       image->start, image->end, other_path, other->start, other->end);
}

// First byte that a RAM disk may not use: what is above is left to the device tree.
static paddr_t initrd_limit(const struct loader_target *t)
{
    paddr_t end = t->ram_base + t->ram_size;

    return t->ram_size > 2 * FDT_ALIGN ? align_down(end - 1, FDT_ALIGN) : end;
}

bool loader_place_initrd(const struct loader_target *t, const char *path, uint64_t size,
                         const struct loader_image *kernel, paddr_t *addr, GError **error)
{
    paddr_t limit = initrd_limit(t), lowest = align_up(kernel->end, PAGE_SIZE);
    paddr_t start = MAX(kernel->start + MIN(t->ram_size / 2, 128 * MIB), lowest);

    if (start > limit || size > limit - start) {
        start = size < limit ? align_down(limit - size, PAGE_SIZE) : 0;
        if (start < lowest) {
            g_autofree char *text = loader_size_text(size);
            return loader_fail(error, path,
                               "%s do not fit between the kernel's end (0x%" PRIx64
                               ") and 0x%" PRIx64 " in RAM; give more with -m",
                               text, kernel->end, limit);
        }
    }
    *addr = start;
    return true;
}

bool loader_place_fdt(const struct loader_target *t, uint64_t size, paddr_t above, paddr_t *addr,
                      GError **error)
{
    static const uint64_t aligns[] = {FDT_ALIGN, PAGE_SIZE, 8};
    paddr_t end = t->ram_base + t->ram_size;
    paddr_t top = t->ram_base < FDT_TOP ? MIN(end, FDT_TOP) : end;
    paddr_t lowest = MAX(t->ram_base, above);

    for (size_t i = 0; i < ARRAY_LEN(aligns) && size <= top; i++) {
        *addr = align_down(top - size, aligns[i]);
        if (*addr >= lowest)
            return true;
    }
    return loader_fail(error, "device tree",
                       "no room for its %" PRIu64 " bytes between 0x%" PRIx64 " and 0x%" PRIx64
                       " in RAM; give more with -m",
                       size, lowest, top);
}

// --- Firmware ---

unsigned loader_fw_dynamic_info(unsigned bits, paddr_t next, unsigned boot_hart,
                                uint8_t buf[LOADER_FW_DYNAMIC_MAX])
{
    const uint64_t words[] = {
        0x4942534f, // magic: "OSBI"
        2,          // version
        next,
        1, // mode of the next stage: S
        0, // options
        boot_hart,
    };
    unsigned word = bits / 8;

    _Static_assert(sizeof(words) == LOADER_FW_DYNAMIC_MAX, "six words");
    assert(bits == 32 || bits == 64);
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        store_le(buf + i * word, word, words[i]);
    return ARRAY_LEN(words) * word;
}

// Directories of firmware by the CPUs' width: [0] 32 bit, [1] 64 bit.
static const char *const system_dirs[][2] = {
    {"/usr/lib/riscv32-linux-gnu/opensbi/generic", "/usr/lib/riscv64-linux-gnu/opensbi/generic"},
    {"/usr/share/opensbi/ilp32/generic/firmware", "/usr/share/opensbi/lp64/generic/firmware"},
    {"/usr/share/qemu", "/usr/share/qemu"},
};

static void add_dirs(GPtrArray *dirs, const char *list)
{
    g_auto(GStrv) parts = g_strsplit(list ? list : "", ":", -1);

    for (char **part = parts; *part; part++) {
        if (**part)
            g_ptr_array_add(dirs, g_strdup(*part));
    }
}

// Directories beside the program: PREFIX/bin/ferry is installed, SOURCES/build/ferry is not, and has the guests
// of the tests near.
static void add_own_dirs(GPtrArray *dirs, unsigned bits)
{
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);
    if (!exe)
        return;
    g_autofree char *bin = g_path_get_dirname(exe);
    g_autofree char *top = g_path_get_dirname(bin);
    g_ptr_array_add(dirs, g_build_filename(top, "share", "ferry", NULL));
    g_ptr_array_add(dirs, g_build_filename(top, ".cache", bits == 32 ? "rv32" : "opensbi", NULL));
}

static GPtrArray *firmware_dirs(const char *first, unsigned bits)
{
    GPtrArray *dirs = g_ptr_array_new_with_free_func(g_free);

    add_dirs(dirs, first);
    add_dirs(dirs, g_getenv("FERRY_FIRMWARE_PATH"));
    add_own_dirs(dirs, bits);
    for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++)
        g_ptr_array_add(dirs, g_strdup(system_dirs[i][bits == 64]));
    return dirs;
}

// The first readable DIR/NAME, directory by directory.
static char *find_in(const GPtrArray *dirs, const char *const names[])
{
    for (unsigned i = 0; i < dirs->len; i++) {
        for (const char *const *name = names; *name; name++) {
            char *path = g_build_filename(g_ptr_array_index(dirs, i), *name, NULL);
            if (access(path, R_OK) == 0)
                return path;
            g_free(path);
        }
    }
    return NULL;
}

static char *find_default(const GPtrArray *dirs, unsigned bits, GError **error)
{
    static const char *const names[][4] = {
        {"opensbi-riscv32-generic-fw_dynamic.bin", "riscv32/fw_dynamic.bin", "fw_dynamic.bin",
         NULL},
        {"opensbi-riscv64-generic-fw_dynamic.bin", "riscv64/fw_dynamic.bin", "fw_dynamic.bin",
         NULL},
    };
    char *path = find_in(dirs, names[bits == 64]);

    if (!path)
        g_set_error(
            error, FERRY_ERROR, FERRY_ERROR_FILE,
            "no OpenSBI firmware for riscv%u found (%s; %s in a directory of $FERRY_FIRMWARE_PATH, "
            "or -bios FILE); -bios none starts without",
            bits, bits == 64 ? "Debian's package is opensbi" : "Debian has none for 32 bits",
            names[bits == 64][0]);
    return path;
}

char *loader_find_firmware(const char *bios, const char *first_dirs, unsigned bits, GError **error)
{
    g_autoptr(GPtrArray) dirs = firmware_dirs(first_dirs, bits);

    if (bios && strcmp(bios, "none") == 0)
        return NULL;
    if (!bios || strcmp(bios, "default") == 0)
        return find_default(dirs, bits, error);
    if (access(bios, R_OK) == 0 || strchr(bios, '/'))
        return g_strdup(bios); // opening it says what is wrong
    char *path = find_in(dirs, (const char *const[]){bios, NULL});
    if (!path)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "-bios %s: %s", bios, g_strerror(errno));
    return path;
}
