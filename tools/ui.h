/* ui.h: speaking to the user: results on stdout, everything else on stderr.
 *
 * Colours only on a terminal, without NO_COLOR, or as --color says.  -q silences all but errors and warnings, twice
 * those too; -v adds detail.  Process-wide settings, set once before threads start (the one exception to "no
 * globals"). */
#ifndef FUSEPKG_UI_H
#define FUSEPKG_UI_H

#include "store/base.h"

/* VERBOSITY: 0; -1 for each -q, +1 for each -v.  COLOR: auto, always, never or NULL. */
void ui_setup(int verbosity, const char *color);
int ui_verbosity(void);

/* "error: …" and "hint: …" and "warning: …" on stderr, with the final newline added. */
void ui_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ui_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ui_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A message on stderr (not with -q): a whole line, "\n" added. */
void ui_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with -v only. */
void ui_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* " + name==version": SIGN is '+', '-' or '~'. */
void ui_change(char sign, const char *name, const char *version);

/* A progress bar on stderr: drawn on a terminal only, at most ten times a second. */
void ui_progress(const char *what, uint64_t done, uint64_t total);
void ui_progress_end(void);

/* "12ms", "1.92s", "2m 03s". */
void ui_format_duration(uint64_t ns, char text[32]);
/* "1.2 GB" (powers of 1000). */
void ui_format_bytes(uint64_t bytes, char text[32]);
uint64_t ui_now_ns(void); /* monotonic */

#endif
