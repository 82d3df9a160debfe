/* store_gc_explain.h: what `store gc` found, in words and as JSON. */
#ifndef FUSEPKG_STORE_GC_EXPLAIN_H
#define FUSEPKG_STORE_GC_EXPLAIN_H

#include "tools/gc_roots.h"

/* Of each package: what it takes, and why it stays. */
void store_gc_explain(const struct gc *g, const struct gc_roots *roots);
/* Prints the result; returns the exit status. */
int store_gc_json(const struct gc *g, const struct gc_roots *roots, bool dry, bool explain);

#endif
