// SPDX-License-Identifier: MIT
// What a hart is like when it starts. start.S has kept what later code changes.
#include "guest.h"

void topic(void)
{
    const reg *at_reset = contexts[0].reset;
    paragraph("Reset");
    check_true(at_reset[0] != 0, "there is no reservation");
    check(at_reset[1] & (MSTATUS_MIE | MSTATUS_MPRV), 0, "mstatus.MIE and MPRV are 0");
    check(at_reset[1] & (MSTATUS_UBE | MSTATUS_XS | MSTATUS_VS), 0, "memory is little-endian");
    check(at_reset[2], 0, "mcause is 0");
    check(at_reset[3], 0, "mseccfg is 0");
    for (unsigned i = 0; has_pmp() && i < PMP_OPEN; i++)
        check(pmp_cfg(i) & (PMP_L | PMP_NAPOT), 0, "pmp%ucfg: A and L are 0", i);
}
