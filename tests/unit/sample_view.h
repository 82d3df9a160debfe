/* sample_view.h: views over small images, made here, and a bare folder, for unit tests. */
#ifndef FUSEPKG_SAMPLE_VIEW_H
#define FUSEPKG_SAMPLE_VIEW_H

#include "fs/view.h"
#include "store/files.h"
#include "store/image_write.h"
#include "store/record.h"
#include "store/sha256.h"
#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

struct place {
        char path[64];
        int fd;
        int state_fd;
        struct store *store;
        struct image_pool *pool;
        struct base *base;
        struct environment *environment;
        struct view *view;
};

static inline int setup(void **state)
{
        struct place *p = calloc(1, sizeof(*p));
        char store[96];

        snprintf(p->path, sizeof(p->path), "/tmp/fusepkg-view-XXXXXX");
        assert_non_null(mkdtemp(p->path));
        p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        snprintf(store, sizeof(store), "%s/store", p->path);
        assert_int_equal(store_open(store, STORE_CREATE, &p->store, NULL), 0);
        assert_int_equal(image_pool_new(p->store, &p->pool), 0);
        assert_int_equal(mkdirat(p->fd, "site", 0755), 0);
        p->state_fd = dir_make(p->fd, ".fusepkg", 0755);
        assert_true(p->state_fd >= 0);
        assert_int_equal(environment_new("lib/python3.12/site-packages", "3.12", p->store, 022, &p->environment), 0);
        *state = p;
        return 0;
}

static inline int teardown(void **state)
{
        struct place *p = *state;
        char *name = strrchr(p->path, '/') + 1;

        view_free(p->view);
        base_free(p->base);
        environment_free(p->environment);
        image_pool_free(p->pool);
        store_close(p->store);
        close(p->state_fd);
        close(p->fd);
        int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(dir_remove_tree(tmp, name), 0);
        close(tmp);
        free(p);
        return 0;
}

