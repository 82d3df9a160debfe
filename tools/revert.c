#include "tools/command.h"

#include "tools/diff_files.h"
#include "tools/json_out.h"
#include "tools/kept_list.h"
#include "tools/quote.h"
#include "tools/revert_anew.h"
#include "tools/ui.h"

/* A folder that was made here goes as a whole: only when all in it is to go. */
static bool is_whole(const struct diff *d, size_t i)
{
        const struct diff_file *f = &d->files[i];

        if (f->kind != CHANGE_ADDED || !S_ISDIR(f->new.mode))
                return true;
        for (size_t k = 0; k < d->report.change_count; k++) {
                const struct edit_change *c = &d->report.changes[k];

                if (c->kind != CHANGE_ADDED || c->type == 'd' || !edit_path_is_within(c->path, f->path))
                        continue;
                if (!edit_path_is_generated(c->path) && edit_owned_has(&d->owned, c->kind, c->id, c->path, c->type))
                        return false;
        }
        return true;
}

/* What was removed as a folder comes back as one. */
static const char *whole_path(const struct diff *d, const struct diff_file *f)
{
        if (f->kind != CHANGE_REMOVED)
                return f->path;
        for (size_t i = 0; i < d->report.change_count; i++) {
                const struct edit_change *c = &d->report.changes[i];

                if (c->kind == CHANGE_REMOVED && c->type == 'd' && edit_path_is_within(f->path, c->path))
                        return c->path;
        }
        return f->path;
}

/* Was a folder made for what is asked about, and for nothing else? */
static bool is_emptied(const struct diff *d, const struct edit_change *folder)
{
        bool any = false;

        for (size_t i = 0; i < d->report.change_count; i++) {
                const struct edit_change *c = &d->report.changes[i];

                if (c->kind == CHANGE_REMOVED || c->type == 'd' || !edit_path_is_within(c->path, folder->path))
                        continue;
                if (edit_filter_wants(&d->filter, c->id, c->path, c->origin))
                        any = true;
                else if (!edit_path_is_generated(c->path))
                        return false;
        }
        return any;
}

static int request_folders(const struct diff *d, struct buf *ret)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->report.change_count; i++) {
                const struct edit_change *c = &d->report.changes[i];

                if (c->kind == CHANGE_ADDED && c->type == 'd' && is_emptied(d, c))
                        r = edits_ask_add(ret, "revert", c->path);
        }
        return r;
}

/* Distributions that pip or uv brought or took away are reverted only when they are asked for. */
static int make_request(const struct diff *d, bool all, struct buf *ret)
{
        const char *last = NULL;
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->count; i++) {
                const char *path = whole_path(d, &d->files[i]);

                if (all && (d->files[i].owned || !is_whole(d, i)))
                        continue;
                if (last && strcmp(path, last) == 0)
                        continue;
                r = edits_ask_add(ret, "revert", path);
                last = path;
        }
        return r < 0 || all ? r : request_folders(d, ret);
}

/* What was done, which may take two steps. */
struct outcome {
        struct edit_words reverted;
        struct edit_words kept;
};

static int take(struct edit_words *to, struct edit_words *from)
{
        int r = 0;

        for (size_t i = 0; i < from->count; i++) {
                int e = edit_words_add(to, from->list[i]);

                r = r < 0 ? r : e;
        }
        from->count = 0;
        return r;
}

static int say(const struct outcome *done, bool json)
{
        int r = 0;

        if (json)
                return json_out(json_pack("{s:o, s:o}", "reverted",
                                          json_out_strings(done->reverted.list, done->reverted.count, ""), "kept",
                                          json_out_strings(done->kept.list, done->kept.count, KEPT_LIST_PREFIX)));
        for (size_t i = 0; r == 0 && i < done->reverted.count; i++)
                if (!edit_path_is_generated(done->reverted.list[i]))
                        r = quote_print("", "", done->reverted.list[i]);
        if (done->kept.count)
                ui_say("Kept %zu file%s:", done->kept.count, done->kept.count == 1 ? "" : "s");
        for (size_t i = 0; r == 0 && i < done->kept.count; i++) {
                cleanup_buf struct buf name = { 0 };

                r = quote_path(&name, KEPT_LIST_PREFIX, done->kept.list[i]);
                if (r == 0)
                        ui_say("  %s", name.data);
        }
        return r;
}

