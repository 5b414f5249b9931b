# SPDX-License-Identifier: MIT
"""Our kernels as programs: for the host, and without an operating system for emulators."""

from pathlib import Path

import measure
from measure import DIR

HERE = Path(__file__).resolve().parent
GROUPS = ("integer", "control", "memory", "float")
RV32_GROUPS = ("integer", "control")
# The same floating point everywhere, and no loop turned into a call of a library's memcpy.
FLAGS = ("-ffp-contract=off", "-fno-math-errno", "-fno-tree-loop-distribute-patterns")
TARGETS = {64: ("-march=rv64imafdc_zicsr", "-mabi=lp64d"), 32: ("-march=rv32imafdc_zicsr", "-mabi=ilp32d")}
PARAMETERS = 0x800FF000  # of board.c


def build_native(group):
    fma = ("-mfma",) if group == "float" and " fma " in Path("/proc/cpuinfo").read_text() else ()
    sources = [HERE / f for f in ("host.c", "bench.c", f"{group}.c")]
    return measure.compile_c(DIR / f"kernels/{group}", sources, *FLAGS, *fma)


def build_bare(group, bits):
    sources = [HERE / f for f in ("board.c", "start.S", "bench.c", f"{group}.c")]
    return measure.compile_c(DIR / f"kernels/{group}-{bits}.elf", sources, *FLAGS, *TARGETS[bits], "-mcmodel=medany",
                             "-ffreestanding", "-nostdlib", f"-T{HERE / 'virt.ld'}", compiler="riscv64-unknown-elf-gcc")


def bare_command(program, elf, number, rounds, *options):
    """What runs a kernel of a bare program on an emulator."""
    return [program, "-M", "virt", "-m", "512M", "-bios", "none", "-kernel", elf, "-nographic", "-device",
            f"loader,addr={PARAMETERS:#x},data={rounds << 32 | number:#x},data-len=8", *options]


def list_kernels(group):
    """[(number, name, rounds)]"""
    lines = measure.run([build_native(group)]).output.splitlines()
    return [(i, line.split()[0], int(line.split()[1])) for i, line in enumerate(lines)]
