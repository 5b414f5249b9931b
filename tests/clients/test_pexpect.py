#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# test: timeout=900
"""A pexpect script as people write them for QEMU: Linux on a terminal, a login shell, Ctrl-A c to the monitor and back,
power-off. Debian packages pexpect for its own Python."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SRC = Path(os.environ["FERRY_SRC"])
GUESTS = SRC / "tests/guests"


def fetch(name):
    result = subprocess.run([GUESTS / "fetch", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        print((result.stderr.strip().splitlines() or ["cannot fetch " + name])[-1])
        sys.exit(77)
    return result.stdout.strip()


def monitor(child, command):
    """What a command of the monitor prints."""
    child.sendline(command)
    child.expect(re.escape(command) + r"\r+\n")
    child.expect_exact("(qemu) ")
    return child.before.replace("\r", "")


def check(initrd, linux):
    child = pexpect.spawn(os.environ["FERRY"], [
        "-M", "virt", "-m", "256M", "-kernel", f"{linux}/Image", "-initrd", initrd, "-append", "console=ttyS0 quiet",
        "-icount", "sleep=off", "-nographic"], encoding="utf-8", timeout=300)
    child.logfile_read = sys.stdout
    child.expect_exact("/ # ")
    child.sendline("uname -m")
    child.expect(r"riscv64\r+\n")
    child.expect_exact("/ # ")

    child.send("\x01c")
    child.expect_exact("(qemu) ")
    assert monitor(child, "info status") == "VM status: running\n"
    assert monitor(child, "stop") == ""
    assert monitor(child, "info status") == "VM status: paused\n"
    assert " pc " in monitor(child, "info registers")
    assert monitor(child, "x/2i $pc").count("0x") >= 2
    monitor(child, "cont")
    child.send("\x01c")

    child.sendline("echo $((6 * 7))")
    child.expect(r"42\r+\n")
    child.sendline("poweroff")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.exitstatus


if not importlib.util.find_spec("pexpect"):
    print("no pexpect (apt-get install python3-pexpect)")
    sys.exit(77)
import pexpect  # noqa: E402

kernel = fetch("linux")
fetch("busybox")
with tempfile.TemporaryDirectory() as top:
    image = f"{top}/initramfs.cpio"
    subprocess.run([GUESTS / "mkinitramfs", image], check=True)
    check(image, kernel)
