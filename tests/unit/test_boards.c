// SPDX-License-Identifier: MIT
// Boards as software finds them: what the device tree says, what registers and memory hold at the first
// instruction, which program starts where, where the user's devices go, and what is refused.
#include <criterion/criterion.h>
#include <elf.h>
#include <libfdt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev_open.h"
#include "base/bits.h"
#include "machine/board.h"
#include "machine/machine.h"
#include "softmmu/mem.h"
#include "translator/cpu.h"

#define DRAM   UINT64_C(0x80000000)
#define FLASH0 UINT64_C(0x20000000)
#define FLASH1 UINT64_C(0x22000000)

// --- Configurations and files ---

struct setup {
    struct machine_config cfg;
    GPtrArray *files; // paths of temporary files
};

static void set_up(struct setup *s, const char *board, unsigned bits)
{
    memset(s, 0, sizeof(*s));
    s->cfg.board = board_find(board);
    cr_assert_not_null(s->cfg.board);
    s->cfg.bits = bits;
    s->cfg.smp = 1;
    s->cfg.ram_size = s->cfg.board->default_ram;
    s->cfg.accel = ACCEL_INTERP;
    s->cfg.bios = g_strdup("none");
    s->cfg.has_epoch = true;
    s->cfg.devices = g_ptr_array_new();
    s->cfg.loaders = g_array_new(FALSE, TRUE, sizeof(struct machine_loader_opt));
    s->cfg.board_props = g_hash_table_new(g_str_hash, g_str_equal);
    s->files = g_ptr_array_new_with_free_func(g_free);
}

static void tear_down(struct setup *s)
{
    for (unsigned i = 0; i < s->files->len; i++)
        unlink(s->files->pdata[i]);
    for (unsigned i = 0; i < s->cfg.devices->len; i++) {
        struct machine_device_opt *opt = s->cfg.devices->pdata[i];
        g_ptr_array_free(opt->props, TRUE);
        g_free(opt);
    }
    g_ptr_array_free(s->files, TRUE);
    g_ptr_array_free(s->cfg.devices, TRUE);
    g_array_free(s->cfg.loaders, TRUE);
    g_hash_table_destroy(s->cfg.board_props);
    for (unsigned i = 0; i < ARRAY_LEN(s->cfg.pflash); i++)
        block_close(s->cfg.pflash[i]);
    g_free(s->cfg.bios);
}

// The path lives as long as the setup.
static char *make_file(struct setup *s, const void *data, size_t len)
{
    char *path;
    int fd = g_file_open_tmp("board-XXXXXX", &path, NULL);
    cr_assert(fd >= 0);
    cr_assert(write(fd, data, len) == (ssize_t)len);
    close(fd);
    g_ptr_array_add(s->files, path);
    return path;
}

static void set_bios(struct setup *s, const uint32_t *code, size_t len)
{
    g_free(s->cfg.bios);
    s->cfg.bios = g_strdup(make_file(s, code, len));
}

static void set_flash(struct setup *s, unsigned unit, const uint32_t *code, size_t len)
{
    char *path = make_file(s, code, len);
    GError *error = NULL;
    cr_assert(truncate(path, 32 << 20) == 0);
    struct block_options opts = {.file = path, .format = "raw"};
    s->cfg.pflash[unit] = block_open(&opts, &error);
    cr_assert_not_null(s->cfg.pflash[unit], "%s", error ? error->message : "");
}

static struct machine *start(struct setup *s)
{
    GError *error = NULL;
    struct machine *m = machine_new(&s->cfg, &error);
    cr_assert_not_null(m, "%s", error ? error->message : "");
    return m;
}

static void expect_refused(struct setup *s, const char *part)
{
    GError *error = NULL;
    struct machine *m = machine_new(&s->cfg, &error);
    cr_assert_null(m);
    cr_assert_not_null(error);
    cr_expect(strstr(error->message, part), "%s", error->message);
    g_error_free(error);
}

static uint64_t peek(struct machine *m, paddr_t addr, unsigned size)
{
    uint8_t bytes[8] = {0};
    cr_assert(mem_read_bytes(m->mem, addr, bytes, size) == MEM_OK);
    return load_le(bytes, size);
}

// --- Device trees ---

static uint32_t prop_cell(const void *fdt, int node, const char *name, unsigned index)
{
    int len;
    const fdt32_t *cells = fdt_getprop(fdt, node, name, &len);
    cr_assert(cells && (unsigned)len >= 4 * (index + 1), "%s.%s", fdt_get_name(fdt, node, NULL),
              name);
    return fdt32_to_cpu(cells[index]);
}

static int path(const void *fdt, const char *name)
{
    int node = fdt_path_offset(fdt, name);
    cr_assert(node >= 0, "there is no %s", name);
    return node;
}

