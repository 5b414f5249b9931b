// SPDX-License-Identifier: MIT
// Loads executables: recognises a file's format, checks what it says about itself, and stores it.
//
// Every format is first parsed into a `struct loader_plan` (pieces of the file and where they go), then the plan
// is checked as a whole, then carried out: a file that is refused has changed nothing.
//
// ELF: machine/loader_elf.c; the Image: Documentation/arch/riscv/boot-image-header.rst of Linux;
// compressed EFI images: drivers/firmware/efi/libstub/zboot-header.S there; uImage: U-Boot's
// include/image.h.
#include "machine/loader.h"

#include <assert.h>
#include <inttypes.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "machine/loader_file.h"
#include "machine/machine.h"

// --- uImage ---

enum {
    UIMAGE_SIZE = 64,
    UIMAGE_MAGIC = 0x27051956,
    UIMAGE_ARCH_RISCV = 26,
    UIMAGE_RAMDISK = 3,
};

// Offsets of the big-endian fields.
enum {
    UIMAGE_HEADER_CRC = 4,
    UIMAGE_DATA_SIZE = 12,
    UIMAGE_LOAD = 16,
    UIMAGE_ENTRY = 20,
    UIMAGE_DATA_CRC = 24,
    UIMAGE_ARCH = 29,
    UIMAGE_TYPE = 30,
    UIMAGE_COMPRESSION = 31,
};

static bool is_uimage(const struct loader_file *f)
{
    return f->len >= UIMAGE_SIZE && load_be(f->data, 4) == UIMAGE_MAGIC;
}

static uint32_t uimage_word(const struct loader_file *f, unsigned at)
{
    return load_be(f->data + at, 4);
}

static bool uimage_check(const struct loader_file *f, GError **error)
{
    uint8_t header[UIMAGE_SIZE];
    uint32_t size = uimage_word(f, UIMAGE_DATA_SIZE);

    memcpy(header, f->data, sizeof(header));
    store_be(header + UIMAGE_HEADER_CRC, 4, 0);
    if (crc32(0, header, sizeof(header)) != uimage_word(f, UIMAGE_HEADER_CRC))
        return loader_fail(error, f->path, "a uImage whose header is damaged (wrong checksum)");
    if (size > f->len - UIMAGE_SIZE)
        return loader_fail(error, f->path, "a cut-off uImage: %zu bytes of data, expected %" PRIu32,
                           f->len - UIMAGE_SIZE, size);
    if (crc32(0, f->data + UIMAGE_SIZE, size) != uimage_word(f, UIMAGE_DATA_CRC))
        return loader_fail(error, f->path, "a uImage whose data is damaged (wrong checksum)");
    if (f->data[UIMAGE_ARCH] != UIMAGE_ARCH_RISCV)
        return loader_fail(error, f->path,
                           "a uImage for architecture number %u, expected RISC-V (%u)",
                           f->data[UIMAGE_ARCH], UIMAGE_ARCH_RISCV);
    return true;
}

static bool plan_uimage(struct loader_file *f, uint64_t limit, struct loader_plan *plan,
                        GError **error)
{
    static const char *const packers[] = {"nothing", "gzip", "bzip2", "lzma", "lzo", "lz4", "zstd"};

    if (!uimage_check(f, error))
        return false;
    unsigned packer = f->data[UIMAGE_COMPRESSION];
    struct loader_piece piece = {
        .addr = uimage_word(f, UIMAGE_LOAD),
        .offset = UIMAGE_SIZE,
        .file_len = uimage_word(f, UIMAGE_DATA_SIZE),
    };
    plan->image.format = LOADER_UIMAGE;
    plan->image.entry = uimage_word(f, UIMAGE_ENTRY);
    plan->uimage_type = f->data[UIMAGE_TYPE];
    // A RAM disk stays as it is: the kernel unpacks it.
    if (packer && plan->uimage_type != UIMAGE_RAMDISK) {
        if (packer != 1)
            return loader_fail(error, f->path, "a uImage packed by %s, expected gzip or nothing",
                               packer < ARRAY_LEN(packers) ? packers[packer]
                                                           : "an unknown program");
        if (!loader_file_unpack(f, piece.offset, piece.file_len, limit, error))
            return false;
        piece.offset = 0;
        piece.file_len = f->len;
    }
    if (!piece.file_len)
        return loader_fail(error, f->path, "a uImage without data");
    piece.mem_len = piece.file_len;
    g_array_append_val(plan->pieces, piece);
    return true;
}

