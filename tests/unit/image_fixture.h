/* image_fixture.h: small images for unit tests, made of paths; every file holds its own path. */
#ifndef FUSEPKG_TEST_IMAGE_FIXTURE_H
#define FUSEPKG_TEST_IMAGE_FIXTURE_H

#include "store/image.h"
#include "store/image_write.h"
#include "store/sha256.h"

#include <stdio.h>
#include <sys/mman.h>

/* cmocka.h must have been included before. */

/* PATHS is "site/a.py data/share/x": the image's files.  FD keeps the file, for reading contents; may be NULL. */
static struct image *image_fixture(const char *name, const char *paths, int *ret_fd)
{
        struct image_info info = { .name = name, .version = "1.0", .dist_info = "x-1.0.dist-info", .requires_python = "",
                                   .record_matched = true };
        struct image_writer *w = NULL;
        struct image *img = NULL;
        struct errtext err = { "" };
        uint8_t id[SHA256_SIZE];
        int fd = memfd_create("image", MFD_CLOEXEC);
        char *copy = strdup(paths), *next = copy, *path;
        char block[BLOCK_TARGET_SIZE];
        size_t used = 0;

        assert_true(fd >= 0);
        assert_int_equal(image_writer_new(fd, &w), 0);
        /* The distribution's name is part of the bytes: two images of equal trees are two images. */
        while ((path = strsep(&next, " "))) {
                struct image_file f = { .path = path, .block_offset = (uint32_t)used };
                int n = snprintf(block + used, sizeof(block) - used, "%s %s", name, path);

                f.size = (uint64_t)n;
                assert_int_equal(sha256_bytes(block + used, (size_t)n, f.sha256), 0);
                used += (size_t)n;
                assert_int_equal(image_writer_add(w, &f), 0);
        }
        assert_int_equal(image_writer_block(w, 0, block, used, used), 0);
        if (image_writer_finish(w, &info, id, &err) < 0)
                fail_msg("%s", err.text);
        image_writer_free(w);
        if (image_open(fd, &img, &err) < 0)
                fail_msg("%s", err.text);
        free(copy);
        if (ret_fd)
                *ret_fd = fd;
        else
                close(fd);
        return img;
}

#endif
