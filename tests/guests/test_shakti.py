#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap timeout=120
"""The board shakti_c: a program on its UART and its timer, beside QEMU's board of that name; and OpenSBI."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from console import Cases, Console, expect_equal, fetch

CC = "riscv64-unknown-elf-gcc"
QEMU = "qemu-system-riscv64"
DONE = "done\n"

# What it prints: registers as they are after reset, the CPU's letters, what an access beside all devices traps
# with, the cause of a timer interrupt; then what is typed, up to '.', with each letter's case changed.
PROGRAM = """
#define STATUS 0x0c
    .globl _start
_start:
    la t0, trapped; csrw mtvec, t0
    li s0, 0x11300
    lhu a0, 0(s0);    call print_hex        // BAUD
    lhu a0, 0x10(s0); call print_hex        // DELAY
    lhu a0, 0x14(s0); call print_hex        // CONTROL
    lhu a0, 0x18(s0); call print_hex        // IEN
    lbu a0, 0x20(s0); call print_hex        // RX_THRESHOLD
    li a0, 27; sh a0, 0(s0); lhu a0, 0(s0); call print_hex
    csrr a0, misa; call print_hex
    li t0, 0x60000000; lw a0, 0(t0); call print_hex

    li t0, 0x200bff8; ld t1, 0(t0); addi t1, t1, 1000; li t0, 0x2004000; sd t1, 0(t0)
    li t0, 0x80; csrw mie, t0; csrsi mstatus, 8
1:  wfi; beqz s1, 1b

2:  lbu t0, STATUS(s0); andi t0, t0, 4; beqz t0, 2b
    lbu a0, 0x08(s0); li t0, '.'; beq a0, t0, 3f
    xori a0, a0, 32; call print; j 2b
3:  la s2, text
4:  lbu a0, (s2); beqz a0, 5f; call print; addi s2, s2, 1; j 4b
5:  j 5b

print:
    lbu t6, STATUS(s0); andi t6, t6, 2; bnez t6, print
    sb a0, 4(s0); ret

print_hex:                                  // 32 bits of a0, and a new line
    mv s3, ra; mv s4, a0; li s5, 28
6:  srl a0, s4, s5; andi a0, a0, 15; li t0, 10; blt a0, t0, 7f; addi a0, a0, 39
7:  addi a0, a0, '0'; call print; addi s5, s5, -4; bgez s5, 6b
    li a0, 10; call print; mv ra, s3; ret

    .balign 4
trapped:                                    // by an instruction of 4 bytes, or by the timer
    csrr a0, mcause; bltz a0, 8f
    csrr t0, mepc; addi t0, t0, 4; csrw mepc, t0; mret
8:  csrw mie, zero; li s1, 1; mv s6, ra; call print_hex; mv ra, s6; mret

text: .asciz "\\ndone\\n"
"""


def build():
    tmp = Path(os.environ.get("TMPDIR", tempfile.gettempdir()))
    source, program = tmp / "shakti.S", tmp / "shakti.elf"
    source.write_text(PROGRAM)
    subprocess.run([CC, "-march=rv64i_zicsr", "-mabi=lp64", "-nostdlib", "-Wl,-Ttext=0x80000000", "-o", program,
                    source], check=True)
    return program


def output_of(program, emulator, watch):
    with Console("-M", "shakti_c", "-bios", program, "-nographic", program=emulator) as console:
        watch(console)
        console.expect(r"^00000007\n", 20)
        for letter in "hELLO":  # one by one: QEMU loses input that it has to keep waiting
            console.send(letter)
            console.expect(letter.swapcase(), 20)
        console.send(".")
        console.expect(DONE, 20)
        return console.log[: console.seen]


if not shutil.which(CC):
    print(f"no {CC} (apt-get install gcc-riscv64-unknown-elf)")
    sys.exit(77)

cases = Cases()
ours = None
program = build()
with cases.case("UART, traps and timer") as watch:
    ours = output_of(program, os.environ["FERRY"], watch)
    expect_equal(ours.split("\n")[:9], ["00000145", "00000000", "00000100", "00000000", "00000000", "0000001b",
                                        "0014112d", "00000005", "00000007"], "the output")
    expect_equal(ours.split("\n")[9], "Hello", "the echo")
if not shutil.which(QEMU):
    print(f"ok - the same in QEMU # SKIP no {QEMU}")
else:
    with cases.case("the same in QEMU") as watch:
        expect_equal(ours, output_of(program, QEMU, watch), "the output")
try:
    opensbi = fetch("opensbi")
except SystemExit:
    print("ok - OpenSBI # SKIP no OpenSBI")
else:
    with cases.case("OpenSBI") as watch:
        with Console("-M", "shakti_c", "-bios", opensbi / "fw_dynamic.bin", "-nographic") as console:
            watch(console)
            console.expect(r"^Platform Console Device +: shakti_uart")
            console.expect(r"^Boot HART Base ISA +: rv64ima?fdc")
cases.finish()
