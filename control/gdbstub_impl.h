// SPDX-License-Identifier: MIT
// Between the files of the debugger's stub.
#ifndef CONTROL_GDBSTUB_IMPL_H
#define CONTROL_GDBSTUB_IMPL_H

#include "control/gdb_wire.h"
#include "control/gdbstub.h"
#include "translator/guest.h"

// Signals and errors by gdb's own numbers.
enum { GDB_SIGINT = 2, GDB_SIGQUIT = 3, GDB_SIGTRAP = 5, GDB_SIGABRT = 6 };
enum { GDB_EPERM = 1, GDB_EFAULT = 14, GDB_EINVAL = 22 };

// A breakpoint or watchpoint, as gdb asked for it.
struct gdb_point {
    char
        type; // of its Z packet: '0' software and '1' hardware breakpoint, '2' write, '3' read, '4' access watchpoint
    vaddr_t addr;
    uint64_t len; // of watchpoints
};

// Why the machine stopped last, as far as gdb is to know.
enum gdb_stop_kind { GDB_STOP_SIGNAL, GDB_STOP_BREAK, GDB_STOP_WATCH, GDB_STOP_EXIT };

struct gdb_stop {
    enum gdb_stop_kind kind;
    unsigned signal; // or the status, of EXIT
    unsigned cpu;
    char type;    // of the point
    vaddr_t addr; // of WATCH
};

// How the machine is to go on.
enum gdb_run_kind { GDB_RUN_CONT, GDB_RUN_STEP };

struct gdb_run {
    enum gdb_run_kind kind;
    unsigned cpu;        // that steps
    vaddr_t start, end;  // steps go on while pc is within [start, end)
    uint64_t interrupts; // that this CPU had taken
    vaddr_t pc;          // before the step
    uint64_t sp;
    bool in_handler; // an interrupt came in between: until it is back at pc, it runs
};

// qqemu.sstep: a step that an interrupt comes in between of is over when the handler is through, unless the first
// of these is missing. The others are there for those who set them.
enum { GDB_SSTEP_NOIRQ = 2, GDB_SSTEP_DEFAULT = 7 };

struct gdbstub {
    struct vm *vm;
    struct machine *m;
    struct chardev *chr;
    struct gdb_wire wire;
    GString *reply; // of the packet that is being handled
    GString *last;  // packet that was sent, in case it must be sent again
    bool no_reply;  // it comes later, or never
    bool connected;
    bool no_ack;
    bool extended; // the connection outlives a kill
    bool launched; // by this gdb: it kills at its end rather than detaches
    bool knows_swbreak, knows_hwbreak;
    bool physical; // addresses are (Qqemu.PhyMemMode)
    unsigned sstep;
    unsigned cpu;   // of register and memory packets
    bool owes_stop; // gdb waits for the machine to stop
    bool has_stop;  // `stop` says why it is about to
    struct gdb_stop stop;
    struct gdb_run run;
    GArray *points; // of struct gdb_point
    // The breakpoint that gdb was told of last: if the CPU still stands there, it is not told again.
    struct {
        bool valid;
        unsigned cpu;
        vaddr_t pc;
        uint64_t retired;
    } told;
    GString *document; // the one that is being transferred
};

// A handler of packets gets what follows the name; the body ends at gdb_args_end.
typedef void gdb_handler(struct gdbstub *g, const char *args);
static inline const char *gdb_args_end(const struct gdbstub *g)
{
    return g->wire.body->str + g->wire.body->len;
}

// gdbstub.c. The reply is empty ("not supported") unless one of these fills it.
void gdb_ok(struct gdbstub *g);
void gdb_error(struct gdbstub *g, unsigned number);
void gdb_error_text(struct gdbstub *g, const char *text);
void gdb_send(struct gdbstub *g, const char *body, size_t len);
static inline struct cpu *gdb_cpu(const struct gdbstub *g)
{
    return g->m->cpus[g->cpu];
}
// The thread that *p names: a number from 1, GDB_ANY or GDB_ALL. False: neither.
enum { GDB_ANY = 0, GDB_ALL = -1 };
bool gdb_parse_thread(const char **p, int *thread);
bool gdb_is_thread(const struct gdbstub *g, int thread);

// gdb_target.c: registers, memory, and what there is
gdb_handler gdb_read_all, gdb_write_all, gdb_read_one, gdb_write_one;
gdb_handler gdb_read_memory, gdb_read_binary, gdb_write_memory, gdb_write_binary, gdb_crc;
gdb_handler gdb_flash_erase, gdb_flash_write, gdb_flash_done;
void gdb_append_reg(struct gdbstub *g, struct cpu *cpu, const struct guest_reg *reg, GString *out);
uint64_t gdb_read_sp(struct cpu *cpu);
void gdb_describe_target(struct gdbstub *g, GString *out);
void gdb_describe_threads(struct gdbstub *g, GString *out);
void gdb_describe_memory(struct gdbstub *g, GString *out);

// gdb_run.c: breakpoints, going on, stopping
gdb_handler gdb_insert_point, gdb_remove_point;
gdb_handler gdb_vcont, gdb_continue, gdb_step, gdb_why;
void gdb_clear_points(struct gdbstub *g);
void gdb_vm_event(void *opaque, const struct vm_event *event);
enum machine_stop gdb_drive(void *opaque, icount_t until);
// Tells gdb that the machine has stopped.
void gdb_report(struct gdbstub *g);

// gdb_query.c
gdb_handler gdb_query, gdb_set;

// A packet's name, followed by one of `separators` if it has arguments, or by anything if that is NULL.
struct gdb_command {
    const char *name;
    const char *separators;
    gdb_handler *handle;
};
void gdb_dispatch(struct gdbstub *g, const struct gdb_command *table, unsigned n, const char *text);

#endif
