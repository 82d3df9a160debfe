#include "tools/add_plan.h"

#include "tools/generated.h"
#include "tools/outside.h"
#include "tools/pep440.h"
#include "tools/tags.h"
#include "tools/ui.h"

#include <stdio.h>

enum { CONFLICTS_SHOWN = 10 };

void plan_release(struct plan *p)
{
        for (size_t i = 0; i < p->selection->count; i++) {
                if (p->wheels)
                        ingest_wheel_release(&p->wheels[i]);
                if (p->storage)
                        buf_release(&p->storage[i]);
        }
        free(p->wheels);
        free(p->storage);
        free(p->skip);
}

int plan_check_tags(struct plan *p, struct errtext *err)
{
        for (size_t i = 0; i < p->selection->count; i++) {
                const struct selected *w = &p->selection->list[i];
                struct errtext why = { "" };
                int r = tags_check(p->interpreter, &w->name, &why);

                if (r < 0)
                        return errtext_set(err, r, "cannot add '%.300s': %s", w->base, why.text);
        }
        return 0;
}

/* --- into the store --- */

static void show_progress(uint64_t done, uint64_t total, void *user)
{
        (void)user;
        ui_progress("Preparing packages", done, total);
}

static void say_warnings(const struct plan *p, size_t i)
{
        for (char *line = p->wheels[i].warnings.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
                ui_warning("%.*s", (int)(end - line), line);
}

static int say_prepared(struct plan *p, uint64_t ns)
{
        size_t prepared = 0, refused = 0;
        char took[32];

        for (size_t i = 0; i < p->selection->count; i++) {
                if (p->wheels[i].result < 0 && p->wheels[i].err.text[0]) {
                        ui_error("cannot add %s", p->wheels[i].err.text); /* which begins with the wheel's name */
                        refused++;
                }
                prepared += p->wheels[i].result == 0 && p->wheels[i].prepared;
        }
        if (refused)
                return -EBADMSG;
        ui_format_duration(ns, took);
        if (prepared)
                ui_say("Prepared %zu package%s in %s", prepared, prepared == 1 ? "" : "s", took);
        for (size_t i = 0; i < p->selection->count; i++)
                say_warnings(p, i);
        return 0;
}

static int check_hashes(const struct selected *w, const struct ingest_wheel *got, struct errtext *err)
{
        char hex[SHA256_HEX_SIZE];

        for (size_t i = 0; i < w->hash_count; i++)
                if (memcmp(w->hashes[i], got->archive, SHA256_SIZE) == 0)
                        return 0;
        hex_encode(got->archive, SHA256_SIZE, hex);
        return w->hash_count == 0 ? 0
                                  : errtext_set(err, -EKEYREJECTED,
                                                "cannot add '%s': its SHA-256 is %s, which is not one "
                                                "of those required",
                                                w->path, hex);
}

static int check_requires_python(const struct plan *p, const struct selected *w, const struct image_meta *meta,
                                 struct errtext *err)
{
        const struct interpreter_facts *facts;
        struct errtext why = { "" };
        bool fits = true;
        int r;

        if (p->ignore_requires_python || !meta->requires_python[0])
                return 0;
        r = interpreter_get_facts(p->interpreter, &facts, err);
        if (r < 0)
                return r;
        r = version_matches(meta->requires_python, facts->python_full_version, true, &fits, &why);
        if (r < 0) {
                ui_warning("%s: its Requires-Python is ignored: %s", w->base, why.text);
                return 0;
        }
        return fits ? 0 : errtext_set(err, -ENOTSUP, "cannot add '%s': it needs Python %s, and this is %s", w->path,
                                      meta->requires_python, facts->python_full_version);
}

/* Two files with one name: the same archive counts once, another one is refused. */
static int check_twice(struct plan *p, size_t i, struct errtext *err)
{
        const struct selected *list = p->selection->list;

        for (size_t k = 0; k < i; k++) {
                if (p->skip[k] || !name_equal(list[k].name.distribution, list[i].name.distribution))
                        continue;
                if (memcmp(p->wheels[k].archive, p->wheels[i].archive, SHA256_SIZE) != 0)
                        return errtext_set(err, -ENOTUNIQ, "two different wheels of '%s' are asked for: '%s' and '%s'",
                                           list[i].name.distribution, list[k].path, list[i].path);
                p->skip[i] = true;
                break;
        }
        return 0;
}

static int check_insides(struct plan *p, size_t i, struct errtext *err)
{
        const struct selected *w = &p->selection->list[i];
        const struct image *img;
        struct errtext why = { "" };
        int r = image_pool_get(p->change->pool, p->wheels[i].image, &img, &why);

        if (r < 0)
                return errtext_set(err, r, "cannot add '%s': %.1200s", w->path, why.text);
        if (p->strict && !image_meta(img)->record_matched)
                return errtext_set(err, -EBADMSG, "cannot add '%s': its RECORD disagrees with its files (--strict)",
                                   w->path);
        r = check_hashes(w, &p->wheels[i], err);
        if (r == 0)
                r = check_requires_python(p, w, image_meta(img), err);
        return r < 0 ? r : check_twice(p, i, err);
}

int plan_ingest(struct plan *p, struct errtext *err)
{
        const struct ingest_options how = { .strict = p->strict,
                                            .verify = p->reinstall,
                                            .max_unpacked = p->max_unpacked,
                                            .progress = show_progress };
        size_t n = p->selection->count;
        uint64_t started = ui_now_ns();
        int r, said;

        p->wheels = calloc(n + 1, sizeof(*p->wheels));
        p->skip = calloc(n + 1, sizeof(*p->skip));
        p->storage = calloc(n + 1, sizeof(*p->storage));
        if (!p->wheels || !p->skip || !p->storage)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++)
                p->wheels[i].path = p->selection->list[i].path;
        r = ingest_wheels(p->change->store, p->change->index, p->wheels, n, &how, err);
        ui_progress_end();
        said = say_prepared(p, ui_now_ns() - started);
        if (said < 0)
                err->text[0] = '\0';
        for (size_t i = 0; r == 0 && i < n; i++)
                r = check_insides(p, i, err);
        return r;
}

