#include "tools/kept_list.h"

#include "fs/kept.h"
#include "store/files.h"

#include <fcntl.h>

enum { DEPTH_MAX = 128 };

static int walk(int dirfd, struct buf *path, unsigned depth, int (*fn)(const char *path, void *user), void *user)
{
        DIR *dir = depth < DEPTH_MAX ? dir_stream(dirfd, ".") : NULL;
        const struct dirent *e;
        size_t len = path->len;
        int r = 0;

        if (!dir)
                return depth < DEPTH_MAX ? -errno : 0;
        while (r == 0 && (e = readdir(dir))) {
                cleanup_close int sub = -1;

                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                r = buf_printf(path, "%s%s", len ? "/" : "", e->d_name);
                if (r == 0) {
                        sub = file_open_beneath(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
                        r = sub < 0 ? fn(path->data, user) : walk(sub, path, depth + 1, fn, user);
                }
                path->len = len;
                if (path->data)
                        path->data[len] = '\0';
        }
        closedir(dir);
        return r;
}

int kept_list(const struct target *t, int (*fn)(const char *path, void *user), void *user)
{
        cleanup_close int fd = t->state_fd < 0 ? -1 :
                                                 file_open_beneath(t->state_fd, KEPT_DIR, O_RDONLY | O_DIRECTORY, 0);
        cleanup_buf struct buf path = { 0 };

        return fd < 0 ? 0 : walk(fd, &path, 0, fn, user);
}
