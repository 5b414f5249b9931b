// SPDX-License-Identifier: MIT
// The multiplexer: several front ends on one terminal, one of which has the keyboard.
//
// Keys pass through here before they are an input of the machine, so that the escape commands work even if
// the guest has stopped reading; what it has not read waits in its front end's FIFO.
#include <string.h>

#include "backend/chardev_impl.h"

size_t mux_room(const struct chardev *chr)
{
    return CHARDEV_FIFO - chr->ports[chr->focus]->fifo_len;
}

static void pump_port(struct chardev_port *port)
{
    while (port->fifo_len) {
        size_t room = port_waits(port) ? 0 : port->front.can_receive(port->front.opaque);
        size_t len = MIN(MIN(room, port->fifo_len), CHARDEV_FIFO - port->fifo_head);
        uint8_t chunk[256];
        len = MIN(len, sizeof(chunk));
        if (len == 0)
            return;
        memcpy(chunk, port->fifo + port->fifo_head, len);
        port->fifo_head = (unsigned)(port->fifo_head + len) % CHARDEV_FIFO;
        port->fifo_len -= (unsigned)len;
        port_receive(port, chunk, len);
    }
}

void mux_pump(struct chardev *chr)
{
    for (unsigned i = 0; i < chr->nr_ports; i++) {
        pump_port(chr->ports[i]);
        if (chr->ports[i]->fifo_len)
            chr->more_in = true;
    }
}

static void push(struct chardev_port *port, uint8_t byte)
{
    if (port->fifo_len < CHARDEV_FIFO)
        port->fifo[(port->fifo_head + port->fifo_len++) % CHARDEV_FIFO] = byte;
}

static void say(struct chardev *chr, const char *text)
{
    chardev_write(chr, (const uint8_t *)text, strlen(text));
}

// "C-a", or whatever the escape key is.
static void name_key(uint8_t key, char *name, size_t size)
{
    if (key < 0x20)
        g_snprintf(name, size, "C-%c", g_ascii_tolower(key + '@'));
    else
        g_snprintf(name, size, "%c", key);
}

static void print_help(struct chardev *chr)
{
    static const char *const lines[][2] = {
        {"h", "this help"},
        {"x", "leave the emulator"},
        {"b", "send a break"},
        {"c", "switch between console and monitor"},
    };
    char key[8];
    name_key(chr->escape, key, sizeof(key));
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        char *line = g_strdup_printf("\r\n%s %-4s %s", key, lines[i][0], lines[i][1]);
        say(chr, line);
        g_free(line);
    }
    char *line = g_strdup_printf("\r\n%s %-4s send %s\r\n", key, key, key);
    say(chr, line);
    g_free(line);
}

static void run_command(struct chardev *chr, uint8_t key)
{
    struct chardev_port *port = chr->ports[chr->focus];
    if (key == chr->escape) {
        push(port, key);
        return;
    }
    switch (key) {
    case 'h':
    case '?':
        print_help(chr);
        break;
    case 'x':
        say(chr, "\r\n");
        poller_ask_quit(chr->p);
        poller_wake(chr->p);
        break;
    case 'b':
        port_event(port, PORT_BREAK);
        break;
    case 'c':
        chr->focus = (chr->focus + 1) % chr->nr_ports; // front ends hear of it in the next round
        poller_wake(chr->p);
        break;
    }
}

void mux_input(struct chardev *chr, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (chr->escaped) {
            chr->escaped = false;
            run_command(chr, data[i]);
        } else if (data[i] == chr->escape) {
            chr->escaped = true;
        } else {
            push(chr->ports[chr->focus], data[i]);
        }
    }
    mux_pump(chr);
}
