// SPDX-License-Identifier: MIT
// The IR interpreter: a host back end that runs anywhere, and the meaning of the IR in code. It shares the
// integer semantics with constant folding (ir_eval.h) and uses software floating point throughout.
#include <assert.h>

#include "translator/exec.h"
#include "translator/host.h"
#include "translator/ir_eval.h"
#include "translator/softops.h"

// What is kept of a unit: the IR without NOPs, and what its exits need.
struct interp_unit {
    uint16_t nr_insns, nr_sets, nr_guest;
    uint8_t regime;
    const struct ir_exit *exits;
    const struct ir_call *calls;
    const uint16_t *sets; // indices of SETs, ascending
    struct ir_insn insn[];
};

struct interp {
    struct units *units;
    uint64_t val[IR_MAX_INSNS];
};

static void *interp_init(struct units *units, size_t code_size, GError **error)
{
    (void)code_size;
    (void)error;
    struct interp *h = g_new0(struct interp, 1);
    h->units = units;
    return h;
}

static void interp_free(void *h)
{
    g_free(h);
}

static void interp_attach(void *h, struct cpu *cpu)
{
    (void)h;
    cpu->host_code = NULL;
}

static void interp_clear(void *h)
{
    (void)h;
}

static void interp_unlink(void *h, struct unit_link *link)
{
    (void)h;
    (void)link;
}

static void *keep(struct interp *h, const void *p, size_t size)
{
    return size ? memcpy(units_alloc(h->units, size), p, size) : NULL;
}

static enum host_compile interp_compile(void *opaque, struct ir *ir, struct unit *unit)
{
    struct interp *h = opaque;
    uint16_t to[IR_MAX_INSNS], sets[IR_MAX_INSNS];
    struct interp_unit *u =
        units_alloc(h->units, sizeof(*u) + ir->nr_insns * sizeof(struct ir_insn));
    unsigned n = 0, nr_sets = 0;
    for (unsigned r = 0; r < ir->nr_insns; r++) {
        to[r] = n;
        if (r && ir->insn[r].op == IR_NOP)
            continue;
        struct ir_insn in = ir->insn[r];
        for (unsigned k = 0; k < 4; k++)
            in.arg[k] = to[in.arg[k]];
        if (in.op == IR_SET)
            sets[nr_sets++] = n;
        u->insn[n++] = in;
    }
    for (unsigned i = 0; i < ir->nr_exits; i++)
        ir->exit[i].at = to[ir->exit[i].at];
    u->nr_insns = n;
    u->nr_sets = nr_sets;
    u->nr_guest = ir->nr_guest;
    u->regime = ir->regime;
    u->exits = keep(h, ir->exit, ir->nr_exits * sizeof(ir->exit[0]));
    u->calls = keep(h, ir->call, ir->nr_calls * sizeof(ir->call[0]));
    u->sets = keep(h, sets, nr_sets * sizeof(sets[0]));
    unit->host_data = u;
    return COMPILE_OK;
}

static void write_home(struct cpu *cpu, const struct ir_var *var, uint64_t v)
{
    void *home = (char *)cpu + var->offset;
    memcpy(home, &v, ir_type_bytes(var->type));
}

static uint64_t read_home(const struct cpu *cpu, const struct ir_var *var)
{
    uint64_t v = 0;
    memcpy(&v, (const char *)cpu + var->offset, ir_type_bytes(var->type));
    return v;
}

// Leaves with the SETs before `at` in force and `insns` retired.
static void leave(const struct interp *h, struct cpu *cpu, const struct interp_unit *u, unsigned at,
                  unsigned insns, vaddr_t pc)
{
    for (unsigned i = 0; i < u->nr_sets && u->sets[i] < at; i++) {
        const struct ir_insn *in = &u->insn[u->sets[i]];
        write_home(cpu, &cpu->vars[in->x], h->val[in->arg[0]]);
    }
    cpu->budget += u->nr_guest - insns;
    cpu->pc = pc;
}

