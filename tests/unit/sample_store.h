/* sample_store.h: a temporary folder, a store in it, and small images in the store, for unit tests. */
#ifndef FUSEPKG_SAMPLE_STORE_H
#define FUSEPKG_SAMPLE_STORE_H

#include "store/files.h"
#include "store/image.h"
#include "store/image_write.h"
#include "store/sha256.h"
#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <xxhash.h>

struct sample {
        char folder[64];
        char store_path[80];
        int folder_fd;
};

static inline int sample_setup(void **state)
{
        struct sample *t = calloc(1, sizeof *t);
        char *folder;

        if (!t)
                return -1;
        snprintf(t->folder, sizeof t->folder, "/tmp/fusepkg-unit-XXXXXX");
        folder = mkdtemp(t->folder);
        if (!folder)
                return -1;
        snprintf(t->store_path, sizeof t->store_path, "%s/store", t->folder);
        t->folder_fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = t;
        return t->folder_fd < 0 ? -1 : 0;
}

static inline int sample_teardown(void **state)
{
        struct sample *t = *state;
        int tmp, r;

        close(t->folder_fd);
        tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dir_remove_tree(tmp, t->folder + strlen("/tmp/"));
        close(tmp);
        free(t);
        return r;
}

static inline struct store *sample_open(const struct sample *t, enum store_mode mode)
{
        struct store *s = NULL;
        struct errtext err = { "" };
        int r = store_open(t->store_path, mode, &s, &err);

        if (r < 0)
                fail_msg("store_open: %d: %s", r, err.text);
        return s;
}

static inline bool sample_exists(const struct sample *t, const char *name)
{
        return faccessat(t->folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline int sample_truncate(const struct store *s, const char *name, off_t size)
{
        char path[200];

        snprintf(path, sizeof path, "%s/%s", s->path, name);
        return chmod(path, 0644) < 0 ? -errno : truncate(path, size);
}

/* Puts an object of SIZE bytes, all FILL, into the staging folder and publishes it. */
static inline void sample_object(const struct store *s, const struct staging *g, char fill, size_t size,
                                 uint8_t ret_id[SHA256_SIZE])
{
        char *data = malloc(size);

        assert_non_null(data);
        memset(data, fill, size);
        assert_int_equal(sha256_bytes(data, size, ret_id), 0);
        assert_int_equal(file_replace(g->fd, "object", data, size, 0444, false), 0);
        free(data);
        assert_int_equal(store_publish_object(s, g, "object", ret_id), 0);
}

static inline void sample_add_small(struct image_writer *w, const char *path, const char *text, uint32_t offset)
{
        struct image_file f = { .path = path, .size = strlen(text), .block = 0, .block_offset = offset };

        assert_int_equal(sha256_bytes(text, strlen(text), f.sha256), 0);
        assert_int_equal(image_writer_add(w, &f), 0);
}

static inline void sample_add_object(struct image_writer *w, const char *path, char fill, size_t size,
                                     const uint8_t id[SHA256_SIZE])
{
        size_t n = (size + OBJECT_SUM_SIZE - 1) / OBJECT_SUM_SIZE;
        uint64_t *sums = calloc(n, sizeof *sums);
        char *piece = malloc(OBJECT_SUM_SIZE);
        struct image_file f = { .path = path, .executable = true, .size = size, .sums = sums };

        assert_non_null(sums);
        assert_non_null(piece);
        memset(piece, fill, OBJECT_SUM_SIZE);
        for (size_t i = 0; i < n; i++)
                sums[i] = XXH3_64bits(piece, i + 1 < n ? OBJECT_SUM_SIZE : size - i * OBJECT_SUM_SIZE);
        memcpy(f.sha256, id, SHA256_SIZE);
        assert_int_equal(image_writer_add(w, &f), 0);
        free(sums);
        free(piece);
}

/* The hash of a word, where a test needs a key or the name of an archive. */
static inline void sample_hash(const char *word, uint8_t ret[SHA256_SIZE])
{
        assert_int_equal(sha256_bytes(word, strlen(word), ret), 0);
}

/* Publishes an image NAME-VERSION of two small files, and of one object with OBJECT_FILL unless that is 0.  Its archive
 * is called "archive NAME VERSION", its key "key NAME VERSION". */
static inline struct image *sample_image(const struct store *s, const char *name, const char *version, char object_fill,
                                         size_t object_size)
{
        struct staging g = { .fd = -1 };
        struct image_writer *w = NULL;
        struct image_info info = { .name = name, .version = version, .requires_python = "", .record_matched = true };
        char dist_info[100], metadata_path[200], text[200], block[400];
        uint8_t object[SHA256_SIZE], id[SHA256_SIZE];
        struct errtext err = { "" };
        struct image *img = NULL;
        int fd;

        assert_int_equal(store_staging_open(s, &g, &err), 0);
        fd = openat(g.fd, "image", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        assert_true(fd >= 0);
        assert_int_equal(image_writer_new(fd, &w), 0);
        snprintf(dist_info, sizeof dist_info, "%s-%s.dist-info", name, version);
        snprintf(metadata_path, sizeof metadata_path, "site/%s/METADATA", dist_info);
        snprintf(text, sizeof text, "Name: %s\nVersion: %s\n", name, version);
        snprintf(block, sizeof block, "print(1)\n%s", text);
        info.dist_info = dist_info;
        sample_add_small(w, "site/module.py", "print(1)\n", 0);
        sample_add_small(w, metadata_path, text, (uint32_t)strlen("print(1)\n"));
        if (object_fill) {
                sample_object(s, &g, object_fill, object_size, object);
                sample_add_object(w, "site/library.so", object_fill, object_size, object);
        }
        assert_int_equal(image_writer_compress(w, 0, block, strlen(block)), 0);
        snprintf(text, sizeof text, "archive %s %s", name, version);
        sample_hash(text, info.archive);
        snprintf(text, sizeof text, "key %s %s", name, version);
        sample_hash(text, info.key);
        if (image_writer_finish(w, &info, id, &err) < 0)
                fail_msg("image_writer_finish: %s", err.text);
        image_writer_free(w);
        assert_int_equal(fchmod(fd, 0444), 0);
        assert_int_equal(image_open(fd, &img, &err), 0);
        close(fd);
        assert_int_equal(store_publish_image(s, &g, "image", id), 0);
        store_staging_close(s, &g);
        return img;
}

#endif
