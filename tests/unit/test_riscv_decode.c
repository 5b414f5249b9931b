// SPDX-License-Identifier: MIT
//
// The table of RISC-V instructions: that no two lines claim one encoding, that operands are taken from where
// the manual puts them, that what is reserved is refused, that the disassembly agrees with GNU objdump, and
// that each line lifts to well-formed IR.
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "cpu/riscv/disas.h"
#include "cpu/riscv/lift.h"

#define ALL_EXTS   (((riscv_exts)1 << RV_NR_EXTS) - 1)
#define WITHOUT(e) (~RV_EXT_BIT(RV_EXT_##e))

static const struct config {
    unsigned xlen;
    riscv_exts ext;
} configs[] = {
    {64, ALL_EXTS &WITHOUT(ZCMP)},
    {32, ALL_EXTS &WITHOUT(ZCMP)},
    {64, ALL_EXTS &WITHOUT(C) & WITHOUT(ZCD)}, // Zcmp stands where Zcd would
    {32, ALL_EXTS &WITHOUT(C) & WITHOUT(ZCD)},
};

// Of xorshift64*: the same on each run.
static uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

// Bits that line id's pattern matches.
static uint32_t random_match(unsigned id, uint64_t *state)
{
    const struct riscv_opcode *op = &riscv_opcodes[id];
    uint32_t width = op->len == 2 ? 0xffff : 0xffffffff;
    return op->match | (next_random(state) & ~op->mask & width);
}

// Whether line a must win over line b where both match: it is the special case.
static bool is_special(unsigned a, unsigned b)
{
    const struct riscv_opcode *x = &riscv_opcodes[a], *y = &riscv_opcodes[b];
    return a < b && (x->mask & y->mask) == y->mask && x->mask != y->mask;
}

// ---- Overlaps ----

static bool overlap(unsigned a, unsigned b)
{
    const struct riscv_opcode *x = &riscv_opcodes[a], *y = &riscv_opcodes[b];
    return x->len == y->len && ((x->match ^ y->match) & x->mask & y->mask) == 0;
}

Test(riscv_decode, long_lines_are_disjoint)
{
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++)
        for (unsigned a = 0; a < RV_NR_OPS; a++)
            for (unsigned b = a + 1; b < RV_NR_OPS; b++)
                if (riscv_opcodes[a].len == 4 && overlap(a, b) &&
                    riscv_opcode_enabled(a, configs[c].ext, configs[c].xlen) &&
                    riscv_opcode_enabled(b, configs[c].ext, configs[c].xlen))
                    cr_expect(is_special(a, b), "%s and %s overlap", riscv_opcodes[a].name,
                              riscv_opcodes[b].name);
}

static void check_short(const struct config *c, const bool *enabled, uint32_t bits)
{
    int found = -1;
    for (unsigned id = 0; id < RV_NR_OPS; id++) {
        const struct riscv_opcode *op = &riscv_opcodes[id];
        struct riscv_insn in;
        if (op->len != 2 || (bits & op->mask) != op->match || !enabled[id] ||
            !riscv_decode_operands(id, bits, c->xlen, &in))
            continue;
        cr_assert(found < 0 || is_special((unsigned)found, id), "%04x is %s and %s", bits,
                  riscv_opcodes[found].name, op->name);
        found = (int)id;
    }
}

Test(riscv_decode, short_lines_are_disjoint)
{
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++) {
        bool enabled[RV_NR_OPS];
        for (unsigned id = 0; id < RV_NR_OPS; id++)
            enabled[id] = riscv_opcode_enabled(id, configs[c].ext, configs[c].xlen);
        for (uint32_t bits = 0; bits < 0x10000; bits++)
            if ((bits & 3) != 3)
                check_short(&configs[c], enabled, bits);
    }
}

Test(riscv_decode, patterns_are_well_formed)
{
    for (unsigned id = 0; id < RV_NR_OPS; id++) {
        const struct riscv_opcode *op = &riscv_opcodes[id];
        cr_expect((op->match & ~op->mask) == 0);
        cr_expect((op->mask & 3) == 3 && (op->len == 4) == ((op->match & 3) == 3), "%s: length",
                  op->name);
        cr_expect(op->len == 4 || op->mask <= 0xffff, "%s: too wide", op->name);
        cr_expect((op->layout >= RV_LAYOUT_NONE) == (op->len == 2), "%s: layout", op->name);
        const struct riscv_opcode *base = &riscv_opcodes[op->base];
        cr_expect(base->base == op->base && base->lift, "%s: base", op->name);
    }
}

// ---- Operands ----

