// SPDX-License-Identifier: MIT
// Which native back end this build has.
#include "translator/host.h"

#ifdef FERRY_HOST_X86_64
extern const struct host host_x86_64;
const struct host *const host_native = &host_x86_64;
#else
const struct host *const host_native = NULL;
#endif
