// SPDX-License-Identifier: MIT
// See riscv_rig.h.
#include "tests/unit/riscv_rig.h"

#include <inttypes.h>
#include <string.h>

#include <criterion/criterion.h>

uint64_t rig_random(struct rig *g)
{
    g->seed ^= g->seed >> 12;
    g->seed ^= g->seed << 25;
    g->seed ^= g->seed >> 27;
    return g->seed * UINT64_C(0x2545f4914f6cdd1d);
}

unsigned rig_below(struct rig *g, unsigned n)
{
    return (unsigned)(rig_random(g) >> 33) % n;
}

// ---- Harts ----

// Memory is full of ebreak, so that one stops the hart behind each instruction, wherever it jumped.
static void fill_memory(struct hart *h, bool halfwords)
{
    uint8_t *ram = mem_ptr(h->mem, RAM_BASE, RAM_SIZE, true);
    for (unsigned i = 0; i < RAM_SIZE; i += halfwords ? 2 : 4)
        store_le(ram + i, halfwords ? 2 : 4, halfwords ? 0x9002 : 0x00100073);
    store_le(ram + HANDLER - RAM_BASE, 4, 0x0000006f); // j .
    h->window = ram + WINDOW - RAM_BASE;
}

static void hart_init(struct hart *h, const struct host *host, const char *model, unsigned xlen)
{
    GError *error = NULL;
    h->name = host->name;
    h->mem = mem_new();
    h->clock = clock_new();
    cr_assert(mem_add_ram(h->mem, "ram", RAM_BASE, RAM_SIZE, NULL));
    struct riscv_cpu_config cfg = {
        .model = model, .xlen = xlen, .mem = h->mem, .clock = h->clock, .time_hz = 10000000};
    struct cpu *cpu = riscv_cpu_new(&cfg, &error);
    cr_assert(cpu, "%s", error ? error->message : "");
    h->rv = riscv_cpu_of(cpu);
    h->exec = exec_new(h->mem, host, 4 << 20, NULL);
    exec_add_cpu(h->exec, cpu);
    fill_memory(h, riscv_has(h->rv, RV_EXT_ZCA));
    riscv_csr_poke(cpu, 0x305, HANDLER); // mtvec
    riscv_csr_poke(cpu, 0x3b0, xlen == 32 ? UINT32_MAX : UINT64_MAX >> 10);
    riscv_csr_poke(cpu, 0x3a0, 0x1f); // all of memory is U mode's
}

static void hart_free(struct hart *h)
{
    exec_free(h->exec);
    riscv_guest.free(&h->rv->cpu);
    clock_free(h->clock);
    mem_free(h->mem);
}

void rig_init(struct rig *g, const char *model, unsigned xlen)
{
    *g = (struct rig){.xlen = xlen, .seed = 0x9e3779b97f4a7c15 + xlen};
    hart_init(&g->harts[g->nr_harts++], &host_interp, model, xlen);
    if (host_native)
        hart_init(&g->harts[g->nr_harts++], host_native, model, xlen);
    g->halfwords = riscv_has(g->harts[0].rv, RV_EXT_ZCA);
}

void rig_free(struct rig *g)
{
    for (unsigned i = 0; i < g->nr_harts; i++)
        hart_free(&g->harts[i]);
}

void rig_place(struct rig *g, unsigned offset, uint32_t bits)
{
    unsigned len = riscv_insn_len(bits);
    for (unsigned i = 0; i < g->nr_harts; i++) {
        uint8_t code[8];
        store_le(code, 4, bits);
        // What follows must be an ebreak whatever was here before.
        store_le(code + len, 4, g->halfwords ? 0x90029002 : 0x00100073);
        cr_assert(mem_write_bytes(g->harts[i].mem, CODE + offset, code, len + 4) == MEM_OK);
    }
}

// ---- One run ----

