// SPDX-License-Identifier: MIT
// The 9P device as a guest's kernel uses it: every message, files that lost their names, renaming, what must not
// be reachable, and messages that make no sense.
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/fsdev.h"
#include "base/bits.h"
#include "tests/unit/virtio_driver.h"

enum {
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

#define MSIZE 65536
#define ROOT  1 // fid
#define NOFID UINT32_MAX

static struct driver d;
static struct fsdev *fs;
static char *top, *dir; // the shared folder is `dir`, a secret lies beside it in `top`
static paddr_t request_at, reply_at;
static GByteArray *message;
static const uint8_t *answer; // after the header
static uint32_t answer_len;

// --- Messages ---

static void begin(uint8_t type)
{
    uint8_t header[7] = {0, 0, 0, 0, type, 0x34, 0x12};
    g_byte_array_set_size(message, 0);
    g_byte_array_append(message, header, 7);
}

static void add(unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    store_le(bytes, size, value);
    g_byte_array_append(message, bytes, size);
}

static void add_string(const char *s)
{
    add(2, strlen(s));
    g_byte_array_append(message, (const uint8_t *)s, (guint)strlen(s));
}

static bool exchange(uint32_t room)
{
    unsigned head;
    struct driver_buf bufs[] = {{request_at, message->len, false}, {reply_at, room, true}};
    memcpy(driver_ptr(&d, request_at), message->data, message->len);
    driver_add(&d, 0, bufs, 2, false);
    driver_kick(&d, 0);
    return driver_used(&d, 0, &head, &answer_len);
}

// Sends the message; 0, or the error that came back.
static int run(void)
{
    store_le(message->data, 4, message->len);
    cr_assert(exchange(MSIZE), "no answer");
    const uint8_t *reply = driver_ptr(&d, reply_at);
    cr_assert_eq(load_le(reply, 4), answer_len);
    cr_assert_eq(load_le(reply + 5, 2), 0x1234);
    answer = reply + 7;
    if (reply[4] == RLERROR) {
        cr_assert_eq(answer_len, 11);
        cr_assert_neq(load_le(answer, 4), 0);
        return (int)load_le(answer, 4);
    }
    cr_assert_eq(reply[4], message->data[4] + 1);
    return 0;
}

static int p_version(uint32_t msize, const char *version)
{
    begin(TVERSION);
    add(4, msize);
    add_string(version);
    return run();
}

static int p_attach(uint32_t fid)
{
    begin(TATTACH);
    add(4, fid);
    add(4, NOFID);
    add_string("root");
    add_string("");
    add(4, getuid());
    return run();
}

// `path` has components joined by '/', which are sent one by one.
static int p_walk(uint32_t fid, uint32_t newfid, const char *path)
{
    char **names = g_strsplit(path, "/", -1);
    unsigned n = g_strv_length(names);
    begin(TWALK);
    add(4, fid);
    add(4, newfid);
    add(2, n);
    for (unsigned i = 0; i < n; i++)
        add_string(names[i]);
    g_strfreev(names);
    int err = run();
    return err ? err : load_le(answer, 2) == n ? 0 : -1; // -1: not all of it was found
}

static int p_open(uint32_t fid, uint32_t flags)
{
    begin(TLOPEN);
    add(4, fid);
    add(4, flags);
    return run();
}

static int p_create(uint32_t fid, const char *name, uint32_t flags, uint32_t mode)
{
    begin(TLCREATE);
    add(4, fid);
    add_string(name);
    add(4, flags);
    add(4, mode);
    add(4, getgid());
    return run();
}

static int p_write(uint32_t fid, uint64_t offset, const char *text)
{
    begin(TWRITE);
    add(4, fid);
    add(8, offset);
    add(4, strlen(text));
    g_byte_array_append(message, (const uint8_t *)text, (guint)strlen(text));
    int err = run();
    if (!err)
        cr_assert_eq(load_le(answer, 4), strlen(text));
    return err;
}

static int p_read(uint32_t fid, uint64_t offset, uint32_t count)
{
    begin(TREAD);
    add(4, fid);
    add(8, offset);
    add(4, count);
    return run();
}

static void expect_contents(uint32_t fid, uint64_t offset, const char *text)
{
    cr_assert_eq(p_read(fid, offset, 1000), 0);
    cr_assert_eq(load_le(answer, 4), strlen(text));
    cr_assert_eq(memcmp(answer + 4, text, strlen(text)), 0);
}

static int p_clunk(uint32_t fid)
{
    begin(TCLUNK);
    add(4, fid);
    return run();
}

static int p_getattr(uint32_t fid)
{
    begin(TGETATTR);
    add(4, fid);
    add(8, 0x7ff);
    return run();
}

enum {
    AT_MODE = 8 + 13,
    AT_UID = AT_MODE + 4,
    AT_NLINK = AT_UID + 8,
    AT_SIZE = AT_NLINK + 16,
    AT_MTIME = AT_SIZE + 24 + 16
};

static int p_setattr(uint32_t fid, uint32_t valid, uint32_t mode, uint64_t size, uint64_t mtime)
{
    begin(TSETATTR);
    add(4, fid);
    add(4, valid);
    add(4, mode);
    add(4, getuid());
    add(4, getgid());
    add(8, size);
    add(8, 0);
    add(8, 0);
    add(8, mtime);
    add(8, 5);
    return run();
}

static int p_mkdir(uint32_t fid, const char *name)
{
    begin(TMKDIR);
    add(4, fid);
    add_string(name);
    add(4, 0751);
    add(4, getgid());
    return run();
}

static int p_unlinkat(uint32_t fid, const char *name, uint32_t flags)
{
    begin(TUNLINKAT);
    add(4, fid);
    add_string(name);
    add(4, flags);
    return run();
}

static int p_renameat(uint32_t from, const char *old, uint32_t to, const char *new)
{
    begin(TRENAMEAT);
    add(4, from);
    add_string(old);
    add(4, to);
    add_string(new);
    return run();
}

static int p_symlink(uint32_t fid, const char *name, const char *target)
{
    begin(TSYMLINK);
    add(4, fid);
    add_string(name);
    add_string(target);
    add(4, getgid());
    return run();
}

// --- Setting up ---

static void put_file(const char *name, const char *text)
{
    char *path = g_build_filename(top, name, NULL);
    cr_assert(g_file_set_contents(path, text, -1, NULL));
    g_free(path);
}

static char *get_file(const char *name)
{
    char *path = g_build_filename(dir, name, NULL), *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    g_free(path);
    return text;
}

static void start_session(void)
{
    driver_start(&d, UINT64_MAX, 1, 16);
    cr_assert_eq(p_version(MSIZE, "9P2000.L"), 0);
    cr_assert_eq(load_le(answer, 4), MSIZE);
    cr_assert_eq(p_attach(ROOT), 0);
    cr_assert_eq(answer[0], 0x80);
}

static void start(const char *more)
{
    GError *error = NULL;
    top = g_dir_make_tmp("ferry-9p-XXXXXX", NULL);
    dir = g_build_filename(top, "share", NULL);
    char *opts = g_strdup_printf("local,id=f0,path=%s,%s", dir, more);
    mkdir(dir, 0755);
    put_file("secret", "not for the guest");
    put_file("share/hello", "hello, guest");
    fs = fsdev_open(options_parse("-fsdev", opts, "fsdriver"), &error);
    cr_assert_not_null(fs, "%s", error ? error->message : "");
    driver_new(&d, "virtio-9p-device", false);
    device_set_ptr(d.dev, "fsdev", fs);
    device_set_str(d.dev, "mount_tag", "hostshare");
    driver_plug(&d);
    request_at = driver_alloc(&d, 1 << 20);
    reply_at = driver_alloc(&d, 1 << 20);
    message = g_byte_array_new();
    start_session();
    g_free(opts);
}

static void teardown(void)
{
    char *command = g_strdup_printf("rm -rf '%s'", top);
    driver_free(&d);
    fsdev_close(fs);
    cr_assert_eq(system(command), 0);
    g_byte_array_free(message, TRUE);
    g_free(command);
    g_free(top);
    g_free(dir);
}

static void setup(void)
{
    start("security_model=none");
}

static void setup_readonly(void)
{
    start("security_model=none,readonly=on");
}

TestSuite(p9, .init = setup, .fini = teardown, .timeout = 60);
TestSuite(p9_readonly, .init = setup_readonly, .fini = teardown, .timeout = 60);

// --- The session ---

Test(p9, mount_tag)
{
    cr_assert_eq(reg_read(&d, R_DEVICE_ID), VIRTIO_ID_9P);
    cr_assert_eq(config_read(&d, 0, 2), 9);
    cr_assert_eq(config_read(&d, 2, 1), 'h');
    cr_assert_eq(config_read(&d, 10, 1), 'e');
}

Test(p9, other_versions_are_unknown)
{
    cr_assert_eq(p_version(8192, "9P2000.u"), 0);
    cr_assert_eq(load_le(answer + 4, 2), 7);
    cr_assert_eq(memcmp(answer + 6, "unknown", 7), 0);
    cr_assert_eq(p_attach(ROOT), EINVAL); // no session
    cr_assert_eq(p_version(1 << 30, "9P2000.L"), 0);
    cr_assert_eq(load_le(answer, 4), 1 << 19);
    cr_assert_eq(p_clunk(ROOT), EBADF); // a new session has no fids
}

Test(p9, flush_and_auth)
{
    begin(TFLUSH);
    add(2, 7);
    cr_assert_eq(run(), 0);
    begin(TAUTH);
    cr_assert_eq(run(), EOPNOTSUPP);
    begin(255);
    cr_assert_eq(run(), EOPNOTSUPP);
}

// --- Files ---

Test(p9, reads_a_file)
{
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(answer[2], 0);
    cr_assert_eq(p_read(2, 0, 10), EBADF); // not open
    cr_assert_eq(p_open(2, 0), 0);
    expect_contents(2, 0, "hello, guest");
    expect_contents(2, 7, "guest");
    expect_contents(2, 1000, "");
    cr_assert_eq(p_write(2, 0, "x"), EBADF); // open for reading
    cr_assert_eq(p_clunk(2), 0);
    cr_assert_eq(p_clunk(2), EBADF);
}

Test(p9, creates_and_writes_a_file)
{
    mode_t old = umask(077);              // which is no matter of the guest's
    cr_assert_eq(p_walk(ROOT, 2, ""), 0); // no names: a copy of the fid
    cr_assert_eq(p_create(2, "new", O_RDWR | 0100 | 0200, 0664), 0);
    cr_assert_eq(p_write(2, 0, "some text"), 0);
    cr_assert_eq(p_write(2, 5, "other text"), 0);
    expect_contents(2, 0, "some other text");
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(load_le(answer + AT_MODE, 4), S_IFREG | 0664);
    cr_assert_eq(load_le(answer + AT_UID, 4), getuid());
    cr_assert_eq(load_le(answer + AT_SIZE, 8), 15);
    begin(TFSYNC);
    add(4, 2);
    add(4, 0);
    cr_assert_eq(run(), 0);
    cr_assert_eq(p_clunk(2), 0);
    char *text = get_file("new");
    cr_assert_str_eq(text, "some other text");
    g_free(text);
    cr_assert_eq(p_walk(ROOT, 2, "."), ENOENT);
    cr_assert_eq(p_walk(ROOT, 2, ""), 0);
    cr_assert_eq(p_create(2, "new", O_RDWR | 0100 | 0200, 0664), EEXIST); // O_EXCL
    cr_assert_eq(p_create(2, "new", O_RDONLY | 0100, 0664), 0);
    expect_contents(2, 0, "some other text");
    umask(old);
}

Test(p9, open_flags)
{
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_open(2, O_RDONLY | 0200000), ENOTDIR);
    cr_assert_eq(p_open(2, O_RDWR | 01000), 0); // truncated
    expect_contents(2, 0, "");
    cr_assert_eq(p_open(2, O_RDONLY), EINVAL); // it is open
    cr_assert_eq(p_walk(2, 2, "x"), EINVAL);
    cr_assert_eq(p_walk(ROOT, 3, "hello"), 0);
    cr_assert_eq(p_open(3, O_WRONLY | 02000), 0); // appending
    cr_assert_eq(p_write(3, 0, "one"), 0);
    cr_assert_eq(p_write(3, 0, "two"), 0);
    expect_contents(2, 0, "onetwo");
}

