// SPDX-License-Identifier: MIT
// The rounds of the CPUs. See sched.h.
#include "machine/sched.h"

#include <assert.h>

#include "translator/exec.h"
#include "translator/guest.h"

// Steps of a round with several CPUs awake: what an interrupt from one to the other may take at most.
#define QUANTUM 50000

const struct state_field sched_state_fields[] = {
    STATE_VAR(struct machine_sched, total),   STATE_VAR(struct machine_sched, length),
    STATE_VAR(struct machine_sched, done),    STATE_VAR(struct machine_sched, current),
    STATE_VAR(struct machine_sched, solo),    STATE_END};

static uint64_t elapsed_ns(void *opaque)
{
    const struct machine_sched *s = opaque;
    uint64_t steps = s->done + (s->running ? cpu_elapsed(s->running) : 0);
    return steps << s->m->cfg->icount_shift;
}

static void rearmed(void *opaque)
{
    struct machine_sched *s = opaque;
    if (s->running)
        cpu_kick(s->running);
}

struct machine_sched *sched_new(struct machine *m)
{
    struct machine_sched *s = g_new0(struct machine_sched, 1);
    s->m = m;
    m->clock->elapsed_ns = elapsed_ns;
    m->clock->elapsed_opaque = s;
    m->clock->rearmed = rearmed;
    m->clock->rearmed_opaque = s;
    return s;
}

void sched_free(struct machine_sched *s)
{
    g_free(s);
}

static void end_round(struct machine_sched *s, uint64_t length)
{
    s->m->clock->base_ns += length << s->m->cfg->icount_shift;
    s->length = s->done = s->current = 0;
}

void sched_reset(struct machine_sched *s)
{
    end_round(s, s->done);
}

static bool is_awake(const struct machine *m, unsigned i)
{
    struct cpu *cpu = m->cpus[i];
    return !cpu->halted || cpu->guest->has_work(cpu);
}

static unsigned count_awake(const struct machine *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->nr_cpus; i++)
        n += is_awake(m, i);
    return n;
}

// Steps from guest time `from` until the first that begins at or behind the next deadline.
static uint64_t steps_to_deadline(const struct machine_sched *s, uint64_t from)
{
    uint64_t next = clock_next(s->m->clock);
    unsigned shift = s->m->cfg->icount_shift;
    if (next <= from)
        return 0;
    uint64_t ns = next - from;
    return (ns >> shift) + ((ns & ((UINT64_C(1) << shift) - 1)) != 0);
}

static void start_round(struct machine_sched *s, unsigned awake)
{
    s->solo = awake == 1;
    s->length = MAX(steps_to_deadline(s, s->m->clock->base_ns), 1);
    if (!s->solo)
        s->length = MIN(s->length, QUANTUM);
    s->done = s->current = 0;
}

// All CPUs wait: lets time pass to the next timer. False: there is none within the limit.
static bool skip_idle(struct machine *m)
{
    uint64_t next = clock_next(m->clock);
    if (next > m->idle_limit_ns || next == CLOCK_NEVER) {
        if (m->idle_limit_ns != CLOCK_NEVER)
            m->clock->base_ns = MAX(m->clock->base_ns, m->idle_limit_ns);
        return false;
    }
    m->clock->base_ns = MAX(m->clock->base_ns, next);
    return true;
}

static enum exec_stop run_cpu(struct machine_sched *s, struct cpu *cpu, uint64_t steps)
{
    cpu->budget = cpu->slice = steps;
    s->running = cpu;
    enum exec_stop why = exec_run(s->m->exec, cpu);
    s->running = NULL;
    uint64_t ran = cpu->slice - cpu->budget;
    assert(ran <= steps);
    cpu->retired += ran;
    cpu->budget = cpu->slice = 0;
    s->total += ran;
    s->done += ran;
    return why;
}

static void next_cpu(struct machine_sched *s)
{
    struct machine *m = s->m;
    struct cpu *cpu = m->cpus[s->current];
    if (m->nr_cpus > 1 && cpu->guest->switched_out)
        cpu->guest->switched_out(cpu);
    s->current++;
    s->done = 0;
    if (s->current == m->nr_cpus)
        end_round(s, s->length);
}

// The round of the one CPU that was awake: up to the next timer, or to where another woke up.
static void fit_solo_round(struct machine_sched *s)
{
    struct machine *m = s->m;
    uint64_t deadline = steps_to_deadline(s, m->clock->base_ns);
    s->length = MAX(deadline, s->done);
    for (unsigned i = 0; i < m->nr_cpus; i++)
        if (i != s->current && is_awake(m, i))
            s->length = s->done;
}

// Whether what ran stopped for a debugger.
static bool debug_hit(struct machine_sched *s, const struct cpu *cpu, uint64_t ran)
{
    struct machine *m = s->m;
    if (exec_take_hit(m->exec, &m->debug_hit))
        return true;
    if (m->step_cpu != (int)cpu->index || !ran)
        return false;
    m->debug_hit = (struct debug_hit){.kind = DEBUG_STEP, .cpu = cpu->index, .addr = cpu->pc};
    return true;
}

// A turn of the current CPU, for so many steps at most. True: it stopped for a debugger.
static bool take_turn(struct machine_sched *s, uint64_t most)
{
    struct machine *m = s->m;
    bool hit = false;
    if (s->solo)
        while (!is_awake(m, s->current) && s->current + 1 < m->nr_cpus && !s->done)
            s->current++;
    if (s->solo)
        fit_solo_round(s);
    uint64_t left = s->length - s->done;
    struct cpu *cpu = m->cpus[s->current];
    bool awake = is_awake(m, s->current);
    enum exec_stop why = EXEC_HALT;
    if (left && awake) {
        uint64_t before = s->total;
        if (m->step_cpu == (int)cpu->index) {
            exec_pass_break(m->exec, cpu);
            most = 1;
        }
        why = run_cpu(s, cpu, MIN(left, most));
        hit = debug_hit(s, cpu, s->total - before);
    }
    if (s->solo) {
        fit_solo_round(s);
        if (why == EXEC_HALT || s->done >= s->length)
            end_round(s, s->done);
    } else if (why == EXEC_HALT || why == EXEC_YIELD || s->done >= s->length) {
        next_cpu(s);
    }
    return hit;
}

enum machine_stop sched_run(struct machine_sched *s, icount_t until)
{
    struct machine *m = s->m;
    while (true) {
        if (m->stop_shutdown || m->stop_reset || m->stop_requested)
            return STOP_REQUESTED;
        if (!s->length) {
            clock_run_due(m->clock);
            unsigned awake = count_awake(m);
            if (!awake) {
                if (!skip_idle(m))
                    return s->total >= until ? STOP_ICOUNT : STOP_IDLE;
                continue;
            }
            start_round(s, awake);
        }
        if (s->total >= until)
            return STOP_ICOUNT;
        if (take_turn(s, until - s->total))
            return STOP_DEBUG;
    }
}
