// SPDX-License-Identifier: MIT
// Snapshots by name, in a folder.
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "machine/snapshot.h"

#define TAG_MAX 200

static bool fail(GError **error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, FERRY_ERROR, FERRY_ERROR_OPTION, text);
    return false;
}

static bool tag_ok(const char *tag)
{
    size_t len = strlen(tag);
    for (size_t i = 0; i < len; i++)
        if (tag[i] == '/' || (unsigned char)tag[i] < 0x20)
            return false;
    return len && len <= TAG_MAX && tag[0] != '.';
}

char *snapshot_path(const char *dir, const char *tag, GError **error)
{
    if (tag_ok(tag))
        return g_strconcat(dir, "/", tag, SNAPSHOT_SUFFIX, NULL);
    fail(error,
         "'%s' can't be the name of a snapshot: 1 to %d characters, no '/', and no '.' at its "
         "beginning",
         tag, TAG_MAX);
    return NULL;
}

static bool exists(const char *file)
{
    struct stat st;
    return stat(file, &st) == 0 && !S_ISDIR(st.st_mode);
}

static char *path_of_existing(const char *dir, const char *tag, GError **error)
{
    char *path = snapshot_path(dir, tag, error);
    if (!path || exists(path))
        return path;
    fail(error, "there is no snapshot '%s' in %s", tag, dir);
    g_free(path);
    return NULL;
}

char *snapshot_find(const char *dir, const char *tag_or_file, GError **error)
{
    if (strchr(tag_or_file, '/') || exists(tag_or_file))
        return g_strdup(tag_or_file);
    return path_of_existing(dir, tag_or_file, error);
}

bool snapshot_save_tag(struct machine *m, const char *dir, const char *tag, enum snapshot_form form,
                       GError **error)
{
    g_autofree char *path = snapshot_path(dir, tag, error);
    if (!path)
        return false;
    if (g_mkdir_with_parents(dir, 0777) < 0)
        return fail(error, "cannot make the folder %s for snapshots: %s", dir, g_strerror(errno));
    return snapshot_save(m, path, form, error);
}

bool snapshot_load_tag(struct machine *m, const char *dir, const char *tag, GError **error)
{
    g_autofree char *path = path_of_existing(dir, tag, error);
    return path && snapshot_load(m, path, error);
}

bool snapshot_delete_tag(struct machine *m, const char *dir, const char *tag, GError **error)
{
    g_autofree char *path = path_of_existing(dir, tag, error);
    if (!path)
        return false;
    if (unlink(path) < 0)
        return fail(error, "cannot delete %s: %s", path, g_strerror(errno));
    snapshot_forget_file(m, path);
    return true;
}

static int by_date(const void *a, const void *b)
{
    const struct snapshot_info *x = a, *y = b;
    if (x->date != y->date)
        return x->date < y->date ? -1 : 1;
    return strcmp(x->tag, y->tag);
}

static void clear_info(void *info)
{
    snapshot_info_clear(info);
}

GArray *snapshot_list(const char *dir, GError **error)
{
    GError *problem = NULL;
    GDir *d = g_dir_open(dir, 0, &problem);
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct snapshot_info));
    const char *name;
    g_array_set_clear_func(list, clear_info);
    if (!d && !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        fail(error, "%s", problem->message);
        g_array_free(list, TRUE);
        list = NULL;
    }
    g_clear_error(&problem);
    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct snapshot_info info;
        if (g_str_has_suffix(name, SNAPSHOT_SUFFIX) && snapshot_probe(path, &info, NULL))
            g_array_append_val(list, info);
    }
    if (d)
        g_dir_close(d);
    if (list)
        g_array_sort(list, by_date);
    return list;
}