static bool has_folder(const struct edit_report *report)
{
        for (size_t i = 0; i < report->change_count; i++)
                if (report->changes[i].kind == CHANGE_REMOVED && report->changes[i].type == 'd')
                        return true;
        return false;
}

/* ANEW: what has to be installed anew before it succeeds; empty: nothing that would help.  *RET_MORE: what comes back may
 * lack something still. */
static int attempt(const struct options *o, struct outcome *done, struct revert_anew *anew, bool *ret_more,
                   struct errtext *err)
{
        cleanup_diff struct diff d = DIFF_INIT;
        cleanup_edit_report struct edit_report report = { 0 };
        cleanup_buf struct buf request = { 0 };
        bool all = option_count(o, "--all") > 0;
        int r = diff_open(o, all ? 0 : DIFF_GENERATED, "", &d, err);

        *ret_more = false;
        if (r == 0)
                r = make_request(&d, all, &request);
        if (r < 0 || request.len == 0)
                return r;
        r = edits_ask(&d.t, request.data, &report, err);
        if (r < 0)
                (void)revert_anew_find(&d, request.data, all, anew);
        *ret_more = r == 0 && has_folder(&d.report);
        if (r == 0)
                r = take(&done->reverted, &report.reverted);
        if (r == 0)
                r = take(&done->kept, &report.kept);
        target_give_state(&d.t);
        return r;
}

/* A package that was installed anew may be the later one at a folder of another, which is the next one then; it is never
 * one itself again.  And of a folder that came back a later package may have a folder that it has brought again. */
static int revert(const struct options *o, struct outcome *done, struct errtext *err)
{
        cleanup_revert_anew struct revert_anew anew = { 0 };
        bool more = true;
        int r = 0;

        for (size_t i = 0; r == 0 && more; i++) {
                size_t before = done->reverted.count;

                revert_anew_clear(&anew);
                r = attempt(o, done, &anew, &more, err);
                more = more && done->reverted.count > before;
                if (r == -ENOENT && i > 0)
                        r = 0; /* what was moved is where it was */
                if (r < 0 && anew.count) {
                        *err = (struct errtext){ "" };
                        r = revert_anew_install(o, &anew, &done->kept, err);
                        if (r == 0)
                                r = take(&done->reverted, &anew.paths);
                        more = true;
                }
        }
        edit_words_settle(&done->reverted);
        edit_words_settle(&done->kept);
        return r;
}

static int run(const struct options *o)
{
        struct errtext err = { "" };
        struct outcome done = { 0 };
        bool all = option_count(o, "--all") > 0;
        int r, e = 0;

        if ((argument_count(o) == 0) != all) {
                ui_error(all ? "--all takes no paths" : "nothing to revert is named");
                ui_hint("usage: fusepkg revert %s", command_revert.usage);
                return EXIT_USAGE;
        }
        r = revert(o, &done, &err);
        if (r == 0 && done.reverted.count == 0 && done.kept.count == 0)
                ui_say("Nothing to revert");
        if (r == 0 || done.reverted.count || done.kept.count)
                e = say(&done, option_count(o, "--json") > 0);
        edit_words_release(&done.reverted);
        edit_words_release(&done.kept);
        if (r < 0)
                ui_error("%s", err.text[0] ? err.text : errno_name(r, (char[128]){ 0 }));
        r = r < 0 ? r : e;
        return r == 0 ? EXIT_DONE : r == -ENOMEM ? EXIT_USAGE : EXIT_UNMET;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--all", 0, NULL, "everything but what pip and uv installed or removed as a whole" },
        { "--json", 0, NULL, "print {reverted, kept}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_revert = {
        .name = "revert",
        .usage = "[OPTIONS] PATH|PACKAGE...|--all",
        .summary = "Bring back what was installed",
        .help = "What is below a path is as fusepkg installed it: changed files, what was added, removed or moved.  The user's\n"
                "bytes are kept in .fusepkg/kept/GENERATION/PATH.  Where a folder was removed or moved, and another package has\n"
                "brought it again, its package is installed anew: then name the package, or --all.",
        .options = options,
        .max_arguments = SIZE_MAX,
        .run = run,
};
