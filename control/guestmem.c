// SPDX-License-Identifier: MIT
// Reading guest memory, by pages where it is virtual, and files made of it. The core file's notes are those that
// Linux writes (struct elf_prstatus), so that gdb shows the registers.
#include "control/guestmem.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "cpu/riscv/riscv.h"
#include "translator/guest.h"

#define CHUNK 65536

// --- Reading ---

static bool cannot_read(const struct guestmem *g, uint64_t addr, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "Cannot access memory at %saddress 0x%" PRIx64, g->cpu ? "" : "physical ", addr);
    return false;
}

// Within one page.
static bool read_piece(const struct guestmem *g, uint64_t addr, void *buf, uint64_t len)
{
    paddr_t paddr = addr;

    if (g->cpu && !g->cpu->guest->debug_translate(g->cpu, addr, &paddr))
        return false;
    return mem_read_bytes(g->m->mem, paddr, buf, len) == MEM_OK;
}

bool guestmem_read(const struct guestmem *g, uint64_t addr, void *buf, uint64_t len, GError **error)
{
    uint8_t *to = buf;

    for (uint64_t n; len; addr += n, to += n, len -= n) {
        n = MIN(len, PAGE_SIZE - (addr & ~PAGE_MASK));
        if (!read_piece(g, addr, to, n))
            return cannot_read(g, addr, error);
    }
    return true;
}

// --- Files ---

static bool finish(FILE *f, const char *file, bool ok, GError **error)
{
    bool closed = fclose(f) == 0;

    if (ok && !closed)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: %s", file, g_strerror(errno));
    return ok && closed;
}

static FILE *create(const char *file, GError **error)
{
    FILE *f = fopen(file, "we");

    if (!f)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: %s", file, g_strerror(errno));
    return f;
}

static bool write_bytes(FILE *f, const char *file, const void *data, size_t len, GError **error)
{
    if (fwrite(data, 1, len, f) == len)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: %s", file, g_strerror(errno));
    return false;
}

bool guestmem_write_file(const char *file, const void *data, size_t len, GError **error)
{
    FILE *f = create(file, error);

    return f && finish(f, file, write_bytes(f, file, data, len, error), error);
}

static bool copy_out(FILE *f, const char *file, const struct guestmem *g, uint64_t addr,
                     uint64_t len, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(CHUNK);
    bool ok = true;

    for (uint64_t n; ok && len; addr += n, len -= n) {
        n = MIN(len, CHUNK);
        ok = guestmem_read(g, addr, buf, n, error) && write_bytes(f, file, buf, n, error);
    }
    return ok;
}

bool guestmem_save(const struct guestmem *g, uint64_t addr, uint64_t len, const char *file,
                   GError **error)
{
    FILE *f = create(file, error);

    return f && finish(f, file, copy_out(f, file, g, addr, len, error), error);
}

// --- Core files ---

struct piece {
    paddr_t addr;
    uint64_t len;
};

// RAM within [begin, begin + length), or if both are 0, all of it.
static GArray *find_pieces(struct machine *m, uint64_t begin, uint64_t length)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    uint64_t last = begin + length - 1;
    struct mem_region *r;

    for (unsigned i = 0; (r = mem_region_at(m->mem, i)); i++) {
        paddr_t from = MAX(r->base, begin), to = MIN(r->base + (r->size - 1), last);
        struct piece p = {.addr = from, .len = to - from + 1};
        if (r->kind == MEM_RAM && from <= to)
            g_array_append_val(pieces, p);
    }
    return pieces;
}

// A number of the target's word size.
static void put_word(uint8_t *at, unsigned bits, uint64_t value)
{
    store_le(at, bits / 8, value);
}

// Linux's struct elf_prstatus: its size, where the thread's number is, and where pc and x1 to x31 are.
static void add_prstatus(GByteArray *notes, struct cpu *cpu, unsigned bits)
{
    const unsigned pid_at = bits == 64 ? 32 : 24, regs_at = bits == 64 ? 112 : 72;
    const unsigned size = regs_at + 32 * bits / 8 + bits / 8;
    const uint32_t head[] = {5, size, NT_PRSTATUS};
    g_autofree uint8_t *status = g_malloc0(align_up(size, 4));

    store_le(status + pid_at, 4, cpu->index + 1);
    put_word(status + regs_at, bits, cpu->pc);
    for (unsigned i = 1; i < 32; i++)
        put_word(status + regs_at + i * bits / 8, bits, cpu->reg[i]);
    for (unsigned i = 0; i < ARRAY_LEN(head); i++) {
        uint8_t word[4];
        store_le(word, 4, head[i]);
        g_byte_array_append(notes, word, 4);
    }
    g_byte_array_append(notes, (const uint8_t *)"CORE\0\0\0", 8);
    g_byte_array_append(notes, status, align_up(size, 4));
}

