// SPDX-License-Identifier: MIT
// The monitor: what each command prints, expressions, mistakes, the line editor, Ctrl-A c on a shared console.
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/monitor.h"
#include "tests/unit/vm_rig.h"
#include "translator/cpu.h"

static const uint32_t program[] = {
    0x00100293, // li t0, 1
    0x0000006f, // j .
};

struct desk {
    struct vm_rig r;
    struct panel *p;
    int fd; // of the terminal's other end, or -1
};

static void open_desk(struct desk *d, const char *args)
{
    GError *error = NULL;

    vm_rig_open(&d->r, args, program, sizeof(program));
    d->p = panel_new(d->r.vm, d->r.c, &error);
    cr_assert(d->p, "%s", error ? error->message : "");
    d->fd = -1;
}

// `args` say what is made of the -chardev "t".
static void open_terminal(struct desk *d, const char *chardev_args, const char *args)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    g_autofree char *all =
        g_strdup_printf("-chardev socket,id=t,fd=%d%s %s", fds[0], chardev_args, args);
    open_desk(d, all);
    d->fd = fds[1];
}

static void close_desk(struct desk *d)
{
    panel_free(d->p);
    vm_rig_close(&d->r);
    if (d->fd >= 0)
        close(d->fd);
}

static char *output(struct desk *d, const char *line, bool *ok)
{
    GString *out = g_string_new(NULL);

    *ok = monitor_execute(d->r.vm, line, out);
    return g_string_free(out, FALSE);
}

static void prints(struct desk *d, const char *line, const char *want)
{
    bool ok;
    g_autofree char *have = output(d, line, &ok);

    cr_assert_str_eq(have, want, "'%s' prints\n%s", line, have);
    cr_assert(ok, "'%s' failed", line);
}

static void shows(struct desk *d, const char *line, const char *part)
{
    bool ok;
    g_autofree char *have = output(d, line, &ok);

    cr_assert(ok && strstr(have, part), "'%s' prints\n%s", line, have);
}

static void fails(struct desk *d, const char *line, const char *want)
{
    bool ok;
    g_autofree char *have = output(d, line, &ok);

    cr_assert_str_eq(have, want, "'%s' prints\n%s", line, have);
    cr_assert(!ok, "'%s' did not fail", line);
}

Test(monitor, expressions)
{
    struct desk d;

    open_desk(&d, "");
    prints(&d, "print 1+2*0x10", "0x21\n");
    prints(&d, "p/d (1 + 2) * 3 - -4", "13\n");
    prints(&d, "p/x ~0", "0xffffffffffffffff\n");
    prints(&d, "p/u -1", "18446744073709551615\n");
    prints(&d, "p/d -1", "-1\n");
    prints(&d, "p/o 8", "010\n");
    prints(&d, "p/c 0x41", "'A'\n");
    prints(&d, "p/x 'A' | 0x80 ^ 3 & 0xf0", "0xc0\n"); // from left to right, as QEMU has it
    prints(&d, "p 7/2 + 7%4", "0x6\n");
    prints(&d, "p/x $pc", "0x1000\n");
    prints(&d, "p $zero+$misa-$misa", "0\n");
    fails(&d, "p", "Error: unexpected end of expression\n");
    fails(&d, "p 1/0", "Error: division by zero\n");
    fails(&d, "p (1", "Error: ')' expected\n");
    fails(&d, "p 1 2", "Error: unexpected '2' in expression\n");
    fails(&d, "p 12ab", "Error: bad number '12ab'\n");
    fails(&d, "p $nonsense", "Error: unknown register '$nonsense'\n");
    fails(&d, "p/s 1", "Error: invalid char in format: 's'\n");
    g_autofree char *deep = g_strnfill(5000, '(');
    g_autofree char *line = g_strconcat("p ", deep, NULL);
    fails(&d, line, "Error: expression is too deep\n");
    close_desk(&d);
}

