// SPDX-License-Identifier: MIT
// HTIF as riscv-tests, the proxy kernel and OpenSBI use it.
#include <criterion/criterion.h>

#include "base/bits.h"
#include "tests/unit/hw_rig.h"

#define TOHOST            0x40
#define FROMHOST          0x80
#define COMMAND(dev, cmd) ((uint64_t)(dev) << 56 | (uint64_t)(cmd) << 48)
#define PUTC              COMMAND(1, 1)
#define GETC              COMMAND(1, 0)

static struct hw_rig *start(void)
{
    struct hw_rig *r = hw_rig_new("htif", 0);
    device_set_u64(r->dev, "size", 0x1000);
    device_set_u64(r->dev, "tohost", TOHOST);
    device_set_u64(r->dev, "fromhost", FROMHOST);
    hw_rig_connect_chardev(r, "chardev");
    hw_rig_start(r);
    return r;
}

static void expect_output(struct hw_rig *r, const char *text)
{
    char *got = hw_rig_output(r);
    cr_expect_str_eq(got, text);
    g_free(got);
}

Test(htif, exit_codes)
{
    struct hw_rig *r = start();
    hw_rig_write(r, TOHOST, 8, 1);
    cr_expect_eq(r->exit_code, 0);
    hw_rig_write(r, TOHOST, 8, 7 << 1 | 1);
    cr_expect_eq(r->exit_code, 7);
    hw_rig_free(r);
}

// Lower half first, as RV32 code stores it.
Test(htif, exit_in_halves)
{
    struct hw_rig *r = start();
    hw_rig_write(r, TOHOST, 4, 3 << 1 | 1);
    cr_expect_eq(r->exit_code, -1);
    hw_rig_write(r, TOHOST + 4, 4, 0);
    cr_expect_eq(r->exit_code, 3);
    cr_expect_eq(clock_next(r->env.clock), CLOCK_NEVER);
    hw_rig_free(r);
}

Test(htif, lower_half_alone_counts_after_a_while)
{
    struct hw_rig *r = start();
    hw_rig_write(r, TOHOST, 4, 5 << 1 | 1);
    hw_rig_run_to(r, 2000);
    cr_expect_eq(r->exit_code, 5);
    hw_rig_free(r);
}

Test(htif, prints)
{
    struct hw_rig *r = start();
    hw_rig_write(r, TOHOST, 8, PUTC | 'A');
    cr_expect_eq(hw_rig_read(r, TOHOST, 8), 0); // seen
    cr_expect_eq(hw_rig_read(r, FROMHOST, 8), PUTC | 0x100 | 'A');
    hw_rig_write(r, FROMHOST, 8, 0);
    hw_rig_write(r, TOHOST, 4, 'B');
    hw_rig_write(r, TOHOST + 4, 4, PUTC >> 32);
    expect_output(r, "AB");
    cr_expect_eq(r->exit_code, -1); // although 'A' has bit 0 set
    hw_rig_free(r);
}

Test(htif, reads_when_asked)
{
    struct hw_rig *r = start();
    cr_expect_eq(hw_rig_type(r, "x"), 0);
    hw_rig_write(r, TOHOST, 8, GETC);
    cr_expect_eq(hw_rig_read(r, FROMHOST, 8), 0);
    cr_expect_eq(hw_rig_type(r, "yz"), 1);
    cr_expect_eq(hw_rig_read(r, FROMHOST, 8), GETC | 0x100 | 'y');
    hw_rig_free(r);
}

static int64_t syscall4(struct hw_rig *r, uint64_t n, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t words[8] = {n, a, b, c};
    cr_assert(mem_write_bytes(r->env.mem, RIG_RAM, words, sizeof(words)) == MEM_OK);
    hw_rig_write(r, FROMHOST, 8, 0);
    hw_rig_write(r, TOHOST, 8, RIG_RAM);
    cr_expect_eq(hw_rig_read(r, FROMHOST, 8), 1);
    cr_assert(mem_read_bytes(r->env.mem, RIG_RAM, words, 8) == MEM_OK);
    return (int64_t)words[0];
}

Test(htif, system_calls)
{
    struct hw_rig *r = start();
    char text[1000];
    memset(text, 'z', sizeof(text));
    text[sizeof(text) - 1] = 0;
    cr_assert(mem_write_bytes(r->env.mem, RIG_RAM + 0x100, text, 999) == MEM_OK);
    cr_expect_eq(syscall4(r, 64, 1, RIG_RAM + 0x100, 999), 999);
    expect_output(r, text);
    cr_expect_eq(syscall4(r, 64, 9, RIG_RAM + 0x100, 1), -9);  // EBADF
    cr_expect_eq(syscall4(r, 64, 1, 0x1000, UINT64_MAX), -14); // EFAULT
    cr_expect_eq(syscall4(r, 1234, 0, 0, 0), -38);             // ENOSYS
    hw_rig_write(r, TOHOST, 8, 0x1000); // no block there: an answer all the same
    cr_expect_eq(hw_rig_read(r, FROMHOST, 8), 1);
    hw_rig_free(r);
}

Test(htif, other_memory_is_memory)
{
    struct hw_rig *r = start();
    hw_rig_write(r, 0x100, 8, 0x1122334455667788);
    hw_rig_write(r, 0x104, 1, 0);
    cr_expect_eq(hw_rig_read(r, 0x100, 8), 0x1122330055667788);
    hw_rig_write(r, TOHOST + 8, 4, 1);
    hw_rig_write(r, TOHOST - 4, 4, 1);
    cr_expect_eq(r->exit_code, -1);
    hw_rig_free(r);
}

Test(htif, exit_by_system_call)
{
    struct hw_rig *r = start();
    uint64_t words[8] = {93, 5};
    cr_assert(mem_write_bytes(r->env.mem, RIG_RAM, words, sizeof(words)) == MEM_OK);
    hw_rig_write(r, TOHOST, 8, RIG_RAM);
    cr_expect_eq(r->exit_code, 5);
    hw_rig_free(r);
}

// tohost is taken, and nobody answers.
Test(htif, commands_of_devices_that_are_not_there)
{
    struct hw_rig *r = start();
    static const uint64_t commands[] = {COMMAND(2, 0), COMMAND(255, 255), COMMAND(0, 1),
                                        COMMAND(1, 2)};
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        hw_rig_write(r, FROMHOST, 8, 0x55);
        hw_rig_write(r, TOHOST, 8, commands[i] | 1);
        cr_expect_eq(hw_rig_read(r, TOHOST, 8), 0);
        cr_expect_eq(hw_rig_read(r, FROMHOST, 8), 0x55);
    }
    hw_rig_write(r, TOHOST, 8, 0); // no command
    cr_expect_eq(r->exit_code, -1);
    hw_rig_free(r);
}

Test(htif, reset_forgets_who_waits_for_input)
{
    struct hw_rig *r = start();
    hw_rig_write(r, TOHOST, 8, GETC);
    device_reset(r->dev);
    cr_expect_eq(hw_rig_type(r, "x"), 0); // nobody asked
    cr_expect_eq(hw_rig_read(r, FROMHOST, 8), 0);
    hw_rig_write(r, TOHOST, 4, 3); // half of an exit
    device_reset(r->dev);
    hw_rig_run_to(r, 1000000);
    cr_expect_eq(r->exit_code, -1);
    hw_rig_free(r);
}