Test(p9, attributes)
{
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_setattr(2, 1, 0600, 0, 0), 0);
    cr_assert_eq(p_setattr(2, 8, 0, 5, 0), 0);
    cr_assert_eq(p_setattr(2, 0x20 | 0x100, 0, 0, 123456789), 0);
    cr_assert_eq(p_setattr(2, 2 | 4, 0, 0, 0), 0);
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(load_le(answer + AT_MODE, 4), S_IFREG | 0600);
    cr_assert_eq(load_le(answer + AT_SIZE, 8), 5);
    cr_assert_eq(load_le(answer + AT_MTIME, 8), 123456789);
    cr_assert_eq(load_le(answer + AT_MTIME + 8, 8), 5);
    cr_assert_eq(p_setattr(2, 0x20, 0, 0, 0), 0); // now
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_gt(load_le(answer + AT_MTIME, 8), 123456789);
    cr_assert_eq(p_setattr(2, 8, 0, UINT64_MAX, 0), EFBIG);
    cr_assert_eq(p_setattr(ROOT, 8, 0, 0, 0), EISDIR);
}

// A file that is open goes on without its name.
Test(p9, open_file_without_a_name)
{
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_walk(ROOT, 3, "hello"), 0);
    cr_assert_eq(p_open(2, O_RDWR), 0);
    cr_assert_eq(p_unlinkat(ROOT, "hello", 0), 0);
    cr_assert_eq(p_unlinkat(ROOT, "hello", 0), ENOENT);
    cr_assert_eq(p_getattr(3), ENOENT);
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(load_le(answer + AT_NLINK, 8), 0);
    cr_assert_eq(p_setattr(2, 8 | 1, 0640, 3, 0), 0);
    cr_assert_eq(p_write(2, 3, "!"), 0);
    expect_contents(2, 0, "hel!");
}