Test(monitor, memory)
{
    struct desk d;

    open_desk(&d, "");
    prints(&d, "xp/3xw 0x80000000", "0000000080000000: 0x00100293 0x0000006f 0x00000000\n");
    prints(&d, "x /1xg 0x80000000", "0000000080000000: 0x0000006f00100293\n");
    prints(&d, "x/5xw 0x80000000",
           "0000000080000000: 0x00100293 0x0000006f 0x00000000 0x00000000\n"
           "0000000080000010: 0x00000000\n");
    prints(&d, "x/2i 0x80000000",
           "0x0000000080000000:  00100293          li      t0,1\n"
           "0x0000000080000004:  0000006f          j       0x80000004\n");
    prints(&d, "x/2db 0x80000000", "0000000080000000: -109   2\n");
    prints(&d, "x/2ub 0x80000000", "0000000080000000: 147   2\n");
    prints(&d, "x/4c 0x80000002", "0000000080000002: '\\x10' '\\x00' 'o' '\\x00'\n");
    prints(&d, "x/0xw 0", "");
    fails(&d, "x/2xw 0x80fffffc",
          "0000000080fffffc: 0x00000000\nError: Cannot access memory at address 0x81000000\n");
    fails(&d, "xp 0x10000000", "Error: Cannot access memory at physical address 0x10000000\n");
    fails(&d, "x/99999999xw 0", "Error: '/99999999xw': no more than 65536 items at a time\n");
    prints(&d, "gva2gpa 0x80000123", "gpa: 0x80000123\n");
    close_desk(&d);
}

// Sv39: a table that maps 0x40000000 to 0x80000000 by one large page, and the same in place for the code.
static const uint32_t paging[] = {
    0xfff00293, // li t0, -1
    0x3b029073, // csrw pmpaddr0, t0     all memory is S mode's, too
    0x01f00293, // li t0, 31
    0x3a029073, // csrw pmpcfg0, t0
    0x000802b7, // lui t0, 0x80          the table is at 0x80100000
    0x1002829b, // addiw t0, t0, 0x100
    0x00100313, // li t1, 1
    0x03f31313, // slli t1, t1, 63       Sv39
    0x0062e2b3, // or t0, t0, t1
    0x18029073, // csrw satp, t0
    0x00000397, // auipc t2, 0
    0x01c38393, // addi t2, t2, 28
    0x34139073, // csrw mepc, t2
    0x000012b7, // lui t0, 1
    0x8002829b, // addiw t0, t0, -2048   MPP = S
    0x3002a073, // csrs mstatus, t0
    0x30200073, // mret
    0x0000006f, // j .
};

Test(monitor, virtual_addresses)
{
    static const uint64_t leaf = (UINT64_C(0x80000000) >> 2) | 0xcf; // V R W X A D
    struct desk d;

    vm_rig_open(&d.r, "", paging, sizeof(paging));
    d.p = panel_new(d.r.vm, d.r.c, NULL);
    d.fd = -1;
    vm_cont(d.r.vm, NULL);
    for (unsigned slot = 1; slot < 3; slot++)
        cr_assert_eq(mem_write(d.r.m->mem, 0x80100000 + 8 * slot, 8, leaf), MEM_OK);
    fails(&d, "x 0x40000000", "Error: Cannot access memory at address 0x40000000\n"); // M mode
    vm_rig_run(&d.r, 100);
    shows(&d, "info registers", " mode     S\n");
    prints(&d, "x 0x40000000", "0000000040000000: 0xfff00293\n");
    prints(&d, "gva2gpa 0x40000010", "gpa: 0x80000010\n");
    fails(&d, "xp 0x40000000", "Error: Cannot access memory at physical address 0x40000000\n");
    fails(&d, "x 0xc0000000", "Error: Cannot access memory at address 0xc0000000\n");
    fails(&d, "gva2gpa 0", "Error: Unmapped\n");
    close_desk(&d);
}

