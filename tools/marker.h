/* marker.h: environment markers: python_version >= "3.8" and sys_platform != "win32".
 * Source: packaging.python.org/specifications/dependency-specifiers, "Environment markers".
 * The variables are those of interpreter.h; `extra` is an error: what is installed is what is listed. */
#ifndef FUSEPKG_MARKER_H
#define FUSEPKG_MARKER_H

#include "tools/interpreter.h"

/* -EINVAL with a sentence when the text is no marker, or one of variables that we do not know. */
int marker_evaluate(const char *marker, const struct interpreter_facts *f, bool *ret, struct errtext *err);

#endif
