/* requirement_parse.h: one line of a requirements file that is no option; a part of requirements.c. */
#ifndef FUSEPKG_REQUIREMENT_PARSE_H
#define FUSEPKG_REQUIREMENT_PARSE_H

#include "tools/requirements.h"

/* TEXT is the line without comments and blanks around it, cut up by this; options that are ignored are named in
 * WARNINGS, a line each. Returns 1 and fills RET (but file and line), or 0 when a marker leaves the requirement out. */
int requirement_parse(char *text, struct interpreter *p, struct requirement *ret, struct buf *warnings,
                      struct errtext *err);
void requirement_release(struct requirement *r);

/* The path in a "file:" URL, decoded, without its fragment; anything else is a path already.  On the heap. */
int requirement_path(const char *text, char **ret, struct errtext *err);
/* Cuts off the next word, at blanks that are not in quotes, and takes off its quotes; NULL at the end. */
char *requirement_next_word(char **rest);

#endif
