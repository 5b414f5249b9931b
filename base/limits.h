// SPDX-License-Identifier: MIT
// Sizes that the stress build shrinks to give bugs a chance: tables overflow, caches miss, registers run out
// and everything is flushed all the time. What a guest sees must not change by it.
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#ifdef FERRY_STRESS
#define LIMIT_TLB_BITS_MIN 3     // the invalid-tag scheme needs three
#define LIMIT_TLB_BITS 4
#define LIMIT_JUMP_CACHE_BITS 2
#define LIMIT_GUEST_INSNS 3      // of a unit
#define LIMIT_TRACE_INSNS 12     // of a trace
#define LIMIT_TRACE_HEAT 3       // times that a unit is entered before
#define LIMIT_CODE_SIZE (2u << 20) // default size of the code buffer
#define LIMIT_GPRS (1 << RBX | 1 << RSI | 1 << RDI | 1 << R8 | 1 << R12 | 1 << R13) // x86-64
#define LIMIT_XMMS 5
#define LIMIT_LOOP_GPRS 2          // guest registers carried around a loop
#define LIMIT_LOOP_FPRS 1
#else
#define LIMIT_TLB_BITS_MIN 8
#define LIMIT_TLB_BITS 13
#define LIMIT_JUMP_CACHE_BITS 15
#define LIMIT_GUEST_INSNS 64
#define LIMIT_TRACE_INSNS 200
#define LIMIT_TRACE_HEAT 8192
#define LIMIT_CODE_SIZE (64u << 20)
#define LIMIT_GPRS (1 << RBX | 1 << RSI | 1 << RDI | 0xff00)
#define LIMIT_XMMS 14
#define LIMIT_LOOP_GPRS 8
#define LIMIT_LOOP_FPRS 9
#endif

#endif
