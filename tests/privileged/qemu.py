# SPDX-License-Identifier: MIT
"""Where QEMU does not do what the manual says, as far as the suite sees it. Each entry names the paragraph."""

import re
import subprocess
from fnmatch import fnmatchcase

# Those that were compared, and with them every disagreement explained.
VERSIONS = ("7.2", "10.0")
STOPS = "(stops)"  # among an entry's checks: the program does not come to its end


def version(program):
    """"7.2", or None: it is no QEMU (some emulators answer to its name)."""
    text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"QEMU emulator version (\d+\.\d+)", text)
    return match.group(1) if match else None


def cpu(number, xlen):
    """All that this version has of what the suite asks for."""
    if number == "7.2":
        return "rv64,svinval=on,svnapot=on,svpbmt=on,x-epmp=on,sstc=on" if xlen == 64 else "rv32,svinval=on,x-epmp=on"
    return "max"


class Entry:
    def __init__(self, versions, topic, checks, reason):
        self.versions, self.topic, self.checks, self.reason = versions, topic, checks, reason


# topics and checks are patterns; a check is "PARAGRAPH: NAME".
ENTRIES = (
    Entry(("7.2",), "*", ("*: an AMO", "*: AMO*", "*: cause 6 from *", "*an AMO fails",
                        "Atomic Memory Operations: *"),
          """Machine Cause (mcause) Register: AMOs "generate store/AMO exceptions"; an AMO that may not read, or is
          misaligned, raises a load exception there."""),
    Entry(("7.2",), "walk", ("*: a pointer to where nothing is at level *", "*: a root where nothing is",
                           "*: a table beyond 4 GiB at level *", "*: a page beyond 4 GiB at level *"),
          """Virtual Address Translation Process, step 2: "If accessing pte violates a PMA or PMP check, raise an
          access-fault exception"; it raises a page fault there, and in RV32 for pages beyond 4 GiB, too."""),
    Entry(("7.2",), "walk", ("*: bit * set in a leaf at level *", "*: bit * set in a pointer at level *",
                             "*: a reserved bit at level *", "*: a leaf at level 0: a fetch", "*: a fetch in the upper half"),
          """Sv39, Addressing and Memory Protection, on bits 60-54: "If any of these bits are set, a page-fault exception
          is raised". With Svnapot or Svpbmt on it ignores them; the store that should have failed then damages
          the code that fetches look for."""),
    Entry(("7.2",), "types", ("Svpbmt, menvcfg.PBMTE=*: type *",),
          """Svpbmt: type 3, "using this reserved value in a leaf PTE raises a page-fault exception", and with PBMTE=0
          "the implementation behaves as though Svpbmt were not implemented"."""),
    Entry(("7.2", "10.0"), "types", ("*: PBMTE is read-only 0 without Svpbmt",),
          """menvcfg: "If Svpbmt is not implemented, PBMTE is read-only zero"; it "depends on the Sv39 extension", so
          RV32 has none."""),
    Entry(("7.2",), "accessed", ("*: A cannot be set where PMP forbids to store: *",
                                 "*: A and D cannot be set where PMP forbids to store: *"),
          """Virtual Address Translation Process, step 9: "If a store to the PTE would violate a PMA or PMP check, raise an
          access-fault exception corresponding to the original access type"."""),
    Entry(("7.2",), "status", ("*: MPP holds something legal when 2 is written",),
          """Privilege and Global Interrupt-Enable Stack: xPP are WARL and "can hold only privilege mode x and any
          implemented privilege mode lower than x"."""),
    Entry(("7.2",), "status", ("Svinval: *sinval.vma *",),
          """Svinval: SINVAL.VMA raises "the same exceptions as SFENCE.VMA"; it raises none."""),
    Entry(("7.2", "10.0"), "status", ("Svinval: sfence.w.inval in U-mode", "Svinval: sfence.inval.ir in U-mode"),
          """Svinval: "Attempting to execute SFENCE.W.INVAL or SFENCE.INVAL.IR in U-mode raises an illegal-instruction
          exception"."""),
    Entry(("7.2",), "returns", ("Memory Privilege in mstatus Register: * with MPRV=1: MPRV",),
          """Memory Privilege in mstatus Register: "An MRET or SRET instruction that changes the privilege mode to a
          mode less privileged than M also sets MPRV=0"."""),
    Entry(("7.2",), "delegation", ("*: medeleg[[]11] is read-only 0",),
          """Machine Trap Delegation Registers: "medeleg[11] is read-only zero"."""),
    Entry(("7.2",), "delegation", ("*: medelegh exists in RV32",),
          """Machine Trap Delegation Registers of version 1.13; that of QEMU 7.2 is 1.12, which had no medelegh."""),
    Entry(("10.0",), "*", ("*: cause 6 from *", "Atomic Memory Operations: * at 14*"),
          """Misaligned Atomicity Granule PMA: where an AMO's bytes do not lie within one granule, "an exception is
          raised"; with Zama16b none is."""),
    Entry(("7.2",), "interrupts", ("*: all sets of enabled interrupts, *",),
          """Machine Interrupt (mip and mie) Registers: the order is "MEI, MSI, MTI, SEI, SSI, STI"; QEMU 7.2 takes the
          one with the lowest number."""),
    Entry(("7.2", "10.0"), "pmp", ("*: pmpaddr holds all of an address",),
          """Physical Memory Protection CSRs: in RV64 pmpaddr has bits 55-2 of an address; the others, which it holds
          too, are zero."""),
    Entry(("7.2", "10.0"), "*pmp", ("*: R=0 and W=1 is reserved *", "*: MML=0: R=0 and W=1 stays reserved"),
          """Physical Memory Protection CSRs: "the R, W, and X fields form a collective WARL field for which the
          combinations with R=0 and W=1 are reserved"."""),
    Entry(("7.2", "10.0"), "pmp", ("*: bits 5 and 6 of pmp0cfg are 0",),
          """Physical Memory Protection CSRs: these bits are zero."""),
    Entry(("7.2", "10.0"), "pmp", ("*: all entries are off: U-mode can do nothing",),
          """Priority and Matching Logic: the memory operation, the fetch by U-mode, fails; it is mret that does, by an
          illegal instruction in 7.2 and an access fault in 10.0."""),
    Entry(("7.2",), "smepmp", ("*: RLB=1: the address below a locked TOR", "Smepmp: MML=1, RLB=0: *"),
          """Smepmp of version 1.0; QEMU 7.2 has an earlier draft of it."""),
    Entry(("7.2",), "reservations", ("*: SC.? at ? is misaligned", "*: SC.? at ?: the trap value", "*: SC that would fail, *"),
          """Load-Reserved/Store-Conditional Instructions: "If the address is not naturally aligned, an address-misaligned
          exception or an access-fault exception will be generated", and "No SC.W instruction shall retire unless it
          passes memory permission checks"; an SC that fails is not checked at all."""),
    Entry(("10.0",), "reservations", ("*: SC that would fail, to where nothing is",),
          """Load-Reserved/Store-Conditional Instructions, as for 7.2, but for page tables and PMP: of an SC that fails the
          bus is not asked."""),
    Entry(("7.2", "10.0"), "reservations", ("*: SC fails behind a device's write of what was there already",),
          """Load-Reserved/Store-Conditional Instructions: "The SC must fail if a write from some other device to the bytes
          accessed by the LR can be observed to occur between the LR and SC"; it compares values."""),
    Entry(("7.2",), "values", (STOPS,),
          """Machine Trap Value (mtval) Register, on an instruction over the end of a page whose second half is nowhere:
          an access fault. QEMU itself ends, by an assertion."""),
    Entry(("7.2",), "misaligned", ("*second page that PMP protects*",),
          """Priority and Matching Logic: a misaligned access over the end of a page is checked as a whole, against the
          first page, which makes loads fault that are allowed, and gives the first byte for the one that faults."""),
    Entry(("7.2",), "registers", ("CSR Instructions: csrr? with a register that holds 0 writes",),
          """CSR Instructions: "if rs1 specifies a register other than x0, and that register holds a zero value, the
          instruction will not action any attendant per-field side effects, but will action any side effects caused by
          writing to the entire CSR", of which the exception of a read-only CSR is one."""),
    Entry(("7.2", "10.0"), "registers", ("*epc) Register: its low bits are 0",),
          """Machine Exception Program Counter Register: "The low bit of mepc is always zero"."""),
    Entry(("10.0",), "registers", ("*: reserved letters are 0",),
          """Machine ISA Register: "All bits that are reserved for future use must return zero"; G is set."""),
    Entry(("7.2", "10.0"), "float_state", ("*: fcvt.w.s in * makes it Dirty",
                                           "*: fcvt.l.d in * makes it Dirty", "*: feq.s in * makes it Dirty"),
          """Extension Context Status: "Execute instruction that possibly modifies state: Dirty". Where flags alone are
          changed, FS stays."""),
    Entry(("7.2", "10.0"), "counters", ("*: a value written to minstret is what the next instruction reads",
                                        "*not retire", "*: what comes before an ecall does"),
          """Hardware Performance Monitor: "Any CSR write takes effect after the writing instruction has otherwise
          completed", and Environment Call: "not considered to retire, and should not increment the minstret CSR". There
          the write counts, and so do instructions that trap."""),
    Entry(("7.2", "10.0"), "counters", ("*: m* counts again, into the upper half", "*: m* wraps around",
                                        "*: m* stands while inhibited", "*: bit 1 is read-only 0"),
          """Hardware Performance Monitor: counters are of 64 bits, also in RV32, and Counter-Inhibit Register: "When the
          CY, IR bit is set, the corresponding counter does not increment"; bit 1 has no counter."""),
    Entry(("7.2", "10.0"), "timer", ("*: STCE=0: stimecmp does not make STIP pending", "*: STCE=1 again: stimecmp counts"),
          """Machine Environment Configuration Register: with STCE=0 "STIP in mip and sip reverts to its defined behavior
          as if this extension is not implemented"; there it stays as it was, and setting STCE does not compare."""),
    Entry(("10.0",), "cache_blocks", ("*: CBIE = 2 is reserved",),
          """Machine Environment Configuration Register: "The encoding 0b10 is reserved"."""),
    Entry(("10.0",), "cache_blocks", ("*of cache blocks: cbo.*",),
          """Page-Fault, Guest-Page-Fault, and Access-Fault Exceptions: "the relevant *tval CSR is written with the
          faulting effective address (i.e. the value of rs1)", not that of the block; and a block where nothing is may
          not be managed."""),
)


def known(number, topic):
    return [c for e in ENTRIES if number in e.versions and fnmatchcase(topic, e.topic) for c in e.checks]


def stops(number, topic):
    """Whether the program cannot come to its end there."""
    return any(number in e.versions and fnmatchcase(topic, e.topic) and STOPS in e.checks for e in ENTRIES)
