// SPDX-License-Identifier: MIT
// A server of 9P2000.L for one client: messages as diod's documentation of the protocol and Linux's client have
// them. Error numbers, open flags and modes are Linux's.
//
// A fid names a file by its path below the shared folder and, once it was opened, by a descriptor. Renaming
// changes the paths of all fids below. Handlers return 0 or a negative errno; they read the request through a
// cursor that remembers if anything was missing, and append to the answer.
#include "hw/virtio_9p.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"

#define NOFID       UINT32_MAX
#define WALK_MAX    16
#define MEMORY_MAX  (64 << 20) // bytes of all fids: the guest can't fill the host's memory
#define FID_COST    64          // that a fid counts for besides its path
#define ENTRY_COST  40          // that an entry of a folder counts for besides its name
#define STATFS_TYPE 0x01021997

enum message {
    RLERROR = 7,
    TSTATFS = 8,
    TLOPEN = 12,
    TLCREATE = 14,
    TSYMLINK = 16,
    TMKNOD = 18,
    TRENAME = 20,
    TREADLINK = 22,
    TGETATTR = 24,
    TSETATTR = 26,
    TXATTRWALK = 30,
    TXATTRCREATE = 32,
    TREADDIR = 40,
    TFSYNC = 50,
    TLOCK = 52,
    TGETLOCK = 54,
    TLINK = 70,
    TMKDIR = 72,
    TRENAMEAT = 74,
    TUNLINKAT = 76,
    TVERSION = 100,
    TAUTH = 102,
    TATTACH = 104,
    TFLUSH = 108,
    TWALK = 110,
    TREAD = 116,
    TWRITE = 118,
    TCLUNK = 120,
    TREMOVE = 122,
};

enum qid_type { QT_DIR = 0x80, QT_SYMLINK = 0x02, QT_FILE = 0 };

struct fid {
    uint32_t number;
    uint32_t uid; // as attached: owner of what it creates
    char *path;
    int fd;              // -1: not opened
    GPtrArray *entries;  // of struct fsdev_entry: a folder that is being read; or NULL
    size_t entries_size; // what they count for
};

struct p9 {
    struct fsdev *fs;
    GHashTable *fids; // number -> struct fid, owned
    size_t memory;    // what they count for
    uint32_t msize;   // 0: no session yet
    uint64_t root_dev;
    // The request that is being served.
    const uint8_t *at, *end;
    bool bad;           // it is shorter than it should be, or has a string with a NUL in it
    GPtrArray *strings; // taken from it; freed with it
    GByteArray *reply;
    size_t max;
};

// --- The request's fields ---

static uint64_t take(struct p9 *p, unsigned size)
{
    if ((size_t)(p->end - p->at) < size) {
        p->bad = true;
        return 0;
    }
    uint64_t value = load_le(p->at, size);
    p->at += size;
    return value;
}

static uint32_t take32(struct p9 *p)
{
    return (uint32_t)take(p, 4);
}

static const char *take_string(struct p9 *p)
{
    size_t len = take(p, 2);
    char *s;
    if ((size_t)(p->end - p->at) < len || memchr(p->at, 0, len)) {
        p->bad = true;
        return "";
    }
    s = g_strndup((const char *)p->at, len);
    p->at += len;
    g_ptr_array_add(p->strings, s);
    return s;
}

// --- The answer's fields ---

static void put(struct p9 *p, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    g_byte_array_append(p->reply, bytes, size);
}

static void put_string(struct p9 *p, const char *s)
{
    size_t len = MIN(strlen(s), UINT16_MAX);
    put(p, 2, len);
    g_byte_array_append(p->reply, (const uint8_t *)s, (guint)len);
}

