// SPDX-License-Identifier: MIT
// Character back ends: every kind against real descriptors, the multiplexer's commands, both syntaxes, errors.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "backend/chardev_open.h"

// A front end that keeps what it gets.
struct sink {
    GString *got;
    size_t room; // bytes it takes at a time
    int opened, closed, breaks;
};

static size_t sink_room(void *opaque)
{
    return ((struct sink *)opaque)->room;
}

static void sink_receive(void *opaque, const uint8_t *data, size_t len)
{
    struct sink *s = opaque;
    cr_assert_leq(len, s->room);
    g_string_append_len(s->got, (const char *)data, (gssize)len);
}

static void sink_event(void *opaque, bool opened)
{
    struct sink *s = opaque;
    opened ? s->opened++ : s->closed++;
}

static void sink_break(void *opaque)
{
    ((struct sink *)opaque)->breaks++;
}

static void sink_init(struct sink *s)
{
    *s = (struct sink){.got = g_string_new(NULL), .room = 1000};
}

static bool sink_try_attach(struct sink *s, struct chardev *chr, struct door *door, GError **error)
{
    struct chardev_front front = {
        .can_receive = sink_room,
        .receive = sink_receive,
        .event = sink_event,
        .send_break = sink_break,
        .opaque = s,
        .door = door,
        .name = "sink",
    };
    return chardev_attach(chr, &front, error);
}

static void sink_attach(struct sink *s, struct chardev *chr, struct door *door)
{
    GError *error = NULL;
    sink_init(s);
    cr_assert(sink_try_attach(s, chr, door, &error), "%s", error ? error->message : "");
}

static struct poller *p;
static char *dir; // a folder of the test's own

static void setup(void)
{
    GError *error = NULL;
    signal(SIGPIPE, SIG_IGN);
    p = poller_new();
    dir = g_dir_make_tmp("ferry-chardev-XXXXXX", &error);
    cr_assert_not_null(dir);
}

static void teardown(void)
{
    char *command = g_strdup_printf("rm -r '%s'", dir);
    poller_free(p);
    cr_assert_eq(system(command), 0);
    g_free(command);
    g_free(dir);
}

TestSuite(chardev, .init = setup, .fini = teardown, .timeout = 30);

static struct chardev *open_opts(const char *text)
{
    GError *error = NULL;
    struct chardev *chr = chardev_open(options_parse("-chardev", text, "backend"), p, &error);
    cr_assert_not_null(chr, "%s: %s", text, error ? error->message : "");
    return chr;
}

static void expect_refused(const char *text, const char *part)
{
    GError *error = NULL;
    struct chardev *chr = chardev_open(options_parse("-chardev", text, "backend"), p, &error);
    cr_assert_null(chr, "%s was accepted", text);
    cr_assert_not_null(strstr(error->message, part), "%s: %s", text, error->message);
    cr_assert_null(strchr(error->message, '\n'));
    g_error_free(error);
}

static struct chardev *open_short(const char *spec, const char *label)
{
    struct chardev_short s;
    GError *error = NULL;
    cr_assert(chardev_open_short(spec, label, p, &s, &error), "%s: %s", spec,
              error ? error->message : "");
    cr_assert_null(s.existing);
    cr_assert_not(s.none);
    return s.chr;
}

static void write_text(struct chardev *chr, const char *text)
{
    chardev_write(chr, (const uint8_t *)text, strlen(text));
}

// Runs rounds until the front end has this much, or too many rounds have passed.
static void run_until(struct sink *s, size_t len)
{
    for (int i = 0; i < 500 && s->got->len < len; i++)
        poller_wait(p, 10);
    cr_assert_geq(s->got->len, len, "got only '%s'", s->got->str);
}

static void expect_read(int fd, const char *text)
{
    char buf[256] = {0};
    size_t want = strlen(text), got = 0;
    for (int i = 0; i < 500 && got < want; i++) {
        poller_wait(p, 0);
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (poll(&pfd, 1, 10) > 0) {
            ssize_t n = read(fd, buf + got, want - got);
            cr_assert_gt(n, 0);
            got += (size_t)n;
        }
    }
    cr_assert_str_eq(buf, text);
}

