/* outside_apply's part about .data/data and .data/headers: the fewest symlinks from the venv into the mount's data
 * folder.
 *
 * For each name of the merged data tree, from the top: where the venv has nothing, a symlink, which carries
 * everything below it; where it has a real folder, the same one level deeper. */
#include "tools/edits_ask.h"
#include "tools/outside_internal.h"

#include "store/files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

enum { LINK_DEPTH_MAX = 64 };

/* A folder of one image that has a part of the tree. */
struct provider {
        const struct image *img;
        uint32_t dir;
};

struct level {
        const char *venv_path;  /* "" or "share/jupyter" */
        const char *mount_path; /* "data" or "data/share/jupyter" */
        const struct provider *providers; /* by slot */
        size_t count;
        unsigned depth;
};

static int fail_path(struct outside_run *run, int r, const char *doing, const char *path)
{
        return errtext_set(run->err, r, "cannot %s '%s/%s': %s", doing, run->t->venv, path, strerror(-r));
}

static int no_memory(struct outside_run *run)
{
        return errtext_set(run->err, -ENOMEM, "out of memory");
}

/* The relative target of a symlink at PATH: "../lib/python3.12/site-packages/.fusepkg-data/data/etc/jupyter". */
static int make_target(const struct outside_run *run, const char *path, const char *mount_path, struct buf *ret)
{
        int r = 0;

        for (const char *p = path; r == 0 && (p = strchr(p, '/')); p++)
                r = buf_add_str(ret, "../");
        return r < 0 ? r : buf_printf(ret, "%s/" DATA_DIR "/%s", run->t->site_rel, mount_path);
}

/* What a target of ours is in site-packages; NULL: it is not ours. */
static const char *below_site(const struct target *t, const char *target)
{
        size_t n = strlen(t->site_rel);

        while (strncmp(target, "../", 3) == 0)
                target += 3;
        return strncmp(target, t->site_rel, n) == 0 &&
                               strncmp(target + n, "/" DATA_DIR "/", strlen(DATA_DIR) + 2) == 0 ?
                       target + n + 1 :
                       NULL;
}

static bool is_our_target(const struct target *t, const char *target)
{
        return below_site(t, target) != NULL;
}

/* Where a link for PATH leads, or would: it goes with the last package that has something behind it, while what pip has
 * put there stays. */
static int add_place(const struct target *t, const char *path, struct buf *ret)
{
        cleanup_buf struct buf headers = { 0 };
        int digits = (int)strspn(t->python, "0123456789.");
        int r = buf_printf(&headers, "include/site/python%.*s/", digits, t->python);

        if (r < 0)
                return r;
        return strncmp(path, headers.data, headers.len) == 0 ?
                       buf_printf(ret, DATA_DIR "/headers/%s", path + headers.len) :
                       buf_printf(ret, DATA_DIR "/data/%s", path);
}

/* Not the last name: a program that writes a file there takes the link away first. */
int outside_follow(const struct target *t, const char *path, struct buf *ret)
{
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                cleanup_free char *folder = strndup(path, (size_t)(slash - path));
                char target[PATH_MAX];
                const char *below;
                ssize_t n;

                if (!folder)
                        return -ENOMEM;
                n = readlinkat(t->venv_fd, folder, target, sizeof(target) - 1);
                if (n < 0 && errno == EINVAL)
                        continue;
                if (n < 0)
                        return errno == ENOENT ? add_place(t, path, ret) : 0;
                target[n] = '\0';
                below = below_site(t, target);
                return below ? buf_printf(ret, "%s%s", below, slash) : 0;
        }
        return 0;
}

bool outside_is_link(const struct target *t, int dirfd, const char *name)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

        if (n < 0)
                return false;
        target[n] = '\0';
        return is_our_target(t, target);
}

