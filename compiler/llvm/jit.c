/* Code in this process: an object, loaded by LLJIT. */
#include "compiler/llvm/codegen.h"
#include "compiler/llvm/ir.h"
#include "compiler/schedule/schedule.h"
#include "runtime/platform.h"

#include <stdlib.h>
#include <string.h>

#include <llvm-c/LLJIT.h>
#include <llvm-c/Object.h>

struct nd__native {
    LLVMOrcLLJITRef jit;
    int64_t code_bytes;
    double load; /* milliseconds that loading took */
    int count;
    struct {
        nd_entry entry;
        nd_parallel_entry parallel; /* NULL: no chunks */
    } functions[];
};

/* Takes the error. */
static nd_status failed(LLVMErrorRef error, const char *what, char *message, size_t size)
{
    char *text = LLVMGetErrorMessage(error);
    snprintf(message, size, "%s: %s", what, text);
    LLVMDisposeErrorMessage(text);
    return ND_ERR_INTERNAL;
}

static nd_status load(nd__native *native, LLVMMemoryBufferRef object, char *message, size_t size)
{
    LLVMErrorRef error = LLVMOrcCreateLLJIT(&native->jit, NULL);
    if (error) {
        LLVMDisposeMemoryBuffer(object);
        native->jit = NULL;
        return failed(error, "LLVM's loader does not start", message, size);
    }
    /* The object is the loader's from here on, also on failure. */
    error = LLVMOrcLLJITAddObjectFile(native->jit, LLVMOrcLLJITGetMainJITDylib(native->jit), object);
    if (error)
        return failed(error, "LLVM cannot load its own object", message, size);
    return ND_OK;
}

/* The address of function number i by the pattern of its name. */
static nd_status look_up(nd__native *native, const char *pattern, int i, LLVMOrcExecutorAddress *address, char *message,
                         size_t size)
{
    char name[32];
    snprintf(name, sizeof name, pattern, i);
    LLVMErrorRef error = LLVMOrcLLJITLookup(native->jit, address, name);
    return error ? failed(error, "LLVM cannot find a function that it loaded", message, size) : ND_OK;
}

static nd_status find_functions(nd__native *native, const nd__plan *const *plans, char *message, size_t size)
{
    nd_status status = ND_OK;
    for (int i = 0; i < native->count && status == ND_OK; i++) {
        LLVMOrcExecutorAddress address = 0;
        status = look_up(native, ND__ENTRY_NAME, i, &address, message, size);
        native->functions[i].entry = (nd_entry)(uintptr_t)address;
        if (status == ND_OK && nd__steps_have_chunks(&plans[i]->steps)) {
            status = look_up(native, ND__PARALLEL_NAME, i, &address, message, size);
            native->functions[i].parallel = (nd_parallel_entry)(uintptr_t)address;
        }
    }
    return status;
}

/* Bytes of instructions in an object; 0 if LLVM cannot read it, which loading will tell. */
static int64_t code_bytes(LLVMMemoryBufferRef object)
{
    int64_t bytes = 0;
    char *text = NULL;
    LLVMBinaryRef binary = LLVMCreateBinary(object, NULL, &text);
    LLVMDisposeMessage(text);
    if (!binary)
        return 0;
    LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
    for (; !LLVMObjectFileIsSectionIteratorAtEnd(binary, section); LLVMMoveToNextSection(section)) {
        const char *name = LLVMGetSectionName(section);
        if (name && (!strcmp(name, ".text") || !strcmp(name, "__text"))) /* ELF and COFF; Mach-O */
            bytes += (int64_t)LLVMGetSectionSize(section);
    }
    LLVMDisposeSectionIterator(section);
    LLVMDisposeBinary(binary);
    return bytes;
}

nd_status nd__native_compile(const nd__plan *const *plans, int n, const nd__target *target, nd__native **native,
                             char *message, size_t size)
{
    LLVMMemoryBufferRef object;
    *native = NULL;
    if (!nd__target_runs_here(target)) {
        snprintf(message, size, "this machine cannot run code for %s", target->cpu);
        return ND_ERR_TARGET;
    }
    nd_status status = nd__codegen(&(nd__variant){target, plans}, 1, n, NULL, ND__EMIT_OBJECT, &object, message, size);
    if (status != ND_OK)
        return status;
    nd__native *result = calloc(1, sizeof *result + (size_t)n * sizeof result->functions[0]);
    if (!result) {
        LLVMDisposeMemoryBuffer(object);
        snprintf(message, size, "out of memory");
        return ND_ERR_MEMORY;
    }
    result->count = n;
    result->code_bytes = code_bytes(object);
    const double start = nd__platform_seconds();
    status = load(result, object, message, size);
    if (status == ND_OK)
        status = find_functions(result, plans, message, size);
    result->load = 1e3 * (nd__platform_seconds() - start);
    if (status != ND_OK) {
        nd__native_destroy(result);
        return status;
    }
    *native = result;
    return ND_OK;
}

nd_entry nd__native_entry(const nd__native *native, int index)
{
    return native->functions[index].entry;
}

nd_parallel_entry nd__native_parallel(const nd__native *native, int index)
{
    return native->functions[index].parallel;
}

int64_t nd__native_code_bytes(const nd__native *native)
{
    return native->code_bytes;
}

double nd__native_load_time(const nd__native *native)
{
    return native->load;
}

void nd__native_destroy(nd__native *native)
{
    if (!native)
        return;
    if (native->jit)
        LLVMConsumeError(LLVMOrcDisposeLLJIT(native->jit));
    free(native);
}
