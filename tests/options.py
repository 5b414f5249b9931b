#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap timeout=120
"""The program from outside: help, mistakes, names, exit statuses, signals, consoles, time, hashes. Guests are programs
of a few instructions for the board virt, made by the cross assembler."""

import fcntl
import gzip
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

FERRY = os.environ["FERRY"]
SRC = Path(os.environ["FERRY_SRC"])
TMP = Path(tempfile.mkdtemp(prefix="ferry-options-"))
PREFIX = "riscv64-unknown-elf-"

FINISH = "li t0, 0x100000; sw t1, (t0); j .;"
PUT = "li t0, 0x10000000; li t1, '{}'; sb t1, (t0);"
SLEEP = """li t0, 0x200bff8; ld t1, (t0); li t2, {}; add t1, t1, t2; li t0, 0x2004000; sd t1, (t0);
    li t1, 0x80; csrs mie, t1; wfi;"""
PROGRAMS = {
    "exit0": "li t1, 0x5555;" + FINISH,
    "exit7": "li t1, 0x73333;" + FINISH,
    "exit256": "li t1, 0x1003333;" + FINISH,
    "hello": PUT.format("H") + PUT.format("i") + PUT.format("\\n") + "li t1, 0x5555;" + FINISH,
    "reset": PUT.format("B") + "li t1, 0x7777;" + FINISH,
    "spin": "li t0, 0x80000800; 1: addi t1, t1, 3; sd t1, (t0); j 1b;",
    "sleep": SLEEP.format(10_000_000 // 2) + "li t1, 0x5555;" + FINISH,  # half a second
    "year": SLEEP.format(10_000_000 * 86400 * 365) + "li t1, 0x5555;" + FINISH,
    "peek": "li t0, 0x80001000; lw t1, (t0);" + FINISH,
    # Sends back what it is sent, until 'q'.
    "echo": """li t0, 0x10000000; 1: lbu t1, 5(t0); andi t1, t1, 1; beqz t1, 1b; lbu t1, (t0); sb t1, (t0);
        li t2, 'q'; bne t1, t2, 1b; li t1, 0x5555;""" + FINISH,
    "idle": PUT.format("I") + "1: wfi; j 1b;",
    "idle-prompt": PUT.format("I") + "1: addi t1, t1, 1; j 1b;",
    "tohost": "la t0, tohost; li t1, 7 * 2 + 1; sd t1, (t0); j .; .data; .globl tohost; tohost: .dword 0;",
    "uart": "li t0, 0x10013000; li t1, 1; sw t1, 8(t0); li t1, 'U'; sw t1, (t0); j .;",
    "uarts": """li t0, 0x10013000; li t1, 1; sw t1, 8(t0); li t2, 'U'; sw t2, (t0); li t0, 0x10023000; sw t1, 8(t0);
        li t2, 'V'; sw t2, (t0); j .;""",
    # Reads where nothing is, where something is that does not work yet, and traps.
    "lost": """la t0, 1f; csrw mtvec, t0; li t0, 0x70000000; lw t1, (t0); ebreak; .balign 4;
        1: li t0, 0x10014000; lw t1, (t0); j .;""",
}

failed = False


def report(name, function):
    global failed
    try:
        function()
        print(f"ok - {name}", flush=True)
    except SkipTest as e:
        print(f"ok - {name} # SKIP {e}", flush=True)
    except Exception as e:
        failed = True
        print(f"not ok - {name}", flush=True)
        print(f"# {type(e).__name__}: {e}".replace("\n", "\n# "), flush=True)


class SkipTest(Exception):
    pass


def program(name, bits=64, base=0x80000000):
    """The ELF file of a program, made when it is first asked for."""
    path = TMP / f"{name}-{bits}-{base:x}"
    if path.exists():
        return path
    if not shutil.which(PREFIX + "gcc"):
        raise SkipTest(f"no {PREFIX}gcc (apt-get install gcc-riscv64-unknown-elf)")
    source = TMP / f"{path.name}.S"
    source.write_text(".globl _start\n_start:\n" + PROGRAMS[name].replace(";", "\n") + "\n")
    subprocess.run([PREFIX + "gcc", f"-march=rv{bits}ima_zicsr", f"-mabi={'lp64' if bits == 64 else 'ilp32'}",
                    "-nostdlib", f"-Wl,-Ttext={base:#x}", "-Wl,--no-relax", source, "-o", path], check=True)
    return path


def run(*args, stdin=subprocess.DEVNULL, program_name=FERRY, timeout=30, **kwargs):
    return subprocess.run([program_name, *map(str, args)], stdin=stdin, capture_output=True, text=True,
                          timeout=timeout, **kwargs)


def equal(got, wanted, what):
    assert got == wanted, f"{what} is {got!r}, expected {wanted!r}"


def contains(text, part):
    assert part in text, f"{part!r} is not in {text!r}"


# --- Help ---


def test_version():
    result = run("--version")
    equal(result.returncode, 0, "the status")
    assert re.search(r"version \d+\.\d+\.\d+", result.stdout), result.stdout


def test_help():
    result = run("-help")
    equal(result.returncode, 0, "the status")
    contains(result.stdout, "-kernel FILE")
    equal(run("--help").stdout, result.stdout, "what --help prints")


def test_manual():
    subprocess.run([SRC / "scripts/man-options", "--check", FERRY], check=True)


def test_lists():
    for args, part in ((("-machine", "help"), "\nvirt "), (("-M", "?"), "\nvirt "), (("-cpu", "help"), " rv64 "),
                       (("-device", "?"), "\nvirtio-blk-device "), (("-device", "virtio-blk-device,help"), "drive="),
                       (("-device", "loader,help"), "cpu-num="), (("-chardev", "?"), " pty "),
                       (("-netdev", "help"), "user"), (("-accel", "help"), "\ndbt "), (("-d", "help"), "\nunimp "),
                       (("-display", "help"), "\nnone ")):
        result = run(*args)
        equal((result.returncode, result.stderr), (0, ""), f"{args}: status and stderr")
        contains("\n" + result.stdout, part)


def test_mistakes():
    kernel = program("exit0")
    disk = TMP / "disk"
    disk.write_bytes(bytes(4096))
    magic = TMP / "magic"
    magic.write_bytes(b"\x7fELF\x02")
    cases = {
        ("-kernl", "x"): "did you mean -kernel?",
        ("-kernel",): "-kernel: needs an argument: FILE",
        ("-M", "nonsense"): "-M nonsense: there is no such board",
        ("-M", "nonsense,help"): "-M nonsense: there is none",
        ("-M", "virt,nonsense=on", "-bios", "none", "-kernel", kernel): "nonsense",
        ("-cpu", "nonsense", kernel): "nonsense",
        ("-smp", "99", kernel): "-smp 99: the board virt has",
        ("-kernel", "/nonexistent"): "/nonexistent: No such file or directory",
        ("-bios", "/nonexistent"): "/nonexistent: No such file or directory",
        ("-device", "nonsense", kernel): "nonsense",
        ("-device", "nonsense,help"): "-device nonsense: there is none",
        ("-device", "virtio-blk-device,drive=x", kernel): "there is no -drive with id=x",
        ("-serial", "chardev:x", kernel): "-serial chardev:x: there is no -chardev with id=x",
        ("-drive", "if=none,id=x"): "-drive: file: which one?",
        ("-drive", f"if=floppy,format=raw,file={disk}", kernel): "if=floppy: expected none, virtio or pflash",
        ("-d", "nonsense", kernel): "nonsense",
        ("-D", "/nonexistent/log", kernel): "/nonexistent/log",
        ("-pidfile", "/nonexistent/pid", kernel): "/nonexistent/pid: No such file or directory",
        ("-kernel", kernel): "where the firmware (-bios none leaves it out) is already",
        ("-append", "x"): "-append x: there is no kernel to give it to",
        ("-initrd", disk): f"-initrd {disk}: there is no kernel to give it to",
        ("-dtb", disk, kernel): f"{disk}: not a device tree",
        ("-dtb", "/nonexistent", kernel): "/nonexistent: No such file or directory",
        (magic,): "a cut-off ELF file",
        (kernel, kernel): "there is a file already",
        (sys.executable,): "an ELF file for x86-64, expected RISC-V",
        ("-bios", "none", kernel, "-m", "4K", "-device", "loader,addr=0x80001000,data=1,data-len=1"):
            "where this machine has no memory",
    }
    for args, part in cases.items():
        if args == (sys.executable,) and os.uname().machine != "x86_64":
            continue
        result = run(*args)
        equal(result.returncode, 1, f"{args}: the status")
        contains(result.stderr, part)
        equal(result.stderr.count("\n"), 1, f"{args}: lines in {result.stderr!r}")
        assert result.stderr.startswith("ferry: "), result.stderr
        equal(result.stdout, "", f"{args}: stdout")


def test_names():
    for name, models in (("qemu-system-riscv32", {"rv32"}), ("qemu-system-riscv64", {"rv64"}),
                         ("ferry-system-riscv32", {"rv32"}), ("ferry", {"rv32", "rv64"})):
        link = TMP / name
        if not link.exists():
            link.symlink_to(FERRY)
        text = run("-cpu", "help", program_name=link).stdout
        equal({m for m in ("rv32", "rv64") if f" {m} " in text}, models, name)
    result = run(program("exit0"), program_name=TMP / "qemu-system-riscv32")
    equal(result.returncode, 1, "the status")
    contains(result.stderr, "a 64-bit ELF file, but the machine's CPUs have 32 bits")
    link = TMP / "qemu-system-m68k"
    link.symlink_to(FERRY)
    result = run(program_name=link)
    equal(result.returncode, 1, "the status")
    contains(result.stderr, "no guest 'm68k'")


# --- How it ends ---


def test_exit_status():
    for name, status in (("exit0", 0), ("exit7", 7), ("exit256", 255)):
        for accel in ("dbt", "interp"):
            equal(run("-accel", accel, program(name)).returncode, status, f"{name}: the status")
    equal(run("-M", "virt", "-bios", "none", "-kernel", program("exit7"), "-nographic").returncode, 7, "the status")


def test_formats():
    elf = program("exit7")
    raw, packed = TMP / "exit7.bin", TMP / "exit7.bin.gz"
    subprocess.run([PREFIX + "objcopy", "-O", "binary", elf, raw], check=True)
    packed.write_bytes(gzip.compress(raw.read_bytes()))
    for path in (raw, packed):
        equal(run("-M", "virt", "-bios", "none", "-kernel", path).returncode, 7, f"{path}: the status")
    # U-Boot's harnesses start firmware so.
    equal(run("-M", "virt", "-bios", raw).returncode, 7, "the status of -bios")


def test_choices():
    """The file decides about the board and the CPUs' width."""
    equal(run(program("exit7", 32)).returncode, 7, "the status of a 32-bit program")
    equal(run("-M", "virt", "-bios", "none", "-kernel", program("exit7", 32)).returncode, 7, "the status with -kernel")
    raw = TMP / "exit7-32.bin"
    subprocess.run([PREFIX + "objcopy", "-O", "binary", program("exit7", 32), raw], check=True)
    equal(run("-M", "virt", "-cpu", "rv32", "-bios", "none", "-kernel", raw).returncode, 7, "the status with -cpu rv32")
    equal(run(program("tohost")).returncode, 7, "the status of a program for spike")
    result = run("-until", "1000", program("uart", 32, 0x20400000))
    equal((result.returncode, result.stdout), (124, "U"), "status and output of a program for sifive_e")
    result = run(program("spin", 64, 0x1000000))
    contains(result.stderr, "loads at 0x1000000, which tells no board; choose one with -M")


def test_reset():
    result = run("-no-reboot", program("reset"))
    equal((result.returncode, result.stdout), (0, "B"), "status and output with -no-reboot")
    result = run("-until", "20k", program("reset"))
    assert result.stdout.count("B") > 10, result.stdout


def test_until():
    result = run("-until", "1M", program("spin"))
    equal(result.returncode, 124, "the status")
    contains(result.stderr, "ferry: stopped after 1000000 instructions (-until)")
    both = subprocess.run([FERRY, "-until", "100k", program("idle-prompt")], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30).stdout
    equal(both, "Iferry: stopped after 100000 instructions (-until)\n", "the order of output")


def start(*args, **kwargs):
    return subprocess.Popen([FERRY, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **kwargs)


def wait_for(condition, what):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.01)


def test_signals():
    for name in ("spin", "idle"):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            pidfile = TMP / "pid"
            process = start("-pidfile", pidfile, program(name))
            wait_for(lambda: pidfile.exists() and pidfile.read_text(), "pidfile")
            equal(int(pidfile.read_text()), process.pid, "the pidfile")
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
            equal((process.returncode, errors), (0, f"ferry: terminating on signal {int(number)}\n"), "status, stderr")
            assert not pidfile.exists(), "the pidfile is still there"


def test_file_size_limit():
    """What a guest writes may not fit into a file: that is an error of a write, not the end of the emulator."""
    path = TMP / "limited"
    result = run("-accel", "interp", "-display", "none", "-serial", f"file:{path}", program("hello"),
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1)))
    equal(result.returncode, 0, "the status")
    equal(path.read_text(), "H", "the file")


