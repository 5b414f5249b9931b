// SPDX-License-Identifier: MIT
// See guest.h.
#include "guest.h"

struct context contexts[NR_HARTS];
struct how how;

extern const char m_trap[], s_trap[];

void start(unsigned hart);
void unexpected(void);
void enter(reg pc, reg a0, reg a1, reg a2);
void *memset(void *to, int value, unsigned long size);
void *memcpy(void *to, const void *from, unsigned long size);

// ---- Output ----

static void wait_for_room(void)
{
    while (!(UART[5] & 0x20))
        ;
}

static void put(char c)
{
    wait_for_room();
    UART[0] = (uint8_t)c;
}

static void put_string(const char *s)
{
    while (*s)
        put(*s++);
}

static void put_hex(uint64_t v)
{
    int shift = 60;
    while (shift && !(v >> shift & 15))
        shift -= 4;
    put_string("0x");
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[v >> shift & 15]);
}

static void put_decimal(unsigned v)
{
    char digits[12];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        put(digits[--n]);
}

static void put_formatted(const char *fmt, va_list args)
{
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(*fmt);
            continue;
        }
        switch (*++fmt) {
        case 's':
            put_string(va_arg(args, const char *));
            break;
        case 'u':
            put_decimal(va_arg(args, unsigned));
            break;
        case 'x':
            put_hex(va_arg(args, reg));
            break;
        case 'X':
            put_hex(va_arg(args, uint64_t));
            break;
        case 'c':
            put((char)va_arg(args, int));
            break;
        }
    }
}

void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_formatted(fmt, args);
    va_end(args);
}

static void __attribute__((noreturn)) finish(unsigned status)
{
    *FINISHER = status ? status << 16 | 0x3333 : 0x5555;
    for (;;)
        ;
}

// ---- Results ----

static const char *paragraph_fmt;
static reg paragraph_args[2];

void paragraph(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    paragraph_fmt = fmt;
    for (unsigned i = 0; i < 2; i++)
        paragraph_args[i] = va_arg(args, reg);
    va_end(args);
}

static void result(bool ok, const char *name, va_list args)
{
    put_string(ok ? "ok - " : "not ok - ");
    say(paragraph_fmt, paragraph_args[0], paragraph_args[1]);
    put_string(": ");
    put_formatted(name, args);
    put('\n');
}

void check(uint64_t got, uint64_t want, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    result(got == want, name, args);
    va_end(args);
    if (got != want)
        say("#   is %X, not %X\n", got, want);
}

void check_true(bool condition, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    result(condition, name, args);
    va_end(args);
}

static void say_trap(struct trap t)
{
    if (t.cause == NONE)
        say("#   did not trap: a0 is %x\n", t.value);
    else
        say("#   trapped to %s-mode: cause %x, epc %x, trap value %x\n", priv_name(t.handler),
            t.cause, t.epc, t.tval);
}

void check_trap(struct trap t, reg cause, reg tval, const char *name, ...)
{
    bool ok = t.cause == cause && (cause == NONE || t.tval == tval);
    va_list args;
    va_start(args, name);
    result(ok, name, args);
    va_end(args);
    if (!ok) {
        say_trap(t);
        say("#   instead of cause %x, value %x\n", cause, tval);
    }
}

void check_none(struct trap t, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    result(t.cause == NONE, name, args);
    va_end(args);
    if (t.cause != NONE)
        say_trap(t);
}

void check_value(struct trap t, reg value, const char *name, ...)
{
    bool ok = t.cause == NONE && t.value == value;
    va_list args;
    va_start(args, name);
    result(ok, name, args);
    va_end(args);
    if (!ok) {
        say_trap(t);
        say("#   instead of a0 %x\n", value);
    }
}

void check_illegal(struct trap t, uint32_t bits, const char *name, ...)
{
    bool ok = t.cause == ILLEGAL && t.tval == bits;
    va_list args;
    va_start(args, name);
    result(ok, name, args);
    va_end(args);
    if (!ok) {
        say_trap(t);
        say("#   instead of cause 0x2, value %x\n", (reg)bits);
    }
}

void skip(const char *why, ...)
{
    va_list args;
    va_start(args, why);
    put_string("skip - ");
    put_formatted(why, args);
    va_end(args);
    put('\n');
}

const char *priv_name(enum priv priv)
{
    static const char *const names[] = {"U", "S", "?", "M"};
    return names[priv & 3];
}

// ---- Harts ----

static inline struct context *context(void)
{
    struct context *c;
    __asm__ volatile("mv %0, tp" : "=r"(c));
    return c;
}

unsigned hart(void)
{
    return (unsigned)(context() - contexts);
}

static volatile unsigned nr_up;

