// SPDX-License-Identifier: MIT
// test: timeout=600
//
// Random programs: units of many instructions, with loops, short forward branches, accesses that share checks,
// and faults in the middle. Interpreter and native back end against riscv_reference.c, run at once and in two
// slices, so that a unit is cut at any instruction. RISCV_PROGRAMS in the environment is how many, RISCV_SEED
// another start.
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "cpu/riscv/disas.h"
#include "tests/unit/riscv_rig.h"

enum { MAX_INSNS = 48, MAX_STEPS = 300, COUNTER = 31, LOOPS = 3 };

// Registers that keep pointing into the window.
static const struct {
    uint8_t reg;
    uint16_t offset;
} pointers[] = {{2, 64}, {8, 128}, {9, 256}};

struct program {
    uint32_t bits[MAX_INSNS + 3];
    unsigned at[MAX_INSNS + 4]; // offsets; the last is the program's length
    unsigned nr;
};

// ---- Which instructions ----

static bool has_operand(unsigned id, const char *any)
{
    return strpbrk(riscv_opcodes[riscv_opcodes[id].base].operands, any) != NULL;
}

static bool suits(unsigned id)
{
    switch (riscv_opcodes[id].base) {
    case RV_OP_ecall:
    case RV_OP_ebreak:
    case RV_OP_mret:
    case RV_OP_sret:
    case RV_OP_wfi:
    case RV_OP_jalr:
        return false;
    default:
        // Targets are chosen, which is easier in 32 bits.
        return !(has_operand(id, "pa") && riscv_opcodes[id].len == 2) && !has_operand(id, "l");
    }
}

static GArray *suitable(const struct rig *g)
{
    GArray *a = g_array_new(FALSE, FALSE, sizeof(unsigned));
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        if (suits(id) && riscv_opcode_enabled(id, g->harts[0].rv->ext, g->xlen))
            g_array_append_val(a, id);
    return a;
}

// ---- Making one ----

static int window_offset(unsigned reg)
{
    for (unsigned i = 0; i < ARRAY_LEN(pointers); i++)
        if (pointers[i].reg == reg)
            return pointers[i].offset;
    return -1;
}

static bool is_kept(unsigned reg)
{
    return reg == COUNTER || window_offset(reg) >= 0;
}

static uint32_t with_immediate(uint32_t bits, unsigned layout, int imm)
{
    uint32_t v = (uint32_t)imm;
    switch (layout) {
    case RV_LAYOUT_I:
        return (bits & 0xfffff) | v << 20;
    case RV_LAYOUT_S:
        return (bits & ~0xfe000f80u) | (v & 0xfe0) << 20 | (v & 31) << 7;
    case RV_LAYOUT_B:
        return (bits & ~0xfe000f80u) | (v >> 1 & 15) << 8 | (v >> 5 & 63) << 25 |
               (v >> 11 & 1) << 7 | (v >> 12 & 1) << 31;
    case RV_LAYOUT_J:
        return (bits & 0xfff) | (v >> 1 & 0x3ff) << 21 | (v >> 11 & 1) << 20 | (v & 0xff000) |
               (v >> 20 & 1) << 31;
    default:
        return bits;
    }
}

static uint32_t random_csr(struct rig *g, uint32_t bits)
{
    static const uint16_t csrs[] = {0x001, 0x001, 0x340, 0x340, 0x340, 0x003};
    return (bits & 0xfffff) | (uint32_t)csrs[rig_below(g, ARRAY_LEN(csrs))] << 20;
}

// Bits of the line whose operands are likely to be of use.
static uint32_t random_bits(struct rig *g, unsigned id)
{
    const struct riscv_opcode *op = &riscv_opcodes[id];
    uint32_t dots = ~op->mask & (op->len == 2 ? 0xffff : 0xffffffff);
    uint32_t bits = op->match | ((uint32_t)(rig_random(g) >> 32) & dots);
    if (op->len == 2)
        return bits;
    if (op->layout == RV_LAYOUT_RM && rig_below(g, 4))
        bits |= 0x7000;
    if (op->layout == RV_LAYOUT_CSR)
        bits = random_csr(g, bits);
    if (has_operand(id, "o0")) {
        unsigned base = pointers[rig_below(g, ARRAY_LEN(pointers))].reg;
        bits = (bits & ~0x000f8000u) | base << 15;
        if (has_operand(id, "o"))
            bits = with_immediate(bits, op->layout, (int)rig_below(g, 200) - 60);
    }
    return bits;
}

