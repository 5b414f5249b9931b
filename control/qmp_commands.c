// SPDX-License-Identifier: MIT
// What QMP's commands do. Values have the members that QEMU's have, as far as they mean something here.
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev_open.h"
#include "base/log.h"
#include "control/clone.h"
#include "control/guestmem.h"
#include "control/monitor.h"
#include "control/qmp_impl.h"
#include "cpu/riscv/riscv.h"
#include "machine/board.h"

// The release of QEMU whose commands and options are followed: clients decide by it what they may use.
#define LEVEL_MAJOR 7
#define LEVEL_MINOR 2
#define LEVEL_MICRO 0

static GVariant *fail(GError **error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static GVariant *fail(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, FERRY_ERROR, FERRY_ERROR_OPTION, text);
    return NULL;
}

static GVariant *start_list(GVariantBuilder *b)
{
    g_variant_builder_init(b, G_VARIANT_TYPE("av"));
    return NULL;
}

// --- The server ---

GVariant *qmp_query_version(struct panel *p, GVariant *args, GError **error)
{
    (void)p, (void)args, (void)error;
    return g_variant_new_parsed(
        "{'qemu': <{'micro': <%i>, 'minor': <%i>, 'major': <%i>}>, 'package': <%s>}", LEVEL_MICRO,
        LEVEL_MINOR, LEVEL_MAJOR, "Ferry " FERRY_VERSION);
}

GVariant *qmp_query_commands(struct panel *p, GVariant *args, GError **error)
{
    const struct qmp_command *cmd;
    GVariantBuilder b;

    (void)p, (void)args, (void)error;
    start_list(&b);
    g_variant_builder_add_parsed(&b, "<{'name': <'qmp_capabilities'>}>");
    for (unsigned i = 0; (cmd = qmp_command_at(i)); i++)
        g_variant_builder_add_parsed(&b, "<{'name': <%s>}>", cmd->name);
    return g_variant_builder_end(&b);
}

GVariant *qmp_query_schema(struct panel *p, GVariant *args, GError **error)
{
    (void)p, (void)args, (void)error;
    return qmp_schema();
}

// --- Running ---

GVariant *qmp_query_status(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    return g_variant_new_parsed("{'status': <%s>, 'singlestep': <false>, 'running': <%b>}",
                                vm_state_name(p->vm->state), vm_is_running(p->vm));
}

GVariant *qmp_cont(struct panel *p, GVariant *args, GError **error)
{
    (void)args;
    vm_cont(p->vm, error);
    return NULL;
}

GVariant *qmp_stop(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    vm_stop(p->vm, VM_PAUSED);
    return NULL;
}

GVariant *qmp_system_reset(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    vm_reset(p->vm);
    return NULL;
}

GVariant *qmp_system_powerdown(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    vm_powerdown(p->vm);
    return NULL;
}

GVariant *qmp_quit(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    vm_quit(p->vm, VM_CAUSE_QUIT, 0);
    return NULL;
}

// Panics and watchdogs are accepted, since there are none.
GVariant *qmp_set_action(struct panel *p, GVariant *args, GError **error)
{
    const char *reboot = qmp_arg_str(args, "reboot"), *shutdown = qmp_arg_str(args, "shutdown");

    if (reboot && strcmp(reboot, "reset") != 0 && strcmp(reboot, "shutdown") != 0)
        return fail(error, "Parameter 'reboot' does not accept value '%s'", reboot);
    if (shutdown && strcmp(shutdown, "poweroff") != 0 && strcmp(shutdown, "pause") != 0)
        return fail(error, "Parameter 'shutdown' does not accept value '%s'", shutdown);
    if (reboot)
        p->vm->m->no_reboot = strcmp(reboot, "shutdown") == 0;
    if (shutdown)
        vm_keep_off(p->vm, strcmp(shutdown, "pause") == 0);
    return NULL;
}

// --- Copies ---

// {"serial0": "file:x"} as a table of strings.
static GHashTable *read_specs(GVariant *args, GError **error)
{
    GHashTable *specs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GVariant) dict = g_variant_lookup_value(args, "chardevs", NULL);
    GVariantIter iter;
    const char *id;
    GVariant *value;

    if (!dict)
        return specs;
    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_next(&iter, "{&sv}", &id, &value)) {
        g_autoptr(GVariant) owned = value;
        if (!g_variant_is_of_type(owned, G_VARIANT_TYPE_STRING)) {
            fail(error, "Invalid parameter type for 'chardevs.%s', expected: string", id);
            g_hash_table_unref(specs);
            return NULL;
        }
        g_hash_table_insert(specs, g_strdup(id), g_variant_dup_string(owned, NULL));
    }
    return specs;
}

