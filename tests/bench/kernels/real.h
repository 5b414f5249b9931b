// SPDX-License-Identifier: MIT
// Kernels for one type of floating point, included by float.c for each: REAL is the type, BITS the integer of its size,
// NAME() makes names. Only operations that IEEE 754 rounds correctly, so that checksums are equal everywhere.

static uint64_t NAME(mix_real)(uint64_t sum, REAL value)
{
    union {
        REAL real;
        BITS bits;
    } u = {value};
    return mix(sum, u.bits);
}

static REAL NAME(random_real)(uint32_t *seed) // [-1, 1)
{
    return (REAL)(int32_t)(next_random(seed) & 0xffff) / 32768 - 1;
}

// --- Bodies under gravity: square roots and divisions ---

struct NAME(body) {
    REAL x[3], v[3], mass;
};

static NOINLINE void NAME(step_bodies)(struct NAME(body) * bodies, int count, REAL dt)
{
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++) {
            struct NAME(body) *a = &bodies[i], *b = &bodies[j];
            REAL d[3], square = (REAL)0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = a->x[k] - b->x[k];
                square += d[k] * d[k];
            }
            REAL force = dt / (square * SQRT(square));
            for (int k = 0; k < 3; k++) {
                a->v[k] -= d[k] * b->mass * force;
                b->v[k] += d[k] * a->mass * force;
            }
        }
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].x[k] += dt * bodies[i].v[k];
}

static uint64_t NAME(run_nbody)(uint32_t rounds)
{
    struct NAME(body) bodies[6];
    uint32_t seed = 51;
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 3; k++) {
            bodies[i].x[k] = NAME(random_real)(&seed) * 10;
            bodies[i].v[k] = NAME(random_real)(&seed);
        }
        bodies[i].mass = (REAL)(i + 1);
    }
    for (uint32_t r = 0; r < rounds; r++)
        NAME(step_bodies)(bodies, 6, (REAL)0.001);
    uint64_t sum = 0;
    for (int i = 0; i < 6; i++)
        sum = NAME(mix_real)(sum, bodies[i].x[0]);
    return sum;
}

// --- LU decomposition with pivots ---

#define LU_SIZE 48

static NOINLINE void NAME(decompose)(REAL (*a)[LU_SIZE])
{
    for (int k = 0; k < LU_SIZE; k++) {
        int pivot = k;
        for (int i = k + 1; i < LU_SIZE; i++)
            if (a[i][k] * a[i][k] > a[pivot][k] * a[pivot][k])
                pivot = i;
        for (int j = 0; j < LU_SIZE; j++) {
            REAL t = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = t;
        }
        for (int i = k + 1; i < LU_SIZE; i++) {
            REAL factor = a[i][k] / a[k][k];
            a[i][k] = factor;
            for (int j = k + 1; j < LU_SIZE; j++)
                a[i][j] -= factor * a[k][j];
        }
    }
}

static uint64_t NAME(run_lu)(uint32_t rounds)
{
    REAL(*a)[LU_SIZE] = (void *)arena;
    uint32_t seed = 53;
    uint64_t sum = 0;
    for (uint32_t r = 0; r < rounds; r++) {
        for (int i = 0; i < LU_SIZE * LU_SIZE; i++)
            a[i / LU_SIZE][i % LU_SIZE] = NAME(random_real)(&seed) + (REAL)0.001;
        NAME(decompose)(a);
        sum = NAME(mix_real)(sum, a[LU_SIZE - 1][LU_SIZE - 1]);
    }
    return sum;
}

#undef LU_SIZE

// --- Our own sine and exponential: polynomials behind a reduction of the argument ---

static NOINLINE REAL NAME(sine)(REAL x)
{
    const REAL pi = (REAL)3.14159265358979323846;
    int32_t turns = (int32_t)(x / pi + (x < 0 ? (REAL)-0.5 : (REAL)0.5));
    REAL r = x - (REAL)turns * pi, s = r * r, p = (REAL)(1.0 / 6227020800.0);
    p = p * s - (REAL)(1.0 / 39916800.0);
    p = p * s + (REAL)(1.0 / 362880.0);
    p = p * s - (REAL)(1.0 / 5040.0);
    p = p * s + (REAL)(1.0 / 120.0);
    p = p * s - (REAL)(1.0 / 6.0);
    p = r + r * s * p;
    return turns & 1 ? -p : p;
}

static NOINLINE REAL NAME(exponential)(REAL x)
{
    const REAL ln2 = (REAL)0.69314718055994530942;
    int32_t power = (int32_t)(x / ln2 + (x < 0 ? (REAL)-0.5 : (REAL)0.5));
    REAL r = x - (REAL)power * ln2, p = 1, scale = 1;
    for (int i = 8; i; i--)
        p = 1 + p * r / (REAL)i;
    for (; power > 0; power--)
        scale *= 2;
    for (; power < 0; power++)
        scale /= 2;
    return p * scale;
}

// --- Fast Fourier transform, there and back ---

#define FFT_SIZE 512

