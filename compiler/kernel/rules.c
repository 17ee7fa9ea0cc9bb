/* The typing rules. */
#include "compiler/kernel/rules.h"

enum {
    BOOL = 1,
    INT = 2,
    FLOAT = 4,
    U32 = 8,
    F32 = 16,
    NUMBER = INT | FLOAT,
    LOGIC = BOOL | INT,
    ANY = BOOL | INT | FLOAT
};

static const int8_t arity[ND__K_OPS] = {
#define KOP(name, arity, text) [ND__K_##name] = arity,
#include "compiler/kernel/kops.def"
#undef KOP
};

/* What the operands of the ops may be whose operands all have one type (a select: the second and third). */
static const uint8_t accepts[ND__K_OPS] = {
    [ND__K_add] = NUMBER,     [ND__K_sub] = NUMBER,      [ND__K_mul] = NUMBER,      [ND__K_div] = FLOAT,
    [ND__K_floordiv] = INT,   [ND__K_mod] = INT,         [ND__K_mulhi] = U32,       [ND__K_fma] = NUMBER,
    [ND__K_neg] = NUMBER,     [ND__K_abs] = NUMBER,      [ND__K_sqrt] = FLOAT,      [ND__K_floor] = FLOAT,
    [ND__K_ceil] = FLOAT,     [ND__K_rint] = FLOAT,      [ND__K_min] = NUMBER,      [ND__K_max] = NUMBER,
    [ND__K_eq] = ANY,         [ND__K_ne] = ANY,          [ND__K_lt] = NUMBER,       [ND__K_le] = NUMBER,
    [ND__K_select] = ANY,     [ND__K_and] = LOGIC,       [ND__K_or] = LOGIC,        [ND__K_xor] = LOGIC,
    [ND__K_not] = LOGIC,      [ND__K_shl] = INT,         [ND__K_shr] = INT,         [ND__K_convert] = ANY,
    [ND__K_bitcast] = NUMBER, [ND__K_tree_add] = NUMBER, [ND__K_tree_min] = NUMBER, [ND__K_tree_max] = NUMBER,
    [ND__K_transpose] = ANY,  [ND__K_splat] = ANY,       [ND__K_lane] = ANY,        [ND__K_scale] = F32,
};

static int class_of(nd_dtype dtype)
{
    if (dtype == ND_BOOL)
        return BOOL;
    if (nd_dtype_is_float(dtype))
        return dtype == ND_F32 ? FLOAT | F32 : FLOAT;
    return dtype == ND_U32 ? INT | U32 : INT;
}

bool nd__k_type_valid(nd__ktype type)
{
    return nd_dtype_size((nd_dtype)type.dtype) > 0 && type.lanes >= 1 && type.lanes <= ND__MAX_LANES &&
           (type.lanes & (type.lanes - 1)) == 0;
}

nd__ktype nd__k_result_type(nd__kop op, const nd__ktype *args)
{
    switch (op) {
    case ND__K_eq:
    case ND__K_ne:
    case ND__K_lt:
    case ND__K_le:
        return nd__k_type(ND_BOOL, args[0].lanes);
    case ND__K_select:
        return args[1];
    case ND__K_tree_add:
    case ND__K_tree_min:
    case ND__K_tree_max:
        return nd__k_type((nd_dtype)args[0].dtype, 1);
    default:
        return args[0];
    }
}

static const char *affine_error(const nd__kaffine *a)
{
    if (a->count < 0 || a->count > ND__MAX_TERMS)
        return "an affine form with too many terms, or one that overflowed";
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].coef == 0 || (i > 0 && a->terms[i - 1].iv >= a->terms[i].iv))
            return "an affine form whose terms are not in order, or 0";
    return NULL;
}

static const char *address_error(const nd__kernel *k, const nd__kinst *inst, nd__ktype value)
{
    const nd__kaddr *addr = inst->addr;
    if (!addr)
        return "no address";
    if (addr->buffer < 0 || addr->buffer >= k->buffer_count)
        return "no such buffer";
    const nd__kbuffer *buffer = &k->buffers[addr->buffer];
    bool writes = inst->op == ND__K_store || inst->op == ND__K_storex;
    if (writes && (buffer->access == ND__K_IN || buffer->access == ND__K_TABLE))
        return "a store to a buffer that is only read";
    if (value.dtype != buffer->dtype)
        return "the value's dtype is not the buffer's";
    if (addr->count < 1 || addr->count > value.lanes)
        return "a count of lanes outside [1, lanes]";
    return affine_error(&addr->at);
}

static const char *index_operand_error(nd__ktype index, const nd__kaddr *addr, nd__ktype value, bool vector)
{
    if (index.dtype != ND_I64)
        return "the index is no i64";
    if (index.lanes == 1)
        return NULL;
    if (!vector)
        return "the index is no scalar";
    if (index.lanes != value.lanes)
        return "the index has other lanes than the value";
    return addr->lane_stride == 0 ? NULL : "a vector of indices with a lane stride";
}

static const char *for_error(const nd__kernel *k, const nd__kinst *inst)
{
    if (inst->iv < 0 || inst->iv >= k->iv_count)
        return "no such induction variable";
    if (inst->step < 1)
        return "a step below 1";
    if (inst->result_count != inst->arg_count)
        return "another number of results than of values carried";
    if (inst->apart && inst->arg_count > 0)
        return "a loop apart that carries values";
    if (inst->arg_count > 0 && (inst->carried < 0 || inst->carried > k->value_count - inst->arg_count))
        return "no such values carried";
    for (int i = 0; i < inst->arg_count; i++)
        if (!nd__k_type_equal(k->types[inst->args[i]], k->types[inst->carried + i]) ||
            !nd__k_type_equal(k->types[inst->args[i]], k->types[inst->result + i]))
            return "a carried value of another type than its initial value";
    if (!inst->lo || !inst->hi)
        return "no bounds";
    const char *error = affine_error(inst->lo);
    return error ? error : affine_error(inst->hi);
}

