#include "store/ingest.h"

#include "store/ingest_internal.h"
#include "store/threads.h"

#include <stdio.h>

void ingest_wheel_release(struct ingest_wheel *w)
{
        buf_release(&w->warnings);
}

int ingest_store_error(const struct ingest *g, int r, const char *what, struct errtext *err)
{
        char text[128];

        if (r == -ENOSPC || r == -EDQUOT)
                return errtext_set(err, r, "the store is full: %s", g->store->path);
        return errtext_set(err, r, "%s '%s': %s", what, g->store->path, errno_name(r, text));
}

void ingest_report(struct ingest *g, struct ingest_job *j, uint64_t bytes)
{
        atomic_fetch_add(&j->reported, bytes);
        if (g->options->progress == NULL || bytes == 0)
                return;
        pthread_mutex_lock(&g->progress_lock);
        g->progress_done += bytes;
        g->options->progress(g->progress_done, g->progress_total, g->options->user);
        pthread_mutex_unlock(&g->progress_lock);
}

/* One thread after the other calls this for one job: the first in flight, then the one that ends it. */
static void set_result(struct ingest_job *j, int r, const struct errtext *err)
{
        j->wheel->result = r;
        if (r < 0)
                errtext_set(&j->wheel->err, r, "'%s': %s", j->base, err->text);
}

static void remove_staged(struct ingest *g, struct ingest_job *j)
{
        char name[64];

        for (size_t i = 0; j->files != NULL && i < j->opened->target_count; i++) {
                if (j->files[i].staged) {
                        ingest_work_name(j, i, name);
                        unlinkat(g->staging.fd, name, 0);
                }
                free(j->files[i].sums);
        }
        if (j->image_fd >= 0) {
                snprintf(name, sizeof(name), "%zu.image", j->number);
                unlinkat(g->staging.fd, name, 0);
        }
}

/* The files of the wheel go before its lock. */
static void release_job(struct ingest *g, struct ingest_job *j)
{
        remove_staged(g, j);
        image_writer_free(j->writer);
        j->writer = NULL;
        cleanup_close_(&j->image_fd);
        j->image_fd = -1;
        free(j->files);
        j->files = NULL;
        free(j->items);
        j->items = NULL;
        wheel_close(j->opened);
        j->opened = NULL;
        cleanup_close_(&j->lock_fd);
        j->lock_fd = -1;
}

static void end_job(struct ingest *g, struct ingest_job *j)
{
        uint64_t reported = atomic_load(&j->reported);

        release_job(g, j);
        if (reported < j->size)
                ingest_report(g, j, j->size - reported);
        j->done = true;
}

static uint64_t unpacked_size(const struct archive *a)
{
        uint64_t size = 0;

        for (size_t i = 0; i < a->count; i++)
                size += a->members[i].size;
        return size;
}

/* The fast path: known wheels are done, the others left for the work. */
static void look_up(struct ingest *g, struct ingest_job *j)
{
        struct errtext err = { { 0 } };
        struct wheel *w = NULL;
        bool unknown = false;
        int r = wheel_open(j->wheel->path, &w, &err);

        if (r == 0) {
                r = ingest_known_key(g, j, w->key, &err);
                unknown = r == -ENOENT;
                j->size = unpacked_size(w->archive);
                wheel_close(w);
        }
        if (!unknown) {
                set_result(j, r, &err);
                j->done = true;
        }
}

static void look_up_all(void *user)
{
        struct ingest *g = user;

        for (;;) {
                size_t i = atomic_fetch_add(&g->looked_up, 1);

                if (i >= g->job_count)
                        return;
                look_up(g, &g->jobs[i]);
        }
}

static int worker_init(struct ingest_worker *w)
{
        w->block = malloc(BLOCK_MAX_SIZE);
        return w->block == NULL ? -ENOMEM : sha256_init(&w->sha);
}

static void worker_release(struct ingest_worker *w)
{
        sha256_release(&w->sha);
        free(w->block);
}

