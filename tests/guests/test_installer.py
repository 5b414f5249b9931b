#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=600
"""Debian's installer for riscv64: a whole userland on the serial console, up to its first questions and a shell."""

from console import Cases, Console, fetch

installer = fetch("installer")
cases = Cases()
with cases.case("Debian's installer asks for a language and a location") as watch:
    with Console("-M", "virt", "-m", "1G", "-bios", "default", "-kernel", installer / "linux",
                 "-initrd", installer / "initrd.gz", "-append", "console=ttyS0 DEBIAN_FRONTEND=text", "-nographic") as console:
        watch(console)
        console.expect(r"Linux version 6\.")
        console.expect(r"Choose the language to be used", 400)
        console.expect(r"Prompt: .*default=\d+> ")
        console.send("2\r")
        console.expect(r"Select your location", 100)

with cases.case("Debian's installer gives a rescue shell") as watch:
    with Console("-M", "virt", "-m", "1G", "-bios", "default", "-kernel", installer / "linux",
                 "-initrd", installer / "initrd.gz", "-append", "console=ttyS0 rdinit=/bin/sh",
                 "-nographic") as console:
        watch(console)
        console.expect(r"^(.*)# ", 400)
        console.send("mount -t proc proc /proc; echo $((6 * 7)) $(wc -l </proc/cmdline)\r")
        console.expect(r"^42 1$")
cases.finish()
