// SPDX-License-Identifier: MIT
// Character back ends on files of all sorts: standard input and output, pseudo-terminals, named pipes, serial
// lines, plain files; and the two that keep everything in memory.
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "base/log.h"

// --- Terminals ---

// What a terminal was like before. Outlives its chardev, since it is also looked at when the process exits.
struct tty_guard {
    int fd;
    bool active; // the terminal is ours
    struct termios saved;
};

static void tty_restore(struct tty_guard *guard)
{
    if (guard->active)
        tcsetattr(guard->fd, TCSANOW, &guard->saved);
    guard->active = false;
}

static void restore_at_exit(int status, void *guard)
{
    (void)status;
    tty_restore(guard);
}

// Each key arrives at once and as it is; output lines still get their carriage return. Not in the background,
// where the kernel would stop who touches the terminal; chardev_continued() makes up for it.
static void tty_set_raw(struct tty_guard *guard, bool signals)
{
    struct termios t = guard->saved;
    pid_t foreground = tcgetpgrp(guard->fd); // -1: not our controlling terminal
    if (foreground > 0 && foreground != getpgrp())
        return;
    t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | (signals ? 0 : ISIG));
    t.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    t.c_cflag |= CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(guard->fd, TCSANOW, &t);
    guard->active = true;
}

static struct tty_guard *tty_guard_new(int fd)
{
    struct tty_guard *guard = g_new0(struct tty_guard, 1);
    guard->fd = fd;
    tcgetattr(fd, &guard->saved);
    on_exit(restore_at_exit, guard);
    return guard;
}

// --- stdio ---

struct chardev_stdio {
    struct chardev chr;
    bool claimed;
    bool signals;
    struct tty_guard *guard; // NULL: standard input is no terminal
};

static bool stdio_open(struct chardev *chr, struct options *o, GError **error)
{
    struct chardev_stdio *s = (struct chardev_stdio *)chr;
    s->signals = options_bool(o, "signal", true);
    if (!options_done(o, error))
        return false;
    if (!poller_claim_stdio(chr->p)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: standard input and output are in use already; to share them, use one "
                    "-chardev stdio,mux=on,id=ID and name it as chardev:ID",
                    chr->id);
        return false;
    }
    s->claimed = true;
    chr->keep_fds = true;
    fflush(stdout);
    if (isatty(STDIN_FILENO)) {
        s->guard = tty_guard_new(STDIN_FILENO);
        tty_set_raw(s->guard, s->signals);
    }
    bool has_input = fcntl(STDIN_FILENO, F_GETFD) >= 0;
    chardev_set_fds(chr, has_input ? STDIN_FILENO : -1, STDOUT_FILENO);
    return true;
}

static void stdio_close(struct chardev *chr)
{
    struct chardev_stdio *s = (struct chardev_stdio *)chr;
    if (s->guard)
        tty_restore(s->guard);
    if (s->claimed)
        poller_release_stdio(chr->p);
}

// The terminal stays as the original wants it.
static void stdio_abandon(struct chardev *chr)
{
    struct chardev_stdio *s = (struct chardev_stdio *)chr;
    if (s->guard)
        s->guard->active = false;
}

static void stdio_continued(struct chardev *chr)
{
    struct chardev_stdio *s = (struct chardev_stdio *)chr;
    if (s->guard)
        tty_set_raw(s->guard, s->signals);
}

const struct chardev_class chardev_stdio_class = {
    .kind = "stdio",
    .help = "standard input and output (signal=on|off)",
    .size = sizeof(struct chardev_stdio),
    .open = stdio_open,
    .close = stdio_close,
    .abandon = stdio_abandon,
    .continued = stdio_continued,
};

// --- pty ---

struct chardev_pty {
    struct chardev chr;
    int peer_fd; // held open, so that readers may come and go
};