static void expect_node(const void *fdt, const char *name, const char *compatible, uint64_t base,
                        uint64_t size, unsigned irq)
{
    int node = path(fdt, name);
    cr_expect_eq(fdt_node_check_compatible(fdt, node, compatible), 0, "%s", name);
    cr_expect_eq(prop_cell(fdt, node, "reg", 0), 0);
    cr_expect_eq(prop_cell(fdt, node, "reg", 1), base);
    cr_expect_eq(prop_cell(fdt, node, "reg", 3), size, "%s", name);
    if (!irq)
        return;
    cr_expect_eq(prop_cell(fdt, node, "interrupts", 0), irq, "%s", name);
    cr_expect_eq(prop_cell(fdt, node, "interrupt-parent", 0),
                 fdt_get_phandle(fdt, path(fdt, "/soc/plic@c000000")));
}

// interrupts-extended of `name`: for each hart its interrupt controller with each of the n inputs.
static void expect_inputs(const void *fdt, const char *name, unsigned harts, const unsigned *inputs,
                          unsigned n)
{
    int node = path(fdt, name), len;
    cr_assert(fdt_getprop(fdt, node, "interrupts-extended", &len));
    cr_expect_eq((unsigned)len, harts * n * 8, "%s", name);
    for (unsigned i = 0; i < harts * n; i++) {
        g_autofree char *intc = g_strdup_printf("/cpus/cpu@%u/interrupt-controller", i / n);
        uint32_t phandle = fdt_get_phandle(fdt, path(fdt, intc));
        cr_expect_eq(prop_cell(fdt, node, "interrupts-extended", 2 * i), phandle);
        cr_expect_eq(prop_cell(fdt, node, "interrupts-extended", 2 * i + 1), inputs[i % n]);
    }
}

// The same with two inputs, a and b.
static void expect_harts(const void *fdt, const char *name, unsigned harts, unsigned a, unsigned b)
{
    expect_inputs(fdt, name, harts, (const unsigned[]){a, b}, 2);
}

static void check_virt_tree(unsigned bits, unsigned harts)
{
    struct setup s;
    set_up(&s, "virt", bits);
    s.cfg.smp = harts;
    s.cfg.append = (char *)"console=ttyS0 quiet";
    struct machine *m = start(&s);
    const void *fdt = m->fdt;
    cr_assert_eq(fdt_check_full(fdt, m->fdt_size), 0);
    cr_expect_str_eq(fdt_getprop(fdt, 0, "model", NULL), "riscv-virtio,qemu");
    expect_node(fdt, "/soc/serial@10000000", "ns16550a", 0x10000000, 0x100, 10);
    expect_node(fdt, "/soc/rtc@101000", "google,goldfish-rtc", 0x101000, 0x1000, 11);
    expect_node(fdt, "/soc/test@100000", "sifive,test1", 0x100000, 0x1000, 0);
    expect_node(fdt, "/soc/test@100000", "syscon", 0x100000, 0x1000, 0);
    expect_node(fdt, "/soc/plic@c000000", "riscv,plic0", 0xc000000, 0x600000, 0);
    expect_node(fdt, "/soc/clint@2000000", "sifive,clint0", 0x2000000, 0x10000, 0);
    expect_node(fdt, "/fw-cfg@10100000", "qemu,fw-cfg-mmio", 0x10100000, 0x18, 0);
    expect_node(fdt, "/flash@20000000", "cfi-flash", FLASH0, 0x2000000, 0);
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("/soc/virtio_mmio@1000%u000", i + 1);
        expect_node(fdt, name, "virtio,mmio", 0x10001000 + i * 0x1000, 0x1000, i + 1);
    }
    cr_expect_eq(prop_cell(fdt, path(fdt, "/soc/plic@c000000"), "riscv,ndev", 0), 96);
    expect_harts(fdt, "/soc/plic@c000000", harts, 11, 9);
    expect_harts(fdt, "/soc/clint@2000000", harts, 3, 7);
    cr_expect_eq(prop_cell(fdt, path(fdt, "/memory@80000000"), "reg", 3), 128 << 20);
    cr_expect_eq(prop_cell(fdt, path(fdt, "/cpus"), "timebase-frequency", 0), 10000000);
    cr_expect_eq(prop_cell(fdt, path(fdt, "/poweroff"), "regmap", 0),
                 fdt_get_phandle(fdt, path(fdt, "/soc/test@100000")));
    cr_expect_eq(prop_cell(fdt, path(fdt, "/poweroff"), "value", 0), 0x5555);
    cr_expect_eq(prop_cell(fdt, path(fdt, "/reboot"), "value", 0), 0x7777);
    int chosen = path(fdt, "/chosen"), len;
    cr_expect_str_eq(fdt_getprop(fdt, chosen, "bootargs", NULL), "console=ttyS0 quiet");
    cr_expect_str_eq(fdt_getprop(fdt, chosen, "stdout-path", NULL), "/soc/serial@10000000");
    cr_expect(fdt_getprop(fdt, chosen, "rng-seed", &len) && len == 32);
    int cpu = path(fdt, "/cpus/cpu@0");
    cr_expect(
        g_str_has_prefix(fdt_getprop(fdt, cpu, "riscv,isa", NULL), bits == 32 ? "rv32" : "rv64"));
    cr_expect_str_eq(fdt_getprop(fdt, cpu, "mmu-type", NULL),
                     bits == 32 ? "riscv,sv32" : "riscv,sv48");
    machine_free(m);
    tear_down(&s);
}

