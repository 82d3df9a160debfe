/* requirements.h: requirements files with exact pins, as `-r` takes them.
 * Source: pip's documentation of the format; markers: packaging.python.org/specifications/dependency-specifiers.
 *
 * Taken: NAME[extras]==VERSION and NAME===VERSION (extras are dropped: what is installed is what is listed), `;
 * marker`, --hash=sha256:…, paths of .whl files, -r, -f/--find-links, comments and continued lines.  Other options
 * are ignored with a warning.  A requirement without an exact pin is an error, as are URLs, -e and -c. */
#ifndef FUSEPKG_REQUIREMENTS_H
#define FUSEPKG_REQUIREMENTS_H

#include "store/buf.h"
#include "tools/interpreter.h"

struct requirement {
        char *name;      /* as written; NULL for a path */
        char *version;   /* NULL for a path */
        char *path;      /* of a wheel, relative to the current folder; NULL for a name */
        uint8_t (*hashes)[SHA256_SIZE]; /* the archive must have one of them, if there are any */
        size_t hash_count;
        char *file;      /* where it stands */
        unsigned line;
};

struct requirements {
        struct requirement *list;
        size_t count;
        char **find_links; /* folders, relative to the current one */
        size_t find_links_count;
        struct buf warnings; /* lines, each one sentence and '\n' */
};

/* Adds what PATH lists to RET, which may hold others already (all zero: none).  P is asked only when a marker needs it.
 * Errors begin with "file:line: "; RET is to be released then as well. */
int requirements_read(const char *path, struct interpreter *p, struct requirements *ret, struct errtext *err);
void requirements_release(struct requirements *r);

#endif
