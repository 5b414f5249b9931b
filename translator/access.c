// SPDX-License-Identifier: MIT
// The slow path of guest accesses: what the inline probe of the TLB did not settle. Page walks, page
// crossings, misaligned and device accesses, stores that need bookkeeping.
//
// Device accesses and stores into translated code are done only in units of one instruction (cpu->single),
// so that what they change (lines, code, time) takes effect behind exactly that instruction. Elsewhere they
// ask for such a unit by cpu->next_mode.
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "translator/exec_impl.h"

// What an entry says of an access: 0 may go on at once, or one of the TLB_* bits.
static uint64_t miss_bits(const struct tlb_entry *e, vaddr_t addr, enum tlb_access access)
{
    return (e->tag[access] ^ addr) & PAGE_MASK;
}

static bool is_valid(const struct tlb_entry *e, vaddr_t addr, enum tlb_access access)
{
    uint64_t bits = miss_bits(e, addr, access);
    if (!e->host)
        return false;
    return bits == 0 || bits == TLB_SLOW || bits == TLB_IO;
}

static bool is_watched(const struct cpu *cpu)
{
    return unlikely(cpu->exec && cpu->exec->debug.nr_watches);
}

// Entries of pages with watched bytes stay slow.
static void slow_if_watched(struct cpu *cpu, struct tlb_entry *e, vaddr_t addr)
{
    vaddr_t page = addr & PAGE_MASK;
    if (is_watched(cpu))
        tlb_slow_entry(e, page, debug_slow_tags(&cpu->exec->debug, page));
}

// An entry whose reads were slow for a debugger that has lost interest.
static void unslow_reads(struct cpu *cpu, struct tlb_entry *e, vaddr_t addr)
{
    if (miss_bits(e, addr, TLB_READ) == TLB_SLOW)
        e->tag[TLB_READ] ^= TLB_SLOW;
    slow_if_watched(cpu, e, addr);
}

const struct tlb_entry *access_translate(struct cpu *cpu, vaddr_t addr, unsigned size,
                                         enum tlb_access access, unsigned regime,
                                         struct tlb_entry *temp)
{
    struct tlb_entry *e = tlb_entry_of(&cpu->tlb, regime, addr);
    if (is_valid(e, addr, access))
        return e;
    struct tlb_fill fill = {0};
    COUNT(cpu, walks);
    if (!cpu->guest->walk(cpu, addr, size, access, regime, &fill)) {
        assert(cpu->fault.pending);
        return NULL;
    }
    assert(fill.prot[access]);
    if (!fill.uncached) {
        e = tlb_enter(&cpu->tlb, regime, addr, &fill, cpu->mem);
        slow_if_watched(cpu, e, addr);
        return e;
    }
    tlb_make(temp, addr, &fill, cpu->mem);
    return temp;
}

bool access_code_page(struct cpu *cpu, vaddr_t addr, struct code_page *code)
{
    struct tlb_entry temp;
    const struct tlb_entry *e = access_translate(cpu, addr, 2, TLB_EXEC, cpu->key_fetch_regime, &temp);
    if (!e)
        return false;
    if (miss_bits(e, addr, TLB_EXEC) & TLB_IO) {
        cpu->guest->fault_bus(cpu, addr, TLB_EXEC);
        return false;
    }
    code->host = (const uint8_t *)e->host;
    struct mem_region *r = mem_find_host(cpu->mem, code->host);
    code->page = r->base + (uint64_t)(code->host - r->host);
    code->varies = e == &temp;
    return true;
}

// Leaves the unit at this instruction, to run it again in another kind of unit.
static bool retry(struct cpu *cpu, enum cpu_mode mode)
{
    cpu->next_mode = mode;
    cpu->fault.pending = true;
    return false;
}

static bool run_alone(struct cpu *cpu)
{
    return cpu->single || retry(cpu, CPU_SINGLE);
}