# --- Consoles ---


def test_output():
    equal(run(program("hello")).stdout, "Hi\n", "the output")
    equal(run("-nographic", program("hello")).stdout, "Hi\n", "the output with -nographic")
    equal(run("-display", "none", program("hello")).stdout, "", "the output with -display none")
    equal(run("-nodefaults", program("hello")).stdout, "", "the output with -nodefaults")
    path = TMP / "serial"
    equal(run("-display", "none", "-serial", f"file:{path}", program("hello")).stdout, "", "the output")
    equal(path.read_text(), "Hi\n", "the file")
    equal(run("-chardev", "stdio,id=c", "-serial", "chardev:c", program("hello")).stdout, "Hi\n", "the output")
    for monitor in (("-monitor", "none"), ("-serial", "mon:stdio"), ("-monitor", "null", "-serial", "stdio")):
        equal(run(*monitor, "-display", "none", program("hello")).stdout[:2],
              "" if monitor == ("-monitor", "none") else "Hi", f"the output with {monitor}")


def test_input():
    process = subprocess.run([FERRY, program("echo")], input="abcq", capture_output=True, text=True, timeout=30)
    equal((process.returncode, process.stdout), (0, "abcq"), "status and output")
    process = subprocess.run([FERRY, program("echo")], input="ab\x01x", capture_output=True, text=True, timeout=30)
    equal(process.returncode, 0, "the status after Ctrl-A x")


