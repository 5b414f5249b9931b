# SPDX-License-Identifier: MIT
"""Python's arithmetic: integers, floats, decimals, fractions; and modules that compute. Prints what is exact, or rounded
to where libraries of all machines agree, and checks it against itself where it can."""

import array
import bisect
import bz2
import cmath
import ctypes
import datetime
import decimal
import fractions
import hashlib
import heapq
import itertools
import json
import lzma
import math
import random
import re
import statistics
import struct
import unicodedata
import zlib

EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 2.5, -3.5, 1e16, 1e22, 1e23, 123456789.123456789, 2.0**-1074, 2.0**-1022,
         1.7976931348623157e308, math.pi, math.e, math.inf, -math.inf, math.nan, 4503599627370495.5, 0.5, 1.5]
INTS = [0, 1, -1, 7, -7, 255, 2**31 - 1, 2**31, 2**32, -2**31, 2**53 + 1, 2**63 - 1, -2**63, 2**64, 10**30, -3**70]


def say(name, *values):
    print(f"python {name}:", *values)


def digest(name, items):
    """One line for many answers."""
    state = hashlib.sha256()
    count = 0
    for item in items:
        state.update(repr(item).encode())
        count += 1
    say(name, count, state.hexdigest()[:32])


def tried(function, *args):
    try:
        return function(*args)
    except (ArithmeticError, ValueError) as e:
        return type(e).__name__


# --- Integers ---

digest("int pairs", ((a + b, a - b, a * b, tried(divmod, a, b), a & b, a | b, a ^ b, a < b)
                     for a in INTS for b in INTS))
digest("int shifts", ((a << n, a >> n) for a in INTS for n in (0, 1, 29, 30, 31, 63, 64, 65, 200)))
digest("int text", ((str(a), hex(a), oct(a), int(str(a)), a.bit_length(), a.bit_count(), float(a)) for a in INTS))
say("factorial", math.factorial(300) % (10**40), str(math.factorial(1000))[:30])
say("pow", pow(3, 10**9, 2**89 - 1), pow(7, -1, 10**18 + 9), math.isqrt(10**101), math.comb(500, 250) % 10**30)
say("gcd", math.gcd(2**200 - 1, 2**150 - 1), math.lcm(*range(1, 60)))
x = 12345678901234567890 ** 40
assert x == int(str(x)) and x * x // x == x and math.isqrt(x * x) == x
fib = [0, 1]
for _ in range(2000):
    fib.append(fib[-1] + fib[-2])
assert fib[1001] ** 2 - fib[1002] * fib[1000] == 1  # Cassini
say("fibonacci", fib[2000] % 10**30)

# --- Floats: what IEEE 754 fixes to the bit ---


def exact(a, b):
    return [tried(f, a, b) for f in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b,
                                     math.fmod, math.remainder, math.copysign, math.nextafter, lambda a, b: a // b,
                                     lambda a, b: a % b, lambda a, b: (a < b, a == b, a > b))]


digest("float pairs", (list(map(repr, exact(a, b))) for a in EDGES for b in EDGES))
digest("float triples", (repr(tried(math.fma, a, b, c)) for a in EDGES for b in EDGES for c in EDGES))
digest("float single", ([repr(v) for v in (tried(math.sqrt, a), tried(math.floor, a), tried(math.ceil, a), tried(round, a),
                                           tried(math.trunc, a), math.isnan(a), tried(math.frexp, a), a.hex(),
                                           tried(a.as_integer_ratio), tried(math.ulp, a), f"{a:.20e}", f"{a:.3g}")]
                        for a in EDGES))
rng = random.Random(1)
numbers = [struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0] for _ in range(20000)]
digest("float bits", ([repr(v) for v in (a, tried(lambda: a * b), tried(lambda: a + b), tried(lambda: a / b),
                                         tried(math.sqrt, abs(a)))] for a, b in zip(numbers, numbers[1:])))
assert all(float(repr(a)) == a or a != a for a in numbers)
digest("float32", (struct.unpack("<I", struct.pack("<f", a))[0] if abs(a) < 3e38 else None for a in numbers))
digest("float16", (struct.pack("<e", a).hex() for a in (0.1, 1 / 3, 65504.0, 6e-8, 2.0**-25, 1.0009765625)))
say("fsum", repr(math.fsum([0.1] * 10)), repr(math.fsum([1e100, 1.0, -1e100] * 1000)), repr(sum([0.1] * 10)))
for f in (math.exp, math.sin, math.cos, math.tan, math.atan, math.sinh, math.tanh, math.erf, math.expm1, math.asinh, math.cbrt):
    say(f.__name__, *(f"{tried(f, a):.11e}" for a in (-3.5, -1.0, -0.1, 1e-10, 0.1, 0.5, 1.0, 2.5, 10.0)))
