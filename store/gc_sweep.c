/* Removing what nobody needs: the last step of gc.h.
 *
 * The order makes every kill harmless.  Rows of the index first: from then on an add takes the wheel for unknown and
 * works on it again.  Then images: whoever still has one's name gets ENOENT, and `store verify` knows by the missing
 * row that this is no loss.  Objects last, when no image refers to them any more.
 *
 * A full disk may refuse the rows, which need room in the index's log: then files go first, which makes room, and the
 * rows after them.  A kill in between leaves rows without an image; they are forgotten when they are come upon. */
#include "store/gc_private.h"

#include <stdio.h>

struct sweep {
        struct gc *gc;
        const struct store *store;
        struct index *index;
        void (*progress)(uint64_t done, uint64_t total);
        uint64_t done;
        uint64_t total;
        struct errtext *err;
};

static void advance(struct sweep *w)
{
        w->done++;
        if (w->progress)
                w->progress(w->done, w->total);
}

static int forget_rows(struct sweep *w)
{
        for (size_t i = 0; i < w->gc->image_count; i++) {
                struct gc_image *image = &w->gc->images[i];
                int r = image->reason_count || !image->indexed ? 0 : index_forget_image(w->index, image->id);

                if (r < 0)
                        return r;
                if (image->reason_count == 0)
                        image->indexed = false;
        }
        return 0;
}

static int remove_file(struct sweep *w, const char *name)
{
        char text[128];

        advance(w);
        if (unlinkat(w->store->root_fd, name, 0) == 0 || errno == ENOENT)
                return 0;
        return errtext_set(w->err, -errno, "cannot remove '%s/%s': %s", w->store->path, name,
                           errno_name(-errno, text));
}

static int remove_images(struct sweep *w)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < w->gc->image_count; i++) {
                const struct gc_image *image = &w->gc->images[i];
                char name[80];

                store_image_name(image->id, name);
                if (image->reason_count == 0 && image->there)
                        r = remove_file(w, name);
        }
        return r;
}

static int remove_objects(struct sweep *w)
{
        int r = 0;

        for (size_t i = 0; r == 0 && !w->gc->keep_objects && i < w->gc->object_count; i++) {
                char name[80];

                store_object_name(w->gc->objects[i].id, name);
                if (!w->gc->objects[i].needed)
                        r = remove_file(w, name);
        }
        return r;
}

static bool is_full(int r)
{
        return r == -ENOSPC || r == -EDQUOT;
}

int gc_sweep(struct gc *g, const struct store *s, struct index *x, void (*progress)(uint64_t done, uint64_t total),
             struct errtext *err)
{
        struct sweep w = { .gc = g, .store = s, .index = x, .progress = progress, .err = err };
        struct gc_totals totals;
        char text[128];
        int r, q;

        gc_totals(g, &totals);
        w.total = totals.images + totals.objects;
        q = forget_rows(&w);
        if (q < 0 && !is_full(q))
                return errtext_set(err, q, "cannot write to the index of the store '%s': %s", s->path,
                                   errno_name(q, text));
        r = remove_images(&w);
        if (r == 0)
                r = remove_objects(&w);
        if (r < 0)
                return r;
        if (q < 0)
                q = forget_rows(&w);
        return q < 0 ? errtext_set(err, q, "cannot write to the index of the store '%s': %s", s->path,
                                   errno_name(q, text))
                     : 0;
}