/* The ops with operands of one type, by class; convert and bitcast choose the result's dtype. */
static const char *plain_error(const nd__kinst *inst, const nd__ktype *args, nd__ktype result)
{
    nd__kop op = inst->op;
    int first = op == ND__K_select ? 1 : 0;
    for (int i = first; i < inst->arg_count; i++) {
        if (!(class_of((nd_dtype)args[i].dtype) & accepts[op]))
            return "an operand of a dtype that the op does not take";
        if (!nd__k_type_equal(args[i], args[first]))
            return "operands of different types";
    }
    if (op == ND__K_select && (args[0].dtype != ND_BOOL || args[0].lanes != args[1].lanes))
        return "a condition that is not one bool for each lane";
    if (op == ND__K_convert || op == ND__K_bitcast) {
        if (args[0].lanes != result.lanes)
            return "operand and result with different lanes";
        if (op == ND__K_bitcast && (result.dtype == ND_BOOL ||
                                    nd_dtype_size((nd_dtype)args[0].dtype) != nd_dtype_size((nd_dtype)result.dtype)))
            return "a bitcast between dtypes of different sizes, or to bool";
        return NULL;
    }
    bool tree = op == ND__K_tree_add || op == ND__K_tree_min || op == ND__K_tree_max;
    if ((tree || op == ND__K_lane) && args[0].lanes == 1)
        return "a scalar where a vector belongs";
    if (op == ND__K_lane && inst->imm >= args[0].lanes)
        return "no such lane";
    nd__ktype expected = nd__k_result_type(op, args);
    if (op == ND__K_splat)
        expected.lanes = result.lanes;
    if (op == ND__K_lane)
        expected.lanes = 1;
    if (op == ND__K_splat && (args[0].lanes != 1 || result.lanes == 1))
        return "a splat that is not from a scalar to a vector";
    return nd__k_type_equal(result, expected) ? NULL : "a result of another type than the operands give";
}

const char *nd__k_inst_error(const nd__kernel *k, const nd__kinst *inst)
{
    if ((unsigned)inst->op >= ND__K_OPS)
        return "no such op";
    if (arity[inst->op] >= 0 && inst->arg_count != arity[inst->op])
        return "another number of operands than the op takes";
    if (inst->op == ND__K_yield)
        return inst->result_count == 0 ? NULL : "a yield with results";
    if (inst->result_count > 0 && (inst->result < 0 || inst->result > k->value_count - inst->result_count))
        return "no such result";
    if (inst->op == ND__K_for)
        return for_error(k, inst);
    nd__ktype args[3] = {{0}};
    for (int i = 0; i < inst->arg_count && i < 3; i++)
        args[i] = k->types[inst->args[i]];
    if (inst->op == ND__K_if)
        return args[0].dtype == ND_BOOL && args[0].lanes == 1 ? NULL : "a branch on something that is no bool scalar";

    bool stores = inst->op == ND__K_store || inst->op == ND__K_storex;
    int results = stores || inst->op == ND__K_fetch ? 0 : inst->op == ND__K_transpose ? inst->arg_count : 1;
    if (inst->result_count != results)
        return "another number of results than the op gives";
    if (!nd__k_type_valid(inst->type))
        return "a type that is none";
    for (int i = 0; i < results; i++)
        if (!nd__k_type_equal(inst->type, k->types[inst->result + i]))
            return "a result of another type than the instruction";
    const char *error;
    switch (inst->op) {
    case ND__K_const: {
        int bits = inst->type.dtype == ND_BOOL ? 1 : 8 * (int)nd_dtype_size((nd_dtype)inst->type.dtype);
        return bits < 64 && inst->imm >> bits ? "a constant with more bits than its dtype" : NULL;
    }
    case ND__K_index:
        if (!inst->addr)
            return "no affine form";
        if (!nd_dtype_is_integer((nd_dtype)inst->type.dtype))
            return "an index of a dtype that is no integer";
        return affine_error(&inst->addr->at);
    case ND__K_load:
    case ND__K_fetch:
        return address_error(k, inst, inst->type);
    case ND__K_store:
        return nd__k_type_equal(inst->type, args[0]) ? address_error(k, inst, args[0])
                                                     : "a store's type is not its value's";
    case ND__K_loadx:
        error = address_error(k, inst, inst->type);
        return error ? error : index_operand_error(args[0], inst->addr, inst->type, true);
    case ND__K_storex:
        if (!nd__k_type_equal(inst->type, args[0]))
            return "a store's type is not its value's";
        error = address_error(k, inst, args[0]);
        return error ? error : index_operand_error(args[1], inst->addr, args[0], false);
    case ND__K_transpose:
        if (inst->arg_count < 2 || inst->arg_count != inst->type.lanes)
            return "a transpose that is not of n vectors of n lanes";
        for (int i = 0; i < inst->arg_count; i++)
            if (!nd__k_type_equal(k->types[inst->args[i]], inst->type))
                return "operands of different types";
        return NULL;
    default:
        return plain_error(inst, args, inst->type);
    }
}
