// SPDX-License-Identifier: MIT
// ELF files, 32 and 64 bit, little-endian: segments to load, the entry, symbols. System V ABI, gABI 4.1.
//
// Nothing that a file says is trusted: every table and segment is checked to lie in the file before it is read.
#include <elf.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "machine/loader_file.h"

// Where the two classes keep the same fields. `p` fields are of program headers, `s` of section headers.
struct elf_class {
    unsigned bits, word; // word: size of addresses and offsets
    size_t ehdr_size, phdr_size, shdr_size, sym_size;
    size_t entry, phoff, shoff, phentsize, phnum, shentsize, shnum;
    size_t p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
    size_t s_type, s_flags, s_link, s_offset, s_size;
    size_t sym_name, sym_shndx, sym_value;
};

#define ELF_CLASS(N)                                                                              \
    {                                                                                             \
        .bits = N, .word = N / 8, .ehdr_size = sizeof(Elf##N##_Ehdr),                             \
        .phdr_size = sizeof(Elf##N##_Phdr), .shdr_size = sizeof(Elf##N##_Shdr),                   \
        .sym_size = sizeof(Elf##N##_Sym), .entry = offsetof(Elf##N##_Ehdr, e_entry),              \
        .phoff = offsetof(Elf##N##_Ehdr, e_phoff), .shoff = offsetof(Elf##N##_Ehdr, e_shoff),     \
        .phentsize = offsetof(Elf##N##_Ehdr, e_phentsize),                                        \
        .phnum = offsetof(Elf##N##_Ehdr, e_phnum),                                                \
        .shentsize = offsetof(Elf##N##_Ehdr, e_shentsize),                                        \
        .shnum = offsetof(Elf##N##_Ehdr, e_shnum), .p_offset = offsetof(Elf##N##_Phdr, p_offset), \
        .p_vaddr = offsetof(Elf##N##_Phdr, p_vaddr), .p_paddr = offsetof(Elf##N##_Phdr, p_paddr), \
        .p_filesz = offsetof(Elf##N##_Phdr, p_filesz),                                            \
        .p_memsz = offsetof(Elf##N##_Phdr, p_memsz), .s_type = offsetof(Elf##N##_Shdr, sh_type),  \
        .s_flags = offsetof(Elf##N##_Shdr, sh_flags), .s_link = offsetof(Elf##N##_Shdr, sh_link), \
        .s_offset = offsetof(Elf##N##_Shdr, sh_offset),                                           \
        .s_size = offsetof(Elf##N##_Shdr, sh_size), .sym_name = offsetof(Elf##N##_Sym, st_name),  \
        .sym_shndx = offsetof(Elf##N##_Sym, st_shndx),                                            \
        .sym_value = offsetof(Elf##N##_Sym, st_value),                                            \
    }

static const struct elf_class elf32 = ELF_CLASS(32), elf64 = ELF_CLASS(64);

// An ELF file whose header was found to be in order.
struct elf {
    const struct loader_file *f;
    const struct elf_class *c;
};

static const struct {
    uint16_t machine;
    const char *name;
} elf_machines[] = {
    {EM_RISCV, "RISC-V"},
    {EM_X86_64, "x86-64"},
    {EM_386, "x86"},
    {EM_AARCH64, "AArch64"},
    {EM_ARM, "Arm"},
    {EM_PPC, "PowerPC"},
    {EM_PPC64, "64-bit PowerPC"},
    {EM_MIPS, "MIPS"},
    {EM_SPARC, "SPARC"},
    {EM_SPARCV9, "64-bit SPARC"},
    {EM_S390, "s390"},
    {EM_68K, "68000"},
    {EM_SH, "SuperH"},
    {EM_XTENSA, "Xtensa"},
    {EM_AVR, "AVR"},
    {EM_MICROBLAZE, "MicroBlaze"},
    {258, "LoongArch"},
};

char *loader_elf_machine_text(uint16_t machine)
{
    for (size_t i = 0; i < ARRAY_LEN(elf_machines); i++) {
        if (elf_machines[i].machine == machine)
            return g_strdup(elf_machines[i].name);
    }
    return g_strdup_printf("machine number %u", machine);
}

static uint64_t elf_word(const struct elf *e, size_t at)
{
    return load_le(e->f->data + at, e->c->word);
}

static unsigned elf_half(const struct elf *e, size_t at)
{
    return load_le(e->f->data + at, 2);
}

bool loader_is_elf(const struct loader_file *f)
{
    return f->len >= SELFMAG && memcmp(f->data, ELFMAG, SELFMAG) == 0;
}

// Checks that a table of the file is all there.
static bool elf_check_table(const struct elf *e, const char *what, uint64_t offset, unsigned count,
                            unsigned entry_size, size_t want_size, GError **error)
{
    if (!count)
        return true;
    if (entry_size < want_size || !loader_in_file(e->f, offset, (uint64_t)count * entry_size))
        return loader_fail(error, e->f->path,
                           "a damaged or cut-off ELF file (its %s are not inside it)", what);
    return true;
}

static bool elf_open(struct elf *e, const struct loader_file *f, GError **error)
{
    if (f->len < EI_NIDENT)
        return loader_fail(error, f->path, "a cut-off ELF file");
    const struct elf_class *c = f->data[EI_CLASS] == ELFCLASS64 ? &elf64 : &elf32;

    *e = (struct elf){.f = f, .c = c};
    if (f->data[EI_CLASS] != ELFCLASS64 && f->data[EI_CLASS] != ELFCLASS32)
        return loader_fail(error, f->path, "an ELF file of unknown class %u", f->data[EI_CLASS]);
    if (f->data[EI_DATA] != ELFDATA2LSB)
        return loader_fail(error, f->path, "a big-endian ELF file, expected a little-endian one");
    if (f->len < c->ehdr_size)
        return loader_fail(error, f->path, "a cut-off ELF file");
    unsigned type = elf_half(e, offsetof(Elf64_Ehdr, e_type));
    if (type != ET_EXEC && type != ET_DYN)
        return loader_fail(error, f->path, "%s, expected an executable",
                           type == ET_REL ? "an ELF object file that was not linked yet"
                                          : "an ELF file that is no program");
    return elf_check_table(e, "program headers", elf_word(e, c->phoff), elf_half(e, c->phnum),
                           elf_half(e, c->phentsize), c->phdr_size, error);
}

// Offset in the file of program header i.
static size_t elf_phdr(const struct elf *e, unsigned i)
{
    return elf_word(e, e->c->phoff) + (size_t)i * elf_half(e, e->c->phentsize);
}

// Number of section headers that can be read: 0 if they are damaged or were stripped off, which is no error.
static unsigned elf_sections(const struct elf *e)
{
    const struct elf_class *c = e->c;
    unsigned count = elf_half(e, c->shnum);

    return elf_check_table(e, "section headers", elf_word(e, c->shoff), count,
                           elf_half(e, c->shentsize), c->shdr_size, NULL)
               ? count
               : 0;
}

// Offset in the file of section header i.
static size_t elf_shdr(const struct elf *e, unsigned i)
{
    return elf_word(e, e->c->shoff) + (size_t)i * elf_half(e, e->c->shentsize);
}

// Linkers may put the file's headers, and padding, in front of the program into its first segment. Where in the file
// they end, as the sections say.
static uint64_t elf_header_end(const struct elf *e)
{
    unsigned count = elf_sections(e);
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < count; i++) {
        size_t sh = elf_shdr(e, i);
        uint64_t offset = elf_word(e, sh + e->c->s_offset);
        if (elf_word(e, sh + e->c->s_flags) & SHF_ALLOC && elf_word(e, sh + e->c->s_size) &&
            load_le(e->f->data + sh + e->c->s_type, 4) != SHT_NOBITS)
            first = MIN(first, offset);
    }
    return first;
}

static bool elf_plan_segment(const struct elf *e, size_t ph, uint64_t header_end,
                             struct loader_plan *plan, GError **error)
{
    const struct elf_class *c = e->c;
    struct loader_piece piece = {
        .addr = elf_word(e, ph + c->p_paddr),
        .offset = elf_word(e, ph + c->p_offset),
        .file_len = elf_word(e, ph + c->p_filesz),
        .mem_len = elf_word(e, ph + c->p_memsz),
    };
    uint64_t vaddr = elf_word(e, ph + c->p_vaddr);

    if (load_le(e->f->data + ph, 4) != PT_LOAD || !piece.mem_len)
        return true;
    if (piece.file_len > piece.mem_len || piece.addr + piece.mem_len < piece.addr ||
        !loader_in_file(e->f, piece.offset, piece.file_len))
        return loader_fail(error, e->f->path,
                           "a damaged or cut-off ELF file (the segment for 0x%" PRIx64
                           " is not inside it)",
                           piece.addr);
    // The entry is a virtual address: a kernel that is linked high runs where its segment is loaded.
    uint64_t entry = elf_word(e, c->entry);
    if (entry - vaddr < piece.mem_len)
        plan->image.entry = entry - vaddr + piece.addr;
    if (!piece.offset && header_end < piece.file_len)
        piece.header_len = header_end;
    g_array_append_val(plan->pieces, piece);
    return true;
}

// The symbol's value, found by name in one symbol table.
static bool elf_find_in(const struct elf *e, size_t sh, size_t strings_sh, const char *name,
                        paddr_t *value)
{
    const struct elf_class *c = e->c;
    uint64_t offset = elf_word(e, sh + c->s_offset), size = elf_word(e, sh + c->s_size);
    uint64_t str = elf_word(e, strings_sh + c->s_offset);
    uint64_t str_size = elf_word(e, strings_sh + c->s_size);
    size_t name_size = strlen(name) + 1;

    if (!loader_in_file(e->f, offset, size) || !loader_in_file(e->f, str, str_size))
        return false;
    for (uint64_t at = 0; size - at >= c->sym_size; at += c->sym_size) {
        const uint8_t *sym = e->f->data + offset + at;
        uint64_t name_at = load_le(sym + c->sym_name, 4);
        if (name_at >= str_size || str_size - name_at < name_size ||
            memcmp(e->f->data + str + name_at, name, name_size) != 0)
            continue;
        if (load_le(sym + c->sym_shndx, 2) == SHN_UNDEF)
            continue;
        *value = load_le(sym + c->sym_value, c->word);
        return true;
    }
    return false;
}

// A file has one symbol table at most; what follows it is not looked at.
static bool elf_find_symbol(const struct elf *e, const char *name, paddr_t *value)
{
    unsigned count = elf_sections(e);

    for (unsigned i = 0; i < count; i++) {
        size_t sh = elf_shdr(e, i);
        unsigned link = load_le(e->f->data + sh + e->c->s_link, 4);
        if (load_le(e->f->data + sh + e->c->s_type, 4) == SHT_SYMTAB)
            return link < count && elf_find_in(e, sh, elf_shdr(e, link), name, value);
    }
    return false;
}

bool loader_plan_elf(const struct loader_file *f, struct loader_plan *plan, GError **error)
{
    struct elf e;

    if (!elf_open(&e, f, error))
        return false;
    plan->image.format = LOADER_ELF;
    plan->image.bits = e.c->bits;
    plan->image.machine = elf_half(&e, offsetof(Elf64_Ehdr, e_machine));
    plan->image.entry = elf_word(&e, e.c->entry);
    uint64_t header_end = elf_header_end(&e);
    for (unsigned i = 0; i < elf_half(&e, e.c->phnum); i++) {
        if (!elf_plan_segment(&e, elf_phdr(&e, i), header_end, plan, error))
            return false;
    }
    if (!plan->pieces->len)
        return loader_fail(error, f->path, "an ELF file with nothing to load");
    plan->image.has_tohost = elf_find_symbol(&e, "tohost", &plan->image.tohost);
    elf_find_symbol(&e, "fromhost", &plan->image.fromhost);
    return true;
}

unsigned loader_elf_bits(const char *path)
{
    uint8_t ident[EI_NIDENT];
    gzFile gz = gzopen(path, "rb"); // which reads plain files, too
    if (!gz)
        return 0;
    bool elf =
        gzread(gz, ident, sizeof(ident)) == sizeof(ident) && memcmp(ident, ELFMAG, SELFMAG) == 0;
    gzclose(gz);
    if (!elf)
        return 0;
    return ident[EI_CLASS] == ELFCLASS32 ? 32 : ident[EI_CLASS] == ELFCLASS64 ? 64 : 0;
}

bool loader_elf_symbol(const char *path, const char *name, paddr_t *value, GError **error)
{
    struct loader_file f;
    struct elf e;
    bool found = false;

    if (!loader_file_open(&f, path, error))
        return false;
    if (loader_file_is_gzip(&f) && !loader_file_unpack(&f, 0, f.len, LOADER_PROBE_LIMIT, error))
        return false;
    if (!loader_is_elf(&f))
        loader_fail(error, path, "not an ELF file, so it has no symbols");
    else if (elf_open(&e, &f, error))
        found = elf_find_symbol(&e, name, value);
    loader_file_close(&f);
    return found;
}
