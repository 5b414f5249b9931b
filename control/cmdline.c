// SPDX-License-Identifier: MIT
// The table of options and the functions that take their arguments apart.
//
// Names, arguments and meanings are those of QEMU's system emulators, as far as they mean something here; an
// option that changes nothing here is accepted with a warning, one that cannot be honoured is refused with the
// reason. docs/ferry.1 has the same options in the same order, and a test compares the two.
#include "control/cmdline.h"

#include <assert.h>
#include <string.h>

#include "backend/options.h"
#include "base/log.h"

struct option;
typedef bool option_handler(struct cmdline *c, const struct option *o, const char *arg,
                            GError **error);

enum option_group {
    GROUP_MACHINE,
    GROUP_BOOT,
    GROUP_DEVICES,
    GROUP_CHARS,
    GROUP_TIME,
    GROUP_DEBUG,
    GROUP_OTHER,
    GROUP_IGNORED,
    GROUP_REFUSED,
};

static const char *const group_titles[] = {
    [GROUP_MACHINE] = "The machine",
    [GROUP_BOOT] = "What it boots",
    [GROUP_DEVICES] = "Devices, disks, networks and shared folders",
    [GROUP_CHARS] = "Consoles and character devices",
    [GROUP_TIME] = "Time and chance",
    [GROUP_DEBUG] = "Looking inside",
    [GROUP_OTHER] = "Running",
    [GROUP_IGNORED] = "Accepted and ignored, with a warning where it matters",
    [GROUP_REFUSED] = "Known, but refused",
};

struct option {
    enum option_group group;
    const char *name;  // without the dash
    const char *alias; // another spelling, or NULL
    const char *arg;   // what -help calls its argument; NULL: it takes none
    const char *help;
    option_handler *handle;
    size_t field; // what the general handlers set
};

// --- Help for handlers ---

static bool fail(GError **error, const struct option *o, const char *arg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static bool fail(GError **error, const struct option *o, const char *arg, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "-%s%s%s: %s", o->name, arg ? " " : "",
                arg ? arg : "", text);
    return false;
}

static bool is_help(const char *text)
{
    return strcmp(text, "help") == 0 || strcmp(text, "?") == 0;
}

static bool ask_help(struct cmdline *c, enum help_topic topic, const char *name)
{
    c->help = topic;
    c->help_name = g_strdup(name);
    return true;
}

static void replace(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}

// A count of instructions: k, M, G and T are powers of 1000.
static bool parse_count(const char *text, uint64_t *value)
{
    static const char suffixes[] = "kMGT";
    size_t len = strlen(text);
    const char *suffix = len ? strchr(suffixes, text[len - 1]) : NULL;
    g_autofree char *digits = g_strndup(text, suffix ? len - 1 : len);

    if (!parse_u64(digits, value))
        return false;
    for (const char *s = suffixes; suffix && s <= suffix; s++) {
        if (__builtin_mul_overflow(*value, 1000, value))
            return false;
    }
    return true;
}

// --- General handlers ---

static bool set_string(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)error;
    replace((char **)(void *)((char *)c + o->field), arg);
    return true;
}

static bool set_flag(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)arg;
    (void)error;
    *(bool *)((char *)c + o->field) = true;
    return true;
}

static bool set_count(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    uint64_t *field = (uint64_t *)(void *)((char *)c + o->field);

    return parse_count(arg, field) || fail(error, o, arg, "not a number");
}

// Keeps the text for whoever makes the thing.
static bool add_item(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct cmdline_item item = {.option = o->name, .text = g_strdup(arg)};

    (void)error;
    g_array_append_val(*(GArray **)(void *)((char *)c + o->field), item);
    return true;
}

static bool ignore(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)c;
    (void)error;
    warn_user("-%s%s%s: ignored", o->name, arg ? " " : "", arg ? arg : "");
    return true;
}

static bool accept_silently(struct cmdline *c, const struct option *o, const char *arg,
                            GError **error)
{
    (void)c, (void)o, (void)arg, (void)error;
    return true;
}

static bool refuse(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)c;
    return fail(error, o, arg, "%s", o->help);
}

// --- The machine ---

// Takes the first accelerator of "kvm:tcg" that there is, unless an earlier option had one.
static bool choose_accel(struct cmdline *c, const struct option *o, const char *list,
                         GError **error)
{
    static const char *const names[][2] = {
        [ACCEL_DBT] = {"dbt", "tcg"}, [ACCEL_INTERP] = {"interp", "interp"}};
    static const char *const foreign[] = {"kvm",  "xen",  "hax",   "hvf",
                                          "whpx", "nvmm", "qtest", NULL};
    g_auto(GStrv) parts = g_strsplit(list, ":", -1);

    for (char **part = parts; *part; part++) {
        for (unsigned i = 0; i < ARRAY_LEN(names) && !c->has_accel; i++) {
            if (strcmp(*part, names[i][0]) == 0 || strcmp(*part, names[i][1]) == 0) {
                c->has_accel = true;
                c->accel = i;
                return true;
            }
        }
        if (c->has_accel)
            return true;
        if (!g_strv_contains(foreign, *part))
            return fail(error, o, list, "no accelerator '%s'; expected dbt (or tcg) or interp",
                        *part);
        warn_user("-%s %s: there is no %s here, guest code is translated instead", o->name, list,
                  *part);
    }
    return true;
}

