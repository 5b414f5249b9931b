// SPDX-License-Identifier: MIT
// What QMP's clients send: whole sessions with a machine that stands still, and JSON alone.
//
// Nothing of the host but an own folder may be reached, and there is to be one process: inputs that could name other
// files, or fork, are left out, as are those with escapes that could hide that.
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/choose.h"
#include "control/json.h"
#include "control/panel.h"
#include "tests/fuzzers/fuzzer.h"

static bool stays_inside(const uint8_t *data, size_t len)
{
    static const char *const outside[] = {"/", "..", "\\u", "clone"};
    g_autofree char *text = g_malloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) { // NULs hide nothing
        if (data[i])
            text[n++] = (char)data[i];
    }
    text[n] = '\0';
    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        if (strstr(text, outside[i]))
            return false;
    }
    return true;
}

// --- A session ---

struct session_with_panel {
    struct cmdline *c;
    struct session *s;
    struct machine *m;
    struct vm *vm;
    struct panel *p;
    int fd; // the client's
};

static void open_all(struct session_with_panel *x)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        g_error("no sockets: %s", g_strerror(errno));
    x->fd = fds[1];
    g_autofree char *line =
        g_strdup_printf("ferry -M virt -m 1 -S -display none -bios none -chardev ringbuf,id=r "
                        "-chardev socket,id=q,fd=%d -mon chardev=q,mode=control",
                        fds[0]);
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    x->c = cmdline_parse((int)g_strv_length(argv), argv, NULL);
    x->c->code_cache_size = 1 << 20;
    x->s = session_new(x->c, NULL);
    x->m = machine_new(&x->s->cfg, NULL);
    x->vm = vm_new(x->m, x->s);
    x->p = panel_new(x->vm, x->c, NULL);
    assert(x->p);
}

static void close_all(struct session_with_panel *x)
{
    panel_free(x->p);
    vm_free(x->vm);
    machine_free(x->m);
    session_free(x->s);
    cmdline_free(x->c);
    close(x->fd);
}

// Rounds in which the server reads and answers. What it says is text.
static void turn(struct session_with_panel *x)
{
    char buf[4096];

    for (int i = 0; i < 3; i++)
        poller_wait(x->s->poller, 0);
    if (vm_is_running(x->vm) && !x->vm->over)
        vm_run(x->vm, machine_icount(x->m) + 10);
    while (read(x->fd, buf, sizeof(buf)) > 0)
        continue;
}

static void run_qmp(const uint8_t *data, size_t len)
{
    static const char hello[] = "{\"execute\": \"qmp_capabilities\"}\n";
    struct session_with_panel x;

    if (!stays_inside(data, len))
        return;
    char *folder = fuzz_folder_new();
    if (chdir(folder) != 0)
        g_error("%s: can't be entered", folder);
    open_all(&x);
    turn(&x);
    bool sent = write(x.fd, hello, strlen(hello)) > 0 && (!len || write(x.fd, data, len) > 0);
    assert(sent);
    turn(&x);
    close_all(&x);
    if (chdir("/") != 0)
        g_error("no root");
    fuzz_folder_remove(folder);
}

const struct fuzzer fuzzer_qmp = {
    .name = "qmp",
    .help = "what a client sends after negotiation",
    .max_len = 1024,
    .run = run_qmp,
};

// --- JSON ---

// What is let through and can be read is printed as something that reads as the same.
static void check_text(const struct json *j, const GString *text)
{
    GError *error = NULL;
    g_autoptr(GVariant) value = json_parse(j, text->str, text->len, &error);
    g_autoptr(GString) once = g_string_new(NULL), twice = g_string_new(NULL);

    fuzz_check_error(value, error);
    if (!value)
        return;
    json_print(value, false, once);
    g_autoptr(GVariant) again = json_parse(j, once->str, once->len, NULL);
    assert(again);
    json_print(again, false, twice);
    assert(g_string_equal(once, twice));
}

static void run_json(const uint8_t *data, size_t len)
{
    struct json *j = json_open(NULL);
    struct json_framer f;

    assert(j);
    json_framer_init(&f);
    for (size_t i = 0; i < len; i++) {
        if (json_framer_feed(&f, data[i]) == JSON_WHOLE)
            check_text(j, f.text);
    }
    json_framer_clear(&f);
    json_close(j);
}

const struct fuzzer fuzzer_json = {
    .name = "json",
    .help = "a stream of JSON texts",
    .max_len = 1024,
    .run = run_json,
};
