// SPDX-License-Identifier: MIT
// Small devices, and what all classes share: properties.
#include <criterion/criterion.h>

#include "tests/unit/hw_rig.h"

Test(sifive_test, ends_the_run)
{
    struct hw_rig *r = hw_rig_new("sifive-test", 0);
    hw_rig_start(r);
    hw_rig_write(r, 0, 4, 0x1234);
    hw_rig_write(r, 4, 4, 0x5555);
    cr_expect_eq(r->exit_code, -1);
    hw_rig_write(r, 0, 4, 0x5555);
    cr_expect_eq(r->exit_code, 0);
    hw_rig_write(r, 0, 4, 0x3333 | 42 << 16);
    cr_expect_eq(r->exit_code, 42);
    hw_rig_write(r, 0, 2, 0x3333);
    cr_expect_eq(r->exit_code, 0);
    cr_expect_eq(r->resets, 0);
    hw_rig_write(r, 0, 4, 0x7777);
    cr_expect_eq(r->resets, 1);
    cr_expect_eq(hw_rig_read(r, 0, 4), 0);
    hw_rig_free(r);
}

Test(unimp, reads_zero_and_ignores_writes)
{
    struct hw_rig *r = hw_rig_new("unimplemented-device", 0);
    device_set_u64(r->dev, "size", 0x100);
    hw_rig_start(r);
    hw_rig_write(r, 0x10, 8, UINT64_MAX);
    cr_expect_eq(hw_rig_read(r, 0x10, 8), 0);
    cr_expect(hw_rig_can_read(r, 0xff, 1));
    cr_expect_not(hw_rig_can_read(r, 0x100, 1));
    hw_rig_free(r);
}

static void *no_backend(void *opaque, enum prop_kind kind, const char *id, GError **error)
{
    (void)opaque, (void)kind;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "there is no chardev '%s'", id);
    return NULL;
}

static void expect_refused(struct device *dev, const char *name, const char *value,
                           const char *part)
{
    GError *error = NULL;
    cr_expect_not(device_set_prop(dev, name, value, no_backend, NULL, &error));
    cr_assert_not_null(error);
    cr_expect(strstr(error->message, part) && strstr(error->message, name), "%s", error->message);
    g_error_free(error);
}

Test(device, properties_from_text)
{
    struct hw_rig *r = hw_rig_new("ns16550", 1);
    expect_refused(r->dev, "colour", "red", "-device ns16550,help");
    expect_refused(r->dev, "regshift", "two", "ns16550.regshift=two");
    expect_refused(r->dev, "regshift", "0x100000000", "32 bits");
    expect_refused(r->dev, "chardev", "tty", "there is no chardev 'tty'");
    cr_expect(device_set_prop(r->dev, "regshift", "0x1", no_backend, NULL, NULL));
    hw_rig_start(r);
    cr_expect_eq(hw_rig_read(r, 5 << 1, 1), 0x60);
    hw_rig_free(r);
}

Test(device, overlap_is_an_error)
{
    struct hw_rig *r = hw_rig_new("unimplemented-device", 0);
    GError *error = NULL;
    cr_assert_not_null(mem_add_ram(r->env.mem, "other", RIG_BASE + 0x800, 0x1000, NULL));
    cr_expect_not(device_init(r->dev, &error));
    cr_assert_not_null(error);
    cr_expect(strstr(error->message, "other"));
    g_error_free(error);
    hw_rig_free(r);
}
