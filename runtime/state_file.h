/* States as files, with remarks beside the variables. */
#ifndef NADIR_RUNTIME_STATE_FILE_H
#define NADIR_RUNTIME_STATE_FILE_H

#include "runtime/program.h"
#include "runtime/safetensors.h"

/* nd_state_save with lines of metadata. */
nd_status nd__state_save(nd_state *state, const char *path, size_t pair_count, const nd__pair *pairs);
/* Looks whether a file has just the state's variables; the list of what is wrong goes to the state's message. */
nd_status nd__state_match(nd_state *state, const char *path, const nd__safetensors *s);
/* Takes all variables from a file that nd__state_match accepted. */
void nd__state_take(nd_state *state, const nd__safetensors *s);

#endif
