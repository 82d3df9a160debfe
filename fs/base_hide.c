/* base_hide.c: which paths of the base belong to distributions that were upgraded or removed. */
#include "fs/base_layer.h"
#include "store/files.h"
#include "store/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <xxhash.h>

enum { RECORD_MAX = 64 << 20 }; /* bytes; the largest real one has 3 MB */

static const char *const own_files[] = { BASE_START_FILE, BASE_GUARD_FILE, BASE_FILE_NEW };

struct hidden {
        XXH128_hash_t *paths; /* sorted; 128 bits, so that no two paths meet */
        size_t count;
        size_t cap;
};

static int compare_hash(const void *a, const void *b)
{
        return XXH128_cmp(a, b);
}

bool hidden_has(const struct hidden *h, const char *path, size_t len)
{
        XXH128_hash_t key;

        if (!h || h->count == 0 || len == 0)
                return false;
        key = XXH3_128bits(path, len);
        return bsearch(&key, h->paths, h->count, sizeof(key), compare_hash) != NULL;
}

bool base_is_own(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(own_files); i++)
                if (strcmp(name, own_files[i]) == 0)
                        return true;
        return false;
}

static int add_hash(struct hidden *h, const char *path, size_t len)
{
        if (h->count == h->cap) {
                size_t cap = h->cap ? 2 * h->cap : 256;
                XXH128_hash_t *more = realloc(h->paths, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                h->paths = more;
                h->cap = cap;
        }
        h->paths[h->count++] = XXH3_128bits(path, len);
        return 0;
}

static void sort_hashes(struct hidden *h)
{
        size_t kept = 0;

        if (h->count == 0)
                return;
        qsort(h->paths, h->count, sizeof(*h->paths), compare_hash);
        for (size_t i = 0; i < h->count; i++)
                if (kept == 0 || XXH128_cmp(&h->paths[i], &h->paths[kept - 1]) != 0)
                        h->paths[kept++] = h->paths[i];
        h->count = kept;
}

/* The folders to look at, deepest first, so that a folder is judged after those in it. */
struct folders {
        char **paths;
        size_t count;
        size_t cap;
};

static void folders_release(struct folders *f)
{
        for (size_t i = 0; i < f->count; i++)
                free(f->paths[i]);
        free(f->paths);
}

static int add_folder(struct folders *f, const char *path, size_t len)
{
        if (f->count && strlen(f->paths[f->count - 1]) == len && memcmp(f->paths[f->count - 1], path, len) == 0)
                return 0;
        if (f->count == f->cap) {
                size_t cap = f->cap ? 2 * f->cap : 64;
                char **more = realloc(f->paths, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                f->paths = more;
                f->cap = cap;
        }
        f->paths[f->count] = strndup(path, len);
        if (!f->paths[f->count])
                return -ENOMEM;
        f->count++;
        return 0;
}

static size_t depth_of(const char *path)
{
        size_t depth = 1;

        for (; *path; path++)
                depth += *path == '/';
        return depth;
}

static int compare_folders(const void *a, const void *b)
{
        const char *x = *(char *const *)a, *y = *(char *const *)b;
        size_t dx = depth_of(x), dy = depth_of(y);

        return dx != dy ? (dx < dy ? 1 : -1) : strcmp(x, y);
}

/* All folders above PATH. */
static int add_parents(struct folders *f, const char *path)
{
        int r = 0;

        for (const char *slash = strrchr(path, '/'); slash && r == 0;) {
                size_t len = (size_t)(slash - path);

                r = add_folder(f, path, len);
                slash = memrchr(path, '/', len);
        }
        return r;
}

/* Rows that leave site-packages (scripts) are not the base's. */
static bool is_inside(const char *path)
{
        return *path && *path != '/' && strncmp(path, "../", 3) != 0 && !strstr(path, "/../");
}

static int hide_rows(struct hidden *h, struct folders *f, const struct record *rec)
{
        int r = 0;

        for (size_t i = 0; i < rec->count && r == 0; i++) {
                const char *path = rec->rows[i].path;

                if (!is_inside(path))
                        continue;
                r = add_hash(h, path, strlen(path));
                if (r == 0)
                        r = add_parents(f, path);
        }
        return r;
}

struct scan {
        struct hidden *known; /* sorted */
        struct hidden *found;
        const char *folder;
        bool empty;
};

/* Bytecode belongs to its source: folder/__pycache__/x.cpython-312.pyc to folder/x.py. */
static bool is_hidden_bytecode(const struct hidden *known, const char *folder, const char *name)
{
        const char *dot = strchr(name, '.'), *end = strrchr(name, '.');
        size_t above = strlen(folder);
        char source[4096];
        int n;

        if (!dot || !end || strcmp(end, ".pyc") != 0)
                return false;
        if (above < 11 || strcmp(folder + above - 11, "__pycache__") != 0)
                return false;
        above -= 11;
        n = snprintf(source, sizeof(source), "%.*s%.*s.py", (int)above, folder, (int)(dot - name), name);
        return n > 0 && (size_t)n < sizeof(source) && hidden_has(known, source, (size_t)n);
}

static int scan_name(const char *name, mode_t type, void *user)
{
        struct scan *s = user;
        cleanup_buf struct buf path = { 0 };
        int r = buf_printf(&path, "%s/%s", s->folder, name);

        (void)type;
        if (r < 0)
                return r;
        if (hidden_has(s->known, path.data, path.len))
                return 0;
        if (is_hidden_bytecode(s->known, s->folder, name))
                return add_hash(s->found, path.data, path.len);
        s->empty = false;
        return 0;
}

/* Adds to a sorted set, which stays sorted. */
static int insert_hash(struct hidden *h, XXH128_hash_t key)
{
        size_t at;
        int r = add_hash(h, "", 0);

        if (r < 0)
                return r;
        for (at = h->count - 1; at > 0 && XXH128_cmp(&h->paths[at - 1], &key) > 0; at--)
                h->paths[at] = h->paths[at - 1];
        h->paths[at] = key;
        return 0;
}

/* Hides the bytecode in FOLDER, and FOLDER itself when nothing else is left in it. */
static int hide_folder(struct base *b, struct hidden *h, const char *folder)
{
        struct hidden found = { 0 };
        struct scan s = { h, &found, folder, true };
        int r = base_list(b, NULL, folder, scan_name, &s);

        if (r == -ENOENT || r == -ENOTDIR) {
                r = 0;
                s.empty = false;
        }
        for (size_t i = 0; i < found.count && r == 0; i++)
                r = insert_hash(h, found.paths[i]);
        if (r == 0 && s.empty)
                r = insert_hash(h, XXH3_128bits(folder, strlen(folder)));
        free(found.paths);
        return r;
}

static int hide_distribution(struct base *b, struct hidden *h, struct folders *f, const char *name, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        cleanup_buf struct buf path = { 0 };
        struct record rec = { 0 };
        int r = buf_printf(&path, "%s/RECORD", name);

        if (r < 0)
                return r;
        r = file_read_at(base_fd(b), path.data, RECORD_MAX, &text);
        if (r == -ENOENT)
                return 0; /* gone from the base meanwhile: nothing to hide */
        if (r == 0)
                r = record_parse(text.data ? text.data : "", text.len, &rec, err);
        if (r == 0)
                r = hide_rows(h, f, &rec);
        if (r == 0)
                r = add_hash(h, name, strlen(name));
        record_release(&rec);
        return r;
}

/* Bytecode folders of the folders that lose sources are looked at too. */
static int add_bytecode_folders(struct folders *f)
{
        size_t n = f->count;
        int r = add_folder(f, "__pycache__", 11);

        for (size_t i = 0; i < n && r == 0; i++) {
                cleanup_buf struct buf path = { 0 };

                r = buf_printf(&path, "%s/__pycache__", f->paths[i]);
                if (r == 0)
                        r = add_folder(f, path.data, path.len);
        }
        return r;
}

int hidden_new(struct base *b, char *const *names, size_t n, struct hidden **ret, struct errtext *err)
{
        struct hidden *h = calloc(1, sizeof(*h));
        struct folders f = { 0 };
        int r = h ? 0 : errtext_set(err, -ENOMEM, "out of memory");

        for (size_t i = 0; i < ARRAY_LEN(own_files) && r == 0; i++)
                r = add_hash(h, own_files[i], strlen(own_files[i]));
        for (size_t i = 0; i < n && r == 0; i++)
                r = hide_distribution(b, h, &f, names[i], err);
        if (r == 0 && n)
                r = add_bytecode_folders(&f);
        if (r == 0) {
                sort_hashes(h);
                if (f.count)
                        qsort(f.paths, f.count, sizeof(*f.paths), compare_folders);
        }
        for (size_t i = 0; i < f.count && r == 0; i++)
                if (i == 0 || strcmp(f.paths[i], f.paths[i - 1]) != 0)
                        r = hide_folder(b, h, f.paths[i]);
        folders_release(&f);
        if (r < 0) {
                hidden_free(h);
                return r;
        }
        *ret = h;
        return 0;
}

void hidden_free(struct hidden *h)
{
        if (!h)
                return;
        free(h->paths);
        free(h);
}
