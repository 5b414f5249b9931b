#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=600
"""What `make run` does in a terminal: Linux boots to a shell that answers, and poweroff ends it with status 0. The disk
that the guest sees stays from one time to the next."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from console import FERRY, GUESTS, Cases, Console, Failure, expect_equal, fetch

PROMPT = r"^/ # "


def boot(cache, watch, commands):
    """Types the commands at the shell's prompt, checks that each prints its part, and powers off."""
    environment = dict(os.environ, FERRY=FERRY, FERRY_CACHE=str(cache), TERM="dumb")
    # script(1) gives it a terminal.
    with Console("-qec", GUESTS / "run", "/dev/null", program="script", env=environment) as console:
        watch(console)
        console.expect(PROMPT, 200)
        for command, part in commands.items():
            printed = console.run(command, PROMPT)
            if part not in printed:
                raise Failure(f"{command} printed {printed!r}, which lacks {part!r}")
        console.send("poweroff\r")
        console.expect(r"reboot: Power down")
        expect_equal(console.wait(), 0, "the exit status")


if not shutil.which("script"):
    print("no script (apt-get install bsdutils)")
    sys.exit(77)
cases = Cases()
with tempfile.TemporaryDirectory() as directory:
    own_cache = Path(directory)
    for name in ("linux", "busybox"):
        (own_cache / name).symlink_to(fetch(name))
    with cases.case("a shell") as watcher:
        boot(own_cache, watcher, {
            "uname -a": "riscv64 GNU/Linux", "ls /": "proc", "cat /proc/cpuinfo": "processor\t: 3\nhart\t\t: 3\n",
            "echo kept >/dev/vda && sync; echo status $?": "status 0"})
    with cases.case("the same disk again") as watcher:
        boot(own_cache, watcher, {"head -n 1 /dev/vda": "kept\n"})
cases.finish()
