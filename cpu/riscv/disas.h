// SPDX-License-Identifier: MIT
// Disassembly of one instruction given as its bits.
#ifndef CPU_RISCV_DISAS_H
#define CPU_RISCV_DISAS_H

#include <glib.h>

#include "cpu/riscv/decode.h"

// Appends the text. canonical: the line's own mnemonic and operands, no aliases and no rewriting of 16-bit
// instructions as long ones.
void riscv_disas_insn(const struct riscv_decoder *d, vaddr_t pc, uint32_t bits, bool canonical,
                      GString *out);

#endif
