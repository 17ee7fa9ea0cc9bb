/* The evaluator: what a kernel means, one lane after another. It checks what an emitter takes for granted: that every
 * address lies in its buffer, and that memory without contents is written before it is read. */
#include "compiler/kernel/print.h"
#include "compiler/kernel/rules.h"
#include "compiler/kernel/scalar.h"

#include <inttypes.h>
#include <string.h>

typedef struct machine {
    const nd__kernel *k;
    nd__arena arena;
    uint64_t **lanes;  /* by value: its lanes' bits */
    uint64_t *scratch; /* room for the lanes of all values: what is yielded moves at once */
    int64_t *iv;
    unsigned char **memory;  /* by buffer */
    unsigned char **written; /* by buffer, by element; NULL: it has contents from the start */
    int64_t *open;           /* the loops that run, outermost first, by induction variable */
    int open_count;
    char *message;
    size_t size;
} machine;

/* -- mistakes ------------------------------------------------------------------------------------------------------ */

/* "kernel k: `inst`: what, at i0 = 3, i2 = 5"; false. */
static bool wrong(machine *m, const nd__kinst *inst, const char *what)
{
    char text[160];
    nd__k_inst_text(m->k, inst, text, sizeof text);
    int used = snprintf(m->message, m->size, "kernel %s: `%s`: %s", m->k->name, text, what);
    for (int i = 0; i < m->open_count && used >= 0 && (size_t)used < m->size; i++)
        used += snprintf(m->message + used, m->size - (size_t)used, "%s i%d = %" PRId64, i ? "," : ", at",
                         (int)m->open[i], m->iv[m->open[i]]);
    return false;
}

