// SPDX-License-Identifier: MIT
// A folder of the host that the guest may see.
//
// All paths are resolved by the kernel below the folder's descriptor and without following a symbolic link
// (openat2), or, where that call is missing, one component at a time. What changes a file does so by its folder's
// descriptor and one name, or by a descriptor of the file itself. Only files and folders are ever opened for
// reading and writing: devices and FIFOs in the folder can be seen but not used.
#define _GNU_SOURCE // O_PATH, AT_EMPTY_PATH
#include "backend/fsdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

struct fsdev {
    char *id, *path;
    int root; // the folder, opened with O_PATH
    bool readonly;
    bool ignore_owner;
    bool has_openat2;
};

const char *fsdev_id(const struct fsdev *fs)
{
    return fs->id;
}

const char *fsdev_path(const struct fsdev *fs)
{
    return fs->path;
}

bool fsdev_readonly(const struct fsdev *fs)
{
    return fs->readonly;
}

bool fsdev_name_ok(const char *name)
{
    return *name && strcmp(name, ".") && strcmp(name, "..") && strlen(name) <= NAME_MAX &&
           !strchr(name, '/');
}

// --- Resolving ---

static int result(int r)
{
    return r < 0 ? -errno : r;
}

static int beneath(const struct fsdev *fs, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    return result((int)syscall(SYS_openat2, fs->root, *path ? path : ".", &how, sizeof(how)));
}

// The same without that call. The caller's paths have no "..", and links are not followed, so that each step
// goes down.
static int step_by_step(const struct fsdev *fs, const char *path, int flags)
{
    int fd = openat(fs->root, ".", O_PATH | O_CLOEXEC);
    while (fd >= 0 && *path) {
        size_t len = strcspn(path, "/");
        bool last = !path[len];
        char name[NAME_MAX + 1];
        if (len > NAME_MAX) {
            close(fd);
            return -ENAMETOOLONG;
        }
        memcpy(name, path, len);
        name[len] = 0;
        int next = openat(fd, name, O_NOFOLLOW | O_CLOEXEC | (last ? flags : O_PATH | O_DIRECTORY));
        int saved = errno;
        close(fd);
        errno = saved;
        fd = next;
        path += len + !last;
    }
    return result(fd);
}

static int resolve(const struct fsdev *fs, const char *path, int flags)
{
    return fs->has_openat2 ? beneath(fs, path, flags) : step_by_step(fs, path, flags);
}

int fsdev_open_path(struct fsdev *fs, const char *path)
{
    return resolve(fs, path, O_PATH);
}

// The folder of `path`; *name is its last component. The root is "." in itself.
static int parent_of(const struct fsdev *fs, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : *path ? path : ".";
    char *dir = g_strndup(path, slash ? (gsize)(slash - path) : 0);
    int fd = resolve(fs, dir, O_PATH | O_DIRECTORY);
    g_free(dir);
    return fd;
}

// Closes fd and passes r on, which is a system call's result.
static int finish(int fd, int r)
{
    r = result(r);
    close(fd);
    return r;
}

static void proc_path(int fd, char path[32])
{
    g_snprintf(path, 32, "/proc/self/fd/%d", fd);
}

static int refuse_changes(const struct fsdev *fs)
{
    return fs->readonly ? -EROFS : 0;
}

// --- Looking ---

int fsdev_stat(struct fsdev *fs, const char *path, struct stat *st)
{
    int fd = fsdev_open_path(fs, path);
    return fd < 0 ? fd : finish(fd, fstat(fd, st));
}

int fsdev_readlink(struct fsdev *fs, const char *path, char *buf, size_t size)
{
    int fd = fsdev_open_path(fs, path);
    if (fd < 0)
        return fd;
    int r = finish(fd, (int)readlinkat(fd, "", buf, size));
    return r == -ENOENT ? -EINVAL : r; // that is what no link comes to with an empty name
}

