/* pep440.h: versions in their order, and the sets of versions that specifiers describe.
 * Source: packaging.python.org/specifications/version-specifiers.  (Whether two spell one version: store/version.h.) */
#ifndef FUSEPKG_PEP440_H
#define FUSEPKG_PEP440_H

#include "store/base.h"

enum {
        VERSION_LENGTH_MAX = 256, /* bytes of a version's text; the longest ones seen have 40 */
        VERSION_RELEASE_MAX = 32, /* numbers of a release */
        VERSION_LOCAL_MAX = 32,   /* parts after '+' */
};

enum version_pre {
        VERSION_ALPHA,
        VERSION_BETA,
        VERSION_RC,
        VERSION_FINAL, /* no pre-release part */
};

/* A part of a local version: a number, or letters and digits in lower case, which lie in the struct's own text. */
struct version_local {
        bool is_number;
        uint64_t number;
        uint16_t offset;
        uint16_t len;
};

/* Owns nothing: may be copied and forgotten. */
struct pep440 {
        uint64_t epoch;
        uint64_t release[VERSION_RELEASE_MAX];
        size_t release_count; /* 1 or more */
        enum version_pre pre;
        uint64_t pre_number;
        bool has_post;
        uint64_t post;
        bool has_dev;
        uint64_t dev;
        struct version_local local[VERSION_LOCAL_MAX];
        size_t local_count;
        char text[VERSION_LENGTH_MAX]; /* lower case, without surrounding space */
};

/* -EINVAL: not a version (or one that is longer or has larger numbers than anybody's). */
int pep440_parse(const char *version, size_t len, struct pep440 *ret);
/* Below, equal, above: negative, 0, positive. */
int pep440_compare(const struct pep440 *a, const struct pep440 *b);
bool pep440_is_prerelease(const struct pep440 *v); /* a, b, rc or dev */

/* Is VERSION in the set that SPECIFIERS describe: "" or ">=3.8,!=3.9.*,<4"?  PRERELEASES: take pre-releases that
 * only the order of versions lets in; without it they must be asked for, by a specifier that names one.  -EINVAL: a
 * sentence says what is wrong. */
int version_matches(const char *specifiers, const char *version, bool prereleases, bool *ret, struct errtext *err);

#endif
