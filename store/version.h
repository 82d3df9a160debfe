/* version.h: versions of distributions, as far as telling whether two spell the same one.
 * Source: packaging.python.org/specifications/version-specifiers (PEP 440). */
#ifndef FUSEPKG_VERSION_H
#define FUSEPKG_VERSION_H

#include "store/base.h"
#include "store/buf.h"

/* Appends the normal form: no "v", no leading zeros, no final ".0" of the release, "a", "b", "rc", ".postN",
 * ".devN", the local part in lower case with dots.  So "1.01.0-Beta_2" gives "1.1b2".  -EINVAL: not a version. */
int version_normalize(const char *version, size_t len, struct buf *ret);

/* Do they spell one version?  What is not a version equals only the same bytes. */
bool version_equal(const char *a, const char *b);

/* As version_equal, but a local part ("+cu130") that only one of them has does not count. */
bool version_equal_public(const char *a, const char *b);

#endif
