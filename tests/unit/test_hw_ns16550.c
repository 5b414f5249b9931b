// SPDX-License-Identifier: MIT
// NS16550A against the PC16550D data sheet, section 8.
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { THR = RBR, FCR = IIR };

// At the reset divisor (12), 8N1 and 3.6864 MHz: a character is 10 bits of 12 * 16 clocks.
#define CHAR_NS (UINT64_C(1000000000) * 10 * 12 * 16 / 3686400)

static struct hw_rig *start(void)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    hw_rig_connect_chardev(r, "chardev");
    hw_rig_start(r);
    hw_rig_write(r, LCR, 1, 3);
    return r;
}

static void expect_output(struct hw_rig *r, const char *text)
{
    char *got = hw_rig_output(r);
    cr_expect_str_eq(got, text);
    g_free(got);
}

Test(ns16550, reset_values)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    hw_rig_start(r);
    cr_expect_eq(hw_rig_read(r, IER, 1), 0);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 1);
    cr_expect_eq(hw_rig_read(r, LCR, 1), 0);
    cr_expect_eq(hw_rig_read(r, MCR, 1), 0);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0xb0); // no deltas
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(ns16550, sends_at_once)
{
    struct hw_rig *r = start();
    hw_rig_write(r, THR, 1, 'h');
    hw_rig_write(r, THR, 1, 'i');
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    expect_output(r, "hi");
    hw_rig_free(r);
}

Test(ns16550, works_without_a_back_end)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    hw_rig_start(r);
    hw_rig_write(r, THR, 1, 'x');
    cr_expect_eq(hw_rig_read(r, RBR, 1), 0);
    hw_rig_free(r);
}

Test(ns16550, divisor_latch_hides_data_and_ier)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IER, 1, 0xff);
    cr_expect_eq(hw_rig_read(r, IER, 1), 0x0f); // the rest is wired to zero
    hw_rig_write(r, LCR, 1, 0x83);
    hw_rig_write(r, RBR, 1, 0x34);
    hw_rig_write(r, IER, 1, 0x12);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 0x34);
    cr_expect_eq(hw_rig_read(r, IER, 1), 0x12);
    hw_rig_write(r, LCR, 1, 0x03);
    cr_expect_eq(hw_rig_read(r, IER, 1), 0x0f);
    expect_output(r, "");
    hw_rig_free(r);
}

Test(ns16550, scratch_register)
{
    struct hw_rig *r = start();
    hw_rig_write(r, SCR, 1, 0xa5);
    cr_expect_eq(hw_rig_read(r, SCR, 1), 0xa5);
    hw_rig_free(r);
}

Test(ns16550, one_byte_without_fifos)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IER, 1, 1);
    cr_expect_eq(hw_rig_type(r, "ab"), 1);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x04);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x61);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'a');
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    cr_expect_eq(hw_rig_type(r, "c"), 1);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'c');
    hw_rig_free(r);
}

Test(ns16550, fifo_holds_sixteen)
{
    struct hw_rig *r = start();
    hw_rig_write(r, FCR, 1, 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc1);
    cr_expect_eq(hw_rig_type(r, "0123456789abcdefXY"), 16);
    for (unsigned i = 0; i < 16; i++)
        cr_expect_eq(hw_rig_read(r, RBR, 1), (uint8_t)"0123456789abcdef"[i]);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    hw_rig_free(r);
}

Test(ns16550, trigger_levels)
{
    static const unsigned levels[] = {1, 4, 8, 14};
    for (unsigned i = 0; i < 4; i++) {
        struct hw_rig *r = start();
        hw_rig_write(r, FCR, 1, 1 | i << 6);
        hw_rig_write(r, IER, 1, 1);
        for (unsigned n = 1; n < levels[i]; n++) {
            hw_rig_type(r, "x");
            cr_expect_not(r->level[0], "level %u, byte %u", levels[i], n);
        }
        hw_rig_type(r, "x");
        cr_expect(r->level[0]);
        cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc4);
        hw_rig_read(r, RBR, 1); // below the trigger level again
        cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc1);
        cr_expect_not(r->level[0]);
        hw_rig_free(r);
    }
}

