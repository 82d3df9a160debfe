/* tree_bytecode.c: bytecode does not pass for that of a source that was changed after it had been read.
 *
 * Python takes bytecode for its source's when it was compiled from one of that size, and of that time in whole seconds.
 * On other file systems two changes within a second, with an import between them, leave the bytecode of the first, which
 * runs for the second.  So here a source whose bytecode arrives within the second of its last change is noted, and its
 * next change gets the next second, even one that has not begun yet: whether it is written to, or another file takes its
 * name.
 *
 * Python writes `NAME.cpython-311.pyc.1234` and renames it to `__pycache__/NAME.cpython-311.pyc`.  What is noted is
 * forgotten as soon as the clock has got there. */
#include "fs/tree_private.h"
#include "store/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define CACHE_DIR "__pycache__"
#define BYTECODE ".pyc"
#define SOURCE ".py"

enum { AHEAD_MAX_S = 3600 }; /* a later time than that was set by hand, and is not that of the next change */

/* As the file systems below date what is written. */
static int64_t now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME_COARSE, &t);
        return t.tv_sec;
}

static bool has_noted(const struct tree *t)
{
        return now_s() < atomic_load_explicit(&t->sources_until, memory_order_relaxed);
}

static size_t known(const struct tree *t)
{
        return t->source_count < TREE_SOURCES ? t->source_count : TREE_SOURCES;
}

static struct tree_source *find_name(struct tree *t, uint64_t dir, uint64_t cookie)
{
        for (size_t i = 0; i < known(t); i++)
                if (t->sources[i].dir == dir && t->sources[i].cookie == cookie)
                        return &t->sources[i];
        return NULL;
}

static void note(struct tree *t, const struct tree_source *s)
{
        struct tree_source *place;

        if (!has_noted(t))
                t->source_count = 0;
        place = find_name(t, s->dir, s->cookie);
        if (!place)
                place = &t->sources[t->source_count++ % TREE_SOURCES];
        *place = *s;
        if (atomic_load(&t->sources_until) < s->next)
                atomic_store(&t->sources_until, s->next);
}

static bool ends_with(const char *name, const char *end)
{
        size_t len = strlen(name), n = strlen(end);

        return len > n && strcmp(name + len - n, end) == 0;
}

static void note_source_of(struct tree *t, uint64_t cache, const char *bytecode)
{
        cleanup_buf struct buf folder = { 0 };
        struct tree_source s = { 0 };
        char name[IMAGE_NAME_MAX + sizeof(SOURCE)];
        struct node n;
        mode_t type;

        snprintf(name, sizeof(name), "%.*s" SOURCE, (int)strcspn(bytecode, "."), bytecode);
        if (tree_place(t, cache, &s.dir, &folder) < 0 || folder.len != strlen(CACHE_DIR) ||
            memcmp(folder.data, CACHE_DIR, folder.len) != 0 ||
            tree_resolve(t, s.dir, name, strlen(name), &s.id, &type) < 0 || !S_ISREG(type) ||
            tree_stat_named(t, s.id, &n) < 0)
                return;
        s.cookie = image_cookie(name, strlen(name));
        s.next = n.st.st_mtim.tv_sec + 1;
        if (s.next > now_s() && s.next <= now_s() + AHEAD_MAX_S)
                note(t, &s);
}

/* Moves the time of a data file on to that second; false: it was not before it. */
static bool move_on(struct edit_file *f, int64_t second)
{
        const struct timespec times[2] = { { 0, UTIME_OMIT }, { second, 0 } };
        struct stat st;

        return fstat(edit_file_fd(f), &st) == 0 && st.st_mtim.tv_sec < second &&
               futimens(edit_file_fd(f), times) == 0;
}

/* Another file may have been made in the second from which the bytecode is: one that is older, or newer, is told from
 * it. */
static uint64_t name_source(struct tree *t, uint64_t dir, const char *name)
{
        struct tree_source *s = has_noted(t) ? find_name(t, dir, image_cookie(name, strlen(name))) : NULL;
        struct edit_file *f;
        struct edit_node n;
        struct node shown;
        mode_t type;
        bool moved;

        if (!s || tree_resolve(t, dir, name, strlen(name), &s->id, &type) < 0 || !S_ISREG(type) ||
            tree_stat_named(t, s->id, &shown) < 0 || shown.st.st_mtim.tv_sec != s->next - 1 ||
            edits_node_get(t->edits, s->id, &n) < 0 || !n.data || edit_file_get(t->data, s->id, &f) < 0)
                return 0;
        moved = move_on(f, s->next);
        edit_file_put(t->data, f);
        return moved ? s->id : 0;
}

uint64_t tree_named(struct tree *t, uint64_t dir, const char *name)
{
        uint64_t id = 0;

        if (!t->edits || (!ends_with(name, BYTECODE) && (!ends_with(name, SOURCE) || !has_noted(t))))
                return 0;
        pthread_mutex_lock(&t->lock);
        if (ends_with(name, BYTECODE))
                note_source_of(t, dir, name);
        else
                id = name_source(t, dir, name);
        pthread_mutex_unlock(&t->lock);
        return id;
}

void tree_bytes_changed(struct tree *t, uint64_t id, struct edit_file *f)
{
        int64_t next = 0;

        if (!has_noted(t))
                return;
        pthread_mutex_lock(&t->lock);
        for (size_t i = 0; i < known(t) && !next; i++)
                if (t->sources[i].id == id)
                        next = t->sources[i].next;
        pthread_mutex_unlock(&t->lock);
        if (next)
                (void)move_on(f, next);
}