// --- Linux's Image, raw bytes, and what is neither ---

enum {
    IMAGE_HEADER = 64,
    IMAGE_TEXT_OFFSET = 8,
    IMAGE_SIZE = 16,
    IMAGE_MAGIC2 = 56,
    ZBOOT_OFFSET = 8, // of the payload, and its size, in a compressed EFI image
    ZBOOT_SIZE = 12,
    ZBOOT_PACKER = 24,
};

static bool has_magic(const struct loader_file *f, size_t at, const void *magic, size_t len)
{
    return loader_in_file(f, at, len) && memcmp(f->data + at, magic, len) == 0;
}

static bool is_image(const struct loader_file *f)
{
    return f->len >= IMAGE_HEADER && has_magic(f, IMAGE_MAGIC2, "RSC\x05", 4);
}

static bool is_zboot(const struct loader_file *f)
{
    return f->len >= IMAGE_HEADER && has_magic(f, 0, "MZ", 2) && has_magic(f, 4, "zimg", 4);
}

static bool unpack_zboot(struct loader_file *f, uint64_t limit, GError **error)
{
    uint64_t offset = load_le(f->data + ZBOOT_OFFSET, 4), size = load_le(f->data + ZBOOT_SIZE, 4);

    if (!has_magic(f, ZBOOT_PACKER, "gzip", 5)) {
        g_autofree char *packer = g_strndup((const char *)f->data + ZBOOT_PACKER, 8);
        g_strcanon(packer, G_CSET_a_2_z G_CSET_DIGITS, '?');
        return loader_fail(error, f->path, "a compressed EFI kernel packed by %s, expected gzip",
                           packer);
    }
    if (!loader_in_file(f, offset, size))
        return loader_fail(error, f->path, "a cut-off compressed EFI kernel");
    return loader_file_unpack(f, offset, size, limit, error);
}

// Files that people take for kernels, and that would only run as nonsense.
static bool check_no_stranger(const struct loader_file *f, GError **error)
{
    static const struct {
        size_t at, len;
        const char *magic, *what;
    } strangers[] = {
        {0, 6,
         "\xfd"
         "7zXZ\0",
         "packed by xz, expected gzip or nothing; unpack it first"},
        {0, 4, "\x28\xb5\x2f\xfd", "packed by zstd, expected gzip or nothing; unpack it first"},
        {0, 4, "\x04\x22\x4d\x18", "packed by lz4, expected gzip or nothing; unpack it first"},
        {0, 3, "BZh", "packed by bzip2, expected gzip or nothing; unpack it first"},
        {IMAGE_MAGIC2, 4, "ARM\x64", "a Linux Image for AArch64, expected RISC-V"},
        {0x202, 4, "HdrS", "a Linux bzImage for x86, expected RISC-V"},
        {0, 4, "\xd0\x0d\xfe\xed", "a device tree (or FIT image), expected a kernel"},
        {0, 4, "QFI\xfb", "a qcow2 disk image, expected a kernel"},
    };

    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        if (has_magic(f, strangers[i].at, strangers[i].magic, strangers[i].len))
            return loader_fail(error, f->path, "%s", strangers[i].what);
    }
    return true;
}

// Both go to addr 0 here; whoever loads them says where that is.
static bool plan_plain(const struct loader_file *f, struct loader_plan *plan, GError **error)
{
    struct loader_piece piece = {.file_len = f->len, .mem_len = f->len};

    if (!check_no_stranger(f, error))
        return false;
    plan->image.format = is_image(f) ? LOADER_IMAGE : LOADER_RAW;
    if (plan->image.format == LOADER_IMAGE)
        plan->image.start = load_le(f->data + IMAGE_TEXT_OFFSET, 8);
    g_array_append_val(plan->pieces, piece);
    return true;
}