Test(boards, virt_tree_64)
{
    check_virt_tree(64, 1);
}

Test(boards, virt_tree_64_smp)
{
    check_virt_tree(64, 4);
}

Test(boards, virt_tree_32)
{
    check_virt_tree(32, 1);
}

Test(boards, virt_tree_32_smp)
{
    check_virt_tree(32, 8);
}

static void expect_swi(const void *fdt, const char *name, const char *compatible, uint64_t base,
                       unsigned harts, unsigned input)
{
    int len;
    expect_node(fdt, name, compatible, base, 0x4000, 0);
    expect_inputs(fdt, name, harts, &input, 1);
    cr_expect_eq(prop_cell(fdt, path(fdt, name), "#interrupt-cells", 0), 0);
    cr_expect(fdt_getprop(fdt, path(fdt, name), "interrupt-controller", &len) && len == 0);
}

static void check_aclint_tree(unsigned bits, unsigned harts)
{
    static const char *const timer = "/soc/mtimer@2004000";
    struct setup s;
    set_up(&s, "virt", bits);
    s.cfg.smp = harts;
    g_hash_table_insert(s.cfg.board_props, (void *)"aclint", (void *)"on");
    struct machine *m = start(&s);
    const void *fdt = m->fdt;
    cr_expect_lt(fdt_path_offset(fdt, "/soc/clint@2000000"), 0);
    expect_swi(fdt, "/soc/mswi@2000000", "riscv,aclint-mswi", 0x2000000, harts, 3);
    expect_swi(fdt, "/soc/sswi@2f00000", "riscv,aclint-sswi", 0x2f00000, harts, 1);
    expect_node(fdt, timer, "riscv,aclint-mtimer", 0x200bff8, 0x4008, 0);
    expect_inputs(fdt, timer, harts, (const unsigned[]){7}, 1);
    cr_expect_eq(prop_cell(fdt, path(fdt, timer), "reg", 4), 0);
    cr_expect_eq(prop_cell(fdt, path(fdt, timer), "reg", 5), 0x2004000);
    cr_expect_eq(prop_cell(fdt, path(fdt, timer), "reg", 6), 0);
    cr_expect_eq(prop_cell(fdt, path(fdt, timer), "reg", 7), 0x7ff8);
    machine_free(m);
    tear_down(&s);
}

Test(boards, virt_aclint_tree)
{
    check_aclint_tree(64, 1);
    check_aclint_tree(64, 2);
    check_aclint_tree(32, 8);
}

// Linux numbers disks in the order of nodes: the slot that is filled first must come first.
Test(boards, virt_transports_are_listed_from_the_last)
{
    struct setup s;
    set_up(&s, "virt", 64);
    struct machine *m = start(&s);
    uint64_t last = UINT64_MAX;
    int node;
    fdt_for_each_subnode(node, m->fdt, path(m->fdt, "/soc"))
    {
        if (fdt_node_check_compatible(m->fdt, node, "virtio,mmio"))
            continue;
        uint64_t base = prop_cell(m->fdt, node, "reg", 1);
        cr_expect(base < last);
        last = base;
    }
    cr_expect_eq(last, 0x10001000);
    machine_free(m);
    tear_down(&s);
}

Test(boards, spike_tree)
{
    struct setup s;
    set_up(&s, "spike", 64);
    struct machine *m = start(&s);
    cr_expect_str_eq(fdt_getprop(m->fdt, 0, "compatible", NULL), "ucbbar,spike-bare-dev");
    expect_node(m->fdt, "/htif", "ucb,htif0", 0x1000000, 0x1000, 0);
    expect_harts(m->fdt, "/soc/clint@2000000", 1, 3, 7);
    machine_free(m);
    tear_down(&s);
}

// -dtb: the user's tree, with what the kernel is told added.
Test(boards, users_tree)
{
    struct setup s;
    uint8_t blob[1024];
    set_up(&s, "virt", 64);
    cr_assert_eq(fdt_create_empty_tree(blob, sizeof(blob)), 0);
    cr_assert_eq(fdt_setprop_string(blob, 0, "model", "mine"), 0);
    s.cfg.dtb = make_file(&s, blob, fdt_totalsize(blob));
    s.cfg.append = (char *)"a=b";
    struct machine *m = start(&s);
    cr_expect_str_eq(fdt_getprop(m->fdt, 0, "model", NULL), "mine");
    cr_expect_str_eq(fdt_getprop(m->fdt, path(m->fdt, "/chosen"), "bootargs", NULL), "a=b");
    cr_expect_lt(fdt_path_offset(m->fdt, "/soc"), 0);
    machine_free(m);
    s.cfg.dtb = make_file(&s, "no tree", 7);
    expect_refused(&s, "not a device tree");
    fdt_set_version(blob, 2); // an old one, whose root would need a name
    fdt_set_last_comp_version(blob, 1);
    s.cfg.dtb = make_file(&s, blob, fdt_totalsize(blob));
    expect_refused(&s, "not a device tree");
    tear_down(&s);
}

