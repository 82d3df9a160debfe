#include "tools/export_tree.h"

#include "fs/edits.h"
#include "store/files.h"
#include "tools/ui.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

enum { DEPTH_MAX = 600 /* a path of IMAGE_PATH_MAX bytes has fewer components */ };

struct child {
        char *name;
        uint64_t id;
        bool is_dir;
};

struct children {
        struct child *list;
        size_t count;
};

static void children_release(struct children *c)
{
        for (size_t i = 0; i < c->count; i++)
                free(c->list[i].name);
        free(c->list);
}

static int children_add(struct children *c, struct span name, uint64_t id, bool is_dir)
{
        struct child *list;

        if ((c->count & (c->count + 1)) == 0) { /* the list has room for powers of two, less one */
                list = realloc(c->list, (2 * c->count + 1) * sizeof *list);
                if (!list)
                        return -ENOMEM;
                c->list = list;
        }
        c->list[c->count] = (struct child){ strndup(name.data, name.len), id, is_dir };
        return c->list[c->count].name ? (c->count++, 0) : -ENOMEM;
}

struct listing {
        struct children *children;
        bool root;
        int result;
};

static bool is_hidden(const char *name, size_t len)
{
        struct span s = { name, len };

        return span_is(s, ENVIRONMENT_DIR) || span_is(s, DATA_DIR);
}

static int take_entry(const struct view_dirent *d, void *user)
{
        struct listing *l = user;

        if (!(l->root && is_hidden(d->name.data, d->name.len)))
                l->result = children_add(l->children, d->name, d->id, S_ISDIR(d->type));
        return l->result;
}

static int list_view(const struct view *v, uint64_t dir, struct children *ret)
{
        struct listing l = { .children = ret, .root = dir == NODE_ROOT };
        int r = view_readdir(v, dir, 0, take_entry, &l);

        return r < 0 ? r : l.result;
}

static int list_folder(int site_fd, const char *path, struct children *ret)
{
        int fd = file_open_beneath(site_fd, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *d;
        int r = 0;

        if (!dir) {
                r = fd < 0 ? fd : -errno;
                if (fd >= 0)
                        close(fd);
                return r;
        }
        while (r == 0 && (errno = 0, d = readdir(dir))) {
                struct stat st;

                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                if (!path[0] && is_hidden(d->d_name, strlen(d->d_name)))
                        continue;
                if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        r = -errno;
                else
                        r = children_add(ret, span_of(d->d_name), st.st_ino, S_ISDIR(st.st_mode));
        }
        if (r == 0 && errno)
                r = -errno;
        closedir(dir);
        return r;
}

static int stat_folder(struct export_tree *x, bool by_view, uint64_t dir, const char *path, struct stat *ret)
{
        struct node node;
        int r;

        if (!by_view)
                return fstatat(x->site_fd, path, ret, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
        r = view_getattr(x->view, dir, &node);
        if (r == 0)
                *ret = node.st;
        return r;
}

/* Set last: writing into a folder changes its time, and its mode may forbid it. */
static int finish_folder(struct export_tree *x, bool by_view, uint64_t dir, const char *path, int out_fd,
                         struct errtext *err)
{
        struct stat st;
        int r = stat_folder(x, by_view, dir, path, &st);

        if (r == 0) {
                const struct timespec times[2] = { st.st_mtim, st.st_mtim };

                r = fchmod(out_fd, st.st_mode & 07777) < 0 || futimens(out_fd, times) < 0 ? -errno : 0;
        }
        if (r < 0)
                return errtext_set(err, r, "cannot finish the folder '%s': %s", path, errno_name(r, (char[128]){ 0 }));
        return 0;
}

/* The signals that would end us are blocked meanwhile, so that what was begun can be removed (see export.c). */
static bool is_interrupted(void)
{
        sigset_t pending;

        return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

static int write_folder(struct export_tree *x, bool by_view, uint64_t dir, struct buf *path, int out_fd, int depth,
                        struct errtext *err);

/* Nodes that were made here, and those of the environment that were changed. */
static bool is_edited(const struct export_tree *x, uint64_t id)
{
        if (edits_is_new(id))
                return true;
        for (size_t i = 0; x->edits && i < x->edits->change_count; i++)
                if (x->edits->changes[i].id == id)
                        return true;
        return false;
}

static int write_child(struct export_tree *x, bool by_view, const struct child *c, struct buf *path, int out_fd,
                       int depth, struct errtext *err)
{
        int r;

        if (is_interrupted())
                return errtext_set(err, -EINTR, "interrupted");
        if (!c->is_dir && c->id >> 32 && !is_edited(x, c->id))
                return export_file_of_slot(x, c->id, out_fd, c->name, err);
        if (!c->is_dir)
                return export_file_of_base(x, path->data, out_fd, c->name, err);
        cleanup_close int fd = dir_make(out_fd, c->name, 0700);

        if (fd < 0)
                return errtext_set(err, fd, "cannot make the folder '%s': %s", path->data,
                                   errno_name(fd, (char[128]){ 0 }));
        r = write_folder(x, by_view, c->id, path, fd, depth + 1, err);
        return r < 0 ? r : finish_folder(x, by_view, c->id, path->data, fd, err);
}

static int write_folder(struct export_tree *x, bool by_view, uint64_t dir, struct buf *path, int out_fd, int depth,
                        struct errtext *err)
{
        struct children children = { 0 };
        size_t len = path->len;
        int r;

        if (depth > DEPTH_MAX)
                return errtext_set(err, -ELOOP, "'%s' is nested too deeply", path->data);
        r = by_view ? list_view(x->view, dir, &children) : list_folder(x->site_fd, path->data, &children);
        if (r < 0)
                errtext_set(err, r, "cannot list the folder '%s': %s", path->data, errno_name(r, (char[128]){ 0 }));
        for (size_t i = 0; r == 0 && i < children.count; i++) {
                r = buf_printf(path, "%s%s", len ? "/" : "", children.list[i].name);
                if (r < 0)
                        errtext_set(err, r, "out of memory");
                else
                        r = write_child(x, by_view, &children.list[i], path, out_fd, depth, err);
                path->len = len;
                path->data[len] = '\0';
        }
        children_release(&children);
        return r;
}

int export_tree_site(struct export_tree *x, int out_fd, struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        int r = buf_add(&path, "", 0);

        if (r < 0)
                return errtext_set(err, r, "out of memory");
        r = write_folder(x, !x->mounted, NODE_ROOT, &path, out_fd, 0, err);
        return r < 0 ? r : finish_folder(x, !x->mounted, NODE_ROOT, "", out_fd, err);
}

int export_tree_data(struct export_tree *x, uint64_t dir, const char *name, int out_fd, struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        int r = x->mounted ? buf_printf(&path, DATA_DIR "/%s", name) : buf_add(&path, "", 0);

        return r < 0 ? errtext_set(err, r, "out of memory") : write_folder(x, !x->mounted, dir, &path, out_fd, 0, err);
}
