// SPDX-License-Identifier: MIT
// Bare harts for tests of instructions: one for each executor, memory full of ebreak, and values worth testing.
#ifndef TESTS_UNIT_RISCV_RIG_H
#define TESTS_UNIT_RISCV_RIG_H

#include "tests/unit/riscv_reference.h"
#include "translator/exec.h"

enum {
    RAM_BASE = 0x40000000, // positive as a 32-bit number, so that li reaches it on both
    RAM_SIZE = 0x400000,
    HANDLER = RAM_BASE + 0x100,
    WINDOW = RAM_BASE + 0x3000 - REF_WINDOW / 2, // across the boundary of two pages
    CODE = RAM_BASE + 0x200000,
    UNMAPPED = 0x10000000,
};

struct hart {
    const char *name;
    struct mem *mem;
    struct clock *clock;
    struct exec *exec;
    struct riscv_cpu *rv;
    uint8_t *window;
};

struct rig {
    struct hart harts[2];
    unsigned nr_harts;
    unsigned xlen;
    bool halfwords;
    uint64_t seed;
    unsigned failures;
    uint64_t runs;
};

#define ZCMP_MODEL "max,c=off,zca=on,zcd=off,zcf=off,zcmp=on"
#define NO_C_MODEL "max,c=off,zca=off,zcb=off,zcd=off,zcf=off,zcmop=off"

uint64_t rig_random(struct rig *g);
unsigned rig_below(struct rig *g, unsigned n);
void rig_init(struct rig *g, const char *model, unsigned xlen);
void rig_free(struct rig *g);
// Writes an instruction to CODE + offset of all harts, and an ebreak behind it.
void rig_place(struct rig *g, unsigned offset, uint32_t bits);

// Gives the hart the state of *r, and its window.
void hart_put(struct hart *h, const struct ref *r);
// Runs the hart for that many steps of time; to trap is one too.
void hart_run(struct hart *h, unsigned steps);
// Appends a line for each difference between the hart and *r that is not about the pc and traps.
void hart_check(const struct hart *h, const struct ref *r, GString *out);
// The same for a hart that was run until it trapped, if only at an ebreak, or halted.
void hart_check_stopped(const struct hart *h, const struct ref *r, GString *out);

struct edges {
    const uint64_t *values;
    unsigned nr, nr_junk;
    uint64_t box;
};

struct edges edges_of_x(void);
// Of what a line reads from f registers.
struct edges edges_of_f(unsigned id);
unsigned edges_nr(const struct edges *e);
uint64_t edge_value(const struct edges *e, unsigned n);
// An edge, something near one, or anything.
uint64_t rig_value(struct rig *g, const struct edges *e);

#endif
