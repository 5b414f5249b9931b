#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=1800
"""1000 random mixes of gdb's commands, on one hart with interrupts and on four: the machine ends as it does without a
debugger. FERRY_GDB_MIXES says how many, FERRY_GDB_FIRST the number of the first."""

import os
import subprocess

from debugger import FERRY, GDB, TMP, Cases, Failure, SRC, build

PROGRAM = r"""
#include <stdint.h>
char stack[4][4096] __attribute__((aligned(16)));
__attribute__((naked)) void _start(void)
{
    asm("csrr a0, mhartid; la sp, stack; addi t0, a0, 1; slli t0, t0, 12; add sp, sp, t0; call main");
}
volatile unsigned counter, order, mine[4], ticks[4];
#define MTIMECMP ((volatile uint64_t *)0x02004000)
#define MTIME (*(volatile uint64_t *)0x0200bff8)

__attribute__((noinline)) unsigned mix(unsigned v) { return v * 1664525 + 1013904223; }
__attribute__((noinline)) void count(unsigned hart)
{
    __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
    mine[hart]++;
    order = mix(order + hart);
}
__attribute__((interrupt, aligned(4))) void handler(void)
{
    unsigned long hart;
    asm volatile("csrr %0, mhartid" : "=r"(hart));
    ticks[hart]++;
    MTIMECMP[hart] = MTIME + 3 + (mix(ticks[hart]) >> 24);
}
void main(unsigned hart)
{
    asm volatile("csrw mtvec, %0" ::"r"(handler));
    MTIMECMP[hart] = MTIME + 5;
    asm volatile("csrw mie, %0; csrsi mstatus, 8" ::"r"(0x80));
    for (unsigned i = 0;; i++) {
        count(hart);
        if (!(mix(i + hart) >> 28))
            asm volatile("wfi");
    }
}
"""

mixes, first = int(os.environ.get("FERRY_GDB_MIXES") or 1000), int(os.environ.get("FERRY_GDB_FIRST") or 0)
program = build("mixes", PROGRAM, flags=("-O1", "-fno-toplevel-reorder"))


def run_mixes(harts, start, count):
    env = {"MIX_PROGRAM": str(program), "MIX_DIR": str(TMP), "MIX_ARGS": f"-M virt -smp {harts}", "FERRY": FERRY,
           "MIX_FIRST": str(start), "MIX_COUNT": str(count), "MIX_BREAKS": "count mix handler mixes.c:16 mixes.c:18",
           "MIX_WATCHES": "counter order mine[0] ticks[0]"}
    result = subprocess.run([GDB, "-q", "-nx", "-batch", "-iex", "set debuginfod enabled off", str(program), "-x",
                             str(SRC / "tests/gdb/mixes.py")], env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if f"{count} mixes leave no trace" not in result.stdout:
        raise Failure(result.stdout[-4000:])


cases = Cases()
for i, machine_harts in enumerate((1, 4)):
    with cases.case(f"{mixes // 2} mixes on {machine_harts} harts"):
        run_mixes(machine_harts, first + i * (mixes // 2), mixes // 2)
cases.finish()