static bool do_accel(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    static const char *const ignored[] = {"one-insn-per-tb", "split-wx",     "kernel-irqchip",
                                          "dirty-ring-size", "igd-passthru", NULL};
    struct options *opts = options_parse("-accel", arg, "accel");
    const char *name = options_str(opts, "accel"), *thread = options_str(opts, "thread");

    if (name && is_help(name)) {
        options_free(opts);
        return ask_help(c, HELP_ACCEL, NULL);
    }
    c->code_cache_size = options_u64(opts, "tb-size", c->code_cache_size >> 20, 4096) << 20;
    if (thread && strcmp(thread, "single") != 0)
        warn_user("-accel %s: all CPUs run on one thread, in an order that is always the same",
                  arg);
    for (const char *const *key = ignored; *key; key++) {
        if (options_has(opts, *key))
            options_str(opts, *key);
    }
    if (!name)
        options_fail(opts, "accel", "which one? (dbt or interp)");
    bool ok = options_done(opts, error) && choose_accel(c, o, name, error);
    options_free(opts);
    return ok;
}

static bool do_enable_kvm(struct cmdline *c, const struct option *o, const char *arg,
                          GError **error)
{
    (void)c, (void)arg, (void)error;
    warn_user("-%s: there is no hardware virtualization here, guest code is translated instead",
              o->name);
    return true;
}

// A property of -machine that the command line itself understands.
static bool machine_prop(struct cmdline *c, const struct option *o, const char *key,
                         const char *value, bool *known, GError **error)
{
    static const struct {
        const char *key;
        size_t field;
    } strings[] = {
        {"type", offsetof(struct cmdline, machine)},
        {"kernel", offsetof(struct cmdline, kernel)},
        {"initrd", offsetof(struct cmdline, initrd)},
        {"append", offsetof(struct cmdline, append)},
        {"firmware", offsetof(struct cmdline, bios)},
        {"dtb", offsetof(struct cmdline, dtb)},
        {"dumpdtb", offsetof(struct cmdline, dumpdtb)},
    };
    static const char *const ignored[] = {
        "usb",    "graphics",       "dump-guest-core", "mem-merge",     "hmat",
        "nvdimm", "memory-backend", "phandle-start",   "dt-compatible", NULL};
    bool on;

    *known = true;
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        if (strcmp(key, strings[i].key) == 0) {
            replace((char **)(void *)((char *)c + strings[i].field), value);
            return true;
        }
    }
    if (strcmp(key, "accel") == 0)
        return choose_accel(c, o, value, error);
    if (strcmp(key, "misaligned") == 0) {
        if (!parse_bool(value, &on))
            return fail(error, o, NULL, "misaligned=%s: expected on or off", value);
        c->no_misaligned = !on;
        return true;
    }
    *known = g_strv_contains(ignored, key);
    return true;
}

static bool do_machine(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-machine", arg, "type");
    const char *key, *value;
    bool ok = true;

    for (unsigned i = 0; ok && options_item(opts, i, &key, &value); i++) {
        const char *text = value ? value : "on";
        bool known = true;
        if (strcmp(key, "type") == 0 && is_help(text))
            ok = ask_help(c, HELP_MACHINE, NULL);
        else if (!value && is_help(key))
            ok = ask_help(c, HELP_MACHINE, c->machine);
        else
            ok = machine_prop(c, o, key, text, &known, error);
        if (ok && !c->help && !known)
            g_hash_table_replace(c->machine_props, g_strdup(key), g_strdup(text));
    }
    options_free(opts);
    return ok;
}

static bool do_cpu(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return is_help(arg) ? ask_help(c, HELP_CPU, NULL) : set_string(c, o, arg, error);
}

static bool do_smp(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    static const char *const levels[] = {"sockets", "dies", "clusters", "cores", "threads"};
    struct options *opts = options_parse("-smp", arg, "cpus");
    uint64_t product = 1, max = 1 << 16;

    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        product = MIN(product * MAX(options_u64(opts, levels[i], 1, max), 1), max);
    uint64_t most = options_u64(opts, "maxcpus", 0, max);
    uint64_t cpus = options_u64(opts, "cpus", most ? most : product, max);
    bool ok = options_done(opts, error);
    options_free(opts);
    if (ok && !cpus)
        return fail(error, o, arg, "a machine needs a CPU");
    if (ok && ((most && cpus > most) || (product > 1 && cpus > product)))
        return fail(error, o, arg, "%u CPUs do not fit into that", (unsigned)cpus);
    c->smp = (unsigned)cpus;
    return ok;
}

