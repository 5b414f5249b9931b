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
#include "tests/unit/riscv_rig.h"

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
        hart_put(h, before);
        hart_run(h, 2); // it and the ebreak behind it
        hart_check_stopped(h, &after, text);
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

// ---- Lines ----

struct line {
    unsigned id, base;
    const char *operands; // of the base
    bool is_fp, rounds, reads_x, reads_f, touches_memory, jumps_to_x, is_system;
    struct edges x, f;
    unsigned *seen; // RD_0 and its like: what was run so far
};

// Registers that deserve a look: x0, and the same one twice.
enum { RD_0 = 1, RS1_0 = 2, RS2_0 = 4, RD_RS1 = 8, RD_RS2 = 16, RS1_RS2 = 32 };

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

static unsigned special_registers(const struct riscv_insn *in)
{
    return (in->rd == 0 ? RD_0 : 0) | (in->rs1 == 0 ? RS1_0 : 0) | (in->rs2 == 0 ? RS2_0 : 0) |
           (in->rd == in->rs1 ? RD_RS1 : 0) | (in->rd == in->rs2 ? RD_RS2 : 0) |
           (in->rs1 == in->rs2 ? RS1_RS2 : 0);
}

// Those that a line has.
static unsigned special_registers_of_line(const struct line *l)
{
    bool d = has_operand(l->operands, "d"), s = has_operand(l->operands, "so0"),
         t = has_operand(l->operands, "t");
    bool fd = has_operand(l->operands, "D"), fs = has_operand(l->operands, "S"),
         ft = has_operand(l->operands, "T");
    return (d ? RD_0 : 0) | (s ? RS1_0 : 0) | (t ? RS2_0 : 0) |
           ((d && s) || (fd && fs) ? RD_RS1 : 0) | ((d && t) || (fd && ft) ? RD_RS2 : 0) |
           ((s && t) || (fs && ft) ? RS1_RS2 : 0);
}

static void random_state(struct rig *g, const struct line *l, struct ref *r)
{
    for (unsigned i = 1; i < 32; i++)
        r->x[i] = g->xlen == 32 ? (uint32_t)rig_value(g, &l->x) : rig_value(g, &l->x);
    for (unsigned i = 0; i < 32; i++)
        r->f[i] = rig_value(g, &l->f);
    for (unsigned i = 0; i < REF_WINDOW; i += 8)
        store_le(r->window + i, 8, rig_value(g, rig_below(g, 2) ? &l->x : &l->f));
    r->flags = rig_below(g, 4) ? 0 : FP_INEXACT | FP_DIVZERO;
    r->mscratch = g->xlen == 32 ? (uint32_t)rig_value(g, &l->x) : rig_value(g, &l->x);
    r->mepc = CODE + 0x80;
    r->sepc = CODE + 0xc0;
    r->reserved = 0;
}

// Somewhere to load from or store to; seldom where nothing is.
static uint64_t some_address(struct rig *g)
{
    uint64_t middle = WINDOW + REF_WINDOW / 2;
    switch (rig_below(g, 8)) {
    case 0:
        return UNMAPPED + rig_below(g, 64);
    case 1:
    case 2:
        return middle - 8 + rig_below(g, 16);
    case 3:
        return middle - 128 + rig_below(g, 160);
    default:
        return middle - 128 + 16 * rig_below(g, 10);
    }
}

static uint64_t some_target(struct rig *g)
{
    uint64_t v = CODE + 0x40 + rig_below(g, 0x800);
    return rig_below(g, 16) ? v : UNMAPPED + 4 * rig_below(g, 4);
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
    r->reservation = r->x[reg] - (rig_below(g, 8) ? 0 : 8);
    r->reserved = (uint8_t)((rig_below(g, 3) ? 4u : 0) << rig_below(g, 2));
}

// A compare and swap that succeeds half of the time.
static void match_memory(struct rig *g, struct ref *r, unsigned id)
{
    uint64_t at = r->x[r->in.rs1] - WINDOW;
    if (strncmp(riscv_opcodes[id].name, "amocas", 6) || at > REF_WINDOW - 16 || rig_below(g, 2))
        return;
    unsigned words = riscv_opcodes[id].layout == RV_LAYOUT_PAIR ? 2 : 1;
    for (unsigned i = 0; i < words && r->in.rd && r->in.rd + i != r->in.rs1; i++)
        r->x[r->in.rd + i] = load_le(r->window + at + i * g->xlen / 8, g->xlen / 8);
}

// ---- Encodings ----

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
    r->aligned = rv->cpu.align_all;
    r->len = riscv_insn_len(bits);
    r->pc = CODE;
    r->fs = FS_DIRTY;
    r->priv = PRIV_M;
    r->window_base = WINDOW;
    if (!riscv_decode(&rv->decoder, bits, &r->in) || jumps_into_itself(l, &r->in, r->len))
        return false;
    *l->seen |= special_registers(&r->in); // if only by a line that stands before it
    if (r->in.id != l->id)
        return false;
    rig_place(g, 0, bits);
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
            uint64_t v1 = edge_value(e1, i), v2 = edge_value(e2, k);
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
    uint32_t bits = op->match | ((uint32_t)(rig_random(g) >> 32) & dots);
    static const uint16_t csrs[] = {0x001, 0x002, 0x003, 0x340, 0xf14, 0x5ff};
    if (op->layout == RV_LAYOUT_CSR)
        bits = (bits & 0xfffff) | (uint32_t)csrs[rig_below(g, ARRAY_LEN(csrs))] << 20;
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

// Each of the encodings of a short line.
static void check_encodings_of_line(struct rig *g, const struct line *l)
{
    const struct riscv_opcode *op = &riscv_opcodes[l->id];
    uint32_t dots = ~op->mask & 0xffff, n = dots;
    struct ref r;
    if (op->len != 2)
        return;
    do {
        if (start(g, l, op->match | n, &r))
            vary(g, l, &r, 1);
        n = (n - 1) & dots;
    } while (n != dots);
}

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
    unsigned seen = 0;
    l.seen = &seen;
    cr_assert(ref_exists(id), "no reference for %s", riscv_opcodes[id].name);
    check_encodings_of_line(g, &l);
    check_operands_of_line(g, &l);
    check_pairs_of_line(g, &l);
    check_rounding_of_line(g, &l);
    check_fs_of_line(g, &l);
    check_user_mode_of_line(g, &l);
    cr_expect(g->runs > runs, "%s was never run", riscv_opcodes[id].name);
    unsigned missing = special_registers_of_line(&l) & ~seen;
    cr_expect(riscv_opcodes[id].len == 2 || !missing,
              "%s was not run with x0 or the same register twice: %x", riscv_opcodes[id].name,
              missing);
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

static bool accesses(unsigned id)
{
    return line_of(id).touches_memory;
}

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

// Each access traps where it is misaligned, whatever else is wrong with it.
Test(riscv_insns, misaligned_accesses_trap)
{
    check_lines("max,misaligned=off", 64, accesses);
    check_lines("max,misaligned=off", 32, accesses);
    check_lines(ZCMP_MODEL ",misaligned=off", 64, accesses);
    check_lines(ZCMP_MODEL ",misaligned=off", 32, accesses);
}
