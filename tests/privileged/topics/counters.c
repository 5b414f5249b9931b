// SPDX-License-Identifier: MIT
// The counters, who may read them, what stops them; time.
#include "guest.h"

static const enum priv privs[] = {U, S, M};

static const struct {
    const char *name;
    unsigned csr, high, bit;
} counters[] = {
    {"cycle", CSR_CYCLE, CSR_CYCLEH, 0},
    {"time", CSR_TIME, CSR_TIMEH, 1},
    {"instret", CSR_INSTRET, CSR_INSTRETH, 2},
    {"hpmcounter3", CSR_HPMCOUNTER3, CSR_HPMCOUNTER3 + 0x80, 3},
    {"hpmcounter31", CSR_HPMCOUNTER3 + 28, CSR_HPMCOUNTER3 + 28 + 0x80, 31},
};

// ---- Access ----

static void set_enables(reg m, reg s)
{
    if (has('U'))
        csr_write(CSR_MCOUNTEREN, m);
    if (has('S'))
        csr_write(CSR_SCOUNTEREN, s);
}

static bool is_enabled(enum priv priv, unsigned bit, reg m, reg s)
{
    if (priv == M)
        return true;
    return m >> bit & 1 && (priv == S || !has('S') || s >> bit & 1);
}

static void check_counter(unsigned i, unsigned csr, const char *suffix)
{
    reg bit = BIT(counters[i].bit);
    for (unsigned n = 0; n < 8; n++) {
        // The one bit, none, or all others.
        reg m = n & 1   ? bit
                : n & 4 ? ~bit & 0xffffffff
                        : 0,
            s = n & 2   ? bit
                : n & 4 ? ~bit & 0xffffffff
                        : 0;
        set_enables(m, s);
        for (unsigned p = 0; p < ARRAY_LEN(privs); p++) {
            if (privs[p] != M && !has(privs[p] == S ? 'S' : 'U'))
                continue;
            struct trap t = csr_reads(privs[p], csr);
            if (is_enabled(privs[p], counters[i].bit, m, s))
                check_none(t, "%s%s, mcounteren %u, scounteren %u, others %u: %s-mode may read it",
                           counters[i].name, suffix, n & 1, n >> 1 & 1, n >> 2,
                           priv_name(privs[p]));
            else
                check_illegal(
                    t, csr_insn(csr, CSRRS, 10, 0),
                    "%s%s, mcounteren %u, scounteren %u, others %u: %s-mode may not read it",
                    counters[i].name, suffix, n & 1, n >> 1 & 1, n >> 2, priv_name(privs[p]));
        }
    }
    set_enables(0, 0);
    check_illegal(csr_writes(M, csr, 0), csr_insn(csr, CSRRW, 0, 10), "%s%s is read-only",
                  counters[i].name, suffix);
}

static void check_access(void)
{
    paragraph("Counter-Enable (mcounteren, scounteren) Registers");
    for (unsigned i = 0; i < ARRAY_LEN(counters); i++) {
        if (!has_csr(counters[i].csr)) {
            skip("%s", counters[i].name);
            continue;
        }
        check_counter(i, counters[i].csr, "");
        if (XLEN == 32)
            check_counter(i, counters[i].high, "h");
        else
            check_illegal(csr_reads(M, counters[i].high), csr_insn(counters[i].high, CSRRS, 10, 0),
                          "%sh does not exist in RV64", counters[i].name);
    }
    if (has('U')) {
        check(csr_probe(CSR_MCOUNTEREN, 7), 7, "mcounteren has CY, TM and IR");
        check_illegal(csr_reads(U, CSR_MCOUNTEREN), csr_insn(CSR_MCOUNTEREN, CSRRS, 10, 0),
                      "mcounteren is M-mode's alone");
    } else {
        check_illegal(csr_reads(M, CSR_MCOUNTEREN), csr_insn(CSR_MCOUNTEREN, CSRRS, 10, 0),
                      "mcounteren does not exist without U-mode");
    }
    if (has('S'))
        check(csr_probe(CSR_SCOUNTEREN, 7), 7, "scounteren has CY, TM and IR");
}

// ---- Counting ----

static void check_counting(void)
{
    paragraph("Hardware Performance Monitor");
    check_value(run(M, op_instret_twice, 0, 0), 1, "instret counts instructions");
    check_value(run(M, op_minstret_read, 0, 1000), 1000,
                "a value written to minstret is what the next instruction reads");
    struct trap t = run(M, op_cycle_twice, 0, 0);
    check_true(t.cause == NONE && t.value > 0, "cycle advances");
    set_enables(7, 7);
    if (has('U'))
        check_value(run(U, op_instret_twice, 0, 0), 1, "instret counts U-mode's instructions");
    if (has('S'))
        check_value(run(S, op_instret_twice, 0, 0), 1, "instret counts S-mode's instructions");
    set_enables(0, 0);
}

// The handler looks at minstret as its sixth instruction.
static void check_retired(const char *op, reg a0, unsigned before, const char *name)
{
    run(M, op, a0, 0);
    check(contexts[0].instret, before + 5, "%s", name);
}

static void check_traps(void)
{
    paragraph("Environment Call and Breakpoint");
    check_retired(op_count_ecall, 0, 0, "ecall does not retire");
    check_retired(op_count_ebreak, 0, 0, "ebreak does not retire");
    check_retired(op_count_nops, 0, 2, "what comes before an ecall does");
    paragraph("Hardware Performance Monitor");
    check_retired(op_count_illegal, 0, 1, "an illegal instruction does not retire");
    check_retired(op_count_fault, NOWHERE, 1, "a load that faults does not retire");
}