static void send_text(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

// --- Options ---

Test(options, reads_all_kinds_of_values)
{
    struct options *o = options_parse(
        "-x", "kind,path=a,,b=c,n=0x10,size=64k,server,nowait,flag=off,rule=1,rule=2", "backend");
    cr_assert_str_eq(options_str(o, "backend"), "kind");
    cr_assert_str_eq(options_str(o, "path"), "a,b=c");
    cr_assert_eq(options_u64(o, "n", 0, 100), 16);
    cr_assert_eq(options_size(o, "size", 0), 65536);
    cr_assert(options_bool(o, "server", false));
    cr_assert_not(options_bool(o, "wait", true));
    cr_assert_not(options_bool(o, "flag", true));
    cr_assert(options_bool(o, "absent", true));
    const char **rules = options_list(o, "rule");
    cr_assert_str_eq(rules[0], "1");
    cr_assert_str_eq(rules[1], "2");
    cr_assert_null(rules[2]);
    g_free(rules);
    cr_assert(options_done(o, NULL));
    options_free(o);
}

Test(options, reports_the_first_mistake)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a=1,zz=2", "-x: unknown option 'zz'"},
        {"num=12x", "-x: num: '12x' is not a number from 0 to 100"},
        {"num=101", "-x: num: '101' is not a number from 0 to 100"},
        {"num=-1", "-x: num: '-1' is not a number from 0 to 100"},
        {"num", "-x: num: needs a value (num=...)"},
        {"flag=maybe", "-x: flag: 'maybe' is neither on nor off"},
        {"noflag=on", "-x: noflag: takes no value (flag=on or off)"},
        {"size=1X", "-x: size: '1X' is not a size (such as 64k, 16M or 1G)"},
        {"size=99999999999G", "-x: size: '99999999999G' is not a size (such as 64k, 16M or 1G)"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        GError *error = NULL;
        struct options *o = options_parse("-x", cases[i].text, NULL);
        options_str(o, "a");
        options_u64(o, "num", 0, 100);
        options_bool(o, "flag", false);
        options_size(o, "size", 0);
        cr_assert_not(options_done(o, &error));
        cr_assert_str_eq(error->message, cases[i].message);
        g_error_free(error);
        options_free(o);
    }
}

Test(options, the_last_one_counts)
{
    struct options *o = options_parse("-x", "wait,nowait,a=1,a=2,noecho,echo=on", NULL);
    cr_assert_not(options_bool(o, "wait", true));
    cr_assert_str_eq(options_str(o, "a"), "2");
    cr_assert(options_bool(o, "echo", false));
    options_set(o, "a", "3");
    cr_assert_str_eq(options_str(o, "a"), "3");
    cr_assert(options_done(o, NULL));
    options_free(o);
}

// --- Poller ---

static void count_up(void *opaque, short revents)
{
    char c;
    cr_assert(revents & POLLIN);
    cr_assert_eq(read(((int *)opaque)[0], &c, 1), 1);
    ((int *)opaque)[1]++;
}

Test(chardev, poller_runs_handlers_and_wakes)
{
    int fds[2], state[2] = {0};
    cr_assert_eq(pipe(fds), 0);
    state[0] = fds[0];
    struct poll_watch *w = poller_watch(p, fds[0], count_up, state);
    send_text(fds[1], "ab");
    cr_assert_not(poller_wait(p, 0)); // no events were asked for
    poll_watch_events(w, POLLIN);
    cr_assert(poller_wait(p, -1));
    cr_assert_eq(state[1], 1);
    poller_wake(p);
    poller_wake(p);
    cr_assert(poller_wait(p, -1));
    cr_assert_eq(state[1], 2);
    cr_assert_not(poller_wait(p, 0));
    poll_unwatch(w);
    poller_wake(p);
    cr_assert_not(poller_wait(p, -1)); // returns at once
    close(fds[0]);
    close(fds[1]);
}

// --- Kinds ---

Test(chardev, null_swallows)
{
    struct chardev *chr = open_short("null", "serial0");
    struct sink s;
    sink_attach(&s, chr, NULL);
    write_text(chr, "into the void");
    write_text(NULL, "and without a chardev, too");
    poller_wait(p, 0);
    cr_assert_eq(s.got->len, 0);
    cr_assert_eq(s.opened, 1);
    cr_assert_str_eq(chardev_describe(chr), "null");
    cr_assert_str_eq(chardev_id(chr), "serial0");
    chardev_close(chr);
}

Test(chardev, none_and_existing_open_nothing)
{
    struct chardev_short s;
    cr_assert(chardev_open_short("none", "serial0", p, &s, NULL));
    cr_assert(s.none && !s.chr && !s.existing);
    cr_assert(chardev_open_short("chardev:c0", "serial0", p, &s, NULL));
    cr_assert(!s.none && !s.chr);
    cr_assert_str_eq(s.existing, "c0");
    g_free(s.existing);
}

Test(chardev, ringbuf_keeps_the_last_bytes)
{
    struct chardev *chr = open_opts("ringbuf,id=r,size=8");
    GByteArray *out = g_byte_array_new();
    write_text(chr, "0123456789");
    write_text(chr, "ab");
    cr_assert(chardev_ring_read(chr, 3, out));
    cr_assert_eq(out->len, 3);
    cr_assert_eq(memcmp(out->data, "456", 3), 0);
    cr_assert(chardev_ring_write(chr, (const uint8_t *)"Z", 1));
    cr_assert(chardev_ring_read(chr, 100, out));
    cr_assert_eq(out->len, 9);
    cr_assert_eq(memcmp(out->data, "456789abZ", 9), 0);
    g_byte_array_free(out, TRUE);
    chardev_close(chr);
    chr = open_opts("null,id=n");
    cr_assert_not(chardev_ring_read(chr, 1, NULL));
    chardev_close(chr);
}

