/* json_out.h: printing a JSON value as a command's result. */
#ifndef FUSEPKG_JSON_OUT_H
#define FUSEPKG_JSON_OUT_H

#include <jansson.h>

/* Prints VALUE (taken over, whatever happens) and a newline to stdout, keys in the order in which they were set.  On
 * failure it says so with ui_error() and returns -errno; of a write that failed main() says it, as for any output. */
int json_out(json_t *value);
/* For a value that could not be made: drops VALUE (NULL is fine), says so, and returns the exit status. */
int json_out_failed(json_t *value);
/* A string of bytes that may not be UTF-8 (paths): what is not becomes U+FFFD. */
json_t *json_out_string(const char *s);
/* An array of those, each behind PREFIX; NULL: out of memory. */
json_t *json_out_strings(char *const *list, size_t n, const char *prefix);

#endif
