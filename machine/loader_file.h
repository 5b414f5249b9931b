// SPDX-License-Identifier: MIT
// Files as the image loaders see them: bytes in host memory, unpacked where they are compressed.
// Private to the loaders.
#ifndef MACHINE_LOADER_FILE_H
#define MACHINE_LOADER_FILE_H

#include <glib.h>

#include "base/types.h"

struct loader_file {
    const char *path; // not owned
    const uint8_t *data;
    size_t len;
    bool gzip;     // `data` was unpacked from it
    void *mapping; // of the file, map_len bytes; NULL once it is not needed any more
    size_t map_len;
    GByteArray *unpacked; // holds data, if not the mapping
};

// Opens a regular, not empty file. Closing is needed only after success.
bool loader_file_open(struct loader_file *f, const char *path, GError **error);
void loader_file_close(struct loader_file *f);
// Replaces the contents by what the gzip stream at [offset, offset + len) unpacks to, at most `limit` bytes.
bool loader_file_unpack(struct loader_file *f, size_t offset, size_t len, uint64_t limit,
                        GError **error);
bool loader_file_is_gzip(const struct loader_file *f);

// Sets the error to "PATH: message"; returns false.
bool loader_fail(GError **error, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// "128 MiB", newly allocated; sizes that are no round number are given in bytes.
char *loader_size_text(uint64_t bytes);

#endif