// Two machines in step, one of which is looked at all the time.
Test(monitor, looking_changes_nothing)
{
    static const char *const looks[] = {
        "x/64xw $pc",   "x/8i $pc",    "xp/16xg 0x80000000", "info registers -a",
        "info qtree",   "gva2gpa $sp", "p $mstatus",         "x/4xw 0x40000000",
        "info mtree",   "info icount", "info cpus",          "p $time+$cycle",
        "x 0x10000000", "info jit",    "info chardev",       "gva2gpa 0x40000000"};
    struct desk d[2];

    for (unsigned i = 0; i < 2; i++) {
        vm_rig_open(&d[i].r, "-smp 2 -rtc base=2024-01-01", paging, sizeof(paging));
        d[i].p = panel_new(d[i].r.vm, d[i].r.c, NULL);
        d[i].fd = -1;
        vm_cont(d[i].r.vm, NULL);
    }
    for (unsigned step = 0; step < 40; step++) {
        for (unsigned i = 0; i < ARRAY_LEN(looks); i++) {
            bool ok;
            g_free(output(&d[1], looks[i], &ok));
        }
        vm_rig_run(&d[0].r, 3);
        vm_rig_run(&d[1].r, 3);
        cr_assert_eq(machine_hash(d[0].r.m), machine_hash(d[1].r.m), "step %u", step);
    }
    close_desk(&d[0]);
    close_desk(&d[1]);
}

Test(monitor, running)
{
    struct desk d;

    open_desk(&d, "-S -smp 2");
    prints(&d, "info status", "VM status: paused (prelaunch)\n");
    prints(&d, "c", "");
    prints(&d, "info status", "VM status: running\n");
    vm_rig_run(&d.r, 100);
    shows(&d, "info icount", "instructions: 100\n");
    prints(&d, "  stop  ", "");
    prints(&d, "info status", "VM status: paused\n");
    shows(&d, "info registers", " pc       0000000080000004\n");
    shows(&d, "info registers", "x5/t0    0000000000000001");
    shows(&d, "info registers -a", "CPU#1\n");
    shows(&d, "info registers 1", "CPU#1\n");
    fails(&d, "info registers 2", "Error: CPU#2 not available\n");
    prints(&d, "cpu 1", "");
    prints(&d, "p $mhartid", "0x1\n");
    shows(&d, "info cpus", "* CPU #1: pc=0x");
    fails(&d, "cpu 2", "Error: there are CPUs 0 to 1\n");
    prints(&d, "system_reset", "");
    prints(&d, "p $pc", "0x1000\n");
    prints(&d, "system_powerdown", "");
    prints(&d, "q", "");
    cr_assert(d.r.vm->over && d.r.vm->status == 0);
    close_desk(&d);
}

Test(monitor, devices_and_back_ends)
{
    struct desk d;

    open_desk(&d, "-name m1 -chardev ringbuf,id=ring -device virtio-rng-device");
    prints(&d, "info name", "m1\n");
    prints(&d, "info version", "Ferry " FERRY_VERSION "\n");
    prints(&d, "info chardev", "ring: filename=ringbuf\n");
    shows(&d, "info mtree", "    0000000080000000-0000000080ffffff (prio 0, ram): ram\n");
    shows(&d, "info qtree",
          "    bus: virtio-mmio-bus.7\n      type virtio-bus\n"
          "      dev: virtio-rng-device, id \"virtio-rng-device\"\n");
    shows(&d, "info jit", "units translated");
    prints(&d, "ringbuf_write ring \"hello there\"", "");
    prints(&d, "ringbuf_read ring 5", "hello\n");
    prints(&d, "ringbuf_read ring 99", " there\n");
    prints(&d, "ringbuf_read ring 99", "\n");
    fails(&d, "ringbuf_read x 1", "Error: there is no -chardev ringbuf with id=x\n");
    fails(&d, "hostfwd_add tcp::1-:1", "Error: this machine has no network\n");
    fails(&d, "sendkey a", "Error: there is no keyboard: this machine has no display\n");
    fails(&d, "screendump /x", "Error: there is no screen: this machine has no display\n");
    close_desk(&d);
}

