/* wheel_internal.h: what the wheel*.c files share. */
#ifndef FUSEPKG_WHEEL_INTERNAL_H
#define FUSEPKG_WHEEL_INTERNAL_H

#include "store/wheel.h"

/* Resolves the members to sorted targets and checks where they lead.  DISTRIBUTION is the file name's. */
int wheel_targets_fill(struct wheel *w, const char *distribution, struct errtext *err);

/* Gives the targets what RECORD says of them, and warns of what it says wrong. */
int wheel_record_match(struct wheel *w, struct errtext *err);

/* Appends one line to the warnings; what a terminal would act upon becomes '?'. */
int wheel_warn(struct wheel *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline bool wheel_ends_with(struct span s, const char *end)
{
        size_t len = strlen(end);

        return s.len >= len && memcmp(s.data + s.len - len, end, len) == 0;
}

/* Cuts the first component off *PATH and returns it; *PATH is empty (data NULL) when there was no slash. */
static inline struct span wheel_cut_component(struct span *path)
{
        struct span first = *path;
        const char *slash = memchr(path->data, '/', path->len);

        *path = (struct span){ NULL, 0 };
        if (slash) {
                size_t len = (size_t)(slash - first.data);

                *path = (struct span){ slash + 1, first.len - len - 1 };
                first.len = len;
        }
        return first;
}

#endif