// --- The first instructions ---

// What each hart finds in a0 to a2 goes to memory at 0x80001000 + 32 * hart; hart 0 then waits for a while,
// so that the others get there, and powers off.
static const uint32_t report_args[] = {
    0xf14022f3, // csrr t0, mhartid
    0x00529293, // slli t0, t0, 5
    0x80001337, // lui t1, 0x80001 (sign-extended on RV64)
    0x02031313, // slli t1, t1, 32
    0x02035313, // srli t1, t1, 32
    0x006282b3, // add t0, t0, t1
    0x00a2a023, // sw a0, 0(t0)
    0x00b2a223, // sw a1, 4(t0)
    0x00c2a423, // sw a2, 8(t0)
    0x00010e37, // lui t3, 0x10
    0xfffe0e13, // addi t3, t3, -1
    0xfe0e1ee3, // bnez t3, -4
    0x00051c63, // bnez a0, 1f
    0x001003b7, // lui t2, 0x100
    0x00005e37, // lui t3, 5
    0x555e0e13, // addi t3, t3, 0x555
    0x01c3a023, // sw t3, 0(t2)
    0x0000006f, // j .
    0x0000006f, // 1: j .
};
// On RV32 a shift by 32 does not exist.
#define RV32_SKIP 3

static void check_entry(unsigned bits)
{
    uint32_t code[ARRAY_LEN(report_args)];
    struct setup s;
    memcpy(code, report_args, sizeof(code));
    if (bits == 32)
        code[RV32_SKIP] = code[RV32_SKIP + 1] = 0x00000013; // nop
    set_up(&s, "virt", bits);
    s.cfg.smp = 3;
    set_bios(&s, code, sizeof(code));
    struct machine *m = start(&s);
    cr_assert_eq(machine_run(m, 1000000), STOP_SHUTDOWN);
    cr_expect_eq(m->exit_code, 0);
    for (unsigned hart = 0; hart < 3; hart++) {
        paddr_t at = DRAM + 0x1000 + 32 * hart;
        cr_expect_eq(peek(m, at, 4), hart);
        paddr_t fdt = peek(m, at + 4, 4), info = peek(m, at + 8, 4);
        cr_expect_eq(peek(m, fdt, 4), __builtin_bswap32(0xd00dfeed));
        cr_expect_eq(peek(m, info, bits / 8), 0x4942534f);
        cr_expect_eq(peek(m, info + bits / 8, bits / 8), 2);
        cr_expect_eq(peek(m, info + 3 * (bits / 8), bits / 8), 1); // S mode
    }
    machine_free(m);
    tear_down(&s);
}

Test(boards, entry_registers_64)
{
    check_entry(64);
}

Test(boards, entry_registers_32)
{
    check_entry(32);
}

// Hart 0 sends hart 1 a supervisor software interrupt. That ends the run with mip before and after clearing it.
static const uint32_t send_ssip[] = {
    0xf14022f3, // csrr t0, mhartid
    0x02f00337, // lui t1, 0x2f00
    0x00100393, // li t2, 1
    0x00029663, // bnez t0, 1f
    0x00732223, // sw t2, 4(t1)
    0x0000006f, // j .
    0x34402573, // 1: csrr a0, mip
    0xfe050ee3, // beqz a0, 1b
    0x34417073, // csrci mip, 2
    0x344025f3, // csrr a1, mip
    0x00451513, // slli a0, a0, 4
    0x00b56533, // or a0, a0, a1
    0x01051513, // slli a0, a0, 16
    0x00003e37, // lui t3, 3
    0x333e0e13, // addi t3, t3, 0x333
    0x01c56533, // or a0, a0, t3
    0x001002b7, // lui t0, 0x100
    0x00a2a023, // sw a0, 0(t0)
    0x0000006f, // j .
};

Test(boards, aclint_interrupts_the_supervisor)
{
    struct setup s;
    set_up(&s, "virt", 64);
    s.cfg.smp = 2;
    g_hash_table_insert(s.cfg.board_props, (void *)"aclint", (void *)"on");
    set_bios(&s, send_ssip, sizeof(send_ssip));
    struct machine *m = start(&s);
    cr_assert_eq(machine_run(m, 1000000), STOP_SHUTDOWN);
    cr_expect_eq(m->exit_code, 0x20);
    machine_free(m);
    tear_down(&s);
}

// The address of the firmware's next stage, in the information that a2 points to.
static uint64_t next_stage(struct machine *m)
{
    for (paddr_t at = 0x1000; at < 0x1100; at += 8)
        if (peek(m, at, 8) == 0x4942534f)
            return peek(m, at + 16, 8);
    cr_assert(false, "no fw_dynamic information in ROM");
    return 0;
}

// Runs until pc leaves the ROM, and says where it went.
static uint64_t first_address(struct machine *m)
{
    for (icount_t n = 1; n < 20; n++) {
        cr_assert_eq(machine_run(m, n), STOP_ICOUNT);
        if (m->cpus[0]->pc > 0xffff)
            return m->cpus[0]->pc;
    }
    return 0;
}

