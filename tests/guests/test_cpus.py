#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=600
"""Debian's kernel on other CPUs than the usual one: more extensions and page tables, fewer, misaligned accesses that
trap, accessed and dirty bits that software sets, eight harts."""

import tempfile
from pathlib import Path

from console import Cases, Console, Failure, expect_equal, fetch, make

SCRIPT = """#!/bin/sh
sed -n '/^isa/p;/^mmu/p;/^$/q' /proc/cpuinfo
echo "harts: $(grep -c ^processor /proc/cpuinfo)"
awk 'BEGIN { for (i = 0; i < 50000; i++) a[i] = i * 1.5; for (i in a) s += a[i]; print "sum: " s }'
poweroff -f
"""
# Options, paging, part of the ISA string as Linux understands it.
MACHINES = (
    ("-cpu max", "sv57", "_zacas"),
    ("-cpu rv64,misaligned=off", "sv48", "_zicboz"),
    ("-cpu rv64,svade=on,svadu=off", "sv48", "_zba"),
    ("-cpu rv64,sv48=off,sv57=off", "sv39", "_sstc"),
    ("-cpu sifive-u54", "sv39", "rv64imafdc_zicntr_"),
    ("-smp 8", "sv48", "_sstc"),
)


def check(options, mmu, extension, watch):
    with Console("-M", "virt", "-m", "512M", "-nographic", "-kernel", LINUX / "Image", "-initrd", INITRD, "-append",
                 "console=ttyS0 quiet ferry.script", *options.split()) as console:
        watch(console)
        isa = console.expect(r"^isa\t+: (\w+)\n", 120).group(1)
        if extension not in isa:
            raise Failure(f"{extension} is not in {isa}")
        expect_equal(console.expect(r"^mmu\t+: (\w+)\n").group(1), mmu, "paging")
        harts = "8" if "-smp" in options else "1"
        expect_equal(console.expect(r"^harts: (\d+)\n").group(1), harts, "the number of harts")
        expect_equal(console.expect(r"^sum: (\S+)\n").group(1), "1874962500", "a sum")
        expect_equal(console.wait(), 0, "the exit status")


LINUX = fetch("linux")
fetch("busybox")
cases = Cases()
with tempfile.TemporaryDirectory() as directory:
    script = Path(directory) / "script"
    script.write_text(SCRIPT)
    INITRD = make("mkinitramfs", Path(directory) / "initramfs.cpio", "-s", script)
    for machine in MACHINES:
        with cases.case(machine[0]) as watcher:
            check(*machine, watcher)
cases.finish()
