// SPDX-License-Identifier: MIT
// What the options of control/options.def do with their arguments.
//
// Names, arguments and meanings are those of QEMU's system emulators, as far as they mean something here; an
// option that changes nothing here is accepted with a warning, one that cannot be honoured is refused with the
// reason.
#include <string.h>

#include "backend/options.h"
#include "base/log.h"
#include "control/option.h"

// --- Help for handlers ---

bool option_fail(GError **error, const struct option *o, const char *arg, const char *fmt, ...)
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

bool option_set_string(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)error;
    replace((char **)(void *)((char *)c + o->field), arg);
    return true;
}

bool option_set_flag(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)arg;
    (void)error;
    *(bool *)((char *)c + o->field) = true;
    return true;
}

bool option_set_count(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    uint64_t *field = (uint64_t *)(void *)((char *)c + o->field);

    return parse_count(arg, field) || option_fail(error, o, arg, "not a number");
}

// Keeps the text for whoever makes the thing.
bool option_add_item(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct cmdline_item item = {.option = o->name, .text = g_strdup(arg)};

    (void)error;
    g_array_append_val(*(GArray **)(void *)((char *)c + o->field), item);
    return true;
}

bool option_ignore(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)c;
    (void)error;
    warn_user("-%s%s%s: ignored", o->name, arg ? " " : "", arg ? arg : "");
    return true;
}

bool option_accept_silently(struct cmdline *c, const struct option *o, const char *arg,
                            GError **error)
{
    (void)c, (void)o, (void)arg, (void)error;
    return true;
}

bool option_refuse(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)c;
    return option_fail(error, o, arg, "%s", o->help);
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
            return option_fail(error, o, list,
                               "no accelerator '%s'; expected dbt (or tcg) or interp", *part);
        warn_user("-%s %s: there is no %s here, guest code is translated instead", o->name, list,
                  *part);
    }
    return true;
}

bool option_accel(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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

bool option_enable_kvm(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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
            return option_fail(error, o, NULL, "misaligned=%s: expected on or off", value);
        c->no_misaligned = !on;
        return true;
    }
    *known = g_strv_contains(ignored, key);
    return true;
}

bool option_machine(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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

bool option_cpu(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return is_help(arg) ? ask_help(c, HELP_CPU, NULL) : option_set_string(c, o, arg, error);
}

bool option_smp(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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
        return option_fail(error, o, arg, "a machine needs a CPU");
    if (ok && ((most && cpus > most) || (product > 1 && cpus > product)))
        return option_fail(error, o, arg, "%u CPUs do not fit into that", (unsigned)cpus);
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

bool option_memory(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-m", arg, "size");
    const char *size = options_str(opts, "size");

    options_str(opts, "slots");
    options_str(opts, "maxmem");
    bool ok = options_done(opts, error);
    if (ok && size && !parse_ram(size, &c->ram_size))
        ok = option_fail(error, o, arg, "not a size; expected MiB, or a number with K, M, G or T");
    else if (ok && size && (c->ram_size < 4096 || c->ram_size > UINT64_C(1) << 46))
        ok = option_fail(error, o, arg, "too %s", c->ram_size < 4096 ? "small" : "much");
    options_free(opts);
    return ok;
}

bool option_global(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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
            return option_fail(error, o, arg, "expected DRIVER.PROPERTY=VALUE");
        }
    }
    for (unsigned i = 0; i < 3; i++)
        g_ptr_array_add(c->globals, parts[i]);
    return true;
}

// --- What it boots ---

bool option_firmware_dir(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)o, (void)error;
    char *dirs = c->firmware_dirs ? g_strconcat(c->firmware_dirs, ":", arg, NULL) : g_strdup(arg);
    g_free(c->firmware_dirs);
    c->firmware_dirs = dirs;
    return true;
}

// --- Devices ---

static void add_device(struct cmdline *c, const char *driver, struct options *opts)
{
    struct machine_device_opt *d = cmdline_add_device(c->devices, driver, NULL);
    const char *key, *value;

    for (unsigned i = 0; options_item(opts, i, &key, &value); i++) {
        if (strcmp(key, "id") == 0) {
            replace(&d->id, value);
        } else if (strcmp(key, "driver") != 0) {
            g_ptr_array_add(d->props, g_strdup(key));
            g_ptr_array_add(d->props, g_strdup(value ? value : "on"));
        }
    }
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

bool option_device(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-device", arg, "driver");
    const char *driver = options_str(opts, "driver");
    bool ok = true;

    if (!driver)
        ok = option_fail(error, o, arg, "which device?");
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
bool option_add_item_or_help(struct cmdline *c, const struct option *o, const char *arg,
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
    return option_add_item(c, o, arg, error);
}

// Entropy always comes from the generator that -seed seeds, so a source of it is accepted as it is.
bool option_object(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return g_str_has_prefix(arg, "rng-") || option_ignore(c, o, arg, error);
}

// --- Consoles ---

bool option_gdb_default(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)o, (void)arg, (void)error;
    g_free(c->gdb);
    c->gdb = g_strdup("tcp::1234");
    return true;
}

bool option_display(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)error;
    if (is_help(arg))
        return ask_help(c, HELP_DISPLAY, NULL);
    c->no_display = c->no_display || strcmp(arg, "none") == 0;
    if (strcmp(arg, "none") != 0)
        warn_user("-%s %s: there is no window; the console is on the terminal", o->name, arg);
    return true;
}

