#include "tools/bare_seen.h"

#include "fs/base_layer.h"
#include "store/files.h"
#include "tools/ui.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum {
        FILE_MAX = 16 << 20, /* bytes */
        TOLD_MAX = 10,       /* names in one warning */
        INSTALLER_MAX = 4096,
};

/* What fusepkg itself has there, or in a copy of what was mounted, and what Python may leave when it could not mount. */
static bool is_ignored(const char *name)
{
        return strcmp(name, ENVIRONMENT_DIR) == 0 || strcmp(name, DATA_DIR) == 0 ||
               base_is_own(name) || strcmp(name, "__pycache__") == 0 || strcmp(name, ".") == 0 ||
               strcmp(name, "..") == 0;
}

static int list_bare(const struct target *t, struct outside_paths *ret)
{
        int fd = openat(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *d;

        if (!dir) {
                r = -errno;
                if (fd >= 0)
                        close(fd);
                return r;
        }
        while (r == 0 && (d = readdir(dir)))
                if (!is_ignored(d->d_name))
                        r = outside_paths_add(ret, d->d_name);
        closedir(dir);
        return r;
}

static int load(const struct target *t, const char *file, struct outside_paths *ret)
{
        cleanup_buf struct buf text = { 0 };
        int r = file_read_at(t->state_fd, file, FILE_MAX, &text);

        for (char *line = text.data, *end; r == 0 && line && (end = strchr(line, '\n')); line = end + 1) {
                cleanup_buf struct buf name = { 0 };

                r = buf_add_unescaped(&name, line, (size_t)(end - line));
                if (r == 0 && name.len)
                        r = outside_paths_add(ret, name.data);
        }
        return r;
}

static int save(const struct target *t, const char *file, const struct outside_paths *p)
{
        cleanup_buf struct buf text = { 0 };
        int r = buf_add(&text, "", 0);

        for (size_t i = 0; r == 0 && i < p->count; i++) {
                r = buf_add_escaped(&text, p->paths[i], strlen(p->paths[i]));
                if (r == 0)
                        r = buf_add_char(&text, '\n');
        }
        return r < 0 ? r : file_replace(t->state_fd, file, text.data, text.len, 0644, false);
}

static bool is_same(const struct outside_paths *a, const struct outside_paths *b)
{
        for (size_t i = 0; i < a->count && a->count == b->count; i++)
                if (!outside_paths_have(b, a->paths[i]))
                        return false;
        return a->count == b->count;
}

/* Of what was copied while it was mounted the bare folder has all files: nobody has installed them. */
static bool is_copy_of_ours(const struct target *t, const char *name)
{
        static const char end[] = ".dist-info";
        cleanup_buf struct buf path = { 0 }, text = { 0 };
        size_t len = strlen(name);

        return len > strlen(end) && strcmp(name + len - strlen(end), end) == 0 &&
               buf_printf(&path, "%s/%s/INSTALLER", t->site_rel, name) == 0 &&
               file_read_at(t->venv_fd, path.data, INSTALLER_MAX, &text) == 0 && text.data &&
               strcspn(text.data, "\r\n") == strlen("fusepkg") && strncmp(text.data, "fusepkg", strlen("fusepkg")) == 0;
}

/* Adds to FRESH what is in NOW and was not SEEN. */
static int compare(const struct target *t, const struct outside_paths *now, const struct outside_paths *seen,
                   struct outside_paths *fresh)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < now->count; i++)
                if (!outside_paths_have(seen, now->paths[i]) && !is_copy_of_ours(t, now->paths[i]))
                        r = outside_paths_add(fresh, now->paths[i]);
        return r;
}

/* Without a list of what was seen nothing is new: fusepkg has just come here. */
static int look(const struct target *t, struct outside_paths *now, struct outside_paths *seen,
                struct outside_paths *fresh)
{
        int r = list_bare(t, now), known;

        if (r < 0)
                return r;
        known = load(t, BARE_SEEN_FILE, seen);
        r = load(t, BARE_NEW_FILE, fresh);
        if (r < 0 && r != -ENOENT)
                return r;
        return known == 0 ? compare(t, now, seen, fresh) : known == -ENOENT ? 0 : known;
}

