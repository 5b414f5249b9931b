// SPDX-License-Identifier: MIT
// The execution loop. Each turn: interrupts, the unit at pc, run it, see why it came back.
//
// What makes time exact: a unit subtracts its length from the budget at its head and is entered only if
// that fits; where it doesn't, units of one instruction run up to the end. A trap takes one step of time.
#include "translator/exec.h"

#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "translator/exec_impl.h"

const struct state_field cpu_state_fields[] = {
    STATE_ARRAY(struct cpu, reg), STATE_VAR(struct cpu, pc),      STATE_VAR(struct cpu, halted),
    STATE_VAR(struct cpu, fp.flags), STATE_VAR(struct cpu, retired), STATE_END};

static void on_protect(void *opaque, const uint8_t *host_page)
{
    struct exec *e = opaque;
    for (unsigned i = 0; i < e->nr_cpus; i++)
        tlb_protect(&e->cpus[i]->tlb, host_page);
}

static void on_code_written(void *opaque, paddr_t addr, uint64_t len)
{
    struct exec *e = opaque;
    units_drop(e->units, addr, len);
}

static void on_remapped(void *opaque)
{
    struct exec *e = opaque;
    for (unsigned i = 0; i < e->nr_cpus; i++)
        cpu_flush_tlb(e->cpus[i]);
}

static void on_written(void *opaque, paddr_t addr, uint64_t len)
{
    struct exec *e = opaque;
    for (unsigned i = 0; i < e->nr_cpus; i++)
        if (e->cpus[i]->guest->memory_written)
            e->cpus[i]->guest->memory_written(e->cpus[i], addr, len);
}

static void on_unlink(void *opaque, struct unit_link *link)
{
    struct exec *e = opaque;
    e->host->unlink(e->host_data, link);
}

static void on_dropped(void *opaque, struct unit *u)
{
    struct exec *e = opaque;
    for (unsigned i = 0; i < e->nr_cpus; i++) {
        struct jump_cache_entry *j = access_jump_entry(e->cpus[i], u->pc);
        if (j->pc == u->pc)
            j->tag = JUMP_TAG_VOID;
    }
}

static void on_mark_page(void *opaque, paddr_t page, bool code)
{
    struct exec *e = opaque;
    struct mem_region *r = mem_find(e->mem, page);
    if (r && r->page_flags)
        mem_set_code(e->mem, r, page - r->base, code);
}

struct exec *exec_new(struct mem *mem, const struct host *host, size_t code_size, GError **error)
{
    struct exec *e = g_new0(struct exec, 1);
    e->mem = mem;
    e->host = host;
    e->ir = g_new(struct ir, 1);
    e->units = units_new(&(struct units_ops){on_unlink, on_dropped, on_mark_page, e});
    e->host_data = host->init(e->units, code_size, error);
    if (!e->host_data) {
        exec_free(e);
        return NULL;
    }
    mem_add_listener(mem, &(struct mem_listener){on_protect, on_code_written, on_remapped, on_written, e});
    return e;
}

static void log_stats(const struct exec *e)
{
    if (!log_on(LOG_JIT))
        return;
    GString *s = g_string_new(NULL);
    exec_print_stats(e, s);
    log_printf("%s", s->str);
    g_string_free(s, TRUE);
}

void exec_free(struct exec *e)
{
    log_stats(e);
    if (e->host_data)
        e->host->free(e->host_data);
    units_free(e->units);
    debug_free(&e->debug);
    g_free(e->ir);
    g_free(e);
}

void exec_add_cpu(struct exec *e, struct cpu *cpu)
{
    assert(e->nr_cpus < EXEC_MAX_CPUS);
    e->cpus[e->nr_cpus++] = cpu;
    cpu->exec = e;
    cpu->mem = e->mem;
    cpu->kicked = &e->stop;
    cpu->addr32 = cpu->vars[0].type == IR_I32;
    tlb_init(&cpu->tlb);
    cpu->jump_epoch = ++e->epoch;
    cpu->jump_tag = JUMP_TAG_NONE;
    e->host->attach(e->host_data, cpu);
}

