#include "fs/owner.h"
#include "fs/control.h"
#include "store/files.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

enum {
        WHO_LINES = 4,      /* of the text: who it is */
        TEXT_SIZE = 2048,   /* always: who reads it while it is written sees no end of an older one */
        TRY_MS = 2,
        OWNED_MS = 50,      /* how long somebody else may be the owner */
        OWNED_PATIENT_MS = 5000,
        LOOKED_AT_MS = 10000, /* and how long others may look */
};

static void read_line(int dirfd, const char *path, char *ret_text, size_t size)
{
        cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : pread(fd, ret_text, size - 1, 0);

        ret_text[n > 0 ? n : 0] = '\0';
        ret_text[strcspn(ret_text, "\n")] = '\0';
}

/* "host a\nboot b\npid 1\n…" as "pid 1, host a, boot b": whatever the lock says, on one line. */
static int busy(int fd, struct errtext *err)
{
        char text[512];
        int lines = 0;
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        for (char *c = text; *c; c++)
                if (*c == '\n')
                        *c = c[1] && ++lines < WHO_LINES ? ',' : '\0';
        return errtext_set(err, -EBUSY, "this environment is mounted already, by another process (%s)",
                           *text ? text : "which has not said yet who it is");
}

static bool is_owned(int fd)
{
        if (flock(fd, LOCK_SH | LOCK_NB) < 0)
                return true;
        flock(fd, LOCK_UN);
        return false;
}

/* Commands that look whether a mount lives hold a shared lock for a moment: that is no owner, however long the moment
 * is for which a busy machine runs others. */
static int take(int fd, bool patient)
{
        const struct timespec pause = { 0, TRY_MS * 1000000L };
        int owned = patient ? OWNED_PATIENT_MS : OWNED_MS, looked_at = LOOKED_AT_MS;

        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return -errno;
                *(is_owned(fd) ? &owned : &looked_at) -= TRY_MS;
                if (owned < 0 || looked_at < 0)
                        return -EWOULDBLOCK;
                nanosleep(&pause, NULL);
        }
        return 0;
}

int owner_write(int fd, int pid, int64_t since, const char *more)
{
        char host[256] = "", boot[64], text[TEXT_SIZE];
        int n;

        gethostname(host, sizeof(host) - 1);
        read_line(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
        memset(text, '\n', sizeof(text));
        n = snprintf(text, sizeof(text), "host %s\nboot %s\npid %d\nsince %lld\n%s", host, boot, pid, (long long)since,
                     more);
        if (n >= 0 && n < TEXT_SIZE)
                text[n] = '\n';
        text[TEXT_SIZE - 1] = '\n';
        return pwrite(fd, text, sizeof(text), 0) == sizeof(text) ? 0 : -EIO;
}

int owner_lock(int state_fd, bool patient, struct errtext *err)
{
        cleanup_close int fd = file_open_own(state_fd, CONTROL_LOCK_FILE, O_RDWR | O_CREAT, 0644);
        char why[128];
        bool read_only = fd == -EROFS || fd == -EACCES;
        int r;

        /* A venv that cannot be written is locked all the same, by the file if there is one; who it is cannot be said.
         * */
        if (read_only)
                fd = file_open_own(state_fd, CONTROL_LOCK_FILE, O_RDONLY, 0);
        if (read_only && fd == -ENOENT)
                fd = openat(state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errtext_set(err, fd, "cannot open .fusepkg/" CONTROL_LOCK_FILE ": %s", errno_name(fd, why));
        r = take(fd, patient);
        if (r == -EWOULDBLOCK)
                return busy(fd, err);
        if (r < 0)
                return errtext_set(err, r, "cannot lock .fusepkg/" CONTROL_LOCK_FILE ": %s", errno_name(r, why));
        if (read_only)
                return steal_fd(&fd);
        if (ftruncate(fd, 0) < 0 || owner_write(fd, (int)getpid(), time(NULL), "") < 0)
                return errtext_set(err, -EIO, "cannot write .fusepkg/" CONTROL_LOCK_FILE);
        return steal_fd(&fd);
}
