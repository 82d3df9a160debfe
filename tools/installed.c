#include "tools/installed.h"

#include "fs/image_pool.h"
#include "store/files.h"
#include "store/wheel_name.h"
#include "tools/dist_file.h"
#include "tools/mounts.h"

#include <fcntl.h>

enum { OPEN_TRIES = 16 };

void installed_release(struct installed *i)
{
        for (size_t k = 0; k < i->count; k++) {
                free(i->list[k].name);
                free(i->list[k].key);
                free(i->list[k].version);
                free(i->list[k].dist_info);
        }
        free(i->list);
        edit_dists_release(&i->dists);
        edit_report_release(&i->report);
        view_free(i->view);
        base_free(i->base);
        image_pool_free(i->pool);
        store_close(i->store);
        if (i->site_fd >= 0)
                close(i->site_fd);
        *i = (struct installed)INSTALLED_INIT;
}

static int add(struct installed *i, const char *name, const char *version, const char *dist_info,
               const struct slot *slot)
{
        struct distribution *list = realloc(i->list, (i->count + 1) * sizeof *list), *d;
        cleanup_buf struct buf key = { 0 };

        if (!list)
                return -ENOMEM;
        i->list = list;
        if (name_normalize(name, strlen(name), &key) < 0)
                return -ENOMEM;
        d = &list[i->count++];
        *d = (struct distribution){
                .name = strdup(name),
                .key = buf_steal(&key),
                .version = strdup(version),
                .dist_info = dist_info ? strdup(dist_info) : NULL,
                .slot = slot,
        };
        return d->name && d->key && d->version && (d->dist_info || !dist_info) ? 0 : -ENOMEM;
}

static int add_bare(const char *dist_info, const char *name, const char *version, void *user)
{
        struct installed *i = user;

        return edit_dists_is_removed_bare(&i->dists, dist_info) ? 0 : add(i, name, version, dist_info, NULL);
}

static int add_shown(const char *dist_info, const char *name, const char *version, const struct slot *slot, void *user)
{
        return add(user, name, version, dist_info, slot);
}

static int by_key(const void *a, const void *b)
{
        return strcmp(((const struct distribution *)a)->key, ((const struct distribution *)b)->key);
}

/* The report's distributions point at it. */
static int ask(struct target *t, struct installed *i, struct errtext *err)
{
        int r = edits_ask_report(t, &i->report, err);

        return r < 0 ? r : edit_dists_load(t, &i->report, &i->dists, err);
}

static int collect(struct target *t, struct installed *i)
{
        const struct environment *e = t->environment;
        int r;

        if (i->shown)
                return target_each_shown(t, i->site_fd, add_shown, i);
        r = target_each_bare_in(t, i->site_fd, add_bare, i);
        for (size_t k = 0; r == 0 && e && k < e->slot_count; k++)
                if (!edit_dists_is_removed(&i->dists, &e->slots[k]))
                        r = add(i, e->slots[k].name, e->slots[k].version, NULL, &e->slots[k]);
        for (size_t k = 0; r == 0 && k < i->dists.added_count; k++)
                r = add(i, i->dists.added[k].name, i->dists.added[k].version, i->dists.added[k].dist_info, NULL);
        return r;
}

/* All is read from one folder, which is the mount or is not, and the edits are asked about for what is below it. */
static int open_site(struct target *t, struct installed *i, struct errtext *err)
{
        int r = 0;

        for (int tries = 0; r == 0 && tries < OPEN_TRIES; tries++) {
                edit_dists_release(&i->dists);
                edit_report_release(&i->report);
                r = mount_open_shown(t, &i->site_fd);
                i->shown = r > 0;
                if (r == 0)
                        r = ask(t, i, err);
                if (r == 0)
                        r = mount_open_bare(t, &i->site_fd);
        }
        return r == 0 ? -EAGAIN : r < 0 ? r : 0;
}