/* Makes a job's items available to all. */
static void push_ready(struct ingest *g, struct ingest_job *j)
{
        struct ingest_job **end = &g->ready;

        while (*end != NULL)
                end = &(*end)->next_ready;
        j->next_ready = NULL;
        *end = j;
}

/* Called and returns with g->lock held, like the next two. */
static void start_job(struct ingest *g, struct ingest_worker *worker)
{
        struct ingest_job *j = g->pending[g->next_pending++];
        struct errtext err = { { 0 } };
        int r;

        g->in_flight++;
        pthread_mutex_unlock(&g->lock);
        r = ingest_prepare(g, j, worker, &err);
        if (r == -EAGAIN)
                release_job(g, j);
        else if (r != 0) {
                set_result(j, r < 0 ? r : 0, &err);
                end_job(g, j);
        }
        pthread_mutex_lock(&g->lock);
        if (r == 0)
                push_ready(g, j);
        else
                g->in_flight--;
        if (r == -EAGAIN)
                g->deferred[g->deferred_count++] = j;
        pthread_cond_broadcast(&g->changed);
}

static void finish_job(struct ingest *g, struct ingest_job *j)
{
        struct errtext err = { { 0 } };

        pthread_mutex_unlock(&g->lock);
        if (!atomic_load(&j->failed))
                set_result(j, ingest_finish(g, j, &err), &err);
        end_job(g, j);
        pthread_mutex_lock(&g->lock);
        g->in_flight--;
        pthread_cond_broadcast(&g->changed);
}

static void do_item(struct ingest *g, struct ingest_worker *worker)
{
        struct ingest_job *j = g->ready;
        const struct ingest_item *item = &j->items[j->next_item++];
        struct errtext err = { { 0 } };
        int r = 0;

        if (j->next_item == j->item_count)
                g->ready = j->next_ready;
        pthread_mutex_unlock(&g->lock);
        if (!atomic_load(&j->failed))
                r = ingest_work(g, j, item, worker, &err);
        pthread_mutex_lock(&g->lock);
        /* The first failure counts; the others may follow from it. */
        if (r < 0 && !atomic_exchange(&j->failed, true))
                set_result(j, r, &err);
        if (--j->items_left == 0)
                finish_job(g, j);
}

static void work_loop(void *user)
{
        struct ingest *g = user;
        struct ingest_worker worker = { 0 };

        if (worker_init(&worker) == 0) {
                pthread_mutex_lock(&g->lock);
                for (;;) {
                        if (g->ready != NULL)
                                do_item(g, &worker);
                        else if (g->next_pending < g->pending_count)
                                start_job(g, &worker);
                        else if (g->in_flight > 0)
                                pthread_cond_wait(&g->changed, &g->lock);
                        else
                                break;
                }
                pthread_mutex_unlock(&g->lock);
        }
        worker_release(&worker);
}

static int compare_jobs(const void *a, const void *b)
{
        const struct ingest_job *x = *(struct ingest_job *const *)a;
        const struct ingest_job *y = *(struct ingest_job *const *)b;

        if (x->size != y->size)
                return x->size > y->size ? -1 : 1;
        return x->number < y->number ? -1 : 1;
}

/* More than memory can well keep would only drive out what is in use: the kernel need not keep it at all. */
static bool too_large_for_memory(uint64_t bytes)
{
        long pages = sysconf(_SC_PHYS_PAGES);
        long page = sysconf(_SC_PAGESIZE);

        return pages > 0 && page > 0 && bytes > (uint64_t)pages * (uint64_t)page / 8;
}

