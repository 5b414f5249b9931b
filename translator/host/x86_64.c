// SPDX-License-Identifier: MIT
// The x86-64 back end: lowering, the code buffer, and the contract of hosts. What each operation becomes is in
// x86_64_{int,mem,fp,exit,cold}.c.
//
// Baseline is x86-64 with SSE2; where BMI, LZCNT, POPCNT, FMA, SSE4.1 and PCLMULQDQ are there they are used,
// else the operation is lowered to a call.
#define _GNU_SOURCE // memfd_create
#include "translator/host/x86_64.h"

#include <cpuid.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "translator/softops.h"

// Room that one unit may take at most, cold code included.
#define UNIT_SIZE_MAX (1u << 20)

// ---- Lowering ----

static bool depends_on_rm(const struct ir *ir, const struct ir_insn *in)
{
    enum ir_type from = ir_type_of(ir, in->arg[0]);
    switch (in->op) {
    case IR_FCMP:
        return false;
    case IR_FCVT:
        return in->type == IR_F32;
    case IR_ITOF:
        return !(in->type == IR_F64 && from == IR_I32);
    case IR_FTOI:
        return in->x != FP_RTZ;
    case IR_FROUND:
        return in->x == FP_RMM;
    default:
        return true;
    }
}

static bool lacks_float(const struct x86 *h, const struct ir *ir, const struct ir_insn *in)
{
    unsigned host_rm = ir->rm == FP_RMM ? FP_RNE : ir->rm;
    if (depends_on_rm(ir, in) && in->x != host_rm)
        return true;
    if (in->op == IR_FMA)
        return !h->fma;
    if (in->op == IR_FROUND)
        return !h->sse41;
    if (in->op == IR_FTOI)
        return in->aux & IR_UNSIGNED;
    if (in->op == IR_ITOF)
        return in->aux & IR_UNSIGNED && ir_type_of(ir, in->arg[0]) == IR_I64;
    return false;
}

static bool lacks(const struct x86 *h, const struct ir *ir, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_CLZ:
        return !h->lzcnt;
    case IR_CTZ:
        return !h->bmi;
    case IR_POPCNT:
        return !h->popcnt;
    case IR_CLMUL:
    case IR_CLMULH:
        return !h->clmul;
    default:
        return ir_op_info[in->op].flags & OPF_FLOAT && lacks_float(h, ir, in);
    }
}

static bool lower(const struct x86 *h, struct ir *ir)
{
    for (unsigned r = 1; r < ir->nr_insns; r++) {
        if (!lacks(h, ir, &ir->insn[r]))
            continue;
        if (ir->nr_calls == IR_MAX_CALLS)
            return false;
        softop_lower(ir, r);
    }
    return true;
}

// ---- The contract ----

static void find_features(struct x86 *h)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        // VEX-encoded instructions also need the system's support for AVX state.
        bool avx = c & bit_OSXSAVE && c & bit_AVX;
        h->fma = avx && c & bit_FMA;
        h->popcnt = c & bit_POPCNT;
        h->sse41 = c & bit_SSE4_1;
        h->clmul = c & bit_PCLMUL;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        h->bmi = b & bit_BMI && b & bit_BMI2;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        h->lzcnt = c & bit_LZCNT;
}

static bool map_buffer(struct x86 *h, GError **error)
{
    h->fd = memfd_create("ferry-code", MFD_CLOEXEC);
    if (h->fd >= 0 && ftruncate(h->fd, h->size) == 0) {
        h->rw = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
        h->rx = mmap(NULL, h->size, PROT_READ | PROT_EXEC, MAP_SHARED, h->fd, 0);
    }
    if (h->rw != MAP_FAILED && h->rx != MAP_FAILED && h->rw && h->rx)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                "cannot map %zu MiB for translated code: %s (try -accel interp)", h->size >> 20,
                g_strerror(errno));
    return false;
}

