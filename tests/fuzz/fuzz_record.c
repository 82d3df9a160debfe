#include "fuzz.h"

#include "store/record.h"

/* What is written back is read as the same rows. */
static void round_trip(const struct record *rec)
{
        cleanup_buf struct buf text = { 0 };
        struct record again = { 0 };

        for (size_t i = 0; i < rec->count; i++)
                FUZZ_CHECK(record_add_row(&text, rec->rows[i].path,
                                          rec->rows[i].has_sha256 ? rec->rows[i].sha256 : NULL,
                                          rec->rows[i].size) == 0);
        FUZZ_CHECK(record_parse(text.data ? text.data : "", text.len, &again, NULL) == 0);
        FUZZ_CHECK(again.count == rec->count);
        for (size_t i = 0; i < rec->count; i++) {
                FUZZ_CHECK(strcmp(again.rows[i].path, rec->rows[i].path) == 0);
                FUZZ_CHECK(again.rows[i].has_sha256 == rec->rows[i].has_sha256);
                FUZZ_CHECK(memcmp(again.rows[i].sha256, rec->rows[i].sha256, SHA256_SIZE) == 0);
        }
        record_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *)data;
        cleanup_buf struct buf merged = { 0 };
        struct record rec = { 0 };
        struct errtext err = { "" };
        size_t half = size / 2;

        if (record_parse(text, size, &rec, &err) == 0) {
                round_trip(&rec);
                record_release(&rec);
        } else {
                FUZZ_CHECK(err.text[0]);
        }
        record_merge(text, half, text + half, size - half, &merged);
        return 0;
}
