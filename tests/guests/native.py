# SPDX-License-Identifier: MIT
"""Debian's programs on the host (x86-64) itself, of the same release as those in a guest."""

import os
from pathlib import Path

from console import fetch

PROGRAMS = {"python3": "python3.13", "perl": "perl", "sqlite3": "sqlite3", "openssl": "openssl", "xz": "xz"}
APPLETS = ("awk", "cat", "cmp", "cut", "head", "md5sum", "mv", "rm", "sed", "sort", "tr", "xxd", "yes")


def install(name, tmp):
    """The programs of one of fetch's trees, each run by the dynamic linker that it came with. What BusyBox's shell needs
    to find them: (program, environment)."""
    tree = fetch(name)
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    modules = [tree / "usr" / p for p in ("lib/x86_64-linux-gnu/perl/5.40", "share/perl/5.40",
                                          "lib/x86_64-linux-gnu/perl-base")]
    bin_dir = Path(tmp) / "bin"
    bin_dir.mkdir()
    for program, target in PROGRAMS.items():
        wrapper = bin_dir / program
        wrapper.write_text(f"#!/bin/sh\nPYTHONHOME={tree}/usr PERL5LIB={':'.join(map(str, modules))} exec "
                           f"{libraries}/ld-linux-x86-64.so.2 --library-path {libraries} {tree}/usr/bin/{target} \"$@\"\n")
        wrapper.chmod(0o755)
    busybox = tree / "usr/bin/busybox"
    for applet in APPLETS:
        (bin_dir / applet).symlink_to(busybox)
    return busybox, dict(os.environ, PATH=str(bin_dir), BIN=str(bin_dir))
