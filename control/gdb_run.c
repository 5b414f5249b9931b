// SPDX-License-Identifier: MIT
// Letting the machine go on, and telling why it stopped: breakpoints and watchpoints, steps, ranges of steps.
//
// gdb takes its breakpoints out whenever the machine stops and puts them in again when it goes on; what the machine
// has is brought up to date only then, so that this costs nothing.
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "control/gdbstub_impl.h"
#include "machine/sched.h"
#include "translator/exec.h"

#define RANGE_STEPS 4096 // until others have their turn

// --- Points ---

static struct gdb_point *point_at(const struct gdbstub *g, unsigned i)
{
    return &g_array_index(g->points, struct gdb_point, i);
}

static bool is_watch(const struct gdb_point *p)
{
    return p->type >= '2';
}

// "TYPE,ADDR,KIND": the kind of a watchpoint is its length.
static bool parse_point(const char *args, struct gdb_point *p)
{
    p->type = *args;
    if (p->type < '0' || p->type > '4' || *++args != ',')
        return false;
    args++;
    return gdb_hex_u64(&args, &p->addr) && *args++ == ',' && gdb_hex_u64(&args, &p->len);
}

static int find_point(const struct gdbstub *g, const struct gdb_point *p)
{
    for (unsigned i = 0; i < g->points->len; i++) {
        const struct gdb_point *q = point_at(g, i);
        if (p->type == q->type && p->addr == q->addr && (p->len == q->len || !is_watch(p)))
            return (int)i;
    }
    return -1;
}

#define POINTS_MAX    4096
#define WATCH_MAX_LEN (UINT64_C(1) << 20)

void gdb_insert_point(struct gdbstub *g, const char *args)
{
    struct gdb_point p;
    if (!parse_point(args, &p))
        return; // an empty reply: there is no such kind
    if (is_watch(&p) && (!p.len || p.len > WATCH_MAX_LEN || p.addr + (p.len - 1) < p.addr)) {
        gdb_error_text(g, "watchpoints are of 1 byte to 1 MiB");
        return;
    }
    if (g->points->len >= POINTS_MAX) {
        gdb_error_text(g, "too many breakpoints");
        return;
    }
    if (find_point(g, &p) < 0)
        g_array_append_val(g->points, p);
    gdb_ok(g);
}

void gdb_remove_point(struct gdbstub *g, const char *args)
{
    struct gdb_point p;
    if (!parse_point(args, &p))
        return;
    int i = find_point(g, &p);
    if (i >= 0)
        g_array_remove_index_fast(g->points, (unsigned)i);
    gdb_ok(g);
}

static void sync_breaks(struct gdbstub *g)
{
    g_autofree vaddr_t *pcs = g_new(vaddr_t, g->points->len + 1);
    unsigned n = 0;
    for (unsigned i = 0; i < g->points->len; i++)
        if (!is_watch(point_at(g, i)))
            pcs[n++] = point_at(g, i)->addr;
    if (g->run.in_handler)
        pcs[n++] = g->run.pc;
    exec_set_breaks(g->m->exec, pcs, n);
}

static struct debug_watch watch_of(const struct gdb_point *p)
{
    static const uint8_t accesses[] = {BIT(TLB_WRITE), BIT(TLB_READ),
                                       BIT(TLB_WRITE) | BIT(TLB_READ)};
    return (struct debug_watch){p->addr, p->addr + p->len - 1, accesses[p->type - '2']};
}

static void sync_watches(struct gdbstub *g)
{
    g_autofree struct debug_watch *watches = g_new(struct debug_watch, g->points->len);
    unsigned n = 0;
    for (unsigned i = 0; i < g->points->len; i++)
        if (is_watch(point_at(g, i)))
            watches[n++] = watch_of(point_at(g, i));
    exec_set_watches(g->m->exec, watches, n);
}

void gdb_clear_points(struct gdbstub *g)
{
    g_array_set_size(g->points, 0);
    g->run.in_handler = false;
    sync_breaks(g);
    sync_watches(g);
}

static bool has_break(const struct gdbstub *g, vaddr_t pc)
{
    for (unsigned i = 0; i < g->points->len; i++)
        if (!is_watch(point_at(g, i)) && point_at(g, i)->addr == pc)
            return true;
    return false;
}

// The point that a hit is of.
static const struct gdb_point *point_of_hit(const struct gdbstub *g, const struct debug_hit *hit)
{
    unsigned watch = 0;
    for (unsigned i = 0; i < g->points->len; i++) {
        const struct gdb_point *p = point_at(g, i);
        if (hit->kind == DEBUG_BREAK && !is_watch(p) && p->addr == hit->addr)
            return p;
        if (hit->kind == DEBUG_WATCH && is_watch(p) && watch++ == hit->watch)
            return p;
    }
    return NULL;
}

