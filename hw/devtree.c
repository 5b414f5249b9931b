// SPDX-License-Identifier: MIT
// Writer of flattened device trees, on libfdt's sequential-write functions, with room made on demand.
#include "hw/devtree.h"

#include <inttypes.h>
#include <libfdt.h>

#include "hw/device.h"

struct devtree {
    void *blob;
    unsigned capacity;
    unsigned depth;   // open nodes
    GHashTable *refs; // thing -> phandle + declared flag
    unsigned nr_refs, nr_declared;
};

#define REF_DECLARED (1u << 31)

// A step that has room for sure.
static void must(int result)
{
    g_assert(result == 0);
}

// One step of writing: repeated with more room for as long as there is too little.
static bool again(struct devtree *dt, int result)
{
    if (result != -FDT_ERR_NOSPACE) {
        must(result);
        return false;
    }
    dt->capacity *= 2;
    void *larger = g_malloc0(dt->capacity);
    must(fdt_resize(dt->blob, larger, (int)dt->capacity));
    g_free(dt->blob);
    dt->blob = larger;
    return true;
}

struct devtree *devtree_new(void)
{
    struct devtree *dt = g_new0(struct devtree, 1);
    dt->capacity = 8192;
    dt->blob = g_malloc0(dt->capacity);
    dt->refs = g_hash_table_new(NULL, NULL);
    must(fdt_create(dt->blob, (int)dt->capacity));
    must(fdt_finish_reservemap(dt->blob));
    devtree_begin(dt, "");
    return dt;
}

void *devtree_finish(struct devtree *dt, size_t *size)
{
    devtree_end(dt);
    g_assert(dt->depth == 0 && dt->nr_declared == dt->nr_refs);
    while (again(dt, fdt_finish(dt->blob)))
        ;
    void *blob = dt->blob;
    *size = fdt_totalsize(blob);
    g_hash_table_destroy(dt->refs);
    g_free(dt);
    return g_realloc(blob, *size);
}

void devtree_begin(struct devtree *dt, const char *name)
{
    while (again(dt, fdt_begin_node(dt->blob, name)))
        ;
    dt->depth++;
}

void devtree_begin_at(struct devtree *dt, const char *name, paddr_t addr)
{
    char *full = g_strdup_printf("%s@%" PRIx64, name, addr);
    devtree_begin(dt, full);
    g_free(full);
}

void devtree_end(struct devtree *dt)
{
    g_assert(dt->depth > 0);
    while (again(dt, fdt_end_node(dt->blob)))
        ;
    dt->depth--;
}

void devtree_bytes(struct devtree *dt, const char *name, const void *data, size_t len)
{
    g_assert(len <= INT_MAX / 4);
    while (again(dt, fdt_property(dt->blob, name, data, (int)len)))
        ;
}

void devtree_flag(struct devtree *dt, const char *name)
{
    devtree_bytes(dt, name, NULL, 0);
}

void devtree_str(struct devtree *dt, const char *name, const char *value)
{
    devtree_bytes(dt, name, value, strlen(value) + 1);
}

void devtree_strs(struct devtree *dt, const char *name, const char *const *values)
{
    GString *list = g_string_new(NULL);
    for (; *values; values++)
        g_string_append_len(list, *values, (gssize)strlen(*values) + 1);
    devtree_bytes(dt, name, list->str, list->len);
    g_string_free(list, TRUE);
}

void devtree_cells(struct devtree *dt, const char *name, const uint32_t *cells, unsigned count)
{
    uint32_t *be = g_new(uint32_t, count);
    for (unsigned i = 0; i < count; i++)
        be[i] = GUINT32_TO_BE(cells[i]);
    devtree_bytes(dt, name, be, count * sizeof(*be));
    g_free(be);
}

void devtree_u32(struct devtree *dt, const char *name, uint32_t value)
{
    devtree_cells(dt, name, &value, 1);
}

void devtree_reg(struct devtree *dt, paddr_t base, uint64_t size)
{
    uint32_t cells[] = {(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                        (uint32_t)size};
    devtree_cells(dt, "reg", cells, ARRAY_LEN(cells));
}

// --- References ---

uint32_t devtree_ref(struct devtree *dt, const void *thing)
{
    unsigned ref = GPOINTER_TO_UINT(g_hash_table_lookup(dt->refs, thing));
    if (!ref) {
        ref = ++dt->nr_refs;
        g_hash_table_insert(dt->refs, (void *)thing, GUINT_TO_POINTER(ref));
    }
    return ref & ~REF_DECLARED;
}

void devtree_declare(struct devtree *dt, const void *thing)
{
    uint32_t phandle = devtree_ref(dt, thing);
    g_hash_table_insert(dt->refs, (void *)thing, GUINT_TO_POINTER(phandle | REF_DECLARED));
    dt->nr_declared++;
    devtree_u32(dt, "phandle", phandle);
}

void devtree_irqs(struct devtree *dt, const struct device *dev)
{
    GArray *cells = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    const void *parent = NULL;
    for (unsigned i = 0; i < dev->nr_irqs; i++) {
        if (!dev->irqs[i].handler)
            continue;
        g_assert(!parent || parent == dev->irqs[i].opaque);
        parent = dev->irqs[i].opaque;
        uint32_t input = dev->irqs[i].n;
        g_array_append_val(cells, input);
    }
    if (parent) {
        devtree_cells(dt, "interrupts", (uint32_t *)(void *)cells->data, cells->len);
        devtree_u32(dt, "interrupt-parent", devtree_ref(dt, parent));
    }
    g_array_free(cells, TRUE);
}

void devtree_irqs_extended_every(struct devtree *dt, const struct device *dev, unsigned first,
                                 unsigned step)
{
    GArray *cells = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (unsigned i = first; i < dev->nr_irqs; i += step) {
        uint32_t pair[2] = {devtree_ref(dt, dev->irqs[i].opaque), dev->irqs[i].n};
        g_array_append_vals(cells, pair, 2);
    }
    devtree_cells(dt, "interrupts-extended", (uint32_t *)(void *)cells->data, cells->len);
    g_array_free(cells, TRUE);
}

void devtree_irqs_extended(struct devtree *dt, const struct device *dev)
{
    devtree_irqs_extended_every(dt, dev, 0, 1);
}