static void leave_by_exit(const struct interp *h, struct cpu *cpu, const struct interp_unit *u, unsigned x,
                          vaddr_t pc)
{
    const struct ir_exit *exit = &u->exits[x];
    leave(h, cpu, u, exit->at, exit->insns, pc);
}

static uintptr_t probe(struct cpu *cpu, vaddr_t addr, unsigned span, unsigned flags, unsigned regime)
{
    const struct tlb_entry *e = tlb_entry_of(&cpu->tlb, regime, addr);
    uint64_t offset = e->tag[flags & CHK_WRITE ? TLB_WRITE : TLB_READ] ^ addr;
    bool aligned = !(flags & CHK_ALIGN) || !(addr & (span - 1));
    return offset <= PAGE_SIZE - span && aligned ? e->host + offset : 0;
}

static vaddr_t address(const struct interp *h, const struct interp_unit *u, const struct ir_insn *in)
{
    uint64_t a = h->val[in->arg[0]] + in->imm;
    return u->insn[in->arg[0]].type == IR_I32 ? (uint32_t)a : a;
}

// A CHK: 0 stands for "not this way"; accesses that are alone under it are then done the slow way.
static bool check(struct interp *h, struct cpu *cpu, const struct interp_unit *u, const struct ir_insn *in,
                  uint64_t *result)
{
    *result = probe(cpu, address(h, u, in), in->x, in->aux, u->regime);
    if (*result || !(in->aux & CHK_SHARED))
        return true;
    *result = access_check(cpu, address(h, u, in), in->x, in->aux, u->regime);
    return *result;
}

static bool load_or_store(struct interp *h, struct cpu *cpu, const struct interp_unit *u,
                          const struct ir_insn *in, uint64_t *result)
{
    bool write = in->op == IR_ST;
    unsigned size = 1u << (in->aux & MO_SIZE);
    const struct ir_insn *chk = &u->insn[in->arg[1]];
    uint64_t host = h->val[in->arg[1]];
    uint64_t v = write ? h->val[in->arg[2]] : 0;
    if (!host || in->aux & MO_BSWAP) {
        if (!access_slow(cpu, address(h, u, in), in->aux, u->regime, write, &v))
            return false;
    } else {
        uint8_t *p = (uint8_t *)host + (int64_t)(in->imm - chk->imm);
        if (write)
            store_le(p, size, v);
        else
            v = in->aux & MO_SIGN ? (uint64_t)bits_sext(load_le(p, size), 8 * size) : load_le(p, size);
    }
    *result = in->type == IR_I32 ? (uint32_t)v : v;
    return true;
}

static bool call(struct interp *h, struct cpu *cpu, const struct interp_unit *u, const struct ir_insn *in,
                 unsigned insn_index, uint64_t *result)
{
    const struct ir_call *c = &u->calls[in->x];
    uint64_t v[4];
    for (unsigned k = 0; k < 4; k++) {
        v[k] = h->val[in->arg[k]];
        if (u->insn[in->arg[k]].type == IR_I32)
            v[k] = (uint32_t)v[k];
    }
    if (!in->arg[3])
        v[3] = in->imm;
    cpu->unit_left = u->nr_guest - insn_index;
    *result = c->fn(cpu, v[0], v[1], v[2], v[3]);
    if (in->type == IR_I32 || in->type == IR_F32)
        *result = (uint32_t)*result;
    return !(c->flags & CALL_FAULT && cpu->fault.pending);
}

static uint64_t float_op(struct interp *h, struct cpu *cpu, const struct interp_unit *u,
                         const struct ir_insn *in)
{
    const uint64_t v[3] = {h->val[in->arg[0]], h->val[in->arg[1]], h->val[in->arg[2]]};
    struct fp_env env = {.rm = in->x};
    uint64_t r = softop_eval(in->op, in->type, u->insn[in->arg[0]].type, in->aux, v, &env);
    cpu->fp.flags |= env.flags;
    return r;
}

