// SPDX-License-Identifier: MIT
// The texts that describe back ends: -netdev, -chardev and the short forms of -serial, -fsdev, and properties of
// devices. The first byte says which.
#include <assert.h>
#include <string.h>

#include "backend/chardev_open.h"
#include "backend/fsdev.h"
#include "backend/net.h"
#include "hw/device.h"
#include "tests/fuzzers/fuzzer.h"

static void open_net(const char *text, struct poller *p)
{
    GError *error = NULL;
    struct netdev *net = netdev_open(options_parse("-netdev", text, "type"), p, &error);
    fuzz_check_error(net, error);
    netdev_close(net);
}

// Kinds that reach nothing of the host.
static bool is_harmless(const char *text)
{
    return g_str_has_prefix(text, "null") || g_str_has_prefix(text, "ringbuf") ||
           g_str_has_prefix(text, "memory") || g_str_has_prefix(text, "none") ||
           g_str_has_prefix(text, "chardev:");
}

static void open_chardev(const char *text, struct poller *p)
{
    GError *error = NULL;
    if (!is_harmless(text) || strstr(text, "log"))
        return;
    struct chardev *chr = chardev_open(options_parse("-chardev", text, "backend"), p, &error);
    fuzz_check_error(chr, error);
    chardev_close(chr);
}

static void open_short(const char *text, struct poller *p)
{
    GError *error = NULL;
    struct chardev_short made = {.existing = NULL};
    const char *what = g_str_has_prefix(text, "mon:") ? text + 4 : text;
    if (!is_harmless(what))
        return;
    bool ok = chardev_open_short(text, "serial0", p, &made, &error);
    fuzz_check_error(ok, error);
    g_free(made.existing);
    chardev_close(made.chr);
}

static void open_fsdev(const char *text)
{
    GError *error = NULL;
    struct fsdev *fs = fsdev_open(options_parse("-fsdev", text, "fsdriver"), &error);
    fuzz_check_error(fs, error);
    fsdev_close(fs);
}

static void *resolve(void *opaque, enum prop_kind kind, const char *id, GError **error)
{
    (void)opaque, (void)kind;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "there is no %s", id);
    return NULL;
}

// "NAME=VALUE" of a device of any class.
static void set_property(const char *text, unsigned n)
{
    const struct device_env env = {.machine = "fuzz"};
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);
    unsigned count = 0;
    while (device_class_at(count))
        count++;
    if (g_strv_length(parts) < 2)
        return;
    struct device *dev = device_new(device_class_at(n % count), &env, "dut", 0, 0);
    GError *error = NULL;
    bool ok = device_set_prop(dev, parts[0], parts[1], resolve, NULL, &error);
    fuzz_check_error(ok, error);
    device_free(dev);
}

static void open_any(unsigned kind, const char *text)
{
    struct poller *p = poller_new();
    switch (kind % 8) {
    case 0:
        open_net(text, p);
        break;
    case 1:
        open_chardev(text, p);
        break;
    case 2:
        open_short(text, p);
        break;
    case 3:
        open_fsdev(text);
        break;
    default:
        set_property(text, kind >> 3);
    }
    poller_free(p);
}

static void run(const uint8_t *data, size_t len)
{
    struct fuzz_input in = fuzz_input(data, len);
    unsigned kind = (unsigned)fuzz_take(&in, 1);
    g_autofree char *text = fuzz_take_string(&in);
    for (const char *p = text; *p; p++) {
        if (g_ascii_iscntrl(*p))
            return;
    }
    open_any(kind, text);
}

const struct fuzzer fuzzer_backends = {
    .name = "backends",
    .help = "a byte for the kind of option, then its text",
    .max_len = 256,
    .run = run,
};