Test(chardev, file_truncates_or_appends)
{
    char *path = g_build_filename(dir, "a,b", NULL);
    char *quoted = g_build_filename(dir, "a,,b", NULL);
    char *spec = g_strconcat("file:", path, NULL);
    char *appending = g_strdup_printf("file,id=f,path=%s,append=on", quoted);
    char *text;
    struct chardev *chr = open_short(spec, "serial0");
    write_text(chr, "old");
    chardev_close(chr);
    chr = open_short(spec, "serial0");
    write_text(chr, "new");
    chardev_close(chr);
    chr = open_opts(appending);
    write_text(chr, "er");
    poller_wait(p, 0);
    cr_assert(g_file_get_contents(path, &text, NULL, NULL));
    cr_assert_str_eq(text, "newer");
    chardev_close(chr);
    g_free(text);
    g_free(appending);
    g_free(spec);
    g_free(quoted);
    g_free(path);
}

Test(chardev, file_reads_from_another_and_logs)
{
    char *in = g_build_filename(dir, "in", NULL);
    char *log = g_build_filename(dir, "log", NULL);
    char *opts = g_strdup_printf("file,id=f,path=/dev/null,input-path=%s,logfile=%s", in, log);
    char *text;
    struct sink s;
    cr_assert(g_file_set_contents(in, "from a file", -1, NULL));
    struct chardev *chr = open_opts(opts);
    sink_attach(&s, chr, NULL);
    run_until(&s, 11);
    cr_assert_str_eq(s.got->str, "from a file");
    poller_wait(p, 0); // end of file, after which it does not count as ready any more
    cr_assert_not(poller_wait(p, 0));
    write_text(chr, "said");
    cr_assert(g_file_get_contents(log, &text, NULL, NULL));
    cr_assert_str_eq(text, "said");
    chardev_close(chr);
    g_free(text);
    g_free(opts);
    g_free(log);
    g_free(in);
}

Test(chardev, pipe_opens_in_then_out)
{
    char *base = g_build_filename(dir, "fifo", NULL);
    char *in = g_strconcat(base, ".in", NULL), *out = g_strconcat(base, ".out", NULL);
    char *spec = g_strconcat("pipe:", base, NULL);
    struct sink s;
    cr_assert_eq(mkfifo(in, 0600) | mkfifo(out, 0600), 0);
    struct chardev *chr = open_short(spec, "serial0");
    int to = open(in, O_WRONLY | O_NONBLOCK), from = open(out, O_RDONLY);
    cr_assert(to >= 0 && from >= 0);
    sink_attach(&s, chr, NULL);
    send_text(to, "hello");
    run_until(&s, 5);
    cr_assert_str_eq(s.got->str, "hello");
    write_text(chr, "answer");
    expect_read(from, "answer");
    close(to);
    close(from);
    chardev_close(chr);
    g_free(spec);
    g_free(out);
    g_free(in);
    g_free(base);
}

// Harnesses open the other ends in turn, and block until we have opened ours: in this order.
Test(chardev, pipe_lets_a_blocking_peer_go_on)
{
    char *base = g_build_filename(dir, "fifo", NULL);
    char *in = g_strconcat(base, ".in", NULL), *out = g_strconcat(base, ".out", NULL);
    char *spec = g_strconcat("pipe:", base, NULL);
    int status;
    cr_assert_eq(mkfifo(in, 0600) | mkfifo(out, 0600), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int to = open(in, O_WRONLY), from = open(out, O_RDONLY);
        char buf[3];
        _exit(write(to, "go", 2) == 2 && read(from, buf, 2) == 2 ? 0 : 1);
    }
    struct chardev *chr = open_short(spec, "serial0");
    struct sink s;
    sink_attach(&s, chr, NULL);
    run_until(&s, 2);
    write_text(chr, "ok");
    poller_wait(p, 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    chardev_close(chr);
    g_free(spec);
    g_free(out);
    g_free(in);
    g_free(base);
}

// Runs f with standard output going to a string, which is returned.
static char *capture_stdout(struct chardev *(*f)(const char *), const char *arg,
                            struct chardev **result)
{
    char *path = g_build_filename(dir, "stdout", NULL);
    char *text;
    fflush(stdout);
    int saved = dup(1), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, 1);
    *result = f(arg);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    close(fd);
    cr_assert(g_file_get_contents(path, &text, NULL, NULL));
    g_free(path);
    return text;
}

