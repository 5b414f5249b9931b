// SPDX-License-Identifier: MIT
// Harts and booting of RISC-V boards.
#include "machine/riscv_boot.h"

#include "base/bits.h"
#include "cpu/riscv/riscv.h"
#include "hw/clint.h"
#include "hw/fw_cfg.h"
#include "machine/board.h"
#include "machine/fdt.h"
#include "machine/loader_file.h"

// --- Making ---

// mtime has jumped.
static void time_changed(void *opaque)
{
    struct machine *m = opaque;
    for (unsigned i = 0; i < m->nr_cpus; i++)
        riscv_cpu_time_changed(m->cpus[i]);
}

static bool add_hart(struct machine *m, struct device *clint, uint32_t time_hz, paddr_t reset_pc,
                     GError **error)
{
    const struct machine_config *cfg = m->cfg;
    unsigned index = m->nr_cpus;
    struct riscv_cpu_config config = {
        .model = cfg->cpu_model ? cfg->cpu_model : cfg->board->default_cpu[cfg->bits == 64],
        .xlen = cfg->bits,
        .hartid = index,
        .index = index,
        .mem = m->mem,
        .clock = m->clock,
        .reset_pc = reset_pc,
        .time_hz = time_hz,
        .no_misaligned = cfg->no_misaligned,
    };
    struct cpu *cpu = riscv_cpu_new(&config, error);
    if (!cpu)
        return false;
    m->cpus[m->nr_cpus++] = cpu;
    riscv_cpu_set_mtime(cpu, clint_time, clint);
    device_connect(clint, 2 * index, riscv_cpu_set_irq, cpu, IRQ_MSI);
    device_connect(clint, 2 * index + 1, riscv_cpu_set_irq, cpu, IRQ_MTI);
    return true;
}

struct device *riscv_boot_add_harts(struct machine *m, paddr_t clint_base, uint32_t time_hz,
                                    paddr_t reset_pc, GError **error)
{
    unsigned n = m->cfg->smp;
    struct device *clint = machine_add_device(m, "sifive-clint", "clint", clint_base, 2 * n, error);
    if (!clint)
        return NULL;
    device_set_u64(clint, "num-harts", n);
    device_set_u64(clint, "timebase-frequency", time_hz);
    clint_set_listener(clint, time_changed, m);
    for (unsigned i = 0; i < n; i++)
        if (!add_hart(m, clint, time_hz, reset_pc, error))
            return NULL;
    return machine_init_device(m, clint, error) ? clint : NULL;
}

struct device *riscv_boot_add_sswi(struct machine *m, paddr_t base, GError **error)
{
    struct device *sswi =
        machine_add_device(m, "riscv-aclint-sswi", "sswi", base, m->nr_cpus, error);
    if (!sswi)
        return NULL;
    device_set_u64(sswi, "num-harts", m->nr_cpus);
    for (unsigned i = 0; i < m->nr_cpus; i++)
        device_connect(sswi, i, riscv_cpu_set_irq, m->cpus[i], IRQ_SSI);
    return machine_init_device(m, sswi, error) ? sswi : NULL;
}

struct device *riscv_boot_add_plic(struct machine *m, paddr_t base, bool supervisor, GError **error)
{
    unsigned contexts = supervisor ? 2 : 1;
    struct device *plic =
        machine_add_device(m, "sifive-plic", "plic", base, contexts * m->nr_cpus, error);
    for (unsigned i = 0; plic && i < m->nr_cpus; i++) {
        device_connect(plic, contexts * i, riscv_cpu_set_irq, m->cpus[i], IRQ_MEI);
        if (supervisor)
            device_connect(plic, contexts * i + 1, riscv_cpu_set_irq, m->cpus[i], IRQ_SEI);
    }
    return plic;
}

struct device *riscv_boot_add_device(struct machine *m, const char *driver, const char *id,
                                     paddr_t base, struct device *plic, unsigned irq,
                                     GError **error)
{
    struct device *dev = machine_add_device(m, driver, id, base, irq ? 1 : 0, error);
    if (!dev)
        return NULL;
    if (irq)
        device_connect(dev, 0, plic->irq_in, plic, irq);
    return machine_init_device(m, dev, error) ? dev : NULL;
}

