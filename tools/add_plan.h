/* add_plan.h: what `add` does with the wheels that it was asked for: into the store, and into the next environment. */
#ifndef FUSEPKG_ADD_PLAN_H
#define FUSEPKG_ADD_PLAN_H

#include "store/ingest.h"
#include "tools/add_select.h"
#include "tools/change.h"

struct plan {
        struct change *change;
        const struct selection *selection;
        struct interpreter *interpreter;
        bool strict;
        bool reinstall;
        bool ignore_requires_python;
        uint64_t max_unpacked;
        struct ingest_wheel *wheels; /* one for each that is selected */
        bool *skip;                  /* of two files of one archive the second */
        struct buf *storage;         /* the generated files' bytes */
        size_t unchanged;            /* wheels that are installed already */
};

/* The wheels' tags, by their names alone. */
int plan_check_tags(struct plan *p, struct errtext *err);
/* Takes the wheels into the store and says so; then what only their insides tell: hashes, Requires-Python, two of one
 * name. Every wheel that is refused is said with ui_error(); ERR is then empty. */
int plan_ingest(struct plan *p, struct errtext *err);
/* Edits the change's NEXT: slots are replaced, bare distributions hidden, generated files made. */
int plan_environment(struct plan *p, struct errtext *err);
/* Paths that two packages claim: warnings, or with --strict an error. */
int plan_conflicts(struct plan *p, struct errtext *err);
void plan_release(struct plan *p);

#endif
