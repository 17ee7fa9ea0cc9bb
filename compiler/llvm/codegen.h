/* Plans to the bytes of an object file. Inside compiler/llvm/ only. */
#ifndef NADIR_LLVM_CODEGEN_H
#define NADIR_LLVM_CODEGEN_H

#include "compiler/llvm/llvm.h"

#include <llvm-c/Core.h>

typedef enum nd__emission { ND__EMIT_OBJECT, ND__EMIT_ASSEMBLY, ND__EMIT_IR } nd__emission;

/* The module of n plans, verified, as an object, assembly or LLVM's text; with C's symbols of that prefix (NULL:
 * ND__ENTRY_NAME, of one variant). An object needs no symbol but memcpy and memset. The caller disposes of *result. */
nd_status nd__codegen(const nd__variant *variants, int count, int n, const char *prefix, nd__emission what,
                      LLVMMemoryBufferRef *result, char *message, size_t size);

#endif