// A size in MiB, or with a suffix.
static bool parse_ram(const char *text, uint64_t *bytes)
{
    if (!parse_size(text, bytes))
        return false;
    if (text[strspn(text, "0123456789")])
        return true;
    return !__builtin_mul_overflow(*bytes, UINT64_C(1) << 20, bytes);
}

static bool do_memory(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-m", arg, "size");
    const char *size = options_str(opts, "size");

    options_str(opts, "slots");
    options_str(opts, "maxmem");
    bool ok = options_done(opts, error);
    if (ok && size && !parse_ram(size, &c->ram_size))
        ok = fail(error, o, arg, "not a size; expected MiB, or a number with K, M, G or T");
    else if (ok && size && (c->ram_size < 4096 || c->ram_size > UINT64_C(1) << 46))
        ok = fail(error, o, arg, "too %s", c->ram_size < 4096 ? "small" : "much");
    options_free(opts);
    return ok;
}

static bool do_global(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    const char *dot = strchr(arg, '.'), *equals = strchr(arg, '=');
    char *parts[3] = {NULL, NULL, NULL};

    if (dot && equals && dot < equals) {
        parts[0] = g_strndup(arg, (gsize)(dot - arg));
        parts[1] = g_strndup(dot + 1, (gsize)(equals - dot - 1));
        parts[2] = g_strdup(equals + 1);
    } else {
        struct options *opts = options_parse("-global", arg, NULL);
        parts[0] = g_strdup(options_str(opts, "driver"));
        parts[1] = g_strdup(options_str(opts, "property"));
        parts[2] = g_strdup(options_str(opts, "value"));
        bool ok = options_done(opts, NULL);
        options_free(opts);
        if (!ok || !parts[0] || !parts[1] || !parts[2]) {
            for (unsigned i = 0; i < 3; i++)
                g_free(parts[i]);
            return fail(error, o, arg, "expected DRIVER.PROPERTY=VALUE");
        }
    }
    for (unsigned i = 0; i < 3; i++)
        g_ptr_array_add(c->globals, parts[i]);
    return true;
}

// --- What it boots ---

static bool do_firmware_dir(struct cmdline *c, const struct option *o, const char *arg,
                            GError **error)
{
    (void)o, (void)error;
    char *dirs = c->firmware_dirs ? g_strconcat(c->firmware_dirs, ":", arg, NULL) : g_strdup(arg);
    g_free(c->firmware_dirs);
    c->firmware_dirs = dirs;
    return true;
}

// --- Devices ---

static void device_opt_free(void *data)
{
    struct machine_device_opt *d = data;

    g_free(d->driver);
    g_free(d->id);
    g_ptr_array_unref(d->props);
    g_free(d);
}

static void add_device(struct cmdline *c, const char *driver, struct options *opts)
{
    struct machine_device_opt *d = g_new0(struct machine_device_opt, 1);
    const char *key, *value;

    d->driver = g_strdup(driver);
    d->props = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; options_item(opts, i, &key, &value); i++) {
        if (strcmp(key, "id") == 0) {
            replace(&d->id, value);
        } else if (strcmp(key, "driver") != 0) {
            g_ptr_array_add(d->props, g_strdup(key));
            g_ptr_array_add(d->props, g_strdup(value ? value : "on"));
        }
    }
    g_ptr_array_add(c->devices, d);
}

static bool add_loader(struct cmdline *c, struct options *opts, GError **error)
{
    struct machine_loader_opt l = {
        .file = g_strdup(options_str(opts, "file")),
        .has_addr = options_has(opts, "addr"),
        .force_raw = options_bool(opts, "force-raw", false),
        .data_be = options_bool(opts, "data-be", false),
        .addr = options_u64(opts, "addr", 0, UINT64_MAX),
        .data = options_u64(opts, "data", 0, UINT64_MAX),
        .data_len = (unsigned)options_u64(opts, "data-len", 0, 8),
        .cpu_num = -1,
    };

    if (options_has(opts, "cpu-num"))
        l.cpu_num = (int)options_u64(opts, "cpu-num", 0, MACHINE_MAX_CPUS - 1);
    options_str(opts, "driver");
    options_str(opts, "id");
    if (l.file && options_has(opts, "data"))
        options_fail(opts, "data", "not together with file=");
    g_array_append_val(c->loaders, l);
    return options_done(opts, error);
}

static bool do_device(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-device", arg, "driver");
    const char *driver = options_str(opts, "driver");
    bool ok = true;

    if (!driver)
        ok = fail(error, o, arg, "which device?");
    else if (is_help(driver))
        ok = ask_help(c, HELP_DEVICE, NULL);
    else if (options_has(opts, "help") || options_has(opts, "?"))
        ok = ask_help(c, HELP_DEVICE, driver);
    else if (strcmp(driver, "loader") == 0)
        ok = add_loader(c, opts, error);
    else
        add_device(c, driver, opts);
    options_free(opts);
    return ok;
}

