/* Expressions over a domain: resolving the graph's values. */
#include "compiler/schedule/block.h"

#include <string.h>

/* -- affine forms -------------------------------------------------------------------------------------------------- */

nd__lin nd__lin_const(int64_t constant)
{
    return (nd__lin){.constant = constant};
}

nd__lin nd__lin_axis(int axis)
{
    nd__lin a = {0};
    a.coef[axis] = 1;
    return a;
}

nd__lin nd__lin_add(nd__lin a, nd__lin b, int64_t factor)
{
    a.constant += factor * b.constant;
    for (int k = 0; k < ND__AXES; k++)
        a.coef[k] += factor * b.coef[k];
    return a;
}

bool nd__lin_equal(const nd__lin *a, const nd__lin *b)
{
    return a->constant == b->constant && memcmp(a->coef, b->coef, sizeof a->coef) == 0;
}

bool nd__lin_is_axis(const nd__lin *a, int axis)
{
    nd__lin b = nd__lin_axis(axis);
    return nd__lin_equal(a, &b);
}

nd__index nd__identity(const nd_shape *shape)
{
    nd__index index = {0};
    for (int d = 0; d < shape->rank; d++)
        if (shape->dims[d] != 1)
            index.at[d] = nd__lin_axis(d);
    return index;
}

void nd__strides(int rank, const int64_t *size, int64_t *strides)
{
    int64_t stride = 1;
    for (int d = rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= size[d];
    }
}

static nd__lin address(int rank, const int64_t *strides, const nd__index *index)
{
    nd__lin at = nd__lin_const(0);
    for (int d = 0; d < rank; d++)
        at = nd__lin_add(at, index->at[d], strides[d]);
    return at;
}

nd__lin nd__flat(const nd_shape *shape, const nd__index *index)
{
    int64_t strides[ND_MAX_RANK];
    nd__strides(shape->rank, shape->dims, strides);
    return address(shape->rank, strides, index);
}

/* The strides of a value that lies in memory by itself. */
static void own_strides(const nd__block *b, const nd_value *v, int64_t *strides)
{
    const int rank = v->shape.rank;
    nd__strides(rank, v->shape.dims, strides);
    if (b->turned[v->node->number]) {
        strides[rank - 2] = 1;
        strides[rank - 1] = v->shape.dims[rank - 2];
    }
}

/* Where an element of it lies. */
static nd__lin own_address(const nd__block *b, const nd_value *v, const nd__index *index)
{
    int64_t strides[ND_MAX_RANK];
    own_strides(b, v, strides);
    return address(v->shape.rank, strides, index);
}

nd__index nd__reduced_index(int rank, int reduced)
{
    nd__index index = {0};
    for (int d = 0; d < rank; d++)
        index.at[d] = nd__lin_axis(d == reduced ? rank - 1 : d < reduced ? d : d - 1);
    return index;
}

/* -- views ----------------------------------------------------------------------------------------------------------
 */

/* A reshape that only inserts and removes axes of size 1, as an index: false where it regroups axes. */
static bool through_reshape(const nd_shape *in, const nd_shape *out, nd__index *index)
{
    nd__index inner = {0};
    int o = 0;
    for (int d = 0; d < in->rank; d++) {
        if (in->dims[d] == 1)
            continue;
        while (o < out->rank && out->dims[o] == 1)
            o++;
        if (o == out->rank || out->dims[o] != in->dims[d])
            return false;
        inner.at[d] = index->at[o++];
    }
    while (o < out->rank && out->dims[o] == 1)
        o++;
    if (o < out->rank)
        return false;
    *index = inner;
    return true;
}

