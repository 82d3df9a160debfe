/* ingest_work.c: one item of a wheel: its bytes are inflated, hashed and written piece by piece, while they are in the
 * core's cache. */
#include "store/ingest_internal.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <xxhash.h>

/* Linux 6.14: write-back starts at once, and the pages are dropped when it ends. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

enum { HASH_PIECE = 256 * 1024 };

struct object_sink {
        struct ingest *ingest;
        struct ingest_job *job;
        struct ingest_worker *worker;
        int fd;
        bool uncached;
        uint64_t *sums;
        size_t sum_count;      /* done so far */
        size_t sum_max;
        XXH3_state_t *partial; /* of the sum that a piece has left unfinished */
        size_t partial_len;
};

struct block_sink {
        struct ingest_worker *worker;
        uint8_t *at;
        size_t left;
};

void ingest_work_name(const struct ingest_job *j, size_t target, char ret_name[64])
{
        snprintf(ret_name, 64, "%zu.%zu", j->number, target);
}

static int add_sum(struct object_sink *s, uint64_t sum)
{
        if (s->sum_count == s->sum_max)
                return -EBADMSG;
        s->sums[s->sum_count++] = sum;
        return 0;
}

/* Pieces are usually whole multiples; then nothing is left over. */
static int add_sums(struct object_sink *s, const uint8_t *p, size_t len)
{
        int r = 0;

        while (r == 0 && len > 0) {
                size_t n = OBJECT_SUM_SIZE - s->partial_len < len ? OBJECT_SUM_SIZE - s->partial_len : len;

                if (n == OBJECT_SUM_SIZE) {
                        r = add_sum(s, XXH3_64bits(p, n));
                } else {
                        if (s->partial_len == 0)
                                XXH3_64bits_reset(s->partial);
                        XXH3_64bits_update(s->partial, p, n);
                        s->partial_len += n;
                        if (s->partial_len == OBJECT_SUM_SIZE) {
                                r = add_sum(s, XXH3_64bits_digest(s->partial));
                                s->partial_len = 0;
                        }
                }
                p += n;
                len -= n;
        }
        return r;
}

/* What kernel or file system refuse to write past the cache is written as ever. */
static int write_piece(struct object_sink *s, const uint8_t *p, size_t len)
{
        while (s->uncached && len > 0) {
                struct iovec piece = { (void *)p, len };
                ssize_t n = pwritev2(s->fd, &piece, 1, -1, RWF_DONTCACHE);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        s->uncached = false;
                        break;
                }
                p += n;
                len -= (size_t)n;
        }
        return file_write_full(s->fd, p, len);
}

static int object_piece(const void *data, size_t len, void *user)
{
        struct object_sink *s = user;
        int r;

        if (atomic_load_explicit(&s->job->failed, memory_order_relaxed))
                return -ECANCELED;
        r = sha256_update(&s->worker->sha, data, len);
        if (r == 0)
                r = add_sums(s, data, len);
        if (r == 0)
                r = write_piece(s, data, len);
        if (r == 0)
                ingest_report(s->ingest, s->job, len);
        return r;
}

static int extract_object(struct object_sink *s, size_t target, struct errtext *err)
{
        struct ingest_file *f = &s->job->files[target];
        const struct wheel *w = s->job->opened;
        int r = sha256_reset(&s->worker->sha);

        if (r == 0)
                r = archive_extract(w->archive, w->targets[target].member, object_piece, s, err);
        if (r == 0 && s->partial_len > 0)
                r = add_sum(s, XXH3_64bits_digest(s->partial));
        if (r == 0)
                r = sha256_final(&s->worker->sha, f->sha256);
        if (r == 0 && fchmod(s->fd, 0444) < 0)
                r = -errno;
        return r == 0 && s->sum_count != s->sum_max ? -EBADMSG : r;
}

static int work_object(struct ingest *g, struct ingest_job *j, size_t target, struct ingest_worker *worker,
                       struct errtext *err)
{
        struct ingest_file *f = &j->files[target];
        uint64_t size = j->opened->archive->members[j->opened->targets[target].member].size;
        struct object_sink s = { .ingest = g, .job = j, .worker = worker, .uncached = g->uncached };
        char name[64];
        int r;

