// SPDX-License-Identifier: MIT
// CPU models and their options: what `-cpu rv64,zbb=off,sv48=on` means, and the ISA string that
// tells the guest.
//
// Names are case-insensitive and may carry an "x-" in front, as other emulators spell experimental
// extensions.
#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "cpu/riscv/riscv.h"

#define E(id) RV_EXT_BIT(RV_EXT_##id)

// `in` of ext.def.
enum { BASE = 1, MAX = 2, OPT = 4, RV32 = 8, RV64 = 16, HIDDEN = 32 };

static const struct ext {
    const char *name;
    unsigned in;
    riscv_exts from, requires;
} exts[] = {
#define EXT(id, text, where, parents, needs) [RV_EXT_##id] = {text, where, parents, needs},
#define NOEXT(text, what)
#include "cpu/riscv/ext.def"
#undef EXT
#undef NOEXT
};

static const struct {
    const char *name, *what;
} not_implemented[] = {
#define EXT(id, text, where, parents, needs)
#define NOEXT(text, what) {text, what},
#include "cpu/riscv/ext.def"
#undef EXT
#undef NOEXT
};

// Names that stand for several.
static const struct {
    const char *name;
    riscv_exts exts;
} groups[] = {
    {"g", E(I) | E(M) | E(A) | E(F) | E(D) | E(ZICSR) | E(ZIFENCEI)},
    {"b", E(ZBA) | E(ZBB) | E(ZBS)},
    {"counters", E(ZICNTR) | E(ZIHPM)},
};

enum satp_mode { SATP_BARE = 0, SATP_SV32 = 1, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };

static const struct mode {
    const char *name;
    enum satp_mode mode;
    unsigned xlen;
} modes[] = {
    {"sv32", SATP_SV32, 32},
    {"sv39", SATP_SV39, 64},
    {"sv48", SATP_SV48, 64},
    {"sv57", SATP_SV57, 64},
};

#define MCU \
    (E(I) | E(M) | E(A) | E(C) | E(U) | E(PMP) | E(ZICSR) | E(ZIFENCEI) | E(ZICNTR) | E(ZIHPM))
#define APP (MCU | E(F) | E(D) | E(S) | E(MMU))

static const struct model {
    const char *name;
    unsigned xlen;          // 0: any
    unsigned in;            // extensions of ext.def that it has, or 0:
    riscv_exts exts;        // these
    enum satp_mode satp[2]; // the largest, for XLEN 32 and 64
    const char *desc;
} models[] = {
    {"rv32", 32, BASE, 0, {SATP_SV32, SATP_BARE}, "32-bit, application class"},
    {"rv64", 64, BASE, 0, {SATP_BARE, SATP_SV48}, "64-bit, application class"},
    {"max", 0, BASE | MAX, 0, {SATP_SV32, SATP_SV57}, "everything there is"},
    {"sifive-e31", 32, 0, MCU, {SATP_BARE, SATP_BARE}, "SiFive E31: RV32IMAC, no S mode"},
    {"sifive-e34", 32, 0, MCU | E(F), {SATP_BARE, SATP_BARE}, "SiFive E34: RV32IMAFC, no S mode"},
    {"sifive-u34", 32, 0, APP, {SATP_SV32, SATP_BARE}, "SiFive U34: RV32GC"},
    {"sifive-e51", 64, 0, MCU, {SATP_BARE, SATP_BARE}, "SiFive E51: RV64IMAC, no S mode"},
    {"sifive-u54", 64, 0, APP, {SATP_BARE, SATP_SV39}, "SiFive U54: RV64GC"},
    {"shakti-c", 64, 0, APP, {SATP_BARE, SATP_SV39}, "SHAKTI C class: RV64GC"},
};

// What the user said.
struct wish {
    const struct model *model;
    unsigned xlen;
    riscv_exts on, off;
    uint32_t satp_on, satp_off; // by satp.MODE
    bool no_misaligned, short_string;
};

static bool fail(GError **error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "-cpu: %s", text);
    g_free(text);
    return false;
}

// ---- Options ----

static bool parse_bool(const char *name, const char *text, bool *value, GError **error)
{
    static const char *const yes[] = {"on", "yes", "true", "1"};
    static const char *const no[] = {"off", "no", "false", "0"};
    for (unsigned i = 0; i < ARRAY_LEN(yes); i++) {
        *value = !g_ascii_strcasecmp(text, yes[i]);
        if (*value || !g_ascii_strcasecmp(text, no[i]))
            return true;
    }
    return fail(error, "%s=%s: must be on or off", name, text);
}

