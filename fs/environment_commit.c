/* Making the next generation the truth: see environment.h for the order of the steps, and fs/README.md for what a kill
 * between any two of them leaves. */
#include "fs/environment.h"

#include "fs/control.h"
#include "fs/environment_dirs.h"
#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <xxhash.h>

#define HISTORY_DIR "history"
#define GENERATED_PREFIX "generated."

enum {
        NUMBERED_NAME_SIZE = 40, /* a prefix and 20 digits */
        LOCK_TEXT_MAX = 4096,
};

static const uint64_t time_step_ns = 1000000;

static uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A clock that was set back must not make two commits look alike: time stamps of directories come from here. */
static uint64_t commit_time(const struct environment *old)
{
        uint64_t now = now_ns();

        return old && now < old->time + time_step_ns ? old->time + time_step_ns : now;
}

/* Gives NEXT's new slots their time, and their files their place among DATA, the bytes of generated.<n>. */
static int place_files(struct environment *next, struct buf *data)
{
        int r = 0;

        for (size_t i = 0; i < next->slot_count; i++) {
                struct slot *s = &next->slots[i];

                if (!s->time)
                        s->time = next->time;
                for (size_t k = 0; k < s->file_count && r >= 0; k++) {
                        struct generated_file *f = &s->files[k];

                        if (f->generation)
                                continue;
                        f->generation = next->generation;
                        f->offset = data->len;
                        f->length = f->data.len;
                        f->sum = XXH3_64bits(f->data.data, f->data.len);
                        if (f->kind == GENERATED_BYTES)
                                f->size = f->length;
                        r = buf_add(data, f->data.data, f->data.len);
                }
        }
        return r;
}

/* An environment that could not be read again would cost the user all of it: so it is read before it is written. */
static int format_checked(const struct environment *next, struct buf *ret, struct errtext *err)
{
        struct environment *again = NULL;
        struct errtext why = { "out of memory" };
        int r = environment_format(next, ret);

        if (r < 0)
                return r;
        r = environment_parse(ret->data, ret->len, &again, &why);
        if (r < 0)
                return errtext_set(err, r == -EBADMSG ? -EINVAL : r, "cannot write this environment: %s", why.text);
        environment_free(again);
        return 0;
}

static void generated_name(uint64_t generation, char ret[NUMBERED_NAME_SIZE])
{
        snprintf(ret, NUMBERED_NAME_SIZE, GENERATED_PREFIX "%" PRIu64, generation);
}

/* What a killed commit left under that name is replaced: no environment refers to it.  It is not opened: in another
 * user's venv it may be a FIFO, or a hard link to a file of root's. */
static int write_generated(int dirfd, uint64_t generation, const struct buf *data)
{
        char name[NUMBERED_NAME_SIZE];
        int fd cleanup_close = -1;
        int r;

        generated_name(generation, name);
        if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        fd = file_open_beneath(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0)
                return fd;
        r = file_write_full(fd, data->data, data->len);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? -errno : 0;
}

static int write_history(int dirfd, uint64_t generation, const struct buf *text)
{
        char name[NUMBERED_NAME_SIZE];
        int history cleanup_close = dir_make(dirfd, HISTORY_DIR, 0755);

        if (history < 0)
                return history;
        snprintf(name, sizeof(name), "%" PRIu64, generation);
        /* Not synced: the truth does not need it, and a sync is most of a commit's time. */
        return file_replace(history, name, text->data, text->len, 0644, false);
}

/* Gives a full disk its room back; nothing refers to these files. */
static void forget(int dirfd, uint64_t generation)
{
        char name[NUMBERED_NAME_SIZE];

        generated_name(generation, name);
        unlinkat(dirfd, name, 0);
        snprintf(name, sizeof(name), HISTORY_DIR "/%" PRIu64, generation);
        unlinkat(dirfd, name, 0);
        unlinkat(dirfd, HISTORY_DIR, AT_REMOVEDIR); /* where this was to be the first one */
}

/* Has the rename happened all the same, and only the folder's sync failed?  Then this is the truth, and its files
 * must stay. */
static bool is_truth(int dirfd, const struct buf *text)
{
        struct buf now cleanup_buf = { 0 };

        return file_read_at(dirfd, ENVIRONMENT_FILE, ENVIRONMENT_MAX, &now) >= 0 && now.len == text->len &&
               !memcmp(now.data, text->data, now.len);
}

static int write_all(int dirfd, const struct environment *next, const struct buf *data, const struct buf *text)
{
        int r = data->len ? write_generated(dirfd, next->generation, data) : 0;

        r = r < 0 ? r : write_history(dirfd, next->generation, text);
        r = r < 0 ? r : file_replace(dirfd, ENVIRONMENT_FILE, text->data, text->len, 0644, true);
        return r;
}

/* A whole string of digits without leading zeros, as we write numbers into names. */
static bool parse_generation(const char *digits, uint64_t *ret)
{
        uint64_t n = 0;

        if (!digits[0] || (digits[0] == '0' && digits[1]))
                return false;
        for (const char *p = digits; *p; p++) {
                if (*p < '0' || *p > '9' || n > (UINT64_MAX - 9) / 10)
                        return false;
                n = n * 10 + (uint64_t)(*p - '0');
        }
        *ret = n;
        return true;
}

struct numbers {
        uint64_t *list;
        size_t count;
};

static int numbers_add(struct numbers *n, uint64_t value)
{
        uint64_t *list = reallocarray(n->list, n->count + 1, sizeof(*list));

        if (!list)
                return -ENOMEM;
        n->list = list;
        list[n->count++] = value;
        return 0;
}

