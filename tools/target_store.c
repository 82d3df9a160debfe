/* The half of target.h about stores: which one belongs to a venv, and views of an environment. */
#include "tools/target.h"

#include "tools/mounts.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>

static const char *chosen_store(void)
{
        const char *path = getenv("FUSEPKG_STORE");

        return path && *path ? path : NULL;
}

/* $HOME, but not another user's, as sudo may leave it to root: the store would then be root's in his home. */
static int home_folder(char **ret)
{
        const char *home = getenv("HOME");
        struct passwd pw, *found = NULL;
        char text[4096];
        struct stat st;

        if (home && home[0] == '/' && (geteuid() != 0 || (stat(home, &st) == 0 && st.st_uid == 0))) {
                *ret = strdup(home);
        } else {
                if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) != 0 || !found || !pw.pw_dir[0])
                        return -ENOENT;
                *ret = strdup(pw.pw_dir);
        }
        return *ret ? 0 : -ENOMEM;
}

/* The path as it will be recorded: absolute, though it need not exist yet. */
static int make_absolute(const char *path, char **ret)
{
        cleanup_free char *cwd = NULL;

        if (path[0] == '/') {
                *ret = strdup(path);
                return *ret ? 0 : -ENOMEM;
        }
        cwd = getcwd(NULL, 0);
        if (!cwd)
                return -errno;
        return asprintf(ret, "%s/%s", cwd, path) < 0 ? -ENOMEM : 0;
}

int default_store_path(char **ret)
{
        const char *data = getenv("XDG_DATA_HOME");
        cleanup_free char *home = NULL;
        char *path = NULL;
        int r;

        if (chosen_store())
                return make_absolute(chosen_store(), ret);
        if (data && data[0] == '/') {
                if (asprintf(&path, "%s/fusepkg", data) < 0)
                        return -ENOMEM;
        } else {
                r = home_folder(&home);
                if (r < 0)
                        return r;
                if (asprintf(&path, "%s/.local/share/fusepkg", home) < 0)
                        return -ENOMEM;
        }
        *ret = path;
        return 0;
}

int default_store(enum store_mode mode, struct store **ret, struct errtext *err)
{
        cleanup_free char *path = NULL;
        int r = default_store_path(&path);

        if (r < 0)
                return errtext_set(err, r, "cannot tell where the store is: neither FUSEPKG_STORE nor HOME is set");
        return store_open(path, mode, ret, err);
}

/* The store that is chosen now must be the one that the environment's packages are in. */
int target_check_store(const struct target *t, const struct store *s, struct errtext *err)
{
        const struct environment *e = t->environment;

        if (!e || strcmp(e->store_id, s->id) == 0)
                return 0;
        return errtext_set(err, -EXDEV,
                           "the packages of '%s' are in the store '%s' (id %s), but '%s' is another one (id %s)",
                           t->venv, e->store_path, e->store_id, s->path, s->id);
}

int target_store(const struct target *t, enum store_mode mode, struct store **ret, struct errtext *err)
{
        const struct environment *e = t->environment;
        struct store *s = NULL;
        bool other = e && chosen_store() && strcmp(chosen_store(), e->store_path) != 0;
        int r;

        if (!e)
                r = default_store(mode, &s, err);
        else
                r = store_open(chosen_store() ? chosen_store() : e->store_path,
                               mode == STORE_CREATE ? STORE_WRITE : mode, &s, err);
        if (r < 0 && e) {
                struct errtext why = *err;

                return errtext_set(
                        err, r, "the packages of '%s' are in the store '%s', and %s: %.800s%s", t->venv, e->store_path,
                        other ? "FUSEPKG_STORE names another one that cannot be opened" : "it cannot be opened",
                        why.text, other || r != -ENOENT ? "" : " (if it was moved, FUSEPKG_STORE must say where to)");
        }
        if (r == 0)
                r = target_check_store(t, s, err);
        if (r < 0) {
                store_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

/* The bare folder can be seen while nothing is mounted on it. */
int target_base(const struct target *t, bool numbered, struct base **ret, struct errtext *err)
{
        struct mount_info info = { .state = MOUNT_NONE };
        int fd, numbers, r = mount_examine(t->site, t->state_fd, &info);

        if (r < 0)
                return errtext_set(err, r, "cannot tell what is mounted at '%s': %s", t->site, strerror(-r));
        if (info.state == MOUNT_LIVE || info.state == MOUNT_DEAD) {
                *ret = NULL;
                return 0;
        }
        fd = openat(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errtext_set(err, -errno, "cannot open '%s': %s", t->site, strerror(errno));
        numbers = numbered ? openat(t->state_fd, BASE_NODES_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
        return base_new(fd, numbers, ret, err);
}

int target_view(const struct target *t, const struct store *s, struct image_pool **ret_pool, struct base **ret_base,
                struct view **ret_view, struct errtext *err)
{
        struct image_pool *pool = NULL;
        struct base *base = NULL;
        int r;

        if (!t->environment)
                return errtext_set(err, -ENOENT, "fusepkg has installed nothing in '%s'", t->venv);
        r = image_pool_new(s, &pool);
        if (r < 0)
                return errtext_set(err, r, "out of memory");
        r = target_base(t, false, &base, err);
        if (r == 0)
                r = view_new(t->environment, pool, base, t->state_fd, NULL, ret_view, err);
        if (r < 0) {
                base_free(base);
                image_pool_free(pool);
                return r;
        }
        *ret_pool = pool;
        *ret_base = base;
        return 0;
}
