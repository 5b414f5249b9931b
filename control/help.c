// SPDX-License-Identifier: MIT
// Lists, one thing a line, so that they can be searched: boards, CPUs, devices and their properties.
#include "control/help.h"

#include <inttypes.h>
#include <string.h>

#include "backend/chardev_open.h"
#include "backend/fsdev.h"
#include "backend/net.h"
#include "base/log.h"
#include "cpu/riscv/riscv.h"
#include "hw/device.h"
#include "machine/board.h"
#include "machine/snapshot.h"

static void print_line(const char *name, const char *text)
{
    printf("%-24s %s\n", name, text ? text : "");
}

static const char *kind_text(enum prop_kind kind)
{
    static const char *const texts[] = {
        [PROP_BOOL] = "on|off",
        [PROP_U32] = "NUMBER",
        [PROP_U64] = "NUMBER",
        [PROP_STRING] = "TEXT",
        [PROP_CHARDEV] = "ID of a -chardev",
        [PROP_BLOCK] = "ID of a -drive",
        [PROP_NET] = "ID of a -netdev",
        [PROP_FSDEV] = "ID of an -fsdev",
    };

    return texts[kind];
}

static void print_default(const struct device_prop *p)
{
    if (p->kind == PROP_BOOL)
        printf(" (default %s)", p->def ? "on" : "off");
    else if ((p->kind == PROP_U32 || p->kind == PROP_U64) && p->def)
        printf(" (default %" PRIu64 ")", p->def);
}

static void print_props(const char *owner, const struct device_prop *props)
{
    if (!props || !props->name) {
        printf("%s has no properties\n", owner);
        return;
    }
    for (const struct device_prop *p = props; p->name; p++) {
        g_autofree char *left = g_strdup_printf("%s=%s", p->name, kind_text(p->kind));
        printf("  %-30s %s", left, p->help ? p->help : "");
        print_default(p);
        putchar('\n');
    }
}

static bool no_such(const char *option, const char *name, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s %s: there is none (%s help lists all)",
                option, name, option);
    return false;
}

static bool print_machine(const char *name, GError **error)
{
    if (name) {
        const struct board *board = board_find(name);
        if (!board)
            return no_such("-M", name, error);
        print_props(name, board->props);
        return true;
    }
    printf("Boards (-M NAME; -M NAME,help for the properties of one):\n");
    for (unsigned i = 0; board_at(i); i++)
        print_line(board_at(i)->name, board_at(i)->desc);
    return true;
}

static void print_cpus(unsigned bits)
{
    for (unsigned width = 32; width <= 64; width += 32) {
        if (bits && bits != width)
            continue;
        if (!bits)
            printf("%sriscv%u\n", width == 64 ? "\n" : "", width);
        riscv_cpu_print_help(width, stdout);
    }
}

// "loader" is no class: it puts things into memory, and is gone.
static const struct device_prop loader_props[] = {
    {"file", PROP_STRING, 0, 0, "what to load: ELF, uImage or raw"},
    {"addr", PROP_U64, 0, 0, "where to load it, or the pc of cpu-num"},
    {"force-raw", PROP_BOOL, 0, 0, "load the bytes as they are"},
    {"cpu-num", PROP_U32, 0, 0, "the CPU that starts there"},
    {"data", PROP_U64, 0, 0, "a value to store at addr"},
    {"data-len", PROP_U32, 0, 0, "its size, 1 to 8 bytes"},
    {"data-be", PROP_BOOL, 0, 0, "store it big-endian"},
    PROP_END,
};

static bool print_device(const char *name, GError **error)
{
    if (name) {
        const struct device_class *cls = device_class_find(name);
        if (!cls && strcmp(name, "loader") != 0)
            return no_such("-device", name, error);
        print_props(name, cls ? cls->props : loader_props);
        return true;
    }
    printf("Devices (-device NAME; -device NAME,help for the properties of one):\n");
    for (unsigned i = 0; device_class_at(i); i++) {
        if (device_class_at(i)->bus)
            print_line(device_class_at(i)->name, device_class_at(i)->desc);
    }
    print_line("loader", "puts a file or a value into memory at reset");
    return true;
}

static void print_accels(void)
{
    printf("Accelerators (-accel NAME):\n");
    print_line("dbt", "translates guest code to code of the host; also called tcg");
    print_line("interp", "interprets guest code");
}

char *help_snapshots(const char *dir, GError **error)
{
    GArray *list = snapshot_list(dir, error);
    GString *out = g_string_new(NULL);

    if (list && !list->len)
        g_string_append_printf(out, "There is no snapshot in %s\n", dir);
    else if (list)
        g_string_append_printf(out, "%-20s %10s %-16s %18s %18s\n", "TAG", "VM SIZE", "DATE",
                               "VM CLOCK", "ICOUNT");
    for (unsigned i = 0; list && i < list->len; i++) {
        const struct snapshot_info *info = &g_array_index(list, struct snapshot_info, i);
        g_autoptr(GDateTime) date = g_date_time_new_from_unix_local(info->date);
        g_autofree char *when = g_date_time_format(date, "%F %H:%M");
        uint64_t s = info->guest_ns / NS_PER_S, ms = info->guest_ns / 1000000 % 1000;
        g_string_append_printf(out, "%-20s %6.1f MiB %-16s %04u:%02u:%02u.%03u %24" PRIu64 "\n",
                               info->tag, (double)info->size / (1 << 20), when,
                               (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60),
                               (unsigned)ms, info->icount);
    }
    if (list)
        g_array_unref(list);
    return g_string_free(out, list == NULL);
}

static bool print_snapshots(const char *dir, GError **error)
{
    g_autofree char *text = help_snapshots(dir, error);

    if (text)
        fputs(text, stdout);
    return text != NULL;
}

bool help_print(const struct cmdline *c, GError **error)
{
    switch (c->help) {
    case HELP_NONE:
        break;
    case HELP_OPTIONS:
        cmdline_print_help(stdout);
        break;
    case HELP_VERSION:
        printf("Ferry emulator version %s\n", FERRY_VERSION);
        break;
    case HELP_MACHINE:
        return print_machine(c->help_name, error);
    case HELP_CPU:
        print_cpus(c->bits);
        break;
    case HELP_ACCEL:
        print_accels();
        break;
    case HELP_DEVICE:
        return print_device(c->help_name, error);
    case HELP_CHARDEV:
        chardev_print_help(stdout);
        break;
    case HELP_NETDEV:
        netdev_print_help(stdout);
        break;
    case HELP_FSDEV:
        fsdev_print_help(stdout);
        break;
    case HELP_DISPLAY:
        printf("Displays (-display NAME):\n");
        print_line("none", "no window, and nothing on the terminal unless -serial says so");
        break;
    case HELP_SNAPSHOTS:
        return print_snapshots(c->snapshot_dir ? c->snapshot_dir : SNAPSHOT_DEFAULT_DIR, error);
    case HELP_LOG:
        log_print_help(stdout);
        break;
    }
    return true;
}
