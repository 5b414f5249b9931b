#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap quick timeout=900
"""Runs the programs of the privileged suite. Each topic is a program; each of its checks is a line that names the
paragraph of the manual. A topic passes in a configuration if it comes to its end without a failed check, leaves out
nothing but what the configuration lacks, and says the same, byte for byte, under both executors.

With a QEMU in PATH the programs run there too, as a check of the suite: what it answers otherwise must be listed in
qemu.py with the reason."""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import qemu

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ["FERRY_BUILD"]) / "tests/privileged"
FERRY = os.environ["FERRY"]
UNTIL = "4G"  # instructions; the longest topic takes a tenth of that
SECONDS = 120  # for QEMU, which has no such limit
MOST = 12  # problems of one program that are printed


NO_C = "max,c=off,zca=off,zcb=off,zcd=off,zcf=off,zcmop=off"
NO_S = ("S-mode", "paging", "Sstc", "Smepmp", "Zicbom and Zicboz")


class Configuration:
    """A CPU to run topics on, those that patterns name, and what they may leave out there."""

    def __init__(self, name, xlen, cpu, topics=("*",), lacks=()):
        self.name, self.xlen, self.cpu, self.topics, self.lacks = name, xlen, cpu, topics, lacks


CONFIGURATIONS = (
    Configuration("rv64", 64, "max"),
    Configuration("rv32", 32, "max"),
    Configuration("rv64 as it comes", 64, "rv64", lacks=("Sv57", "Smepmp", "Svinval", "Svnapot", "Svpbmt")),
    Configuration("rv32 as it comes", 32, "rv32", lacks=("Smepmp", "Svinval")),
    Configuration("rv64, A and D by software", 64, "max,svade=on", ("accessed", "misaligned", "types")),
    Configuration("rv64 without C", 64, NO_C, ("values", "registers", "returns", "walk", "code")),
    Configuration("rv32 without C", 32, NO_C, ("values", "registers", "returns", "walk", "code")),
    Configuration("rv64 without paging", 64, "rv64,mmu=off",
                  ("status", "registers", "returns", "interrupts", "counters")),
    Configuration("rv64 without S-mode", 64, "rv64,s=off", ("*",), NO_S),
    Configuration("rv32 without S-mode", 32, "rv32,s=off", ("*",), NO_S),
    Configuration("rv64 with M-mode alone", 64, "rv64,s=off,u=off", ("*",), NO_S),
    Configuration("rv32 with M-mode alone", 32, "rv32,s=off,u=off", ("*",), NO_S),
    Configuration("rv64 without F and PMP", 64, "rv64,f=off,d=off,pmp=off",
                  lacks=("F", "PMP", "Sv57", "Smepmp", "Svinval", "Svnapot", "Svpbmt")),
)


def topics():
    return sorted(p.stem for p in (HERE / "topics").glob("*.c"))


def harts(topic):
    """Topics about several harts say so in a comment."""
    return 4 if "harts: 4" in (HERE / f"topics/{topic}.c").read_text() else 1


class Result:
    """What a program printed, sorted."""

    def __init__(self, text, status):
        self.text, self.status = text, status
        lines = text.splitlines()
        # Each with the lines of detail behind it.
        self.failed = [m.group(1) for m in re.finditer(r"^not ok - (.*(?:\n#.*)*)", text, re.M)]
        self.passed = [line[5:] for line in lines if line.startswith("ok - ")]
        self.skipped = [line[7:] for line in lines if line.startswith("skip - ")]
        self.finished = status == 0 and lines and lines[-1] == "done"

    def end(self):
        last = self.text.splitlines()[-1] if self.text else "nothing"
        return f"status {self.status}, last line: {last}"


def run(command, seconds=None):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds)
    except subprocess.TimeoutExpired as e:
        return Result((e.stdout or b"").decode(errors="replace"), "timeout")
    return Result(done.stdout.decode(errors="replace"), done.returncode)


def board(topic, xlen, cpu):
    return ["-M", "virt", "-cpu", cpu, "-smp", str(harts(topic)), "-bios", "none", "-kernel",
            str(BUILD / f"rv{xlen}/{topic}.elf"), "-nographic"]


def run_ferry(topic, conf, accel):
    return run([FERRY, "-accel", accel, "-until", UNTIL, *board(topic, conf.xlen, conf.cpu)])


def problems(result, lacks):
    found = [] if result.finished else [f"it did not come to its end: {result.end()}"]
    found += [f"left out: {what}" for what in result.skipped if what not in lacks]
    return found + result.failed


def report(name, found):
    """One line of TAP, and below a failure what it was about."""
    print(f"{'not ok' if found else 'ok'} - {name}")
    for problem in found[:MOST]:
        print("#   " + problem.replace("\n", "\n#     "))
    if len(found) > MOST:
        print(f"#   and {len(found) - MOST} more")
    sys.stdout.flush()


def check_ferry(topic, conf):
    results = {accel: run_ferry(topic, conf, accel) for accel in ("dbt", "interp")}
    for accel, result in results.items():
        found = problems(result, conf.lacks)
        report(f"{conf.name}, {accel}: {topic} ({len(result.passed)} checks)", found)
    same = results["dbt"].text == results["interp"].text
    report(f"{conf.name}: {topic}: both executors say the same", [] if same else ["they do not"])


def check_qemu(program, version, topic, xlen):
    """What differs from the manual and is not known to do so in this version."""
    known = qemu.known(version, topic)
    cpu = qemu.cpu(version, xlen)
    # With a count of instructions for a clock, counters and timers are exact there, too.
    exact = ["-icount", "shift=0"] if harts(topic) == 1 else []
    result = run([program, *exact, *board(topic, xlen, cpu)], SECONDS)
    found = [p for p in result.failed if not any(fnmatchcase(p.split("\n")[0], pattern) for pattern in known)]
    if not result.finished and not qemu.stops(version, topic):
        found.insert(0, f"it did not come to its end: {result.end()}")
    name = f"QEMU {version}, rv{xlen}: {topic} ({len(result.passed)} checks, {len(result.failed)} disagreements)"
    if result.status == "timeout":
        print(f"ok - {name} # SKIP not done within {SECONDS} s")
        return
    if found and version not in qemu.VERSIONS:
        print(f"ok - {name} # SKIP {len(found)} of them are not explained, and this version was never compared")
        return
    report(name, found)


def selected(conf, names):
    return [t for t in topics() if any(fnmatchcase(t, pattern) for pattern in conf.topics) and (not names or t in names)]


def main():
    names = sys.argv[1:]
    if not BUILD.exists():
        print("there is no RISC-V compiler (riscv64-unknown-elf-gcc) that could have made the programs")
        sys.exit(77)
    for conf in CONFIGURATIONS:
        for topic in selected(conf, names):
            check_ferry(topic, conf)
    for xlen in (64, 32):
        program = shutil.which(f"qemu-system-riscv{xlen}")
        version = qemu.version(program) if program else None
        for topic in topics() if version else ():
            if not names or topic in names:
                check_qemu(program, version, topic, xlen)


main()