Test(p9, links)
{
    cr_assert_eq(p_symlink(ROOT, "sym", "anywhere/../at all"), 0);
    cr_assert_eq(answer[0], 0x02);
    cr_assert_eq(p_walk(ROOT, 2, "sym"), 0);
    begin(TREADLINK);
    add(4, 2);
    cr_assert_eq(run(), 0);
    cr_assert_eq(load_le(answer, 2), 18);
    cr_assert_eq(memcmp(answer + 2, "anywhere/../at all", 18), 0);
    begin(TREADLINK);
    add(4, ROOT);
    cr_assert_eq(run(), EINVAL);
    cr_assert_eq(p_walk(ROOT, 3, "hello"), 0);
    begin(TLINK);
    add(4, ROOT);
    add(4, 3);
    add_string("hard");
    cr_assert_eq(run(), 0);
    cr_assert_eq(p_walk(ROOT, 4, "hard"), 0);
    cr_assert_eq(p_getattr(4), 0);
    cr_assert_eq(load_le(answer + AT_NLINK, 8), 2);
    cr_assert_eq(p_setattr(2, 0x20 | 0x100, 0, 0, 1000), 0); // the link's own time
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(load_le(answer + AT_MTIME, 8), 1000);
    cr_assert_eq(p_setattr(2, 1, 0600, 0, 0), EOPNOTSUPP);
}

