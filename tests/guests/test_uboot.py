#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=600
"""Firmware of others: OpenSBI, and U-Boot in M-mode to its prompt and in S-mode from a disk into Linux."""

import os
import tempfile
from pathlib import Path

from console import Cases, Console, expect_equal, fetch, make

PROMPT = r"^=> "
SCRIPT = """#!/bin/sh
uname -m
cat /proc/cmdline
poweroff -f
"""

cases = Cases()
uboot = fetch("uboot")
opensbi = fetch("opensbi")
tmp = Path(os.environ.get("TMPDIR", tempfile.gettempdir()))

with cases.case("U-Boot in M-mode: prompt, commands, power off") as watch:
    with Console("-M", "virt", "-m", "256M", "-bios", uboot / "riscv64/u-boot.bin", "-nographic") as console:
        watch(console)
        console.expect(r"^U-Boot \d{4}\.\d\d")
        console.expect(r"^DRAM: +256 MiB")
        console.expect(r"Hit any key")
        console.send(" ")
        console.expect(PROMPT)
        expect_equal(console.run("setexpr.l sum 0x1234 * 0x10; echo $sum", PROMPT).strip(), "12340", "the product")
        console.run("mw.l 0x88000000 0xdeadbeef 0x1000; cp.l 0x88000000 0x88100000 0x1000", PROMPT)
        output = console.run("cmp.l 0x88000000 0x88100000 0x1000", PROMPT)
        expect_equal(output.strip(), "Total of 4096 word(s) were the same", "the comparison")
        console.send("poweroff\r")
        expect_equal(console.wait(), 0, "the exit status")

with cases.case("U-Boot in M-mode: reset starts over") as watch:
    with Console("-M", "virt", "-m", "256M", "-bios", uboot / "riscv64/u-boot.bin", "-nographic") as console:
        watch(console)
        for _ in range(2):
            console.expect(r"^U-Boot \d{4}\.\d\d")
            console.expect(r"Hit any key")
            console.send(" ")
            console.expect(PROMPT)
            console.send("reset\r")
        console.expect(r"^U-Boot \d{4}\.\d\d")

for name, options in (("fw_dynamic.bin", ()), ("fw_jump.bin", ("-smp", "3"))):
    with cases.case(f"OpenSBI's {name} starts U-Boot in S-mode") as watch:
        with Console("-M", "virt", "-m", "256M", "-bios", opensbi / name,
                     "-kernel", uboot / "riscv64_smode/u-boot.bin", *options, "-nographic") as console:
            watch(console)
            console.expect(r"^OpenSBI v1\.\d")
            console.expect(rf"^Platform HART Count +: {3 if options else 1}$")
            console.expect(r"Hit any key")
            console.send(" ")
            console.expect(PROMPT)
            console.send("poweroff\r")
            expect_equal(console.wait(), 0, "the exit status")

linux = fetch("linux")
fetch("busybox")
(tmp / "script").write_text(SCRIPT)
initrd = make("mkinitramfs", tmp / "initrd.cpio", "-s", tmp / "script")
disk = make("mkdisk", tmp / "disk.img", linux / "Image", initrd, "console=ttyS0 ferry.script from=disk")
with cases.case("U-Boot in S-mode boots Linux from a disk") as watch:
    with Console("-M", "virt", "-smp", "2", "-m", "1G", "-bios", opensbi / "fw_dynamic.bin",
                 "-kernel", uboot / "riscv64_smode/u-boot.bin",
                 "-drive", f"file={disk},if=none,format=raw,id=hd0", "-device", "virtio-blk-device,drive=hd0",
                 "-nographic") as console:
        watch(console)
        console.expect(r"Found /extlinux/extlinux\.conf")
        console.expect(r"^Starting kernel")
        console.expect(r"Linux version 6\.", 120)
        console.expect(r"^riscv64$", 240)
        console.expect(r"from=disk$")
        expect_equal(console.wait(), 0, "the exit status")

cases.finish()
