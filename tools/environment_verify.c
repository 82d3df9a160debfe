#include "tools/command.h"

#include "tools/diff_files.h"
#include "tools/json_out.h"
#include "tools/quote.h"
#include "tools/ui.h"

#include <stdio.h>

enum { PIECE = 1 << 20 };

struct verifying {
        struct diff *d;
        json_t *errors; /* NULL: print lines */
        size_t count;
        bool failed;    /* without memory */
        char *data;
        struct buf path;
};

/* PATH "": what it is about has none. */
static void tell(struct verifying *v, const char *kind, const char *path, const char *detail)
{
        cleanup_buf struct buf line = { 0 };

        v->count++;
        if (!v->errors) {
                if (buf_printf(&line, *path ? "%s " : "%s", kind) < 0 || quote_path(&line, "", path) < 0 ||
                    (detail && (buf_add_str(&line, ": ") < 0 || quote_path(&line, "", detail) < 0)))
                        v->failed = true;
                else
                        puts(line.data);
                return;
        }
        json_t *row = json_pack("{s:s, s:o, s:o}", "kind", kind, "path", json_out_string(path), "detail",
                                detail ? json_out_string(detail) : json_null());

        if (json_array_append_new(v->errors, row) < 0)
                v->failed = true;
}

static void tell_file(struct verifying *v, size_t i)
{
        const struct diff_file *f = &v->d->files[i];

        if (!diff_is_shown(v->d, i) || diff_is_same(v->d, f))
                return;
        switch (f->kind) {
        case CHANGE_REMOVED:
                tell(v, "missing", f->path, NULL);
                break;
        case CHANGE_MODIFIED:
                tell(v, "modified", f->path, diff_is_other(f) ? NULL : "mode or owner");
                break;
        case CHANGE_MOVED:
                tell(v, "missing", f->from, NULL);
                tell(v, "extra", f->path, f->from);
                break;
        case CHANGE_LINKED:
                tell(v, "extra", f->path, f->from);
                break;
        case CHANGE_ADDED:
                tell(v, "extra", f->path, NULL);
                break;
        }
}

static int tell_conflict(const char *path, const char *loser, const char *winner, void *user)
{
        cleanup_buf struct buf detail = { 0 };
        struct verifying *v = user;

        if (buf_printf(&detail, "%s, %s", loser, winner) < 0)
                return -ENOMEM;
        tell(v, "conflicting", path, detail.data);
        return v->failed ? -ENOMEM : 0;
}

/* --- every byte --- */

static int read_dir(struct verifying *v, uint64_t id);

static int read_entry(const struct view_dirent *e, void *user)
{
        struct verifying *v = user;
        struct errtext err = { "" };
        size_t len = v->path.len;
        ssize_t n = 1;

        if (buf_printf(&v->path, "%s%.*s", len ? "/" : "", (int)e->name.len, e->name.data) < 0) {
                v->failed = true;
                return 1;
        }
        if (S_ISDIR(e->type)) {
                if (read_dir(v, e->id) < 0)
                        v->failed = true;
        } else if (S_ISREG(e->type)) {
                for (uint64_t at = 0; n > 0; at += (uint64_t)n)
                        n = view_read(v->d->views.all, e->id, v->data, PIECE, at, &err);
                if (n < 0)
                        tell(v, "damaged", v->path.data, err.text[0] ? err.text : errno_name((int)n, (char[128]){ 0 }));
        }
        v->path.len = len;
        v->path.data[len] = '\0';
        return v->failed;
}

static int read_dir(struct verifying *v, uint64_t id)
{
        return view_readdir(v->d->views.all, id, 0, read_entry, v);
}

static int read_all(struct verifying *v, struct errtext *err)
{
        struct node data;
        int r;

        v->data = malloc(PIECE);
        r = v->data ? read_dir(v, NODE_ROOT) : -ENOMEM;
        if (r == 0 && view_find(v->d->views.all, DATA_DIR, &data) == 0 && buf_add_str(&v->path, DATA_DIR) == 0)
                r = read_dir(v, data.id);
        free(v->data);
        buf_release(&v->path);
        return r < 0 ? errtext_set(err, r, "cannot read what is installed: %s", errno_name(r, (char[128]){ 0 })) : 0;
}