static bool remap(uint8_t *at, size_t size, int prot, int fd)
{
    void *got = mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, 0);
    return got == at;
}

// A copy of the code in a buffer of its own, at the same addresses.
static bool x86_forked(void *opaque, GError **error)
{
    struct x86 *h = opaque;
    int fd = memfd_create("ferry-code", MFD_CLOEXEC);
    bool ok = fd >= 0 && ftruncate(fd, h->size) == 0 &&
              pwrite(fd, h->rw, h->used, 0) == (ssize_t)h->used &&
              remap(h->rw, h->size, PROT_READ | PROT_WRITE, fd) &&
              remap(h->rx, h->size, PROT_READ | PROT_EXEC, fd);

    if (!ok)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST,
                    "cannot copy %zu MiB of translated code: %s", h->used >> 20, g_strerror(errno));
    close(h->fd);
    h->fd = fd;
    return ok;
}

static void x86_free(void *opaque)
{
    struct x86 *h = opaque;
    if (h->rw && h->rw != MAP_FAILED)
        munmap(h->rw, h->size);
    if (h->rx && h->rx != MAP_FAILED)
        munmap(h->rx, h->size);
    if (h->fd >= 0)
        close(h->fd);
    g_array_free(h->points, TRUE);
    g_array_free(h->cold, TRUE);
    g_array_free(h->maps, TRUE);
    g_free(h);
}

static void *x86_init(struct units *units, size_t code_size, GError **error)
{
    struct x86 *h = g_new0(struct x86, 1);
    h->units = units;
    h->fd = -1;
    h->size = MAX(code_size ? code_size : LIMIT_CODE_SIZE, 4 * UNIT_SIZE_MAX);
    h->points = g_array_new(FALSE, FALSE, sizeof(struct x86_point));
    h->cold = g_array_new(FALSE, FALSE, sizeof(struct x86_cold));
    h->maps = g_array_new(FALSE, FALSE, sizeof(struct ra_exit_var));
    if (!map_buffer(h, error)) {
        x86_free(h);
        return NULL;
    }
    find_features(h);
    h->a = (struct x86_asm){h->rw, h->rw + h->size};
    x86_emit_stubs(h);
    h->used = h->stubs_end = h->a.p - h->rw;
    return h;
}

static void x86_attach(void *opaque, struct cpu *cpu)
{
    struct x86 *h = opaque;
    cpu->host_code = h->rx;
}

static void x86_clear(void *opaque)
{
    struct x86 *h = opaque;
    h->used = h->stubs_end;
    g_array_set_size(h->points, 0);
}

// A trace of several pages is good only while they are mapped as they were.
static void emit_tag_check(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    bool depends = h->unit->trace && h->unit->nr_spans > 1;
    h->moved = NULL;
    if (!depends)
        return;
    emit_group1_m(a, 0, G1_CMP, CPU_MEM(jump_tag), INT32_MAX); // wide enough to be patched
    h->unit->tag_site = (uint32_t)(a->p - 4 - h->rw);
    h->moved = emit_jcc(a, CC_NE);
    patch_imm32(h->rw + h->unit->tag_site, JUMP_TAG_VOID);
}

static void emit_heat(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    h->hot = NULL;
    if (h->unit->trace || h->unit->key >> CPU_KEY_BITS != CPU_NORMAL || h->unit->crosses)
        return;
    size_t slot = offsetof(struct cpu, heat) + sizeof(uint32_t) * cpu_heat_index(h->unit->pc);
    emit_group1_m(a, 0, G1_ADD, cpu_mem(slot), CPU_HEAT_STEP);
    h->hot = emit_jcc(a, CC_S);
}

// The unit's head takes its length off the budget, and leaves when that is more than there is.
static void emit_head(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    emit_tag_check(h);
    emit_heat(h);
    emit_group1_m(a, P_W, G1_SUB, CPU_MEM(budget), h->unit->insns);
    h->over_budget = emit_jcc(a, CC_S);
}

