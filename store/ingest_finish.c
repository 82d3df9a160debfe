/* ingest_finish.c: a wheel whose items are all done: is it what it says, and if so, into the store with it. */
#include "store/ingest_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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
                        return errtext_set(err, -EBADMSG, "the path of '%.*s' is too long or not one that can be installed",
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

static int publish_objects(struct ingest *g, struct ingest_job *j)
{
        for (size_t i = 0; i < j->opened->target_count; i++) {
                char name[64];
                int r;

                if (!j->files[i].staged)
                        continue;
                ingest_work_name(j, i, name);
                r = store_publish_object(g->store, &g->staging, name, j->files[i].sha256);
                if (r < 0)
                        return r;
                j->files[i].staged = false;
        }
        return 0;
}

/* The image of that id which is in the store already, if it is any good; a broken one is taken away. */
static struct image *standing_image(struct ingest *g, const uint8_t id[SHA256_SIZE])
{
        cleanup_close int fd = store_open_image_file(g->store, id);
        struct image *img = NULL;
        char name[80];
        int r = fd < 0 ? fd : image_open(fd, &img, NULL);

        if (r == 0 && memcmp(image_id(img), id, SHA256_SIZE) == 0)
                return img;
        image_close(r == 0 ? img : NULL);
        if (r == 0 || r == -EBADMSG || r == -EIO) {
                store_image_name(id, name);
                unlinkat(g->store->root_fd, name, 0);
        }
        return NULL;
}

/* An image that stands stays: mounts may have its index in memory, and ours may have its blocks elsewhere. */
static int publish_image(struct ingest *g, struct ingest_job *j, const uint8_t id[SHA256_SIZE], struct image **ret)
{
        struct image *img = standing_image(g, id);
        char name[64];
        int r;

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
