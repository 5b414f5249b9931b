#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap timeout=300
"""gdb on programs without a system, of 64 and 32 bits: everything that it can do with a machine of one hart."""

from debugger import ARCH, Cases, Debugger, Target, build, check, expect_equal

PROGRAM = r"""
#include <stdint.h>
char stack[8192] __attribute__((aligned(16)));
__attribute__((naked)) void _start(void) { asm("la sp, stack + 8192; call main"); }
typedef unsigned long reg;
volatile int counter, other, ticks;
volatile char bytes[16];
struct point { int x, y; } volatile where = {3, 4};
#define UART ((volatile uint8_t *)0x10000000)

static void put(const char *s) { while (*s) *UART = *s++; }
__attribute__((noinline)) int square(int x) { return x * x; }
__attribute__((noinline)) void leaf(int i)
{
    counter += square(i);
    bytes[i & 15] = i;
}
__attribute__((noinline)) int deep(int n)
{
    if (!n)
        return 0;
    int r = deep(n - 1);
    asm volatile("" : "+r"(r)); // no loop
    return r + n;
}
__attribute__((noinline)) void loop(int n)
{
    for (int i = 0; i < n; i++)
        leaf(i);
    other++;
}
__attribute__((interrupt, aligned(4))) void handler(void)
{
    reg cause;
    asm volatile("csrr %0, mcause" : "=r"(cause));
    *(volatile uint32_t *)0x02004004 = -1;
    ticks++;
    *(volatile uint32_t *)0x02004000 = *(volatile uint32_t *)0x0200bff8 + 2;
    *(volatile uint32_t *)0x02004004 = 0;
}
void main(void)
{
    put("hello\n");
    loop(20);
    where.x = deep(10);
    asm volatile("csrw mtvec, %0" :: "r"(handler));
    *(volatile uint32_t *)0x02004000 = 0;
    *(volatile uint32_t *)0x02004004 = 0;
    asm volatile("csrw mie, %0; csrsi mstatus, 8" :: "r"(0x80));
    for (;;)
        loop(3);
}
"""


def machine(bits):
    program = build("bare", PROGRAM, bits=bits, flags=("-O1", "-fno-toplevel-reorder", "-fno-inline-functions-called-once"))
    return Target("-M", "virt", "-cpu", f"rv{bits}", "-bios", "none", "-kernel", program, "-display", "none", "-serial",
                  "stdio", program=program)


def looks_around(bits):
    with machine(bits) as t:
        watch(t)
        g = t.gdb
        g.expect("info threads", rf'\* 1 +Thread 1 "hart 0" \(M mode\) 0x0*1000 in')
        g.expect("show architecture", f"riscv:rv{bits}")
        g.expect("break main", "Breakpoint 1 at 0x8000")
        g.expect("continue", r"Breakpoint 1, main \(\)")
        g.expect("info registers", rf"sp +0x8000.*pc +0x8000\w+\t0x8000\w+ <main")
        g.expect("info registers priv", r"priv +0x3\tprv:3 \[Machine\]")
        g.expect("print $misa", r"= .*")
        everything = g.run("info registers all")
        for name in ("mstatus", "mhartid", "pmpaddr15", "minstret", "stvec", "satp", "mcounteren"):
            check(f"\n{name} " in everything, f"no {name}")
        g.expect("print/x $mhartid", "= 0x0")
        g.run("set $mscratch = 0x12345")
        g.expect("print/x $mscratch", "= 0x12345")
        g.run("set $mhartid = 5")
        g.run("maintenance flush register-cache")
        g.expect("print/x $mhartid", "= 0x0")
        if bits == 64:
            g.run("set $mstatus = $mstatus | 0x2000")
            g.run("set $fa0 = 1.5")
            g.run("set $fcsr = 0x21")
            g.run("maintenance flush register-cache")
            g.expect("print $fa0", r"double = 1\.5")
            g.expect("print/x $frm", "= 0x1")
            g.expect("print/x $fflags", "= 0x1")
        g.expect("x/2i $pc", r"=> 0x8000\w+ <main.*>:")
        g.expect("print where", r"\{x = 3, y = 4\}")
        g.run("set var where.y = 77")
        g.expect("print where.y", "= 77")
        g.expect("x/4xb 0x10000005", "0x60")
        g.expect("print *(int *)0x70000000", "Cannot access memory")
        g.expect("find /w &where, +64, 77", "<where\\+4>")
        g.expect("compare-sections .text", r"Section .text, .* matched")
        g.expect("print square(7)", "= 49")
        g.expect("print deep(4)", "= 10")


