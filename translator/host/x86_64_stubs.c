// SPDX-License-Identifier: MIT
// x86-64: the pieces of code that all units share. They lie at the start of the code buffer: entry and
// return, the way to slow accesses in C with all registers kept, and the exit of a faulting unit.
#include "translator/exec_impl.h"
#include "translator/host/x86_64.h"
#include "translator/softops.h"

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};
static const uint8_t caller_saved[] = {RSI, RDI, R8, R9, R10, R11}; // those that hold values

#define MXCSR_DEFAULT 0x1f80

// ---- Called from stubs ----

// The back end's data, found from the CPU: points are kept per buffer.
static struct x86 *host_of(struct cpu *cpu)
{
    return cpu->exec->host_data;
}

static struct x86_point *point(struct cpu *cpu, uint32_t index)
{
    return &g_array_index(host_of(cpu)->points, struct x86_point, index);
}

// What functions called by stubs return; false and true are the first two.
enum { RESULT_FAULT, RESULT_OK, RESULT_UNSHARE };

// A slow access: value in and out through cpu->slow_value. False: leave by the point's exit map.
static bool slow_access(struct cpu *cpu, vaddr_t addr, uint32_t index)
{
    const struct x86_point *pt = point(cpu, index);
    cpu->unit_left = pt->left;
    if (access_slow(cpu, addr, pt->memop, pt->regime, pt->write, &cpu->slow_value))
        return true;
    cpu->slow_value = index;
    return false;
}

// What a shared check that failed found out: the address, or that the accesses are to be done one by one, for
// which the unit has an exit.
static unsigned slow_check(struct cpu *cpu, vaddr_t addr, uint32_t index)
{
    const struct x86_point *pt = point(cpu, index);
    cpu->unit_left = pt->left;
    cpu->slow_value = access_check(cpu, addr, pt->span, pt->flags, pt->regime);
    if (cpu->slow_value)
        return RESULT_OK;
    cpu->next_mode = CPU_NORMAL; // that exit says it again where it goes to the loop
    return RESULT_UNSHARE;
}

// An operation in software: operands and what it is in cpu->host_scratch.
static bool soft_op(struct cpu *cpu)
{
    uint64_t packed = cpu->host_scratch[SCRATCH_OP];
    struct fp_env env = {.rm = packed >> 24 & 0xff};
    enum ir_type type = packed >> 8 & 0xff;
    cpu->slow_value = softop_eval(packed & 0xff, type, type, packed >> 16 & 0xff,
                                  &cpu->host_scratch[SCRATCH_OPERANDS], &env);
    cpu->fp.flags |= env.flags;
    return true;
}

// Writes the changed guest registers to their homes, from where the exit map of a point says they are.
static void fault_exit(struct cpu *cpu, const uint64_t *regs, const uint64_t *frame)
{
    const struct x86_point *pt = point(cpu, cpu->slow_value);
    for (unsigned i = 0; i < pt->nr_map; i++) {
        const struct x86_exit_var *v = &pt->map[i];
        uint64_t value = v->imm;
        if (v->kind == RA_IN_REG)
            value = regs[v->at + (ir_type_is_float(v->type) ? 16 : 0)];
        else if (v->kind == RA_SLOT)
            value = frame[v->at];
        memcpy((char *)cpu + v->home, &value, ir_type_bytes(v->type));
    }
    cpu->pc = pt->pc;
    cpu->budget += pt->left;
}

// ---- Emitting ----

static uint8_t *here(struct x86 *h)
{
    while ((uintptr_t)h->a.p & 15)
        emit8(&h->a, 0xcc);
    return h->a.p;
}

static void emit_call_c(struct x86 *h, const void *fn)
{
    emit_mov_imm(&h->a, RAX, (uintptr_t)fn);
    emit_rr(&h->a, O_GROUP5, 2, RAX);
}

static void emit_enter(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    h->stubs.enter = here(h);
    for (unsigned i = 0; i < sizeof(callee_saved); i++)
        emit_push(a, callee_saved[i]);
    // Six registers and the return address: 8 more bytes align the frame.
    emit_group1_r(a, P_W, G1_SUB, RSP, FRAME_SIZE + 8);
    emit_rm(a, O_LEA | P_W, RBP, (struct x86_mem){RDI, X86_NO_REG, CPU_BIAS});
    emit_rm(a, O_MXCSR, 2, CPU_MEM(fp_control));
    emit_rr(a, O_GROUP5, 4, RSI);
}

// [rip + x] that reaches target from an instruction of so many bytes, emitted next.
static struct x86_mem rip_mem(const struct x86 *h, const uint8_t *target, unsigned length)
{
    return (struct x86_mem){X86_NO_REG, X86_NO_REG, (int32_t)(target - (h->a.p + length))};
}

