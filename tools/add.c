/* add: the order of its steps, and what a kill leaves.
 *
 *  1. Which wheels: arguments, folders, requirements files; tags.  Nothing is touched.
 *  2. The wheels go into the store (store/ingest.h).
 *         A kill leaves staging litter, which the next run clears.
 *  3. The venv's lock; what a killed command left undone is finished.
 *  4. The next environment, in memory.  For a bare distribution that it hides, the names of its scripts are noted in
 *     `.fusepkg/bare/`.
 *         A kill leaves notes that nothing refers to yet.
 *  5. Conflicts, and what could not be applied: warnings or refusal.  Up to here a refusal changes nothing.
 *  6. The lease in the store's index: gc must know of the environment before it is there.
 *         A kill leaves a lease for what did not come about; gc drops it.
 *  7. The commit: one rename (fs/environment.h).
 *         A kill before it: the old state; after it: the new one.
 *  8. Scripts and symlinks outside of site-packages (outside.h).
 *         A kill leaves some of them as they were; the list's generation then differs from the environment's, and the
 *         next `add`, `remove` or `mount` does this step again.
 *  9. The mount: told to read the environment again, or started.
 *         A kill leaves the environment installed but not shown: `fusepkg mount`, or the next `add`, shows it. */
#include "tools/command.h"

#include "tools/add_plan.h"
#include "tools/ui.h"

#include <stdio.h>

/* "2G", "500M", "1000000"; units of 1000. */
static int parse_size(const char *text, uint64_t *ret, struct errtext *err)
{
        static const char units[] = "kMGT";
        char *end;
        unsigned long long n;
        const char *unit;

        errno = 0;
        n = strtoull(text, &end, 10);
        if (end == text || errno || *text == '-')
                return errtext_set(err, -EINVAL, "'%s' is not a size: give bytes, or a number with k, M, G or T", text);
        if (*end && (end[1] == '\0' || strcmp(end + 1, "B") == 0)) {
                unit = strchr(units, *end == 'K' ? 'k' : *end == 'm' ? 'M' : *end == 'g' ? 'G' : *end);
                for (const char *u = units; unit && u <= unit; u++)
                        if (__builtin_mul_overflow(n, 1000ull, &n))
                                unit = NULL;
                if (unit) {
                        *ret = n;
                        return 0;
                }
        } else if (!*end) {
                *ret = n;
                return 0;
        }
        return errtext_set(err, -EINVAL, "'%s' is not a size: give bytes, or a number with k, M, G or T", text);
}