static const uint32_t loop[] = {0x0000006f};

Test(boards, kernel_without_firmware_starts_with_ram)
{
    struct setup s;
    set_up(&s, "virt", 64);
    s.cfg.kernel = make_file(&s, loop, sizeof(loop));
    struct machine *m = start(&s);
    cr_expect_eq(peek(m, DRAM, 4), loop[0]);
    cr_expect_eq(first_address(m), DRAM);
    machine_free(m);
    tear_down(&s);
}

Test(boards, kernel_behind_firmware)
{
    struct setup s;
    set_up(&s, "virt", 64);
    set_bios(&s, loop, sizeof(loop));
    s.cfg.kernel = make_file(&s, loop, sizeof(loop));
    s.cfg.initrd = make_file(&s, "initrd", 6);
    struct machine *m = start(&s);
    int chosen = path(m->fdt, "/chosen");
    paddr_t initrd = prop_cell(m->fdt, chosen, "linux,initrd-start", 0);
    cr_expect_eq(next_stage(m), DRAM + 0x200000);
    cr_expect_eq(peek(m, DRAM + 0x200000, 4), loop[0]);
    cr_expect_eq(peek(m, initrd, 4), 0x74696e69); // "init"
    cr_expect_eq(prop_cell(m->fdt, chosen, "linux,initrd-end", 0), initrd + 6);
    cr_expect_eq(first_address(m), DRAM);
    machine_free(m);
    tear_down(&s);
}

Test(boards, flash_without_firmware_starts)
{
    struct setup s;
    set_up(&s, "virt", 64);
    set_flash(&s, 0, loop, sizeof(loop));
    struct machine *m = start(&s);
    cr_expect_eq(first_address(m), FLASH0);
    machine_free(m);
    tear_down(&s);
}

static uint64_t fw_cfg_read(struct machine *m, uint16_t key, unsigned size)
{
    uint64_t value = 0;
    cr_assert(mem_write(m->mem, 0x10100008, 2, __builtin_bswap16(key)) == MEM_OK);
    cr_assert(mem_read(m->mem, 0x10100000, size, &value) == MEM_OK);
    return value;
}

Test(boards, flash_behind_firmware_gets_the_kernel_offered)
{
    for (unsigned unit = 0; unit < 2; unit++) {
        struct setup s;
        set_up(&s, "virt", 64);
        set_bios(&s, loop, sizeof(loop));
        set_flash(&s, unit, loop, sizeof(loop));
        s.cfg.kernel = make_file(&s, "kernel!!", 8);
        s.cfg.initrd = make_file(&s, "initrd", 6);
        s.cfg.append = (char *)"quiet";
        struct machine *m = start(&s);
        cr_expect_eq(next_stage(m), unit ? FLASH1 : FLASH0);
        cr_expect_eq(first_address(m), DRAM);
        cr_expect_eq(fw_cfg_read(m, 0x05, 2), 1);
        cr_expect_eq(fw_cfg_read(m, 0x08, 4), 8);
        cr_expect_eq(fw_cfg_read(m, 0x11, 4), 0x6e72656b); // "kern"
        cr_expect_eq(fw_cfg_read(m, 0x0b, 4), 6);
        cr_expect_eq(fw_cfg_read(m, 0x14, 4), 6);
        cr_expect_eq(fw_cfg_read(m, 0x15, 4), 0x65697571); // "quie"
        machine_free(m);
        tear_down(&s);
    }
}

Test(boards, what_fw_cfg_offers_has_a_size_of_32_bits)
{
    struct setup s;
    set_up(&s, "virt", 64);
    set_flash(&s, 0, loop, sizeof(loop));
    s.cfg.kernel = make_file(&s, "kernel!!", 8);
    s.cfg.initrd = make_file(&s, "", 0);
    if (truncate(s.cfg.initrd, INT64_C(1) << 32) != 0)
        cr_skip_test("no file can be that large here");
    g_free(s.cfg.bios);
    s.cfg.bios = g_strdup(make_file(&s, loop, sizeof(loop)));
    expect_refused(&s, "larger than 4 GiB");
    tear_down(&s);
}

// --- Reset ---

// The first time, 0x80001000 is zero: sets it and resets. The second time it powers off with status 7.
static const uint32_t reset_once[] = {
    0x00001297, // auipc t0, 1
    0x0002a303, // lw t1, 0(t0)
    0x00031c63, // bnez t1, 1f
    0x00100313, // li t1, 1
    0x0062a023, // sw t1, 0(t0)
    0x00008e37, // lui t3, 8
    0x777e0e13, // addi t3, t3, 0x777 -> 0x8777: the low half is not 0x7777
    0x0100006f, // j 2f
    0x00073e37, // 1: lui t3, 0x73
    0x333e0e13, // addi t3, t3, 0x333
    0x0040006f, // j 2f
    0x001003b7, // 2: lui t2, 0x100
    0x01c3a023, // sw t3, 0(t2)
    0x0000006f, // j .
};

