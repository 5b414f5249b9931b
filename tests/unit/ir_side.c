// SPDX-License-Identifier: MIT
// See ir_side.h.
#include "tests/unit/ir_side.h"

#include <assert.h>
#include <inttypes.h>

#include "translator/softops.h"

static struct side *side_of(struct cpu *cpu)
{
    return container_of(cpu, struct side_cpu, cpu)->side;
}

uint64_t side_hash(uint64_t v)
{
    v += UINT64_C(0x9e3779b97f4a7c15);
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

// --- What can be seen from outside ---

static void note(struct side *s, uint64_t what, uint64_t a, uint64_t b)
{
    s->log = side_hash(side_hash(side_hash(s->log ^ what) ^ a) ^ b);
    s->events++;
}

static uint64_t now(struct side *s)
{
    return s->steps + cpu_elapsed(&s->cpu->cpu);
}

static bool device_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct side *s = dev;
    note(s, 1, offset << 8 | size, now(s));
    *value = s->log >> (64 - 8 * size);
    return offset % 64 != 24;
}

// Writing may raise the interrupt.
static bool device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct side *s = dev;
    note(s, 2, offset << 8 | size, now(s));
    note(s, 3, value, 0);
    if (value & 4) {
        s->cpu->pending = 1;
        cpu_kick(&s->cpu->cpu);
    }
    return offset % 64 != 24;
}

static const struct mem_ops device_ops = {device_read, device_write, 1, 4, false, false};

// --- The guest ---

// A page of RAM, or -1.
static int ram_page(const struct cpu *cpu, uint64_t page)
{
    uint64_t last = (cpu->addr32 ? UINT32_MAX : UINT64_MAX) >> PAGE_BITS;
    if (page == 0)
        return SIDE_PAGES - 2;
    if (page == last)
        return SIDE_PAGES - 1;
    if (page - (SIDE_BASE >> PAGE_BITS) < SIDE_PAGES)
        return page - (SIDE_BASE >> PAGE_BITS);
    return -1;
}

static void map(struct cpu *cpu, vaddr_t addr, unsigned regime, struct tlb_fill *fill)
{
    uint64_t page = addr >> PAGE_BITS, in_alias = page - (SIDE_ALIAS >> PAGE_BITS);
    int i = ram_page(cpu, page);
    *fill = (struct tlb_fill){.paddr = addr & PAGE_MASK, .prot = {true, true, true}};
    if (i >= 0) {
        fill->paddr = SIDE_BASE + (uint64_t)i * PAGE_SIZE;
        fill->prot[TLB_WRITE] = i != SIDE_RO && !(regime == 1 && i % 4 == 3);
        fill->uncached = i == SIDE_VARYING;
        if (i == SIDE_HOLE)
            memset(fill->prot, 0, sizeof(fill->prot));
        if (i == SIDE_VARYING)
            fill->prot[TLB_EXEC] = !(addr & 0x40);
        if (i == SIDE_VARYING && addr & 0x80)
            fill->prot[TLB_WRITE] = false;
    } else if (page == (SIDE_WINDOW >> PAGE_BITS) - 1) {
        fill->paddr = SIDE_BASE + 3 * PAGE_SIZE;
    } else if (page == SIDE_WINDOW >> PAGE_BITS) {
        fill->paddr = SIDE_BASE + side_of(cpu)->cpu->bank * PAGE_SIZE;
    } else if (!cpu->addr32 && in_alias < SIDE_PAGES) {
        fill->paddr = SIDE_BASE + in_alias * PAGE_SIZE;
    } else if (page == SIDE_IO >> PAGE_BITS) {
        fill->prot[TLB_EXEC] = false;
    } else if (page != SIDE_ROM >> PAGE_BITS && page != SIDE_NOTHING >> PAGE_BITS) {
        memset(fill->prot, 0, sizeof(fill->prot));
    }
}

