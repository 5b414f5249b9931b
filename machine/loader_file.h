// SPDX-License-Identifier: MIT
// What the image loaders share: files as bytes in host memory, unpacked where they are compressed, and plans of
// where they go.
#ifndef MACHINE_LOADER_FILE_H
#define MACHINE_LOADER_FILE_H

#include <glib.h>

#include "machine/loader.h"

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

// A piece of the file that goes to memory, followed by zeros up to mem_len.
struct loader_piece {
    paddr_t addr;
    size_t offset, file_len;
    uint64_t mem_len;
    uint64_t header_len; // of the first bytes, which nobody misses where there is no memory
};

struct loader_plan {
    struct loader_image image;
    GArray *pieces; // of struct loader_piece
    uint32_t uimage_type;
};

#define LOADER_PROBE_LIMIT \
    (UINT64_C(1) << 30) // of what a compressed file unpacks to while it is looked at

// Whether [offset, offset + len) lies in the file.
bool loader_in_file(const struct loader_file *f, uint64_t offset, uint64_t len);

bool loader_is_elf(const struct loader_file *f);
bool loader_plan_elf(const struct loader_file *f, struct loader_plan *plan, GError **error);
// The name of an e_machine, newly allocated.
char *loader_elf_machine_text(uint16_t machine);

#endif
