// SPDX-License-Identifier: MIT
// From the command line to what a machine is made of: the board and its CPUs' width, back ends, devices that
// options such as -nic and -drive if=virtio stand for.
#include "control/session.h"

#include <string.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev_open.h"
#include "backend/fsdev.h"
#include "backend/net.h"
#include "backend/options.h"
#include "base/journal.h"
#include "base/log.h"
#include "control/choose.h"
#include "control/gdbstub.h"
#include "hw/device.h"
#include "machine/board.h"

static bool fail(GError **error, const struct cmdline_item *item, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail(GError **error, const struct cmdline_item *item, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "-%s %s: %s", item->option, item->text,
                text);
    return false;
}

// Makes a back end known by its id.
static bool publish(GHashTable *table, const struct cmdline_item *item, const char *id, void *what,
                    GError **error)
{
    if (g_hash_table_contains(table, id))
        return fail(error, item, "there is another one with id=%s", id);
    g_hash_table_insert(table, g_strdup(id), what);
    return true;
}

static bool is_option(const struct cmdline_item *item, const char *name)
{
    return strcmp(item->option, name) == 0;
}

static struct options *parse_item(const struct cmdline_item *item, const char *implied)
{
    g_autofree char *what = g_strconcat("-", item->option, NULL);
    return options_parse(what, item->text, implied);
}