static bool pty_open(struct chardev *chr, struct options *o, GError **error)
{
    struct chardev_pty *s = (struct chardev_pty *)chr;
    struct termios raw;
    char name[64];
    int fd;
    s->peer_fd = -1;
    if (!options_done(o, error))
        return false;
    cfmakeraw(memset(&raw, 0, sizeof(raw)));
    raw.c_cflag = CS8 | CREAD | B38400;
    raw.c_cc[VMIN] = 1;
    if (openpty(&fd, &s->peer_fd, name, &raw, NULL) < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "%s: cannot make a pseudo-terminal: %s",
                    chr->id, g_strerror(errno));
        s->peer_fd = -1;
        return false;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(s->peer_fd, F_SETFD, FD_CLOEXEC);
    chardev_set_desc(chr, "pty:%s", name);
    chardev_set_fds(chr, fd, fd);
    printf("char device redirected to %s (label %s)\n", name, chr->id);
    fflush(stdout);
    return true;
}

static void pty_close(struct chardev *chr)
{
    struct chardev_pty *s = (struct chardev_pty *)chr;
    if (s->peer_fd >= 0)
        close(s->peer_fd);
}

const struct chardev_class chardev_pty_class = {
    .kind = "pty",
    .help = "a new pseudo-terminal, whose name is printed",
    .size = sizeof(struct chardev_pty),
    .open = pty_open,
    .close = pty_close,
    .lossy = true,
};

// --- pipe: two FIFOs. Read and write at both, as then opening does not wait for the other side, and there is no
// end of file when the other side goes. ---

static int pipe_open_one(const char *path, const char *suffix, GError **error)
{
    char *name = g_strconcat(path, suffix, NULL);
    int fd = chardev_open_file(name, O_RDWR | O_NONBLOCK, error);
    g_free(name);
    return fd;
}

static bool pipe_open_both(const char *path, int *in, int *out, GError **error)
{
    *in = pipe_open_one(path, ".in", NULL);
    *out = pipe_open_one(path, ".out", NULL);
    if (*in >= 0 && *out >= 0)
        return true;
    if (*in >= 0)
        close(*in);
    if (*out >= 0)
        close(*out);
    *in = *out = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY); // one for both directions
    if (*in < 0)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE,
                    "cannot open %s.in and %s.out, nor %s: %s (mkfifo makes them)", path, path,
                    path, g_strerror(errno));
    return *in >= 0;
}

static bool pipe_open(struct chardev *chr, struct options *o, GError **error)
{
    const char *path = options_str(o, "path");
    int in, out;
    if (!path)
        options_fail(o, "path", "missing");
    if (!options_done(o, error))
        return false;
    if (!pipe_open_both(path, &in, &out, error)) {
        g_prefix_error(error, "%s: ", chr->id);
        return false;
    }
    chardev_set_desc(chr, "pipe:%s", path);
    chardev_set_fds(chr, in, out);
    return true;
}

const struct chardev_class chardev_pipe_class = {
    .kind = "pipe",
    .help = "the FIFOs PATH.in and PATH.out, or both ways PATH (path=)",
    .size = sizeof(struct chardev),
    .open = pipe_open,
    .lossy = true,
};

// --- file ---

static bool file_open(struct chardev *chr, struct options *o, GError **error)
{
    const char *path = options_str(o, "path");
    const char *input = options_str(o, "input-path");
    int flags = options_bool(o, "append", false) ? O_APPEND : O_TRUNC;
    int in = -1, out;
    if (!path)
        options_fail(o, "path", "missing");
    if (!options_done(o, error))
        return false;
    out = chardev_open_file(path, O_WRONLY | O_CREAT | flags, error);
    if (out >= 0 && input)
        in = chardev_open_file(input, O_RDONLY | O_NONBLOCK, error);
    if (out >= 0)
        chardev_set_fds(chr, in, out);
    if (out >= 0 && (!input || in >= 0)) {
        chardev_set_desc(chr, "file:%s", path);
        return true;
    }
    g_prefix_error(error, "%s: ", chr->id);
    return false;
}