/* The link is made under another name and renamed, so that a reader of the old one never sees nothing. */
static int put_link(struct outside_run *run, const char *path, const char *target)
{
        const char *name = NULL;
        cleanup_close int dir = outside_open_parent(run->t, path, &name);
        static const char temporary[] = ".link"; /* no script has such a name */

        if (dir < 0)
                return fail_path(run, dir, "make the symlink", path);
        if (symlinkat(target, run->new_fd, temporary) < 0)
                return fail_path(run, -errno, "make the symlink", path);
        outside_give(run->t, run->new_fd, temporary);
        return renameat(run->new_fd, temporary, dir, name) < 0 ? fail_path(run, -errno, "make the symlink", path) : 0;
}

static int remove_link(struct outside_run *run, const char *path)
{
        const char *name = NULL;
        cleanup_close int dir = outside_open_parent(run->t, path, &name);

        /* Else it is gone, or something else by now. */
        if (dir >= 0 && outside_is_link(run->t, dir, name) && unlinkat(dir, name, 0) < 0 && errno != ENOENT)
                return fail_path(run, -errno, "remove the symlink", path);
        return 0;
}

static int link_level(struct outside_run *run, const struct level *level);

/* The folder NAME of the providers that have it as a folder. */
static int descend(struct outside_run *run, const struct level *level, const char *path, const char *mount_path,
                   struct span name)
{
        cleanup_free struct provider *below = calloc(level->count, sizeof(*below));
        struct level next = { path, mount_path, below, 0, level->depth + 1 };

        if (!below)
                return no_memory(run);
        if (next.depth > LINK_DEPTH_MAX)
                return errtext_set(run->err, -ELOOP, "the folders of '%s' are too deep", path);
        for (size_t i = 0; i < level->count; i++) {
                const struct provider *p = &level->providers[i];
                uint32_t entry;

                if (image_lookup(p->img, p->dir, name.data, name.len, &entry) == 0 &&
                    image_entry(p->img, entry).type == IMAGE_DIR)
                        below[next.count++] = (struct provider){ p->img, entry };
        }
        return link_level(run, &next);
}

/* A folder of the venv may itself be a symlink beside its target (lib64 -> lib): then what belongs into it goes
 * there. */
