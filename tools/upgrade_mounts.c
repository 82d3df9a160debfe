#include "tools/command.h"

#include "tools/mounts.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
        WAIT_STEP_MS = 10,
        WAIT_MAX_MS = 60 * 1000, /* the old process ends, the new one loads */
};

struct work {
        size_t done;
        size_t failed;
};

static void fail(struct work *w, const char *venv, const char *why)
{
        w->failed++;
        ui_error("the mount of '%s' goes on with the program it has: %s", venv, why);
}

static int wait_for_end(const struct target *t, unsigned before, struct mount_info *ret)
{
        for (long waited = 0; waited < WAIT_MAX_MS; waited += WAIT_STEP_MS) {
                int r = mount_examine(t->site, t->state_fd, ret);

                if (r < 0)
                        return r;
                if (!ret->locked)
                        return -ENOTCONN;
                if (ret->upgrades != before)
                        return 0;
                nanosleep(&(struct timespec){ 0, WAIT_STEP_MS * 1000000L }, NULL);
        }
        return -ETIMEDOUT;
}

/* What is mounted again has the new program. */
static void repair(const struct target *t, struct work *w)
{
        struct errtext err = { "" };

        if (target_repair(t, &err) == 0)
                return;
        w->failed++;
        ui_error("%s", err.text);
}

static int is_of(const char *venv, void *user)
{
        return strcmp(venv, user) == 0;
}

/* It was unmounted since the list was read, with or without its venv. */
static bool has_gone(const char *venv)
{
        return mounts_each(is_of, (void *)venv) == 0;
}

/* Only whom the kernel lets send it a signal may have the mount go over to another program; and which one that is its
 * keeper knows. */
static void upgrade(const struct target *t, struct work *w)
{
        struct mount_info info;
        char why[128];
        unsigned before;
        int r = mount_examine(t->site, t->state_fd, &info);

        if (r == 0 && info.state == MOUNT_DEAD)
                return repair(t, w);
        if (r == 0 && (info.state != MOUNT_LIVE || info.pid <= 0))
                return;
        /* The signal would end one that does not know it. */
        if (r == 0 && !info.has_keeper) {
                fail(w, t->venv, "it is of a version that cannot be upgraded; unmount it, and mount it again");
                return;
        }
        before = info.upgrades;
        if (r == 0)
                r = mount_signal(t, info.pid, SIGUSR1);
        if (r == 0)
                r = wait_for_end(t, before, &info);
        if ((r == -ENOTCONN || r == -ESRCH) && has_gone(t->venv))
                return;
        if (r == -EPERM)
                fail(w, t->venv, "it belongs to another user");
        else if (r == -ESRCH)
                fail(w, t->venv, "the process that its lock names is not one of it");
        else if (r < 0)
                fail(w, t->venv, errno_name(r, why));
        else if (strcmp(info.upgrade, "ok") != 0)
                fail(w, t->venv, info.upgrade);
        else
                w->done++;
}

static int upgrade_at(const char *venv, void *user)
{
        cleanup_target struct target t = TARGET_INIT;
        struct errtext err = { "" };
        struct work *w = user;
        struct stat st;

        /* Whoever is not root has "all" of their own. */
        if (geteuid() != 0 && (stat(venv, &st) < 0 || st.st_uid != geteuid()))
                return 0;
        if (target_open_path(venv, &t, &err) == 0)
                upgrade(&t, w);
        else if (!has_gone(venv))
                fail(w, venv, err.text);
        return 0;
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        struct errtext err = { "" };
        struct work w = { 0 };
        int r;

        if (option_count(o, "--venv") || option_count(o, "--python")) {
                r = target_open_as_is(o, &t, &err);
                if (r == 0)
                        upgrade(&t, &w);
        } else {
                r = mounts_each(upgrade_at, &w);
                if (r < 0)
                        errtext_set(&err, r, "cannot read the list of mounts: %s", errno_name(r, (char[128]){ 0 }));
        }
        if (r < 0) {
                ui_error("%s", err.text);
                return EXIT_UNMET;
        }
        ui_say("Upgraded %zu mount%s", w.done, w.done == 1 ? "" : "s");
        return w.failed ? EXIT_UNMET : EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { NULL, 0, NULL, NULL },
};

const struct command command_upgrade_mounts = {
        .name = "upgrade-mounts",
        .usage = "[OPTIONS]",
        .summary = "Have live mounts go over to the newly installed fusepkg",
        .help = "Without --venv and --python: all mounts, as root those of other users as well.  Programs that use them go on:\n"
                "open files, mappings and working directories stay.  A mount that the new program cannot serve goes on with\n"
                "the old one.",
        .options = options,
        .run = run,
};
