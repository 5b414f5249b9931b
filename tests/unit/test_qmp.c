// SPDX-License-Identifier: MIT
// QMP: a client at the other end of a socket pair, and a machine whose slices the test runs.
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "control/panel.h"
#include "control/qmp.h"
#include "tests/unit/vm_rig.h"
#include "translator/cpu.h"

static const uint32_t program[] = {
    0x00100293, // li t0, 1
    0x0000006f, // j .
};

struct client {
    struct vm_rig r;
    struct panel *p;
    int fd;
    GString *got; // not read by the test yet
    struct json *json;
};

static void open_with(struct client *c, const char *mode, const char *args)
{
    GError *error = NULL;
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    g_autofree char *all = g_strdup_printf(
        "-chardev socket,id=q,fd=%d -mon chardev=q,mode=control%s %s", fds[0], mode, args);
    vm_rig_open(&c->r, all, program, sizeof(program));
    c->fd = fds[1];
    c->got = g_string_new(NULL);
    c->p = panel_new(c->r.vm, c->r.c, &error);
    cr_assert(c->p, "%s", error ? error->message : "");
    c->json = json_open(NULL);
}

static void close_client(struct client *c)
{
    panel_free(c->p);
    vm_rig_close(&c->r);
    close(c->fd);
    g_string_free(c->got, TRUE);
    json_close(c->json);
}

// Lets the server read what was sent and send what it has to say.
static void turn(struct client *c)
{
    char buf[4096];

    for (int i = 0; i < 4; i++)
        poller_wait(c->r.s->poller, 0);
    for (ssize_t n; (n = read(c->fd, buf, sizeof(buf))) > 0;)
        g_string_append_len(c->got, buf, n);
}

static void send_bytes(struct client *c, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(c->fd, bytes, len);
        cr_assert(n > 0 || errno == EAGAIN);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
        turn(c);
    }
}

// The next line of the server's; the test fails if there is none.
static char *next_line(struct client *c)
{
    turn(c);
    char *end = strstr(c->got->str, "\r\n");
    cr_assert(end, "no line in '%s'", c->got->str);
    char *line = g_strndup(c->got->str, (gsize)(end - c->got->str));
    g_string_erase(c->got, 0, end + 2 - c->got->str);
    return line;
}

static void expect(struct client *c, const char *want)
{
    g_autofree char *line = next_line(c);
    cr_assert_str_eq(line, want);
}

static void expect_nothing(struct client *c)
{
    turn(c);
    cr_assert_str_eq(c->got->str, "");
}

// An event; its timestamp is a recent one.
static void expect_event(struct client *c, const char *want)
{
    g_autofree char *line = next_line(c);
    static const char head[] = "{\"timestamp\": {\"seconds\": ";
    const char *rest = strstr(line, "}, \"event\": ");

    cr_assert(g_str_has_prefix(line, head) && rest, "'%s' is no event", line);
    cr_assert_gt(g_ascii_strtoull(line + strlen(head), NULL, 10), 1700000000);
    cr_assert_str_eq(rest + strlen("}, "), want);
}

static void ask(struct client *c, const char *message)
{
    g_autofree char *line = g_strconcat(message, "\n", NULL);
    send_bytes(c, line, strlen(line));
}

static void ask_expect(struct client *c, const char *message, const char *want)
{
    ask(c, message);
    expect(c, want);
}

#define RETURNED "{\"return\": {}}"

static void open_client(struct client *c, const char *args)
{
    open_with(c, "", args);
    g_free(next_line(c));
    ask_expect(c, "{\"execute\": \"qmp_capabilities\"}", RETURNED);
}

static void expect_error(struct client *c, const char *message, const char *class, const char *text)
{
    g_autofree char *want =
        g_strdup_printf("{\"error\": {\"class\": \"%s\", \"desc\": \"%s\"}}", class, text);
    ask_expect(c, message, want);
}

static void generic(struct client *c, const char *message, const char *text)
{
    expect_error(c, message, "GenericError", text);
}

// --- The protocol ---

