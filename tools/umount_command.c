#include "tools/command.h"

#include "tools/bare_seen.h"
#include "tools/mounts.h"
#include "tools/outside.h"
#include "tools/target.h"
#include "tools/ui.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* As of a whole venv (target.c): root's power over somebody else's is used when that was asked for. */
static bool may_unmount(const struct options *o, const char *venv)
{
        struct stat st;

        return geteuid() != 0 || option_count(o, "--allow-root") || (stat(venv, &st) == 0 && st.st_uid == 0);
}

/* What `rm -rf` leaves of a mounted venv is its mount, in folders that have nothing else.  -ENOENT: it is not that. */
static int unmount_remains(const struct options *o, const char *venv, bool *ret_was, struct errtext *err)
{
        const bool lazy = option_count(o, "--lazy") > 0;
        cleanup_free char *real = realpath(venv, NULL), *lib = NULL;
        const struct dirent *d;
        int r = -ENOENT;
        DIR *dir;

        if (!real || !may_unmount(o, real) || asprintf(&lib, "%s/lib", real) < 0)
                return -ENOENT;
        dir = opendir(lib);
        while (dir && r == -ENOENT && (d = readdir(dir))) {
                cleanup_free char *site = NULL;
                struct mount_info info;

                if (strncmp(d->d_name, "python", 6) != 0 || asprintf(&site, "%s/%s/site-packages", lib, d->d_name) < 0)
                        continue;
                if (mount_examine(site, -1, &info) < 0 || (info.state != MOUNT_LIVE && info.state != MOUNT_DEAD))
                        continue;
                r = mount_unmount(site, lazy || info.state == MOUNT_DEAD, err);
                *ret_was = true;
                if (r == 0)
                        ui_say("Unmounted %s", site);
                else if (r == -EBUSY)
                        errtext_set(err, r, "%s is in use", site);
        }
        if (dir)
                closedir(dir);
        return r;
}

static const char *venv_named(const struct options *o)
{
        const char *name = option_value(o, "--venv");

        if (!name)
                name = option_value(o, "--python");
        if (!name)
                name = getenv("VIRTUAL_ENV");
        return name && *name ? name : ".venv";
}

static int unmount(const struct options *o, struct target *t, bool *ret_was, struct errtext *err)
{
        struct mount_info info = { 0 };
        int r = target_open_as_is(o, t, err);

        /* Where fusepkg has never been there is nothing to do, and no state to make. */
        if (r == 0 && t->state_fd < 0)
                return 0;
        /* Who holds the lock may be what hangs. */
        if (r == 0 && option_count(o, "--force")) {
                r = target_try_lock(t, err);
                r = r == -EWOULDBLOCK ? 0 : r;
        } else if (r == 0) {
                r = target_lock(t, err);
        }
        if (r < 0)
                return r;
        r = mount_examine(t->site, t->state_fd, &info);
        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        *ret_was = info.state == MOUNT_LIVE || info.state == MOUNT_DEAD || (info.locked && option_count(o, "--force"));
        if (option_count(o, "--force"))
                r = mount_force(t, err);
        if (r < 0)
                return r;
        if (t->environment)
                bare_seen_warn(t);
        r = option_count(o, "--force") ? 0 : mount_stop(t, option_count(o, "--lazy") > 0, err);
        return r < 0 ? r : outside_bare_restore(t, err);
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        struct errtext err = { "" };
        bool was = false;
        int r = unmount(o, &t, &was, &err), q;

        if (r < 0 && !t.environment) {
                q = unmount_remains(o, venv_named(o), &was, &err);
                if (q == 0)
                        return EXIT_DONE;
                if (q != -ENOENT)
                        r = q;
        }
        if (r < 0) {
                ui_error("%s", err.text);
                if (r == -EBUSY && !option_count(o, "--lazy"))
                        ui_hint("end what uses it, or `fusepkg umount --lazy`: who uses it keeps it until then");
                return EXIT_UNMET;
        }
        if (was)
                ui_say("Unmounted %s", t.site);
        else
                ui_say("%s is not mounted", t.venv);
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--force", 'f', NULL, "take it away from who uses it, naming them: their requests end with errors" },
        { "--lazy", 'z', NULL, "take it away even while it is in use" },
        { NULL, 0, NULL, NULL },
};

const struct command command_umount = {
        .name = "umount",
        .aliases = "unmount",
        .usage = "[OPTIONS]",
        .summary = "Show the bare site-packages again",
        .help = "What is installed stays installed, and shows at the next mount.",
        .options = options,
        .run = run,
};