// --- Going on ---

// Whether nobody else runs before this CPU does.
static bool is_next(const struct gdbstub *g, unsigned cpu)
{
    return g->m->sched->length && g->m->sched->current == cpu && !g->m->cpus[cpu]->halted;
}

// A CPU that gdb knows to stand at a breakpoint need not be stopped there again.
static void pass_told_break(struct gdbstub *g)
{
    const struct cpu *cpu = g->m->cpus[g->told.cpu];
    bool still = g->told.valid && cpu->pc == g->told.pc && cpu_retired(cpu) == g->told.retired;
    exec_pass_break(g->m->exec, still ? cpu : NULL);
}

static void note_start(struct gdbstub *g)
{
    struct cpu *cpu = g->m->cpus[g->run.cpu];
    g->run.interrupts = cpu->interrupts;
    g->run.pc = cpu->pc;
    g->run.sp = gdb_read_sp(cpu);
    g->run.in_handler = false;
}

// The machine is about to go on, by gdb's wish or somebody else's. A CPU that steps right now meets no breakpoint.
static void prepare(struct gdbstub *g)
{
    g->has_stop = false;
    note_start(g);
    if (g->run.kind == GDB_RUN_CONT || !is_next(g, g->run.cpu))
        sync_breaks(g);
    sync_watches(g);
    pass_told_break(g);
}

static void go_on(struct gdbstub *g, const struct gdb_run *run)
{
    GError *error = NULL;
    g->run = *run;
    g->owes_stop = g->no_reply = true;
    if (vm_cont(g->vm, &error))
        return;
    // It is off. gdb is told so once more.
    g_autofree char *text = g_strdup_printf("%s\n", error->message);
    g_autoptr(GString) out = g_string_new("O");
    gdb_hex_append(out, text, strlen(text));
    gdb_send(g, out->str, out->len);
    g_error_free(error);
    gdb_report(g);
}

// --- vCont: what each thread is to do ---

struct action {
    char what; // 'c', 's', 'r', 't'; 0: stay as it is
    vaddr_t start, end;
};

static bool parse_action(const char **p, struct action *a)
{
    uint64_t signal;
    a->what = g_ascii_tolower(**p);
    if (!**p || !strchr("cCsSrt", *(*p)++))
        return false;
    bool has_signal = (*p)[-1] == 'C' || (*p)[-1] == 'S'; // which means nothing to a machine
    if (has_signal && !gdb_hex_u64(p, &signal))
        return false;
    return a->what != 'r' ||
           (gdb_hex_u64(p, &a->start) && *(*p)++ == ',' && gdb_hex_u64(p, &a->end));
}

// Each thread does the first action that names it, or all.
static bool parse_vcont(const struct gdbstub *g, const char *p, struct action *actions)
{
    while (*p) {
        struct action a = {0};
        int thread = GDB_ALL;
        if (!parse_action(&p, &a))
            return false;
        if (*p == ':' && (p++, !gdb_parse_thread(&p, &thread)))
            return false;
        for (unsigned i = 0; i < g->m->nr_cpus; i++)
            if (!actions[i].what && (thread <= 0 || (unsigned)thread == i + 1))
                actions[i] = a;
        if (*p && *p++ != ';')
            return false;
    }
    return true;
}

static bool steps(const struct action *a)
{
    return a->what == 's' || a->what == 'r';
}

// One CPU steps at most: the one that gdb looks at, if it is among those that should.
static void choose_run(const struct gdbstub *g, const struct action *actions, struct gdb_run *run)
{
    *run = (struct gdb_run){.kind = GDB_RUN_CONT, .cpu = g->cpu};
    for (unsigned i = 0; i < g->m->nr_cpus; i++) {
        unsigned cpu = (g->cpu + i) % g->m->nr_cpus;
        if (!steps(&actions[cpu]))
            continue;
        *run = (struct gdb_run){
            .kind = GDB_RUN_STEP, .cpu = cpu, .start = actions[cpu].start, .end = actions[cpu].end};
        return;
    }
}

void gdb_vcont(struct gdbstub *g, const char *args)
{
    struct action actions[MACHINE_MAX_CPUS] = {{0}};
    struct gdb_run run;
    bool any = false;
    if (!parse_vcont(g, args, actions)) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    for (unsigned i = 0; i < g->m->nr_cpus; i++)
        any |= actions[i].what == 'c' || steps(&actions[i]);
    if (!any) {
        gdb_error(g, GDB_EINVAL);
        return;
    }
    choose_run(g, actions, &run);
    go_on(g, &run);
}