static NOINLINE void NAME(transform)(REAL *re, REAL *im, const REAL *sines, int sign)
{
    for (int i = 0, j = 0; i < FFT_SIZE; i++) {
        if (i < j) {
            REAL t = re[i], u = im[i];
            re[i] = re[j], im[i] = im[j];
            re[j] = t, im[j] = u;
        }
        int bit = FFT_SIZE / 2;
        for (; j & bit; bit /= 2)
            j ^= bit;
        j |= bit;
    }
    for (int size = 2; size <= FFT_SIZE; size *= 2)
        for (int k = 0; k < size / 2; k++) {
            int angle = k * (FFT_SIZE / size);
            REAL wr = sines[angle + FFT_SIZE / 4], wi = sines[angle];
            if (sign < 0)
                wi = -wi;
            for (int i = k; i < FFT_SIZE; i += size) {
                int j = i + size / 2;
                REAL tr = re[j] * wr - im[j] * wi, ti = re[j] * wi + im[j] * wr;
                re[j] = re[i] - tr, im[j] = im[i] - ti;
                re[i] += tr, im[i] += ti;
            }
        }
}

static uint64_t NAME(run_fft)(uint32_t rounds)
{
    REAL *re = (REAL *)arena, *im = re + FFT_SIZE, *sines = im + FFT_SIZE;
    uint32_t seed = 57;
    for (int i = 0; i < FFT_SIZE; i++) {
        re[i] = NAME(random_real)(&seed);
        im[i] = 0;
        sines[i] = NAME(sine)((REAL)i * (REAL)(6.28318530717958647692 / FFT_SIZE));
    }
    for (uint32_t r = 0; r < rounds; r++) {
        NAME(transform)(re, im, sines, 1);
        re[r % FFT_SIZE] += 1;
        NAME(transform)(re, im, sines, -1);
        for (int i = 0; i < FFT_SIZE; i++) {
            re[i] /= FFT_SIZE;
            im[i] /= FFT_SIZE;
        }
    }
    return NAME(mix_real)(NAME(mix_real)(0, re[7]), im[FFT_SIZE / 3]);
}

#undef FFT_SIZE

// --- The Mandelbrot set ---

static uint64_t NAME(run_mandelbrot)(uint32_t rounds)
{
    enum { SIZE = 64, LIMIT = 200 };
    uint64_t sum = 0;
    for (uint32_t r = 0; r < rounds; r++)
        for (int py = 0; py < SIZE; py++)
            for (int px = 0; px < SIZE; px++) {
                REAL cx = (REAL)px * 3 / SIZE - (REAL)2.25, cy = (REAL)py * 3 / SIZE - (REAL)1.5;
                REAL x = 0, y = (REAL)r / 1024;
                uint32_t steps = 0;
                while (steps < LIMIT && x * x + y * y < 4) {
                    REAL t = x * x - y * y + cx;
                    y = 2 * x * y + cy;
                    x = t;
                    steps++;
                }
                sum = mix(sum, steps);
            }
    return sum;
}

// --- A mix in the manner of Whetstone: arrays, calls, conversions, transcendental functions ---

static NOINLINE void NAME(rotate_array)(REAL e[4], REAL t)
{
    for (int i = 0; i < 6; i++) {
        e[0] = (e[0] + e[1] + e[2] - e[3]) * t;
        e[1] = (e[0] + e[1] - e[2] + e[3]) * t;
        e[2] = (e[0] - e[1] + e[2] + e[3]) * t;
        e[3] = (-e[0] + e[1] + e[2] + e[3]) / 2;
    }
}

static uint64_t NAME(run_whetstone)(uint32_t rounds)
{
    REAL e[4] = {1, -1, -1, -1}, x = (REAL)0.5, y = (REAL)0.25;
    const REAL t = (REAL)0.499975;
    int32_t j = 1, k = 2;
    for (uint32_t r = 0; r < rounds; r++) {
        NAME(rotate_array)(e, t);
        x = t * NAME(sine)(x + y) + (REAL)0.1;
        y = t * NAME(exponential)(x - y);
        j = (j * (k - j) + 7) & 0xff;
        k = (int32_t)(y * 16) + (j & 3);
        x = SQRT(x * x + (REAL)j / 256);
        if (r % 64 == 63) { // the array goes towards zero
            e[0] += (REAL)k;
            e[3] = x > 1 ? 1 : x;
        }
    }
    uint64_t sum = NAME(mix_real)(NAME(mix_real)(0, x), y);
    for (int i = 0; i < 4; i++)
        sum = NAME(mix_real)(sum, e[i]);
    return sum;
}

// --- Polynomials by fused multiplication and addition ---

static uint64_t NAME(run_fma)(uint32_t rounds)
{
    REAL c[8], sum = 0;
    uint32_t seed = 61;
    for (int i = 0; i < 8; i++)
        c[i] = NAME(random_real)(&seed);
    for (uint32_t r = 0; r < rounds; r++)
        for (int i = 0; i < 64; i++) {
            REAL x = (REAL)(i - 32) / 32, p = c[0];
            for (int k = 1; k < 8; k++)
                p = FMA(p, x, c[k]);
            sum = FMA(sum, (REAL)0.5, p);
        }
    return NAME(mix_real)(0, sum);
}

#undef REAL
#undef BITS
#undef NAME
#undef SQRT
#undef FMA
