// SPDX-License-Identifier: MIT
// Everything that is derived from state tables: one walk over a table, and a small visitor for each
// use.
#include "base/state.h"

#include <inttypes.h>

#include "base/bits.h"
#include "base/log.h"

// Where the walk is inside nested structs; lives on the stack of the walk.
struct path {
    const struct path *up; // NULL: the outermost struct
    const struct state_field *field;
    uint32_t index;
};

// Called for each field that is not a struct, with its place in the outermost struct. FALSE ends
// the walk.
typedef bool visitor(const struct state_field *f, size_t offset, const struct path *up,
                     void *opaque);

static bool walk(const struct state_field *fields, size_t base, const struct path *up,
                 visitor *visit, void *opaque)
{
    for (const struct state_field *f = fields; f->name; f++) {
        if (f->kind != STATE_STRUCT) {
            if (!visit(f, base + f->offset, up, opaque))
                return false;
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++) {
            struct path here = {up, f, i};
            size_t offset = base + f->offset + (size_t)i * f->size;
            if (!walk(f->sub, offset, &here, visit, opaque))
                return false;
        }
    }
    return true;
}

static size_t field_len(const struct state_field *f)
{
    return (size_t)f->size * f->count;
}

static void append_path(GString *out, const struct path *p)
{
    if (!p)
        return;
    append_path(out, p->up);
    g_string_append(out, p->field->name);
    if (p->field->count > 1)
        g_string_append_printf(out, "[%u]", p->index);
    g_string_append_c(out, '.');
}

static char *field_name(const struct state_field *f, const struct path *up)
{
    GString *name = g_string_new(NULL);
    append_path(name, up);
    g_string_append(name, f->name);
    return g_string_free(name, FALSE);
}

// --- Save and load ---

struct save {
    const uint8_t *obj;
    GByteArray *out;
};

static bool visit_save(const struct state_field *f, size_t offset, const struct path *up,
                       void *opaque)
{
    struct save *s = opaque;
    (void)up;
    g_byte_array_append(s->out, s->obj + offset, (guint)field_len(f));
    return true;
}

void state_save(const struct state_field *fields, const void *obj, GByteArray *out)
{
    struct save s = {obj, out};
    walk(fields, 0, NULL, visit_save, &s);
}

struct load {
    uint8_t *obj;
    const char *what;
    const uint8_t *data;
    size_t len;
    GError **error;
};

static bool load_fails(struct load *l, const struct state_field *f, const struct path *up,
                       const char *why)
{
    g_autofree char *name = field_name(f, up);
    g_set_error(l->error, FERRY_ERROR, FERRY_ERROR_FORMAT, "saved state of %s: %s %s", l->what,
                name, why);
    return false;
}

// The first pass: nothing is stored before all of it is known to be good.
static bool visit_check(const struct state_field *f, size_t offset, const struct path *up,
                        void *opaque)
{
    struct load *l = opaque;
    size_t n = field_len(f);
    (void)offset;
    if (l->len < n)
        return load_fails(l, f, up, "is cut off");
    for (size_t i = 0; f->kind == STATE_BOOL && i < n; i++) {
        if (l->data[i] > 1)
            return load_fails(l, f, up, "is neither true nor false");
    }
    l->data += n;
    l->len -= n;
    return true;
}

static bool visit_load(const struct state_field *f, size_t offset, const struct path *up,
                       void *opaque)
{
    struct load *l = opaque;
    (void)up;
    memcpy(l->obj + offset, l->data, field_len(f));
    l->data += field_len(f);
    return true;
}

bool state_check(const struct state_field *fields, const char *what, const uint8_t **data, size_t *len,
                 GError **error)
{
    struct load l = {NULL, what, *data, *len, error};
    if (!walk(fields, 0, NULL, visit_check, &l))
        return false;
    *data = l.data;
    *len = l.len;
    return true;
}

bool state_load(const struct state_field *fields, void *obj, const char *what, const uint8_t **data,
                size_t *len, GError **error)
{
    struct load l = {obj, what, *data, *len, error};
    if (!state_check(fields, what, data, len, error))
        return false;
    walk(fields, 0, NULL, visit_load, &l);
    return true;
}

uint64_t state_shape(const struct state_field *fields)
{
    uint64_t shape = 0;
    for (const struct state_field *f = fields; f->name; f++) {
        uint64_t numbers[4] = {f->kind, f->size, f->count, f->sub ? state_shape(f->sub) : 0};
        if (f->kind == STATE_STRUCT)
            numbers[1] = 0; // the layout is not part of the form
        shape = hash_bytes(f->name, strlen(f->name), shape);
        for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
            uint8_t bytes[8];
            store_le(bytes, 8, numbers[i]);
            shape = hash_bytes(bytes, sizeof(bytes), shape);
        }
    }
    return shape;
}

// --- Compare, hash, coverage ---

struct diff {
    const uint8_t *a, *b;
    char *name;
};

static bool visit_diff(const struct state_field *f, size_t offset, const struct path *up,
                       void *opaque)
{
    struct diff *d = opaque;
    const uint8_t *a = d->a + offset, *b = d->b + offset;
    if (!memcmp(a, b, field_len(f)))
        return true;
    uint32_t i = 0;
    while (!memcmp(a + (size_t)i * f->size, b + (size_t)i * f->size, f->size))
        i++;
    d->name = field_name(f, up);
    if (f->count > 1) {
        char *element = g_strdup_printf("%s[%u]", d->name, i);
        g_free(d->name);
        d->name = element;
    }
    return false;
}

