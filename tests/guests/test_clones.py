#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=900
"""Clones: a booted Linux is forked again and again. Each clone runs another command on a console, a disk and a network
of its own, and reports; the original knows nothing of it."""

import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path

from console import Cases, Console, Failure, expect_equal, fetch, make

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from qmp_client import Qmp, QmpError  # noqa: E402

# Reads commands from the console, one a line.
SCRIPT = r"""#!/bin/sh
stty -echo
ip link set eth0 up
udhcpc -i eth0 -n -q -s /etc/udhcpc >/dev/null 2>&1
echo original | dd of=/dev/vda conv=fsync 2>/dev/null
while :; do
    echo "CLONE: ready"
    read -r line
    eval "$line"
done
"""
DISK = "head -n 1 /dev/vda; echo clone {0} | dd of=/dev/vda conv=fsync 2>/dev/null; "\
       "echo 3 >/proc/sys/vm/drop_caches; head -n 1 /dev/vda"
TFTP = "cd /tmp; tftp -g -r payload 10.0.2.2 2>/dev/null && cat payload"


class End:
    """Our end of a clone's console."""

    def __init__(self, listener):
        listener.settimeout(60)
        self.socket = listener.accept()[0]
        self.socket.settimeout(120)
        self.log = ""

    def run(self, command):
        """What a command prints."""
        self.socket.sendall(command.encode() + b"\n")
        while True:
            match = re.search(r"^CLONE: ready\n", self.log, re.M)
            if match:
                text, self.log = self.log[:match.start()], self.log[match.end():]
                return text
            data = self.socket.recv(65536)
            if not data:
                raise Failure(f"the console ended after {self.log[-200:]!r}")
            self.log += data.decode(errors="replace").replace("\r", "")

    def close(self):
        self.socket.close()


class Machine:
    """A Linux with a listener for its clones' consoles."""

    def __init__(self, tmp, watch, *args, disk="snapshot=on"):
        self.tmp, self.pids = tmp, set()
        (tmp / "tftp").mkdir(exist_ok=True)
        (tmp / "tftp/payload").write_text("from the host\n")
        with open(tmp / "disk.img", "wb") as f:
            f.truncate(4 << 20)
        self.listener = socket.socket(socket.AF_UNIX)
        self.path = tmp / "consoles"
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.console = Console("-M", "virt", "-m", "256M", "-smp", 2, "-kernel", LINUX / "Image", "-initrd", INITRD,
                               "-append", "console=ttyS0 quiet ferry.script", "-serial", "stdio", "-no-reboot",
                               "-qmp", f"unix:{tmp}/qmp,server=on,wait=off", "-display", "none",
                               "-drive", f"file={tmp}/disk.img,format=raw,if=none,id=hd0,{disk}",
                               "-device", "virtio-blk-device,drive=hd0", "-netdev", f"user,id=n,tftp={tmp}/tftp",
                               "-device", "virtio-net-device,netdev=n", *args)
        watch(self.console)
        self.console.expect(r"^CLONE: ready\n", 300)
        self.qmp = Qmp(tmp / "qmp")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.console.__exit__()
        self.listener.close()
        self.path.unlink()

    def clone(self, chardevs=None, **arguments):
        pid = self.qmp.run("clone", chardevs=chardevs or {"serial0": f"unix:{self.path}"}, **arguments)["pid"]
        self.pids.add(pid)
        return pid

    def ended(self, pid, **data):
        self.qmp.wait_event("CLONE_ENDED", pid=pid, **data)
        self.pids.discard(pid)

    def original(self, command):
        self.console.send(command + "\n")
        start = self.console.seen
        end = self.console.expect(r"^CLONE: ready\n", 120).start()
        return self.console.log[start:end]

    def quit(self):
        self.qmp.run("quit")
        expect_equal(self.console.wait(), 0, "the original's exit status")


def check_many(m, n):
    m.qmp.run("stop")
    for i in range(n):
        pid = m.clone()
        end = End(m.listener)
        expect_equal(end.run(f"echo $(({i} * 7)); " + DISK.format(i)), f"{i * 7}\noriginal\nclone {i}\n", "the answer")
        if i % 2:
            end.socket.sendall(b"poweroff -f\n")
            m.ended(pid, status=0, signal=0)
        else:
            os.kill(pid, signal.SIGKILL)
            m.ended(pid, signal=9)
        end.close()
    expect_equal(m.qmp.run("query-clones"), [], "the clones that run")
    m.qmp.run("cont")
    expect_equal(m.original("head -n 1 /dev/vda"), "original\n", "the original's disk")


def check_side_by_side(m):
    pids, ends = [], []
    for i in range(4):
        pids.append(m.clone())
        ends.append(End(m.listener))
    for i, end in enumerate(ends):
        expect_equal(end.run(f"echo {i} >/tmp/mine; {TFTP}"), "from the host\n", "what came by TFTP")
    expect_equal(m.original(TFTP), "from the host\n", "what the original got by TFTP")
    for i, end in enumerate(ends):
        expect_equal(end.run("cat /tmp/mine"), f"{i}\n", "the clone's file")
    expect_equal(m.original("ls /tmp/mine 2>/dev/null"), "", "the original's file")
    expect_equal([c["pid"] for c in m.qmp.run("query-clones")], pids, "the clones that run")
    for pid, end in zip(pids, ends):
        end.close()
        os.kill(pid, signal.SIGTERM)
        m.ended(pid, status=0)


