// SPDX-License-Identifier: MIT
//
// The physical map on its own: finding regions, accesses of all sizes and alignments to memory and
// to devices of all declarations, block transfers, flags, listeners and the hash of contents.
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/replay.h"
#include "softmmu/mem.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE (UINT64_C(16) << PAGE_BITS)

static bool same(const void *a, const void *b, size_t len)
{
    return !memcmp(a, b, len);
}

// --- A device that is a piece of memory, and checks that it is accessed as it declared ---

enum { BOX_SIZE = 64 };

struct box {
    struct mem_ops ops;
    uint8_t bytes[BOX_SIZE];
    unsigned accesses;
    uint64_t missing; // offset of a register that does not exist, or UINT64_MAX
};

static void box_check(struct box *x, uint64_t offset, unsigned size)
{
    cr_assert(size >= x->ops.min_size && size <= x->ops.max_size);
    cr_assert(eq(u64, offset & (size - 1), 0));
    cr_assert(le(u64, offset + size, BOX_SIZE));
    x->accesses++;
}

static bool box_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    struct box *x = dev;
    box_check(x, offset, size);
    if (offset == x->missing)
        return false;
    *value = (x->ops.big_endian ? load_be : load_le)(x->bytes + offset, size);
    if (size < 8)
        *value |= UINT64_MAX << (8 * size); // what is beyond the size must not matter
    return true;
}

static bool box_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct box *x = dev;
    box_check(x, offset, size);
    cr_assert(size == 8 || !(value >> (8 * size)));
    if (offset == x->missing)
        return false;
    (x->ops.big_endian ? store_be : store_le)(x->bytes + offset, size, value);
    return true;
}

static void box_init(struct box *x, unsigned min, unsigned max, bool widen, bool big_endian)
{
    *x = (struct box){.missing = UINT64_MAX};
    x->ops = (struct mem_ops){box_read, box_write, (uint8_t)min, (uint8_t)max, widen, big_endian};
    for (unsigned i = 0; i < BOX_SIZE; i++)
        x->bytes[i] = (uint8_t)(0x40 + i);
}

static struct mem *map_with_ram(struct mem_region **ram)
{
    struct mem *mem = mem_new();
    struct mem_region *r = mem_add_ram(mem, "ram", RAM_BASE, RAM_SIZE, NULL);
    cr_assert(r != NULL);
    if (ram)
        *ram = r;
    return mem;
}

static void expect_read(struct mem *mem, paddr_t addr, unsigned size, uint64_t expected)
{
    uint64_t value = UINT64_MAX;
    cr_assert(eq(int, (int)mem_read(mem, addr, size, &value), MEM_OK));
    cr_assert(eq(u64, value, expected));
}

static void expect_read_status(struct mem *mem, paddr_t addr, unsigned size, enum mem_status status)
{
    uint64_t value;
    cr_assert(eq(int, (int)mem_read(mem, addr, size, &value), (int)status));
}

static void expect_write(struct mem *mem, paddr_t addr, unsigned size, uint64_t value,
                         enum mem_status status)
{
    cr_assert(eq(int, (int)mem_write(mem, addr, size, value), (int)status));
}

// --- Regions ---

Test(regions, are_in_order_and_found)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 1, 8, false, false);
    struct mem_region *c = mem_add_io(mem, "c", 0x3000, BOX_SIZE, &box.ops, &box, NULL);
    struct mem_region *a = mem_add_rom(mem, "a", 0x1000, 0x1000, NULL);
    struct mem_region *b = mem_add_ram(mem, "b", 0x2000, 0x1000, NULL);
    struct mem_region *top = mem_add_ram(mem, "top", UINT64_MAX - 0xfff, 0x1000, NULL);
    cr_assert(eq(ptr, mem_region_at(mem, 0), a));
    cr_assert(eq(ptr, mem_region_at(mem, 1), b));
    cr_assert(eq(ptr, mem_region_at(mem, 2), c));
    cr_assert(eq(ptr, mem_region_at(mem, 3), top));
    cr_assert(eq(ptr, mem_region_at(mem, 4), NULL));
    for (unsigned round = 0; round < 2; round++) { // looked up, then remembered
        cr_assert(eq(ptr, mem_find(mem, 0xfff), NULL));
        cr_assert(eq(ptr, mem_find(mem, 0x1000), a));
        cr_assert(eq(ptr, mem_find(mem, 0x1fff), a));
        cr_assert(eq(ptr, mem_find(mem, 0x2000), b));
        cr_assert(eq(ptr, mem_find(mem, 0x303f), c));
        cr_assert(eq(ptr, mem_find(mem, 0x3040), NULL));
        cr_assert(eq(ptr, mem_find(mem, UINT64_MAX), top));
        cr_assert(eq(ptr, mem_find(mem, UINT64_MAX - 0x1000), NULL));
    }
    cr_assert(eq(ptr, mem_find_host(mem, b->host + 0xfff), b));
    cr_assert(eq(ptr, mem_find_host(mem, (uint8_t *)&box), NULL));
    mem_free(mem);
}

