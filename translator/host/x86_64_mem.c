// SPDX-License-Identifier: MIT
// x86-64: memory. The inline probe of the TLB, accesses under it, and the points where they may fault.
#include "translator/host/x86_64.h"

uint32_t x86_new_point(struct x86 *h)
{
    struct ra_exit_var map[IR_MAX_VARS];
    unsigned n = ra_capture(&h->ra, map);
    struct x86_exit_var *kept = n ? units_alloc(h->units, n * sizeof(*kept)) : NULL;
    for (unsigned i = 0; i < n; i++) {
        const struct ra_operand *o = &map[i].where;
        assert(o->kind != RA_HOME);
        kept[i] = (struct x86_exit_var){.home = h->ir->vars[map[i].var].offset,
                                        .kind = o->kind,
                                        .type = o->type,
                                        .at = o->kind == RA_IN_REG ? o->reg : o->at,
                                        .imm = o->imm};
    }
    struct x86_point pt = {.pc = h->guest_pc,
                           .map = kept,
                           .nr_map = n,
                           .left = h->ir->nr_guest - h->guest_insn,
                           .regime = h->ir->regime};
    g_array_append_val(h->points, pt);
    return h->points->len - 1;
}

struct x86_point *x86_point_at(struct x86 *h, uint32_t index)
{
    return &g_array_index(h->points, struct x86_point, index);
}

// Probes the TLB for `span` bytes at [base + offset]. Then the host's address is rcx + rax. Returns the
// jump to the cold side; *misaligned another, or NULL.
static uint8_t *emit_tlb_probe(struct x86 *h, const struct ra_operand *base, int32_t offset,
                               unsigned span, bool write, bool align, uint8_t **misaligned)
{
    struct x86_asm *a = &h->a;
    struct x86_mem entry =
        cpu_mem(offsetof(struct cpu, tlb.e) + sizeof(struct tlb_entry) * TLB_SIZE_MAX * h->ir->regime);
    entry.index = RCX;
    struct x86_mem tag = entry, host = entry;
    tag.disp += offsetof(struct tlb_entry, tag[write ? TLB_WRITE : TLB_READ]);
    host.disp += offsetof(struct tlb_entry, host);
    unsigned w = width(base->type);
    if (offset)
        emit_rm(a, O_LEA | w, RAX, (struct x86_mem){base->reg, X86_NO_REG, offset});
    else
        emit_rr(a, O_MOV | w, RAX, base->reg);
    *misaligned = NULL;
    if (align && span > 1) {
        emit8(a, 0xa8); // test al, imm8
        emit8(a, span - 1);
        *misaligned = emit_jcc(a, CC_NE);
    }
    // The offset of an entry of 32 bytes: addr >> 12 << 5 & mask.
    if (h->bmi) {
        emit_vex(a, 3, 3, false, 0xf0, RCX, 0, RAX); // rorx
        emit8(a, PAGE_BITS - TLB_ENTRY_SHIFT);
    } else {
        emit_rr(a, O_MOV, RCX, RAX);
        emit_shift_imm(a, 0, G2_SHR, RCX, PAGE_BITS - TLB_ENTRY_SHIFT);
    }
    emit_rm(a, O_AND, RCX, cpu_mem(offsetof(struct cpu, tlb.mask[0]) + sizeof(uint32_t) * h->ir->regime));
    emit_rm(a, O_XOR | P_W, RAX, tag);
    emit_group1_r(a, P_W, G1_CMP, RAX, PAGE_SIZE - span);
    uint8_t *miss = emit_jcc(a, CC_A);
    emit_rm(a, O_MOV | P_W, RCX, host);
    return miss;
}

void x86_add_cold(struct x86 *h, struct x86_cold c)
{
    g_array_append_val(h->cold, c);
}

void x86_emit_check(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                    const struct ra_operand *arg)
{
    if (!(in->aux & CHK_SHARED))
        return;
    uint32_t pt = x86_new_point(h);
    x86_point_at(h, pt)->span = in->x;
    x86_point_at(h, pt)->flags = in->aux;
    uint8_t *misaligned;
    uint8_t *miss = emit_tlb_probe(h, &arg[0], (int32_t)in->imm, in->x, in->aux & CHK_WRITE,
                                   in->aux & CHK_ALIGN, &misaligned);
    emit_rm(&h->a, O_LEA | P_W, dst, (struct x86_mem){RCX, RAX, 0});
    x86_add_cold(h, (struct x86_cold){.kind = COLD_CHECK,
                                      .from = miss,
                                      .from2 = misaligned,
                                      .back = h->a.p,
                                      .point = pt,
                                      .r = r,
                                      .dst = dst,
                                      .arg = {arg[0]}});
}