def test_pty():
    process = start("-serial", "pty", program("echo"))
    line = process.stdout.readline()
    match = re.match(r"char device redirected to (/dev/pts/\d+) \(label serial0\)$", line)
    assert match, line
    with open(os.open(match[1], os.O_RDWR | os.O_NOCTTY), "r+b", buffering=0) as line:
        attributes = termios.tcgetattr(line)
        attributes[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(line, termios.TCSANOW, attributes)
        line.write(b"xyz")
        got = b""
        while len(got) < 3 and select.select([line], [], [], 20)[0]:
            got += line.read(16)
        equal(got, b"xyz", "the echo")
        line.write(b"q")
    equal(process.wait(20), 0, "the status")
    process.communicate()


def talk(send, receive):
    """With the program echo, until it ends."""
    send(b"abq")
    got = b""
    while len(got) < 3:
        got += receive(3) or b"(end)"
    equal(got, b"abq", "the echo")


def connect(family, address):
    s = socket.socket(family)
    s.settimeout(20)
    wait_for(lambda: s.connect_ex(address) == 0, f"connection to {address}")
    return s


def finish(process, said=""):
    _, errors = process.communicate(timeout=20)
    equal(process.returncode, 0, "the status")
    assert re.fullmatch(said, errors), errors


def test_sockets():
    path = str(TMP / "socket")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for args, family, address in (
            (f"-serial unix:{path},server=on,wait=off", socket.AF_UNIX, path),
            (f"-serial unix:{path},server=on", socket.AF_UNIX, path),
            (f"-serial tcp:127.0.0.1:{port},server,nowait", socket.AF_INET, ("127.0.0.1", port)),
            (f"-chardev socket,id=c,path={path},server=on,wait=off -serial chardev:c", socket.AF_UNIX, path),
            (f"-chardev socket,id=c,host=localhost,port={port},server=on,wait=off,ipv4=on -serial chardev:c",
             socket.AF_INET, ("127.0.0.1", port))):
        process = start(*args.split(), program("echo"))
        with connect(family, address) as s:
            talk(s.sendall, s.recv)
        waits = "server" in args and "wait" not in args
        finish(process, "ferry: serial0: waiting for a connection on .*\n" if waits else "")
    with socket.socket(socket.AF_UNIX) as server:  # the other way around
        server.bind(str(TMP / "server"))
        server.listen()
        process = start("-serial", f"unix:{TMP / 'server'}", program("echo"))
        with server.accept()[0] as s:
            talk(s.sendall, s.recv)
        finish(process)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        args = f"-chardev socket,id=c,fd={theirs.fileno()} -serial chardev:c"
        process = start(*args.split(), program("echo"), pass_fds=[theirs.fileno()])
        talk(ours.sendall, ours.recv)
        finish(process)


def test_pipe():
    """Harnesses open the FIFOs in this order, and wait at each for its other end."""
    path = TMP / "pipe"
    os.mkfifo(f"{path}.in")
    os.mkfifo(f"{path}.out")
    for args in (f"-serial pipe:{path}", f"-chardev pipe,id=c,path={path} -serial chardev:c"):
        process = start(*args.split(), program("echo"))
        with open(f"{path}.in", "wb", buffering=0) as to, open(f"{path}.out", "rb", buffering=0) as back:
            talk(to.write, back.read)
        finish(process)


def test_character_devices():
    path = TMP / "chardev"
    for args, output in (("-serial stdio", "Hi\n"), ("-serial mon:stdio", "Hi\n"), ("-serial null", ""),
                         ("-serial none", ""), ("-chardev stdio,mux=on,id=c -serial chardev:c", "Hi\n"),
                         ("-chardev stdio,id=c,signal=off,mux=on -serial chardev:c -nographic", "Hi\n"),
                         ("-chardev null,id=c -serial chardev:c", ""), ("-serial stdio -serial null", "Hi\n"),
                         ("-chardev ringbuf,id=c,size=256 -serial chardev:c", ""), (f"-serial file:{path}", ""),
                         (f"-chardev file,id=c,path={path} -serial chardev:c", ""),
                         ("-nographic -serial null -monitor none", "")):
        path.write_text("")
        result = run(*args.split(), program("hello"))
        equal((result.returncode, result.stdout, result.stderr), (0, output, ""), f"{args}: status, stdout and stderr")
        equal(path.read_text(), "Hi\n" if "file" in args else "", f"{args}: the file")
    result = run("-chardev", "pty,id=c", "-serial", "chardev:c", program("hello"))
    assert re.match(r"char device redirected to /dev/pts/\d+ \(label c\)\n$", result.stdout), result.stdout


def test_two_uarts():
    first, second = TMP / "first", TMP / "second"
    run("-until", "1000", "-serial", f"file:{first}", "-serial", f"file:{second}", program("uarts", 32, 0x20400000))
    equal((first.read_text(), second.read_text()), ("U", "V"), "what the UARTs got")
    result = run("-until", "1000", "-serial", "null", "-serial", "stdio", program("uarts", 32, 0x20400000))
    equal(result.stdout, "V", "the second one's output")


class Terminal:
    """A machine on a terminal of its own, in its foreground, below a shell that stays when the machine is gone."""

    def __init__(self, *args):
        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.status, self.pidfile = TMP / "status", TMP / "pid"
        self.status.unlink(missing_ok=True)
        self.shell = subprocess.Popen(
            ["sh", "-c", '"$@"; echo $? >"$0"; exec sleep 60', self.status, FERRY, "-pidfile", self.pidfile,
             *map(str, args)], stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec_fn=own_terminal)

    def read_until(self, text):
        got = b""
        end = time.monotonic() + 20
        while text not in got:
            assert select.select([self.master], [], [], max(end - time.monotonic(), 0))[0], got
            got += os.read(self.master, 4096)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def is_over(self):
        return self.status.exists() and self.status.read_text().endswith("\n")

    def send_signal(self, number):
        os.kill(int(self.pidfile.read_text()), number)

    def finish(self):
        wait_for(self.is_over, "end of the machine")
        after = termios.tcgetattr(self.slave)
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)
        os.close(self.slave)
        equal(after, self.before, "the terminal's mode")
        return int(self.status.read_text())


