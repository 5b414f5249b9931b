// SPDX-License-Identifier: MIT
//
// The execution loop with random code: whatever is in memory is code of an instruction set whose
// instructions do random things: branches, jumps, traps, interrupts, device accesses, stores into
// code, changes of the key. Two CPUs take turns on it. A native back end, the interpreter, and the
// interpreter made to run one instruction at a time must agree at every step: so linking, the jump
// cache, exact budgets, retries and the dropping of units are seen to change nothing.
//
// FERRY_IR_PROGRAMS says how many programs to run, FERRY_IR_FIRST the number of the first one.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "tests/unit/ir_gen.h"

#define CODE_MASK 0x3ffe // of the first four pages, which are code as a rule
#define ROUNDS    12

// --- The instruction set ---

// Two instructions are not random.
enum { BITS_MANY_CALLS = 0, BITS_NOTHING = 2 };

static vaddr_t code_at(uint64_t v)
{
    return SIDE_BASE + (v & CODE_MASK);
}

static vaddr_t near_pc(struct gen *g, vaddr_t pc)
{
    pc += gen_below(g, 128) - 48;
    bool window = pc - SIDE_WINDOW < PAGE_SIZE;
    return window ? SIDE_WINDOW + (pc & 0xffe) : code_at(pc - SIDE_BASE);
}

static void call(struct ir *ir, unsigned index, ir_ref a, ir_ref b, ir_ref c)
{
    const struct ir_call *f = &side_calls[index];
    ir_call(ir, f->fn, f->name, f->flags, IR_VOID, a, b, c, 0);
}

static void lift_random_branch(struct lift *l, struct gen *g)
{
    enum ir_type type = gen_chance(g, 2) ? IR_I32 : IR_I64;
    ir_ref a = gen_pick(g, type), b = gen_pick(g, type);
    lift_branch(l, gen_below(g, IR_NR_CONDS), a, b, near_pc(g, l->pc));
}

// To where fetching fails, or permission varies, or an instruction goes on in such a page.
static void lift_wild_jump(struct lift *l, struct gen *g)
{
    vaddr_t target = SIDE_BASE + (gen_random(g) & 0x1fffe);
    if (gen_chance(g, 2))
        target = SIDE_WINDOW + (gen_chance(g, 2) ? -2 : (int)gen_below(g, 128) * 2);
    else if (gen_chance(g, 2))
        target = SIDE_BASE + (1 + gen_below(g, SIDE_VARYING + 1)) * PAGE_SIZE - 2;
    lift_jump_indirect(l, IR_JUMP, ir_const(l->ir, l->cpu->addr32 ? IR_I32 : IR_I64, target));
}

static void lift_random_indirect(struct lift *l, struct gen *g)
{
    struct ir *ir = l->ir;
    if (gen_chance(g, 12)) {
        lift_wild_jump(l, g);
        return;
    }
    unsigned mask = gen_chance(g, 2) ? 0x1e : CODE_MASK;
    ir_ref v = ir_bini(ir, IR_AND, ir_get(ir, SIDE_X + gen_below(g, SIDE_NR_X)), mask);
    ir_ref target = ir_bini(ir, IR_ADD, v, (int64_t)(near_pc(g, l->pc) & ~(uint64_t)mask));
    lift_jump_indirect(l, gen_below(g, 3), target);
}

static void lift_set_key(struct lift *l, struct gen *g)
{
    struct ir *ir = l->ir;
    ir_ref rm = ir_const(ir, IR_I64, gen_chance(g, 2) ? 7 : gen_below(g, FP_RMM + 1));
    call(ir, SIDE_CALL_SET_KEY, gen_pick(g, IR_I64), rm, ir_const(ir, IR_I64, gen_below(g, 4)));
    if (gen_chance(g, 2))
        lift_random_indirect(l, g);
    else
        lift_leave(l, LEAVE_LOOKUP);
}

// Other code may be in the window now, where this may be running.
static void lift_set_bank(struct lift *l, struct gen *g)
{
    struct ir *ir = l->ir;
    call(ir, SIDE_CALL_SET_BANK, gen_pick(g, IR_I64), ir_const(ir, IR_I64, gen_below(g, 4)), 0);
    if (gen_chance(g, 2))
        lift_random_indirect(l, g);
    else
        lift_leave(l, LEAVE_LOOKUP);
}

