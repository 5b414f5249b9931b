// SPDX-License-Identifier: MIT
// What the debugger sees of the machine: registers, memory, and descriptions of what there is.
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "control/gdbstub_impl.h"

// --- Registers ---

static const struct guest_view *view_of(struct cpu *cpu)
{
    return cpu->guest->debug_view(cpu);
}

static const struct guest_reg *find_reg(struct cpu *cpu, uint64_t number)
{
    const struct guest_view *v = view_of(cpu);
    for (unsigned i = 0; i < v->nr_regs; i++)
        if (v->regs[i].number == number)
            return &v->regs[i];
    return NULL;
}

void gdb_append_reg(struct gdbstub *g, struct cpu *cpu, const struct guest_reg *reg, GString *out)
{
    uint8_t value[GUEST_REG_MAX_BITS / 8];
    (void)g;
    assert(reg->bits <= GUEST_REG_MAX_BITS);
    cpu->guest->debug_read(cpu, reg, value);
    gdb_hex_append(out, value, reg->bits / 8);
}

uint64_t gdb_read_sp(struct cpu *cpu)
{
    uint8_t value[GUEST_REG_MAX_BITS / 8];
    const struct guest_reg *sp = &view_of(cpu)->regs[view_of(cpu)->sp];
    cpu->guest->debug_read(cpu, sp, value);
    return load_le(value, MIN(sp->bits / 8, 8));
}

// False: the text has too few digits.
static bool write_reg(struct gdbstub *g, const struct guest_reg *reg, const char **text)
{
    uint8_t value[GUEST_REG_MAX_BITS / 8];
    struct cpu *cpu = gdb_cpu(g);
    if (!gdb_hex_bytes(text, value, reg->bits / 8))
        return false;
    cpu->guest->debug_write(cpu, reg, value);
    g->told.valid = false;
    return true;
}

void gdb_read_all(struct gdbstub *g, const char *args)
{
    const struct guest_view *v = view_of(gdb_cpu(g));
    (void)args;
    for (unsigned i = 0; i < v->nr_main; i++)
        gdb_append_reg(g, gdb_cpu(g), &v->regs[i], g->reply);
}

void gdb_write_all(struct gdbstub *g, const char *args)
{
    const struct guest_view *v = view_of(gdb_cpu(g));
    gdb_ok(g);
    for (unsigned i = 0; i < v->nr_main; i++) {
        if (!write_reg(g, &v->regs[i], &args)) {
            gdb_error(g, GDB_EINVAL);
            return;
        }
    }
}

void gdb_read_one(struct gdbstub *g, const char *args)
{
    uint64_t number;
    const struct guest_reg *reg = gdb_hex_u64(&args, &number) ? find_reg(gdb_cpu(g), number) : NULL;
    if (reg)
        gdb_append_reg(g, gdb_cpu(g), reg, g->reply);
    else
        gdb_error(g, GDB_EINVAL);
}

// P3=0123...
void gdb_write_one(struct gdbstub *g, const char *args)
{
    uint64_t number;
    const struct guest_reg *reg =
        gdb_hex_u64(&args, &number) && *args++ == '=' ? find_reg(gdb_cpu(g), number) : NULL;
    if (reg && write_reg(g, reg, &args))
        gdb_ok(g);
    else
        gdb_error(g, GDB_EINVAL);
}

// --- Memory ---

static size_t read_memory(struct gdbstub *g, uint64_t addr, void *buf, size_t len)
{
    return g->physical ? mem_peek(g->m->mem, addr, buf, len)
                       : cpu_debug_read(gdb_cpu(g), addr, buf, len);
}

static size_t write_memory(struct gdbstub *g, uint64_t addr, const void *buf, size_t len)
{
    return g->physical ? mem_poke(g->m->mem, addr, buf, len)
                       : cpu_debug_write(gdb_cpu(g), addr, buf, len);
}