// Whether it leaves the kept registers alone and its memory is in the window.
static bool acceptable(const struct rig *g, unsigned id, uint32_t bits)
{
    struct riscv_insn in;
    if (!riscv_decode(&g->harts[0].rv->decoder, bits, &in) || in.id != id)
        return false;
    if (has_operand(id, "d") && is_kept(in.rd))
        return false;
    if (riscv_opcodes[id].layout == RV_LAYOUT_PAIR && is_kept(in.rd + 1))
        return false;
    if (!has_operand(id, "o0"))
        return true;
    int at = window_offset(in.rs1) + (has_operand(id, "o") ? in.imm : 0);
    return window_offset(in.rs1) >= 0 && at >= 0 && at <= REF_WINDOW - 16;
}

static void append(struct program *p, uint32_t bits)
{
    p->bits[p->nr] = bits;
    p->at[p->nr + 1] = p->at[p->nr] + riscv_insn_len(bits);
    p->nr++;
}

// Branches go over the next instruction: their offset waits for its length.
static void aim_branch(struct program *p, unsigned n)
{
    struct riscv_insn in = {0};
    for (unsigned id = RV_OP_jal; id <= RV_OP_bgeu; id++)
        if ((p->bits[n] & riscv_opcodes[id].mask) == riscv_opcodes[id].match)
            in.id = (uint16_t)id;
    if (in.id)
        p->bits[n] =
            with_immediate(p->bits[n], riscv_opcodes[in.id].layout, (int)(p->at[n + 2] - p->at[n]));
}

static void make_program(struct rig *g, const GArray *ids, struct program *p)
{
    unsigned nr = 2 + rig_below(g, MAX_INSNS - 2);
    p->nr = p->at[0] = 0;
    while (p->nr < nr) {
        unsigned id = g_array_index(ids, unsigned, rig_below(g, ids->len));
        uint32_t bits = random_bits(g, id);
        if (acceptable(g, id, bits))
            append(p, bits);
    }
    append(p, 0x00000013); // nop: what the last one may skip
    append(p, 0xffff8f93); // addi t6,t6,-1
    for (unsigned i = 0; i < nr; i++)
        aim_branch(p, i);
    append(p, with_immediate(0x000f9063, RV_LAYOUT_B, -(int)p->at[p->nr])); // bnez t6,start
}

// ---- Running it ----

static void random_state(struct rig *g, struct ref *r)
{
    struct edges x = edges_of_x();
    struct edges f[3] = {edges_of_f(RV_OP_fadd_s), edges_of_f(RV_OP_fadd_d),
                         edges_of_f(RV_OP_fadd_h)};
    memset(r, 0, sizeof(*r));
    r->xlen = g->xlen;
    r->halfwords = g->halfwords;
    r->pc = CODE;
    r->window_base = WINDOW;
    r->fs = rig_below(g, 4) ? FS_DIRTY : FS_CLEAN;
    r->priv = rig_below(g, 8) ? PRIV_M : PRIV_U;
    r->frm = (uint8_t)rig_below(g, 5);
    for (unsigned i = 1; i < 32; i++)
        r->x[i] = g->xlen == 32 ? (uint32_t)rig_value(g, &x) : rig_value(g, &x);
    for (unsigned i = 0; i < 32; i++)
        r->f[i] = rig_value(g, &f[rig_below(g, 3)]);
    for (unsigned i = 0; i < REF_WINDOW; i += 8)
        store_le(r->window + i, 8, rig_value(g, rig_below(g, 2) ? &x : &f[rig_below(g, 3)]));
    for (unsigned i = 0; i < ARRAY_LEN(pointers); i++)
        r->x[pointers[i].reg] = WINDOW + pointers[i].offset;
    switch (rig_below(g, 6)) { // faults in the middle
    case 0:
        r->x[9] = UNMAPPED;
        break;
    case 1:
        r->x[9] += 1 + rig_below(g, 7);
        break;
    default:
        break;
    }
    r->x[COUNTER] = LOOPS;
}