// The headers of both classes have the same members, but not at the same places.
static void add_header(GByteArray *out, unsigned bits, unsigned nr_segments)
{
    uint8_t ident[EI_NIDENT] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, 0, ELFDATA2LSB, EV_CURRENT};
    ident[EI_CLASS] = bits == 64 ? ELFCLASS64 : ELFCLASS32;
    Elf64_Ehdr h64 = {.e_type = ET_CORE,
                      .e_machine = EM_RISCV,
                      .e_version = EV_CURRENT,
                      .e_phoff = sizeof(h64),
                      .e_ehsize = sizeof(h64),
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = (uint16_t)nr_segments};
    Elf32_Ehdr h32 = {.e_type = ET_CORE,
                      .e_machine = EM_RISCV,
                      .e_version = EV_CURRENT,
                      .e_phoff = sizeof(h32),
                      .e_ehsize = sizeof(h32),
                      .e_phentsize = sizeof(Elf32_Phdr),
                      .e_phnum = (uint16_t)nr_segments};
    memcpy(h64.e_ident, ident, sizeof(ident));
    memcpy(h32.e_ident, ident, sizeof(ident));
    if (bits == 64)
        g_byte_array_append(out, (const uint8_t *)&h64, sizeof(h64));
    else
        g_byte_array_append(out, (const uint8_t *)&h32, sizeof(h32));
}

static void add_segment(GByteArray *out, unsigned bits, uint32_t type, uint64_t offset,
                        uint64_t addr, uint64_t len)
{
    Elf64_Phdr p64 = {.p_type = type,
                      .p_flags = PF_R | PF_W | PF_X,
                      .p_offset = offset,
                      .p_vaddr = addr,
                      .p_paddr = addr,
                      .p_filesz = len,
                      .p_memsz = len};
    Elf32_Phdr p32 = {.p_type = type,
                      .p_flags = PF_R | PF_W | PF_X,
                      .p_offset = (uint32_t)offset,
                      .p_vaddr = (uint32_t)addr,
                      .p_paddr = (uint32_t)addr,
                      .p_filesz = (uint32_t)len,
                      .p_memsz = (uint32_t)len};
    if (bits == 64)
        g_byte_array_append(out, (const uint8_t *)&p64, sizeof(p64));
    else
        g_byte_array_append(out, (const uint8_t *)&p32, sizeof(p32));
}

// All that comes before the memory.
static GByteArray *core_head(struct machine *m, const GArray *pieces)
{
    unsigned bits = riscv_cpu_xlen(m->cpus[0]), nr_segments = pieces->len + 1;
    GByteArray *head = g_byte_array_new(), *notes = g_byte_array_new();

    for (unsigned i = 0; i < m->nr_cpus; i++)
        add_prstatus(notes, m->cpus[i], bits);
    add_header(head, bits, nr_segments);
    uint64_t offset =
        head->len + nr_segments * (bits == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr));
    add_segment(head, bits, PT_NOTE, offset, 0, notes->len);
    offset += notes->len;
    for (unsigned i = 0; i < pieces->len; i++) {
        const struct piece *p = &g_array_index(pieces, struct piece, i);
        add_segment(head, bits, PT_LOAD, offset, p->addr, p->len);
        offset += p->len;
    }
    g_byte_array_append(head, notes->data, notes->len);
    g_byte_array_unref(notes);
    return head;
}

bool guestmem_dump_core(struct machine *m, const char *file, uint64_t begin, uint64_t length,
                        GError **error)
{
    g_autoptr(GArray) pieces = find_pieces(m, begin, length);
    g_autoptr(GByteArray) head = core_head(m, pieces);
    struct guestmem physical = {.m = m};

    if (length && !pieces->len)
        return cannot_read(&physical, begin, error);
    FILE *f = create(file, error);
    bool ok = f && write_bytes(f, file, head->data, head->len, error);
    for (unsigned i = 0; ok && i < pieces->len; i++) {
        const struct piece *p = &g_array_index(pieces, struct piece, i);
        ok = copy_out(f, file, &physical, p->addr, p->len, error);
    }
    return f && finish(f, file, ok, error);
}
