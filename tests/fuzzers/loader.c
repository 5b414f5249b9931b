// SPDX-License-Identifier: MIT
// Files that are loaded: executables of each format, RAM disks, files of -device loader.
#include <assert.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "machine/loader.h"
#include "machine/machine.h"
#include "tests/fuzzers/fuzzer.h"

#define RAM      UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x100000)
#define ROM      UINT64_C(0x1000)
#define ROM_SIZE UINT64_C(0xf000)

static struct mem *new_memory(void)
{
    struct mem *mem = mem_new();
    if (!mem_add_ram(mem, "ram", RAM, RAM_SIZE, NULL) ||
        !mem_add_rom(mem, "rom", ROM, ROM_SIZE, NULL))
        g_error("no memory");
    return mem;
}

// A file that is refused has changed nothing; one that is not lies where the image says.
static bool check_load(struct mem *mem, bool ok, const struct loader_image *image, GError *error)
{
    fuzz_check_error(ok, error);
    if (ok) {
        assert(image->start <= image->end);
    } else {
        struct mem *fresh = new_memory();
        assert(mem_hash(mem, 0) == mem_hash(fresh, 0));
        mem_free(fresh);
    }
    return ok;
}

// As a kernel, and as its RAM disk.
static void load(const char *path, unsigned bits)
{
    struct mem *mem = new_memory();
    struct loader_target t = {mem, bits, EM_RISCV, RAM, RAM_SIZE};
    struct loader_image kernel, initrd;
    GError *error = NULL;
    bool ok = loader_load(&t, path, RAM + 0x2000, &kernel, &error);
    if (check_load(mem, ok, &kernel, error)) {
        error = NULL;
        ok = loader_load_initrd(&t, path, &kernel, &initrd, &error);
        fuzz_check_error(ok, error);
    }
    mem_free(mem);
}

static void apply(const char *path, bool raw)
{
    struct mem *mem = new_memory();
    struct loader_target t = {mem, 64, EM_RISCV, RAM, RAM_SIZE};
    struct machine_loader_opt opt = {
        .file = (char *)path, .has_addr = true, .addr = RAM + 1, .force_raw = raw, .cpu_num = 0};
    struct loader_image none = {.start = 0};
    bool has_pc;
    paddr_t pc;
    GError *error = NULL;
    bool ok = loader_apply(&t, &opt, &has_pc, &pc, &error);
    check_load(mem, ok, &none, error);
    mem_free(mem);
}

static void run_file(const uint8_t *data, size_t len)
{
    struct fuzz_file f = fuzz_file_new(data, len);
    struct loader_image image;
    paddr_t value;
    GError *error = NULL;
    bool ok = loader_probe(f.path, &image, &error);
    fuzz_check_error(ok, error);
    assert(loader_elf_bits(f.path) % 32 == 0);
    load(f.path, 32);
    load(f.path, 64);
    apply(f.path, false);
    apply(f.path, true);
    error = NULL;
    bool found = loader_elf_symbol(f.path, "tohost", &value, &error);
    if (found || error)
        fuzz_check_error(found, error);
    fuzz_file_close(&f);
}

// --- Formats ---

const struct fuzzer fuzzer_elf = {
    .name = "elf",
    .help = "an ELF file",
    .max_len = 4096,
    .run = run_file,
};

const struct fuzzer fuzzer_image = {
    .name = "image",
    .help = "a Linux Image, a compressed EFI image, or raw bytes",
    .max_len = 4096,
    .run = run_file,
};

// Unless the first byte is odd, the checksums are made right, or nothing behind them would ever be reached.
static void run_uimage(const uint8_t *data, size_t len)
{
    enum { HEADER_CRC = 4, DATA_SIZE = 12, DATA_CRC = 24, HEADER = 64 };
    if (len < 1 + HEADER)
        return;
    g_autofree uint8_t *file = g_memdup2(data + 1, len - 1);
    if (!(data[0] & 1)) {
        uint32_t size = (uint32_t)MIN(load_be(file + DATA_SIZE, 4), len - 1 - HEADER);
        store_be(file + DATA_CRC, 4, crc32(0, file + HEADER, size));
        memset(file + HEADER_CRC, 0, 4);
        store_be(file + HEADER_CRC, 4, crc32(0, file, HEADER));
    }
    run_file(file, len - 1);
}

const struct fuzzer fuzzer_uimage = {
    .name = "uimage",
    .help = "a uImage, after a byte that is odd if its checksums are to stay",
    .max_len = 4096,
    .run = run_uimage,
};

static uint8_t *pack(const uint8_t *data, size_t len, size_t *packed_len)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
    size_t room = len + 1024;
    uint8_t *packed = g_malloc(room);
    if (deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        g_error("no memory to pack something");
    z.next_out = packed;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        g_error("something is larger packed than unpacked");
    deflateEnd(&z);
    *packed_len = room - z.avail_out;
    return packed;
}

// Its first byte says what becomes of the others: they are a gzip file, or what is in one, with something behind.
static void run_gzip(const uint8_t *data, size_t len)
{
    if (len < 1)
        return;
    if (data[0] & 1) {
        run_file(data + 1, len - 1);
        return;
    }
    size_t packed_len;
    g_autofree uint8_t *packed = pack(data + 1, len - 1, &packed_len);
    run_file(packed, packed_len + (data[0] & 2));
}

const struct fuzzer fuzzer_gzip = {
    .name = "gzip",
    .help = "a gzip file after an odd byte, or what it is to hold after an even one",
    .max_len = 4096,
    .run = run_gzip,
};
