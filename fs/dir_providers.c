#include "fs/dir_providers.h"
#include "fs/view.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

void providers_release(struct providers *p)
{
        free(p->list);
        *p = (struct providers){ 0 };
}

static bool is_hidden(const struct environment *e, const char *path)
{
        size_t len = strcspn(path, "/");

        for (size_t i = 0; i < e->hidden_count; i++)
                if (strlen(e->hidden[i]) == len && !memcmp(e->hidden[i], path, len))
                        return true;
        return false;
}

/* Is site_fd our mount?  Its root and the marker have ids that no other file system gives to both. */
bool dir_is_mounted(int site_fd)
{
        struct statfs fs;
        struct stat root, marker;

        return site_fd >= 0 && !fstatfs(site_fd, &fs) && fs.f_type == FUSE_SUPER_MAGIC && !fstat(site_fd, &root) &&
               root.st_ino == NODE_ROOT && !fstatat(site_fd, ENVIRONMENT_DIR, &marker, AT_SYMLINK_NOFOLLOW) &&
               marker.st_ino == NODE_MARKER;
}

/* A directory of our mount that was given an id of the base: shows it anything of the base, still? */
static bool shows_base(const struct update *u, const char *path)
{
        cleanup_close int fd = openat(u->site->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        bool found = false;

        if (!dir)
                return false;
        fd = -1;
        for (struct dirent *d; !found && (d = readdir(dir)) != NULL;) {
                cleanup_buf struct buf below = { 0 };
                const struct dir_row *row;

                if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") || d->d_ino >> 32)
                        continue;
                if (buf_printf(&below, "%s/%s", path, d->d_name) < 0)
                        break;
                row = environment_dir(u->old.e, below.data);
                found = !row || !row->id || shows_base(u, below.data);
        }
        closedir(dir);
        return found;
}

static int compare_path(const void *path, const void *element)
{
        return strcmp(path, *(char *const *)element);
}

static bool is_taken(const struct site_now *site, const char *path)
{
        return site->taken_count && bsearch(path, site->taken, site->taken_count, sizeof(*site->taken), compare_path);
}

/* Does the base have the directory at PATH, as E shows it?  Through our mount its directories are those with small
 * ids; but one that the base has lost may have kept its id. */
bool dir_base_has(const struct update *u, const struct environment *e, const char *path)
{
        const struct dir_row *row;
        struct stat st;

        if (!path[0])
                return true;
        if (is_hidden(e, path))
                return false;
        if (is_taken(u->site, path))
                return true;
        if (u->site->fd < 0 || fstatat(u->site->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return false;
        if (!S_ISDIR(st.st_mode) || (u->mounted && st.st_ino >> 32))
                return false;
        row = u->mounted ? environment_dir(u->old.e, path) : NULL;
        return !row || !row->id || shows_base(u, path);
}

/* The providers of a tree's own top directory. */
int providers_of_tree(const struct side *s, const struct tree *t, struct providers *ret)
{
        *ret = (struct providers){ .base = !t->path[0] };
        ret->list = calloc(s->e->slot_count + 1, sizeof(*ret->list));
        if (!ret->list)
                return -ENOMEM;
        for (size_t i = 0; i < s->e->slot_count; i++) {
                uint32_t entry;

                if (image_find(s->images[i], t->in_image, &entry) < 0 ||
                    image_entry(s->images[i], entry).type != IMAGE_DIR)
                        continue;
                ret->list[ret->count++] = (struct provider){ s->images[i], s->e->slots[i].number, entry };
        }
        return 0;
}

/* The providers of the directory NAME in the one that P provide; u->path is its path already.  None, when a file that
 * came later hides it. */
int providers_below(const struct update *u, const struct side *s, const struct providers *p, struct span name,
                           struct providers *ret)
{
        bool hidden = false;

        *ret = (struct providers){ 0 };
        ret->list = calloc(p->count + 1, sizeof(*ret->list));
        if (!ret->list)
                return -ENOMEM;
        ret->base = p->base && dir_base_has(u, s->e, u->path.data);
        for (size_t i = 0; i < p->count; i++) {
                const struct image *img = p->list[i].image;
                uint32_t entry;

                if (image_lookup(img, p->list[i].entry, name.data, name.len, &entry) < 0)
                        continue;
                hidden = image_entry(img, entry).type != IMAGE_DIR;
                if (!hidden)
                        ret->list[ret->count++] = (struct provider){ img, p->list[i].slot, entry };
        }
        if (hidden) {
                ret->count = 0;
                ret->base = false;
        }
        return 0;
}

int dir_path_enter(struct buf *path, struct span name)
{
        int r = path->len ? buf_add_char(path, '/') : 0;

        return r < 0 ? r : buf_add(path, name.data, name.len);
}

void dir_path_leave(struct buf *path, size_t len)
{
        path->len = len;
        path->data[len] = 0;
}

/* What the first N of P, and the base if E shows it, show as NAME in the directory u->path; as view_merge.c resolves
 * it.  A file of the base is NOTHING here: it never comes or goes by itself. */
struct shown dir_shown_as(struct update *u, const struct environment *e, const struct providers *p, size_t n,
                          struct span name)
{
        struct shown s = { NOTHING, 0 };
        size_t len = u->path.len;

        if (p->base && dir_path_enter(&u->path, name) == 0 && dir_base_has(u, e, u->path.data))
                s.what = FOLDER;
        dir_path_leave(&u->path, len);
        for (size_t i = 0; i < n; i++) {
                uint32_t entry;

                if (image_lookup(p->list[i].image, p->list[i].entry, name.data, name.len, &entry) < 0)
                        continue;
                if (image_entry(p->list[i].image, entry).type == IMAGE_DIR)
                        s = (struct shown){ FOLDER, 0 };
                else
                        s = (struct shown){ A_FILE, p->list[i].slot };
        }
        return s;
}
