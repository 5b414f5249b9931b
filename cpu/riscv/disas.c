// SPDX-License-Identifier: MIT
// Disassembly, in the syntax of GNU binutils, from the lines of insns.def.
//
// Letters of `operands`, all else stands for itself:
//   d s t    rd, rs1, rs2 as x registers        D S T R  rd, rs1, rs2, rs3 as f registers
//   j        imm                                k        imm, unless 0
//   >        imm as a shift                     u        imm of lui
//   a p      the target of a jump, of a branch  o        imm(rs1)
//   0        (rs1)                              f        imm(rs1) of a prefetch
//   E Z      CSR, immediate operand             P Q      what comes before and behind a fence
//   m n      rounding mode, unless dynamic; of an exact conversion: unless 0
//   v        fli's constant                     l + -    Zcmp's list, stack adjustment
#include <inttypes.h>

#include "cpu/riscv/disas.h"
#include "cpu/riscv/riscv.h"

// ---- Aliases ----

enum alias_when { RD_0 = 1, RD_RA = 2, RS1_0 = 4, RS1_RA = 8, RS2_0 = 16, SAME = 32, IMM = 64 };

struct alias {
    uint16_t op;  // enum riscv_opcode_id
    uint8_t when; // all of these hold
    int16_t imm;  // with IMM
    const char *name, *operands;
};

enum {
    CSR_FFLAGS = 1,
    CSR_FRM = 2,
    CSR_FCSR = 3,
    CSR_CYCLE = 0xc00,
    CSR_TIME = 0xc01,
    CSR_INSTRET = 0xc02,
    CSR_CYCLEH = 0xc80,
    CSR_TIMEH = 0xc81,
    CSR_INSTRETH = 0xc82,
};