Test(p9, fifos_are_seen_but_not_opened)
{
    begin(TMKNOD);
    add(4, ROOT);
    add_string("fifo");
    add(4, S_IFIFO | 0666);
    add(4, 0);
    add(4, 0);
    add(4, getgid());
    cr_assert_eq(run(), 0);
    cr_assert_eq(p_walk(ROOT, 2, "fifo"), 0);
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(load_le(answer + AT_MODE, 4), S_IFIFO | 0666);
    cr_assert_eq(p_open(2, O_RDWR), ENXIO);
    cr_assert_eq(p_open(2, O_RDONLY), ENXIO);
}

Test(p9, space_and_locks)
{
    begin(TSTATFS);
    add(4, ROOT);
    cr_assert_eq(run(), 0);
    cr_assert_eq(load_le(answer, 4), 0x01021997);
    cr_assert_gt(load_le(answer + 8, 8), 0);
    cr_assert_eq(load_le(answer + 56, 4), 255);
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_open(2, O_RDWR), 0);
    begin(TLOCK);
    add(4, 2);
    add(1, 1);
    add(4, 1);
    add(8, 0);
    add(8, 0);
    add(4, 77);
    add_string("guest");
    cr_assert_eq(run(), 0);
    cr_assert_eq(answer[0], 0);
    begin(TGETLOCK);
    add(4, 2);
    add(1, 1);
    add(8, 10);
    add(8, 20);
    add(4, 77);
    add_string("guest");
    cr_assert_eq(run(), 0);
    cr_assert_eq(answer[0], 2);
    cr_assert_eq(load_le(answer + 1, 8), 10);
    begin(TXATTRWALK);
    add(4, 2);
    add(4, 3);
    add_string("user.x");
    cr_assert_eq(run(), EOPNOTSUPP);
    begin(TXATTRCREATE);
    add(4, 2);
    cr_assert_eq(run(), EOPNOTSUPP);
}

// --- Folders ---

Test(p9, folders)
{
    cr_assert_eq(p_mkdir(ROOT, "a"), 0);
    cr_assert_eq(answer[0], 0x80);
    cr_assert_eq(p_mkdir(ROOT, "a"), EEXIST);
    cr_assert_eq(p_walk(ROOT, 2, "a"), 0);
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(load_le(answer + AT_MODE, 4), S_IFDIR | 0751);
    cr_assert_eq(p_mkdir(2, "b"), 0);
    cr_assert_eq(p_unlinkat(ROOT, "a", 0x200), ENOTEMPTY);
    cr_assert_eq(p_unlinkat(ROOT, "a", 0), EISDIR);
    cr_assert_eq(p_walk(ROOT, 3, "a/b/../../hello"), 0);
    cr_assert_eq(p_walk(ROOT, 4, "a/missing/x"), -1); // partly
    cr_assert_eq(load_le(answer, 2), 1);
    cr_assert_eq(p_getattr(4), EBADF);
    cr_assert_eq(p_walk(ROOT, 4, "missing"), ENOENT);
    cr_assert_eq(p_walk(ROOT, 4, "hello/x"), -1);
    cr_assert_eq(p_unlinkat(2, "b", 0x200), 0);
    begin(TREMOVE);
    add(4, 2);
    cr_assert_eq(run(), 0);
    cr_assert_eq(p_getattr(2), EBADF);
    begin(TREMOVE);
    add(4, 3);
    cr_assert_eq(run(), 0);
    cr_assert_eq(p_walk(ROOT, 3, "hello"), ENOENT);
}

