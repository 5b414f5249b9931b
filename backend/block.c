// SPDX-License-Identifier: MIT
// Raw disk images: a file or a block device of the host, with an optional temporary overlay.
//
// An image whose size is no multiple of a sector reads as if zeros followed. Here are opening and closing, and what
// is common to all requests; block_impl.h says where the rest is.
#define _GNU_SOURCE // open file description locks, O_TMPFILE
#include "backend/block_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

#define SECTOR 512

static bool refuse(GError **error, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(GError **error, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, FERRY_ERROR, code, text);
    g_free(text);
    return false;
}

// --- What a file is ---

#define CONVERT "qemu-img convert -O raw"

static const struct magic {
    uint32_t offset, len;
    const char *bytes;
    const char *what;    // in "FILE is ..."
    const char *command; // that makes a raw image of it
} magics[] = {
    {0, 4, "QFI\xfb", "a qcow2 image", CONVERT},
    {0, 4, "QED\0", "a QED image", CONVERT},
    {0, 4, "KDMV", "a VMDK image", CONVERT},
    {0, 4, "COWD", "a VMDK image", CONVERT},
    {0, 21, "# Disk DescriptorFile", "a VMDK descriptor", CONVERT},
    {0, 8, "conectix", "a VPC image", CONVERT},
    {0, 8, "vhdxfile", "a VHDX image", CONVERT},
    {64, 4, "\x7f\x10\xda\xbe", "a VDI image", CONVERT},
    {0, 16, "WithoutFreeSpace", "a Parallels image", CONVERT},
    {0, 16, "WithouFreSpacExt", "a Parallels image", CONVERT},
    {0, 6, "LUKS\xba\xbe", "an encrypted volume", "cryptsetup open"},
    {0, 3, "\x1f\x8b\x08", "compressed by gzip", "gunzip -k"},
    {0, 6, "\xfd\x37zXZ\0", "compressed by xz", "unxz -k"},
    {0, 4, "\x28\xb5\x2f\xfd", "compressed by zstd", "unzstd"},
    {0, 3, "BZh", "compressed by bzip2", "bunzip2 -k"},
};

static bool probe(const struct block *blk, GError **error)
{
    uint8_t head[SECTOR] = {0};
    if (pread(blk->fd, head, sizeof(head), 0) < 0)
        return refuse(error, FERRY_ERROR_FILE, "cannot read %s: %s", blk->file, g_strerror(errno));
    for (unsigned i = 0; i < ARRAY_LEN(magics); i++) {
        const struct magic *m = &magics[i];
        if (memcmp(head + m->offset, m->bytes, m->len))
            continue;
        bool convert = !strcmp(m->command, CONVERT);
        return refuse(error, FERRY_ERROR_FORMAT,
                      "%s is %s, and only raw images can be opened: try %s %s%s%s%s", blk->file,
                      m->what, m->command, blk->file, convert ? " " : "", convert ? blk->file : "",
                      convert ? ".raw" : "");
    }
    return true;
}

static bool check_format(const struct block *blk, const char *format, GError **error)
{
    if (!format)
        return probe(blk, error);
    if (!strcmp(format, "raw"))
        return true;
    return refuse(error, FERRY_ERROR_OPTION,
                  "%s: format=%s: only raw images can be opened: try " CONVERT " %s %s.raw",
                  blk->file, format, blk->file, blk->file);
}

// --- Opening ---

static bool find_size(struct block *blk, GError **error)
{
    struct stat st;
    uint64_t size;
    if (fstat(blk->fd, &st) < 0)
        return refuse(error, FERRY_ERROR_FILE, "%s: %s", blk->file, g_strerror(errno));
    blk->is_device = S_ISBLK(st.st_mode);
    size = (uint64_t)st.st_size;
    if (!S_ISREG(st.st_mode) && !blk->is_device)
        return refuse(error, FERRY_ERROR_FILE, "%s is neither a file nor a block device",
                      blk->file);
    if (blk->is_device && ioctl(blk->fd, BLKGETSIZE64, &size) < 0)
        return refuse(error, FERRY_ERROR_FILE, "cannot find the size of %s: %s", blk->file,
                      g_strerror(errno));
    blk->size = align_up(size, SECTOR);
    return true;
}

// Open file description locks, so that one process can't open an image twice either.
static bool lock(const struct block *blk, GError **error)
{
    bool writes = !blk->readonly && !blk->snapshot;
    struct flock l = {.l_type = writes ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(blk->fd, F_OFD_SETLK, &l) == 0)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return refuse(
            error, FERRY_ERROR_FILE,
            "%s is in use already, and two writers, or a reader and a writer, would spoil "
            "it; readonly=on or snapshot=on at all of its users lets them share it",
            blk->file);
    warn_user("%s cannot be locked against use by others: %s", blk->file, g_strerror(errno));
    return true;
}