Test(regions, found_among_many)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 1, 8, false, false);
    for (unsigned i = 0; i < 200; i++) { // in an order of its own
        unsigned at = i * 77 % 200;
        g_autofree char *name = g_strdup_printf("dev%u", at);
        cr_assert(mem_add_io(mem, name, at * 0x80, BOX_SIZE, &box.ops, &box, NULL) != NULL);
    }
    for (paddr_t addr = 0; addr < 200 * 0x80; addr += 16) {
        struct mem_region *r = mem_find(mem, addr);
        if (addr % 0x80 < BOX_SIZE)
            cr_assert(r && r->base == align_down(addr, 0x80));
        else
            cr_assert(eq(ptr, r, NULL));
    }
    mem_free(mem);
}

static void expect_no_room(struct mem *mem, paddr_t base, uint64_t size, const char *other)
{
    g_autoptr(GError) error = NULL;
    unsigned n = 0;
    while (mem_region_at(mem, n))
        n++;
    cr_assert(eq(ptr, mem_add_ram(mem, "new", base, size, &error), NULL));
    cr_assert(g_error_matches(error, FERRY_ERROR, FERRY_ERROR_OPTION));
    cr_assert(strstr(error->message, "'new'") != NULL);
    cr_assert(strstr(error->message, other) != NULL);
    cr_assert(eq(ptr, mem_region_at(mem, n), NULL));
}

Test(regions, overlaps_are_refused_with_both_names)
{
    struct mem *mem = map_with_ram(NULL);
    expect_no_room(mem, RAM_BASE, RAM_SIZE, "'ram'");
    expect_no_room(mem, RAM_BASE - 1, 2, "'ram'");
    expect_no_room(mem, RAM_BASE + RAM_SIZE - 1, 1, "'ram'");
    expect_no_room(mem, RAM_BASE + 0x1000, 1, "'ram'");
    expect_no_room(mem, 0, UINT64_MAX, "'ram'");
    expect_no_room(mem, UINT64_MAX, 2, "end of the address space");
    cr_assert(mem_add_ram(mem, "below", RAM_BASE - 1, 1, NULL) != NULL);
    cr_assert(mem_add_ram(mem, "above", RAM_BASE + RAM_SIZE, 1, NULL) != NULL);
    mem_free(mem);
}

Test(regions, more_memory_than_the_host_can_map)
{
    struct mem *mem = mem_new();
    for (unsigned bits = 58; bits < 64; bits++) {
        g_autoptr(GError) error = NULL;
        cr_assert(eq(ptr, mem_add_ram(mem, "ram", 0, UINT64_C(1) << bits, &error), NULL));
        cr_assert(g_error_matches(error, FERRY_ERROR, FERRY_ERROR_HOST));
        cr_assert(strstr(error->message, "'ram'") != NULL);
    }
    cr_assert(eq(ptr, mem_region_at(mem, 0), NULL));
    mem_free(mem);
}

static unsigned long resident_kb(void)
{
    unsigned long size, resident;
    FILE *f = fopen("/proc/self/statm", "re");
    cr_assert(f && fscanf(f, "%lu %lu", &size, &resident) == 2);
    fclose(f);
    return resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

Test(regions, untouched_memory_costs_nothing)
{
    unsigned long before = resident_kb();
    struct mem *mem = mem_new();
    struct mem_region *r = mem_add_ram(mem, "ram", RAM_BASE, UINT64_C(4) << 30, NULL);
    cr_assert(r != NULL);
    cr_assert(eq(u64, (uintptr_t)r->host & ((2 << 20) - 1), 0)); // for huge pages
    mem_hash(mem, 0);
    expect_read(mem, RAM_BASE + (UINT64_C(3) << 30), 8, 0);
    unsigned long used = resident_kb() - before;
    cr_assert(lt(ulong, used, 3 * 1024));
    mem_free(mem);
}

// --- Memory accesses ---

Test(access, memory_at_any_size_and_alignment)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    for (unsigned i = 0; i < 32; i++)
        expect_write(mem, RAM_BASE + PAGE_SIZE - 16 + i, 1, 0x80 + i, MEM_OK);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned i = 0; i + size <= 32; i++) {
            uint64_t value = load_le(ram->host + PAGE_SIZE - 16 + i, size);
            cr_assert(eq(u64, value & 0xff, 0x80 + i));
            expect_read(mem, RAM_BASE + PAGE_SIZE - 16 + i, size, value);
            expect_write(mem, RAM_BASE + PAGE_SIZE - 16 + i, size, value, MEM_OK);
        }
    }
    mem_free(mem);
}

