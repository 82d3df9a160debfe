/* commit_world.h: an environment whose generations a test commits, one after the other: a folder .fusepkg, a bare
 * site-packages, and images. */
#ifndef FUSEPKG_TESTS_COMMIT_WORLD_H
#define FUSEPKG_TESTS_COMMIT_WORLD_H

#include "fs/environment.h"

#include "store/files.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <xxhash.h>

#include "tests/unit/image_fixture.h"

enum { IMAGES_MAX = 16 };

/* A .fusepkg folder, a bare site-packages, some images, and the generation that is the truth. */
struct world {
        char folder[64];
        int folder_fd;
        int state_fd;
        int site_fd;
        struct image *images[IMAGES_MAX];
        size_t image_count;
        struct environment *now;
};

static inline int get_image(const uint8_t id[SHA256_SIZE], const struct image **ret, void *user)
{
        struct world *w = user;

        for (size_t i = 0; i < w->image_count; i++)
                if (!memcmp(image_id(w->images[i]), id, SHA256_SIZE)) {
                        *ret = w->images[i];
                        return 0;
                }
        return -ENOENT;
}

static inline int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));

        /* In memory where that is possible: thousands of syncs to a disk would take a minute. */
        snprintf(w->folder, sizeof(w->folder), "%s/test_commit.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        assert_non_null(mkdtemp(w->folder));
        w->folder_fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        w->state_fd = dir_make(w->folder_fd, "state", 0755);
        w->site_fd = dir_make(w->folder_fd, "site", 0755);
        assert_true(w->state_fd >= 0 && w->site_fd >= 0);
        *state = w;
        return 0;
}

static inline int teardown(void **state)
{
        struct world *w = *state;

        environment_free(w->now);
        for (size_t i = 0; i < w->image_count; i++)
                image_close(w->images[i]);
        dir_remove_tree(w->folder_fd, "state");
        dir_remove_tree(w->folder_fd, "site");
        close(w->state_fd);
        close(w->site_fd);
        close(w->folder_fd);
        rmdir(w->folder);
        free(w);
        return 0;
}

static inline struct environment *edit(struct world *w)
{
        struct store store = { .path = (char *)"/store", .id = "00000000000000000000000000000000" };
        struct environment *e = NULL;

        if (w->now)
                assert_int_equal(environment_copy(w->now, &e), 0);
        else
                assert_int_equal(environment_new("lib/python3.12/site-packages", "3.12", &store, 022, &e), 0);
        return e;
}

/* A slot with that image and three generated files; returns its number. */
static inline uint32_t add_slot(struct environment *e, const struct image *img)
{
        static const char installer[] = "fusepkg\n", record[] = "a.dist-info/INSTALLER,,\n";
        const char *name = image_meta(img)->name;
        struct slot *s = NULL;

        assert_int_equal(environment_add_slot(e, &s), 0);
        memcpy(s->image, image_id(img), SHA256_SIZE);
        s->name = strdup(name);
        s->version = strdup("1.0");
        s->filename = strdup("x-1.0-py3-none-any.whl");
        s->files = calloc(3, sizeof(*s->files));
        s->file_count = 3;
        s->files[0] = (struct generated_file){ .name = strdup("INSTALLER"), .kind = GENERATED_BYTES,
                                               .data = span_of(installer) };
        s->files[1] = (struct generated_file){ .name = strdup("RECORD"), .kind = GENERATED_RECORD, .size = 1000,
                                               .data = span_of(record) };
        s->files[2] = (struct generated_file){ .name = strdup("REQUESTED"), .kind = GENERATED_BYTES };
        return s->number;
}

static inline struct image *make_image(struct world *w, const char *name, const char *paths)
{
        assert_true(w->image_count < IMAGES_MAX);
        return w->images[w->image_count++] = image_fixture(name, paths, NULL);
}

static inline uint32_t add(struct world *w, struct environment *e, const char *name, const char *paths)
{
        return add_slot(e, make_image(w, name, paths));
}

static inline int commit_only(struct world *w, struct environment *e)
{
        struct image_source images = { get_image, w };
        struct errtext err = { "" };
        int r = environment_commit(w->state_fd, w->now, e, &images, &(const struct site_now){ .fd = w->site_fd }, &err);

        if (r < 0 && !err.text[0])
                fail_msg("an error without words: %d", r);
        return r;
}

static inline void commit(struct world *w, struct environment *e)
{
        assert_int_equal(commit_only(w, e), 0);
        environment_free(w->now);
        w->now = e;
}

static inline const struct dir_row *row(const struct world *w, const char *path)
{
        for (size_t i = 0; i < w->now->dir_count; i++)
                if (!strcmp(w->now->dirs[i].path, path))
                        return &w->now->dirs[i];
        return NULL;
}

/* The node id of a slot's directory, PATH being that in the image. */
static inline uint64_t id_of(const struct world *w, uint32_t slot, size_t image, const char *path)
{
        uint32_t entry = 0;

        assert_int_equal(image_find(w->images[image], path, &entry), 0);
        return (uint64_t)slot << 32 | entry;
}

/* All rows as "path:id:age", age counting commits back by their times; compared as one text. */
static inline void assert_paths(const struct world *w, const char *expected)
{
        struct buf text cleanup_buf = { 0 };

        buf_add_str(&text, "");
        for (size_t i = 0; i < w->now->dir_count; i++) {
                const struct dir_row *d = &w->now->dirs[i];

                buf_printf(&text, "%s%s%s%s", i ? " " : "", d->path[0] ? d->path : "/", d->id ? "!" : "",
                           d->time == w->now->time ? "" : "-");
        }
        assert_string_equal(text.data ? text.data : "", expected);
}

static inline void assert_file_is_whole(const struct world *w, const struct generated_file *f)
{
        char name[64], data[128];
        int fd;

        assert_true(f->length < sizeof(data));
        snprintf(name, sizeof(name), "generated.%" PRIu64, f->generation);
        fd = openat(w->state_fd, name, O_RDONLY);
        if (fd < 0)
                fail_msg("%s is missing", name);
        assert_int_equal(file_pread_full(fd, data, f->length, (off_t)f->offset), 0);
        close(fd);
        assert_true(XXH3_64bits(data, f->length) == f->sum);
}

static inline void assert_files_are_whole(const struct world *w, const struct environment *e)
{
        for (size_t i = 0; i < e->slot_count; i++)
                for (size_t k = 0; k < e->slots[i].file_count; k++)
                        assert_file_is_whole(w, &e->slots[i].files[k]);
}

#endif
