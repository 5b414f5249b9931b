// SPDX-License-Identifier: MIT
// Image loaders: what is recognised, where it goes, and what each refusal says.
#include <criterion/criterion.h>
#include <elf.h>
#include <glib/gstdio.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bits.h"
#include "machine/loader.h"
#include "machine/machine.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE (UINT64_C(64) << 20)
#define MIB      (UINT64_C(1) << 20)

struct fixture {
    char *dir, *path;
    struct loader_target t;
    struct loader_image image;
    GError *error;
};

static void setup(struct fixture *fx)
{
    *fx = (struct fixture){.t = {.mem = mem_new(),
                                 .bits = 64,
                                 .machine = EM_RISCV,
                                 .ram_base = RAM_BASE,
                                 .ram_size = RAM_SIZE}};
    fx->dir = g_dir_make_tmp("ferry-loader-XXXXXX", NULL);
    cr_assert(fx->dir);
    fx->path = g_build_filename(fx->dir, "file", NULL);
    cr_assert(mem_add_ram(fx->t.mem, "ram", RAM_BASE, RAM_SIZE, NULL));
    cr_assert(mem_add_rom(fx->t.mem, "rom", 0x1000, 0x1000, NULL));
}

static void teardown(struct fixture *fx)
{
    g_clear_error(&fx->error);
    unlink(fx->path);
    rmdir(fx->dir);
    g_free(fx->path);
    g_free(fx->dir);
    mem_free(fx->t.mem);
}

#define LOADER_TEST(name)                 \
    static void name(struct fixture *fx); \
    Test(loader, name)                    \
    {                                     \
        struct fixture fx_;               \
        setup(&fx_);                      \
        name(&fx_);                       \
        teardown(&fx_);                   \
    }                                     \
    static void name(__attribute__((unused)) struct fixture *fx)

static void put_file(struct fixture *fx, const void *data, size_t len)
{
    FILE *f = fopen(fx->path, "w");
    cr_assert(f);
    cr_assert_eq(fwrite(data, 1, len, f), len);
    cr_assert_eq(fclose(f), 0);
}