// Memory that an Image wants for itself beyond its file, for its page tables and .bss; it clears that.
static uint64_t image_extent(const struct loader_file *f)
{
    return MAX(load_le(f->data + IMAGE_SIZE, 8), f->len);
}

// --- Making a plan ---

static void plan_init(struct loader_plan *plan)
{
    *plan = (struct loader_plan){.pieces = g_array_new(false, false, sizeof(struct loader_piece))};
}

// Whether the file itself knows where it goes.
static bool says_where(const struct loader_plan *plan)
{
    return plan->image.format == LOADER_ELF || plan->image.format == LOADER_UIMAGE;
}

static void plan_extent(struct loader_plan *plan)
{
    plan->image.start = UINT64_MAX;
    for (unsigned i = 0; i < plan->pieces->len; i++) {
        const struct loader_piece *p = &g_array_index(plan->pieces, struct loader_piece, i);
        plan->image.start = MIN(plan->image.start, p->addr + p->header_len);
        plan->image.end = MAX(plan->image.end, p->addr + p->mem_len);
    }
}

// Unpacks what is packed as a whole, then looks into it.
static bool plan_file(struct loader_file *f, uint64_t limit, struct loader_plan *plan,
                      GError **error)
{
    bool ok;

    if (loader_file_is_gzip(f) && !loader_file_unpack(f, 0, f->len, limit, error))
        return false;
    if (is_zboot(f) && !unpack_zboot(f, limit, error))
        return false;
    if (loader_is_elf(f))
        ok = loader_plan_elf(f, plan, error);
    else if (is_uimage(f))
        ok = plan_uimage(f, limit, plan, error);
    else
        ok = plan_plain(f, plan, error);
    plan->image.gzip = f->gzip;
    if (ok && says_where(plan))
        plan_extent(plan);
    return ok;
}

bool loader_probe(const char *path, struct loader_image *info, GError **error)
{
    struct loader_file f;
    struct loader_plan plan;

    if (!loader_file_open(&f, path, error))
        return false;
    plan_init(&plan);
    bool ok = plan_file(&f, LOADER_PROBE_LIMIT, &plan, error);
    *info = plan.image;
    g_array_unref(plan.pieces);
    loader_file_close(&f);
    return ok;
}

// --- Carrying it out ---

static bool is_memory(const struct mem_region *r)
{
    return r && r->kind != MEM_IO;
}

// How much of [addr, addr + len) is memory, from its start.
static uint64_t memory_at(struct mem *mem, paddr_t addr, uint64_t len)
{
    uint64_t have = 0;

    while (have < len) {
        const struct mem_region *r = mem_find(mem, addr + have);
        if (!is_memory(r))
            break;
        have += r->size - (addr + have - r->base);
    }
    return MIN(have, len);
}

static void store(struct mem *mem, paddr_t addr, const uint8_t *data, uint64_t len)
{
    enum mem_status status = mem_load(mem, addr, data, len);
    assert(status == MEM_OK); // the range was checked
    (void)status;
}

static bool check_range(struct mem *mem, const char *path, paddr_t addr, uint64_t len,
                        GError **error)
{
    uint64_t have = addr + len >= addr ? memory_at(mem, addr, len) : 0;

    if (have == len)
        return true;
    if (!have)
        return loader_fail(error, path,
                           "has to be loaded at 0x%" PRIx64 ", where this machine has no memory",
                           addr);
    return loader_fail(error, path,
                       "needs memory from 0x%" PRIx64 " to 0x%" PRIx64
                       ", but that ends at 0x%" PRIx64 "; give more with -m",
                       addr, addr + len, addr + have);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return !p[0] && memcmp(p, p + 1, len - 1) == 0;
}

// Writes no zeros where there are some: fresh memory stays unallocated.
static void clear(struct mem *mem, paddr_t addr, uint64_t len)
{
    static const uint8_t zeros[4096];

    while (len) {
        size_t n = MIN(len, sizeof(zeros) - addr % sizeof(zeros));
        const uint8_t *p = mem_ptr(mem, addr, n, false);
        if (!p || !is_zero(p, n))
            store(mem, addr, zeros, n);
        addr += n;
        len -= n;
    }
}

