#include "tools/command.h"

#include "tools/diff_text.h"
#include "tools/json_out.h"
#include "tools/kept_list.h"
#include "tools/quote.h"
#include "tools/ui.h"

#include <stdio.h>

enum form {
        FORM_TEXT,
        FORM_NAMES,
        FORM_STAT,
        FORM_JSON,
};

struct showing {
        struct diff *d;
        enum form form;
        json_t *files;
        const struct diff_file *last; /* that was shown */
        size_t shown;  /* files and distributions */
        size_t added;  /* lines */
        size_t removed;
        bool failed;    /* and that was said */
};

static const char *what(const struct diff_file *f)
{
        switch (f->kind) {
        case CHANGE_REMOVED:
                return "removed";
        case CHANGE_MODIFIED:
                return diff_is_other(f) ? "modified" : "mode";
        case CHANGE_MOVED:
                return "moved";
        case CHANGE_LINKED:
                return "linked";
        case CHANGE_ADDED:
                break;
        }
        return "added";
}

static json_t *mode_text(mode_t mode)
{
        char text[16];

        snprintf(text, sizeof(text), "%06o", mode);
        return mode ? json_string(text) : json_null();
}

static int show_json(struct showing *s, const struct diff_file *f)
{
        json_t *row = json_pack("{s:o, s:s, s:o, s:o, s:o, s:I}", "path", json_out_string(f->path), "change", what(f),
                                "from", f->from ? json_out_string(f->from) : json_null(), "old_mode",
                                mode_text(f->old.mode), "mode", mode_text(f->new.mode), "size",
                                (json_int_t)f->new.size);

        return json_array_append_new(s->files, row) < 0 ? -ENOMEM : 0;
}

/* Of what was moved and changed the change says both; one that replaced another of its kind is named once. */
static bool is_said(const struct showing *s, const struct diff_file *f)
{
        const struct diff_file *last = s->last;

        if (s->form == FORM_JSON || !last || strcmp(last->path, f->path) != 0)
                return false;
        return s->form == FORM_NAMES ||
               (last->kind == CHANGE_MODIFIED && f->kind == CHANGE_MOVED && last->new.id == f->new.id);
}

static int show_file(struct showing *s, const struct diff_file *f, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 }, name = { 0 };
        struct diff_lines lines;
        int r;

        if (s->form == FORM_JSON)
                return show_json(s, f);
        if (s->form == FORM_NAMES)
                return quote_print("", "", f->path);
        r = diff_text(s->d, f, &text, &lines, err);
        if (r == 0)
                r = quote_path(&name, "", f->path);
        if (r < 0)
                return r;
        s->added += lines.added;
        s->removed += lines.removed;
        if (s->form == FORM_TEXT)
                fwrite(text.data, 1, text.len, stdout);
        else if (lines.binary)
                printf(" %s | binary\n", name.data);
        else
                printf(" %s | +%zu -%zu\n", name.data, lines.added, lines.removed);
        return 0;
}

static void print_dist(const struct edit_dist *dist, bool gone)
{
        bool installer = !gone && dist->installer[0];
        cleanup_buf struct buf text = { 0 };

        if (buf_printf(&text, installer ? "%s %s (%s)" : "%s %s", dist->name, dist->version, dist->installer) == 0)
                (void)quote_print(gone ? "- " : "+ ", "", text.data);
}

static json_t *show_dists(struct showing *s)
{
        const struct edit_dists *d = &s->d->dists;
        json_t *list = json_array();

        for (size_t i = 0; i < d->removed_count + d->added_count; i++) {
                bool gone = i < d->removed_count;
                const struct edit_dist *dist = gone ? &d->removed[i] : &d->added[i - d->removed_count];

                if (!diff_wants_dist(s->d, dist))
                        continue;
                s->shown++;
                if (s->form == FORM_JSON)
                        json_array_append_new(
                                list, json_pack("{s:s, s:o, s:o, s:o}", "change", gone ? "removed" : "added", "name",
                                                json_out_string(dist->name), "version", json_out_string(dist->version),
                                                "installer", gone ? json_null() : json_out_string(dist->installer)));
                else
                        print_dist(dist, gone);
        }
        return list;
}