// "key=value,..." of a device that an option stands for; the rest are its properties as name, value, NULL.
static void add_device(struct session *s, const char *driver, ...)
{
    struct machine_device_opt *d = cmdline_add_device(s->cfg.devices, driver, NULL);
    va_list args;

    va_start(args, driver);
    for (const char *name; (name = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (!value)
            continue;
        g_ptr_array_add(d->props, g_strdup(name));
        g_ptr_array_add(d->props, g_strdup(value));
    }
    va_end(args);
}

// --- Character devices ---

static bool open_chardev(struct session *s, const struct cmdline_item *item, GError **error)
{
    struct chardev *chr = chardev_open(parse_item(item, "backend"), s->poller, error);

    if (!chr)
        return false;
    g_ptr_array_add(s->chardevs, chr);
    return publish(s->cfg.chardevs, item, chardev_id(chr), chr, error);
}

static struct chardev *find_chardev(struct session *s, const struct cmdline_item *item,
                                    const char *id, GError **error)
{
    struct chardev *chr = g_hash_table_lookup(s->cfg.chardevs, id);

    if (!chr)
        fail(error, item, "there is no -chardev with id=%s", id);
    return chr;
}

// Opens or finds what a short form names. *chr is NULL for "none".
static bool open_short(struct session *s, const struct cmdline_item *item, const char *label,
                       struct chardev **chr, GError **error)
{
    struct chardev_short made = {.existing = NULL};

    if (!chardev_open_short(item->text, label, s->poller, &made, error))
        return false;
    if (made.existing) {
        g_autofree char *id = made.existing;
        return (*chr = find_chardev(s, item, id, error)) != NULL;
    }
    *chr = made.chr;
    if (made.none)
        return true;
    g_ptr_array_add(s->chardevs, made.chr);
    if (made.monitor)
        g_array_append_val(s->terminals, ((struct session_terminal){.chr = made.chr}));
    return publish(s->cfg.chardevs, item, label, made.chr, error);
}

static bool open_serial(struct session *s, unsigned index, const struct cmdline_item *item,
                        GError **error)
{
    g_autofree char *label = g_strdup_printf("serial%u", index);

    return open_short(s, item, label, &s->cfg.serial[index], error);
}

static bool open_gdb(struct session *s, const struct cmdline *c, GError **error)
{
    if (!c->gdb)
        return true;
    g_autofree char *spec = gdbstub_complete_spec(c->gdb);
    struct cmdline_item item = {.option = "gdb", .text = spec};
    return open_short(s, &item, "gdb", &s->gdb, error);
}

// Whether a back end reads standard input.
static bool stdio_is_used(struct session *s)
{
    if (!poller_claim_stdio(s->poller))
        return true;
    poller_release_stdio(s->poller);
    return false;
}

// Without -serial, the first UART is on the terminal, unless nothing or something else is wanted there. A monitor
// shares it, unless there is one already.
static bool open_default_serial(struct session *s, const struct cmdline *c, GError **error)
{
    struct cmdline_item item = {.option = "serial", .text = (char[]){"mon:stdio"}};

    if (c->nodefaults || stdio_is_used(s) || (c->no_display && !c->nographic))
        return true;
    if (c->nographic && c->terminals->len)
        item.text += strlen("mon:");
    return open_serial(s, 0, &item, error);
}

static bool open_serials(struct session *s, const struct cmdline *c, GError **error)
{
    unsigned most = MIN(s->cfg.board->nr_serial, (unsigned)ARRAY_LEN(s->cfg.serial));

    for (unsigned i = 0; i < c->serials->len; i++) {
        const struct cmdline_item *item = &g_array_index(c->serials, struct cmdline_item, i);
        bool nothing = strcmp(item->text, "none") == 0 || strcmp(item->text, "null") == 0;
        if (i >= most && !nothing)
            warn_user("-serial %s: ignored, the board %s has no more than %u", item->text,
                      s->cfg.board->name, most);
        else if (i < most && !open_serial(s, i, item, error))
            return false;
    }
    return true;
}

// --- Monitors and QMP servers ---

// -mon chardev=ID,mode=...
static bool open_mon(struct session *s, const struct cmdline_item *item, GError **error)
{
    struct options *opts = parse_item(item, "chardev");
    const char *id = options_str(opts, "chardev"), *mode = options_str(opts, "mode");
    struct session_terminal t = {.control = mode && strcmp(mode, "control") == 0,
                                 .pretty = options_bool(opts, "pretty", false)};

    if (!id)
        options_fail(opts, "chardev", "which one?");
    if (mode && !t.control && strcmp(mode, "readline") != 0)
        options_fail(opts, "mode", "'%s' is neither readline nor control", mode);
    bool ok = options_done(opts, error) && (t.chr = find_chardev(s, item, id, error));
    options_free(opts);
    if (ok)
        g_array_append_val(s->terminals, t);
    return ok;
}

// Who may steer the machine is on this host, unless another address is named: "tcp::4444" is "tcp:127.0.0.1:4444".
static char *make_local(const char *where)
{
    const char *address = strstr(where, "::");
    bool is_open = g_str_has_prefix(where, "tcp::") || g_str_has_prefix(where, "telnet::");

    if (!is_open)
        return g_strdup(where);
    return g_strdup_printf("%.*s:127.0.0.1%s", (int)(address - where), where, address + 1);
}

static bool open_terminal(struct session *s, unsigned index, const struct cmdline_item *item,
                          GError **error)
{
    g_autofree char *label = g_strdup_printf("compat_monitor%u", index);
    struct session_terminal t = {.control = g_str_has_prefix(item->option, "qmp"),
                                 .pretty = is_option(item, "qmp-pretty")};

    if (is_option(item, "mon"))
        return open_mon(s, item, error);
    if (strcmp(item->text, "vc") == 0) {
        warn_user("-%s vc: there is no window to show it in", item->option);
        return true;
    }
    g_autofree char *where = make_local(item->text);
    struct cmdline_item local = {.option = item->option, .text = where};
    if (!open_short(s, &local, label, &t.chr, error))
        return false;
    if (t.chr)
        g_array_append_val(s->terminals, t);
    return true;
}

static bool open_terminals(struct session *s, const struct cmdline *c, GError **error)
{
    for (unsigned i = 0; i < c->terminals->len; i++) {
        if (!open_terminal(s, i, &g_array_index(c->terminals, struct cmdline_item, i), error))
            return false;
    }
    return true;
}

// With -nographic, the terminal is the monitor's if nobody else wants it.
static bool open_default_monitor(struct session *s, const struct cmdline *c, GError **error)
{
    struct cmdline_item item = {.option = "monitor", .text = (char[]){"stdio"}};

    if (c->nodefaults || !c->nographic || c->terminals->len || stdio_is_used(s))
        return true;
    return open_terminal(s, 0, &item, error);
}

static bool open_chardevs(struct session *s, const struct cmdline *c, GError **error)
{
    for (unsigned i = 0; i < c->chardevs->len; i++) {
        if (!open_chardev(s, &g_array_index(c->chardevs, struct cmdline_item, i), error))
            return false;
    }
    if (!open_gdb(s, c, error) || !open_serials(s, c, error) || !open_terminals(s, c, error))
        return false;
    if (!c->serials->len && !open_default_serial(s, c, error))
        return false;
    if (!open_default_monitor(s, c, error))
        return false;
    uint64_t key;
    for (unsigned i = 0; c->escape && parse_u64(c->escape, &key) && i < s->chardevs->len; i++)
        chardev_set_escape(g_ptr_array_index(s->chardevs, i), (uint8_t)key);
    s->terminal = stdio_is_used(s) && isatty(STDIN_FILENO);
    return true;
}

// --- Disks ---

// -hda and its like say in a name what -drive says in properties.
static struct options *parse_drive(const struct cmdline_item *item)
{
    static const struct {
        const char *option, *key, *value;
    } shorts[] = {
        {"hda", "index", "0"}, {"hdb", "index", "1"},       {"hdc", "index", "2"},
        {"hdd", "index", "3"}, {"cdrom", "media", "cdrom"}, {"pflash", "if", "pflash"},
    };

    if (is_option(item, "drive"))
        return parse_item(item, NULL);
    struct cmdline_item empty = {.option = item->option, .text = (char[]){""}};
    struct options *opts = parse_item(&empty, NULL);
    options_set(opts, "file", item->text);
    for (size_t i = 0; i < ARRAY_LEN(shorts); i++) {
        if (is_option(item, shorts[i].option))
            options_set(opts, shorts[i].key, shorts[i].value);
    }
    return opts;
}

// Gives a disk to what its if= names.
static bool connect_drive(struct session *s, const struct cmdline_item *item, const char *interface,
                          uint64_t unit, struct block *blk, const char *id, GError **error)
{
    if (strcmp(interface, "none") == 0)
        return true;
    if (strcmp(interface, "virtio") == 0) {
        add_device(s, "virtio-blk-device", "drive", id, NULL);
        return true;
    }
    if (strcmp(interface, "pflash") != 0)
        return fail(error, item, "if=%s: expected none, virtio or pflash", interface);
    if (unit == UINT64_MAX)
        unit = s->cfg.pflash[0] ? 1 : 0;
    if (unit >= ARRAY_LEN(s->cfg.pflash) || s->cfg.pflash[unit])
        return fail(error, item, "there are two flash units, 0 and 1, with a file each at most");
    s->cfg.pflash[unit] = blk;
    return true;
}

static bool open_drive(struct session *s, const struct cmdline *c, unsigned index, GError **error)
{
    static const char *const ignored[] = {"cache",  "aio",    "discard",     "detect-zeroes",
                                          "bus",    "werror", "rerror",      "auto-read-only",
                                          "driver", "serial", "file.driver", NULL};
    const struct cmdline_item *item = &g_array_index(c->drives, struct cmdline_item, index);
    struct options *opts = parse_drive(item);
    g_autofree char *default_id = g_strdup_printf("drive%u", index);
    const char *interface = options_str(opts, "if"), *media = options_str(opts, "media");
    const char *id = options_str(opts, "id");
    bool cdrom = media && strcmp(media, "cdrom") == 0;
    struct block_options bo = {
        .id = id ? id : default_id,
        .file = options_str(opts, "file"),
        .format = options_str(opts, "format"),
        .readonly = options_bool(opts, "readonly", options_bool(opts, "read-only", cdrom)),
        .snapshot = options_bool(opts, "snapshot", c->snapshot) || c->replay,
        .no_lock = !options_bool(opts, "file.locking", true),
    };
    uint64_t unit = options_u64(opts, "unit", options_u64(opts, "index", UINT64_MAX, 255), 255);
    bool ok = true;

    for (const char *const *key = ignored; *key; key++)
        if (options_has(opts, *key))
            options_str(opts, *key);
    if (!bo.file)
        options_fail(opts, "file", "which one?");
    struct block *blk = options_done(opts, error) ? block_open(&bo, error) : NULL;
    if (blk) {
        g_ptr_array_add(s->blocks, blk);
        ok = publish(s->cfg.blocks, item, bo.id, blk, error) &&
             connect_drive(s, item, interface ? interface : "virtio", unit, blk, bo.id, error);
    }
    options_free(opts);
    return blk && ok;
}

static bool open_drives(struct session *s, const struct cmdline *c, GError **error)
{
    for (unsigned i = 0; i < c->drives->len; i++) {
        if (!open_drive(s, c, i, error))
            return false;
    }
    return true;
}

// --- Networks ---

static struct netdev *open_netdev(struct session *s, const struct cmdline_item *item,
                                  struct options *opts, GError **error)
{
    struct netdev *net = netdev_open(opts, s->poller, error);

    if (!net)
        return NULL;
    g_ptr_array_add(s->netdevs, net);
    s->networked = true;
    return publish(s->cfg.netdevs, item, netdev_id(net), net, error) ? net : NULL;
}

// The device that a model= of -nic names.
static const char *nic_driver(const char *model)
{
    return !model || g_str_has_prefix(model, "virtio") ? "virtio-net-device" : model;
}

static bool open_nic(struct session *s, const struct cmdline_item *item, unsigned index,
                     GError **error)
{
    struct options *opts = parse_item(item, "type");
    g_autofree char *model = g_strdup(options_str(opts, "model"));
    g_autofree char *mac = g_strdup(options_str(opts, "mac"));
    g_autofree char *default_id = g_strdup_printf("nic%u", index);
    const char *type = options_str(opts, "type");

    if (type && strcmp(type, "none") == 0) {
        bool ok = options_done(opts, error);
        options_free(opts);
        return ok;
    }
    if (!options_has(opts, "id"))
        options_set(opts, "id", default_id);
    struct netdev *net = open_netdev(s, item, opts, error);
    if (net)
        add_device(s, nic_driver(model), "netdev", netdev_id(net), "mac", mac, NULL);
    return net != NULL;
}

// The two halves of the old form, which find each other.
struct legacy_net {
    bool has_card;
    char *model, *mac, *netdev;
    struct netdev *host;
};

static bool open_net(struct session *s, const struct cmdline_item *item, struct legacy_net *l,
                     GError **error)
{
    struct options *opts = parse_item(item, "type");
    const char *type = options_str(opts, "type");

    if (!type || (strcmp(type, "nic") != 0 && strcmp(type, "none") != 0)) {
        if (!options_has(opts, "id"))
            options_set(opts, "id", "net");
        l->host = open_netdev(s, item, opts, error);
        return l->host != NULL;
    }
    if (strcmp(type, "nic") == 0) {
        l->has_card = true;
        l->model = g_strdup(options_str(opts, "model"));
        l->mac = g_strdup(options_str(opts, "macaddr"));
        l->netdev = g_strdup(options_str(opts, "netdev"));
    }
    bool ok = options_done(opts, error);
    options_free(opts);
    return ok;
}

static void connect_net(struct session *s, const struct legacy_net *l)
{
    const char *host = l->netdev ? l->netdev : l->host ? netdev_id(l->host) : NULL;

    if (l->has_card && host)
        add_device(s, nic_driver(l->model), "netdev", host, "mac", l->mac, NULL);
    else if (l->has_card || l->host)
        warn_user("-net: %s", l->has_card ? "the card has no host's side (-net user, say)"
                                          : "the host's side has no card (-net nic)");
}

static bool open_nets(struct session *s, const struct cmdline *c, GError **error)
{
    struct legacy_net legacy = {.has_card = false};
    bool ok = true;

    for (unsigned i = 0; ok && i < c->nets->len; i++) {
        const struct cmdline_item *item = &g_array_index(c->nets, struct cmdline_item, i);
        if (is_option(item, "netdev"))
            ok = open_netdev(s, item, parse_item(item, "type"), error) != NULL;
        else if (is_option(item, "nic"))
            ok = open_nic(s, item, i, error);
        else
            ok = open_net(s, item, &legacy, error);
    }
    if (ok)
        connect_net(s, &legacy);
    g_free(legacy.model);
    g_free(legacy.mac);
    g_free(legacy.netdev);
    return ok;
}

// --- Shared folders ---

static bool open_fsdev(struct session *s, const struct cmdline_item *item, unsigned index,
                       GError **error)
{
    struct options *opts = parse_item(item, "fsdriver");
    g_autofree char *default_id = g_strdup_printf("fs%u", index);
    g_autofree char *tag = NULL;
    bool virtfs = is_option(item, "virtfs");

    if (virtfs) {
        tag = g_strdup(options_str(opts, "mount_tag"));
        if (!tag)
            options_fail(opts, "mount_tag", "which one? the guest names the folder by it");
        if (!options_has(opts, "id"))
            options_set(opts, "id", default_id);
    }
    struct fsdev *fs = fsdev_open(opts, error);
    if (!fs)
        return false;
    g_ptr_array_add(s->fsdevs, fs);
    if (!publish(s->cfg.fsdevs, item, fsdev_id(fs), fs, error))
        return false;
    if (virtfs)
        add_device(s, "virtio-9p-device", "fsdev", fsdev_id(fs), "mount_tag", tag, NULL);
    return true;
}

static bool open_fsdevs(struct session *s, const struct cmdline *c, GError **error)
{
    for (unsigned i = 0; i < c->fsdevs->len; i++) {
        if (!open_fsdev(s, &g_array_index(c->fsdevs, struct cmdline_item, i), i, error))
            return false;
    }
    return true;
}

// --- Devices by -device ---

static bool has_prop(const struct device_class *cls, const char *name)
{
    for (const struct device_prop *p = cls->props; p && p->name; p++) {
        if (strcmp(p->name, name) == 0)
            return true;
    }
    return false;
}

// The class that a name stands for: virtio devices sit on virtio-mmio here, whatever bus the name has.
static const char *resolve_driver(const char *name, char **buf)
{
    static const char *const suffixes[] = {"-pci", "-pci-transitional", "-pci-non-transitional",
                                           ""};

    if (device_class_find(name) || !g_str_has_prefix(name, "virtio-"))
        return name;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (!g_str_has_suffix(name, suffixes[i]))
            continue;
        g_autofree char *stem = g_strndup(name, strlen(name) - strlen(suffixes[i]));
        *buf = g_strconcat(stem, "-device", NULL);
        if (device_class_find(*buf))
            return *buf;
        g_free(g_steal_pointer(buf));
    }
    return name;
}