static bool is_sibling(const struct outside_run *run, const char *path, const char *target, struct buf *ret)
{
        const char *slash = strrchr(path, '/');
        struct stat st;

        if (strchr(target, '/') || target[0] == '.' || target[0] == '\0')
                return false;
        if (buf_add(ret, path, slash ? (size_t)(slash - path) + 1 : 0) < 0 || buf_add_str(ret, target) < 0)
                return false;
        return fstatat(run->t->venv_fd, ret->data, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* One name of the tree.  IS_DIR: it is a folder for the slot that wins it. */
static int link_name(struct outside_run *run, const struct level *level, struct span name, bool is_dir)
{
        cleanup_buf struct buf path = { 0 }, mount_path = { 0 }, target = { 0 }, sibling = { 0 };
        char there[PATH_MAX];
        struct stat st;
        ssize_t n;
        int r = 0;

        if (*level->venv_path)
                r = buf_printf(&path, "%s/", level->venv_path);
        if (r < 0 || buf_add(&path, name.data, name.len) < 0 ||
            buf_printf(&mount_path, "%s/%.*s", level->mount_path, (int)name.len, name.data) < 0 ||
            make_target(run, path.data, mount_path.data, &target) < 0)
                return no_memory(run);
        for (size_t i = 0; strncmp(path.data, "bin/", 4) == 0 && i < run->next.claim_count; i++)
                if (strcmp(run->next.claims[i].name, path.data + 4) == 0)
                        return 0; /* a script, which wins */

        if (fstatat(run->t->venv_fd, path.data, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                if (errno != ENOENT)
                        return fail_path(run, -errno, "look at", path.data);
        } else if (S_ISLNK(st.st_mode)) {
                n = readlinkat(run->t->venv_fd, path.data, there, sizeof(there) - 1);
                there[n > 0 ? n : 0] = '\0';
                if (strcmp(there, target.data) == 0)
                        return outside_paths_add(&run->next.links, path.data) < 0 ? no_memory(run) : 0;
                if (is_dir && is_sibling(run, path.data, there, &sibling))
                        return descend(run, level, sibling.data, mount_path.data, name);
                if (!is_our_target(run->t, there))
                        r = outside_keep(run->t, run->now->generation, path.data, run->err);
        } else if (S_ISDIR(st.st_mode) && is_dir) {
                return descend(run, level, path.data, mount_path.data, name);
        } else {
                r = outside_keep(run->t, run->now->generation, path.data, run->err);
        }
        if (r == 0)
                r = put_link(run, path.data, target.data);
        if (r == 0 && outside_paths_add(&run->next.links, path.data) < 0)
                return no_memory(run);
        return r;
}

/* Does a provider after number I have NAME too?  Then it is that one's turn. */
static bool is_overridden(const struct level *level, size_t i, struct span name)
{
        uint32_t entry;

        while (++i < level->count)
                if (image_lookup(level->providers[i].img, level->providers[i].dir, name.data, name.len, &entry) == 0)
                        return true;
        return false;
}

static int link_level(struct outside_run *run, const struct level *level)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < level->count; i++) {
                const struct provider *p = &level->providers[i];
                struct image_entry dir = image_entry(p->img, p->dir);

                for (uint32_t k = 0; r == 0 && k < dir.children; k++) {
                        struct image_entry e = image_entry(p->img, dir.first_child + k);

                        if (!is_overridden(level, i, e.name))
                                r = link_name(run, level, e.name, e.type == IMAGE_DIR);
                }
        }
        return r;
}

/* One folder; a symlink of ours in its place gives way (what it carried is linked one level deeper then). */
static int make_folder(struct outside_run *run, const char *path)
{
        const char *name = NULL;
        cleanup_close int dir = outside_open_parent(run->t, path, &name), made = -1;
        struct stat st;
        int r = 0;

        if (dir < 0)
                return fail_path(run, dir, "make the folder", path);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                if (S_ISDIR(st.st_mode))
                        return outside_paths_have(&run->old.dirs, path) ? outside_paths_add(&run->next.dirs, path) : 0;
                r = remove_link(run, path);
                if (r == 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        r = outside_keep(run->t, run->now->generation, path, run->err);
        }
        if (r < 0)
                return r;
        made = dir_make(dir, name, 0777);
        if (made < 0)
                return fail_path(run, made, "make the folder", path);
        target_give(run->t, made);
        return outside_paths_add(&run->next.dirs, path) < 0 ? no_memory(run) : 0;
}

/* VENV/PATH and the folders above it; those that are new are ours, and those that were ours stay so. */
static int make_folders(struct outside_run *run, const char *path)
{
        cleanup_free char *copy = strdup(path);
        int r = 0;

        if (!copy)
                return no_memory(run);
        for (char *end = copy; r == 0 && end;) {
                end = strchr(end + 1, '/');
                if (end)
                        *end = '\0';
                r = make_folder(run, copy);
                if (end)
                        *end = '/';
        }
        return r;
}

/* Collects the slots whose images have the folder TREE ("data"), and links it to VENV_PATH. */
static int link_tree(struct outside_run *run, const char *tree, const char *venv_path)
{
        const struct environment *e = run->now;
        cleanup_free struct provider *providers = calloc(e->slot_count + 1, sizeof(*providers));
        struct level top = { venv_path, tree, providers, 0, 0 };
        int r;

        if (!providers)
                return no_memory(run);
        for (size_t i = 0; i < e->slot_count; i++) {
                const struct image *img;
                uint32_t dir;

                r = image_pool_get(run->pool, e->slots[i].image, &img, run->err);
                if (r < 0)
                        return r;
                if (image_find(img, tree, &dir) == 0 && image_entry(img, dir).type == IMAGE_DIR)
                        providers[top.count++] = (struct provider){ img, dir };
        }
        if (top.count == 0)
                return 0;
        r = *venv_path ? make_folders(run, venv_path) : 0;
        return r < 0 ? r : link_level(run, &top);
}

/* False: it is to be tried again.  A folder that somebody uses by now stays. */
static bool remove_folder(const struct outside_run *run, const char *path)
{
        const char *name = NULL;
        cleanup_close int dir = outside_open_parent(run->t, path, &name);
        int r = dir < 0 ? dir : unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;

        return r == 0 || r == -ENOENT || r == -ENOTEMPTY || r == -EEXIST || r == -ENOTDIR || r == -ELOOP;
}

static bool is_above(const char *path, const char *below)
{
        size_t n = strlen(path);

        return strncmp(path, below, n) == 0 && below[n] == '/';
}

/* The folders that we made and need no more, the deepest first.  One that cannot be removed stays listed, and so do
 * those above it: the next change tries again. */
static int remove_folders(struct outside_run *run)
{
        const struct outside_paths *dirs = &run->old.dirs;
        cleanup_free bool *left = calloc(dirs->count + 1, sizeof(*left));
        int r = 0;

        if (!left)
                return no_memory(run);
        for (size_t i = dirs->count; i-- > 0;)
                if (!outside_paths_have(&run->next.dirs, dirs->paths[i])) {
                        left[i] = !remove_folder(run, dirs->paths[i]);
                        for (size_t k = i + 1; k < dirs->count; k++)
                                left[i] = left[i] || (left[k] && is_above(dirs->paths[i], dirs->paths[k]));
                }
        for (size_t i = 0; r == 0 && i < dirs->count; i++)
                if (left[i])
                        r = outside_paths_add(&run->next.dirs, dirs->paths[i]);
        return r < 0 ? no_memory(run) : 0;
}

/* Has a program put something behind a link that no package needs any more: pip, a file that the user would miss? */
static bool is_used(struct outside_run *run, const char *path)
{
        cleanup_buf struct buf place = { 0 };
        struct errtext ignored = { "" };
        bool used = add_place(run->t, path, &place) < 0;

        /* As they are now, after what this command has removed; what cannot be asked about is nothing. */
        if (!run->asked && edits_ask_needed(run->t))
                (void)edits_ask(run->t, "report\n", &run->edits, &ignored);
        run->asked = true;
        for (size_t i = 0; !used && i < run->edits.change_count; i++) {
                const struct edit_change *c = &run->edits.changes[i];

                used = c->kind != CHANGE_REMOVED && c->kind != CHANGE_MODIFIED && c->type != 'd' &&
                       edit_path_is_within(c->path, place.data);
        }
        return used;
}

static int leave_link(struct outside_run *run, const char *path)
{
        const char *name = NULL;
        cleanup_close int dir = is_used(run, path) ? outside_open_parent(run->t, path, &name) : -1;

        if (dir < 0 || !outside_is_link(run->t, dir, name))
                return remove_link(run, path);
        return outside_paths_add(&run->next.links, path) < 0 ? no_memory(run) : 0;
}

int outside_apply_links(struct outside_run *run)
{
        cleanup_free char *include = NULL;
        int digits = (int)strspn(run->t->python, "0123456789.");
        int r = 0;

        if (asprintf(&include, "include/site/python%.*s", digits, run->t->python) < 0) {
                include = NULL;
                return no_memory(run);
        }
        /* Headers first: they need real folders, which a link for data's own include/ would be in the way of. */
        r = link_tree(run, "headers", include);
        if (r == 0)
                r = link_tree(run, "data", "");
        for (size_t i = 0; r == 0 && i < run->old.links.count; i++)
                if (!outside_paths_have(&run->next.links, run->old.links.paths[i]))
                        r = leave_link(run, run->old.links.paths[i]);
        return r < 0 ? r : remove_folders(run);
}
