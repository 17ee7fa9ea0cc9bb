/* Chunks: a kernel over much data computes one of several equal parts, which threads may run at once.
 *
 * Parts are cut along an axis of what is kept, never along one that is reduced, so that they change no bit, whoever
 * runs them. How many there are follows from the shape and the work. */
#include "compiler/schedule/block.h"
#include "compiler/schedule/cost.h"

enum {
    /* Microseconds that a chunk should have: handing out costs a tenth, and fetching what another thread has stored. */
    GRAIN = 1,
    MOST = 32,
};

double nd__work(const nd__space *s)
{
    const double cycles = ND__CYCLES_A_MICROSECOND,
                 lanes = s->block->target->vector_bytes / 4; /* a microsecond; of a vector */
    double each = 0, points = 1;
    for (int i = 0; i < s->expr_count; i++) {
        const nd__expr *x = &s->exprs[i];
        bool costly = x->kind == ND__E_RANDOM || (x->kind == ND__E_OP && (nd__ops[x->op].traits & ND__COSTLY));
        each += x->kind == ND__E_CONST ? 0 : costly ? 20 : 1;
    }
    for (int d = 0; d < s->rank; d++)
        points *= (double)s->size[d];
    return points * (each + s->output_count) / (lanes * cycles);
}

/* The largest number that divides into multiples of the unit, or an even one that is half of it at least: two threads
 * then have the same to do. */
static int count_chunks(const nd__target *target, int64_t size, int64_t unit, double microseconds)
{
    const double chunks = microseconds / (target->grain > 0 ? target->grain : GRAIN) + 0.5;
    int largest = 1;
    for (int n = chunks < MOST ? (int)chunks : MOST; n > 1 && 2 * n >= largest; n--) {
        if (size % n != 0 || size / n % unit != 0)
            continue;
        if (n % 2 == 0)
            return n;
        largest = largest > 1 ? largest : n;
    }
    return largest;
}

/* How far the parameter moves with the axis; negative: not the same everywhere, or backwards. */
static int64_t movement(const nd__space *s, int param, int axis)
{
    int64_t coef = s->params[param].walked ? s->params[param].walk.coef[axis] : -1;
    bool seen = s->params[param].walked;
    for (int i = 0; i < s->expr_count; i++) {
        const nd__expr *x = &s->exprs[i];
        if ((x->kind != ND__E_LOAD && x->kind != ND__E_GATHER) || x->param != param)
            continue;
        if (seen && x->at.coef[axis] != coef)
            return -1;
        coef = x->at.coef[axis];
        seen = true;
    }
    for (int i = 0; i < s->output_count; i++) {
        const nd__output *o = &s->outputs[i];
        if (o->param != param)
            continue;
        if (seen && o->at.coef[axis] != coef)
            return -1;
        coef = o->at.coef[axis];
        seen = true;
    }
    return coef;
}

/* Numbers made of the point itself would begin again in every chunk. */
static bool counts_points(const nd__space *s, int axis)
{
    for (int i = 0; i < s->expr_count; i++)
        if ((s->exprs[i].kind == ND__E_COORD || s->exprs[i].kind == ND__E_RANDOM) && s->exprs[i].at.coef[axis] != 0)
            return true;
    return false;
}

bool nd__cut(nd__space *s, int axis, int64_t unit, double microseconds)
{
    const int chunks = count_chunks(s->block->target, s->size[axis], unit, microseconds);
    if (s->failed || chunks < 2 || counts_points(s, axis))
        return false;
    for (int i = 0; i < s->param_count; i++)
        if (s->params[i].access != ND__K_SCRATCH && movement(s, i, axis) < 0)
            return false;
    for (int i = 0; i < s->output_count; i++) /* what a chunk would share with others */
        if (s->outputs[i].at.coef[axis] == 0)
            return false;
    for (int i = 0; i < s->param_count; i++) {
        nd__param *p = &s->params[i];
        if (p->access == ND__K_SCRATCH)
            continue;
        p->chunk = movement(s, i, axis) * (s->size[axis] / chunks);
        p->elems -= p->chunk * (chunks - 1);
    }
    s->size[axis] /= chunks;
    s->chunks = chunks;
    return true;
}
