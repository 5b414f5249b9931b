// SPDX-License-Identifier: MIT
// x86-64: calls, and the ways out of a unit: branches, jumps, faults, and back to its own head.
#include "translator/host/x86_64.h"

// ---- Calls and exits ----

// Flags so far into cpu->fp.flags, so that the function sees them and may change them.
static void emit_publish_fp_flags(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    emit_rm(a, O_MXCSR, 3, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    emit_rm(a, O_MOV, RAX, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    emit_group1_r(a, 0, G1_AND, RAX, 0x3d);
    emit_rm(a, O_OR8_STORE, RAX, CPU_MEM(fp.flags));
    emit_rm(a, O_MXCSR, 2, CPU_MEM(fp_control));
}

static void emit_push_operand(struct x86 *h, const struct ra_operand *o, unsigned pushed)
{
    struct x86_asm *a = &h->a;
    if (o->kind == RA_IN_REG && !ir_type_is_float(o->type)) {
        emit_push(a, o->reg);
        return;
    }
    if (o->kind == RA_IN_REG) {
        emit_rr(a, O_MOVD_FROM_X | (o->type == IR_F64 ? P_W : 0), o->reg, RAX);
    } else if (o->kind == RA_IMM) {
        emit_mov_imm(a, RAX, o->imm);
    } else {
        struct x86_mem m = operand_mem(o);
        if (m.base == RSP)
            m.disp += 8 * pushed;
        emit_rm(a, O_MOV | (ir_type_bytes(o->type) == 8 ? P_W : 0), RAX, m);
    }
    emit_push(a, RAX);
}

// Arguments go over the stack: any of them may be in a register that another one needs.
static void emit_arguments(struct x86 *h, const struct ir_insn *in, const struct ra_operand arg[4])
{
    static const uint8_t to[4] = {RSI, RDX, RCX, R8};
    struct x86_asm *a = &h->a;
    unsigned n = 0;
    uint8_t order[4];
    for (unsigned k = 0; k < 4; k++) {
        if (arg[k].kind == RA_NOWHERE)
            continue;
        emit_push_operand(h, &arg[k], n);
        order[n++] = k;
    }
    while (n-- > 0) {
        unsigned k = order[n];
        emit_pop(a, to[k]);
        if (arg[k].type == IR_I32)
            emit_rr(a, O_MOV, to[k], to[k]);
    }
    for (unsigned k = 0; k < 4; k++)
        if (arg[k].kind == RA_NOWHERE)
            emit_mov_imm(a, to[k], k == 3 ? in->imm : 0);
    emit_rm(a, O_LEA | P_W, RDI, cpu_mem(0));
}

static void emit_call(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                      const struct ra_operand arg[4])
{
    struct x86_asm *a = &h->a;
    const struct ir_call *call = &h->ir->call[in->x];
    if (call->flags & CALL_FP)
        emit_publish_fp_flags(h);
    if (call->flags &
        (CALL_TIME | CALL_FAULT)) { // what may fault may access devices, which see the time
        emit_rm(a, O_MOV_I32, 0, CPU_MEM(unit_left));
        emit32(a, h->ir->nr_guest - h->guest_insn);
    }
    emit_arguments(h, in, arg);
    emit_mov_imm(a, RAX, (uintptr_t)call->fn);
    emit_rr(a, O_GROUP5, 2, RAX);
    if (dst != RA_NO_REG && ir_type_is_float(in->type))
        emit_rr(a, O_MOVD_TO_X | (in->type == IR_F64 ? P_W : 0), dst, RAX);
    else if (dst != RA_NO_REG)
        emit_rr(a, O_MOV | width(in->type), dst, RAX);
    if (!(call->flags & CALL_FAULT))
        return;
    emit_rm(a, O_GROUP1_8, G1_CMP, CPU_MEM(fault.pending));
    emit8(a, 0);
    uint8_t *failed = emit_jcc(a, CC_NE);
    x86_add_cold(h,
                 (struct x86_cold){
                     .kind = COLD_CALL_FAULT, .from = failed, .point = x86_new_point(h), .r = r});
}

// A branch, or a guard, which leaves for what its first operand says.
static void emit_br(struct x86 *h, ir_ref r, const struct ir_insn *in, const struct ra_operand *arg)
{
    bool guard = in->op == IR_GUARD;
    x86_emit_compare(h, &arg[0], &arg[1]);
    struct x86_cold c = {.kind = guard ? COLD_GUARD : COLD_BRANCH,
                         .from = emit_jcc(&h->a, guard ? CC_NE : x86_cc_of(in->aux)),
                         .r = r,
                         .arg = {arg[0]}};
    struct ra_exit_var map[IR_MAX_VARS];
    c.map = h->maps->len;
    c.nr_map = ra_capture(&h->ra, map);
    g_array_append_vals(h->maps, map, c.nr_map);
    x86_add_cold(h, c);
}

static void write_back_now(struct x86 *h)
{
    struct ra_exit_var map[IR_MAX_VARS];
    unsigned n = ra_capture(&h->ra, map);
    x86_emit_write_back(h, map, n);
}

static void emit_jmp_indirect(struct x86 *h, const struct ir_insn *in,
                              const struct ra_operand *target)
{
    struct x86_asm *a = &h->a;
    const struct ir_exit *exit = &h->ir->exit[in->x];
    write_back_now(h);
    assert(exit->insns == h->unit->insns);
    (void)exit;
    emit_rr(a, O_MOV | width(target->type), RAX, target->reg);
    if (h->unit->key >> CPU_KEY_BITS == CPU_SINGLE)
        emit_jmp_to(a, h->stubs.leave_pc);
    else
        x86_emit_jump(h);
}

static void emit_leave(struct x86 *h, const struct ir_insn *in)
{
    const struct ir_exit *exit = &h->ir->exit[in->x];
    write_back_now(h);
    unsigned unused = h->unit->insns - exit->insns;
    if (unused)
        emit_group1_m(&h->a, P_W, G1_ADD, CPU_MEM(budget), unused);
    bool look_up_here = in->aux == LEAVE_LOOKUP && h->unit->key >> CPU_KEY_BITS != CPU_SINGLE;
    if (!look_up_here) {
        emit_rm(&h->a, O_MOV_I32, 0, CPU_MEM(leave));
        emit32(&h->a, in->aux);
    }
    emit_mov_imm(&h->a, RAX, exit->pc);
    emit_jmp_to(&h->a, look_up_here ? h->stubs.jump : h->stubs.leave_pc);
}

static void emit_raise(struct x86 *h, const struct ir_insn *in, const struct ra_operand *value)
{
    struct x86_asm *a = &h->a;
    uint32_t pt = x86_new_point(h);
    emit_rm(a, O_MOV8_I8, 0, CPU_MEM(fault.pending));
    emit8(a, 1);
    emit_rm(a, O_MOV_I32, 0, CPU_MEM(fault.cause));
    emit32(a, in->imm);
    // An i32 is zero-extended.
    emit_rr(a, O_MOV | width(value->type), RAX, value->reg);
    emit_rm(a, O_MOV_STORE | P_W, RAX, CPU_MEM(fault.value));
    emit_rm(a, O_MOV_I32 | P_W, 0, CPU_MEM(slow_value));
    emit32(a, pt);
    emit_jmp_to(a, h->stubs.fault);
}

// ---- Loops ----

void x86_loop_head(void *opaque, const struct ra_exit_var *map, unsigned n)
{
    struct x86 *h = opaque;
    h->loop_head = h->a.p;
    h->loop_map = h->maps->len;
    h->nr_loop_map = n;
    g_array_append_vals(h->maps, map, n);
}

struct reg_move {
    enum ir_type type;
    uint8_t dst, src;
    bool done;
};

// Whether a move that is still to be done reads the register.
static bool is_read(const struct reg_move *m, unsigned n, const struct reg_move *by)
{
    for (unsigned i = 0; i < n; i++)
        if (!m[i].done && &m[i] != by && m[i].src == by->dst &&
            ir_type_is_float(m[i].type) == ir_type_is_float(by->type))
            return true;
    return false;
}

// Moves all at once. What is left when no destination is free are cycles: a scratch register opens them.
static void emit_parallel_moves(struct x86 *h, struct reg_move *m, unsigned n)
{
    for (unsigned left = n; left > 0;) {
        unsigned before = left;
        for (unsigned i = 0; i < n; i++) {
            if (m[i].done || is_read(m, n, &m[i]))
                continue;
            if (m[i].dst != m[i].src)
                x86_move(h, m[i].type, m[i].dst, m[i].src);
            m[i].done = true;
            left--;
        }
        if (left < before || !left)
            continue;
        unsigned i = 0;
        while (m[i].done)
            i++;
        bool is_float = ir_type_is_float(m[i].type);
        unsigned scratch = is_float ? 15 : RAX;
        // The full width: others of the cycle may be wider.
        x86_move(h, is_float ? IR_F64 : IR_I64, scratch, m[i].src);
        m[i].src = scratch;
    }
}

// From where the variables are now to where the loop's top has them; the others go home.
static void emit_carry(struct x86 *h)
{
    struct ra_exit_var now[IR_MAX_VARS];
    struct reg_move moves[IR_MAX_VARS];
    unsigned n = ra_capture_loop(&h->ra, now), nr_moves = 0, carried = h->nr_loop_map;
    const struct ra_exit_var *top = &g_array_index(h->maps, struct ra_exit_var, h->loop_map);
    assert(n >= carried);
    x86_emit_write_back(h, now + carried, n - carried);
    for (unsigned i = 0; i < carried; i++) {
        assert(now[i].var == top[i].var);
        if (now[i].where.kind == RA_IN_REG)
            moves[nr_moves++] =
                (struct reg_move){now[i].where.type, top[i].where.reg, now[i].where.reg, false};
    }
    emit_parallel_moves(h, moves, nr_moves);
    for (unsigned i = 0; i < carried; i++)
        if (now[i].where.kind != RA_IN_REG)
            x86_load(h, now[i].where.type, top[i].where.reg, &now[i].where);
}

// The unit goes back to its own head.
static void emit_loop_back(struct x86 *h, ir_ref r)
{
    emit_carry(h);
    emit_group1_m(&h->a, P_W, G1_SUB, CPU_MEM(budget), h->unit->insns);
    uint8_t *over = emit_jcc(&h->a, CC_S);
    emit_jmp_to(&h->a, h->loop_head);
    x86_add_cold(
        h,
        (struct x86_cold){
            .kind = COLD_LOOP, .from = over, .r = r, .map = h->loop_map, .nr_map = h->nr_loop_map});
}

static void emit_exit(struct x86 *h, ir_ref r, const struct ir_insn *in)
{
    const struct ir_exit *exit = &h->ir->exit[in->x];
    if (h->loop_head && exit->pc == h->unit->pc) {
        emit_loop_back(h, r);
        return;
    }
    write_back_now(h);
    x86_emit_goto(h, exit->pc, exit->insns);
}

void x86_emit_exit(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                   const struct ra_operand arg[4])
{
    switch (in->op) {
    case IR_CALL:
        emit_call(h, r, in, dst, arg);
        break;
    case IR_BR:
    case IR_GUARD:
        emit_br(h, r, in, arg);
        break;
    case IR_EXIT:
        emit_exit(h, r, in);
        break;
    case IR_JMP:
        emit_jmp_indirect(h, in, &arg[0]);
        break;
    case IR_LEAVE:
        emit_leave(h, in);
        break;
    case IR_RAISE:
        emit_raise(h, in, &arg[0]);
        break;
    default:
        g_assert_not_reached();
    }
}
