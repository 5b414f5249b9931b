# SPDX-License-Identifier: MIT
"""What the lints share: the files of the tree, code without its comments and strings, and how to end."""

import os
import re
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent.parent
CODE_DIRS = ("base", "softmmu", "translator", "cpu", "backend", "hw", "machine", "control", "ui")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files():
    """All files that are, or could be, under version control, as paths relative to the tree."""
    try:
        out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=SRC, check=True,
                             capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # not a clone
        out = [str((Path(d) / f).relative_to(SRC)) for d, _, names in os.walk(SRC) for f in names]
        out = [f for f in out if not f.startswith(("build/", ".cache/", ".git/"))]
    return sorted(f for f in set(out) if (SRC / f).is_file())


def code():
    """The C files and headers of the program, without the tests."""
    return [f for f in files() if f.split("/")[0] in CODE_DIRS and f.endswith((".c", ".h", ".def"))]


def read(path):
    return (SRC / path).read_text(errors="replace")


def bare(text, strings=False):
    """Code whose comments (and strings, unless wanted) are blanked, line numbers kept."""
    def blank(match):
        token = match.group()
        if token[0] in "\"'":
            return token if strings else '""'
        return " " + "\n" * token.count("\n")
    return TOKEN.sub(blank, text)


def includes(path):
    return INCLUDE.findall(bare(read(path), strings=True))


def grep(paths, pattern, prepare=bare):
    """`path:line: match` for every match of pattern."""
    regex = re.compile(pattern)
    for path in paths:
        for number, line in enumerate(prepare(read(path)).split("\n"), 1):
            for match in regex.finditer(line):
                yield f"{path}:{number}: {match.group().strip()}"


def finish(problems, advice):
    """Prints the problems with what to do about them; the exit status says whether there were any."""
    problems = list(problems)
    for problem in problems:
        print(problem)
    if problems:
        print(advice)
    sys.exit(1 if problems else 0)
