/* remove: the same steps as add's from the lock on (add.c), and the same states after a kill. */
#include "tools/command.h"

#include "tools/add_select.h"
#include "tools/change.h"
#include "tools/installed.h"
#include "tools/interpreter.h"
#include "tools/requirements.h"
#include "tools/ui.h"

#include <stdio.h>

struct names {
        char **list;
        size_t count;
};

static int add_name(struct names *n, const char *text, struct errtext *err)
{
        cleanup_free char *specifiers = NULL;
        char **list = reallocarray(n->list, n->count + 1, sizeof(*list));
        char *name = NULL;
        int r;

        if (!list)
                return errtext_set(err, -ENOMEM, "out of memory");
        n->list = list;
        r = add_select_parse(text, &name, &specifiers, err);
        if (r == 0)
                list[n->count++] = name;
        return r;
}

static void release_names(struct names *n)
{
        for (size_t i = 0; i < n->count; i++)
                free(n->list[i]);
        free(n->list);
}

static int read_requirements(const struct options *o, const struct target *t, struct names *n, struct errtext *err)
{
        struct interpreter *interpreter = NULL;
        struct requirements q = { 0 };
        int r = 0;

        if (interpreter_new(t->interpreter, t->state_fd, &interpreter) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; r == 0 && i < option_count(o, "--requirements"); i++)
                r = requirements_read(option_value_at(o, "--requirements", i), interpreter, &q, err);
        for (size_t i = 0; r == 0 && i < q.count; i++)
                if (q.list[i].name)
                        r = add_name(n, q.list[i].name, err);
        requirements_release(&q);
        interpreter_free(interpreter);
        return r;
}

static int collect_names(const struct options *o, const struct target *t, struct names *n, struct errtext *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < argument_count(o); i++)
                r = add_name(n, argument_at(o, i), err);
        return r < 0 ? r : read_requirements(o, t, n, err);
}

/* Drops, with a warning, the names of what is not there: with the lock held, so that they are what the commit removes
 * or leaves. */
static int skip_absent(struct target *t, struct names *n, struct errtext *err)
{
        cleanup_installed struct installed there = INSTALLED_INIT;
        size_t kept = 0;
        int r = edits_ask_needed(t) ? target_lock(t, err) : 0;

        if (r == 0)
                r = installed_load(t, &there, err);
        for (size_t i = 0; r == 0 && i < n->count; i++) {
                if (installed_find(&there, n->list[i])) {
                        n->list[kept++] = n->list[i];
                        continue;
                }
                ui_warning("Skipping %s as it is not installed", n->list[i]);
                free(n->list[i]);
        }
        if (r == 0)
                n->count = kept;
        return r;
}

static int remove_name(struct change *c, const char *name, bool *ret_hidden, struct errtext *err)
{
        struct slot *slot = environment_find(c->next, name);
        size_t hidden = 0;
        int r;

        if (slot) {
                r = change_note(c, '-', slot->name, slot->version, err);
                return r < 0 ? r : environment_remove_slot(c->next, slot->number);
        }
        for (size_t i = 0; i < c->line_count; i++)
                if (name_equal(c->lines[i].name, name))
                        return 0; /* named twice */
        r = change_hide(c, name, &hidden, err);
        *ret_hidden = *ret_hidden || hidden;
        return r;
}

static int remove_names(struct change *c, const struct names *n, bool *ret_hidden, struct errtext *err)
{
        int r = change_open_store(c, err);

        if (r == 0)
                r = change_lock(c, err);
        for (size_t i = 0; r == 0 && i < n->count; i++)
                r = remove_name(c, n->list[i], ret_hidden, err);
        return r < 0 || c->line_count == 0 ? r : change_commit(c, err);
}

/* A bare distribution is gone only while the mount hides it; of others nothing is to be seen without one. */
static int show(struct change *c, bool hidden)
{
        const struct mount_options how = { .allow_other = false };
        struct errtext err = { "" };
        int r;

        r = change_show(c, hidden, &how, &err);
        if (r == 0)
                return EXIT_DONE;
        ui_error("uninstalled, but the mount does not show it: %s", err.text);
        mount_hints(&c->t, r);
        return EXIT_UNMET;
}

static int run(const struct options *o)
{
        cleanup_change struct change c = CHANGE_INIT;
        struct names names = { 0 };
        struct errtext err = { "" };
        bool hidden = false;
        int r;

        if (argument_count(o) == 0 && option_count(o, "--requirements") == 0) {
                ui_error("nothing to remove is named");
                ui_hint("usage: fusepkg remove %s", command_remove.usage);
                return EXIT_USAGE;
        }
        r = change_open(o, &c, &err);
        if (r == 0)
                r = collect_names(o, &c.t, &names, &err);
        if (r == 0)
                r = skip_absent(&c.t, &names, &err);
        if (r == 0) {
                if (names.count)
                        r = remove_names(&c, &names, &hidden, &err);
                else
                        ui_warning("No packages to uninstall");
        }
        release_names(&names);
        if (r < 0) {
                ui_error("%s", err.text);
                return r == -ENOMEM ? EXIT_USAGE : EXIT_UNMET;
        }
        return c.committed ? show(&c, hidden) : EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--requirements", 'r', "FILE", "remove what a requirements file lists" },
        { "--yes", 'y', NULL, "accepted; there is no question" },
        { NULL, 0, NULL, NULL },
};

const struct command command_remove = {
        .name = "remove",
        .aliases = "uninstall rm",
        .usage = "[OPTIONS] NAME...",
        .summary = "Remove packages from a virtual environment",
        .help = "A package of the bare site-packages (pip's own, for example) is hidden by the mount; `fusepkg\n"
                "umount` shows it again.",
        .options = options,
        .max_arguments = SIZE_MAX,
        .run = run,
};