GVariant *qmp_clone(struct panel *p, GVariant *args, GError **error)
{
    g_autoptr(GHashTable) specs = read_specs(args, error);
    g_autoptr(GVariant) seed = g_variant_lookup_value(args, "seed", NULL);
    struct clone_options opts = {.chardevs = specs,
                                 .stop = qmp_arg_bool(args, "stop", false),
                                 .has_seed = seed != NULL,
                                 .seed = qmp_arg_u64(args, "seed", 0)};
    pid_t pid;

    if (!specs || !clone_make(p, &opts, &pid, error))
        return NULL;
    return g_variant_new_parsed("{'pid': <%i>}", (int)pid);
}

GVariant *qmp_query_clones(struct panel *p, GVariant *args, GError **error)
{
    GVariantBuilder b;
    pid_t pid;

    (void)args, (void)error;
    start_list(&b);
    for (unsigned i = 0; (pid = clone_pid_at(p, i)); i++)
        g_variant_builder_add_parsed(&b, "<{'pid': <%i>}>", (int)pid);
    return g_variant_builder_end(&b);
}

// --- What the machine is ---

GVariant *qmp_query_name(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    if (!p->c->name)
        return NULL;
    return g_variant_new_parsed("{'name': <%s>}", p->c->name);
}

GVariant *qmp_query_uuid(struct panel *p, GVariant *args, GError **error)
{
    (void)p, (void)args, (void)error;
    return g_variant_new_parsed("{'UUID': <'00000000-0000-0000-0000-000000000000'>}");
}

static char *target_name(const struct panel *p)
{
    return g_strdup_printf("riscv%u", p->vm->m->cfg->bits);
}

GVariant *qmp_query_target(struct panel *p, GVariant *args, GError **error)
{
    g_autofree char *name = target_name(p);

    (void)args, (void)error;
    return g_variant_new_parsed("{'arch': <%s>}", name);
}

GVariant *qmp_query_kvm(struct panel *p, GVariant *args, GError **error)
{
    (void)p, (void)args, (void)error;
    return g_variant_new_parsed("{'enabled': <false>, 'present': <false>}");
}

GVariant *qmp_query_machines(struct panel *p, GVariant *args, GError **error)
{
    const struct board *board;
    GVariantBuilder b;

    (void)p, (void)args, (void)error;
    start_list(&b);
    for (unsigned i = 0; (board = board_at(i)); i++)
        g_variant_builder_add_parsed(&b,
                                     "<{'hotpluggable-cpus': <false>, 'name': <%s>, "
                                     "'numa-mem-supported': <false>, 'is-default': <%b>, "
                                     "'cpu-max': <%u>, 'deprecated': <false>}>",
                                     board->name, i == 0, board->max_cpus);
    return g_variant_builder_end(&b);
}

// All CPUs run on this thread.
GVariant *qmp_query_cpus_fast(struct panel *p, GVariant *args, GError **error)
{
    g_autofree char *target = target_name(p);
    GVariantBuilder b;

    (void)args, (void)error;
    start_list(&b);
    for (unsigned i = 0; i < p->vm->m->nr_cpus; i++) {
        g_autofree char *path = g_strdup_printf("/machine/cpus/%u", i);
        g_variant_builder_add_parsed(&b,
                                     "<{'thread-id': <%i>, 'props': <{'core-id': <%u>}>, "
                                     "'qom-path': <%s>, 'cpu-index': <%u>, 'target': <%s>}>",
                                     (int)getpid(), i, path, i, target);
    }
    return g_variant_builder_end(&b);
}

GVariant *qmp_query_memory_size(struct panel *p, GVariant *args, GError **error)
{
    (void)args, (void)error;
    return g_variant_new_parsed("{'base-memory': <%t>, 'plugged-memory': <uint64 0>}",
                                p->vm->m->cfg->ram_size);
}