// Where the bits of an instruction come from, from the highest down, in the manual's words: i7:3 are bits of
// imm; d s t u rd, rs1, rs2, rs3; D S T the same of x8..x15; r rm; - a bit of the pattern.
static const char *const encodings[RV_LAYOUT_CM_MV + 1] = {
    [RV_LAYOUT_R] = "",
    [RV_LAYOUT_RM] = "",
    [RV_LAYOUT_PAIR] = "",
    [RV_LAYOUT_I] = "i11:0 s --- d -------",
    [RV_LAYOUT_S] = "i11:5 t s --- i4:0 -------",
    [RV_LAYOUT_B] = "i12 i10:5 t s --- i4:1 i11 -------",
    [RV_LAYOUT_U] = "i31:12 d -------",
    [RV_LAYOUT_J] = "i20 i10:1 i11 i19:12 d -------",
    [RV_LAYOUT_SH] = "------ i5:0 s --- d -------",
    [RV_LAYOUT_CSR] = "i11:0 s --- d -------",
    [RV_LAYOUT_CIW] = "--- i5:4 i9:6 i2 i3 D --",
    [RV_LAYOUT_CL_B] = "------ S i0 i1 D --",
    [RV_LAYOUT_CL_H] = "------ S - i1 D --",
    [RV_LAYOUT_CL_W] = "--- i5:3 S i2 i6 D --",
    [RV_LAYOUT_CL_D] = "--- i5:3 S i7:6 D --",
    [RV_LAYOUT_CS_B] = "------ S i0 i1 T --",
    [RV_LAYOUT_CS_H] = "------ S - i1 T --",
    [RV_LAYOUT_CS_W] = "--- i5:3 S i2 i6 T --",
    [RV_LAYOUT_CS_D] = "--- i5:3 S i7:6 T --",
    [RV_LAYOUT_CI] = "--- i5 d i4:0 --",
    [RV_LAYOUT_CI_RD] = "--- i5 d i4:0 --",
    [RV_LAYOUT_CI_LI] = "--- i5 d i4:0 --",
    [RV_LAYOUT_CI_LUI] = "--- i17 d i16:12 --",
    [RV_LAYOUT_CI_SP] = "--- i9 d i4 i6 i8:7 i5 --",
    [RV_LAYOUT_CI_SH] = "--- i5 d i4:0 --",
    [RV_LAYOUT_CI_WSP] = "--- i5 d i4:2 i7:6 --",
    [RV_LAYOUT_CI_DSP] = "--- i5 d i4:3 i8:6 --",
    [RV_LAYOUT_CI_WSP_RD] = "--- i5 d i4:2 i7:6 --",
    [RV_LAYOUT_CI_DSP_RD] = "--- i5 d i4:3 i8:6 --",
    [RV_LAYOUT_CSS_W] = "--- i5:2 i7:6 t --",
    [RV_LAYOUT_CSS_D] = "--- i5:3 i8:6 t --",
    [RV_LAYOUT_CB] = "--- i8 i4:3 S i7:6 i2:1 i5 --",
    [RV_LAYOUT_CB_I] = "--- i5 -- D i4:0 --",
    [RV_LAYOUT_CB_SH] = "--- i5 -- D i4:0 --",
    [RV_LAYOUT_CA] = "------ D -- T --",
    [RV_LAYOUT_CU] = "------ D ----- --",
    [RV_LAYOUT_CJ] = "--- i11 i4 i9:8 i10 i6 i7 i3:1 i5 --",
    [RV_LAYOUT_CR] = "---- d t --",
    [RV_LAYOUT_CR_MV] = "---- d t --",
    [RV_LAYOUT_CR_J] = "---- s ----- --",
};

// Both registers of layouts with rd = rs1, and fixed ones.
static void expect_implied(const struct riscv_insn *in)
{
    unsigned layout = riscv_opcodes[in->id].layout;
    switch (layout) {
    case RV_LAYOUT_CI:
    case RV_LAYOUT_CI_RD:
    case RV_LAYOUT_CI_SH:
    case RV_LAYOUT_CB_I:
    case RV_LAYOUT_CB_SH:
    case RV_LAYOUT_CA:
    case RV_LAYOUT_CU:
    case RV_LAYOUT_CR:
        cr_expect(in->rd == in->rs1);
        break;
    case RV_LAYOUT_CI_SP:
        cr_expect(in->rd == 2 && in->rs1 == 2);
        break;
    case RV_LAYOUT_CIW:
    case RV_LAYOUT_CI_WSP:
    case RV_LAYOUT_CI_DSP:
    case RV_LAYOUT_CI_WSP_RD:
    case RV_LAYOUT_CI_DSP_RD:
    case RV_LAYOUT_CSS_W:
    case RV_LAYOUT_CSS_D:
        cr_expect(in->rs1 == 2);
        break;
    case RV_LAYOUT_CI_LI:
    case RV_LAYOUT_CR_MV:
        cr_expect(in->rs1 == 0);
        break;
    case RV_LAYOUT_CB:
        cr_expect(in->rs2 == 0);
        break;
    case RV_LAYOUT_CJ:
        cr_expect(in->rd == (in->id == RV_OP_c_jal ? 1 : 0));
        break;
    case RV_LAYOUT_CR_J:
        cr_expect(in->rd == (in->id == RV_OP_c_jalr ? 1 : 0));
        break;
    default:
        break;
    }
}