static int open_usable(int fd, int flags)
{
    struct stat st;
    char path[32];
    if (fstat(fd, &st) < 0)
        return -1;
    if (S_ISLNK(st.st_mode)) {
        errno = ELOOP;
        return -1;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        errno = ENXIO;
        return -1;
    }
    proc_path(fd, path); // the very file that was looked at
    return open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

int fsdev_open_file(struct fsdev *fs, const char *path, int flags)
{
    if (fs->readonly && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
        return -EROFS;
    int fd = fsdev_open_path(fs, path);
    return fd < 0 ? fd : finish(fd, open_usable(fd, flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)));
}

static int rank(const char *name)
{
    return !strcmp(name, ".") ? 0 : !strcmp(name, "..") ? 1 : 2;
}

static int compare_entries(const void *a, const void *b)
{
    const struct fsdev_entry *x = *(struct fsdev_entry *const *)a;
    const struct fsdev_entry *y = *(struct fsdev_entry *const *)b;
    int order = rank(x->name) - rank(y->name);
    return order ? order : strcmp(x->name, y->name);
}

static struct fsdev_entry *entry_new(const struct dirent *d)
{
    size_t size = strlen(d->d_name) + 1;
    struct fsdev_entry *e = g_malloc(sizeof(*e) + size);
    e->ino = d->d_ino;
    e->type = d->d_type;
    memcpy(e->name, d->d_name, size);
    return e;
}

int fsdev_list(struct fsdev *fs, const char *path, GPtrArray **entries)
{
    int fd = fsdev_open_file(fs, path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return fd < 0 ? fd : finish(fd, -1);
    *entries = g_ptr_array_new_with_free_func(g_free);
    for (struct dirent *d; (d = readdir(dir));)
        g_ptr_array_add(*entries, entry_new(d));
    g_ptr_array_sort(*entries, compare_entries);
    closedir(dir);
    return 0;
}

// --- Making, moving and removing ---

// A new file, folder, ... gets exactly this mode, whatever the process's umask is.
static int set_new_mode(int dir, const char *name, mode_t mode)
{
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char path[32];
    if (fd < 0)
        return -1;
    proc_path(fd, path);
    int r = chmod(path, mode & 07777);
    close(fd);
    return r;
}

int fsdev_create(struct fsdev *fs, const char *path, int flags, mode_t mode)
{
    const char *name;
    int dir = refuse_changes(fs);
    if (dir == 0)
        dir = parent_of(fs, path, &name);
    if (dir < 0)
        return dir;
    flags &= ~O_DIRECTORY;
    flags |= O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
    int fd = openat(dir, name, flags, mode & 07777);
    if (fd >= 0)
        fchmod(fd, mode & 07777);
    return finish(dir, fd);
}

int fsdev_mkdir(struct fsdev *fs, const char *path, mode_t mode)
{
    const char *name;
    int dir = refuse_changes(fs);
    if (dir == 0)
        dir = parent_of(fs, path, &name);
    if (dir < 0)
        return dir;
    int r = mkdirat(dir, name, mode & 07777);
    return finish(dir, r < 0 ? r : set_new_mode(dir, name, mode));
}

int fsdev_mknod(struct fsdev *fs, const char *path, mode_t mode, dev_t dev)
{
    const char *name;
    int dir = refuse_changes(fs);
    if (dir == 0)
        dir = parent_of(fs, path, &name);
    if (dir < 0)
        return dir;
    int r = mknodat(dir, name, mode, dev);
    return finish(dir, r < 0 ? r : set_new_mode(dir, name, mode));
}

int fsdev_symlink(struct fsdev *fs, const char *target, const char *path)
{
    const char *name;
    int dir = refuse_changes(fs);
    if (dir == 0)
        dir = parent_of(fs, path, &name);
    return dir < 0 ? dir : finish(dir, symlinkat(target, dir, name));
}

int fsdev_unlink(struct fsdev *fs, const char *path, bool is_dir)
{
    const char *name;
    int dir = refuse_changes(fs);
    if (dir == 0)
        dir = parent_of(fs, path, &name);
    return dir < 0 ? dir : finish(dir, unlinkat(dir, name, is_dir ? AT_REMOVEDIR : 0));
}

// Both names by the descriptors of their folders.
static int with_both(struct fsdev *fs, const char *from, const char *to, bool link)
{
    const char *old, *new;
    int dir = refuse_changes(fs);
    if (dir == 0)
        dir = parent_of(fs, from, &old);
    if (dir < 0)
        return dir;
    int to_dir = parent_of(fs, to, &new);
    if (to_dir < 0) {
        close(dir);
        return to_dir;
    }
    int r = link ? linkat(dir, old, to_dir, new, 0) : renameat(dir, old, to_dir, new);
    r = finish(to_dir, r);
    close(dir);
    return r;
}

int fsdev_link(struct fsdev *fs, const char *from, const char *to)
{
    return with_both(fs, from, to, true);
}

int fsdev_rename(struct fsdev *fs, const char *from, const char *to)
{
    return with_both(fs, from, to, false);
}

// --- Attributes ---

int fsdev_statfs(struct fsdev *fs, int fd, struct statfs *st)
{
    (void)fs;
    return result(fstatfs(fd, st));
}

// A link has no mode of its own.
int fsdev_chmod(struct fsdev *fs, int fd, mode_t mode)
{
    char path[32];
    struct stat st;
    if (fs->readonly)
        return -EROFS;
    if (fstat(fd, &st) == 0 && S_ISLNK(st.st_mode))
        return -EOPNOTSUPP;
    proc_path(fd, path);
    return result(chmod(path, mode & 07777));
}

int fsdev_chown(struct fsdev *fs, int fd, uid_t uid, gid_t gid)
{
    if (fs->readonly)
        return -EROFS;
    int r = result(fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
    return fs->ignore_owner && (r == -EPERM || r == -EINVAL) ? 0 : r;
}

int fsdev_truncate(struct fsdev *fs, int fd, uint64_t size)
{
    if (fs->readonly)
        return -EROFS;
    if (size > INT64_MAX)
        return -EFBIG;
    if (ftruncate(fd, (off_t)size) == 0)
        return 0;
    fd = open_usable(fd, O_WRONLY); // it was not open for writing
    return fd < 0 ? -errno : finish(fd, ftruncate(fd, (off_t)size));
}

// The path leads to the file that fd is of; if that is a link, to the link.
int fsdev_utimens(struct fsdev *fs, int fd, const struct timespec times[2])
{
    char path[32];
    if (fs->readonly)
        return -EROFS;
    proc_path(fd, path);
    return result(utimensat(AT_FDCWD, path, times, 0));
}

// --- Opening and closing ---

static bool fail(GError **error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool fail(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, FERRY_ERROR, FERRY_ERROR_FILE, text);
    g_free(text);
    return false;
}

// Each file that the guest has open is a descriptor: as many as the user may have.
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool open_root(struct fsdev *fs, GError **error)
{
    fs->root = open(fs->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fs->root < 0)
        return fail(error, "fsdev %s: cannot open the folder %s: %s", fs->id, fs->path,
                    g_strerror(errno));
    if (access("/proc/self/fd", X_OK) < 0)
        return fail(error, "fsdev %s: needs /proc to be mounted", fs->id);
    fs->has_openat2 = true;
    int fd = beneath(fs, "", O_PATH);
    fs->has_openat2 = fd >= 0;
    if (fd >= 0)
        close(fd);
    raise_limit();
    return true;
}

static void read_model(struct fsdev *fs, struct options *o)
{
    const char *model = options_str(o, "security_model");
    fs->ignore_owner = !model || !strcmp(model, "none");
    if (model && g_str_has_prefix(model, "mapped"))
        options_fail(o, "security_model",
                     "'%s' is not supported: none and passthrough are, which keep owners and modes "
                     "as the host has them",
                     model);
    else if (model && strcmp(model, "none") && strcmp(model, "passthrough"))
        options_fail(o, "security_model", "'%s' is neither none nor passthrough", model);
}

static void read_harmless(struct options *o)
{
    static const char *const keys[] = {"multidevs", "writeout", "fmode", "dmode"};
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        if (options_str(o, keys[i]))
            warn_user("-fsdev: %s= has no effect", keys[i]);
}

static void read_options(struct fsdev *fs, struct options *o)
{
    const char *driver = options_str(o, "fsdriver");
    const char *id = options_str(o, "id"), *path = options_str(o, "path");
    if (!driver || strcmp(driver, "local"))
        options_fail(o, "fsdriver", "expected local, got '%s'", driver ? driver : "");
    if (!id || !*id)
        options_fail(o, "id", "missing");
    if (!path || !*path)
        options_fail(o, "path", "missing: which folder to share");
    fs->id = g_strdup(id);
    fs->path = g_strdup(path);
    fs->readonly = options_bool(o, "readonly", false);
    read_model(fs, o);
    read_harmless(o);
}

struct fsdev *fsdev_open(struct options *o, GError **error)
{
    struct fsdev *fs = g_new0(struct fsdev, 1);
    fs->root = -1;
    read_options(fs, o);
    bool ok = options_done(o, error) && open_root(fs, error);
    options_free(o);
    if (ok)
        return fs;
    fsdev_close(fs);
    return NULL;
}

void fsdev_close(struct fsdev *fs)
{
    if (!fs)
        return;
    if (fs->root >= 0)
        close(fs->root);
    g_free(fs->id);
    g_free(fs->path);
    g_free(fs);
}

void fsdev_print_help(FILE *out)
{
    fprintf(
        out,
        "Available fsdev backend types:\n"
        "  local  a folder of the host (path=,security_model=none|passthrough,readonly=on|off)\n");
}
