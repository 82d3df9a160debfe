/* installed.h: the distributions that a venv shows: those that fusepkg installed, the visible ones of the base, and
 * what pip and uv made of them through the mount: what a live mount shows is the truth; without one the edits are
 * asked about. */
#ifndef FUSEPKG_INSTALLED_H
#define FUSEPKG_INSTALLED_H

#include "store/buf.h"
#include "tools/edit_dists.h"
#include "tools/target.h"

struct distribution {
        char *name;              /* as METADATA has it */
        char *key;               /* normalised */
        char *version;
        char *dist_info;         /* folder in site-packages; NULL for a slot until installed_read() looks it up */
        const struct slot *slot; /* NULL: of the base, or the edits'; belongs to the target's environment */
};

struct installed {
        const struct target *target;
        struct distribution *list; /* by key */
        size_t count;
        int site_fd;               /* site-packages as it was when it was listed; a mount is in use until the release */
        bool shown;                /* it is that of a live mount, which shows the edits, too: all is read there */
        struct edit_report report; /* not mounted: they were asked about */
        struct edit_dists dists;

        /* Opened by installed_read(). */
        struct store *store;
        struct image_pool *pool;
        struct base *base;
        struct view *view;
};

#define INSTALLED_INIT { .site_fd = -1 }

/* T must outlive RET; its lock is taken when the edits are to be asked about. */
int installed_load(struct target *t, struct installed *ret, struct errtext *err);
void installed_release(struct installed *i);
/* By name, normalised or not; NULL. */
struct distribution *installed_find(const struct installed *i, const char *name);

/* Appends the file NAME ("METADATA") of the distribution's dist-info.  -ENOENT without a sentence: it has none.  Works
 * without a mount. */
int installed_read(struct installed *i, struct distribution *d, const char *name, struct buf *ret, struct errtext *err);
/* The same, for base distributions in the old form too: METADATA, PKG-INFO, or the egg-info file itself. */
int installed_read_metadata(struct installed *i, struct distribution *d, struct buf *ret, struct errtext *err);

static inline void cleanup_installed_(struct installed *i)
{
        installed_release(i);
}
#define cleanup_installed __attribute__((cleanup(cleanup_installed_)))

#endif
