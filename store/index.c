#include "store/index.h"

#include "store/index_private.h"

#include <time.h>

static const char *const statement_sql[INDEX_STATEMENTS] = {
        [INDEX_BEGIN] = "BEGIN IMMEDIATE",
        [INDEX_COMMIT] = "COMMIT",
        [INDEX_ROLLBACK] = "ROLLBACK",
        [INDEX_PUT_IMAGE] = "INSERT OR REPLACE INTO images(id, name, version, bytes, content, files, matched, added,"
                            " used, boot, doubted) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9,"
                            " COALESCE((SELECT doubted FROM images WHERE id = ?1), 0))",
        [INDEX_PUT_OBJECT] = "INSERT OR REPLACE INTO objects(image, id, size) VALUES(?1, ?2, ?3)",
        [INDEX_PUT_ARCHIVE] = "INSERT OR REPLACE INTO archives(sha256, image, filename) VALUES(?1, ?2, ?3)",
        [INDEX_PUT_KEY] = "INSERT OR REPLACE INTO keys(key, image, sha256) VALUES(?1, ?2, ?3)",
        [INDEX_FIND_KEY] = "SELECT image, sha256 FROM keys WHERE key = ?1",
        [INDEX_FIND_ARCHIVE] = "SELECT image, sha256 FROM archives WHERE sha256 = ?1",
        [INDEX_FIND_FILENAME] = "SELECT 1 FROM archives WHERE filename = ?1 LIMIT 1",
        [INDEX_DROP_IMAGE] = "DELETE FROM images WHERE id = ?1",
        [INDEX_DROP_OBJECTS] = "DELETE FROM objects WHERE image = ?1",
        [INDEX_DROP_ARCHIVES] = "DELETE FROM archives WHERE image = ?1",
        [INDEX_DROP_KEYS] = "DELETE FROM keys WHERE image = ?1",
        [INDEX_TOUCH] = "UPDATE images SET used = ?2 WHERE id = ?1",
        [INDEX_EACH_IMAGE] = "SELECT id, name, version, bytes, content, files, doubted FROM images"
                             " ORDER BY name COLLATE NOCASE, name, version, id",
        [INDEX_HAS_IMAGE] = "SELECT 1 FROM images WHERE id = ?1",
        [INDEX_EACH_OBJECT] = "SELECT id FROM objects WHERE image = ?1",
        [INDEX_TRUST] = "UPDATE images SET doubted = 0 WHERE doubted <> 0",
        [INDEX_SAME_LEASE] = "SELECT 1 FROM leases WHERE environment = ?1 AND venv = ?2 AND device = ?3 AND inode = ?4"
                             " AND place = ?5 AND missing = 0",
        [INDEX_PUT_LEASE] = "INSERT OR REPLACE INTO leases(environment, venv, device, inode, place, seen, missing)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0)",
        [INDEX_MISS_LEASE] = "UPDATE leases SET missing = ?3 WHERE environment = ?1 AND venv = ?2",
        [INDEX_DROP_LEASE] = "DELETE FROM leases WHERE environment = ?1 AND venv = ?2",
        [INDEX_EACH_LEASE] = "SELECT venv, device, inode, environment, place, missing FROM leases"
                             " ORDER BY venv, environment",
        [INDEX_HAS_USE] = "SELECT 1 FROM uses WHERE environment = ?1 AND venv = ?2 AND image = ?3 AND ended = 0",
        [INDEX_PUT_USE] = "INSERT OR REPLACE INTO uses(environment, venv, image, ended) VALUES(?1, ?2, ?3, 0)",
        [INDEX_END_USE] = "UPDATE uses SET ended = ?4 WHERE environment = ?1 AND venv = ?2 AND image = ?3",
        [INDEX_DROP_USE] = "DELETE FROM uses WHERE environment = ?1 AND venv = ?2 AND image = ?3",
        [INDEX_DROP_USES] = "DELETE FROM uses WHERE environment = ?1 AND venv = ?2",
        [INDEX_EACH_USE] = "SELECT image, ended FROM uses WHERE environment = ?1 AND venv = ?2",
        [INDEX_UNSETTLED] = "SELECT id FROM images WHERE boot IS NOT NULL AND boot <> ?1",
        [INDEX_WAITING] = "SELECT id FROM images WHERE boot = ?1 AND added <= ?2",
        [INDEX_IS_UNSETTLED] = "SELECT 1 FROM images WHERE id = ?1 AND boot IS NOT NULL AND boot <> ?2",
        [INDEX_SETTLE] = "UPDATE images SET boot = NULL WHERE id = ?1",
};

