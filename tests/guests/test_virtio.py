#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: tap timeout=600
"""Linux's virtio drivers against our devices, on both versions of the transport: disk, shared folder, network from
the host's side, console ports and entropy. The guest runs a script and says `STAGE: ok` or why not."""

import os
import resource
import socket
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from console import Cases, Console, Failure, expect_equal, fetch, make

SCRIPT = r"""#!/bin/sh
stage() {
    why=$("$@" 2>&1) && [ -z "$why" ] && echo "VIRTIO: $1: ok" || echo "VIRTIO: $1: failed: $why"
}
named() { # which name a disk has depends on the order of probing
    for d in /sys/block/vd*; do
        [ "$(cat $d/serial)" != $1 ] || basename $d
    done
}
disk() {
    hd0=$(named S3R1AL) hd1=$(named R34D)
    [ "$(cat /sys/block/$hd1/ro)" = 1 ] || echo "$hd1 is writable"
    dd if=/tmp/seq of=/dev/$hd0 bs=4k seek=3 conv=notrunc,fsync 2>/dev/null || echo "cannot write"
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/$hd0 bs=4k skip=3 2>/dev/null | head -n 100000 | cmp - /tmp/seq || echo "reads something else"
    dd if=/dev/zero of=/dev/$hd1 bs=4k count=1 conv=fsync 2>/dev/null && echo "wrote to $hd1"
    blkdiscard -o 0 -l 4096 /dev/$hd0 || echo "cannot discard"
    head -c 11 /dev/$hd1 | cmp - /tmp/mark || echo "$hd1 has something else"
}
limited() { # the host refuses to store what lies behind 70 MiB
    hd2=$(named L1M1T)
    dd if=/tmp/seq of=/dev/$hd2 bs=4k seek=20000 conv=notrunc,fsync 2>/dev/null && echo "wrote where nothing can be"
    dmesg | grep -q "I/O error, dev $hd2, sector 16" || echo "the kernel was not told"
    dd if=/tmp/seq of=/dev/$hd2 bs=4k conv=notrunc,fsync 2>/dev/null || echo "cannot write elsewhere any more"
}
snapshot() {
    hd3=$(named SN4P)
    dd if=/tmp/seq of=/dev/$hd3 bs=4k conv=notrunc,fsync 2>/dev/null || echo "cannot write"
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/$hd3 bs=4k 2>/dev/null | head -n 100000 | cmp - /tmp/seq || echo "reads something else"
}
folder() {
    mkdir /tmp/share
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 hostshare /tmp/share || return
    cd /tmp/share
    [ "$(cat greeting)" = hello ] || echo "the greeting is $(cat greeting)"
    mkdir -p a/b && cp /tmp/seq a/b/seq && mv a c && ln -s b/seq c/link && ln c/b/seq hard
    cmp c/link /tmp/seq || echo "the copy differs"
    [ "$(stat -c %h hard)" = 2 ] || echo "no second link"
    chmod 640 hard && [ "$(stat -c %a c/b/seq)" = 640 ] || echo "the mode is $(stat -c %a c/b/seq)"
    exec 3>open 4<open
    rm open && echo gone >&3
    [ "$(cat <&4)" = gone ] || echo "lost what an unlinked file held"
    i=0
    while [ $i -lt 300 ]; do : >c/file$i; i=$((i + 1)); done
    [ "$(ls c | wc -l)" = 302 ] || echo "$(ls c | wc -l) entries"
    cat ../../etc/issue >/dev/null || echo "parent of the root is not the guest's"
    cat outside 2>/dev/null && echo "followed a link of the host's outside"
    rm -r c && sync
}
ports() {
    echo "to the console" >/dev/hvc0
    port=$(dirname $(grep -l org.ferry.test /sys/class/virtio-ports/*/name))
    port=/dev/$(basename $port)
    head -n 1 $port >/tmp/line &
    sleep 1
    echo "to the port" >$port
    wait
    [ "$(cat /tmp/line)" = "from the host" ] || echo "the port said $(cat /tmp/line)"
}
entropy() {
    [ "$(head -c 5000 /dev/hwrng | wc -c)" = 5000 ] || echo "too little"
    [ "$(head -c 64 /dev/hwrng | md5sum)" != "$(head -c 64 /dev/hwrng | md5sum)" ] || echo "the same twice"
}
seq 100000 >/tmp/seq
printf 'second disk' >/tmp/mark
stage disk
stage limited
stage snapshot
stage folder
stage ports
stage entropy
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -s /etc/udhcpc >/dev/null 2>&1
mkdir /tmp/www
cp /tmp/seq /tmp/www/seq
httpd -h /tmp/www
echo "VIRTIO: serving"
while [ ! -e /tmp/share/stop ]; do sleep 1; done
poweroff -f
"""