/* Large wheels first, so that no core works alone at the end. */
static void work_all(struct ingest *g)
{
        for (size_t i = 0; i < g->job_count; i++)
                if (!g->jobs[i].done) {
                        g->pending[g->pending_count++] = &g->jobs[i];
                        g->progress_total += g->jobs[i].size;
                }
        if (g->pending_count == 0)
                return;
        g->uncached = too_large_for_memory(g->progress_total);
        qsort(g->pending, g->pending_count, sizeof(*g->pending), compare_jobs);
        threads_run(g->threads, work_loop, g);

        /* One at a time, so that nothing is locked while we wait: two processes can never wait for each other. */
        g->wait = true;
        for (size_t i = 0; i < g->deferred_count; i++) {
                g->pending[0] = g->deferred[i];
                g->pending_count = 1;
                g->next_pending = 0;
                threads_run(g->threads, work_loop, g);
        }
}

static int ingest_init(struct ingest *g, struct ingest_wheel *wheels, size_t n)
{
        g->jobs = calloc(n, sizeof(*g->jobs));
        g->pending = calloc(n, sizeof(struct ingest_job *));
        g->deferred = calloc(n, sizeof(struct ingest_job *));
        if (g->jobs == NULL || g->pending == NULL || g->deferred == NULL)
                return -ENOMEM;
        g->job_count = n;
        for (size_t i = 0; i < n; i++) {
                struct ingest_job *j = &g->jobs[i];
                const char *slash = strrchr(wheels[i].path, '/');

                j->wheel = &wheels[i];
                j->base = slash != NULL ? slash + 1 : wheels[i].path;
                j->number = i;
                j->lock_fd = -1;
                j->image_fd = -1;
        }
        pthread_mutex_init(&g->index_lock, NULL);
        pthread_mutex_init(&g->progress_lock, NULL);
        pthread_mutex_init(&g->lock, NULL);
        pthread_cond_init(&g->changed, NULL);
        return 0;
}

static void ingest_release(struct ingest *g)
{
        if (g->job_count > 0) {
                pthread_mutex_destroy(&g->index_lock);
                pthread_mutex_destroy(&g->progress_lock);
                pthread_mutex_destroy(&g->lock);
                pthread_cond_destroy(&g->changed);
        }
        free(g->jobs);
        free(g->pending);
        free(g->deferred);
}

static bool all_done(const struct ingest *g)
{
        for (size_t i = 0; i < g->job_count; i++)
                if (!g->jobs[i].done)
                        return false;
        return true;
}

static int ingest_run(struct ingest *g, struct errtext *err)
{
        int r;

        threads_run(g->job_count < g->threads ? (unsigned)g->job_count : g->threads, look_up_all, g);
        if (all_done(g)) {
                store_staging_clear(g->store);
                return 0;
        }
        if (g->store->staging_fd < 0)
                return errtext_set(err, -EROFS, "the store '%s' is read-only, and does not have this wheel",
                                   g->store->path);
        r = store_staging_open(g->store, &g->staging, err);
        if (r < 0)
                return r;
        work_all(g);
        store_staging_close(g->store, &g->staging);
        /* Threads that find no memory to start with leave their work to the others; were there no others? */
        return all_done(g) ? 0 : errtext_set(err, -ENOMEM, "out of memory");
}

int ingest_wheels(const struct store *s, struct index *x, struct ingest_wheel *wheels, size_t n,
                  const struct ingest_options *o, struct errtext *err)
{
        struct ingest g = { .store = s, .index = x, .options = o, .threads = threads_count(o->threads),
                            .staging.fd = -1 };
        struct errtext own;
        int r;

        if (n == 0)
                return 0;
        r = ingest_init(&g, wheels, n);
        r = r < 0 ? errtext_set(&own, r, "out of memory") : ingest_run(&g, &own);
        for (size_t i = 0; r < 0 && i < n; i++)
                if (g.job_count == 0 || !g.jobs[i].done) {
                        const char *slash = strrchr(wheels[i].path, '/');

                        wheels[i].result = r;
                        errtext_set(&wheels[i].err, r, "'%s': %.1000s", slash ? slash + 1 : wheels[i].path, own.text);
                }
        if (r < 0)
                errtext_set(err, r, "%s", own.text);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (wheels[i].result < 0)
                        r = errtext_set(err, wheels[i].result, "%s", wheels[i].err.text);
        ingest_release(&g);
        return r;
}
