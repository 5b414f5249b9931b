#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=1800
"""Debian's programs compute the same in a guest as on the host: OpenSSL's known answers, xz there and back, SQLite's
integrity check, arithmetic of Python, Perl, awk and the shell. Where the host is no x86-64, only known answers are
checked. PROGRAMS_KEEP is a directory to keep the answers in."""

import difflib
import os
import platform
import shutil
import tempfile
from pathlib import Path

import native
from console import GUESTS, Cases, Console, Failure, expect_equal, fetch, make

ANSWERS = GUESTS / "answers"
SCRIPT = """#!/bin/sh
mkdir -p /tmp/answers
cd /tmp/answers
echo ANSWERS begin
HERE=/etc/answers sh /etc/answers/run 2>&1
echo ANSWERS end
poweroff -f
"""


def answers_of_guest():
    with Console("-M", "virt", "-smp", 1, "-m", "2G", "-bios", fetch("opensbi") / "fw_dynamic.bin",
                 "-kernel", fetch("linux") / "Image", "-initrd", initrd, "-append", "console=ttyS0 quiet ferry.script",
                 "-nographic") as console:
        watch(console)
        console.expect(r"^ANSWERS begin\n", 300)
        start = console.seen
        end = console.expect(r"^ANSWERS end\n", 1200).start()
        text = console.log[start:end]
        expect_equal(console.wait(), 0, "the exit status")
        return text


def answers_of_host():
    work = tmp / "work"
    work.mkdir()
    program, env = native.install("programs-amd64", tmp)
    with Console("sh", ANSWERS / "run", program=program, cwd=work, env=dict(env, HERE=str(ANSWERS))) as console:
        expect_equal(console.wait(600), 0, "the exit status")
        return console.log


def keep(name, text):
    if os.environ.get("PROGRAMS_KEEP"):
        (Path(os.environ["PROGRAMS_KEEP"]) / name).write_text(text)


cases = Cases()
programs = fetch("programs")
tmp = Path(tempfile.mkdtemp(prefix="ferry-programs-"))
guest = ""
try:
    (tmp / "script").write_text(SCRIPT)
    initrd = make("mkinitramfs", tmp / "initrd.cpio", "-s", tmp / "script", "-d", programs,
                  *(f"{path}=etc/answers/{path.name}" for path in sorted(ANSWERS.iterdir())))
    with cases.case("programs of a guest know the right answers") as watch:
        guest = answers_of_guest()
        keep("guest", guest)
        known = [line for line in guest.splitlines() if line.startswith("known ")]
        wrong = [line for line in known if not line.endswith(": ok")]
        expect_equal(len(known), 15, "the number of known answers")
        if wrong:
            raise Failure("\n".join(wrong))
    if platform.machine() == "x86_64":
        with cases.case("and give the same answers as the host's") as watch:
            host = answers_of_host()
            keep("host", host)
            diff = list(difflib.unified_diff(host.splitlines(), guest.splitlines(), "host", "guest", lineterm="", n=0))
            if diff:
                print("\n".join(line[:200] for line in diff[:60]))
                raise Failure("the answers differ")
finally:
    shutil.rmtree(tmp)
cases.finish()
