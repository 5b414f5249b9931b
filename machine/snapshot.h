// SPDX-License-Identifier: MIT
// Snapshots: a whole machine in one file, to go on from later, on any host and with either executor.
//
// A file has the machine's configuration (by which a machine that it does not fit refuses it), the state of CPUs,
// devices, scheduler and clock by their tables, all memory, and of disks what the guest wrote. It is complete but for
// the disk images under those overlays, of which it knows size, date and a hash. Everything in it is little-endian and
// checksummed. docs/snapshots.md describes the form.
//
// What is not in it: the host's side of connections. Open network connections and shared folders of the guest are as
// after a change of cables; consoles go on where they are.
#ifndef MACHINE_SNAPSHOT_H
#define MACHINE_SNAPSHOT_H

#include <glib.h>

#include "machine/machine.h"

enum snapshot_form {
    SNAPSHOT_PACKED, // pages deduplicated and compressed: small, portable by mail
    SNAPSHOT_MAPPED, // pages lie in the file as in memory, with holes for zeros: loading maps them
};

// What `info snapshots` and `-loadvm help` show.
struct snapshot_info {
    char *tag; // owned; the file's name without folder and suffix
    enum snapshot_form form;
    uint64_t size;     // of the file on the host's disk, bytes
    int64_t date;      // s since 1970, when it was saved
    icount_t icount;   // steps of the machine up to then
    uint64_t guest_ns; // and its time
};

// Saves a machine that is between two calls of machine_run. The file appears whole or not at all; one of that name
// is replaced. The machine goes on as if nothing had happened.
bool snapshot_save(struct machine *m, const char *file, enum snapshot_form form, GError **error);
// Loads it into a machine of the same configuration, between two calls of machine_run. Everything is checked first:
// after a failure the machine is as it was. So are its disks: an image that is written in place becomes what it was if
// this process saved the snapshot, and must be that already otherwise. The past of a timeline is forgotten.
bool snapshot_load(struct machine *m, const char *file, GError **error);
// What a file says about itself; nothing but its head is checked. The result's members are the caller's
// (snapshot_info_clear).
bool snapshot_probe(const char *file, struct snapshot_info *info, GError **error);
void snapshot_info_clear(struct snapshot_info *info);

// Snapshots by name live in a folder, one file each: DIR/TAG.snap. It is made when the first is saved.

#define SNAPSHOT_DEFAULT_DIR "ferry-snapshots"
#define SNAPSHOT_SUFFIX      ".snap"

// The file of a tag in a folder, newly allocated; an error if it can't be a file's name.
char *snapshot_path(const char *dir, const char *tag, GError **error);
// For -loadvm: a file's name if that exists or has a '/' in it, else a tag.
char *snapshot_find(const char *dir, const char *tag_or_file, GError **error);
bool snapshot_save_tag(struct machine *m, const char *dir, const char *tag, enum snapshot_form form,
                       GError **error);
bool snapshot_load_tag(struct machine *m, const char *dir, const char *tag, GError **error);
bool snapshot_delete_tag(struct machine *m, const char *dir, const char *tag, GError **error);
// All of a folder, oldest first: struct snapshot_info, freed with the array. A folder that is not there is empty;
// files that are no snapshots are left out.
GArray *snapshot_list(const char *dir, GError **error);

// What of images written in place is kept for files saved by this process: for one file, which is gone, and for all.
void snapshot_forget_file(struct machine *m, const char *file);
void snapshot_forget(struct machine *m);

#endif
