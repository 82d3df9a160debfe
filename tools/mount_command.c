#include "tools/command.h"

#include "fs/edits.h"
#include "store/files.h"
#include "tools/bare_seen.h"
#include "tools/identity.h"
#include "tools/mounts.h"
#include "tools/outside.h"
#include "tools/target.h"
#include "tools/ui.h"

/* The store learns where a venv that was moved, or of which nothing is noted, is now: else gc would forget what it
 * uses. Before the lock of the venv is taken: index.h has the order. */
static int tell_store(const struct options *o, bool wait, struct errtext *err)
{
        cleanup_change struct change c = CHANGE_INIT;
        int r = change_open(o, &c, err);

        if (r == 0)
                r = change_open_store(&c, err);
        if (r == 0 && !wait) {
                r = target_try_lock(&c.t, err);
                if (r == -EWOULDBLOCK)
                        return 0; /* the next mount tells it */
        }
        return r < 0 ? r : change_lock(&c, err);
}

static int prepare(const struct options *o, struct target *t, struct mount_info *ret, struct errtext *err)
{
        bool wait = !option_count(o, "--no-wait");
        cleanup_free char *old = NULL;
        enum identity which;
        int r = target_open_detached(o, t, err);

        /* An error shows in complete(). */
        if (r == 0 && t->environment && identity_tell(t, &which, &old) == 0 &&
            (which == IDENTITY_MOVED || !identity_is_noted(t)))
                r = tell_store(o, wait, err);
        /* Where fusepkg has never been no state is made. */
        if (r == 0 && t->state_fd >= 0)
                r = wait ? target_lock(t, err) : target_try_lock(t, err);
        if (r == -EWOULDBLOCK && !wait)
                r = 0;
        if (r < 0)
                return r;
        if (!t->environment)
                return errtext_set(err, -ENOENT, "fusepkg has installed nothing in '%s', so there is nothing to mount",
                                   t->venv);
        r = mount_examine(t->site, t->state_fd, ret);
        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        return 0;
}

/* What a killed command left undone outside of site-packages is done; scripts of bare distributions that the mount
 * hides go. */
static int complete(struct target *t, struct errtext *err)
{
        struct image_pool *pool = NULL;
        struct store *store = NULL;
        int r = target_store(t, STORE_READ, &store, err);

        if (r == 0 && image_pool_new(store, &pool) < 0)
                r = errtext_set(err, -ENOMEM, "out of memory");
        /* That it was moved is noted by tell_store(). */
        if (r == 0)
                r = identity_check(t, err);
        if (r == 0)
                r = outside_bare_hide(t, pool, err);
        image_pool_free(pool);
        store_close(store);
        target_give_state(t);
        return r;
}

/* The scripts come back when mounting fails. */
static int mount(struct target *t, const struct mount_options *how, struct errtext *err)
{
        struct errtext ignored;
        int r;

        /* With --no-wait: who holds the lock sees to the rest. */
        if (t->lock_fd < 0)
                return mount_start(t, how, err);
        r = complete(t, err);

        if (r == 0)
                r = mount_start(t, how, err);
        if (r < 0 && r != -EALREADY)
                outside_bare_restore(t, &ignored);
        return r;
}

enum { ANSWER_SECONDS = 10 };

/* A switch may have passed it by: its command was killed, or ran in another mount namespace. */
static int refresh(struct target *t, const struct mount_info *info, const struct mount_options *how)
{
        struct errtext err = { "" };

        ui_say("%s is already mounted", t->venv);
        if (how->allow_other && !info->allow_other) {
                ui_error("'%s' is not mounted for other users", t->venv);
                ui_hint("`fusepkg umount --venv %s` first", t->venv);
                return EXIT_UNMET;
        }
        if (complete(t, &err) < 0 || mount_reload_within(t, ANSWER_SECONDS, &err) < 0)
                ui_warning("%s", err.text);
        return EXIT_DONE;
}

