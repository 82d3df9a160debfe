/* Who uses the store, and what of it: the part of index.h about leases. */
#include "store/index_private.h"

#include <time.h>

/* The first parameters of all statements here say which lease. */
static int prepare(struct index *x, enum index_statement which, const struct index_lease *lease, sqlite3_stmt **ret)
{
        int r = index_prepare(x, which, ret);

        if (r < 0)
                return r;
        index_bind_text(*ret, 1, lease->environment);
        index_bind_text(*ret, 2, lease->venv);
        return 0;
}

/* 1: the statement gives a row. */
static int ask(struct index *x, sqlite3_stmt *st)
{
        int rc = sqlite3_step(st), r = rc == SQLITE_ROW ? 1 : index_failed(x, rc);

        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

static int with_image(struct index *x, enum index_statement which, const struct index_lease *lease,
                      const uint8_t image[SHA256_SIZE], int64_t ended)
{
        sqlite3_stmt *st = NULL;
        int r = prepare(x, which, lease, &st);

        if (r < 0)
                return r;
        index_bind_hash(st, 3, image);
        if (which == INDEX_END_USE)
                sqlite3_bind_int64(st, 4, ended);
        return ask(x, st);
}

static void bind_place(sqlite3_stmt *st, const struct index_lease *lease)
{
        sqlite3_bind_int64(st, 3, (sqlite3_int64)lease->device);
        sqlite3_bind_int64(st, 4, (sqlite3_int64)lease->inode);
        index_bind_text(st, 5, lease->place ? lease->place : "");
}

/* 1: all of it is known. */
static int is_known(struct index *x, const struct index_lease *lease, const uint8_t (*images)[SHA256_SIZE], size_t n)
{
        sqlite3_stmt *st = NULL;
        int r = prepare(x, INDEX_SAME_LEASE, lease, &st);

        if (r == 0) {
                bind_place(st, lease);
                r = ask(x, st);
        }
        for (size_t i = 0; r == 1 && i < n; i++)
                r = with_image(x, INDEX_HAS_USE, lease, images[i], 0);
        return r;
}

static int put(struct index *x, const struct index_lease *lease, const uint8_t (*images)[SHA256_SIZE], size_t n)
{
        sqlite3_stmt *st = NULL;
        int r = prepare(x, INDEX_PUT_LEASE, lease, &st);

        if (r < 0)
                return r;
        bind_place(st, lease);
        sqlite3_bind_int64(st, 6, time(NULL));
        r = index_run(x, st);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = with_image(x, INDEX_PUT_USE, lease, images[i], 0);
        return r;
}

int index_put_lease(struct index *x, const struct index_lease *lease, const uint8_t (*images)[SHA256_SIZE], size_t n)
{
        int r = x->read_only ? -EROFS : is_known(x, lease, images, n), q;

        if (r != 0)
                return r < 0 ? r : 0;
        r = index_execute(x, "PRAGMA synchronous=FULL");
        if (r == 0)
                r = index_begin(x);
        if (r == 0)
                r = index_finish(x, put(x, lease, images, n));
        q = index_execute(x, "PRAGMA synchronous=NORMAL");
        return r < 0 ? r : q;
}

struct use {
        uint8_t image[SHA256_SIZE];
        int64_t ended;
};

static int collect_uses(struct index *x, const struct index_lease *lease, struct buf *ret)
{
        sqlite3_stmt *st = NULL;
        int r = prepare(x, INDEX_EACH_USE, lease, &st), rc = SQLITE_DONE;

        while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
                const uint8_t *id = index_column_hash(st, 0);
                struct use use = { .ended = sqlite3_column_int64(st, 1) };

                if (id) {
                        memcpy(use.image, id, SHA256_SIZE);
                        r = buf_add(ret, &use, sizeof use);
                }
        }
        if (r == 0)
                r = index_failed(x, rc);
        if (st) {
                sqlite3_reset(st);
                sqlite3_clear_bindings(st);
        }
        return r;
}