// Properties that mean something on a PCI bus only, or to the host; dropped where the class lacks them.
static bool is_harmless_prop(const char *name)
{
    static const char *const names[] = {
        "disable-legacy", "disable-modern", "addr",   "romfile",   "rombar",   "multifunction",
        "vectors",        "ioeventfd",      "ats",    "bootindex", "iothread", "rng",
        "iommu_platform", "max-bytes",      "period", NULL};

    return g_strv_contains(names, name);
}

static void add_asked_device(struct session *s, const struct machine_device_opt *asked)
{
    g_autofree char *buf = NULL;
    const char *driver = resolve_driver(asked->driver, &buf);
    const struct device_class *cls = device_class_find(driver);
    struct machine_device_opt *d = cmdline_add_device(s->cfg.devices, driver, asked->id);

    for (unsigned i = 0; i + 1 < asked->props->len; i += 2) {
        const char *name = g_ptr_array_index(asked->props, i);
        bool moved = strcmp(driver, asked->driver) != 0 && strcmp(name, "bus") == 0;
        if (cls && !has_prop(cls, name) && (moved || is_harmless_prop(name)))
            continue;
        g_ptr_array_add(d->props, g_strdup(name));
        g_ptr_array_add(d->props, g_strdup(g_ptr_array_index(asked->props, i + 1)));
    }
}

