#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# test: quick tap timeout=120
"""SHA-256 and SHA-512 by Zknh's instructions, against Python's: digests of messages that take up to three blocks."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from console import FERRY, Cases, expect_equal

CC = "riscv64-unknown-elf-gcc"
LENGTHS = (0, 1, 55, 56, 64, 111, 112, 128, 200, 300)

# Constants are of the primes' roots, FIPS 180-4, sections 4.2 and 5.3.
PROGRAM = r"""
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define UNARY(name, T) static T name(T a) { T d; asm(#name " %0, %1" : "=r"(d) : "r"(a)); return d; }
#define HALF(name) \
    static u32 name(u32 a, u32 b) { u32 d; asm(#name " %0, %1, %2" : "=r"(d) : "r"(a), "r"(b)); return d; }
#define ROTATED(name) \
    HALF(name##r) \
    static u64 name(u64 v) { return name##r(v, v >> 32) | (u64)name##r(v >> 32, v) << 32; }
#define SHIFTED(name) \
    HALF(name##l) HALF(name##h) \
    static u64 name(u64 v) { return name##l(v, v >> 32) | (u64)name##h(v >> 32, v) << 32; }

UNARY(sha256sum0, u32) UNARY(sha256sum1, u32) UNARY(sha256sig0, u32) UNARY(sha256sig1, u32)
#if __riscv_xlen == 64
UNARY(sha512sum0, u64) UNARY(sha512sum1, u64) UNARY(sha512sig0, u64) UNARY(sha512sig1, u64)
#else
ROTATED(sha512sum0) ROTATED(sha512sum1) SHIFTED(sha512sig0) SHIFTED(sha512sig1)
#endif

static const u64 k[] = {@K@}, h[] = {@H@};

// One function for both: of words T, with constants that are the upper bits of those of SHA-512.
#define TOP(T, v) ((T)((v) >> (64 - 8 * sizeof(T))))
#define SHA2(bits, T, ROUNDS) \
    static void block##bits(T *s, const u8 *in) \
    { \
        T w[ROUNDS], v[8]; \
        for (int i = 0; i < ROUNDS; i++) { \
            w[i] = 0; \
            for (int n = 0; i < 16 && n < (int)sizeof(T); n++) \
                w[i] = w[i] << 8 | *in++; \
            if (i >= 16) \
                w[i] = sha##bits##sig1(w[i - 2]) + w[i - 7] + sha##bits##sig0(w[i - 15]) + w[i - 16]; \
        } \
        for (int i = 0; i < 8; i++) \
            v[i] = s[i]; \
        for (int i = 0; i < ROUNDS; i++) { \
            T t1 = v[7] + sha##bits##sum1(v[4]) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + TOP(T, k[i]) + w[i]; \
            T t2 = sha##bits##sum0(v[0]) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])); \
            for (int n = 7; n > 0; n--) \
                v[n] = v[n - 1]; \
            v[4] += t1; \
            v[0] = t1 + t2; \
        } \
        for (int i = 0; i < 8; i++) \
            s[i] += v[i]; \
    } \
    static void digest##bits(u32 len) \
    { \
        static u8 m[512]; \
        T s[8]; \
        u32 size = 16 * sizeof(T), padded = (len + 2 * sizeof(T) + size) / size * size; \
        for (u32 i = 0; i < padded; i++) \
            m[i] = i < len ? i * 7 : i == len ? 0x80 : 0; \
        m[padded - 1] = len * 8; \
        m[padded - 2] = len * 8 >> 8; \
        for (int i = 0; i < 8; i++) \
            s[i] = TOP(T, h[i]); \
        for (u32 at = 0; at < padded; at += size) \
            block##bits(s, m + at); \
        for (int i = 0; i < 8; i++) \
            for (int n = 2 * sizeof(T); n-- > 0;) \
                put("0123456789abcdef"[s[i] >> 4 * n & 15]); \
        put('\n'); \
    }

static void put(char c)
{
    *(volatile u8 *)0x10000000 = c;
}

SHA2(256, u32, 64)
SHA2(512, u64, 80)

void main(void)
{
    static const u32 lengths[] = {@LENGTHS@};
    for (u32 i = 0; i < sizeof(lengths) / 4; i++) {
        digest256(lengths[i]);
        digest512(lengths[i]);
    }
    *(volatile u32 *)0x100000 = 0x5555;
}

asm(".section .text.start, \"ax\"; .globl _start; _start: li sp, 0x80100000; call main");
"""


def root_bits(n, degree):
    """The first 64 bits of the fraction of a root."""
    low, high = 0, n << 64
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle ** degree <= n << 64 * degree else (low, middle)
    return low & (1 << 64) - 1


def source():
    primes = [n for n in range(2, 410) if all(n % p for p in range(2, n))][:80]
    words = {"K": [f"{root_bits(p, 3):#x}u" for p in primes], "H": [f"{root_bits(p, 2):#x}u" for p in primes[:8]],
             "LENGTHS": map(str, LENGTHS)}
    text = PROGRAM
    for name, values in words.items():
        text = text.replace(f"@{name}@", ", ".join(values))
    return text


def build(bits):
    tmp = Path(os.environ.get("TMPDIR", tempfile.gettempdir()))
    c, elf = tmp / "sha2.c", tmp / f"sha2-{bits}.elf"
    c.write_text(source())
    subprocess.run([CC, f"-march=rv{bits}imac_zknh", f"-mabi={'lp64' if bits == 64 else 'ilp32'}", "-mcmodel=medany",
                    "-O2", "-w", "-ffreestanding", "-nostdlib", "-fno-tree-loop-distribute-patterns",
                    "-Wl,--no-relax,--no-warn-rwx-segments,-Ttext=0x80001000,--section-start=.text.start=0x80000000",
                    "-o", elf, c], check=True)
    return elf


def expected():
    for length in LENGTHS:
        message = bytes(i * 7 & 255 for i in range(length))
        yield hashlib.sha256(message).hexdigest()
        yield hashlib.sha512(message).hexdigest()


if not shutil.which(CC):
    print(f"no {CC} (apt-get install gcc-riscv64-unknown-elf)")
    sys.exit(77)
cases = Cases()
for bits in (64, 32):
    program = build(bits)
    for accel in ("dbt", "interp"):
        with cases.case(f"digests on {bits} bits, {accel}"):
            result = subprocess.run([FERRY, "-M", "virt", "-cpu", f"rv{bits},zknh=on", "-accel", accel, "-bios", "none",
                                     "-kernel", program, "-nographic"], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=60)
            expect_equal(result.stdout.split(), list(expected()), "the output")
            expect_equal(result.returncode, 0, "the exit status")
cases.finish()