// Takes headers off that would lie in front of memory.
static void trim_header(struct mem *mem, struct loader_piece *p)
{
    if (!p->header_len || memory_at(mem, p->addr, p->header_len) == p->header_len)
        return;
    p->addr += p->header_len;
    p->offset += p->header_len;
    p->file_len -= p->header_len;
    p->mem_len -= p->header_len;
    p->header_len = 0;
}

// Bytes of all memory.
static uint64_t memory_size(struct mem *mem)
{
    const struct mem_region *r;
    uint64_t size = 0;

    for (unsigned i = 0; (r = mem_region_at(mem, i)); i++)
        size += is_memory(r) ? r->size : 0;
    return size;
}

// Each piece is in memory; all of them must be, side by side. Else a small file could ask for any amount of work.
static bool check_total(struct mem *mem, const struct loader_file *f,
                        const struct loader_plan *plan, GError **error)
{
    uint64_t left = memory_size(mem);

    for (unsigned i = 0; i < plan->pieces->len; i++) {
        uint64_t len = g_array_index(plan->pieces, struct loader_piece, i).mem_len;
        if (len > left)
            return loader_fail(error, f->path, "its segments lie on top of each other");
        left -= len;
    }
    return true;
}

static bool carry_out(struct mem *mem, const struct loader_file *f, const struct loader_plan *plan,
                      GError **error)
{
    for (unsigned i = 0; i < plan->pieces->len; i++) {
        struct loader_piece *p = &g_array_index(plan->pieces, struct loader_piece, i);
        trim_header(mem, p);
        if (!check_range(mem, f->path, p->addr, p->mem_len, error))
            return false;
    }
    if (!check_total(mem, f, plan, error))
        return false;
    for (unsigned i = 0; i < plan->pieces->len; i++) {
        const struct loader_piece *p = &g_array_index(plan->pieces, struct loader_piece, i);
        store(mem, p->addr, f->data + p->offset, p->file_len);
        clear(mem, p->addr + p->file_len, p->mem_len - p->file_len);
    }
    return true;
}

bool loader_check_machine(const char *path, const struct loader_image *image, uint16_t machine,
                          GError **error)
{
    if (image->format != LOADER_ELF || image->machine == machine)
        return true;
    g_autofree char *found = loader_elf_machine_text(image->machine);
    g_autofree char *expected = loader_elf_machine_text(machine);
    return loader_fail(error, path, "an ELF file for %s, expected %s", found, expected);
}

static bool check_cpu(const struct loader_target *t, const char *path,
                      const struct loader_image *image, GError **error)
{
    if (!loader_check_machine(path, image, t->machine, error))
        return false;
    if (image->format == LOADER_ELF && image->bits != t->bits)
        return loader_fail(error, path, "a %u-bit ELF file, but the machine's CPUs have %u bits",
                           image->bits, t->bits);
    return true;
}

// Moves an Image or raw bytes to where they belong.
static bool place_plain(const struct loader_target *t, const struct loader_file *f, paddr_t addr,
                        struct loader_plan *plan, GError **error)
{
    struct loader_image *image = &plan->image;
    uint64_t len = f->len;

    if (image->format == LOADER_IMAGE) {
        addr = MAX(addr, t->ram_base + image->start);
        len = image_extent(f);
        if (!check_range(t->mem, f->path, addr, len, error))
            return false;
    }
    g_array_index(plan->pieces, struct loader_piece, 0).addr = addr;
    image->start = image->entry = addr;
    image->end = addr + len;
    return true;
}

static bool load_open_file(const struct loader_target *t, struct loader_file *f, paddr_t addr,
                           struct loader_image *image, GError **error)
{
    struct loader_plan plan;

    assert(t->bits == 32 || t->bits == 64);
    plan_init(&plan);
    bool ok = plan_file(f, t->ram_size, &plan, error) &&
              (says_where(&plan) || place_plain(t, f, addr, &plan, error)) &&
              check_cpu(t, f->path, &plan.image, error) && carry_out(t->mem, f, &plan, error);
    *image = plan.image;
    g_array_unref(plan.pieces);
    return ok;
}

bool loader_load(const struct loader_target *t, const char *path, paddr_t addr,
                 struct loader_image *image, GError **error)
{
    struct loader_file f;

