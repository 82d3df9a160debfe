/* poison.c: LD_PRELOAD for fusepkg-mount: looking certain names up ends the process that does.
 *
 * poison-segv, poison-abort: by a fault of its own; poison-kill: as the kernel does when memory is short.  While the file
 * named by POISON_LOOP is there, each process ends by a fault a moment after it has begun to serve; while that named by
 * POISON_LOAD is there, none gets ready. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fuse_session;
struct fuse_buf { /* as libfuse has it */
        size_t size;
        int flags;
        void *mem;
};

void fuse_session_process_buf(struct fuse_session *se, const struct fuse_buf *buf)
{
        void (*real)(struct fuse_session *, const struct fuse_buf *);
        const struct fuse_in_header *h = buf->mem;

        if (h->opcode == FUSE_LOOKUP && strcmp((const char *)(h + 1), "poison-segv") == 0)
                *(volatile char *)8 = 1;
        if (h->opcode == FUSE_LOOKUP && strcmp((const char *)(h + 1), "poison-abort") == 0)
                abort();
        if (h->opcode == FUSE_LOOKUP && strcmp((const char *)(h + 1), "poison-kill") == 0)
                kill(getpid(), SIGKILL);
        *(void **)&real = dlsym(RTLD_NEXT, "fuse_session_process_buf");
        real(se, buf);
}

struct sqlite3;

int sqlite3_open_v2(const char *name, struct sqlite3 **ret, int flags, const char *vfs)
{
        int (*real)(const char *, struct sqlite3 **, int, const char *);
        const char *path = getenv("POISON_LOAD");

        while (path && access(path, F_OK) == 0)
                usleep(10000);
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_open_v2");
        return real(name, ret, flags, vfs);
}

static void *end_soon(void *path)
{
        usleep(300000);
        if (access(path, F_OK) == 0)
                abort();
        return NULL;
}

__attribute__((constructor)) static void begin(void)
{
        char *path = getenv("POISON_LOOP");
        pthread_t thread;

        /* The worker alone has threads. */
        if (path && strstr(program_invocation_name, "fusepkg-mount") && access(path, F_OK) == 0)
                pthread_create(&thread, NULL, end_soon, path);
}
