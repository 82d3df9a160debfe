/* metadata.h: the header part of METADATA and WHEEL, and entry_points.txt.
 * Sources: packaging.python.org/specifications: core-metadata, binary-distribution-format, entry-points. */
#ifndef FUSEPKG_METADATA_H
#define FUSEPKG_METADATA_H

#include "store/base.h"

struct metadata {
        char *name;
        char *version;
        char *requires_python; /* NULL when absent */
        char *summary;         /* NULL when absent */
        char *home_page;       /* Home-page, or the first Project-URL; NULL when absent */
        char *author;
        char *license;         /* License-Expression, else License */
        char **requires_dist;  /* each Requires-Dist, in order */
        size_t requires_count;
};

/* Name and Version must be there, once, and well-formed (-EBADMSG).  Parsing stops at the first empty line. */
int metadata_parse(const char *text, size_t len, struct metadata *ret, struct errtext *err);
void metadata_release(struct metadata *m);

struct wheel_file {
        unsigned major; /* Wheel-Version */
        unsigned minor;
        bool root_is_purelib;
        char **tags;
        size_t tag_count;
};

/* -EBADMSG: no or broken Wheel-Version; -ENOTSUP: a major version above 1.  The first of repeated fields counts. */
int wheel_file_parse(const char *text, size_t len, struct wheel_file *ret, struct errtext *err);
void wheel_file_release(struct wheel_file *w);

struct entry_point {
        char *name;
        char *module; /* "black" */
        char *attr;   /* "patched_main", may have dots */
        bool gui;
};

struct entry_points {
        struct entry_point *points; /* console_scripts and gui_scripts, in order */
        size_t count;
};

/* Refuses (-EBADMSG) names that do not fully match [\w.-]+ or that leave the scripts folder, values that are not
 * module:attr (extras in brackets are ignored), and reserved names: python, pythonw, python3, python3.N[t],
 * pypy*, graalpy*, case-insensitively, with or without .py or .exe; activate, activate.*, activate_this.py, deactivate,
 * deactivate.* (there are real scripts such as activate-global-python-argcomplete).  A name twice must be the same
 * entry point, and then counts once. */
int entry_points_parse(const char *text, size_t len, struct entry_points *ret, struct errtext *err);
void entry_points_release(struct entry_points *e);

/* Is NAME one that no wheel may put into bin/?  See above. */
bool entry_point_reserved(const char *name, size_t len);

#endif
