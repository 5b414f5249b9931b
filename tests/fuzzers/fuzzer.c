// SPDX-License-Identifier: MIT
// What the targets share, and the list of them.
#define _GNU_SOURCE // memfd_create, nftw
#include "tests/fuzzers/fuzzer.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

#define FUZZER(name) extern const struct fuzzer fuzzer_##name;
#include "tests/fuzzers/targets.def"
#undef FUZZER

const struct fuzzer *const fuzzers[] = {
#define FUZZER(name) &fuzzer_##name,
#include "tests/fuzzers/targets.def"
#undef FUZZER
    NULL};

const struct fuzzer *fuzzer_find(const char *name)
{
    for (unsigned i = 0; fuzzers[i]; i++) {
        if (!strcmp(fuzzers[i]->name, name))
            return fuzzers[i];
    }
    return NULL;
}

// GLib would end the program by a signal that libFuzzer does not know.
static void die(const char *domain, GLogLevelFlags level, const char *message, void *opaque)
{
    (void)domain, (void)opaque;
    dprintf(STDERR_FILENO, "%s\n", message);
    if (level & (G_LOG_FLAG_FATAL | G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        abort();
}

// Mistakes of the guest are logged, so that the code which logs them runs, but nobody reads that. Reports of
// sanitizers and of failed assertions do not go through the stream.
void fuzzer_init(void)
{
    if (!log_set_file("/dev/null", NULL) || !(stderr = fopen("/dev/null", "w")))
        g_error("/dev/null can't be opened");
    log_mask = LOG_GUEST | LOG_UNIMP;
    g_log_set_default_handler(die, NULL);
}

// --- Input ---

uint64_t fuzz_take(struct fuzz_input *in, unsigned size)
{
    uint8_t bytes[8] = {0};
    fuzz_take_bytes(in, bytes, size);
    return load_le(bytes, 8);
}

void fuzz_take_bytes(struct fuzz_input *in, void *buf, size_t len)
{
    size_t n = MIN(len, fuzz_left(in));
    memset(buf, 0, len);
    memcpy(buf, in->at, n);
    in->at += n;
}

char *fuzz_take_string(struct fuzz_input *in)
{
    size_t len = strnlen((const char *)in->at, fuzz_left(in));
    char *text = g_strndup((const char *)in->at, len);
    in->at += MIN(len + 1, fuzz_left(in));
    return text;
}

// --- Files ---

struct fuzz_file fuzz_file_new(const void *data, size_t len)
{
    struct fuzz_file f = {.fd = memfd_create("input", MFD_CLOEXEC)};
    if (f.fd < 0 || write(f.fd, data, len) != (ssize_t)len)
        g_error("there is no room for a file");
    snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
    return f;
}

void fuzz_file_close(struct fuzz_file *f)
{
    close(f->fd);
}

char *fuzz_folder_new(void)
{
    GError *error = NULL;
    char *path = g_dir_make_tmp("ferry-fuzz-XXXXXX", &error);
    if (!path)
        g_error("%s", error->message);
    return path;
}

static int allow_removal(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    return type == FTW_D || type == FTW_DNR ? chmod(path, 0700) : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void fuzz_folder_remove(char *path)
{
    nftw(path, allow_removal, 16, FTW_PHYS);
    nftw(path, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
    g_free(path);
}

// --- Checks ---

void fuzz_check_error(bool ok, GError *error)
{
    if (ok != (error == NULL))
        g_error(ok ? "success with an error" : "failure without an error");
    if (!error)
        return;
    if (!*error->message)
        g_error("an error without a text");
    for (const char *p = error->message; *p; p++) {
        if (g_ascii_iscntrl(*p))
            g_error("an error with a control character: %s", error->message);
    }
    g_error_free(error);
}