static void emit_head_cold(struct x86 *h)
{
    struct x86_asm *a = &h->a;
    if (h->hot) {
        patch_rel32(h->hot, a->p);
        emit_rm(a, O_MOV_I32, 0, CPU_MEM(leave));
        emit32(a, LEAVE_HOT);
        emit_mov_imm(a, RAX, h->unit->pc);
        emit_jmp_to(a, h->stubs.leave_pc);
    }
    patch_rel32(h->over_budget, a->p);
    emit_group1_m(a, P_W, G1_ADD, CPU_MEM(budget), h->unit->insns);
    if (h->moved)
        patch_rel32(h->moved, a->p);
    if (h->unit->key >> CPU_KEY_BITS == CPU_NOSHARE) {
        // Or the unit that shares would lead here again.
        emit_rm(a, O_MOV_I32, 0, CPU_MEM(next_mode));
        emit32(a, CPU_NOSHARE);
    }
    emit_mov_imm(a, RAX, h->unit->pc);
    emit_jmp_to(a, h->stubs.leave_pc);
}

static enum host_compile x86_compile(void *opaque, struct ir *ir, struct unit *unit)
{
    struct x86 *h = opaque;
    if (h->size - h->used < UNIT_SIZE_MAX)
        return COMPILE_FULL;
    if (!lower(h, ir))
        return COMPILE_TOO_BIG;
    h->ir = ir;
    h->unit = unit;
    h->guest_insn = 0;
    h->loop_head = NULL;
    g_array_set_size(h->cold, 0);
    g_array_set_size(h->maps, 0);
    unit->code = align_up(h->used, 16);
    h->a.p = h->rw + unit->code;
    emit_head(h);
    if (!ra_run(&h->ra, &x86_ra_host, h, ir))
        return COMPILE_TOO_BIG;
    emit_head_cold(h);
    x86_emit_cold(h);
    assert((size_t)(h->a.p - h->rw) - unit->code <= UNIT_SIZE_MAX);
    h->used = h->a.p - h->rw;
    return COMPILE_OK;
}

static void x86_enter(void *opaque, struct cpu *cpu, const struct unit *unit)
{
    struct x86 *h = opaque;
    cpu->fp_control = 0x1f80 | x86_host_rc(cpu->key_rm) << 13;
    void (*enter)(struct cpu *, const uint8_t *);
    const uint8_t *code = h->rx + (h->stubs.enter - h->rw);
    memcpy(&enter, &code, sizeof(enter));
    enter(cpu, h->rx + unit->code);
    // All but the denormal flag, which no guest of ours has by that rule.
    cpu->fp.flags |= cpu->host_scratch[SCRATCH_MXCSR] & 0x3d;
}

// The jump of a tagged link comes right behind a comparison with the tag and a jump of six bytes.
#define TAG_BEFORE_SITE (1 + 6 + 4)

static void x86_link(void *opaque, struct unit_link *link, const struct unit *to, uint32_t jump_tag)
{
    struct x86 *h = opaque;
    if (link->tagged)
        patch_imm32(h->rw + link->site - TAG_BEFORE_SITE, jump_tag);
    patch_rel32(h->rw + link->site, h->rw + to->code);
}

static void x86_validate(void *opaque, struct unit *unit, uint32_t jump_tag)
{
    struct x86 *h = opaque;
    patch_imm32(h->rw + unit->tag_site, jump_tag);
}

static void x86_unlink(void *opaque, struct unit_link *link)
{
    struct x86 *h = opaque;
    uint8_t *site = h->rw + link->site;
    patch_rel32(site, site + 4);
}

const struct host host_x86_64 = {
    .name = "dbt",
    .init = x86_init,
    .free = x86_free,
    .attach = x86_attach,
    .compile = x86_compile,
    .enter = x86_enter,
    .link = x86_link,
    .unlink = x86_unlink,
    .validate = x86_validate,
    .clear = x86_clear,
    .forked = x86_forked,
    .print = x86_print,
};