// rmw: a load that faults as the store that will follow it.
static bool device_access(struct cpu *cpu, vaddr_t addr, paddr_t paddr, unsigned size, bool write,
                          bool rmw, uint64_t *value)
{
    if (!run_alone(cpu))
        return false;
    enum mem_status st = write ? mem_write(cpu->mem, paddr, size, *value)
                               : mem_read(cpu->mem, paddr, size, value);
    if (st == MEM_OK)
        return true;
    log_guest("%s of %u bytes at physical 0x%" PRIx64 ": %s (pc near 0x%" PRIx64 ")\n",
              write ? "write" : "read", size, paddr, st == MEM_UNMAPPED ? "nothing there" : "refused",
              cpu->pc);
    cpu->guest->fault_bus(cpu, addr, write || rmw ? TLB_WRITE : TLB_READ);
    return false;
}

// A store to memory that is not free yet: ROM, a clean page, or one with translated code.
static bool slow_store(struct cpu *cpu, const struct tlb_entry *e, vaddr_t addr, unsigned size,
                       unsigned regime, uint64_t value)
{
    uint8_t *host = (uint8_t *)e->host + (addr & ~PAGE_MASK);
    struct mem_region *r = mem_find_host(cpu->mem, host);
    uint64_t offset = host - r->host;
    if (r->kind != MEM_RAM)
        return device_access(cpu, addr, r->base + offset, size, true, false, &value);
    bool hits_code = r->page_flags[mem_page_index(r, offset)] & PAGE_CODE &&
                     units_any(cpu->exec->units, r->base + offset, size);
    if (hits_code && !run_alone(cpu))
        return false;
    mem_note_write(cpu->mem, r, offset, size);
    store_le(host, size, value);
    struct tlb_entry *entered = tlb_entry_of(&cpu->tlb, regime, addr);
    if (e == entered) {
        tlb_unslow(entered, r);
        slow_if_watched(cpu, entered, addr);
    }
    return true;
}

// An access within one page.
static bool page_access(struct cpu *cpu, vaddr_t addr, unsigned size, unsigned regime, bool write,
                        bool rmw, uint64_t *value)
{
    struct tlb_entry temp;
    enum tlb_access access = write || rmw ? TLB_WRITE : TLB_READ;
    const struct tlb_entry *e = access_translate(cpu, addr, size, access, regime, &temp);
    if (!e)
        return false;
    uint64_t bits = miss_bits(e, addr, access);
    if (bits & TLB_IO)
        return device_access(cpu, addr, e->host + (addr & ~PAGE_MASK), size, write, rmw, value);
    if (write && bits & TLB_SLOW)
        return slow_store(cpu, e, addr, size, regime, *value);
    if (access == TLB_READ && bits & TLB_SLOW && e != &temp)
        unslow_reads(cpu, tlb_entry_of(&cpu->tlb, regime, addr), addr);
    uint8_t *host = (uint8_t *)e->host + (addr & ~PAGE_MASK);
    if (write)
        store_le(host, size, *value);
    else
        *value = load_le(host, size);
    return true;
}

// An access over a page's end: both pages are translated before anything is done.
static bool crossing_access(struct cpu *cpu, vaddr_t addr, unsigned size, unsigned regime, bool write,
                            bool rmw, uint64_t *value)
{
    enum tlb_access access = write || rmw ? TLB_WRITE : TLB_READ;
    unsigned first = PAGE_SIZE - (addr & ~PAGE_MASK);
    vaddr_t addr2 = addr + first;
    if (cpu->addr32)
        addr2 = (uint32_t)addr2;
    struct tlb_entry temp;
    if (!access_translate(cpu, addr, first, access, regime, &temp) ||
        !access_translate(cpu, addr2, size - first, access, regime, &temp))
        return false;
    if (!run_alone(cpu))
        return false;
    uint64_t result = 0;
    for (unsigned i = 0; i < size; i++) {
        vaddr_t a = i < first ? addr + i : addr2 + (i - first);
        uint64_t byte = *value >> 8 * i & 0xff;
        if (!page_access(cpu, a, 1, regime, write, rmw, &byte))
            return false;
        result |= byte << 8 * i;
    }
    if (!write)
        *value = result;
    return true;
}