static struct chardev *open_serial0(const char *spec)
{
    return open_short(spec, "serial0");
}

Test(chardev, pty_names_itself_and_is_raw)
{
    struct chardev *chr;
    char name[64], *line = capture_stdout(open_serial0, "pty", &chr);
    struct sink s;
    cr_assert_eq(sscanf(line, "char device redirected to %63s (label serial0)\n", name), 1);
    cr_assert(g_str_has_prefix(name, "/dev/pts/"));
    sink_attach(&s, chr, NULL);
    write_text(chr, "before anybody came\n");
    poller_wait(p, 0);
    for (int visit = 0; visit < 2; visit++) {
        int fd = open(name, O_RDWR | O_NOCTTY);
        cr_assert_geq(fd, 0);
        expect_read(fd, visit ? "while away" : "before anybody came\n");
        send_text(fd, "\003\r\n\021");
        run_until(&s, 4 * (size_t)(visit + 1));
        close(fd);
        write_text(chr, "while away");
        poller_wait(p, 0);
    }
    cr_assert_str_eq(s.got->str, "\003\r\n\021\003\r\n\021");
    chardev_close(chr);
    g_free(line);
}

Test(chardev, output_that_nobody_reads_is_bounded)
{
    struct chardev *chr;
    char name[64], *line = capture_stdout(open_serial0, "pty", &chr);
    char chunk[1000];
    memset(chunk, 'x', sizeof(chunk));
    cr_assert_eq(sscanf(line, "char device redirected to %63s", name), 1);
    for (int i = 0; i < 3000; i++)
        chardev_write(chr, (const uint8_t *)chunk, sizeof(chunk));
    write_text(chr, "end");
    int fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    size_t total = 0;
    char last[4] = {0};
    for (int idle = 0; idle < 20;) {
        poller_wait(p, 1);
        ssize_t n = read(fd, chunk, sizeof(chunk));
        idle = n > 0 ? 0 : idle + 1;
        total += n > 0 ? (size_t)n : 0;
        if (n >= 3)
            memcpy(last, chunk + n - 3, 3);
    }
    cr_assert_lt(total, 2 << 20);
    cr_assert_gt(total, 1 << 19);
    cr_assert_str_eq(last, "end");
    close(fd);
    chardev_close(chr);
    g_free(line);
}

// A virtio console prints as much at once as its guest has memory.
Test(chardev, large_output_needs_little_memory)
{
    enum { LARGE = 512 << 20, LITTLE = 16 << 20 };
    g_autofree char *spec = g_strdup_printf("file,id=f,path=%s/out", dir);
    g_autofree char *path = g_strdup_printf("%s/out", dir), *status = NULL;
    struct rlimit limit = {.rlim_max = RLIM_INFINITY};
    cr_assert_eq(symlink("/dev/null", path), 0);
    struct chardev *chr = open_opts(spec);
    const uint8_t *text =
        mmap(NULL, LARGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(text, MAP_FAILED);
    cr_assert(g_file_get_contents("/proc/self/statm", &status, NULL, NULL));
    limit.rlim_cur = strtoull(status, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) + LITTLE;
#ifndef FERRY_DEBUG // the sanitizers map more than any limit allows
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
    chardev_write(chr, text, LARGE);
    poller_wait(p, 0);
    chardev_close(chr);
}

// --- Sockets ---

static int connect_tcp(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int listen_tcp(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)*port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    *port = ntohs(a.sin_port);
    return fd;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

Test(chardev, tcp_server_takes_one_peer_after_another)
{
    struct chardev *chr;
    int port;
    char *line = capture_stdout(open_serial0, "tcp:127.0.0.1:0,server=on,wait=off", &chr);
    struct sink s;
    cr_assert_eq(sscanf(line, "char device redirected to tcp:127.0.0.1:%d (label serial0)", &port),
                 1);
    sink_attach(&s, chr, NULL);
    write_text(chr, "lost, as nobody is there");
    poller_wait(p, 0);
    cr_assert(g_str_has_prefix(chardev_describe(chr), "disconnected:tcp:127.0.0.1:"));
    for (int i = 1; i <= 2; i++) {
        int fd = connect_tcp(port);
        send_text(fd, "in");
        run_until(&s, 2 * (size_t)i);
        cr_assert(chardev_is_open(chr));
        cr_assert_eq(s.opened, i);
        write_text(chr, "out");
        expect_read(fd, "out");
        close(fd);
        for (int n = 0; n < 100 && s.closed < i; n++)
            poller_wait(p, 10);
        cr_assert_eq(s.closed, i);
        cr_assert_not(chardev_is_open(chr));
    }
    chardev_close(chr);
    g_free(line);
}

Test(chardev, unix_server_and_client)
{
    char *path = g_build_filename(dir, "s,ock", NULL);
    char *quoted = g_build_filename(dir, "s,,ock", NULL);
    char *server = g_strdup_printf("unix:%s,server,nowait", quoted);
    char *client = g_strdup_printf("socket,id=c,path=%s", quoted);
    struct sink s, c;
    for (int again = 0; again < 2; again++) {
        struct chardev *chr = open_short(server, "serial0");
        struct chardev *peer = open_opts(client);
        sink_attach(&s, chr, NULL);
        sink_attach(&c, peer, NULL);
        write_text(peer, "to the server");
        run_until(&s, 13);
        write_text(chr, "and back");
        run_until(&c, 8);
        cr_assert_str_eq(c.got->str, "and back");
        chardev_close(peer);
        chardev_close(chr);
        cr_assert_neq(access(path, F_OK), 0);
    }
    // What a dead server left behind is replaced.
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    struct chardev *chr = open_short(server, "serial0");
    fd = connect_unix(path);
    char *second = g_strdup_printf("socket,id=d,path=%s,server=on,wait=off", quoted);
    expect_refused(second, "in use");
    g_free(second);
    close(fd);
    chardev_close(chr);
    g_free(client);
    g_free(server);
    g_free(quoted);
    g_free(path);
}

Test(chardev, server_waits_for_its_client)
{
    char *path = g_build_filename(dir, "sock", NULL);
    char *spec = g_strdup_printf("unix:%s,server=on", path);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 500 && access(path, F_OK); i++)
            usleep(10000);
        send_text(connect_unix(path), "here");
        _exit(0);
    }
    struct chardev *chr = open_short(spec, "serial0");
    struct sink s;
    cr_assert(chardev_is_open(chr));
    sink_attach(&s, chr, NULL);
    run_until(&s, 4);
    waitpid(pid, NULL, 0);
    chardev_close(chr);
    g_free(spec);
    g_free(path);
}

