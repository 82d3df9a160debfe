#include "fs/tree_plain.h"
#include "fs/tree_private.h"
#include "store/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
        SLOT_SHIFT = 32,        /* node ids: view.h */
        GENERATED_BIT = 31,
        PIECE_SIZE = 1 << 20,
        HOLE_BLOCK = 4096,
        DEPTH_MAX = 1100,       /* the kernel's paths have fewer components, unless they were made by hand, level by level */
};

/* A file with several names, where its first one is: path below DIR. */
struct shared {
        uint64_t id;
        char *path;
};

struct writer {
        struct tree *tree;
        const struct store *store;
        struct image_pool *pool;
        int root_fd;
        char *piece;            /* two of PIECE_SIZE */
        struct buf path;        /* of what is being written, below root_fd */
        struct shared *shared;
        size_t shared_count;
        struct tree_plain done;
        struct errtext *err;
};

struct child {
        struct node node;
        char *name;
};

struct children {
        struct child *list;
        size_t count;
        size_t cap;
        int result;
};

static int fail(struct writer *w, int r, const char *what)
{
        return errtext_set(w->err, r, "cannot %s '%s': %s", what, w->path.data, errno_name(r, (char[128]){ 0 }));
}

static int take_child(const struct tree_dirent *d, void *user)
{
        struct children *c = user;

        if (span_is(d->name, ".") || span_is(d->name, ".."))
                return 0;
        if (c->count == c->cap) {
                size_t cap = c->cap ? 2 * c->cap : 32;
                struct child *more = realloc(c->list, cap * sizeof(*more));

                if (!more)
                        return c->result = -ENOMEM;
                c->list = more;
                c->cap = cap;
        }
        c->list[c->count] = (struct child){ d->node, strndup(d->name.data, d->name.len) };
        if (!c->list[c->count].name)
                return c->result = -ENOMEM;
        c->count++;
        return 0;
}

static void children_release(struct children *c)
{
        for (size_t i = 0; i < c->count; i++)
                free(c->list[i].name);
        free(c->list);
}

/* Bytes -------------------------------------------------------------------------------------------------------- */

/* The store's object that an image's file is; -ENOENT: it is none. */
static int open_object(struct writer *w, uint64_t id)
{
        struct view_ref *ref = tree_view(w->tree);
        const struct environment *e = view_environment(ref->view);
        const struct image *img;
        int fd = -ENOENT;

        for (size_t i = 0; i < e->slot_count && !(id >> GENERATED_BIT & 1); i++) {
                struct image_entry entry;

                if (e->slots[i].number != id >> SLOT_SHIFT)
                        continue;
                if (image_pool_get(w->pool, e->slots[i].image, &img, NULL) < 0 || (uint32_t)id >= image_entries(img))
                        break;
                entry = image_entry(img, (uint32_t)id);
                if (entry.type == IMAGE_OBJECT)
                        fd = store_open_object(w->store, image_object(img, entry.object).id);
                break;
        }
        tree_view_done(w->tree, ref);
        return fd;
}

static bool share(struct writer *w, uint64_t id, int out)
{
        struct tree *t = w->tree;
        struct edit_node row;
        struct edit_file *f;
        bool shared;

        if (t->edits && edits_node_get(t->edits, id, &row) == 0 && row.data) {
                if (edit_file_get(t->data, id, &f) < 0)
                        return false;
                shared = ioctl(out, FICLONE, edit_file_fd(f)) == 0;
                edit_file_put(t->data, f);
                return shared;
        }
        cleanup_close int object = edits_is_new(id) ? -1 : open_object(w, id);

        return object >= 0 && ioctl(out, FICLONE, object) == 0;
}

