/* What nodes read, while they are grouped. Inside group.c and uses.c only. */
#ifndef NADIR_SCHEDULE_USES_H
#define NADIR_SCHEDULE_USES_H

#include "compiler/schedule/block.h"

/* In b->virtual_cost: what a value made of constants costs more than others, to tell it from them. */
enum { ND__MADE_OF_CONSTANTS = 1000 };

/* Gives its elements by their place alone, and lies nowhere. */
bool nd__is_generator(const nd__block *b, const nd__node *n);
bool nd__is_conv(const nd__node *n);
/* Its kernel reads operands where they lie; others compute them from anything. */
bool nd__reads_memory_only(const nd__node *n);

void nd__add_use(nd__block *b, nd__uses *u, const nd_value *v, const nd__index *index, bool memory);
/* What computing the value at an index reads, through views and through what is computed where it is used. */
void nd__use_value(nd__block *b, nd__uses *u, const nd_value *v, const nd__index *index);
/* The same of a node's operands; the index counts for pointwise nodes. */
void nd__use_operands(nd__block *b, nd__uses *u, const nd__node *n, const nd__index *index);

/* Before grouping: lets all lie in memory that some node reads there. */
void nd__mark_memory(nd__block *b);

#endif
