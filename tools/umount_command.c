#include "tools/command.h"

#include "tools/mounts.h"
#include "tools/outside.h"
#include "tools/target.h"
#include "tools/ui.h"

static int unmount(const struct options *o, struct target *t, bool *ret_was, struct errtext *err)
{
        struct mount_info info = { 0 };
        int r = target_open_as_is(o, t, err);

        /* Where fusepkg has never been there is nothing to do, and no state to make. */
        if (r == 0 && t->state_fd < 0)
                return 0;
        if (r == 0)
                r = target_lock(t, err);
        if (r < 0)
                return r;
        r = mount_examine(t->site, t->state_fd, &info);
        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        *ret_was = info.state == MOUNT_LIVE || info.state == MOUNT_DEAD;
        r = mount_stop(t, option_count(o, "--lazy") > 0, err);
        return r < 0 ? r : outside_bare_restore(t, err);
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        struct errtext err = { "" };
        bool was = false;
        int r = unmount(o, &t, &was, &err);

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
