#include "tools/command.h"

#include "tools/eject.h"
#include "tools/mounts.h"
#include "tools/outside.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <stdio.h>

/* Scripts and symlinks as the environment has them: after a umount those of bare distributions are there. */
static int complete(struct target *t, struct errtext *err)
{
        struct image_pool *pool = NULL;
        struct store *store = NULL;
        int r = target_store(t, STORE_READ, &store, err);

        if (r == 0 && image_pool_new(store, &pool) < 0)
                r = errtext_set(err, -ENOMEM, "out of memory");
        if (r == 0)
                r = outside_bare_hide(t, pool, err);
        image_pool_free(pool);
        store_close(store);
        return r;
}

/* When it fails, scripts of bare distributions are back, as after a umount. */
static int swap(struct target *t, struct eject_result *ret, struct errtext *err)
{
        struct errtext ignored;
        int r = mount_stop(t, false, err);

        if (r == 0)
                r = complete(t, err);
        if (r == 0)
                r = eject_swap(t, ret, err);
        if (r < 0 && r != -EBUSY)
                outside_bare_restore(t, &ignored);
        return r;
}

static int say_ordinary(const struct target *t, struct errtext *err)
{
        return errtext_set(err, -ENOENT, "fusepkg has installed nothing in '%s': it is an ordinary venv", t->venv);
}

static int prepare(const struct options *o, struct target *t, int *ret_lock, struct errtext *err)
{
        int r = target_open_detached(o, t, err);

        if (r == 0 && t->state_fd < 0)
                r = say_ordinary(t, err);
        if (r == 0)
                r = target_lock(t, err);
        if (r == 0 && !t->environment && !eject_is_swapped(t)) {
                /* Of a run that was killed at its very end an empty folder is left. */
                (void)unlinkat(t->venv_fd, ENVIRONMENT_DIR, AT_REMOVEDIR);
                r = say_ordinary(t, err);
        }
        return r < 0 ? r : mount_lock(t, ret_lock, err);
}

static void say(const struct target *t, const struct eject_result *result, const struct buf *kept)
{
        char bytes[32];

        ui_format_bytes(result->bytes, bytes);
        if (result->files)
                ui_say("Ejected %s: %llu files, %s; it is an ordinary venv now", t->venv,
                       (unsigned long long)result->files, bytes);
        else
                ui_say("%s is an ordinary venv now", t->venv);
        if (kept->len)
                ui_say("What was in the way of packages, or changed in those that were replaced, is in %s", kept->data);
}

/* The locks are given up in the end. */
static int eject(const struct options *o, struct target *t, struct eject_result *ret, struct buf *ret_kept,
                 struct errtext *err)
{
        cleanup_close int lock = -1;
        int r = prepare(o, t, &lock, err);

        if (r == 0 && !eject_is_swapped(t))
                r = swap(t, ret, err);
        if (r == 0)
                r = eject_finish(t, ret_kept, err);
        if (t->lock_fd >= 0)
                close(t->lock_fd);
        t->lock_fd = -1;
        return r;
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        cleanup_buf struct buf kept = { 0 };
        struct eject_result result = { 0 };
        struct errtext err = { "" };
        int r = eject(o, &t, &result, &kept, &err);

        if (r < 0) {
                ui_error("cannot eject: %s", err.text);
                if (r == -EBUSY)
                        ui_hint("end what uses it first");
                return EXIT_UNMET;
        }
        eject_forget(&t);
        say(&t, &result, &kept);
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { NULL, 0, NULL, NULL },
};

const struct command command_eject = {
        .name = "eject",
        .usage = "[OPTIONS]",
        .summary = "Turn the venv back into an ordinary one, which needs neither fusepkg nor a mount",
        .help = "All that site-packages shows becomes plain files, edits included, as reflinks where the file systems allow it;\n"
                "symlinks to data files become the files.  It works without FUSE, too.  Run it again if it was interrupted.",
        .options = options,
        .run = run,
};