Test(ns16550, character_timeout)
{
    struct hw_rig *r = start();
    hw_rig_write(r, FCR, 1, 0x81); // trigger level 8
    hw_rig_write(r, IER, 1, 1);
    hw_rig_type(r, "ab");
    hw_rig_run_to(r, 4 * CHAR_NS - 1);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 4 * CHAR_NS);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xcc);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'a'); // clears it, and the time starts again
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 7 * CHAR_NS);
    hw_rig_type(r, "c"); // so does a new character
    hw_rig_run_to(r, 11 * CHAR_NS - 1);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 11 * CHAR_NS);
    cr_expect(r->level[0]);
    hw_rig_read(r, RBR, 1);
    hw_rig_read(r, RBR, 1);
    hw_rig_run_to(r, 100 * CHAR_NS); // nothing is left to time out
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

// "Clears when the CPU reads one character", 8.4: not when another one arrives.
Test(ns16550, character_timeout_stays_until_a_byte_is_read)
{
    struct hw_rig *r = start();
    hw_rig_write(r, FCR, 1, 0x81);
    hw_rig_write(r, IER, 1, 1);
    hw_rig_type(r, "a");
    hw_rig_run_to(r, 4 * CHAR_NS);
    cr_expect(r->level[0]);
    hw_rig_type(r, "b");
    cr_expect(r->level[0]);
    cr_expect_eq(r->edges[0], 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xcc);
    hw_rig_read(r, RBR, 1);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 8 * CHAR_NS - 1);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 8 * CHAR_NS); // "b" is waited for from that read on
    cr_expect(r->level[0]);
    hw_rig_write(r, FCR, 1, 0x83); // thrown away
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 100 * CHAR_NS);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

Test(ns16550, character_timeout_is_of_characters_as_programmed)
{
    struct hw_rig *r = start();
    uint64_t longer = UINT64_C(1000000000) * 12 * 24 * 16 / 3686400; // 8 bits, parity, 2 stop bits
    hw_rig_write(r, LCR, 1, 0x8f);
    hw_rig_write(r, RBR, 1, 24);
    hw_rig_write(r, LCR, 1, 0x0f);
    hw_rig_write(r, FCR, 1, 0xc1);
    hw_rig_write(r, IER, 1, 1);
    hw_rig_type(r, "a");
    hw_rig_run_to(r, 4 * longer - 1);
    cr_expect_not(r->level[0]);
    hw_rig_run_to(r, 4 * longer);
    cr_expect(r->level[0]);
    hw_rig_write(r, FCR, 1, 0); // without FIFOs there is no such interrupt
    cr_expect_not(r->level[0]);
    hw_rig_type(r, "b");
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x04);
    hw_rig_read(r, RBR, 1);
    hw_rig_run_to(r, 100 * longer);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x01);
    hw_rig_free(r);
}

// Table IV: each cause shows when those above it are gone, and goes as the table says.
Test(ns16550, priorities_of_interrupts)
{
    struct hw_rig *r = start();
    hw_rig_write(r, FCR, 1, 0x41); // trigger level 4
    hw_rig_write(r, MCR, 1, 0x10);
    hw_rig_read(r, MSR, 1);
    for (unsigned i = 0; i < 17; i++) // one too many
        hw_rig_write(r, THR, 1, 'a');
    hw_rig_write(r, MCR, 1, 0x12); // CTS changes
    hw_rig_write(r, IER, 1, 0x0f);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc6);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc6); // reading IIR ends this one not
    hw_rig_read(r, LSR, 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc4);
    for (unsigned i = 0; i < 13; i++)
        hw_rig_read(r, RBR, 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc2);
    hw_rig_write(r, THR, 1, 'b'); // four again
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc4);
    hw_rig_read(r, RBR, 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc2);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc0);
    hw_rig_run_to(r, 4 * CHAR_NS);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xcc); // of the second level
    hw_rig_read(r, RBR, 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc0);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0x11);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc1);
    cr_expect_not(r->level[0]);
    hw_rig_free(r);
}