int index_failed(struct index *x, int rc)
{
        int system = x->db ? sqlite3_system_errno(x->db) : 0;

        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                x->damaged = true;
                return -EBADMSG;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
                /* ENOENT would be the WAL's or its index's, and stand for a missing database. */
                return system > 0 && system != ENOENT ? -system : -EACCES;
        default:
                return system > 0 ? -system : -EIO;
        }
}

int index_execute(struct index *x, const char *sql)
{
        return index_failed(x, sqlite3_exec(x->db, sql, NULL, NULL, NULL));
}

int index_prepare(struct index *x, enum index_statement which, sqlite3_stmt **ret)
{
        if (!x->statements[which]) {
                int rc = sqlite3_prepare_v3(x->db, statement_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                            &x->statements[which], NULL);

                if (rc != SQLITE_OK)
                        return index_failed(x, rc);
        }
        *ret = x->statements[which];
        return 0;
}

int index_run(struct index *x, sqlite3_stmt *st)
{
        int r = index_failed(x, sqlite3_step(st));

        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

static int run_plain(struct index *x, enum index_statement which)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, which, &st);

        return r < 0 ? r : index_run(x, st);
}

int index_begin(struct index *x)
{
        return x->read_only ? -EROFS : run_plain(x, INDEX_BEGIN);
}

int index_finish(struct index *x, int r)
{
        if (r == 0)
                r = run_plain(x, INDEX_COMMIT);
        if (r < 0 && !sqlite3_get_autocommit(x->db))
                run_plain(x, INDEX_ROLLBACK);
        return r;
}

static bool is_zero(const uint8_t hash[SHA256_SIZE])
{
        static const uint8_t zero[SHA256_SIZE];

        return memcmp(hash, zero, SHA256_SIZE) == 0;
}

static int put_archive(struct index *x, const uint8_t image[SHA256_SIZE], const uint8_t sha256[SHA256_SIZE],
                       const char *filename)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_PUT_ARCHIVE, &st);

        if (r < 0)
                return r;
        index_bind_hash(st, 1, sha256);
        index_bind_hash(st, 2, image);
        index_bind_text(st, 3, filename);
        return index_run(x, st);
}

static int put_key(struct index *x, const uint8_t image[SHA256_SIZE], const uint8_t key[SHA256_SIZE],
                   const uint8_t sha256[SHA256_SIZE])
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_PUT_KEY, &st);

        if (r < 0)
                return r;
        index_bind_hash(st, 1, key);
        index_bind_hash(st, 2, image);
        index_bind_hash(st, 3, sha256);
        return index_run(x, st);
}

/* Adds up in RET_BYTES what the objects take. */
static int put_objects(struct index *x, const struct image *img, uint64_t *ret_bytes)
{
        uint64_t bytes = 0;
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_PUT_OBJECT, &st);

        for (uint32_t i = 0; r == 0 && i < image_objects(img); i++) {
                struct image_object o = image_object(img, i);

                index_bind_hash(st, 1, image_id(img));
                index_bind_hash(st, 2, o.id);
                sqlite3_bind_int64(st, 3, (sqlite3_int64)o.size);
                bytes += o.size;
                r = index_run(x, st);
        }
        if (r == 0)
                *ret_bytes = bytes;
        return r;
}

