// SPDX-License-Identifier: MIT
// The virtio disk as a driver sees it.
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/block.h"
#include "base/bits.h"
#include "tests/unit/virtio_driver.h"

#define SECTORS      256
#define ALL_FEATURES UINT64_MAX

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };
enum { F_RO = 5, F_FLUSH = 9, F_CONFIG_WCE = 11, F_DISCARD = 13, F_WRITE_ZEROES = 14 };

static struct driver d;
static struct block *blk;
static char *file;

static unsigned syncs; // calls of the host's fdatasync, which fails with
static int sync_error; // if not 0

// Stands before the C library's.
int fdatasync(int fd)
{
    (void)fd;
    syncs++;
    errno = sync_error;
    return sync_error ? -1 : 0;
}

static void start(const struct block_options *wanted, bool legacy, uint64_t features)
{
    struct block_options opts = *wanted;
    uint8_t sector[512];
    int fd = g_file_open_tmp("ferry-blk-XXXXXX", &file, NULL);
    for (int i = 0; i < SECTORS; i++) {
        memset(sector, i, sizeof(sector));
        cr_assert_eq(write(fd, sector, sizeof(sector)), (ssize_t)sizeof(sector));
    }
    close(fd);
    opts.file = file;
    opts.format = "raw";
    blk = block_open(&opts, NULL);
    cr_assert_not_null(blk);
    driver_new(&d, "virtio-blk-device", legacy);
    device_set_ptr(d.dev, "drive", blk);
    device_set_str(d.dev, "serial", "S3R1AL");
    driver_plug(&d);
    driver_start(&d, features, 1, 64);
}

static void teardown(void)
{
    driver_free(&d);
    block_close(blk);
    unlink(file);
    g_free(file);
}

static void setup(void)
{
    struct block_options opts = {0};
    start(&opts, false, ALL_FEATURES);
}

TestSuite(blk, .init = setup, .fini = teardown, .timeout = 30);
TestSuite(blk_special, .fini = teardown, .timeout = 30);

// The status of a request whose data lie in n equal buffers.
static unsigned request(uint32_t type, uint64_t sector, paddr_t data, uint32_t len, unsigned n,
                        bool indirect)
{
    struct driver_buf bufs[34];
    unsigned head;
    uint32_t used_len;
    paddr_t header = driver_alloc(&d, 16), status = driver_alloc(&d, 1);
    bool in = type == IN || type == GET_ID;
    guest_store(&d, header, 4, type);
    guest_store(&d, header + 8, 8, sector);
    guest_store(&d, status, 1, 0xaa);
    bufs[0] = (struct driver_buf){header, 16, false};
    for (unsigned i = 0; i < n; i++)
        bufs[1 + i] = (struct driver_buf){data + len / n * i, len / n, in};
    bufs[1 + n] = (struct driver_buf){status, 1, true};
    driver_add(&d, 0, bufs, n + 2, indirect);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &used_len));
    cr_assert_eq(used_len, in ? len + 1 : 1);
    return (unsigned)guest_load(&d, status, 1);
}

static unsigned simple(uint32_t type, uint64_t sector, paddr_t data, uint32_t len)
{
    return request(type, sector, data, len, len ? 1 : 0, false);
}

static unsigned byte_of_sector(uint64_t sector)
{
    uint8_t bytes[512];
    cr_assert_eq(block_read(blk, sector * 512, bytes, 512), 0);
    for (int i = 1; i < 512; i++)
        cr_assert_eq(bytes[i], bytes[0]);
    return bytes[0];
}

Test(blk, configuration)
{
    cr_assert_eq(reg_read(&d, R_DEVICE_ID), VIRTIO_ID_BLOCK);
    cr_assert_eq(config_read(&d, 0, 8), SECTORS);
    cr_assert_eq(config_read(&d, 0, 1), 0);
    cr_assert_eq(config_read(&d, 1, 1), SECTORS >> 8);
    cr_assert_eq(config_read(&d, 20, 4), 512);
    cr_assert_eq(config_read(&d, 34, 2), 1);
    cr_assert_eq(config_read(&d, 60, 4), UINT32_MAX);
}

