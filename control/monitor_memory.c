// SPDX-License-Identifier: MIT
// The monitor's commands on memory and registers: x, xp, print and their like.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "control/guestmem.h"
#include "control/monitor_impl.h"
#include "translator/guest.h"

#define MAX_ITEMS 65536

// --- Formats: "/8xw" ---

struct format {
    unsigned count;
    char letter; // x d u o c i
    unsigned size;
};

static bool parse_letter(struct format *f, char c)
{
    static const char sizes[] = "bhwg";
    const char *size = strchr(sizes, c);

    if (size)
        f->size = 1u << (size - sizes);
    else if (strchr("xduoci", c))
        f->letter = c;
    else
        return false;
    return true;
}

static bool parse_format(struct monitor_call *c, struct format *f)
{
    const char *text = c->format ? c->format : "";
    size_t digits = strspn(text, "0123456789");
    uint64_t count = 1;

    *f = (struct format){.letter = 'x'};
    if (digits) {
        g_autofree char *number = g_strndup(text, digits);
        if (!g_ascii_string_to_unsigned(number, 10, 0, MAX_ITEMS, &count, NULL))
            return monitor_fail(c, "'/%s': no more than %u items at a time", text, MAX_ITEMS);
    }
    f->count = (unsigned)count;
    for (const char *at = text + digits; *at; at++) {
        if (!parse_letter(f, *at))
            return monitor_fail(c, "invalid char in format: '%c'", *at);
    }
    if (!f->size)
        f->size = f->letter == 'c' ? 1 : 4;
    return true;
}

static void print_char(GString *out, uint64_t value)
{
    static const char special[] = "'\\\n\r\t", letters[] = "'\\nrt";
    uint8_t byte = (uint8_t)value;
    const char *at = byte ? strchr(special, byte) : NULL;

    if (at)
        g_string_append_printf(out, "'\\%c'", letters[at - special]);
    else if (byte >= ' ' && byte < 0x7f)
        g_string_append_printf(out, "'%c'", byte);
    else
        g_string_append_printf(out, "'\\x%02x'", byte);
}

// In columns: numbers of a size take the same room.
static void print_value(GString *out, const struct format *f, uint64_t value)
{
    int bits = 8 * (int)f->size;

    switch (f->letter) {
    case 'd':
        g_string_append_printf(out, "%*" PRId64, (bits * 10 + 32) / 33,
                               f->size == 8 ? (int64_t)value
                                            : (int64_t)bits_sext(value, (unsigned)bits));
        break;
    case 'u':
        g_string_append_printf(out, "%*" PRIu64, (bits * 10 + 32) / 33, value);
        break;
    case 'o':
        g_string_append_printf(out, "%#*" PRIo64, (bits + 2) / 3, value);
        break;
    case 'c':
        print_char(out, value);
        break;
    default:
        g_string_append_printf(out, "0x%0*" PRIx64, bits / 4, value);
    }
}

// --- x and xp ---

static int address_digits(const struct monitor_call *c)
{
    return (int)c->vm->m->cfg->bits / 4;
}

static bool print_values(struct monitor_call *c, const struct guestmem *g, const struct format *f,
                         uint64_t addr)
{
    unsigned per_line = (f->letter == 'c' ? 8 : 16) / f->size;
    GError *error = NULL;
    uint8_t bytes[8];

    for (unsigned i = 0; i < f->count; i++, addr += f->size) {
        if (!guestmem_read(g, addr, bytes, f->size, &error)) {
            monitor_say(c, i % per_line ? "\n" : "");
            return monitor_failed(c, error);
        }
        if (i % per_line == 0)
            monitor_say(c, "%0*" PRIx64 ":", address_digits(c), addr);
        g_string_append_c(c->out, ' ');
        print_value(c->out, f, load_le(bytes, f->size));
        if (i % per_line == per_line - 1 || i == f->count - 1)
            g_string_append_c(c->out, '\n');
    }
    return true;
}

// Up to 4 bytes of code, fewer at the end of memory.
static size_t read_code(const struct guestmem *g, uint64_t addr, uint8_t *code)
{
    for (size_t len = 4; len; len -= 2) {
        if (guestmem_read(g, addr, code, len, NULL))
            return len;
    }
    return 0;
}