// A number for a file that no other has: its inode's, unless it is on another file system than the root.
static uint64_t file_number(const struct p9 *p, uint64_t dev, uint64_t ino)
{
    return dev == p->root_dev ? ino : ino ^ (dev + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void put_qid(struct p9 *p, const struct stat *st)
{
    uint8_t type = S_ISDIR(st->st_mode) ? QT_DIR : S_ISLNK(st->st_mode) ? QT_SYMLINK : QT_FILE;
    put(p, 1, type);
    put(p, 4, (uint64_t)st->st_mtime ^ (uint64_t)st->st_size << 8);
    put(p, 8, file_number(p, st->st_dev, st->st_ino));
}

static size_t room(const struct p9 *p)
{
    return p->max - MIN(p->max, p->reply->len);
}

// --- Fids ---

static size_t fid_size(const char *path)
{
    return strlen(path) + FID_COST;
}

static void fid_free(void *data)
{
    struct fid *f = data;
    if (f->fd >= 0)
        close(f->fd);
    if (f->entries)
        g_ptr_array_free(f->entries, TRUE);
    g_free(f->path);
    g_free(f);
}

static struct fid *find_fid(struct p9 *p, uint32_t number)
{
    return g_hash_table_lookup(p->fids, GUINT_TO_POINTER(number));
}

static int take_fid(struct p9 *p, struct fid **f)
{
    *f = find_fid(p, take32(p));
    return p->bad ? -EINVAL : *f ? 0 : -EBADF;
}

static void set_path(struct p9 *p, struct fid *f, char *path)
{
    p->memory += fid_size(path) - fid_size(f->path);
    g_free(f->path);
    f->path = path;
}

static int add_fid(struct p9 *p, uint32_t number, uint32_t uid, const char *path)
{
    if (number == NOFID || find_fid(p, number))
        return -EINVAL;
    if (p->memory + fid_size(path) > MEMORY_MAX)
        return -ENFILE;
    struct fid *f = g_new0(struct fid, 1);
    *f = (struct fid){.number = number, .uid = uid, .path = g_strdup(path), .fd = -1};
    p->memory += fid_size(path);
    g_hash_table_insert(p->fids, GUINT_TO_POINTER(number), f);
    return 0;
}

static void remove_fid(struct p9 *p, struct fid *f)
{
    p->memory -= fid_size(f->path) + f->entries_size;
    g_hash_table_remove(p->fids, GUINT_TO_POINTER(f->number));
}

static char *join(const char *dir, const char *name)
{
    return *dir ? g_strconcat(dir, "/", name, NULL) : g_strdup(name);
}

static char *parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return g_strndup(path, slash ? (gsize)(slash - path) : 0);
}

// What follows `dir` in a path at or below it ("" or "/..."), or NULL.
static const char *below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return !strncmp(path, dir, len) && (!path[len] || path[len] == '/') ? path + len : NULL;
}

// A fid and a name in it make a path. *path is newly allocated if the result is 0.
static int take_child(struct p9 *p, struct fid **dir, char **path)
{
    int err = take_fid(p, dir);
    const char *name = take_string(p);
    if (err || p->bad)
        return err ? err : -EINVAL;
    if (!fsdev_name_ok(name))
        return strlen(name) > NAME_MAX ? -ENAMETOOLONG : -EINVAL;
    if (strlen((*dir)->path) + strlen(name) + 2 > PATH_MAX)
        return -ENAMETOOLONG;
    *path = join((*dir)->path, name);
    return 0;
}

// A descriptor for attributes: the one it was opened with, since the file may have lost its name, or one for now.
static int get_handle(struct p9 *p, const struct fid *f)
{
    return f->fd >= 0 ? f->fd : fsdev_open_path(p->fs, f->path);
}

// Passes err on.
static int put_handle(const struct fid *f, int fd, int err)
{
    if (fd != f->fd)
        close(fd);
    return err;
}

static int put_qid_of(struct p9 *p, const char *path)
{
    struct stat st;
    int err = fsdev_stat(p->fs, path, &st);
    if (err >= 0)
        put_qid(p, &st);
    return err;
}

// --- The session ---

