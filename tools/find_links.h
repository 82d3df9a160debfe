/* find_links.h: choosing a wheel by name from folders of wheels. */
#ifndef FUSEPKG_FIND_LINKS_H
#define FUSEPKG_FIND_LINKS_H

#include "tools/interpreter.h"

struct find_links_query {
        const char *name;
        const char *specifiers; /* "==1.0", ">=2,<3", or NULL: any version */
        bool prereleases;
};

/* The best wheel: the newest version that fits (pre-releases only when they are asked for or nothing else fits),
 * then the best tag, then the highest build number; P is asked only when a platform's wheel is in question.  Files
 * that are no wheels are passed over. -ENOENT: there is none; the sentence says what was there instead.  RET_PATH:
 * FOLDER/NAME, on the heap. */
int find_links_pick(const char *const *folders, size_t count, const struct find_links_query *q, struct interpreter *p,
                    char **ret_path, struct errtext *err);

#endif
