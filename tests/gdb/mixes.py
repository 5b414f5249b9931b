# SPDX-License-Identifier: MIT
"""Runs within gdb: random mixes of what a person does in a debugger, each with a machine of its own, which must have
the same hash in the end as one that nobody debugged. Prints a line for each that has not, and how many had."""

import os
import random
import subprocess
import time

import gdb

FERRY, PROGRAM, DIR = os.environ["FERRY"], os.environ["MIX_PROGRAM"], os.environ["MIX_DIR"]
FIRST, COUNT = int(os.environ["MIX_FIRST"]), int(os.environ["MIX_COUNT"])
END = "3M"  # instructions
ARGS = os.environ["MIX_ARGS"].split() + ["-bios", "none", "-kernel", PROGRAM, "-display", "none", "-serial", "none",
                                         "-rtc", "base=2024-01-01", "-until", END, "-hash-every", END]
BREAKS = os.environ["MIX_BREAKS"].split()  # all of them are come by all the time
WATCHES = os.environ["MIX_WATCHES"].split()


def start(*more):
    out = os.path.join(DIR, "hash")
    return subprocess.Popen([FERRY, *ARGS[:-1], f"{END},file={out}", *more], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True), out


def finish(process, out):
    said = process.communicate(timeout=120)[1]
    if process.returncode != 124:
        return f"status {process.returncode}: {said}"
    with open(out) as f:
        return f.read()


def run(command, said):
    said.append(command)
    try:
        return gdb.execute(command, to_string=True)
    except gdb.error as e:  # there is no line here, no such frame, ...
        said[-1] += f" ({e})"
        return ""


def threads():
    return [t.num for t in gdb.selected_inferior().threads()]


def one_command(r, said, points):
    """Points that exist are in `points`; the machine goes on only when something will stop it again."""
    kind = r.randrange(10)
    if kind < 2 or not points:
        what = r.choice(BREAKS)
        run(f"{r.choice(['break', 'hbreak', 'tbreak'])} {what}", said)
        points[:] = [b.number for b in gdb.breakpoints()]
    elif kind == 2:
        run(f"{r.choice(['watch', 'rwatch', 'awatch'])} {r.choice(WATCHES)}", said)
    elif kind == 3:
        run(f"delete {r.choice(points)}", said)
    elif kind == 4:
        run(f"thread {r.choice(threads())}", said)
    elif kind < 7:
        run(f"{r.choice(['stepi', 'stepi', 'nexti', 'step', 'next', 'stepi 7'])}", said)
    elif kind == 7:
        run("print counter", said)
        run("backtrace", said)
        run("info registers", said)
    else:
        run("continue", said)
    points[:] = [b.number for b in gdb.breakpoints() if b.is_valid()]


def connect(socket):
    """The emulator is just about to listen."""
    end = time.monotonic() + 120
    while True:
        try:
            return gdb.execute(f"target remote {socket}", to_string=True)
        except gdb.error:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


def mix(number):
    r, said, points = random.Random(number), [], []
    socket = os.path.join(DIR, f"mix{number}")
    process, out = start("-S", "-gdb", f"unix:{socket}")
    connect(socket)
    for _ in range(12):
        if threads():  # it may have come to its end
            one_command(r, said, points)
    gdb.execute("delete")
    run("detach", said)
    return finish(process, out), said


gdb.execute("set confirm off")
gdb.execute("set pagination off")
gdb.execute("set height 0")
gdb.execute("set style enabled off")
expected = finish(*start())
good = 0
for n in range(FIRST, FIRST + COUNT):
    result, commands = mix(n)
    if result == expected:
        good += 1
    else:
        print(f"mix {n}: {result.strip()}, not {expected.strip()}, after: {'; '.join(commands)}")
print(f"{good} mixes leave no trace")
gdb.execute("quit")