static void end_session(struct p9 *p)
{
    g_hash_table_remove_all(p->fids);
    p->memory = 0;
}

static int do_version(struct p9 *p)
{
    uint32_t msize = take32(p);
    const char *version = take_string(p);
    bool known = !strcmp(version, "9P2000.L") && msize >= 4096;
    end_session(p);
    p->msize = known ? MIN(msize, P9_MSIZE_MAX) : 0;
    put(p, 4, MIN(msize, P9_MSIZE_MAX));
    put_string(p, known ? version : "unknown");
    return 0;
}

static int do_attach(struct p9 *p)
{
    uint32_t number = take32(p), afid = take32(p);
    struct stat st;
    take_string(p); // user's name
    take_string(p); // which tree: there is one
    uint32_t uid = take32(p);
    int err = afid == NOFID ? fsdev_stat(p->fs, "", &st) : -EINVAL;
    if (err < 0 || p->bad)
        return err < 0 ? err : -EINVAL;
    p->root_dev = st.st_dev;
    err = add_fid(p, number, uid, "");
    if (!err)
        put_qid(p, &st);
    return err;
}

static int do_flush(struct p9 *p)
{
    take(p, 2); // the tag of a request that was answered long ago
    return 0;
}

static int do_clunk(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    if (!err)
        remove_fid(p, f);
    return err;
}

// --- Walking ---

static int walk_step(struct p9 *p, char **path, const char *name)
{
    char *next;
    if (!strcmp(name, ".."))
        next = parent(*path);
    else if (fsdev_name_ok(name) && strlen(*path) + strlen(name) + 2 <= PATH_MAX)
        next = join(*path, name);
    else
        return -ENOENT;
    int err = put_qid_of(p, next);
    if (err < 0) {
        g_free(next);
        return err;
    }
    g_free(*path);
    *path = next;
    return 0;
}

static int finish_walk(struct p9 *p, struct fid *f, uint32_t number, const char *path)
{
    if (number != f->number)
        return add_fid(p, number, f->uid, path);
    set_path(p, f, g_strdup(path));
    return 0;
}

// The new fid is made only if all names were found; the first one missing is an error, a later one is not.
static int do_walk(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    uint32_t number = take32(p);
    unsigned count = (unsigned)take(p, 2), found = 0;
    if (err || p->bad || count > WALK_MAX)
        return err ? err : -EINVAL;
    if (number == f->number ? f->fd >= 0 : find_fid(p, number) != NULL)
        return -EINVAL;
    guint at = p->reply->len;
    char *path = g_strdup(f->path);
    put(p, 2, 0);
    while (!err && found < count) {
        err = walk_step(p, &path, take_string(p));
        found += !err;
    }
    store_le(p->reply->data + at, 2, found);
    if (found == count)
        err = finish_walk(p, f, number, path);
    g_free(path);
    return found && found < count ? 0 : err;
}

// --- Opening ---

enum {
    L_ACCMODE = 3,
    L_EXCL = 0200,
    L_TRUNC = 01000,
    L_APPEND = 02000,
    L_DSYNC = 010000,
    L_DIRECTORY = 0200000,
    L_SYNC = 04000000
};

// Flags are numbered as in the protocol; some have other values on some hosts.
static int host_flags(uint32_t flags)
{
    static const struct {
        uint32_t guest;
        int host;
    } map[] = {{L_EXCL, O_EXCL},   {L_TRUNC, O_TRUNC}, {L_APPEND, O_APPEND},
               {L_DSYNC, O_DSYNC}, {L_SYNC, O_SYNC},   {L_DIRECTORY, O_DIRECTORY}};
    int result = (int)(flags & L_ACCMODE);
    for (unsigned i = 0; i < ARRAY_LEN(map); i++)
        if ((flags & map[i].guest) == map[i].guest)
            result |= map[i].host;
    return result;
}