static uint64_t extend(uint64_t v, unsigned memop)
{
    unsigned size = 1u << (memop & MO_SIZE);
    if (memop & MO_BSWAP)
        v = __builtin_bswap64(v) >> (64 - 8 * size);
    return memop & MO_SIGN ? (uint64_t)bits_sext(v, 8 * size) : v;
}

// An access to watched bytes is a hit once it is done, behind an instruction that runs alone. False: not this way.
static bool watched_access(struct cpu *cpu, vaddr_t addr, unsigned size, bool write)
{
    struct debug_hit hit;
    if (!is_watched(cpu) || !debug_find_watch(&cpu->exec->debug, addr, size, write, &hit))
        return true;
    if (!run_alone(cpu))
        return false;
    struct debug *d = &cpu->exec->debug;
    if (!d->has_hit) {
        d->hit = hit;
        d->hit.cpu = cpu->index;
    }
    d->has_hit = true;
    return true;
}

bool access_slow(struct cpu *cpu, vaddr_t addr, unsigned memop, unsigned regime, bool write, uint64_t *value)
{
    unsigned size = 1u << (memop & MO_SIZE);
    bool misaligned = addr & (size - 1);
    COUNT(cpu, slow_accesses);
    bool rmw = memop & MO_RMW;
    if (!watched_access(cpu, addr, size, write))
        return false;
    uint64_t v = write ? extend(*value, memop & ~MO_SIGN) : 0;
    if (misaligned && (memop & MO_ALIGN || cpu->align_all)) {
        cpu->guest->fault_align(cpu, addr, write || rmw ? TLB_WRITE : TLB_READ);
        return false;
    }
    bool crosses = misaligned && (addr & ~PAGE_MASK) > PAGE_SIZE - size;
    bool ok = crosses ? crossing_access(cpu, addr, size, regime, write, rmw, &v)
                      : page_access(cpu, addr, size, regime, write, rmw, &v);
    if (ok && !write)
        *value = extend(v, memop);
    return ok;
}

uintptr_t access_check(struct cpu *cpu, vaddr_t addr, unsigned span, unsigned chk_flags, unsigned regime)
{
    enum tlb_access access = chk_flags & CHK_WRITE ? TLB_WRITE : TLB_READ;
    struct tlb_entry temp;
    COUNT(cpu, slow_checks);
    bool whole = (addr & ~PAGE_MASK) <= PAGE_SIZE - span && !(chk_flags & CHK_ALIGN && addr & (span - 1));
    const struct tlb_entry *e = whole ? access_translate(cpu, addr, 1, access, regime, &temp) : NULL;
    if (e && e != &temp && access == TLB_WRITE && miss_bits(e, addr, access) == TLB_SLOW) {
        // The first store to a clean page: marking it dirty is all that is needed.
        uint8_t *host = (uint8_t *)e->host;
        struct mem_region *r = mem_find_host(cpu->mem, host);
        uint64_t offset = host - r->host;
        if (r->kind == MEM_RAM && !(r->page_flags[mem_page_index(r, offset)] & PAGE_CODE)) {
            struct tlb_entry *entered = tlb_entry_of(&cpu->tlb, regime, addr);
            mem_note_write(cpu->mem, r, offset, 1);
            tlb_unslow(entered, r);
            slow_if_watched(cpu, entered, addr);
        }
    } else if (e && e != &temp && access == TLB_READ && miss_bits(e, addr, access) == TLB_SLOW) {
        unslow_reads(cpu, tlb_entry_of(&cpu->tlb, regime, addr), addr);
    }
    if (e && e != &temp && miss_bits(e, addr, access) == 0)
        return e->host + (addr & ~PAGE_MASK);
    // The accesses one by one find out what is the matter, in their own order.
    cpu->fault.pending = false;
    cpu->next_mode = CPU_NOSHARE;
    return 0;
}

