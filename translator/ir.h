// SPDX-License-Identifier: MIT
// The intermediate representation (IR) between guests and hosts.
//
// A unit is a straight list of instructions: one entry at its top, any number of exits, no joins. It covers
// one or more guest instructions, each headed by an INSN marker. Every instruction that has a result *is*
// that result (static single assignment); a reference is an index into the list, and 0 means none. Types
// are i32, i64, f32 and f64 and belong to operands; an operation's name never carries one.
//
// Guest registers are variables with a home in the CPU's struct, read by GET and written by SET. A pass
// turns them into values; after it a GET is only the first read of a variable, and SETs are not executed:
// they say which value a variable has from there on. Homes are written by the cold code of exits alone. So
// within a unit the homes hold the state at its entry, and a GET can be repeated freely.
//
// Exits. `at` of an exit is the index of the list up to which SETs are in force. Instructions that can fail
// (LD, ST, CHK, CALL with CALL_FAULT, RAISE) leave with the state at the INSN marker they belong to: within
// a guest instruction no SET may come before them. BR, EXIT, JMP and LEAVE leave with all SETs before them,
// the guest instruction retired (but for LEAVE_RESTART).
//
// Loops. A unit whose last instruction is an EXIT to its own pc may be run again without leaving: hosts may
// keep what it sets in registers meanwhile. ir_pass_loop heads such a unit with a GET_CARRIED of each variable
// that it sets; their homes are stale from the second iteration on.
//
// Semantics worth knowing:
//  - shift and rotate counts are taken modulo the width;
//  - integer division by zero gives all ones, the remainder then is the dividend; MIN / -1 is MIN, its
//    remainder 0;
//  - CLZ and CTZ of zero give the width;
//  - an i32 in a 64-bit host register has undefined upper bits;
//  - floating point: IEEE 754, tininess after rounding, flags accumulate in cpu->fp.flags; the payload and
//    sign of a NaN result are undefined until FCANON makes it the canonical one.
#ifndef TRANSLATOR_IR_H
#define TRANSLATOR_IR_H

#include <glib.h>

#include "base/bits.h"
#include "base/limits.h"
#include "base/types.h"

typedef uint16_t ir_ref;

enum ir_type { IR_VOID, IR_I32, IR_I64, IR_F32, IR_F64, IR_NR_TYPES };

// Conditions of SETC, SEL and BR on integers. Xor 1 negates.
enum ir_cond {
    IR_EQ, IR_NE,
    IR_LT, IR_GE,   // signed
    IR_LTU, IR_GEU, // unsigned
    IR_LE, IR_GT,   // signed
    IR_LEU, IR_GTU, // unsigned
    IR_NR_CONDS,
};

// Conditions of FCMP: false on NaN. EQ is quiet (only a signalling NaN sets invalid), LT and LE signal on
// any NaN, the Q forms don't.
enum ir_fcond { IR_FEQ, IR_FLT, IR_FLE, IR_FLTQ, IR_FLEQ, IR_NR_FCONDS };

// aux of LD and ST.
enum ir_memop {
    MO_8 = 0, MO_16 = 1, MO_32 = 2, MO_64 = 3, MO_SIZE = 3, // log2 of the bytes
    MO_SIGN = 4,   // LD: sign-extend to the type, else zero-extend
    MO_RMW = 8,    // LD: part of a read-modify-write: needs, and faults for, write permission
    MO_ALIGN = 16, // misaligned is a fault (ir->align_all sets it everywhere)
    MO_BSWAP = 32, // guest data of the other byte order
};

// x of CALL.
enum ir_call_flags {
    CALL_PURE = 1,  // result depends on the arguments alone: may be merged or dropped
    CALL_FAULT = 2, // may leave: cpu->fault.pending set by the function ends the unit at this insn
    CALL_FP = 4,    // reads or writes cpu->fp.flags
    CALL_TIME = 8,  // may ask for the instruction count or the time
};

// aux of GET.
enum ir_get_flags {
    GET_CARRIED = 1, // the unit ends by going back to its head: the value is that of the iteration before
};

// aux of CHK.
enum ir_chk_flags {
    CHK_WRITE = 1,  // else read
    CHK_ALIGN = 2,  // the address must be a multiple of x
    CHK_SHARED = 4, // several accesses depend on it
};

