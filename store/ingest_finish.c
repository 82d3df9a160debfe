/* ingest_finish.c: a wheel whose items are all done: is it what it says, and if so, into the store with it. */
#include "store/ingest_internal.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

/* More lines about one wheel help nobody. */
enum { WARNINGS_MAX = 10 };

static struct span member_name(const struct ingest_job *j, size_t target)
{
        return j->opened->archive->members[j->opened->targets[target].member].name;
}

static bool is_executable(const struct ingest_job *j, size_t target)
{
        return j->opened->archive->members[j->opened->targets[target].member].executable;
}

static uint64_t target_size(const struct ingest_job *j, size_t target)
{
        return j->opened->archive->members[j->opened->targets[target].member].size;
}

/* Targets are sorted, so those of one path are neighbours. */
static bool is_repeated(const struct ingest_job *j, size_t target)
{
        return target > 0 && strcmp(j->opened->targets[target - 1].path, j->opened->targets[target].path) == 0;
}

static int check_repeated(const struct ingest_job *j, struct errtext *err)
{
        for (size_t i = 1; i < j->opened->target_count; i++) {
                struct span a = member_name(j, i - 1);
                struct span b = member_name(j, i);

                if (is_repeated(j, i) && memcmp(j->files[i - 1].sha256, j->files[i].sha256, SHA256_SIZE) != 0)
                        return errtext_set(err, -EBADMSG, "'%.*s' and '%.*s' are installed to one path and differ",
                                           (int)a.len, a.data, (int)b.len, b.data);
        }
        return 0;
}

/* Returns the number of files whose bytes RECORD denies, with a line of warning for each, or for the first ones. */
static int compare_record(const struct ingest_job *j, size_t *ret_wrong, struct buf *lines)
{
        size_t wrong = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < j->opened->target_count; i++) {
                const struct wheel_target *t = &j->opened->targets[i];
                struct span name = member_name(j, i);

                if (!t->has_hash || memcmp(t->sha256, j->files[i].sha256, SHA256_SIZE) == 0)
                        continue;
                if (wrong++ < WARNINGS_MAX)
                        r = buf_printf(lines, "RECORD gives another hash for '%.*s'\n", (int)name.len, name.data);
        }
        if (r == 0 && wrong > WARNINGS_MAX)
                r = buf_printf(lines, "RECORD gives another hash for %zu more files\n", wrong - WARNINGS_MAX);
        *ret_wrong = wrong;
        return r;
}

/* Each line of LINES with the wheel's name in front. */
static int add_warnings(struct ingest_job *j, const struct buf *lines)
{
        const char *p = lines->data != NULL ? lines->data : "";
        int r = 0;

        while (r == 0 && *p != '\0') {
                size_t len = strcspn(p, "\n");

                if (len > 0)
                        r = buf_printf(&j->wheel->warnings, "'%s': %.*s\n", j->base, (int)len, p);
                p += len;
                p += *p == '\n';
        }
        return r;
}

