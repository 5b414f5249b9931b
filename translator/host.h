// SPDX-License-Identifier: MIT
// A host back end: turns IR into something that runs, and runs it. The IR interpreter is one; it defines
// what the IR means, and works everywhere.
#ifndef TRANSLATOR_HOST_H
#define TRANSLATOR_HOST_H

#include <glib.h>

#include "translator/ir.h"
#include "translator/unit.h"

enum host_compile { COMPILE_OK, COMPILE_TOO_BIG, COMPILE_FULL };

struct host {
    const char *name; // as in -accel
    // Makes the back end's own data. `code_size` bounds the code buffer in bytes; 0: a default.
    void *(*init)(struct units *units, size_t code_size, GError **error);
    void (*free)(void *h);
    // Before a CPU runs its first unit: sets what enter relies on in struct cpu.
    void (*attach)(void *h, struct cpu *cpu);
    // Makes code for an optimised unit; it may rewrite the IR. On failure the unit must be made shorter
    // (COMPILE_TOO_BIG), or the whole cache cleared first (COMPILE_FULL).
    enum host_compile (*compile)(void *h, struct ir *ir, struct unit *unit);
    // Runs units from this one on until something leaves. Then cpu->pc and the homes are up to date,
    // cpu->leave says why, cpu->fault or cpu->next_mode may be set, and cpu->leave_link is the link that
    // the last exit could use, or 0.
    void (*enter)(void *h, struct cpu *cpu, const struct unit *unit);
    // Makes an exit go to a unit directly, and back to the loop again. May be NULL.
    void (*link)(void *h, struct unit_link *link, const struct unit *to, uint32_t jump_tag);
    void (*unlink)(void *h, struct unit_link *link);
    // Traces of several pages check at their head that cpu->jump_tag is this, else they go to the loop. NULL: the
    // host has no use for traces, and counts no heat.
    void (*validate)(void *h, struct unit *unit, uint32_t jump_tag);
    // All units are gone: the buffer is free again.
    void (*clear)(void *h);
    // This process is a copy made by fork: from here on nothing may be shared with the original. All units stay
    // good. May be NULL: nothing ever is.
    bool (*forked)(void *h, GError **error);
    // For -d out_asm: the host code of a unit. May be NULL.
    void (*print)(void *h, const struct unit *unit, GString *out);
};

extern const struct host host_interp;
// The native back end of this build, or NULL.
extern const struct host *const host_native;

#endif
