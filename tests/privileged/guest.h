/* SPDX-License-Identifier: MIT */
/* What the programs of this suite share. They run without an operating system on the board virt, in M-mode; a topic
   (topics/) looks at what single instructions do in each mode.

   The heart is run(): it enters a mode at one of the pieces of code in ops.S, an instruction or a few with an `ecall`
   behind, and tells which trap ended them, as the handler saw it. The handler is M-mode's, or S-mode's when the trap
   was delegated. */
#ifndef TESTS_PRIVILEGED_GUEST_H
#define TESTS_PRIVILEGED_GUEST_H

#define XLEN       __riscv_xlen
#define NR_HARTS   4
#define STACK_SIZE 8192

/* Offsets into struct context, in registers. */
#define CTX_SAVED   0 /* ra, sp, s0 to s11 */
#define CTX_RUNNING 14
#define CTX_A0      15
#define CTX_T0      16
#define CTX_T1      17 /* t1 to t6 */
#define CTX_CAUSE   23
#define CTX_EPC     24
#define CTX_TVAL    25
#define CTX_STATUS  26
#define CTX_VECTOR  27
#define CTX_RESET   28 /* sc, mstatus, mcause, mseccfg, pmpcfg0 at reset */
#define CTX_INSTRET 33
#define CTX_JOB     34
#define CTX_SIZE    36

#define DIRECT       -1     /* CTX_VECTOR: not by an entry of the vector */
#define FROM_S       0x53d0 /* t6: S-mode's handler has been here */
#define MSTATUS_MPRV 0x20000

#ifndef __ASSEMBLER__

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long reg; /* XLEN bits */

/* ---- CSRs: by number, as assemblers don't know all names ---- */

#define CSR_FFLAGS        0x001
#define CSR_FRM           0x002
#define CSR_FCSR          0x003
#define CSR_SSTATUS       0x100
#define CSR_SIE           0x104
#define CSR_STVEC         0x105
#define CSR_SCOUNTEREN    0x106
#define CSR_SENVCFG       0x10a
#define CSR_SSCRATCH      0x140
#define CSR_SEPC          0x141
#define CSR_SCAUSE        0x142
#define CSR_STVAL         0x143
#define CSR_SIP           0x144
#define CSR_STIMECMP      0x14d
#define CSR_STIMECMPH     0x15d
#define CSR_SATP          0x180
#define CSR_MSTATUS       0x300
#define CSR_MISA          0x301
#define CSR_MEDELEG       0x302
#define CSR_MIDELEG       0x303
#define CSR_MIE           0x304
#define CSR_MTVEC         0x305
#define CSR_MCOUNTEREN    0x306
#define CSR_MENVCFG       0x30a
#define CSR_MSTATEEN0     0x30c
#define CSR_MSTATUSH      0x310
#define CSR_MEDELEGH      0x312
#define CSR_MENVCFGH      0x31a
#define CSR_MSTATEEN0H    0x31c
#define CSR_MCOUNTINHIBIT 0x320
#define CSR_MHPMEVENT3    0x323
#define CSR_MSCRATCH      0x340
#define CSR_MEPC          0x341
#define CSR_MCAUSE        0x342
#define CSR_MTVAL         0x343
#define CSR_MIP           0x344
#define CSR_PMPCFG0       0x3a0
#define CSR_PMPADDR0      0x3b0
#define CSR_MSECCFG       0x747
#define CSR_MSECCFGH      0x757
#define CSR_MCYCLE        0xb00
#define CSR_MINSTRET      0xb02
#define CSR_MHPMCOUNTER3  0xb03
#define CSR_MCYCLEH       0xb80
#define CSR_MINSTRETH     0xb82
#define CSR_CYCLE         0xc00
#define CSR_TIME          0xc01
#define CSR_INSTRET       0xc02
#define CSR_HPMCOUNTER3   0xc03
#define CSR_CYCLEH        0xc80
#define CSR_TIMEH         0xc81
#define CSR_INSTRETH      0xc82
#define CSR_MVENDORID     0xf11
#define CSR_MARCHID       0xf12
#define CSR_MIMPID        0xf13
#define CSR_MHARTID       0xf14
#define CSR_MCONFIGPTR    0xf15

#define STRING_(x) #x
#define STRING(x)  STRING_(x)
#define csr_read(n)                                                      \
    ({                                                                   \
        reg v_;                                                          \
        __asm__ volatile("csrr %0, " STRING(n) : "=r"(v_) : : "memory"); \
        v_;                                                              \
    })
