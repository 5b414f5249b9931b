#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap timeout=120
"""QMP and the monitor from outside: on which connections they are, what happens when clients come, go and misbehave,
what guests cause. Guests are a few instructions for the board virt."""

import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from qmp_client import Qmp, QmpError

FERRY = os.environ["FERRY"]
TMP = Path(tempfile.mkdtemp(prefix="ferry-control-"))
PROGRAMS = {  # raw code
    "spin": [0x0000006F],
    "off": [0x001003B7, 0x00005E37, 0x555E0E13, 0x01C3A023, 0x0000006F],
    "fail": [0x001003B7, 0x00073E37, 0x333E0E13, 0x01C3A023, 0x0000006F],  # with status 7
    "reset": [0x001003B7, 0x00007E37, 0x777E0E13, 0x01C3A023, 0x0000006F],
}
TIMEOUT = 60
failed = False


def report(name, function):
    global failed
    try:
        function()
        print(f"ok - {name}", flush=True)
    except Exception as e:
        failed = True
        print(f"not ok - {name}", flush=True)
        print(f"# {type(e).__name__}: {e}".replace("\n", "\n# "), flush=True)


def equal(got, wanted, what):
    assert got == wanted, f"{what} is {got!r}, expected {wanted!r}"


class Machine:
    """A running emulator; what it prints is text."""

    def __init__(self, program, *args):
        code = TMP / program
        code.write_bytes(b"".join(w.to_bytes(4, "little") for w in PROGRAMS[program]))
        self.process = subprocess.Popen([FERRY, "-M", "virt", "-m", "16M", "-bios", str(code), *map(str, args)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def send(self, text):
        self.process.stdin.write(text.encode())

    def read_until(self, part):
        while part not in self.text:
            ready = select.select([self.process.stdout], [], [], TIMEOUT)[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"no {part!r} in {self.text!r}"
            self.text += data.decode(errors="replace")
        before, self.text = self.text.split(part, 1)
        return before

    def line(self):
        return json.loads(self.read_until("\n"))

    def wait(self):
        return self.process.wait(TIMEOUT)


def names(events):
    return [e["event"] for e in events]


def test_standard_streams():
    with Machine("spin", "-S", "-qmp", "stdio", "-display", "none") as m:
        assert "QMP" in m.line()
        m.send('{"execute": "qmp_capabilities"}\n{"execute": "query-status"}{"execute": "cont"}\n')
        equal(m.line(), {"return": {}}, "the reply")
        equal(m.line()["return"]["status"], "prelaunch", "the state")
        equal(m.line()["event"], "RESUME", "the event")
        equal(m.line(), {"return": {}}, "the reply")
        m.send('{"execute": "quit"}\n')
        equal(m.line()["data"], {"guest": False, "reason": "host-qmp-quit"}, "the end's data")
        equal(m.line(), {"return": {}}, "the reply")
        equal(m.wait(), 0, "the status")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_several_at_once():
    port = free_port()
    with Machine("spin", "-display", "none", "-qmp", f"unix:{TMP}/a,server=on,wait=off",
                 "-qmp-pretty", f"tcp::{port},server,nowait", "-chardev", f"socket,id=c,path={TMP}/c,server=on,wait=off",
                 "-mon", "chardev=c,mode=control") as m:
        a, c = Qmp(TMP / "a"), Qmp(TMP / "c")
        tcp = socket.create_connection(("127.0.0.1", port), TIMEOUT).makefile("rw")
        equal([tcp.readline() for _ in range(2)], ["{\n", '    "QMP": {\n'], "the pretty greeting")
        for line in Path("/proc/net/tcp").read_text().splitlines():
            address = line.split()[1]
            if address.endswith(f":{port:04X}"):
                equal(address.split(":")[0], "0100007F", "the address that is listened at")
        a.run("stop")
        c.wait_event("STOP")
        equal(c.run("query-status")["status"], "paused", "the state")
        equal([x["label"] for x in a.run("query-chardev")], ["c", "compat_monitor0", "compat_monitor1"], "labels")
        a.run("quit")
        c.wait_event("SHUTDOWN", guest=False, reason="host-qmp-quit")
        equal(m.wait(), 0, "the status")


def test_clients_come_and_go():
    with Machine("spin", "-display", "none", "-qmp", f"unix:{TMP}/d,server=on,wait=off") as m:
        for _ in range(3):
            q = Qmp(TMP / "d")
            q.run("query-status")
            q.send('{"execute": "query-')  # and away
            q.close()
        q = Qmp(TMP / "d")
        equal(q.run("query-status")["status"], "running", "the state")
        q.run("quit")
        equal(m.wait(), 0, "the status")


def test_rubbish():
    """Random bytes, huge lines, a client that does not read."""
    rand = random.Random(1)
    with Machine("spin", "-display", "none", "-qmp", f"unix:{TMP}/e,server=on,wait=off") as m:
        for size in (1, 100, 10000, 2000000):
            q = Qmp(TMP / "e")
            try:
                q.socket.sendall(rand.randbytes(size) + b"{" * 100 + b"\n")
                q.socket.sendall(b'{"a": "' + b"x" * size + b'"}\n')
                q.send('{"execute": "query-name", "id": 77}\n')
                while q.read().get("id") != 77:
                    pass
            finally:
                q.close()
        deaf = Qmp(TMP / "e")
        deaf.socket.settimeout(1)
        try:
            for _ in range(2000):
                deaf.socket.sendall(b'{"execute": "query-qmp-schema"}\n' * 10)
        except OSError:
            pass  # more than is kept for it
        deaf.socket.close()
        deaf.close()
        q = Qmp(TMP / "e")
        q.run("quit")
        equal(m.wait(), 0, "the status")


def test_what_guests_cause():
    for program, args, wanted, status in (
            ("off", (), ["RESUME", "SHUTDOWN"], 0), ("fail", (), ["RESUME", "SHUTDOWN"], 7),
            ("reset", ("-no-reboot",), ["RESUME", "SHUTDOWN"], 0), ("reset", (), ["RESUME", "RESET"], None)):
        with Machine(program, "-S", "-display", "none", "-qmp", f"unix:{TMP}/f,server=on,wait=off", *args) as m:
            q = Qmp(TMP / "f")
            q.run("cont")
            while len(q.events) < 2:
                q.events.append(q.read())
            equal(names(q.events[:2]), wanted, f"{program}: events")
            equal(q.events[1]["data"]["guest"], True, "the guest's doing")
            if status is not None:
                equal(m.wait(), status, f"{program}: the status")


def test_power_off_that_stays():
    with Machine("off", "-S", "-no-shutdown", "-display", "none", "-qmp", f"unix:{TMP}/g,server=on,wait=off") as m:
        q = Qmp(TMP / "g")
        q.run("cont")
        q.wait_event("SHUTDOWN", guest=True, reason="guest-shutdown")
        q.wait_event("STOP")
        equal(q.run("query-status")["status"], "shutdown", "the state")
        try:
            q.run("cont")
        except QmpError as e:
            assert "reset it before it can go on" in str(e), e
        else:
            raise AssertionError("it went on")
        q.run("system_reset")
        q.wait_event("RESET", guest=False)
        equal(q.run("query-status")["status"], "prelaunch", "the state")
        q.run("quit")
        equal(m.wait(), 0, "the status")


def test_monitor_on_standard_streams():
    for args in (("-monitor", "stdio", "-display", "none"), ("-nographic", "-serial", "null")):
        with Machine("spin", *args) as m:
            m.read_until("type 'help' for more information\r\n(qemu) ")
            m.send("info status\n")
            equal(m.read_until("(qemu) "), "info status\r\nVM status: running\r\n", "the output")
            m.send("quit\n")
            equal(m.wait(), 0, "the status")


def test_monitor_behind_the_console():
    with Machine("spin", "-nographic") as m:
        m.send("\x01c")
        m.read_until("(qemu) ")
        m.send("p 6*7\n")
        equal(m.read_until("(qemu) "), "p 6*7\r\n0x2a\r\n", "the output")
        m.send("\x01c\x01x")
        equal(m.wait(), 0, "the status")
    with Machine("spin", "-nographic", "-qmp", f"unix:{TMP}/j,server=on,wait=off") as m:
        m.send("\x01cquit\n\x01x")  # with QMP there is no monitor, and the keys are the guest's
        q = Qmp(TMP / "j")
        equal(q.run("query-status")["status"], "running", "the state")
        q.run("quit")
        equal(m.wait(), 0, "the status")


def test_monitor_on_a_socket():
    with Machine("spin", "-display", "none", "-monitor", f"unix:{TMP}/h,server=on,wait=off",
                 "-qmp", f"unix:{TMP}/i,server=on,wait=off") as m:
        q = Qmp(TMP / "i")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(TIMEOUT)
            s.connect(f"{TMP}/h")
            s.sendall(b"stop\n")
            q.wait_event("STOP")
            s.sendall(b"system_powerdown\nsystem_reset\nquit\n")
            q.wait_event("POWERDOWN")
            q.wait_event("RESET")
            q.wait_event("SHUTDOWN")
        equal(m.wait(), 0, "the status")


def test_mistakes():
    for args, part in ((("-mon", "chardev=x"), "-mon chardev=x: there is no -chardev with id=x"),
                       (("-chardev", "null,id=x", "-mon", "x,mode=y"), "'y' is neither readline nor control"),
                       (("-chardev", "null,id=x", "-mon", "x", "-mon", "x"), "chardev x is in use already"),
                       (("-qmp", "stdio", "-monitor", "stdio"), "standard input and output are in use already"),
                       (("-qmp", "nonsense"), "nonsense")):
        result = subprocess.run([FERRY, "-M", "virt", "-display", "none", "-bios", "none", *args], text=True,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
        equal(result.returncode, 1, f"{args}: the status")
        assert part in result.stderr and result.stderr.count("\n") == 1, f"{args}: {result.stderr!r}"


for test_name, test in list(globals().items()):
    if test_name.startswith("test_"):
        report(test_name[5:].replace("_", " "), test)
shutil.rmtree(TMP)
sys.exit(failed)