static bool parse_number(const char *name, const char *text, uint64_t *value, GError **error)
{
    char *end;
    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    if (errno || end == text || *end || *text == '-')
        return fail(error, "%s=%s: must be a number", name, text);
    return true;
}

static void wish_exts(struct wish *w, riscv_exts which, bool on)
{
    w->on = on ? w->on | which : w->on & ~which;
    w->off = on ? w->off & ~which : w->off | which;
}

// Extensions and groups. *known: whether the name is one.
static bool option_ext(struct wish *w, const char *name, const char *text, bool *known,
                       GError **error)
{
    riscv_exts which = 0;
    const char *missing = NULL;
    bool on;
    for (unsigned i = 0; i < ARRAY_LEN(exts); i++)
        if (!strcmp(name, exts[i].name))
            which = RV_EXT_BIT(i);
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
        if (!strcmp(name, groups[i].name))
            which = groups[i].exts;
    for (unsigned i = 0; i < ARRAY_LEN(not_implemented); i++)
        if (!strcmp(name, not_implemented[i].name))
            missing = not_implemented[i].what;
    *known = which || missing;
    if (!*known)
        return true;
    if (!parse_bool(name, text, &on, error))
        return false;
    if (missing && on)
        return fail(error, "%s (%s) is not implemented by this version", name, missing);
    if (which & E(I) && !on)
        return fail(error, "i (the base instructions) cannot be switched off");
    wish_exts(w, which, on);
    return true;
}

static bool option_satp(struct wish *w, const char *name, const char *text, bool *known,
                        GError **error)
{
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        bool on;
        if (strcmp(name, modes[i].name))
            continue;
        *known = true;
        if (!parse_bool(name, text, &on, error))
            return false;
        if (on && modes[i].xlen != w->xlen)
            return fail(error, "%s is for %u-bit CPUs", name, modes[i].xlen);
        *(on ? &w->satp_on : &w->satp_off) |= 1u << modes[i].mode;
    }
    return true;
}

// Numbers: identity registers, block sizes.
static bool option_number(struct riscv_cpu *rv, const char *name, const char *text, bool *known,
                          GError **error)
{
    const struct {
        const char *name;
        uint64_t *to; // NULL: must be RISCV_CBO_BLOCK
    } numbers[] = {
        {"mvendorid", &rv->mvendorid}, {"marchid", &rv->marchid}, {"mimpid", &rv->mimpid},
        {"resetvec", &rv->reset_pc},   {"cbom_blocksize", NULL},  {"cboz_blocksize", NULL},
        {"cbop_blocksize", NULL},
    };
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        uint64_t v;
        if (strcmp(name, numbers[i].name))
            continue;
        *known = true;
        if (!parse_number(name, text, &v, error))
            return false;
        if (!numbers[i].to && v != RISCV_CBO_BLOCK)
            return fail(error, "%s=%s: cache blocks have %u bytes", name, text, RISCV_CBO_BLOCK);
        if (numbers[i].to)
            *numbers[i].to = v;
    }
    return true;
}

static bool option_other(struct wish *w, const char *name, const char *text, bool *known,
                         GError **error)
{
    static const char *const meaningless[] = {"vlen",    "elen",     "vext_spec",
                                              "pmu-num", "pmu-mask", "debug"};
    bool on;
    *known = true;
    if (!strcmp(name, "misaligned")) {
        if (!parse_bool(name, text, &on, error))
            return false;
        w->no_misaligned = !on;
        return true;
    }
    if (!strcmp(name, "short-isa-string"))
        return parse_bool(name, text, &w->short_string, error);
    if (!strcmp(name, "priv_spec")) {
        if (strcmp(text, "v1.12.0") && strcmp(text, "v1.13.0"))
            warn_user("-cpu: priv_spec=%s is treated as v1.13.0", text);
        return true;
    }
    for (unsigned i = 0; i < ARRAY_LEN(meaningless); i++) {
        if (!strcmp(name, meaningless[i])) {
            warn_user("-cpu: %s means nothing here", name);
            return true;
        }
    }
    *known = false;
    return true;
}

