#include "fs/prefetch.h"
#include "fs/server.h"
#include "store/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct prefetch_recent *recent_of(struct prefetch *p, uint64_t id)
{
        return &p->recent[(id * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (PREFETCH_RECENT - 1)];
}

void prefetch_note(struct prefetch *p, uint64_t id, uint64_t offset, const char *data, size_t len)
{
        bool loaded = offset == 0 && len >= 4 && len <= PREFETCH_ELF_READ && memcmp(data, "\177ELF", 4) == 0;
        struct prefetch_recent *r;
        bool wake = false;

        pthread_mutex_lock(&p->lock);
        r = recent_of(p, id);
        if (r->id != id) {
                *r = (struct prefetch_recent){ .id = id, .end = offset + len };
                /* Read from the middle at once: that is no copying either. */
                if (offset == 0 && !loaded)
                        goto out;
        } else if (offset == r->end) {
                r->end = offset + len;
                goto out;
        }
        r->end = offset + len;
        if (!r->asked && p->count < PREFETCH_QUEUE) {
                r->asked = true;
                p->queue[p->count++] = id;
                wake = true;
        }
out:
        pthread_mutex_unlock(&p->lock);
        if (wake)
                pthread_cond_signal(&p->cond);
}

void prefetch_read(struct prefetch *p, uint64_t id)
{
        bool wake = false;

        pthread_mutex_lock(&p->lock);
        if (p->look_count < PREFETCH_LOOK && (p->look_count == 0 || p->look[p->look_count - 1] != id)) {
                wake = p->look_count == 0;
                p->look[p->look_count++] = id;
        }
        pthread_mutex_unlock(&p->lock);
        if (wake)
                pthread_cond_signal(&p->cond);
}

enum wish {
        WISH_READ = 'r',
        WISH_LOOK = 'l',
};

/* What is wished of the files, each a letter and the path with its final NUL; an empty one at the end. */
static int list_wishes(struct server *s, enum wish wish, const uint64_t *ids, size_t n, struct buf *ret)
{
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++) {
                cleanup_buf struct buf path = { 0 };
                struct node node;

                if (tree_getattr(s->tree, ids[i], &node) < 0 || !S_ISREG(node.st.st_mode))
                        continue;
                if (wish == WISH_READ && node.st.st_size > PREFETCH_MAX)
                        continue;
                if (buf_add_char(&path, (char)wish) == 0 && tree_path(s->tree, ids[i], &path) == 0)
                        r = buf_add(ret, path.data, path.len + 1);
        }
        return r < 0 ? r : buf_add(ret, "", 1);
}

/* The mounted root.  A copy of the mount that is mounted nowhere, where we may make one: an open file of the mount
 * itself would make umount(8) fail with EBUSY, a moment after a program read something. */
static int open_root(const char *site)
{
        int root = open_tree(AT_FDCWD, site, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

        return root >= 0 ? root : open(site, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* In the child of a process with threads: nothing but system calls.  Below the mounted root, and past no link:
 * programs change the tree meanwhile, and what they put in the place of a folder must not lead root elsewhere. */
static void grant(const char *site, const char *wishes)
{
        struct stat st;
        sigset_t none;
        int root;

        /* With /dev/fuse open it would keep a mount alive whose server died, and wait for it for ever. */
        close_range(0, ~0U, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        alarm(PREFETCH_LIMIT_S);
        root = open_root(site);
        for (; root >= 0 && *wishes; wishes += strlen(wishes) + 1) {
                int fd = file_open_beneath(
                        root, wishes + 1,
                        *wishes == WISH_READ ? O_RDONLY | O_NOFOLLOW | O_NONBLOCK : O_PATH | O_NOFOLLOW, 0);

                if (fd < 0)
                        continue;
                if (*wishes == WISH_LOOK)
                        fstat(fd, &st);
                else
                        posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
                close(fd);
        }
        _exit(0);
}

/* What goes wrong is passed over: an error will be seen, and said, by who reads there. */
static void have_granted(struct server *s, enum wish wish, const uint64_t *ids, size_t n)
{
        cleanup_buf struct buf wishes = { 0 };
        pid_t pid;

        if (n == 0 || list_wishes(s, wish, ids, n, &wishes) < 0 || wishes.len <= 1)
                return;
        pid = fork();
        if (pid == 0)
                grant(s->site, wishes.data);
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* Waits until there is something to do; what is only to be looked at waits for more of its kind. */
static void wait_for_wishes(struct prefetch *p)
{
        struct timespec limit;

        while (p->count == 0 && p->look_count == 0)
                pthread_cond_wait(&p->cond, &p->lock);
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_nsec += PREFETCH_LOOK_MS * 1000000L;
        limit.tv_sec += limit.tv_nsec / 1000000000;
        limit.tv_nsec %= 1000000000;
        while (p->count == 0 && pthread_cond_timedwait(&p->cond, &p->lock, &limit) == 0)
                ;
}

void *prefetch_thread(void *arg)
{
        struct server *s = arg;
        struct prefetch *p = &s->prefetch;

        for (;;) {
                uint64_t ids[PREFETCH_LOOK];
                enum wish wish = WISH_READ;
                size_t n;

                pthread_mutex_lock(&p->lock);
                wait_for_wishes(p);
                n = p->count;
                if (n) {
                        memcpy(ids, p->queue, n * sizeof(ids[0]));
                        p->count = 0;
                } else {
                        wish = WISH_LOOK;
                        n = p->look_count;
                        memcpy(ids, p->look, n * sizeof(ids[0]));
                        p->look_count = 0;
                }
                pthread_mutex_unlock(&p->lock);
                have_granted(s, wish, ids, n);
        }
        return NULL;
}
