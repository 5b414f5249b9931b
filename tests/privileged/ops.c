// SPDX-License-Identifier: MIT
// The code that runs in all modes, in pages of its own, and S-mode's trap handler. That one clobbers temporaries only,
// and leaves by an ecall; by an ebreak if it was entered by an ecall from S-mode, which would come back to it.
#include "guest.h"

__asm__(".pushsection .ops, \"awx\"\n"
        "   .option norvc\n"
        "   .balign 4096\n"
        "   .globl ops\n"
        "ops:\n"
        "   .globl s_trap\n"
        "s_trap:\n"
        "   li      t1, " STRING(
            DIRECT) "\n"
                    "s_trapped:\n"
                    "   csrr    t2, scause\n"
                    "   csrr    t3, sepc\n"
                    "   csrr    t4, stval\n"
                    "   csrr    t5, sstatus\n"
                    "   li      t6, " STRING(
                        FROM_S) "\n"
                                "   addi    t0, t2, -9\n"
                                "   beqz    t0, 1f\n"
                                "   ecall\n"
                                "1: ebreak\n"
                                "   .macro  s_entry n\n"
                                "s_entry_\\n:\n"
                                "   li      t1, \\n\n"
                                "   j       s_trapped\n"
                                "   .endm\n"
                                "   .macro  s_jump n\n"
                                "   j       s_entry_\\n\n"
                                "   .endm\n"
                                "   .balign 256\n"
                                "   .globl  s_vector\n"
                                "s_vector:\n"
                                "   .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
                                "   s_jump  \\n\n"
                                "   .endr\n"
                                "   .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"
                                "   s_entry \\n\n"
                                "   .endr\n"
                                ".popsection\n");

// Apart from the handler, so that a page that U-mode may use need not be S-mode's.
#define OP(name, code)                     \
    __asm__(".pushsection .ops, \"awx\"\n" \
            "   .option norvc\n"           \
            "   .balign 4\n"               \
            "   .globl op_" #name "\n"     \
            "op_" #name ":\n" code "\n"    \
            "   ecall\n"                   \
            ".popsection\n");
#include "ops.def"
#undef OP

__asm__(".pushsection .ops, \"awx\"\n"
        "   .globl ops_end\n"
        "ops_end:\n"
        ".popsection\n");