static bool walk(struct cpu *cpu, vaddr_t addr, unsigned size, enum tlb_access access,
                 unsigned regime, struct tlb_fill *fill)
{
    (void)size;
    map(cpu, addr, regime, fill);
    if (!fill->prot[access])
        cpu_raise(cpu, SIDE_FAULT_PAGE + access, addr);
    return fill->prot[access];
}

static void fault_align(struct cpu *cpu, vaddr_t addr, enum tlb_access access)
{
    cpu_raise(cpu, SIDE_FAULT_ALIGN + access, addr);
}

static void fault_bus(struct cpu *cpu, vaddr_t addr, enum tlb_access access)
{
    cpu_raise(cpu, SIDE_FAULT_BUS + access, addr);
}

static uint32_t key(struct cpu *cpu)
{
    const struct side_cpu *c = container_of(cpu, struct side_cpu, cpu);
    cpu->key_regime = c->mode & 1;
    cpu->key_fetch_regime = 2;
    cpu->key_rm = c->rm;
    return c->mode | (uint32_t)c->rm << 2;
}

static void trap(struct cpu *cpu)
{
    struct side *s = side_of(cpu);
    note(s, 4, cpu->fault.cause, cpu->fault.value);
    note(s, 5, cpu->pc, now(s));
    cpu->fault.pending = false;
    cpu->pc = SIDE_BASE + (side_hash(cpu->fault.cause ^ cpu->pc) & 0x3ffe);
}

static bool interrupt(struct cpu *cpu)
{
    struct side *s = side_of(cpu);
    if (!s->cpu->pending || !s->cpu->enabled)
        return false;
    s->cpu->pending = 0;
    note(s, 6, cpu->pc, now(s));
    cpu->pc = SIDE_BASE + 0x200;
    return true;
}

static bool has_work(struct cpu *cpu)
{
    return side_of(cpu)->cpu->pending;
}

static const struct guest guest_without_code = {
    .name = "none",
    .key = key,
    .walk = walk,
    .fault_align = fault_align,
    .fault_bus = fault_bus,
    .trap = trap,
    .interrupt = interrupt,
    .has_work = has_work,
};

// --- Functions that IR calls ---

// What a call may clobber is clobbered.
static void clobber(void)
{
#ifdef __x86_64__
    __asm__ volatile(
        "mov $-0x21524111, %%rax\n mov %%rax, %%rcx\n mov %%rax, %%rdx\n mov %%rax, %%rsi\n"
        "mov %%rax, %%rdi\n mov %%rax, %%r8\n mov %%rax, %%r9\n mov %%rax, %%r10\n"
        "mov %%rax, %%r11\n pcmpeqd %%xmm0, %%xmm0\n movaps %%xmm0, %%xmm1\n"
        "movaps %%xmm0, %%xmm2\n movaps %%xmm0, %%xmm3\n movaps %%xmm0, %%xmm4\n"
        "movaps %%xmm0, %%xmm5\n movaps %%xmm0, %%xmm6\n movaps %%xmm0, %%xmm7\n"
        "movaps %%xmm0, %%xmm8\n movaps %%xmm0, %%xmm9\n movaps %%xmm0, %%xmm10\n"
        "movaps %%xmm0, %%xmm11\n movaps %%xmm0, %%xmm12\n movaps %%xmm0, %%xmm13\n"
        "movaps %%xmm0, %%xmm14\n movaps %%xmm0, %%xmm15\n" ::
            : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
              "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
              "xmm13", "xmm14", "xmm15", "cc", "memory");
#endif
}

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return side_hash(side_hash(side_hash(side_hash(a) ^ b) ^ c) ^ d);
}

// The code that called is left behind it, or jumps on under the new key.
static uint64_t call_set_key(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)d;
    struct side_cpu *s = side_of(cpu)->cpu;
    bool same_rm = b > FP_RMM || b == s->rm;
    s->mode = a & 3;
    s->enabled = c & 1;
    if (!same_rm)
        s->rm = b;
    uint32_t k = key(cpu);
    if (same_rm)
        cpu_set_key(cpu, k);
    else
        cpu_leave_soon(cpu);
    if (s->pending && s->enabled)
        cpu_kick(cpu);
    clobber();
    return k;
}

