#include "store/wheel.h"
#include "store/sha256.h"
#include "store/version.h"
#include "store/wheel_internal.h"
#include "store/wheel_name.h"

#include <stdio.h>
#include <strings.h>

enum {
        RECORD_MAX = 256 << 20,   /* bytes: a row for each of the most members that an archive may have */
        METADATA_MAX = 16 << 20,  /* it holds the whole project description */
        WHEEL_MAX = 1 << 20,
        ENTRY_POINTS_MAX = 4 << 20,
};

static const char dist_info_end[] = ".dist-info";

int wheel_warn(struct wheel *w, const char *format, ...)
{
        struct errtext clean;
        char text[ERRTEXT_SIZE];
        va_list ap;

        va_start(ap, format);
        if (vsnprintf(text, sizeof text, format, ap) < 0)
                text[0] = '\0';
        va_end(ap);
        errtext_set(&clean, 0, "%s", text);
        return buf_printf(&w->warnings, "%s\n", clean.text);
}

static const char *base_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* Python's importlib.metadata takes any case, so a second one in other letters would be a second distribution. */
static bool is_dist_info(struct span s)
{
        size_t len = strlen(dist_info_end);

        return s.len > len && strncasecmp(s.data + s.len - len, dist_info_end, len) == 0;
}

static int find_dist_info(struct wheel *w, struct errtext *err)
{
        struct span found = { 0 };

        for (size_t i = 0; i < w->archive->count; i++) {
                struct span path = w->archive->members[i].name;
                struct span first = wheel_cut_component(&path);

                if (!is_dist_info(first))
                        continue;
                if (found.data && (found.len != first.len || memcmp(found.data, first.data, found.len) != 0))
                        return errtext_set(err, -EBADMSG, "it has two dist-info folders: '%.*s' and '%.*s'",
                                           (int)found.len, found.data, (int)first.len, first.data);
                found = first;
        }
        if (!found.data || !wheel_ends_with(found, dist_info_end))
                return errtext_set(err, -EBADMSG, "it has no dist-info folder");
        w->dist_info = strndup(found.data, found.len);
        return w->dist_info ? 0 : errtext_set(err, -ENOMEM, "out of memory");
}

/* Names may have dashes in old wheels, so each dash may be the one before the version. */
static bool dist_info_fits(const char *dist_info, const struct wheel_name *name)
{
        cleanup_free char *stem = strndup(dist_info, strlen(dist_info) - strlen(dist_info_end));

        for (char *dash = stem ? strchr(stem, '-') : NULL; dash; dash = strchr(dash + 1, '-')) {
                bool fits;

                *dash = '\0';
                fits = name_equal(stem, name->distribution) && version_equal_public(dash + 1, name->version);
                *dash = '-';
                if (fits)
                        return true;
        }
        return false;
}

static int check_dist_info(struct wheel *w, const char *path, struct errtext *err)
{
        struct wheel_name name = { 0 };
        int r = wheel_name_parse(base_of(path), &name, err);

        if (r < 0)
                return r;
        r = find_dist_info(w, err);
        if (r == 0 && !dist_info_fits(w->dist_info, &name))
                r = errtext_set(err, -EBADMSG,
                                "its folder '%s' belongs to another distribution or version than its file name",
                                w->dist_info);
        wheel_name_release(&name);
        return r;
}

