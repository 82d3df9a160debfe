#include "tools/edit_paths.h"

#include "tools/edit_dists.h"

static int by_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int edit_paths_add(struct edit_paths *p, const char *path, size_t len)
{
        char **more = reallocarray(p->list, p->count + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        p->list = more;
        more[p->count] = strndup(path, len);
        return more[p->count] ? (p->count++, 0) : -ENOMEM;
}

void edit_paths_sort(struct edit_paths *p)
{
        if (p->count)
                qsort(p->list, p->count, sizeof(*p->list), by_bytes);
}

void edit_paths_release(struct edit_paths *p)
{
        for (size_t i = 0; i < p->count; i++)
                free(p->list[i]);
        free(p->list);
        *p = (struct edit_paths){ 0 };
}

/* The first that is not before PATH. */
static size_t seek(const struct edit_paths *p, const char *path)
{
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(p->list[mid], path) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

bool edit_paths_have(const struct edit_paths *p, const char *path, bool folder)
{
        cleanup_buf struct buf below = { 0 };
        size_t at = seek(p, path);

        if (at < p->count && strcmp(p->list[at], path) == 0)
                return true;
        if (!folder || buf_printf(&below, "%s/", path) < 0)
                return false;
        at = seek(p, below.data);
        return at < p->count && strncmp(p->list[at], below.data, below.len) == 0;
}

int edit_paths_add_record(const struct target *t, const struct buf *text, struct edit_paths *ret)
{
        struct record record = { 0 };
        struct errtext ignored;
        size_t site = strlen(t->site_rel);
        int r = 0;

        if (!text->data || record_parse(text->data, text->len, &record, &ignored) < 0)
                return 0;
        for (size_t i = 0; r == 0 && i < record.count; i++) {
                cleanup_buf struct buf path = { 0 };

                r = edit_dists_resolve(t, record.rows[i].path, &path);
                if (r == 0 && edit_path_is_within(path.data, t->site_rel) && path.len > site)
                        r = edit_paths_add(ret, path.data + site + 1, path.len - site - 1);
                if (r == -EPERM)
                        r = 0;
        }
        record_release(&record);
        return r;
}
