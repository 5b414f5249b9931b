// SPDX-License-Identifier: MIT
// From guest code to a unit: lifts instructions until a good end, runs the passes, has the host compile.
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "translator/exec_impl.h"

// Room in the IR that one guest instruction may take at most.
#define IR_PER_INSN 200

bool lift_fetch(struct lift *l, unsigned offset, unsigned size, uint32_t *value)
{
    vaddr_t addr = l->pc + offset;
    uint64_t in_page = addr - l->page;
    struct code_page code;
    if (in_page + size <= PAGE_SIZE) {
        if (l->varies && !access_code_page(l->cpu, addr, &code)) {
            l->fetch_failed = true;
            return false;
        }
        *value = load_le(l->code + in_page, size);
    } else {
        // Only the first instruction of a unit may reach into the next page.
        if (l->ir->nr_guest) {
            l->too_far = true;
            return false;
        }
        assert(in_page >= PAGE_SIZE); // fetches are aligned, so none is split
        if (!access_code_page(l->cpu, addr, &code)) {
            l->fetch_failed = true;
            return false;
        }
        l->crosses = true;
        l->code2 = code.host;
        l->page2 = code.page;
        *value = load_le(l->code2 + (in_page - PAGE_SIZE), size);
    }
    l->lo = MIN(l->lo, addr);
    l->hi = MAX(l->hi, addr + size);
    return true;
}

static bool in_page(const struct lift *l, vaddr_t addr)
{
    return (addr & PAGE_MASK) == l->page;
}

void lift_branch(struct lift *l, enum ir_cond cond, ir_ref a, ir_ref b, vaddr_t target)
{
    vaddr_t next = l->ir->end_pc;
    bool own_head = target == l->ir->pc;
    if (own_head)
        ir_br(l->ir, cond ^ 1, a, b, next);
    else
        ir_br(l->ir, cond, a, b, target);
    if (target <= l->pc) {
        // The end of a loop: what comes behind is seldom reached.
        ir_exit(l->ir, own_head ? target : next);
        l->done = true;
    }
    l->next_pc = next;
}

void lift_jump(struct lift *l, vaddr_t target)
{
    // Forward within the page: the unit goes on there. Backward would unroll loops.
    if (target >= l->hi && in_page(l, target) && l->ir->nr_guest < l->max_insns) {
        l->next_pc = target;
        return;
    }
    ir_exit(l->ir, target);
    l->done = true;
}

void lift_jump_indirect(struct lift *l, enum ir_jump_hint hint, ir_ref target)
{
    ir_jmp(l->ir, hint, target);
    l->done = true;
}

void lift_leave(struct lift *l, enum ir_leave why)
{
    ir_leave(l->ir, why, why == LEAVE_RESTART ? l->pc : l->ir->end_pc);
    l->done = true;
}

void lift_raise(struct lift *l, uint64_t cause, ir_ref value)
{
    ir_raise(l->ir, cause, value);
    l->done = true;
}

static bool has_room(const struct ir *ir)
{
    return ir->nr_insns + IR_PER_INSN < IR_MAX_INSNS && ir->nr_exits + 2 < IR_MAX_EXITS &&
           ir->nr_calls + 8 < IR_MAX_CALLS;
}

// Lifts from l->pc on. False: the first instruction could not be fetched.
static bool lift_unit(struct lift *l)
{
    struct ir *ir = l->ir;
    while (!l->done) {
        l->next_pc = 0;
        if (!in_page(l, l->pc) || ir->nr_guest >= l->max_insns || !has_room(ir))
            break;
        if (!l->cpu->guest->lift(l)) {
            if (l->fetch_failed)
                return false;
            assert(l->too_far);
            break;
        }
        if (!l->done)
            l->pc = l->next_pc;
        if (l->crosses && !l->done)
            break;
    }
    if (!l->done)
        ir_exit(ir, l->pc);
    return true;
}

static void log_ir(const struct ir *ir, const char *title)
{
    GString *s = g_string_new(NULL);
    ir_print(ir, s);
    log_printf("%s 0x%" PRIx64 ":\n%s\n", title, ir->pc, s->str);
    g_string_free(s, TRUE);
}

