/* One module for several processors: the plans once for each, and functions that choose among them by what cpuid says,
 * asked once in the life of the process. */
#include "compiler/llvm/ir_entry.h"
#include "compiler/schedule/schedule.h"

#include <string.h>

#define B (ir->builder)

/* -- which level this processor has ------------------------------------------------------------------------------- */

/* What the levels of the x86-64 psABI add to each other, by the registers in which cpuid tells of it. */
#define BIT(n) (UINT32_C(1) << (n))
static const uint32_t osxsave = BIT(27);
static const uint32_t ecx1_v2 = BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23); /* sse3 .. sse4.2, popcnt */
static const uint32_t ecx1_v3 = BIT(12) | BIT(22) | BIT(27) | BIT(28) | BIT(29); /* fma movbe osxsave avx f16c */
static const uint32_t ecx8_v2 = BIT(0), ecx8_v3 = BIT(5);                        /* lahf; lzcnt */
static const uint32_t ebx7_v3 = BIT(3) | BIT(5) | BIT(8);                        /* bmi1 avx2 bmi2 */
static const uint32_t ebx7_v4 = BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31); /* avx512f dq cd bw vl */
static const uint32_t xcr0_v3 = 0x06, xcr0_v4 = 0xe6; /* the system saves registers of 256, of 512 bits */

static LLVMValueRef number(const nd__ir *ir, uint32_t n)
{
    return LLVMConstInt(ir->i32, n, false);
}

static LLVMValueRef build_asm(nd__ir *ir, const char *text, const char *constraints, int results, int args,
                              LLVMValueRef *arg)
{
    LLVMTypeRef types[4] = {ir->i32, ir->i32, ir->i32, ir->i32};
    LLVMTypeRef type = LLVMFunctionType(LLVMStructTypeInContext(ir->context, types, (unsigned)results, false), types,
                                        (unsigned)args, false);
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true, false,
                                         LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(B, type, code, arg, (unsigned)args, "");
}

/* eax, ebx, ecx or edx (0 .. 3) of a leaf. */
static LLVMValueRef cpuid(nd__ir *ir, uint32_t leaf, unsigned which)
{
    LLVMValueRef arg[] = {number(ir, leaf), number(ir, 0)};
    LLVMValueRef all = build_asm(ir, "cpuid", "={ax},={bx},={cx},={dx},0,2", 4, 2, arg);
    return LLVMBuildExtractValue(B, all, which, "");
}

static LLVMValueRef has(nd__ir *ir, LLVMValueRef set, uint32_t bits)
{
    return LLVMBuildICmp(B, LLVMIntEQ, LLVMBuildAnd(B, set, number(ir, bits), ""), number(ir, bits), "");
}

static LLVMBasicBlockRef new_block(nd__ir *ir, LLVMValueRef function)
{
    return LLVMAppendBasicBlockInContext(ir->context, function, "");
}

static LLVMValueRef phi(nd__ir *ir, LLVMValueRef x, LLVMBasicBlockRef from_x, LLVMValueRef y, LLVMBasicBlockRef from_y)
{
    LLVMValueRef p = LLVMBuildPhi(B, ir->i32, ""), values[] = {x, y};
    LLVMBasicBlockRef from[] = {from_x, from_y};
    LLVMAddIncoming(p, values, from, 2);
    return p;
}

/* xcr0, which only systems that save more than 128 bits let us read; else 0. */
static LLVMValueRef saved_registers(nd__ir *ir, LLVMValueRef function, LLVMValueRef ecx1)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(B), read = new_block(ir, function), after = new_block(ir, function);
    LLVMBuildCondBr(B, has(ir, ecx1, osxsave), read, after);
    LLVMPositionBuilderAtEnd(B, read);
    LLVMValueRef zero = number(ir, 0), pair = build_asm(ir, "xgetbv", "={ax},={dx},{cx}", 2, 1, &zero);
    LLVMValueRef low = LLVMBuildExtractValue(B, pair, 0, "");
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, after);
    return phi(ir, zero, before, low, read);
}

static LLVMValueRef ask_level(nd__ir *ir, LLVMValueRef function)
{
    LLVMValueRef last = cpuid(ir, 0, 0), ecx1 = cpuid(ir, 1, 2), ebx7 = cpuid(ir, 7, 1);
    LLVMValueRef ecx8 = cpuid(ir, UINT32_C(0x80000001), 2);
    /* Behind the last leaf some processors repeat it. */
    LLVMValueRef told = LLVMBuildICmp(B, LLVMIntUGE, last, number(ir, 7), "");
    ebx7 = LLVMBuildSelect(B, told, ebx7, number(ir, 0), "");
    LLVMValueRef xcr0 = saved_registers(ir, function, ecx1);
    LLVMValueRef v2 = LLVMBuildAnd(B, has(ir, ecx1, ecx1_v2), has(ir, ecx8, ecx8_v2), "");
    LLVMValueRef v3 = LLVMBuildAnd(B, v2, has(ir, ecx1, ecx1_v3), "");
    v3 = LLVMBuildAnd(B, v3, has(ir, ecx8, ecx8_v3), "");
    v3 = LLVMBuildAnd(B, v3, has(ir, ebx7, ebx7_v3), "");
    v3 = LLVMBuildAnd(B, v3, has(ir, xcr0, xcr0_v3), "");
    LLVMValueRef v4 = LLVMBuildAnd(B, v3, has(ir, ebx7, ebx7_v4), "");
    v4 = LLVMBuildAnd(B, v4, has(ir, xcr0, xcr0_v4), "");
    LLVMValueRef level = LLVMBuildSelect(B, v2, number(ir, 2), number(ir, 1), "");
    level = LLVMBuildSelect(B, v3, number(ir, 3), level, "");
    return LLVMBuildSelect(B, v4, number(ir, 4), level, "");
}

