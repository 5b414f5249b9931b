/* SPDX-License-Identifier: MIT */
/* Making interrupts pending: those of M-mode by the CLINT and the PLIC, those of S-mode by software. */
#ifndef TESTS_PRIVILEGED_INTERRUPTS_H
#define TESTS_PRIVILEGED_INTERRUPTS_H

#include "guest.h"

void pend(enum irq irq, bool on);
void pend_none(void);

#endif
