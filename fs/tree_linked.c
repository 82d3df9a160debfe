/* tree_linked.c: folders of the data tree that symlinks outside of site-packages point to.
 *
 * VENV/etc may be a link to `.fusepkg-data/data/etc`, a folder in VENV/include one to a folder in
 * `.fusepkg-data/headers`: to programs the link is the folder.  pip moves such a folder away when all files in it are
 * of the package that it removes, and later makes it again by the link's name, which would lead nowhere.  So the link
 * goes with the folder, and comes again when the folder comes back (pip's way back after a failed upgrade).
 *
 * After the commit: a kill in between leaves a link that leads nowhere, or none, which the next command mends
 * (tools/outside.h). */
#include "fs/tree_private.h"

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

int tree_linked_name(struct tree *t, uint64_t dir, struct buf *ret)
{
        cleanup_buf struct buf path = { 0 };
        cleanup_buf struct buf outside = { 0 };
        cleanup_buf struct buf link = { 0 };
        char target[4096];
        ssize_t n;
        int r = places(t, dir, &path, &outside);

        if (r < 0 || outside.len == 0)
                return r;
        r = buf_printf(&link, "../%s", outside.data);
        if (r < 0)
                return r;
        n = readlinkat(view_state_fd(tree_current(t)), link.data, target, sizeof(target));
        if (n < (ssize_t)path.len || (size_t)n == sizeof(target) ||
            memcmp(target + n - path.len, path.data, path.len) != 0)
                return 0;
        return buf_add(ret, link.data, link.len);
}

void tree_linked_gone(struct tree *t, const char *link)
{
        char **more = realloc(t->links, (t->link_count + 1) * sizeof(*more));

        if (unlinkat(view_state_fd(tree_current(t)), link, 0) < 0 || !more)
                goto out;
        more[t->link_count] = strdup(link);
        t->link_count += more[t->link_count] != NULL;
out:
        if (more)
                t->links = more;
}

/* The link at OUTSIDE (relative to the venv) to PATH of site-packages. */
static int make_link(const struct view *v, const char *link, const char *outside, const char *path)
{
        cleanup_buf struct buf target = { 0 };
        int r = 0;

        for (const char *c = outside; *c && r == 0; c++)
                if (*c == '/')
                        r = buf_add(&target, "../", 3);
        if (r == 0)
                r = buf_printf(&target, "%s/%s", view_environment(v)->site, path);
        return r < 0 ? r : symlinkat(target.data, view_state_fd(v), link) < 0 ? -errno : 0;
}

void tree_linked_back(struct tree *t, uint64_t dir)
{
        cleanup_buf struct buf path = { 0 };
        cleanup_buf struct buf outside = { 0 };

        if (t->link_count == 0 || places(t, dir, &path, &outside) < 0 || outside.len == 0)
                return;
        for (size_t i = 0; i < t->link_count; i++) {
                if (strcmp(t->links[i] + strlen("../"), outside.data) != 0)
                        continue;
                make_link(tree_current(t), t->links[i], outside.data, path.data);
                free(t->links[i]);
                t->links[i] = t->links[--t->link_count];
                return;
        }
}