void exec_clear(struct exec *e)
{
    units_clear(e->units);
    e->trace.cpu = NULL;
    memset(e->found, 0, sizeof(e->found));
    e->host->clear(e->host_data);
    for (unsigned i = 0; i < e->nr_cpus; i++) {
        memset(e->cpus[i]->jump_cache, 0, sizeof(e->cpus[i]->jump_cache));
        e->cpus[i]->leave_link = 0;
    }
    e->stats.clears++;
}

// All work is done on the caller's thread.
void exec_before_fork(struct exec *e)
{
    (void)e;
}

bool exec_after_fork(struct exec *e, bool is_copy, GError **error)
{
    return !is_copy || !e->host->forked || e->host->forked(e->host_data, error);
}

// A unit in the cache, first where it was found lately.
static struct unit *look_up(struct exec *e, vaddr_t pc, paddr_t page, uint32_t key)
{
    struct unit **slot = &e->found[(pc >> 1 ^ key) % EXEC_FOUND], *u = *slot;
    if (u && !u->dead && u->pc == pc && u->page == page && u->key == key)
        return u;
    u = units_find(e->units, pc, page, key);
    if (u)
        *slot = u;
    return u;
}

// The unit at cpu->pc, made if need be. Where permission to fetch varies within the page, units are of one
// instruction, and *mode is changed to that. NULL: cpu->fault is set.
static struct unit *find_unit(struct exec *e, struct cpu *cpu, uint32_t key, enum cpu_mode *mode)
{
    struct code_page code, code2;
    if (!access_code_page(cpu, cpu->pc, &code))
        return NULL;
    if (code.varies)
        *mode = CPU_SINGLE;
    struct unit *u = look_up(e, cpu->pc, code.page, UNIT_KEY(key, *mode));
    if (u && code.varies) {
        // What could be fetched when it was made need not be so now.
        units_drop_one(e->units, u);
        u = NULL;
    }
    if (u && u->crosses) {
        // The second page may be another one by now.
        if (!access_code_page(cpu, (cpu->pc & PAGE_MASK) + PAGE_SIZE, &code2))
            return NULL;
        if (code2.page != u->span[1].page) {
            units_drop_one(e->units, u);
            u = NULL;
        }
    }
    if (u && !trace_is_valid(e, cpu, u)) {
        units_drop_one(e->units, u);
        u = NULL;
    }
    return u ? u : translate(e, cpu, key, *mode, &code);
}

static void take_trap(struct exec *e, struct cpu *cpu)
{
    if (log_on(LOG_INT))
        log_printf("cpu %u: trap %u at 0x%" PRIx64 ", value 0x%" PRIx64 "\n", cpu->index,
                   cpu->fault.cause, cpu->pc, cpu->fault.value);
    trace_interrupted(e, cpu);
    cpu->guest->trap(cpu);
    assert(!cpu->fault.pending);
    cpu->budget--;
    cpu->retired--;
    e->stats.traps++;
}

static void connect_link(struct exec *e, uint64_t link, struct unit *to, uint32_t jump_tag)
{
    if (!link || !e->host->link || log_on(LOG_NOCHAIN | LOG_EXEC | LOG_CPU))
        return;
    struct unit_link *l = units_link(e->units, link);
    if ((l->to && !l->tagged) || to->crosses || to->dead)
        return;
    if (l->to)
        units_disconnect(e->units, link); // the tag was an old one
    e->stats.links++;
    units_connect(e->units, link, to);
    e->host->link(e->host_data, l, to, jump_tag);
}

static void log_unit(const struct cpu *cpu, const struct unit *u)
{
    log_printf("cpu %u: 0x%" PRIx64 " key 0x%x, %u instructions\n", cpu->index, u->pc, u->key, u->insns);
    if (!log_on(LOG_CPU))
        return;
    for (unsigned i = 0; i < cpu->nr_vars; i++)
        log_printf("%s=%016" PRIx64 "%c", cpu->vars[i].name,
                   *(const uint64_t *)((const char *)cpu + cpu->vars[i].offset), i % 4 == 3 ? '\n' : ' ');
}

static void run_unit(struct exec *e, struct cpu *cpu, const struct unit *u, enum cpu_mode mode)
{
    if (log_on(LOG_EXEC | LOG_CPU))
        log_unit(cpu, u);
    e->stats.enters++;
    cpu->single = mode == CPU_SINGLE;
    cpu->leave_link = 0;
    e->host->enter(e->host_data, cpu, u);
    cpu->single = false;
    cpu->unit_left = 0;
}