Test(monitor, networks)
{
    struct desk d;

    open_desk(&d, "-netdev user,id=n -device virtio-net-device,netdev=n");
    prints(&d, "hostfwd_add n tcp:127.0.0.1:0-:22", "");
    shows(&d, "info usernet", "TCP[HOST_FORWARD]");
    shows(&d, "info network", "n: index=0,type=user\n");
    fails(&d, "hostfwd_add x tcp::1-:1", "Error: there is no -netdev with id=x\n");
    close_desk(&d);
}

Test(monitor, files)
{
    struct desk d;
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "monitor-out", NULL), *bytes = NULL;
    gsize len;

    open_desk(&d, "");
    g_autofree char *memsave = g_strdup_printf("memsave 0x80000000 0x2*4 '%s'", path);
    prints(&d, memsave, "");
    cr_assert(g_file_get_contents(path, &bytes, &len, NULL) && len == 8);
    cr_assert_arr_eq(bytes, program, 8);
    g_autofree char *dump = g_strdup_printf("dump-guest-memory %s", path);
    prints(&d, dump, "");
    g_autofree char *tree = g_strdup_printf("dumpdtb %s", path);
    prints(&d, tree, "");
    g_autofree char *log = g_strdup_printf("logfile %s", path);
    prints(&d, log, "");
    prints(&d, "log int,guest_errors", "");
    prints(&d, "log none", "");
    fails(&d, "dump-guest-memory x 1", "Error: BEGIN needs a LENGTH\n");
    fails(&d, "dumpdtb /nonexistent/x", "Error: /nonexistent/x: No such file or directory\n");
    close_desk(&d);
    unlink(path);
}

Test(monitor, mistakes_and_help)
{
    struct desk d;

    open_desk(&d, "");
    prints(&d, "", "");
    prints(&d, "# nothing", "");
    fails(&d, "nonsense", "unknown command: 'nonsense'\n");
    fails(&d, "info nonsense", "unknown command: 'info nonsense'\n");
    fails(&d, "stop now", "stop: expected 'stop'\n");
    fails(&d, "cpu", "cpu: expected 'cpu INDEX'\n");
    fails(&d, "logfile \"a", "Error: the quotes do not match: \"a\n");
    shows(&d, "help", "\ncont|c -- lets the machine go on\n");
    prints(&d, "help c", "cont|c -- lets the machine go on\n");
    prints(&d, "help info status", "info status -- whether the machine runs\n");
    shows(&d, "help log", "guest_errors ");
    shows(&d, "info", "info registers [-a|INDEX] -- ");
    fails(&d, "help nonsense", "unknown command: 'nonsense'\n");
    close_desk(&d);
}

Test(monitor, random_lines_do_no_harm)
{
    static const char *const seeds[] = {
        "x/8xw $pc",         "info qtree", "p (1+2)*~3 & $a0", "info registers -a",
        "xp /4i 0x80000000", "cpu 0",      "gva2gpa $sp+8",    "help info"};
    static const char alphabet[] = "/$()+-*%&|^~'\"\\ 019xiduocbhwgaflsp\x01\x7f\xff";
    GRand *rand = g_rand_new_with_seed(1);
    struct desk d;

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    open_desk(&d, "-S");
    for (unsigned round = 0; round < 20000; round++) {
        GString *line = g_string_new(seeds[round % ARRAY_LEN(seeds)]);
        for (int n = g_rand_int_range(rand, 0, 5); n > 0; n--) {
            gssize at = g_rand_int_range(rand, 0, (gint32)line->len + 1);
            g_string_insert_c(line, at, alphabet[g_rand_int_range(rand, 0, sizeof(alphabet) - 1)]);
        }
        bool ok;
        g_free(output(&d, line->str, &ok));
        g_string_free(line, TRUE);
    }
    prints(&d, "info status", "VM status: paused (prelaunch)\n");
    close_desk(&d);
    g_rand_free(rand);
}

// --- Terminals ---