int installed_load(struct target *t, struct installed *ret, struct errtext *err)
{
        int r = 0;

        *ret = (struct installed)INSTALLED_INIT;
        ret->target = t;
        err->text[0] = '\0';
        if (edits_ask_needed(t))
                r = open_site(t, ret, err);
        else if ((ret->site_fd = openat(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
                r = -errno;
        if (r == 0)
                r = collect(t, ret);
        if (r < 0) {
                installed_release(ret);
                return err->text[0] ? r : errtext_set(err, r, "cannot list the packages of '%s': %s", t->venv,
                                                      errno_name(r, (char[128]){ 0 }));
        }
        if (ret->count)
                qsort(ret->list, ret->count, sizeof *ret->list, by_key);
        return 0;
}

struct distribution *installed_find(const struct installed *i, const char *name)
{
        for (size_t k = 0; k < i->count; k++)
                if (name_equal(i->list[k].name, name))
                        return &i->list[k];
        return NULL;
}

static int open_view(struct installed *i, struct errtext *err)
{
        int r = 0;

        if (!i->store)
                r = target_store(i->target, STORE_READ, &i->store, err);
        if (r == 0 && !i->view)
                r = target_view(i->target, i->store, &i->pool, &i->base, &i->view, err);
        return r;
}

static int read_node(const struct view *v, const struct node *node, struct buf *ret, struct errtext *err)
{
        size_t size = (size_t)node->st.st_size;
        ssize_t n;
        int r;

        if (node->st.st_size > DIST_FILE_MAX)
                return errtext_set(err, -EFBIG, "a file of package metadata is too large");
        r = buf_reserve(ret, size);
        if (r < 0)
                return errtext_set(err, r, "out of memory");
        for (size_t got = 0; got < size; got += (size_t)n) {
                n = view_read(v, node->id, ret->data + ret->len, size - got, got, err);
                if (n <= 0)
                        return n < 0 ? (int)n : errtext_set(err, -EIO, "a file of package metadata is too short");
                ret->len += (size_t)n;
        }
        ret->data[ret->len] = '\0';
        return 0;
}

/* What the edits have at a path; 1: they say nothing of it. */
static int read_edited(const struct installed *i, const char *path, struct buf *ret)
{
        const struct edit_change *c = edit_report_find(&i->report, path, CHANGE_MODIFIED);

        if (!c)
                c = edit_report_find(&i->report, path, CHANGE_ADDED);
        if (c && c->data) {
                cleanup_close int fd = edits_ask_open(i->target, c);
                int r = fd < 0 ? fd : file_read_all(fd, DIST_FILE_MAX, ret);

                return r < 0 ? r : buf_add(ret, "", 0);
        }
        return edit_report_find(&i->report, path, CHANGE_REMOVED) ? -ENOENT : 1;
}

static int read_slot(struct installed *i, struct distribution *d, const char *name, struct buf *ret,
                     struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        const struct image *img;
        struct node node;
        int r = open_view(i, err);

        if (r == 0)
                r = image_pool_get(i->pool, d->slot->image, &img, err);
        if (r < 0)
                return r;
        if (!d->dist_info)
                d->dist_info = strdup(image_meta(img)->dist_info);
        if (!d->dist_info || buf_printf(&path, "%s/%s", d->dist_info, name) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        r = read_edited(i, path.data, ret);
        if (r != 1)
                return r;
        r = view_find(i->view, path.data, &node);
        return r < 0 ? r : read_node(i->view, &node, ret, err);
}

static int read_bare(struct installed *i, const struct distribution *d, const char *name, struct buf *ret,
                     struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        int r;

        if (buf_printf(&path, name[0] ? "%s/%s" : "%s%s", d->dist_info, name) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        r = dist_file_read(i->target, i->site_fd, path.data, ret);
        if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -EISDIR)
                return errtext_set(err, r, "cannot read '%s/%s': %s", i->target->site, path.data,
                                   errno_name(r, (char[128]){ 0 }));
        return r < 0 ? -ENOENT : buf_add(ret, "", 0);
}

int installed_read(struct installed *i, struct distribution *d, const char *name, struct buf *ret, struct errtext *err)
{
        if (d->slot && !i->shown)
                return read_slot(i, d, name, ret, err);
        for (size_t k = 0; k < i->dists.added_count; k++)
                if (strcmp(i->dists.added[k].dist_info, d->dist_info) == 0)
                        return edit_dists_read(&i->dists, &i->dists.added[k], name, ret, err);
        return read_bare(i, d, name, ret, err);
}

int installed_read_metadata(struct installed *i, struct distribution *d, struct buf *ret, struct errtext *err)
{
        static const char *const names[] = { "METADATA", "PKG-INFO", "" };
        int r = installed_read(i, d, names[0], ret, err);

        for (size_t k = 1; r == -ENOENT && !d->slot && k < ARRAY_LEN(names); k++)
                r = installed_read(i, d, names[k], ret, err);
        if (r == -ENOENT)
                return errtext_set(err, r, "%s has no METADATA", d->name);
        return r;
}
