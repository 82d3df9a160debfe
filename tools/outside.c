#include "tools/outside.h"

#include "store/files.h"
#include "tools/outside_internal.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <stdio.h>

enum { KEPT_TRIES = 1000 };

void outside_give(const struct target *t, int dirfd, const char *name)
{
        if (geteuid() == 0 && t->owner != 0 && fchownat(dirfd, name, t->owner, t->group, AT_SYMLINK_NOFOLLOW) < 0)
                ui_warning("cannot give '%s' to the owner of '%s': %s", name, t->venv, strerror(errno));
}

/* Makes the folders above the last component of PATH below DIRFD; returns a descriptor of the deepest. */
static int make_folders(int dirfd, const char *path)
{
        int fd = file_open_beneath(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);

        for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
                cleanup_free char *name = strndup(path, (size_t)(slash - path));
                int below = name ? dir_make(fd, name, 0777) : -ENOMEM;

                close(fd);
                fd = below;
        }
        return fd;
}

int outside_open_parent(const struct target *t, const char *path, const char **ret_name)
{
        const char *slash = strrchr(path, '/');
        cleanup_free char *parent = strndup(path, slash ? (size_t)(slash - path) : 0);

        if (!parent)
                return -ENOMEM;
        *ret_name = slash ? slash + 1 : path;
        return file_open_beneath(t->venv_fd, *parent ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
}

int outside_keep(const struct target *t, uint64_t generation, const char *path, struct errtext *err)
{
        cleanup_free char *below = NULL;
        cleanup_close int kept = -1, from = -1;
        char name[300];
        const char *base;
        int r = 0;

        if (asprintf(&below, OUTSIDE_KEPT_DIR "/%llu/%s", (unsigned long long)generation, path) < 0) {
                below = NULL;
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        kept = make_folders(t->state_fd, below);
        from = kept < 0 ? kept : outside_open_parent(t, path, &base);
        if (from < 0)
                return errtext_set(err, from, "cannot keep '%s/%s': %s", t->venv, path, strerror(-from));
        snprintf(name, sizeof(name), "%.255s", base);
        for (int i = 1; i < KEPT_TRIES; i++) {
                r = renameat2(from, base, kept, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
                if (r != -EEXIST)
                        break;
                snprintf(name, sizeof(name), "%.255s.%d", base, i);
        }
        if (r < 0)
                return errtext_set(err, r, "cannot keep '%s/%s': %s", t->venv, path, strerror(-r));
        ui_warning("'%s/%s' was in the way of a package and is now '%s/" ENVIRONMENT_DIR "/" OUTSIDE_KEPT_DIR
                   "/%llu/%.*s%s'",
                   t->venv, path, t->venv, (unsigned long long)generation, (int)(strlen(path) - strlen(base)), path,
                   name);
        return 0;
}

int outside_check(const struct target *t, struct errtext *err)
{
        cleanup_close int bin = file_open_beneath(t->venv_fd, "bin", O_RDONLY | O_DIRECTORY, 0);

        if (bin < 0)
                return errtext_set(err, bin, "cannot open '%s/bin': %s", t->venv, strerror(-bin));
        if (faccessat(bin, ".", W_OK, AT_EACCESS) < 0)
                return errtext_set(err, -errno, "cannot write to '%s/bin': %s", t->venv, strerror(errno));
        if (faccessat(t->venv_fd, ".", W_OK, AT_EACCESS) < 0)
                return errtext_set(err, -errno, "cannot write to '%s': %s", t->venv, strerror(errno));
        return 0;
}

/* Runs the three parts and saves the list, which makes it so. */
static int apply(struct outside_run *run)
{
        cleanup_close int new_fd = -1;
        struct stat st;
        int r;

        (void)dir_remove_tree(run->t->state_fd, OUTSIDE_NEW_DIR); /* of a run that was killed */
        run->new_fd = new_fd = dir_make(run->t->state_fd, OUTSIDE_NEW_DIR, 0700);
        /* What root gives away by its name must lie where nobody else can exchange it. */
        if (new_fd >= 0 && (fstat(new_fd, &st) < 0 || st.st_uid != geteuid()))
                return errtext_set(run->err, -EPERM, "'%s/" ENVIRONMENT_DIR "/" OUTSIDE_NEW_DIR
                                   "' belongs to another user", run->t->venv);
        if (new_fd < 0)
                return errtext_set(run->err, new_fd, "cannot make '%s/" ENVIRONMENT_DIR "/" OUTSIDE_NEW_DIR "': %s",
                                   run->t->venv, strerror(-new_fd));
        r = outside_apply_bare(run);
        if (r == 0)
                r = outside_apply_scripts(run);
        if (r == 0)
                r = outside_apply_links(run);
        (void)dir_remove_tree(run->t->state_fd, OUTSIDE_NEW_DIR);
        if (r < 0)
                return r;
        run->next.generation = run->now->generation;
        r = outside_list_save(run->t->state_fd, &run->next);
        return r < 0 ? errtext_set(run->err, r, "cannot write '%s/" ENVIRONMENT_DIR "/" OUTSIDE_FILE "': %s",
                                   run->t->venv, strerror(-r))
                     : 0;
}

int outside_apply(const struct target *t, const struct environment *now, struct image_pool *pool, struct errtext *err)
{
        cleanup_close int bin = file_open_beneath(t->venv_fd, "bin", O_RDONLY | O_DIRECTORY, 0);
        struct outside_run run = { .t = t, .now = now, .pool = pool, .bin_fd = bin, .new_fd = -1, .err = err };
        int r;

        if (bin < 0)
                return errtext_set(err, bin, "cannot open '%s/bin': %s", t->venv, strerror(-bin));
        r = outside_list_load(t->state_fd, &run.old);
        if (r < 0)
                return errtext_set(err, r, "cannot read '%s/" ENVIRONMENT_DIR "/" OUTSIDE_FILE "': %s", t->venv,
                                   strerror(-r));
        if (run.old.generation != now->generation)
                r = apply(&run);
        edit_report_release(&run.edits);
        outside_list_release(&run.old);
        outside_list_release(&run.next);
        return r;
}
