/* eject_swap.c: the steps 2 to 5 of eject.h. */
#include "tools/eject.h"

#include "store/files.h"
#include "tools/mounts.h"
#include "tools/outside_list.h"
#include "tools/program.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

enum { NOTE_MAX = 256 };

#define NOTE_FORMAT "fusepkg eject 1\nsite %" PRIu64 "\n"

static int fail(struct errtext *err, int r, const char *what, const char *path)
{
        return errtext_set(err, r, "cannot %s '%s': %s", what, path, errno_name(r, (char[128]){ 0 }));
}

bool eject_is_swapped(const struct target *t)
{
        cleanup_buf struct buf text = { 0 };
        uint64_t inode;
        struct stat st;

        if (t->state_fd < 0 || file_read_at(t->state_fd, EJECT_FILE, NOTE_MAX, &text) < 0 || !text.data)
                return false;
        return sscanf(text.data, NOTE_FORMAT, &inode) == 1 && fstatat(t->venv_fd, t->site_rel, &st, 0) == 0 &&
               st.st_ino == inode;
}

int eject_open_lib(const struct target *t)
{
        cleanup_free char *path = strdup(t->site_rel);
        int fd;

        if (!path)
                return -ENOMEM;
        *strrchr(path, '/') = '\0';
        fd = file_open_beneath(t->venv_fd, path, O_RDONLY | O_DIRECTORY, 0);
        /* lib may be a symlink of the user's. */
        if ((fd == -ELOOP || fd == -EXDEV) && geteuid() == t->owner)
                fd = openat(t->venv_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd == -1 ? -errno : fd;
}

static int write_tree(const struct target *t, const char *out, struct eject_result *ret, struct errtext *err)
{
        cleanup_buf struct buf words = { 0 }, state = { 0 };
        cleanup_free char *program = NULL;
        const char *last;
        int r = mount_program(&program);

        if (r < 0)
                return errtext_set(
                        err, r,
                        "the program fusepkg-mount is missing: it belongs beside fusepkg or into " FUSEPKG_LIBEXEC);
        r = buf_printf(&state, "%s/" ENVIRONMENT_DIR, t->venv);
        if (r == 0)
                r = program_run((const char *const[]){ program, "--write", out, "--site", t->site, "--state",
                                                       state.data, NULL },
                                &words);
        if (r < 0)
                return fail(err, r, "run", program);
        last = program_last_line(&words);
        if (r == 0 && sscanf(last, "written %" SCNu64 " %" SCNu64, &ret->files, &ret->bytes) == 2)
                return 0;
        if (strncmp(last, "fusepkg-mount: ", 15) == 0)
                last += 15;
        return errtext_set(err, -EIO, "%s", *last ? last : "fusepkg-mount --write failed");
}

/* VENV/PATH, one of our symlinks, becomes what it leads to. */
static int replace_link(const struct target *t, int out_fd, const char *path, struct errtext *err)
{
        static const char into[] = "/" DATA_DIR "/";
        cleanup_free char *parent = strdup(path);
        char target[4096], *name = parent ? strrchr(parent, '/') : NULL;
        cleanup_close int dir = -1;
        const char *source;
        ssize_t n;

        if (!parent)
                return errtext_set(err, -ENOMEM, "out of memory");
        if (name)
                *name++ = '\0';
        dir = file_open_beneath(t->venv_fd, name ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
        if (!name)
                name = parent;
        n = dir < 0 ? -1 : readlinkat(dir, name, target, sizeof(target) - 1);
        if (n < 0)
                return 0; /* it is gone, or something else by now */
        target[n] = '\0';
        source = strstr(target, into);
        if (!source)
                return 0;
        source += strlen(into);
        if (renameat2(out_fd, source, dir, name, RENAME_EXCHANGE) == 0)
                return 0;
        /* It leads nowhere: what it led to was removed. */
        if (errno == ENOENT)
                return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? fail(err, -errno, "remove", path) : 0;
        return fail(err, -errno, "replace the symlink", path);
}

static int replace_links(const struct target *t, int out_fd, struct errtext *err)
{
        cleanup_outside_list struct outside_list list = { 0 };
        int r = outside_list_load(t->state_fd, &list);

        if (r < 0)
                return fail(err, r, "read", ENVIRONMENT_DIR "/" OUTSIDE_FILE);
        for (size_t i = 0; r == 0 && i < list.links.count; i++)
                r = replace_link(t, out_fd, list.links.paths[i], err);
        return r;
}

static int write_note(const struct target *t, int out_fd, struct errtext *err)
{
        char text[NOTE_MAX];
        struct stat st;
        int r = fstatat(out_fd, "site", &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;

        if (r == 0) {
                snprintf(text, sizeof(text), NOTE_FORMAT, (uint64_t)st.st_ino);
                r = file_replace(t->state_fd, EJECT_FILE, text, strlen(text), 0644, true);
        }
        return r < 0 ? fail(err, r, "write", ENVIRONMENT_DIR "/" EJECT_FILE) : 0;
}

static int exchange(const struct target *t, int lib_fd, int out_fd, struct errtext *err)
{
        if (renameat2(out_fd, "site", lib_fd, "site-packages", RENAME_EXCHANGE) < 0)
                return fail(err, -errno, "replace", t->site);
        return fsync(lib_fd) < 0 || fsync(out_fd) < 0 ? fail(err, -errno, "sync", t->site) : 0;
}

/* Empty, and ours alone: fusepkg-mount --write takes no other. */
static int make_folder(int lib_fd, int *ret, struct errtext *err)
{
        int r = dir_remove_tree(lib_fd, EJECT_DIR);

        if (r == 0 && mkdirat(lib_fd, EJECT_DIR, 0700) < 0)
                r = -errno;
        if (r < 0)
                return fail(err, r, "make the folder", EJECT_DIR);
        *ret = file_open_beneath(lib_fd, EJECT_DIR, O_RDONLY | O_DIRECTORY, 0);
        return *ret < 0 ? fail(err, *ret, "open", EJECT_DIR) : 0;
}

int eject_swap(const struct target *t, struct eject_result *ret, struct errtext *err)
{
        cleanup_close int lib = eject_open_lib(t), out = -1;
        cleanup_buf struct buf path = { 0 };
        int r = lib < 0 ? fail(err, lib, "open the folder above", t->site) : 0;

        if (r == 0)
                r = make_folder(lib, &out, err);
        if (r == 0 && (buf_add(&path, t->site, strlen(t->site) - strlen("site-packages")) < 0 ||
                       buf_add_str(&path, EJECT_DIR) < 0))
                r = errtext_set(err, -ENOMEM, "out of memory");
        if (r == 0)
                r = write_tree(t, path.data, ret, err);
        if (r == 0)
                r = write_note(t, out, err);
        if (r == 0)
                r = replace_links(t, out, err);
        if (r == 0)
                r = exchange(t, lib, out, err);
        if (r < 0 && lib >= 0 && !eject_is_swapped(t)) {
                (void)unlinkat(t->state_fd, EJECT_FILE, 0);
                (void)dir_remove_tree(lib, EJECT_DIR);
        }
        return r;
}
