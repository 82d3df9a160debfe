#include "store/tree_hash.h"

#include "store/sha256.h"

#define TREE_START "fusepkg tree 1\n"

static int compare_paths(const void *a, const void *b)
{
        return strcmp(((const struct tree_file *)a)->path, ((const struct tree_file *)b)->path);
}

static int add_file(struct sha256 *s, const struct tree_file *f)
{
        struct le64 size = le64_put(f->size);
        int r = sha256_update(s, f->path, strlen(f->path) + 1);

        if (r == 0)
                r = sha256_update(s, f->executable ? "x" : "-", 1);
        if (r == 0)
                r = sha256_update(s, &size, sizeof(size));
        return r == 0 ? sha256_update(s, f->sha256, SHA256_SIZE) : r;
}

int tree_hash(struct tree_file *files, size_t n, uint8_t ret_id[SHA256_SIZE])
{
        cleanup_sha256 struct sha256 s = { 0 };
        int r = sha256_init(&s);

        if (n > 0)
                qsort(files, n, sizeof(*files), compare_paths);
        if (r == 0)
                r = sha256_update(&s, TREE_START, strlen(TREE_START));
        for (size_t i = 0; r == 0 && i < n; i++) {
                if (i > 0 && strcmp(files[i - 1].path, files[i].path) == 0)
                        return -EEXIST;
                r = add_file(&s, &files[i]);
        }
        return r == 0 ? sha256_final(&s, ret_id) : r;
}
