/* output.h: stdout, in a stream that remembers why a write failed: stdio says that one did, but errno is another's when
 * the buffer was written long before the end. */
#ifndef FUSEPKG_OUTPUT_H
#define FUSEPKG_OUTPUT_H

#include "store/base.h"

#include <stdio.h>

struct output {
        FILE *before; /* the stdout that it stands for */
        int error;    /* -errno of the first write that failed; nothing is written after it */
};

/* `stdout` is that stream from now on; OUTPUT must live until output_close(). */
int output_open(struct output *output);
/* Writes what is left; -errno of the first write that failed. */
int output_close(struct output *output);

#endif