void hart_put(struct hart *h, const struct ref *r)
{
    struct riscv_cpu *rv = h->rv;
    struct cpu *cpu = &rv->cpu;
    memcpy(cpu->reg, r->x, sizeof(r->x));
    memcpy(cpu->reg + RV_F0, r->f, sizeof(r->f));
    cpu->pc = r->pc;
    cpu->fp.flags = r->flags;
    cpu->halted = false;
    cpu->retired = 0;
    cpu->budget = cpu->slice = 0;
    rv->s.frm = r->frm;
    rv->s.priv = r->priv;
    rv->s.mscratch = r->mscratch;
    rv->s.mepc = r->mepc;
    rv->s.sepc = r->sepc;
    rv->s.mcause = 0xff;
    rv->s.reservation = r->reservation;
    rv->s.reserved = r->reserved;
    rv->s.mstatus = MSTATUS_MPP | MSTATUS_SPP | (uint64_t)r->fs << MSTATUS_FS_SHIFT;
    riscv_key_update(rv);
    memcpy(h->window, r->window, REF_WINDOW);
}

void hart_run(struct hart *h, unsigned steps)
{
    struct cpu *cpu = &h->rv->cpu;
    cpu->retired = cpu_retired(cpu);
    cpu->budget = cpu->slice = steps;
    while (cpu->budget > 0 && exec_run(h->exec, cpu) == EXEC_YIELD)
        ;
}

static void check(GString *out, const char *what, uint64_t have, uint64_t want)
{
    if (have != want)
        g_string_append_printf(out, "  %s is 0x%" PRIx64 ", not 0x%" PRIx64 "\n", what, have, want);
}

static void check_registers(const struct cpu *cpu, const struct ref *r, GString *out)
{
    if (!memcmp(cpu->reg, r->x, sizeof(r->x)) && !memcmp(cpu->reg + RV_F0, r->f, sizeof(r->f)))
        return;
    for (unsigned i = 0; i < 32; i++) {
        check(out, riscv_x_names[i], cpu->reg[i], r->x[i]);
        check(out, riscv_f_names[i], cpu->reg[RV_F0 + i], r->f[i]);
    }
}

static void check_trap(const struct hart *h, const struct ref *r, GString *out)
{
    const struct riscv_state *s = &h->rv->s;
    bool fetched = r->pc >= RAM_BASE && r->pc < (uint64_t)RAM_BASE + RAM_SIZE;
    check(out, "pc of the trap", s->mepc, r->pc);
    check(out, "cause", s->mcause, r->trapped ? r->cause : fetched ? 3 : 1);
    check(out, "trap value", s->mtval, r->trapped ? r->tval : r->pc);
    check(out, "pc", h->rv->cpu.pc, HANDLER);
}

void hart_check(const struct hart *h, const struct ref *r, GString *out)
{
    const struct riscv_state *s = &h->rv->s;
    check_registers(&h->rv->cpu, r, out);
    check(out, "flags", h->rv->cpu.fp.flags & ~FP_DENORMAL, r->flags);
    check(out, "frm", s->frm, r->frm);
    check(out, "mscratch", s->mscratch, r->mscratch);
    check(out, "reserved", s->reserved, r->reserved);
    check(out, "halted", h->rv->cpu.halted, r->halted);
    if (r->reserved)
        check(out, "reservation", s->reservation, r->reservation);
    if (!r->trapped)
        check(out, "FS", s->mstatus >> MSTATUS_FS_SHIFT & 3, r->fs);
    if (memcmp(h->window, r->window, REF_WINDOW))
        g_string_append(out, "  memory differs\n");
}

void hart_check_stopped(const struct hart *h, const struct ref *r, GString *out)
{
    hart_check(h, r, out);
    if (r->halted)
        check(out, "pc", h->rv->cpu.pc, r->pc);
    else
        check_trap(h, r, out);
}

// ---- Values ----

