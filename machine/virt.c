// SPDX-License-Identifier: MIT
// The board "virt": no real hardware, but the memory map, devices and device tree that software for QEMU's
// RISC-V board of that name expects (version 7.2), without its PCIe host and platform bus.
//
// Flash: with unit 0 and `-bios none`, harts start in it. With firmware, the flash holds the next stage: in
// unit 0, or in unit 1 if that alone has an image; a kernel is then offered through fw_cfg.
#include "base/bits.h"
#include "hw/clint.h"
#include "hw/fw_cfg.h"
#include "machine/board.h"
#include "machine/fdt.h"
#include "machine/riscv_boot.h"

#define MROM   0x1000
#define TEST   0x100000
#define RTC    0x101000
#define CLINT  0x2000000
#define SSWI   0x2f00000
#define PLIC   0xc000000
#define UART   0x10000000
#define VIRTIO 0x10001000
#define FW_CFG 0x10100000
#define FLASH  0x20000000
#define DRAM   0x80000000

#define MROM_SIZE   0xf000
#define VIRTIO_STEP 0x1000
#define FLASH_SIZE  0x2000000 // of each of the two
#define NR_SOURCES  96
#define TIME_HZ     10000000

enum { VIRTIO_IRQ = 1, UART_IRQ = 10, RTC_IRQ = 11 };

// 34 bits of physical address less what lies below DRAM, as far as QEMU uses them.
#define MAX_RAM_32 (UINT64_C(10) << 30)

#define NR_VIRTIO 8

enum role {
    ROLE_CLINT,
    ROLE_SSWI, // NULL without aclint=on
    ROLE_PLIC,
    ROLE_TEST,
    ROLE_RTC,
    ROLE_UART,
    ROLE_FW_CFG,
    ROLE_FLASH,
    ROLE_VIRTIO = ROLE_FLASH + 2, // the first to be filled
    NR_ROLES = ROLE_VIRTIO + NR_VIRTIO,
};

static uint64_t ram_size(const struct machine *m)
{
    return m->cfg->bits == 32 ? MIN(m->cfg->ram_size, MAX_RAM_32) : m->cfg->ram_size;
}

static bool add_memory(struct machine *m, GError **error)
{
    if (ram_size(m) < m->cfg->ram_size)
        warn_user("-m: a 32-bit machine has 10 GiB at most");
    return mem_add_ram(m->mem, "ram", DRAM, ram_size(m), error) &&
           mem_add_rom(m->mem, "mrom", MROM, MROM_SIZE, error);
}

// What an ACLINT has besides the registers of a CLINT.
static bool add_sswi(struct machine *m, GError **error)
{
    if (!board_prop_bool(m->cfg, "aclint"))
        return true;
    m->dev_by_role[ROLE_SSWI] = riscv_boot_add_sswi(m, SSWI, error);
    return m->dev_by_role[ROLE_SSWI];
}

static bool add_core(struct machine *m, GError **error)
{
    struct device **role = m->dev_by_role;
    role[ROLE_CLINT] = riscv_boot_add_harts(m, CLINT, TIME_HZ, MROM, error);
    if (!role[ROLE_CLINT] || !add_sswi(m, error))
        return false;
    role[ROLE_PLIC] = riscv_boot_add_plic(m, PLIC, true, error);
    if (!role[ROLE_PLIC])
        return false;
    device_set_u64(role[ROLE_PLIC], "num-sources", NR_SOURCES);
    return machine_init_device(m, role[ROLE_PLIC], error);
}

static bool add_uart(struct machine *m, struct device *plic, GError **error)
{
    struct device *uart = machine_add_device(m, "ns16550", "serial0", UART, 1, error);
    if (!uart)
        return false;
    m->dev_by_role[ROLE_UART] = uart;
    device_set_ptr(uart, "chardev", m->cfg->serial[0]);
    device_connect(uart, 0, plic->irq_in, plic, UART_IRQ);
    return machine_init_device(m, uart, error);
}

static bool add_flash(struct machine *m, unsigned unit, GError **error)
{
    g_autofree char *id = g_strdup_printf("pflash%u", unit);
    struct device *flash =
        machine_add_device(m, "cfi.pflash01", id, FLASH + unit * FLASH_SIZE, 0, error);
    if (!flash)
        return false;
    m->dev_by_role[ROLE_FLASH + unit] = flash;
    device_set_ptr(flash, "drive", m->cfg->pflash[unit]);
    return machine_init_device(m, flash, error);
}

// The transport at the highest address is made, and so filled, first; and comes first in the device tree. So
// the user's first disk is the kernel's first disk.
static bool add_transports(struct machine *m, struct device *plic, GError **error)
{
    for (unsigned i = 0; i < NR_VIRTIO; i++) {
        unsigned slot = NR_VIRTIO - 1 - i;
        g_autofree char *id = g_strdup_printf("virtio-mmio-bus.%u", slot);
        m->dev_by_role[ROLE_VIRTIO + i] = riscv_boot_add_device(
            m, "virtio-mmio", id, VIRTIO + slot * VIRTIO_STEP, plic, VIRTIO_IRQ + slot, error);
        if (!m->dev_by_role[ROLE_VIRTIO + i])
            return false;
    }
    return true;
}

static bool add_devices(struct machine *m, GError **error)
{
    struct device **role = m->dev_by_role, *plic = role[ROLE_PLIC];
    role[ROLE_TEST] = riscv_boot_add_device(m, "sifive-test", "test", TEST, NULL, 0, error);
    if (!role[ROLE_TEST])
        return false;
    role[ROLE_RTC] = riscv_boot_add_device(m, "goldfish-rtc", "rtc", RTC, plic, RTC_IRQ, error);
    if (!role[ROLE_RTC])
        return false;
    role[ROLE_FW_CFG] = riscv_boot_add_device(m, "fw-cfg", "fw_cfg", FW_CFG, NULL, 0, error);
    if (!role[ROLE_FW_CFG])
        return false;
    fw_cfg_add_int(role[ROLE_FW_CFG], FW_CFG_NB_CPUS, 2, m->nr_cpus);
    return add_uart(m, plic, error) && add_flash(m, 0, error) && add_flash(m, 1, error) &&
           add_transports(m, plic, error);
}