static unsigned read_names(uint32_t fid, uint32_t count, GString *names)
{
    uint64_t offset = 0;
    for (unsigned rounds = 0;; rounds++) {
        begin(TREADDIR);
        add(4, fid);
        add(8, offset);
        add(4, count);
        cr_assert_eq(run(), 0);
        uint64_t len = load_le(answer, 4);
        cr_assert_leq(len, count);
        if (len == 0)
            return rounds;
        for (uint64_t at = 4; at < 4 + len;) {
            uint64_t n = load_le(answer + at + 22, 2);
            offset = load_le(answer + at + 13, 8);
            g_string_append_len(names, (const char *)answer + at + 24, (gssize)n);
            g_string_append_printf(names, "/%u ", answer[at + 21]);
            at += 24 + n;
        }
    }
}

Test(p9, lists_in_order)
{
    GString *names = g_string_new(NULL);
    cr_assert_eq(p_mkdir(ROOT, "zebra"), 0);
    cr_assert_eq(p_symlink(ROOT, "ape", "x"), 0);
    cr_assert_eq(p_walk(ROOT, 2, ""), 0);
    cr_assert_eq(p_open(2, O_RDONLY | 0200000), 0);
    cr_assert_eq(read_names(2, 1000, names), 1);
    cr_assert_str_eq(names->str, "./4 ../4 ape/10 hello/8 zebra/4 ");
    g_string_truncate(names, 0);
    cr_assert_eq(read_names(2, 60, names), 3); // two at a time
    cr_assert_str_eq(names->str, "./4 ../4 ape/10 hello/8 zebra/4 ");
    cr_assert_eq(p_read(2, 0, 10), EISDIR);
    g_string_free(names, TRUE);
}

Test(p9, renaming_takes_open_files_along)
{
    cr_assert_eq(p_mkdir(ROOT, "a"), 0);
    cr_assert_eq(p_mkdir(ROOT, "ab"), 0);
    cr_assert_eq(p_walk(ROOT, 2, "a"), 0);
    cr_assert_eq(p_walk(ROOT, 3, "ab"), 0);
    cr_assert_eq(p_mkdir(2, "sub"), 0);
    cr_assert_eq(p_walk(2, 4, "sub"), 0);
    cr_assert_eq(p_renameat(ROOT, "a", 3, "moved"), 0); // ab/moved/sub
    cr_assert_eq(p_mkdir(4, "deep"), 0);
    cr_assert_eq(p_getattr(2), 0);
    cr_assert_eq(p_walk(ROOT, 5, "ab/moved/sub/deep"), 0);
    cr_assert_eq(p_renameat(ROOT, "ab", 4, "loop"), EINVAL);
    begin(TRENAME);
    add(4, 4);
    add(4, ROOT);
    add_string("sub2");
    cr_assert_eq(run(), 0);
    cr_assert_eq(p_getattr(5), 0);
    cr_assert_eq(p_walk(ROOT, 6, "sub2/deep"), 0);
    cr_assert_eq(p_getattr(3), 0); // "ab" is not below "a"
    begin(TRENAME);
    add(4, ROOT);
    add(4, ROOT);
    add_string("x");
    cr_assert_eq(run(), EBUSY);
}

// --- What must not be reachable ---

static void expect_no_secret(uint32_t fid)
{
    if (p_open(fid, O_RDONLY) == 0) {
        cr_assert_eq(p_read(fid, 0, 100), 0);
        cr_assert_neq(memcmp(answer + 4, "not for", 7), 0);
    }
}

Test(p9, names_do_not_lead_out)
{
    static const char *const names[] = {"..",          ".",   "",       "../secret",     "/",
                                        "/etc/passwd", "a/b", "hello/", "a/../../secret"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        begin(TWALK);
        add(4, ROOT);
        add(4, 10);
        add(2, 1);
        add_string(names[i]);
        int err = run();
        if (strcmp(names[i], ".."))
            cr_assert_eq(err, ENOENT, "%s", names[i]);
        else
            cr_assert_eq(p_clunk(10), 0); // the root is its own parent
        cr_assert_eq(p_mkdir(ROOT, names[i]), EINVAL, "%s", names[i]);
        cr_assert_eq(p_create(ROOT, names[i], O_RDWR, 0600), EINVAL);
        cr_assert_eq(p_symlink(ROOT, names[i], "x"), EINVAL);
        cr_assert_eq(p_unlinkat(ROOT, names[i], 0), EINVAL);
        cr_assert_eq(p_renameat(ROOT, "hello", ROOT, names[i]), EINVAL);
        cr_assert_eq(p_renameat(ROOT, names[i], ROOT, "x"), EINVAL);
    }
    cr_assert_eq(p_walk(ROOT, 2, "../../secret"), -1);
    cr_assert_eq(p_walk(ROOT, 2, "../hello"), 0);
}

