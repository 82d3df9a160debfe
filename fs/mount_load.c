/* mount_load.c: what a mount serves, from its folders: environment, edits, store, base; and the same for a process
 * that takes a mount over. */
#include "fs/mount_load.h"

#include "fs/handover.h"
#include "store/files.h"

#include <fcntl.h>
#include <malloc.h>

enum { PRELOAD_MIN = 16 }; /* images: for fewer a thread is not worth it */

/* A venv that cannot be written is mounted all the same, read-only. */
static int open_edits(struct server *s, const struct environment *e, struct errtext *err)
{
        bool must = s->took_over && !s->handover->read_only; /* those who have it mounted writable are not told that it is not */
        int r = edits_open(s->state_fd, e->id, &s->edits, err);

        if (!must && (r == -EROFS || r == -EACCES)) {
                s->read_only = true;
                r = edits_open_copy(s->state_fd, e->id, &s->edits, err);
                if (r == -ENOENT)
                        r = -EROFS;
        }
        if (r == 0)
                r = edit_data_open(s->state_fd, &s->edit_data, err);
        if (r == 0)
                return 0;
        s->read_only = true;
        edits_close(s->edits);
        s->edits = NULL;
        if (must || (r != -EROFS && r != -EACCES && r != -ENOSPC && r != -EDQUOT))
                return r;
        log_line(&s->log, "%s: mounted read-only", err->text);
        err->text[0] = '\0';
        return 0;
}

static int view_above_cuts(struct server *s, const struct environment *e, const struct view *previous,
                           struct view **ret, struct errtext *err)
{
        struct view_cut *cuts = NULL;
        size_t n = 0;
        int r = tree_cuts(s->edits, &cuts, &n);

        if (r < 0)
                return errtext_set(err, r, "cannot read the edits: %s", errno_name(r, (char[128]){ 0 }));
        r = view_new_cut(e, s->pool, s->base, s->state_fd, previous, cuts, n, ret, err);
        tree_cuts_free(cuts, n);
        return r;
}

static int open_store(const struct environment *e, struct store **ret, struct errtext *err)
{
        const char *moved = getenv("FUSEPKG_STORE");
        int r = store_open(e->store_path, STORE_READ, ret, err);

        /* Its new place is only recorded with the next change. */
        if (r == -ENOENT && moved && *moved)
                r = store_open(moved, STORE_READ, ret, err);
        return r;
}

int mount_load_hold(int state_fd)
{
        struct environment *e = NULL;
        struct store *store = NULL;
        struct errtext ignored;
        int hold = -1;

        if (environment_load(state_fd, &e, &ignored) == 0 && open_store(e, &store, &ignored) == 0 &&
            store_is_read_only(store))
                hold = store_hold_open(store);
        store_close(store);
        environment_free(e);
        malloc_trim(0); /* the keeper has no use for it */
        return hold;
}

/* The store, and the bare folder. */
static int open_sources(struct server *s, const struct environment *e, int site_fd, struct errtext *err)
{
        int r = open_store(e, &s->store, err), numbers;

        if (r == 0 && strcmp(e->store_id, s->store->id) != 0)
                r = errtext_set(err, -ESTALE, "the store at '%s' is another one (%s) than the environment's (%s)",
                                e->store_path, s->store->id, e->store_id);
        if (r == 0)
                r = s->handover && store_hold_is_of(s->store, HANDOVER_FD_HOLD)
                            ? image_pool_new_holding(s->store, HANDOVER_FD_HOLD, &s->pool)
                            : image_pool_new(s->store, &s->pool);
        if (r < 0) {
                close(site_fd);
                return r;
        }
        numbers = file_open_own(s->state_fd, BASE_NODES_FILE, O_RDWR | O_CREAT | O_APPEND, 0644);
        return base_new(site_fd, numbers < 0 ? -1 : numbers, &s->base, err);
}

/* Until the images are held: see image_pool_new().  A worker that takes over finds them held. */
static int keep_gc_away(const struct server *s)
{
        return store_is_read_only(s->store) ? store_use_ungated(s->store) : -1;
}

/* Rows of another generation are carried over before anything is dropped. */
static int settle_edits(struct server *s, struct errtext *err)
{
        struct errtext note = { "" };
        size_t lost = 0, kept = 0;
        int r = tree_settle(s->tree, s->pool, s->base, &kept, &note, err);

        if (*note.text)
                log_line(&s->log, "the edits are of a generation that cannot be read: %s", note.text);
        if (kept)
                log_line(&s->log, "%zu changed files of packages that are gone or hidden were put to .fusepkg/kept",
                         kept);
        if (r < 0)
                return r;
        r = tree_sweep(s->tree, &lost);
        if (r < 0)
                errtext_set(err, r, "cannot clear '.fusepkg/" EDIT_DATA_DIR "'");
        if (lost)
                log_line(
                        &s->log,
                        "the bytes of %zu files that were written last are lost: the machine stopped before they were on the disk",
                        lost);
        return r;
}

/* The view takes the images from the first slot on: this thread begins with the last, while the edits are opened, and
 * they meet.  What goes wrong is the view's to say. */
struct preload {
        pthread_t thread;
        bool runs;
        struct image_pool *pool;
        const struct environment *e;
};

static void *preload_run(void *arg)
{
        const struct preload *p = arg;
        const struct image *img;
        struct errtext ignored;

        for (size_t i = p->e->slot_count; i > 0; i--)
                (void)image_pool_get(p->pool, p->e->slots[i - 1].image, &img, &ignored);
        return NULL;
}

