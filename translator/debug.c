// SPDX-License-Identifier: MIT
// Breakpoints and watchpoints. See debug.h.
#include "translator/debug.h"

#include "translator/exec_impl.h"

static int compare_pcs(const void *a, const void *b)
{
    vaddr_t x = *(const vaddr_t *)a, y = *(const vaddr_t *)b;
    return (x > y) - (x < y);
}

bool debug_is_break(const struct debug *d, vaddr_t pc)
{
    unsigned lo = 0, hi = d->nr_breaks;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (d->breaks[mid] < pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->nr_breaks && d->breaks[lo] == pc;
}

bool debug_stops(struct debug *d, unsigned cpu, vaddr_t pc)
{
    if (!debug_is_break(d, pc))
        return false;
    d->has_hit = true;
    d->hit = (struct debug_hit){.kind = DEBUG_BREAK, .cpu = cpu, .addr = pc};
    return true;
}

// Units that run past a new breakpoint go; those cut short by one that is no more just stay short.
void exec_set_breaks(struct exec *e, const vaddr_t *pcs, unsigned n)
{
    struct debug old = e->debug;
    e->debug.breaks = g_new(vaddr_t, n);
    e->debug.nr_breaks = n;
    if (n) {
        memcpy(e->debug.breaks, pcs, n * sizeof(pcs[0]));
        qsort(e->debug.breaks, n, sizeof(pcs[0]), compare_pcs);
    }
    e->trace.cpu = NULL; // a path may lead through one
    for (unsigned i = 0; i < n; i++)
        if (!debug_is_break(&old, pcs[i]))
            units_drop_virtual(e->units, pcs[i]);
    g_free(old.breaks);
}

// What reads before it writes asks for the tag of writes alone.
static unsigned slow_tags(const struct debug_watch *w)
{
    return w->access | (w->access & BIT(TLB_READ) ? BIT(TLB_WRITE) : 0);
}

// Entries that are in the TLBs now; those to come are made slow by access.c.
static void slow_pages(struct exec *e, const struct debug_watch *w)
{
    vaddr_t page = w->first & PAGE_MASK;
    do {
        for (unsigned i = 0; i < e->nr_cpus; i++)
            tlb_slow_page(&e->cpus[i]->tlb, page, slow_tags(w));
        page += PAGE_SIZE;
    } while (page && page <= w->last);
}

void exec_set_watches(struct exec *e, const struct debug_watch *watches, unsigned n)
{
    g_free(e->debug.watches);
    e->debug.watches = g_new(struct debug_watch, n);
    e->debug.nr_watches = n;
    for (unsigned i = 0; i < n; i++) {
        e->debug.watches[i] = watches[i];
        slow_pages(e, &watches[i]);
    }
}

unsigned debug_slow_tags(const struct debug *d, vaddr_t page)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < d->nr_watches; i++) {
        const struct debug_watch *w = &d->watches[i];
        if (w->first <= (page | ~PAGE_MASK) && w->last >= page)
            tags |= slow_tags(w);
    }
    return tags;
}

bool debug_find_watch(const struct debug *d, vaddr_t addr, unsigned size, bool write,
                      struct debug_hit *hit)
{
    for (unsigned i = 0; i < d->nr_watches; i++) {
        const struct debug_watch *w = &d->watches[i];
        bool meets = w->first <= addr + (size - 1) && w->last >= addr;
        if (meets && w->access & BIT(write ? TLB_WRITE : TLB_READ)) {
            *hit = (struct debug_hit){
                .kind = DEBUG_WATCH, .watch = i, .addr = MAX(addr, w->first), .write = write};
            return true;
        }
    }
    return false;
}

void exec_pass_break(struct exec *e, const struct cpu *cpu)
{
    e->debug.pass = cpu;
}

bool exec_take_hit(struct exec *e, struct debug_hit *hit)
{
    bool has = e->debug.has_hit;
    e->debug.has_hit = false;
    if (has)
        *hit = e->debug.hit;
    return has;
}

// ---- Memory ----

// The part of [addr, addr + len) that lies in the page of addr, and where that is. 0: nowhere.
static size_t debug_page(struct cpu *cpu, vaddr_t *addr, size_t len, paddr_t *paddr)
{
    if (cpu->addr32)
        *addr = (uint32_t)*addr;
    if (!cpu->guest->debug_translate(cpu, *addr, paddr))
        return 0;
    return MIN(len, PAGE_SIZE - (*addr & ~PAGE_MASK));
}

size_t cpu_debug_read(struct cpu *cpu, vaddr_t addr, void *buf, size_t len)
{
    paddr_t paddr;
    size_t done = 0;
    for (size_t n, got; done < len; done += n, addr += n) {
        n = debug_page(cpu, &addr, len - done, &paddr);
        got = n ? mem_peek(cpu->mem, paddr, (uint8_t *)buf + done, n) : 0;
        if (!n || got < n)
            return done + got;
    }
    return done;
}

size_t cpu_debug_write(struct cpu *cpu, vaddr_t addr, const void *buf, size_t len)
{
    paddr_t paddr;
    size_t done = 0;
    for (size_t n, got; done < len; done += n, addr += n) {
        n = debug_page(cpu, &addr, len - done, &paddr);
        got = n ? mem_poke(cpu->mem, paddr, (const uint8_t *)buf + done, n) : 0;
        if (!n || got < n)
            return done + got;
    }
    return done;
}

void debug_free(struct debug *d)
{
    g_free(d->breaks);
    g_free(d->watches);
}