Test(boards, reset_loads_again_and_keeps_other_memory)
{
    uint32_t code[ARRAY_LEN(reset_once)];
    struct setup s;
    memcpy(code, reset_once, sizeof(code));
    code[5] = 0x00007e37; // lui t3, 7: 0x7777
    set_up(&s, "virt", 64);
    set_bios(&s, code, sizeof(code));
    struct machine *m = start(&s);
    cr_assert_eq(machine_run(m, 10000), STOP_RESET);
    cr_expect_eq(m->cpus[0]->pc, 0x1000);
    cr_expect_eq(peek(m, DRAM + 0x1000, 4), 1);
    cr_assert_eq(machine_run(m, 20000), STOP_SHUTDOWN);
    cr_expect_eq(m->exit_code, 7);
    machine_free(m);
    tear_down(&s);
}

// --- Spike ---

// An ELF file of one segment at DRAM with symbols tohost and fromhost.
struct elf_file {
    Elf64_Ehdr eh;
    Elf64_Phdr ph;
    Elf64_Shdr sh[4];
    Elf64_Sym sym[3];
    char strings[32];
    uint32_t code[16];
};

static char *make_elf(struct setup *s, const uint32_t *code, size_t len, paddr_t tohost)
{
    static const char strings[] = "\0tohost\0fromhost\0.names";
    struct elf_file f = {
        .eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
               .e_type = ET_EXEC,
               .e_machine = EM_RISCV,
               .e_version = EV_CURRENT,
               .e_entry = DRAM,
               .e_phoff = offsetof(struct elf_file, ph),
               .e_shoff = offsetof(struct elf_file, sh),
               .e_ehsize = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 1,
               .e_shentsize = sizeof(Elf64_Shdr),
               .e_shnum = 4,
               .e_shstrndx = 2}};
    size_t code_at = offsetof(struct elf_file, code);
    memcpy(f.strings, strings, sizeof(strings));
    memcpy(f.code, code, len);
    f.ph = (Elf64_Phdr){PT_LOAD, PF_R | PF_W | PF_X, code_at, DRAM, DRAM, len, 0x3000, 0x1000};
    f.sh[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                           .sh_offset = offsetof(struct elf_file, sym),
                           .sh_size = sizeof(f.sym),
                           .sh_link = 2,
                           .sh_info = 1,
                           .sh_entsize = sizeof(Elf64_Sym)};
    f.sh[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
                           .sh_offset = offsetof(struct elf_file, strings),
                           .sh_size = sizeof(strings)};
    f.sh[3] = (Elf64_Shdr){.sh_type = SHT_PROGBITS,
                           .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                           .sh_addr = DRAM,
                           .sh_offset = code_at,
                           .sh_size = len};
    f.sym[1] = (Elf64_Sym){1, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, 3, tohost, 8};
    f.sym[2] = (Elf64_Sym){8, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, 3, tohost + 64, 8};
    return make_file(s, &f, sizeof(f));
}

// Stores 42 << 1 | 1 to 0x80001000.
static const uint32_t exit_by_tohost[] = {
    0x00001297, // auipc t0, 1
    0x05500313, // li t1, 85
    0x0062b023, // sd t1, 0(t0)
    0x0000006f, // j .
};

Test(boards, spike_ends_by_tohost)
{
    struct setup s;
    set_up(&s, "spike", 64);
    s.cfg.kernel = make_elf(&s, exit_by_tohost, sizeof(exit_by_tohost), DRAM + 0x1000);
    struct machine *m = start(&s);
    cr_assert_eq(machine_run(m, 1000), STOP_SHUTDOWN);
    cr_expect_eq(m->exit_code, 42);
    // RAM around the watched page is all there.
    cr_expect_eq(peek(m, DRAM + 0xffe, 4), 0);
    cr_expect_eq(peek(m, DRAM + (128 << 20) - 8, 8), 0);
    cr_expect_lt(fdt_subnode_offset(m->fdt, 0, "htif@1000000"), 0);
    cr_expect_null(fdt_getprop(m->fdt, path(m->fdt, "/htif"), "reg", NULL));
    machine_free(m);
    tear_down(&s);
}

// Data beside tohost is memory like any other. Exits with (5 + 5) by AMO, + 1 by LR/SC.
static const uint32_t atomics_by_tohost[] = {
    0x00001297, // auipc t0, 1
    0x10028293, // addi t0, t0, 0x100
    0x00500313, // li t1, 5
    0x0062a3af, // amoadd.w t2, t1, (t0)
    0x0062a3af, // amoadd.w t2, t1, (t0)
    0x1002ae2f, // lr.w t3, (t0)
    0x001e0e13, // addi t3, t3, 1
    0x19c2aeaf, // sc.w t4, t3, (t0)
    0x000e9063, // bnez t4, .
    0x0002af03, // lw t5, 0(t0)
    0x001f1f13, // slli t5, t5, 1
    0x001f6f13, // ori t5, t5, 1
    0xf1e2b023, // sd t5, -256(t0)
    0x0000006f, // j .
};

