// SPDX-License-Identifier: MIT
// Registers as the monitor prints them for people.
#include <inttypes.h>

#include "cpu/riscv/riscv.h"

static const uint16_t shown_csrs[] = {
    0xf14, // mhartid
    0x300, // mstatus
    0x344, // mip
    0x304, // mie
    0x303, // mideleg
    0x302, // medeleg
    0x305, // mtvec
    0x105, // stvec
    0x341, // mepc
    0x141, // sepc
    0x342, // mcause
    0x142, // scause
    0x343, // mtval
    0x143, // stval
    0x340, // mscratch
    0x140, // sscratch
    0x180, // satp
    0x003, // fcsr
};

static const char *const priv_names[] = {[PRIV_U] = "U", [PRIV_S] = "S", [PRIV_M] = "M"};

// Four a line, by number and ABI name.
static void print_file(GString *out, char letter, const char *const *names, const uint64_t *regs,
                       int digits)
{
    for (unsigned i = 0; i < 32; i++) {
        g_autofree char *name = g_strdup_printf("%c%u/%s", letter, i, names[i]);
        g_string_append_printf(out, " %-8s %0*" PRIx64 "%s", name, digits, regs[i],
                               i % 4 == 3 ? "\n" : "");
    }
}

void riscv_print_registers(struct cpu *cpu, GString *out)
{
    const struct riscv_cpu *rv = riscv_cpu_of(cpu);
    int digits = (int)rv->xlen / 4;
    uint64_t value;

    g_string_append_printf(out, " %-8s %s%s\n", "mode", priv_names[rv->s.priv],
                           cpu->halted ? ", waiting for an interrupt" : "");
    g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", "pc", digits, cpu->pc);
    for (unsigned i = 0; i < ARRAY_LEN(shown_csrs); i++) {
        if (riscv_csr_peek(cpu, shown_csrs[i], &value))
            g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", riscv_csr_name(shown_csrs[i]),
                                   digits, value);
    }
    print_file(out, 'x', riscv_x_names, cpu->reg, digits);
    if (riscv_has(rv, RV_EXT_F))
        print_file(out, 'f', riscv_f_names, cpu->reg + RV_F0, 16);
}
