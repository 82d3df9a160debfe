/* The part of target.h about distributions that somebody else has put into site-packages. */
#include "tools/target.h"

#include "fs/base_layer.h"
#include "store/files.h"
#include "store/metadata.h"
#include "store/wheel_name.h"
#include "tools/dist_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

struct bare_name {
        char *dist_info;
        struct bare_name *next;
};

static bool ends_with(const char *s, const char *end)
{
        size_t len = strlen(s), n = strlen(end);

        return len > n && strcmp(s + len - n, end) == 0;
}

static bool is_hidden(const struct target *t, const char *dist_info)
{
        const struct environment *e = t->environment;

        for (size_t i = 0; e && i < e->hidden_count; i++)
                if (strcmp(e->hidden[i], dist_info) == 0)
                        return true;
        return false;
}

/* "six-1.17.0.dist-info", "six-1.17.0-py3.12.egg-info", "six.egg-info": what the folder's name alone tells. */
static int split_folder(const char *folder, char **ret_name, char **ret_version)
{
        size_t len = strlen(folder) - strlen(".dist-info"); /* ".egg-info" is one shorter, and its dot goes below */
        const char *dash;

        if (ends_with(folder, ".egg-info"))
                len = strlen(folder) - strlen(".egg-info");
        dash = memchr(folder, '-', len);
        *ret_name = strndup(folder, dash ? (size_t)(dash - folder) : len);
        if (dash) {
                size_t rest = len - (size_t)(dash + 1 - folder);
                const char *next = memchr(dash + 1, '-', rest);

                *ret_version = strndup(dash + 1, next ? (size_t)(next - dash - 1) : rest);
        } else {
                *ret_version = strdup("");
        }
        if (*ret_name && *ret_version)
                return 0;
        free(*ret_name);
        free(*ret_version);
        return -ENOMEM;
}

/* The name in the metadata; the folder's when there is none that can be read. */
static int name_bare(const struct target *t, int site_fd, const char *folder, char **ret_name, char **ret_version)
{
        static const char *const files[] = { "/METADATA", "/PKG-INFO", "" };

        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                cleanup_buf struct buf text = { 0 };
                struct metadata m = { 0 };
                struct errtext err;
                char path[300];

                snprintf(path, sizeof(path), "%.255s%s", folder, files[i]);
                if (dist_file_read(t, site_fd, path, &text) < 0)
                        continue;
                if (metadata_parse(text.data ? text.data : "", text.len, &m, &err) < 0)
                        continue;
                *ret_name = steal_ptr(m.name);
                *ret_version = steal_ptr(m.version);
                metadata_release(&m);
                return 0;
        }
        return split_folder(folder, ret_name, ret_version);
}

/* Ours are seen in the mount like the bare ones; where we have one of a name, a bare one of it is hidden. */
static bool is_ours(const struct target *t, const char *folder)
{
        cleanup_free char *name = NULL, *version = NULL;

        if (!t->environment || split_folder(folder, &name, &version) < 0)
                return false;
        return environment_find(t->environment, name) != NULL;
}

static int collect(const struct target *t, DIR *dir, bool all, struct bare_name **ret)
{
        const struct dirent *d;

        while ((d = readdir(dir))) {
                struct bare_name *n;

                if (d->d_name[0] == '~' || d->d_name[0] == '.' || base_is_own(d->d_name)) /* '~': what pip has left */
                        continue;
                if (!ends_with(d->d_name, ".dist-info") && !ends_with(d->d_name, ".egg-info"))
                        continue;
                if (!all && (is_hidden(t, d->d_name) || is_ours(t, d->d_name)))
                        continue;
                n = calloc(1, sizeof(*n));
                if (n)
                        n->dist_info = strdup(d->d_name);
                if (!n || !n->dist_info) {
                        free(n);
                        return -ENOMEM;
                }
                n->next = *ret;
                *ret = n;
        }
        return 0;
}

int target_each_bare_in(const struct target *t, int site_fd,
                        int (*fn)(const char *dist_info, const char *name, const char *version, void *user), void *user)
{
        DIR *dir = dir_stream(site_fd, ".");
        struct bare_name *names = NULL;
        int r;

        if (!dir)
                return -errno;
        r = collect(t, dir, false, &names);
        closedir(dir);
        while (names) {
                struct bare_name *n = names;
                cleanup_free char *name = NULL, *version = NULL;

                if (r == 0)
                        r = name_bare(t, site_fd, n->dist_info, &name, &version);
                if (r == 0 && !(t->environment && environment_find(t->environment, name)))
                        r = fn(n->dist_info, name, version, user);
                names = n->next;
                free(n->dist_info);
                free(n);
        }
        return r;
}

int target_each_bare(const struct target *t,
                     int (*fn)(const char *dist_info, const char *name, const char *version, void *user), void *user)
{
        cleanup_close int site_fd = openat(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return site_fd < 0 ? -errno : target_each_bare_in(t, site_fd, fn, user);
}

/* The inode number of what a live mount shows is the node's id, which says whose it is (fs/view.h). */
static const struct slot *slot_of(const struct target *t, int site_fd, const char *dist_info)
{
        static const char *const files[] = { "/METADATA", "/PKG-INFO", "" };
        struct stat st;

        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                char path[300];

                snprintf(path, sizeof(path), "%.255s%s", dist_info, files[i]);
                if (fstatat(site_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                return t->environment ? environment_slot(t->environment, (uint32_t)(st.st_ino >> 32)) : NULL;
        }
        return NULL;
}

int target_each_shown(const struct target *t, int site_fd,
                      int (*fn)(const char *dist_info, const char *name, const char *version, const struct slot *slot,
                                void *user),
                      void *user)
{
        DIR *dir = dir_stream(site_fd, ".");
        struct bare_name *names = NULL;
        int r;

        if (!dir)
                return -errno;
        r = collect(t, dir, true, &names);
        closedir(dir);
        while (names) {
                struct bare_name *n = names;
                const struct slot *slot = r == 0 ? slot_of(t, site_fd, n->dist_info) : NULL;
                cleanup_free char *name = NULL, *version = NULL;

                if (r == 0 && slot)
                        r = fn(n->dist_info, slot->name, slot->version, slot, user);
                else if (r == 0 && (r = name_bare(t, site_fd, n->dist_info, &name, &version)) == 0)
                        r = fn(n->dist_info, name, version, NULL, user);
                names = n->next;
                free(n->dist_info);
                free(n);
        }
        return r;
}