// The first that fits is taken.
static const struct alias aliases[] = {
    {RV_OP_addi, RD_0 | RS1_0 | IMM, 0, "nop", ""},
    {RV_OP_addi, RS1_0, 0, "li", "d,j"},
    {RV_OP_addi, IMM, 0, "mv", "d,s"},
    {RV_OP_addiw, IMM, 0, "sext.w", "d,s"},
    {RV_OP_xori, IMM, -1, "not", "d,s"},
    {RV_OP_andi, IMM, 255, "zext.b", "d,s"},
    {RV_OP_sltiu, IMM, 1, "seqz", "d,s"},
    {RV_OP_c_mv, 0, 0, "mv", "d,t"},
    {RV_OP_add_uw, RS2_0, 0, "zext.w", "d,s"},
    {RV_OP_sub, RS1_0, 0, "neg", "d,t"},
    {RV_OP_subw, RS1_0, 0, "negw", "d,t"},
    {RV_OP_sltu, RS1_0, 0, "snez", "d,t"},
    {RV_OP_slt, RS2_0, 0, "sltz", "d,s"},
    {RV_OP_slt, RS1_0, 0, "sgtz", "d,t"},
    {RV_OP_beq, RS2_0, 0, "beqz", "s,p"},
    {RV_OP_bne, RS2_0, 0, "bnez", "s,p"},
    {RV_OP_blt, RS2_0, 0, "bltz", "s,p"},
    {RV_OP_blt, RS1_0, 0, "bgtz", "t,p"},
    {RV_OP_bge, RS1_0, 0, "blez", "t,p"},
    {RV_OP_bge, RS2_0, 0, "bgez", "s,p"},
    {RV_OP_jal, RD_0, 0, "j", "a"},
    {RV_OP_jal, RD_RA, 0, "jal", "a"},
    {RV_OP_jalr, RD_0 | RS1_RA | IMM, 0, "ret", ""},
    {RV_OP_jalr, RD_0 | IMM, 0, "jr", "s"},
    {RV_OP_jalr, RD_0, 0, "jr", "o"},
    {RV_OP_jalr, RD_RA | IMM, 0, "jalr", "s"},
    {RV_OP_jalr, RD_RA, 0, "jalr", "o"},
    {RV_OP_jalr, IMM, 0, "jalr", "d,s"},
    {RV_OP_fence, IMM, 0xff, "fence", ""},
    {RV_OP_sfence_vma, RS1_0 | RS2_0, 0, "sfence.vma", ""},
    {RV_OP_sfence_vma, RS2_0, 0, "sfence.vma", "s"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_FFLAGS, "frflags", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_FRM, "frrm", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_FCSR, "frcsr", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_CYCLE, "rdcycle", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_TIME, "rdtime", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_INSTRET, "rdinstret", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_CYCLEH, "rdcycleh", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_TIMEH, "rdtimeh", "d"},
    {RV_OP_csrrs, RS1_0 | IMM, CSR_INSTRETH, "rdinstreth", "d"},
    {RV_OP_csrrw, RD_0 | IMM, CSR_FFLAGS, "fsflags", "s"},
    {RV_OP_csrrw, RD_0 | IMM, CSR_FRM, "fsrm", "s"},
    {RV_OP_csrrw, RD_0 | IMM, CSR_FCSR, "fscsr", "s"},
    {RV_OP_csrrw, IMM, CSR_FFLAGS, "fsflags", "d,s"},
    {RV_OP_csrrw, IMM, CSR_FRM, "fsrm", "d,s"},
    {RV_OP_csrrw, IMM, CSR_FCSR, "fscsr", "d,s"},
    {RV_OP_csrrwi, RD_0 | IMM, CSR_FFLAGS, "fsflagsi", "Z"},
    {RV_OP_csrrwi, RD_0 | IMM, CSR_FRM, "fsrmi", "Z"},
    {RV_OP_csrrwi, IMM, CSR_FFLAGS, "fsflagsi", "d,Z"},
    {RV_OP_csrrwi, IMM, CSR_FRM, "fsrmi", "d,Z"},
    {RV_OP_csrrs, RS1_0, 0, "csrr", "d,E"},
    {RV_OP_csrrw, RD_0, 0, "csrw", "E,s"},
    {RV_OP_csrrs, RD_0, 0, "csrs", "E,s"},
    {RV_OP_csrrc, RD_0, 0, "csrc", "E,s"},
    {RV_OP_csrrwi, RD_0, 0, "csrwi", "E,Z"},
    {RV_OP_csrrsi, RD_0, 0, "csrsi", "E,Z"},
    {RV_OP_csrrci, RD_0, 0, "csrci", "E,Z"},
    {RV_OP_fsgnj_s, SAME, 0, "fmv.s", "D,S"},
    {RV_OP_fsgnjn_s, SAME, 0, "fneg.s", "D,S"},
    {RV_OP_fsgnjx_s, SAME, 0, "fabs.s", "D,S"},
    {RV_OP_fsgnj_d, SAME, 0, "fmv.d", "D,S"},
    {RV_OP_fsgnjn_d, SAME, 0, "fneg.d", "D,S"},
    {RV_OP_fsgnjx_d, SAME, 0, "fabs.d", "D,S"},
    {RV_OP_fsgnj_h, SAME, 0, "fmv.h", "D,S"},
    {RV_OP_fsgnjn_h, SAME, 0, "fneg.h", "D,S"},
    {RV_OP_fsgnjx_h, SAME, 0, "fabs.h", "D,S"},
};

static bool fits(const struct alias *a, const struct riscv_insn *in)
{
    unsigned holds = (in->rd == 0 ? RD_0 : 0) | (in->rd == 1 ? RD_RA : 0) |
                     (in->rs1 == 0 ? RS1_0 : 0) | (in->rs1 == 1 ? RS1_RA : 0) |
                     (in->rs2 == 0 ? RS2_0 : 0) | (in->rs1 == in->rs2 ? SAME : 0) |
                     (in->imm == a->imm ? IMM : 0);
    return (a->when & ~holds) == 0;
}

static const struct alias *find_alias(unsigned base, const struct riscv_insn *in)
{
    for (unsigned i = 0; i < ARRAY_LEN(aliases); i++)
        if ((aliases[i].op == base || aliases[i].op == in->id) && fits(&aliases[i], in))
            return &aliases[i];
    return NULL;
}

