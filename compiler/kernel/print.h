/* One instruction as text, for messages. */
#ifndef NADIR_KERNEL_PRINT_H
#define NADIR_KERNEL_PRINT_H

#include "compiler/kernel/kernel.h"

/* The line that nd__k_print writes for `inst` of k, without its body: cut off after size - 1 bytes. Also of a kernel
 * that is not valid. */
void nd__k_inst_text(const nd__kernel *k, const nd__kinst *inst, char *text, size_t size);

#endif
