// SPDX-License-Identifier: MIT
// Raw disk images: a file or a block device of the host, with an optional temporary overlay.
//
// The overlay is an unlinked sparse file with the image's own layout; a bitmap says which clusters it holds.
// An image whose size is no multiple of a sector reads as if zeros followed.
#define _GNU_SOURCE // fallocate, open file description locks, O_TMPFILE
#include "backend/block.h"

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

#define SECTOR       512
#define CLUSTER_BITS 16
#define CLUSTER      (UINT64_C(1) << CLUSTER_BITS)
#define COPY_MAX     65536

struct block {
    char *id, *file;
    char *user; // the device that has it, or NULL
    int fd;
    bool readonly, snapshot, no_flush;
    bool is_device;      // a block device of the host
    uint64_t size;       // a multiple of SECTOR
    int overlay_fd;      // -1: none
    uint8_t *in_overlay; // a bit per cluster
    struct block_stats stats;
};

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

static int open_temporary(const char *dir)
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

static bool make_overlay(struct block *blk, GError **error)
{
    const char *wanted = g_getenv("TMPDIR");
    const char *dir = wanted && *wanted ? wanted : "/var/tmp";
    blk->overlay_fd = open_temporary(dir);
    if (blk->overlay_fd < 0 && !wanted)
        blk->overlay_fd = open_temporary(dir = "/tmp");
    if (blk->overlay_fd < 0 || ftruncate(blk->overlay_fd, (off_t)blk->size) < 0)
        return refuse(error, FERRY_ERROR_FILE,
                      "snapshot=on: cannot make a temporary file in %s: %s", dir,
                      g_strerror(errno));
    blk->in_overlay = g_malloc0(blk->size / CLUSTER / 8 + 1);
    return true;
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
           (opts->no_lock || lock(blk, error)) && (!blk->snapshot || make_overlay(blk, error));
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
    if (blk->fd >= 0)
        close(blk->fd);
    if (blk->overlay_fd >= 0)
        close(blk->overlay_fd);
    g_free(blk->in_overlay);
    g_free(blk->id);
    g_free(blk->file);
    g_free(blk->user);
    g_free(blk);
}

bool block_claim(struct block *blk, const char *user, GError **error)
{
    if (blk->user)
        return refuse(error, FERRY_ERROR_OPTION, "%s: drive %s (%s) belongs to %s already", user,
                      blk->id, blk->file, blk->user);
    blk->user = g_strdup(user);
    return true;
}

