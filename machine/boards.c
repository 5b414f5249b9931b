// SPDX-License-Identifier: MIT
// What all boards share: the table of boards, their properties, buses for the user's devices.
#include "backend/options.h"
#include "machine/board.h"

#define BOARD(x) extern const struct board x##_board;
#include "machine/boards.def"
#undef BOARD

static const struct board *const boards[] = {
#define BOARD(x) &x##_board,
#include "machine/boards.def"
#undef BOARD
};

const struct board *board_at(unsigned index)
{
    return index < ARRAY_LEN(boards) ? boards[index] : NULL;
}

const struct board *board_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(boards); i++)
        if (!strcmp(boards[i]->name, name))
            return boards[i];
    return NULL;
}

// --- Properties ---

static const struct device_prop *find_prop(const struct board *board, const char *name)
{
    for (const struct device_prop *p = board->props; p && p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

bool board_check_props(const struct machine_config *cfg, GError **error)
{
    GHashTableIter iter;
    const char *name, *value;
    bool flag;
    if (!cfg->board_props)
        return true;
    g_hash_table_iter_init(&iter, cfg->board_props);
    while (g_hash_table_iter_next(&iter, (void **)&name, (void **)&value)) {
        const struct device_prop *p = find_prop(cfg->board, name);
        if (!p) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                        "-machine %s has no property '%s' (-machine %s,help lists them)",
                        cfg->board->name, name, cfg->board->name);
            return false;
        }
        g_assert(p->kind == PROP_BOOL);
        if (!parse_bool(value, &flag)) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                        "-machine %s,%s=%s: expected on or off", cfg->board->name, name, value);
            return false;
        }
    }
    return true;
}

bool board_prop_bool(const struct machine_config *cfg, const char *name)
{
    const struct device_prop *p = find_prop(cfg->board, name);
    const char *value = cfg->board_props ? g_hash_table_lookup(cfg->board_props, name) : NULL;
    bool flag;
    g_assert(p && p->kind == PROP_BOOL);
    return value && parse_bool(value, &flag) ? flag : p->def != 0;
}

// --- Buses ---

// Whether dev is called `bus`, or its first bus is.
static bool is_named(const struct device *dev, const char *bus)
{
    size_t len = strlen(dev->id);
    return !strncmp(dev->id, bus, len) && (!bus[len] || !strcmp(bus + len, ".0"));
}

struct device *board_find_bus(struct machine *m, const struct device *dev, const char *bus,
                              GError **error)
{
    const char *kind = dev->cls->bus;
    bool seen = false;
    if (!kind) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "-device %s: only a board can have it built in", dev->cls->name);
        return NULL;
    }
    for (unsigned i = 0; i < m->devices->len; i++) {
        struct device *parent = g_ptr_array_index(m->devices, i);
        if (g_strcmp0(parent->cls->provides, kind) || (bus && !is_named(parent, bus)))
            continue;
        seen = true;
        if (!parent->cls->has_room || parent->cls->has_room(parent))
            return parent;
    }
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "-device %s: %s %s%s%s", dev->cls->name,
                seen ? "no room left on" : "the machine has no", kind, bus ? " named " : "",
                bus ? bus : "");
    return NULL;
}