static unsigned register_field(char c, const struct riscv_insn *in)
{
    switch (c) {
    case 'd':
    case 'D':
        return in->rd;
    case 's':
    case 'S':
        return in->rs1;
    default:
        return in->rs2;
    }
}

// Puts one word of an encoding below bit *at.
static uint32_t encode_word(const char *word, const struct riscv_insn *in, unsigned *at)
{
    char c = word[0];
    if (c == 'i') {
        unsigned hi, lo;
        if (sscanf(word, "i%u:%u", &hi, &lo) < 2)
            lo = hi;
        *at -= hi - lo + 1;
        return (uint32_t)bits_get((uint64_t)(int64_t)in->imm, lo, hi - lo + 1) << *at;
    }
    if (c == '-') {
        unsigned n = (unsigned)strlen(word);
        *at -= n;
        return riscv_opcodes[in->id].match & (((1u << n) - 1) << *at);
    }
    bool compact = c < 'a';
    unsigned reg = register_field(c, in);
    cr_expect(!compact || (reg >= 8 && reg < 16));
    *at -= compact ? 3 : 5;
    return (compact ? reg & 7 : reg) << *at;
}

static uint32_t encode(const struct riscv_insn *in)
{
    const struct riscv_opcode *op = &riscv_opcodes[in->id];
    char **words = g_strsplit(encodings[op->layout], " ", -1);
    unsigned at = op->len * 8;
    uint32_t bits = 0;
    for (char **w = words; *w; w++)
        bits |= encode_word(*w, in, &at);
    g_strfreev(words);
    cr_expect(at == 0, "%s: %u bits missing", op->name, at);
    return bits;
}

static void check_operands(const struct config *c, unsigned id, uint32_t bits)
{
    const char *encoding = encodings[riscv_opcodes[id].layout];
    struct riscv_insn in;
    if (!riscv_decode_operands(id, bits, c->xlen, &in))
        return;
    cr_expect(in.id == id && in.bits == bits);
    expect_implied(&in);
    if (!encoding || !*encoding)
        return;
    uint32_t again = encode(&in);
    cr_expect(again == bits, "%s: %08x becomes %08x", riscv_opcodes[id].name, bits, again);
}

Test(riscv_decode, operands_are_where_the_manual_puts_them)
{
    uint64_t state = 1;
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++)
        for (unsigned id = 0; id < RV_NR_OPS; id++)
            for (unsigned n = 0; n < 300; n++)
                if (riscv_opcode_enabled(id, configs[c].ext, configs[c].xlen))
                    check_operands(&configs[c], id, random_match(id, &state));
}

Test(riscv_decode, registers_of_long_instructions)
{
    struct riscv_insn in;
    cr_assert(riscv_decode_operands(RV_OP_fmadd_d, 0x1a20f843 | 31u << 7, 64, &in));
    cr_expect(in.rd == 31 && in.rs1 == 1 && in.rs2 == 2 && in.rs3 == 3 && in.rm == 7);
    cr_assert(riscv_decode_operands(RV_OP_amocas_q, 0x2820c52f, 64, &in)); // a0, sp, (ra)
    cr_expect(in.rd == 10 && in.rs1 == 1 && in.rs2 == 2);
}

Test(riscv_decode, lists_of_zcmp)
{
    struct riscv_insn in;
    static const struct {
        unsigned xlen, list, extra;
        int adjust;
        unsigned last;
    } cases[] = {
        {32, 4, 0, 16, 1},    {32, 7, 3, 64, 18},   {32, 8, 0, 32, 19},   {32, 11, 1, 48, 22},
        {32, 12, 0, 48, 23},  {32, 14, 0, 48, 25},  {32, 15, 3, 112, 27}, {64, 4, 0, 16, 1},
        {64, 5, 0, 16, 8},    {64, 6, 0, 32, 9},    {64, 10, 0, 64, 21},  {64, 14, 0, 96, 25},
        {64, 15, 0, 112, 27}, {64, 15, 3, 160, 27},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t bits = 0xb802 | cases[i].list << 4 | cases[i].extra << 2;
        cr_assert(riscv_decode_operands(RV_OP_cm_push, bits, cases[i].xlen, &in));
        cr_expect(in.imm == cases[i].adjust, "list %u: %d", cases[i].list, in.imm);
        cr_expect(riscv_list_reg(riscv_list_len(in.rs2) - 1) == cases[i].last);
    }
    for (unsigned list = 0; list < 4; list++)
        cr_expect(!riscv_decode_operands(RV_OP_cm_push, 0xb802 | list << 4, 32, &in));
    cr_assert(riscv_decode_operands(RV_OP_cm_mva01s, 0xacfe, 32, &in)); // s1, s7
    cr_expect(in.rs1 == 9 && in.rs2 == 23);
    cr_expect(riscv_decode_operands(RV_OP_cm_mva01s, 0xacf6 & ~0x18u, 32, &in));
    cr_expect(!riscv_decode_operands(RV_OP_cm_mvsa01, 0xaca6, 32, &in)); // s1, s1
}