const nd_value *nd__through_views(const nd_value *v, nd__index *index)
{
    for (;;) {
        const nd__node *n = v->node;
        const nd_value *x = n->input_count > 0 ? n->inputs[0] : NULL;
        nd__index inner = {0};
        switch (n->op) {
        case ND__OP_stop_gradient:
            v = x;
            continue;
        case ND__OP_broadcast:
            for (int d = 0; d < x->shape.rank; d++) {
                int o = v->shape.rank - x->shape.rank + d;
                if (x->shape.dims[d] == v->shape.dims[o])
                    inner.at[d] = index->at[o];
            }
            break;
        case ND__OP_transpose:
            for (int o = 0; o < v->shape.rank; o++)
                inner.at[nd__get_ints(n, ND__A_axes)[o]] = index->at[o];
            break;
        case ND__OP_slice:
            for (int d = 0; d < x->shape.rank; d++)
                inner.at[d] = nd__lin_add(nd__lin_const(nd__get_ints(n, ND__A_start)[d]), index->at[d],
                                          nd__get_ints(n, ND__A_step)[d]);
            break;
        case ND__OP_reshape:
            if (!through_reshape(&x->shape, &v->shape, index))
                return v;
            v = x;
            continue;
        default:
            return v;
        }
        *index = inner;
        v = x;
    }
}

/* Strides of a reshaped view, where axes that merge lie one in the other; false where a copy would be needed (NumPy's
 * rule). */
static bool reshape_strides(const nd_shape *in, const int64_t *from, const nd_shape *out, int64_t *to)
{
    int i = 0, o = 0;
    if (nd__elements(out) == 0) {
        memset(to, 0, sizeof(int64_t) * ND_MAX_RANK);
        return true;
    }
    while (i < in->rank || o < out->rank) {
        /* The shortest runs of axes with equal products. */
        int i0 = i, o0 = o;
        int64_t p = i < in->rank ? in->dims[i++] : 1, q = o < out->rank ? out->dims[o++] : 1;
        while (p != q) {
            if (p < q)
                p *= in->dims[i++];
            else
                q *= out->dims[o++];
        }
        int64_t stride = 0, span = 0; /* of the run's elements: one stride, if they lie evenly */
        for (int k = i - 1; k >= i0; k--) {
            if (in->dims[k] == 1)
                continue;
            if (span != 0 && from[k] != stride * span)
                return false;
            if (span == 0) {
                stride = from[k];
                span = 1;
            }
            span *= in->dims[k];
        }
        for (int k = o - 1; k >= o0; k--) {
            to[k] = stride;
            stride *= out->dims[k];
        }
    }
    return true;
}

bool nd__view(const nd__block *b, const nd_value *v, const nd_value **base, int64_t *offset, int64_t *strides)
{
    const nd__node *n = v->node;
    if (!nd__is_view(n) || b->copied[n->number]) {
        *base = v;
        *offset = 0;
        own_strides(b, v, strides);
        return true;
    }
    const nd_value *x = n->inputs[0];
    int64_t inner[ND_MAX_RANK] = {0};
    if (!nd__view(b, x, base, offset, inner))
        return false;
    switch (n->op) {
    case ND__OP_broadcast:
        for (int o = 0; o < v->shape.rank; o++) {
            int d = o - (v->shape.rank - x->shape.rank);
            strides[o] = d >= 0 && x->shape.dims[d] == v->shape.dims[o] ? inner[d] : 0;
        }
        return true;
    case ND__OP_transpose:
        for (int o = 0; o < v->shape.rank; o++)
            strides[o] = inner[nd__get_ints(n, ND__A_axes)[o]];
        return true;
    case ND__OP_slice:
        for (int d = 0; d < v->shape.rank; d++) {
            if (v->shape.dims[d] > 0)
                *offset += inner[d] * nd__get_ints(n, ND__A_start)[d];
            strides[d] = inner[d] * nd__get_ints(n, ND__A_step)[d];
        }
        return true;
    case ND__OP_reshape:
        return reshape_strides(&x->shape, inner, &v->shape, strides);
    default:
        memcpy(strides, inner, sizeof inner);
        return true;
    }
}

/* -- resolving ------------------------------------------------------------------------------------------------------
 */