def test_terminal():
    t = Terminal("-nographic", program("idle"))
    t.read_until(b"I")
    assert t.is_raw(), "the terminal is not in raw mode"
    os.write(t.master, b"\x03")  # the guest's
    time.sleep(0.1)
    assert not t.is_over(), "Ctrl-C ended the machine"
    os.write(t.master, b"\x01x")
    equal(t.finish(), 0, "the status after Ctrl-A x")
    for number in (signal.SIGTERM, signal.SIGHUP):
        t = Terminal("-nographic", program("spin"))
        wait_for(t.is_raw, "raw mode")
        wait_for(lambda: t.pidfile.exists() and t.pidfile.read_text(), "pidfile")
        t.send_signal(number)
        equal(t.finish(), 0, f"the status after signal {number}")


# --- Time ---


def seconds(*args):
    start_time = time.monotonic()
    equal(run(*args).returncode, 0, f"{args}: the status")
    return time.monotonic() - start_time


def test_idle_time():
    took = seconds(program("year"))
    assert took < 10, f"a year took {took} s though idle time is skipped"
    took = seconds("-icount", "sleep=on", program("sleep"))
    assert took >= 0.45, f"half a second took {took} s though idle time passes"
    t = Terminal("-nographic", program("sleep"))
    start_time = time.monotonic()
    equal(t.finish(), 0, "the status on a terminal")
    took = time.monotonic() - start_time
    assert took >= 0.4, f"half a second took {took} s on a terminal"