// ---- What decodes, and to what ----

static const char *name_of(const struct config *c, uint32_t bits)
{
    struct riscv_decoder d;
    struct riscv_insn in;
    riscv_decoder_init(&d, c->ext, c->xlen);
    return riscv_decode(&d, bits, &in) ? riscv_opcodes[in.id].name : "";
}

Test(riscv_decode, finds_each_line)
{
    uint64_t state = 2;
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++) {
        struct riscv_decoder d;
        riscv_decoder_init(&d, configs[c].ext, configs[c].xlen);
        for (unsigned id = 0; id < RV_NR_OPS; id++) {
            unsigned found = 0;
            if (!riscv_opcode_enabled(id, configs[c].ext, configs[c].xlen))
                continue;
            for (unsigned n = 0; n < 300; n++) {
                struct riscv_insn in, direct;
                uint32_t bits = random_match(id, &state);
                if (!riscv_decode_operands(id, bits, configs[c].xlen, &direct))
                    continue;
                cr_assert(riscv_decode(&d, bits, &in), "%s: %08x", riscv_opcodes[id].name, bits);
                cr_expect(in.id == id || is_special(in.id, id), "%08x is %s, not %s", bits,
                          riscv_opcodes[id].name, riscv_opcodes[in.id].name);
                found += in.id == id;
            }
            cr_expect(found > 0, "%s is never found", riscv_opcodes[id].name);
        }
    }
}