// One turn of the loop, with budget left and nothing pending. `link`: an exit that led here.
static void step(struct exec *e, struct cpu *cpu, uint64_t link)
{
    enum cpu_mode mode = cpu->next_mode;
    cpu->next_mode = CPU_NORMAL;
    if (unlikely(e->debug.nr_breaks) && debug_is_break(&e->debug, cpu->pc))
        mode = CPU_SINGLE; // nothing else may lead here
    uint32_t key = cpu->guest->key(cpu);
    assert(key < 1u << CPU_KEY_BITS);
    cpu->jump_tag = cpu->jump_epoch << CPU_KEY_BITS | key;
    uint64_t clears = e->stats.clears;
    if (trace_step(e, cpu, key)) {
        trace_note(e, cpu);
        mode = CPU_SINGLE;
    }
    struct unit *u = find_unit(e, cpu, key, &mode);
    if (u && u->insns > cpu->budget) {
        mode = CPU_SINGLE;
        u = find_unit(e, cpu, key, &mode);
        e->stats.capped++;
    }
    if (!u) {
        cpu->leave_link = 0; // not to the handler
        take_trap(e, cpu);
        return;
    }
    e->stats.singles += mode == CPU_SINGLE;
    e->stats.noshares += mode == CPU_NOSHARE;
    // An exit to a unit that does not share asked for that by the mode.
    if (mode != CPU_SINGLE && e->stats.clears == clears)
        connect_link(e, link, u, cpu->jump_tag);
    if (mode == CPU_NORMAL) {
        if (!log_on(LOG_NOCHAIN | LOG_EXEC | LOG_CPU) && !u->crosses)
            access_enter_jump(cpu, u->pc, u->code);
    }
    run_unit(e, cpu, u, mode);
}

enum exec_stop exec_run(struct exec *e, struct cpu *cpu)
{
    uint64_t link = 0;
    bool pass = e->debug.pass == cpu;
    if (pass)
        e->debug.pass = NULL;
    e->stop = e->debug.has_hit = false;
    while (cpu->budget > 0) {
        if (__atomic_load_n(&e->stop, __ATOMIC_RELAXED))
            return EXEC_STOP;
        if (cpu->halted) {
            if (!cpu->guest->has_work(cpu))
                return EXEC_HALT;
            cpu->halted = false;
        }
        if (cpu->guest->interrupt(cpu)) {
            trace_interrupted(e, cpu);
            e->stats.interrupts++;
            cpu->interrupts++;
            link = 0;
            pass = false;
        }
        if (unlikely(e->debug.nr_breaks) && !pass &&
            debug_stops(&e->debug, cpu->index, cpu->pc))
            return EXEC_STOP;
        cpu->leave = LEAVE_LOOKUP;
        step(e, cpu, link);
        link = cpu->leave_link;
        if (cpu->fault.pending) {
            cpu->fault.pending = false;
            link = 0;
            e->debug.has_hit = false; // the access is void
            if (cpu->next_mode == CPU_NORMAL)
                take_trap(e, cpu);
            else
                continue; // the same instruction again
        } else if (cpu->leave == LEAVE_HOT) {
            cpu->leave = LEAVE_LOOKUP;
            trace_hot(e, cpu, cpu->guest->key(cpu));
            link = 0;
        } else if (cpu->leave == LEAVE_HALT) {
            cpu->halted = true;
        } else if (cpu->leave == LEAVE_YIELD && e->nr_cpus > 1) {
            return EXEC_YIELD;
        }
        pass = false;
        if (unlikely(e->debug.has_hit))
            return EXEC_STOP;
    }
    return EXEC_BUDGET;
}

void exec_request_stop(struct exec *e)
{
    __atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
}

const struct exec_stats *exec_stats(const struct exec *e)
{
    return &e->stats;
}

void exec_print_stats(const struct exec *e, GString *out)
{
#define X(name, help) g_string_append_printf(out, "%14" PRIu64 "  %s\n", e->stats.name, help);
    EXEC_STATS(X)
#undef X
}

const struct host *exec_host(const struct exec *e)
{
    return e->host;
}
