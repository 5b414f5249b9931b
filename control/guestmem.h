// SPDX-License-Identifier: MIT
// Guest memory as a user looks at it: read without a trace, and written to files.
//
// Only memory is read, never a device's registers, since reading those may change the guest.
#ifndef CONTROL_GUESTMEM_H
#define CONTROL_GUESTMEM_H

#include <glib.h>

#include "machine/machine.h"

// Where the bytes are: in the address space of a CPU as it is now, or (cpu is NULL) physical memory.
struct guestmem {
    struct machine *m;
    struct cpu *cpu;
};

// Reads `len` bytes. False, with an error that names the first address that cannot be read.
bool guestmem_read(const struct guestmem *g, uint64_t addr, void *buf, uint64_t len,
                   GError **error);
// Writes bytes to a file, which is truncated.
bool guestmem_save(const struct guestmem *g, uint64_t addr, uint64_t len, const char *file,
                   GError **error);
// Writes these bytes to a file.
bool guestmem_write_file(const char *file, const void *data, size_t len, GError **error);
// Writes an ELF core file of all RAM, at its physical addresses, with the registers of the CPUs. With a length, of
// [begin, begin + length) only.
bool guestmem_dump_core(struct machine *m, const char *file, uint64_t begin, uint64_t length,
                        GError **error);

#endif