// Back ends that can list their kinds.
static bool add_item_or_help(struct cmdline *c, const struct option *o, const char *arg,
                             GError **error)
{
    static const struct {
        size_t field;
        enum help_topic topic;
    } topics[] = {
        {offsetof(struct cmdline, chardevs), HELP_CHARDEV},
        {offsetof(struct cmdline, nets), HELP_NETDEV},
        {offsetof(struct cmdline, fsdevs), HELP_FSDEV},
    };

    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        if (is_help(arg) && topics[i].field == o->field)
            return ask_help(c, topics[i].topic, NULL);
    }
    return add_item(c, o, arg, error);
}

// Entropy always comes from the generator that -seed seeds, so a source of it is accepted as it is.
static bool do_object(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return g_str_has_prefix(arg, "rng-") || ignore(c, o, arg, error);
}

// --- Consoles ---

// There is no monitor, QMP or debugger; that none is wanted is fine.
static bool do_monitor(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)c;
    if (strcmp(arg, "none") == 0 || strcmp(arg, "null") == 0)
        return true;
    return fail(error, o, arg, "this version has no %s; only 'none' is possible",
                strcmp(o->name, "gdb") == 0   ? "debugger stub"
                : strcmp(o->name, "qmp") == 0 ? "QMP"
                                              : "monitor");
}

static bool do_display(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)error;
    c->no_display = c->no_display || strcmp(arg, "none") == 0;
    if (strcmp(arg, "none") != 0)
        warn_user("-%s %s: there is no window; the console is on the terminal", o->name, arg);
    return true;
}

static bool ignore_unless_none(struct cmdline *c, const struct option *o, const char *arg,
                               GError **error)
{
    return strcmp(arg, "none") == 0 || ignore(c, o, arg, error);
}

static bool do_echr(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    uint64_t key;

    if (!parse_u64(arg, &key) || key > 255)
        return fail(error, o, arg, "expected the code of a key, such as 0x14 for Ctrl-T");
    return set_string(c, o, arg, error);
}

// --- Time ---

static bool do_icount(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-icount", arg, "shift");
    const char *shift = options_str(opts, "shift");
    uint64_t n = c->icount_shift;

    if (options_has(opts, "sleep"))
        c->pace = options_bool(opts, "sleep", true) ? PACE_ON : PACE_OFF;
    if (options_bool(opts, "align", false))
        warn_user("-icount %s: align=on: ignored, a fast guest is not slowed down", arg);
    if (options_has(opts, "rr") || options_has(opts, "rrfile"))
        options_fail(opts, "rr", "this version does not record");
    bool ok = options_done(opts, error);
    if (ok && shift && strcmp(shift, "auto") != 0 && (!parse_u64(shift, &n) || n > 10))
        ok = fail(error, o, arg, "shift is a number from 0 to 10, or auto");
    c->icount_shift = (unsigned)n;
    options_free(opts);
    return ok;
}

// "2024-02-29" or "2024-02-29T12:00:00", in UTC.
static bool parse_date(const char *text, uint64_t *ns)
{
    g_autofree char *whole =
        strchr(text, 'T') ? g_strdup(text) : g_strconcat(text, "T00:00:00", NULL);
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(whole, utc);

    if (!date || g_date_time_to_unix(date) < 0)
        return false;
    return !__builtin_mul_overflow((uint64_t)g_date_time_to_unix(date), NS_PER_S, ns);
}

static bool do_rtc(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-rtc", arg, NULL);
    const char *base = options_str(opts, "base");

    options_str(opts, "clock");
    options_str(opts, "driftfix");
    bool ok = options_done(opts, error);
    if (ok && base) {
        if (strcmp(base, "localtime") == 0)
            warn_user("-rtc %s: the clock shows UTC", arg);
        c->has_epoch = strcmp(base, "utc") != 0 && strcmp(base, "localtime") != 0;
        if (c->has_epoch && !parse_date(base, &c->epoch_ns))
            ok = fail(error, o, arg, "expected utc or a date such as 2024-02-29T12:00:00");
    }
    options_free(opts);
    return ok;
}

// --- Looking inside ---

static bool do_log(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return is_help(arg) ? ask_help(c, HELP_LOG, NULL) : set_string(c, o, arg, error);
}

static bool do_hash_every(struct cmdline *c, const struct option *o, const char *arg,
                          GError **error)
{
    struct options *opts = options_parse("-hash-every", arg, "n");
    const char *n = options_str(opts, "n");

    replace(&c->hash_file, options_str(opts, "file"));
    bool ok = options_done(opts, error);
    if (ok && (!n || !parse_count(n, &c->hash_every) || !c->hash_every))
        ok = fail(error, o, arg, "expected a number of instructions");
    options_free(opts);
    return ok;
}

static bool do_semihosting_config(struct cmdline *c, const struct option *o, const char *arg,
                                  GError **error)
{
    struct options *opts = options_parse("-semihosting-config", arg, "enable");
    bool on = options_bool(opts, "enable", true);

    (void)c;
    options_free(opts);
    return !on || fail(error, o, arg, "this version has no semihosting");
}

// --- Running ---