static void park(unsigned h)
{
    __atomic_fetch_add(&nr_up, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        void (*job)(unsigned) = __atomic_load_n(&contexts[h].job, __ATOMIC_ACQUIRE);
        if (!job) {
            pause_hart();
            continue;
        }
        job(h);
        __atomic_store_n(&contexts[h].job, NULL, __ATOMIC_RELEASE);
    }
}

unsigned nr_harts(void)
{
    uint64_t until = mtime() + 50000000;
    while (__atomic_load_n(&nr_up, __ATOMIC_SEQ_CST) < NR_HARTS - 1 && mtime() < until)
        pause_hart();
    return 1 + __atomic_load_n(&nr_up, __ATOMIC_SEQ_CST);
}

void hart_start(unsigned h, void (*job)(unsigned hart))
{
    __atomic_store_n(&contexts[h].job, job, __ATOMIC_RELEASE);
}

void harts_wait(void)
{
    for (unsigned h = 1; h < NR_HARTS; h++)
        while (__atomic_load_n(&contexts[h].job, __ATOMIC_ACQUIRE))
            pause_hart();
}

// Smstateen, where there is one, lets S-mode use senvcfg.
static void enable_state(void)
{
    if (!has_csr(CSR_MSTATEEN0))
        return;
#if XLEN == 64
    csr_write(CSR_MSTATEEN0, ~(reg)0);
#else
    csr_write(CSR_MSTATEEN0H, ~(reg)0);
#endif
}

void start(unsigned h)
{
    if (h)
        park(h);
    if (has('S'))
        csr_write(CSR_STVEC, s_trap);
    enable_state();
    pmp_open();
    topic();
    put_string("done\n");
    finish(0);
}

void unexpected(void)
{
    const struct context *c = context();
    say("not ok - unexpected trap: cause %x, epc %x, trap value %x\n", c->cause, c->epc, c->tval);
    finish(1);
}

// ---- Running code ----

reg op_address(enum priv priv, const char *op)
{
    return how.ops_at[priv] ? how.ops_at[priv] + (reg)(op - ops) : (reg)op;
}

static struct trap trap_of(const struct context *c)
{
    if (c->t[6] == FROM_S && (c->cause == ECALL_S || c->cause == BREAKPOINT))
        return (struct trap){.cause = c->t[2],
                             .epc = c->t[3],
                             .tval = c->t[4],
                             .status = c->t[5],
                             .value = c->a0,
                             .vector = (int)c->t[1],
                             .handler = S};
    return (struct trap){.cause = c->cause,
                         .epc = c->epc,
                         .tval = c->tval,
                         .status = c->status,
                         .value = c->a0,
                         .vector = (int)c->vector,
                         .handler = M};
}

struct trap run_at(enum priv priv, reg pc, reg a0, reg a1, reg a2)
{
    reg status = csr_read(CSR_MSTATUS), entry = status & ~(MSTATUS_MPP | MSTATUS_MPIE);
    csr_write(CSR_MSTATUS, entry | MPP(priv) | how.status);
    enter(pc, a0, a1, a2);
    csr_write(CSR_MSTATUS, status);
    struct trap t = trap_of(context());
    if ((t.cause == ECALL_U || t.cause == ECALL_S || t.cause == ECALL_M) && t.epc != pc)
        t.cause = NONE;
    return t;
}

struct trap run(enum priv priv, const char *op, reg a0, reg a1)
{
    return run_at(priv, op_address(priv, op), a0, a1, 0);
}

struct trap run_insn(enum priv priv, uint32_t bits, reg a0, reg a1)
{
    *word_at((reg)op_slot) = bits;
    fence_i();
    return run(priv, op_slot, a0, a1);
}

uint32_t csr_insn(unsigned csr, enum csr_op op, unsigned rd, unsigned rs1)
{
    return (uint32_t)csr << 20 | rs1 << 15 | (uint32_t)op << 12 | rd << 7 | 0x73;
}

// a0 is x10.
struct trap csr_reads(enum priv priv, unsigned csr)
{
    return run_insn(priv, csr_insn(csr, CSRRS, 10, 0), 0, 0);
}

struct trap csr_writes(enum priv priv, unsigned csr, reg value)
{
    return run_insn(priv, csr_insn(csr, CSRRW, 0, 10), value, 0);
}

// ---- What there is ----

bool has(char letter)
{
    return csr_read(CSR_MISA) >> (letter - 'A') & 1;
}

bool has_csr(unsigned csr)
{
    return csr_reads(M, csr).cause == NONE;
}

uint64_t menvcfg(void)
{
    uint64_t v = csr_read(CSR_MENVCFG);
#if XLEN == 32
    v |= (uint64_t)csr_read(CSR_MENVCFGH) << 32;
#endif
    return v;
}

