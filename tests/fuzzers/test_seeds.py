#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap
"""Each target of the fuzzers gets through all inputs that are kept of it."""

import os
import subprocess
import sys
from pathlib import Path

SEEDS = Path(os.environ["FERRY_SRC"]) / "tests/fuzzers/seeds"
REPLAY = Path(os.environ["FERRY_BUILD"]) / "tests/fuzzers/replay"

names = [line.split("\t")[0] for line in
         subprocess.run([REPLAY], check=True, capture_output=True, text=True).stdout.splitlines()]
bad = 0
for name in names:
    seeds = sorted((SEEDS / name).glob("*"))
    result = subprocess.run([REPLAY, name, *seeds], capture_output=True, text=True, errors="replace")
    ok = seeds and result.returncode == 0
    bad += not ok
    print(f"{'ok' if ok else 'not ok'} - {name}")
    if not ok:
        print("\n".join((result.stdout.splitlines() or ["there is no seed"])[-1:]), result.stderr, sep="\n")
for path in SEEDS.iterdir():
    if path.name not in names:
        print(f"not ok - seeds/{path.name} belongs to no target")
        bad += 1
sys.exit(bad != 0)