Test(access, rom_is_read_only)
{
    struct mem *mem = mem_new();
    mem_add_rom(mem, "rom", 0x1000, 0x1000, NULL);
    expect_write(mem, 0x1000, 4, 1, MEM_REJECTED);
    expect_read(mem, 0x1000, 4, 0);
    cr_assert(eq(int, (int)mem_write_bytes(mem, 0x1000, "abcd", 4), MEM_REJECTED));
    cr_assert(eq(int, (int)mem_load(mem, 0x1000, "abcd", 4), MEM_OK));
    expect_read(mem, 0x1000, 4, 0x64636261);
    cr_assert(eq(ptr, mem_ptr(mem, 0x1000, 4, true), NULL));
    cr_assert(mem_ptr(mem, 0x1000, 4, false) != NULL);
    mem_free(mem);
}

Test(access, across_two_memories)
{
    struct mem *mem = map_with_ram(NULL);
    mem_add_ram(mem, "more", RAM_BASE + RAM_SIZE, PAGE_SIZE, NULL);
    paddr_t seam = RAM_BASE + RAM_SIZE;
    for (unsigned below = 1; below < 8; below++) {
        uint64_t value = UINT64_C(0x1122334455667788) + below;
        expect_write(mem, seam - below, 8, value, MEM_OK);
        expect_read(mem, seam - below, 8, value);
    }
    expect_write(mem, seam - 1, 2, 0xabcd, MEM_OK);
    expect_read(mem, seam - 1, 1, 0xcd);
    expect_read(mem, seam, 1, 0xab);
    mem_free(mem);
}

Test(access, partly_unmapped_has_no_effect)
{
    struct mem *mem = map_with_ram(NULL);
    struct box box;
    box_init(&box, 1, 8, false, false);
    mem_add_io(mem, "box", 0x1000, BOX_SIZE, &box.ops, &box, NULL);
    paddr_t end = RAM_BASE + RAM_SIZE;
    expect_write(mem, end - 2, 2, 0x1234, MEM_OK);
    expect_read_status(mem, end - 2, 4, MEM_UNMAPPED);
    expect_write(mem, end - 2, 4, 0, MEM_UNMAPPED);
    expect_read(mem, end - 2, 2, 0x1234);
    expect_read_status(mem, RAM_BASE - 1, 2, MEM_UNMAPPED);
    expect_read_status(mem, 0x1000 - 4, 8, MEM_UNMAPPED);
    expect_write(mem, 0x1000 + BOX_SIZE - 4, 8, 0, MEM_UNMAPPED);
    cr_assert(eq(u32, box.accesses, 0));
    mem_free(mem);
}

Test(access, does_not_wrap_around_the_address_space)
{
    struct mem *mem = mem_new();
    mem_add_ram(mem, "low", 0, PAGE_SIZE, NULL);
    mem_add_ram(mem, "high", UINT64_MAX - PAGE_SIZE + 1, PAGE_SIZE, NULL);
    uint8_t buf[16] = {0};
    expect_read(mem, UINT64_MAX, 1, 0);
    expect_read_status(mem, UINT64_MAX, 2, MEM_UNMAPPED);
    expect_write(mem, UINT64_MAX - 2, 4, 0, MEM_UNMAPPED);
    cr_assert(eq(int, (int)mem_read_bytes(mem, UINT64_MAX - 7, buf, 8), MEM_OK));
    cr_assert(eq(int, (int)mem_read_bytes(mem, UINT64_MAX - 7, buf, 9), MEM_UNMAPPED));
    cr_assert(eq(ptr, mem_ptr(mem, UINT64_MAX - 7, 9, false), NULL));
    mem_free(mem);
}

// --- Accesses to devices ---

// A device that declares min..max is byte-addressable memory to those accesses that it can serve,
// and others are refused before any part of them is done.
static void box_as_memory(unsigned min, unsigned max, bool widen, bool big_endian)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, min, max, widen, big_endian);
    mem_add_io(mem, "box", 0x10000, BOX_SIZE, &box.ops, &box, NULL);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned at = 0; at + size <= BOX_SIZE; at++) {
            bool served = widen || (size >= min && at % min == 0);
            unsigned before = box.accesses;
            if (served) {
                expect_read(mem, 0x10000 + at, size, load_le(box.bytes + at, size));
            } else {
                expect_read_status(mem, 0x10000 + at, size, MEM_REJECTED);
                expect_write(mem, 0x10000 + at, size, 0, MEM_REJECTED);
                cr_assert(eq(u32, box.accesses, before));
            }
        }
    }
    mem_free(mem);
}

