// SPDX-License-Identifier: MIT
// The cache of units: a hash table, an index by physical page, links, and an arena for it all.
#include "translator/unit.h"

#include <assert.h>

#include "base/bits.h"
#include "softmmu/mem.h"

#define HASH_BITS_MIN 12
#define CHUNK_SIZE (256 * 1024)

struct page_units {
    paddr_t page;
    struct unit_span *first;
    struct page_units *next;
};

struct units {
    struct units_ops ops;
    struct unit **hash;
    struct page_units **pages; // hash of pages, same size
    unsigned hash_bits;
    unsigned count;
    GArray *links; // of struct unit_link; [0] is unused
    GPtrArray *chunks;
    size_t chunk_used;
};

static void start_links(struct units *us)
{
    g_array_set_size(us->links, 0);
    struct unit_link none = {0};
    g_array_append_val(us->links, none);
}

struct units *units_new(const struct units_ops *ops)
{
    struct units *us = g_new0(struct units, 1);
    us->ops = *ops;
    us->hash_bits = HASH_BITS_MIN;
    us->hash = g_new0(struct unit *, 1u << us->hash_bits);
    us->pages = g_new0(struct page_units *, 1u << us->hash_bits);
    us->links = g_array_new(FALSE, FALSE, sizeof(struct unit_link));
    us->chunks = g_ptr_array_new_with_free_func(g_free);
    us->chunk_used = CHUNK_SIZE;
    start_links(us);
    return us;
}

void units_free(struct units *us)
{
    g_free(us->hash);
    g_free(us->pages);
    g_array_free(us->links, TRUE);
    g_ptr_array_free(us->chunks, TRUE);
    g_free(us);
}

static unsigned page_slot(const struct units *us, paddr_t page)
{
    return (page >> PAGE_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - us->hash_bits);
}

void units_clear(struct units *us)
{
    for (unsigned i = 0; i < 1u << us->hash_bits; i++)
        for (struct page_units *p = us->pages[i]; p; p = p->next)
            if (p->first)
                us->ops.mark_page(us->ops.opaque, p->page, false);
    memset(us->hash, 0, sizeof(us->hash[0]) << us->hash_bits);
    memset(us->pages, 0, sizeof(us->pages[0]) << us->hash_bits);
    g_ptr_array_set_size(us->chunks, 0);
    us->chunk_used = CHUNK_SIZE;
    us->count = 0;
    start_links(us);
}

void *units_alloc(struct units *us, size_t size)
{
    size = align_up(size, 16);
    assert(size <= CHUNK_SIZE);
    if (us->chunk_used + size > CHUNK_SIZE) {
        g_ptr_array_add(us->chunks, g_malloc(CHUNK_SIZE));
        us->chunk_used = 0;
    }
    char *chunk = g_ptr_array_index(us->chunks, us->chunks->len - 1);
    void *p = chunk + us->chunk_used;
    us->chunk_used += size;
    return p;
}

