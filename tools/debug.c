#include "tools/command.h"

#include "fs/control.h"
#include "tools/json_out.h"
#include "tools/mounts.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <stdio.h>

/* By the kernel's numbers, linux/fuse.h. */
static const char *const opcode_names[CONTROL_OPCODES] = {
        [1] = "LOOKUP",          [2] = "FORGET",       [3] = "GETATTR",      [4] = "SETATTR",      [5] = "READLINK",
        [6] = "SYMLINK",         [8] = "MKNOD",        [9] = "MKDIR",        [10] = "UNLINK",      [11] = "RMDIR",
        [12] = "RENAME",         [13] = "LINK",        [14] = "OPEN",        [15] = "READ",        [16] = "WRITE",
        [17] = "STATFS",         [18] = "RELEASE",     [20] = "FSYNC",       [21] = "SETXATTR",    [22] = "GETXATTR",
        [23] = "LISTXATTR",      [24] = "REMOVEXATTR", [25] = "FLUSH",       [26] = "INIT",        [27] = "OPENDIR",
        [28] = "READDIR",        [29] = "RELEASEDIR",  [30] = "FSYNCDIR",    [31] = "GETLK",       [32] = "SETLK",
        [33] = "SETLKW",         [34] = "ACCESS",      [35] = "CREATE",      [36] = "INTERRUPT",   [37] = "BMAP",
        [38] = "DESTROY",        [39] = "IOCTL",       [40] = "POLL",        [41] = "NOTIFY_REPLY",
        [42] = "BATCH_FORGET",
        [43] = "FALLOCATE",      [44] = "READDIRPLUS", [45] = "RENAME2",     [46] = "LSEEK",
        [47] = "COPY_FILE_RANGE",
        [48] = "SETUPMAPPING",   [49] = "REMOVEMAPPING", [50] = "SYNCFS",    [51] = "TMPFILE",     [52] = "STATX",
};

static int ask(const struct options *o, struct control_requests *ret, struct errtext *err)
{
        cleanup_target struct target t = TARGET_INIT;
        struct mount_info info;
        int r = target_open(o, &t, err);

        if (r < 0)
                return r;
        r = mount_examine(t.site, t.state_fd, &info);
        if (r < 0)
                return errtext_set(err, r, "cannot read the list of mounts: %s", errno_name(r, (char[128]){ 0 }));
        if (info.state != MOUNT_LIVE)
                return errtext_set(err, -ENOENT, "'%s' is not mounted", t.venv);
        cleanup_close int fd = open(t.site, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || ioctl(fd, CONTROL_REQUESTS, ret) < 0)
                return errtext_set(err, -errno, "the mount at '%s' does not answer: %s", t.site,
                                   errno_name(-errno, (char[128]){ 0 }));
        return 0;
}

static const char *name_of(size_t opcode, char text[24])
{
        if (opcode_names[opcode])
                return opcode_names[opcode];
        snprintf(text, 24, "OPCODE_%zu", opcode);
        return text;
}

static int run(const struct options *o)
{
        json_t *counts = option_count(o, "--json") ? json_object() : NULL;
        struct control_requests requests = { 0 };
        struct errtext err = { "" };
        char text[24];

        if (ask(o, &requests, &err) < 0) {
                json_decref(counts);
                ui_error("%s", err.text);
                return EXIT_UNMET;
        }
        for (size_t i = 0; i < CONTROL_OPCODES; i++) {
                if (!requests.count[i])
                        continue;
                if (!counts)
                        printf("%-16s %llu\n", name_of(i, text), (unsigned long long)requests.count[i]);
                else if (json_object_set_new(counts, name_of(i, text), json_integer((json_int_t)requests.count[i])) < 0)
                        return json_out_failed(counts);
        }
        return counts && json_out(counts) < 0 ? EXIT_USAGE : EXIT_DONE;
}

static const struct option_spec options[] = {
        TARGET_OPTIONS,
        { "--json", 0, NULL, "print {OPCODE: count}" },
        { NULL, 0, NULL, NULL },
};

const struct command command_debug_requests = {
        .name = "debug requests",
        .usage = "[OPTIONS]",
        .summary = "Count the requests that the kernel has sent to the mount",
        .options = options,
        .run = run,
};