static uint64_t call_flush(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)c, (void)d;
    if (b & 1)
        cpu_flush_tlb(cpu);
    else
        cpu_flush_tlb_page(cpu, a);
    clobber();
    return side_hash(a);
}

static uint64_t call_kick(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    side_of(cpu)->cpu->pending = 1;
    cpu_kick(cpu);
    clobber();
    return a;
}

static uint64_t call_set_bank(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)c, (void)d;
    side_of(cpu)->cpu->bank = a & 3;
    if (b & 1)
        cpu_flush_tlb(cpu);
    else
        cpu_flush_tlb_page(cpu, SIDE_WINDOW);
    clobber();
    return a;
}

static uint64_t call_pure(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)cpu;
    uint64_t r = mix(a, b, c, d);
    clobber();
    return r;
}

static uint64_t call_effect(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t r = mix(a, b, c, d);
    note(side_of(cpu), 7, r, 0);
    clobber();
    return r;
}

static uint64_t call_fault(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t r = mix(a, b, c, d);
    note(side_of(cpu), 8, r, 0);
    if (r % 32 == 0)
        cpu_raise(cpu, SIDE_FAULT_CALL, r);
    clobber();
    return r;
}

// Addresses come from variables that have good ones as a rule, sizes from anywhere.
static uint64_t call_load(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)c, (void)d;
    uint64_t v = 0;
    unsigned size = b & 3;
    if (cpu->addr32)
        a = (uint32_t)a;
    if (cpu_load(cpu, a, 1u << size, size | (b & MO_SIGN), &v))
        note(side_of(cpu), 9, a, v);
    clobber();
    return v;
}

static uint64_t call_store(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)d;
    unsigned size = b & 3;
    if (cpu->addr32)
        a = (uint32_t)a;
    if (cpu_store(cpu, a, 1u << size, size | (b & MO_ALIGN), c))
        note(side_of(cpu), 10, a, c);
    clobber();
    return side_hash(c);
}

static uint64_t call_fp(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t r = mix(a, b, c, d) ^ cpu->fp.flags;
    note(side_of(cpu), 11, r, cpu->fp.flags);
    if (r % 4 == 0)
        cpu->fp.flags = a & (FP_INVALID | FP_DIVZERO | FP_OVERFLOW | FP_UNDERFLOW | FP_INEXACT);
    clobber();
    return r;
}

static uint64_t call_time(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct side *s = side_of(cpu);
    uint64_t r = mix(a, b, c, d);
    note(s, 12, now(s), cpu_retired(cpu));
    clobber();
    return r ^ now(s);
}

static uint64_t call_all(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t r = call_load(cpu, a, b, c, d);
    if (cpu->fault.pending)
        return 0; // it may be called again: nothing must have been done yet
    return r ^ call_time(cpu, a, b, c, d) ^ call_fp(cpu, a, b, c, d);
}

const struct ir_call side_calls[] = {
    [SIDE_CALL_SET_KEY] = {call_set_key, "set_key", 0},
    [SIDE_CALL_KICK] = {call_kick, "kick", 0},
    [SIDE_CALL_SET_BANK] = {call_set_bank, "set_bank", 0},
    [SIDE_CALL_FLUSH] = {call_flush, "flush", 0},
    [SIDE_CALL_PURE] = {call_pure, "pure", CALL_PURE},
    [SIDE_CALL_EFFECT] = {call_effect, "effect", 0},
    {call_fault, "fault", CALL_FAULT},
    {call_load, "load", CALL_FAULT},
    {call_store, "store", CALL_FAULT},
    {call_fp, "fp", CALL_FP},
    {call_time, "time", CALL_TIME},
    {call_all, "all", CALL_FAULT | CALL_FP | CALL_TIME},
};
const unsigned side_nr_calls = G_N_ELEMENTS(side_calls);

