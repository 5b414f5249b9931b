// SPDX-License-Identifier: MIT
// See interrupts.h.
#include "interrupts.h"

void pend(enum irq irq, bool on)
{
    switch (irq) {
    case MSI:
        *MSIP(hart()) = on;
        break;
    case MTI:
        set_mtimecmp(hart(), on ? 0 : UINT64_MAX);
        break;
    case MEI:
        uart_interrupts(on);
        plic_enable(2 * hart(), on);
        break;
    case SSI:
    case STI:
    case SEI:
        if (on)
            csr_set(CSR_MIP, BIT(irq));
        else
            csr_clear(CSR_MIP, BIT(irq));
        break;
    }
}

void pend_none(void)
{
    static const enum irq all[] = {SSI, MSI, STI, MTI, SEI, MEI};
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        pend(all[i], false);
}