static void log_guest_code(const struct lift *l)
{
    GString *s = g_string_new(NULL);
    const struct ir *ir = l->ir;
    for (unsigned i = 1; i < ir->nr_insns; i++) {
        const struct ir_insn *in = &ir->insn[i];
        if (in->op != IR_INSN)
            continue;
        uint8_t code[16] = {0};
        for (unsigned k = 0; k < in->x; k++) {
            uint64_t at = in->imm + k - l->page;
            code[k] = at < PAGE_SIZE ? l->code[at] : l->code2[at - PAGE_SIZE];
        }
        g_string_append_printf(s, "0x%08" PRIx64 ":  ", in->imm);
        l->cpu->guest->disas(l->cpu, in->imm, code, in->x, s);
        g_string_append_c(s, '\n');
    }
    log_printf("IN: %s\n%s\n", l->cpu->guest->name, s->str);
    g_string_free(s, TRUE);
}

// In debug builds (sanitizers, stress) every unit is verified.
static void verify(const struct ir *ir)
{
#ifdef FERRY_DEBUG
    char *wrong = ir_verify(ir);
    if (wrong)
        g_error("unit at 0x%" PRIx64 ": %s", ir->pc, wrong);
#else
    (void)ir;
#endif
}

static void start_lift(struct lift *l, struct exec *e, struct cpu *cpu, uint32_t key, enum cpu_mode mode,
                       const struct code_page *code, unsigned max)
{
    *l = (struct lift){.ir = e->ir,
                       .cpu = cpu,
                       .key = key,
                       .pc = cpu->pc,
                       .code = code->host,
                       .varies = code->varies,
                       .page = cpu->pc & PAGE_MASK,
                       .lo = cpu->pc,
                       .hi = cpu->pc,
                       .max_insns = mode == CPU_SINGLE ? 1 : max};
    ir_reset(e->ir, cpu->vars, cpu->nr_vars);
    e->ir->pc = cpu->pc;
    e->ir->regime = cpu->key_regime;
    e->ir->rm = cpu->key_rm;
    e->ir->share_checks = mode == CPU_NORMAL;
    e->ir->align_all = cpu->align_all;
}

static bool lift_and_optimize(struct lift *l)
{
    if (!lift_unit(l))
        return false;
    verify(l->ir);
    if (log_on(LOG_IN_ASM))
        log_guest_code(l);
    if (log_on(LOG_OP))
        log_ir(l->ir, "OP");
    if (l->ir->share_checks)
        ir_pass_loop(l->ir); // not in units that should be left soon
    ir_optimize(l->ir);
    verify(l->ir);
    if (log_on(LOG_OP_OPT))
        log_ir(l->ir, "OP after optimization");
    return true;
}

static struct unit *new_unit(struct exec *e, const struct lift *l, uint32_t key, enum cpu_mode mode,
                             paddr_t page)
{
    struct unit *u = units_make(e->units);
    u->pc = e->ir->pc;
    u->page = page;
    u->key = UNIT_KEY(key, mode);
    u->insns = e->ir->nr_guest;
    u->lo = l->lo - l->page;
    u->hi = MIN(l->hi - l->page, PAGE_SIZE);
    u->crosses = l->crosses;
    u->page2 = l->page2;
    return u;
}

static void log_host_code(struct exec *e, const struct unit *u)
{
    if (!log_on(LOG_OUT_ASM) || !e->host->print)
        return;
    GString *s = g_string_new(NULL);
    e->host->print(e->host_data, u, s);
    log_printf("OUT: 0x%" PRIx64 "\n%s\n", u->pc, s->str);
    g_string_free(s, TRUE);
}

struct unit *translate(struct exec *e, struct cpu *cpu, uint32_t key, enum cpu_mode mode,
                       const struct code_page *code)
{
    struct lift l;
    for (unsigned max = IR_MAX_GUEST_INSNS;;) {
        start_lift(&l, e, cpu, key, mode, code, max);
        if (!lift_and_optimize(&l))
            return NULL;
        struct unit *u = new_unit(e, &l, key, mode, code->page);
        switch (e->host->compile(e->host_data, e->ir, u)) {
        case COMPILE_OK:
            units_enter(e->units, u);
            log_host_code(e, u);
            e->stats.units++;
            e->stats.guest_insns += u->insns;
            return u;
        case COMPILE_TOO_BIG:
            assert(max > 1);
            max = MAX(u->insns / 2, 1);
            break;
        case COMPILE_FULL:
            exec_clear(e);
            break;
        }
    }
}