Test(device, reads_of_all_declarations)
{
    for (unsigned min = 1; min <= 8; min *= 2) {
        for (unsigned max = min; max <= 8; max *= 2) {
            for (unsigned flags = 0; flags < 4; flags++)
                box_as_memory(min, max, flags & 1, flags & 2);
        }
    }
}

Test(device, writes_put_every_byte_in_its_lane)
{
    for (unsigned max = 1; max <= 8; max *= 2) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            for (unsigned at = 0; at + size <= 24; at++) {
                struct mem *mem = mem_new();
                struct box box;
                uint8_t expected[BOX_SIZE];
                box_init(&box, 1, max, false, at & 1);
                memcpy(expected, box.bytes, BOX_SIZE);
                store_le(expected + at, size, UINT64_C(0xf1f2f3f4f5f6f7f8));
                mem_add_io(mem, "box", 0x10000, BOX_SIZE, &box.ops, &box, NULL);
                expect_write(mem, 0x10000 + at, size, UINT64_C(0xf1f2f3f4f5f6f7f8), MEM_OK);
                cr_assert(same(box.bytes, expected, BOX_SIZE));
                mem_free(mem);
            }
        }
    }
}

Test(device, the_fewest_pieces)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 1, 4, false, false);
    mem_add_io(mem, "box", 0x10000, BOX_SIZE, &box.ops, &box, NULL);
    static const struct {
        unsigned at, size, pieces;
    } cases[] = {{0, 4, 1}, {0, 8, 2}, {4, 8, 2}, {2, 4, 2}, {1, 4, 3}, {2, 8, 3}, {3, 2, 2}};
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value;
        box.accesses = 0;
        mem_read(mem, 0x10000 + cases[i].at, cases[i].size, &value);
        cr_assert(eq(u32, box.accesses, cases[i].pieces));
    }
    mem_free(mem);
}

Test(device, widened_writes_leave_zeros_in_other_lanes)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 4, 4, true, false);
    mem_add_io(mem, "box", 0x10000, BOX_SIZE, &box.ops, &box, NULL);
    expect_write(mem, 0x10006, 1, 0xab, MEM_OK);
    cr_assert(eq(u64, load_le(box.bytes + 4, 4), 0x00ab0000));
    expect_write(mem, 0x10008, 2, 0x1234, MEM_OK);
    cr_assert(eq(u64, load_le(box.bytes + 8, 4), 0x1234));
    mem_free(mem);
}

Test(device, missing_registers_are_refused)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 4, 4, false, false);
    box.missing = 8;
    mem_add_io(mem, "box", 0x10000, BOX_SIZE, &box.ops, &box, NULL);
    expect_read_status(mem, 0x10008, 4, MEM_REJECTED);
    expect_read_status(mem, 0x10004, 8, MEM_REJECTED); // its second half
    expect_write(mem, 0x10008, 4, 1, MEM_REJECTED);
    expect_read(mem, 0x1000c, 4, load_le(box.bytes + 12, 4));
    mem_free(mem);
}

static const struct mem_ops deaf_ops = {.min_size = 1, .max_size = 8};

Test(device, without_functions_refuses_all)
{
    struct mem *mem = mem_new();
    mem_add_io(mem, "deaf", 0, BOX_SIZE, &deaf_ops, NULL, NULL);
    expect_read_status(mem, 0, 4, MEM_REJECTED);
    expect_write(mem, 0, 4, 0, MEM_REJECTED);
    mem_free(mem);
}

Test(device, next_to_memory)
{
    struct mem *mem = map_with_ram(NULL);
    struct box bytes, words;
    box_init(&bytes, 1, 4, false, false);
    box_init(&words, 4, 4, false, false);
    paddr_t end = RAM_BASE + RAM_SIZE;
    mem_add_io(mem, "bytes", end, BOX_SIZE, &bytes.ops, &bytes, NULL);
    mem_add_io(mem, "words", RAM_BASE - BOX_SIZE, BOX_SIZE, &words.ops, &words, NULL);
    expect_write(mem, end - 2, 2, 0xbbaa, MEM_OK);
    expect_read(mem, end - 2, 4, 0x4140bbaa);
    expect_write(mem, end - 1, 2, 0x1122, MEM_OK);
    cr_assert(eq(u8, bytes.bytes[0], 0x11));
    expect_write(mem, RAM_BASE - 2, 4, 0xffffffff, MEM_REJECTED);
    expect_read(mem, RAM_BASE, 2, 0);
    cr_assert(eq(u32, words.accesses, 0));
    mem_free(mem);
}

