// SPDX-License-Identifier: MIT
// Calls, returns, and jumps to where a register says.
#include "bench.h"

// --- Recursion ---

static NOINLINE uint32_t fib(uint32_t n)
{
    // The barrier keeps the compiler from unfolding the recursion.
    __asm__ volatile("" : "+r"(n));
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t run_fib(uint32_t rounds)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rounds; i++)
        sum = mix(sum, fib(22 + i % 3));
    return sum;
}

// --- Calls by pointer, in an order that cannot be predicted well ---

typedef uint32_t step_fn(uint32_t x);

#define STEP(n, expression)                                                                        \
    static NOINLINE uint32_t step##n(uint32_t x)                                                   \
    {                                                                                              \
        return expression;                                                                         \
    }
STEP(0, x * 5 + 1)
STEP(1, x ^ x >> 7)
STEP(2, x + 0x1234567)
STEP(3, x << 3 | x >> 29)
STEP(4, ~x)
STEP(5, x - (x >> 3))
STEP(6, x ^ 0x55aa55aa)
STEP(7, x * 3)

static uint64_t run_pointers(uint32_t rounds)
{
    static step_fn *const steps[] = {step0, step1, step2, step3, step4, step5, step6, step7};
    uint32_t x = 1, order = 29;
    for (uint32_t i = 0; i < rounds; i++)
        x = steps[next_random(&order) % 8](x);
    return x;
}

// --- Objects with virtual functions ---

struct shape;

struct shape_class {
    uint32_t (*area)(const struct shape *s);
    void (*grow)(struct shape *s, uint32_t by);
};

struct shape {
    const struct shape_class *class;
    uint32_t width, height;
};

static NOINLINE uint32_t box_area(const struct shape *s)
{
    return s->width * s->height;
}

static NOINLINE uint32_t triangle_area(const struct shape *s)
{
    return s->width * s->height / 2;
}

static NOINLINE uint32_t frame_area(const struct shape *s)
{
    return 2 * (s->width + s->height);
}

static NOINLINE void grow_wide(struct shape *s, uint32_t by)
{
    s->width = (s->width + by) & 0xfff;
}

static NOINLINE void grow_high(struct shape *s, uint32_t by)
{
    s->height = (s->height + by) & 0xfff;
}

static uint64_t run_virtual(uint32_t rounds)
{
    static const struct shape_class classes[] = {
        {box_area, grow_wide}, {triangle_area, grow_high}, {frame_area, grow_high}, {box_area, grow_high}};
    struct shape shapes[64];
    uint32_t seed = 31, sum = 0;
    for (uint32_t i = 0; i < 64; i++)
        shapes[i] = (struct shape){&classes[next_random(&seed) % 4], i * 3 + 1, i + 5};
    for (uint32_t r = 0; r < rounds; r++)
        for (uint32_t i = 0; i < 64; i++) {
            uint32_t area = shapes[i].class->area(&shapes[i]);
            shapes[i].class->grow(&shapes[i], area % 7);
            sum = sum * 3 + area;
        }
    return sum;
}

// --- A virtual machine of a stack: a loop around a switch ---

enum bytecode { PUSH, LOAD, STORE, ADD, SUBTRACT, MULTIPLY, AND, XOR, SHIFT, LESS, JUMP, JUMP_IF, PRINT, STOP };

static NOINLINE uint64_t interpret(const uint8_t *code, uint32_t variable0)
{
    uint32_t stack[16], variables[8] = {variable0}, *top = stack;
    uint64_t printed = 0;
    for (const uint8_t *pc = code;;) {
        switch (*pc++) {
        case PUSH: *top++ = *pc++; break;
        case LOAD: *top++ = variables[*pc++]; break;
        case STORE: variables[*pc++] = *--top; break;
        case ADD: top--, top[-1] += *top; break;
        case SUBTRACT: top--, top[-1] -= *top; break;
        case MULTIPLY: top--, top[-1] *= *top; break;
        case AND: top--, top[-1] &= *top; break;
        case XOR: top--, top[-1] ^= *top; break;
        case SHIFT: top--, top[-1] >>= *top & 31; break;
        case LESS: top--, top[-1] = top[-1] < *top; break;
        case JUMP: pc = code + *pc; break;
        case JUMP_IF: pc = *--top ? code + *pc : pc + 1; break;
        case PRINT: printed = mix(printed, *--top); break;
        case STOP: return printed;
        }
    }
}

static uint64_t run_bytecode(uint32_t rounds)
{
    // i = 0; do { x = x * 33 ^ x >> 5; if (x & 1) x += i; i++; } while (i < 200); print x
    static const uint8_t program[] = {
        PUSH,    0,    STORE, 1,                                                           // 0
        LOAD,    0,    PUSH,  33,       MULTIPLY, LOAD, 0, PUSH, 5, SHIFT, XOR, STORE, 0,  // 4
        LOAD,    0,    PUSH,  1,        AND,      JUMP_IF, 26, JUMP, 33,                   // 17
        LOAD,    0,    LOAD,  1,        ADD,      STORE,   0,                              // 26
        LOAD,    1,    PUSH,  1,        ADD,      STORE,   1,                              // 33
        LOAD,    1,    PUSH,  200,      LESS,     JUMP_IF, 4,                              // 40
        LOAD,    0,    PRINT, STOP,
    };
    uint64_t sum = 0;
    for (uint32_t i = 0; i < rounds; i++)
        sum = mix(sum, interpret(program, i + 1));
    return sum;
}

const struct kernel kernels[] = {
    {"nothing", 1, run_nothing},
    {"fib", 1000, run_fib},
    {"pointers", 24000000, run_pointers},
    {"virtual", 270000, run_virtual},
    {"bytecode", 13000, run_bytecode},
    {0},
};
