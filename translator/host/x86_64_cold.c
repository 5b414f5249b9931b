// SPDX-License-Identifier: MIT
// x86-64: cold code. It stands behind a unit and does all that the hot path leaves out: writing guest
// registers back, slow accesses, rare results of floating point.
#include "translator/host/x86_64.h"
#include "translator/softops.h"

void x86_store_home(struct x86 *h, unsigned home, const struct ra_operand *from)
{
    struct x86_asm *a = &h->a;
    struct x86_mem m = cpu_mem(home);
    unsigned w = from->type == IR_I64 || from->type == IR_F64 ? P_W : 0;
    switch (from->kind) {
    case RA_IN_REG:
        if (ir_type_is_float(from->type))
            emit_rm(a, O_MOVS_STORE | scalar(from->type), from->reg, m);
        else
            emit_rm(a, O_MOV_STORE | w, from->reg, m);
        break;
    case RA_IMM:
        if (!w || (int64_t)from->imm == (int32_t)from->imm) {
            emit_rm(a, O_MOV_I32 | w, 0, m);
            emit32(a, from->imm);
        } else {
            emit_mov_imm(a, RAX, from->imm);
            emit_rm(a, O_MOV_STORE | w, RAX, m);
        }
        break;
    case RA_SLOT:
        emit_rm(a, O_MOV | w, RAX, slot_mem(from->at));
        emit_rm(a, O_MOV_STORE | w, RAX, m);
        break;
    default:
        assert(!"a changed variable is not in a home");
    }
}

void x86_emit_write_back(struct x86 *h, const struct ra_exit_var *map, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        x86_store_home(h, h->ir->vars[map[i].var].offset, &map[i].where);
}

static void emit_leave_by_link(struct x86 *h, uint32_t link)
{
    emit_rm(&h->a, O_MOV_I32, 0, CPU_MEM(leave_link));
    emit32(&h->a, link);
}

// A jump that goes to the loop, telling it about the link, until the target of that is known and it is patched.
static void emit_link(struct x86 *h, vaddr_t pc, enum cpu_mode mode)
{
    struct x86_asm *a = &h->a;
    uint8_t *site = emit_jmp(a);
    emit_leave_by_link(h, units_new_link(h->units, site - h->rw, false));
    if (mode != CPU_NORMAL) {
        emit_rm(a, O_MOV_I32, 0, CPU_MEM(next_mode));
        emit32(a, mode);
    }
    emit_mov_imm(a, RAX, pc);
    emit_jmp_to(a, h->stubs.leave_pc);
}

// A jump to another page, good while the tag is what it was; else the jump cache is probed.
static void emit_tagged_link(struct x86 *h, vaddr_t pc)
{
    struct x86_asm *a = &h->a;
    emit_group1_m(a, 0, G1_CMP, CPU_MEM(jump_tag), INT32_MAX); // wide enough to be patched
    patch_imm32(a->p - 4, JUMP_TAG_VOID);
    uint8_t *other = emit_jcc(a, CC_NE);
    uint8_t *site = emit_jmp(a);
    uint32_t link = units_new_link(h->units, site - h->rw, true);
    patch_rel32(other, a->p);
    emit_mov_imm(a, RAX, pc);
    struct x86_misses misses = x86_emit_probe(h);
    patch_rel32(misses.at[0], a->p);
    patch_rel32(misses.at[1], a->p);
    emit_leave_by_link(h, link);
    emit_jmp_to(a, h->stubs.leave_pc);
}

void x86_emit_goto(struct x86 *h, vaddr_t pc, unsigned insns)
{
    struct x86_asm *a = &h->a;
    enum cpu_mode mode = h->unit->key >> CPU_KEY_BITS;
    unsigned unused = h->unit->insns - insns;
    if (unused)
        emit_group1_m(a, P_W, G1_ADD, CPU_MEM(budget), unused);
    if (mode == CPU_SINGLE) {
        emit_mov_imm(a, RAX, pc);
        emit_jmp_to(a, h->stubs.leave_pc);
    } else if (h->unit->crosses) {
        emit_mov_imm(a, RAX, pc);
        emit_jmp_to(a, h->stubs.jump);
    } else if (unit_covers(h->unit, pc)) {
        emit_link(h, pc, CPU_NORMAL);
    } else {
        emit_tagged_link(h, pc);
    }
}