static void lift_random_leave(struct lift *l, struct gen *g)
{
    unsigned how = gen_below(g, 8);
    gen_body(g, gen_below(g, 2));
    if (how == 0)
        call(l->ir, SIDE_CALL_KICK, 0, 0, 0);
    lift_leave(l, how < 4 ? LEAVE_LOOKUP : how == 4 ? LEAVE_YIELD : LEAVE_HALT);
}

// Does something only in half of the modes, else makes it one of those first.
static void lift_restart(struct lift *l, struct gen *g)
{
    struct ir *ir = l->ir;
    if (l->key & 2) {
        gen_body(g, 2);
        return;
    }
    call(ir, SIDE_CALL_SET_KEY, ir_const(ir, IR_I64, l->key | 2), ir_const(ir, IR_I64, 7),
         ir_const(ir, IR_I64, 1));
    lift_leave(l, LEAVE_RESTART);
}

static void lift_device_access(struct lift *l, struct gen *g)
{
    struct ir *ir = l->ir;
    ir_ref base = ir_const(ir, l->cpu->addr32 ? IR_I32 : IR_I64, SIDE_IO);
    unsigned size = gen_below(g, 3);
    if (gen_chance(g, 2))
        ir_st(ir, size, base, gen_below(g, 32) << size, gen_pick(g, IR_I64));
    else
        ir_set(ir, SIDE_L, ir_ld(ir, IR_I64, size, base, gen_below(g, 32) << size));
}

// Often just behind, so that the running unit changes itself.
static void lift_store_to_code(struct lift *l, struct gen *g)
{
    struct ir *ir = l->ir;
    vaddr_t at = gen_chance(g, 2) ? l->pc + gen_below(g, 16) : code_at(gen_random(g));
    ir_ref base = ir_const(ir, l->cpu->addr32 ? IR_I32 : IR_I64, at);
    ir_st(ir, gen_below(g, 3), base, 0, gen_pick(g, IR_I64));
}

// More operations that hosts have to call functions for than a unit may have calls.
static void lift_many_calls(struct lift *l)
{
    struct ir *ir = l->ir;
    ir_ref sum = ir_get(ir, SIDE_D);
    for (unsigned i = 0; i < 12; i++)
        sum = ir_fbin(ir, IR_FADD, FP_RMM, sum, ir_get(ir, SIDE_D + i));
    ir_set(ir, SIDE_D, ir_un(ir, IR_FCANON, sum));
}

static void lift_one(struct lift *l, struct gen *g)
{
    switch (gen_below(g, 64)) {
    case 0:
        lift_set_key(l, g);
        break;
    case 1:
        lift_random_leave(l, g);
        break;
    case 2:
        lift_restart(l, g);
        break;
    case 3:
        lift_raise(l, gen_below(g, 8), gen_pick(g, IR_I64));
        break;
    case 4:
        lift_device_access(l, g);
        break;
    case 5:
        lift_store_to_code(l, g);
        break;
    case 6:
        lift_set_bank(l, g);
        break;
    case 7:
    case 8:
    case 9:
        lift_random_indirect(l, g);
        break;
    case 10:
    case 11:
        lift_jump(l, near_pc(g, l->pc));
        break;
    case 12 ... 17:
        gen_body(g, 1);
        lift_random_branch(l, g);
        break;
    default:
        gen_body(g, gen_below(g, 4));
    }
}

// Instructions are of 2 bytes, or 4 if their low bits are set. What one does depends on its bits
// and the mode.
static bool lift(struct lift *l)
{
    uint32_t bits, high = 0;
    if (!lift_fetch(l, 0, 2, &bits))
        return false;
    unsigned len = (bits & 3) == 3 ? 4 : 2;
    if (len == 4 && !lift_fetch(l, 2, 2, &high))
        return false;
    struct gen g;
    gen_start(&g, l->ir, !l->cpu->addr32,
              bits | (uint64_t)high << 16 | (uint64_t)(l->key & 3) << 32);
    g.calm = true;
    g.few = l->pc & 0x800; // there, loops are of a kind that hosts carry registers around
    l->next_pc = l->pc + len;
    if (l->cpu->addr32)
        l->next_pc = (uint32_t)l->next_pc;
    ir_guest(l->ir, l->pc, len);
    if (bits == BITS_MANY_CALLS)
        lift_many_calls(l);
    else if (bits != BITS_NOTHING)
        lift_one(l, &g);
    return true;
}

