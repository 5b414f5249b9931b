#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# test: timeout=900
"""labgrid's QEMU driver and shell driver, as Debian packages them for its own Python, on our emulator: power, console,
QMP."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SRC = Path(os.environ["FERRY_SRC"])
GUESTS = SRC / "tests/guests"

ENVIRONMENT = """
targets:
  main:
    drivers:
      QEMUDriver:
        qemu_bin: emulator
        machine: virt
        cpu: rv64
        memory: 256M
        kernel: linux
        boot_args: console=ttyS0 quiet
        extra_args: -smp 2 -initrd {initrd} -icount sleep=off
      ShellDriver:
        prompt: '/ # '
        login_prompt: 'login: '
        username: root
        login_timeout: 600
        console_ready: enter|Enter
tools:
  emulator: {ferry}
images:
  linux: {linux}/Image
"""


def fetch(name):
    result = subprocess.run([GUESTS / "fetch", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        print((result.stderr.strip().splitlines() or ["cannot fetch " + name])[-1])
        sys.exit(77)
    return result.stdout.strip()


def boot(target):
    """Power on, and a shell."""
    emulator = target.get_driver("QEMUDriver", activate=False)
    target.activate(emulator)
    emulator.on()
    shell = target.get_driver("ShellDriver", activate=False)
    target.activate(shell)
    return emulator, shell


def check(target):
    emulator, shell = boot(target)
    assert shell.run_check("uname -m") == ["riscv64"]
    assert shell.run_check("nproc") == ["2"]
    output, _, status = shell.run("ls /nonexistent")
    assert status != 0, output
    assert emulator.monitor_command("query-status")["status"] == "running"
    emulator.monitor_command("stop")
    assert emulator.monitor_command("query-status")["status"] == "paused"
    emulator.monitor_command("cont")
    assert shell.run_check("echo still here") == ["still here"]
    assert [c["cpu-index"] for c in emulator.monitor_command("query-cpus-fast")] == [0, 1]
    target.deactivate(shell)
    emulator.off()  # asserts the exit status
    emulator.on()
    target.activate(shell)
    assert shell.run_check("cat /proc/sys/kernel/ostype") == ["Linux"]
    emulator.off()


if not importlib.util.find_spec("labgrid"):
    print("no labgrid (apt-get install python3-labgrid)")
    sys.exit(77)
from labgrid import Environment  # noqa: E402

linux = fetch("linux")
fetch("busybox")
with tempfile.TemporaryDirectory() as top:
    initrd = Path(top) / "initramfs.cpio"
    subprocess.run([GUESTS / "mkinitramfs", initrd], check=True)
    config = Path(top) / "environment.yaml"
    config.write_text(ENVIRONMENT.format(ferry=os.environ["FERRY"], linux=linux, initrd=initrd))
    check(Environment(str(config)).get_target())
