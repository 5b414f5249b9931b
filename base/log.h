// SPDX-License-Identifier: MIT
// The log behind -d and -D: channels selected by a mask, one output file. The mask and the file are the
// only writable globals of the program.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <glib.h>
#include <stdio.h>

#include "base/types.h"

// X(enumerator, name in -d, help)
#define LOG_CHANNELS(X)                                                                            \
    X(LOG_IN_ASM, "in_asm", "guest code of each unit translated")                                  \
    X(LOG_OP, "op", "IR as lifted")                                                                \
    X(LOG_OP_OPT, "op_opt", "IR after the passes")                                                 \
    X(LOG_OUT_ASM, "out_asm", "host code of each unit")                                            \
    X(LOG_INT, "int", "interrupts and traps taken")                                                \
    X(LOG_EXEC, "exec", "each unit entered from the loop")                                         \
    X(LOG_CPU, "cpu", "registers at each unit entered from the loop")                              \
    X(LOG_MMU, "mmu", "page-table walks and TLB flushes")                                          \
    X(LOG_UNIMP, "unimp", "what the guest asked for and is not implemented")                       \
    X(LOG_GUEST, "guest_errors", "mistakes of the guest")                                          \
    X(LOG_JIT, "jit", "counters of the translator, at the end")                                    \
    X(LOG_NOCHAIN, "nochain", "do not link units, so that exec shows each")

enum log_channel_index {
#define X(e, n, h) e##_INDEX,
    LOG_CHANNELS(X)
#undef X
        LOG_NR_CHANNELS
};

enum log_channel {
#define X(e, n, h) e = 1u << e##_INDEX,
    LOG_CHANNELS(X)
#undef X
};

extern unsigned log_mask; // of enum log_channel

// Sets the mask from "a,b,c" ("help" is not handled here). FALSE names the unknown channel.
bool log_set_mask(const char *list, GError **error);
// Sends the log to a file instead of stderr. The file is truncated.
bool log_set_file(const char *path, GError **error);
// Prints the table of channels, for `-d help`.
void log_print_help(FILE *out);
// The log's stream; never NULL.
FILE *log_stream(void);

// As printf: a line ends with the newline that the caller gives.
void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline bool log_on(unsigned channels)
{
    return unlikely(log_mask & channels);
}

// A mistake of the guest: hardware behaviour is followed, and this says so.
#define log_guest(...)                                                                             \
    do {                                                                                           \
        if (log_on(LOG_GUEST))                                                                     \
            log_printf(__VA_ARGS__);                                                               \
    } while (0)
// Something real hardware has and we do not.
#define log_unimp(...)                                                                             \
    do {                                                                                           \
        if (log_on(LOG_UNIMP))                                                                     \
            log_printf(__VA_ARGS__);                                                               \
    } while (0)

// One line "ferry: warning: ..." on stderr, for the user (not the log).
void warn_user(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// The domain of all GErrors of ours that no library's domain fits.
#define FERRY_ERROR (ferry_error_quark())
enum ferry_error {
    FERRY_ERROR_OPTION,
    FERRY_ERROR_FILE,
    FERRY_ERROR_FORMAT,
    FERRY_ERROR_HOST,
    FERRY_ERROR_STATE, // not possible now
};
GQuark ferry_error_quark(void);

#endif
