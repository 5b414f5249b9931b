#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap timeout=300
"""gdb on a program of four harts: each is a thread."""

import re

from debugger import Cases, Target, build, check, expect_equal

PROGRAM = r"""
char stack[4][4096] __attribute__((aligned(16)));
__attribute__((naked)) void _start(void)
{
    asm("csrr a0, mhartid; la sp, stack; addi t0, a0, 1; slli t0, t0, 12; add sp, sp, t0; call main");
}
volatile unsigned total, mine[4];
__attribute__((noinline)) void count(unsigned hart)
{
    __atomic_fetch_add(&total, 1, __ATOMIC_SEQ_CST);
    mine[hart]++;
}
__attribute__((noinline)) void sleep(void) { for (;;) asm volatile("wfi"); }
void main(unsigned hart)
{
    while (hart != 3 || mine[3] < 5)
        count(hart);
    sleep();
}
"""
program = build("harts", PROGRAM, flags=("-O1", "-fno-toplevel-reorder"))


def machine():
    return Target("-M", "virt", "-smp", 4, "-bios", "none", "-kernel", program, "-display", "none", "-serial", "none",
                  program=program)


def threads():
    with machine() as t:
        watch(t)
        g = t.gdb
        text = g.run("info threads")
        for i in range(4):
            check(f'Thread {i + 1} "hart {i}" (M mode)' in text, f"no thread {i + 1}: {text}")
        g.run("break count if mine[3] == 3")
        g.expect("continue", "hit Breakpoint 1, count")
        text = g.run("thread apply all print $mhartid")
        for i in range(4):
            check(re.search(rf'"hart {i}" \(M mode\)\):\n\$\d+ = {i}\n', text), text)
        g.expect("thread 4", "Switching to thread 4")
        expect_equal(g.value("$mhartid"), 3, "mhartid")
        g.run("set $mscratch = 44")
        g.run("thread 1")
        g.run("maintenance flush register-cache")
        expect_equal(g.value("$mscratch"), 0, "hart 0's mscratch")
        g.run("delete")
        g.run("break sleep")
        g.expect("continue", r'Thread 4 "hart 3" hit Breakpoint 2, sleep')
        expect_equal(g.value("$mscratch"), 44, "hart 3's mscratch")
        g.run("delete")
        check("SIGINT" in g.interrupt(), "no SIGINT")
        g.expect("info threads", r'Thread 4 "hart 3" \(M mode, waits for an interrupt\)')


def breakpoints():
    with machine() as t:
        watch(t)
        g = t.gdb
        g.run("break count thread 3")
        for _ in range(5):
            g.expect("continue", 'Thread 3 "hart 2" hit Breakpoint 1, count')
            expect_equal(g.value("$a0"), 2, "a0")
        g.run("delete")
        g.run("watch mine[1]")
        for _ in range(3):
            before = g.value("mine[1]")
            g.expect("continue", 'Thread 2 "hart 1" hit Hardware watchpoint 2')
            expect_equal(g.value("mine[1]"), before + 1, "mine[1]")
        g.run("delete")
        g.run("break count")
        seen = set()
        for _ in range(40):  # they take turns: each runs for a while
            g.run("ignore 3 5000")
            seen.add(g.expect("continue", r'Thread (\d) "hart').group(1))
        check(len(seen) == 4 or seen == {"1", "2", "3"}, f"only threads {seen}")


def steps():
    """A step of a thread is one of its instructions, whatever the others do meanwhile."""
    with machine() as t:
        watch(t)
        g = t.gdb
        g.run("tbreak count")
        g.run("continue")
        for i in (1, 2, 3, 1, 3, 2):
            g.run(f"thread {i}")
            retired = g.value("$minstret")
            for n in range(1, 4):
                g.run("stepi")
                expect_equal(g.value("$_thread"), i, "the thread")
                expect_equal(g.value("$minstret"), retired + n, "minstret")
        g.run("thread 2")
        for _ in range(20):
            g.expect("next", r"^\d+\t")
            expect_equal(g.value("$_thread"), 2, "the thread")


cases = Cases()
for function in (threads, breakpoints, steps):
    with cases.case(function.__name__) as watch:
        function()
cases.finish()