Test(boards, spike_memory_beside_tohost)
{
    for (unsigned accel = 0; accel < 2; accel++) {
        struct setup s;
        set_up(&s, "spike", 64);
        s.cfg.accel = accel ? ACCEL_INTERP : ACCEL_DBT;
        s.cfg.kernel = make_elf(&s, atomics_by_tohost, sizeof(atomics_by_tohost), DRAM + 0x1000);
        struct machine *m = start(&s);
        cr_assert_eq(machine_run(m, 1000), STOP_SHUTDOWN);
        cr_expect_eq(m->exit_code, 11);
        machine_free(m);
        tear_down(&s);
    }
}

Test(boards, spike_without_symbols)
{
    struct setup s;
    set_up(&s, "spike", 64);
    struct machine *m = start(&s);
    cr_assert(mem_write(m->mem, 0x1000008, 8, 9 << 1 | 1) == MEM_OK);
    cr_assert_eq(machine_run(m, 1), STOP_SHUTDOWN);
    cr_expect_eq(m->exit_code, 9);
    machine_free(m);
    tear_down(&s);
}

Test(boards, spike_refuses_tohost_outside_of_ram)
{
    struct setup s;
    set_up(&s, "spike", 64);
    s.cfg.kernel = make_elf(&s, exit_by_tohost, sizeof(exit_by_tohost), 0x1000);
    expect_refused(&s, "tohost");
    tear_down(&s);
}

// --- sifive_e ---

static void add_word(struct setup *s, paddr_t addr, uint32_t word)
{
    struct machine_loader_opt opt = {
        .has_addr = true, .addr = addr, .data = word, .data_len = 4, .cpu_num = -1};
    g_array_append_val(s->cfg.loaders, opt);
}

// Stores a word at the start of RAM.
static void check_sifive_e(unsigned bits, bool revb)
{
    static const uint32_t code[] = {
        0x800002b7, // lui t0, 0x80000
        0x02029293, // slli t0, t0, 32
        0x0202d293, // srli t0, t0, 32
        0x05a00313, // li t1, 90
        0x0062a023, // sw t1, 0(t0)
        0x0000006f, // j .
    };
    struct setup s;
    set_up(&s, "sifive_e", bits);
    if (revb)
        g_hash_table_insert(s.cfg.board_props, (void *)"revb", (void *)"on");
    for (unsigned i = 0; i < ARRAY_LEN(code); i++)
        add_word(&s, (revb ? 0x20010000 : 0x20400000) + 4 * i,
                 bits == 32 && (i == 1 || i == 2) ? 0x00000013 : code[i]);
    struct machine *m = start(&s);
    cr_expect_eq(m->cpus[0]->pc, 0x1004);
    cr_assert_eq(machine_run(m, 10), STOP_ICOUNT);
    cr_expect_eq(peek(m, DRAM, 4), 90);
    cr_expect_null(m->fdt);
    machine_free(m);
    tear_down(&s);
}

Test(boards, sifive_e_runs_from_flash)
{
    check_sifive_e(32, false);
    check_sifive_e(32, true);
    check_sifive_e(64, false);
}

Test(boards, sifive_e_unmodelled_devices_read_zero)
{
    static const paddr_t addrs[] = {0x10000070, 0x10014000, 0x10015000, 0x10035000};
    struct setup s;
    set_up(&s, "sifive_e", 32);
    struct machine *m = start(&s);
    for (unsigned i = 0; i < ARRAY_LEN(addrs); i++) {
        uint64_t value = 1;
        cr_expect(mem_write(m->mem, addrs[i], 4, 1) == MEM_OK);
        cr_expect(mem_read(m->mem, addrs[i], 4, &value) == MEM_OK);
        cr_expect_eq(value, 0);
    }
    machine_free(m);
    tear_down(&s);
}

Test(boards, sifive_e_has_its_own_ram)
{
    struct setup s;
    set_up(&s, "sifive_e", 32);
    s.cfg.ram_size = 1 << 20;
    expect_refused(&s, "16 KiB");
    tear_down(&s);
}

// --- shakti_c ---

Test(boards, shakti_c_tree)
{
    struct setup s;
    set_up(&s, "shakti_c", 64);
    struct machine *m = start(&s);
    const void *fdt = m->fdt;
    cr_assert_eq(fdt_check_full(fdt, m->fdt_size), 0);
    expect_node(fdt, "/soc/plic@c000000", "riscv,plic0", 0xc000000, 0x4000000, 0);
    cr_expect_eq(prop_cell(fdt, path(fdt, "/soc/plic@c000000"), "riscv,ndev", 0), 27);
    expect_harts(fdt, "/soc/plic@c000000", 1, 11, 9);
    expect_harts(fdt, "/soc/clint@2000000", 1, 3, 7);
    expect_node(fdt, "/soc/serial@11300", "shakti,uart0", 0x11300, 0x40, 25);
    expect_node(fdt, "/soc/serial@11400", "shakti,uart0", 0x11400, 0x40, 26);
    expect_node(fdt, "/soc/serial@11500", "shakti,uart0", 0x11500, 0x40, 27);
    cr_expect_str_eq(fdt_getprop(fdt, path(fdt, "/chosen"), "stdout-path", NULL),
                     "/soc/serial@11300");
    machine_free(m);
    tear_down(&s);
}

