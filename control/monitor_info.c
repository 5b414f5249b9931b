// SPDX-License-Identifier: MIT
// The monitor's `info`: each line in the form that QEMU gives it, as far as it says the same.
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev.h"
#include "backend/net.h"
#include "base/log.h"
#include "control/clone.h"
#include "control/help.h"
#include "control/monitor_impl.h"
#include "cpu/riscv/riscv.h"
#include "machine/board.h"
#include "translator/exec.h"
#include "translator/guest.h"

// --- The machine ---

bool monitor_info_status(struct monitor_call *c)
{
    const char *name = vm_state_name(c->vm->state);

    if (vm_is_running(c->vm) || c->vm->state == VM_PAUSED)
        monitor_say(c, "VM status: %s\n", name);
    else
        monitor_say(c, "VM status: paused (%s)\n", name);
    return true;
}

bool monitor_info_version(struct monitor_call *c)
{
    monitor_say(c, "Ferry " FERRY_VERSION "\n");
    return true;
}

bool monitor_info_name(struct monitor_call *c)
{
    const char *name = c->vm->panel ? c->vm->panel->c->name : NULL;

    if (name)
        monitor_say(c, "%s\n", name);
    return true;
}

bool monitor_info_kvm(struct monitor_call *c)
{
    monitor_say(c, "kvm support: disabled\n");
    return true;
}

bool monitor_info_clones(struct monitor_call *c)
{
    pid_t pid;

    for (unsigned i = 0; c->vm->panel && (pid = clone_pid_at(c->vm->panel, i)); i++)
        monitor_say(c, "process %ld\n", (long)pid);
    return true;
}

// --- CPUs ---

static void print_registers(struct monitor_call *c, struct cpu *cpu)
{
    monitor_say(c, "\nCPU#%u\n", cpu->index);
    cpu->guest->print_registers(cpu, c->out);
}

bool monitor_info_registers(struct monitor_call *c)
{
    const struct machine *m = c->vm->m;
    bool all = c->nr_words && strcmp(c->words[0], "-a") == 0;
    uint64_t index = monitor_cpu(c)->index;

    if (c->nr_words && !all && !monitor_compute(c, c->words[0], &index))
        return false;
    if (index >= m->nr_cpus)
        return monitor_fail(c, "CPU#%" PRIu64 " not available", index);
    for (unsigned i = 0; i < m->nr_cpus; i++) {
        if (all || i == index)
            print_registers(c, m->cpus[i]);
    }
    return true;
}

bool monitor_info_cpus(struct monitor_call *c)
{
    const struct cpu *current = monitor_cpu(c);

    for (unsigned i = 0; i < c->vm->m->nr_cpus; i++) {
        const struct cpu *cpu = c->vm->m->cpus[i];
        monitor_say(c, "%c CPU #%u: pc=0x%0*" PRIx64 "%s thread_id=%ld\n",
                    cpu == current ? '*' : ' ', i, (int)c->vm->m->cfg->bits / 4, cpu->pc,
                    cpu->halted ? " (halted)" : "", (long)getpid());
    }
    return true;
}

bool monitor_info_icount(struct monitor_call *c)
{
    const struct machine *m = c->vm->m;
    uint64_t ns = clock_now(m->clock);

    monitor_say(c, "instructions: %" PRIu64 "\n", machine_icount(m));
    monitor_say(c, "guest time: %" PRIu64 ".%09" PRIu64 " s\n", ns / NS_PER_S, ns % NS_PER_S);
    monitor_say(c, "ns per instruction: %u\n", 1u << m->cfg->icount_shift);
    return true;
}

bool monitor_info_jit(struct monitor_call *c)
{
    const struct exec *e = c->vm->m->exec;
    const struct exec_stats *st = exec_stats(e);

    monitor_say(c, "%-45s %s\n", "executor", exec_host(e)->name);
#define X(name, help) monitor_say(c, "%-45s %" PRIu64 "\n", help, st->name);
    EXEC_STATS(X)
#undef X
    return true;
}

bool monitor_info_snapshots(struct monitor_call *c)
{
    GError *error = NULL;
    g_autofree char *text = help_snapshots(c->vm->s->snapshot_dir, &error);

    if (!text)
        return monitor_failed(c, error);
    monitor_say(c, "%s", text);
    return true;
}

// --- The map and the devices ---

static const char *region_kind(const struct mem_region *r)
{
    static const char *const names[] = {
        [MEM_RAM] = "ram", [MEM_ROM] = "rom", [MEM_ROMD] = "romd", [MEM_IO] = "i/o"};

    return names[r->kind];
}

bool monitor_info_mtree(struct monitor_call *c)
{
    const struct mem_region *r;

    monitor_say(c, "address-space: memory\n");
    monitor_say(c, "  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n");
    for (unsigned i = 0; (r = mem_region_at(c->vm->m->mem, i)); i++)
        monitor_say(c, "    %016" PRIx64 "-%016" PRIx64 " (prio 0, %s): %s\n", r->base,
                    r->base + (r->size - 1), region_kind(r), r->name);
    return true;
}

static const char *back_end_id(const struct device_prop *p, void *what)
{
    if (!what)
        return "";
    switch (p->kind) {
    case PROP_CHARDEV:
        return chardev_id(what);
    case PROP_BLOCK:
        return block_id(what);
    case PROP_NET:
        return netdev_id(what);
    default:
        return "yes";
    }
}

