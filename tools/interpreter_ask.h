/* interpreter_ask.h: the question to a Python; a part of interpreter.c. */
#ifndef FUSEPKG_INTERPRETER_ASK_H
#define FUSEPKG_INTERPRETER_ASK_H

#include "store/buf.h"

/* Runs EXECUTABLE and appends its answer, which interpreter_parse_facts reads. */
int interpreter_ask(const char *executable, struct buf *ret, struct errtext *err);

/* The same with another script and time limit, for tests. */
int interpreter_ask_script(const char *executable, const char *script, unsigned timeout_ms, struct buf *ret,
                           struct errtext *err);

#endif
