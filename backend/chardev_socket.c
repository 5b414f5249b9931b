// SPDX-License-Identifier: MIT
// Character back end on a stream socket: TCP or Unix, server or client, optionally speaking Telnet (RFC 854).
//
// One peer at a time: while there is one, others wait in the listener's backlog. Without a peer, output
// vanishes.
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "base/clock.h"
#include "base/log.h"

#define NS_PER_MS UINT64_C(1000000)

enum telnet {
    TELNET_NONE,
    TELNET_SE = 240,
    TELNET_BREAK = 243,
    TELNET_SB = 250,
    TELNET_WILL,
    TELNET_WONT,
    TELNET_DO,
    TELNET_DONT,
    TELNET_IAC
};

// Where the Telnet decoder is.
enum telnet_state { IN_DATA, AFTER_CR, AFTER_IAC, AFTER_VERB, IN_SUB, IN_SUB_AFTER_IAC };

struct socket_opts {
    const char *host, *port, *path;
    uint64_t to; // the last port to try, 0: only `port`
    int family;  // AF_UNSPEC, AF_INET, AF_INET6
    int fd;      // -1: none was handed down
    bool server, wait, nodelay, abstract;
};

struct chardev_socket {
    struct chardev chr;
    char *address; // "tcp:127.0.0.1:4444" or "unix:PATH"
    char *path;    // of a Unix listener, to be removed; or NULL
    bool server, nodelay, telnet;
    enum telnet_state telnet_state;
    int listen_fd; // -1: none
    struct poll_watch *listener;
    uint64_t reconnect_ns;          // 0: a lost connection stays lost
    uint64_t next_try;              // host time
    struct sockaddr_storage remote; // client: where to connect to
    socklen_t remote_len;
};

// --- Addresses ---

static void describe(struct chardev_socket *s)
{
    chardev_set_desc(&s->chr, "%s%s%s", s->chr.is_open ? "" : "disconnected:", s->address,
                     s->server ? ",server=on" : "");
}

static char *address_text(const struct sockaddr_storage *addr, socklen_t len, const char *scheme)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (addr->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)addr;
        bool named = len > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0];
        return g_strdup_printf("unix:%s", named ? un->sun_path : "");
    }
    if (getnameinfo((const struct sockaddr *)addr, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return g_strdup(scheme);
    return g_strdup_printf(addr->ss_family == AF_INET6 ? "%s:[%s]:%s" : "%s:%s:%s", scheme, host,
                           port);
}

static void set_address(struct chardev_socket *s, int fd, bool peer)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    if (peer)
        getpeername(fd, (struct sockaddr *)&addr, &len);
    else
        getsockname(fd, (struct sockaddr *)&addr, &len);
    g_free(s->address);
    s->address = address_text(&addr, len, s->telnet ? "telnet" : "tcp");
}

static bool unix_address(struct chardev_socket *s, const struct socket_opts *opt, GError **error)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&s->remote;
    size_t len = strlen(opt->path);
    if (len == 0 || len + opt->abstract >= sizeof(un->sun_path)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s: the socket's path is empty or longer than %zu bytes: %s", s->chr.id,
                    sizeof(un->sun_path) - 1 - opt->abstract, opt->path);
        return false;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + opt->abstract, opt->path, len);
    s->remote_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + opt->abstract + len);
    if (!opt->abstract)
        s->remote_len++;
    return true;
}

static bool tcp_address(struct chardev_socket *s, const struct socket_opts *opt, GError **error)
{
    struct addrinfo hints = {
        .ai_family = opt->family,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = opt->server ? AI_PASSIVE : 0,
    };
    struct addrinfo *found;
    const char *host = opt->host && *opt->host ? opt->host : opt->server ? NULL : "localhost";
    if (!host && opt->family == AF_UNSPEC)
        hints.ai_family = AF_INET;
    int bad = getaddrinfo(host, opt->port, &hints, &found);
    if (bad) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "%s: address %s port %s: %s", s->chr.id,
                    host ? host : "", opt->port, gai_strerror(bad));
        return false;
    }
    memcpy(&s->remote, found->ai_addr, found->ai_addrlen);
    s->remote_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool resolve(struct chardev_socket *s, const struct socket_opts *opt, GError **error)
{
    return opt->path ? unix_address(s, opt, error) : tcp_address(s, opt, error);
}