// "ADDR,LEN", at most `most` bytes; *args is left behind it.
static bool parse_range(const char **args, uint64_t *addr, uint64_t *len, uint64_t most)
{
    return gdb_hex_u64(args, addr) && *(*args)++ == ',' && gdb_hex_u64(args, len) && *len <= most;
}

// Reads what the arguments ask for, or as much of it as there is. NULL: nothing, and an error is the reply.
static uint8_t *read_asked(struct gdbstub *g, const char *args, uint64_t most, size_t *len)
{
    uint64_t addr, wanted;
    if (!parse_range(&args, &addr, &wanted, most)) {
        gdb_error(g, GDB_EINVAL);
        return NULL;
    }
    uint8_t *buf = g_malloc(wanted + 1);
    *len = read_memory(g, addr, buf, wanted);
    if (*len || !wanted)
        return buf;
    g_free(buf);
    gdb_error(g, GDB_EFAULT);
    return NULL;
}

void gdb_read_memory(struct gdbstub *g, const char *args)
{
    size_t len;
    g_autofree uint8_t *bytes = read_asked(g, args, GDB_PACKET_MAX / 2, &len);
    if (bytes)
        gdb_hex_append(g->reply, bytes, len);
}

// Half of them may have to be escaped.
void gdb_read_binary(struct gdbstub *g, const char *args)
{
    size_t len;
    g_autofree uint8_t *bytes = read_asked(g, args, GDB_PACKET_MAX / 2 - 1, &len);
    if (!bytes)
        return;
    g_string_append_c(g->reply, 'b');
    g_string_append_len(g->reply, (const char *)bytes, (gssize)len);
}

static void reply_written(struct gdbstub *g, bool all)
{
    if (all)
        gdb_ok(g);
    else
        gdb_error(g, GDB_EFAULT);
}

void gdb_write_memory(struct gdbstub *g, const char *args)
{
    uint64_t addr, len;
    uint8_t bytes[GDB_PACKET_MAX / 2];
    if (parse_range(&args, &addr, &len, sizeof(bytes)) && *args++ == ':' &&
        gdb_hex_bytes(&args, bytes, len))
        reply_written(g, write_memory(g, addr, bytes, len) == len);
    else
        gdb_error(g, GDB_EINVAL);
}

void gdb_write_binary(struct gdbstub *g, const char *args)
{
    uint64_t addr, len;
    if (parse_range(&args, &addr, &len, GDB_PACKET_MAX) && *args++ == ':' &&
        len == (uint64_t)(gdb_args_end(g) - args))
        reply_written(g, write_memory(g, addr, args, len) == len);
    else
        gdb_error(g, GDB_EINVAL);
}

// What `compare-sections` asks for: the CRC with the polynomial 0x04c11db7, highest bit first, from all ones.
static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    crc ^= (uint32_t)byte << 24;
    for (unsigned i = 0; i < 8; i++)
        crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
    return crc;
}

void gdb_crc(struct gdbstub *g, const char *args)
{
    uint64_t addr, len;
    uint8_t bytes[4096];
    uint32_t crc = UINT32_MAX;
    if (!parse_range(&args, &addr, &len, UINT32_MAX)) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    for (uint64_t n; len; addr += n, len -= n) {
        n = MIN(len, sizeof(bytes));
        if (read_memory(g, addr, bytes, n) < n) {
            gdb_error(g, GDB_EFAULT);
            return;
        }
        for (unsigned i = 0; i < n; i++)
            crc = crc_step(crc, bytes[i]);
    }
    g_string_printf(g->reply, "C%x", crc);
}

// --- Flash: what the memory map calls so, which is all memory that the guest can't simply write ---

