#include "tools/edit_view.h"

static int open_images(struct edit_view *v, struct errtext *err)
{
        int r = v->store ? 0 : target_store(v->target, STORE_READ, &v->store, err);

        if (r < 0 || v->pool)
                return r;
        r = target_base(v->target, true, &v->base, err);
        if (r == 0 && image_pool_new(v->store, &v->pool) < 0)
                r = errtext_set(err, -ENOMEM, "out of memory");
        return r;
}

int edit_view_open(struct edit_view *v, struct errtext *err)
{
        int r = v->all ? 0 : open_images(v, err);

        return r < 0 || v->all ?
                       r :
                       view_new(v->target->environment, v->pool, v->base, v->target->state_fd, NULL, &v->all, err);
}

static int by_number(const void *a, const void *b)
{
        const struct slot *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

/* The slots that a report names; RET has room for all. */
static size_t choose(const struct environment *e, const struct edit_report *report, bool *chosen, struct slot *ret)
{
        size_t n = 0;

        for (size_t i = 0; e->slot_count && i < report->change_count; i++) {
                const struct slot key = { .number = (uint32_t)(report->changes[i].id >> 32) };
                const struct slot *slot = bsearch(&key, e->slots, e->slot_count, sizeof(key), by_number);

                if (slot)
                        chosen[slot - e->slots] = true;
        }
        for (size_t i = 0; i < e->slot_count; i++)
                if (chosen[i])
                        ret[n++] = e->slots[i];
        return n;
}

/* Of the environment as if nothing else were installed. */
static int open_files(struct edit_view *v, const struct edit_report *report, struct errtext *err)
{
        struct environment some = *v->target->environment;
        cleanup_free bool *chosen = calloc(some.slot_count + 1, sizeof(*chosen));
        cleanup_free struct slot *slots = calloc(some.slot_count + 1, sizeof(*slots));
        int r = open_images(v, err);

        if (r < 0)
                return r;
        if (!chosen || !slots)
                return errtext_set(err, -ENOMEM, "out of memory");
        some.slot_count = choose(v->target->environment, report, chosen, slots);
        some.slots = slots;
        return view_new(&some, v->pool, v->base, v->target->state_fd, NULL, &v->files, err);
}

/* A folder that has the number of a package that left: others still have files in it. */
static bool is_left_over(const struct edit_view *v, const struct edit_change *c)
{
        struct node ignored;

        return c->kind == CHANGE_MODIFIED && c->id >> 32 && view_getattr(v->files, c->id, &ignored) < 0;
}

int edit_view_for(struct edit_view *v, const struct edit_report *report, const struct view **ret, struct errtext *err)
{
        bool any = false, all = v->all != NULL;
        int r = 0;

        for (size_t i = 0; i < report->change_count; i++) {
                const struct edit_change *c = &report->changes[i];

                any = any || c->kind != CHANGE_ADDED;
                all = all || (c->type == 'd' && (c->kind == CHANGE_REMOVED || c->kind == CHANGE_MOVED));
        }
        if (any && !all)
                r = open_files(v, report, err);
        for (size_t i = 0; r == 0 && !all && v->files && i < report->change_count; i++)
                all = is_left_over(v, &report->changes[i]);
        if (r == 0 && all)
                r = edit_view_open(v, err);
        if (r == 0)
                *ret = all ? v->all : v->files;
        return r;
}

void edit_view_release(struct edit_view *v)
{
        view_free(v->files);
        view_free(v->all);
        base_free(v->base);
        image_pool_free(v->pool);
        store_close(v->store);
        *v = (struct edit_view){ 0 };
}
