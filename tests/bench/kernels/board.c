// SPDX-License-Identifier: MIT
// Kernels as a bare program for the board virt: its first UART, its test finisher, and 512 MiB of RAM. Which kernel to
// run, and for how many rounds, are two words that the emulator's loader device puts behind the program's text.
#include "bench.h"

#define PARAMETERS ((const volatile uint32_t *)0x800ff000)
#define UART ((volatile uint8_t *)0x10000000)
#define UART_LSR 5
#define UART_LSR_THRE 0x20
#define FINISHER ((volatile uint32_t *)0x100000)
#define FINISHER_FAIL 0x3333
#define FINISHER_PASS 0x5555
#define ARENA ((unsigned char *)0x81000000)

void board_main(void);
void board_fail(uint32_t code);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

void bench_put(char c)
{
    while (!(UART[UART_LSR] & UART_LSR_THRE))
        ;
    *UART = (uint8_t)c;
}

// Ends the machine; a trap does so with its cause.
void board_fail(uint32_t code)
{
    *FINISHER = code << 16 | FINISHER_FAIL;
    for (;;)
        ;
}

void board_main(void)
{
    arena = ARENA;
    if (!bench_run(PARAMETERS[0], PARAMETERS[1]))
        board_fail(1);
    *FINISHER = FINISHER_PASS;
    for (;;)
        ;
}

// The compiler calls these for structures.
void *memcpy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)to)[i] = (unsigned char)value;
    return to;
}