// --- Variables ---

#define REG(i)    offsetof(struct side_cpu, cpu.reg[i])
#define NARROW(i) offsetof(struct side_cpu, narrow[i])
#define FAR(i)    offsetof(struct side_cpu, far[i])

// Homes of narrow variables of a 32-bit CPU are 8 bytes apart too, as a guest of both widths has
// them.
#define VARS(XT)                                                                                  \
    {                                                                                             \
        {"x0", XT, REG(0)}, {"x1", XT, REG(1)}, {"x2", XT, REG(2)}, {"x3", XT, REG(3)},           \
            {"x4", XT, REG(4)}, {"x5", XT, REG(5)}, {"x6", XT, REG(6)}, {"x7", XT, REG(7)},       \
            {"x8", XT, REG(8)}, {"x9", XT, REG(9)}, {"x10", XT, REG(10)}, {"x11", XT, REG(11)},   \
            {"x12", XT, REG(12)}, {"x13", XT, REG(13)}, {"x14", XT, REG(14)},                     \
            {"x15", XT, REG(15)}, {"x16", XT, REG(16)}, {"x17", XT, REG(17)},                     \
            {"x18", XT, REG(18)}, {"x19", XT, REG(19)}, {"a0", XT, REG(20)}, {"a1", XT, REG(21)}, \
            {"a2", XT, REG(22)}, {"a3", XT, REG(23)}, {"a4", XT, REG(24)}, {"a5", XT, REG(25)},   \
            {"l0", IR_I64, REG(26)}, {"l1", IR_I64, REG(27)}, {"l2", IR_I64, REG(28)},            \
            {"w0", IR_I32, NARROW(0)}, {"w1", IR_I32, NARROW(1)}, {"w2", IR_I32, NARROW(2)},      \
            {"w3", IR_I32, NARROW(3)}, {"d0", IR_F64, REG(32)}, {"d1", IR_F64, REG(33)},          \
            {"d2", IR_F64, REG(34)}, {"d3", IR_F64, REG(35)}, {"d4", IR_F64, REG(36)},            \
            {"d5", IR_F64, REG(37)}, {"d6", IR_F64, REG(38)}, {"d7", IR_F64, REG(39)},            \
            {"d8", IR_F64, REG(40)}, {"d9", IR_F64, REG(41)}, {"d10", IR_F64, REG(42)},           \
            {"d11", IR_F64, REG(43)}, {"d12", IR_F64, REG(44)}, {"d13", IR_F64, REG(45)},         \
            {"d14", IR_F64, REG(46)}, {"d15", IR_F64, REG(47)}, {"d16", IR_F64, REG(48)},         \
            {"d17", IR_F64, REG(49)}, {"d18", IR_F64, REG(50)}, {"d19", IR_F64, REG(51)},         \
            {"d20", IR_F64, REG(52)}, {"d21", IR_F64, REG(53)}, {"s0", IR_F32, NARROW(4)},        \
            {"s1", IR_F32, NARROW(5)}, {"s2", IR_F32, NARROW(6)}, {"s3", IR_F32, NARROW(7)},      \
            {"s4", IR_F32, NARROW(8)}, {"s5", IR_F32, NARROW(9)}, {"far0", IR_I64, FAR(0)},       \
            {"far1", IR_I64, FAR(1)}, {"far2", IR_I64, FAR(2)},                                   \
    }

static const struct ir_var vars32[] = VARS(IR_I32);
static const struct ir_var vars64[] = VARS(IR_I64);

_Static_assert(G_N_ELEMENTS(vars64) == SIDE_NR_VARS, "the header counts them");

const struct ir_var *side_vars(bool wide)
{
    return wide ? vars64 : vars32;
}

// --- Making one ---

