#include "tools/change_edits.h"

#include "fs/kept.h"
#include "store/files.h"
#include "store/wheel_name.h"
#include "tools/change.h"
#include "tools/outside_internal.h"
#include "tools/outside_list.h"
#include "tools/row_fate.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <stdio.h>

int change_edits_load(struct change *c, struct errtext *err)
{
        struct change_edits *e = &c->edits;
        int r;

        if (!edits_ask_needed(&c->t))
                return 0;
        r = edits_ask(&c->t, "report\nbase\n", &e->report, err);
        if (r < 0) /* a mount of a version that does not tell */
                r = edits_ask(&c->t, "report\n", &e->report, err);
        edit_words_settle(&e->report.base);
        if (r == 0)
                r = edit_dists_load(&c->t, &e->report, &e->dists, err);
        for (size_t i = 0; r == 0 && i < e->dists.removed_count; i++)
                if (e->dists.removed[i].slot)
                        r = environment_remove_slot(c->next, e->dists.removed[i].slot->number);
        return r < 0 && !err->text[0] ?
                       errtext_set(err, r, "cannot take what pip has removed from the list: %s", strerror(-r)) :
                       r;
}

void change_edits_release(struct change_edits *e)
{
        edit_words_release(&e->outside);
        edit_words_release(&e->changed);
        buf_release(&e->request);
        buf_release(&e->back);
        edit_dists_release(&e->dists);
        edit_report_release(&e->report);
        *e = (struct change_edits){ 0 };
}

/* Collecting --------------------------------------------------------------------------------------------------- */

static int add_word(struct edit_words *w, const char *text, size_t len)
{
        return edit_words_add(w, strndup(text, len));
}

/* The folders that a path lies in, which may become empty. */
static int add_folders(struct edit_words *folders, const char *path)
{
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                int r = add_word(folders, path, (size_t)(slash - path));

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Bytecode of "pkg/a.py": "pkg/__pycache__/a.*.pyc", as far as Python wrote it here. */
static int add_bytecode(struct change_edits *e, const char *path, struct edit_words *folders)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        size_t len = strlen(name);
        cleanup_buf struct buf start = { 0 };
        int r;

        if (len < 3 || strcmp(name + len - 3, ".py") != 0)
                return 0;
        r = buf_printf(&start, "%.*s__pycache__/%.*s.", (int)(name - path), path, (int)(len - 3), name);
        for (size_t i = 0; r == 0 && i < e->report.change_count; i++) {
                const struct edit_change *c = &e->report.changes[i];

                if (c->kind != CHANGE_ADDED || c->type != 'f' || strncmp(c->path, start.data, start.len) != 0)
                        continue;
                r = edits_ask_add(&e->request, "remove", c->path);
                if (r == 0)
                        r = add_folders(folders, c->path);
        }
        return r;
}

static int by_bytes_down(const void *a, const void *b)
{
        return strcmp(*(char *const *)b, *(char *const *)a);
}

/* Is that a folder that may go once it is empty?  One that was made through the mount is; one of the bare site-packages
 * is when something was taken out of it.  Those of our packages come and go with them; and a RECORD may speak of a file
 * as a folder: "six.py/inner.py". */
static bool is_folder(const struct edit_report *r, const char *path)
{
        bool emptied = false;

        for (size_t i = 0; i < r->change_count; i++) {
                const struct edit_change *c = &r->changes[i];

                if (c->kind != CHANGE_REMOVED && strcmp(c->path, path) == 0)
                        return c->type == 'd';
                emptied = emptied || (c->kind == CHANGE_REMOVED && c->id >> 32 == 0 && strcmp(c->path, path) != 0 &&
                                      edit_path_is_within(c->path, path));
        }
        return emptied;
}

/* What is below a folder comes before it. */
static int request_folders(struct change_edits *e, struct edit_words *folders)
{
        int r = 0;

        if (folders->count)
                qsort(folders->list, folders->count, sizeof(*folders->list), by_bytes_down);
        for (size_t i = 0; r == 0 && i < folders->count; i++)
                if ((i == 0 || strcmp(folders->list[i], folders->list[i - 1]) != 0) &&
                    is_folder(&e->report, folders->list[i]))
                        r = edits_ask_add(&e->request, "remove", folders->list[i]);
        return r;
}

/* Rows --------------------------------------------------------------------------------------------------------- */

static const char *below_site(const struct change *c, const char *path)
{
        return edit_path_is_within(path, c->t.site_rel) ? path + strlen(c->t.site_rel) + 1 : NULL;
}

/* Has the new environment a package with a file at a path at which the edits have THING? */
static bool is_anothers(const struct change *c, const struct edit_change *thing)
{
        const struct edit_report *r = &c->edits.report;
        const struct edit_change *hidden =
                thing->kind == CHANGE_MODIFIED ? thing : edit_report_find(r, thing->path, CHANGE_REMOVED);
        bool found = hidden && hidden->type == 'f' && environment_slot(c->next, (uint32_t)(hidden->id >> 32));

        /* Of a folder that went as a whole, or elsewhere, nothing comes back alone. */
        for (size_t i = 0; found && i < r->change_count; i++) {
                const struct edit_change *d = &r->changes[i];

                found = d->type != 'd' || (d->kind != CHANGE_REMOVED && d->kind != CHANGE_MOVED) ||
                        !edit_path_is_within(thing->path, d->origin ? d->origin : d->path);
        }
        return found;
}