static bool do_action(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-action", arg, NULL);
    const char *reboot = options_str(opts, "reboot"), *shutdown = options_str(opts, "shutdown");

    options_str(opts, "panic");
    options_str(opts, "watchdog");
    if (reboot)
        c->no_reboot = strcmp(reboot, "shutdown") == 0;
    if (shutdown)
        c->no_shutdown = strcmp(shutdown, "pause") == 0;
    bool ok = options_done(opts, error);
    if (ok && reboot && !c->no_reboot && strcmp(reboot, "reset") != 0)
        ok = fail(error, o, arg, "reboot is reset or shutdown");
    if (ok && shutdown && !c->no_shutdown && strcmp(shutdown, "poweroff") != 0)
        ok = fail(error, o, arg, "shutdown is poweroff or pause");
    options_free(opts);
    return ok;
}

static bool do_version(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)o, (void)arg, (void)error;
    return ask_help(c, HELP_VERSION, NULL);
}

static bool do_help(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)o, (void)arg, (void)error;
    return ask_help(c, HELP_OPTIONS, NULL);
}

// --- The table ---

#define FIELD(f) offsetof(struct cmdline, f)

static const struct option table[] = {
    {GROUP_MACHINE, "M", "machine", "NAME[,PROP=VALUE...]",
     "the board and its properties; 'help' lists the boards, NAME,help the properties of one. "
     "dumpdtb=FILE writes its device tree and ends; misaligned=off lets misaligned accesses trap",
     do_machine, 0},
    {GROUP_MACHINE, "cpu", NULL, "MODEL[,PROP=VALUE...]",
     "the CPUs' model and its properties, mostly extensions by name; 'help' lists them", do_cpu,
     FIELD(cpu)},
    {GROUP_MACHINE, "smp", NULL, "[cpus=]N[,sockets=N][,cores=N][,threads=N]", "number of CPUs",
     do_smp, 0},
    {GROUP_MACHINE, "m", NULL, "[size=]SIZE", "amount of RAM: MiB, or a number with K, M, G or T",
     do_memory, 0},
    {GROUP_MACHINE, "accel", NULL, "NAME[,tb-size=MIB]",
     "how guest code runs: dbt (also called tcg) translates it, interp interprets it. The first of "
     "several that is there counts. tb-size is the room for translations",
     do_accel, 0},
    {GROUP_MACHINE, "global", NULL, "DRIVER.PROP=VALUE", "sets a property of all devices of a kind",
     do_global, 0},
    {GROUP_MACHINE, "nodefaults", NULL, NULL, "only the devices and back ends that are asked for",
     set_flag, FIELD(nodefaults)},

    {GROUP_BOOT, "kernel", NULL, "FILE",
     "a kernel or a bare program: ELF, Image, uImage or raw, packed by gzip or not", set_string,
     FIELD(kernel)},
    {GROUP_BOOT, "bios", NULL, "default|none|FILE",
     "the firmware that runs first; default is OpenSBI where the board wants firmware", set_string,
     FIELD(bios)},
    {GROUP_BOOT, "initrd", NULL, "FILE", "the kernel's initial RAM disk", set_string,
     FIELD(initrd)},
    {GROUP_BOOT, "append", NULL, "TEXT", "the kernel's command line", set_string, FIELD(append)},
    {GROUP_BOOT, "dtb", NULL, "FILE", "a device tree instead of the board's own", set_string,
     FIELD(dtb)},
    {GROUP_BOOT, "L", NULL, "DIR", "looks for firmware in this directory, too", do_firmware_dir, 0},

    {GROUP_DEVICES, "device", NULL, "NAME[,PROP=VALUE...]",
     "adds a device; 'help' lists all, NAME,help the properties of one. The device 'loader' puts a "
     "file (file=, addr=, force-raw=on) or a value (data=, data-len=, data-be=, addr=) into memory "
     "and sets a CPU's pc (cpu-num=)",
     do_device, 0},
    {GROUP_DEVICES, "drive", NULL, "file=FILE[,if=none|virtio|pflash][,PROP=VALUE...]",
     "a disk image: id=, format=raw, readonly=on, snapshot=on, unit=N. if=none only names it for a "
     "device's drive=; the default is a virtio disk",
     add_item, FIELD(drives)},
    {GROUP_DEVICES, "hda", NULL, "FILE", "the same as -drive file=FILE,index=0", add_item,
     FIELD(drives)},
    {GROUP_DEVICES, "hdb", NULL, "FILE", "... with index=1", add_item, FIELD(drives)},
    {GROUP_DEVICES, "hdc", NULL, "FILE", "... with index=2", add_item, FIELD(drives)},
    {GROUP_DEVICES, "hdd", NULL, "FILE", "... with index=3", add_item, FIELD(drives)},
    {GROUP_DEVICES, "cdrom", NULL, "FILE", "the same as -drive file=FILE,media=cdrom", add_item,
     FIELD(drives)},
    {GROUP_DEVICES, "pflash", NULL, "FILE", "the same as -drive if=pflash,file=FILE", add_item,
     FIELD(drives)},
    {GROUP_DEVICES, "snapshot", NULL, NULL,
     "writes to disk images are kept apart, and lost at the end", set_flag, FIELD(snapshot)},
    {GROUP_DEVICES, "netdev", NULL, "KIND,id=ID[,PROP=VALUE...]",
     "the host's side of a network card; 'help' lists the kinds", add_item_or_help, FIELD(nets)},
    {GROUP_DEVICES, "nic", NULL, "KIND|none[,model=NAME][,mac=ADDR][,PROP=VALUE...]",
     "a network card and the host's side of it", add_item, FIELD(nets)},
    {GROUP_DEVICES, "net", NULL, "nic[,model=NAME]|KIND[,PROP=VALUE...]|none",
     "the same in two options: one -net nic and one -net KIND", add_item, FIELD(nets)},
    {GROUP_DEVICES, "fsdev", NULL, "local,id=ID,path=DIR[,PROP=VALUE...]",
     "a folder of the host for a virtio-9p device", add_item_or_help, FIELD(fsdevs)},
    {GROUP_DEVICES, "virtfs", NULL, "local,path=DIR,mount_tag=TAG[,PROP=VALUE...]",
     "a folder and its virtio-9p device", add_item, FIELD(fsdevs)},
    {GROUP_DEVICES, "object", NULL, "rng-random,id=ID",
     "a source of entropy. It is accepted, but entropy comes from the generator that -seed seeds",
     do_object, 0},

    {GROUP_CHARS, "nographic", NULL, NULL,
     "no window: the first UART is on the terminal. Ctrl-A x ends the machine, Ctrl-A h lists more",
     set_flag, FIELD(nographic)},
    {GROUP_CHARS, "serial", NULL, "WHERE",
     "connects a UART, the first option the first one: stdio, mon:stdio, null, none, pty, "
     "chardev:ID, file:PATH, pipe:PATH, unix:PATH,server=on,wait=off, tcp:HOST:PORT,server=on, ...",
     add_item, FIELD(serials)},
    {GROUP_CHARS, "chardev", NULL, "KIND,id=ID[,mux=on][,PROP=VALUE...]",
     "the host's side of a character device; 'help' lists the kinds", add_item_or_help,
     FIELD(chardevs)},
    {GROUP_CHARS, "display", NULL, "none",
     "no window, and nothing on the terminal unless -serial says so", do_display, 0},
    {GROUP_CHARS, "monitor", NULL, "none", "no monitor (there is none yet)", do_monitor, 0},
    {GROUP_CHARS, "qmp", NULL, "none", "no QMP (there is none yet)", do_monitor, 0},
    {GROUP_CHARS, "echr", NULL, "KEY", "the key that stands for Ctrl-A, by its code", do_echr,
     FIELD(escape)},

    {GROUP_TIME, "icount", NULL, "[shift=]N|auto[,sleep=on|off]",
     "an instruction takes 2^N ns of guest time (default 0). sleep=on lets idle time pass at the "
     "host's pace, off skips it; without this, it passes if the console is a terminal",
     do_icount, 0},
    {GROUP_TIME, "rtc", NULL, "base=utc|DATE",
     "what the guest's wall clock starts at; utc, the default, is the host's time", do_rtc, 0},
    {GROUP_TIME, "seed", NULL, "N", "seeds the guest's entropy (default 0)", set_count,
     FIELD(seed)},

    {GROUP_DEBUG, "d", NULL, "CHANNEL[,CHANNEL...]", "what to log; 'help' lists the channels",
     do_log, FIELD(log_channels)},
    {GROUP_DEBUG, "D", NULL, "FILE", "where to log (default stderr)", set_string, FIELD(log_file)},
    {GROUP_DEBUG, "until", "icount-limit", "N",
     "ends with status 124 after N instructions; k, M, G and T are powers of 1000", set_count,
     FIELD(until)},
    {GROUP_DEBUG, "hash-every", NULL, "N[,file=FILE]",
     "prints the instruction count and the hash of the machine's state every N instructions, to "
     "FILE or stderr. Runs that should be equal are compared by it; they need the same -rtc "
     "base=DATE",
     do_hash_every, 0},
    {GROUP_DEBUG, "gdb", NULL, "none", "no debugger stub (there is none yet)", do_monitor, 0},
    {GROUP_DEBUG, "semihosting-config", NULL, "enable=off", "no semihosting (there is none yet)",
     do_semihosting_config, 0},

    {GROUP_OTHER, "no-reboot", NULL, NULL, "a reset by the guest ends the machine", set_flag,
     FIELD(no_reboot)},
    {GROUP_OTHER, "no-shutdown", NULL, NULL,
     "a machine that was powered off stays, until it is told to leave", set_flag,
     FIELD(no_shutdown)},
    {GROUP_OTHER, "action", NULL, "reboot=reset|shutdown[,shutdown=poweroff|pause]",
     "the same by another name", do_action, 0},
    {GROUP_OTHER, "pidfile", NULL, "FILE", "writes the process's number to a file", set_string,
     FIELD(pidfile)},
    {GROUP_OTHER, "version", NULL, NULL, "prints the version", do_version, 0},
    {GROUP_OTHER, "help", "h", NULL, "prints this", do_help, 0},

    {GROUP_IGNORED, "name", NULL, "NAME", "the machine's name", accept_silently, 0},
    {GROUP_IGNORED, "no-user-config", NULL, NULL, "there are no configuration files",
     accept_silently, 0},
    {GROUP_IGNORED, "enable-kvm", NULL, NULL, "hardware virtualization", do_enable_kvm, 0},
    {GROUP_IGNORED, "vga", NULL, "KIND", "a graphics card", ignore_unless_none, 0},
    {GROUP_IGNORED, "vnc", NULL, "WHERE", "a VNC server", ignore_unless_none, 0},
    {GROUP_IGNORED, "full-screen", NULL, NULL, "a large window", ignore, 0},
    {GROUP_IGNORED, "parallel", NULL, "WHERE", "a parallel port", ignore_unless_none, 0},
    {GROUP_IGNORED, "audio", NULL, "KIND", "sound", ignore_unless_none, 0},
    {GROUP_IGNORED, "audiodev", NULL, "KIND", "sound", ignore_unless_none, 0},
    {GROUP_IGNORED, "usb", NULL, NULL, "a USB controller", ignore, 0},
    {GROUP_IGNORED, "k", NULL, "LANGUAGE", "the keyboard's layout", ignore, 0},
    {GROUP_IGNORED, "boot", NULL, "ORDER", "the order of boot devices", ignore, 0},
    {GROUP_IGNORED, "uuid", NULL, "UUID", "the machine's UUID", ignore, 0},
    {GROUP_IGNORED, "mem-path", NULL, "FILE", "a file behind RAM", ignore, 0},
    {GROUP_IGNORED, "mem-prealloc", NULL, NULL, "RAM taken at once", ignore, 0},
    {GROUP_IGNORED, "overcommit", NULL, "PROP=VALUE", "the host's memory and CPUs", ignore, 0},
    {GROUP_IGNORED, "msg", NULL, "PROP=VALUE", "the form of messages", ignore, 0},

    {GROUP_REFUSED, "mon", NULL, "chardev=ID", "this version has no monitor", refuse, 0},
    {GROUP_REFUSED, "s", NULL, NULL, "this version has no debugger stub", refuse, 0},
    {GROUP_REFUSED, "S", NULL, NULL,
     "this version has neither monitor nor debugger stub to start the machine with", refuse, 0},
    {GROUP_REFUSED, "semihosting", NULL, NULL, "this version has no semihosting", refuse, 0},
    {GROUP_REFUSED, "loadvm", NULL, "NAME", "this version has no snapshots of machines", refuse, 0},
    {GROUP_REFUSED, "incoming", NULL, "WHERE", "this version has no migration", refuse, 0},
    {GROUP_REFUSED, "blockdev", NULL, "PROP=VALUE", "use -drive if=none instead", refuse, 0},
    {GROUP_REFUSED, "daemonize", NULL, NULL, "let the shell or the service manager do that", refuse,
     0},
};