    if (!loader_file_open(&f, path, error))
        return false;
    bool ok = load_open_file(t, &f, addr, image, error);
    loader_file_close(&f);
    return ok;
}

// Stores the open file from `offset` on.
static bool store_raw(struct mem *mem, const struct loader_file *f, size_t offset, paddr_t addr,
                      struct loader_image *image, GError **error)
{
    uint64_t len = f->len - offset;

    if (!check_range(mem, f->path, addr, len, error))
        return false;
    store(mem, addr, f->data + offset, len);
    *image = (struct loader_image){.start = addr, .end = addr + len, .entry = addr};
    return true;
}

bool loader_load_raw(struct mem *mem, const char *path, paddr_t addr, struct loader_image *image,
                     GError **error)
{
    struct loader_file f;

    if (!loader_file_open(&f, path, error))
        return false;
    bool ok = store_raw(mem, &f, 0, addr, image, error);
    loader_file_close(&f);
    return ok;
}

// --- Initial RAM disks ---

// Size of what goes before the RAM disk in the file: the header that U-Boot's tools put there.
static bool initrd_header(const struct loader_file *f, size_t *size, GError **error)
{
    *size = 0;
    if (!is_uimage(f))
        return true;
    if (!uimage_check(f, error))
        return false;
    if (f->data[UIMAGE_TYPE] != UIMAGE_RAMDISK)
        return loader_fail(error, f->path, "a uImage of type %u, expected a RAM disk (%u)",
                           f->data[UIMAGE_TYPE], UIMAGE_RAMDISK);
    *size = UIMAGE_SIZE;
    return true;
}

bool loader_load_initrd(const struct loader_target *t, const char *path,
                        const struct loader_image *kernel, struct loader_image *image,
                        GError **error)
{
    struct loader_file f;
    size_t header;
    paddr_t addr;

    if (!loader_file_open(&f, path, error))
        return false;
    bool ok = initrd_header(&f, &header, error) &&
              loader_place_initrd(t, path, f.len - header, kernel, &addr, error) &&
              store_raw(t->mem, &f, header, addr, image, error);
    loader_file_close(&f);
    return ok;
}

// --- -device loader ---

static bool apply_data(struct mem *mem, const struct machine_loader_opt *opt, GError **error)
{
    uint8_t bytes[8];

    if (!opt->data_len || opt->data_len > sizeof(bytes))
        return loader_fail(error, "-device loader", "data-len=%u, expected 1 to 8", opt->data_len);
    if (!opt->has_addr)
        return loader_fail(error, "-device loader", "data= needs addr=");
    if (opt->data_be)
        store_be(bytes, opt->data_len, opt->data);
    else
        store_le(bytes, opt->data_len, opt->data);
    if (!check_range(mem, "-device loader", opt->addr, opt->data_len, error))
        return false;
    store(mem, opt->addr, bytes, opt->data_len);
    return true;
}

// Unlike a kernel, a file that is loaded this way is not unpacked: somebody wants these bytes there.
static bool apply_file(const struct loader_target *t, const struct machine_loader_opt *opt,
                       paddr_t *pc, GError **error)
{
    struct loader_file f;
    struct loader_image image;
    bool ok;

    if (!loader_file_open(&f, opt->file, error))
        return false;
    if (!opt->force_raw && (loader_is_elf(&f) || is_uimage(&f)))
        ok = load_open_file(t, &f, opt->addr, &image, error);
    else
        ok = store_raw(t->mem, &f, 0, opt->addr, &image, error);
    loader_file_close(&f);
    *pc = image.entry;
    return ok;
}

bool loader_apply(const struct loader_target *t, const struct machine_loader_opt *opt, bool *has_pc,
                  paddr_t *pc, GError **error)
{
    *pc = opt->addr;
    *has_pc = opt->cpu_num >= 0;
    if (opt->file)
        return apply_file(t, opt, pc, error);
    if (opt->data_len)
        return apply_data(t->mem, opt, error);
    if (!*has_pc || !opt->has_addr)
        return loader_fail(error, "-device loader",
                           "needs file=, or data= and data-len=, or addr= and "
                           "cpu-num=");
    return true;
}
