/* tags.h: which wheels an interpreter takes, the best first.
 * Source: packaging.python.org/specifications/platform-compatibility-tags; the order is that of packaging.tags. */
#ifndef FUSEPKG_TAGS_H
#define FUSEPKG_TAGS_H

#include "store/buf.h"
#include "store/wheel_name.h"
#include "tools/interpreter.h"

struct tags;

int tags_new(const struct interpreter_facts *f, struct tags **ret);
void tags_free(struct tags *t); /* NULL is fine */
size_t tags_count(const struct tags *t);
const char *tags_at(const struct tags *t, size_t i); /* "cp312-cp312-manylinux_2_36_x86_64" */

/* Does any tag of the wheel (its three sets expanded) fit?  RANK: the best one's place, 0 being the best. */
bool tags_match(const struct tags *t, const struct wheel_name *w, size_t *ret_rank);
/* Every Python 3 takes it: nobody need be asked. */
bool tags_are_universal(const struct wheel_name *w);

/* Checks WHEELs against an interpreter, which is asked only when it must be.  -ENOTSUP: it does not fit; the
 * sentence names the tags that do: "… has the tags cp311-cp311-win_amd64, and this Python takes
 * cp312-cp312-manylinux_2_36_x86_64 … py3-none-any". */
int tags_check(struct interpreter *p, const struct wheel_name *w, struct errtext *err);
/* Appends the fitting tags in short: the first and last of each kind. */
int tags_describe(const struct tags *t, struct buf *ret);

#endif
