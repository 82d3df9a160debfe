/* quote.h: names of files in the lines that commands print.  A program can give a file any name: a line stays a line,
 * and a terminal gets no commands. */
#ifndef FUSEPKG_QUOTE_H
#define FUSEPKG_QUOTE_H

#include "store/buf.h"

/* Appends PREFIX and PATH in one word.  One with a quote, a backslash, or what is not to be seen (control and format
 * characters, and bytes that are no UTF-8) is in double quotes, with the escapes of C, as git has it with
 * core.quotePath=false. */
int quote_path(struct buf *b, const char *prefix, const char *path);
/* Prints BEFORE, that word, and a newline. */
int quote_print(const char *before, const char *prefix, const char *path);

#endif