// The address of an access into rcx.
static void emit_address(struct x86 *h, const struct ir_insn *in, const struct ra_operand *base)
{
    unsigned w = width(base->type);
    emit_rm(&h->a, O_LEA | w, RCX, (struct x86_mem){base->reg, X86_NO_REG, (int32_t)in->imm});
}

static void emit_load_slow_value(struct x86 *h, enum ir_type type, unsigned dst)
{
    if (ir_type_is_float(type))
        emit_rm(&h->a, O_MOVS | scalar(type), dst, CPU_MEM(slow_value));
    else
        emit_rm(&h->a, O_MOV | width(type), dst, CPU_MEM(slow_value));
}

static void emit_slow_store_value(struct x86 *h, const struct ra_operand *v)
{
    x86_store_home(h, offsetof(struct cpu, slow_value), v);
}

// The stretch of a shared check is not all in one page, or not all alike: the unit is left for one that checks each
// access, from this guest instruction on.
static void emit_unshare(struct x86 *h, const struct x86_cold *c)
{
    const struct x86_point *pt = x86_point_at(h, c->point);
    for (unsigned i = 0; i < pt->nr_map; i++) {
        const struct x86_exit_var *v = &pt->map[i];
        const struct ra_operand from = {v->kind, v->type, v->at, v->at, v->imm};
        x86_store_home(h, v->home, &from);
    }
    emit_group1_m(&h->a, P_W, G1_ADD, CPU_MEM(budget), pt->left);
    emit_link(h, pt->pc, CPU_NOSHARE);
}

static void emit_access(struct x86 *h, const struct x86_cold *c)
{
    const struct ir_insn *in = &h->ir->insn[c->r];
    const struct x86_stubs *s = &h->stubs;
    if (c->kind == COLD_STORE)
        emit_slow_store_value(h, &c->arg[2]);
    emit_address(h, in, &c->arg[0]);
    emit_mov_imm(&h->a, RAX, c->point);
    if (c->kind == COLD_CHECK)
        emit_call_to(&h->a, h->ir->uses_fp ? s->check_fp : s->check);
    else
        emit_call_to(&h->a, h->ir->uses_fp ? s->slow_fp : s->slow);
    uint8_t *unshare = c->kind == COLD_CHECK ? emit_jcc8(&h->a, CC_B) : NULL;
    if (c->kind == COLD_CHECK)
        emit_load_slow_value(h, IR_I64, c->dst);
    else if (c->kind == COLD_LOAD)
        emit_load_slow_value(h, in->type, c->dst);
    emit_jmp_to(&h->a, c->back);
    if (unshare) {
        patch_rel8(&h->a, unshare);
        emit_unshare(h, c);
    }
}

static void emit_write_back_map(struct x86 *h, const struct x86_cold *c)
{
    if (c->nr_map)
        x86_emit_write_back(h, &g_array_index(h->maps, struct ra_exit_var, c->map), c->nr_map);
}

static void emit_branch(struct x86 *h, const struct x86_cold *c)
{
    const struct ir_exit *exit = &h->ir->exit[h->ir->insn[c->r].x];
    emit_write_back_map(h, c);
    x86_emit_goto(h, exit->pc, exit->insns);
}

// Writing back leaves registers as they are.
static void emit_guard(struct x86 *h, const struct x86_cold *c)
{
    const struct ir_exit *exit = &h->ir->exit[h->ir->insn[c->r].x];
    unsigned unused = h->unit->insns - exit->insns;
    emit_write_back_map(h, c);
    if (unused)
        emit_group1_m(&h->a, P_W, G1_ADD, CPU_MEM(budget), unused);
    emit_rr(&h->a, O_MOV | width(c->arg[0].type), RAX, c->arg[0].reg);
    emit_jmp_to(&h->a, h->unit->key >> CPU_KEY_BITS == CPU_SINGLE ? h->stubs.leave_pc : h->stubs.jump);
}