const struct chardev_class chardev_file_class = {
    .kind = "file",
    .help = "output into a file (path=,append=on|off), input from another (input-path=)",
    .size = sizeof(struct chardev),
    .open = file_open,
};

// --- serial: a terminal device of the host ---

static bool serial_open(struct chardev *chr, struct options *o, GError **error)
{
    const char *path = options_str(o, "path");
    struct termios t;
    if (!path)
        options_fail(o, "path", "missing");
    if (!options_done(o, error))
        return false;
    int fd = chardev_open_file(path, O_RDWR | O_NONBLOCK, error);
    if (fd < 0) {
        g_prefix_error(error, "%s: ", chr->id);
        return false;
    }
    if (tcgetattr(fd, &t) < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FILE, "%s: %s is no terminal device", chr->id,
                    path);
        close(fd);
        return false;
    }
    cfmakeraw(&t);
    tcsetattr(fd, TCSANOW, &t);
    chardev_set_desc(chr, "serial:%s", path);
    chardev_set_fds(chr, fd, fd);
    return true;
}

const struct chardev_class chardev_serial_class = {
    .kind = "serial",
    .help = "a terminal device of the host (path=)",
    .size = sizeof(struct chardev),
    .open = serial_open,
    .lossy = true,
};

// --- null ---

static bool null_open(struct chardev *chr, struct options *o, GError **error)
{
    chardev_set_open(chr, true);
    return options_done(o, error);
}

const struct chardev_class chardev_null_class = {
    .kind = "null",
    .help = "nothing: output vanishes, input never comes",
    .size = sizeof(struct chardev),
    .open = null_open,
    .in_memory = true,
};

// --- ringbuf: the last output, for the monitor to read ---

struct chardev_ring {
    struct chardev chr;
    GByteArray *buf;
    size_t size;
};

static bool ring_open(struct chardev *chr, struct options *o, GError **error)
{
    struct chardev_ring *s = (struct chardev_ring *)chr;
    s->size = options_size(o, "size", 65536);
    if (s->size == 0 || s->size > 1 << 30)
        options_fail(o, "size", "not between 1 byte and 1 GiB");
    s->buf = g_byte_array_new();
    chardev_set_open(chr, true);
    return options_done(o, error);
}

static void ring_sink(struct chardev *chr, const uint8_t *data, size_t len)
{
    struct chardev_ring *s = (struct chardev_ring *)chr;
    if (len > s->size) {
        data += len - s->size;
        len = s->size;
    }
    size_t excess = s->buf->len + len > s->size ? s->buf->len + len - s->size : 0;
    g_byte_array_remove_range(s->buf, 0, (guint)excess);
    g_byte_array_append(s->buf, data, (guint)len);
}

static void ring_close(struct chardev *chr)
{
    struct chardev_ring *s = (struct chardev_ring *)chr;
    if (s->buf)
        g_byte_array_free(s->buf, TRUE);
}

const struct chardev_class chardev_ringbuf_class = {
    .kind = "ringbuf",
    .help = "memory: keeps the last output (size=)",
    .size = sizeof(struct chardev_ring),
    .open = ring_open,
    .close = ring_close,
    .sink = ring_sink,
    .in_memory = true,
};

bool chardev_ring_read(struct chardev *chr, size_t len, GByteArray *out)
{
    struct chardev_ring *s = (struct chardev_ring *)chr;
    if (chr->cls != &chardev_ringbuf_class)
        return false;
    len = MIN(len, s->buf->len);
    g_byte_array_append(out, s->buf->data, (guint)len);
    g_byte_array_remove_range(s->buf, 0, (guint)len);
    return true;
}

bool chardev_ring_write(struct chardev *chr, const uint8_t *data, size_t len)
{
    if (chr->cls != &chardev_ringbuf_class)
        return false;
    ring_sink(chr, data, len);
    return true;
}