static bool print_code(struct monitor_call *c, const struct guestmem *g, unsigned count,
                       uint64_t addr)
{
    const struct cpu *cpu = monitor_cpu(c);

    for (unsigned i = 0; i < count; i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        uint8_t code[8];
        size_t len = read_code(g, addr, code);
        unsigned used = len ? cpu->guest->disas(cpu, addr, code, len, text) : 0;
        if (!used)
            return monitor_fail(c, "Cannot access memory at address 0x%" PRIx64, addr);
        g_autofree char *bits = g_strdup_printf("%0*" PRIx64, 2 * (int)used, load_le(code, used));
        monitor_say(c, "0x%0*" PRIx64 ":  %-16s  %s\n", address_digits(c), addr, bits, text->str);
        addr += used;
    }
    return true;
}

static bool examine(struct monitor_call *c, struct cpu *cpu)
{
    struct guestmem g = {.m = c->vm->m, .cpu = cpu};
    struct format f;
    uint64_t addr;

    if (!parse_format(c, &f) || !monitor_compute(c, c->rest, &addr))
        return false;
    return f.letter == 'i' ? print_code(c, &g, f.count, addr) : print_values(c, &g, &f, addr);
}

bool monitor_x(struct monitor_call *c)
{
    return examine(c, monitor_cpu(c));
}

bool monitor_xp(struct monitor_call *c)
{
    return examine(c, NULL);
}

// --- print ---

bool monitor_print(struct monitor_call *c)
{
    struct format f;
    uint64_t value;

    if (!parse_format(c, &f) || !monitor_compute(c, c->rest, &value))
        return false;
    switch (f.letter) {
    case 'd':
        monitor_say(c, "%" PRId64 "\n", (int64_t)value);
        break;
    case 'u':
        monitor_say(c, "%" PRIu64 "\n", value);
        break;
    case 'o':
        monitor_say(c, "%#" PRIo64 "\n", value);
        break;
    case 'c':
        print_char(c->out, value);
        g_string_append_c(c->out, '\n');
        break;
    default:
        monitor_say(c, "%#" PRIx64 "\n", value);
    }
    return true;
}

bool monitor_cpu_command(struct monitor_call *c)
{
    uint64_t index;

    if (!monitor_compute(c, c->words[0], &index))
        return false;
    if (index >= c->vm->m->nr_cpus)
        return monitor_fail(c, "there are CPUs 0 to %u", c->vm->m->nr_cpus - 1);
    if (!c->vm->panel)
        return monitor_fail(c, "not from here");
    c->vm->panel->cpu = (unsigned)index;
    return true;
}

bool monitor_gva2gpa(struct monitor_call *c)
{
    struct cpu *cpu = monitor_cpu(c);
    uint64_t addr;
    paddr_t paddr;

    if (!monitor_compute(c, c->words[0], &addr))
        return false;
    if (!cpu->guest->debug_translate(cpu, addr, &paddr))
        return monitor_fail(c, "Unmapped");
    monitor_say(c, "gpa: %#" PRIx64 "\n", paddr);
    return true;
}

// --- Files ---

static bool save(struct monitor_call *c, struct cpu *cpu)
{
    struct guestmem g = {.m = c->vm->m, .cpu = cpu};
    uint64_t addr, size;
    GError *error = NULL;

    if (!monitor_compute(c, c->words[0], &addr) || !monitor_compute(c, c->words[1], &size))
        return false;
    return guestmem_save(&g, addr, size, c->words[2], &error) || monitor_failed(c, error);
}

bool monitor_memsave(struct monitor_call *c)
{
    return save(c, monitor_cpu(c));
}

bool monitor_pmemsave(struct monitor_call *c)
{
    return save(c, NULL);
}

bool monitor_dump(struct monitor_call *c)
{
    uint64_t begin = 0, length = 0;
    GError *error = NULL;

    if (c->nr_words == 2)
        return monitor_fail(c, "BEGIN needs a LENGTH");
    if (c->nr_words == 3 &&
        (!monitor_compute(c, c->words[1], &begin) || !monitor_compute(c, c->words[2], &length)))
        return false;
    return guestmem_dump_core(c->vm->m, c->words[0], begin, length, &error) ||
           monitor_failed(c, error);
}

bool monitor_dumpdtb(struct monitor_call *c)
{
    const struct machine *m = c->vm->m;
    GError *error = NULL;

    if (!m->fdt)
        return monitor_fail(c, "This machine doesn't have an FDT");
    return guestmem_write_file(c->words[0], m->fdt, m->fdt_size, &error) ||
           monitor_failed(c, error);
}
