// SPDX-License-Identifier: MIT
// Opens and unpacks the files of the image loaders. A file is mapped, not read: most of them are copied to
// guest memory once, and start-up time counts. gzip is RFC 1952.
#include "machine/loader_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log.h"

bool loader_fail(GError **error, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "%s: %s", path, text);
    return false;
}

char *loader_size_text(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    unsigned unit = 0;

    while (unit + 1 < ARRAY_LEN(units) && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    return g_strdup_printf("%" PRIu64 " %s", bytes, units[unit]);
}

static bool map_file(struct loader_file *f, int fd, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return loader_fail(error, f->path, "%s", g_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return loader_fail(error, f->path, "%s, expected a file",
                           S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    if (st.st_size == 0)
        return loader_fail(error, f->path, "the file is empty");
    f->map_len = st.st_size;
    f->mapping = mmap(NULL, f->map_len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (f->mapping == MAP_FAILED)
        return loader_fail(error, f->path, "%s", g_strerror(errno));
    f->data = f->mapping;
    f->len = f->map_len;
    return true;
}

bool loader_file_open(struct loader_file *f, const char *path, GError **error)
{
    *f = (struct loader_file){.path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return loader_fail(error, path, "%s", g_strerror(errno));
    bool ok = map_file(f, fd, error);
    close(fd);
    return ok;
}

static void unmap(struct loader_file *f)
{
    if (f->mapping)
        munmap(f->mapping, f->map_len);
    f->mapping = NULL;
}

void loader_file_close(struct loader_file *f)
{
    unmap(f);
    if (f->unpacked)
        g_byte_array_unref(f->unpacked);
    *f = (struct loader_file){.path = NULL};
}

bool loader_file_is_gzip(const struct loader_file *f)
{
    return f->len >= 18 && f->data[0] == 0x1f && f->data[1] == 0x8b && f->data[2] == Z_DEFLATED;
}

// Inflates until the end of the stream. Z_STREAM_END: all is well; Z_BUF_ERROR: there is more than `limit`.
static int inflate_all(z_stream *z, GByteArray *out, uint64_t limit)
{
    int status = Z_OK;

    while (status == Z_OK) {
        size_t have = out->len;
        if (have >= limit)
            return Z_BUF_ERROR;
        size_t room = MIN(MAX(have, 1u << 20), limit - have);
        g_byte_array_set_size(out, have + room);
        z->next_out = out->data + have;
        z->avail_out = room;
        status = inflate(z, Z_NO_FLUSH);
        g_byte_array_set_size(out, have + room - z->avail_out);
        if (status == Z_BUF_ERROR) // no progress: the input ended early
            status = Z_DATA_ERROR;
    }
    return status;
}

bool loader_file_unpack(struct loader_file *f, size_t offset, size_t len, uint64_t limit,
                        GError **error)
{
    assert(offset <= f->len && len <= f->len - offset);
    if (len > G_MAXUINT32)
        return loader_fail(error, f->path, "more than 4 GiB of compressed data");

    z_stream z = {.next_in = (Bytef *)(uintptr_t)(f->data + offset), .avail_in = len};
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return loader_fail(error, f->path, "no memory to unpack it");
    GByteArray *out = g_byte_array_new();
    int status = inflate_all(&z, out, MIN(limit, (uint64_t)G_MAXUINT32 / 2));
    inflateEnd(&z);
    if (status != Z_STREAM_END) {
        g_byte_array_unref(out);
        g_autofree char *size = loader_size_text(limit);
        return status == Z_BUF_ERROR
                   ? loader_fail(error, f->path, "unpacks to more than %s, the size of RAM", size)
                   : loader_fail(error, f->path, "the gzip data is damaged or cut off");
    }
    unmap(f);
    if (f->unpacked)
        g_byte_array_unref(f->unpacked);
    f->unpacked = out;
    f->data = out->data;
    f->len = out->len;
    f->gzip = true;
    if (!f->len) {
        loader_file_close(f);
        return loader_fail(error, f->path, "unpacks to nothing");
    }
    return true;
}

bool loader_in_file(const struct loader_file *f, uint64_t offset, uint64_t len)
{
    return offset <= f->len && len <= f->len - offset;
}