static void put_bytes(struct fixture *fx, GByteArray *bytes)
{
    put_file(fx, bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

static bool load(struct fixture *fx, paddr_t addr)
{
    g_clear_error(&fx->error);
    return loader_load(&fx->t, fx->path, addr, &fx->image, &fx->error);
}

// The refusal is one line that starts with the file and holds `text`.
static void cr_error(struct fixture *fx, const char *text)
{
    cr_assert(fx->error, "no error, expected '%s'", text);
    cr_assert(g_str_has_prefix(fx->error->message, fx->path), "'%s' does not name the file",
              fx->error->message);
    cr_assert(strstr(fx->error->message, text), "'%s' lacks '%s'", fx->error->message, text);
    cr_assert(!strchr(fx->error->message, '\n'));
}

static void refused(struct fixture *fx, const char *text)
{
    cr_assert(!load(fx, RAM_BASE));
    cr_error(fx, text);
}

static uint64_t word(struct fixture *fx, paddr_t addr)
{
    uint64_t value = 0;
    cr_assert(mem_read(fx->t.mem, addr, 4, &value) == MEM_OK);
    return value;
}

static GByteArray *gzip(GByteArray *in)
{
    GByteArray *out = g_byte_array_new();
    z_stream z = {.next_in = in->data, .avail_in = in->len};
    cr_assert(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    g_byte_array_set_size(out, (guint)deflateBound(&z, in->len));
    z.next_out = out->data;
    z.avail_out = out->len;
    cr_assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
    g_byte_array_set_size(out, (guint)z.total_out);
    deflateEnd(&z);
    g_byte_array_unref(in);
    return out;
}

static GByteArray *bytes_of(size_t len, uint8_t fill)
{
    GByteArray *out = g_byte_array_new();
    g_byte_array_set_size(out, (guint)len);
    memset(out->data, fill, len);
    return out;
}

// --- ELF ---

// A program of one segment: 16 bytes of 0x11 at `paddr`, then zeros up to 0x2000; linked at `vaddr`, entered 4
// bytes into it; symbols tohost = paddr + 0x1000 and an undefined fromhost.
static GByteArray *elf64(paddr_t paddr, vaddr_t vaddr)
{
    static const char strings[] = "\0tohost\0fromhost";
    struct {
        Elf64_Ehdr eh;
        Elf64_Phdr ph[2];
        Elf64_Shdr sh[3];
        Elf64_Sym sym[3];
        char strings[sizeof(strings)];
        uint8_t text[16];
    } f;

    memset(&f, 0, sizeof(f));
    f.eh = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_RISCV,
        .e_version = EV_CURRENT,
        .e_entry = vaddr + 4,
        .e_phoff = offsetof(typeof(f), ph),
        .e_shoff = offsetof(typeof(f), sh),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 3,
    };
    f.ph[0] = (Elf64_Phdr){.p_type = PT_NOTE, .p_filesz = 1, .p_memsz = 1};
    f.ph[1] = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_offset = offsetof(typeof(f), text),
        .p_vaddr = vaddr,
        .p_paddr = paddr,
        .p_filesz = sizeof(f.text),
        .p_memsz = 0x2000,
    };
    f.sh[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                           .sh_offset = offsetof(typeof(f), sym),
                           .sh_size = sizeof(f.sym),
                           .sh_link = 2};
    f.sh[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
                           .sh_offset = offsetof(typeof(f), strings),
                           .sh_size = sizeof(strings)};
    f.sym[1] = (Elf64_Sym){.st_name = 1, .st_shndx = 1, .st_value = paddr + 0x1000};
    f.sym[2] = (Elf64_Sym){.st_name = 8, .st_shndx = SHN_UNDEF, .st_value = 1};
    memcpy(f.strings, strings, sizeof(strings));
    memset(f.text, 0x11, sizeof(f.text));
    return g_byte_array_append(g_byte_array_new(), (const guint8 *)&f, sizeof(f));
}

static GByteArray *elf32(paddr_t paddr)
{
    struct {
        Elf32_Ehdr eh;
        Elf32_Phdr ph;
        uint8_t text[16];
    } f;

    memset(&f, 0, sizeof(f));
    f.eh = (Elf32_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = EM_RISCV,
        .e_entry = (Elf32_Addr)paddr,
        .e_phoff = offsetof(typeof(f), ph),
        .e_phentsize = sizeof(Elf32_Phdr),
        .e_phnum = 1,
    };
    f.ph = (Elf32_Phdr){.p_type = PT_LOAD,
                        .p_offset = offsetof(typeof(f), text),
                        .p_vaddr = (Elf32_Addr)paddr,
                        .p_paddr = (Elf32_Addr)paddr,
                        .p_filesz = 16,
                        .p_memsz = 16};
    memset(f.text, 0x22, sizeof(f.text));
    return g_byte_array_append(g_byte_array_new(), (const guint8 *)&f, sizeof(f));
}

static Elf64_Ehdr *ehdr(GByteArray *elf)
{
    return (Elf64_Ehdr *)(void *)elf->data;
}

static Elf64_Phdr *phdr(GByteArray *elf)
{
    return (Elf64_Phdr *)(void *)(elf->data + sizeof(Elf64_Ehdr)) + 1;
}

LOADER_TEST(elf_goes_to_physical_addresses)
{
    put_bytes(fx, elf64(RAM_BASE + 0x100000, 0xffffffff80000000));
    mem_write(fx->t.mem, RAM_BASE + 0x100010, 4, 0x55); // left over by what ran before a reset
    cr_assert(load(fx, 0));
    cr_assert_eq(fx->image.format, LOADER_ELF);
    cr_assert_eq(fx->image.start, RAM_BASE + 0x100000);
    cr_assert_eq(fx->image.end, RAM_BASE + 0x102000);
    cr_assert_eq(fx->image.entry, RAM_BASE + 0x100004);
    cr_assert(fx->image.has_tohost);
    cr_assert_eq(fx->image.tohost, RAM_BASE + 0x101000);
    cr_assert_eq(fx->image.fromhost, 0);
    cr_assert_eq(word(fx, RAM_BASE + 0x10000c), 0x11111111);
    cr_assert_eq(word(fx, RAM_BASE + 0x100010), 0);
}

LOADER_TEST(elf_goes_to_rom_too)
{
    GByteArray *elf = elf64(0x1000, 0x1000);
    phdr(elf)->p_memsz = 16;
    put_bytes(fx, elf);
    cr_assert(load(fx, 0));
    cr_assert_eq(word(fx, 0x1000), 0x11111111);
}

// With -Ttext=0x80000000, linkers put the file's headers into the page before.
LOADER_TEST(elf_headers_in_front_of_memory_are_left_out)
{
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    Elf64_Shdr *sh = (Elf64_Shdr *)(void *)(elf->data + ehdr(elf)->e_shoff);
    uint64_t text = phdr(elf)->p_offset;

    sh[0] = (Elf64_Shdr){
        .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_offset = text, .sh_size = 16};
    phdr(elf)->p_offset = 0;
    phdr(elf)->p_vaddr -= text;
    phdr(elf)->p_paddr -= text;
    phdr(elf)->p_filesz += text;
    put_file(fx, elf->data, elf->len);
    cr_assert(load(fx, 0));
    cr_assert_eq(fx->image.start, RAM_BASE);
    cr_assert_eq(fx->image.entry, RAM_BASE + 4);
    cr_assert_eq(word(fx, RAM_BASE), 0x11111111);
    phdr(elf)->p_paddr += 0x1000; // in memory they stay
    put_bytes(fx, elf);
    cr_assert(load(fx, 0));
    cr_assert_eq(word(fx, RAM_BASE + 0x1000), 0x11111111);
    cr_assert_eq(word(fx, RAM_BASE + 0x1000 - text), 0x464c457f);
}

LOADER_TEST(elf32_loads_on_32_bit_cpus_only)
{
    put_bytes(fx, elf32(RAM_BASE));
    refused(fx, "a 32-bit ELF file, but the machine's CPUs have 64 bits");
    fx->t.bits = 32;
    cr_assert(load(fx, 0));
    cr_assert_eq(fx->image.bits, 32);
    cr_assert(!fx->image.has_tohost);
    cr_assert_eq(word(fx, RAM_BASE), 0x22222222);
}

LOADER_TEST(elf_of_another_machine_is_named)
{
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    ehdr(elf)->e_machine = EM_X86_64;
    put_bytes(fx, elf);
    refused(fx, "an ELF file for x86-64, expected RISC-V");
}

LOADER_TEST(elf_kinds_that_do_not_run)
{
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    ehdr(elf)->e_type = ET_REL;
    put_bytes(fx, elf);
    refused(fx, "not linked yet, expected an executable");
    elf = elf64(RAM_BASE, RAM_BASE);
    elf->data[EI_DATA] = ELFDATA2MSB;
    put_bytes(fx, elf);
    refused(fx, "a big-endian ELF file");
    elf = elf64(RAM_BASE, RAM_BASE);
    phdr(elf)->p_type = PT_NULL;
    put_bytes(fx, elf);
    refused(fx, "nothing to load");
}

LOADER_TEST(elf_outside_of_memory_changes_nothing)
{
    put_bytes(fx, elf64(0x20400000, 0x20400000));
    refused(fx, "0x20400000, where this machine has no memory");
    put_bytes(fx, elf64(RAM_BASE + RAM_SIZE - 0x1000, RAM_BASE));
    refused(fx, "that ends at 0x84000000; give more with -m");
    cr_assert_eq(word(fx, RAM_BASE + RAM_SIZE - 0x1000), 0);
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    phdr(elf)->p_paddr = UINT64_MAX - 0xfff;
    put_bytes(fx, elf);
    refused(fx, "is not inside it");
}

// A file of a few MiB could ask for days of clearing memory otherwise.
LOADER_TEST(elf_segments_on_top_of_each_other)
{
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    phdr(elf)->p_memsz = RAM_SIZE;
    phdr(elf)[-1] = *phdr(elf);
    put_file(fx, elf->data, elf->len);
    refused(fx, "its segments lie on top of each other");
    cr_assert_eq(word(fx, RAM_BASE), 0);
    phdr(elf)[-1].p_memsz = phdr(elf)->p_filesz; // a little of it is nobody's business
    put_bytes(fx, elf);
    cr_assert(load(fx, 0));
}

// Files have one symbol table. Many of many symbols would take their time.
LOADER_TEST(elf_has_one_symbol_table)
{
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    Elf64_Shdr *sh = (Elf64_Shdr *)(void *)(elf->data + ehdr(elf)->e_shoff);
    sh[0] = sh[1];
    sh[0].sh_size = sizeof(Elf64_Sym); // without tohost
    put_bytes(fx, elf);
    cr_assert(load(fx, 0));
    cr_assert_not(fx->image.has_tohost);
}

// Whatever is cut off or overwritten: an answer, never an access outside of the file.
LOADER_TEST(damaged_elf_never_crashes)
{
    GByteArray *elf = elf64(RAM_BASE, RAM_BASE);
    guint text = (guint)phdr(elf)->p_offset;
    for (guint len = 1; len < text + 16; len++) {
        put_file(fx, elf->data, len);
        if (len < 4)
            load(fx, RAM_BASE);
        else
            refused(fx, "cut-off");
    }
    for (guint at = 0; at < elf->len; at++) {
        uint8_t old = elf->data[at];
        elf->data[at] = 0xff;
        put_file(fx, elf->data, elf->len);
        load(fx, RAM_BASE);
        elf->data[at] = old;
    }
    g_byte_array_unref(elf);
}

LOADER_TEST(symbols_by_name)
{
    paddr_t value = 0;
    put_bytes(fx, gzip(elf64(RAM_BASE, RAM_BASE)));
    cr_assert(loader_elf_symbol(fx->path, "tohost", &value, &fx->error));
    cr_assert_eq(value, RAM_BASE + 0x1000);
    cr_assert(!loader_elf_symbol(fx->path, "fromhost", &value, &fx->error));
    cr_assert(!loader_elf_symbol(fx->path, "tohos", &value, &fx->error));
    cr_assert(!fx->error);
    put_file(fx, "raw", 3);
    cr_assert(!loader_elf_symbol(fx->path, "tohost", &value, &fx->error));
    cr_error(fx, "not an ELF file");
}

LOADER_TEST(probe_loads_nothing)
{
    put_bytes(fx, gzip(elf64(0x20400000, 0x20400000)));
    cr_assert(loader_probe(fx->path, &fx->image, &fx->error));
    cr_assert_eq(fx->image.format, LOADER_ELF);
    cr_assert(fx->image.gzip && fx->image.has_tohost);
    cr_assert_eq(fx->image.bits, 64);
    cr_assert_eq(fx->image.start, 0x20400000);
    cr_assert_eq(fx->image.entry, 0x20400004);
}

// --- Raw, Image, gzip ---

LOADER_TEST(raw_goes_where_it_is_told)
{
    put_bytes(fx, bytes_of(0x1234, 0x33));
    cr_assert(load(fx, RAM_BASE + 0x2000));
    cr_assert_eq(fx->image.format, LOADER_RAW);
    cr_assert_eq(fx->image.entry, RAM_BASE + 0x2000);
    cr_assert_eq(fx->image.end, RAM_BASE + 0x3234);
    cr_assert_eq(word(fx, RAM_BASE + 0x3230), 0x33333333);
    cr_assert(!load(fx, RAM_BASE + RAM_SIZE - 4));
    cr_error(fx, "-m");
}

LOADER_TEST(gzip_is_unpacked)
{
    put_bytes(fx, gzip(bytes_of(3 * MIB + 5, 0x44)));
    cr_assert(load(fx, RAM_BASE));
    cr_assert(fx->image.gzip);
    cr_assert_eq(fx->image.end, RAM_BASE + 3 * MIB + 5);
    cr_assert_eq(word(fx, RAM_BASE + 3 * MIB), 0x44444444);
}

LOADER_TEST(gzip_bombs_and_cut_gzip)
{
    put_bytes(fx, gzip(bytes_of(RAM_SIZE + 1, 0)));
    refused(fx, "unpacks to more than 64 MiB");
    GByteArray *packed = gzip(bytes_of(1000, 0x44));
    put_file(fx, packed->data, packed->len - 9);
    refused(fx, "damaged or cut off");
    packed->data[12] ^= 0x55;
    put_bytes(fx, packed);
    refused(fx, "damaged or cut off");
}

static GByteArray *linux_image(uint64_t text_offset, uint64_t image_size, size_t len)
{
    GByteArray *image = bytes_of(len, 0x66);
    store_le(image->data + 8, 8, text_offset);
    store_le(image->data + 16, 8, image_size);
    memcpy(image->data + 48, "RISCV\0\0\0RSC\x05", 12);
    return image;
}

LOADER_TEST(image_header_counts)
{
    put_bytes(fx, gzip(linux_image(2 * MIB, 5 * MIB, MIB)));
    cr_assert(load(fx, RAM_BASE));
    cr_assert_eq(fx->image.format, LOADER_IMAGE);
    cr_assert_eq(fx->image.start, RAM_BASE + 2 * MIB);
    cr_assert_eq(fx->image.entry, RAM_BASE + 2 * MIB);
    cr_assert_eq(fx->image.end, RAM_BASE + 7 * MIB);
    cr_assert(load(fx, RAM_BASE + 4 * MIB));
    cr_assert_eq(fx->image.start, RAM_BASE + 4 * MIB);
    put_bytes(fx, linux_image(2 * MIB, 70 * MIB, MIB));
    refused(fx, "needs memory from 0x80200000 to 0x84800000");
    put_bytes(fx, linux_image(UINT64_MAX, UINT64_MAX, MIB));
    refused(fx, "no memory");
}

LOADER_TEST(compressed_efi_image_is_unpacked)
{
    GByteArray *payload = gzip(linux_image(0, 2 * MIB, MIB));
    GByteArray *efi = bytes_of(512, 0);
    memcpy(efi->data, "MZ\0\0zimg", 8);
    store_le(efi->data + 8, 4, 512);
    store_le(efi->data + 12, 4, payload->len);
    memcpy(efi->data + 24, "gzip", 5);
    g_byte_array_append(efi, payload->data, payload->len);
    g_byte_array_unref(payload);
    put_file(fx, efi->data, efi->len);
    cr_assert(load(fx, RAM_BASE));
    cr_assert_eq(fx->image.format, LOADER_IMAGE);
    memcpy(efi->data + 24, "zstd", 5);
    put_file(fx, efi->data, efi->len);
    refused(fx, "packed by zstd, expected gzip");
    memcpy(efi->data + 24, "\033[31m\nx", 7); // nothing that a terminal obeys
    put_bytes(fx, efi);
    refused(fx, "packed by ??31m?x, expected gzip");
}

LOADER_TEST(strangers_are_named)
{
    put_file(fx,
             "\xfd"
             "7zXZ\0....",
             10);
    refused(fx, "packed by xz");
    GByteArray *arm = bytes_of(64, 0);
    memcpy(arm->data + 56, "ARM\x64", 4);
    put_bytes(fx, arm);
    refused(fx, "a Linux Image for AArch64, expected RISC-V");
    put_file(fx, "", 0);
    refused(fx, "empty");
    unlink(fx->path);
    refused(fx, "No such file");
    g_mkdir(fx->path, 0700);
    refused(fx, "a directory");
    rmdir(fx->path);
}

// --- uImage ---

static GByteArray *uimage(GByteArray *payload, uint8_t arch, uint8_t type, uint8_t packer)
{
    GByteArray *u = bytes_of(64, 0);
    store_be(u->data, 4, 0x27051956);
    store_be(u->data + 12, 4, payload->len);
    store_be(u->data + 16, 4, RAM_BASE + 0x400000);
    store_be(u->data + 20, 4, RAM_BASE + 0x400010);
    store_be(u->data + 24, 4, crc32(0, payload->data, payload->len));
    u->data[29] = arch;
    u->data[30] = type;
    u->data[31] = packer;
    store_be(u->data + 4, 4, crc32(0, u->data, 64));
    g_byte_array_append(u, payload->data, payload->len);
    g_byte_array_unref(payload);
    return u;
}

LOADER_TEST(uimage_plain_and_packed)
{
    put_bytes(fx, uimage(bytes_of(100, 0x77), 26, 2, 0));
    cr_assert(load(fx, 0));
    cr_assert_eq(fx->image.format, LOADER_UIMAGE);
    cr_assert_eq(fx->image.start, RAM_BASE + 0x400000);
    cr_assert_eq(fx->image.end, RAM_BASE + 0x400064);
    cr_assert_eq(fx->image.entry, RAM_BASE + 0x400010);
    put_bytes(fx, uimage(gzip(bytes_of(5000, 0x78)), 26, 2, 1));
    cr_assert(load(fx, 0));
    cr_assert_eq(fx->image.end, RAM_BASE + 0x400000 + 5000);
    cr_assert_eq(word(fx, RAM_BASE + 0x400000 + 4996), 0x78787878);
}

LOADER_TEST(uimage_is_checked)
{
    put_bytes(fx, uimage(bytes_of(100, 0x77), 2, 2, 0));
    refused(fx, "architecture number 2, expected RISC-V");
    put_bytes(fx, uimage(bytes_of(100, 0x77), 26, 2, 3));
    refused(fx, "packed by lzma, expected gzip or nothing");
    GByteArray *u = uimage(bytes_of(100, 0x77), 26, 2, 0);
    put_file(fx, u->data, u->len - 1);
    refused(fx, "99 bytes of data, expected 100");
    u->data[70] ^= 1;
    put_file(fx, u->data, u->len);
    refused(fx, "data is damaged");
    u->data[20] ^= 1;
    put_bytes(fx, u);
    refused(fx, "header is damaged");
}

// --- Placement ---

LOADER_TEST(initrd_at_half_of_ram_or_128_mib)
{
    struct loader_image kernel = {.start = RAM_BASE + 2 * MIB, .end = RAM_BASE + 10 * MIB};
    struct loader_target big = {.ram_base = RAM_BASE, .ram_size = 1024 * MIB};
    paddr_t addr;

    cr_assert(loader_place_initrd(&fx->t, "i", MIB, &kernel, &addr, NULL));
    cr_assert_eq(addr, RAM_BASE + 34 * MIB);
    cr_assert(loader_place_initrd(&big, "i", MIB, &kernel, &addr, NULL));
    cr_assert_eq(addr, RAM_BASE + 130 * MIB);
    kernel.end = RAM_BASE + 200 * MIB + 1; // a kernel that reaches beyond
    cr_assert(loader_place_initrd(&big, "i", MIB, &kernel, &addr, NULL));
    cr_assert_eq(addr, RAM_BASE + 200 * MIB + 4096);
}

LOADER_TEST(initrd_moves_down_where_it_would_not_fit)
{
    struct loader_image kernel = {.start = RAM_BASE + 2 * MIB, .end = RAM_BASE + 10 * MIB};
    paddr_t addr;

    cr_assert(loader_place_initrd(&fx->t, "i", 50 * MIB, &kernel, &addr, NULL));
    cr_assert_eq(addr, RAM_BASE + 12 * MIB); // below the device tree's 2 MiB
    cr_assert(!loader_place_initrd(&fx->t, fx->path, 53 * MIB, &kernel, &addr, &fx->error));
    cr_error(fx, "53 MiB do not fit");
}

LOADER_TEST(initrd_is_not_unpacked)
{
    struct loader_image kernel = {.start = RAM_BASE, .end = RAM_BASE + MIB};
    put_bytes(fx, gzip(bytes_of(100000, 0x12)));
    cr_assert(loader_load_initrd(&fx->t, fx->path, &kernel, &fx->image, &fx->error));
    cr_assert_eq(fx->image.start, RAM_BASE + 32 * MIB);
    cr_assert_eq(word(fx, fx->image.start) & 0xffff, 0x8b1f);
    put_bytes(fx, uimage(bytes_of(1000, 0x12), 26, 3, 1)); // U-Boot's header is taken off
    cr_assert(loader_load_initrd(&fx->t, fx->path, &kernel, &fx->image, &fx->error));
    cr_assert_eq(fx->image.end - fx->image.start, 1000);
    cr_assert_eq(word(fx, fx->image.start), 0x12121212);
    put_bytes(fx, uimage(bytes_of(1000, 0x12), 26, 2, 0));
    cr_assert(!loader_load_initrd(&fx->t, fx->path, &kernel, &fx->image, &fx->error));
    cr_error(fx, "expected a RAM disk");
}

LOADER_TEST(fdt_as_high_as_possible_below_3_gib)
{
    static const struct {
        uint64_t ram_mib, size, offset_mib;
    } cases[] = {{32, 5000, 30},
                 {64, 5000, 62},
                 {128, 2 * MIB, 126},
                 {1024, 5000, 1022},
                 {8192, 5000, 1022}};
    struct loader_target t = {.ram_base = RAM_BASE};
    paddr_t addr;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        t.ram_size = cases[i].ram_mib * MIB;
        cr_assert(loader_place_fdt(&t, cases[i].size, 0, &addr, NULL));
        cr_assert_eq(addr, RAM_BASE + cases[i].offset_mib * MIB);
    }
    t.ram_size = 64 * MIB; // something is in the way: the alignment gives
    cr_assert(loader_place_fdt(&t, 5000, RAM_BASE + 63 * MIB, &addr, NULL));
    cr_assert_eq(addr, RAM_BASE + 64 * MIB - 8192);
    cr_assert(!loader_place_fdt(&t, 5000, RAM_BASE + 64 * MIB, &addr, &fx->error));
    cr_assert(strstr(fx->error->message, "no room"));
}

