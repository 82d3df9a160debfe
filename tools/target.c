#include "tools/target.h"

#include "store/files.h"
#include "tools/mounts.h"
#include "tools/ui.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

enum {
        LOCK_NOTE_MS = 1000,   /* how long we wait for the lock before we say so */
        LOCK_STEP_US = 20000,
        VENV_FILE_MAX = 4096,  /* bytes of a `.venv` or pyvenv.cfg that is a file */
};

void target_close(struct target *t)
{
        environment_free(t->environment);
        if (t->lock_fd >= 0)
                close(t->lock_fd);
        if (t->state_fd >= 0)
                close(t->state_fd);
        if (t->venv_fd >= 0)
                close(t->venv_fd);
        free(t->venv);
        free(t->site);
        free(t->site_rel);
        free(t->python);
        free(t->interpreter);
        *t = (struct target)TARGET_INIT;
}

/* --- which venv --- */

static bool is_folder(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A `.venv` that is a file holds the path of the venv in its first line, relative to the file's own folder. */
static int read_redirect(const char *file, struct buf *ret, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
        const char *slash = strrchr(file, '/');
        size_t len;
        int r = fd < 0 ? -errno : file_read_all(fd, VENV_FILE_MAX, &text);

        len = r < 0 || !text.data ? 0 : strcspn(text.data, "\r\n");
        if (len == 0)
                return errtext_set(err, -EINVAL, "'%s' is neither a virtual environment nor a file that names one",
                                   file);
        if (text.data[0] != '/')
                r = buf_add(ret, file, slash ? (size_t)(slash - file) + 1 : 0);
        if (r >= 0)
                r = buf_add(ret, text.data, len);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

/* `.venv` in this folder or one above it. */
static int search_venv(struct buf *ret, struct errtext *err)
{
        char folder[PATH_MAX];

        if (!getcwd(folder, sizeof(folder)))
                return errtext_set(err, -errno, "cannot tell the current folder: %s", strerror(errno));
        for (;;) {
                char path[PATH_MAX + 8];
                struct stat st;

                snprintf(path, sizeof(path), "%s/.venv", strcmp(folder, "/") == 0 ? "" : folder);
                if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                        return buf_add_str(ret, path);
                if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid())
                        return read_redirect(path, ret, err);
                if (strcmp(folder, "/") == 0)
                        break;
                *strrchr(folder, '/') = '\0';
                if (!*folder)
                        strcpy(folder, "/");
        }
        return errtext_set(err, -ENOENT, "no virtual environment found: neither --venv nor $VIRTUAL_ENV is given, and "
                                         "there is no .venv in this folder or above it");
}

/* --python may name an interpreter: VENV/bin/python. */
static int venv_of_python(const char *path, struct buf *ret, struct errtext *err)
{
        cleanup_free char *copy = strdup(path);
        char *bin;

        if (!copy)
                return errtext_set(err, -ENOMEM, "out of memory");
        if (is_folder(path))
                return buf_add_str(ret, path);
        if (access(path, F_OK) < 0)
                return errtext_set(err, -ENOENT, "there is no '%s'", path);
        bin = strrchr(copy, '/');
        if (!bin)
                return buf_add_str(ret, "..");
        *bin = '\0';
        return buf_printf(ret, "%s/..", *copy ? copy : "/");
}

/* RET_SEARCHED: nobody named it. */
static int choose_venv(const struct options *o, struct buf *ret, bool *ret_searched, struct errtext *err)
{
        const char *venv = option_value(o, "--venv");
        const char *python = option_value(o, "--python");
        const char *active = getenv("VIRTUAL_ENV");
        struct stat st;

        *ret_searched = false;
        if (!venv && python)
                return venv_of_python(python, ret, err);
        if (!venv && active && *active)
                venv = active;
        if (!venv) {
                *ret_searched = true;
                return search_venv(ret, err);
        }
        if (stat(venv, &st) == 0 && S_ISREG(st.st_mode))
                return read_redirect(venv, ret, err);
        return buf_add_str(ret, venv) < 0 ? errtext_set(err, -ENOMEM, "out of memory") : 0;
}

/* --- what is in it --- */

/* "python3.12" -> "3.12"; NULL when NAME is not of that form. */
static const char *python_of_folder(const char *name)
{
        size_t digits;

        if (strncmp(name, "python3.", 8) != 0)
                return NULL;
        digits = strspn(name + 8, "0123456789");
        if (digits == 0 || digits > 3)
                return NULL;
        return name[8 + digits] == '\0' || strcmp(name + 8 + digits, "t") == 0 ? name + 6 : NULL;
}

/* Does pyvenv.cfg say `version = 3.12…` (`version_info` with uv and virtualenv)? */
static bool config_names(int venv_fd, const char *python)
{
        cleanup_buf struct buf text = { 0 };
        size_t len = strlen(python);

        if (file_read_at(venv_fd, "pyvenv.cfg", VENV_FILE_MAX, &text) < 0 || !text.data)
                return false;
        for (const char *line = text.data; line && *line; line = strchr(line, '\n'), line += line != NULL) {
                const char *value = strchr(line, '=');

                if (strncmp(line, "version", 7) != 0 || !value)
                        continue;
                value += 1 + strspn(value + 1, " \t");
                return strncmp(value, python, len) == 0 && !(value[len] >= '0' && value[len] <= '9');
        }
        return false;
}

/* The folder is not looked into: neither a dead mount there nor another user's must be an error yet. */
static bool has_site(int lib_fd, const char *folder)
{
        char path[300];
        struct stat st;

        snprintf(path, sizeof(path), "%.255s/site-packages", folder);
        if (fstatat(lib_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return S_ISDIR(st.st_mode);
        return errno == ENOTCONN || errno == EACCES || errno == EIO; /* the last: its storage stalls */
}

/* Finds lib/pythonX.Y/site-packages: the only one, or that of pyvenv.cfg's version. */
static int find_site(struct target *t, struct errtext *err)
{
        int lib_fd = openat(t->venv_fd, "lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *lib = lib_fd < 0 ? NULL : fdopendir(lib_fd);
        char found[64] = "";
        const struct dirent *d;

        if (!lib) {
                int r = -errno;

                if (lib_fd >= 0)
                        close(lib_fd);
                if (r != -ENOENT && r != -ENOTDIR)
                        return errtext_set(err, r, "cannot open '%s/lib': %s", t->venv,
                                           errno_name(r, (char[128]){ 0 }));
                return errtext_set(err, -EINVAL, "'%s' is not a virtual environment: it has no folder lib", t->venv);
        }
        while ((d = readdir(lib))) {
                const char *python = python_of_folder(d->d_name);

                if (python && has_site(lib_fd, d->d_name) && (!*found || config_names(t->venv_fd, python)))
                        snprintf(found, sizeof(found), "%s", python);
        }
        closedir(lib);
        if (!*found)
                return errtext_set(err, -EINVAL, "'%s' is not a virtual environment of CPython: it has no folder "
                                                 "lib/python3.X/site-packages", t->venv);
        t->python = strdup(found);
        if (asprintf(&t->site_rel, "lib/python%s/site-packages", found) < 0)
                t->site_rel = NULL;
        if (!t->site_rel || asprintf(&t->site, "%s/%s", t->venv, t->site_rel) < 0)
                t->site = NULL;
        if (asprintf(&t->interpreter, "%s/bin/python", t->venv) < 0)
                t->interpreter = NULL;
        if (!t->python || !t->site || !t->interpreter)
                return errtext_set(err, -ENOMEM, "out of memory");
        return 0;
}

static int open_venv(const char *path, struct target *t, struct errtext *err)
{
        struct stat st;

        t->venv = realpath(path, NULL);
        if (!t->venv)
                return errtext_set(err, -errno, "cannot use the virtual environment '%s': %s", path, strerror(errno));
        t->venv_fd = open(t->venv, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (t->venv_fd < 0 || fstat(t->venv_fd, &st) < 0)
                return errtext_set(err, -errno, "cannot open the virtual environment '%s': %s", t->venv,
                                   strerror(errno));
        t->owner = st.st_uid;
        t->group = st.st_gid;
        if (faccessat(t->venv_fd, "pyvenv.cfg", F_OK, 0) < 0 && errno != ENOENT)
                return errtext_set(err, -errno, "cannot examine '%s/pyvenv.cfg': %s", t->venv, strerror(errno));
        if (faccessat(t->venv_fd, "pyvenv.cfg", F_OK, 0) < 0)
                return errtext_set(err, -EINVAL, "'%s' is not a virtual environment: it has no pyvenv.cfg", t->venv);
        return find_site(t, err);
}

static int open_state(struct target *t, struct errtext *err)
{
        struct stat st;
        int r;

        t->state_fd = openat(t->venv_fd, ENVIRONMENT_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (t->state_fd < 0 && errno == ENOENT)
                return 0;
        if (t->state_fd < 0 || fstat(t->state_fd, &st) < 0)
                return errtext_set(err, -errno, "cannot open '%s/" ENVIRONMENT_DIR "': %s", t->venv, strerror(errno));
        if (st.st_uid != t->owner && st.st_uid != 0 && st.st_uid != geteuid())
                return errtext_set(err, -EPERM, "'%s/" ENVIRONMENT_DIR "' belongs to neither you nor the owner of the "
                                                "virtual environment", t->venv);
        r = environment_load(t->state_fd, &t->environment, err);
        if (r == 0 && strcmp(t->environment->site, t->site_rel) != 0)
                return errtext_set(err, -EINVAL, "'%s' was set up for %s, but its Python now uses %s", t->venv,
                                   t->environment->site, t->site_rel);
        return r == -ENOENT ? 0 : r;
}

/* As it was mounted before; by its owner alone, since a mount is seen by whoever made it. */
static bool mount_again(const struct target *t, const struct mount_info *was)
{
        const struct mount_options how = { .allow_other = was->allow_other };
        struct errtext why = { "" };
        int r;

        if (!t->environment || t->owner != geteuid())
                return false;
        r = mount_start(t, &how, &why);
        if (r < 0 && r != -EALREADY)
                ui_warning("the mount of '%s' was dead, and cannot be mounted again: %s", t->venv, why.text);
        else if (r == 0)
                ui_say("The mount of %s was dead: mounted it again", t->venv);
        return r == 0 || r == -EALREADY;
}

static int repair(const struct target *t, bool mount, struct errtext *err)
{
        struct mount_info info = { .state = MOUNT_NONE };
        int r = mount_examine(t->site, t->state_fd, &info);

        if (r < 0 || info.state != MOUNT_DEAD)
                return 0; /* what cannot be examined shows when it is used */
        if (mount && mount_again(t, &info))
                return 0;
        r = mount_detach(t->site, err);
        if (r == 0)
                ui_detail("Detached the dead mount at %s", t->site);
        return r;
}

int target_repair(const struct target *t, struct errtext *err)
{
        return repair(t, true, err);
}

/* In another user's venv, lib may be a symlink to anywhere: root mounts over nothing that is not that user's. */
static int check_site_owner(const struct target *t, struct errtext *err)
{
        struct stat st;

        if (fstatat(t->venv_fd, t->site_rel, &st, 0) < 0)
                return 0; /* a dead mount, or it shows when it is used */
        if (st.st_uid == t->owner)
                return 0;
        return errtext_set(err, -EPERM, "'%s' belongs to another user (%u) than the virtual environment (%u)", t->site,
                           st.st_uid, t->owner);
}

static int check_owner(const struct options *o, const struct target *t, bool searched, struct errtext *err)
{
        if (t->owner == geteuid())
                return 0;
        if (geteuid() == 0 && option_count(o, "--allow-root"))
                return check_site_owner(t, err);
        if (geteuid() == 0)
                return errtext_set(err, -EPERM,
                                   "'%s' belongs to another user (%u): root works on it only with --allow-root",
                                   t->venv, t->owner);
        if (searched)
                return errtext_set(err, -EPERM,
                                   "'%s' was found by searching, but belongs to another user (%u): name it "
                                   "with --venv if it is the one",
                                   t->venv, t->owner);
        return 0;
}

/* What becomes of a dead mount. */
enum dead {
        DEAD_LEAVE,
        DEAD_DETACH,
        DEAD_REPAIR,
};

static int open_target(const struct options *o, const char *path, enum dead dead, struct target *ret,
                       struct errtext *err)
{
        cleanup_target struct target t = TARGET_INIT;
        cleanup_buf struct buf chosen = { 0 };
        bool searched = false;
        int r = o ? choose_venv(o, &chosen, &searched, err) : buf_add_str(&chosen, path);

        if (r == 0)
                r = open_venv(chosen.data, &t, err);
        if (r == 0 && o)
                r = check_owner(o, &t, searched, err);
        if (r == 0)
                r = open_state(&t, err);
        if (r == 0 && dead != DEAD_LEAVE)
                r = repair(&t, dead == DEAD_REPAIR, err);
        if (r < 0)
                return r;
        *ret = t;
        t = (struct target)TARGET_INIT;
        return 0;
}

int target_open(const struct options *o, struct target *ret, struct errtext *err)
{
        return open_target(o, NULL, DEAD_REPAIR, ret, err);
}

int target_open_detached(const struct options *o, struct target *ret, struct errtext *err)
{
        return open_target(o, NULL, DEAD_DETACH, ret, err);
}

int target_open_as_is(const struct options *o, struct target *ret, struct errtext *err)
{
        return open_target(o, NULL, DEAD_LEAVE, ret, err);
}

int target_open_path(const char *venv, struct target *ret, struct errtext *err)
{
        return open_target(NULL, venv, DEAD_LEAVE, ret, err);
}

/* --- changing it --- */

static int take_lock(const struct target *t, int fd, bool wait, struct errtext *err)
{
        bool said = false;

        for (unsigned waited_us = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_us += LOCK_STEP_US) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return errtext_set(err, -errno, "cannot lock '%s/.lock': %s", t->venv, strerror(errno));
                if (!wait && errno == EWOULDBLOCK)
                        return errtext_set(err, -EWOULDBLOCK, "another command works on '%s'", t->venv);
                if (!said && waited_us >= LOCK_NOTE_MS * 1000) {
                        ui_say("waiting for lock on %s", t->venv);
                        said = true;
                }
                usleep(LOCK_STEP_US);
        }
        return 0;
}

static int lock(struct target *t, bool wait, struct errtext *err)
{
        cleanup_close int fd = openat(t->venv_fd, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        int r;

        /* umount must go on working when a disk has become read-only. */
        if (fd < 0 && errno == EROFS) {
                fd = openat(t->venv_fd, ".lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
                if (fd < 0)
                        errno = EROFS;
        }
        if (fd < 0)
                return errtext_set(err, -errno, "cannot lock '%s/.lock': %s", t->venv, strerror(errno));
        target_give(t, fd);
        r = take_lock(t, fd, wait, err);
        if (r < 0)
                return r;
        if (mkdirat(t->venv_fd, ENVIRONMENT_DIR, 0755) < 0 && errno != EEXIST &&
            (errno != EROFS || t->state_fd < 0))
                return errtext_set(err, -errno, "cannot make '%s/" ENVIRONMENT_DIR "': %s", t->venv, strerror(errno));
        t->lock_fd = steal_fd(&fd);

        /* Somebody may have committed while we waited. */
        environment_free(t->environment);
        t->environment = NULL;
        if (t->state_fd >= 0)
                close(t->state_fd);
        r = open_state(t, err);
        if (r == 0 && t->state_fd < 0)
                return errtext_set(err, -ENOENT, "'%s/" ENVIRONMENT_DIR "' has gone away", t->venv);
        if (r == 0)
                target_give(t, t->state_fd);
        return r;
}

int target_lock(struct target *t, struct errtext *err)
{
        return lock(t, true, err);
}

int target_try_lock(struct target *t, struct errtext *err)
{
        return lock(t, false, err);
}

void target_give(const struct target *t, int fd)
{
        struct stat st;

        if (geteuid() != 0 || t->owner == 0 || fstat(fd, &st) < 0 || st.st_uid != 0)
                return;
        if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
                return; /* a hard link that the user made: not ours to give */
        if (fchown(fd, t->owner, t->group) < 0)
                ui_warning("cannot give a file in '%s' to its owner: %s", t->venv, strerror(errno));
}

/* .fusepkg has folders of files, one level deep or two (kept/<generation>/…); what is deeper came from the user. */
static void give_folder(const struct target *t, int dirfd, unsigned depth)
{
        int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        const struct dirent *d;

        if (!dir) {
                if (copy >= 0)
                        close(copy);
                return;
        }
        while ((d = readdir(dir))) {
                cleanup_close int fd = -1;
                struct stat st;

                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                fd = openat(dirfd, d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
                if (fd < 0 || fstat(fd, &st) < 0)
                        continue;
                target_give(t, fd);
                if (S_ISDIR(st.st_mode) && depth > 0)
                        give_folder(t, fd, depth - 1);
        }
        closedir(dir);
}

void target_give_state(const struct target *t)
{
        if (geteuid() == 0 && t->owner != 0 && t->state_fd >= 0)
                give_folder(t, t->state_fd, 3);
}
