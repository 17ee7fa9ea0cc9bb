/* Objects and listings for files. */
#include "compiler/llvm/codegen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

nd_status nd__object_bytes(const nd__variant *variants, int variant_count, int n, const char *prefix, void **bytes,
                           size_t *count, char *message, size_t size)
{
    LLVMMemoryBufferRef object;
    *bytes = NULL;
    *count = 0;
    nd_status status = nd__codegen(variants, variant_count, n, prefix, ND__EMIT_OBJECT, &object, message, size);
    if (status != ND_OK)
        return status;
    size_t total = LLVMGetBufferSize(object);
    void *copy = malloc(total ? total : 1);
    if (copy) {
        memcpy(copy, LLVMGetBufferStart(object), total);
        *bytes = copy;
        *count = total;
    } else {
        snprintf(message, size, "out of memory");
        status = ND_ERR_MEMORY;
    }
    LLVMDisposeMemoryBuffer(object);
    return status;
}

static nd_status refused(const char *path, char *message, size_t size)
{
    snprintf(message, size, "%s: %s", path, strerror(errno));
    return ND_ERR_IO;
}

nd_status nd__object_write(const nd__variant *variants, int variant_count, int n, const char *prefix, const char *path,
                           char *message, size_t size)
{
    void *bytes;
    size_t count;
    nd_status status = nd__object_bytes(variants, variant_count, n, prefix, &bytes, &count, message, size);
    if (status != ND_OK)
        return status;
    size_t length = strlen(path) + sizeof ".part";
    char *aside = malloc(length);
    if (!aside) {
        free(bytes);
        snprintf(message, size, "out of memory");
        return ND_ERR_MEMORY;
    }
    snprintf(aside, length, "%s.part", path);
    FILE *file = fopen(aside, "wb");
    bool written = file && fwrite(bytes, 1, count, file) == count;
    if (file && fclose(file))
        written = false;
    if (!written || rename(aside, path)) {
        status = refused(path, message, size);
        if (file)
            remove(aside);
    }
    free(aside);
    free(bytes);
    return status;
}

nd_status nd__native_print(const nd__plan *const *plans, int n, const nd__target *target, nd__listing what, FILE *out,
                           char *message, size_t size)
{
    LLVMMemoryBufferRef text;
    nd__emission emission = what == ND__LIST_IR ? ND__EMIT_IR : ND__EMIT_ASSEMBLY;
    nd_status status = nd__codegen(&(nd__variant){target, plans}, 1, n, NULL, emission, &text, message, size);
    if (status != ND_OK)
        return status;
    size_t total = LLVMGetBufferSize(text);
    if (fwrite(LLVMGetBufferStart(text), 1, total, out) != total) {
        snprintf(message, size, "cannot write the listing: %s", strerror(errno));
        status = ND_ERR_IO;
    }
    LLVMDisposeMemoryBuffer(text);
    return status;
}