static void print_prop(struct monitor_call *c, const struct device *dev,
                       const struct device_prop *p, int indent)
{
    const void *at = (const char *)dev + p->offset;

    monitor_say(c, "%*s%s = ", indent, "", p->name);
    if (p->kind == PROP_BOOL)
        monitor_say(c, "%s\n", *(const bool *)at ? "true" : "false");
    else if (p->kind == PROP_U32)
        monitor_say(c, "%" PRIu32 " (0x%" PRIx32 ")\n", *(const uint32_t *)at,
                    *(const uint32_t *)at);
    else if (p->kind == PROP_U64)
        monitor_say(c, "%" PRIu64 " (0x%" PRIx64 ")\n", *(const uint64_t *)at,
                    *(const uint64_t *)at);
    else if (p->kind == PROP_STRING)
        monitor_say(c, "\"%s\"\n", *(char *const *)at ? *(char *const *)at : "");
    else
        monitor_say(c, "\"%s\"\n", back_end_id(p, *(void *const *)at));
}

static void print_children(struct monitor_call *c, const struct device *parent, int indent);

static void print_device(struct monitor_call *c, const struct device *dev, int indent)
{
    const struct mem_region *r;

    monitor_say(c, "%*sdev: %s, id \"%s\"\n", indent, "", dev->cls->name, dev->id);
    if (dev->nr_irqs)
        monitor_say(c, "%*sgpio-out \"irq\" %u\n", indent + 2, "", dev->nr_irqs);
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++)
        print_prop(c, dev, p, indent + 2);
    for (unsigned i = 0; (r = mem_region_at(c->vm->m->mem, i)); i++) {
        if (r->kind != MEM_RAM && r->dev == dev)
            monitor_say(c, "%*smmio %016" PRIx64 "/%016" PRIx64 "\n", indent + 2, "", r->base,
                        r->size);
    }
    if (dev->cls->provides) {
        monitor_say(c, "%*sbus: %s\n", indent + 2, "", dev->id);
        monitor_say(c, "%*stype %s\n", indent + 4, "", dev->cls->provides);
        print_children(c, dev, indent + 4);
    }
}

static void print_children(struct monitor_call *c, const struct device *parent, int indent)
{
    const GPtrArray *devices = c->vm->m->devices;

    for (unsigned i = 0; i < devices->len; i++) {
        const struct device *dev = g_ptr_array_index(devices, i);
        if (dev->parent == parent)
            print_device(c, dev, indent);
    }
}

bool monitor_info_qtree(struct monitor_call *c)
{
    monitor_say(c, "bus: main-system-bus\n  type System\n");
    print_children(c, NULL, 2);
    return true;
}

// --- Back ends ---

bool monitor_info_chardev(struct monitor_call *c)
{
    for (unsigned i = 0; i < c->vm->s->chardevs->len; i++) {
        const struct chardev *chr = g_ptr_array_index(c->vm->s->chardevs, i);
        monitor_say(c, "%s: filename=%s\n", chardev_id(chr), chardev_describe(chr));
    }
    return true;
}

bool monitor_info_block(struct monitor_call *c)
{
    for (unsigned i = 0; i < c->vm->s->blocks->len; i++) {
        const struct block *blk = g_ptr_array_index(c->vm->s->blocks, i);
        const char *user = block_user(blk);
        monitor_say(c, "%s%s: %s (raw%s%s)\n", i ? "\n" : "", block_id(blk), block_file(blk),
                    block_readonly(blk) ? ", read-only" : "",
                    block_is_snapshot(blk) ? ", snapshot" : "");
        if (user)
            monitor_say(c, "    Attached to:      %s\n", user);
        monitor_say(c, "    Cache mode:       writeback\n");
    }
    return true;
}

bool monitor_info_blockstats(struct monitor_call *c)
{
    for (unsigned i = 0; i < c->vm->s->blocks->len; i++) {
        const struct block *blk = g_ptr_array_index(c->vm->s->blocks, i);
        const struct block_stats *st = block_get_stats(blk);
        monitor_say(c,
                    "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64 " rd_operations=%" PRIu64
                    " wr_operations=%" PRIu64 " flush_operations=%" PRIu64 " errors=%" PRIu64 "\n",
                    block_id(blk), st->read_bytes, st->written_bytes, st->reads, st->writes,
                    st->flushes, st->errors);
    }
    return true;
}

bool monitor_info_network(struct monitor_call *c)
{
    for (unsigned i = 0; i < c->vm->s->netdevs->len; i++) {
        const struct netdev *net = g_ptr_array_index(c->vm->s->netdevs, i);
        const struct netdev_stats *st = netdev_get_stats(net);
        monitor_say(c,
                    "%s: index=%u,type=user%s\n \\ from the guest: %" PRIu64 " frames, %" PRIu64
                    " bytes, %" PRIu64 " dropped\n \\ to the guest: %" PRIu64 " frames, %" PRIu64
                    " bytes, %" PRIu64 " dropped\n",
                    netdev_id(net), netdev_index(net), netdev_is_attached(net) ? "" : " (no card)",
                    st->tx_frames, st->tx_bytes, st->tx_dropped, st->rx_frames, st->rx_bytes,
                    st->rx_dropped);
    }
    return true;
}

bool monitor_info_usernet(struct monitor_call *c)
{
    for (unsigned i = 0; i < c->vm->s->netdevs->len; i++) {
        struct netdev *net = g_ptr_array_index(c->vm->s->netdevs, i);
        g_autofree char *text = netdev_info(net);
        if (text)
            monitor_say(c, "%s:\n%s", netdev_id(net), text);
    }
    return true;
}