for f in (math.log, math.log2, math.log10, math.gamma, math.lgamma, math.log1p):
    say(f.__name__, *(f"{tried(f, a):.11e}" for a in (1e-10, 0.1, 0.5, 1.5, 2.5, 10.0, 100.25)))
say("cmath", f"{cmath.exp(1j * cmath.pi / 3):.10f}", f"{cmath.sqrt(-2):.10f}", f"{(3 - 4j) ** 0.5:.10f}")

# --- Decimals and fractions ---

decimal.getcontext().prec = 120


def pi():
    """Machin's formula, in decimals."""
    def arctan(n):
        power, total, k = decimal.Decimal(1) / n, decimal.Decimal(0), 1
        while power > decimal.Decimal(10) ** -125:
            total += power / k * (1 if k % 4 == 1 else -1)
            power, k = power / (n * n), k + 2
        return total
    return 4 * (4 * arctan(5) - arctan(239))


say("decimal pi", +pi())
say("decimal", decimal.Decimal(2).sqrt(), decimal.Decimal(10).ln(), decimal.Decimal("0.1").exp())
with decimal.localcontext(prec=9) as context:
    for rounding in sorted(r for r in dir(decimal) if r.startswith("ROUND_")):
        context.rounding = getattr(decimal, rounding)
        say(rounding, *(decimal.Decimal(a).quantize(decimal.Decimal("0.1")) for a in ("2.25", "-2.25", "2.35", "0.05")),
            decimal.Decimal(1) / 7, decimal.Decimal(2) / 3)
digest("decimal floats", (str(decimal.Decimal(a)) for a in EDGES))
total = fractions.Fraction(0)
for n in range(1, 200):
    total += fractions.Fraction((-1) ** n, n * n + 1)
say("fraction", total.numerator % 10**40, total.denominator % 10**40, float(total).hex())
say("statistics", statistics.fmean(range(1, 101)), statistics.median([5, 3, 1, 4]),
    statistics.pvariance([fractions.Fraction(1, 3), fractions.Fraction(5, 7), 2]))

# --- Modules ---

data = b"".join(struct.pack("<IdB", i * 2654435761 & 0xffffffff, i / 7, i % 251) for i in range(3000))
for module in (zlib, bz2, lzma):
    packed = module.compress(data)
    assert module.decompress(packed) == data
    say(module.__name__, len(packed), hashlib.sha256(packed).hexdigest()[:16])
say("checksums", zlib.crc32(data), zlib.adler32(data), *(hashlib.new(n, data).hexdigest()[:12] for n in
                                                     ("md5", "sha1", "sha224", "sha384", "sha3_256", "blake2b", "blake2s")))
rng = random.Random(42)
digest("random", [rng.random() for _ in range(500)] + [rng.randrange(10**20) for _ in range(500)] + rng.sample(range(999), 50))
words = re.findall(r"\w+", "The quick brown fox, jumps over the lazy dog; again and again." * 40)
say("re", len(words), re.sub(r"(\w)(\w*)", lambda m: m[2] + m[1], "turn these words"), re.split(r"[;,.]\s*", "a, b;c."))
digest("sort", sorted(words, key=lambda w: (len(w), w)) + heapq.nsmallest(5, words) + [bisect.bisect(sorted(words), "fox")])
digest("product", itertools.islice(itertools.permutations("abcdefgh", 5), 0, None, 97))
text = json.dumps({"floats": [a for a in EDGES if math.isfinite(a)], "ints": INTS, "text": "grüße \u20ac \U0001f600"})
assert json.loads(text)["ints"] == INTS
say("json", hashlib.md5(text.encode()).hexdigest())
say("unicode", "straße".upper(), unicodedata.normalize("NFD", "é").encode().hex(), "ﬁ".casefold(), len("\U0001f600"))
day = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
say("dates", day + datetime.timedelta(days=366), day.timestamp(), (day - datetime.datetime(1970, 1, 1, tzinfo=day.tzinfo)).days)
values = array.array("q", INTS[:8])
values.byteswap()
say("array", values.tolist(), ctypes.c_int32(2**31 + 5).value, ctypes.c_uint8(-1).value, ctypes.c_float(0.1).value)