// aux of FMA.
enum ir_fma_flags { IR_FMA_NEG_PRODUCT = 1, IR_FMA_NEG_ADDEND = 2 };

// aux of ITOF, FTOI and FROUND.
enum ir_fcvt_flags { IR_UNSIGNED = 1, IR_INEXACT = 2 /* FROUND: set inexact */ };

// aux of JMP: what kind of jump, for the return stack.
enum ir_jump_hint { IR_JUMP, IR_JUMP_CALL, IR_JUMP_RETURN };

// Why a unit went back to the loop; aux of LEAVE.
enum ir_leave {
    LEAVE_LOOKUP, // key or mapping may have changed: look up the next unit at pc. The host may do that itself
                  // by cpu->jump_tag, which cpu_set_key, cpu_kick and cpu_leave_soon keep true
    LEAVE_HALT,   // wait for an interrupt: cpu->halted becomes true
    LEAVE_YIELD,  // the guest spins: give the rest of the slice away
    LEAVE_RESTART, // the guest instruction is not retired: key changed, translate it again
    LEAVE_HOT,     // hosts' own: nothing of the unit was run; it has been entered often
};

enum ir_op_flags {
    OPF_VALUE = 1,   // has a result
    OPF_EFFECT = 2,  // not to be dropped
    OPF_COMM = 4,    // first two operands may be exchanged
    OPF_EXIT = 8,    // leaves, or may leave, through exit `x` with SETs before it in force
    OPF_FAULT = 16,  // may leave with the state of its INSN marker
    OPF_END = 32,    // always leaves: last of a unit
    OPF_PURE = 64,   // equal operands give equal results: may be merged
    OPF_FLOAT = 128, // uses the rounding mode in x, sets flags
};