static int add_expr(nd__space *s, nd__expr e)
{
    if (s->failed || !nd__arena_grow(s->arena, &s->exprs, &s->expr_room, s->expr_count + 1, sizeof *s->exprs)) {
        s->failed = true;
        return 0;
    }
    for (int k = 0; k < s->rank; k++)
        if (e.at.coef[k] != 0 && s->size[k] != 1)
            e.axes |= 1u << k;
    for (int i = 0; i < e.arg_count; i++) {
        e.axes |= s->exprs[e.args[i]].axes;
        e.given |= s->exprs[e.args[i]].given;
    }
    s->exprs[s->expr_count] = e;
    return s->expr_count++;
}

static int *slot_of(const nd__space *s, const nd_value *v)
{
    return &s->slots[((unsigned)v->node->number * 2654435761u >> 7) & (unsigned)(s->slot_count - 1)];
}

/* As many slots as there is room for what is known. */
static bool grow_slots(nd__space *s)
{
    int count = 16;
    while (count < s->known_room)
        count *= 2;
    s->slots = nd__arena_alloc(s->arena, (size_t)count, sizeof *s->slots);
    s->slot_count = count;
    for (int i = 0; i < count && s->slots; i++)
        s->slots[i] = -1;
    for (int i = 0; i < s->known_count && s->slots; i++) {
        int *slot = slot_of(s, s->known[i].value);
        s->known[i].next = *slot;
        *slot = i;
    }
    return s->slots != NULL;
}

void nd__know_at(nd__space *s, const nd_value *v, const nd__index *index, int expr)
{
    const int room = s->known_room;
    if (s->failed || !nd__arena_grow(s->arena, &s->known, &s->known_room, s->known_count + 1, sizeof *s->known) ||
        (room != s->known_room && !grow_slots(s))) {
        s->failed = true;
        return;
    }
    int *slot = slot_of(s, v);
    s->known[s->known_count] = (struct nd__known){v, *index, expr, *slot};
    *slot = s->known_count++;
}

void nd__know(nd__space *s, const nd_value *v, int expr)
{
    nd__index index = nd__identity(&v->shape);
    nd__know_at(s, v, &index, expr);
}

static int find_known(const nd__space *s, const nd_value *v, const nd__index *index)
{
    for (int i = s->slots ? *slot_of(s, v) : -1; i >= 0; i = s->known[i].next) {
        bool same = s->known[i].value == v;
        for (int d = 0; d < v->shape.rank && same; d++)
            same = v->shape.dims[d] == 1 || nd__lin_equal(&s->known[i].index.at[d], &index->at[d]);
        if (same)
            return s->known[i].expr;
    }
    return -1;
}

int nd__expr_given(nd__space *s, const nd_value *v, unsigned axes)
{
    return add_expr(s, (nd__expr){.kind = ND__E_GIVEN, .dtype = v->dtype, .value = v, .axes = axes, .given = true});
}

static bool same_spot(const nd__spot *a, const nd__spot *b)
{
    bool same = a->buffer == b->buffer && a->offset == b->offset;
    for (int d = 0; d < ND__MAX_NEST; d++)
        same &= a->stride[d] == b->stride[d];
    return same;
}

int nd__param_of(nd__space *s, nd__spot spot, nd_dtype dtype, int64_t elems, nd__kaccess access, const char *name)
{
    for (int i = 0; i < s->param_count; i++) {
        nd__param *p = &s->params[i];
        if (access == ND__K_SCRATCH || p->access == ND__K_SCRATCH || !same_spot(&p->spot, &spot))
            continue;
        if (p->access != access)
            p->access = ND__K_INOUT;
        if (p->elems < elems)
            p->elems = elems;
        return i;
    }
    if (!nd__arena_grow(s->arena, &s->params, &s->param_room, s->param_count + 1, sizeof *s->params)) {
        s->failed = true;
        return 0;
    }
    s->params[s->param_count] = (nd__param){spot, access, dtype, elems, name};
    return s->param_count++;
}

