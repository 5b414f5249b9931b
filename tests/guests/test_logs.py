#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=1200
"""OpenSBI, U-Boot and Linux say the same on this machine as on QEMU's of the same name, but for what is explained here.
Skipped where there is no qemu-system-riscv64 in PATH. LOGS_KEEP is a directory to keep the logs in."""

import collections
import os
import re
import shutil
import tempfile
from pathlib import Path

from console import FERRY, Cases, Console, Failure, fetch, make

PEER = shutil.which("qemu-system-riscv64")
PROMPT = r"^=> "

# What changes from run to run, or follows from what is explained below.
NORMAL = [
    (r"^\[ *\d+\.\d+\] ", ""),                                   # Linux's time stamps
    (r"\b20\d\d-\d\d-\d\dT[\d:]+ UTC \(\d+\)", "DATE"),
    (r"^Date: 20\d\d-.*", "DATE"),
    (r"\baudit\(\d+\.\d+:", "audit(TIME:"),
    (r"\b\d+(\.\d+)? ms\b|\b\d+ms\b|\b\d+ ns\b", "TIME"),
    (r"Ratio of byte access time to unaligned word access is [\d.]+", "Ratio RATIO"),
    (r"\b(0x)?0*8[ef][0-9a-f]{6}\b", "RELOCATED"),               # U-Boot, below a device tree of another size
    (r"0x211[0-9a-f]{4} bytes", "SIZE bytes"),
    (r"(reserved|used|free|available|total)\b.*\d+ ?K?B?.*", r"\1 SIZES"),
    (r"\[mem 0x9ff[0-9a-f]{5}-0x9ff[0-9a-f]{5}\]", "[mem AT THE END]"),
]

# Lines that only one of the two prints, and why.
EXPLAINED = [
    (r"^Boot HART (Base ISA|ISA Extensions) |^riscv: base ISA extensions ", "QEMU's rv64 has H; ours has Zicbom, Zicboz, Svadu"),
    (r"^ +(Architecture|Implementation) ID |^m(arch|imp)id\b", "QEMU puts its version there"),
    (r"^mmu\t", "our rv64 has four levels of page tables as a rule, QEMU's has five"),
    (r"^Boot HART M[EI]DELEG ", "what H adds is delegated there, too"),
    (r"^Boot HART Debug Triggers |^Experimental SBI Extensions |^  Debug Triggers", "Sdtrig is QEMU's alone"),
    (r"^Boot HART MHPM Info |^riscv-pmu-sbi: ", "QEMU 7.2 has 16 programmable counters; ours are cycle, time and instret"),
    (r"^Firmware (Heap|Scratch) ", "OpenSBI keeps more for triggers and counters"),
    (r"^software IO TLB: |^Memory: |^ +9f[ef]\w{5}-9f\w{6} : Reserved",
     "Zicbom makes Linux keep a buffer for devices that are not coherent, and the device tree is smaller"),
    (r"\bpci|^PCI: |pci-host-generic|conventional PCI", "there is no PCIe host here"),
    (r"platform-bus|^ simple_bus +\d|^\d +[* ] +(soc|cpus|platform-bus@\w+) @", "there is no platform bus here, so others are numbered anew"),
    (r"^Core: +\d+ devices, \d+ uclasses", "for the same reasons"),
    (r"^hrtimer: interrupt took", "time is the host's there"),
    (r"^boot hart +=", "harts draw lots for it, and on QEMU they race on the host's threads"),
]


def normalize(log):
    lines = collections.Counter()
    for line in log.splitlines():
        for pattern, text in NORMAL:
            line = re.sub(pattern, text, line)
        lines[line.rstrip()] += 1
    return lines


def unexplained(ours, theirs):
    """Lines that only one side has, as a diff has them."""
    a, b = normalize(ours), normalize(theirs)
    found = [f"- {line}" for line in (a - b).elements()] + [f"+ {line}" for line in (b - a).elements()]
    return [line for line in found if line != "- " and line != "+ " and
            not any(re.search(pattern, line[2:]) for pattern, _ in EXPLAINED)]


def compare(name, run):
    logs = {}
    for program in (FERRY, PEER):
        logs[program] = run(program)
        if os.environ.get("LOGS_KEEP"):
            path = Path(os.environ["LOGS_KEEP"]) / f"{name.replace(' ', '-')}.{Path(program).name}"
            path.write_text(logs[program])
    found = unexplained(logs[FERRY], logs[PEER])
    if found:
        print("\n".join(found))
        raise Failure(f"{len(found)} lines differ (-: only here, +: only there)")


def uboot_commands(console):
    console.expect(r"Hit any key", 120)
    console.send(" ")
    console.expect(PROMPT)
    for command in ("bdinfo", "dm tree", "dm uclass", "virtio info", "virtio part 0", "flinfo", "mw.b 84000000 5a 1000",
                    "crc32 84000000 1000", "sha1sum 84000000 1000", "mtest 84000000 84010000 0 1", "coninfo",
                    "virtio read 84000000 0 10", "md.b 84000000 40", "dhcp 84000000 nofile", "printenv", "sbi", "date"):
        console.run(command, PROMPT, 120)
    console.send("poweroff\r")
    console.wait()
    return console.log


def options(program, *more):
    """The same machine for both: Ferry has no default devices that QEMU lacks."""
    disk = tmp / f"disk-{Path(program).name}"
    disk.write_bytes(b"A disk.\n".ljust(1 << 20, b"\0"))
    return ["-M", "virt", "-m", "256M", "-nographic", "-drive", f"file={disk},if=none,format=raw,id=hd0", "-device",
            "virtio-blk-device,drive=hd0", "-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n", *more]


def uboot_m(program):
    with Console(*options(program, "-smp", 2, "-bios", uboot / "riscv64/u-boot.bin"), program=program) as console:
        return uboot_commands(console)


def uboot_s(program):
    with Console(*options(program, "-smp", 3, "-bios", opensbi / "fw_dynamic.bin", "-kernel",
                          uboot / "riscv64_smode/u-boot.bin"), program=program) as console:
        return uboot_commands(console)


def boot_linux(program):
    with Console(*options(program, "-smp", 2, "-m", "512M", "-bios", opensbi / "fw_dynamic.bin", "-kernel",
                          linux / "Image", "-initrd", initrd, "-append", "console=ttyS0 ferry.script", "-device",
                          "virtio-rng-device"), program=program) as console:
        console.wait(500)
        return console.log


SCRIPT = """#!/bin/sh
cat /proc/cmdline
sed '/IPI/d; s/[0-9][0-9]*/N/g; s/  */ /g' /proc/interrupts
grep -v isa /proc/cpuinfo
cat /proc/iomem | grep -v -i pci
ls /sys/class/rtc /sys/block /sys/class/net /sys/bus/virtio/devices
poweroff -f
"""

cases = Cases()
if not PEER:
    print("no qemu-system-riscv64 in PATH (apt-get install qemu-system-misc or qemu-system-riscv)")
    raise SystemExit(77)
opensbi, uboot, linux = fetch("opensbi"), fetch("uboot"), fetch("linux")
fetch("busybox")
tmp = Path(tempfile.mkdtemp(prefix="ferry-logs-"))
(tmp / "script").write_text(SCRIPT)
initrd = make("mkinitramfs", tmp / "initrd.cpio", "-s", tmp / "script")
try:
    for name, run in (("U-Boot in M-mode", uboot_m), ("OpenSBI and U-Boot in S-mode", uboot_s),
                      ("OpenSBI and Linux", boot_linux)):
        with cases.case(name):
            compare(name, run)
finally:
    shutil.rmtree(tmp)
cases.finish()