Test(qmp, greets_and_negotiates)
{
    struct client c;

    open_with(&c, "", "");
    expect(&c, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, "
               "\"package\": \"Ferry " FERRY_VERSION "\"}, \"capabilities\": []}}");
    expect_error(&c, "{\"execute\": \"query-status\"}", "CommandNotFound",
                 "Expecting capabilities negotiation with 'qmp_capabilities', not query-status");
    vm_powerdown(c.r.vm); // events come after negotiation only
    expect_nothing(&c);
    generic(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}",
            "there is no capability to enable");
    ask_expect(&c, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}",
               RETURNED);
    expect_error(&c, "{\"execute\": \"qmp_capabilities\"}", "CommandNotFound",
                 "Capabilities negotiation is already complete, command ignored");
    close_client(&c);
}

Test(qmp, ids_come_back)
{
    struct client c;

    open_client(&c, "");
    ask_expect(&c, "{\"execute\": \"stop\", \"id\": 7}", "{\"return\": {}, \"id\": 7}");
    ask_expect(&c, "{\"id\": null, \"execute\": \"stop\"}", "{\"return\": {}, \"id\": null}");
    ask_expect(&c, "{\"execute\": \"stop\", \"id\": {\"a\": [1.5, \"\\u00e9\", true]}}",
               "{\"return\": {}, \"id\": {\"a\": [1.5, \"\xc3\xa9\", true]}}");
    ask_expect(&c, "{\"execute\": \"nonsense\", \"id\": \"x\"}",
               "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nonsense has "
               "not been found\"}, \"id\": \"x\"}");
    close_client(&c);
}

Test(qmp, mistakes_are_named)
{
    struct client c;

    open_client(&c, "");
    generic(&c, "[]", "QMP input must be a JSON object");
    generic(&c, "{}", "QMP input lacks member 'execute'");
    generic(&c, "{\"execute\": 1}", "QMP input member 'execute' must be a string");
    generic(&c, "{\"execute\": \"stop\", \"arguments\": []}",
            "QMP input member 'arguments' must be a object");
    generic(&c, "{\"execute\": \"stop\", \"x\": 1}", "QMP input member 'x' is unexpected");
    generic(&c, "{\"exec-oob\": \"stop\"}", "QMP input member 'exec-oob' is unexpected");
    generic(&c, "nonsense {\"execute\": \"stop\"}", "JSON parse error, stray 'n'");
    generic(&c, "{\"execute\": \"stop\", \"arguments\": {\"a\": 1}}",
            "Parameter 'a' is unexpected");
    generic(&c, "{\"execute\": \"memsave\", \"arguments\": {\"val\": 1}}",
            "Parameter 'size' is missing");
    generic(&c, "{\"execute\": \"memsave\", \"arguments\": {\"val\": \"1\"}}",
            "Invalid parameter type for 'val', expected: integer");
    generic(&c, "{\"execute\": \"screendump\", \"arguments\": {\"filename\": \"x\"}}",
            "there is no screen: this machine has no display");
    close_client(&c);
}

Test(qmp, several_commands_in_one_piece_and_one_in_many)
{
    struct client c;
    static const char query[] = "{\"execute\":\n\"query-status\"}";
    static const char status[] =
        "{\"return\": {\"status\": \"prelaunch\", \"singlestep\": false, \"running\": false}}";

    open_client(&c, "-S");
    ask(&c, "{\"execute\": \"query-status\"}{\"execute\": \"query-status\"}");
    expect(&c, status);
    expect(&c, status);
    for (size_t i = 0; i < strlen(query); i++)
        send_bytes(&c, query + i, 1);
    expect(&c, status);
    close_client(&c);
}

Test(qmp, pretty_has_lines)
{
    struct client c;

    open_with(&c, ",pretty=on", "");
    expect(&c, "{\n    \"QMP\": {\n        \"version\": {\n            \"qemu\": {\n"
               "                \"micro\": 0,\n                \"minor\": 2,\n"
               "                \"major\": 7\n            },\n"
               "            \"package\": \"Ferry " FERRY_VERSION "\"\n        },\n"
               "        \"capabilities\": []\n    }\n}");
    close_client(&c);
}

// --- Running ---