// "[ADDR]", for C and S "SIGNAL[;ADDR]": where to go on.
static bool set_pc(struct gdbstub *g, const char *args)
{
    uint64_t number;
    bool has_signal = g->wire.body->str[0] == 'C' || g->wire.body->str[0] == 'S';
    if (has_signal && (!gdb_hex_u64(&args, &number) || (*args && *args++ != ';')))
        return false;
    if (!*args)
        return true;
    if (!gdb_hex_u64(&args, &number))
        return false;
    struct cpu *cpu = gdb_cpu(g);
    const struct guest_view *v = cpu->guest->debug_view(cpu);
    uint8_t value[8];
    store_le(value, 8, number);
    cpu->guest->debug_write(cpu, &v->regs[v->pc], value);
    g->told.valid = false;
    return true;
}

static void go_on_old_way(struct gdbstub *g, const char *args, enum gdb_run_kind kind)
{
    if (set_pc(g, args))
        go_on(g, &(struct gdb_run){.kind = kind, .cpu = g->cpu});
    else
        gdb_error(g, GDB_EINVAL);
}

void gdb_continue(struct gdbstub *g, const char *args)
{
    go_on_old_way(g, args, GDB_RUN_CONT);
}

void gdb_step(struct gdbstub *g, const char *args)
{
    go_on_old_way(g, args, GDB_RUN_STEP);
}

// --- The driver ---

static enum machine_stop stop_for(struct gdbstub *g, const struct gdb_stop *stop)
{
    g->stop = *stop;
    g->has_stop = true;
    vm_stop(g->vm, VM_DEBUG);
    return STOP_REQUESTED;
}

static enum machine_stop stop_at_hit(struct gdbstub *g)
{
    const struct debug_hit *hit = &g->m->debug_hit;
    const struct cpu *cpu = g->m->cpus[hit->cpu];
    const struct gdb_point *p = point_of_hit(g, hit);
    struct gdb_stop stop = {.kind = GDB_STOP_SIGNAL, .signal = GDB_SIGTRAP, .cpu = hit->cpu};
    if (p) {
        stop.kind = is_watch(p) ? GDB_STOP_WATCH : GDB_STOP_BREAK;
        stop.type = p->type;
        stop.addr = hit->addr;
    }
    if (hit->kind == DEBUG_BREAK) {
        g->told.valid = true;
        g->told.cpu = hit->cpu;
        g->told.pc = hit->addr;
        g->told.retired = cpu_retired(cpu);
    }
    return stop_for(g, &stop);
}

// The CPU made its step. STOP_ICOUNT: it is not enough.
static enum machine_stop stepped(struct gdbstub *g)
{
    struct gdb_run *r = &g->run;
    struct cpu *cpu = g->m->cpus[r->cpu];
    if (g->sstep & GDB_SSTEP_NOIRQ && cpu->interrupts != r->interrupts) {
        r->in_handler = true;
        sync_breaks(g);
        return STOP_ICOUNT;
    }
    if (cpu->pc >= r->start && cpu->pc < r->end) {
        note_start(g);
        return STOP_ICOUNT;
    }
    return stop_at_hit(g);
}

static enum machine_stop drive_step(struct gdbstub *g, icount_t until)
{
    g->m->step_cpu = (int)g->run.cpu;
    enum machine_stop stop = vm_advance(g->vm, until);
    g->m->step_cpu = -1;
    if (stop != STOP_DEBUG)
        return stop;
    return g->m->debug_hit.kind == DEBUG_STEP ? stepped(g) : stop_at_hit(g);
}

// Until the interrupted code goes on: at its pc, on its stack.
static enum machine_stop drive_handler(struct gdbstub *g, icount_t until)
{
    struct gdb_run *r = &g->run;
    const struct debug_hit *hit = &g->m->debug_hit;
    enum machine_stop stop = vm_advance(g->vm, until);
    if (stop != STOP_DEBUG)
        return stop;
    bool back = hit->kind == DEBUG_BREAK && hit->addr == r->pc;
    if (back && hit->cpu == r->cpu && gdb_read_sp(g->m->cpus[r->cpu]) == r->sp) {
        note_start(g);
        sync_breaks(g);
        return STOP_ICOUNT;
    }
    if (!back || has_break(g, r->pc))
        return stop_at_hit(g);
    exec_pass_break(g->m->exec, g->m->cpus[hit->cpu]); // other code came by
    return STOP_ICOUNT;
}