static void write_counter(unsigned low, unsigned high, uint64_t v)
{
    csr_writes(M, low, 0);
    if (XLEN == 32)
        csr_writes(M, high, v >> 32);
    csr_writes(M, low, (reg)v);
}

static uint64_t read_counter(unsigned low, unsigned high)
{
    uint64_t v = csr_reads(M, low).value;
    if (XLEN == 32)
        v |= (uint64_t)csr_reads(M, high).value << 32;
    return v;
}

static void check_writing(void)
{
    static const struct {
        const char *name;
        unsigned low, high, shadow, shadow_high, inhibit;
    } m[] = {{"mcycle", CSR_MCYCLE, CSR_MCYCLEH, CSR_CYCLE, CSR_CYCLEH, 1},
             {"minstret", CSR_MINSTRET, CSR_MINSTRETH, CSR_INSTRET, CSR_INSTRETH, 4}};
    for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
        paragraph("Machine Counter-Inhibit (mcountinhibit) Register");
        csr_write(CSR_MCOUNTINHIBIT, m[i].inhibit);
        write_counter(m[i].low, m[i].high, 0x123456789abcdef0);
        check(read_counter(m[i].low, m[i].high), 0x123456789abcdef0,
              "%s, inhibited, keeps what was written", m[i].name);
        check(read_counter(m[i].shadow, m[i].shadow_high), 0x123456789abcdef0,
              "its shadow reads the same");
        write_counter(m[i].low, m[i].high, 0xffffffff);
        csr_write(CSR_MCOUNTINHIBIT, 0);
        uint64_t now = read_counter(m[i].low, m[i].high);
        check_true(now > 0xffffffff && now < 0x100010000, "%s counts again, into the upper half",
                   m[i].name);
        csr_write(CSR_MCOUNTINHIBIT, m[i].inhibit);
        uint64_t stopped = read_counter(m[i].low, m[i].high);
        run(M, op_nop, 0, 0);
        check(read_counter(m[i].low, m[i].high), stopped, "%s stands while inhibited", m[i].name);
        csr_write(CSR_MCOUNTINHIBIT, ~(reg)m[i].inhibit & 5);
        now = read_counter(m[i].low, m[i].high);
        check_true(now >= stopped && now < stopped + 0x10000, "%s goes on where it stood",
                   m[i].name);
        csr_write(CSR_MCOUNTINHIBIT, 0);
        paragraph("Hardware Performance Monitor");
        write_counter(m[i].low, m[i].high, UINT64_MAX);
        check_true(read_counter(m[i].low, m[i].high) < 0x10000, "%s wraps around", m[i].name);
    }
    paragraph("Machine Counter-Inhibit (mcountinhibit) Register");
    check(csr_probe(CSR_MCOUNTINHIBIT, 2), 0, "bit 1 is read-only 0");
    check(csr_probe(CSR_MCOUNTINHIBIT, 5), 5, "CY and IR are writable");
}

// MTIP follows the comparison, if not at once.
static bool comes(void)
{
    uint64_t until = mtime() + 1000000;
    while (!(csr_read(CSR_MIP) >> MTI & 1))
        if (mtime() > until)
            return false;
    return true;
}

static void check_time(void)
{
    paragraph("Machine Timer (mtime and mtimecmp) Registers");
    uint64_t before = mtime(), now = read_counter(CSR_TIME, CSR_TIMEH), after = mtime();
    check_true(before <= now && now <= after, "time reads what mtime does");
    uint64_t start = mtime();
    while (mtime() < start + 100)
        ;
    check_true(read_counter(CSR_TIME, CSR_TIMEH) >= start + 100, "time advances");
    check_illegal(csr_writes(M, CSR_TIME, 0), csr_insn(CSR_TIME, CSRRW, 0, 10),
                  "time is read-only");
    // mtimecmp
    csr_write(CSR_MIE, 0);
    set_mtimecmp(0, UINT64_MAX);
    check(csr_read(CSR_MIP) >> MTI & 1, 0, "mtime below mtimecmp: MTIP is 0");
    set_mtimecmp(0, mtime());
    check(comes(), true, "mtime at mtimecmp: MTIP is 1");
    uint64_t at = mtime() + 20000;
    set_mtimecmp(0, at);
    check(csr_read(CSR_MIP) >> MTI & 1, 0, "mtimecmp in the future: MTIP is 0");
    while (mtime() < at)
        ;
    check(comes(), true, "when it has come: MTIP is 1");
    set_mtimecmp(0, UINT64_MAX);
    check(csr_read(CSR_MIP) >> MTI & 1, 0, "mtimecmp written: MTIP is 0");
}

static void check_events(void)
{
    paragraph("Hardware Performance Monitor");
    check_none(csr_reads(M, CSR_MHPMCOUNTER3), "mhpmcounter3 exists");
    check_none(csr_reads(M, CSR_MHPMEVENT3), "mhpmevent3 exists");
    csr_writes(M, CSR_MHPMEVENT3, 0);
    reg before = csr_reads(M, CSR_MHPMCOUNTER3).value;
    run(M, op_nop, 0, 0);
    check(csr_reads(M, CSR_MHPMCOUNTER3).value, before, "event 0 counts nothing");
    if (has('U'))
        check_illegal(csr_reads(U, CSR_MHPMCOUNTER3), csr_insn(CSR_MHPMCOUNTER3, CSRRS, 10, 0),
                      "mhpmcounter3 is M-mode's alone");
}

void topic(void)
{
    check_access();
    check_counting();
    check_traps();
    check_writing();
    check_events();
    check_time();
}