// --- Programs ---

struct player {
    struct side *side[3]; // the first is the one that others are compared with
    unsigned nr;
    bool wide;
    struct side_state st[SIDE_NR_CPUS];
    uint8_t ram[SIDE_RAM_SIZE];
};

static void player_init(struct player *p, bool wide)
{
    *p = (struct player){.wide = wide};
    p->side[p->nr++] = side_new("one by one", &host_interp, wide, lift);
    p->side[p->nr++] = side_new("interp", &host_interp, wide, lift);
    if (host_native)
        p->side[p->nr++] = side_new("native", host_native, wide, lift);
}

static void player_free(struct player *p)
{
    for (unsigned i = 0; i < p->nr; i++)
        side_free(p->side[i]);
}

static void make_state(struct gen *g, struct side_state *st)
{
    gen_state(g, st);
    // Data are in the four pages behind the code, as a rule.
    for (unsigned i = SIDE_A; i < SIDE_A + SIDE_NR_A; i++)
        if (!gen_chance(g, 6))
            st->reg[i] = SIDE_BASE + (4 * PAGE_SIZE | (gen_random(g) & 0x3ff8));
    st->pc = code_at(gen_random(g));
    st->mode = gen_below(g, 4);
    st->enabled = 1;
    if (gen_chance(g, 4))
        st->pc = SIDE_WINDOW + (st->pc & 0xffe);
}

static void make_program(struct player *p, uint64_t number)
{
    struct ir *ir = g_new(struct ir, 1);
    struct gen g;
    gen_start(&g, ir, p->wide, number);
    for (unsigned c = 0; c < SIDE_NR_CPUS; c++)
        make_state(&g, &p->st[c]);
    for (unsigned i = 0; i < SIDE_RAM_SIZE; i += 8)
        store_le(p->ram + i, 8, gen_random(&g));
    // The last instruction of a page is a long one.
    for (unsigned i = 1; i <= SIDE_PAGES; i++)
        p->ram[i * PAGE_SIZE - 2] |= 3;
    // Loops, so that units are run more than once: a stretch of code again and again.
    if (gen_chance(&g, 2))
        for (unsigned i = 256; i < 4 * PAGE_SIZE; i += 256)
            memcpy(p->ram + i, p->ram, 256);
    g_free(ir);
}

static void set_up(const struct player *p, struct side *s)
{
    for (unsigned c = 0; c < SIDE_NR_CPUS; c++) {
        side_switch(s, c);
        side_set(s, &p->st[c], p->ram);
    }
}

// How many steps a round of a program takes; something happens before it. The CPUs take turns by
// rounds.
static uint64_t round_steps(uint64_t number, unsigned round)
{
    return 1 + side_hash(number * ROUNDS + round) % 600;
}

// One by one, and each instruction translated anew: code that changed can't be missed.
static void run_forgetful(struct side *s, uint64_t steps)
{
    uint64_t end = s->steps + steps;
    do {
        exec_clear(s->exec);
        side_run_loop(s, 1, 1);
    } while (s->steps < end && s->stop == EXEC_BUDGET);
}

static void play(const struct player *p, struct side *s, uint64_t number, unsigned round,
                 uint64_t steps)
{
    side_switch(s, round % SIDE_NR_CPUS);
    if (s->cpu->cpu.halted || side_hash(number ^ round) % 3 == 0)
        s->cpu->pending = 1;
    if (s != p->side[0])
        side_run_loop(s, steps, steps);
    else if (number % 8 == 0)
        run_forgetful(s, steps);
    else
        side_run_loop(s, steps, 1);
}

// From the beginning to `steps` into a round.
static char *replay(const struct player *p, struct side *s, uint64_t number, unsigned round,
                    uint64_t steps)
{
    struct side *both[] = {p->side[0], s};
    for (unsigned i = 0; i < G_N_ELEMENTS(both); i++) {
        set_up(p, both[i]);
        for (unsigned r = 0; r < round; r++)
            play(p, both[i], number, r, round_steps(number, r));
        play(p, both[i], number, round, steps);
    }
    return side_compare(p->side[0], s);
}

