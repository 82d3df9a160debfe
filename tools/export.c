#include "tools/export_tree.h"

#include "store/files.h"
#include "tools/command.h"
#include "tools/edits_ask.h"
#include "tools/mounts.h"
#include "tools/outside.h"
#include "tools/ui.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>

/* Where the export goes: made as PARENT/STAGING, renamed to PARENT/NAME. */
struct place {
        int parent_fd;
        char name[NAME_MAX + 1];
        char staging[NAME_MAX + 1];
};

static bool is_below(const char *path, const char *folder)
{
        size_t len = strlen(folder);

        return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_empty(int parent_fd, const char *name)
{
        int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *d;
        bool empty = dir != NULL;

        while (dir && empty && (d = readdir(dir)))
                empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        if (dir)
                closedir(dir);
        else if (fd >= 0)
                close(fd);
        return empty;
}

static int check_empty(const struct place *p, struct errtext *err)
{
        struct stat st;

        if (fstatat(p->parent_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : errtext_set(err, -errno, "cannot examine it: %s",
                                                         errno_name(-errno, (char[128]){ 0 }));
        if (!S_ISDIR(st.st_mode))
                return errtext_set(err, -ENOTDIR, "it exists and is not a folder");
        /* The rename at the end replaces an empty folder, and only such a one. */
        return is_empty(p->parent_fd, p->name) ? 0 : errtext_set(err, -ENOTEMPTY, "it is not empty");
}

static int find_place(const struct target *t, const char *to, struct place *ret, struct errtext *err)
{
        cleanup_free char *copy = strdup(to), *parent = NULL;
        char *slash, random[9];
        size_t len;

        if (!copy)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
                copy[len - 1] = '\0';
        slash = strrchr(copy, '/');
        snprintf(ret->name, sizeof ret->name, "%s", slash ? slash + 1 : copy);
        if (!ret->name[0] || strcmp(ret->name, ".") == 0 || strcmp(ret->name, "..") == 0)
                return errtext_set(err, -EINVAL, "that is not the name of a new folder");
        if (slash)
                slash[slash == copy] = '\0';
        parent = realpath(slash ? copy : ".", NULL);
        if (!parent)
                return errtext_set(err, -errno, "cannot find the folder that it is to be in: %s",
                                   errno_name(-errno, (char[128]){ 0 }));
        if (is_below(parent, t->site))
                return errtext_set(err, -EINVAL, "it lies in the site-packages that would be exported");
        ret->parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (ret->parent_fd < 0 || random_hex(random, sizeof random) < 0)
                return errtext_set(err, -errno, "cannot open '%s': %s", parent, errno_name(-errno, (char[128]){ 0 }));
        snprintf(ret->staging, sizeof ret->staging, ".%.200s.export-%s", ret->name, random);
        return check_empty(ret, err);
}

/* Makes RELATIVE, a path of several folders, below FD and opens it. */
static int make_path(int fd, const char *relative, mode_t mode)
{
        int at = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (at < 0)
                return -errno;
        while (*relative) {
                char name[NAME_MAX + 1];
                size_t len = strcspn(relative, "/");
                int next;

                snprintf(name, sizeof name, "%.*s", (int)len, relative);
                next = dir_make(at, name, mode);
                if (next >= 0 && fchmod(next, mode) < 0) {
                        close(next);
                        next = -errno;
                }
                close(at);
                if (next < 0)
                        return next;
                at = next;
                relative += len + (relative[len] == '/');
        }
        return at;
}

static int write_scripts(struct export_tree *x, int out_fd, struct errtext *err)
{
        const struct environment *e = view_environment(x->view);
        cleanup_close int bin = make_path(out_fd, "bin", 0777 & ~e->umask);
        int r = 0;

        if (bin < 0)
                return errtext_set(err, bin, "cannot make the folder bin: %s", errno_name(bin, (char[128]){ 0 }));
        for (size_t i = 0; r == 0 && i < e->slot_count; i++) {
                struct outside_scripts scripts = { 0 };
                const struct image *img;

                r = image_pool_get(x->pool, e->slots[i].image, &img, err);
                if (r == 0)
                        r = outside_scripts_of(x->target, x->pool, img, &scripts, err);
                for (size_t k = 0; r == 0 && k < scripts.count; k++) {
                        const struct outside_script *s = &scripts.scripts[k];

                        /* The later slot wins, as in the venv. */
                        if (unlinkat(bin, s->name, 0) < 0)
                                x->files++;
                        r = outside_script_write(x->pool, img, s, bin, s->name, e->umask, err);
                        x->bytes += s->len;
                }
                outside_scripts_release(&scripts);
        }
        return r;
}

/* `.data/data` lies in the venv itself, headers in the place that Python's own scheme names. */
static int write_data(struct export_tree *x, int out_fd, struct errtext *err)
{
        cleanup_buf struct buf include = { 0 };
        struct node node;
        int r = 0;

        if (buf_printf(&include, "include/site/python%.*s", (int)strspn(x->target->python, "0123456789."),
                       x->target->python) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        if (view_lookup(x->view, NODE_DATA, "data", 4, &node) == 0)
                r = export_tree_data(x, node.id, "data", out_fd, err);
        if (r == 0 && view_lookup(x->view, NODE_DATA, "headers", 7, &node) == 0) {
                cleanup_close int fd = make_path(out_fd, include.data, 0777 & ~view_environment(x->view)->umask);

                if (fd < 0)
                        return errtext_set(err, fd, "cannot make the folder %s: %s", include.data,
                                           errno_name(fd, (char[128]){ 0 }));
                r = export_tree_data(x, node.id, "headers", fd, err);
        }
        return r;
}

static int write_all(struct export_tree *x, const struct place *p, struct errtext *err)
{
        mode_t mode = 0777 & ~view_environment(x->view)->umask;
        cleanup_close int out = make_path(p->parent_fd, p->staging, mode);
        cleanup_close int site = out < 0 ? out : make_path(out, x->target->site_rel, mode);
        int r;

        if (site < 0)
                return errtext_set(err, site, "cannot make a folder beside '%s': %s", p->name,
                                   errno_name(site, (char[128]){ 0 }));
        r = export_tree_site(x, site, err);
        if (r == 0)
                r = write_data(x, out, err);
        if (r == 0)
                r = write_scripts(x, out, err);
        if (r == 0 && renameat(p->parent_fd, p->staging, p->parent_fd, p->name) < 0)
                r = errtext_set(err, -errno, "cannot rename what was exported to '%s': %s", p->name,
                                errno_name(-errno, (char[128]){ 0 }));
        return r;
}

/* Ctrl-C must not leave half an export: it is held back until that is removed.  Nor may it end us, and so say that
 * there is none, once the whole one is in its place: then it is held back until we have said that. */
static int write_or_remove(struct export_tree *x, const struct place *p, struct errtext *err)
{
        sigset_t ending, old;
        int r;

        sigemptyset(&ending);
        sigaddset(&ending, SIGINT);
        sigaddset(&ending, SIGTERM);
        sigprocmask(SIG_BLOCK, &ending, &old);
        r = write_all(x, p, err);
        if (r < 0) {
                dir_remove_tree(p->parent_fd, p->staging);
                sigprocmask(SIG_SETMASK, &old, NULL);
        }
        return r;
}

/* Unmounted, nothing here shows them: better no export than one without them. */
static int read_edits(struct target *t, bool mounted, struct edit_report *ret, struct errtext *err)
{
        int r = edits_ask_report(t, ret, err);

        if (r < 0 || mounted || ret->change_count == 0)
                return r;
        return errtext_set(
                err, -EBUSY,
                "in '%s' files were changed, which only a mount shows: `fusepkg mount` first, or `fusepkg eject`",
                t->venv);
}

static int export_target(struct target *t, const struct place *p, struct export_tree *x, struct errtext *err)
{
        cleanup_edit_report struct edit_report edits = { 0 };
        struct mount_info info = { 0 };
        struct store *store = NULL;
        struct base *base = NULL;
        struct view *view = NULL;
        int r = mount_examine(t->site, t->state_fd, &info);

        if (r == 0 && info.state == MOUNT_FOREIGN)
                return errtext_set(err, -EBUSY, "something that is not fusepkg's is mounted at %s", t->site);
        x->target = t;
        x->piece = malloc(EXPORT_PIECE_SIZE);
        if (!x->piece)
                return errtext_set(err, -ENOMEM, "out of memory");
        if (r == 0)
                r = mount_open_shown(t, &x->site_fd);
        x->mounted = r > 0;
        if (r == 0)
                r = mount_open_bare(t, &x->site_fd);
        if (r <= 0)
                return errtext_set(err, r < 0 ? r : -EAGAIN, "cannot open '%s'", t->site);
        r = read_edits(t, x->mounted, &edits, err);
        x->edits = &edits;
        if (r == 0)
                r = target_store(t, STORE_READ, &store, err);
        if (r == 0)
                r = target_view(t, store, &x->pool, &base, &view, err);
        x->store = store;
        x->view = view;
        if (r == 0)
                r = write_or_remove(x, p, err);
        view_free(view);
        base_free(base);
        image_pool_free(x->pool);
        store_close(store);
        return r;
}

static int run(const struct options *o)
{
        cleanup_target struct target t = TARGET_INIT;
        struct export_tree x = { .site_fd = -1 };
        struct place place = { .parent_fd = -1 };
        const char *to = option_value(o, "--to");
        struct errtext err = { "" };
        char bytes[32];
        int r;

        if (!to || !to[0]) {
                ui_error("export needs --to DIR");
                return EXIT_USAGE;
        }
        r = target_open(o, &t, &err);
        if (r == 0 && !t.environment)
                r = errtext_set(&err, -ENOENT, "fusepkg has installed nothing in '%s'", t.venv);
        if (r == 0)
                r = target_lock(&t, &err);
        if (r == 0)
                r = find_place(&t, to, &place, &err);
        if (r == 0)
                r = export_target(&t, &place, &x, &err);
        if (place.parent_fd >= 0)
                close(place.parent_fd);
        if (x.site_fd >= 0)
                close(x.site_fd);
        free(x.piece);
        if (r < 0) {
                ui_error("cannot export to '%s': %s", to, err.text);
                return EXIT_UNMET;
        }
        ui_format_bytes(x.bytes, bytes);
        ui_say("Exported %llu files, %s, to %s", (unsigned long long)x.files, bytes, to);
        return EXIT_DONE;
}

static const struct option_spec options[] = {
        { "--to", 0, "DIR", "the new folder (absent, or empty)" },
        TARGET_OPTIONS,
        { NULL, 0, NULL, NULL },
};

const struct command command_export = {
        .name = "export",
        .usage = "[OPTIONS] --to DIR",
        .summary = "Write the environment as plain files, which need neither fusepkg nor a mount",
        .help = "DIR is laid out as a venv: lib/python3.X/site-packages, bin, share, include.  It holds what the\n"
                "mounted site-packages shows; of what the venv has outside of that, the scripts and data of what\n"
                "fusepkg installed.",
        .options = options,
        .run = run,
};
