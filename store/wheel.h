/* wheel.h: what a wheel installs, and where: its members resolved to paths of the image.
 *
 * Reads METADATA, WHEEL, RECORD and entry_points.txt, checks what wheel and file name say of each other, resolves
 * `.data`, and refuses (-EBADMSG, one sentence that names member and reason):
 *   - no or more than one top-level *.dist-info (in .data, too), one whose name does not belong to the file name's
 *     distribution and version; missing METADATA, WHEEL or RECORD; METADATA with another name or version than the file
 *     name's (but for a local part);
 *   - a `.data` key other than purelib, platlib, headers, scripts, data, a file directly in `.data`, or a folder in
 *     scripts;
 *   - two members with one target whose bytes differ (by size and CRC; the ingest compares SHA-256 again); a member
 *     whose path is that of another's folder;
 *   - reserved names in scripts and in .data/data/bin (metadata.h); in .data/data pyvenv.cfg, what lies below .fusepkg,
 *     lib/python*, lib/pypy* and lib64 likewise, and files in the place of bin, lib, lib64, include;
 *   - anything named .fusepkg or .fusepkg-data at the top of site-packages.
 * Any top-level folder whose name ends in `.data` is one, as for pip (uv takes the dist-info's alone).
 * Left out on purpose, as installers should: __pycache__ folders in site-packages, INSTALLER, REQUESTED and
 * direct_url.json of the dist-info, and files in scripts that setuptools made for an entry point (its name, with
 * .exe, -script.py, .pya or nothing). */
#ifndef FUSEPKG_WHEEL_H
#define FUSEPKG_WHEEL_H

#include "store/archive.h"
#include "store/metadata.h"
#include "store/record.h"

struct wheel_target {
        size_t member;       /* of the archive */
        char *path;          /* in the image: "site/six.py", "data/share/…", "headers/NAME/…" (NAME as PEP 503
                                has it, of the file name), "scripts/…" */
        bool has_hash;       /* RECORD gives a SHA-256 for it */
        uint8_t sha256[SHA256_SIZE];
        bool has_size;
        uint64_t record_size;
        bool listed;         /* RECORD has a row for it */
};

struct wheel {
        struct archive *archive;      /* owned */
        struct metadata metadata;
        struct wheel_file wheel_file;
        struct entry_points entry_points;
        char *dist_info;              /* as the wheel spells it */
        struct wheel_target *targets; /* sorted by path (bytes), equal paths side by side; without RECORD */
        size_t target_count;
        uint8_t key[SHA256_SIZE];     /* the fast-path key */
        bool record_disagrees;        /* rows without files, files without rows, weak hashes, or wrong sizes */
        struct buf warnings;          /* lines: what made RECORD disagree, NUL padding, minor version */
        struct buf record;            /* RECORD as it lies in the archive */
};

/* Opens the archive, finds RECORD and computes the key; checks no more than archive_open does: the fast path. */
int wheel_open(const char *path, struct wheel **ret, struct errtext *err);
/* The rest: local headers, sizes (LIMIT as in archive_check_size), metadata and targets. */
int wheel_check(struct wheel *w, const char *path, uint64_t limit, struct errtext *err);
void wheel_close(struct wheel *w);

#endif