static uint16_t *port_of(struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)addr)->sin6_port
                                       : &((struct sockaddr_in *)addr)->sin_port;
}

// --- Telnet ---

static void telnet_greet(struct chardev_socket *s)
{
    enum { BINARY = 0, ECHO = 1, SUPPRESS_GO_AHEAD = 3 };
    static const uint8_t greeting[] = {
        TELNET_IAC, TELNET_WILL, ECHO,   TELNET_IAC, TELNET_WILL, SUPPRESS_GO_AHEAD,
        TELNET_IAC, TELNET_WILL, BINARY, TELNET_IAC, TELNET_DO,   BINARY,
    };
    s->telnet_state = IN_DATA;
    g_byte_array_append(s->chr.out_buf, greeting, sizeof(greeting));
}

// The state after a byte that follows IAC. A data byte 255 comes as IAC IAC.
static enum telnet_state telnet_command(struct chardev_socket *s, uint8_t c)
{
    if (c == TELNET_SB)
        return IN_SUB;
    if (c >= TELNET_WILL && c <= TELNET_DONT)
        return AFTER_VERB;
    if (c == TELNET_BREAK)
        port_event(s->chr.ports[s->chr.focus], PORT_BREAK);
    return IN_DATA;
}

// TRUE if the byte is data.
static bool telnet_step(struct chardev_socket *s, uint8_t c)
{
    enum telnet_state was = s->telnet_state;
    s->telnet_state = IN_DATA;
    switch (was) {
    case AFTER_CR: // in Telnet's own character set, CR alone is CR NUL
        if (c == 0)
            return false;
        // fall through
    case IN_DATA:
        if (c == TELNET_IAC)
            s->telnet_state = AFTER_IAC;
        else if (c == '\r')
            s->telnet_state = AFTER_CR;
        return c != TELNET_IAC;
    case AFTER_IAC:
        if (c != TELNET_IAC)
            s->telnet_state = telnet_command(s, c);
        return c == TELNET_IAC;
    case AFTER_VERB: // whatever the peer wants or offers: nothing changes here
        return false;
    case IN_SUB:
        s->telnet_state = c == TELNET_IAC ? IN_SUB_AFTER_IAC : IN_SUB;
        return false;
    case IN_SUB_AFTER_IAC:
        s->telnet_state = c == TELNET_SE ? IN_DATA : IN_SUB;
        return false;
    }
    return false;
}

static size_t socket_decode(struct chardev *chr, uint8_t *data, size_t len)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    size_t kept = 0;
    if (!s->telnet)
        return len;
    for (size_t i = 0; i < len; i++)
        if (telnet_step(s, data[i]))
            data[kept++] = data[i];
    return kept;
}