// Says after how many steps of the round the sides differ first, and logs the IR of all units up to
// there.
static void report(const struct player *p, struct side *s, uint64_t number, unsigned round)
{
    char *difference = NULL, log[256];
    uint64_t steps = 0, most = round_steps(number, round);
    while (!difference && steps < most)
        difference = replay(p, s, number, round, ++steps);
    snprintf(log, sizeof(log), "%s/test_exec-%s-%" PRIu64 ".log", g_get_tmp_dir(),
             p->wide ? "64" : "32", number);
    log_set_file(log, NULL);
    log_set_mask("op_opt,out_asm,int", NULL);
    g_free(replay(p, s, number, round, steps));
    fprintf(stderr,
            "program %" PRIu64 " on %s, round %u, after %" PRIu64 " of %" PRIu64
            " steps (units in %s):\n%s\n",
            number, s->name, round, steps, most, log, difference ? difference : "not again");
    cr_fatal("program %" PRIu64 ": the sides differ, see above", number);
}

// Each step of time was an instruction that retired, or a trap.
static void expect_steps_add_up(const struct player *p, struct side *s, uint64_t traps_before)
{
    uint64_t retired = 0, traps = exec_stats(s->exec)->traps - traps_before;
    for (unsigned c = 0; c < SIDE_NR_CPUS; c++) {
        side_switch(s, c);
        retired += s->cpu->cpu.retired - p->st[c].retired;
    }
    cr_assert(eq(u64, retired + traps, s->steps - p->st[SIDE_NR_CPUS - 1].steps));
}

static void run_program(const struct player *p, uint64_t number)
{
    uint64_t traps[G_N_ELEMENTS(p->side)];
    for (unsigned i = 0; i < p->nr; i++) {
        set_up(p, p->side[i]);
        traps[i] = exec_stats(p->side[i]->exec)->traps;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < p->nr; i++) {
            play(p, p->side[i], number, round, round_steps(number, round));
            char *difference = side_compare(p->side[0], p->side[i]);
            if (difference)
                report(p, p->side[i], number, round);
        }
    }
    for (unsigned i = 0; i < p->nr; i++)
        expect_steps_add_up(p, p->side[i], traps[i]);
}

static void fill_with_nothing(struct player *p)
{
    for (unsigned i = 0; i < SIDE_RAM_SIZE; i += 2)
        store_le(p->ram + i, 2, BITS_NOTHING);
}

static void expect_same(const struct player *p, const struct side *s)
{
    char *difference = side_compare(p->side[0], s);
    cr_assert(difference == NULL, "%s", difference);
}

Test(exec, units_that_hosts_want_shorter)
{
    struct player p;
    player_init(&p, true);
    make_program(&p, 0);
    p.st[0].pc = SIDE_BASE;
    memset(p.ram, 0, sizeof(p.ram));
    for (unsigned i = 0; i < p.nr; i++) {
        set_up(&p, p.side[i]);
        side_switch(p.side[i], 0);
        side_run_loop(p.side[i], 1000, i ? 1000 : 1);
        expect_same(&p, p.side[i]);
    }
    player_free(&p);
}

// An exit to where fetching fails leads to the trap each time, not to the handler.
Test(exec, exits_to_a_failing_fetch)
{
    struct player p;
    player_init(&p, true);
    make_program(&p, 0);
    fill_with_nothing(&p);
    p.ram[SIDE_HOLE * PAGE_SIZE - 2] |= 3; // goes on in the hole
    for (unsigned i = 0; i < p.nr; i++)
        set_up(&p, p.side[i]);
    for (unsigned turn = 0; turn < 4; turn++) {
        for (unsigned i = 0; i < p.nr; i++) {
            p.side[i]->cpu->cpu.pc = SIDE_BASE + SIDE_HOLE * PAGE_SIZE - 8;
            side_run_loop(p.side[i], 300, i ? 300 : 1);
            expect_same(&p, p.side[i]);
        }
        cr_assert(eq(u64, exec_stats(p.side[0]->exec)->traps, turn + 1));
    }
    player_free(&p);
}

