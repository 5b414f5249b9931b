// SPDX-License-Identifier: MIT
// The rounds of the CPUs. See sched.h.
#include "machine/sched.h"

#include <assert.h>

#include "translator/exec.h"
#include "translator/guest.h"

// Steps of a round with several CPUs awake: what an interrupt from one to the other may take at most.
#define QUANTUM 50000

const struct state_field sched_state_fields[] = {
    STATE_VAR(struct machine_sched, total),    STATE_VAR(struct machine_sched, length),
    STATE_VAR(struct machine_sched, done),     STATE_VAR(struct machine_sched, current),
    STATE_VAR(struct machine_sched, solo),     STATE_VAR(struct machine_sched, moves),
    STATE_ARRAY(struct machine_sched, ran_to), STATE_END,
};

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
    s->moves++;
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

// Steps from the start of the round until the first that begins at or behind a deadline.
static uint64_t steps_to(const struct machine_sched *s, uint64_t deadline)
{
    unsigned shift = s->m->cfg->icount_shift;
    if (deadline <= s->m->clock->base_ns)
        return 0;
    uint64_t ns = deadline - s->m->clock->base_ns;
    return (ns >> shift) + ((ns & ((UINT64_C(1) << shift) - 1)) != 0);
}

static void start_round(struct machine_sched *s, unsigned awake)
{
    struct clock *clk = s->m->clock;
    s->solo = awake == 1;
    if (s->solo) {
        s->length = MAX(steps_to(s, clock_next(clk)), 1);
    } else {
        s->length = MIN(MAX(steps_to(s, clock_next_inside(clk)), 1), QUANTUM);
        s->moves++;
    }
    s->done = s->current = 0;
}

// All CPUs wait: lets time pass to the next timer. False: there is none within the limit.
static bool skip_idle(struct machine *m)
{
    uint64_t next = MIN(clock_next(m->clock), door_next_ns(m->door));
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
    door_set_running(s->m->door, true);
    enum exec_stop why = exec_run(s->m->exec, cpu);
    door_set_running(s->m->door, false);
    s->running = NULL;
    uint64_t ran = cpu->slice - cpu->budget;
    assert(ran <= steps);
    cpu->retired += ran;
    cpu->budget = cpu->slice = 0;
    s->total += ran;
    s->done += ran;
    if (ran)
        s->ran_to[cpu->index] = s->total;
    return why;
}

static void next_cpu(struct machine_sched *s)
{
    struct machine *m = s->m;
    struct cpu *cpu = m->cpus[s->current];
    if (m->nr_cpus > 1 && cpu->guest->switched_out)
        cpu->guest->switched_out(cpu);
    s->current++;
    s->moves++;
    s->done = 0;
    if (s->current == m->nr_cpus)
        end_round(s, s->length);
}

// The round of the one CPU that was awake: up to the next timer, or to where another woke up.
static void fit_solo_round(struct machine_sched *s)
{
    struct machine *m = s->m;
    uint64_t deadline = steps_to(s, clock_next(m->clock));
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

// Between rounds: what is due of timers, then inputs. The machine's own timers come first: their number is part of
// the place at which the others' inputs come in.
static enum door_due run_due(struct machine_sched *s)
{
    struct door *door = s->m->door;
    uint64_t passed = door_passed(door);
    s->moves += clock_run_inside(s->m->clock);
    clock_run_outside(s->m->clock);
    enum door_due due = door_run_due(door);
    return due == DOOR_NOTHING && door_passed(door) != passed ? DOOR_DELIVERED : due;
}

// What follows from inputs. True: sched_run goes on.
static bool go_on(struct machine *m, enum door_due due, enum machine_stop *stop)
{
    if (due == DOOR_END)
        *stop = STOP_PRESENT;
    if (due == DOOR_PROBLEM) {
        g_free(m->error);
        m->error = g_strdup(door_problem(m->door)->message);
        *stop = STOP_ERROR;
    }
    return due == DOOR_NOTHING || due == DOOR_DELIVERED;
}

// No CPU is awake. True: sched_run goes on.
static bool wait_for_timers(struct machine_sched *s, icount_t until, enum machine_stop *stop)
{
    struct machine *m = s->m;
    if (m->stop_requested)
        *stop = STOP_REQUESTED;
    else if (skip_idle(m))
        return true;
    else if (s->total >= until)
        *stop = STOP_ICOUNT;
    else if (m->idle_limit_ns == CLOCK_NEVER && door_stuck(m->door))
        go_on(m, DOOR_PROBLEM, stop);
    else
        *stop = STOP_IDLE;
    return false;
}

// The loop ends only where inputs may come in: a debugger's stop waits for that, too.
enum machine_stop sched_run(struct machine_sched *s, icount_t until)
{
    struct machine *m = s->m;
    enum machine_stop stop = STOP_REQUESTED;
    bool hit = false;
    while (!m->stop_shutdown && !m->stop_reset) {
        enum door_due due = s->length ? DOOR_NOTHING : run_due(s);
        if (!s->length && due == DOOR_NOTHING) {
            unsigned awake = count_awake(m);
            if (!awake && hit)
                return STOP_DEBUG;
            if (!awake) {
                if (!wait_for_timers(s, until, &stop))
                    return stop;
                continue;
            }
            start_round(s, awake);
        }
        if (due == DOOR_NOTHING)
            due = door_run_due(m->door);
        if (due == DOOR_DELIVERED)
            continue;
        if (hit)
            return STOP_DEBUG;
        if (!go_on(m, due, &stop))
            return stop;
        if (m->stop_requested)
            return STOP_REQUESTED;
        if (s->total >= until)
            return STOP_ICOUNT;
        hit = take_turn(s, MIN(until, MAX(door_next(m->door), s->total + 1)) - s->total);
    }
    return hit ? STOP_DEBUG : STOP_REQUESTED;
}