uint64_t nd__element_bits(nd_dtype dtype, const void *element)
{
    uint64_t bits = 0;
    memcpy(&bits, element, nd_dtype_size(dtype));
    return bits;
}

static int refuse(nd__space *s, const nd_value *v, const char *why)
{
    nd__fail(s->block->m, ND_ERR_INTERNAL, v->node->place, "schedule: %%%d (%s): %s", v->node->number,
             nd__ops[v->node->op].name, why);
    s->failed = true;
    return 0;
}

int nd__expr_load(nd__space *s, nd__spot spot, nd_dtype dtype, int64_t elems, nd__lin at, const char *name)
{
    int param = nd__param_of(s, spot, dtype, elems, ND__K_IN, name);
    return add_expr(s, (nd__expr){.kind = ND__E_LOAD, .dtype = dtype, .param = param, .at = at});
}

static int resolve_gather(nd__space *s, const nd_value *v, const nd__index *index)
{
    const nd_value *table = v->node->inputs[0], *indices = v->node->inputs[1], *base;
    int64_t offset, strides[ND_MAX_RANK];
    nd__spot spot;
    if (!nd__view(s->block, table, &base, &offset, strides) || !nd__spot_of(s->block, base, &spot))
        return refuse(s, v, "the table is not in memory");
    nd__lin at = nd__lin_const(offset);
    for (int d = 1; d < table->shape.rank; d++)
        at = nd__lin_add(at, index->at[indices->shape.rank + d - 1], strides[d]);
    int row = nd__resolve(s, indices, index);
    int param = nd__param_of(s, spot, base->dtype, nd__elements(&base->shape), ND__K_IN, base->name);
    return add_expr(s, (nd__expr){.kind = ND__E_GATHER,
                                  .dtype = v->dtype,
                                  .param = param,
                                  .at = at,
                                  .args = {row, -1, -1},
                                  .arg_count = 1,
                                  .scale = strides[0],
                                  .bound = table->shape.dims[0],
                                  .value = v});
}

static int resolve_random(nd__space *s, const nd_value *v, const nd__index *index)
{
    nd__index word[2] = {0};
    word[1].at[0] = nd__lin_const(1);
    int low = nd__resolve(s, v->node->inputs[0], &word[0]), high = nd__resolve(s, v->node->inputs[0], &word[1]);
    return add_expr(s, (nd__expr){.kind = ND__E_RANDOM,
                                  .dtype = ND_U32,
                                  .at = nd__flat(&v->shape, index),
                                  .args = {low, high, -1},
                                  .arg_count = 2,
                                  .bits = (uint64_t)nd__get_int(v->node, ND__A_stream),
                                  .value = v});
}

int nd__expr_const(nd__space *s, nd_dtype dtype, uint64_t bits)
{
    return add_expr(s, (nd__expr){.kind = ND__E_CONST, .dtype = dtype, .bits = bits});
}

static uint64_t number_bits(nd_dtype dtype, int64_t number)
{
    union {
        float f;
        double d;
        int64_t i;
        uint64_t bits;
    } u = {.bits = 0};
    if (dtype == ND_F32)
        u.f = (float)number;
    else if (dtype == ND_F64)
        u.d = (double)number;
    else
        u.i = number;
    return nd__element_bits(dtype, &u);
}

/* Whether a value that is no view lies in memory, and this kernel does not compute it. */
static bool is_loaded(const nd__space *s, const nd_value *v, nd__spot *spot)
{
    bool at_home = s->group && s->block->home[v->node->number] == s->group->number;
    return !at_home && nd__spot_of(s->block, v, spot);
}