bool cpu_load(struct cpu *cpu, vaddr_t addr, unsigned size, unsigned memop, uint64_t *value)
{
    assert(size == 1u << (memop & MO_SIZE));
    return access_slow(cpu, addr, memop, cpu->key_regime, false, value);
}

bool cpu_store(struct cpu *cpu, vaddr_t addr, unsigned size, unsigned memop, uint64_t value)
{
    assert(size == 1u << (memop & MO_SIZE));
    return access_slow(cpu, addr, memop, cpu->key_regime, true, &value);
}

bool cpu_zero(struct cpu *cpu, vaddr_t addr, unsigned len)
{
    struct tlb_entry *e = tlb_entry_of(&cpu->tlb, cpu->key_regime, addr);
    if (e->host && !miss_bits(e, addr, TLB_WRITE)) {
        memset((uint8_t *)e->host + (addr & ~PAGE_MASK), 0, len);
        return true;
    }
    for (unsigned i = 0; i < len; i += 8)
        if (!cpu_store(cpu, addr + i, 8, MO_64, 0))
            return false;
    return true;
}

bool cpu_translate(struct cpu *cpu, vaddr_t addr, unsigned size, enum tlb_access access, paddr_t *paddr)
{
    struct tlb_entry temp;
    assert((addr & ~PAGE_MASK) <= PAGE_SIZE - size);
    const struct tlb_entry *e = access_translate(cpu, addr, size, access, cpu->key_regime, &temp);
    if (!e)
        return false;
    *paddr = e->host + (addr & ~PAGE_MASK);
    if (miss_bits(e, addr, access) & TLB_IO)
        return true;
    struct mem_region *r = mem_find_host(cpu->mem, (const uint8_t *)e->host);
    *paddr += r->base - (uintptr_t)r->host;
    return true;
}

// Entries of the jump cache depend on translations; a new epoch voids them all.
// All numbers have been used: begin again, with nothing left that has an old one.
static void restart_epochs(struct exec *e)
{
    e->epoch = 0;
    for (unsigned i = 0; i < e->nr_cpus; i++) {
        struct cpu *cpu = e->cpus[i];
        memset(cpu->jump_cache, 0, sizeof(cpu->jump_cache));
        cpu->jump_epoch = ++e->epoch;
        cpu_leave_soon(cpu);
    }
    trace_forget_tags(e);
}

// Epochs are of one CPU each, so that tags of different CPUs differ.
static void new_epoch(struct cpu *cpu)
{
    const uint32_t last = (JUMP_TAG_NONE >> CPU_KEY_BITS) - 1;
    struct exec *e = cpu->exec;
    if (e && e->epoch == last)
        restart_epochs(e);
    if (e)
        cpu->jump_epoch = ++e->epoch;
    memset(cpu->jump_pages, 0, sizeof(cpu->jump_pages));
    cpu_leave_soon(cpu);
    COUNT(cpu, epochs);
}

static unsigned page_hash(vaddr_t addr)
{
    return (addr >> PAGE_BITS) * UINT64_C(0x9e3779b97f4a7c15) >> 52;
}

_Static_assert(JUMP_PAGES == 1 << (64 - 52), "page_hash gives as many");

void access_enter_jump(struct cpu *cpu, vaddr_t pc, uint32_t code)
{
    unsigned h = page_hash(pc);
    cpu->jump_pages[h / 64] |= BIT(h % 64);
    *access_jump_entry(cpu, pc) = (struct jump_cache_entry){pc, cpu->jump_tag, code};
}

void cpu_flush_tlb(struct cpu *cpu)
{
    tlb_flush(&cpu->tlb);
    new_epoch(cpu);
    COUNT(cpu, flushes);
}

void cpu_flush_tlb_page(struct cpu *cpu, vaddr_t addr)
{
    unsigned h = page_hash(addr);
    tlb_flush_page(&cpu->tlb, addr);
    COUNT(cpu, page_flushes);
    // Most pages that systems flush one by one never held code.
    if (cpu->jump_pages[h / 64] >> (h % 64) & 1)
        new_epoch(cpu);
}
