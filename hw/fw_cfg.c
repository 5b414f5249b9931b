// SPDX-License-Identifier: MIT
// QEMU's firmware configuration device, memory-mapped: read-only items of bytes, chosen by a key. After
// QEMU's "Firmware Configuration (fw_cfg) Device".
//
// Items come from the board and are wiring: equal machines have equal ones. State is the selection.
#include "hw/fw_cfg.h"

#include "base/bits.h"
#include "hw/devtree.h"

enum { DATA = 0, SELECTOR = 8, DMA = 16, SIZE = 24 };

enum { KEY_SIGNATURE = 0x00, KEY_ID = 0x01, KEY_FILE_DIR = 0x19, KEY_FILE_FIRST = 0x20 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
#define KEY_WRITE 0x4000 // asks to write; changes nothing
#define NAME_SIZE 56

enum { CTL_ERROR = 0x01, CTL_READ = 0x02, CTL_SKIP = 0x04, CTL_SELECT = 0x08, CTL_WRITE = 0x10 };

struct fw_cfg_state {
    uint64_t dma; // upper half of the next request's address
    uint32_t offset;
    uint16_t key;
};

struct fw_cfg {
    struct device dev;
    struct fw_cfg_state s;
    GHashTable *items; // key -> GBytes *
    GPtrArray *names;  // of files, in order of their keys
};

// --- Items ---

static GHashTable *items_of(struct fw_cfg *f)
{
    if (!f->items)
        f->items = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
    return f->items;
}

void fw_cfg_add(struct device *dev, uint16_t key, const void *data, size_t len)
{
    struct fw_cfg *f = (struct fw_cfg *)dev;
    g_assert(!(key & KEY_WRITE) && len <= UINT32_MAX);
    g_hash_table_replace(items_of(f), GUINT_TO_POINTER(key), g_bytes_new(data, len));
}

void fw_cfg_add_int(struct device *dev, uint16_t key, unsigned size, uint32_t value)
{
    uint8_t bytes[8];
    g_assert(size == 2 || size == 4);
    store_le(bytes, size, value);
    fw_cfg_add(dev, key, bytes, size);
}

static GBytes *find_item(const struct fw_cfg *f, unsigned key)
{
    return f->items ? g_hash_table_lookup(f->items, GUINT_TO_POINTER(key)) : NULL;
}

static void write_directory(struct fw_cfg *f)
{
    unsigned count = f->names ? f->names->len : 0;
    size_t entry = 8 + NAME_SIZE, len = 4 + count * entry;
    uint8_t *dir = g_malloc0(len);
    store_be(dir, 4, count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *e = dir + 4 + i * entry;
        store_be(e, 4, g_bytes_get_size(find_item(f, KEY_FILE_FIRST + i)));
        store_be(e + 4, 2, KEY_FILE_FIRST + i);
        g_strlcpy((char *)e + 8, f->names->pdata[i], NAME_SIZE);
    }
    fw_cfg_add(&f->dev, KEY_FILE_DIR, dir, len);
    g_free(dir);
}

void fw_cfg_add_file(struct device *dev, const char *name, const void *data, size_t len)
{
    struct fw_cfg *f = (struct fw_cfg *)dev;
    unsigned index;
    g_assert(strlen(name) < NAME_SIZE);
    if (!f->names)
        f->names = g_ptr_array_new_with_free_func(g_free);
    if (!g_ptr_array_find_with_equal_func(f->names, name, g_str_equal, &index)) {
        index = f->names->len;
        g_ptr_array_add(f->names, g_strdup(name));
    }
    fw_cfg_add(dev, (uint16_t)(KEY_FILE_FIRST + index), data, len);
    write_directory(f);
}

// --- The guest's side ---

static void select_item(struct fw_cfg *f, unsigned key)
{
    f->s.key = key & ~KEY_WRITE & 0xffff;
    f->s.offset = 0;
    if (!find_item(f, f->s.key))
        log_guest("fw_cfg: there is no item 0x%x\n", f->s.key);
}

// What is left of the selected item.
static const uint8_t *rest(const struct fw_cfg *f, size_t *len)
{
    const uint8_t *data;
    GBytes *item = find_item(f, f->s.key);
    *len = 0;
    if (!item)
        return NULL;
    data = g_bytes_get_data(item, len);
    size_t offset = MIN(f->s.offset, *len);
    *len -= offset;
    return data ? data + offset : NULL; // an empty item has no data
}

static void advance(struct fw_cfg *f, uint64_t len)
{
    f->s.offset = (uint32_t)MIN(f->s.offset + len, UINT32_MAX);
}

// Copies the next len bytes to the guest, zeros behind the item's end.
static bool dma_read(struct fw_cfg *f, paddr_t to, uint32_t len)
{
    static const uint8_t zeros[4096];
    struct mem *mem = f->dev.env->mem;
    size_t have, done;
    const uint8_t *data = rest(f, &have);
    have = MIN(have, len);
    if (have && mem_write_bytes(mem, to, data, have) != MEM_OK)
        return false;
    for (done = have; done < len; done += MIN(len - done, sizeof(zeros)))
        if (mem_write_bytes(mem, to + done, zeros, MIN(len - done, sizeof(zeros))) != MEM_OK)
            return false;
    advance(f, len);
    return true;
}

// A request: control, length, address in memory, all big-endian; the outcome replaces control.
static void dma_request(struct fw_cfg *f, paddr_t at)
{
    struct mem *mem = f->dev.env->mem;
    uint8_t req[16], result[4];
    bool ok = mem_read_bytes(mem, at, req, sizeof(req)) == MEM_OK;
    uint32_t control = ok ? (uint32_t)load_be(req, 4) : 0;
    uint32_t len = (uint32_t)load_be(req + 4, 4);

    if (control & CTL_SELECT)
        select_item(f, control >> 16);
    if (control & CTL_READ)
        ok = dma_read(f, load_be(req + 8, 8), len);
    else if (control & CTL_WRITE)
        ok = false; // no item can be written
    else if (control & CTL_SKIP)
        advance(f, len);
    store_be(result, 4, ok ? 0 : CTL_ERROR);
    if (mem_write_bytes(mem, at, result, sizeof(result)) != MEM_OK)
        log_guest("fw_cfg: DMA request outside of memory\n");
}

static bool read_data(struct fw_cfg *f, unsigned size, uint64_t *value)
{
    uint8_t bytes[8] = {0};
    size_t have;
    const uint8_t *data = rest(f, &have);
    have = MIN(have, size);
    if (have)
        memcpy(bytes, data, have);
    advance(f, have);
    *value = load_le(bytes, size);
    return true;
}

static bool fw_cfg_read(void *dev, uint64_t offset, unsigned size, uint64_t *value)
{
    if (offset == DATA)
        return read_data(dev, size, value);
    if (offset < DMA)
        return false;
    *value = load_le(&"QEMU CFG"[offset - DMA], size);
    return true;
}

static bool write_dma(struct fw_cfg *f, uint64_t offset, unsigned size, uint64_t value)
{
    value = __builtin_bswap64(value) >> (64 - 8 * size);
    if (size == 4 && offset == DMA) {
        f->s.dma = value << 32;
        return true;
    }
    if (size != 8 && !(size == 4 && offset == DMA + 4))
        return false;
    paddr_t at = size == 8 ? value : f->s.dma | value;
    f->s.dma = 0;
    dma_request(f, at);
    return true;
}

static bool fw_cfg_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct fw_cfg *f = dev;
    if (offset >= DMA)
        return write_dma(f, offset, size, value);
    if (offset == SELECTOR && size == 2) {
        select_item(f, __builtin_bswap16((uint16_t)value));
        return true;
    }
    return offset == DATA; // items are read-only
}