void block_release(struct block *blk)
{
    g_free(blk->user);
    blk->user = NULL;
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

// --- Bytes of one file ---

// What lies behind the end of the file reads as zeros.
static int read_all(int fd, uint64_t offset, uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = pread(fd, buf, len, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0) {
            memset(buf, 0, len);
            return 0;
        }
        buf += MAX(n, 0);
        offset += (uint64_t)MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

static int write_all(int fd, uint64_t offset, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            return EIO;
        buf += MAX(n, 0);
        offset += (uint64_t)MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

static int write_zeros(int fd, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[COPY_MAX];
    int err = 0;
    while (len && !err) {
        size_t n = MIN(len, sizeof(zeros));
        err = write_all(fd, offset, zeros, n);
        offset += n;
        len -= n;
    }
    return err;
}

// --- The overlay ---

static bool overlay_has(const struct block *blk, uint64_t cluster)
{
    return blk->in_overlay[cluster / 8] >> (cluster % 8) & 1;
}

// How many bytes from offset on lie in the same file, and which file that is.
static size_t extent(const struct block *blk, uint64_t offset, size_t len, int *fd)
{
    uint64_t cluster = offset >> CLUSTER_BITS;
    if (!blk->snapshot) {
        *fd = blk->fd;
        return len;
    }
    bool over = overlay_has(blk, cluster);
    uint64_t end = (cluster + 1) << CLUSTER_BITS;
    while (end < offset + len && overlay_has(blk, end >> CLUSTER_BITS) == over)
        end += CLUSTER;
    *fd = over ? blk->overlay_fd : blk->fd;
    return MIN(len, end - offset);
}

// Brings a cluster over that is about to be written in part.
static int copy_up(struct block *blk, uint64_t cluster)
{
    uint8_t *buf;
    uint64_t start = cluster << CLUSTER_BITS;
    size_t len = MIN(CLUSTER, blk->size - start);
    if (overlay_has(blk, cluster))
        return 0;
    buf = g_malloc(len);
    int err = read_all(blk->fd, start, buf, len);
    if (!err)
        err = write_all(blk->overlay_fd, start, buf, len);
    g_free(buf);
    return err;
}

// The overlay can take a write to the range: its ends are there. Nothing to do without an overlay.
static int prepare_write(struct block *blk, uint64_t offset, uint64_t len)
{
    uint64_t end = offset + len;
    int err = 0;
    if (!blk->snapshot)
        return 0;
    if (offset % CLUSTER)
        err = copy_up(blk, offset >> CLUSTER_BITS);
    if (!err && end % CLUSTER && end != blk->size)
        err = copy_up(blk, end >> CLUSTER_BITS);
    return err;
}

static void mark_written(struct block *blk, uint64_t offset, uint64_t len)
{
    if (!blk->snapshot || len == 0)
        return;
    for (uint64_t c = offset >> CLUSTER_BITS; c <= (offset + len - 1) >> CLUSTER_BITS; c++)
        blk->in_overlay[c / 8] |= (uint8_t)(1 << (c % 8));
}

static int writable_fd(const struct block *blk)
{
    return blk->snapshot ? blk->overlay_fd : blk->fd;
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

int block_read(struct block *blk, uint64_t offset, void *buf, size_t len)
{
    uint8_t *p = buf;
    int err = check(blk, offset, len, false);
    size_t total = len;
    while (len && !err) {
        int fd;
        size_t n = extent(blk, offset, len, &fd);
        err = read_all(fd, offset, p, n);
        p += n;
        offset += n;
        len -= n;
    }
    blk->stats.read_bytes += err ? 0 : total;
    return count(blk, err, &blk->stats.reads);
}

int block_write(struct block *blk, uint64_t offset, const void *buf, size_t len)
{
    int err = check(blk, offset, len, true);
    if (!err)
        err = prepare_write(blk, offset, len);
    if (!err)
        err = write_all(writable_fd(blk), offset, buf, len);
    if (!err) {
        mark_written(blk, offset, len);
        blk->stats.written_bytes += len;
    }
    return count(blk, err, &blk->stats.writes);
}

int block_flush(struct block *blk)
{
    int err = 0;
    if (!blk->readonly && !blk->snapshot && !blk->no_flush && fdatasync(blk->fd) < 0)
        err = errno;
    return count(blk, err, &blk->stats.flushes);
}

// Gives the range's space back, after which it reads as zeros. FALSE: the host can't.
static bool punch(struct block *blk, uint64_t offset, uint64_t len)
{
    return !(blk->is_device && !blk->snapshot) &&
           fallocate(writable_fd(blk), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)len) == 0;
}

static bool zero_range(struct block *blk, uint64_t offset, uint64_t len)
{
    uint64_t range[2] = {offset, len};
    if (blk->is_device && !blk->snapshot)
        return ioctl(blk->fd, BLKZEROOUT, range) == 0;
    return fallocate(writable_fd(blk), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)len) == 0;
}

int block_discard(struct block *blk, uint64_t offset, uint64_t len)
{
    uint64_t range[2] = {offset, len};
    int err = check(blk, offset, len, true);
    blk->stats.errors += err != 0;
    if (err || len == 0)
        return err;
    if (!blk->snapshot && blk->is_device)
        ioctl(blk->fd, BLKDISCARD, range); // a hint: that the host can't is no error
    else if (!blk->snapshot)
        punch(blk, offset, len);
    else if (prepare_write(blk, offset, len) == 0 && punch(blk, offset, len))
        mark_written(blk, offset, len);
    return 0;
}

int block_write_zeroes(struct block *blk, uint64_t offset, uint64_t len, bool unmap)
{
    int err = check(blk, offset, len, true);
    if (!err)
        err = prepare_write(blk, offset, len);
    if (!err && len && !(unmap && punch(blk, offset, len)) && !zero_range(blk, offset, len))
        err = write_zeros(writable_fd(blk), offset, len);
    if (!err) {
        mark_written(blk, offset, len);
        blk->stats.written_bytes += len;
    }
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
    for (uint64_t c = 0; !err && c << CLUSTER_BITS < blk->size; c++) {
        size_t len = MIN(CLUSTER, blk->size - (c << CLUSTER_BITS));
        if (!overlay_has(blk, c))
            continue;
        err = read_all(from, c << CLUSTER_BITS, buf, len);
        if (!err)
            err = write_all(blk->overlay_fd, c << CLUSTER_BITS, buf, len);
    }
    return err;
}

bool block_forked(struct block *blk, GError **error)
{
    int from = blk->overlay_fd;
    uint8_t *map = blk->in_overlay;
    if (!blk->snapshot)
        return true;
    bool ok = make_overlay(blk, error); // with a map of its own
    g_free(blk->in_overlay);
    blk->in_overlay = map;
    int err = ok ? copy_overlay(blk, from) : 0;
    close(from);
    return ok && (!err || refuse(error, FERRY_ERROR_FILE, "cannot copy the overlay of %s: %s",
                                 blk->file, g_strerror(err)));
}