// Bytes of code change by DMA. The unit that was made from them is made again, others are not.
Test(exec, code_changes)
{
    static const struct {
        int64_t at; // of two bytes, from the end of page 2
        bool again;
    } writes[] = {{-6, false}, {-5, true}, {-4, true}, {-2, true},
                  {0, true},   {1, true},  {2, false}, {PAGE_SIZE, false}};
    const uint64_t end = 2 * PAGE_SIZE;
    for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++) {
        struct player p;
        player_init(&p, true);
        make_program(&p, 0);
        struct side *s = p.side[p.nr - 1];
        fill_with_nothing(&p);
        p.ram[end - 2] |= 3; // goes on in the next page
        set_up(&p, s);
        for (unsigned turn = 0; turn < 3; turn++) {
            uint64_t before = exec_stats(s->exec)->units;
            if (turn == 2)
                mem_write_bytes(s->mem, SIDE_BASE + end + writes[i].at, &(uint8_t[2]){BITS_NOTHING},
                                2);
            s->cpu->cpu.pc = SIDE_BASE + end - 4;
            memset(s->cpu->cpu.heat, 0, sizeof(s->cpu->cpu.heat)); // no traces
            side_run_loop(s, 2, 2);
            bool made = exec_stats(s->exec)->units > before;
            cr_expect(made == (turn == 0 || (turn == 2 && writes[i].again)), "write %u, turn %u", i,
                      turn);
        }
        player_free(&p);
    }
}

// A fetch fails at its own instruction, not where the unit would begin.
Test(exec, permission_to_fetch_varies)
{
    struct player p;
    player_init(&p, true);
    make_program(&p, 0);
    fill_with_nothing(&p);
    for (unsigned i = 0; i < p.nr; i++) {
        struct side *s = p.side[i];
        vaddr_t start = SIDE_BASE + SIDE_VARYING * PAGE_SIZE + 0x30;
        set_up(&p, s);
        s->cpu->cpu.pc = start;
        side_run_loop(s, 8, 100);
        cr_expect(eq(u64, s->cpu->cpu.pc, start + 16));
        cr_expect(eq(u64, exec_stats(s->exec)->traps, 0));
        side_run_loop(s, 1, 100);
        cr_expect(eq(u64, exec_stats(s->exec)->traps, 1));
    }
    player_free(&p);
}

// More units than the cache starts with room for: all are found again.
Test(exec, many_units)
{
    struct player p;
    player_init(&p, true);
    make_program(&p, 0);
    fill_with_nothing(&p);
    struct side *s = p.side[0];
    set_up(&p, s);
    uint64_t made[2];
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < SIDE_HOLE * PAGE_SIZE; i += 2) {
            s->cpu->cpu.pc = SIDE_BASE + i;
            side_run_loop(s, 1, 1);
            cr_assert(eq(u64, s->cpu->cpu.pc, SIDE_BASE + i + 2));
        }
        made[turn] = exec_stats(s->exec)->units;
    }
    cr_expect(gt(u64, made[0], SIDE_HOLE * PAGE_SIZE / 2));
    cr_expect(eq(u64, made[0], made[1]));
    player_free(&p);
}

// --- Breakpoints and watchpoints ---

// Some of the pcs that the program comes by, and watched bytes where its addresses point.
static void set_stops(struct player *p, struct side *s, uint64_t number)
{
    struct gen g;
    vaddr_t pcs[6];
    struct debug_watch w[3];
    gen_start(&g, NULL, p->wide, ~number);
    exec_set_breaks(s->exec, NULL, 0);
    exec_set_watches(s->exec, NULL, 0);
    set_up(p, s);
    for (unsigned i = 0; i < G_N_ELEMENTS(pcs); i++) {
        play(p, s, number, i, gen_below(&g, 200));
        pcs[i] = s->cpu->cpu.pc;
    }
    exec_set_breaks(s->exec, pcs, G_N_ELEMENTS(pcs) - gen_below(&g, 3));
    for (unsigned i = 0; i < G_N_ELEMENTS(w); i++) {
        vaddr_t at = p->st[i % SIDE_NR_CPUS].reg[SIDE_A + gen_below(&g, SIDE_NR_A)];
        at += gen_below(&g, 128) - 64;
        if (!p->wide)
            at = (uint32_t)at;
        if (gen_chance(&g, 4))
            at = gen_chance(&g, 2) ? SIDE_IO + gen_below(&g, 64) : code_at(gen_random(&g));
        w[i] = (struct debug_watch){at, at + gen_below(&g, 64), 1 + gen_below(&g, 3)};
        if (w[i].last < w[i].first)
            w[i].last = w[i].first;
    }
    exec_set_watches(s->exec, w, gen_below(&g, G_N_ELEMENTS(w) + 1));
    s->hit_log = 0;
}

