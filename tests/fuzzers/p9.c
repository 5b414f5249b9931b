// SPDX-License-Identifier: MIT
// The 9P file server: requests of a guest that may say anything, on a folder with a bit of everything in it.
#define _GNU_SOURCE // memmem
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "hw/virtio_9p.h"
#include "tests/fuzzers/fuzzer.h"

enum { TVERSION = 100, TATTACH = 104, REPLY_MAX = 8192 };

static const char secret[] = "not for the guest";

// root/ is shared; what lies next to it is not to be seen, not even through the link.
static char *make_folder(void)
{
    char *top = fuzz_folder_new();
    int dir = open(top, O_RDONLY | O_DIRECTORY);
    g_autofree char *outside = g_build_filename(top, "outside", NULL);
    g_autofree char *inside = g_build_filename(top, "root/dir/file", NULL);
    bool ok = dir >= 0 && !mkdirat(dir, "root", 0755) && !mkdirat(dir, "root/dir", 0755) &&
              !symlinkat("../outside", dir, "root/link") && !symlinkat("..", dir, "root/up") &&
              !mkfifoat(dir, "root/fifo", 0644) && g_file_set_contents(outside, secret, -1, NULL) &&
              g_file_set_contents(inside, "text", -1, NULL);
    if (!ok)
        g_error("%s: can't be made", top);
    close(dir);
    return top;
}

// Nothing but `root` and `outside` is there, and nobody has written to that.
static void check_outside(const char *top)
{
    g_autofree char *outside = g_build_filename(top, "outside", NULL);
    g_autofree char *text = NULL;
    struct stat st;
    GDir *dir = g_dir_open(top, 0, NULL);
    unsigned count = 0;
    assert(dir && g_file_get_contents(outside, &text, NULL, NULL) && !strcmp(text, secret));
    assert(stat(outside, &st) == 0 && st.st_nlink == 1);
    while (g_dir_read_name(dir))
        count++;
    assert(count == 2);
    g_dir_close(dir);
}

static struct fsdev *open_folder(const char *top, bool readonly)
{
    g_autofree char *spec = g_strdup_printf(
        "local,id=fs,path=%s/root,security_model=none,readonly=%s", top, readonly ? "on" : "off");
    GError *error = NULL;
    struct fsdev *fs = fsdev_open(options_parse("-fsdev", spec, "fsdriver"), &error);
    if (!fs)
        g_error("%s", error->message);
    return fs;
}

// What is in a file outside never shows in an answer.
static void check_reply(const GByteArray *reply, size_t max)
{
    assert(reply->len >= P9_HEADER && reply->len <= max);
    assert(load_le(reply->data, 4) == reply->len);
    assert(!memmem(reply->data, reply->len, secret, strlen(secret)));
}

static void serve(struct p9 *p, uint8_t type, const uint8_t *body, size_t len, size_t max,
                  GByteArray *reply)
{
    size_t total = P9_HEADER + len;
    g_autofree uint8_t *request = g_malloc(total); // by itself, so that the sanitizers see its end
    store_le(request, 4, total);
    request[4] = type;
    store_le(request + 5, 2, 1);
    memcpy(request + P9_HEADER, body, len);
    p9_serve(p, request, total, reply, max);
    check_reply(reply, max);
}

// Fid 0 is the root, as for any client that behaves.
static void begin_session(struct p9 *p, GByteArray *reply)
{
    static const uint8_t version[] = "\0\x20\0\0\x08\0"
                                     "9P2000.L";
    static const uint8_t attach[] = "\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
    serve(p, TVERSION, version, sizeof(version) - 1, REPLY_MAX, reply);
    serve(p, TATTACH, attach, sizeof(attach) - 1, REPLY_MAX, reply);
}

// A request is its type, the length of its body with the room for an answer, and its body.
static void take_request(struct p9 *p, struct fuzz_input *in, GByteArray *reply)
{
    static const size_t rooms[] = {REPLY_MAX, REPLY_MAX, 4096, P9_HEADER + 4};
    uint8_t type = (uint8_t)fuzz_take(in, 1);
    unsigned shape = (unsigned)fuzz_take(in, 1);
    size_t len = MIN(shape & 63, fuzz_left(in));
    serve(p, type, in->at, len, rooms[shape >> 6], reply);
    in->at += len;
}

static void run(const uint8_t *data, size_t len)
{
    struct fuzz_input in = fuzz_input(data, len);
    unsigned flags = (unsigned)fuzz_take(&in, 1);
    char *top = make_folder();
    struct fsdev *fs = open_folder(top, flags & 1);
    struct p9 *p = p9_new(fs);
    GByteArray *reply = g_byte_array_new();
    if (!(flags & 2))
        begin_session(p, reply);
    while (fuzz_left(&in))
        take_request(p, &in, reply);
    g_byte_array_free(reply, TRUE);
    p9_free(p);
    fsdev_close(fs);
    check_outside(top);
    fuzz_folder_remove(top);
}

const struct fuzzer fuzzer_p9 = {
    .name = "p9",
    .help = "a byte of options (1: read-only, 2: no session yet), then requests to the file server",
    .max_len = 1024,
    .run = run,
};