static const struct mem_ops fw_cfg_ops = {
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .min_size = 1,
    .max_size = 8,
};

// --- Device ---

static bool fw_cfg_init(struct device *dev, GError **error)
{
    fw_cfg_add(dev, KEY_SIGNATURE, "QEMU", 4);
    fw_cfg_add_int(dev, KEY_ID, 4, ID_TRADITIONAL | ID_DMA);
    write_directory((struct fw_cfg *)dev);
    return mem_add_io(dev->env->mem, dev->id, dev->base, SIZE, &fw_cfg_ops, dev, error);
}

static void fw_cfg_reset(struct device *dev)
{
    struct fw_cfg *f = (struct fw_cfg *)dev;
    memset(&f->s, 0, sizeof(f->s));
}

static void fw_cfg_free(struct device *dev)
{
    struct fw_cfg *f = (struct fw_cfg *)dev;
    if (f->items)
        g_hash_table_destroy(f->items);
    if (f->names)
        g_ptr_array_free(f->names, TRUE);
}

static void fw_cfg_fdt(struct device *dev, struct devtree *dt)
{
    devtree_begin_at(dt, "fw-cfg", dev->base);
    devtree_flag(dt, "dma-coherent");
    devtree_reg(dt, dev->base, SIZE);
    devtree_str(dt, "compatible", "qemu,fw-cfg-mmio");
    devtree_end(dt);
}

static const struct state_field fw_cfg_state[] = {
    STATE_VAR(struct fw_cfg, s.dma),
    STATE_VAR(struct fw_cfg, s.offset),
    STATE_VAR(struct fw_cfg, s.key),
    STATE_END,
};

const struct device_class fw_cfg_class = {
    .name = "fw-cfg",
    .desc = "firmware configuration",
    .size = sizeof(struct fw_cfg),
    .state = fw_cfg_state,
    .state_offset = offsetof(struct fw_cfg, s),
    .state_size = sizeof(struct fw_cfg_state),
    .init = fw_cfg_init,
    .reset = fw_cfg_reset,
    .free = fw_cfg_free,
    .fdt = fw_cfg_fdt,
};
