#include "fuzz.h"

#include "store/metadata.h"
#include "store/utf8.h"

static void check_text(const char *s)
{
        FUZZ_CHECK(!s || utf8_is_valid(s, strlen(s)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct metadata m = { 0 };
        struct errtext err = { "" };

        if (metadata_parse((const char *)data, size, &m, &err) < 0) {
                FUZZ_CHECK(err.text[0] && !m.name);
                return 0;
        }
        FUZZ_CHECK(m.name && m.version && m.name[0] && m.version[0]);
        FUZZ_CHECK(!strpbrk(m.name, "/ \n") && !strpbrk(m.version, "/ \n"));
        const char *const texts[] = { m.requires_python, m.summary, m.home_page, m.author, m.license };
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
                check_text(texts[i]);
        for (size_t i = 0; i < m.requires_count; i++)
                check_text(m.requires_dist[i]);
        metadata_release(&m);
        return 0;
}
