// SPDX-License-Identifier: MIT
// Device trees of boards.
#include "machine/fdt.h"

#include <libfdt.h>

#include "base/bits.h"
#include "cpu/riscv/riscv.h"
#include "machine/loader_file.h"

void machine_fdt_root(struct devtree *dt, const char *compatible, const char *model)
{
    devtree_u32(dt, "#address-cells", 2);
    devtree_u32(dt, "#size-cells", 2);
    devtree_str(dt, "compatible", compatible);
    devtree_str(dt, "model", model);
}

void machine_fdt_memory(struct devtree *dt, paddr_t base, uint64_t size)
{
    devtree_begin_at(dt, "memory", base);
    devtree_str(dt, "device_type", "memory");
    devtree_reg(dt, base, size);
    devtree_end(dt);
}

// --- CPUs ---

// Linux uses these extensions only where it knows the size of blocks.
static void write_block_sizes(struct devtree *dt, const struct cpu *cpu)
{
    static const struct {
        const char *extension, *property;
    } sizes[] = {
        {"zicbom", "riscv,cbom-block-size"},
        {"zicboz", "riscv,cboz-block-size"},
        {"zicbop", "riscv,cbop-block-size"},
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        if (riscv_cpu_has(cpu, sizes[i].extension))
            devtree_u32(dt, sizes[i].property, RISCV_CBO_BLOCK);
}

static void write_riscv_cpu(struct devtree *dt, struct machine *m, unsigned index)
{
    struct cpu *cpu = m->cpus[index];
    const char *mmu_type = riscv_cpu_mmu_type(cpu);
    devtree_begin_at(dt, "cpu", riscv_cpu_hartid(cpu));
    devtree_declare(dt, &m->cpus[index]);
    devtree_str(dt, "device_type", "cpu");
    devtree_u32(dt, "reg", (uint32_t)riscv_cpu_hartid(cpu));
    devtree_str(dt, "status", "okay");
    devtree_str(dt, "compatible", "riscv");
    write_block_sizes(dt, cpu);
    devtree_str(dt, "riscv,isa", riscv_cpu_isa_string(cpu));
    if (mmu_type)
        devtree_str(dt, "mmu-type", mmu_type);

    devtree_begin(dt, "interrupt-controller");
    devtree_u32(dt, "#interrupt-cells", 1);
    devtree_flag(dt, "interrupt-controller");
    devtree_str(dt, "compatible", "riscv,cpu-intc");
    devtree_declare(dt, cpu);
    devtree_end(dt);
    devtree_end(dt);
}

void machine_fdt_riscv_cpus(struct devtree *dt, struct machine *m, uint32_t timebase_hz)
{
    devtree_begin(dt, "cpus");
    devtree_u32(dt, "#address-cells", 1);
    devtree_u32(dt, "#size-cells", 0);
    devtree_u32(dt, "timebase-frequency", timebase_hz);
    for (unsigned i = 0; i < m->nr_cpus; i++)
        write_riscv_cpu(dt, m, i);
    devtree_begin(dt, "cpu-map");
    devtree_begin(dt, "cluster0");
    for (unsigned i = 0; i < m->nr_cpus; i++) {
        g_autofree char *core = g_strdup_printf("core%u", i);
        devtree_begin(dt, core);
        devtree_u32(dt, "cpu", devtree_ref(dt, &m->cpus[i]));
        devtree_end(dt);
    }
    devtree_end(dt);
    devtree_end(dt);
    devtree_end(dt);
}

// --- The machine's tree ---

void machine_fdt_set(struct machine *m, void *blob, size_t size)
{
    g_free(m->fdt);
    m->fdt = blob;
    m->fdt_size = size;
}

// libfdt's own check is not up to trees of before 2005, whose nodes have names of another form: what it would crash on
// is not shown to it.
static bool is_tree(const struct loader_file *f)
{
    enum { OLDEST = 16 };
    return f->len >= FDT_V16_SIZE && fdt_version(f->data) >= OLDEST &&
           !fdt_check_full(f->data, f->len);
}

bool machine_fdt_load(struct machine *m, const char *path, GError **error)
{
    struct loader_file f;
    if (!loader_file_open(&f, path, error))
        return false;
    bool ok = is_tree(&f);
    if (ok) {
        size_t size = fdt_totalsize(f.data);
        void *blob = g_malloc(size);
        memcpy(blob, f.data, size);
        machine_fdt_set(m, blob, size);
    } else {
        loader_fail(error, path, "not a device tree, expected a blob as dtc makes it");
    }
    loader_file_close(&f);
    return ok;
}

static int find_or_add_chosen(void *fdt)
{
    int node = fdt_path_offset(fdt, "/chosen");
    return node == -FDT_ERR_NOTFOUND ? fdt_add_subnode(fdt, 0, "chosen") : node;
}

// As one cell where that is enough, which all kernels read.
static int set_address(void *fdt, int node, const char *name, paddr_t addr)
{
    return addr > UINT32_MAX ? fdt_setprop_u64(fdt, node, name, addr)
                             : fdt_setprop_u32(fdt, node, name, (uint32_t)addr);
}

static int fill_chosen(void *fdt, struct machine *m, const struct loader_image *initrd)
{
    uint8_t seed[32];
    const char *append = m->cfg->append;
    int node = find_or_add_chosen(fdt), err = node < 0 ? node : 0;
    door_entropy(m->door, seed, sizeof(seed));
    if (!err)
        err = fdt_setprop(fdt, node, "rng-seed", seed, sizeof(seed));
    if (!err && append && *append)
        err = fdt_setprop_string(fdt, node, "bootargs", append);
    if (!err && initrd)
        err = set_address(fdt, node, "linux,initrd-start", initrd->start);
    if (!err && initrd)
        err = set_address(fdt, node, "linux,initrd-end", initrd->end);
    return err;
}

bool machine_fdt_set_chosen(struct machine *m, const struct loader_image *initrd, GError **error)
{
    size_t room = m->fdt_size + (m->cfg->append ? strlen(m->cfg->append) : 0) + 1024;
    void *fdt = g_malloc0(room);
    int err = fdt_open_into(m->fdt, fdt, (int)room);
    if (!err)
        err = fill_chosen(fdt, m, initrd);
    if (!err)
        err = fdt_pack(fdt);
    if (err) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "device tree: cannot fill /chosen: %s",
                    fdt_strerror(err));
        g_free(fdt);
        return false;
    }
    machine_fdt_set(m, fdt, fdt_totalsize(fdt));
    return true;
}