Test(chardev, client_reconnects)
{
    int port = 0, listener = listen_tcp(&port);
    char *opts = g_strdup_printf("socket,id=c,host=127.0.0.1,port=%d,reconnect-ms=20", port);
    struct chardev *chr = open_opts(opts);
    struct sink s;
    sink_attach(&s, chr, NULL);
    for (int i = 1; i <= 2; i++) {
        for (int n = 0; n < 200 && !chardev_is_open(chr); n++)
            poller_wait(p, -1);
        int fd = accept(listener, NULL, NULL);
        send_text(fd, "x");
        run_until(&s, (size_t)i);
        close(fd);
        for (int n = 0; n < 200 && chardev_is_open(chr); n++)
            poller_wait(p, -1);
    }
    chardev_close(chr);
    close(listener);
    g_free(opts);
}

Test(chardev, socket_by_descriptor)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char *opts = g_strdup_printf("socket,id=c,fd=%d", pair[0]);
    struct chardev *chr = open_opts(opts);
    struct sink s;
    sink_attach(&s, chr, NULL);
    send_text(pair[1], "through");
    run_until(&s, 7);
    write_text(chr, "back");
    expect_read(pair[1], "back");
    close(pair[1]);
    chardev_close(chr);
    expect_refused("socket,id=c,fd=0", "not an open stream socket");
    g_free(opts);
}

Test(chardev, telnet_negotiates_and_hides_it)
{
    struct chardev *chr;
    int port;
    char *line = capture_stdout(open_serial0, "telnet:127.0.0.1:0,server,nowait", &chr);
    struct sink s;
    cr_assert_eq(sscanf(line, "char device redirected to telnet:127.0.0.1:%d", &port), 1);
    sink_attach(&s, chr, NULL);
    int fd = connect_tcp(port);
    expect_read(fd,
                "\377\373\001\377\373\003\377\373"); // and a zero byte, at which the string ends
    static const char in[] = "a\377\375\001b\377\372\030\001xyz\377\360c\377\377\377\363d\r\0e";
    cr_assert_eq(write(fd, in, sizeof(in) - 1), (ssize_t)sizeof(in) - 1);
    run_until(&s, 7);
    cr_assert_str_eq(s.got->str, "abc\377d\re");
    cr_assert_eq(s.breaks, 1);
    write_text(chr, "x\377y");
    char buf[16] = {0};
    poller_wait(p, 0);
    usleep(10000);
    cr_assert_eq(read(fd, buf, sizeof(buf)), 1 + 3 + 4);
    cr_assert_str_eq(buf + 4, "x\377\377y");
    close(fd);
    chardev_close(chr);
    g_free(line);
}

// --- Input only as far as there is room, and through the door ---

static void note_attention(void *opaque)
{
    ++*(int *)opaque;
}

