/* scripts.h: the text of console scripts.
 *
 * A script starts with "#!VENV/bin/python\n", or, where the kernel could not run that (a space, or more than 127
 * bytes), with
 *     #!/bin/sh
 *     '''exec' '/path with space/python' "$0" "$@"
 *     ' '''
 * which sh runs and Python reads as a string.  The rest is what pip writes: an environment is to equal pip's. */
#ifndef FUSEPKG_SCRIPTS_H
#define FUSEPKG_SCRIPTS_H

#include "store/buf.h"
#include "store/metadata.h"

/* Appends the first line or lines. */
int scripts_add_shebang(struct buf *b, const char *interpreter);

/* Appends the script of an entry point, for Python "3.12". */
int scripts_add_entry_point(struct buf *b, const char *interpreter, const char *python, const struct entry_point *e);

/* Is this the start of a file of .data/scripts whose first line must be replaced ("#!python…")? */
bool scripts_is_python(const char *data, size_t len);
/* Appends the file with its first line, up to and with the line's end, replaced. */
int scripts_add_rewritten(struct buf *b, const char *interpreter, const char *data, size_t len);

/* Is the file NAME of .data/scripts a left-over of setuptools for one of these entry points (NAME, NAME.exe,
 * NAME-script.py, NAME.pya)?  Such files are not installed. */
bool scripts_is_wrapper(const struct entry_points *e, const char *name, size_t len);

/* The versioned names that pip and easy_install get, whatever their wheels say: appends to RET (whose names are
 * owned) the entry points as they are installed for Python "3.12": "pip", "pip3", "pip3.12". */
int scripts_expand(const struct entry_points *e, const char *python, struct entry_points *ret);

#endif