bool option_ignore_unless_none(struct cmdline *c, const struct option *o, const char *arg,
                               GError **error)
{
    return strcmp(arg, "none") == 0 || option_ignore(c, o, arg, error);
}

bool option_echr(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    uint64_t key;

    if (!parse_u64(arg, &key) || key > 255)
        return option_fail(error, o, arg, "expected the code of a key, such as 0x14 for Ctrl-T");
    return option_set_string(c, o, arg, error);
}

// --- Time ---

// Snapshots that a replay starts from are loaded by -loadvm.
static void read_rr(struct cmdline *c, struct options *opts)
{
    const char *rr = options_str(opts, "rr"), *file = options_str(opts, "rrfile");

    if (!rr && !file)
        return;
    if (!rr || !file)
        options_fail(opts, rr ? "rrfile" : "rr", "missing: the two go together");
    else if (strcmp(rr, "record") == 0)
        replace(&c->record, file);
    else if (strcmp(rr, "replay") == 0)
        replace(&c->replay, file);
    else
        options_fail(opts, "rr", "'%s' is neither record nor replay", rr);
}

bool option_icount(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-icount", arg, "shift");
    const char *shift = options_str(opts, "shift");
    uint64_t n = c->icount_shift;

    if (options_has(opts, "sleep"))
        c->pace = options_bool(opts, "sleep", true) ? PACE_ON : PACE_OFF;
    if (options_bool(opts, "align", false))
        warn_user("-icount %s: align=on: ignored, a fast guest is not slowed down", arg);
    read_rr(c, opts);
    bool ok = options_done(opts, error);
    if (ok && shift && strcmp(shift, "auto") != 0 && (!parse_u64(shift, &n) || n > 10))
        ok = option_fail(error, o, arg, "shift is a number from 0 to 10, or auto");
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

bool option_rtc(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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
            ok = option_fail(error, o, arg, "expected utc or a date such as 2024-02-29T12:00:00");
    }
    options_free(opts);
    return ok;
}

// --- Snapshots ---

bool option_snapshots(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-snapshots", arg, "dir");
    const char *dir = options_str(opts, "dir");

    c->snapshot_mapped = options_bool(opts, "mapped", c->snapshot_mapped);
    bool ok = options_done(opts, error);
    if (ok && dir && !*dir)
        ok = option_fail(error, o, arg, "which folder?");
    else if (ok && dir)
        replace(&c->snapshot_dir, dir);
    options_free(opts);
    return ok;
}

bool option_loadvm(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return is_help(arg) ? ask_help(c, HELP_SNAPSHOTS, NULL) : option_set_string(c, o, arg, error);
}

// --- Looking inside ---

bool option_log(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    return is_help(arg) ? ask_help(c, HELP_LOG, NULL) : option_set_string(c, o, arg, error);
}

bool option_hash_every(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-hash-every", arg, "n");
    const char *n = options_str(opts, "n");

    replace(&c->hash_file, options_str(opts, "file"));
    bool ok = options_done(opts, error);
    if (ok && (!n || !parse_count(n, &c->hash_every) || !c->hash_every))
        ok = option_fail(error, o, arg, "expected a number of instructions");
    options_free(opts);
    return ok;
}

bool option_semihosting_config(struct cmdline *c, const struct option *o, const char *arg,
                               GError **error)
{
    struct options *opts = options_parse("-semihosting-config", arg, "enable");
    bool on = options_bool(opts, "enable", true);

    (void)c;
    options_free(opts);
    return !on || option_fail(error, o, arg, "this version has no semihosting");
}

// --- Running ---

bool option_name(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    struct options *opts = options_parse("-name", arg, "guest");

    (void)o;
    replace(&c->name, options_str(opts, "guest"));
    options_str(opts, "process");
    options_bool(opts, "debug-threads", false);
    bool ok = options_done(opts, error);
    options_free(opts);
    return ok;
}

bool option_action(struct cmdline *c, const struct option *o, const char *arg, GError **error)
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
        ok = option_fail(error, o, arg, "reboot is reset or shutdown");
    if (ok && shutdown && !c->no_shutdown && strcmp(shutdown, "poweroff") != 0)
        ok = option_fail(error, o, arg, "shutdown is poweroff or pause");
    options_free(opts);
    return ok;
}

bool option_version(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)o, (void)arg, (void)error;
    return ask_help(c, HELP_VERSION, NULL);
}

bool option_help(struct cmdline *c, const struct option *o, const char *arg, GError **error)
{
    (void)o, (void)arg, (void)error;
    return ask_help(c, HELP_OPTIONS, NULL);
}