// IER keeps a cause from the line, not from its register.
Test(ns16550, disabled_causes_wait)
{
    struct hw_rig *r = start();
    hw_rig_write(r, MCR, 1, 0x10);
    hw_rig_read(r, MSR, 1);
    hw_rig_write(r, THR, 1, 'a');
    hw_rig_write(r, THR, 1, 'b');
    hw_rig_write(r, MCR, 1, 0x11);
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x01);
    static const uint8_t bits[] = {1, 2, 4, 8}, causes[] = {0x04, 0x02, 0x06, 0x00};
    for (unsigned i = 0; i < 4; i++) {
        hw_rig_write(r, IER, 1, bits[i]);
        cr_expect(r->level[0]);
        cr_expect_eq(hw_rig_read(r, IIR, 1), causes[i]);
        hw_rig_write(r, IER, 1, 0);
        cr_expect_not(r->level[0]);
    }
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x63);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0x22);
    hw_rig_free(r);
}

Test(ns16550, status_registers_are_read_only)
{
    struct hw_rig *r = start();
    hw_rig_write(r, LSR, 1, 0xff);
    hw_rig_write(r, MSR, 1, 0xff);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0xb0);
    hw_rig_write(r, MCR, 1, 0xff);
    cr_expect_eq(hw_rig_read(r, MCR, 1), 0x1f); // the rest is wired to zero
    hw_rig_free(r);
}

Test(ns16550, break_without_fifos_and_in_loopback)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    hw_rig_connect_mux(r, "chardev");
    hw_rig_start(r);
    hw_rig_type(r, "\001b");
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x71); // bit 7 is of FIFOs only
    cr_expect_eq(hw_rig_read(r, RBR, 1), 0);
    hw_rig_write(r, MCR, 1, 0x10);
    hw_rig_type(r, "\001b"); // the receiver is not connected
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    hw_rig_free(r);
}

Test(ns16550, refuses_a_clock_or_a_distance_that_makes_no_sense)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    GError *error = NULL;
    device_set_u64(r->dev, "regshift", 9);
    cr_expect_not(device_init(r->dev, &error));
    cr_expect(strstr(error->message, "regshift is 0 to 8"));
    g_error_free(error);
    hw_rig_free(r);
}

Test(ns16550, thr_empty_interrupt)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IER, 1, 2); // empty already: at once
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x02);
    cr_expect_not(r->level[0]); // reading IIR took it back
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x01);
    hw_rig_write(r, THR, 1, 'x');
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x02);
    hw_rig_write(r, IER, 1, 0);
    hw_rig_write(r, IER, 1, 2);
    cr_expect(r->level[0]);
    hw_rig_free(r);
}

Test(ns16550, thr_empty_stays_while_a_higher_cause_shows)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IER, 1, 3);
    hw_rig_type(r, "x");
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x04); // received data comes first
    hw_rig_read(r, RBR, 1);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x02); // and was not taken back by that read
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x01);
    hw_rig_free(r);
}

Test(ns16550, overrun_by_loopback)
{
    struct hw_rig *r = start();
    hw_rig_write(r, FCR, 1, 1);
    hw_rig_write(r, MCR, 1, 0x10);
    for (unsigned i = 0; i < 17; i++)
        hw_rig_write(r, THR, 1, 'a' + i);
    hw_rig_write(r, IER, 1, 4);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc6);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x63);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x61); // told once
    cr_expect_not(r->level[0]);
    for (unsigned i = 0; i < 16; i++)
        cr_expect_eq(hw_rig_read(r, RBR, 1), 'a' + i); // the 17th is lost
    expect_output(r, "");
    hw_rig_free(r);
}

