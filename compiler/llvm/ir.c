/* Types, constants, intrinsics: the vocabulary of the other files. */
#include "compiler/llvm/ir.h"

#include <string.h>

void nd__ir_begin(nd__ir *ir, const char *name, const nd__machine *machine)
{
    memset(ir, 0, sizeof *ir);
    ir->machine = ir->base = machine;
    ir->context = LLVMContextCreate();
    ir->module = LLVMModuleCreateWithNameInContext(name, ir->context);
    ir->builder = LLVMCreateBuilderInContext(ir->context);
    ir->nothing = LLVMVoidTypeInContext(ir->context);
    ir->pointer = LLVMPointerTypeInContext(ir->context, 0);
    ir->i1 = LLVMInt1TypeInContext(ir->context);
    ir->i8 = LLVMInt8TypeInContext(ir->context);
    ir->i32 = LLVMInt32TypeInContext(ir->context);
    ir->i64 = LLVMInt64TypeInContext(ir->context);
    ir->f32 = LLVMFloatTypeInContext(ir->context);
    ir->f64 = LLVMDoubleTypeInContext(ir->context);
}

void nd__ir_end(nd__ir *ir)
{
    LLVMDisposeBuilder(ir->builder);
    LLVMDisposeModule(ir->module);
    LLVMContextDispose(ir->context);
    nd__arena_release(&ir->arena);
}

LLVMTypeRef nd__ir_stored(const nd__ir *ir, nd_dtype dtype)
{
    switch (dtype) {
    case ND_BOOL:
    case ND_U8:
        return ir->i8;
    case ND_I32:
    case ND_U32:
        return ir->i32;
    case ND_I64:
        return ir->i64;
    case ND_F32:
        return ir->f32;
    default:
        return ir->f64;
    }
}

LLVMTypeRef nd__ir_element(const nd__ir *ir, nd_dtype dtype)
{
    return dtype == ND_BOOL ? ir->i1 : nd__ir_stored(ir, dtype);
}

LLVMTypeRef nd__ir_lanes(LLVMTypeRef element, int lanes)
{
    return lanes == 1 ? element : LLVMVectorType(element, (unsigned)lanes);
}

LLVMTypeRef nd__ir_type(const nd__ir *ir, nd__ktype type)
{
    return nd__ir_lanes(nd__ir_element(ir, (nd_dtype)type.dtype), type.lanes);
}

int nd__ir_lane_count(LLVMTypeRef type)
{
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(type) : 1;
}

static LLVMTypeRef element_of(LLVMTypeRef type)
{
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? LLVMGetElementType(type) : type;
}

LLVMValueRef nd__ir_splat_constant(LLVMValueRef element, int lanes)
{
    LLVMValueRef all[ND__MAX_LANES];
    if (lanes == 1)
        return element;
    for (int i = 0; i < lanes; i++)
        all[i] = element;
    return LLVMConstVector(all, (unsigned)lanes);
}

LLVMValueRef nd__ir_bits(const nd__ir *ir, nd__ktype type, uint64_t bits)
{
    LLVMValueRef element;
    switch ((nd_dtype)type.dtype) {
    case ND_BOOL:
        element = LLVMConstInt(ir->i1, bits != 0, false);
        break;
    case ND_F32:
        element = LLVMConstBitCast(LLVMConstInt(ir->i32, bits & UINT32_MAX, false), ir->f32);
        break;
    case ND_F64:
        element = LLVMConstBitCast(LLVMConstInt(ir->i64, bits, false), ir->f64);
        break;
    default:
        element = nd__ir_integer(nd__ir_element(ir, (nd_dtype)type.dtype), bits);
    }
    return nd__ir_splat_constant(element, type.lanes);
}

LLVMValueRef nd__ir_integer(LLVMTypeRef like, uint64_t value)
{
    LLVMTypeRef element = element_of(like);
    unsigned width = LLVMGetIntTypeWidth(element);
    if (width < 64)
        value &= (UINT64_C(1) << width) - 1;
    return nd__ir_splat_constant(LLVMConstInt(element, value, false), nd__ir_lane_count(like));
}