static int open_unnamed(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char *name = g_build_filename(dir, "ferry-XXXXXX", NULL);
    fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlink(name);
    g_free(name);
    return fd;
}

int block_open_temporary(const char *why, GError **error)
{
    const char *wanted = g_getenv("TMPDIR");
    const char *dir = wanted && *wanted ? wanted : "/var/tmp";
    int fd = open_unnamed(dir);
    if (fd < 0 && !wanted)
        fd = open_unnamed(dir = "/tmp");
    if (fd < 0)
        refuse(error, FERRY_ERROR_FILE, "%s: cannot make a temporary file in %s: %s", why, dir,
               g_strerror(errno));
    return fd;
}

static bool open_image(struct block *blk, const struct block_options *opts, GError **error)
{
    bool writes = !opts->readonly && !opts->snapshot;
    blk->fd = open(blk->file, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
    if (blk->fd < 0 && writes && (errno == EACCES || errno == EROFS || errno == EPERM))
        return refuse(error, FERRY_ERROR_FILE,
                      "cannot open %s for writing: %s (readonly=on or snapshot=on only read it)",
                      blk->file, g_strerror(errno));
    if (blk->fd < 0)
        return refuse(error, FERRY_ERROR_FILE, "cannot open %s: %s", blk->file, g_strerror(errno));
    return find_size(blk, error) && check_format(blk, opts->format, error) &&
           (opts->no_lock || lock(blk, error)) && (!blk->snapshot || store_add_overlay(blk, error));
}

struct block *block_open(const struct block_options *opts, GError **error)
{
    struct block *blk = g_new0(struct block, 1);
    blk->id = g_strdup(opts->id ? opts->id : "");
    blk->file = g_strdup(opts->file);
    blk->readonly = opts->readonly;
    blk->snapshot = opts->snapshot;
    blk->no_flush = opts->no_flush;
    blk->fd = blk->overlay_fd = -1;
    if (!open_image(blk, opts, error)) {
        block_close(blk);
        return NULL;
    }
    return blk;
}

void block_close(struct block *blk)
{
    if (!blk)
        return;
    history_free(blk);
    if (blk->fd >= 0)
        close(blk->fd);
    if (blk->overlay_fd >= 0)
        close(blk->overlay_fd);
    g_free(blk->in_overlay);
    g_free(blk->seen);
    g_free(blk->id);
    g_free(blk->file);
    g_free(blk->user);
    g_free(blk);
}

bool block_claim(struct block *blk, const char *user, struct door *door, GError **error)
{
    if (blk->user)
        return refuse(error, FERRY_ERROR_OPTION, "%s: drive %s (%s) belongs to %s already", user,
                      blk->id, blk->file, blk->user);
    if (door && door_logs_disks(door) && door_is_replaying(door) && !blk->readonly &&
        !blk->snapshot)
        return refuse(error, FERRY_ERROR_OPTION,
                      "%s: in a replay, drive %s must leave its image alone (snapshot=on)", user,
                      blk->id);
    blk->user = g_strdup(user);
    blk->door = door;
    if (door)
        blk->door_id = door_register(door, DOOR_DISK, user, NULL, NULL);
    return true;
}

void block_release(struct block *blk)
{
    g_free(blk->user);
    blk->user = NULL;
    blk->door = NULL;
}

const char *block_user(const struct block *blk)
{
    return blk->user;
}

const char *block_id(const struct block *blk)
{
    return blk->id;
}

const char *block_file(const struct block *blk)
{
    return blk->file;
}

bool block_is_snapshot(const struct block *blk)
{
    return blk->snapshot;
}

const struct block_stats *block_get_stats(const struct block *blk)
{
    return &blk->stats;
}

uint64_t block_size(const struct block *blk)
{
    return blk->size;
}

bool block_readonly(const struct block *blk)
{
    return blk->readonly;
}

// --- Requests ---

static int check(const struct block *blk, uint64_t offset, uint64_t len, bool writes)
{
    if (offset > blk->size || len > blk->size - offset)
        return EINVAL;
    return writes && blk->readonly ? EROFS : 0;
}

static int count(struct block *blk, int err, uint64_t *requests)
{
    if (err)
        blk->stats.errors++;
    else
        ++*requests;
    return err;
}

// What the host could read of it before it failed must not make a difference.
static int read_range(struct block *blk, uint64_t offset, void *buf, size_t len)
{
    int err = log_request(blk, offset, len, false);
    if (!err)
        err = history_is_viewing(blk) ? history_read(blk, offset, buf, len)
                                      : store_read(blk, offset, buf, len);
    if (err && len)
        memset(buf, 0, len);
    return log_result(blk, offset, len, false, err);
}

int block_read(struct block *blk, uint64_t offset, void *buf, size_t len)
{
    int err = check(blk, offset, len, false);
    if (!err)
        err = read_range(blk, offset, buf, len);
    blk->stats.read_bytes += err ? 0 : len;
    return count(blk, err, &blk->stats.reads);
}

// buf NULL: zeros.
static int change(struct block *blk, uint64_t offset, const void *buf, uint64_t len, bool unmap)
{
    if (history_is_viewing(blk))
        return buf ? history_write(blk, offset, buf, len) : history_zero(blk, offset, len);
    int err = history_before(blk, offset, len);
    if (err)
        return err;
    blk->has_hash &= blk->in_overlay != NULL;
    return buf ? store_write(blk, offset, buf, len) : store_zero(blk, offset, len, unmap);
}

static int write_range(struct block *blk, uint64_t offset, const void *buf, uint64_t len,
                       bool unmap)
{
    int err = log_request(blk, offset, len, true);
    if (!err)
        err = change(blk, offset, buf, len, unmap);
    return log_result(blk, offset, len, true, err);
}

int block_write(struct block *blk, uint64_t offset, const void *buf, size_t len)
{
    int err = check(blk, offset, len, true);
    if (!err && len)
        err = write_range(blk, offset, buf, len, false);
    blk->stats.written_bytes += err ? 0 : len;
    return count(blk, err, &blk->stats.writes);
}

int block_flush(struct block *blk)
{
    int err = log_request(blk, 0, 0, true);
    bool nothing = blk->readonly || blk->in_overlay || blk->no_flush || history_is_viewing(blk);
    if (!err && !nothing && fdatasync(blk->fd) < 0)
        err = errno;
    return count(blk, log_result(blk, 0, 0, true, err), &blk->stats.flushes);
}

// Reads as zeros afterwards on each host, for a run must not depend on what a file system can do.
int block_discard(struct block *blk, uint64_t offset, uint64_t len)
{
    int err = check(blk, offset, len, true);
    blk->stats.errors += err != 0;
    if (!err && len)
        write_range(blk, offset, NULL, len, true); // a hint: that the host can't is no error
    return err;
}

int block_write_zeroes(struct block *blk, uint64_t offset, uint64_t len, bool unmap)
{
    int err = check(blk, offset, len, true);
    if (!err && len)
        err = write_range(blk, offset, NULL, len, unmap);
    blk->stats.written_bytes += err ? 0 : len;
    return count(blk, err, &blk->stats.writes);
}

// --- Copies of the process ---

bool block_check_fork(const struct block *blk, GError **error)
{
    return blk->readonly || blk->snapshot ||
           refuse(error, FERRY_ERROR_OPTION,
                  "drive %s writes to %s, and a copy of the machine would see that: start it with "
                  "snapshot=on (or -snapshot for all disks)",
                  blk->id, blk->file);
}

// The clusters that there are, unless the file system can share them between two files.
static int copy_overlay(const struct block *blk, int from)
{
    g_autofree uint8_t *buf = g_malloc(CLUSTER);
    int err = 0;
    if (ioctl(blk->overlay_fd, FICLONE, from) == 0)
        return 0;
    for (uint64_t c = 0; !err && c < block_clusters(blk); c++) {
        size_t len = block_cluster_size(blk, c);
        if (!bitmap_has(blk->in_overlay, c))
            continue;
        err = file_read(from, c << CLUSTER_BITS, buf, len);
        if (!err)
            err = file_write(blk->overlay_fd, c << CLUSTER_BITS, buf, len);
    }
    return err;
}

// What was kept of the past is the original's: the copy has none.
bool block_forked(struct block *blk, GError **error)
{
    int from = blk->overlay_fd;
    uint8_t *map = blk->in_overlay;
    history_free(blk);
    if (!blk->snapshot)
        return true;
    bool ok = store_add_overlay(blk, error); // with a map of its own
    g_free(blk->in_overlay);
    blk->in_overlay = map;
    int err = ok ? copy_overlay(blk, from) : 0;
    close(from);
    return ok && (!err || refuse(error, FERRY_ERROR_FILE, "cannot copy the overlay of %s: %s",
                                 blk->file, g_strerror(err)));
}