// --- Looking options up ---

static bool is_named(const struct option *o, const char *name)
{
    return strcmp(o->name, name) == 0 || (o->alias && strcmp(o->alias, name) == 0);
}

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (is_named(&table[i], name))
            return &table[i];
    }
    return NULL;
}

// Edits (insert, delete, replace, swap neighbours) that turn a into b: optimal string alignment.
static unsigned distance(const char *a, const char *b)
{
    enum { MAX_LEN = 32 };
    unsigned row[MAX_LEN + 1][MAX_LEN + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > MAX_LEN || lb > MAX_LEN)
        return UINT_MAX;
    for (size_t i = 0; i <= la; i++) {
        for (size_t j = 0; j <= lb; j++) {
            if (!i || !j) {
                row[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN(best, MIN(row[i - 1][j], row[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, row[i - 2][j - 2] + 1);
            row[i][j] = best;
        }
    }
    return row[la][lb];
}

static const char *nearest(const char *name)
{
    const char *best = NULL;
    unsigned best_distance = MIN((unsigned)strlen(name) / 3 + 1, 3) + 1;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *const names[] = {table[i].name, table[i].alias};
        for (unsigned j = 0; j < ARRAY_LEN(names); j++) {
            // One letter resembles every other one.
            if (!names[j] || strlen(names[j]) < 2 || distance(name, names[j]) >= best_distance)
                continue;
            best = names[j];
            best_distance = distance(name, best);
        }
    }
    return best;
}

static bool fail_unknown(const char *typed, const char *name, GError **error)
{
    const char *equals = strchr(name, '=');
    g_autofree char *before = equals ? g_strndup(name, (gsize)(equals - name)) : NULL;
    const char *similar = nearest(name);

    if (before && find_option(before))
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: write -%s %s", typed, before,
                    equals + 1);
    else
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: no such option%s%s%s", typed,
                    similar ? "; did you mean -" : " (-help lists them)", similar ? similar : "",
                    similar ? "?" : "");
    return false;
}

// --- Parsing ---

static bool parse_one(struct cmdline *c, char *const **argv, GError **error)
{
    const char *typed = *(*argv)++;

    if (typed[0] != '-' || !typed[1]) {
        if (c->file) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                        "%s: there is a file already (%s); did an option lack its dash?", typed,
                        c->file);
            return false;
        }
        c->file = g_strdup(typed);
        return true;
    }
    const char *name = typed + (typed[1] == '-' ? 2 : 1);
    const struct option *o = find_option(name);
    if (!o)
        return fail_unknown(typed, name, error);
    if (!o->arg)
        return o->handle(c, o, NULL, error);
    if (!**argv)
        return fail(error, o, NULL, "needs an argument: %s", o->arg);
    return o->handle(c, o, *(*argv)++, error);
}

