/* edits_ask.h: asking about the edits of a venv, and for changes of them, mounted or not (fs/edits_report.h).
 *
 * The venv's lock must be held.  A live mount is asked; else `fusepkg-mount --edits` does it, which carries edits over
 * that a switch has passed by. */
#ifndef FUSEPKG_EDITS_ASK_H
#define FUSEPKG_EDITS_ASK_H

#include "tools/edit_report.h"
#include "tools/target.h"

/* May there be any?  They need not be asked about otherwise. */
bool edits_ask_needed(const struct target *t);
/* REQUEST: its lines, "report\nrevert pkg/a.py\n".  With `originals` the caller calls edits_ask_done() when it has
 * read them. */
int edits_ask(const struct target *t, const char *request, struct edit_report *ret, struct errtext *err);
void edits_ask_done(const struct target *t);
/* Appends "revert a%20b\n" to a request. */
int edits_ask_add(struct buf *request, const char *verb, const char *path);
/* The same question of a command that only looks: takes the lock, and leaves it to the target. */
int edits_ask_report(struct target *t, struct edit_report *ret, struct errtext *err);

/* The bytes that a change has, for reading; -errno. */
int edits_ask_open(const struct target *t, const struct edit_change *c);
/* Those of the bare site-packages before it; -errno. */
int edits_ask_open_original(const struct target *t, uint64_t id);

#endif