static void try_links_out(void)
{
    cr_assert_eq(p_symlink(ROOT, "abs", top), 0);
    cr_assert_eq(p_symlink(ROOT, "rel", ".."), 0);
    cr_assert_eq(p_symlink(ROOT, "file", "../secret"), 0);
    cr_assert_eq(p_symlink(ROOT, "proc", "/proc/self/root"), 0);
    cr_assert_eq(p_walk(ROOT, 20, "abs/secret"), -1);
    cr_assert_eq(p_walk(ROOT, 20, "rel/secret"), -1);
    cr_assert_eq(p_walk(ROOT, 20, "proc/etc"), -1);
    cr_assert_eq(p_walk(ROOT, 21, "file"), 0); // the link itself
    cr_assert_eq(p_open(21, O_RDONLY), ELOOP);
    cr_assert_eq(p_setattr(21, 8, 0, 0, 0), ELOOP);
    cr_assert_eq(p_create(ROOT, "file", O_RDWR, 0600), ELOOP);
    cr_assert_eq(p_walk(ROOT, 22, "rel"), 0);
    cr_assert_eq(p_mkdir(22, "x"), ENOTDIR);
    cr_assert_eq(p_unlinkat(22, "secret", 0), ENOTDIR);
    cr_assert_eq(p_renameat(22, "secret", ROOT, "mine"), ENOTDIR);
    cr_assert_eq(p_create(22, "x", O_RDWR, 0600), ENOTDIR);
}

Test(p9, links_do_not_lead_out)
{
    try_links_out();
}

// A folder that turns into a link behind the guest's fid.
Test(p9, a_folder_replaced_by_a_link)
{
    cr_assert_eq(p_mkdir(ROOT, "a"), 0);
    put_file("share/a/secret", "harmless");
    cr_assert_eq(p_walk(ROOT, 2, "a/secret"), 0);
    cr_assert_eq(p_walk(ROOT, 3, "a"), 0);
    char *a = g_build_filename(dir, "a", NULL), *b = g_build_filename(dir, "b", NULL);
    cr_assert_eq(rename(a, b), 0);
    cr_assert_eq(symlink(top, a), 0);
    expect_no_secret(2);
    cr_assert_neq(p_getattr(2), 0);
    cr_assert_neq(p_unlinkat(3, "secret", 0), 0);
    cr_assert_neq(p_setattr(2, 1, 0777, 0, 0), 0);
    g_free(a);
    g_free(b);
}

// Without openat2, as in old kernels and some containers, the other way of resolving holds, too.
static void forbid_openat2(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LEN(filter), filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(p9_old_kernel, resolves_step_by_step, .fini = teardown, .timeout = 60)
{
    forbid_openat2();
    setup();
    cr_assert_eq(p_mkdir(ROOT, "a"), 0);
    cr_assert_eq(p_walk(ROOT, 2, "a"), 0);
    cr_assert_eq(p_mkdir(2, "b"), 0);
    cr_assert_eq(p_walk(ROOT, 3, "a/b/../../hello"), 0);
    cr_assert_eq(p_open(3, O_RDONLY), 0);
    expect_contents(3, 0, "hello, guest");
    try_links_out();
}

Test(p9_readonly, nothing_changes)
{
    static const char *const names[] = {"hello"};
    cr_assert_eq(p_walk(ROOT, 2, names[0]), 0);
    cr_assert_eq(p_open(2, O_RDWR), EROFS);
    cr_assert_eq(p_open(2, O_RDONLY | 01000), EROFS);
    cr_assert_eq(p_setattr(2, 1, 0600, 0, 0), EROFS);
    cr_assert_eq(p_setattr(2, 2, 0, 0, 0), EROFS);
    cr_assert_eq(p_setattr(2, 8, 0, 0, 0), EROFS);
    cr_assert_eq(p_setattr(2, 0x20, 0, 0, 0), EROFS);
    cr_assert_eq(p_mkdir(ROOT, "x"), EROFS);
    cr_assert_eq(p_symlink(ROOT, "x", "y"), EROFS);
    cr_assert_eq(p_create(ROOT, "x", O_RDWR, 0600), EROFS);
    cr_assert_eq(p_unlinkat(ROOT, "hello", 0), EROFS);
    cr_assert_eq(p_renameat(ROOT, "hello", ROOT, "x"), EROFS);
    begin(TLINK);
    add(4, ROOT);
    add(4, 2);
    add_string("x");
    cr_assert_eq(run(), EROFS);
    begin(TREMOVE);
    add(4, 2);
    cr_assert_eq(run(), EROFS);
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_open(2, O_RDONLY), 0);
    expect_contents(2, 0, "hello, guest");
}