static void emit_call_fault(struct x86 *h, const struct x86_cold *c)
{
    emit_rm(&h->a, O_MOV_I32 | P_W, 0, CPU_MEM(slow_value));
    emit32(&h->a, c->point);
    emit_jmp_to(&h->a, h->stubs.fault);
}

static void emit_nan(struct x86 *h, const struct x86_cold *c)
{
    bool single = h->ir->insn[c->r].type == IR_F32;
    const uint8_t *nan = single ? h->stubs.nan32 : h->stubs.nan64;
    unsigned length = c->dst >= 8 ? 9 : 8; // of the instruction, with its REX
    struct x86_mem m = {X86_NO_REG, X86_NO_REG, (int32_t)(nan - (h->a.p + length))};
    emit_rm(&h->a, O_MOVS | (single ? P_F3 : P_F2), c->dst, m);
    emit_jmp_to(&h->a, c->back);
}

// A fused operation that gave NaN: software knows the flags and the value.
static void emit_fma(struct x86 *h, const struct x86_cold *c)
{
    const struct ir_insn *in = &h->ir->insn[c->r];
    for (unsigned k = 0; k < 3; k++)
        x86_store_home(h, offsetof(struct cpu, host_scratch[SCRATCH_OPERANDS]) + 8 * k, &c->arg[k]);
    emit_rm(&h->a, O_MOV_I32 | P_W, 0, CPU_MEM(host_scratch[SCRATCH_OP]));
    emit32(&h->a, in->op | in->type << 8 | in->aux << 16 | in->x << 24);
    emit_call_to(&h->a, h->stubs.soft);
    emit_load_slow_value(h, in->type, c->dst);
    emit_jmp_to(&h->a, c->back);
}

// A signed conversion gave the smallest integer: right for what is below the range, and for itself.
static void emit_ftoi(struct x86 *h, const struct x86_cold *c)
{
    struct x86_asm *a = &h->a;
    const struct ir_insn *in = &h->ir->insn[c->r];
    unsigned x = c->arg[0].reg;
    bool single = c->arg[0].type == IR_F32;
    emit_rr(a, O_UCOMIS | (single ? 0 : P_66), x, x);
    uint8_t *nan = emit_jcc8(a, CC_P);
    emit_rr(a, O_MOVD_FROM_X | (single ? 0 : P_W), x, RAX);
    emit_rr(a, O_TEST | (single ? 0 : P_W), RAX, RAX);
    emit_jcc_to(a, CC_S, c->back);
    patch_rel8(a, nan);
    emit_mov_imm(a, c->dst, in->type == IR_I32 ? INT32_MAX : INT64_MAX);
    emit_jmp_to(a, c->back);
}

// The budget does not hold another iteration: its head's state is in the registers that carry it.
static void emit_loop_over(struct x86 *h, const struct x86_cold *c)
{
    emit_write_back_map(h, c);
    emit_group1_m(&h->a, P_W, G1_ADD, CPU_MEM(budget), h->unit->insns);
    emit_mov_imm(&h->a, RAX, h->unit->pc);
    emit_jmp_to(&h->a, h->stubs.leave_pc);
}

void x86_emit_cold(struct x86 *h)
{
    for (unsigned i = 0; i < h->cold->len; i++) {
        const struct x86_cold *c = &g_array_index(h->cold, struct x86_cold, i);
        patch_rel32(c->from, h->a.p);
        if (c->from2)
            patch_rel32(c->from2, h->a.p);
        switch (c->kind) {
        case COLD_LOAD:
        case COLD_STORE:
        case COLD_CHECK:
            emit_access(h, c);
            break;
        case COLD_BRANCH:
            emit_branch(h, c);
            break;
        case COLD_GUARD:
            emit_guard(h, c);
            break;
        case COLD_CALL_FAULT:
            emit_call_fault(h, c);
            break;
        case COLD_NAN:
            emit_nan(h, c);
            break;
        case COLD_FMA:
            emit_fma(h, c);
            break;
        case COLD_FTOI:
            emit_ftoi(h, c);
            break;
        case COLD_LOOP:
            emit_loop_over(h, c);
            break;
        }
    }
}