Test(chardev, input_waits_for_room)
{
    int pair[2], attention = 0;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char *opts = g_strdup_printf("socket,id=c,fd=%d", pair[0]);
    struct chardev *chr = open_opts(opts);
    struct sink s;
    sink_attach(&s, chr, NULL);
    poller_set_attention(p, note_attention, &attention);
    s.room = 3;
    send_text(pair[1], "12345");
    run_until(&s, 3);
    cr_assert_str_eq(s.got->str, "123");
    s.room = 0;
    cr_assert_not(poller_wait(p, 20));
    s.room = 3;
    chardev_accept_input(chr);
    chardev_accept_input(chr);
    cr_assert_eq(attention, 1);
    run_until(&s, 5);
    chardev_accept_input(chr);
    cr_assert_eq(attention, 1); // nothing waits
    close(pair[1]);
    chardev_close(chr);
    g_free(opts);
}

// That the peer left shows even if nobody reads, but not before what it sent is read.
Test(chardev, hang_up_is_seen_without_room)
{
    for (int unread = 0; unread < 2; unread++) {
        int pair[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        char *opts = g_strdup_printf("socket,id=c,fd=%d", pair[0]);
        struct chardev *chr = open_opts(opts);
        struct sink s;
        sink_attach(&s, chr, NULL);
        s.room = 0;
        poller_wait(p, 0);
        if (unread)
            send_text(pair[1], "last words");
        close(pair[1]);
        for (int i = 0; i < 3; i++)
            poller_wait(p, 10);
        cr_assert_eq(s.closed, !unread);
        s.room = 100;
        for (int i = 0; i < 5; i++)
            poller_wait(p, 10);
        cr_assert_eq(s.closed, 1);
        cr_assert_str_eq(s.got->str, unread ? "last words" : "");
        chardev_close(chr);
        g_free(opts);
    }
}

Test(chardev, input_of_a_machine_passes_its_door)
{
    struct door *door = door_new(1);
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char *opts = g_strdup_printf("socket,id=c,fd=%d", pair[0]);
    struct chardev *chr = open_opts(opts);
    struct sink s;
    sink_attach(&s, chr, door);
    send_text(pair[1], "xy");
    door_set_running(door, true);
    for (int i = 0; i < 3; i++)
        poller_wait(p, 10);
    cr_assert_eq(s.got->len, 0); // waits at the door until the slice is over
    door_set_running(door, false);
    door_run_due(door);
    cr_assert_str_eq(s.got->str, "xy");
    cr_assert_eq(s.opened, 1);
    close(pair[1]);
    chardev_close(chr);
    door_free(door);
    g_free(opts);
}

Test(chardev, one_front_end_without_a_multiplexer)
{
    struct chardev *chr = open_opts("null,id=n");
    struct sink a, b;
    GError *error = NULL;
    sink_attach(&a, chr, NULL);
    sink_init(&b);
    cr_assert_not(sink_try_attach(&b, chr, NULL, &error));
    cr_assert_not_null(strstr(error->message, "chardev n is in use already"));
    chardev_detach(chr, &a);
    cr_assert_eq(chardev_front_count(chr), 0);
    cr_assert(sink_try_attach(&b, chr, NULL, NULL));
    chardev_close(chr);
    g_error_free(error);
}

// --- The multiplexer ---

struct mux {
    int fd;
    struct chardev *chr;
    struct sink monitor, serial;
    struct door *door;
};

static void mux_setup(struct mux *m)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    char *opts = g_strdup_printf("socket,id=c,fd=%d,mux=on", pair[0]);
    m->fd = pair[1];
    m->chr = open_opts(opts);
    m->door = door_new(1);
    sink_attach(&m->monitor, m->chr, NULL);
    sink_attach(&m->serial, m->chr, m->door);
    g_free(opts);
}

static void mux_teardown(struct mux *m)
{
    chardev_close(m->chr);
    door_free(m->door);
    close(m->fd);
}

static void mux_send(struct mux *m, const char *text)
{
    send_text(m->fd, text);
    for (int i = 0; i < 4; i++)
        poller_wait(p, 10);
}

Test(chardev, mux_switches_the_focus)
{
    struct mux m;
    mux_setup(&m);
    cr_assert_eq(chardev_front_count(m.chr), 2);
    mux_send(&m, "ls\001cinfo\001cend");
    cr_assert_str_eq(m.serial.got->str, "lsend");
    cr_assert_str_eq(m.monitor.got->str, "info");
    cr_assert_eq(m.serial.opened, 1);
    mux_send(&m, "\001c");
    cr_assert_eq(m.monitor.opened, 1);
    mux_send(&m, "\001c");
    cr_assert_eq(m.monitor.closed, 1);
    cr_assert_eq(m.serial.closed, 0);
    write_text(m.chr, "output goes on");
    expect_read(m.fd, "output goes on");
    mux_teardown(&m);
}