// ---- Names ----

// Zimop's are numbered by bits of their own.
static int mop_number(const struct riscv_insn *in)
{
    uint32_t b = in->bits;
    switch (in->id) {
    case RV_OP_mop_r:
        return (int)((b >> 30 & 1) << 4 | (b >> 26 & 3) << 2 | (b >> 20 & 3));
    case RV_OP_mop_rr:
        return (int)((b >> 30 & 1) << 2 | (b >> 26 & 3));
    case RV_OP_c_mop:
        return (int)(b >> 7 & 31);
    default:
        return -1;
    }
}

static void put_name(const char *name, const struct riscv_insn *in, GString *out)
{
    static const char *const order[] = {"", ".rl", ".aq", ".aqrl"};
    bool xlen_suffix = g_str_has_suffix(name, "_rv32") || g_str_has_suffix(name, "_rv64");
    size_t len = strlen(name) - (xlen_suffix ? 5 : 0);
    for (size_t i = 0; i < len; i++)
        g_string_append_c(out, name[i] == '_' ? '.' : name[i]);
    if (mop_number(in) >= 0)
        g_string_append_printf(out, ".%d", mop_number(in));
    if ((in->bits & 0x7f) == 0x2f)
        g_string_append(out, order[in->bits >> 25 & 3]);
}

// ---- Operands ----

static void put_fence(unsigned set, GString *out)
{
    for (unsigned i = 0; i < 4; i++)
        if (set >> (3 - i) & 1)
            g_string_append_c(out, "iorw"[i]);
    if (!set)
        g_string_append_c(out, '0');
}

static void put_csr(unsigned csr, GString *out)
{
    const char *name = riscv_csr_name(csr);
    if (name)
        g_string_append(out, name);
    else
        g_string_append_printf(out, "0x%x", csr);
}

static void put_fli(unsigned n, GString *out)
{
    static const char *const values[32] = {
        "-1",
        "min",
        "1.52587890625e-05",
        "3.0517578125e-05",
        "0.00390625",
        "0.0078125",
        "0.0625",
        "0.125",
        "0.25",
        "0.3125",
        "0.375",
        "0.4375",
        "0.5",
        "0.625",
        "0.75",
        "0.875",
        "1",
        "1.25",
        "1.5",
        "1.75",
        "2",
        "2.5",
        "3",
        "4",
        "8",
        "16",
        "128",
        "256",
        "32768",
        "65536",
        "inf",
        "nan",
    };
    g_string_append(out, values[n]);
}

static void put_list(unsigned list, GString *out)
{
    static const uint8_t last[16] = {[6] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11};
    g_string_append(out, list == 4 ? "{ra" : "{ra,s0");
    if (last[list & 15])
        g_string_append_printf(out, "-s%u", last[list & 15]);
    g_string_append_c(out, '}');
}

static void put_rm(unsigned rm, GString *out)
{
    static const char *const names[8] = {"rne", "rtz", "rdn", "rup", "rmm", "?", "?", "dyn"};
    g_string_append(out, names[rm]);
}

