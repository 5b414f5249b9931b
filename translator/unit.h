// SPDX-License-Identifier: MIT
// Units of translated code and the cache that finds them.
//
// A unit is found by the virtual pc, the physical page and the key. Units are made, linked, and when stores
// hit the code they were made from, dropped. What they occupy is given back when the whole cache is cleared,
// never before: so a unit that is being run may drop itself.
#ifndef TRANSLATOR_UNIT_H
#define TRANSLATOR_UNIT_H

#include <glib.h>

#include "base/types.h"
#include "translator/cpu.h"

// Keys of units: the guest's key, and how the unit was made.
#define UNIT_KEY(key, mode) ((uint32_t)(key) | (uint32_t)(mode) << CPU_KEY_BITS)

// What a unit was made from of one page.
struct unit_span {
    struct unit *unit;
    vaddr_t va;       // of the page
    paddr_t page;     // physical
    uint16_t lo, hi;  // bytes of the page: [lo, hi)
    struct unit_span *next_on_page;
};

#define UNIT_MAX_SPANS 16

struct unit {
    vaddr_t pc;
    paddr_t page;      // physical, of the first byte
    uint32_t key;      // UNIT_KEY
    uint32_t code;     // host back end: where to enter (offset in its buffer)
    void *host_data;   // host back end's own, from units_alloc
    uint16_t insns;    // guest instructions it retires when run to its end
    bool crosses;      // its one instruction goes on in another page, the second span
    bool trace;        // goes along a path that was recorded
    bool dead;
    uint8_t nr_spans;  // the first is of the page of pc
    bool loops;        // a trace that ends at its own head
    uint32_t tag_site; // host back end's own: where the tag is
    uint32_t valid_tag; // traces of several pages: the jump_tag under which these were found to be mapped
    struct unit_span *span;
    struct unit *next; // in the hash chain
    uint32_t links_in; // exits that jump here directly; index of the first, 0: none
};

// An exit that can be made to jump directly to another unit.
struct unit_link {
    uint32_t site;     // host back end's own: what to patch
    bool tagged;       // to another page: good only while cpu->jump_tag is what it was when linked
    struct unit *to;   // NULL: not linked
    uint32_t next_in;  // next of to->links_in
};

struct units;

// `forget(opaque, unit)` is called for each unit dropped, `unlink` for each link to it.
struct units_ops {
    void (*unlink)(void *opaque, struct unit_link *link);
    void (*dropped)(void *opaque, struct unit *unit);
    // Marks a physical page as holding code, or not any more.
    void (*mark_page)(void *opaque, paddr_t page, bool code);
    void *opaque;
};

struct units *units_new(const struct units_ops *ops);
void units_free(struct units *us);
// Forgets all units and gives their memory back.
void units_clear(struct units *us);

struct unit *units_find(struct units *us, vaddr_t pc, paddr_t page, uint32_t key);
// A new unit with so many spans, zeroed, not yet entered.
struct unit *units_make(struct units *us, unsigned nr_spans);
void units_enter(struct units *us, struct unit *unit);
// Drops one unit that was entered.
void units_drop_one(struct units *us, struct unit *unit);
// Whether the unit was made from some of the virtual page of pc.
bool unit_covers(const struct unit *unit, vaddr_t pc);
// Memory that lives until units_clear.
void *units_alloc(struct units *us, size_t size);
// A new link for an exit; its index, never 0.
uint32_t units_new_link(struct units *us, uint32_t site, bool tagged);
struct unit_link *units_link(struct units *us, uint32_t index);
// Notes that link `index` now jumps to `to`.
void units_connect(struct units *us, uint32_t index, struct unit *to);
// Notes that it does not any more.
void units_disconnect(struct units *us, uint32_t index);
// Drops the units made from any of these bytes. True if there were any.
bool units_drop(struct units *us, paddr_t addr, uint64_t len);
// Drops the units that have the instruction at this virtual pc, on whatever physical page. Looks at all units.
void units_drop_virtual(struct units *us, vaddr_t pc);
// Whether units_drop would drop any.
bool units_any(struct units *us, paddr_t addr, uint64_t len);
// Unlinks all tagged links.
void units_unlink_tagged(struct units *us);
void units_each(struct units *us, void (*visit)(void *opaque, struct unit *unit), void *opaque);
unsigned units_count(const struct units *us);

#endif
