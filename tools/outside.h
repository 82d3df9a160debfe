/* outside.h: what an environment has outside of site-packages: scripts in bin/ (real files) and symlinks into the data folder.
 *
 * What should be there follows from the environment; what fusepkg has put there is listed in `.fusepkg/outside`, with the generation
 * that it was made for.  outside_apply brings the venv from the one to the other: it runs right after a commit, and any command that
 * holds the lock runs it again when the generations differ (a crash came between).  Files are written under temporary names and renamed. Whatever
 * of the user's would be overwritten is moved to `.fusepkg/kept/<generation>/` first, with a warning. */
#ifndef FUSEPKG_OUTSIDE_H
#define FUSEPKG_OUTSIDE_H

#include "store/record.h"
#include "store/wheel.h"
#include "tools/target.h"

/* The scripts of one slot: entry points and .data/scripts, as their final bytes; and the rows that RECORD gets for them, for data and headers. */
struct outside_script {
        char *name;      /* "black" */
        char *data;      /* owned */
        size_t len;
        bool executable;
        uint8_t sha256[SHA256_SIZE];
};
struct outside_scripts {
        struct outside_script *scripts;
        size_t count;
};
int outside_scripts_of(const struct target *t, const struct store *s, const struct image *img, struct outside_scripts *ret, struct errtext *err);
void outside_scripts_release(struct outside_scripts *s);

/* Refuses, before a commit, what could not be applied. */
int outside_check(const struct target *t, const struct environment *next, struct image_pool *pool, struct errtext *err);
int outside_apply(const struct target *t, const struct environment *now, struct image_pool *pool, struct errtext *err);

#endif