int index_each_use(struct index *x, const struct index_lease *lease,
                   int (*fn)(const uint8_t image[SHA256_SIZE], int64_t ended, void *user), void *user)
{
        cleanup_buf struct buf uses = { 0 };
        int r = collect_uses(x, lease, &uses);

        for (size_t i = 0; r == 0 && i < uses.len; i += sizeof(struct use)) {
                struct use use;

                memcpy(&use, uses.data + i, sizeof use);
                r = fn(use.image, use.ended, user);
        }
        return r;
}

struct ending {
        struct index *index;
        const struct index_lease *lease;
        const uint8_t (*images)[SHA256_SIZE];
        size_t n;
        int64_t now;
        bool begun;
};

static int end_one(const uint8_t image[SHA256_SIZE], int64_t ended, void *user)
{
        struct ending *e = user;
        int r = 0;

        for (size_t i = 0; i < e->n; i++)
                if (memcmp(image, e->images[i], SHA256_SIZE) == 0)
                        return 0;
        if (ended)
                return 0;
        if (!e->begun)
                r = index_begin(e->index);
        e->begun = r == 0;
        return r < 0 ? r : with_image(e->index, INDEX_END_USE, e->lease, image, e->now);
}

int index_end_uses(struct index *x, const struct index_lease *lease, const uint8_t (*images)[SHA256_SIZE], size_t n)
{
        struct ending e = { x, lease, images, n, time(NULL), false };
        int r = x->read_only ? -EROFS : index_each_use(x, lease, end_one, &e);

        return e.begun ? index_finish(x, r) : r;
}

int index_miss_lease(struct index *x, const struct index_lease *lease, int64_t since)
{
        sqlite3_stmt *st = NULL;
        int r = x->read_only ? -EROFS : prepare(x, INDEX_MISS_LEASE, lease, &st);

        if (r < 0)
                return r;
        sqlite3_bind_int64(st, 3, since);
        return index_run(x, st);
}

int index_drop_lease(struct index *x, const struct index_lease *lease)
{
        sqlite3_stmt *st = NULL;
        int r = index_begin(x);

        if (r < 0)
                return r;
        r = prepare(x, INDEX_DROP_USES, lease, &st);
        if (r == 0)
                r = index_run(x, st);
        if (r == 0)
                r = prepare(x, INDEX_DROP_LEASE, lease, &st);
        if (r == 0)
                r = index_run(x, st);
        return index_finish(x, r);
}

int index_drop_use(struct index *x, const struct index_lease *lease, const uint8_t image[SHA256_SIZE])
{
        return x->read_only ? -EROFS : with_image(x, INDEX_DROP_USE, lease, image, 0);
}

/* A lease in a buffer: three numbers, then three strings. */
static int collect_leases(struct index *x, struct buf *ret)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_EACH_LEASE, &st), rc = SQLITE_DONE;

        while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
                int64_t numbers[3] = { sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2),
                                       sqlite3_column_int64(st, 5) };
                static const int strings[] = { 0, 3, 4 };

                r = buf_add(ret, numbers, sizeof numbers);
                for (size_t i = 0; r == 0 && i < ARRAY_LEN(strings); i++) {
                        const char *text = index_column_text(st, strings[i]);

                        r = buf_add(ret, text, strlen(text) + 1);
                }
        }
        if (r == 0)
                r = index_failed(x, rc);
        if (st)
                sqlite3_reset(st);
        return r;
}

int index_each_lease(struct index *x, int (*fn)(const struct index_lease *lease, void *user), void *user)
{
        cleanup_buf struct buf leases = { 0 };
        int r = collect_leases(x, &leases);

        for (const char *p = leases.data, *end = p + leases.len; r == 0 && p && p < end;) {
                int64_t numbers[3];
                struct index_lease lease = { 0 };

                memcpy(numbers, p, sizeof numbers);
                lease.device = (uint64_t)numbers[0];
                lease.inode = (uint64_t)numbers[1];
                lease.missing = numbers[2];
                lease.venv = p + sizeof numbers;
                lease.environment = lease.venv + strlen(lease.venv) + 1;
                lease.place = lease.environment + strlen(lease.environment) + 1;
                p = lease.place + strlen(lease.place) + 1;
                r = fn(&lease, user);
        }
        return r;
}
