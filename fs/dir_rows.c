#include "fs/dir_rows.h"

#include "store/files.h"
#include "store/record.h"

enum {
        BARE_RECORD_MAX = 64 << 20, /* bytes; a larger RECORD of the base is not read */
};

int dir_rows_add(struct dir_rows *rows, const char *path, uint64_t id, uint64_t time, uint64_t as_of)
{
        char *copy;

        if (rows->count == rows->room) {
                struct dir_row *list = reallocarray(rows->list, rows->room * 2 + 32, sizeof(*list));

                if (!list)
                        return -ENOMEM;
                rows->list = list;
                rows->room = rows->room * 2 + 32;
        }
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        rows->list[rows->count++] = (struct dir_row){ .path = copy, .id = id, .time = time, .as_of = as_of };
        return 0;
}

void dir_rows_release(struct dir_rows *rows)
{
        for (size_t i = 0; i < rows->count; i++)
                free(rows->list[i].path);
        free(rows->list);
        *rows = (struct dir_rows){ 0 };
}

static int compare(const void *a, const void *b)
{
        return strcmp(((const struct dir_row *)a)->path, ((const struct dir_row *)b)->path);
}

void dir_rows_settle(struct dir_rows *rows)
{
        size_t kept = 0;

        if (rows->count)
                qsort(rows->list, rows->count, sizeof(*rows->list), compare);
        for (size_t i = 0; i < rows->count; i++) {
                struct dir_row *row = &rows->list[i];
                struct dir_row *last = kept ? &rows->list[kept - 1] : NULL;

                if (!last || strcmp(last->path, row->path)) {
                        rows->list[kept++] = *row;
                        continue;
                }
                if (row->id)
                        last->id = row->id;
                if (row->time > last->time)
                        last->time = row->time;
                if (row->as_of > last->as_of)
                        last->as_of = row->as_of;
                free(row->path);
        }
        rows->count = kept;
}

/* A path of RECORD that stays in site-packages. */
static bool is_inside(const char *path)
{
        for (;;) {
                size_t len = strcspn(path, "/");

                if (!len || (path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.'))))
                        return false;
                if (!path[len])
                        return true;
                path += len + 1;
        }
}

/* The folder of bytecode in the first LEN bytes of PATH: what lies there is hidden with its source, and no RECORD need
 * list it. */
static int add_bytecode(struct dir_rows *rows, const char *path, size_t len)
{
        cleanup_buf struct buf folder = { 0 };
        int r = buf_printf(&folder, "%.*s%s__pycache__", (int)len, path, len ? "/" : "");

        return r < 0 ? r : dir_rows_add(rows, folder.data, 0, 0, 0);
}

/* All folders that lead to PATH, which is cut short meanwhile, and its bytecode's. */
static int add_parents(struct dir_rows *rows, char *path)
{
        size_t len = 0, end = strlen(path);
        int r = 0;

        for (char *slash = strchr(path, '/'); slash && r >= 0; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                r = dir_rows_add(rows, path, 0, 0, 0);
                len = (size_t)(slash - path);
                *slash = '/';
        }
        if (r >= 0 && end > 3 && !strcmp(path + end - 3, ".py"))
                r = add_bytecode(rows, path, len);
        return r;
}

int dir_rows_of_bare(struct dir_rows *rows, int site_fd, const char *dist_info)
{
        struct buf name cleanup_buf = { 0 };
        struct buf text cleanup_buf = { 0 };
        struct record record = { 0 };
        int r = buf_printf(&name, "%s/RECORD", dist_info);

        if (r < 0)
                return r;
        if (site_fd < 0 || file_read_at(site_fd, name.data, BARE_RECORD_MAX, &text) < 0 ||
            record_parse(text.data, text.len, &record, NULL) < 0)
                return 0;
        for (size_t i = 0; i < record.count && r >= 0; i++)
                if (is_inside(record.rows[i].path))
                        r = add_parents(rows, record.rows[i].path);
        record_release(&record);
        dir_rows_settle(rows);
        return r;
}