void gdb_flash_erase(struct gdbstub *g, const char *args)
{
    uint64_t addr, len;
    uint8_t blank[4096];
    memset(blank, 0xff, sizeof(blank));
    if (!parse_range(&args, &addr, &len, UINT32_MAX)) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    gdb_ok(g);
    for (uint64_t n; len; addr += n, len -= n) {
        n = MIN(len, sizeof(blank));
        if (mem_load(g->m->mem, addr, blank, n) != MEM_OK) {
            gdb_error(g, GDB_EFAULT);
            return;
        }
    }
}

void gdb_flash_write(struct gdbstub *g, const char *args)
{
    uint64_t addr;
    if (!gdb_hex_u64(&args, &addr) || *args++ != ':')
        gdb_error(g, GDB_EINVAL);
    else
        reply_written(g, mem_load(g->m->mem, addr, args, (uint64_t)(gdb_args_end(g) - args)) ==
                             MEM_OK);
}

void gdb_flash_done(struct gdbstub *g, const char *args)
{
    (void)args;
    gdb_ok(g);
}

// --- Descriptions ---

static void describe_reg(const struct guest_reg *r, GString *out)
{
    g_string_append_printf(out,
                           "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%u\" type=\"%s\" "
                           "group=\"%s\"/>\n",
                           r->name, r->bits, r->number, r->type, r->group);
}

// Without an osabi, gdb may take the machine for a process of its own system, and step by breakpoints of its own, which
// fails at instructions such as returns from traps.
void gdb_describe_target(struct gdbstub *g, GString *out)
{
    const struct guest_view *v = view_of(gdb_cpu(g));
    g_string_append_printf(out,
                           "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                           "<target version=\"1.0\">\n<architecture>%s</architecture>\n"
                           "<osabi>none</osabi>\n",
                           v->arch);
    for (unsigned f = 0; v->features[f]; f++) {
        bool any = false;
        for (unsigned i = 0; i < v->nr_regs; i++) {
            if (v->regs[i].feature != f)
                continue;
            if (!any)
                g_string_append_printf(out, "<feature name=\"%s\">\n", v->features[f]);
            any = true;
            describe_reg(&v->regs[i], out);
        }
        if (any)
            g_string_append(out, "</feature>\n");
    }
    g_string_append(out, "</target>\n");
}

void gdb_describe_threads(struct gdbstub *g, GString *out)
{
    g_string_append(out, "<?xml version=\"1.0\"?>\n<threads>\n");
    for (unsigned i = 0; i < g->m->nr_cpus; i++) {
        struct cpu *cpu = g->m->cpus[i];
        g_string_append_printf(out, "<thread id=\"%x\" core=\"%u\" name=\"", i + 1, i);
        cpu->guest->debug_name(cpu, out);
        g_string_append(out, "\">");
        cpu->guest->debug_state(cpu, out);
        g_string_append(out, "</thread>\n");
    }
    g_string_append(out, "</threads>\n");
}

// Whole blocks make up a region.
static uint64_t flash_block(const struct mem_region *r)
{
    return MIN((r->base | r->size) & -(r->base | r->size), PAGE_SIZE);
}

// Memory that programs can't simply write is flash to gdb: it loads programs into it all the same, and sets hardware
// breakpoints there.
void gdb_describe_memory(struct gdbstub *g, GString *out)
{
    const struct mem_region *r;
    g_string_append(out,
                    "<?xml version=\"1.0\"?>\n"
                    "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
                    "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n<memory-map>\n");
    for (unsigned i = 0; (r = mem_region_at(g->m->mem, i)); i++) {
        bool flash = r->kind == MEM_ROM || r->kind == MEM_ROMD;
        g_string_append_printf(
            out, "<memory type=\"%s\" start=\"0x%" PRIx64 "\" length=\"0x%" PRIx64 "\"",
            flash ? "flash" : "ram", r->base, r->size);
        if (flash)
            g_string_append_printf(
                out, "><property name=\"blocksize\">0x%" PRIx64 "</property></memory>\n",
                flash_block(r));
        else
            g_string_append(out, "/>\n");
    }
    g_string_append(out, "</memory-map>\n");
}
