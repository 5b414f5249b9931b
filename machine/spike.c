// SPDX-License-Identifier: MIT
// The board "spike": what Berkeley's instruction-set simulator has. Harts, a CLINT, RAM, and HTIF, which is
// where the firmware's or the kernel's symbols tohost and fromhost say; for programs without them at 0x1000000.
//
// HTIF watches whole pages of RAM, so RAM is in two parts around it.
#include "base/bits.h"
#include "machine/board.h"
#include "machine/fdt.h"
#include "machine/riscv_boot.h"

#define MROM  0x1000
#define HTIF  0x1000000
#define CLINT 0x2000000
#define DRAM  0x80000000

#define MROM_SIZE 0xf000
#define HTIF_SIZE 0x1000 // that the device tree tells
#define TIME_HZ   10000000

enum role { ROLE_CLINT, ROLE_HTIF, NR_ROLES };

// The bytes that HTIF watches, and where its words are in them.
struct place {
    paddr_t base;
    uint64_t size, tohost, fromhost;
};

// The symbols of the file that was given last on the way to the guest's program.
static bool find_symbols(const struct machine_config *cfg, struct loader_image *found,
                         GError **error)
{
    GError *missing = NULL;
    g_autofree char *bios =
        loader_find_firmware(cfg->bios, cfg->firmware_dirs, cfg->bits, &missing);
    const char *const files[] = {bios, cfg->kernel};
    if (missing) {
        g_propagate_error(error, missing);
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct loader_image image;
        if (!files[i])
            continue;
        if (!loader_probe(files[i], &image, error))
            return false;
        if (image.has_tohost)
            *found = image;
    }
    return true;
}

static bool choose_place(struct machine *m, struct place *p, GError **error)
{
    struct loader_image image = {.has_tohost = false};
    paddr_t ram_end = DRAM + m->cfg->ram_size;
    *p = (struct place){.base = HTIF, .size = 16, .tohost = 8, .fromhost = 0};
    if (!find_symbols(m->cfg, &image, error))
        return false;
    if (!image.has_tohost)
        return true;
    paddr_t from = image.fromhost ? image.fromhost : image.tohost + 8;
    paddr_t first = MIN(image.tohost, from), last = MAX(image.tohost, from);
    if (first < DRAM || last > ram_end - 8) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "tohost (0x%" G_GINT64_MODIFIER "x) and fromhost (0x%" G_GINT64_MODIFIER
                    "x) must lie in RAM, from 0x%x on; more of it with -m",
                    image.tohost, from, DRAM);
        return false;
    }
    p->base = align_down(first, PAGE_SIZE);
    p->size = MIN(align_up(last + 8, PAGE_SIZE), ram_end) - p->base;
    p->tohost = image.tohost - p->base;
    p->fromhost = from - p->base;
    return true;
}

static bool add_ram(struct machine *m, const char *name, paddr_t base, paddr_t end, GError **error)
{
    return base >= end || mem_add_ram(m->mem, name, base, end - base, error);
}

static bool add_memory(struct machine *m, const struct place *p, GError **error)
{
    paddr_t end = DRAM + m->cfg->ram_size;
    bool inside = p->base >= DRAM;
    return mem_add_rom(m->mem, "mrom", MROM, MROM_SIZE, error) &&
           add_ram(m, "ram", DRAM, inside ? p->base : end, error) &&
           (!inside || add_ram(m, "ram.high", p->base + p->size, end, error));
}

static bool add_htif(struct machine *m, const struct place *p, GError **error)
{
    struct device *htif = machine_add_device(m, "htif", "htif", p->base, 0, error);
    if (!htif)
        return false;
    m->dev_by_role[ROLE_HTIF] = htif;
    device_set_ptr(htif, "chardev", m->cfg->serial[0]);
    device_set_u64(htif, "size", p->size);
    device_set_u64(htif, "tohost", p->tohost);
    device_set_u64(htif, "fromhost", p->fromhost);
    return machine_init_device(m, htif, error);
}

static bool spike_init(struct machine *m, GError **error)
{
    struct place place;
    m->dev_by_role = g_new0(struct device *, NR_ROLES);
    if (!board_check_props(m->cfg, error) || !choose_place(m, &place, error) ||
        !add_memory(m, &place, error))
        return false;
    m->dev_by_role[ROLE_CLINT] = riscv_boot_add_harts(m, CLINT, TIME_HZ, MROM, error);
    return m->dev_by_role[ROLE_CLINT] && add_htif(m, &place, error);
}

static void spike_write_fdt(struct machine *m, struct devtree *dt)
{
    struct device *clint = m->dev_by_role[ROLE_CLINT];
    machine_fdt_root(dt, "ucbbar,spike-bare-dev", "ucbbar,spike-bare,qemu");
    devtree_begin(dt, "chosen");
    devtree_str(dt, "stdout-path", "/htif");
    devtree_end(dt);
    machine_fdt_memory(dt, DRAM, m->cfg->ram_size);
    machine_fdt_riscv_cpus(dt, m, TIME_HZ);

    devtree_begin(dt, "soc");
    devtree_u32(dt, "#address-cells", 2);
    devtree_u32(dt, "#size-cells", 2);
    devtree_str(dt, "compatible", "simple-bus");
    devtree_flag(dt, "ranges");
    clint->cls->fdt(clint, dt);
    devtree_end(dt);

    devtree_begin(dt, "htif");
    if (m->dev_by_role[ROLE_HTIF]->base == HTIF) // else software knows its own symbols
        devtree_reg(dt, HTIF, HTIF_SIZE);
    devtree_str(dt, "compatible", "ucb,htif0");
    devtree_end(dt);
}

static bool spike_load(struct machine *m, GError **error)
{
    const struct riscv_boot boot = {
        .ram_base = DRAM,
        .ram_size = m->cfg->ram_size,
        .rom_base = MROM,
        .write_fdt = spike_write_fdt,
    };
    return riscv_boot_load(m, &boot, error);
}

static const char *const spike_arches[] = {"riscv64", "riscv32", NULL};

const struct board spike_board = {
    .name = "spike",
    .desc = "RISC-V Spike board",
    .arches = spike_arches,
    .default_cpu = {"rv32", "rv64"},
    .default_ram = 128 << 20,
    .max_cpus = MACHINE_MAX_CPUS,
    .nr_serial = 1,
    .init = spike_init,
    .load = spike_load,
};