LOADER_TEST(kernel_start_is_a_big_page)
{
    cr_assert_eq(loader_kernel_start(64, RAM_BASE + 0x40001), RAM_BASE + 2 * MIB);
    cr_assert_eq(loader_kernel_start(32, RAM_BASE + 0x40001), RAM_BASE + 4 * MIB);
    cr_assert_eq(loader_kernel_start(64, RAM_BASE), RAM_BASE);
}

LOADER_TEST(images_must_be_apart)
{
    struct loader_image a = {.start = 0x1000, .end = 0x2000}, b = {.start = 0x2000, .end = 0x3000};
    cr_assert(loader_check_apart("a", &a, "b", &b, NULL));
    b.start--;
    cr_assert(!loader_check_apart("a", &a, "b", &b, &fx->error));
    cr_assert(strstr(fx->error->message, "a: goes to 0x1000-0x2000, where b is"));
}

// --- Firmware and -device loader ---

LOADER_TEST(fw_dynamic_info_has_the_width_of_the_cpu)
{
    uint8_t buf[LOADER_FW_DYNAMIC_MAX];
    cr_assert_eq(loader_fw_dynamic_info(32, 0x80400000, 2, buf), 24);
    cr_assert_eq(load_le(buf, 4), 0x4942534f);
    cr_assert_eq(load_le(buf + 4, 4), 2);
    cr_assert_eq(load_le(buf + 8, 4), 0x80400000);
    cr_assert_eq(load_le(buf + 12, 4), 1);
    cr_assert_eq(load_le(buf + 20, 4), 2);
    cr_assert_eq(loader_fw_dynamic_info(64, 0x180400000, 0, buf), 48);
    cr_assert_eq(load_le(buf + 16, 8), 0x180400000);
}

