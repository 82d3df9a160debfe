/* Using a store, and having it alone: see store.h. */
#include "store/store.h"

#include "store/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

enum {
        PAUSE_MS = 10,
        MOMENT_MS = 2000,   /* with the gate open: nobody is kept waiting for us */
        PATIENCE_MS = 60000, /* with the gate closed: then everybody else waits */
};

static int lock_folder(int fd, int how)
{
        while (flock(fd, how) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

static int open_folder(const struct store *s, const char *name)
{
        return file_open_beneath(s->root_fd, name, O_RDONLY | O_DIRECTORY, 0);
}

int store_use_ungated(const struct store *s)
{
        cleanup_close int use = open_folder(s, "images");
        int r = use < 0 ? use : lock_folder(use, LOCK_SH);

        return r < 0 ? r : steal_fd(&use);
}

int store_use(const struct store *s)
{
        cleanup_close int gate = open_folder(s, "objects");
        int r = gate < 0 ? gate : lock_folder(gate, LOCK_SH);

        return r < 0 ? r : store_use_ungated(s);
}

/* -EWOULDBLOCK after so long. */
static int lock_within(int fd, unsigned limit_ms)
{
        for (unsigned waited_ms = 0;; waited_ms += PAUSE_MS) {
                int r = lock_folder(fd, LOCK_EX | LOCK_NB);

                if (r != -EWOULDBLOCK || waited_ms >= limit_ms)
                        return r;
                nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
        }
}

int store_use_alone(const struct store *s, void (*waiting)(void *user), void *user, struct errtext *err)
{
        cleanup_close int gate = open_folder(s, "objects");
        cleanup_close int use = open_folder(s, "images");
        char text[128];
        int r = gate < 0 ? gate : use < 0 ? use : lock_within(use, MOMENT_MS);

        if (r == -EWOULDBLOCK) {
                if (waiting)
                        waiting(user);
                r = lock_within(gate, PATIENCE_MS);
                if (r == 0)
                        r = lock_within(use, PATIENCE_MS);
        }
        if (r == -EWOULDBLOCK)
                return errtext_set(err, -EBUSY, "other commands have been using the store '%s' for more than a minute",
                                   s->path);
        if (r < 0)
                return errtext_set(err, r, "cannot lock the store '%s': %s", s->path, errno_name(r, text));
        return steal_fd(&use);
}