/* A value that is not known yet, whose operands are. */
static int resolve_new(nd__space *s, const nd_value *v, const nd__index *index)
{
    const nd__node *n = v->node;
    nd__spot spot;
    if (nd__is_view(n)) { /* a reshape that regroups the axes of something in memory */
        const nd_value *base;
        int64_t offset, strides[ND_MAX_RANK];
        if (!nd__view(s->block, v, &base, &offset, strides) || !nd__spot_of(s->block, base, &spot))
            return refuse(s, v, "what it shows is not in memory");
        nd__lin at = nd__lin_const(offset);
        for (int d = 0; d < v->shape.rank; d++)
            at = nd__lin_add(at, index->at[d], strides[d]);
        return nd__expr_load(s, spot, base->dtype, nd__elements(&base->shape), at, base->name);
    }
    if (is_loaded(s, v, &spot)) {
        int load = nd__expr_load(s, spot, v->dtype, nd__elements(&v->shape), own_address(s->block, v, index), v->name);
        if (!s->failed)
            s->exprs[load].value = v;
        return load;
    }
    switch (n->op) {
    case ND__OP_constant:
        return nd__expr_const(s, v->dtype, nd__element_bits(v->dtype, nd__get(n, ND__A_data)->data->items));
    case ND__OP_size:
        return nd__expr_const(s, v->dtype, number_bits(v->dtype, nd__get_int(n, ND__A_of)));
    case ND__OP_iota:
        return add_expr(
            s, (nd__expr){
                   .kind = ND__E_COORD, .dtype = v->dtype, .at = index->at[nd__get_int(n, ND__A_axis)], .value = v});
    case ND__OP_gather:
        return resolve_gather(s, v, index);
    case ND__OP_random_bits:
        return resolve_random(s, v, index);
    default:
        break;
    }
    if (!(nd__ops[n->op].traits & ND__ELEMENTWISE))
        return refuse(s, v, "it is not in memory where it is needed");
    nd__expr e = {.kind = ND__E_OP, .dtype = v->dtype, .op = n->op, .arg_count = n->input_count, .value = v};
    for (int i = 0; i < n->input_count; i++)
        e.args[i] = nd__resolve(s, n->inputs[i], index);
    return add_expr(s, e);
}

static void push(nd__space *s, const nd_value *v, const nd__index *index)
{
    if (!nd__arena_grow(s->arena, &s->pending, &s->pending_room, s->pending_count + 1, sizeof *s->pending)) {
        s->failed = true;
        return;
    }
    struct nd__pending *p = &s->pending[s->pending_count++];
    p->index = *index;
    p->value = nd__through_views(v, &p->index);
}

/* Puts what the value is computed of and is not known yet on top, the first operand uppermost; whether there is any. */
static bool push_operands(nd__space *s, const struct nd__pending *p)
{
    const nd__node *n = p->value->node;
    const int before = s->pending_count, first = n->op == ND__OP_gather ? 1 : 0;
    nd__spot spot;
    if (nd__is_view(n) || is_loaded(s, p->value, &spot) || !(first > 0 || nd__ops[n->op].traits & ND__ELEMENTWISE))
        return false;
    for (int i = n->input_count - 1; i >= first && !s->failed; i--) {
        push(s, n->inputs[i], &p->index);
        const struct nd__pending *top = &s->pending[s->pending_count - 1];
        if (!s->failed && find_known(s, top->value, &top->index) >= 0)
            s->pending_count--;
    }
    return s->pending_count > before;
}

/* Not by recursion: a kernel may be a chain of thousands of nodes, and the caller's stack small. */
int nd__resolve(nd__space *s, const nd_value *v, const nd__index *given)
{
    const int base = s->pending_count;
    nd__index index = *given;
    v = nd__through_views(v, &index);
    if (s->failed)
        return 0;
    int expr = find_known(s, v, &index);
    if (expr >= 0)
        return expr;
    push(s, v, &index);
    while (!s->failed && s->pending_count > base) {
        const struct nd__pending top = s->pending[s->pending_count - 1];
        expr = find_known(s, top.value, &top.index);
        if (expr < 0 && push_operands(s, &top))
            continue;
        if (expr < 0) {
            expr = resolve_new(s, top.value, &top.index);
            nd__know_at(s, top.value, &top.index, expr);
        }
        s->pending_count--;
    }
    return expr;
}

