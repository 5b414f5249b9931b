#!/bin/sh
# SPDX-License-Identifier: MIT
# test: quick timeout=200
# The kernels of the benchmark, with a fraction of their work: translated and interpreted, for RV64 and RV32, they print
# the checksums that they print on the host.
cd "$(dirname "$0")" || exit 1
if ! command -v riscv64-unknown-elf-gcc >/dev/null; then
    echo "no riscv64-unknown-elf-gcc (apt-get install gcc-riscv64-unknown-elf)"
    exit 77
fi
for accel in dbt interp; do
    kernels/run --runs 1 --scale 0.003 --peer none --options "-accel $accel" || exit 1
done
