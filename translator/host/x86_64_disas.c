// SPDX-License-Identifier: MIT
// x86-64: host code as text, for -d out_asm. Capstone is loaded when that is first asked for.
#include <capstone/capstone.h>
#include <dlfcn.h>
#include <inttypes.h>

#include "base/log.h"
#include "translator/host/x86_64.h"

struct capstone {
    void *library;
    cs_err (*open)(cs_arch, cs_mode, csh *);
    size_t (*disasm)(csh, const uint8_t *, size_t, uint64_t, size_t, cs_insn **);
    void (*free)(cs_insn *, size_t);
    cs_err (*close)(csh *);
};

static bool load(struct capstone *c)
{
    c->library = dlopen("libcapstone.so.4", RTLD_NOW);
    if (!c->library)
        c->library = dlopen("libcapstone.so.5", RTLD_NOW);
    if (!c->library)
        return false;
    *(void **)&c->open = dlsym(c->library, "cs_open");
    *(void **)&c->disasm = dlsym(c->library, "cs_disasm");
    *(void **)&c->free = dlsym(c->library, "cs_free");
    *(void **)&c->close = dlsym(c->library, "cs_close");
    return c->open && c->disasm && c->free && c->close;
}

static void print_hex(const uint8_t *code, size_t size, GString *out)
{
    for (size_t i = 0; i < size; i++)
        g_string_append_printf(out, "%02x%c", code[i], i % 16 == 15 || i + 1 == size ? '\n' : ' ');
}

static bool print_text(const struct capstone *c, const uint8_t *code, size_t size, GString *out)
{
    csh handle;
    cs_insn *insn;
    if (c->open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return false;
    size_t n = c->disasm(handle, code, size, (uintptr_t)code, 0, &insn), done = 0;
    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(out, "0x%" PRIx64 ":  %-8s %s\n", insn[i].address, insn[i].mnemonic,
                               insn[i].op_str);
        done += insn[i].size;
    }
    if (n)
        c->free(insn, n);
    c->close(&handle);
    print_hex(code + done, size - done, out); // what Capstone does not know
    return true;
}

void x86_print(void *opaque, const struct unit *unit, GString *out)
{
    const struct x86 *h = opaque;
    const uint8_t *code = h->rx + unit->code;
    size_t size = h->used - unit->code; // asked for right behind the unit's compilation
    struct capstone c = {0};
    bool loaded = load(&c);
    if (!loaded)
        g_string_append(out, "(libcapstone4 is not installed: bytes only)\n");
    if (!loaded || !print_text(&c, code, size, out))
        print_hex(code, size, out);
    if (c.library)
        dlclose(c.library);
}