static int put_opened(struct p9 *p, struct fid *f, int fd)
{
    struct stat st;
    if (fd < 0)
        return fd;
    f->fd = fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    put_qid(p, &st);
    put(p, 4, 0); // no preferred size of reads and writes
    return 0;
}

static int do_lopen(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    uint32_t flags = take32(p);
    if (err || p->bad || f->fd >= 0)
        return err ? err : -EINVAL;
    return put_opened(p, f, fsdev_open_file(p->fs, f->path, host_flags(flags)));
}

static int create_or_open(struct p9 *p, struct fid *f, const char *path, int flags, uint32_t mode,
                          uint32_t gid)
{
    int fd = fsdev_create(p->fs, path, flags, mode);
    if (fd == -EEXIST && !(flags & O_EXCL))
        return fsdev_open_file(p->fs, path, flags);
    int err = fd < 0 ? fd : fsdev_chown(p->fs, fd, f->uid, gid);
    if (fd >= 0 && err < 0) {
        close(fd);
        fsdev_unlink(p->fs, path, false);
    }
    return err < 0 ? err : fd;
}

static int do_lcreate(struct p9 *p)
{
    struct fid *f;
    char *path;
    int err = take_child(p, &f, &path);
    uint32_t flags = take32(p), mode = take32(p), gid = take32(p);
    if (err)
        return err;
    int fd =
        p->bad || f->fd >= 0 ? -EINVAL : create_or_open(p, f, path, host_flags(flags), mode, gid);
    if (fd >= 0)
        set_path(p, f, g_strdup(path));
    g_free(path);
    return put_opened(p, f, fd);
}

// --- Reading and writing ---

static int do_read(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    uint64_t offset = take(p, 8);
    uint32_t count = take32(p);
    if (err || p->bad || f->fd < 0 || offset > INT64_MAX)
        return err ? err : f->fd < 0 ? -EBADF : -EINVAL;
    count = (uint32_t)MIN(count, room(p) - MIN(room(p), 4));
    guint at = p->reply->len;
    g_byte_array_set_size(p->reply, at + 4 + count);
    ssize_t n = pread(f->fd, p->reply->data + at + 4, count, (off_t)offset);
    if (n < 0)
        return -errno;
    store_le(p->reply->data + at, 4, (uint64_t)n);
    g_byte_array_set_size(p->reply, at + 4 + (guint)n);
    return 0;
}

static int do_write(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    uint64_t offset = take(p, 8);
    uint32_t count = take32(p);
    if (err || p->bad || f->fd < 0 || offset > INT64_MAX || count > p->end - p->at)
        return err ? err : f->fd < 0 ? -EBADF : -EINVAL;
    ssize_t n = pwrite(f->fd, p->at, count, (off_t)offset);
    if (n < 0)
        return -errno;
    put(p, 4, (uint64_t)n);
    return 0;
}

static int do_fsync(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    bool data_only = p->at < p->end && take32(p);
    if (err || f->fd < 0)
        return err ? err : -EBADF;
    return (data_only ? fdatasync(f->fd) : fsync(f->fd)) < 0 ? -errno : 0;
}

static void put_entry(struct p9 *p, const struct fsdev_entry *e, uint64_t next)
{
    put(p, 1, e->type == DT_DIR ? QT_DIR : e->type == DT_LNK ? QT_SYMLINK : QT_FILE);
    put(p, 4, 0);
    put(p, 8, e->ino);
    put(p, 8, next);
    put(p, 1, e->type);
    put_string(p, e->name);
}

static size_t size_of_entries(const GPtrArray *entries)
{
    size_t size = 0;
    for (unsigned i = 0; i < entries->len; i++)
        size += ENTRY_COST + strlen(((struct fsdev_entry *)g_ptr_array_index(entries, i))->name);
    return size;
}

static void forget_entries(struct p9 *p, struct fid *f)
{
    if (f->entries)
        g_ptr_array_free(f->entries, TRUE);
    p->memory -= f->entries_size;
    f->entries = NULL;
    f->entries_size = 0;
}