/* Reads DIST_INFO/FILE; -ENOENT, with a sentence, when there is none. */
static int read_info(const struct wheel *w, const char *file, size_t max, struct buf *ret, struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        size_t member = 0;

        if (buf_printf(&path, "%s/%s", w->dist_info, file) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        if (archive_find(w->archive, path.data, &member) < 0)
                return errtext_set(err, -ENOENT, "it has no %s", path.data);
        return archive_read(w->archive, member, max, ret, err);
}

/* As read_info, but what is missing or too large makes it no wheel. */
static int need_info(const struct wheel *w, const char *file, size_t max, struct buf *ret, struct errtext *err)
{
        int r = read_info(w, file, max, ret, err);

        return r == -ENOENT || r == -EFBIG ? -EBADMSG : r;
}

static int compute_key(struct wheel *w, struct errtext *err)
{
        cleanup_sha256 struct sha256 sha = { 0 };
        int r = sha256_init(&sha);

        if (r == 0)
                r = sha256_update(&sha, w->archive->directory, w->archive->directory_size);
        if (r == 0)
                r = sha256_update(&sha, w->record.data, w->record.len);
        if (r == 0)
                r = sha256_final(&sha, w->key);
        return r < 0 ? errtext_set(err, r, "SHA-256 is not to be had") : 0;
}

int wheel_open(const char *path, struct wheel **ret, struct errtext *err)
{
        struct wheel *w = calloc(1, sizeof *w);
        int r = 0;

        if (!w)
                return errtext_set(err, -ENOMEM, "out of memory");
        r = archive_open(path, &w->archive, err);
        if (r == 0)
                r = check_dist_info(w, path, err);
        if (r == 0)
                r = need_info(w, "RECORD", RECORD_MAX, &w->record, err);
        if (r == 0)
                r = compute_key(w, err);
        if (r < 0) {
                wheel_close(w);
                return r;
        }
        *ret = w;
        return 0;
}

static int check_metadata(struct wheel *w, const struct wheel_name *name, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        int r = need_info(w, "METADATA", METADATA_MAX, &text, err);

        if (r == 0)
                r = metadata_parse(text.data ? text.data : "", text.len, &w->metadata, err);
        if (r < 0)
                return r;
        if (!name_equal(w->metadata.name, name->distribution))
                return errtext_set(err, -EBADMSG, "its METADATA is that of '%s', and its file name says '%s'",
                                   w->metadata.name, name->distribution);
        if (!version_equal_public(w->metadata.version, name->version))
                return errtext_set(err, -EBADMSG, "its METADATA gives version %s, and its file name says %s",
                                   w->metadata.version, name->version);
        return 0;
}

static int check_wheel_file(struct wheel *w, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        int r = need_info(w, "WHEEL", WHEEL_MAX, &text, err);

        if (r == 0)
                r = wheel_file_parse(text.data ? text.data : "", text.len, &w->wheel_file, err);
        if (r < 0)
                return r;
        if (w->wheel_file.major < 1)
                return errtext_set(err, -EBADMSG, "its Wheel-Version is below 1.0");
        if (w->wheel_file.minor > 0 && wheel_warn(w, "its Wheel-Version is %u.%u, newer than 1.0", w->wheel_file.major,
                                                  w->wheel_file.minor) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        return 0;
}

static int read_entry_points(struct wheel *w, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        int r = read_info(w, "entry_points.txt", ENTRY_POINTS_MAX, &text, err);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        return entry_points_parse(text.data ? text.data : "", text.len, &w->entry_points, err);
}

static int check(struct wheel *w, const struct wheel_name *name, uint64_t limit, struct errtext *err)
{
        int r = archive_check_local(w->archive, err);

        if (r == 0)
                r = archive_check_size(w->archive, limit, err);
        if (r == 0)
                r = check_wheel_file(w, err);
        if (r == 0)
                r = check_metadata(w, name, err);
        if (r == 0)
                r = read_entry_points(w, err);
        if (r == 0)
                r = wheel_targets_fill(w, name->distribution, err);
        if (r == 0)
                r = wheel_record_match(w, err);
        if (r == 0 && w->archive->padded && wheel_warn(w, "it has NUL bytes after its end") < 0)
                r = errtext_set(err, -ENOMEM, "out of memory");
        return r;
}

int wheel_check(struct wheel *w, const char *path, uint64_t limit, struct errtext *err)
{
        struct wheel_name name = { 0 };
        int r = wheel_name_parse(base_of(path), &name, err);

        if (r < 0)
                return r;
        r = check(w, &name, limit, err);
        wheel_name_release(&name);
        return r;
}

void wheel_close(struct wheel *w)
{
        if (!w)
                return;
        archive_close(w->archive);
        metadata_release(&w->metadata);
        wheel_file_release(&w->wheel_file);
        entry_points_release(&w->entry_points);
        for (size_t i = 0; i < w->target_count; i++)
                free(w->targets[i].path);
        free(w->targets);
        free(w->dist_info);
        buf_release(&w->warnings);
        buf_release(&w->record);
        free(w);
}