struct whole {
    struct side side;
    struct guest guest; // the one without code, or one that lifts
    struct side_cpu cpu[SIDE_NR_CPUS];
};

static void add_memory(struct side *s)
{
    s->mem = mem_new();
    s->ram = mem_add_ram(s->mem, "ram", SIDE_BASE, SIDE_RAM_SIZE, NULL);
    s->rom = mem_add_rom(s->mem, "rom", SIDE_ROM, PAGE_SIZE, NULL);
    mem_add_io(s->mem, "device", SIDE_IO, PAGE_SIZE, &device_ops, s, NULL);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        s->rom->host[i] = side_hash(i);
}

struct side *side_new(const char *name, const struct host *host, bool wide,
                      bool (*lift)(struct lift *l))
{
    struct whole *w = g_new0(struct whole, 1);
    struct side *s = &w->side;
    GError *error = NULL;
    s->name = name;
    s->host = host;
    s->cpu = &w->cpu[0];
    w->guest = guest_without_code;
    w->guest.lift = lift;
    add_memory(s);
    s->exec = exec_new(s->mem, host, 1u << 20, &error);
    if (!s->exec)
        g_error("%s", error->message);
    for (unsigned i = 0; i < SIDE_NR_CPUS; i++) {
        struct side_cpu *c = &w->cpu[i];
        c->side = s;
        c->cpu.guest = &w->guest;
        c->cpu.vars = side_vars(wide);
        c->cpu.nr_vars = SIDE_NR_VARS;
        c->cpu.index = i;
        exec_add_cpu(s->exec, &c->cpu);
    }
    return s;
}

void side_switch(struct side *s, unsigned number)
{
    s->cpu = &container_of(s, struct whole, side)->cpu[number];
}

void side_free(struct side *s)
{
    exec_free(s->exec);
    mem_free(s->mem);
    g_free(container_of(s, struct whole, side));
}

// --- State ---

void side_set(struct side *s, const struct side_state *st, const uint8_t *ram)
{
    struct cpu *cpu = &s->cpu->cpu;
    memcpy(cpu->reg, st->reg, sizeof(cpu->reg));
    memcpy(s->cpu->far, st->far, sizeof(s->cpu->far));
    memcpy(s->cpu->narrow, st->narrow, sizeof(s->cpu->narrow));
    cpu->pc = st->pc;
    cpu->retired = st->retired;
    cpu->budget = cpu->slice = st->budget;
    cpu->fp.flags = st->fp_flags;
    cpu->halted = st->halted;
    cpu->leave = st->leave;
    cpu->fault.pending = st->fault;
    cpu->next_mode = st->next_mode;
    memset(cpu->heat, 0, sizeof(cpu->heat));
    s->cpu->mode = st->mode;
    s->cpu->rm = st->rm;
    s->cpu->pending = st->pending;
    s->cpu->enabled = st->enabled;
    s->cpu->bank = st->bank;
    s->steps = st->steps;
    s->log = st->log;
    s->events = st->events;
    s->stop = st->stop;
    memcpy(s->ram->host, ram, SIDE_RAM_SIZE);
    if (st->log % 4 == 0)
        mem_hash(s->mem, 0); // the first stores will find clean pages
    cpu_flush_tlb(cpu);
    if (cpu->guest->lift)
        exec_clear(s->exec);
}

void side_get(const struct side *s, struct side_state *st)
{
    const struct cpu *cpu = &s->cpu->cpu;
    *st = (struct side_state){.pc = cpu->pc,
                              .retired = cpu->retired,
                              .steps = s->steps,
                              .log = s->log,
                              .events = s->events,
                              .budget = cpu->budget,
                              .leave = cpu->leave,
                              .fault = cpu->fault.pending,
                              .next_mode = cpu->next_mode,
                              .fp_flags = cpu->fp.flags,
                              .halted = cpu->halted,
                              .mode = s->cpu->mode,
                              .rm = s->cpu->rm,
                              .pending = s->cpu->pending,
                              .enabled = s->cpu->enabled,
                              .bank = s->cpu->bank,
                              .stop = s->stop};
    if (cpu->fault.pending && cpu->next_mode == CPU_NORMAL) {
        st->fault_cause = cpu->fault.cause;
        st->fault_value = cpu->fault.value;
    }
    memcpy(st->reg, cpu->reg, sizeof(st->reg));
    memcpy(st->far, s->cpu->far, sizeof(st->far));
    memcpy(st->narrow, s->cpu->narrow, sizeof(st->narrow));
}