/* Is there anything for catch_up to do? */
static int is_behind(const struct target *t, struct errtext *err)
{
        const char *store = getenv("FUSEPKG_STORE");
        struct outside_paths fresh = { 0 };
        int r = bare_seen_new(t, &fresh);

        if (r < 0)
                return errtext_set(err, r, "cannot tell what has appeared in '%s': %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        r = fresh.count > 0 || (store && *store && strcmp(store, t->environment->store_path) != 0);
        outside_paths_release(&fresh);
        return r;
}

/* What has appeared in the bare folder takes the place of what the environment has of the same name, and a store that
 * was moved is noted: changes like any other. */
static int catch_up(const struct options *o, struct errtext *err)
{
        cleanup_change struct change c = CHANGE_INIT;
        int r = change_open(o, &c, err);

        if (r == 0 && c.t.environment) {
                r = change_open_store(&c, err);
                if (r == 0)
                        r = change_lock(&c, err);
                if (r == 0 && (c.line_count || strcmp(c.store->path, c.t.environment->store_path) != 0))
                        r = change_commit(&c, err);
        }
        return r;
}

/* The edits first: they are refused by an environment of another id, but this one is still known for a copy, and so
 * this can be done again, as long as the note of its place is not written. */
static int adopt_copy(const struct options *o, struct errtext *err)
{
        cleanup_change struct change c = CHANGE_INIT;
        cleanup_free char *old = NULL;
        enum identity which;
        int r = change_open(o, &c, err);

        if (r == 0)
                r = identity_tell(&c.t, &which, &old);
        if (r < 0 || which != IDENTITY_COPIED)
                return r;
        c.adopting = true;
        r = change_open_store(&c, err);
        if (r == 0)
                r = change_lock(&c, err);
        if (r == 0 && random_hex(c.next->id, sizeof(c.next->id)) < 0)
                r = errtext_set(err, -EIO, "no random numbers");
        if (r == 0)
                r = edits_adopt(c.t.state_fd, c.next->id, err);
        if (r == 0)
                r = change_commit(&c, err);
        if (r == 0)
                r = identity_note(&c.t, err);
        if (r == 0)
                ui_say("'%s' was copied from '%s' and is an environment of its own now; bin/activate still names the other",
                       c.t.venv, old);
        return r;
}

static int run(const struct options *o)
{
        const struct mount_options how = {
                .allow_other = option_count(o, "--allow-other") > 0,
                .foreground = option_count(o, "--foreground") > 0,
        };
        cleanup_target struct target t = TARGET_INIT;
        struct mount_info info = { 0 };
        struct errtext err = { "" };
        int r;

        if (option_count(o, "--adopt-copy") && adopt_copy(o, &err) < 0) {
                ui_error("cannot adopt the copy: %s", err.text);
                return EXIT_UNMET;
        }
        r = prepare(o, &t, &info, &err);
        if (r == 0 && !option_count(o, "--no-wait"))
                r = is_behind(&t, &err);
        if (r > 0) {
                target_close(&t); /* and its lock */
                r = catch_up(o, &err);
                if (r == 0)
                        r = prepare(o, &t, &info, &err);
        }
        if (r < 0) {
                ui_error("%s", err.text);
                return EXIT_UNMET;
        }
        if (info.state == MOUNT_LIVE)
                return option_count(o, "--no-wait") ? EXIT_DONE : refresh(&t, &info, &how);
        r = mount(&t, &how, &err);
        if (r == -EALREADY) {
                ui_say("%s", err.text);
                return EXIT_DONE;
        }
        if (r < 0) {
                ui_error("cannot mount '%s': %s", t.venv, err.text);
                mount_hints(&t, r);
                return EXIT_UNMET;
        }
        ui_say("Mounted %s", t.site);
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--allow-other", 0, NULL, "let other users see the mount (root's mounts always are)" },
        { "--foreground", 0, NULL, "serve in this process, and end when it is unmounted" },
        { "--adopt-copy", 0, NULL, "a copied venv becomes an environment of its own" },
        { "--no-wait", 0, NULL, "do not wait for another command that works on the venv" },
        { NULL, 0, NULL, NULL },
};

const struct command command_mount = {
        .name = "mount",
        .usage = "[OPTIONS]",
        .summary = "Show the installed packages in site-packages",
        .help = "`add` mounts by itself, and so does the venv's Python when it starts after a reboot or `fusepkg umount`\n"
                "(by --no-wait, since what it waits for may be what started it).  As an ordinary user,\n"
                "--allow-other needs the line user_allow_other in /etc/fuse.conf.\n\n"
                "Where a user manager of systemd runs, a mount that is started in a terminal gets a scope of its own,\n"
                "fusepkg-PID-NUMBER.scope, which outlives the terminal; and the login session, if the user lingers\n"
                "(loginctl enable-linger).  Root's goes to the system's manager.",
        .options = options,
        .run = run,
};
