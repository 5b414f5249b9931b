// SPDX-License-Identifier: MIT
// See riscv_reference.h. A function ref_<line> is the reference of the line of insns.def of that name; the
// linker says which lines have none.
#include "tests/unit/riscv_reference.h"

#include <math.h>

typedef unsigned __int128 u128;
typedef __int128 s128;

#define INSN(name, ...) void ref_##name(struct ref *r) __attribute__((weak));
#define INSN16          INSN
#define SHORT16         INSN
#include "cpu/riscv/insns.def"

typedef void ref_function(struct ref *r);

static ref_function *function_of(unsigned id)
{
    static ref_function *const functions[RV_NR_OPS] = {
#define INSN(name, ...) [RV_OP_##name] = ref_##name,
#define INSN16          INSN
#define SHORT16         INSN
#include "cpu/riscv/insns.def"
    };
    return functions[id] ? functions[id] : functions[riscv_opcodes[id].base];
}

bool ref_exists(unsigned id)
{
    return function_of(id) != NULL;
}

void ref_step(struct ref *r)
{
    struct ref before = *r;
    uint64_t pc = r->pc;
    r->trapped = r->halted = false;
    r->pc += r->len;
    function_of(r->in.id)(r);
    if (r->xlen == 32)
        r->pc = (uint32_t)r->pc;
    if (r->trapped) {
        memcpy(r->x, before.x, sizeof(r->x));
        memcpy(r->f, before.f, sizeof(r->f));
        r->flags = before.flags;
        r->pc = pc;
    }
}

// ---- Registers, traps and memory ----

static uint64_t cut(const struct ref *r, uint64_t v)
{
    return r->xlen == 32 ? (uint32_t)v : v;
}

static int64_t as_signed(const struct ref *r, uint64_t v)
{
    return r->xlen == 32 ? (int32_t)v : (int64_t)v;
}

static void set_reg(struct ref *r, unsigned n, uint64_t v)
{
    if (n != 0)
        r->x[n] = cut(r, v);
}

static void set_rd(struct ref *r, uint64_t v)
{
    set_reg(r, r->in.rd, v);
}

static void trap(struct ref *r, uint64_t cause, uint64_t tval)
{
    if (r->trapped)
        return;
    r->trapped = true;
    r->cause = cause;
    r->tval = cut(r, tval);
}

static void illegal(struct ref *r)
{
    trap(r, 2, r->in.bits);
}

// The host's place of [addr, addr + size), or a trap. The cause before `cause` is the one of
// misaligned accesses of that kind.
static uint8_t *memory(struct ref *r, uint64_t addr, unsigned size, uint64_t cause)
{
    addr = cut(r, addr);
    if (r->aligned && addr & (size - 1))
        trap(r, cause - 1, addr);
    else if (addr >= r->window_base && addr + size <= r->window_base + REF_WINDOW)
        return r->window + (addr - r->window_base);
    trap(r, cause, addr);
    return NULL;
}