static bool is_zero(const char *data, size_t len)
{
        return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* With HOLES, blocks of zeros are left out: there is nothing in the file yet. */
static int write_piece(int out, const char *data, size_t len, uint64_t offset, bool holes)
{
        for (size_t at = 0; at < len;) {
                size_t n = holes ? 0 : len - at, block = 0;
                ssize_t put;

                for (; at + n < len; n += block) {
                        block = len - at - n < HOLE_BLOCK ? len - at - n : HOLE_BLOCK;
                        if (is_zero(data + at + n, block))
                                break;
                }
                if (n == 0) {
                        at += block;
                        continue;
                }
                put = pwrite(out, data + at, n, (off_t)(offset + at));
                if (put <= 0)
                        return put < 0 ? -errno : -EIO;
                at += (size_t)put;
        }
        return 0;
}

/* The tree checks what it reads, so what was shared is compared with that. */
static int write_bytes(struct writer *w, const struct node *n, int out)
{
        bool shared = share(w, n->id, out);
        char *other = w->piece + PIECE_SIZE;
        uint64_t size = (uint64_t)n->st.st_size;
        struct errtext why = { "" };
        int r;

        for (uint64_t at = 0; at < size;) {
                size_t len = size - at < PIECE_SIZE ? (size_t)(size - at) : PIECE_SIZE;
                ssize_t got = tree_read(w->tree, n->id, w->piece, len, at, &why);

                if (got < 0 && *why.text)
                        return errtext_set(w->err, (int)got, "cannot read '%s': %.1500s", w->path.data, why.text);
                if (got <= 0)
                        return fail(w, got < 0 ? (int)got : -EIO, "read");
                if (shared && pread(out, other, (size_t)got, (off_t)at) == got &&
                    memcmp(w->piece, other, (size_t)got) == 0) {
                        at += (uint64_t)got;
                        continue;
                }
                r = write_piece(out, w->piece, (size_t)got, at, !shared);
                if (r < 0)
                        return fail(w, r, "write");
                at += (uint64_t)got;
        }
        return ftruncate(out, (off_t)size) < 0 ? fail(w, -errno, "write") : 0;
}

/* Nodes -------------------------------------------------------------------------------------------------------- */

static int finish(struct writer *w, int fd, const struct stat *st)
{
        const struct timespec times[2] = { st->st_atim, st->st_mtim };

        if (geteuid() == 0 && fchown(fd, st->st_uid, st->st_gid) < 0)
                return fail(w, -errno, "give away");
        if (fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0)
                return fail(w, -errno, "finish");
        return 0;
}

static int write_file(struct writer *w, const struct node *n, int dirfd, const char *name)
{
        cleanup_close int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r = fd < 0 ? fail(w, -errno, "make") : write_bytes(w, n, fd);

        if (r == 0)
                r = finish(w, fd, &n->st);
        if (r == 0)
                w->done.bytes += (uint64_t)n->st.st_size;
        return r;
}

static int write_link(struct writer *w, const struct node *n, int dirfd, const char *name)
{
        const struct timespec times[2] = { n->st.st_atim, n->st.st_mtim };
        cleanup_buf struct buf target = { 0 };
        int r = tree_readlink(w->tree, n->id, &target);

        if (r < 0)
                return fail(w, r, "read the symlink");
        if (symlinkat(target.data, dirfd, name) < 0)
                return fail(w, -errno, "make");
        if (geteuid() == 0 && fchownat(dirfd, name, n->st.st_uid, n->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(w, -errno, "give away");
        return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail(w, -errno, "finish") : 0;
}

/* FIFOs, sockets and, by root, devices. */
static int write_special(struct writer *w, const struct node *n, int dirfd, const char *name)
{
        const struct timespec times[2] = { n->st.st_atim, n->st.st_mtim };

        if (mknodat(dirfd, name, n->st.st_mode & (S_IFMT | 0777), n->st.st_rdev) < 0 ||
            fchmodat(dirfd, name, n->st.st_mode & 07777, 0) < 0)
                return fail(w, -errno, "make");
        if (geteuid() == 0 && fchownat(dirfd, name, n->st.st_uid, n->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(w, -errno, "give away");
        return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail(w, -errno, "finish") : 0;
}

static const char *first_name(const struct writer *w, uint64_t id)
{
        for (size_t i = 0; i < w->shared_count; i++)
                if (w->shared[i].id == id)
                        return w->shared[i].path;
        return NULL;
}

static int note_name(struct writer *w, uint64_t id)
{
        struct shared *more = reallocarray(w->shared, w->shared_count + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        w->shared = more;
        more[w->shared_count] = (struct shared){ id, strdup(w->path.data) };
        return more[w->shared_count].path ? (w->shared_count++, 0) : -ENOMEM;
}

static int write_dir(struct writer *w, uint64_t id, int fd, unsigned depth);

static int write_node(struct writer *w, const struct node *n, int dirfd, const char *name, unsigned depth)
{
        const char *first = S_ISDIR(n->st.st_mode) || n->st.st_nlink < 2 ? NULL : first_name(w, n->id);
        int r;

        if (first)
                return linkat(w->root_fd, first, dirfd, name, 0) < 0 ? fail(w, -errno, "link") : 0;
        if (S_ISDIR(n->st.st_mode)) {
                cleanup_close int fd = mkdirat(dirfd, name, 0700) < 0 ?
                                               -1 :
                                               openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                r = fd < 0 ? fail(w, -errno, "make the folder") : write_dir(w, n->id, fd, depth + 1);
                return r < 0 ? r : finish(w, fd, &n->st);
        }
        w->done.files++;
        r = S_ISREG(n->st.st_mode)   ? write_file(w, n, dirfd, name)
            : S_ISLNK(n->st.st_mode) ? write_link(w, n, dirfd, name)
                                     : write_special(w, n, dirfd, name);
        return r == 0 && n->st.st_nlink > 1 && note_name(w, n->id) < 0 ? fail(w, -ENOMEM, "link") : r;
}

/* The times and modes of folders are set last, by the caller. */
static int write_dir(struct writer *w, uint64_t id, int fd, unsigned depth)
{
        struct children c = { 0 };
        size_t len = w->path.len;
        int r = depth > DEPTH_MAX ? -ELOOP : tree_readdir(w->tree, id, 0, true, take_child, &c);

        if (r == 0)
                r = c.result;
        if (r < 0)
                fail(w, r, "list");
        for (size_t i = 0; r == 0 && i < c.count; i++) {
                if (c.list[i].node.id == NODE_MARKER || c.list[i].node.id == NODE_DATA)
                        continue;
                r = buf_printf(&w->path, "%s%s", len ? "/" : "", c.list[i].name);
                r = r < 0 ? errtext_set(w->err, r, "out of memory") :
                            write_node(w, &c.list[i].node, fd, c.list[i].name, depth);
                w->path.len = len;
                w->path.data[len] = '\0';
        }
        children_release(&c);
        return r;
}

static int write_root(struct writer *w, const struct node *n, const char *name)
{
        int r;

        buf_clear(&w->path);
        r = buf_add_str(&w->path, name);
        return r < 0 ? errtext_set(w->err, r, "out of memory") : write_node(w, n, w->root_fd, name, 0);
}

static int write_all(struct writer *w)
{
        static const char *const data[] = { "data", "headers" };
        struct node n;
        int r = tree_getattr(w->tree, NODE_ROOT, &n);

        r = r < 0 ? errtext_set(w->err, r, "cannot examine the tree") : write_root(w, &n, TREE_PLAIN_SITE);
        for (size_t i = 0; r == 0 && i < ARRAY_LEN(data); i++)
                if (tree_lookup(w->tree, NODE_DATA, data[i], strlen(data[i]), &n) == 0)
                        r = write_root(w, &n, data[i]);
        if (r == 0 && syncfs(w->root_fd) < 0)
                r = errtext_set(w->err, -errno, "cannot sync what was written: %s",
                                errno_name(-errno, (char[128]){ 0 }));
        return r;
}

int tree_plain_write(struct tree *t, const struct store *s, struct image_pool *pool, int dir_fd, struct tree_plain *ret,
                     struct errtext *err)
{
        struct writer w = {
                .tree = t, .store = s, .pool = pool, .root_fd = dir_fd, .piece = malloc(2 * PIECE_SIZE), .err = err
        };
        int r = w.piece ? write_all(&w) : errtext_set(err, -ENOMEM, "out of memory");

        for (size_t i = 0; i < w.shared_count; i++)
                free(w.shared[i].path);
        free(w.shared);
        free(w.piece);
        buf_release(&w.path);
        if (r == 0)
                *ret = w.done;
        return r;
}