Test(device, flash_is_memory_while_direct)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 1, 8, false, false);
    struct mem_region *r = mem_add_romd(mem, "flash", 0, BOX_SIZE, &box.ops, &box, NULL);
    cr_assert(eq(int, (int)mem_load(mem, 0, "boot", 4), MEM_OK));
    expect_read(mem, 0, 4, 0x746f6f62);
    cr_assert(eq(u32, box.accesses, 0));
    expect_write(mem, 0, 1, 0x99, MEM_OK); // a command, to the device
    cr_assert(eq(u8, box.bytes[0], 0x99));
    cr_assert(mem_ptr(mem, 0, 4, false) != NULL);

    mem_set_direct(mem, r, false);
    expect_read(mem, 0, 2, 0x4199);
    uint8_t buf[4];
    cr_assert(eq(int, (int)mem_read_bytes(mem, 0, buf, 4), MEM_REJECTED));
    cr_assert(eq(ptr, mem_ptr(mem, 0, 4, false), NULL));
    mem_set_direct(mem, r, true);
    expect_read(mem, 0, 4, 0x746f6f62);
    mem_free(mem);
}

static void expect_log(struct mem *mem, paddr_t addr, const char *path, const char *expected)
{
    g_autofree char *text = NULL;
    uint64_t value;
    cr_assert(log_set_file(path, NULL));
    mem_read(mem, addr, 4, &value);
    cr_assert(g_file_get_contents(path, &text, NULL, NULL));
    cr_assert(eq(str, text, (char *)expected));
}

Test(device, refusals_are_reported)
{
    g_autofree char *path = NULL;
    close(g_file_open_tmp("ferry-log-XXXXXX", &path, NULL));
    struct mem *mem = mem_new();
    mem_add_io(mem, "deaf", 0x1000, BOX_SIZE, &deaf_ops, NULL, NULL);
    log_mask = LOG_GUEST;
    expect_log(mem, 0x1004, path, "mem: read of 4 bytes at 0x1004: refused by deaf (offset 0x4)\n");
    expect_log(mem, 0x2000, path, "mem: read of 4 bytes at 0x2000: nothing is there\n");
    log_mask = 0;
    expect_log(mem, 0x2000, path, "");
    unlink(path);
    mem_free(mem);
}

// --- Block transfers ---

Test(block, across_regions)
{
    struct mem *mem = map_with_ram(NULL);
    mem_add_ram(mem, "more", RAM_BASE + RAM_SIZE, PAGE_SIZE, NULL);
    uint8_t out[3 * PAGE_SIZE], in[3 * PAGE_SIZE] = {0};
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 31 + i / 256);
    paddr_t at = RAM_BASE + RAM_SIZE - 2 * PAGE_SIZE - 5;
    cr_assert(eq(int, (int)mem_write_bytes(mem, at, out, sizeof(out)), MEM_OK));
    cr_assert(eq(int, (int)mem_read_bytes(mem, at, in, sizeof(in)), MEM_OK));
    cr_assert(same(out, in, sizeof(in)));
    expect_read(mem, at + 1, 8, load_le(out + 1, 8));
    mem_free(mem);
}

Test(block, all_or_nothing)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    struct box box;
    box_init(&box, 1, 8, false, false);
    paddr_t end = RAM_BASE + RAM_SIZE;
    mem_add_io(mem, "box", end, BOX_SIZE, &box.ops, &box, NULL);
    uint8_t buf[512];
    memset(buf, 0x55, sizeof(buf));
    cr_assert(eq(int, (int)mem_write_bytes(mem, end - 16, buf, 17), MEM_REJECTED));
    cr_assert(eq(int, (int)mem_load(mem, end - 16, buf, 17), MEM_REJECTED));
    cr_assert(eq(int, (int)mem_write_bytes(mem, RAM_BASE - 1, buf, 2), MEM_UNMAPPED));
    expect_read(mem, end - 8, 8, 0);
    expect_read(mem, RAM_BASE, 8, 0);
    cr_assert(eq(int, (int)mem_read_bytes(mem, end - 16, buf, 17), MEM_REJECTED));
    cr_assert(eq(u8, buf[0], 0x55));
    cr_assert(eq(u32, box.accesses, 0));
    cr_assert(eq(int, (int)mem_write_bytes(mem, 0, NULL, 0), MEM_OK));
    mem_free(mem);
}

