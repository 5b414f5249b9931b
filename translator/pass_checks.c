// SPDX-License-Identifier: MIT
// Lets accesses off the same base register share one TLB check: the first check is widened to cover the
// later ones, which then use its host address.
//
// A widened check may fail where each access alone would not (the stretch crosses a page, or one of the
// accesses would fault): the host then leaves, and the loop runs on in a unit made without sharing.
#include "translator/ir.h"

#define MAX_GROUPS 16
// Longer stretches share more but cross pages more often: at 256 bytes one random stretch in 16 does.
#define MAX_STRETCH 256

struct group {
    ir_ref chk;
    ir_ref base;
    int64_t lo, hi; // offsets from base that are covered
};

struct groups {
    struct ir *ir;
    struct group g[MAX_GROUPS];
    unsigned nr, oldest;
};

static bool fits(const struct groups *p, const struct group *g, const struct ir_insn *chk)
{
    const struct ir_insn *first = &p->ir->insn[g->chk];
    int64_t lo = (int64_t)chk->imm, hi = lo + chk->x;
    if (g->base != chk->arg[0])
        return false;
    if (chk->aux & CHK_WRITE && !(first->aux & CHK_WRITE))
        return false;
    if (chk->aux & CHK_ALIGN && !(first->aux & CHK_ALIGN && g->lo == lo && g->hi == hi))
        return false;
    if (first->aux & CHK_ALIGN && (lo < g->lo || hi > g->hi))
        return false;
    return MAX(hi, g->hi) - MIN(lo, g->lo) <= MAX_STRETCH;
}

static void widen(struct groups *p, struct group *g, const struct ir_insn *chk)
{
    g->lo = MIN(g->lo, (int64_t)chk->imm);
    g->hi = MAX(g->hi, (int64_t)chk->imm + chk->x);
    struct ir_insn *first = &p->ir->insn[g->chk];
    first->imm = g->lo;
    first->x = g->hi - g->lo;
    first->aux |= CHK_SHARED;
}

static void start(struct groups *p, ir_ref r)
{
    const struct ir_insn *chk = &p->ir->insn[r];
    struct group g = {r, chk->arg[0], (int64_t)chk->imm, (int64_t)chk->imm + chk->x};
    if (p->nr < MAX_GROUPS) {
        p->g[p->nr++] = g;
    } else {
        p->g[p->oldest] = g;
        p->oldest = (p->oldest + 1) % MAX_GROUPS;
    }
}

static void access_of(struct groups *p, struct ir_insn *in)
{
    ir_ref own = in->arg[1];
    // Those of the other byte order are done the slow way, which checks for itself.
    if (in->aux & MO_BSWAP || p->ir->insn[own].aux & CHK_SHARED)
        return;
    for (unsigned i = 0; i < p->nr; i++) {
        if (!fits(p, &p->g[i], &p->ir->insn[own]))
            continue;
        widen(p, &p->g[i], &p->ir->insn[own]);
        in->arg[1] = p->g[i].chk;
        p->ir->insn[own].op = IR_NOP;
        return;
    }
    start(p, own);
}

void ir_pass_checks(struct ir *ir)
{
    if (!ir->share_checks)
        return;
    struct groups p = {.ir = ir};
    for (unsigned r = 1; r < ir->nr_insns; r++) {
        struct ir_insn *in = &ir->insn[r];
        if (in->op == IR_LD || in->op == IR_ST)
            access_of(&p, in);
        else if (in->op == IR_CALL && !(ir->call[in->x].flags & CALL_PURE))
            p.nr = p.oldest = 0;
    }
}
