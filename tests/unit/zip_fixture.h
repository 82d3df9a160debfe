/* zip_fixture.h: archives in memory for tests, stored or deflated by the caller. */
#ifndef FUSEPKG_ZIP_FIXTURE_H
#define FUSEPKG_ZIP_FIXTURE_H

#include "store/buf.h"

#include <isa-l/crc.h>

struct zip_fixture {
        struct buf bytes;
        struct buf directory;
        unsigned count;
};

static inline void zip_put(struct buf *b, uint64_t n, size_t bytes)
{
        struct le64 v = le64_put(n);

        if (buf_add(b, v.b, bytes) < 0)
                abort();
}

static inline void zip_put_header(struct buf *b, const char *name, unsigned method, uint32_t crc, size_t stored,
                                  size_t size)
{
        zip_put(b, 20, 2);
        zip_put(b, 0, 2);
        zip_put(b, method, 2);
        zip_put(b, 0, 4);
        zip_put(b, crc, 4);
        zip_put(b, stored, 4);
        zip_put(b, size, 4);
        zip_put(b, strlen(name), 2);
        zip_put(b, 0, 2);
}

/* A member whose SIZE bytes DATA are stored as they are (PAYLOAD NULL) or as a deflate stream. */
static inline void zip_add(struct zip_fixture *z, const char *name, const void *data, size_t size, const void *payload,
                           size_t stored)
{
        uint32_t crc = crc32_gzip_refl(0, data, size);
        unsigned method = payload ? 8 : 0;
        size_t offset = z->bytes.len;

        stored = payload ? stored : size;
        zip_put(&z->bytes, 0x04034b50, 4);
        zip_put_header(&z->bytes, name, method, crc, stored, size);
        zip_put(&z->directory, 0x02014b50, 4);
        zip_put(&z->directory, 3 << 8 | 20, 2);
        zip_put_header(&z->directory, name, method, crc, stored, size);
        zip_put(&z->directory, 0, 6);
        zip_put(&z->directory, (uint64_t)0100644 << 16, 4);
        zip_put(&z->directory, offset, 4);
        if (buf_add_str(&z->bytes, name) < 0 || buf_add_str(&z->directory, name) < 0 ||
            buf_add(&z->bytes, payload ? payload : data, stored) < 0)
                abort();
        z->count++;
}

static inline void zip_add_text(struct zip_fixture *z, const char *name, const char *text)
{
        zip_add(z, name, text, strlen(text), NULL, 0);
}

static inline void zip_finish(struct zip_fixture *z)
{
        size_t start = z->bytes.len;

        if (buf_add(&z->bytes, z->directory.data, z->directory.len) < 0)
                abort();
        zip_put(&z->bytes, 0x06054b50, 4);
        zip_put(&z->bytes, 0, 4);
        zip_put(&z->bytes, z->count, 2);
        zip_put(&z->bytes, z->count, 2);
        zip_put(&z->bytes, z->directory.len, 4);
        zip_put(&z->bytes, start, 4);
        zip_put(&z->bytes, 0, 2);
}

static inline void zip_release(struct zip_fixture *z)
{
        buf_release(&z->bytes);
        buf_release(&z->directory);
}

#endif
