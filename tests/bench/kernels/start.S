# SPDX-License-Identifier: MIT
# Where a bare program starts: in M-mode at the bottom of RAM. Floating point on, a stack, C; traps end the machine.
    .section .text.start, "ax"
    .globl _start
_start:
    la      t0, trap
    csrw    mtvec, t0
    li      t0, 0x2000 # mstatus.FS
    csrs    mstatus, t0
    csrw    fcsr, zero
    la      sp, stack_top
    call    board_main

    .balign 4
trap:
    csrr    a0, mcause
    addi    a0, a0, 64 # tells a trap from a mistake in the parameters
    call    board_fail

    .bss
    .balign 16
    .skip   65536
stack_top:
