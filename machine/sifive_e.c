// SPDX-License-Identifier: MIT
// The board "sifive_e": SiFive's E SDK, in effect a HiFive1 with an FE310-G000. FE310-G000 manual, chapter 4
// (memory map) and 10 (interrupts).
//
// The flash is read in place from 0x20000000; programs start at 0x20400000, on revision B of the board at
// 0x20010000. There is no device tree and no firmware.
#include "cpu/riscv/riscv.h"
#include "machine/board.h"
#include "machine/riscv_boot.h"

#define MROM  0x1000
#define CLINT 0x2000000
#define PLIC  0xc000000
#define AON   0x10000000
#define PRCI  0x10008000
#define GPIO0 0x10012000
#define UART0 0x10013000
#define UART1 0x10023000
#define XIP   0x20000000
#define DTIM  0x80000000

#define MROM_SIZE  0x2000
#define XIP_SIZE   0x20000000
#define DTIM_SIZE  0x4000
#define PLIC_SIZE  0x4000000
#define NR_SOURCES 127
#define TIME_HZ    10000000

#define START_A 0x20400000
#define START_B 0x20010000

enum { UART0_IRQ = 3, UART1_IRQ = 4, GPIO0_IRQ = 8 };

// What is there, but not modelled.
static const struct {
    const char *id;
    paddr_t base;
    uint64_t size;
} unmodelled[] = {
    {"aon", AON, 0x8000},          {"qspi0", 0x10014000, 0x1000}, {"pwm0", 0x10015000, 0x1000},
    {"qspi1", 0x10024000, 0x1000}, {"pwm1", 0x10025000, 0x1000},  {"qspi2", 0x10034000, 0x1000},
    {"pwm2", 0x10035000, 0x1000},
};

static bool add_memory(struct machine *m, GError **error)
{
    if (m->cfg->ram_size != DTIM_SIZE) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "-m: the board %s has 16 KiB of RAM, no other size", m->cfg->board->name);
        return false;
    }
    return mem_add_ram(m->mem, "dtim", DTIM, DTIM_SIZE, error) &&
           mem_add_rom(m->mem, "mrom", MROM, MROM_SIZE, error) &&
           mem_add_rom(m->mem, "xip", XIP, XIP_SIZE, error);
}

static struct device *add_plic(struct machine *m, GError **error)
{
    struct device *plic = riscv_boot_add_plic(m, PLIC, false, error);
    if (!plic)
        return NULL;
    device_set_u64(plic, "num-sources", NR_SOURCES);
    device_set_u64(plic, "aperture-size", PLIC_SIZE);
    return machine_init_device(m, plic, error) ? plic : NULL;
}

static bool add_uart(struct machine *m, unsigned index, paddr_t base, struct device *plic,
                     unsigned irq, GError **error)
{
    g_autofree char *id = g_strdup_printf("serial%u", index);
    struct device *uart = machine_add_device(m, "sifive-uart", id, base, 1, error);
    if (!uart)
        return false;
    device_set_ptr(uart, "chardev", m->cfg->serial[index]);
    device_connect(uart, 0, plic->irq_in, plic, irq);
    return machine_init_device(m, uart, error);
}

static bool add_gpio(struct machine *m, struct device *plic, GError **error)
{
    struct device *gpio = machine_add_device(m, "sifive-gpio", "gpio0", GPIO0, 32, error);
    for (unsigned i = 0; gpio && i < 32; i++)
        device_connect(gpio, i, plic->irq_in, plic, GPIO0_IRQ + i);
    return gpio && machine_init_device(m, gpio, error);
}

static bool add_unmodelled(struct machine *m, GError **error)
{
    for (size_t i = 0; i < ARRAY_LEN(unmodelled); i++) {
        struct device *dev = machine_add_device(m, "unimplemented-device", unmodelled[i].id,
                                                unmodelled[i].base, 0, error);
        if (!dev)
            return false;
        device_set_u64(dev, "size", unmodelled[i].size);
        if (!machine_init_device(m, dev, error))
            return false;
    }
    return true;
}

static bool sifive_e_init(struct machine *m, GError **error)
{
    if (!board_check_props(m->cfg, error) || !add_memory(m, error) ||
        !riscv_boot_add_harts(m, CLINT, TIME_HZ, MROM + 4, error))
        return false;
    struct device *plic = add_plic(m, error);
    return plic && riscv_boot_add_device(m, "sifive-e-prci", "prci", PRCI, NULL, 0, error) &&
           add_gpio(m, plic, error) && add_uart(m, 0, UART0, plic, UART0_IRQ, error) &&
           add_uart(m, 1, UART1, plic, UART1_IRQ, error) && add_unmodelled(m, error);
}

static void load_reset_code(struct machine *m)
{
    paddr_t start = board_prop_bool(m->cfg, "revb") ? START_B : START_A;
    const uint32_t code[] = {
        (uint32_t)start | 0x2b7, // lui t0, start
        0x00028067,              // jr t0
    };
    enum mem_status status = mem_load(m->mem, MROM + 4, code, sizeof(code));
    g_assert(status == MEM_OK);
}

static bool sifive_e_load(struct machine *m, GError **error)
{
    struct loader_image image;
    const struct loader_target t = {m->mem, m->cfg->bits, EM_RISCV, DTIM, DTIM_SIZE};
    if (m->cfg->kernel && !loader_load(&t, m->cfg->kernel, DTIM, &image, error))
        return false;
    load_reset_code(m);
    return riscv_boot_apply_loaders(m, &t, error);
}

static const struct device_prop sifive_e_props[] = {
    {"revb", PROP_BOOL, 0, false, "be a HiFive1 Rev B: programs start at 0x20010000"},
    PROP_END,
};

static const char *const sifive_e_arches[] = {"riscv32", "riscv64", NULL};

const struct board sifive_e_board = {
    .name = "sifive_e",
    .desc = "SiFive E SDK (HiFive1)",
    .arches = sifive_e_arches,
    .default_cpu = {"sifive-e31", "sifive-e51"},
    .default_ram = DTIM_SIZE,
    .max_cpus = 1,
    .nr_serial = 2,
    .props = sifive_e_props,
    .init = sifive_e_init,
    .load = sifive_e_load,
};
