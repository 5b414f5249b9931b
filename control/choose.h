// SPDX-License-Identifier: MIT
// Chooses what the user left open: what the file without an option is, the board, the CPUs' width, the size
// of RAM.
#ifndef CONTROL_CHOOSE_H
#define CONTROL_CHOOSE_H

#include "control/cmdline.h"
#include "machine/machine.h"

// Makes c->file a kernel (a bare program, if it is ELF: without firmware) or a disk.
bool choose_file(struct cmdline *c, GError **error);
// Sets board, bits, kernel, bios, ram_size and smp.
bool choose_machine(struct machine_config *cfg, const struct cmdline *c, GError **error);

#endif