// --- Messages that make no sense ---

static void expect_broken(void)
{
    cr_assert_not(exchange(MSIZE));
    cr_assert(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
    start_session();
}

Test(p9, sizes_that_cannot_be)
{
    begin(TCLUNK); // a size of zero
    expect_broken();
    begin(TCLUNK);
    store_le(message->data, 4, 6);
    expect_broken();
    begin(TCLUNK);
    store_le(message->data, 4, 8); // longer than its buffer
    expect_broken();
    begin(TCLUNK);
    store_le(message->data, 4, UINT32_MAX);
    expect_broken();
    begin(TVERSION);
    store_le(message->data, 4, 7);
    cr_assert_not(exchange(10)); // no room for any answer
    start_session();
}

Test(p9, truncated_messages)
{
    for (unsigned type = 8; type < 124; type += 2) {
        for (unsigned len = 7; len < 12; len++) {
            begin((uint8_t)type);
            for (unsigned i = 7; i < len; i++)
                add(1, i == 7 ? ROOT : 0);
            int err = run();
            bool whole = len == 11 &&
                         (type == TGETATTR || type == TSTATFS || type == TFSYNC || type == TLOCK);
            if (type != TFLUSH && type != TREMOVE && type != TCLUNK && !whole)
                cr_assert_neq(err, 0, "type %u with %u bytes", type, len);
        }
        start_session();
    }
}

Test(p9, strings_with_a_nul)
{
    begin(TMKDIR);
    add(4, ROOT);
    add(2, 3);
    g_byte_array_append(message, (const uint8_t *)"a\0b", 3);
    add(4, 0755);
    add(4, 0);
    cr_assert_eq(run(), EINVAL);
    cr_assert_eq(p_walk(ROOT, 2, "a"), ENOENT);
}

Test(p9, answers_fit_their_buffer)
{
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_open(2, O_RDONLY), 0);
    for (uint32_t room = 11; room < 40; room++) {
        begin(TREAD);
        add(4, 2);
        add(8, 0);
        add(4, UINT32_MAX);
        store_le(message->data, 4, message->len);
        memset(driver_ptr(&d, reply_at), 0xee, 64);
        cr_assert(exchange(room));
        cr_assert_leq(answer_len, room);
        cr_assert_eq(answer_len, MIN(room, 11 + 12));
        cr_assert_eq(guest_load(&d, reply_at + room, 1), 0xee);
        begin(TGETATTR);
        add(4, 2);
        add(8, 0);
        store_le(message->data, 4, message->len);
        cr_assert(exchange(room));
        cr_assert_eq(answer_len, 11); // it is too long: an error
    }
}

// Deep in a tree, fids are large.
Test(p9, fids_do_not_fill_the_memory)
{
    char name[251];
    uint32_t fid = 100;
    int err = 0;
    memset(name, 'n', 250);
    name[250] = 0;
    cr_assert_eq(p_walk(ROOT, 2, ""), 0);
    for (int depth = 0; depth < 12; depth++) {
        cr_assert_eq(p_mkdir(2, name), 0);
        cr_assert_eq(p_walk(2, 2, name), 0);
    }
    for (; !err && fid < 100000; fid++)
        err = p_walk(2, fid, "");
    cr_assert_eq(err, ENFILE);
    cr_assert_gt(fid, 10000);
    cr_assert_eq(p_clunk(100), 0);
    cr_assert_eq(p_walk(2, 100, ""), 0);
}

static int p_readdir(uint32_t fid, uint64_t offset)
{
    begin(TREADDIR);
    add(4, fid);
    add(8, offset);
    add(4, 1000);
    return run();
}

