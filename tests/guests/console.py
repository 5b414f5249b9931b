# SPDX-License-Identifier: MIT
"""What the tests that boot guests share: the emulator with its console, cases, and guest software."""

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

SRC = Path(os.environ.get("FERRY_SRC") or Path(__file__).resolve().parent.parent.parent)
BUILD = Path(os.environ.get("FERRY_BUILD") or SRC / "build")
FERRY = os.environ.get("FERRY") or str(BUILD / "ferry")
GUESTS = SRC / "tests/guests"
PATIENCE = float(os.environ.get("FERRY_PATIENCE") or 1)  # all waits take so many times as long at most


class Failure(Exception):
    """A test's expectation that did not come true."""


class Console:
    """A running machine whose first serial port is on our side of a pipe; carriage returns are dropped."""

    def __init__(self, *args, program=FERRY, **popen):
        self.log = ""
        self.seen = 0  # of the log, by expect
        self.process = subprocess.Popen([program, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, bufsize=0, **popen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self, timeout):
        """Waits for some output; False at its end or when time is out."""
        if not select.select([self.process.stdout], [], [], max(timeout, 0))[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        self.log += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, timeout=60):
        """Reads on until the regular expression matches what came since the last match, which it returns."""
        end = time.monotonic() + timeout * PATIENCE
        while True:
            match = re.compile(pattern, re.M).search(self.log, self.seen)
            if match:
                self.seen = match.end()
                return match
            if not self.read(end - time.monotonic()):
                why = "ended" if self.process.poll() is not None else "time is out"
                raise Failure(f"no /{pattern}/ ({why})")

    def send(self, text):
        self.process.stdin.write(text.encode())

    def run(self, command, prompt, timeout=60):
        """Types a command at a prompt; what it printed before the next prompt, without the echo."""
        self.send(command + "\r")
        start = self.seen
        end = self.expect(prompt, timeout).start()
        return self.log[start:end].split("\n", 1)[-1]

    def wait(self, timeout=60):
        """Reads on to the end and returns the exit status."""
        end = time.monotonic() + timeout * PATIENCE
        while self.read(end - time.monotonic()):
            pass
        try:
            return self.process.wait(max(end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            raise Failure("does not end") from None


def expect_equal(have, want, what):
    if have != want:
        raise Failure(f"{what} is {have!r}, not {want!r}")


class Cases:
    """Reports cases the way tests/run reads them."""

    failed = 0

    @contextlib.contextmanager
    def case(self, name):
        machines = []
        try:
            yield machines.append
            print(f"ok - {name}", flush=True)
        except (Failure, OSError, subprocess.SubprocessError) as e:
            Cases.failed += 1
            for machine in machines:
                sys.stdout.write("\n".join(machine.log.splitlines()[-40:]) + "\n")
            print(f"{name}: {e}")
            print(f"not ok - {name}", flush=True)

    @staticmethod
    def finish():
        sys.exit(1 if Cases.failed else 0)


def fetch(name):
    """The directory of guest software; without a network the test is skipped."""
    result = subprocess.run([GUESTS / "fetch", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        print((result.stderr.strip().splitlines() or ["cannot fetch " + name])[-1])
        sys.exit(77)
    return Path(result.stdout.strip())


def make(tool, *args):
    """Runs mkinitramfs or mkdisk; the first argument is what it makes."""
    subprocess.run([GUESTS / tool, *map(str, args)], check=True)
    return args[0]
