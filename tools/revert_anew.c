#include "tools/revert_anew.h"

#include "tools/change.h"
#include "tools/kept_list.h"
#include "tools/ui.h"

#include <stdio.h>

/* Is all asked about that was changed of it? */
static bool is_whole(const struct diff *d, uint32_t slot)
{
        for (size_t i = 0; i < d->report.change_count; i++) {
                const struct edit_change *c = &d->report.changes[i];

                if (c->id >> 32 == slot && !edit_path_is_generated(c->path) &&
                    !edit_filter_wants(&d->filter, c->id, c->path, c->origin))
                        return false;
        }
        return true;
}

static int by_number(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

static bool has(const struct revert_anew *a, uint64_t slot)
{
        for (size_t i = 0; i < a->count; i++)
                if (a->slots[i] == slot)
                        return true;
        return false;
}

static int add_paths(const struct diff *d, struct revert_anew *a)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->count; i++) {
                const struct diff_file *f = &d->files[i];

                if (f->kind != CHANGE_ADDED && has(a, f->old.id >> 32))
                        r = edit_words_add(&a->paths, strdup(f->path));
        }
        return r;
}

int revert_anew_find(const struct diff *d, const char *request, bool all, struct revert_anew *ret)
{
        cleanup_edit_report struct edit_report report = { 0 };
        cleanup_buf struct buf lines = { 0 };
        struct errtext ignored = { "" };
        int r = buf_printf(&lines, "blocked\n%s", request);

        if (r == 0)
                r = edits_ask(&d->t, lines.data, &report, &ignored);
        if (r < 0 || report.blocked_count == 0)
                return r;
        if (!ret->until)
                ret->until = d->t.environment->next_slot;
        ret->slots = reallocarray(NULL, report.blocked_count, sizeof(*ret->slots));
        if (!ret->slots)
                return -ENOMEM;
        for (size_t i = 0; i < report.blocked_count; i++) {
                const struct slot *slot = environment_slot(d->t.environment, report.blocked[i]);

                if (slot && slot->number < ret->until && is_whole(d, slot->number) && !(all && edit_dists_is_removed(&d->dists, slot)))
                        ret->slots[ret->count++] = slot->number;
        }
        if (ret->count)
                qsort(ret->slots, ret->count, sizeof(*ret->slots), by_number);
        return add_paths(d, ret);
}

void revert_anew_clear(struct revert_anew *a)
{
        free(a->slots);
        edit_words_release(&a->paths);
        *a = (struct revert_anew){ .until = a->until };
}

static int renew(struct change *c, const struct revert_anew *a, struct errtext *err)
{
        for (size_t i = 0; i < a->count; i++) {
                int r = environment_renew_slot(c->next, a->slots[i]);

                if (r == -ENOENT)
                        return errtext_set(err, r, "'%s' was changed meanwhile; try again", c->t.venv);
                if (r < 0)
                        return errtext_set(err, r, "cannot prepare the environment: %s",
                                           errno_name(r, (char[128]){ 0 }));
        }
        return 0;
}

struct collecting {
        struct edit_words *words;
        char generation[32]; /* "7/" */
};

static int collect(const char *path, void *user)
{
        struct collecting *c = user;

        return strncmp(path, c->generation, strlen(c->generation)) == 0 ? edit_words_add(c->words, strdup(path)) : 0;
}

int revert_anew_install(const struct options *o, const struct revert_anew *a, struct edit_words *kept,
                        struct errtext *err)
{
        cleanup_change struct change c = CHANGE_INIT;
        struct collecting collecting = { .words = kept };
        int r = change_open(o, &c, err);

        if (r == 0)
                r = change_open_store(&c, err);
        if (r == 0)
                r = change_lock(&c, err);
        if (r == 0)
                r = renew(&c, a, err);
        if (r == 0)
                r = change_commit(&c, err);
        if (r == 0)
                r = change_show(&c, false, NULL, err);
        if (r < 0)
                return r;
        snprintf(collecting.generation, sizeof(collecting.generation), "%llu/",
                 (unsigned long long)c.t.environment->generation);
        r = kept_list(&c.t, collect, &collecting);
        return r < 0 ? errtext_set(err, r, "cannot list what was kept: %s", errno_name(r, (char[128]){ 0 })) : 0;
}
