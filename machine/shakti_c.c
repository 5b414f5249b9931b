// SPDX-License-Identifier: MIT
// The board "shakti_c": the SHAKTI C-class SoC (Vajra on an Arty A7-100T), as its README (memory map) and its SDK
// (interrupts) have it, and as far as QEMU's board of that name goes: one hart, CLINT, PLIC, and all three UARTs.
// SPI, I2C, GPIO, PWM and pin multiplexing are not there. Firmware gets a device tree.
#include "machine/board.h"
#include "machine/fdt.h"
#include "machine/riscv_boot.h"

#define ROM   0x1000
#define UART  0x11300
#define CLINT 0x2000000
#define PLIC  0xc000000
#define DRAM  0x80000000

#define ROM_SIZE   0x2000
#define UART_STEP  0x100
#define PLIC_SIZE  0x4000000
#define NR_UARTS   3
#define NR_SOURCES 27
#define TIME_HZ    10000000

enum { UART_IRQ = 25 }; // of the first

enum role { ROLE_CLINT, ROLE_PLIC, ROLE_UART, NR_ROLES = ROLE_UART + NR_UARTS };

static bool add_memory(struct machine *m, GError **error)
{
    return mem_add_ram(m->mem, "ram", DRAM, m->cfg->ram_size, error) &&
           mem_add_rom(m->mem, "rom", ROM, ROM_SIZE, error);
}

static bool add_plic(struct machine *m, GError **error)
{
    struct device *plic = riscv_boot_add_plic(m, PLIC, true, error);
    m->dev_by_role[ROLE_PLIC] = plic;
    if (!plic)
        return false;
    device_set_u64(plic, "num-sources", NR_SOURCES);
    device_set_u64(plic, "aperture-size", PLIC_SIZE);
    return machine_init_device(m, plic, error);
}

static bool add_uart(struct machine *m, unsigned index, GError **error)
{
    g_autofree char *id = g_strdup_printf("serial%u", index);
    struct device *plic = m->dev_by_role[ROLE_PLIC];
    struct device *uart =
        machine_add_device(m, "shakti-uart", id, UART + index * UART_STEP, 1, error);
    m->dev_by_role[ROLE_UART + index] = uart;
    if (!uart)
        return false;
    device_set_ptr(uart, "chardev", m->cfg->serial[index]);
    device_connect(uart, 0, plic->irq_in, plic, UART_IRQ + index);
    return machine_init_device(m, uart, error);
}

static bool shakti_c_init(struct machine *m, GError **error)
{
    m->dev_by_role = g_new0(struct device *, NR_ROLES);
    if (!board_check_props(m->cfg, error) || !add_memory(m, error))
        return false;
    m->dev_by_role[ROLE_CLINT] = riscv_boot_add_harts(m, CLINT, TIME_HZ, ROM, error);
    if (!m->dev_by_role[ROLE_CLINT] || !add_plic(m, error))
        return false;
    for (unsigned i = 0; i < NR_UARTS; i++)
        if (!add_uart(m, i, error))
            return false;
    return true;
}

static void shakti_c_write_fdt(struct machine *m, struct devtree *dt)
{
    machine_fdt_root(dt, "shakti,cclass", "SHAKTI C-class SoC");
    devtree_begin(dt, "chosen");
    devtree_str(dt, "stdout-path", "/soc/serial@11300");
    devtree_end(dt);
    machine_fdt_memory(dt, DRAM, m->cfg->ram_size);
    machine_fdt_riscv_cpus(dt, m, TIME_HZ);

    devtree_begin(dt, "soc");
    devtree_u32(dt, "#address-cells", 2);
    devtree_u32(dt, "#size-cells", 2);
    devtree_str(dt, "compatible", "simple-bus");
    devtree_flag(dt, "ranges");
    for (unsigned i = 0; i < NR_ROLES; i++)
        m->dev_by_role[i]->cls->fdt(m->dev_by_role[i], dt);
    devtree_end(dt);
}

static bool shakti_c_load(struct machine *m, GError **error)
{
    const struct riscv_boot boot = {
        .ram_base = DRAM,
        .ram_size = m->cfg->ram_size,
        .rom_base = ROM,
        .write_fdt = shakti_c_write_fdt,
    };
    return riscv_boot_load(m, &boot, error);
}

static const char *const shakti_c_arches[] = {"riscv64", NULL};

const struct board shakti_c_board = {
    .name = "shakti_c",
    .desc = "SHAKTI C-class SoC",
    .arches = shakti_c_arches,
    .default_cpu = {NULL, "shakti-c"},
    .default_ram = 128 << 20,
    .max_cpus = 1,
    .nr_serial = NR_UARTS,
    .init = shakti_c_init,
    .load = shakti_c_load,
};