LLVMValueRef nd__ir_float(LLVMTypeRef like, double value)
{
    return nd__ir_splat_constant(LLVMConstReal(element_of(like), value), nd__ir_lane_count(like));
}

LLVMValueRef nd__ir_intrinsic(nd__ir *ir, const char *name, int types, LLVMTypeRef *overload, int args,
                              LLVMValueRef *arg)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(ir->module, id, overload, (size_t)types);
    LLVMTypeRef type = LLVMIntrinsicGetType(ir->context, id, overload, (size_t)types);
    return LLVMBuildCall2(ir->builder, type, function, arg, (unsigned)args, "");
}

LLVMValueRef nd__ir_unary(nd__ir *ir, const char *name, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    return nd__ir_intrinsic(ir, name, 1, &type, 1, &x);
}

void nd__ir_attribute(nd__ir *ir, LLVMValueRef function, LLVMAttributeIndex where, const char *name, uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(function, where, LLVMCreateEnumAttribute(ir->context, kind, value));
}

static void text_attribute(nd__ir *ir, LLVMValueRef function, const char *name, const char *value)
{
    LLVMAddAttributeAtIndex(
        function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
        LLVMCreateStringAttribute(ir->context, name, (unsigned)strlen(name), value, (unsigned)strlen(value)));
}

/* The name, and in a variant also which. */
static const char *internal_name(nd__ir *ir, const char *name)
{
    const char *full = ir->variant ? nd__arena_format(&ir->arena, "%s.%s", name, ir->variant) : name;
    ir->failed = ir->failed || !full;
    return full ? full : name;
}

LLVMValueRef nd__ir_internal(nd__ir *ir, const char *name)
{
    return LLVMGetNamedFunction(ir->module, internal_name(ir, name));
}

LLVMValueRef nd__ir_function(nd__ir *ir, const char *name, LLVMTypeRef type, LLVMLinkage linkage)
{
    LLVMValueRef function =
        LLVMAddFunction(ir->module, linkage == LLVMInternalLinkage ? internal_name(ir, name) : name, type);
    LLVMSetLinkage(function, linkage);
    nd__ir_attribute(ir, function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, "nounwind", 0);
    if (ir->machine != ir->base) {
        text_attribute(ir, function, "target-cpu", ir->machine->cpu);
        text_attribute(ir, function, "target-features", ir->machine->features);
    }
    if (ir->machine->tune)
        text_attribute(ir, function, "tune-cpu", ir->machine->tune);
    /* Some processors are tuned to 256 bits; a kernel's tiles are counted in the target's full registers. */
    if (ir->machine->level >= 4)
        text_attribute(ir, function, "prefer-vector-width", "512");
    return function;
}

LLVMValueRef nd__ir_data(nd__ir *ir, const void *data, int64_t bytes)
{
    for (struct nd__ir_data *d = ir->data; d; d = d->next)
        if (d->bytes == bytes && (d->data == data || (d->data && data && !memcmp(d->data, data, (size_t)bytes))))
            return d->global;
    LLVMValueRef text = LLVMConstStringInContext2(ir->context, data ? data : "", (size_t)(data ? bytes : 0), true);
    LLVMValueRef global = LLVMAddGlobal(ir->module, LLVMTypeOf(text), "");
    LLVMSetInitializer(global, text);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(global, true);
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    LLVMSetAlignment(global, 64);
    struct nd__ir_data *d = nd__arena_alloc(&ir->arena, 1, sizeof *d);
    if (d)
        *d = (struct nd__ir_data){ir->data, data, bytes, global}, ir->data = d;
    return global;
}

LLVMValueRef nd__ir_address(nd__ir *ir, LLVMValueRef pointer, LLVMValueRef bytes)
{
    if (LLVMIsNull(bytes))
        return pointer;
    return LLVMBuildGEP2(ir->builder, ir->i8, pointer, &bytes, 1, "");
}