#define csr_write(n, v) __asm__ volatile("csrw " STRING(n) ", %0" : : "rK"((reg)(v)) : "memory")
#define csr_set(n, v)   __asm__ volatile("csrs " STRING(n) ", %0" : : "rK"((reg)(v)) : "memory")
#define csr_clear(n, v) __asm__ volatile("csrc " STRING(n) ", %0" : : "rK"((reg)(v)) : "memory")
/* What is read back after a write; csr_probe puts the old value back. */
#define csr_rewrite(n, v) \
    ({                    \
        csr_write(n, v);  \
        csr_read(n);      \
    })
#define csr_probe(n, v)                                   \
    ({                                                    \
        reg old_ = csr_read(n), new_ = csr_rewrite(n, v); \
        csr_write(n, old_);                               \
        new_;                                             \
    })

/* ---- Bits ---- */

#define BIT(n)       ((reg)1 << (n))
#define BIT64(n)     ((uint64_t)1 << (n))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define MSTATUS_SIE  BIT(1)
#define MSTATUS_MIE  BIT(3)
#define MSTATUS_SPIE BIT(5)
#define MSTATUS_UBE  BIT(6)
#define MSTATUS_MPIE BIT(7)
#define MSTATUS_SPP  BIT(8)
#define MSTATUS_VS   (BIT(9) | BIT(10))
#define MSTATUS_MPP  (BIT(11) | BIT(12))
#define MSTATUS_FS   (BIT(13) | BIT(14))
#define MSTATUS_XS   (BIT(15) | BIT(16))
#define MSTATUS_SUM  BIT(18)
#define MSTATUS_MXR  BIT(19)
#define MSTATUS_TVM  BIT(20)
#define MSTATUS_TW   BIT(21)
#define MSTATUS_TSR  BIT(22)
#define MSTATUS_SD   BIT(XLEN - 1)
#define MPP(priv)    ((reg)(priv) << 11)
#define FS(state)    ((reg)(state) << 13)

enum fs { FS_OFF, FS_INITIAL, FS_CLEAN, FS_DIRTY };

#define MENVCFG_FIOM  BIT64(0)
#define MENVCFG_CBIE  (BIT64(4) | BIT64(5))
#define MENVCFG_CBCFE BIT64(6)
#define MENVCFG_CBZE  BIT64(7)
#define MENVCFG_ADUE  BIT64(61)
#define MENVCFG_PBMTE BIT64(62)
#define MENVCFG_STCE  BIT64(63)

#define INTERRUPT BIT(XLEN - 1)

enum irq { SSI = 1, MSI = 3, STI = 5, MTI = 7, SEI = 9, MEI = 11 };

enum cause {
    FETCH_MISALIGNED,
    FETCH_ACCESS,
    ILLEGAL,
    BREAKPOINT,
    LOAD_MISALIGNED,
    LOAD_ACCESS,
    STORE_MISALIGNED,
    STORE_ACCESS,
    ECALL_U,
    ECALL_S,
    ECALL_M = 11,
    FETCH_PAGE,
    LOAD_PAGE,
    STORE_PAGE = 15,
};

enum priv { U = 0, S = 1, M = 3 };

/* ---- Memory ---- */

#define UART        ((volatile uint8_t *)0x10000000)
#define FINISHER    ((volatile uint32_t *)0x100000)
#define MSIP(h)     ((volatile uint32_t *)(0x2000000 + 4 * (reg)(h)))
#define MTIMECMP(h) ((volatile uint32_t *)(0x2004000 + 8 * (reg)(h)))
#define MTIME       ((volatile uint32_t *)0x200bff8)
#define PLIC        0xc000000ul
#define UART_IRQ    10
#define NOWHERE     0x18000000ul /* nothing is there */

#define PAGE 4096ul
/* RAM that no program needs: on a boundary of 4 MiB, as large pages are. */
#define ARENA      0x80400000ul
#define ARENA_SIZE 0x400000ul

static inline volatile uint8_t *byte_at(reg addr)
{
    return (volatile uint8_t *)addr;
}

static inline volatile uint32_t *word_at(reg addr)
{
    return (volatile uint32_t *)addr;
}

static inline volatile reg *reg_at(reg addr)
{
    return (volatile reg *)addr;
}

uint64_t mtime(void);
void set_mtimecmp(unsigned hart, uint64_t at);
/* The UART's transmitter asks for an interrupt: through the PLIC to context 2 * hart (M) and 2 * hart + 1 (S). */
void plic_enable(unsigned context, bool on);
void uart_interrupts(bool on);