bool cmdline_program_bits(const char *program, unsigned *bits, GError **error)
{
    static const char marker[] = "-system-";
    const char *guest = strstr(program, marker);

    *bits = 0;
    if (!guest)
        return true;
    guest += strlen(marker);
    if (g_str_has_prefix(guest, "riscv32"))
        *bits = 32;
    else if (g_str_has_prefix(guest, "riscv64"))
        *bits = 64;
    else
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: this version has no guest '%s'; there are riscv32 and riscv64", program,
                    guest);
    return *bits != 0;
}

static void item_clear(void *data)
{
    g_free(((struct cmdline_item *)data)->text);
}

static GArray *item_array(void)
{
    GArray *a = g_array_new(false, false, sizeof(struct cmdline_item));

    g_array_set_clear_func(a, item_clear);
    return a;
}

static void loader_clear(void *data)
{
    g_free(((struct machine_loader_opt *)data)->file);
}

static struct cmdline *cmdline_new(const char *program)
{
    struct cmdline *c = g_new0(struct cmdline, 1);

    c->program = g_path_get_basename(program);
    c->machine_props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->globals = g_ptr_array_new_with_free_func(g_free);
    c->devices = g_ptr_array_new_with_free_func(device_opt_free);
    c->loaders = g_array_new(false, false, sizeof(struct machine_loader_opt));
    g_array_set_clear_func(c->loaders, loader_clear);
    c->chardevs = item_array();
    c->serials = item_array();
    c->drives = item_array();
    c->nets = item_array();
    c->fsdevs = item_array();
    return c;
}