int bare_seen_update(const struct target *t)
{
        struct outside_paths now = { 0 }, seen = { 0 }, fresh = { 0 };
        size_t told = 0;
        int r = look(t, &now, &seen, &fresh);

        if (r == 0 && !is_same(&now, &seen)) {
                for (size_t i = 0; i < fresh.count; i++)
                        told += !outside_paths_have(&seen, fresh.paths[i]);
                /* First what is new: what has been seen is not compared again. */
                if (told)
                        r = save(t, BARE_NEW_FILE, &fresh);
                if (r == 0)
                        r = save(t, BARE_SEEN_FILE, &now);
        } else if (r == 0 && now.count == 0 && faccessat(t->state_fd, BARE_SEEN_FILE, F_OK, 0) < 0) {
                r = save(t, BARE_SEEN_FILE, &now);
        }
        outside_paths_release(&now);
        outside_paths_release(&seen);
        outside_paths_release(&fresh);
        return r;
}

static bool is_bare(const struct target *t)
{
        struct mount_info info = { .state = MOUNT_NONE };

        return mount_examine(t->site, t->state_fd, &info) == 0 && info.state == MOUNT_NONE;
}

int bare_seen_new(const struct target *t, struct outside_paths *ret)
{
        struct outside_paths now = { 0 }, seen = { 0 };
        int r;

        if (t->state_fd < 0 || !t->environment)
                return 0;
        r = is_bare(t) ? look(t, &now, &seen, ret) : load(t, BARE_NEW_FILE, ret);
        outside_paths_release(&now);
        outside_paths_release(&seen);
        return r == -ENOENT ? 0 : r;
}

void bare_seen_warn(const struct target *t)
{
        struct outside_paths fresh = { 0 };
        cleanup_buf struct buf names = { 0 };
        size_t n;
        int r = bare_seen_new(t, &fresh);

        n = fresh.count;
        for (size_t i = 0; r == 0 && i < n && i < TOLD_MAX; i++)
                r = buf_printf(&names, "%s%s", i ? ", " : "", fresh.paths[i]);
        if (r == 0 && n > TOLD_MAX)
                r = buf_printf(&names, " and %zu more", n - TOLD_MAX);
        if (r == 0 && n) {
                ui_warning("while '%s' was not mounted, this appeared in it: %s", t->site, names.data);
                if (is_bare(t))
                        r = bare_seen_update(t);
                if (r == 0)
                        (void)unlinkat(t->state_fd, BARE_NEW_FILE, 0);
        }
        outside_paths_release(&fresh);
}

/* "six-1.17.0.dist-info" → "six". */
static bool dist_name(const char *folder, char *ret, size_t size)
{
        static const char end[] = ".dist-info";
        size_t len = strlen(folder), name = strcspn(folder, "-");

        if (len <= strlen(end) || strcmp(folder + len - strlen(end), end) != 0 || name >= len - strlen(end))
                return false;
        return (size_t)snprintf(ret, size, "%.*s", (int)name, folder) < size;
}

int bare_seen_adopt(struct change *c, struct errtext *err)
{
        struct outside_paths fresh = { 0 };
        int r = c->t.environment ? bare_seen_new(&c->t, &fresh) : 0;

        if (r < 0)
                errtext_set(err, r, "cannot tell what has appeared in '%s': %s", c->t.site,
                            errno_name(r, (char[128]){ 0 }));
        for (size_t i = 0; r == 0 && i < fresh.count; i++) {
                struct slot *slot;
                char name[300];

                if (!dist_name(fresh.paths[i], name, sizeof(name)) || !(slot = environment_find(c->next, name)))
                        continue;
                r = change_note(c, '-', slot->name, slot->version, err);
                if (r == 0 && environment_remove_slot(c->next, slot->number) < 0)
                        r = errtext_set(err, -ENOMEM, "out of memory");
        }
        outside_paths_release(&fresh);
        return r;
}