static void socket_encode(struct chardev *chr, const uint8_t *data, size_t len, GByteArray *out)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    if (!s->telnet) {
        g_byte_array_append(out, data, (guint)len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        for (int n = data[i] == TELNET_IAC ? 2 : 1; n > 0; n--)
            g_byte_array_append(out, &data[i], 1);
}

// --- Connections ---

static void connected(struct chardev_socket *s, int fd)
{
    int one = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (s->nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); // Unix sockets have none
    if (s->listener)
        poll_watch_events(s->listener, 0);
    chardev_set_fds(&s->chr, fd, fd);
    if (s->telnet)
        telnet_greet(s);
    describe(s);
}

static int socket_new(const struct chardev_socket *s)
{
    return socket(s->remote.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static bool fail(struct chardev_socket *s, const char *verb, GError **error)
{
    int saved = errno;
    char *where = address_text(&s->remote, s->remote_len, "tcp");
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "%s: cannot %s %s: %s", s->chr.id, verb,
                where, g_strerror(saved));
    g_free(where);
    return false;
}

static bool connect_out(struct chardev_socket *s, GError **error)
{
    int fd = socket_new(s);
    if (fd < 0 || connect(fd, (struct sockaddr *)&s->remote, s->remote_len) < 0) {
        fail(s, "connect to", error);
        if (fd >= 0)
            close(fd);
        return false;
    }
    set_address(s, fd, true);
    connected(s, fd);
    return true;
}

static void accept_ready(void *opaque, short revents)
{
    struct chardev_socket *s = opaque;
    (void)revents;
    int fd = accept(s->listen_fd, NULL, NULL);
    if (fd >= 0)
        connected(s, fd);
}

static bool bind_any(int fd, struct chardev_socket *s, const struct socket_opts *opt)
{
    uint16_t port = opt->path ? 0 : GUINT16_FROM_BE(*port_of(&s->remote));
    for (uint64_t n = port;; n++) {
        if (!opt->path)
            *port_of(&s->remote) = GUINT16_TO_BE((uint16_t)n);
        if (bind(fd, (struct sockaddr *)&s->remote, s->remote_len) == 0 && listen(fd, 1) == 0)
            return true;
        if (errno != EADDRINUSE || n >= opt->to)
            return false;
    }
}

// A socket that somebody left behind is in the way; one that is listened at is not ours to remove.
static void remove_stale(struct chardev_socket *s)
{
    int fd = socket_new(s);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&s->remote, s->remote_len) < 0 &&
        errno == ECONNREFUSED)
        unlink(((struct sockaddr_un *)&s->remote)->sun_path);
    if (fd >= 0)
        close(fd);
}

static bool start_listening(struct chardev_socket *s, const struct socket_opts *opt, GError **error)
{
    int one = 1;
    bool named = opt->path && !opt->abstract;
    bool any_port = !opt->path && *port_of(&s->remote) == 0;
    if (named)
        remove_stale(s);
    s->listen_fd = socket_new(s);
    if (s->listen_fd < 0)
        return fail(s, "make a socket for", error);
    if (!opt->path)
        setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!bind_any(s->listen_fd, s, opt))
        return fail(s, "listen on", error);
    s->path = named ? g_strdup(opt->path) : NULL;
    set_address(s, s->listen_fd, false);
    if (any_port) {
        printf("char device redirected to %s (label %s)\n", s->address, s->chr.id);
        fflush(stdout);
    }
    return true;
}

static bool wait_for_client(struct chardev_socket *s, GError **error)
{
    fprintf(stderr, "ferry: %s: waiting for a connection on %s\n", s->chr.id, s->address);
    int fd = accept(s->listen_fd, NULL, NULL);
    if (fd < 0) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_HOST, "%s: waiting for a connection on %s: %s",
                    s->chr.id, s->address, g_strerror(errno));
        return false;
    }
    connected(s, fd);
    return true;
}

static bool serve(struct chardev_socket *s, bool wait, GError **error)
{
    describe(s);
    if (wait && !wait_for_client(s, error))
        return false;
    s->listener = poller_watch(s->chr.p, s->listen_fd, accept_ready, s);
    return true;
}

// --- The kind ---

