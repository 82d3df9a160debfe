#include "fuzz.h"

#include "store/archive.h"
#include "store/files.h"

#include <sys/mman.h>

enum { UNPACK_MAX = 8 << 20 }; /* bytes of one input: more takes time and finds nothing */

static int count_bytes(const void *data, size_t len, void *user)
{
        uint64_t *total = user;

        FUZZ_CHECK(data && len > 0 && len <= 256 << 10);
        *total += len;
        return 0;
}

static void check_name(const struct archive_member *m)
{
        FUZZ_CHECK(m->name.len > 0 && m->name.len <= 1024);
        FUZZ_CHECK(m->name.data[0] != '/' && m->name.data[m->name.len - 1] != '/');
        FUZZ_CHECK(m->name.data[m->name.len] == '\0' && strlen(m->name.data) == m->name.len);
        FUZZ_CHECK(!strstr(m->name.data, "//") && !strchr(m->name.data, '\\') && !strchr(m->name.data, '\n'));
        for (const char *p = m->name.data; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
                FUZZ_CHECK(strncmp(p, "../", 3) != 0 && strcmp(p, "..") != 0 && strncmp(p, "./", 2) != 0);
}

static void unpack(const struct archive *a)
{
        struct errtext err = { "" };

        for (size_t i = 0; i < a->count; i++) {
                uint64_t total = 0;

                check_name(&a->members[i]);
                FUZZ_CHECK(a->members[i].data_offset + a->members[i].stored_size <= a->members[i].end_offset);
                FUZZ_CHECK(a->members[i].end_offset <= a->directory_start);
                if (a->members[i].is_dir)
                        continue;
                if (archive_extract(a, i, count_bytes, &total, &err) == 0)
                        FUZZ_CHECK(total == a->members[i].size);
                else
                        FUZZ_CHECK(err.text[0] && total <= a->members[i].size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct archive *a = NULL;
        struct errtext err = { "" };
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        FUZZ_CHECK(fd >= 0 && file_write_full(fd, data, size) == 0);
        if (archive_open_fd(fd, &a, &err) < 0) {
                FUZZ_CHECK(err.text[0] && !a);
                return 0;
        }
        FUZZ_CHECK(a->file_size == size);
        if (archive_check_local(a, &err) == 0 && archive_check_size(a, UNPACK_MAX, &err) == 0)
                unpack(a);
        archive_close(a);
        return 0;
}
