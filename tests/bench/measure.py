# SPDX-License-Identifier: MIT
"""What the parts of `make bench` share: programs run one after another under a meter, medians, tables, and results in
BUILD/bench/PART.json, which tests/bench/all puts together."""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

SRC = Path(os.environ.get("FERRY_SRC") or Path(__file__).resolve().parent.parent.parent)
BUILD = Path(os.environ.get("FERRY_BUILD") or SRC / "build").resolve()
FERRY = os.environ.get("FERRY") or str(BUILD / "ferry")
DIR = BUILD / "bench"
METER = DIR / "meter"


class Failure(Exception):
    """Something that cannot be measured, in one line."""


class Sample:
    """What one run cost: seconds of CPU (user and system) and of the clock, KiB resident at most, and its output."""

    def __init__(self, figures, output):
        user, system, self.wall, resident = map(float, figures.split())
        # The kernel counts their sum to the microsecond, but may only guess how it divides.
        self.cpu = user + system
        self.mib = resident / 1024
        self.output = output


def compile_c(out, sources, *flags, compiler=None):
    """Compiles a program unless it is newer than all that it is made of, this file included."""
    inputs = [*sources, *Path(sources[0]).parent.glob("*.[hl]*"), Path(__file__)]
    if out.exists() and out.stat().st_mtime > max(Path(i).stat().st_mtime for i in inputs):
        return out
    compiler = (compiler or os.environ.get("CC", "gcc")).split()  # CC may be "ccache gcc"
    if not shutil.which(compiler[0]):
        raise Failure(f"no {compiler[0]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [*compiler, "-std=gnu17", "-O2", "-Wall", "-Wextra", *flags, *map(str, sources), "-o", f"{out}.new"]
    if "-nostdlib" in flags:
        command.append("-lgcc")
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise Failure(f"{out.name} cannot be compiled:\n{result.stdout}")
    os.replace(f"{out}.new", out)
    return out


def run(command, timeout=600):
    """One run of a command to its end, which has to be good."""
    compile_c(METER, [SRC / "tests/bench/meter.c"])
    figures = DIR / f"figures.{os.getpid()}"
    process = subprocess.Popen([METER, figures, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output = process.communicate(timeout=timeout)[0].decode(errors="replace").replace("\r", "")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Failure(f"{command[0]} still ran after {timeout} s") from None
    if process.returncode != 0:
        last = (output.strip().splitlines() or ["no output"])[-1]
        raise Failure(f"{command[0]} ended with status {process.returncode}: {last}")
    sample = Sample(figures.read_text(), output)
    figures.unlink()
    return sample


def version(program):
    """A title for an emulator: `Ferry 0.1.0`, `QEMU 7.2.22`."""
    try:
        text = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise Failure(f"{program} does not run") from None
    match = re.match(r"(\S+) emulator version (\S+)", text)
    return f"{match.group(1)} {match.group(2)}" if match else Path(program).name


def arguments(description, runs=5):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=runs, help=f"runs of each, of which the median counts ({runs})")
    parser.add_argument("--peer", metavar="PROGRAM", action="append",
                        help="an emulator to compare with, instead of qemu-system-riscv64; none: without")
    return parser


def emulators(args, bits=64):
    """[(title, program)]: Ferry first, then its peers as far as they are installed."""
    found = {version(FERRY): FERRY}
    for peer in args.peer or ["qemu-system-riscv64"]:
        peer = peer.replace("riscv64", f"riscv{bits}")
        if shutil.which(peer):
            title = version(peer)
            found[title if title not in found else peer] = peer
        elif peer != "none":
            print(f"bench: no {peer} to compare with (apt-get install qemu-system-misc)")
    return list(found.items())


# --- Results ---


class Results:
    """Rows of a part: each has a group, a name, and by column the values of all runs."""

    def __init__(self, part, about):
        self.part, self.about, self.rows = part, about, []
        self.start = os.getloadavg()[0]

    def add(self, group, name, columns, unit="s"):
        self.rows.append({"group": group, "name": name, "unit": unit, "columns": columns})

    def save(self):
        DIR.mkdir(parents=True, exist_ok=True)
        data = {"part": self.part, "about": self.about, "conditions": conditions(self.start), "rows": self.rows}
        (DIR / f"{self.part}.json").write_text(json.dumps(data, indent=1) + "\n")


def conditions(load):
    processor = platform.processor() or platform.machine()
    try:
        match = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
        processor = match.group(1) if match else processor
    except OSError:
        pass
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=SRC, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout.strip()
    return {"date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "processor": processor,
            "processors": os.cpu_count(), "system": f"{platform.system()} {platform.release()}",
            "load": [round(load, 1), round(os.getloadavg()[0], 1)], "commit": commit}


def median(values):
    return statistics.median(values)


def cpu_seconds(pid):
    """CPU seconds that a process and those that it has waited for have used so far, in steps of a clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def figure(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def table(rows, titles, cells):
    """Lines of a Markdown table, its columns aligned for those who read it as text."""
    lines = [titles, *(cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    texts = [" | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths)))
             for line in lines]
    rule = " | ".join("-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths))
    return [f"| {t} |" for t in [texts[0], rule, *texts[1:]]]


def main(function):
    """Ends a part: 0 is good, 1 a bad result, 77 that something is missing that it needs."""
    try:
        sys.exit(function())
    except Failure as e:
        print(f"bench: {e}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