Test(block, pointers_stay_inside_one_region)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    mem_add_ram(mem, "odd", RAM_BASE + RAM_SIZE, 100, NULL);
    cr_assert(eq(ptr, mem_ptr(mem, RAM_BASE, RAM_SIZE, false), ram->host));
    cr_assert(eq(ptr, mem_ptr(mem, RAM_BASE + 3, 1, false), ram->host + 3));
    cr_assert(eq(ptr, mem_ptr(mem, RAM_BASE + 1, RAM_SIZE, false), NULL));
    cr_assert(eq(ptr, mem_ptr(mem, RAM_BASE, UINT64_MAX, false), NULL));
    cr_assert(mem_ptr(mem, RAM_BASE + RAM_SIZE, 100, true) != NULL);
    cr_assert(eq(ptr, mem_ptr(mem, RAM_BASE + RAM_SIZE, PAGE_SIZE, false), NULL));
    expect_read_status(mem, RAM_BASE + RAM_SIZE + 100, 1, MEM_UNMAPPED);
    mem_free(mem);
}

// --- Flags and listeners ---

struct ear {
    unsigned remaps, protects, writes, dma;
    const uint8_t *page;
    paddr_t addr, end; // of all writes to code
    paddr_t dma_addr;  // of the last write by a bus master
    uint64_t dma_len;
};

static void on_protect(void *opaque, const uint8_t *host_page)
{
    struct ear *e = opaque;
    e->protects++;
    e->page = host_page;
}

static void on_code_written(void *opaque, paddr_t addr, uint64_t len)
{
    struct ear *e = opaque;
    if (!e->writes++)
        e->addr = addr;
    else
        cr_assert(eq(u64, addr, e->end)); // one after the other
    e->end = addr + len;
}

static void on_remapped(void *opaque)
{
    ((struct ear *)opaque)->remaps++;
}

static void on_written(void *opaque, paddr_t addr, uint64_t len)
{
    struct ear *e = opaque;
    e->dma++;
    e->dma_addr = addr;
    e->dma_len = len;
}

static void listen_to(struct mem *mem, struct ear *e)
{
    struct mem_listener l = {on_protect, on_code_written, on_remapped, on_written, e};
    *e = (struct ear){0};
    mem_add_listener(mem, &l);
}

Test(flags, writes_by_every_way_are_noted)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    uint8_t two[2] = {1, 2};
    mem_write(mem, RAM_BASE + 1 * PAGE_SIZE, 4, 1);
    mem_write(mem, RAM_BASE + 3 * PAGE_SIZE - 1, 2, 1); // pages 2 and 3
    mem_write_bytes(mem, RAM_BASE + 5 * PAGE_SIZE, two, 2);
    mem_load(mem, RAM_BASE + 7 * PAGE_SIZE, two, 2);
    mem_ptr(mem, RAM_BASE + 9 * PAGE_SIZE, 2 * PAGE_SIZE, true);
    mem_ptr(mem, RAM_BASE + 12 * PAGE_SIZE, 1, false);
    mem_note_write(mem, ram, 13 * PAGE_SIZE, 1);
    static const unsigned written[16] = {
        [1] = 1, [2] = 1, [3] = 1, [5] = 1, [7] = 1, [9] = 1, [10] = 1, [13] = 1};
    for (unsigned i = 0; i < 16; i++)
        cr_assert(eq(u8, ram->page_flags[i], written[i] ? PAGE_DIRTY | PAGE_SEEN : 0));
    mem_hash(mem, 0);
    for (unsigned i = 0; i < 16; i++)
        cr_assert(eq(u8, ram->page_flags[i], written[i] ? PAGE_SEEN : 0));
    mem_free(mem);
}

Test(flags, seen_is_set_again_on_a_dirty_page)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    mem_write(mem, RAM_BASE, 4, 1);
    ram->page_flags[0] &= (uint8_t)~PAGE_SEEN;
    mem_write(mem, RAM_BASE, 4, 2);
    cr_assert(eq(u8, ram->page_flags[0], PAGE_DIRTY | PAGE_SEEN));
    mem_free(mem);
}

Test(flags, code_is_protected_and_its_writes_are_told)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    struct ear ear;
    listen_to(mem, &ear);
    mem_set_code(mem, ram, PAGE_SIZE + 5, true);
    mem_set_code(mem, ram, PAGE_SIZE + 9, true); // known already
    cr_assert(eq(u32, ear.protects, 1));
    cr_assert(eq(ptr, (void *)ear.page, ram->host + PAGE_SIZE));
    mem_write(mem, RAM_BASE + PAGE_SIZE - 4, 4, 1);
    cr_assert(eq(u32, ear.writes, 0));
    mem_write(mem, RAM_BASE + PAGE_SIZE - 4, 8, 1);
    cr_assert(ear.writes == 1 && ear.addr == RAM_BASE + PAGE_SIZE && ear.end == ear.addr + 4);
    mem_write(mem, RAM_BASE + PAGE_SIZE + 4, 2, 1); // dirty by now, but told all the same
    cr_assert(ear.writes == 2 && ear.end == RAM_BASE + PAGE_SIZE + 6);

    mem_set_code(mem, ram, 2 * PAGE_SIZE, true);
    ear = (struct ear){0};
    uint8_t *buf = g_malloc0(4 * PAGE_SIZE);
    mem_write_bytes(mem, RAM_BASE + PAGE_SIZE - 8, buf, 3 * PAGE_SIZE);
    cr_assert(ear.addr == RAM_BASE + PAGE_SIZE && ear.end == RAM_BASE + 3 * PAGE_SIZE);
    mem_set_code(mem, ram, PAGE_SIZE, false);
    mem_set_code(mem, ram, 2 * PAGE_SIZE, false);
    ear = (struct ear){0};
    mem_write_bytes(mem, RAM_BASE, buf, 4 * PAGE_SIZE);
    cr_assert(eq(u32, ear.writes, 0));
    g_free(buf);
    mem_free(mem);
}