// --- Loading ---

// What was loaded, and where.
struct loaded {
    struct loader_image firmware, kernel, initrd;
    bool has_firmware, has_kernel, has_initrd;
    paddr_t fdt;
};

static bool load_firmware(const struct machine_config *cfg, const struct riscv_boot *b,
                          const struct loader_target *t, struct loaded *l, GError **error)
{
    GError *missing = NULL;
    g_autofree char *path =
        loader_find_firmware(cfg->bios, cfg->firmware_dirs, cfg->bits, &missing);
    if (missing && cfg->dumpdtb && (!cfg->bios || !strcmp(cfg->bios, "default"))) {
        g_clear_error(&missing); // the tree does not depend on it
    } else if (missing) {
        g_propagate_error(error, missing);
        return false;
    }
    l->firmware.start = l->firmware.end = l->firmware.entry = b->ram_base;
    l->has_firmware = path != NULL;
    return !path || loader_load(t, path, b->ram_base, &l->firmware, error);
}

static bool load_kernel(const struct machine_config *cfg, const struct loader_target *t,
                        struct loaded *l, GError **error)
{
    paddr_t addr = loader_kernel_start(cfg->bits, l->firmware.end);
    if (!cfg->kernel)
        return true;
    if (!loader_load(t, cfg->kernel, addr, &l->kernel, error))
        return false;
    l->has_kernel = true;
    if (l->has_firmware &&
        !loader_check_apart(cfg->kernel, &l->kernel, "the firmware (-bios none leaves it out)",
                            &l->firmware, error))
        return false;
    if (!cfg->initrd)
        return true;
    l->has_initrd = true;
    return loader_load_initrd(t, cfg->initrd, &l->kernel, &l->initrd, error);
}

// Items of fw_cfg that hold a file: its size and its bytes, unpacked.
static bool offer_file(struct device *fw_cfg, const char *path, uint16_t size_key,
                       uint16_t data_key, bool unpack, GError **error)
{
    struct loader_file f;
    if (!path)
        return true;
    if (!loader_file_open(&f, path, error))
        return false;
    bool ok = !unpack || !loader_file_is_gzip(&f) ||
              loader_file_unpack(&f, 0, f.len, LOADER_PROBE_LIMIT, error);
    if (ok && f.len > UINT32_MAX)
        ok = loader_fail(error, path,
                         "larger than 4 GiB, which fw_cfg cannot offer to the firmware");
    if (ok) {
        fw_cfg_add_int(fw_cfg, size_key, 4, (uint32_t)f.len);
        fw_cfg_add(fw_cfg, data_key, f.data, f.len);
    }
    loader_file_close(&f);
    return ok;
}

// The next stage will load the kernel itself.
static bool offer_kernel(const struct machine_config *cfg, struct device *fw_cfg, GError **error)
{
    if (!cfg->kernel)
        return true;
    if (!offer_file(fw_cfg, cfg->kernel, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, true, error) ||
        !offer_file(fw_cfg, cfg->initrd, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, false, error))
        return false;
    if (cfg->append) {
        size_t len = strlen(cfg->append) + 1;
        fw_cfg_add_int(fw_cfg, FW_CFG_CMDLINE_SIZE, 4, (uint32_t)len);
        fw_cfg_add(fw_cfg, FW_CFG_CMDLINE_DATA, cfg->append, len);
    }
    return true;
}

static bool make_fdt(struct machine *m, const struct riscv_boot *b, GError **error)
{
    if (m->cfg->dtb)
        return machine_fdt_load(m, m->cfg->dtb, error);
    struct devtree *dt = devtree_new();
    size_t size;
    b->write_fdt(m, dt);
    void *blob = devtree_finish(dt, &size);
    machine_fdt_set(m, blob, size);
    return true;
}

static bool store(struct machine *m, paddr_t addr, const void *data, size_t len, const char *what,
                  GError **error)
{
    if (mem_load(m->mem, addr, data, len) == MEM_OK)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "there is no memory at 0x%" G_GINT64_MODIFIER "x for the %s", addr, what);
    return false;
}

