/* sample_index.h: an index over sample images, and what unit tests expect of it. */
#ifndef FUSEPKG_SAMPLE_INDEX_H
#define FUSEPKG_SAMPLE_INDEX_H

#include "store/index.h"

#include "sample_store.h"

#include <sqlite3.h>

static inline struct index *open_index(const struct store *s)
{
        struct index *x = NULL;
        struct errtext err = { "" };
        int r = index_open(s, &x, &err);

        if (r < 0)
                fail_msg("index_open: %d: %s", r, err.text);
        return x;
}

static inline void add(const struct store *s, struct index *x, const char *name, const char *version,
                       uint8_t ret_id[SHA256_SIZE])
{
        struct image *img = sample_image(s, name, version, 0, 0);

        assert_int_equal(index_add_image(x, img, "file.whl"), 0);
        memcpy(ret_id, image_id(img), SHA256_SIZE);
        image_close(img);
}

/* Does to the database what the index's functions cannot. */
static inline void run_sql(const struct store *s, const char *sql)
{
        char path[200];
        sqlite3 *db;

        snprintf(path, sizeof path, "%s/index.db", s->path);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
}

static inline int expect_key(struct index *x, const char *word, const uint8_t id[SHA256_SIZE])
{
        uint8_t key[SHA256_SIZE], image[SHA256_SIZE], archive[SHA256_SIZE];
        int r;

        sample_hash(word, key);
        r = index_find_key(x, key, image, archive);
        if (r == 0 && id)
                assert_memory_equal(image, id, SHA256_SIZE);
        return r;
}

static inline int expect_archive(struct index *x, const char *word, const uint8_t id[SHA256_SIZE])
{
        uint8_t hash[SHA256_SIZE], image[SHA256_SIZE];
        int r;

        sample_hash(word, hash);
        r = index_find_archive(x, hash, image);
        if (r == 0 && id)
                assert_memory_equal(image, id, SHA256_SIZE);
        return r;
}

static inline int list(const struct index_image *image, void *user)
{
        return buf_printf(user, "%s==%s ", image->name, image->version);
}

static inline void expect_list(struct index *x, const char *text)
{
        cleanup_buf struct buf b = { 0 };

        buf_add_str(&b, "");
        assert_int_equal(index_each_image(x, list, &b), 0);
        assert_string_equal(b.data, text);
}

static inline int put_lease(struct index *x, const char *venv, uint64_t device, uint64_t inode, const char *environment)
{
        const struct index_lease lease = { .venv = venv, .device = device, .inode = inode, .environment = environment };

        return index_put_lease(x, &lease, NULL, 0);
}

static inline int drop_lease(struct index *x, const char *venv, const char *environment)
{
        const struct index_lease lease = { .venv = venv, .environment = environment };

        return index_drop_lease(x, &lease);
}

static inline int list_lease(const struct index_lease *lease, void *user)
{
        return buf_printf(user, "%s %llu %llu %s\n", lease->venv, (unsigned long long)lease->device,
                          (unsigned long long)lease->inode, lease->environment);
}

static inline void expect_leases(struct index *x, const char *text)
{
        cleanup_buf struct buf b = { 0 };

        buf_add_str(&b, "");
        assert_int_equal(index_each_lease(x, list_lease, &b), 0);
        assert_string_equal(b.data, text);
}

#endif