Test(ns16550, overrun_without_fifos_keeps_the_new_byte)
{
    struct hw_rig *r = start();
    hw_rig_write(r, MCR, 1, 0x10);
    hw_rig_write(r, THR, 1, 'a');
    hw_rig_write(r, THR, 1, 'b');
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x63);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'b');
    hw_rig_free(r);
}

Test(ns16550, loopback_wires_modem_lines)
{
    struct hw_rig *r = start();
    hw_rig_write(r, MCR, 1, 0x10);
    hw_rig_read(r, MSR, 1);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0x00);
    hw_rig_write(r, MCR, 1, 0x1f);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0xfb); // no TERI: RI rose
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0xf0);
    hw_rig_write(r, IER, 1, 8);
    hw_rig_write(r, MCR, 1, 0x1b); // OUT1, which is RI, falls
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x00);
    cr_expect_eq(hw_rig_read(r, MSR, 1), 0xb4);
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, MCR, 1), 0x1b);
    hw_rig_free(r);
}

Test(ns16550, input_waits_during_loopback)
{
    struct hw_rig *r = start();
    hw_rig_write(r, MCR, 1, 0x10);
    cr_expect_eq(hw_rig_type(r, "x"), 0);
    hw_rig_write(r, MCR, 1, 0);
    cr_expect_eq(hw_rig_type(r, "y"), 1);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'y');
    hw_rig_free(r);
}

Test(ns16550, break_is_a_zero_with_its_mark)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    hw_rig_connect_mux(r, "chardev");
    hw_rig_start(r);
    hw_rig_write(r, FCR, 1, 1);
    hw_rig_write(r, IER, 1, 4);
    hw_rig_type(r, "a");
    hw_rig_type(r, "\001b");
    cr_expect_not(r->level[0]);                 // the break is not at the FIFO's head yet
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0xe1); // but somewhere in it
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'a');
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0xc6);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0xf1);
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x61);
    cr_expect_not(r->level[0]);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 0);
    hw_rig_free(r);
}

Test(ns16550, fcr_clears)
{
    struct hw_rig *r = start();
    hw_rig_write(r, FCR, 1, 1);
    hw_rig_type(r, "abc");
    hw_rig_write(r, FCR, 1, 3); // clear receiver
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    hw_rig_type(r, "abc");
    hw_rig_write(r, FCR, 1, 0); // switching FIFOs off clears, too
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x60);
    cr_expect_eq(hw_rig_read(r, IIR, 1), 0x01);
    hw_rig_type(r, "abc");
    hw_rig_write(r, FCR, 1, 2); // without the enable bit nothing is cleared
    cr_expect_eq(hw_rig_read(r, LSR, 1), 0x61);
    hw_rig_free(r);
}

Test(ns16550, register_distance)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    device_set_u64(r->dev, "regshift", 2);
    hw_rig_start(r);
    hw_rig_write(r, SCR << 2, 4, 0x5a);
    cr_expect_eq(hw_rig_read(r, SCR << 2, 4), 0x5a);
    cr_expect_eq(hw_rig_read(r, LSR << 2, 1), 0x60);
    cr_expect_not(hw_rig_can_read(r, 8 << 2, 4));
    hw_rig_free(r);
}

Test(ns16550, loaded_state_drives_the_line)
{
    struct hw_rig *r = start();
    hw_rig_write(r, IER, 1, 1);
    hw_rig_type(r, "x");
    GByteArray *saved = hw_rig_save(r);
    hw_rig_read(r, RBR, 1);
    cr_expect_not(r->level[0]);
    const uint8_t *data = saved->data;
    size_t len = saved->len;
    cr_assert(state_load(r->dev->cls->state, r->dev, "uart", &data, &len, NULL));
    r->dev->cls->loaded(r->dev);
    cr_expect(r->level[0]);
    cr_expect_eq(hw_rig_read(r, RBR, 1), 'x');
    g_byte_array_free(saved, TRUE);
    hw_rig_free(r);
}
