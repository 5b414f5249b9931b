// SPDX-License-Identifier: MIT
// A whole machine with what steers it, made from a command line and a few words of code.
#ifndef TESTS_UNIT_VM_RIG_H
#define TESTS_UNIT_VM_RIG_H

#include "control/vm.h"

struct vm_rig {
    struct cmdline *c;
    struct session *s;
    struct machine *m;
    struct vm *vm;
    char *path; // of the code's file
};

#define VM_RIG_CODE UINT64_C(0x80000000) // where the code is

// `args` are separated by spaces and come behind "-M virt -m 16M -display none -serial none -bios <code>".
void vm_rig_open(struct vm_rig *r, const char *args, const uint32_t *code, size_t bytes);
void vm_rig_close(struct vm_rig *r);
// A slice of so many instructions.
enum machine_stop vm_rig_run(struct vm_rig *r, icount_t insns);

#endif
