/* sample_ingest.h: wheels beside a store, and taking them in, for unit tests. */
#ifndef FUSEPKG_SAMPLE_INGEST_H
#define FUSEPKG_SAMPLE_INGEST_H

#include "store/ingest.h"

#include "sample_store.h"
#include "sample_wheel.h"

#include "store/verify.h"

#include <dirent.h>

enum { BIG = 300000 };

/* A store, and wheels beside it. */
struct place {
        struct sample *sample;
        struct store *store;
        struct index *index;
};

static inline void place_open(struct place *p, const struct sample *t)
{
        struct errtext err = { "" };

        p->store = sample_open(t, STORE_CREATE);
        if (index_open(p->store, &p->index, &err) < 0)
                fail_msg("%s", err.text);
}

static inline void place_close(struct place *p)
{
        index_close(p->index);
        store_close(p->store);
}

static inline int setup(void **state)
{
        struct place *p = calloc(1, sizeof(*p));
        void *sample = NULL;

        if (p == NULL || sample_setup(&sample) < 0)
                return -1;
        p->sample = sample;
        place_open(p, p->sample);
        *state = p;
        return 0;
}

static inline int teardown(void **state)
{
        struct place *p = *state;
        void *sample = p->sample;

        place_close(p);
        free(p);
        return sample_teardown(&sample);
}

/* Takes in NAMES ("a b"), up to eight; RET has one for each. */
static inline int ingest(struct place *p, const char *names, const struct ingest_options *options, struct ingest_wheel *ret)
{
        struct ingest_options defaults = { .threads = 3 };
        char paths[8][300];
        char *copy = strdup(names), *next = copy, *name;
        struct errtext err = { "" };
        size_t n = 0;
        int r;

        memset(ret, 0, 8 * sizeof(*ret));
        while ((name = strsep(&next, " ")) != NULL) {
                snprintf(paths[n], sizeof(paths[n]), "%s/%s-1.0-py3-none-any.whl", p->sample->folder, name);
                ret[n].path = paths[n];
                n++;
        }
        r = ingest_wheels(p->store, p->index, ret, n, options != NULL ? options : &defaults, &err);
        assert_true(r == 0 || err.text[0] != '\0');
        free(copy);
        return r;
}

static inline void release(struct ingest_wheel *wheels)
{
        for (size_t i = 0; i < 8; i++)
                ingest_wheel_release(&wheels[i]);
}

/* Regular files at or below DIRFD/NAME. */
static inline unsigned count_files(int dirfd, const char *name)
{
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fdopendir(fd);
        struct dirent *e;
        unsigned n = 0;

        assert_non_null(dir);
        while ((e = readdir(dir)) != NULL)
                if (e->d_type == DT_DIR && e->d_name[0] != '.')
                        n += count_files(fd, e->d_name);
                else
                        n += e->d_type == DT_REG;
        closedir(dir);
        return n;
}

static inline unsigned litter(const struct place *p)
{
        struct stat st;

        assert_int_equal(fstat(p->store->staging_fd, &st), 0);
        return count_files(p->store->staging_fd, ".") + (unsigned)st.st_nlink - 2;
}

static inline void on_error(const struct verify_error *e, void *user)
{
        (void)user;
        print_message("%s: %s\n", e->path, e->kind);
}

static inline int verify(const struct place *p)
{
        struct verify_options options = { .threads = 2, .error = on_error };
        struct errtext err = { "" };

        return verify_store(p->store, &options, &err);
}

static inline struct image *open_image(const struct place *p, const uint8_t id[SHA256_SIZE], int *ret_fd)
{
        struct image *img = NULL;

        *ret_fd = store_open_image_file(p->store, id);
        assert_true(*ret_fd >= 0);
        assert_int_equal(image_open(*ret_fd, &img, NULL), 0);
        return img;
}

static inline char *noise(size_t size, unsigned seed)
{
        char *data = malloc(size);

        assert_non_null(data);
        for (size_t i = 0; i < size; i++) {
                seed = seed * 1103515245 + 12345;
                data[i] = (char)(seed >> 16);
        }
        return data;
}

#endif