static uint64_t load(struct ref *r, uint64_t addr, unsigned size)
{
    uint64_t v = 0;
    const uint8_t *p = memory(r, addr, size, 5);
    for (unsigned i = 0; p && i < size; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void store(struct ref *r, uint64_t addr, unsigned size, uint64_t v)
{
    uint8_t *p = memory(r, addr, size, 7);
    for (unsigned i = 0; p && i < size; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

// ---- Integer operations ----

// a, b: rs1 and rs2; sa, sb: signed; imm.
#define VALUES                                                                 \
    const uint64_t a = r->x[r->in.rs1], b = r->x[r->in.rs2];                   \
    const int64_t sa = as_signed(r, a), sb = as_signed(r, b), imm = r->in.imm; \
    const uint64_t addr = cut(r, a + (uint64_t)imm);                           \
    (void)a, (void)b, (void)sa, (void)sb, (void)imm, (void)addr;
#define DO(name, statement)        \
    void ref_##name(struct ref *r) \
    {                              \
        VALUES                     \
        statement;                 \
    }
#define X(name, value) DO(name, set_rd(r, (uint64_t)(value)))
// 32-bit result, sign-extended.
#define W(name, value) X(name, (int64_t)(int32_t)(value))
#define COUNT(v)       ((unsigned)(v) & (r->xlen - 1))
#define UIMM           cut(r, (uint64_t)imm)

X(addi, a + (uint64_t)imm)
X(slti, sa < imm)
X(sltiu, a < UIMM)
X(xori, a ^ (uint64_t)imm)
X(ori, a | (uint64_t)imm)
X(andi, a &(uint64_t)imm)
X(slli, a << imm)
X(srli, a >> imm)
X(srai, sa >> imm)
W(addiw, (uint32_t)a + (uint32_t)imm)
W(slliw, (uint32_t)a << imm)
W(srliw, (uint32_t)a >> imm)
W(sraiw, (int32_t)a >> imm)
X(lui, imm)
X(auipc, r->pc - r->len + (uint64_t)imm)
X(add, a + b)
X(sub, a - b)
X(sll, a << COUNT(b))
X(slt, sa < sb)
X(sltu, a < b)
X(xor, a ^ b)
X(srl, a >> COUNT(b))
X(sra, sa >> COUNT(b))
X(or, a | b)
X(and, a &b)
W(addw, (uint32_t)a + (uint32_t)b)
W(subw, (uint32_t)a - (uint32_t)b)
W(sllw, (uint32_t)a << (b & 31))
W(srlw, (uint32_t)a >> (b & 31))
W(sraw, (int32_t)a >> (b & 31))
DO(fence, )
DO(fence_tso, )
DO(fence_i, )
DO(pause, )
DO(prefetch_i, )
DO(prefetch_r, )
DO(prefetch_w, )
DO(ntl_p1, )
DO(ntl_pall, )
DO(ntl_s1, )
DO(ntl_all, )
DO(c_mop, )
X(mop_r, 0)
X(mop_rr, 0)
X(czero_eqz, b == 0 ? 0 : a)
X(czero_nez, b != 0 ? 0 : a)

// ---- M ----

static int64_t divide(int64_t a, int64_t b, int64_t min)
{
    if (b == 0)
        return -1;
    return a == min && b == -1 ? min : a / b;
}

static int64_t modulo(int64_t a, int64_t b, int64_t min)
{
    if (b == 0)
        return a;
    return a == min && b == -1 ? 0 : a % b;
}

#define MIN_X (r->xlen == 32 ? (int64_t)INT32_MIN : INT64_MIN)

X(mul, a *b)
X(mulh, (u128)((s128)sa *(s128)sb) >> r->xlen)
X(mulhsu, (u128)((s128)sa *(s128)b) >> r->xlen)
X(mulhu, (u128)a *(u128)b >> r->xlen)
X(div, divide(sa, sb, MIN_X))
X(divu, b == 0 ? UINT64_MAX : a / b)
X(rem, modulo(sa, sb, MIN_X))
X(remu, b == 0 ? a : a % b)
W(mulw, (uint32_t)a *(uint32_t)b)
W(divw, divide((int32_t)a, (int32_t)b, INT32_MIN))
W(divuw, (uint32_t)b == 0 ? UINT32_MAX : (uint32_t)a / (uint32_t)b)
W(remw, modulo((int32_t)a, (int32_t)b, INT32_MIN))
W(remuw, (uint32_t)b == 0 ? (uint32_t)a : (uint32_t)a % (uint32_t)b)

// ---- Jumps ----

static void jump(struct ref *r, uint64_t target, bool link)
{
    uint64_t next = r->pc;
    target = cut(r, target);
    if (target & 2 && !r->halfwords) {
        trap(r, 0, target);
        return;
    }
    if (link)
        set_rd(r, next);
    r->pc = target;
}

#define BRANCH(name, condition) \
    DO(name, if (condition) jump(r, r->pc - r->len + (uint64_t)imm, false))

DO(jal, jump(r, r->pc - r->len + (uint64_t)imm, true))
DO(jalr, jump(r, addr & ~UINT64_C(1), true))
BRANCH(beq, a == b)
BRANCH(bne, a != b)
BRANCH(blt, sa < sb)
BRANCH(bge, sa >= sb)
BRANCH(bltu, a < b)
BRANCH(bgeu, a >= b)

// ---- Loads and stores ----

#define LOAD(name, type)                               \
    DO(name, uint64_t v = load(r, addr, sizeof(type)); \
       if (!r->trapped) set_rd(r, (uint64_t)(type)v))
#define STORE(name, size) DO(name, store(r, addr, size, b))

LOAD(lb, int8_t)
LOAD(lh, int16_t)
LOAD(lw, int32_t)
LOAD(ld, int64_t)
LOAD(lbu, uint8_t)
LOAD(lhu, uint16_t)
LOAD(lwu, uint32_t)
STORE(sb, 1)
STORE(sh, 2)
STORE(sw, 4)
STORE(sd, 8)

// ---- Atomics ----

// Old memory at rs1 as its signed type, or a trap; AMOs of nothing but aligned operands.
#define AMO_OLD(type, op)                                           \
    if (a & (sizeof(type) - 1))                                     \
        trap(r, 6, a);                                              \
    if (r->trapped || !memory(r, a, sizeof(type), 7))               \
        return;                                                     \
    const type old = (type)load(r, a, sizeof(type)), new = (type)b; \
    (void)new;                                                      \
    store(r, a, sizeof(type), (uint64_t)(op));                      \
    set_rd(r, (uint64_t)old)
#define AMO(name, type, op) DO(name, AMO_OLD(type, op))
#define AMOS(suffix, type, utype)                                     \
    AMO(amoswap_##suffix, type, new)                                  \
    AMO(amoadd_##suffix, type, (utype)old + (utype) new)              \
    AMO(amoxor_##suffix, type, old ^ new)                             \
    AMO(amoand_##suffix, type, old &new)                              \
    AMO(amoor_##suffix, type, old | new)                              \
    AMO(amomin_##suffix, type, old < new ? old : new)                 \
    AMO(amomax_##suffix, type, old > new ? old : new)                 \
    AMO(amominu_##suffix, type, (utype)old < (utype) new ? old : new) \
    AMO(amomaxu_##suffix, type, (utype)old > (utype) new ? old : new)
#define CAS(name, type) AMO(name, type, old == (type)r->x[r->in.rd] ? new : old)

AMOS(b, int8_t, uint8_t)
AMOS(h, int16_t, uint16_t)
AMOS(w, int32_t, uint32_t)
AMOS(d, int64_t, uint64_t)
CAS(amocas_b, int8_t)
CAS(amocas_h, int16_t)
CAS(amocas_w, int32_t)
CAS(amocas_d_rv64, int64_t)

static uint64_t pair(const struct ref *r, unsigned n, unsigned half)
{
    return n == 0 ? 0 : r->x[n + half];
}

// Compare and swap of two words of `size` bytes.
static void cas_pair(struct ref *r, unsigned size)
{
    const uint64_t a = r->x[r->in.rs1];
    uint64_t old[2];
    if (a & (2 * size - 1))
        trap(r, 6, a);
    if (r->trapped || !memory(r, a, 2 * size, 7))
        return;
    bool equal = true;
    for (unsigned i = 0; i < 2; i++) {
        old[i] = load(r, a + i * size, size);
        equal = equal && old[i] == pair(r, r->in.rd, i);
    }
    for (unsigned i = 0; i < 2 && equal; i++)
        store(r, a + i * size, size, pair(r, r->in.rs2, i));
    for (unsigned i = 0; i < 2 && r->in.rd; i++)
        set_reg(r, r->in.rd + i, old[i]);
}

DO(amocas_d_rv32, cas_pair(r, 4))
DO(amocas_q, cas_pair(r, 8))

#define LR(name, type)                                                                          \
    DO(                                                                                         \
        name, if (a & (sizeof(type) - 1)) trap(r, 4, a); uint64_t v = load(r, a, sizeof(type)); \
        if (!r->trapped) {                                                                      \
            r->reserved = sizeof(type);                                                         \
            r->reservation = a;                                                                 \
            set_rd(r, (uint64_t)(type)v);                                                       \
        })
#define SC(name, type)                                                             \
    DO(                                                                            \
        name, if (a & (sizeof(type) - 1)) trap(r, 6, a);                           \
        bool holds = r->reserved >= sizeof(type) && r->reservation == a;           \
        if (!holds && !r->trapped) memory(r, a, sizeof(type), 7);                  \
        if (holds && !r->trapped) store(r, a, sizeof(type), b); if (!r->trapped) { \
            set_rd(r, !holds);                                                     \
            r->reserved = 0;                                                       \
        })

LR(lr_w, int32_t)
LR(lr_d, int64_t)
SC(sc_w, int32_t)
SC(sc_d, int64_t)

// ---- System ----

DO(ecall, trap(r, 8 + r->priv, 0))
DO(ebreak, trap(r, 3, r->pc - r->len))
DO(wfi, if (r->priv == PRIV_U) illegal(r); else r->halted = true)
DO(wrs_nto, )
DO(wrs_sto, )
DO(mret, if (r->priv != PRIV_M) illegal(r); else r->pc = r->mepc)
DO(sret, if (r->priv == PRIV_U) illegal(r); else r->pc = r->sepc)
DO(sfence_vma, if (r->priv == PRIV_U) illegal(r))
DO(sinval_vma, if (r->priv == PRIV_U) illegal(r))
DO(sfence_w_inval, if (r->priv == PRIV_U) illegal(r))
DO(sfence_inval_ir, if (r->priv == PRIV_U) illegal(r))

// menvcfg and senvcfg are zero.
static void manage_block(struct ref *r, bool zero)
{
    uint64_t a = r->x[r->in.rs1], block = a & ~UINT64_C(63);
    if (r->priv != PRIV_M) {
        illegal(r);
        return;
    }
    if (!memory(r, block, 64, 7)) {
        r->tval = a;
        return;
    }
    for (unsigned i = 0; zero && i < 64; i++)
        store(r, block + i, 1, 0);
}

DO(cbo_inval, manage_block(r, false))
DO(cbo_clean, manage_block(r, false))
DO(cbo_flush, manage_block(r, false))
DO(cbo_zero, manage_block(r, true))

// Flags as the fflags register has them, and back.
static uint64_t to_fflags(uint8_t flags)
{
    return (flags & FP_INEXACT ? 1u : 0) | (flags & FP_UNDERFLOW ? 2u : 0) |
           (flags & FP_OVERFLOW ? 4u : 0) | (flags & FP_DIVZERO ? 8u : 0) |
           (flags & FP_INVALID ? 16u : 0);
}

static uint8_t from_fflags(uint64_t v)
{
    return (v & 1 ? FP_INEXACT : 0) | (v & 2 ? FP_UNDERFLOW : 0) | (v & 4 ? FP_OVERFLOW : 0) |
           (v & 8 ? FP_DIVZERO : 0) | (v & 16 ? FP_INVALID : 0);
}

// The registers that the tests use: fflags, frm, fcsr, mscratch, mhartid. False: none of them.
static bool read_csr(const struct ref *r, unsigned csr, uint64_t *v)
{
    switch (csr) {
    case 0x001:
        *v = to_fflags(r->flags);
        return r->fs != FS_OFF;
    case 0x002:
        *v = r->frm;
        return r->fs != FS_OFF;
    case 0x003:
        *v = to_fflags(r->flags) | (uint64_t)r->frm << 5;
        return r->fs != FS_OFF;
    case 0x340:
        *v = r->mscratch;
        return r->priv == PRIV_M;
    case 0xf14:
        *v = 0;
        return r->priv == PRIV_M;
    default:
        return false;
    }
}

static void write_csr(struct ref *r, unsigned csr, uint64_t v)
{
    if (csr == 0x340)
        r->mscratch = v;
    if (csr == 1 || csr == 3)
        r->flags = from_fflags(v);
    if (csr == 2 || csr == 3)
        r->frm = (csr == 2 ? v : v >> 5) & 7;
    if (csr <= 3)
        r->fs = FS_DIRTY;
}

static void do_csr(struct ref *r, bool writes, uint64_t keep, uint64_t set)
{
    unsigned csr = (unsigned)r->in.imm;
    uint64_t old;
    if (!read_csr(r, csr, &old) || (writes && csr >> 10 == 3)) {
        illegal(r);
        return;
    }
    if (writes)
        write_csr(r, csr, cut(r, (old & keep) | set));
    set_rd(r, old);
}

#define ZIMM ((uint64_t)r->in.rs1)
DO(csrrw, do_csr(r, true, 0, a))
DO(csrrs, do_csr(r, r->in.rs1 != 0, UINT64_MAX, a))
DO(csrrc, do_csr(r, r->in.rs1 != 0, ~a, 0))
DO(csrrwi, do_csr(r, true, 0, ZIMM))
DO(csrrsi, do_csr(r, ZIMM != 0, UINT64_MAX, ZIMM))
DO(csrrci, do_csr(r, ZIMM != 0, ~ZIMM, 0))

// ---- Bit manipulation ----

static unsigned leading(uint64_t v, unsigned width)
{
    unsigned n = 0;
    while (n < width && !(v >> (width - 1 - n) & 1))
        n++;
    return n;
}

static unsigned trailing(uint64_t v, unsigned width)
{
    unsigned n = 0;
    while (n < width && !(v >> n & 1))
        n++;
    return n;
}

static unsigned population(uint64_t v)
{
    unsigned n = 0;
    for (; v; v &= v - 1)
        n++;
    return n;
}

static uint64_t rotate_left(uint64_t v, unsigned n, unsigned width)
{
    return n == 0 ? v : v << n | v >> (width - n);
}

static u128 carryless(uint64_t a, uint64_t b)
{
    u128 product = 0;
    for (unsigned i = 0; i < 64; i++)
        if (b >> i & 1)
            product ^= (u128)a << i;
    return product;
}

static uint64_t reverse_bytes(uint64_t v, unsigned width)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < width; i += 8)
        result |= (v >> i & 255) << (width - 8 - i);
    return result;
}

static uint64_t reverse_bits_in_bytes(uint64_t v)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 64; i++)
        result |= (v >> i & 1) << ((i & ~7u) + 7 - (i & 7));
    return result;
}

static uint64_t or_bytes(uint64_t v)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 64; i += 8)
        result |= (v >> i & 255) ? UINT64_C(255) << i : 0;
    return result;
}

static uint64_t permute(uint64_t a, uint64_t b, unsigned size, unsigned width)
{
    uint64_t result = 0, mask = (UINT64_C(1) << size) - 1;
    for (unsigned i = 0; i < width / size; i++) {
        uint64_t n = b >> i * size & mask;
        if (n < width / size)
            result |= (a >> n * size & mask) << i * size;
    }
    return result;
}

static uint64_t interleave(uint64_t v)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 32; i++)
        if (v >> i & 1)
            result |= UINT64_C(1) << (i < 16 ? 2 * i : 2 * (i - 16) + 1);
    return result;
}

static uint64_t deinterleave(uint64_t v)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 32; i++)
        if (v >> i & 1)
            result |= UINT64_C(1) << (i & 1 ? i / 2 + 16 : i / 2);
    return result;
}

#define ONE      UINT64_C(1)
#define LOW32(v) ((uint64_t)(uint32_t)(v))
X(sh1add, (a << 1) + b)
X(sh2add, (a << 2) + b)
X(sh3add, (a << 3) + b)
X(add_uw, LOW32(a) + b)
X(sh1add_uw, (LOW32(a) << 1) + b)
X(sh2add_uw, (LOW32(a) << 2) + b)
X(sh3add_uw, (LOW32(a) << 3) + b)
X(slli_uw, LOW32(a) << imm)
X(andn, a & ~b)
X(orn, a | ~b)
X(xnor, ~(a ^ b))
X(clz, leading(a, r->xlen))
X(ctz, trailing(a, r->xlen))
X(cpop, population(a))
X(clzw, leading(LOW32(a), 32))
X(ctzw, trailing(LOW32(a), 32))
X(cpopw, population(LOW32(a)))
X(max, sa > sb ? a : b)
X(maxu, a > b ? a : b)
X(min, sa < sb ? a : b)
X(minu, a < b ? a : b)
X(sext_b, (int8_t)a)
X(sext_h, (int16_t)a)
X(zext_h_rv32, (uint16_t)a)
X(zext_h_rv64, (uint16_t)a)
X(rol, rotate_left(a, COUNT(b), r->xlen))
X(ror, rotate_left(a, COUNT(-b), r->xlen))
X(rori, rotate_left(a, COUNT(-(uint64_t)imm), r->xlen))
W(rolw, rotate_left(LOW32(a), b & 31, 32))
W(rorw, rotate_left(LOW32(a), -b & 31, 32))
W(roriw, rotate_left(LOW32(a), -(unsigned)imm & 31, 32))
X(orc_b, or_bytes(a))
X(rev8_rv32, reverse_bytes(a, 32))
X(rev8_rv64, reverse_bytes(a, 64))
X(clmul, carryless(a, b))
X(clmulr, carryless(a, b) >> (r->xlen - 1))
X(clmulh, carryless(a, b) >> r->xlen)
X(bclr, a & ~(ONE << COUNT(b)))
X(bext, a >> COUNT(b) & 1)
X(binv, a ^ ONE << COUNT(b))
X(bset, a | ONE << COUNT(b))
X(bclri, a & ~(ONE << imm))
X(bexti, a >> imm & 1)
X(binvi, a ^ ONE << imm)
X(bseti, a | ONE << imm)
X(pack, r->xlen == 32 ? (uint64_t)(uint16_t)a | b << 16 : LOW32(a) | b << 32)
X(packh, (uint64_t)(uint8_t)a | (uint64_t)(uint8_t)b << 8)
W(packw, (uint32_t)(uint16_t)a | (uint32_t)b << 16)
X(brev8, reverse_bits_in_bytes(a))
X(zip, interleave(a))
X(unzip, deinterleave(a))
X(xperm4, permute(a, b, 4, r->xlen))
X(xperm8, permute(a, b, 8, r->xlen))

// Zknh's, as FIPS 180-4 has them on whole words, and as the manual has them on the halves of RV32: there, a is the
// half of a word that the result is a half of.
#define R32(n) (LOW32(a) >> (n) | a << (32 - (n)))
#define R64(n) (a >> (n) | a << (64 - (n)))
W(sha256sum0, R32(2) ^ R32(13) ^ R32(22))
W(sha256sum1, R32(6) ^ R32(11) ^ R32(25))
W(sha256sig0, R32(7) ^ R32(18) ^ LOW32(a) >> 3)
W(sha256sig1, R32(17) ^ R32(19) ^ LOW32(a) >> 10)
X(sha512sum0, R64(28) ^ R64(34) ^ R64(39))
X(sha512sum1, R64(14) ^ R64(18) ^ R64(41))
X(sha512sig0, R64(1) ^ R64(8) ^ a >> 7)
X(sha512sig1, R64(19) ^ R64(61) ^ a >> 6)
X(sha512sum0r, a << 25 ^ a << 30 ^ a >> 28 ^ b >> 7 ^ b >> 2 ^ b << 4)
X(sha512sum1r, a << 23 ^ a >> 14 ^ a >> 18 ^ b >> 9 ^ b << 18 ^ b << 14)
X(sha512sig0l, a >> 1 ^ a >> 7 ^ a >> 8 ^ b << 31 ^ b << 25 ^ b << 24)
X(sha512sig0h, a >> 1 ^ a >> 7 ^ a >> 8 ^ b << 31 ^ b << 24)
X(sha512sig1l, a << 3 ^ a >> 6 ^ a >> 19 ^ b >> 29 ^ b << 26 ^ b << 13)
X(sha512sig1h, a << 3 ^ a >> 6 ^ a >> 19 ^ b >> 29 ^ b << 13)

// Zcb's have no 32-bit form of the same operands to rely on.
X(c_zext_b, a & 255)
X(c_sext_b, (int8_t)a)
X(c_zext_h, a & 65535)
X(c_sext_h, (int16_t)a)
X(c_zext_w, LOW32(a))
X(c_not, ~a)
X(c_mul, a *b)

// ---- Zcmp ----

static const uint8_t list_regs[13] = {1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27};

static unsigned list_len(const struct ref *r)
{
    unsigned list = r->in.bits >> 4 & 15;
    return list == 15 ? 13 : list - 3;
}

static uint64_t stack_adjustment(const struct ref *r)
{
    unsigned bytes = list_len(r) * r->xlen / 8;
    return (bytes + 15) / 16 * 16 + (r->in.bits >> 2 & 3) * 16;
}

DO(
    cm_push, uint64_t sp = r->x[2]; for (unsigned i = list_len(r); i-- > 0 && !r->trapped;) {
        sp -= r->xlen / 8;
        store(r, sp, r->xlen / 8, r->x[list_regs[i]]);
    } set_reg(r, 2, r->x[2] - stack_adjustment(r)))

static void pop(struct ref *r)
{
    uint64_t sp = r->x[2] + stack_adjustment(r), end = sp;
    for (unsigned i = list_len(r); i-- > 0 && !r->trapped;) {
        sp -= r->xlen / 8;
        set_reg(r, list_regs[i], load(r, sp, r->xlen / 8));
    }
    set_reg(r, 2, end);
}

DO(cm_pop, pop(r))
DO(cm_popret, pop(r); r->pc = r->x[1] & ~ONE)
DO(cm_popretz, pop(r); set_reg(r, 10, 0); r->pc = r->x[1] & ~ONE)

static unsigned s_register(unsigned n)
{
    return n < 2 ? 8 + n : 16 + n;
}

DO(cm_mvsa01, r->x[s_register(r->in.bits >> 7 & 7)] = r->x[10];
   r->x[s_register(r->in.bits >> 2 & 7)] = r->x[11])
DO(cm_mva01s, uint64_t s1 = r->x[s_register(r->in.bits >> 7 & 7)];
   uint64_t s2 = r->x[s_register(r->in.bits >> 2 & 7)]; r->x[10] = s1; r->x[11] = s2)

// ---- Floating point ----

// Whether it may go on: FS is not off and the rounding mode, if it matters, is valid.
static bool fp_begin(struct ref *r, bool rounds, struct fp_env *e)
{
    unsigned rm = r->in.rm == 7 ? r->frm : r->in.rm;
    e->rm = (uint8_t)rm;
    e->flags = r->flags;
    if (r->fs != FS_OFF && (!rounds || rm <= 4))
        return true;
    illegal(r);
    return false;
}

static void fp_end(struct ref *r, const struct fp_env *e)
{
    if (r->trapped)
        return;
    r->flags = e->flags;
    r->fs = FS_DIRTY;
}

static uint16_t get_h(const struct ref *r, unsigned n)
{
    return r->f[n] >> 16 == UINT64_C(0xffffffffffff) ? (uint16_t)r->f[n] : F16_NAN;
}

static uint32_t get_s(const struct ref *r, unsigned n)
{
    return r->f[n] >> 32 == UINT64_C(0xffffffff) ? (uint32_t)r->f[n] : F32_NAN;
}

static uint64_t get_d(const struct ref *r, unsigned n)
{
    return r->f[n];
}

static void put_h(struct ref *r, uint16_t v)
{
    r->f[r->in.rd] = v | UINT64_C(0xffffffffffff0000);
}

static void put_s(struct ref *r, uint32_t v)
{
    r->f[r->in.rd] = v | UINT64_C(0xffffffff00000000);
}

static void put_d(struct ref *r, uint64_t v)
{
    r->f[r->in.rd] = v;
}

// Sets what FS dirty stands for.
#define FP(name, rounds, statement)         \
    void ref_##name(struct ref *r)          \
    {                                       \
        struct fp_env env, *const e = &env; \
        if (!fp_begin(r, rounds, e))        \
            return;                         \
        VALUES                              \
        statement;                          \
        fp_end(r, e);                       \
    }
// Only reads floating-point state.
#define FP_READ(name, statement) \
    DO(                          \
        name, if (r->fs == FS_OFF) illegal(r); else { statement; })

#define ROUNDED true
#define EXACT   false
#define F1(z)   get_##z(r, r->in.rs1)
#define F2(z)   get_##z(r, r->in.rs2)
#define F3(z)   get_##z(r, r->in.rs3)

#define FORMAT(z, T, SIGN, f)                                                          \
    FP(fadd_##z, ROUNDED, put_##z(r, f##_add(F1(z), F2(z), e)))                        \
    FP(fsub_##z, ROUNDED, put_##z(r, f##_sub(F1(z), F2(z), e)))                        \
    FP(fmul_##z, ROUNDED, put_##z(r, f##_mul(F1(z), F2(z), e)))                        \
    FP(fdiv_##z, ROUNDED, put_##z(r, f##_div(F1(z), F2(z), e)))                        \
    FP(fsqrt_##z, ROUNDED, put_##z(r, f##_sqrt(F1(z), e)))                             \
    FP(fmadd_##z, ROUNDED, put_##z(r, f##_fma(F1(z), F2(z), F3(z), e)))                \
    FP(fmsub_##z, ROUNDED, put_##z(r, f##_fma(F1(z), F2(z), F3(z) ^ SIGN, e)))         \
    FP(fnmsub_##z, ROUNDED, put_##z(r, f##_fma(F1(z) ^ SIGN, F2(z), F3(z), e)))        \
    FP(fnmadd_##z, ROUNDED, put_##z(r, f##_fma(F1(z) ^ SIGN, F2(z), F3(z) ^ SIGN, e))) \
    FP(fsgnj_##z, EXACT, put_##z(r, (F1(z) & (T)~SIGN) | (F2(z) & SIGN)))              \
    FP(fsgnjn_##z, EXACT, put_##z(r, (F1(z) & (T)~SIGN) | (~F2(z) & SIGN)))            \
    FP(fsgnjx_##z, EXACT, put_##z(r, F1(z) ^ (F2(z) & SIGN)))                          \
    FP(fmin_##z, EXACT, put_##z(r, f##_min(F1(z), F2(z), e)))                          \
    FP(fmax_##z, EXACT, put_##z(r, f##_max(F1(z), F2(z), e)))                          \
    FP(fminm_##z, EXACT, put_##z(r, f##_minm(F1(z), F2(z), e)))                        \
    FP(fmaxm_##z, EXACT, put_##z(r, f##_maxm(F1(z), F2(z), e)))                        \
    FP(fle_##z, EXACT, set_rd(r, f##_le(F1(z), F2(z), e)))                             \
    FP(flt_##z, EXACT, set_rd(r, f##_lt(F1(z), F2(z), e)))                             \
    FP(feq_##z, EXACT, set_rd(r, f##_eq(F1(z), F2(z), e)))                             \
    FP(fleq_##z, EXACT, set_rd(r, f##_leq_q(F1(z), F2(z), e)))                         \
    FP(fltq_##z, EXACT, set_rd(r, f##_ltq(F1(z), F2(z), e)))                           \
    FP_READ(fclass_##z, set_rd(r, f##_classify(F1(z))))                                \
    FP(fcvt_w_##z, ROUNDED, set_rd(r, (uint64_t)f##_to_i32(F1(z), e)))                 \
    FP(fcvt_wu_##z, ROUNDED, set_rd(r, (uint64_t)(int32_t)f##_to_u32(F1(z), e)))       \
    FP(fcvt_l_##z, ROUNDED, set_rd(r, (uint64_t)f##_to_i64(F1(z), e)))                 \
    FP(fcvt_lu_##z, ROUNDED, set_rd(r, f##_to_u64(F1(z), e)))                          \
    FP(fcvt_##z##_w, ROUNDED, put_##z(r, i32_to_##f((int32_t)a, e)))                   \
    FP(fcvt_##z##_wu, ROUNDED, put_##z(r, u32_to_##f((uint32_t)a, e)))                 \
    FP(fcvt_##z##_l, ROUNDED, put_##z(r, i64_to_##f((int64_t)a, e)))                   \
    FP(fcvt_##z##_lu, ROUNDED, put_##z(r, u64_to_##f(a, e)))                           \
    FP(fround_##z, ROUNDED, put_##z(r, f##_round_to_int(F1(z), false, e)))             \
    FP(froundnx_##z, ROUNDED, put_##z(r, f##_round_to_int(F1(z), true, e)))            \
    FP(fli_##z, EXACT, put_##z(r, immediate_##z(r->in.rs1)))

static double fli_value(unsigned n)
{
    static const double values[] = {
        -1,    NAN,    0x1p-16, 0x1p-15, 0x1p-8, 0x1p-7, 0.0625, 0.125, 0.25,  0.3125,
        0.375, 0.4375, 0.5,     0.625,   0.75,   0.875,  1,      1.25,  1.5,   1.75,
        2,     2.5,    3,       4,       8,      16,     128,    256,   32768, 65536,
    };
    return n < ARRAY_LEN(values) ? values[n] : INFINITY;
}

static uint64_t immediate_d(unsigned n)
{
    double v = n == 1 ? 0x1p-1022 : fli_value(n);
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return n == 31 ? F64_NAN : bits;
}

static uint32_t immediate_s(unsigned n)
{
    float v = (float)(n == 1 ? 0x1p-126 : fli_value(n));
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return n == 31 ? F32_NAN : bits;
}

static uint16_t immediate_h(unsigned n)
{
    static const uint16_t values[] = {
        0xbc00, 0x0400, 0x0100, 0x0200, 0x1c00, 0x2000, 0x2c00, 0x3000, 0x3400, 0x3500, 0x3600,
        0x3700, 0x3800, 0x3900, 0x3a00, 0x3b00, 0x3c00, 0x3d00, 0x3e00, 0x3f00, 0x4000, 0x4100,
        0x4200, 0x4400, 0x4800, 0x4c00, 0x5800, 0x5c00, 0x7800, 0x7c00, 0x7c00, 0x7e00,
    };
    return values[n];
}

FORMAT(h, uint16_t, UINT16_C(0x8000), f16)
FORMAT(s, uint32_t, UINT32_C(0x80000000), f32)
FORMAT(d, uint64_t, UINT64_C(0x8000000000000000), f64)

FP(fcvt_s_d, ROUNDED, put_s(r, f64_to_f32(F1(d), e)))
FP(fcvt_s_h, ROUNDED, put_s(r, f16_to_f32(F1(h), e)))
FP(fcvt_d_s, ROUNDED, put_d(r, f32_to_f64(F1(s), e)))
FP(fcvt_d_h, ROUNDED, put_d(r, f16_to_f64(F1(h), e)))
FP(fcvt_h_s, ROUNDED, put_h(r, f32_to_f16(F1(s), e)))
FP(fcvt_h_d, ROUNDED, put_h(r, f64_to_f16(F1(d), e)))

// Bits 31..0 of the value cut to an integer; `whole` says whether nothing was cut off.
static uint32_t low_integer(uint64_t bits, bool *whole)
{
    int exponent = (int)(bits >> 52 & 0x7ff) - 1075; // of the significand's lowest bit
    uint64_t significand = (bits & (BIT(52) - 1)) | BIT(52), v = 0;
    *whole = true;
    if (exponent >= 0) {
        v = exponent < 32 ? significand << exponent : 0;
    } else {
        v = exponent > -53 ? significand >> -exponent : 0;
        *whole = exponent > -53 && v << -exponent == significand;
    }
    return (uint32_t)(bits >> 63 ? -v : v);
}

static uint64_t convert_modular(uint64_t bits, struct fp_env *e)
{
    double v;
    bool whole;
    memcpy(&v, &bits, sizeof(v));
    if (isnan(v) || isinf(v)) {
        e->flags |= FP_INVALID;
        return 0;
    }
    if (v == 0)
        return 0;
    uint32_t low = low_integer(bits, &whole);
    if (v <= -2147483649.0 || v >= 2147483648.0)
        e->flags |= FP_INVALID;
    else if (!whole)
        e->flags |= FP_INEXACT;
    return (uint64_t)(int32_t)low;
}

FP(fcvtmod_w_d, EXACT, set_rd(r, convert_modular(F1(d), e)))
FP_READ(fmv_x_w, set_rd(r, (uint64_t)(int32_t)F1(d)))
FP_READ(fmv_x_d, set_rd(r, F1(d)))
FP_READ(fmv_x_h, set_rd(r, (uint64_t)(int16_t)F1(d)))
FP_READ(fmvh_x_d, set_rd(r, F1(d) >> 32))
FP(fmv_w_x, EXACT, put_s(r, (uint32_t)a))
FP(fmv_d_x, EXACT, put_d(r, a))
FP(fmv_h_x, EXACT, put_h(r, (uint16_t)a))
FP(fmvp_d_x, EXACT, put_d(r, a | b << 32))

FP(flh, EXACT, uint64_t v = load(r, addr, 2); if (!r->trapped) put_h(r, (uint16_t)v))
FP(flw, EXACT, uint64_t v = load(r, addr, 4); if (!r->trapped) put_s(r, (uint32_t)v))
FP(fld, EXACT, uint64_t v = load(r, addr, 8); if (!r->trapped) put_d(r, v))
FP_READ(fsh, store(r, addr, 2, F2(d)))
FP_READ(fsw, store(r, addr, 4, F2(d)))
FP_READ(fsd, store(r, addr, 8, F2(d)))
