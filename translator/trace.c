// SPDX-License-Identifier: MIT
// The second tier: where code is hot, a unit is made along the path that the guest takes.
//
// Units count how often they are entered. One that is hot leaves to the loop, which then runs the guest by units of
// one instruction and notes their pcs: through branches taken, calls, returns and other pages, up to where the path
// comes back to its head, to an instruction that it has been at, to the head of a trace that loops, or where
// something comes between. A unit along that path, a trace, takes the place of the one at its head. What a branch
// or an indirect jump did otherwise is an exit.
//
// A trace of several pages relies on the others being mapped as they were. It compares cpu->jump_tag, which changes
// whenever a mapping may have, with that under which its pages were looked at last.
#include <assert.h>

#include "base/log.h"
#include "translator/exec_impl.h"

static bool is_recording(const struct exec *e, const struct cpu *cpu)
{
    return e->trace.cpu == cpu;
}

// The trace of the path so far, which went on at `next`.
static void finish(struct exec *e, struct cpu *cpu, vaddr_t next)
{
    struct trace *t = &e->trace;
    t->cpu = NULL;
    if (t->n)
        translate_trace(e, cpu, t, next);
}

void trace_interrupted(struct exec *e, struct cpu *cpu)
{
    if (is_recording(e, cpu))
        e->trace.cpu = NULL;
}

void trace_hot(struct exec *e, struct cpu *cpu, uint32_t key)
{
    cpu->heat[cpu_heat_index(cpu->pc)] = 0;
    if (log_on(LOG_NOCHAIN | LOG_EXEC | LOG_CPU))
        return;
    e->trace.cpu = cpu;
    e->trace.key = key;
    e->trace.regime = cpu->key_regime;
    e->trace.rm = cpu->key_rm;
    e->trace.n = 0;
}

static bool was_at(const struct trace *t, vaddr_t pc)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->insn[i].pc == pc)
            return true;
    return false;
}

// Whether a trace that loops begins at pc: going along its first round would be in vain.
static bool is_loop(struct exec *e, struct cpu *cpu, vaddr_t pc, paddr_t page)
{
    struct unit *u = units_find(e->units, pc, page, UNIT_KEY(e->trace.key, CPU_NORMAL));
    (void)cpu;
    return u && u->trace && u->loops;
}

bool trace_step(struct exec *e, struct cpu *cpu, uint32_t key)
{
    struct trace *t = &e->trace;
    if (likely(!is_recording(e, cpu)))
        return false;
    if (key != t->key || t->n == ARRAY_LEN(t->insn) || was_at(t, cpu->pc) ||
        debug_is_break(&e->debug, cpu->pc)) {
        finish(e, cpu, cpu->pc);
        return false;
    }
    return true;
}

void trace_note(struct exec *e, struct cpu *cpu)
{
    struct trace *t = &e->trace;
    struct code_page code;
    bool whole = access_code_page(cpu, cpu->pc, &code) && !code.varies;
    if (!whole || (t->n && is_loop(e, cpu, cpu->pc, code.page))) {
        cpu->fault.pending = false;
        finish(e, cpu, cpu->pc);
        return;
    }
    t->insn[t->n++] = (struct trace_insn){cpu->pc, code.host, code.page};
}

static bool is_mapped(struct cpu *cpu, const struct unit_span *span)
{
    struct tlb_fill fill = {.probe = true};
    bool found = cpu->guest->walk(cpu, span->va + span->lo, 1, TLB_EXEC, cpu->key_fetch_regime, &fill);
    cpu->fault.pending = false;
    return found && !fill.uncached && fill.prot[TLB_EXEC] && fill.paddr == span->page;
}

bool trace_is_valid(struct exec *e, struct cpu *cpu, struct unit *u)
{
    if (!u->trace || u->nr_spans == 1 || u->valid_tag == cpu->jump_tag)
        return true;
    e->stats.revalidations++;
    for (unsigned i = 0; i < u->nr_spans; i++)
        if (!is_mapped(cpu, &u->span[i]))
            return false;
    u->valid_tag = cpu->jump_tag;
    e->host->validate(e->host_data, u, u->valid_tag);
    return true;
}

static void forget_tag(void *opaque, struct unit *u)
{
    struct exec *e = opaque;
    if (!u->valid_tag)
        return;
    u->valid_tag = JUMP_TAG_VOID;
    e->host->validate(e->host_data, u, JUMP_TAG_VOID);
}

void trace_forget_tags(struct exec *e)
{
    units_unlink_tagged(e->units);
    units_each(e->units, forget_tag, e);
}