// Properties of the board elsewhere, which may be off here.
static bool check_props(const struct machine_config *cfg, GError **error)
{
    if (!board_check_props(cfg, error))
        return false;
    if (board_prop_bool(cfg, "acpi"))
        warn_user("-machine virt,acpi=on: there are no ACPI tables, only the device tree");
    return true;
}

static bool virt_init(struct machine *m, GError **error)
{
    m->dev_by_role = g_new0(struct device *, NR_ROLES);
    return check_props(m->cfg, error) && add_memory(m, error) && add_core(m, error) &&
           add_devices(m, error);
}

// --- Device tree ---

static void write_device(struct devtree *dt, struct device *dev)
{
    dev->cls->fdt(dev, dt);
}

static void write_flash(struct devtree *dt)
{
    const uint32_t reg[] = {0, FLASH, 0, FLASH_SIZE, 0, FLASH + FLASH_SIZE, 0, FLASH_SIZE};
    devtree_begin_at(dt, "flash", FLASH);
    devtree_u32(dt, "bank-width", 4);
    devtree_cells(dt, "reg", reg, ARRAY_LEN(reg));
    devtree_str(dt, "compatible", "cfi-flash");
    devtree_end(dt);
}

static void write_chosen(struct devtree *dt)
{
    g_autofree char *uart = g_strdup_printf("/soc/serial@%x", UART);
    devtree_begin(dt, "chosen");
    devtree_str(dt, "stdout-path", uart);
    devtree_end(dt);
}

// A node that says which value the test finisher takes for something.
static void write_syscon(struct devtree *dt, struct device *test, const char *name, uint32_t value)
{
    g_autofree char *compatible = g_strdup_printf("syscon-%s", name);
    devtree_begin(dt, name);
    devtree_u32(dt, "value", value);
    devtree_u32(dt, "offset", 0);
    devtree_u32(dt, "regmap", devtree_ref(dt, test));
    devtree_str(dt, "compatible", compatible);
    devtree_end(dt);
}

static void write_interruptors(struct machine *m, struct devtree *dt)
{
    struct device **role = m->dev_by_role;
    if (role[ROLE_SSWI]) {
        write_device(dt, role[ROLE_SSWI]);
        clint_write_aclint(role[ROLE_CLINT], dt);
    } else {
        write_device(dt, role[ROLE_CLINT]);
    }
}

static void write_soc(struct machine *m, struct devtree *dt)
{
    struct device **role = m->dev_by_role;
    devtree_begin(dt, "soc");
    devtree_u32(dt, "#address-cells", 2);
    devtree_u32(dt, "#size-cells", 2);
    devtree_str(dt, "compatible", "simple-bus");
    devtree_flag(dt, "ranges");
    write_device(dt, role[ROLE_RTC]);
    write_device(dt, role[ROLE_UART]);
    write_device(dt, role[ROLE_TEST]);
    for (unsigned i = 0; i < NR_VIRTIO; i++)
        write_device(dt, role[ROLE_VIRTIO + i]);
    write_device(dt, role[ROLE_PLIC]);
    write_interruptors(m, dt);
    devtree_end(dt);
}

static void virt_write_fdt(struct machine *m, struct devtree *dt)
{
    struct device **role = m->dev_by_role;
    machine_fdt_root(dt, "riscv-virtio", "riscv-virtio,qemu");
    write_device(dt, role[ROLE_FW_CFG]);
    write_flash(dt);
    write_chosen(dt);
    write_syscon(dt, role[ROLE_TEST], "poweroff", 0x5555);
    write_syscon(dt, role[ROLE_TEST], "reboot", 0x7777);
    machine_fdt_memory(dt, DRAM, ram_size(m));
    machine_fdt_riscv_cpus(dt, m, TIME_HZ);
    write_soc(m, dt);
}

// --- Boot ---

static bool virt_load(struct machine *m, GError **error)
{
    const struct machine_config *cfg = m->cfg;
    bool no_firmware = cfg->bios && !strcmp(cfg->bios, "none");
    struct riscv_boot boot = {
        .ram_base = DRAM,
        .ram_size = ram_size(m),
        .rom_base = MROM,
        .fw_cfg = m->dev_by_role[ROLE_FW_CFG],
        .write_fdt = virt_write_fdt,
    };
    if (cfg->pflash[0] && no_firmware)
        boot.start = FLASH;
    else if (cfg->pflash[0])
        boot.next = FLASH;
    else if (cfg->pflash[1])
        boot.next = FLASH + FLASH_SIZE;
    return riscv_boot_load(m, &boot, error);
}

static const struct device_prop virt_props[] = {
    {"aclint", PROP_BOOL, 0, false, "an ACLINT in place of the CLINT"},
    {"acpi", PROP_BOOL, 0, false, "accepted; there are no ACPI tables"},
    PROP_END,
};

static const char *const virt_arches[] = {"riscv64", "riscv32", NULL};

const struct board virt_board = {
    .name = "virt",
    .desc = "RISC-V VirtIO board",
    .arches = virt_arches,
    .default_cpu = {"rv32", "rv64"},
    .default_ram = 128 << 20,
    .max_cpus = MACHINE_MAX_CPUS,
    .nr_serial = 1,
    .props = virt_props,
    .init = virt_init,
    .load = virt_load,
};