Test(flags, writes_of_bus_masters_are_told)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    struct ear ear;
    uint8_t bytes[64] = {0};
    uint64_t v;
    listen_to(mem, &ear);
    mem_write(mem, RAM_BASE + 8, 4, 1);
    cr_assert(ear.dma == 1 && ear.dma_addr == RAM_BASE + 8 && ear.dma_len == 4);
    mem_write_bytes(mem, RAM_BASE + PAGE_SIZE - 3, bytes, 7);
    cr_assert(ear.dma == 2 && ear.dma_addr == RAM_BASE + PAGE_SIZE - 3 && ear.dma_len == 7);
    mem_ptr(mem, RAM_BASE + 16, 64, true);
    cr_assert(ear.dma == 3 && ear.dma_addr == RAM_BASE + 16 && ear.dma_len == 64);
    mem_ptr(mem, RAM_BASE + 16, 64, false);
    mem_read(mem, RAM_BASE + 16, 8, &v);
    mem_read_bytes(mem, RAM_BASE + 16, bytes, 64);
    mem_note_write(mem, ram, 16, 8); // a CPU's store
    cr_assert(eq(u32, ear.dma, 3));
    mem_free(mem);
}

Test(flags, remapping_is_told_to_all)
{
    struct mem *mem = map_with_ram(NULL);
    struct ear a, b;
    struct box box;
    box_init(&box, 1, 8, false, false);
    listen_to(mem, &a);
    listen_to(mem, &b);
    struct mem_region *r = mem_add_romd(mem, "flash", 0, BOX_SIZE, &box.ops, &box, NULL);
    mem_set_direct(mem, r, true); // as it was
    cr_assert(a.remaps == 1 && b.remaps == 1);
    mem_set_direct(mem, r, false);
    mem_set_direct(mem, r, true);
    cr_assert(a.remaps == 3 && b.remaps == 3);
    mem_free(mem);
}

// A region that starts and ends inside pages: its pages are the guest's pages.
Test(flags, odd_bases_and_sizes)
{
    struct mem *mem = mem_new();
    struct ear ear;
    struct mem_region *r = mem_add_ram(mem, "odd", 0x1ff0, 0x1020, NULL); // pages 1, 2 and 3
    listen_to(mem, &ear);
    cr_assert(eq(u64, (uintptr_t)r->host & 0xfff, 0xff0));
    uint8_t *p = mem_ptr(mem, 0x2000, PAGE_SIZE, true);
    cr_assert(p && ((uintptr_t)p & 0xfff) == 0);
    cr_assert(r->page_flags[0] == 0 && r->page_flags[1] && r->page_flags[2] == 0);
    mem_set_code(mem, r, 0x10, true);
    cr_assert(eq(ptr, (void *)ear.page, p));
    mem_write(mem, 0x300f, 1, 1);
    mem_write(mem, 0x1ff0, 1, 1);
    cr_assert(r->page_flags[0] && r->page_flags[2]);
    expect_read_status(mem, 0x3010, 1, MEM_UNMAPPED);
    expect_read_status(mem, 0x1fef, 1, MEM_UNMAPPED);
    uint64_t hash = mem_hash(mem, 0);
    mem_write(mem, 0x1ff0, 1, 0);
    mem_write(mem, 0x300f, 1, 0);
    cr_assert(ne(u64, mem_hash(mem, 0), hash));
    mem_free(mem);
}

// --- Hash ---

