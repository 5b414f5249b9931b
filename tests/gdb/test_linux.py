#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=900
"""gdb on OpenSBI and Linux: firmware, kernel and programs, in the address space of each. Where functions are, the
kernel tells itself."""

from debugger import TMP, Cases, Target, check, expect_equal, fetch, make

PROMPT = r"^/ # "
linux = fetch("linux")
initrd = make("mkinitramfs", TMP / "initramfs.cpio")


def machine(*args):
    return Target("-M", "virt", "-m", "256M", "-kernel", linux / "Image", "-initrd", initrd, "-append",
                  "console=ttyS0", "-nographic", *args)


def expect_mode(g, mode):
    expect_equal(g.value("$priv"), mode, "the privilege")


def boots(harts):
    with machine("-smp", harts) as t:
        watch(t)
        g, console = t.gdb, t.machine
        # Firmware: from its first instruction, in machine mode, at physical addresses.
        g.run("tbreak *0x80000000")
        g.expect("continue", "Temporary breakpoint 1, 0x0*80000000")
        expect_mode(g, 3)
        g.expect("info threads", rf'Thread {harts} "hart {harts - 1}" \(M mode')
        # The kernel: where firmware leaves to it, in supervisor mode, without page tables yet.
        g.run("tbreak *0x80200000")
        g.expect("continue", "Temporary breakpoint 2, 0x0*80200000")
        expect_mode(g, 1)
        expect_equal(g.value("$satp"), 0, "satp")
        # Its first calls of the firmware, and back.
        g.run("hbreak *($mtvec & ~3) if $mcause == 9")
        g.expect("continue", "Breakpoint 3")
        expect_mode(g, 3)
        caller = g.value("$mepc")
        g.run("delete")
        g.run(f"tbreak *{caller + 4:#x}")
        g.expect("continue", "Temporary breakpoint")
        expect_mode(g, 1)
        # The firmware's trap handler is out of the kernel's reach, but not of ours.
        g.expect("x/2i $mtvec", r"csrrw")
        g.expect("detach", "detached")
        console.expect(PROMPT, 240)
        looks_into_linux(t)


def address(console, name):
    return int(console.run(f"grep -w {name} /proc/kallsyms", PROMPT).split()[0], 16)


def looks_into_linux(t):
    g, console = t.gdb, t.machine
    console.run("echo 0 >/proc/sys/kernel/kptr_restrict", PROMPT)
    open_file, jiffies = address(console, "do_sys_openat2"), address(console, "jiffies_64")
    check(open_file >> 63, "a kernel's address")
    t.connect()
    g.run(f"hbreak *{open_file:#x}")
    g.send("continue")
    console.send("cat /proc/version\r")
    names = []
    while "/proc/version" not in names:
        check("Breakpoint" in g.read(120), "it does not stop")
        # Arguments are the program's, read in its address space.
        names.append(g.expect("x/s $a1", r'"(.*)"').group(1))
        expect_mode(g, 1)
        if names[-1] != "/proc/version":
            g.send("continue")
    # Back in the program: it goes on behind its call.
    g.run("delete")
    g.run("tbreak *($sepc + 4)")
    g.expect("continue", "Temporary breakpoint")
    expect_mode(g, 0)
    g.expect("x/i $pc - 4", "ecall")
    g.expect("stepi", "0x")
    # Time goes on: the kernel counts it in a variable.
    g.run(f"watch *(unsigned long *){jiffies:#x}")
    before = g.value(f"*(unsigned long *){jiffies:#x}")
    g.expect("continue", f"Old value = {before}.*New value = {before + 1}")
    expect_mode(g, 1)
    g.run("delete")
    for _ in range(20):
        g.expect("stepi", "0x")
    g.expect("info threads", "S mode|U mode|M mode")
    g.expect("detach", "detached")
    console.expect(r"^Linux version 6")
    console.expect(PROMPT)
    check("25" in console.run("echo $((5 * 5))", PROMPT), "the shell does not count")


cases = Cases()
for n in (1, 4):
    with cases.case(f"OpenSBI and Linux on {n} harts") as watch:
        boots(n)
cases.finish()
