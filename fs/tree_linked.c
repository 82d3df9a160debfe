/* tree_linked.c: folders of the data tree that symlinks outside of site-packages point to.
 *
 * VENV/etc may be a link to `.fusepkg-data/data/etc`, a folder in VENV/include one to a folder in
 * `.fusepkg-data/headers`: to programs the link is the folder.  pip moves such a folder away when all files in it are
 * of the package that it removes, and later makes it again by the link's name, which would lead nowhere.  So the link
 * goes with the folder, and comes again when the folder comes back (pip's way back after a failed upgrade).
 *
 * After the commit: a kill in between leaves a link that leads nowhere, or none, which the next command mends
 * (tools/outside.h).
 *
 * The way to a link follows no symlink and enters no mount: where VENV/etc is such a link itself, VENV/etc/pkg would
 * lead into this mount, whose answer would wait for the lock that is held here.  And the venv may be another user's. */
#include "fs/tree_private.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DATA_TREE DATA_DIR "/data/"
#define HEADERS_TREE DATA_DIR "/headers/"

/* Where the venv has what lies at PATH of the data folder, relative to the venv; nothing for a path that has no place
 * outside. */
static int place_outside(const struct view *v, const char *path, struct buf *ret)
{
        if (strncmp(path, DATA_TREE, strlen(DATA_TREE)) == 0)
                return buf_printf(ret, "%s", path + strlen(DATA_TREE));
        if (strncmp(path, HEADERS_TREE, strlen(HEADERS_TREE)) == 0)
                return buf_printf(ret, "include/site/python%s/%s", view_environment(v)->python,
                                  path + strlen(HEADERS_TREE));
        return 0;
}

static int places(struct tree *t, uint64_t dir, struct buf *ret_path, struct buf *ret_outside)
{
        int r = tree_path_locked(t, dir, ret_path);

        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : place_outside(tree_current(t), ret_path->data ? ret_path->data : "", ret_outside);
}

/* The folder that LINK is in; *RET_NAME is its last part. */
static int open_folder(const struct view *v, const char *link, const char **ret_name)
{
        const char *slash = strrchr(link, '/');
        cleanup_free char *folder = strndup(link, slash ? (size_t)(slash - link) : 0);
        cleanup_close int venv = openat(view_state_fd(v), "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (!folder)
                return -ENOMEM;
        if (venv < 0)
                return -errno;
        *ret_name = slash ? slash + 1 : link;
        return file_open_local(venv, *folder ? folder : ".", O_PATH | O_DIRECTORY);
}

int tree_linked_name(struct tree *t, uint64_t dir, struct buf *ret)
{
        cleanup_buf struct buf path = { 0 };
        cleanup_buf struct buf outside = { 0 };
        cleanup_close int folder = -1;
        char target[4096];
        const char *name;
        ssize_t n;
        int r = places(t, dir, &path, &outside);

        if (r < 0 || outside.len == 0)
                return r;
        folder = open_folder(tree_current(t), outside.data, &name);
        n = folder < 0 ? -1 : readlinkat(folder, name, target, sizeof(target));
        if (n < (ssize_t)path.len || (size_t)n == sizeof(target) ||
            memcmp(target + n - path.len, path.data, path.len) != 0)
                return 0;
        return buf_add(ret, outside.data, outside.len);
}

static int remove_link(const struct view *v, const char *link)
{
        const char *name;
        cleanup_close int folder = open_folder(v, link, &name);
        char first;

        if (folder < 0)
                return folder;
        /* Whatever it is by now, nothing but a link goes. */
        if (readlinkat(folder, name, &first, 1) < 0 || unlinkat(folder, name, 0) < 0)
                return -errno;
        return 0;
}

void tree_linked_gone(struct tree *t, const char *link)
{
        char **more = realloc(t->links, (t->link_count + 1) * sizeof(*more));

        if (remove_link(tree_current(t), link) < 0 || !more)
                goto out;
        more[t->link_count] = strdup(link);
        t->link_count += more[t->link_count] != NULL;
out:
        if (more)
                t->links = more;
}

/* To PATH of site-packages. */
static int make_link(const struct view *v, const char *link, const char *path)
{
        const char *name;
        cleanup_close int folder = open_folder(v, link, &name);
        cleanup_buf struct buf target = { 0 };
        int r = folder < 0 ? folder : 0;

        for (const char *c = link; *c && r == 0; c++)
                if (*c == '/')
                        r = buf_add(&target, "../", 3);
        if (r == 0)
                r = buf_printf(&target, "%s/%s", view_environment(v)->site, path);
        return r < 0 ? r : symlinkat(target.data, folder, name) < 0 ? -errno : 0;
}

void tree_linked_back(struct tree *t, uint64_t dir)
{
        cleanup_buf struct buf path = { 0 };
        cleanup_buf struct buf outside = { 0 };

        if (t->link_count == 0 || places(t, dir, &path, &outside) < 0 || outside.len == 0)
                return;
        for (size_t i = 0; i < t->link_count; i++) {
                if (strcmp(t->links[i], outside.data) != 0)
                        continue;
                make_link(tree_current(t), t->links[i], path.data);
                free(t->links[i]);
                t->links[i] = t->links[--t->link_count];
                return;
        }
}
