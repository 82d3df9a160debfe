/* between.c: LD_PRELOAD for fusepkg: before the BETWEEN_N-th time that it opens a site-packages (from 1), BETWEEN is run
 * by a shell.  Processes that it starts are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void look(const char *path)
{
        static const char name[] = "/site-packages";
        size_t len = strlen(path);
        const char *n = getenv("BETWEEN_N");
        static int seen;

        if (!n || len < strlen(name) || strcmp(path + len - strlen(name), name) != 0 || ++seen != atoi(n))
                return;
        unsetenv("BETWEEN_N");
        unsetenv("LD_PRELOAD");
        if (system(getenv("BETWEEN")) != 0)
                abort();
}

static int pass_on(const char *function, int dirfd, const char *path, int flags, mode_t mode)
{
        int (*real)(int, const char *, int, ...);

        *(void **)&real = dlsym(RTLD_NEXT, function);
        look(path);
        return real(dirfd, path, flags, mode);
}

#define OPENAT(function)                                            \
        int function(int dirfd, const char *path, int flags, ...)   \
        {                                                           \
                mode_t mode;                                        \
                va_list list;                                       \
                                                                    \
                va_start(list, flags);                              \
                mode = va_arg(list, mode_t);                        \
                va_end(list);                                       \
                return pass_on(#function, dirfd, path, flags, mode); \
        }

OPENAT(openat)
OPENAT(openat64)
