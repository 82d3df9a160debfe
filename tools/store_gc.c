/* store gc: the order of its steps.
 *
 *  1. With the store opened for reading, as --dry-run does it all: what is there, who needs what.  Slow disks, and file
 *     systems that do not answer, cost nobody else any time here.
 *  2. Nothing to do: done.
 *  3. The store alone (index_open_alone): nobody is between finding a wheel in it and having a lease.  Who needs what
 *     is found out again; what images refer to is known from step 1.
 *  4. Litter, then what nobody needs (store/gc_sweep.c), then leases that are over.  */
#include "tools/command.h"

#include "tools/gc_roots.h"
#include "tools/json_out.h"
#include "tools/store_gc_explain.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

enum {
        DAY_S = 24 * 3600,
        GRACE_DAYS = 7,
        GRACE_DAYS_MAX = 36500,
};

static void look_progress(uint64_t done, uint64_t total)
{
        ui_progress("Looking", done, total);
}

static void remove_progress(uint64_t done, uint64_t total)
{
        ui_progress("Removing", done, total);
}

static void say_waiting(void *user)
{
        (void)user;
        ui_say("Waiting for other commands that use the store");
}

struct run {
        const struct options *options;
        struct gc_roots_options how;
        struct store *store;
        struct index *index;
        struct gc *gc;
        struct gc_roots roots;
};

static void run_release(struct run *run)
{
        gc_free(run->gc);
        gc_roots_release(&run->roots);
        index_close(run->index);
        store_close(run->store);
}

/* Who needs what, now. */
static int plan(struct run *run, const struct gc *previous, struct errtext *err)
{
        int r = gc_new(run->store, run->index, previous, look_progress, &run->gc, err);

        ui_progress_end();
        if (r == 0 && option_count(run->options, "--trust"))
                gc_trust(run->gc);
        if (r == 0)
                r = gc_roots_find(run->store, run->index, run->gc, &run->how, &run->roots, err);
        if (r == 0 && gc_hold(run->gc, run->store) < 0)
                r = errtext_set(err, -ENOMEM, "out of memory");
        if (r == 0)
                gc_settle(run->gc);
        return r;
}

/* Step 1. */
static int look(struct run *run, struct errtext *err)
{
        int r = default_store(STORE_READ, &run->store, err);

        if (r == 0)
                r = index_open(run->store, &run->index, err);
        return r < 0 ? r : plan(run, NULL, err);
}

/* Steps 3 and 4. */
static int collect(struct run *run, const struct gc *previous, struct errtext *err)
{
        int r = default_store(STORE_WRITE, &run->store, err);

        if (r == 0)
                r = index_open_alone(run->store, say_waiting, NULL, &run->index, err);
        if (r == 0)
                r = plan(run, previous, err);
        if (r < 0)
                return r;
        store_staging_clear(run->store);
        r = gc_sweep(run->gc, run->store, run->index, remove_progress, err);
        ui_progress_end();
        if (r == 0)
                r = gc_roots_note(&run->roots, run->index, &run->how, err);
        if (r < 0 || !option_count(run->options, "--trust"))
                return r;
        r = index_trust(run->index);
        return r < 0 ? errtext_set(err, r, "cannot write to the store's index: %s", errno_name(r, (char[128]){ 0 })) :
                       0;
}

/* --- the result --- */

static void say_users(const struct gc_roots *roots, bool dry)
{
        for (size_t i = 0; i < roots->count; i++) {
                const struct gc_user *u = &roots->list[i];

                if (u->state == GC_USER_DELETED)
                        ui_say("%s '%s': %s", dry ? "Would forget" : "Forgot", u->venv, u->detail);
                else if (u->detail)
                        ui_say("Kept what '%s' uses: %s", u->venv, u->detail);
        }
}

static size_t count_reasons(const struct gc *g, enum gc_why why)
{
        size_t n = 0;

        for (size_t i = 0; i < gc_image_count(g); i++)
                for (size_t k = 0; k < gc_image(g, i)->reason_count; k++)
                        n += gc_image(g, i)->reasons[k].why == why;
        return n;
}

static void say_held(const struct gc *g)
{
        size_t n = count_reasons(g, GC_HELD);

        if (n)
                ui_say("Kept %zu package%s that mounts without a lease have, as in containers in which the store is read-only",
                       n, n == 1 ? "" : "s");
}

static void say_doubt(const struct gc *g)
{
        size_t n = count_reasons(g, GC_DOUBT);

        if (n == 0)
                return;
        ui_warning("the index was lost and made again, with it the list of environments: %zu package%s stay%s for "
                   "those that may be missing in it", n, n == 1 ? "" : "s", n == 1 ? "s" : "");
        ui_hint("any `fusepkg add` or `fusepkg remove` in a venv puts it on the list; once all are there, `fusepkg "
                "store gc --trust`");
}

static int print_result(const struct run *run, bool dry)
{
        struct gc_totals t;
        char freed[32], kept[32];

        gc_totals(run->gc, &t);
        ui_format_bytes(t.bytes, freed);
        ui_format_bytes(t.kept_bytes, kept);
        if (option_count(run->options, "--json"))
                return store_gc_json(run->gc, &run->roots, dry, option_count(run->options, "--explain") > 0);
        say_users(&run->roots, dry);
        say_held(run->gc);
        say_doubt(run->gc);
        for (size_t i = 0; i < gc_image_count(run->gc); i++) {
                const struct gc_image *image = gc_image(run->gc, i);

                if (image->reason_count == 0 && image->name[0])
                        ui_change('-', image->name, image->version);
        }
        if (option_count(run->options, "--explain"))
                store_gc_explain(run->gc, &run->roots);
        printf("%s %zu package%s, %s; %zu (%s) stay\n", dry ? "Would remove" : "Removed", t.images,
               t.images == 1 ? "" : "s", freed, t.kept, kept);
        return EXIT_DONE;
}