def check_generations(m, tmp):
    """A clone has a QMP server if its device is named; it can be cloned itself; a stopped one has the same memory."""
    child = m.clone({"serial0": f"unix:{m.path}", "compat_monitor0": f"unix:{tmp}/qmp2,server=on"}, stop=True)
    end = End(m.listener)
    qmp = Qmp(tmp / "qmp2")
    expect_equal(qmp.run("query-status")["status"], "paused", "the clone's state")
    qmp.run("clone", chardevs={"serial0": f"unix:{m.path}"})
    grandchild = End(m.listener)
    expect_equal(grandchild.run("echo third"), "third\n", "the answer")
    qmp.run("dump-guest-memory", paging=False, protocol=f"file:{tmp}/core2")
    qmp.run("cont")
    expect_equal(end.run("echo second"), "second\n", "the answer")
    m.qmp.run("stop")
    twin = m.clone({"compat_monitor0": f"unix:{tmp}/qmp3,server=on,wait=off"}, stop=True)
    twin_qmp = Qmp(tmp / "qmp3")
    for q, name in ((m.qmp, "core"), (twin_qmp, "core3")):
        q.run("dump-guest-memory", paging=False, protocol=f"file:{tmp}/{name}")
    if (tmp / "core").read_bytes() != (tmp / "core3").read_bytes():
        raise Failure("the clone's memory differs")
    m.qmp.run("cont")
    expect_equal(m.original("echo first"), "first\n", "the answer")
    grandchild.socket.sendall(b"poweroff -f\n")
    qmp.wait_event("CLONE_ENDED", status=0)
    for q, pid in ((qmp, child), (twin_qmp, twin)):
        q.run("quit")
        m.ended(pid, status=0)


def check_seed(m):
    """Entropy goes on like the original's, unless it is seeded."""
    sums = []
    m.qmp.run("stop")
    for arguments in ({}, {}, {"seed": 1}, {"seed": 2}):
        m.clone(**arguments)
        end = End(m.listener)
        sums.append(end.run("head -c 4096 /dev/hwrng | tail -c 1024 | md5sum"))
        end.close()
    m.qmp.run("cont")
    expect_equal(len(set(sums)), 3, f"the number of different sums of {sums}")


def check_mistakes(m, tmp):
    for arguments, part in (({"chardevs": {"nonsense": "null"}}, "there is no -chardev with id=nonsense"),
                            ({"chardevs": {"serial0": 1}}, "Invalid parameter type for 'chardevs.serial0'"),
                            ({"chardevs": {"serial0": "stdio"}}, "has no terminal"),
                            ({"chardevs": {"serial0": "nonsense"}}, "nonsense"),
                            ({"chardevs": {"serial0": f"unix:{tmp}/x,server=on,wait=on"}}, "cannot wait"),
                            ({"chardevs": {"serial0": f"unix:{tmp}/nobody"}}, "nobody")):
        try:
            m.qmp.run("clone", **arguments)
        except QmpError as e:
            if part not in str(e):
                raise Failure(f"{arguments} gives {e}") from None
        else:
            raise Failure(f"{arguments} was accepted")
    expect_equal(m.qmp.run("human-monitor-command", **{"command-line": "clone x"}),
                 "Error: 'x' is not CHARDEV=WHERE\r\n", "the monitor's answer")
    text = m.qmp.run("human-monitor-command", **{"command-line": f"clone -S serial0=file:{tmp}/out"})
    pid = int(re.fullmatch(r"process (\d+)\r\n", text)[1])
    m.pids.add(pid)
    expect_equal(m.qmp.run("human-monitor-command", **{"command-line": "info clones"}), text, "info clones")
    os.kill(pid, signal.SIGTERM)
    m.ended(pid, status=0)
    expect_equal(m.original("echo still here"), "still here\n", "the answer")


def check_writable(m, tmp):
    try:
        m.qmp.run("clone")
    except QmpError as e:
        expect_equal(str(e), f"drive hd0 writes to {tmp}/disk.img, and a copy of the machine would see that: start it "
                     "with snapshot=on (or -snapshot for all disks)", "the error")
    else:
        raise Failure("a drive that is written was shared")


LINUX = fetch("linux")
fetch("busybox")
cases = Cases()
with tempfile.TemporaryDirectory() as top:
    script = Path(top) / "script"
    script.write_text(SCRIPT)
    INITRD = make("mkinitramfs", Path(top) / "initramfs.cpio", "-s", script)

    def case(name, check, *args, **machine):
        with cases.case(name) as watch:
            folder = Path(top) / name.split()[-1]
            folder.mkdir()
            with Machine(folder, watch, "-device", "virtio-rng-device", **machine) as m:
                check(m, *args)
                m.quit()

    case("ten clones one after the other", check_many, 10)
    case("clones side by side", check_side_by_side)
    case("clones of clones", lambda m: check_generations(m, m.tmp))
    case("seeds", check_seed)
    case("mistakes", lambda m: check_mistakes(m, m.tmp))
    case("a drive that is written", lambda m: check_writable(m, m.tmp), disk="snapshot=off")
cases.finish()
