/* sample_tree.h: one image with all that an image can have, for the tests of image.c and image_write.c. */
#ifndef FUSEPKG_SAMPLE_TREE_H
#define FUSEPKG_SAMPLE_TREE_H

#include "store/image.h"
#include "store/image_write.h"
#include "store/sha256.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <xxhash.h>

enum { SAMPLE_BIG = 200000 };

struct sample_file {
        const char *path;
        const char *text; /* NULL: the big one */
        bool executable;
};

static const struct sample_file sample_tree[] = {
        { "site/pkg/a.py", "print('a')\n", false },
        { "site/pkg/__init__.py", "", false },
        { "site/pkg-1.0.dist-info/METADATA", "Name: pkg\n", false },
        { "scripts/tool", "#!python\n", true },
        { "site/pkg/big.bin", NULL, false },
        { "site/pkg/copy.bin", NULL, true },
        { "data/share/x, y", "data", false },
        { "site/pkg/sub/b.py", "b = 1\n", false },
        { "site/pkg/q\"u,o.py", "q", false },
};

static const struct image_info sample_info = { .name = "pkg", .version = "1.0", .dist_info = "pkg-1.0.dist-info",
                                               .requires_python = ">=3.9", .record_matched = true,
                                               .archive = { 1, 2, 3 }, .key = { 4, 5, 6 } };

static inline uint8_t *sample_big(void)
{
        uint8_t *big = malloc(SAMPLE_BIG);

        assert_non_null(big);
        for (size_t i = 0; i < SAMPLE_BIG; i++)
                big[i] = (uint8_t)(i * 7 + i / 256);
        return big;
}

static inline void sample_add(struct image_writer *w, const struct sample_file *s, char *block, size_t *used)
{
        struct image_file f = { .path = s->path, .executable = s->executable };
        uint64_t sums[SAMPLE_BIG / OBJECT_SUM_SIZE + 1];
        uint8_t *big = sample_big();

        if (s->text != NULL) {
                f.size = strlen(s->text);
                f.block_offset = (uint32_t)*used;
                memcpy(block + *used, s->text, f.size);
                *used += f.size;
                assert_int_equal(sha256_bytes(s->text, f.size, f.sha256), 0);
        } else {
                for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
                        size_t left = SAMPLE_BIG - i * OBJECT_SUM_SIZE;

                        sums[i] = XXH3_64bits(big + i * OBJECT_SUM_SIZE,
                                              left < OBJECT_SUM_SIZE ? left : OBJECT_SUM_SIZE);
                }
                f.size = SAMPLE_BIG;
                f.sums = sums;
                assert_int_equal(sha256_bytes(big, SAMPLE_BIG, f.sha256), 0);
        }
        assert_int_equal(image_writer_add(w, &f), 0);
        free(big);
}

/* The sample in a memory file; BACKWARDS adds the files in the other order. */
static inline int sample_image(bool backwards, uint8_t ret_id[SHA256_SIZE])
{
        int fd = memfd_create("image", MFD_CLOEXEC);
        struct image_writer *w = NULL;
        struct errtext err = { "" };
        char block[256];
        size_t used = 0;

        assert_true(fd >= 0);
        assert_int_equal(image_writer_new(fd, &w), 0);
        for (size_t i = 0; i < ARRAY_LEN(sample_tree); i++)
                sample_add(w, &sample_tree[backwards ? ARRAY_LEN(sample_tree) - 1 - i : i], block, &used);
        assert_int_equal(image_writer_compress(w, 0, block, used), 0);
        if (image_writer_finish(w, &sample_info, ret_id, &err) < 0)
                fail_msg("%s", err.text);
        image_writer_free(w);
        return fd;
}

#endif