static int take_thing(struct change *c, const char *path, const struct record_row *row, struct edit_words *folders)
{
        const struct edit_change *thing = row_fate_find(&c->edits.report, below_site(c, path));
        int fate = row_fate_inside(&c->t, thing, row);
        int r = fate < 0 ? fate : add_folders(folders, below_site(c, path));

        if (r == 0 && fate == ROW_IS_KEPT)
                r = add_word(&c->edits.changed, path, strlen(path));
        if (r == 0 && fate != ROW_STAYS)
                r = edits_ask_add(&c->edits.request, "remove", thing->path);
        if (r == 0 && fate != ROW_STAYS && is_anothers(c, thing))
                r = edits_ask_add(&c->edits.back, "revert", thing->path);
        if (r < 0 || (thing && fate == ROW_STAYS))
                return r;
        return add_bytecode(&c->edits, below_site(c, path), folders);
}

static int take_outside(struct change *c, const char *path, const struct record_row *row)
{
        int fate = row_fate_outside(&c->t, path, row);
        int r = fate < 0 ? fate : 0;

        if (fate == ROW_IS_KEPT)
                r = add_word(&c->edits.changed, path, strlen(path));
        if (r < 0 || fate == ROW_STAYS)
                return r;
        return add_word(&c->edits.outside, path, strlen(path));
}

static int take_row(struct change *c, const struct record_row *row, struct edit_words *folders)
{
        cleanup_buf struct buf path = { 0 };
        int r = edit_dists_resolve(&c->t, row->path, &path);

        if (r == -EPERM) {
                ui_warning("'%s' is not in the environment: it stays", row->path);
                return 0;
        }
        if (r < 0 || strcmp(path.data, c->t.site_rel) == 0)
                return r;
        return below_site(c, path.data) ? take_thing(c, path.data, row, folders) : take_outside(c, path.data, row);
}

/* Without these a distribution cannot be found again: they go last, for a kill in between. */
static int turn_of(const struct edit_dist *dist, const char *path)
{
        size_t len = strlen(dist->dist_info);

        if (strncmp(path, dist->dist_info, len) != 0)
                return 0;
        return strcmp(path + len, "/RECORD") == 0 ? 2 : strcmp(path + len, "/METADATA") == 0;
}

static int remove_dist(struct change *c, const struct edit_dist *dist, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        struct edit_words folders = { 0 };
        struct record record = { 0 };
        int r = edit_dists_read(&c->edits.dists, dist, "RECORD", &text, err);

        if (r == -ENOENT)
                return errtext_set(err, r, "cannot uninstall %s: its RECORD is not found at %s/%s/RECORD", dist->name,
                                   c->t.site, dist->dist_info);
        if (r == 0)
                r = record_parse(text.data, text.len, &record, err);
        if (r < 0)
                return r;
        r = change_note(c, '-', dist->name, dist->version, err);
        for (int turn = 0; turn < 3; turn++)
                for (size_t i = 0; r == 0 && i < record.count; i++)
                        if (turn_of(dist, record.rows[i].path) == turn)
                                r = take_row(c, &record.rows[i], &folders);
        if (r == 0)
                r = request_folders(&c->edits, &folders);
        edit_words_release(&folders);
        record_release(&record);
        if (r < 0 && !err->text[0])
                return errtext_set(err, r, "cannot uninstall %s: %s", dist->name, errno_name(r, (char[128]){ 0 }));
        return r;
}

int change_edits_remove(struct change *c, const char *name, size_t *ret_count, struct errtext *err)
{
        const struct edit_dists *d = &c->edits.dists;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->added_count; i++) {
                if (!name_equal(d->added[i].name, name))
                        continue;
                n++;
                r = remove_dist(c, &d->added[i], err);
        }
        *ret_count = n;
        return r;
}

/* Doing -------------------------------------------------------------------------------------------------------- */

/* What no package may have: the interpreter, the scripts that activate, anything beside them that is not in a folder.
 * */
static bool is_fixed(const char *path)
{
        static const char *const words[] = { "bin/python", "bin/pypy", "bin/activate", "bin/Activate",
                                             ENVIRONMENT_DIR "/" };

        for (size_t i = 0; i < ARRAY_LEN(words); i++)
                if (strncmp(path, words[i], strlen(words[i])) == 0)
                        return true;
        return !strchr(path, '/');
}

static void remove_outside(struct change *c, const char *path)
{
        const char *name = strrchr(path, '/') + 1;
        cleanup_free char *folder = strndup(path, (size_t)(name - path));
        cleanup_close int fd = folder ? file_open_beneath(c->t.venv_fd, folder, O_PATH | O_DIRECTORY, 0) : -1;

        if (fd >= 0 && unlinkat(fd, name, 0) < 0 && errno != ENOENT)
                ui_warning("cannot remove '%s/%s': %s", c->t.venv, path, strerror(errno));
        /* A symlink of ours on the way leads into the data folder. */
        if (fd == -ELOOP)
                ui_warning("'%s/%s' stays: it lies behind a symlink", c->t.venv, path);
}

