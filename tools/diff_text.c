#include "tools/diff_text.h"

#include "store/files.h"
#include "tools/quote.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

enum {
        LOOKED_AT = 8000,      /* bytes; as git's: a NUL in them makes a file binary */
        OUTPUT_MAX = 1 << 30,  /* bytes */
};

extern char **environ;

static bool is_binary(int fd)
{
        char data[LOOKED_AT];
        ssize_t n = pread(fd, data, sizeof(data), 0);

        return n > 0 && memchr(data, '\0', (size_t)n);
}

/* diff -u of the descriptors 3 and 4. */
static int spawn(int old, int new, const char *const labels[2], int output, pid_t *ret)
{
        const char *argv[] = { "diff",    "-u", "--label",   labels[0],   "--label",
                               labels[1], "--", "/dev/fd/3", "/dev/fd/4", NULL };
        posix_spawn_file_actions_t actions;
        /* Above what they become, so that neither is overwritten by the other. */
        cleanup_close int from = fcntl(old, F_DUPFD_CLOEXEC, 10), to = fcntl(new, F_DUPFD_CLOEXEC, 10),
                          out = fcntl(output, F_DUPFD_CLOEXEC, 10);
        int r;

        if (from < 0 || to < 0 || out < 0 || posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        r = -posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = -posix_spawn_file_actions_adddup2(&actions, out, 1);
        if (r == 0)
                r = -posix_spawn_file_actions_adddup2(&actions, from, 3);
        if (r == 0)
                r = -posix_spawn_file_actions_adddup2(&actions, to, 4);
        if (r == 0)
                r = -posix_spawn_file_actions_addclosefrom_np(&actions, 5);
        if (r == 0)
                r = -posix_spawnp(ret, "diff", &actions, NULL, (char *const *)argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        return r;
}

static int read_to_end(int fd, struct buf *ret)
{
        for (;;) {
                ssize_t n;
                int r = ret->len > OUTPUT_MAX ? -EFBIG : buf_reserve(ret, 64 << 10);

                if (r < 0)
                        return r;
                n = read(fd, ret->data + ret->len, 64 << 10);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                ret->len += (size_t)n;
                ret->data[ret->len] = '\0';
        }
}

static int run(int old, int new, const char *const labels[2], struct buf *ret, struct errtext *err)
{
        int ends[2], r, status = 0;
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return errtext_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
        r = spawn(old, new, labels, ends[1], &pid);
        close(ends[1]);
        if (r == 0) {
                r = read_to_end(ends[0], ret);
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
                if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) > 1))
                        r = -EIO;
        }
        close(ends[0]);
        if (r == -ENOENT)
                return errtext_set(err, r, "the program diff is missing: it is in the package diffutils");
        return r < 0 ? errtext_set(err, r, "diff failed: %s", errno_name(r, (char[128]){ 0 })) : 0;
}

static void count_lines(const char *text, struct diff_lines *ret)
{
        bool body = false;

        while (text && *text) {
                body = body || strncmp(text, "@@", 2) == 0;
                ret->added += body && *text == '+';
                ret->removed += body && *text == '-';
                text = strchr(text, '\n');
                text = text ? text + 1 : NULL;
        }
}

static int add_bytes(const struct diff *d, const struct diff_file *f, const char *was, struct buf *ret,
                     struct diff_lines *lines, struct errtext *err)
{
        cleanup_close int old = diff_side_open(d, &f->old), new = diff_side_open(d, &f->new);
        cleanup_buf struct buf a = { 0 }, b = { 0 };
        size_t start = ret->len;
        int r;

        if (old == -ENODATA || new == -ENODATA) {
                r = buf_printf(ret, "Only %c/", old == -ENODATA ? 'b' : 'a');
                if (r == 0)
                        r = quote_path(ret, "", f->path);
                return r < 0 ? r : buf_add_str(ret, " can be seen\n");
        }
        if (old < 0 || new < 0)
                return errtext_set(err, old < 0 ? old : new, "cannot read '%.900s': %s", f->path,
                                   errno_name(old < 0 ? old : new, (char[128]){ 0 }));
        if (diff_same_bytes(old, new))
                return 0;
        r = f->old.where == DIFF_NOWHERE ? buf_add_str(&a, "/dev/null") : quote_path(&a, "a/", was);
        if (r == 0)
                r = f->new.where == DIFF_NOWHERE ? buf_add_str(&b, "/dev/null") : quote_path(&b, "b/", f->path);
        if (r < 0)
                return r;
        lines->binary = is_binary(old) || is_binary(new);
        if (lines->binary)
                return buf_printf(ret, "Binary files %s and %s differ\n", a.data, b.data);
        r = run(old, new, (const char *const[]){ a.data, b.data }, ret, err);
        if (r == 0)
                count_lines(ret->data ? ret->data + start : NULL, lines);
        return r;
}