static uint64_t convert(const struct interp *h, const struct ir_insn *in)
{
    uint64_t a = h->val[in->arg[0]];
    switch (in->op) {
    case IR_BITCAST: return a;
    case IR_BOX: return a | MASK(63, 32);
    case IR_UNBOX: return a >> 32 == UINT32_MAX ? (uint32_t)a : softop_nan(IR_F32);
    case IR_FCANON: return softop_is_nan(in->type, a) ? softop_nan(in->type) : a;
    default: g_assert_not_reached();
    }
}

static uint64_t integer_op(const struct interp *h, const struct interp_unit *u, const struct ir_insn *in)
{
    uint64_t a = h->val[in->arg[0]], b = h->val[in->arg[1]];
    if (in->op == IR_SETC || in->op == IR_SEL) {
        bool yes = eval_cond(in->aux, u->insn[in->arg[0]].type, a, b);
        return in->op == IR_SETC ? yes : h->val[in->arg[yes ? 2 : 3]];
    }
    return in->type == IR_I32 ? (uint32_t)eval_int32(in->op, in->aux, a, b)
                              : eval_int64(in->op, in->aux, a, b);
}

static void interp_enter(void *opaque, struct cpu *cpu, const struct unit *unit)
{
    struct interp *h = opaque;
    const struct interp_unit *u = unit->host_data;
    unsigned marker = 0;
    cpu->budget -= u->nr_guest;
    assert(cpu->budget >= 0);
    h->val[0] = 0;
    for (unsigned i = 1; i < u->nr_insns; i++) {
        const struct ir_insn *in = &u->insn[i];
        uint64_t *result = &h->val[i];
        bool ok = true;
        switch (in->op) {
        case IR_INSN: marker = i; break;
        case IR_CONST: *result = in->imm; break;
        case IR_GET: *result = read_home(cpu, &cpu->vars[in->x]); break;
        case IR_SET: break;
        case IR_CHK:
            cpu->unit_left = u->nr_guest - u->insn[marker].aux;
            ok = check(h, cpu, u, in, result);
            break;
        case IR_LD:
        case IR_ST:
            cpu->unit_left = u->nr_guest - u->insn[marker].aux;
            ok = load_or_store(h, cpu, u, in, result);
            break;
        case IR_CALL: ok = call(h, cpu, u, in, u->insn[marker].aux, result); break;
        case IR_BITCAST:
        case IR_BOX:
        case IR_UNBOX:
        case IR_FCANON: *result = convert(h, in); break;
        case IR_BR:
            if (eval_cond(in->aux, u->insn[in->arg[0]].type, h->val[in->arg[0]], h->val[in->arg[1]])) {
                leave_by_exit(h, cpu, u, in->x, u->exits[in->x].pc);
                return;
            }
            break;
        case IR_GUARD:
            if (h->val[in->arg[0]] != h->val[in->arg[1]]) {
                leave_by_exit(h, cpu, u, in->x, h->val[in->arg[0]]);
                return;
            }
            break;
        case IR_EXIT: leave_by_exit(h, cpu, u, in->x, u->exits[in->x].pc); return;
        case IR_JMP: leave_by_exit(h, cpu, u, in->x, h->val[in->arg[0]]); return;
        case IR_LEAVE:
            leave_by_exit(h, cpu, u, in->x, u->exits[in->x].pc);
            cpu->leave = in->aux;
            return;
        case IR_RAISE:
            cpu->fault.pending = true;
            cpu->fault.cause = in->imm;
            cpu->fault.value = h->val[in->arg[0]];
            ok = false;
            break;
        default:
            *result = ir_op_info[in->op].flags & OPF_FLOAT ? float_op(h, cpu, u, in)
                                                           : integer_op(h, u, in);
        }
        if (!ok) {
            leave(h, cpu, u, marker, u->insn[marker].aux, u->insn[marker].imm);
            return;
        }
    }
    g_assert_not_reached();
}

const struct host host_interp = {
    .name = "interp",
    .init = interp_init,
    .free = interp_free,
    .attach = interp_attach,
    .compile = interp_compile,
    .enter = interp_enter,
    .unlink = interp_unlink,
    .clear = interp_clear,
};