/* Does a distribution that pip or uv brought have that script? */
static bool has_script(struct change *c, const char *name)
{
        const struct edit_dists *d = &c->edits.dists;
        bool found = false;

        for (size_t i = 0; !found && i < d->added_count; i++) {
                cleanup_buf struct buf text = { 0 };
                struct record record = { 0 };
                struct errtext ignored;

                if (edit_dists_read(d, &d->added[i], "RECORD", &text, &ignored) < 0 ||
                    record_parse(text.data, text.len, &record, &ignored) < 0)
                        continue;
                for (size_t k = 0; !found && k < record.count; k++) {
                        cleanup_buf struct buf path = { 0 };

                        found = edit_dists_resolve(&c->t, record.rows[k].path, &path) == 0 &&
                                strncmp(path.data, "bin/", 4) == 0 && strcmp(path.data + 4, name) == 0;
                }
                record_release(&record);
        }
        return found;
}

/* Scripts of packages that pip has replaced are pip's now: the list forgets them. */
static int give_up_scripts(struct change *c)
{
        cleanup_outside_list struct outside_list list = { 0 };
        size_t n = 0;
        int r;

        if (c->edits.dists.added_count == 0 || c->edits.dists.removed_count == 0)
                return 0;
        r = outside_list_load(c->t.state_fd, &list);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.claim_count; i++) {
                struct outside_claim *claim = &list.claims[i];
                bool gone = false;

                for (size_t k = 0; k < c->edits.dists.removed_count; k++)
                        gone = gone || (c->edits.dists.removed[k].slot &&
                                        c->edits.dists.removed[k].slot->number == claim->slot);
                if (gone && has_script(c, claim->name))
                        free(claim->name);
                else
                        list.claims[n++] = *claim;
        }
        if (n == list.claim_count)
                return 0;
        list.claim_count = n;
        return outside_list_save(c->t.state_fd, &list);
}

/* Of a further name of a file it is told with the first one. */
static mode_t mode_of(const struct edit_report *r, const struct edit_change *thing)
{
        for (size_t i = 0; i < r->change_count; i++) {
                const struct edit_change *c = &r->changes[i];

                if (c->id == thing->id && (c->kind == CHANGE_ADDED || c->kind == CHANGE_MODIFIED))
                        return c->mode;
        }
        return 0644;
}

/* Before anything goes: a kill in between leaves a copy, which the next attempt finds. */
static int keep_changed(struct change *c, struct errtext *err)
{
        uint64_t generation = c->t.environment ? c->t.environment->generation + 1 : 1;
        int r = 0;

        for (size_t i = 0; r == 0 && i < c->edits.changed.count; i++) {
                const char *path = c->edits.changed.list[i], *below = below_site(c, path);
                const struct edit_change *thing;
                cleanup_close int fd = -1;

                if (!below) {
                        r = is_fixed(path) ? 0 : outside_keep(&c->t, generation, path, err);
                        continue;
                }
                thing = row_fate_find(&c->edits.report, below);
                fd = edits_ask_open(&c->t, thing);
                r = fd < 0 ? fd : 0;
                if (r == 0)
                        r = kept_put_file(c->t.state_fd, generation, below, fd, mode_of(&c->edits.report, thing), NULL);
                if (r < 0)
                        errtext_set(err, r, "cannot keep '%.900s': %s", below, errno_name(r, (char[128]){ 0 }));
        }
        return r;
}

/* What another had put in the place of our packages' files is gone: they are seen again, where that can be. */
static void give_back(struct change *c)
{
        cleanup_edit_report struct edit_report ignored = { 0 };
        struct errtext why = { "" };

        if (c->edits.back.len && edits_ask(&c->t, c->edits.back.data, &ignored, &why) < 0)
                ui_warning("%s", why.text[0] ? why.text : "not all files of other packages are there again");
}

int change_edits_apply(struct change *c, struct errtext *err)
{
        cleanup_edit_report struct edit_report ignored = { 0 };
        struct change_edits *e = &c->edits;
        int r = keep_changed(c, err);

        if (r == 0 && e->request.len)
                r = edits_ask(&c->t, e->request.data, &ignored, err);
        if (r == 0)
                give_back(c);
        if (r == 0 && give_up_scripts(c) < 0)
                ui_warning("cannot write '%s/" ENVIRONMENT_DIR "/" OUTSIDE_FILE "'", c->t.venv);
        for (size_t i = 0; r == 0 && i < e->outside.count; i++)
                if (!is_fixed(e->outside.list[i]))
                        remove_outside(c, e->outside.list[i]);
        return r;
}

int change_edits_carry(struct change *c, struct errtext *err)
{
        cleanup_edit_report struct edit_report ignored = { 0 };

        return edits_ask_needed(&c->t) ? edits_ask(&c->t, "", &ignored, err) : 0;
}