// Lets the empty transmitter interrupt, and stores mip and the source that it claims.
static const uint32_t interrupt_by_uart[] = {
    0x000112b7, // lui t0, 0x11
    0x30028293, // addi t0, t0, 0x300: the UART
    0x0c000337, // lui t1, 0xc000: the PLIC
    0x00100393, // li t2, 1
    0x06732223, // sw t2, 100(t1): priority of source 25
    0x00002e37, // lui t3, 2
    0x006e0e33, // add t3, t3, t1
    0x02000eb7, // lui t4, 0x2000
    0x01de2023, // sw t4, 0(t3): enabled for the hart's M mode
    0x00729c23, // sh t2, 0x18(t0)
    0x34402ef3, // csrr t4, mip
    0x00200e37, // lui t3, 0x200
    0x006e0e33, // add t3, t3, t1
    0x004e2f03, // lw t5, 4(t3)
    0x00001f97, // auipc t6, 1
    0x01dfa023, // sw t4, 0(t6)
    0x01efa223, // sw t5, 4(t6)
    0x0000006f, // j .
};

Test(boards, shakti_c_uart_interrupts)
{
    struct setup s;
    set_up(&s, "shakti_c", 64);
    set_bios(&s, interrupt_by_uart, sizeof(interrupt_by_uart));
    struct machine *m = start(&s);
    paddr_t at = DRAM + 0x1000 + 4 * (ARRAY_LEN(interrupt_by_uart) - 4);
    cr_expect_eq(m->cpus[0]->pc, 0x1000);
    cr_assert_eq(machine_run(m, 100), STOP_ICOUNT);
    cr_expect_eq(peek(m, at, 4), 1 << 11);
    cr_expect_eq(peek(m, at + 4, 4), 25);
    machine_free(m);
    tear_down(&s);
}

// --- Devices of the user's ---

static void add_device(struct setup *s, const char *driver, const char *bus)
{
    struct machine_device_opt *opt = g_new0(struct machine_device_opt, 1);
    opt->driver = (char *)driver;
    opt->props = g_ptr_array_new();
    if (bus) {
        g_ptr_array_add(opt->props, (void *)"bus");
        g_ptr_array_add(opt->props, (void *)bus);
    }
    g_ptr_array_add(s->cfg.devices, opt);
}

static paddr_t place_of(struct machine *m, unsigned nth)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        struct device *dev = m->devices->pdata[i];
        if (!strcmp(dev->cls->name, "virtio-rng-device") && !nth--)
            return dev->parent->base;
    }
    return 0;
}

Test(boards, virt_fills_transports_from_the_last)
{
    struct setup s;
    set_up(&s, "virt", 64);
    add_device(&s, "virtio-rng-device", NULL);
    add_device(&s, "virtio-rng-device", "virtio-mmio-bus.0");
    add_device(&s, "virtio-rng-device", NULL);
    struct machine *m = start(&s);
    cr_expect_eq(place_of(m, 0), 0x10008000);
    cr_expect_eq(place_of(m, 1), 0x10001000);
    cr_expect_eq(place_of(m, 2), 0x10007000);
    machine_free(m);
    tear_down(&s);
}

Test(boards, devices_without_a_place)
{
    struct setup s;
    set_up(&s, "virt", 64);
    for (unsigned i = 0; i < 9; i++)
        add_device(&s, "virtio-rng-device", NULL);
    expect_refused(&s, "no room");
    tear_down(&s);
    set_up(&s, "virt", 64);
    add_device(&s, "virtio-rng-device", "virtio-mmio-bus.8");
    expect_refused(&s, "virtio-mmio-bus.8");
    tear_down(&s);
    set_up(&s, "virt", 64);
    add_device(&s, "ns16550", NULL);
    expect_refused(&s, "only a board");
    tear_down(&s);
    set_up(&s, "spike", 64);
    add_device(&s, "virtio-rng-device", NULL);
    expect_refused(&s, "the machine has no");
    tear_down(&s);
}

Test(boards, unknown_properties_are_refused)
{
    struct setup s;
    set_up(&s, "virt", 64);
    g_hash_table_insert(s.cfg.board_props, (void *)"turbo", (void *)"on");
    expect_refused(&s, "no property 'turbo'");
    tear_down(&s);
    set_up(&s, "sifive_e", 32);
    g_hash_table_insert(s.cfg.board_props, (void *)"revb", (void *)"maybe");
    expect_refused(&s, "revb=maybe");
    tear_down(&s);
}

Test(boards, table)
{
    cr_expect_null(board_find("nonesuch"));
    for (unsigned i = 0; board_at(i); i++) {
        const struct board *b = board_at(i);
        cr_expect_eq(board_find(b->name), b);
        cr_expect(b->desc && b->arches[0] && b->max_cpus && b->default_ram);
    }
}