/* --- into the environment --- */

static int fill_slot(struct plan *p, size_t i, const struct image *img, struct slot *slot, struct errtext *err)
{
        const struct selected *w = &p->selection->list[i];
        cleanup_buf struct buf url = { 0 };

        memcpy(slot->image, p->wheels[i].image, SHA256_SIZE);
        memcpy(slot->archive, p->wheels[i].archive, SHA256_SIZE);
        slot->requested = true;
        slot->name = strdup(image_meta(img)->name);
        slot->version = strdup(image_meta(img)->version);
        slot->filename = strdup(w->base);
        if (w->direct && generated_url(w->path, &url) == 0)
                slot->url = buf_steal(&url);
        if (!slot->name || !slot->version || !slot->filename || (w->direct && !slot->url))
                return errtext_set(err, -ENOMEM, "out of memory");
        return generated_make(&p->change->t, p->change->pool, img, slot, &p->storage[i], err);
}

static int replace_slot(struct plan *p, size_t i, struct errtext *err)
{
        struct change *c = p->change;
        const struct image *img;
        struct slot *slot;
        int r = image_pool_get(c->pool, p->wheels[i].image, &img, err);

        if (r < 0)
                return r;
        slot = environment_find(c->next, image_meta(img)->name);
        if (slot && !p->reinstall && memcmp(slot->image, p->wheels[i].image, SHA256_SIZE) == 0 &&
            memcmp(slot->archive, p->wheels[i].archive, SHA256_SIZE) == 0) {
                p->unchanged++;
                return 0;
        }
        if (slot) {
                r = change_note(c, '-', slot->name, slot->version, err);
                if (r == 0)
                        r = environment_remove_slot(c->next, slot->number);
        } else {
                r = change_hide(c, image_meta(img)->name, NULL, err);
        }
        if (r == 0)
                r = change_note(c, '+', image_meta(img)->name, image_meta(img)->version, err);
        if (r == 0 && environment_add_slot(c->next, &slot) < 0)
                r = errtext_set(err, -ENOMEM, "the environment has too many packages");
        return r < 0 ? r : fill_slot(p, i, img, slot, err);
}

int plan_environment(struct plan *p, struct errtext *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < p->selection->count; i++)
                if (!p->skip[i])
                        r = replace_slot(p, i, err);
        return r;
}

/* --- conflicts --- */

struct conflicts {
        const char *python;
        bool strict;
        size_t count;
};

/* What lies in the mount's data folder is known by its place in the venv. */
static void name_place(const struct conflicts *c, const char *path, struct buf *ret)
{
        static const char data[] = DATA_DIR "/data/", headers[] = DATA_DIR "/headers/";
        int digits = (int)strspn(c->python, "0123456789.");
        int r;

        if (strncmp(path, data, strlen(data)) == 0)
                r = buf_add_str(ret, path + strlen(data));
        else if (strncmp(path, headers, strlen(headers)) == 0)
                r = buf_printf(ret, "include/site/python%.*s/%s", digits, c->python, path + strlen(headers));
        else
                r = buf_add_str(ret, path);
        if (r < 0)
                buf_clear(ret);
}

static int say_conflict(const char *path, const char *loser, const char *winner, void *user)
{
        cleanup_buf struct buf place = { 0 };
        struct conflicts *c = user;

        if (c->count++ >= CONFLICTS_SHOWN)
                return 0;
        name_place(c, path, &place);
        if (c->strict)
                ui_error("the file `%s` is provided by more than one package: `%s`, `%s`",
                         place.data ? place.data : path, loser, winner);
        else
                ui_warning(
                        "The file `%s` is provided by more than one package: `%s`, `%s`; the later one, `%s`, is used",
                        place.data ? place.data : path, loser, winner, winner);
        return 0;
}

/* New slots are those that the environment so far does not number. */
static int find_conflicts(struct plan *p, struct base *base, struct conflicts *found, struct errtext *err)
{
        struct change *c = p->change;
        uint32_t first_new = c->t.environment ? c->t.environment->next_slot : 1;
        struct view *view = NULL;
        int r = view_new(c->next, c->pool, base, c->t.state_fd, NULL, &view, err);

        if (r < 0)
                return r;
        r = view_conflicts(view, first_new, say_conflict, found);
        view_free(view);
        if (r < 0)
                return errtext_set(err, r, "cannot compare the packages' files: %s", strerror(-r));
        return outside_conflicts(&c->t, c->next, first_new, c->pool, say_conflict, found, err);
}

int plan_conflicts(struct plan *p, struct errtext *err)
{
        struct conflicts found = { .python = p->change->t.python, .strict = p->strict };
        struct base *base = NULL;
        int r = target_base(&p->change->t, false, &base, err);

        if (r == 0)
                r = find_conflicts(p, base, &found, err);
        base_free(base);
        if (r < 0)
                return r;
        if (found.count > CONFLICTS_SHOWN)
                ui_warning("%zu more files are provided by more than one package", found.count - CONFLICTS_SHOWN);
        if (found.count && p->strict)
                return errtext_set(err, -EEXIST, "nothing was changed: packages claim the same files (--strict)");
        return 0;
}