#define FIELDS(X)                                                                                  \
    X(pc)                                                                                          \
    X(retired) X(steps) X(log) X(events) X(budget) X(leave) X(fault) X(fault_cause) X(fault_value) \
        X(next_mode) X(fp_flags) X(halted) X(mode) X(rm) X(pending) X(enabled) X(stop) X(bank)

static void compare_homes(const struct side *a, const struct side *b, GString *out)
{
    const struct cpu *cpu = &a->cpu->cpu;
    for (unsigned i = 0; i < cpu->nr_vars; i++) {
        uint64_t va = 0, vb = 0;
        size_t size = ir_type_bytes(cpu->vars[i].type);
        memcpy(&va, (const char *)a->cpu + cpu->vars[i].offset, size);
        memcpy(&vb, (const char *)b->cpu + cpu->vars[i].offset, size);
        if (va != vb)
            g_string_append_printf(out, "%s: %s 0x%" PRIx64 ", %s 0x%" PRIx64 "\n",
                                   cpu->vars[i].name, a->name, va, b->name, vb);
    }
}

static void compare_memory(const struct side *a, const struct side *b, GString *out)
{
    for (unsigned i = 0; i < SIDE_RAM_SIZE; i += 8) {
        uint64_t va = load_le(a->ram->host + i, 8), vb = load_le(b->ram->host + i, 8);
        if (va != vb)
            g_string_append_printf(out,
                                   "[0x%" PRIx64 "]: %s 0x%016" PRIx64 ", %s 0x%016" PRIx64 "\n",
                                   SIDE_BASE + i, a->name, va, b->name, vb);
    }
}

char *side_compare(const struct side *a, const struct side *b)
{
    struct side_state sa, sb;
    side_get(a, &sa);
    side_get(b, &sb);
    bool memory = memcmp(a->ram->host, b->ram->host, SIDE_RAM_SIZE);
    if (!memcmp(&sa, &sb, sizeof(sa)) && !memory)
        return NULL;
    GString *out = g_string_new(NULL);
#define X(field)                                                                              \
    if (sa.field != sb.field)                                                                 \
        g_string_append_printf(out, #field ": %s 0x%" PRIx64 ", %s 0x%" PRIx64 "\n", a->name, \
                               (uint64_t)sa.field, b->name, (uint64_t)sb.field);
    FIELDS(X)
#undef X
    compare_homes(a, b, out);
    compare_memory(a, b, out);
    if (!out->len)
        g_string_append(out, "bytes beside the homes\n");
    return g_string_free(out, FALSE);
}

// --- Running units ---

struct unit *side_compile(struct side *s, struct ir *ir, enum cpu_mode mode)
{
    struct exec *e = s->exec;
    for (;;) {
        struct unit *u = units_make(e->units, 1);
        u->pc = ir->pc;
        u->span[0].va = ir->pc & PAGE_MASK;
        u->key = UNIT_KEY(0, mode);
        u->insns = ir->nr_guest;
        struct ir copy = *ir;
        enum host_compile result = e->host->compile(e->host_data, &copy, u);
        if (result == COMPILE_OK)
            return u;
        if (result == COMPILE_TOO_BIG)
            return NULL;
        exec_clear(e);
    }
}

