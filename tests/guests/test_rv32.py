#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=600
"""Linux on the 32-bit machine, translated and interpreted. Its kernel takes minutes to build, so it is not built
here."""

import subprocess
import sys
from pathlib import Path

from console import GUESTS, Cases, Console, expect_equal

STAGES = ("memory", "pipe", "float", "harts", "clock")

built = subprocess.run([GUESTS / "build-rv32-linux", "-n"], capture_output=True, text=True)
if built.returncode != 0:
    print(built.stderr.strip())
    sys.exit(77)
rv32 = Path(built.stdout.strip())



def boot(harts, accel, watch):
    with Console("-M", "virt", "-cpu", "rv32", "-smp", harts, "-m", "128M", "-bios", rv32 / "fw_dynamic.bin",
                 "-kernel", rv32 / "Image", "-append", f"console=ttyS0 harts={harts}", "-nographic", "-accel",
                 accel) as console:
        watch(console)
        console.expect(r"^Boot HART Base ISA +: rv32ima")
        console.expect(r"Linux version 6\.")
        for stage in STAGES:
            expect_equal(console.expect(rf"^FERRY RV32: {stage}: (\w+)\n", 200).group(1), "ok", stage)
        console.expect(r"^FERRY RV32: passed\n")
        expect_equal(console.wait(), 0, "the exit status")


cases = Cases()
for number in (1, 3):
    for executor in ("dbt", "interp"):
        with cases.case(f"32-bit Linux on {number} harts, {executor}") as watcher:
            boot(number, executor, watcher)
cases.finish()
