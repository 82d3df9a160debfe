#include "fuzz.h"

#include "store/metadata.h"

static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct entry_points e = { 0 };
        struct errtext err = { "" };

        if (entry_points_parse((const char *)data, size, &e, &err) < 0) {
                FUZZ_CHECK(err.text[0] && !e.points);
                return 0;
        }
        /* They end up in the text of a script and in the name of a file. */
        for (size_t i = 0; i < e.count; i++) {
                const struct entry_point *p = &e.points[i];

                FUZZ_CHECK(p->name[0] && p->name[strspn(p->name, word)] == '\0');
                FUZZ_CHECK(p->module[0] && p->module[strspn(p->module, word)] == '\0');
                FUZZ_CHECK(p->attr[0] && p->attr[strspn(p->attr, word)] == '\0');
                FUZZ_CHECK(strcmp(p->name, ".") != 0 && strcmp(p->name, "..") != 0);
                FUZZ_CHECK(!entry_point_reserved(p->name, strlen(p->name)));
                for (size_t k = 0; k < i; k++)
                        FUZZ_CHECK(strcmp(p->name, e.points[k].name) != 0);
        }
        entry_points_release(&e);
        return 0;
}