static bool numbers_have(const struct numbers *n, uint64_t value)
{
        for (size_t i = 0; i < n->count; i++)
                if (n->list[i] == value)
                        return true;
        return false;
}

static int compare_newest_first(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? 1 : x > y ? -1 : 0;
}

static bool is_environment(struct span name, const void *user)
{
        (void)user;
        return span_is(name, ENVIRONMENT_FILE) || (name.len && strspn(name.data, "0123456789") == name.len);
}

void environment_sweep(int dirfd)
{
        file_replace_sweep(dirfd, ".", is_environment, NULL);
        file_replace_sweep(dirfd, HISTORY_DIR, is_environment, NULL);
}

/* The numbers of the files PREFIX<number> in DIRFD. */
static int list_numbered(int dirfd, const char *prefix, struct numbers *ret)
{
        size_t len = strlen(prefix);
        DIR *dir = dir_stream(dirfd, ".");
        int r = 0;

        if (!dir)
                return -errno;
        for (struct dirent *d; r >= 0 && (d = readdir(dir));) {
                uint64_t n;

                if (!strncmp(d->d_name, prefix, len) && parse_generation(d->d_name + len, &n))
                        r = numbers_add(ret, n);
        }
        closedir(dir);
        return r;
}

/* The generations whose generated files TEXT, an environment, refers to: the third word of its `file` lines.  A text
 * that is damaged keeps at worst too much. */
static int add_referred(const struct buf *text, struct numbers *ret)
{
        const char *p = text->data, *end = p + text->len;
        int r = 0;

        while (p < end && r >= 0) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));
                size_t len = (size_t)((newline ? newline : end) - p);

                if (len > 7 && !memcmp(p, "file ", 5) && p[6] == ' ') {
                        uint64_t n = strtoull(p + 7, NULL, 10);

                        if (!numbers_have(ret, n))
                                r = numbers_add(ret, n);
                }
                p += len + 1;
        }
        return r;
}

/* A live mount may have to go back, when its process is replaced, to any generation since it began: programs hold
 * files of slots that have left.  As of the lock's line (control.h); UINT64_MAX: no mount lives here. */
static uint64_t first_of_mount(int dirfd)
{
        int fd cleanup_close = file_open_beneath(dirfd, CONTROL_LOCK_FILE, O_RDONLY | O_NONBLOCK, 0);
        struct buf text cleanup_buf = { 0 };
        const char *line;

        if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
            file_read_all(fd, LOCK_TEXT_MAX, &text) < 0)
                return UINT64_MAX;
        line = text.data ? strstr(text.data, "\nfirst ") : NULL;
        return line ? strtoull(line + 7, NULL, 10) : UINT64_MAX;
}

/* Drops all but the newest of HISTORY, and what a live mount needs; collects what the kept ones refer to. */
static int prune_history(int history, uint64_t generation, uint64_t first, struct numbers *ret_referred)
{
        struct numbers kept = { 0 };
        size_t left = HISTORY_KEPT;
        int r = list_numbered(history, "", &kept);

        if (r >= 0 && kept.count)
                qsort(kept.list, kept.count, sizeof(*kept.list), compare_newest_first);
        for (size_t i = 0; i < kept.count && r >= 0; i++) {
                struct buf text cleanup_buf = { 0 };
                char name[NUMBERED_NAME_SIZE];

                snprintf(name, sizeof(name), "%" PRIu64, kept.list[i]);
                if (kept.list[i] > generation || (!left && (kept.list[i] < first || i >= HISTORY_KEPT_LIVE))) {
                        unlinkat(history, name, 0);
                        continue;
                }
                left -= left > 0;
                r = file_read_at(history, name, ENVIRONMENT_MAX, &text);
                r = r < 0 ? r : add_referred(&text, ret_referred);
        }
        free(kept.list);
        return r;
}

/* The new truth stands already: what cannot be pruned now is pruned by a later commit. */
static void prune(int dirfd, const struct environment *now)
{
        struct numbers referred = { 0 }, files = { 0 };
        int history cleanup_close = dir_make(dirfd, HISTORY_DIR, 0755);
        int r = history < 0 ? history : prune_history(history, now->generation, first_of_mount(dirfd), &referred);

        r = r < 0 ? r : list_numbered(dirfd, GENERATED_PREFIX, &files);
        for (size_t i = 0; i < files.count && r >= 0; i++) {
                char name[NUMBERED_NAME_SIZE];

                if (numbers_have(&referred, files.list[i]))
                        continue;
                generated_name(files.list[i], name);
                unlinkat(dirfd, name, 0);
        }
        free(referred.list);
        free(files.list);
}

int environment_commit(int dirfd, const struct environment *old, struct environment *next,
                       const struct image_source *images, const struct site_now *site, struct errtext *err)
{
        struct buf data cleanup_buf = { 0 };
        struct buf text cleanup_buf = { 0 };
        char why[128];
        int r;

        next->generation = (old ? old->generation : 0) + 1;
        next->time = commit_time(old);
        r = place_files(next, &data);
        r = r < 0 ? r : environment_dirs_update(old, next, images, site, err);
        r = r < 0 ? r : format_checked(next, &text, err);
        if (r < 0)
                return r;
        r = write_all(dirfd, next, &data, &text);
        if (r < 0 && !is_truth(dirfd, &text)) {
                forget(dirfd, next->generation);
                return errtext_set(err, r, "cannot write '%s': %s", ENVIRONMENT_DIR, errno_name(r, why));
        }
        prune(dirfd, next);
        return 0;
}
