/* diff_text.h: the text of one difference, as git writes it and git and patch read it. */
#ifndef FUSEPKG_DIFF_TEXT_H
#define FUSEPKG_DIFF_TEXT_H

#include "tools/diff_files.h"

struct diff_lines {
        bool binary;
        size_t added;
        size_t removed;
};

/* Appends it; RET_LINES (may be NULL) counts.  Runs diff(1) for bytes that are text. */
int diff_text(const struct diff *d, const struct diff_file *f, struct buf *ret, struct diff_lines *ret_lines,
              struct errtext *err);

#endif