static const uint64_t x_edges[] = {
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    63,
    0xff,
    0x80,
    0x7fff,
    0x8000,
    0xffff,
    0x7fffffff,
    0x80000000,
    0x80000001,
    0xffffffff,
    0x100000000,
    0x7fffffffffffffff,
    0x8000000000000000,
    0x8000000000000001,
    0xffffffff00000000,
    0xffffffff80000000,
    0xffffffff7fffffff,
    0xfffffffffffffffe,
    0xffffffffffffffff,
    0x0123456789abcdef,
    0x5555555555555555,
    0x00ff00ff00ff0001,
};

// Zeros, subnormals and their end, ones and neighbours, halves and other ties, the ends of integers and of the
// range, infinities, quiet and signalling NaNs.
static const uint64_t h_edges[] = {
    0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x8400, 0x0401, 0x3800, 0x3801,
    0x3bff, 0x3c00, 0xbc00, 0x3c01, 0x3e00, 0xbe00, 0x4100, 0xc100, 0x5bff, 0x6400,
    0x7800, 0xf800, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0xfd00,
};
static const uint64_t s_edges[] = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x80800000, 0x00800001,
    0x3f000000, 0x3f000001, 0x3f7fffff, 0x3f800000, 0xbf800000, 0x3f800001, 0x3fc00000, 0xbfc00000,
    0x40200000, 0xc0200000, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000,
    0x5effffff, 0x5f000000, 0xdf000000, 0x5f800000, 0x33800000, 0x477fe000, 0x477ff000, 0x7f7fffff,
    0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001, 0xffa00000,
};
static const uint64_t d_edges[] = {
    0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x8000000000000001,
    0x000fffffffffffff, 0x0010000000000000, 0x8010000000000000, 0x0010000000000001,
    0x3fe0000000000000, 0x3fe0000000000001, 0x3fefffffffffffff, 0x3ff0000000000000,
    0xbff0000000000000, 0x3ff0000000000001, 0x3ff8000000000000, 0xbff8000000000000,
    0x4004000000000000, 0xc004000000000000, 0x41dfffffffc00000, 0x41dfffffffe00000,
    0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000, 0xc1e0000000200000,
    0x41efffffffe00000, 0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
    0xc3e0000000000000, 0x43f0000000000000, 0x36a0000000000000, 0x380fffffe0000000,
    0x380fffffffffffff, 0x47efffffe0000000, 0x47effffff0000000, 0x40effc0000000000,
    0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
    0x7ff8000000000000, 0xfff8000000000123, 0x7ff0000000000001, 0xfff4000000000000,
};
// Not boxed.
static const uint64_t junk[] = {0x0000000000003c00, 0x000000003f800000, 0xfffffffe3f800000,
                                0xffffffff3f800000, 0xffff7fff00003c00, 0xfffffffffffe3c00};

struct edges edges_of_x(void)
{
    return (struct edges){x_edges, ARRAY_LEN(x_edges), 0, 0};
}

// Of what a line reads from f registers: the last letter of its name says it.
struct edges edges_of_f(unsigned id)
{
    const char *name = riscv_opcodes[id].name;
    switch (name[strlen(name) - 1]) {
    case 'h':
        return (struct edges){h_edges, ARRAY_LEN(h_edges), ARRAY_LEN(junk), 0xffffffffffff0000};
    case 's':
        return (struct edges){s_edges, ARRAY_LEN(s_edges), ARRAY_LEN(junk), 0xffffffff00000000};
    default:
        return (struct edges){d_edges, ARRAY_LEN(d_edges), 0, 0};
    }
}

unsigned edges_nr(const struct edges *e)
{
    return e->nr + e->nr_junk;
}

uint64_t edge_value(const struct edges *e, unsigned n)
{
    return n < e->nr ? e->values[n] | e->box : junk[n - e->nr];
}

uint64_t rig_value(struct rig *g, const struct edges *e)
{
    uint64_t v = edge_value(e, rig_below(g, edges_nr(e)));
    switch (rig_below(g, 8)) {
    case 0:
        return rig_random(g) | e->box;
    case 1:
        return v + rig_below(g, 5) - 2;
    case 2:
        return v ^ UINT64_C(1) << rig_below(g, 64);
    default:
        return v;
    }
}
