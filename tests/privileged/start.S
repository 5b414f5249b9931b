# SPDX-License-Identifier: MIT
# Start of all harts, M-mode's trap handler, and the way into other modes and back.
#include "guest.h"

#if XLEN == 64
# define L ld
# define ST sd
# define REG 8
#else
# define L lw
# define ST sw
# define REG 4
#endif
#define CTX(n) (REG * (n))(tp)

    .option norvc
    .section .text.start, "ax"
    .globl _start
_start:
    # What must be looked at before anything changes it. The reservation first.
    la      t1, scratch
    sc.w    s0, zero, (t1)
    csrr    s1, mstatus
    csrr    s2, mcause
    la      t0, 1f
    csrw    mtvec, t0
    li      s3, 0
    csrr    s3, 0x747               # mseccfg, if there is one
    .balign 4
1:  la      t0, 1f
    csrw    mtvec, t0
    li      s4, 0
    csrr    s4, 0x3a0               # pmpcfg0
    .balign 4
1:  csrr    s5, mhartid
    li      t0, NR_HARTS
    bgeu    s5, t0, stop
    la      tp, contexts
    li      t0, CTX_SIZE * REG
    mul     t0, t0, s5
    add     tp, tp, t0
    ST      s0, CTX(CTX_RESET)
    ST      s1, CTX(CTX_RESET + 1)
    ST      s2, CTX(CTX_RESET + 2)
    ST      s3, CTX(CTX_RESET + 3)
    ST      s4, CTX(CTX_RESET + 4)
    csrw    mscratch, tp
    la      t0, m_trap
    csrw    mtvec, t0
    la      sp, stacks
    li      t0, STACK_SIZE
    addi    t1, s5, 1
    mul     t0, t0, t1
    add     sp, sp, t0
    mv      a0, s5
    call    start
stop:
    wfi
    j       stop

# unsigned long enter(pc, a0, a1, a2): leaves by mret; comes back when the code traps.
    .text
    .globl enter
enter:
    ST      ra, CTX(CTX_SAVED)
    ST      sp, CTX(CTX_SAVED + 1)
    ST      s0, CTX(CTX_SAVED + 2)
    ST      s1, CTX(CTX_SAVED + 3)
    ST      s2, CTX(CTX_SAVED + 4)
    ST      s3, CTX(CTX_SAVED + 5)
    ST      s4, CTX(CTX_SAVED + 6)
    ST      s5, CTX(CTX_SAVED + 7)
    ST      s6, CTX(CTX_SAVED + 8)
    ST      s7, CTX(CTX_SAVED + 9)
    ST      s8, CTX(CTX_SAVED + 10)
    ST      s9, CTX(CTX_SAVED + 11)
    ST      s10, CTX(CTX_SAVED + 12)
    ST      s11, CTX(CTX_SAVED + 13)
    li      t0, 1
    ST      t0, CTX(CTX_RUNNING)
    csrw    mepc, a0
    mv      a0, a1
    mv      a1, a2
    mv      a2, a3
    li      t6, 0
    mret

    .balign 4
    .globl m_trap
m_trap:
    csrrw   tp, mscratch, tp
    ST      t0, CTX(CTX_T0)
    li      t0, DIRECT
    j       trapped

    .macro  entry n
entry_\n:
    csrrw   tp, mscratch, tp
    ST      t0, CTX(CTX_T0)
    li      t0, \n
    j       trapped
    .endm

    .macro  jump n
    j       entry_\n
    .endm

    # Vectored: an entry for each cause; that of exceptions is the base.
    .balign 256
    .globl m_vector
m_vector:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    jump    \n
    .endr
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    entry   \n
    .endr

trapped:
    ST      t0, CTX(CTX_VECTOR)
    csrr    t0, minstret            # the handler's sixth instruction
    ST      t0, CTX(CTX_INSTRET)
    li      t0, MSTATUS_MPRV
    csrrc   t0, mstatus, t0
    ST      t0, CTX(CTX_STATUS)
    ST      a0, CTX(CTX_A0)
    ST      t1, CTX(CTX_T1)
    ST      t2, CTX(CTX_T1 + 1)
    ST      t3, CTX(CTX_T1 + 2)
    ST      t4, CTX(CTX_T1 + 3)
    ST      t5, CTX(CTX_T1 + 4)
    ST      t6, CTX(CTX_T1 + 5)
    csrw    mscratch, tp
    csrr    t0, mcause
    ST      t0, CTX(CTX_CAUSE)
    csrr    t0, mepc
    ST      t0, CTX(CTX_EPC)
    csrr    t0, mtval
    ST      t0, CTX(CTX_TVAL)
    L       t0, CTX(CTX_RUNNING)
    beqz    t0, unexpected
    ST      zero, CTX(CTX_RUNNING)
    L       ra, CTX(CTX_SAVED)
    L       sp, CTX(CTX_SAVED + 1)
    L       s0, CTX(CTX_SAVED + 2)
    L       s1, CTX(CTX_SAVED + 3)
    L       s2, CTX(CTX_SAVED + 4)
    L       s3, CTX(CTX_SAVED + 5)
    L       s4, CTX(CTX_SAVED + 6)
    L       s5, CTX(CTX_SAVED + 7)
    L       s6, CTX(CTX_SAVED + 8)
    L       s7, CTX(CTX_SAVED + 9)
    L       s8, CTX(CTX_SAVED + 10)
    L       s9, CTX(CTX_SAVED + 11)
    L       s10, CTX(CTX_SAVED + 12)
    L       s11, CTX(CTX_SAVED + 13)
    ret

    .bss
    .balign 16
stacks:
    .skip   STACK_SIZE * NR_HARTS
scratch:
    .skip   16