static void relaxed(LLVMValueRef access)
{
    LLVMSetOrdering(access, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(access, 4);
}

/* int level(void): 1 .. 4. Threads that ask at the same time get the same answer. */
static LLVMValueRef write_level(nd__ir *ir)
{
    /* No symbol of C can have these names. */
    LLVMValueRef known = LLVMAddGlobal(ir->module, ir->i32, "nadir level known");
    LLVMSetInitializer(known, number(ir, 0));
    LLVMSetLinkage(known, LLVMInternalLinkage);
    LLVMTypeRef type = LLVMFunctionType(ir->i32, NULL, 0, false);
    LLVMValueRef f = nd__ir_function(ir, "nadir level", type, LLVMInternalLinkage);
    LLVMBasicBlockRef start = new_block(ir, f), ask = new_block(ir, f), done = new_block(ir, f);
    LLVMPositionBuilderAtEnd(B, start);
    LLVMValueRef before = LLVMBuildLoad2(B, ir->i32, known, "");
    relaxed(before);
    LLVMBuildCondBr(B, LLVMBuildIsNull(B, before, ""), ask, done);
    LLVMPositionBuilderAtEnd(B, ask);
    LLVMValueRef level = ask_level(ir, f);
    relaxed(LLVMBuildStore(B, level, known));
    ask = LLVMGetInsertBlock(B);
    LLVMBuildBr(B, done);
    LLVMPositionBuilderAtEnd(B, done);
    LLVMBuildRet(B, phi(ir, before, start, level, ask));
    return f;
}

/* -- functions that choose ---------------------------------------------------------------------------------------- */

/* A function of that name which calls one of the others, of the same type: that of the highest level there is. */
static LLVMValueRef write_choice(nd__ir *ir, LLVMValueRef level_function, const char *name, bool parallel, int count,
                                 const nd__machine *machines, const LLVMValueRef *callees)
{
    LLVMTypeRef type = nd__ir_entry_type(ir, parallel);
    LLVMValueRef f = nd__ir_function(ir, name, type, LLVMExternalLinkage), args[5];
    LLVMGetParams(f, args);
    LLVMPositionBuilderAtEnd(B, new_block(ir, f));
    LLVMValueRef level = LLVMBuildCall2(B, LLVMGlobalGetValueType(level_function), level_function, NULL, 0, "");
    for (int v = count - 1; v >= 0; v--) {
        LLVMBasicBlockRef call = new_block(ir, f), next = v > 0 ? new_block(ir, f) : NULL;
        if (v > 0) {
            LLVMValueRef enough = LLVMBuildICmp(B, LLVMIntUGE, level, number(ir, (uint32_t)machines[v].level), "");
            LLVMBuildCondBr(B, enough, call, next);
        } else {
            LLVMBuildBr(B, call);
        }
        LLVMPositionBuilderAtEnd(B, call);
        LLVMSetTailCall(LLVMBuildCall2(B, type, callees[v], args, parallel ? 5 : 4, ""), true);
        LLVMBuildRetVoid(B);
        if (next)
            LLVMPositionBuilderAtEnd(B, next);
    }
    return f;
}

static void write_choices(nd__ir *ir, const nd__plan *const *plans, int n, char *const *symbols, int count,
                          const nd__machine *machines, nd__entries *const *entries)
{
    LLVMValueRef level = write_level(ir), callees[ND__MAX_VARIANTS];
    for (int p = 0; p < n; p++) {
        char *raw = nd__arena_format(&ir->arena, "%s_entry", symbols[p]);
        char *parallel = nd__arena_format(&ir->arena, "%s_parallel", symbols[p]);
        if (!raw || !parallel) {
            ir->failed = true;
            return;
        }
        for (int v = 0; v < count; v++)
            callees[v] = entries[v][p].serial;
        LLVMValueRef serial = write_choice(ir, level, raw, false, count, machines, callees);
        for (int v = 0; v < count; v++)
            callees[v] = entries[v][p].parallel;
        if (callees[0])
            write_choice(ir, level, parallel, true, count, machines, callees);
        nd__ir_symbol(ir, plans[p], symbols[p], serial);
    }
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

bool nd__has_chunks(const nd__variant *variants, int count, int p)
{
    bool chunks = false;
    for (int v = 0; v < count; v++)
        chunks = chunks ||
                 (variants[v].plans && variants[v].plans[p] && nd__steps_have_chunks(&variants[v].plans[p]->steps));
    return chunks;
}

void nd__ir_variants(nd__ir *ir, const nd__variant *variants, const nd__machine *machines, int count, int n,
                     char *const *symbols)
{
    nd__entries *entries[ND__MAX_VARIANTS];
    bool *parallel = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *parallel);
    ir->failed = ir->failed || !parallel;
    for (int p = 0; p < n && parallel; p++)
        parallel[p] = nd__has_chunks(variants, count, p);
    for (int v = 0; v < count && !ir->failed; v++) {
        ir->machine = &machines[v];
        ir->variant = count > 1 ? machines[v].cpu : NULL;
        entries[v] = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *entries[v]);
        if (entries[v])
            nd__ir_plans(ir, variants[v].plans, n, symbols, parallel, entries[v]);
        else
            ir->failed = true;
    }
    ir->machine = ir->base, ir->variant = NULL;
    if (!ir->failed && count > 1)
        write_choices(ir, variants[0].plans, n, symbols, count, machines, entries);
    for (int p = 0; p < n && !ir->failed && symbols && count == 1; p++)
        nd__ir_symbol(ir, variants[0].plans[p], symbols[p], entries[0][p].serial);
}