void cmdline_free(struct cmdline *c)
{
    if (!c)
        return;
    char **strings[] = {
        &c->help_name, &c->program,       &c->machine,  &c->cpu,          &c->pidfile,  &c->file,
        &c->kernel,    &c->bios,          &c->initrd,   &c->append,       &c->dtb,      &c->dumpdtb,
        &c->escape,    &c->firmware_dirs, &c->log_file, &c->log_channels, &c->hash_file};
    GArray *arrays[] = {c->loaders, c->chardevs, c->serials, c->drives, c->nets, c->fsdevs};

    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        g_free(*strings[i]);
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
        g_array_unref(arrays[i]);
    g_hash_table_unref(c->machine_props);
    g_ptr_array_unref(c->globals);
    g_ptr_array_unref(c->devices);
    g_free(c);
}

struct cmdline *cmdline_parse(int argc, char *const argv[], GError **error)
{
    struct cmdline *c = cmdline_new(argc > 0 ? argv[0] : "ferry");
    char *const *next = argv + (argc > 0);
    bool ok = cmdline_program_bits(c->program, &c->bits, error);

    while (ok && *next && c->help == HELP_NONE)
        ok = parse_one(c, &next, error);
    if (ok)
        return c;
    cmdline_free(c);
    return NULL;
}

// --- Help ---

enum { HELP_COLUMN = 26, HELP_WIDTH = 80 };

// Prints the text wrapped, every line but the first indented.
static void print_wrapped(FILE *out, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t column = HELP_COLUMN;

    for (char **word = words; *word; word++) {
        if (column + 1 + strlen(*word) > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += (size_t)fprintf(out, "%s%s", column > HELP_COLUMN ? " " : "", *word);
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct option *o)
{
    g_autofree char *left = g_strconcat("  -", o->name, o->alias ? ", -" : "",
                                        o->alias ? o->alias : "", o->arg ? " " : "", o->arg, NULL);

    fputs(left, out);
    if (strlen(left) + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", (int)(HELP_COLUMN - strlen(left)), "");
    print_wrapped(out, o->help);
}

void cmdline_print_help(FILE *out)
{
    fprintf(out,
            "usage: ferry [options] [FILE]\n\n"
            "FILE is a program (ELF), which picks the board and runs without other firmware, a "
            "kernel,\nor a disk image. Options may have one dash or two; a comma in a value is "
            "doubled.\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!i || table[i].group != table[i - 1].group)
            fprintf(out, "\n%s:\n", group_titles[table[i].group]);
        print_option(out, &table[i]);
    }
}