/* What git does not know is said in lines that are no patch: git and patch pass them over. */
static bool is_gits(mode_t mode)
{
        return !mode || S_ISREG(mode) || S_ISLNK(mode);
}

static const char *kind_name(mode_t mode)
{
        return S_ISDIR(mode)  ? "folder" :
               S_ISFIFO(mode) ? "FIFO" :
               S_ISSOCK(mode) ? "socket" :
               S_ISREG(mode)  ? "file" :
               S_ISLNK(mode)  ? "symlink" :
                                "device";
}

static int add_header(struct buf *b, const char *was, const char *path)
{
        int r = buf_add_str(b, "diff --git ");

        if (r == 0)
                r = quote_path(b, "a/", was);
        if (r == 0)
                r = buf_add_char(b, ' ');
        if (r == 0)
                r = quote_path(b, "b/", path);
        return r < 0 ? r : buf_add_char(b, '\n');
}

static int add_names(struct buf *b, const char *was, const char *path)
{
        int r = buf_add_str(b, "rename from ");

        if (r == 0)
                r = quote_path(b, "", was);
        if (r == 0)
                r = buf_add_str(b, "\nrename to ");
        if (r == 0)
                r = quote_path(b, "", path);
        return r < 0 ? r : buf_add_char(b, '\n');
}

static int add_moved(const struct diff_moved *m, void *user)
{
        struct buf *b = user;
        int r = add_header(b, m->from, m->to);

        return r < 0 ? r : add_names(b, m->from, m->to);
}

static int add_special(const struct diff *d, const struct diff_file *f, struct buf *b)
{
        const char *kind = kind_name(f->new.mode ? f->new.mode : f->old.mode);
        int r;

        if (f->kind == CHANGE_MOVED) {
                r = buf_printf(b, "Moved %s:\n", kind);
                if (r == 0)
                        r = add_names(b, f->from, f->path);
                return r < 0 || !S_ISDIR(f->old.mode) ? r : diff_moved_files(d, f, add_moved, b);
        }
        r = buf_printf(b, "%s %s: ",
                       f->kind == CHANGE_ADDED   ? "New" :
                       f->kind == CHANGE_REMOVED ? "Removed" :
                                                   "Changed",
                       kind);
        if (r == 0)
                r = quote_path(b, "", f->path);
        if (r == 0 && f->old.mode && f->new.mode && f->old.mode != f->new.mode)
                r = buf_printf(b, ", mode %06o, was %06o", f->new.mode, f->old.mode);
        return r < 0 ? r : buf_add_char(b, '\n');
}

static unsigned git_mode(mode_t mode)
{
        return S_ISLNK(mode) ? 0120000 : mode;
}

static int add_patch(const struct diff *d, const struct diff_file *f, struct buf *ret, struct diff_lines *lines,
                     struct errtext *err)
{
        const char *was = f->from ? f->from : f->path;
        int r = add_header(ret, was, f->path);

        /* git wants it in this order. */
        if (r == 0 && f->kind == CHANGE_MODIFIED && f->old.mode && f->old.mode != f->new.mode)
                r = buf_printf(ret, "old mode %06o\nnew mode %06o\n", git_mode(f->old.mode), git_mode(f->new.mode));
        if (r == 0 && f->kind == CHANGE_ADDED)
                r = buf_printf(ret, "new file mode %06o\n", git_mode(f->new.mode));
        else if (r == 0 && f->kind == CHANGE_REMOVED)
                r = buf_printf(ret, "deleted file mode %06o\n", git_mode(f->old.mode));
        else if (r == 0 && f->from)
                r = add_names(ret, was, f->path);
        return r < 0 || f->kind == CHANGE_MOVED ? r : add_bytes(d, f, was, ret, lines, err);
}

/* A hard link is a file more: git knows no links, and takes back no copies. */
static struct diff_file as_added(const struct diff_file *f)
{
        return (struct diff_file){ .kind = CHANGE_ADDED, .path = f->path, .new = f->new };
}

int diff_text(const struct diff *d, const struct diff_file *f, struct buf *ret, struct diff_lines *ret_lines,
              struct errtext *err)
{
        const struct diff_file added = as_added(f);
        struct diff_lines lines = { 0 };
        int r;

        if (f->kind == CHANGE_LINKED)
                f = &added;
        r = is_gits(f->old.mode) && is_gits(f->new.mode) ? add_patch(d, f, ret, &lines, err) : add_special(d, f, ret);

        if (ret_lines)
                *ret_lines = lines;
        return r == -ENOMEM ? errtext_set(err, r, "out of memory") : r;
}
