#include "fs/edits_exchange.h"

#include "store/base.h"
#include "store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const places[] = { "/dev/shm", "/tmp" };

enum { NAME_SIZE = 64 };

static void folder_name(const char *environment, char ret[NAME_SIZE])
{
        snprintf(ret, NAME_SIZE, "fusepkg-%.40s", environment);
}

/* Nobody else could have made it, or looks into it. */
static bool is_ours(int fd, int state_fd)
{
        struct stat st, owner;

        return fstat(fd, &st) == 0 && fstat(state_fd, &owner) == 0 && (st.st_mode & 077) == 0 &&
               (st.st_uid == owner.st_uid || st.st_uid == geteuid() || st.st_uid == 0);
}

static int open_at(int place, const char *name, int state_fd)
{
        cleanup_close int fd = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT || errno == EACCES ? -errno : -EPERM;
        return is_ours(fd, state_fd) ? steal_fd(&fd) : -EPERM;
}

int edits_exchange_open(int state_fd, const char *environment)
{
        char name[NAME_SIZE];
        int r = -ENOENT;

        folder_name(environment, name);
        for (size_t i = 0; i < ARRAY_LEN(places) && r == -ENOENT; i++) {
                cleanup_close int place = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

                r = place < 0 ? -ENOENT : open_at(place, name, state_fd);
        }
        return r;
}

/* What a killed command has left goes. */
static int make_at(int place, const char *name, int state_fd)
{
        cleanup_close int fd = open_at(place, name, state_fd);
        struct stat owner;

        if (fd == -EPERM || fd == -EACCES)
                return -EPERM;
        if (fd >= 0) {
                close(fd);
                fd = -1;
                (void)dir_remove_tree(place, name);
        }
        if (mkdirat(place, name, 0700) < 0)
                return -errno;
        fd = open_at(place, name, state_fd);
        if (fd >= 0 && geteuid() == 0 && fstat(state_fd, &owner) == 0 && owner.st_uid != 0) {
                int ignored = fchown(fd, owner.st_uid, owner.st_gid);

                (void)ignored; /* a user namespace that does not know the owner */
        }
        return steal_fd(&fd);
}

int edits_exchange_make(int state_fd, const char *environment)
{
        char name[NAME_SIZE];
        int r = -ENOENT;

        folder_name(environment, name);
        for (size_t i = 0; i < ARRAY_LEN(places) && r < 0; i++) {
                cleanup_close int place = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                r = place < 0 ? -errno : make_at(place, name, state_fd);
        }
        return r;
}

void edits_exchange_remove(int state_fd, const char *environment)
{
        char name[NAME_SIZE];

        folder_name(environment, name);
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                cleanup_close int place = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                cleanup_close int fd = place < 0 ? -1 : open_at(place, name, state_fd);

                if (fd >= 0)
                        (void)dir_remove_tree(place, name);
        }
}