static int check_record(struct ingest *g, struct ingest_job *j, bool *ret_matched, struct errtext *err)
{
        cleanup_buf struct buf lines = { 0 };
        size_t wrong = 0;
        int r = compare_record(j, &wrong, &lines);

        if (r == 0 && g->options->strict && wrong > 0)
                return errtext_set(err, -EBADMSG, "%.*s", (int)strcspn(lines.data, "\n"), lines.data);
        if (r == 0)
                r = add_warnings(j, &j->opened->warnings);
        if (r == 0)
                r = add_warnings(j, &lines);
        *ret_matched = wrong == 0 && !j->opened->record_disagrees;
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

static int add_files(struct ingest_job *j, struct errtext *err)
{
        for (size_t i = 0; i < j->opened->target_count; i++) {
                const struct ingest_file *f = &j->files[i];
                struct image_file added = { .path = j->opened->targets[i].path, .size = target_size(j, i),
                                            .block = f->block, .block_offset = f->block_offset, .sums = f->sums };
                struct span name = member_name(j, i);
                int r;

                memcpy(added.sha256, f->sha256, SHA256_SIZE);
                added.executable = is_executable(j, i);
                if (is_repeated(j, i))
                        continue;
                for (size_t k = i + 1; k < j->opened->target_count && is_repeated(j, k); k++)
                        added.executable |= is_executable(j, k);
                r = image_writer_add(j->writer, &added);
                if (r == -ENAMETOOLONG || r == -EINVAL)
                        return errtext_set(err, -EBADMSG, "the path of '%.*s' is too long to be installed",
                                           (int)name.len, name.data);
                if (r < 0)
                        return errtext_set(err, r, r == -EFBIG ? "it has too many files" : "out of memory");
        }
        return 0;
}

static int write_image(struct ingest *g, struct ingest_job *j, bool matched, uint8_t ret_id[SHA256_SIZE],
                       struct errtext *err)
{
        const struct wheel *w = j->opened;
        struct image_info info = { .name = w->metadata.name, .version = w->metadata.version, .dist_info = w->dist_info,
                                   .requires_python = w->metadata.requires_python, .record_matched = matched };
        int r = add_files(j, err);

        if (r < 0)
                return r;
        memcpy(info.archive, j->wheel->archive, SHA256_SIZE);
        if (matched)
                memcpy(info.key, w->key, SHA256_SIZE);
        r = image_writer_finish(j->writer, &info, ret_id, err);
        if (r == -ENOSPC || r == -EDQUOT)
                return ingest_store_error(g, r, "", err);
        if (r == 0 && fchmod(j->image_fd, 0444) < 0)
                return ingest_store_error(g, -errno, "cannot write to the store", err);
        return r;
}

/* Does the object that stands in the store have the bytes of ours? */
static int compare_object(int fd, const uint64_t *sums, uint64_t size)
{
        cleanup_free uint8_t *piece = malloc(OBJECT_SUM_SIZE);
        int r = piece == NULL ? -ENOMEM : 0;

        for (uint64_t at = 0; r == 0 && at < size; at += OBJECT_SUM_SIZE) {
                size_t len = size - at < OBJECT_SUM_SIZE ? (size_t)(size - at) : OBJECT_SUM_SIZE;

                r = file_pread_full(fd, piece, len, (off_t)at);
                if (r == 0 && XXH3_64bits(piece, len) != sums[at / OBJECT_SUM_SIZE])
                        r = -EIO;
        }
        return r;
}

/* Publishing keeps what stands.  After a power cut that may be an object of a wheel that was never finished, of which
 * nobody knows that it lost its bytes. */
static int clear_place(struct ingest *g, const struct ingest_file *f, uint64_t size)
{
        cleanup_close int fd = store_open_object(g->store, f->sha256);
        char name[80];
        int r = fd < 0 ? fd : compare_object(fd, f->sums, size);

        if (r == 0 || r == -ENOENT)
                return 0;
        if (r != -EIO)
                return r;
        store_object_name(f->sha256, name);
        return unlinkat(g->store->root_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int publish_objects(struct ingest *g, struct ingest_job *j)
{
        for (size_t i = 0; i < j->opened->target_count; i++) {
                char name[64];
                int r;

                if (!j->files[i].staged)
                        continue;
                r = clear_place(g, &j->files[i], target_size(j, i));
                if (r < 0)
                        return r;
                ingest_work_name(j, i, name);
                r = store_publish_object(g->store, &g->staging, name, j->files[i].sha256);
                if (r < 0)
                        return r;
                j->files[i].staged = false;
        }
        return 0;
}

static int read_blocks(const struct image *img, int fd)
{
        cleanup_free void *block = malloc(BLOCK_MAX_SIZE);
        int r = block == NULL ? -ENOMEM : 0;

        for (uint32_t i = 0; r >= 0 && i < image_blocks(img); i++)
                r = image_read_block(img, fd, i, block);
        return r < 0 ? r : 0;
}

/* The image of that id which is in the store already, if it is any good; a broken one is taken away.  RET is NULL when
 * there is none any more. */
static int standing_image(struct ingest *g, const uint8_t id[SHA256_SIZE], struct image **ret)
{
        cleanup_close int fd = store_open_image_file(g->store, id);
        struct image *img = NULL;
        char name[80];
        int r = fd < 0 ? fd : image_open(fd, &img, NULL);

        if (r == 0)
                r = memcmp(image_id(img), id, SHA256_SIZE) == 0 ? read_blocks(img, fd) : -EBADMSG;
        if (r < 0) {
                image_close(img);
                img = NULL;
        }
        if (r == -EBADMSG || r == -EIO) {
                store_image_name(id, name);
                r = unlinkat(g->store->root_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
        }
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = img;
        return 0;
}

/* An image that stands stays: mounts may have its index in memory, and ours may have its blocks elsewhere. */
static int publish_image(struct ingest *g, struct ingest_job *j, const uint8_t id[SHA256_SIZE], struct image **ret)
{
        struct image *img = NULL;
        char name[64];
        int r = standing_image(g, id, &img);

        if (r < 0)
                return r;
        if (img == NULL) {
                r = image_open(j->image_fd, &img, NULL);
                if (r < 0)
                        return r;
                snprintf(name, sizeof(name), "%zu.image", j->number);
                r = store_publish_image(g->store, &g->staging, name, id);
                if (r < 0) {
                        image_close(img);
                        return r;
                }
        }
        *ret = img;
        return 0;
}

/* The index learns of the image if it does not know it, and of this archive. */
static int enter_index(struct ingest *g, struct ingest_job *j, const struct image *img, bool matched)
{
        const uint8_t *key = matched ? j->opened->key : NULL;
        uint8_t id[SHA256_SIZE];
        int r;

        pthread_mutex_lock(&g->index_lock);
        r = index_find_archive(g->index, image_archive(img), id);
        if (r == -ENOENT || (r == 0 && memcmp(id, image_id(img), SHA256_SIZE) != 0))
                r = index_add_image(g->index, img, j->base);
        if (r == 0)
                r = index_add_archive(g->index, image_id(img), j->wheel->archive, key, j->base);
        pthread_mutex_unlock(&g->index_lock);
        return r;
}

int ingest_finish(struct ingest *g, struct ingest_job *j, struct errtext *err)
{
        uint8_t id[SHA256_SIZE];
        struct image *img = NULL;
        bool matched = false;
        int r = check_repeated(j, err);

        if (r == 0)
                r = check_record(g, j, &matched, err);
        if (r == 0)
                r = write_image(g, j, matched, id, err);
        if (r < 0)
                return r;
        r = publish_objects(g, j);
        if (r == 0)
                r = publish_image(g, j, id, &img);
        if (r < 0)
                return ingest_store_error(g, r, "cannot write to the store", err);
        r = enter_index(g, j, img, matched);
        image_close(img);
        if (r < 0)
                return ingest_store_error(g, r, "cannot write to the store's index", err);
        memcpy(j->wheel->image, id, SHA256_SIZE);
        j->wheel->prepared = true;
        return 0;
}