static void start(struct side *s, enum cpu_mode mode)
{
    struct cpu *cpu = &s->cpu->cpu;
    key(cpu);
    cpu->single = mode == CPU_SINGLE;
    cpu->leave_link = 0;
    cpu->leave = LEAVE_LOOKUP;
    cpu->unit_left = 0;
}

void side_run(struct side *s, const struct unit *u, enum cpu_mode mode)
{
    start(s, mode);
    s->host->enter(s->exec->host_data, &s->cpu->cpu, u);
    s->cpu->cpu.unit_left = 0;
    s->cpu->cpu.single = false;
}

// A stop for a debugger, who goes on.
static void note_hit(struct side *s)
{
    struct debug_hit hit;
    if (!exec_take_hit(s->exec, &hit))
        return;
    const uint64_t parts[] = {hit.kind, hit.cpu, hit.watch, hit.addr, hit.write, s->steps};
    assert(hit.cpu == s->cpu->cpu.index);
    assert(hit.kind != DEBUG_BREAK || hit.addr == s->cpu->cpu.pc);
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        s->hit_log = side_hash(s->hit_log ^ parts[i]);
    s->hits[hit.kind]++;
    if (hit.kind == DEBUG_BREAK)
        exec_pass_break(s->exec, &s->cpu->cpu);
}

void side_run_loop(struct side *s, uint64_t steps, uint64_t slice)
{
    struct cpu *cpu = &s->cpu->cpu;
    s->stop = EXEC_BUDGET;
    while (steps && (s->stop == EXEC_BUDGET || s->stop == EXEC_STOP)) {
        cpu->budget = cpu->slice = MIN(steps, slice);
        s->stop = exec_run(s->exec, cpu);
        uint64_t ran = cpu->slice - cpu->budget;
        cpu->retired += ran;
        s->steps += ran;
        steps -= ran;
        cpu->budget = cpu->slice = 0;
        note_hit(s);
    }
    if (s->stop == EXEC_STOP)
        s->stop = EXEC_BUDGET; // a kick at the very end
}

// --- The reference ---

struct reference {
    struct side *side;
    struct cpu *cpu;
    const struct ir *ir;
    unsigned marker; // of the guest instruction
    uint64_t val[IR_MAX_INSNS];
};

static bool ref_access(struct reference *h, const struct ir_insn *in, uint64_t *result)
{
    bool write = in->op == IR_ST, narrow = ir_type_of(h->ir, in->arg[0]) == IR_I32;
    vaddr_t addr = h->val[in->arg[0]] + in->imm;
    uint64_t v = write ? h->val[in->arg[2]] : 0;
    if (!access_slow(h->cpu, narrow ? (uint32_t)addr : addr, in->aux, h->ir->regime, write, &v))
        return false;
    *result = ir_type_bytes(in->type) == 4 ? (uint32_t)v : v;
    return true;
}

static bool ref_call(struct reference *h, const struct ir_insn *in, uint64_t *result)
{
    const struct ir_call *c = &h->ir->call[in->x];
    uint64_t v[4];
    for (unsigned k = 0; k < 4; k++)
        v[k] = in->arg[k] ? h->val[in->arg[k]] : 0;
    if (!in->arg[3])
        v[3] = in->imm;
    uint64_t r = c->fn(h->cpu, v[0], v[1], v[2], v[3]);
    *result = ir_type_bytes(in->type) == 4 ? (uint32_t)r : r;
    return !(c->flags & CALL_FAULT && h->cpu->fault.pending);
}