// Runs the reference to the program's end or a trap; *middle is the state after `cut` steps. Returns how many
// instructions were retired.
static unsigned run_reference(const struct rig *g, const struct program *p, struct ref *r,
                              unsigned cut, struct ref *middle)
{
    unsigned steps = 0, n = 0;
    while (n < p->nr && !r->trapped && steps < MAX_STEPS) {
        if (steps == cut)
            *middle = *r;
        bool known = riscv_decode(&g->harts[0].rv->decoder, p->bits[n], &r->in);
        cr_assert(known);
        r->len = riscv_insn_len(p->bits[n]);
        ref_step(r);
        if (r->trapped)
            break;
        steps++;
        for (n = 0; n < p->nr && CODE + p->at[n] != r->pc; n++)
            ;
    }
    cr_assert(r->trapped || r->pc == CODE + p->at[p->nr], "the program does not end");
    return steps;
}

static void report(struct rig *g, const struct hart *h, const struct program *p,
                   const struct ref *start, const char *what, const GString *text)
{
    GString *s = g_string_new(NULL);
    for (unsigned n = 0; n < p->nr; n++) {
        g_string_append_printf(s, "  %x: ", CODE + p->at[n]);
        riscv_disas_insn(&h->rv->decoder, CODE + p->at[n], p->bits[n], true, s);
        g_string_append_c(s, '\n');
    }
    cr_assert(false, "%s, rv%u, %s, frm %u FS %u priv %u\n%s%s", h->name, g->xlen, what, start->frm,
              start->fs, start->priv, s->str, text->str);
}

static void check_pc(const struct hart *h, const struct ref *r, unsigned retired, GString *out)
{
    const struct cpu *cpu = &h->rv->cpu;
    if (cpu->pc != r->pc)
        g_string_append_printf(out, "  pc is 0x%llx, not 0x%llx\n", (unsigned long long)cpu->pc,
                               (unsigned long long)r->pc);
    if (cpu_retired(cpu) != retired)
        g_string_append_printf(out, "  %u instructions retired, not %u\n",
                               (unsigned)cpu_retired(cpu), retired);
}

static void run_program(struct rig *g, const struct program *p)
{
    struct ref start, middle, end;
    GString *text = g_string_new(NULL);
    unsigned cut = rig_below(g, 1 + LOOPS * p->nr);
    random_state(g, &start);
    end = middle = start;
    unsigned steps = run_reference(g, p, &end, cut, &middle);
    cut = MIN(cut, steps);
    for (unsigned i = 0; i < g->nr_harts; i++) {
        struct hart *h = &g->harts[i];
        hart_put(h, &start);
        hart_run(h, steps + 1);
        hart_check_stopped(h, &end, text);
        if (text->len)
            report(g, h, p, &start, "whole", text);
        if (cut == 0 || cut == steps)
            continue;
        hart_put(h, &start);
        hart_run(h, cut);
        hart_check(h, &middle, text);
        check_pc(h, &middle, cut, text);
        if (text->len)
            report(g, h, p, &start, "first slice", text);
        hart_run(h, steps + 1 - cut);
        hart_check_stopped(h, &end, text);
        if (text->len)
            report(g, h, p, &start, "second slice", text);
    }
    g_string_free(text, TRUE);
}

static void run_programs(unsigned xlen)
{
    struct rig g;
    struct program p;
    const char *seed = getenv("RISCV_SEED"), *nr = getenv("RISCV_PROGRAMS");
    rig_init(&g, "max", xlen);
    if (seed)
        g.seed ^= strtoull(seed, NULL, 0) * UINT64_C(0x9e3779b97f4a7c15);
    GArray *ids = suitable(&g);
    for (unsigned n = nr ? (unsigned)strtoul(nr, NULL, 0) : 800; n > 0; n--) {
        make_program(&g, ids, &p);
        for (unsigned i = 0; i < p.nr; i++)
            rig_place(&g, p.at[i], p.bits[i]);
        for (unsigned k = 0; k < 3; k++)
            run_program(&g, &p);
    }
    g_array_free(ids, TRUE);
    rig_free(&g);
}

Test(riscv_programs, random_64)
{
    run_programs(64);
}

Test(riscv_programs, random_32)
{
    run_programs(32);
}
