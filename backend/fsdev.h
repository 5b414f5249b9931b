// SPDX-License-Identifier: MIT
// File-system back ends: a folder of the host that the guest may see.
//
// A file is named by its path from the root: components joined by '/', no leading one; "" is the root. No
// function follows a symbolic link or leaves the folder, whatever the guest does to the tree meanwhile.
#ifndef BACKEND_FSDEV_H
#define BACKEND_FSDEV_H

#include <glib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "backend/options.h"
#include "base/types.h"

struct fsdev;

// `-fsdev local,id=ID,path=DIR,security_model=none|passthrough[,readonly=on]`: opts was parsed with the implied
// key "fsdriver". Checks and frees opts.
struct fsdev *fsdev_open(struct options *opts, GError **error);
void fsdev_close(struct fsdev *fs); // NULL does nothing
const char *fsdev_id(const struct fsdev *fs);
const char *fsdev_path(const struct fsdev *fs);
bool fsdev_readonly(const struct fsdev *fs);
// One line per kind, for `-fsdev help`.
void fsdev_print_help(FILE *out);

// TRUE for what may be one component: not empty, ".", "..", too long, or with a '/' in it.
bool fsdev_name_ok(const char *name);

// All return >= 0, or a negative errno. Changes of a read-only folder are -EROFS. With security_model=none,
// changes of owner that the host refuses are taken for done.
int fsdev_open_path(struct fsdev *fs, const char *path); // an O_PATH descriptor
int fsdev_open_file(struct fsdev *fs, const char *path,
                    int flags); // a file or folder, as by open(2)
int fsdev_create(struct fsdev *fs, const char *path, int flags,
                 mode_t mode); // a new file; opens it
int fsdev_stat(struct fsdev *fs, const char *path, struct stat *st);
int fsdev_mkdir(struct fsdev *fs, const char *path, mode_t mode);
int fsdev_mknod(struct fsdev *fs, const char *path, mode_t mode, dev_t dev);
int fsdev_symlink(struct fsdev *fs, const char *target, const char *path);
int fsdev_readlink(struct fsdev *fs, const char *path, char *buf,
                   size_t size); // length; not terminated
int fsdev_link(struct fsdev *fs, const char *from, const char *to);
int fsdev_unlink(struct fsdev *fs, const char *path, bool dir);
int fsdev_rename(struct fsdev *fs, const char *from, const char *to);

// Attributes, by any descriptor of the above.
int fsdev_statfs(struct fsdev *fs, int fd, struct statfs *st);
int fsdev_chmod(struct fsdev *fs, int fd, mode_t mode);
int fsdev_chown(struct fsdev *fs, int fd, uid_t uid, gid_t gid);
int fsdev_truncate(struct fsdev *fs, int fd, uint64_t size);
int fsdev_utimens(struct fsdev *fs, int fd, const struct timespec times[2]);

// What a folder contains, sorted by name, "." and ".." first. The caller frees the array.
struct fsdev_entry {
    uint64_t ino;
    uint8_t type; // DT_... of readdir(3)
    char name[];
};
int fsdev_list(struct fsdev *fs, const char *path, GPtrArray **entries);

#endif