def test_idle_costs_nothing():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = start("-icount", "sleep=on", program("idle"))
    time.sleep(1)
    process.terminate()
    process.communicate(timeout=20)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.3, f"an idle second took {used} s of CPU time"


# --- Looking inside ---


def hashes(*args):
    path = TMP / "hashes"
    run("-rtc", "base=2024-01-01", "-hash-every", f"1000,file={path}", *args)
    lines = path.read_text().splitlines()
    assert all(re.fullmatch(r"\d+ [0-9a-f]{16}", line) for line in lines), lines
    return lines


def test_hashes():
    lines = hashes("-until", "20500", program("spin"))
    equal([int(line.split()[0]) for line in lines], [*range(1000, 20001, 1000), 20500], "the counts")
    equal(len({line.split()[1] for line in lines}), len(lines), "the number of different hashes")
    equal(hashes("-until", "20500", "-accel", "interp", program("spin")), lines, "what the interpreter does")
    assert hashes("-until", "20500", "-seed", "1", program("spin")) != lines, "the seed is no state"
    result = run("-rtc", "base=2024-01-01", "-hash-every", "1000", "-until", "20500", program("spin"))
    equal(result.stderr.splitlines()[:20], lines[:20], "the lines on stderr")


def record(*args, text="", path=TMP / "recording"):
    """What a machine prints that is recorded while it reads `text`."""
    result = run("-nographic", "-record", path, *args, program("echo"), stdin=None, input=text)
    equal((result.returncode, result.stderr), (0, ""), "status and stderr of the recording")
    return result.stdout