static int list_entries(struct p9 *p, struct fid *f)
{
    int err = fsdev_list(p->fs, f->path, &f->entries);
    if (err < 0)
        return err;
    f->entries_size = size_of_entries(f->entries);
    p->memory += f->entries_size;
    if (p->memory <= MEMORY_MAX)
        return 0;
    forget_entries(p, f);
    return -ENFILE;
}

// From the start, a folder is listed anew; offsets count its entries.
static int do_readdir(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    uint64_t offset = take(p, 8);
    size_t limit = take32(p);
    if (err || p->bad || f->fd < 0)
        return err ? err : f->fd < 0 ? -EBADF : -EINVAL;
    if (offset == 0)
        forget_entries(p, f);
    if (!f->entries)
        err = list_entries(p, f);
    if (err < 0)
        return err;
    guint at = p->reply->len;
    put(p, 4, 0);
    limit = MIN(limit, room(p)) + p->reply->len;
    for (; offset < f->entries->len; offset++) {
        const struct fsdev_entry *e = g_ptr_array_index(f->entries, offset);
        if (p->reply->len + 24 + strlen(e->name) > limit)
            break;
        put_entry(p, e, offset + 1);
    }
    store_le(p->reply->data + at, 4, p->reply->len - at - 4);
    return 0;
}

// --- Attributes ---

static uint64_t guest_dev(dev_t dev)
{
    uint64_t minor_nr = minor(dev);
    return (minor_nr & 0xff) | (uint64_t)major(dev) << 8 | (minor_nr & ~UINT64_C(0xff)) << 12;
}

static void put_time(struct p9 *p, const struct timespec *t)
{
    put(p, 8, (uint64_t)t->tv_sec);
    put(p, 8, (uint64_t)t->tv_nsec);
}

static int do_getattr(struct p9 *p)
{
    enum { BASIC = 0x7ff };
    struct fid *f;
    struct stat st;
    int err = take_fid(p, &f);
    int fd = err ? err : get_handle(p, f);
    if (fd < 0)
        return fd;
    if (put_handle(f, fd, fstat(fd, &st)) < 0)
        return -errno;
    put(p, 8, BASIC);
    put_qid(p, &st);
    put(p, 4, st.st_mode);
    put(p, 4, st.st_uid);
    put(p, 4, st.st_gid);
    put(p, 8, st.st_nlink);
    put(p, 8, guest_dev(st.st_rdev));
    put(p, 8, (uint64_t)st.st_size);
    put(p, 8, (uint64_t)st.st_blksize);
    put(p, 8, (uint64_t)st.st_blocks);
    put_time(p, &st.st_atim);
    put_time(p, &st.st_mtim);
    put_time(p, &st.st_ctim);
    for (int i = 0; i < 4; i++) // birth time, generation, version of the data: not known
        put(p, 8, 0);
    return 0;
}

enum setattr {
    A_MODE = 1,
    A_UID = 2,
    A_GID = 4,
    A_SIZE = 8,
    A_ATIME = 0x10,
    A_MTIME = 0x20,
    A_ATIME_SET = 0x80,
    A_MTIME_SET = 0x100
};

struct attributes {
    uint32_t valid, mode, uid, gid;
    uint64_t size;
    struct timespec times[2]; // access, modification
};

static struct timespec take_time(struct p9 *p, uint32_t valid, uint32_t change, uint32_t set)
{
    struct timespec t = {.tv_sec = (time_t)take(p, 8)}; // one by one: initializers have no order
    t.tv_nsec = (long)take(p, 8);
    if (!(valid & change))
        t.tv_nsec = UTIME_OMIT;
    else if (!(valid & set))
        t.tv_nsec = UTIME_NOW;
    else if (t.tv_nsec < 0 || t.tv_nsec > 999999999)
        p->bad = true;
    return t;
}