int index_put_image(struct index *x, const struct image *img, const char *filename, const char *boot)
{
        const struct image_meta *meta = image_meta(img);
        uint64_t bytes = 0;
        sqlite3_stmt *st = NULL;
        int r = put_objects(x, img, &bytes);

        if (r == 0)
                r = index_prepare(x, INDEX_PUT_IMAGE, &st);
        if (r < 0)
                return r;
        index_bind_hash(st, 1, image_id(img));
        index_bind_text(st, 2, meta->name);
        index_bind_text(st, 3, meta->version);
        sqlite3_bind_int64(st, 4, (sqlite3_int64)(image_file_size(img) + bytes));
        sqlite3_bind_int64(st, 5, (sqlite3_int64)image_content_size(img));
        sqlite3_bind_int64(st, 6, image_files(img));
        sqlite3_bind_int(st, 7, meta->record_matched);
        sqlite3_bind_int64(st, 8, time(NULL));
        index_bind_text(st, 9, boot);
        r = index_run(x, st);
        if (r == 0)
                r = put_archive(x, image_id(img), image_archive(img), filename);
        if (r == 0 && meta->record_matched && !is_zero(image_key(img)))
                r = put_key(x, image_id(img), image_key(img), image_archive(img));
        return r;
}

int index_add_image(struct index *x, const struct image *img, const char *filename)
{
        int r = index_begin(x);

        return r < 0 ? r : index_finish(x, index_put_image(x, img, filename, x->boot));
}

static int find(struct index *x, enum index_statement which, const uint8_t what[SHA256_SIZE],
                uint8_t ret_image[SHA256_SIZE], uint8_t ret_archive[SHA256_SIZE])
{
        const uint8_t *image, *archive;
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, which, &st), rc;

        if (r < 0)
                return r;
        index_bind_hash(st, 1, what);
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW) {
                image = index_column_hash(st, 0);
                archive = index_column_hash(st, 1);
                if (image && archive) {
                        memcpy(ret_image, image, SHA256_SIZE);
                        memcpy(ret_archive, archive, SHA256_SIZE);
                } else {
                        rc = SQLITE_CORRUPT;
                }
        }
        r = rc == SQLITE_DONE ? -ENOENT : index_failed(x, rc);
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

/* Whether the row of KIND for WHAT is already the one that would be written. */
static bool is_known(struct index *x, enum index_statement kind, const uint8_t what[SHA256_SIZE],
                     const uint8_t image[SHA256_SIZE], const uint8_t sha256[SHA256_SIZE])
{
        uint8_t known_image[SHA256_SIZE], known_archive[SHA256_SIZE];

        return find(x, kind, what, known_image, known_archive) == 0 && memcmp(known_image, image, SHA256_SIZE) == 0 &&
               memcmp(known_archive, sha256, SHA256_SIZE) == 0;
}

int index_add_archive(struct index *x, const uint8_t image[SHA256_SIZE], const uint8_t sha256[SHA256_SIZE],
                      const uint8_t key[SHA256_SIZE], const char *filename)
{
        bool has_key = key && !is_zero(key);
        int r;

        if (is_known(x, INDEX_FIND_ARCHIVE, sha256, image, sha256) &&
            (!has_key || is_known(x, INDEX_FIND_KEY, key, image, sha256)))
                return 0;
        r = index_begin(x);
        if (r < 0)
                return r;
        r = put_archive(x, image, sha256, filename);
        if (r == 0 && has_key)
                r = put_key(x, image, key, sha256);
        return index_finish(x, r);
}

/* The row may have outlived the file: somebody removed it, or the power went. */
static int check_present(struct index *x, const uint8_t image[SHA256_SIZE])
{
        cleanup_close int fd = store_open_image_file(x->store, image);

        if (fd >= 0)
                return 0;
        if (fd != -ENOENT)
                return fd;
        if (!x->read_only) {
                int r = index_forget_image(x, image);

                if (r < 0)
                        return r;
        }
        return -ENOENT;
}

int index_find_key(struct index *x, const uint8_t key[SHA256_SIZE], uint8_t ret_image[SHA256_SIZE],
                   uint8_t ret_archive[SHA256_SIZE])
{
        uint8_t image[SHA256_SIZE], archive[SHA256_SIZE];
        int r = find(x, INDEX_FIND_KEY, key, image, archive);

        if (r == 0)
                r = check_present(x, image);
        if (r < 0)
                return r;
        memcpy(ret_image, image, SHA256_SIZE);
        memcpy(ret_archive, archive, SHA256_SIZE);
        return 0;
}

