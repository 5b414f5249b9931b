// SPDX-License-Identifier: MIT
// The choices that follow from the program's name, the CPU's model, and what an executable says about itself.
#include "control/choose.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "cpu/riscv/riscv.h"
#include "machine/board.h"
#include "machine/loader.h"

// --- The file ---

static bool probe(const char *path, struct loader_image *info, GError **error)
{
    return loader_probe(path, info, error) && loader_check_machine(path, info, EM_RISCV, error);
}

bool choose_file(struct cmdline *c, GError **error)
{
    struct loader_image info;

    if (!c->file)
        return true;
    if (!probe(c->file, &info, error))
        return false;
    if (info.format == LOADER_RAW) {
        struct cmdline_item disk = {.option = "hda", .text = g_strdup(c->file)};
        g_array_append_val(c->drives, disk);
        return true;
    }
    if (c->kernel) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s: there is a -kernel already (%s)",
                    c->file, c->kernel);
        return false;
    }
    c->kernel = g_strdup(c->file);
    if (info.format == LOADER_ELF && !c->bios)
        c->bios = g_strdup("none");
    return true;
}

// --- The board ---

// Where boards have the memory that programs are linked for.
static const struct {
    paddr_t first, last;
    const char *board;
} places[] = {
    {0x20400000, 0x3fffffff, "sifive_e"}, // its flash
    {0x80000000, UINT64_MAX, "virt"},     // RAM
};

// The board that an executable is made for; NULL with an error if it cannot be told.
static const char *board_for(const char *path, const struct loader_image *info, GError **error)
{
    if (info->format != LOADER_ELF)
        return "virt";
    if (info->has_tohost)
        return "spike";
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (info->start >= places[i].first && info->start <= places[i].last)
            return places[i].board;
    }
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "%s: loads at 0x%" PRIx64 ", which tells no board; choose one with -M", path,
                info->start);
    return NULL;
}

static const char *board_name(const struct cmdline *c, GError **error)
{
    struct loader_image info;

    if (c->machine)
        return c->machine;
    if (!c->kernel)
        return "virt";
    return probe(c->kernel, &info, error) ? board_for(c->kernel, &info, error) : NULL;
}

static const struct board *choose_board(const struct cmdline *c, GError **error)
{
    const char *name = board_name(c, error);
    const struct board *board = name ? board_find(name) : NULL;

    if (name && !board)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "-M %s: there is no such board (-M help lists them)", name);
    return board;
}

// --- The width ---

// Whether a line of the list of models of a width starts with this name.
static bool has_model(unsigned bits, const char *name)
{
    char *list = NULL;
    size_t size, len = strcspn(name, ",");
    FILE *out = open_memstream(&list, &size);
    bool found = false;

    if (!out)
        return false;
    riscv_cpu_print_help(bits, out);
    fclose(out);
    g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
    for (char **line = lines; *line && !found; line++) {
        const char *word = *line + strspn(*line, " ");
        found = strcspn(word, " ") == len && g_ascii_strncasecmp(word, name, len) == 0;
    }
    free(list);
    return found;
}

static unsigned model_bits(const char *model)
{
    bool is32 = model && has_model(32, model), is64 = model && has_model(64, model);

    return is32 == is64 ? 0 : is32 ? 32 : 64;
}

static bool board_has(const struct board *board, unsigned bits)
{
    g_autofree char *arch = g_strdup_printf("riscv%u", bits);

    return g_strv_contains(board->arches, arch);
}

static bool choose_bits(struct machine_config *cfg, const struct cmdline *c, GError **error)
{
    const char *const files[] = {c->kernel, c->bios};

    cfg->bits = c->bits;
    if (!cfg->bits)
        cfg->bits = model_bits(c->cpu);
    for (size_t i = 0; i < ARRAY_LEN(files) && !cfg->bits; i++)
        cfg->bits = files[i] ? loader_elf_bits(files[i]) : 0;
    if (!cfg->bits)
        cfg->bits = g_str_has_suffix(cfg->board->arches[0], "32") ? 32 : 64;
    if (board_has(cfg->board, cfg->bits))
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "-M %s: this board has no %u-bit CPUs",
                cfg->board->name, cfg->bits);
    return false;
}

// What is for a kernel needs one to get it.
static bool check_kernel_options(const struct cmdline *c, GError **error)
{
    const char *name = c->initrd ? "initrd" : c->append && *c->append ? "append" : NULL;

    if (c->kernel || !name)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                "-%s %s: there is no kernel to give it to; name one with -kernel", name,
                c->initrd ? c->initrd : c->append);
    return false;
}

bool choose_machine(struct machine_config *cfg, const struct cmdline *c, GError **error)
{
    cfg->board = choose_board(c, error);
    if (!cfg->board || !choose_bits(cfg, c, error) || !check_kernel_options(c, error))
        return false;
    cfg->kernel = g_strdup(c->kernel);
    cfg->bios = g_strdup(c->bios);
    cfg->ram_size = c->ram_size ? c->ram_size : cfg->board->default_ram;
    cfg->smp = c->smp ? c->smp : 1;
    unsigned most = MIN(cfg->board->max_cpus, MACHINE_MAX_CPUS);
    if (cfg->smp <= most)
        return true;
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "-smp %u: the board %s has %u CPUs at most",
                cfg->smp, cfg->board->name, most);
    return false;
}