static bool option(struct riscv_cpu *rv, struct wish *w, const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return fail(error, "\"%s\" should be name=value", text);
    char *name = g_ascii_strdown(text, equals - text);
    const char *plain = g_str_has_prefix(name, "x-") ? name + 2 : name, *value = equals + 1;
    bool known = false;
    bool ok = option_ext(w, plain, value, &known, error) &&
              (known || option_satp(w, plain, value, &known, error)) &&
              (known || option_number(rv, plain, value, &known, error)) &&
              (known || option_other(w, plain, value, &known, error));
    if (ok && !known)
        ok = fail(error, "there is no option \"%s\"; -cpu help lists them", name);
    g_free(name);
    return ok;
}

// ---- From wishes to a CPU ----

static bool fits(const struct wish *w, unsigned e)
{
    unsigned only = exts[e].in & (RV32 | RV64);
    return !only || only == (w->xlen == 32 ? RV32 : RV64);
}

// Switches on what the extensions that were asked for require.
static bool add_required(struct wish *w, GError **error)
{
    riscv_exts done = 0;
    while (done != w->on) {
        unsigned e = 0;
        while (!((w->on & ~done) >> e & 1))
            e++;
        done |= RV_EXT_BIT(e);
        if (!fits(w, e))
            return fail(error, "%s is for %u-bit CPUs", exts[e].name, w->xlen == 32 ? 64 : 32);
        for (unsigned i = 0; i < RV_NR_EXTS; i++)
            if (exts[e].requires & w->off & RV_EXT_BIT(i))
                return fail(error, "%s needs %s, which is off", exts[e].name, exts[i].name);
        w->on |= exts[e].requires;
    }
    return true;
}

static bool is_on(const struct wish *w, riscv_exts have, unsigned e)
{
    const struct ext *x = &exts[e];
    riscv_exts bit = RV_EXT_BIT(e);
    if (!fits(w, e))
        return false;
    if (x->from)
        return w->on & bit || (have & x->from) == x->from;
    return have & bit && (have & x->requires) == x->requires;
}

// Adds what follows from others and removes what lacks a requirement, until nothing changes.
static riscv_exts settle(const struct wish *w, riscv_exts have)
{
    riscv_exts old;
    do {
        old = have;
        for (unsigned e = 0; e < RV_NR_EXTS; e++)
            have = is_on(w, have, e) ? have | RV_EXT_BIT(e) : have & ~RV_EXT_BIT(e);
    } while (have != old);
    return have;
}

// Parts that were switched off although what they are parts of is on, and encodings used twice.
static bool check_conflicts(const struct wish *w, riscv_exts have, GError **error)
{
    for (unsigned e = 0; e < RV_NR_EXTS; e++)
        if (w->off & have & RV_EXT_BIT(e))
            return fail(error, "%s=off: it is a part of others that are on", exts[e].name);
    if (have & E(ZCMP) && have & E(ZCD))
        return fail(error,
                    "zcmp uses the encodings of zcd, which c and d bring; switch c or d off");
    return true;
}

static riscv_exts model_exts(const struct model *m)
{
    riscv_exts have = m->exts;
    for (unsigned e = 0; e < RV_NR_EXTS; e++)
        if (exts[e].in & m->in)
            have |= RV_EXT_BIT(e);
    return have;
}

static bool choose_exts(struct riscv_cpu *rv, struct wish *w, GError **error)
{
    if (!add_required(w, error))
        return false;
    if (w->no_misaligned)
        wish_exts(w, E(ZICCLSM), false);
    riscv_exts have = settle(w, (model_exts(w->model) | w->on) & ~w->off);
    if (!check_conflicts(w, have, error))
        return false;
    rv->ext = have;
    return true;
}

// The largest mode is the largest one asked for, or the model's, below those that are off.
static bool choose_satp(struct riscv_cpu *rv, const struct wish *w, GError **error)
{
    unsigned largest = w->model->satp[w->xlen == 64];
    if (w->satp_on & w->satp_off)
        return fail(error, "a paging mode is both on and off");
    if (!largest && riscv_has(rv, RV_EXT_MMU))
        largest = w->xlen == 32 ? SATP_SV32 : SATP_SV39;
    if (w->satp_on)
        largest = (unsigned)g_bit_nth_msf(w->satp_on, -1);
    rv->satp_modes = 1u << SATP_BARE;
    if (!riscv_has(rv, RV_EXT_MMU) && w->satp_on)
        return fail(error, "paging modes need mmu=on and s=on");
    for (unsigned i = 0; i < ARRAY_LEN(modes) && riscv_has(rv, RV_EXT_MMU); i++) {
        const struct mode *m = &modes[i];
        if (m->xlen != w->xlen || m->mode > largest)
            continue;
        if (!(w->satp_off >> m->mode & 1)) {
            rv->satp_modes |= 1u << m->mode;
            continue;
        }
        if (w->satp_on)
            return fail(error, "%s=off: the larger mode that is on needs it", m->name);
        break;
    }
    return true;
}