bool menvcfg_change(uint64_t set, uint64_t clear)
{
    if (!has_csr(CSR_MENVCFG))
        return false;
    uint64_t v = (menvcfg() | set) & ~clear;
    csr_write(CSR_MENVCFG, v);
#if XLEN == 32
    csr_write(CSR_MENVCFGH, v >> 32);
#endif
    return menvcfg() == v;
}

void fence_i(void)
{
    __asm__ volatile("fence.i" : : : "memory");
}

void sfence(void)
{
    if (has('S'))
        __asm__ volatile("sfence.vma" : : : "memory");
}

// ---- PMP ----

bool has_pmp(void)
{
    return has_csr(CSR_PMPADDR0);
}

// Their numbers are parts of instructions.
static reg pmpcfg(unsigned n)
{
    switch (n) {
    case 0:
        return csr_read(0x3a0);
    case 2:
        return csr_read(0x3a2);
#if XLEN == 32
    case 1:
        return csr_read(0x3a1);
    case 3:
        return csr_read(0x3a3);
#endif
    }
    return 0;
}

static void set_pmpcfg(unsigned n, reg v)
{
    switch (n) {
    case 0:
        csr_write(0x3a0, v);
        break;
    case 2:
        csr_write(0x3a2, v);
        break;
#if XLEN == 32
    case 1:
        csr_write(0x3a1, v);
        break;
    case 3:
        csr_write(0x3a3, v);
        break;
#endif
    }
    sfence();
}

static unsigned cfg_number(unsigned entry)
{
    return XLEN == 64 ? entry / 8 * 2 : entry / 4;
}

static unsigned cfg_shift(unsigned entry)
{
    return entry % (XLEN / 8) * 8;
}

reg pmp_cfg(unsigned entry)
{
    return pmpcfg(cfg_number(entry)) >> cfg_shift(entry) & 0xff;
}

void pmp_set_cfg(unsigned entry, reg cfg)
{
    unsigned n = cfg_number(entry), shift = cfg_shift(entry);
    set_pmpcfg(n, (pmpcfg(n) & ~((reg)0xff << shift)) | cfg << shift);
}

#define EACH_PMPADDR(M)                                                                        \
    M(0x0)                                                                                     \
    M(0x1)                                                                                     \
    M(0x2) M(0x3) M(0x4) M(0x5) M(0x6) M(0x7) M(0x8) M(0x9) M(0xa) M(0xb) M(0xc) M(0xd) M(0xe) \
        M(0xf)

reg pmp_addr(unsigned entry)
{
    switch (entry) {
#define READ(n) \
    case n:     \
        return csr_read(CSR_PMPADDR0 + n);
        EACH_PMPADDR(READ)
    }
    return 0;
}

void pmp_set_addr(unsigned entry, reg addr)
{
    switch (entry) {
#define WRITE(n)                           \
    case n:                                \
        csr_write(CSR_PMPADDR0 + n, addr); \
        break;
        EACH_PMPADDR(WRITE)
    }
    sfence();
}

void pmp_set(unsigned entry, reg cfg, reg addr)
{
    pmp_set_addr(entry, addr);
    pmp_set_cfg(entry, cfg);
}

reg napot(reg base, reg size)
{
    return base >> 2 | ((size >> 3) - 1);
}

void pmp_open(void)
{
    if (has_pmp())
        pmp_set(PMP_OPEN, PMP_NAPOT | PMP_RWX, ~(reg)0);
}

void pmp_close(void)
{
    for (unsigned i = 0; i < NR_PMP; i++)
        pmp_set_cfg(i, 0);
}

// ---- Devices ----

uint64_t mtime(void)
{
    uint32_t high, low;
    do {
        high = MTIME[1];
        low = MTIME[0];
    } while (MTIME[1] != high);
    return (uint64_t)high << 32 | low;
}

void set_mtimecmp(unsigned h, uint64_t at)
{
    MTIMECMP(h)[1] = UINT32_MAX;
    MTIMECMP(h)[0] = (uint32_t)at;
    MTIMECMP(h)[1] = (uint32_t)(at >> 32);
}

void plic_enable(unsigned ctx, bool on)
{
    *word_at(PLIC + 0x2000 + 0x80 * ctx) = on ? 1u << UART_IRQ : 0;
    *word_at(PLIC + 0x200000 + 0x1000 * ctx) = 0;
    *word_at(PLIC + 4 * UART_IRQ) = 1; // last: QEMU does not look at enables before
}

void uart_interrupts(bool on)
{
    wait_for_room(); // which is what the interrupt says
    UART[1] = on ? 2 : 0;
}

// The compiler calls these for structures.
void *memset(void *to, int value, unsigned long size)
{
    for (unsigned long i = 0; i < size; i++)
        ((char *)to)[i] = (char)value;
    return to;
}

void *memcpy(void *to, const void *from, unsigned long size)
{
    for (unsigned long i = 0; i < size; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}