def replay(*args, path=TMP / "recording", guest="echo"):
    result = run("-nographic", "-replay", path, *args, program(guest))
    equal(result.stderr.count("\n"), 1, f"lines in {result.stderr!r}")
    return result


def test_replay():
    equal(record(text="Hello, q"), "Hello, q", "what is printed while recording")
    for args in (), ("-accel", "interp"):
        result = replay(*args)
        equal((result.returncode, result.stdout), (0, "Hello, q"), f"what the replay does {args}")
        contains(result.stderr, "as recorded")


def test_replay_by_another_name():
    path = TMP / "rr"
    result = run("-nographic", "-icount", f"shift=3,rr=record,rrfile={path}", program("echo"), stdin=None, input="zq")
    equal((result.returncode, result.stdout), (0, "zq"), "the recording")
    result = run("-nographic", "-icount", f"shift=3,rr=replay,rrfile={path}", program("echo"))
    equal((result.returncode, result.stdout), (0, "zq"), "the replay")


def test_replays_that_differ():
    record(text="abq")
    for args, guest, part in (((), "exit0", "memory "), (("-smp", "2"), "echo", "'cpus 1, rv64"),
                              (("-seed", "1"), "echo", "entropy and date"), (("-cpu", "rv64,zba=off"), "echo", "zba=off"),
                              (("-device", "virtio-rng-device"), "echo", "virtio-rng-device")):
        result = replay(*args, guest=guest)
        equal(result.returncode, 1, f"status {args} {guest}")
        contains(result.stderr, part)
    contains(run("-record", "a", "-replay", "b", program("echo")).stderr, "-record and -replay: only one")
    contains(replay(path=program("echo")).stderr, "is no recording")
    contains(replay(path="/nonexistent").stderr, "cannot open /nonexistent")
    contains(run("-record", "/nonexistent/x", program("echo")).stderr, "cannot write /nonexistent/x")