// A program with stops runs as one without, and all sides stop at the same places.
static void run_debugged(struct player *p, uint64_t number)
{
    for (unsigned i = 1; i < p->nr; i++)
        set_stops(p, p->side[i], number);
    for (unsigned i = 0; i < p->nr; i++)
        set_up(p, p->side[i]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < p->nr; i++) {
            play(p, p->side[i], number, round, round_steps(number, round));
            char *difference = side_compare(p->side[0], p->side[i]);
            cr_assert(difference == NULL, "program %" PRIu64 ", round %u, %s: %s", number, round,
                      p->side[i]->name, difference);
            cr_assert(i < 2 || p->side[i]->hit_log == p->side[1]->hit_log,
                      "program %" PRIu64 ", round %u: other hits on %s", number, round,
                      p->side[i]->name);
        }
        // Some go, and come again.
        if (round == ROUNDS / 2)
            for (unsigned i = 1; i < p->nr; i++)
                exec_set_watches(p->side[i]->exec, NULL, 0);
    }
}

static void debugged_programs(bool wide)
{
    struct player p;
    player_init(&p, wide);
    for (uint64_t i = 0; i < 150; i++) {
        make_program(&p, i);
        run_debugged(&p, i);
    }
    for (unsigned i = 1; i < p.nr; i++) {
        cr_expect(gt(u32, p.side[i]->hits[DEBUG_BREAK], 1000));
        cr_expect(gt(u32, p.side[i]->hits[DEBUG_WATCH], 150));
    }
    player_free(&p);
}

Test(exec, debugged_programs_64)
{
    debugged_programs(true);
}

Test(exec, debugged_programs_32)
{
    debugged_programs(false);
}

// What was slow for a watchpoint becomes fast again, and what is not touched stays so.
Test(exec, watchpoints_cost_nothing_elsewhere)
{
    struct player p;
    player_init(&p, true);
    make_program(&p, 0);
    fill_with_nothing(&p);
    struct side *s = p.side[p.nr - 1];
    struct cpu *cpu = &s->cpu->cpu;
    uint64_t v;
    set_up(&p, s);
    vaddr_t page = SIDE_BASE + 5 * PAGE_SIZE, other = page + PAGE_SIZE;
    struct debug_watch w = {page + 8, page + 15, BIT(TLB_READ)};
    for (unsigned turn = 0; turn < 3; turn++) {
        exec_set_watches(s->exec, &w, turn == 1);
        for (vaddr_t a = page; a <= other; a += PAGE_SIZE) {
            cr_assert(cpu_load(cpu, a + 32, 8, MO_64, &v) && cpu_store(cpu, a + 32, 8, MO_64, v));
            const struct tlb_entry *e = tlb_entry_of(&cpu->tlb, cpu->key_regime, a);
            bool slow = turn == 1 && a == page;
            cr_expect(eq(u64, e->tag[TLB_READ], a ^ (slow ? TLB_SLOW : 0)), "turn %u", turn);
            cr_expect(eq(u64, e->tag[TLB_WRITE], a ^ (slow ? TLB_SLOW : 0)), "turn %u", turn);
        }
    }
    player_free(&p);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s ? g_ascii_strtoull(s, NULL, 0) : otherwise;
}

// The programs are worth running only if they do all that.
static void expect_everything_happened(const struct side *s)
{
    const struct exec_stats *st = exec_stats(s->exec);
    cr_expect(st->traps > 100);
    cr_expect(st->interrupts > 100);
    cr_expect(st->singles > 100);
    cr_expect(st->noshares > 10);
    cr_expect(st->capped > 100);
    cr_expect(st->guest_insns > st->units);
}

static void random_programs(bool wide)
{
    struct player p;
    uint64_t first = from_environment("FERRY_IR_FIRST", 0);
    uint64_t programs = from_environment("FERRY_IR_PROGRAMS", 300);
    player_init(&p, wide);
    for (uint64_t i = first; i < first + programs; i++) {
        make_program(&p, i);
        run_program(&p, i);
    }
    if (programs >= 100)
        expect_everything_happened(p.side[1]);
    player_free(&p);
}

Test(exec, random_programs_64)
{
    random_programs(true);
}

Test(exec, random_programs_32)
{
    random_programs(false);
}