Test(blk, reads_into_any_number_of_buffers)
{
    paddr_t data = driver_alloc(&d, 32 * 512);
    for (unsigned n = 1; n <= 32; n *= 2) {
        memset(driver_ptr(&d, data), 0xee, 32 * 512);
        cr_assert_eq(request(IN, 7, data, 32 * 512, n, n > 8), S_OK);
        for (unsigned i = 0; i < 32; i++)
            cr_assert_eq(guest_load(&d, data + 512 * i + 5, 1), 7 + i);
    }
}

// Buffers need not hold whole sectors.
Test(blk, buffers_of_odd_sizes)
{
    paddr_t data = driver_alloc(&d, 512);
    paddr_t header = driver_alloc(&d, 16), status = driver_alloc(&d, 1);
    unsigned head;
    uint32_t len;
    guest_store(&d, header, 4, IN);
    guest_store(&d, header + 8, 8, 9);
    struct driver_buf bufs[] = {{header, 3, false},    {header + 3, 13, false}, {data, 1, true},
                                {data + 1, 500, true}, {data + 501, 11, true},  {status, 1, true}};
    driver_add(&d, 0, bufs, 6, false);
    driver_kick(&d, 0);
    cr_assert(driver_used(&d, 0, &head, &len));
    cr_assert_eq(guest_load(&d, status, 1), S_OK);
    for (unsigned i = 0; i < 512; i++)
        cr_assert_eq(guest_load(&d, data + i, 1), 9);
}

Test(blk, writes)
{
    paddr_t data = driver_alloc(&d, 1024);
    memset(driver_ptr(&d, data), 0x77, 512);
    memset(driver_ptr(&d, data + 512), 0x88, 512);
    cr_assert_eq(request(OUT, SECTORS - 2, data, 1024, 2, false), S_OK);
    cr_assert_eq(byte_of_sector(SECTORS - 3), (uint8_t)(SECTORS - 3));
    cr_assert_eq(byte_of_sector(SECTORS - 2), 0x77);
    cr_assert_eq(byte_of_sector(SECTORS - 1), 0x88);
    cr_assert_eq(simple(FLUSH, 0, 0, 0), S_OK);
    cr_assert_eq(block_get_stats(blk)->flushes, 1);
}

Test(blk, identifies_itself)
{
    paddr_t data = driver_alloc(&d, 32);
    cr_assert_eq(simple(GET_ID, 0, data, 20), S_OK);
    cr_assert_str_eq((char *)driver_ptr(&d, data), "S3R1AL");
    memset(driver_ptr(&d, data), 'x', 32);
    cr_assert_eq(simple(GET_ID, 0, data, 3), S_OK);
    cr_assert_eq(memcmp(driver_ptr(&d, data), "S3Rx", 4), 0);
}

Test(blk, ranges_are_checked)
{
    paddr_t data = driver_alloc(&d, 1024);
    static const struct {
        uint64_t sector;
        uint32_t len;
    } bad[] = {{SECTORS, 512},
               {SECTORS - 1, 1024},
               {UINT64_MAX, 512},
               {UINT64_MAX / 512, 512},
               {UINT64_C(1) << 55, 512},
               {0, 511},
               {0, 513}};
    memset(driver_ptr(&d, data), 0x99, 1024);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        cr_assert_eq(simple(IN, bad[i].sector, data, bad[i].len), S_IOERR, "case %u", i);
        cr_assert_eq(simple(OUT, bad[i].sector, data, bad[i].len), S_IOERR, "case %u", i);
        cr_assert_eq(guest_load(&d, data, 1), 0x99);
    }
    cr_assert_eq(byte_of_sector(SECTORS - 1), (uint8_t)(SECTORS - 1));
    cr_assert_eq(simple(IN, SECTORS, data, 0), S_OK);
}

static unsigned clear(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
    paddr_t range = driver_alloc(&d, 16);
    guest_store(&d, range, 8, sector);
    guest_store(&d, range + 8, 4, count);
    guest_store(&d, range + 12, 4, flags);
    return simple(type, 0, range, 16);
}

