#include "store/verify_private.h"

#include "store/files.h"
#include "store/record.h"
#include "store/tree_hash.h"

#include <fcntl.h>
#include <sys/stat.h>

int verify_worker_init(struct verify_worker *w)
{
        struct verify_worker made = { .data = malloc(VERIFY_DATA_SIZE) };
        int r = made.data ? sha256_init(&made.sha) : -ENOMEM;

        if (r < 0) {
                free(made.data);
                return r;
        }
        *w = made;
        return 0;
}

void verify_worker_release(struct verify_worker *w)
{
        sha256_release(&w->sha);
        free(w->data);
        w->data = NULL;
}

static const char *kind_of_errno(int r)
{
        return r == -ENOENT ? "missing" : r == -ELOOP || r == -EXDEV ? "foreign" : "unreadable";
}

/* Opens what should be a plain file; NULL, or what is wrong with it. */
static const char *open_checked(int fd, struct stat *ret_st)
{
        if (fd < 0)
                return kind_of_errno(fd);
        if (fstat(fd, ret_st) < 0)
                return "unreadable";
        return S_ISREG(ret_st->st_mode) ? NULL : "foreign";
}

/* Why image_open refused it: shorter than its header says, or otherwise wrong? */
static const char *kind_of_refusal(int fd, int r, off_t size)
{
        struct image_header_disk h;

        if (r != -EBADMSG && r != -EIO)
                return "unreadable";
        if (size < (off_t)sizeof h)
                return "truncated";
        if (file_pread_full(fd, &h, sizeof h, 0) == 0 && memcmp(h.magic, IMAGE_MAGIC, sizeof h.magic) == 0 &&
            (uint64_t)size < le64_get(h.file_size))
                return "truncated";
        return "corrupt";
}

/* One image while it is hashed. */
struct tree {
        const struct image *img;
        int fd;
        struct image_entry *files; /* all but directories, in the order of their blocks */
        size_t count;
        uint8_t (*hashes)[SHA256_SIZE]; /* of files */
        struct buf paths;          /* of files, each with its NUL */
        struct tree_file *rows;
};

static int compare_places(const void *a, const void *b)
{
        const struct image_entry *x = a, *y = b;

        if (x->type != y->type)
                return x->type < y->type ? -1 : 1;
        if (x->block != y->block)
                return x->block < y->block ? -1 : 1;
        return x->block_offset < y->block_offset ? -1 : x->block_offset > y->block_offset;
}

static void tree_release(struct tree *t)
{
        free(t->files);
        free(t->hashes);
        free(t->rows);
        buf_release(&t->paths);
}

static int tree_init(struct tree *t, const struct image *img, int fd)
{
        uint32_t n = image_files(img);
        int r = 0;

        *t = (struct tree){ .img = img, .fd = fd };
        t->files = calloc((size_t)n + 1, sizeof *t->files);
        t->hashes = calloc((size_t)n + 1, sizeof *t->hashes);
        t->rows = calloc((size_t)n + 1, sizeof *t->rows);
        if (!t->files || !t->hashes || !t->rows)
                r = -ENOMEM;
        for (uint32_t i = 0; r == 0 && i < image_entries(img); i++) {
                struct image_entry e = image_entry(img, i);

                if (e.type == IMAGE_DIR)
                        continue;
                if (t->count == n)
                        r = -EBADMSG;
                else
                        t->files[t->count++] = e;
        }
        if (r < 0) {
                tree_release(t);
                return r;
        }
        qsort(t->files, t->count, sizeof *t->files, compare_places);
        return 0;
}

/* Reads every block once, also those that hold no files, and hashes the files in it. */
static int hash_files(struct verify_worker *w, struct tree *t)
{
        size_t next = 0;
        int r;

        for (uint32_t block = 0; block < image_blocks(t->img); block++) {
                int size = image_read_block(t->img, t->fd, block, w->data);

                if (size < 0)
                        return size;
                for (; next < t->count && t->files[next].type == IMAGE_FILE && t->files[next].block == block; next++) {
                        const struct image_entry *e = &t->files[next];

                        r = sha256_update(&w->sha, w->data + e->block_offset, (size_t)e->size);
                        if (r == 0)
                                r = sha256_final(&w->sha, t->hashes[next]);
                        if (r < 0)
                                return r;
                }
        }
        for (; next < t->count; next++) {
                const struct image_entry *e = &t->files[next];
                struct image_object o;

                if (e->type == IMAGE_OBJECT) {
                        o = image_object(t->img, e->object);
                        memcpy(t->hashes[next], o.id, SHA256_SIZE);
                } else if (e->size == 0) { /* an image without blocks has empty files only */
                        r = sha256_final(&w->sha, t->hashes[next]);
                        if (r < 0)
                                return r;
                } else {
                        return -EBADMSG;
                }
        }
        return 0;
}