        ingest_work_name(j, target, name);
        s.sum_max = (size_t)((size + OBJECT_SUM_SIZE - 1) / OBJECT_SUM_SIZE);
        f->sums = s.sums = malloc(s.sum_max * sizeof(*s.sums));
        s.partial = XXH3_createState();
        if (s.sums == NULL || s.partial == NULL) {
                XXH3_freeState(s.partial);
                return -ENOMEM;
        }
        s.fd = openat(g->staging.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s.fd < 0) {
                r = -errno;
        } else {
                f->staged = true;
                r = extract_object(&s, target, err);
                /* Some file systems tell only now that they are full. */
                if (close(s.fd) < 0 && r == 0)
                        r = -errno;
        }
        XXH3_freeState(s.partial);
        return r;
}

static int block_piece(const void *data, size_t len, void *user)
{
        struct block_sink *s = user;

        if (len > s->left)
                return -EBADMSG;
        memcpy(s->at, data, len);
        s->at += len;
        s->left -= len;
        return sha256_update(&s->worker->sha, data, len);
}

static int work_block(struct ingest *g, struct ingest_job *j, const struct ingest_item *item,
                      struct ingest_worker *worker, struct errtext *err)
{
        const struct archive *a = j->opened->archive;
        struct block_sink s = { .worker = worker, .at = worker->block, .left = BLOCK_MAX_SIZE };
        size_t size;
        int r = 0;

        for (size_t i = item->first; r == 0 && i < item->last; i++) {
                size_t member = j->opened->targets[i].member;
                struct ingest_file *f = &j->files[i];

                if (a->members[member].size >= OBJECT_MIN_SIZE)
                        continue;
                f->block = item->block;
                f->block_offset = (uint32_t)(s.at - worker->block);
                r = sha256_reset(&worker->sha);
                if (r == 0)
                        r = archive_extract(a, member, block_piece, &s, err);
                if (r == 0)
                        r = sha256_final(&worker->sha, f->sha256);
        }
        size = (size_t)(s.at - worker->block);
        if (r == 0 && size > 0)
                r = image_writer_compress(j->writer, item->block, worker->block, size);
        if (r == 0)
                ingest_report(g, j, size);
        return r;
}

int ingest_work_hash(struct ingest_job *j, struct ingest_worker *worker, struct errtext *err)
{
        const struct archive *a = j->opened->archive;
        cleanup_free uint8_t *piece = malloc(HASH_PIECE);
        char text[128];
        int r = piece == NULL ? -ENOMEM : sha256_reset(&worker->sha);

        for (uint64_t at = 0; r == 0 && at < a->file_size && !atomic_load(&j->failed); at += HASH_PIECE) {
                uint64_t left = a->file_size - at;
                size_t len = left < HASH_PIECE ? (size_t)left : HASH_PIECE;

                r = file_pread_full(a->fd, piece, len, (off_t)at);
                if (r == 0)
                        r = sha256_update(&worker->sha, piece, len);
        }
        if (r == 0)
                r = sha256_final(&worker->sha, j->wheel->archive);
        return r < 0 ? errtext_set(err, r, "its file cannot be read: %s", errno_name(r, text)) : 0;
}

int ingest_work(struct ingest *g, struct ingest_job *j, const struct ingest_item *item, struct ingest_worker *worker,
                struct errtext *err)
{
        int r = -EINVAL;

        err->text[0] = '\0';
        switch (item->kind) {
        case INGEST_HASH:
                return ingest_work_hash(j, worker, err);
        case INGEST_OBJECT:
                r = work_object(g, j, item->first, worker, err);
                break;
        case INGEST_BLOCK:
                r = work_block(g, j, item, worker, err);
                break;
        }
        if (r < 0 && err->text[0] == '\0')
                return ingest_store_error(g, r, "cannot write to the store", err);
        return r;
}
