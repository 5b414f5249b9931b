// SPDX-License-Identifier: MIT
// Between the files of QMP: its commands, and how they read their arguments.
#ifndef CONTROL_QMP_IMPL_H
#define CONTROL_QMP_IMPL_H

#include "control/qmp.h"

#define QMP(name, function, args, gives_value) qmp_handler qmp_##function;
#include "control/qmp.def"

// NULL if it is not there.
const char *qmp_arg_str(GVariant *args, const char *name);
uint64_t qmp_arg_u64(GVariant *args, const char *name, uint64_t def);
bool qmp_arg_bool(GVariant *args, const char *name, bool def);

#endif