static int set_attributes(struct p9 *p, int fd, const struct attributes *a)
{
    int err = 0;
    if (a->valid & A_MODE)
        err = fsdev_chmod(p->fs, fd, a->mode);
    if (!err && (a->valid & (A_UID | A_GID)))
        err = fsdev_chown(p->fs, fd, a->valid & A_UID ? a->uid : (uid_t)-1,
                          a->valid & A_GID ? a->gid : (gid_t)-1);
    if (!err && (a->valid & A_SIZE))
        err = fsdev_truncate(p->fs, fd, a->size);
    if (!err && (a->valid & (A_ATIME | A_MTIME)))
        err = fsdev_utimens(p->fs, fd, a->times);
    return err;
}

static int do_setattr(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    struct attributes a = {.valid = take32(p)};
    a.mode = take32(p);
    a.uid = take32(p);
    a.gid = take32(p);
    a.size = take(p, 8);
    a.times[0] = take_time(p, a.valid, A_ATIME, A_ATIME_SET);
    a.times[1] = take_time(p, a.valid, A_MTIME, A_MTIME_SET);
    if (err || p->bad)
        return err ? err : -EINVAL;
    int fd = get_handle(p, f);
    return fd < 0 ? fd : put_handle(f, fd, set_attributes(p, fd, &a));
}

static int do_statfs(struct p9 *p)
{
    struct fid *f;
    struct statfs st;
    int err = take_fid(p, &f);
    int fd = err ? err : get_handle(p, f);
    if (fd < 0)
        return fd;
    err = put_handle(f, fd, fsdev_statfs(p->fs, fd, &st));
    if (err < 0)
        return err;
    put(p, 4, STATFS_TYPE);
    put(p, 4, (uint64_t)st.f_bsize);
    put(p, 8, st.f_blocks);
    put(p, 8, st.f_bfree);
    put(p, 8, st.f_bavail);
    put(p, 8, st.f_files);
    put(p, 8, st.f_ffree);
    put(p, 8, 0); // its number
    put(p, 4, NAME_MAX);
    return 0;
}

static int do_readlink(struct p9 *p)
{
    struct fid *f;
    char target[PATH_MAX];
    int err = take_fid(p, &f);
    int len = err ? err : fsdev_readlink(p->fs, f->path, target, sizeof(target) - 1);
    if (len < 0)
        return len;
    target[len] = 0;
    put_string(p, target);
    return 0;
}

// Extended attributes are not passed on: for the guest, this file system has none.
static int do_xattr(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    return err ? err : -EOPNOTSUPP;
}

// --- Making, moving and removing ---

static int own(struct p9 *p, const struct fid *dir, const char *path, uint32_t gid)
{
    int fd = fsdev_open_path(p->fs, path);
    int err = fd < 0 ? fd : fsdev_chown(p->fs, fd, dir->uid, gid);
    if (fd >= 0)
        close(fd);
    return err;
}

// The rest of a request that makes something at `path`, of which `err` says how it went; frees path.
static int finish_making(struct p9 *p, const struct fid *dir, char *path, uint32_t gid, int err)
{
    if (err >= 0) {
        err = own(p, dir, path, gid);
        if (err < 0 && fsdev_unlink(p->fs, path, false) < 0)
            fsdev_unlink(p->fs, path, true);
    }
    if (err >= 0)
        err = put_qid_of(p, path);
    g_free(path);
    return err;
}

static int do_mkdir(struct p9 *p)
{
    struct fid *dir;
    char *path;
    int err = take_child(p, &dir, &path);
    uint32_t mode = take32(p), gid = take32(p);
    if (err)
        return err;
    err = p->bad ? -EINVAL : fsdev_mkdir(p->fs, path, mode);
    return finish_making(p, dir, path, gid, err);
}

