// SPDX-License-Identifier: MIT
// test: timeout=600
//
// Every line of insns.def on a bare hart: encoded with many operands, run by the interpreter and by the native
// back end on edge values and random ones, and compared with riscv_reference.c: registers, flags, memory, the
// next pc, traps with their values.
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include <criterion/criterion.h>

#include "cpu/riscv/disas.h"
#include "tests/unit/riscv_reference.h"
#include "translator/exec.h"

enum {
    RAM_BASE = 0x40000000, // positive as a 32-bit number, so that li reaches it on both
    RAM_SIZE = 0x400000,
    HANDLER = RAM_BASE + 0x100,
    WINDOW = RAM_BASE + 0x3000 - REF_WINDOW / 2, // across the boundary of two pages
    CODE = RAM_BASE + 0x200000,
    UNMAPPED = 0x10000000,
};

struct hart {
    const char *name;
    struct mem *mem;
    struct clock *clock;
    struct exec *exec;
    struct riscv_cpu *rv;
    uint8_t *window;
};

struct rig {
    struct hart harts[2];
    unsigned nr_harts;
    unsigned xlen;
    bool halfwords;
    uint64_t seed;
    unsigned failures;
    uint64_t runs;
};

static uint64_t next_random(struct rig *g)
{
    g->seed ^= g->seed >> 12;
    g->seed ^= g->seed << 25;
    g->seed ^= g->seed >> 27;
    return g->seed * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(struct rig *g, unsigned n)
{
    return (unsigned)(next_random(g) >> 33) % n;
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

static void rig_init(struct rig *g, const char *model, unsigned xlen)
{
    *g = (struct rig){.xlen = xlen, .seed = 0x9e3779b97f4a7c15 + xlen};
    hart_init(&g->harts[g->nr_harts++], &host_interp, model, xlen);
    if (host_native)
        hart_init(&g->harts[g->nr_harts++], host_native, model, xlen);
    g->halfwords = riscv_has(g->harts[0].rv, RV_EXT_ZCA);
}

static void rig_free(struct rig *g)
{
    for (unsigned i = 0; i < g->nr_harts; i++)
        hart_free(&g->harts[i]);
}

// ---- One run ----

static void put_state(struct hart *h, const struct ref *r)
{
    struct riscv_cpu *rv = h->rv;
    struct cpu *cpu = &rv->cpu;
    memcpy(cpu->reg, r->x, sizeof(r->x));
    memcpy(cpu->reg + RV_F0, r->f, sizeof(r->f));
    cpu->pc = r->pc;
    cpu->fp.flags = r->flags;
    cpu->halted = false;
    rv->s.frm = r->frm;
    rv->s.priv = r->priv;
    rv->s.mscratch = r->mscratch;
    rv->s.mepc = r->mepc;
    rv->s.sepc = r->sepc;
    rv->s.mcause = 0xff;
    rv->s.reservation = r->reservation;
    rv->s.reserved = r->reserved;
    rv->s.mstatus = (rv->s.mstatus & (MSTATUS_SXL | MSTATUS_UXL)) | MSTATUS_MPP | MSTATUS_SPP |
                    (uint64_t)r->fs << MSTATUS_FS_SHIFT;
    riscv_key_update(rv);
    memcpy(h->window, r->window, REF_WINDOW);
}

// The instruction and the ebreak behind it.
static void run(struct hart *h)
{
    struct cpu *cpu = &h->rv->cpu;
    cpu->budget = cpu->slice = 2;
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

static void check_state(const struct hart *h, const struct ref *r, GString *out)
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
    if (r->halted)
        check(out, "pc", h->rv->cpu.pc, r->pc);
    else
        check_trap(h, r, out);
    if (memcmp(h->window, r->window, REF_WINDOW))
        g_string_append(out, "  memory differs\n");
}

static void report(struct rig *g, const struct hart *h, const struct ref *before,
                   const GString *text)
{
    GString *s = g_string_new(NULL);
    const struct riscv_insn *in = &before->in;
    riscv_disas_insn(&h->rv->decoder, before->pc, in->bits, true, s);
    cr_expect(false,
              "%s, rv%u: %s (%08x)\n%s  of x[rs1] 0x%" PRIx64 " x[rs2] 0x%" PRIx64
              " x[rd] 0x%" PRIx64 " f[rs1] 0x%" PRIx64 " f[rs2] 0x%" PRIx64 " f[rs3] 0x%" PRIx64
              " frm %u FS %u",
              h->name, g->xlen, s->str, in->bits, text->str, before->x[in->rs1], before->x[in->rs2],
              before->x[in->rd], before->f[in->rs1], before->f[in->rs2], before->f[in->rs3],
              before->frm, before->fs);
    g_string_free(s, TRUE);
    if (++g->failures >= 30)
        cr_assert(false, "too many failures");
}

static void run_all(struct rig *g, const struct ref *before)
{
    struct ref after = *before;
    GString *text = g_string_new(NULL);
    ref_step(&after);
    g->runs++;
    for (unsigned i = 0; i < g->nr_harts; i++) {
        struct hart *h = &g->harts[i];
        put_state(h, before);
        run(h);
        check_state(h, &after, text);
        if (text->len)
            report(g, h, before, text);
        g_string_truncate(text, 0);
    }
    g_string_free(text, TRUE);
    if (g->nr_harts == 2 && g->runs % 64 == 0) {
        char *differs = state_diff(riscv_cpu_fields, g->harts[0].rv, g->harts[1].rv);
        cr_assert(!differs, "%s differs between executors", differs);
    }
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

struct edges {
    const uint64_t *values;
    unsigned nr, nr_junk;
    uint64_t box;
};

static struct edges edges_of_x(void)
{
    return (struct edges){x_edges, ARRAY_LEN(x_edges), 0, 0};
}

// Of what a line reads from f registers: the last letter of its name says it.
static struct edges edges_of_f(unsigned id)
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

static unsigned edges_nr(const struct edges *e)
{
    return e->nr + e->nr_junk;
}

static uint64_t edge(const struct edges *e, unsigned n)
{
    return n < e->nr ? e->values[n] | e->box : junk[n - e->nr];
}

// An edge, something near one, or anything.
static uint64_t any_value(struct rig *g, const struct edges *e)
{
    uint64_t v = edge(e, below(g, edges_nr(e)));
    switch (below(g, 8)) {
    case 0:
        return next_random(g) | e->box;
    case 1:
        return v + below(g, 5) - 2;
    case 2:
        return v ^ UINT64_C(1) << below(g, 64);
    default:
        return v;
    }
}

// ---- Lines ----

struct line {
    unsigned id, base;
    const char *operands; // of the base
    bool is_fp, rounds, reads_x, reads_f, touches_memory, jumps_to_x, is_system;
    struct edges x, f;
};

static bool has_operand(const char *operands, const char *any)
{
    return strpbrk(operands, any) != NULL;
}

static struct line line_of(unsigned id)
{
    const struct riscv_opcode *op = &riscv_opcodes[id];
    struct line l = {.id = id, .base = op->base, .operands = riscv_opcodes[op->base].operands};
    l.is_fp = has_operand(l.operands, "DSTR");
    l.rounds = riscv_opcodes[l.base].layout == RV_LAYOUT_RM;
    l.reads_x = has_operand(l.operands, "stdol0");
    l.reads_f = has_operand(l.operands, "STR");
    l.touches_memory = has_operand(l.operands, "o0l");
    l.jumps_to_x = l.base == RV_OP_jalr;
    l.is_system = (op->match & 0x7f) == 0x73 || (op->match & 0x707f) == 0x200f;
    l.x = edges_of_x();
    l.f = edges_of_f(l.base);
    return l;
}

static void random_state(struct rig *g, const struct line *l, struct ref *r)
{
    for (unsigned i = 1; i < 32; i++)
        r->x[i] = g->xlen == 32 ? (uint32_t)any_value(g, &l->x) : any_value(g, &l->x);
    for (unsigned i = 0; i < 32; i++)
        r->f[i] = any_value(g, &l->f);
    for (unsigned i = 0; i < REF_WINDOW; i += 8)
        store_le(r->window + i, 8, any_value(g, below(g, 2) ? &l->x : &l->f));
    r->flags = below(g, 4) ? 0 : FP_INEXACT | FP_DIVZERO;
    r->mscratch = g->xlen == 32 ? (uint32_t)any_value(g, &l->x) : any_value(g, &l->x);
    r->mepc = CODE + 0x80;
    r->sepc = CODE + 0xc0;
    r->reserved = 0;
}

// Somewhere to load from or store to; seldom where nothing is.
static uint64_t some_address(struct rig *g)
{
    uint64_t middle = WINDOW + REF_WINDOW / 2;
    switch (below(g, 8)) {
    case 0:
        return UNMAPPED + below(g, 64);
    case 1:
    case 2:
        return middle - 8 + below(g, 16);
    case 3:
        return middle - 128 + below(g, 160);
    default:
        return middle - 128 + 16 * below(g, 10);
    }
}

static uint64_t some_target(struct rig *g)
{
    uint64_t v = CODE + 0x40 + below(g, 0x800);
    return below(g, 16) ? v : UNMAPPED + 4 * below(g, 4);
}

// Makes rs1 (or sp) point somewhere.
static void aim(struct rig *g, const struct line *l, struct ref *r)
{
    unsigned reg = has_operand(l->operands, "l") ? 2 : r->in.rs1;
    uint64_t offset = has_operand(l->operands, "o") ? (uint64_t)r->in.imm : 0;
    if (!(l->touches_memory || l->jumps_to_x) || reg == 0)
        return;
    uint64_t at = (l->jumps_to_x ? some_target(g) : some_address(g)) - offset;
    r->x[reg] = g->xlen == 32 ? (uint32_t)at : at;
    if (l->base == RV_OP_cm_popret || l->base == RV_OP_cm_popretz)
        for (unsigned i = 0; i < REF_WINDOW; i += 4)
            store_le(r->window + i, g->xlen / 8, CODE + 0x40 + i);
    r->reservation = r->x[reg] - (below(g, 8) ? 0 : 8);
    r->reserved = (uint8_t)((below(g, 3) ? 4u : 0) << below(g, 2));
}

// A compare and swap that succeeds half of the time.
static void match_memory(struct rig *g, struct ref *r, unsigned id)
{
    uint64_t at = r->x[r->in.rs1] - WINDOW;
    if (strncmp(riscv_opcodes[id].name, "amocas", 6) || at > REF_WINDOW - 16 || below(g, 2))
        return;
    unsigned words = riscv_opcodes[id].layout == RV_LAYOUT_PAIR ? 2 : 1;
    for (unsigned i = 0; i < words && r->in.rd && r->in.rd + i != r->in.rs1; i++)
        r->x[r->in.rd + i] = load_le(r->window + at + i * g->xlen / 8, g->xlen / 8);
}

// ---- Encodings ----

static void place(struct rig *g, uint32_t bits)
{
    unsigned len = riscv_insn_len(bits);
    for (unsigned i = 0; i < g->nr_harts; i++) {
        uint8_t code[8];
        store_le(code, 4, bits);
        // What follows must be an ebreak whatever was here before.
        store_le(code + len, 4, g->halfwords ? 0x90029002 : 0x00100073);
        cr_assert(mem_write_bytes(g->harts[i].mem, CODE, code, len + 4) == MEM_OK);
    }
}

// Jumps to the instruction itself, or into it, would not get to an ebreak.
static bool jumps_into_itself(const struct line *l, const struct riscv_insn *in, unsigned len)
{
    bool direct = has_operand(l->operands, "pa");
    return direct && in->imm > -4 && in->imm < 4 && in->imm != (int)len;
}

static bool start(struct rig *g, const struct line *l, uint32_t bits, struct ref *r)
{
    const struct riscv_cpu *rv = g->harts[0].rv;
    memset(r, 0, sizeof(*r));
    r->xlen = g->xlen;
    r->halfwords = g->halfwords;
    r->len = riscv_insn_len(bits);
    r->pc = CODE;
    r->fs = FS_DIRTY;
    r->priv = PRIV_M;
    r->window_base = WINDOW;
    if (!riscv_decode(&rv->decoder, bits, &r->in) || r->in.id != l->id ||
        jumps_into_itself(l, &r->in, r->len))
        return false;
    place(g, bits);
    return true;
}

static void vary(struct rig *g, const struct line *l, struct ref *r, unsigned n)
{
    while (n--) {
        random_state(g, l, r);
        aim(g, l, r);
        match_memory(g, r, l->id);
        run_all(g, r);
    }
}

// All pairs of edges in the two source registers.
static void all_pairs(struct rig *g, const struct line *l, struct ref *r)
{
    bool f1 = has_operand(l->operands, "S"), f2 = has_operand(l->operands, "T");
    bool two = has_operand(l->operands, "tT");
    const struct edges *e1 = f1 ? &l->f : &l->x, *e2 = f2 ? &l->f : &l->x;
    for (unsigned i = 0; i < edges_nr(e1); i++)
        for (unsigned k = 0; k < (two ? edges_nr(e2) : 1); k++) {
            random_state(g, l, r);
            uint64_t v1 = edge(e1, i), v2 = edge(e2, k);
            if (f2)
                r->f[r->in.rs2] = v2;
            else if (r->in.rs2)
                r->x[r->in.rs2] = g->xlen == 32 ? (uint32_t)v2 : v2;
            if (f1)
                r->f[r->in.rs1] = v1;
            else if (r->in.rs1)
                r->x[r->in.rs1] = g->xlen == 32 ? (uint32_t)v1 : v1;
            aim(g, l, r);
            run_all(g, r);
        }
}

static void with_registers(struct rig *g, const struct line *l, uint32_t bits, unsigned rd,
                           unsigned rs1, unsigned rs2, unsigned n)
{
    uint32_t fields = ~riscv_opcodes[l->id].mask, want = rd << 7 | rs1 << 15 | rs2 << 20;
    struct ref r;
    switch (riscv_opcodes[l->id].layout) {
    case RV_LAYOUT_S:
    case RV_LAYOUT_B:
        fields &= 0x01ff8000;
        break;
    case RV_LAYOUT_I:
    case RV_LAYOUT_SH:
    case RV_LAYOUT_CSR:
        fields &= 0x000f8f80;
        break;
    case RV_LAYOUT_U:
    case RV_LAYOUT_J:
        fields &= 0x00000f80;
        break;
    default:
        fields &= 0x01ff8f80;
        break;
    }
    if (start(g, l, (bits & ~fields) | (want & fields), &r))
        vary(g, l, &r, n);
}

static uint32_t random_bits(struct rig *g, unsigned id)
{
    const struct riscv_opcode *op = &riscv_opcodes[id];
    uint32_t dots = ~op->mask & (op->len == 2 ? 0xffff : 0xffffffff);
    uint32_t bits = op->match | ((uint32_t)(next_random(g) >> 32) & dots);
    static const uint16_t csrs[] = {0x001, 0x002, 0x003, 0x340, 0xf14, 0x5ff};
    if (op->layout == RV_LAYOUT_CSR)
        bits = (bits & 0xfffff) | (uint32_t)csrs[below(g, ARRAY_LEN(csrs))] << 20;
    if (op->layout == RV_LAYOUT_RM)
        bits |= 0x7000 & dots; // rounding modes have their turn below
    return bits;
}

static void check_registers_of_line(struct rig *g, const struct line *l)
{
    static const uint8_t sets[][3] = {{6, 8, 12}, {8, 8, 12}, {12, 8, 12}, {6, 8, 8},
                                      {8, 8, 8},  {0, 8, 12}, {6, 0, 12},  {6, 8, 0},
                                      {0, 0, 0},  {10, 2, 1}, {1, 5, 6},   {31, 31, 30},
                                      {5, 1, 10}, {1, 1, 2},  {5, 5, 2},   {0, 1, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(sets); i++)
        for (unsigned k = 0; k < 2; k++)
            with_registers(g, l, random_bits(g, l->id), sets[i][0], sets[i][1], sets[i][2], 12);
}

// ---- What is checked of a line ----

static void check_operands_of_line(struct rig *g, const struct line *l)
{
    struct ref r;
    bool is_short = riscv_opcodes[l->id].len == 2;
    unsigned random_operands = riscv_opcodes[l->id].mask == (is_short ? 0xffffu : ~0u) ? 1 : 40;
    for (unsigned n = 0; n < random_operands; n++)
        if (start(g, l, random_bits(g, l->id), &r))
            vary(g, l, &r, 10);
    if (!is_short)
        check_registers_of_line(g, l);
}

static uint32_t distinct_registers(uint32_t bits, unsigned id)
{
    uint32_t fields = ~riscv_opcodes[id].mask & 0x01ff8f80;
    return (bits & ~fields) | ((10u << 7 | 12u << 15 | 14u << 20) & fields);
}

static void check_pairs_of_line(struct rig *g, const struct line *l)
{
    struct ref r;
    if (riscv_opcodes[l->id].len == 4 && !l->rounds &&
        start(g, l, distinct_registers(random_bits(g, l->id), l->id), &r))
        all_pairs(g, l, &r);
}

static void check_rounding_of_line(struct rig *g, const struct line *l)
{
    struct ref r;
    bool triple = has_operand(l->operands, "R");
    if (!l->rounds)
        return;
    for (uint32_t rm = 0; rm < 8; rm++) {
        uint32_t bits = distinct_registers(random_bits(g, l->id), l->id);
        if (!start(g, l, (bits & ~0x7000u) | rm << 12, &r))
            continue;
        for (unsigned frm = 0; frm < 8; frm++) {
            r.frm = (uint8_t)frm;
            if (rm == 7 && frm <= 4 && !triple)
                all_pairs(g, l, &r);
            vary(g, l, &r, rm == 7 && frm <= 4 ? (triple ? 2500 : 300) : 40);
        }
    }
}

static void check_fs_of_line(struct rig *g, const struct line *l)
{
    struct ref r;
    bool reads_fp_csr = riscv_opcodes[l->id].layout == RV_LAYOUT_CSR;
    if (!l->is_fp && !reads_fp_csr)
        return;
    for (unsigned n = 0; n < 6; n++) {
        if (!start(g, l, random_bits(g, l->id), &r))
            continue;
        for (unsigned fs = FS_OFF; fs < FS_DIRTY; fs++) {
            random_state(g, l, &r);
            aim(g, l, &r);
            r.fs = (uint8_t)fs;
            run_all(g, &r);
        }
    }
}

static void check_user_mode_of_line(struct rig *g, const struct line *l)
{
    struct ref r;
    if (!l->is_system)
        return;
    for (unsigned n = 0; n < 20; n++)
        if (start(g, l, random_bits(g, l->id), &r)) {
            r.priv = PRIV_U;
            vary(g, l, &r, 4);
        }
}

static void check_line(struct rig *g, unsigned id)
{
    struct line l = line_of(id);
    uint64_t runs = g->runs;
    cr_assert(ref_exists(id), "no reference for %s", riscv_opcodes[id].name);
    check_operands_of_line(g, &l);
    check_pairs_of_line(g, &l);
    check_rounding_of_line(g, &l);
    check_fs_of_line(g, &l);
    check_user_mode_of_line(g, &l);
    cr_expect(g->runs > runs, "%s was never run", riscv_opcodes[id].name);
}

static void check_lines(const char *model, unsigned xlen, bool (*filter)(unsigned id))
{
    struct rig g;
    unsigned n = 0;
    rig_init(&g, model, xlen);
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        if (riscv_opcode_enabled(id, g.harts[0].rv->ext, xlen) && filter(id)) {
            check_line(&g, id);
            n++;
        }
    cr_expect(n > 0);
    rig_free(&g);
}

static bool is_float(unsigned id)
{
    return line_of(id).is_fp && riscv_opcodes[id].len == 4;
}

static bool is_integer(unsigned id)
{
    return !is_float(id) && riscv_opcodes[id].len == 4;
}

static bool is_short(unsigned id)
{
    return riscv_opcodes[id].len == 2;
}

static bool is_zcmp(unsigned id)
{
    return !strncmp(riscv_opcodes[id].name, "cm_", 3);
}

static bool is_jump(unsigned id)
{
    return id == RV_OP_jal || id == RV_OP_jalr || (id >= RV_OP_beq && id <= RV_OP_bgeu);
}

#define ZCMP_MODEL "max,c=off,zca=on,zcd=off,zcf=off,zcmp=on"
#define NO_C_MODEL "max,c=off,zca=off,zcb=off,zcd=off,zcf=off,zcmop=off"

Test(riscv_insns, every_line_has_a_reference)
{
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        cr_expect(ref_exists(id), "%s", riscv_opcodes[id].name);
}

// Between the models of the tests below.
Test(riscv_insns, every_line_is_tested)
{
    static const struct {
        const char *model;
        unsigned xlen;
        bool (*filter)(unsigned id);
    } tested[] = {{"max", 64, NULL}, {"max", 32, NULL}, {ZCMP_MODEL, 64, is_zcmp}};
    bool seen[RV_NR_OPS] = {false};
    for (unsigned i = 0; i < ARRAY_LEN(tested); i++) {
        struct rig g;
        rig_init(&g, tested[i].model, tested[i].xlen);
        for (unsigned id = 0; id < RV_NR_OPS; id++)
            if (riscv_opcode_enabled(id, g.harts[0].rv->ext, tested[i].xlen))
                seen[id] |= !tested[i].filter || tested[i].filter(id);
        rig_free(&g);
    }
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        cr_expect(seen[id], "%s", riscv_opcodes[id].name);
}

Test(riscv_insns, integer_64)
{
    check_lines("max", 64, is_integer);
}

Test(riscv_insns, integer_32)
{
    check_lines("max", 32, is_integer);
}

Test(riscv_insns, float_64)
{
    check_lines("max", 64, is_float);
}

Test(riscv_insns, float_32)
{
    check_lines("max", 32, is_float);
}

Test(riscv_insns, short_64)
{
    check_lines("max", 64, is_short);
}

Test(riscv_insns, short_32)
{
    check_lines("max", 32, is_short);
}

Test(riscv_insns, zcmp_64)
{
    check_lines(ZCMP_MODEL, 64, is_zcmp);
}

Test(riscv_insns, zcmp_32)
{
    check_lines(ZCMP_MODEL, 32, is_zcmp);
}

Test(riscv_insns, jumps_without_c)
{
    check_lines(NO_C_MODEL, 64, is_jump);
    check_lines(NO_C_MODEL, 32, is_jump);
}