Test(hash, contents_alone_decide)
{
    struct mem *a = map_with_ram(NULL), *b = map_with_ram(NULL);
    uint64_t fresh = mem_hash(a, 1);
    cr_assert(eq(u64, mem_hash(b, 1), fresh));
    cr_assert(ne(u64, mem_hash(b, 2), fresh));
    mem_write(a, RAM_BASE + 0x1234, 4, 77);
    uint64_t written = mem_hash(a, 1);
    cr_assert(ne(u64, written, fresh));
    cr_assert(eq(u64, mem_hash(a, 1), written)); // nothing written since
    for (unsigned i = 0; i < 10; i++) {          // another way to the same contents
        mem_write(b, RAM_BASE + 0x1234 + i * 0x100, 8, i + 1);
        mem_hash(b, 1);
        mem_write(b, RAM_BASE + 0x1234 + i * 0x100, 8, 0);
    }
    mem_write(b, RAM_BASE + 0x1234, 4, 77);
    cr_assert(eq(u64, mem_hash(b, 1), written));
    mem_write(a, RAM_BASE + 0x1234, 4, 0);
    cr_assert(eq(u64, mem_hash(a, 1), fresh));
    mem_free(a);
    mem_free(b);
}

Test(hash, the_place_matters)
{
    struct mem *a = map_with_ram(NULL), *b = map_with_ram(NULL);
    mem_write(a, RAM_BASE, 8, 1);
    mem_write(b, RAM_BASE + PAGE_SIZE, 8, 1);
    cr_assert(ne(u64, mem_hash(a, 0), mem_hash(b, 0)));
    mem_write(a, RAM_BASE + PAGE_SIZE, 8, 2);
    mem_write(b, RAM_BASE, 8, 2); // two pages exchanged
    cr_assert(ne(u64, mem_hash(a, 0), mem_hash(b, 0)));
    mem_free(a);
    mem_free(b);
}

Test(hash, covers_rom_and_flash)
{
    struct mem *mem = mem_new();
    struct box box;
    box_init(&box, 1, 8, false, false);
    mem_add_rom(mem, "rom", 0x10000, 0x1000, NULL);
    mem_add_romd(mem, "flash", 0x20000, BOX_SIZE, &box.ops, &box, NULL);
    uint64_t before = mem_hash(mem, 0);
    mem_load(mem, 0x10000, "x", 1);
    uint64_t with_rom = mem_hash(mem, 0);
    mem_load(mem, 0x20000, "x", 1);
    cr_assert(ne(u64, with_rom, before));
    cr_assert(ne(u64, mem_hash(mem, 0), with_rom));
    mem_free(mem);
}

Test(hash, hashed_pages_are_protected)
{
    struct mem_region *ram;
    struct mem *mem = map_with_ram(&ram);
    struct ear ear;
    listen_to(mem, &ear);
    mem_write(mem, RAM_BASE + 5 * PAGE_SIZE, 1, 1);
    mem_hash(mem, 0);
    cr_assert(eq(u32, ear.protects, 1));
    cr_assert(eq(ptr, (void *)ear.page, ram->host + 5 * PAGE_SIZE));
    mem_hash(mem, 0);
    cr_assert(eq(u32, ear.protects, 1));
    mem_free(mem);
}

Test(hash, many_pages_are_protected_at_once)
{
    struct mem *mem = mem_new();
    struct ear ear;
    mem_add_ram(mem, "ram", RAM_BASE, 64 * PAGE_SIZE, NULL);
    listen_to(mem, &ear);
    for (unsigned i = 0; i < 64; i++)
        mem_write(mem, RAM_BASE + i * PAGE_SIZE, 1, 1);
    mem_hash(mem, 0);
    cr_assert(eq(u32, ear.protects, 1));
    cr_assert(eq(ptr, (void *)ear.page, NULL));
    mem_free(mem);
}

// Against a map that is hashed once, at the end, after random writes with hashes in between.
Test(hash, incremental_equals_full)
{
    const uint64_t size = UINT64_C(5) << 20; // several groups, the last one partial
    struct mem *a = mem_new(), *b = mem_new();
    struct door *door = door_new(3);
    mem_add_ram(a, "ram", RAM_BASE, size + 100, NULL);
    mem_add_ram(b, "ram", RAM_BASE, size + 100, NULL);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t random[2];
        door_entropy(door, random, sizeof(random));
        paddr_t addr = RAM_BASE + random[0] % (size + 93);
        uint64_t value = random[1] & 4 ? 0 : random[1];
        mem_write(a, addr, 8, value);
        mem_write(b, addr, 8, value);
        if (i % 100 == 0)
            mem_hash(a, 0);
    }
    cr_assert(eq(u64, mem_hash(a, 0), mem_hash(b, 0)));
    uint8_t *all = g_malloc(size);
    struct mem *c = mem_new();
    mem_add_ram(c, "ram", RAM_BASE, size + 100, NULL);
    mem_read_bytes(a, RAM_BASE, all, size);
    mem_load(c, RAM_BASE, all, size);
    mem_read_bytes(a, RAM_BASE + size, all, 100);
    mem_load(c, RAM_BASE + size, all, 100);
    cr_assert(eq(u64, mem_hash(c, 0), mem_hash(b, 0)));
    g_free(all);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    door_free(door);
}