Test(blk, discards_and_zeroes)
{
    cr_assert_eq(clear(WRITE_ZEROES, 10, 5, 0), S_OK);
    cr_assert_eq(clear(WRITE_ZEROES, 20, 5, 1), S_OK);
    cr_assert_eq(clear(DISCARD, 40, 5, 0), S_OK);
    for (unsigned i = 0; i < 30; i++) {
        bool zeroed = (i >= 10 && i < 15) || (i >= 20 && i < 25);
        cr_assert_eq(byte_of_sector(i), zeroed ? 0 : i);
    }
    cr_assert_eq(clear(DISCARD, 0, 1, 1), S_UNSUPP);
    cr_assert_eq(clear(WRITE_ZEROES, 0, 1, 2), S_UNSUPP);
    cr_assert_eq(clear(WRITE_ZEROES, SECTORS, 1, 0), S_IOERR);
    cr_assert_eq(clear(WRITE_ZEROES, 0, UINT32_MAX, 0), S_IOERR);
    cr_assert_eq(clear(DISCARD, UINT64_MAX, 1, 0), S_IOERR);
    cr_assert_eq(simple(DISCARD, 0, RAM_BASE, 15), S_IOERR);
    cr_assert_eq(simple(DISCARD, 0, 0, 0), S_IOERR);
    cr_assert_eq(simple(DISCARD, 0, RAM_BASE, 16 * 17), S_IOERR);
}

Test(blk, other_requests_are_unsupported)
{
    cr_assert_eq(simple(2, 0, 0, 0), S_UNSUPP); // SCSI
    cr_assert_eq(simple(0xffffffff, 0, 0, 0), S_UNSUPP);
}

