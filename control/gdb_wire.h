// SPDX-License-Identifier: MIT
// gdb's remote serial protocol on the wire: bytes to packets and back. Manual of gdb, "Remote Protocol, Overview".
#ifndef CONTROL_GDB_WIRE_H
#define CONTROL_GDB_WIRE_H

#include <glib.h>

#include "base/types.h"

#define GDB_PACKET_MAX 0x4000 // bytes between $ and #, either way

enum gdb_wire_event {
    GDB_WIRE_NONE,   // the byte belongs to something that is not complete
    GDB_WIRE_PACKET, // w->body holds one; it is good until the next byte
    GDB_WIRE_BREAK,  // Ctrl-C
    GDB_WIRE_ACK,
    GDB_WIRE_NAK,
    GDB_WIRE_BAD, // a packet with a wrong checksum, or too long
};

enum gdb_wire_state { GDB_WIRE_IDLE, GDB_WIRE_BODY, GDB_WIRE_ESCAPE, GDB_WIRE_SUM1, GDB_WIRE_SUM2 };

struct gdb_wire {
    enum gdb_wire_state state;
    GString *body;    // unescaped; may hold NULs
    uint8_t sum;      // of the bytes so far
    uint8_t sum_high; // first digit of the one that came
    bool spoiled;     // too long, or no digits for a checksum
    bool trusting;    // checksums are not looked at (no-ack mode)
};

void gdb_wire_init(struct gdb_wire *w);
void gdb_wire_clear(struct gdb_wire *w);
// Forgets what is not complete.
void gdb_wire_reset(struct gdb_wire *w);
enum gdb_wire_event gdb_wire_feed(struct gdb_wire *w, uint8_t byte);
// Appends a packet with this body.
void gdb_wire_pack(GString *out, const char *body, size_t len);

// Digits are lower case. Parsing stops at what is none, and says whether there was any.
void gdb_hex_append(GString *out, const void *bytes, size_t len);
bool gdb_hex_u64(const char **p, uint64_t *value);
// Exactly `len` bytes; false: there are fewer.
bool gdb_hex_bytes(const char **p, void *bytes, size_t len);

#endif