static char *isa_string(const struct riscv_cpu *rv, bool only_letters)
{
    GString *s = g_string_new(NULL);
    g_string_printf(s, "rv%u", rv->xlen);
    for (unsigned e = 0; e < RV_NR_EXTS; e++) {
        if (!riscv_has(rv, e) || exts[e].in & HIDDEN)
            continue;
        bool letter = !exts[e].name[1];
        if (letter || !only_letters)
            g_string_append_printf(s, letter ? "%s" : "_%s", exts[e].name);
    }
    return g_string_free(s, FALSE);
}

// ---- Models ----

static bool find_model(struct wish *w, const char *name, unsigned xlen, GError **error)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        const struct model *m = &models[i];
        if (g_ascii_strcasecmp(name, m->name))
            continue;
        if (m->xlen && m->xlen != xlen)
            return fail(error, "%s is a %u-bit model, but this machine is of %u bits", name,
                        m->xlen, xlen);
        w->model = m;
        w->xlen = xlen;
        return true;
    }
    return fail(error, "there is no model \"%s\"; -cpu help lists them", name);
}

bool riscv_model_apply(struct riscv_cpu *rv, const char *model, unsigned xlen, GError **error)
{
    struct wish w = {.no_misaligned = rv->cpu.align_all};
    assert(xlen == 32 || xlen == 64);
    char **words = g_strsplit(model ? model : xlen == 32 ? "rv32" : "rv64", ",", -1);
    bool ok = find_model(&w, words[0] ? words[0] : "", xlen, error);
    for (unsigned i = 1; ok && words[i]; i++)
        ok = option(rv, &w, words[i], error);
    g_strfreev(words);
    rv->xlen = xlen;
    if (!ok || !choose_exts(rv, &w, error) || !choose_satp(rv, &w, error))
        return false;
    if (rv->satp_modes == 1u << SATP_BARE) {
        wish_exts(&w, E(MMU), false);
        rv->ext = settle(&w, rv->ext & ~E(MMU));
    }
    rv->cpu.align_all = w.no_misaligned;
    rv->isa_string = isa_string(rv, w.short_string);
    return true;
}

bool riscv_cpu_has(const struct cpu *cpu, const char *extension)
{
    for (unsigned e = 0; e < RV_NR_EXTS; e++)
        if (!strcmp(extension, exts[e].name))
            return riscv_has((const struct riscv_cpu *)cpu, e);
    return false;
}

// Words of a list, folded at 80 columns.
static void print_word(FILE *out, unsigned *column, const char *word)
{
    unsigned len = (unsigned)strlen(word) + 1;
    if (*column + len > 78) {
        fputs("\n ", out);
        *column = 1;
    }
    fprintf(out, " %s", word);
    *column += len;
}

void riscv_cpu_print_help(unsigned xlen, FILE *out)
{
    unsigned column = 1;
    fputs("CPU models:\n", out);
    for (unsigned i = 0; i < ARRAY_LEN(models); i++)
        if (!models[i].xlen || models[i].xlen == xlen)
            fprintf(out, "  %-12s %s\n", models[i].name, models[i].desc);
    fputs("Options, NAME=on or NAME=off:\n ", out);
    for (unsigned e = 0; e < RV_NR_EXTS; e++)
        if (fits(&(struct wish){.xlen = xlen}, e))
            print_word(out, &column, exts[e].name);
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
        print_word(out, &column, groups[i].name);
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++)
        if (modes[i].xlen == xlen)
            print_word(out, &column, modes[i].name);
    print_word(out, &column, "misaligned");
    print_word(out, &column, "short-isa-string");
    fputs("\nOptions, NAME=NUMBER:\n  mvendorid marchid mimpid resetvec\n", out);
}