LOADER_TEST(firmware_is_found_by_width)
{
    g_autofree char *found = NULL;
    g_autofree char *own =
        g_build_filename(fx->dir, "opensbi-riscv32-generic-fw_dynamic.bin", NULL);

    cr_assert(!loader_find_firmware("none", NULL, 64, &fx->error) && !fx->error);
    cr_assert(g_file_set_contents(own, "x", 1, NULL));
    found = loader_find_firmware("default", fx->dir, 32, &fx->error);
    cr_assert_str_eq(found, own);
    g_free(found);
    found = loader_find_firmware(NULL, fx->dir, 64, &fx->error);
    cr_assert(found ? strcmp(found, own) != 0 : strstr(fx->error->message, "riscv64") != NULL);
    g_clear_error(&fx->error);
    g_free(found);
    found = loader_find_firmware("opensbi-riscv32-generic-fw_dynamic.bin", fx->dir, 64, &fx->error);
    cr_assert_str_eq(found, own);
    cr_assert(!loader_find_firmware("no-such.bin", fx->dir, 64, &fx->error));
    cr_assert_str_eq(fx->error->message, "-bios no-such.bin: No such file or directory");
    unlink(own);
}

static bool apply(struct fixture *fx, struct machine_loader_opt opt, bool *has_pc, paddr_t *pc)
{
    g_clear_error(&fx->error);
    return loader_apply(&fx->t, &opt, has_pc, pc, &fx->error);
}