Test(chardev, mux_commands)
{
    struct mux m;
    mux_setup(&m);
    mux_send(&m, "a\001\001b\001b\001zc\001h");
    cr_assert_str_eq(m.serial.got->str, "a\001bc");
    cr_assert_eq(m.serial.breaks, 1);
    expect_read(m.fd, "\r\nC-a h    this help\r\nC-a x    leave the emulator\r\n");
    cr_assert_not(poller_quit_asked(p));
    mux_send(&m, "\001x");
    cr_assert(poller_quit_asked(p));
    mux_teardown(&m);
}

Test(chardev, mux_has_another_escape_key)
{
    struct mux m;
    mux_setup(&m);
    chardev_set_escape(m.chr, 0x14);
    mux_send(&m, "\001x\024\024");
    cr_assert_str_eq(m.serial.got->str, "\001x\024");
    mux_send(&m, "\024x");
    cr_assert(poller_quit_asked(p));
    mux_teardown(&m);
}

Test(chardev, mux_obeys_while_the_guest_is_stuck)
{
    struct mux m;
    mux_setup(&m);
    m.serial.room = 0;
    mux_send(&m, "typed blindly");
    cr_assert_eq(m.serial.got->len, 0);
    mux_send(&m, "\001x");
    cr_assert(poller_quit_asked(p));
    m.serial.room = 5;
    poller_wait(p, 0);
    cr_assert_str_eq(m.serial.got->str, "typed blindly");
    mux_teardown(&m);
}

// --- stdio, in a process of its own ---

static void stdio_child(const char *spec)
{
    struct chardev *chr = open_short(spec, "serial0");
    struct sink s;
    sink_attach(&s, chr, NULL);
    write_text(chr, "ready\n");
    while (s.got->len < 2 && !poller_quit_asked(p))
        poller_wait(p, -1);
    g_string_append_c(s.got, '\n');
    write_text(chr, s.got->str);
    chardev_close(chr);
    struct termios t;
    tcgetattr(0, &t);
    exit(t.c_lflag & ICANON ? 0 : 1);
}

static pid_t start_on_tty(const char *spec, int *fd)
{
    pid_t pid = forkpty(fd, NULL, NULL, NULL);
    if (pid == 0)
        stdio_child(spec);
    return pid;
}

static void expect_text(int fd, const char *text)
{
    char buf[256] = {0};
    for (size_t got = 0; !strstr(buf, text);) {
        ssize_t n = read(fd, buf + got, sizeof(buf) - 1 - got);
        cr_assert_gt(n, 0, "no '%s' in '%s'", text, buf);
        got += (size_t)n;
    }
}

Test(chardev, stdio_sets_the_terminal_and_restores_it)
{
    int fd, status;
    struct termios t;
    pid_t pid = start_on_tty("stdio", &fd);
    expect_text(fd, "ready\r\n");
    tcgetattr(fd, &t);
    cr_assert_not(t.c_lflag & (ICANON | ECHO));
    cr_assert(t.c_lflag & ISIG);
    send_text(fd, "\rA");
    expect_text(fd, "\rA\r\n");
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    close(fd);
}

