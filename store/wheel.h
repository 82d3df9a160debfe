/* wheel.h: what a wheel installs, and where: its members resolved to paths of the image.
 *
 * Reads METADATA, WHEEL, RECORD and entry_points.txt, checks what wheel and file name say of each other, resolves `.data`, and
 * refuses (-EBADMSG, one sentence that names member and reason):
 *   no or more than one top-level *.dist-info, one whose name does not belong to the file name's distribution and version; missing METADATA,
 *   WHEEL or RECORD; a `.data` key other than purelib, platlib, headers, scripts, data, a file directly in `.data`, or a folder in scripts;
 *   two members with one target whose bytes differ (by size and CRC; the ingest compares SHA-256 again); a member whose path is that of another's folder;
 *   reserved names in bin/ (metadata.h), `.data/data` members named pyvenv.cfg, or below .fusepkg, lib/python*, lib64/python*, bin/activate*, bin/python*;
 *   anything named .fusepkg or .fusepkg-data at the top of site-packages.
 * Left out on purpose, as installers should: __pycache__ folders, and INSTALLER, REQUESTED, direct_url.json of the dist-info. */
#ifndef FUSEPKG_WHEEL_H
#define FUSEPKG_WHEEL_H

#include "store/archive.h"
#include "store/metadata.h"
#include "store/record.h"

struct wheel_target {
        size_t member;       /* of the archive */
        char *path;          /* in the image: "site/six.py", "data/share/…", "headers/NAME/…", "scripts/…" */
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
        struct wheel_target *targets; /* sorted by path (bytes); RECORD is not among them */
        size_t target_count;
        uint8_t key[SHA256_SIZE];     /* the fast-path key */
        bool record_disagrees;        /* a row without a file, a file without a row, a weak hash, or another size than the file's */
        struct buf warnings;          /* lines: what made RECORD disagree, NUL padding, minor version */
        struct buf record;            /* RECORD as it lies in the archive */
};

/* Opens the archive, finds RECORD and computes the key; checks no more than archive_open does: the fast path. */
int wheel_open(const char *path, struct wheel **ret, struct errtext *err);
/* The rest: local headers, sizes (LIMIT as in archive_check_size), metadata and targets. */
int wheel_check(struct wheel *w, const char *path, uint64_t limit, struct errtext *err);
void wheel_close(struct wheel *w);

#endif
