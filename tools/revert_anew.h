/* revert_anew.h: what comes back only with its package.
 *
 * A folder that was removed, or moved, and that a later package has brought again, cannot become one with what it was:
 * programs may stand in both.  So the package that it is of is installed anew, from the same image: a new slot, which
 * shows all of its files again, above what was taken.  Only where all that was changed of it was asked about. */
#ifndef FUSEPKG_REVERT_ANEW_H
#define FUSEPKG_REVERT_ANEW_H

#include "tools/diff_files.h"

struct revert_anew {
        uint32_t *slots; /* ascending */
        size_t count;
        struct edit_words paths; /* that come back with them */
        uint32_t until;          /* slots from this one on have been installed anew; 0: none yet */
};

/* Which packages that are, for a REQUEST ("revert a\n" lines) that failed; ALL: not those that pip or uv removed as a
 * whole. None: *RET is empty. */
int revert_anew_find(const struct diff *d, const char *request, bool all, struct revert_anew *ret);
/* For the next REQUEST: UNTIL stays. */
void revert_anew_clear(struct revert_anew *a);

static inline void cleanup_revert_anew_(struct revert_anew *a)
{
        revert_anew_clear(a);
}
#define cleanup_revert_anew __attribute__((cleanup(cleanup_revert_anew_)))

/* Takes the venv's lock.  Adds to KEPT what the user had changed in them. */
int revert_anew_install(const struct options *o, const struct revert_anew *a, struct edit_words *kept,
                        struct errtext *err);

#endif
