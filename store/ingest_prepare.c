/* ingest_prepare.c: from a wheel's file to the items of work. */
#include "store/ingest_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* Unpacking, hashing and writing a byte takes about as long as hashing this many. */
enum { HASH_IS_CHEAPER = 3 };

static uint64_t target_size(const struct ingest_job *j, size_t target)
{
        return j->opened->archive->members[j->opened->targets[target].member].size;
}

static void add_item(struct ingest_job *j, const struct ingest_item *item)
{
        j->items[j->item_count++] = *item;
}

/* Blocks keep the order of the paths: what is imported together lies together. */
static int compare_items(const void *a, const void *b)
{
        const struct ingest_item *x = a;
        const struct ingest_item *y = b;
        bool x_block = x->kind == INGEST_BLOCK;
        bool y_block = y->kind == INGEST_BLOCK;

        if (x_block != y_block)
                return x_block ? 1 : -1;
        if (!x_block && x->cost != y->cost)
                return x->cost > y->cost ? -1 : 1;
        return x->first < y->first ? -1 : x->first > y->first;
}

/* Closes the block that lies open, if there is anything in it: empty files alone are work but no block. */
static void close_block(struct ingest_job *j, struct ingest_item *open, size_t end, uint32_t *blocks)
{
        open->last = end;
        open->kind = INGEST_BLOCK;
        if (open->last > open->first) {
                open->block = open->cost > 0 ? (*blocks)++ : 0;
                add_item(j, open);
        }
        *open = (struct ingest_item){ .first = end };
}

static int plan(struct ingest_job *j)
{
        size_t n = j->opened->target_count;
        struct ingest_item open = { .first = 0 };
        struct ingest_item hash = { .kind = INGEST_HASH, .cost = j->opened->archive->file_size / HASH_IS_CHEAPER };
        uint32_t blocks = 0;

        j->files = calloc(n + 1, sizeof(*j->files));
        j->items = calloc(n + 2, sizeof(*j->items)); /* no more than an item for each file and the hash */
        if (j->files == NULL || j->items == NULL)
                return -ENOMEM;
        if (!j->hashed)
                add_item(j, &hash);
        for (size_t i = 0; i < n; i++) {
                uint64_t size = target_size(j, i);

                if (size >= OBJECT_MIN_SIZE) {
                        struct ingest_item object = { .kind = INGEST_OBJECT, .first = i, .last = i + 1, .cost = size };

                        add_item(j, &object);
                        continue;
                }
                open.cost += size;
                if (open.cost >= BLOCK_TARGET_SIZE)
                        close_block(j, &open, i + 1, &blocks);
        }
        close_block(j, &open, n, &blocks);
        qsort(j->items, j->item_count, sizeof(*j->items), compare_items);
        j->items_left = j->item_count;
        return 0;
}

static int open_image(struct ingest *g, struct ingest_job *j, struct errtext *err)
{
        char name[64];
        int r;

        snprintf(name, sizeof(name), "%zu.image", j->number);
        j->image_fd = openat(g->staging.fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (j->image_fd < 0)
                return ingest_store_error(g, -errno, "cannot write to the store", err);
        r = image_writer_new(j->image_fd, &j->writer);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

/* Wheels that lie have no key: their archives are hashed before they are worked on once more.  A file name that was
 * seen before is reason enough.  Who is strict does not want them at all. */
static int find_by_hash(struct ingest *g, struct ingest_job *j, struct ingest_worker *worker, struct errtext *err)
{
        int r;

        if (g->options->strict)
                return -ENOENT;
        pthread_mutex_lock(&g->index_lock);
        r = index_has_filename(g->index, j->base);
        pthread_mutex_unlock(&g->index_lock);
        if (r <= 0)
                return r < 0 ? ingest_store_error(g, r, "cannot look into the store", err) : -ENOENT;
        r = ingest_work_hash(j, worker, err);
        if (r < 0)
                return r;
        j->hashed = true;
        return ingest_known_archive(g, j, j->wheel->archive, err);
}

/* With the first line of warning that speaks of RECORD. */
static int refuse_record(const struct ingest_job *j, struct errtext *err)
{
        const char *line = j->opened->warnings.data != NULL ? j->opened->warnings.data : "";

        while (*line != '\0' && strncmp(line, "RECORD", strlen("RECORD")) != 0) {
                line += strcspn(line, "\n");
                line += *line == '\n';
        }
        if (*line == '\0')
                return errtext_set(err, -EBADMSG, "its RECORD disagrees with its files");
        return errtext_set(err, -EBADMSG, "%.*s", (int)strcspn(line, "\n"), line);
}

int ingest_prepare(struct ingest *g, struct ingest_job *j, struct ingest_worker *worker, struct errtext *err)
{
        struct wheel *w;
        int r = wheel_open(j->wheel->path, &j->opened, err);

        if (r < 0)
                return r;
        w = j->opened;
        j->lock_fd = store_lock_key(g->store, w->key, g->wait);
        if (j->lock_fd == -EAGAIN)
                return -EAGAIN;
        if (j->lock_fd < 0)
                return ingest_store_error(g, j->lock_fd, "cannot lock the store", err);
        /* Somebody may have finished it between the first look and the lock. */
        r = ingest_known_key(g, j, w->key, err);
        if (r == -ENOENT)
                r = find_by_hash(g, j, worker, err);
        if (r != -ENOENT)
                return r < 0 ? r : 1;
        r = wheel_check(w, j->wheel->path, g->options->max_unpacked, err);
        if (r == 0 && g->options->strict && w->record_disagrees)
                r = refuse_record(j, err);
        if (r == 0) {
                r = plan(j);
                if (r < 0)
                        errtext_set(err, r, "out of memory");
        }
        return r == 0 ? open_image(g, j, err) : r;
}
