// SPDX-License-Identifier: MIT
// Between the files of the x86-64 back end.
//
// Registers while translated code runs: rbp is the struct cpu plus CPU_BIAS (so that the first 32 homes are
// within reach of 8-bit displacements), rsp the frame of spill slots, 16-byte aligned. rax, rcx, rdx, xmm14
// and xmm15 are scratch within one IR instruction. All others hold values, as the allocator says.
#ifndef TRANSLATOR_HOST_X86_64_H
#define TRANSLATOR_HOST_X86_64_H

#include "translator/exec.h"
#include "translator/host.h"
#include "translator/host/x86_64_asm.h"
#include "translator/ra.h"

#define CPU_BIAS   128
// Cold jumps to be patched: both lead where a probe of the jump cache fails.
struct x86_misses {
    uint8_t *at[2];
};

#define FRAME_SIZE (RA_MAX_SLOTS * 8)
#define NR_XMM     LIMIT_XMMS // allocatable

// Slots of cpu->host_scratch.
enum { SCRATCH_OPERANDS = 0, SCRATCH_OP = 3, SCRATCH_MXCSR = 4 };

// A changed guest register in the exit map of a point that may fault.
struct x86_exit_var {
    uint32_t home;
    uint8_t kind; // enum ra_kind: RA_IN_REG, RA_IMM or RA_SLOT
    uint8_t type; // enum ir_type
    uint8_t at;   // register or slot
    uint64_t imm;
};

// What cold code needs to know of a point in a unit that may fault.
struct x86_point {
    vaddr_t pc;
    const struct x86_exit_var *map;
    uint16_t nr_map;
    uint16_t left; // guest instructions of the unit not yet begun, this one included
    uint16_t span; // checks: bytes
    uint8_t memop;
    uint8_t flags; // checks: enum ir_chk_flags
    uint8_t regime;
    bool write;
};

enum x86_cold_kind {
    COLD_LOAD,
    COLD_STORE,
    COLD_CHECK,
    COLD_BRANCH,
    COLD_GUARD,
    COLD_CALL_FAULT,
    COLD_NAN,
    COLD_FMA,
    COLD_FTOI,
    COLD_LOOP,
};

// Something to be emitted behind the unit: what a hot jump at `from` (and `from2`) leads to.
struct x86_cold {
    enum x86_cold_kind kind;
    uint8_t *from, *from2; // displacements to patch; from2 may be NULL
    uint8_t *back;         // where the hot code goes on
    uint32_t point;        // index of a struct x86_point
    ir_ref r;              // the instruction
    uint8_t dst;
    struct ra_operand arg[3];
    uint32_t map, nr_map; // COLD_BRANCH, COLD_GUARD: its exit map in h->maps
};

struct x86_stubs {
    uint8_t *enter, *leave, *leave_pc, *jump, *fault;
    uint8_t *slow, *slow_fp, *check, *check_fp, *soft;
    uint8_t *nan32, *nan64, *box, *host_mxcsr; // constants
};

struct x86 {
    struct units *units;
    uint8_t *rw, *rx; // the code buffer, mapped twice
    size_t size;
    size_t used, stubs_end;
    int fd;
    bool bmi, lzcnt, popcnt, fma, sse41, clmul;
    struct x86_stubs stubs;
    struct x86_asm a;
    GArray *points; // struct x86_point
    // The unit being made:
    struct ir *ir;
    struct unit *unit;
    unsigned guest_insn; // number of the guest instruction being emitted
    vaddr_t guest_pc;
    uint8_t *over_budget;           // the jumps at the unit's head; the last two may be NULL
    uint8_t *moved, *hot;
    GArray *cold;                   // struct x86_cold
    GArray *maps;                   // struct ra_exit_var
    uint8_t *loop_head;             // where iterations begin; NULL: not a loop
    uint32_t loop_map, nr_loop_map; // what is carried, in `maps`
    struct ra ra;
};

static inline struct x86_mem cpu_mem(size_t offset)
{
    return (struct x86_mem){RBP, X86_NO_REG, (int32_t)offset - CPU_BIAS};
}

#define CPU_MEM(member) cpu_mem(offsetof(struct cpu, member))

static inline struct x86_mem slot_mem(unsigned slot)
{
    return (struct x86_mem){RSP, X86_NO_REG, slot * 8};
}

// Where an operand in memory is.
static inline struct x86_mem operand_mem(const struct ra_operand *o)
{
    return o->kind == RA_HOME ? cpu_mem(o->at) : slot_mem(o->at);
}

static inline unsigned width(enum ir_type t)
{
    return t == IR_I64 ? P_W : 0;
}

// Prefix of scalar SSE operations on a type.
static inline unsigned scalar(enum ir_type t)
{
    return t == IR_F32 ? P_F3 : P_F2;
}

extern const struct ra_host x86_ra_host;
extern const struct host host_x86_64;

// x86_64_rules.c
void x86_move(void *opaque, enum ir_type type, unsigned dst, unsigned src);
// x86_64_int.c
void x86_emit_integer(struct x86 *h, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand arg[4]);
void x86_emit_reg_or_mem(struct x86 *h, unsigned op, unsigned dst, const struct ra_operand *a);
enum x86_cc x86_cc_of(enum ir_cond cond);
void x86_emit_compare(struct x86 *h, const struct ra_operand *a, const struct ra_operand *b);
// x86_64_mem.c
void x86_emit_check(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                    const struct ra_operand *arg);
void x86_emit_access(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                     const struct ra_operand *arg);
// A point where the instruction being emitted may leave with the state of its guest instruction.
uint32_t x86_new_point(struct x86 *h);
struct x86_point *x86_point_at(struct x86 *h, uint32_t index);
void x86_add_cold(struct x86 *h, struct x86_cold c);
// x86_64_fp.c
void x86_emit_float(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                    const struct ra_operand arg[4]);
unsigned x86_host_rc(unsigned rm); // MXCSR's rounding control for an enum fp_round
// x86_64_exit.c
void x86_emit_exit(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                   const struct ra_operand arg[4]);
void x86_loop_head(void *opaque, const struct ra_exit_var *map, unsigned n);
// x86_64_stubs.c: emits the stubs at the start of the buffer.
void x86_emit_stubs(struct x86 *h);
// Jumps to the unit at the guest pc in rax if the jump cache has it; what it returns is still to be patched.
struct x86_misses x86_emit_probe(struct x86 *h);
void x86_emit_jump(struct x86 *h); // the same; misses go to the loop
// x86_64_cold.c: what the unit's cold list asks for.
void x86_emit_cold(struct x86 *h);
// Direct jump of the guest to pc, from `insns` retired; homes are up to date.
void x86_emit_goto(struct x86 *h, vaddr_t pc, unsigned insns);
void x86_emit_write_back(struct x86 *h, const struct ra_exit_var *map, unsigned n);
// Moves an operand into a register of its class, whatever it is now.
void x86_load(void *opaque, enum ir_type type, unsigned dst, const struct ra_operand *from);
void x86_store_home(struct x86 *h, unsigned home, const struct ra_operand *from);

// x86_64_disas.c: the unit compiled last, as text.
void x86_print(void *opaque, const struct unit *unit, GString *out);

#endif
