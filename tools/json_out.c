#include "tools/json_out.h"

#include "store/buf.h"
#include "tools/command.h"
#include "tools/ui.h"

#include <stdio.h>

int json_out(json_t *value)
{
        bool done = value && json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) == 0 && putchar('\n') != EOF;

        json_decref(value);
        if (done || ferror(stdout))
                return 0;
        ui_error("cannot make the result: out of memory");
        return -ENOMEM;
}

int json_out_failed(json_t *value)
{
        json_decref(value);
        ui_error("cannot make the result: out of memory");
        return EXIT_USAGE;
}

/* How many bytes the character at P takes; 0: not UTF-8, as overlong forms, surrogates and what is above U+10FFFF. */
static size_t utf8_length(const unsigned char *p)
{
        size_t n = 0;

        if (p[0] < 0x80)
                return 1;
        if (p[0] >= 0xc2 && p[0] < 0xf5)
                n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return n;
}

json_t *json_out_string(const char *s)
{
        cleanup_buf struct buf text = { 0 };
        json_t *value = json_string(s);
        int r = 0;

        if (value)
                return value;
        while (*s && r == 0) {
                size_t n = utf8_length((const unsigned char *)s);

                r = n ? buf_add(&text, s, n) : buf_add_str(&text, "\xef\xbf\xbd");
                s += n ? n : 1;
        }
        return r < 0 ? NULL : json_string(text.data ? text.data : "");
}

json_t *json_out_strings(char *const *list, size_t n, const char *prefix)
{
        json_t *array = json_array();

        for (size_t i = 0; array && i < n; i++) {
                cleanup_buf struct buf text = { 0 };

                if (buf_printf(&text, "%s%s", prefix, list[i]) < 0 ||
                    json_array_append_new(array, json_out_string(text.data)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}