// --- The whole ---

static void copy_plain(struct machine_config *cfg, const struct cmdline *c)
{
    cfg->cpu_model = g_strdup(c->cpu);
    cfg->accel = c->accel;
    cfg->initrd = g_strdup(c->initrd);
    cfg->append = g_strdup(c->append);
    cfg->dtb = g_strdup(c->dtb);
    cfg->dumpdtb = g_strdup(c->dumpdtb);
    cfg->firmware_dirs = g_strdup(c->firmware_dirs);
    cfg->globals = g_ptr_array_ref(c->globals);
    cfg->loaders = g_array_ref(c->loaders);
    cfg->board_props = g_hash_table_ref(c->machine_props);
    cfg->icount_shift = c->icount_shift;
    cfg->no_reboot = c->no_reboot;
    cfg->seed = c->seed;
    cfg->has_epoch = c->has_epoch;
    cfg->epoch_ns = c->epoch_ns;
    cfg->code_cache_size = c->code_cache_size;
    cfg->no_misaligned = c->no_misaligned;
}

static GHashTable *new_table(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

// What is to be recorded, or replayed.
static bool open_log(struct session *s, const struct cmdline *c, GError **error)
{
    if (c->record && c->replay) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "-record and -replay: only one of them");
        return false;
    }
    s->cfg.replay = c->replay != NULL;
    if (c->record)
        s->cfg.log = journal_create(c->record, error);
    else if (c->replay)
        s->cfg.log = journal_open(c->replay, error);
    return s->cfg.log || (!c->record && !c->replay);
}