static int do_mknod(struct p9 *p)
{
    struct fid *dir;
    char *path;
    int err = take_child(p, &dir, &path);
    uint32_t mode = take32(p), major_nr = take32(p), minor_nr = take32(p), gid = take32(p);
    if (err)
        return err;
    err = p->bad ? -EINVAL : fsdev_mknod(p->fs, path, mode, makedev(major_nr, minor_nr));
    return finish_making(p, dir, path, gid, err);
}

static int do_symlink(struct p9 *p)
{
    struct fid *dir;
    char *path;
    int err = take_child(p, &dir, &path);
    const char *target = take_string(p);
    uint32_t gid = take32(p);
    if (err)
        return err;
    err = p->bad ? -EINVAL : fsdev_symlink(p->fs, target, path);
    return finish_making(p, dir, path, gid, err);
}

static int do_link(struct p9 *p)
{
    struct fid *dir, *f;
    int err = take_fid(p, &dir);
    int bad_fid = take_fid(p, &f);
    const char *name = take_string(p);
    if (err || bad_fid || p->bad || !fsdev_name_ok(name))
        return err ? err : bad_fid ? bad_fid : -EINVAL;
    char *path = join(dir->path, name);
    err = fsdev_link(p->fs, f->path, path);
    g_free(path);
    return err;
}

// What `from` -> `to` makes of all fids' paths: their new size.
static size_t size_after_rename(struct p9 *p, const char *from, const char *to)
{
    GHashTableIter it;
    void *value;
    size_t size = p->memory;
    g_hash_table_iter_init(&it, p->fids);
    while (g_hash_table_iter_next(&it, NULL, &value))
        if (below(((struct fid *)value)->path, from))
            size += strlen(to) - strlen(from);
    return size;
}

// Fids at and below `from` follow it.
static int rename_path(struct p9 *p, const char *from, const char *to)
{
    GHashTableIter it;
    void *value;
    if (size_after_rename(p, from, to) > MEMORY_MAX)
        return -ENFILE;
    int err = fsdev_rename(p->fs, from, to);
    if (err < 0)
        return err;
    g_hash_table_iter_init(&it, p->fids);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct fid *f = value;
        const char *rest = below(f->path, from);
        if (rest)
            set_path(p, f, g_strconcat(to, rest, NULL));
    }
    return 0;
}

static int do_rename(struct p9 *p)
{
    struct fid *f, *dir;
    char *to;
    int err = take_fid(p, &f);
    int bad_child = take_child(p, &dir, &to);
    if (err || bad_child) {
        if (!bad_child)
            g_free(to);
        return err ? err : bad_child;
    }
    char *from = g_strdup(f->path); // which changes
    err = *from ? rename_path(p, from, to) : -EBUSY;
    g_free(from);
    g_free(to);
    return err;
}

static int do_renameat(struct p9 *p)
{
    struct fid *dir;
    char *from, *to;
    int err = take_child(p, &dir, &from);
    if (err)
        return err;
    err = take_child(p, &dir, &to);
    if (!err) {
        err = rename_path(p, from, to);
        g_free(to);
    }
    g_free(from);
    return err;
}

static int do_unlinkat(struct p9 *p)
{
    enum { REMOVEDIR = 0x200 };
    struct fid *dir;
    char *path;
    int err = take_child(p, &dir, &path);
    uint32_t flags = take32(p);
    if (err)
        return err;
    err = p->bad ? -EINVAL : fsdev_unlink(p->fs, path, flags & REMOVEDIR);
    g_free(path);
    return err;
}

// The fid is gone afterwards, whether the file is or not.
static int do_remove(struct p9 *p)
{
    struct fid *f;
    struct stat st;
    int err = take_fid(p, &f);
    if (err)
        return err;
    err = fsdev_stat(p->fs, f->path, &st);
    if (err >= 0)
        err = *f->path ? fsdev_unlink(p->fs, f->path, S_ISDIR(st.st_mode)) : -EBUSY;
    remove_fid(p, f);
    return err;
}