Test(qmp, steers_the_machine)
{
    struct client c;

    open_client(&c, "-S");
    ask(&c, "{\"execute\": \"cont\"}");
    expect_event(&c, "\"event\": \"RESUME\"}");
    expect(&c, RETURNED);
    ask_expect(&c, "{\"execute\": \"query-status\"}",
               "{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}}");
    vm_rig_run(&c.r, 10);
    cr_assert_eq(c.r.m->cpus[0]->pc, VM_RIG_CODE + 4);
    ask(&c, "{\"execute\": \"stop\"}");
    expect_event(&c, "\"event\": \"STOP\"}");
    expect(&c, RETURNED);
    ask_expect(&c, "{\"execute\": \"query-status\"}",
               "{\"return\": {\"status\": \"paused\", \"singlestep\": false, \"running\": false}}");
    ask(&c, "{\"execute\": \"system_reset\"}");
    expect_event(&c, "\"event\": \"RESET\", \"data\": {\"guest\": false, "
                     "\"reason\": \"host-qmp-system-reset\"}}");
    expect(&c, RETURNED);
    cr_assert_neq(c.r.m->cpus[0]->pc, VM_RIG_CODE + 4);
    ask(&c, "{\"execute\": \"system_powerdown\"}");
    expect_event(&c, "\"event\": \"POWERDOWN\"}");
    expect(&c, RETURNED);
    ask(&c, "{\"execute\": \"quit\"}");
    expect_event(&c, "\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, "
                     "\"reason\": \"host-qmp-quit\"}}");
    expect(&c, RETURNED);
    cr_assert(c.r.vm->over && c.r.vm->status == 0);
    close_client(&c);
}

Test(qmp, actions_can_change)
{
    struct client c;

    open_client(&c, "");
    ask_expect(&c,
               "{\"execute\": \"set-action\", \"arguments\": {\"reboot\": \"shutdown\", "
               "\"shutdown\": \"pause\", \"panic\": \"none\"}}",
               RETURNED);
    cr_assert(c.r.m->no_reboot && c.r.vm->keep_off);
    generic(&c, "{\"execute\": \"set-action\", \"arguments\": {\"reboot\": \"x\"}}",
            "Parameter 'reboot' does not accept value 'x'");
    close_client(&c);
}

// --- Values ---

static GVariant *value_of(struct client *c, const char *command)
{
    g_autofree char *message = g_strdup_printf("{\"execute\": %s}", command);
    ask(c, message);
    g_autofree char *line = next_line(c);
    g_autoptr(GVariant) reply = json_parse(c->json, line, strlen(line), NULL);
    GVariant *value = g_variant_lookup_value(reply, "return", NULL);
    cr_assert(value, "%s: %s", command, line);
    return value;
}

static void value_is(struct client *c, const char *command, const char *want)
{
    g_autoptr(GVariant) value = value_of(c, command);
    g_autoptr(GString) text = g_string_new(NULL);

    json_print(value, false, text);
    cr_assert_str_eq(text->str, want);
}

Test(qmp, tells_about_the_machine)
{
    struct client c;

    open_client(&c, "-name guest=m1 -smp 2");
    value_is(&c, "\"query-name\"", "{\"name\": \"m1\"}");
    value_is(&c, "\"query-target\"", "{\"arch\": \"riscv64\"}");
    value_is(&c, "\"query-kvm\"", "{\"enabled\": false, \"present\": false}");
    value_is(&c, "\"query-memory-size-summary\"",
             "{\"base-memory\": 16777216, \"plugged-memory\": 0}");
    value_is(&c, "\"query-chardev\"",
             "[{\"frontend-open\": true, \"filename\": \"unix:\", \"label\": \"q\"}]");
    value_is(&c, "\"query-block\"", "[]");
    g_autoptr(GVariant) cpus = value_of(&c, "\"query-cpus-fast\"");
    cr_assert_eq(g_variant_n_children(cpus), 2);
    g_autoptr(GVariant) machines = value_of(&c, "\"query-machines\"");
    cr_assert_gt(g_variant_n_children(machines), 2);
    close_client(&c);
}

Test(qmp, every_command_has_its_schema)
{
    struct client c;
    GVariantIter iter;
    GVariant *entry;
    unsigned commands = 0;

    open_client(&c, "");
    g_autoptr(GVariant) schema = value_of(&c, "\"query-qmp-schema\"");
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_variant_iter_init(&iter, schema);
    while (g_variant_iter_loop(&iter, "v", &entry)) {
        const char *name, *kind;
        cr_assert(g_variant_lookup(entry, "name", "&s", &name));
        cr_assert(g_variant_lookup(entry, "meta-type", "&s", &kind));
        cr_assert(g_hash_table_add(names, g_strdup(name)), "%s is there twice", name);
        commands += strcmp(kind, "command") == 0;
    }
    g_variant_iter_init(&iter, schema);
    while (g_variant_iter_loop(&iter, "v", &entry)) {
        const char *type = NULL;
        g_variant_lookup(entry, "arg-type", "&s", &type);
        cr_assert(!type || g_hash_table_contains(names, type), "no type %s", type);
    }
    g_autoptr(GVariant) list = value_of(&c, "\"query-commands\"");
    cr_assert_eq(g_variant_n_children(list), commands + 1); // qmp_capabilities
    close_client(&c);
}

