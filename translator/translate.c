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

// A branch on a recorded path goes the way that it went then.
static void follow_branch(struct lift *l, enum ir_cond cond, ir_ref a, ir_ref b, vaddr_t target)
{
    vaddr_t next = l->ir->end_pc;
    bool taken = l->trace_next == target && target != next;
    ir_br(l->ir, taken ? cond ^ 1 : cond, a, b, taken ? next : target);
    l->next_pc = taken ? target : next;
}

void lift_branch(struct lift *l, enum ir_cond cond, ir_ref a, ir_ref b, vaddr_t target)
{
    vaddr_t next = l->ir->end_pc;
    if (l->follows) {
        follow_branch(l, cond, a, b, target);
        return;
    }
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
    if (l->follows && target == l->trace_next) {
        l->next_pc = target;
        return;
    }
    // Forward within the page: the unit goes on there. Backward would unroll loops.
    if (!l->follows && target >= l->hi && in_page(l, target) && l->ir->nr_guest < l->max_insns) {
        l->next_pc = target;
        return;
    }
    ir_exit(l->ir, target);
    l->done = true;
}

void lift_jump_indirect(struct lift *l, enum ir_jump_hint hint, ir_ref target)
{
    if (l->follows && !l->last) {
        ir_guard(l->ir, hint, target, l->trace_next);
        l->next_pc = l->trace_next;
        return;
    }
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
        if (ir->nr_guest && debug_is_break(&l->cpu->exec->debug, l->pc))
            break; // the loop looks there
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

// The span of a page, made if need be; NULL: there is no room for one more.
static struct lift_span *span_of(struct lift *l, vaddr_t va, paddr_t page, const uint8_t *host)
{
    for (unsigned i = 0; i < l->nr_spans; i++)
        if (l->span[i].va == va)
            return &l->span[i];
    if (l->nr_spans == UNIT_MAX_SPANS)
        return NULL;
    struct lift_span *span = &l->span[l->nr_spans++];
    *span = (struct lift_span){.va = va, .page = page, .host = host, .lo = PAGE_SIZE, .hi = 0};
    return span;
}

static void widen(struct lift_span *span, vaddr_t lo, vaddr_t hi)
{
    span->lo = MIN(span->lo, lo - span->va);
    span->hi = MAX(span->hi, hi - span->va);
}

// What a unit of one page, and the next one's first bytes, was made from.
static void note_spans(struct lift *l, paddr_t page)
{
    vaddr_t next = l->page + PAGE_SIZE;
    widen(span_of(l, l->page, page, l->code), l->lo, MIN(l->hi, next));
    if (l->crosses)
        widen(span_of(l, next, l->page2, l->code2), next, next + 2);
}

// Along the recorded path as far as it can be followed; where it went on in the end is an exit.
static void lift_trace(struct lift *l, const struct trace *t, vaddr_t next)
{
    unsigned n = MIN(t->n, l->max_insns);
    l->follows = true;
    for (unsigned i = 0; i < n && !l->done && has_room(l->ir); i++) {
        const struct trace_insn *at = &t->insn[i];
        struct lift_span *span = span_of(l, at->pc & PAGE_MASK, at->page, at->host);
        l->code = at->host;
        l->page = at->pc & PAGE_MASK;
        l->trace_next = i + 1 < t->n ? t->insn[i + 1].pc : next;
        l->last = i + 1 == n;
        if (!span || !l->cpu->guest->lift(l))
            break;
        widen(span, at->pc, l->ir->end_pc);
        if (!l->done)
            l->pc = l->next_pc;
        if (l->pc != l->trace_next)
            break; // the code is another one by now
    }
    if (!l->done)
        ir_exit(l->ir, l->pc);
}

static void log_ir(const struct ir *ir, const char *title)
{
    GString *s = g_string_new(NULL);
    ir_print(ir, s);
    log_printf("%s 0x%" PRIx64 ":\n%s\n", title, ir->pc, s->str);
    g_string_free(s, TRUE);
}

static uint8_t code_byte(const struct lift *l, vaddr_t at)
{
    for (unsigned i = 0; i < l->nr_spans; i++)
        if (l->span[i].va == (at & PAGE_MASK))
            return l->span[i].host[at & ~PAGE_MASK];
    return 0;
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
        for (unsigned k = 0; k < in->x; k++)
            code[k] = code_byte(l, in->imm + k);
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

static void start_lift(struct lift *l, struct exec *e, struct cpu *cpu, vaddr_t pc, uint32_t key,
                       unsigned max)
{
    *l = (struct lift){
        .ir = e->ir, .cpu = cpu, .key = key, .pc = pc, .page = pc & PAGE_MASK, .lo = pc, .hi = pc, .max_insns = max};
    ir_reset(e->ir, cpu->vars, cpu->nr_vars);
    e->ir->pc = pc;
    e->ir->regime = cpu->key_regime;
    e->ir->rm = cpu->key_rm;
    e->ir->align_all = cpu->align_all;
}

static void optimize(struct lift *l)
{
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
}

static struct unit *new_unit(struct exec *e, const struct lift *l, uint32_t key, enum cpu_mode mode)
{
    struct unit *u = units_make(e->units, l->nr_spans);
    u->pc = e->ir->pc;
    u->page = l->span[0].page;
    u->key = UNIT_KEY(key, mode);
    u->insns = e->ir->nr_guest;
    u->crosses = l->crosses;
    u->trace = l->follows;
    for (unsigned i = 0; i < l->nr_spans; i++) {
        const struct lift_span *s = &l->span[i];
        u->span[i] = (struct unit_span){.va = s->va, .page = s->page, .lo = s->lo, .hi = s->hi};
    }
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

// Makes the unit's code and enters it. NULL: it has to be made anew, of *max instructions at most.
static struct unit *compile(struct exec *e, const struct lift *l, uint32_t key, enum cpu_mode mode, unsigned *max)
{
    struct unit *u = new_unit(e, l, key, mode);
    switch (e->host->compile(e->host_data, e->ir, u)) {
    case COMPILE_OK:
        units_enter(e->units, u);
        log_host_code(e, u);
        return u;
    case COMPILE_TOO_BIG:
        assert(*max > 1);
        *max = MAX(u->insns / 2, 1);
        break;
    case COMPILE_FULL:
        exec_clear(e);
        break;
    }
    return NULL;
}

struct unit *translate(struct exec *e, struct cpu *cpu, uint32_t key, enum cpu_mode mode,
                       const struct code_page *code)
{
    unsigned max = mode == CPU_SINGLE ? 1 : IR_MAX_GUEST_INSNS;
    struct unit *u = NULL;
    while (!u) {
        struct lift l;
        start_lift(&l, e, cpu, cpu->pc, key, max);
        l.code = code->host;
        l.varies = code->varies;
        e->ir->share_checks = mode == CPU_NORMAL;
        if (!lift_unit(&l))
            return NULL;
        note_spans(&l, code->page);
        optimize(&l);
        u = compile(e, &l, key, mode, &max);
    }
    e->stats.units++;
    e->stats.guest_insns += u->insns;
    return u;
}

static bool ends_at_head(const struct ir *ir)
{
    const struct ir_insn *end = &ir->insn[ir->nr_insns - 1];
    return end->op == IR_EXIT && ir->exit[end->x].pc == ir->pc;
}

void translate_trace(struct exec *e, struct cpu *cpu, const struct trace *t, vaddr_t next)
{
    struct unit *u = NULL;
    for (unsigned max = t->n; !u;) {
        struct lift l;
        start_lift(&l, e, cpu, t->insn[0].pc, t->key, max);
        e->ir->regime = t->regime;
        e->ir->rm = t->rm;
        e->ir->share_checks = true;
        lift_trace(&l, t, next);
        if (l.crosses || !e->ir->nr_guest)
            return;
        optimize(&l);
        struct unit *old = units_find(e->units, e->ir->pc, t->insn[0].page, UNIT_KEY(t->key, CPU_NORMAL));
        if (old)
            units_drop_one(e->units, old);
        u = compile(e, &l, t->key, CPU_NORMAL, &max);
    }
    u->loops = ends_at_head(e->ir);
    e->stats.traces++;
    e->stats.trace_insns += u->insns;
}