Test(blk, requests_without_header_or_status_break_the_device)
{
    struct driver_buf short_header[] = {{RAM_BASE, 15, false}, {RAM_BASE, 1, true}};
    struct driver_buf no_status[] = {{RAM_BASE, 16, false}};
    driver_add(&d, 0, short_header, 2, false);
    driver_kick(&d, 0);
    cr_assert(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
    driver_start(&d, 0, 1, 64);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
    driver_add(&d, 0, no_status, 1, false);
    driver_kick(&d, 0);
    cr_assert(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
}

// The data that a request reads are the ring's next index and the sector of the next request: a guest that lets its
// disk feed its queue must not keep the device busy for ever.
Test(blk, requests_that_write_requests)
{
    paddr_t header = driver_alloc(&d, 16), rest = driver_alloc(&d, 502),
            status = driver_alloc(&d, 1);
    struct driver_queue *dq = &d.q[0];
    for (uint32_t i = 0; i < SECTORS; i++) {
        uint8_t sector[512] = {0};
        store_le(sector, 2, i + 2);
        store_le(sector + 2, 8, i + 1);
        cr_assert_eq(block_write(blk, i * 512, sector, 512), 0);
    }
    guest_store(&d, header, 4, IN);
    guest_store(&d, header + 8, 8, 0);
    driver_set_desc(&d, dq->desc, 0, header, 16, 1, 1);
    driver_set_desc(&d, dq->desc, 1, dq->avail + 2, 2, 3, 2);
    driver_set_desc(&d, dq->desc, 2, header + 8, 8, 3, 3);
    driver_set_desc(&d, dq->desc, 3, rest, 502, 3, 4);
    driver_set_desc(&d, dq->desc, 4, status, 1, 2, 0);
    guest_store(&d, dq->avail + 2, 2, 1); // all heads are 0
    driver_kick(&d, 0);
    cr_assert_eq(guest_load(&d, dq->used + 2, 2), dq->num);
    driver_kick(&d, 0);
    cr_assert_eq(guest_load(&d, dq->used + 2, 2), 2 * dq->num);
    cr_assert_not(reg_read(&d, R_STATUS) & VIRTIO_NEEDS_RESET);
}

Test(blk, write_cache_can_be_switched)
{
    paddr_t data = driver_alloc(&d, 512);
    cr_assert_eq(config_read(&d, 32, 1), 1);
    cr_assert_eq(simple(OUT, 0, data, 512), S_OK);
    cr_assert_eq(block_get_stats(blk)->flushes, 0);
    config_write(&d, 32, 1, 0);
    cr_assert_eq(config_read(&d, 32, 1), 0);
    cr_assert_eq(simple(OUT, 0, data, 512), S_OK);
    cr_assert_eq(block_get_stats(blk)->flushes, 1);
}

// A driver that can't flush gets durable writes.
Test(blk_special, without_flush_writes_are_durable)
{
    struct block_options opts = {0};
    start(&opts, false, 0);
    cr_assert_eq(simple(OUT, 0, driver_alloc(&d, 512), 512), S_OK);
    cr_assert_eq(block_get_stats(blk)->flushes, 1);
    cr_assert_eq(clear(DISCARD, 0, 1, 0), S_UNSUPP); // not negotiated
}

// A flush is answered when the host has the data, or says that it does not.
Test(blk_special, flushes_are_durable)
{
    struct block_options opts = {0};
    start(&opts, false, ALL_FEATURES);
    paddr_t data = driver_alloc(&d, 512);
    cr_assert_eq(simple(OUT, 0, data, 512), S_OK);
    cr_assert_eq(syncs, 0);
    cr_assert_eq(simple(FLUSH, 0, 0, 0), S_OK);
    cr_assert_eq(syncs, 1);
    sync_error = EIO;
    cr_assert_eq(simple(FLUSH, 0, 0, 0), S_IOERR);
    cr_assert_eq(simple(OUT, 0, data, 512), S_OK);
    config_write(&d, 32, 1, 0); // write-through: each write is flushed
    cr_assert_eq(simple(OUT, 0, data, 512), S_IOERR);
    sync_error = 0;
    cr_assert_eq(simple(OUT, 0, data, 512), S_OK);
    cr_assert_eq(syncs, 4);
}

Test(blk_special, legacy)
{
    struct block_options opts = {0};
    start(&opts, true, ALL_FEATURES);
    paddr_t data = driver_alloc(&d, 512);
    cr_assert_eq(simple(IN, 3, data, 512), S_OK);
    cr_assert_eq(guest_load(&d, data, 1), 3);
    cr_assert_eq(simple(OUT, 4, data, 512), S_OK);
    cr_assert_eq(byte_of_sector(4), 3);
}

Test(blk_special, readonly)
{
    struct block_options opts = {.readonly = true};
    start(&opts, false, ALL_FEATURES);
    paddr_t data = driver_alloc(&d, 512);
    reg_write(&d, R_FEATURES_SEL, 0);
    cr_assert(reg_read(&d, R_FEATURES) & BIT(F_RO));
    cr_assert_not(reg_read(&d, R_FEATURES) & (BIT(F_DISCARD) | BIT(F_WRITE_ZEROES)));
    cr_assert_eq(simple(IN, 1, data, 512), S_OK);
    cr_assert_eq(simple(OUT, 1, data, 512), S_IOERR);
    cr_assert_eq(simple(FLUSH, 0, 0, 0), S_OK);
    cr_assert_eq(byte_of_sector(1), 1);
}

// An error of the host's file reaches the guest and is no end of anything.
Test(blk_special, errors_of_the_host)
{
    struct block_options opts = {0};
    start(&opts, false, ALL_FEATURES);
    paddr_t data = driver_alloc(&d, 512);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {100 * 512, 100 * 512};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); // writes beyond fail with EFBIG
    cr_assert_eq(simple(OUT, 200, data, 512), S_IOERR);
    cr_assert_eq(simple(OUT, 10, data, 512), S_OK);
    cr_assert_eq(simple(IN, 200, data, 512), S_OK);
    cr_assert_eq(guest_load(&d, data, 1), 200);
}

Test(blk_errors, needs_a_drive_of_its_own)
{
    struct driver e;
    GError *error = NULL;
    char *name;
    close(g_file_open_tmp("ferry-blk-XXXXXX", &name, NULL));
    driver_new(&e, "virtio-blk-device", false);
    cr_assert_not(device_init(e.dev, &error));
    cr_assert_not_null(strstr(error->message, "needs drive=ID"));
    g_clear_error(&error);
    struct block_options opts = {.file = name, .id = "hd0", .format = "raw"};
    struct block *b = block_open(&opts, NULL);
    cr_assert(block_claim(b, "pflash", NULL, NULL));
    device_set_ptr(e.dev, "drive", b);
    cr_assert_not(device_init(e.dev, &error));
    cr_assert_not_null(strstr(error->message, "belongs to pflash already"));
    device_set_str(e.dev, "serial", "123456789012345678901");
    g_clear_error(&error);
    cr_assert_not(device_init(e.dev, &error));
    cr_assert_not_null(strstr(error->message, "longer than 20"));
    g_clear_error(&error);
    driver_free(&e);
    block_close(b);
    unlink(name);
    g_free(name);
}