LIMIT = 70 << 20  # of files, above what the emulator wants for itself
TEXT = "".join(f"{n}\n" for n in range(1, 100001))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def set_up(tmp):
    share = tmp / "share"
    share.mkdir()
    (share / "greeting").write_text("hello\n")
    os.symlink("/etc/hostname", share / "outside")
    for name, size in (("a", 16 << 20), ("limited", 96 << 20), ("snapshot", 1 << 20)):
        with open(tmp / f"{name}.img", "wb") as f:
            f.truncate(size)
    (tmp / "b.img").write_bytes(b"second disk".ljust(1 << 16, b"\0"))


def command(tmp, legacy, port):
    return ["-M", "virt", "-m", "256M", "-smp", 2, "-nographic", "-kernel", LINUX / "Image", "-initrd", INITRD,
            "-append", "console=ttyS0 quiet ferry.script", "-global", f"virtio-mmio.force-legacy={legacy}",
            "-drive", f"file={tmp}/a.img,if=none,format=raw,id=hd0",
            "-device", "virtio-blk-device,drive=hd0,serial=S3R1AL,bus=virtio-mmio-bus.0",
            "-drive", f"file={tmp}/b.img,if=none,format=raw,id=hd1,readonly=on",
            "-device", "virtio-blk-device,drive=hd1,serial=R34D,bus=virtio-mmio-bus.1",
            "-drive", f"file={tmp}/limited.img,if=none,format=raw,id=hd2",
            "-device", "virtio-blk-device,drive=hd2,serial=L1M1T",
            "-drive", f"file={tmp}/snapshot.img,if=none,format=raw,id=hd3,snapshot=on",
            "-device", "virtio-blk-device,drive=hd3,serial=SN4P",
            "-fsdev", f"local,id=fs0,path={tmp}/share,security_model=none",
            "-device", "virtio-9p-device,fsdev=fs0,mount_tag=hostshare",
            "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:80", "-device", "virtio-net-device,netdev=net0",
            "-device", "virtio-serial-device", "-chardev", f"file,id=hvc,path={tmp}/hvc",
            "-device", "virtconsole,chardev=hvc",
            "-chardev", f"socket,id=port,path={tmp}/port,server=on,wait=off",
            "-device", "virtserialport,chardev=port,name=org.ferry.test",
            "-device", "virtio-rng-device"]


def expect_stage(console, name):
    expect_equal(console.expect(rf"^VIRTIO: {name}: (.*)\n", 120).group(1), "ok", name)


def connect_port(tmp, timeout=30):
    """Linux reads the end of the file from a port that has nobody at its other end: be there before it boots."""
    end = time.monotonic() + timeout
    s = socket.socket(socket.AF_UNIX)
    while True:
        try:
            s.connect(f"{tmp}/port")
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    s.sendall(b"from the host\n")
    s.settimeout(10)
    return s


def check_ports(tmp, console, port):
    expect_stage(console, "ports")
    expect_equal(port.makefile().readline(), "to the port\n", "what the port said")
    expect_equal((tmp / "hvc").read_text().replace("\r", ""), "to the console\n", "the console's output")


def fetch_page(port, console):
    pages = []

    def get():
        try:
            pages.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/seq", timeout=60).read().decode())
        except OSError as e:
            pages.append(str(e))

    thread = threading.Thread(target=get)
    thread.start()
    while thread.is_alive():
        console.read(0.1)
    if pages[0] != TEXT:
        raise Failure(f"the page is {pages[0][:60]!r}, {len(pages[0])} bytes")


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def check(tmp, legacy, watch):
    port = free_port()
    set_up(tmp)
    arguments = command(tmp, legacy, port)
    with Console(*arguments, preexec_fn=limit_files) as console, connect_port(tmp) as host_port:
        watch(console)
        for stage in ("disk", "limited", "snapshot", "folder"):
            expect_stage(console, stage)
        check_ports(tmp, console, host_port)
        expect_stage(console, "entropy")
        console.expect(r"^VIRTIO: serving", 60)
        fetch_page(port, console)
        (tmp / "share/stop").touch()
        expect_equal(console.wait(), 0, "the exit status")
    expect_equal((tmp / "snapshot.img").read_bytes(), bytes(1 << 20), "the image behind the snapshot")
    expect_equal((tmp / "limited.img").read_bytes()[:len(TEXT)].decode(), TEXT, "what is on the limited disk")
    image = (tmp / "a.img").read_bytes()
    expect_equal(image[12288:12288 + len(TEXT)].decode(), TEXT, "what is on the disk")
    expect_equal((tmp / "share/hard").read_text(), TEXT, "what is in the folder")


LINUX = fetch("linux")
fetch("busybox")
cases = Cases()
with tempfile.TemporaryDirectory() as top:
    script = Path(top) / "script"
    script.write_text(SCRIPT)
    INITRD = make("mkinitramfs", Path(top) / "initramfs.cpio", "-s", script)
    for version, legacy in ((2, "off"), (1, "on")):
        with cases.case(f"Linux's drivers on version {version}") as watch:
            folder = Path(top) / f"v{version}"
            folder.mkdir()
            check(folder, legacy, watch)
cases.finish()