/* Publishes an image of the given "path", "content" pairs; each content is a block of its own. */
static inline void make_image(struct place *p, const char *name, const char *version, const char *const *files, uint8_t ret_id[SHA256_SIZE])
{
        struct image_info info = { .name = name, .version = version, .requires_python = "", .record_matched = true };
        struct image_writer *w = NULL;
        struct staging staging;
        char dist_info[128];
        int fd;

        assert_int_equal(store_staging_open(p->store, &staging, NULL), 0);
        fd = openat(staging.fd, "image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(image_writer_new(fd, &w), 0);
        for (uint32_t i = 0; files[2 * i]; i++) {
                struct image_file f = { .path = files[2 * i], .size = strlen(files[2 * i + 1]), .block = i };

                assert_int_equal(sha256_bytes(files[2 * i + 1], f.size, f.sha256), 0);
                assert_int_equal(image_writer_add(w, &f), 0);
                /* A block holds something, even behind an empty file. */
                assert_int_equal(image_writer_compress(w, i, f.size ? files[2 * i + 1] : " ", f.size ? f.size : 1), 0);
        }
        snprintf(dist_info, sizeof(dist_info), "%s-%s.dist-info", name, version);
        info.dist_info = dist_info;
        assert_int_equal(image_writer_finish(w, &info, ret_id, NULL), 0);
        image_writer_free(w);
        fchmod(fd, 0444);
        close(fd);
        assert_int_equal(store_publish_image(p->store, &staging, "image", ret_id), 0);
        store_staging_close(p->store, &staging);
}

/* A new slot with a RECORD that has one row of its own. */
static inline void add_slot(struct environment *e, const char *name, const char *version, const uint8_t id[SHA256_SIZE])
{
        static const char rows[] = "zz/INSTALLER,,\n";
        struct slot *s = NULL;

        assert_int_equal(environment_add_slot(e, &s), 0);
        memcpy(s->image, id, SHA256_SIZE);
        s->name = strdup(name);
        s->version = strdup(version);
        s->filename = strdup("x.whl");
        s->files = calloc(2, sizeof(*s->files));
        s->file_count = 2;
        s->files[0] = (struct generated_file){ .name = strdup("INSTALLER"), .kind = GENERATED_BYTES, .size = 8, .length = 8,
                                               .data = { "fusepkg\n", 8 } };
        s->files[1] = (struct generated_file){ .name = strdup("RECORD"), .kind = GENERATED_RECORD,
                                               .length = sizeof(rows) - 1, .data = { rows, sizeof(rows) - 1 } };
}

/* Makes NEXT the truth, and p->environment. */
static inline void commit_environment(struct place *p, struct environment *next)
{
        struct image_source source = { image_pool_source, p->pool };
        struct errtext err = { "" };
        int site = openat(p->fd, "site", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct environment *old = p->environment->generation ? p->environment : NULL;
        const struct site_now now = { .fd = site };

        for (size_t i = 0; i < next->slot_count; i++)
                if (next->slots[i].time == 0) {
                        const struct image *img;

                        assert_int_equal(image_pool_get(p->pool, next->slots[i].image, &img, NULL), 0);
                        next->slots[i].files[1].size = image_record_size(img) + next->slots[i].files[1].length;
                }
        assert_int_equal(environment_commit(p->state_fd, old, next, &source, &now, &err), 0);
        if (!p->base) {
                int numbers = openat(p->state_fd, BASE_NODES_FILE, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

                assert_int_equal(base_new(dup(site), numbers, &p->base, NULL), 0);
        }
        close(site);
        if (next != p->environment)
                environment_free(p->environment);
        p->environment = next;
}

/* The same, and a view of it that follows the one before. */
static inline void commit(struct place *p, struct environment *next)
{
        struct errtext err = { "" };
        struct view *v = NULL;

        commit_environment(p, next);
        if (view_new(next, p->pool, p->base, p->state_fd, p->view, &v, &err) < 0)
                fail_msg("%s", err.text);
        view_free(p->view);
        p->view = v;
}

static inline struct environment *next_of(struct place *p)
{
        struct environment *next = NULL;

        assert_int_equal(environment_copy(p->environment, &next), 0);
        return next;
}

static inline struct environment *with(struct place *p, const char *name, const char *version, const char *const *files)
{
        struct environment *next = next_of(p);
        uint8_t id[SHA256_SIZE];
        struct slot *old = environment_find(next, name);

        make_image(p, name, version, files, id);
        if (old)
                assert_int_equal(environment_remove_slot(next, old->number), 0);
        add_slot(next, name, version, id);
        return next;
}

static inline void add(struct place *p, const char *name, const char *version, const char *const *files)
{
        commit(p, with(p, name, version, files));
}

static inline struct environment *without(struct place *p, const char *name)
{
        struct environment *next = next_of(p);

        assert_int_equal(environment_remove_slot(next, environment_find(next, name)->number), 0);
        return next;
}

static inline void drop(struct place *p, const char *name)
{
        commit(p, without(p, name));
}

static inline struct node find(struct place *p, const char *path)
{
        struct node n;

        if (view_find(p->view, path, &n) < 0)
                fail_msg("no '%s'", path);
        return n;
}

static inline uint64_t time_of(struct place *p, const char *path)
{
        struct timespec t = find(p, path).st.st_mtim;

        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline bool is_absent(struct place *p, const char *path)
{
        struct node n;

        return view_find(p->view, path, &n) == -ENOENT;
}

static inline void assert_content(struct place *p, uint64_t id, const char *want)
{
        char data[4096];
        struct errtext err = { "" };
        ssize_t n = view_read(p->view, id, data, sizeof(data), 0, &err);

        if (n < 0)
                fail_msg("%s", err.text);
        assert_int_equal(n, strlen(want));
        assert_memory_equal(data, want, (size_t)n);
}

static inline void put(struct place *p, const char *path, const char *text)
{
        int fd = openat(p->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(file_write_full(fd, text, strlen(text)), 0);
        close(fd);
}

static inline int count_name(const struct view_dirent *d, void *user)
{
        uint64_t *last = user;

        assert_true(d->cookie > *last);
        *last = d->cookie;
        return 0;
}

#endif
