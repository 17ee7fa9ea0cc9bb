/* From the written module to an object: verify, generate. No pass runs before: kernels are written in final form, and
 * LLVM's optimiser finds nothing in them to make faster. */
#include "compiler/llvm/codegen.h"
#include "compiler/llvm/ir.h"

#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Object.h>

/* The module's name, which LLVM also writes into the object as that of its source: no symbol of C can have it. */
#define MODULE_NAME "nadir model"

/* The first message of LLVM about the module. */
typedef struct complaint {
    char text[256];
    bool error;
} complaint;

static void listen(LLVMDiagnosticInfoRef info, void *to)
{
    complaint *c = to;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || c->error)
        return;
    char *text = LLVMGetDiagInfoDescription(info);
    snprintf(c->text, sizeof c->text, "%s", text);
    c->error = true;
    LLVMDisposeMessage(text);
}

static nd_status create_machine(const nd__machine *machine, LLVMTargetMachineRef *result, char *message, size_t size)
{
    LLVMTargetRef target;
    char *text = NULL;
    if (LLVMGetTargetFromTriple(machine->triple, &target, &text)) {
        snprintf(message, size, "LLVM cannot generate code for %s: %s", machine->triple, text);
        LLVMDisposeMessage(text);
        return ND_ERR_TARGET;
    }
    /* Level Less takes as long as Default; None takes half of that, and its code spills everything. */
    *result = LLVMCreateTargetMachine(target, machine->triple, machine->cpu, machine->features, LLVMCodeGenLevelDefault,
                                      LLVMRelocPIC, LLVMCodeModelDefault);
    if (*result)
        return ND_OK;
    snprintf(message, size, "LLVM has no code generator for %s", machine->triple);
    return ND_ERR_TARGET;
}

static nd_status broken(const char *what, char *text, char *message, size_t size)
{
    snprintf(message, size, "%s: %s", what, text ? text : "no reason given");
    LLVMDisposeMessage(text);
    return ND_ERR_INTERNAL;
}

/* An op that LLVM turns into a call of a library is a mistake of ours: it would be slow, and libm's bits are not ours.
 */
static nd_status check_symbols(LLVMMemoryBufferRef object, char *message, size_t size)
{
    char *text = NULL;
    LLVMBinaryRef binary = LLVMCreateBinary(object, NULL, &text);
    if (!binary)
        return broken("LLVM cannot read its own object", text, message, size);
    nd_status status = ND_OK;
    LLVMSymbolIteratorRef symbol = LLVMObjectFileCopySymbolIterator(binary);
    LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
    for (; status == ND_OK && !LLVMObjectFileIsSymbolIteratorAtEnd(binary, symbol); LLVMMoveToNextSymbol(symbol)) {
        const char *name = LLVMGetSymbolName(symbol);
        if (!name || !*name || !strcmp(name, "memcpy") || !strcmp(name, "memset") || !strcmp(name, MODULE_NAME))
            continue;
        LLVMMoveToContainingSection(section, symbol);
        if (LLVMObjectFileIsSectionIteratorAtEnd(binary, section)) {
            snprintf(message, size, "the generated code calls \"%s\"", name);
            status = ND_ERR_INTERNAL;
        }
    }
    LLVMDisposeSectionIterator(section);
    LLVMDisposeSymbolIterator(symbol);
    LLVMDisposeBinary(binary);
    return status;
}

static nd_status generate(nd__ir *ir, LLVMTargetMachineRef machine, nd__emission what, LLVMMemoryBufferRef *result,
                          char *message, size_t size)
{
    char *text = NULL;
    if (LLVMVerifyModule(ir->module, LLVMReturnStatusAction, &text))
        return broken("LLVM refuses the module", text, message, size);
    LLVMDisposeMessage(text);
    text = NULL;
    if (what == ND__EMIT_IR) {
        text = LLVMPrintModuleToString(ir->module);
        *result = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "");
        LLVMDisposeMessage(text);
        return ND_OK;
    }
    LLVMCodeGenFileType type = what == ND__EMIT_OBJECT ? LLVMObjectFile : LLVMAssemblyFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, ir->module, type, &text, result))
        return broken("LLVM cannot generate code", text, message, size);
    return what == ND__EMIT_OBJECT ? check_symbols(*result, message, size) : ND_OK;
}

static nd_status name_symbols(nd__ir *ir, const nd__plan *const *plans, int n, const char *prefix, char ***symbols,
                              char *message, size_t size)
{
    const char **names = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *names);
    *symbols = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof **symbols);
    if (!names || !*symbols) {
        snprintf(message, size, "out of memory");
        return ND_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++)
        names[i] = plans[i]->name;
    return nd__c_symbols(&ir->arena, prefix, n, names, *symbols, message, size);
}

nd_status nd__codegen(const nd__variant *variants, int count, int n, const char *prefix, nd__emission what,
                      LLVMMemoryBufferRef *result, char *message, size_t size)
{
    nd__machine machines[ND__MAX_VARIANTS], any;
    const nd__machine *base = count > 1 ? &any : machines; /* for what is not one variant's */
    LLVMTargetMachineRef machine;
    nd__ir ir;
    *result = NULL;
    nd__llvm_start();
    nd_status status = nd__machine_find(&(nd__target){.cpu = "x86-64"}, &any, message, size);
    for (int v = 0; v < count && status == ND_OK; v++)
        status = nd__machine_find(variants[v].target, &machines[v], message, size);
    if (status == ND_OK)
        status = create_machine(base, &machine, message, size);
    if (status != ND_OK)
        return status;

    complaint heard = {"", false};
    nd__ir_begin(&ir, MODULE_NAME, base);
    LLVMContextSetDiagnosticHandler(ir.context, listen, &heard);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(ir.module, layout);
    LLVMSetTarget(ir.module, base->triple);
    LLVMDisposeTargetData(layout);

    char **symbols = NULL;
    if (prefix)
        status = name_symbols(&ir, variants[0].plans, n, prefix, &symbols, message, size);
    if (status == ND_OK)
        nd__ir_variants(&ir, variants, machines, count, n, symbols);
    if (status == ND_OK && ir.failed) {
        snprintf(message, size, "out of memory while writing the code");
        status = ND_ERR_MEMORY;
    }
    if (status == ND_OK)
        status = generate(&ir, machine, what, result, message, size);
    if (status == ND_OK && heard.error) {
        snprintf(message, size, "LLVM: %s", heard.text);
        status = ND_ERR_INTERNAL;
    }
    if (status != ND_OK && *result) {
        LLVMDisposeMemoryBuffer(*result);
        *result = NULL;
    }
    nd__ir_end(&ir);
    LLVMDisposeTargetMachine(machine);
    return status;
}