Test(qmp, ring_buffers)
{
    struct client c;

    open_client(&c, "-chardev ringbuf,id=ring,size=8");
    value_is(&c,
             "\"ringbuf-write\", \"arguments\": {\"device\": \"ring\", \"data\": \"0123456789\"}",
             "{}");
    value_is(&c, "\"ringbuf-read\", \"arguments\": {\"device\": \"ring\", \"size\": 3}", "\"234\"");
    value_is(&c,
             "\"ringbuf-read\", \"arguments\": {\"device\": \"ring\", \"size\": 3, "
             "\"format\": \"base64\"}",
             "\"NTY3\"");
    generic(&c, "{\"execute\": \"ringbuf-read\", \"arguments\": {\"device\": \"q\", \"size\": 1}}",
            "chardev q is no ringbuf");
    generic(&c, "{\"execute\": \"ringbuf-read\", \"arguments\": {\"device\": \"x\", \"size\": 1}}",
            "there is no -chardev with id=x");
    close_client(&c);
}

Test(qmp, human_monitor_command)
{
    struct client c;

    open_client(&c, "-S -smp 2");
    value_is(&c, "\"human-monitor-command\", \"arguments\": {\"command-line\": \"info status\"}",
             "\"VM status: paused (prelaunch)\\r\\n\"");
    value_is(&c,
             "\"human-monitor-command\", \"arguments\": {\"command-line\": \"print/x "
             "$mhartid\", \"cpu-index\": 1}",
             "\"0x1\\r\\n\"");
    value_is(&c, "\"human-monitor-command\", \"arguments\": {\"command-line\": \"p $mhartid\"}",
             "\"0\\r\\n\"");
    generic(&c,
            "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"x\", "
            "\"cpu-index\": 2}}",
            "Parameter 'cpu-index' expects a CPU number");
    close_client(&c);
}

// --- Memory ---

Test(qmp, memory_goes_into_files)
{
    struct client c;
    gsize len;

    open_client(&c, "");
    for (int physical = 0; physical < 2; physical++) {
        g_autofree char *bytes = NULL;
        g_autofree char *path = g_build_filename(g_get_tmp_dir(), "memsave-out", NULL);
        g_autofree char *command = g_strdup_printf(
            "\"%s\", \"arguments\": {\"val\": 2147483648, \"size\": 5, \"filename\": \"%s\"}",
            physical ? "pmemsave" : "memsave", path);
        value_is(&c, command, "{}");
        cr_assert(g_file_get_contents(path, &bytes, &len, NULL) && len == 5);
        cr_assert_arr_eq(bytes, program, 5);
        unlink(path);
    }
    generic(
        &c,
        "{\"execute\": \"pmemsave\", \"arguments\": {\"val\": 18446744073709551615, \"size\": 2, "
        "\"filename\": \"/dev/null\"}}",
        "Cannot access memory at physical address 0xffffffffffffffff");
    generic(&c,
            "{\"execute\": \"pmemsave\", \"arguments\": {\"val\": 268435456, \"size\": 1, "
            "\"filename\": \"/dev/null\"}}", // a UART
            "Cannot access memory at physical address 0x10000000");
    generic(&c,
            "{\"execute\": \"pmemsave\", \"arguments\": {\"val\": 2147483648, \"size\": 1, "
            "\"filename\": \"/nonexistent/x\"}}",
            "/nonexistent/x: No such file or directory");
    close_client(&c);
}