static bool is_socket(int fd)
{
    int type;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static int read_family(struct options *o)
{
    bool v4 = options_bool(o, "ipv4", !options_bool(o, "ipv6", false));
    bool v6 = options_bool(o, "ipv6", !options_bool(o, "ipv4", false));
    bool said = options_has(o, "ipv4") || options_has(o, "ipv6");
    return !said || v4 == v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}

static void refuse_missing(struct options *o)
{
    static const char *const keys[] = {"websocket", "tls-creds"};
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        if (options_has(o, keys[i]))
            options_fail(o, keys[i], "not supported; use plain TCP, or a proxy in front of it");
}

static void check_place(struct options *o, const struct socket_opts *opt)
{
    if (opt->fd >= 0 && !is_socket(opt->fd))
        options_fail(o, "fd", "%d is not an open stream socket", opt->fd);
    if ((opt->fd >= 0) + (opt->path != NULL) + (opt->port != NULL) != 1)
        options_fail(o, "port", "give one of path=, port= and fd=");
    if (options_has(o, "wait") && opt->wait && !opt->server)
        options_fail(o, "wait", "only a server (server=on) can wait for a client");
}

static void read_opts(struct chardev_socket *s, struct options *o, struct socket_opts *opt)
{
    *opt = (struct socket_opts){
        .host = options_str(o, "host"),
        .port = options_str(o, "port"),
        .path = options_str(o, "path"),
        .to = options_u64(o, "to", 0, 65535),
        .family = read_family(o),
        .fd = options_has(o, "fd") ? (int)options_u64(o, "fd", 0, 1 << 20) : -1,
        .server = options_bool(o, "server", false),
        .nodelay = options_has(o, "nodelay") ? options_bool(o, "nodelay", true) : !options_bool(o, "delay", true),
        .abstract = options_bool(o, "abstract", false),
    };
    opt->wait = options_bool(o, "wait", opt->server);
    options_bool(o, "tight", true); // how an abstract name is counted: always its own length
    s->telnet = options_bool(o, "telnet", false);
    s->server = opt->server;
    s->nodelay = opt->nodelay;
    s->reconnect_ns = options_u64(o, "reconnect", 0, 1 << 20) * NS_PER_S;
    s->reconnect_ns =
        options_u64(o, "reconnect-ms", s->reconnect_ns / NS_PER_MS, 1 << 30) * NS_PER_MS;
    if (s->reconnect_ns && s->server)
        options_fail(o, "reconnect", "a server does not connect");
    refuse_missing(o);
    check_place(o, opt);
}

static bool open_fd(struct chardev_socket *s, const struct socket_opts *opt, GError **error)
{
    set_address(s, opt->fd, !opt->server);
    if (opt->server) {
        s->listen_fd = opt->fd;
        return serve(s, opt->wait, error);
    }
    s->reconnect_ns = 0;
    connected(s, opt->fd);
    return true;
}

static bool socket_open(struct chardev *chr, struct options *o, GError **error)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    struct socket_opts opt;
    s->listen_fd = -1;
    read_opts(s, o, &opt);
    if (!options_done(o, error))
        return false;
    if (opt.fd >= 0)
        return open_fd(s, &opt, error);
    if (!resolve(s, &opt, error))
        return false;
    if (opt.server)
        return start_listening(s, &opt, error) && serve(s, opt.wait, error);
    if (!s->reconnect_ns)
        return connect_out(s, error);
    s->address = address_text(&s->remote, s->remote_len, "tcp");
    describe(s);
    return true; // the first round tries
}

static void socket_prepare(struct chardev *chr, int *timeout_ms)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    if (s->listener)
        poll_watch_events(s->listener, chr->is_open ? 0 : POLLIN);
    if (chr->is_open || !s->reconnect_ns)
        return;
    uint64_t now = door_host_ns();
    if (now >= s->next_try) {
        s->next_try = now + s->reconnect_ns;
        if (connect_out(s, NULL))
            return;
    }
    uint64_t left_ms = (s->next_try - now) / NS_PER_MS + 1;
    if (*timeout_ms < 0 || left_ms < (uint64_t)*timeout_ms)
        *timeout_ms = (int)MIN(left_ms, INT_MAX);
}

static void socket_lost(struct chardev *chr)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    chardev_drop_fds(chr);
    s->next_try = door_host_ns() + s->reconnect_ns;
    describe(s);
}

// The name in the file system is the original's.
static void socket_abandon(struct chardev *chr)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    g_free(s->path);
    s->path = NULL;
}

static void socket_close(struct chardev *chr)
{
    struct chardev_socket *s = (struct chardev_socket *)chr;
    poll_unwatch(s->listener);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->path)
        unlink(s->path);
    g_free(s->path);
    g_free(s->address);
}

const struct chardev_class chardev_socket_class = {
    .kind = "socket",
    .help = "TCP (host=,port=), Unix (path=) or open (fd=) socket; server=on, wait=off, telnet=on, "
            "reconnect=SECONDS",
    .size = sizeof(struct chardev_socket),
    .open = socket_open,
    .close = socket_close,
    .abandon = socket_abandon,
    .prepare = socket_prepare,
    .lost = socket_lost,
    .decode = socket_decode,
    .encode = socket_encode,
    .lossy = true,
};
