// SPDX-License-Identifier: MIT
// The execution loop: finds or makes units, runs them, takes traps and interrupts.
#ifndef TRANSLATOR_EXEC_H
#define TRANSLATOR_EXEC_H

#include <glib.h>

#include "softmmu/mem.h"
#include "translator/cpu.h"
#include "translator/host.h"

struct exec;

// Of all CPUs together. No state: they may differ between executors.
// X(name, help)
#define EXEC_STATS(X)                                                                              \
    X(units, "units translated")                                                                   \
    X(guest_insns, "guest instructions translated")                                                \
    X(traces, "traces translated")                                                                 \
    X(trace_insns, "guest instructions of traces")                                                 \
    X(revalidations, "times that a trace's pages were looked at again")                            \
    X(clears, "times that all units were forgotten")                                               \
    X(enters, "units entered from the loop")                                                       \
    X(singles, "of them, units of one instruction")                                                \
    X(noshares, "of them, units without shared checks")                                            \
    X(capped, "of them, because the budget was short")                                             \
    X(links, "exits linked")                                                                       \
    X(traps, "traps taken")                                                                        \
    X(interrupts, "interrupts taken")                                                              \
    X(slow_accesses, "accesses that missed the inline probe")                                      \
    X(slow_checks, "shared checks that missed it")                                                 \
    X(walks, "page walks")                                                                         \
    X(flushes, "TLB flushes")                                                                      \
    X(page_flushes, "TLB flushes of a page")                                                       \
    X(epochs, "times that the jump cache was voided")

struct exec_stats {
#define X(name, help) uint64_t name;
    EXEC_STATS(X)
#undef X
};

// Translator for all CPUs of a machine on `mem`. `host` is &host_interp or host_native.
struct exec *exec_new(struct mem *mem, const struct host *host, size_t code_size, GError **error);
void exec_free(struct exec *e);
// Makes a CPU known: fills the wiring of *cpu that is the translator's (exec, mem, TLB).
void exec_add_cpu(struct exec *e, struct cpu *cpu);

enum exec_stop {
    EXEC_BUDGET, // the slice is used up
    EXEC_HALT,   // the CPU waits for an interrupt
    EXEC_YIELD,  // the guest spins
    EXEC_STOP,   // exec_request_stop, a CPU was kicked, or there is a hit (translator/debug.h)
};

// Runs a CPU for cpu->budget steps at most; exact. On return cpu->pc and all homes are up to date; budget is
// what is left.
enum exec_stop exec_run(struct exec *e, struct cpu *cpu);
// Makes exec_run return at the next chance (at the latest when the budget is used up).
void exec_request_stop(struct exec *e);
// Around fork(), between slices. Before: nobody else works for the executor. After, in the original, that goes
// on; in the copy, what the two must not share is copied. It fails only in the copy, which is of no use then.
void exec_before_fork(struct exec *e);
bool exec_after_fork(struct exec *e, bool is_copy, GError **error);
// Forgets all translated code.
void exec_clear(struct exec *e);
const struct exec_stats *exec_stats(const struct exec *e);
// Appends a line a counter.
void exec_print_stats(const struct exec *e, GString *out);
const struct host *exec_host(const struct exec *e);

// ---- Slow accesses, for hosts ----

// An access that missed the inline probe. memop as in IR; *value is the value stored, or receives the value
// loaded, extended as memop says. False: leave the unit with the state of the guest instruction: either
// cpu->fault is pending, or cpu->next_mode says how to go on.
bool access_slow(struct cpu *cpu, vaddr_t addr, unsigned memop, unsigned regime, bool write, uint64_t *value);
// A shared check that failed: the host address for [addr, addr + span). 0: leave the unit with the state of the
// guest instruction; cpu->next_mode asks for a unit without sharing.
uintptr_t access_check(struct cpu *cpu, vaddr_t addr, unsigned span, unsigned chk_flags, unsigned regime);

#endif
