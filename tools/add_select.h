/* add_select.h: which wheels `add` is asked for.
 *
 * Arguments are paths of wheels, or names with an exact version or specifiers, which are looked up in the folders of
 * -f (and of the requirements files).  A name whose installed version fits is satisfied and selects nothing.  Nothing
 * is changed here, nothing of the wheels is read but their names. */
#ifndef FUSEPKG_ADD_SELECT_H
#define FUSEPKG_ADD_SELECT_H

#include "store/wheel_name.h"
#include "tools/interpreter.h"
#include "tools/target.h"

struct selected {
        char *path;
        const char *base;        /* its last component */
        struct wheel_name name;
        bool direct;             /* named by its path: gets a direct_url.json */
        uint8_t (*hashes)[SHA256_SIZE]; /* the archive must have one of them, if there are any */
        size_t hash_count;
};

struct selection {
        struct selected *list;
        size_t count;
        size_t satisfied;        /* names that are installed already */
        struct buf hint;         /* after a failure: lines for ui_hint() */
};

/* Reads arguments, -f, -r, --require-hashes, --reinstall of O.  -EINVAL: wrong usage. */
int add_select(const struct options *o, const struct target *t, struct interpreter *p, struct selection *ret,
               struct errtext *err);
void add_select_release(struct selection *s);

/* "rich[jupyter] >=14,<16" -> "rich", ">=14,<16"; for tests and `remove`.  RET_SPECIFIERS is NULL when there are
 * none.  -EINVAL. */
int add_select_parse(const char *text, char **ret_name, char **ret_specifiers, struct errtext *err);

#endif