static uint64_t allocated_size(const char *file)
{
    struct stat st;

    return stat(file, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static GVariant *block_image(const struct block *blk)
{
    return g_variant_new_parsed("{'virtual-size': <%t>, 'filename': <%s>, 'format': <'raw'>, "
                                "'actual-size': <%t>, 'dirty-flag': <false>}",
                                block_size(blk), block_file(blk), allocated_size(block_file(blk)));
}

static GVariant *block_inserted(const struct block *blk)
{
    return g_variant_new_parsed(
        "{'file': <%s>, 'drv': <'raw'>, 'ro': <%b>, 'encrypted': <false>, 'node-name': <%s>, "
        "'backing_file_depth': <0>, 'detect_zeroes': <'off'>, 'image': <%*>, "
        "'cache': <{'no-flush': <false>, 'direct': <false>, 'writeback': <true>}>, "
        "'bps': <0>, 'bps_rd': <0>, 'bps_wr': <0>, 'iops': <0>, 'iops_rd': <0>, 'iops_wr': <0>, "
        "'write_threshold': <0>}",
        block_file(blk), block_readonly(blk), block_id(blk), block_image(blk));
}

GVariant *qmp_query_block(struct panel *p, GVariant *args, GError **error)
{
    GVariantBuilder b;

    (void)args, (void)error;
    start_list(&b);
    for (unsigned i = 0; i < p->vm->s->blocks->len; i++) {
        const struct block *blk = g_ptr_array_index(p->vm->s->blocks, i);
        const char *user = block_user(blk);
        g_variant_builder_add_parsed(&b,
                                     "<{'io-status': <'ok'>, 'device': <%s>, 'locked': <false>, "
                                     "'removable': <false>, 'inserted': <%*>, 'qdev': <%s>, "
                                     "'type': <'unknown'>}>",
                                     block_id(blk), block_inserted(blk), user ? user : "");
    }
    return g_variant_builder_end(&b);
}

GVariant *qmp_query_blockstats(struct panel *p, GVariant *args, GError **error)
{
    GVariantBuilder b;

    (void)args, (void)error;
    start_list(&b);
    for (unsigned i = 0; i < p->vm->s->blocks->len; i++) {
        const struct block *blk = g_ptr_array_index(p->vm->s->blocks, i);
        const struct block_stats *st = block_get_stats(blk);
        g_variant_builder_add_parsed(
            &b,
            "<{'device': <%s>, 'stats': <{'rd_bytes': <%t>, 'wr_bytes': <%t>, "
            "'rd_operations': <%t>, 'wr_operations': <%t>, 'flush_operations': <%t>, "
            "'failed_rd_operations': <%t>}>}>",
            block_id(blk), st->read_bytes, st->written_bytes, st->reads, st->writes, st->flushes,
            st->errors);
    }
    return g_variant_builder_end(&b);
}

// --- Character devices ---

GVariant *qmp_query_chardev(struct panel *p, GVariant *args, GError **error)
{
    GVariantBuilder b;

    (void)args, (void)error;
    start_list(&b);
    for (unsigned i = 0; i < p->vm->s->chardevs->len; i++) {
        const struct chardev *chr = g_ptr_array_index(p->vm->s->chardevs, i);
        g_variant_builder_add_parsed(
            &b, "<{'frontend-open': <%b>, 'filename': <%s>, 'label': <%s>}>",
            chardev_front_count(chr) > 0, chardev_describe(chr), chardev_id(chr));
    }
    return g_variant_builder_end(&b);
}

static struct chardev *find_chardev(struct panel *p, GVariant *args, GError **error)
{
    const char *id = qmp_arg_str(args, "device");
    struct chardev *chr = g_hash_table_lookup(p->vm->s->cfg.chardevs, id);

    if (!chr)
        fail(error, "there is no -chardev with id=%s", id);
    return chr;
}

// TRUE: base64.
static bool ring_format(GVariant *args, bool *base64, GError **error)
{
    const char *format = qmp_arg_str(args, "format");

    *base64 = format && strcmp(format, "base64") == 0;
    if (!format || *base64 || strcmp(format, "utf8") == 0)
        return true;
    fail(error, "Parameter 'format' does not accept value '%s'", format);
    return false;
}

GVariant *qmp_ringbuf_read(struct panel *p, GVariant *args, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    struct chardev *chr = find_chardev(p, args, error);
    bool base64;

    if (!chr || !ring_format(args, &base64, error))
        return NULL;
    if (!chardev_ring_read(chr, qmp_arg_u64(args, "size", 0), bytes))
        return fail(error, "chardev %s is no ringbuf", chardev_id(chr));
    g_autofree char *text =
        base64 ? g_base64_encode(bytes->data, bytes->len)
               : g_utf8_make_valid(bytes->len ? (const char *)bytes->data : "", bytes->len);
    return g_variant_new_string(text);
}

GVariant *qmp_ringbuf_write(struct panel *p, GVariant *args, GError **error)
{
    struct chardev *chr = find_chardev(p, args, error);
    const char *data = qmp_arg_str(args, "data");
    gsize len = strlen(data);
    bool base64;

    if (!chr || !ring_format(args, &base64, error))
        return NULL;
    g_autofree uint8_t *bytes = base64 ? g_base64_decode(data, &len) : (uint8_t *)g_strdup(data);
    if (!chardev_ring_write(chr, bytes, len))
        return fail(error, "chardev %s is no ringbuf", chardev_id(chr));
    return NULL;
}

// --- Looking inside ---

static struct cpu *find_cpu(struct panel *p, GVariant *args, GError **error)
{
    uint64_t index = qmp_arg_u64(args, "cpu-index", p->cpu);

    if (index < p->vm->m->nr_cpus)
        return p->vm->m->cpus[index];
    fail(error, "Parameter 'cpu-index' expects a CPU number");
    return NULL;
}

// CR LF, as terminals want it and QEMU sends it, though no terminal is near.
GVariant *qmp_human_monitor_command(struct panel *p, GVariant *args, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct cpu *cpu = find_cpu(p, args, error);
    unsigned saved = p->cpu;

    if (!cpu)
        return NULL;
    p->cpu = cpu->index;
    monitor_execute(p->vm, qmp_arg_str(args, "command-line"), out);
    if (g_variant_n_children(args) > 1)
        p->cpu = saved;
    g_string_replace(out, "\n", "\r\n", 0);
    g_autofree char *text = g_utf8_make_valid(out->str, (gssize)out->len);
    return g_variant_new_string(text);
}

GVariant *qmp_memsave(struct panel *p, GVariant *args, GError **error)
{
    struct guestmem g = {.m = p->vm->m, .cpu = find_cpu(p, args, error)};

    if (g.cpu)
        guestmem_save(&g, qmp_arg_u64(args, "val", 0), qmp_arg_u64(args, "size", 0),
                      qmp_arg_str(args, "filename"), error);
    return NULL;
}

GVariant *qmp_pmemsave(struct panel *p, GVariant *args, GError **error)
{
    struct guestmem g = {.m = p->vm->m};

    guestmem_save(&g, qmp_arg_u64(args, "val", 0), qmp_arg_u64(args, "size", 0),
                  qmp_arg_str(args, "filename"), error);
    return NULL;
}

GVariant *qmp_dump_guest_memory(struct panel *p, GVariant *args, GError **error)
{
    const char *protocol = qmp_arg_str(args, "protocol"), *format = qmp_arg_str(args, "format");
    uint64_t begin = qmp_arg_u64(args, "begin", 0), length = qmp_arg_u64(args, "length", 0);
    bool ranged = length != 0;

    if (qmp_arg_bool(args, "paging", false))
        return fail(error, "paging=true: only physical addresses can be dumped (paging=false)");
    if (format && strcmp(format, "elf") != 0)
        return fail(error, "format=%s: only elf is supported", format);
    if (!g_str_has_prefix(protocol, "file:"))
        return fail(error, "protocol=%s: expected file:PATH", protocol);
    if ((begin != 0 || ranged) && !ranged)
        return fail(error, "begin needs a length");
    guestmem_dump_core(p->vm->m, protocol + strlen("file:"), begin, length, error);
    return NULL;
}

GVariant *qmp_query_dump_capability(struct panel *p, GVariant *args, GError **error)
{
    (void)p, (void)args, (void)error;
    return g_variant_new_parsed("{'formats': <['elf']>}");
}

GVariant *qmp_screendump(struct panel *p, GVariant *args, GError **error)
{
    (void)p, (void)args;
    return fail(error, "there is no screen: this machine has no display");
}