static unsigned slot(const struct units *us, vaddr_t pc, paddr_t page, uint32_t key)
{
    uint64_t h = (pc ^ page << 7 ^ (uint64_t)key << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return h >> (64 - us->hash_bits);
}

struct unit *units_find(struct units *us, vaddr_t pc, paddr_t page, uint32_t key)
{
    for (struct unit *u = us->hash[slot(us, pc, page, key)]; u; u = u->next)
        if (u->pc == pc && u->page == page && u->key == key)
            return u;
    return NULL;
}

struct unit *units_make(struct units *us, unsigned nr_spans)
{
    size_t size = sizeof(struct unit) + nr_spans * sizeof(struct unit_span);
    struct unit *u = units_alloc(us, size);
    assert(nr_spans <= UNIT_MAX_SPANS);
    memset(u, 0, size);
    u->nr_spans = (uint8_t)nr_spans;
    u->span = (struct unit_span *)(u + 1);
    return u;
}

bool unit_covers(const struct unit *u, vaddr_t pc)
{
    for (unsigned i = 0; i < u->nr_spans; i++)
        if (u->span[i].va == (pc & PAGE_MASK))
            return true;
    return false;
}

static struct page_units *find_page(struct units *us, paddr_t page)
{
    for (struct page_units *p = us->pages[page_slot(us, page)]; p; p = p->next)
        if (p->page == page)
            return p;
    return NULL;
}

static void enter_page(struct units *us, struct unit_span *span)
{
    struct page_units *p = find_page(us, span->page);
    if (!p) {
        p = units_alloc(us, sizeof(*p));
        unsigned s = page_slot(us, span->page);
        *p = (struct page_units){.page = span->page, .next = us->pages[s]};
        us->pages[s] = p;
    }
    if (!p->first)
        us->ops.mark_page(us->ops.opaque, span->page, true);
    span->next_on_page = p->first;
    p->first = span;
}

static void grow(struct units *us)
{
    struct unit **old = us->hash;
    struct page_units **old_pages = us->pages;
    unsigned n = 1u << us->hash_bits;
    us->hash_bits += 2;
    us->hash = g_new0(struct unit *, 1u << us->hash_bits);
    us->pages = g_new0(struct page_units *, 1u << us->hash_bits);
    for (unsigned i = 0; i < n; i++) {
        for (struct unit *u = old[i], *next; u; u = next) {
            next = u->next;
            unsigned s = slot(us, u->pc, u->page, u->key);
            u->next = us->hash[s];
            us->hash[s] = u;
        }
        for (struct page_units *p = old_pages[i], *next; p; p = next) {
            next = p->next;
            unsigned s = page_slot(us, p->page);
            p->next = us->pages[s];
            us->pages[s] = p;
        }
    }
    g_free(old);
    g_free(old_pages);
}

void units_enter(struct units *us, struct unit *u)
{
    if (us->count++ >> us->hash_bits)
        grow(us);
    unsigned s = slot(us, u->pc, u->page, u->key);
    u->next = us->hash[s];
    us->hash[s] = u;
    for (unsigned i = 0; i < u->nr_spans; i++) {
        u->span[i].unit = u;
        enter_page(us, &u->span[i]);
    }
}

uint32_t units_new_link(struct units *us, uint32_t site, bool tagged)
{
    struct unit_link l = {.site = site, .tagged = tagged};
    g_array_append_val(us->links, l);
    return us->links->len - 1;
}

struct unit_link *units_link(struct units *us, uint32_t index)
{
    assert(index > 0 && index < us->links->len);
    return &g_array_index(us->links, struct unit_link, index);
}

void units_connect(struct units *us, uint32_t index, struct unit *to)
{
    struct unit_link *l = units_link(us, index);
    assert(!l->to);
    l->to = to;
    l->next_in = to->links_in;
    to->links_in = index;
}

void units_disconnect(struct units *us, uint32_t index)
{
    struct unit_link *l = units_link(us, index);
    uint32_t *in = &l->to->links_in;
    while (*in != index)
        in = &units_link(us, *in)->next_in;
    *in = l->next_in;
    l->to = NULL;
}

void units_unlink_tagged(struct units *us)
{
    for (uint32_t i = 1; i < us->links->len; i++) {
        struct unit_link *l = units_link(us, i);
        if (!l->to || !l->tagged)
            continue;
        us->ops.unlink(us->ops.opaque, l);
        units_disconnect(us, i);
    }
}

void units_each(struct units *us, void (*visit)(void *opaque, struct unit *unit), void *opaque)
{
    for (unsigned i = 0; i < 1u << us->hash_bits; i++)
        for (struct unit *u = us->hash[i]; u; u = u->next)
            visit(opaque, u);
}

static void remove_from_hash(struct units *us, struct unit *u)
{
    struct unit **p = &us->hash[slot(us, u->pc, u->page, u->key)];
    while (*p != u)
        p = &(*p)->next;
    *p = u->next;
    us->count--;
}

static void remove_from_page(struct units *us, struct unit_span *span)
{
    struct page_units *pu = find_page(us, span->page);
    struct unit_span **p = &pu->first;
    while (*p != span)
        p = &(*p)->next_on_page;
    *p = span->next_on_page;
    if (!pu->first)
        us->ops.mark_page(us->ops.opaque, span->page, false);
}

static void drop(struct units *us, struct unit *u)
{
    remove_from_hash(us, u);
    for (unsigned i = 0; i < u->nr_spans; i++)
        remove_from_page(us, &u->span[i]);
    for (uint32_t i = u->links_in; i;) {
        struct unit_link *l = units_link(us, i);
        us->ops.unlink(us->ops.opaque, l);
        l->to = NULL;
        i = l->next_in;
    }
    u->links_in = 0;
    u->dead = true;
    us->ops.dropped(us->ops.opaque, u);
}

void units_drop_one(struct units *us, struct unit *u)
{
    drop(us, u);
}

// The first span of a page's list, from `span` on, that has any of the bytes [lo, hi), or NULL.
static struct unit_span *find_made_from(struct unit_span *span, uint64_t lo, uint64_t hi)
{
    while (span && !(lo < span->hi && hi > span->lo))
        span = span->next_on_page;
    return span;
}

static bool find_or_drop(struct units *us, paddr_t addr, uint64_t len, bool dropping)
{
    bool any = false;
    for (paddr_t page = addr & PAGE_MASK; page < addr + len; page += PAGE_SIZE) {
        struct page_units *p = find_page(us, page);
        uint64_t lo = addr > page ? addr - page : 0;
        uint64_t hi = MIN(addr + len - page, PAGE_SIZE);
        struct unit_span *span = p ? find_made_from(p->first, lo, hi) : NULL;
        any |= span != NULL;
        while (span && dropping) {
            // A unit may have several spans of one page, so the list is begun again.
            drop(us, span->unit);
            span = find_made_from(p->first, lo, hi);
        }
    }
    return any;
}

bool units_drop(struct units *us, paddr_t addr, uint64_t len)
{
    return find_or_drop(us, addr, len, true);
}

bool units_any(struct units *us, paddr_t addr, uint64_t len)
{
    return find_or_drop(us, addr, len, false);
}

static bool has_virtual(const struct unit *u, vaddr_t pc)
{
    uint64_t at = pc & ~PAGE_MASK;
    for (unsigned i = 0; i < u->nr_spans; i++)
        if (u->span[i].va == (pc & PAGE_MASK) && at >= u->span[i].lo && at < u->span[i].hi)
            return true;
    return false;
}

void units_drop_virtual(struct units *us, vaddr_t pc)
{
    for (unsigned i = 0; i < 1u << us->hash_bits; i++) {
        for (struct unit *u = us->hash[i], *next; u; u = next) {
            next = u->next;
            if (has_virtual(u, pc))
                units_drop_one(us, u);
        }
    }
}

unsigned units_count(const struct units *us)
{
    return us->count;
}