static int list_rows(struct tree *t)
{
        size_t *starts = calloc(t->count + 1, sizeof *starts);
        int r = starts ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < t->count; i++) {
                starts[i] = t->paths.len;
                r = image_path(t->img, t->files[i].number, &t->paths);
                if (r == 0)
                        r = buf_add_char(&t->paths, '\0');
        }
        for (size_t i = 0; r == 0 && i < t->count; i++)
                t->rows[i] = (struct tree_file){
                        .path = t->paths.data + starts[i],
                        .executable = t->files[i].executable,
                        .size = t->files[i].size,
                        .sha256 = t->hashes[i],
                };
        free(starts);
        return r;
}

/* The RECORD body follows from the tree; an environment gives it out, so it must be right. */
static int check_record(const struct tree *t)
{
        cleanup_buf struct buf expected = { 0 };
        cleanup_buf struct buf found = { 0 };
        int r = image_read_record(t->img, t->fd, &found);

        for (size_t i = 0; r == 0 && i < t->count; i++)
                if (strncmp(t->rows[i].path, "site/", 5) == 0)
                        r = record_add_row(&expected, t->rows[i].path + 5, t->rows[i].sha256, t->rows[i].size);
        if (r < 0)
                return r;
        if (found.len != expected.len || (found.len > 0 && memcmp(found.data, expected.data, found.len) != 0))
                return -EBADMSG;
        return 0;
}

static int check_tree(struct verify_worker *w, const struct image *img, int fd, const uint8_t id[SHA256_SIZE])
{
        uint8_t hash[SHA256_SIZE];
        struct tree t;
        int r = tree_init(&t, img, fd);

        if (r < 0)
                return r;
        r = sha256_reset(&w->sha);
        if (r == 0)
                r = hash_files(w, &t);
        if (r == 0)
                r = list_rows(&t);
        if (r == 0)
                r = tree_hash(t.rows, t.count, hash); /* sorts the rows */
        if (r == 0 && (memcmp(hash, id, SHA256_SIZE) != 0 || memcmp(image_id(img), id, SHA256_SIZE) != 0))
                r = -EBADMSG;
        if (r == 0)
                r = check_record(&t);
        tree_release(&t);
        return r;
}

int verify_image_content(struct verify_worker *w, const struct store *s, const uint8_t id[SHA256_SIZE],
                         struct image **ret_image, const char **ret_kind)
{
        cleanup_close int fd = store_open_image_file(s, id);
        struct image *img = NULL;
        struct stat st;
        const char *kind = open_checked(fd, &st);
        int r = 0;

        if (!kind) {
                posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
                r = image_open(fd, &img, NULL);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        kind = kind_of_refusal(fd, r, st.st_size);
        }
        if (!kind) {
                r = check_tree(w, img, fd, id);
                if (r == -ENOMEM) {
                        image_close(img);
                        return r;
                }
                kind = r < 0 ? "corrupt" : NULL;
        }
        *ret_image = img;
        *ret_kind = kind;
        return 0;
}

static const char *hash_object(struct verify_worker *w, int fd, const uint8_t id[SHA256_SIZE])
{
        uint8_t hash[SHA256_SIZE];
        off_t offset = 0;

        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        if (sha256_reset(&w->sha) < 0)
                return "unreadable";
        for (;;) {
                ssize_t n = pread(fd, w->data, VERIFY_DATA_SIZE, offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 || sha256_update(&w->sha, w->data, (size_t)n) < 0)
                        return "unreadable";
                if (n == 0)
                        break;
                offset += n;
        }
        if (sha256_final(&w->sha, hash) < 0)
                return "unreadable";
        return memcmp(hash, id, SHA256_SIZE) == 0 ? NULL : "corrupt";
}

int verify_object_content(struct verify_worker *w, const struct store *s, const uint8_t id[SHA256_SIZE], int64_t size,
                          const char **ret_kind)
{
        cleanup_close int fd = store_open_object(s, id);
        struct stat st;
        const char *kind = open_checked(fd, &st);

        if (!kind && size >= 0 && st.st_size != size)
                kind = st.st_size < size ? "truncated" : "corrupt";
        if (!kind)
                kind = hash_object(w, fd, id);
        *ret_kind = kind;
        return 0;
}