struct session *session_new(const struct cmdline *c, GError **error)
{
    struct session *s = g_new0(struct session, 1);

    s->poller = poller_new();
    s->terminals = g_array_new(FALSE, FALSE, sizeof(struct session_terminal));
    s->chardevs = g_ptr_array_new();
    s->blocks = g_ptr_array_new();
    s->netdevs = g_ptr_array_new();
    s->fsdevs = g_ptr_array_new();
    copy_plain(&s->cfg, c);
    s->snapshot_dir = g_strdup(c->snapshot_dir ? c->snapshot_dir : SNAPSHOT_DEFAULT_DIR);
    s->snapshot_form = c->snapshot_mapped ? SNAPSHOT_MAPPED : SNAPSHOT_PACKED;
    s->cfg.devices = cmdline_new_devices();
    s->cfg.chardevs = new_table();
    s->cfg.blocks = new_table();
    s->cfg.netdevs = new_table();
    s->cfg.fsdevs = new_table();
    bool ok = choose_machine(&s->cfg, c, error) && open_log(s, c, error) &&
              open_chardevs(s, c, error) && open_drives(s, c, error) && open_nets(s, c, error) &&
              open_fsdevs(s, c, error);
    if (!ok) {
        session_free(s);
        return NULL;
    }
    for (unsigned i = 0; i < c->devices->len; i++)
        add_asked_device(s, g_ptr_array_index(c->devices, i));
    return s;
}

