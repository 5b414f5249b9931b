// SPDX-License-Identifier: MIT
// An interrupt line: a wire from one output of a device to one input of another or of a CPU.
// Wiring, not state: both ends keep their level in their own state.
#ifndef BASE_IRQ_H
#define BASE_IRQ_H

#include "base/types.h"

// Called when the line is driven. `n` is the input's number at the receiver.
typedef void irq_handler(void *opaque, unsigned n, bool level);

struct irq {
    irq_handler *handler; // NULL: not connected, driving it does nothing
    void *opaque;
    unsigned n;
};

static inline void irq_set(const struct irq *irq, bool level)
{
    if (irq->handler)
        irq->handler(irq->opaque, irq->n, level);
}

#endif