char *state_diff(const struct state_field *fields, const void *a, const void *b)
{
    struct diff d = {a, b, NULL};
    walk(fields, 0, NULL, visit_diff, &d);
    return d.name;
}

struct hash {
    const uint8_t *obj;
    uint64_t hash;
};

static bool visit_hash(const struct state_field *f, size_t offset, const struct path *up,
                       void *opaque)
{
    struct hash *h = opaque;
    (void)up;
    h->hash = hash_bytes(h->obj + offset, field_len(f), h->hash);
    return true;
}

uint64_t state_hash(const struct state_field *fields, const void *obj, uint64_t hash)
{
    struct hash h = {obj, hash};
    walk(fields, 0, NULL, visit_hash, &h);
    return h.hash;
}

static bool visit_coverage(const struct state_field *f, size_t offset, const struct path *up,
                           void *opaque)
{
    (void)up;
    memset((uint8_t *)opaque + offset, 1, field_len(f));
    return true;
}

void state_coverage(const struct state_field *fields, uint8_t *mask)
{
    walk(fields, 0, NULL, visit_coverage, mask);
}

// --- Dump ---

#define DUMP_BYTES 32 // of a STATE_BYTES element; of more, only these and the size are shown

struct dump {
    const uint8_t *obj;
    const char *indent;
    GString *out;
};

static void dump_bytes(GString *out, const uint8_t *p, uint32_t size)
{
    g_string_append_c(out, ' ');
    for (uint32_t i = 0; i < MIN(size, DUMP_BYTES); i++)
        g_string_append_printf(out, "%02x", p[i]);
    if (size > DUMP_BYTES)
        g_string_append_printf(out, "... (%u bytes)", size);
}

// Equal neighbours are folded ("0x0*31 0x5"), since most of a large array is zeros.
static void dump_elements(GString *out, const struct state_field *f, const uint8_t *p)
{
    uint32_t run;
    for (uint32_t i = 0; i < f->count; i += run) {
        const uint8_t *e = p + (size_t)i * f->size;
        run = 1;
        while (i + run < f->count && !memcmp(e, e + (size_t)run * f->size, f->size))
            run++;
        if (f->kind == STATE_BYTES)
            dump_bytes(out, e, f->size);
        else
            g_string_append_printf(out, " 0x%" PRIx64, load_le(e, f->size));
        if (run > 1)
            g_string_append_printf(out, "*%u", run);
    }
}

static bool visit_dump(const struct state_field *f, size_t offset, const struct path *up,
                       void *opaque)
{
    struct dump *d = opaque;
    g_string_append(d->out, d->indent);
    append_path(d->out, up);
    g_string_append_printf(d->out, "%s =", f->name);
    dump_elements(d->out, f, d->obj + offset);
    g_string_append_c(d->out, '\n');
    return true;
}

void state_dump(const struct state_field *fields, const void *obj, const char *indent, GString *out)
{
    struct dump d = {obj, indent, out};
    walk(fields, 0, NULL, visit_dump, &d);
}

// --- Hash of bytes ---
//
// A 64x64 -> 128 bit product mixes 16 bytes at a time; long inputs run through four independent
// lanes, so that products overlap. Both words are added beside the product: a word that happens to
// make a factor zero does not hide its neighbour.

#define LANES 4  // at once
#define STEP  16 // bytes of one product

// Fractions of the square roots of 3, 5, 7 and 13: odd, and nothing up the sleeve.
static const uint64_t key[LANES] = {
    UINT64_C(0xbb67ae8584caa73b),
    UINT64_C(0x3c6ef372fe94f82b),
    UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x9b05688c2b3e6c1f),
};

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static inline uint64_t absorb(uint64_t h, const uint8_t *p, uint64_t k)
{
    uint64_t a = load_le(p, 8), b = load_le(p + 8, 8) ^ h;
    return fold(a ^ k, b) + rotate(b, 29) + a;
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = seed ^ fold(len ^ key[0], key[1]);
    if (len >= LANES * STEP) {
        uint64_t lane[LANES] = {h, h ^ key[1], h ^ key[2], h ^ key[3]};
        for (; len >= LANES * STEP; len -= LANES * STEP, p += LANES * STEP) {
            lane[0] = absorb(lane[0], p, key[0]);
            lane[1] = absorb(lane[1], p + STEP, key[1]);
            lane[2] = absorb(lane[2], p + 2 * STEP, key[2]);
            lane[3] = absorb(lane[3], p + 3 * STEP, key[3]);
        }
        h = fold(lane[0] ^ key[2], rotate(lane[1], 17) ^ key[3]) ^ lane[1];
        h += fold(lane[2] ^ key[0], rotate(lane[3], 41) ^ key[1]) ^ rotate(lane[3], 7);
    }
    for (; len >= STEP; len -= STEP, p += STEP)
        h = absorb(h, p, key[0]);
    if (len) {
        uint8_t tail[STEP] = {0};
        memcpy(tail, p, len);
        h = absorb(h, tail, key[2]);
    }
    return fold(h ^ key[1], key[3]) ^ rotate(h, 32);
}