/* -- outputs --------------------------------------------------------------------------------------------------------
 */

void nd__add_output(nd__space *s, int expr, nd__spot spot, nd_dtype dtype, int64_t elems, nd__lin at, const char *name)
{
    int param = nd__param_of(s, spot, dtype, elems, ND__K_OUT, name);
    if (s->failed || !nd__arena_grow(s->arena, &s->outputs, &s->output_room, s->output_count + 1, sizeof *s->outputs)) {
        s->failed = true;
        return;
    }
    s->outputs[s->output_count++] = (nd__output){.expr = expr, .param = param, .at = at};
}

void nd__add_outputs(nd__space *s)
{
    const nd__group *g = s->group;
    for (int i = 0; i < g->member_count; i++) {
        const nd__node *n = s->block->m->nodes[g->members[i]];
        const nd_value *v = &n->results[0];
        nd__index identity = nd__identity(&v->shape);
        nd__spot spot;
        if (nd__spot_of(s->block, v, &spot))
            nd__add_output(s, nd__resolve(s, v, &identity), spot, v->dtype, nd__elements(&v->shape),
                           own_address(s->block, v, &identity), v->name);
    }
    const nd__lists *placed = &s->block->placed;
    for (int i = placed->first[g->number]; i < placed->first[g->number + 1]; i++) {
        const nd__place *place = &s->block->places[placed->items[i]];
        const nd_value *v = place->value;
        nd__index identity = nd__identity(&v->shape);
        nd__spot spot = place->spot;
        if (!place->whole || nd__spot_of(s->block, place->whole, &spot))
            nd__add_output(s, nd__resolve(s, v, &identity), spot, v->dtype, place->elems, place->at, v->name);
    }
}

/* -- fewer axes ------------------------------------------------------------------------------------------------------
 */

/* Whether the address of a point depends on axes k and k + 1 as on one. */
static bool mergeable(const nd__space *s, const nd__lin *at, int k)
{
    return at->coef[k] == at->coef[k + 1] * s->size[k + 1];
}

static void drop_coef(nd__lin *at, int k)
{
    memmove(&at->coef[k], &at->coef[k + 1], (size_t)(ND__AXES - k - 1) * sizeof at->coef[0]);
    at->coef[ND__AXES - 1] = 0;
}

/* Axis k goes: it has size 1, or its points are counted on by axis k + 1 (`merged`). */
static void drop_axis(nd__space *s, int k, bool merged)
{
    for (int i = 0; i < s->expr_count; i++) {
        nd__expr *e = &s->exprs[i];
        unsigned low = e->axes & ((1u << k) - 1), high = e->axes >> (k + 1);
        if (merged && (e->axes & 1u << k))
            high |= 1;
        e->axes = low | high << k;
        drop_coef(&e->at, k);
    }
    for (int i = 0; i < s->output_count; i++)
        drop_coef(&s->outputs[i].at, k);
    if (merged)
        s->size[k + 1] *= s->size[k];
    memmove(&s->size[k], &s->size[k + 1], (size_t)(ND__AXES - k - 1) * sizeof s->size[0]);
    s->rank--;
}

int nd__collapse(nd__space *s, int first, int last)
{
    int gone = 0;
    for (int k = last; k >= first; k--) {
        bool merge = k < last - gone;
        if (s->size[k] == 1) {
            drop_axis(s, k, false);
            gone++;
            continue;
        }
        for (int i = 0; i < s->expr_count && merge; i++)
            merge = mergeable(s, &s->exprs[i].at, k);
        for (int i = 0; i < s->output_count && merge; i++)
            merge = mergeable(s, &s->outputs[i].at, k);
        if (merge) {
            drop_axis(s, k, true);
            gone++;
        }
    }
    return gone;
}
