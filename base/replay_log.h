// SPDX-License-Identifier: MIT
// The entries of a recording, as bytes of a journal.
//
// An entry says what it is, where the machine was (as differences from the entry before), and what came in.
#ifndef BASE_REPLAY_LOG_H
#define BASE_REPLAY_LOG_H

#include "base/journal.h"
#include "base/replay.h"

enum log_kind {
    LOG_NONE,   // there are no more
    LOG_INPUT,  // came by itself
    LOG_ANSWER, // was asked for by the machine
    LOG_END,    // of the recording
};

struct log_entry {
    enum log_kind kind;
    uint32_t id; // of the receiver
    struct door_position at;
    uint64_t key;  // LOG_ANSWER: what was asked for
    uint32_t len;  // of the data
    uint64_t data; // its offset in the journal
    uint64_t next; // offset of the next entry
};

// Appends an entry; *last is the position of the one before, and then of this one.
void log_append(struct journal *j, struct door_position *last, const struct log_entry *e,
                const uint8_t *data);
// Reads the entry at an offset, before which one was at `last`.
void log_read(struct journal *j, uint64_t offset, const struct door_position *last,
              struct log_entry *e);

#endif
