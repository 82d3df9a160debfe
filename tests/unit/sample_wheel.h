/* sample_wheel.h: wheels for unit tests: ZIP files whose members are stored. */
#ifndef FUSEPKG_SAMPLE_WHEEL_H
#define FUSEPKG_SAMPLE_WHEEL_H

#include "store/files.h"
#include "store/record.h"
#include "store/sha256.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

struct sample_member {
        const char *name;
        const char *data;
        size_t size; /* 0: DATA is text */
        bool executable;
        bool unlisted;   /* RECORD has no row for it */
        bool wrong_hash; /* RECORD has another hash for it */
};

static inline uint32_t sample_crc(const char *data, size_t size)
{
        uint32_t crc = 0xffffffff;

        for (size_t i = 0; i < size; i++) {
                crc ^= (uint8_t)data[i];
                for (int k = 0; k < 8; k++)
                        crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
        }
        return ~crc;
}

static inline size_t sample_size(const struct sample_member *m)
{
        return m->size > 0 ? m->size : strlen(m->data);
}

/* The fields that local header and directory have in common, from "version needed" to the lengths. */
static inline void zip_common(struct buf *b, const struct sample_member *m)
{
        struct le32 size = le32_put((uint32_t)sample_size(m));
        struct le32 crc = le32_put(sample_crc(m->data, sample_size(m)));
        struct le16 name_len = le16_put((uint16_t)strlen(m->name));

        buf_add(b, "\x14\0\0\0\0\0\0\0\x21\0", 10);
        buf_add(b, &crc, 4);
        buf_add(b, &size, 4);
        buf_add(b, &size, 4);
        buf_add(b, &name_len, 2);
        buf_add(b, "\0\0", 2);
}

static inline void zip_add(struct buf *zip, struct buf *directory, const struct sample_member *m)
{
        struct le32 offset = le32_put((uint32_t)zip->len);
        struct le32 attributes = le32_put((m->executable ? 0100755U : 0100644U) << 16);

        buf_add(zip, "PK\3\4", 4);
        zip_common(zip, m);
        buf_add_str(zip, m->name);
        buf_add(zip, m->data, sample_size(m));
        buf_add(directory, "PK\1\2\x14\3", 6);
        zip_common(directory, m);
        buf_add(directory, "\0\0\0\0\0\0", 6);
        buf_add(directory, &attributes, 4);
        buf_add(directory, &offset, 4);
        buf_add_str(directory, m->name);
}

static inline void zip_end(struct buf *zip, const struct buf *directory, size_t count)
{
        struct le16 n = le16_put((uint16_t)count);
        struct le32 size = le32_put((uint32_t)directory->len);
        struct le32 offset = le32_put((uint32_t)zip->len);

        buf_add(zip, directory->data, directory->len);
        buf_add(zip, "PK\5\6\0\0\0\0", 8);
        buf_add(zip, &n, 2);
        buf_add(zip, &n, 2);
        buf_add(zip, &size, 4);
        buf_add(zip, &offset, 4);
        buf_add(zip, "\0\0", 2);
}

/* Writes DIRFD/NAME-1.0-py3-none-any.whl with MEMBERS and a dist-info, whose RECORD is right but for what they say. */
static inline void sample_wheel(int dirfd, const char *name, const struct sample_member *members, size_t n)
{
        cleanup_buf struct buf zip = { 0 };
        cleanup_buf struct buf directory = { 0 };
        cleanup_buf struct buf record = { 0 };
        char metadata[200], paths[3][200], file[200];
        struct sample_member info[] = {
                { .name = paths[0], .data = metadata },
                { .name = paths[1], .data = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n" },
                { .name = paths[2] },
        };

        snprintf(metadata, sizeof(metadata), "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n", name);
        snprintf(paths[0], sizeof(paths[0]), "%s-1.0.dist-info/METADATA", name);
        snprintf(paths[1], sizeof(paths[1]), "%s-1.0.dist-info/WHEEL", name);
        snprintf(paths[2], sizeof(paths[2]), "%s-1.0.dist-info/RECORD", name);
        snprintf(file, sizeof(file), "%s-1.0-py3-none-any.whl", name);
        for (size_t i = 0; i < n + 2; i++) {
                const struct sample_member *m = i < n ? &members[i] : &info[i - n];
                uint8_t hash[SHA256_SIZE];

                zip_add(&zip, &directory, m);
                assert_int_equal(sha256_bytes(m->data, sample_size(m), hash), 0);
                hash[0] ^= m->wrong_hash;
                if (!m->unlisted)
                        assert_int_equal(record_add_row(&record, m->name, hash, sample_size(m)), 0);
        }
        assert_int_equal(record_add_row(&record, paths[2], NULL, 0), 0);
        info[2].data = record.data;
        zip_add(&zip, &directory, &info[2]);
        zip_end(&zip, &directory, n + 3);
        assert_int_equal(file_replace(dirfd, file, zip.data, zip.len, 0644, false), 0);
}

#endif
