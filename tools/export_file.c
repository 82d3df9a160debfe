#include "tools/export_tree.h"

#include "store/files.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
        SLOT_SHIFT = 32,              /* node ids: see fs/view.h */
        GENERATED_BIT = 31,
};

static int fail(struct errtext *err, int r, const char *what, const char *path)
{
        return errtext_set(err, r, "cannot %s '%s': %s", what, path, errno_name(r, (char[128]){ 0 }));
}

static int finish(int fd, const struct stat *st)
{
        const struct timespec times[2] = { st->st_mtim, st->st_mtim };

        return fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

/* The store's object that a node's bytes are, open; -ENOENT when it is no object. */
static int open_object(struct export_tree *x, uint64_t id)
{
        const struct environment *e = view_environment(x->view);
        const struct image *img;
        struct image_entry entry;
        struct image_object object;

        if (id >> GENERATED_BIT & 1)
                return -ENOENT;
        for (size_t i = 0; i < e->slot_count; i++) {
                if (e->slots[i].number != id >> SLOT_SHIFT)
                        continue;
                if (image_pool_get(x->pool, e->slots[i].image, &img, NULL) < 0 || (uint32_t)id >= image_entries(img))
                        return -ENOENT;
                entry = image_entry(img, (uint32_t)id);
                if (entry.type != IMAGE_OBJECT)
                        return -ENOENT;
                object = image_object(img, entry.object);
                return store_open_object(x->store, object.id);
        }
        return -ENOENT;
}

static bool share_object(struct export_tree *x, uint64_t id, int out)
{
        cleanup_close int object = open_object(x, id);

        return object >= 0 && ioctl(out, FICLONE, object) == 0;
}

/* Reads all of the node, which checks it; writes it to OUT unless the bytes are there already. */
static int copy_node(struct export_tree *x, const struct node *node, int out, bool there, struct errtext *err)
{
        uint64_t size = (uint64_t)node->st.st_size;

        for (uint64_t done = 0; done < size;) {
                ssize_t n = view_read(x->view, node->id, x->piece, EXPORT_PIECE_SIZE, done, err);
                int r;

                if (n <= 0)
                        return n < 0 ? (int)n : errtext_set(err, -EIO, "a file of the store is too short");
                r = there ? 0 : file_write_full(out, x->piece, (size_t)n);
                if (r < 0)
                        return errtext_set(err, r, "%s", errno_name(r, (char[128]){ 0 }));
                done += (uint64_t)n;
        }
        return 0;
}

int export_file_of_slot(struct export_tree *x, uint64_t id, int out_fd, const char *name, struct errtext *err)
{
        cleanup_close int out = openat(out_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        struct errtext why = { "" };
        struct node node;
        int r;

        if (out < 0)
                return fail(err, -errno, "make", name);
        r = view_getattr(x->view, id, &node);
        if (r < 0)
                return fail(err, r, "examine", name);
        r = copy_node(x, &node, out, share_object(x, id, out), &why);
        if (r < 0)
                return errtext_set(err, r, "cannot write '%s': %.1500s", name, why.text);
        r = finish(out, &node.st);
        if (r < 0)
                return fail(err, r, "finish", name);
        x->files++;
        x->bytes += (uint64_t)node.st.st_size;
        return 0;
}

static int copy_bytes(struct export_tree *x, int in, int out)
{
        ssize_t n;

        if (ioctl(out, FICLONE, in) == 0)
                return 0;
        for (;;) {
                n = read(in, x->piece, EXPORT_PIECE_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;

                int r = file_write_full(out, x->piece, (size_t)n);

                if (r < 0)
                        return r;
        }
}

static int copy_link(struct export_tree *x, const char *path, int out_fd, const char *name, struct errtext *err)
{
        char target[4096];
        ssize_t n = readlinkat(x->site_fd, path, target, sizeof target - 1);

        if (n < 0)
                return fail(err, -errno, "read the symlink", path);
        target[n] = '\0';
        if (symlinkat(target, out_fd, name) < 0)
                return fail(err, -errno, "make", name);
        x->files++;
        return 0;
}

int export_file_of_base(struct export_tree *x, const char *path, int out_fd, const char *name, struct errtext *err)
{
        struct stat st;
        int r;

        if (fstatat(x->site_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(err, -errno, "examine", path);
        if (S_ISLNK(st.st_mode))
                return copy_link(x, path, out_fd, name, err);
        if (!S_ISREG(st.st_mode)) {
                ui_warning("'%s' is neither a file nor a folder nor a symlink: left out", path);
                return 0;
        }
        cleanup_close int in = file_open_beneath(x->site_fd, path, O_RDONLY | O_NONBLOCK, 0);

        if (in < 0)
                return fail(err, in, "read", path);
        cleanup_close int out = openat(out_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (out < 0)
                return fail(err, -errno, "make", name);
        r = copy_bytes(x, in, out);
        if (r == 0)
                r = finish(out, &st);
        if (r < 0)
                return fail(err, r, "copy", path);
        x->files++;
        x->bytes += (uint64_t)st.st_size;
        return 0;
}