Test(riscv_decode, reserved_encodings_are_refused)
{
    static const struct {
        unsigned xlen; // 0: both
        uint32_t bits;
        const char *what;
    } cases[] = {
        {0, 0x0000, "all zeros"},
        {0, 0xffffffff, "all ones"},
        {0, 0x0004, "c.addi4spn with nothing to add"},
        {64, 0x2001, "c.addiw to x0"},
        {64, 0x2045, "c.addiw to x0"},
        {0, 0x6101, "c.addi16sp with nothing to add"},
        {0, 0x6501, "c.lui with 0"},
        {0, 0x4002, "c.lwsp to x0"},
        {64, 0x6002, "c.ldsp to x0"},
        {0, 0x8002, "c.jr of x0"},
        {32, 0x1502, "c.slli by 32"},
        {32, 0x9101, "c.srli by 32"},
        {32, 0x9501, "c.srai by 32"},
        {32, 0x9c01, "c.subw on RV32"},
        {0, 0x9c7d, "the last of the group of c.not"},
        {0, 0x8400 | 0x1000, "Zcb's hole"},
        {32, 0x02051513, "slli by 32"},
        {64, 0x0205151b, "slliw by 32"},
        {32, 0x00003503, "ld on RV32"},
        {32, 0x00b5053b, "addw on RV32"},
        {0, 0x00007503, "a load of funct3 7"},
        {0, 0x00b52063, "a branch of funct3 2"},
        {0, 0x00b54023, "a store of funct3 4"},
        {0, 0x00001067, "jalr of funct3 1"},
        {0, 0x00b5d553, "fadd.s of rounding mode 5"},
        {0, 0x00b5e553, "fadd.s of rounding mode 6"},
        {0, 0x0605f553, "a quad precision addition"},
        {0, 0x58107553, "fsqrt.s with rs2"},
        {32, 0x2ac5b5af, "amocas.d of an odd rd"},
        {32, 0x28d5b52f, "amocas.d of an odd rs2"},
        {64, 0x28c5c5af, "amocas.q of an odd rd"},
        {32, 0x28c5c52f, "amocas.q on RV32"},
        {0, 0x1015252f, "lr.w with rs2"},
        {0, 0x00000073 | 0x80, "ecall with rd"},
        {0, 0x10200073 | 0x8000, "sret with rs1"},
        {0, 0xc2008053 | 5u << 20, "fcvt of a fifth kind"},
        {0, 0xc2808053, "fcvtmod.w.d of rounding mode 0"},
        {64, 0xe2100553, "fmvh.x.d on RV64"},
        {32, 0xe2000553, "fmv.x.d on RV32"},
        {32, 0x6b805513 | 0x20 << 20, "rev8 of RV64"},
        {0, 0x0000600f, "a MISC-MEM of funct3 6"},
        {0, 0x00054573, "a system of funct3 4 that is not Zimop's"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned c = 0; c < 2; c++)
            if (!cases[i].xlen || cases[i].xlen == configs[c].xlen)
                cr_expect_str_empty(name_of(&configs[c], cases[i].bits), "%s (%08x, rv%u) is %s",
                                    cases[i].what, cases[i].bits, configs[c].xlen,
                                    name_of(&configs[c], cases[i].bits));
}

Test(riscv_decode, hints_are_instructions)
{
    static const struct {
        uint32_t bits;
        const char *name;
    } cases[] = {
        {0x0001, "c_nop"},         {0x0015, "c_nop"},          {0x0501, "c_addi"},
        {0x4015, "c_li"},          {0x6005, "c_lui"},          {0x802e, "c_mv"},
        {0x902e, "c_add"},         {0x0002, "c_slli"},         {0x8101, "c_srli"},
        {0x900a, "c_ntl_p1"},      {0x6081, "c_mop"},          {0x6181, "c_mop"},
        {0x00000013, "addi"},      {0x0100000f, "pause"},      {0x0ff0000f, "fence"},
        {0x8330000f, "fence_tso"}, {0x00200033, "ntl_p1"},     {0x00500033, "ntl_all"},
        {0x00600033, "add"},       {0x00006013, "prefetch_i"}, {0x02306013, "prefetch_w"},
        {0x00206013, "ori"},       {0x00006093, "ori"},        {0x0000100f, "fence_i"},
        {0xfff0908f, "fence_i"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        cr_expect_str_eq(name_of(&configs[0], cases[i].bits), cases[i].name, "%08x is %s",
                         cases[i].bits, name_of(&configs[0], cases[i].bits));
}

// With nothing but I, all that decodes is RV32I's or RV64I's.
Test(riscv_decode, lines_need_their_extensions)
{
    unsigned nr[2] = {0, 0};
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        for (unsigned k = 0; k < 2; k++)
            nr[k] += riscv_opcode_enabled(id, RV_EXT_BIT(RV_EXT_I), k ? 64 : 32);
    // The manual's 40 instructions, fence.tso, mret and wfi; on RV64 15 more, of which 3 replace RV32's.
    cr_expect(nr[0] == 43, "%u", nr[0]);
    cr_expect(nr[1] == 43 + 12, "%u", nr[1]);
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++)
        for (unsigned id = 0; id < RV_NR_OPS; id++)
            if (riscv_opcode_enabled(id, configs[c].ext, configs[c].xlen) &&
                riscv_opcodes[id].len == 2)
                cr_expect(!riscv_opcode_enabled(id,
                                                configs[c].ext & WITHOUT(ZCA) & WITHOUT(ZCB) &
                                                    WITHOUT(ZCD) & WITHOUT(ZCF) & WITHOUT(ZCMP) &
                                                    WITHOUT(ZCMOP),
                                                configs[c].xlen),
                          "%s without C", riscv_opcodes[id].name);
}

Test(riscv_decode, floating_point_needs_its_format)
{
    const riscv_exts only_f =
        configs[0].ext & WITHOUT(D) & WITHOUT(ZFH) & WITHOUT(ZFHMIN) & WITHOUT(ZCD);
    for (unsigned id = 0; id < RV_NR_OPS; id++) {
        const struct riscv_opcode *op = &riscv_opcodes[id];
        if (op->len == 4 && (op->match & 0x7f) == 0x53)
            cr_expect(
                riscv_opcode_enabled(id, only_f, 64) ==
                    (!(op->match >> 25 & 3) && !strstr(op->name, "_d") && !strstr(op->name, "_h")),
                "%s", op->name);
    }
}

// ---- Disassembly ----

static char *disassemble(const struct config *c, vaddr_t pc, uint32_t bits, bool canonical)
{
    struct riscv_decoder d;
    GString *out = g_string_new(NULL);
    riscv_decoder_init(&d, c->ext, c->xlen);
    riscv_disas_insn(&d, pc, bits, canonical, out);
    return g_string_free(out, FALSE);
}

Test(riscv_decode, disassembly)
{
    static const struct {
        unsigned config;
        uint32_t bits;
        const char *text, *canonical;
    } cases[] = {
        {0, 0x00000013, "nop", "addi    zero,zero,0"},
        {0, 0x00150513, "addi    a0,a0,1", "addi    a0,a0,1"},
        {0, 0x00850713, "addi    a4,a0,8", "addi    a4,a0,8"},
        {0, 0x00008067, "ret", "jalr    zero,0(ra)"},
        {0, 0x8082, "ret", "c.jr    ra"},
        {0, 0xfe0518e3, "bnez    a0,0xff0", "bne     a0,zero,0xff0"},
        {0, 0x0ff0000f, "fence", "fence   iorw,iorw"},
        {0, 0x00b57553, "fadd.s  fa0,fa0,fa1", "fadd.s  fa0,fa0,fa1"},
        {0, 0x00b51553, "fadd.s  fa0,fa0,fa1,rtz", "fadd.s  fa0,fa0,fa1,rtz"},
        {0, 0x0600b52f | 12u << 20, "amoadd.d.aqrl a0,a2,(ra)", "amoadd.d.aqrl a0,a2,(ra)"},
        {0, 0xf2100553 | 8u << 15, "fli.d   fa0,0.25", "fli.d   fa0,0.25"},
        {0, 0xc1c5c573, "mop.r.16 a0,a1", "mop.r.16 a0,a1"},
        {0, 0x6181, "c.mop.3", "c.mop.3"},
        {0, 0xffffffff, ".4byte  0xffffffff", ".4byte  0xffffffff"},
        {0, 0x0000, ".2byte  0x0000", ".2byte  0x0000"},
        {0, 0x6b855513, "rev8    a0,a0", "rev8    a0,a0"},
        {3, 0xb87e, "cm.push {ra,s0-s2},-64", "cm.push {ra,s0-s2},-64"},
        {2, 0xbefe, "cm.popret {ra,s0-s11},160", "cm.popret {ra,s0-s11},160"},
        {3, 0xba42, "cm.pop  {ra},16", "cm.pop  {ra},16"},
        {3, 0xacfe, "cm.mva01s s1,s7", "cm.mva01s s1,s7"},
        {1, 0x80000537, "lui     a0,0x80000", "lui     a0,0x80000"},
        {1, 0x800006ef, "jal     a3,0xfff01000", "jal     a3,0xfff01000"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        const struct config *c = &configs[cases[i].config];
        char *text = disassemble(c, 0x1000, cases[i].bits, false);
        char *canonical = disassemble(c, 0x1000, cases[i].bits, true);
        cr_expect_str_eq(text, cases[i].text);
        cr_expect_str_eq(canonical, cases[i].canonical);
        g_free(text);
        g_free(canonical);
    }
}

// ---- Lifting ----

struct rig {
    struct mem *mem;
    struct clock *clock;
    struct riscv_cpu *rv;
    struct ir ir;
    uint8_t page[PAGE_SIZE];
};

static struct rig *rig_new(const struct config *c)
{
    struct rig *r = g_new0(struct rig, 1);
    r->mem = mem_new();
    r->clock = clock_new();
    struct riscv_cpu_config cfg = {
        .xlen = c->xlen, .mem = r->mem, .clock = r->clock, .time_hz = 10000000};
    struct cpu *cpu = riscv_cpu_new(&cfg, NULL);
    cr_assert(cpu);
    r->rv = riscv_cpu_of(cpu);
    r->rv->ext = c->ext;
    riscv_decoder_init(&r->rv->decoder, c->ext, c->xlen);
    return r;
}

static void rig_free(struct rig *r)
{
    riscv_guest.free(&r->rv->cpu);
    clock_free(r->clock);
    mem_free(r->mem);
    g_free(r);
}

// Lifts one instruction as a unit and returns what the verifier says, before and after optimization.
static char *lift_one(struct rig *r, uint32_t key, vaddr_t offset, uint32_t bits)
{
    struct lift l = {.ir = &r->ir, .cpu = &r->rv->cpu, .key = key, .code = r->page, .max_insns = 1};
    l.page = 0x80000000;
    l.pc = l.lo = l.hi = r->ir.pc = l.page + offset;
    store_le(r->page + offset, riscv_insn_len(bits), bits);
    ir_reset(&r->ir, r->rv->cpu.vars, r->rv->cpu.nr_vars);
    r->ir.pc = l.pc;
    cr_assert(riscv_lift(&l));
    cr_expect(r->ir.nr_guest == 1 && r->ir.end_pc == l.pc + riscv_insn_len(bits));
    if (!l.done)
        ir_exit(&r->ir, l.next_pc);
    cr_expect(r->ir.nr_insns < 100, "%08x: %u operations", bits, r->ir.nr_insns);
    char *wrong = ir_verify(&r->ir);
    if (wrong)
        return wrong;
    ir_optimize(&r->ir);
    return ir_verify(&r->ir);
}

static void check_lift(struct rig *r, unsigned id, uint32_t bits)
{
    static const unsigned fs_frm[][2] = {
        {KEY_FS_OFF, 0}, {KEY_FS_CLEAN, 0}, {KEY_FS_DIRTY, FP_RDN}, {KEY_FS_DIRTY, 5}};
    for (unsigned k = 0; k < ARRAY_LEN(fs_frm); k++) {
        uint32_t key = (uint32_t)bits_set(bits_set(PRIV_M, 5, 2, fs_frm[k][0]), 7, 3, fs_frm[k][1]);
        cr_assert(RV_KEY_FS(key) == fs_frm[k][0] && RV_KEY_FRM(key) == fs_frm[k][1]);
        char *wrong = lift_one(r, key, 0x104, bits);
        if (wrong) {
            GString *text = g_string_new(NULL);
            ir_print(&r->ir, text);
            cr_assert(false, "%s (%08x): %s\n%s", riscv_opcodes[id].name, bits, wrong, text->str);
        }
    }
}

Test(riscv_decode, lifts_to_sound_ir)
{
    uint64_t state = 3;
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++) {
        struct rig *r = rig_new(&configs[c]);
        for (unsigned id = 0; id < RV_NR_OPS; id++) {
            if (!riscv_opcode_enabled(id, configs[c].ext, configs[c].xlen))
                continue;
            check_lift(r, id, riscv_opcodes[id].match); // x0 everywhere
            for (unsigned n = 0; n < 20; n++)
                check_lift(r, id, random_match(id, &state));
        }
        rig_free(r);
    }
}

Test(riscv_decode, lifts_garbage_to_sound_ir)
{
    uint64_t state = 4;
    for (unsigned c = 0; c < ARRAY_LEN(configs); c++) {
        struct rig *r = rig_new(&configs[c]);
        for (unsigned n = 0; n < 20000; n++) {
            uint32_t bits = next_random(&state);
            if ((bits & 3) != 3)
                bits &= 0xffff;
            char *wrong = lift_one(r, KEY_FS_DIRTY << 5 | PRIV_U, 0x104, bits);
            cr_assert(!wrong, "%08x: %s", bits, wrong);
        }
        rig_free(r);
    }
}

// ---- Against GNU objdump ----

#define TOOL "riscv64-unknown-elf-"
// What binutils 2.40 knows.
#define ISA                                                                                        \
    "imafdc_zicsr_zifencei_zicbom_zicbop_zicboz_zihintpause_zawrs_zba_zbb_zbc_zbs_zbkb_zbkc_zbkx_" \
    "zknh_zfh_zfhmin_svinval"

static riscv_exts objdump_exts(void)
{
    static const enum riscv_ext known[] = {
        RV_EXT_I,      RV_EXT_M,      RV_EXT_A,      RV_EXT_F,           RV_EXT_D,
        RV_EXT_C,      RV_EXT_S,      RV_EXT_ZMMUL,  RV_EXT_ZAAMO,       RV_EXT_ZALRSC,
        RV_EXT_ZCA,    RV_EXT_ZCD,    RV_EXT_ZCF,    RV_EXT_ZICSR,       RV_EXT_ZIFENCEI,
        RV_EXT_ZICBOM, RV_EXT_ZICBOP, RV_EXT_ZICBOZ, RV_EXT_ZIHINTPAUSE, RV_EXT_ZAWRS,
        RV_EXT_ZBA,    RV_EXT_ZBB,    RV_EXT_ZBC,    RV_EXT_ZBS,         RV_EXT_ZBKB,
        RV_EXT_ZBKC,   RV_EXT_ZBKX,   RV_EXT_ZKNH,   RV_EXT_ZFH,         RV_EXT_ZFHMIN,
        RV_EXT_SVINVAL};
    riscv_exts ext = 0;
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        ext |= RV_EXT_BIT(known[i]);
    return ext;
}

// Hints, which objdump shows in ways of its own.
static bool is_hint(const struct riscv_insn *in)
{
    switch (in->id) {
    case RV_OP_c_nop:
    case RV_OP_c_addi:
        return in->rd == 0 || in->imm == 0;
    case RV_OP_c_slli:
    case RV_OP_c_srli:
    case RV_OP_c_srai:
        return in->rd == 0 || in->imm == 0;
    case RV_OP_c_li:
    case RV_OP_c_lui:
    case RV_OP_c_mv:
    case RV_OP_c_add:
        return in->rd == 0;
    default:
        return false;
    }
}

// Bits that objdump wants one way: fields that it should ignore, CSRs that it knows, the rounding mode of exact
// conversions.
static uint32_t plain(unsigned id, uint32_t bits, uint64_t *state)
{
    static const uint16_t csrs[] = {0x001, 0x002, 0x003, 0x100, 0x180, 0x300,
                                    0x340, 0x341, 0xc00, 0xc01, 0xc02, 0x5ff};
    if (id == RV_OP_fence)
        return (bits & 0x0ff0707f) | 0x01100000;
    if (id == RV_OP_fence_tso || id == RV_OP_fence_i)
        return riscv_opcodes[id].match;
    if (riscv_opcodes[id].layout == RV_LAYOUT_CSR)
        return (bits & 0xfffff) | (uint32_t)csrs[next_random(state) % ARRAY_LEN(csrs)] << 20;
    if (strchr(riscv_opcodes[id].operands, 'n'))
        return bits & ~0x7000u;
    return bits;
}

static GArray *sample(const struct config *c)
{
    GArray *a = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    struct riscv_decoder d;
    uint64_t state = 5;
    riscv_decoder_init(&d, c->ext, c->xlen);
    for (unsigned id = 0; id < RV_NR_OPS; id++)
        for (unsigned n = 0; riscv_opcode_enabled(id, c->ext, c->xlen) && n < 24; n++) {
            uint32_t bits = n ? random_match(id, &state) : riscv_opcodes[id].match;
            struct riscv_insn in;
            bits = plain(id, bits, &state);
            if (riscv_decode(&d, bits, &in) && !is_hint(&in))
                g_array_append_val(a, bits);
        }
    return a;
}

static bool run(const char *command, char **output)
{
    int status;
    char *errors = NULL;
    bool ok = g_spawn_command_line_sync(command, output, &errors, &status, NULL) && status == 0;
    g_free(errors);
    return ok;
}

// Assembles the sample and returns objdump's text, or NULL if the tools are not there.
static char *objdump(const struct config *c, const GArray *a, const char *options)
{
    char *dir = g_dir_make_tmp("ferry-XXXXXX", NULL), *out = NULL;
    GString *s = g_string_new(".text\n");
    for (unsigned i = 0; i < a->len; i++)
        g_string_append_printf(s, ".insn 0x%x\n", g_array_index(a, uint32_t, i));
    char *source = g_build_filename(dir, "a.s", NULL), *object = g_build_filename(dir, "a.o", NULL);
    cr_assert(g_file_set_contents(source, s->str, -1, NULL));
    char *as = g_strdup_printf(TOOL "as -march=rv%u" ISA " -mabi=%s %s -o %s", c->xlen,
                               c->xlen == 32 ? "ilp32d" : "lp64d", source, object);
    char *dump = g_strdup_printf(TOOL "objdump -d %s %s", options, object);
    if (!run(as, NULL) || !run(dump, &out)) {
        g_free(out);
        out = NULL;
    }
    remove(source);
    remove(object);
    remove(dir);
    g_free(as);
    g_free(dump);
    g_free(source);
    g_free(object);
    g_free(dir);
    g_string_free(s, TRUE);
    return out;
}

// Both sides' text in one form: no 0x, one blank, nothing behind the operands.
static char *normal(const char *text)
{
    GString *s = g_string_new(NULL);
    for (const char *p = text; *p && *p != '<' && *p != '#'; p++) {
        if (p[0] == '0' && p[1] == 'x')
            p++;
        else if (!g_ascii_isspace(*p))
            g_string_append_c(s, *p);
        else if (s->len && s->str[s->len - 1] != ' ')
            g_string_append_c(s, ' ');
    }
    g_strchomp(s->str);
    return g_string_free(s, FALSE);
}

// objdump's aliases say add for addi and so on; ours don't.
static bool same_but_for_i(const char *ours, const char *theirs)
{
    size_t n = 0;
    while (ours[n] && ours[n] == theirs[n])
        n++;
    return ours[n] == 'i' && strcmp(ours + n + 1, theirs + n) == 0;
}

static void compare_line(const struct config *c, const char *line, uint32_t bits, bool canonical)
{
    // "   address:<tab>bits<tab>text"
    char **fields = g_strsplit(line, "\t", 3);
    cr_assert(g_strv_length(fields) == 3, "%s", line);
    vaddr_t pc = g_ascii_strtoull(fields[0], NULL, 16);
    char *theirs = normal(fields[2]), *text = disassemble(c, pc, bits, canonical);
    char *ours = normal(text);
    cr_expect(strcmp(ours, theirs) == 0 || (!canonical && same_but_for_i(ours, theirs)),
              "%08x: \"%s\", objdump: \"%s\"", bits, ours, theirs);
    g_free(ours);
    g_free(theirs);
    g_free(text);
    g_strfreev(fields);
}

static void compare_with_objdump(unsigned xlen, bool canonical)
{
    const struct config c = {xlen, objdump_exts()};
    GArray *a = sample(&c);
    char *out = objdump(&c, a, canonical ? "-M no-aliases" : "");
    if (!out)
        cr_skip("no " TOOL "as and objdump that know all of " ISA);
    char **lines = g_strsplit(out, "\n", -1);
    unsigned n = 0;
    for (char **l = lines; *l; l++)
        if (strchr(*l, '\t'))
            compare_line(&c, *l, g_array_index(a, uint32_t, n++), canonical);
    cr_expect(n == a->len, "%u lines of %u", n, a->len);
    g_strfreev(lines);
    g_free(out);
    g_array_free(a, TRUE);
}

Test(riscv_decode, agrees_with_objdump_64)
{
    compare_with_objdump(64, true);
}

Test(riscv_decode, agrees_with_objdump_32)
{
    compare_with_objdump(32, true);
}

Test(riscv_decode, aliases_agree_with_objdump_64)
{
    compare_with_objdump(64, false);
}

Test(riscv_decode, aliases_agree_with_objdump_32)
{
    compare_with_objdump(32, false);
}