static enum machine_stop drive_steps(struct gdbstub *g, icount_t until)
{
    enum machine_stop stop = STOP_ICOUNT;
    for (unsigned i = 0; i < RANGE_STEPS && stop == STOP_ICOUNT; i++) {
        stop = g->run.in_handler ? drive_handler(g, until) : drive_step(g, until);
        if (machine_icount(g->m) >= until)
            break;
    }
    return stop;
}

enum machine_stop gdb_drive(void *opaque, icount_t until)
{
    struct gdbstub *g = opaque;
    if (g->run.kind == GDB_RUN_STEP)
        return drive_steps(g, until);
    enum machine_stop stop = vm_advance(g->vm, until);
    return stop == STOP_DEBUG ? stop_at_hit(g) : stop;
}

// --- Stopping ---

// Where it stands and on which stack: what gdb would ask for first.
static void append_where(struct gdbstub *g, unsigned index, GString *out)
{
    struct cpu *cpu = g->m->cpus[index];
    const struct guest_view *v = cpu->guest->debug_view(cpu);
    const unsigned which[] = {v->pc, v->sp};
    g_string_append_printf(out, "thread:%x;core:%x;", index + 1, index);
    for (unsigned i = 0; i < G_N_ELEMENTS(which); i++) {
        g_string_append_printf(out, "%x:", v->regs[which[i]].number);
        gdb_append_reg(g, cpu, &v->regs[which[i]], out);
        g_string_append_c(out, ';');
    }
}

static void append_reason(const struct gdbstub *g, GString *out)
{
    static const char *const watches[] = {"watch", "rwatch", "awatch"};
    const struct gdb_stop *s = &g->stop;
    if (s->kind == GDB_STOP_WATCH)
        g_string_append_printf(out, "%s:%" PRIx64 ";", watches[s->type - '2'], s->addr);
    else if (s->kind == GDB_STOP_BREAK && s->type == '0' && g->knows_swbreak)
        g_string_append(out, "swbreak:;");
    else if (s->kind == GDB_STOP_BREAK && s->type == '1' && g->knows_hwbreak)
        g_string_append(out, "hwbreak:;");
}

static void append_stop(struct gdbstub *g, GString *out)
{
    const struct gdb_stop *s = &g->stop;
    if (s->kind == GDB_STOP_EXIT) {
        g_string_append_printf(out, "W%02x", s->signal);
        return;
    }
    g_string_append_printf(out, "T%02x", s->signal);
    append_where(g, s->cpu, out);
    append_reason(g, out);
}

void gdb_why(struct gdbstub *g, const char *args)
{
    (void)args;
    append_stop(g, g->reply);
}

void gdb_report(struct gdbstub *g)
{
    g_autoptr(GString) out = g_string_new(NULL);
    append_stop(g, out);
    g->owes_stop = false;
    g->cpu = g->stop.cpu;
    gdb_send(g, out->str, out->len);
}

// Why it stopped when no breakpoint is to blame.
static unsigned signal_of(enum vm_state state)
{
    switch (state) {
    case VM_DEBUG:
        return GDB_SIGTRAP;
    case VM_SHUTDOWN:
        return GDB_SIGQUIT;
    case VM_PANICKED:
    case VM_INTERNAL_ERROR:
        return GDB_SIGABRT;
    default:
        return GDB_SIGINT;
    }
}

static void stopped(struct gdbstub *g)
{
    enum vm_state state = g->vm->state;
    if (state == VM_SAVING || state == VM_RESTORING)
        return; // it goes on in a moment
    if (!g->has_stop)
        g->stop = (struct gdb_stop){
            .kind = GDB_STOP_SIGNAL, .signal = signal_of(state), .cpu = g->run.cpu};
    g->has_stop = false;
    g->run = (struct gdb_run){.kind = GDB_RUN_CONT, .cpu = g->stop.cpu};
    if (g->owes_stop)
        gdb_report(g);
}

static void ended(struct gdbstub *g, int status)
{
    g->stop = (struct gdb_stop){.kind = GDB_STOP_EXIT, .signal = (unsigned)status & 0xff};
    if (g->owes_stop)
        gdb_report(g);
}

void gdb_vm_event(void *opaque, const struct vm_event *event)
{
    struct gdbstub *g = opaque;
    switch (event->kind) {
    case VM_EVENT_STOP:
        stopped(g);
        break;
    case VM_EVENT_RESUME:
        prepare(g);
        break;
    case VM_EVENT_SHUTDOWN:
        if (g->vm->over)
            ended(g, event->status);
        break;
    case VM_EVENT_RESET:
    case VM_EVENT_REPLACED:
        g->told.valid = false;
        break;
    case VM_EVENT_POWERDOWN:
        break;
    }
}