// --- Locks: the guest is the only client, and its kernel keeps them among its processes ---

static int do_lock(struct p9 *p)
{
    struct fid *f;
    int err = take_fid(p, &f);
    if (err)
        return err;
    put(p, 1, 0); // granted
    return 0;
}

static int do_getlock(struct p9 *p)
{
    enum { UNLOCKED = 2 };
    struct fid *f;
    int err = take_fid(p, &f);
    take(p, 1);
    uint64_t start = take(p, 8), length = take(p, 8);
    uint32_t process = take32(p);
    const char *client = take_string(p);
    if (err || p->bad)
        return err ? err : -EINVAL;
    put(p, 1, UNLOCKED);
    put(p, 8, start);
    put(p, 8, length);
    put(p, 4, process);
    put_string(p, client);
    return 0;
}

// --- Dispatch ---

typedef int handler(struct p9 *p);

static handler *const handlers[256] = {
    [TVERSION] = do_version,   [TATTACH] = do_attach,     [TFLUSH] = do_flush,
    [TWALK] = do_walk,         [TCLUNK] = do_clunk,       [TREMOVE] = do_remove,
    [TSTATFS] = do_statfs,     [TLOPEN] = do_lopen,       [TLCREATE] = do_lcreate,
    [TSYMLINK] = do_symlink,   [TMKNOD] = do_mknod,       [TRENAME] = do_rename,
    [TREADLINK] = do_readlink, [TGETATTR] = do_getattr,   [TSETATTR] = do_setattr,
    [TXATTRWALK] = do_xattr,   [TXATTRCREATE] = do_xattr, [TREADDIR] = do_readdir,
    [TFSYNC] = do_fsync,       [TLOCK] = do_lock,         [TGETLOCK] = do_getlock,
    [TLINK] = do_link,         [TMKDIR] = do_mkdir,       [TRENAMEAT] = do_renameat,
    [TUNLINKAT] = do_unlinkat, [TREAD] = do_read,         [TWRITE] = do_write,
};

static int dispatch(struct p9 *p, uint8_t type)
{
    if (!handlers[type])
        return -EOPNOTSUPP;
    if (!p->msize && type != TVERSION)
        return -EINVAL;
    int err = handlers[type](p);
    if (err >= 0 && p->bad)
        return -EINVAL;
    return err >= 0 && p->reply->len > p->max ? -EMSGSIZE : err;
}

static void put_error(struct p9 *p, int err)
{
    g_byte_array_set_size(p->reply, P9_HEADER);
    put(p, 4, (uint64_t)-err);
}

void p9_serve(struct p9 *p, const uint8_t *request, size_t len, GByteArray *reply, size_t max)
{
    uint8_t type = request[4];
    p->at = request + P9_HEADER;
    p->end = request + len;
    p->bad = false;
    p->reply = reply;
    p->max = p->msize ? MIN(max, p->msize) : max;
    g_byte_array_set_size(reply, P9_HEADER);
    int err = dispatch(p, type);
    if (err < 0)
        put_error(p, err);
    store_le(reply->data, 4, reply->len);
    reply->data[4] = err < 0 ? RLERROR : (uint8_t)(type + 1);
    memcpy(reply->data + 5, request + 5, 2);
    g_ptr_array_set_size(p->strings, 0);
}

struct p9 *p9_new(struct fsdev *fs)
{
    struct p9 *p = g_new0(struct p9, 1);
    p->fs = fs;
    p->fids = g_hash_table_new_full(NULL, NULL, NULL, fid_free);
    p->strings = g_ptr_array_new_with_free_func(g_free);
    return p;
}

void p9_reset(struct p9 *p)
{
    end_session(p);
    p->msize = 0;
}

void p9_free(struct p9 *p)
{
    if (!p)
        return;
    g_hash_table_destroy(p->fids);
    g_ptr_array_free(p->strings, TRUE);
    g_free(p);
}
