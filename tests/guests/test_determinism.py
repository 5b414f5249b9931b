#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=900 alone
"""Determinism: the same machine has the same hash at every million instructions of a Linux boot up to its shell,
whatever runs it (JIT or interpreter), however long slices are, and however busy the host is. DETERMINISM_INSNS sets
how far to go instead."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from console import FERRY, fetch, make

INSNS = int(os.environ.get("DETERMINISM_INSNS", "2100000000"))
STEP = 1000000


def start(out, accel, harts, extra=()):
    command = [FERRY, "-accel", accel, "-M", "virt", "-smp", str(harts), "-m", "512M", "-nographic", "-seed", "7",
               "-rtc", "base=2026-01-01", "-kernel", KERNEL, "-initrd", INITRD, "-append", "console=ttyS0",
               "-hash-every", f"{STEP},file={out}", "-until", str(INSNS), *extra]
    with open(f"{out}.console", "wb") as console:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.DEVNULL)


def hashes(path, process):
    status = process.wait()
    lines = path.read_text().splitlines()
    assert status == 124, f"status {status}, {len(lines)} hashes"
    assert len(lines) == INSNS // STEP, f"{len(lines)} hashes"
    if "DETERMINISM_INSNS" not in os.environ:
        assert b"/ # " in Path(f"{path}.console").read_bytes(), f"no shell after {INSNS} instructions"
    return lines


def verdict(name, a, b):
    for x, y in zip(a, b):
        if x != y:
            print(f"not ok - {name}: first difference at {x} against {y}")
            return False
    print(f"ok - {name}: {len(a)} hashes")
    return True


def burn():
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


def compare(tmp, harts):
    jit, interp, loaded = (tmp / f"{n}-{harts}" for n in ("jit", "interp", "loaded"))
    p, q = start(jit, "dbt", harts), start(interp, "interp", harts)
    a, b = hashes(jit, p), hashes(interp, q)
    good = verdict(f"{harts} harts, JIT against interpreter", a, b)
    burners = [burn() for _ in range(6)]
    try:
        c = hashes(loaded, start(loaded, "dbt", harts))
    finally:
        for process in burners:
            process.kill()
    return verdict(f"{harts} harts, quiet host against loaded host", a, c) and good


KERNEL = str(fetch("linux") / "Image")
fetch("busybox")
with tempfile.TemporaryDirectory() as directory:
    INITRD = str(make("mkinitramfs", Path(directory) / "initramfs.cpio"))
    results = [compare(Path(directory), harts) for harts in (1, 4)]
sys.exit(0 if all(results) else 1)