static void say_hints(const struct selection *s)
{
        for (char *line = s->hint.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
                ui_hint("%.*s", (int)(end - line), line);
}

static void say_checked(size_t n, uint64_t ns)
{
        char took[32];

        ui_format_duration(ns, took);
        ui_say("Checked %zu package%s in %s", n, n == 1 ? "" : "s", took);
}

static void say_dry_run(const struct selection *s)
{
        ui_say("Would install %zu package%s", s->count, s->count == 1 ? "" : "s");
        for (size_t i = 0; i < s->count; i++)
                ui_change('+', s->list[i].name.distribution, s->list[i].name.version);
}

/* Steps 3 to 8. */
static int install(struct plan *p, size_t *ret_changed, struct errtext *err)
{
        struct change *c = p->change;
        int r = change_lock(c, err);

        if (r == 0)
                r = plan_environment(p, err);
        *ret_changed = c->line_count;
        if (r < 0 || c->line_count == 0)
                return r;
        r = plan_conflicts(p, err);
        return r < 0 ? r : change_commit(c, err);
}

/* Step 9.  Returns the exit status. */
static int show(const struct options *o, struct change *c)
{
        const struct mount_options how = { .allow_other = option_count(o, "--allow-other") > 0 };
        struct errtext err = { "" };
        int r;

        r = change_show(c, !option_count(o, "--no-mount"), &how, &err);
        if (r == 0)
                return EXIT_DONE;
        ui_error("installed, not mounted: %s", err.text);
        mount_hints(&c->t, r);
        ui_hint("`fusepkg mount --venv %s` shows it once that is mended", c->t.venv);
        return EXIT_UNMET;
}

static int fail(const struct selection *s, const struct errtext *err, int r)
{
        if (err->text[0])
                ui_error("%s", err->text);
        if (s)
                say_hints(s);
        return r == -ENOMEM ? EXIT_USAGE : EXIT_UNMET;
}

/* With the wheels selected. */
static int add_selected(const struct options *o, struct change *c, struct plan *p)
{
        uint64_t started = ui_now_ns();
        struct errtext err = { "" };
        size_t changed = 0;
        int r = plan_check_tags(p, &err);

        if (r == 0 && option_count(o, "--dry-run")) {
                say_dry_run(p->selection);
                return EXIT_DONE;
        }
        if (r == 0)
                r = change_open_store(c, &err);
        if (r == 0 && p->selection->count)
                r = plan_ingest(p, &err);
        if (r == 0 && (p->selection->count || c->t.environment))
                r = install(p, &changed, &err);
        if (r < 0) {
                fail(NULL, &err, r);
                if (c->committed)
                        ui_hint("the packages are installed; the next `fusepkg add` or `fusepkg mount` completes what "
                                "is missing");
                return EXIT_UNMET;
        }
        if (p->unchanged + p->selection->satisfied)
                say_checked(p->unchanged + p->selection->satisfied, ui_now_ns() - started);
        return c->t.environment ? show(o, c) : EXIT_DONE;
}

static int run(const struct options *o)
{
        cleanup_change struct change c = CHANGE_INIT;
        struct selection selection = { 0 };
        struct plan plan = { .change = &c, .selection = &selection, .strict = option_count(o, "--strict") > 0,
                             .reinstall = option_count(o, "--reinstall") > 0,
                             .ignore_requires_python = option_count(o, "--ignore-requires-python") > 0 };
        struct errtext err = { "" };
        const char *limit = option_value(o, "--max-unpacked");
        int r, status;

        if (argument_count(o) == 0 && option_count(o, "--requirements") == 0) {
                ui_error("nothing to add is named");
                ui_hint("usage: fusepkg add %s", command_add.usage);
                return EXIT_USAGE;
        }
        if (limit && parse_size(limit, &plan.max_unpacked, &err) < 0) {
                ui_error("%s", err.text);
                return EXIT_USAGE;
        }
        r = change_open(o, &c, &err);
        if (r == 0 && interpreter_new(c.t.interpreter, c.t.state_fd, &plan.interpreter) < 0)
                r = errtext_set(&err, -ENOMEM, "out of memory");
        if (r == 0)
                r = add_select(o, &c.t, plan.interpreter, &selection, &err);
        status = r < 0 ? fail(&selection, &err, r) : add_selected(o, &c, &plan);
        plan_release(&plan);
        interpreter_free(plan.interpreter);
        add_select_release(&selection);
        return status;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--find-links", 'f', "DIR", "a folder of wheels to find packages in by name" },
        { "--requirements", 'r', "FILE", "install what a requirements file lists, with exact pins" },
        { "--require-hashes", 0, NULL, "refuse what has no --hash in the requirements file" },
        { "--reinstall", 0, NULL, "install again what is there already, and mend it in the store" },
        { "--strict", 0, NULL, "refuse wheels whose RECORD is wrong, and packages that claim the same file" },
        { "--max-unpacked", 0, "SIZE", "refuse a wheel that unpacks to more: bytes, or 500M, 2G" },
        { "--ignore-requires-python", 0, NULL, "install what does not want this version of Python, too" },
        { "--no-mount", 0, NULL, "install only: it shows at the next mount" },
        { "--allow-other", 0, NULL, "when mounting: let other users see it (root's mounts always are)" },
        { "--dry-run", 0, NULL, "only say what would be installed" },
        { NULL, 0, NULL, NULL },
};

const struct command command_add = {
        .name = "add",
        .aliases = "install",
        .usage = "[OPTIONS] WHEEL|NAME[==VERSION]...",
        .summary = "Install wheels into a virtual environment",
        .help = "Wheels are unpacked into the store once, and show in site-packages through a mount.  All of\n"
                "them are installed, or none.  A package that is installed already is replaced by the wheel's\n"
                "version.",
        .options = options,
        .max_arguments = SIZE_MAX,
        .run = run,
};