/* --- */

/* Whoever serves the edits knows them already.  Where there are none, or one of an older version serves, we look. */
static int tell_conflicts(struct verifying *v, bool told, struct errtext *err)
{
        const struct edit_report *report = &v->d->report;
        int r = 0;

        if (!told || !edits_ask_needed(&v->d->t)) {
                r = edit_view_open(&v->d->views, err);
                return r < 0 ? r : view_conflicts(v->d->views.all, 0, tell_conflict, v);
        }
        for (size_t i = 0; r == 0 && i < report->conflict_count; i++) {
                const struct edit_conflict *c = &report->conflicts[i];

                r = tell_conflict(c->path, c->loser, c->winner, v);
        }
        return r;
}

static int verify(const struct options *o, struct verifying *v, struct errtext *err)
{
        bool all = argument_count(o) == 0, told = all;
        int r = diff_open(o, DIFF_EACH_ONCE, all ? "check\nconflicts\n" : "check\n", v->d, err);

        if (r == -EINVAL && all) {
                diff_close(v->d);
                told = false;
                r = diff_open(o, DIFF_EACH_ONCE, "check\n", v->d, err);
        }

        for (size_t i = 0; r == 0 && i < v->d->report.bad.count; i++)
                tell(v, "bad", "", v->d->report.bad.list[i]);
        for (size_t i = 0; r == 0 && i < v->d->count; i++)
                tell_file(v, i);
        if (r == 0 && all)
                r = tell_conflicts(v, told, err);
        if (r == 0 && option_count(o, "--deep"))
                r = edit_view_open(&v->d->views, err);
        if (r == 0 && option_count(o, "--deep"))
                r = read_all(v, err);
        if (r == 0 && v->failed)
                r = errtext_set(err, -ENOMEM, "out of memory");
        return r;
}

/* What pip or uv took away is no difference, but is not there either. */
static void say_all_well(const struct options *o, const struct diff *d)
{
        size_t count = d->t.environment->slot_count;

        if (argument_count(o) > 0) {
                ui_say("as installed");
                return;
        }
        for (size_t i = 0; i < d->dists.removed_count; i++)
                count -= d->dists.removed[i].slot != NULL;
        if (d->dists.added_count)
                ui_say("%zu package%s: all as installed; %zu brought by pip or uv", count, count == 1 ? "" : "s",
                       d->dists.added_count);
        else
                ui_say("%zu package%s: all as installed", count, count == 1 ? "" : "s");
}

static int run(const struct options *o)
{
        cleanup_diff struct diff d = DIFF_INIT;
        struct verifying v = { .d = &d, .errors = option_count(o, "--json") ? json_array() : NULL };
        struct errtext err = { "" };
        int r = verify(o, &v, &err);

        if (r < 0) {
                json_decref(v.errors);
                ui_error("%s", err.text[0] ? err.text : errno_name(r, (char[128]){ 0 }));
                return EXIT_USAGE;
        }
        if (v.errors) {
                if (json_out(json_pack("{s:b, s:o}", "ok", v.count == 0, "differences", v.errors)) < 0)
                        return EXIT_USAGE;
        } else if (v.count == 0) {
                say_all_well(o, &d);
        }
        return v.count ? EXIT_UNMET : EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--deep", 0, NULL, "read every byte as well, and compare it with its checksum" },
        { "--json", 0, NULL, "print {ok, differences: [{kind, path, detail}]}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_verify = {
        .name = "verify",
        .usage = "[OPTIONS] [PATH|PACKAGE]...",
        .summary = "Compare an environment with what was installed",
        .help = "Says what was modified, is missing, is extra, or is claimed by two packages with different bytes, and whether the\n"
                "records of the edits are sound.  What pip or uv installed or removed as a whole is none of it, and neither is bytecode.\n"
                "`fusepkg store verify` checks the store.  Exit status: 1 when anything is said.",
        .options = options,
        .max_arguments = SIZE_MAX,
        .run = run,
};