static bool wrong_element(machine *m, const nd__kinst *inst, int64_t element, const char *what)
{
    const nd__kbuffer *b = &m->k->buffers[inst->addr->buffer];
    char text[160];
    snprintf(text, sizeof text, "element %" PRId64 " of %s[%" PRId64 "] %s", element, b->name, b->elems, what);
    return wrong(m, inst, text);
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

static bool affine_value(machine *m, const nd__kinst *inst, const nd__kaffine *a, int64_t *value)
{
    *value = a->constant;
    for (int i = 0; i < a->count; i++) {
        int64_t term;
        if (__builtin_mul_overflow(a->terms[i].coef, m->iv[a->terms[i].iv], &term) ||
            __builtin_add_overflow(*value, term, value))
            return wrong(m, inst, "an affine form overflows");
    }
    return true;
}

/* Lane `lane` of an access, with the index added. */
static bool element_at(machine *m, const nd__kinst *inst, int lane, int64_t index, int64_t *element)
{
    const nd__kaddr *addr = inst->addr;
    int64_t stride, moved;
    if (!affine_value(m, inst, &addr->at, element))
        return false;
    if (__builtin_mul_overflow(addr->lane_stride, (int64_t)lane, &stride) ||
        __builtin_mul_overflow(addr->scale, index, &moved) || __builtin_add_overflow(*element, stride, element) ||
        __builtin_add_overflow(*element, moved, element))
        return wrong(m, inst, "an address overflows");
    if (*element < 0 || *element >= m->k->buffers[addr->buffer].elems)
        return wrong_element(m, inst, *element, "is outside");
    return true;
}

static void *memory_of(machine *m, const nd__kinst *inst, int64_t element)
{
    return m->memory[inst->addr->buffer] + (size_t)element * nd_dtype_size(m->k->buffers[inst->addr->buffer].dtype);
}

static bool load_lane(machine *m, const nd__kinst *inst, int lane, int64_t index, bool wanted, uint64_t *bits)
{
    int64_t element;
    if (!element_at(m, inst, lane, index, &element))
        return false;
    *bits = 0;
    if (!wanted)
        return true;
    const unsigned char *written = m->written[inst->addr->buffer];
    if (written && !written[element])
        return wrong_element(m, inst, element, "is read before it is written");
    *bits = nd__scalar_load((nd_dtype)inst->type.dtype, memory_of(m, inst, element));
    return true;
}

static bool store_lane(machine *m, const nd__kinst *inst, int lane, int64_t index, uint64_t bits)
{
    int64_t element;
    if (!element_at(m, inst, lane, index, &element))
        return false;
    if (m->written[inst->addr->buffer])
        m->written[inst->addr->buffer][element] = 1;
    nd__scalar_store((nd_dtype)inst->type.dtype, memory_of(m, inst, element), bits);
    return true;
}

static bool load(machine *m, const nd__kinst *inst)
{
    uint64_t *to = m->lanes[inst->result];
    memset(to, 0, inst->type.lanes * sizeof *to);
    for (int l = 0; l < inst->addr->count; l++)
        if (!load_lane(m, inst, l, 0, true, &to[l]))
            return false;
    return true;
}

static bool store(machine *m, const nd__kinst *inst)
{
    for (int l = 0; l < inst->addr->count; l++)
        if (!store_lane(m, inst, l, 0, m->lanes[inst->args[0]][l]))
            return false;
    return true;
}

/* Whether an index is inside; if not it becomes 0, which has to be an address all the same: compiled code may read
 * there and drop what it read. */
static bool inside_bound(int64_t *index, uint64_t bits, int64_t bound)
{
    memcpy(index, &bits, sizeof *index);
    bool inside = *index >= 0 && *index < bound;
    *index = inside ? *index : 0;
    return inside;
}

static bool loadx(machine *m, const nd__kinst *inst)
{
    const uint64_t *index = m->lanes[inst->args[0]];
    bool each = m->k->types[inst->args[0]].lanes > 1;
    uint64_t *to = m->lanes[inst->result];
    memset(to, 0, inst->type.lanes * sizeof *to);
    for (int l = 0; l < inst->addr->count && inst->addr->bound > 0; l++) {
        int64_t at;
        bool inside = inside_bound(&at, index[each ? l : 0], inst->addr->bound);
        if (!load_lane(m, inst, l, at, inside, &to[l]))
            return false;
    }
    return true;
}

static bool storex(machine *m, const nd__kinst *inst)
{
    int64_t at;
    if (!inside_bound(&at, m->lanes[inst->args[1]][0], inst->addr->bound))
        return true;
    for (int l = 0; l < inst->addr->count; l++)
        if (!store_lane(m, inst, l, at, m->lanes[inst->args[0]][l]))
            return false;
    return true;
}

/* -- arithmetic ---------------------------------------------------------------------------------------------------- */

static bool index_lanes(machine *m, const nd__kinst *inst)
{
    int64_t first;
    if (!affine_value(m, inst, &inst->addr->at, &first))
        return false;
    for (int l = 0; l < inst->type.lanes; l++) {
        uint64_t number = (uint64_t)first + (uint64_t)inst->addr->lane_stride * (uint64_t)l;
        m->lanes[inst->result][l] = nd__scalar_convert(ND_I64, (nd_dtype)inst->type.dtype, number);
    }
    return true;
}

static void tree(machine *m, const nd__kinst *inst)
{
    nd__kop op = inst->op == ND__K_tree_add ? ND__K_add : inst->op == ND__K_tree_min ? ND__K_min : ND__K_max;
    uint64_t lanes[ND__MAX_LANES];
    int n = m->k->types[inst->args[0]].lanes;
    memcpy(lanes, m->lanes[inst->args[0]], (size_t)n * sizeof *lanes);
    for (int half = n / 2; half >= 1; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] = nd__scalar_op(op, (nd_dtype)inst->type.dtype, lanes[l], lanes[l + half], 0);
    m->lanes[inst->result][0] = lanes[0];
}

static void lane_by_lane(machine *m, const nd__kinst *inst)
{
    static const uint64_t none[ND__MAX_LANES];
    const uint64_t *x[3] = {none, none, none};
    for (int i = 0; i < inst->arg_count; i++)
        x[i] = m->lanes[inst->args[i]];
    nd_dtype from = (nd_dtype)m->k->types[inst->args[inst->op == ND__K_select ? 1 : 0]].dtype;
    for (int l = 0; l < inst->type.lanes; l++)
        m->lanes[inst->result][l] =
            inst->op == ND__K_convert   ? nd__scalar_convert(from, (nd_dtype)inst->type.dtype, x[0][l])
            : inst->op == ND__K_bitcast ? x[0][l]
                                        : nd__scalar_op(inst->op, from, x[0][l], x[1][l], x[2][l]);
}

/* -- structure ----------------------------------------------------------------------------------------------------- */

static bool run_block(machine *m, const nd__kblock *block);

/* Values `from` become n values from `first` on, all at once: a yield may give what it carries in another order. */
static void move(machine *m, int32_t n, const nd__kval *from, nd__kval first)
{
    uint64_t *at = m->scratch;
    for (int32_t i = 0; i < n; at += m->k->types[first + i].lanes, i++)
        memcpy(at, m->lanes[from[i]], m->k->types[first + i].lanes * sizeof *at);
    at = m->scratch;
    for (int32_t i = 0; i < n; at += m->k->types[first + i].lanes, i++)
        memcpy(m->lanes[first + i], at, m->k->types[first + i].lanes * sizeof *at);
}

static bool run_for(machine *m, const nd__kinst *inst)
{
    int64_t lo, hi;
    if (!affine_value(m, inst, inst->lo, &lo) || !affine_value(m, inst, inst->hi, &hi))
        return false;
    lo = lo < inst->least ? inst->least : lo;
    hi = hi > inst->most ? inst->most : hi;
    move(m, inst->arg_count, inst->args, inst->carried);
    m->open[m->open_count++] = inst->iv;
    for (int64_t i = lo; i < hi;) {
        m->iv[inst->iv] = i;
        if (!run_block(m, &inst->body))
            return false;
        move(m, inst->arg_count, inst->body.last->args, inst->carried);
        if (__builtin_add_overflow(i, inst->step, &i))
            break;
    }
    m->open_count--;
    for (int32_t i = 0; i < inst->result_count; i++)
        memcpy(m->lanes[inst->result + i], m->lanes[inst->carried + i],
               m->k->types[inst->carried + i].lanes * sizeof(uint64_t));
    return true;
}

static bool run_if(machine *m, const nd__kinst *inst)
{
    const nd__kblock *side = m->lanes[inst->args[0]][0] ? &inst->body : &inst->other;
    if (!run_block(m, side))
        return false;
    move(m, inst->result_count, side->last->args, inst->result);
    return true;
}

static bool run_inst(machine *m, const nd__kinst *inst)
{
    uint64_t *to = inst->result_count > 0 ? m->lanes[inst->result] : NULL;
    switch (inst->op) {
    case ND__K_const:
        for (int l = 0; l < inst->type.lanes; l++)
            to[l] = inst->imm;
        return true;
    case ND__K_splat:
        for (int l = 0; l < inst->type.lanes; l++)
            to[l] = m->lanes[inst->args[0]][0];
        return true;
    case ND__K_lane:
        to[0] = m->lanes[inst->args[0]][inst->imm];
        return true;
    case ND__K_index:
        return index_lanes(m, inst);
    case ND__K_load:
        return load(m, inst);
    case ND__K_store:
        return store(m, inst);
    case ND__K_fetch:
        return true;
    case ND__K_loadx:
        return loadx(m, inst);
    case ND__K_storex:
        return storex(m, inst);
    case ND__K_tree_add:
    case ND__K_tree_min:
    case ND__K_tree_max:
        tree(m, inst);
        return true;
    case ND__K_transpose:
        for (int i = 0; i < inst->arg_count; i++)
            for (int l = 0; l < inst->arg_count; l++)
                m->lanes[inst->result + i][l] = m->lanes[inst->args[l]][i];
        return true;
    case ND__K_for:
        return run_for(m, inst);
    case ND__K_if:
        return run_if(m, inst);
    case ND__K_yield: /* whose body it ends moves the values */
        return true;
    default:
        lane_by_lane(m, inst);
        return true;
    }
}

static bool run_block(machine *m, const nd__kblock *block)
{
    for (const nd__kinst *i = block->first; i; i = i->next)
        if (!run_inst(m, i))
            return false;
    return true;
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

/* Room for everything; false: memory ran out. Tables are only read: no store passes the verifier. */
static bool prepare(machine *m, void *const *buffers)
{
    const nd__kernel *k = m->k;
    size_t total = 0, values = (size_t)k->value_count, count = (size_t)k->buffer_count, ivs = (size_t)k->iv_count;
    for (size_t v = 0; v < values; v++)
        total += k->types[v].lanes;
    m->lanes = nd__arena_alloc(&m->arena, values, sizeof *m->lanes);
    uint64_t *lanes = nd__arena_alloc(&m->arena, total, sizeof *lanes);
    m->scratch = nd__arena_alloc(&m->arena, total, sizeof *m->scratch);
    m->iv = nd__arena_alloc(&m->arena, ivs, sizeof *m->iv);
    m->open = nd__arena_alloc(&m->arena, ivs, sizeof *m->open);
    m->memory = nd__arena_alloc(&m->arena, count, sizeof *m->memory);
    m->written = nd__arena_alloc(&m->arena, count, sizeof *m->written);
    if (!m->lanes || !lanes || !m->scratch || !m->iv || !m->open || !m->memory || !m->written)
        return false;
    for (size_t v = 0; v < values; lanes += k->types[v].lanes, v++)
        m->lanes[v] = lanes;
    for (size_t i = 0, argument = 0; i < count; i++) {
        const nd__kbuffer *b = &k->buffers[i];
        const void *data = b->access == ND__K_TABLE ? b->data : buffers[argument++];
        memcpy(&m->memory[i], &data, sizeof data);
        if (b->access == ND__K_OUT || b->access == ND__K_SCRATCH) {
            m->written[i] = nd__arena_alloc(&m->arena, (size_t)b->elems, 1);
            if (!m->written[i])
                return false;
        }
    }
    return true;
}

const char *nd__k_eval(const nd__kernel *k, void *const *buffers, char *message, size_t size)
{
    const char *error = nd__k_verify(k, message, size);
    if (error)
        return error;
    machine m = {.k = k, .message = message, .size = size};
    bool done = false;
    if (prepare(&m, buffers))
        done = run_block(&m, &k->body);
    else
        snprintf(message, size, "kernel %s: memory ran out", k->name);
    nd__arena_release(&m.arena);
    return done ? NULL : message;
}
