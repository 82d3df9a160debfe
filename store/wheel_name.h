/* wheel_name.h: the file name of a wheel: {distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl
 * Source: packaging.python.org/specifications/binary-distribution-format; strictness as
 * packaging.utils.parse_wheel_filename. */
#ifndef FUSEPKG_WHEEL_NAME_H
#define FUSEPKG_WHEEL_NAME_H

#include "store/base.h"
#include "store/buf.h"

struct wheel_name {
        char *distribution; /* as written */
        char *version;      /* as written */
        char *build;        /* NULL when absent */
        char *python;       /* compressed tag sets: "py2.py3" */
        char *abi;
        char *platform;
};

/* BASE is the last component of a path.  -EINVAL with a sentence. */
int wheel_name_parse(const char *base, struct wheel_name *ret, struct errtext *err);
void wheel_name_release(struct wheel_name *w);

/* PEP 503: lower case, runs of '-', '_' and '.' become one '-'.  Appends to RET. */
int name_normalize(const char *name, size_t len, struct buf *ret);
bool name_equal(const char *a, const char *b); /* normalised equal */

#endif