static uint64_t ref_value(struct reference *h, const struct ir_insn *in)
{
    uint64_t v[4], result = 0;
    enum ir_type types[4];
    for (unsigned k = 0; k < 4; k++) {
        v[k] = h->val[in->arg[k]];
        types[k] = ir_type_of(h->ir, in->arg[k]);
    }
    if (ir_eval(in->op, in->type, in->aux, v, types, &result))
        return result;
    if (ir_op_info[in->op].flags & OPF_FLOAT) {
        struct fp_env env = {.rm = in->x};
        result = softop_eval(in->op, in->type, types[0], in->aux, v, &env);
        h->cpu->fp.flags |= env.flags;
        return result;
    }
    switch (in->op) {
    case IR_BITCAST:
        return v[0];
    case IR_BOX:
        return v[0] | MASK(63, 32);
    case IR_UNBOX:
        return v[0] >> 32 == UINT32_MAX ? (uint32_t)v[0] : F32_NAN;
    case IR_FCANON:
        return softop_is_nan(in->type, v[0]) ? softop_nan(in->type) : v[0];
    default:
        g_assert_not_reached();
    }
}

static void ref_variable(struct reference *h, const struct ir_insn *in, uint64_t *result)
{
    const struct ir_var *var = &h->ir->vars[in->x];
    void *home = (char *)h->side->cpu + var->offset;
    if (in->op == IR_SET)
        memcpy(home, &h->val[in->arg[0]], ir_type_bytes(var->type));
    else
        memcpy(result, home, ir_type_bytes(var->type));
}

static void ref_leave(struct reference *h, vaddr_t pc, unsigned insns)
{
    h->cpu->budget += h->ir->nr_guest - insns;
    h->cpu->pc = pc;
}

// Whether the instruction leaves through its exit.
static bool ref_exits(struct reference *h, const struct ir_insn *in)
{
    uint64_t yes = 1;
    if (!(ir_op_info[in->op].flags & OPF_EXIT))
        return false;
    if (in->op == IR_BR) {
        const uint64_t v[4] = {h->val[in->arg[0]], h->val[in->arg[1]]};
        const enum ir_type types[4] = {ir_type_of(h->ir, in->arg[0])};
        ir_eval(IR_SETC, IR_I64, in->aux, v, types, &yes);
    }
    if (in->op == IR_GUARD)
        yes = h->val[in->arg[0]] != h->val[in->arg[1]];
    if (in->op == IR_LEAVE)
        h->cpu->leave = in->aux;
    return yes;
}

// One instruction; false: it faults.
static bool ref_step(struct reference *h, unsigned i)
{
    const struct ir_insn *in = &h->ir->insn[i];
    uint64_t *result = &h->val[i];
    *result = 0;
    switch (in->op) {
    case IR_INSN:
        h->marker = i;
        break;
    case IR_NOP:
    case IR_CHK:
    case IR_BR:
    case IR_GUARD:
        break;
    case IR_CONST:
        *result = in->imm;
        break;
    case IR_GET:
    case IR_SET:
        ref_variable(h, in, result);
        break;
    case IR_LD:
    case IR_ST:
        return ref_access(h, in, result);
    case IR_CALL:
        return ref_call(h, in, result);
    case IR_RAISE:
        cpu_raise(h->cpu, in->imm, h->val[in->arg[0]]);
        return false;
    default:
        *result = ref_value(h, in);
    }
    return true;
}

void side_run_reference(struct side *s, const struct ir *ir, enum cpu_mode mode)
{
    struct reference h = {.side = s, .cpu = &s->cpu->cpu, .ir = ir};
    start(s, mode);
    h.cpu->budget -= ir->nr_guest;
    for (unsigned i = 1;; i++) {
        const struct ir_insn *in = &ir->insn[i];
        if (ref_exits(&h, in)) {
            const struct ir_exit *exit = &ir->exit[in->x];
            bool indirect = in->op == IR_JMP || in->op == IR_GUARD;
            ref_leave(&h, indirect ? h.val[in->arg[0]] : exit->pc, exit->insns);
            break;
        }
        const struct ir_insn *marker = &ir->insn[h.marker];
        s->cpu->cpu.unit_left = ir->nr_guest - marker->aux;
        if (!ref_step(&h, i)) {
            ref_leave(&h, marker->imm, marker->aux);
            break;
        }
    }
    s->cpu->cpu.unit_left = 0;
    s->cpu->cpu.single = false;
}