def stops(bits):
    with machine(bits) as t:
        watch(t)
        g = t.gdb
        g.run("tbreak leaf")
        g.expect("continue", r"Temporary breakpoint 1, leaf \(i=.*0\)")
        t.machine.expect("hello")
        g.expect("backtrace", r"#0 +leaf .*#1 .* loop .*#2 .* main")
        g.run("hbreak square if x == 5")
        g.expect("continue", r"Breakpoint 2, square \(x=.*5\)")
        expect_equal(g.value("counter"), 1 + 4 + 9 + 16, "counter")
        g.expect("finish", r"Value returned is .* 25")
        g.run("delete")
        g.expect("watch other", "Hardware watchpoint 3")
        g.expect("continue", "Old value = 0.*New value = 1")
        g.run("delete")
        g.run("break deep if n == 0")
        g.expect("continue", "Breakpoint 4, deep")
        g.expect("backtrace 3", r"deep \(n=.*0\).*deep \(n=.*1\).*deep \(n=.*2\)")
        g.expect("up 10", "deep .*n=.*10")
        g.expect("info breakpoints", "breakpoint already hit 1 time")
        g.run("delete")
        g.expect("rwatch counter", "Hardware read watchpoint 5")
        g.expect("awatch bytes[1]", "Hardware access.*watchpoint 6")
        g.expect("continue", r"read watchpoint 5: counter.*Value = 2470")
        g.expect("continue", "read watchpoint 5: counter")
        g.expect("continue", r"access.*watchpoint 6: bytes\[1\].*Old value = 17.*New value = 1 ")
        g.run("delete")
        g.run("break handler")
        ticks = g.value("ticks")
        g.run("ignore 7 2")
        g.expect("continue", "Breakpoint 7, handler")
        expect_equal(g.value("ticks"), ticks + 2, "ticks")


def steps(bits):
    with machine(bits) as t:
        watch(t)
        g = t.gdb
        g.run("break loop if n == 3")
        g.expect("continue", r"Breakpoint 1, loop \(n=.*3\)")
        before = g.value("$pc")
        g.expect("stepi", "0x")
        check(2 <= g.value("$pc") - before <= 4, "not one instruction")
        g.run("delete")
        g.expect("tbreak leaf", "Temporary")
        g.expect("continue", "leaf")
        g.run("step")
        g.expect("step", "square")
        g.expect("finish", "Value returned")
        # Interrupts are on now, and come all the time: nobody who steps meets their handler.
        for _ in range(60):
            g.expect("next", r"^\d+\t")
            g.expect("info symbol $pc", r"^(leaf|loop|main) ")
        ticks = g.value("ticks")
        check(ticks > 3, f"{ticks} ticks")
        for _ in range(60):
            g.run("stepi 5")
            g.expect("info symbol $pc", r"^(leaf|loop|main|square)( |$)")
        check(g.value("ticks") > ticks, "no interrupt came")
        # Unless they want to.
        g.expect("maintenance packet Qqemu.sstep=1", "OK")
        g.run("break handler")
        g.expect("continue", "handler")
        g.run("delete")
        seen = set()
        for _ in range(400):
            g.run("stepi")
            seen.add(g.expect("info symbol $pc", r"^(\w+)").group(1))
        check({"handler", "loop"} <= seen, f"only {seen}")
        g.expect("until", ".*")
        g.run("tbreak main")
        g.expect("jump _start", "main")
        g.expect("info line", "Line")


def comes_and_goes(bits):
    with machine(bits) as t:
        watch(t)
        g = t.gdb
        g.run("break loop")
        g.expect("continue", "Breakpoint 1, loop")
        g.expect("detach", "detached")
        t.machine.expect("hello")
        t.connect()
        g.expect("info symbol $pc", "^(loop|leaf|square|main|handler)")
        g.run("delete")
        check("SIGINT" in g.interrupt(), "no SIGINT")
        g.expect("disconnect", "Ending")
        t.connect("extended-remote")
        g.expect("kill", "killed")
        g.run("break main")
        g.expect("run", r"Breakpoint \d+, main")
        g.run("tbreak loop")
        g.expect("continue", "loop")
        t.machine.expect("hello")
        g.run("delete")
        # A second gdb waits until the first has gone.
        with Debugger() as other:
            other.send(f"target remote {t.socket}")
            g.expect("print counter", "= ")
            g.run("disconnect")
            check("0x" in other.read(60), "no connection")
            other.expect("kill", "killed")
        expect_equal(t.machine.wait(), 0, "the exit status")


def loads():
    """A board without an MMU: gdb knows its flash, and loads a program into it."""
    source = """
        .globl _start, after; _start: li a0, 5; la t0, value; sw a0, (t0)
        after: j after
        .section .data; .globl value; value: .word 0
    """
    program = build("flash", source, bits=32, start=0x20400000, flags=("-Wl,-Tdata=0x80000000",))
    idle = build("idle", ".globl _start; _start: j _start", bits=32, start=0x20400000)
    with Target("-M", "sifive_e", "-bios", "none", "-kernel", idle, "-display", "none", "-serial", "none",
                program=program) as t:
        watch(t)
        g = t.gdb
        g.expect("info mem", r"0x20000000 0x40000000 flash.*0x80000000 0x80004000 rw")
        g.expect("compare-sections .text", "MIS-MATCHED")
        g.expect("load", r"Loading section .text.*Start address 0x20400000")
        g.expect("compare-sections .text", "matched")
        g.expect("break after", "Breakpoint 1 at 0x2040")
        g.expect("continue", "Breakpoint 1, .*after")
        expect_equal(g.value("*(int *)&value"), 5, "value")
        g.expect("print *(int *)0x70000000", "Cannot access memory")


cases = Cases()
for width in ARCH:
    for function in (looks_around, stops, steps, comes_and_goes):
        with cases.case(f"{function.__name__.replace('_', ' ')}, {width} bits") as watch:
            function(width)
with cases.case("loads into flash") as watch:
    loads()
cases.finish()