static int parse_days(const char *text, int64_t *ret_s)
{
        char *end;
        long days;

        errno = 0;
        days = strtol(text, &end, 10);
        if (end == text || *end || errno || days < 0 || days > GRACE_DAYS_MAX)
                return -EINVAL;
        *ret_s = (int64_t)days * DAY_S;
        return 0;
}

/* A path as leases have them, though nothing may be there. */
static int make_absolute(const char *path, char **ret)
{
        cleanup_free char *cwd = NULL;

        *ret = realpath(path, NULL);
        if (*ret)
                return 0;
        if (path[0] == '/') {
                *ret = strdup(path);
                return *ret ? 0 : -ENOMEM;
        }
        cwd = getcwd(NULL, 0);
        return !cwd ? -errno : asprintf(ret, "%s/%s", cwd, path) < 0 ? -ENOMEM : 0;
}

static bool has_work(const struct run *run)
{
        struct gc_totals t;

        gc_totals(run->gc, &t);
        if (t.images || t.objects || option_count(run->options, "--trust"))
                return true;
        for (size_t i = 0; i < run->roots.count; i++) {
                const struct gc_user *u = &run->roots.list[i];

                if (u->state == GC_USER_DELETED || u->ended.len || (u->state == GC_USER_MISSING) != (u->missing != 0))
                        return true;
        }
        return false;
}

static int fail(const struct errtext *err, int r)
{
        ui_error("%s", err->text);
        return r == -ENOMEM ? EXIT_USAGE : EXIT_UNMET;
}

static int run_with(const struct options *o, const struct gc_roots_options *how)
{
        struct run first = { .options = o, .how = *how }, second = { .options = o, .how = *how };
        bool dry = option_count(o, "--dry-run") > 0, done = false;
        struct errtext err = { "" };
        int r = look(&first, &err), status;

        if (r == 0 && !dry) {
                struct errtext why = { "" };
                struct store *s = NULL;

                /* A store that cannot be written to is refused even if nothing is to be done. */
                r = default_store(STORE_WRITE, &s, &why);
                if (r < 0)
                        err = why;
                else if (has_work(&first))
                        done = true;
                else
                        store_staging_clear(s);
                store_close(s);
        }
        if (r == 0 && done) {
                /* What was read must not be open while somebody makes the index again. */
                index_close(steal_ptr(first.index));
                r = collect(&second, first.gc, &err);
        }
        status = r < 0 ? fail(&err, r) : print_result(done ? &second : &first, dry);
        run_release(&second);
        run_release(&first);
        return status;
}

static int run(const struct options *o)
{
        struct gc_roots_options how = { .now = time(NULL), .grace_s = (int64_t)GRACE_DAYS * DAY_S };
        const char *grace = option_value(o, "--grace"), *forget = option_value(o, "--forget");
        cleanup_free char *path = NULL;

        if (grace && parse_days(grace, &how.grace_s) < 0) {
                ui_error("'%s' is not a number of days", grace);
                return EXIT_USAGE;
        }
        if (forget && make_absolute(forget, &path) < 0) {
                ui_error("cannot tell what '%s' is", forget);
                return EXIT_UNMET;
        }
        how.forget = path;
        return run_with(o, &how);
}

static const struct option_spec options[] = {
        { "--dry-run", 'n', NULL, "change nothing; say what would be removed" },
        { "--explain", 0, NULL, "say of each package who needs it, and what removing it would free" },
        { "--json", 0, NULL, "print {dry_run, removed, bytes, …}; with --explain {…, packages} too" },
        { "--grace", 0, "DAYS", "how long a venv may be missing before it is forgotten (7)" },
        { "--forget", 0, "DIR", "a venv that will not come back: give up what it used" },
        { "--trust", 0, NULL, "after the index was lost: all environments are known again" },
        { NULL, 0, NULL, NULL },
};

const struct command command_store_gc = {
        .name = "store gc",
        .usage = "[OPTIONS]",
        .summary = "Remove packages that no environment needs",
        .help = "A package stays as long as an environment has it, one of its last 20 generations had it, or a\n"
                "mount that is up may still serve it.  Files that several packages share stay for the last.\n"
                "\n"
                "An environment whose file system is not mounted, or that cannot be looked at, keeps what it used.\n"
                "One whose venv was deleted is forgotten.  Where that cannot be told from a venv that was moved\n"
                "(only root can always tell), it is forgotten after the days of grace; in a venv that was moved,\n"
                "any `fusepkg add` or `fusepkg remove` makes its new place known.\n"
                "\n"
                "Environments are known to the store by the commands that change them: one that was only ever copied\n"
                "to where it is, or that uses the store from a container which cannot write to it, is not.  What such a\n"
                "one needs stays while it is mounted on this machine, but not while it is unmounted: an environment on\n"
                "the host that has the same packages vouches for it.\n"
                "\n"
                "Other commands may run meanwhile; those that install wait for a moment.  Exits 1 when the store\n"
                "cannot be written to.",
        .options = options,
        .run = run,
};
