# SPDX-License-Identifier: MIT
"""What the tests of the debugger's stub share: gdb on one side, the emulator on the other."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SRC = Path(os.environ.get("FERRY_SRC") or Path(__file__).resolve().parent.parent.parent)
sys.path.insert(0, str(SRC / "tests/guests"))

from console import FERRY, Cases, Console, Failure, expect_equal, fetch, make  # noqa: E402,F401

GDB = "gdb-multiarch"
CC = "riscv64-unknown-elf-gcc"
TMP = Path(tempfile.mkdtemp(prefix="ferry-gdb-"))
PROMPT = "<<prompt>>\n"
TIMEOUT = int(os.environ.get("FERRY_GDB_TIMEOUT") or 240)  # for one command, in seconds
ARCH = {64: ("rv64imac_zicsr", "lp64"), 32: ("rv32imac_zicsr", "ilp32")}

for tool in (GDB, CC):
    if not shutil.which(tool):
        print(f"{tool} is not installed")
        sys.exit(77)


def build(name, source, *, bits=64, start=0x80000000, flags=()):
    """A bare program, whose text goes to `start`."""
    arch, abi = ARCH[bits]
    path, text = TMP / f"{name}-{bits}.elf", TMP / f"{name}.{'c' if 'main(' in source else 'S'}"
    text.write_text(source)
    subprocess.run([CC, f"-march={arch}", f"-mabi={abi}", "-mcmodel=medany", "-nostdlib", "-ffreestanding", "-g",
                    f"-Wl,-Ttext={start:#x},--build-id=none,--no-warn-rwx-segments", *flags, text, "-o", path],
                   check=True)
    return path


def check(condition, what):
    if not condition:
        raise Failure(what)


class Debugger:
    """gdb, driven as a person would: a command, and what it prints up to the next prompt."""

    def __init__(self, program=None):
        self.log = ""
        self.process = subprocess.Popen(
            [GDB, "-q", "-nx", "-iex", "set prompt " + PROMPT.replace("\n", "\\n"), "-iex", "set confirm off", "-iex",
             "set pagination off", "-iex", "set width 0", "-iex", "set style enabled off", "-iex",
             "set tcp auto-retry on", "-iex", "set debuginfod enabled off"] + ([str(program)] if program else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
            preexec_fn=os.setpgrp)
        self.read(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def read_some(self, end, timeout=TIMEOUT):
        """What comes up to `end`, and whatever came with it."""
        text, until = "", time.monotonic() + timeout
        while end not in text:
            if not select.select([self.process.stdout], [], [], max(until - time.monotonic(), 0))[0]:
                raise Failure(f"gdb says no more than {text!r}")
            data = os.read(self.process.stdout.fileno(), 65536).decode(errors="replace")
            if not data:
                raise Failure(f"gdb ended: {text!r}")
            self.log += data
            text += data
        return text

    def read(self, timeout):
        """What comes up to the next prompt."""
        return self.read_some(PROMPT, timeout)[:-len(PROMPT)]

    def send(self, command):
        self.log += command + "\n"
        self.process.stdin.write(command.encode() + b"\n")

    def run(self, command, timeout=TIMEOUT):
        self.send(command)
        return self.read(timeout)

    def expect(self, command, pattern, timeout=TIMEOUT):
        """Runs a command, whose output the regular expression must match; returns the match."""
        text = self.run(command, timeout)
        match = re.search(pattern, text, re.M | re.S)
        if not match:
            raise Failure(f"{command}: no /{pattern}/ in {text!r}")
        return match

    def value(self, expression):
        return int(self.expect(f"printf \"%llu\\n\", (unsigned long long)({expression})", r"^(\d+)$").group(1))

    def interrupt(self, command="continue"):
        """Lets the machine run and interrupts it; returns what gdb says then."""
        self.run("set debug remote 1")  # a signal that comes before gdb waits for the machine is lost
        self.send(command)
        self.read_some("Sending packet: $vCont;c")
        time.sleep(0.2)
        os.kill(self.process.pid, signal.SIGINT)
        text = self.read(TIMEOUT)
        self.run("set debug remote 0")
        return text


class Target:
    """The emulator, stopped at its start, and gdb connected to it."""

    count = 0

    def __init__(self, *args, program=None, connect=True):
        Target.count += 1
        self.socket = TMP / f"socket{Target.count}"
        self.machine = Console(*args, "-gdb", f"unix:{self.socket}", "-S")
        self.gdb = Debugger(program)
        self.log = ""
        if connect:
            self.connect()

    def connect(self, how="remote"):
        """Tries again while the emulator is just about to listen."""
        end = time.monotonic() + 60
        while True:
            text = self.gdb.run(f"target {how} {self.socket}")
            waiting = "refused" in text or "No such file" in text
            if not waiting or time.monotonic() > end or self.machine.process.poll() is not None:
                return text
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.log = self.gdb.log + "\n" + self.machine.log
        self.gdb.__exit__()
        self.machine.__exit__()
