/* edit_dists.h: which distributions the edits brought, and which they took away: what pip and uv did through the
 * mount. */
#ifndef FUSEPKG_EDIT_DISTS_H
#define FUSEPKG_EDIT_DISTS_H

#include "store/record.h"
#include "tools/edits_ask.h"

struct edit_dist {
        char *name;
        char *version;
        char *dist_info;         /* folder in site-packages */
        char *installer;         /* of those that were added; "" when it does not say */
        const struct slot *slot; /* of those that were removed: ours, in the target's environment; NULL: of the bare site-packages */
};

struct edit_dists {
        const struct target *target;
        const struct edit_report *report;
        struct edit_dist *added;
        size_t added_count;
        struct edit_dist *removed;
        size_t removed_count;
};

/* T and R must outlive RET. */
int edit_dists_load(const struct target *t, const struct edit_report *r, struct edit_dists *ret, struct errtext *err);
void edit_dists_release(struct edit_dists *d);
const struct edit_dist *edit_dists_find_added(const struct edit_dists *d, const char *name);
/* Is that distribution of the environment no longer there? */
bool edit_dists_is_removed(const struct edit_dists *d, const struct slot *slot);
bool edit_dists_is_removed_bare(const struct edit_dists *d, const char *dist_info);
/* Appends the file NAME of an added one's dist-info; -ENOENT without a sentence: it has none. */
int edit_dists_read(const struct edit_dists *d, const struct edit_dist *dist, const char *name, struct buf *ret,
                    struct errtext *err);

/* Of a row of a RECORD the path in the venv ("lib/python3.12/site-packages/six.py", "bin/black"), tidy.  What lies behind
 * a symlink of ours is where that leads: "share/jupyter/x" may be in site-packages.  -EPERM: it leads out of the venv. */
int edit_dists_resolve(const struct target *t, const char *path, struct buf *ret);

static inline void cleanup_edit_dists_(struct edit_dists *d)
{
        edit_dists_release(d);
}
#define cleanup_edit_dists __attribute__((cleanup(cleanup_edit_dists_)))

#endif
