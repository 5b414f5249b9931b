// SPDX-License-Identifier: MIT
// Floating point of both precisions: the kernels of real.h twice. Fused multiplications come in by name only, since the
// flags keep the compiler from making them.
#include "bench.h"

#define REAL double
#define BITS uint64_t
#define NAME(name) name##_double
#define SQRT __builtin_sqrt
#define FMA __builtin_fma
#include "real.h"

#define REAL float
#define BITS uint32_t
#define NAME(name) name##_single
#define SQRT __builtin_sqrtf
#define FMA __builtin_fmaf
#include "real.h"

const struct kernel kernels[] = {
    {"nothing", 1, run_nothing},
    {"n-body", 500000, run_nbody_double},
    {"n-body-single", 200000, run_nbody_single},
    {"lu", 2000, run_lu_double},
    {"lu-single", 1200, run_lu_single},
    {"fft", 3000, run_fft_double},
    {"fft-single", 2000, run_fft_single},
    {"mandelbrot", 250, run_mandelbrot_double},
    {"mandelbrot-single", 80, run_mandelbrot_single},
    {"whetstone", 1400000, run_whetstone_double},
    {"whetstone-single", 500000, run_whetstone_single},
    {"fma", 250000, run_fma_double},
    {"fma-single", 100000, run_fma_single},
    {0},
};