static void emit_leave(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    h->stubs.leave_pc = here(h);
    emit_rm(a, O_MOV_STORE | P_W, RAX, CPU_MEM(pc));
    h->stubs.leave = a->p;
    emit_rm(a, O_MXCSR, 3, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    emit_rm(a, O_MXCSR, 2, rip_mem(h, h->stubs.host_mxcsr, 7));
    emit_group1_r(a, P_W, G1_ADD, RSP, FRAME_SIZE + 8);
    for (unsigned i = sizeof(callee_saved); i-- > 0;)
        emit_pop(a, callee_saved[i]);
    emit8(a, 0xc3);
}

struct x86_misses x86_emit_probe(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    struct x86_misses misses;
    struct x86_mem entry = CPU_MEM(jump_cache);
    entry.index = RCX;
    // Entries are of 16 bytes.
    emit_rr(a, O_IMUL_I32, RCX, RAX);
    emit32(a, JUMP_CACHE_HASH);
    emit_shift_imm(a, 0, G2_SHR, RCX, 32 - JUMP_CACHE_BITS);
    emit_shift_imm(a, 0, G2_SHL, RCX, 4);
    emit_rm(a, O_CMP | P_W, RAX, entry);
    misses.at[0] = emit_jcc(a, CC_NE);
    struct x86_mem tag = entry, code = entry;
    tag.disp += offsetof(struct jump_cache_entry, tag);
    code.disp += offsetof(struct jump_cache_entry, code);
    emit_rm(a, O_MOV, RDX, tag);
    emit_rm(a, O_CMP, RDX, CPU_MEM(jump_tag));
    misses.at[1] = emit_jcc(a, CC_NE);
    emit_rm(a, O_MOV, RCX, code);
    emit_rm(a, O_ADD | P_W, RCX, CPU_MEM(host_code));
    emit_rr(a, O_GROUP5, 4, RCX);
    return misses;
}

// The same; what the cache has not goes to the loop.
void x86_emit_jump(struct x86 *h)
{
    struct x86_misses misses = x86_emit_probe(h);
    patch_rel32(misses.at[0], h->stubs.leave_pc);
    patch_rel32(misses.at[1], h->stubs.leave_pc);
}

static void emit_fault(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    const int size = align_up((16 + NR_XMM) * 8, 16); // the stack is aligned for calls
    h->stubs.fault = here(h);
    emit_group1_r(a, P_W, G1_SUB, RSP, size);
    for (unsigned r = 0; r < 16; r++)
        if (x86_ra_host.regs[RA_GPR] >> r & 1)
            emit_rm(a, O_MOV_STORE | P_W, r, slot_mem(r));
    for (unsigned x = 0; x < NR_XMM; x++)
        emit_rm(a, O_MOVS_STORE | P_F2, x, slot_mem(16 + x));
    emit_rm(a, O_LEA | P_W, RDI, cpu_mem(0));
    emit_rr(a, O_MOV | P_W, RSI, RSP);
    emit_rm(a, O_LEA | P_W, RDX, (struct x86_mem){RSP, X86_NO_REG, size});
    emit_call_c(h, fault_exit);
    emit_group1_r(a, P_W, G1_ADD, RSP, size);
    emit_jmp_to(a, h->stubs.leave);
}

// A stub that calls C with all values in registers kept: fn(cpu, rcx, eax). Returns, with the carry flag set if fn
// said RESULT_UNSHARE, or when fn said RESULT_FAULT goes on to the fault exit. Floating-point state is the host's
// meanwhile.
static uint8_t *emit_keep_all(struct x86 *h, const void *fn, bool keep_xmm)
{
    struct x86_asm *a = &h->a;
    uint8_t *start = here(h);
    for (unsigned i = 0; i < sizeof(caller_saved); i++)
        emit_push(a, caller_saved[i]);
    // The return address and six registers: 8 more bytes align.
    int room = 8 + (keep_xmm ? align_up(NR_XMM * 8, 16) : 0);
    emit_group1_r(a, P_W, G1_SUB, RSP, room);
    for (unsigned x = 0; keep_xmm && x < NR_XMM; x++)
        emit_rm(a, O_MOVS_STORE | P_F2, x, slot_mem(x));
    emit_rm(a, O_MXCSR, 3, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    emit_rm(a, O_MXCSR, 2, rip_mem(h, h->stubs.host_mxcsr, 7));
    emit_rm(a, O_LEA | P_W, RDI, cpu_mem(0));
    emit_rr(a, O_MOV | P_W, RSI, RCX);
    emit_rr(a, O_MOV, RDX, RAX);
    emit_call_c(h, fn);
    emit_rm(a, O_MXCSR, 2, CPU_MEM(host_scratch[SCRATCH_MXCSR]));
    for (unsigned x = 0; keep_xmm && x < NR_XMM; x++)
        emit_rm(a, O_MOVS | P_F2, x, slot_mem(x));
    emit_group1_r(a, P_W, G1_ADD, RSP, room);
    for (unsigned i = sizeof(caller_saved); i-- > 0;)
        emit_pop(a, caller_saved[i]);
    emit_rr(a, 0x84, RAX, RAX); // test al, al
    uint8_t *failed = emit_jcc8(a, CC_E);
    emit_shift_imm(a, 0, G2_SHR, RAX, RESULT_UNSHARE); // its bit goes to the carry flag
    emit8(a, 0xc3);
    patch_rel8(a, failed);
    emit_group1_r(a, P_W, G1_ADD, RSP, 8);
    emit_jmp_to(a, h->stubs.fault);
    return start;
}

static void emit_constants(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    h->stubs.box = here(h);
    emit64(a, MASK(63, 32));
    emit64(a, 0);
    h->stubs.nan64 = a->p;
    emit64(a, F64_NAN);
    h->stubs.nan32 = a->p;
    emit32(a, F32_NAN);
    h->stubs.host_mxcsr = a->p;
    emit32(a, MXCSR_DEFAULT);
}

void x86_emit_stubs(struct x86 *h)
{
    emit_constants(h);
    emit_enter(h);
    emit_leave(h);
    emit_fault(h);
    h->stubs.jump = here(h);
    x86_emit_jump(h);
    h->stubs.slow = emit_keep_all(h, slow_access, false);
    h->stubs.slow_fp = emit_keep_all(h, slow_access, true);
    h->stubs.check = emit_keep_all(h, slow_check, false);
    h->stubs.check_fp = emit_keep_all(h, slow_check, true);
    h->stubs.soft = emit_keep_all(h, soft_op, true);
}