Test(qmp, core_files_have_memory_and_registers)
{
    struct client c;
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "core-out", NULL), *bytes = NULL;
    gsize len;

    open_client(&c, "");
    vm_cont(c.r.vm, NULL);
    g_free(next_line(&c));
    vm_rig_run(&c.r, 100);
    g_autofree char *command =
        g_strdup_printf("\"dump-guest-memory\", \"arguments\": {\"paging\": false, \"protocol\": "
                        "\"file:%s\", \"begin\": 2147483648, \"length\": 8192}",
                        path);
    value_is(&c, command, "{}");
    cr_assert(g_file_get_contents(path, &bytes, &len, NULL));
    unlink(path);
    const Elf64_Ehdr *h = (const void *)bytes;
    const Elf64_Phdr *note = (const void *)(bytes + h->e_phoff), *load = note + 1;
    cr_assert(h->e_type == ET_CORE && h->e_machine == EM_RISCV && h->e_phnum == 2);
    cr_assert(load->p_type == PT_LOAD && load->p_paddr == VM_RIG_CODE && load->p_filesz == 8192);
    cr_assert_eq(load->p_offset + load->p_filesz, len);
    cr_assert_arr_eq(bytes + load->p_offset, program, sizeof(program));
    cr_assert_eq(note->p_filesz, 12 + 8 + 376);
    const char *regs = bytes + note->p_offset + 12 + 8 + 112;
    cr_assert_eq(load_le(regs, 8), VM_RIG_CODE + 4); // pc
    cr_assert_eq(load_le(regs + 5 * 8, 8), 1);       // t0
    close_client(&c);
}

// --- Whatever comes, the machine goes on, and the server answers. ---

static const char *const seeds[] = {
    "{\"execute\": \"query-status\", \"id\": [1, null]}\n",
    "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"x/8xw "
    "0x80000000\"}}",
    "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"info qtree\"}}",
    "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"p ((1+2)*~3)\"}}",
    "{\"execute\": \"pmemsave\", \"arguments\": {\"val\": 1, \"size\": 10, \"filename\": \"f\"}}\n",
    "{\"execute\": \"query-qmp-schema\"}{\"execute\": \"cont\"}{\"execute\": \"stop\"}\n",
    "{\"execute\": \"system_reset\"}{\"execute\": \"ringbuf-read\", \"arguments\": {\"device\": "
    "\"ring\", "
    "\"size\": 99}}",
    "{\"execute\": \"set-action\", \"arguments\": {\"reboot\": \"shutdown\"}}{\"execute\": "
    "\"quit\"}",
};
static const char alphabet[] = "{}[]\",:\\u0e-.19 \n\ttrueflsnax/$%()*~\x01\x7f\x80\xff";

static void mutate(GRand *rand, GString *s)
{
    unsigned at = s->len ? (unsigned)g_rand_int_range(rand, 0, (gint32)s->len) : 0;
    char with = alphabet[g_rand_int_range(rand, 0, sizeof(alphabet))];

    if (g_rand_boolean(rand))
        g_string_insert_c(s, at, with);
    else if (s->len && g_rand_boolean(rand))
        s->str[at] = with;
    else if (s->len)
        g_string_erase(s, at, g_rand_int_range(rand, 1, (gint32)(s->len - at) + 1));
}

static void still_answers(struct client *c)
{
    c->r.vm->over = false;
    ask(c, "\n\"\n{\"execute\": \"query-name\", \"id\": \"alive\"}");
    cr_assert(strstr(c->got->str, "\"id\": \"alive\""), "...%s",
              c->got->str + (c->got->len > 500 ? c->got->len - 500 : 0));
    g_string_truncate(c->got, 0);
}

Test(qmp, random_bytes_do_no_harm)
{
    struct client c;
    GRand *rand = g_rand_new_with_seed(1);
    g_autofree char *dir = g_dir_make_tmp("ferry-qmp-XXXXXX", NULL);
    g_autofree char *clean = g_strdup_printf("rm -r '%s'", dir);

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    cr_assert_eq(chdir(dir), 0); // for files with names that come out
    open_client(&c, "-S -chardev ringbuf,id=ring");
    for (unsigned round = 0; round < 3000; round++) {
        GString *s = g_string_new(seeds[round % ARRAY_LEN(seeds)]);
        for (int n = g_rand_int_range(rand, 0, 5); n > 0; n--)
            mutate(rand, s);
        send_bytes(&c, s->str, s->len);
        c.r.vm->over = false;
        if (vm_is_running(c.r.vm))
            vm_rig_run(&c.r, 10);
        if (round % 50 == 49)
            still_answers(&c);
        g_string_free(s, TRUE);
    }
    still_answers(&c);
    close_client(&c);
    g_rand_free(rand);
    cr_assert(chdir("/") == 0 && system(clean) == 0);
}
