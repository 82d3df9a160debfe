/* The scripts of bare distributions that the environment hides: `.fusepkg/bare/<dist-info>/names`, one percent-encoded
 * name a line, and `.fusepkg/bare/<dist-info>/bin/`, where they lie while they are away. */
#include "tools/outside.h"

#include "store/files.h"
#include "tools/outside_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#define NAMES_FILE "names"

enum { BARE_FILE_MAX = 256 << 20 }; /* bytes of a RECORD, or of the names in one */

static int fail_bare(const struct target *t, int r, const char *what, struct errtext *err)
{
        return errtext_set(err, r, "cannot %s '%s/" ENVIRONMENT_DIR "/" OUTSIDE_BARE_DIR "': %s", what, t->venv,
                           strerror(-r));
}

/* "../../../bin/black" -> "black"; NULL for other rows. */
static const char *script_of_row(const char *path)
{
        static const char bin[] = "../../../bin/";
        const char *name = path + strlen(bin);

        if (strncmp(path, bin, strlen(bin)) != 0 || !*name || *name == '.' || strchr(name, '/') ||
            entry_point_reserved(name, strlen(name)))
                return NULL;
        return name;
}

/* The names of the scripts in RECORD, one a line. */
static int names_of_record(const struct target *t, const char *dist_info, struct buf *ret, struct errtext *err)
{
        cleanup_free char *path = NULL;
        cleanup_buf struct buf text = { 0 };
        struct record record = { 0 };
        struct errtext why;
        int r;

        if (asprintf(&path, "%s/%s/RECORD", t->site_rel, dist_info) < 0) {
                path = NULL;
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        r = file_read_at(t->venv_fd, path, BARE_FILE_MAX, &text);
        /* What is mounted there is not beneath, and lib may be a symlink of the user's. */
        if (r == -EXDEV || r == -ELOOP) {
                cleanup_close int fd = openat(t->venv_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

                r = fd < 0 ? -errno : file_read_all(fd, BARE_FILE_MAX, &text);
        }
        if (r < 0)
                return errtext_set(err, r == -ENOTDIR ? -ENOENT : r,
                                   "cannot uninstall the package of '%s'; its RECORD file was not found at '%s/%s'",
                                   dist_info, t->venv, path);
        r = record_parse(text.data ? text.data : "", text.len, &record, &why);
        if (r < 0)
                return errtext_set(err, r, "the RECORD of '%s' is broken: %.1000s", dist_info, why.text);
        for (size_t i = 0; r == 0 && i < record.count; i++) {
                const char *name = script_of_row(record.rows[i].path);

                if (!name)
                        continue;
                r = buf_add_escaped(ret, name, strlen(name));
                if (r == 0)
                        r = buf_add_char(ret, '\n');
        }
        record_release(&record);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

/* .fusepkg/bare/<dist-info>, made when MAKE. */
static int open_bare(const struct target *t, const char *dist_info, bool make)
{
        cleanup_close int bare = -1;

        if (!make) {
                cleanup_free char *path = NULL;

                if (asprintf(&path, OUTSIDE_BARE_DIR "/%s", dist_info) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                return file_open_beneath(t->state_fd, path, O_RDONLY | O_DIRECTORY, 0);
        }
        bare = dir_make(t->state_fd, OUTSIDE_BARE_DIR, 0777);
        return bare < 0 ? bare : dir_make(bare, dist_info, 0777);
}

int outside_bare_note(const struct target *t, const char *dist_info, struct errtext *err)
{
        cleanup_buf struct buf names = { 0 };
        cleanup_close int dir = -1;
        int r = names_of_record(t, dist_info, &names, err);

        if (r < 0)
                return r;
        dir = open_bare(t, dist_info, true);
        r = dir < 0 ? dir : file_replace(dir, NAMES_FILE, names.data ? names.data : "", names.len, 0644, true);
        return r < 0 ? fail_bare(t, r, "write to", err) : 0;
}

/* Moves bin/NAME away, unless one of that name is away already. */
static int hide_script(struct outside_run *run, int away, const char *name)
{
        if (renameat2(run->bin_fd, name, away, name, RENAME_NOREPLACE) == 0 || errno == ENOENT || errno == EEXIST)
                return 0;
        return fail_bare(run->t, -errno, "move a script to", run->err);
}

static int hide_dist(struct outside_run *run, const char *dist_info)
{
        cleanup_close int dir = open_bare(run->t, dist_info, false);
        cleanup_close int away = dir < 0 ? -1 : dir_make(dir, "bin", 0777);
        cleanup_buf struct buf names = { 0 };
        int r;

        if (dir == -ENOENT)
                return 0; /* it was hidden without scripts */
        r = dir < 0 ? dir : away < 0 ? away : file_read_at(dir, NAMES_FILE, BARE_FILE_MAX, &names);
        if (r < 0)
                return r == -ENOENT ? 0 : fail_bare(run->t, r, "read", run->err);
        for (char *line = names.data, *end; r == 0 && line && (end = strchr(line, '\n')); line = end + 1) {
                cleanup_buf struct buf name = { 0 };

                r = buf_add_unescaped(&name, line, (size_t)(end - line));
                if (r == 0 && (name.len == 0 || strchr(name.data, '/') || name.data[0] == '.'))
                        r = -EBADMSG;
                r = r < 0 ? fail_bare(run->t, r, "read", run->err) : hide_script(run, away, name.data);
        }
        return r;
}

int outside_apply_bare(struct outside_run *run)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < run->now->hidden_count; i++) {
                const char *dist_info = run->now->hidden[i];

                if (!outside_paths_have(&run->old.bare, dist_info))
                        r = hide_dist(run, dist_info);
                if (r == 0 && outside_paths_add(&run->next.bare, dist_info) < 0)
                        r = errtext_set(run->err, -ENOMEM, "out of memory");
        }
        return r;
}

int outside_bare_hide(const struct target *t, struct image_pool *pool, struct errtext *err)
{
        return t->environment ? outside_apply(t, t->environment, pool, err) : 0;
}

static bool is_hidden(const struct environment *e, const char *dist_info)
{
        for (size_t i = 0; e && i < e->hidden_count; i++)
                if (strcmp(e->hidden[i], dist_info) == 0)
                        return true;
        return false;
}

static bool is_names(struct span name, const void *user)
{
        (void)user;
        return span_is(name, NAMES_FILE);
}

/* Only what we have written goes, and empty folders. */
static void sweep_dist(const struct target *t, int bare, const char *dist_info)
{
        cleanup_close int dir = file_open_beneath(bare, dist_info, O_RDONLY | O_DIRECTORY, 0);

        if (dir < 0)
                return;
        file_replace_sweep(dir, ".", is_names, NULL);
        if (is_hidden(t->environment, dist_info))
                return;
        (void)unlinkat(dir, NAMES_FILE, 0);
        (void)unlinkat(dir, "bin", AT_REMOVEDIR);
        (void)unlinkat(bare, dist_info, AT_REMOVEDIR);
}

void outside_bare_sweep(const struct target *t)
{
        DIR *dir = dir_stream(t->state_fd, OUTSIDE_BARE_DIR);
        const struct dirent *d;

        if (!dir)
                return;
        while ((d = readdir(dir)))
                if (d->d_name[0] != '.')
                        sweep_dist(t, dirfd(dir), d->d_name);
        closedir(dir);
        (void)unlinkat(t->state_fd, OUTSIDE_BARE_DIR, AT_REMOVEDIR); /* when it is empty */
}

/* --- the way back --- */

/* Puts NAME back into bin/, where a script of ours gives way and anything else is kept. */
static int restore_script(const struct target *t, const struct outside_list *list, int bin, int away, const char *name,
                          struct errtext *err)
{
        cleanup_free char *path = NULL;
        int r;

        if (renameat2(away, name, bin, name, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EEXIST)
                return fail_bare(t, -errno, "move a script back from", err);
        if (!outside_is_claimed(bin, name, list)) {
                if (asprintf(&path, "bin/%s", name) < 0) {
                        path = NULL;
                        return errtext_set(err, -ENOMEM, "out of memory");
                }
                r = outside_keep(t, t->environment->generation, path, err);
                if (r < 0)
                        return r;
        }
        return renameat(away, name, bin, name) < 0 ? fail_bare(t, -errno, "move a script back from", err) : 0;
}

static int restore_dist(const struct target *t, const struct outside_list *list, int bin, const char *dist_info,
                        struct errtext *err)
{
        cleanup_free char *path = NULL;
        int fd, r = 0;
        DIR *dir;
        const struct dirent *d;

        if (asprintf(&path, OUTSIDE_BARE_DIR "/%s/bin", dist_info) < 0) {
                path = NULL;
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        fd = file_open_beneath(t->state_fd, path, O_RDONLY | O_DIRECTORY, 0);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                if (fd >= 0)
                        close(fd);
                return 0;
        }
        while (r == 0 && (d = readdir(dir))) {
                if (d->d_name[0] == '.')
                        continue;
                r = restore_script(t, list, bin, fd, d->d_name, err);
        }
        closedir(dir);
        return r;
}

/* Generation 0: to be applied again before the next mount.  Said before the first script moves: a kill in between must
 * not leave a list that takes the rest for done. */
static int forget_applied(const struct target *t, struct outside_list *list)
{
        if (list->generation == 0 && list->bare.count == 0)
                return 0;
        list->generation = 0;
        while (list->bare.count)
                free(list->bare.paths[--list->bare.count]);
        return outside_list_save(t->state_fd, list);
}

int outside_bare_restore(const struct target *t, struct errtext *err)
{
        cleanup_outside_list struct outside_list list = { 0 };
        cleanup_close int bin = -1;
        int r;

        if (!t->environment || t->environment->hidden_count == 0)
                return 0;
        bin = file_open_beneath(t->venv_fd, "bin", O_RDONLY | O_DIRECTORY, 0);
        if (bin < 0)
                return errtext_set(err, bin, "cannot open '%s/bin': %s", t->venv, strerror(-bin));
        r = outside_list_load(t->state_fd, &list);
        if (r == 0)
                r = forget_applied(t, &list);
        if (r < 0)
                return errtext_set(err, r, "cannot write '%s/" ENVIRONMENT_DIR "/" OUTSIDE_FILE "': %s", t->venv,
                                   strerror(-r));
        for (size_t i = 0; r == 0 && i < t->environment->hidden_count; i++)
                r = restore_dist(t, &list, bin, t->environment->hidden[i], err);
        return r;
}
