// SPDX-License-Identifier: MIT
// What debuggers see of a hart. Features, names and numbers are gdb's (its manual, "RISC-V Features"; the numbers
// are those that it uses without a description): x0 to x31, pc, f0 to f31, all CSRs by number, privilege.
#include <assert.h>
#include <inttypes.h>

#include "cpu/riscv/riscv.h"

enum { NUMBER_PC = 32, NUMBER_F0 = 33, NUMBER_CSR0 = 65, NUMBER_PRIV = NUMBER_CSR0 + RISCV_NR_CSRS };
enum { FEATURE_CPU, FEATURE_FPU, FEATURE_CSR, FEATURE_VIRTUAL };

static const char *const features[] = {"org.gnu.gdb.riscv.cpu", "org.gnu.gdb.riscv.fpu",
                                       "org.gnu.gdb.riscv.csr", "org.gnu.gdb.riscv.virtual", NULL};

// ---- The table ----

static void add(GArray *regs, const char *name, const char *type, const char *group,
                unsigned number, unsigned bits, unsigned feature)
{
    struct guest_reg r = {name, type, group, (uint16_t)number, (uint16_t)bits, (uint8_t)feature};
    g_array_append_val(regs, r);
}

static const char *type_of_x(unsigned n)
{
    switch (n) {
    case 1: // ra
        return "code_ptr";
    case 2: // sp
    case 3: // gp
    case 4: // tp
    case 8: // s0, the frame pointer
        return "data_ptr";
    default:
        return "int";
    }
}

static void add_main(const struct riscv_cpu *rv, GArray *regs)
{
    for (unsigned i = 0; i < 32; i++)
        add(regs, riscv_x_names[i], type_of_x(i), "general", i, rv->xlen, FEATURE_CPU);
    add(regs, "pc", "code_ptr", "general", NUMBER_PC, rv->xlen, FEATURE_CPU);
}

static void add_float(const struct riscv_cpu *rv, GArray *regs)
{
    bool wide = riscv_has(rv, RV_EXT_D);
    for (unsigned i = 0; i < 32 && riscv_has(rv, RV_EXT_F); i++)
        add(regs, riscv_f_names[i], wide ? "ieee_double" : "ieee_single", "float", NUMBER_F0 + i,
            wide ? 64 : 32, FEATURE_FPU);
}

// fflags, frm and fcsr are the FPU's.
static void add_csrs(const struct riscv_cpu *rv, GArray *regs)
{
    for (unsigned csr = 0; csr < RISCV_NR_CSRS; csr++) {
        bool fpu = csr >= 1 && csr <= 3;
        if (rv->csr_index[csr])
            add(regs, riscv_csr_name(csr), "int", fpu ? "float" : "csr", NUMBER_CSR0 + csr,
                rv->xlen, fpu ? FEATURE_FPU : FEATURE_CSR);
    }
}

const struct guest_view *riscv_debug_view(struct cpu *cpu)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    if (rv->view.regs)
        return &rv->view;
    GArray *regs = g_array_new(FALSE, FALSE, sizeof(struct guest_reg));
    add_main(rv, regs);
    unsigned nr_main = regs->len;
    add_float(rv, regs);
    add_csrs(rv, regs);
    add(regs, "priv", "int", "general", NUMBER_PRIV, rv->xlen, FEATURE_VIRTUAL);
    rv->view = (struct guest_view){.arch = rv->xlen == 32 ? "riscv:rv32" : "riscv:rv64",
                                   .features = features,
                                   .nr_regs = regs->len,
                                   .nr_main = nr_main,
                                   .pc = NUMBER_PC,
                                   .sp = 2,
                                   .flat = !riscv_has(rv, RV_EXT_MMU)};
    rv->view.regs = (const struct guest_reg *)(void *)g_array_free(regs, FALSE);
    return &rv->view;
}

// ---- Registers ----

static uint64_t get(struct cpu *cpu, unsigned number)
{
    uint64_t v = 0;
    if (number < NUMBER_PC)
        return cpu->reg[number];
    if (number == NUMBER_PC)
        return cpu->pc;
    if (number < NUMBER_CSR0)
        return cpu->reg[RV_F0 + number - NUMBER_F0];
    if (number == NUMBER_PRIV)
        return riscv_cpu_of(cpu)->s.priv;
    bool exists = riscv_csr_peek(cpu, number - NUMBER_CSR0, &v);
    assert(exists);
    return v;
}

// Floating-point state that changes is to be saved by the guest's system.
static void set_f(struct cpu *cpu, unsigned n, unsigned bits, uint64_t v)
{
    struct riscv_cpu *rv = riscv_cpu_of(cpu);
    cpu->reg[RV_F0 + n] = bits == 32 ? v | MASK(63, 32) : v;
    if (rv->s.mstatus & MSTATUS_FS)
        riscv_set_fs_dirty(cpu, 0, 0, 0, 0);
}

static void set_priv(struct riscv_cpu *rv, uint64_t priv)
{
    bool exists = priv == PRIV_M || (priv == PRIV_S && riscv_has(rv, RV_EXT_S)) ||
                  (priv == PRIV_U && riscv_has(rv, RV_EXT_U));
    if (!exists)
        return;
    rv->s.priv = (uint8_t)priv;
    riscv_key_update(rv);
    riscv_irq_update(rv);
}

// A hart that waits goes on at a new pc.
static void set_pc(struct cpu *cpu, vaddr_t pc)
{
    bool halves = riscv_has(riscv_cpu_of(cpu), RV_EXT_ZCA);
    cpu->pc = pc & (halves ? ~UINT64_C(1) : ~UINT64_C(3));
    cpu->halted = false;
}

void riscv_debug_read(struct cpu *cpu, const struct guest_reg *reg, void *value)
{
    store_le(value, reg->bits / 8, get(cpu, reg->number));
}

void riscv_debug_write(struct cpu *cpu, const struct guest_reg *reg, const void *value)
{
    uint64_t v = load_le(value, reg->bits / 8);
    unsigned n = reg->number;
    if (n > 0 && n < NUMBER_PC)
        cpu->reg[n] = v;
    else if (n == NUMBER_PC)
        set_pc(cpu, v);
    else if (n >= NUMBER_F0 && n < NUMBER_CSR0)
        set_f(cpu, n - NUMBER_F0, reg->bits, v);
    else if (n == NUMBER_PRIV)
        set_priv(riscv_cpu_of(cpu), v);
    else if (n)
        riscv_csr_poke(cpu, n - NUMBER_CSR0, v);
}

// ---- In words ----

void riscv_debug_name(struct cpu *cpu, GString *out)
{
    g_string_append_printf(out, "hart %" PRIu64, riscv_cpu_of(cpu)->hartid);
}

void riscv_debug_state(struct cpu *cpu, GString *out)
{
    static const char modes[] = {'U', 'S', '?', 'M'};
    g_string_append_printf(out, "%c mode%s", modes[riscv_cpu_of(cpu)->s.priv & 3],
                           cpu->halted ? ", waits for an interrupt" : "");
}
