// SPDX-License-Identifier: MIT
// Command lines: taken apart, and where that succeeds, carried out as far as a machine that does not run yet.
//
// Nothing of the host but an own folder may be reached: lines that name other files, descriptors, terminals or
// sockets are parsed only.
#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/choose.h"
#include "control/session.h"
#include "tests/fuzzers/fuzzer.h"

enum { ARGS_MAX = 32 };
#define RAM_MAX (UINT64_C(64) << 20)

// One argument a line, after the program's name.
static char **split(const uint8_t *data, size_t len)
{
    g_autofree char *text = g_strndup((const char *)data, len);
    g_autofree char *line = g_strconcat("ferry\n", text, NULL);
    char **argv = g_strsplit(line, "\n", ARGS_MAX);
    char *last = argv[g_strv_length(argv) - 1];
    if (!*last && g_strv_length(argv) > 1) {
        g_free(last);
        argv[g_strv_length(argv) - 1] = NULL;
    }
    return argv;
}

// Texts that are echoed in errors are to be such that the check of errors means something.
static bool is_text(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (g_ascii_iscntrl(data[i]) && data[i] != '\n')
            return false;
    }
    return true;
}

static bool stays_inside(char **argv)
{
    static const char *const outside[] = {"/",   "..",     "stdio",   "pty",     "tcp",
                                          "udp", "telnet", "socket",  "fd",      "unix",
                                          "tty", "port",   "console", "serial,", "vc"};
    for (char **arg = argv + 1; *arg; arg++) {
        for (unsigned i = 0; i < ARRAY_LEN(outside); i++) {
            if (strstr(*arg, outside[i]))
                return false;
        }
    }
    return true;
}

// A folder with a few files, which is the working directory.
static char *enter_folder(void)
{
    static const char code[] = {0x6f, 0, 0, 0};
    char *path = fuzz_folder_new();
    if (chdir(path) != 0 || mkdir("folder", 0755) != 0 ||
        !g_file_set_contents("kernel", code, sizeof(code), NULL) ||
        !g_file_set_contents("disk", "", 0, NULL) || truncate("disk", 1 << 20) != 0 ||
        !g_file_set_contents("flash", "", 0, NULL) || truncate("flash", 32 << 20) != 0)
        g_error("%s: can't be made", path);
    return path;
}

static void leave_folder(char *path)
{
    if (chdir("/") != 0)
        g_error("no root");
    fuzz_folder_remove(path);
}

// Smaller than was asked for, without the terminal and the debugger's port, and without firmware, which would be looked
// for everywhere.
static void restrain(struct cmdline *c)
{
    c->ram_size = MIN(c->ram_size, RAM_MAX);
    c->code_cache_size = 1 << 20;
    g_free(c->gdb);
    c->gdb = NULL;
    c->no_display = true;
    c->nographic = false;
    if (!c->bios)
        c->bios = g_strdup("none");
    g_free(c->firmware_dirs);
    c->firmware_dirs = NULL;
}

static void build(struct cmdline *c)
{
    GError *error = NULL;
    bool ok = choose_file(c, &error);
    fuzz_check_error(ok, error);
    if (!ok)
        return;
    error = NULL;
    struct session *s = session_new(c, &error);
    fuzz_check_error(s, error);
    if (!s)
        return;
    error = NULL;
    struct machine *m = machine_new(&s->cfg, &error);
    fuzz_check_error(m, error);
    if (m) {
        machine_run(m, 100);
        machine_free(m);
    }
    session_free(s);
}

static void run(const uint8_t *data, size_t len)
{
    if (!is_text(data, len))
        return;
    char **argv = split(data, len);
    GError *error = NULL;
    struct cmdline *c = cmdline_parse((int)g_strv_length(argv), argv, &error);
    fuzz_check_error(c, error);
    if (c && !c->help && stays_inside(argv)) {
        char *folder = enter_folder();
        restrain(c);
        build(c);
        leave_folder(folder);
    }
    cmdline_free(c);
    g_strfreev(argv);
}

const struct fuzzer fuzzer_cmdline = {
    .name = "cmdline",
    .help = "arguments, one a line",
    .max_len = 512,
    .run = run,
};
