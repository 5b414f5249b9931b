// SPDX-License-Identifier: MIT
// Puts files into a machine's memory: firmware, kernels, initial RAM disks, device trees.
//
// Executables are ELF (32 and 64 bit, little-endian, by physical address), U-Boot's uImage, Linux's
// RISC-V Image, or raw bytes; each of them may be compressed by gzip. What a file says about itself is
// checked before a byte is stored, and every range against the machine's memory. Errors are one line that
// names the file, what was found and what was expected.
#ifndef MACHINE_LOADER_H
#define MACHINE_LOADER_H

#include <glib.h>

#include "base/types.h"
#include "softmmu/mem.h"

struct machine_loader_opt;

#define EM_RISCV 243

enum loader_format { LOADER_RAW, LOADER_ELF, LOADER_UIMAGE, LOADER_IMAGE };

// What a file is, and, after loading, where it went.
struct loader_image {
    enum loader_format format;
    bool gzip;        // it was compressed
    unsigned bits;    // ELF only: 32 or 64; else 0
    uint16_t machine; // ELF only: e_machine
    paddr_t start;    // first byte
    paddr_t end;      // past the last byte, with what is to be zero (.bss; an Image's image_size)
    paddr_t entry;    // where it says to jump
    bool has_tohost;  // ELF only: the symbol is there (HTIF)
    paddr_t tohost;
    paddr_t fromhost; // 0 if there is no such symbol
};

// Reads what a file says about itself; nothing is loaded. A raw file's start is 0.
bool loader_probe(const char *path, struct loader_image *info, GError **error);

// An ELF file must be for that e_machine; other files may be for anything.
bool loader_check_machine(const char *path, const struct loader_image *image, uint16_t machine,
                          GError **error);
// The class of an ELF file, packed by gzip or not: 32 or 64; 0 for anything else. Reads a few bytes only.
unsigned loader_elf_bits(const char *path);

// Where executables may go.
struct loader_target {
    struct mem *mem;
    unsigned bits;    // of the CPUs, 32 or 64: other ELF files are refused
    uint16_t machine; // e_machine that is expected
    paddr_t ram_base; // of the RAM that kernels are placed in
    uint64_t ram_size;
};

// Loads an executable. ELF and uImage go where they say; an Image to `addr`, or to its text_offset in RAM
// if that is higher; raw bytes to `addr`.
bool loader_load(const struct loader_target *t, const char *path, paddr_t addr,
                 struct loader_image *image, GError **error);
// Loads the bytes of a file as they are.
bool loader_load_raw(struct mem *mem, const char *path, paddr_t addr, struct loader_image *image,
                     GError **error);
// Looks a symbol of an ELF file up. FALSE with no error: there is none.
bool loader_elf_symbol(const char *path, const char *name, paddr_t *value, GError **error);
// -device loader. *has_pc tells whether opt->cpu_num is to start at *pc.
bool loader_apply(const struct loader_target *t, const struct machine_loader_opt *opt, bool *has_pc,
                  paddr_t *pc, GError **error);

// Two images must not share memory; `path` is what the user can do something about.
bool loader_check_apart(const char *path, const struct loader_image *image, const char *other_path,
                        const struct loader_image *other, GError **error);

// -bios: the path to load, newly allocated; NULL with no error for "none". `bios` is what the user gave
// (NULL is "default"); a name that is no file is looked for in the directories of firmware, too. `dirs`
// ("dir:dir", or NULL) come before the usual ones.
char *loader_find_firmware(const char *bios, const char *dirs, unsigned bits, GError **error);
// Where a kernel goes that says nothing itself: firmware_end, aligned for the page tables of its MMU.
paddr_t loader_kernel_start(unsigned bits, paddr_t firmware_end);
// Where an initial RAM disk goes, and loading it: half of RAM above the kernel's start, but 128 MiB at most; further up if the
// kernel reaches there, further down if it would not fit. image->start and ->end are for the device tree.
bool loader_place_initrd(const struct loader_target *t, const char *path, uint64_t size,
                         const struct loader_image *kernel, paddr_t *addr, GError **error);
bool loader_load_initrd(const struct loader_target *t, const char *path,
                        const struct loader_image *kernel, struct loader_image *image,
                        GError **error);
// Where a device tree of `size` bytes goes: as high in RAM as possible, but below 3 GiB, aligned to 2 MiB.
// `above` is what it must not overlap: the end of the highest image.
bool loader_place_fdt(const struct loader_target *t, uint64_t size, paddr_t above, paddr_t *addr,
                      GError **error);

// OpenSBI's struct fw_dynamic_info, version 2: where its next stage is, entered in S mode.
#define LOADER_FW_DYNAMIC_MAX 48
// Stores it in `buf` and returns its size, which depends on the CPUs' width.
unsigned loader_fw_dynamic_info(unsigned bits, paddr_t next, unsigned boot_hart,
                                uint8_t buf[LOADER_FW_DYNAMIC_MAX]);

#endif
