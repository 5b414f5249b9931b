// SPDX-License-Identifier: MIT
// Shared inside backend/chardev*.c: what all kinds have, and what a kind supplies.
//
// Nearly all kinds are a pair of descriptors; chardev.c moves bytes between those and the front ends. A kind
// opens them, and says what becomes of it when the peer is gone.
#ifndef BACKEND_CHARDEV_IMPL_H
#define BACKEND_CHARDEV_IMPL_H

#include "backend/chardev.h"
#include "backend/chardev_open.h"

#define CHARDEV_MAX_FRONTS 8
#define CHARDEV_FIFO       4096      // of each front end of a multiplexer
#define CHARDEV_OUT_LIMIT  (1 << 20) // output kept for a peer that does not read

struct chardev_class {
    const char *kind; // as in -chardev
    const char *help;
    size_t size; // of the kind's struct, whose first member is `struct chardev`
    // Reads its options, returns false if options_done() does, and opens.
    bool (*open)(struct chardev *chr, struct options *opts, GError **error);
    void (*close)(struct chardev *chr);     // before the core closes what it owns; may be NULL
    // Before that in a process that is a copy: closing must leave alone what the original still uses. May be NULL.
    void (*abandon)(struct chardev *chr);
    void (*continued)(struct chardev *chr); // may be NULL
    // End of file or an error while reading or writing. NULL: the direction is given up.
    void (*lost)(struct chardev *chr);
    // Each round, before the wait: time-outs. May be NULL.
    void (*prepare)(struct chardev *chr, int *timeout_ms);
    // Changes input in place and returns its new length, which is not greater. May be NULL.
    size_t (*decode)(struct chardev *chr, uint8_t *data, size_t len);
    // What goes to the peer instead of data, appended to out. May be NULL.
    void (*encode)(struct chardev *chr, const uint8_t *data, size_t len, GByteArray *out);
    // For kinds without descriptors: takes all. May be NULL.
    void (*sink)(struct chardev *chr, const uint8_t *data, size_t len);
    bool in_memory; // nothing of it is the host's
    bool lossy; // a peer that stopped reading makes us drop the oldest output rather than wait
};

struct chardev_port {
    struct chardev *chr;
    struct chardev_front front;
    char *name;
    unsigned data_id, event_id; // at the front's door
    uint8_t *fifo;              // multiplexer only: CHARDEV_FIFO bytes
    unsigned fifo_head, fifo_len;
    bool told_open; // the last event it got
};

struct chardev {
    const struct chardev_class *cls;
    char *id;
    char *desc;
    struct poller *p;
    struct chardev_port *ports[CHARDEV_MAX_FRONTS]; // owned; the first nr_ports
    unsigned nr_ports;
    struct door *door; // of the machine's front ends; NULL: there are none
    bool is_open;      // has a peer

    int in_fd, out_fd; // -1: none. May be the same
    bool keep_fds;     // they are not ours to close, nor to change
    struct poll_watch *in, *out;
    bool hung_up; // the peer is gone, but what it sent is not read yet
    bool more_in; // input waits for room in a front end
    GByteArray *out_buf;
    bool blocked; // the host took no more of it: not tried again before the next round
    bool stalled; // the peer has not read for a while
    int log_fd;   // logfile=, or -1

    bool mux;
    unsigned focus; // index into ports
    bool escaped;   // the last key was the escape key
    uint8_t escape;
};

extern const struct chardev_class chardev_file_class, chardev_null_class, chardev_pipe_class,
    chardev_pty_class, chardev_ringbuf_class, chardev_serial_class, chardev_socket_class,
    chardev_stdio_class;

// chardev.c: opens anew. Checks and frees opts.
bool chardev_reopen_as(struct chardev *chr, struct options *opts, GError **error);
// chardev.c: starts moving bytes through these descriptors. in_fd or out_fd may be -1.
void chardev_set_fds(struct chardev *chr, int in_fd, int out_fd);
// Stops, and closes them unless they are to be kept.
void chardev_drop_fds(struct chardev *chr);
// The peer came or went; front ends hear of it in the next round.
void chardev_set_open(struct chardev *chr, bool is_open);
void chardev_set_desc(struct chardev *chr, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// open(2) with an error that names the file.
int chardev_open_file(const char *path, int flags, GError **error);

// chardev_mux.c: how many bytes of input may come now, and where they go.
size_t mux_room(const struct chardev *chr);
void mux_input(struct chardev *chr, const uint8_t *data, size_t len);
// Offers what the front ends have not had yet.
void mux_pump(struct chardev *chr);

// chardev.c: a replay gives the front end what it gets: what comes now has to wait.
bool port_waits(const struct chardev_port *port);
// To one front end, through its door if it has one.
void port_receive(struct chardev_port *port, const uint8_t *data, size_t len);
enum port_event { PORT_CLOSED, PORT_OPENED, PORT_BREAK };
void port_event(struct chardev_port *port, enum port_event event);

#endif
