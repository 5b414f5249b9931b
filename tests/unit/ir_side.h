// SPDX-License-Identifier: MIT
// One host back end with all that it needs to run units: a small guest CPU without an instruction
// set, memory with holes, a device. Tests run the same units on several sides and compare what can
// be seen of them.
#ifndef TESTS_UNIT_IR_SIDE_H
#define TESTS_UNIT_IR_SIDE_H

#include "translator/exec_impl.h"

// Memory, by virtual page; the upper half of the address space of 64 bits has nothing but its last
// page.
#define SIDE_BASE    UINT64_C(0x80000000) // 16 pages of RAM, of which:
#define SIDE_RO      8                    // is read-only
#define SIDE_HOLE    9                    // is not mapped
#define SIDE_VARYING 10                   // permission varies within it
#define SIDE_PAGES   16
#define SIDE_ROM     UINT64_C(0x80010000)   // stores are refused by the bus
#define SIDE_NOTHING UINT64_C(0x80011000)   // mapped, but the bus has nothing there
#define SIDE_IO      UINT64_C(0x80020000)   // a device
#define SIDE_ALIAS   UINT64_C(0x4000000000) // the RAM once more, writable; 64-bit CPUs only
// The first and the last page of the address space are the last two pages of RAM. In regime 1 every
// fourth page of RAM is read-only.

// A page that maps to one of the first four pages of RAM, as the guest chooses; the page before it
// maps to the fourth.
#define SIDE_WINDOW UINT64_C(0x80030000)

#define SIDE_RAM_SIZE (SIDE_PAGES * PAGE_SIZE)

// Causes of faults.
enum { SIDE_FAULT_PAGE = 16, SIDE_FAULT_ALIGN = 24, SIDE_FAULT_BUS = 32 }; // + enum tlb_access
enum { SIDE_FAULT_CALL = 40 };

// Variables, by the same names for CPUs of 32 and 64 bits. `x` are of the CPU's width, and so are
// `a`, which hold addresses; `l` are i64, `w` i32, `d` f64, `s` f32; those of `far` are i64 far
// from the CPU's start.
enum {
    SIDE_X = 0,
    SIDE_NR_X = 20,
    SIDE_A = 20,
    SIDE_NR_A = 6,
    SIDE_L = 26,
    SIDE_NR_L = 3,
    SIDE_W = 29,
    SIDE_NR_W = 4,
    SIDE_D = 33,
    SIDE_NR_D = 22,
    SIDE_S = 55,
    SIDE_NR_S = 6,
    SIDE_FAR = 61,
    SIDE_NR_FAR = 3,
    SIDE_NR_VARS = 64,
};

// All that the guest can change, but for memory; comparable as bytes.
struct side_state {
    uint64_t reg[CPU_NR_REGS]; // homes of x, a, l and d
    uint64_t far[4];
    uint32_t narrow[12]; // homes of w and s
    uint64_t pc;
    uint64_t retired;
    uint64_t steps; // of time
    uint64_t
        log; // hash of what was seen outside: device accesses, calls, traps, with the time of each
    uint64_t budget;
    uint64_t fault_value;
    uint32_t events; // that went into it
    uint32_t leave;
    uint32_t fault_cause;
    uint8_t fp_flags;
    uint8_t halted;
    uint8_t fault;
    uint8_t next_mode;
    uint8_t mode, rm, pending, enabled; // of the guest's own, see side_cpu
    uint8_t stop;
    uint8_t bank;
    uint8_t pad[2];
};

struct side_cpu {
    struct cpu cpu;
    uint64_t far[4];
    uint32_t narrow[12];
    // For code that runs in the loop:
    uint8_t mode;    // 0..3: part of the key; the regime is its low bit
    uint8_t rm;      // rounding mode, part of the key
    uint8_t pending; // an interrupt is
    uint8_t enabled; // it would be taken
    uint8_t bank;    // the page that the window is of
    struct side *side;
};

#define SIDE_NR_CPUS 2

struct side {
    const char *name;
    const struct host *host;
    struct mem *mem;
    struct mem_region *ram, *rom;
    struct exec *exec;
    struct side_cpu *cpu; // the one that all is about, see side_switch
    uint64_t steps;       // of time before the running slice
    uint64_t log;
    uint32_t events;
    uint8_t stop; // enum exec_stop of the last run
    uint32_t hits[DEBUG_WATCH + 1]; // of breakpoints and watchpoints, by kind
    uint64_t hit_log;               // hash of what they were, with the time of each
};

// `wide`: a 64-bit CPU. `lift` makes code for the loop, NULL if only single units are run.
struct side *side_new(const char *name, const struct host *host, bool wide,
                      bool (*lift)(struct lift *l));
void side_free(struct side *s);
const struct ir_var *side_vars(bool wide);
// Takes up another CPU; a new side is about number 0.
void side_switch(struct side *s, unsigned number);

// State of the CPU, and memory, to start from and to compare.
void side_set(struct side *s, const struct side_state *st, const uint8_t *ram);
void side_get(const struct side *s, struct side_state *st);
// NULL if equal, else a list of the differences.
char *side_compare(const struct side *a, const struct side *b);

// Compiles an optimised unit. NULL: it must be made shorter. Units stay until the side is told to
// forget them.
struct unit *side_compile(struct side *s, struct ir *ir, enum cpu_mode mode);
void side_run(struct side *s, const struct unit *u, enum cpu_mode mode);
// Runs IR as it was built, without any pass: variables are read and written where GET and SET
// stand.
void side_run_reference(struct side *s, const struct ir *ir, enum cpu_mode mode);
// Runs the loop for so many steps of time, in slices of `slice`, or until the CPU halts or yields.
// Sets s->stop.
void side_run_loop(struct side *s, uint64_t steps, uint64_t slice);

// Functions that IR may call. They log their arguments, and clobber what a call may clobber.
extern const struct ir_call side_calls[];
extern const unsigned side_nr_calls;
// set_key changes what code means: mode a, rounding mode b (if it is one), interrupts enabled c. kick
// raises the interrupt. set_bank gives the window another page, a, and flushes that page, or with b
// all. Behind these three the unit must be left or jump indirectly.
enum {
    SIDE_CALL_SET_KEY,
    SIDE_CALL_KICK,
    SIDE_CALL_SET_BANK,
    SIDE_CALL_FLUSH, // from here on: may be called anywhere
    SIDE_CALL_PURE,
    SIDE_CALL_EFFECT,
};

// Bits that look random, from a number.
uint64_t side_hash(uint64_t v);

#endif