static bool load_fdt(struct machine *m, const struct riscv_boot *b, const struct loader_target *t,
                     struct loaded *l, GError **error)
{
    paddr_t above = MAX(l->firmware.end, MAX(l->kernel.end, l->initrd.end));
    return make_fdt(m, b, error) &&
           machine_fdt_set_chosen(m, l->has_initrd ? &l->initrd : NULL, error) &&
           loader_place_fdt(t, m->fdt_size, above, &l->fdt, error) &&
           store(m, l->fdt, m->fdt, m->fdt_size, "device tree", error);
}

// Where the code at rom_base goes on. A program without firmware starts where RAM does, as everywhere, unless
// it has nothing there.
static paddr_t first_stage(const struct riscv_boot *b, const struct loaded *l)
{
    if (b->start)
        return b->start;
    if (l->has_firmware)
        return l->firmware.entry;
    if (l->has_kernel && (l->kernel.start > b->ram_base || l->kernel.end <= b->ram_base))
        return l->kernel.entry;
    return b->ram_base;
}

static bool store_reset_code(struct machine *m, const struct riscv_boot *b, const struct loaded *l,
                             GError **error)
{
    enum { FDT = 32, START = 40, INFO = 48 }; // behind the code
    bool wide = m->cfg->bits == 64;
    uint32_t load = wide ? 3u << 12 : 2u << 12; // ld or lw
    uint8_t rom[INFO + LOADER_FW_DYNAMIC_MAX] = {0};
    const uint32_t code[] = {
        0xf1402573,                            // csrr a0, mhartid
        0x00000297,                            // auipc t0, 0
        (INFO - 4) << 20 | 0x00028613,         // addi a2, t0, info
        (FDT - 4) << 20 | load | 0x00028583,   // l[dw] a1, fdt(t0)
        (START - 4) << 20 | load | 0x00028283, // l[dw] t0, start(t0)
        0x00028067,                            // jr t0
    };
    _Static_assert(sizeof(code) <= FDT, "code and data overlap");
    paddr_t next = b->next ? b->next : l->has_kernel ? l->kernel.entry : 0;
    memcpy(rom, code, sizeof(code));
    store_le(rom + FDT, 8, l->fdt);
    store_le(rom + START, 8, first_stage(b, l));
    loader_fw_dynamic_info(m->cfg->bits, next, 0, rom + INFO);
    return store(m, b->rom_base, rom, sizeof(rom), "reset code", error);
}

bool riscv_boot_load(struct machine *m, const struct riscv_boot *b, GError **error)
{
    struct loaded l = {.has_firmware = false};
    struct loader_target t = {m->mem, m->cfg->bits, EM_RISCV, b->ram_base, b->ram_size};
    if (!load_firmware(m->cfg, b, &t, &l, error))
        return false;
    if (!(b->next ? offer_kernel(m->cfg, b->fw_cfg, error) : load_kernel(m->cfg, &t, &l, error)))
        return false;
    return load_fdt(m, b, &t, &l, error) && store_reset_code(m, b, &l, error) &&
           riscv_boot_apply_loaders(m, &t, error);
}

bool riscv_boot_apply_loaders(struct machine *m, const struct loader_target *t, GError **error)
{
    for (unsigned i = 0; m->cfg->loaders && i < m->cfg->loaders->len; i++) {
        const struct machine_loader_opt *opt =
            &g_array_index(m->cfg->loaders, struct machine_loader_opt, i);
        bool has_pc;
        paddr_t pc;
        if (!loader_apply(t, opt, &has_pc, &pc, error))
            return false;
        if (!has_pc)
            continue;
        if (opt->cpu_num < 0 || (unsigned)opt->cpu_num >= m->nr_cpus) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                        "-device loader: there is no CPU %d: cpu-num is 0 to %u", opt->cpu_num,
                        m->nr_cpus - 1);
            return false;
        }
        riscv_cpu_set_entry(m->cpus[opt->cpu_num], pc);
    }
    return true;
}
