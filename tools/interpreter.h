/* interpreter.h: what the venv's Python says of itself: asked once, and never for more.
 *
 * It is run with `-I -S -c …`: no site-packages, no user's variables, so that nothing a wheel brought is run.  The
 * answer is kept in `.fusepkg/python`, for as long as the executable, its links followed, is the same file (device,
 * inode, size and time stamp). */
#ifndef FUSEPKG_INTERPRETER_H
#define FUSEPKG_INTERPRETER_H

#include "store/base.h"

#define INTERPRETER_FILE "python" /* in .fusepkg */

/* The names are those of environment markers, where there is one. */
struct interpreter_facts {
        char *implementation_name;            /* "cpython" */
        char *implementation_version;         /* "3.12.1" */
        char *platform_python_implementation; /* "CPython" */
        char *python_version;                 /* "3.12" */
        char *python_full_version;            /* "3.12.1" */
        char *os_name;                        /* "posix" */
        char *sys_platform;                   /* "linux" */
        char *platform_system;                /* "Linux" */
        char *platform_machine;               /* "x86_64" */
        char *platform_release;               /* of the kernel: asked anew by each process */
        char *platform_version;
        char *sysconfig_platform;             /* "linux-x86_64" */
        char *extension_suffix;               /* ".cpython-312-x86_64-linux-gnu.so" */
        char *version_nodot;                  /* "312" */
        unsigned major;
        unsigned minor;
        bool free_threaded;
        bool debug;
        bool hard_float;                      /* 32-bit ARM only */
        unsigned pointer_bits;
        char *libc;                           /* "glibc", "musl" or "" */
        unsigned libc_major;
        unsigned libc_minor;
};

struct interpreter;
struct tags; /* tags.h */

/* EXECUTABLE is VENV/bin/python; it is not asked yet.  STATE_FD is the .fusepkg folder, borrowed, or -1: no cache. */
int interpreter_new(const char *executable, int state_fd, struct interpreter **ret);
void interpreter_free(struct interpreter *p); /* NULL is fine */

/* Asks, at the first call of either.  What they return belongs to P. */
int interpreter_get_facts(struct interpreter *p, const struct interpreter_facts **ret, struct errtext *err);
int interpreter_get_tags(struct interpreter *p, const struct tags **ret, struct errtext *err);

/* Reads the answer: lines "key value", values percent-encoded (buf.h).  -EBADMSG: something is missing. */
int interpreter_parse_facts(const char *text, size_t len, struct interpreter_facts *ret);
void interpreter_release_facts(struct interpreter_facts *f);

#endif