// X(enumerator, name, operands, signature, flags)
// Signature: result then operands: v variable type, i any integer type equal to the result's or first i,
// f the same of floats, I any integer, F any float, w i32, d i64, s f32, D f64, p address (i32 or i64),
// * anything, - nothing.
#define IR_OPS(X)                                                                                  \
    X(NOP, "nop", 0, "-", 0)                                                                       \
    X(INSN, "insn", 0, "-", OPF_EFFECT) /* imm: pc; x: bytes; aux: number in the unit */           \
    X(CONST, "const", 0, "*", OPF_VALUE | OPF_PURE) /* imm: bits */                                \
    X(GET, "get", 0, "*", OPF_VALUE) /* x: variable; aux: ir_get_flags */                          \
    X(SET, "set", 1, "-*", OPF_EFFECT)                                                             \
    X(ADD, "add", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                       \
    X(SUB, "sub", 2, "iii", OPF_VALUE | OPF_PURE)                                                  \
    X(MUL, "mul", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                       \
    X(MULHS, "mulhs", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                   \
    X(MULHU, "mulhu", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                   \
    X(DIVS, "divs", 2, "iii", OPF_VALUE | OPF_PURE)                                                \
    X(DIVU, "divu", 2, "iii", OPF_VALUE | OPF_PURE)                                                \
    X(REMS, "rems", 2, "iii", OPF_VALUE | OPF_PURE)                                                \
    X(REMU, "remu", 2, "iii", OPF_VALUE | OPF_PURE)                                                \
    X(AND, "and", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                       \
    X(OR, "or", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                         \
    X(XOR, "xor", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                       \
    X(ANDN, "andn", 2, "iii", OPF_VALUE | OPF_PURE) /* a & ~b */                                   \
    X(SHL, "shl", 2, "iiI", OPF_VALUE | OPF_PURE)                                                  \
    X(SHR, "shr", 2, "iiI", OPF_VALUE | OPF_PURE)                                                  \
    X(SAR, "sar", 2, "iiI", OPF_VALUE | OPF_PURE)                                                  \
    X(ROTL, "rotl", 2, "iiI", OPF_VALUE | OPF_PURE)                                                \
    X(ROTR, "rotr", 2, "iiI", OPF_VALUE | OPF_PURE)                                                \
    X(NOT, "not", 1, "ii", OPF_VALUE | OPF_PURE)                                                   \
    X(NEG, "neg", 1, "ii", OPF_VALUE | OPF_PURE)                                                   \
    X(CLZ, "clz", 1, "ii", OPF_VALUE | OPF_PURE)                                                   \
    X(CTZ, "ctz", 1, "ii", OPF_VALUE | OPF_PURE)                                                   \
    X(POPCNT, "popcnt", 1, "ii", OPF_VALUE | OPF_PURE)                                             \
    X(BSWAP, "bswap", 1, "ii", OPF_VALUE | OPF_PURE)                                               \
    X(SEXT, "sext", 1, "iI", OPF_VALUE | OPF_PURE) /* aux: 8, 16 or 32 low bits of the operand */  \
    X(ZEXT, "zext", 1, "iI", OPF_VALUE | OPF_PURE) /* aux: 8, 16 or 32 */                          \
    X(TRUNC, "trunc", 1, "wd", OPF_VALUE | OPF_PURE)                                               \
    X(CLMUL, "clmul", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                   \
    X(CLMULH, "clmulh", 2, "iii", OPF_VALUE | OPF_PURE | OPF_COMM)                                 \
    X(SETC, "setc", 2, "IJJ", OPF_VALUE | OPF_PURE) /* aux: ir_cond; J: equal integers */          \
    X(SEL, "sel", 4, "iJJii", OPF_VALUE | OPF_PURE) /* aux: ir_cond of a, b; then c else d */      \
    X(CHK, "chk", 1, "dp", OPF_VALUE | OPF_FAULT)                                                  \
    /* CHK: host address of a + imm when x bytes from there are one page of memory that may be    \
       accessed as aux (ir_chk_flags) says; else the access leaves or is done the slow way.       \
       LD, ST: a: address, b: the CHK that covers it, c: value; imm: offset to a. */              \
    X(LD, "ld", 2, "*pd", OPF_VALUE | OPF_EFFECT | OPF_FAULT)                                      \
    X(ST, "st", 3, "-pd*", OPF_EFFECT | OPF_FAULT)                                                 \
    X(BITCAST, "bitcast", 1, "**", OPF_VALUE | OPF_PURE) /* between i and f of equal width */      \
    X(BOX, "box", 1, "Ds", OPF_VALUE | OPF_PURE) /* f32 in the low half, ones above */             \
    X(UNBOX, "unbox", 1, "sD", OPF_VALUE | OPF_PURE) /* canonical NaN unless boxed */              \
    X(FADD, "fadd", 2, "fff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT)                                  \
    X(FSUB, "fsub", 2, "fff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT)                                  \
    X(FMUL, "fmul", 2, "fff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT)                                  \
    X(FDIV, "fdiv", 2, "fff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT)                                  \
    X(FSQRT, "fsqrt", 1, "ff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT)                                 \
    X(FMA, "fma", 3, "ffff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT) /* aux: ir_fma_flags */           \
    X(FCMP, "fcmp", 2, "IFF", OPF_VALUE | OPF_FLOAT | OPF_EFFECT) /* aux: ir_fcond */              \
    X(FCANON, "fcanon", 1, "ff", OPF_VALUE | OPF_PURE)                                             \
    /* FCANON: of an OPF_FLOAT result: a NaN becomes the canonical quiet one */                    \
    X(FCVT, "fcvt", 1, "fF", OPF_VALUE | OPF_FLOAT | OPF_EFFECT) /* between float types */         \
    X(ITOF, "itof", 1, "fI", OPF_VALUE | OPF_FLOAT | OPF_EFFECT) /* aux: IR_UNSIGNED */            \
    X(FTOI, "ftoi", 1, "iF", OPF_VALUE | OPF_FLOAT | OPF_EFFECT)                                   \
    /* aux: IR_UNSIGNED; saturates, NaN gives the maximum, both set invalid and no inexact */      \
    X(FROUND, "fround", 1, "ff", OPF_VALUE | OPF_FLOAT | OPF_EFFECT) /* aux: IR_INEXACT */         \
    X(CALL, "call", 4, "*****", OPF_VALUE | OPF_EFFECT) /* x: call; argument d: imm where 0 */     \
    X(BR, "br", 2, "-JJ", OPF_EFFECT | OPF_EXIT) /* aux: ir_cond; leaves when true */              \
    X(GUARD, "guard", 2, "-JJ", OPF_EFFECT | OPF_EXIT) /* aux: ir_jump_hint; as JMP to a unless a is b */ \
    X(EXIT, "exit", 0, "-", OPF_EFFECT | OPF_EXIT | OPF_END)                                       \
    X(JMP, "jmp", 1, "-p", OPF_EFFECT | OPF_EXIT | OPF_END) /* aux: ir_jump_hint */                \
    X(LEAVE, "leave", 0, "-", OPF_EFFECT | OPF_EXIT | OPF_END) /* aux: ir_leave */                 \
    X(RAISE, "raise", 1, "-p", OPF_EFFECT | OPF_FAULT | OPF_END) /* imm: cause; a: trap value */

enum ir_opcode {
#define X(e, ...) IR_##e,
    IR_OPS(X)
#undef X
        IR_NR_OPS
};

struct ir_insn {
    uint8_t op;   // enum ir_opcode
    uint8_t type; // enum ir_type of the result; of the stored value for ST
    uint8_t aux;
    uint8_t pad;
    ir_ref arg[4];
    uint32_t x; // variable, exit, call; OPF_FLOAT: rounding mode (enum fp_round)
    uint64_t imm;
};

_Static_assert(sizeof(struct ir_insn) == 24, "an IR instruction is three words");

struct ir_exit {
    vaddr_t pc;      // where the guest goes on; unused for JMP and GUARD
    uint16_t at;     // SETs before this index are in force
    uint16_t insns;  // guest instructions retired when leaving here
};

struct cpu;
typedef uint64_t ir_function(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

struct ir_call {
    ir_function *fn;
    const char *name;
    uint8_t flags; // enum ir_call_flags
};

// A guest register visible to IR.
struct ir_var {
    const char *name;
    uint8_t type;    // enum ir_type
    uint32_t offset; // of its home from struct cpu
};

#define IR_MAX_INSNS 4096 // of a unit
#define IR_MAX_GUEST_INSNS LIMIT_GUEST_INSNS
#define IR_MAX_TRACE_INSNS LIMIT_TRACE_INSNS // guest instructions along a recorded path
#define IR_MAX_EXITS 240
#define IR_MAX_CALLS 256
#define IR_MAX_VARS 96

// One unit in the making. Reused for one unit after the other: nothing is allocated.
struct ir {
    struct ir_insn insn[IR_MAX_INSNS];
    struct ir_exit exit[IR_MAX_EXITS];
    struct ir_call call[IR_MAX_CALLS];
    const struct ir_var *vars;
    unsigned nr_insns, nr_exits, nr_calls, nr_vars;
    unsigned nr_guest;   // guest instructions so far
    unsigned guest_at;   // index of the latest INSN
    vaddr_t pc;          // of the first guest instruction
    vaddr_t end_pc;      // behind the last
    uint8_t regime;      // of data accesses, an index of the TLB
    uint8_t rm;          // rounding mode that the host is set to in this unit
    bool share_checks;   // let accesses off one base share a TLB check
    bool align_all;      // all accesses are MO_ALIGN
    bool uses_fp;        // has a value of a float type
};

struct ir_op_info {
    const char *name;
    uint8_t nr_args;
    const char *sig;
    uint8_t flags;
};

extern const struct ir_op_info ir_op_info[IR_NR_OPS];
extern const char *const ir_type_name[IR_NR_TYPES];
extern const char *const ir_cond_name[IR_NR_CONDS];

void ir_reset(struct ir *ir, const struct ir_var *vars, unsigned nr_vars);

// ---- Building. Each appends one instruction and returns its reference. ----
ir_ref ir_add(struct ir *ir, enum ir_opcode op, enum ir_type type, unsigned aux, ir_ref a, ir_ref b);
ir_ref ir_const(struct ir *ir, enum ir_type type, uint64_t bits);
ir_ref ir_get(struct ir *ir, unsigned var);
void ir_set(struct ir *ir, unsigned var, ir_ref value);
ir_ref ir_bin(struct ir *ir, enum ir_opcode op, ir_ref a, ir_ref b); // type of a
ir_ref ir_un(struct ir *ir, enum ir_opcode op, ir_ref a);            // type of a
ir_ref ir_bini(struct ir *ir, enum ir_opcode op, ir_ref a, int64_t b); // b a constant of a's type
ir_ref ir_sext(struct ir *ir, enum ir_type type, unsigned bits, ir_ref a);
ir_ref ir_zext(struct ir *ir, enum ir_type type, unsigned bits, ir_ref a);
ir_ref ir_trunc(struct ir *ir, ir_ref a);
ir_ref ir_bitcast(struct ir *ir, enum ir_type type, ir_ref a);
ir_ref ir_setc(struct ir *ir, enum ir_type type, enum ir_cond cond, ir_ref a, ir_ref b);
ir_ref ir_sel(struct ir *ir, enum ir_cond cond, ir_ref a, ir_ref b, ir_ref yes, ir_ref no);
ir_ref ir_ld(struct ir *ir, enum ir_type type, unsigned memop, ir_ref addr, int64_t offset);
void ir_st(struct ir *ir, unsigned memop, ir_ref addr, int64_t offset, ir_ref value);
// Floating point; rm is an enum fp_round, resolved by the guest from the instruction or the key.
ir_ref ir_fbin(struct ir *ir, enum ir_opcode op, unsigned rm, ir_ref a, ir_ref b);
ir_ref ir_fun(struct ir *ir, enum ir_opcode op, enum ir_type type, unsigned aux, unsigned rm, ir_ref a);
ir_ref ir_fma(struct ir *ir, unsigned flags, unsigned rm, ir_ref a, ir_ref b, ir_ref c);
ir_ref ir_fcmp(struct ir *ir, enum ir_type type, enum ir_fcond cond, ir_ref a, ir_ref b);
// Calls a function of the guest's with up to four integer arguments (i32 are passed zero-extended).
// `type` of the result may be IR_VOID. Unused arguments are 0.
ir_ref ir_call(struct ir *ir, ir_function *fn, const char *name, unsigned flags, enum ir_type type,
               ir_ref a, ir_ref b, ir_ref c, ir_ref d);
// Ends. The unit is finished after any of these but ir_br and ir_guard.
void ir_br(struct ir *ir, enum ir_cond cond, ir_ref a, ir_ref b, vaddr_t target);
void ir_exit(struct ir *ir, vaddr_t target);
void ir_jmp(struct ir *ir, enum ir_jump_hint hint, ir_ref target);
// Leaves for target unless that is pc, as it was once.
void ir_guard(struct ir *ir, enum ir_jump_hint hint, ir_ref target, vaddr_t pc);
void ir_leave(struct ir *ir, enum ir_leave why, vaddr_t pc);
void ir_raise(struct ir *ir, uint64_t cause, ir_ref value);
// Heads a guest instruction.
void ir_guest(struct ir *ir, vaddr_t pc, unsigned bytes);

static inline enum ir_type ir_type_of(const struct ir *ir, ir_ref r)
{
    return (enum ir_type)ir->insn[r].type;
}

static inline bool ir_is_const(const struct ir *ir, ir_ref r)
{
    return ir->insn[r].op == IR_CONST;
}

static inline unsigned ir_type_bytes(enum ir_type t)
{
    return t == IR_I32 || t == IR_F32 ? 4 : t == IR_VOID ? 0 : 8;
}

static inline bool ir_type_is_float(enum ir_type t)
{
    return t == IR_F32 || t == IR_F64;
}

// ---- Checks and text ----
// NULL if the unit is well-formed, else a newly allocated line that names the instruction and the rule.
char *ir_verify(const struct ir *ir);
void ir_print(const struct ir *ir, GString *out);
// Appends a unit's text form, as ir_print writes it, to a unit just reset; for tests. Calls are looked up
// in a table by their names; ir_parse has none.
bool ir_parse(struct ir *ir, const char *text, GError **error);
bool ir_parse_calls(struct ir *ir, const char *text, const struct ir_call *calls, unsigned nr_calls,
                    GError **error);

// ---- Passes, in their order ----
void ir_optimize(struct ir *ir);
void ir_pass_loop(struct ir *ir);   // a unit that ends at its own head: carries variables around
void ir_pass_values(struct ir *ir); // GET and SET to values; constants folded; equal values merged
void ir_pass_checks(struct ir *ir); // lets accesses off the same base share a CHK
void ir_pass_dead(struct ir *ir);   // drops what nobody uses

// Evaluates a pure integer operation on constants. False if the operation isn't one.
bool ir_eval(enum ir_opcode op, enum ir_type type, unsigned aux, const uint64_t v[4],
             const enum ir_type arg_type[4], uint64_t *result);

#endif
