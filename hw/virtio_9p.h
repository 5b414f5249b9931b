// SPDX-License-Identifier: MIT
// The 9P file server behind the virtio 9P device: protocol 9P2000.L, one request in, one answer out.
#ifndef HW_VIRTIO_9P_H
#define HW_VIRTIO_9P_H

#include <glib.h>

#include "backend/fsdev.h"

#define P9_HEADER    7         // size, type, tag
#define P9_MSIZE_MAX (1 << 19) // bytes of one message

struct p9;

// The folder stays the caller's.
struct p9 *p9_new(struct fsdev *fs);
void p9_free(struct p9 *p);
// Ends the session: all files are closed.
void p9_reset(struct p9 *p);
// Serves a request of `len` >= P9_HEADER bytes. The answer, with its header, replaces what `reply` holds; it has
// at most max >= P9_HEADER + 4 bytes. Whatever the request contains, there is an answer.
void p9_serve(struct p9 *p, const uint8_t *request, size_t len, GByteArray *reply, size_t max);

#endif