int index_find_archive(struct index *x, const uint8_t sha256[SHA256_SIZE], uint8_t ret_image[SHA256_SIZE])
{
        uint8_t image[SHA256_SIZE], archive[SHA256_SIZE];
        int r = find(x, INDEX_FIND_ARCHIVE, sha256, image, archive);

        if (r == 0)
                r = check_present(x, image);
        if (r == 0)
                memcpy(ret_image, image, SHA256_SIZE);
        return r;
}

int index_has_filename(struct index *x, const char *filename)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_FIND_FILENAME, &st), rc;

        if (r < 0)
                return r;
        index_bind_text(st, 1, filename);
        rc = sqlite3_step(st);
        r = rc == SQLITE_ROW ? 1 : index_failed(x, rc);
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

int index_forget_image(struct index *x, const uint8_t image[SHA256_SIZE])
{
        int r = index_begin(x);

        if (r < 0)
                return r;
        for (enum index_statement i = INDEX_DROP_IMAGE; r == 0 && i <= INDEX_DROP_KEYS; i++) {
                sqlite3_stmt *st = NULL;

                r = index_prepare(x, i, &st);
                if (r == 0) {
                        index_bind_hash(st, 1, image);
                        r = index_run(x, st);
                }
        }
        return index_finish(x, r);
}

int index_touch(struct index *x, const uint8_t (*images)[SHA256_SIZE], size_t n)
{
        sqlite3_stmt *st = NULL;
        time_t now = time(NULL);
        int r;

        if (x->read_only || n == 0)
                return 0;
        r = index_begin(x);
        if (r < 0)
                return r;
        r = index_prepare(x, INDEX_TOUCH, &st);
        for (size_t i = 0; r == 0 && i < n; i++) {
                index_bind_hash(st, 1, images[i]);
                sqlite3_bind_int64(st, 2, now);
                r = index_run(x, st);
        }
        return index_finish(x, r);
}

int index_each_image(struct index *x, int (*fn)(const struct index_image *image, void *user), void *user)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_EACH_IMAGE, &st), rc = SQLITE_DONE;

        while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
                struct index_image image = {
                        .name = index_column_text(st, 1),
                        .version = index_column_text(st, 2),
                        .bytes = (uint64_t)sqlite3_column_int64(st, 3),
                        .content = (uint64_t)sqlite3_column_int64(st, 4),
                        .files = (uint32_t)sqlite3_column_int64(st, 5),
                        .doubted = sqlite3_column_int(st, 6) != 0,
                };
                const uint8_t *id = index_column_hash(st, 0);

                if (!id)
                        continue;
                memcpy(image.id, id, SHA256_SIZE);
                r = fn(&image, user);
        }
        if (r == 0)
                r = index_failed(x, rc);
        if (st)
                sqlite3_reset(st);
        return r;
}

int index_has_image(struct index *x, const uint8_t image[SHA256_SIZE])
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_HAS_IMAGE, &st), rc;

        if (r < 0)
                return r;
        index_bind_hash(st, 1, image);
        rc = sqlite3_step(st);
        r = rc == SQLITE_ROW ? 1 : index_failed(x, rc);
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

int index_each_object(struct index *x, const uint8_t image[SHA256_SIZE],
                      int (*fn)(const uint8_t object[SHA256_SIZE], void *user), void *user)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_EACH_OBJECT, &st), rc = SQLITE_DONE;

        if (r < 0)
                return r;
        index_bind_hash(st, 1, image);
        while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
                const uint8_t *id = index_column_hash(st, 0);

                r = id ? fn(id, user) : 0;
        }
        if (r == 0)
                r = index_failed(x, rc);
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

int index_trust(struct index *x)
{
        return x->read_only ? -EROFS : run_plain(x, INDEX_TRUST);
}