// As harnesses do it that hand a pseudo-terminal down without more ado.
Test(chardev, stdio_on_a_terminal_of_others)
{
    int fd, tty, status;
    struct termios t;
    cr_assert_eq(openpty(&fd, &tty, NULL, NULL, NULL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        dup2(tty, 0);
        dup2(tty, 1);
        stdio_child("stdio");
    }
    expect_text(fd, "ready\r\n");
    tcgetattr(fd, &t);
    cr_assert_not(t.c_lflag & (ICANON | ECHO));
    send_text(fd, "ab");
    expect_text(fd, "ab\r\n");
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    close(fd);
    close(tty);
}

Test(chardev, mon_stdio_passes_control_c)
{
    int fd, status;
    pid_t pid = start_on_tty("mon:stdio", &fd);
    expect_text(fd, "ready\r\n");
    send_text(fd, "\003\032");
    expect_text(fd, "\003\032\r\n");
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    close(fd);
}

Test(chardev, stdio_has_one_user)
{
    struct chardev *chr = open_opts("stdio,id=a,signal=off");
    expect_refused("stdio,id=b", "in use already");
    chardev_close(chr);
    chr = open_opts("stdio,id=b");
    chardev_close(chr);
}

// --- Mistakes of the user ---

Test(chardev, refuses_what_makes_no_sense)
{
    expect_refused("", "-chardev: backend: missing");
    expect_refused("spice,id=x", "there is no 'spice'");
    expect_refused("null", "-chardev: id: missing");
    expect_refused("null,id=a,foo=1", "unknown option 'foo'");
    expect_refused("file,id=a", "path: missing");
    expect_refused("file,id=a,path=/nonexistent/x", "cannot open /nonexistent/x: No such file");
    expect_refused("pipe,id=a,path=/nonexistent/x", "mkfifo");
    expect_refused("serial,id=a,path=/dev/null", "no terminal device");
    expect_refused("socket,id=a", "give one of path=, port= and fd=");
    expect_refused("socket,id=a,path=/x,port=1", "give one of path=, port= and fd=");
    expect_refused("socket,id=a,port=1,wait=on", "only a server");
    expect_refused("socket,id=a,port=1,websocket=on", "websocket: not supported");
    expect_refused("socket,id=a,path=/nonexistent/sock",
                   "cannot connect to unix:/nonexistent/sock");
    expect_refused("socket,id=a,port=1,server=on,reconnect=1", "a server does not connect");
    expect_refused("ringbuf,id=a,size=0", "size");
}

Test(chardev, short_forms_name_themselves_in_errors)
{
    static const char *const specs[][2] = {
        {"tcp:nohost", "serial1 (tcp:nohost): address: 'nohost' is not HOST:PORT"},
        {"bogus", "serial1 (bogus): backend: there is no 'bogus'"},
        {"unix:", "serial1 (unix:): "},
        {"file:", "serial1 (file:): path: missing"},
        {"mon:bogus", "serial1 (mon:bogus): backend"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(specs); i++) {
        struct chardev_short s;
        GError *error = NULL;
        cr_assert_not(chardev_open_short(specs[i][0], "serial1", p, &s, &error));
        cr_assert(g_str_has_prefix(error->message, specs[i][1]), "%s", error->message);
        g_error_free(error);
    }
}

// --- Opened anew, as in a copy of the process ---

static void reopen(struct chardev *chr, const char *spec)
{
    GError *error = NULL;
    cr_assert(chardev_reopen(chr, spec, &error), "%s: %s", spec, error ? error->message : "");
}

static void expect_reopen_refused(struct chardev *chr, const char *spec, const char *part)
{
    GError *error = NULL;
    cr_assert(!chardev_reopen(chr, spec, &error), "%s was accepted", spec);
    cr_assert(strstr(error->message, part), "%s: %s", spec, error->message);
    g_error_free(error);
}

Test(chardev, becomes_another_kind)
{
    g_autofree char *out = g_build_filename(dir, "out", NULL), *text = NULL;
    g_autofree char *path = g_build_filename(dir, "socket", NULL);
    g_autofree char *server = g_strdup_printf("unix:%s,server=on", path);
    g_autofree char *file = g_strdup_printf("file:%s", out);
    struct sink s;
    struct chardev *chr = open_opts("null,id=c");

    sink_attach(&s, chr, NULL);
    poller_wait(p, 0);
    cr_assert_eq(s.opened, 1);
    reopen(chr, file);
    write_text(chr, "in a file");
    poller_wait(p, 0);
    cr_assert(s.opened == 2 && s.closed == 1);
    reopen(chr, server); // does not wait for anybody
    poller_wait(p, 0);
    cr_assert(s.opened == 2 && s.closed == 2);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    cr_assert_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    cr_assert_eq(write(fd, "hello", 5), 5);
    run_until(&s, 5);
    cr_assert_str_eq(s.got->str, "hello");
    reopen(chr, NULL);
    poller_wait(p, 0);
    cr_assert(s.closed == 3 && !chardev_is_open(chr));
    cr_assert_str_eq(chardev_describe(chr), "null");
    cr_assert(g_file_test(path, G_FILE_TEST_EXISTS), "the name is the original's");
    cr_assert(g_file_get_contents(out, &text, NULL, NULL));
    cr_assert_str_eq(text, "in a file");
    close(fd);
    chardev_close(chr);
}

Test(chardev, what_is_in_memory_stays)
{
    g_autoptr(GByteArray) got = g_byte_array_new();
    struct chardev *chr = open_opts("ringbuf,id=c");

    write_text(chr, "kept");
    reopen(chr, NULL);
    cr_assert(chardev_ring_read(chr, 99, got));
    cr_assert(got->len == 4 && !memcmp(got->data, "kept", 4));
    reopen(chr, "null");
    cr_assert(!chardev_ring_read(chr, 99, got));
    chardev_close(chr);
}

Test(chardev, a_copy_cannot_be_everything)
{
    struct chardev *chr = open_opts("null,id=c,mux=on");

    expect_reopen_refused(chr, "stdio", "has no terminal");
    expect_reopen_refused(chr, "mon:stdio", "has no terminal");
    expect_reopen_refused(chr, "chardev:c", "has no terminal");
    expect_reopen_refused(chr, "nonsense", "nonsense");
    expect_reopen_refused(chr, "file:/nonexistent/x", "/nonexistent/x");
    expect_reopen_refused(chr, "unix:/tmp/x,server=on,wait=on", "cannot wait");
    reopen(chr, "none");
    cr_assert(chardev_is_mux(chr));
    chardev_close(chr);
}
