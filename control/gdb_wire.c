// SPDX-License-Identifier: MIT
// Packets: $body#checksum. In the body, } and the next byte XOR 0x20 stand for one of # $ } and, towards gdb, *.
#include "control/gdb_wire.h"

#define CTRL_C     0x03
#define ESCAPE_XOR 0x20

void gdb_wire_init(struct gdb_wire *w)
{
    *w = (struct gdb_wire){.body = g_string_new(NULL)};
}

void gdb_wire_clear(struct gdb_wire *w)
{
    g_string_free(w->body, TRUE);
}

void gdb_wire_reset(struct gdb_wire *w)
{
    g_string_truncate(w->body, 0);
    w->state = GDB_WIRE_IDLE;
    w->trusting = false;
}

static void start_body(struct gdb_wire *w)
{
    g_string_truncate(w->body, 0);
    w->sum = 0;
    w->spoiled = false;
    w->state = GDB_WIRE_BODY;
}

static void add_byte(struct gdb_wire *w, uint8_t byte)
{
    if (w->body->len < GDB_PACKET_MAX)
        g_string_append_c(w->body, (char)byte);
    else
        w->spoiled = true;
}

static enum gdb_wire_event idle_byte(struct gdb_wire *w, uint8_t byte)
{
    switch (byte) {
    case '$':
        start_body(w);
        return GDB_WIRE_NONE;
    case CTRL_C:
        return GDB_WIRE_BREAK;
    case '+':
        return GDB_WIRE_ACK;
    case '-':
        return GDB_WIRE_NAK;
    default:
        return GDB_WIRE_NONE; // noise
    }
}

static void body_byte(struct gdb_wire *w, uint8_t byte)
{
    if (byte == '#') {
        w->state = GDB_WIRE_SUM1;
        return;
    }
    if (byte == '$') { // a packet that lost its end
        start_body(w);
        return;
    }
    w->sum = (uint8_t)(w->sum + byte);
    if (byte == '}')
        w->state = GDB_WIRE_ESCAPE;
    else
        add_byte(w, byte);
}

static enum gdb_wire_event finish(struct gdb_wire *w, uint8_t low)
{
    int digit = g_ascii_xdigit_value((char)low);
    w->state = GDB_WIRE_IDLE;
    w->spoiled |= digit < 0;
    bool right = w->trusting || (w->sum_high << 4 | digit) == w->sum;
    return w->spoiled || !right ? GDB_WIRE_BAD : GDB_WIRE_PACKET;
}

enum gdb_wire_event gdb_wire_feed(struct gdb_wire *w, uint8_t byte)
{
    int digit;
    switch (w->state) {
    case GDB_WIRE_IDLE:
        return idle_byte(w, byte);
    case GDB_WIRE_BODY:
        body_byte(w, byte);
        break;
    case GDB_WIRE_ESCAPE:
        w->sum = (uint8_t)(w->sum + byte);
        add_byte(w, byte ^ ESCAPE_XOR);
        w->state = GDB_WIRE_BODY;
        break;
    case GDB_WIRE_SUM1:
        digit = g_ascii_xdigit_value((char)byte);
        w->spoiled |= digit < 0;
        w->sum_high = (uint8_t)(digit & 15);
        w->state = GDB_WIRE_SUM2;
        break;
    case GDB_WIRE_SUM2:
        return finish(w, byte);
    }
    return GDB_WIRE_NONE;
}

void gdb_wire_pack(GString *out, const char *body, size_t len)
{
    uint8_t sum = 0;
    g_string_append_c(out, '$');
    size_t start = out->len;
    for (size_t i = 0; i < len; i++) {
        if (strchr("#$}*", body[i]) && body[i]) {
            g_string_append_c(out, '}');
            g_string_append_c(out, (char)(body[i] ^ ESCAPE_XOR));
        } else {
            g_string_append_c(out, body[i]);
        }
    }
    for (size_t i = start; i < out->len; i++)
        sum = (uint8_t)(sum + (uint8_t)out->str[i]);
    g_string_append_printf(out, "#%02x", sum);
}

// --- Hexadecimal digits ---

void gdb_hex_append(GString *out, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        g_string_append_printf(out, "%02x", p[i]);
}

bool gdb_hex_u64(const char **p, uint64_t *value)
{
    const char *start = *p;
    *value = 0;
    for (; g_ascii_isxdigit(**p); ++*p)
        *value = *value << 4 | (uint64_t)g_ascii_xdigit_value(**p);
    return *p != start;
}

bool gdb_hex_bytes(const char **p, void *bytes, size_t len)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++, *p += 2) {
        int high = g_ascii_xdigit_value((*p)[0]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value((*p)[1]);
        if (low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