LOADER_TEST(device_loader_stores_data)
{
    bool has_pc;
    paddr_t pc;
    struct machine_loader_opt opt = {
        .has_addr = true, .addr = RAM_BASE + 1, .data = 0x11223344, .data_len = 4, .cpu_num = -1};

    cr_assert(apply(fx, opt, &has_pc, &pc));
    cr_assert(!has_pc);
    cr_assert_eq(word(fx, RAM_BASE + 1), 0x11223344);
    opt.data_be = true;
    cr_assert(apply(fx, opt, &has_pc, &pc));
    cr_assert_eq(word(fx, RAM_BASE + 1), 0x44332211);
    opt.data_len = 9;
    cr_assert(!apply(fx, opt, &has_pc, &pc));
    cr_assert(strstr(fx->error->message, "data-len=9, expected 1 to 8"));
    cr_assert(!apply(fx, (struct machine_loader_opt){.cpu_num = -1}, &has_pc, &pc));
    cr_assert(apply(fx, (struct machine_loader_opt){.cpu_num = 1, .has_addr = true, .addr = 0x42},
                    &has_pc, &pc));
    cr_assert(has_pc);
    cr_assert_eq(pc, 0x42);
}

LOADER_TEST(device_loader_loads_files)
{
    bool has_pc;
    paddr_t pc;
    struct machine_loader_opt opt = {
        .file = fx->path, .has_addr = true, .addr = RAM_BASE + 16, .cpu_num = 0};

    put_bytes(fx, elf64(RAM_BASE + 0x1000, RAM_BASE + 0x1000));
    cr_assert(apply(fx, opt, &has_pc, &pc));
    cr_assert(has_pc);
    cr_assert_eq(pc, RAM_BASE + 0x1004);
    opt.force_raw = true;
    cr_assert(apply(fx, opt, &has_pc, &pc));
    cr_assert_eq(pc, RAM_BASE + 16);
    cr_assert_eq(word(fx, RAM_BASE + 16), 0x464c457f);
    opt.force_raw = false;
    put_bytes(fx, gzip(bytes_of(100, 1))); // not unpacked
    cr_assert(apply(fx, opt, &has_pc, &pc));
    cr_assert_eq(word(fx, RAM_BASE + 16) & 0xffff, 0x8b1f);
}
