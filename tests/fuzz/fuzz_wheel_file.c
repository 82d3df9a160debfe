#include "fuzz.h"

#include "store/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct wheel_file w = { 0 };
        struct errtext err = { "" };

        if (wheel_file_parse((const char *)data, size, &w, &err) < 0) {
                FUZZ_CHECK(err.text[0] && !w.tags);
                return 0;
        }
        FUZZ_CHECK(w.major <= 1);
        for (size_t i = 0; i < w.tag_count; i++)
                FUZZ_CHECK(w.tags[i]);
        wheel_file_release(&w);
        return 0;
}