static void preload_start(struct preload *p, struct image_pool *pool, const struct environment *e)
{
        p->pool = pool;
        p->e = e;
        p->runs = e->slot_count >= PRELOAD_MIN && pthread_create(&p->thread, NULL, preload_run, p) == 0;
}

static void preload_end(struct preload *p)
{
        if (p->runs)
                pthread_join(p->thread, NULL);
}

int mount_load(struct server *s, int site_fd, struct errtext *err)
{
        struct preload preload = { .runs = false };
        struct environment *e = NULL;
        struct view *v = NULL;
        cleanup_close int use = -1;
        int r = environment_load(s->state_fd, &e, err);

        if (r == 0)
                r = open_sources(s, e, site_fd, err);
        else
                close(site_fd);
        if (r == 0) {
                use = keep_gc_away(s);
                preload_start(&preload, s->pool, e);
                r = open_edits(s, e, err);
        }
        if (r == 0)
                r = view_above_cuts(s, e, NULL, &v, err);
        preload_end(&preload);
        if (r == 0)
                r = tree_new(v, s->edits, s->edit_data, &s->tree);
        if (r == 0)
                r = settle_edits(s, err);
        if (r == 0)
                tree_told(s->tree); /* what a mount before this one had not told: its kernel is gone */
        if (r == 0)
                atomic_store(&s->announced, e->generation);
        environment_free(e);
        return r;
}

/* In a process that takes over ---------------------------------------------------------------------------------- */

/* Slots that have left since the mount began: programs may hold files of theirs. */
static int add_retired(struct environment *all, struct environment *old)
{
        int r = 0;

        for (size_t i = 0; i < old->slot_count && r == 0; i++) {
                struct slot *from = &old->slots[i], *to;
                uint32_t next = all->next_slot;

                if (environment_slot(all, from->number))
                        continue;
                r = environment_add_slot(all, &to);
                if (r < 0)
                        break;
                all->next_slot = next;
                slot_release(to);
                *to = *from;
                memset(from, 0, sizeof(*from));
        }
        return r;
}

static int by_number(const void *a, const void *b)
{
        const struct slot *x = a, *y = b;

        return x->number < y->number ? -1 : x->number > y->number;
}

/* A view of all slots that there were since FIRST.  What of the history is gone is said, and its files are not there
 * any more. */
static int view_since(struct server *s, const struct environment *now, uint64_t first, struct view **ret,
                      struct errtext *err)
{
        struct environment *all = NULL;
        int r = environment_copy(now, &all);

        if (r < 0)
                return errtext_set(err, r, "out of memory");
        for (uint64_t g = now->generation; g-- > first && r == 0;) {
                struct environment *old = NULL;
                struct errtext why = { "" };

                if (environment_load_generation(s->state_fd, g, &old, &why) < 0)
                        log_line(&s->log, "files of generation %llu that are held open are lost: %s",
                                 (unsigned long long)g, why.text);
                else
                        r = add_retired(all, old);
                environment_free(old);
        }
        qsort(all->slots, all->slot_count, sizeof(*all->slots), by_number);
        if (r == 0 && all->slot_count > now->slot_count)
                r = view_new(all, s->pool, s->base, s->state_fd, NULL, ret, err);
        environment_free(all);
        return r;
}

/* What was served last, whatever has been committed meanwhile: the reloader goes on from there. */
static int load_served(struct server *s, struct environment *now, struct environment **ret, struct errtext *err)
{
        uint64_t generation = atomic_load(&s->announced);
        int r = s->edits ? edits_generation_get(s->edits, &generation) : 0;

        if (r < 0)
                return errtext_set(err, r, "cannot read the edits: %s", errno_name(r, (char[128]){ 0 }));
        return generation == now->generation ? environment_copy(now, ret) :
                                               environment_load_generation(s->state_fd, generation, ret, err);
}

static int load_announced(struct server *s, const struct environment *served, struct errtext *err)
{
        uint64_t generation = atomic_load(&s->announced);
        struct environment *e = NULL;
        int r = 0;

        if (generation == served->generation)
                return 0;
        r = environment_load_generation(s->state_fd, generation, &e, err);
        if (r == 0)
                r = view_above_cuts(s, e, NULL, &s->announced_view, err);
        environment_free(e);
        return r;
}

static int load_again(struct server *s, const struct environment *served, struct errtext *err)
{
        struct view *before = NULL, *v = NULL;
        int r = view_since(s, served, s->handover->first, &before, err);

        if (r == 0)
                r = view_above_cuts(s, served, before, &v, err);
        view_free(before);
        if (r == 0)
                r = tree_new(v, s->edits, s->edit_data, &s->tree);
        return r < 0 ? r : load_announced(s, served, err);
}

int mount_load_again(struct server *s, int site_fd, uint64_t **ret_removed, size_t *ret_n, struct errtext *err)
{
        struct environment *now = NULL, *served = NULL;
        int r = environment_load(s->state_fd, &now, err);

        atomic_store(&s->announced, atomic_load(&s->handover->announced));
        if (r == 0)
                r = open_edits(s, now, err);
        if (r == 0)
                r = open_sources(s, now, site_fd, err);
        else
                close(site_fd);
        if (r == 0)
                r = load_served(s, now, &served, err);
        if (r == 0)
                r = load_again(s, served, err);
        if (r == 0)
                r = tree_take_over(s->tree, ret_removed, ret_n);
        if (r == 0)
                s->reload_wanted = now->generation != served->generation;
        environment_free(now);
        environment_free(served);
        return r;
}