// What the terminal shows after these keys.
static char *type(struct desk *d, const char *keys)
{
    GString *shown = g_string_new(NULL);
    char buf[4096];

    cr_assert_eq(write(d->fd, keys, strlen(keys)), (ssize_t)strlen(keys));
    for (int i = 0; i < 4; i++)
        poller_wait(d->r.s->poller, 0);
    for (ssize_t n; (n = read(d->fd, buf, sizeof(buf))) > 0;)
        g_string_append_len(shown, buf, n);
    return g_string_free(shown, FALSE);
}

static void typed(struct desk *d, const char *keys, const char *want)
{
    g_autofree char *have = type(d, keys);
    g_autofree char *clear = g_strescape(have, NULL);

    cr_assert_str_eq(have, want, "\"%s\"", clear);
}

#define BANNER "Ferry " FERRY_VERSION " monitor - type 'help' for more information\r\n"

Test(monitor, terminal_has_a_prompt_and_echoes)
{
    struct desk d;

    open_terminal(&d, "", "-S -mon t");
    typed(&d, "", BANNER "(qemu) ");
    typed(&d, "info status\n", "info status\r\nVM status: paused (prelaunch)\r\n(qemu) ");
    typed(&d, "p 1\rp 2\r\np 3\n",
          "p 1\r\n0x1\r\n(qemu) p 2\r\n0x2\r\n(qemu) p 3\r\n0x3\r\n(qemu) ");
    typed(&d, "q\n", "q\r\n");
    close_desk(&d);
}

// The command is what counts: it is executed, and tells.
static void edited(struct desk *d, const char *keys, const char *result)
{
    g_autofree char *shown = type(d, keys);
    g_autofree char *want = g_strconcat("\r\n", result, "\r\n(qemu) ", NULL);

    cr_assert(g_str_has_suffix(shown, want), "'%s' shows '%s'", keys, shown);
}

Test(monitor, terminal_edits)
{
    struct desk d;

    open_terminal(&d, "", "-S -mon t");
    edited(&d, "p 19\b2\n", "0xc");
    edited(&d,
           "p 19\x7f"
           "2\n",
           "0xc");
    edited(&d, "1\x01p \n", "0x1");                    // Ctrl-A
    edited(&d, "1\x1b[Hp \x1b[F0\n", "0xa");           // Home, End
    edited(&d, "p 23\x1b[D1\n", "0xd5");               // left
    edited(&d, "p 23\x02\x02\x04\n", "0x3");           // Ctrl-B, Ctrl-D
    edited(&d, "p 23\x1b[D\x1b[D\x1b[C\x0b\n", "0x2"); // Ctrl-K
    edited(&d, "nonsense\x15p 5\n", "0x5");            // Ctrl-U
    edited(&d,
           "p nonsense\x17"
           "6\n",
           "0x6");                 // Ctrl-W
    edited(&d, "\x1b[A\n", "0x6"); // up
    edited(&d, "\x1b[A\x1b[A\n", "0x5");
    edited(&d, "p 9\x10\x0ep 8\n", "0x8"); // up, down: an empty line again
    edited(&d, "\x1b[5~p 7\n", "0x7");     // an unknown key
    close_desk(&d);
}

Test(monitor, console_and_monitor_share_a_terminal)
{
    struct desk d;

    open_terminal(&d, ",mux=on",
                  "-S -device virtio-serial-device -device virtconsole,chardev=t -mon t");
    typed(&d, "", ""); // the console has the keyboard
    typed(&d,
          "\x01"
          "c",
          "\r\n" BANNER "(qemu) ");
    typed(&d, "p 1\n", "p 1\r\n0x1\r\n(qemu) ");
    typed(&d,
          "\x01"
          "c",
          "");
    typed(&d, "p 2\n", "");
    typed(&d,
          "\x01"
          "c",
          "\r\n(qemu) ");
    typed(&d, "p 3\n", "p 3\r\n0x3\r\n(qemu) ");
    close_desk(&d);
}
