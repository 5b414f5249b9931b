// SPDX-License-Identifier: MIT
// Finds options in their table, and prints it. docs/ferry.1 has the same options in the same order, and a test
// compares the two.
#include "control/cmdline.h"

#include <string.h>

#include "base/log.h"
#include "control/option.h"

static const char *const group_titles[] = {
    [GROUP_MACHINE] = "The machine",
    [GROUP_BOOT] = "What it boots",
    [GROUP_DEVICES] = "Devices, disks, networks and shared folders",
    [GROUP_CHARS] = "Consoles and character devices",
    [GROUP_TIME] = "Time and chance",
    [GROUP_SNAPSHOTS] = "Snapshots of machines",
    [GROUP_DEBUG] = "Looking inside",
    [GROUP_OTHER] = "Running",
    [GROUP_IGNORED] = "Accepted and ignored, with a warning where it matters",
    [GROUP_REFUSED] = "Known, but refused",
};

// --- The table ---

#define FIELD(f) offsetof(struct cmdline, f)

static const struct option table[] = {
#define OPTION(group, name, alias, arg, handle, field, help) \
    {GROUP_##group, name, alias, arg, help, handle, field},
#include "control/options.def"
#undef OPTION
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
        return option_fail(error, o, NULL, "needs an argument: %s", o->arg);
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

static void device_opt_free(void *data)
{
    struct machine_device_opt *d = data;

    g_free(d->driver);
    g_free(d->id);
    g_ptr_array_unref(d->props);
    g_free(d);
}

GPtrArray *cmdline_new_devices(void)
{
    return g_ptr_array_new_with_free_func(device_opt_free);
}

struct machine_device_opt *cmdline_add_device(GPtrArray *devices, const char *driver,
                                              const char *id)
{
    struct machine_device_opt *d = g_new0(struct machine_device_opt, 1);

    d->driver = g_strdup(driver);
    d->id = g_strdup(id);
    d->props = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(devices, d);
    return d;
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
    c->devices = cmdline_new_devices();
    c->loaders = g_array_new(false, false, sizeof(struct machine_loader_opt));
    g_array_set_clear_func(c->loaders, loader_clear);
    c->chardevs = item_array();
    c->serials = item_array();
    c->terminals = item_array();
    c->drives = item_array();
    c->nets = item_array();
    c->fsdevs = item_array();
    return c;
}

void cmdline_free(struct cmdline *c)
{
    if (!c)
        return;
    char **strings[] = {&c->help_name, &c->program,       &c->machine,  &c->cpu,
                        &c->pidfile,   &c->file,          &c->kernel,   &c->bios,
                        &c->initrd,    &c->append,        &c->dtb,      &c->dumpdtb,
                        &c->escape,    &c->firmware_dirs, &c->log_file, &c->log_channels,
                        &c->hash_file, &c->gdb,           &c->name,     &c->record,
                        &c->replay,    &c->snapshot_dir,  &c->loadvm,   &c->savevm};
    GArray *arrays[] = {c->loaders, c->chardevs, c->serials, c->terminals,
                        c->drives,  c->nets,     c->fsdevs};

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
    fputs("usage: ferry [options] [FILE]\n\n"
          "FILE is a program (ELF), which picks the board and runs without other firmware,\n"
          "a kernel, or a disk image. Options may have one dash or two; a comma in a value\n"
          "is doubled.\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!i || table[i].group != table[i - 1].group)
            fprintf(out, "\n%s:\n", group_titles[table[i].group]);
        print_option(out, &table[i]);
    }
}
