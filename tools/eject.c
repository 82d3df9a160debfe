#include "tools/eject.h"

#include "store/files.h"
#include "store/index.h"
#include "tools/mounts.h"
#include "tools/outside.h"
#include "tools/ui.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { KEPT_TRIES = 1000 };

static bool is_empty(int dirfd, const char *name)
{
        DIR *dir = dir_stream(dirfd, name);
        const struct dirent *d;
        bool empty = true;

        while (dir && empty && (d = readdir(dir)))
                empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        if (dir)
                closedir(dir);
        return empty;
}

static int move_kept(const struct target *t, struct buf *ret, struct errtext *err)
{
        char name[64] = EJECT_KEPT;

        if (is_empty(t->state_fd, "kept"))
                return 0;
        for (int i = 2; renameat2(t->state_fd, "kept", t->venv_fd, name, RENAME_NOREPLACE) < 0; i++) {
                if (errno != EEXIST || i == KEPT_TRIES)
                        return errtext_set(err, -errno, "cannot move '%s/" ENVIRONMENT_DIR "/kept': %s", t->venv,
                                           errno_name(-errno, (char[128]){ 0 }));
                snprintf(name, sizeof(name), EJECT_KEPT "-%d", i);
        }
        return buf_printf(ret, "%s/%s", t->venv, name);
}

/* The note stays until the rest is gone. */
static int remove_state(const struct target *t)
{
        DIR *dir = dir_stream(t->state_fd, ".");
        const struct dirent *d;
        int r = dir ? 0 : -errno;

        while (r == 0 && (d = readdir(dir)))
                if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && strcmp(d->d_name, EJECT_FILE) != 0)
                        r = dir_remove_tree(t->state_fd, d->d_name);
        if (dir)
                closedir(dir);
        if (r == 0 && unlinkat(t->state_fd, EJECT_FILE, 0) < 0 && errno != ENOENT)
                r = -errno;
        if (r == 0 && unlinkat(t->venv_fd, ENVIRONMENT_DIR, AT_REMOVEDIR) < 0 && errno != ENOENT)
                r = -errno;
        return r;
}

int eject_finish(struct target *t, struct buf *ret_kept, struct errtext *err)
{
        cleanup_close int lib = eject_open_lib(t);
        int r;

        r = move_kept(t, ret_kept, err);
        if (r < 0)
                return r;
        r = lib < 0 ? lib : dir_remove_tree(lib, EJECT_DIR);
        if (r == 0)
                r = remove_state(t);
        return r < 0 ? errtext_set(err, r,
                                   "the venv is an ordinary one, but '%s.eject' and '" ENVIRONMENT_DIR
                                   "' could not be removed: %s",
                                   t->site, errno_name(r, (char[128]){ 0 })) :
                       0;
}

/* gc finds out by itself, later, that the venv has no environment any more: no reason to fail. */
void eject_forget(const struct target *t)
{
        struct index_lease lease = { .venv = t->venv };
        struct errtext err = { "" };
        struct store *store = NULL;
        struct index *x = NULL;
        struct stat st;
        int r;

        if (!t->environment)
                return;
        lease.environment = t->environment->id;
        r = target_store(t, STORE_WRITE, &store, &err);
        if (r == 0)
                r = index_open(store, &x, &err);
        if (r == 0 && fstat(t->venv_fd, &st) == 0) {
                lease.device = st.st_dev;
                lease.inode = st.st_ino;
                r = index_drop_lease(x, &lease);
        }
        if (r < 0)
                ui_detail("the store was not told that the venv has left it%s%s", *err.text ? ": " : "", err.text);
        index_close(x);
        store_close(store);
}
