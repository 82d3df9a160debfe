#include "fs/mount_session.h"
#include "fs/control.h"

#include <ctype.h>
#include <fcntl.h>
#include <fuse3/fuse_log.h>
#include <stdio.h>

/* libfuse and fusermount3 speak to stderr: it is a pipe while they work, and what they say becomes our sentence. */
struct capture {
        int saved_fd;
        int read_fd;
};

static int capture_start(struct capture *c)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        c->saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        c->read_fd = ends[0];
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        return 0;
}

static void capture_end(struct capture *c, char *ret_text, size_t size)
{
        ssize_t n;

        fflush(stderr);
        dup2(c->saved_fd, STDERR_FILENO);
        close(c->saved_fd);
        n = read(c->read_fd, ret_text, size - 1);
        ret_text[n > 0 ? n : 0] = '\0';
        close(c->read_fd);
        /* One line, without a final period or newline. */
        for (char *p = ret_text; *p; p++)
                if (*p == '\n')
                        *p = p[1] ? ';' : '\0';
}

int mount_session_new(struct server *s, bool allow_other)
{
        char options[] = "rw,nosuid,nodev,default_permissions,fsname=fusepkg,subtype=fusepkg,allow_other";
        char program[] = "fusepkg-mount", flag[] = "-o";
        char *argv[] = { program, flag, options, NULL };
        struct fuse_args args = FUSE_ARGS_INIT(3, argv);

        if (s->read_only)
                memcpy(options, "ro", 2);
        if (!allow_other)
                *strrchr(options, ',') = '\0';
        s->se = fuse_session_new(&args, &server_ops, sizeof(server_ops), s);
        fuse_opt_free_args(&args);
        return s->se ? 0 : -EINVAL;
}

int mount_session(struct server *s, const char *site, bool allow_other, struct errtext *err)
{
        struct capture c = { -1, -1 };
        char said[1024];
        int r = capture_start(&c);

        if (r < 0)
                return errtext_set(err, r, "cannot make a pipe");
        r = mount_session_new(s, allow_other);
        if (r == 0 && fuse_session_mount(s->se, site) != 0)
                r = -EACCES;
        capture_end(&c, said, sizeof(said));
        if (r < 0)
                return errtext_set(err, r, CONTROL_REFUSED "'%s': %s", site, *said ? said : "libfuse did not say why");
        return 0;
}
