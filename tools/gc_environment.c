/* Which images an environment names.  Not by environment_parse(): what is damaged, or written by a newer fusepkg, must
 * keep what it names all the same. */
#include "fs/environment.h"
#include "store/files.h"
#include "tools/gc_roots.h"

#include <fcntl.h>
#include <stdio.h>


/* Who is told of images; see gc_environment_read(). */
struct listener {
        int (*fn)(const uint8_t image[SHA256_SIZE], uint64_t generation, bool current, void *user);
        void *user;
};

/* A venv may be another user's: nothing in it may make us wait. */
static int read_text(int dirfd, const char *path, struct buf *ret)
{
        cleanup_close int fd = file_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK, 0);
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -EINVAL;
        return file_read_all(fd, ENVIRONMENT_MAX, ret);
}

/* The word of LINE with that number, from 0. */
static struct span word_of(struct span line, size_t number)
{
        for (;;) {
                const char *space = memchr(line.data, ' ', line.len);
                size_t len = space ? (size_t)(space - line.data) : line.len;

                if (number-- == 0)
                        return (struct span){ line.data, len };
                len += space != NULL;
                line = (struct span){ line.data + len, line.len - len };
                if (!space)
                        return (struct span){ line.data, 0 };
        }
}

static void take_word(struct span word, char *ret, size_t size)
{
        snprintf(ret, size, "%.*s", (int)(word.len < size ? word.len : size - 1), word.data);
}

static void take_header(struct span line, struct gc_environment *e)
{
        struct span key = word_of(line, 0);
        char number[24];

        if (span_is(key, "id"))
                take_word(word_of(line, 1), e->id, sizeof e->id);
        else if (span_is(key, "store"))
                take_word(word_of(line, 1), e->store_id, sizeof e->store_id);
        else if (span_is(key, "generation")) {
                take_word(word_of(line, 1), number, sizeof number);
                e->generation = strtoull(number, NULL, 10);
        }
}

/* GENERATION 0: what the text says of itself. */
static int scan(const struct buf *text, uint64_t generation, const struct listener *l, struct gc_environment *ret)
{
        struct gc_environment e = { .damaged = true };
        const char *p = text->data, *end = p + text->len;
        int r = 0;

        while (r == 0 && p && p < end) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));
                struct span line = { p, (size_t)((newline ? newline : end) - p) }, image;
                uint8_t id[SHA256_SIZE];

                take_header(line, &e);
                image = word_of(line, 2);
                if (span_is(word_of(line, 0), "slot") && image.len == 2 * SHA256_SIZE &&
                    hex_decode(image.data, image.len, id, SHA256_SIZE) == 0)
                        r = l->fn(id, generation ? generation : e.generation, generation == 0, l->user);
                if (span_is(word_of(line, 0), "end"))
                        e.damaged = !newline || newline + 1 != end || !e.id[0] || !e.store_id[0];
                p = newline ? newline + 1 : end;
        }
        *ret = e;
        return r;
}

/* The numbers are those of files that a running commit may write, or prune. */
static int read_history(int state_fd, uint64_t current, const struct listener *l, bool *whole)
{
        DIR *dir = dir_stream(state_fd, "history");
        const struct dirent *d;
        int r = 0;

        if (!dir) {
                *whole = *whole && errno == ENOENT;
                return 0;
        }
        while (r == 0 && (d = readdir(dir))) {
                cleanup_buf struct buf text = { 0 };
                uint64_t generation = strtoull(d->d_name, NULL, 10);
                struct gc_environment ignored;

                if (!d->d_name[0] || strspn(d->d_name, "0123456789") != strlen(d->d_name) || generation == current ||
                    generation == 0)
                        continue;
                r = read_text(dirfd(dir), d->d_name, &text);
                if (r == 0)
                        r = scan(&text, generation, l, &ignored);
                else if (r != -ENOMEM) {
                        *whole = *whole && r == -ENOENT;
                        r = 0;
                }
        }
        closedir(dir);
        return r;
}

int gc_environment_read(int state_fd,
                        int (*fn)(const uint8_t image[SHA256_SIZE], uint64_t generation, bool current, void *user),
                        void *user, struct gc_environment *ret, bool *ret_whole)
{
        cleanup_buf struct buf text = { 0 };
        const struct listener l = { fn, user };
        struct gc_environment e;
        bool whole = true;
        int r = read_text(state_fd, ENVIRONMENT_FILE, &text);

        if (r == 0)
                r = scan(&text, 0, &l, &e);
        if (r == 0)
                r = read_history(state_fd, e.damaged ? 0 : e.generation, &l, &whole);
        if (r < 0)
                return r;
        *ret = e;
        *ret_whole = whole && !e.damaged;
        return 0;
}