/* ---- Harts ---- */

struct context {
    reg saved[14], running, a0, t[7], cause, epc, tval, status, vector, reset[5], instret;
    void (*job)(unsigned hart);
    reg unused;
};

extern struct context contexts[NR_HARTS];

unsigned hart(void);
/* What a hart does while it waits for another one: a hint to let that one go on. */
static inline void pause_hart(void)
{
    __asm__ volatile(".4byte 0x0100000f" : : : "memory"); /* pause */
}
unsigned nr_harts(void); /* that came up; waits for them */
/* Has a parked hart do something; harts_wait waits until all are parked again. */
void hart_start(unsigned h, void (*job)(unsigned hart));
void harts_wait(void);

/* ---- Running code in a mode ---- */

#define NONE ((reg)-1) /* cause: the code came to its end */

struct trap {
    reg cause, epc, tval, status; /* status: of the handler's mode */
    reg value;                    /* a0 */
    int vector;                   /* entry of the vector, or DIRECT */
    enum priv handler;
};

extern const char ops[], ops_end[];

/* How run() differs from the plain one; kept until changed. */
struct how {
    reg ops_at[4]; /* where ops are mapped, by mode; 0: where they are */
    reg status;    /* bits of mstatus that are set on entry: MPIE, SPIE, MPRV, SUM, ... */
};

extern struct how how;

struct trap run_at(enum priv priv, reg pc, reg a0, reg a1, reg a2);
struct trap run(enum priv priv, const char *op, reg a0, reg a1);
/* An instruction by its bits. */
struct trap run_insn(enum priv priv, uint32_t bits, reg a0, reg a1);
/* Where ops are for a mode. */
reg op_address(enum priv priv, const char *op);

/* CSR instructions. */
enum csr_op { CSRRW = 1, CSRRS, CSRRC, CSRRWI = 5, CSRRSI, CSRRCI };
uint32_t csr_insn(unsigned csr, enum csr_op op, unsigned rd, unsigned rs1);
struct trap csr_reads(enum priv priv, unsigned csr);
struct trap csr_writes(enum priv priv, unsigned csr, reg value);

/* Code of ops.S. a0 is the address, a1 the value, where there are any. */
#define OP(name, code) extern const char op_##name[];
#include "ops.def"
#undef OP

/* ---- What the hart has ---- */

bool has(char letter); /* of misa */
bool has_csr(unsigned csr);
uint64_t menvcfg(void);
/* Sets and clears bits; true if that was possible. */
bool menvcfg_change(uint64_t set, uint64_t clear);

/* Lets all modes access all of memory, by the last entry; others are free. */
void pmp_open(void);
void pmp_close(void); /* all entries off */
bool has_pmp(void);
enum { NR_PMP = 16, PMP_OPEN = 15 };
#define PMP_R     1
#define PMP_W     2
#define PMP_X     4
#define PMP_RWX   7
#define PMP_TOR   0x08
#define PMP_NA4   0x10
#define PMP_NAPOT 0x18
#define PMP_L     0x80
void pmp_set(unsigned entry, reg cfg, reg addr); /* the address register, then the configuration */
void pmp_set_cfg(unsigned entry, reg cfg);
reg pmp_cfg(unsigned entry);
void pmp_set_addr(unsigned entry, reg addr);
reg pmp_addr(unsigned entry);
reg napot(reg base, reg size); /* value of pmpaddr */

void fence_i(void);
void sfence(void); /* all */

/* ---- Saying what was found ---- */

/* %s, %u, %x (reg), %c. */
void say(const char *fmt, ...);
/* The paragraph of the manual that the following checks are about. */
void paragraph(const char *fmt, ...);
/* `ok - PARAGRAPH: NAME`, or `not ok` and what it was. */
void check(uint64_t got, uint64_t want, const char *name, ...);
void check_true(bool condition, const char *name, ...);
/* A trap of that cause with that value, taken at the first instruction; NONE: none. */
void check_trap(struct trap t, reg cause, reg tval, const char *name, ...);
void check_none(struct trap t, const char *name, ...);
/* The code came to its end with this in a0. */
void check_value(struct trap t, reg value, const char *name, ...);
void check_illegal(struct trap t, uint32_t bits, const char *name, ...);
void skip(const char *why, ...);

/* Supplied by each topic. */
void topic(void);

const char *priv_name(enum priv priv);

#endif
#endif