static int show_kept(const char *path, void *user)
{
        cleanup_buf struct buf name = { 0 };
        json_t *list = user;
        int r;

        if (list) {
                r = buf_printf(&name, KEPT_LIST_PREFIX "%s", path);
                return r < 0 || json_array_append_new(list, json_out_string(name.data)) < 0 ? -ENOMEM : 0;
        }
        r = quote_path(&name, KEPT_LIST_PREFIX, path);
        if (r == 0)
                ui_say("kept: %s", name.data);
        return r;
}

static int finish_json(struct showing *s, json_t *dists)
{
        json_t *kept = json_array();

        if (kept_list(&s->d->t, show_kept, kept) < 0) {
                json_decref(kept);
                kept = NULL;
        }
        s->failed = json_out(json_pack("{s:I, s:o, s:o, s:o}", "generation",
                                       (json_int_t)s->d->t.environment->generation, "distributions", dists, "files",
                                       s->files, "kept", kept ? kept : json_array())) < 0;
        return s->failed ? -ENOMEM : 0;
}

static int show(struct showing *s, struct errtext *err)
{
        json_t *dists;
        size_t files = 0;
        int r = 0;

        s->files = json_array();
        dists = show_dists(s);
        /* Nobody reads what comes after a write that failed. */
        for (size_t i = 0; r == 0 && i < s->d->count && !ferror(stdout); i++) {
                if (!diff_is_shown(s->d, i) || is_said(s, &s->d->files[i]) || diff_is_same(s->d, &s->d->files[i]))
                        continue;
                s->last = &s->d->files[i];
                files++;
                r = show_file(s, &s->d->files[i], err);
        }
        s->shown += files;
        if (r == 0 && s->form == FORM_JSON)
                return finish_json(s, dists);
        json_decref(dists);
        json_decref(s->files);
        if (r == 0 && s->form == FORM_STAT && files)
                printf(" %zu file%s, +%zu -%zu\n", files, files == 1 ? "" : "s", s->added, s->removed);
        return r < 0 ? r : kept_list(&s->d->t, show_kept, NULL);
}

static int run(const struct options *o)
{
        cleanup_diff struct diff d = DIFF_INIT;
        struct showing s = { .d = &d };
        struct errtext err = { "" };
        int r = diff_open(o, DIFF_EACH_ONCE | (option_count(o, "--generated") ? DIFF_GENERATED : 0), "", &d, &err);

        if (option_count(o, "--json"))
                s.form = FORM_JSON;
        else if (option_count(o, "--stat"))
                s.form = FORM_STAT;
        else if (option_count(o, "--name-only"))
                s.form = FORM_NAMES;
        if (r == 0)
                r = show(&s, &err);
        if (r < 0) {
                if (!s.failed)
                        ui_error("%s", err.text[0] ? err.text : errno_name(r, (char[128]){ 0 }));
                return EXIT_USAGE;
        }
        return s.shown && option_count(o, "--exit-code") ? EXIT_UNMET : EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--name-only", 0, NULL, "print the paths alone" },
        { "--stat", 0, NULL, "print how many lines came and went" },
        { "--json", 0, NULL, "print {generation, distributions, files, kept}" },
        { "--generated", 0, NULL, "show bytecode and numba's caches, too" },
        { "--exit-code", 0, NULL, "exit with 1 when anything differs" },
        { NULL, 0, NULL, NULL },
};

const struct command command_diff = {
        .name = "diff",
        .usage = "[OPTIONS] [PATH|PACKAGE]...",
        .summary = "Show what was changed since it was installed",
        .help = "A unified diff against what fusepkg installed, as git writes it, and `git apply` reads; folders, FIFOs and the\n"
                "like are lines of their own, which it passes over, and binary files are only named.  What pip or uv installed or\n"
                "removed as a whole is one line: '+ rich 15.0.0 (pip)'.  Paths are those of the shell, or relative to site-packages.\n"
                "Exit status: 0; with --exit-code 1 when anything differs; 2 when it cannot be told.",
        .options = options,
        .max_arguments = SIZE_MAX,
        .run = run,
};
