#include "fs/edits_originals.h"

#include "fs/view_private.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>

enum { PIECE = 128 << 10 };

struct writing {
        const struct view *view;
        int dirfd;
        struct stat owner;
        struct buf *lines;
        const char *path; /* of the folder that is being walked */
        int r;
};

static int copy(const struct view *v, uint64_t id, int fd)
{
        cleanup_free char *data = malloc(PIECE);
        ssize_t n;

        if (!data)
                return -ENOMEM;
        for (uint64_t at = 0; (n = view_read(v, id, data, PIECE, at, NULL)) != 0; at += (uint64_t)n) {
                int r = n < 0 ? (int)n : file_write_full(fd, data, (size_t)n);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int write_one(struct writing *w, const struct node *n, const char *path)
{
        cleanup_buf struct buf target = { 0 };
        cleanup_close int fd = -1;
        char name[32];
        int r;

        snprintf(name, sizeof(name), "%016llx", (unsigned long long)n->id);
        fd = file_open_beneath(w->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return fd;
        if (geteuid() == 0) {
                int ignored = fchown(fd, w->owner.st_uid, w->owner.st_gid);

                (void)ignored;
        }
        if (S_ISLNK(n->st.st_mode)) {
                r = view_readlink(w->view, n->id, &target);
                if (r == 0)
                        r = file_write_full(fd, target.data, target.len);
        } else {
                r = copy(w->view, n->id, fd);
        }
        if (r == 0)
                r = buf_printf(w->lines, "original %llx %o ", (unsigned long long)n->id, (unsigned)n->st.st_mode);
        if (r == 0)
                r = buf_add_escaped(w->lines, path, strlen(path));
        return r < 0 ? r : buf_add_char(w->lines, '\n');
}

static int write_below(struct writing *w, uint64_t id, const char *path);

static int write_name(const struct view_dirent *d, void *user)
{
        struct writing *w = user;
        const char *above = w->path;
        cleanup_buf struct buf path = { 0 };

        w->r = buf_printf(&path, "%s/%.*s", above, (int)d->name.len, d->name.data);
        if (w->r == 0)
                w->r = write_below(w, d->id, path.data);
        w->path = above;
        return w->r < 0;
}

static int write_below(struct writing *w, uint64_t id, const char *path)
{
        struct node n;
        int r = view_getattr(w->view, id, &n);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (S_ISDIR(n.st.st_mode)) {
                w->path = path;
                w->r = 0;
                r = view_readdir(w->view, id, 0, write_name, w);
                return r < 0 ? r : w->r;
        }
        if (!view_is_base(id) || (!S_ISREG(n.st.st_mode) && !S_ISLNK(n.st.st_mode)))
                return 0;
        return write_one(w, &n, path);
}

int edits_originals(const struct edit_items *items, int state_fd, struct buf *lines, struct errtext *err)
{
        struct writing w = { .view = items->plain, .lines = lines };
        cleanup_close int dir = -1;
        int r = dir_remove_tree(state_fd, EDITS_ORIGINALS_DIR);

        if (r == 0)
                r = dir = dir_make(state_fd, EDITS_ORIGINALS_DIR, 0755);
        if (r >= 0 && fstat(state_fd, &w.owner) < 0)
                r = -errno;
        if (r >= 0 && geteuid() == 0 && fchown(dir, w.owner.st_uid, w.owner.st_gid) < 0 && errno != EPERM &&
            errno != EINVAL)
                r = -errno;
        w.dirfd = dir;
        for (size_t i = 0; r >= 0 && i < items->count; i++) {
                const struct edit_item *item = &items->list[i];

                if (item->kind == EDIT_REMOVED)
                        r = write_below(&w, item->id, item->origin);
                else if (item->kind == EDIT_MODIFIED && item->data)
                        r = write_below(&w, item->id, item->path);
                else if (item->kind == EDIT_LINKED || (item->kind == EDIT_MOVED && !S_ISDIR(item->mode)))
                        r = write_below(&w, item->id, item->origin);
        }
        return r < 0 ? errtext_set(err, r, "cannot copy what the bare site-packages has: %s",
                                   errno_name(r, (char[128]){ 0 })) :
                       0;
}