// Each fid of a folder that is read has a list of what is in it.
Test(p9, lists_do_not_fill_the_memory)
{
    char name[212];
    uint32_t fid;
    int err = 0;
    memset(name, 'n', sizeof(name));
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name + 200, sizeof(name) - 200, "%u", i);
        cr_assert_eq(p_mkdir(ROOT, name), 0);
    }
    for (fid = 100; !err && fid < 1000; fid++) {
        cr_assert_eq(p_walk(ROOT, fid, ""), 0);
        cr_assert_eq(p_open(fid, O_RDONLY | 0200000), 0);
        err = p_readdir(fid, 0);
    }
    cr_assert_eq(err, ENFILE);
    cr_assert_gt(fid, 200);
    cr_assert_eq(p_clunk(100), 0); // makes room for one
    cr_assert_eq(p_readdir(fid - 1, 0), 0);
    cr_assert_eq(p_readdir(fid - 1, 0), 0); // the same list anew
    cr_assert_eq(p_readdir(101, 0), 0);
    cr_assert_eq(p_walk(ROOT, 2000, ""), 0);
    cr_assert_eq(p_open(2000, O_RDONLY | 0200000), 0);
    cr_assert_eq(p_readdir(2000, 0), ENFILE);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static void add_random_field(uint64_t *seed)
{
    static const char *const names[] = {"hello", "a", "b", "..", "a/b", "", "rel", "x"};
    switch (next_random(seed) % 4) {
    case 0:
        add(4, next_random(seed) % 8);
        break;
    case 1:
        add_string(names[next_random(seed) % ARRAY_LEN(names)]);
        break;
    case 2:
        add(8, next_random(seed) % 3 ? next_random(seed) % 100 : ~next_random(seed));
        break;
    default:
        add(1 + next_random(seed) % 2, next_random(seed));
    }
}

Test(p9, random_messages_never_crash_nor_escape)
{
    uint64_t seed = 7;
    char *secret = NULL, *path = g_build_filename(top, "secret", NULL);
    cr_assert_eq(p_symlink(ROOT, "rel", ".."), 0);
    for (int i = 0; i < 30000; i++) {
        if (i % 50 == 0) {
            p_version(MSIZE, "9P2000.L");
            p_attach(ROOT);
            p_walk(ROOT, 2, "hello");
            p_walk(ROOT, 3, "rel");
        }
        begin((uint8_t)(8 + 2 * (next_random(&seed) % 58)));
        add(4, next_random(&seed) % 5);
        for (unsigned n = next_random(&seed) % 6; n > 0; n--)
            add_random_field(&seed);
        run();
    }
    cr_assert(g_file_get_contents(path, &secret, NULL, NULL));
    cr_assert_str_eq(secret, "not for the guest");
    DIR *listing = opendir(top);
    unsigned entries = 0;
    while (readdir(listing))
        entries++;
    closedir(listing);
    cr_assert_eq(entries, 4); // ".", "..", the secret, the share
    g_free(secret);
    g_free(path);
}

static unsigned open_descriptors(void)
{
    DIR *listing = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(listing))
        n++;
    closedir(listing);
    return n;
}

Test(p9, reset_closes_everything)
{
    unsigned before = open_descriptors();
    cr_assert_eq(p_walk(ROOT, 2, "hello"), 0);
    cr_assert_eq(p_open(2, O_RDONLY), 0);
    cr_assert_eq(open_descriptors(), before + 1);
    reg_write(&d, R_STATUS, 0);
    cr_assert_eq(open_descriptors(), before);
    driver_start(&d, UINT64_MAX, 1, 16);
    cr_assert_eq(p_attach(ROOT), EINVAL); // no version yet
    start_session();
}

// --- Options ---

static void expect_refused(const char *opts, const char *part)
{
    GError *error = NULL;
    cr_assert_null(fsdev_open(options_parse("-fsdev", opts, "fsdriver"), &error));
    cr_assert_not_null(strstr(error->message, part), "%s: %s", opts, error->message);
    g_error_free(error);
}

Test(fsdev, mistakes_are_named)
{
    expect_refused("synth,id=f,path=/tmp", "fsdriver: expected local, got 'synth'");
    expect_refused("local,path=/tmp", "id: missing");
    expect_refused("local,id=f", "path: missing");
    expect_refused("local,id=f,path=/nonexistent",
                   "cannot open the folder /nonexistent: No such file");
    expect_refused("local,id=f,path=/etc/passwd", "cannot open the folder /etc/passwd: Not a dir");
    expect_refused("local,id=f,path=/tmp,security_model=mapped-xattr",
                   "'mapped-xattr' is not supported");
    expect_refused("local,id=f,path=/tmp,security_model=x", "'x' is neither none nor passthrough");
    expect_refused("local,id=f,path=/tmp,foo=1", "unknown option 'foo'");
}

Test(fsdev, device_needs_folder_and_tag)
{
    struct driver e;
    GError *error = NULL;
    driver_new(&e, "virtio-9p-device", false);
    cr_assert_not(device_init(e.dev, &error));
    cr_assert_not_null(strstr(error->message, "needs fsdev=ID"));
    g_clear_error(&error);
    struct fsdev *f = fsdev_open(options_parse("-fsdev", "local,id=f,path=/tmp", "fsdriver"), NULL);
    device_set_ptr(e.dev, "fsdev", f);
    device_set_str(e.dev, "mount_tag", "a name that is longer than 32 bytes");
    cr_assert_not(device_init(e.dev, &error));
    cr_assert_not_null(strstr(error->message, "mount_tag="));
    g_error_free(error);
    driver_free(&e);
    fsdev_close(f);
}