def test_a_recording_that_breaks_off():
    path = TMP / "broken"
    with subprocess.Popen([FERRY, "-nographic", "-record", path, program("echo")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdin.write(b"abc")
        process.stdin.flush()
        while len(process.stdout.read(1)) < 1:
            pass
        time.sleep(1.5)  # it is written about once a second
        process.stdin.write(b"d")
        process.stdin.flush()
        equal(process.stdout.read(3), b"bcd", "what was printed")
        process.kill()
    result = replay(path=path)
    equal((result.returncode, result.stdout[:3]), (0, "abc"), "what the replay does")
    contains(result.stderr, "as recorded")


def test_snapshots():
    dir = TMP / "snaps"
    args = ("-rtc", "base=2024-01-01", "-snapshots", dir)
    for form, accel in (("", "dbt"), (",mapped=on", "interp")):
        rest = ("-snapshots", f"{dir}{form}", "-accel", accel)
        result = run(*args, *rest, "-until", "10000", "-savevm", "ten", program("spin"))
        equal((result.returncode, result.stderr), (124, "ferry: stopped after 10000 instructions (-until)\n"), "saving")
        wanted = hashes("-until", "30000", program("spin"))
        for name in ("ten", dir / "ten.snap"):
            equal(hashes(*args, "-until", "30000", "-loadvm", name, program("spin")), wanted[10:], f"hashes from {name}")
        result = run("-snapshots", dir, "-loadvm", "help")
        assert re.search(r"(?m)^ten .* 10000$", result.stdout), result.stdout
    for line, part in (("-loadvm nine", "there is no snapshot 'nine'"), (f"-loadvm {program('spin')}", "is no snapshot"),
                       ("-loadvm ten -smp 2", "is of another machine"), ("-savevm a/b -until 10", "can't be the name"),
                       (f"-snapshots {program('spin')} -savevm a -until 10", "cannot make the folder")):
        result = run(*args, *line.split(), program("spin"))
        equal(result.returncode, 1, f"status of {line}")
        contains(result.stderr, part)
    contains(run("-snapshots", TMP / "none", "-loadvm", "help").stdout, "There is no snapshot in")


def test_replay_from_a_snapshot():
    dir, path = TMP / "start", TMP / "from"
    run("-snapshots", dir, "-until", "5000", "-savevm", "a", program("echo"))
    args = ("-snapshots", dir, "-loadvm", "a", program("echo"))
    result = run("-nographic", "-record", path, *args, stdin=None, input="abq")
    equal((result.returncode, result.stdout), (0, "abq"), "the recording")
    result = run("-nographic", "-replay", path, *args)
    equal((result.returncode, result.stdout), (0, "abq"), "the replay")
    result = run("-nographic", "-replay", path, program("echo"))
    equal(result.returncode, 1, "status without the snapshot")
    contains(result.stderr, "went another way")


def test_loader():
    equal(run("-device", "loader,addr=0x80001000,data=0x53333,data-len=4", program("peek")).returncode, 5, "the status")
    value = TMP / "value"
    value.write_bytes((0x93333).to_bytes(4, "little"))
    equal(run("-device", f"loader,addr=0x80001000,file={value}", program("peek")).returncode, 9, "the status")
    elf = program("exit7")
    equal(run("-M", "virt", "-bios", "none", "-device", f"loader,file={elf},cpu-num=0").returncode, 7, "the status")


def test_devices():
    disk = TMP / "devices.img"
    disk.write_bytes(bytes(1 << 20))
    raw = f"file={disk},format=raw"
    for line in (f"-hda {disk}", f"-drive {raw}", f"-drive {raw},if=virtio", f"-snapshot -hda {disk}", f"-cdrom {disk}",
                 f"-drive {raw},if=none,id=x -device virtio-blk-pci,drive=x,disable-legacy=on,bus=pcie.0",
                 f"-drive {raw},if=none,id=x,cache=none,aio=threads -device virtio-blk,drive=x,bootindex=1",
                 "-nic user", "-nic none", "-net none", "-net nic -net user", "-nic user,model=virtio,mac=02:00:00:00:00:01",
                 "-netdev user,id=n -device virtio-net-pci,netdev=n", "-object rng-random,id=r -device virtio-rng-pci,rng=r",
                 "-chardev null,id=c -device virtio-serial-device -device virtconsole,chardev=c",
                 f"-virtfs local,path={TMP},mount_tag=t,security_model=none",
                 f"-fsdev local,id=f,path={TMP},security_model=none -device virtio-9p-pci,fsdev=f,mount_tag=t",
                 "-global virtio-mmio.force-legacy=false", disk):
        result = run("-M", "virt", "-bios", "none", "-kernel", program("exit7"), *str(line).split())
        equal((result.returncode, result.stderr), (7, ""), f"{line}: status and stderr")
    for line, part in ((f"-hda {disk} -hdb {disk}", "in use already"), ("-nic nonsense", "nonsense"),
                       ("-net nic,model=nonsense -net user", "nonsense"),
                       (f"-drive if=none,id=a,{raw},readonly=on -drive if=none,id=a,{raw},readonly=on",
                        "there is another one with id=a"),
                       (f"-virtfs local,path={TMP}", "mount_tag"), (f"-drive {raw},nonsense=1", "nonsense")):
        result = run("-M", "virt", "-bios", "none", "-kernel", program("exit7"), *line.split())
        equal((result.returncode, result.stderr.count("\n")), (1, 1), f"{line}: status and lines")
        contains(result.stderr, part)


def test_device_tree():
    path = TMP / "dtb"
    for args in (("-bios", "none"), (), ("-cpu", "rv32"), ("-smp", "4", "-m", "1G", "-nographic")):
        result = run("-M", f"virt,dumpdtb={path}", *args)
        equal((result.returncode, result.stderr), (0, ""), f"{args}: status and stderr")
        equal(path.read_bytes()[:4], b"\xd0\x0d\xfe\xed", "the tree's magic")
    equal(run("-dtb", path, program("exit7")).returncode, 7, "the status with -dtb")


def test_log():
    path = TMP / "log"
    channels = {
        "in_asm": "0x20400000:  auipc   t0,",
        "op": "OP 0x20400000:",
        "op_opt": "OP after optimization 0x20400000:",
        "out_asm": "OUT: 0x20400000",
        "int": r"trap 5 at 0x2040.*, value 0x70000000",
        "exec": "cpu 0: 0x20400000 key",
        "unimp": "read of 4 bytes",
        "guest_errors": "read of 4 bytes at .*0x70000000",
    }
    if os.environ.get("FERRY_ACCEL") == "interp":
        del channels["out_asm"]  # it makes none
    lost = ("-until", "100", "-D", path, program("lost", 32, 0x20400000))
    alone = {}
    for channel, text in channels.items():
        result = run("-d", channel, *lost)
        equal((result.returncode, result.stdout), (124, ""), f"{channel}: status and stdout")
        alone[channel] = path.read_text()
        assert re.search(text, alone[channel]), f"{text!r} is not in {alone[channel]!r}"
    run("-d", ",".join(channels), *lost)
    everything = path.read_text()
    for channel, text in channels.items():
        assert re.search(text, everything), f"{text!r} is not in {everything!r}"
        others = "".join(v for c, v in alone.items() if c != channel)
        assert not re.search(text, others) or channel == "unimp", f"{text!r} of {channel} is in another channel"
    run("-d", "in_asm,op", "-accel", "interp", *lost)
    equal(path.read_text().count("IN: riscv"), alone["in_asm"].count("IN: riscv"), "units of the interpreter")
    contains(run("-d", "int", *lost[:2], lost[-1]).stderr, "trap 5 at")


# --- What a run costs ---


def test_footprint():
    """A run that needs nothing loads nothing for it: neither in memory nor of libraries. For times see tests/bench."""
    process = start("-icount", "sleep=on", program("idle"))
    try:
        equal(process.stdout.read(1), "I", "the output")
        status = Path(f"/proc/{process.pid}/status").read_text()
        maps = Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.kill()
        process.communicate()
    libraries = {Path(line.split()[-1]).name.split(".so")[0] for line in maps.splitlines() if ".so" in line}
    for library in ("libslirp", "libcapstone", "libdw", "libelf"):
        assert library not in libraries, f"{library} is loaded: {sorted(libraries)}"
    if "libasan" in libraries or "asan" in os.environ["FERRY_BUILD"]:
        raise SkipTest("the sanitizers take memory of their own")
    peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
    assert peak <= 10 * 1024, f"{peak} KiB were resident"


for test_name, test in list(globals().items()):
    if test_name.startswith("test_"):
        report(test_name[5:].replace("_", " "), test)
shutil.rmtree(TMP)
sys.exit(failed)