static void emit_load_from(struct x86 *h, const struct ir_insn *in, unsigned dst, struct x86_mem m)
{
    unsigned w = in->aux & MO_SIGN ? width(in->type) : 0;
    if (ir_type_is_float(in->type)) {
        emit_rm(&h->a, O_MOVS | scalar(in->type), dst, m);
        return;
    }
    switch (in->aux & (MO_SIZE | MO_SIGN)) {
    case MO_8:
        emit_rm(&h->a, O_MOVZX8 & ~P_BYTE_RM, dst, m);
        break;
    case MO_16:
        emit_rm(&h->a, O_MOVZX16, dst, m);
        break;
    case MO_8 | MO_SIGN:
        emit_rm(&h->a, (O_MOVSX8 & ~P_BYTE_RM) | w, dst, m);
        break;
    case MO_16 | MO_SIGN:
        emit_rm(&h->a, O_MOVSX16 | w, dst, m);
        break;
    case MO_32 | MO_SIGN:
        emit_rm(&h->a, w ? O_MOVSXD | w : O_MOV, dst, m);
        break;
    case MO_32:
        emit_rm(&h->a, O_MOV, dst, m);
        break;
    default:
        emit_rm(&h->a, O_MOV | P_W, dst, m);
        break;
    }
}

static void emit_store_to(struct x86 *h, const struct ir_insn *in, const struct ra_operand *v,
                          struct x86_mem m)
{
    struct x86_asm *a = &h->a;
    unsigned size = in->aux & MO_SIZE;
    if (ir_type_is_float(v->type)) {
        emit_rm(a, O_MOVS_STORE | scalar(v->type), v->reg, m);
    } else if (v->kind == RA_IMM) {
        unsigned op = size == MO_8 ? O_MOV8_I8 : O_MOV_I32;
        emit_rm(a, op | (size == MO_16 ? P_66 : size == MO_64 ? P_W : 0), 0, m);
        size == MO_8    ? emit8(a, v->imm)
        : size == MO_16 ? (emit8(a, v->imm), emit8(a, v->imm >> 8))
                        : emit32(a, v->imm);
    } else {
        static const unsigned op[] = {O_MOV8_STORE, O_MOV16_STORE, O_MOV_STORE, O_MOV_STORE | P_W};
        emit_rm(a, op[size], v->reg, m);
    }
}

void x86_emit_access(struct x86 *h, ir_ref r, const struct ir_insn *in, unsigned dst,
                     const struct ra_operand *arg)
{
    const struct ir_insn *chk = &h->ir->insn[in->arg[1]];
    bool write = in->op == IR_ST, swap = in->aux & MO_BSWAP;
    if (chk->aux & CHK_SHARED) {
        assert(!swap);
        struct x86_mem m = {arg[1].reg, X86_NO_REG, (int32_t)(in->imm - chk->imm)};
        write ? emit_store_to(h, in, &arg[2], m) : emit_load_from(h, in, dst, m);
        return;
    }
    uint32_t pt = x86_new_point(h);
    x86_point_at(h, pt)->memop = in->aux;
    x86_point_at(h, pt)->write = write;
    uint8_t *misaligned = NULL, *miss;
    if (swap) {
        miss = emit_jmp(&h->a); // the other byte order goes the slow way
    } else {
        miss = emit_tlb_probe(h, &arg[0], (int32_t)in->imm, chk->x, chk->aux & CHK_WRITE,
                              chk->aux & CHK_ALIGN, &misaligned);
        struct x86_mem m = {RCX, RAX, 0};
        write ? emit_store_to(h, in, &arg[2], m) : emit_load_from(h, in, dst, m);
    }
    x86_add_cold(h, (struct x86_cold){.kind = write ? COLD_STORE : COLD_LOAD,
                                      .from = miss,
                                      .from2 = misaligned,
                                      .back = h->a.p,
                                      .point = pt,
                                      .r = r,
                                      .dst = dst,
                                      .arg = {arg[0], arg[1], arg[2]}});
}
