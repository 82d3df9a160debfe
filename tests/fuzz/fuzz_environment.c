#include "fuzz.h"

#include "fs/environment.h"

#include <inttypes.h>
#include <xxhash.h>

static void judge(const char *text, size_t size)
{
        struct environment *e = NULL, *copy = NULL;
        cleanup_buf struct buf again = { 0 };
        struct errtext err = { "" };

        if (environment_parse(text, size, &e, &err) < 0) {
                FUZZ_CHECK(err.text[0] && !e);
                return;
        }
        FUZZ_CHECK(environment_copy(e, &copy) == 0);
        FUZZ_CHECK(environment_format(copy, &again) == 0);
        FUZZ_CHECK(again.len == size && memcmp(again.data, text, size) == 0);
        environment_free(e);
        environment_free(copy);
}

/* As it is, and with the checksum made right: or nothing behind it would ever be reached. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        enum { END_LINE = 21 };
        cleanup_buf struct buf fixed = { 0 };

        judge((const char *)data, size);
        if (size < END_LINE)
                return 0;
        FUZZ_CHECK(buf_add(&fixed, data, size - END_LINE) == 0);
        FUZZ_CHECK(buf_printf(&fixed, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(data, size - END_LINE)) == 0);
        judge(fixed.data, fixed.len);
        return 0;
}