static void config_clear(struct machine_config *cfg)
{
    GHashTable *tables[] = {cfg->chardevs, cfg->blocks, cfg->netdevs, cfg->fsdevs,
                            cfg->board_props};
    char *strings[] = {cfg->cpu_model, cfg->bios, cfg->kernel,  cfg->initrd,
                       cfg->append,    cfg->dtb,  cfg->dumpdtb, cfg->firmware_dirs};

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        g_hash_table_unref(tables[i]);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        g_free(strings[i]);
    g_ptr_array_unref(cfg->devices);
    g_ptr_array_unref(cfg->globals);
    g_array_unref(cfg->loaders);
}

void session_free(struct session *s)
{
    if (!s)
        return;
    for (unsigned i = s->fsdevs->len; i-- > 0;)
        fsdev_close(g_ptr_array_index(s->fsdevs, i));
    for (unsigned i = s->netdevs->len; i-- > 0;)
        netdev_close(g_ptr_array_index(s->netdevs, i));
    for (unsigned i = s->blocks->len; i-- > 0;)
        block_close(g_ptr_array_index(s->blocks, i));
    for (unsigned i = s->chardevs->len; i-- > 0;)
        chardev_close(g_ptr_array_index(s->chardevs, i));
    g_ptr_array_unref(s->fsdevs);
    g_ptr_array_unref(s->netdevs);
    g_ptr_array_unref(s->blocks);
    g_ptr_array_unref(s->chardevs);
    g_array_unref(s->terminals);
    journal_free(s->cfg.log);
    config_clear(&s->cfg);
    g_free(s->snapshot_dir);
    poller_free(s->poller);
    g_free(s);
}