static void put_operand(char c, const struct riscv_insn *in, vaddr_t pc, unsigned xlen,
                        GString *out)
{
    switch (c) {
    case 'd':
        g_string_append(out, riscv_x_names[in->rd]);
        break;
    case 's':
        g_string_append(out, riscv_x_names[in->rs1]);
        break;
    case 't':
        g_string_append(out, riscv_x_names[in->rs2]);
        break;
    case 'D':
        g_string_append(out, riscv_f_names[in->rd]);
        break;
    case 'S':
        g_string_append(out, riscv_f_names[in->rs1]);
        break;
    case 'T':
        g_string_append(out, riscv_f_names[in->rs2]);
        break;
    case 'R':
        g_string_append(out, riscv_f_names[in->rs3]);
        break;
    case 'j':
    case 'k':
    case '+':
        g_string_append_printf(out, "%d", in->imm);
        break;
    case '-':
        g_string_append_printf(out, "%d", -in->imm);
        break;
    case '>':
        g_string_append_printf(out, "0x%x", (unsigned)in->imm);
        break;
    case 'u':
        g_string_append_printf(out, "0x%x", (unsigned)in->imm >> 12);
        break;
    case 'a':
    case 'p':
        pc += (uint64_t)in->imm;
        g_string_append_printf(out, "0x%" PRIx64, xlen == 32 ? (uint32_t)pc : pc);
        break;
    case 'o':
    case 'f':
        g_string_append_printf(out, "%d(%s)", in->imm, riscv_x_names[in->rs1]);
        break;
    case '0':
        g_string_append_printf(out, "(%s)", riscv_x_names[in->rs1]);
        break;
    case 'E':
        put_csr((unsigned)in->imm, out);
        break;
    case 'Z':
        g_string_append_printf(out, "%u", in->rs1);
        break;
    case 'P':
        put_fence(in->imm >> 4 & 15, out);
        break;
    case 'Q':
        put_fence(in->imm & 15, out);
        break;
    case 'm':
    case 'n':
        put_rm(in->rm, out);
        break;
    case 'v':
        put_fli(in->rs1, out);
        break;
    case 'l':
        put_list(in->rs2, out);
        break;
    default:
        g_string_append_c(out, c);
        break;
    }
}

// Whether an operand goes without saying.
static bool silent(char c, const struct riscv_insn *in)
{
    switch (c) {
    case 'k':
        return in->imm == 0;
    case 'm':
        return in->rm == 7;
    case 'n':
        return in->rm == 0;
    default:
        return false;
    }
}

static void put_operands(const char *operands, const struct riscv_insn *in, vaddr_t pc,
                         unsigned xlen, GString *out)
{
    char separator = ' ';
    for (const char *p = operands; *p; p++) {
        if (*p == ',' || silent(*p, in))
            continue;
        g_string_append_c(out, separator);
        put_operand(*p, in, pc, xlen, out);
        separator = ',';
    }
}

// ---- Whole instructions ----

static void put_insn(const struct riscv_insn *in, vaddr_t pc, unsigned xlen, bool canonical,
                     GString *out)
{
    unsigned id = canonical ? in->id : riscv_opcodes[in->id].base;
    const struct riscv_opcode *op = &riscv_opcodes[id];
    const struct alias *a = canonical ? NULL : find_alias(id, in);
    size_t start = out->len;
    put_name(a ? a->name : op->name, in, out);
    const char *operands = a ? a->operands : op->operands;
    if (!*operands)
        return;
    size_t name_end = out->len;
    put_operands(operands, in, pc, xlen, out);
    if (out->len == name_end)
        return;
    while (name_end < start + 7) { // operands in a column
        g_string_insert_c(out, (gssize)name_end, ' ');
        name_end++;
    }
}

void riscv_disas_insn(const struct riscv_decoder *d, vaddr_t pc, uint32_t bits, bool canonical,
                      GString *out)
{
    struct riscv_insn in;
    if (riscv_decode(d, bits, &in))
        put_insn(&in, pc, d->xlen, canonical, out);
    else if (riscv_insn_len(bits) == 2)
        g_string_append_printf(out, ".2byte  0x%04x", bits);
    else
        g_string_append_printf(out, ".4byte  0x%08x", bits);
}

unsigned riscv_disas(const struct cpu *cpu, vaddr_t pc, const uint8_t *code, size_t len,
                     GString *out)
{
    const struct riscv_cpu *rv = (const struct riscv_cpu *)cpu;
    if (len < 2)
        return 0;
    uint32_t bits = (uint32_t)load_le(code, 2);
    unsigned bytes = riscv_insn_len(bits);
    if (len < bytes)
        return 0;
    bits = (uint32_t)load_le(code, bytes);
    riscv_disas_insn(&rv->decoder, pc, bits, false, out);
    return bytes;
}
